#include "unit.h"

#include "base/limits.h"
#include "egress/hello.h"

#include "hello.h"

static void a_hello_is_read_once_it_is_whole(void **state)
{
	const struct bytes *flight = hello_for("API.Example.com");
	struct hello hello;

	(void)state;
	for (size_t i = 0; i < flight->n; i++)
		if (hello_read(flight->v, i, false, &hello) != HELLO_MORE)
			fail_msg("%zu bytes were enough", i);
	assert_int_equal(hello_read(flight->v, flight->n, false, &hello), HELLO_DONE);
	assert_string_equal(hello.name, "api.example.com");
	assert_string_equal(hello.alpn, "");
	assert_int_equal(hello.length, flight->n);
	/* what comes after it is not part of it */
	assert_int_equal(hello_read(flight->v, flight->n + 7, false, &hello), HELLO_DONE);
	assert_int_equal(hello.length, flight->n);
}

static void pieces_of_any_size(void **state)
{
	static struct bytes extensions, whole;
	struct hello hello;

	(void)state;
	extensions.n = 0;
	put_extension(&extensions, 10, "\x00\x02\x00\x1d", 4);
	put_sni(&extensions, "a.example");
	put_extension(&extensions, 16, "\x00\x0c\x02h2\x08http/1.1", 14);
	whole = *client_hello(&extensions);
	for (size_t piece = 1; piece <= whole.n; piece++) {
		const struct bytes *flight = in_records(&whole, piece);

		for (size_t i = 0; i < flight->n; i++)
			assert_int_equal(hello_read(flight->v, i, false, &hello), HELLO_MORE);
		assert_int_equal(hello_read(flight->v, flight->n, false, &hello), HELLO_DONE);
		assert_string_equal(hello.name, "a.example");
		assert_string_equal(hello.alpn, "h2,http/1.1");
		assert_int_equal(hello.length, flight->n);
	}
}

static void without_a_name(void **state)
{
	static struct bytes extensions;
	struct hello hello = { .name = "x" };
	const struct bytes *flight;

	(void)state;
	extensions.n = 0;
	flight = in_records(client_hello(&extensions), 16384);
	assert_int_equal(hello_read(flight->v, flight->n, false, &hello), HELLO_DONE);
	assert_string_equal(hello.name, "");
	flight = in_records(client_hello(NULL), 16384);
	assert_int_equal(hello_read(flight->v, flight->n, false, &hello), HELLO_DONE);
	assert_string_equal(hello.name, "");
}

static void what_is_not_tls(void **state)
{
	static const struct {
		const char *bytes;
		size_t length;
	} cases[] = {
		{ "GET / HTTP/1.1\r\n", 16 },
		{ "SSH-2.0-x", 9 },
		{ "\x16\x02", 2 },
		{ "\x80\x2e\x02", 3 },
		{ "\x80\x2e\x01\x04", 4 },
		{ "\x80\x2e\x01\x00\x03", 5 },
		{ "\x80\x00\x00\x03\x00\x00", 6 }, /* memcached, binary: get */
		{ "\x14\x02", 2 },
		{ "\x17\x00\x00\x00", 4 },
		{ "\x19\x03\x03", 3 },
		{ "\x00\x00\x00\x08\x04\xd2\x16\x2f", 8 }, /* PostgreSQL */
	};
	struct hello hello;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (hello_read((const uint8_t *)cases[i].bytes, cases[i].length, false, &hello) != HELLO_OTHER)
			fail_msg("case %zu", i);
	assert_int_equal(hello_read((const uint8_t *)"", 0, false, &hello), HELLO_MORE);
}

