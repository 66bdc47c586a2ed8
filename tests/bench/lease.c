/*
 * What a session's lease and the look for dead ones cost a start:
 *
 *   lease DIRECTORY ROUNDS
 *
 * ROUNDS times: writes the lines of a session on bubblewrap, each synced or not as the janitor does, and looks whether
 * there is a dead one in DIRECTORY. Prints one line per round: microseconds of either.
 */
#include "teardown/lease.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static double now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static void must(bool fine, const struct npxc_error *err)
{
	if (!fine) {
		fprintf(stderr, "lease: %s\n", err->message);
		exit(1);
	}
}

static void append(int fd, char *line, bool durable)
{
	struct npxc_error err = { 0 };

	must(lease_append(fd, line, durable, &err), &err);
	free(line);
}

static void write_one(const char *directory, const char *text)
{
	struct npxc_error err = { 0 };
	mem_cleanup char *id = lease_new_id(directory);
	mem_cleanup char *path = lease_path(directory, id);
	const struct lease_process process = { .pid = getpid(), .started = 1 };
	struct lease_entry workspace = { .id = 1, .kind = RESOURCE_DIRECTORY };
	struct lease_entry cgroup = { .id = 2, .kind = RESOURCE_CGROUP };
	int fd = -1;

	strv_pushf(&workspace.words, "%s/npxc-bench-%s", directory, id);
	strv_pushf(&cgroup.words, "/sys/fs/cgroup/pids/npxc-bench-%s", id);
	must(lease_create(path, text, &fd, &err), &err);
	append(fd, lease_line_hold(&workspace), true);
	append(fd, lease_line_hold(&cgroup), false);
	append(fd, lease_line_sandbox(&process, GROUP_STOP_INNER), false);
	close(fd);
	unlink(path);
	lease_entry_done(&workspace);
	lease_entry_done(&cgroup);
}

int main(int argc, char **argv)
{
	const int rounds = argc > 2 ? atoi(argv[2]) : 0;
	struct lease lease = { .id = (char[]){ "0123abcd" },
		               .npxc = (char[]){ "bench" },
		               .boot = (char[]){ "another" },
		               .launcher = { 2, 3 },
		               .janitor = { 2, 3 },
		               .client = { 2, 3 },
		               .client_name = (char[]){ "bench" },
		               .name = (char[]){ "npxc-bench-0123abcd" },
		               .package = (char[]){ "bench" },
		               .version = (char[]){ "1.0.0" },
		               .runtime = (char[]){ "bwrap" },
		               .policy = (char[]){ "none" },
		               .link = (char[]){ "" } };
	mem_cleanup char *header = lease_line_header(&lease);
	mem_cleanup char *facts = lease_line_facts(&lease);
	mem_cleanup char *text = str_printf("%s%s", header, facts);

	if (argc != 3)
		return 2;
	for (int i = 0; i < rounds; i++) {
		double began = now_us(), wrote;

		write_one(argv[1], text);
		wrote = now_us();
		(void)!lease_any_dead(argv[1], NULL);
		printf("%.1f %.1f\n", wrote - began, now_us() - wrote);
	}
	return 0;
}
