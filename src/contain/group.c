#include "contain/group.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/proc.h"
#include "base/str.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/syscall.h>
#endif

/* A descriptor that signals can go through: not a kqueue. */
static int open_pidfd(pid_t pid)
{
#ifdef __linux__
	return proc_exit_fd(pid);
#else
	(void)pid;
	errno = ENOSYS;
	return -1;
#endif
}

static int signal_pidfd(int pidfd, int number)
{
#if defined(__linux__) && defined(SYS_pidfd_send_signal)
	return (int)syscall(SYS_pidfd_send_signal, pidfd, number, NULL, 0U);
#else
	(void)pidfd;
	(void)number;
	errno = ENOSYS;
	return -1;
#endif
}

bool group_open(pid_t pid, enum group_stop stop, struct group *ret_group, struct npxc_error *err)
{
	int pidfd = open_pidfd(pid);

	if (pidfd == -1 && errno == ESRCH)
		return error_set_errno(err, ERROR_IO, "process %ld", (long)pid);
	*ret_group = (struct group){ .pid = pid, .pidfd = pidfd, .stop = stop };
	return true;
}

void group_done(struct group *group)
{
	fd_close(&group->pidfd);
	group->pid = 0;
}

/*
 * Whether the number still means our group. A group keeps its number from being given away as long as it has members,
 * so once the first process has been reaped a process of that number can only be a stranger.
 */
static bool is_ours(const struct group *group)
{
	if (group->pidfd == -1 || signal_pidfd(group->pidfd, 0) == 0 || errno != ESRCH)
		return true;
	return kill(group->pid, 0) == -1 && errno == ESRCH;
}

/* ---- asking ---- */

#ifdef __linux__

struct process {
	pid_t pid;
	struct proc_look look;
	bool inside; /* a descendant of the first process */
	bool asked;
};

/* processes: of the whole machine, looked at when a sandbox is asked to end. Those above it are killed unasked. */
enum { PROCESSES_MAX = 32768 };

struct processes {
	struct process *v;
	size_t count, capacity;
};

static void read_processes(struct processes *ret_list)
{
	DIR *directory = opendir("/proc");
	struct dirent *entry;

	if (directory == NULL)
		return;
	while ((entry = readdir(directory)) != NULL && ret_list->count < PROCESSES_MAX) {
		uint64_t pid;
		struct process one = { 0 };

		if (!str_to_u64(entry->d_name, INT_MAX, &pid) || !proc_look((pid_t)pid, &one.look))
			continue;
		one.pid = (pid_t)pid;
		if (ret_list->count == ret_list->capacity) {
			ret_list->capacity = ret_list->capacity == 0 ? 256 : ret_list->capacity * 2;
			ret_list->v = mem_realloc(ret_list->v, ret_list->capacity, sizeof(*ret_list->v));
		}
		ret_list->v[ret_list->count++] = one;
	}
	closedir(directory);
}

/* Marks the children of `parent`, then theirs. Depth is bounded: each process is marked once. */
static void mark_inside(struct processes *list, pid_t first)
{
	mem_cleanup pid_t *queue = mem_alloc((list->count + 1) * sizeof(*queue));
	size_t known = 1;

	queue[0] = first;
	for (size_t next = 0; next < known; next++) {
		for (size_t i = 0; i < list->count; i++) {
			struct process *one = &list->v[i];

			if (one->inside || one->look.parent != queue[next] || one->pid == first)
				continue;
			one->inside = true;
			one->asked = next > 0;
			queue[known++] = one->pid;
		}
	}
}

/* The pidfd is taken first and the process looked at again, so that the signal cannot reach a later one. */
static bool ask_process(const struct process *seen)
{
	FD_CLEANUP int pidfd = open_pidfd(seen->pid);
	struct proc_look now;

	if (pidfd == -1 && errno == ESRCH)
		return false;
	if (!proc_look(seen->pid, &now) || now.started != seen->look.started)
		return false;
	return pidfd != -1 ? signal_pidfd(pidfd, SIGTERM) == 0 : kill(seen->pid, SIGTERM) == 0;
}

static bool ask_inner(const struct group *group)
{
	struct processes list = { 0 };
	bool any = false;

	read_processes(&list);
	mark_inside(&list, group->pid);
	for (size_t i = 0; i < list.count; i++) {
		const struct process *one = &list.v[i];
		bool stray = !one->inside && one->look.group == group->pid && one->pid != group->pid;

		if ((one->asked || stray) && ask_process(one))
			any = true;
	}
	free(list.v);
	return any;
}

#else

