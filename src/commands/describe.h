#ifndef NPXC_COMMANDS_DESCRIBE_H
#define NPXC_COMMANDS_DESCRIBE_H

#include "session/session.h"

struct cJSON;

/* A plan in words, for inspect, --dry-run and try. Nothing of it holds a variable's value. */

/* To stdout: package, runtime, boundary, network, mounts, hidden, variables, limits; `argv`: the argument list too. */
void describe_text(const struct session *session, bool argv);
/* The same as an object, owned (cJSON_Delete). */
struct cJSON *describe_json(const struct session *session);

#endif
