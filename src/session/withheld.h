#ifndef NPXC_SESSION_WITHHELD_H
#define NPXC_SESSION_WITHHELD_H

#include "session/sandbox.h"
#include "session/session.h"

/*
 * What this session withholds from its server, told by relay/notice at the moment when it matters. None of these fails:
 * what cannot be found out is not told.
 */

/* Before the start: variables that the package's own files read, that are set here and not forwarded. */
void withheld_tell_variables(struct session *session);

/* After the start: opens what is needed to see what the server tries. */
void withheld_watch(struct session *session, struct sandbox *sandbox);
/* The network that it has not, if it was tried. */
void withheld_tell_network(struct session *session);
/* At the end: requests that have no answer, and what may be the reason. */
void withheld_tell_unanswered(struct session *session);

#endif
