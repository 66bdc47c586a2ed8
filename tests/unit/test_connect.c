#include "unit.h"

#include "base/limits.h"
#include "egress/connect.h"

#include <stdio.h>
#include <string.h>

static void heads_that_are_taken(void **state)
{
	static const struct {
		const char *head;
		const char *host;
		unsigned port;
	} cases[] = {
		{ "CONNECT api.example.com:443 HTTP/1.1\r\n\r\n", "api.example.com", 443 },
		{ "CONNECT API.Example.com.:1 HTTP/1.1\r\nHost: other\r\n\r\n", "api.example.com", 1 },
		{ "CONNECT 10.0.0.1:65535 HTTP/1.1\r\nX:\r\n\r\n", "10.0.0.1", 65535 },
		{ "CONNECT [2001:db8::1]:443 HTTP/1.1\r\n\r\n", "2001:db8::1", 443 },
		{ "CONNECT [::ffff:127.0.0.1]:80 HTTP/1.1\r\n\r\n", "127.0.0.1", 80 },
		{ "CONNECT _a-b:80 HTTP/1.1\r\n\r\n", "_a-b", 80 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const size_t length = strlen(cases[i].head);
		struct connect_request request;
		char text[IP_TEXT_BYTES];

		for (size_t n = 0; n < length; n++)
			assert_int_equal(connect_read(cases[i].head, n, &request), CONNECT_MORE);
		assert_int_equal(connect_read(cases[i].head, length, &request), CONNECT_DONE);
		assert_int_equal(request.length, length);
		assert_int_equal(request.port, cases[i].port);
		if (request.is_ip)
			ip_text(&request.ip, text);
		assert_string_equal(request.is_ip ? text : request.name, cases[i].host);
		assert_null(request.credentials);
	}
}

static void what_follows_is_not_the_head(void **state)
{
	static const char both[] = "CONNECT a:1 HTTP/1.1\r\n\r\n\x16\x03\x01\r\n\r\n";
	struct connect_request request;

	(void)state;
	assert_int_equal(connect_read(both, sizeof(both) - 1, &request), CONNECT_DONE);
	assert_int_equal(request.length, 24);
}

static void heads_that_are_refused(void **state)
{
	static const struct {
		const char *head;
		const char *why;
	} cases[] = {
		{ "GET / HTTP/1.1\r\n\r\n", "only CONNECT" },
		{ "GET http://api.example.com/ HTTP/1.1\r\n\r\n", "only CONNECT" },
		{ "connect a:1 HTTP/1.1\r\n\r\n", "only CONNECT" },
		{ "CONNECT  a:1 HTTP/1.1\r\n\r\n", "neither" },
		{ "CONNECT a:1\r\n\r\n", "only" },
		{ "CONNECT a:1 HTTP/1.0\r\n\r\n", "only HTTP/1.1" },
		{ "CONNECT a:1 HTTP/1.1 \r\n\r\n", "only HTTP/1.1" },
		{ "CONNECT a HTTP/1.1\r\n\r\n", "no host:port" },
		{ "CONNECT  HTTP/1.1\r\n\r\n", "no host:port" },
		{ "CONNECT :443 HTTP/1.1\r\n\r\n", "neither" },
		{ "CONNECT a: HTTP/1.1\r\n\r\n", "no port" },
		{ "CONNECT a:0 HTTP/1.1\r\n\r\n", "no port" },
		{ "CONNECT a:65536 HTTP/1.1\r\n\r\n", "no port" },
		{ "CONNECT a:00443 HTTP/1.1\r\n\r\n", "no port" },
		{ "CONNECT a:+443 HTTP/1.1\r\n\r\n", "no port" },
		{ "CONNECT a:443x HTTP/1.1\r\n\r\n", "no port" },
		{ "CONNECT a::443 HTTP/1.1\r\n\r\n", "no port" },
		{ "CONNECT a:80:443 HTTP/1.1\r\n\r\n", "no port" },
		{ "CONNECT user@a:443 HTTP/1.1\r\n\r\n", "neither" },
		{ "CONNECT a..b:443 HTTP/1.1\r\n\r\n", "neither" },
		{ "CONNECT 127.1:80 HTTP/1.1\r\n\r\n", "neither" },
		{ "CONNECT 0x7f000001:80 HTTP/1.1\r\n\r\n", "neither" },
		{ "CONNECT 2130706433:80 HTTP/1.1\r\n\r\n", "neither" },
		{ "CONNECT 0177.0.0.1:80 HTTP/1.1\r\n\r\n", "neither" },
		{ "CONNECT 2001:db8::1:443 HTTP/1.1\r\n\r\n", "no port" },
		{ "CONNECT [2001:db8::1] HTTP/1.1\r\n\r\n", "no port" },
		{ "CONNECT [2001:db8::1]443 HTTP/1.1\r\n\r\n", "no port" },
		{ "CONNECT [fe80::1%eth0]:443 HTTP/1.1\r\n\r\n", "neither" },
		{ "CONNECT [10.0.0.1]:443 HTTP/1.1\r\n\r\n", "brackets" },
		{ "CONNECT [a]:443 HTTP/1.1\r\n\r\n", "neither" },
		{ "CONNECT []:443 HTTP/1.1\r\n\r\n", "neither" },
		{ "CONNECT a:1 HTTP/1.1\nX: y\r\n\r\n", "CR LF" },
		{ "CONNECT a:1 HTTP/1.1\r\nX: y\n\n", "CR LF" },
		{ "CONNECT a:1 HTTP/1.1\r\rX: y\r\n\r\n", "CR LF" },
		{ "CONNECT a:1 HTTP/1.1\r\nno colon\r\n\r\n", "invalid header" },
		{ "CONNECT a:1 HTTP/1.1\r\n folded: x\r\n\r\n", "invalid header" },
		{ "CONNECT a\t:1 HTTP/1.1\r\n\r\n", "printable" },
		{ "CONNECT a\x1b[2J:1 HTTP/1.1\r\n\r\n", "printable" },
		{ "CONNECT \xc3\xa4:1 HTTP/1.1\r\n\r\n", "printable" },
		{ "CONNECT a:1 HTTP/1.1\r\nProxy-Authorization: Bearer x\r\n\r\n", "not Basic" },
		{ "CONNECT a:1 HTTP/1.1\r\nProxy-Authorization: Basic x\r\nproxy-authorization: Basic y\r\n\r\n",
		  "two" },
	};
	char large[LIMIT_EGRESS_CONNECT_BYTES + 1];
	struct connect_request request;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (connect_read(cases[i].head, strlen(cases[i].head), &request) != CONNECT_BAD)
			fail_msg("taken: %s", cases[i].head);
		assert_int_equal(request.status, 400);
		if (strstr(reason_text(request.reason), cases[i].why) == NULL)
			fail_msg("%s: \"%s\" does not say \"%s\"", cases[i].head, reason_text(request.reason),
			         cases[i].why);
	}
	assert_int_equal(connect_read("CONNECT a\0b:1 HTTP/1.1\r\n\r\n", 26, &request), CONNECT_BAD);
	memset(large, 'a', sizeof(large));
	assert_int_equal(connect_read(large, LIMIT_EGRESS_CONNECT_BYTES - 1, &request), CONNECT_MORE);
	assert_int_equal(connect_read(large, LIMIT_EGRESS_CONNECT_BYTES, &request), CONNECT_BAD);
	assert_int_equal(request.status, 431);
	/* the largest that is taken, with data behind it */
	memcpy(large, "CONNECT a:1 HTTP/1.1\r\nX: ", 25);
	memcpy(large + LIMIT_EGRESS_CONNECT_BYTES - 4, "\r\n\r\n", 4);
	assert_int_equal(connect_read(large, sizeof(large), &request), CONNECT_DONE);
	assert_int_equal(request.length, LIMIT_EGRESS_CONNECT_BYTES);
}

static void credentials_are_given_as_they_came(void **state)
{
	static const char head[] = "CONNECT a:1 HTTP/1.1\r\nProxy-Authorization:  basic dG9rZW4=\r\n\r\n";
	struct connect_request request;

	(void)state;
	assert_int_equal(connect_read(head, sizeof(head) - 1, &request), CONNECT_DONE);
	assert_int_equal(request.credentials_length, 8);
	assert_memory_equal(request.credentials, "dG9rZW4=", 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(heads_that_are_taken),
		cmocka_unit_test(what_follows_is_not_the_head),
		cmocka_unit_test(heads_that_are_refused),
		cmocka_unit_test(credentials_are_given_as_they_came),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
