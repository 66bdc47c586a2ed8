#ifndef NPXC_EGRESS_NAMES_H
#define NPXC_EGRESS_NAMES_H

#include "base/ip.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The addresses that npxc gives to names inside: 198.18.0.0/15 (RFC 2544, routed nowhere) and a ULA, one of each per
 * name and session. A connection to such an address is a connection to that name; nobody inside chooses the real one.
 * Pure.
 */

struct names; /* names in canonical form */

/* `seed` is secret, random, per session: the guest chooses the names that are looked up in here. */
struct names *names_new(uint64_t seed); /* owned */
void names_free(struct names *names);

/* The name's number, given out at its first asking and never to another name. False: LIMIT_EGRESS_NAMES are given out.
 */
bool names_add(struct names *names, const char *name, uint32_t *ret_number);

struct ip names_address(uint32_t number, bool v6);
/* host.npxc.internal's, in every session the same. */
struct ip names_alias_address(bool v6);
/* The name that the address stands for, borrowed. NULL: none, whether or not the address is of npxc's ranges. */
const char *names_find(const struct names *names, const struct ip *ip);
/* Whether the address is of the ranges from which names get theirs. */
bool names_is_synthetic(const struct ip *ip);

#endif
