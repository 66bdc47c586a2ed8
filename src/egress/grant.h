#ifndef NPXC_EGRESS_GRANT_H
#define NPXC_EGRESS_GRANT_H

#include "config/rules.h"
#include "egress/reason.h"
#include "egress/records.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * For which names other records than addresses are asked for outside, and what the answers allow. A question carries
 * its name to whoever owns it, so a guest may choose no part of it that a rule does not leave to it. Pure.
 */

/*
 * REASON_NONE: the records may be asked for.
 *
 * Should: for TXT, whose answers are whatever their owner writes, want a rule for the very name; for SRV, MX and CNAME
 * take a wildcard too; take SRV of _service._tcp before a name of a rule, for services that clients look up so
 * (mongodb+srv://).
 * Mustn't: let a guest make up a label before a name that has a rule of its own only; ask for a registry's or proxy's
 * (rules_add_configured), or for the alias.
 */
enum reason grant_refusal(const struct rules *rules, const char *name, uint16_t type);

/*
 * The targets of SRV records of `name`, a question that was allowed: each is a name on a rule from now on, with the
 * port that its record says, if the rule that allowed the question is for that port; with all else that rule says. They
 * are added to `granted`, of which there are LIMIT_EGRESS_GRANTS at most, and never become rules that other records are
 * asked for by.
 *
 * Mustn't: grant localhost, npxc's own names, or a port of which the rule says nothing.
 */
void grant_targets(const struct rules *rules, const char *name, const struct records *records, struct rules *granted);

#endif
