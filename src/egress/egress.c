#include "egress/egress.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/keep.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/proc.h"
#include "base/random.h"
#include "base/str.h"
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
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/prctl.h>
#endif

#ifndef SO_ORIGINAL_DST
#define SO_ORIGINAL_DST 80 /* linux/netfilter_ipv4.h; the same number for IPv6 */
#endif
#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0 /* macOS; npxc ignores SIGPIPE anyway */
#endif

/* How long the launcher waits for the process to be ready, and for its end, before it kills it. */
enum { READY_MS = 5000, END_MS = 1000 };

/* ======== the process ======== */

struct listener {
	struct loop_source source;
	struct server *server;
	int fd; /* owned */
	enum netns_socket kind;
	bool request; /* links socket and gateway */
	bool waits;   /* could not accept: see retry_listeners */
	struct listener *next;
};

struct process {
	struct server server; /* first */
	const struct egress_settings *settings;
	struct loop_source control, handoff;
	int handoff_fd;
	struct listener *listeners;
	struct nameserver nameservers[2];
	size_t nameserver_count;
	bool over;
};

/* ---- what the parts of the process need (server.h) ---- */

bool server_refresh_own(struct server *server)
{
	const int64_t now = clock_now_ms();
	struct address_own own;
	struct npxc_error ignored;

	if (server->own_ms != 0 && now - server->own_ms < LIMIT_EGRESS_OWN_MS)
		return true;
	if (!address_read_own(&own, &ignored))
		return false;
	address_own_done(&server->own);
	server->own = own;
	server->own_ms = now;
	return true;
}

