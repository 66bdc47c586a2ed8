#ifndef NPXC_STORE_BIN_H
#define NPXC_STORE_BIN_H

#include "base/error.h"

#include <stddef.h>

/* The commands of a package, as npm links them. Pure. */
struct bin {
	char *name, *path; /* owned; `path` within the package */
};
struct bins {
	struct bin *v;
	size_t count;
};

void bins_push(struct bins *bins, const char *name, const char *path);
void bins_done(struct bins *bins);
const struct bin *bins_find(const struct bins *bins, const char *name); /* NULL when there is none */

/* Where a package's command lies in node_modules: "<package>/<path>", cleaned, so that it never leads out of the
 * package. Owned. */
char *bin_place(const char *package_name, const struct bin *bin);

/*
 * npm's rule for `npx <package>`: the only bin (several names for one file count as one, the first of them); else the
 * one named like the package without its scope. `*ret_name` is borrowed from `bins`.
 * ERROR_CONFIG: no bins, or several and none of that name; it lists them.
 */
bool bin_choose(const char *package_name, const struct bins *bins, const char **ret_name,
                struct npxc_error *err) NPXC_MUST_CHECK;

#endif
