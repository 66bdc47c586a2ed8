#ifndef NPXC_SESSION_KEPT_H
#define NPXC_SESSION_KEPT_H

#include "config/paths.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What packages keep from one session to the next: /data (storage.persist) and directories of HOME (storage.home). */
struct kept_entry {
	char *key;       /* owned; the package's */
	char *inside;    /* owned; "/data", or "~/" and a path beneath HOME */
	char *directory; /* owned; on the host */
	uint64_t bytes;  /* that it takes on the disk; what cannot be looked at does not count */
	bool whole;      /* false: it has more entries than LIMIT_KEPT_ENTRIES, and takes more */
};
struct kept {
	struct kept_entry *v;
	size_t count;
};

/* By key, /data first. The trees are servers': nothing in them is followed or opened. */
void kept_read(const struct paths *paths, struct kept *ret_kept);
void kept_done(struct kept *kept);

#endif
