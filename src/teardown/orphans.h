#ifndef NPXC_TEARDOWN_ORPHANS_H
#define NPXC_TEARDOWN_ORPHANS_H

#include "base/error.h"
#include "base/str.h"
#include "runtime/runtime.h"
#include "teardown/janitor.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * What carries names like those of sessions and stands on no lease here: left by an npxc without leases, or another
 * user's on the same runtime. It is reported, and removed only when somebody names it.
 */
struct orphan {
	enum resource_kind kind;
	char *name;                    /* owned: of a container or network; a path */
	const struct runtime *runtime; /* borrowed; NULL for a path */
	const char *alive; /* why it is no orphan but somebody's: it has a process; borrowed. NULL: nothing uses it */
};

struct orphans {
	struct orphan *v;
	size_t count;
};

/*
 * Workspaces below `leases`, cgroups where sessions make theirs, and what `runtimes` have. Of a runtime that does not
 * answer the reason goes to `ret_unanswered`. ERROR_IO: the leases cannot be listed.
 * A living npxc has its lease open, in whatever HOME: what stands on one of those is passed over.
 * Mustn't: call something an orphan that was made while it looked, that stands on a lease which it cannot read, or that
 *          a living session of another HOME holds.
 */
bool orphans_find(const char *leases, const struct runtime *runtimes, size_t runtime_count, struct orphans *ret_orphans,
                  struct strv *ret_unanswered, struct npxc_error *err) NPXC_MUST_CHECK;
void orphans_done(struct orphans *orphans);

/* A name that `npxc gc --orphans` takes: of a session or of a managed network. Pure. */
bool orphans_is_name(const char *name);
/* Whether that is what the orphan is called: its name, or the last part of its path. Pure. */
bool orphans_is_called(const struct orphan *orphan, const char *name);
/* The file of a lease on which the name stands; owned. NULL: of none. */
char *orphans_lease_of(const char *leases, const char *name);

/*
 * Looks at all of them again, and removes the chosen ones, with a lease meanwhile. ERROR_CONFIG, and nothing is
 * removed: one of them is in use. ERROR_RUNTIME: some of it stays (that is logged); containers, networks and
 * directories then stand on that lease. `runtimes`: as orphans_find had them.
 */
bool orphans_remove(const char *leases, const struct runtime *runtimes, size_t runtime_count,
                    const struct orphan *const *chosen, size_t count, struct npxc_error *err) NPXC_MUST_CHECK;

#endif
