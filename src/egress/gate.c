#include "egress/gate.h"

#include "base/fault.h"
#include "base/mem.h"
#include "base/str.h"

#include <string.h>

enum { PORT_HTTP = 80, PORT_HTTPS = 443 };

void gate_begin(struct gate *gate, const char *name, uint16_t port)
{
	*gate = (struct gate){ .state = GATE_SNIFF, .port = port };
	memcpy(gate->name, name, strlen(name) + 1);
	http_begin(&gate->http, gate->name, port);
}

static bool shut(struct gate *gate, enum audit_code code, enum reason reason)
{
	gate->state = GATE_SHUT;
	gate->code = code;
	gate->reason = reason;
	return false;
}

static bool read_hello(struct gate *gate, const char *bytes, size_t length, size_t *ret_pass)
{
	const bool second = gate->state == GATE_SECOND;
	struct hello hello;

	gate->kind = "tls";
	switch (hello_read((const uint8_t *)bytes, length, second, &hello)) {
	case HELLO_MORE:
		return true;
	case HELLO_OTHER:
		return shut(gate, AUDIT_EPROTO, REASON_NOT_TLS);
	case HELLO_BAD:
		return shut(gate, AUDIT_ESNI, hello.reason);
	case HELLO_DONE:
		break;
	}
	memcpy(gate->sni, hello.name, sizeof(gate->sni));
	memcpy(gate->alpn, hello.alpn, sizeof(gate->alpn));
	if (hello.name[0] == '\0') {
		if (!WITHOUT("no-name-in-tls"))
			return shut(gate, AUDIT_ESNI, REASON_NO_SNI);
	} else if (!WITHOUT("name-in-tls") && !str_equal(hello.name, gate->name)) {
		return shut(gate, AUDIT_ESNI, REASON_OTHER_SNI);
	}
	*ret_pass = hello.length;
	gate->state = second ? GATE_OPEN : GATE_ANSWER;
	return true;
}

static bool read_http(struct gate *gate, const char *bytes, size_t length, size_t *ret_pass)
{
	enum reason reason;

	gate->kind = "http";
	if (!http_feed(&gate->http, bytes, length, ret_pass, &reason))
		return shut(gate, AUDIT_EHOST, reason);
	if (gate->http.phase == HTTP_OPAQUE)
		gate->state = GATE_OPEN;
	return true;
}

static bool neither(struct gate *gate, enum reason reason)
{
	gate->kind = NULL;
	gate->raw_helps = gate->port != PORT_HTTP && gate->port != PORT_HTTPS;
	return shut(gate, AUDIT_EPROTO, reason);
}

/* False: SHUT. */
static bool sniff(struct gate *gate, const char *bytes, size_t length)
{
	struct hello hello;

	if (gate->port == PORT_HTTP) {
		gate->state = GATE_HTTP;
		return true;
	}
	if (!WITHOUT("kind-of-443") && gate->port == PORT_HTTPS) {
		gate->state = GATE_HELLO;
		return true;
	}
	switch (hello_read((const uint8_t *)bytes, length, false, &hello)) {
	case HELLO_MORE:
		return true;
	case HELLO_DONE:
	case HELLO_BAD:
		gate->state = GATE_HELLO;
		return true;
	case HELLO_OTHER:
		break;
	}
	switch (http_look(bytes, length)) {
	case HTTP_LOOK_MORE:
		return true;
	case HTTP_LOOK_YES:
		gate->state = WITHOUT("lenient-http") ? GATE_OPEN : GATE_HTTP;
		return true;
	case HTTP_LOOK_NO:
		break;
	}
	if (WITHOUT("neither") || WITHOUT("ssl-2")) {
		gate->state = GATE_OPEN;
		return true;
	}
	return neither(gate, REASON_NEITHER_PROTOCOL);
}

bool gate_client(struct gate *gate, const char *bytes, size_t length, size_t *ret_pass)
{
	*ret_pass = 0;
	if (length == 0)
		return gate->state != GATE_SHUT;
	if (gate->state == GATE_SNIFF && !sniff(gate, bytes, length))
		return false;
	switch (gate->state) {
	case GATE_SNIFF:
	case GATE_ANSWER:
		return true;
	case GATE_HELLO:
	case GATE_SECOND:
		return read_hello(gate, bytes, length, ret_pass);
	case GATE_HTTP:
		return read_http(gate, bytes, length, ret_pass);
	case GATE_OPEN:
		*ret_pass = length;
		return true;
	case GATE_SHUT:
		break;
	}
	return false;
}

