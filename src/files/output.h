#ifndef NPXC_FILES_OUTPUT_H
#define NPXC_FILES_OUTPUT_H

#include "base/error.h"
#include "base/str.h"
#include "files/publish.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * Files that a server makes beneath the working directory: its mount there is writable, and what it made is put in
 * place on the host where nothing is yet.
 *
 * Should: look at regular files alone; leave no half of one on the host; work where the file system knows no nameless
 *   files and no renameat2.
 * Mustn't: replace or follow anything that is on the host, but a file of this session that nobody touched since; move
 *   the server's own inode, to which it could go on writing; put anything at a name that the host executes
 *   (config/hazard).
 */
struct output_settings {
	const char *files;                        /* borrowed; what is mounted at the working directory, writable */
	const struct find_root *root;             /* borrowed; the working directory itself */
	const struct strv *mount_points;          /* borrowed; see files/publish */
	bool named_only;                          /* only what output_name was told of */
	uint64_t max_file_bytes, max_total_bytes; /* LIMIT_OUTPUT_* */
	size_t max_entries;
	bool (*stop)(void *context); /* see base/copy.h; may be NULL */
	void *context;
	void (*say)(void *say_context, const char *line); /* a line for the user: what was placed, what was not */
	void *say_context;
};

struct output;
bool output_start(const struct output_settings *settings, struct publish *publish, struct output **ret_output,
                  struct npxc_error *err) NPXC_MUST_CHECK;
void output_free(struct output *output); /* NULL is allowed */

/* An argument for outputs names this path. */
void output_name(struct output *output, const char *path);

/* Puts in place what is there, and says so. What goes wrong with one file is said, and the others go on. */
void output_collect(struct output *output);

/* Whether what the server wrote has become too much; `ret_bytes`: how much it is. */
bool output_is_over(struct output *output, uint64_t *ret_bytes);

#endif