/* What a lenient server could take for TLS, and whose name nobody could see. */
static void tls_in_other_clothes(void **state)
{
	static const struct {
		const char *bytes;
		size_t length;
		const char *why;
	} cases[] = {
		{ "\x80\x2e\x01\x03\x01", 5, "SSL 2" },
		{ "\x80\x2e\x01\x03\x03\x00\x15\x00\x00\x00\x10", 11, "SSL 2" },
		{ "\x80\x2e\x01\x00\x02", 5, "SSL 2" },
		{ "\xff\xff\x01\x03\x00", 5, "SSL 2" },
		{ "\x14\x03\x03\x00\x01\x01", 6, "does not begin" },
		{ "\x17\x03\x03", 3, "does not begin" },
		{ "\x18\x03", 2, "does not begin" },
		{ "\x15\x03\x01\x00\x02\x01\x00", 7, "does not begin" },
	};
	struct hello hello;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		enum hello_state got = HELLO_MORE;

		for (size_t n = 0; n <= cases[i].length; n++) {
			assert_int_equal(got, got == HELLO_BAD ? HELLO_BAD : HELLO_MORE);
			got = hello_read((const uint8_t *)cases[i].bytes, n, false, &hello);
		}
		if (got != HELLO_BAD || strstr(reason_text(hello.reason), cases[i].why) == NULL)
			fail_msg("case %zu: %s", i, got == HELLO_BAD ? reason_text(hello.reason) : "taken");
	}
}

static void expect_bad(const char *what, const struct bytes *flight, bool second, const char *why)
{
	struct hello hello = { 0 };

	if (hello_read(flight->v, flight->n, second, &hello) != HELLO_BAD)
		fail_msg("%s was let through", what);
	if (strstr(reason_text(hello.reason), why) == NULL)
		fail_msg("%s: \"%s\" does not say \"%s\"", what, reason_text(hello.reason), why);
	assert_int_equal(hello.length, 0);
	assert_string_equal(hello.name, "");
}

static void extensions_that_are_refused(void **state)
{
	static const struct {
		const char *what;
		const char *bytes;
		size_t length;
		const char *why;
	} cases[] = {
#define CASE(what, bytes, why) { what, bytes, sizeof(bytes) - 1, why }
		CASE("two extensions",
		     "\x00\x00\x00\x06\x00\x04\x00\x00\x01"
		     "a"
		     "\x00\x00\x00\x06\x00\x04\x00\x00\x01"
		     "b",
		     "two SNIs"),
		CASE("two names",
		     "\x00\x00\x00\x0a\x00\x08\x00\x00\x01"
		     "a"
		     "\x00\x00\x01"
		     "b",
		     "more than one name"),
		CASE("no name", "\x00\x00\x00\x02\x00\x00", "malformed SNI"),
		CASE("an empty extension", "\x00\x00\x00\x00", "malformed SNI"),
		CASE("an empty name", "\x00\x00\x00\x05\x00\x03\x00\x00\x00", "no host name"),
		CASE("another type of name",
		     "\x00\x00\x00\x06\x00\x04\x01\x00\x01"
		     "a",
		     "no host name"),
		CASE("a NUL in it",
		     "\x00\x00\x00\x08\x00\x06\x00\x00\x03"
		     "a\x00"
		     "b",
		     "no host name"),
		CASE("an address",
		     "\x00\x00\x00\x0c\x00\x0a\x00\x00\x07"
		     "1.2.3.4",
		     "no host name"),
		CASE("a list longer than the extension",
		     "\x00\x00\x00\x06\x00\x05\x00\x00\x01"
		     "a",
		     "malformed SNI"),
		CASE("a list shorter than the extension",
		     "\x00\x00\x00\x07\x00\x04\x00\x00\x01"
		     "ab",
		     "malformed SNI"),
		CASE("ECH", "\xfe\x0d\x00\x01\x00", "encrypted"),
		CASE("ECH of a draft", "\xfe\x08\x00\x01\x00", "encrypted"),
		CASE("the last ESNI", "\xff\x02\x00\x01\x00", "encrypted"),
		CASE("ESNI", "\xff\xce\x00\x01\x00", "encrypted"),
		CASE("ECH behind an SNI",
		     "\x00\x00\x00\x06\x00\x04\x00\x00\x01"
		     "a"
		     "\xfe\x0d\x00\x01\x00",
		     "encrypted"),
		CASE("one twice", "\x00\x0a\x00\x00\x00\x0a\x00\x00", "the same extension twice"),
		CASE("a cut one",
		     "\x00\x0a\x00\x05"
		     "abcd",
		     "malformed ClientHello"),
		CASE("half a type", "\x00", "malformed ClientHello"),
#undef CASE
	};
	static struct bytes extensions;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		extensions.n = 0;
		put(&extensions, cases[i].bytes, cases[i].length);
		expect_bad(cases[i].what, in_records(client_hello(&extensions), 16384), false, cases[i].why);
	}
	extensions.n = 0;
	for (unsigned i = 0; i < 65; i++)
		put_extension(&extensions, 1000 + i, "", 0);
	expect_bad("many", in_records(client_hello(&extensions), 16384), false, "too many extensions");
}

