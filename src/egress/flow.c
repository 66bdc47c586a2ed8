#include "egress/flow.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"
#include "egress/connect.h"
#include "egress/dial.h"
#include "egress/gate.h"
#include "egress/relay.h"
#include "egress/resolve.h"
#include "egress/verdict.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/*
 * One flow is in one of these states:
 *
 *     state    waits for                          open                            at most
 *     REQUEST  the guest's CONNECT head           guest                           flows->head_ms from its accepting
 *     DIAL     the look-up, then an attempt       guest, look-up or attempts      LIMIT_EGRESS_DIAL_MS from there too
 *     RELAY    bytes and the ends of both         guest, outside, perhaps pipes   no limit, but for the gate
 *     LINGER   the guest's end; bytes are dropped guest, shut for writing         LINGER_MS
 *     CLOSED   flow_free_closed                   nothing                         until between two turns
 *
 *     event                               in              leads to
 *     a whole head                        REQUEST         DIAL when its target is allowed, else refused
 *     connected to that address           (link netns)    DIAL when it is allowed, else refused
 *     no address, none fit, no answer     DIAL            refused
 *     an attempt has connected            DIAL            RELAY
 *     the gate is shut                    DIAL, RELAY     refused
 *     both ends passed on; an end failed  RELAY           CLOSED, recorded as allowed
 *     the guest resets                    REQUEST, DIAL   CLOSED
 *     over time; the oldest undecided one
 *     makes room; the session ends        each            refused or CLOSED
 *
 * Refused: recorded; then LINGER when the guest is answered in words (a CONNECT head, or what its gate has seen), else
 * CLOSED with a reset. In DIAL and RELAY the client's bytes are held against the name by a gate (egress/gate), which
 * wants a head that has begun to be whole within flows->head_ms.
 */
enum phase { FLOW_REQUEST, FLOW_DIAL, FLOW_RELAY, FLOW_LINGER, FLOW_CLOSED };

/* How long a guest may take to read why it was refused. */
enum { LINGER_MS = 1000 };

struct flow {
	struct relay_end guest, outside;
	struct flows *flows;
	struct server *server;       /* theirs */
	struct flow *before, *after; /* in that list; `after` alone among the closed */
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
	enum reason reason;
	char *sni, *alpn; /* owned; what the gate had seen */
	const char *kind;
};

static void advance(struct flow *flow);

/* ---- beginning and end ---- */

static void on_end(struct loop_source *source, unsigned what)
{
	struct relay_end *end = (struct relay_end *)(void *)source;

	relay_end_ready(end, what);
	advance(end->owner);
}

/* Connected, and what it is has been agreed on. HTTP keeps its gate, for the requests to come. */
static bool is_settled(const struct flow *flow)
{
	return flow->phase == FLOW_RELAY &&
	       (flow->gate == NULL || (flow->gate->state == GATE_HTTP && flow->gate->http.requests > 0));
}

static void link_in(struct flows *flows, struct flow *flow)
{
	flow->before = flows->last;
	if (flows->last != NULL)
		flows->last->after = flow;
	else
		flows->first = flow;
	flows->last = flow;
	flows->count++;
}

