#ifndef NPXC_TEARDOWN_TEARDOWN_H
#define NPXC_TEARDOWN_TEARDOWN_H

#include "base/buf.h"
#include "base/error.h"
#include "base/limits.h"
#include "base/str.h"
#include "contain/group.h"
#include "teardown/lease.h"
#include "teardown/removal.h"

#include <stdbool.h>
#include <sys/types.h>

/*
 * What a session holds, as its lease says it, and the only implementation of its removal: for the janitor
 * (janitor_process) and for a successor alike.
 *
 * In this order, each step reported by name: the sandbox's process group (SIGKILL, then verified by /proc; a container
 * CLI is not killed before its container is gone), containers, processes, networks, cgroups, guards, files and
 * directories.
 * Mustn't: delete a network while a container is not known to be gone.
 */
struct teardown_report {
	void (*line)(void *context, bool is_warning, const char *text); /* a warning: what stays, or goes wrong */
	void *context;
};

struct teardown {
	struct lease lease; /* what stands there, or will */
	char *path;         /* of the lease; NULL: none is written */
	int lease_fd;       /* -1 until something is held */
	struct buf delayed; /* lines for it that can wait until what follows them is known */
	struct group sandbox;
	bool is_successor;  /* one attempt at each resource, and none at a runtime that could not be asked */
	bool is_later_boot; /* a successor's: what the lease names of processes has gone */
	bool is_down;       /* a runtime did not answer, or is not available */
	/*
	 * The network that the launcher has named, and said nothing since; 0: none. If it dies now the service may
	 * still be making it.
	 */
	unsigned in_making;
	struct strv given_up; /* names that are not tried again by this process: their CLI has gone */
	struct teardown_report report;
};

/* `path` is copied. */
void teardown_init(struct teardown *teardown, const char *path, struct teardown_report report);
void teardown_done(struct teardown *teardown);

/* From where a janitor that died left off, by the lease. ERROR_IO, ERROR_JSON. */
bool teardown_resume(struct teardown *teardown, struct npxc_error *err) NPXC_MUST_CHECK;
/* What a dead session left: takes `lease`; `fd` is its file, borrowed. `boot`: this one's. */
void teardown_inherit(struct teardown *teardown, int fd, const struct lease *lease, const char *boot);

/*
 * Each is on the lease when it returns true. ERROR_IO: it is refused, or cannot be written down. teardown_hold takes
 * the entry's words then. lease.launcher.pid has to be set before the first of them.
 */
bool teardown_hold(struct teardown *teardown, struct lease_entry *entry, struct npxc_error *err) NPXC_MUST_CHECK;
bool teardown_release(struct teardown *teardown, unsigned id, struct npxc_error *err) NPXC_MUST_CHECK;
bool teardown_hold_sandbox(struct teardown *teardown, pid_t pid, enum group_stop stop,
                           struct npxc_error *err) NPXC_MUST_CHECK;
/* The lease's facts have changed. They are written with the next line when there is no lease yet. */
bool teardown_write_facts(struct teardown *teardown, struct npxc_error *err) NPXC_MUST_CHECK;

/* milliseconds: the longest that teardown_end_sandbox takes after its grace */
#define TEARDOWN_SANDBOX_MS \
	(LIMIT_KILL_VERIFY_MS + LIMIT_CONTAINER_END_MS + (REMOVAL_ATTEMPTS + 1) * (LIMIT_REMOVE_MS + REMOVAL_PAUSE_MS))
/* Ends the sandbox alone, if there is one; the grace ends early when `hangup_fd` is readable. ERROR_IO: it lives. */
bool teardown_end_sandbox(struct teardown *teardown, unsigned grace_ms, int hangup_fd,
                          struct npxc_error *err) NPXC_MUST_CHECK;

/* Everything. What stays is reported and stands on the lease; a lease with nothing on it goes. */
void teardown_run(struct teardown *teardown);
/* Whether a container or network is left that another attempt may remove. */
bool teardown_is_open(const struct teardown *teardown);
/* One attempt more at each of those, for network_delete_blocking: true when none is left to be tried. */
bool teardown_run_again(void *teardown);

#endif