static void records_that_are_refused(void **state)
{
	static struct bytes flight, hello, extensions;
	struct hello got;

	(void)state;
	extensions.n = 0;
	put_sni(&extensions, "a.example");
	hello = *client_hello(&extensions);

	flight.n = 0;
	put_record(&flight, 22, hello.v, 10);
	put_record(&flight, 23, "x", 1);
	expect_bad("application data in the middle", &flight, false, "out of order");
	flight.n = 0;
	put_record(&flight, 22, hello.v, 10);
	put_record(&flight, 20, "\x01", 1);
	expect_bad("a change of cipher in the middle", &flight, false, "out of order");
	flight.n = 0;
	put_record(&flight, 22, "", 0);
	expect_bad("an empty record", &flight, false, "impossible length");
	flight.n = 0;
	put(&flight, "\x16\x03\x01\x40\x01", 5);
	expect_bad("a record that is too long", &flight, false, "impossible length");
	flight.n = 0;
	put_record(&flight, 22, "\x02\x00\x00\x00", 4);
	expect_bad("a ServerHello", &flight, false, "does not begin");
	flight.n = 0;
	put_record(&flight, 22, "\x01\x00\x40\x01", 4);
	expect_bad("a hello that is too long", &flight, false, "more than 16 KiB");
	flight = *in_records(&hello, 16384);
	flight.n = 0;
	put(&hello, "\x00", 1);
	put_record(&flight, 22, hello.v, hello.n);
	expect_bad("more in the record", &flight, false, "more than a ClientHello");
	/* a second hello behind the first, in the same record */
	hello = *client_hello(&extensions);
	flight.n = 0;
	put_number(&flight, 1, 22);
	put_number(&flight, 2, 0x0301);
	put_number(&flight, 2, 2 * hello.n);
	put(&flight, hello.v, hello.n);
	put(&flight, hello.v, hello.n);
	expect_bad("two in one record", &flight, false, "more than a ClientHello");

	/* the body */
	hello = *client_hello(&extensions);
	hello.v[4 + 2 + 32] = 200; /* a session id beyond the end */
	expect_bad("a malformed body", in_records(&hello, 16384), false, "malformed ClientHello");
	hello = *client_hello(&extensions);
	put(&hello, "x", 1);
	hello.v[3]++;
	expect_bad("bytes after the extensions", in_records(&hello, 16384), false, "malformed ClientHello");

	/* the largest that is taken */
	extensions.n = 0;
	put_sni(&extensions, "a.example");
	static uint8_t padding[LIMIT_EGRESS_HELLO_BYTES];
	const size_t rest = LIMIT_EGRESS_HELLO_BYTES - (client_hello(&extensions)->n - 4) - 4;
	put_extension(&extensions, 21, padding, rest);
	flight = *in_records(client_hello(&extensions), 16384);
	assert_int_equal(hello_read(flight.v, flight.n, false, &got), HELLO_DONE);
	extensions.n = 0;
	put_sni(&extensions, "a.example");
	put_extension(&extensions, 21, padding, rest + 1);
	flight = *in_records(client_hello(&extensions), 16384);
	expect_bad("one byte too many", &flight, false, "more than 16 KiB");
}

static void the_second_hello(void **state)
{
	static struct bytes flight, extensions, hello;
	struct hello got;

	(void)state;
	extensions.n = 0;
	put_sni(&extensions, "evil.test");
	hello = *client_hello(&extensions);
	flight.n = 0;
	put_record(&flight, 20, "\x01", 1);
	put_record(&flight, 22, hello.v, hello.n);
	for (size_t i = 0; i < flight.n; i++)
		assert_int_equal(hello_read(flight.v, i, true, &got), HELLO_MORE);
	assert_int_equal(hello_read(flight.v, flight.n, true, &got), HELLO_DONE);
	assert_string_equal(got.name, "evil.test");
	assert_int_equal(got.length, flight.n);
	flight = *in_records(&hello, 16384);
	assert_int_equal(hello_read(flight.v, flight.n, true, &got), HELLO_DONE);

	flight.n = 0;
	put_record(&flight, 20, "\x01", 1);
	put_record(&flight, 20, "\x01", 1);
	expect_bad("two changes of cipher", &flight, true, "out of order");
	flight.n = 0;
	put_record(&flight, 20, "\x01\x01", 2);
	expect_bad("a long change of cipher", &flight, true, "impossible length");
	flight.n = 0;
	put_record(&flight, 23, "early", 5);
	expect_bad("early data", &flight, true, "out of order");
	flight.n = 0;
	put(&flight, "GET / HTTP/1.1", 14);
	expect_bad("no TLS at all", &flight, true, "out of order");
	flight.n = 0;
	put_record(&flight, 22, hello.v, 10);
	put_record(&flight, 20, "\x01", 1);
	expect_bad("a change of cipher in the middle", &flight, true, "out of order");
}

