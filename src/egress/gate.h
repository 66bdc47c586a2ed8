#ifndef NPXC_EGRESS_GATE_H
#define NPXC_EGRESS_GATE_H

#include "config/rules.h"
#include "egress/audit.h"
#include "egress/hello.h"
#include "egress/http.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * What a client says on a flow that was allowed for a name has to agree with that name. Pure: bytes in, how many of
 * them may be forwarded out. The server's bytes are forwarded at once and only looked at.
 *
 *     port 443      TLS and nothing else
 *     port 80       HTTP and nothing else
 *     other ports   what it is: TLS and HTTP are held to the name, other protocols pass unseen
 *
 *     SNIFF -> HELLO -> ANSWER (-> SECOND) -> OPEN
 *           -> HTTP (-> OPEN, after an upgrade)
 *           -> OPEN
 *     and SHUT from each of them
 */
enum gate_state {
	GATE_SNIFF,
	GATE_HELLO,  /* a ClientHello is coming */
	GATE_ANSWER, /* it was forwarded; nothing more before the server has answered it */
	GATE_SECOND, /* the server wants another one (HelloRetryRequest) */
	GATE_HTTP,
	GATE_OPEN,
	GATE_SHUT,
};

struct gate {
	enum gate_state state;
	char name[RULES_NAME_BYTES];
	uint16_t port;
	struct http http;
	uint8_t answer[HELLO_ANSWER_BYTES]; /* the server's first bytes, while they matter */
	size_t answer_length;
	/* for the audit log */
	char sni[RULES_NAME_BYTES], alpn[64];
	const char *kind; /* static: "tls", "http", "opaque"; NULL before it is known */
	/* SHUT */
	enum audit_code code;
	const char *why; /* static */
};

/* For a flow that a rule for a name allowed; `name` canonical. */
void gate_begin(struct gate *gate, const char *name, uint16_t port);

/*
 * The client's bytes that have not been forwarded yet, oldest first; `*ret_pass` of them may be. What was not let
 * through is given again, with more behind it or when the state has changed. False: SHUT.
 *
 * Should: let nothing of a head through that is not whole and checked.
 * Mustn't: let a client change its mind: a name is checked on the second ClientHello and on each request too.
 */
bool gate_client(struct gate *gate, const char *bytes, size_t length, size_t *ret_pass) NPXC_MUST_CHECK;

/* The server's bytes, in their order. True when the state has changed: the client's held bytes should be given again.
 */
bool gate_server(struct gate *gate, const char *bytes, size_t length);

/* Time is over and the head is not there. */
void gate_give_up(struct gate *gate);

/* What a client reads whose gate is shut: a TLS alert or an HTTP answer; owned, never NULL, may be of length 0. */
char *gate_refusal(const struct gate *gate, size_t *ret_length);

#endif
