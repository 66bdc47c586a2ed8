#ifndef NPXC_CONFIG_SPEC_H
#define NPXC_CONFIG_SPEC_H

#include "base/error.h"

#include <stdbool.h>

/*
 * Package specs, npx's grammar: what a user types where npx takes a package. Pure: no file, clock or environment is
 * looked at, so a directory is only recognised by its shape and not checked.
 */

enum spec_kind {
	SPEC_VERSION,   /* name@1.2.3: exactly that */
	SPEC_RANGE,     /* name@^1.2, name@">=1 <3" */
	SPEC_TAG,       /* name (tag latest), name@next */
	SPEC_DIRECTORY, /* ./x, ../x, /x, ~/x, file:x, `.`, `..` */
};

struct spec {
	enum spec_kind kind;
	char *name;   /* owned; "@scope/name" or "name"; NULL for a directory */
	char *select; /* owned; the version, range or tag as npm is to be asked; NULL for a directory */
	char *path;   /* owned; the directory as typed, without `file:`; NULL for a registry package */
};

/*
 * Reads one spec. `spec_done` frees what was returned.
 * Should: accept every name that npm accepts for packages that exist (capitals included).
 * Mustn't: let through anything that npm would read as an option, a URL, a git repository or an alias.
 * Errors: ERROR_CONFIG, with what to write instead.
 */
bool spec_parse(const char *text, struct spec *ret_spec, struct npxc_error *err) NPXC_MUST_CHECK;
void spec_done(struct spec *spec);

/*
 * The injective file-system form of a valid package name: `/` becomes `+` and a capital becomes `=` and its small
 * letter (case-insensitive file systems); no npm name contains `+` or `=`. Owned.
 */
char *spec_package_key(const char *name);

/* Name rules of npm for packages that exist (validate-npm-package-name, "validForOldPackages"). ERROR_CONFIG. */
bool spec_check_name(const char *name, struct npxc_error *err) NPXC_MUST_CHECK;

#endif
