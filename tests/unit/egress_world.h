#ifndef NPXC_TESTS_EGRESS_WORLD_H
#define NPXC_TESTS_EGRESS_WORLD_H

/*
 * An egress process as a session has it, guests that connect to it, and servers outside: all in a network namespace of
 * the test's own, with 10.0.0.0/8 on its loopback interface and an /etc/hosts that the test wrote. Linux only.
 */

#include "unit.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"
#include "egress/egress.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* Nothing here waits longer for anything. */
enum { WORLD_WAIT_S = 20 };

static inline void world_must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "test: %s: %s\n", what, strerror(errno));
	_exit(125);
}

static inline void world_write(const char *path, const char *text)
{
	const int fd = open(path, O_WRONLY | O_CLOEXEC);

	world_must(fd != -1 && write(fd, text, strlen(text)) == (ssize_t)strlen(text), path);
	close(fd);
}

/* For the whole test program. */
static inline void world_make_network(const char *hosts)
{
	const unsigned uid = geteuid(), gid = getegid();
	char map[64], path[] = "/tmp/npxc-hosts-XXXXXX";
	struct ifreq request = { .ifr_name = "lo" };
	struct sockaddr_in *address = (struct sockaddr_in *)(void *)&request.ifr_addr;
	const int hosts_fd = mkstemp(path);
	int fd;

	world_must(hosts_fd != -1 && fchmod(hosts_fd, 0644) == 0, "hosts");
	world_must(write(hosts_fd, hosts, strlen(hosts)) == (ssize_t)strlen(hosts), "hosts");
	close(hosts_fd);
	world_must(unshare((uid == 0 ? 0 : CLONE_NEWUSER) | CLONE_NEWNET | CLONE_NEWNS) == 0, "unshare");
	if (uid != 0) {
		world_write("/proc/self/setgroups", "deny");
		snprintf(map, sizeof(map), "%u %u 1", uid, uid);
		world_write("/proc/self/uid_map", map);
		snprintf(map, sizeof(map), "%u %u 1", gid, gid);
		world_write("/proc/self/gid_map", map);
	}
	world_must(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0, "private mounts");
	world_must(mount(path, "/etc/hosts", NULL, MS_BIND, NULL) == 0, "mount /etc/hosts");
	world_must(unlink(path) == 0, "unlink");
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	request.ifr_flags = IFF_UP;
	world_must(fd != -1 && ioctl(fd, SIOCSIFFLAGS, &request) == 0, "lo up");
	memset(&request, 0, sizeof(request));
	memcpy(request.ifr_name, "lo:1", sizeof("lo:1"));
	address->sin_family = AF_INET;
	address->sin_addr.s_addr = htonl(0x0a090807); /* 10.9.8.7/8: on lo the whole prefix is local */
	world_must(ioctl(fd, SIOCSIFADDR, &request) == 0, "lo's address");
	close(fd);
	/* A process that goes leaves its egress process to us, who look whether it goes as well. */
	world_must(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0, "subreaper");
	signal(SIGPIPE, SIG_IGN);
}

/* ---- sockets ---- */

static inline void world_bound_time(int fd)
{
	const struct timeval limit = { .tv_sec = WORLD_WAIT_S };

	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)), 0);
}

static inline int world_listen_at(const char *ip, int backlog, uint16_t *ret_port)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(*ret_port) };
	socklen_t length = sizeof(address);
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	assert_int_equal(inet_pton(AF_INET, ip, &address.sin_addr), 1);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, backlog), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &length), 0);
	*ret_port = ntohs(address.sin_port);
	world_bound_time(fd);
	return fd;
}

/* A server outside, on this machine's loopback, as `host.npxc.internal:PORT` names it. */
static inline int world_listen(uint16_t *ret_port)
{
	*ret_port = 0;
	return world_listen_at("127.0.0.1", 4096, ret_port);
}

static inline int world_accept(int listener)
{
	const int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

	if (fd == -1)
		fail_msg("nobody connected: %s", strerror(errno));
	world_bound_time(fd);
	return fd;
}

static inline bool world_nobody_connected(int listener)
{
	struct pollfd polled = { .fd = listener, .events = POLLIN };

	return poll(&polled, 1, 0) == 0;
}

