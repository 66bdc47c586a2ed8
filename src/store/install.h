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

/* A line on stderr while something is installed: rewritten in place on a terminal, else written once. */
struct install_progress {
	const char *title;
	const char *phase;
	bool terminal;
	int64_t started_ms;
	int64_t shown_ms;
	size_t fetched;
};
void install_progress_start(struct install_progress *progress, const struct store_host *host, const char *title);
void install_progress_phase(struct install_progress *progress, const char *phase);
void install_progress_stderr(void *progress, const char *bytes, size_t count);
void install_progress_end(struct install_progress *progress);

#endif
