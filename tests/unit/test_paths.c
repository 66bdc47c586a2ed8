#include "unit.h"

#include "base/str.h"
#include "config/paths.h"

#include <string.h>

static void each_place_follows_option_variable_and_home(void **state)
{
	static const struct {
		struct paths_environment environment;
		const char *option;
		const char *cwd;
		const char *config_file;
		const char *packages;
		const char *old;
		const char *data;
		const char *store;
		const char *state;
	} cases[] = {
		{ { .home = "/home/u" },
		  NULL,
		  "/work",
		  "/home/u/.config/npxc/npxc.json",
		  "/home/u/.config/npxc/packages",
		  "/home/u/.config/npxc/npxc.toml",
		  "/home/u/.local/share/npxc/packages",
		  "/home/u/.cache/npxc/store",
		  "/home/u/.local/state/npxc" },
		{ { "/home/u", "/c", "/d", "/k", "/s" },
		  NULL,
		  "/work",
		  "/c/npxc/npxc.json",
		  "/c/npxc/packages",
		  "/c/npxc/npxc.toml",
		  "/d/npxc/packages",
		  "/k/npxc/store",
		  "/s/npxc" },
		/* empty and relative values count as unset, each by itself */
		{ { "/home/u", "", "relative", "./k", "~/s" },
		  NULL,
		  "/work",
		  "/home/u/.config/npxc/npxc.json",
		  "/home/u/.config/npxc/packages",
		  "/home/u/.config/npxc/npxc.toml",
		  "/home/u/.local/share/npxc/packages",
		  "/home/u/.cache/npxc/store",
		  "/home/u/.local/state/npxc" },
		/* cleaned */
		{ { "/home//u/", "/c/../e/", NULL, "/", NULL },
		  NULL,
		  "/work",
		  "/e/npxc/npxc.json",
		  "/e/npxc/packages",
		  "/e/npxc/npxc.toml",
		  "/home/u/.local/share/npxc/packages",
		  "/npxc/store",
		  "/home/u/.local/state/npxc" },
		/* --config moves what stands beside it and nothing else */
		{ { .home = "/home/u", .xdg_config_home = "/c" },
		  "conf/my.json",
		  "/work",
		  "/work/conf/my.json",
		  "/work/conf/packages",
		  "/work/conf/npxc.toml",
		  "/home/u/.local/share/npxc/packages",
		  "/home/u/.cache/npxc/store",
		  "/home/u/.local/state/npxc" },
		{ { .home = "/home/u" },
		  "../my.json",
		  "/work",
		  "/my.json",
		  "/packages",
		  "/npxc.toml",
		  "/home/u/.local/share/npxc/packages",
		  "/home/u/.cache/npxc/store",
		  "/home/u/.local/state/npxc" },
		{ { .home = "/" },
		  "/etc/npxc/x",
		  "/work",
		  "/etc/npxc/x",
		  "/etc/npxc/packages",
		  "/etc/npxc/npxc.toml",
		  "/.local/share/npxc/packages",
		  "/.cache/npxc/store",
		  "/.local/state/npxc" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct npxc_error err = { 0 };
		struct paths paths;

		if (!paths_make(&cases[i].environment, cases[i].option, cases[i].cwd, &paths, &err))
			fail_msg("case %zu: %s", i, err.message);
		assert_string_equal(paths.config_file, cases[i].config_file);
		assert_string_equal(paths.packages_directory, cases[i].packages);
		assert_string_equal(paths.old_config_file, cases[i].old);
		assert_string_equal(paths.data_directory, cases[i].data);
		assert_string_equal(paths.store_directory, cases[i].store);
		assert_string_equal(paths.state_directory, cases[i].state);
		assert_int_equal(paths.home[0], '/');
		paths_done(&paths);
	}
}

static void a_place_without_an_absolute_home_is_refused(void **state)
{
	static const struct {
		const char *home;
		const char *option;
		const char *why;
	} cases[] = {
		{ NULL, NULL, "HOME is not set" },
		{ "", NULL, "HOME is not set" },
		{ "home/u", NULL, "HOME is \"home/u\", which is not an absolute path" },
		{ "\033[2J", NULL, "\\x1b[2J" },
		{ "/home/u", "", "--config wants the name of a file" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct paths_environment environment = { .home = cases[i].home };
		struct npxc_error err = { 0 };
		struct paths paths = { .home = (char *)"untouched" };

		assert_false(paths_make(&environment, cases[i].option, "/work", &paths, &err));
		assert_int_equal(err.kind, ERROR_CONFIG);
		if (strstr(err.message, cases[i].why) == NULL)
			fail_msg("\"%s\" does not say \"%s\"", err.message, cases[i].why);
		assert_string_equal(paths.home, "untouched");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_place_follows_option_variable_and_home),
		cmocka_unit_test(a_place_without_an_absolute_home_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
