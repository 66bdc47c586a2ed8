/*
 * What a program without any library would do to get out: system calls that Node does not make. Statically linked, so
 * that it runs in every guest. Prints one JSON object; is part of the malicious package of ../package.py.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_addr.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

enum { PATIENCE_S = 3 };

struct endpoint {
	struct sockaddr_storage address;
	socklen_t length;
};

static int failed(const char *step)
{
	printf("{\"step\":\"%s\",\"error\":\"%s\"}\n", step, strerrorname_np(errno));
	return 0;
}

static int done(const char *received, ssize_t length)
{
	printf("{\"step\":\"done\",\"received\":\"");
	for (ssize_t i = 0; i < length; i++)
		printf("%02x", (unsigned char)received[i]);
	printf("\"}\n");
	return 0;
}

static struct endpoint parse(const char *host, const char *port)
{
	struct endpoint found = { .length = sizeof(struct sockaddr_in) };
	struct sockaddr_in *v4 = (struct sockaddr_in *)&found.address;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&found.address;
	unsigned short number = htons((unsigned short)atoi(port));

	if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = number;
		return found;
	}
	found.length = sizeof(*v6);
	if (inet_pton(AF_INET6, host, &v6->sin6_addr) != 1) {
		fprintf(stderr, "raw: %s is no address\n", host);
		exit(2);
	}
	v6->sin6_family = AF_INET6;
	v6->sin6_port = number;
	return found;
}

static bool has(int argc, char **argv, const char *word)
{
	for (int i = 0; i < argc; i++)
		if (strcmp(argv[i], word) == 0)
			return true;
	return false;
}

static void limit(int fd)
{
	const struct timeval patience = { .tv_sec = PATIENCE_S };

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
}

static int talk(int fd, const char *payload)
{
	char answer[512];
	ssize_t length;

	if (send(fd, payload, strlen(payload), MSG_NOSIGNAL) == -1)
		return failed("send");
	length = recv(fd, answer, sizeof(answer), 0);
	return length == -1 ? failed("receive") : done(answer, length);
}

/* flow SOURCE|- TARGET PORT PAYLOAD [udp|udplite|mptcp|sctp|dccp] [freebind] [transparent] [fastopen] */
static int flow(int argc, char **argv)
{
	const struct endpoint to = parse(argv[1], argv[2]);
	const int one = 1;
	int protocol = 0, type = SOCK_STREAM;
	int fd;

	if (has(argc, argv, "udp") || has(argc, argv, "udplite"))
		type = SOCK_DGRAM;
	if (has(argc, argv, "udplite"))
		protocol = IPPROTO_UDPLITE;
	if (has(argc, argv, "mptcp"))
		protocol = IPPROTO_MPTCP;
	if (has(argc, argv, "sctp"))
		protocol = IPPROTO_SCTP;
	if (has(argc, argv, "dccp")) {
		protocol = IPPROTO_DCCP;
		type = SOCK_DCCP;
	}
	fd = socket(to.address.ss_family, type, protocol);
	if (fd == -1)
		return failed("socket");
	limit(fd);
	if (has(argc, argv, "freebind") && setsockopt(fd, IPPROTO_IP, IP_FREEBIND, &one, sizeof(one)) == -1)
		return failed("freebind");
	if (has(argc, argv, "transparent") && setsockopt(fd, IPPROTO_IP, IP_TRANSPARENT, &one, sizeof(one)) == -1)
		return failed("transparent");
	if (strcmp(argv[0], "-") != 0) {
		const struct endpoint from = parse(argv[0], "0");

		if (bind(fd, (const struct sockaddr *)&from.address, from.length) == -1)
			return failed("bind");
	}
	if (has(argc, argv, "fastopen")) {
		char answer[512];
		ssize_t length;

		if (sendto(fd, argv[3], strlen(argv[3]), MSG_FASTOPEN | MSG_NOSIGNAL,
		           (const struct sockaddr *)&to.address, to.length) == -1)
			return failed("send");
		length = recv(fd, answer, sizeof(answer), 0);
		return length == -1 ? failed("receive") : done(answer, length);
	}
	if (connect(fd, (const struct sockaddr *)&to.address, to.length) == -1)
		return failed("connect");
	return talk(fd, argv[3]);
}

/* listen ADDRESS PORT [udp] [reuseaddr] [reuseport] */
static int take(int argc, char **argv)
{
	const struct endpoint at = parse(argv[0], argv[1]);
	const bool udp = has(argc, argv, "udp");
	const int one = 1;
	const int fd = socket(at.address.ss_family, udp ? SOCK_DGRAM : SOCK_STREAM, 0);

	if (fd == -1)
		return failed("socket");
	if (has(argc, argv, "reuseaddr") && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) == -1)
		return failed("reuseaddr");
	if (has(argc, argv, "reuseport") && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)) == -1)
		return failed("reuseport");
	if (bind(fd, (const struct sockaddr *)&at.address, at.length) == -1)
		return failed("bind");
	if (!udp && listen(fd, 1) == -1)
		return failed("listen");
	return done("", 0);
}

/* unix PATH|@NAME PAYLOAD */
static int local(char **argv)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	const size_t length = strlen(argv[0]);
	const int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	if (fd == -1)
		return failed("socket");
	if (length >= sizeof(to.sun_path)) {
		errno = ENAMETOOLONG;
		return failed("connect");
	}
	memcpy(to.sun_path, argv[0], length);
	if (argv[0][0] == '@')
		to.sun_path[0] = '\0';
	limit(fd);
	if (connect(fd, (const struct sockaddr *)&to,
	            (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + (argv[0][0] == '@' ? 0 : 1))) == -1)
		return failed("connect");
	return talk(fd, argv[1]);
}

