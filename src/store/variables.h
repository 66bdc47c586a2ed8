#ifndef NPXC_STORE_VARIABLES_H
#define NPXC_STORE_VARIABLES_H

#include "base/error.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * The variables that a package's own JavaScript reads, so that `npxc try` can say which of them are not forwarded.
 */

/* Pure: adds each NAME of `process.env.NAME`, `process.env["NAME"]`, `process.env['NAME']` that is not there yet. */
void variables_find(const char *text, size_t length, struct strv *names);

/*
 * Looks through the .js .cjs .mjs .ts files below `package_root`, without node_modules, symlinks and dot directories;
 * sorted names. `ret_complete` is false when LIMIT_ENV_SCAN_FILES or _BYTES ended the search early. ERROR_IO.
 */
bool variables_scan(const char *package_root, struct strv *ret_names, bool *ret_complete,
                    struct npxc_error *err) NPXC_MUST_CHECK;

#endif
