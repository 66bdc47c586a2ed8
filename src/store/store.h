#ifndef NPXC_STORE_STORE_H
#define NPXC_STORE_STORE_H

#include "base/error.h"
#include "base/str.h"
#include "config/spec.h"
#include "store/host.h"
#include "store/node.h"
#include "store/request.h"

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
 *   <store>/cache/npm/                              what npm has fetched: store/cache.h
 *   <store>/staging/<random>/                       unfinished; removed by the janitor
 *
 * <key> is spec_package_key(name); for a set of several packages "set=<hash>", for a directory "dir=<hash of its real
 * path>".
 */

struct store_package {
	char *name;   /* of the package that owns the command, as it calls itself: a directory's is its author's word */
	char *source; /* real path of the directory that this package was installed from; NULL: from a registry */
	bool owned;   /* false: none of several packages has the command */
	char *version; /* exact */
	char *key;
	char *directory;     /* host path of the store directory */
	char *package_root;  /* inside `directory`: node_modules/<name> (for the environment scan) */
	struct strv linked;  /* of a directory that is run where it lies: itself, then its workspace's root if it has
	                        one;  `directory` is the first then, and `package_root` "" */
	char *typed;         /* ... the path as the user spelled it, absolute */
	char *global;        /* ... npm's global node_modules, where `npm link` leads through; NULL: not known */
	char *dependencies;  /* ... and the store directory that holds what it depends on; NULL: it has that itself */
	char *bin;           /* the bin's name; NULL with -c */
	struct strv command; /* as inside the sandbox, without server arguments */
	struct store_node node;
	char *platform;        /* "linux-x64-glibc-115" */
	char *engines;         /* engines.node as written, or NULL */
	struct strv variables; /* that its files read or its README names, when it was installed */
	bool has_variables;    /* false: nobody has looked (store/variables.h) */
	uint64_t bytes;        /* disk, 0 when not counted */
	bool installed_now;
};

enum store_wish {
	STORE_LOOK, /* what is installed; not installed is ERROR_INSTALL with `npxc install <spec>` as the next step */
	STORE_ENSURE, /* installs when missing; touches no registry when it is there */
	STORE_UPDATE, /* resolves ranges and tags anew, installs when that is another version */
	STORE_FORCE,  /* installs anew whatever is there */
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

/* A shared lock on what the store holds of a package for the length of a session; -1: it holds nothing. ERROR_IO; owned
 * descriptor. */
bool store_use(const struct store_package *package, int *ret_fd, struct npxc_error *err) NPXC_MUST_CHECK;

#endif