static void link_out(struct flows *flows, struct flow *flow)
{
	if (flow->before != NULL)
		flow->before->after = flow->after;
	else
		flows->first = flow->after;
	if (flow->after != NULL)
		flow->after->before = flow->before;
	else
		flows->last = flow->before;
	flows->count--;
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
	                                .reason = flow->reason,
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
static void close_flow(struct flow *flow, bool reset)
{
	struct flows *flows = flow->flows;

	if (flow->phase == FLOW_CLOSED)
		return;
	stop_dialling(flow);
	if (reset) {
		server_reset(&flow->guest.fd);
		server_reset(&flow->outside.fd);
	}
	fd_close(&flow->guest.fd);
	fd_close(&flow->outside.fd);
	relay_done(&flow->relay);
	flow->phase = FLOW_CLOSED;
	link_out(flows, flow);
	flow->before = NULL;
	flow->after = flows->closed;
	flows->closed = flow;
}

void flow_free_closed(struct flows *flows)
{
	while (flows->closed != NULL) {
		struct flow *flow = flows->closed;

		flows->closed = flow->after;
		loop_forget(&flow->server->loop, &flow->guest.source);
		loop_forget(&flow->server->loop, &flow->outside.source);
		dial_free(&flow->dial);
		free(flow->gate);
		free(flow->name);
		free(flow->sni);
		free(flow->alpn);
		free(flow);
	}
}

/* ---- refusing ---- */

/* Says `bytes` to the guest and nothing more, and waits a little for it to be read: a reset would take it away. */
static void end_with(struct flow *flow, const char *bytes, size_t length)
{
	stop_dialling(flow);
	server_reset(&flow->outside.fd);
	/* What is already on its way to the guest comes first; a receiver that takes none of it needs no words. */
	if (flow->relay.down.held.length != 0 || send(flow->guest.fd, bytes, length, MSG_NOSIGNAL) == -1 ||
	    shutdown(flow->guest.fd, SHUT_WR) == -1) {
		close_flow(flow, true);
		return;
	}
	flow->phase = FLOW_LINGER;
	flow->head_ms = clock_now_ms() + LINGER_MS;
	relay_drop(&flow->relay);
	advance(flow);
}

/* `status`: of the answer to a CONNECT head; 0: the code's. */
static void refuse_with_status(struct flow *flow, enum audit_verdict verdict, unsigned status)
{
	record(flow, verdict);
	if (flow->requested && flow->phase != FLOW_RELAY) {
		mem_cleanup char *text =
		    connect_refusal(status, flow->code, flow->reason, flow->name, &flow->ip, flow->port);
		end_with(flow, text, strlen(text));
	} else {
		close_flow(flow, true);
	}
}

static void refuse(struct flow *flow, enum audit_verdict verdict, enum audit_code code, enum reason reason)
{
	flow->code = code;
	flow->reason = reason;
	refuse_with_status(flow, verdict, 0);
}

/* The client does not agree with itself. A CONNECT that was not yet answered is answered first: the refusal is for who
 * speaks inside of the tunnel. */
static void refuse_at_gate(struct flow *flow)
{
	size_t length = 0;
	mem_cleanup char *text = gate_refusal(flow->gate, &length);

	flow->code = flow->gate->code;
	flow->reason = flow->gate->reason;
	flow->add = flow->gate->raw_helps ? AUDIT_ADD_RAW : AUDIT_ADD_NOTHING;
	if (flow->requested && flow->phase != FLOW_RELAY) {
		refuse_with_status(flow, AUDIT_DENY, 0);
	} else {
		record(flow, AUDIT_DENY);
		end_with(flow, text, length);
	}
}

/* ---- dialling ---- */

static const char answer_connected[] = "HTTP/1.1 200 OK\r\n\r\n";

/* Who asked has gone before there was anything to relay. */
static void lost(struct flow *flow)
{
	flow->code = AUDIT_ECONNREFUSED;
	flow->reason = REASON_GUEST_GONE;
	record(flow, AUDIT_FAIL);
	close_flow(flow, true);
}

static void connected(struct flow *flow)
{
	struct npxc_error ignored;
	bool contested;

	flow->outside.fd = dial_take(&flow->dial, &flow->ip, &contested);
	if (contested)
		flow->flows->family = flow->ip.v6 ? FLOWS_FAMILY_V6 : FLOWS_FAMILY_V4;
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
	       error == ETIMEDOUT                              ? REASON_DIAL_TIMEOUT
	       : error == ECONNREFUSED                         ? REASON_DIAL_REFUSED
	       : error == ENETUNREACH || error == EHOSTUNREACH ? REASON_UNREACHABLE
	                                                       : REASON_DIAL_FAILED);
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
	const struct flows *flows = flow->flows;

	dial_order(v, count, flows->family == FLOWS_FAMILY_UNKNOWN ? v[0].v6 : flows->family == FLOWS_FAMILY_V6);
	dial_begin(&flow->dial, &flow->server->loop, v, count, flow->port, on_dial, flow);
	advance(flow); /* after what the guest has said already */
}

static void on_resolved(void *context, const struct resolve_answer *answer)
{
	struct flow *flow = context;
	struct ip fit[RESOLVE_ADDRESSES];
	enum reason reason = REASON_NONE;

	flow->ticket = 0;
	if (!answer->found) {
		refuse(flow, AUDIT_FAIL, AUDIT_ENOTFOUND, REASON_NO_ADDRESS);
		return;
	}
	if (!server_refresh_own(flow->server)) {
		refuse(flow, AUDIT_FAIL, AUDIT_EACCES, REASON_OWN_UNREADABLE);
		return;
	}
	memcpy(fit, answer->v, sizeof(fit));
	const size_t count = verdict_keep_fit(flow->rule, &flow->server->own, fit, answer->count, &reason);
	if (count == 0) {
		flow->ip = ip_plain(&answer->v[0]);
		refuse(flow, AUDIT_DENY, AUDIT_EACCES, reason);
		return;
	}
	dial(flow, fit, count);
}

