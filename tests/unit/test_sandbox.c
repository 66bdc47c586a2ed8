#include "session.h"

#include "base/limits.h"
#include "session/sandbox.h"
#include "teardown/janitor.h"

#include <sys/stat.h>
#include <time.h>

enum { KILLS = 300, KILL_SPAN_US = 12000 };

static struct janitor *started(void)
{
	struct janitor *janitor = NULL;
	struct npxc_error err = { 0 };

	assert_true(janitor_start(NULL, NULL, &janitor, &err));
	return janitor;
}

static void finished(struct janitor *janitor)
{
	struct npxc_error err = { 0 };

	if (!janitor_end(janitor, PATIENCE_MS, &err))
		fail_msg("%s", err.message);
	assert_true(all_children_end());
}

static struct runtime_start shell(const char *script)
{
	struct runtime_start start = { .status_fd = -1 };

	strv_push(&start.argv, "/bin/sh");
	strv_push(&start.argv, "-c");
	strv_push(&start.argv, script);
	strv_push(&start.env, "PATH=/usr/bin:/bin");
	return start;
}

static struct runtime_start boxed(const char *script, const char *marker)
{
	struct runtime_start start = { .status_fd = -1 };

	bwrap_argv(&start.argv, script, marker);
	strv_push(&start.env, "PATH=/usr/bin:/bin");
	return start;
}

static struct sandbox run(struct janitor *janitor, enum runtime_kind kind, struct runtime_start start)
{
	struct npxc_error err = { 0 };
	struct sandbox sandbox;

	if (!sandbox_start(janitor, kind, &start, NULL, 0, NULL, &sandbox, &err))
		fail_msg("%s", err.message);
	runtime_start_done(&start);
	return sandbox;
}

static void expect_end(struct sandbox *sandbox, int exit_status, int number)
{
	struct pollfd one = { .fd = sandbox->exit_fd, .events = POLLIN };
	struct npxc_error err = { 0 };
	int status, signal_number;

	assert_int_equal(poll(&one, 1, PATIENCE_MS), 1);
	assert_true(sandbox_wait(sandbox, &status, &signal_number, &err));
	assert_int_equal(status, exit_status);
	assert_int_equal(signal_number, number);
	assert_false(sandbox_wait(sandbox, &status, &signal_number, &err));
}

static void expect_output(struct sandbox *sandbox, const char *expected)
{
	char *got = read_until(sandbox->output, NULL);

	assert_string_equal(got, expected);
	free(got);
}

/* Ends the sandbox without asking, and everything else. */
static void over(struct janitor *janitor, struct sandbox *sandbox)
{
	sandbox_done(sandbox);
	finished(janitor);
}

/* ---- what the first process gets ---- */

static void bytes_go_through_bubblewrap(void **state)
{
	char *marker = make_marker();
	struct janitor *janitor = started();
	struct sandbox sandbox = run(janitor, RUNTIME_BWRAP, boxed("cat; echo to stderr >&2; exit 6", marker));
	struct pollfd one = { .fd = sandbox.exit_fd, .events = POLLIN };
	struct npxc_error err = { 0 };
	char *errors;

	(void)state;
	assert_int_equal(sandbox.status, -1);
	assert_int_equal(getsid(sandbox.pid), sandbox.pid);
	assert_int_equal(write(sandbox.input, "hello\n", 6), 6);
	assert_int_equal(poll(&one, 1, 0), 0); /* it lives */
	close(sandbox.input);
	sandbox.input = -1;
	expect_output(&sandbox, "hello\n");
	errors = read_until(sandbox.errors, NULL);
	assert_string_equal(errors, "to stderr\n");
	free(errors);
	expect_end(&sandbox, 6, 0);
	assert_true(janitor_end_sandbox(janitor, LIMIT_GRACE_MS, &err));
	over(janitor, &sandbox);
	assert_int_equal(count_marked(marker), 0);
	free(marker);
}

