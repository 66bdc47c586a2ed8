#include "unit.h"

#include "base/limits.h"
#include "base/str.h"
#include "egress/dns.h"
#include "egress/names.h"

#include <stdio.h>
#include <string.h>

#define BYTES(text) (const uint8_t *)(text), sizeof(text) - 1

#define HEADER "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00"
#define HEADER_EDNS "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x01"
#define NAME      \
	"\x03"    \
	"aPi"     \
	"\x07"    \
	"example" \
	"\x03"    \
	"com"     \
	"\x00"
#define A_IN "\x00\x01\x00\x01"
#define OPT(size, version) "\x00\x00\x29" size "\x00" version "\x80\x00\x00\x00"

static void questions_are_read_and_malformed_ones_refused(void **state)
{
	struct dns_query q;
	enum dns_code code = DNS_CODE_SERVFAIL;

	(void)state;
	assert_int_equal(dns_parse(BYTES(HEADER NAME A_IN), &q, &code), DNS_PARSED_QUERY);
	assert_int_equal(q.id, 0x1234);
	assert_string_equal(q.name, "api.example.com");
	assert_string_equal(q.shown, "aPi.example.com");
	assert_int_equal(q.type, DNS_TYPE_A);
	assert_true(q.recursion_desired && !q.edns && q.udp_bytes == 512);

	assert_int_equal(dns_parse(BYTES(HEADER_EDNS NAME "\x00\x1c\x00\x01" OPT("\x10\x00", "\x00")), &q, &code),
	                 DNS_PARSED_QUERY);
	assert_int_equal(q.type, DNS_TYPE_AAAA);
	assert_true(q.edns && q.udp_bytes == 1232);
	/* with a cookie in it */
	assert_int_equal(
	    dns_parse(BYTES(HEADER_EDNS NAME A_IN "\x00\x00\x29\x00\x10\x00\x00\x00\x00\x00\x0c\x00\x0a\x00"
	                                          "\x08"
	                                          "12345678"),
	              &q, &code),
	    DNS_PARSED_QUERY);
	assert_int_equal(q.udp_bytes, 512);
	assert_int_equal(code, DNS_CODE_SERVFAIL); /* untouched all the time */
}

