#ifndef NPXC_SESSION_RUN_H
#define NPXC_SESSION_RUN_H

#include "base/error.h"
#include "base/proc.h"
#include "egress/learned.h"
#include "egress/route.h"
#include "runtime/runtime.h"
#include "session/sandbox.h"
#include "session/session.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * What goes on between a sandbox's start (session/acquire) and its end: an install to its end, or the relay between a
 * client and a server.
 */

/* One sandbox with an empty stdin to its end, with the way out that it was planned for (NULL: none). As proc_run: true
 * when it ran, whatever it returned. A deadline or a signal ends it; the signal is an error. */
bool run_to_end(struct session *session, const struct launch *launch, struct route *route, unsigned timeout_ms,
                void (*on_stderr)(void *context, const char *bytes, size_t count), void *context,
                struct proc_result *ret_result, struct npxc_error *err) NPXC_MUST_CHECK;

/* What a session tells about its way out: who was refused, and its end. `say` gets one line without its end. */
struct run_report {
	struct learned *learned; /* `npxc learn`: refusals are kept here, and the lines name no rule; else NULL */
	void (*say)(void *context, const char *line);
	void *context;
};
/* What has come since the last call; waits for nothing. False: the way out has ended, and nothing more comes. */
bool run_report_denials(const struct session *session, const struct run_report *report);

/*
 * Relays between the client's descriptors 0, 1, 2 and the server, with the session's relay deciding about lines.
 * `ret_status` is what npxc exits with: the server's own status, and 0 when it had to be ended after the client had
 * gone. Consumes the sandbox's descriptors. Refusals go to the client's stderr; `learned` as above, may be NULL.
 */
bool run_relay(struct session *session, struct sandbox *sandbox, struct learned *learned, int *ret_status,
               struct npxc_error *err) NPXC_MUST_CHECK;

/* Ends what is left of the sandbox and judges how it ended (runtime_judge_end). `errors`: the tail of its stderr. */
bool run_finish(struct session *session, struct sandbox *sandbox, const char *errors, int *ret_status,
                struct npxc_error *err) NPXC_MUST_CHECK;

#endif
