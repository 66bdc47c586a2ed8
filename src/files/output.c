#include "files/output.h"

#include "base/copy.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/random.h"
#include "base/tree.h"
#include "config/hazard.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SHOWN_BYTES = 160, SAID_MAX = 64 };

/* What was put in place: the server's file as it was then, and the host's. */
struct placed {
	char *path; /* owned */
	uint64_t made, host;
};

struct output {
	struct output_settings settings;
	struct publish *publish; /* borrowed */
	int files;
	struct strv named;
	struct placed *placed; /* owned */
	size_t placed_count;
	struct strv left; /* what was said not to be placed, each once */
	/* of one walk */
	uint64_t bytes;
	size_t entries;
};

bool output_start(const struct output_settings *settings, struct publish *publish, struct output **ret_output,
                  struct npxc_error *err)
{
	struct output *output;
	int files;

	if (!tree_open(settings->files, &files, err))
		return false;
	output = mem_alloc(sizeof(*output));
	output->settings = *settings;
	output->publish = publish;
	output->files = files;
	*ret_output = output;
	return true;
}

void output_free(struct output *output)
{
	if (output == NULL)
		return;
	for (size_t i = 0; i < output->placed_count; i++)
		free(output->placed[i].path);
	free(output->placed);
	strv_done(&output->named);
	strv_done(&output->left);
	fd_close(&output->files);
	free(output);
}

void output_name(struct output *output, const char *path)
{
	if (!strv_contains(&output->named, path) && output->named.count < output->settings.max_entries)
		strv_push(&output->named, path);
}

/* ---- what is said ---- */

static void say(struct output *output, const char *what, const char *path, const char *why)
{
	mem_cleanup char *shown = str_escape(path, strlen(path));
	mem_cleanup char *line =
	    str_printf("npxc: %s %.*s%s%s", what, (int)SHOWN_BYTES, shown, why[0] == '\0' ? "" : ": ", why);

	output->settings.say(output->settings.say_context, line);
}

static void leave(struct output *output, const char *path, const char *why)
{
	if (strv_contains(&output->left, path) || output->left.count >= SAID_MAX)
		return;
	strv_push(&output->left, path);
	say(output, "not kept:", path, why);
}

/* ---- into place ---- */

static mode_t ordinary_mode(mode_t full)
{
	const mode_t mask = umask(0);

	umask(mask);
	return full & ~mask;
}

/* Over a file of this session's own that nobody touched since. */
static bool place_again(int directory, const char *leaf, int from, const struct copy_rules *rules, uint64_t *ret_bytes,
                        struct npxc_error *err)
{
	mem_cleanup char *random = random_hex(16);
	mem_cleanup char *temporary = str_printf(".npxc-%s", random);

	if (!copy_file(from, directory, temporary, ordinary_mode(0666), rules, ret_bytes, err))
		return false;
	if (renameat(directory, temporary, directory, leaf) == 0)
		return true;
	error_set_errno(err, ERROR_IO, "put it in place");
	(void)unlinkat(directory, temporary, 0);
	return false;
}

/* ---- one file ---- */

static struct placed *placed_at(struct output *output, const char *path)
{
	for (size_t i = 0; i < output->placed_count; i++)
		if (strcmp(output->placed[i].path, path) == 0)
			return &output->placed[i];
	return NULL;
}

static void remember(struct output *output, struct placed *before, const char *path, const struct stat *made,
                     const struct stat *host)
{
	if (before == NULL) {
		output->placed = mem_realloc(output->placed, output->placed_count + 1, sizeof(*output->placed));
		before = &output->placed[output->placed_count++];
		*before = (struct placed){ .path = str_dup(path) };
	}
	before->made = publish_mix_stat(0, made);
	before->host = publish_mix_stat(0, host);
}

static bool open_parent(struct output *output, const char *path, int *ret_directory, const char **ret_leaf,
                        struct npxc_error *err)
{
	const char *slash = strrchr(path, '/');
	mem_cleanup char *parent = str_path_parent(path);

	if (parent[0] != '\0' && !tree_make_directories(output->settings.root->fd, parent, ordinary_mode(0777), err))
		return false;
	*ret_leaf = slash == NULL ? path : slash + 1;
	return tree_open_directory(output->settings.root->fd, parent, ret_directory, err);
}

