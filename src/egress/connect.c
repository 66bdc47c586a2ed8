#include "egress/connect.h"

#include "base/limits.h"
#include "base/str.h"

#include <string.h>
#include <strings.h>

enum { STATUS_BAD = 400, STATUS_TOO_LARGE = 431, PORT_MAX = 65535 };

static enum connect_state refuse(unsigned status, const char *why, struct connect_request *ret_request)
{
	*ret_request = (struct connect_request){ .status = status, .why = why };
	return CONNECT_BAD;
}

/* Where the head ends, 0 while it has not. `ret_why` is set as soon as a byte cannot stand in one. */
static size_t find_end(const char *bytes, size_t length, const char **ret_why)
{
	for (size_t i = 0; i < length; i++) {
		const unsigned char c = (unsigned char)bytes[i];
		const bool after_cr = i > 0 && bytes[i - 1] == '\r';

		if ((c == '\n') != after_cr) {
			*ret_why = "a line that does not end in CR LF";
			return 0;
		}
		if (c != '\r' && c != '\n' && (c < ' ' || c >= 0x7f)) {
			*ret_why = "bytes other than printable ASCII";
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

static const char *read_target(const char *target, size_t length, struct connect_request *request)
{
	const bool bracketed = length > 0 && target[0] == '[';
	const char *colon = bracketed ? memchr(target, ']', length) : memchr(target, ':', length);
	const char *host = target + (bracketed ? 1 : 0);
	size_t host_length;

	if (colon == NULL)
		return "no host:port after CONNECT";
	host_length = (size_t)(colon - host);
	colon += bracketed ? 1 : 0;
	if (colon == target + length || *colon != ':' ||
	    !read_port(colon + 1, length - (size_t)(colon + 1 - target), &request->port))
		return "no port from 1 to 65535 after the host";
	request->is_ip = ip_parse(host, host_length, &request->ip);
	if (request->is_ip) {
		if (request->ip.v6 != bracketed)
			return "brackets are for IPv6 addresses, and these need them";
		request->ip = ip_plain(&request->ip);
		return NULL;
	}
	if (bracketed || !rules_canonical_name(host, host_length, request->name))
		return "what stands before the port is neither a host name nor an address";
	return NULL;
}

static const char *read_first_line(const char *line, size_t length, struct connect_request *request)
{
	static const char method[] = "CONNECT ", version[] = " HTTP/1.1";
	const size_t fixed = sizeof(method) - 1 + sizeof(version) - 1;

	if (length < fixed || memcmp(line, method, sizeof(method) - 1) != 0)
		return "only CONNECT is spoken here";
	if (memcmp(line + length - (sizeof(version) - 1), version, sizeof(version) - 1) != 0)
		return "only HTTP/1.1 is spoken here";
	return read_target(line + sizeof(method) - 1, length - fixed, request);
}

static bool is_token_byte(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static const char *read_header(const char *line, size_t length, struct connect_request *request)
{
	static const char name[] = "proxy-authorization", scheme[] = "basic ";
	size_t colon = 0;

	while (colon < length && is_token_byte(line[colon]))
		colon++;
	if (colon == 0 || colon == length || line[colon] != ':')
		return "a header that is none";
	if (colon != sizeof(name) - 1 || strncasecmp(line, name, colon) != 0)
		return NULL;
	if (request->credentials != NULL)
		return "two Proxy-Authorization headers";
	line += colon + 1;
	length -= colon + 1;
	while (length > 0 && line[0] == ' ') {
		line++;
		length--;
	}
	if (length < sizeof(scheme) - 1 || strncasecmp(line, scheme, sizeof(scheme) - 1) != 0)
		return "a Proxy-Authorization that is not Basic";
	request->credentials = line + sizeof(scheme) - 1;
	request->credentials_length = length - (sizeof(scheme) - 1);
	return NULL;
}

enum connect_state connect_read(const char *bytes, size_t length, struct connect_request *ret_request)
{
	struct connect_request request = { 0 };
	const bool too_long = length > LIMIT_EGRESS_CONNECT_BYTES;
	const char *why = NULL;
	const size_t end = find_end(bytes, too_long ? LIMIT_EGRESS_CONNECT_BYTES : length, &why);

	if (why != NULL)
		return refuse(STATUS_BAD, why, ret_request);
	if (end == 0 && length >= LIMIT_EGRESS_CONNECT_BYTES)
		return refuse(STATUS_TOO_LARGE, "a head of more than 2048 bytes", ret_request);
	if (end == 0)
		return CONNECT_MORE;
	for (size_t at = 0; at < end - 2 && why == NULL;) {
		const char *line = bytes + at;
		const size_t line_length = (size_t)((const char *)memchr(line, '\r', end - at) - line);

		why = at == 0 ? read_first_line(line, line_length, &request) : read_header(line, line_length, &request);
		at += line_length + 2;
	}
	if (why != NULL)
		return refuse(STATUS_BAD, why, ret_request);
	request.length = end;
	*ret_request = request;
	return CONNECT_DONE;
}
