#ifndef NPXC_SESSION_SHARES_H
#define NPXC_SESSION_SHARES_H

#include "base/error.h"
#include "base/str.h"
#include "files/mounts.h"
#include "session/homes.h"

#include <stdbool.h>

/*
 * Where nobody can compare from inside what was mounted with what was meant (a machine of its own numbers its files
 * anew: Apple's guests, and on macOS podman's and docker's), no path may lead through a tree that another session's
 * server can write to while it is looked up: that server could swap a directory of the path for a link.
 *
 * So each such session writes what it mounts on its lease: words "r/PATH" and "w/PATH" ("w": writable). Of two living
 * sessions none may have a source strictly beneath a writable source of the other; the same directory in both is fine,
 * because its own name lies outside. Who comes second is refused, whichever of the two it has: a writable mount above
 * what a living session was given would let its server choose what that session sees from then on.
 */

/* Whether sessions on this runtime, on this machine, have to. Pure. */
bool shares_count(enum runtime_kind kind);
/* Appends the words. */
void shares_words(const struct mounts *mounts, const char *data_directory, const struct homes *homes,
                  struct strv *ret_words);

/*
 * Against all living sessions with a lease in `directory` but `own_id`. Called once this session's own words are on
 * its lease, and again once its sandbox has started, so that of two that start at once one at least sees the other.
 * ERROR_CONFIG names the other session; ERROR_IO: the leases cannot be read.
 * What it cannot see: sessions of another HOME or user, and whoever else may write there.
 */
bool shares_check(const char *directory, const char *own_id, const struct strv *words,
                  struct npxc_error *err) NPXC_MUST_CHECK;
/* Of two lists of words. `ret_mine`, `ret_other`: the first pair, borrowed. Pure. */
bool shares_conflict(const struct strv *mine, const struct strv *other, const char **ret_mine, const char **ret_other);

#endif
