#ifndef NPXC_CONTAIN_GROUP_H
#define NPXC_CONTAIN_GROUP_H

#include "base/error.h"
#include "contain/group_stop.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * The process group of one sandbox, as the janitor sees it: not as its parent. While the launcher lives, the first
 * process stays a zombie until the launcher reaps it, and its number cannot be given to another. After the launcher's
 * death init reaps it; the pidfd that was taken at the beginning then tells whether the number is still ours.
 * Without pidfds (macOS, Linux before 5.3) a number is trusted.
 */
struct group {
	pid_t pid; /* the first process, and the group that it leads or is about to lead; 0: none */
	int pidfd; /* owned; -1: none to be had */
	enum group_stop stop;
};

/* ERROR_IO when there is no such process. */
bool group_open(pid_t pid, enum group_stop stop, struct group *ret_group, struct npxc_error *err) NPXC_MUST_CHECK;
/*
 * The same from what was written down: `started` as in struct proc_look, within this boot. False: nothing of it lives.
 * The number may have been given away since. It is ours when the process was started at that very moment, or, when the
 * first process has gone, when somebody of its group and session was started within GROUP_KIN_S after it: its number
 * cannot have been given to a new leader meanwhile, because as many processes as there are numbers would have had to
 * come and go in that time. (bubblewrap's first process starts the second at once; everybody else lives in its
 * namespace.)
 * Mustn't: take a stranger's group.
 */
enum { GROUP_KIN_S = 2 };
bool group_open_again(pid_t pid, uint64_t started, enum group_stop stop, struct group *ret_group) NPXC_MUST_CHECK;
void group_done(struct group *group); /* forgets it, signals nobody */

/* Whether the first process has ended. */
bool group_first_ended(const struct group *group);
/* SIGTERM, see enum group_stop. False when nobody is there to be asked. */
bool group_ask(const struct group *group);
/* To the first process alone. False when it has gone. */
bool group_signal_first(const struct group *group, int number);
/* Until the first process has ended, `hangup_fd` (or -1) is readable, or the time is over. */
void group_wait_for_first(const struct group *group, unsigned ms, int hangup_fd);

/*
 * Asks (SIGTERM) when grace_ms > 0 and somebody is there to be asked, waits for the first process's end as long as that
 * or until `hangup_fd` becomes readable, sends SIGKILL, and returns when nothing of the group lives.
 * ERROR_IO when something does after LIMIT_KILL_VERIFY_MS.
 * Should: kill the first process also when it does not lead its group yet.
 * Mustn't: signal a number that has been given to somebody else.
 */
bool group_end(const struct group *group, unsigned grace_ms, int hangup_fd, struct npxc_error *err) NPXC_MUST_CHECK;

#endif
