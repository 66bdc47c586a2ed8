#include "unit.h"

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "runtime/driver.h"
#include "runtime/runtime.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void words_name_kinds(void **state)
{
	enum runtime_kind kind = RUNTIME_DOCKER;
	struct npxc_error err = { 0 };

	(void)state;
	for (size_t i = 0; i < runtime_driver_count; i++) {
		assert_true(runtime_kind_of(runtime_kind_word((enum runtime_kind)i), &kind, &err));
		assert_int_equal(kind, i);
		assert_true(strlen(runtime_driver((enum runtime_kind)i)->boundary) > 10);
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

static void rows_are_whole(void **state)
{
	static const char *const words[] = { RUNTIMES(RUNTIMES_WORD) };

	(void)state;
	assert_int_equal(runtime_driver_count, sizeof(words) / sizeof(words[0]));
	for (size_t i = 0; i < runtime_driver_count; i++) {
		const struct runtime_driver *driver = runtime_driver((enum runtime_kind)i);

		assert_int_equal(driver->kind, i);
		assert_string_equal(driver->word, words[i]);
		assert_true(driver->find != NULL && driver->examine != NULL && driver->make_start != NULL &&
		            driver->judge_end != NULL && driver->choose_link != NULL && driver->check_link != NULL);
		if (driver->has_containers)
			assert_true(driver->open_network != NULL && driver->steering != NULL &&
			            driver->no_container != NULL && driver->no_network != NULL &&
			            driver->remove_words != NULL && driver->list_ours != NULL &&
			            driver->create_network != NULL && driver->parse_network != NULL &&
			            driver->network_delete != NULL);
	}
}

static void schemas_have_the_same_words(void **state)
{
#define QUOTED(NAME, word) ", \"" #word "\""
	static const char expected[] = "\"enum\": [\"auto\"" RUNTIMES(QUOTED) "]";
#undef QUOTED
	static const char *const files[] = { "src/config/schema/npxc.schema.json",
		                             "src/config/schema/package.schema.json" };

	(void)state;
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		struct buf text BUF_CLEANUP = BUF_INIT((size_t)1024 * 1024);
		struct npxc_error err = { 0 };

		if (!file_read(files[i], &text, &err))
			fail_msg("%s", err.message);
		if (strstr(text.data, expected) == NULL)
			fail_msg("%s has no %s", files[i], expected);
	}
}

/* Each kind reaches its own driver: what podman says in one call, docker says in other words. */
static void container_clis_have_their_drivers(void **state)
{
	static const struct {
		enum runtime_kind kind;
		const char *word, *open_network, *remove;
	} cases[] = { { RUNTIME_APPLE, "container", "default", "--force" },
		      { RUNTIME_PODMAN, "podman", "podman", "--ignore" },
		      { RUNTIME_DOCKER, "docker", "bridge", "-v" } };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct runtime runtime = { .kind = cases[i].kind, .uid = 65533, .gid = 65533, .number = { 99, 0, 0 } };
		struct launch launch = { .network = LAUNCH_NETWORK_OPEN };
		struct runtime_start start;
		struct runtime_findings findings;
		struct strv argv;
		int status = -1;
		struct npxc_error err = { 0 };

		assert_false(runtime_find(cases[i].kind, cases[i].word, "/nowhere", &runtime, &err));
		assert_int_equal(err.kind, ERROR_RUNTIME_UNAVAILABLE);
		assert_non_null(strstr(err.message, cases[i].word));

		runtime.cli = str_printf("/usr/bin/%s", cases[i].word);
		launch.name = str_dup("npxc-x-0123abcd");
		launch.image = str_dup("node:lts-slim");
		launch.home = str_dup("/home/npxc");
		launch.directory = str_dup("/tmp");
		strv_push(&launch.command, "node");
		if (!runtime_make_start(&runtime, &launch, &start, &err))
			fail_msg("%s", err.message);
		assert_string_equal(start.argv.v[0], runtime.cli);
		assert_true(strv_contains(&start.argv, cases[i].open_network));
		runtime_start_done(&start);
		launch_done(&launch);

		assert_true(runtime_judge_end(&runtime, 3, 0, "", "", &status, &err));
		assert_int_equal(status, 3);
		runtime_remove_argv(&runtime, "npxc-x", &argv);
		assert_true(strv_contains(&argv, cases[i].remove));
		assert_string_equal(argv.v[argv.count - 1], "npxc-x");
		strv_done(&argv);
		runtime_done(&runtime);

		runtime_examine(cases[i].kind, cases[i].word, "/nowhere", "node:lts-slim", &findings);
		assert_true(findings.count >= 1);
		assert_false(findings.v[0].ok);
		assert_non_null(strstr(findings.v[0].what, cases[i].word));
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

/* What the first program says, on each runtime, and what only looks like it. */
static void the_first_programs_end_is_the_runtimes(void **state)
{
	static const struct {
		int status;
		const char *errors, *says; /* NULL: the server's own end */
	} CASES[] = {
		{ 213, "x\nnpxc-first: not what was meant: /p/sub\n", "/p/sub was renamed or replaced" },
		{ 213, "npxc-first: not read-only: /p/.git\n", "/p/.git would not have been read-only" },
		{ 213, "npxc-first: cannot find nosuch\n",
		  "the command \"nosuch\" cannot be run inside the sandbox: No such file or directory" },
		{ 213, "npxc-first: may not run cli.js\n",
		  "the command \"cli.js\" cannot be run inside the sandbox: Permission denied" },
		{ 213, "npxc-first: cannot run odd\n", "the command \"odd\" cannot be run inside the sandbox" },
		{ 213, "npxc-first: not a check: x\n", "first program failed" },
		{ 213, "said something else\n", NULL },
		{ 213, "", NULL },
		{ 3, "npxc-first: not what was meant: /p/sub\n", NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++)
		for (int kind = RUNTIME_BWRAP; kind <= RUNTIME_DOCKER; kind++) {
			const struct runtime runtime = { .kind = (enum runtime_kind)kind };
			mem_cleanup char *status_text =
			    str_printf("{\"child-pid\":2}\n{\"exit-code\":%d}\n", CASES[i].status);
			struct npxc_error err = { 0 };
			int status = -1;

			const bool own = runtime_judge_end(&runtime, CASES[i].status, 0, status_text, CASES[i].errors,
			                                   &status, &err);
			assert_int_equal(own, CASES[i].says == NULL);
			if (own)
				assert_int_equal(status, CASES[i].status);
			else if (err.kind != ERROR_RUNTIME || strstr(err.message, CASES[i].says) == NULL)
				fail_msg("%s: %s", CASES[i].errors, err.message);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_name_kinds),
		cmocka_unit_test(unknown_words_are_refused),
		cmocka_unit_test(rows_are_whole),
		cmocka_unit_test(schemas_have_the_same_words),
		cmocka_unit_test(container_clis_have_their_drivers),
		cmocka_unit_test(bwrap_is_found_without_starting_it),
		cmocka_unit_test(missing_bwrap_is_refused_with_the_next_step),
		cmocka_unit_test(launch_replaces_equal_variables),
		cmocka_unit_test(the_first_programs_end_is_the_runtimes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
