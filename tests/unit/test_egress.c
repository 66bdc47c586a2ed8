#include "egress_world.h"

#include "hello.h"

#include "egress/hello.h"

/* ---- asking ---- */

static void what_is_allowed_gets_through(void **state)
{
	struct world world;
	uint16_t port;
	int server = world_listen(&port), guest, outside;

	(void)state;
	world_init(&world);
	world_allow_port(&world, port);
	world_start(&world);
	guest = world_flow(&world, server, port, &outside);
	world_say(guest, "question");
	world_hear(outside, "question");
	world_say(outside, "an answer");
	world_hear(guest, "an answer");
	fd_close(&outside);
	world_expect_end(guest);
	fd_close(&guest);
	/* what the guest sends with its request is not lost */
	guest = world_dial(&world);
	mem_cleanup char *early = str_printf("CONNECT HOST.npxc.internal.:%u HTTP/1.1\r\nA: b\r\n\r\nearly", port);
	world_say(guest, early);
	outside = world_accept(server);
	world_hear(outside, "early");
	world_hear_ok(guest);
	fd_close(&guest);
	fd_close(&outside);
	mem_cleanup char *log = world_audit(&world);
	assert_int_equal(world_count(log, "\"verdict\":\"allow\",\"code\":\"ok\",\"host\":\"host.npxc.internal\""), 2);
	assert_int_equal(world_count(log, "\"ip\":\"127.0.0.1\""), 2);
	assert_int_equal(world_count(log, "\"up\":8,\"down\":9,"), 1);
	assert_int_equal(world_count(log, "\"up\":5,\"down\":0,"), 1);
	assert_int_equal(world_count(log, "\n"), 2);
	fd_close(&server);
	world_end(&world);
}

static void what_is_not_is_refused_in_words(void **state)
{
	static const struct {
		const char *head; /* %u: the port of the server that listens */
		const char *answer, *code, *why;
	} cases[] = {
		{ "CONNECT evil.test:443 HTTP/1.1\r\n\r\n", "403", "EACCES", "evil.test:443 is not in the allow list" },
		{ "CONNECT 127.0.0.1:%u HTTP/1.1\r\n\r\n", "403", "EACCES", "is not in the allow list" },
		{ "CONNECT [::ffff:127.0.0.1]:%u HTTP/1.1\r\n\r\n", "403", "EACCES", "is not in the allow list" },
		{ "CONNECT [::1]:%u HTTP/1.1\r\n\r\n", "403", "EACCES", "[::1]:" },
		{ "CONNECT localhost:%u HTTP/1.1\r\n\r\n", "403", "EACCES", "is not in the allow list" },
		{ "CONNECT x.host.npxc.internal:%u HTTP/1.1\r\n\r\n", "403", "EACCES", "is not in the allow list" },
		{ "CONNECT host.npxc.internal:9 HTTP/1.1\r\n\r\n", "403", "EACCES", "is not in the allow list" },
		{ "CONNECT 198.18.0.5:443 HTTP/1.1\r\n\r\n", "403", "EACCES", "is not in the allow list" },
		{ "CONNECT none.test:80 HTTP/1.1\r\n\r\n", "502", "ENOTFOUND", "none.test:80 has no address" },
		{ "CONNECT near.test:80 HTTP/1.1\r\n\r\n", "403", "EACCES", "near.test:80: private address" },
		{ "CONNECT own.test:80 HTTP/1.1\r\n\r\n", "403", "EACCES", "own.test:80: loopback address" },
		{ "CONNECT meta.test:80 HTTP/1.1\r\n\r\n", "403", "EACCES", "meta.test:80: link-local address" },
		{ "CONNECT 10.9.8.7:1 HTTP/1.1\r\n\r\n", "502", "ECONNREFUSED", "10.9.8.7:1 refused the connection" },
		{ "CONNECT host.npxc.internal:1 HTTP/1.1\r\n\r\n", "502", "ECONNREFUSED", "refused the connection" },
		{ "GET / HTTP/1.1\r\n\r\n", "400", "EPROTO", "only CONNECT" },
		{ "CONNECT 127.1:%u HTTP/1.1\r\n\r\n", "400", "EPROTO", "neither" },
		{ "CONNECT host.npxc.internal:0%u HTTP/1.1\r\n\r\n", "400", "EPROTO", "port" },
		{ "CONNECT host.npxc.internal:%u HTTP/1.1\n\n", "400", "EPROTO", "CR" },
	};
	struct world world;
	uint16_t port;
	int server = world_listen(&port);

	(void)state;
	world_init(&world);
	world_allow_port(&world, port);
	world_allow_port(&world, 1);
	world_allow(&world, "none.test");
	world_allow(&world, "near.test");
	world_allow(&world, "own.test");
	world_allow(&world, "meta.test");
	world_allow(&world, "10.9.8.7:1");
	world_start(&world);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[4096];
		mem_cleanup char *number = str_printf("%u", port);
		const char *at = strstr(cases[i].head, "%u");
		mem_cleanup char *head =
		    at == NULL ? str_dup(cases[i].head)
		               : str_printf("%.*s%s%s", (int)(at - cases[i].head), cases[i].head, number, at + 2);
		mem_cleanup char *line =
		    str_printf("HTTP/1.1 %s npxc\r\nNpxc-Error: %s\r\n", cases[i].answer, cases[i].code);
		const int guest = world_dial(&world);

		world_say(guest, head);
		world_read_all(guest, text, sizeof(text));
		if (!str_starts(text, line) || strstr(text, cases[i].why) == NULL)
			fail_msg("%s: %s", head, text);
		close(guest);
	}
	/* a head that does not end */
	char big[LIMIT_EGRESS_CONNECT_BYTES + 1], text[4096];
	const int guest = world_dial(&world);
	memset(big, 'a', sizeof(big));
	memcpy(big, "CONNECT a:1 HTTP/1.1\r\nX: ", 25);
	world_send(guest, big, sizeof(big));
	world_read_all(guest, text, sizeof(text));
	assert_true(str_starts(text, "HTTP/1.1 431 npxc\r\n"));
	close(guest);
	assert_true(world_nobody_connected(server));
	close(server);
	world_end(&world);
}

static enum egress_news next_news(struct world *world, struct egress_denial *ret_denial)
{
	struct pollfd polled = { .fd = world->egress.control, .events = POLLIN };
	enum egress_news news = egress_read(&world->egress, ret_denial);

	while (news == EGRESS_NOTHING && poll(&polled, 1, WORLD_WAIT_S * 1000) == 1)
		news = egress_read(&world->egress, ret_denial);
	return news;
}

static void ask_and_leave(struct world *world, const char *host, uint16_t port)
{
	char text[4096];
	const int guest = world_dial(world);

	world_ask(guest, host, port);
	world_read_all(guest, text, sizeof(text));
	close(guest);
}

