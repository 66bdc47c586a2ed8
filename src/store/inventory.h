#ifndef NPXC_STORE_INVENTORY_H
#define NPXC_STORE_INVENTORY_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

/* What is in the store. */

struct inventory_entry {
	char *name, *version, *key, *platform, *directory;
	char *source; /* the directory that it was installed from; NULL: from a registry */
	char *spec;   /* what was asked for: tag or range, or NULL */
	uint64_t bytes;
	int64_t installed_at; /* seconds since 1970 */
};
struct inventory {
	struct inventory_entry *v;
	size_t count;
};
bool inventory_read(const char *store_directory, struct inventory *ret_list, struct npxc_error *err) NPXC_MUST_CHECK;
void inventory_done(struct inventory *list);

/* Removes a package's versions (one when the spec names a version), or everything with spec NULL. What a live session
 * uses is kept (a shared lock on the directory says so) and reported in ret_kept. ret_removed, ret_bytes: counts. */
bool inventory_clean(const char *store_directory, const char *spec, const char *cwd, size_t *ret_removed,
                     uint64_t *ret_bytes, size_t *ret_kept, struct npxc_error *err) NPXC_MUST_CHECK;

#endif
