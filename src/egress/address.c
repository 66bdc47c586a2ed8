#include "egress/address.h"

#include "base/fault.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

struct range {
	const char *prefix;
	enum reason reason;
};

static const struct range v4_ranges[] = {
	{ "0.0.0.0/8", REASON_NO_HOST },
	{ "10.0.0.0/8", REASON_PRIVATE },
	{ "100.64.0.0/10", REASON_SHARED },
	{ "127.0.0.0/8", REASON_LOOPBACK },
	{ "169.254.0.0/16", REASON_LINK_LOCAL },
	{ "172.16.0.0/12", REASON_PRIVATE },
	{ "192.0.0.0/24", REASON_PROTOCOLS },
	{ "192.0.2.0/24", REASON_DOCUMENTATION },
	{ "192.88.99.0/24", REASON_RELAY_6TO4 },
	{ "192.168.0.0/16", REASON_PRIVATE },
	{ "198.18.0.0/15", REASON_BENCHMARKS },
	{ "198.51.100.0/24", REASON_DOCUMENTATION },
	{ "203.0.113.0/24", REASON_DOCUMENTATION },
	{ "224.0.0.0/4", REASON_MULTICAST },
	{ "240.0.0.0/4", REASON_RESERVED },
};

/* Within 2000::/3; outside of it nothing is global unicast. */
static const struct range v6_ranges[] = {
	{ "2001::/23", REASON_PROTOCOLS }, /* Teredo and ORCHID among them */
	{ "2001:db8::/32", REASON_DOCUMENTATION },
	{ "2002::/16", REASON_NET_6TO4 },
	{ "3fff::/20", REASON_DOCUMENTATION },
};

static const struct range never[] = {
	{ "0.0.0.0/8", REASON_NO_HOST },    { "127.0.0.0/8", REASON_LOOPBACK },   { "224.0.0.0/4", REASON_MULTICAST },
	{ "240.0.0.0/4", REASON_RESERVED }, { "198.18.0.0/15", REASON_NPXC_OWN }, { "::/128", REASON_NO_HOST },
	{ "::1/128", REASON_LOOPBACK },     { "ff00::/8", REASON_MULTICAST },     { "fe80::/10", REASON_LINK_LOCAL },
};

static bool is_in(const struct ip *ip, const char *text)
{
	struct ip_prefix prefix;

	return ip_parse_prefix(text, strlen(text), &prefix) && ip_within(ip, &prefix);
}

static enum reason find(const struct ip *ip, const struct range *ranges, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (is_in(ip, ranges[i].prefix))
			return ranges[i].reason;
	return REASON_NONE;
}

/* The IPv4 address that a packet to this one would end at. */
static struct ip embedded(const struct ip *ip)
{
	struct ip plain = ip_plain(ip);

	if (is_in(&plain, "64:ff9b::/96")) {
		struct ip v4 = { 0 };

		memcpy(v4.bytes, plain.bytes + 12, 4);
		return v4;
	}
	return plain;
}

static enum reason special(const struct ip *ip)
{
	if (!ip->v6)
		return find(ip, v4_ranges, sizeof(v4_ranges) / sizeof(v4_ranges[0]));
	if (!is_in(ip, "2000::/3"))
		return REASON_NOT_GLOBAL;
	return find(ip, v6_ranges, sizeof(v6_ranges) / sizeof(v6_ranges[0]));
}

enum reason address_refusal(const struct ip *ip, const struct address_own *own)
{
	const struct ip real = embedded(ip);
	enum reason reason = special(&real);

	if (reason != REASON_NONE || own == NULL || WITHOUT("own-addresses"))
		return WITHOUT("special-addresses") ? REASON_NONE : reason;
	for (size_t i = 0; i < own->address_count; i++)
		if (ip_equal(&real, &own->addresses[i]))
			return REASON_OWN_ADDRESS;
	for (size_t i = 0; i < own->link_count; i++)
		if (ip_within(&real, &own->links[i]))
			return REASON_OWN_NETWORK;
	return REASON_NONE;
}

enum reason address_refusal_always(const struct ip *ip)
{
	const struct ip real = embedded(ip);

	return find(&real, never, sizeof(never) / sizeof(never[0]));
}

enum reason address_refusal_configured(const struct ip *ip)
{
	static const struct range link[] = { { "169.254.0.0/16", REASON_LINK_LOCAL },
		                             { "fd00:ec2::/32", REASON_METADATA } };
	const struct ip real = embedded(ip);
	enum reason reason = address_refusal_always(ip);

	return reason != REASON_NONE ? reason : find(&real, link, sizeof(link) / sizeof(link[0]));
}

void address_add_own(struct address_own *own, const struct ip *ip, unsigned prefix_length)
{
	const struct ip plain = ip_plain(ip);

	own->addresses = mem_realloc(own->addresses, own->address_count + 1, sizeof(*own->addresses));
	own->addresses[own->address_count++] = plain;
	if (prefix_length == 0 || prefix_length > (plain.v6 ? 128U : 32U))
		return;
	own->links = mem_realloc(own->links, own->link_count + 1, sizeof(*own->links));
	own->links[own->link_count++] =
	    (struct ip_prefix){ .ip = ip_mask(&plain, prefix_length), .length = prefix_length };
}

void address_own_done(struct address_own *own)
{
	free(own->addresses);
	free(own->links);
	*own = (struct address_own){ 0 };
}
