#include "mcp/output.h"

#include "base/copy.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/tree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { SHOWN_BYTES = 160 };

struct output {
	char *shown;  /* owned; the host's path, escaped, for messages */
	char *inside; /* owned */
	char *leaf;   /* owned; its name on both sides */
	char id[PUBLISH_ID_DIGITS + 1];
	int private; /* owned; the directory that the server writes to, so that no link can take its place */
	struct scope_parent parent;
};

bool output_box_open(struct output_box *box, struct npxc_error *err)
{
	return tree_open(box->directory, &box->fd, err);
}

void output_box_close(struct output_box *box)
{
	fd_close(&box->fd);
}

static void free_output(struct output *output)
{
	free(output->shown);
	free(output->inside);
	free(output->leaf);
	fd_close(&output->private);
	scope_parent_done(&output->parent);
	free(output);
}

bool output_make(const struct output_box *box, struct publish *publish, const struct scope_name *name,
                 struct scope_parent *parent, struct output **ret_output, struct npxc_error *err)
{
	FD_CLEANUP int fd = -1;
	const char *id;
	struct output *output;

	if (!publish_reserve(publish, name, &id, err))
		return false;
	/* Whoever the server's user is; nobody else gets through the session's directory. */
	if (!tree_make_directory(box->fd, id, 0777, &fd, err))
		return error_prefix(err, "make a place for %s", name->path);
	output = mem_alloc(sizeof(*output));
	output->shown = str_escape(name->path, strlen(name->path));
	output->inside = str_printf("%s/%s/%s", PUBLISH_INSIDE, id, parent->leaf);
	output->leaf = str_dup(parent->leaf);
	memcpy(output->id, id, sizeof(output->id));
	output->private = fd_take(&fd);
	output->parent = *parent;
	*parent = (struct scope_parent){ .fd = -1 };
	*ret_output = output;
	return true;
}

const char *output_inside(const struct output *output)
{
	return output->inside;
}

/* ---- into place ---- */

static mode_t ordinary_mode(void)
{
	const mode_t mask = umask(0);

	umask(mask);
	return 0666 & ~mask;
}

static bool place(const struct output *output, int from, const struct copy_rules *rules, uint64_t *ret_bytes,
                  struct npxc_error *err)
{
	struct npxc_error why = { 0 };

	if (copy_place(from, output->parent.fd, output->leaf, ordinary_mode(), rules, ret_bytes, &why))
		return true;
	if (why.sys_errno == EEXIST)
		return error_set(err, ERROR_PATH_OUT_OF_SCOPE, "\"%.*s\" exists by now, and nothing is replaced",
		                 (int)SHOWN_BYTES, output->shown);
	*err = why;
	return error_prefix(err, "put \"%.*s\" in place", (int)SHOWN_BYTES, output->shown);
}

static bool finish(struct output_box *box, const struct output *output, bool *ret_placed, struct npxc_error *err)
{
	const uint64_t left = box->max_total_bytes - box->placed_bytes;
	const struct copy_rules rules = { .max_bytes = left < box->max_bytes ? left : box->max_bytes,
		                          .stop = box->stop,
		                          .context = box->context };
	uint64_t bytes = 0;
	FD_CLEANUP int from = -1;
	struct npxc_error why = { 0 };

	/* The server may swap what is there at any time: what counts is what has been opened. */
	if (!tree_open_file(output->private, output->leaf, &from, NULL, &why)) {
		if (why.sys_errno != ENOENT)
			return error_set(err, ERROR_PATH_OUT_OF_SCOPE,
			                 "what the server made at \"%.*s\" is no ordinary file that can be read",
			                 (int)SHOWN_BYTES, output->shown);
		*ret_placed = false;
		return true;
	}
	if (!place(output, from, &rules, &bytes, err))
		return false;
	box->placed_bytes += bytes;
	*ret_placed = true;
	return true;
}

void output_drop(const struct output_box *box, struct output *output)
{
	struct npxc_error ignored;

	if (output == NULL)
		return;
	if (!tree_remove(box->fd, output->id, &ignored))
		log_debug("publish", "%s", ignored.message);
	free_output(output);
}

bool output_finish(struct output_box *box, struct output *output, bool *ret_placed, struct npxc_error *err)
{
	const bool fine = finish(box, output, ret_placed, err);

	output_drop(box, output);
	return fine;
}
