#ifndef NPXC_TESTS_SESSION_H
#define NPXC_TESTS_SESSION_H

#include "unit.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/random.h"
#include "base/str.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* What the tests of janitor and sandbox share: real processes, and ways to await that they are gone. */

enum { PATIENCE_MS = 20000 }; /* only a failing test waits that long */

/* Orphans of a test become its own children: when waitpid(-1) says ECHILD, nothing that it started is left. */
static inline int adopt_orphans(void **state)
{
	(void)state;
	signal(SIGPIPE, SIG_IGN); /* as npxc does */
	return prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
}

static inline bool all_children_end(void)
{
	int64_t deadline = clock_now_ms() + PATIENCE_MS;

	while (clock_now_ms() < deadline) {
		pid_t got = waitpid(-1, NULL, WNOHANG);

		if (got == -1 && errno == ECHILD)
			return true;
		if (got == 0)
			poll(NULL, 0, 2);
	}
	return false;
}

/* A fork whose child does not outlive a test that fails. */
static inline pid_t fork_with_test(void)
{
	pid_t pid = fork();

	if (pid == 0)
		prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	assert_true(pid >= 0);
	return pid;
}

static inline bool proc_text(long pid, const char *file, char *text, size_t size, size_t *ret_count)
{
	char path[64];
	int fd;
	ssize_t count;

	snprintf(path, sizeof(path), "/proc/%ld/%s", pid, file);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd == -1)
		return false;
	count = read(fd, text, size - 1);
	close(fd);
	if (count < 0)
		return false;
	text[count] = '\0';
	*ret_count = (size_t)count;
	return true;
}

/* Processes that have `marker` as a whole argument; they get `number` (0: nothing). */
static inline unsigned signal_marked(const char *marker, int number)
{
	DIR *directory = opendir("/proc");
	struct dirent *entry;
	unsigned found = 0;

	assert_non_null(directory);
	while ((entry = readdir(directory)) != NULL) {
		static char text[65536];
		size_t count;

		if (!isdigit((unsigned char)entry->d_name[0]) ||
		    !proc_text(atol(entry->d_name), "cmdline", text, sizeof(text), &count))
			continue;
		for (size_t at = 0; at < count; at += strlen(text + at) + 1) {
			if (strcmp(text + at, marker) == 0) {
				found++;
				kill((pid_t)atol(entry->d_name), number);
				break;
			}
		}
	}
	closedir(directory);
	return found;
}

static inline unsigned count_marked(const char *marker)
{
	return signal_marked(marker, 0);
}

/* So that a failing test leaves nothing either. */
static inline unsigned kill_marked(const char *marker)
{
	return signal_marked(marker, SIGKILL);
}

static inline bool marked_become(const char *marker, bool any)
{
	int64_t deadline = clock_now_ms() + PATIENCE_MS;

	while ((count_marked(marker) > 0) != any) {
		if (clock_now_ms() >= deadline)
			return false;
		poll(NULL, 0, 2);
	}
	return true;
}

static inline bool path_goes(const char *path)
{
	int64_t deadline = clock_now_ms() + PATIENCE_MS;

	while (access(path, F_OK) == 0) {
		if (clock_now_ms() >= deadline)
			return false;
		poll(NULL, 0, 2);
	}
	return true;
}

/* A child of `parent` that is not `other`; 0 when there is none. */
static inline pid_t child_beside(pid_t parent, pid_t other)
{
	DIR *directory = opendir("/proc");
	struct dirent *entry;
	pid_t found = 0;

	assert_non_null(directory);
	while (found == 0 && (entry = readdir(directory)) != NULL) {
		char text[512];
		size_t count;
		int its_parent;
		pid_t pid = (pid_t)atol(entry->d_name);

		if (isdigit((unsigned char)entry->d_name[0]) && pid != other &&
		    proc_text(pid, "stat", text, sizeof(text), &count) && strrchr(text, ')') != NULL &&
		    sscanf(strrchr(text, ')'), ") %*c %d", &its_parent) == 1 && its_parent == parent)
			found = pid;
	}
	closedir(directory);
	return found;
}

/* The only child that this process has. */
static inline pid_t only_child(void)
{
	pid_t found = child_beside(getpid(), 0);

	assert_true(found > 0);
	assert_int_equal(child_beside(getpid(), found), 0);
	return found;
}

/* The launcher's child beside its janitor, once it leads a session; 0 before. */
static inline pid_t session_leader_below(pid_t launcher, pid_t keeper)
{
	pid_t found = child_beside(launcher, keeper);

	return found > 0 && getsid(found) == found ? found : 0;
}

static inline char *make_marker(void)
{
	char *random = random_hex(16);
	char *marker = str_printf("npxc-test-%s", random);

	free(random);
	return marker;
}

static inline char *make_directory(void)
{
	struct npxc_error err = { 0 };
	char *path;

	assert_true(file_make_temporary_directory("/tmp", "npxc-test-", &path, &err));
	return path;
}

static inline void write_file(const char *path, const char *text, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

static inline char *read_text(const char *path)
{
	struct buf text = BUF_INIT(65536);
	struct npxc_error err = { 0 };

	assert_true(file_read(path, &text, &err));
	return buf_take(&text);
}

/* What comes through `fd` until the end of file, or, with `until`, until that has come; owned. */
static inline char *read_until(int fd, const char *until)
{
	char text[8192];
	size_t used = 0;

	while (used < sizeof(text) - 1) {
		struct pollfd one = { .fd = fd, .events = POLLIN };
		ssize_t count;

		assert_int_equal(poll(&one, 1, PATIENCE_MS), 1);
		count = read(fd, text + used, sizeof(text) - 1 - used);
		assert_true(count >= 0);
		if (count == 0)
			break;
		used += (size_t)count;
		text[used] = '\0';
		if (until != NULL && strstr(text, until) != NULL)
			break;
	}
	text[used] = '\0';
	return str_dup(text);
}

/* bwrap around `sh -c script marker`. Without --die-with-parent: the second line must not hide that the first fails. */
static inline void bwrap_argv(struct strv *argv, const char *script, const char *marker)
{
	static const char *const options[] = { "--unshare-all", "--ro-bind", "/",     "/",       "--dev",
		                               "/dev",          "--proc",    "/proc", "/bin/sh", "-c" };
	struct npxc_error err = { 0 };
	char *bwrap;

	assert_true(file_find_program("bwrap", getenv("PATH"), &bwrap, &err));
	strv_push_owned(argv, bwrap);
	strv_push_all(argv, options, sizeof(options) / sizeof(options[0]));
	strv_push(argv, script);
	strv_push(argv, marker);
}

#endif
