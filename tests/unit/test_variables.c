#include "unit.h"

#include "base/buf.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"
#include "store/variables.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char *joined(const struct strv *list)
{
	char *text = str_dup("");
	for (size_t i = 0; i < list->count; i++) {
		char *longer = str_printf("%s%s%s", text, i == 0 ? "" : " ", list->v[i]);
		free(text);
		text = longer;
	}
	return text;
}

static void names_in_a_text(void **state)
{
	static const struct {
		const char *text, *names;
	} CASES[] = {
		{ "", "" },
		{ "process.env", "" },
		{ "process.env.", "" },
		{ "process.env[", "" },
		{ "process.env['A", "" },
		{ "process.env['A'", "" },
		{ "process.env['A']", "A" },
		{ "x=process.env.API_KEY;", "API_KEY" },
		{ "process.env.A||process.env.B2 && process.env.A", "A B2" },
		{ "process.env[\"A\"] + process.env['B'];", "A B" },
		{ "process.env[\"A'];", "" },
		{ "process.env[name] process.env.1A process.env?A process?env.A process..env.A", "" },
		{ "process.env[`B`] process.env?.C process?.env?.D process?.env.A", "A B C D" },
		{ "process.env?.", "" },
		{ "process.env?", "" },
		{ "process?.env", "" },
		{ "process?", "" },
		{ "processprocess.env.A", "A" },
		{ "process.env.lower_case.length", "lower_case" },
		{ "const {A} = process.env;", "A" },
		{ "let { A, B: b,\n C='x' } =\n process.env", "A B C" },
		{ "{A=process.env", "" },
		{ "}=process.env", "" },
		{ "{{A}=process.env", "A" },
		{ "{ A, ...rest } = process.env", "A" },
		{ "{ 'A': b, 2, } = process.env.C", "C" },
		{ "{A}==process.env", "" },
		{ "{A} process.env", "" },
		{ "process.environment.A", "" },
	};
	(void)state;
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		struct strv names = { 0 };
		/* in a block of its own, so that a read past the end is seen */
		char *text = malloc(strlen(CASES[i].text) + 1);
		memcpy(text, CASES[i].text, strlen(CASES[i].text));
		variables_find(text, strlen(CASES[i].text), &names);
		mem_cleanup char *found = joined(&names);
		assert_string_equal(found, CASES[i].names);
		strv_done(&names);
		free(text);
	}
}

static void words_near_the_whole_environment(void **state)
{
	static const struct {
		const char *text, *names;
	} CASES[] = {
		{ "", "" },
		{ "A_B", "" },
		{ "process.env.A_B; C_D", "" },
		{ "z.object({ API_KEY: z.string(), PORT: z.number(), AB: 1 }).parse(process.env)", "API_KEY PORT" },
		{ "const e = process.env; e.MY_TOKEN; process.env.OTHER", "MY_TOKEN OTHER" },
		{ "process.env process.env A_B", "A_B" },
		{ "process.env[name]; 'A_B'", "A_B" },
	};
	(void)state;
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		struct strv names = { 0 };
		char *text = malloc(strlen(CASES[i].text) + 1);
		memcpy(text, CASES[i].text, strlen(CASES[i].text));
		variables_guess(text, strlen(CASES[i].text), &names);
		mem_cleanup char *found = joined(&names);
		assert_string_equal(found, CASES[i].names);
		strv_done(&names);
		free(text);
	}
}

