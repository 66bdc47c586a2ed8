#include "unit.h"

#include "hello.h"

#include "base/mem.h"
#include "base/str.h"
#include "egress/gate.h"

#include <stdlib.h>
#include <string.h>

#define NAME "api.example.com"
#define HOST "Host: api.example.com\r\n"

/* The static buffers of hello.h, kept. */
static struct bytes kept(const struct bytes *bytes)
{
	struct bytes copy;

	copy.n = bytes->n;
	memcpy(copy.v, bytes->v, bytes->n);
	return copy;
}

/* A ServerHello; `retry`: a HelloRetryRequest. */
static struct bytes server_hello(bool retry)
{
	static const uint8_t random[32] = { 0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c,
		                            0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb,
		                            0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c };
	struct bytes message, record;

	message.n = record.n = 0;
	put_number(&message, 1, 2);
	put_number(&message, 3, 2 + 32 + 4);
	put_number(&message, 2, 0x0303);
	if (retry)
		put(&message, random, 32);
	else
		for (unsigned i = 0; i < 32; i++)
			put_number(&message, 1, 7);
	put_number(&message, 1, 0);
	put_number(&message, 2, 0x1301);
	put_number(&message, 1, 0);
	put_record(&record, 22, message.v, message.n);
	return record;
}

struct client {
	struct gate gate;
	struct bytes held; /* not let through yet */
	size_t passed;
	bool open; /* not refused */
};

static void begin(struct client *client, uint16_t port)
{
	gate_begin(&client->gate, NAME, port);
	client->held.n = client->passed = 0;
	client->open = true;
}

static void ask(struct client *client)
{
	for (size_t pass = 1; client->open && pass > 0;) {
		pass = client->held.n + 1;
		client->open = gate_client(&client->gate, (const char *)client->held.v, client->held.n, &pass);
		assert_true(pass <= client->held.n);
		client->passed += pass;
		client->held.n -= pass;
		memmove(client->held.v, client->held.v + pass, client->held.n);
	}
}

static void say(struct client *client, const void *bytes, size_t count)
{
	put(&client->held, bytes, count);
	ask(client);
}

static void say_text(struct client *client, const char *text)
{
	say(client, text, strlen(text));
}

static void hear(struct client *client, const void *bytes, size_t count)
{
	if (gate_server(&client->gate, bytes, count))
		ask(client);
}

static void assert_shut(const struct client *client, enum audit_code code, const char *why)
{
	assert_false(client->open);
	assert_int_equal(client->gate.state, GATE_SHUT);
	assert_int_equal(client->gate.code, code);
	if (strstr(reason_text(client->gate.reason), why) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", reason_text(client->gate.reason), why);
}

/* ---- TLS ---- */

static void a_hello_in_any_pieces(void **state)
{
	static const uint16_t ports[] = { 443, 8443 };
	const struct bytes hello = kept(hello_for(NAME));
	const struct bytes answer = server_hello(false);
	static struct client client;

	(void)state;
	for (size_t p = 0; p < 2; p++)
		for (size_t step = 1; step <= hello.n; step++) {
			begin(&client, ports[p]);
			for (size_t at = 0; at < hello.n; at += step) {
				assert_int_equal(client.passed, 0); /* nothing before it is whole */
				say(&client, hello.v + at, hello.n - at < step ? hello.n - at : step);
			}
			assert_true(client.open);
			assert_int_equal(client.gate.state, GATE_ANSWER);
			assert_int_equal(client.passed, hello.n);
			say(&client, "\x14\x03\x03", 3);
			assert_int_equal(client.passed, hello.n); /* before the answer nothing more */
			for (size_t i = 0; i < answer.n && client.gate.state == GATE_ANSWER; i++)
				hear(&client, answer.v + i, 1);
			assert_int_equal(client.gate.state, GATE_OPEN);
			assert_int_equal(client.passed, hello.n + 3);
			say(&client, "anything", 8);
			assert_int_equal(client.passed, hello.n + 11);
			assert_string_equal(client.gate.kind, "tls");
			assert_string_equal(client.gate.sni, NAME);
		}
}

static void what_is_not_this_name_is_refused(void **state)
{
	static const char *const names[] = {
		"evil.test",   "api.example.co", "api.example.comm",       "example.com",
		"x" NAME,      "x." NAME,        "api.example.com\0.evil", "api.example.com:443",
		"api.example", "203.0.113.1",    "*.example.com",          ""
	};
	static const uint16_t ports[] = { 443, 8443 };
	static struct bytes extensions, message;
	static struct client client;

	(void)state;
	for (size_t p = 0; p < 2; p++)
		for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
			extensions.n = 0;
			put_sni_bytes(&extensions, names[i], i == 6 ? 21 : strlen(names[i]));
			message = kept(in_records(client_hello(&extensions), 16384));
			begin(&client, ports[p]);
			say(&client, message.v, message.n);
			assert_shut(&client, AUDIT_ESNI, "SNI");
			assert_int_equal(client.passed, 0);
			say_text(&client, "more");
			assert_int_equal(client.passed, 0);
		}
}

