#include "egress/flow.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"
#include "egress/connect.h"
#include "egress/dial.h"
#include "egress/gate.h"
#include "egress/relay.h"
#include "egress/resolve.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum phase {
	FLOW_REQUEST, /* its CONNECT head is coming */
	FLOW_DIAL,    /* looked up, connecting */
	FLOW_RELAY,   /* connected */
	FLOW_LINGER,  /* refused in words: the guest still reads them */
	FLOW_DEAD,
};

/* How long a guest may take to read why it was refused. */
enum { LINGER_MS = 1000 };

struct flow {
	struct relay_end guest, outside; /* the first: a pointer to it is one to the flow */
	struct server *server;
	struct flow *before, *after; /* in the server's list; `after` alone among the dead */
	uint64_t number;
	enum phase phase;
	bool requested; /* came with a CONNECT head, so it is answered in words */
	char *name;     /* owned; NULL: asked for by address */
	struct ip ip;   /* asked for; then the one that was dialled */
	uint16_t port;
	const struct rule *rule;
	struct gate *gate; /* owned; NULL: nothing to agree with, or not any more */
	struct relay relay;
	uint64_t ticket; /* of the resolver */
	struct dial dial;
	int64_t began_ms, head_ms, dial_ms; /* deadlines; 0: none */
	enum audit_code code;               /* what became of it */
	enum audit_add add;                 /* denied: which rule would help */
	const char *why;
	char *sni, *alpn; /* owned; what the gate had seen */
	const char *kind;
};

static void advance(struct flow *flow);

/* ---- beginning and end ---- */

static void on_guest(struct loop_source *source, unsigned what)
{
	struct flow *flow = (struct flow *)(void *)source;

	relay_end_ready(&flow->guest, what);
	advance(flow);
}

static void on_outside(struct loop_source *source, unsigned what)
{
	struct relay_end *end = (struct relay_end *)(void *)source;
	struct flow *flow = end->owner;

	relay_end_ready(end, what);
	advance(flow);
}

/* Connected, and what it is has been agreed on. HTTP keeps its gate, for the requests to come. */
static bool is_settled(const struct flow *flow)
{
	return flow->phase == FLOW_RELAY &&
	       (flow->gate == NULL || (flow->gate->state == GATE_HTTP && flow->gate->http.requests > 0));
}

static void link_in(struct server *server, struct flow *flow)
{
	flow->before = server->flows_last;
	if (server->flows_last != NULL)
		server->flows_last->after = flow;
	else
		server->flows = flow;
	server->flows_last = flow;
	server->flow_count++;
}

static void link_out(struct server *server, struct flow *flow)
{
	if (flow->before != NULL)
		flow->before->after = flow->after;
	else
		server->flows = flow->after;
	if (flow->after != NULL)
		flow->after->before = flow->before;
	else
		server->flows_last = flow->before;
	server->flow_count--;
}

static void record(const struct flow *flow, enum audit_verdict verdict)
{
	char ip[IP_TEXT_BYTES];
	const struct gate *gate = flow->gate;
	/* Asked for by address, which may be 0.0.0.0, or what a name stands for. */
	const bool is_known = (flow->name == NULL && flow->port != 0) || flow->ip.v6 || flow->ip.bytes[0] != 0;

	ip_text(&flow->ip, ip);
	server_record(flow->server, &(struct audit_record){
	                                .flow = flow->number,
	                                .verdict = verdict,
	                                .code = flow->code,
	                                .host = flow->name,
	                                .port = flow->port,
	                                .ip = is_known ? ip : NULL,
	                                .rule = flow->rule != NULL ? flow->rule->text : NULL,
	                                .kind = gate != NULL ? gate->kind : flow->kind,
	                                .sni = gate != NULL ? gate->sni : flow->sni,
	                                .alpn = gate != NULL ? gate->alpn : flow->alpn,
	                                .up = flow->relay.up.bytes,
	                                .down = flow->relay.down.bytes,
	                                .ms = clock_now_ms() - flow->began_ms,
	                                .why = flow->why,
	                                .add = flow->add,
	                            });
}

static void stop_dialling(struct flow *flow)
{
	resolver_forget(flow->server->resolver, flow->ticket);
	flow->ticket = 0;
	dial_end(&flow->dial);
	flow->dial_ms = 0;
}

