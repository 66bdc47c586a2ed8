#include "egress/address.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

struct range {
	const char *prefix;
	const char *why;
};

static const struct range v4_ranges[] = {
	{ "0.0.0.0/8", "no host" },
	{ "10.0.0.0/8", "private" },
	{ "100.64.0.0/10", "shared by carriers" },
	{ "127.0.0.0/8", "loopback" },
	{ "169.254.0.0/16", "link-local" },
	{ "172.16.0.0/12", "private" },
	{ "192.0.0.0/24", "reserved for protocols" },
	{ "192.0.2.0/24", "for documentation" },
	{ "192.88.99.0/24", "a 6to4 relay" },
	{ "192.168.0.0/16", "private" },
	{ "198.18.0.0/15", "for benchmarks" },
	{ "198.51.100.0/24", "for documentation" },
	{ "203.0.113.0/24", "for documentation" },
	{ "224.0.0.0/4", "multicast" },
	{ "240.0.0.0/4", "reserved" },
};

/* Within 2000::/3; outside of it nothing is global unicast. */
static const struct range v6_ranges[] = {
	{ "2001::/23", "reserved for protocols" }, /* Teredo and ORCHID among them */
	{ "2001:db8::/32", "for documentation" },
	{ "2002::/16", "6to4" },
	{ "3fff::/20", "for documentation" },
};

static const struct range never[] = {
	{ "0.0.0.0/8", "no host" },    { "127.0.0.0/8", "loopback" },     { "224.0.0.0/4", "multicast" },
	{ "240.0.0.0/4", "reserved" }, { "198.18.0.0/15", "npxc's own" }, { "::/128", "no host" },
	{ "::1/128", "loopback" },     { "ff00::/8", "multicast" },       { "fe80::/10", "link-local" },
};

static bool is_in(const struct ip *ip, const char *text)
{
	struct ip_prefix prefix;

	return ip_parse_prefix(text, strlen(text), &prefix) && ip_within(ip, &prefix);
}

static const char *find(const struct ip *ip, const struct range *ranges, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (is_in(ip, ranges[i].prefix))
			return ranges[i].why;
	return NULL;
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

static const char *special(const struct ip *ip)
{
	if (!ip->v6)
		return find(ip, v4_ranges, sizeof(v4_ranges) / sizeof(v4_ranges[0]));
	if (!is_in(ip, "2000::/3"))
		return "no global address";
	return find(ip, v6_ranges, sizeof(v6_ranges) / sizeof(v6_ranges[0]));
}

const char *address_refusal(const struct ip *ip, const struct address_own *own)
{
	const struct ip real = embedded(ip);
	const char *why = special(&real);

	if (why != NULL || own == NULL)
		return why;
	for (size_t i = 0; i < own->address_count; i++)
		if (ip_equal(&real, &own->addresses[i]))
			return "this machine's own";
	for (size_t i = 0; i < own->link_count; i++)
		if (ip_within(&real, &own->links[i]))
			return "in a network of this machine";
	return NULL;
}

const char *address_refusal_always(const struct ip *ip)
{
	const struct ip real = embedded(ip);

	return find(&real, never, sizeof(never) / sizeof(never[0]));
}

const char *address_refusal_configured(const struct ip *ip)
{
	static const struct range link[] = { { "169.254.0.0/16", "link-local" },
		                             { "fd00:ec2::/32", "a cloud's metadata" } };
	const struct ip real = embedded(ip);
	const char *why = address_refusal_always(ip);

	return why != NULL ? why : find(&real, link, sizeof(link) / sizeof(link[0]));
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