/* What is far from it is not taken, and no text is looked at twice, however often the environment is used. */
static void guesses_are_bounded(void **state)
{
	enum { USES = 200000 };
	struct buf text BUF_CLEANUP = BUF_INIT(SIZE_MAX);
	struct strv names = { 0 };
	struct npxc_error err;
	mem_cleanup char *filler = str_printf("%040000d", 0);
	(void)state;
	assert_true(buf_appendf(&text, &err, "FAR_BEFORE%sNEAR_BY process.env %sFAR_BEHIND", filler, filler));
	variables_guess(text.data, text.length, &names);
	mem_cleanup char *found = joined(&names);
	assert_string_equal(found, ""); /* digits make one word of it */
	buf_consume(&text, text.length);
	memset(filler, ' ', 40000);
	assert_true(buf_appendf(&text, &err, "FAR_BEFORE%sNEAR_BY process.env %sFAR_BEHIND", filler, filler));
	variables_guess(text.data, text.length, &names);
	assert_int_equal(names.count, 1);
	assert_string_equal(names.v[0], "NEAR_BY");
	for (int i = 0; i < USES; i++)
		assert_true(buf_appendf(&text, &err, "process.env A_%d ", i % 1500));
	alarm(60);
	variables_guess(text.data, text.length, &names);
	alarm(0);
	assert_int_equal(names.count, LIMIT_ENV_NAMES);
	strv_done(&names);
}

static void words_of_a_readme(void **state)
{
	static const struct {
		const char *text, *names;
	} CASES[] = {
		{ "", "" },
		{ "A_B", "A_B" },
		{ "`SLACK_MCP_TOKEN`: a token, \"API_KEY2\": \"x\"", "API_KEY2 SLACK_MCP_TOKEN" },
		{ "API README JSON _X X_ x_Y A_b", "X_" },
		{ "1A_B 2_3", "" },
		{ "A_B A_B-C_D", "A_B C_D" },
	};
	(void)state;
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		struct strv names = { 0 };
		variables_find_words(CASES[i].text, strlen(CASES[i].text), &names);
		mem_cleanup char *found = joined(&names);
		assert_string_equal(found, CASES[i].names);
		strv_done(&names);
	}
}

static void keeps_no_more_names_than_the_ceiling(void **state)
{
	struct strv names = { 0 };
	(void)state;
	for (int i = 0; i < 3 * LIMIT_ENV_NAMES; i++) {
		mem_cleanup char *text = str_printf("process.env.N%d", i);
		variables_find(text, strlen(text), &names);
	}
	assert_int_equal(names.count, LIMIT_ENV_NAMES);
	strv_done(&names);
}

static void common_names_do_not_count(void **state)
{
	static const char *const COMMON[] = { "PATH",         "HOME",  "LC_ALL",   "TZ",         "CI",
		                              "npm_config_x", "DEBUG", "NODE_ENV", "https_proxy" };
	static const char *const OTHERS[] = {
		"PATHS", "GITHUB_TOKEN", "LC",        "CIRCLE",       "NODE_EXTRA_CA_CERTS", "",
		"PORT",  "HOMES",        "NPM_TOKEN", "SSH_PASSWORD", "CI_JOB_TOKEN"
	};
	(void)state;
	for (size_t i = 0; i < sizeof(COMMON) / sizeof(COMMON[0]); i++)
		assert_true(variables_is_common(COMMON[i], false));
	for (size_t i = 0; i < sizeof(OTHERS) / sizeof(OTHERS[0]); i++)
		assert_false(variables_is_common(OTHERS[i], false));
	assert_false(variables_is_common("https_proxy", true));
	assert_true(variables_is_common("HOME", true));
}

static void write_file(const char *directory, const char *name, const char *text)
{
	struct npxc_error err;
	mem_cleanup char *path = str_path_join(directory, name);
	assert_true(file_write_atomic(path, text, strlen(text), 0644, &err));
}

