#include "egress/process.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/fd.h"
#include "base/keep.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/random.h"
#include "egress/confine.h"
#include "egress/flow.h"
#include "egress/nameserver.h"
#include "egress/netns.h"
#include "egress/relay.h"
#include "egress/server.h"
#include "egress/udp.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/prctl.h>
#endif

#ifndef SO_ORIGINAL_DST
#define SO_ORIGINAL_DST 80 /* linux/netfilter_ipv4.h; the same number for IPv6 */
#endif

struct listener {
	struct loop_source source;
	struct process *process;
	int fd; /* owned */
	enum netns_socket kind;
	bool request; /* links socket and gateway */
	bool waits;   /* could not accept: see retry_listeners */
	struct listener *next;
};

struct process {
	struct server server;
	struct flows flows;
	struct udp udp;
	const struct egress_settings *settings;
	struct loop_source control, handoff;
	int handoff_fd;
	struct listener *listeners;
	struct nameserver nameservers[2];
	size_t nameserver_count;
	bool over;
};

static void tell_failure(const struct process *process, const struct npxc_error *err)
{
	server_tell(&process->server, &(struct note){ .kind = NOTE_FAILED, .text = err->message });
}

/* ---- accepting ---- */

static bool is_peer(const struct process *process, const struct sockaddr *address)
{
	struct ip ip;
	uint16_t port;

	if (process->settings->subnet == NULL)
		return true;
	return ip_of_sockaddr(address, &ip, &port) && ip_within(&ip, process->settings->subnet);
}

static bool destination(const struct listener *listener, int fd, struct ip *ret_ip, uint16_t *ret_port)
{
	struct sockaddr_storage address = { 0 };
	socklen_t length = sizeof(address);

	if (getsockname(fd, (struct sockaddr *)&address, &length) == -1)
		return false;
	if (listener->kind == NETNS_TCP_ANY) {
		const int level = address.ss_family == AF_INET6 ? IPPROTO_IPV6 : IPPROTO_IP;
		length = sizeof(address);
		if (getsockopt(fd, level, SO_ORIGINAL_DST, &address, &length) == -1)
			return false; /* connected to that port itself */
	}
	return ip_of_sockaddr((struct sockaddr *)&address, ret_ip, ret_port);
}

static void serve_connection(struct listener *listener, int fd, const struct sockaddr *peer)
{
	struct process *process = listener->process;
	struct ip ip;
	uint16_t port;

	FAULT_POINT("egress.child-flow");
	if (listener->request) {
		if (is_peer(process, peer))
			flow_accept_request(&process->flows, fd);
		else
			server_reset(&fd);
	} else if (listener->kind == NETNS_DNS_TCP) {
		nameserver_accept(&process->server, fd);
	} else if (destination(listener, fd, &ip, &port)) {
		flow_accept_address(&process->flows, fd, &ip, port);
	} else {
		server_reset(&fd);
	}
}

static int accept_one(int listener, struct sockaddr_storage *ret_peer)
{
	socklen_t length = sizeof(*ret_peer);
#ifdef __linux__
	return accept4(listener, (struct sockaddr *)ret_peer, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
#else
	int fd = accept(listener, (struct sockaddr *)ret_peer, &length);
	if (fd != -1 && (fcntl(fd, F_SETFL, O_NONBLOCK) == -1 || fcntl(fd, F_SETFD, FD_CLOEXEC) == -1))
		fd_close(&fd);
	return fd;
#endif
}

/* One at a time: it takes as long as many bytes of the others', who wait meanwhile. */
static void on_listener(struct loop_source *source, unsigned what)
{
	struct listener *listener = (struct listener *)(void *)source;
	struct sockaddr_storage peer = { 0 };
	const int fd = accept_one(listener->fd, &peer);

	(void)what;
	if (fd != -1) {
		serve_connection(listener, fd, (struct sockaddr *)&peer);
	} else if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINVAL /* closed: egress/alias */) {
		return;
	} else if (errno != EINTR && errno != ECONNABORTED && errno != EPROTO) {
		listener->waits = true;
		return;
	}
	loop_again(&listener->process->server.loop, &listener->source);
}

/* No descriptor or no memory was left: connections stay in the queue, and nothing tells when there is something again.
 * True when some still wait. */
