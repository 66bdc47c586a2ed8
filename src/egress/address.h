#ifndef NPXC_EGRESS_ADDRESS_H
#define NPXC_EGRESS_ADDRESS_H

#include "base/error.h"
#include "base/ip.h"
#include "egress/reason.h"

#include <stddef.h>

/*
 * Which addresses may be dialled. A rule for a name is consent to what the name stands for on the Internet, not to the
 * machines around this one: whoever owns the name chooses its addresses.
 *
 * Sources: the IANA registries of special-purpose addresses (RFC 6890 and its updates), RFC 6052 for 64:ff9b::/96.
 */

/* What this machine has itself: the addresses of its interfaces, and the prefixes that need no router. */
struct address_own {
	struct ip *addresses; /* owned */
	size_t address_count;
	struct ip_prefix *links; /* owned */
	size_t link_count;
};

/*
 * Why no rule for a name may lead to this address; REASON_NONE when one may. Pure. `own` may be NULL.
 *
 * Should: judge ::ffff:a.b.c.d and 64:ff9b::a.b.c.d by the IPv4 address in them; count as fit only global unicast
 * addresses of other machines.
 * Mustn't: let a name lead to private, shared, link-local (metadata), loopback, benchmarking (where npxc's synthetic
 * addresses live), documentation, multicast or reserved addresses, to this machine, or to its neighbours.
 */
enum reason address_refusal(const struct ip *ip, const struct address_own *own);

/*
 * Why no rule at all may lead to this address: the guest's own loopback, no host, many hosts. REASON_NONE: an explicit
 * rule for the address may. Pure.
 */
enum reason address_refusal_always(const struct ip *ip);

/* Why an explicit rule for this address would be of no use: the same, and addresses that nobody has. REASON_NONE: it
 * may be. Pure. */
enum reason address_refusal_unused(const struct ip *ip);

/* The same for a host that the user configured by name (a registry): private addresses and neighbours too, but none of
 * the link, where a cloud's metadata is, whoever owns the name. */
enum reason address_refusal_configured(const struct ip *ip);

/* Reads the interfaces (getifaddrs); loopback interfaces too. ERROR_IO. Fail closed: whoever cannot read them must not
 * dial for a name. */
bool address_read_own(struct address_own *ret_own, struct npxc_error *err) NPXC_MUST_CHECK;
/* One more of them; for tests, and for what getifaddrs gives. A prefix of no length is no neighbourhood. */
void address_add_own(struct address_own *own, const struct ip *ip, unsigned prefix_length);
void address_own_done(struct address_own *own);

#endif
