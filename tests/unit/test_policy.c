#include "unit.h"

#include "base/mem.h"
#include "config/policy.h"

#include <string.h>

static void the_nearest_word_wins(void **state)
{
	static const struct {
		const char *option, *mode, *runtime, *defaults;
		enum policy_kind kind;
		const char *network;
		const char *origin;
		const char *text;
	} cases[] = {
		{ NULL, NULL, NULL, NULL, POLICY_NONE, NULL, "default", "none" },
		{ NULL, NULL, NULL, "open", POLICY_OPEN, NULL, "defaults.network", "open" },
		{ NULL, NULL, NULL, "none", POLICY_NONE, NULL, "defaults.network", "none" },
		{ NULL, NULL, "none", "open", POLICY_NONE, NULL, "runtime.network", "none" },
		{ NULL, "lab", "none", "open", POLICY_NAMED, "lab", "network.mode", "named(lab)" },
		{ "none", "allowlist", "open", "open", POLICY_NONE, NULL, "--network", "none" },
		{ "open", NULL, NULL, NULL, POLICY_OPEN, NULL, "--network", "open" },
		{ "allowlist", "none", NULL, NULL, POLICY_ALLOWLIST, NULL, "--network", "allowlist(0 rules)" },
		/* the same words mean the same in the older places */
		{ NULL, NULL, "allowlist", NULL, POLICY_ALLOWLIST, NULL, "runtime.network", "allowlist(0 rules)" },
		{ NULL, NULL, NULL, "allowlist", POLICY_ALLOWLIST, NULL, "defaults.network", "allowlist(0 rules)" },
		{ NULL, NULL, "open", NULL, POLICY_OPEN, NULL, "runtime.network", "open" },
		{ "A.b_c-9", NULL, NULL, NULL, POLICY_NAMED, "A.b_c-9", "--network", "named(A.b_c-9)" },
		{ "named", NULL, NULL, NULL, POLICY_NAMED, "named", "--network", "named(named)" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct policy_sources sources = { .option = cases[i].option,
			                          .network_mode = cases[i].mode,
			                          .runtime_network = cases[i].runtime,
			                          .defaults_network = cases[i].defaults };
		struct npxc_error err = { 0 };
		struct policy policy;
		mem_cleanup char *text = NULL;

		if (!policy_make(&sources, &policy, &err))
			fail_msg("case %zu: %s", i, err.message);
		assert_int_equal(policy.kind, cases[i].kind);
		assert_string_equal(policy.origin, cases[i].origin);
		assert_true(str_equal(policy.network, cases[i].network));
		assert_int_equal(policy.link, POLICY_LINK_AUTO);
		text = policy_text(&policy);
		assert_string_equal(text, cases[i].text);
		policy_done(&policy);
	}
}

static void a_wrong_or_unknown_network_is_refused(void **state)
{
	static const struct {
		struct policy_sources sources;
		const char *why;
	} cases[] = {
		{ { .option = "" }, "--network: an empty network" },
		{ { .network_mode = "" }, "network.mode: an empty network" },
		{ { .runtime_network = "" }, "runtime.network: an empty network" },
		{ { .defaults_network = "" }, "defaults.network: an empty network" },
		{ { .option = "None" }, "did you mean \"none\"?" },
		{ { .option = "OPEN" }, "did you mean \"open\"?" },
		{ { .option = "AllowList" }, "did you mean \"allowlist\"?" },
		{ { .option = "-lab" }, "\"-lab\" is not a network" },
		{ { .option = ".lab" }, "is not a network" },
		{ { .option = "a b" }, "is not a network" },
		{ { .option = "container:x" }, "is not a network" },
		{ { .option = "a,b" }, "is not a network" },
		{ { .option = "a/b" }, "is not a network" },
		{ { .option = "lab\n" }, "\"lab\\x0a\" is not a network" },
		{ { .option = "l\xc3\xa4" }, "is not a network" },
		{ { .network_mode = "open", .link = "tunnel" }, "network.link: unknown link \"tunnel\"" },
		{ { .network_mode = "allowlist", .link = "" }, "unknown link \"\"" },
		{ { .network_mode = "allowlist", .link = "Socket" }, "unknown link \"Socket\"" },
	};
	char name[130];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct npxc_error err = { 0 };
		struct policy policy;

		if (policy_make(&cases[i].sources, &policy, &err))
			fail_msg("case %zu was accepted", i);
		assert_int_equal(err.kind, ERROR_CONFIG);
		if (strstr(err.message, cases[i].why) == NULL)
			fail_msg("\"%s\" does not say \"%s\"", err.message, cases[i].why);
	}
	memset(name, 'a', sizeof(name));
	name[129] = '\0';
	{
		struct policy_sources sources = { .option = name };
		struct npxc_error err = { 0 };
		struct policy policy;

		assert_false(policy_make(&sources, &policy, &err));
		name[128] = '\0';
		assert_true(policy_make(&sources, &policy, &err));
		policy_done(&policy);
	}
}

static void a_losing_word_is_not_read(void **state)
{
	struct policy_sources sources = { .option = "open", .network_mode = "not a network" };
	struct npxc_error err = { 0 };
	struct policy policy;

	(void)state;
	assert_true(policy_make(&sources, &policy, &err));
	assert_int_equal(policy.kind, POLICY_OPEN);
	policy_done(&policy);
}

static void rules_are_added_up(void **state)
{
	struct strv file = { 0 };
	struct strv option = { 0 };
	struct policy_sources sources = {
		.network_mode = "allowlist", .link = "netns", .allow = &file, .option_allow = &option
	};
	struct npxc_error err = { 0 };
	struct policy policy;
	mem_cleanup char *text = NULL;

	(void)state;
	strv_push(&file, "a.example");
	assert_true(policy_make(&sources, &policy, &err));
	text = policy_text(&policy);
	assert_string_equal(text, "allowlist(1 rule)");
	policy_done(&policy);

	strv_push(&option, "b.example:443");
	strv_push(&option, "a.example");
	assert_true(policy_make(&sources, &policy, &err));
	assert_int_equal(policy.rules.count, 2);
	assert_string_equal(policy.rules.v[0].text, "a.example");
	assert_string_equal(policy.rules.v[1].text, "b.example:443");
	assert_int_equal(policy.link, POLICY_LINK_NETNS);
	policy_done(&policy);

	/* a user who types --allow expects something of it */
	sources.network_mode = "none";
	assert_false(policy_make(&sources, &policy, &err));
	assert_non_null(strstr(err.message, "--allow means nothing with the network \"none\" (network.mode)"));
	sources.network_mode = NULL;
	assert_false(policy_make(&sources, &policy, &err));
	assert_non_null(strstr(err.message, "(default); add --network allowlist"));

	/* the file's rules alone neither change the mode nor reach a policy that does not use them */
	strv_done(&option);
	sources.network_mode = "open";
	assert_true(policy_make(&sources, &policy, &err));
	assert_int_equal(policy.rules.count, 0);
	policy_done(&policy);

	strv_push(&file, "");
	assert_false(policy_make(&sources, &policy, &err));
	assert_non_null(strstr(err.message, "network.allow: an empty rule"));
	strv_done(&file);

	sources.option = "allowlist";
	strv_push(&option, "two hosts");
	assert_false(policy_make(&sources, &policy, &err));
	assert_non_null(strstr(err.message, "--allow: a rule holds no blanks"));
	strv_done(&option);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_nearest_word_wins),
		cmocka_unit_test(a_wrong_or_unknown_network_is_refused),
		cmocka_unit_test(a_losing_word_is_not_read),
		cmocka_unit_test(rules_are_added_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