static void hellos_that_hide_their_name(void **state)
{
	static const struct {
		unsigned extension;
		bool sni;
		const char *why;
	} cases[] = {
		{ 10, false, "without a server name" },
		{ 0xfe0d, true, "ECH" },
		{ 0xffce, true, "ECH" },
		{ 0, true, "two SNIs" },
	};
	static struct bytes extensions, message;
	static struct client client;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		extensions.n = 0;
		if (cases[i].sni)
			put_sni(&extensions, NAME);
		put_extension(&extensions, cases[i].extension, "\0\2x", 3);
		message = kept(in_records(client_hello(&extensions), 16384));
		begin(&client, 443);
		say(&client, message.v, message.n);
		assert_shut(&client, AUDIT_ESNI, cases[i].why);
		assert_int_equal(client.passed, 0);
	}
	message = kept(in_records(client_hello(NULL), 16384));
	begin(&client, 443);
	say(&client, message.v, message.n);
	assert_shut(&client, AUDIT_ESNI, "without a server name");
}

static void port_443_is_tls_alone(void **state)
{
	static const char *const texts[] = { "GET / HTTP/1.1\r\n" HOST "\r\n", "SSH-2.0-x\r\n", "\x80\x2e\x01\x03\x01",
		                             "\x17\x03\x03" };
	static struct client client;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		begin(&client, 443);
		say_text(&client, texts[i]);
		assert_shut(&client, i < 2 ? AUDIT_EPROTO : AUDIT_ESNI,
		            i < 2    ? "not TLS"
		            : i == 2 ? "SSL 2"
		                     : "does not begin");
		assert_false(client.gate.raw_helps);
		assert_int_equal(client.passed, 0);
	}
}

/* After a HelloRetryRequest the name is checked again, however the second hello comes. */
static void the_second_hello_is_checked(void **state)
{
	static const uint8_t ccs[] = { 20, 3, 3, 0, 1, 1 };
	static const char *const names[] = { NAME, "evil.test", NULL };
	const struct bytes hello = kept(hello_for(NAME)), retry = server_hello(true);
	static struct client client;
	static struct bytes second;

	(void)state;
	for (size_t i = 0; i < 3; i++)
		for (int pipelined = 0; pipelined < 2; pipelined++)
			for (size_t step = 1; step < retry.n; step += retry.n - 2) {
				second.n = 0;
				put(&second, ccs, sizeof(ccs));
				if (names[i] != NULL) {
					const struct bytes again = kept(hello_for(names[i]));
					put(&second, again.v, again.n);
				} else {
					const struct bytes again = kept(in_records(client_hello(NULL), 16384));
					put(&second, again.v, again.n);
				}
				begin(&client, 443);
				say(&client, hello.v, hello.n);
				if (pipelined == 1)
					say(&client, second.v, second.n);
				assert_int_equal(client.passed, hello.n);
				for (size_t at = 0; at < retry.n; at += step)
					hear(&client, retry.v + at, retry.n - at < step ? retry.n - at : step);
				if (pipelined == 0) {
					assert_int_equal(client.gate.state, GATE_SECOND);
					for (size_t at = 0; at < second.n && client.open; at++)
						say(&client, second.v + at, 1);
				}
				if (i == 0) {
					assert_true(client.open);
					assert_int_equal(client.gate.state, GATE_OPEN);
					assert_int_equal(client.passed, hello.n + second.n);
				} else {
					assert_shut(&client, AUDIT_ESNI, "SNI");
					assert_int_equal(client.passed, hello.n);
				}
			}
}