/* Its memory goes between two turns of the loop. */
static void bury(struct flow *flow, bool reset)
{
	struct server *server = flow->server;

	if (flow->phase == FLOW_DEAD)
		return;
	stop_dialling(flow);
	if (reset) {
		server_reset(&flow->guest.fd);
		server_reset(&flow->outside.fd);
	}
	fd_close(&flow->guest.fd);
	fd_close(&flow->outside.fd);
	relay_done(&flow->relay);
	flow->phase = FLOW_DEAD;
	link_out(server, flow);
	flow->before = NULL;
	flow->after = server->dead;
	server->dead = flow;
}

void flow_bury(struct server *server)
{
	while (server->dead != NULL) {
		struct flow *flow = server->dead;

		server->dead = flow->after;
		loop_forget(&server->loop, &flow->guest.source);
		loop_forget(&server->loop, &flow->outside.source);
		dial_free(&flow->dial);
		free(flow->gate);
		free(flow->name);
		free(flow->sni);
		free(flow->alpn);
		free(flow);
	}
}

/* ---- refusing ---- */

static unsigned status_of(enum audit_code code)
{
	switch (code) {
	case AUDIT_EACCES:
	case AUDIT_ESNI:
	case AUDIT_EHOST:
		return 403;
	case AUDIT_EPROTO:
		return 400;
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

/* The answer to a CONNECT head that asks for what cannot be. */
static char *refusal_in_words(const struct flow *flow, unsigned status)
{
	char ip[IP_TEXT_BYTES];
	mem_cleanup char *text = NULL;

	ip_text(&flow->ip, ip);
	if (flow->port == 0)
		text = str_printf("%s\n", flow->why);
	else
		text = str_printf(flow->name == NULL && flow->ip.v6 ? "[%s]:%u %s\n" : "%s:%u %s\n",
		                  flow->name != NULL ? flow->name : ip, (unsigned)flow->port, flow->why);
	return str_printf("HTTP/1.1 %u npxc\r\nNpxc-Error: %s\r\n%sContent-Type: text/plain\r\nContent-Length: %zu\r\n"
	                  "Connection: close\r\n\r\n%s",
	                  status, audit_code_word(flow->code),
	                  status == 407 ? "Proxy-Authenticate: Basic realm=\"npxc\"\r\n" : "", strlen(text), text);
}

/* Says `bytes` to the guest and nothing more, and waits a little for it to be read: a reset would take it away. */
static void end_with(struct flow *flow, const char *bytes, size_t length)
{
	stop_dialling(flow);
	server_reset(&flow->outside.fd);
	/* What is already on its way to the guest comes first; a receiver that takes none of it needs no words. */
	if (flow->relay.down.held.length != 0 || send(flow->guest.fd, bytes, length, MSG_NOSIGNAL) == -1 ||
	    shutdown(flow->guest.fd, SHUT_WR) == -1) {
		bury(flow, true);
		return;
	}
	flow->phase = FLOW_LINGER;
	flow->head_ms = clock_now_ms() + LINGER_MS;
	relay_drop(&flow->relay);
	advance(flow);
}

static void refuse_with_status(struct flow *flow, enum audit_verdict verdict, unsigned status)
{
	record(flow, verdict);
	if (flow->requested && flow->phase != FLOW_RELAY) {
		mem_cleanup char *text = refusal_in_words(flow, status);
		end_with(flow, text, strlen(text));
	} else {
		bury(flow, true);
	}
}

static void refuse(struct flow *flow, enum audit_verdict verdict, enum audit_code code, const char *why)
{
	flow->code = code;
	flow->why = why;
	refuse_with_status(flow, verdict, status_of(code));
}

/* The client does not agree with itself. A CONNECT that was not yet answered is answered first: the refusal is for who
 * speaks inside of the tunnel. */
static void refuse_at_gate(struct flow *flow)
{
	size_t length = 0;
	mem_cleanup char *text = gate_refusal(flow->gate, &length);

	flow->code = flow->gate->code;
	flow->why = flow->gate->why;
	flow->add = flow->gate->raw_helps ? AUDIT_ADD_RAW : AUDIT_ADD_NOTHING;
	record(flow, AUDIT_DENY);
	if (flow->requested && flow->phase != FLOW_RELAY) {
		mem_cleanup char *words = refusal_in_words(flow, status_of(flow->code));
		end_with(flow, words, strlen(words));
	} else {
		end_with(flow, text, length);
	}
}

/* ---- dialling ---- */

static const char answer_connected[] = "HTTP/1.1 200 OK\r\n\r\n";

/* Who asked has gone before there was anything to relay. */
static void lost(struct flow *flow)
{
	flow->code = AUDIT_ECONNREFUSED;
	flow->why = "the server inside has gone";
	record(flow, AUDIT_FAIL);
	bury(flow, true);
}

static void connected(struct flow *flow)
{
	struct npxc_error ignored;
	bool contested;

	flow->outside.fd = dial_take(&flow->dial, &flow->ip, &contested);
	if (contested)
		flow->server->family = flow->ip.v6 ? SERVER_FAMILY_V6 : SERVER_FAMILY_V4;
	stop_dialling(flow);
	flow->phase = FLOW_RELAY;
	flow->outside.readable = flow->outside.writable = true;
	/* It is watched already; only who is told changes. */
	if (!loop_watch(&flow->server->loop, flow->outside.fd, &flow->outside.source, &ignored) ||
	    (flow->requested && send(flow->guest.fd, answer_connected, sizeof(answer_connected) - 1, MSG_NOSIGNAL) !=
	                            (ssize_t)sizeof(answer_connected) - 1))
		lost(flow); /* or a socket whose buffer has never been written is full, which is the same */
}

static void dial_failed(struct flow *flow, int error)
{
	refuse(flow, AUDIT_FAIL, error == ETIMEDOUT ? AUDIT_ETIMEDOUT : AUDIT_ECONNREFUSED,
	       error == ETIMEDOUT                              ? "did not answer in time"
	       : error == ECONNREFUSED                         ? "refused the connection"
	       : error == ENETUNREACH || error == EHOSTUNREACH ? "cannot be reached from this machine"
	                                                       : "could not be connected to");
}

static void look_at_dial(struct flow *flow)
{
	switch (dial_look(&flow->dial, clock_now_ms())) {
	case DIAL_WAITS:
		break;
	case DIAL_CONNECTED:
		connected(flow);
		break;
	case DIAL_FAILED:
		dial_failed(flow, flow->dial.error);
		break;
	}
}

static void on_dial(void *context)
{
	advance(context);
}

static void dial(struct flow *flow, struct ip *v, size_t count)
{
	const struct server *server = flow->server;

	dial_order(v, count, server->family == SERVER_FAMILY_UNKNOWN ? v[0].v6 : server->family == SERVER_FAMILY_V6);
	dial_begin(&flow->dial, &flow->server->loop, v, count, flow->port, on_dial, flow);
	advance(flow); /* after what the guest has said already */
}

/* The addresses of a name, without those that no rule for a name may lead to. */
static void on_resolved(void *context, const struct resolve_answer *answer)
{
	struct flow *flow = context;
	struct ip fit[RESOLVE_ADDRESSES];
	size_t count = 0;
	const char *why = NULL;

	flow->ticket = 0;
	if (!answer->found) {
		refuse(flow, AUDIT_FAIL, AUDIT_ENOTFOUND, "has no address");
		return;
	}
	if (!server_refresh_own(flow->server)) {
		refuse(flow, AUDIT_FAIL, AUDIT_EACCES, "this machine's own addresses cannot be read");
		return;
	}
	for (size_t i = 0; i < answer->count; i++) {
		const struct ip ip = ip_plain(&answer->v[i]);
		const char *refusal =
		    flow->rule->configured ? address_refusal_configured(&ip) : address_refusal(&ip, &flow->server->own);
		if (refusal == NULL)
			fit[count++] = ip;
		else
			why = refusal;
	}
	if (count == 0) {
		flow->ip = ip_plain(&answer->v[0]);
		refuse(flow, AUDIT_DENY, AUDIT_EACCES, why);
		return;
	}
	dial(flow, fit, count);
}

static void dial_host_loopback(struct flow *flow)
{
	struct ip v[] = { { .bytes = { 127, 0, 0, 1 } }, { .v6 = true, .bytes = { [15] = 1 } } };

	dial(flow, v, sizeof(v) / sizeof(v[0]));
}

/* Judged: syntax has been; then the rules; then, and only then, a look-up. */
static void judge_name(struct flow *flow)
{
	flow->rule = rules_match_name(flow->server->rules, flow->name, flow->port);
	if (flow->rule == NULL) {
		flow->add = AUDIT_ADD_RULE;
		refuse(flow, AUDIT_DENY, AUDIT_EACCES, EGRESS_UNLISTED);
		return;
	}
	flow->dial_ms = flow->began_ms + LIMIT_EGRESS_DIAL_MS;
	if (flow->rule->kind == RULE_HOST_ALIAS) {
		dial_host_loopback(flow);
		return;
	}
	if (flow->rule->proxy || flow->rule->raw) {
		flow->kind = "opaque";
	} else {
		flow->gate = mem_alloc(sizeof(*flow->gate));
		gate_begin(flow->gate, flow->name, flow->port);
	}
	if (!resolver_ask(flow->server->resolver, flow->name, on_resolved, flow, &flow->ticket))
		refuse(flow, AUDIT_FAIL, AUDIT_EMFILE, "too many names are being looked up");
}

static void judge_address(struct flow *flow)
{
	const char *refusal = address_refusal_always(&flow->ip);

	flow->rule = rules_match_loopback(flow->server->rules, ip_is_loopback(&flow->ip) ? flow->port : 0);
	if (flow->rule == NULL)
		flow->rule = rules_match_ip(flow->server->rules, &flow->ip, flow->port);
	else
		refusal = NULL;
	if (flow->rule == NULL || refusal != NULL) {
		flow->add = flow->rule == NULL ? AUDIT_ADD_RULE : AUDIT_ADD_NOTHING;
		refuse(flow, AUDIT_DENY, AUDIT_EACCES, flow->rule == NULL ? EGRESS_UNLISTED : refusal);
		return;
	}
	flow->kind = "opaque";
	flow->dial_ms = flow->began_ms + LIMIT_EGRESS_DIAL_MS;
	dial(flow, &flow->ip, 1);
}

/* ---- the CONNECT head ---- */

/* In time that does not depend on where they differ. */
static bool is_token(const struct connect_request *request, const char *token)
{
	const size_t length = strlen(token);
	unsigned differs = request->credentials_length != length;

	for (size_t i = 0; i < length && i < request->credentials_length; i++)
		differs |= (unsigned char)request->credentials[i] ^ (unsigned char)token[i];
	return request->credentials != NULL && differs == 0;
}

static void read_request(struct flow *flow)
{
	struct relay_bytes *held = &flow->relay.up.held;
	struct connect_request request;

	relay_fill(&flow->relay.up, &flow->guest);
	switch (connect_read(relay_bytes_at(held), held->length, &request)) {
	case CONNECT_MORE:
		if (flow->guest.ended || flow->guest.failed)
			bury(flow, true);
		return;
	case CONNECT_BAD:
		flow->code = AUDIT_EPROTO;
		flow->why = request.why;
		refuse_with_status(flow, AUDIT_DENY, request.status);
		return;
	case CONNECT_DONE:
		break;
	}
	if (request.is_ip)
		flow->ip = request.ip;
	else
		flow->name = str_dup(request.name);
	flow->port = request.port;
	if (flow->server->token != NULL && !is_token(&request, flow->server->token)) {
		flow->code = AUDIT_EACCES;
		flow->why = "asked for without this session's token";
		refuse_with_status(flow, AUDIT_DENY, 407);
		return;
	}
	relay_consume(held, request.length);
	flow->head_ms = 0;
	flow->phase = FLOW_DIAL;
	if (request.is_ip)
		judge_address(flow);
	else
		judge_name(flow);
}

/* ---- relaying ---- */

/* The client's held bytes to the gate, until neither changes. False: the flow is over. */
static bool ask_gate(struct flow *flow)
{
	struct relay_bytes *held = &flow->relay.up.held;

	while (flow->gate != NULL) {
		const size_t waiting = held->length - flow->relay.up.passed;
		const enum gate_state before = flow->gate->state;
		size_t pass;

		if (!gate_client(flow->gate, relay_bytes_at(held) + flow->relay.up.passed, waiting, &pass)) {
			refuse_at_gate(flow);
			return false;
		}
		flow->relay.up.passed += pass;
		/* So long from the first byte that has to wait for others; a client that says nothing is left alone,
		 * and so is one that waits for the server. */
		if (waiting > pass && flow->gate->state != GATE_ANSWER && flow->gate->state != GATE_OPEN &&
		    flow->gate->http.phase != HTTP_HELD) {
			if (flow->head_ms == 0)
				flow->head_ms = clock_now_ms() + LIMIT_EGRESS_HEAD_MS;
		} else {
			flow->head_ms = 0;
		}
		if (flow->gate->state == GATE_OPEN) {
			flow->kind = flow->gate->kind;
			flow->sni = str_dup(flow->gate->sni);
			flow->alpn = str_dup(flow->gate->alpn);
			free(flow->gate);
			flow->gate = NULL;
			flow->relay.up.passed = held->length;
		} else if (flow->gate->state == before && pass == 0) {
			break;
		}
	}
	return true;
}

/* False: these bytes must not reach the guest. */
static bool on_server_bytes(void *context, const char *bytes, size_t length)
{
	struct flow *flow = context;

	if (flow->gate != NULL && gate_server(flow->gate, bytes, length))
		flow->relay.up.stirred = true;
	return flow->gate == NULL || flow->gate->state != GATE_SHUT;
}

/* Takes what the client has sent before there is anywhere to send it to: its gate may be shut already. */
static bool read_ahead(struct flow *flow)
{
	relay_fill(&flow->relay.up, &flow->guest);
	if (flow->guest.failed && flow->phase == FLOW_DIAL) {
		lost(flow);
		return false;
	}
	if (flow->gate == NULL)
		flow->relay.up.passed = flow->relay.up.held.length;
	return ask_gate(flow);
}

static void run_relay(struct flow *flow)
{
	const bool gated = flow->gate != NULL;
	enum relay_result result;

	do {
		flow->relay.up.stirred = false;
		if (gated && !read_ahead(flow))
			return;
		result = relay_run(&flow->relay, &flow->guest, &flow->outside, flow->gate == NULL,
		                   flow->gate != NULL ? on_server_bytes : NULL, flow);
		if (flow->gate != NULL && flow->gate->state == GATE_SHUT) {
			refuse_at_gate(flow);
			return;
		}
	} while (flow->relay.up.stirred && result != RELAY_OVER && result != RELAY_BROKEN);
	switch (result) {
	case RELAY_WAITS:
		return;
	case RELAY_MORE:
		loop_again(&flow->server->loop, &flow->guest.source);
		return;
	case RELAY_OVER:
	case RELAY_BROKEN:
		break;
	}
	flow->code = AUDIT_OK;
	flow->why = NULL;
	record(flow, AUDIT_ALLOW);
	bury(flow, result == RELAY_BROKEN);
}

/* Reads what nobody wants, for a guest that would else be told of a reset; a little at a time, for the others' sake. */
static void linger(struct flow *flow)
{
	enum { SHARE = 16 };
	char bytes[4096];

	for (int i = 0; i < SHARE; i++) {
		const ssize_t got = recv(flow->guest.fd, bytes, sizeof(bytes), 0);

		if (got == -1 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return;
		if (got == 0 || (got == -1 && errno != EINTR)) {
			bury(flow, false);
			return;
		}
	}
	loop_again(&flow->server->loop, &flow->guest.source);
}

static void advance(struct flow *flow)
{
	if (flow->phase == FLOW_REQUEST)
		read_request(flow);
	if (flow->phase == FLOW_DIAL && !read_ahead(flow))
		return;
	if (flow->phase == FLOW_DIAL && flow->dial.count > 0)
		look_at_dial(flow);
	if (flow->phase == FLOW_RELAY)
		run_relay(flow);
	else if (flow->phase == FLOW_LINGER)
		linger(flow);
}

/* ---- from outside ---- */

/* The oldest that is not yet decided makes room. */
static bool make_room(struct server *server)
{
	struct flow *flow = server->flows;

	if (server->flow_count < server->flow_max)
		return true;
	while (flow != NULL && is_settled(flow))
		flow = flow->after;
	if (flow == NULL)
		return false;
	if (flow->phase != FLOW_LINGER) /* that one has been refused already */
		refuse(flow, AUDIT_FAIL, AUDIT_EMFILE, "made room for a newer connection");
	if (flow->phase != FLOW_DEAD)
		bury(flow, false);
	return true;
}

static void record_no_room(struct server *server, const char *name, uint16_t port)
{
	server_record(server, &(struct audit_record){ .verdict = AUDIT_FAIL,
	                                              .code = AUDIT_EMFILE,
	                                              .host = name,
	                                              .port = port,
	                                              .ms = -1,
	                                              .why = "too many connections" });
}

static struct flow *begin(struct server *server, int fd, enum phase phase)
{
	struct flow *flow = mem_alloc(sizeof(*flow));
	struct npxc_error ignored;

	flow->server = server;
	flow->number = ++server->last_flow;
	flow->phase = phase;
	flow->began_ms = clock_now_ms();
	relay_init(&flow->relay);
	relay_end_init(&flow->guest, flow, on_guest);
	relay_end_init(&flow->outside, flow, on_outside);
	flow->guest.fd = fd;
	flow->guest.readable = true;
	link_in(server, flow);
	if (!loop_watch(&server->loop, fd, &flow->guest.source, &ignored)) {
		bury(flow, true);
		return NULL;
	}
	return flow;
}

void flow_accept_address(struct server *server, int fd, const struct ip *ip, uint16_t port)
{
	const char *name = server->names != NULL ? names_find(server->names, ip) : NULL;
	struct flow *flow;

	if (!make_room(server)) {
		record_no_room(server, name, port);
		server_reset(&fd);
		return;
	}
	flow = begin(server, fd, FLOW_DIAL);
	if (flow == NULL)
		return;
	flow->port = port;
	if (name != NULL) {
		flow->name = str_dup(name);
		judge_name(flow);
	} else {
		flow->ip = ip_plain(ip);
		judge_address(flow);
	}
	advance(flow);
}

void flow_accept_request(struct server *server, int fd)
{
	static const char full[] = "HTTP/1.1 503 npxc\r\nNpxc-Error: EMFILE\r\nConnection: close\r\n\r\n"
	                           "too many connections\n";
	struct flow *flow;

	if (!make_room(server)) {
		record_no_room(server, NULL, 0);
		if (send(fd, full, sizeof(full) - 1, MSG_NOSIGNAL) == -1)
			server_reset(&fd);
		fd_close(&fd);
		return;
	}
	flow = begin(server, fd, FLOW_REQUEST);
	if (flow == NULL)
		return;
	flow->requested = true;
	flow->head_ms = flow->began_ms + LIMIT_EGRESS_HEAD_MS;
	advance(flow);
}

static void over_time(struct flow *flow, int64_t now)
{
	if (flow->phase == FLOW_LINGER) {
		bury(flow, true);
	} else if (flow->dial_ms != 0 && now >= flow->dial_ms) {
		dial_failed(flow, ETIMEDOUT);
	} else if (flow->dial.next_ms != 0 && now >= flow->dial.next_ms) {
		advance(flow);
	} else if (flow->phase == FLOW_REQUEST) {
		refuse(flow, AUDIT_FAIL, AUDIT_ETIMEDOUT, "the CONNECT request did not come in time");
	} else if (flow->gate != NULL) {
		gate_give_up(flow->gate);
		refuse_at_gate(flow);
	}
}

int flow_sweep(struct server *server, int64_t now_ms)
{
	enum { STEP_MS = 100 };
	bool waits = false;

	for (struct flow *flow = server->flows, *after; flow != NULL; flow = after) {
		after = flow->after;
		if (flow->head_ms == 0 && flow->dial_ms == 0 && flow->dial.next_ms == 0)
			continue;
		if ((flow->head_ms != 0 && now_ms >= flow->head_ms) ||
		    (flow->dial_ms != 0 && now_ms >= flow->dial_ms) ||
		    (flow->dial.next_ms != 0 && now_ms >= flow->dial.next_ms))
			over_time(flow, now_ms);
		waits = waits || flow->phase != FLOW_DEAD;
	}
	return waits ? STEP_MS : -1;
}

void flow_end_all(struct server *server)
{
	while (server->flows != NULL) {
		struct flow *flow = server->flows;

		flow->why = "the session ended";
		flow->code = flow->phase == FLOW_RELAY ? AUDIT_OK : AUDIT_ETIMEDOUT;
		if (flow->phase == FLOW_RELAY || flow->phase == FLOW_DIAL)
			record(flow, flow->phase == FLOW_RELAY ? AUDIT_ALLOW : AUDIT_FAIL);
		bury(flow, true);
	}
	flow_bury(server);
}
