#ifndef NPXC_STORE_CACHE_H
#define NPXC_STORE_CACHE_H

#include "store/host.h"

#include <stdint.h>

/*
 * What npm has fetched: <store>/cache/npm, npm's own cache, in npm's own format. Only the step that fetches sees it
 * (store/npm.h), and that step runs nothing that a package brings; install scripts and servers never do. Those that
 * fetch at the same time share it, which it is made for.
 *
 * A tarball is looked up by the integrity that the registry's answer gives for it, and its bytes are verified when they
 * are read, so a file that was changed is fetched again. The registry's answers about a package are used without asking
 * as long as the registry itself said (max-age), as with npx, and are then asked for again (ETag); `install --update`
 * always asks. These are only as good as who may write here: the user, and npm in the step that fetches.
 */
struct cache {
	char *path; /* owned; to be mounted */
	int in_use; /* with a shared lock: `clean` leaves it alone */
};

/* Makes it where it is missing; the sandbox may write to it. ERROR_IO. */
bool cache_open(const struct store_host *host, struct cache *ret_cache, struct npxc_error *err) NPXC_MUST_CHECK;
void cache_close(struct cache *cache);

/*
 * Removes the files that were written longest ago, when all take more than `most` bytes of the disk, until three
 * quarters are left. Others may fetch meanwhile: what they miss they fetch anew. ERROR_IO.
 */
bool cache_trim(const char *store_directory, uint64_t most, struct npxc_error *err) NPXC_MUST_CHECK;

/* Bytes on disk; 0 of one that is not there. */
uint64_t cache_bytes(const char *store_directory);
/* All of it. Kept, which ret_kept tells, while an installation uses it; gone already is success. ERROR_IO. */
bool cache_remove(const char *store_directory, uint64_t *ret_bytes, bool *ret_kept,
                  struct npxc_error *err) NPXC_MUST_CHECK;

#endif