static void data_status_and_environment_arrive(void **state)
{
	/* Numbers that the sources have too: a naive dup2 overwrites one with another. */
	struct runtime_start start = shell("cat /dev/fd/10 /dev/fd/11 /dev/fd/12 /dev/fd/13; echo $A:$B:$HOME;"
	                                   "echo started > /dev/fd/14");
	struct janitor *janitor = started();
	struct npxc_error err = { 0 };
	struct sandbox sandbox;
	char *status;

	(void)state;
	strv_push(&start.env, "A=1");
	strv_push(&start.env, "B=two words");
	for (int i = 13; i >= 10; i--) {
		char text[32];

		snprintf(text, sizeof(text), "data %d\n", i);
		runtime_start_add_data(&start, i, text, strlen(text));
	}
	start.status_fd = 14;
	assert_true(sandbox_start(janitor, RUNTIME_PODMAN, &start, NULL, 0, NULL, &sandbox, &err));
	runtime_start_done(&start);
	expect_output(&sandbox, "data 10\ndata 11\ndata 12\ndata 13\n1:two words:\n");
	status = read_until(sandbox.status, NULL);
	assert_string_equal(status, "started\n");
	free(status);
	expect_end(&sandbox, 0, 0);
	over(janitor, &sandbox);
}

static void nothing_else_is_inherited(void **state)
{
	struct runtime_start start = shell("for f in /proc/$$/fd/*; do echo ${f##*/}; done;"
	                                   "sed -nE 's/^(Sig(Blk|Ign)):.*(.{7})$/\\1 \\3/p' /proc/self/status; pwd");
	int stray = fcntl(STDERR_FILENO, F_DUPFD, 40); /* inheritable */
	int high = fcntl(STDERR_FILENO, F_DUPFD, 200);
	struct janitor *janitor;
	struct npxc_error err = { 0 };
	struct sandbox sandbox;
	sigset_t some, before;

	(void)state;
	sigemptyset(&some);
	sigaddset(&some, SIGUSR1);
	sigaddset(&some, SIGTERM);
	assert_int_equal(sigprocmask(SIG_BLOCK, &some, &before), 0);
	assert_true(signal(SIGINT, SIG_IGN) != SIG_ERR);
	janitor = started();
	runtime_start_add_data(&start, 10, "x", 1);
	assert_true(sandbox_start(janitor, RUNTIME_PODMAN, &start, NULL, 0, NULL, &sandbox, &err));
	assert_int_equal(sigprocmask(SIG_SETMASK, &before, &some), 0);
	assert_true(sigismember(&some, SIGUSR1)); /* the launcher's own mask is as it was */
	assert_true(signal(SIGINT, SIG_DFL) == SIG_IGN);
	runtime_start_done(&start);
	/* 3 is the directory that the shell reads. Seven digits: the C library keeps two signals above 31 to itself,
	 * and they come ignored from a parent that used posix_spawn, as make does. */
	expect_output(&sandbox, "0\n1\n10\n2\n3\n"
	                        "SigBlk 0000000\n"
	                        "SigIgn 0000000\n/\n");
	expect_end(&sandbox, 0, 0);
	over(janitor, &sandbox);
	close(stray), close(high);
}

static void root_drops_before_it_execs(void **state)
{
	struct runtime_start start = shell("id -u; id -g; id -G; echo > /proc/sys/kernel/domainname");
	struct janitor *janitor = started();
	struct npxc_error err = { 0 };
	struct sandbox sandbox;

	(void)state;
	start.drop_to_uid = true;
	if (geteuid() != 0) {
		assert_false(sandbox_start(janitor, RUNTIME_BWRAP, &start, NULL, 0, NULL, &sandbox, &err));
		assert_true(err.kind == ERROR_RUNTIME || err.kind == ERROR_RUNTIME_UNAVAILABLE);
	} else {
		assert_true(sandbox_start(janitor, RUNTIME_BWRAP, &start, NULL, 0, NULL, &sandbox, &err));
		expect_output(&sandbox, "65533\n65533\n65533\n");
		expect_end(&sandbox, 2, 0);
		sandbox_done(&sandbox);
	}
	runtime_start_done(&start);
	finished(janitor);
}

