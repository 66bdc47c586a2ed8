#ifndef NPXC_EGRESS_FLOW_H
#define NPXC_EGRESS_FLOW_H

#include "base/ip.h"
#include "egress/server.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * One TCP connection of the guest: judged, dialled, relayed.
 *
 *     accepted -> asked for (link netns: the address it was made to; other links: a CONNECT head)
 *              -> judged: no rule, no flow
 *              -> a name is looked up, its addresses are judged, one is dialled
 *              -> meanwhile the client's first bytes are held against the name (egress/gate)
 *              -> relayed until both ends have ended; copied at first, spliced when much goes through
 *
 * Should: dial an address that was judged, and not look the name up again; keep at most LIMIT_EGRESS_PENDING_BYTES of
 * each direction.
 * Mustn't: look up a name that no rule names; forward a byte of the client's that its gate has not let through; read
 * further from an end whose other end does not take what was read.
 *
 * All of them take over `fd`, which is connected and non-blocking, and never fail: what cannot be is refused and
 * recorded.
 */

/* Link netns: a connection that the guest made to this address. */
void flow_accept_address(struct server *server, int fd, const struct ip *ip, uint16_t port);
/* Links socket and gateway: the request is still to come. */
void flow_accept_request(struct server *server, int fd);

/* Ends what is over time; called now and then. Milliseconds until the next call is due; -1: nothing waits. */
int flow_sweep(struct server *server, int64_t now_ms);
/* Between two turns of the loop. */
void flow_bury(struct server *server);
/* All of them, recorded. */
void flow_end_all(struct server *server);

#endif
