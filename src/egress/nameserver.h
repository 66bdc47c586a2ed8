#ifndef NPXC_EGRESS_NAMESERVER_H
#define NPXC_EGRESS_NAMESERVER_H

#include "egress/loop.h"
#include "egress/server.h"

#include <stdbool.h>

/*
 * The guest's resolver. Link netns: whatever resolver the guest asks, this one answers. A name that some rule names
 * gets the address that stands for it inside (egress/names), every other name does not exist, and nobody outside is
 * asked about any of them. While learning every name gets an address; a connection to it is judged, and refused, as
 * ever.
 *
 * SRV, TXT, MX and CNAME records are asked for outside, for names that egress/grant lets through; what SRV records lead
 * to is a name on a rule from then on. All other types are answered with nothing.
 *
 * Links socket and gateway: the same for those records, over a flow that was asked for by NAMESERVER_NAME; addresses
 * are not needed there.
 */
#define NAMESERVER_NAME "dns.npxc.internal" /* no rule can name it */
enum { NAMESERVER_PORT = 53 };

/* A UDP socket of the guest's namespace, bound to port 53 of all addresses of one family, with IP_PKTINFO. */
struct nameserver {
	struct loop_source source;
	struct server *server;
	int fd; /* owned */
};
bool nameserver_open(struct server *server, int fd, struct nameserver *ret_nameserver,
                     struct npxc_error *err) NPXC_MUST_CHECK;

/* The same over TCP: a connection of the guest's, taken over; it may be watched already, for others. */
void nameserver_accept(struct server *server, int fd);

#endif
