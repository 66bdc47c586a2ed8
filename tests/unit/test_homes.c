#include "unit.h"

#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"
#include "session/homes.h"

#include <stdlib.h>
#include <string.h>

static void each_path_has_a_name_of_its_own_and_it_leads_back(void **state)
{
	static const struct {
		const char *path, *name;
	} CASES[] = {
		{ ".mcp-auth", ".mcp-auth" },
		{ ".config/x", ".config%2Fx" },
		{ ".config%2Fx", ".config%252Fx" },
		{ "a/%/b", "a%2F%25%2Fb" },
		{ "%", "%25" },
		{ "%2F", "%252F" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		mem_cleanup char *name = homes_name(CASES[i].path);
		mem_cleanup char *path = homes_path(name);

		assert_string_equal(name, CASES[i].name);
		assert_string_equal(path, CASES[i].path);
	}
}

static void a_name_that_npxc_did_not_make_is_none(void **state)
{
	static const char *const NAMES[] = { "%", "a%", "%2", "%2f", "%00", "%41", "a%2Fb%2" };

	(void)state;
	for (size_t i = 0; i < sizeof(NAMES) / sizeof(NAMES[0]); i++)
		if (homes_path(NAMES[i]) != NULL)
			fail_msg("%s", NAMES[i]);
}

/* ---- mounting ---- */

static struct homes one_home(const char *path, const char *directory)
{
	struct homes homes = { .v = mem_alloc(sizeof(*homes.v)), .count = 1 };

	homes.v[0] = (struct home){ .path = str_dup(path), .directory = str_dup(directory), .source = SOURCE_NONE };
	return homes;
}

static void it_stands_in_the_guests_home_and_what_lies_between_is_the_guests(void **state)
{
	(void)state;
	for (int parents = 0; parents <= 1; parents++) {
		struct homes homes = one_home(".config/deep/x", "/srv/home/key/name");
		struct launch launch = { .home = str_dup("/link/u") };
		const struct mounts mounts = { 0 };
		struct npxc_error err = { 0 };

		launch_add_spelling(&launch, "/link", "/home");
		assert_true(homes_add(&homes, &mounts, "/home/u/project", parents == 1, &launch, &err));
		assert_int_equal(launch.mount_count, 1);
		assert_string_equal(launch.mounts[0].source, "/srv/home/key/name");
		assert_string_equal(launch.mounts[0].target, "/home/u/.config/deep/x");
		assert_true(launch.mounts[0].writable && launch.mounts[0].judged);
		assert_int_equal(launch.tmpfs_count, parents == 1 ? 2 : 0);
		if (parents == 1) {
			assert_string_equal(launch.tmpfs[0].target, "/home/u/.config");
			assert_string_equal(launch.tmpfs[1].target, "/home/u/.config/deep");
		}
		launch_done(&launch);
		homes_done(&homes);
	}
}

static void it_covers_nothing_else_and_nothing_else_covers_it(void **state)
{
	static const struct {
		const char *path, *mount, *writable, *cwd;
		bool ok;
	} CASES[] = {
		{ ".x", "/home/u/.x", NULL, NULL, false },       { ".x", "/home/u/.x/y", NULL, NULL, false },
		{ ".x/y", "/home/u/.x", NULL, NULL, false },     { ".x", "/link/u/.x", NULL, NULL, false },
		{ ".x", NULL, "/home/u/.x", NULL, false },       { ".x", NULL, "/home/u/.x/y", NULL, false },
		{ "p", NULL, NULL, "/home/u/p", false },         { "p", NULL, NULL, "/home/u/p/q", false },
		{ "p/q", NULL, NULL, "/home/u/p", false },       { ".x", "/home/u/.xy", NULL, NULL, true },
		{ ".x", NULL, "/home/u/.xy", "/home/u", false }, { "p", "/srv/p", "/srv/w", "/home/u/q", true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		struct homes homes = one_home(CASES[i].path, "/srv/home/key/name");
		struct launch launch = { .home = str_dup("/home/u") };
		struct mounts_entry entry = { .target = (char *)CASES[i].mount };
		const struct mounts mounts = { .v = &entry, .count = CASES[i].mount != NULL };
		struct npxc_error err = { 0 };

		launch_add_spelling(&launch, "/link", "/home");
		if (CASES[i].writable != NULL)
			launch_add_tmpfs(&launch, CASES[i].writable, 4096, 0755);
		if (homes_add(&homes, &mounts, CASES[i].cwd, false, &launch, &err) != CASES[i].ok)
			fail_msg("%zu: %s: %s", i, CASES[i].path, err.message);
		if (!CASES[i].ok) {
			assert_int_equal(err.kind, ERROR_CONFIG);
			assert_int_equal(launch.mount_count, 0);
		}
		launch_done(&launch);
		homes_done(&homes);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_path_has_a_name_of_its_own_and_it_leads_back),
		cmocka_unit_test(a_name_that_npxc_did_not_make_is_none),
		cmocka_unit_test(it_stands_in_the_guests_home_and_what_lies_between_is_the_guests),
		cmocka_unit_test(it_covers_nothing_else_and_nothing_else_covers_it),
	};

	return cmocka_run_group_tests_name("homes", tests, NULL, NULL);
}