/* False: refused. */
static bool is_allowed(struct flow *flow, const struct verdict *verdict)
{
	flow->rule = verdict->rule;
	flow->add = verdict->add;
	flow->dial_ms = flow->began_ms + LIMIT_EGRESS_DIAL_MS;
	if (verdict->reason == REASON_NONE)
		return true;
	refuse(flow, AUDIT_DENY, AUDIT_EACCES, verdict->reason);
	return false;
}

static void drop_answer(void *context, const struct resolve_answer *answer)
{
	(void)context;
	(void)answer;
}

/* Judged: syntax has been; then the rules; then, and only then, a look-up. */
static void judge_name(struct flow *flow)
{
	const struct verdict verdict = verdict_on_name(flow->server->rules, flow->name, flow->port);
	uint64_t ticket;

	if (WITHOUT("ask-first"))
		(void)!resolver_ask(flow->server->resolver, flow->name, drop_answer, NULL, &ticket);
	if (!is_allowed(flow, &verdict))
		return;
	if (flow->rule->kind == RULE_HOST_ALIAS) {
		struct ip loopback[] = { { .bytes = { 127, 0, 0, 1 } }, { .v6 = true, .bytes = { [15] = 1 } } };
		dial(flow, loopback, 2);
		return;
	}
	if (flow->rule->proxy || flow->rule->raw) {
		flow->kind = "opaque";
	} else {
		flow->gate = mem_alloc(sizeof(*flow->gate));
		gate_begin(flow->gate, flow->name, flow->port);
	}
	if (!resolver_ask(flow->server->resolver, flow->name, on_resolved, flow, &flow->ticket))
		refuse(flow, AUDIT_FAIL, AUDIT_EMFILE, REASON_MANY_LOOKUPS);
}

static void judge_address(struct flow *flow)
{
	const struct verdict verdict = verdict_on_address(flow->server->rules, &flow->ip, flow->port);

	if (!is_allowed(flow, &verdict))
		return;
	flow->kind = "opaque";
	dial(flow, &flow->ip, 1);
}

/* ---- the CONNECT head ---- */

