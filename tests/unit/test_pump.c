#include "unit.h"

#include "base/limits.h"
#include "relay/pump.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#ifdef __linux__
#include <seccomp.h>
#endif
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

/*
 * The pump runs in a process of its own with a real server behind it (a shell script); the test is the client. What
 * became of the run comes back through a pipe, when the pump has ended.
 */

enum fd_kind { FD_PIPE, FD_SOCKET, FD_PTY, FD_FILE, FD_ABSENT };

/* milliseconds: an awaited event that has not come by then never comes. Nothing is measured by it. */
enum { PATIENCE_MS = 60000, QUIET_NEVER_MS = 600000, EXIT_FD = 9 };

/*
 * How the pump runs: as on this system; with nothing that only Linux has; and with Linux's means refused while it
 * runs (splice is not there, the client's descriptors belong to somebody else and cannot be opened again).
 */
enum branch {
	BRANCH_NATIVE,
	BRANCH_PORTABLE,
	BRANCH_REFUSED,
	/* By lines, of which some are kept and decided about, with nothing changed: natively, and with means refused.
	 */
	BRANCH_LINES,
	BRANCH_LINES_REFUSED,
};

struct setup {
	enum branch branch;
	const char *script;
	enum fd_kind in, out, err;
	unsigned quiet_ms;
	const char *out_path; /* for FD_FILE as out: this file instead of a temporary one */
	size_t in_bytes;      /* for FD_FILE as in: its size */
	bool no_exit_fd;
	bool err_is_out;
	bool err_full; /* the client's stderr, a pipe, takes nothing more */
};

struct report {
	bool ok;
	enum pump_end first_end, end;
	int runs;
	int error_number;
	struct pump_counts counts;
	bool sigpipe_restored;
	bool flags_kept;
	size_t rss_growth; /* bytes */
	size_t tail_length;
	char tail[PUMP_STDERR_TAIL_BYTES];
};

struct rig {
	pid_t pid;
	int in, out, err; /* the client's side */
	int wake, report;
};

static void close_one(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void make_pipe(int ends[2])
{
	assert_int_equal(pipe(ends), 0);
	fcntl(ends[0], F_SETFD, FD_CLOEXEC);
	fcntl(ends[1], F_SETFD, FD_CLOEXEC);
}

static int temporary_file(void)
{
	char path[] = "/tmp/test-pump-XXXXXX";
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	unlink(path);
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	return fd;
}

/* ends[0] is the client's side, ends[1] what the pump inherits. */
static void make_ends(enum fd_kind kind, bool to_pump, const char *path, int ends[2])
{
	int pair[2];

	ends[0] = ends[1] = -1;
	switch (kind) {
	case FD_PIPE:
		make_pipe(pair);
		ends[0] = pair[to_pump ? 1 : 0];
		ends[1] = pair[to_pump ? 0 : 1];
		break;
	case FD_SOCKET:
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
		break;
	case FD_PTY: {
		struct termios raw;

		ends[0] = posix_openpt(O_RDWR | O_NOCTTY);
		assert_true(ends[0] >= 0 && grantpt(ends[0]) == 0 && unlockpt(ends[0]) == 0);
		ends[1] = open(ptsname(ends[0]), O_RDWR | O_NOCTTY);
		assert_true(ends[1] >= 0);
		tcgetattr(ends[1], &raw);
		cfmakeraw(&raw);
		tcsetattr(ends[1], TCSANOW, &raw);
		break;
	}
	case FD_FILE:
		ends[1] = path != NULL ? open(path, O_RDWR) : temporary_file();
		assert_true(ends[1] >= 0);
		ends[0] = dup(ends[1]);
		break;
	case FD_ABSENT:
		return;
	}
	fcntl(ends[0], F_SETFD, FD_CLOEXEC);
	fcntl(ends[1], F_SETFD, FD_CLOEXEC);
	/* The client's side has a description of its own, except for a file, where the flag means nothing. */
	if (kind != FD_FILE)
		fcntl(ends[0], F_SETFL, fcntl(ends[0], F_GETFL) | O_NONBLOCK);
}

static size_t resident_bytes(void)
{
	unsigned long total = 0;
	unsigned long resident = 0;
	FILE *file = fopen("/proc/self/statm", "r");

	if (file == NULL)
		return 0;
	if (fscanf(file, "%lu %lu", &total, &resident) != 2)
		resident = 0;
	fclose(file);
	return resident * (size_t)sysconf(_SC_PAGESIZE);
}

static pid_t start_server(const char *script, struct pump_ends *ends, int *ret_exit)
{
	int in[2];
	int out[2];
	int err[2];
	int gone[2];
	pid_t pid;

	if (pipe(in) != 0 || pipe(out) != 0 || pipe(err) != 0 || pipe(gone) != 0)
		_exit(90);
	pid = fork();
	if (pid < 0)
		_exit(91);
	if (pid == 0) {
		signal(SIGPIPE, SIG_DFL);
		dup2(in[0], 0);
		dup2(out[1], 1);
		dup2(err[1], 2);
		dup2(gone[1], EXIT_FD);
		for (int fd = 3; fd < 64; fd++)
			if (fd != EXIT_FD)
				close(fd);
		execl("/bin/sh", "sh", "-c", script, (char *)NULL);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	close(err[1]);
	close(gone[1]);
	ends->server_in = in[1];
	ends->server_out = out[0];
	ends->server_err = err[0];
	*ret_exit = gone[0];
	return pid;
}

static void refuse_what_only_linux_has(void)
{
#ifdef __linux__
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);

	if (filter == NULL || seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(splice), 0) != 0 ||
	    seccomp_rule_add(filter, SCMP_ACT_ERRNO(EACCES), SCMP_SYS(openat), 1,
	                     SCMP_A2(SCMP_CMP_MASKED_EQ, O_NONBLOCK, O_NONBLOCK)) != 0 ||
	    seccomp_load(filter) != 0)
		_exit(93);
	seccomp_release(filter);
#endif
}

