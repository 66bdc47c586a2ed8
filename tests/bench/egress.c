/*
 * Both ends of what is measured about the way out of a sandbox.
 *
 *   egress serve                    listens on this machine's loopback, prints the port, gives back each byte; ends
 * with stdin egress echo HOST PORT N         N times: connect, one byte there and back, close; prints microseconds, one
 * a line egress flows HOST PORT SECONDS  the same as fast as it goes; prints how many egress refused HOST PORT SECONDS
 * connects to what is refused, as fast as it goes; prints how many egress hold HOST PORT N         N connections, one
 * byte there and back on each; prints "held", ends with stdin
 */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static double now_us(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static void raise_limit(void)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

/* ---- the server ---- */

static void watch(int loop, int fd)
{
	struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };
	if (epoll_ctl(loop, EPOLL_CTL_ADD, fd, &event) == -1)
		fail("epoll_ctl");
}

static int serve(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t length = sizeof(address);
	const int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	const int loop = epoll_create1(0);
	const int on = 1;

	if (bind(listener, (struct sockaddr *)&address, length) == -1 || listen(listener, 4096) == -1 ||
	    getsockname(listener, (struct sockaddr *)&address, &length) == -1)
		fail("listen");
	printf("%u\n", ntohs(address.sin_port));
	fflush(stdout);
	watch(loop, listener);
	watch(loop, STDIN_FILENO);
	for (;;) {
		struct epoll_event events[64];
		const int count = epoll_wait(loop, events, 64, -1);
		for (int i = 0; i < count; i++) {
			const int fd = events[i].data.fd;
			char bytes[256];
			if (fd == STDIN_FILENO)
				return 0;
			if (fd == listener) {
				int accepted;
				while ((accepted = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) != -1) {
					setsockopt(accepted, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
					watch(loop, accepted);
				}
				continue;
			}
			const ssize_t got = read(fd, bytes, sizeof(bytes));
			if (got <= 0 || write(fd, bytes, (size_t)got) != got)
				close(fd);
		}
	}
}

/* ---- the clients ---- */

static struct sockaddr_storage target;
static socklen_t target_length;

static void find(const char *host, const char *port)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_family = AF_INET };
	struct addrinfo *found;
	if (getaddrinfo(host, port, &hints, &found) != 0)
		fail("getaddrinfo");
	memcpy(&target, found->ai_addr, found->ai_addrlen);
	target_length = found->ai_addrlen;
	freeaddrinfo(found);
}

static int dial(void)
{
	const int fd = socket(AF_INET, SOCK_STREAM, 0);
	const struct linger now = { .l_onoff = 1 }; /* no ports in TIME_WAIT: there are only so many */
	const int on = 1;
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (connect(fd, (struct sockaddr *)&target, target_length) == -1) {
		close(fd);
		return -1;
	}
	return fd;
}

static int there_and_back(int fd)
{
	char byte = 'x';
	return fd != -1 && write(fd, &byte, 1) == 1 && read(fd, &byte, 1) == 1;
}

static int echo(long rounds)
{
	for (long i = 0; i < rounds; i++) {
		const double began = now_us();
		const int fd = dial();
		if (!there_and_back(fd))
			fail("echo");
		printf("%.1f\n", now_us() - began);
		close(fd);
	}
	return 0;
}

static int flows(long seconds, int refused)
{
	const double end = now_us() + (double)seconds * 1e6;
	long count = 0;
	while (now_us() < end) {
		const int fd = dial();
		const int worked = there_and_back(fd);
		if (worked == refused && (fd != -1 || !refused))
			fail(refused ? "not refused" : "refused");
		if (fd != -1)
			close(fd);
		count++;
	}
	printf("%ld\n", count);
	return 0;
}

static int hold(long count)
{
	char byte;
	for (long i = 0; i < count; i++)
		if (!there_and_back(dial()))
			fail("hold");
	printf("held\n");
	fflush(stdout);
	return read(STDIN_FILENO, &byte, 1) < 0;
}

int main(int argc, char **argv)
{
	raise_limit();
	if (argc == 2 && strcmp(argv[1], "serve") == 0)
		return serve();
	if (argc != 5)
		return 2;
	find(argv[2], argv[3]);
	const long number = strtol(argv[4], NULL, 10);
	if (strcmp(argv[1], "echo") == 0)
		return echo(number);
	if (strcmp(argv[1], "flows") == 0)
		return flows(number, 0);
	if (strcmp(argv[1], "refused") == 0)
		return flows(number, 1);
	if (strcmp(argv[1], "hold") == 0)
		return hold(number);
	return 2;
}
