#include "unit.h"

#include "base/mem.h"
#include "config/rules.h"

#include <stdlib.h>
#include <string.h>

static void rules_that_are_taken(void **state)
{
	static const struct {
		const char *text;
		enum rule_kind kind;
		const char *name; /* or prefix */
		unsigned port;
	} cases[] = {
		{ "api.example.com", RULE_NAME, "api.example.com", 0 },
		{ "API.Example.COM.:443", RULE_NAME, "api.example.com", 443 },
		{ "intranet", RULE_NAME, "intranet", 0 },
		{ "_srv.a-b.example:65535", RULE_NAME, "_srv.a-b.example", 65535 },
		{ "1password.example", RULE_NAME, "1password.example", 0 },
		{ "*.example.com", RULE_SUFFIX, "example.com", 0 },
		{ "*.Example.com:8443", RULE_SUFFIX, "example.com", 8443 },
		{ "*.a.co.uk", RULE_SUFFIX, "a.co.uk", 0 },
		{ "*.me.github.io", RULE_SUFFIX, "me.github.io", 0 },
		{ "10.1.2.3", RULE_ADDRESS, "10.1.2.3", 0 },
		{ "10.1.2.3:5432", RULE_ADDRESS, "10.1.2.3", 5432 },
		{ "10.0.0.0/8:5432", RULE_ADDRESS, "10.0.0.0/8", 5432 },
		{ "[2001:db8::1]:443", RULE_ADDRESS, "2001:db8::1", 443 },
		{ "[2001:db8::1]", RULE_ADDRESS, "2001:db8::1", 0 },
		{ "2001:db8::1", RULE_ADDRESS, "2001:db8::1", 0 },
		{ "[2001:db8::/32]:1", RULE_ADDRESS, "2001:db8::/32", 1 },
		{ "2001:db8::/32", RULE_ADDRESS, "2001:db8::/32", 0 },
		{ "host.npxc.internal:11434", RULE_HOST_ALIAS, "host.npxc.internal", 11434 },
		{ "DB.example.com:5432/raw", RULE_NAME, "db.example.com", 5432 },
		{ "*.db.example.com:6379/raw", RULE_SUFFIX, "db.example.com", 6379 },
		{ "db.example.com:8443/raw", RULE_NAME, "db.example.com", 8443 },
		{ "10.1.2.3:5432/raw", RULE_ADDRESS, "10.1.2.3", 5432 },
		{ "10.0.0.0/8:5432/raw", RULE_ADDRESS, "10.0.0.0/8", 5432 },
		{ "[2001:db8::1]:5432/raw", RULE_ADDRESS, "2001:db8::1", 5432 },
		{ "host.npxc.internal:5432/raw", RULE_HOST_ALIAS, "host.npxc.internal", 5432 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct npxc_error err = { 0 };
		struct rule rule;
		char prefix[IP_PREFIX_TEXT_BYTES] = "";

		if (!rules_parse(cases[i].text, &rule, &err))
			fail_msg("%s: %s", cases[i].text, err.message);
		assert_int_equal(rule.kind, cases[i].kind);
		assert_int_equal(rule.port, cases[i].port);
		assert_int_equal(rule.raw, strstr(cases[i].text, "/raw") != NULL &&
		                               (rule.kind == RULE_NAME || rule.kind == RULE_SUFFIX));
		assert_string_equal(rule.text, cases[i].text);
		if (rule.kind == RULE_ADDRESS)
			ip_prefix_text(&rule.prefix, prefix);
		assert_string_equal(rule.kind == RULE_ADDRESS ? prefix : rule.name, cases[i].name);
		rule_done(&rule);
	}
}

static void rules_that_are_refused(void **state)
{
	static const struct {
		const char *text;
		const char *why;
	} cases[] = {
		{ "", "an empty rule" },
		{ "a b", "no blanks" },
		{ "a\n", "no blanks" },
		{ "*", "every host" },
		{ "*:443", "every host" },
		{ "*.", "elsewhere" },
		{ "**.example.com", "elsewhere" },
		{ "a.*.example.com", "elsewhere" },
		{ "api*.example.com", "elsewhere" },
		{ "*example.com", "elsewhere" },
		{ "*.*.example.com", "elsewhere" },
		{ "*.com", "anybody can have" },
		{ "*.internal", "anybody can have" },
		{ "*.co.uk", "anybody can have" },
		{ "*.github.io:443", "anybody can have" },
		{ "*.GitHub.IO", "anybody can have" },
		{ "*.workers.dev", "anybody can have" },
		{ "*.s3.amazonaws.com", "anybody can have" },
		{ "*.s3.eu-west-1.amazonaws.com", "anybody can have" },
		{ "*.amazonaws.com", "anybody can have" },
		{ "https://api.example.com", "is a URL" },
		{ "api.example.com/path", "neither" },
		{ "user@example.com", "neither a host name" },
		{ "example.com:", "no port" },
		{ "example.com:0", "no port" },
		{ "example.com:65536", "no port" },
		{ "example.com:0443", "no port" },
		{ "example.com:+443", "no port" },
		{ "example.com:https", "no port" },
		{ "example.com:*", "no port" },
		{ ":443", "neither" },
		{ ".example.com", "neither" },
		{ "example..com", "neither" },
		{ "-a.example", "neither" },
		{ "a-.example", "neither" },
		{ "ex\xc3\xa4mple.com", "neither" },
		{ "127.1", "neither a host name nor" },
		{ "2130706433", "neither" },
		{ "0x7f000001", "neither" },
		{ "1.2.3.4.", "neither" },
		{ "01.2.3.4", "neither" },
		{ "127.0.0.1:11434", "host.npxc.internal:PORT" },
		{ "127.8.8.8", "own loopback" },
		{ "[::1]:80", "own loopback" },
		{ "localhost:80", "host.npxc.internal:PORT" },
		{ "a.localhost", "sandbox itself" },
		{ "*.localhost", "sandbox itself" },
		{ "0.0.0.0", "no address of a host" },
		{ "::", "no address of a host" },
		{ "0.0.0.0/0", "most of the Internet" },
		{ "128.0.0.0/1", "most of the Internet" },
		{ "::/0", "most of the Internet" },
		{ "2000::/3", "most of the Internet" },
		{ "224.0.0.1", "multicast" },
		{ "255.255.255.255", "multicast or reserved" },
		{ "[ff02::1]:5353", "multicast" },
		{ "fe80::1", "link-local" },
		{ "198.18.0.7:443", "gives to names" },
		{ "[::ffff:10.0.0.1]:80", "write the IPv4 address" },
		{ "10.0.0.1/8", "beyond its prefix length" },
		{ "10.0.0.0/33", "beyond its prefix length" },
		{ "10.0.0.0/x", "beyond its prefix length" },
		{ "example.com/8", "neither" },
		{ "[2001:db8::1", "bracket" },
		{ "[2001:db8::1]443", "bracket" },
		{ "[10.0.0.1]:443", "no IPv6 address" },
		{ "[example.com]:443", "no IPv6 address" },
		{ "2001:db8::1:99999", "neither" },
		{ "host.npxc.internal", "needs a port" },
		{ "*.host.npxc.internal:80", "no name that npxc knows" },
		{ "other.npxc.internal:80", "no name that npxc knows" },
		{ "*.npxc.internal", "no name that npxc knows" },
		{ "/raw", "no port" },
		{ ":5432/raw", "neither" },
		{ "db.example.com/raw", "has /raw and no port" },
		{ "*.example.com/raw", "has /raw and no port" },
		{ "10.1.2.3/raw", "has /raw and no port" },
		{ "10.0.0.0/8/raw", "has /raw and no port" },
		{ "[2001:db8::1]/raw", "has /raw and no port" },
		{ "2001:db8::1/raw", "has /raw and no port" },
		{ "api.example.com:80/raw", "on port 80" },
		{ "*.example.com:80/raw", "on port 80" },
		{ "api.example.com:443/raw", "on port 443" },
		{ "10.1.2.3:443/raw", "on port 443" },
		{ "db.example.com:0/raw", "no port" },
		{ "db.example.com:080/raw", "no port" },
		{ "db.example.com:5432/RAW", "no port" },
		{ "db.example.com:5432/raw/raw", "no port" },
		{ "db.example.com:5432/raw/", "no port" },
		{ "db.example.com:5432//raw", "no port" },
		{ "db.example.com:5432/tcp", "no port" },
		{ "db.example.com:5432 /raw", "no blanks" },
		{ "db.example.com/raw:5432", "neither" },
		{ "*:5432/raw", "every host" },
		{ "*.github.io:5432/raw", "anybody can have" },
		{ "localhost:5432/raw", "host.npxc.internal:PORT" },
		{ "postgres://db.example.com:5432/raw", "is a URL" },
	};
	char text[600];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct npxc_error err = { 0 };

		if (rules_check(cases[i].text, &err))
			fail_msg("\"%s\" was accepted", cases[i].text);
		assert_int_equal(err.kind, ERROR_CONFIG);
		if (strstr(err.message, cases[i].why) == NULL)
			fail_msg("\"%s\": \"%s\" does not say \"%s\"", cases[i].text, err.message, cases[i].why);
	}
	memset(text, 'a', sizeof(text) - 1);
	text[599] = '\0';
	{
		struct npxc_error err = { 0 };

		assert_false(rules_check(text, &err));
		text[64] = '\0';
		assert_false(rules_check(text, &err));
		text[63] = '\0';
		assert_true(rules_check(text, &err));
	}
}

