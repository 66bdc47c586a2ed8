#ifndef NPXC_SESSION_SESSION_H
#define NPXC_SESSION_SESSION_H

#include "base/error.h"
#include "base/proc.h"
#include "contain/cgroup.h"
#include "egress/learned.h"
#include "egress/route.h"
#include "network/network.h"
#include "relay/pump.h"
#include "relay/relay.h"
#include "runtime/runtime.h"
#include "session/plan.h"
#include "session/sandbox.h"
#include "teardown/janitor.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * One session, from the first acquired resource to the last released one.
 *
 *   session_open    the janitor is forked before anything else happens, then signals are caught; nothing is written
 *   session_run     installs: one sandbox to its end, its output kept
 *   session_provision  the network of the server's sandbox
 *   session_start   the server's sandbox; the janitor knows each resource before it is acquired
 *   session_relay   the client's pipes and the server's, until one side ends
 *   session_close   everything goes, by the janitor
 *
 * A signal ends whichever of these is running: it returns false with ERROR_RUNTIME "interrupted", and the caller asks
 * signals_caught() for the exit status.
 */
struct session {
	struct janitor *janitor; /* owned */
	struct runtime runtime;  /* owned; kind etc. filled by session_use_runtime */
	bool has_runtime;
	struct cgroup_plan cgroups; /* of the running sandbox: which limits hold */
	struct cgroup_limits limits;
	unsigned container_hold; /* the janitor's entry for the container started last; 0: none */
	char *guards_file;       /* owned; NULL: no tree was writable, or its end has been told */
	unsigned guards_hold;
	char *leases; /* owned; their directory */
	char *id;     /* owned; 8 hex digits: of the lease, and at the end of the session's names */
	bool swept;   /* dead sessions have been looked for */
};

/* `leases`: the directory of all sessions' leases, see teardown/lease. */
bool session_open(const char *leases, struct session *ret_session, struct npxc_error *err) NPXC_MUST_CHECK;
/* Looks the runtime up once. */
bool session_use_runtime(struct session *session, enum runtime_kind kind, const char *cli_name,
                         const char *path_variable, struct npxc_error *err) NPXC_MUST_CHECK;

/* One sandbox with an empty stdin to its end, with the way out that it was planned for (NULL: none). As proc_run: true
 * when it ran, whatever it returned. A deadline or a signal ends it; the signal is an error. */
bool session_run(struct session *session, const struct launch *launch, struct route *route, unsigned timeout_ms,
                 void (*on_stderr)(void *context, const char *bytes, size_t count), void *context,
                 struct proc_result *ret_result, struct npxc_error *err) NPXC_MUST_CHECK;

/* network_provision, with the janitor told of a network before it is made. */
bool session_provision(struct session *session, const struct policy *policy, struct network_choice *ret_choice,
                       struct npxc_error *err) NPXC_MUST_CHECK;

/* Makes the plan's directories. The workspace lies where only this user gets through (0700); the janitor removes it. */
bool session_prepare(struct session *session, const struct plan *plan, struct npxc_error *err) NPXC_MUST_CHECK;
/* After session_prepare, and after what the server shall find in the workspace is there. */
bool session_start(struct session *session, const struct plan *plan, struct route *route, struct sandbox *ret_sandbox,
                   struct npxc_error *err) NPXC_MUST_CHECK;

/* What a session tells about its way out: who was refused, and its end. `say` gets one line without its end. */
struct session_says {
	struct route *route;     /* NULL: there is none */
	const char *package;     /* its name */
	const char *allow_file;  /* where a rule would be added */
	struct learned *learned; /* `npxc learn`: refusals are kept here, and the lines name no rule; else NULL */
	void (*say)(void *context, const char *line);
	void *context;
};
/* What has come since the last call; waits for nothing. False: the way out has ended, and nothing more comes. */
bool session_report_denials(const struct session_says *says);

/*
 * Relays between the client's descriptors 0, 1, 2 and the server, with `relay` deciding about lines. `ret_status`
 * is what npxc exits with: 0 after the client closed its side, else the server's own status. Consumes the sandbox's
 * descriptors. What `says` is to say goes to the client's stderr, whatever its own `say`.
 */
bool session_relay(struct session *session, struct sandbox *sandbox, struct relay *relay,
                   const struct session_says *says, int *ret_status, struct npxc_error *err) NPXC_MUST_CHECK;

/* Ends what is left of the sandbox and judges how it ended (runtime_judge_end). `errors`: the tail of its stderr. */
bool session_finish(struct session *session, struct sandbox *sandbox, const char *errors, int *ret_status,
                    struct npxc_error *err) NPXC_MUST_CHECK;

/* Never fails: what could not be removed in time is logged, and the janitor goes on. After a signal it returns before
 * LIMIT_SIGNAL_MS are over. */
void session_close(struct session *session);

#endif
