#ifndef NPXC_TEARDOWN_SWEEP_H
#define NPXC_TEARDOWN_SWEEP_H

#include "base/error.h"
#include "teardown/lease.h"
#include "teardown/successor.h"

#include <stdbool.h>

/*
 * Releasing what dead sessions held, by their leases.
 * Mustn't: touch what a live session holds, or anything that is on no lease.
 */

/* One call for each lease that is not a live session's. `result` counts for a dead one; `warnings`: what stays and why.
 */
struct sweep_listener {
	void (*on_lease)(void *context, const struct lease_seen *seen, enum successor_result result,
	                 const struct strv *warnings);
	void *context;
};

/* All of them, in this process. A runtime that cannot be asked is asked once. ERROR_IO: no directory to be read. */
bool sweep(const char *directory, const struct sweep_listener *listener, struct npxc_error *err) NPXC_MUST_CHECK;

/*
 * For a start: when there is a dead lease and nobody sweeps yet, a process of its own does, which nobody waits for and
 * which holds none of npxc's descriptors. Costs the look at the leases up to the first dead one. Nothing is reported.
 */
void sweep_in_background(const char *directory);

#endif