static void place_one(struct output *output, const struct tree_entry *entry)
{
	struct placed *before = placed_at(output, entry->path);
	const struct copy_rules rules = { .max_bytes = output->settings.max_file_bytes,
		                          .stop = output->settings.stop,
		                          .context = output->settings.context };
	FD_CLEANUP int from = -1;
	FD_CLEANUP int directory = -1;
	struct npxc_error why = { 0 };
	struct stat made, host;
	const char *leaf;
	bool replace = false;
	uint64_t bytes = 0;

	if (before != NULL && before->made == publish_mix_stat(0, &entry->info))
		return;
	if ((hazard_along(entry->path, 0) & HAZARD_RUN) != 0) {
		leave(output, entry->path, "this machine executes what has that name");
		return;
	}
	if (!tree_open_file(entry->directory, entry->name, &from, &made, &why) ||
	    !open_parent(output, entry->path, &directory, &leaf, &why)) {
		leave(output, entry->path, why.message);
		return;
	}
	if (fstatat(directory, leaf, &host, AT_SYMLINK_NOFOLLOW) == 0) {
		replace = before != NULL && before->host == publish_mix_stat(0, &host);
		if (!replace) {
			leave(output, entry->path, "it exists on this machine, and nothing is replaced");
			return;
		}
	}
	if (!(replace ? place_again(directory, leaf, from, &rules, &bytes, &why)
	              : copy_place(from, directory, leaf, ordinary_mode(0666), &rules, &bytes, &why))) {
		leave(output, entry->path, why.message);
		return;
	}
	if (fstatat(directory, leaf, &host, AT_SYMLINK_NOFOLLOW) != 0)
		return;
	if (before == NULL)
		say(output, "made by the server:", entry->path, "");
	remember(output, before, entry->path, &made, &host);
	publish_adopt(output->publish, entry->path, &host);
}

/* ---- all of them ---- */

static bool is_wanted(const struct output *output, const char *path)
{
	return !output->settings.named_only || strv_contains(&output->named, path);
}

static enum tree_next on_entry(void *context, const struct tree_entry *entry, struct npxc_error *err)
{
	struct output *output = context;
	struct placed *before;

	if (++output->entries > output->settings.max_entries) {
		error_set(err, ERROR_IO, "more than %zu files and directories", output->settings.max_entries);
		return TREE_STOP;
	}
	if (strv_holds_path(output->settings.mount_points, entry->path))
		return TREE_ON;
	if (S_ISDIR(entry->info.st_mode))
		return TREE_ENTER;
	if (!S_ISREG(entry->info.st_mode)) {
		if (!publish_knows(output->publish, entry->path))
			leave(output, entry->path, "it is no ordinary file");
		return TREE_ON;
	}
	before = placed_at(output, entry->path);
	if (before == NULL && publish_knows(output->publish, entry->path))
		return TREE_ON;
	if (is_wanted(output, entry->path))
		place_one(output, entry);
	return TREE_ON;
}

static enum tree_next on_refused(void *context, const struct tree_entry *entry, int number, struct npxc_error *err)
{
	(void)err;
	leave(context, entry->path, strerror(number));
	return TREE_ON;
}

void output_collect(struct output *output)
{
	const struct tree_visitor visitor = { .context = output, .entry = on_entry, .refused = on_refused };
	struct npxc_error why;

	output->entries = 0;
	if (!tree_walk(output->files, "", &visitor, &why))
		leave(output, ".", why.message);
}

static enum tree_next measure(void *context, const struct tree_entry *entry, struct npxc_error *err)
{
	struct output *output = context;

	output->bytes += (uint64_t)entry->info.st_blocks * 512;
	if (++output->entries > output->settings.max_entries || output->bytes > output->settings.max_total_bytes) {
		error_set(err, ERROR_IO, "too much");
		return TREE_STOP;
	}
	return S_ISDIR(entry->info.st_mode) ? TREE_ENTER : TREE_ON;
}

bool output_is_over(struct output *output, uint64_t *ret_bytes)
{
	/* A directory that the server has locked holds as much as another. */
	const struct tree_visitor visitor = {
		.context = output, .unlock = true, .entry = measure, .refused = tree_pass_over
	};
	struct npxc_error ignored;
	bool whole;

	output->bytes = 0;
	output->entries = 0;
	whole = tree_walk(output->files, "", &visitor, &ignored);
	*ret_bytes = output->bytes;
	return !whole &&
	       (output->entries > output->settings.max_entries || output->bytes > output->settings.max_total_bytes);
}
