#ifndef NPXC_STORE_STORE_H
#define NPXC_STORE_STORE_H

#include "base/error.h"
#include "base/proc.h"
#include "base/str.h"
#include "config/spec.h"
#include "runtime/runtime.h"
#include "store/refused.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The store: installed packages, one read-only directory per resolved version and platform (os, arch, libc, Node ABI).
 *
 *   <store>/node.json                               what is known of the host's Node (path, device, inode, mtime,
 *                                                   version, ABI), and of an image's (runtime, name)
 *   <store>/packages/<key>/resolved.json            what specs (tags, ranges) were resolved to, and when
 *   <store>/packages/<key>/lock                     held while installing
 *   <store>/packages/<key>/<version>-<platform>/    node_modules, package.json, package-lock.json, npxc.json (facts)
 *   <store>/node/<version>-<platform>/bin/node      a Node that a package needs and the host has not
 *   <store>/staging/<random>/                       unfinished; removed by the janitor
 *
 * <key> is spec_package_key(name); for a set of several packages "set=<hash>", for a directory "dir=<hash of its real
 * path>" (no package key holds a single "=" followed by more than one small letter... see store.c for why these cannot
 * collide with one).
 */

/* Where things stand inside a sandbox. */
#define STORE_GUEST_PACKAGE "/opt/npxc/package" /* the store directory, read-only */
/* for a line of -c: links to the commands of the named packages */
#define STORE_GUEST_BINS STORE_GUEST_PACKAGE "/bins"
#define STORE_GUEST_NODE "/opt/npxc/node" /* a Node from the store, or another one than /usr/bin/node: bin/node */

/* A Node on the host's file system. What of it a sandbox sees: store/node.h. */
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

struct store_package {
	char *name;   /* of the package that owns the command, as it calls itself: a directory's is its author's word */
	char *source; /* real path of the directory that this package was installed from; NULL: from a registry */
	bool owned;   /* false: none of several packages has the command */
	char *version; /* exact */
	char *key;
	char *directory;     /* host path of the store directory */
	char *package_root;  /* inside `directory`: node_modules/<name> (for the environment scan) */
	char *bin;           /* the bin's name; NULL with -c */
	struct strv command; /* as inside the sandbox, without server arguments */
	struct store_node node;
	char *platform; /* "linux-x64-glibc-115" */
	char *engines;  /* engines.node as written, or NULL */
	uint64_t bytes; /* disk, 0 when not counted */
	bool installed_now;
};

/* One file's install.allow. */
struct store_allow {
	const struct strv *rules; /* NULL: none */
	const char *file;         /* where it stands or would stand, for messages; NULL: not known */
};

struct store_reach; /* store/registry.h */

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
	unsigned node_major;              /* defaults.node, 0: whatever satisfies */
	bool is_root;                     /* staging belongs to SANDBOX_DROP_UID while npm runs, to root afterwards */
	bool progress;                    /* stderr is a terminal */
};

enum store_wish {
	STORE_LOOK, /* what is installed; not installed is ERROR_INSTALL with `npxc install <spec>` as the next step */
	STORE_ENSURE, /* installs when missing; touches no registry when it is there */
	STORE_UPDATE, /* resolves ranges and tags anew, installs when that is another version */
	STORE_FORCE,  /* installs anew whatever is there */
};

struct store_request {
	const char *const *specs; /* as typed: one spec, or those of -p */
	size_t spec_count;
	const char *command; /* the command after -p specs; NULL: the package's own bin */
	const char *call;    /* -c: `sh -c` inside; NULL */
	const char
	    *version_hint; /* "version" of the package's configuration, used when a single spec names none; NULL */
};

/*
 * Finds or installs. Concurrent calls for one package install once; the others wait and use it.
 * Errors: ERROR_CONFIG (spec, bin choice), ERROR_INSTALL with npm's own reason, ERROR_IO, and what host->run gives.
 */
bool store_get(const struct store_host *host, const struct store_request *request, enum store_wish wish,
               struct store_package *ret_package, struct npxc_error *err) NPXC_MUST_CHECK;
void store_package_done(struct store_package *package);

/* What the package is to the user and to configuration, logs and data: a registry package's name, a directory's path.
 * Borrowed. */
const char *store_package_label(const struct store_package *package);

/* Where a directory spec leads: its real path, or when it is gone the path as written; owned. */
char *store_directory_path(const char *path, const char *cwd, const char *home);
/* The key of a directory, by its real path; owned. A package's is spec_package_key(name). */
char *store_directory_key(const char *directory);

struct store_entry {
	char *name, *version, *key, *platform, *directory;
	char *source; /* the directory that it was installed from; NULL: from a registry */
	char *spec;   /* what was asked for: tag or range, or NULL */
	uint64_t bytes;
	int64_t installed_at; /* seconds since 1970 */
};
struct store_list {
	struct store_entry *v;
	size_t count;
};
bool store_list(const char *store_directory, struct store_list *ret_list, struct npxc_error *err) NPXC_MUST_CHECK;
void store_list_done(struct store_list *list);

/* Removes a package's versions (one when the spec names a version), or everything with spec NULL. What a live session
 * uses is kept (a shared lock on the directory says so) and reported in ret_kept. ret_removed, ret_bytes: counts. */
bool store_clean(const char *store_directory, const char *spec, const char *cwd, size_t *ret_removed,
                 uint64_t *ret_bytes, size_t *ret_kept, struct npxc_error *err) NPXC_MUST_CHECK;

/* A shared lock on a package's directory for the length of a session. ERROR_IO; owned descriptor. */
bool store_use(const struct store_package *package, int *ret_fd, struct npxc_error *err) NPXC_MUST_CHECK;

#endif
