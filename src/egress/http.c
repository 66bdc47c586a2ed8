#include "egress/http.h"

#include "base/fault.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"

#include <string.h>
#include <strings.h>

enum { METHOD_MAX = 20, CHUNK_LINE_MAX = 18 };

void http_begin(struct http *http, const char *host, uint16_t port)
{
	*http = (struct http){ .phase = HTTP_HEAD, .host = host, .port = port };
}

bool http_is_token_byte(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

/* ---- one head ---- */

struct head {
	bool host, length, chunked, upgrade;
	uint64_t content_length;
};

struct text {
	const char *p;
	size_t n;
};

static bool is(struct text text, const char *word)
{
	return text.n == strlen(word) && strncasecmp(text.p, word, text.n) == 0;
}

/* host or host:port, as in Host and in an absolute target. */
static bool agrees(const struct http *http, struct text authority)
{
	const char *colon = authority.n == 0 ? NULL : memchr(authority.p, ':', authority.n);
	const size_t host_length = colon == NULL ? authority.n : (size_t)(colon - authority.p);
	char name[RULES_NAME_BYTES], port[6] = "";
	uint64_t number;

	if (!rules_canonical_name(authority.p, host_length, name) || strcmp(name, http->host) != 0)
		return false;
	if (colon == NULL)
		return true;
	const size_t port_length = authority.n - host_length - 1;

	if (port_length == 0 || port_length >= sizeof(port))
		return false;
	memcpy(port, colon + 1, port_length);
	return str_to_u64(port, 65535, &number) && number == http->port;
}

static enum reason read_target(const struct http *http, struct text method, struct text target)
{
	static const char scheme[] = "http://";

	for (size_t i = 0; i < target.n; i++) {
		const unsigned char c = (unsigned char)target.p[i];

		if (c <= ' ' || c >= 0x7f)
			return REASON_TARGET_BYTES;
	}
	if (target.n > 0 && target.p[0] == '/')
		return REASON_NONE;
	if (target.n == 1 && target.p[0] == '*')
		return is(method, "OPTIONS") ? REASON_NONE : REASON_TARGET_BAD;
	if (target.n < sizeof(scheme) - 1 || strncasecmp(target.p, scheme, sizeof(scheme) - 1) != 0)
		return REASON_TARGET_BAD;
	const struct text rest = { target.p + sizeof(scheme) - 1, target.n - (sizeof(scheme) - 1) };
	size_t end = 0;

	while (end < rest.n && strchr("/?#", rest.p[end]) == NULL)
		end++;
	return agrees(http, (struct text){ rest.p, end }) ? REASON_NONE : REASON_TARGET_OTHER;
}

static enum reason read_request_line(const struct http *http, struct text line)
{
	static const char version[] = " HTTP/1.1";
	size_t method = 0;

	while (method < line.n &&
	       ((line.p[method] >= 'A' && line.p[method] <= 'Z') || (line.p[method] == '-' && method > 0)))
		method++;
	if (method == 0 || method > METHOD_MAX || method == line.n || line.p[method] != ' ')
		return REASON_METHOD_BAD;
	if (line.n < method + sizeof(version) ||
	    memcmp(line.p + line.n - (sizeof(version) - 1), version, sizeof(version) - 1) != 0)
		return REASON_HTTP_VERSION;
	if (is((struct text){ line.p, method }, "CONNECT"))
		return REASON_CONNECT_INSIDE;
	return read_target(http, (struct text){ line.p, method },
	                   (struct text){ line.p + method + 1, line.n - method - sizeof(version) });
}

static enum reason read_length(struct text value, struct head *head)
{
	char digits[20] = "";

	if (head->length || head->chunked)
		return REASON_LENGTH_TWICE;
	head->length = true;
	if (value.n == 0 || value.n > 15)
		return REASON_LENGTH_BAD;
	memcpy(digits, value.p, value.n);
	if (strspn(digits, "0123456789") != value.n)
		return REASON_LENGTH_BAD;
	for (size_t i = 0; i < value.n; i++)
		head->content_length = head->content_length * 10 + (uint64_t)(digits[i] - '0');
	return REASON_NONE;
}

static enum reason read_known(const struct http *http, struct text name, struct text value, struct head *head)
{
	if (is(name, "Host")) {
		if (head->host)
			return WITHOUT("two-hosts") ? REASON_NONE : REASON_HOST_TWICE;
		head->host = true;
		return WITHOUT("host-in-http") || agrees(http, value) ? REASON_NONE : REASON_HOST_OTHER;
	}
	if (is(name, "Content-Length"))
		return read_length(value, head);
	if (is(name, "Transfer-Encoding")) {
		if (head->length || head->chunked)
			return REASON_LENGTH_TWICE;
		head->chunked = true;
		return is(value, "chunked") ? REASON_NONE : REASON_ENCODING;
	}
	if (is(name, "Upgrade")) {
		if (head->upgrade || http->requests > 0)
			return REASON_UPGRADE_LATE;
		head->upgrade = true;
		return is(value, "websocket") ? REASON_NONE : REASON_UPGRADE_OTHER;
	}
	/* Others make servers behind servers disagree on whether the body is there. */
	if (is(name, "Expect"))
		return is(value, "100-continue") ? REASON_NONE : REASON_EXPECT;
	if (is(name, "HTTP2-Settings"))
		return REASON_HTTP2;
	return REASON_NONE;
}

static enum reason read_header(const struct http *http, struct text line, struct head *head)
{
	size_t colon = 0;

	while (colon < line.n && http_is_token_byte(line.p[colon]))
		colon++;
	if (colon == 0 || colon == line.n || line.p[colon] != ':')
		return REASON_HEADER_BAD;
	struct text value = { line.p + colon + 1, line.n - colon - 1 };

	for (size_t i = 0; i < value.n; i++)
		if (((unsigned char)value.p[i] < ' ' && value.p[i] != '\t') || value.p[i] == 0x7f)
			return REASON_HEADER_BYTES;
	while (value.n > 0 && (value.p[0] == ' ' || value.p[0] == '\t')) {
		value.p++;
		value.n--;
	}
	while (value.n > 0 && (value.p[value.n - 1] == ' ' || value.p[value.n - 1] == '\t'))
		value.n--;
	return read_known(http, (struct text){ line.p, colon }, value, head);
}

/* After the head: how its body is measured. */
static enum reason begin_body(struct http *http, const struct head *head)
{
	if (!head->host)
		return REASON_HOST_MISSING;
	http->requests++;
	if (head->upgrade) {
		if (head->chunked || head->content_length > 0)
			return REASON_UPGRADE_BODY;
		http->phase = HTTP_HELD;
	} else if (head->chunked) {
		http->phase = HTTP_CHUNK_SIZE;
	} else if (head->content_length > 0) {
		http->phase = HTTP_BODY;
		http->left = head->content_length;
	}
	return REASON_NONE;
}

/*
 * One line that ends in CRLF. False: it is not there yet, or never will be (`ret_reason`): a bare CR or LF, more bytes
 * than `most` without an end.
 */
static bool take_line(const char *bytes, size_t length, size_t most, struct text *ret_line, enum reason *ret_reason)
{
	for (size_t i = 0; i < length; i++) {
		if (i == most) {
			*ret_reason = REASON_LINE_TOO_LONG;
			return false;
		}
		if (bytes[i] == '\n' || (bytes[i] == '\r' && i + 1 < length && bytes[i + 1] != '\n')) {
			*ret_reason = REASON_LINE_END;
			return false;
		}
		if (bytes[i] == '\r' && i + 1 < length) {
			*ret_line = (struct text){ bytes, i };
			return true;
		}
	}
	return false;
}

static bool feed_head(struct http *http, const char *bytes, size_t length, size_t *ret_pass, enum reason *ret_reason)
{
	struct head head = { 0 };
	size_t at = 0;
	struct text line;

	while (take_line(bytes + at, length - at, LIMIT_EGRESS_HEAD_BYTES - at, &line, ret_reason)) {
		const bool first = at == 0;

		at += line.n + 2;
		if (line.n == 0 && !first) {
			*ret_reason = begin_body(http, &head);
			*ret_pass = *ret_reason == REASON_NONE ? at : 0;
			return *ret_reason == REASON_NONE;
		}
		*ret_reason = first ? read_request_line(http, line) : read_header(http, line, &head);
		if (*ret_reason != REASON_NONE)
			return false;
		if (at > LIMIT_EGRESS_HEAD_BYTES - 2)
			*ret_reason = REASON_LINE_TOO_LONG;
		if (*ret_reason != REASON_NONE)
			return false;
	}
	return *ret_reason == REASON_NONE;
}

/* ---- chunks ---- */

static bool feed_chunk_size(struct http *http, const char *bytes, size_t length, size_t *ret_pass,
                            enum reason *ret_reason)
{
	struct text line;
	uint64_t size = 0;

	if (!take_line(bytes, length, CHUNK_LINE_MAX, &line, ret_reason))
		return *ret_reason == REASON_NONE;
	if (line.n == 0 || line.n > 15)
		*ret_reason = REASON_CHUNK_NO_SIZE;
	for (size_t i = 0; i < line.n && *ret_reason == REASON_NONE; i++) {
		if (str_hex_digit(line.p[i]) < 0)
			*ret_reason = REASON_CHUNK_SIZE_BAD;
		size = size * 16 + (uint64_t)(str_hex_digit(line.p[i]) & 15);
	}
	if (*ret_reason != REASON_NONE)
		return false;
	http->left = size;
	http->phase = size == 0 ? HTTP_LAST : HTTP_CHUNK;
	*ret_pass = line.n + 2;
	return true;
}

/* The CRLF that has to follow a chunk, or the last one's size. */
static bool feed_empty_line(struct http *http, const char *bytes, size_t length, size_t *ret_pass,
                            enum reason *ret_reason)
{
	if (length >= 1 && bytes[0] != '\r')
		*ret_reason = http->phase == HTTP_LAST ? REASON_TRAILERS : REASON_CHUNK_TOO_LONG;
	else if (length >= 2 && bytes[1] != '\n')
		*ret_reason = REASON_LINE_END;
	if (*ret_reason != REASON_NONE)
		return false;
	if (length >= 2) {
		http->phase = http->phase == HTTP_LAST ? HTTP_HEAD : HTTP_CHUNK_SIZE;
		*ret_pass = 2;
	}
	return true;
}

static bool step(struct http *http, const char *bytes, size_t length, size_t *ret_pass, enum reason *ret_reason)
{
	switch (http->phase) {
	case HTTP_HEAD:
		return feed_head(http, bytes, length, ret_pass, ret_reason);
	case HTTP_BODY:
	case HTTP_CHUNK:
		*ret_pass = length < http->left ? length : (size_t)http->left;
		http->left -= *ret_pass;
		if (http->left == 0)
			http->phase = http->phase == HTTP_BODY ? HTTP_HEAD : HTTP_CHUNK_END;
		return true;
	case HTTP_CHUNK_SIZE:
		return feed_chunk_size(http, bytes, length, ret_pass, ret_reason);
	case HTTP_CHUNK_END:
	case HTTP_LAST:
		return feed_empty_line(http, bytes, length, ret_pass, ret_reason);
	case HTTP_HELD:
		*ret_pass = 0;
		return true;
	case HTTP_OPAQUE:
		*ret_pass = length;
		return true;
	}
	return false;
}

bool http_feed(struct http *http, const char *bytes, size_t length, size_t *ret_pass, enum reason *ret_reason)
{
	size_t passed = 0;

	for (;;) {
		enum reason reason = REASON_NONE;
		size_t pass = 0;

		if (passed == length)
			break;
		if (!step(http, bytes + passed, length - passed, &pass, &reason)) {
			*ret_pass = passed;
			*ret_reason = reason;
			return false;
		}
		if (pass == 0)
			break;
		passed += pass;
	}
	*ret_pass = passed;
	return true;
}

bool http_answered(struct http *http, const char *bytes, size_t length)
{
	static const char switching[] = "HTTP/1.1 101 ";
	const size_t count = length < sizeof(switching) - 1 ? length : sizeof(switching) - 1;
	const bool same = memcmp(bytes, switching, count) == 0;

	if (http->phase != HTTP_HELD)
		return true;
	if (same && count < sizeof(switching) - 1)
		return false;
	http->phase = same ? HTTP_OPAQUE : HTTP_HEAD;
	return true;
}

/* ---- whether it is HTTP at all ---- */

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\v' || c == '\f' || c == '\r';
}

