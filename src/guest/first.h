#ifndef NPXC_GUEST_FIRST_H
#define NPXC_GUEST_FIRST_H

/*
 * What src/guest/first.c and npxc have to agree about. A server could print and return the same: then it is taken for a
 * start that failed, and nothing else.
 */

/* Its exit status when it does not start the command; preceded by a line on stderr of a prefix, one of the texts and
 * a name. */
enum { FIRST_STATUS = 213 };
#define FIRST_PREFIX "npxc-first: "
#define FIRST_OTHER "not what was meant: "
#define FIRST_WRITABLE "not read-only: "
#define FIRST_CANNOT_FIND "cannot find "
#define FIRST_MAY_NOT_RUN "may not run "
#define FIRST_CANNOT_RUN "cannot run "
#define FIRST_CANNOT_SEAL "cannot seal what is mounted: "

/* The word among the checks, behind them, that seals the mounts. */
#define FIRST_SEAL "seal"

#endif
