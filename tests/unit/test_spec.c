#include "unit.h"

#include "base/mem.h"
#include "base/str.h"
#include "config/spec.h"

#include <stdlib.h>
#include <string.h>

static void specs_that_npx_takes(void **state)
{
	static const struct {
		const char *text;
		enum spec_kind kind;
		const char *name;
		const char *select;
		const char *path;
	} cases[] = {
		{ "name", SPEC_RANGE, "name", "*", NULL },
		{ "name@", SPEC_RANGE, "name", "*", NULL },
		{ "@scope/name", SPEC_RANGE, "@scope/name", "*", NULL },
		{ "@scope/name@next", SPEC_TAG, "@scope/name", "next", NULL },
		{ "name@1.2.3", SPEC_VERSION, "name", "1.2.3", NULL },
		{ "name@v1.2.3", SPEC_VERSION, "name", "1.2.3", NULL },
		{ "name@1.2.3-rc.1+build.05", SPEC_VERSION, "name", "1.2.3-rc.1+build.05", NULL },
		{ "name@01.2.3", SPEC_RANGE, "name", "01.2.3", NULL }, /* not a version; npm will say so */
		{ "name@1", SPEC_RANGE, "name", "1", NULL },
		{ "name@^1.2", SPEC_RANGE, "name", "^1.2", NULL },
		{ "name@>=1 <3 || 5.x", SPEC_RANGE, "name", ">=1 <3 || 5.x", NULL },
		{ "name@ ^2 ", SPEC_RANGE, "name", "^2", NULL },
		{ "name@*", SPEC_RANGE, "name", "*", NULL },
		{ "name@x", SPEC_RANGE, "name", "x", NULL },
		{ "JSONStream", SPEC_RANGE, "JSONStream", "*", NULL },
		{ "./server", SPEC_DIRECTORY, NULL, NULL, "./server" },
		{ "..", SPEC_DIRECTORY, NULL, NULL, ".." },
		{ "~/server", SPEC_DIRECTORY, NULL, NULL, "~/server" },
		{ "file:../server", SPEC_DIRECTORY, NULL, NULL, "../server" },
		{ "/srv/a@b", SPEC_DIRECTORY, NULL, NULL, "/srv/a@b" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct npxc_error err = { 0 };
		struct spec spec;

		if (!spec_parse(cases[i].text, &spec, &err))
			fail_msg("%s: %s", cases[i].text, err.message);
		assert_int_equal(spec.kind, cases[i].kind);
		assert_true(str_equal(spec.name, cases[i].name));
		assert_true(str_equal(spec.select, cases[i].select));
		assert_true(str_equal(spec.path, cases[i].path));
		spec_done(&spec);
	}
}

static void specs_that_are_refused(void **state)
{
	static const struct {
		const char *text;
		const char *why;
	} cases[] = {
		{ "", "empty package spec" },
		{ "-y", "an option stands where" },
		{ "--registry=x", "an option stands where" },
		{ "@scope", "scope without a package" },
		{ "@/name", "no valid npm scope" },
		{ "@scope/", "not a valid npm package name" },
		{ "@scope/a/b", "not a valid npm package name" },
		{ "@../x", "no valid npm scope" },
		{ "@scope/..", "not a valid npm package name" },
		{ ".hidden", "not a valid npm package name" },
		{ "_private", "not a valid npm package name" },
		{ "node_modules", "not a valid npm package name" },
		{ "favicon.ico", "not a valid npm package name" },
		{ "a b", "not a valid npm package name" },
		{ "a;b", "not a valid npm package name" },
		{ "a+b", "not a valid npm package name" },
		{ "a=b", "not a valid npm package name" },
		{ "na\nme", "not a valid npm package name" },
		{ "na\033[2Jme", "\\x1b[2J" },
		{ "user/repo", "git repository" },
		{ "github:user/repo", "git and URL specs" },
		{ "git+ssh://host/x.git", "git and URL specs" },
		{ "https://example.com/x.tgz", "git and URL specs" },
		{ "name@npm:other@1", "alias specs are not supported: write \"other@1\"" },
		{ "name@file:../x", "not a version" },
		{ "name@git+https://example.com/x", "not a version" },
		{ "name@user/repo", "not a version" },
		{ "name@1.0;rm", "neither a version" },
		{ "name@$(id)", "neither a version" },
		{ "name@--flag", "neither a version" },
		{ "name@1@2", "neither a version" },
		{ "name@-x <3", "neither a version" },
		{ "file:", "names no directory" },
		{ "file://host/x", "host part" },
	};
	char long_name[217];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct npxc_error err = { 0 };
		struct spec spec;

		if (spec_parse(cases[i].text, &spec, &err))
			fail_msg("\"%s\" was accepted", cases[i].text);
		assert_int_equal(err.kind, ERROR_CONFIG);
		if (strstr(err.message, cases[i].why) == NULL)
			fail_msg("\"%s\": \"%s\" does not say \"%s\"", cases[i].text, err.message, cases[i].why);
	}
	memset(long_name, 'a', 215);
	long_name[215] = '\0';
	{
		struct npxc_error err = { 0 };
		struct spec spec;

		assert_false(spec_parse(long_name, &spec, &err));
		assert_non_null(strstr(err.message, "more than 214 bytes"));
		long_name[214] = '\0';
		assert_true(spec_parse(long_name, &spec, &err));
		spec_done(&spec);
	}
}

static void keys_never_collide(void **state)
{
	static const char *const names[] = { "@a/b-c",     "@a-b/c",     "a-b-c", "JSONStream",
		                             "jsonstream", "Jsonstream", "a.b",   "a_b" };
	enum { COUNT = sizeof(names) / sizeof(names[0]) };
	char *keys[COUNT];

	(void)state;
	for (size_t i = 0; i < COUNT; i++) {
		keys[i] = spec_package_key(names[i]);
		assert_null(strchr(keys[i], '/'));
		for (const char *p = keys[i]; *p != '\0'; p++)
			assert_false(*p >= 'A' && *p <= 'Z');
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(keys[i], keys[j]);
	}
	assert_string_equal(keys[0], "@a+b-c");
	assert_string_equal(keys[3], "=j=s=o=n=stream");
	for (size_t i = 0; i < COUNT; i++)
		free(keys[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(specs_that_npx_takes),
		cmocka_unit_test(specs_that_are_refused),
		cmocka_unit_test(keys_never_collide),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
