#include "egress/connect.h"

#include "base/fault.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"
#include "egress/http.h"

#include <string.h>
#include <strings.h>

enum { STATUS_BAD = 400, STATUS_TOO_LARGE = 431, PORT_MAX = 65535 };

static enum connect_state refuse(unsigned status, enum reason reason, struct connect_request *ret_request)
{
	*ret_request = (struct connect_request){ .status = status, .reason = reason };
	return CONNECT_BAD;
}

/* Where the head ends, 0 while it has not. `ret_reason` is set as soon as a byte cannot stand in one. */
static size_t find_end(const char *bytes, size_t length, enum reason *ret_reason)
{
	for (size_t i = 0; i < length; i++) {
		const unsigned char c = (unsigned char)bytes[i];
		const bool after_cr = i > 0 && bytes[i - 1] == '\r';

		if ((c == '\n') != after_cr) {
			*ret_reason = REASON_LINE_END;
			return 0;
		}
		if (c != '\r' && c != '\n' && (c < ' ' || c >= 0x7f)) {
			*ret_reason = REASON_CONNECT_BYTES;
			return 0;
		}
		if (c == '\n' && i >= 3 && bytes[i - 2] == '\n')
			return i + 1;
	}
	return 0;
}

static bool read_port(const char *text, size_t length, uint16_t *ret_port)
{
	char digits[6] = "";
	uint64_t port;

	if (length == 0 || length >= sizeof(digits))
		return false;
	memcpy(digits, text, length);
	if (!str_to_u64(digits, PORT_MAX, &port) || port == 0)
		return false;
	*ret_port = (uint16_t)port;
	return true;
}

static enum reason read_target(const char *target, size_t length, struct connect_request *request)
{
	const bool bracketed = length > 0 && target[0] == '[';
	const char *colon = bracketed ? memchr(target, ']', length) : memchr(target, ':', length);
	const char *host = target + (bracketed ? 1 : 0);
	size_t host_length;

	if (colon == NULL)
		return REASON_CONNECT_NO_TARGET;
	host_length = (size_t)(colon - host);
	colon += bracketed ? 1 : 0;
	if (colon == target + length || *colon != ':' ||
	    !read_port(colon + 1, length - (size_t)(colon + 1 - target), &request->port))
		return REASON_CONNECT_PORT;
	request->is_ip = ip_parse(host, host_length, &request->ip);
	if (request->is_ip) {
		if (request->ip.v6 != bracketed)
			return REASON_CONNECT_BRACKETS;
		request->ip = ip_plain(&request->ip);
		return REASON_NONE;
	}
	if (bracketed || !rules_canonical_name(host, host_length, request->name))
		return REASON_CONNECT_HOST;
	return REASON_NONE;
}

static enum reason read_first_line(const char *line, size_t length, struct connect_request *request)
{
	static const char method[] = "CONNECT ", version[] = " HTTP/1.1";
	const size_t fixed = sizeof(method) - 1 + sizeof(version) - 1;

	if (length < fixed || memcmp(line, method, sizeof(method) - 1) != 0)
		return REASON_CONNECT_METHOD;
	if (memcmp(line + length - (sizeof(version) - 1), version, sizeof(version) - 1) != 0)
		return REASON_CONNECT_VERSION;
	return read_target(line + sizeof(method) - 1, length - fixed, request);
}

static enum reason read_header(const char *line, size_t length, struct connect_request *request)
{
	static const char name[] = "proxy-authorization", scheme[] = "basic ";
	size_t colon = 0;

	while (colon < length && http_is_token_byte(line[colon]))
		colon++;
	if (colon == 0 || colon == length || line[colon] != ':')
		return REASON_CONNECT_HEADER;
	if (colon != sizeof(name) - 1 || strncasecmp(line, name, colon) != 0)
		return REASON_NONE;
	if (request->credentials != NULL)
		return REASON_CONNECT_TWO_TOKENS;
	line += colon + 1;
	length -= colon + 1;
	while (length > 0 && line[0] == ' ') {
		line++;
		length--;
	}
	if (length < sizeof(scheme) - 1 || strncasecmp(line, scheme, sizeof(scheme) - 1) != 0)
		return REASON_CONNECT_NOT_BASIC;
	request->credentials = line + sizeof(scheme) - 1;
	request->credentials_length = length - (sizeof(scheme) - 1);
	return REASON_NONE;
}

enum connect_state connect_read(const char *bytes, size_t length, struct connect_request *ret_request)
{
	struct connect_request request = { 0 };
	const bool too_long = length > LIMIT_EGRESS_CONNECT_BYTES;
	enum reason reason = REASON_NONE;
	const size_t end = find_end(bytes, too_long ? LIMIT_EGRESS_CONNECT_BYTES : length, &reason);

	if (reason != REASON_NONE)
		return refuse(STATUS_BAD, reason, ret_request);
	if (end == 0 && length >= LIMIT_EGRESS_CONNECT_BYTES)
		return refuse(STATUS_TOO_LARGE, REASON_CONNECT_TOO_LONG, ret_request);
	if (end == 0)
		return CONNECT_MORE;
	for (size_t at = 0; at < end - 2 && reason == REASON_NONE;) {
		const char *line = bytes + at;
		const size_t line_length = (size_t)((const char *)memchr(line, '\r', end - at) - line);

		reason =
		    at == 0 ? read_first_line(line, line_length, &request) : read_header(line, line_length, &request);
		at += line_length + 2;
	}
	if (reason != REASON_NONE)
		return refuse(STATUS_BAD, reason, ret_request);
	request.length = end;
	*ret_request = request;
	return CONNECT_DONE;
}

bool connect_has_token(const struct connect_request *request, const char *token)
{
	const size_t length = strlen(token);
	unsigned differs = request->credentials_length != length;

	for (size_t i = 0; i < length && i < request->credentials_length; i++)
		differs |= (unsigned char)request->credentials[i] ^ (unsigned char)token[i];
	return WITHOUT("token") || (request->credentials != NULL && differs == 0);
}

/* ---- answers ---- */

static unsigned status_of(enum audit_code code)
{
	switch (code) {
	case AUDIT_EACCES:
	case AUDIT_ESNI:
	case AUDIT_EHOST:
		return 403;
	case AUDIT_EPROTO:
		return STATUS_BAD;
	case AUDIT_ETIMEDOUT:
		return 504;
	case AUDIT_EMFILE:
		return 503;
	case AUDIT_OK:
	case AUDIT_ENOTFOUND:
	case AUDIT_ECONNREFUSED:
	case AUDIT_EIO:
		break;
	}
	return 502;
}

char *connect_refusal(unsigned status, enum audit_code code, enum reason reason, const char *name, const struct ip *ip,
                      uint16_t port)
{
	const unsigned number = status != 0 ? status : status_of(code);
	char address[IP_TEXT_BYTES];
	mem_cleanup char *target = NULL, *text = NULL;

	ip_text(ip, address);
	target = rules_propose(name != NULL ? name : address, port);
	text = port == 0 ? str_dup(reason_text(reason)) : reason_about(reason, target);
	return str_printf("HTTP/1.1 %u npxc\r\nNpxc-Error: %s\r\n%sContent-Type: text/plain\r\nContent-Length: %zu\r\n"
	                  "Connection: close\r\n\r\n%s\n",
	                  number, audit_code_word(code),
	                  number == CONNECT_NEEDS_TOKEN ? "Proxy-Authenticate: Basic realm=\"npxc\"\r\n" : "",
	                  strlen(text), text);
}
