#include "egress/netns.h"

#include "base/fault.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/proc.h"
#include "base/str.h"
#include "base/userns.h"

#include <string.h>

enum { DNS_PORT = 53 };

/* ---- pure ---- */

static bool add_port(struct netns_wish *wish, const struct rule *rule, struct npxc_error *err)
{
	size_t at = 0;

	while (at < wish->count && wish->ports[at] != rule->port)
		at++;
	if (at == LIMIT_EGRESS_PORTS)
		return error_set(err, ERROR_CONFIG, "the allow list names more than %d ports", LIMIT_EGRESS_PORTS);
	wish->ports[at] = rule->port;
	wish->udp[at] = wish->udp[at] || rule->kind == RULE_ADDRESS;
	wish->loopback[at] = wish->loopback[at] || rule->kind == RULE_LOOPBACK;
	wish->count += at == wish->count;
	return true;
}

bool netns_wish_of(const struct rules *rules, const char *nft, struct netns_wish *ret_wish, struct npxc_error *err)
{
	struct netns_wish wish = { .nft = nft };

	for (size_t i = 0; i < rules->count; i++) {
		const struct rule *rule = &rules->v[i];
		if (rule->port == 0 && nft == NULL)
			return error_set(
			    err, ERROR_CONFIG,
			    "the rule \"%s\" allows every port, which needs nft here: install it (apt-get "
			    "install nftables), or write a port (\"%s:443\"), or set network.link to socket",
			    rule->text, rule->text);
		if (rule->port == DNS_PORT)
			return error_set(
			    err, ERROR_CONFIG,
			    "the rule \"%s\": port 53 is npxc's own resolver on link netns; set network.link "
			    "to socket",
			    rule->text);
		if (rule->port == 0)
			wish.any = true;
		else if (!add_port(&wish, rule, err))
			return false;
	}
	*ret_wish = wish;
	return true;
}

void netns_wish_to_learn(struct netns_wish *wish)
{
	/* Web, PostgreSQL, MySQL, Redis, MongoDB, SMTP, SSH, Elasticsearch, and what stands in for the web's. */
	static const uint16_t usual[] = { 80,   443,  5432, 3306, 6379, 27017, 8080, 8443,
		                          3000, 8000, 22,   25,   465,  587,   9200, 9443 };

	wish->any = wish->nft != NULL;
	for (size_t i = 0; i < sizeof(usual) / sizeof(usual[0]) && !wish->any; i++) {
		struct npxc_error ignored;
		if (!add_port(wish, &(struct rule){ .kind = RULE_NAME, .port = usual[i] }, &ignored))
			return;
	}
}

#ifdef __linux__

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef IPV6_FREEBIND
#define IPV6_FREEBIND 78 /* linux/in6.h */
#endif

enum { BACKLOG = 4096, LO = 1 /* the first interface of every network namespace */ };

/* ---- the namespaces ---- */

static bool refused(struct npxc_error *err, const char *what)
{
	return error_set_errno(err, ERROR_RUNTIME_UNAVAILABLE,
	                       "an allowlist on link netns needs a network namespace that npxc may make (%s); set "
	                       "network.link to socket, which does without, or on Ubuntu set "
	                       "kernel.apparmor_restrict_unprivileged_userns=0",
	                       what);
}

/*
 * What the guest does not read waits in the kernel's buffers, which this namespace would inherit at some megabytes
 * each: with as many flows as there may be that is the machine's memory for TCP. Best effort; tcp(7).
 */
static void bound_buffers(void)
{
	static const char *const files[] = { "/proc/sys/net/ipv4/tcp_wmem", "/proc/sys/net/ipv4/tcp_rmem" };

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		if (!file_write_setting(files[i], "4096 65536 524288"))
			return;
}

static bool make_namespaces(struct npxc_error *err)
{
	struct stat before, after;
	const char *failed;

	if (stat("/proc/self/ns/net", &before) == -1)
		return error_set_errno(err, ERROR_RUNTIME, "look at the network namespace");
	failed = userns_enter(CLONE_NEWNET);
	if (failed != NULL)
		return refused(err, failed);
	if (stat("/proc/self/ns/net", &after) == -1 || after.st_ino == before.st_ino)
		return error_set(err, ERROR_RUNTIME, "the network namespace is still the host's");
	bound_buffers();
	return true;
}

/* ---- routes ---- */