static void read_request(struct flow *flow)
{
	struct relay_bytes *held = &flow->relay.up.held;
	struct connect_request request;

	relay_fill(&flow->relay.up, &flow->guest);
	switch (connect_read(relay_bytes_at(held), held->length, &request)) {
	case CONNECT_MORE:
		if (flow->guest.ended || flow->guest.failed)
			close_flow(flow, true);
		return;
	case CONNECT_BAD:
		flow->code = AUDIT_EPROTO;
		flow->reason = request.reason;
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
	if (flow->flows->token != NULL && !connect_has_token(&request, flow->flows->token)) {
		flow->code = AUDIT_EACCES;
		flow->reason = REASON_TOKEN;
		refuse_with_status(flow, AUDIT_DENY, CONNECT_NEEDS_TOKEN);
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
		if (waiting > pass && gate_wants_rest(flow->gate)) {
			if (flow->head_ms == 0)
				flow->head_ms = clock_now_ms() + flow->flows->head_ms;
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
		flow->relay.up.changed = true;
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
		flow->relay.up.changed = false;
		if (gated && !read_ahead(flow))
			return;
		result = relay_run(&flow->relay, &flow->guest, &flow->outside, flow->gate == NULL,
		                   flow->gate != NULL ? on_server_bytes : NULL, flow);
		if (flow->gate != NULL && flow->gate->state == GATE_SHUT) {
			refuse_at_gate(flow);
			return;
		}
	} while (flow->relay.up.changed && result != RELAY_OVER && result != RELAY_BROKEN);
	if (result == RELAY_MORE)
		loop_again(&flow->server->loop, &flow->guest.source);
	if (result == RELAY_WAITS || result == RELAY_MORE)
		return;
	flow->code = AUDIT_OK;
	flow->reason = REASON_NONE;
	record(flow, AUDIT_ALLOW);
	close_flow(flow, result == RELAY_BROKEN);
}

/* Reads what nobody wants, for a guest that would else be told of a reset. */
static void linger(struct flow *flow)
{
	const enum relay_result result = relay_discard(&flow->guest);

	if (result == RELAY_MORE)
		loop_again(&flow->server->loop, &flow->guest.source);
	else if (result != RELAY_WAITS)
		close_flow(flow, false);
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
static bool make_room(struct flows *flows)
{
	struct flow *flow = flows->first;

	if (flows->count < flows->max)
		return true;
	while (flow != NULL && is_settled(flow))
		flow = flow->after;
	if (flow == NULL)
		return false;
	if (flow->phase != FLOW_LINGER) /* that one has been refused already */
		refuse(flow, AUDIT_FAIL, AUDIT_EMFILE, REASON_MADE_ROOM);
	if (flow->phase != FLOW_CLOSED)
		close_flow(flow, false);
	return true;
}

static void record_no_room(struct flows *flows, const char *name, uint16_t port)
{
	server_record(flows->server, &(struct audit_record){ .verdict = AUDIT_FAIL,
	                                                     .code = AUDIT_EMFILE,
	                                                     .host = name,
	                                                     .port = port,
	                                                     .ms = -1,
	                                                     .reason = REASON_MANY_CONNECTIONS });
}

static struct flow *begin(struct flows *flows, int fd, enum phase phase)
{
	struct flow *flow = mem_alloc(sizeof(*flow));
	struct npxc_error ignored;

	flow->flows = flows;
	flow->server = flows->server;
	flow->number = ++flow->server->last_flow;
	flow->phase = phase;
	flow->began_ms = clock_now_ms();
	relay_init(&flow->relay);
	relay_end_init(&flow->guest, flow, on_end);
	relay_end_init(&flow->outside, flow, on_end);
	flow->guest.fd = fd;
	flow->guest.readable = true;
	link_in(flows, flow);
	if (!loop_watch(&flow->server->loop, fd, &flow->guest.source, &ignored)) {
		close_flow(flow, true);
		return NULL;
	}
	return flow;
}

void flow_accept_address(struct flows *flows, int fd, const struct ip *ip, uint16_t port)
{
	const struct names *names = flows->server->names;
	const char *name = names != NULL ? names_find(names, ip) : NULL;
	struct flow *flow;

	if (!make_room(flows)) {
		record_no_room(flows, name, port);
		server_reset(&fd);
		return;
	}
	flow = begin(flows, fd, FLOW_DIAL);
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

void flow_accept_request(struct flows *flows, int fd)
{
	static const char full[] = "HTTP/1.1 503 npxc\r\nNpxc-Error: EMFILE\r\nConnection: close\r\n\r\n"
	                           "too many connections\n";
	struct flow *flow;

	if (!make_room(flows)) {
		record_no_room(flows, NULL, 0);
		if (send(fd, full, sizeof(full) - 1, MSG_NOSIGNAL) == -1)
			server_reset(&fd);
		fd_close(&fd);
		return;
	}
	flow = begin(flows, fd, FLOW_REQUEST);
	if (flow == NULL)
		return;
	flow->requested = true;
	flow->head_ms = flow->began_ms + flows->head_ms;
	advance(flow);
}

static bool is_due(int64_t limit_ms, int64_t now_ms)
{
	return limit_ms != 0 && now_ms >= limit_ms;
}

static void end_over_time(struct flow *flow, int64_t now_ms)
{
	const bool head = is_due(flow->head_ms, now_ms);

	if (head && flow->phase == FLOW_LINGER) {
		close_flow(flow, true);
	} else if (is_due(flow->dial_ms, now_ms)) {
		dial_failed(flow, ETIMEDOUT);
	} else if (is_due(flow->dial.next_ms, now_ms)) {
		advance(flow);
	} else if (head && flow->phase == FLOW_REQUEST) {
		refuse(flow, AUDIT_FAIL, AUDIT_ETIMEDOUT, REASON_CONNECT_TIMEOUT);
	} else if (head && flow->gate != NULL) {
		gate_give_up(flow->gate);
		refuse_at_gate(flow);
	}
}

int flow_sweep(struct flows *flows, int64_t now_ms)
{
	bool waits = false;

	for (struct flow *flow = flows->first, *after; flow != NULL; flow = after) {
		after = flow->after;
		if (flow->head_ms == 0 && flow->dial_ms == 0 && flow->dial.next_ms == 0)
			continue;
		end_over_time(flow, now_ms);
		waits = waits || flow->phase != FLOW_CLOSED;
	}
	return waits ? 100 : -1;
}

void flow_end_all(struct flows *flows)
{
	while (flows->first != NULL) {
		struct flow *flow = flows->first;

		flow->reason = REASON_SESSION_ENDED;
		flow->code = flow->phase == FLOW_RELAY ? AUDIT_OK : AUDIT_ETIMEDOUT;
		if (flow->phase == FLOW_RELAY || flow->phase == FLOW_DIAL)
			record(flow, flow->phase == FLOW_RELAY ? AUDIT_ALLOW : AUDIT_FAIL);
		close_flow(flow, true);
	}
	flow_free_closed(flows);
}