/* A line of text passes; one that begins with another byte is decided about, if it comes in one piece: nothing is held
 * back that an echo is waited for. */
static enum lines_look look_at_first(void *context, const char *bytes, size_t count, bool first)
{
	(void)context;
	assert_true(count > 0 && first);
	return (unsigned char)bytes[0] < 0x80 ? LINES_PASS : LINES_HOLD;
}

static enum lines_verdict keep_all(void *context, const char *line, size_t length)
{
	(void)context;
	(void)line;
	(void)length;
	return LINES_SAME;
}

static const struct lines_rules keeping = { .look = look_at_first, .decide = keep_all, .max_bytes = 0 };

/* The process of the pump: runs until an end that is not PUMP_WOKEN; woken, it closes the server's input first. */
static void pump_process(const struct setup *setup, struct pump_ends ends, int wake_read, int report_fd)
{
	struct report report = { 0 };
	struct npxc_error err = { 0 };
	struct pump *pump = NULL;
	struct rusage usage;
	int client[3] = { ends.client_in, ends.client_out, ends.client_err };
	int flags[3];
	int gone = -1;
	pid_t server;
	size_t before;
	const char *tail;

	alarm(120); /* whatever goes wrong, it ends */
	signal(SIGPIPE, SIG_DFL);
	server = start_server(setup->script, &ends, &gone);
	ends.wake = wake_read;
	ends.server_exit = gone;
#ifdef SYS_pidfd_open
	if (setup->branch != BRANCH_PORTABLE)
		ends.server_exit = (int)syscall(SYS_pidfd_open, server, 0);
#endif
	if (setup->no_exit_fd)
		ends.server_exit = -1;
	for (int i = 0; i < 3; i++)
		flags[i] = client[i] >= 0 ? fcntl(client[i], F_GETFL) : 0;
	before = resident_bytes();
	report.ok = pump_new(&ends, setup->quiet_ms, &pump, &err);
	if (report.ok && setup->branch == BRANCH_PORTABLE)
		pump_set_portable(pump);
	if (report.ok && setup->branch >= BRANCH_LINES)
		pump_set_lines(pump, &keeping, &keeping);
	if (setup->branch == BRANCH_REFUSED || setup->branch == BRANCH_LINES_REFUSED)
		refuse_what_only_linux_has();
	while (report.ok) {
		report.ok = pump_run(pump, &report.end, &err);
		if (report.runs++ == 0)
			report.first_end = report.end;
		if (report.ok && report.end == PUMP_WOKEN) {
			char byte;

			(void)!read(wake_read, &byte, 1);
			pump_close_server_input(pump);
			continue;
		}
		break;
	}
	getrusage(RUSAGE_SELF, &usage);
	report.rss_growth = (size_t)usage.ru_maxrss * 1024 > before ? (size_t)usage.ru_maxrss * 1024 - before : 0;
	report.error_number = err.sys_errno;
	report.sigpipe_restored = signal(SIGPIPE, SIG_IGN) == SIG_DFL;
	report.flags_kept = true;
	for (int i = 0; i < 3; i++)
		if (client[i] >= 0 && (fcntl(client[i], F_GETFL) & O_NONBLOCK) != (flags[i] & O_NONBLOCK))
			report.flags_kept = false;
	if (pump != NULL) {
		report.counts = pump_counts(pump);
		tail = pump_stderr_tail(pump, &report.tail_length);
		memcpy(report.tail, tail, report.tail_length);
	}
	pump_free(pump);
	kill(server, SIGKILL);
	waitpid(server, NULL, 0);
	if (write(report_fd, &report, sizeof(report)) != (ssize_t)sizeof(report))
		_exit(92);
	_exit(0);
}

static bool wait_for(int fd, short events)
{
	struct pollfd one = { .fd = fd, .events = events };

	return poll(&one, 1, PATIENCE_MS) == 1;
}

/* Content that needs no memory: a byte by its position. */
static unsigned char byte_at(uint64_t position)
{
	uint64_t x = (position + 1) * 0x9e3779b97f4a7c15u;

	x ^= x >> 29;
	x *= 0xbf58476d1ce4e5b9u;
	return (unsigned char)(x >> 56);
}

static void fill(unsigned char *bytes, size_t count, uint64_t from)
{
	for (size_t i = 0; i < count; i++)
		bytes[i] = byte_at(from + i);
}

static bool matches(const unsigned char *bytes, size_t count, uint64_t from)
{
	for (size_t i = 0; i < count; i++)
		if (bytes[i] != byte_at(from + i))
			return false;
	return true;
}

static void write_all(int fd, const void *bytes, size_t count)
{
	const char *from = bytes;

	while (count > 0) {
		ssize_t written;

		assert_true(wait_for(fd, POLLOUT));
		written = write(fd, from, count);
		if (written < 0 && errno == EAGAIN)
			continue;
		assert_true(written > 0);
		from += written;
		count -= (size_t)written;
	}
}