/* Laid out as the kernel reads it; what stands behind the header is reached by its length. */
struct request {
	struct nlmsghdr header;
	union {
		struct rtmsg route;
		struct ifaddrmsg address;
		// cppcheck-suppress unusedStructMember ; written through the header
	} body;
	char attributes[64]; // cppcheck-suppress unusedStructMember ; the same
};

static void add_attribute(struct request *request, unsigned short type, const void *bytes, size_t length)
{
	struct rtattr *attribute = (struct rtattr *)(void *)((char *)request + NLMSG_ALIGN(request->header.nlmsg_len));

	attribute->rta_type = type;
	attribute->rta_len = (unsigned short)RTA_LENGTH(length);
	memcpy(RTA_DATA(attribute), bytes, length);
	request->header.nlmsg_len = NLMSG_ALIGN(request->header.nlmsg_len) + RTA_ALIGN(attribute->rta_len);
}

/* One request and the kernel's verdict; errno when it is a refusal. */
static bool ask_kernel(int netlink, struct request *request)
{
	struct {
		struct nlmsghdr header;
		struct nlmsgerr error;
		char rest[256]; // cppcheck-suppress unusedStructMember ; the refused request, which nobody reads
	} answer;

	request->header.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE;
	if (send(netlink, request, request->header.nlmsg_len, 0) == -1 ||
	    recv(netlink, &answer, sizeof(answer), 0) < (ssize_t)NLMSG_LENGTH(sizeof(answer.error)))
		return false;
	errno = answer.header.nlmsg_type == NLMSG_ERROR ? -answer.error.error : EPROTO;
	return errno == 0;
}

/* "local default dev lo": every address of the family is this namespace's own. */
static bool route_everything(int netlink, unsigned char family)
{
	struct request request = {
		.header = { .nlmsg_len = NLMSG_LENGTH(sizeof(struct rtmsg)), .nlmsg_type = RTM_NEWROUTE },
		.body.route = { .rtm_family = family,
		                .rtm_table = RT_TABLE_LOCAL,
		                .rtm_protocol = RTPROT_BOOT,
		                .rtm_scope = RT_SCOPE_HOST,
		                .rtm_type = RTN_LOCAL },
	};
	const int lo = LO;

	add_attribute(&request, RTA_OIF, &lo, sizeof(lo));
	return ask_kernel(netlink, &request);
}

/* With loopback addresses alone a C library believes that it has no network of the family, and asks for no names of it.
 */
static bool add_address(int netlink, unsigned char family, const void *address, unsigned char length)
{
	struct request request = {
		.header = { .nlmsg_len = NLMSG_LENGTH(sizeof(struct ifaddrmsg)), .nlmsg_type = RTM_NEWADDR },
		.body.address = { .ifa_family = family,
		                  .ifa_prefixlen = (unsigned char)(length * 8),
		                  .ifa_flags = family == AF_INET6 ? IFA_F_NODAD : 0,
		                  .ifa_index = LO },
	};

	add_attribute(&request, IFA_LOCAL, address, length);
	add_attribute(&request, IFA_ADDRESS, address, length);
	return ask_kernel(netlink, &request);
}

static bool bring_lo_up(void)
{
	FD_CLEANUP int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request = { .ifr_name = "lo" };

	request.ifr_flags = IFF_UP | IFF_LOOPBACK | IFF_RUNNING;
	return fd != -1 && ioctl(fd, SIOCSIFFLAGS, &request) == 0;
}

static bool set_routes(bool *ret_v6, struct npxc_error *err)
{
	static const uint8_t v4[4] = { 198, 18, 0, 2 };
	static const uint8_t v6[16] = { 0xfd, 0x6e, 0x70, 0x78, 0x63, [15] = 2 };
	FD_CLEANUP int netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	if (netlink == -1 || !bring_lo_up() || !add_address(netlink, AF_INET, v4, sizeof(v4)) ||
	    !route_everything(netlink, AF_INET))
		return errno == EPERM ? refused(err, "no capabilities in it")
		                      : error_set_errno(err, ERROR_RUNTIME, "set up the sandbox's network");
	*ret_v6 = add_address(netlink, AF_INET6, v6, sizeof(v6)) && route_everything(netlink, AF_INET6);
	return true;
}

/* ---- sockets ---- */