static void denials_are_told_once(void **state)
{
	struct egress_denial denial;
	struct world world;

	(void)state;
	world_init(&world);
	world_start(&world);
	for (int i = 0; i < 3; i++)
		ask_and_leave(&world, "evil.test", 443);
	ask_and_leave(&world, "evil.test", 444);
	ask_and_leave(&world, "[2001:db8::1]", 443);
	assert_int_equal(next_news(&world, &denial), EGRESS_DENIED);
	assert_string_equal(denial.host, "evil.test");
	assert_int_equal(denial.port, 443);
	assert_true(denial.is_host);
	assert_int_equal(denial.add, AUDIT_ADD_RULE);
	assert_int_equal(denial.reason, REASON_UNLISTED);
	assert_int_equal(next_news(&world, &denial), EGRESS_DENIED);
	assert_int_equal(denial.port, 444);
	assert_int_equal(next_news(&world, &denial), EGRESS_DENIED);
	assert_string_equal(denial.host, "2001:db8::1");
	assert_true(denial.is_host);
	assert_int_equal(egress_read(&world.egress, &denial), EGRESS_NOTHING);
	mem_cleanup char *log = world_audit(&world);
	assert_int_equal(egress_read(&world.egress, &denial), EGRESS_ENDED);
	assert_int_equal(world_count(log, "\"verdict\":\"deny\""), 4);
	assert_int_equal(world_count(log, "\"repeat\":2}"), 1); /* the first, and its two repetitions */
	world_end(&world);
}

static void the_token_is_asked_for(void **state)
{
	static const char *const wrong[] = { "",
		                             "Proxy-Authorization: Basic bnB4YzpzZWNyZQ==\r\n",
		                             "Proxy-Authorization: Basic bnB4YzpzZWNyZXQ=x\r\n",
		                             "Proxy-Authorization: Basic bnB4YzpzZWNyZXQ\r\n",
		                             "Proxy-Authorization: Basic \r\n",
		                             "Authorization: Basic bnB4YzpzZWNyZXQ=\r\n" };
	struct world world;
	uint16_t port;
	int server = world_listen(&port), guest, outside;
	char text[4096];

	(void)state;
	world_init(&world);
	world_allow_port(&world, port);
	world_start_gateway(&world, "bnB4YzpzZWNyZXQ=", "10.9.8.0/24");
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		mem_cleanup char *head = str_printf("CONNECT host.npxc.internal:%u HTTP/1.1\r\n%s\r\n", port, wrong[i]);
		guest = world_dial_gateway(&world, "10.9.8.7");
		world_say(guest, head);
		world_read_all(guest, text, sizeof(text));
		if (!str_starts(text, "HTTP/1.1 407 npxc\r\n") || strstr(text, "Proxy-Authenticate: Basic") == NULL)
			fail_msg("%s: %s", head, text);
		fd_close(&guest);
	}
	assert_true(world_nobody_connected(server));
	/* from outside of the network nobody is even listened to */
	guest = world_dial_gateway(&world, "127.0.0.1");
	world_expect_reset(guest);
	fd_close(&guest);
	guest = world_dial_gateway(&world, "10.9.9.1");
	world_expect_reset(guest);
	fd_close(&guest);

	guest = world_dial_gateway(&world, "10.9.8.200");
	mem_cleanup char *head = str_printf("CONNECT host.npxc.internal:%u HTTP/1.1\r\n"
	                                    "Proxy-Authorization: Basic bnB4YzpzZWNyZXQ=\r\n\r\n",
	                                    port);
	world_say(guest, head);
	world_hear_ok(guest);
	outside = world_accept(server);
	world_say(guest, "x");
	world_hear(outside, "x");
	fd_close(&guest);
	fd_close(&outside);
	fd_close(&server);
	world_end(&world);
}

/* ---- relaying ---- */

/* What byte `at` of a stream is. */
static unsigned char byte_of(uint64_t at, unsigned seed)
{
	const uint64_t mixed = (at / 7 + seed) * 0x9e3779b97f4a7c15U;

	return (unsigned char)(mixed >> 56) ^ (unsigned char)at;
}

struct stream {
	int from, to;
	unsigned seed;
	uint64_t total, sent, got;
	size_t read_bytes; /* at once: a slow reader takes little */
	bool stays;        /* without an end */
	bool ended;
};

static void stream_send(struct stream *s)
{
	unsigned char bytes[32768];
	size_t count = 0;

	while (count < sizeof(bytes) && s->sent + count < s->total) {
		bytes[count] = byte_of(s->sent + count, s->seed);
		count++;
	}
	const ssize_t put = send(s->from, bytes, count, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (put == -1 && errno != EAGAIN)
		fail_msg("cannot send at %llu: %s", (unsigned long long)s->sent, strerror(errno));
	s->sent += put > 0 ? (uint64_t)put : 0;
	if (s->sent == s->total && !s->stays)
		assert_int_equal(shutdown(s->from, SHUT_WR), 0);
}

static void stream_receive(struct stream *s)
{
	unsigned char bytes[32768];
	const ssize_t got = recv(s->to, bytes, s->read_bytes, MSG_DONTWAIT);

	if (got == -1 && errno != EAGAIN)
		fail_msg("cannot receive at %llu: %s", (unsigned long long)s->got, strerror(errno));
	for (ssize_t i = 0; i < got; i++)
		if (bytes[i] != byte_of(s->got + (uint64_t)i, s->seed))
			fail_msg("byte %llu is another one", (unsigned long long)s->got + (uint64_t)i);
	s->got += got > 0 ? (uint64_t)got : 0;
	s->ended = got == 0 || (s->stays && s->got == s->total);
}

/* Both directions at once to their ends. */
static void run_streams(struct stream *streams, size_t count)
{
	for (;;) {
		struct pollfd polled[16];
		size_t used = 0;

		assert_true(2 * count <= 16);
		for (size_t i = 0; i < count; i++) {
			struct stream *s = &streams[i];
			if (s->sent < s->total)
				polled[used++] = (struct pollfd){ .fd = s->from, .events = POLLOUT };
			if (!s->ended)
				polled[used++] = (struct pollfd){ .fd = s->to, .events = POLLIN };
		}
		if (used == 0)
			break;
		if (poll(polled, (nfds_t)used, WORLD_WAIT_S * 1000) <= 0)
			fail_msg("the relay stands still at %llu of %llu, and %llu of %llu",
			         (unsigned long long)streams[0].got, (unsigned long long)streams[0].total,
			         (unsigned long long)streams[count - 1].got,
			         (unsigned long long)streams[count - 1].total);
		for (size_t i = 0; i < count; i++) {
			if (streams[i].sent < streams[i].total)
				stream_send(&streams[i]);
			if (!streams[i].ended)
				stream_receive(&streams[i]);
		}
	}
	for (size_t i = 0; i < count; i++)
		assert_int_equal(streams[i].got, streams[i].total);
}

static void every_byte_arrives(void **state)
{
	static const struct {
		uint64_t up, down;
		size_t guest_reads, server_reads;
	} cases[] = {
		{ 0, 0, 32768, 32768 },
		{ 1, 0, 32768, 32768 },
		{ 24 * MIB, 24 * MIB, 32768, 32768 }, /* copied at first, spliced then */
		{ 3 * MIB + 7, 11, 32768, 32768 },
		{ 5, 3 * MIB + 1, 32768, 32768 },
		{ 4 * MIB + 3, 32 * MIB, 32768, 700 }, /* one of them is slow */
		{ 32 * MIB, 4 * MIB + 3, 700, 32768 },
		{ 4 * MIB, 4 * MIB, 911, 677 },
		{ 512 * KIB, 512 * KIB, 32768, 32768 }, /* where the splicing begins */
	};
	struct world world;
	uint16_t port;
	int server = world_listen(&port);

	(void)state;
	world_init(&world);
	world_allow_port(&world, port);
	world_start(&world);
	const unsigned long before = world_status(world.egress.pid, "VmRSS");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int guest, outside;

		guest = world_flow(&world, server, port, &outside);
		struct stream streams[2] = {
			{ guest, outside, 1, cases[i].up, .read_bytes = cases[i].server_reads },
			{ outside, guest, 2, cases[i].down, .read_bytes = cases[i].guest_reads },
		};
		if (cases[i].up == 0)
			shutdown(guest, SHUT_WR);
		if (cases[i].down == 0)
			shutdown(outside, SHUT_WR);
		run_streams(streams, 2);
		fd_close(&guest);
		fd_close(&outside);
	}
#ifndef __SANITIZE_ADDRESS__
	assert_true(world_status(world.egress.pid, "VmHWM") < before + 2048);
#else
	(void)before;
#endif
	mem_cleanup char *log = world_audit(&world);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		mem_cleanup char *counts = str_printf("\"up\":%llu,\"down\":%llu,", (unsigned long long)cases[i].up,
		                                      (unsigned long long)cases[i].down);
		assert_int_equal(world_count(log, counts), 1);
	}
	fd_close(&server);
	world_end(&world);
}