void server_reset(int *fd)
{
	const struct linger now = { .l_onoff = 1 };

	if (*fd != -1)
		(void)setsockopt(*fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	fd_close(fd);
}

/* What the launcher is told of enum audit_add. */
static const char *const add_words[] = {
	[AUDIT_ADD_NOTHING] = "-", [AUDIT_ADD_RULE] = "rule", [AUDIT_ADD_RAW] = "raw"
};

/* True when it is new. */
static bool note_once(struct server *server, const char *host, uint16_t port, enum audit_add add)
{
	uint64_t hash = 0xcbf29ce484222325U ^ port ^ (uint64_t)add << 16;

	for (const char *p = host; *p != '\0'; p++)
		hash = (hash ^ (unsigned char)*p) * 0x100000001b3U;
	for (unsigned i = 0; i < server->notes; i++)
		if (server->noted[i] == hash)
			return false;
	if (server->notes == LIMIT_EGRESS_NOTES)
		return false;
	server->noted[server->notes++] = hash;
	return true;
}

/* One line; one that the launcher does not take is lost: it must not hold up anything here. */
static void tell(int control, const char *fmt, ...) NPXC_PRINTF(2, 3);
static void tell(int control, const char *fmt, ...)
{
	char line[LIMIT_EGRESS_NOTE_BYTES];
	va_list list;
	int length;

	va_start(list, fmt);
	length = vsnprintf(line, sizeof(line) - 1, fmt, list);
	va_end(list);
	if (length < 0)
		return;
	if ((size_t)length > sizeof(line) - 2)
		length = (int)sizeof(line) - 2;
	line[length] = '\n';
	if (send(control, line, (size_t)length + 1, MSG_DONTWAIT | MSG_NOSIGNAL) == -1)
		return;
}

void server_record(struct server *server, const struct audit_record *record)
{
	const char *host = record->host != NULL ? record->host : record->ip;

	if (server->audit != NULL)
		audit_write(server->audit, record, clock_now_ms());
	if (record->verdict != AUDIT_DENY || host == NULL || !note_once(server, host, record->port, record->add))
		return;
	mem_cleanup char *shown = str_escape(host, strlen(host));
	/* Cut, so that the rest finds its place whatever was asked for; a host name has 253 bytes. */
	tell(server->control, "deny\t%.600s\t%u\t%s\t%s", shown, record->port, add_words[record->add], record->why);
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

static void serve_connection(struct process *process, struct listener *listener, int fd, const struct sockaddr *peer)
{
	struct ip ip;
	uint16_t port;

	FAULT_POINT("egress.child-flow");
	if (listener->request) {
		if (is_peer(process, peer))
			flow_accept_request(&process->server, fd);
		else
			server_reset(&fd);
	} else if (listener->kind == NETNS_DNS_TCP) {
		nameserver_accept(&process->server, fd);
	} else if (destination(listener, fd, &ip, &port)) {
		flow_accept_address(&process->server, fd, &ip, port);
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
		serve_connection((struct process *)(void *)listener->server, listener, fd, (struct sockaddr *)&peer);
	} else if (errno == EAGAIN || errno == EWOULDBLOCK) {
		return;
	} else if (errno != EINTR && errno != ECONNABORTED && errno != EPROTO) {
		listener->waits = true;
		return;
	}
	loop_again(&listener->server->loop, &listener->source);
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
		                       .server = &process->server,
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
	case NETNS_TCP:
	case NETNS_TCP_ANY:
	case NETNS_DNS_TCP:
		return add_listener(process, fd, message->kind, false, err);
	case NETNS_UDP:
		return udp_listen(&process->server, fd, message->port, err);
	case NETNS_DNS:
		if (process->nameserver_count == 2)
			break;
		return nameserver_open(&process->server, fd, message->v6,
		                       &process->nameservers[process->nameserver_count++], err);
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
			tell(process->server.control, "error\t%s", err.message);
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
static void share_out_files(struct server *server, enum policy_link link)
{
	const rlim_t others = link == POLICY_LINK_NETNS ? 128 + LIMIT_EGRESS_UDP_FLOWS + 4 * LIMIT_EGRESS_PORTS : 128;
	struct rlimit limit;

	server->flow_max = 32;
	if (getrlimit(RLIMIT_NOFILE, &limit) == -1)
		return;
	if (limit.rlim_cur < limit.rlim_max) {
		const rlim_t wanted = others + 4 * LIMIT_EGRESS_FLOWS;
		struct rlimit more = limit;
		more.rlim_cur = limit.rlim_max == RLIM_INFINITY || limit.rlim_max > wanted ? wanted : limit.rlim_max;
		if (more.rlim_cur > limit.rlim_cur && setrlimit(RLIMIT_NOFILE, &more) == 0)
			limit = more;
	}
	if (limit.rlim_cur < others + 3 * server->flow_max)
		return;
	/* A flow is two, and a third is kept for pipes. */
	const rlim_t flows = (limit.rlim_cur - others) / 3;
	server->flow_max = flows > LIMIT_EGRESS_FLOWS ? LIMIT_EGRESS_FLOWS : (size_t)flows;
	const rlim_t pipes = (limit.rlim_cur - others - 2 * server->flow_max) / 2;
	relay_allow_pipes(pipes > 2 * LIMIT_EGRESS_FLOWS ? 2 * LIMIT_EGRESS_FLOWS : (size_t)pipes);
}

static bool prepare(struct process *process, int control, int handoff, struct npxc_error *err)
{
	const struct egress_settings *settings = process->settings;
	struct server *server = &process->server;
	uint64_t seed;
	bool landlock;

	server->rules = settings->rules;
	server->control = control;
	server->token = settings->token;
	server->learn = settings->learn;
	server->noted = mem_alloc(LIMIT_EGRESS_NOTES * sizeof(*server->noted));
	share_out_files(server, settings->link);
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
	    !confine_self(server->audit == NULL ? -1 : audit_directory_fd(server->audit), &landlock, err))
		return false;
	if (settings->listener != -1 && !add_listener(process, settings->listener, NETNS_TCP, true, err))
		return false;
	return loop_watch(&server->loop, control, &process->control, err) &&
	       (handoff == -1 || loop_watch(&server->loop, handoff, &process->handoff, err));
}

static void tell_trouble(const struct server *server, const char *trouble)
{
	if (trouble != NULL)
		tell(server->control, "error\t%s", trouble);
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
			timeout = clock_sooner(flow_sweep(server, now), udp_sweep(server, now));
			timeout = clock_sooner(timeout, retry_listeners(process) ? 100 : -1);
			swept = now;
		} else {
			timeout = 100;
		}
		if (server->audit != NULL) {
			audit_flush(server->audit, now);
			tell_trouble(server, audit_trouble(server->audit));
			timeout = clock_sooner(timeout, audit_due(server->audit, now));
		}
		flow_bury(server);
		udp_bury(server);
		if (!loop_turn(&server->loop, timeout, &err)) {
			tell(server->control, "error\t%s", err.message);
			break;
		}
		flow_bury(server);
		udp_bury(server);
	}
	flow_end_all(server);
	udp_end_all(server);
	tell_trouble(server, audit_close(server->audit));
}

