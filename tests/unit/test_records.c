#include "unit.h"

#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"
#include "egress/grant.h"
#include "egress/records.h"

#include <stdio.h>
#include <string.h>

/* One answer: a header that says how many records follow, a question for db.example, and what stands there. */
#define HEAD(flags, questions, answers) "\x12\x34" flags "\x00" questions "\x00" answers "\x00\x00\x00\x00"
#define OK "\x81\x80"
#define DB        \
	"\x02"    \
	"db"      \
	"\x07"    \
	"example" \
	"\x00"
#define ASKED(type) DB "\x00" type "\x00\x01"
#define OWN "\xc0\x0c" /* db.example, as the question has it */
#define RECORD(type, length) "\x00" type "\x00\x01\x00\x00\x0e\x10\x00" length
#define SRV "\x21"
#define TXT "\x10"
#define MX "\x0f"
#define CNAME "\x05"
#define A "\x01"
#define S0     \
	"\x02" \
	"S0"   \
	"\xc0\x0f" /* below example */

struct message {
	const char *bytes;
	size_t length;
};
#define MESSAGE(bytes)                   \
	{                                \
		bytes, sizeof(bytes) - 1 \
	}

static void answers_are_read(void **state)
{
	static const struct {
		struct message message;
		uint16_t type;
		enum dns_code code;
		size_t count;
		struct message data; /* of all of them, one behind the other */
		unsigned ttl_s;      /* of the first */
	} cases[] = {
		{ MESSAGE(HEAD(OK, "\x01", "\x01") ASKED(SRV) OWN RECORD(SRV, "\x0b") "\x00\x01\x00\x02\x69\x89" S0),
		  DNS_TYPE_SRV, DNS_CODE_NOERROR, 1,
		  MESSAGE("\x00\x01\x00\x02\x69\x89\x02"
		          "s0"
		          "\x07"
		          "example"
		          "\x00"),
		  DNS_TTL_S },
		{ MESSAGE(HEAD(OK, "\x01", "\x01") ASKED(TXT) OWN "\x00\x10\x00\x01\x00\x00\x00\x05\x00\x07"
		                                                  "\x03"
		                                                  "a=b"
		                                                  "\x00\x01\xff"),
		  DNS_TYPE_TXT, DNS_CODE_NOERROR, 1,
		  MESSAGE("\x03"
		          "a=b"
		          "\x00\x01\xff"),
		  5 },
		/* a time to live beyond what there is (RFC 2181) */
		{ MESSAGE(HEAD(OK, "\x01", "\x01") ASKED(MX) OWN "\x00\x0f\x00\x01\xff\xff\xff\xff\x00\x07\x00\x0a" S0),
		  DNS_TYPE_MX, DNS_CODE_NOERROR, 1,
		  MESSAGE("\x00\x0a\x02"
		          "s0"
		          "\x07"
		          "example"
		          "\x00"),
		  0 },
		/* no such service, no mail */
		{ MESSAGE(HEAD(OK, "\x01", "\x01") ASKED(SRV) OWN RECORD(SRV, "\x07") "\x00\x00\x00\x00\x00\x00\x00"),
		  DNS_TYPE_SRV, DNS_CODE_NOERROR, 1, MESSAGE("\x00\x00\x00\x00\x00\x00\x00"), DNS_TTL_S },
		{ MESSAGE(HEAD(OK, "\x01", "\x01") ASKED(CNAME) OWN RECORD(CNAME, "\x05") S0), DNS_TYPE_CNAME,
		  DNS_CODE_NOERROR, 1,
		  MESSAGE("\x02"
		          "s0"
		          "\x07"
		          "example"
		          "\x00"),
		  DNS_TTL_S },
		/* behind an alias, which stands after what it leads to */
		{ MESSAGE(HEAD(OK, "\x01", "\x02") ASKED(TXT) S0 RECORD(TXT, "\x02") "\x01"
		                                                                     "x" OWN RECORD(CNAME, "\x05") S0),
		  DNS_TYPE_TXT, DNS_CODE_NOERROR, 1,
		  MESSAGE("\x01"
		          "x"),
		  DNS_TTL_S },
		/* others' records, other types and classes: passed over */
		{ MESSAGE(HEAD(OK, "\x01", "\x04") ASKED(TXT) S0 RECORD(
		      TXT, "\x02") "\x01"
		                   "x" OWN RECORD(A, "\x04") "abcd" OWN "\x00\x10\x00\x03\x00\x00\x00\x05\x00\x02\x01"
		                                             "y" OWN RECORD(TXT, "\x02") "\x01"
		                                                                         "z"),
		  DNS_TYPE_TXT, DNS_CODE_NOERROR, 1,
		  MESSAGE("\x01"
		          "z"),
		  DNS_TTL_S },
		{ MESSAGE(HEAD(OK, "\x01", "\x00") ASKED(TXT)), DNS_TYPE_TXT, DNS_CODE_NOERROR, 0, MESSAGE(""), 0 },
		{ MESSAGE(HEAD("\x81\x83", "\x01", "\x00") ASKED(TXT)), DNS_TYPE_TXT, DNS_CODE_NXDOMAIN, 0, MESSAGE(""),
		  0 },
	};
	static struct records records;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (!records_read((const uint8_t *)cases[i].message.bytes, cases[i].message.length, "db.example",
		                  cases[i].type, &records))
			fail_msg("case %zu is not read", i);
		assert_int_equal(records.code, cases[i].code);
		assert_int_equal(records.count, cases[i].count);
		assert_int_equal(records.used, cases[i].data.length);
		assert_memory_equal(records.data, cases[i].data.bytes, records.used);
		if (records.count > 0)
			assert_int_equal(records.v[0].ttl_s, cases[i].ttl_s);
	}
}

