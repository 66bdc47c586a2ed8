#ifndef NPXC_MCP_PUBLISH_H
#define NPXC_MCP_PUBLISH_H

#include "base/error.h"
#include "mcp/scope.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Files that calls name, made visible in the sandbox: a private, read-only copy at
 *
 *     /workspace/<id>/<the file's own name>
 *
 * alone in its directory, so that nothing that lies beside it on the host comes along. It is never a hard link: what
 * a server does to its copy does not reach the host's file.
 *
 * The same path, while the file is unchanged (device, inode, size and both times, and its bytes where the times are too
 * young to tell), gives the same copy again; a changed file gives a new one under a new id, so that no reader sees it
 * change. Copies that have been superseded are removed, oldest first, only when there would be no room otherwise.
 */

#define PUBLISH_INSIDE "/workspace"

/* hex digits of an id. The first half is the session's, random; the second counts. */
enum { PUBLISH_ID_DIGITS = 16 };

struct publish_settings {      /* each limit is an ERROR_IO that names it; LIMIT_PUBLISH_* */
	const char *directory; /* borrowed; the session's directory on the host that is mounted at PUBLISH_INSIDE */
	uint64_t max_file_bytes, max_total_bytes;
	size_t max_tree_entries, max_entries;
	bool (*stop)(void *context); /* see base/copy.h; may be NULL */
	void *context;
};

struct publish;

/* ERROR_IO: the directory cannot be opened. */
bool publish_start(const struct publish_settings *settings, struct publish **ret_publish,
                   struct npxc_error *err) NPXC_MUST_CHECK;
/* Frees; what is on disk stays for whoever owns the directory (the janitor). NULL is allowed. */
void publish_free(struct publish *publish);

/*
 * `*ret_inside` is the path inside, borrowed until publish_free. A directory is copied as a tree: links that stay in it
 * stay links, what leads out of it, sockets, FIFOs, devices and what may not be read is left out, and a warning in the
 * log counts and names it.
 * Should: keep each copy within the limits even if files grow while they are copied.
 * Mustn't: leave a part of a copy visible under a path that was returned, or returned before.
 * Errors: ERROR_IO for ceilings, a full disk and the like.
 */
bool publish_take(struct publish *publish, const struct scope_name *name, const struct scope_file *file,
                  const char **ret_inside, struct npxc_error *err) NPXC_MUST_CHECK;

/*
 * A new id for something that another part of npxc puts at PUBLISH_OUTPUTS/<id>/<name>, to be seen at
 * PUBLISH_INSIDE/<id>/<name> like everything else: a link leads there. The way back leads to the directory of `name`.
 * Borrowed, PUBLISH_ID_DIGITS long. ERROR_IO, among them the limit of entries.
 */
#define PUBLISH_OUTPUTS PUBLISH_INSIDE "/" PUBLISH_OUTPUTS_NAME
#define PUBLISH_OUTPUTS_NAME "out"
bool publish_reserve(struct publish *publish, const struct scope_name *name, const char **ret_id,
                     struct npxc_error *err) NPXC_MUST_CHECK;

/* The path inside of what was published under this very path last, or in a directory under a part of it, whether or not
 * it has changed since; owned, or NULL. */
char *publish_known(const struct publish *publish, const struct scope_name *name);

/*
 * The way back: the host's directory that the directory with this id stands for, without a slash at its end but for "/"
 * itself; the name after it is the same on both sides. Borrowed; NULL: no id of this session. The cost does not depend
 * on the number of publications.
 */
const char *publish_host(const struct publish *publish, const char *id, size_t length);

/* Whether anything was published so far: without, no text can hold a path to be translated back. */
bool publish_is_empty(const struct publish *publish);

#endif
