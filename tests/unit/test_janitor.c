#include "session.h"

#include "base/limits.h"
#include "session/janitor.h"

#include <sys/socket.h>

static struct janitor *started(void)
{
	struct janitor *janitor = NULL;
	struct npxc_error err = { 0 };

	assert_true(janitor_start(&janitor, &err));
	return janitor;
}

static unsigned hold(struct janitor *janitor, enum janitor_resource kind, const char *path)
{
	struct npxc_error err = { 0 };
	unsigned id = 0;

	if (!janitor_hold_path(janitor, kind, path, &id, &err))
		fail_msg("%s", err.message);
	assert_true(id > 0);
	return id;
}

static void hold_command(struct janitor *janitor, const char *program, const char *word)
{
	struct npxc_error err = { 0 };
	struct strv words = { 0 };
	unsigned id;

	strv_push(&words, program);
	strv_push(&words, word);
	assert_true(janitor_hold(janitor, JANITOR_CONTAINER, &words, &id, &err));
	strv_done(&words);
}

static void finished(struct janitor *janitor)
{
	struct npxc_error err = { 0 };

	if (!janitor_end(janitor, PATIENCE_MS, &err))
		fail_msg("%s", err.message);
	assert_true(all_children_end());
}

/* ---- what goes, what stays ---- */

static void the_end_removes_what_is_held_and_nothing_else(void **state)
{
	char *base = make_directory();
	char *tree = str_printf("%s/tree", base);
	char *inner = str_printf("%s/tree/a", base);
	char *file = str_printf("%s/file", base);
	char *kept = str_printf("%s/kept", base);
	char *released = str_printf("%s/released", base);
	char *script = str_printf("%s/remove", base);
	char *record = str_printf("%s/record", base);
	char *text =
	    str_printf("#!/bin/sh\necho \"$1\" >> %s\ntest -e %s && echo before >> %s\n", record, inner, record);
	struct janitor *janitor = started();
	struct npxc_error err = { 0 };
	char *got;

	(void)state;
	assert_int_equal(mkdir(tree, 0700), 0);
	assert_int_equal(mkdir(inner, 0700), 0);
	write_file(file, "x", 0600);
	write_file(kept, "x", 0600);
	write_file(released, "x", 0600);
	write_file(script, text, 0700);
	hold(janitor, JANITOR_DIRECTORY, tree);
	hold(janitor, JANITOR_FILE, file);
	assert_true(janitor_release(janitor, hold(janitor, JANITOR_FILE, released), &err));
	hold_command(janitor, script, "npxc-one");
	hold_command(janitor, script, "npxc-two");
	finished(janitor);

	assert_false(file_exists(tree));
	assert_false(file_exists(file));
	assert_true(file_exists(kept));
	assert_true(file_exists(released));
	got = read_text(record);
	assert_string_equal(got, "npxc-two\nbefore\nnpxc-one\nbefore\n");

	assert_true(file_remove_tree(base, &err));
	free(base), free(tree), free(inner), free(file), free(kept), free(released), free(script), free(record);
	free(text), free(got);
}

/* What log lines say while `janitor_end` runs; owned. */
static char *end_and_listen(struct janitor *janitor, unsigned timeout_ms)
{
	struct npxc_error err = { 0 };
	int saved = dup(STDERR_FILENO);
	int ends[2];
	bool ok;
	char *text;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(dup2(ends[1], STDERR_FILENO), STDERR_FILENO);
	ok = janitor_end(janitor, timeout_ms, &err);
	assert_int_equal(dup2(saved, STDERR_FILENO), STDERR_FILENO);
	close(saved);
	close(ends[1]);
	assert_true(ok);
	text = read_until(ends[0], NULL);
	close(ends[0]);
	return text;
}

static void a_failing_removal_is_a_warning_and_stops_nothing(void **state)
{
	char *base = make_directory();
	char *script = str_printf("%s/remove", base);
	struct janitor *janitor = started();
	char *said;

	(void)state;
	write_file(script, "#!/bin/sh\necho no such daemon >&2\nexit 3\n", 0700);
	hold(janitor, JANITOR_DIRECTORY, base);
	hold_command(janitor, script, "npxc-stuck");
	said = end_and_listen(janitor, PATIENCE_MS);
	assert_non_null(strstr(said, "janitor: container npxc-stuck is left behind"));
	assert_non_null(strstr(said, "no such daemon"));
	assert_false(file_exists(base));
	assert_true(all_children_end());
	free(base), free(script), free(said);
}

