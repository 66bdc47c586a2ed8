#include "egress/alias.h"

void alias_add(struct alias *alias, int fd, uint16_t port)
{
	if (!alias->may_close || alias->count == sizeof(alias->v) / sizeof(alias->v[0]))
		return;
	alias->v[alias->count].fd = fd;
	alias->v[alias->count].closed = false;
	alias->v[alias->count++].port = port;
}

int alias_sweep(struct alias *alias, int64_t now_ms)
{
	if (alias->closed == 0)
		return -1;
	if (now_ms - alias->looked_ms >= LIMIT_EGRESS_ALIAS_MS)
		alias_look(alias, now_ms);
	return alias->closed == 0 ? -1 : LIMIT_EGRESS_ALIAS_MS;
}

#ifdef __linux__

#include "base/fd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

enum { BACKLOG = 4096 };

/* Who a packet to that port of the loopback would come to: sock_diag(7). False: nobody, or the kernel does not say. */
static bool is_listened_to(int netlink, int family, uint16_t port)
{
	struct {
		struct nlmsghdr header;
		struct inet_diag_req_v2 request;
	} question = {
		.header = { .nlmsg_len = sizeof(question),
		            .nlmsg_type = SOCK_DIAG_BY_FAMILY,
		            .nlmsg_flags = NLM_F_REQUEST },
		.request = { .sdiag_family = (uint8_t)family,
		             .sdiag_protocol = IPPROTO_TCP,
		             .idiag_states = ~0U,
		             .id = { .idiag_sport = htons(port),
		                     .idiag_cookie = { INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE } } },
	};
	struct {
		struct nlmsghdr header;
		char rest[4096]; // cppcheck-suppress unusedStructMember ; what the kernel has to say of it //
		                 // cppcheck-suppress unusedStructMember ; what the kernel has to say of it
	} answer;

	if (family == AF_INET6)
		question.request.id.idiag_src[3] = htonl(1);
	else
		question.request.id.idiag_src[0] = htonl(INADDR_LOOPBACK);
	return send(netlink, &question, sizeof(question), 0) == (ssize_t)sizeof(question) &&
	       recv(netlink, &answer, sizeof(answer), MSG_DONTWAIT) >= (ssize_t)sizeof(answer.header) &&
	       answer.header.nlmsg_type == SOCK_DIAG_BY_FAMILY;
}

/* On a loopback interface that is answered before the call returns. */
static bool is_refused(int family, uint16_t port)
{
	FD_CLEANUP int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	const struct sockaddr_in v4 = { .sin_family = AF_INET,
		                        .sin_port = htons(port),
		                        .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	const struct sockaddr_in6 v6 = { .sin6_family = AF_INET6,
		                         .sin6_port = htons(port),
		                         .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	struct pollfd polled = { .fd = fd, .events = POLLOUT };
	socklen_t length = sizeof(int);
	int error = 0;

	if (fd == -1)
		return family == AF_INET6; /* there is none */
	if (connect(fd, family == AF_INET6 ? (const struct sockaddr *)&v6 : (const struct sockaddr *)&v4,
	            family == AF_INET6 ? sizeof(v6) : sizeof(v4)) == 0)
		return false;
	if (errno != EINPROGRESS)
		return errno == ECONNREFUSED ||
		       (family == AF_INET6 && (errno == EADDRNOTAVAIL || errno == ENETUNREACH));
	return poll(&polled, 1, 0) == 1 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) == 0 &&
	       error == ECONNREFUSED;
}

static bool is_closed(int netlink, uint16_t port)
{
	return !is_listened_to(netlink, AF_INET, port) && !is_listened_to(netlink, AF_INET6, port) &&
	       is_refused(AF_INET, port) && is_refused(AF_INET6, port);
}

/* A socket that was shut stays bound: nobody inside can take its port meanwhile. */
static void set(struct alias *alias, size_t at, bool closed)
{
	if (alias->v[at].closed == closed ||
	    (closed ? shutdown(alias->v[at].fd, SHUT_RDWR) : listen(alias->v[at].fd, BACKLOG)) == -1)
		return;
	alias->v[at].closed = closed;
	if (closed)
		alias->closed++;
	else
		alias->closed--;
}

void alias_look(struct alias *alias, int64_t now_ms)
{
	FD_CLEANUP int netlink = -1;

	if (alias->count == 0 || (now_ms == alias->looked_ms && now_ms != 0))
		return;
	netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	alias->looked_ms = now_ms;
	for (size_t i = 0; i < alias->count && netlink != -1; i++)
		set(alias, i, is_closed(netlink, alias->v[i].port));
}

#else

void alias_look(struct alias *alias, int64_t now_ms)
{
	alias->looked_ms = now_ms;
}

#endif
