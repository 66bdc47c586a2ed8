#include "base/limits.h"
#include "mcp/pump.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/*
 * The programs that tests/bench/relay.py measures with. All of them use plain blocking calls, so that what differs
 * between two figures is what stands between two of these.
 *
 *   echo                             a server: writes back what it reads
 *   source BYTES WRITE               a server: writes BYTES in pieces of WRITE, then ends
 *   pump COMMAND...                  the relay alone: COMMAND is the server, 0, 1, 2 the client
 *   roundtrip KIND ROUNDS SIZE COMMAND...   a client: microseconds of each echo, one a line
 *   oneway KIND COMMAND...           a client: reads to the end; "BYTES SECONDS"
 *
 * KIND is pipe or socket: what COMMAND gets as stdin and stdout.
 */

enum { WARM_UP_ROUNDS = 200, MESSAGE_MAX = 65536 };

static void fail(const char *what)
{
	fprintf(stderr, "bench: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void write_whole(int fd, const char *bytes, size_t count)
{
	while (count > 0) {
		ssize_t written = write(fd, bytes, count);

		if (written < 0)
			fail("write");
		bytes += written;
		count -= (size_t)written;
	}
}

static size_t number(const char *text)
{
	char *end;
	unsigned long long value = strtoull(text, &end, 10);

	if (end == text || *end != '\0') {
		fprintf(stderr, "bench: not a number: %s\n", text);
		exit(1);
	}
	return (size_t)value;
}

static int run_echo(void)
{
	static char bytes[MESSAGE_MAX];

	for (;;) {
		ssize_t count = read(STDIN_FILENO, bytes, sizeof(bytes));

		if (count <= 0)
			return count < 0;
		write_whole(STDOUT_FILENO, bytes, (size_t)count);
	}
}

static int run_source(size_t total, size_t piece)
{
	char *bytes = calloc(1, piece);

	if (bytes == NULL)
		fail("memory");
	while (total > 0) {
		size_t count = total < piece ? total : piece;

		write_whole(STDOUT_FILENO, bytes, count);
		total -= count;
	}
	free(bytes);
	return 0;
}

struct child {
	pid_t pid;
	int in, out;
};

static void make_pair(bool sockets, int ends[2])
{
	if ((sockets ? socketpair(AF_UNIX, SOCK_STREAM, 0, ends) : pipe(ends)) != 0)
		fail("pipe");
}

static struct child start(char **argv, bool sockets, int *ret_err)
{
	int in[2];
	int out[2];
	int err[2] = { -1, -1 };
	pid_t pid;

	make_pair(sockets, in);
	make_pair(sockets, out);
	if (ret_err != NULL)
		make_pair(false, err);
	pid = fork();
	if (pid < 0)
		fail("fork");
	if (pid == 0) {
		dup2(in[0], STDIN_FILENO);
		dup2(out[1], STDOUT_FILENO);
		if (ret_err != NULL)
			dup2(err[1], STDERR_FILENO);
		for (int fd = 3; fd < 32; fd++)
			close(fd);
		signal(SIGPIPE, SIG_DFL);
		execvp(argv[0], argv);
		fail(argv[0]);
	}
	close(in[0]);
	close(out[1]);
	if (ret_err != NULL) {
		close(err[1]);
		*ret_err = err[0];
	}
	return (struct child){ .pid = pid, .in = in[1], .out = out[0] };
}

static int run_pump(char **argv)
{
	struct npxc_error err = { 0 };
	struct pump *pump;
	enum pump_end end;
	int server_err;
	struct child server = start(argv, false, &server_err);
	struct pump_ends ends = { .client_in = STDIN_FILENO,
		                  .client_out = STDOUT_FILENO,
		                  .client_err = STDERR_FILENO,
		                  .server_in = server.in,
		                  .server_out = server.out,
		                  .server_err = server_err,
		                  .wake = -1,
		                  .server_exit = -1 };
	bool ok = pump_new(&ends, LIMIT_DRAIN_QUIET_MS, &pump, &err);

	if (ok && getenv("BENCH_PORTABLE") != NULL)
		pump_set_portable(pump);
	if (!ok || !pump_run(pump, &end, &err)) {
		fprintf(stderr, "bench: %s\n", err.message);
		return 1;
	}
	pump_free(pump);
	kill(server.pid, SIGKILL);
	waitpid(server.pid, NULL, 0);
	return 0;
}

static void finish(struct child *child)
{
	int status;

	close(child->in);
	close(child->out);
	if (waitpid(child->pid, &status, 0) != child->pid)
		fail("waitpid");
}

static void read_whole(int fd, char *bytes, size_t count)
{
	while (count > 0) {
		ssize_t got = read(fd, bytes, count);

		if (got <= 0) {
			fprintf(stderr, "bench: the server ended\n");
			exit(1);
		}
		bytes += got;
		count -= (size_t)got;
	}
}

static int run_roundtrip(bool sockets, size_t rounds, size_t size, char **argv)
{
	static char out[MESSAGE_MAX];
	static char in[MESSAGE_MAX];
	double *times = calloc(rounds, sizeof(*times));
	struct child child = start(argv, sockets, NULL);

	if (times == NULL || size == 0 || size > MESSAGE_MAX)
		fail("size");
	memset(out, 'x', size);
	out[size - 1] = '\n';
	for (size_t i = 0; i < WARM_UP_ROUNDS + rounds; i++) {
		double before = now_us();

		write_whole(child.in, out, size);
		read_whole(child.out, in, size);
		if (i >= WARM_UP_ROUNDS)
			times[i - WARM_UP_ROUNDS] = now_us() - before;
		if (memcmp(in, out, size) != 0) {
			fprintf(stderr, "bench: the echo differs\n");
			return 1;
		}
	}
	finish(&child);
	for (size_t i = 0; i < rounds; i++)
		printf("%.2f\n", times[i]);
	free(times);
	return 0;
}

static int run_oneway(bool sockets, char **argv)
{
	char *bytes = malloc(MIB);
	struct child child = start(argv, sockets, NULL);
	uint64_t total = 0;
	double first = 0;
	double last = 0;

	if (bytes == NULL)
		fail("memory");
	/* From the first byte on: how long the programs take to start is measured elsewhere. */
	for (;;) {
		ssize_t count = read(child.out, bytes, MIB);

		if (count < 0)
			fail("read");
		last = now_us();
		if (count == 0)
			break;
		if (total == 0)
			first = last;
		total += (uint64_t)count;
	}
	finish(&child);
	free(bytes);
	printf("%llu %.6f\n", (unsigned long long)total, (last - first) / 1e6);
	return 0;
}

int main(int argc, char **argv)
{
	bool sockets = argc > 2 && strcmp(argv[2], "socket") == 0;

	signal(SIGPIPE, SIG_IGN);
	if (argc == 2 && strcmp(argv[1], "echo") == 0)
		return run_echo();
	if (argc == 4 && strcmp(argv[1], "source") == 0)
		return run_source(number(argv[2]), number(argv[3]));
	if (argc > 2 && strcmp(argv[1], "pump") == 0)
		return run_pump(argv + 2);
	if (argc > 5 && strcmp(argv[1], "roundtrip") == 0)
		return run_roundtrip(sockets, number(argv[3]), number(argv[4]), argv + 5);
	if (argc > 3 && strcmp(argv[1], "oneway") == 0)
		return run_oneway(sockets, argv + 3);
	fprintf(stderr, "usage: see the head of tests/bench/relay.c\n");
	return 2;
}