static void own_files_only(void **state)
{
	struct npxc_error err;
	struct strv names = { 0 };
	bool complete = false;
	mem_cleanup char *top = NULL;
	(void)state;
	assert_true(file_make_temporary_directory("/tmp", "npxc-test-", &top, &err));
	mem_cleanup char *dist = str_path_join(top, "dist/deep");
	mem_cleanup char *modules = str_path_join(top, "node_modules/other");
	mem_cleanup char *hidden = str_path_join(top, ".git");
	assert_true(file_make_directories(dist, 0755, &err));
	assert_true(file_make_directories(modules, 0755, &err));
	assert_true(file_make_directories(hidden, 0755, &err));
	write_file(top, "index.js", "process.env.ZED;");
	write_file(top, "README.md", "process.env.README;");
	write_file(dist, "a.mjs", "process.env.ALPHA;");
	write_file(modules, "b.js", "process.env.OTHERS;");
	write_file(hidden, "c.js", "process.env.HIDDEN;");
	assert_true(variables_scan(top, "", false, &names, &complete, &err));
	mem_cleanup char *found = joined(&names);
	assert_string_equal(found, "ALPHA ZED");
	assert_true(complete);
	strv_done(&names);
	write_file(top, "README.md", "MY_TOKEN and process.env.OTHER_KEY");
	write_file(dist, "README.md", "NOT_THIS");
	assert_true(variables_scan(top, "", true, &names, &complete, &err));
	mem_cleanup char *told = joined(&names);
	assert_string_equal(told, "ALPHA MY_TOKEN OTHER_KEY ZED");
	strv_done(&names);
	assert_true(file_remove_tree(top, &err));
	assert_false(variables_scan(top, "", false, &names, &complete, &err));
	assert_int_equal(err.kind, ERROR_IO);
}

/* What a script made of its package: nothing outside is read, nothing is waited for, and it is said. */
static void a_hostile_package(void **state)
{
	struct npxc_error err;
	struct strv names = { 0 };
	bool complete = false;
	mem_cleanup char *top = NULL;
	(void)state;
	assert_true(file_make_temporary_directory("/tmp", "npxc-test-", &top, &err));
	mem_cleanup char *package = str_path_join(top, "node_modules/name");
	mem_cleanup char *outside = str_path_join(top, "outside");
	mem_cleanup char *through = str_path_join(top, "node_modules/link");
	mem_cleanup char *link = str_path_join(package, "link.js");
	mem_cleanup char *up = str_path_join(package, "up");
	mem_cleanup char *fifo = str_path_join(package, "fifo.js");
	mem_cleanup char *closed = str_path_join(package, "closed.js");
	assert_true(file_make_directories(package, 0755, &err));
	assert_true(file_make_directories(outside, 0755, &err));
	write_file(outside, "secret.js", "process.env.SECRET;");
	write_file(package, "own.js", "process.env.OWN;");
	assert_int_equal(symlink("../../outside/secret.js", link), 0);
	assert_int_equal(symlink("../../outside", up), 0);
	assert_int_equal(symlink("../outside", through), 0);
	assert_int_equal(mkfifo(fifo, 0666), 0);
	alarm(60);
	assert_true(variables_scan(top, "node_modules/name", false, &names, &complete, &err));
	mem_cleanup char *found = joined(&names);
	assert_string_equal(found, "OWN");
	assert_true(complete);
	strv_done(&names);
	assert_false(variables_scan(top, "node_modules/link", false, &names, &complete, &err));
	assert_false(variables_scan(top, "../outside", false, &names, &complete, &err));
	write_file(package, "closed.js", "process.env.CLOSED;");
	assert_int_equal(chmod(closed, 0), 0);
	assert_true(variables_scan(top, "node_modules/name", false, &names, &complete, &err));
	assert_int_equal(complete, geteuid() == 0);
	strv_done(&names);
	assert_true(file_remove_tree(top, &err));
	alarm(0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_in_a_text),
		cmocka_unit_test(words_near_the_whole_environment),
		cmocka_unit_test(guesses_are_bounded),
		cmocka_unit_test(words_of_a_readme),
		cmocka_unit_test(keeps_no_more_names_than_the_ceiling),
		cmocka_unit_test(common_names_do_not_count),
		cmocka_unit_test(own_files_only),
		cmocka_unit_test(a_hostile_package),
	};
	return cmocka_run_group_tests_name("variables", tests, NULL, NULL);
}