/* Who does not read makes the sender wait, not the relay grow. */
static void who_does_not_read_costs_little(void **state)
{
	enum { FLOWS = 64 };
	static char bytes[64 * 1024];
	int guests[FLOWS], outsides[FLOWS];
	struct world world;
	uint16_t port;
	int server = world_listen(&port);
	uint64_t sent = 0;

	(void)state;
	world_init(&world);
	world_allow_port(&world, port);
	world_start(&world);
	const unsigned long before = world_status(world.egress.pid, "VmRSS");
	for (size_t i = 0; i < FLOWS; i++)
		guests[i] = world_flow(&world, server, port, &outsides[i]);
	/* until nobody takes anything any more for a while */
	for (int64_t quiet = clock_now_ms(); clock_now_ms() - quiet < 300;)
		for (size_t i = 0; i < FLOWS; i++)
			for (int way = 0; way < 2; way++) {
				const ssize_t put = send(way == 0 ? guests[i] : outsides[i], bytes, sizeof(bytes),
				                         MSG_DONTWAIT | MSG_NOSIGNAL);
				if (put > 0) {
					sent += (uint64_t)put;
					quiet = clock_now_ms();
				}
			}
	assert_true(sent > 64 * 1024 * FLOWS);
#ifndef __SANITIZE_ADDRESS__
	/* both ways of each flow hold their most */
	const unsigned long grown = world_status(world.egress.pid, "VmHWM") - before;
	if (grown > 2 * FLOWS * (LIMIT_EGRESS_PENDING_BYTES / KIB + 8) + 1024)
		fail_msg("%lu KiB more for %d flows of which nobody reads", grown, FLOWS);
#else
	(void)before;
#endif
	/* and another one goes through meanwhile */
	int outside;
	int guest = world_flow(&world, server, port, &outside);
	world_say(guest, "x");
	world_hear(outside, "x");
	fd_close(&guest);
	fd_close(&outside);
	for (size_t i = 0; i < FLOWS; i++) {
		fd_close(&guests[i]);
		fd_close(&outsides[i]);
	}
	fd_close(&server);
	world_end(&world);
}

static void ends_are_passed_on(void **state)
{
	struct world world;
	uint16_t port;
	int server = world_listen(&port), guest, outside;

	(void)state;
	world_init(&world);
	world_allow_port(&world, port);
	world_start(&world);
	guest = world_flow(&world, server, port, &outside);
	world_say(guest, "all");
	assert_int_equal(shutdown(guest, SHUT_WR), 0);
	world_hear(outside, "all");
	world_expect_end(outside);
	world_say(outside, "late");
	world_hear(guest, "late");
	world_say(outside, "later");
	fd_close(&outside);
	world_hear(guest, "later");
	world_expect_end(guest);
	fd_close(&guest);

	guest = world_flow(&world, server, port, &outside);
	assert_int_equal(shutdown(outside, SHUT_WR), 0); /* the server, before anybody said anything */
	world_expect_end(guest);
	world_say(guest, "late");
	world_hear(outside, "late");
	fd_close(&guest);
	world_expect_end(outside);
	fd_close(&outside);

	/* the end comes with the request */
	guest = world_dial(&world);
	world_ask(guest, "host.npxc.internal", port);
	assert_int_equal(shutdown(guest, SHUT_WR), 0);
	outside = world_accept(server);
	world_expect_end(outside);
	world_say(outside, "answer");
	fd_close(&outside);
	world_hear_ok(guest);
	world_hear(guest, "answer");
	world_expect_end(guest);
	fd_close(&guest);
	fd_close(&server);
	world_end(&world);
}

static void resets_are_passed_on(void **state)
{
	struct world world;
	uint16_t port;
	int server = world_listen(&port), guest, outside;

	(void)state;
	world_init(&world);
	world_allow_port(&world, port);
	world_start_gateway(&world, NULL, NULL);
	for (int i = 0; i < 4; i++) {
		guest = world_dial_gateway(&world, "127.0.0.1");
		world_ask(guest, "host.npxc.internal", port);
		world_hear_ok(guest);
		outside = world_accept(server);
		if (i >= 2) { /* after half of it has ended */
			assert_int_equal(shutdown(i == 2 ? guest : outside, SHUT_WR), 0);
			world_expect_end(i == 2 ? outside : guest);
		}
		world_reset(i % 2 == 0 ? &outside : &guest);
		world_expect_reset(i % 2 == 0 ? guest : outside);
		fd_close(&outside);
		fd_close(&guest);
	}
	mem_cleanup char *log = world_audit(&world);
	assert_int_equal(world_count(log, "\"verdict\":\"allow\",\"code\":\"ok\""), 4);
	fd_close(&server);
	world_end(&world);
}

static void servers_may_speak_first(void **state)
{
	struct world world;
	uint16_t port;
	int server = world_listen(&port), guest, outside;

	(void)state;
	world_init(&world);
	world_allow_port(&world, port);
	world_start(&world);
	guest = world_flow(&world, server, port, &outside);
	world_say(outside, "220 hello\r\n");
	world_hear(guest, "220 hello\r\n");
	world_say(guest, "EHLO\r\n");
	world_hear(outside, "EHLO\r\n");
	fd_close(&guest);
	fd_close(&outside);
	fd_close(&server);
	world_end(&world);
}

