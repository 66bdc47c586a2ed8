#ifndef NPXC_CONFIG_POLICY_H
#define NPXC_CONFIG_POLICY_H

#include "base/error.h"
#include "base/str.h"
#include "config/rules.h"

/*
 * What a server may reach. Pure.
 *
 * Precedence: --network, then the package's network.mode, then its runtime.network, then defaults.network, and none
 * when nobody says anything. In each place the same words mean the same: `none`, `open`, `allowlist`, any other word is
 * a network of the runtime, passed through. (npxc 0.3.0 took open and allowlist in the two older places as names.)
 */
enum policy_kind { POLICY_NONE, POLICY_OPEN, POLICY_NAMED, POLICY_ALLOWLIST };
enum policy_link { POLICY_LINK_AUTO, POLICY_LINK_GATEWAY, POLICY_LINK_SOCKET, POLICY_LINK_NETNS };

struct policy {
	enum policy_kind kind;
	char *network;         /* owned; POLICY_NAMED only */
	enum policy_link link; /* matters to POLICY_ALLOWLIST only */
	struct rules rules;    /* each once, in the order of their coming; POLICY_ALLOWLIST only */
	const char *origin; /* static: "--network", "network.mode", "runtime.network", "defaults.network", "default" */
};

struct policy_sources {                  /* borrowed, NULL = not said */
	const char *option;              /* --network */
	const char *network_mode;        /* package network.mode */
	const char *runtime_network;     /* package runtime.network */
	const char *defaults_network;    /* defaults.network */
	const char *link;                /* package network.link: auto, gateway, socket, netns */
	const struct strv *allow;        /* package network.allow */
	const struct strv *option_allow; /* --allow, added to them; alone it does not change the mode */
};

/*
 * One place's word by itself, so that a file's mistake is found with its line; each is ERROR_CONFIG. A word that
 * differs from none, open or allowlist only in case is a mistake and no network's name.
 */
bool policy_parse_network(const char *word, enum policy_kind *ret_kind, struct npxc_error *err) NPXC_MUST_CHECK;
bool policy_parse_link(const char *word, enum policy_link *ret_link, struct npxc_error *err) NPXC_MUST_CHECK;

/*
 * ERROR_CONFIG: a rule that is none (config/rules.h), an empty word, a network name that is not
 * [A-Za-z0-9][A-Za-z0-9._-]{0,127}, an unknown link, --allow with a mode other than allowlist (it would mean nothing,
 * and a user who types it expects something). Rules of the file stay without effect then: one may switch them off with
 * --network none.
 */
bool policy_make(const struct policy_sources *sources, struct policy *ret_policy,
                 struct npxc_error *err) NPXC_MUST_CHECK;
void policy_done(struct policy *policy);

/* "none", "open", "named(NAME)", "allowlist(2 rules)"; owned. */
char *policy_text(const struct policy *policy);
const char *policy_kind_word(enum policy_kind kind);
const char *policy_link_word(enum policy_link link);

#endif
