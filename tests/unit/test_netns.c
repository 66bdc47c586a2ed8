#include "egress_world.h"

#include "egress/datagram.h"
#include "egress/dns.h"
#include "egress/netns.h"
#include "egress/udp.h"

#include <linux/netfilter_ipv4.h>
#include <seccomp.h>

/* ---- what the rules need; pure ---- */

static void rules_tell_which_ports_are_listened_to(void **state)
{
	static const struct {
		const char *rules[4];
		const char *ports; /* "443 5432u": u where UDP is listened to as well */
		bool any;
		const char *nft;
	} cases[] = {
		{ { NULL }, "", false, NULL },
		{ { "a.example:443" }, "443", false, NULL },
		{ { "a.example:443", "*.b.example:443", "c.example:80" }, "443 80", false, NULL },
		{ { "10.0.0.1:5432" }, "5432u", false, NULL },
		{ { "a.example:443", "10.0.0.0/8:443" }, "443u", false, NULL },
		{ { "10.0.0.0/8:443", "a.example:443" }, "443u", false, NULL },
		{ { "[2001:db8::/32]:53443" }, "53443u", false, NULL },
		{ { "host.npxc.internal:11434" }, "11434", false, NULL },
		{ { "a.example" }, "", true, "/sbin/nft" },
		{ { "a.example", "b.example:443", "10.0.0.1:9" }, "443 9u", true, "/sbin/nft" },
		{ { "a.example:443" }, "443", false, "/sbin/nft" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct rules rules = { 0 };
		struct netns_wish wish;
		struct npxc_error err = { 0 };
		char text[64] = "";

		for (size_t r = 0; r < 4 && cases[i].rules[r] != NULL; r++)
			assert_true(rules_add(&rules, cases[i].rules[r], &err));
		if (!netns_wish_of(&rules, cases[i].nft, &wish, &err))
			fail_msg("case %zu: %s", i, err.message);
		for (size_t p = 0; p < wish.count; p++)
			snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%u%s", p > 0 ? " " : "",
			         wish.ports[p], wish.udp[p] ? "u" : "");
		assert_string_equal(text, cases[i].ports);
		assert_int_equal(wish.any, cases[i].any);
		rules_done(&rules);
	}
}

static void wishes_that_cannot_be(void **state)
{
	static const struct {
		const char *rule, *nft;
		const char *why[2];
	} cases[] = {
		{ "a.example", NULL, { "\"a.example\"", "apt-get install nftables" } },
		{ "a.example", NULL, { "\"a.example:443\"", "network.link" } },
		{ "10.0.0.0/8", NULL, { "\"10.0.0.0/8\"", "nft" } },
		{ "a.example:53", NULL, { "\"a.example:53\"", "port 53" } },
		{ "10.0.0.1:53", "/sbin/nft", { "\"10.0.0.1:53\"", "network.link" } },
	};
	struct npxc_error err = { 0 };
	struct netns_wish wish;
	struct rules rules = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_true(rules_add(&rules, "b.example:443", &err));
		assert_true(rules_add(&rules, cases[i].rule, &err));
		assert_false(netns_wish_of(&rules, cases[i].nft, &wish, &err));
		assert_int_equal(err.kind, ERROR_CONFIG);
		for (size_t w = 0; w < 2; w++)
			if (strstr(err.message, cases[i].why[w]) == NULL)
				fail_msg("\"%s\" does not say \"%s\"", err.message, cases[i].why[w]);
		rules_done(&rules);
	}
	for (unsigned port = 1000; port <= 1000 + LIMIT_EGRESS_PORTS; port++) {
		mem_cleanup char *text = str_printf("a.example:%u", port);
		assert_int_equal(netns_wish_of(&rules, NULL, &wish, &err), true);
		assert_true(rules_add(&rules, text, &err));
	}
	assert_false(netns_wish_of(&rules, NULL, &wish, &err));
	assert_int_equal(err.kind, ERROR_CONFIG);
	assert_non_null(strstr(err.message, "more than 64 ports"));
	rules_done(&rules);
}

/* ---- in a sandbox's first process ---- */

struct guest {
	const struct netns_wish *wish;
	void (*prepare)(void);   /* before, as the unprivileged user; or NULL */
	void (*act)(int report); /* inside */
	int handoff;
	int report; /* of the child: what it says first is "in", or the error */
};

static void say_and_end(int report, const char *text)
{
	dprintf(report, "%s\n", text);
	_exit(0);
}

