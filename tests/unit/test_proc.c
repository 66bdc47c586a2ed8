#include "unit.h"

#include "base/fd.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/proc.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Long enough for any of these programs; a test that needs it all hangs and fails by its result. */
enum { TIMEOUT_MS = 60 * 1000, KEPT = 1000 };

static struct proc_command shell(char *argv[4], const char *script)
{
	static char sh[] = "/bin/sh";
	static char c[] = "-c";

	argv[0] = sh;
	argv[1] = c;
	argv[2] = (char *)(uintptr_t)script;
	argv[3] = NULL;
	return (struct proc_command){ .argv = argv, .timeout_ms = TIMEOUT_MS, .max_output_bytes = KEPT };
}

/* Runs a script with nothing special about it, and gives what it printed. Owned. */
static char *output_of(const char *script)
{
	char *argv[4];
	struct proc_command command = shell(argv, script);
	struct npxc_error err = { 0 };
	struct proc_result result;
	char *output;

	assert_true(proc_run(&command, &result, &err));
	assert_string_equal(result.errors.data, "");
	assert_int_equal(result.exit_status, 0);
	output = buf_take(&result.output);
	proc_result_done(&result);
	return output;
}

/* Each test works in a directory of its own with a FIFO in it; the FIFO's path is in *state. Whoever has opened it for
 * writing is known to be gone when a reader meets the end of file: that is an event, no guess with a clock. */
static int make_fifo(void **state)
{
	struct npxc_error err = { 0 };
	char *directory;

	if (!file_make_temporary_directory("/tmp", "npxc-test-", &directory, &err))
		return -1;
	*state = str_printf("%s/fifo", directory);
	free(directory);
	return mkfifo(*state, 0600);
}

static int remove_fifo(void **state)
{
	mem_cleanup char *path = *state;
	mem_cleanup char *directory = str_dup(path);
	struct npxc_error err = { 0 };

	*strrchr(directory, '/') = '\0';
	return file_remove_tree(directory, &err) ? 0 : -1;
}

static void await_end_of_writers(int fd)
{
	char bytes[100];
	ssize_t count;

	do {
		count = read(fd, bytes, sizeof(bytes));
	} while (count > 0);
	assert_int_equal(count, 0);
}

static void a_program_s_words_and_end_are_kept(void **state)
{
	static const struct {
		const char *script;
		const char *output;
		const char *errors;
		int exit_status;
		int signal;
		const char *text;
	} cases[] = {
		{ "exit 0", "", "", 0, 0, "exit status 0" },
		{ "printf out; printf err >&2; exit 3", "out", "err", 3, 0, "exit status 3" },
		{ "exec >&- 2>&-; exit 4", "", "", 4, 0, "exit status 4" },
		{ "printf x; kill -KILL $$", "x", "", -1, SIGKILL, "signal 9 (Killed)" },
		{ "kill -TERM $$", "", "", -1, SIGTERM, "signal 15 (Terminated)" },
		{ "cat", "", "", 0, 0, "exit status 0" }, /* stdin is empty */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *argv[4];
		struct proc_command command = shell(argv, cases[i].script);
		struct npxc_error err = { 0 };
		struct proc_result result;

		assert_true(proc_run(&command, &result, &err));
		assert_string_equal(result.output.data, cases[i].output);
		assert_string_equal(result.errors.data, cases[i].errors);
		assert_int_equal(result.exit_status, cases[i].exit_status);
		assert_int_equal(result.signal, cases[i].signal);
		assert_false(result.timed_out);
		assert_false(result.truncated);
		assert_int_equal(err.kind, ERROR_NONE);
		{
			mem_cleanup char *text = proc_result_text(&result, TIMEOUT_MS);

			assert_string_equal(text, cases[i].text);
		}
		proc_result_done(&result);
	}
}

