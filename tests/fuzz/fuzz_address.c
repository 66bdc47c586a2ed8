#include "fuzz.h"

#include "egress/address.h"

/* The forms of one address are judged alike, and what no rule may name no name may stand for. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ip_prefix prefix;
	struct ip ip, again;
	char text[IP_PREFIX_TEXT_BYTES];

	if (ip_parse_prefix((const char *)data, size, &prefix)) {
		ip_prefix_text(&prefix, text);
		REQUIRE(ip_parse_prefix(text, strlen(text), &prefix));
		REQUIRE(ip_within(&prefix.ip, &prefix));
	}
	if (size < 17)
		return 0;
	ip = (struct ip){ .v6 = (data[0] & 1U) != 0 };
	memcpy(ip.bytes, data + 1, ip.v6 ? 16 : 4);
	ip_text(&ip, text);
	REQUIRE(ip_parse(text, strlen(text), &again) && ip_equal(&ip, &again));
	if (address_refusal_always(&ip) != REASON_NONE)
		REQUIRE(address_refusal(&ip, NULL) != REASON_NONE);
	if (!ip.v6) {
		struct ip mapped = { .v6 = true, .bytes = { [10] = 0xff, [11] = 0xff } };
		struct ip translated = { .v6 = true, .bytes = { 0, 0x64, 0xff, 0x9b } };

		memcpy(mapped.bytes + 12, ip.bytes, 4);
		memcpy(translated.bytes + 12, ip.bytes, 4);
		REQUIRE(address_refusal(&mapped, NULL) == address_refusal(&ip, NULL));
		REQUIRE(address_refusal(&translated, NULL) == address_refusal(&ip, NULL));
	}
	return 0;
}