static inline void world_send(int fd, const void *bytes, size_t count)
{
	const char *p = bytes;

	while (count > 0) {
		const ssize_t put = send(fd, p, count, MSG_NOSIGNAL);
		if (put <= 0)
			fail_msg("cannot send: %s", strerror(errno));
		p += put;
		count -= (size_t)put;
	}
}

static inline void world_say(int fd, const char *text)
{
	world_send(fd, text, strlen(text));
}

/* Exactly that. */
static inline void world_expect(int fd, const void *bytes, size_t count)
{
	char got[4096];
	size_t have = 0;

	assert_true(count <= sizeof(got));
	while (have < count) {
		const ssize_t n = recv(fd, got + have, count - have, 0);
		if (n <= 0)
			fail_msg("%zu bytes of \"%.*s\" came: %s", have, (int)count, (const char *)bytes,
			         n == 0 ? "the end" : strerror(errno));
		have += (size_t)n;
	}
	if (memcmp(got, bytes, count) != 0)
		fail_msg("\"%.*s\" came, not \"%.*s\"", (int)count, got, (int)count, (const char *)bytes);
}

static inline void world_hear(int fd, const char *text)
{
	world_expect(fd, text, strlen(text));
}

static inline void world_expect_end(int fd)
{
	char byte;
	const ssize_t got = recv(fd, &byte, 1, 0);

	if (got != 0)
		fail_msg("no end: %s", got == -1 ? strerror(errno) : "a byte");
}

static inline void world_expect_reset(int fd)
{
	char bytes[4096];
	ssize_t got;

	do
		got = recv(fd, bytes, sizeof(bytes), 0);
	while (got > 0);
	if (got != -1 || errno != ECONNRESET)
		fail_msg("no reset: %s", got == 0 ? "the end" : strerror(errno));
}

static inline void world_reset(int *fd)
{
	const struct linger now = { .l_onoff = 1 };

	assert_int_equal(setsockopt(*fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)), 0);
	fd_close(fd);
}

/* All that comes until the end or a reset, with a NUL. */
static inline size_t world_read_all(int fd, char *ret_text, size_t size)
{
	size_t have = 0;

	for (;;) {
		const ssize_t got = recv(fd, ret_text + have, size - 1 - have, 0);
		if (got == -1 && (errno == EAGAIN || errno == EINTR))
			fail_msg("no end came");
		if (got <= 0)
			break;
		have += (size_t)got;
		assert_true(have < size - 1);
	}
	ret_text[have] = '\0';
	return have;
}

/* ---- the process ---- */

struct world {
	struct egress egress;
	struct egress_settings settings;
	struct rules rules;
	struct ip_prefix subnet;
	char *directory; /* owned: the socket, the audit log's directory */
	char *socket, *audit;
	uint16_t port; /* link gateway */
	int listener;
};

static inline void world_allow(struct world *world, const char *rule)
{
	struct npxc_error err = { 0 };

	if (!rules_add(&world->rules, rule, &err))
		fail_msg("%s", err.message);
}

static inline void world_allow_port(struct world *world, uint16_t port)
{
	mem_cleanup char *rule = str_printf("host.npxc.internal:%u", port);

	world_allow(world, rule);
}

static inline void world_init(struct world *world)
{
	struct npxc_error err = { 0 };

	*world = (struct world){ .egress = EGRESS_NONE, .listener = -1 };
	if (!file_make_temporary_directory("/tmp", "npxc-egress-", &world->directory, &err))
		fail_msg("%s", err.message);
	world->socket = str_printf("%s/s", world->directory);
	world->audit = str_printf("%s/audit", world->directory);
	world->settings = (struct egress_settings){ .rules = &world->rules,
		                                    .link = POLICY_LINK_SOCKET,
		                                    .audit_directory = world->audit,
		                                    .session = "session",
		                                    .package = "package",
		                                    .listener = -1 };
}

static inline void world_await(struct world *world)
{
	struct npxc_error err = { 0 };

	world->settings.listener = world->listener;
	if (!egress_start(&world->settings, &world->egress, &err) || !egress_await(&world->egress, &err))
		fail_msg("%s", err.message);
}

static inline void world_start(struct world *world)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", world->socket);
	world->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(world->listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(world->listener, 4096), 0);
	world_await(world);
}