static void write_pattern(int fd, size_t total)
{
	static unsigned char bytes[65521];

	for (size_t done = 0; done < total;) {
		size_t piece = total - done < sizeof(bytes) ? total - done : sizeof(bytes);

		fill(bytes, piece, done);
		write_all(fd, bytes, piece);
		done += piece;
	}
}

static void fill_pipe(int fd)
{
	static const char zeros[4096];
	int flags = fcntl(fd, F_GETFL);

	fcntl(fd, F_SETFL, flags | O_NONBLOCK);
	while (write(fd, zeros, sizeof(zeros)) > 0)
		continue;
	assert_int_equal(errno, EAGAIN);
	fcntl(fd, F_SETFL, flags);
}

static void rig_start(struct rig *rig, const struct setup *setup)
{
	int in[2];
	int out[2];
	int err[2];
	int wake[2];
	int report[2];
	struct pump_ends ends;

	make_ends(setup->in, true, NULL, in);
	if (setup->in == FD_FILE) {
		write_pattern(in[0], setup->in_bytes);
		lseek(in[0], 0, SEEK_SET);
	}
	make_ends(setup->out, false, setup->out_path, out);
	if (setup->err_is_out) {
		err[0] = -1;
		err[1] = dup(out[1]);
	} else {
		make_ends(setup->err, false, NULL, err);
	}
	if (setup->err_full)
		fill_pipe(err[1]);
	make_pipe(wake);
	make_pipe(report);
	ends = (struct pump_ends){ .client_in = in[1], .client_out = out[1], .client_err = err[1] };
	fflush(NULL);
	rig->pid = fork();
	assert_true(rig->pid >= 0);
	if (rig->pid == 0) {
		close_one(&in[0]);
		close_one(&out[0]);
		close_one(&err[0]);
		close_one(&wake[1]);
		close_one(&report[0]);
		pump_process(setup, ends, wake[0], report[1]);
	}
	close_one(&in[1]);
	close_one(&out[1]);
	close_one(&err[1]);
	close_one(&wake[0]);
	close_one(&report[1]);
	rig->in = in[0];
	rig->out = out[0];
	rig->err = err[0];
	rig->wake = wake[1];
	rig->report = report[0];
}

/* Waits for the end of the pump; what it must never do is checked for every run of every test. */
static struct report rig_finish(struct rig *rig)
{
	struct report report;
	struct pollfd fd = { .fd = rig->report, .events = POLLIN };
	int status = 0;

	assert_int_equal(poll(&fd, 1, PATIENCE_MS), 1);
	assert_int_equal(read(rig->report, &report, sizeof(report)), sizeof(report));
	assert_int_equal(waitpid(rig->pid, &status, 0), rig->pid);
	assert_int_equal(status, 0);
	close_one(&rig->in);
	close_one(&rig->out);
	close_one(&rig->err);
	close_one(&rig->wake);
	close_one(&rig->report);
	assert_true(report.flags_kept);
	assert_true(report.sigpipe_restored);
	return report;
}

static bool rig_is_running(const struct rig *rig, int wait_ms)
{
	struct pollfd fd = { .fd = rig->report, .events = POLLIN };

	return poll(&fd, 1, wait_ms) == 0;
}

/*
 * Sends `total` bytes and reads them back as they come. Lazy: nothing is read before nothing more can be sent, then
 * one piece, so that every buffer on the way is full nearly all the time.
 */
static void echo_through(const struct rig *rig, uint64_t total, bool lazy)
{
	enum { PIECE = 65521 };
	static unsigned char outgoing[PIECE];
	static unsigned char incoming[PIECE];
	uint64_t sent = 0;
	uint64_t received = 0;

	while (received < total) {
		struct pollfd fds[2] = { { .fd = sent < total ? rig->in : -1, .events = POLLOUT },
			                 { .fd = rig->out, .events = POLLIN } };
		bool hold_back = lazy && sent < total;
		ssize_t count;

		if (hold_back)
			fds[1].fd = -1;
		if (poll(fds, 2, hold_back ? 3 : PATIENCE_MS) == 0) {
			assert_true(hold_back);
			fds[0].revents = 0;
			fds[1].revents = POLLIN;
		}
		if (fds[0].revents != 0) {
			size_t piece = total - sent < PIECE ? (size_t)(total - sent) : PIECE;

			fill(outgoing, piece, sent);
			count = write(rig->in, outgoing, piece);
			assert_true(count > 0 || errno == EAGAIN);
			sent += count > 0 ? (uint64_t)count : 0;
		}
		if (fds[1].revents != 0) {
			count = read(rig->out, incoming, PIECE);
			assert_true(count > 0 || (count < 0 && errno == EAGAIN));
			if (count > 0) {
				assert_true(matches(incoming, (size_t)count, received));
				received += (uint64_t)count;
			}
		}
	}
	assert_int_equal(received, total);
}

/* Everything up to the end of file; with `check`, -1 when a byte is not byte_at(). */
static int64_t read_to_end(int fd, bool check)
{
	static unsigned char bytes[65521];
	int64_t total = 0;

	for (;;) {
		ssize_t count;

		assert_true(wait_for(fd, POLLIN));
		count = read(fd, bytes, sizeof(bytes));
		if (count < 0 && errno == EAGAIN)
			continue;
		if (count <= 0) /* EIO: a terminal without the other side */
			return total;
		if (check && !matches(bytes, (size_t)count, (uint64_t)total))
			return -1;
		total += count;
	}
}

