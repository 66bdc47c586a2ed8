#ifndef NPXC_BASE_IP_H
#define NPXC_BASE_IP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/* Addresses of both families and prefixes of them, as values. Pure. */

struct ip {
	bool v6;
	uint8_t bytes[16]; /* network order; of an IPv4 address the first four, the rest is zero */
};

struct ip_prefix {
	struct ip ip;    /* bits beyond the length are zero */
	unsigned length; /* bits: at most 32 or 128 */
};

/* With the NUL; inet_ntop's own ceiling, and a prefix length after it. */
enum { IP_TEXT_BYTES = 46, IP_PREFIX_TEXT_BYTES = IP_TEXT_BYTES + 4 };

/* What inet_pton takes: four decimal numbers, or IPv6 without brackets and zone. `length` bytes of `text`. */
bool ip_parse(const char *text, size_t length, struct ip *ret_ip);
/* An address, or address/length. False also when bits are set beyond the length. */
bool ip_parse_prefix(const char *text, size_t length, struct ip_prefix *ret_prefix);

void ip_text(const struct ip *ip, char ret_text[static IP_TEXT_BYTES]);
void ip_prefix_text(const struct ip_prefix *prefix, char ret_text[static IP_PREFIX_TEXT_BYTES]);

bool ip_equal(const struct ip *a, const struct ip *b);
bool ip_is_loopback(const struct ip *ip);                            /* 127.0.0.0/8, ::1 */
bool ip_within(const struct ip *ip, const struct ip_prefix *prefix); /* never across families */
struct ip ip_mask(const struct ip *ip, unsigned length);

/* ::ffff:a.b.c.d as a.b.c.d, everything else as it is: one address has one form before it is judged. */
struct ip ip_plain(const struct ip *ip);
struct ip ip_v4(uint32_t address); /* host order */

/* False for another family. */
bool ip_of_sockaddr(const struct sockaddr *address, struct ip *ret_ip, uint16_t *ret_port);
socklen_t ip_to_sockaddr(const struct ip *ip, uint16_t port, struct sockaddr_storage *ret_address);

#endif
