#ifndef NPXC_STORE_REQUEST_H
#define NPXC_STORE_REQUEST_H

#include "base/error.h"
#include "base/str.h"
#include "config/spec.h"

#include <stddef.h>

struct linked; /* store/linked.h */

struct store_request {
	const char *const *specs; /* as typed: one spec, or those of -p */
	size_t spec_count;
	const char *command; /* the command after -p specs; NULL: the package's own bin */
	const char *call;    /* -c: `sh -c` inside; NULL */
	const char
	    *version_hint; /* "version" of the package's configuration, used when a single spec names none; NULL */
};

/*
 * What a request stands for in the store. Keys that are not of a package begin with "set=0" or "dir=0": in a package
 * key a `=` always has a small letter after it (spec_package_key), so that none can be equal to one of these.
 */
struct request {
	struct spec *specs;
	char **directories; /* real paths; NULL for registry specs */
	size_t count;
	char *title; /* as typed, for messages */
	char *key;
	char *select;          /* what resolved.json is asked for */
	char *exact;           /* the label when the spec itself names the version; NULL */
	char *suffix;          /* directories: "+<fingerprint>" behind the version; "" otherwise */
	struct linked *linked; /* owned; a single directory that is run where it is; NULL: whatever else */
};

/*
 * Without what request_name adds: key, select, exact, suffix. ERROR_CONFIG: no spec or one that is none, a directory
 * that is not there or is HOME or above it, several packages without a command.
 */
bool request_make(const struct store_request *from, const char *cwd, const char *home, struct request *ret_request,
                  struct npxc_error *err) NPXC_MUST_CHECK;
/*
 * Once `linked` is settled. `scopes` as in struct store_host: a name may stand for another package with them, so what
 * is installed with some is apart from what is installed with others, or none. ERROR_CONFIG.
 */
bool request_name(struct request *request, const struct strv *scopes, struct npxc_error *err) NPXC_MUST_CHECK;
void request_done(struct request *request);

/* Sorts the lines and joins them by line breaks; owned. */
char *request_join(struct strv *lines);

#endif