static void names_that_are_no_hosts(void **state)
{
	static const struct {
		const char *wire;
		size_t length;
		const char *shown;
	} cases[] = {
		{ "\x00", 1, "" },
		{ "\x03"
		  "a.b"
		  "\x03"
		  "com"
		  "\x00",
		  9, "a\\x2eb.com" },
		{ "\x03"
		  "a\x00"
		  "b"
		  "\x03"
		  "com"
		  "\x00",
		  9, "a\\x00b.com" },
		{ "\x02"
		  "a "
		  "\x03"
		  "com"
		  "\x00",
		  8, "a\\x20.com" },
		{ "\x02"
		  "a\n"
		  "\x03"
		  "com"
		  "\x00",
		  8, "a\\x0a.com" },
		{ "\x02"
		  "\xc3\xa4"
		  "\x03"
		  "com"
		  "\x00",
		  8, "\\xc3\\xa4.com" },
		{ "\x03"
		  "127"
		  "\x01"
		  "1"
		  "\x00",
		  7, "127.1" },
		{ "\x01"
		  "*"
		  "\x03"
		  "com"
		  "\x00",
		  7, "*.com" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint8_t message[128];
		struct dns_query q;
		enum dns_code code;

		memcpy(message, HEADER, 12);
		memcpy(message + 12, cases[i].wire, cases[i].length);
		memcpy(message + 12 + cases[i].length, A_IN, 4);
		assert_int_equal(dns_parse(message, 16 + cases[i].length, &q, &code), DNS_PARSED_QUERY);
		assert_string_equal(q.name, "");
		assert_string_equal(q.shown, cases[i].shown);
	}
}

static void messages_that_are_refused(void **state)
{
	static const struct {
		const char *bytes;
		size_t length;
		enum dns_parsed parsed;
		enum dns_code code;
	} cases[] = {
#define CASE(bytes, parsed, code) { bytes, sizeof(bytes) - 1, parsed, code }
		CASE("", DNS_PARSED_IGNORE, 0),
		CASE("\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00", DNS_PARSED_IGNORE, 0),
		CASE("\x12\x34\x81\x00\x00\x01\x00\x00\x00\x00\x00\x00" NAME A_IN, DNS_PARSED_IGNORE, 0),
		CASE("\x12\x34\x29\x00\x00\x01\x00\x00\x00\x00\x00\x00" NAME A_IN, DNS_PARSED_REFUSE, DNS_CODE_NOTIMP),
		CASE(HEADER, DNS_PARSED_REFUSE, DNS_CODE_FORMERR),
		CASE("\x12\x34\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00", DNS_PARSED_REFUSE, DNS_CODE_FORMERR),
		CASE("\x12\x34\x01\x00\x00\x02\x00\x00\x00\x00\x00\x00" NAME A_IN NAME A_IN, DNS_PARSED_REFUSE,
		     DNS_CODE_FORMERR),
		CASE("\x12\x34\x01\x00\x00\x01\x00\x01\x00\x00\x00\x00" NAME A_IN, DNS_PARSED_REFUSE, DNS_CODE_FORMERR),
		CASE(HEADER NAME A_IN "x", DNS_PARSED_REFUSE, DNS_CODE_FORMERR),
		CASE(HEADER NAME "\x00\x01\x00", DNS_PARSED_REFUSE, DNS_CODE_FORMERR),
		CASE(HEADER "\x03"
		            "ap",
		     DNS_PARSED_REFUSE, DNS_CODE_FORMERR),
		CASE(HEADER "\xc0\x0c" A_IN, DNS_PARSED_REFUSE, DNS_CODE_FORMERR), /* points at itself */
		CASE(HEADER "\x03"
		            "api\xc0\x0c" A_IN,
		     DNS_PARSED_REFUSE, DNS_CODE_FORMERR),
		CASE(HEADER "\x40"
		            "a" A_IN,
		     DNS_PARSED_REFUSE, DNS_CODE_FORMERR),
		CASE(HEADER NAME "\x00\x01\x00\x03", DNS_PARSED_REFUSE, DNS_CODE_REFUSED), /* chaos */
		CASE(HEADER_EDNS NAME A_IN, DNS_PARSED_REFUSE, DNS_CODE_FORMERR),
		CASE(HEADER_EDNS NAME A_IN OPT("\x10\x00", "\x01"), DNS_PARSED_REFUSE, DNS_CODE_BADVERS),
		CASE("\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x02" NAME A_IN OPT("\x10\x00", "\x00")
		         OPT("\x10\x00", "\x00"),
		     DNS_PARSED_REFUSE, DNS_CODE_FORMERR),
		CASE("\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x05" NAME A_IN, DNS_PARSED_REFUSE, DNS_CODE_FORMERR),
#undef CASE
	};
	uint8_t long_name[12 + 256 + 4] = HEADER;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		enum dns_code code = DNS_CODE_NOERROR;
		struct dns_query q;

		if (dns_parse((const uint8_t *)cases[i].bytes, cases[i].length, &q, &code) != cases[i].parsed ||
		    code != cases[i].code)
			fail_msg("case %zu: code %d", i, (int)code);
	}
	for (size_t at = 12; at < 12 + 256; at += 2)
		long_name[at] = 1, long_name[at + 1] = 'a';
	{
		enum dns_code code = DNS_CODE_NOERROR;
		struct dns_query q;

		/* 255 bytes with the root, then 257 */
		long_name[12 + 254] = 0;
		memcpy(long_name + 12 + 255, A_IN, 4);
		assert_int_equal(dns_parse(long_name, 12 + 255 + 4, &q, &code), DNS_PARSED_QUERY);
		assert_int_equal(strlen(q.name), 253);
		long_name[12 + 254] = 1;
		long_name[12 + 255] = 'a';
		assert_int_equal(dns_parse(long_name, sizeof(long_name), &q, &code), DNS_PARSED_REFUSE);
		assert_int_equal(code, DNS_CODE_FORMERR);
	}
}

static struct dns_query ask(const uint8_t *message, size_t length)
{
	enum dns_code code = DNS_CODE_NOERROR;
	struct dns_query q = { 0 };

	assert_int_not_equal(dns_parse(message, length, &q, &code), DNS_PARSED_IGNORE);
	return q;
}

