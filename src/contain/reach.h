#ifndef NPXC_CONTAIN_REACH_H
#define NPXC_CONTAIN_REACH_H

#include "base/error.h"

#include <stddef.h>

/* What a start says that found another file; with the file's name. */
#define REACH_REPLACED "%s was renamed or replaced while the sandbox was being started; nothing was run, start it again"

/*
 * For a start by root: the sandbox runs as SANDBOX_DROP_UID, which cannot walk through /root (0700) or any other
 * directory closed to others. Linux only; elsewhere it fails with ERROR_RUNTIME_UNAVAILABLE.
 */

/*
 * Called in the forked child that still is root: makes `paths` reachable at the same names, in a mount namespace of
 * the child's own, then becomes `uid` (groups cleared, gid the same number) for good.
 * For each path: the topmost directory on its way that others may not search gets a tmpfs put over it, the components
 * below are made anew, and the path itself is bound there (opened after unshare and before anything was covered).
 * Should: leave everything outside those directories as it is; verify that uid 0 cannot be regained.
 * Mustn't: show anything else that lies in a covered directory; follow a symlink at the last component; bind another
 * file than the one that `expected` has open for it (NULL: none is expected; -1: not for this path). A descriptor of
 * another mount namespace cannot be bound (EINVAL), so that the path is opened anew and compared.
 */
bool reach_and_drop(char *const *paths, const int *expected, size_t count, unsigned uid,
                    struct npxc_error *err) NPXC_MUST_CHECK;

#endif
