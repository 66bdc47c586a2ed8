#include "unit.h"

#include "base/mem.h"
#include "runtime/runtime.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void words_name_kinds(void **state)
{
	static const enum runtime_kind all[] = { RUNTIME_BWRAP, RUNTIME_APPLE, RUNTIME_PODMAN, RUNTIME_DOCKER };
	enum runtime_kind kind = RUNTIME_DOCKER;
	struct npxc_error err = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		assert_true(runtime_kind_of(runtime_kind_word(all[i]), &kind, &err));
		assert_int_equal(kind, all[i]);
		assert_true(strlen(runtime_boundary(all[i])) > 10);
	}
	assert_true(runtime_kind_of("auto", &kind, &err));
	assert_int_equal(kind, RUNTIME_BWRAP);
}

static void unknown_words_are_refused(void **state)
{
	static const char *const words[] = { "", "Bwrap", "bwrap ", "lxc", "auto2", "\x1b" };

	(void)state;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		enum runtime_kind kind = RUNTIME_DOCKER;
		struct npxc_error err = { 0 };

		assert_false(runtime_kind_of(words[i], &kind, &err));
		assert_int_equal(err.kind, ERROR_CONFIG);
		assert_non_null(strstr(err.message, "use auto, bwrap"));
		assert_null(strchr(err.message, '\x1b'));
		assert_int_equal(kind, RUNTIME_DOCKER);
	}
}

static void runtimes_that_are_not_built_are_refused(void **state)
{
	static const enum runtime_kind kinds[] = { RUNTIME_PODMAN, RUNTIME_DOCKER };

	(void)state;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		struct runtime runtime = { .kind = kinds[i] };
		struct launch launch = { .network = LAUNCH_NETWORK_NONE };
		struct runtime_start start;
		struct runtime_findings findings;
		struct strv argv;
		int status;
		struct npxc_error err = { 0 };

		assert_false(runtime_find(kinds[i], NULL, "/usr/bin", &runtime, &err));
		assert_int_equal(err.kind, ERROR_CONFIG);
		assert_non_null(strstr(err.message, "not built yet"));
		assert_false(runtime_make_start(&runtime, &launch, &start, &err));
		assert_int_equal(err.kind, ERROR_CONFIG);
		assert_false(runtime_judge_end(&runtime, 0, 0, "", "", &status, &err));
		runtime_remove_argv(&runtime, "npxc-x", &argv);
		assert_int_equal(argv.count, 0);
		runtime_examine(kinds[i], NULL, "/usr/bin", &findings);
		assert_int_equal(findings.count, 1);
		assert_false(findings.v[0].ok);
		assert_non_null(strstr(findings.v[0].what, "not built yet"));
		runtime_findings_done(&findings);
	}
}

static void bwrap_is_found_without_starting_it(void **state)
{
	struct npxc_error err = { 0 };
	struct runtime runtime;

	(void)state;
	if (!runtime_find(RUNTIME_BWRAP, NULL, "/usr/local/bin:/usr/bin:/bin", &runtime, &err))
		fail_msg("%s", err.message);
	assert_int_equal(runtime.kind, RUNTIME_BWRAP);
	assert_true(str_ends(runtime.cli, "/bwrap"));
	assert_null(runtime.version);
	assert_int_equal(runtime.is_root, geteuid() == 0);
	assert_true(runtime.uid > 0 && runtime.gid > 0);
	assert_true(runtime.filter_bytes > 0 && runtime.filter_bytes % 8 == 0);
	assert_true(strv_contains(&runtime.system_mounts, "/usr"));
	assert_false(strv_contains(&runtime.system_mounts, "/etc"));
	for (size_t i = 0; i < runtime.system_mounts.count; i++)
		assert_int_equal(access(runtime.system_mounts.v[i], F_OK), 0);
	runtime_done(&runtime);
}

static void missing_bwrap_is_refused_with_the_next_step(void **state)
{
	static const struct {
		const char *name, *path;
	} cases[] = { { NULL, "/nowhere" },
		      { NULL, "" },
		      { NULL, NULL },
		      { "no-such-bwrap", "/usr/bin:/bin" },
		      { "/nowhere/bwrap", "/usr/bin" },
		      { "/etc/passwd", "/usr/bin" } };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct npxc_error err = { 0 };
		struct runtime runtime;

		assert_false(runtime_find(RUNTIME_BWRAP, cases[i].name, cases[i].path, &runtime, &err));
		assert_int_equal(err.kind, ERROR_RUNTIME_UNAVAILABLE);
		assert_non_null(strstr(err.message, "apt-get install bubblewrap"));
	}
}

static void launch_replaces_equal_variables(void **state)
{
	struct launch launch = { .network = LAUNCH_NETWORK_NONE };

	(void)state;
	launch_add_env(&launch, "A", "1");
	launch_add_env(&launch, "B", "2");
	launch_add_env(&launch, "A", "3");
	assert_int_equal(launch.env_count, 2);
	assert_string_equal(launch.env[0].value, "3");
	assert_string_equal(launch.env[1].value, "2");
	launch_add_mount(&launch, "/a", "/b", true);
	launch_add_tmpfs(&launch, "/c", 4096, 0700);
	launch_done(&launch);
	assert_int_equal(launch.env_count + launch.mount_count + launch.tmpfs_count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_name_kinds),
		cmocka_unit_test(unknown_words_are_refused),
		cmocka_unit_test(runtimes_that_are_not_built_are_refused),
		cmocka_unit_test(bwrap_is_found_without_starting_it),
		cmocka_unit_test(missing_bwrap_is_refused_with_the_next_step),
		cmocka_unit_test(launch_replaces_equal_variables),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