/* A reset of the server's takes nothing of what it said before. */
static void the_last_words_of_a_server(void **state)
{
	struct world world;
	uint16_t port;
	int server = world_listen(&port);
	static char bytes[1000];

	(void)state;
	world_init(&world);
	world_allow_port(&world, port);
	world_start_gateway(&world, NULL, NULL);
	for (int i = 0; i < 20; i++) {
		int guest = world_dial_gateway(&world, "127.0.0.1"), outside;
		char text[64];

		world_ask(guest, "host.npxc.internal", port);
		world_hear_ok(guest);
		outside = world_accept(server);
		/* the guest uploads; the server has read none of it, says why not, and closes; all of that is there
		 * when the relay looks */
		assert_int_equal(kill(world.egress.pid, SIGSTOP), 0);
		(void)send(guest, bytes, sizeof(bytes), MSG_DONTWAIT | MSG_NOSIGNAL);
		world_say(outside, "413 too much");
		world_reset(&outside);
		assert_int_equal(kill(world.egress.pid, SIGCONT), 0);
		const ssize_t got = recv(guest, text, sizeof(text), 0);
		if (got != 12)
			fail_msg("round %d: %s", i,
			         got == 0  ? "the end"
			         : got < 0 ? strerror(errno)
			                   : "something else");
		fd_close(&guest);
	}
	fd_close(&server);
	world_end(&world);
}

/* Out-of-band bytes are lost (no relay can place them); what follows them is not. */
static void urgent_bytes_do_not_stop_a_flow(void **state)
{
	struct world world;
	uint16_t port;
	int server = world_listen(&port), guest, outside;

	(void)state;
	world_init(&world);
	world_allow_port(&world, port);
	world_start_gateway(&world, NULL, NULL);
	for (int much = 0; much < 2; much++) {
		guest = world_dial_gateway(&world, "127.0.0.1");
		world_ask(guest, "host.npxc.internal", port);
		world_hear_ok(guest);
		outside = world_accept(server);
		if (much == 1) { /* so that it is spliced */
			struct stream stream = { outside, guest, 1, 2 * MIB, .read_bytes = 32768, .stays = true };
			run_streams(&stream, 1);
		}
		/* stopped meanwhile, so that all of it is there at once */
		assert_int_equal(kill(world.egress.pid, SIGSTOP), 0);
		world_say(outside, "before");
		assert_int_equal(send(outside, "!", 1, MSG_OOB), 1);
		world_say(outside, "after");
		assert_int_equal(kill(world.egress.pid, SIGCONT), 0);
		world_hear(guest, "beforeafter");
		fd_close(&guest);
		fd_close(&outside);
	}
	fd_close(&server);
	world_end(&world);
}

/* ---- limits ---- */