/* bubblewrap is for Linux. */
static bool ask_inner(const struct group *group)
{
	(void)group;
	return false;
}

#endif

/* The first process has gone: whether those of its number's group are its kin. */
#ifdef __linux__
static bool kin_lives(pid_t pid, uint64_t started)
{
	const uint64_t until = started + GROUP_KIN_S * proc_started_per_second();
	struct processes list = { 0 };
	bool any = false;

	read_processes(&list);
	for (size_t i = 0; !any && i < list.count; i++) {
		const struct proc_look *look = &list.v[i].look;

		any = look->group == pid && look->session == pid && !look->zombie && look->started >= started &&
		      look->started <= until;
	}
	free(list.v);
	return any;
}
#else
static bool kin_lives(pid_t pid, uint64_t started)
{
	(void)pid;
	(void)started;
	return false; /* container CLIs have no kin that matters */
}
#endif

bool group_open_again(pid_t pid, uint64_t started, enum group_stop stop, struct group *ret_group)
{
	FD_CLEANUP int pidfd = open_pidfd(pid);
	struct proc_look look;

	if (proc_look(pid, &look) ? look.started != started : !kin_lives(pid, started))
		return false;
	*ret_group = (struct group){ .pid = pid, .pidfd = fd_take(&pidfd), .stop = stop };
	return true;
}

bool group_ask(const struct group *group)
{
	if (!is_ours(group))
		return false;
	switch (group->stop) {
	case GROUP_STOP_INNER:
		return ask_inner(group);
	case GROUP_STOP_LEADER:
	case GROUP_STOP_LEADER_KILL:
		break;
	}
	return group_signal_first(group, SIGTERM);
}

bool group_signal_first(const struct group *group, int number)
{
	return group->pidfd != -1 ? signal_pidfd(group->pidfd, number) == 0 : kill(group->pid, number) == 0;
}

/* ---- waiting and killing ---- */

void group_wait_for_first(const struct group *group, unsigned ms, int hangup_fd)
{
	int64_t deadline = clock_now_ms() + ms;
	struct pollfd fds[2] = { { .fd = group->pidfd, .events = POLLIN }, { .fd = hangup_fd, .events = POLLIN } };

	for (;;) {
		int64_t left = deadline - clock_now_ms();
		int got;

		if (left <= 0)
			return;
		if (group->pidfd == -1 && !proc_group_alive(group->pid))
			return;
		if (group->pidfd == -1 && left > 10)
			left = 10;
		got = poll(fds, 2, (int)left);
		if (got > 0 || (got == -1 && errno != EINTR))
			return;
	}
}

bool group_first_ended(const struct group *group)
{
	struct pollfd one = { .fd = group->pidfd, .events = POLLIN };

	return group->pidfd == -1 ? !proc_group_alive(group->pid) : poll(&one, 1, 0) == 1;
}

static void strike(const struct group *group)
{
	group_signal_first(group, SIGKILL);
	kill(-group->pid, SIGKILL);
}

/*
 * An empty group is seen with one call once its zombies have been reaped, which init and the launcher do at once; only
 * a zombie that stays makes it necessary to read all of /proc.
 */
static bool is_empty_soon(const struct group *group)
{
	const struct timespec pause = { .tv_nsec = 200 * 1000 };

	for (unsigned tries = 0; tries < 5; tries++) {
		if (kill(-group->pid, 0) == -1 && errno == ESRCH)
			return true;
		nanosleep(&pause, NULL);
	}
	return false;
}

static bool kill_verified(const struct group *group, struct npxc_error *err)
{
	int64_t deadline = clock_now_ms() + LIMIT_KILL_VERIFY_MS;
	int pause_ms = 1;

	while (is_ours(group)) {
		strike(group);
		/* A pid namespace's first process ends after all others in it: the group's end is everybody's. */
		group_wait_for_first(group, LIMIT_KILL_VERIFY_MS / 5, -1);
		if (group_first_ended(group) && (is_empty_soon(group) || !proc_group_alive(group->pid)))
			break;
		if (clock_now_ms() >= deadline)
			return error_set(err, ERROR_IO, "process group %ld is still alive %d ms after SIGKILL",
			                 (long)group->pid, LIMIT_KILL_VERIFY_MS);
		poll(NULL, 0, pause_ms);
		pause_ms = pause_ms < 32 ? pause_ms * 2 : pause_ms;
	}
	return true;
}

bool group_end(const struct group *group, unsigned grace_ms, int hangup_fd, struct npxc_error *err)
{
	if (grace_ms > 0 && group_ask(group))
		group_wait_for_first(group, grace_ms, hangup_fd);
	return kill_verified(group, err);
}
