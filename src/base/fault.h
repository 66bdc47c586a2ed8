#ifndef NPXC_BASE_FAULT_H
#define NPXC_BASE_FAULT_H

#include <stdbool.h>

/*
 * Fault points: named places in a session's life at which a test build (`make faults`, -DNPXC_FAULTS) kills or
 * stops processes of the session, as the kernel or a user may at any place. In every other build they are nothing.
 *
 *   NPXC_FAULT        POINT[:K][=ROLE[+ROLE]...[/SIGNAL]], several separated by commas: when the point is reached for
 *                     the K-th time (1), by whichever process of the session, those are killed, or get the signal of
 *                     that number; without roles, the one that reached it. Others are stopped before any is killed,
 *                     so that none sees another die.
 *   NPXC_FAULT_BOARD  a file to write into what was reached, see fault.c; tests/black_box/test_crash.py reads it
 *   NPXC_WITHOUT      a part to leave out, by its name in a WITHOUT(): conformance/mutations.py and
 *                     conformance/attacks/holes.py do that
 *
 * Names are unique; ci/fault-points lists them and fails where a resource is named to the janitor without a point
 * before and after it.
 */
#ifdef NPXC_FAULTS
void fault_point(const char *name);
/* What this process is from now on: "launcher", "janitor", "egress", "sandbox" (up to its exec), "sweeper",
 * "installer"; the installer's janitor becomes "keeper". */
void fault_role(const char *role);
/* The session's id, for the board. */
void fault_session(const char *id);
/* Whether this part is to be left out; of a numbered one, NAME-NUMBER. */
bool fault_without(const char *name);
bool fault_without_nth(const char *name, unsigned number);
#define FAULT_POINT(name) fault_point(name)
#define FAULT_ROLE(role) fault_role(role)
#define FAULT_SESSION(id) fault_session(id)
#define WITHOUT(name) fault_without(name)
#define WITHOUT_NTH(name, number) fault_without_nth(name, number)
#else
#define FAULT_POINT(name) ((void)0)
#define FAULT_ROLE(role) ((void)0)
#define FAULT_SESSION(id) ((void)0)
#define WITHOUT(name) false
#define WITHOUT_NTH(name, number) false
#endif

#endif