/* In a process of its own, which may take the limit down. */
static void with_few_files(rlim_t files, void (*test)(void))
{
	const pid_t pid = fork();
	int status = -1;

	if (pid == 0) {
		const struct rlimit limit = { .rlim_cur = files, .rlim_max = files };
		alarm(60);
		setenv("CMOCKA_TEST_ABORT", "1", 1); /* a failed check ends it, and does not go on with the next test */
		world_must(setrlimit(RLIMIT_NOFILE, &limit) == 0, "setrlimit");
		test();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (status != 0)
		fail_msg("in the child: status 0x%x", (unsigned)status);
}

/* With 512 files: fewer flows than the test can hold. */
static void eviction(void)
{
	enum { MANY = 230 };
	int guests[MANY], outsides[MANY], server, guest, outside, settled = 0;
	struct world world;
	uint16_t port;
	char text[4096];

	server = world_listen(&port);
	world_init(&world);
	world_allow_port(&world, port);
	world_start(&world);
	/* those that say nothing make room for those who do */
	for (size_t i = 0; i < MANY; i++)
		guests[i] = world_dial(&world);
	guest = world_flow(&world, server, port, &outside);
	world_say(guest, "x");
	world_hear(outside, "x");
	world_read_all(guests[0], text, sizeof(text)); /* the oldest went first */
	assert_true(str_starts(text, "HTTP/1.1 503 npxc\r\nNpxc-Error: EMFILE\r\n"));
	assert_non_null(strstr(text, "made room"));
	for (size_t i = 0; i < MANY; i++)
		fd_close(&guests[i]);
	/* those that are connected do not: the next is told so */
	for (; settled < MANY; settled++) {
		guests[settled] = world_dial(&world);
		/* the answer may be there before the question */
		const int length = snprintf(text, sizeof(text), "CONNECT host.npxc.internal:%u HTTP/1.1\r\n\r\n", port);
		(void)send(guests[settled], text, (size_t)length, MSG_NOSIGNAL);
		memset(text, 0, sizeof(text));
		assert_true(recv(guests[settled], text, sizeof(text) - 1, 0) > 0);
		if (!str_starts(text, "HTTP/1.1 200 OK"))
			break;
		outsides[settled] = world_accept(server);
	}
	assert_in_range(settled, 32, MANY - 1);
	assert_true(str_starts(text, "HTTP/1.1 503 npxc\r\nNpxc-Error: EMFILE\r\n"));
	world_say(guest, "y");
	world_hear(outside, "y"); /* the oldest of all is still there */
	world_say(outsides[0], "z");
	world_hear(guests[0], "z");
	fd_close(&guests[settled]);
	for (int i = 0; i < settled; i++) {
		fd_close(&guests[i]);
		fd_close(&outsides[i]);
	}
	/* and when one has ended there is room */
	int again, far = -1;
	again = world_flow(&world, server, port, &far);
	fd_close(&again);
	fd_close(&far);
	fd_close(&guest);
	fd_close(&outside);
	mem_cleanup char *log = world_audit(&world);
	assert_true(world_count(log, "made room") >= 1);
	fd_close(&server);
	world_end(&world);
}

static void the_undecided_make_room(void **state)
{
	(void)state;
	with_few_files(512, eviction);
}

/* Refused ones that still read why make room too, and are not recorded a second time. */
static void eviction_of_refused(void)
{
	enum { MANY = 230 };
	int guests[MANY], server, guest, outside;
	struct world world;
	uint16_t port;

	server = world_listen(&port);
	world_init(&world);
	world_allow_port(&world, port);
	world_start(&world);
	for (uint16_t i = 0; i < MANY; i++) {
		guests[i] = world_dial(&world);
		world_ask(guests[i], "evil.test", (uint16_t)(i + 1));
	}
	guest = world_flow(&world, server, port, &outside);
	mem_cleanup char *log = world_audit(&world);
	assert_int_equal(world_count(log, "\"verdict\":\"deny\",\"code\":\"EACCES\",\"host\":\"evil.test\""), MANY);
	assert_int_equal(world_count(log, "\n"), MANY + 1);
	for (size_t i = 0; i < MANY; i++)
		fd_close(&guests[i]);
	fd_close(&guest);
	fd_close(&outside);
	fd_close(&server);
	world_end(&world);
}

static void refused_ones_make_room(void **state)
{
	(void)state;
	with_few_files(512, eviction_of_refused);
}

/* Much goes through each of more flows than there are files for pipes; all files are given back. */
static void many_spliced(void)
{
	enum { AT_ONCE = 55, ROUNDS = 3 };
	int guests[AT_ONCE], outsides[AT_ONCE], server, guest, outside;
	struct world world;
	uint16_t port;

	server = world_listen(&port);
	world_init(&world);
	world_allow_port(&world, port);
	world_start(&world);
	for (int round = 0; round < ROUNDS; round++) {
		for (size_t i = 0; i < AT_ONCE; i++) {
			guests[i] = world_flow(&world, server, port, &outsides[i]);
			struct stream streams[2] = {
				{ guests[i], outsides[i], 1, 600 * KIB, .read_bytes = 32768, .stays = true },
				{ outsides[i], guests[i], 2, 600 * KIB, .read_bytes = 32768, .stays = true },
			};
			run_streams(streams, 2);
		}
		/* one more gets through, and the process rests afterwards */
		guest = world_flow(&world, server, port, &outside);
		world_say(guest, "x");
		world_hear(outside, "x");
		const unsigned long cpu_ms = world_cpu_ms(world.egress.pid);
		usleep(500 * 1000);
		assert_in_range(world_cpu_ms(world.egress.pid) - cpu_ms, 0, 50);
		fd_close(&guest);
		fd_close(&outside);
		for (size_t i = 0; i < AT_ONCE; i++) {
			fd_close(&guests[i]);
			fd_close(&outsides[i]);
		}
	}
	fd_close(&server);
	world_end(&world);
}

static void files_are_kept_for_flows(void **state)
{
	(void)state;
	with_few_files(300, many_spliced);
}

/* Without a file for the next connection it waits, and the process does not spin. */
static void no_file_left(void)
{
	struct rlimit limit;
	struct world world;
	uint16_t port;
	int server, guest, outside;

	server = world_listen(&port);
	world_init(&world);
	world_allow_port(&world, port);
	world_start(&world);
	/* the process has raised its own limit; now nothing is left of it */
	limit = (struct rlimit){ .rlim_cur = 3, .rlim_max = 256 };
	assert_int_equal(prlimit(world.egress.pid, RLIMIT_NOFILE, &limit, NULL), 0);
	guest = world_dial(&world);
	world_ask(guest, "host.npxc.internal", port);
	usleep(300 * 1000);
	const unsigned long cpu_ms = world_cpu_ms(world.egress.pid);
	usleep(500 * 1000);
	assert_in_range(world_cpu_ms(world.egress.pid) - cpu_ms, 0, 50);
	limit.rlim_cur = 256;
	assert_int_equal(prlimit(world.egress.pid, RLIMIT_NOFILE, &limit, NULL), 0);
	world_hear_ok(guest);
	outside = world_accept(server);
	fd_close(&guest);
	fd_close(&outside);
	fd_close(&server);
	world_end(&world);
}

static void connections_wait_for_files(void **state)
{
	(void)state;
	with_few_files(256, no_file_left);
}

/* ---- time ---- */

/* milliseconds: what the tests give a head, and a process that is to end. */
enum { HEAD_MS = 400, HANG_MS = 200 };

static void heads_have_a_deadline(void **state)
{
	static const char *const heads[] = { "", "CONNECT host", "CONNECT a:1 HTTP/1.1\r\nX: y\r\n" };
	struct world world;
	int guests[3];
	char text[4096];

	(void)state;
	world_init(&world);
	world.settings.head_ms = HEAD_MS;
	world_start(&world);
	const int64_t began_ms = clock_now_ms();
	for (size_t i = 0; i < 3; i++) {
		guests[i] = world_dial(&world);
		world_say(guests[i], heads[i]);
	}
	/* one that drips does not get more time */
	int dripping = world_dial(&world);
	struct pollfd answered = { .fd = dripping, .events = POLLIN };
	world_say(dripping, "CONNECT a:1 HTTP/1.1\r\nX: ");
	while (poll(&answered, 1, HEAD_MS / 10) == 0) {
		assert_true(clock_now_ms() - began_ms < WORLD_WAIT_S * 1000);
		world_say(dripping, "y");
	}
	assert_true(clock_now_ms() - began_ms >= HEAD_MS);
	for (size_t i = 0; i < 3; i++) {
		world_read_all(guests[i], text, sizeof(text));
		assert_true(str_starts(text, "HTTP/1.1 504 npxc\r\nNpxc-Error: ETIMEDOUT\r\n"));
		fd_close(&guests[i]);
	}
	fd_close(&dripping);
	world_end(&world);
}

/* One that goes away before it has asked leaves nothing behind, at once. */
static void who_goes_is_forgotten(void)
{
	enum { MANY = 300 };
	struct world world;
	uint16_t port;
	int server, guest, outside;

	server = world_listen(&port);
	world_init(&world);
	world_allow_port(&world, port);
	world_start_gateway(&world, NULL, NULL);
	guest = world_dial_gateway(&world, "127.0.0.1");
	world_ask(guest, "host.npxc.internal", port);
	world_hear_ok(guest);
	outside = world_accept(server);
	for (int i = 0; i < MANY; i++) {
		int gone = world_dial_gateway(&world, "127.0.0.1");
		if (i % 3 != 0)
			world_say(gone, i % 3 == 1 ? "CONNECT " : "CONNECT a:1 HTTP/1.1\r\n");
		world_reset(&gone);
		if (i % 10 == 9) { /* or there would be too many at once */
			world_say(guest, "x");
			world_hear(outside, "x");
		}
	}
	fd_close(&guest);
	fd_close(&outside);
	mem_cleanup char *log = world_audit(&world);
	assert_int_equal(world_count(log, "made room"), 0);
	fd_close(&server);
	world_end(&world);
}

static void resets_before_the_request(void **state)
{
	(void)state;
	with_few_files(256, who_goes_is_forgotten);
}

/* ---- fairness ---- */

/* A guest that was refused and does not stop writing holds up nobody. */
static void a_flood_holds_up_nobody(void **state)
{
	/* pieces of the floods: in all, and at the most while one byte of an allowed flow goes through */
	enum { SENT_IN_ALL = 1024, SENT_IN_ONE = 512 };
	static char bytes[1024 * 1024];
	struct world world;
	uint16_t port;
	int server = world_listen(&port), guest, outside, sent[2];
	pid_t floods[3];

	(void)state;
	assert_int_equal(pipe2(sent, O_CLOEXEC | O_NONBLOCK), 0);
	world_init(&world);
	world.settings.end_ms = WORLD_WAIT_S * 1000;
	world_allow_port(&world, port);
	world_start(&world);
	guest = world_flow(&world, server, port, &outside);
	for (size_t i = 0; i < 3; i++) {
		floods[i] = fork();
		if (floods[i] != 0)
			continue;
		setenv("CMOCKA_TEST_ABORT", "1", 1);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;) {
			const int fd = world_dial(&world);
			world_ask(fd, "evil.test", 443);
			while (send(fd, bytes, sizeof(bytes), MSG_NOSIGNAL) > 0)
				(void)!write(sent[1], "x", 1);
			close(fd);
		}
	}
	close(sent[1]);
	for (int all = 0; all < SENT_IN_ALL;) {
		char news[SENT_IN_ALL];
		ssize_t during;

		assert_int_equal(poll(&(struct pollfd){ .fd = sent[0], .events = POLLIN }, 1, WORLD_WAIT_S * 1000), 1);
		assert_true(read(sent[0], news, sizeof(news)) > 0);
		world_say(guest, "x");
		world_hear(outside, "x");
		during = read(sent[0], news, sizeof(news));
		all += during > 0 ? 1 + (int)during : 1;
		if (during > SENT_IN_ONE)
			fail_msg("%zd pieces went ahead of an allowed flow", during);
	}
	close(sent[0]);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(kill(floods[i], SIGKILL), 0);
		assert_int_equal(waitpid(floods[i], NULL, 0), floods[i]);
	}
	mem_cleanup char *log = world_audit(&world);
	assert_int_equal(world_count(log, "\"verdict\":\"allow\",\"code\":\"ok\""), 1); /* it was not killed */
	fd_close(&guest);
	fd_close(&outside);
	fd_close(&server);
	world_end(&world);
}

