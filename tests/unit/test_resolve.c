#include "unit.h"

#include "base/clock.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"
#include "egress/resolve.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * A look-up that tests steer: names that begin with "slow" hang until they are let go, "none" has no address, others
 * have 192.0.2.N with N the number of the look-up. The resolver lives as long as its process, so all tests share one.
 */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static unsigned asked, hanging, most_hanging;
static bool held;

static void lookup(const char *name, struct resolve_answer *ret_answer)
{
	pthread_mutex_lock(&lock);
	const unsigned number = ++asked;
	if (str_starts(name, "slow")) {
		hanging++;
		most_hanging = hanging > most_hanging ? hanging : most_hanging;
		pthread_cond_broadcast(&changed);
		while (held)
			pthread_cond_wait(&changed, &lock);
		hanging--;
	}
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
	*ret_answer = (struct resolve_answer){ .found = !str_starts(name, "none") };
	if (ret_answer->found)
		ret_answer->v[ret_answer->count++] = ip_v4(0xc0000200U + (number & 0xff));
}

static void hold_slow_ones(bool on)
{
	pthread_mutex_lock(&lock);
	held = on;
	if (on)
		most_hanging = 0;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}

static void await_hanging(unsigned count)
{
	pthread_mutex_lock(&lock);
	while (hanging < count)
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
}

static unsigned asked_so_far(void)
{
	pthread_mutex_lock(&lock);
	const unsigned count = asked;
	pthread_mutex_unlock(&lock);
	return count;
}

static struct loop loop;
static struct resolver *resolver;

static int open_all(void **state)
{
	struct npxc_error err = { 0 };

	(void)state;
	if (!loop_open(&loop, &err) || !resolver_open(&loop, &resolver, &err))
		return 1;
	resolver_set_lookup(resolver, lookup);
	return 0;
}

struct waiting {
	unsigned told;
	struct resolve_answer answer;
};

static void on_told(void *context, const struct resolve_answer *answer)
{
	struct waiting *waiting = context;

	waiting->told++;
	waiting->answer = *answer;
}

static uint64_t ask(const char *name, struct waiting *waiting)
{
	uint64_t ticket = 99;

	if (!resolver_ask(resolver, name, on_told, waiting, &ticket))
		fail_msg("%s was not asked for", name);
	return ticket;
}

/* Turns until `count` were told; a test that waits for what does not come is ended. */
static void turn_until(const unsigned *told, unsigned count)
{
	struct npxc_error err = { 0 };
	const int64_t deadline = clock_now_ms() + 10000;

	while (*told < count) {
		if (clock_now_ms() > deadline)
			fail_msg("nobody was told in 10 s");
		assert_true(loop_turn(&loop, 100, &err));
	}
}

static void one_question_for_many(void **state)
{
	static struct waiting waiting[1000];
	const unsigned before = asked_so_far();

	(void)state;
	hold_slow_ones(true);
	for (size_t i = 0; i < 1000; i++)
		assert_true(ask("slow.many", &waiting[i]) != 0);
	await_hanging(1);
	hold_slow_ones(false);
	for (size_t i = 0; i < 1000; i++)
		turn_until(&waiting[i].told, 1);
	assert_int_equal(asked_so_far() - before, 1);
	for (size_t i = 0; i < 1000; i++) {
		assert_int_equal(waiting[i].told, 1);
		assert_true(waiting[i].answer.found);
		assert_int_equal(waiting[i].answer.count, 1);
	}
}

static void answers_are_kept_for_a_while(void **state)
{
	struct waiting first = { 0 }, second = { 0 }, other = { 0 };
	const unsigned before = asked_so_far();

	(void)state;
	assert_true(ask("kept.test", &first) != 0);
	turn_until(&first.told, 1);
	assert_int_equal(ask("kept.test", &second), 0); /* told at once */
	assert_int_equal(second.told, 1);
	assert_true(ip_equal(&second.answer.v[0], &first.answer.v[0]));
	assert_int_equal(asked_so_far() - before, 1);
	ask("kept.test2", &other);
	turn_until(&other.told, 1);
	assert_false(ip_equal(&other.answer.v[0], &first.answer.v[0]));
}

