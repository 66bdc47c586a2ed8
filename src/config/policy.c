#include "config/policy.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { NETWORK_NAME_MAX_BYTES = 128 };

static const char *const kind_words[] = { "none", "open", "named", "allowlist" };
static const char *const link_words[] = { "auto", "gateway", "socket", "netns" };

enum { KINDS = sizeof(kind_words) / sizeof(kind_words[0]), LINKS = sizeof(link_words) / sizeof(link_words[0]) };

const char *policy_kind_word(enum policy_kind kind)
{
	return kind_words[kind];
}

const char *policy_link_word(enum policy_link link)
{
	return link_words[link];
}

static bool is_network_name(const char *word)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

	return word[0] != '\0' && strchr(letters, word[0]) != NULL && strlen(word) <= NETWORK_NAME_MAX_BYTES &&
	       strspn(word + 1, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") ==
	           strlen(word + 1);
}

bool policy_parse_network(const char *word, enum policy_kind *ret_kind, struct npxc_error *err)
{
	static const enum policy_kind reserved[] = { POLICY_NONE, POLICY_OPEN, POLICY_ALLOWLIST };
	mem_cleanup char *shown = NULL;

	if (word[0] == '\0')
		return error_set(err, ERROR_CONFIG,
		                 "an empty network; write none, open, allowlist or the name of a network");
	for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++) {
		const char *known = kind_words[reserved[i]];

		if (strcmp(word, known) == 0) {
			*ret_kind = reserved[i];
			return true;
		}
		if (strcasecmp(word, known) == 0)
			return error_set(err, ERROR_CONFIG, "unknown network \"%s\"; did you mean \"%s\"?", word,
			                 known);
	}
	if (!is_network_name(word)) {
		shown = str_escape(word, strnlen(word, NETWORK_NAME_MAX_BYTES));
		return error_set(
		    err, ERROR_CONFIG,
		    "\"%s\" is not a network; write none, open, allowlist or the name of one (letters, digits, . _ -)",
		    shown);
	}
	*ret_kind = POLICY_NAMED;
	return true;
}

bool policy_parse_link(const char *word, enum policy_link *ret_link, struct npxc_error *err)
{
	mem_cleanup char *shown = NULL;

	for (size_t i = 0; i < LINKS; i++) {
		if (strcmp(word, link_words[i]) == 0) {
			*ret_link = (enum policy_link)i;
			return true;
		}
	}
	shown = str_escape(word, strnlen(word, NETWORK_NAME_MAX_BYTES));
	return error_set(err, ERROR_CONFIG, "unknown link \"%s\"; use auto, gateway, socket or netns", shown);
}

static const char *choose(const struct policy_sources *sources, const char **ret_origin)
{
	const struct {
		const char *word;
		const char *origin;
	} places[] = {
		{ sources->option, "--network" },
		{ sources->network_mode, "network.mode" },
		{ sources->runtime_network, "runtime.network" },
		{ sources->defaults_network, "defaults.network" },
		{ "none", "default" },
	};
	size_t i = 0;

	while (places[i].word == NULL)
		i++;
	*ret_origin = places[i].origin;
	return places[i].word;
}

static bool add_rules(struct rules *rules, const struct strv *texts, const char *origin, struct npxc_error *err)
{
	for (size_t i = 0; texts != NULL && i < texts->count; i++)
		if (!rules_add(rules, texts->v[i], err))
			return error_prefix(err, "%s", origin);
	return true;
}

/* Also where they are without effect: a mistake is one whatever the mode. */
static bool read_rules(const struct policy_sources *sources, struct rules *ret_rules, struct npxc_error *err)
{
	struct rules rules = { 0 };

	if (!add_rules(&rules, sources->allow, "network.allow", err) ||
	    !add_rules(&rules, sources->option_allow, "--allow", err)) {
		rules_done(&rules);
		return false;
	}
	*ret_rules = rules;
	return true;
}

bool policy_make(const struct policy_sources *sources, struct policy *ret_policy, struct npxc_error *err)
{
	struct policy policy = { .link = POLICY_LINK_AUTO };
	const char *word = choose(sources, &policy.origin);

	if (!policy_parse_network(word, &policy.kind, err))
		return error_prefix(err, "%s", policy.origin);
	if (sources->link != NULL && !policy_parse_link(sources->link, &policy.link, err))
		return error_prefix(err, "network.link");
	if (!read_rules(sources, &policy.rules, err))
		return false;
	if (policy.kind != POLICY_ALLOWLIST)
		rules_done(&policy.rules);
	if (sources->option_allow != NULL && sources->option_allow->count > 0 && policy.kind != POLICY_ALLOWLIST)
		return error_set(err, ERROR_CONFIG,
		                 "--allow means nothing with the network \"%s\" (%s); add --network allowlist", word,
		                 policy.origin);
	if (policy.kind == POLICY_NAMED)
		policy.network = str_dup(word);
	*ret_policy = policy;
	return true;
}

void policy_done(struct policy *policy)
{
	free(policy->network);
	rules_done(&policy->rules);
	*policy = (struct policy){ .kind = POLICY_NONE };
}

char *policy_text(const struct policy *policy)
{
	switch (policy->kind) {
	case POLICY_NAMED:
		return str_printf("named(%s)", policy->network);
	case POLICY_ALLOWLIST:
		return str_printf("allowlist(%zu rule%s)", policy->rules.count, policy->rules.count == 1 ? "" : "s");
	case POLICY_NONE:
	case POLICY_OPEN:
		break;
	}
	return str_dup(policy_kind_word(policy->kind));
}
