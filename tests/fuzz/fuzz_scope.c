#include "fuzz.h"

#include "base/str.h"
#include "files/scope.h"

static const struct scope_place places[] = {
	{ .spellings = { "/home/u/work", "/data/work" }, .home = "/home/u" },
	{ .spellings = { "/" }, .home = NULL },
};

/* A path of ordinary components, each below a file system's ceiling; none is empty, "." or "..". */
static void check_components(const char *path)
{
	const char *at = path;

	while (*at != '\0') {
		const size_t length = strcspn(at, "/");

		REQUIRE(length > 0 && length <= 255);
		REQUIRE(length != 1 || *at != '.');
		REQUIRE(length != 2 || at[0] != '.' || at[1] != '.');
		at += length;
		REQUIRE(*at == '\0' || at[1] != '\0');
		at += *at == '/';
	}
}

static void check_name(const struct scope_place *place, const struct scope_name *name)
{
	char *clean = str_path_clean(name->path);

	REQUIRE(name->path[0] == '/' && strlen(name->path) <= 4095 && strcmp(clean, name->path) == 0);
	check_components(name->path + 1);
	if (name->relative != NULL) {
		check_components(name->relative);
		REQUIRE(scope_behind(place, name->path) != NULL);
		REQUIRE(strcmp(scope_behind(place, name->path), name->relative) == 0);
	}
	free(clean);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		struct npxc_error err = { 0 };
		struct scope_name name;

		if (!scope_read(&places[i], (const char *)data, size, &name, &err)) {
			require_refusal(&err, ERROR_PATH_OUT_OF_SCOPE);
			continue;
		}
		REQUIRE(size > 0 && (scope_is_uri((const char *)data, size) || memchr(data, '\0', size) == NULL));
		check_name(&places[i], &name);
		scope_name_done(&name);
	}
	return 0;
}