static bool retry_listeners(struct process *process)
{
	bool waits = false;

	for (struct listener *listener = process->listeners; listener != NULL; listener = listener->next) {
		if (!listener->waits)
			continue;
		listener->waits = false;
		on_listener(&listener->source, 0);
		waits = waits || listener->waits;
	}
	return waits;
}

static bool add_listener(struct process *process, int fd, enum netns_socket kind, bool request, struct npxc_error *err)
{
	struct listener *listener = mem_alloc(sizeof(*listener));

	*listener = (struct listener){ .source.on_ready = on_listener,
		                       .process = process,
		                       .fd = fd,
		                       .kind = kind,
		                       .request = request,
		                       .next = process->listeners };
	process->listeners = listener;
	if (fcntl(fd, F_SETFL, O_NONBLOCK) == -1)
		return error_set_errno(err, ERROR_IO, "prepare a listening socket");
	return loop_watch(&process->server.loop, fd, &listener->source, err);
}

/* ---- the sandbox's sockets ---- */

static bool take_socket(struct process *process, const struct netns_message *message, int fd, struct npxc_error *err)
{
	process->server.has_v6 = process->server.has_v6 || message->v6;
	switch (message->kind) {
	case NETNS_TCP_ALIAS:
		alias_add(&process->server.alias, fd, message->port);
		return add_listener(process, fd, NETNS_TCP, false, err);
	case NETNS_TCP:
	case NETNS_TCP_ANY:
	case NETNS_DNS_TCP:
		return add_listener(process, fd, message->kind, false, err);
	case NETNS_UDP:
		return udp_listen(&process->udp, fd, message->port, err);
	case NETNS_DNS:
		if (process->nameserver_count == 2)
			break;
		return nameserver_open(&process->server, fd, &process->nameservers[process->nameserver_count++], err);
	case NETNS_ALL_SENT:
		return true;
	}
	fd_close(&fd);
	return true;
}

static void on_handoff(struct loop_source *source, unsigned what)
{
	struct process *process = (struct process *)(void *)((char *)source - offsetof(struct process, handoff));
	struct netns_message message;
	struct npxc_error err = { 0 };
	int fd;

	(void)what;
	while (process->handoff_fd != -1 && netns_receive(process->handoff_fd, &message, &fd)) {
		if (message.kind != NETNS_ALL_SENT && fd == -1)
			continue;
		if (!take_socket(process, &message, fd, &err))
			tell_failure(process, &err);
		if (message.kind == NETNS_ALL_SENT)
			fd_close(&process->handoff_fd);
	}
}

/* ---- its life ---- */

/* The launcher says nothing: readable means that it has closed its end, or died. */
static void on_control(struct loop_source *source, unsigned what)
{
	struct process *process = (struct process *)(void *)((char *)source - offsetof(struct process, control));
	char byte;
	ssize_t got;

	(void)what;
	do
		got = recv(process->server.control, &byte, 1, MSG_DONTWAIT);
	while (got > 0 || (got == -1 && errno == EINTR));
	/* One that died with lines unread is told as a reset, once. */
	if (got == 0 || (errno != EAGAIN && errno != EWOULDBLOCK))
		process->over = true;
}

/* How many flows there may be, and pipes for them, with the descriptors that the system allows. */
static void share_out_files(struct flows *flows, enum policy_link link)
{
	const rlim_t others = link == POLICY_LINK_NETNS ? 128 + LIMIT_EGRESS_UDP_FLOWS + 4 * LIMIT_EGRESS_PORTS : 128;
	struct rlimit limit;

	flows->max = 32;
	if (getrlimit(RLIMIT_NOFILE, &limit) == -1)
		return;
	if (limit.rlim_cur < limit.rlim_max) {
		const rlim_t wanted = others + 4 * LIMIT_EGRESS_FLOWS;
		struct rlimit more = limit;
		more.rlim_cur = limit.rlim_max == RLIM_INFINITY || limit.rlim_max > wanted ? wanted : limit.rlim_max;
		if (more.rlim_cur > limit.rlim_cur && setrlimit(RLIMIT_NOFILE, &more) == 0)
			limit = more;
	}
	if (limit.rlim_cur < others + 3 * flows->max)
		return;
	/* A flow is two, and a third is kept for pipes. */
	const rlim_t most = (limit.rlim_cur - others) / 3;
	flows->max = most > LIMIT_EGRESS_FLOWS ? LIMIT_EGRESS_FLOWS : (size_t)most;
	const rlim_t pipes = (limit.rlim_cur - others - 2 * flows->max) / 2;
	relay_allow_pipes(pipes > 2 * LIMIT_EGRESS_FLOWS ? 2 * LIMIT_EGRESS_FLOWS : (size_t)pipes);
}

