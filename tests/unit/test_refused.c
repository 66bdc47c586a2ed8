/* What an installation was refused, and what is said of it. */
#include "unit.h"

#include "base/limits.h"
#include "base/mem.h"
#include "store/refused.h"

#include <stdlib.h>
#include <string.h>

static const char neither[] = "speaks neither TLS nor HTTP";

/* "host port times [why]" each. */
struct refusal {
	const char *host;
	uint16_t port;
	uint64_t times;
	const char *why;
};

static void fill(struct refused *refused, const struct refusal *v, size_t count)
{
	for (size_t i = 0; i < count && v[i].host != NULL; i++)
		refused_add(refused, v[i].host, v[i].port,
		            v[i].why == NULL                 ? REFUSED_WANTS_RULE
		            : strcmp(v[i].why, neither) == 0 ? REFUSED_WANTS_RAW
		                                             : REFUSED_FOR_GOOD,
		            v[i].why, v[i].times);
}

static void one_line_says_what_and_how(void **state)
{
	static const struct {
		struct refusal refusals[4];
		const char *there[3];
		const char *again;
		const char *line;
	} cases[] = {
		{ { { "evil.test", 443, 1, NULL } },
		  { NULL },
		  NULL,
		  "the install scripts of n tried to reach evil.test:443: refused; to allow it, add \"install\": "
		  "{\"allow\": [\"evil.test:443\"]} to /c/n.json" },
		{ { { "evil.test", 443, 1, NULL } },
		  { NULL },
		  "npxc install --force n",
		  "the install scripts of n tried to reach evil.test:443: refused; to allow it, add \"install\": "
		  "{\"allow\": [\"evil.test:443\"]} to /c/n.json, then run npxc install --force n" },
		{ { { "a.test", 443, 1, NULL }, { "b.test", 80, 2, NULL }, { "a.test", 443, 4, NULL } },
		  { NULL },
		  NULL,
		  "the install scripts of n tried to reach a.test:443 (5 times), b.test:80 (2 times): refused; to "
		  "allow "
		  "it, add \"install\": {\"allow\": [\"a.test:443\", \"b.test:80\"]} to /c/n.json" },
		/* the whole setting, not half of it */
		{ { { "a.test", 443, 1, NULL } },
		  { "old.test:443", "*.more.test" },
		  NULL,
		  "the install scripts of n tried to reach a.test:443: refused; to allow it, set \"install\": "
		  "{\"allow\": [\"old.test:443\", \"*.more.test\", \"a.test:443\"]} in /c/n.json" },
		/* a rule that would have to pass any protocol; on 443 there is none */
		{ { { "git.test", 9418, 1, neither }, { "git.test", 443, 1, neither } },
		  { NULL },
		  NULL,
		  "the install scripts of n tried to reach git.test:9418 (speaks neither TLS nor HTTP), git.test:443 "
		  "(speaks neither TLS nor HTTP): refused; to allow it, add \"install\": {\"allow\": "
		  "[\"git.test:9418/raw\"]} to /c/n.json" },
		/* only the name was asked for */
		{ { { "a.test", 0, 1, NULL }, { "a.test", 443, 1, NULL } },
		  { NULL },
		  NULL,
		  "the install scripts of n tried to reach a.test, a.test:443: refused; to allow it, add \"install\": "
		  "{\"allow\": [\"a.test:443\"]} to /c/n.json" },
		{ { { "10.0.0.1", 5432, 1, NULL }, { "2001:db8::1", 80, 1, NULL } },
		  { NULL },
		  NULL,
		  "the install scripts of n tried to reach 10.0.0.1:5432, [2001:db8::1]:80: refused; to allow it, add "
		  "\"install\": {\"allow\": [\"10.0.0.1:5432\", \"[2001:db8::1]:80\"]} to /c/n.json" },
		/* no rule would help */
		{ { { "127.0.0.1", 80, 1, NULL } },
		  { NULL },
		  "x",
		  "the install scripts of n tried to reach 127.0.0.1:80: refused" },
		{ { { "db.test", 80, 1, "its address is private" } },
		  { NULL },
		  NULL,
		  "the install scripts of n tried to reach db.test:80 (its address is private): refused" },
		{ { { "db.test", 80, 1, NULL } },
		  { "db.test:80" },
		  NULL,
		  "the install scripts of n tried to reach db.test:80: refused" },
		{ { { "127.0.0.1", 80, 1, NULL }, { "a.test", 80, 1, NULL } },
		  { NULL },
		  NULL,
		  "the install scripts of n tried to reach 127.0.0.1:80, a.test:80: refused; to allow it, add "
		  "\"install\": "
		  "{\"allow\": [\"a.test:80\"]} to /c/n.json" },
		/* scripts say what they like */
		{ { { "a\n\033[31m\"]}, \"x", 80, 1, "w\nhy" } },
		  { NULL },
		  NULL,
		  "the install scripts of n tried to reach a\\x0a\\x1b[31m\"]}, \"x:80 (w\\x0ahy): refused" },
		{ { { "a.test\"], \"env\": [\"b", 443, 1, NULL } },
		  { NULL },
		  NULL,
		  "the install scripts of n tried to reach [a.test\"], \"env\": [\"b]:443: refused" },
		{ { { "*", 443, 1, NULL }, { "*.test", 0, 1, NULL }, { "", 0, 1, NULL } },
		  { NULL },
		  NULL,
		  "the install scripts of n tried to reach *:443, *.test, : refused" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct refused refused = { 0 };
		struct strv there = { 0 };
		mem_cleanup char *line = NULL;

		for (size_t k = 0; cases[i].there[k] != NULL; k++)
			strv_push(&there, cases[i].there[k]);
		fill(&refused, cases[i].refusals, 4);
		line = refused_of_scripts(&refused, "n", &there, "/c/n.json", cases[i].again);
		if (!str_equal(line, cases[i].line))
			fail_msg("%zu: %s", i, line);
		strv_done(&there);
		refused_done(&refused);
	}
}

static void npm_is_told_from_scripts(void **state)
{
	static const struct refusal v[] = { { "cdn.test", 443, 2, NULL },
		                            { "b.test", 443, 1, NULL },
		                            { "c.test", 1, 1, NULL } };
	struct refused refused = { 0 };
	mem_cleanup char *one = NULL;
	mem_cleanup char *three = NULL;
	mem_cleanup char *none = refused_of_npm(&refused, NULL, NULL);
	mem_cleanup char *no_script = refused_of_scripts(&refused, "n", NULL, NULL, NULL);

	(void)state;
	assert_null(none);
	assert_null(no_script);
	fill(&refused, v, 1);
	one = refused_of_npm(&refused, NULL, "/c/npxc.json");
	assert_string_equal(
	    one, "npm was sent to cdn.test:443 (2 times), which its configuration does not name: refused; if "
	         "your registry keeps files there, add \"install\": {\"allow\": [\"cdn.test:443\"]} to "
	         "/c/npxc.json");
	fill(&refused, v + 1, 2);
	three = refused_of_npm(&refused, NULL, NULL);
	assert_string_equal(three,
	                    "npm was sent to cdn.test:443 (2 times), b.test:443 and 1 others, which its configuration "
	                    "does not name: refused; if your registry keeps files there, add \"install\": {\"allow\": "
	                    "[\"cdn.test:443\", \"b.test:443\"]} to the package's file");
	refused_done(&refused);
}

/* However many targets a script thinks of, few are kept; the proposal is never wider than what is shown. */
static void targets_are_bounded(void **state)
{
	struct refused refused = { 0 };
	mem_cleanup char *line = NULL;

	(void)state;
	for (unsigned i = 0; i < 2000; i++) {
		mem_cleanup char *host = str_printf("h%u.test", i % 1000);

		if (i == 1000)
			assert_int_equal(refused.others, (1000 - LIMIT_REFUSED_TARGETS) * 3);

		refused_add(&refused, host, 443, REFUSED_WANTS_RULE, NULL, 3);
	}
	assert_int_equal(refused.count, LIMIT_REFUSED_TARGETS);
	assert_int_equal(refused.v[0].times, 6);
	assert_int_equal(refused.others, (1000 - LIMIT_REFUSED_TARGETS) * 3 * 2);
	line = refused_of_scripts(&refused, "n", NULL, "f", NULL);
	assert_non_null(strstr(line, "h7.test:443 (6 times) and 24 or more others: refused"));
	assert_non_null(strstr(line, "\"h7.test:443\"]} to f"));
	assert_null(strstr(line, "h8.test"));
	refused_done(&refused);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_line_says_what_and_how),
		cmocka_unit_test(npm_is_told_from_scripts),
		cmocka_unit_test(targets_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