static void expect_text(int fd, const char *expected)
{
	char text[256] = { 0 };
	size_t length = 0;

	while (length < strlen(expected)) {
		ssize_t count;

		assert_true(wait_for(fd, POLLIN));
		count = read(fd, text + length, strlen(expected) - length);
		if (count < 0 && errno == EAGAIN)
			continue;
		assert_true(count > 0);
		length += (size_t)count;
	}
	assert_string_equal(text, expected);
}

static struct setup setup_of(void **state, const char *script)
{
	return (struct setup){ .branch = *(const enum branch *)*state,
		               .script = script,
		               .in = FD_PIPE,
		               .out = FD_PIPE,
		               .err = FD_PIPE,
		               .quiet_ms = QUIET_NEVER_MS };
}

/* --- bytes */

static void echo_once(struct setup setup, size_t total, bool lazy)
{
	struct rig rig;
	struct report report;

	setup.in_bytes = total;
	rig_start(&rig, &setup);
	if (setup.in != FD_FILE && setup.out != FD_FILE)
		echo_through(&rig, total, lazy);
	else if (setup.in != FD_FILE)
		write_pattern(rig.in, total);
	if (setup.in == FD_PTY && setup.out == FD_FILE) {
		/* Closing a terminal throws away what was not read from it. */
		struct stat info = { 0 };

		while (fstat(rig.out, &info) == 0 && (size_t)info.st_size < total)
			assert_true(rig_is_running(&rig, 1));
	}
	close_one(&rig.in);
	if (setup.in == FD_FILE && setup.out != FD_FILE)
		assert_int_equal(read_to_end(rig.out, true), total);
	assert_true(wait_for(rig.report, POLLIN));
	if (setup.out == FD_FILE) {
		lseek(rig.out, 0, SEEK_SET);
		assert_int_equal(read_to_end(rig.out, true), total);
	}
	report = rig_finish(&rig);
	assert_true(report.ok);
	assert_int_equal(report.end, PUMP_SERVER_ENDED);
	assert_true(report.counts.client_closed);
	assert_int_equal(report.counts.to_server, total);
	assert_int_equal(report.counts.to_client, total);
	assert_int_equal(report.counts.to_stderr, 0);
}

static void every_byte_arrives_through_every_kind_of_descriptor(void **state)
{
	static const size_t sizes[] = { 0, 1, 4095, 4096, 4097, 65535, 65536, 65537, MIB, MIB + 1, 3 * MIB };

	for (int in = FD_PIPE; in <= FD_FILE; in++) {
		for (int out = FD_PIPE; out <= FD_FILE; out++) {
			for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
				struct setup setup = setup_of(state, "exec cat");

				if ((in == FD_PTY || out == FD_PTY) && sizes[i] > MIB)
					continue; /* a terminal takes 4 KiB at a time */
				/* The end of a terminal throws away what is in it, so nobody can read to the end. */
				if (in == FD_FILE && out == FD_PTY)
					continue;
				setup.in = (enum fd_kind)in;
				setup.out = (enum fd_kind)out;
				echo_once(setup, sizes[i], false);
			}
		}
	}
}

static void full_buffers_everywhere_lose_nothing(void **state)
{
	for (int in = FD_PIPE; in <= FD_PTY; in++) {
		for (int out = FD_PIPE; out <= FD_PTY; out++) {
			struct setup setup = setup_of(state, "exec cat");

			setup.in = (enum fd_kind)in;
			setup.out = (enum fd_kind)out;
			echo_once(setup, in == FD_PTY || out == FD_PTY ? 200000 : 6 * MIB, true);
		}
	}
}

/* 64 MiB without a newline, both ways. The ceiling is made of the buffers' ceilings: one for each direction. */
static void memory_is_bounded(void **state)
{
	static const enum fd_kind kinds[] = { FD_PIPE, FD_SOCKET };

	for (size_t i = 0; i < 2; i++) {
		struct setup setup = setup_of(state, "exec cat");
		struct rig rig;
		struct report report;

		setup.in = setup.out = kinds[i];
		rig_start(&rig, &setup);
		echo_through(&rig, 64 * MIB, false);
		close_one(&rig.in);
		report = rig_finish(&rig);
		assert_int_equal(report.end, PUMP_SERVER_ENDED);
		assert_int_equal(report.counts.to_client, 64 * MIB);
		assert_true(report.rss_growth < 3 * LIMIT_RELAY_BYTES);
	}
}

/* --- how it ends */

static void replies_after_the_end_of_input_are_delivered(void **state)
{
	static const enum fd_kind kinds[] = { FD_PIPE, FD_SOCKET };

	for (size_t i = 0; i < 4; i++) {
		/* It answers only after it has read everything. */
		struct setup setup =
		    setup_of(state, "f=$(mktemp) && cat >\"$f\" && cat \"$f\" && rm \"$f\" && echo done >&2");
		struct rig rig;
		struct report report;

		setup.in = kinds[i / 2];
		setup.out = kinds[i % 2];
		rig_start(&rig, &setup);
		write_pattern(rig.in, 3 * MIB);
		close_one(&rig.in);
		assert_int_equal(read_to_end(rig.out, true), 3 * MIB);
		expect_text(rig.err, "done\n");
		report = rig_finish(&rig);
		assert_int_equal(report.end, PUMP_SERVER_ENDED);
		assert_true(report.counts.client_closed);
		assert_int_equal(report.counts.to_server, 3 * MIB);
		assert_int_equal(report.counts.to_client, 3 * MIB);
		assert_int_equal(report.counts.to_stderr, 5);
	}
}