/* Link gateway. */
static inline void world_start_gateway(struct world *world, const char *token, const char *subnet)
{
	world->port = 0;
	world->listener = world_listen_at("0.0.0.0", 4096, &world->port);
	assert_int_equal(fcntl(world->listener, F_SETFL, O_NONBLOCK), 0);
	world->settings.link = POLICY_LINK_GATEWAY;
	world->settings.token = token;
	if (subnet != NULL) {
		assert_true(ip_parse_prefix(subnet, strlen(subnet), &world->subnet));
		world->settings.subnet = &world->subnet;
	}
	world_await(world);
}

static inline void world_end(struct world *world)
{
	struct npxc_error err = { 0 };

	egress_done(&world->egress);
	fd_close(&world->listener);
	rules_done(&world->rules);
	if (!file_remove_tree(world->directory, &err))
		fail_msg("%s", err.message);
	free(world->directory);
	free(world->socket);
	free(world->audit);
}

/* The audit log as text, owned. The process has to have ended, for what it counts comes then. */
static inline char *world_audit(struct world *world)
{
	mem_cleanup char *flows = str_printf("%s/session.jsonl", world->audit);
	mem_cleanup char *denials = str_printf("%s/session.denied.jsonl", world->audit);
	struct buf bytes = BUF_INIT(16 * MIB), more = BUF_INIT(16 * MIB);
	struct npxc_error err = { 0 };

	egress_stop(&world->egress);
	if (!file_read(flows, &bytes, &err))
		fail_msg("%s", err.message);
	if (file_exists(denials) &&
	    (!file_read(denials, &more, &err) || !buf_append(&bytes, more.data, more.length, &err)))
		fail_msg("%s", err.message);
	buf_done(&more);
	return buf_take(&bytes);
}

static inline size_t world_count(const char *text, const char *part)
{
	size_t count = 0;

	for (const char *p = strstr(text, part); p != NULL; p = strstr(p + 1, part))
		count++;
	return count;
}

/* ---- guests ---- */

static inline int world_dial(const struct world *world)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", world->socket);
	world_bound_time(fd);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == -1)
		fail_msg("cannot connect to the egress process: %s", strerror(errno));
	return fd;
}

/* Link gateway, from the address. -1: refused. */
static inline int world_dial_gateway(const struct world *world, const char *from)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(inet_pton(AF_INET, from, &address.sin_addr), 1);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	address.sin_port = htons(world->port);
	world_bound_time(fd);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == -1)
		fail_msg("cannot connect to the egress process: %s", strerror(errno));
	return fd;
}

static inline void world_ask(int fd, const char *host, uint16_t port)
{
	mem_cleanup char *head = str_printf("CONNECT %s:%u HTTP/1.1\r\n\r\n", host, port);

	world_say(fd, head);
}

static inline void world_hear_ok(int fd)
{
	world_hear(fd, "HTTP/1.1 200 OK\r\n\r\n");
}

/* A flow to a server of the test's; both ends. */
static inline int world_flow(const struct world *world, int server, uint16_t port, int *ret_outside)
{
	const int guest = world_dial(world);

	world_ask(guest, "host.npxc.internal", port);
	world_hear_ok(guest);
	*ret_outside = world_accept(server);
	return guest;
}

/* The number behind `key` in /proc/PID/status. */
static inline unsigned long world_status(pid_t pid, const char *key)
{
	mem_cleanup char *path = str_printf("/proc/%d/status", (int)pid);
	FILE *file = fopen(path, "r");
	char line[256];
	unsigned long value = 0;

	assert_non_null(file);
	while (fgets(line, sizeof(line), file) != NULL)
		if (strncmp(line, key, strlen(key)) == 0 && line[strlen(key)] == ':')
			value = strtoul(line + strlen(key) + 1, NULL, 10);
	fclose(file);
	return value;
}

/* milliseconds of processor time that it has had. */
static inline unsigned long world_cpu_ms(pid_t pid)
{
	mem_cleanup char *path = str_printf("/proc/%d/stat", (int)pid);
	FILE *file = fopen(path, "r");
	unsigned long user = 0, system = 0;

	assert_non_null(file);
	assert_int_equal(
	    fscanf(file, "%*d (%*[^)]) %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system), 2);
	fclose(file);
	return (user + system) * 1000 / (unsigned long)sysconf(_SC_CLK_TCK);
}

#endif
