#ifndef NPXC_STORE_VARIABLES_H
#define NPXC_STORE_VARIABLES_H

#include "base/error.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * The variables that a package's own JavaScript reads, so that a start can say which of them are not forwarded.
 */

/*
 * Pure: adds each NAME of `process.env.NAME`, `process.env["NAME"]`, `process.env['NAME']`, `{ NAME, A: b } =
 * process.env` that is not there yet, LIMIT_ENV_NAMES in all. `names` is sorted, and stays so.
 */
void variables_find(const char *text, size_t length, struct strv *names);
/* Pure: words in capitals near a place that takes process.env as a whole, and so may read any of them. */
void variables_guess(const char *text, size_t length, struct strv *names);
/* Pure: the same of words as A_NAME, which is how a README names variables. */
void variables_find_words(const char *text, size_t length, struct strv *names);
/*
 * Pure: names that every program reads and a sandbox sets or does without; with a network of the host's the usual
 * proxies are not among them.
 */
bool variables_is_common(const char *name, bool has_network);

/*
 * Looks through the .js .cjs .mjs .ts files below `package_root`, relative to `directory` ("" is that itself), without
 * node_modules, symlinks and dot directories; sorted names. What is beneath `directory` may be an attacker's
 * (base/tree.h). `ret_complete` is false when a ceiling (LIMIT_ENV_SCAN_*) ended the search early, or something could
 * not be read. `guess`: also by variables_guess, and the words of its README, whose program may be no JavaScript.
 * ERROR_IO.
 */
bool variables_scan(const char *directory, const char *package_root, bool guess, struct strv *ret_names,
                    bool *ret_complete, struct npxc_error *err) NPXC_MUST_CHECK;

#endif
