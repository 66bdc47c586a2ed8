#include "unit.h"

#include "base/fd.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/tree.h"
#include "session/lost.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char *joined(const struct strv *names)
{
	char *text = str_dup("");

	for (size_t i = 0; i < names->count; i++) {
		char *longer = str_printf("%s%s%s", text, i == 0 ? "" : " ", names->v[i]);

		free(text);
		text = longer;
	}
	return text;
}

static void a_file_counts_for_the_directory_that_is_its_programs_own(void **state)
{
	static const struct {
		const char *path, *name; /* "": nothing */
	} CASES[] = {
		{ "notes.json", "notes.json" },
		{ ".mcp-auth/a/b/tokens", ".mcp-auth/" },
		{ ".config/x/y/z", ".config/x/" },
		{ ".config/file", ".config/file" },
		{ ".local/share/app/db", ".local/share/app/" },
		{ ".local/bin/tool", ".local/" },
		{ ".configs/x/y", ".configs/" },
		{ ".cache/x", "" },
		{ ".npm/_cacache/x", "" },
		{ ".cached", ".cached" },
	};
	(void)state;
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		struct strv names = { 0 };

		lost_add(&names, CASES[i].path);
		lost_add(&names, CASES[i].path);
		mem_cleanup char *found = joined(&names);
		assert_string_equal(found, CASES[i].name);
		strv_done(&names);
	}
}

static void keeps_to_its_ceiling(void **state)
{
	struct strv names = { 0 };

	(void)state;
	for (int i = 0; i < 2 * LOST_NAMES_MAX; i++) {
		mem_cleanup char *name = str_printf("n%d", i);

		lost_add(&names, name);
	}
	assert_int_equal(names.count, LOST_NAMES_MAX);
	strv_done(&names);
}

static void put(int root, const char *path)
{
	struct npxc_error err;

	assert_true(tree_create(root, path, "x", 1, 0600, NULL, &err));
}

/* What a guest made of its HOME: nothing outside is listed, nothing is waited for. */
static void lists_a_hostile_home(void **state)
{
	struct npxc_error err;
	mem_cleanup char *top = NULL;
	struct lost lost = LOST_NONE;
	struct strv names;

	(void)state;
	assert_true(file_make_temporary_directory("/tmp", "npxc-test-", &top, &err));
	mem_cleanup char *fifo = str_path_join(top, "fifo");
	mem_cleanup char *link = str_path_join(top, "link");
	mem_cleanup char *shut = str_path_join(top, "shut");
	assert_true(tree_open(top, &lost.home, &err));
	assert_true(tree_make_directories(lost.home, ".mcp-auth/deep", 0700, &err));
	assert_true(tree_make_directories(lost.home, "empty/deep", 0700, &err));
	assert_true(tree_make_directories(lost.home, "shut", 0700, &err));
	put(lost.home, ".mcp-auth/deep/token");
	put(lost.home, "z\n\x1b.json");
	assert_int_equal(mkfifo(fifo, 0666), 0);
	assert_int_equal(symlink("/etc", link), 0);
	assert_int_equal(chmod(shut, 0), 0);
	alarm(60);
	lost_names(&lost, &names);
	alarm(0);
	mem_cleanup char *found = joined(&names);
	assert_string_equal(found, ".mcp-auth/ z\n\x1b.json");
	strv_done(&names);
	lost_close(&lost);
	lost_names(&lost, &names);
	assert_int_equal(names.count, 0);
	assert_true(file_remove_tree(top, &err));
}

#ifdef __linux__
static void opens_the_home_of_a_process_that_lives(void **state)
{
	struct npxc_error err;
	mem_cleanup char *top = NULL;
	struct lost lost = LOST_NONE;
	struct strv names;
	int root;

	(void)state;
	assert_true(file_make_temporary_directory("/tmp", "npxc-test-", &top, &err));
	assert_true(tree_open(top, &root, &err));
	put(root, "a");
	fd_close(&root);
	lost_open(&lost, top); /* nobody is watched */
	assert_int_equal(lost.home, -1);
	lost_watch(&lost, getpid());
	lost_open(&lost, top);
	lost_names(&lost, &names);
	mem_cleanup char *found = joined(&names);
	assert_string_equal(found, "a");
	strv_done(&names);
	lost_close(&lost);
	assert_true(file_remove_tree(top, &err));
}

static void opens_nothing_of_a_process_that_has_ended(void **state)
{
	struct lost lost = LOST_NONE;
	int go[2];
	char byte;

	(void)state;
	assert_int_equal(pipe(go), 0);
	const pid_t pid = fork();
	if (pid == 0) {
		close(go[1]);
		(void)!read(go[0], &byte, 1);
		_exit(0);
	}
	lost_watch(&lost, pid);
	close(go[0]);
	close(go[1]);
	assert_true(lost.alive != -1);
	siginfo_t info;
	assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT),
	                 0); /* a zombie: the number is still its own */
	lost_open(&lost, "/tmp");
	assert_int_equal(lost.home, -1);
	lost_close(&lost);
	assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED), 0);
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_file_counts_for_the_directory_that_is_its_programs_own),
		cmocka_unit_test(keeps_to_its_ceiling),
		cmocka_unit_test(lists_a_hostile_home),
#ifdef __linux__
		cmocka_unit_test(opens_the_home_of_a_process_that_lives),
		cmocka_unit_test(opens_nothing_of_a_process_that_has_ended),
#endif
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
