#ifndef NPXC_BASE_KEEP_H
#define NPXC_BASE_KEEP_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/*
 * For a forked child: closes every descriptor but these, at once and not only at exec: a child that waits must hold
 * nobody's pipe. `fds` has no -1 and is sorted in place. ERROR_IO.
 */
bool keep_only(int *fds, size_t count, struct npxc_error *err) NPXC_MUST_CHECK;

/*
 * For a forked child that outlives its parent, made by keep_fork: a session of its own, no
 * signal of the parent's terminal or group, /dev/null on 0, 1 and 2, no other descriptor but these (which are moved;
 * one that is -1 stays so; at most KEEP_APART_FDS), no directory kept busy. ERROR_IO.
 */
enum { KEEP_APART_FDS = 4 };
bool keep_apart(int *const *fds, size_t count, struct npxc_error *err) NPXC_MUST_CHECK;

/* fork(2) with all signals blocked: in the child they stay so, and no handler of the parent's runs there. */
pid_t keep_fork(void);

/* For a child of keep_fork: their default dispositions. Then, after
 * what the child wants to ignore is ignored, none is blocked any more. */
void keep_no_handlers(void);
void keep_no_mask(void);

#endif