static void guest_run(const struct guest *guest)
{
	struct npxc_error err = { 0 };
	struct stat before, after;
	const uid_t uid = getuid() == 0 ? SANDBOX_DROP_UID : getuid();

	signal(SIGPIPE, SIG_IGN);
	alarm(60);
	setenv("CMOCKA_TEST_ABORT", "1", 1);
	/* as a sandbox does that root starts */
	if (getuid() == 0)
		world_must(setresgid(uid, uid, uid) == 0 && setresuid(uid, uid, uid) == 0, "setresuid");
	if (guest->prepare != NULL)
		guest->prepare();
	const uid_t effective = geteuid();
	world_must(stat("/proc/self/ns/net", &before) == 0, "stat");
	const int lowest = dup(0);
	close(lowest);
	if (!netns_enter(guest->wish, guest->handoff, &err)) {
		dprintf(guest->report, "%d %s\n", (int)err.kind, err.message);
		_exit(0);
	}
	world_must(stat("/proc/self/ns/net", &after) == 0, "stat");
	if (after.st_ino == before.st_ino)
		say_and_end(guest->report, "the same namespace");
	if (geteuid() != effective)
		say_and_end(guest->report, "another user");
	const int next = dup(0);
	if (next != lowest)
		say_and_end(guest->report, "descriptors are left");
	close(next);
	world_must(dprintf(guest->report, "in\n") == 3, "report");
	if (guest->act != NULL)
		guest->act(guest->report);
	_exit(0);
}

struct inside {
	pid_t pid;
	int report, handoff; /* ours; handoff -1: given to an egress process */
};

static struct inside guest_start(struct guest *guest)
{
	int report[2], handoff[2] = { -1, -1 };
	struct npxc_error err = { 0 };

	assert_int_equal(pipe2(report, O_CLOEXEC), 0);
	if (guest->handoff == -1) {
		assert_true(fd_socket_pair(handoff, &err));
		guest->handoff = handoff[1];
	}
	guest->report = report[1];
	const pid_t pid = fork();
	if (pid == 0) {
		fd_close(&report[0]);
		fd_close(&handoff[0]);
		guest_run(guest);
	}
	fd_close(&report[1]);
	fd_close(&handoff[1]);
	return (struct inside){ .pid = pid, .report = report[0], .handoff = handoff[0] };
}

/* One line of the child's. */
static void guest_hear(const struct inside *inside, char *line, size_t size)
{
	size_t have = 0;

	for (;;) {
		struct pollfd polled = { .fd = inside->report, .events = POLLIN };

		if (poll(&polled, 1, WORLD_WAIT_S * 1000) != 1)
			fail_msg("the child says nothing");
		if (read(inside->report, line + have, 1) != 1 || line[have] == '\n')
			break;
		have++;
		assert_true(have < size - 1);
	}
	line[have] = '\0';
}

static void guest_expect(const struct inside *inside, const char *text)
{
	char line[1024];

	guest_hear(inside, line, sizeof(line));
	if (strcmp(line, text) != 0)
		fail_msg("the child says \"%s\", not \"%s\"", line, text);
}

static void guest_end(struct inside *inside)
{
	int status = -1;

	assert_int_equal(waitpid(inside->pid, &status, 0), inside->pid);
	assert_int_equal(status, 0);
	fd_close(&inside->report);
	fd_close(&inside->handoff);
}

/* ---- sockets for both sides ---- */

static socklen_t address_of(const char *text, uint16_t port, struct sockaddr_storage *ret_address)
{
	struct ip ip;

	assert_true(ip_parse(text, strlen(text), &ip));
	return ip_to_sockaddr(&ip, port, ret_address);
}

/* In the child: a connection, or -1 and errno. */
static int connect_to(int type, const char *text, uint16_t port)
{
	struct sockaddr_storage address;
	const socklen_t length = address_of(text, port, &address);
	int fd = socket(address.ss_family, type | SOCK_CLOEXEC, 0);

	world_must(fd != -1, "socket");
	world_bound_time(fd);
	if (connect(fd, (struct sockaddr *)&address, length) == -1)
		fd_close(&fd);
	return fd;
}

static void report_on(int report, const char *what, bool ok)
{
	dprintf(report, "%s: %s\n", what, ok ? "ok" : strerror(errno));
}

/* Asks and wants the same back, with a "!" before it. */
static void ask(int report, int type, const char *text, uint16_t port)
{
	char got[16];
	const int fd = connect_to(type, text, port);
	const bool ok = fd != -1 && send(fd, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text) &&
	                recv(fd, got, sizeof(got), 0) == 1 && got[0] == '!';

	report_on(report, text, ok);
	if (fd != -1)
		close(fd);
}

/* What came through the handoff. */
struct handed {
	struct netns_message message;
	int fd;
};