static void nothing_but_a_hello_after_a_retry(void **state)
{
	static const uint8_t data[] = { 23, 3, 3, 0, 1, 1 };
	const struct bytes hello = kept(hello_for(NAME)), retry = server_hello(true);
	static struct client client;

	(void)state;
	begin(&client, 443);
	say(&client, hello.v, hello.n);
	hear(&client, retry.v, retry.n);
	say(&client, data, sizeof(data));
	assert_shut(&client, AUDIT_ESNI, "out of order");
	assert_int_equal(client.passed, hello.n);
}

/* A second hello behind the first, in one write or in one record, waits or is refused. */
static void a_hello_behind_the_hello(void **state)
{
	const struct bytes hello = kept(hello_for(NAME)), evil = kept(hello_for("evil.test"));
	static struct bytes message, record;
	static struct client client;

	(void)state;
	begin(&client, 443);
	message.n = 0;
	put(&message, hello.v, hello.n);
	put(&message, evil.v, evil.n);
	say(&client, message.v, message.n);
	assert_int_equal(client.passed, hello.n);
	assert_int_equal(client.gate.state, GATE_ANSWER);

	message.n = record.n = 0;
	put(&message, hello.v + 5, hello.n - 5);
	put(&message, evil.v + 5, evil.n - 5);
	put_record(&record, 22, message.v, message.n);
	begin(&client, 443);
	say(&client, record.v, record.n);
	assert_shut(&client, AUDIT_ESNI, "more than a ClientHello");
	assert_int_equal(client.passed, 0);
}

static void only_tls_answers_a_hello(void **state)
{
	static const struct {
		const char *bytes;
		size_t length;
		bool tls;
	} answers[] = { { "\x15\x03\x03\0\2\2\x28", 7, true },
		        { "\x16\x03\x03\0\1\x0b", 6, true },
		        { "HTTP/1.1 400 Bad Request\r\n", 26, false },
		        { "220 hello\r\n", 11, false },
		        { "\x17\x03\x03\0\1x", 6, false },
		        { "\x16\x02", 2, false },
		        { "\0", 1, false } };
	const struct bytes hello = kept(hello_for(NAME));
	static struct client client;

	(void)state;
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		begin(&client, 8443);
		say(&client, hello.v, hello.n);
		hear(&client, answers[i].bytes, answers[i].length);
		if (answers[i].tls)
			assert_int_equal(client.gate.state, GATE_OPEN);
		else
			assert_shut(&client, AUDIT_EPROTO, "not TLS");
		assert_int_equal(client.passed, hello.n);
	}
}

/* An answer that does not show within the room for it whether it is a HelloRetryRequest lets nothing more through. */
static void an_answer_that_cannot_be_read(void **state)
{
	static const uint8_t warning[] = { 21, 3, 3, 0, 2, 1, 112 };
	const struct bytes hello = kept(hello_for(NAME));
	static struct client client;

	(void)state;
	begin(&client, 443);
	say(&client, hello.v, hello.n);
	for (size_t n = 0; n < HELLO_ANSWER_BYTES + sizeof(warning); n += sizeof(warning))
		hear(&client, warning, sizeof(warning));
	say(&client, hello.v, hello.n);
	assert_shut(&client, AUDIT_EPROTO, "answer");
	assert_int_equal(client.passed, hello.n);
}

/* ---- HTTP ---- */