static void every_request_gets_its_reply(void **state)
{
	struct setup setup = setup_of(state, "while read -r n; do sleep 0.002; echo \"reply $n\"; done");
	struct rig rig;
	char line[32];

	rig_start(&rig, &setup);
	for (int i = 0; i < 200; i++) {
		snprintf(line, sizeof(line), "%d\n", i);
		write_all(rig.in, line, strlen(line));
	}
	close_one(&rig.in);
	for (int i = 0; i < 200; i++) {
		snprintf(line, sizeof(line), "reply %d\n", i);
		expect_text(rig.out, line);
	}
	assert_int_equal(rig_finish(&rig).end, PUMP_SERVER_ENDED);
}

static void no_client_input_is_end_of_input(void **state)
{
	struct setup setup = setup_of(state, "cat; echo end");
	struct rig rig;
	struct report report;

	setup.in = FD_ABSENT;
	rig_start(&rig, &setup);
	expect_text(rig.out, "end\n");
	report = rig_finish(&rig);
	assert_int_equal(report.end, PUMP_SERVER_ENDED);
	assert_false(report.counts.client_closed);
}

static void absent_outputs_are_thrown_away(void **state)
{
	struct setup setup = setup_of(state, "head -c 300000 /dev/zero; head -c 300000 /dev/zero >&2");
	struct rig rig;
	struct report report;

	setup.out = setup.err = FD_ABSENT;
	rig_start(&rig, &setup);
	report = rig_finish(&rig);
	assert_int_equal(report.end, PUMP_SERVER_ENDED);
	assert_int_equal(report.counts.to_client, 0);
	assert_int_equal(report.tail_length, PUMP_STDERR_TAIL_BYTES);
}

static void a_silent_server_is_stuck(void **state)
{
	struct setup setup = setup_of(state, "echo ready; exec sleep 1000");
	struct rig rig;
	struct report report;

	setup.quiet_ms = 50;
	rig_start(&rig, &setup);
	expect_text(rig.out, "ready\n");
	/* Silence counts only after the end of input. */
	assert_true(rig_is_running(&rig, 200));
	close_one(&rig.in);
	report = rig_finish(&rig);
	assert_int_equal(report.end, PUMP_SERVER_STUCK);
	assert_true(report.counts.client_closed);
}

static void a_server_that_writes_is_not_stuck(void **state)
{
	static const char *const scripts[] = {
		"cat; for i in 1 2 3 4 5 6; do sleep 0.2; echo $i; done",
		"cat; for i in 1 2 3 4 5 6; do sleep 0.2; echo $i >&2; done",
	};

	for (size_t i = 0; i < 2; i++) {
		struct setup setup = setup_of(state, scripts[i]);
		struct rig rig;

		setup.quiet_ms = 1000; /* less than the whole, much more than one pause */
		rig_start(&rig, &setup);
		close_one(&rig.in);
		expect_text(i == 0 ? rig.out : rig.err, "1\n2\n3\n4\n5\n6\n");
		assert_int_equal(rig_finish(&rig).end, PUMP_SERVER_ENDED);
	}
}

static void a_server_held_up_by_the_client_is_not_stuck(void **state)
{
	struct setup setup = setup_of(state, "exec head -c 8000000 /dev/zero");
	struct rig rig;

	setup.quiet_ms = 500;
	rig_start(&rig, &setup);
	assert_true(wait_for(rig.out, POLLIN));
	close_one(&rig.in);
	assert_true(rig_is_running(&rig, 1000));
	assert_int_equal(read_to_end(rig.out, false), 8000000);
	assert_int_equal(rig_finish(&rig).end, PUMP_SERVER_ENDED);
}

static void a_client_that_closes_stdout_is_gone(void **state)
{
	static const char *const scripts[] = { "echo ready; exec sleep 1000", "echo ready; exec yes" };

	for (int out = FD_PIPE; out <= FD_PTY; out++) {
		for (size_t i = 0; i < 2; i++) {
			struct setup setup = setup_of(state, scripts[i]);
			struct rig rig;
			struct report report;

			setup.out = (enum fd_kind)out;
			rig_start(&rig, &setup);
			expect_text(rig.out, "ready\n");
			close_one(&rig.out);
			report = rig_finish(&rig);
			assert_true(report.ok);
			assert_int_equal(report.end, PUMP_CLIENT_GONE);
			assert_false(report.counts.client_closed);
		}
	}
}

static void a_full_disk_is_an_error(void **state)
{
	struct setup setup = setup_of(state, "echo hello; exec sleep 1000");
	struct rig rig;
	struct report report;

	setup.out = FD_FILE;
	setup.out_path = "/dev/full";
	rig_start(&rig, &setup);
	report = rig_finish(&rig);
	assert_false(report.ok);
	assert_int_equal(report.error_number, ENOSPC);
}