static size_t receive_all(const struct inside *inside, struct handed *handed, size_t most)
{
	struct pollfd polled = { .fd = inside->handoff, .events = POLLIN };
	size_t count = 0;

	for (;;) {
		assert_true(count < most);
		if (netns_receive(inside->handoff, &handed[count].message, &handed[count].fd)) {
			if (handed[count++].message.kind == NETNS_ALL_SENT)
				return count - 1;
		} else if (errno != EAGAIN || poll(&polled, 1, WORLD_WAIT_S * 1000) != 1) {
			fail_msg("not all sockets came: %s", strerror(errno));
		}
	}
}

static int find(const struct handed *handed, size_t count, enum netns_socket kind, bool v6, uint16_t port)
{
	int fd = -1;

	for (size_t i = 0; i < count; i++)
		if (handed[i].message.kind == kind && handed[i].message.v6 == v6 && handed[i].message.port == port) {
			assert_int_equal(fd, -1); /* each once */
			fd = handed[i].fd;
		}
	if (fd == -1)
		fail_msg("no socket of kind %d for %s port %u", (int)kind, v6 ? "IPv6" : "IPv4", port);
	return fd;
}

static void await_readable(int fd)
{
	struct pollfd polled = { .fd = fd, .events = POLLIN };

	if (poll(&polled, 1, WORLD_WAIT_S * 1000) != 1)
		fail_msg("nothing arrives");
}

static void serve_stream(int listener, const char *text, uint16_t port)
{
	struct sockaddr_storage address;
	socklen_t length = sizeof(address);
	struct ip ip, expected;
	uint16_t got_port;

	await_readable(listener);
	const int fd = accept(listener, NULL, NULL);
	assert_int_not_equal(fd, -1);
	world_bound_time(fd);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &length), 0);
	assert_true(ip_of_sockaddr((struct sockaddr *)&address, &ip, &got_port));
	assert_true(ip_parse(text, strlen(text), &expected));
	assert_true(ip_equal(&ip, &expected));
	assert_int_equal(got_port, port);
	world_hear(fd, text);
	world_say(fd, "!");
	close(fd);
}

static void serve_datagram(int fd, const char *text)
{
	struct datagram datagram;
	struct ip expected;
	char bytes[64];

	await_readable(fd);
	assert_int_equal(datagram_receive(fd, bytes, sizeof(bytes), &datagram), strlen(text));
	assert_memory_equal(bytes, text, strlen(text));
	assert_true(ip_parse(text, strlen(text), &expected));
	assert_true(ip_equal(&datagram.to, &expected));
	/* the asker's socket is connected: it takes answers from there alone */
	assert_true(datagram_answer(fd, &datagram, "!", 1));
}

static bool can_bind(int type, uint16_t port, int option)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };
	const int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0), on = 1;

	world_must(fd != -1 && setsockopt(fd, SOL_SOCKET, option, &on, sizeof(on)) == 0, "socket");
	const bool ok =
	    bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0 && (type != SOCK_STREAM || listen(fd, 1) == 0);
	close(fd);
	return ok;
}

static void act_everywhere(int report)
{
	ask(report, SOCK_STREAM, "93.184.216.34", 443);
	ask(report, SOCK_STREAM, "2606:4700::1", 443);
	ask(report, SOCK_STREAM, "127.0.0.1", 443); /* its own; for the other side to refuse */
	ask(report, SOCK_STREAM, "10.1.2.3", 5432);
	ask(report, SOCK_DGRAM, "10.1.2.3", 5432);
	ask(report, SOCK_DGRAM, "fd00::9", 5432);
	ask(report, SOCK_DGRAM, "8.8.8.8", 53);
	ask(report, SOCK_DGRAM, "2001:4860::8888", 53);
	ask(report, SOCK_STREAM, "1.1.1.1", 53);
	ask(report, SOCK_STREAM, "2606:4700::1111", 53);
	report_on(report, "no listener", connect_to(SOCK_STREAM, "93.184.216.34", 80) != -1);
	report_on(report, "no listener, v6", connect_to(SOCK_STREAM, "2606:4700::1", 80) != -1);
	dprintf(report, "binds: %d%d%d%d\n", can_bind(SOCK_STREAM, 443, SO_REUSEADDR),
	        can_bind(SOCK_STREAM, 443, SO_REUSEPORT), can_bind(SOCK_DGRAM, 5432, SO_REUSEPORT),
	        can_bind(SOCK_DGRAM, 53, SO_REUSEPORT));
}

