#ifndef NPXC_SESSION_WITHHELD_H
#define NPXC_SESSION_WITHHELD_H

#include "session/sandbox.h"
#include "session/session.h"

/*
 * What this session withholds from its server, told by relay/notice at the moment when it matters. None of these fails:
 * what cannot be found out is not told.
 */

/* Before the start: files that arguments and variables name, and that are not shown. */
void withheld_tell_files(struct session *session);
/* Before the start: variables that the package's own files read, that are set here and not forwarded. */
void withheld_tell_variables(struct session *session);

/* After the start: opens what is needed to see what the server tries. */
void withheld_watch(struct session *session, struct sandbox *sandbox);
/* Of limits those that do not hold on this machine. Once the sandbox has been started. */
void withheld_tell_limits(struct session *session);
/* What may be the reason of a failure: the network that is not there, a ceiling that was reached. */
void withheld_tell_trouble(struct session *session);
/* The same of a server that ended by itself; `status`: -1 when it did not; `errors`: the end of its stderr. */
void withheld_tell_end(struct session *session, int status, const char *errors);
/* At the end: what was written to HOME, where that can be seen. */
void withheld_tell_lost(struct session *session);
/* At the end: requests that have no answer, and what may be the reason. */
void withheld_tell_unanswered(struct session *session);

#endif