static void what_cannot_be_started_is_an_error(void **state)
{
	static const struct {
		const char *program;
		const char *directory;
		int error;
		const char *message;
	} cases[] = {
		{ "/nonexistent/program", NULL, ENOENT, "cannot run /nonexistent/program: " },
		{ "/etc/passwd", NULL, EACCES, "cannot run /etc/passwd: " },
		{ "/bin", NULL, EACCES, "cannot run /bin: " },
		{ "/bin/sh", "/nonexistent", ENOENT, "cannot change to /nonexistent: " },
		{ "/bin/sh", "/etc/passwd", ENOTDIR, "cannot change to /etc/passwd: " },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *argv[2] = { (char *)(uintptr_t)cases[i].program, NULL };
		struct proc_command command = { .argv = argv,
			                        .directory = cases[i].directory,
			                        .timeout_ms = TIMEOUT_MS,
			                        .max_output_bytes = KEPT };
		struct npxc_error err = { 0 };
		struct proc_result result = { .exit_status = 77 };

		assert_false(proc_run(&command, &result, &err));
		assert_int_equal(err.kind, ERROR_IO);
		assert_int_equal(err.sys_errno, cases[i].error);
		assert_memory_equal(err.message, cases[i].message, strlen(cases[i].message));
		assert_int_equal(result.exit_status, 77);
		assert_null(result.output.data);
		assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* nothing is left to be reaped */
		assert_int_equal(errno, ECHILD);
	}
}

