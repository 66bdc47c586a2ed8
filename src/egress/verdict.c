#include "egress/verdict.h"

#include "base/fault.h"

static struct verdict unlisted(void)
{
	return (struct verdict){ .reason = REASON_UNLISTED, .add = AUDIT_ADD_RULE };
}

struct verdict verdict_on_name(const struct rules *rules, const char *name, uint16_t port)
{
	const struct rule *rule = rules_match_name(rules, name, port);

	return rule == NULL ? unlisted() : (struct verdict){ .rule = rule };
}

struct verdict verdict_on_datagram(const struct rules *rules, const struct ip *ip, uint16_t port)
{
	const struct rule *rule = WITHOUT("udp-rules") ? &rules->v[0] : rules_match_ip(rules, ip, port);

	return rule == NULL ? unlisted() : (struct verdict){ .rule = rule, .reason = address_refusal_always(ip) };
}

struct verdict verdict_on_address(const struct rules *rules, const struct ip *ip, uint16_t port)
{
	const struct rule *rule = rules_match_loopback(rules, ip_is_loopback(ip) ? port : 0);

	if (WITHOUT("address-rules"))
		return (struct verdict){ .rule = &rules->v[0] };
	return rule == NULL ? verdict_on_datagram(rules, ip, port) : (struct verdict){ .rule = rule };
}

size_t verdict_keep_fit(const struct rule *rule, const struct address_own *own, struct ip *v, size_t count,
                        enum reason *ret_reason)
{
	size_t kept = 0;

	for (size_t i = 0; i < count; i++) {
		const struct ip ip = ip_plain(&v[i]);
		const enum reason refusal =
		    rule->configured ? address_refusal_configured(&ip) : address_refusal(&ip, own);

		if (refusal == REASON_NONE)
			v[kept++] = ip;
		else
			*ret_reason = refusal;
	}
	return kept;
}
