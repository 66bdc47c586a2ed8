#include "files/publish.h"

#include "base/copy.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/tree.h"
#include "config/hazard.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* A directory of the host and all that is in it: measured, or copied. */

enum { SHOWN_BYTES = 160, LEFT_OUT_NAMED = 8 };

/* directories: of which is said what is missing in them, each once. */
enum { TOLD_MAX = 256 };

#ifdef __APPLE__
#define MTIME(info) ((info)->st_mtimespec)
#define CTIME(info) ((info)->st_ctimespec)
#else
#define MTIME(info) ((info)->st_mtim)
#define CTIME(info) ((info)->st_ctim)
#endif

static int64_t milliseconds(struct timespec time)
{
	return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

/* Whether a change from now on gives the file other times than it has. */
bool publish_is_settled(const struct stat *info)
{
	const bool coarse = MTIME(info).tv_nsec == 0 && CTIME(info).tv_nsec == 0;
	const int64_t patience = coarse ? LIMIT_COARSE_STAMP_MS : LIMIT_STAMP_MS;
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return milliseconds(MTIME(info)) + patience < milliseconds(now) &&
	       milliseconds(CTIME(info)) + patience < milliseconds(now);
}

uint64_t publish_mix_stat(uint64_t hash, const struct stat *info)
{
	const struct timespec modified = MTIME(info), changed = CTIME(info);

	hash = str_hash(hash, &info->st_dev, sizeof(info->st_dev));
	hash = str_hash(hash, &info->st_ino, sizeof(info->st_ino));
	hash = str_hash(hash, &info->st_size, sizeof(info->st_size));
	hash = str_hash(hash, &info->st_mode, sizeof(info->st_mode));
	hash = str_hash(hash, &modified.tv_sec, sizeof(modified.tv_sec));
	hash = str_hash(hash, &modified.tv_nsec, sizeof(modified.tv_nsec));
	hash = str_hash(hash, &changed.tv_sec, sizeof(changed.tv_sec));
	return str_hash(hash, &changed.tv_nsec, sizeof(changed.tv_nsec));
}

/* Readable for whoever the guest's user is. */
mode_t publish_copy_mode(const struct stat *info)
{
	return (info->st_mode & S_IXUSR) != 0 ? 0555 : 0444;
}

static void leave_out(struct publish_tree *tree, const char *path, const char *why)
{
	if (tree->stage == -1)
		return;
	if (tree->left_out_count++ < LEFT_OUT_NAMED)
		strv_pushf(&tree->left_out, "%s (%s)", path, why);
}

static bool too_much(const struct publish_tree *tree, struct npxc_error *err, const char *what)
{
	mem_cleanup char *shown = str_escape(tree->path, strlen(tree->path));

	return error_set(err, ERROR_IO, "\"%.*s\" %s; name a part of it, or show it to the server with --mount",
	                 (int)SHOWN_BYTES, shown, what);
}

static bool check(const struct publish_tree *tree, uint64_t file_bytes, size_t depth, struct npxc_error *err)
{
	char what[96];

	if (tree->files > tree->places)
		snprintf(what, sizeof(what), "holds more than %zu files and directories", tree->places);
	else if (depth > LIMIT_PUBLISH_DEPTH)
		snprintf(what, sizeof(what), "is more than %d directories deep", LIMIT_PUBLISH_DEPTH);
	else if (file_bytes > tree->settings->max_file_bytes)
		snprintf(what, sizeof(what), "holds a file of more than %llu bytes",
		         (unsigned long long)tree->settings->max_file_bytes);
	else if (tree->bytes > tree->room)
		snprintf(what, sizeof(what), "holds more than %llu bytes", (unsigned long long)tree->room);
	else
		return true;
	return too_much(tree, err, what);
}

/* Whether a link so many levels below the working directory names something beneath that, as far as its text tells. */
static bool link_stays(const struct publish_tree *tree, const char *target, size_t depth)
{
	long level = (long)depth;

	if (target[0] == '/')
		return scope_behind(tree->settings->root->place, target) != NULL && strstr(target, "/..") == NULL;
	for (const char *at = target; *at != '\0' && level >= 0;) {
		const size_t length = strcspn(at, "/");

		if (length == 2 && memcmp(at, "..", 2) == 0)
			level--;
		else if (length > 1 || (length == 1 && at[0] != '.'))
			level++;
		at += length;
		at += strspn(at, "/");
	}
	return level >= 0;
}

static size_t depth_of(const char *path)
{
	size_t depth = path[0] != '\0';

	for (; *path != '\0'; path++)
		depth += *path == '/';
	return depth;
}

static bool copy_link(struct publish_tree *tree, const struct tree_entry *entry, const char *staged,
                      struct npxc_error *err)
{
	mem_cleanup char *target = NULL;
	struct npxc_error ignored;

	if (!tree_read_link(entry->directory, entry->name, &target, &ignored))
		leave_out(tree, entry->path, "cannot be read");
	else if (!link_stays(tree, target, depth_of(tree->path) + entry->depth - 1))
		leave_out(tree, entry->path, "a link that leads out");
	else if (tree->stage != -1)
		return tree_make_link(tree->stage, staged, target, err);
	return true;
}

static bool copy_leaf(struct publish_tree *tree, const struct tree_entry *entry, const char *staged,
                      struct npxc_error *err)
{
	const uint64_t left = tree->room - tree->bytes, most = tree->settings->max_file_bytes;
	const struct copy_rules rules = { .max_bytes = left < most ? left : most,
		                          .stop = tree->settings->stop,
		                          .context = tree->settings->context };
	FD_CLEANUP int fd = -1;
	struct npxc_error ignored;
	struct stat info;
	uint64_t bytes = 0;

	if (!tree_open_file(entry->directory, entry->name, &fd, &info, &ignored)) {
		leave_out(tree, entry->path, "cannot be read");
		return true;
	}
	if (!tree_copy(fd, tree->stage, staged, publish_copy_mode(&info), &rules, &bytes, err))
		return false;
	tree->bytes += bytes;
	return check(tree, bytes, 0, err);
}

static bool copy_directory(struct publish_tree *tree, const struct tree_entry *entry, const char *staged,
                           struct npxc_error *err)
{
	mem_cleanup char *path = NULL;
	FD_CLEANUP int fd = -1;
	struct npxc_error ignored;

	if (tree->stage == -1)
		return true;
	if (!tree_make_directory(tree->stage, staged, tree->settings->writable ? 0777 : 0755, NULL, err))
		return false;
	if (tree_open_directory(entry->directory, entry->name, &fd, &ignored)) {
		path = str_printf("%s%s%s", tree->path, tree->path[0] == '\0' ? "" : "/", entry->path);
		tree->on_directory(tree->watching, fd, path);
	}
	return true;
}

static enum tree_next on_entry(void *context, const struct tree_entry *entry, struct npxc_error *err)
{
	struct publish_tree *tree = context;
	mem_cleanup char *staged = tree->stage == -1 ? NULL : str_printf("%s/%s", tree->staged, entry->path);
	mem_cleanup char *path = str_printf("%s/%s", tree->path, entry->path);
	const mode_t type = entry->info.st_mode & S_IFMT;
	bool fine;

	if (hazard_of(path) != 0) {
		leave_out(tree, entry->path, "may hold secrets, or what this machine executes");
		return TREE_ON;
	}
	tree->files++;
	/* The order in which a directory is read means nothing: a sum. */
	tree->mark += publish_mix_stat(str_hash(STR_HASH, entry->path, strlen(entry->path)), &entry->info);
	tree->settled = tree->settled && publish_is_settled(&entry->info);
	if (!check(tree, type == S_IFREG ? (uint64_t)entry->info.st_size : 0, entry->depth + (type == S_IFDIR), err))
		return TREE_STOP;
	if (type == S_IFDIR)
		return copy_directory(tree, entry, staged, err) ? TREE_ENTER : TREE_STOP;
	if (type == S_IFLNK) {
		fine = copy_link(tree, entry, staged, err);
	} else if (type != S_IFREG) {
		leave_out(tree, entry->path, "no ordinary file");
		fine = true;
	} else if (tree->stage != -1) {
		fine = copy_leaf(tree, entry, staged, err);
	} else {
		tree->bytes += (uint64_t)entry->info.st_size;
		fine = check(tree, 0, 0, err);
	}
	return fine ? TREE_ON : TREE_STOP;
}

static enum tree_next on_refused(void *context, const struct tree_entry *entry, int number, struct npxc_error *err)
{
	(void)err;
	leave_out(context, entry->path, number == EXDEV ? "another file system" : "cannot be read");
	return TREE_ON;
}

bool publish_tree_go(struct publish_tree *tree, int directory, struct npxc_error *err)
{
	const struct tree_visitor visitor = { .context = tree, .entry = on_entry, .refused = on_refused };

	if (tree->stage != -1) {
		if (!tree_make_directory(tree->stage, tree->staged, tree->settings->writable ? 0777 : 0755, NULL, err))
			return false;
		tree->on_directory(tree->watching, directory, tree->path);
	}
	return tree_walk(directory, "", &visitor, err);
}

void publish_tree_done(struct publish_tree *tree)
{
	strv_done(&tree->left_out);
}

void publish_report_left_out(struct strv *told, const char *path, const struct strv *left_out, size_t count)
{
	struct buf line BUF_CLEANUP = BUF_INIT(64 * KIB);
	struct npxc_error ignored;

	if (count == 0 || strv_contains(told, path) || told->count >= TOLD_MAX)
		return;
	strv_push(told, path);
	for (size_t i = 0; i < left_out->count; i++)
		if (!buf_appendf(&line, &ignored, "%s%s", i == 0 ? "" : ", ", left_out->v[i]))
			break;
	log_warn("publish", "%s: %zu left out: %s%s", path[0] == '\0' ? "." : path, count,
	         line.data == NULL ? "" : line.data, count > LEFT_OUT_NAMED ? ", ..." : "");
}