/* ping TARGET [raw] */
static int ping(int argc, char **argv)
{
	const struct endpoint to = parse(argv[0], "0");
	struct icmphdr question = { .type = ICMP_ECHO };
	char answer[512];
	const int fd = socket(AF_INET, has(argc, argv, "raw") ? SOCK_RAW : SOCK_DGRAM, IPPROTO_ICMP);
	ssize_t length;

	if (fd == -1)
		return failed("socket");
	limit(fd);
	if (has(argc, argv, "raw"))
		question.checksum = (unsigned short)~htons(ICMP_ECHO << 8);
	if (sendto(fd, &question, sizeof(question), 0, (const struct sockaddr *)&to.address, to.length) == -1)
		return failed("send");
	length = recv(fd, answer, sizeof(answer), 0);
	return length == -1 ? failed("receive") : done("", 0);
}

/* A request to the kernel's routing; the answer is an error number, 0 for success. */
static int route_request(void *request, size_t length)
{
	struct {
		struct nlmsghdr head;
		struct nlmsgerr error;
		char rest[4096];
	} answer = { 0 };
	const int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);

	if (fd == -1)
		return failed("socket");
	limit(fd);
	if (send(fd, request, length, 0) == -1)
		return failed("send");
	if (recv(fd, &answer, sizeof(answer), 0) == -1)
		return failed("receive");
	errno = -answer.error.error;
	return errno != 0 ? failed("netlink") : done("", 0);
}

/* address ADDRESS: gives it to the loopback interface */
static int add_address(char **argv)
{
	struct {
		struct nlmsghdr head;
		struct ifaddrmsg message;
		struct rtattr attribute;
		struct in_addr address;
	} request = {
		.head = { .nlmsg_len = sizeof(request),
		          .nlmsg_type = RTM_NEWADDR,
		          .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE },
		.message = { .ifa_family = AF_INET, .ifa_prefixlen = 32, .ifa_index = 1 },
		.attribute = { .rta_len = sizeof(struct rtattr) + sizeof(struct in_addr), .rta_type = IFA_LOCAL },
	};

	if (inet_pton(AF_INET, argv[0], &request.address) != 1)
		return 2;
	return route_request(&request, sizeof(request));
}

/* route: deletes the local default route, so that one's own can be made */
static int delete_route(void)
{
	struct {
		struct nlmsghdr head;
		struct rtmsg message;
	} request = {
		.head = { .nlmsg_len = sizeof(request),
		          .nlmsg_type = RTM_DELROUTE,
		          .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK },
		.message = { .rtm_family = AF_INET, .rtm_table = RT_TABLE_LOCAL, .rtm_scope = RT_SCOPE_NOWHERE },
	};

	return route_request(&request, sizeof(request));
}

/* io_uring: a ring, with which sockets can be made without socket(2) */
static int ring(void)
{
	char parameters[256] = { 0 }; /* more than struct io_uring_params has */

	return syscall(425, 4, parameters) == -1 ? failed("io_uring_setup") : done("", 0);
}

/* foreign FAMILY: socket(2) by the system call table of another architecture, which a filter may not look at */
static int foreign(char **argv)
{
#ifdef __x86_64__
	long result;

	__asm__ volatile("int $0x80"
	                 : "=a"(result)
	                 : "a"(359L), "b"((long)atoi(argv[0])), "c"((long)SOCK_STREAM), "d"(0L)
	                 : "memory");
	if (result < 0) {
		errno = (int)-result;
		return failed("socket");
	}
	return done("", 0);
#else
	(void)argv;
	errno = ENOSYS;
	return failed("socket");
#endif
}

static int join(char **argv)
{
	const int fd = open(argv[0], O_RDONLY | O_CLOEXEC);

	if (fd == -1)
		return failed("open");
	return setns(fd, CLONE_NEWNET) == -1 ? failed("setns") : done("", 0);
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	const int rest = argc - 2;

	argv += 2;
	if (strcmp(what, "socket") == 0 && rest >= 3)
		return socket(atoi(argv[0]), atoi(argv[1]), atoi(argv[2])) == -1 ? failed("socket") : done("", 0);
	if (strcmp(what, "socketpair") == 0 && rest >= 2) {
		int pair[2];

		return socketpair(atoi(argv[0]), atoi(argv[1]), 0, pair) == -1 ? failed("socketpair") : done("", 0);
	}
	if (strcmp(what, "flow") == 0 && rest >= 4)
		return flow(rest, argv);
	if (strcmp(what, "listen") == 0 && rest >= 2)
		return take(rest, argv);
	if (strcmp(what, "unix") == 0 && rest >= 2)
		return local(argv);
	if (strcmp(what, "ping") == 0 && rest >= 1)
		return ping(rest, argv);
	if (strcmp(what, "address") == 0 && rest >= 1)
		return add_address(argv);
	if (strcmp(what, "route") == 0)
		return delete_route();
	if (strcmp(what, "io_uring") == 0)
		return ring();
	if (strcmp(what, "foreign") == 0 && rest >= 1)
		return foreign(argv);
	if (strcmp(what, "unshare") == 0)
		return unshare(CLONE_NEWUSER | CLONE_NEWNET) == -1 ? failed("unshare") : done("", 0);
	if (strcmp(what, "setns") == 0 && rest >= 1)
		return join(argv);
	fprintf(stderr, "raw: unknown: %s\n", what);
	return 2;
}