static void cgroups_are_joined_before_exec(void **state)
{
	struct runtime_start start = shell("exit 0");
	struct janitor *janitor = started();
	struct npxc_error err = { 0 };
	struct sandbox sandbox;
	int first[2], second[2];
	int fds[2];

	(void)state;
	assert_int_equal(pipe2(first, O_CLOEXEC), 0);
	assert_int_equal(pipe2(second, O_CLOEXEC), 0);
	fds[0] = first[1];
	fds[1] = second[1];
	assert_true(sandbox_start(janitor, RUNTIME_BWRAP, &start, fds, 2, NULL, &sandbox, &err));
	close(first[1]), close(second[1]);
	for (int i = 0; i < 2; i++) {
		char *got = read_until(i == 0 ? first[0] : second[0], NULL);

		assert_string_equal(got, "0");
		free(got);
	}
	expect_end(&sandbox, 0, 0);
	runtime_start_done(&start);
	over(janitor, &sandbox);
	close(first[0]), close(second[0]);
}

/* ---- failures: the child's own words, and nothing is left ---- */

static void a_failing_start_says_why(void **state)
{
	struct janitor *janitor = started();
	struct runtime_start start = { .status_fd = -1 };
	struct npxc_error err = { 0 };
	struct sandbox sandbox;
	int full = open("/dev/full", O_WRONLY | O_CLOEXEC);

	(void)state;
	strv_push(&start.argv, "/nonexistent/bwrap");
	assert_false(sandbox_start(janitor, RUNTIME_BWRAP, &start, NULL, 0, NULL, &sandbox, &err));
	assert_int_equal(err.kind, ERROR_RUNTIME_UNAVAILABLE);
	assert_int_equal(err.sys_errno, ENOENT);
	assert_non_null(strstr(err.message, "/nonexistent/bwrap: No such file"));
	runtime_start_done(&start);

	start = shell("exit 0");
	err = (struct npxc_error){ 0 };
	assert_false(sandbox_start(janitor, RUNTIME_BWRAP, &start, &full, 1, NULL, &sandbox, &err));
	assert_int_equal(err.kind, ERROR_RUNTIME);
	assert_int_equal(err.sys_errno, ENOSPC);
	assert_non_null(strstr(err.message, "cgroup"));
	close(full);

	/* The janitor has forgotten both: the next start is not refused. */
	assert_true(sandbox_start(janitor, RUNTIME_BWRAP, &start, NULL, 0, NULL, &sandbox, &err));
	runtime_start_done(&start);
	expect_end(&sandbox, 0, 0);
	over(janitor, &sandbox);
}

static void nothing_runs_without_a_janitor(void **state)
{
	char *directory = make_directory();
	char *file = str_printf("%s/ran", directory);
	char *script = str_printf("echo > %s", file);
	struct runtime_start start = shell(script);
	struct janitor *janitor = started();
	struct npxc_error err = { 0 };
	struct sandbox sandbox;

	(void)state;
	assert_int_equal(kill(only_child(), SIGKILL), 0);
	assert_false(sandbox_start(janitor, RUNTIME_BWRAP, &start, NULL, 0, NULL, &sandbox, &err));
	assert_int_equal(err.kind, ERROR_IO);
	assert_false(janitor_end(janitor, PATIENCE_MS, &err));
	assert_true(all_children_end());
	assert_false(file_exists(file));
	runtime_start_done(&start);
	assert_true(file_remove_tree(directory, &err));
	free(directory), free(file), free(script);
}

/*
 * A janitor that does not answer: the launcher waits, and so does the sandbox, as long as that takes. The moment
 * between the message and its answer is too short for a kill to hit it, so it is made long here.
 */
