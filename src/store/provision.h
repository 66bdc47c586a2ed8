#ifndef NPXC_STORE_PROVISION_H
#define NPXC_STORE_PROVISION_H

#include "store/npm.h"

/*
 * Installs a Node into <store>/node/<version>-<platform>/, from the per-platform packages of npm's package `node`: the
 * newest patch of the lowest even major that satisfies `engines` (or of the pinned major). Said once, on stderr.
 * Errors: ERROR_INSTALL when there is none for this platform or none satisfies, with npm's own reason.
 */
bool provision_node(const struct npm *npm, const char *engines, struct store_node *ret_node,
                    struct npxc_error *err) NPXC_MUST_CHECK;

#endif