/* ---- names ---- */

struct named {
	struct world world;
	int server;
	uint16_t port;
};

/* api.test and two.test are configured, as a registry is: their addresses may be private. */
static bool named_raw;         /* whether these rules have "/raw" */
static unsigned named_head_ms; /* 0: as ever */

static void named_begin(struct named *named, uint16_t port)
{
	struct npxc_error err = { 0 };

	named->port = port;
	named->server = world_listen_at("10.9.8.7", 4096, &named->port);
	world_init(&named->world);
	assert_true(rules_add_configured(&named->world.rules, "api.test", named->port, false, &err));
	assert_true(rules_add_configured(&named->world.rules, "two.test", named->port, false, &err));
	for (size_t i = 0; i < named->world.rules.count; i++)
		named->world.rules.v[i].raw = named_raw;
	named->world.settings.head_ms = named_head_ms;
	world_start_gateway(&named->world, NULL, NULL);
}

static int named_flow(struct named *named, const char *host, int *ret_outside)
{
	const int guest = world_dial_gateway(&named->world, "127.0.0.1");

	world_ask(guest, host, named->port);
	world_hear_ok(guest);
	*ret_outside = world_accept(named->server);
	return guest;
}

static void named_end(struct named *named)
{
	fd_close(&named->server);
	world_end(&named->world);
}

static void names_are_held_to(void **state)
{
	static const char evil[] = "GET / HTTP/1.1\r\nHost: evil.test\r\n\r\n";
	static const char good[] = "GET / HTTP/1.1\r\nHost: api.test\r\n\r\n";
	struct bytes hello;
	struct named named;
	int guest, outside;
	char text[4096];

	(void)state;
	named_begin(&named, 80);
	/* every request */
	guest = named_flow(&named, "api.test", &outside);
	for (int i = 0; i < 3; i++) {
		world_say(guest, good);
		world_hear(outside, good);
		world_say(outside, "HTTP/1.1 204 No Content\r\n\r\n");
		world_hear(guest, "HTTP/1.1 204 No Content\r\n\r\n");
	}
	world_say(guest, evil);
	world_read_all(guest, text, sizeof(text));
	assert_true(str_starts(text, "HTTP/1.1 403 Forbidden\r\n"));
	world_expect_reset(outside);
	fd_close(&guest);
	fd_close(&outside);
	/* the first, sent with the CONNECT head: answered there */
	guest = world_dial_gateway(&named.world, "127.0.0.1");
	mem_cleanup char *head = str_printf("CONNECT api.test:80 HTTP/1.1\r\n\r\n%s", evil);
	world_say(guest, head);
	world_read_all(guest, text, sizeof(text));
	assert_non_null(strstr(text, "403"));
	assert_non_null(strstr(text, "a Host other"));
	fd_close(&guest);
	named_end(&named);

	named_begin(&named, 443);
	/* TLS for another name: an alert, and the server saw nothing */
	guest = named_flow(&named, "api.test", &outside);
	hello = *hello_for("evil.test");
	world_send(guest, hello.v, hello.n);
	world_expect(guest, hello_denied, sizeof(hello_denied));
	world_expect_end(guest);
	world_expect_reset(outside);
	fd_close(&guest);
	fd_close(&outside);
	/* and for this one */
	guest = named_flow(&named, "api.test", &outside);
	hello = *hello_for("api.test");
	for (size_t i = 0; i < hello.n; i++)
		world_send(guest, hello.v + i, 1);
	world_expect(outside, hello.v, hello.n);
	world_send(outside, "\x15\3\3\0\2\2\x28", 7);
	world_expect(guest, "\x15\3\3\0\2\2\x28", 7);
	fd_close(&guest);
	fd_close(&outside);
	/* of two addresses the one that answers */
	guest = named_flow(&named, "two.test", &outside);
	fd_close(&guest);
	fd_close(&outside);
	mem_cleanup char *log = world_audit(&named.world);
	assert_int_equal(world_count(log, "\"code\":\"ESNI\",\"host\":\"api.test\""), 1);
	assert_int_equal(world_count(log, "\"kind\":\"tls\",\"sni\":\"evil.test\""), 1);
	assert_int_equal(world_count(log, "\"kind\":\"tls\",\"sni\":\"api.test\""), 1);
	assert_int_equal(world_count(log, "\"host\":\"two.test\",\"port\":443,\"ip\":\"10.9.8.7\""), 1);
	named_end(&named);
}

/* Neither TLS nor HTTP: refused on a rule for a name, with the rule that passes it; passed by that rule. */
static void other_protocols_want_raw(void **state)
{
	static const char query[] = "get /users/1\r\n";
	struct egress_denial denial;
	struct named named;
	int guest, outside;

	(void)state;
	for (int first = 0; first < 2; first++) {
		named_begin(&named, 5432);
		guest = named_flow(&named, "api.test", &outside);
		if (first == 0)
			world_say(guest, query);
		else
			world_say(outside, "220 hello\r\n");
		world_expect_end(guest); /* not a byte of the server's */
		world_expect_reset(outside);
		assert_int_equal(next_news(&named.world, &denial), EGRESS_DENIED);
		assert_int_equal(denial.add, AUDIT_ADD_RAW);
		mem_cleanup char *rule = egress_denial_rule(&denial);
		assert_string_equal(rule, "api.test:5432/raw");
		fd_close(&guest);
		fd_close(&outside);
		mem_cleanup char *log = world_audit(&named.world);
		assert_int_equal(world_count(log, "\"code\":\"EPROTO\",\"host\":\"api.test\""), 1);
		assert_int_equal(world_count(log, "\"add\":\"api.test:5432/raw\"}"), 1);
		named_end(&named);
	}
	named_raw = true;
	named_begin(&named, 5432);
	named_raw = false;
	guest = named_flow(&named, "api.test", &outside);
	world_say(outside, "220 hello\r\n");
	world_hear(guest, "220 hello\r\n");
	world_say(guest, query);
	world_hear(outside, query);
	fd_close(&guest);
	fd_close(&outside);
	mem_cleanup char *log = world_audit(&named.world);
	assert_int_equal(world_count(log, "\"verdict\":\"allow\",\"code\":\"ok\",\"host\":\"api.test\""), 1);
	assert_int_equal(world_count(log, "\"kind\":\"opaque\""), 1);
	named_end(&named);
}

