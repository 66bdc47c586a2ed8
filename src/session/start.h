#ifndef NPXC_SESSION_START_H
#define NPXC_SESSION_START_H

#include "base/error.h"
#include "egress/route.h"
#include "network/network.h"
#include "runtime/runtime.h"
#include "session/sandbox.h"
#include "session/session.h"

#include <stdbool.h>

/* What any sandbox of a session needs, an install's as well as the server's. Errors: those of what is acquired. */

/* The network, if it is managed, and the route (NULL: none) of any sandbox; fills in what `launch` could not know. */
bool start_way_out(struct session *session, struct network_choice *network, struct route *route, struct launch *launch,
                   struct npxc_error *err) NPXC_MUST_CHECK;
/* A sandbox, started: cgroups or the container's name are the janitor's before it runs. */
bool start_sandbox(struct session *session, const struct launch *launch, const struct runtime_start *what,
                   struct route *route, struct sandbox *ret_sandbox, struct npxc_error *err) NPXC_MUST_CHECK;

#endif
