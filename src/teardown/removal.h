#ifndef NPXC_TEARDOWN_REMOVAL_H
#define NPXC_TEARDOWN_REMOVAL_H

#include "base/error.h"
#include "teardown/lease.h"

#include <stdbool.h>

/* How one resource is removed, by its kind. */

enum removal_effort {
	REMOVAL_ONCE,       /* a successor has many leases to work off */
	REMOVAL_PERSISTENT, /* the first teardown: several attempts */
	REMOVAL_AGAIN,      /* one attempt more */
};
enum { REMOVAL_ATTEMPTS = 3, REMOVAL_PAUSE_MS = 200 }; /* of a container, when persistent */

/* What is not there has been removed. The error of a network names it. */
bool removal_run(const struct lease_entry *entry, enum removal_effort effort, struct npxc_error *err) NPXC_MUST_CHECK;
/* SIGKILL to what runs in a container, which stays. */
void removal_kill_container(const struct lease_entry *entry);

#endif