static void bodies_pass_a_gate(void **state)
{
	static const char head[] = "POST / HTTP/1.1\r\nHost: api.test\r\nContent-Length: 6291459\r\n\r\n";
	struct named named;
	int guest, outside;

	(void)state;
	named_begin(&named, 80);
	guest = named_flow(&named, "api.test", &outside);
	world_say(guest, head);
	world_hear(outside, head);
	struct stream streams[2] = {
		{ guest, outside, 1, 6 * MIB + 3, .read_bytes = 5000, .stays = true },
		{ outside, guest, 2, 9 * MIB + 5, .read_bytes = 32768, .stays = true },
	};
	run_streams(streams, 2);
	/* the guest ends it in its own way */
	world_reset(&guest);
	world_expect_reset(outside);
	fd_close(&outside);
	mem_cleanup char *log = world_audit(&named.world);
	assert_int_equal(world_count(log, "\"verdict\":\"allow\",\"code\":\"ok\",\"host\":\"api.test\""), 1);
	assert_int_equal(world_count(log, "\n"), 1);
	named_end(&named);
}

static void unfinished_heads_have_a_deadline(void **state)
{
	static const char chunked[] = "POST / HTTP/1.1\r\nHost: api.test\r\nTransfer-Encoding: chunked\r\n\r\n";
	static const struct {
		const char *passes, *held;
		bool ends;
	} cases[] = {
		{ "", "GET / HTTP/1.1\r\n", false },
		{ "", "GET / HTTP/1.1\r\n", true },
		{ chunked, "5", false },
		{ chunked, "5", true },
		{ "POST / HTTP/1.1\r\nHost: api.test\r\nContent-Length: 9\r\n\r\n", "", false }, /* is left alone */
	};
	enum { COUNT = sizeof(cases) / sizeof(cases[0]) };
	int guests[COUNT], outsides[COUNT];
	struct named named;
	char text[4096];

	(void)state;
	named_head_ms = HEAD_MS;
	named_begin(&named, 80);
	named_head_ms = 0;
	const int64_t began_ms = clock_now_ms();
	for (size_t i = 0; i < COUNT; i++) {
		guests[i] = named_flow(&named, "api.test", &outsides[i]);
		world_say(guests[i], cases[i].passes);
		world_hear(outsides[i], cases[i].passes);
		world_say(guests[i], cases[i].held);
		if (cases[i].ends)
			assert_int_equal(shutdown(guests[i], SHUT_WR), 0);
	}
	for (size_t i = 0; i < COUNT - 1; i++) {
		world_read_all(guests[i], text, sizeof(text));
		world_expect_reset(outsides[i]);
	}
	assert_true(clock_now_ms() - began_ms >= HEAD_MS);
	world_say(guests[COUNT - 1], "123456789");
	world_hear(outsides[COUNT - 1], "123456789");
	for (size_t i = 0; i < COUNT; i++) {
		fd_close(&guests[i]);
		fd_close(&outsides[i]);
	}
	named_end(&named);
}

/* A process with nothing to do does nothing, also when a flow was decided late. */
static void an_idle_process_sleeps(void **state)
{
	static const uint8_t retry[] = { 22,   3,    3,    0,    44,   2,    0,    0,    40,   3,    3,    0xcf, 0x21,
		                         0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8,
		                         0x91, 0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2,
		                         0xc8, 0xa8, 0x33, 0x9c, 0,    0x13, 1,    0,    0,    0 };
	struct bytes both;
	struct named named;
	int guest, outside;

	(void)state;
	named_begin(&named, 443);
	guest = named_flow(&named, "api.test", &outside);
	both = *hello_for("api.test");
	const size_t one = both.n;
	world_send(guest, both.v, one);
	world_expect(outside, both.v, one);
	put(&both, hello_for("api.test")->v, one);
	put(&both, "\x17\3\3\0\1x", 6);
	world_send(outside, retry, sizeof(retry));
	world_expect(guest, retry, sizeof(retry));
	world_send(guest, both.v + one, both.n - one); /* the second hello, and more behind it */
	world_expect(outside, both.v + one, both.n - one);
	usleep(300 * 1000);
	const unsigned long before = world_status(named.world.egress.pid, "voluntary_ctxt_switches");
	usleep(1000 * 1000);
	assert_in_range(world_status(named.world.egress.pid, "voluntary_ctxt_switches") - before, 0, 3);
	fd_close(&guest);
	fd_close(&outside);
	named_end(&named);
}

/* ---- its life ---- */

static void what_is_open_is_recorded_at_the_end(void **state)
{
	struct world world;
	uint16_t port, full_port = 0;
	int server = world_listen(&port), guest, outside, dialling, waiting, fillers[4];
	/* one whose queue is full: nobody answers */
	int full = world_listen_at("127.0.0.1", 0, &full_port);

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(full_port) };
		address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		(void)connect(fillers[i], (struct sockaddr *)&address, sizeof(address));
	}
	world_init(&world);
	world.settings.end_ms = WORLD_WAIT_S * 1000;
	world_allow_port(&world, port);
	world_allow_port(&world, full_port);
	world_start(&world);
	guest = world_flow(&world, server, port, &outside);
	world_say(guest, "12345");
	world_hear(outside, "12345");
	dialling = world_dial(&world);
	world_ask(dialling, "host.npxc.internal", full_port);
	waiting = world_dial(&world);
	world_say(waiting, "CONNECT ");
	ask_and_leave(&world, "evil.test", 443); /* what was said before has been read by now */
	const int64_t began_ms = clock_now_ms();
	mem_cleanup char *log = world_audit(&world);
	assert_true(clock_now_ms() - began_ms < WORLD_WAIT_S * 1000); /* it ended by itself */
	mem_cleanup char *dialled = str_printf(
	    "\"verdict\":\"fail\",\"code\":\"ETIMEDOUT\",\"host\":\"host.npxc.internal\",\"port\":%u", full_port);
	assert_int_equal(world_count(log, "\"verdict\":\"allow\",\"code\":\"ok\",\"host\":\"host.npxc.internal\""), 1);
	assert_int_equal(world_count(log, "\"up\":5,\"down\":0,"), 1);
	assert_int_equal(world_count(log, dialled), 1);
	assert_int_equal(world_count(log, "the session ended"), 2);
	world_expect_reset(outside);
	for (size_t i = 0; i < 4; i++)
		fd_close(&fillers[i]);
	fd_close(&guest);
	fd_close(&outside);
	fd_close(&dialling);
	fd_close(&waiting);
	fd_close(&full);
	fd_close(&server);
	world_end(&world);
}

