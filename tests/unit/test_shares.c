#include "unit.h"

#include "base/mem.h"
#include "base/str.h"
#include "session/shares.h"
#include "teardown/lease.h"

#include <string.h>

static void none_may_lie_beneath_what_another_server_writes(void **state)
{
	static const struct {
		const char *mine, *other;
		bool conflict;
	} CASES[] = {
		{ "r/p/sub", "w/p", true },      { "w/p/sub", "w/p", true },  { "w/p", "r/p/sub", true },
		{ "w/p", "w/p/sub/deep", true }, { "r/p", "w/p", false },     { "w/p", "w/p", false },
		{ "r/p/sub", "r/p", false },     { "r/p", "r/p/sub", false }, { "r/p", "w/p/sub", false },
		{ "r/p-two", "w/p", false },     { "r/q", "w/p", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		struct strv mine = { 0 }, other = { 0 };
		const char *a = NULL, *b = NULL;

		strv_push(&mine, "r/elsewhere");
		strv_push(&mine, CASES[i].mine);
		strv_push(&other, CASES[i].other);
		if (shares_conflict(&mine, &other, &a, &b) != CASES[i].conflict)
			fail_msg("%s and %s", CASES[i].mine, CASES[i].other);
		if (CASES[i].conflict) {
			assert_string_equal(a, CASES[i].mine);
			assert_string_equal(b, CASES[i].other);
		}
		strv_done(&mine);
		strv_done(&other);
	}
}

static void the_words_come_back_from_a_lease(void **state)
{
	static const char header[] = "{\"lease\":1,\"npxc\":\"0\",\"id\":\"01234567\",\"boot\":\"b\",\"started_at\":1,"
	                             "\"started_boot\":1,\"launcher\":{\"pid\":7,\"started\":8},\"janitor\":{\"pid\":7,"
	                             "\"started\":8},\"client\":{\"pid\":7,\"started\":8,\"name\":\"\"}}\n";
	struct lease lease = { 0 }, read;
	struct npxc_error err = { 0 };

	(void)state;
	strv_push(&lease.shares, "w/p q");
	strv_push(&lease.shares, "r/p/\"sub\"");
	mem_cleanup char *facts = lease_line_facts(&lease);
	mem_cleanup char *text = str_printf("%s%s", header, facts);
	if (!lease_parse(text, strlen(text), &read, &err))
		fail_msg("%s", err.message);
	assert_int_equal(read.shares.count, 2);
	assert_string_equal(read.shares.v[0], "w/p q");
	assert_string_equal(read.shares.v[1], "r/p/\"sub\"");
	lease_done(&read);
	strv_done(&lease.shares);
	mem_cleanup char *without = lease_line_facts(&lease);
	assert_null(strstr(without, "shares"));
	static const char *const BAD[] = { "{}", "1", "[1]", "[\"x/p\"]", "[\"w\"]", "[\"wp\"]" };
	for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++) {
		mem_cleanup char *line =
		    str_printf("%s{\"facts\":{\"name\":\"\",\"package\":\"\",\"version\":\"\",\"runtime\":\"\","
		               "\"policy\":\"\",\"link\":\"\",\"shares\":%s}}\n",
		               header, BAD[i]);
		if (lease_parse(line, strlen(line), &read, &err))
			fail_msg("%s", BAD[i]);
	}
}

static void machines_of_their_own_count(void **state)
{
	(void)state;
	assert_true(shares_count(RUNTIME_APPLE));
	assert_false(shares_count(RUNTIME_BWRAP));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(none_may_lie_beneath_what_another_server_writes),
		cmocka_unit_test(the_words_come_back_from_a_lease),
		cmocka_unit_test(machines_of_their_own_count),
	};

	return cmocka_run_group_tests_name("shares", tests, NULL, NULL);
}
