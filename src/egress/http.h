#ifndef NPXC_EGRESS_HTTP_H
#define NPXC_EGRESS_HTTP_H

#include "base/error.h"
#include "config/rules.h"
#include "egress/reason.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The requests of an HTTP/1.1 client on one connection, parsed strictly enough that this reader and the server behind
 * it agree where each of them begins: then every Host can be held against the name that the flow was allowed for. Pure.
 * Source: RFC 9112, of which less is taken than it allows.
 */

enum http_phase {
	HTTP_HEAD,
	HTTP_BODY,
	HTTP_CHUNK_SIZE,
	HTTP_CHUNK,
	HTTP_CHUNK_END,
	HTTP_LAST,
	HTTP_HELD,
	HTTP_OPAQUE
};

struct http {
	enum http_phase phase;
	const char *host; /* borrowed, canonical */
	uint16_t port;
	uint64_t left;     /* of a body or chunk */
	uint64_t requests; /* heads that were let through */
};

/* Whether a method or the name of a header may have it. */
bool http_is_token_byte(char c);

void http_begin(struct http *http, const char *host, uint16_t port);

/*
 * Looks at what has come and not yet been forwarded; `ret_pass` bytes of it may be now. What was not let through has to
 * be given again, with more behind it. False: `ret_reason` says why the connection must end; the bytes let
 * through before that are in `ret_pass`.
 *
 * Should: want exactly one Host on each request, equal to the name; an absolute target that agrees with it; a length or
 * "chunked" and not both; CRLF line ends; methods of upper-case letters and '-'; HTTP/1.1; heads of at most
 * LIMIT_EGRESS_HEAD_BYTES.
 * Mustn't: pass a byte of a head that is not complete and checked; take folded lines, blanks before a colon, chunk
 * extensions, trailers, CONNECT, h2c; pass anything behind a request with Upgrade before the server has answered it.
 */
bool http_feed(struct http *http, const char *bytes, size_t length, size_t *ret_pass,
               enum reason *ret_reason) NPXC_MUST_CHECK;

/* In HTTP_HELD: the server's first bytes. True when they decide: 101 makes the rest opaque, anything else does not. */
bool http_answered(struct http *http, const char *bytes, size_t length);

enum http_look {
	HTTP_LOOK_MORE, /* the first line is not there yet; so far it could be one */
	HTTP_LOOK_YES,
	HTTP_LOOK_NO,
};
/*
 * Whether the first line of a client is a request, in the eyes of the most lenient server: blank lines and blanks
 * before it, any method, several blanks or tabs, lower case, any target, no version (HTTP/0.9).
 *
 * This tells which words a refusal has: nothing passes because of a NO. Should: answer NO to the first lines of other
 * protocols that look alike (memcached, beanstalkd, NATS, SMTP, FTP, RTSP).
 * Mustn't: answer NO to what a server reads as HTTP, because then the user would be told a rule under which it passes.
 */
enum http_look http_look(const char *bytes, size_t length);

/* What a refused client reads; `reason` is one of http_feed's. Owned. */
char *http_refusal(enum reason reason);

#endif
