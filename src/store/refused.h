#ifndef NPXC_STORE_REFUSED_H
#define NPXC_STORE_REFUSED_H

#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * What the sandboxes of an installation wanted to reach and were refused, each target once. Pure. Install scripts
 * choose the targets: whatever is said of them is escaped, and beyond LIMIT_REFUSED_TARGETS they are only counted.
 */
enum refused_wants {
	REFUSED_FOR_GOOD,   /* no rule helps; `why` is said */
	REFUSED_WANTS_RULE, /* it is on no rule */
	REFUSED_WANTS_RAW,  /* its rule would have to have "/raw"; `why` is said */
};
struct refused_target {
	char *host;    /* owned; as the guest said it */
	uint16_t port; /* 0: only the name was asked for */
	enum refused_wants wants;
	char *why; /* owned; NULL where it is not said */
	uint64_t times;
};

struct refused { /* zeroed = nothing */
	struct refused_target *v;
	size_t count;
	uint64_t others; /* refusals of further targets */
};

/* `why` may be NULL; of one target the first counts. */
void refused_add(struct refused *refused, const char *host, uint16_t port, enum refused_wants wants, const char *why,
                 uint64_t times);
void refused_done(struct refused *refused);

/*
 * What to tell the user, one line with the setting that would allow it; owned, NULL when nothing was refused.
 * there, file: the rules of install.allow that the file has already, and its path; either may be NULL. A target for
 * which there can be no rule, or is one already, is named and not proposed.
 *
 * of_scripts: "the install scripts of NAME tried to reach ..."; `again`: the command that installs it anew, where what
 * the scripts left was kept; NULL.
 * of_npm: "npm was sent to ..., which its configuration does not name: ...": a registry whose files lie elsewhere.
 */
char *refused_of_scripts(const struct refused *refused, const char *name, const struct strv *there, const char *file,
                         const char *again);
char *refused_of_npm(const struct refused *refused, const struct strv *there, const char *file);

#endif
