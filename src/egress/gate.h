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
 * What a client says on a flow that was allowed for a name has to agree with that name, for as long as the flow lives.
 * Pure: bytes in, how many of them may be forwarded out.
 *
 *     port 443      TLS and nothing else
 *     port 80       HTTP and nothing else
 *     other ports   TLS or HTTP, whichever the first bytes are
 *
 *     SNIFF -> HELLO -> ANSWER (-> SECOND) -> OPEN
 *           -> HTTP (-> OPEN, after an upgrade)
 *     and SHUT from each of them
 *
 * What is neither is refused: a rule with "/raw" has no gate. So is a server that speaks before the client has been let
 * through, which no server of TLS or HTTP does: its first bytes, which could be the whole of an answer, do not reach
 * the guest. Until one of them speaks the flow is held without a limit in time (clients connect ahead of need), and no
 * byte goes either way.
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
	const char *kind; /* static: "tls", "http"; NULL before it is known, or when it is neither */
	/* SHUT */
	enum audit_code code;
	enum reason reason;
	bool raw_helps; /* it is neither TLS nor HTTP, so a rule with "/raw" is what the user would want */
};

/* For a flow that a rule for a name allowed; `name` canonical. */
void gate_begin(struct gate *gate, const char *name, uint16_t port);

/*
 * The client's bytes that have not been forwarded yet, oldest first; `*ret_pass` of them may be. What was not let
 * through is given again, with more behind it or when the state has changed. False: SHUT.
 *
 * Should: let nothing of a head through that is not whole and checked.
 * Mustn't: let a client change its mind: a name is checked on the second ClientHello and on each request too; pass what
 * is neither TLS nor HTTP, or TLS whose name is not in sight (the form of SSL 2).
 */
bool gate_client(struct gate *gate, const char *bytes, size_t length, size_t *ret_pass) NPXC_MUST_CHECK;

/*
 * The server's bytes, in their order, before they are forwarded. True when the state has changed: the client's held
 * bytes should be given again; when it is SHUT, these bytes are not forwarded.
 *
 * Mustn't: pass a byte of a server's that speaks before a head or ClientHello of the client's was let through, or that
 * answers a ClientHello in something other than TLS: nobody would hold to the name what follows.
 */
bool gate_server(struct gate *gate, const char *bytes, size_t length);

/* Whether bytes that were not let through wait for more of the client's, and not for the server. */
bool gate_wants_rest(const struct gate *gate);

/* Time is over and the head is not there. */
void gate_give_up(struct gate *gate);

/* What a client reads whose gate is shut: a TLS alert or an HTTP answer; owned, never NULL, may be of length 0. */
char *gate_refusal(const struct gate *gate, size_t *ret_length);

#endif
