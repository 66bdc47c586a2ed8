#ifndef NPXC_SESSION_HOMES_H
#define NPXC_SESSION_HOMES_H

#include "base/error.h"
#include "base/str.h"
#include "files/mounts.h"
#include "files/source.h"
#include "runtime/launch.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * Directories of HOME that outlive a session (storage.home). Each is a directory of its own on the host,
 * <data directory>/home/<package key>/<name>, and stands at HOME/<path> inside, writable: what lies above them on the
 * host no server can write to, so that no link of one server leads another, or npxc, elsewhere.
 */
struct home {
	char *path;           /* owned; relative to HOME, as config/value judged it */
	char *directory;      /* owned; on the host, without links once it is there */
	struct source source; /* the same, opened; SOURCE_NONE: not there yet */
};
struct homes {
	struct home *v;
	size_t count;
};

/* One component for a path, and back; owned. No two paths have the same. homes_path: NULL for what is no such name. */
char *homes_name(const char *path);
char *homes_path(const char *name);

/* `directory`: of the package. `make`, `owner`, `written` and the errors: as files/data has them. */
bool homes_open(const char *directory, const struct strv *paths, const struct strv *written, bool make, int owner,
                struct homes *ret_homes, struct npxc_error *err) NPXC_MUST_CHECK;

/*
 * Mounts them in `launch`, whose HOME and mounts are known. `cwd`: the directory at which files of the project are
 * shown; NULL: none. `parents`: directories between HOME and such a directory have to be made the guest's (containers).
 *
 * Mustn't: let one cover, or lie in, what a mount, `storage.writable` or the working directory shows. ERROR_CONFIG.
 */
bool homes_add(const struct homes *homes, const struct mounts *mounts, const char *cwd, bool parents,
               struct launch *launch, struct npxc_error *err) NPXC_MUST_CHECK;
void homes_done(struct homes *homes);

#endif
