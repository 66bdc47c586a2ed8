#ifndef NPXC_EGRESS_CONNECT_H
#define NPXC_EGRESS_CONNECT_H

#include "base/ip.h"
#include "config/rules.h"
#include "egress/audit.h"
#include "egress/reason.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The head with which a guest asks for a flow on links that have no addresses of their own:
 *
 *     CONNECT host:port HTTP/1.1 CRLF (name: value CRLF)* CRLF
 *
 * Pure.
 */

enum connect_state { CONNECT_MORE, CONNECT_DONE, CONNECT_BAD };

struct connect_request {
	size_t length; /* of the head, its empty line included */
	bool is_ip;
	struct ip ip;                /* is_ip; never a v4-mapped one */
	char name[RULES_NAME_BYTES]; /* else, canonical */
	uint16_t port;
	const char *credentials; /* borrowed from the bytes: what follows "Basic " in Proxy-Authorization; NULL: none */
	size_t credentials_length;
	enum reason reason; /* CONNECT_BAD only */
	unsigned status;    /* CONNECT_BAD only: 400 or 431 */
};

/*
 * Fills `ret_request` when DONE or BAD.
 *
 * Should: take nothing but printable ASCII in lines that end in CRLF; a decimal port without leading zeros; an IPv6
 * address only in brackets; at most LIMIT_EGRESS_CONNECT_BYTES.
 * Mustn't: take a host that some resolver reads as an address and this one does not (127.1, 0x7f000001); another
 * method; bare CR or LF; two Proxy-Authorization lines.
 */
enum connect_state connect_read(const char *bytes, size_t length, struct connect_request *ret_request);

/* Whether it brings these credentials, in time that does not depend on where they differ. */
bool connect_has_token(const struct connect_request *request, const char *token);

enum { CONNECT_NEEDS_TOKEN = 407 };
/*
 * The answer to a head that asks for what cannot be; owned. `status` 0: the one for `code`. `name` (NULL: `ip`) and
 * `port` are what it asked for; port 0: that is not known.
 */
char *connect_refusal(unsigned status, enum audit_code code, enum reason reason, const char *name, const struct ip *ip,
                      uint16_t port);

#endif
