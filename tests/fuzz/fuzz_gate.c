#include "fuzz.h"

#include "egress/gate.h"

#include <strings.h>

/*
 * A conversation: the input says who speaks next, how much, and what. First byte: the port. Then pieces: a byte whose
 * highest bit says who (set: the server), the rest how many bytes follow.
 *
 * Whatever is said, what a gate lets through is read again from its beginning, as a server behind it would, and names
 * nothing but the name; and no more passes than was given.
 */
#define NAME "a.example"

enum { MOST = 4096 };

struct talk {
	struct gate gate;
	uint8_t said[MOST], passed[MOST]; /* by the client; let through */
	size_t said_length, passed_length;
	size_t opened_at; /* how much had passed when it opened; SIZE_MAX: it has not */
	bool retried;
	bool heard_first;   /* a byte of the server's before one of the client's had passed */
	size_t first_hello; /* its length */
};

static void check_hello(const uint8_t *bytes, size_t length, bool second, size_t *ret_length)
{
	struct hello hello;

	REQUIRE(hello_read(bytes, length, second, &hello) == HELLO_DONE);
	REQUIRE(strcmp(hello.name, NAME) == 0);
	*ret_length = hello.length;
}

/* ---- a lenient server, which reads what passed ---- */

struct head {
	unsigned hosts;
	bool chunked;
	uint64_t length;
};

static void read_header(const char *line, size_t length, struct head *head)
{
	const char *colon = memchr(line, ':', length);
	size_t name = colon == NULL ? length : (size_t)(colon - line);
	const char *value = colon == NULL ? line + length : colon + 1;

	while (name > 0 && (line[name - 1] == ' ' || line[name - 1] == '\t'))
		name--;
	while (value < line + length && (*value == ' ' || *value == '\t'))
		value++;
	if (name == 4 && strncasecmp(line, "host", 4) == 0) {
		const size_t rest = (size_t)(line + length - value);

		head->hosts++;
		REQUIRE(rest >= strlen(NAME) && strncasecmp(value, NAME, strlen(NAME)) == 0);
		REQUIRE(rest == strlen(NAME) || strchr(".: \t", value[strlen(NAME)]) != NULL);
	} else if (name == 17 && strncasecmp(line, "transfer-encoding", 17) == 0) {
		head->chunked = true;
	} else if (name == 14 && strncasecmp(line, "content-length", 14) == 0) {
		head->length = strtoull(value, NULL, 10);
	}
}

/* The bytes of a chunked body that are there. */
static size_t skip_chunks(const char *bytes, size_t length)
{
	size_t at = 0;

	for (;;) {
		const char *end = memmem(bytes + at, length - at, "\r\n", 2);
		uint64_t size;

		if (end == NULL)
			return length;
		size = strtoull(bytes + at, NULL, 16);
		at = (size_t)(end - bytes) + 2;
		if (size >= length - at || length - at - size < 2)
			return length;
		at += (size_t)size + 2;
		if (size == 0)
			return at;
	}
}

static void check_requests(const uint8_t *passed, size_t length)
{
	static char text[MOST + 1];
	size_t at = 0;

	memcpy(text, passed, length);
	text[length] = '\0';
	while (at < length) {
		const char *end = memmem(text + at, length - at, "\r\n\r\n", 4);
		struct head head = { 0 };

		REQUIRE(end != NULL); /* heads pass whole */
		for (const char *line = text + at, *next; line < end + 2; line = next + 2) {
			next = memmem(line, (size_t)(end + 2 - line), "\r\n", 2);
			if (line != text + at)
				read_header(line, (size_t)(next - line), &head);
		}
		REQUIRE(head.hosts == 1);
		at = (size_t)(end - text) + 4;
		if (head.chunked)
			at += skip_chunks(text + at, length - at);
		else
			at += head.length < length - at ? (size_t)head.length : length - at;
	}
}

