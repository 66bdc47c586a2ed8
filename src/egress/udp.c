#include "egress/udp.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/mem.h"
#include "egress/datagram.h"
#include "egress/verdict.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { DATAGRAM_BYTES = 65536, SHARE = 64, SWEEP_MS = 5000 };

static char bytes[DATAGRAM_BYTES];

struct udp_listener {
	struct loop_source source;
	struct udp *udp;
	int fd; /* owned */
	uint16_t port;
	struct udp_listener *next;
};

struct udp_flow {
	struct loop_source source; /* of the outside */
	struct udp_listener *listener;
	int fd;                   /* owned; connected to the address */
	struct datagram datagram; /* who sent to what: where answers go, and where they come from */
	const struct rule *rule;
	uint64_t number, up, down;
	uint64_t sent; /* datagrams of the guest's */
	int64_t began_ms, last_ms;
	struct udp_flow *next;
};

static void record(const struct udp_flow *flow, struct server *server, const struct datagram *datagram, uint16_t port,
                   enum audit_code code, enum reason reason, enum audit_add add)
{
	char ip[IP_TEXT_BYTES];
	struct audit_record record = { .verdict = code == AUDIT_OK       ? AUDIT_ALLOW
		                                  : code == AUDIT_EACCES ? AUDIT_DENY
		                                                         : AUDIT_FAIL,
		                       .code = code,
		                       .host = server->names != NULL ? names_find(server->names, &datagram->to) : NULL,
		                       .port = port,
		                       .kind = "udp",
		                       .ms = -1,
		                       .reason = reason,
		                       .add = add };

	ip_text(&datagram->to, ip);
	record.ip = ip;
	if (flow != NULL) {
		record.flow = flow->number;
		record.rule = flow->rule->text;
		record.up = flow->up;
		record.down = flow->down;
		record.ms = clock_now_ms() - flow->began_ms;
	}
	server_record(server, &record);
}

static void on_outside(struct loop_source *source, unsigned what)
{
	struct udp_flow *flow = (struct udp_flow *)(void *)source;

	(void)what;
	for (int i = 0; i < SHARE && flow->fd != -1; i++) {
		const ssize_t got = recv(flow->fd, bytes, sizeof(bytes), 0);

		if (got == -1 && errno == EAGAIN)
			return;
		if (got == -1)
			continue; /* an ICMP error: told once, and the next call goes on */
		flow->last_ms = clock_now_ms();
		if (datagram_answer(flow->listener->fd, &flow->datagram, bytes, (size_t)got))
			flow->down += (uint64_t)got;
	}
	if (flow->fd != -1)
		loop_again(&flow->listener->udp->server->loop, &flow->source);
}

static void end(struct udp_flow **at)
{
	struct udp_flow *flow = *at;
	struct udp *udp = flow->listener->udp;

	record(flow, udp->server, &flow->datagram, flow->listener->port, AUDIT_OK, REASON_NONE, AUDIT_ADD_NOTHING);
	*at = flow->next;
	udp->count--;
	loop_forget(&udp->server->loop, &flow->source);
	fd_close(&flow->fd);
	flow->next = udp->closed;
	udp->closed = flow;
}

void udp_free_closed(struct udp *udp)
{
	while (udp->closed != NULL) {
		struct udp_flow *flow = udp->closed;

		udp->closed = flow->next;
		free(flow);
	}
}

static struct udp_flow *find(struct udp *udp, const struct udp_listener *listener, const struct datagram *datagram)
{
	for (struct udp_flow *flow = udp->flows; flow != NULL; flow = flow->next)
		if (flow->listener == listener && flow->datagram.from_port == datagram->from_port &&
		    ip_equal(&flow->datagram.from, &datagram->from) && ip_equal(&flow->datagram.to, &datagram->to))
			return flow;
	return NULL;
}

static struct udp_flow **longest_idle(struct udp *udp)
{
	struct udp_flow **found = &udp->flows;

	for (struct udp_flow **at = &udp->flows; *at != NULL; at = &(*at)->next)
		if ((*at)->last_ms <= (*found)->last_ms) /* of equal ones the older, which stands further behind */
			found = at;
	return found;
}

