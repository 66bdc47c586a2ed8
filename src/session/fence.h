#ifndef NPXC_SESSION_FENCE_H
#define NPXC_SESSION_FENCE_H

#include "base/error.h"
#include "base/str.h"
#include "runtime/runtime.h"

#include <stdbool.h>

/*
 * What the first process of a bubblewrap sandbox puts around itself before it becomes bubblewrap, so that what the
 * kernel counts or names for a whole machine or user ends at the sandbox too:
 *
 *   scopes    a Landlock domain that handles no file (bubblewrap may still mount): no abstract UNIX socket of a process
 *             outside is reached, whatever network namespace the sandbox is in, and none outside gets a signal.
 *             Landlock ABI 6, Linux 6.12.
 *   ceilings  a user namespace of its own around bubblewrap's, with a quarter of the inotify instances and watches that
 *             the user may have. Each namespace on the way up counts (kernel/ucount.c, since Linux 4.9), so those
 * inside are bounded together, and the user's own programs keep the rest. That of link netns serves as well. limits
 * RLIMIT_NOFILE, RLIMIT_SIGPENDING, RLIMIT_MSGQUEUE lowered; always.
 *
 * Which of the first two hold depends on the machine and is known: see fence_look.
 */
struct fence {
	bool scopes, ceilings;
	int landlock; /* its ABI; 0: none */
};

/*
 * Pure and without effect elsewhere than on Linux. In the forked child, single-threaded, as the user that the sandbox
 * will be. `cli`: what is executed next. `has_namespace`: the process has just entered a user namespace of its own and
 * has its capabilities.
 * Should: go on without the ceilings where npxc may make no user namespace (bubblewrap itself may be allowed to, by an
 * AppArmor profile), and without the scopes on an older kernel.
 * Mustn't: set no_new_privs before a bubblewrap that is set-user-ID; enter a user namespace where AppArmor would take
 * its capabilities away for good (Ubuntu), bubblewrap's included; go on when something failed that the kernel offers.
 * ERROR_RUNTIME.
 */
bool fence_enter(const char *cli, bool has_namespace, struct fence *ret_fence, struct npxc_error *err) NPXC_MUST_CHECK;

/* What a start would get, by trying it in a child. Nothing holds where that fails. */
struct fence fence_look(const char *cli);

/*
 * Pure. What the server can still use of this machine besides what was mounted for it, in sentences: UNIX sockets and
 * FIFOs that appear in mounted directories later, abstract sockets, and what the kernel counts for a user. Owned by
 * `ret_left`. `launch`: of a plan; what lies there at the start is hidden (session/sockets).
 */
void fence_left(const struct fence *fence, enum runtime_kind kind, const struct launch *launch, struct strv *ret_left);

#endif
