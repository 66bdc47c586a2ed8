#ifndef NPXC_FILES_WRITTEN_H
#define NPXC_FILES_WRITTEN_H

#include "base/error.h"
#include "base/str.h"

/*
 * The trees of the host that servers could write to, in whatever session: <state directory>/written, one JSON string a
 * line, a path without links each. A symbolic link in one of them may be a server's, also when its session is long
 * over; what such a link leads to is not mounted (files/mounts).
 *
 * A tree is added before the first session that may write to it starts, and stays for as long as it exists. What lies
 * in another one needs no line. LIMIT_WRITTEN_TREES of them are kept, the latest.
 */

/* ERROR_IO, ERROR_JSON: nothing is known then, and nothing may be started. No file: no tree. */
bool written_read(const char *file, struct strv *ret_trees, struct npxc_error *err) NPXC_MUST_CHECK;
/* `known`: what written_read gave; nothing is written when it has them all. */
bool written_add(const char *file, const struct strv *known, const struct strv *trees,
                 struct npxc_error *err) NPXC_MUST_CHECK;

#endif
