#ifndef NPXC_EGRESS_FLOW_H
#define NPXC_EGRESS_FLOW_H

#include "base/ip.h"
#include "egress/flow_list.h"

#include <stdint.h>

/*
 * The guest's TCP connections, each judged, dialled and relayed:
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
 */
/* Both take over `fd`, which is connected and non-blocking, and never fail: what cannot be is refused and recorded. */

/* Link netns: a connection that the guest made to this address. */
void flow_accept_address(struct flows *flows, int fd, const struct ip *ip, uint16_t port);
/* Links socket and gateway: the request is still to come. */
void flow_accept_request(struct flows *flows, int fd);

/* Ends what is over time; called now and then. Milliseconds until the next call is due; -1: nothing waits. */
int flow_sweep(struct flows *flows, int64_t now_ms);
/* Between two turns of the loop. */
void flow_free_closed(struct flows *flows);
/* All of them, recorded. */
void flow_end_all(struct flows *flows);

#endif
