/* One connection to one of several addresses: which is tried when. Time is what the test says. */
#include "egress_world.h"

#include "egress/dial.h"

static void families_take_turns(void **state)
{
	static const struct {
		const char *before; /* 4, 6: families; the order within one is told by letters */
		bool v6_first;
		const char *after;
	} cases[] = {
		{ "", true, "" },
		{ "a", true, "a" },
		{ "A", false, "A" },
		{ "ABa", true, "AaB" },
		{ "ABa", false, "aAB" },
		{ "ABCDEFGHa", true, "AaBCDEFGH" },
		{ "abcA", true, "Aabc" },
		{ "abcA", false, "aAbc" },
		{ "AaBbCc", true, "AaBbCc" },
		{ "abcABC", true, "AaBbCc" },
		{ "abcdAB", false, "aAbBcd" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const size_t count = strlen(cases[i].before);
		struct ip v[16];
		char after[17] = "";

		for (size_t k = 0; k < count; k++) {
			const char c = cases[i].before[k];

			v[k] = (struct ip){ .v6 = c < 'a', .bytes = { (uint8_t)c } };
		}
		dial_order(v, count, cases[i].v6_first);
		for (size_t k = 0; k < count; k++)
			after[k] = (char)v[k].bytes[0];
		assert_string_equal(after, cases[i].after);
	}
}

static unsigned changes;

static void on_change(void *context)
{
	(void)context;
	changes++;
}

/* Addresses of 10.0.0.0/8, at which a listener whose queue is full takes no connection and answers nothing. */
struct silent {
	int listener, filler[4];
};

static struct silent silent_at(const char *ip, uint16_t port)
{
	struct silent silent = { .filler = { -1, -1, -1, -1 } };
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };

	silent.listener = world_listen_at(ip, 0, &port);
	assert_int_equal(inet_pton(AF_INET, ip, &address.sin_addr), 1);
	for (size_t i = 0; i < 4; i++) {
		silent.filler[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		(void)!connect(silent.filler[i], (struct sockaddr *)&address, sizeof(address));
	}
	return silent;
}

static void silent_end(struct silent *silent)
{
	for (size_t i = 0; i < 4; i++)
		fd_close(&silent->filler[i]);
	fd_close(&silent->listener);
}

static void one_that_is_silent_costs_a_pause(void **state)
{
	static const struct ip v[] = { { .bytes = { 10, 0, 0, 1 } },
		                       { .bytes = { 10, 0, 0, 2 } },
		                       { .bytes = { 10, 0, 0, 3 } } };
	struct npxc_error err = { 0 };
	struct dial dial = { 0 };
	struct loop loop;
	struct ip ip;
	bool contested;
	uint16_t port = 0;
	int server = world_listen_at("10.0.0.3", 16, &port), fd;
	struct silent first = silent_at("10.0.0.1", port), second = silent_at("10.0.0.2", port);

	(void)state;
	assert_true(loop_open(&loop, &err));
	dial_begin(&dial, &loop, v, 3, port, on_change, NULL);
	assert_int_equal(dial_look(&dial, 1000), DIAL_WAITS);
	assert_int_equal(dial.begun, 1);
	assert_int_equal(dial.next_ms, 1000 + LIMIT_EGRESS_ATTEMPT_MS);
	assert_int_equal(dial_look(&dial, dial.next_ms - 1), DIAL_WAITS);
	assert_int_equal(dial.begun, 1);
	assert_int_equal(dial_look(&dial, dial.next_ms), DIAL_WAITS);
	assert_int_equal(dial.begun, 2);
	assert_true(dial.v[0].fd != -1); /* it may answer still */
	const enum dial_state last = dial_look(&dial, dial.next_ms);
	assert_int_equal(dial.begun, 3);
	for (changes = 0; last == DIAL_WAITS && changes == 0;)
		assert_true(loop_turn(&loop, 1000, &err));
	assert_int_equal(dial_look(&dial, 2000), DIAL_CONNECTED);
	fd = dial_take(&dial, &ip, &contested);
	assert_true(ip_equal(&ip, &v[2]) && !contested);
	assert_true(dial.v[0].fd == -1 && dial.v[1].fd == -1 && dial.next_ms == 0);
	dial_free(&dial);
	fd_close(&fd);
	fd_close(&server);
	silent_end(&first);
	silent_end(&second);
	loop_done(&loop);
}

/* One that refuses costs no pause; and what an address answers says more than a family without a way out. */
static void refusals_go_on_at_once(void **state)
{
	static const struct ip v[] = { { .bytes = { 10, 0, 0, 1 } },
		                       { .v6 = true, .bytes = { 0x20, 1 } },
		                       { .bytes = { 10, 0, 0, 3 } } };
	struct npxc_error err = { 0 };
	struct dial dial = { 0 };
	struct loop loop;
	struct ip ip;
	bool contested;
	uint16_t port = 0;
	int server = world_listen_at("10.0.0.3", 16, &port), fd;

	(void)state;
	for (int alive = 1; alive >= 0; alive--) {
		enum dial_state got;

		assert_true(loop_open(&loop, &err));
		dial_begin(&dial, &loop, v, 3, port, on_change, NULL);
		while ((got = dial_look(&dial, 1000)) == DIAL_WAITS)
			assert_true(loop_turn(&loop, 1000, &err));
		assert_int_equal(dial.begun, 3);
		assert_int_equal(got, alive ? DIAL_CONNECTED : DIAL_FAILED);
		assert_int_equal(dial.error, ECONNREFUSED);
		if (alive) {
			fd = dial_take(&dial, &ip, &contested);
			assert_true(ip_equal(&ip, &v[2]) && contested);
			fd_close(&fd);
			fd_close(&server);
		}
		dial_free(&dial);
		loop_done(&loop);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(families_take_turns),
		cmocka_unit_test(one_that_is_silent_costs_a_pause),
		cmocka_unit_test(refusals_go_on_at_once),
	};

	world_make_network("127.0.0.1 localhost\n");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
