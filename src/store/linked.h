#ifndef NPXC_STORE_LINKED_H
#define NPXC_STORE_LINKED_H

#include "base/str.h"
#include "store/bin.h"
#include "store/node.h"

#include <stdbool.h>

struct cJSON;

/*
 * A directory that is run where it lies, as npx does, which links it: nothing of it is copied, so what git ignores is
 * there and an edit shows at the next start. What its package.json says is read anew at each start, and believed no
 * more than any package's.
 */
struct linked {
	char *directory; /* real path */
	char *root;      /* config/workspace */
	char *name;      /* its own word, or the directory's name when that is none */
	char *version;   /* "0.0.0" when it names none */
	char *engines;   /* engines.node, or NULL */
	struct bins bins;
	bool scripts; /* npm would run an install script of its own */
	struct cJSON
	    *wants; /* dependencies that lie in no node_modules yet, a package.json for npm; NULL: all is there */
	struct strv sources; /* local directories that `wants` names, each as "file:" LINKED_SOURCE and its index */
};

#define LINKED_SOURCE "/opt/npxc/source-"

/*
 * NULL when there is no package.json that could be read as one. `home` without links, or NULL.
 * Mustn't: take a local dependency (file:) from outside of `root`; it stays in `wants` as it is written, and npm says
 *   that it is not there.
 */
struct linked *linked_read(const char *directory, const char *home);
void linked_free(struct linked *linked);

/* What the store knows the dependencies by: changes when they do, or what a local one holds. Owned; ERROR_CONFIG. */
bool linked_select(const struct linked *linked, char **ret_select, struct npxc_error *err) NPXC_MUST_CHECK;

/*
 * Whether it can be run where it lies with this Node: what was built for another platform or Node cannot. `facts`: the
 * Node of the guest's side, the host's own or an image's.
 */
bool linked_fits(const struct linked *linked, const struct store_host *host, const struct node_facts *facts,
                 const struct store_node *node);

/*
 * The words that run a file of it, at its own path: by its interpreter where nobody may execute the file or its first
 * line has a carriage return, which npm would mend in place. ERROR_CONFIG: the file is not there.
 */
bool linked_command(const struct linked *linked, const struct bin *bin, struct strv *words,
                    struct npxc_error *err) NPXC_MUST_CHECK;

#endif
