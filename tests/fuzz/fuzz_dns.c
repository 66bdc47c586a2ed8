#include "fuzz.h"

#include "egress/dns.h"
#include "egress/names.h"

/* TCP: one message behind the other. Each is whole, and is the same one when it comes a byte at a time. */
static void read_frames(const uint8_t *data, size_t size)
{
	static struct dns_query query;
	enum dns_code code;
	size_t length = 0;

	for (size_t at = 0; dns_framed(data + at, size - at, &length); at += length + 2) {
		uint8_t *copy = malloc(length > 0 ? length : 1);

		REQUIRE(length + 2 <= size - at);
		REQUIRE(!dns_framed(data + at, length + 1, &(size_t){ 0 }));
		memcpy(copy, data + at + 2, length);
		if (dns_parse(copy, length, &query, &code) != DNS_PARSED_IGNORE)
			REQUIRE(length >= 12);
		free(copy);
	}
}

/* Whatever is asked, the answer fits, is an answer, and carries the question's bytes. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct dns_query query;
	enum dns_code code = DNS_CODE_NOERROR;
	uint8_t answer[DNS_ANSWER_BYTES];
	char again[RULES_NAME_BYTES];

	read_frames(data, size);
	if (dns_parse(data, size, &query, &code) == DNS_PARSED_IGNORE)
		return 0;
	for (const char *p = query.shown; *p != '\0'; p++)
		REQUIRE(*p > ' ' && *p < 0x7f);
	if (query.name[0] != '\0')
		REQUIRE(rules_canonical_name(query.name, strlen(query.name), again) && strcmp(again, query.name) == 0);
	for (size_t most = 12; most <= DNS_ANSWER_BYTES; most += 25) {
		const struct ip ip = names_address(size & 0xffU, query.type == DNS_TYPE_AAAA);
		const size_t length = dns_answer(&query, code, code == DNS_CODE_NOERROR ? &ip : NULL, most, answer);

		REQUIRE(length >= 12 && length <= most);
		REQUIRE(memcmp(answer, data, 2) == 0 && (answer[2] & 0x80) != 0);
		REQUIRE((answer[5] == 0) == (length < 12 + query.question_length || query.question_length == 0));
		if (answer[5] == 1)
			REQUIRE(memcmp(answer + 12, data + 12, query.question_length) == 0);
	}
	return 0;
}