static struct rules make(const char *const *texts)
{
	struct rules rules = { 0 };
	struct npxc_error err = { 0 };

	for (size_t i = 0; texts[i] != NULL; i++)
		if (!rules_add(&rules, texts[i], &err))
			fail_msg("%s", err.message);
	return rules;
}

static const char *const some[] = { "api.example.com:443",
	                            "api.example.com",
	                            "*.example.com:443",
	                            "*.b.example.com:443",
	                            "example.org",
	                            "10.0.0.0/8:5432",
	                            "10.1.0.0/16",
	                            "10.1.2.3:5432",
	                            "[2001:db8::/32]:443",
	                            "host.npxc.internal:11434",
	                            NULL };

static void a_rule_matches_its_names_and_no_others(void **state)
{
	static const struct {
		const char *name;
		uint16_t port;
		const char *rule; /* NULL: none */
	} cases[] = {
		{ "api.example.com", 443, "api.example.com:443" },
		{ "api.example.com", 80, "api.example.com" },
		{ "x.example.com", 443, "*.example.com:443" },
		{ "x.example.com", 80, NULL },
		{ "x.y.example.com", 443, "*.example.com:443" },
		{ "x.b.example.com", 443, "*.b.example.com:443" },
		{ "b.example.com", 443, "*.example.com:443" },
		{ "example.com", 443, NULL }, /* never the bare suffix */
		{ "evilexample.com", 443, NULL },
		{ "x.example.com.evil.test", 443, NULL },
		{ "example.org", 1, "example.org" },
		{ "www.example.org", 443, NULL },
		{ "host.npxc.internal", 11434, "host.npxc.internal:11434" },
		{ "host.npxc.internal", 11435, NULL },
		{ "10.1.2.3", 5432, NULL }, /* a name is never an address */
		{ "", 443, NULL },
	};
	struct rules rules = make(some);

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct rule *rule = rules_match_name(&rules, cases[i].name, cases[i].port);

		if (rule == NULL ? cases[i].rule != NULL
		                 : cases[i].rule == NULL || strcmp(rule->text, cases[i].rule) != 0)
			fail_msg("%s:%u: %s", cases[i].name, cases[i].port, rule == NULL ? "none" : rule->text);
	}
	assert_true(rules_knows_name(&rules, "x.example.com"));
	assert_true(rules_knows_name(&rules, "host.npxc.internal"));
	assert_false(rules_knows_name(&rules, "example.com"));
	assert_false(rules_knows_name(&rules, "secret.exfil.test"));
	rules_done(&rules);
	assert_null(rules_match_name(&rules, "api.example.com", 443));
}

