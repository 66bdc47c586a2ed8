#ifndef NPXC_EGRESS_DATAGRAM_H
#define NPXC_EGRESS_DATAGRAM_H

#include "base/error.h"
#include "base/ip.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Datagrams of a socket that is bound to every address of its family (link netns): one needs to know which address
 * each was sent to, and the answer has to come from there. Linux only. Sources: ip(7), ipv6(7).
 */
struct datagram {
	struct ip from, to;
	uint16_t from_port;
	size_t length;
	bool cut; /* longer than the room there was */
};

/* -1 and errno: EAGAIN when there is none. */
ssize_t datagram_receive(int fd, void *bytes, size_t size, struct datagram *ret_datagram);
/* Back to `datagram->from`, from `datagram->to`. False: not sent. */
bool datagram_answer(int fd, const struct datagram *datagram, const void *bytes, size_t length);

#endif