static void serve(const struct egress_settings *settings, int control, int handoff)
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
		tell(control, "error\t%s", err.message);
		_exit(125);
	}
	FAULT_POINT("egress.child-prepared");
	tell(control, "ready");
	FAULT_POINT("egress.child-ready");
	run(process);
	FAULT_POINT("egress.child-ends");
	_exit(0);
}

/* ======== the launcher's side ======== */

bool egress_start(const struct egress_settings *settings, struct egress *ret_egress, struct npxc_error *err)
{
	int control[2] = { -1, -1 }, handoff[2] = { -1, -1 };
	pid_t pid;

	if (!fd_socket_pair(control, err) || (settings->link == POLICY_LINK_NETNS && !fd_socket_pair(handoff, err))) {
		fd_close(&control[0]);
		fd_close(&control[1]);
		return false;
	}
	pid = keep_fork();
	if (pid == 0)
		serve(settings, control[1], handoff[1]);
	fd_close(&control[1]);
	fd_close(&handoff[1]);
	if (pid == -1) {
		error_set_errno(err, ERROR_IO, "fork the egress process");
		fd_close(&control[0]);
		fd_close(&handoff[0]);
		return false;
	}
	*ret_egress = (struct egress){ .pid = pid, .control = control[0], .handoff = handoff[0] };
	return true;
}

/* What has come, without waiting. False: nothing is left to come. */
static bool read_more(struct egress *egress)
{
	const size_t room = sizeof(egress->partial) - egress->partial_length;
	ssize_t got;

	if (egress->control == -1 || room == 0)
		return egress->control != -1;
	do
		got = recv(egress->control, egress->partial + egress->partial_length, room, MSG_DONTWAIT);
	while (got == -1 && errno == EINTR);
	if (got > 0)
		egress->partial_length += (size_t)got;
	return got > 0 || (got == -1 && (errno == EAGAIN || errno == EWOULDBLOCK));
}

/* The next whole line into `ret_line`, without its end. A line that fills the room is cut. */
static bool take_line(struct egress *egress, char ret_line[static LIMIT_EGRESS_NOTE_BYTES])
{
	const char *end = memchr(egress->partial, '\n', egress->partial_length);
	size_t length, used;

	if (end == NULL && egress->partial_length < sizeof(egress->partial))
		return false;
	used = end == NULL ? egress->partial_length : (size_t)(end - egress->partial) + 1;
	length = end == NULL ? used : used - 1;
	if (length > LIMIT_EGRESS_NOTE_BYTES - 1)
		length = LIMIT_EGRESS_NOTE_BYTES - 1;
	memcpy(ret_line, egress->partial, length);
	ret_line[length] = '\0';
	egress->partial_length -= used;
	memmove(egress->partial, egress->partial + used, egress->partial_length);
	return true;
}

bool egress_await(struct egress *egress, struct npxc_error *err)
{
	const int64_t deadline = clock_now_ms() + READY_MS;
	char line[LIMIT_EGRESS_NOTE_BYTES];

	for (;;) {
		const bool open = read_more(egress);

		if (take_line(egress, line)) {
			if (strcmp(line, "ready") == 0)
				return true;
			mem_cleanup char *shown = str_escape(line, strlen(line));
			return error_set(err, ERROR_RUNTIME, "the egress process cannot start: %.300s",
			                 str_starts(line, "error\t") ? shown + strlen("error\\x09") : shown);
		}
		const int64_t left = deadline - clock_now_ms();
		struct pollfd polled = { .fd = egress->control, .events = POLLIN };
		if (!open || left <= 0)
			return error_set(err, ERROR_RUNTIME, "the egress process %s",
			                 open ? "was not ready in time" : "ended before it was ready");
		if (poll(&polled, 1, (int)left) == -1 && errno != EINTR)
			return error_set_errno(err, ERROR_RUNTIME, "wait for the egress process");
	}
}

