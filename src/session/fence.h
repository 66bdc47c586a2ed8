#ifndef NPXC_SESSION_FENCE_H
#define NPXC_SESSION_FENCE_H

#include "base/error.h"
#include "base/str.h"
#include "runtime/runtime.h"

#include <stdbool.h>

/*
 * What the first process of a bubblewrap sandbox puts around itself before it becomes bubblewrap, so that what the
 * kernel counts for a whole user ends at the sandbox too:
 *
 *   ceilings  a user namespace of its own around bubblewrap's, with a share (LIMIT_SANDBOX_SHARE) of the inotify
 *             instances and watches that the user may have. Each namespace on the way up counts (kernel/ucount.c, since
 *             Linux 4.9), so those inside are bounded together, and the user's own programs keep the rest. That of link
 *             netns serves as well.
 *   limits    RLIMIT_NOFILE, RLIMIT_SIGPENDING, RLIMIT_MSGQUEUE lowered; always.
 *
 * Sockets and FIFOs are the first program's (guest/first.c), from inside.
 */

/*
 * In the forked child, single-threaded, as the user that the sandbox will be. `has_namespace`: the process has just
 * entered a user namespace of its own and has its capabilities. Without effect elsewhere than on Linux.
 * Should: go on without the ceilings where npxc may make no user namespace (bubblewrap itself may be allowed to, by an
 * AppArmor profile), or may set nothing in it (a container's read-only /proc/sys).
 * Mustn't: enter a user namespace where AppArmor would take its capabilities away for good (Ubuntu), bubblewrap's
 * included.
 * ERROR_RUNTIME.
 */
bool fence_enter(bool has_namespace, bool *ret_ceilings, struct npxc_error *err) NPXC_MUST_CHECK;

/* What a start would get on this machine. */
struct fence {
	bool ceilings;
	int landlock; /* the ABI that the first program has; 0: none, or there is no first program */
};
struct fence fence_look(void);

/*
 * Pure. What the server can still use of this machine besides what was mounted for it, in sentences: UNIX sockets and
 * FIFOs that appear in mounted directories later, abstract sockets, and what the kernel counts for a user. Owned by
 * `ret_left`. `launch`: of a plan; what lies there at the start is hidden (files/sockets).
 */
void fence_left(const struct fence *fence, enum runtime_kind kind, const struct launch *launch, struct strv *ret_left);

#endif
