#include "fuzz.h"

#include "egress/grant.h"
#include "egress/records.h"

/* Whatever comes as an answer to these: what is kept stays within its ceilings, every target is a host's name, and the
 * answer that is made of it is one that reads the same. */
static void read_as(const uint8_t *data, size_t size, const char *name, uint16_t type)
{
	static struct records records, again;
	static uint8_t answer[RECORDS_ANSWER_BYTES];
	struct dns_query query = { .type = type, .class = DNS_CLASS_IN, .recursion_desired = true };
	char target[RULES_NAME_BYTES], canonical[RULES_NAME_BYTES];
	uint16_t port;

	if (!records_read(data, size, name, type, &records)) {
		REQUIRE(records.code == DNS_CODE_SERVFAIL && records.count == 0);
		return;
	}
	REQUIRE(records.count <= RECORDS_MAX && records.used <= RECORDS_DATA_BYTES && records.type == type);
	for (size_t i = 0; i < records.count; i++) {
		REQUIRE(records.v[i].ttl_s <= DNS_TTL_S);
		if (records_target(&records, i, target, &port))
			REQUIRE(port != 0 && rules_canonical_name(target, strlen(target), canonical) &&
			        strcmp(target, canonical) == 0);
	}
	for (const char *p = name; *p != '\0';) {
		const size_t span = strcspn(p, ".");

		query.question[query.question_length++] = (uint8_t)span;
		memcpy(query.question + query.question_length, p, span);
		query.question_length += span;
		p += span + (p[span] == '.');
	}
	memcpy(query.question + query.question_length, (const uint8_t[]){ 0, 0, (uint8_t)type, 0, 1 }, 5);
	query.question_length += 5;
	const size_t length = records_answer(&records, &query, RECORDS_ANSWER_BYTES, answer);
	REQUIRE(length <= RECORDS_ANSWER_BYTES && records_answer(&records, &query, 512, answer) <= 512);
	(void)!records_answer(&records, &query, RECORDS_ANSWER_BYTES, answer);
	REQUIRE(records_read(answer, length, name, type, &again));
	REQUIRE(again.count == records.count && again.used == records.used &&
	        memcmp(again.data, records.data, records.used) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint16_t types[] = { DNS_TYPE_SRV, DNS_TYPE_TXT, DNS_TYPE_MX, DNS_TYPE_CNAME };

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		read_as(data, size, "db.example", types[i]);
		read_as(data, size, "_mongodb._tcp.db.example", types[i]);
	}
	return 0;
}
