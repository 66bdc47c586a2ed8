#include "relay/relay.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/str.h"
#include "config/config.h"
#include "relay/pump.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/*
 * The programs that tests/bench/relay.py measures with. All of them use plain blocking calls, so that what differs
 * between two figures is what stands between two of these.
 *
 *   echo                             a server: writes back what it reads
 *   source BYTES LINE                a server: writes BYTES as messages, each a line of LINE bytes, then ends
 *   pump COMMAND...                  the relay alone, raw: COMMAND is the server, 0, 1, 2 the client
 *   lines COMMAND...                 the same with all decisions about lines; at its end "rss KIB" (its peak) and
 *                                    "cpu SECONDS" on stderr
 *   calls ROUNDS EARLIER             microseconds of each tools/call of 1 KiB that names a file published before, there
 *                                    and its answer back, after EARLIER other publications
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

/* A message of `size` bytes, its newline included. Owned. */
static char *make_message(size_t size)
{
	static const char head[] = "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/x\",\"params\":{\"x\":\"";
	static const char tail[] = "\"}}\n";
	char *bytes = malloc(size);

	if (bytes == NULL || size < strlen(head) + strlen(tail))
		fail("size");
	memset(bytes, 'x', size);
	memcpy(bytes, head, strlen(head));
	memcpy(bytes + size - strlen(tail), tail, strlen(tail));
	return bytes;
}

static int run_source(size_t total, size_t size)
{
	/* As many whole lines in one write as a pipe takes at once, so that a short line is no short write. */
	const size_t lines = size >= 64 * KIB ? 1 : 64 * KIB / size;
	char *line = make_message(size);
	char *bytes = malloc(lines * size);

	if (bytes == NULL)
		fail("memory");
	for (size_t i = 0; i < lines; i++)
		memcpy(bytes + i * size, line, size);
	for (size_t left = total / size * size; left > 0;) {
		const size_t count = left < lines * size ? left : lines * size;

		write_whole(STDOUT_FILENO, bytes, count);
		left -= count;
	}
	free(bytes);
	free(line);
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

/* ---- the relay with its decisions ---- */

struct world {
	char *root, *cwd, *files, *stage;
	struct config config;
	struct config_package package;
	struct relay *relay;
	struct strv none;
};

static void open_world(struct world *w)
{
	struct npxc_error err;
	struct relay_settings settings;

	if (!file_make_temporary_directory("/tmp", "bench-relay-", &w->root, &err) ||
	    !config_parse(NULL, 0, "npxc.json", &w->config, &err) ||
	    !config_parse_package(NULL, 0, "package.json", &w->package, &err))
		fail(err.message);
	w->cwd = str_printf("%s/work", w->root);
	w->files = str_printf("%s/files", w->root);
	w->stage = str_printf("%s/stage", w->root);
	if (mkdir(w->cwd, 0755) != 0 || mkdir(w->files, 0755) != 0 || mkdir(w->stage, 0755) != 0)
		fail("mkdir");
	settings = (struct relay_settings){ .config = &w->config,
		                            .package = &w->package,
		                            .label = "server",
		                            .place = { .spellings = { w->cwd }, .home = "/nobody" },
		                            .in_scope = true,
		                            .cwd = w->cwd,
		                            .files = w->files,
		                            .stage = w->stage,
		                            .mounted = &w->none,
		                            .mount_points = &w->none,
		                            .arguments = &w->none };
	if (!relay_start(&settings, &w->relay, &err))
		fail(err.message);
}

static void close_world(struct world *w)
{
	struct npxc_error err;

	relay_free(w->relay);
	config_package_done(&w->package);
	config_done(&w->config);
	if (!file_remove_tree(w->root, &err))
		fail(err.message);
	free(w->root);
	free(w->cwd);
	free(w->files);
	free(w->stage);
}

static void put_file(const struct world *w, size_t index)
{
	char *path = str_printf("%s/f%zu", w->cwd, index);
	FILE *file = fopen(path, "w");

	if (file == NULL || fputs("x", file) < 0 || fclose(file) != 0)
		fail(path);
	free(path);
}

/* Its length; the line is in `text`. */
static void call_with(struct world *w, size_t index, struct buf *text, struct buf *reply)
{
	struct npxc_error err;

	text->length = reply->length = 0;
	if (!buf_appendf(text, &err,
	                 "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"t\","
	                 "\"arguments\":{\"x\":\"%s/f%zu\",\"pad\":\"%0850d\"}}}\n",
	                 w->cwd, index, 0) ||
	    relay_client_line(w->relay, text->data, text->length, reply) != LINES_SAME)
		fail("a call did not pass");
}

static int run_calls(size_t rounds, size_t earlier)
{
	struct buf out = BUF_INIT(MIB), reply = BUF_INIT(MIB);
	struct world w = { 0 };

	open_world(&w);
	for (size_t i = 0; i <= earlier; i++) {
		put_file(&w, i);
		call_with(&w, i, &out, &reply);
	}
	/* Old enough for its times to tell that it has not changed: what is measured is the ordinary case. */
	usleep(2 * LIMIT_STAMP_MS * 1000);
	call_with(&w, earlier / 2, &out, &reply);
	for (size_t i = 0; i < WARM_UP_ROUNDS + rounds; i++) {
		const double before = now_us();

		call_with(&w, earlier / 2, &out, &reply);
		/* The answer is the call's own text: it holds the path. */
		relay_server_bytes(w.relay, out.data, out.length, true);
		if (i >= WARM_UP_ROUNDS)
			printf("%.2f\n", now_us() - before);
	}
	buf_done(&out);
	buf_done(&reply);
	close_world(&w);
	return 0;
}

static int run_pump(char **argv, bool by_lines)
{
	struct npxc_error err = { 0 };
	struct world world = { 0 };
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
	if (ok && by_lines) {
		open_world(&world);
		relay_attach(world.relay, pump);
	}
	if (!ok || !pump_run(pump, &end, &err)) {
		fprintf(stderr, "bench: %s\n", err.message);
		return 1;
	}
	pump_free(pump);
	kill(server.pid, SIGKILL);
	waitpid(server.pid, NULL, 0);
	if (by_lines) {
		struct rusage usage;

		getrusage(RUSAGE_SELF, &usage);
		fprintf(stderr, "rss %ld\n", usage.ru_maxrss);
		fprintf(stderr, "cpu %.6f\n",
		        (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
		            (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6);
		close_world(&world);
	}
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
	char *message;

	if (times == NULL || size == 0 || size > MESSAGE_MAX)
		fail("size");
	message = make_message(size);
	memcpy(out, message, size);
	free(message);
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
		return run_pump(argv + 2, false);
	if (argc > 2 && strcmp(argv[1], "lines") == 0)
		return run_pump(argv + 2, true);
	if (argc == 4 && strcmp(argv[1], "calls") == 0)
		return run_calls(number(argv[2]), number(argv[3]));
	if (argc > 5 && strcmp(argv[1], "roundtrip") == 0)
		return run_roundtrip(sockets, number(argv[3]), number(argv[4]), argv + 5);
	if (argc > 3 && strcmp(argv[1], "oneway") == 0)
		return run_oneway(sockets, argv + 3);
	fprintf(stderr, "usage: see the head of tests/bench/relay.c\n");
	return 2;
}