/* What passed before the gate opened, once more. */
static void check(const struct talk *talk)
{
	const struct gate *gate = &talk->gate;
	size_t length = 0;

	REQUIRE(talk->passed_length <= talk->said_length);
	REQUIRE(memcmp(talk->passed, talk->said, talk->passed_length) == 0); /* in order, and nothing of its own */
	if (gate->kind == NULL) {
		REQUIRE(talk->passed_length == 0);
	} else if (strcmp(gate->kind, "tls") == 0) {
		if (talk->passed_length == 0)
			return;
		check_hello(talk->passed, talk->passed_length, false, &length);
		REQUIRE(length == talk->first_hello);
		if (talk->retried && talk->passed_length > length)
			check_hello(talk->passed + length, talk->passed_length - length, true, &length);
		else
			REQUIRE(talk->passed_length == length || talk->opened_at == length);
	} else if (strcmp(gate->kind, "http") == 0) {
		check_requests(talk->passed,
		               talk->opened_at < talk->passed_length ? talk->opened_at : talk->passed_length);
	} else {
		REQUIRE(false);
	}
	if (gate->raw_helps) {
		/* neither TLS nor a request, in anybody's eyes; or the server spoke first */
		struct hello hello;

		REQUIRE(gate->state == GATE_SHUT && talk->passed_length == 0);
		REQUIRE(gate->port != 443 && gate->port != 80);
		REQUIRE(talk->heard_first || (hello_read(talk->said, talk->said_length, false, &hello) == HELLO_OTHER &&
		                              http_look((const char *)talk->said, talk->said_length) == HTTP_LOOK_NO));
	}
	/* nothing is open that was not agreed on */
	REQUIRE(gate->state != GATE_OPEN || talk->passed_length > 0);
	REQUIRE(!talk->heard_first || gate->state == GATE_SHUT);
}

static void ask(struct talk *talk)
{
	for (size_t pass = 1; pass > 0;) {
		const size_t waiting = talk->said_length - talk->passed_length;
		/* a copy of exactly that length: reading beyond it is seen */
		char *copy = malloc(waiting > 0 ? waiting : 1);
		const enum gate_state before = talk->gate.state;

		memcpy(copy, talk->said + talk->passed_length, waiting);
		pass = waiting + 1;
		const bool open = gate_client(&talk->gate, copy, waiting, &pass);
		free(copy);
		REQUIRE(pass <= waiting);
		REQUIRE(open == (talk->gate.state != GATE_SHUT));
		REQUIRE(before != GATE_SHUT || (!open && pass == 0));
		if (before == GATE_HELLO || before == GATE_SNIFF)
			talk->first_hello = talk->gate.state == GATE_ANSWER ? pass : talk->first_hello;
		memcpy(talk->passed + talk->passed_length, talk->said + talk->passed_length, pass);
		talk->passed_length += pass;
		if (talk->gate.state == GATE_OPEN && talk->opened_at == SIZE_MAX)
			talk->opened_at = talk->passed_length;
		if (!open) {
			size_t length = 0;
			char *text = gate_refusal(&talk->gate, &length);

			REQUIRE(text != NULL && talk->gate.reason != REASON_NONE && talk->gate.code != AUDIT_OK);
			free(text);
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint16_t ports[] = { 443, 80, 8443 };
	static struct talk talk;

	if (size == 0 || size > MOST)
		return 0;
	talk = (struct talk){ .opened_at = SIZE_MAX };
	gate_begin(&talk.gate, NAME, ports[data[0] % 3]);
	for (size_t at = 1; at < size;) {
		const bool server = (data[at] & 0x80) != 0;
		const size_t wanted = data[at] & 0x7f, left = size - at - 1;
		const size_t count = wanted < left ? wanted : left;
		const uint8_t *bytes = data + at + 1;

		at += 1 + count;
		if (server) {
			/* as flow.c does: asked again when it says so */
			talk.heard_first = talk.heard_first || (count > 0 && talk.passed_length == 0);
			const bool stirred = gate_server(&talk.gate, (const char *)bytes, count);

			talk.retried = talk.retried || talk.gate.state == GATE_SECOND;
			if (stirred && talk.gate.state == GATE_OPEN && talk.opened_at == SIZE_MAX)
				talk.opened_at = talk.passed_length;
			if (stirred)
				ask(&talk);
		} else {
			memcpy(talk.said + talk.said_length, bytes, count);
			talk.said_length += count;
			ask(&talk);
		}
		check(&talk);
	}
	if (talk.gate.state != GATE_SHUT) {
		gate_give_up(&talk.gate);
		ask(&talk);
		check(&talk);
	}
	return 0;
}