static void answers_that_are_refused(void **state)
{
	static const struct {
		const char *why;
		struct message message;
		uint16_t type;
	} cases[] = {
		{ "empty", MESSAGE(""), DNS_TYPE_TXT },
		{ "a question", MESSAGE(HEAD("\x01\x00", "\x01", "\x00") ASKED(TXT)), DNS_TYPE_TXT },
		{ "another opcode", MESSAGE(HEAD("\xa9\x80", "\x01", "\x00") ASKED(TXT)), DNS_TYPE_TXT },
		{ "cut", MESSAGE(HEAD("\x83\x80", "\x01", "\x00") ASKED(TXT)), DNS_TYPE_TXT },
		{ "a failure", MESSAGE(HEAD("\x81\x82", "\x01", "\x00") ASKED(TXT)), DNS_TYPE_TXT },
		{ "refused", MESSAGE(HEAD("\x81\x85", "\x01", "\x00") ASKED(TXT)), DNS_TYPE_TXT },
		{ "no question", MESSAGE(HEAD(OK, "\x00", "\x00")), DNS_TYPE_TXT },
		{ "two questions", MESSAGE(HEAD(OK, "\x02", "\x00") ASKED(TXT) ASKED(TXT)), DNS_TYPE_TXT },
		{ "another type", MESSAGE(HEAD(OK, "\x01", "\x00") ASKED(SRV)), DNS_TYPE_TXT },
		{ "another name",
		  MESSAGE(HEAD(OK, "\x01", "\x00") "\x02"
		                                   "dc"
		                                   "\x07"
		                                   "example"
		                                   "\x00\x00\x10\x00\x01"),
		  DNS_TYPE_TXT },
		{ "another class", MESSAGE(HEAD(OK, "\x01", "\x00") DB "\x00\x10\x00\x03"), DNS_TYPE_TXT },
		{ "addresses", MESSAGE(HEAD(OK, "\x01", "\x01") ASKED(A) OWN RECORD(A, "\x04") "abcd"), DNS_TYPE_A },
		{ "fewer records than it says",
		  MESSAGE(HEAD(OK, "\x01", "\x02") ASKED(TXT) OWN RECORD(TXT, "\x02") "\x01"
		                                                                      "x"),
		  DNS_TYPE_TXT },
		{ "more records than are read", MESSAGE("\x12\x34" OK "\x00\x01\x01\x01\x00\x00\x00\x00" ASKED(TXT)),
		  DNS_TYPE_TXT },
		{ "data beyond the end",
		  MESSAGE(HEAD(OK, "\x01", "\x01") ASKED(TXT) OWN RECORD(TXT, "\x03") "\x01"
		                                                                      "x"),
		  DNS_TYPE_TXT },
		{ "a string beyond its data",
		  MESSAGE(HEAD(OK, "\x01", "\x01") ASKED(TXT) OWN RECORD(TXT, "\x02") "\x02"
		                                                                      "xy"),
		  DNS_TYPE_TXT },
		{ "no string", MESSAGE(HEAD(OK, "\x01", "\x01") ASKED(TXT) OWN RECORD(TXT, "\x00")), DNS_TYPE_TXT },
		{ "a pointer to itself",
		  MESSAGE(HEAD(OK, "\x01", "\x01") ASKED(TXT) "\xc0\x1c" RECORD(TXT, "\x02") "\x01"
		                                                                             "x"),
		  DNS_TYPE_TXT },
		{ "a pointer forward",
		  MESSAGE(HEAD(OK, "\x01", "\x01") ASKED(TXT) "\xc0\x20" RECORD(TXT, "\x02") "\x01"
		                                                                             "x"),
		  DNS_TYPE_TXT },
		{ "a pointer into the header",
		  MESSAGE(HEAD(OK, "\x01", "\x01") ASKED(TXT) "\xc0\x04" RECORD(TXT, "\x02") "\x01"
		                                                                             "x"),
		  DNS_TYPE_TXT },
		{ "pointers in a ring",
		  MESSAGE(HEAD(OK, "\x01", "\x01") ASKED(SRV) OWN RECORD(SRV, "\x0a") "\x00\x00\x00\x00\x69\x89"
		                                                                      "\xc0\x30\xc0\x2e"),
		  DNS_TYPE_SRV },
		{ "half a pointer", MESSAGE(HEAD(OK, "\x01", "\x01") ASKED(TXT) "\xc0"), DNS_TYPE_TXT },
		{ "an unknown kind of label",
		  MESSAGE(HEAD(OK, "\x01", "\x01") ASKED(TXT) "\x41"
		                                              "x" RECORD(TXT, "\x02") "\x01"
		                                                                      "x"),
		  DNS_TYPE_TXT },
		{ "a target that does not fill its data",
		  MESSAGE(HEAD(OK, "\x01", "\x01") ASKED(MX) OWN RECORD(MX, "\x08") "\x00\x0a" S0 "x"), DNS_TYPE_MX },
		{ "a target beyond its data",
		  MESSAGE(HEAD(OK, "\x01", "\x02") ASKED(MX) OWN RECORD(MX, "\x04") "\x00\x0a" S0), DNS_TYPE_MX },
		{ "no target",
		  MESSAGE(HEAD(OK, "\x01", "\x01") ASKED(SRV) OWN RECORD(SRV, "\x06") "\x00\x00\x00\x00\x69\x89"),
		  DNS_TYPE_SRV },
		{ "a target that reads as an address",
		  MESSAGE(HEAD(OK, "\x01", "\x01") ASKED(SRV) OWN RECORD(SRV, "\x0e") "\x00\x00\x00\x00\x69\x89"
		                                                                      "\x03"
		                                                                      "127"
		                                                                      "\x01"
		                                                                      "1"
		                                                                      "\x00\x00"),
		  DNS_TYPE_SRV },
		{ "a target with a dot in a label",
		  MESSAGE(HEAD(OK, "\x01", "\x01") ASKED(MX) OWN RECORD(MX, "\x08") "\x00\x0a"
		                                                                    "\x03"
		                                                                    "a.b"
		                                                                    "\xc0\x0f"),
		  DNS_TYPE_MX },
		{ "a target with a zero byte",
		  MESSAGE(HEAD(OK, "\x01", "\x01") ASKED(MX) OWN RECORD(MX, "\x08") "\x00\x0a"
		                                                                    "\x03"
		                                                                    "a\0b"
		                                                                    "\xc0\x0f"),
		  DNS_TYPE_MX },
		{ "a target with a line end",
		  MESSAGE(HEAD(OK, "\x01", "\x01") ASKED(MX) OWN RECORD(MX, "\x08") "\x00\x0a"
		                                                                    "\x03"
		                                                                    "a\nb"
		                                                                    "\xc0\x0f"),
		  DNS_TYPE_MX },
		{ "an alias of the root",
		  MESSAGE(HEAD(OK, "\x01", "\x01") ASKED(CNAME) OWN RECORD(CNAME, "\x01") "\x00"), DNS_TYPE_CNAME },
		{ "an alias of itself", MESSAGE(HEAD(OK, "\x01", "\x01") ASKED(TXT) OWN RECORD(CNAME, "\x02") OWN),
		  DNS_TYPE_TXT },
	};
	static struct records records;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		memset(&records, 1, sizeof(records));
		if (records_read((const uint8_t *)cases[i].message.bytes, cases[i].message.length, "db.example",
		                 cases[i].type, &records))
			fail_msg("%s: read", cases[i].why);
		assert_int_equal(records.code, DNS_CODE_SERVFAIL);
		assert_int_equal(records.count, 0);
		assert_int_equal(records.used, 0);
	}
}

