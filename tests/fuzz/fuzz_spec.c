#include "fuzz.h"

#include "base/str.h"
#include "config/spec.h"

/* Nothing that npm would take for an option, a URL, a repository or an alias. */
static void check_registry(const struct spec *spec)
{
	struct npxc_error err = { 0 };
	char *key = spec_package_key(spec->name);

	REQUIRE(spec->path == NULL);
	REQUIRE(spec_check_name(spec->name, &err));
	REQUIRE(spec->name[0] != '-' && spec->name[0] != '.');
	REQUIRE(spec->select[0] != '\0' && spec->select[0] != '-');
	REQUIRE(strpbrk(spec->select, "/:@\\\"'$`;&\n\t") == NULL || spec->kind == SPEC_TAG);
	REQUIRE(strpbrk(spec->select, "/:@\\\"$`;&\n\t ") == NULL || spec->kind == SPEC_RANGE);
	REQUIRE(strchr(key, '/') == NULL && strcmp(key, ".") != 0 && strcmp(key, "..") != 0 && key[0] != '\0');
	for (const char *p = key; *p != '\0'; p++)
		REQUIRE((unsigned char)*p > ' ' && (unsigned char)*p < 0x7f && !(*p >= 'A' && *p <= 'Z'));
	free(key);
}

/* The canonical form means the same when it is read again. */
static void check_again(const struct spec *spec)
{
	char *text = str_printf("%s@%s", spec->name, spec->select);
	struct npxc_error err = { 0 };
	struct spec again;

	REQUIRE(spec_parse(text, &again, &err));
	REQUIRE(again.kind == spec->kind);
	REQUIRE(strcmp(again.name, spec->name) == 0);
	REQUIRE(strcmp(again.select, spec->select) == 0);
	spec_done(&again);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = size > 0 ? str_dup_n((const char *)data, size) : str_dup("");
	struct npxc_error err = { 0 };
	struct spec spec;

	if (!spec_parse(text, &spec, &err)) {
		require_refusal(&err, ERROR_CONFIG);
	} else if (spec.kind == SPEC_DIRECTORY) {
		REQUIRE(spec.name == NULL && spec.select == NULL && spec.path[0] != '\0');
		spec_done(&spec);
	} else {
		check_registry(&spec);
		check_again(&spec);
		spec_done(&spec);
	}
	free(text);
	return 0;
}