static void nothing_runs_before_the_janitor_has_answered(void **state)
{
	char *marker = make_marker();
	int ends[2];
	pid_t keeper, pid, waiting = 0, still_waiting;
	unsigned ran = 0;

	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	pid = fork_with_test();
	if (pid == 0) {
		struct runtime_start start = boxed("sleep 1000; :", marker);
		struct npxc_error err = { 0 };
		struct sandbox sandbox;
		struct janitor *janitor;
		unsigned id;

		if (!janitor_start(NULL, NULL, &janitor, &err) ||
		    !janitor_hold_path(janitor, RESOURCE_FILE, "/tmp/npxc-none", &id, &err))
			_exit(1);
		keeper = only_child();
		if (kill(keeper, SIGSTOP) != 0 || write(ends[1], &keeper, sizeof(keeper)) != sizeof(keeper))
			_exit(1);
		if (sandbox_start(janitor, RUNTIME_BWRAP, &start, NULL, 0, NULL, &sandbox, &err))
			pause();
		_exit(1);
	}
	assert_int_equal(read(ends[0], &keeper, sizeof(keeper)), sizeof(keeper));
	/* The sandbox's process is there, in a session of its own ... */
	for (int64_t deadline = clock_now_ms() + PATIENCE_MS; waiting == 0 && clock_now_ms() < deadline;)
		waiting = session_leader_below(pid, keeper);
	/* ... and stays what it is: an exec would follow within a millisecond or two. */
	for (int i = 0; i < 100 && ran == 0; i++) {
		ran = count_marked(marker);
		poll(NULL, 0, 2);
	}
	still_waiting = session_leader_below(pid, keeper);
	/* A stopped janitor must not outlive a test that fails: first the end, then the judgement. */
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(kill(keeper, SIGCONT), 0);
	assert_true(all_children_end());
	assert_int_equal(ran, 0);
	assert_true(waiting > 0);
	assert_int_equal(still_waiting, waiting);
	assert_int_equal(count_marked(marker), 0);
	close(ends[0]), close(ends[1]);
	free(marker);
}

/* ---- the end of a sandbox ---- */

static void await_ready(const struct sandbox *sandbox)
{
	char *got = read_until(sandbox->output, "ready\n");

	assert_string_equal(got, "ready\n");
	free(got);
}

/* SIGTERM reaches the server, not bubblewrap: else its exit status could not come through. */
static void a_server_that_is_asked_may_end_by_itself(void **state)
{
	char *marker = make_marker();
	struct janitor *janitor = started();
	struct sandbox sandbox =
	    run(janitor, RUNTIME_BWRAP,
	        boxed("trap 'echo bye; exit 7' TERM; echo ready; while :; do sleep 1000 & wait; done", marker));
	struct npxc_error err = { 0 };

	(void)state;
	await_ready(&sandbox);
	assert_true(janitor_end_sandbox(janitor, PATIENCE_MS, &err));
	expect_output(&sandbox, "bye\n");
	expect_end(&sandbox, 7, 0);
	assert_int_equal(count_marked(marker), 0);
	over(janitor, &sandbox);
	free(marker);
}

/* Also one that has left group and session. */
static void a_server_that_ignores_sigterm_is_killed(void **state)
{
	static const char *const scripts[] = {
		"trap '' TERM; echo ready; while :; do sleep 1000; done",
		"trap '' TERM; setsid sh -c 'echo ready; while :; do sleep 1000; done' \"$0\"",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(scripts) / sizeof(scripts[0]); i++) {
		char *marker = make_marker();
		struct janitor *janitor = started();
		struct sandbox sandbox = run(janitor, RUNTIME_BWRAP, boxed(scripts[i], marker));
		struct npxc_error err = { 0 };
		int64_t before;

		await_ready(&sandbox);
		before = clock_now_ms();
		assert_true(janitor_end_sandbox(janitor, 100, &err));
		assert_true(clock_now_ms() - before >= 100);
		assert_int_equal(count_marked(marker), 0); /* verified: no waiting here */
		expect_output(&sandbox, "");
		expect_end(&sandbox, -1, SIGKILL);
		over(janitor, &sandbox);
		free(marker);
	}
}