/* Many records of `length` bytes of text: what is over the ceilings is refused whole. */
static bool read_many(unsigned count, size_t length, struct records *ret_records)
{
	static uint8_t message[65536];
	size_t used = sizeof(HEAD(OK, "\x01", "\x00") ASKED(TXT)) - 1;

	memcpy(message, HEAD(OK, "\x01", "\x00") ASKED(TXT), used);
	message[6] = (uint8_t)(count >> 8);
	message[7] = (uint8_t)count;
	for (unsigned i = 0; i < count; i++) {
		memcpy(message + used, OWN RECORD(TXT, "\x00"), 12);
		message[used + 11] = (uint8_t)(length + 1);
		message[used + 12] = (uint8_t)length;
		memset(message + used + 13, 'x', length);
		used += 13 + length;
	}
	return records_read(message, used, "db.example", DNS_TYPE_TXT, ret_records);
}

static struct dns_query question(bool edns)
{
	static const char plain[] = HEAD("\x01\x00", "\x01", "\x00") ASKED(TXT);
	enum dns_code code;
	struct dns_query query;

	assert_int_equal(dns_parse((const uint8_t *)plain, sizeof(plain) - 1, &query, &code), DNS_PARSED_QUERY);
	query.edns = edns;
	return query;
}

static void there_are_ceilings(void **state)
{
	static struct records records;
	static uint8_t answer[RECORDS_ANSWER_BYTES];
	const struct dns_query query = question(true);

	(void)state;
	assert_true(read_many(RECORDS_MAX, 10, &records));
	assert_int_equal(records.count, RECORDS_MAX);
	assert_false(read_many(RECORDS_MAX + 1, 10, &records));
	assert_true(read_many(RECORDS_DATA_BYTES / 256, 255 - 1 + 0, &records));
	assert_false(read_many(RECORDS_DATA_BYTES / 250 + 1, 249, &records));

	/* an answer has room for all that is read, and one in a datagram is marked as cut */
	assert_true(read_many(RECORDS_MAX, 127, &records));
	assert_int_equal(records.used, RECORDS_DATA_BYTES);
	const size_t length = records_answer(&records, &query, RECORDS_ANSWER_BYTES, answer);
	assert_true(length > RECORDS_DATA_BYTES && length <= RECORDS_ANSWER_BYTES);
	assert_int_equal(answer[2] & 0x02, 0);
	assert_int_equal(answer[7], RECORDS_MAX);
	assert_true(records_answer(&records, &query, 1232, answer) <= 1232);
	assert_int_equal(answer[2] & 0x02, 0x02);
	assert_int_equal(answer[7], 0);
}

