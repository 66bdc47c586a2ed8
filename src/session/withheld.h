#ifndef NPXC_SESSION_WITHHELD_H
#define NPXC_SESSION_WITHHELD_H

#include "session/session.h"

/*
 * What this session withholds from its server, told by relay/notice at the moment when it matters. None of these fails:
 * what cannot be found out is not told.
 */

/* Before the start: variables that the package's own files read, that are set here and not forwarded. */
void withheld_tell_variables(struct session *session);

#endif
