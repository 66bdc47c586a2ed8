#ifndef NPXC_EGRESS_FLOW_LIST_H
#define NPXC_EGRESS_FLOW_LIST_H

#include "egress/dial.h"
#include "egress/gate.h"
#include "egress/relay.h"
#include "egress/server.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What flows are made of, and the list of those that are open. For egress/flow, which says what the phases are. */
struct flow;
struct flows {
	struct server *server; /* borrowed */
	const char *token;     /* borrowed; link gateway: what CONNECT has to bring with it; NULL: nothing */
	int64_t head_ms;       /* how long a head may take to become whole */
	size_t max;            /* open at once */
	/* zeroed at first */
	size_t count;
	struct flow *first, *last; /* all of them, oldest first */
	struct flow *closed;       /* freed between two turns */
	/* The family that has answered where the other had been tried before: the first to be tried from then on. */
	enum { FLOWS_FAMILY_UNKNOWN, FLOWS_FAMILY_V4, FLOWS_FAMILY_V6 } family;
};

enum phase { FLOW_REQUEST, FLOW_DIAL, FLOW_RELAY, FLOW_LINGER, FLOW_CLOSED };

struct flow {
	struct relay_end guest, outside;
	struct flows *flows;
	struct server *server;       /* theirs */
	struct flow *before, *after; /* in that list; `after` alone among the closed */
	uint64_t number;
	enum phase phase;
	bool requested; /* came with a CONNECT head, so it is answered in words */
	char *name;     /* owned; NULL: asked for by address */
	struct ip ip;   /* asked for; then the one that was dialled */
	uint16_t port;
	const struct rule *rule;
	struct gate *gate; /* owned; NULL: nothing to agree with, or not any more */
	struct relay relay;
	uint64_t ticket; /* of the resolver */
	struct dial dial;
	int64_t began_ms, head_ms, dial_ms; /* deadlines; 0: none */
	enum audit_code code;               /* what became of it */
	enum audit_add add;                 /* denied: which rule would help */
	enum reason reason;
	char *sni, *alpn; /* owned; what the gate had seen */
	const char *kind;
};

/* At the end of the list: the oldest come first. */
void flow_list_add(struct flows *flows, struct flow *flow);
void flow_list_remove(struct flows *flows, struct flow *flow);

#endif