static const uint8_t retry_random[32] = { 0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c,
	                                  0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb,
	                                  0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c };

static void an_answer_is_told_from_a_retry_and_from_other_protocols(void **state)
{
	static struct bytes message, flight;
	uint8_t random[32] = { 1 };

	(void)state;
	for (int retry = 0; retry < 2; retry++) {
		const enum hello_answer expected = retry ? HELLO_ANSWER_RETRY : HELLO_ANSWER_TLS;

		message.n = 0;
		put(&message, "\x02\x00\x00\x26\x03\x03", 6);
		put(&message, retry ? retry_random : random, 32);
		put(&message, "\x00\x13\x01\x00", 4);
		for (size_t piece = 1; piece <= message.n; piece++) {
			flight = *in_records(&message, piece);
			assert_int_equal(hello_read_answer(flight.v, flight.n), expected);
			assert_true(piece > 1 || HELLO_ANSWER_BYTES >= 38 * 6);
			for (size_t i = 0; i < flight.n; i++) {
				const enum hello_answer answer = hello_read_answer(flight.v, i);

				assert_true(answer == HELLO_ANSWER_MORE || answer == expected);
			}
		}
		assert_int_equal(hello_read_answer(flight.v, 5 + 37), HELLO_ANSWER_MORE);
		assert_int_equal(hello_read_answer(flight.v, 5 + 38), expected);
	}
	/* a warning before it does not hide it; a fatal alert ends the waiting */
	flight.n = 0;
	put_record(&flight, 21, "\x01\x70", 2);
	assert_int_equal(hello_read_answer(flight.v, flight.n), HELLO_ANSWER_MORE);
	assert_int_equal(hello_read_answer(flight.v, flight.n - 1), HELLO_ANSWER_MORE);
	put_record(&flight, 22, message.v, message.n);
	assert_int_equal(hello_read_answer(flight.v, flight.n), HELLO_ANSWER_RETRY);
	flight.n = 0;
	put_record(&flight, 21, "\x02\x28", 2);
	assert_int_equal(hello_read_answer(flight.v, flight.n), HELLO_ANSWER_TLS);
	flight.n = 0;
	put_record(&flight, 22, "\x0b", 1);
	assert_int_equal(hello_read_answer(flight.v, flight.n), HELLO_ANSWER_TLS);
	assert_int_equal(hello_read_answer((const uint8_t *)"\x16\x02", 2), HELLO_ANSWER_OTHER);
	assert_int_equal(hello_read_answer((const uint8_t *)"\x15\x03\x03\0\1\2", 6), HELLO_ANSWER_OTHER);
	assert_int_equal(hello_read_answer((const uint8_t *)"\x17\x03\x03", 3), HELLO_ANSWER_OTHER);
	assert_int_equal(hello_read_answer((const uint8_t *)"HTTP/1.1 400", 12), HELLO_ANSWER_OTHER);
	assert_int_equal(hello_read_answer((const uint8_t *)"H", 1), HELLO_ANSWER_OTHER);
	assert_int_equal(hello_read_answer((const uint8_t *)"", 0), HELLO_ANSWER_MORE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_hello_is_read_once_it_is_whole),
		cmocka_unit_test(pieces_of_any_size),
		cmocka_unit_test(without_a_name),
		cmocka_unit_test(what_is_not_tls),
		cmocka_unit_test(tls_in_other_clothes),
		cmocka_unit_test(extensions_that_are_refused),
		cmocka_unit_test(records_that_are_refused),
		cmocka_unit_test(the_second_hello),
		cmocka_unit_test(an_answer_is_told_from_a_retry_and_from_other_protocols),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
