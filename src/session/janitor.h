#ifndef NPXC_SESSION_JANITOR_H
#define NPXC_SESSION_JANITOR_H

#include "base/error.h"
#include "base/str.h"

#include <stdbool.h>
#include <sys/types.h>

/*
 * The janitor: a process forked before anything is acquired, in a session of its own, with /dev/null on 0, 1 and 2. It
 * is told of every resource BEFORE the command that acquires it runs, and it is the only implementation of teardown: a
 * normal end, an error, a signal and a SIGKILL of the launcher all end in the same code.
 *
 * The channel is a socket pair with length-prefixed frames. End of file without END means that the launcher has died;
 * the janitor then tears down on its own.
 *
 * Teardown, in this order, each step logged by name: the sandbox's process group (SIGKILL, then verified by /proc),
 * containers (their removal command), networks, cgroups, files and directories.
 */
enum janitor_resource {
	JANITOR_CGROUP,    /* directory, removed once the group is gone */
	JANITOR_DIRECTORY, /* a tree */
	JANITOR_FILE,
	JANITOR_CONTAINER, /* removal command: an argv */
};

struct janitor;

/* Forks it. Call while npxc is single-threaded and has acquired nothing. ERROR_IO. */
bool janitor_start(struct janitor **ret_janitor, struct npxc_error *err) NPXC_MUST_CHECK;

/* Returns once the janitor has written it down. `*ret_id` names the entry for janitor_release. */
bool janitor_hold(struct janitor *janitor, enum janitor_resource kind, const struct strv *words, unsigned *ret_id,
                  struct npxc_error *err) NPXC_MUST_CHECK;
bool janitor_hold_path(struct janitor *janitor, enum janitor_resource kind, const char *path, unsigned *ret_id,
                       struct npxc_error *err) NPXC_MUST_CHECK;
/* The resource has been given back, or was handed on (a staging directory renamed into the store). */
bool janitor_release(struct janitor *janitor, unsigned id, struct npxc_error *err) NPXC_MUST_CHECK;

/* A sandbox's process group, before it execs. Returns once the janitor has it. */
bool janitor_sandbox(struct janitor *janitor, pid_t group, struct npxc_error *err) NPXC_MUST_CHECK;
/*
 * Ends the sandbox's group now, whoever of it is left: asked to end (SIGTERM to the server's processes, not to
 * bubblewrap's own) when grace_ms > 0, SIGKILL after that, verified. Returns when it is gone. The other resources stay.
 */
bool janitor_end_sandbox(struct janitor *janitor, unsigned grace_ms, struct npxc_error *err) NPXC_MUST_CHECK;

/*
 * Everything that is still held goes; returns when the janitor is done and has been reaped, or after `timeout_ms` (the
 * janitor goes on by itself then). Its warnings are logged here. Frees the janitor.
 */
bool janitor_end(struct janitor *janitor, unsigned timeout_ms, struct npxc_error *err) NPXC_MUST_CHECK;

#endif
