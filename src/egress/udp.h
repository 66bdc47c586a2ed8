#ifndef NPXC_EGRESS_UDP_H
#define NPXC_EGRESS_UDP_H

#include "base/error.h"
#include "egress/server.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * UDP on link netns, for rules that name an address and a port. A flow is what goes between one port of the guest and
 * one address outside; it ends after LIMIT_EGRESS_UDP_IDLE_MS without a datagram, or after LIMIT_EGRESS_UDP_ANSWERED_MS
 * when there was one question and it was answered (DNS, NTP). Of LIMIT_EGRESS_UDP_FLOWS the one that has been idle
 * longest makes room for a new one. Names get none: what would be checked against a name (QUIC) is encrypted, and
 * clients take TCP when UDP does not answer.
 */
struct udp {
	struct server *server; /* borrowed; all else zeroed at first */
	struct udp_listener *listeners;
	struct udp_flow *flows, *closed; /* the closed are freed between two turns */
	size_t count;
};
/* Takes over `fd`: a socket of the guest's namespace bound to `port` of all addresses of one family, with IP_PKTINFO.
 */
bool udp_listen(struct udp *udp, int fd, uint16_t port, struct npxc_error *err) NPXC_MUST_CHECK;
/* How long a flow may be idle on which the guest has sent so many datagrams and received so many bytes. Pure. */
int64_t udp_idle_ms(uint64_t sent, uint64_t received_bytes);
/* Between two turns of the loop. */
void udp_free_closed(struct udp *udp);
/* Ends idle flows. Milliseconds until the next call is due; -1: nothing waits. */
int udp_sweep(struct udp *udp, int64_t now_ms);
void udp_end_all(struct udp *udp);

#endif