static void an_old_answer_gives_way(void **state)
{
	struct waiting waiting = { 0 };
	unsigned before;
	char name[32];

	(void)state;
	for (unsigned i = 0; i <= LIMIT_EGRESS_RESOLVED; i++) {
		snprintf(name, sizeof(name), "n%u.test", i);
		ask(name, &waiting);
		turn_until(&waiting.told, i + 1);
	}
	before = asked_so_far();
	waiting.told = 0;
	assert_int_equal(ask(name, &waiting), 0); /* the last one is there */
	/* one of the others is not; which, depends on the clock */
	for (unsigned i = 0; i <= LIMIT_EGRESS_RESOLVED; i++) {
		snprintf(name, sizeof(name), "n%u.test", i);
		ask(name, &waiting);
		turn_until(&waiting.told, i + 2);
	}
	assert_true(asked_so_far() > before);
}

static void what_is_not_found_is_not_kept(void **state)
{
	struct waiting first = { 0 }, second = { 0 };
	const unsigned before = asked_so_far();

	(void)state;
	ask("none.test", &first);
	turn_until(&first.told, 1);
	assert_false(first.answer.found);
	assert_int_equal(first.answer.count, 0);
	assert_true(ask("none.test", &second) != 0);
	turn_until(&second.told, 1);
	assert_int_equal(asked_so_far() - before, 2);
}

static void who_has_gone_is_not_told(void **state)
{
	struct waiting gone = { 0 }, stays = { 0 }, last = { 0 }, again = { 0 };
	uint64_t ticket;

	(void)state;
	resolver_forget(resolver, 0);
	resolver_forget(resolver, 123456789);
	hold_slow_ones(true);
	ticket = ask("slow.gone", &gone);
	ask("slow.gone", &stays);
	resolver_forget(resolver, ticket);
	resolver_forget(resolver, ticket);
	ticket = ask("slow.alone", &gone);
	resolver_forget(resolver, ticket);
	ask("slow.last", &last);
	await_hanging(3);
	ask("slow.alone", &again); /* for which the same look-up serves: when it is over nothing is under way */
	hold_slow_ones(false);
	turn_until(&stays.told, 1);
	turn_until(&last.told, 1);
	turn_until(&again.told, 1);
	assert_int_equal(gone.told, 0);
	resolver_forget(resolver, ticket); /* after its answer */
}

/* One flow's end may take others with it: forgetting while being told. */
static uint64_t others[8];

static void on_told_forget(void *context, const struct resolve_answer *answer)
{
	on_told(context, answer);
	for (size_t i = 0; i < 8; i++)
		resolver_forget(resolver, others[i]);
}

static void forgetting_while_being_told(void **state)
{
	struct waiting waiting = { 0 };

	(void)state;
	hold_slow_ones(true);
	for (size_t i = 0; i < 8; i++)
		assert_true(resolver_ask(resolver, "slow.forget", on_told_forget, &waiting, &others[i]));
	hold_slow_ones(false);
	turn_until(&waiting.told, 1);
	assert_int_equal(waiting.told, 1);
}