static int open_outside(const struct ip *ip, uint16_t port)
{
	struct sockaddr_storage address;
	const socklen_t length = ip_to_sockaddr(ip, port, &address);
	int fd = socket(address.ss_family, SOCK_DGRAM, 0);

	if (fd == -1 || fcntl(fd, F_SETFL, O_NONBLOCK) == -1 || fcntl(fd, F_SETFD, FD_CLOEXEC) == -1 ||
	    connect(fd, (struct sockaddr *)&address, length) == -1)
		fd_close(&fd);
	return fd;
}

/* Judged once, at its first datagram. */
static struct udp_flow *begin(struct udp_listener *listener, const struct datagram *datagram)
{
	struct udp *udp = listener->udp;
	struct server *server = udp->server;
	const struct ip to = ip_plain(&datagram->to);
	const struct verdict verdict = verdict_on_datagram(server->rules, &to, listener->port);
	struct npxc_error ignored;
	struct udp_flow *flow;
	int fd;

	if (verdict.reason != REASON_NONE) {
		const bool named = server->names != NULL && names_is_synthetic(&datagram->to);
		record(NULL, server, datagram, listener->port, AUDIT_EACCES,
		       named ? REASON_UDP_TO_NAME : verdict.reason, named ? AUDIT_ADD_NOTHING : verdict.add);
		return NULL;
	}
	if (udp->count == LIMIT_EGRESS_UDP_FLOWS && udp->flows != NULL)
		end(longest_idle(udp));
	fd = open_outside(&to, listener->port);
	if (fd == -1) {
		record(NULL, server, datagram, listener->port, AUDIT_ECONNREFUSED, REASON_UNREACHABLE,
		       AUDIT_ADD_NOTHING);
		return NULL;
	}
	flow = mem_alloc(sizeof(*flow));
	*flow = (struct udp_flow){ .source.on_ready = on_outside,
		                   .listener = listener,
		                   .fd = fd,
		                   .datagram = *datagram,
		                   .rule = verdict.rule,
		                   .number = ++server->last_flow,
		                   .began_ms = clock_now_ms(),
		                   .next = udp->flows };
	udp->flows = flow;
	udp->count++;
	if (!loop_watch(&server->loop, fd, &flow->source, &ignored)) {
		end(&udp->flows);
		return NULL;
	}
	return flow;
}

static void on_guest(struct loop_source *source, unsigned what)
{
	struct udp_listener *listener = (struct udp_listener *)(void *)source;

	(void)what;
	for (int i = 0; i < SHARE; i++) {
		struct datagram datagram;
		struct udp_flow *flow;

		if (datagram_receive(listener->fd, bytes, sizeof(bytes), &datagram) == -1) {
			if (errno == EAGAIN)
				return;
			continue;
		}
		flow = find(listener->udp, listener, &datagram);
		if (flow == NULL)
			flow = begin(listener, &datagram);
		if (flow == NULL)
			continue;
		flow->last_ms = clock_now_ms();
		flow->sent++;
		if (send(flow->fd, bytes, datagram.length, MSG_NOSIGNAL) != -1)
			flow->up += datagram.length;
	}
	loop_again(&listener->udp->server->loop, &listener->source);
}

bool udp_listen(struct udp *udp, int fd, uint16_t port, struct npxc_error *err)
{
	struct udp_listener *listener = mem_alloc(sizeof(*listener));

	*listener = (struct udp_listener){
		.source.on_ready = on_guest, .udp = udp, .fd = fd, .port = port, .next = udp->listeners
	};
	udp->listeners = listener;
	return loop_watch(&udp->server->loop, fd, &listener->source, err);
}

int64_t udp_idle_ms(uint64_t sent, uint64_t received_bytes)
{
	return sent == 1 && received_bytes > 0 ? LIMIT_EGRESS_UDP_ANSWERED_MS : LIMIT_EGRESS_UDP_IDLE_MS;
}

int udp_sweep(struct udp *udp, int64_t now_ms)
{
	for (struct udp_flow **at = &udp->flows; *at != NULL;) {
		if (now_ms - (*at)->last_ms >= udp_idle_ms((*at)->sent, (*at)->down))
			end(at);
		else
			at = &(*at)->next;
	}
	return udp->flows != NULL ? SWEEP_MS : -1;
}

void udp_end_all(struct udp *udp)
{
	while (udp->flows != NULL)
		end(&udp->flows);
	udp_free_closed(udp);
	while (udp->listeners != NULL) {
		struct udp_listener *listener = udp->listeners;
		udp->listeners = listener->next;
		loop_forget(&udp->server->loop, &listener->source);
		fd_close(&listener->fd);
		free(listener);
	}
}
