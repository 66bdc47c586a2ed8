#ifndef NPXC_EGRESS_PROCESS_H
#define NPXC_EGRESS_PROCESS_H

#include "base/ip.h"
#include "config/policy.h"
#include "config/rules.h"

#include <stdbool.h>

/* The egress process itself: its listeners, its confinement, its loop. See egress/egress.h. */

struct egress_settings { /* borrowed */
	const struct rules *rules;
	enum policy_link link;         /* not auto */
	const char *audit_directory;   /* NULL: no audit log */
	const char *session, *package; /* for the log */
	int listener; /* links socket and gateway: listening; the process has it, the caller keeps its own */
	const struct ip_prefix *subnet; /* link gateway: who may connect */
	const char *token;              /* link gateway: what CONNECT has to bring ("npxc:TOKEN" in base64) */
	bool learn; /* link netns: names of no rule get an address too, so that the port they are wanted for is seen */
	unsigned head_ms, end_ms; /* for tests: instead of LIMIT_EGRESS_HEAD_MS, and of the time to end in; 0: those */
};

/*
 * In the child of a fork, with all signals blocked: closes every descriptor but these and the listener, confines
 * itself, says that it is ready, and serves until the launcher closes its end of `control`. Does not return.
 */
_Noreturn void process_serve(const struct egress_settings *settings, int control, int handoff);

#endif