static void without_grace_nobody_is_asked(void **state)
{
	char *marker = make_marker();
	struct janitor *janitor = started();
	struct sandbox sandbox =
	    run(janitor, RUNTIME_BWRAP,
	        boxed("trap 'echo bye; exit 7' TERM; echo ready; while :; do sleep 1000 & wait; done", marker));
	struct npxc_error err = { 0 };

	(void)state;
	await_ready(&sandbox);
	assert_true(janitor_end_sandbox(janitor, 0, &err));
	assert_int_equal(count_marked(marker), 0);
	expect_output(&sandbox, "");
	expect_end(&sandbox, -1, SIGKILL);
	over(janitor, &sandbox);
	free(marker);
}

/* A container's CLI gets the signal itself; what it leaves in its group goes too. */
static void a_container_cli_is_asked_itself(void **state)
{
	char *marker = make_marker();
	char *script =
	    str_printf("trap 'echo bye; exit 9' TERM; sh -c 'trap \"\" TERM; echo ready; sleep 1000; :' %s & "
	               "wait",
	               marker);
	struct janitor *janitor = started();
	struct sandbox sandbox = run(janitor, RUNTIME_PODMAN, shell(script));
	struct npxc_error err = { 0 };

	(void)state;
	await_ready(&sandbox);
	assert_true(janitor_end_sandbox(janitor, PATIENCE_MS, &err));
	assert_int_equal(count_marked(marker), 0);
	expect_output(&sandbox, "bye\n");
	expect_end(&sandbox, 9, 0);
	over(janitor, &sandbox);
	free(marker), free(script);
}

static void the_end_takes_a_running_sandbox_along(void **state)
{
	char *marker = make_marker();
	struct janitor *janitor = started();
	struct sandbox sandbox = run(janitor, RUNTIME_BWRAP, boxed("echo ready; sleep 1000; :", marker));
	struct npxc_error err = { 0 };

	(void)state;
	await_ready(&sandbox);
	assert_true(count_marked(marker) > 0);
	assert_true(janitor_end(janitor, PATIENCE_MS, &err));
	assert_int_equal(count_marked(marker), 0);
	expect_end(&sandbox, -1, SIGKILL);
	sandbox_done(&sandbox);
	assert_true(all_children_end());
	free(marker);
}

/* ---- the launcher is killed ---- */

