#ifndef NPXC_STORE_NPM_H
#define NPXC_STORE_NPM_H

#include "base/proc.h"
#include "config/rules.h"
#include "store/node.h"
#include "store/npmrc.h"
#include "store/staging.h"

/*
 * The host's npm, run inside a sandbox. It is run by the host's Node, from where both lie when that is /usr, else from
 * a mount of their own. With host->image it is the image's npm, and nothing of the host's is mounted.
 *
 * NPM_FETCH: knows the credentials of registries and proxies, and can run nothing: no lifecycle script and no git,
 *   whatever npm's release and configuration are. npm's process refuses to start any program (a dependency from git or
 *   a directory would be prepared by its own scripts, with its own configuration); settings and a masked git say the
 *   same again.
 *   What it fetched stays in the store's cache (store/cache.h), which this step alone sees.
 * NPM_SCRIPTS: runs what packages bring and knows no credential. Another sandbox, another configuration directory, an
 *   npm cache that is empty; the first configuration directory has been removed before it starts.
 */
enum npm_step { NPM_FETCH, NPM_SCRIPTS };

struct npm {
	const struct store_host *host;
	const struct node_facts *node;
	char *directory;     /* npm's package directory on the host: holds bin/npm-cli.js; NULL: the image's npm */
	char *version;       /* NULL when it is not known */
	struct npmrc config; /* the user's: builtin, global, user file, environment */
	bool ignore_scripts; /* the user's own setting: no scripts at all */
	struct rules allow;  /* install.allow of both files */
	bool asks_again;     /* the registry, also about what its answers were to be kept for; false after npm_find */
};

/* ERROR_INSTALL when there is none; ERROR_CONFIG for a rule of install.allow that is none. */
bool npm_find(const struct store_host *host, const struct node_facts *node, struct npm *ret_npm,
              struct npxc_error *err) NPXC_MUST_CHECK;
void npm_done(struct npm *npm);
/* Where `npm link` keeps its links: node_modules of the configured prefix. Owned; NULL: not known. */
char *npm_global_modules(const struct store_host *host, const struct node_facts *node);

struct npm_job {
	enum npm_step step;
	const struct staging *staging;
	const char *package;           /* host directory, mounted at STORE_GUEST_PACKAGE, npm's working directory */
	const struct store_node *node; /* what scripts find as `node`; NULL: the host's */
	const struct launch_mount *sources; /* local directories, read-only */
	size_t source_count;
	struct strv words; /* npm's arguments */
	void (*on_stderr)(void *context, const char *bytes, size_t count);
	void *context;
	struct refused *refused; /* what the sandbox was refused is added to it; not NULL */
};

/*
 * Runs npm to its end; the caller judges the result. It reaches the registries of npm's configuration and what
 * install.allow says (store/registry.h), in both steps. Errors: what host->run gives, ERROR_IO, ERROR_INSTALL for a
 * configured file (CA, client certificate) that cannot be read or a registry that is none.
 */
bool npm_run(const struct npm *npm, const struct npm_job *job, struct proc_result *ret_result,
             struct npxc_error *err) NPXC_MUST_CHECK;

/* Why NPM_FETCH failed, in one line: npm's own reason, or what it was refused. Owned. */
char *npm_fetch_reason(const struct npm *npm, const struct proc_result *result, const struct refused *refused);

#endif
