#ifndef NPXC_EGRESS_SERVER_H
#define NPXC_EGRESS_SERVER_H

#include "config/rules.h"
#include "egress/address.h"
#include "egress/alias.h"
#include "egress/audit.h"
#include "egress/loop.h"
#include "egress/names.h"
#include "egress/note.h"
#include "egress/resolve.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * What flows, datagrams and the nameserver of one egress process share: the session's rules, the loop, and where
 * decisions are recorded. It knows none of them. One thread, one loop; nothing in here blocks.
 */
struct server {
	struct loop loop;
	struct resolver *resolver;
	const struct rules *rules; /* borrowed */
	struct rules granted;      /* owned; names that answers made reachable: egress/grant */
	struct names *names;       /* addresses that names have inside; link netns only */
	struct alias alias;        /* ports of this machine; link netns only */
	struct audit *audit;       /* NULL: nothing is written (installations) */
	struct address_own own;
	int64_t own_ms; /* when it was read */
	uint64_t last_flow;
	bool has_v6; /* the guest can connect to IPv6 addresses */
	bool learn;  /* see egress_settings */
	/* the launcher */
	int control;     /* borrowed */
	unsigned notes;  /* refusals told to it */
	uint64_t *noted; /* owned: hashes of what was told, so that it is told once */
};

/* This machine's own addresses, not older than LIMIT_EGRESS_OWN_MS. False: they cannot be read, so nothing may be
 * dialled for a name. */
bool server_refresh_own(struct server *server);

/* A decision: into the audit log, and a denial to the launcher as well, once for each host and port; on link netns also
 * that nobody listens there. */
void server_record(struct server *server, const struct audit_record *record);

/* A note to the launcher; one that it does not take is lost: it must not hold up anything here. */
void server_tell(const struct server *server, const struct note *note);

/* Closed so that the other end sees a reset and not an end. */
void server_reset(int *fd);

#endif