static bool send_socket(int handoff, const struct netns_message *message, int fd, struct npxc_error *err)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { .bytes = { 0 } };
	struct netns_message copy = *message;
	struct iovec part = { .iov_base = &copy, .iov_len = sizeof(copy) };
	struct msghdr header = { .msg_iov = &part, .msg_iovlen = 1 };

	if (fd != -1) {
		header.msg_control = &control;
		header.msg_controllen = sizeof(control.bytes);
		struct cmsghdr *c = CMSG_FIRSTHDR(&header);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(fd));
		memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	}
	return sendmsg(handoff, &header, MSG_NOSIGNAL) == (ssize_t)sizeof(copy) ||
	       error_set_errno(err, ERROR_RUNTIME, "hand a socket to the egress process");
}

static bool set(int fd, int level, int option)
{
	const int on = 1;

	return setsockopt(fd, level, option, &on, sizeof(on)) == 0;
}

/* `*ret_port`, when not NULL, is the port that the kernel chose. */
static bool open_and_send(int handoff, const struct netns_message *message, uint16_t *ret_port, struct npxc_error *err)
{
	const bool stream = message->kind != NETNS_UDP && message->kind != NETNS_DNS;
	const int family = message->v6 ? AF_INET6 : AF_INET;
	FD_CLEANUP int fd = socket(family, (stream ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_storage address = { .ss_family = (sa_family_t)family };
	socklen_t length = message->v6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
	in_port_t port = htons(message->port);

	memcpy(message->v6 ? (void *)&((struct sockaddr_in6 *)(void *)&address)->sin6_port
	                   : (void *)&((struct sockaddr_in *)(void *)&address)->sin_port,
	       &port, sizeof(port));
	if (fd == -1 || (message->v6 && !set(fd, IPPROTO_IPV6, IPV6_V6ONLY)) ||
	    (!stream && !(message->v6 ? set(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO) : set(fd, IPPROTO_IP, IP_PKTINFO))) ||
	    /* or no answer could be sent from an address that is local by the route alone */
	    (!WITHOUT("v6-answers") && !stream && message->v6 && !set(fd, IPPROTO_IPV6, IPV6_FREEBIND)) ||
	    (WITHOUT("reuse") && !set(fd, SOL_SOCKET, SO_REUSEPORT)) ||
	    /* What is accepted from it has the option too. */
	    (stream && !set(fd, IPPROTO_TCP, TCP_NODELAY)) || bind(fd, (struct sockaddr *)&address, length) == -1 ||
	    (stream && listen(fd, BACKLOG) == -1))
		return error_set_errno(err, ERROR_RUNTIME, "listen on port %u in the sandbox's network", message->port);
	if (ret_port != NULL) {
		if (getsockname(fd, (struct sockaddr *)&address, &length) == -1)
			return error_set_errno(err, ERROR_RUNTIME, "ask for a port");
		memcpy(&port,
		       message->v6 ? (void *)&((struct sockaddr_in6 *)(void *)&address)->sin6_port
		                   : (void *)&((struct sockaddr_in *)(void *)&address)->sin_port,
		       sizeof(port));
		*ret_port = ntohs(port);
	}
	return send_socket(handoff, message, fd, err);
}

/* ---- every port ---- */

/*
 * Loopback destinations are left alone: the guest's own servers. Everything else of TCP goes to the one socket, which
 * can ask where it was going to. DNS has its own.
 */
static char *nft_table(const char *family, const char *not_loopback, uint16_t port)
{
	return str_printf("table %s npxc {\n"
	                  "chain out {\n"
	                  "type nat hook output priority -100\n"
	                  "%s tcp dport != 53 redirect to :%u\n"
	                  "}\n"
	                  "}\n",
	                  family, not_loopback, port);
}

static char *nft_script(uint16_t port, uint16_t port_v6)
{
	mem_cleanup char *v4 = nft_table("ip", "ip daddr != 127.0.0.0/8", port);
	mem_cleanup char *v6 = port_v6 == 0 ? str_dup("") : nft_table("ip6", "ip6 daddr != ::1", port_v6);

	return str_printf("%s%s", v4, v6);
}

/* Capabilities that an exec by an ordinary user keeps; man 7 capabilities, "ambient". */
static bool keep_net_admin(const void *unused)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	(void)unused;
	if (syscall(SYS_capget, &header, data) == -1)
		return false;
	data[0].inheritable |= 1U << CAP_NET_ADMIN;
	return syscall(SYS_capset, &header, data) == 0 &&
	       prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_ADMIN, 0, 0) == 0;
}