/* A launcher in a group of its own; it says "up" once the sandbox runs, then waits for its death. */
static pid_t fork_launcher(const char *marker, int say)
{
	pid_t pid = fork_with_test();

	if (pid == 0) {
		struct janitor *janitor;
		struct sandbox sandbox;
		struct npxc_error err = { 0 };
		struct runtime_start start = boxed("trap '' TERM; sleep 1000; :", marker);

		setpgid(0, 0);
		if (!janitor_start(NULL, NULL, &janitor, &err) ||
		    !sandbox_start(janitor, RUNTIME_BWRAP, &start, NULL, 0, NULL, &sandbox, &err) ||
		    write(say, "u", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	setpgid(pid, pid);
	return pid;
}

static void a_killed_launcher_leaves_no_sandbox(void **state)
{
	(void)state;
	for (int whole_group = 0; whole_group < 2; whole_group++) {
		char *marker = make_marker();
		int ends[2];
		pid_t pid;
		char *word;

		assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
		pid = fork_launcher(marker, ends[1]);
		word = read_until(ends[0], "u");
		assert_string_equal(word, "u");
		assert_true(marked_become(marker, true));
		assert_int_equal(kill(whole_group ? -pid : pid, SIGKILL), 0);
		assert_true(all_children_end());
		assert_true(marked_become(marker, false));
		close(ends[0]), close(ends[1]);
		free(marker), free(word);
	}
}

/* The launcher dies while the janitor gives the sandbox a long grace: it ends at once. */
static void a_death_ends_the_grace(void **state)
{
	char *marker = make_marker();
	int ends[2];
	char *word;
	pid_t pid;

	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	pid = fork_with_test();
	if (pid == 0) {
		struct janitor *janitor;
		struct sandbox sandbox;
		struct npxc_error err = { 0 };
		struct runtime_start start =
		    boxed("trap 'echo asked' TERM; echo ready; while :; do sleep 1000 & wait; done", marker);
		struct sandbox *to = &sandbox;

		if (!janitor_start(NULL, NULL, &janitor, &err) ||
		    !sandbox_start(janitor, RUNTIME_BWRAP, &start, NULL, 0, NULL, to, &err))
			_exit(1);
		await_ready(to);
		/* The server's answer goes straight to the test. */
		if (fork() == 0) {
			char text[64];
			ssize_t got = read(to->output, text, sizeof(text));

			_exit(got > 0 && write(ends[1], text, (size_t)got) == got ? 0 : 1);
		}
		_exit(janitor_end_sandbox(janitor, 3600 * 1000, &err) ? 0 : 1);
	}
	word = read_until(ends[0], "asked\n");
	assert_string_equal(word, "asked\n");
	assert_true(count_marked(marker) > 0);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_true(all_children_end());
	assert_true(marked_become(marker, false));
	close(ends[0]), close(ends[1]);
	free(marker), free(word);
}

/* Whatever the launcher was doing when it died: 300 kills spread over the time of a start. */
static void a_kill_at_any_moment_leaves_nothing(void **state)
{
	char *marker = make_marker();
	int ends[2];
	unsigned up = 0;
	char byte;

	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
	for (long i = 0; i < KILLS; i++) {
		struct timespec delay = { .tv_nsec = i * KILL_SPAN_US / (KILLS - 1) * 1000 };
		pid_t pid = fork_launcher(marker, ends[1]);

		assert_int_equal(nanosleep(&delay, NULL), 0);
		assert_int_equal(kill(pid, SIGKILL), 0);
		assert_int_equal(waitpid(pid, NULL, 0), pid);
	}
	while (read(ends[0], &byte, 1) == 1)
		up++;
	print_message("%u of %d sandboxes were up when their launcher died\n", up, KILLS);
	if (!all_children_end() || !marked_become(marker, false))
		fail_msg("%u processes of dead launchers were alive", kill_marked(marker));
	close(ends[0]), close(ends[1]);
	free(marker);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_go_through_bubblewrap),
		cmocka_unit_test(data_status_and_environment_arrive),
		cmocka_unit_test(nothing_else_is_inherited),
		cmocka_unit_test(root_drops_before_it_execs),
		cmocka_unit_test(cgroups_are_joined_before_exec),
		cmocka_unit_test(a_failing_start_says_why),
		cmocka_unit_test(nothing_runs_without_a_janitor),
		cmocka_unit_test(nothing_runs_before_the_janitor_has_answered),
		cmocka_unit_test(a_server_that_is_asked_may_end_by_itself),
		cmocka_unit_test(a_server_that_ignores_sigterm_is_killed),
		cmocka_unit_test(without_grace_nobody_is_asked),
		cmocka_unit_test(a_container_cli_is_asked_itself),
		cmocka_unit_test(the_end_takes_a_running_sandbox_along),
		cmocka_unit_test(a_killed_launcher_leaves_no_sandbox),
		cmocka_unit_test(a_death_ends_the_grace),
		cmocka_unit_test(a_kill_at_any_moment_leaves_nothing),
	};

	/* A failed test leaves processes that the next one would find. They end with this one. */
	setenv("CMOCKA_TEST_ABORT", "1", 1);
	return cmocka_run_group_tests(tests, adopt_orphans, NULL);
}
