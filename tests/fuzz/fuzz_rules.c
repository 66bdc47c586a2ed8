#include "fuzz.h"

#include "base/str.h"
#include "config/rules.h"

/* A rule allows itself, and nothing of what no rule may allow. */
static void check(const struct rules *rules)
{
	const struct rule *rule = &rules->v[0];
	const uint16_t port = rule->port != 0 ? rule->port : 443;
	struct ip loopback = ip_v4(0x7f000001);
	char below[RULES_NAME_BYTES + 2];

	REQUIRE(!rule->raw || (rule->port != 0 && rule->port != 80 && rule->port != 443 && rule->name != NULL));
	REQUIRE(rules_match_ip(rules, &loopback, port) == NULL);
	REQUIRE(rules_match_name(rules, "localhost", port) == NULL);
	switch (rule->kind) {
	case RULE_NAME:
	case RULE_HOST_ALIAS:
		REQUIRE(rules_match_name(rules, rule->name, port) == rule);
		REQUIRE(rule->kind == RULE_NAME || rule->port != 0);
		break;
	case RULE_SUFFIX:
		REQUIRE(strchr(rule->name, '.') != NULL);
		REQUIRE(rules_match_name(rules, rule->name, port) == NULL);
		snprintf(below, sizeof(below), "x.%s", rule->name);
		REQUIRE(rules_match_name(rules, below, port) == rule);
		break;
	case RULE_ADDRESS:
		REQUIRE(rules_match_ip(rules, &rule->prefix.ip, port) == rule);
		REQUIRE(rule->prefix.length >= 8);
		break;
	case RULE_LOOPBACK: /* no text makes one */
		REQUIRE(false);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = size > 0 ? str_dup_n((const char *)data, size) : str_dup("");
	struct npxc_error err = { 0 };
	struct rules rules = { 0 };

	if (!rules_add(&rules, text, &err)) {
		require_refusal(&err, ERROR_CONFIG);
	} else {
		check(&rules);
		REQUIRE(rules_add(&rules, text, &err) && rules.count == 1);
	}
	rules_done(&rules);
	free(text);
	return 0;
}