static void each_question_gets_the_answer_for_its_type(void **state)
{
	static const char a[] = "\x12\x34\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00" NAME A_IN
	                        "\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\xc6\x12\x00\x10";
	static const char nxdomain[] = "\x12\x34\x81\x83\x00\x01\x00\x00\x00\x00\x00\x00" NAME A_IN;
	static const char truncated[] = "\x12\x34\x83\x80\x00\x01\x00\x00\x00\x00\x00\x00" NAME A_IN;
	static const char empty_edns[] = "\x12\x34\x81\x80\x00\x01\x00\x00\x00\x00\x00\x01" NAME "\x00\x41\x00\x01"
	                                 "\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x00";
	static const char badvers[] =
	    "\x12\x34\x81\x80\x00\x01\x00\x00\x00\x00\x00\x01" NAME A_IN "\x00\x00\x29\x04\xd0\x01\x00\x00\x00\x00\x00";
	static const char formerr[] = "\x12\x34\x81\x81\x00\x00\x00\x00\x00\x00\x00\x00";
	const struct ip ip = names_address(0, false), ip6 = names_address(0, true);
	struct dns_query q = ask(BYTES(HEADER NAME A_IN));
	uint8_t answer[DNS_ANSWER_BYTES];

	(void)state;
	assert_int_equal(dns_answer(&q, DNS_CODE_NOERROR, &ip, 512, answer), sizeof(a) - 1);
	assert_memory_equal(answer, a, sizeof(a) - 1);
	assert_int_equal(dns_answer(&q, DNS_CODE_NXDOMAIN, NULL, 512, answer), sizeof(nxdomain) - 1);
	assert_memory_equal(answer, nxdomain, sizeof(nxdomain) - 1);
	assert_int_equal(dns_answer(&q, DNS_CODE_NOERROR, &ip, sizeof(a) - 2, answer), sizeof(truncated) - 1);
	assert_memory_equal(answer, truncated, sizeof(truncated) - 1);
	assert_int_equal(dns_answer(&q, DNS_CODE_NOERROR, &ip, 12, answer), 12);
	assert_int_equal(answer[2], 0x83);

	q = ask(BYTES(HEADER NAME "\x00\x1c\x00\x01"));
	assert_int_equal(dns_answer(&q, DNS_CODE_NOERROR, &ip6, 512, answer), sizeof(a) - 1 + 12);
	assert_memory_equal(answer + sizeof(a) - 1 - 4 - 2,
	                    "\x00\x10\xfd"
	                    "npxc",
	                    7);

	q = ask(BYTES(HEADER_EDNS NAME "\x00\x41\x00\x01" OPT("\x02\x00", "\x00")));
	assert_int_equal(dns_answer(&q, DNS_CODE_NOERROR, NULL, 512, answer), sizeof(empty_edns) - 1);
	assert_memory_equal(answer, empty_edns, sizeof(empty_edns) - 1);
	q = ask(BYTES(HEADER_EDNS NAME A_IN OPT("\x02\x00", "\x07")));
	assert_int_equal(dns_answer(&q, DNS_CODE_BADVERS, NULL, 512, answer), sizeof(badvers) - 1);
	assert_memory_equal(answer, badvers, sizeof(badvers) - 1);
	q = ask(BYTES(HEADER "\xc0\x0c" A_IN));
	assert_int_equal(dns_answer(&q, DNS_CODE_FORMERR, NULL, 512, answer), sizeof(formerr) - 1);
	assert_memory_equal(answer, formerr, sizeof(formerr) - 1);
}

static void a_frame_over_tcp_is_taken_once_it_is_whole(void **state)
{
	size_t length = 99;

	(void)state;
	assert_false(dns_framed(BYTES(""), &length));
	assert_false(dns_framed(BYTES("\x00"), &length));
	assert_false(dns_framed(BYTES("\x00\x03"
	                              "ab"),
	                        &length));
	assert_int_equal(length, 99);
	assert_true(dns_framed(BYTES("\x00\x02"
	                             "abcd"),
	                       &length));
	assert_int_equal(length, 2);
	assert_true(dns_framed(BYTES("\x00\x00"), &length));
	assert_int_equal(length, 0);
}

static void names_keep_their_addresses(void **state)
{
	struct names *names = names_new(42);
	uint32_t first = 9, second = 9, again = 9;
	struct ip ip, other;

	(void)state;
	assert_true(names_add(names, "a.example", &first));
	assert_true(names_add(names, "b.example", &second));
	assert_true(names_add(names, "a.example", &again));
	assert_int_equal(first, again);
	assert_int_not_equal(first, second);
	for (int v6 = 0; v6 < 2; v6++) {
		ip = names_address(first, v6 == 1);
		assert_true(names_is_synthetic(&ip));
		assert_string_equal(names_find(names, &ip), "a.example");
		other = names_address(second, v6 == 1);
		assert_string_equal(names_find(names, &other), "b.example");
		other = names_address(second + 1, v6 == 1); /* not given out */
		assert_null(names_find(names, &other));
		assert_true(names_is_synthetic(&other));
	}
	static const char *const strangers[] = { "198.18.0.0",           "198.18.0.1", "198.20.0.0",
		                                 "198.17.255.255",       "10.0.0.16",  "fd6e:7078:6301::10",
		                                 "fd6e:7078:6300:1::10", "::10",       "2001:db8::10" };
	for (size_t i = 0; i < sizeof(strangers) / sizeof(strangers[0]); i++) {
		assert_true(ip_parse(strangers[i], strlen(strangers[i]), &ip));
		if (names_find(names, &ip) != NULL)
			fail_msg("%s", strangers[i]);
	}
	names_free(names);
}

static void names_run_out(void **state)
{
	struct names *names = names_new(7);
	uint32_t number = 0;
	char name[32];

	(void)state;
	for (unsigned i = 0; i < LIMIT_EGRESS_NAMES; i++) {
		snprintf(name, sizeof(name), "n%u.example", i);
		assert_true(names_add(names, name, &number));
		assert_int_equal(number, i);
	}
	assert_false(names_add(names, "one.more.example", &number));
	assert_true(names_add(names, "n7.example", &number));
	assert_int_equal(number, 7);
	names_free(names);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(questions_are_read_and_malformed_ones_refused),
		cmocka_unit_test(names_that_are_no_hosts),
		cmocka_unit_test(messages_that_are_refused),
		cmocka_unit_test(each_question_gets_the_answer_for_its_type),
		cmocka_unit_test(a_frame_over_tcp_is_taken_once_it_is_whole),
		cmocka_unit_test(names_keep_their_addresses),
		cmocka_unit_test(names_run_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
