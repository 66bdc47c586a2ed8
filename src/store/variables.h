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
 * Looks through the .js .cjs .mjs .ts files below `package_root`, relative to `directory` ("" is that itself), without
 * node_modules, symlinks and dot directories; sorted names. What is beneath `directory` may be an attacker's
 * (base/tree.h). `ret_complete` is false when a ceiling (LIMIT_ENV_SCAN_*) ended the search early, or something could
 * not be read. ERROR_IO.
 */
bool variables_scan(const char *directory, const char *package_root, struct strv *ret_names, bool *ret_complete,
                    struct npxc_error *err) NPXC_MUST_CHECK;

#endif