static void every_connection_and_datagram_arrives_at_its_socket(void **state)
{
	const struct netns_wish wish = { .ports = { 443, 5432 }, .udp = { false, true }, .count = 2 };
	struct guest guest = { .wish = &wish, .act = act_everywhere, .handoff = -1 };
	struct inside inside = guest_start(&guest);
	struct handed handed[32];

	(void)state;
	guest_expect(&inside, "in");
	const size_t count = receive_all(&inside, handed, 32);
	assert_int_equal(count, 2 * (2 + 3));
	serve_stream(find(handed, count, NETNS_TCP, false, 443), "93.184.216.34", 443);
	serve_stream(find(handed, count, NETNS_TCP, true, 443), "2606:4700::1", 443);
	serve_stream(find(handed, count, NETNS_TCP, false, 443), "127.0.0.1", 443);
	serve_stream(find(handed, count, NETNS_TCP, false, 5432), "10.1.2.3", 5432);
	serve_datagram(find(handed, count, NETNS_UDP, false, 5432), "10.1.2.3");
	serve_datagram(find(handed, count, NETNS_UDP, true, 5432), "fd00::9");
	serve_datagram(find(handed, count, NETNS_DNS, false, 53), "8.8.8.8");
	serve_datagram(find(handed, count, NETNS_DNS, true, 53), "2001:4860::8888");
	serve_stream(find(handed, count, NETNS_DNS_TCP, false, 53), "1.1.1.1", 53);
	serve_stream(find(handed, count, NETNS_DNS_TCP, true, 53), "2606:4700::1111", 53);
	guest_expect(&inside, "93.184.216.34: ok");
	guest_expect(&inside, "2606:4700::1: ok");
	guest_expect(&inside, "127.0.0.1: ok");
	guest_expect(&inside, "10.1.2.3: ok");
	guest_expect(&inside, "10.1.2.3: ok");
	guest_expect(&inside, "fd00::9: ok");
	guest_expect(&inside, "8.8.8.8: ok");
	guest_expect(&inside, "2001:4860::8888: ok");
	guest_expect(&inside, "1.1.1.1: ok");
	guest_expect(&inside, "2606:4700::1111: ok");
	guest_expect(&inside, "no listener: Connection refused");
	guest_expect(&inside, "no listener, v6: Connection refused");
	guest_expect(&inside, "binds: 0000");
	guest_end(&inside);
	for (size_t i = 0; i < count; i++)
		close(handed[i].fd);
}

/* ---- every port ---- */

static const char *find_nft(void)
{
	static const char *const paths[] = { "/usr/sbin/nft", "/sbin/nft", "/usr/bin/nft" };

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		if (access(paths[i], X_OK) == 0)
			return paths[i];
	return NULL;
}

static void act_any_port(int report)
{
	ask(report, SOCK_STREAM, "93.184.216.34", 1);
	ask(report, SOCK_STREAM, "2606:4700::1", 65535);
	ask(report, SOCK_STREAM, "1.1.1.1", 53);
	report_on(report, "own", connect_to(SOCK_STREAM, "127.0.0.1", 1) != -1);
	report_on(report, "own, v6", connect_to(SOCK_STREAM, "::1", 1) != -1);
}

static void serve_any(int listener, const char *text, uint16_t port)
{
	struct sockaddr_storage address;
	socklen_t length = sizeof(address);
	struct ip ip, expected;
	uint16_t got_port;

	await_readable(listener);
	const int fd = accept(listener, NULL, NULL);
	assert_int_not_equal(fd, -1);
	world_bound_time(fd);
	assert_true(ip_parse(text, strlen(text), &expected));
	assert_int_equal(getsockopt(fd, expected.v6 ? IPPROTO_IPV6 : IPPROTO_IP, SO_ORIGINAL_DST, &address, &length),
	                 0);
	assert_true(ip_of_sockaddr((struct sockaddr *)&address, &ip, &got_port));
	assert_true(ip_equal(&ip, &expected));
	assert_int_equal(got_port, port);
	world_hear(fd, text);
	world_say(fd, "!");
	close(fd);
}

static void every_port_arrives(void **state)
{
	const struct netns_wish wish = { .any = true, .nft = find_nft() };
	struct guest guest = { .wish = &wish, .act = act_any_port, .handoff = -1 };
	struct handed handed[32];

	(void)state;
	if (wish.nft == NULL) {
		print_message("skipped: rules without ports need nft, and there is none here\n");
		skip();
	}
	struct inside inside = guest_start(&guest);
	guest_expect(&inside, "in");
	const size_t count = receive_all(&inside, handed, 32);
	assert_int_equal(count, 2 * (2 + 1));
	serve_any(find(handed, count, NETNS_TCP_ANY, false, 0), "93.184.216.34", 1);
	serve_any(find(handed, count, NETNS_TCP_ANY, true, 0), "2606:4700::1", 65535);
	serve_stream(find(handed, count, NETNS_DNS_TCP, false, 53), "1.1.1.1", 53);
	guest_expect(&inside, "93.184.216.34: ok");
	guest_expect(&inside, "2606:4700::1: ok");
	guest_expect(&inside, "1.1.1.1: ok");
	guest_expect(&inside, "own: Connection refused");
	guest_expect(&inside, "own, v6: Connection refused");
	guest_end(&inside);
	for (size_t i = 0; i < count; i++)
		close(handed[i].fd);
}

