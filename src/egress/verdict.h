#ifndef NPXC_EGRESS_VERDICT_H
#define NPXC_EGRESS_VERDICT_H

#include "base/ip.h"
#include "config/rules.h"
#include "egress/address.h"
#include "egress/audit.h"
#include "egress/reason.h"

#include <stddef.h>
#include <stdint.h>

/* Whether the session's rules allow what a guest wants to reach. Pure. */
struct verdict {
	const struct rule *rule; /* borrowed from the rules; the one that names it; NULL: none does */
	enum reason reason;      /* REASON_NONE: allowed */
	enum audit_add add;      /* denied: which rule would help */
};

/* A connection to a name, before it is looked up: no rule, no look-up. `name` canonical; `granted`: see egress/grant.
 */
struct verdict verdict_on_name(const struct rules *rules, const struct rules *granted, const char *name, uint16_t port);
/* A connection, or a datagram, to an address. Only connections reach the ports of the host's loopback. */
struct verdict verdict_on_address(const struct rules *rules, const struct ip *ip, uint16_t port);
struct verdict verdict_on_datagram(const struct rules *rules, const struct ip *ip, uint16_t port);

/*
 * The addresses that `rule`'s name stands for: those that a rule for a name may lead to stay in `v`, in their order,
 * without the IPv6 form of IPv4 ones. How many; of none, `ret_reason` says why not.
 */
size_t verdict_keep_fit(const struct rule *rule, const struct address_own *own, struct ip *v, size_t count,
                        enum reason *ret_reason);

#endif
