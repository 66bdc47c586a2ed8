#include "unit.h"

#include "base/fd.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static bool is_close_on_exec(int fd)
{
	int flags = fcntl(fd, F_GETFD);

	assert_int_not_equal(flags, -1);
	return (flags & FD_CLOEXEC) != 0;
}

static void what_is_made_is_close_on_exec(void **state)
{
	struct npxc_error err = { 0 };
	FD_CLEANUP int data = -1;
	int pipe_ends[2];
	int socket_ends[2];

	(void)state;
	assert_true(fd_pipe(pipe_ends, &err));
	assert_true(fd_socket_pair(socket_ends, &err));
	assert_true(fd_of_data("x", 1, &data, &err));
	assert_true(is_close_on_exec(data));
	for (int i = 0; i < 2; i++) {
		assert_true(is_close_on_exec(pipe_ends[i]));
		assert_true(is_close_on_exec(socket_ends[i]));
		fd_close(&pipe_ends[i]);
		fd_close(&socket_ends[i]);
		assert_int_equal(pipe_ends[i], -1);
	}
}

static void close_on_exec_is_set_and_cleared(void **state)
{
	struct npxc_error err = { 0 };
	int ends[2];

	(void)state;
	assert_true(fd_pipe(ends, &err));
	assert_true(fd_set_close_on_exec(ends[0], false, &err));
	assert_false(is_close_on_exec(ends[0]));
	assert_true(fd_set_close_on_exec(ends[0], true, &err));
	assert_true(is_close_on_exec(ends[0]));
	fd_close(&ends[0]);
	fd_close(&ends[1]);
	assert_false(fd_set_close_on_exec(-1, true, &err));
	assert_int_equal(err.kind, ERROR_IO);
	assert_int_equal(err.sys_errno, EBADF);
}

/* In a child, because it changes every descriptor of the process. */
static void every_descriptor_from_one_on_becomes_close_on_exec(void **state)
{
	pid_t child = fork();
	int status;

	(void)state;
	assert_int_not_equal(child, -1);
	if (child == 0) {
		struct npxc_error err = { 0 };
		int below = fcntl(STDIN_FILENO, F_DUPFD, 20);
		int above = fcntl(STDIN_FILENO, F_DUPFD, 30);

		if (!fd_set_close_on_exec_from(30, &err))
			_exit(1);
		_exit((fcntl(below, F_GETFD) & FD_CLOEXEC) == 0 && (fcntl(above, F_GETFD) & FD_CLOEXEC) != 0 ? 0 : 2);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static void closing_keeps_errno_and_none(void **state)
{
	int none = -1;
	int bad = 9999;

	(void)state;
	errno = EXDEV;
	fd_close(&none);
	fd_close(&bad);
	assert_int_equal(errno, EXDEV);
	assert_int_equal(bad, -1);
}

static void taking_leaves_none_behind(void **state)
{
	int fd = 17;

	(void)state;
	assert_int_equal(fd_take(&fd), 17);
	assert_int_equal(fd, -1);
}

static void a_closed_reader_is_an_error(void **state)
{
	struct npxc_error err = { 0 };
	int ends[2];

	(void)state;
	assert_true(fd_pipe(ends, &err));
	fd_close(&ends[0]);
	assert_false(fd_write_all(ends[1], "x", 1, &err));
	assert_int_equal(err.sys_errno, EPIPE);
	fd_close(&ends[1]);
}

/* More than a pipe holds, and the writer's end is non-blocking as an inherited one may be. */
static void all_bytes_arrive_through_a_narrow_pipe(void **state)
{
	enum { COUNT = 300 * 1000 };
	mem_cleanup char *bytes = mem_alloc(COUNT);
	struct npxc_error err = { 0 };
	BUF_CLEANUP struct buf got = BUF_INIT(COUNT);
	int ends[2];
	int status;
	pid_t child;

	(void)state;
	for (int i = 0; i < COUNT; i++)
		bytes[i] = (char)(i * 7 + i / 251);
	assert_true(fd_pipe(ends, &err));
	child = fork();
	assert_int_not_equal(child, -1);
	if (child == 0) {
		close(ends[0]);
		if (fcntl(ends[1], F_SETFL, O_NONBLOCK) == -1)
			_exit(2);
		_exit(fd_write_all(ends[1], bytes, COUNT, &err) ? 0 : 1);
	}
	fd_close(&ends[1]);
	assert_true(fd_read_all(ends[0], &got, &err));
	assert_int_equal(got.length, COUNT);
	assert_memory_equal(got.data, bytes, COUNT);
	fd_close(&ends[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static void the_ceiling_is_exact_and_failure_changes_nothing(void **state)
{
	static const struct {
		size_t max;
		const char *before;
		const char *bytes;
		int ok;
		const char *after;
	} cases[] = {
		{ 4, "", "abcd", 1, "abcd" }, { 4, "", "abcde", 0, "" },    { 4, "ab", "cd", 1, "abcd" },
		{ 4, "ab", "cde", 0, "ab" },  { 4, "abcd", "", 1, "abcd" }, { 0, "", "", 1, "" },
		{ 0, "", "a", 0, "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct npxc_error err = { 0 };
		BUF_CLEANUP struct buf b = BUF_INIT(cases[i].max);
		FD_CLEANUP int fd = -1;

		assert_true(fd_of_data(cases[i].bytes, strlen(cases[i].bytes), &fd, &err));
		assert_true(buf_append_text(&b, cases[i].before, &err));
		assert_int_equal(fd_read_all(fd, &b, &err), cases[i].ok);
		assert_string_equal(b.data, cases[i].after);
		assert_int_equal(b.length, strlen(cases[i].after));
		assert_int_equal(err.kind, cases[i].ok ? ERROR_NONE : ERROR_IO);
		assert_int_equal(err.sys_errno, cases[i].ok ? 0 : EFBIG);
	}
}

static void data_keeps_nul_bytes(void **state)
{
	struct npxc_error err = { 0 };
	BUF_CLEANUP struct buf b = BUF_INIT(100);
	FD_CLEANUP int fd = -1;

	(void)state;
	assert_true(fd_of_data("a\0b", 3, &fd, &err));
	assert_true(fd_read_all(fd, &b, &err));
	assert_int_equal(b.length, 3);
	assert_memory_equal(b.data, "a\0b", 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_made_is_close_on_exec),
		cmocka_unit_test(close_on_exec_is_set_and_cleared),
		cmocka_unit_test(every_descriptor_from_one_on_becomes_close_on_exec),
		cmocka_unit_test(closing_keeps_errno_and_none),
		cmocka_unit_test(taking_leaves_none_behind),
		cmocka_unit_test(a_closed_reader_is_an_error),
		cmocka_unit_test(all_bytes_arrive_through_a_narrow_pipe),
		cmocka_unit_test(the_ceiling_is_exact_and_failure_changes_nothing),
		cmocka_unit_test(data_keeps_nul_bytes),
	};

	signal(SIGPIPE, SIG_IGN); /* as npxc does */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
