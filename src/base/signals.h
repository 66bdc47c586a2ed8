#ifndef NPXC_BASE_SIGNALS_H
#define NPXC_BASE_SIGNALS_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * SIGTERM, SIGINT and SIGHUP end a session in order; they are caught once and seen as a readable descriptor by every
 * poll loop. SIGHUP and SIGINT that the parent ignores stay ignored. A call that blocks ends with EINTR when one of
 * them comes. SIGPIPE is ignored: a closed pipe is an ordinary error. Children get the defaults back (session/sandbox,
 * base/proc do that).
 */
/*
 * Gives back what npxc counts on, whatever its parent left: SIGCHLD at its default (with SIG_IGN no child could be
 * waited for) and none of the signals that end it, or a child, blocked. Before anything is started.
 */
void signals_reset(void);
bool signals_install(struct npxc_error *err) NPXC_MUST_CHECK;
/* Readable from the first signal on, for ever; -1 before signals_install. */
/* For a forked child whose descriptors have been closed (base/keep): nothing was caught, nothing is installed. */
void signals_forget(void);
int signals_fd(void);
/* The first of them that came, or 0. */
int signals_caught(void);
/* Whether one came, as a callback; `context` is not read. */
bool signals_interrupted(void *context);
/* When it came, as clock_now_ms counts; 0 without one. */
int64_t signals_time_ms(void);

#endif