static void a_request_passes_only_with_the_host_that_was_asked_for(void **state)
{
	static const struct {
		const char *text;
		uint16_t port;
		size_t passes;
		const char *why; /* NULL: taken */
	} cases[] = {
		{ "GET / HTTP/1.1\r\n" HOST "\r\n", 80, 41, NULL },
		{ "GET / HTTP/1.1\r\n" HOST "\r\n", 8080, 41, NULL },
		{ "GET / HTTP/1.1\r\nHost: evil.test\r\n\r\n", 80, 0, "a Host other" },
		{ "GET / HTTP/1.1\r\nHost: evil.test\r\n\r\n", 8080, 0, "a Host other" },
		{ "get / HTTP/1.1\r\nHost: evil.test\r\n\r\n", 8080, 0, "upper-case" },
		{ "\r\nGET / HTTP/1.1\r\nHost: evil.test\r\n\r\n", 8080, 0, "upper-case" },
		{ "GET / HTTP/1.1\r\n" HOST "\r\nGET / HTTP/1.1\r\nHost: evil.test\r\n\r\n", 80, 41, "a Host other" },
		{ "SSH-2.0-x\r\n", 80, 0, "upper-case" },
		{ "\x16\x03\x01\r\n", 80, 0, "upper-case" },
		{ "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 80, 0, "not HTTP/1.1" },
		{ "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 8080, 0, "not HTTP/1.1" },
		{ "CONNECT evil.test:443 HTTP/1.1\r\n" HOST "\r\n", 8080, 0, "CONNECT" },
	};
	static struct client client;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (size_t step = 1; step <= strlen(cases[i].text); step += strlen(cases[i].text) - 1) {
			const size_t length = strlen(cases[i].text);

			begin(&client, cases[i].port);
			for (size_t at = 0; at < length && client.open; at += step)
				say(&client, cases[i].text + at, length - at < step ? length - at : step);
			if (cases[i].why != NULL)
				assert_shut(&client, AUDIT_EHOST, cases[i].why);
			assert_int_equal(client.open, cases[i].why == NULL);
			assert_int_equal(client.passed, cases[i].passes);
			assert_string_equal(client.gate.kind, "http");
		}
}

static const char upgrade[] = "GET /ws HTTP/1.1\r\n" HOST "Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n";

static void what_follows_an_upgrade_waits_for_the_answer(void **state)
{
	static const char evil[] = "GET / HTTP/1.1\r\nHost: evil.test\r\n\r\n";
	static struct client client;

	(void)state;
	begin(&client, 80);
	say_text(&client, upgrade);
	say_text(&client, evil); /* which is a frame when the server has switched */
	assert_int_equal(client.passed, sizeof(upgrade) - 1);
	for (const char *p = "HTTP/1.1 101 Switching Protocols\r\n"; *p != '\0' && client.gate.state == GATE_HTTP; p++)
		hear(&client, p, 1);
	assert_int_equal(client.gate.state, GATE_OPEN);
	assert_int_equal(client.passed, sizeof(upgrade) + sizeof(evil) - 2);

	/* and a request when it has not */
	static const char *const answers[] = { "HTTP/1.1 200 OK\r\n", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 101 X\r\n",
		                               "HTTP/1.0 101 x\r\n", "101", "HTTP/1.1 1010 x" };
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		begin(&client, 80);
		say_text(&client, upgrade);
		say_text(&client, evil);
		hear(&client, answers[i], strlen(answers[i]));
		assert_shut(&client, AUDIT_EHOST, "a Host other");
		assert_int_equal(client.passed, sizeof(upgrade) - 1);
	}
}

/* Answers to requests before it are nothing to the gate. */
static void answers_that_do_not_matter(void **state)
{
	static struct client client;

	(void)state;
	begin(&client, 80);
	say_text(&client, "GET / HTTP/1.1\r\n" HOST "\r\n");
	assert_false(gate_server(&client.gate, "HTTP/1.1 101 \r\n", 15));
	say_text(&client, "SSH-2.0\r\n");
	assert_shut(&client, AUDIT_EHOST, "upper-case");
}

/* ---- others ---- */

/* Refused at once, and the rule that would pass them is named. */
static void what_is_neither_is_refused(void **state)
{
	static const struct {
		const char *bytes;
		size_t length;
	} cases[] = {
		{ "SSH-2.0-OpenSSH\r\n", 17 },
		{ "\0\0\0\x08\x04\xd2\x16\x2f", 8 },      /* PostgreSQL: may I have TLS? */
		{ "\0\0\0\x20\0\3\0\0user\0me\0\0", 18 }, /* PostgreSQL without asking */
		{ "*1\r\n$4\r\nPING\r\n", 14 },
		{ "PING\r\n", 6 },
		{ "EHLO me\r\n", 9 },
		{ "get foo\r\n", 9 },
		{ "put 0 0 60 1\r\nx\r\n", 17 },
		{ "CONNECT {\"verbose\":false}\r\n", 27 },
		{ "\x10\x16\0\4MQTT\4\2", 10 },
		{ "\x16\x02", 2 },
		{ "\x80\0\0\3\0\0", 6 },
	};
	static struct client client;
	size_t length = 99;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (size_t step = 1; step <= cases[i].length; step += cases[i].length - 1) {
			begin(&client, 5432);
			for (size_t at = 0; at < cases[i].length && client.open; at += step)
				say(&client, cases[i].bytes + at,
				    cases[i].length - at < step ? cases[i].length - at : step);
			assert_shut(&client, AUDIT_EPROTO, "neither TLS nor HTTP");
			assert_true(client.gate.raw_helps);
			assert_int_equal(client.passed, 0);
			assert_null(client.gate.kind);
			free(gate_refusal(&client.gate, &length));
			assert_int_equal(length, 0);
		}
}

/* HTTP and TLS that cannot be held to the name is refused too, and no rule is named for it. */
static void no_rule_is_named_for_tls_or_http(void **state)
{
	static const struct {
		const char *text;
		enum audit_code code;
		const char *why;
	} cases[] = {
		{ "PROPFIND http://other.test/secret HTTP/1.1\r\nHost: other.test\r\n\r\n", AUDIT_EHOST,
		  "another host" },
		{ "M-SEARCH * HTTP/1.1\r\n" HOST "\r\n", AUDIT_EHOST, "target" },
		{ "PROPFIND  /x HTTP/1.1\r\n" HOST "\r\n", AUDIT_EHOST, "target" },
		{ "PROPFIND\t/x HTTP/1.1\r\n" HOST "\r\n", AUDIT_EHOST, "upper-case" },
		{ "GET /secret\r\n", AUDIT_EHOST, "not HTTP/1.1" },
		{ "GET http://other.test/\r\n", AUDIT_EHOST, "not HTTP/1.1" },
		{ "GET / HTTP/1.0\r\n" HOST "\r\n", AUDIT_EHOST, "not HTTP/1.1" },
		{ "get / HTTP/1.1\r\n" HOST "\r\n", AUDIT_EHOST, "upper-case" },
		{ "fetch x HTTP/1.1\r\n" HOST "\r\n", AUDIT_EHOST, "upper-case" },
		{ " GET / HTTP/1.1\r\n" HOST "\r\n", AUDIT_EHOST, "upper-case" },
		{ "-GET / HTTP/1.1\r\n" HOST "\r\n", AUDIT_EHOST, "upper-case" },
		{ "GET / HTTP/1.1\n" HOST "\r\n", AUDIT_EHOST, "CR LF" },
		{ "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", AUDIT_EHOST, "not HTTP/1.1" },
		{ "\x80\x2e\x01\x03\x01", AUDIT_ESNI, "SSL 2" },
		{ "\x14\x03\x03\x01", AUDIT_ESNI, "does not begin" },
		{ "\x17\x03\x03", AUDIT_ESNI, "does not begin" },
	};
	static struct client client;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		begin(&client, 8080);
		say_text(&client, cases[i].text);
		assert_shut(&client, cases[i].code, cases[i].why);
		assert_false(client.gate.raw_helps);
		assert_int_equal(client.passed, 0);
	}
}