static void a_server_that_closes_stdout_is_waited_for(void **state)
{
	struct setup setup = setup_of(state, "exec 1>&-; echo closed >&2; read -r x; echo \"$x\" >&2");
	struct rig rig;

	rig_start(&rig, &setup);
	expect_text(rig.err, "closed\n");
	assert_true(rig_is_running(&rig, 50));
	write_all(rig.in, "over\n", 5);
	expect_text(rig.err, "over\n");
	assert_int_equal(rig_finish(&rig).end, PUMP_SERVER_ENDED);
}

static void a_server_that_closes_stdin_is_still_heard(void **state)
{
	static const enum fd_kind kinds[] = { FD_PIPE, FD_SOCKET };

	for (size_t i = 0; i < 2; i++) {
		char directory[] = "/tmp/test-pump-XXXXXX";
		char fifo[64];
		char script[128];
		struct setup setup = setup_of(state, script);
		struct rig rig;
		struct report report;
		int release;

		assert_non_null(mkdtemp(directory));
		snprintf(fifo, sizeof(fifo), "%s/fifo", directory);
		assert_int_equal(mkfifo(fifo, 0600), 0);
		snprintf(script, sizeof(script), "exec 0<&-; echo one; read -r x <%s; echo two", fifo);
		setup.in = kinds[i];
		rig_start(&rig, &setup);
		expect_text(rig.out, "one\n");
		/* The client learns it as from a server without npxc, without writing anything. */
		assert_true(wait_for(rig.in, 0));
		assert_int_equal(write(rig.in, "x", 1), -1);
		assert_int_equal(errno, EPIPE);
		release = open(fifo, O_WRONLY);
		write_all(release, "\n", 1);
		close(release);
		unlink(fifo);
		rmdir(directory);
		expect_text(rig.out, "two\n");
		report = rig_finish(&rig);
		assert_int_equal(report.end, PUMP_SERVER_ENDED);
		assert_false(report.counts.client_closed);
	}
}

static void a_helper_that_keeps_stdout_is_not_waited_for(void **state)
{
	struct setup setup = setup_of(state, "sleep 1000 9>&- & echo $!; head -c 100000 /dev/zero; exit 0");
	struct rig rig;
	struct report report;
	char text[32] = { 0 };
	size_t length = 0;

	rig_start(&rig, &setup);
	while (strchr(text, '\n') == NULL) {
		assert_true(length < sizeof(text) - 1 && wait_for(rig.out, POLLIN));
		if (read(rig.out, text + length, 1) == 1)
			length++;
	}
	assert_true(atoi(text) > 1);
	/* The pump ends, and with it the client's stdout, while the helper still has its own. */
	assert_int_equal(read_to_end(rig.out, false), 100000);
	report = rig_finish(&rig);
	assert_int_equal(kill(atoi(text), SIGKILL), 0);
	assert_int_equal(report.end, PUMP_SERVER_ENDED);
}

static void a_helper_that_writes_for_ever_is_not_waited_for(void **state)
{
	struct setup setup = setup_of(state, "yes 9>&- & echo $! >&2; read -r x; exit 0");
	struct rig rig;
	struct report report;

	rig_start(&rig, &setup);
	/* It is at work when the server ends. */
	expect_text(rig.out, "y\ny\n");
	write_all(rig.in, "\n", 1);
	assert_true(read_to_end(rig.out, false) >= 0);
	report = rig_finish(&rig);
	assert_int_equal(report.end, PUMP_SERVER_ENDED);
	report.tail[report.tail_length < sizeof(report.tail) ? report.tail_length : 0] = '\0';
	kill(atoi(report.tail), SIGKILL); /* or SIGPIPE was faster */
}

static void what_a_dead_server_left_is_delivered(void **state)
{
	static const enum fd_kind kinds[] = { FD_PIPE, FD_SOCKET, FD_FILE };

	for (size_t i = 0; i < 3; i++) {
		/* Its own pipe takes this without anybody reading. */
		struct setup setup =
		    setup_of(state, "head -c 60000 /dev/zero; head -c 60000 /dev/zero >&2; kill -9 $$");
		struct rig rig;
		struct report report;

		setup.out = setup.err = kinds[i];
		rig_start(&rig, &setup);
		if (kinds[i] != FD_FILE) {
			assert_int_equal(read_to_end(rig.out, false), 60000);
			assert_int_equal(read_to_end(rig.err, false), 60000);
		}
		report = rig_finish(&rig);
		assert_int_equal(report.end, PUMP_SERVER_ENDED);
		assert_int_equal(report.counts.to_client, 60000);
		assert_int_equal(report.counts.to_stderr, 60000);
	}
}

static void without_an_exit_descriptor_closed_outputs_are_the_end(void **state)
{
	struct setup setup = setup_of(state, "exec 9>&-; cat; exec 1>&-; echo late >&2");
	struct rig rig;

	setup.no_exit_fd = true;
	rig_start(&rig, &setup);
	echo_through(&rig, 100000, false);
	close_one(&rig.in);
	expect_text(rig.err, "late\n");
	assert_int_equal(rig_finish(&rig).end, PUMP_SERVER_ENDED);
}

static void woken_it_goes_on(void **state)
{
	struct setup setup = setup_of(state, "cat; echo bye");
	struct rig rig;
	struct report report;

	rig_start(&rig, &setup);
	echo_through(&rig, 100000, false);
	write_all(rig.wake, "x", 1);
	/* The test's pump closes the server's input then. */
	expect_text(rig.out, "bye\n");
	report = rig_finish(&rig);
	assert_int_equal(report.first_end, PUMP_WOKEN);
	assert_int_equal(report.end, PUMP_SERVER_ENDED);
	assert_int_equal(report.runs, 2);
	assert_false(report.counts.client_closed);
}

