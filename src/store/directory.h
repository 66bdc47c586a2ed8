#ifndef NPXC_STORE_DIRECTORY_H
#define NPXC_STORE_DIRECTORY_H

#include "base/error.h"

/*
 * A local directory as a package. Its fingerprint changes when a name, size, time of change, mode or link target in it
 * does; node_modules and .git are left out at every level. 64 hex digits, owned.
 * Errors: ERROR_CONFIG when it is no directory or has no package.json, or holds more than LIMIT_FINGERPRINT_FILES.
 */
bool directory_fingerprint(const char *path, char **ret_digest, struct npxc_error *err) NPXC_MUST_CHECK;

#endif
