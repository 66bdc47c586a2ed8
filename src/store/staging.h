#ifndef NPXC_STORE_STAGING_H
#define NPXC_STORE_STAGING_H

#include "store/host.h"
#include "store/progress.h"

#include <sys/types.h>

/*
 * A directory for something unfinished: <store>/staging/<random>/, told to the janitor before it exists. While npm runs
 * it belongs to the user that the sandbox runs as; what is finished is sealed and renamed into the store.
 */
struct staging {
	const struct store_host *host;
	char *path; /* owned */
	unsigned hold;
	int lock; /* of the directory, the root of its tree; with a flock: `clean` leaves it alone */
	bool held;
};

bool staging_make(const struct store_host *host, struct staging *ret_staging, struct npxc_error *err) NPXC_MUST_CHECK;
/* Removes it with all that is in it, and tells the janitor. After a failure, and when npxc has been told to end, it is
 * left to the janitor. */
void staging_done(struct staging *staging);

/* <staging>/<name>, a new directory that the sandbox may write to; owned. */
bool staging_add(const struct staging *staging, const char *name, char **ret_path,
                 struct npxc_error *err) NPXC_MUST_CHECK;
/* A new file in such a directory, mode 0600, readable for the sandbox. */
bool staging_add_file(const struct staging *staging, const char *directory, const char *name, const void *bytes,
                      size_t length, struct npxc_error *err) NPXC_MUST_CHECK;

/* Removes what staging_add made; a sandbox may have made anything of its content. */
bool staging_drop(const struct staging *staging, const char *path, struct npxc_error *err) NPXC_MUST_CHECK;

/*
 * Makes a finished tree ready for the store, on disk before this returns.
 * Should: count the bytes on disk; remove sockets, pipes and devices; started by root: give everything to root, so
 * that no sandbox may change it, and let everybody read it.
 * Mustn't: follow a symlink; leave a set-user-id bit; change a file that has a name outside of the tree too (hard
 * link). ERROR_IO, among them E2BIG above LIMIT_STORE_ENTRIES and EMLINK.
 */
bool staging_seal(const struct staging *staging, const char *tree, uint64_t *ret_bytes,
                  struct npxc_error *err) NPXC_MUST_CHECK;

/*
 * Renames `tree` to `final`. What is there already is moved aside first, under a name beginning with a dot, and removed
 * unless a live session uses it.
 */
bool staging_settle(const struct staging *staging, const char *tree, const char *final,
                    struct npxc_error *err) NPXC_MUST_CHECK;

/*
 * Removes a store directory unless a live session uses it: locked, renamed to a name beginning with a dot (so that
 * nobody finds it any more), removed. False with ERROR_IO and EWOULDBLOCK when it is in use.
 */
bool staging_remove(const char *directory, struct npxc_error *err) NPXC_MUST_CHECK;

/*
 * An exclusive lock on a file; says so when it has to wait, and shows what the one that has it says there (`progress`;
 * NULL: nothing). ERROR_IO, with EINTR when npxc was told to end meanwhile, with ETIMEDOUT after host->deadline_ms.
 */
bool staging_wait_for_lock(const struct store_host *host, const char *path, struct progress *progress, int *ret_fd,
                           struct npxc_error *err) NPXC_MUST_CHECK;

/* Makes <store> and its fixed subdirectories. */
bool staging_prepare_store(const char *store_directory, struct npxc_error *err) NPXC_MUST_CHECK;

#endif
