#ifndef NPXC_FILES_SOURCE_H
#define NPXC_FILES_SOURCE_H

#include "base/error.h"
#include "base/str.h"

#include <stdbool.h>
#include <sys/stat.h>

/*
 * The source of a mount: a path of the host looked up once, component by component, and kept open. What is judged is
 * what was opened; whoever renames something afterwards changes neither.
 */
struct source {
	int fd;           /* owned; O_PATH. Where there is no such thing (macOS): a directory, else -1 */
	char *path;       /* owned; absolute, without links: the components that were walked through */
	struct stat info; /* of fd; never a symbolic link */
	/*
	 * Links on the way that others than root could have made, by the path at which each was found (no link in it),
	 * in the order of the walk. A link counts as root's when its directory is root's and nobody else may write
	 * there: /tmp on macOS, /var/run.
	 */
	struct strv links;
	bool is_link; /* the path's own last component was a link, whoever made it */
};
#define SOURCE_NONE      \
	{                \
		.fd = -1 \
	}

/*
 * `path`: absolute. Links are followed, wherever they lead: whether that was meant is the caller's to judge, by `links`
 * and `path` of what comes back.
 * Should: follow what the kernel would follow, "..", absolute links and up to 40 of them.
 * Mustn't: look up any component twice, or open for anything but looking.
 * Errors: ERROR_PATH_NOT_FOUND with errno (EAGAIN: a directory on the way was moved meanwhile).
 */
bool source_open(const char *path, struct source *ret_source, struct npxc_error *err) NPXC_MUST_CHECK;
/*
 * The tree of `trees` (may be NULL; paths without links) out of which a link in it led the way, borrowed, and that
 * link; NULL: none. The way into such a tree, and links of it that stay within, are nobody's trick: what lies there is
 * there for whoever may write to it anyway.
 */
const char *source_leads_out_of(const struct source *source, const struct strv *trees, const char **ret_link);
struct source source_take(struct source *source); /* hands it on; SOURCE_NONE stays behind */
void source_done(struct source *source);          /* SOURCE_NONE and a zeroed one are fine */

#endif