/* Methods with a hyphen are HTTP like others (RFC 3253), held like others. */
static void every_request_is_held_whatever_its_method(void **state)
{
	static const char *const methods[] = { "GET", "PROPFIND", "REPORT", "VERSION-CONTROL", "FETCH" };
	static struct client client;

	(void)state;
	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
		mem_cleanup char *good = str_printf("%s / HTTP/1.1\r\n" HOST "\r\n", methods[i]);

		begin(&client, 8080);
		say_text(&client, good);
		assert_true(client.open);
		assert_int_equal(client.passed, strlen(good));
		say_text(&client, "GET /secret HTTP/1.1\r\nHost: other.test\r\n\r\n");
		assert_shut(&client, AUDIT_EHOST, "a Host other");
		assert_int_equal(client.passed, strlen(good));
	}
}

/* Nothing of a server that speaks first is passed on: its first bytes could be all that was wanted of it. */
static void a_server_that_speaks_first_is_refused(void **state)
{
	static const struct {
		const char *before; /* of the client's */
		uint16_t port;
		const char *bytes;
		bool raw_helps;
	} cases[] = {
		{ "", 25, "220 hello\r\n", true },
		{ "", 3306, "J\0\0\0\n8.0", true },
		{ "GE", 8080, "220 hello\r\n", true },
		{ "", 80, "220 hello\r\n", false },
		{ "", 443, "SSH-2.0-x\r\n", false },
		{ "\x16\x03", 443, "\x15\3\3\0\2\2\x28", false },
		{ "GET / HTTP/1.1\r\n", 80, "x", false },
		{ "", 8080, "HTTP/1.1 408 Request Timeout\r\n", false },
		{ "", 8080, "H", false },
	};
	static struct client client;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		begin(&client, cases[i].port);
		say_text(&client, cases[i].before);
		assert_true(client.open);
		hear(&client, cases[i].bytes, strlen(cases[i].bytes));
		assert_shut(&client, AUDIT_EPROTO, "the server speaks");
		assert_int_equal(client.gate.raw_helps, cases[i].raw_helps);
		assert_int_equal(client.passed, 0);
	}
}