static void a_program_beyond_its_time_is_killed_with_its_group(void **state)
{
	mem_cleanup char *script = str_printf("exec 3>'%s'; sleep 1000 & echo early; sleep 1000", (char *)*state);
	char *argv[4];
	struct proc_command command = shell(argv, script);
	struct npxc_error err = { 0 };
	struct proc_result result;
	FD_CLEANUP int fifo = open(*state, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	mem_cleanup char *text = NULL;

	assert_int_not_equal(fifo, -1);
	assert_int_equal(fcntl(fifo, F_SETFL, 0), 0);
	command.timeout_ms = 1500; /* time enough for the first words on a busy machine */
	assert_true(proc_run(&command, &result, &err));
	await_end_of_writers(fifo);
	assert_true(result.timed_out);
	assert_int_equal(result.exit_status, -1);
	assert_int_equal(result.signal, SIGKILL);
	assert_string_equal(result.output.data, "early\n");
	text = proc_result_text(&result, 1500);
	assert_string_equal(text, "no answer within 1500 ms");
	mem_cleanup_free(&text);
	text = proc_result_text(&result, 20000);
	assert_string_equal(text, "no answer within 20 s");
	proc_result_done(&result);
}

static void a_helper_that_keeps_the_pipes_is_killed(void **state)
{
	mem_cleanup char *script = str_printf("exec 3>'%s'; sleep 1000 & echo done", (char *)*state);
	char *argv[4];
	struct proc_command command = shell(argv, script);
	struct npxc_error err = { 0 };
	struct proc_result result;
	FD_CLEANUP int fifo = open(*state, O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	assert_int_not_equal(fifo, -1);
	assert_int_equal(fcntl(fifo, F_SETFL, 0), 0);
	assert_true(proc_run(&command, &result, &err));
	await_end_of_writers(fifo);
	assert_false(result.timed_out);
	assert_int_equal(result.exit_status, 0);
	assert_string_equal(result.output.data, "done\n");
	proc_result_done(&result);
}

/* Neither silence nor a flood on the pipes of a helper that nobody can kill keeps the answer back. */
static void a_helper_that_left_the_group_is_not_waited_for(void **state)
{
	static const char *const helpers[] = { "sleep 1000", "yes" };

	for (size_t i = 0; i < 2; i++) {
		mem_cleanup char *script =
		    str_printf("setsid sh -c 'echo $$; echo >%s; exec %s' & read line <'%s'; exit 5", (char *)*state,
		               helpers[i], (char *)*state);
		char *argv[4];
		struct proc_command command = shell(argv, script);
		struct npxc_error err = { 0 };
		struct proc_result result;
		int helper;

		assert_true(proc_run(&command, &result, &err));
		assert_int_equal(sscanf(result.output.data, "%d", &helper), 1);
		assert_true(helper > 1);
		kill(helper, SIGKILL);
		assert_false(result.timed_out);
		assert_int_equal(result.exit_status, 5);
		proc_result_done(&result);
	}
}

/* stdout keeps its beginning, stderr its end. */

static bool place_a_descriptor(const void *context)
{
	return dup2(*(const int *)context, 10) == 10;
}

static bool refuse_to_prepare(const void *context)
{
	(void)context;
	errno = EPERM;
	return false;
}

static void what_prepare_places_gets_to_the_program_and_its_refusal_keeps_it_from_starting(void **state)
{
	static const char script[] = "cat /dev/fd/10 && ! test -e /dev/fd/11";
	char *argv[4];
	struct proc_command command = shell(argv, script);
	struct npxc_error err = { 0 };
	struct proc_result result;
	int low, fd;

	(void)state;
	assert_true(fd_of_data("placed", 6, &low, &err));
	fd = fcntl(low, F_DUPFD_CLOEXEC, 12);
	assert_int_not_equal(fd, -1);
	fd_close(&low);
	command.prepare = place_a_descriptor;
	command.prepare_context = &fd;
	command.placed_below = 12;
	assert_true(proc_run(&command, &result, &err));
	assert_string_equal(result.output.data, "placed");
	assert_int_equal(result.exit_status, 0);
	proc_result_done(&result);
	command.prepare = refuse_to_prepare;
	errno = 0;
	assert_false(proc_run(&command, &result, &err));
	assert_int_equal(err.kind, ERROR_IO);
	assert_non_null(strstr(err.message, "cannot prepare a process for /bin/sh: "));
	assert_non_null(strstr(err.message, strerror(EPERM)));
	fd_close(&fd);
}

static void more_than_the_ceiling_is_read_and_dropped(void **state)
{
	static const struct {
		int count;
		size_t kept;
		int truncated;
	} cases[] = {
		{ 9, 9, 0 },   { 10, 10, 0 }, { 11, 10, 1 },     { 19, 10, 1 },
		{ 20, 10, 1 }, { 21, 10, 1 }, { 300000, 10, 1 },
	};

	(void)state;
	for (int stream = 1; stream <= 2; stream++) {
		for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
			mem_cleanup char *script =
			    str_printf("{ printf a; head -c %d /dev/zero | tr '\\0' m; printf z; } >&%d",
			               cases[i].count - 2, stream);
			char *argv[4];
			struct proc_command command = shell(argv, script);
			struct npxc_error err = { 0 };
			struct proc_result result;
			const struct buf *kept;

			command.max_output_bytes = 10;
			assert_true(proc_run(&command, &result, &err));
			assert_int_equal(result.exit_status, 0);
			assert_int_equal(result.truncated, cases[i].truncated);
			kept = stream == 1 ? &result.output : &result.errors;
			assert_int_equal(kept->length, cases[i].kept);
			assert_int_equal(kept->data[kept->length], '\0');
			assert_int_equal(kept->data[0], stream == 1 || !cases[i].truncated ? 'a' : 'm');
			assert_int_equal(kept->data[kept->length - 1], stream == 2 || !cases[i].truncated ? 'z' : 'm');
			proc_result_done(&result);
		}
	}
}

static void append_piece(void *context, const char *bytes, size_t count)
{
	struct npxc_error err = { 0 };

	assert_true(buf_append(context, bytes, count, &err));
}

static void progress_gets_every_byte_of_stderr_and_none_of_stdout(void **state)
{
	char *argv[4];
	struct proc_command command = shell(argv, "echo out; head -c 200000 /dev/zero >&2; printf end >&2");
	BUF_CLEANUP struct buf seen = BUF_INIT(1000000);
	struct npxc_error err = { 0 };
	struct proc_result result;

	(void)state;
	command.on_stderr = append_piece;
	command.context = &seen;
	assert_true(proc_run(&command, &result, &err));
	assert_int_equal(seen.length, 200003);
	assert_string_equal(seen.data + 200000, "end");
	assert_true(result.truncated);
	proc_result_done(&result);
}

static void input_environment_and_directory_are_as_asked(void **state)
{
	char *argv[4];
	struct proc_command command = shell(argv, "cat; echo \"[$ONE|$HOME]\"; pwd");
	static char one[] = "ONE=1 ";
	char *environment[] = { one, NULL };
	struct npxc_error err = { 0 };
	struct proc_result result;

	(void)state;
	command.input = "text\n";
	command.environment = environment;
	command.directory = "/usr/bin";
	assert_true(proc_run(&command, &result, &err));
	assert_string_equal(result.output.data, "text\n[1 |]\n/usr/bin\n");
	proc_result_done(&result);
}

static void the_environment_is_npxc_s_own_unless_given(void **state)
{
	mem_cleanup char *output = NULL;

	(void)state;
	assert_int_equal(setenv("NPXC_TEST_OWN", "seen", 1), 0);
	output = output_of("echo $NPXC_TEST_OWN");
	assert_int_equal(unsetenv("NPXC_TEST_OWN"), 0);
	assert_string_equal(output, "seen\n");
}

/* More than a pipe holds, to a program that never reads it: nobody waits for anybody. */
static void input_that_nobody_reads_blocks_nobody(void **state)
{
	mem_cleanup char *text = mem_alloc(1000001);
	char *argv[4];
	struct proc_command command = shell(argv, "echo done");
	struct npxc_error err = { 0 };
	struct proc_result result;

	(void)state;
	memset(text, 'x', 1000000);
	command.input = text;
	assert_true(proc_run(&command, &result, &err));
	assert_string_equal(result.output.data, "done\n");
	proc_result_done(&result);
}

#ifdef __linux__
static void signals_of_the_program_are_at_their_defaults(void **state)
{
	struct sigaction ignore = { .sa_handler = SIG_IGN };
	struct sigaction before;
	sigset_t blocked;
	sigset_t old;
	unsigned long long blk;
	unsigned long long ign;
	mem_cleanup char *output = NULL;

	(void)state;
	assert_int_equal(sigaction(SIGPIPE, &ignore, &before), 0);
	assert_int_equal(sigaction(SIGINT, &ignore, NULL), 0);
	sigfillset(&blocked);
	assert_int_equal(sigprocmask(SIG_SETMASK, &blocked, &old), 0);
	output = output_of("exec grep -E '^Sig(Blk|Ign):' /proc/self/status");
	assert_int_equal(sigprocmask(SIG_SETMASK, &old, NULL), 0);
	assert_int_equal(sigaction(SIGPIPE, &before, NULL), 0);
	assert_int_equal(signal(SIGINT, SIG_DFL) == SIG_ERR, 0);
	assert_int_equal(sscanf(output, "SigBlk: %llx SigIgn: %llx", &blk, &ign), 2);
	assert_true(blk == 0);
	/* 32 and 33 belong to the C library, which lets nobody change them and sets them itself when it needs them. */
	assert_true((ign & ~(3ULL << 31)) == 0);
}

static void the_program_leads_a_group_of_its_own(void **state)
{
	mem_cleanup char *output = output_of(
	    "read -r pid name status parent group rest </proc/self/stat; [ $pid = $$ ] && [ $group = $$ ] && echo yes");

	(void)state;
	assert_string_equal(output, "yes\n");
}

static void no_other_descriptor_gets_to_the_program(void **state)
{
	int inherited = fcntl(STDERR_FILENO, F_DUPFD, 40); /* without close-on-exec, as a client may leave them */
	mem_cleanup char *script =
	    str_printf("for fd in 2 %d; do [ -e /proc/$$/fd/$fd ] && echo $fd; done; :", inherited);
	mem_cleanup char *output = NULL;

	(void)state;
	assert_true(inherited >= 40);
	output = output_of(script);
	close(inherited);
	assert_string_equal(output, "2\n");
}

static void npxc_without_stdio_can_run_programs(void **state)
{
	pid_t child = fork();
	int status;

	(void)state;
	assert_int_not_equal(child, -1);
	if (child == 0) {
		char *argv[4];
		struct proc_command command = shell(argv, "cat; echo out; echo err >&2");
		struct npxc_error err = { 0 };
		struct proc_result result;

		for (int fd = 0; fd <= 2; fd++)
			close(fd);
		command.input = "in\n";
		if (!proc_run(&command, &result, &err))
			_exit(1);
		if (!str_equal(result.output.data, "in\nout\n") || !str_equal(result.errors.data, "err\n"))
			_exit(2);
		proc_result_done(&result);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static void the_program_dies_with_npxc(void **state)
{
	mem_cleanup char *script = str_printf("exec sleep 1000 >'%s'", (char *)*state);
	int status;
	int fifo;
	pid_t child = fork();

	assert_int_not_equal(child, -1);
	if (child == 0) {
		char *argv[4];
		struct proc_command command = shell(argv, script);
		struct npxc_error err = { 0 };
		struct proc_result result;

		_exit(proc_run(&command, &result, &err) ? 0 : 1);
	}
	fifo = open(*state, O_RDONLY | O_CLOEXEC); /* returns when the program has opened its end */
	assert_int_not_equal(fifo, -1);
	assert_int_equal(kill(child, SIGKILL), 0);
	await_end_of_writers(fifo);
	close(fifo);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
}

/* A name can try to look like the rest of the line in /proc; only the last bracket ends it. */
static void groups_are_seen_whatever_their_processes_are_called(void **state)
{
	static const char *const names[] = { "plain", "a b", "x) Z 1 1", ") (" };
	mem_cleanup char *directory = str_dup(*state);

	*strrchr(directory, '/') = '\0';
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		mem_cleanup char *path = str_printf("%s/%s", directory, names[i]);
		struct npxc_error err = { 0 };
		int ends[2];
		char byte;
		siginfo_t info;
		pid_t child;

		assert_int_equal(symlink("/bin/sleep", path), 0);
		assert_true(fd_pipe(ends, &err));
		child = fork();
		assert_int_not_equal(child, -1);
		if (child == 0) {
			setpgid(0, 0);
			execl(path, path, "1000", (char *)NULL);
			_exit(1);
		}
		fd_close(&ends[1]);
		assert_int_equal(read(ends[0], &byte, 1), 0); /* it has gone through exec */
		fd_close(&ends[0]);
		assert_true(proc_group_alive(child));
		assert_int_equal(kill(child, SIGKILL), 0);
		assert_int_equal(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT), 0);
		assert_int_equal(kill(-child, 0), 0); /* the zombie is there still */
		assert_false(proc_group_alive(child));
		assert_int_equal(waitpid(child, NULL, 0), child);
		assert_false(proc_group_alive(child));
	}
}

static void a_group_lives_on_without_its_leader(void **state)
{
	int ends[2];
	struct npxc_error err = { 0 };
	pid_t leader;
	pid_t member;

	(void)state;
	assert_true(fd_pipe(ends, &err));
	leader = fork();
	assert_int_not_equal(leader, -1);
	if (leader == 0) {
		setpgid(0, 0);
		member = fork();
		if (member == 0) {
			pause();
			_exit(0);
		}
		_exit(write(ends[1], &member, sizeof(member)) == sizeof(member) ? 0 : 1);
	}
	assert_int_equal(read(ends[0], &member, sizeof(member)), sizeof(member));
	assert_int_equal(waitpid(leader, NULL, 0), leader);
	assert_true(proc_group_alive(leader));
	/* The member holds the pipe: its end is the end of file. */
	fd_close(&ends[1]);
	assert_int_equal(kill(member, SIGKILL), 0);
	await_end_of_writers(ends[0]);
	fd_close(&ends[0]);
	/* Its descriptors close a moment before it counts as dead. */
	while (kill(member, 0) == 0 && proc_group_alive(leader))
		;
	assert_false(proc_group_alive(leader));
}
#endif

static void no_group_is_meant_by_zero_and_one(void **state)
{
	static const pid_t never[] = { 1, 0, -1 };

	(void)state;
	for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++)
		assert_false(proc_group_alive(never[i]));
}

