#ifndef NPXC_CONFIG_RULES_H
#define NPXC_CONFIG_RULES_H

#include "base/error.h"
#include "base/ip.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The rules of an allowlist: what a server may reach. Pure. Everything that no rule names is denied; there are no rules
 * that deny.
 *
 *     host[:port]                     this name
 *     *.suffix[:port]                 every name with one or more labels before it, never the suffix itself
 *     ip[:port], [v6][:port]          this address
 *     cidr[:port], [v6/n][:port]      these addresses
 *     host.npxc.internal:PORT         that port on this machine's own loopback
 *     host:port/raw, *.suffix:port/raw    these names, whatever protocol is spoken there
 *
 * Without a port: every port. A name rule is consent to a name, whose address may be no private one; an address rule is
 * consent to an address, whatever it stands for. Names are compared without regard to case and a trailing dot.
 *
 * On a name rule only TLS and HTTP pass, held to the name. With "/raw" nothing is looked at: any protocol passes, and
 * so would HTTP or TLS for another name. It is for one port that is neither HTTP's nor HTTPS' own. An address rule and
 * the alias have no name to hold anything to: "/raw" is taken there and changes nothing.
 *
 * Should: refuse what reads like a narrow rule and is a wide one, and what could never match.
 * Mustn't: let a name match an address rule or the other way round.
 */

enum rule_kind { RULE_NAME, RULE_SUFFIX, RULE_ADDRESS, RULE_HOST_ALIAS, RULE_LOOPBACK };

#define RULES_HOST_ALIAS "host.npxc.internal"

/* bytes, with the NUL: a host name in its canonical form. */
enum { RULES_NAME_BYTES = 254 };

struct rule {
	enum rule_kind kind;
	char *text;              /* owned; as written, for messages and the audit log */
	char *name;              /* owned, canonical; RULE_SUFFIX: without "*."; NULL for RULE_ADDRESS */
	struct ip_prefix prefix; /* RULE_ADDRESS; never a v4-mapped one */
	uint16_t port;           /* 0: every port */
	/* Of rules_add_configured: the user chose this host for another purpose, so its address may be private. */
	bool configured;
	bool proxy; /* what is said to it names other hosts: nothing of it can agree with the name */
	bool raw;   /* of a name, with "/raw": any protocol */
};

struct rules { /* zeroed = empty: everything is denied */
	struct rule *v;
	size_t count;
};

/*
 * The canonical form of a host name: lower case, without one trailing dot. False: not 1 to 253 bytes of labels of 1 to
 * 63 letters, digits, '-' and '_' that neither begin nor end with '-', or a last label that begins with a digit (what
 * some resolver reads as an address: 127.1, 0x7f.1, 2130706433; no top-level domain does).
 */
bool rules_canonical_name(const char *text, size_t length, char ret_name[static RULES_NAME_BYTES]);

/*
 * One rule. ERROR_CONFIG: what is none of the forms above; a rule for everything ("*", a prefix shorter than /8 or
 * /16); a wildcard under a top-level domain or under a suffix whose names belong to many (*.github.io); "/raw" without
 * a port, or on port 80 or 443; what could never match or is no host of the network (localhost, loopback and multicast
 * addresses, 0.0.0.0, the addresses that npxc itself gives to names, the alias without a port).
 */
bool rules_parse(const char *text, struct rule *ret_rule, struct npxc_error *err) NPXC_MUST_CHECK;
/* For configuration that only wants to know whether it is one. */
bool rules_check(const char *text, struct npxc_error *err) NPXC_MUST_CHECK;
void rule_done(struct rule *rule);

/* Adds it; an equal one (same meaning) changes nothing. */
bool rules_add(struct rules *rules, const char *text, struct npxc_error *err) NPXC_MUST_CHECK;
/*
 * A host that the user has configured for another purpose, an npm registry or a proxy to it: consent to it wherever it
 * stands. Its name may have a private address, and one on this machine's loopback is reached at the same address
 * inside. ERROR_CONFIG: no host, or an address that no rule may name.
 */
bool rules_add_configured(struct rules *rules, const char *host, uint16_t port, bool proxy,
                          struct npxc_error *err) NPXC_MUST_CHECK;
/* What `by`, a rule for names, allows for this canonical name and port as well; an equal one changes nothing. */
void rules_add_granted(struct rules *rules, const struct rule *by, const char *name, uint16_t port);
void rules_done(struct rules *rules);

/* The rule that allows it, or NULL. `name` in canonical form; the alias is matched by its own kind only. The narrowest
 * comes first: an exact name before a suffix, a longer suffix or prefix before a shorter, a port before none; of rules
 * for a name, one with "/raw" before all others, because no rule takes away what another one allows. */
const struct rule *rules_match_name(const struct rules *rules, const char *name, uint16_t port);
const struct rule *rules_match_ip(const struct rules *rules, const struct ip *ip, uint16_t port);
/* The rule for this port of the machine's own loopback at its own address (RULE_LOOPBACK: a registry that was
 * configured so; no text makes one). `port` 0: none. */
const struct rule *rules_match_loopback(const struct rules *rules, uint16_t port);
/* Whether it is a rule that names this canonical name, with whatever port. */
bool rules_names(const struct rule *rule, const char *name);
/* Whether the name may be looked up at all: some rule names it, with whatever port. */
bool rules_knows_name(const struct rules *rules, const char *name);

/* Whether everything that `rule` allows is allowed by one of the rules. */
bool rules_cover(const struct rules *rules, const struct rule *rule);

/* What a user should think twice about, one sentence; owned, NULL when there is nothing. An entry that another one
 * already allows; an address of link-local range (a cloud's metadata). */
char *rules_warning(const struct rules *rules, size_t index);

/* The rule to add so that this would be allowed ("api.example.com:443", "[2001:db8::1]:5432"); owned. */
char *rules_propose(const char *host, uint16_t port);
/* The same with "/raw". */
char *rules_propose_raw(const char *host, uint16_t port);

#endif
