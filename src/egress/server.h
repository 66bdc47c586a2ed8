#ifndef NPXC_EGRESS_SERVER_H
#define NPXC_EGRESS_SERVER_H

#include "base/ip.h"
#include "config/rules.h"
#include "egress/address.h"
#include "egress/audit.h"
#include "egress/loop.h"
#include "egress/names.h"
#include "egress/resolve.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * What the parts of the egress process share: one session's rules and everything that is open for it. One thread, one
 * loop; nothing in here blocks.
 */
struct flow;
struct udp;

/* Why, when no rule names it. */
#define EGRESS_UNLISTED "is not in the allow list"

struct server {
	struct loop loop;
	struct resolver *resolver;
	const struct rules *rules; /* borrowed */
	struct names *names;       /* addresses that names have inside; link netns only */
	struct audit *audit;       /* NULL: nothing is written (installations) */
	struct address_own own;
	int64_t own_ms;                  /* when it was read */
	struct flow *flows, *flows_last; /* all of them, oldest first */
	struct flow *dead;               /* freed between two turns */
	size_t flow_count, flow_max;
	uint64_t last_flow;
	/* The family that has answered where the other had been tried before: the first to be tried from then on. */
	enum { SERVER_FAMILY_UNKNOWN, SERVER_FAMILY_V4, SERVER_FAMILY_V6 } family;
	struct udp *udp;
	bool has_v6; /* the guest can connect to IPv6 addresses */
	bool learn;  /* see egress_settings */
	/* link gateway */
	const char *token; /* borrowed; what CONNECT has to bring with it; NULL: nothing */
	/* the launcher */
	int control;     /* borrowed */
	unsigned notes;  /* lines told to it */
	uint64_t *noted; /* owned: hashes of what was told, so that it is told once */
};

/* This machine's own addresses, not older than LIMIT_EGRESS_OWN_MS. False: they cannot be read, so nothing may be
 * dialled for a name. */
bool server_refresh_own(struct server *server);

/* A decision: into the audit log, and a denial to the launcher as well, once for each host and port. */
void server_record(struct server *server, const struct audit_record *record);

/* Closed so that the other end sees a reset and not an end. */
void server_reset(int *fd);

#endif