static bool holds(struct text text, const char *word)
{
	const size_t n = strlen(word);

	for (size_t i = 0; i + n <= text.n; i++)
		if (strncasecmp(text.p + i, word, n) == 0)
			return true;
	return false;
}

/* The next word, and what is behind it. */
static struct text take_word(struct text *rest)
{
	struct text word;

	while (rest->n > 0 && is_blank(rest->p[0])) {
		rest->p++;
		rest->n--;
	}
	word = (struct text){ rest->p, 0 };
	while (rest->n > 0 && !is_blank(rest->p[0])) {
		word.n++;
		rest->p++;
		rest->n--;
	}
	return word;
}

/* RTSP/1.0, SIP/2.0, ICAP/1.0 */
static bool is_other_version(struct text word)
{
	const char *slash = word.n == 0 ? NULL : memchr(word.p, '/', word.n);
	size_t letters = 0;

	while (letters < word.n && word.p[letters] >= 'A' && word.p[letters] <= 'Z')
		letters++;
	return slash != NULL && letters > 0 && slash == word.p + letters && letters + 1 < word.n && slash[1] >= '0' &&
	       slash[1] <= '9' && !holds(word, "HTTP/");
}

/* `whole`: with its end, not cut off by a byte that is no text. */
static bool is_request(struct text line, bool whole)
{
	struct text rest = line;
	const struct text method = take_word(&rest), target = take_word(&rest), version = take_word(&rest);
	bool upper = method.n > 0;

	if (holds(line, "HTTP/"))
		return true;
	for (size_t i = 0; i < method.n; i++) {
		if (!http_is_token_byte(method.p[i]))
			return false;
		upper = upper && !(method.p[i] >= 'a' && method.p[i] <= 'z');
	}
	/* HTTP/0.9 and its like: no version. What it asks for can be told from another protocol's argument; where it
	 * cannot ("get /key" of memcached), no server of HTTP/0.9 takes lower case. */
	if (target.n == 0 || (!upper && whole) || is_other_version(version))
		return false;
	/* NATS begins like a request to a proxy, but with a brace, which is in no host. */
	if (is(method, "CONNECT"))
		return target.p[0] != '{';
	return target.p[0] == '/' || holds(target, "://") || (target.n == 1 && target.p[0] == '*');
}

enum http_look http_look(const char *bytes, size_t length)
{
	size_t at = 0, end;

	while (at < length && (is_blank(bytes[at]) || bytes[at] == '\n'))
		at++;
	if (at >= METHOD_MAX)
		return HTTP_LOOK_YES; /* to be refused */
	if (at == length)
		return HTTP_LOOK_MORE;
	if (!http_is_token_byte(bytes[at]))
		return HTTP_LOOK_NO;
	for (end = at; end < length && bytes[end] != '\n'; end++)
		if (((unsigned char)bytes[end] < ' ' && !is_blank(bytes[end])) || bytes[end] == 0x7f)
			break; /* no line of text */
	if (end == length && length < LIMIT_EGRESS_HEAD_BYTES)
		return HTTP_LOOK_MORE;
	return is_request((struct text){ bytes + at, end - at }, end < length && bytes[end] == '\n') ? HTTP_LOOK_YES
	                                                                                             : HTTP_LOOK_NO;
}

char *http_refusal(enum reason reason)
{
	mem_cleanup char *text = str_printf("npxc: %s\n", reason_text(reason));

	return str_printf("HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n"
	                  "Connection: close\r\n\r\n%s",
	                  strlen(text), text);
}
