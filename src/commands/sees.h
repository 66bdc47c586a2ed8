#ifndef NPXC_COMMANDS_SEES_H
#define NPXC_COMMANDS_SEES_H

#include "base/str.h"
#include "session/session.h"

/* What a planned session shows of this machine and what it does not, in words for try and inspect: from its plan. */

/* Of the system, beside mounts: "/usr", "public settings in /etc"; none where an image takes its place. */
void sees_system(const struct session *session, struct strv *ret_places);
/* What stays hidden; a mount that shows all of it takes it from the list. */
void sees_hidden(const struct session *session, struct strv *ret_things);

#endif