/* A removal command that waits until somebody writes into the FIFO beside it. */
static char *make_slow_removal(const char *base, char **ret_fifo, char **ret_done)
{
	char *script = str_printf("%s/remove", base);
	char *text;

	*ret_fifo = str_printf("%s/fifo", base);
	*ret_done = str_printf("%s/done", base);
	text = str_printf("#!/bin/sh\nread x < %s\necho > %s\n", *ret_fifo, *ret_done);
	assert_int_equal(mkfifo(*ret_fifo, 0600), 0);
	write_file(script, text, 0700);
	free(text);
	return script;
}

static void the_launcher_does_not_wait_longer_than_it_said(void **state)
{
	char *base = make_directory();
	char *fifo, *done;
	char *script = make_slow_removal(base, &fifo, &done);
	struct janitor *janitor = started();
	struct npxc_error err = { 0 };
	char *said;

	(void)state;
	hold_command(janitor, script, "npxc-slow");
	said = end_and_listen(janitor, 20);
	assert_non_null(strstr(said, "goes on in the background"));
	assert_false(file_exists(done));
	write_file(fifo, "go\n", 0600);
	assert_true(all_children_end());
	assert_true(file_exists(done));
	assert_true(file_remove_tree(base, &err));
	free(base), free(fifo), free(done), free(script), free(said);
}

/* ---- the launcher dies ---- */

/* A launcher that holds `directory` (and runs `script` at the end, or NULL), says so through the pipe, and waits. */
static pid_t fork_launcher(const char *directory, const char *script, int say, int quit_status)
{
	pid_t pid = fork_with_test();

	if (pid == 0) {
		struct janitor *janitor = started();

		hold(janitor, JANITOR_DIRECTORY, directory);
		if (script != NULL)
			hold_command(janitor, script, "npxc-held");
		if (write(say, "held", 4) != 4 || quit_status >= 0)
			_exit(quit_status);
		for (;;)
			pause();
	}
	return pid;
}

static void a_dead_launcher_leaves_nothing(void **state)
{
	(void)state;
	/* killed, killed as a group of its own, and gone without a word */
	for (int way = 0; way < 3; way++) {
		char *directory = make_directory();
		char *word;
		pid_t pid;
		int ends[2];

		assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
		pid = fork_launcher(directory, NULL, ends[1], way == 2 ? 5 : -1);
		if (way == 1)
			assert_int_equal(setpgid(pid, pid), 0);
		word = read_until(ends[0], "held");
		assert_string_equal(word, "held");
		if (way < 2)
			assert_int_equal(kill(way == 0 ? pid : -pid, SIGKILL), 0);
		assert_true(all_children_end());
		assert_false(file_exists(directory));
		close(ends[0]), close(ends[1]);
		free(directory), free(word);
	}
}

static void the_janitor_keeps_none_of_the_clients_pipes(void **state)
{
	char *base = make_directory();
	char *held = make_directory();
	char *fifo, *done;
	char *script = make_slow_removal(base, &fifo, &done);
	struct npxc_error err = { 0 };
	char *word;
	pid_t pid;
	int ends[2];

	(void)state;
	assert_int_equal(pipe(ends), 0); /* inheritable, as a client's pipes are */
	pid = fork_launcher(held, script, ends[1], -1);
	close(ends[1]);
	word = read_until(ends[0], "held");
	assert_int_equal(kill(pid, SIGKILL), 0);
	free(word);
	/* The end of file comes although the janitor is still busy. */
	word = read_until(ends[0], NULL);
	assert_string_equal(word, "");
	assert_false(file_exists(done));
	assert_true(file_exists(held));
	write_file(fifo, "go\n", 0600);
	assert_true(all_children_end());
	assert_true(file_exists(done));
	assert_false(file_exists(held));
	close(ends[0]);
	assert_true(file_remove_tree(base, &err));
	free(base), free(held), free(fifo), free(done), free(script), free(word);
}

