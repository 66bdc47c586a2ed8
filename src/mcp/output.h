#ifndef NPXC_MCP_OUTPUT_H
#define NPXC_MCP_OUTPUT_H

#include "base/error.h"
#include "mcp/publish.h"
#include "mcp/scope.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * Files that a server makes for a call: it writes to a private file, and what is there when the call has been answered
 * is put in its place on the host.
 */

struct output_box {
	const char *directory;    /* borrowed; mounted writable at PUBLISH_OUTPUTS */
	int fd;                   /* owned; of it */
	uint64_t max_bytes;       /* of one file ... */
	uint64_t max_total_bytes; /* ... and of all that are put in place; what a server writes is not bounded before */
	uint64_t placed_bytes;
	bool (*stop)(void *context); /* see base/copy.h */
	void *context;
};

bool output_box_open(struct output_box *box, struct npxc_error *err) NPXC_MUST_CHECK; /* fills fd */
void output_box_close(struct output_box *box);

struct output;

/* An empty private directory for it, and its path inside (output_inside). `parent` is taken on success. ERROR_IO. */
bool output_make(const struct output_box *box, struct publish *publish, const struct scope_name *name,
                 struct scope_parent *parent, struct output **ret_output, struct npxc_error *err) NPXC_MUST_CHECK;
const char *output_inside(const struct output *output);

/*
 * The call has been answered. A regular file is copied into the directory that was opened when the call came, under a
 * name of its own that is given the right one at once; without one it is a success with `*ret_placed` false.
 * Should: leave no half of a file; work where the file system knows no links (renameat2, renamex_np).
 * Mustn't: replace anything that is there; follow a link that the server made; move the server's own inode, which it
 * could go on writing to.
 * Errors: ERROR_PATH_OUT_OF_SCOPE (something has that name by now, or it is no regular file), ERROR_IO (the ceiling, a
 * full disk). The private directory is removed in every case. Frees `output`.
 */
bool output_finish(struct output_box *box, struct output *output, bool *ret_placed,
                   struct npxc_error *err) NPXC_MUST_CHECK;
/* The call came to nothing: what is there is removed. NULL is allowed. */
void output_drop(const struct output_box *box, struct output *output);

#endif
