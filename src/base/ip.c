#include "base/ip.h"

#include "base/str.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

static unsigned bits_of(const struct ip *ip)
{
	return ip->v6 ? 128 : 32;
}

bool ip_parse(const char *text, size_t length, struct ip *ret_ip)
{
	char copy[IP_TEXT_BYTES];
	struct ip ip = { 0 };

	if (length == 0 || length >= sizeof(copy) || memchr(text, '\0', length) != NULL)
		return false;
	memcpy(copy, text, length);
	copy[length] = '\0';
	ip.v6 = strchr(copy, ':') != NULL;
	if (inet_pton(ip.v6 ? AF_INET6 : AF_INET, copy, ip.bytes) != 1)
		return false;
	*ret_ip = ip;
	return true;
}

bool ip_parse_prefix(const char *text, size_t length, struct ip_prefix *ret_prefix)
{
	const char *slash = length == 0 ? NULL : memchr(text, '/', length);
	struct ip_prefix prefix = { 0 };
	uint64_t bits;

	if (!ip_parse(text, slash == NULL ? length : (size_t)(slash - text), &prefix.ip))
		return false;
	prefix.length = bits_of(&prefix.ip);
	if (slash != NULL) {
		const size_t left = length - (size_t)(slash - text) - 1;
		char digits[4] = "";

		if (left >= sizeof(digits))
			return false;
		memcpy(digits, slash + 1, left);
		if (!str_to_u64(digits, prefix.length, &bits))
			return false;
		prefix.length = (unsigned)bits;
	}
	const struct ip masked = ip_mask(&prefix.ip, prefix.length);
	if (!ip_equal(&masked, &prefix.ip))
		return false;
	*ret_prefix = prefix;
	return true;
}

void ip_text(const struct ip *ip, char ret_text[static IP_TEXT_BYTES])
{
	if (inet_ntop(ip->v6 ? AF_INET6 : AF_INET, ip->bytes, ret_text, IP_TEXT_BYTES) == NULL)
		ret_text[0] = '\0';
}

void ip_prefix_text(const struct ip_prefix *prefix, char ret_text[static IP_PREFIX_TEXT_BYTES])
{
	size_t used;

	ip_text(&prefix->ip, ret_text);
	used = strlen(ret_text);
	if (prefix->length != bits_of(&prefix->ip))
		snprintf(ret_text + used, IP_PREFIX_TEXT_BYTES - used, "/%u", prefix->length);
}

bool ip_equal(const struct ip *a, const struct ip *b)
{
	return a->v6 == b->v6 && memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

struct ip ip_mask(const struct ip *ip, unsigned length)
{
	struct ip masked = { .v6 = ip->v6 };
	const unsigned whole = length / 8;

	memcpy(masked.bytes, ip->bytes, whole);
	if (length % 8 != 0)
		masked.bytes[whole] = (uint8_t)(ip->bytes[whole] & (0xff00U >> (length % 8)));
	return masked;
}

bool ip_is_loopback(const struct ip *ip)
{
	static const struct ip v6 = { .v6 = true, .bytes = { [15] = 1 } };

	return ip->v6 ? ip_equal(ip, &v6) : ip->bytes[0] == 127;
}

bool ip_within(const struct ip *ip, const struct ip_prefix *prefix)
{
	const struct ip masked = ip_mask(ip, prefix->length);

	return ip_equal(&masked, &prefix->ip);
}

struct ip ip_plain(const struct ip *ip)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	struct ip plain = { 0 };

	if (!ip->v6 || memcmp(ip->bytes, mapped, sizeof(mapped)) != 0)
		return *ip;
	memcpy(plain.bytes, ip->bytes + sizeof(mapped), 4);
	return plain;
}

struct ip ip_v4(uint32_t address)
{
	return (struct ip){ .bytes = { (uint8_t)(address >> 24), (uint8_t)(address >> 16), (uint8_t)(address >> 8),
		                       (uint8_t)address } };
}

bool ip_of_sockaddr(const struct sockaddr *address, struct ip *ret_ip, uint16_t *ret_port)
{
	struct ip ip = { 0 };

	if (address->sa_family == AF_INET) {
		struct sockaddr_in in;

		memcpy(&in, address, sizeof(in));
		memcpy(ip.bytes, &in.sin_addr, 4);
		*ret_port = ntohs(in.sin_port);
	} else if (address->sa_family == AF_INET6) {
		struct sockaddr_in6 in6;

		memcpy(&in6, address, sizeof(in6));
		ip.v6 = true;
		memcpy(ip.bytes, &in6.sin6_addr, 16);
		*ret_port = ntohs(in6.sin6_port);
	} else {
		return false;
	}
	*ret_ip = ip;
	return true;
}

socklen_t ip_to_sockaddr(const struct ip *ip, uint16_t port, struct sockaddr_storage *ret_address)
{
	*ret_address = (struct sockaddr_storage){ 0 };
	if (ip->v6) {
		struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };

		memcpy(&in6.sin6_addr, ip->bytes, 16);
		memcpy(ret_address, &in6, sizeof(in6));
		return sizeof(in6);
	}
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(port) };

	memcpy(&in.sin_addr, ip->bytes, 4);
	memcpy(ret_address, &in, sizeof(in));
	return sizeof(in);
}