static void await_end_of_orphan(pid_t pid)
{
	const int64_t deadline = clock_now_ms() + 5000;
	pid_t ended;

	/* it is ours now: its parent has gone, and this program adopts orphans */
	while ((ended = waitpid(pid, NULL, WNOHANG)) == 0 && clock_now_ms() < deadline)
		usleep(10 * 1000);
	if (ended == 0) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		fail_msg("the egress process outlives its launcher");
	}
	assert_int_equal(ended, pid);
}

/* However much the launcher has left unread. */
static void it_ends_with_its_launcher(void **state)
{
	(void)state;
	for (int denials = 0; denials <= 200; denials += 100) {
		struct world world;
		int ready[2];
		pid_t launcher, egress = 0;

		world_init(&world);
		assert_int_equal(pipe(ready), 0);
		launcher = fork();
		if (launcher == 0) {
			setenv("CMOCKA_TEST_ABORT", "1", 1);
			world_start(&world);
			(void)!write(ready[1], &world.egress.pid, sizeof(world.egress.pid));
			pause();
			_exit(0);
		}
		assert_int_equal(read(ready[0], &egress, sizeof(egress)), sizeof(egress));
		for (int i = 1; i <= denials; i++)
			ask_and_leave(&world, "evil.test", (uint16_t)i);
		assert_int_equal(kill(launcher, SIGKILL), 0);
		assert_int_equal(waitpid(launcher, NULL, 0), launcher);
		await_end_of_orphan(egress);
		close(ready[0]);
		close(ready[1]);
		world_end(&world);
	}
}

static void its_death_is_told(void **state)
{
	struct egress_denial denial;
	struct world world;
	uint16_t port;
	int server = world_listen(&port), guest, outside;

	(void)state;
	world_init(&world);
	world_allow_port(&world, port);
	world_start(&world);
	assert_int_equal(egress_read(&world.egress, &denial), EGRESS_NOTHING);
	ask_and_leave(&world, "evil.test", 443);
	guest = world_flow(&world, server, port, &outside);
	assert_int_equal(kill(world.egress.pid, SIGKILL), 0);
	world_expect_end(guest);
	world_expect_end(outside);
	assert_int_equal(next_news(&world, &denial), EGRESS_DENIED); /* what it had said before */
	assert_int_equal(next_news(&world, &denial), EGRESS_ENDED);
	fd_close(&guest);
	fd_close(&outside);
	fd_close(&server);
	world_end(&world);
}

static void one_that_hangs_is_killed(void **state)
{
	struct world world;

	(void)state;
	world_init(&world);
	world.settings.end_ms = HANG_MS;
	world_start(&world);
	assert_int_equal(kill(world.egress.pid, SIGSTOP), 0);
	const int64_t began_ms = clock_now_ms();
	egress_stop(&world.egress);
	assert_true(clock_now_ms() - began_ms >= HANG_MS);
	assert_int_equal(world.egress.pid, 0);
	world_end(&world);
}

static void it_says_why_it_cannot_start(void **state)
{
	struct npxc_error err = { 0 };
	struct world world;

	(void)state;
	world_init(&world);
	world.settings.audit_directory = "/dev/null/audit";
	assert_true(egress_start(&world.settings, &world.egress, &err));
	assert_false(egress_await(&world.egress, &err));
	assert_int_equal(err.kind, ERROR_RUNTIME);
	assert_non_null(strstr(err.message, "the egress process cannot start: "));
	if (strstr(err.message, "/dev/null") == NULL)
		fail_msg("%s", err.message);
	world_end(&world);
}

/* More than a file of the log holds, written by a process that may no longer do anything but that. */
static void the_log_is_rotated_in_its_confinement(void **state)
{
	struct world world;
	uint16_t port;
	int server = world_listen(&port), guest, outside;
	struct stat status;
	char package[12000];

	(void)state;
	memset(package, 'p', sizeof(package) - 1);
	package[sizeof(package) - 1] = '\0';
	world_init(&world);
	world_allow_port(&world, port);
	world.settings.package = package;
	world_start(&world);
	for (int i = 0; i < 600; i++) {
		guest = world_flow(&world, server, port, &outside);
		fd_close(&guest);
		fd_close(&outside);
	}
	mem_cleanup char *log = world_audit(&world);
	mem_cleanup char *old = str_printf("%s/session.jsonl.1", world.audit);
	assert_int_equal(stat(old, &status), 0);
	assert_true((size_t)status.st_size <= LIMIT_AUDIT_FILE_BYTES);
	assert_true((size_t)status.st_size + strlen(log) > LIMIT_AUDIT_FILE_BYTES);
	assert_true(strlen(log) < LIMIT_AUDIT_FILE_BYTES && str_ends(log, "}\n"));
	fd_close(&server);
	world_end(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_allowed_gets_through),
		cmocka_unit_test(what_is_not_is_refused_in_words),
		cmocka_unit_test(denials_are_told_once),
		cmocka_unit_test(the_token_is_asked_for),
		cmocka_unit_test(every_byte_arrives),
		cmocka_unit_test(who_does_not_read_costs_little),
		cmocka_unit_test(ends_are_passed_on),
		cmocka_unit_test(resets_are_passed_on),
		cmocka_unit_test(servers_may_speak_first),
		cmocka_unit_test(the_last_words_of_a_server),
		cmocka_unit_test(urgent_bytes_do_not_stop_a_flow),
		cmocka_unit_test(the_undecided_make_room),
		cmocka_unit_test(refused_ones_make_room),
		cmocka_unit_test(files_are_kept_for_flows),
		cmocka_unit_test(connections_wait_for_files),
		cmocka_unit_test(heads_have_a_deadline),
		cmocka_unit_test(resets_before_the_request),
		cmocka_unit_test(a_flood_holds_up_nobody),
		cmocka_unit_test(names_are_held_to),
		cmocka_unit_test(other_protocols_want_raw),
		cmocka_unit_test(bodies_pass_a_gate),
		cmocka_unit_test(unfinished_heads_have_a_deadline),
		cmocka_unit_test(an_idle_process_sleeps),
		cmocka_unit_test(what_is_open_is_recorded_at_the_end),
		cmocka_unit_test(it_ends_with_its_launcher),
		cmocka_unit_test(its_death_is_told),
		cmocka_unit_test(one_that_hangs_is_killed),
		cmocka_unit_test(it_says_why_it_cannot_start),
		cmocka_unit_test(the_log_is_rotated_in_its_confinement),
	};

	world_make_network("127.0.0.1 localhost own.test\n10.9.8.7 api.test near.test two.test\n10.1.1.1 two.test\n"
	                   "169.254.169.254 meta.test\n");
	alarm(300);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
