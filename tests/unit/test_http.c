#include "unit.h"

#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"
#include "egress/http.h"

#include <stdio.h>
#include <string.h>

#define HOST "Host: api.example.com\r\n"

/* Feeds the text in steps of `step` bytes; returns how much was passed, and why it ended. */
static size_t feed(struct http *http, const char *text, size_t length, size_t step, enum reason *ret_reason)
{
	size_t passed = 0;

	*ret_reason = REASON_NONE;
	for (size_t have = step < length ? step : length;; have = have + step < length ? have + step : length) {
		size_t pass = 0;

		if (!http_feed(http, text + passed, have - passed, &pass, ret_reason)) {
			assert_int_not_equal(*ret_reason, REASON_NONE);
			return passed + pass;
		}
		passed += pass;
		if (have == length)
			return passed;
	}
}

static void streams_that_pass(void **state)
{
	static const char *const cases[] = {
		"GET / HTTP/1.1\r\n" HOST "\r\n",
		"GET / HTTP/1.1\r\nhOST:api.EXAMPLE.com:8080\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: \t api.example.com. \r\n\r\n",
		"GET http://api.example.com/x HTTP/1.1\r\n" HOST "\r\n",
		"GET HTTP://API.example.com:8080?q HTTP/1.1\r\n" HOST "\r\n",
		"OPTIONS * HTTP/1.1\r\n" HOST "\r\n",
		"PUT / HTTP/1.1\r\n" HOST "expect: 100-Continue\r\nContent-Length: 2\r\n\r\nhi",
		"GET / HTTP/1.1\r\n" HOST "\r\nGET /2 HTTP/1.1\r\n" HOST "\r\n",
		"POST / HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhelloGET / HTTP/1.1\r\n" HOST "\r\n",
		"POST / HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\nGET / HTTP/1.1\r\n" HOST "\r\n",
		"POST / HTTP/1.1\r\n" HOST
		"Transfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\nA\r\n0123456789\r\n0\r\n\r\n"
		"GET / HTTP/1.1\r\n" HOST "\r\n",
		"POST / HTTP/1.1\r\n" HOST "Content-Length: 22\r\n\r\nGET / HTTP/1.1\r\n\r\nfake",
		"GET / HTTP/1.1\r\n" HOST "X-Odd: \xc3\xa4 \"quoted\"\r\nEmpty:\r\n\r\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const size_t length = strlen(cases[i]);

		for (size_t step = 1; step <= length; step++) {
			struct http http;
			enum reason reason;
			size_t passed;

			http_begin(&http, "api.example.com", 8080);
			passed = feed(&http, cases[i], length, step, &reason);
			if (reason != REASON_NONE || passed != length)
				fail_msg("case %zu by %zu: %zu of %zu, %s", i, step, passed, length,
				         reason == REASON_NONE ? "" : reason_text(reason));
		}
	}
}