/* ---- which names are asked for, and what that allows ---- */

static void allow(struct rules *rules, const char *list)
{
	mem_cleanup char *copy = str_dup(list);
	struct npxc_error err = { 0 };

	for (char *save = NULL, *rule = strtok_r(copy, " ", &save); rule != NULL; rule = strtok_r(NULL, " ", &save))
		if (!rules_add(rules, rule, &err))
			fail_msg("%s: %s", rule, err.message);
}

static void only_names_on_a_rule_are_asked_for(void **state)
{
	static const struct {
		const char *rules, *name;
		uint16_t type;
		enum reason refusal;
	} cases[] = {
		{ "db.example:27017", "db.example", DNS_TYPE_TXT, REASON_NONE },
		{ "db.example:27017", "db.example", DNS_TYPE_SRV, REASON_NONE },
		{ "db.example:27017", "db.example", DNS_TYPE_MX, REASON_NONE },
		{ "db.example:27017", "db.example", DNS_TYPE_CNAME, REASON_NONE },
		{ "db.example:27017", "_mongodb._tcp.db.example", DNS_TYPE_SRV, REASON_NONE },
		{ "*.a.example", "_mongodb._tcp.db.a.example", DNS_TYPE_SRV, REASON_NONE },
		{ "*.a.example", "_mongodb._tcp.a.example", DNS_TYPE_SRV, REASON_NONE },
		{ "*.a.example", "db.a.example", DNS_TYPE_MX, REASON_NONE },
		{ "*.a.example", "db.a.example", DNS_TYPE_CNAME, REASON_NONE },
		{ "*.a.example db.a.example", "db.a.example", DNS_TYPE_TXT, REASON_NONE },
		{ "*.a.example", "db.a.example", DNS_TYPE_TXT, REASON_TXT_WILDCARD },
		{ "*.a.example", "a.example", DNS_TYPE_TXT, REASON_UNLISTED },
		{ "*.a.example", "a.example", DNS_TYPE_MX, REASON_UNLISTED },
		{ "db.example", "secret.db.example", DNS_TYPE_TXT, REASON_UNLISTED },
		{ "db.example", "secret.db.example", DNS_TYPE_SRV, REASON_UNLISTED },
		{ "db.example", "secret._tcp.db.example", DNS_TYPE_SRV, REASON_UNLISTED },
		{ "db.example", "_secret._tcp.db.example", DNS_TYPE_SRV, REASON_UNLISTED },
		{ "db.example", "_mongodb._secret.db.example", DNS_TYPE_SRV, REASON_UNLISTED },
		{ "db.example", "_mongodb._tcp.secret.db.example", DNS_TYPE_SRV, REASON_UNLISTED },
		{ "db.example", "_mongodbx._tcp.db.example", DNS_TYPE_SRV, REASON_UNLISTED },
		{ "db.example", "_mongodb._tcp.db.example", DNS_TYPE_TXT, REASON_UNLISTED },
		{ "db.example", "_mongodb._tcp.db.example", DNS_TYPE_CNAME, REASON_UNLISTED },
		{ "db.example", "xdb.example", DNS_TYPE_TXT, REASON_UNLISTED },
		{ "db.example", "example", DNS_TYPE_MX, REASON_UNLISTED },
		{ "db.example", "_mongodb._tcp.", DNS_TYPE_SRV, REASON_UNLISTED },
		{ "93.184.216.34", "db.example", DNS_TYPE_MX, REASON_UNLISTED },
		{ "host.npxc.internal:80", "host.npxc.internal", DNS_TYPE_TXT, REASON_UNLISTED },
		{ "host.npxc.internal:80", "_http._tcp.host.npxc.internal", DNS_TYPE_SRV, REASON_UNLISTED },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct rules rules = { 0 };

		allow(&rules, cases[i].rules);
		if (grant_refusal(&rules, cases[i].name, cases[i].type) != cases[i].refusal)
			fail_msg("%s: %s, type %u", cases[i].rules, cases[i].name, cases[i].type);
		rules_done(&rules);
	}
	struct rules configured = { 0 };
	struct npxc_error err;
	assert_true(rules_add_configured(&configured, "registry.example", 443, false, &err));
	assert_int_equal(grant_refusal(&configured, "registry.example", DNS_TYPE_TXT), REASON_UNLISTED);
	rules_done(&configured);
}