#define WITH_FIFO(test) cmocka_unit_test_setup_teardown(test, make_fifo, remove_fifo)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_program_s_words_and_end_are_kept),
		cmocka_unit_test(what_cannot_be_started_is_an_error),
		WITH_FIFO(a_program_beyond_its_time_is_killed_with_its_group),
		WITH_FIFO(a_helper_that_keeps_the_pipes_is_killed),
		WITH_FIFO(a_helper_that_left_the_group_is_not_waited_for),
		cmocka_unit_test(more_than_the_ceiling_is_read_and_dropped),
		cmocka_unit_test(progress_gets_every_byte_of_stderr_and_none_of_stdout),
		cmocka_unit_test(input_environment_and_directory_are_as_asked),
		cmocka_unit_test(the_environment_is_npxc_s_own_unless_given),
		cmocka_unit_test(what_prepare_places_gets_to_the_program_and_its_refusal_keeps_it_from_starting),
		cmocka_unit_test(input_that_nobody_reads_blocks_nobody),
#ifdef __linux__
		cmocka_unit_test(signals_of_the_program_are_at_their_defaults),
		cmocka_unit_test(the_program_leads_a_group_of_its_own),
		cmocka_unit_test(no_other_descriptor_gets_to_the_program),
		cmocka_unit_test(npxc_without_stdio_can_run_programs),
		WITH_FIFO(the_program_dies_with_npxc),
		WITH_FIFO(groups_are_seen_whatever_their_processes_are_called),
		cmocka_unit_test(a_group_lives_on_without_its_leader),
#endif
		cmocka_unit_test(no_group_is_meant_by_zero_and_one),
	};

	/* A fault in what is tested must not hang the run. */
	alarm(120);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
