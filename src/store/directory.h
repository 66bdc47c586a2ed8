#ifndef NPXC_STORE_DIRECTORY_H
#define NPXC_STORE_DIRECTORY_H

#include "base/error.h"

/* Local directories as packages. */

/* The real path that a spec leads to; owned. ERROR_CONFIG: there is none. */
bool directory_find(const char *path, const char *cwd, const char *home, char **ret_path,
                    struct npxc_error *err) NPXC_MUST_CHECK;
/* The same, or when it is gone the path as written; owned. */
char *directory_path(const char *path, const char *cwd, const char *home);
/* HOME without links; owned, NULL: not known. */
char *directory_home(const char *home);
/* As written, absolute; owned. */
char *directory_spelled(const char *path, const char *cwd, const char *home);
/* The key of a directory in the store, by its real path; owned. A package's is spec_package_key(name). */
char *directory_key(const char *directory);

/*
 * A directory's fingerprint changes when a name, size, time of change, mode or link target in it
 * does; node_modules and .git are left out at every level. 64 hex digits, owned.
 * Errors: ERROR_CONFIG when it is no directory or has no package.json, or holds more than LIMIT_FINGERPRINT_FILES.
 */
bool directory_fingerprint(const char *path, char **ret_digest, struct npxc_error *err) NPXC_MUST_CHECK;

#endif
