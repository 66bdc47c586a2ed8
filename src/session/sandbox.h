#ifndef NPXC_SESSION_SANDBOX_H
#define NPXC_SESSION_SANDBOX_H

#include "base/error.h"
#include "egress/netns.h"
#include "runtime/runtime.h"
#include "teardown/janitor.h"

#include <stdbool.h>
#include <sys/types.h>

/*
 * Starting one sandbox: fork; the child becomes leader of a session and group of its own and waits on a pipe whose only
 * writing end the launcher holds; the janitor learns the group and acknowledges; one byte through the pipe lets the
 * child go on (join cgroups, lay out data descriptors, reach and drop when root, fence itself, exec). End of file on
 * that pipe instead of a byte: the child exits. So nothing runs before the janitor can end it, and no process stands
 * between launcher and runtime.
 */
struct sandbox {
	pid_t pid;                 /* == its process group */
	int input, output, errors; /* owned: ends of the server's stdin, stdout, stderr */
	int status;                /* owned: reading end of the runtime's status pipe; -1: none */
	int exit_fd;               /* owned: becomes readable when the process has ended (pidfd or kqueue or a pipe) */
};

/* For start->enters_netns; borrowed. */
struct sandbox_netns {
	const struct netns_request *request;
	int handoff; /* where the namespace's sockets go */
};

/* `kind` decides who is asked to end later (see enum group_stop). `cgroup_fds`: see cgroup_make; borrowed. `netns`:
 * NULL unless start->enters_netns; one without the other is refused.
 * ERROR_RUNTIME_UNAVAILABLE when the CLI cannot be executed (its name and errno), ERROR_RUNTIME when the child's
 * preparations fail, ERROR_IO. On failure nothing runs any more. */
bool sandbox_start(struct janitor *janitor, enum runtime_kind kind, const struct runtime_start *start,
                   const int *cgroup_fds, size_t cgroup_fd_count, const struct sandbox_netns *netns,
                   struct sandbox *ret_sandbox, struct npxc_error *err) NPXC_MUST_CHECK;

/* Waits for the process (it has ended, or the janitor ended it) and reaps it, once. exit_status is -1 after a signal,
 * signal 0 without one. ERROR_IO. */
bool sandbox_wait(struct sandbox *sandbox, int *ret_exit_status, int *ret_signal,
                  struct npxc_error *err) NPXC_MUST_CHECK;
void sandbox_done(struct sandbox *sandbox); /* closes what is open; kills nothing */

#endif