/* ---- the janitor's own state ---- */

static void the_janitor_stands_apart(void **state)
{
	int stray = open("/etc/passwd", O_RDONLY); /* inheritable */
	struct janitor *janitor = started();
	static const int harmless[] = { SIGINT, SIGTERM, SIGHUP, SIGPIPE };
	pid_t pid = only_child();
	char *path = str_printf("/proc/%ld/fd", (long)pid);
	char *directory = make_directory();
	unsigned id = hold(janitor, JANITOR_DIRECTORY, directory); /* after its answer it is ready */
	struct dirent *entry;
	unsigned sockets = 0, nulls = 0;
	DIR *fds;

	(void)state;
	assert_true(id > 0);
	assert_int_equal(getsid(pid), pid);
	fds = opendir(path);
	assert_non_null(fds);
	while ((entry = readdir(fds)) != NULL) {
		char target[256] = { 0 };

		if (entry->d_name[0] == '.')
			continue;
		assert_true(readlinkat(dirfd(fds), entry->d_name, target, sizeof(target) - 1) > 0);
		if (strcmp(target, "/dev/null") == 0)
			nulls++;
		else if (strncmp(target, "socket:", 7) == 0)
			sockets++;
		else
			fail_msg("the janitor holds %s as %s", target, entry->d_name);
	}
	closedir(fds);
	assert_int_equal(nulls, 3);
	assert_int_equal(sockets, 1);

	for (size_t i = 0; i < sizeof(harmless) / sizeof(harmless[0]); i++)
		assert_int_equal(kill(pid, harmless[i]), 0);
	finished(janitor);
	assert_false(file_exists(directory));
	close(stray);
	free(path), free(directory);
}

static void a_dead_janitor_is_an_error_not_a_signal(void **state)
{
	struct janitor *janitor = started();
	pid_t pid = only_child();
	struct npxc_error err = { 0 };
	unsigned id;

	(void)state;
	hold(janitor, JANITOR_FILE, "/tmp/npxc-test-that-does-not-exist");
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_false(janitor_hold_path(janitor, JANITOR_FILE, "/tmp/npxc-test-other", &id, &err));
	assert_int_equal(err.kind, ERROR_IO);
	assert_non_null(strstr(err.message, "the janitor has ended unexpectedly"));
	assert_false(janitor_sandbox(janitor, 12345, JANITOR_ASK_LEADER, &err));
	assert_false(janitor_end(janitor, PATIENCE_MS, &err));
	assert_int_equal(err.kind, ERROR_IO);
	assert_true(all_children_end());
}

/* ---- refusals ---- */

static void bad_resources_are_refused(void **state)
{
	static const struct {
		enum janitor_resource kind;
		const char *path;
		const char *says;
	} cases[] = {
		{ JANITOR_FILE, "", "not absolute" },
		{ JANITOR_DIRECTORY, "relative", "not absolute" },
		{ JANITOR_DIRECTORY, "./x", "not absolute" },
		{ JANITOR_DIRECTORY, "/", "not a clean one" },
		{ JANITOR_DIRECTORY, "//", "not a clean one" },
		{ JANITOR_DIRECTORY, "/tmp/..", "not a clean one" },
		{ JANITOR_DIRECTORY, "/tmp/../home", "not a clean one" },
		{ JANITOR_FILE, "/tmp/x/", "not a clean one" },
		{ JANITOR_CGROUP, "/sys/./x", "not a clean one" },
		{ JANITOR_CONTAINER, "podman", "not absolute" },
		{ JANITOR_NETWORK, "/usr/bin/podman", "without its runtime or name" },
		{ (enum janitor_resource)5, "/tmp/x", "unknown kind" },
	};
	struct janitor *janitor = started();
	struct strv none = { 0 };
	struct strv two = { 0 };
	struct npxc_error err = { 0 };
	unsigned id = 77;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		err = (struct npxc_error){ 0 };
		assert_false(janitor_hold_path(janitor, cases[i].kind, cases[i].path, &id, &err));
		assert_int_equal(err.kind, ERROR_IO);
		if (strstr(err.message, cases[i].says) == NULL)
			fail_msg("%s: %s", cases[i].path, err.message);
	}
	assert_false(janitor_hold(janitor, JANITOR_CONTAINER, &none, &id, &err));
	assert_non_null(strstr(err.message, "without a name"));
	strv_push(&two, "/tmp/a");
	strv_push(&two, "/tmp/b");
	assert_false(janitor_hold(janitor, JANITOR_FILE, &two, &id, &err));
	assert_non_null(strstr(err.message, "not a clean one"));
	strv_done(&two);
	assert_false(janitor_release(janitor, 1, &err));
	assert_non_null(strstr(err.message, "no such resource"));
	assert_int_equal(id, 77);
	finished(janitor);
}