/* Whoever does not read must not keep the loop from seeing anything else. */
static void nothing_makes_the_loop_wait(void **state)
{
	static const char *const scripts[] = { "exec yes", "exec yes >&2", "yes & exec yes >&2" };

	for (int out = FD_PIPE; out <= FD_PTY; out++) {
		for (size_t i = 0; i < sizeof(scripts) / sizeof(scripts[0]); i++) {
			struct setup setup = setup_of(state, scripts[i]);
			struct rig rig;
			struct report report;

			setup.out = setup.err = (enum fd_kind)out;
			if (i == 1)
				setup.quiet_ms = 100;
			rig_start(&rig, &setup);
			assert_true(wait_for(i == 1 ? rig.err : rig.out, POLLIN));
			assert_true(rig_is_running(&rig, 100)); /* everything is full by now, most likely */
			write_all(rig.wake, "x", 1);
			if (i != 1) {
				assert_true(rig_is_running(&rig, 100));
				close_one(&rig.out);
			}
			report = rig_finish(&rig);
			assert_int_equal(report.first_end, PUMP_WOKEN);
			assert_int_equal(report.end, i == 1 ? PUMP_SERVER_STUCK : PUMP_CLIENT_GONE);
		}
	}
}

static void the_clients_requests_do_not_pile_up(void **state)
{
	static unsigned char bytes[65536];
	struct setup setup = setup_of(state, "echo ready; exec sleep 1000");

	for (int in = FD_PIPE; in <= FD_SOCKET; in++) {
		struct rig rig;
		struct report report;
		uint64_t sent = 0;
		struct pollfd fd;

		setup.in = (enum fd_kind)in;
		rig_start(&rig, &setup);
		expect_text(rig.out, "ready\n");
		fd = (struct pollfd){ .fd = rig.in, .events = POLLOUT };
		while (poll(&fd, 1, 200) == 1) {
			ssize_t count = write(rig.in, bytes, sizeof(bytes));

			sent += count > 0 ? (uint64_t)count : 0;
			/* The client's pipe, the pump, the server's pipe. */
			assert_true(sent <= 3 * LIMIT_RELAY_BYTES);
		}
		close_one(&rig.out);
		report = rig_finish(&rig);
		assert_int_equal(report.end, PUMP_CLIENT_GONE);
		assert_true(report.counts.to_server <= sent);
	}
}

/* --- stderr */

static void a_client_without_stderr_does_not_block_the_server(void **state)
{
	for (int kind = FD_PIPE; kind <= FD_PTY; kind++) {
		struct setup setup = setup_of(state, "read -r x; head -c 1000000 /dev/zero >&2; echo done; cat");
		struct rig rig;
		struct report report;

		setup.err = (enum fd_kind)kind;
		rig_start(&rig, &setup);
		close_one(&rig.err);
		write_all(rig.in, "\n", 1);
		expect_text(rig.out, "done\n");
		close_one(&rig.in);
		report = rig_finish(&rig);
		assert_int_equal(report.end, PUMP_SERVER_ENDED);
		assert_int_equal(report.tail_length, PUMP_STDERR_TAIL_BYTES);
	}
}

static void unread_stderr_does_not_hold_up_stdout(void **state)
{
	for (int kind = FD_PIPE; kind <= FD_SOCKET; kind++) {
		struct setup setup = setup_of(state, "{ head -c 4000000 /dev/zero; echo; } >&2 & cat; wait; exit 0");
		struct rig rig;
		struct report report;

		setup.err = (enum fd_kind)kind;
		rig_start(&rig, &setup);
		assert_true(wait_for(rig.err, POLLIN));
		echo_through(&rig, 3 * MIB, false);
		close_one(&rig.in);
		assert_int_equal(read_to_end(rig.err, false), 4000001);
		report = rig_finish(&rig);
		assert_int_equal(report.end, PUMP_SERVER_ENDED);
		assert_int_equal(report.counts.to_stderr, 4000001);
	}
}

static void unread_stderr_does_not_outlive_the_server_for_ever(void **state)
{
	struct setup setup = setup_of(state, "head -c 60000 /dev/zero >&2; exit 0");
	struct rig rig;
	struct report report;

	setup.err_full = true;
	setup.quiet_ms = 50;
	rig_start(&rig, &setup);
	report = rig_finish(&rig);
	assert_int_equal(report.end, PUMP_SERVER_ENDED);
	assert_int_equal(report.counts.to_stderr, 0);
	assert_int_equal(report.tail_length, PUMP_STDERR_TAIL_BYTES);
}

