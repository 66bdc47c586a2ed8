#include "unit.h"

#include "base/mem.h"
#include "egress/learned.h"
#include "egress/netns.h"

#include <stdlib.h>
#include <string.h>

struct seen {
	const char *host;
	uint16_t port;
	enum reason reason; /* NONE: no rule names it */
	bool odd;           /* neither a name nor an address */
};

static char *joined(const struct strv *list)
{
	char *text = str_dup("");

	for (size_t i = 0; i < list->count; i++) {
		mem_cleanup char *so_far = text;
		text = str_printf("%s%s%s", so_far, i == 0 ? "" : " ", list->v[i]);
	}
	return text;
}

static char *rest_joined(const struct learned_proposal *proposal)
{
	char *text = str_dup("");

	for (size_t i = 0; i < proposal->rest_count; i++) {
		mem_cleanup char *so_far = text;
		text = str_printf("%s%s%s", so_far, i == 0 ? "" : " ", proposal->rest[i].what);
	}
	return text;
}

static void refusals_become_rules(void **state)
{
	static const struct {
		const char *existing[3], *wanted[3];
		struct seen seen[6];
		const char *rules, *looked_up, *rest;
	} cases[] = {
		{ { 0 }, { 0 }, { { 0 } }, "", "", "" },
		/* each once, sorted, names in their canonical form, no wildcards of several */
		{ { 0 },
		  { 0 },
		  { { "b.test", 443, REASON_NONE, false },
		    { "A.TEST.", 443, REASON_NONE, false },
		    { "b.test", 443, REASON_NONE, false },
		    { "b.test", 80, REASON_NONE, false },
		    { "2001:db8::1", 5432, REASON_NONE, false } },
		  "[2001:db8::1]:5432 a.test:443 b.test:443 b.test:80",
		  "",
		  "" },
		/* what is there already */
		{ { "*.a.test:443", "10.0.0.0/24", "c.test" },
		  { 0 },
		  { { "x.a.test", 443, REASON_NONE, false },
		    { "x.a.test", 80, REASON_NONE, false },
		    { "a.test", 443, REASON_NONE, false },
		    { "10.0.0.7", 22, REASON_NONE, false },
		    { "10.0.1.7", 22, REASON_NONE, false },
		    { "c.test", 1, REASON_NONE, false } },
		  "10.0.1.7:22 a.test:443 x.a.test:80",
		  "",
		  "" },
		/* rules of the command line stand as they were typed, and cover what was refused before they were known
		 */
		{ { "a.test:443" },
		  { "*.w.test", "a.test:443", "host.npxc.internal:8080" },
		  { { "x.w.test", 443, REASON_NONE, false } },
		  "*.w.test host.npxc.internal:8080",
		  "",
		  "" },
		/* looked up, connected to, or both */
		{ { 0 },
		  { 0 },
		  { { "only.test", 0, REASON_NONE, false },
		    { "both.test", 0, REASON_NONE, false },
		    { "Both.test", 443, REASON_NONE, false },
		    { "only.test", 0, REASON_NONE, false } },
		  "both.test:443",
		  "only.test",
		  "" },
		/* a rule that would have to pass any protocol, beside the one that was there */
		{ { "db.test:5432", "*.a.test:6379/raw" },
		  { 0 },
		  { { "db.test", 5432, REASON_NEITHER_PROTOCOL, false },
		    { "c.a.test", 6379, REASON_NEITHER_PROTOCOL, false } },
		  "db.test:5432/raw",
		  "",
		  "" },
		/* no rule would help, or is allowed */
		{ { "gate.test:443" },
		  { 0 },
		  { { "gate.test", 443, REASON_OTHER_SNI, false },
		    { "token.test", 443, REASON_TOKEN, false },
		    { "127.0.0.1", 80, REASON_NONE, false },
		    { "localhost", 80, REASON_NONE, false },
		    { "x y", 443, REASON_NONE, true },
		    { "odd\\x00", 0, REASON_NONE, true } },
		  "",
		  "",
		  "gate.test:443 token.test:443 127.0.0.1:80 localhost:80 x y:443 odd\\x00" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct learned learned = { 0 };
		struct learned_proposal proposal;
		struct rules existing = { 0 };
		struct strv wanted = { 0 };
		struct npxc_error err = { 0 };

		for (size_t k = 0; k < 3 && cases[i].existing[k] != NULL; k++)
			assert_true(rules_add(&existing, cases[i].existing[k], &err));
		for (size_t k = 0; k < 3 && cases[i].wanted[k] != NULL; k++)
			strv_push(&wanted, cases[i].wanted[k]);
		for (size_t k = 0; k < 6 && cases[i].seen[k].host != NULL; k++) {
			const enum reason reason = cases[i].seen[k].reason;
			learned_add(&learned, &(struct egress_denial){
			                          .host = cases[i].seen[k].host,
			                          .port = cases[i].seen[k].port,
			                          .reason = reason == REASON_NONE ? REASON_UNLISTED : reason,
			                          .add = reason == REASON_NONE               ? AUDIT_ADD_RULE
			                                 : reason == REASON_NEITHER_PROTOCOL ? AUDIT_ADD_RAW
			                                                                     : AUDIT_ADD_NOTHING,
			                          .is_host = !cases[i].seen[k].odd,
			                      });
		}
		learned_propose(&learned, &existing, &wanted, &proposal);
		mem_cleanup char *rules = joined(&proposal.rules);
		mem_cleanup char *looked_up = joined(&proposal.looked_up);
		mem_cleanup char *rest = rest_joined(&proposal);
		assert_string_equal(rules, cases[i].rules);
		assert_string_equal(looked_up, cases[i].looked_up);
		assert_string_equal(rest, cases[i].rest);
		for (size_t k = 0; k < proposal.rest_count; k++)
			assert_true(proposal.rest[k].why[0] != '\0');
		learned_proposal_done(&proposal);
		learned_done(&learned);
		rules_done(&existing);
		strv_done(&wanted);
	}
}

/* As many as the egress process tells of one session (LIMIT_EGRESS_NOTES). */
static void there_is_an_end(void **state)
{
	struct learned learned = { 0 };

	(void)state;
	for (uint16_t i = 1; i < 400; i++)
		learned_add(&learned,
		            &(struct egress_denial){ .host = "a.test", .port = i, .reason = REASON_UNLISTED });
	assert_int_equal(learned.count, 256);
	learned_done(&learned);
}

/* Without nft a socket listens on each port that is watched, and there is an end to them (LIMIT_EGRESS_PORTS). */
static void ports_are_watched(void **state)
{
	struct netns_request request = { .nft = "/usr/sbin/nft", .ports = { 443 }, .count = 1 };

	(void)state;
	netns_request_to_learn(&request);
	assert_true(request.any);
	assert_int_equal(request.count, 1);

	request = (struct netns_request){ .ports = { 443, 9999 }, .count = 2 };
	netns_request_to_learn(&request);
	assert_false(request.any);
	assert_int_equal(request.count, 2 + 15); /* 443 is there already */
	assert_int_equal(request.ports[0], 443);
	assert_int_equal(request.ports[2], 80);

	for (request.count = 0; request.count < 60; request.count++)
		request.ports[request.count] = (uint16_t)(10000 + request.count);
	netns_request_to_learn(&request);
	assert_int_equal(request.count, 64);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refusals_become_rules),
		cmocka_unit_test(there_is_an_end),
		cmocka_unit_test(ports_are_watched),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
