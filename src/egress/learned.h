#ifndef NPXC_EGRESS_LEARNED_H
#define NPXC_EGRESS_LEARNED_H

#include "base/str.h"
#include "config/rules.h"
#include "egress/egress.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What `npxc learn` makes of the refusals of a session. Pure. */

struct learned_denial {
	char *host; /* owned; canonical when it is a name */
	uint16_t port;
	enum reason reason;
	enum audit_add add;
	bool is_host;
};
struct learned { /* zeroed = empty; at most LIMIT_EGRESS_NOTES are kept, as many as the egress process tells */
	struct learned_denial *v;
	size_t count;
};
void learned_add(struct learned *learned, const struct egress_denial *denial);
void learned_done(struct learned *learned);

struct learned_rest {
	char *what; /* owned; "host:port", or what was asked for */
	char *why;  /* owned */
};
struct learned_proposal {
	struct strv rules;         /* sorted, each once, none that the rules there are cover */
	struct strv looked_up;     /* names that were asked for and never connected to; sorted */
	struct learned_rest *rest; /* refused, and no rule would help */
	size_t rest_count;
};
/*
 * Each refused host and port as a rule of its own; rules of `wanted` (from the command line: valid) that `existing`
 * does not cover as they are. Should: leave out what another proposed rule covers already. Mustn't: propose a wildcard,
 * a port that was not tried, a rule that cannot work (an address for documentation), "/raw" for what could be TLS or
 * HTTP, or anything for a refusal against which no rule helps.
 */
void learned_propose(const struct learned *learned, const struct rules *existing, const struct strv *wanted,
                     struct learned_proposal *ret_proposal);
void learned_proposal_done(struct learned_proposal *proposal);

#endif