static void requests_that_are_refused(void **state)
{
	static const struct {
		const char *text;
		const char *why;
	} cases[] = {
		{ "GET / HTTP/1.1\r\nHost: evil.test\r\n\r\n", "a Host other than" },
		{ "GET / HTTP/1.1\r\nHost: api.example.com:81\r\n\r\n", "a Host other than" },
		{ "GET / HTTP/1.1\r\nHost: api.example.com:\r\n\r\n", "a Host other than" },
		{ "GET / HTTP/1.1\r\nHost: api.example.com:08080\r\n\r\n", "a Host other than" },
		{ "GET / HTTP/1.1\r\nHost: user@api.example.com\r\n\r\n", "a Host other than" },
		{ "GET / HTTP/1.1\r\nHost: api.example.com, evil.test\r\n\r\n", "a Host other than" },
		{ "GET / HTTP/1.1\r\nHost:\r\n\r\n", "a Host other than" },
		{ "GET / HTTP/1.1\r\n\r\n", "without Host" },
		{ "GET / HTTP/1.1\r\n" HOST HOST "\r\n", "more than one Host" },
		{ "GET / HTTP/1.1\r\n" HOST "Host: evil.test\r\n\r\n", "more than one Host" },
		{ "GET / HTTP/1.1\r\n" HOST " evil.test\r\n\r\n", "invalid header line" },
		{ "GET / HTTP/1.1\r\nHost : api.example.com\r\n\r\n", "invalid header line" },
		{ "GET / HTTP/1.1\r\n" HOST "no colon\r\n\r\n", "invalid header line" },
		{ "GET / HTTP/1.1\r\n" HOST ": x\r\n\r\n", "invalid header line" },
		{ "GET / HTTP/1.1\r\n" HOST "Expect: y 100-continue\r\n\r\n", "an Expect other" },
		{ "GET / HTTP/1.1\r\n" HOST "Expect:\r\n\r\n", "an Expect other" },
		{ "GET / HTTP/1.1\r\n" HOST "X: a\x01\r\n\r\n", "control bytes" },
		{ "GET / HTTP/1.1\r\n" HOST "X: a\rHost: evil.test\r\n\r\n", "does not end in CR LF" },
		{ "GET / HTTP/1.1\n" HOST "\r\n", "does not end in CR LF" },
		{ "GET / HTTP/1.1\r\nHost: api.example.com\n\r\n", "does not end in CR LF" },
		{ "\r\nGET / HTTP/1.1\r\n" HOST "\r\n", "upper-case method" },
		{ "get / HTTP/1.1\r\n" HOST "\r\n", "upper-case method" },
		{ " GET / HTTP/1.1\r\n" HOST "\r\n", "upper-case method" },
		{ "GET\t/ HTTP/1.1\r\n" HOST "\r\n", "upper-case method" },
		{ "GET  / HTTP/1.1\r\n" HOST "\r\n", "other than printable" },
		{ "GET /\xc3\xa4 HTTP/1.1\r\n" HOST "\r\n", "other than printable" },
		{ "GET / HTTP/1.0\r\n" HOST "\r\n", "not HTTP/1.1" },
		{ "GET /\r\n", "not HTTP/1.1" },
		{ "GET / HTTP/1.1 \r\n" HOST "\r\n", "not HTTP/1.1" },
		{ "GET / HTTP/2.0\r\n" HOST "\r\n", "not HTTP/1.1" },
		{ "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "not HTTP/1.1" },
		{ "GET HTTP/1.1\r\n" HOST "\r\n", "not HTTP/1.1" },
		{ "GET x HTTP/1.1\r\n" HOST "\r\n", "invalid request target" },
		{ "GET * HTTP/1.1\r\n" HOST "\r\n", "invalid request target" },
		{ "GET https://api.example.com/ HTTP/1.1\r\n" HOST "\r\n", "invalid request target" },
		{ "GET http://evil.test/ HTTP/1.1\r\n" HOST "\r\n", "for another host" },
		{ "GET http://api.example.com@evil.test/ HTTP/1.1\r\n" HOST "\r\n", "for another host" },
		{ "GET http://api.example.com\\.evil.test/ HTTP/1.1\r\n" HOST "\r\n", "for another host" },
		{ "GET http:///x HTTP/1.1\r\n" HOST "\r\n", "for another host" },
		{ "CONNECT evil.test:443 HTTP/1.1\r\n" HOST "\r\n", "CONNECT" },
		{ "POST / HTTP/1.1\r\n" HOST "Content-Length: 5\r\nContent-Length: 5\r\n\r\n", "more than one length" },
		{ "POST / HTTP/1.1\r\n" HOST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
		  "more than one length" },
		{ "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
		  "more than one length" },
		{ "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
		  "more than one length" },
		{ "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip, chunked\r\n\r\n", "other than chunked" },
		{ "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: xchunked\r\n\r\n", "other than chunked" },
		{ "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding : chunked\r\n\r\n", "invalid header line" },
		{ "POST / HTTP/1.1\r\n" HOST "Content-Length: +5\r\n\r\n", "invalid Content-Length" },
		{ "POST / HTTP/1.1\r\n" HOST "Content-Length: 5, 5\r\n\r\n", "invalid Content-Length" },
		{ "POST / HTTP/1.1\r\n" HOST "Content-Length:\r\n\r\n", "invalid Content-Length" },
		{ "POST / HTTP/1.1\r\n" HOST "Content-Length: 1000000000000000\r\n\r\n", "invalid Content-Length" },
		{ "GET / HTTP/1.1\r\n" HOST "Upgrade: h2c\r\n\r\n", "other than websocket" },
		{ "GET / HTTP/1.1\r\n" HOST "HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n", "HTTP/2" },
		{ "GET / HTTP/1.1\r\n" HOST "Upgrade: websocket\r\nContent-Length: 3\r\n\r\n", "with a body" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const size_t length = strlen(cases[i].text);

		for (size_t step = 1; step <= length; step += length - 1) {
			struct http http;
			enum reason reason;
			size_t passed;

			http_begin(&http, "api.example.com", 8080);
			passed = feed(&http, cases[i].text, length, step, &reason);
			if (reason == REASON_NONE || passed != 0)
				fail_msg("case %zu: %zu passed, %s", i, passed,
				         reason == REASON_NONE ? "taken" : reason_text(reason));
			if (strstr(reason_text(reason), cases[i].why) == NULL)
				fail_msg("case %zu: \"%s\" does not say \"%s\"", i, reason_text(reason), cases[i].why);
		}
	}
}

static void later_requests_are_refused(void **state)
{
	static const struct {
		const char *good, *bad;
		const char *why;
	} cases[] = {
		{ "GET / HTTP/1.1\r\n" HOST "\r\n", "GET / HTTP/1.1\r\nHost: evil.test\r\n\r\n", "a Host other than" },
		{ "POST / HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc",
		  "GET / HTTP/1.1\r\nHost: evil.test\r\n\r\n", "a Host other than" },
		{ "GET / HTTP/1.1\r\n" HOST "\r\n", "GET / HTTP/1.1\r\n" HOST "Upgrade: websocket\r\n\r\n",
		  "other than on the first" },
		{ "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n", "5;ext=1\r\nhello\r\n",
		  "something else" },
		{ "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n", "\r\n", "without a size" },
		{ "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n", "0x5\r\n", "something else" },
		{ "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n", " 5\r\n", "something else" },
		{ "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n", "5\nhello\r\n", "CR LF" },
		{ "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n", "1000000000000000\r\n",
		  "without a size" },
		{ "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n", "00000000000000000005\r\n",
		  "too long" },
		{ "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n2\r\nab", "c\r\n",
		  "longer than its size" },
		{ "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n2\r\nab", "\rc", "CR LF" },
		{ "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0\r\n", "X: trailer\r\n\r\n",
		  "trailers" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		mem_cleanup char *both = str_printf("%s%s", cases[i].good, cases[i].bad);
		const size_t length = strlen(both);

		for (size_t step = 1; step <= length; step += length - 1) {
			struct http http;
			enum reason reason;
			size_t passed;

			http_begin(&http, "api.example.com", 8080);
			passed = feed(&http, both, length, step, &reason);
			if (reason == REASON_NONE || strstr(reason_text(reason), cases[i].why) == NULL)
				fail_msg("case %zu: %s", i, reason == REASON_NONE ? "taken" : reason_text(reason));
			assert_int_equal(passed, strlen(cases[i].good));
		}
	}
}

static void a_head_over_the_ceiling_is_refused(void **state)
{
	static char text[LIMIT_EGRESS_HEAD_BYTES + 64];
	struct http http;
	enum reason reason = REASON_NONE;
	size_t pass;

	(void)state;
	/* exactly at the ceiling, then one more */
	for (size_t over = 0; over < 2; over++) {
		const size_t length = LIMIT_EGRESS_HEAD_BYTES + over;

		memset(text, 'a', sizeof(text));
		memcpy(text, "GET / HTTP/1.1\r\n" HOST "X: ", 16 + sizeof(HOST) - 1 + 3);
		memcpy(text + length - 4, "\r\n\r\n", 4);
		http_begin(&http, "api.example.com", 80);
		pass = 0;
		assert_int_equal(http_feed(&http, text, length, &pass, &reason), over == 0);
		assert_int_equal(pass, over == 0 ? length : 0);
	}
	assert_non_null(strstr(reason_text(reason), "too long"));
	/* without an end */
	http_begin(&http, "api.example.com", 80);
	memset(text + 16 + sizeof(HOST) - 1, 'a', sizeof(text) - 16 - sizeof(HOST) + 1);
	assert_false(http_feed(&http, text, sizeof(text), &pass, &reason));
}

static void upgrades_wait_for_the_server(void **state)
{
	static const char request[] = "GET /ws HTTP/1.1\r\n" HOST "Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
	static const char frame[] = "\x81\x05hello";
	struct http http;
	enum reason reason = REASON_NONE;
	size_t pass = 0;

	(void)state;
	http_begin(&http, "api.example.com", 80);
	assert_true(http_answered(&http, "HTTP/1.1 101 ", 13)); /* nobody waits: nothing changes */
	assert_int_equal(http.phase, HTTP_HEAD);
	assert_true(http_feed(&http, request, sizeof(request) - 1, &pass, &reason));
	assert_int_equal(pass, sizeof(request) - 1);
	assert_true(http_feed(&http, frame, sizeof(frame) - 1, &pass, &reason));
	assert_int_equal(pass, 0);
	assert_false(http_answered(&http, "HTTP/1.1 10", 11));
	assert_true(http_answered(&http, "HTTP/1.1 101 Switching Protocols\r\n", 34));
	assert_true(http_feed(&http, frame, sizeof(frame) - 1, &pass, &reason));
	assert_int_equal(pass, sizeof(frame) - 1);

	/* a server that does not switch: what follows is a request again */
	http_begin(&http, "api.example.com", 80);
	assert_true(http_feed(&http, request, sizeof(request) - 1, &pass, &reason));
	assert_true(http_answered(&http, "HTTP/1.1 200 OK\r\n", 17));
	assert_false(http_feed(&http, "GET / HTTP/1.1\r\nHost: evil.test\r\n\r\n", 35, &pass, &reason));
	assert_int_equal(pass, 0);
	http_begin(&http, "api.example.com", 80);
	assert_true(http_feed(&http, request, sizeof(request) - 1, &pass, &reason));
	assert_true(http_answered(&http, "HTTP/1.1 1010", 13));
	assert_int_equal(http.phase, HTTP_HEAD);
}

static void http_is_recognised_by_its_first_line(void **state)
{
	static const struct {
		const char *bytes;
		enum http_look look;
	} cases[] = {
		/* no line yet */
		{ "", HTTP_LOOK_MORE },
		{ "G", HTTP_LOOK_MORE },
		{ "GET", HTTP_LOOK_MORE },
		{ "GET /", HTTP_LOOK_MORE },
		{ "PROPFIND / HTTP/1.1", HTTP_LOOK_MORE },
		{ "PROPFIND / HTTP/1.1\r", HTTP_LOOK_MORE },
		{ "\r\n\r\n", HTTP_LOOK_MORE },
		{ " \t", HTTP_LOOK_MORE },
		/* requests */
		{ "GET / HTTP/1.1\r\n", HTTP_LOOK_YES },
		{ "GET / HTTP/1.1\n", HTTP_LOOK_YES },
		{ "get / http/1.1\r\n", HTTP_LOOK_YES },
		{ "GET\t/\tHTTP/1.1\r\n", HTTP_LOOK_YES },
		{ "GET\v/\fHTTP/1.1\r\n", HTTP_LOOK_YES },
		{ "GET  /x   HTTP/1.1\r\n", HTTP_LOOK_YES },
		{ " GET / HTTP/1.1\r\n", HTTP_LOOK_YES },
		{ "\r\nGET / HTTP/1.1\r\n", HTTP_LOOK_YES },
		{ "\n\n\tPoSt http://x/ HTTP/1.0\r\n", HTTP_LOOK_YES },
		{ "PROPFIND /x HTTP/1.1\r\n", HTTP_LOOK_YES },
		{ "PROPFIND http://other.test/ HTTP/1.1\r\n", HTTP_LOOK_YES },
		{ "M-SEARCH * HTTP/1.1\r\n", HTTP_LOOK_YES },
		{ "FETCH x HTTP/1.1\r\n", HTTP_LOOK_YES },
		{ "a!#$%&'*+.^_`|~ x HTTP/9\r\n", HTTP_LOOK_YES },
		{ "GET /\xc3\xa4 HTTP/1.1\r\n", HTTP_LOOK_YES },
		{ "GET / HTTP/1.1 \r\n", HTTP_LOOK_YES },
		{ "GET HTTP/1.1\r\n", HTTP_LOOK_YES },
		{ "GET / RTSP/1.0 HTTP/1.1\r\n", HTTP_LOOK_YES },
		{ "PRI * HTTP/2.0\r\n", HTTP_LOOK_YES },
		{ "CONNECT evil.test:443 HTTP/1.1\r\n", HTTP_LOOK_YES },
		{ "CONNECT evil.test:443\r\n", HTTP_LOOK_YES },
		/* HTTP/0.9 */
		{ "GET /secret\r\n", HTTP_LOOK_YES },
		{ "GET /secret\n", HTTP_LOOK_YES },
		{ "GET\t/secret \r\n", HTTP_LOOK_YES },
		{ "GET http://other.test/\r\n", HTTP_LOOK_YES },
		{ "OPTIONS *\r\n", HTTP_LOOK_YES },
		{ "GET /a\x01", HTTP_LOOK_YES },
		{ "get /a\x01 HTTP/1.1\r\n", HTTP_LOOK_YES },
		{ "\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n", HTTP_LOOK_YES },
		/* others */
		{ "get foo\r\n", HTTP_LOOK_NO },
		{ "gets /users/1\r\n", HTTP_LOOK_NO },
		{ "get /users/1\r\n", HTTP_LOOK_NO },
		{ "put 0 0 60 1\r\n", HTTP_LOOK_NO },
		{ "delete foo\r\n", HTTP_LOOK_NO },
		{ "PING\r\n", HTTP_LOOK_NO },
		{ "GET key\r\n", HTTP_LOOK_NO },
		{ "CONNECT {\"verbose\":false}\r\n", HTTP_LOOK_NO },
		{ "USER root\r\n", HTTP_LOOK_NO },
		{ "SSH-2.0-OpenSSH\r\n", HTTP_LOOK_NO },
		{ "EHLO me\r\n", HTTP_LOOK_NO },
		{ "*1\r\n$4\r\nPING\r\n", HTTP_LOOK_NO },
		{ "QUIT\r\n", HTTP_LOOK_NO },
		{ "OPTIONS rtsp://cam.test/ RTSP/1.0\r\n", HTTP_LOOK_NO },
		{ "REGISTER sip:x SIP/2.0\r\n", HTTP_LOOK_NO },
		{ "{\"a\":", HTTP_LOOK_NO },
		{ "AMQP\x01\x01\x09\x01", HTTP_LOOK_NO },
		{ "\x01\x02", HTTP_LOOK_NO },
		{ "\xff", HTTP_LOOK_NO },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (http_look(cases[i].bytes, strlen(cases[i].bytes)) != cases[i].look)
			fail_msg("case %zu: %s", i, cases[i].bytes);
	/* a startup packet of PostgreSQL */
	assert_int_equal(http_look("\0\0\0\x08\x04\xd2\x16\x2f", 8), HTTP_LOOK_NO);
}

static void a_refusal_is_an_answer(void **state)
{
	mem_cleanup char *text = http_refusal(REASON_HOST_MISSING);

	(void)state;
	assert_true(str_starts(text, "HTTP/1.1 403 Forbidden\r\n"));
	assert_non_null(strstr(text, "Content-Length: 29\r\n"));
	assert_true(str_ends(text, "\r\n\r\nnpxc: a request without Host\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(streams_that_pass),
		cmocka_unit_test(requests_that_are_refused),
		cmocka_unit_test(later_requests_are_refused),
		cmocka_unit_test(a_head_over_the_ceiling_is_refused),
		cmocka_unit_test(upgrades_wait_for_the_server),
		cmocka_unit_test(http_is_recognised_by_its_first_line),
		cmocka_unit_test(a_refusal_is_an_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