static void ceilings_hold(void **state)
{
	struct janitor *janitor = started();
	char *base = make_directory();
	char *long_word = str_printf("/%0*d", (int)LIMIT_JANITOR_FRAME_BYTES - 2, 0);
	struct strv words = { 0 };
	struct npxc_error err = { 0 };
	unsigned id;

	(void)state;
	/* exactly the ceiling with its NUL, and one more byte */
	strv_push(&words, long_word);
	assert_true(janitor_hold(janitor, JANITOR_CONTAINER, &words, &id, &err));
	assert_true(janitor_release(janitor, id, &err));
	strv_push(&words, "");
	assert_false(janitor_hold(janitor, JANITOR_CONTAINER, &words, &id, &err));
	assert_int_equal(err.kind, ERROR_IO);
	strv_done(&words);

	for (unsigned i = 0; i < LIMIT_JANITOR_ENTRIES; i++) {
		char *path = str_printf("%s/%u", base, i);

		hold(janitor, JANITOR_FILE, path);
		free(path);
	}
	assert_false(janitor_hold_path(janitor, JANITOR_FILE, base, &id, &err));
	assert_non_null(strstr(err.message, "too many"));
	finished(janitor);
	assert_true(file_exists(base));
	assert_true(file_remove_tree(base, &err));
	free(base), free(long_word);
}

static void groups_that_are_no_sandbox_are_refused(void **state)
{
	struct janitor *janitor = started();
	const pid_t bad[] = { 1, 0, -1, -5, getpid(), getpgrp(), only_child(), 0x3fffffff };
	struct npxc_error err = { 0 };
	pid_t one = fork_with_test();
	pid_t two;

	(void)state;
	if (one == 0)
		for (;;)
			pause();
	two = fork_with_test();
	if (two == 0)
		for (;;)
			pause();
	assert_true(one > 0 && two > 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		err = (struct npxc_error){ 0 };
		assert_false(janitor_sandbox(janitor, bad[i], JANITOR_ASK_INNER, &err));
		assert_int_equal(err.kind, ERROR_IO);
	}
	assert_false(janitor_sandbox(janitor, one, (enum janitor_asked)3, &err));
	assert_true(janitor_end_sandbox(janitor, 1000, &err)); /* none is there */

	assert_true(janitor_sandbox(janitor, one, JANITOR_ASK_LEADER, &err));
	assert_false(janitor_sandbox(janitor, two, JANITOR_ASK_LEADER, &err));
	assert_non_null(strstr(err.message, "earlier sandbox"));
	/* It leads no group yet, like a sandbox's process that has not come to its setsid: it dies all the same. */
	assert_true(janitor_end_sandbox(janitor, 0, &err));
	assert_int_equal(waitpid(one, NULL, WNOHANG), one);
	assert_true(janitor_sandbox(janitor, two, JANITOR_ASK_LEADER, &err));
	finished(janitor);
}