static void the_end_of_stderr_is_kept(void **state)
{
	static const struct {
		const char *script;
		size_t first, count; /* numbers, eight bytes each */
	} cases[] = {
		{ "for i in 1000001 1000002; do echo $i >&2; done", 1000001, 2 },
		{ "i=1000000; while [ $i -lt 1002000 ]; do i=$((i+1)); echo $i >&2; done", 1001489, 512 },
		{ "seq 1000001 1100000 >&2", 1099489, 512 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct setup setup = setup_of(state, cases[i].script);
		char expected[PUMP_STDERR_TAIL_BYTES + 1];
		struct rig rig;
		struct report report;

		for (size_t n = 0; n < cases[i].count; n++)
			snprintf(expected + n * 8, 9, "%zu\n", cases[i].first + n);
		rig_start(&rig, &setup);
		read_to_end(rig.err, false);
		report = rig_finish(&rig);
		assert_int_equal(report.tail_length, cases[i].count * 8);
		assert_memory_equal(report.tail, expected, report.tail_length);
	}
}

static void stderr_and_stdout_may_be_one(void **state)
{
	for (int kind = FD_PIPE; kind <= FD_PTY; kind++) {
		struct setup setup = setup_of(state, "echo one; read -r x; echo two >&2; read -r x; echo three");
		struct rig rig;

		setup.out = (enum fd_kind)kind;
		setup.err_is_out = true;
		rig_start(&rig, &setup);
		expect_text(rig.out, "one\n");
		write_all(rig.in, "\n", 1);
		expect_text(rig.out, kind == FD_PTY ? "| two\n" : "two\n"); /* a terminal shows whose it is */
		write_all(rig.in, "\n", 1);
		expect_text(rig.out, "three\n");
		assert_int_equal(rig_finish(&rig).end, PUMP_SERVER_ENDED);
	}
}

static void a_bad_server_end_closes_the_others(void **state)
{
	struct npxc_error err = { 0 };
	struct pump *pump = NULL;
	int in[2];
	int out[2];
	int closed[2];
	struct pump_ends ends;

	(void)state;
	make_pipe(in);
	make_pipe(out);
	make_pipe(closed);
	close(closed[0]);
	close(closed[1]);
	ends = (struct pump_ends){ .client_in = -1,
		                   .client_out = -1,
		                   .client_err = -1,
		                   .server_in = in[1],
		                   .server_out = closed[0],
		                   .server_err = out[0],
		                   .wake = -1,
		                   .server_exit = -1 };
	assert_false(pump_new(&ends, 0, &pump, &err));
	assert_null(pump);
	assert_int_equal(err.kind, ERROR_IO);
	assert_int_equal(err.sys_errno, EBADF);
	assert_int_equal(fcntl(in[1], F_GETFD), -1);
	assert_int_equal(fcntl(out[0], F_GETFD), -1);
	close(in[0]);
	close(out[1]);
	pump_free(NULL);
}

#define IN_BRANCH(test, name, branch)                                            \
	{                                                                        \
#test " (" name ")", test, NULL, NULL, (void *)&branches[branch] \
	}
#define EVERY_BRANCH(test)                                                                      \
	IN_BRANCH(test, "native", BRANCH_NATIVE), IN_BRANCH(test, "portable", BRANCH_PORTABLE), \
	    IN_BRANCH(test, "refused", BRANCH_REFUSED), IN_BRANCH(test, "lines", BRANCH_LINES), \
	    IN_BRANCH(test, "lines, refused", BRANCH_LINES_REFUSED)

int main(void)
{
	static const enum branch branches[] = { BRANCH_NATIVE, BRANCH_PORTABLE, BRANCH_REFUSED, BRANCH_LINES,
		                                BRANCH_LINES_REFUSED };
	const struct CMUnitTest tests[] = {
		EVERY_BRANCH(every_byte_arrives_through_every_kind_of_descriptor),
		EVERY_BRANCH(full_buffers_everywhere_lose_nothing),
		EVERY_BRANCH(memory_is_bounded),
		EVERY_BRANCH(replies_after_the_end_of_input_are_delivered),
		IN_BRANCH(every_request_gets_its_reply, "native", BRANCH_NATIVE),
		EVERY_BRANCH(no_client_input_is_end_of_input),
		EVERY_BRANCH(absent_outputs_are_thrown_away),
		EVERY_BRANCH(a_silent_server_is_stuck),
		IN_BRANCH(a_server_that_writes_is_not_stuck, "native", BRANCH_NATIVE),
		EVERY_BRANCH(a_server_held_up_by_the_client_is_not_stuck),
		EVERY_BRANCH(a_client_that_closes_stdout_is_gone),
		EVERY_BRANCH(a_full_disk_is_an_error),
		EVERY_BRANCH(a_server_that_closes_stdout_is_waited_for),
		EVERY_BRANCH(a_server_that_closes_stdin_is_still_heard),
		EVERY_BRANCH(a_helper_that_keeps_stdout_is_not_waited_for),
		EVERY_BRANCH(a_helper_that_writes_for_ever_is_not_waited_for),
		EVERY_BRANCH(what_a_dead_server_left_is_delivered),
		EVERY_BRANCH(without_an_exit_descriptor_closed_outputs_are_the_end),
		EVERY_BRANCH(woken_it_goes_on),
		EVERY_BRANCH(nothing_makes_the_loop_wait),
		EVERY_BRANCH(the_clients_requests_do_not_pile_up),
		EVERY_BRANCH(a_client_without_stderr_does_not_block_the_server),
		EVERY_BRANCH(unread_stderr_does_not_hold_up_stdout),
		EVERY_BRANCH(unread_stderr_does_not_outlive_the_server_for_ever),
		EVERY_BRANCH(the_end_of_stderr_is_kept),
		EVERY_BRANCH(stderr_and_stdout_may_be_one),
		cmocka_unit_test(a_bad_server_end_closes_the_others),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("pump", tests, NULL, NULL);
}