static char *cut_field(char **rest)
{
	char *field = *rest;
	char *tab = strchr(field, '\t');

	if (tab == NULL) {
		*rest = field + strlen(field);
		return field;
	}
	*tab = '\0';
	*rest = tab + 1;
	return field;
}

/* The process may have been taken over by what it reads: nothing of what it says is believed unread. */
static bool parse_denial(char *line, struct egress_denial *ret_denial)
{
	static char host[4 * LIMIT_EGRESS_NOTE_BYTES + 1], why[4 * LIMIT_EGRESS_NOTE_BYTES + 1];
	char *rest = line;
	const char *verb = cut_field(&rest);
	const char *asked = cut_field(&rest);
	const char *port = cut_field(&rest);
	const char *add = cut_field(&rest);
	char name[RULES_NAME_BYTES];
	struct ip ip;
	uint64_t number;

	if (strcmp(verb, "deny") != 0 || !str_to_u64(port, UINT16_MAX, &number))
		return false;
	mem_cleanup char *shown_host = str_escape(asked, strlen(asked));
	mem_cleanup char *shown_why = str_escape(rest, strlen(rest));
	snprintf(host, sizeof(host), "%s", shown_host);
	snprintf(why, sizeof(why), "%s", shown_why);
	*ret_denial = (struct egress_denial){ .host = host,
		                              .port = (uint16_t)number,
		                              .why = why,
		                              .is_host = rules_canonical_name(asked, strlen(asked), name) ||
		                                         ip_parse(asked, strlen(asked), &ip),
		                              .unlisted = strcmp(add, add_words[AUDIT_ADD_RULE]) == 0,
		                              .raw = strcmp(add, add_words[AUDIT_ADD_RAW]) == 0 };
	return true;
}

char *egress_denial_rule(const struct egress_denial *denial)
{
	/* A name that was looked up and not allowed has not come to a port. */
	mem_cleanup char *rule = denial->raw ? rules_propose_raw(denial->host, denial->port)
	                                     : rules_propose(denial->host, denial->port == 0 ? 443 : denial->port);
	struct npxc_error ignored;

	if (!denial->is_host || (!denial->unlisted && !denial->raw) || !rules_check(rule, &ignored))
		return NULL;
	return MEM_TAKE(rule);
}

enum egress_news egress_read(struct egress *egress, struct egress_denial *ret_denial)
{
	char line[LIMIT_EGRESS_NOTE_BYTES];

	for (;;) {
		const bool open = read_more(egress);

		if (take_line(egress, line)) {
			if (parse_denial(line, ret_denial))
				return EGRESS_DENIED;
			mem_cleanup char *shown = str_escape(line, strlen(line));
			log_warn("egress", "%s", shown + (str_starts(line, "error\t") ? strlen("error\\x09") : 0));
			continue;
		}
		return open ? EGRESS_NOTHING : EGRESS_ENDED;
	}
}

void egress_stop(struct egress *egress)
{
	const int64_t deadline = clock_now_ms() + END_MS;

	if (egress->pid <= 0)
		return;
	/* The process reads an end then; what it has still to say can be read here. */
	(void)shutdown(egress->control, SHUT_WR);
	fd_close(&egress->handoff);
	for (;;) {
		struct pollfd polled = { .fd = egress->control }; /* its closing alone: POLLHUP */
		const int64_t left = deadline - clock_now_ms();

		if (left <= 0) {
			kill(egress->pid, SIGKILL);
			break;
		}
		if (poll(&polled, 1, (int)left) == 1)
			break;
	}
	proc_reap(egress->pid);
	egress->pid = 0;
}

void egress_done(struct egress *egress)
{
	egress_stop(egress);
	fd_close(&egress->control);
	fd_close(&egress->handoff);
}