/* A CLI that lives has its container removed, or only killed, and removed once the CLI has gone. */
static void a_container_goes_as_its_runtime_wants_it(void **state)
{
	static const struct {
		enum janitor_asked asked;
		const char *calls;
	} cases[] = {
		{ JANITOR_ASK_LEADER, "npxc-one\nnpxc-one\n" },
		{ JANITOR_ASK_LEADER_KILL, "kill -s KILL npxc-one\nnpxc-one\n" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *base = make_directory();
		char *script = str_printf("%s/cli", base);
		char *record = str_printf("%s/record", base);
		struct janitor *janitor = started();
		struct npxc_error err = { 0 };
		pid_t pid = fork_with_test();
		char *text, *got;

		if (pid == 0)
			for (;;)
				pause();
		text =
		    str_printf("#!/bin/sh\necho \"$*\" >>%s\nkill -KILL %ld 2>/dev/null\nexit 0\n", record, (long)pid);
		write_file(script, text, 0700);
		assert_true(janitor_sandbox(janitor, pid, cases[i].asked, &err));
		hold_command(janitor, script, "npxc-one");
		assert_true(janitor_end_sandbox(janitor, 0, &err));
		assert_int_equal(waitpid(pid, NULL, 0), pid);
		got = read_text(record);
		assert_string_equal(got, cases[i].calls);
		finished(janitor);
		assert_true(file_remove_tree(base, &err));
		free(base), free(script), free(record), free(text), free(got);
	}
}

/* A process that was reaped, and whose number names nobody any more, harms neither the janitor nor others. */
static void a_sandbox_that_is_gone_already_is_no_error(void **state)
{
	struct janitor *janitor = started();
	struct npxc_error err = { 0 };
	pid_t pid = fork_with_test();

	(void)state;
	if (pid == 0)
		for (;;)
			pause();
	assert_true(janitor_sandbox(janitor, pid, JANITOR_ASK_INNER, &err));
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_true(janitor_end_sandbox(janitor, 1000, &err));
	finished(janitor);
}

/* The channel's descriptor in this process: the one socket. */
static int channel_fd(void)
{
	int found = -1;

	for (int fd = 3; fd < 64; fd++) {
		struct stat info;

		if (fstat(fd, &info) == 0 && S_ISSOCK(info.st_mode)) {
			int type = 0;
			socklen_t size = sizeof(type);

			assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size), 0);
			if (type == SOCK_STREAM) {
				assert_int_equal(found, -1);
				found = fd;
			}
		}
	}
	assert_true(found > 0);
	return found;
}

/* Bytes that are no frame: everything goes, at once, although the launcher lives. */
static void garbage_takes_everything_down(void **state)
{
	static const uint32_t frames[][4] = {
		{ LIMIT_JANITOR_FRAME_BYTES + 1, 1, 1, 0 }, /* too long */
		{ 0xffffffff, 1, 1, 0 },
		{ 0, 0, 0, 0 },  /* no verb */
		{ 0, 6, 0, 0 },  /* a verb of the other direction */
		{ 0, 99, 0, 0 }, /* an unknown one */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(frames) / sizeof(frames[0]); i++) {
		struct janitor *janitor = started();
		char *directory = make_directory();
		struct npxc_error err = { 0 };

		hold(janitor, JANITOR_DIRECTORY, directory);
		assert_int_equal(write(channel_fd(), frames[i], sizeof(frames[i])), (ssize_t)sizeof(frames[i]));
		assert_true(path_goes(directory));
		assert_false(janitor_end(janitor, PATIENCE_MS, &err));
		assert_int_equal(err.kind, ERROR_IO);
		assert_true(all_children_end());
		free(directory);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_end_removes_what_is_held_and_nothing_else),
		cmocka_unit_test(a_failing_removal_is_a_warning_and_stops_nothing),
		cmocka_unit_test(the_launcher_does_not_wait_longer_than_it_said),
		cmocka_unit_test(a_dead_launcher_leaves_nothing),
		cmocka_unit_test(the_janitor_keeps_none_of_the_clients_pipes),
		cmocka_unit_test(the_janitor_stands_apart),
		cmocka_unit_test(a_dead_janitor_is_an_error_not_a_signal),
		cmocka_unit_test(bad_resources_are_refused),
		cmocka_unit_test(ceilings_hold),
		cmocka_unit_test(groups_that_are_no_sandbox_are_refused),
		cmocka_unit_test(a_container_goes_as_its_runtime_wants_it),
		cmocka_unit_test(a_sandbox_that_is_gone_already_is_no_error),
		cmocka_unit_test(garbage_takes_everything_down),
	};

	/* A failed test leaves processes that the next one would find. They end with this one. */
	setenv("CMOCKA_TEST_ABORT", "1", 1);
	return cmocka_run_group_tests(tests, adopt_orphans, NULL);
}
