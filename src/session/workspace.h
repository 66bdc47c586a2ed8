#ifndef NPXC_SESSION_WORKSPACE_H
#define NPXC_SESSION_WORKSPACE_H

#include "base/error.h"
#include "session/plan.h"
#include "teardown/janitor.h"

#include <stdbool.h>

/*
 * The directory of a session that holds what its server sees at the working directory: `files`, with a place for each
 * mount beneath it; `stage`, where those files are made; and copies of single files. It lies where only this user gets
 * through (0700). The janitor is told first, and removes it. ERROR_IO.
 */
bool workspace_make(struct janitor *janitor, const struct plan *plan, struct npxc_error *err) NPXC_MUST_CHECK;

#endif