static void nothing_passes_undecided(void **state)
{
	static const char *const texts[] = { "G",
		                             "GET",
		                             "\r\n",
		                             "PROPFIND ",
		                             "PROPFIND / HTTP/1.1\r",
		                             "\x16",
		                             "\x16\x03",
		                             "\x16\x03\x01\x02",
		                             "\x80",
		                             "\x80\x2e\x01\x03",
		                             "\x17" };
	static struct client client;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		begin(&client, 8080);
		say_text(&client, texts[i]);
		assert_true(client.open);
		assert_int_equal(client.gate.state, GATE_SNIFF);
		assert_int_equal(client.passed, 0);
	}
}

static void time_is_over(void **state)
{
	static const struct {
		const char *text;
		uint16_t port;
		const char *why;
	} cases[] = {
		{ "\x16\x03\x01", 443, "ClientHello" },
		{ "GET / HTTP/1.1\r\n", 80, "head of the request" },
		{ "\x16\x03\x01", 8443, "which protocol" },
		{ "GE", 8080, "which protocol" },
	};
	static struct client client;
	size_t length;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		begin(&client, cases[i].port);
		say_text(&client, cases[i].text);
		assert_true(client.open);
		gate_give_up(&client.gate);
		ask(&client);
		assert_shut(&client, AUDIT_ETIMEDOUT, cases[i].why);
		assert_int_equal(client.passed, 0);
		mem_cleanup char *text = gate_refusal(&client.gate, &length);
		assert_non_null(text);
	}
}

static void a_refusal_is_said_in_the_protocol_of_the_guest(void **state)
{
	const struct bytes evil = kept(hello_for("evil.test"));
	static struct client client;
	size_t length = 99;

	(void)state;
	begin(&client, 443);
	say(&client, evil.v, evil.n);
	mem_cleanup char *alert = gate_refusal(&client.gate, &length);
	assert_int_equal(length, 7);
	assert_memory_equal(alert, "\x15\x03\x03\0\2\2\x31", 7);

	begin(&client, 80);
	say_text(&client, "GET / HTTP/1.1\r\n\r\n");
	mem_cleanup char *page = gate_refusal(&client.gate, &length);
	assert_true(str_starts(page, "HTTP/1.1 403 ") && strstr(page, "without Host") != NULL);
	assert_int_equal(length, strlen(page));

	begin(&client, 8080);
	say_text(&client, "GE");
	gate_give_up(&client.gate);
	mem_cleanup char *nothing = gate_refusal(&client.gate, &length);
	assert_int_equal(length, 0);
	assert_string_equal(nothing, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_hello_in_any_pieces),
		cmocka_unit_test(what_is_not_this_name_is_refused),
		cmocka_unit_test(hellos_that_hide_their_name),
		cmocka_unit_test(port_443_is_tls_alone),
		cmocka_unit_test(the_second_hello_is_checked),
		cmocka_unit_test(nothing_but_a_hello_after_a_retry),
		cmocka_unit_test(a_hello_behind_the_hello),
		cmocka_unit_test(only_tls_answers_a_hello),
		cmocka_unit_test(an_answer_that_cannot_be_read),
		cmocka_unit_test(a_request_passes_only_with_the_host_that_was_asked_for),
		cmocka_unit_test(what_follows_an_upgrade_waits_for_the_answer),
		cmocka_unit_test(answers_that_do_not_matter),
		cmocka_unit_test(what_is_neither_is_refused),
		cmocka_unit_test(no_rule_is_named_for_tls_or_http),
		cmocka_unit_test(every_request_is_held_whatever_its_method),
		cmocka_unit_test(a_server_that_speaks_first_is_refused),
		cmocka_unit_test(nothing_passes_undecided),
		cmocka_unit_test(time_is_over),
		cmocka_unit_test(a_refusal_is_said_in_the_protocol_of_the_guest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