static void lines_of_the_hosts_file(void **state)
{
	static const struct {
		const char *line;
		const char *ip; /* NULL: none */
	} cases[] = {
		{ "10.1.2.3 api.test", "10.1.2.3" },
		{ "10.1.2.3\tother.test  api.test\n", "10.1.2.3" },
		{ "  10.1.2.3 API.Test. # the api\r\n", "10.1.2.3" },
		{ "2001:db8::1 x api.test y\n", "2001:db8::1" },
		{ "10.1.2.3 api.test#comment\n", "10.1.2.3" },
		{ "", NULL },
		{ "\n", NULL },
		{ "# 10.1.2.3 api.test", NULL },
		{ "10.1.2.3 # api.test", NULL },
		{ "10.1.2.3#api.test api.test", NULL },
		{ "10.1.2.3", NULL },
		{ "10.1.2.3 ", NULL },
		{ "10.1.2.3 api.test.corp.lan api api.testx xapi.test", NULL },
		{ "api.test 10.1.2.3", NULL },
		{ "10.1.2 api.test", NULL },
		{ "fe80::1%lo api.test", NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[IP_TEXT_BYTES] = "";
		struct ip ip;
		const bool found = resolve_hosts_line(cases[i].line, "api.test", &ip);

		if (found)
			ip_text(&ip, text);
		if (found != (cases[i].ip != NULL) || (found && strcmp(text, cases[i].ip) != 0))
			fail_msg("\"%s\": %s", cases[i].line, found ? text : "nothing");
	}
}

static void some_of_each_family_are_kept(void **state)
{
	const struct ip v4 = ip_v4(0x0a000001), v6 = { .v6 = true, .bytes = { 0x20, 1 } };
	struct resolve_answer answer = { 0 };

	(void)state;
	for (size_t i = 0; i < 3 * (size_t)RESOLVE_ADDRESSES; i++)
		resolve_keep(&answer, &v6);
	assert_int_equal(answer.count, RESOLVE_ADDRESSES / 2);
	for (size_t i = 0; i < 3 * (size_t)RESOLVE_ADDRESSES; i++)
		resolve_keep(&answer, &v4);
	assert_int_equal(answer.count, RESOLVE_ADDRESSES);
	assert_true(answer.found && !answer.v[RESOLVE_ADDRESSES - 1].v6);
}

static void use_one_processor(bool on)
{
#ifdef __linux__
	static cpu_set_t all;
	cpu_set_t one;
	size_t first = 0;

	if (!on) {
		assert_int_equal(sched_setaffinity(0, sizeof(all), &all), 0);
		return;
	}
	assert_int_equal(sched_getaffinity(0, sizeof(all), &all), 0);
	CPU_ZERO(&one);
	while (!CPU_ISSET(first, &all))
		first++;
	CPU_SET(first, &one);
	assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
#else
	(void)on;
#endif
}

/*
 * A name that nobody answers for keeps one thread, not the others. The questions come faster than a thread wakes: on
 * one processor, and as often as it takes.
 */
static void a_slow_one_holds_up_nobody(void **state)
{
	enum { ROUNDS = 20 };

	(void)state;
	use_one_processor(true);
	for (int i = 0; i < ROUNDS; i++) {
		struct waiting slow = { 0 }, quick = { 0 };
		struct resolver *fresh = NULL;
		struct npxc_error err = { 0 };
		uint64_t ticket;

		assert_true(resolver_open(&loop, &fresh, &err));
		resolver_set_lookup(fresh, lookup);
		assert_true(resolver_ask(fresh, "first.test", on_told, &quick, &ticket));
		turn_until(&quick.told, 1); /* its thread waits for a question now */
		hold_slow_ones(true);
		assert_true(resolver_ask(fresh, "slow.test", on_told, &slow, &ticket));
		assert_true(resolver_ask(fresh, "quick.test", on_told, &quick, &ticket));
		turn_until(&quick.told, 2);
		assert_int_equal(slow.told, 0);
		hold_slow_ones(false);
		turn_until(&slow.told, 1);
	}
	use_one_processor(false);
}

static void there_is_a_limit(void **state)
{
	static struct waiting waiting[LIMIT_EGRESS_QUESTIONS + 1];
	char name[32], long_name[RULES_NAME_BYTES + 1];
	uint64_t ticket;

	(void)state;
	memset(waiting, 0, sizeof(waiting));
	hold_slow_ones(true);
	for (unsigned i = 0; i < LIMIT_EGRESS_QUESTIONS; i++) {
		snprintf(name, sizeof(name), "slow.%u.limit", i);
		ask(name, &waiting[i]);
	}
	await_hanging(LIMIT_EGRESS_THREADS);
	assert_false(resolver_ask(resolver, "one.more", on_told, &waiting[LIMIT_EGRESS_QUESTIONS], &ticket));
	ask(name, &waiting[LIMIT_EGRESS_QUESTIONS]); /* the same question again is none */
	hold_slow_ones(false);
	for (unsigned i = 0; i <= LIMIT_EGRESS_QUESTIONS; i++)
		turn_until(&waiting[i].told, 1);
	assert_int_equal(most_hanging, LIMIT_EGRESS_THREADS);
	ask("one.more", &waiting[0]);
	turn_until(&waiting[0].told, 2);

	memset(long_name, 'a', sizeof(long_name) - 1);
	long_name[sizeof(long_name) - 1] = '\0';
	assert_false(resolver_ask(resolver, long_name, on_told, &waiting[0], &ticket));
}

/* The guest decides how often it asks and goes away again: that must not add up. */
static void who_has_gone_takes_no_memory(void **state)
{
	enum { TIMES = 200000 };
	struct waiting waiting = { 0 }, stays = { 0 };
	const int64_t began = clock_now_ms();

	(void)state;
	hold_slow_ones(true);
	ask("slow.memory", &stays);
	for (unsigned i = 0; i < TIMES; i++)
		resolver_forget(resolver, ask("slow.memory", &waiting));
	/* with all of them still in a list this takes 200,000 times 200,000 steps: minutes instead of a moment */
	assert_true(clock_now_ms() - began < 30000);
	hold_slow_ones(false);
	turn_until(&stays.told, 1);
	assert_int_equal(waiting.told, 0);
}

/* ---- the system's resolver ---- */

static void names_of_the_system(void **state)
{
	struct resolver *system = NULL;
	struct waiting local = { 0 }, none = { 0 };
	struct npxc_error err = { 0 };
	uint64_t ticket;

	(void)state;
	assert_true(resolver_open(&loop, &system, &err));
	assert_true(resolver_ask(system, "localhost", on_told, &local, &ticket));
	assert_true(resolver_ask(system, "..", on_told, &none, &ticket)); /* refused before anybody is asked */
	turn_until(&local.told, 1);
	turn_until(&none.told, 1);
	assert_true(local.answer.found && local.answer.count >= 1);
	assert_false(none.answer.found);
	for (size_t i = 0; i < local.answer.count; i++)
		assert_true(local.answer.v[i].v6 ? local.answer.v[i].bytes[15] == 1
		                                 : local.answer.v[i].bytes[0] == 127);
}

static void lookup_records(const char *name, uint16_t type, struct records *ret_records)
{
	(void)name;
	pthread_mutex_lock(&lock);
	asked++;
	pthread_mutex_unlock(&lock);
	*ret_records = (struct records){ .type = type, .code = DNS_CODE_NXDOMAIN };
}

struct waiting_for_records {
	unsigned told;
	uint16_t type;
};

static void on_records(void *context, const struct records *records)
{
	struct waiting_for_records *waiting = context;

	waiting->told++;
	waiting->type = records->type;
}

static void records_are_questions_of_their_own(void **state)
{
	struct waiting_for_records srv = { 0 }, txt = { 0 }, again = { 0 }, gone = { 0 };
	struct waiting addresses = { 0 };
	const unsigned before = asked_so_far();
	uint64_t ticket = 0;

	(void)state;
	resolver_set_records_lookup(resolver, lookup_records);
	assert_true(ask("all.test", &addresses) != 0);
	assert_true(resolver_ask_records(resolver, "all.test", DNS_TYPE_SRV, on_records, &srv, &ticket));
	assert_true(resolver_ask_records(resolver, "all.test", DNS_TYPE_TXT, on_records, &txt, &ticket));
	assert_true(resolver_ask_records(resolver, "all.test", DNS_TYPE_MX, on_records, &gone, &ticket));
	resolver_forget(resolver, ticket);
	turn_until(&addresses.told, 1);
	turn_until(&srv.told, 1);
	turn_until(&txt.told, 1);
	assert_true(addresses.answer.found);
	assert_int_equal(srv.type, DNS_TYPE_SRV);
	assert_int_equal(txt.type, DNS_TYPE_TXT);
	/* never known already */
	assert_true(resolver_ask_records(resolver, "all.test", DNS_TYPE_SRV, on_records, &again, &ticket));
	assert_int_equal(again.told, 0);
	assert_true(ticket != 0);
	turn_until(&again.told, 1);
	assert_int_equal(gone.told, 0);
	/* the one that nobody waits for is asked too, perhaps later */
	assert_true(asked_so_far() - before >= 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_of_the_hosts_file),
		cmocka_unit_test(some_of_each_family_are_kept),
		cmocka_unit_test(one_question_for_many),
		cmocka_unit_test(a_slow_one_holds_up_nobody),
		cmocka_unit_test(answers_are_kept_for_a_while),
		cmocka_unit_test(an_old_answer_gives_way),
		cmocka_unit_test(what_is_not_found_is_not_kept),
		cmocka_unit_test(who_has_gone_is_not_told),
		cmocka_unit_test(forgetting_while_being_told),
		cmocka_unit_test(there_is_a_limit),
		cmocka_unit_test(who_has_gone_takes_no_memory),
		cmocka_unit_test(names_of_the_system),
		cmocka_unit_test(records_are_questions_of_their_own),
	};

	return cmocka_run_group_tests(tests, open_all, NULL);
}
