#ifndef NPXC_SESSION_APART_H
#define NPXC_SESSION_APART_H

#include "store/host.h"

/*
 * An installation in a process of its own, which a client that gives up does not end: in another session and process
 * group, with nobody's pipes, with a janitor and a lease of its own. So `npxc ps` lists it and `npxc stop` with its id
 * ends it; when it dies, its janitor removes what it had; and it ends after LIMIT_INSTALL_MS by itself. It has the
 * key's lock, so a start that comes meanwhile waits for it and uses what it leaves in the store.
 *
 * Here: the side of the one that began it. A signal ends the wait, and the installation goes on; but Ctrl-C of somebody
 * who sits at a terminal ends both. As store_host.apart; `context` is the session. ERROR_INSTALL: its own error, or
 * that it was ended.
 */
bool apart_run(void *context, const struct store_host *host, const struct store_work *work, int lock,
               struct progress *progress, bool *ret_installed, struct npxc_error *err) NPXC_MUST_CHECK;

#endif
