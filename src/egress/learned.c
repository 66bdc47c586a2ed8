#include "egress/learned.h"

#include "base/limits.h"
#include "base/mem.h"
#include "egress/address.h"

#include <stdlib.h>
#include <string.h>

void learned_add(struct learned *learned, const struct egress_denial *denial)
{
	char name[RULES_NAME_BYTES];
	const bool is_name = rules_canonical_name(denial->host, strlen(denial->host), name);

	if (learned->count == LIMIT_EGRESS_NOTES)
		return;
	learned->v = mem_realloc(learned->v, learned->count + 1, sizeof(*learned->v));
	learned->v[learned->count++] = (struct learned_denial){
		.host = str_dup(is_name ? name : denial->host),
		.port = denial->port,
		.reason = denial->reason,
		.is_host = denial->is_host,
		.add = denial->add,
	};
}

void learned_done(struct learned *learned)
{
	for (size_t i = 0; i < learned->count; i++)
		free(learned->v[i].host);
	free(learned->v);
	*learned = (struct learned){ 0 };
}

/* ---- the proposal ---- */

static void add_rest(struct learned_proposal *proposal, char *owned_what, const char *why)
{
	proposal->rest = mem_realloc(proposal->rest, proposal->rest_count + 1, sizeof(*proposal->rest));
	proposal->rest[proposal->rest_count++] = (struct learned_rest){ owned_what, str_dup(why) };
}

/* Into `rules`, unless it is covered there or is none. */
static void add_rule(struct rules *rules, const char *text)
{
	struct npxc_error ignored;
	struct rule rule;

	if (!rules_parse(text, &rule, &ignored))
		return;
	const bool covered = rules_cover(rules, &rule);
	rule_done(&rule);
	if (!covered)
		(void)!rules_add(rules, text, &ignored);
}

static bool was_connected_to(const struct learned *learned, const char *host)
{
	for (size_t i = 0; i < learned->count; i++)
		if (learned->v[i].port != 0 && strcmp(learned->v[i].host, host) == 0)
			return true;
	return false;
}

/* Why no rule for it would be of use, though it can be written; NULL: one would. Names that nobody has (RFC 6761), and
 * addresses. What a name's addresses are is not asked: it is the guest's. */
static const char *refusal_of(const char *host)
{
	static const char *const nowhere[] = { "invalid", "onion" };
	const char *last = strrchr(host, '.');
	struct ip ip;

	if (ip_parse(host, strlen(host), &ip))
		return reason_text(address_refusal_unused(&ip));
	for (size_t i = 0; i < sizeof(nowhere) / sizeof(nowhere[0]); i++)
		if (strcmp(last != NULL ? last + 1 : host, nowhere[i]) == 0)
			return "no name that can be looked up (RFC 6761, RFC 7686)";
	return NULL;
}

static void take_denial(const struct learned *learned, const struct learned_denial *denial, struct rules *rules,
                        struct learned_proposal *proposal)
{
	mem_cleanup char *target = denial->port == 0              ? str_dup(denial->host)
	                           : denial->add == AUDIT_ADD_RAW ? rules_propose_raw(denial->host, denial->port)
	                                                          : rules_propose(denial->host, denial->port);
	struct npxc_error err = { 0 };
	const char *no_use = denial->is_host ? refusal_of(denial->host) : NULL;

	if (!denial->is_host)
		add_rest(proposal, MEM_TAKE(target), "is neither a host name nor an address");
	else if (denial->add == AUDIT_ADD_NOTHING)
		add_rest(proposal, MEM_TAKE(target), reason_text(denial->reason));
	else if (denial->port != 0 && !rules_check(target, &err))
		add_rest(proposal, MEM_TAKE(target), err.message);
	else if (denial->port == 0 && was_connected_to(learned, denial->host))
		return;
	else if (no_use != NULL)
		add_rest(proposal, MEM_TAKE(target), no_use);
	else if (denial->port != 0)
		add_rule(rules, target);
	else if (!strv_contains(&proposal->looked_up, denial->host))
		strv_push(&proposal->looked_up, denial->host);
}

void learned_propose(const struct learned *learned, const struct rules *existing, const struct strv *wanted,
                     struct learned_proposal *ret_proposal)
{
	struct learned_proposal proposal = { 0 };
	struct rules rules = { 0 };
	struct npxc_error ignored;

	for (size_t i = 0; i < existing->count; i++)
		(void)!rules_add(&rules, existing->v[i].text, &ignored);
	const size_t before = rules.count;
	for (size_t i = 0; i < wanted->count; i++)
		add_rule(&rules, wanted->v[i]);
	for (size_t i = 0; i < learned->count; i++)
		take_denial(learned, &learned->v[i], &rules, &proposal);
	for (size_t i = before; i < rules.count; i++)
		strv_push(&proposal.rules, rules.v[i].text);
	rules_done(&rules);
	strv_sort(&proposal.rules);
	strv_sort(&proposal.looked_up);
	*ret_proposal = proposal;
}

void learned_proposal_done(struct learned_proposal *proposal)
{
	strv_done(&proposal->rules);
	strv_done(&proposal->looked_up);
	for (size_t i = 0; i < proposal->rest_count; i++) {
		free(proposal->rest[i].what);
		free(proposal->rest[i].why);
	}
	free(proposal->rest);
	*proposal = (struct learned_proposal){ 0 };
}
