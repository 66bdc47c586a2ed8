#ifndef NPXC_STORE_INSTALL_H
#define NPXC_STORE_INSTALL_H

#include "store/npm.h"
#include "store/record.h"
#include "store/request.h"

/*
 * The two steps in a staging directory; on success `*ret_tree` (owned) is the tree inside it, without its npxc.json,
 * and `ret_record` holds the packages that were asked for and the scripts that ran. ret_node: what the package runs
 * with; a Node that it needs and nobody has is installed into the store on the way.
 * Should: leave credentials nowhere in the tree; remove an optional dependency whose script fails, with what needs it.
 * Errors: ERROR_INSTALL with npm's or the script's own reason, and what npm_run gives.
 */
bool install_packages(const struct npm *npm, const struct staging *staging, const struct request *request,
                      char **ret_tree, struct record *ret_record, struct store_node *ret_node,
                      struct npxc_error *err) NPXC_MUST_CHECK;

/* After sealing: the packages that were asked for are still where they were. Scripts may have made anything of them,
 * and what is run is named by its place. ERROR_INSTALL. */
bool install_check(const char *tree, const struct record *record, struct npxc_error *err) NPXC_MUST_CHECK;

#endif