static bool prepare(struct process *process, int control, int handoff, struct npxc_error *err)
{
	const struct egress_settings *settings = process->settings;
	struct server *server = &process->server;
	uint64_t seed;
	struct confined confined;

	server->rules = settings->rules;
	server->control = control;
	server->learn = settings->learn;
	server->noted = mem_alloc(LIMIT_EGRESS_NOTES * sizeof(*server->noted));
	process->flows = (struct flows){ .server = server,
		                         .token = settings->token,
		                         .head_ms = settings->head_ms != 0
		                                        ? settings->head_ms
		                                        : (WITHOUT("slow-heads") ? 12 : 1) * LIMIT_EGRESS_HEAD_MS };
	process->udp = (struct udp){ .server = server };
	share_out_files(&process->flows, settings->link);
	process->handoff_fd = handoff;
	process->control.on_ready = on_control;
	process->handoff.on_ready = on_handoff;
	if (settings->link == POLICY_LINK_NETNS) {
		random_bytes(&seed, sizeof(seed));
		server->names = names_new(seed);
	}
	if (settings->audit_directory != NULL &&
	    !audit_open(settings->audit_directory, settings->session, settings->package, &server->audit, err))
		return false;
	if (!loop_open(&server->loop, err) || !resolver_open(&server->loop, &server->resolver, err) ||
	    !confine_self(server->audit == NULL ? -1 : audit_directory_fd(server->audit), &confined, err))
		return false;
	server->alias.may_close = confined.may_listen;
	if (settings->listener != -1 && !add_listener(process, settings->listener, NETNS_TCP, true, err))
		return false;
	return loop_watch(&server->loop, control, &process->control, err) &&
	       (handoff == -1 || loop_watch(&server->loop, handoff, &process->handoff, err));
}

static void tell_trouble(const struct server *server, enum audit_trouble trouble)
{
	if (trouble != AUDIT_TROUBLE_NONE)
		server_tell(server, &(struct note){ .kind = NOTE_LOG, .trouble = trouble });
}

static void run(struct process *process)
{
	struct server *server = &process->server;
	struct npxc_error err = { 0 };
	int64_t swept = 0;

	while (!process->over) {
		const int64_t now = clock_now_ms();
		int timeout = -1;

		/* Deadlines are seconds long: they are looked at ten times in one, and not at each turn. */
		if (now - swept >= 100) {
			timeout = clock_sooner(flow_sweep(&process->flows, now), udp_sweep(&process->udp, now));
			timeout = clock_sooner(timeout, retry_listeners(process) ? 100 : -1);
			timeout = clock_sooner(timeout, alias_sweep(&server->alias, now));
			swept = now;
		} else {
			timeout = 100;
		}
		if (server->audit != NULL) {
			audit_flush(server->audit, now);
			tell_trouble(server, audit_trouble(server->audit));
			timeout = clock_sooner(timeout, audit_due(server->audit, now));
		}
		flow_free_closed(&process->flows);
		udp_free_closed(&process->udp);
		if (!loop_turn(&server->loop, timeout, &err)) {
			tell_failure(process, &err);
			break;
		}
	}
	flow_end_all(&process->flows);
	udp_end_all(&process->udp);
	tell_trouble(server, audit_close(server->audit));
}

void process_serve(const struct egress_settings *settings, int control, int handoff)
{
	struct process *process = mem_alloc(sizeof(*process));
	struct egress_settings own = *settings;
	int *const kept[] = { &control, &handoff, &own.listener };
	struct npxc_error err = { 0 };

	FAULT_ROLE("egress");
	FAULT_POINT("egress.child");
	if (!keep_apart(kept, 3, &err))
		_exit(125);
#ifdef __linux__
	prctl(PR_SET_NAME, "npxc-egress");
#endif
	FAULT_POINT("egress.child-alone");
	process->settings = &own;
	if (!prepare(process, control, handoff, &err)) {
		tell_failure(process, &err);
		_exit(125);
	}
	FAULT_POINT("egress.child-prepared");
	server_tell(&process->server, &(struct note){ .kind = NOTE_READY });
	FAULT_POINT("egress.child-ready");
	run(process);
	FAULT_POINT("egress.child-ends");
	_exit(0);
}
