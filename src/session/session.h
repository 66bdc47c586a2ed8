#ifndef NPXC_SESSION_SESSION_H
#define NPXC_SESSION_SESSION_H

#include "base/error.h"
#include "contain/cgroup.h"
#include "contain/netcount.h"
#include "egress/route.h"
#include "relay/notice.h"
#include "relay/relay.h"
#include "runtime/runtime.h"
#include "session/inputs.h"
#include "session/lost.h"
#include "session/plan.h"
#include "store/store.h"
#include "teardown/janitor.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * One session: what was read for it, what it holds (session/acquire, in that order), and its plan. It stays where it
 * is; begin with SESSION_NONE.
 *
 * A signal ends whatever is being done for it: that returns false with ERROR_RUNTIME "interrupted", and the caller asks
 * signals_caught() for the exit status.
 */
struct session {
	struct inputs in;
	char *leases;            /* owned; their directory */
	char *id;                /* owned; 8 hex digits: of the lease, and at the end of the session's names */
	struct janitor *janitor; /* owned */
	bool has_runtime;
	struct runtime runtime; /* owned */
	bool has_package;
	struct store_package package; /* owned */
	int store_lock;               /* shared lock on the package for the session's length; -1: none */
	bool has_plan;
	struct plan plan;
	struct route *route; /* owned; the way out of an allowlist, else NULL */
	char *guards_file;   /* owned; NULL: no tree was writable, or its end has been told */
	unsigned guards_hold;
	struct notices notices;     /* once there is a plan */
	struct netcount netcount;   /* owned; what is tried without a network */
	struct lost lost;           /* owned; what is written to HOME */
	struct relay *relay;        /* owned */
	struct strv visible;        /* what mounts show, for `relay` */
	char *cwd_by_home;          /* owned; the working directory through a home that is a link; may be NULL */
	struct cgroup_plan cgroups; /* of the running sandbox: which limits hold */
	struct cgroup_limits limits;
	unsigned container_hold;     /* the janitor's entry for the container started last; 0: none */
	bool swept;                  /* dead sessions have been looked for */
	int64_t install_us, plan_us; /* durations */
};

#define SESSION_NONE       \
	((struct session){ \
	    .in = { .data = SOURCE_NONE }, .store_lock = -1, .netcount = { -1, -1 }, .lost = { 0, -1, -1 } })

/* The janitor, with a lease of its own, and what catches signals: before anything is acquired. ERROR_IO. */
bool session_open(struct session *session, struct npxc_error *err) NPXC_MUST_CHECK;
/* What `npxc ps` shows of a session that has no server yet. ERROR_IO. */
bool session_describe_installation(const struct session *session, const char *runtime,
                                   struct npxc_error *err) NPXC_MUST_CHECK;

/*
 * Reads what is still to be read of the host, and plans: after acquire_package. `starts`: see inputs_gather. `notes`:
 * mounts and network are told. ERROR_CONFIG, ERROR_IO, ERROR_PATH_NOT_FOUND, ERROR_RUNTIME_UNAVAILABLE.
 */
bool session_plan(struct session *session, bool starts, bool notes, struct npxc_error *err) NPXC_MUST_CHECK;

/* ERROR_RUNTIME: which signal ended the session. Always false. */
bool session_interrupted(struct npxc_error *err) NPXC_MUST_CHECK;

/* Gives back everything it holds, by the janitor, and frees the rest. Never fails: what could not be removed in time is
 * logged, and the janitor goes on. After a signal it returns before LIMIT_SIGNAL_MS are over. */
void session_close(struct session *session);

#endif