/* ---- refused ---- */

static void refuse_call(int call, int error, bool netlink_only)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);

	world_must(filter != NULL, "seccomp");
	const struct scmp_arg_cmp family = { .arg = 0, .op = SCMP_CMP_EQ, .datum_a = AF_NETLINK };
	world_must(seccomp_rule_add_array(filter, SCMP_ACT_ERRNO((unsigned)error), call, netlink_only ? 1 : 0,
	                                  netlink_only ? &family : NULL) == 0,
	           "rule");
	world_must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && seccomp_load(filter) == 0, "filter");
	seccomp_release(filter);
}

static void no_unshare(void)
{
	refuse_call(SCMP_SYS(unshare), EPERM, false);
}

/* As AppArmor does it on Ubuntu: the namespace is there, capabilities in it are not. */
static void no_capabilities(void)
{
	refuse_call(SCMP_SYS(socket), EPERM, true);
}

static void no_namespaces_left(void)
{
	char map[64];
	const unsigned uid = geteuid();

	world_must(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == 0 && unshare(CLONE_NEWUSER) == 0, "unshare");
	snprintf(map, sizeof(map), "%u %u 1", uid, uid);
	world_write("/proc/self/uid_map", map);
	world_write("/proc/sys/user/max_user_namespaces", "0");
}

static void no_sockets(void)
{
	refuse_call(SCMP_SYS(listen), ENOBUFS, false);
}

static void it_says_what_is_refused(void **state)
{
	static const struct netns_wish plain = { .ports = { 443 }, .count = 1 };
	static const struct netns_wish bad_nft = { .any = true, .nft = "/bin/false" };
	static const struct netns_wish no_nft = { .any = true, .nft = "/nowhere/nft" };
	static const struct {
		const struct netns_wish *wish;
		void (*prepare)(void);
		enum npxc_error_kind kind;
		const char *why[2];
	} cases[] = {
		{ &plain, no_unshare, ERROR_RUNTIME_UNAVAILABLE, { "(unshare)", "set network.link to socket" } },
		{ &plain, no_unshare, ERROR_RUNTIME_UNAVAILABLE, { "apparmor_restrict_unprivileged_userns=0", "" } },
		{ &plain, no_capabilities, ERROR_RUNTIME_UNAVAILABLE, { "no capabilities in it", "network.link" } },
		{ &plain, no_namespaces_left, ERROR_RUNTIME_UNAVAILABLE, { "(unshare)", "No space left" } },
		{ &plain, no_sockets, ERROR_RUNTIME, { "listen on port 53", "" } },
		{ &bad_nft, NULL, ERROR_RUNTIME_UNAVAILABLE, { "nft cannot lead", "write rules with ports" } },
		{ &no_nft, NULL, ERROR_RUNTIME_UNAVAILABLE, { "nft cannot lead", "network.link" } },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct guest guest = { .wish = cases[i].wish, .prepare = cases[i].prepare, .handoff = -1 };
		struct inside inside = guest_start(&guest);
		struct netns_message message;
		char line[1024];
		int fd;

		guest_hear(&inside, line, sizeof(line));
		if (strtol(line, NULL, 10) != (long)cases[i].kind || line[0] == 'i' ||
		    strstr(line, cases[i].why[0]) == NULL || strstr(line, cases[i].why[1]) == NULL)
			fail_msg("case %zu: %s", i, line);
		/* what has come cannot be taken for everything */
		while (netns_receive(inside.handoff, &message, &fd)) {
			assert_int_not_equal(message.kind, NETNS_ALL_SENT);
			close(fd);
		}
		guest_end(&inside);
	}
}

/* The egress process has gone meanwhile. */
static void nobody_takes_the_sockets(void **state)
{
	const struct netns_wish wish = { .ports = { 443 }, .count = 1 };
	struct npxc_error err = { 0 };
	char line[1024];
	int handoff[2];

	(void)state;
	assert_true(fd_socket_pair(handoff, &err));
	fd_close(&handoff[0]);
	struct guest guest = { .wish = &wish, .handoff = handoff[1] };
	struct inside inside = guest_start(&guest);
	guest_hear(&inside, line, sizeof(line));
	assert_int_equal(strtol(line, NULL, 10), ERROR_RUNTIME);
	assert_non_null(strstr(line, "hand a socket to the egress process"));
	guest_end(&inside);
	fd_close(&handoff[1]);
}