/* No rule takes away what another one allows. */
static void a_raw_rule_is_found_beside_narrower_ones(void **state)
{
	static const char *const texts[] = { "db.example.com:5432", "*.example.com:5432/raw", "db.example.com",
		                             "cache.example.com:6379/raw", NULL };
	static const struct {
		const char *name;
		uint16_t port;
		const char *rule;
	} cases[] = {
		{ "db.example.com", 5432, "*.example.com:5432/raw" },
		{ "x.example.com", 5432, "*.example.com:5432/raw" },
		{ "db.example.com", 5433, "db.example.com" },
		{ "cache.example.com", 6379, "cache.example.com:6379/raw" },
		{ "cache.example.com", 6380, NULL },
	};
	struct rules rules = make(texts);

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct rule *rule = rules_match_name(&rules, cases[i].name, cases[i].port);

		if (rule == NULL ? cases[i].rule != NULL
		                 : cases[i].rule == NULL || strcmp(rule->text, cases[i].rule) != 0)
			fail_msg("%s:%u: %s", cases[i].name, cases[i].port, rule == NULL ? "none" : rule->text);
	}
	rules_done(&rules);
}

static void a_rule_matches_its_addresses_and_no_others(void **state)
{
	static const struct {
		const char *ip;
		uint16_t port;
		const char *rule;
	} cases[] = {
		{ "10.1.2.3", 5432, "10.1.2.3:5432" },
		{ "10.1.2.3", 80, "10.1.0.0/16" },
		{ "10.1.2.4", 5432, "10.1.0.0/16" },
		{ "10.2.0.1", 5432, "10.0.0.0/8:5432" },
		{ "10.2.0.1", 80, NULL },
		{ "11.0.0.1", 5432, NULL },
		{ "::ffff:10.1.2.3", 5432, "10.1.2.3:5432" },
		{ "2001:db8::5", 443, "[2001:db8::/32]:443" },
		{ "2001:db8::5", 80, NULL },
		{ "2001:db9::5", 443, NULL },
		{ "127.0.0.1", 11434, NULL },
		{ "::", 443, NULL },
	};
	struct rules rules = make(some);

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct rule *rule;
		struct ip ip;

		assert_true(ip_parse(cases[i].ip, strlen(cases[i].ip), &ip));
		rule = rules_match_ip(&rules, &ip, cases[i].port);
		if (rule == NULL ? cases[i].rule != NULL
		                 : cases[i].rule == NULL || strcmp(rule->text, cases[i].rule) != 0)
			fail_msg("%s:%u: %s", cases[i].ip, cases[i].port, rule == NULL ? "none" : rule->text);
	}
	rules_done(&rules);
}