static bool run_nft(const char *nft, const char *script, struct npxc_error *err)
{
	const struct proc_command command = {
		.argv = (char *const[]){ (char *)(uintptr_t)nft, (char[]){ "-f" }, (char[]){ "-" }, NULL },
		.environment = (char *const[]){ NULL },
		.input = script,
		.timeout_ms = LIMIT_CLI_MS,
		.max_output_bytes = 4 * KIB,
		.prepare = keep_net_admin,
	};
	struct npxc_error why = { 0 };
	struct proc_result result;
	mem_cleanup char *shown = NULL;

	if (!proc_run(&command, &result, &why)) {
		shown = str_dup(why.message);
	} else {
		const struct buf *said = result.errors.length != 0 ? &result.errors : &result.output;
		const bool done = result.exit_status == 0;

		shown = str_escape(said->data, strcspn(said->data, "\n"));
		proc_result_done(&result);
		if (done)
			return true;
	}
	return error_set(
	    err, ERROR_RUNTIME_UNAVAILABLE,
	    "nft cannot lead every port of the sandbox's network to npxc (%.200s); write rules with ports, "
	    "or set network.link to socket",
	    shown);
}

static bool lead_everything(const struct netns_wish *wish, int handoff, bool v6, struct npxc_error *err)
{
	uint16_t port = 0, port_v6 = 0;

	if (!open_and_send(handoff, &(struct netns_message){ .kind = NETNS_TCP_ANY }, &port, err) ||
	    (v6 &&
	     !open_and_send(handoff, &(struct netns_message){ .kind = NETNS_TCP_ANY, .v6 = true }, &port_v6, err)))
		return false;
	mem_cleanup char *script = nft_script(port, port_v6);
	return run_nft(wish->nft, script, err);
}

static bool send_family(const struct netns_wish *wish, int handoff, bool v6, struct npxc_error *err)
{
	if (!open_and_send(handoff, &(struct netns_message){ NETNS_DNS, v6, DNS_PORT }, NULL, err) ||
	    !open_and_send(handoff, &(struct netns_message){ NETNS_DNS_TCP, v6, DNS_PORT }, NULL, err))
		return false;
	for (size_t i = 0; i < wish->count; i++) {
		const uint16_t port = wish->ports[i];
		/* What nft leads to npxc leaves loopback out. */
		if (((!wish->any || wish->loopback[i]) &&
		     !open_and_send(handoff, &(struct netns_message){ NETNS_TCP, v6, port }, NULL, err)) ||
		    (wish->udp[i] &&
		     !open_and_send(handoff, &(struct netns_message){ NETNS_UDP, v6, port }, NULL, err)))
			return false;
	}
	return true;
}

bool netns_enter(const struct netns_wish *wish, int handoff, struct npxc_error *err)
{
	bool v6 = false;

	return make_namespaces(err) && set_routes(&v6, err) && send_family(wish, handoff, false, err) &&
	       (!v6 || send_family(wish, handoff, true, err)) &&
	       (!wish->any || lead_everything(wish, handoff, v6, err)) &&
	       send_socket(handoff, &(struct netns_message){ .kind = NETNS_ALL_SENT, .v6 = v6 }, -1, err);
}

bool netns_receive(int handoff, struct netns_message *ret_message, int *ret_fd)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct netns_message message = { 0 };
	struct iovec part = { .iov_base = &message, .iov_len = sizeof(message) };
	struct msghdr header = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control.bytes)
	};
	const ssize_t got = recvmsg(handoff, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	const struct cmsghdr *c;

	if (got != (ssize_t)sizeof(message)) {
		errno = got == -1 ? errno : 0;
		return false;
	}
	c = CMSG_FIRSTHDR(&header);
	*ret_fd = -1;
	if (c != NULL && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
		memcpy(ret_fd, CMSG_DATA(c), sizeof(*ret_fd));
	*ret_message = message;
	return true;
}

#else

bool netns_enter(const struct netns_wish *wish, int handoff, struct npxc_error *err)
{
	(void)wish;
	(void)handoff;
	return error_set(err, ERROR_RUNTIME_UNAVAILABLE, "network namespaces exist on Linux only");
}

bool netns_receive(int handoff, struct netns_message *ret_message, int *ret_fd)
{
	(void)handoff;
	(void)ret_message;
	(void)ret_fd;
	return false;
}

#endif