/* ---- with a real egress process at the other end ---- */

static uint16_t tcp_port, udp_port; /* of servers outside */

/* A question over UDP or TCP; its answer's first address, or the code, as text. */
static void resolve(int report, int type, const char *name, unsigned kind)
{
	uint8_t query[300] = { 0, 0, 0x12, 0x34, 1, 0, 0, 1 }, answer[1024];
	size_t length = 14;
	const int fd = connect_to(type, "9.9.9.9", 53);
	char text[IP_TEXT_BYTES] = "no answer";

	world_must(fd != -1, "connect to the resolver");
	for (const char *label = name; *label != '\0';) {
		const size_t n = strcspn(label, ".");
		query[length++] = (uint8_t)n;
		memcpy(query + length, label, n);
		length += n;
		label += n + (label[n] == '.');
	}
	query[length++] = 0;
	query[length++] = 0;
	query[length++] = (uint8_t)kind;
	query[length++] = 0;
	query[length++] = 1;
	query[1] = (uint8_t)(length - 2);
	const size_t skip_bytes = type == SOCK_STREAM ? 0 : 2;
	ssize_t got = -1;
	if (send(fd, query + skip_bytes, length - skip_bytes, 0) == (ssize_t)(length - skip_bytes))
		got = recv(fd, answer, sizeof(answer), 0);
	const size_t at = type == SOCK_STREAM ? 2 : 0;
	if (got >= (ssize_t)at + 12 && (answer[at + 3] & 15) != 0)
		snprintf(text, sizeof(text), "code %d", answer[at + 3] & 15);
	else if (got >= (ssize_t)at + 12 && answer[at + 7] == 0)
		snprintf(text, sizeof(text), "empty");
	else if (got >= (ssize_t)at + 12) {
		struct ip ip = { .v6 = kind == DNS_TYPE_AAAA };
		memcpy(ip.bytes, answer + got - (ip.v6 ? 16 : 4), ip.v6 ? 16 : 4);
		ip_text(&ip, text);
	}
	dprintf(report, "%s\n", text);
	close(fd);
}

static void act_through(int report)
{
	resolve(report, SOCK_DGRAM, "host.npxc.internal", DNS_TYPE_A);
	resolve(report, SOCK_STREAM, "host.npxc.internal", DNS_TYPE_A);
	resolve(report, SOCK_DGRAM, "HOST.npxc.INTERNAL", DNS_TYPE_AAAA);
	resolve(report, SOCK_DGRAM, "host.npxc.internal", 65);
	resolve(report, SOCK_DGRAM, "evil.test", DNS_TYPE_A);
	resolve(report, SOCK_STREAM, "evil.test", DNS_TYPE_AAAA);
	resolve(report, SOCK_DGRAM, "npm.localhost", DNS_TYPE_A);
	resolve(report, SOCK_DGRAM, "localhost.evil", DNS_TYPE_A);
}

/* The first name that is asked for has the first address. */
static char name_v4[IP_TEXT_BYTES], name_v6[IP_TEXT_BYTES];

static void act_connect(int report)
{
	resolve(report, SOCK_DGRAM, "host.npxc.internal", DNS_TYPE_A);
	resolve(report, SOCK_DGRAM, "host.npxc.internal", DNS_TYPE_AAAA);
	ask(report, SOCK_STREAM, name_v4, tcp_port);
	ask(report, SOCK_STREAM, name_v6, tcp_port);
	ask(report, SOCK_DGRAM, "10.9.8.7", udp_port);
	ask(report, SOCK_STREAM, "10.9.8.7", udp_port); /* the rule is for both */
	/* everything else that is listened for is refused */
	ask(report, SOCK_STREAM, "127.0.0.1", tcp_port);
	ask(report, SOCK_STREAM, "::1", tcp_port);
	ask(report, SOCK_STREAM, "10.9.8.7", tcp_port);
	ask(report, SOCK_STREAM, "198.18.77.77", tcp_port);
	ask(report, SOCK_STREAM, name_v4, udp_port);
}

static void serve_outside(int listener, const char *text)
{
	const int fd = world_accept(listener);

	world_hear(fd, text);
	world_say(fd, "!");
	world_expect_end(fd);
	close(fd);
}