static void add_srv(struct records *records, uint16_t port, const char *target)
{
	const size_t at = records->used;
	uint8_t *data = records->data + at;
	size_t used = 6;

	memset(data, 0, 4);
	data[4] = (uint8_t)(port >> 8);
	data[5] = (uint8_t)port;
	for (size_t span; target[0] != '\0'; target += span + (target[span] == '.')) {
		span = strcspn(target, ".");
		data[used++] = (uint8_t)span;
		memcpy(data + used, target, span);
		used += span;
	}
	data[used++] = 0;
	records->v[records->count].at = at;
	records->v[records->count++].length = used;
	records->used += used;
}

static void targets_are_names_of_the_same_grant(void **state)
{
	static const struct {
		const char *rules, *name, *target;
		uint16_t port;
		const char *text; /* of the rule that the target is on then; NULL: none */
		bool raw;
	} cases[] = {
		{ "db.example:27017", "_mongodb._tcp.db.example", "s0.other.example", 27017, "db.example:27017",
		  false },
		{ "db.example:27017/raw", "_mongodb._tcp.db.example", "s0.other.example", 27017, "db.example:27017/raw",
		  true },
		{ "db.example", "_mongodb._tcp.db.example", "s0.example", 1234, "db.example", false },
		{ "*.a.example:27017", "_mongodb._tcp.db.a.example", "s0.b.example", 27017, "*.a.example:27017",
		  false },
		{ "db.example:443 db.example:27017/raw", "_mongodb._tcp.db.example", "s0.example", 27017,
		  "db.example:27017/raw", true },
		{ "db.example:27017", "_mongodb._tcp.db.example", "s0.example", 27018, NULL, false },
		{ "db.example:443", "_mongodb._tcp.db.example", "s0.example", 22, NULL, false },
		{ "db.example", "_mongodb._tcp.db.example", "s0.example", 0, NULL, false },
		{ "db.example", "_mongodb._tcp.db.example", "", 27017, NULL, false },
		{ "db.example", "_mongodb._tcp.db.example", "localhost", 27017, NULL, false },
		{ "db.example", "_mongodb._tcp.db.example", "x.localhost", 27017, NULL, false },
		{ "db.example", "_mongodb._tcp.db.example", "host.npxc.internal", 27017, NULL, false },
		{ "db.example", "_mongodb._tcp.db.example", "dns.npxc.internal", 53, NULL, false },
	};
	static struct records records;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct rules rules = { 0 }, granted = { 0 };

		allow(&rules, cases[i].rules);
		memset(&records, 0, sizeof(records));
		records.type = DNS_TYPE_SRV;
		add_srv(&records, cases[i].port, cases[i].target);
		add_srv(&records, cases[i].port, cases[i].target);
		grant_targets(&rules, cases[i].name, &records, &granted);
		if (granted.count != (cases[i].text != NULL))
			fail_msg("case %zu: %zu grants", i, granted.count);
		const struct rule *rule = rules_match_name(&granted, cases[i].target, cases[i].port);
		if (cases[i].text != NULL) {
			assert_non_null(rule);
			assert_string_equal(rule->text, cases[i].text);
			assert_int_equal(rule->raw, cases[i].raw);
			assert_false(rule->configured);
			/* this port only, and no further look-ups */
			assert_null(rules_match_name(&granted, cases[i].target, cases[i].port + 1));
			assert_int_equal(grant_refusal(&rules, cases[i].target, DNS_TYPE_TXT), REASON_UNLISTED);
		}
		rules_done(&rules);
		rules_done(&granted);
	}
}

static void grants_have_an_end(void **state)
{
	struct rules rules = { 0 }, granted = { 0 };
	static struct records records;
	char target[32];

	(void)state;
	allow(&rules, "db.example");
	for (unsigned i = 0; i < LIMIT_EGRESS_GRANTS + 10; i++) {
		memset(&records, 0, sizeof(records));
		records.type = DNS_TYPE_SRV;
		snprintf(target, sizeof(target), "s%u.example", i);
		add_srv(&records, 27017, target);
		grant_targets(&rules, "_mongodb._tcp.db.example", &records, &granted);
	}
	assert_int_equal(granted.count, LIMIT_EGRESS_GRANTS);
	rules_done(&rules);
	rules_done(&granted);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers_are_read),
		cmocka_unit_test(answers_that_are_refused),
		cmocka_unit_test(there_are_ceilings),
		cmocka_unit_test(only_names_on_a_rule_are_asked_for),
		cmocka_unit_test(targets_are_names_of_the_same_grant),
		cmocka_unit_test(grants_have_an_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
