#ifndef NPXC_STORE_LOCAL_H
#define NPXC_STORE_LOCAL_H

#include "base/error.h"
#include "runtime/launch.h"
#include "store/staging.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * A local directory that npm installs from: mounted read-only in `sources` at LINKED_SOURCE and `index`, which is added
 * to npm's words unless those are NULL. Its package.json is another one there: without `prepare`, with everything that
 * lies in the directory, and with a version.
 * Mustn't: show npm anything but what lies beneath `root` (it may be the directory itself) without a link on the way,
 *   whatever it was when its path was found: what is opened here is what is mounted, where the runtime can.
 * Errors: ERROR_INSTALL, ERROR_IO.
 */
bool local_add(const struct staging *staging, const char *root, const char *directory, size_t index,
               struct launch *sources, struct strv *words, struct npxc_error *err) NPXC_MUST_CHECK;
void local_done(struct launch *sources);

#endif