static void start_with_netns(struct world *world, struct netns_wish *ret_wish)
{
	struct npxc_error err = { 0 };
	mem_cleanup char *udp_rule = str_printf("10.9.8.7:%u", udp_port);

	world_init(world);
	world_allow_port(world, tcp_port);
	world_allow(world, udp_rule);
	world->settings.link = POLICY_LINK_NETNS;
	world_await(world);
	assert_true(netns_wish_of(&world->rules, NULL, ret_wish, &err));
}

static void names_have_addresses_inside(void **state)
{
	struct netns_wish wish;
	struct world world;
	char line[256];

	(void)state;
	tcp_port = 11434;
	udp_port = 5353;
	start_with_netns(&world, &wish);
	struct guest guest = { .wish = &wish, .act = act_through, .handoff = world.egress.handoff };
	struct inside inside = guest_start(&guest);
	fd_close(&world.egress.handoff);
	guest_expect(&inside, "in");
	guest_hear(&inside, name_v4, sizeof(name_v4));
	assert_true(str_starts(name_v4, "198.18.") || str_starts(name_v4, "198.19."));
	guest_expect(&inside, name_v4);
	guest_hear(&inside, name_v6, sizeof(name_v6));
	assert_true(str_starts(name_v6, "fd"));
	guest_expect(&inside, "empty");
	guest_expect(&inside, "code 3");
	guest_hear(&inside, line, sizeof(line));
	assert_string_equal(line, "code 3");
	guest_expect(&inside, "127.0.0.1"); /* its own */
	guest_expect(&inside, "code 3");
	guest_end(&inside);
	mem_cleanup char *log = world_audit(&world);
	assert_int_equal(world_count(log, "\"host\":\"evil.test\",\"kind\":\"dns\""), 2); /* the second: repeated */
	world_end(&world);
}

