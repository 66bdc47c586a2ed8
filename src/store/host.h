#ifndef NPXC_STORE_HOST_H
#define NPXC_STORE_HOST_H

#include "base/error.h"
#include "base/proc.h"
#include "base/str.h"
#include "runtime/runtime.h"
#include "store/progress.h"
#include "store/refused.h"

#include <stdbool.h>

/* Where things stand inside a sandbox. */
/* the store directory, read-only. `_npx` as in npx's cache: packages look for it in process.argv[1] */
#define STORE_GUEST_PACKAGE "/opt/npxc/_npx/package"
/* for a line of -c: links to the commands of the named packages */
#define STORE_GUEST_BINS STORE_GUEST_PACKAGE "/bins"
/* what a directory that is run where it lies depends on, as far as the store holds it: where Node looks last */
#define STORE_GUEST_MODULES "/node_modules"
#define STORE_GUEST_NODE "/opt/npxc/node" /* a Node from the store, or another one than /usr/bin/node: bin/node */

/* One file's install.allow. */
struct store_allow {
	const struct strv *rules; /* NULL: none */
	const char *file;         /* where it stands or would stand, for messages; NULL: not known */
};

struct store_reach; /* store/registry.h */
struct store_host;

/* An installation, to be done by whoever calls it: store/store.c. */
struct store_work {
	bool (*run)(const struct store_host *host, const struct store_work *work, bool *ret_installed,
	            struct npxc_error *err);
	const char *title; /* what is installed, for people */
	const struct request *request;
	unsigned wish; /* enum store_wish */
};

/* What the store needs from above: it must not know sessions. */
struct store_host {
	void *context;
	/*
	 * Runs one sandbox to its end; the runtime, its limits and the janitor are the caller's. `on_stderr` as in
	 * proc.
	 * Should: let the sandbox reach what `reach` says, NULL being nothing at all, and add to `refused` (NULL with
	 *   such a reach) what it was refused, whether or not the run succeeds.
	 * The launch asks for no network; what `reach` needs is the runner's to add to it.
	 */
	bool (*run)(void *context, struct launch *launch, const struct store_reach *reach, unsigned timeout_ms,
	            void (*on_stderr)(void *progress, const char *bytes, size_t count), void *progress,
	            struct proc_result *ret_result, struct refused *refused, struct npxc_error *err);
	/* Told before a staging directory is made, and when it was renamed into place. */
	bool (*hold_directory)(void *context, const char *path, unsigned *ret_id, struct npxc_error *err);
	bool (*release)(void *context, unsigned id, struct npxc_error *err);
	/*
	 * Does the work in a process that goes on when this one ends, with a host of its own, and waits for it. `lock`:
	 * of the package's key, which that process has as long as it lives; what it says comes there
	 * (store/progress.h). NULL: the work is done here.
	 */
	bool (*apart)(void *context, const struct store_host *host, const struct store_work *work, int lock,
	              struct progress *progress, bool *ret_installed, struct npxc_error *err);
	/* Whether npxc has been told to end; asked while it waits for another installation. NULL: never. */
	bool (*interrupted)(void *context);
	const char *store_directory;
	const char *home;          /* the user's, for npm's configuration */
	const char *path_variable; /* the host's PATH: where node and npm are found */
	const char *cwd;           /* relative directory specs */
	const char *image;   /* container runtimes: Node and npm are this image's, `run` starts it; NULL: the host's */
	const char *runtime; /* the runtime's word, for what is remembered of the image */
	struct store_allow allow_package; /* of the package that is installed */
	struct store_allow allow_all;     /* of npxc.json: for all packages */
	const struct strv
	    *scopes;         /* sorted "@scope:registry=URL" of a trusted project, over the user's own; NULL: none */
	const char *note;    /* a line for when something is installed; NULL: none */
	unsigned node_major; /* defaults.node, 0: whatever satisfies */
	bool is_root;        /* staging belongs to SANDBOX_DROP_UID while npm runs, to root afterwards */
	bool progress;       /* stderr is a terminal */
	bool says;           /* this process's stderr is what others follow */
	int64_t deadline_ms; /* of the whole installation, clock_now_ms; 0: none yet */
	bool links;          /* a directory can be run where it lies: the sandbox's kernel is this one */
};

/* What is left of it, for `run`; at least 1. */
unsigned host_time_left(const struct store_host *host);

/* The launch of a sandbox of the store: a name, a home, no network, no limits but time. */
void host_base_launch(struct launch *launch);

#endif
