#include "egress/grant.h"

#include "base/limits.h"
#include "base/str.h"

#include <string.h>

/* A list, because a label that the guest may choose is one that it can write into. */
static const char *const services[] = {
	"_mongodb", "_postgresql", "_mysql",      "_redis",       "_amqp",    "_amqps",       "_kafka",
	"_ldap",    "_ldaps",      "_kerberos",   "_sip",         "_sips",    "_xmpp-client", "_xmpp-server",
	"_imap",    "_imaps",      "_submission", "_submissions", "_caldavs", "_carddavs",    "_matrix",
	"_http",    "_https",      "_grpclb",     "_stun",        "_turn",    "_minecraft",   "_nats",
};

/* What follows "_service._tcp." of such a name; else NULL. */
static const char *base_of(const char *name)
{
	static const char protocol[] = "._tcp.";
	const size_t span = strcspn(name, ".");

	if (!str_starts(name + span, protocol))
		return NULL;
	for (size_t i = 0; i < sizeof(services) / sizeof(services[0]); i++)
		if (strlen(services[i]) == span && strncmp(services[i], name, span) == 0)
			return name + span + strlen(protocol);
	return NULL;
}

static bool may(const struct rule *rule, bool exactly)
{
	return !rule->configured && (rule->kind == RULE_NAME || (rule->kind == RULE_SUFFIX && !exactly));
}

static bool is_named(const struct rules *rules, const char *name, bool exactly)
{
	for (size_t i = 0; i < rules->count; i++)
		if (may(&rules->v[i], exactly) && rules_names(&rules->v[i], name))
			return true;
	return false;
}

enum reason grant_refusal(const struct rules *rules, const char *name, uint16_t type)
{
	const char *base = type == DNS_TYPE_SRV ? base_of(name) : NULL;

	if (is_named(rules, name, type == DNS_TYPE_TXT) || (base != NULL && is_named(rules, base, false)))
		return REASON_NONE;
	return is_named(rules, name, false) ? REASON_TXT_WILDCARD : REASON_UNLISTED;
}

static const struct rule *rule_for(const struct rules *rules, const char *name, uint16_t port)
{
	const struct rule *rule = name != NULL ? rules_match_name(rules, name, port) : NULL;

	return rule != NULL && may(rule, false) ? rule : NULL;
}

static bool is_ours(const char *name)
{
	return str_equal(name, "localhost") || str_ends(name, ".localhost") || str_equal(name, "npxc.internal") ||
	       str_ends(name, ".npxc.internal");
}

void grant_targets(const struct rules *rules, const char *name, const struct records *records, struct rules *granted)
{
	for (size_t i = 0; i < records->count; i++) {
		char target[RULES_NAME_BYTES];
		const struct rule *rule;
		uint16_t port;

		if (!records_target(records, i, target, &port) || is_ours(target))
			continue;
		rule = rule_for(rules, name, port);
		if (rule == NULL)
			rule = rule_for(rules, base_of(name), port);
		if (rule != NULL && granted->count < LIMIT_EGRESS_GRANTS)
			rules_add_granted(granted, rule, target, port);
	}
}