static void flows_go_through(void **state)
{
	struct netns_wish wish;
	struct egress_denial denial;
	struct world world;
	struct sockaddr_in address = { .sin_family = AF_INET };
	socklen_t length = sizeof(address);
	char bytes[64];

	(void)state;
	const int server = world_listen(&tcp_port);
	const int udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	world_bound_time(udp);
	address.sin_addr.s_addr = htonl(0x0a090807);
	assert_int_equal(bind(udp, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(getsockname(udp, (struct sockaddr *)&address, &length), 0);
	udp_port = ntohs(address.sin_port);
	const int near = world_listen_at("10.9.8.7", 16, &udp_port);
	start_with_netns(&world, &wish);
	struct guest guest = { .wish = &wish, .act = act_connect, .handoff = world.egress.handoff };
	struct inside inside = guest_start(&guest);
	fd_close(&world.egress.handoff);
	guest_expect(&inside, "in");
	guest_expect(&inside, name_v4);
	guest_expect(&inside, name_v6);
	serve_outside(server, name_v4);
	serve_outside(server, name_v6);
	length = sizeof(address);
	assert_int_equal(recvfrom(udp, bytes, sizeof(bytes), 0, (struct sockaddr *)&address, &length), 8);
	assert_int_equal(sendto(udp, "!", 1, 0, (struct sockaddr *)&address, length), 1);
	serve_outside(near, "10.9.8.7");
	mem_cleanup char *ok_v4 = str_printf("%s: ok", name_v4);
	mem_cleanup char *ok_v6 = str_printf("%s: ok", name_v6);
	mem_cleanup char *refused_v4 = str_printf("%s: Connection reset by peer", name_v4);
	guest_expect(&inside, ok_v4);
	guest_expect(&inside, ok_v6);
	guest_expect(&inside, "10.9.8.7: ok");
	guest_expect(&inside, "10.9.8.7: ok");
	guest_expect(&inside, "127.0.0.1: Connection reset by peer");
	guest_expect(&inside, "::1: Connection reset by peer");
	guest_expect(&inside, "10.9.8.7: Connection reset by peer");
	guest_expect(&inside, "198.18.77.77: Connection reset by peer");
	guest_expect(&inside, refused_v4);
	guest_end(&inside);
	assert_true(world_nobody_connected(server) && world_nobody_connected(near));
	assert_int_equal(egress_read(&world.egress, &denial), EGRESS_DENIED);
	mem_cleanup char *log = world_audit(&world);
	assert_int_equal(world_count(log, "\"verdict\":\"deny\""), 5);
	assert_int_equal(world_count(log, "\"verdict\":\"allow\""), 4);
	assert_int_equal(world_count(log, "\"kind\":\"udp\",\"up\":8,\"down\":1,"), 1);
	close(server);
	close(udp);
	close(near);
	world_end(&world);
}

/* A socket for each question, more of them than there may be flows, as some resolvers do. */
enum { QUESTIONS = LIMIT_EGRESS_UDP_FLOWS + 50 };

static void act_many_questions(int report)
{
	int answered = 0;

	for (uint16_t i = 0; i < QUESTIONS; i++) {
		char answer[8];
		const int fd = connect_to(SOCK_DGRAM, "10.9.8.7", udp_port);

		world_must(fd != -1 && send(fd, &i, sizeof(i), 0) == sizeof(i), "ask");
		answered += recv(fd, answer, sizeof(answer), 0) == 1; /* kept open: its flow would live on */
	}
	dprintf(report, "%d answered\n", answered);
}

static void a_port_for_each_question(void **state)
{
	struct netns_wish wish;
	struct world world;
	struct sockaddr_in address = { .sin_family = AF_INET };
	socklen_t length = sizeof(address);
	char bytes[64];

	(void)state;
	const int server = world_listen(&tcp_port);
	const int udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	world_bound_time(udp);
	address.sin_addr.s_addr = htonl(0x0a090807);
	assert_int_equal(bind(udp, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(getsockname(udp, (struct sockaddr *)&address, &length), 0);
	udp_port = ntohs(address.sin_port);
	start_with_netns(&world, &wish);
	struct guest guest = { .wish = &wish, .act = act_many_questions, .handoff = world.egress.handoff };
	struct inside inside = guest_start(&guest);
	fd_close(&world.egress.handoff);
	guest_expect(&inside, "in");
	for (int i = 0; i < QUESTIONS; i++) {
		length = sizeof(address);
		if (recvfrom(udp, bytes, sizeof(bytes), 0, (struct sockaddr *)&address, &length) != 2)
			fail_msg("question %d did not come", i);
		assert_int_equal(sendto(udp, "!", 1, 0, (struct sockaddr *)&address, length), 1);
	}
	mem_cleanup char *all = str_printf("%d answered", QUESTIONS);
	guest_expect(&inside, all);
	guest_end(&inside);
	mem_cleanup char *log = world_audit(&world);
	assert_int_equal(world_count(log, "EMFILE"), 0);
	close(server);
	close(udp);
	world_end(&world);
	/* and a question that was answered waits for no other */
	assert_int_equal(udp_idle_ms(1, 0), LIMIT_EGRESS_UDP_IDLE_MS);
	assert_int_equal(udp_idle_ms(1, 40), LIMIT_EGRESS_UDP_ANSWERED_MS);
	assert_int_equal(udp_idle_ms(2, 40), LIMIT_EGRESS_UDP_IDLE_MS);
	assert_true(LIMIT_EGRESS_UDP_ANSWERED_MS < LIMIT_EGRESS_UDP_IDLE_MS);
}

static void act_without_port(int report)
{
	ask(report, SOCK_STREAM, "10.9.8.7", tcp_port);
	ask(report, SOCK_STREAM, "10.9.8.8", tcp_port);
	ask(report, SOCK_STREAM, "127.0.0.1", tcp_port);
}

static void rules_without_a_port(void **state)
{
	struct npxc_error err = { 0 };
	struct netns_wish wish;
	struct world world;

	(void)state;
	if (find_nft() == NULL) {
		print_message("skipped: rules without ports need nft, and there is none here\n");
		skip();
	}
	tcp_port = 0;
	const int server = world_listen_at("10.9.8.7", 16, &tcp_port);
	world_init(&world);
	world_allow(&world, "10.9.8.7");
	world.settings.link = POLICY_LINK_NETNS;
	world_await(&world);
	assert_true(netns_wish_of(&world.rules, find_nft(), &wish, &err));
	struct guest guest = { .wish = &wish, .act = act_without_port, .handoff = world.egress.handoff };
	struct inside inside = guest_start(&guest);
	fd_close(&world.egress.handoff);
	guest_expect(&inside, "in");
	serve_outside(server, "10.9.8.7");
	guest_expect(&inside, "10.9.8.7: ok");
	guest_expect(&inside, "10.9.8.8: Connection reset by peer");
	guest_expect(&inside, "127.0.0.1: Connection refused");
	guest_end(&inside);
	close(server);
	world_end(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rules_tell_which_ports_are_listened_to),
		cmocka_unit_test(wishes_that_cannot_be),
		cmocka_unit_test(every_connection_and_datagram_arrives_at_its_socket),
		cmocka_unit_test(every_port_arrives),
		cmocka_unit_test(it_says_what_is_refused),
		cmocka_unit_test(nobody_takes_the_sockets),
		cmocka_unit_test(names_have_addresses_inside),
		cmocka_unit_test(flows_go_through),
		cmocka_unit_test(a_port_for_each_question),
		cmocka_unit_test(rules_without_a_port),
	};

	world_make_network("127.0.0.1 localhost\n");
	alarm(200);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