static bool answered_tls(struct gate *gate)
{
	switch (hello_read_answer(gate->answer, gate->answer_length)) {
	case HELLO_ANSWER_MORE:
		if (gate->answer_length < sizeof(gate->answer))
			return false;
		/* It may be a HelloRetryRequest, after which another name could be asked for. */
		shut(gate, AUDIT_EPROTO, REASON_ANSWER_UNREADABLE);
		return true;
	case HELLO_ANSWER_RETRY:
		gate->state = WITHOUT("second-hello") ? GATE_OPEN : GATE_SECOND;
		return true;
	case HELLO_ANSWER_TLS:
		gate->state = GATE_OPEN;
		return true;
	case HELLO_ANSWER_OTHER:
		if (!WITHOUT("answer-in-tls"))
			break;
		gate->state = GATE_OPEN;
		return true;
	}
	shut(gate, AUDIT_EPROTO, REASON_ANSWER_NOT_TLS);
	return true;
}

static bool answered_http(struct gate *gate)
{
	if (!http_answered(&gate->http, (const char *)gate->answer, gate->answer_length))
		return false;
	if (gate->http.phase == HTTP_OPAQUE)
		gate->state = GATE_OPEN;
	return true;
}

/* Nothing of the client's has been let through, so what the server says is no answer. */
static bool spoke_first(struct gate *gate, const char *bytes, size_t length)
{
	static const char version[] = "HTTP/";
	const bool http = memcmp(bytes, version, length < sizeof(version) - 1 ? length : sizeof(version) - 1) == 0;

	/* "408 Request Timeout" to a connection that was opened ahead of need */
	if (http || gate->port == PORT_HTTP || gate->port == PORT_HTTPS)
		shut(gate, AUDIT_EPROTO, REASON_ANSWER_BEFORE_REQUEST);
	else
		neither(gate, REASON_SERVER_FIRST);
	return true;
}

bool gate_server(struct gate *gate, const char *bytes, size_t length)
{
	const bool tls = gate->state == GATE_ANSWER;
	const bool http = gate->state == GATE_HTTP && gate->http.phase == HTTP_HELD;
	size_t count = sizeof(gate->answer) - gate->answer_length;

	if (length > 0 && (gate->state == GATE_SNIFF || gate->state == GATE_HELLO ||
	                   (gate->state == GATE_HTTP && gate->http.requests == 0)))
		return !WITHOUT("banner") && spoke_first(gate, bytes, length);
	if (!tls && !http)
		return false;
	count = length < count ? length : count;
	memcpy(gate->answer + gate->answer_length, bytes, count);
	gate->answer_length += count;
	return tls ? answered_tls(gate) : answered_http(gate);
}

bool gate_wants_rest(const struct gate *gate)
{
	return gate->state != GATE_ANSWER && gate->state != GATE_OPEN && gate->http.phase != HTTP_HELD;
}

void gate_give_up(struct gate *gate)
{
	switch (gate->state) {
	case GATE_HELLO:
	case GATE_SECOND:
		shut(gate, AUDIT_ETIMEDOUT, REASON_HELLO_TIMEOUT);
		return;
	case GATE_HTTP:
		shut(gate, AUDIT_ETIMEDOUT, REASON_HEAD_TIMEOUT);
		return;
	case GATE_SNIFF:
	case GATE_ANSWER:
	case GATE_OPEN:
	case GATE_SHUT:
		break;
	}
	shut(gate, AUDIT_ETIMEDOUT, REASON_PROTOCOL_TIMEOUT);
}

char *gate_refusal(const struct gate *gate, size_t *ret_length)
{
	char *text;

	if (str_equal(gate->kind, "tls")) {
		*ret_length = sizeof(hello_denied);
		text = mem_alloc(sizeof(hello_denied));
		memcpy(text, hello_denied, sizeof(hello_denied));
		return text;
	}
	text = str_equal(gate->kind, "http") ? http_refusal(gate->reason) : str_dup("");
	*ret_length = strlen(text);
	return text;
}