static void equal_rules_count_once(void **state)
{
	static const char *const texts[] = { "A.example:443", "a.example.:443", "10.0.0.1",
		                             "10.0.0.1/32",   "a.example",      NULL };
	struct rules rules = make(texts);

	(void)state;
	assert_int_equal(rules.count, 3);
	rules_done(&rules);
}

static void a_rule_that_adds_nothing_is_warned_of(void **state)
{
	static const struct {
		const char *const texts[3];
		size_t index;
		const char *why; /* NULL: none */
	} cases[] = {
		{ { "a.example:443", "a.example" }, 0, "\"a.example:443\" adds nothing to \"a.example\"" },
		{ { "a.example:443", "a.example" }, 1, NULL },
		{ { "x.a.example:443", "*.a.example:443" }, 0, "adds nothing" },
		{ { "a.example:443", "*.a.example:443" }, 0, NULL },
		{ { "*.b.a.example", "*.a.example" }, 0, "adds nothing" },
		{ { "*.a.example", "*.b.a.example" }, 0, NULL },
		{ { "10.1.0.0/16:80", "10.0.0.0/8" }, 0, "adds nothing" },
		{ { "10.0.0.0/8", "10.1.0.0/16" }, 0, NULL },
		{ { "a.example:80", "a.example:443" }, 0, NULL },
		{ { "169.254.169.254:80" }, 0, "credentials" },
		{ { "10.0.0.1" }, 0, NULL },
		{ { "a.example:5432", "a.example:5432/raw" }, 0, NULL }, /* as learned one after the other */
		{ { "a.example:5432", "a.example:5432/raw" }, 1, NULL },
		{ { "a.example", "a.example:5432/raw" }, 1, NULL },
		{ { "x.a.example:1/raw", "*.a.example:1/raw" }, 0, "adds nothing" },
		{ { "10.0.0.1:5432/raw" }, 0, "needs no /raw" },
		{ { "host.npxc.internal:5432/raw" }, 0, "needs no /raw" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct rules rules = make(cases[i].texts);
		mem_cleanup char *warning = rules_warning(&rules, cases[i].index);

		if (cases[i].why == NULL ? warning != NULL : warning == NULL || strstr(warning, cases[i].why) == NULL)
			fail_msg("case %zu: %s", i, warning == NULL ? "nothing" : warning);
		rules_done(&rules);
	}
}

static void proposals_are_rules(void **state)
{
	mem_cleanup char *name = rules_propose("api.example.com", 443);
	mem_cleanup char *v6 = rules_propose("2001:db8::1", 5432);
	mem_cleanup char *raw = rules_propose_raw("db.example.com", 5432);
	struct npxc_error err = { 0 };

	(void)state;
	assert_string_equal(name, "api.example.com:443");
	assert_string_equal(v6, "[2001:db8::1]:5432");
	assert_string_equal(raw, "db.example.com:5432/raw");
	assert_true(rules_check(name, &err) && rules_check(v6, &err) && rules_check(raw, &err));
}

static void an_empty_or_too_long_name_is_not_made_canonical(void **state)
{
	char name[RULES_NAME_BYTES] = "untouched";
	char text[256];

	(void)state;
	assert_false(rules_canonical_name("a\0b", 3, name));
	assert_false(rules_canonical_name("a..", 3, name));
	assert_false(rules_canonical_name(".", 1, name));
	assert_false(rules_canonical_name("", 0, name));
	assert_string_equal(name, "untouched");
	for (size_t i = 0; i < 254; i++)
		text[i] = i % 2 == 1 ? '.' : 'a';
	assert_true(rules_canonical_name(text, 253, name));
	assert_int_equal(strlen(name), 253);
	assert_true(rules_canonical_name(text, 254, name)); /* the last byte is its trailing dot */
	text[253] = 'b';
	assert_false(rules_canonical_name(text, 254, name));
}

/* A registry and the like: the user has configured the host for something else. */
static void a_host_from_the_configuration_becomes_a_rule(void **state)
{
	static const struct {
		const char *host;
		enum rule_kind kind;
		const char *text;
		bool configured;
	} cases[] = {
		{ "Registry.Example.com", RULE_NAME, "Registry.Example.com:4873", true },
		{ "registry.example.com.", RULE_NAME, "registry.example.com.:4873", true },
		{ "intranet", RULE_NAME, "intranet:4873", true },
		{ "10.0.0.7", RULE_ADDRESS, "10.0.0.7:4873", false },
		{ "fd00::7", RULE_ADDRESS, "[fd00::7]:4873", false },
		{ "localhost", RULE_LOOPBACK, "localhost:4873", false },
		{ "npm.localhost", RULE_LOOPBACK, "npm.localhost:4873", false },
		{ "LOCALHOST.", RULE_LOOPBACK, "LOCALHOST.:4873", false },
		{ "127.0.0.1", RULE_LOOPBACK, "127.0.0.1:4873", false },
		{ "127.8.9.1", RULE_LOOPBACK, "127.8.9.1:4873", false },
		{ "::1", RULE_LOOPBACK, "[::1]:4873", false },
		{ "::ffff:127.0.0.1", RULE_LOOPBACK, "[::ffff:127.0.0.1]:4873", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct npxc_error err = { 0 };
		struct rules rules = { 0 };

		if (!rules_add_configured(&rules, cases[i].host, 4873, false, &err))
			fail_msg("%s: %s", cases[i].host, err.message);
		assert_int_equal(rules.count, 1);
		assert_int_equal(rules.v[0].kind, cases[i].kind);
		assert_string_equal(rules.v[0].text, cases[i].text);
		assert_int_equal(rules.v[0].configured, cases[i].configured);
		assert_int_equal(rules.v[0].port, 4873);
		rules_done(&rules);
	}
}

static void configured_hosts_that_are_refused(void **state)
{
	static const struct {
		const char *host;
		const char *why;
	} cases[] = {
		{ "", "neither" },           { "a b", "neither" },        { "*.example.com", "neither" },
		{ "127.1", "neither" },      { "0x7f000001", "neither" }, { "a.example:80", "neither" },
		{ "10.0.0.0/8", "neither" }, { "0.0.0.0", "0.0.0.0" },    { "224.0.0.1", "224.0.0.1" },
		{ "198.18.0.1", "npxc" },    { "[fd00::1]", "neither" },  { "::", "::" },
	};
	struct rules rules = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct npxc_error err = { 0 };

		if (rules_add_configured(&rules, cases[i].host, 443, false, &err))
			fail_msg("%s was taken", cases[i].host);
		assert_int_equal(err.kind, ERROR_CONFIG);
		if (strstr(err.message, cases[i].why) == NULL)
			fail_msg("%s: \"%s\" does not say \"%s\"", cases[i].host, err.message, cases[i].why);
		assert_int_equal(rules.count, 0);
	}
}

static void loopback_is_matched_by_port_alone(void **state)
{
	struct rules rules = { 0 };
	struct npxc_error err = { 0 };
	struct ip ip;

	(void)state;
	assert_null(rules_match_loopback(&rules, 4873));
	assert_true(rules_add(&rules, "host.npxc.internal:4874", &err));
	assert_true(rules_add(&rules, "10.0.0.1", &err));
	assert_null(rules_match_loopback(&rules, 4874)); /* the alias stands for another address inside */
	assert_true(rules_add_configured(&rules, "localhost", 4873, false, &err));
	assert_true(rules_add_configured(&rules, "127.0.0.1", 4873, false, &err)); /* the same */
	assert_int_equal(rules.count, 3);
	assert_non_null(rules_match_loopback(&rules, 4873));
	assert_null(rules_match_loopback(&rules, 4874));
	assert_null(rules_match_loopback(&rules, 0));
	/* it is no rule for names, nor for addresses */
	assert_null(rules_match_name(&rules, "localhost", 4873));
	assert_false(rules_knows_name(&rules, "localhost"));
	assert_true(ip_parse("127.0.0.1", 9, &ip));
	assert_null(rules_match_ip(&rules, &ip, 4873));
	/* and nothing to compare with others when one looks for what says too much */
	assert_true(rules_add(&rules, "a.example", &err));
	assert_true(rules_add(&rules, "*.b.example", &err));
	for (size_t i = 0; i < rules.count; i++)
		assert_null(rules_warning(&rules, i));
	rules_done(&rules);
}

/* A rule of the user's for the same host and port becomes one that is configured; others do not. */
static void configured_and_written(void **state)
{
	struct rules rules = { 0 };
	struct npxc_error err = { 0 };

	(void)state;
	assert_true(rules_add(&rules, "a.example:443", &err));
	assert_true(rules_add(&rules, "b.example:443", &err));
	assert_true(rules_add_configured(&rules, "A.example.", 443, false, &err));
	assert_int_equal(rules.count, 2);
	assert_true(rules_match_name(&rules, "a.example", 443)->configured);
	assert_false(rules_match_name(&rules, "b.example", 443)->configured);
	assert_true(rules_add_configured(&rules, "b.example", 80, true, &err));
	assert_false(rules_match_name(&rules, "b.example", 443)->configured);
	assert_false(rules_match_name(&rules, "b.example", 443)->proxy);
	assert_true(rules_match_name(&rules, "b.example", 80)->proxy);
	assert_false(rules_match_name(&rules, "a.example", 443)->proxy);
	rules_done(&rules);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rules_that_are_taken),
		cmocka_unit_test(rules_that_are_refused),
		cmocka_unit_test(a_rule_matches_its_names_and_no_others),
		cmocka_unit_test(a_raw_rule_is_found_beside_narrower_ones),
		cmocka_unit_test(a_rule_matches_its_addresses_and_no_others),
		cmocka_unit_test(equal_rules_count_once),
		cmocka_unit_test(a_rule_that_adds_nothing_is_warned_of),
		cmocka_unit_test(proposals_are_rules),
		cmocka_unit_test(an_empty_or_too_long_name_is_not_made_canonical),
		cmocka_unit_test(a_host_from_the_configuration_becomes_a_rule),
		cmocka_unit_test(configured_hosts_that_are_refused),
		cmocka_unit_test(loopback_is_matched_by_port_alone),
		cmocka_unit_test(configured_and_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
