#ifndef NPXC_SESSION_ACQUIRE_H
#define NPXC_SESSION_ACQUIRE_H

#include "base/error.h"
#include "session/sandbox.h"
#include "session/session.h"
#include "store/store.h"

#include <stdbool.h>

/*
 * Everything that a session acquires is acquired here, in the order that stands at the head of acquire.c; session_close
 * gives it back, whatever of it there is. Errors: those of what is acquired, see there; ERROR_RUNTIME after a signal.
 */

/* The janitor, before anything else; signals; the runtime, and whether that one can keep the policy. */
bool acquire_runtime(struct session *session, struct npxc_error *err) NPXC_MUST_CHECK;
/* The package from the store, installed if `wish` says so, and whose configuration that makes it. */
bool acquire_package(struct session *session, enum store_wish wish, struct npxc_error *err) NPXC_MUST_CHECK;
/* After inputs_read: all of the above, and the plan. */
bool acquire_plan(struct session *session, struct npxc_error *err) NPXC_MUST_CHECK;
/* What the plan wants around the server: network, way out, workspace, relay. */
bool acquire_surroundings(struct session *session, struct npxc_error *err) NPXC_MUST_CHECK;
/*
 * The plan's server, after acquire_surroundings. Where mounts cannot be compared from inside (session/shares) it is
 * ended again when another session turns out to have a writable mount in the way: ERROR_RUNTIME.
 */
bool acquire_server(struct session *session, struct sandbox *ret_sandbox, struct npxc_error *err) NPXC_MUST_CHECK;

#endif
