#ifndef NPXC_STORE_NODE_H
#define NPXC_STORE_NODE_H

#include "store/host.h"

/* A Node on the host's file system. What of it a sandbox sees: node_add_mounts. */
struct store_node_files {
	char *program;         /* real path of the executable; NULL: an image's Node */
	char *prefix;          /* where `program` is bin/node of; NULL when it is called otherwise */
	struct strv libraries; /* shared objects that it loads from beneath its prefix, by their paths in it */
};

struct store_node {
	char *version; /* "20.20.2", without v */
	char *abi;     /* process.versions.modules */
	struct store_node_files files;
	bool from_store; /* installed by npxc because the host's did not satisfy */
};

/*
 * The host's Node and those in the store. What a Node says about itself is asked once and kept in <store>/node.json
 * under its path, device, inode, size and time of change: a warm start runs no process.
 */
struct node_facts {
	struct store_node_files files;
	char *version, *abi;
	char *os, *arch, *libc; /* "linux", "x64", "glibc" or "musl" ("system" elsewhere) */
};

/* ERROR_INSTALL, with the next step, when there is none on host->path_variable or it does not answer. */
bool node_host(const struct store_host *host, struct node_facts *ret_facts, struct npxc_error *err) NPXC_MUST_CHECK;
/*
 * The Node of host->image, asked by running it once and kept in <store>/node.json under runtime and image; it has no
 * files here. `anew`: asked although it is kept. With `may_ask` false what is not kept is an error: nothing is started.
 * Errors: ERROR_INSTALL when the image has none that works, naming node_image, and what host->run gives.
 */
bool node_image(const struct store_host *host, bool anew, bool may_ask, struct node_facts *ret_facts,
                struct npxc_error *err) NPXC_MUST_CHECK;
void node_facts_done(struct node_facts *facts);

/*
 * What a sandbox on this machine needs of a Node, mounted beneath `at` (absolute, inside) in the layout of its prefix:
 * the executable as bin/node, the libraries that it loads from its own prefix, npm with its links, and with `headers`
 * include/node. Nothing for /usr/bin/node, which every such sandbox has, and for an image's.
 * Should: work for a Node anywhere, in a home directory too, whatever its executable is called.
 * Mustn't: show anything else that lies in the prefix, which may be /usr/local, ~/.local or a home directory: least of
 *   all etc/, where npm's global configuration is; show npm's own configuration file (`npmrc` in its directory).
 * Returns whether there is a bin directory at `at` that belongs on PATH.
 */
bool node_add_mounts(const struct store_node_files *files, const char *at, bool headers, struct launch *launch);

/* "linux-x64-glibc-" */
char *node_platform_stem(const struct node_facts *facts);

/*
 * The Node that a package runs with: the pinned major or what satisfies `engines` (NULL: anything): the host's when it
 * does, else the one in the store. ret_node->version is NULL when neither does and one has to be installed.
 * With an image there is no other Node than its own.
 * A range that nothing can be made of counts as "anything", as npm only warns about it.
 */
void node_choose(const struct store_host *host, const struct node_facts *facts, const char *engines,
                 struct store_node *ret_node);
void node_done(struct store_node *node);

/* Pure: of `versions`, the newest patch of the lowest even major that satisfies; NULL when none does. `major` 0: any.
 */
const char *node_best(const char *const *versions, size_t count, const char *engines, unsigned major);

/* Pure: the npm package that carries Node for a platform; owned, NULL when there is none (musl). */
char *node_package(const struct node_facts *facts);

#endif
