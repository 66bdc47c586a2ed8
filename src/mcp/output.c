#include "mcp/output.h"

#include "base/copy.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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
	box->fd = open(box->directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return box->fd != -1 || error_set_errno(err, ERROR_IO, "open %s", box->directory);
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
	if (mkdirat(box->fd, id, 0777) != 0 || fchmodat(box->fd, id, 0777, 0) != 0)
		return error_set_errno(err, ERROR_IO, "make a place for %s", name->path);
	fd = openat(box->fd, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd == -1)
		return error_set_errno(err, ERROR_IO, "make a place for %s", name->path);
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

static bool in_place_failed(const struct output *output, struct npxc_error *err)
{
	if (errno != EEXIST)
		return error_set_errno(err, ERROR_IO, "put \"%.*s\" in place", (int)SHOWN_BYTES, output->shown);
	return error_set(err, ERROR_PATH_OUT_OF_SCOPE, "\"%.*s\" exists by now, and nothing is replaced",
	                 (int)SHOWN_BYTES, output->shown);
}

static mode_t ordinary_mode(void)
{
	const mode_t mask = umask(0);

	umask(mask);
	return 0666 & ~mask;
}

#if defined(__linux__) && defined(O_TMPFILE)
/* A file without a name, which is given one when it is whole: nothing to clean up whatever happens. False with errno;
 * EOPNOTSUPP: not on this file system. */
static bool place_nameless(const struct output *output, int from, const struct copy_rules *rules, uint64_t *ret_bytes,
                           struct npxc_error *err)
{
	FD_CLEANUP int to = openat(output->parent.fd, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, S_IRUSR | S_IWUSR);
	char path[32];

	errno = to == -1 ? EOPNOTSUPP : 0;
	if (to == -1 || !copy_bytes(from, to, rules, ret_bytes, err) || fchmod(to, ordinary_mode()) != 0)
		return false;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", to);
	if (linkat(AT_FDCWD, path, output->parent.fd, output->leaf, AT_SYMLINK_FOLLOW) == 0)
		return true;
	if (errno != EEXIST)
		errno = EOPNOTSUPP; /* no /proc, perhaps */
	return false;
}
#endif

/* Gives `temporary` its right name unless that is taken. False with errno. */
static bool rename_anew(int directory, const char *temporary, const char *leaf)
{
	if (linkat(directory, temporary, directory, leaf, 0) == 0) {
		(void)unlinkat(directory, temporary, 0);
		return true;
	}
	if (errno == EEXIST)
		return false;
#if defined(__linux__) && defined(RENAME_NOREPLACE)
	return renameat2(directory, temporary, directory, leaf, RENAME_NOREPLACE) == 0;
#elif defined(__APPLE__) && defined(RENAME_EXCL)
	return renameatx_np(directory, temporary, directory, leaf, RENAME_EXCL) == 0;
#else
	return false;
#endif
}

static bool place_named(const struct output *output, int from, const struct copy_rules *rules, uint64_t *ret_bytes,
                        struct npxc_error *err)
{
	const int directory = output->parent.fd;
	mem_cleanup char *random = file_random_hex(16);
	mem_cleanup char *temporary = str_printf(".npxc-%s", random);

	if (!copy_file(from, directory, temporary, ordinary_mode(), rules, ret_bytes, err))
		return false;
	if (rename_anew(directory, temporary, output->leaf))
		return true;
	in_place_failed(output, err);
	(void)unlinkat(directory, temporary, 0);
	return false;
}

static bool place(const struct output *output, int from, const struct copy_rules *rules, uint64_t *ret_bytes,
                  struct npxc_error *err)
{
#if defined(__linux__) && defined(O_TMPFILE)
	struct npxc_error why = { 0 };

	if (place_nameless(output, from, rules, ret_bytes, &why))
		return true;
	if (why.kind != ERROR_NONE) {
		*err = why;
		return error_prefix(err, "put \"%.*s\" in place", (int)SHOWN_BYTES, output->shown);
	}
	if (errno != EOPNOTSUPP)
		return in_place_failed(output, err);
#endif
	return place_named(output, from, rules, ret_bytes, err);
}

static bool finish(struct output_box *box, const struct output *output, bool *ret_placed, struct npxc_error *err)
{
	const uint64_t left = box->max_total_bytes - box->placed_bytes;
	const struct copy_rules rules = { .max_bytes = left < box->max_bytes ? left : box->max_bytes,
		                          .stop = box->stop,
		                          .context = box->context };
	uint64_t bytes = 0;
	FD_CLEANUP int from = -1;
	struct stat info;

	if (fstatat(output->private, output->leaf, &info, AT_SYMLINK_NOFOLLOW) != 0) {
		if (errno != ENOENT)
			return in_place_failed(output, err);
		*ret_placed = false;
		return true;
	}
	/* The server may swap what is there at any time: what counts is what has been opened. */
	if (S_ISREG(info.st_mode))
		from = openat(output->private, output->leaf, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (from == -1 || fstat(from, &info) != 0 || !S_ISREG(info.st_mode))
		return error_set(err, ERROR_PATH_OUT_OF_SCOPE,
		                 "what the server made at \"%.*s\" is no ordinary file that can be read",
		                 (int)SHOWN_BYTES, output->shown);
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
	mem_cleanup char *path = str_printf("%s/%s", box->directory, output->id);
	if (!file_remove_tree(path, &ignored))
		log_debug("publish", "%s", ignored.message);
	free_output(output);
}

bool output_finish(struct output_box *box, struct output *output, bool *ret_placed, struct npxc_error *err)
{
	const bool fine = finish(box, output, ret_placed, err);

	output_drop(box, output);
	return fine;
}
