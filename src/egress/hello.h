#ifndef NPXC_EGRESS_HELLO_H
#define NPXC_EGRESS_HELLO_H

#include "config/rules.h"
#include "egress/reason.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * What a TLS client says in the clear: the name that it wants (SNI). Pure. Sources: RFC 8446 (TLS 1.3), 6066 (SNI),
 * 9849 (ECH).
 *
 * A ClientHello may be split over records and over writes, and a server may answer it with a HelloRetryRequest, after
 * which the client sends a second one. Both have to name the host that the flow was allowed for; a server takes the
 * name of the second.
 */

enum hello_state {
	HELLO_MORE,  /* so far it may become one; it needs more bytes */
	HELLO_DONE,  /* whole */
	HELLO_OTHER, /* not TLS, in no form: the first bytes are no record, and no ClientHello of SSL 2 */
	HELLO_BAD,   /* TLS that is not let through; `reason` says what is wrong */
};

struct hello {
	size_t length;               /* bytes of the records that hold it: these may be forwarded, no more */
	char name[RULES_NAME_BYTES]; /* canonical; "" when it has no SNI */
	char alpn[64];               /* the protocols offered, with commas between, printable; cut */
	enum reason reason;          /* HELLO_BAD only */
};

/*
 * The first bytes of a client. `second`: those after a HelloRetryRequest, where one change_cipher_spec record may come
 * first. Fills `ret_hello` when DONE or BAD.
 *
 * Should: take the hello in any number of records; want at most one SNI with exactly one name, which is a host name.
 * Mustn't: take bytes of the handshake after the hello in its last record; an encrypted hello (ECH, ESNI: the name that
 * counts cannot be seen); the same extension twice; a hello of more than LIMIT_EGRESS_HELLO_BYTES; a hello in the form
 * of SSL 2 (RFC 5246, appendix E.2), which has no name and which servers of TLS 1.2 still answer; records before the
 * hello.
 */
enum hello_state hello_read(const uint8_t *bytes, size_t length, bool second, struct hello *ret_hello);

enum hello_answer {
	HELLO_ANSWER_MORE,
	HELLO_ANSWER_RETRY, /* a HelloRetryRequest */
	HELLO_ANSWER_TLS,   /* an ordinary ServerHello, another message of the handshake, an alert that ends it */
	HELLO_ANSWER_OTHER, /* no TLS */
};
/* The server's first bytes. */
enum hello_answer hello_read_answer(const uint8_t *bytes, size_t length);

/* bytes, enough for every answer of hello_read_answer but MORE, when no record is shorter than one byte. */
enum { HELLO_ANSWER_BYTES = 256 };

/* A fatal alert, access_denied: what a client gets instead of a connection. */
extern const uint8_t hello_denied[7];

#endif
