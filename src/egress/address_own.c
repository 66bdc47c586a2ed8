#include "egress/address.h"

#include <ifaddrs.h>

/* The half of egress/address that asks the system. */

static unsigned length_of(const struct ip *mask)
{
	unsigned length = 0;

	while (length < (mask->v6 ? 128U : 32U) && (mask->bytes[length / 8] & (0x80U >> (length % 8))) != 0)
		length++;
	return length;
}

bool address_read_own(struct address_own *ret_own, struct npxc_error *err)
{
	struct address_own own = { 0 };
	struct ifaddrs *list;

	if (getifaddrs(&list) == -1)
		return error_set_errno(err, ERROR_IO, "read this machine's addresses (getifaddrs)");
	for (const struct ifaddrs *entry = list; entry != NULL; entry = entry->ifa_next) {
		struct ip ip, mask = { 0 }, peer;
		uint16_t port;

		if (entry->ifa_addr == NULL || !ip_of_sockaddr(entry->ifa_addr, &ip, &port))
			continue;
		/* Without a mask, one that says nothing: the address alone. */
		if (entry->ifa_netmask == NULL || !ip_of_sockaddr(entry->ifa_netmask, &mask, &port))
			mask = (struct ip){ .v6 = ip.v6 };
		address_add_own(&own, &ip, length_of(&mask));
		/* The other end of a point-to-point link (a VPN's gateway) is a neighbour too. */
		if (entry->ifa_dstaddr != NULL && ip_of_sockaddr(entry->ifa_dstaddr, &peer, &port))
			address_add_own(&own, &peer, 0);
	}
	freeifaddrs(list);
	*ret_own = own;
	return true;
}
