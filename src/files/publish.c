#include "files/publish.h"

#include "base/copy.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/tree.h"
#include "config/hazard.h"
#include "files/publish_table.h"
#include "files/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SHOWN_BYTES = 160 };

/* entries: that are looked at with each request because nothing watches them. */
enum { UNWATCHED_MAX = 64 };

struct publish {
	struct publish_settings settings;
	int files, stage;
	size_t staged; /* counts */
	struct publish_table table;
	struct watch *watch;
	bool watch_failed; /* of what is being made */
	struct strv told;  /* directories of which it was said what was left out */
};

/* ---- start and end ---- */

bool publish_start(const struct publish_settings *settings, struct publish **ret_publish, struct npxc_error *err)
{
	FD_CLEANUP int files = -1;
	FD_CLEANUP int stage = -1;
	struct publish *publish;

	if (!tree_open(settings->files, &files, err) || !tree_open(settings->stage, &stage, err))
		return false;
	publish = mem_alloc(sizeof(*publish));
	publish->settings = *settings;
	publish->files = fd_take(&files);
	publish->stage = fd_take(&stage);
	publish->watch = watch_new();
	*ret_publish = publish;
	return true;
}

void publish_free(struct publish *publish)
{
	if (publish == NULL)
		return;
	publish_table_done(&publish->table);
	watch_free(publish->watch);
	strv_done(&publish->told);
	fd_close(&publish->files);
	fd_close(&publish->stage);
	free(publish);
}

bool publish_knows(const struct publish *publish, const char *path)
{
	return publish_table_knows(&publish->table, path);
}

/* ---- mount points ---- */

static bool holds_mount(const struct publish *publish, const char *path)
{
	for (size_t i = 0; i < publish->settings.mount_points->count; i++)
		if (str_path_within(publish->settings.mount_points->v[i], path))
			return true;
	return false;
}

/* At, above or beneath it. */
static bool has_mount(const struct publish *publish, const char *path)
{
	return strv_holds_path(publish->settings.mount_points, path) || holds_mount(publish, path);
}

/* ---- into place ---- */

/* Where something that is made beside `files` comes to: the topmost part of its path that is to be renamed. */
struct spot {
	char name[24]; /* in `stage`: of what is renamed */
	char *staged;  /* owned; in `stage`: where the thing itself stands */
	char *top;     /* owned; in `files` */
	bool exchange; /* something is there that a rename does not replace */
};

static void spot_done(struct spot *spot)
{
	free(spot->staged);
	free(spot->top);
}

static bool find_top(const struct publish *publish, const char *path, bool is_directory, struct spot *spot,
                     struct npxc_error *err)
{
	mem_cleanup char *parent = str_path_parent(path);
	struct npxc_error ignored;
	struct stat info;
	size_t at = parent[0] == '\0' || tree_is_directory(publish->files, parent) ? strlen(path) : 0;

	for (;;) {
		const bool last = at >= strlen(path);

		if (!last)
			at += strcspn(path + at, "/");
		free(spot->top);
		spot->top = str_dup_n(path, at);
		if (!tree_look(publish->files, spot->top, &info, &ignored)) {
			if (ignored.sys_errno == ENOENT)
				return true;
			*err = ignored;
			return false;
		}
		if (path[at] == '\0') {
			spot->exchange = is_directory || S_ISDIR(info.st_mode);
			return true;
		}
		if (!S_ISDIR(info.st_mode)) {
			spot->exchange = true;
			return true;
		}
		at++;
	}
}

static bool spot_find(struct publish *publish, const char *path, bool is_directory, struct spot *spot,
                      struct npxc_error *err)
{
	mem_cleanup char *parent = NULL;

	if (!find_top(publish, path, is_directory, spot, err))
		return false;
	snprintf(spot->name, sizeof(spot->name), "%zu", publish->staged++);
	spot->staged = str_printf("%s%s", spot->name, path + strlen(spot->top));
	if (strcmp(spot->staged, spot->name) == 0)
		return true;
	parent = str_path_parent(spot->staged);
	return tree_make_directories(publish->stage, parent, publish->settings.writable ? 0777 : 0755, err);
}

static void discard(struct publish *publish, const char *name)
{
	struct npxc_error why;

	if (!tree_remove(publish->stage, name, &why))
		log_warn("publish", "%s", why.message);
}

/* False with errno. */
static bool swap_names(int stage, const char *name, int directory, const char *leaf)
{
#if defined(__linux__) && defined(RENAME_EXCHANGE)
	return renameat2(stage, name, directory, leaf, RENAME_EXCHANGE) == 0;
#elif defined(__APPLE__) && defined(RENAME_SWAP)
	return renameatx_np(stage, name, directory, leaf, RENAME_SWAP) == 0;
#else
	(void)stage;
	(void)name;
	(void)directory;
	(void)leaf;
	errno = ENOSYS;
	return false;
#endif
}

static bool exchange(struct publish *publish, const struct spot *spot, struct npxc_error *err)
{
	mem_cleanup char *parent = str_path_parent(spot->top);
	const char *leaf = spot->top + strlen(parent) + (parent[0] != '\0');
	FD_CLEANUP int directory = -1;
	mem_cleanup char *old = str_printf("%s.old", spot->name);

	if (!tree_open_directory(publish->files, parent, &directory, err))
		return false;
	if (!swap_names(publish->stage, spot->name, directory, leaf)) {
		/* A file system without it: there is a moment in which nothing has the name. */
		if (!tree_rename(publish->files, spot->top, publish->stage, old, err) ||
		    !tree_rename(publish->stage, spot->name, publish->files, spot->top, err))
			return false;
		discard(publish, old);
	} else {
		discard(publish, spot->name);
	}
	publish_table_drop(&publish->table, spot->top, true);
	return true;
}

static bool spot_place(struct publish *publish, const struct spot *spot, struct npxc_error *err)
{
	const bool placed = spot->exchange ? exchange(publish, spot, err)
	                                   : tree_rename(publish->stage, spot->name, publish->files, spot->top, err);

	if (!placed)
		discard(publish, spot->name);
	return placed;
}

static bool name_in_error(struct npxc_error *err, const char *path)
{
	mem_cleanup char *shown = str_escape(path, strlen(path));

	return error_prefix(err, "\"%.*s\"", (int)SHOWN_BYTES, shown);
}

/* ---- room ---- */

static bool check_room(const struct publish *publish, const struct publish_entry *before, const char *path,
                       uint64_t bytes, size_t files, struct npxc_error *err)
{
	const uint64_t have = publish->table.bytes - (before == NULL ? 0 : before->bytes);
	const size_t count = publish->table.files - (before == NULL ? 0 : before->files);
	mem_cleanup char *shown = NULL;

	if (bytes <= publish->settings.max_total_bytes - have && files <= publish->settings.max_entries - count)
		return true;
	shown = str_escape(path, strlen(path));
	return error_set(
	    err, ERROR_IO,
	    "no room for a copy of \"%.*s\": all files given to this server together may have %llu bytes and "
	    "%zu entries; mount what it shall see with --mount",
	    (int)SHOWN_BYTES, shown, (unsigned long long)publish->settings.max_total_bytes,
	    publish->settings.max_entries);
}

/* ---- watching ---- */

static void watch_directory(void *context, int directory, const char *path)
{
	struct publish *publish = context;

	if (!watch_add(publish->watch, directory, path))
		publish->watch_failed = true;
}

static void watch_parent(struct publish *publish, struct publish_entry *entry)
{
	mem_cleanup char *parent = str_path_parent(entry->path);
	FD_CLEANUP int fd = find_open_parent(publish->settings.root, entry->path);

	publish_table_set_unwatched(&publish->table, entry, fd == -1 || !watch_add(publish->watch, fd, parent));
}

/* ---- links ---- */

static bool put_link(struct publish *publish, const struct find_link *link, struct npxc_error *err)
{
	struct publish_entry *entry = publish_table_find(&publish->table, link->path);
	struct spot spot __attribute__((cleanup(spot_done))) = { 0 };

	if (has_mount(publish, link->path))
		return true;
	if (entry != NULL && entry->kind == PUBLISH_LINK && str_equal(entry->target, link->target) &&
	    !publish->settings.writable)
		return true;
	if (!check_room(publish, entry, link->path, 0, 1, err))
		return false;
	if (!spot_find(publish, link->path, false, &spot, err) ||
	    !tree_make_link(publish->stage, spot.staged, link->target, err) || !spot_place(publish, &spot, err))
		return name_in_error(err, link->path);
	publish_table_drop(&publish->table, link->path, false);
	entry = publish_table_put(&publish->table, link->path, PUBLISH_LINK, 0, 1);
	entry->target = str_dup(link->target);
	watch_parent(publish, entry);
	return true;
}

/* ---- files ---- */

static bool same_bytes(int a, int b)
{
	static char first[64 * 1024], second[sizeof(first)];
	off_t at = 0;

	for (;;) {
		const ssize_t count = pread(a, first, sizeof(first), at);
		ssize_t other = 0;

		while (other < count) {
			const ssize_t more = pread(b, second + other, (size_t)(count - other), at + other);

			if (more <= 0)
				return false;
			other += more;
		}
		if (count <= 0)
			return count == 0 && pread(b, second, 1, at) == 0;
		if (memcmp(first, second, (size_t)count) != 0)
			return false;
		at += count;
	}
}

static struct publish_identity identity_of(const struct stat *info)
{
	return (struct publish_identity){ .device = info->st_dev,
		                          .inode = info->st_ino,
		                          .size = (uint64_t)info->st_size,
		                          .mark = publish_mix_stat(0, info),
		                          .settled = publish_is_settled(info) };
}

static bool is_same(const struct publish_identity *a, const struct publish_identity *b)
{
	return a->device == b->device && a->inode == b->inode && a->size == b->size && a->mark == b->mark;
}

/* Whether the server sees the very copy; it may have written there itself. */
static bool is_in_place(const struct publish *publish, const struct publish_entry *entry)
{
	struct npxc_error ignored;
	struct stat info;

	return !publish->settings.writable ||
	       (tree_look(publish->files, entry->path, &info, &ignored) && info.st_ino == entry->copy);
}

/* Whether the copy is what the file holds now. Its times may not tell yet. */
static bool is_current(struct publish *publish, const struct find *found, const struct publish_identity *identity,
                       struct publish_entry *entry)
{
	FD_CLEANUP int copy = -1;
	FD_CLEANUP int file = -1;
	struct npxc_error ignored;

	if (entry == NULL || entry->kind != PUBLISH_FILE || !is_same(&entry->identity, identity) ||
	    !is_in_place(publish, entry))
		return false;
	if (entry->identity.settled)
		return true;
	if (!find_open(publish->settings.root, found, &file) ||
	    !tree_open_file(publish->files, entry->path, &copy, NULL, &ignored) || !same_bytes(file, copy))
		return false;
	entry->identity.settled = identity->settled;
	return true;
}

static bool check_file_size(const struct publish *publish, const char *path, uint64_t bytes, struct npxc_error *err)
{
	mem_cleanup char *shown = NULL;

	if (bytes <= publish->settings.max_file_bytes)
		return true;
	shown = str_escape(path, strlen(path));
	return error_set(err, ERROR_IO,
	                 "\"%.*s\" is a file of more than %llu bytes; show it to the server with --mount",
	                 (int)SHOWN_BYTES, shown, (unsigned long long)publish->settings.max_file_bytes);
}

/* What changed before it was watched is told by nobody. */
static void watch_file(struct publish *publish, struct publish_entry *entry)
{
	struct find found;

	watch_parent(publish, entry);
	find_path(publish->settings.root, entry->path, &found);
	const struct publish_identity identity = identity_of(&found.info);
	if (found.link_count > 0 || !is_same(&identity, &entry->identity))
		publish_table_set_dirty(&publish->table, entry, true);
	find_done(&found);
}

/* What cannot be read, or was swapped meanwhile, is left: the server says what it finds. */
static bool put_file(struct publish *publish, const struct find *found, struct npxc_error *err)
{
	struct publish_entry *entry = publish_table_find(&publish->table, found->path);
	const struct publish_identity identity = identity_of(&found->info);
	struct spot spot __attribute__((cleanup(spot_done))) = { 0 };
	const uint64_t left =
	    publish->settings.max_total_bytes - publish->table.bytes + (entry == NULL ? 0 : entry->bytes);
	const uint64_t most = publish->settings.max_file_bytes;
	const struct copy_rules rules = { .max_bytes = left < most ? left : most,
		                          .stop = publish->settings.stop,
		                          .context = publish->settings.context };
	FD_CLEANUP int from = -1;
	struct npxc_error ignored;
	struct stat copy;
	uint64_t bytes = 0;

	if (has_mount(publish, found->path) || is_current(publish, found, &identity, entry))
		return true;
	if (!check_file_size(publish, found->path, (uint64_t)found->info.st_size, err) ||
	    !check_room(publish, entry, found->path, (uint64_t)found->info.st_size, 1, err))
		return false;
	if (!find_open(publish->settings.root, found, &from)) {
		log_info("publish", "%s cannot be opened: %s", found->path, strerror(errno));
		return true;
	}
	if (!spot_find(publish, found->path, false, &spot, err))
		return name_in_error(err, found->path);
	if (!tree_copy(from, publish->stage, spot.staged, publish_copy_mode(&found->info), &rules, &bytes, err)) {
		discard(publish, spot.name);
		return name_in_error(err, found->path);
	}
	if (!tree_look(publish->stage, spot.staged, &copy, &ignored))
		copy.st_ino = 0;
	if (!spot_place(publish, &spot, err))
		return name_in_error(err, found->path);
	entry = publish_table_put(&publish->table, found->path, PUBLISH_FILE, bytes, 1);
	entry->identity = identity;
	entry->copy = copy.st_ino;
	watch_file(publish, entry);
	return true;
}

/* ---- directories ---- */

static bool put_children(struct publish *publish, const struct find *found, int directory, struct npxc_error *err)
{
	struct strv names __attribute__((cleanup(strv_done))) = { 0 };
	struct strv left_out __attribute__((cleanup(strv_done))) = { 0 };
	bool fine = true;

	if (!tree_list(directory, "", publish->settings.max_tree_entries, &names, err))
		return name_in_error(err, found->path);
	for (size_t i = 0; fine && i < names.count; i++) {
		mem_cleanup char *path =
		    str_printf("%s%s%s", found->path, found->path[0] == '\0' ? "" : "/", names.v[i]);
		struct find child;

		if (hazard_of(path) != 0) {
			strv_pushf(&left_out, "%s (may hold secrets, or what this machine executes)", path);
			continue;
		}
		find_path(publish->settings.root, path, &child);
		/* A link is made again and not followed, as in a tree. */
		if (child.link_count == 0)
			fine = publish_put(publish, &child, err);
		else if (child.kind != FIND_OUTSIDE && child.kind != FIND_DENIED)
			fine = put_link(publish, &child.links[0], err);
		find_done(&child);
	}
	publish_report_left_out(&publish->told, found->path, &left_out, left_out.count);
	return fine;
}

static bool measure(const struct publish *publish, const struct find *found, int directory,
                    struct publish_identity *ret_identity, size_t *ret_files, struct npxc_error *err)
{
	struct publish_identity identity = identity_of(&found->info);
	struct publish_tree tree = { .settings = &publish->settings,
		                     .path = found->path,
		                     .stage = -1,
		                     .room = publish->settings.max_total_bytes,
		                     .places = publish->settings.max_tree_entries,
		                     .settled = identity.settled };
	const bool fine = publish_tree_go(&tree, directory, err);

	publish_tree_done(&tree);
	identity.size = tree.bytes;
	identity.mark += tree.mark;
	identity.settled = tree.settled;
	*ret_identity = identity;
	*ret_files = tree.files + 1;
	return fine;
}

static bool copy_tree(struct publish *publish, const struct find *found, int directory, struct publish_entry *before,
                      const struct publish_identity *identity, struct npxc_error *err)
{
	struct spot spot __attribute__((cleanup(spot_done))) = { 0 };
	const size_t left =
	    publish->settings.max_entries - publish->table.files - 1 + (before == NULL ? 0 : before->files);
	const size_t most = publish->settings.max_tree_entries;
	struct publish_tree tree = { .settings = &publish->settings,
		                     .path = found->path,
		                     .stage = publish->stage,
		                     .room = publish->settings.max_total_bytes - publish->table.bytes +
		                             (before == NULL ? 0 : before->bytes),
		                     .places = left < most ? left : most,
		                     .watching = publish,
		                     .on_directory = watch_directory };
	struct publish_entry *entry;
	bool fine;

	if (!spot_find(publish, found->path, true, &spot, err))
		return name_in_error(err, found->path);
	tree.staged = spot.staged;
	publish->watch_failed = false;
	fine = publish_tree_go(&tree, directory, err);
	if (!fine)
		discard(publish, spot.name);
	fine = fine && spot_place(publish, &spot, err);
	if (!fine) {
		publish_tree_done(&tree);
		return name_in_error(err, found->path);
	}
	publish_report_left_out(&publish->told, found->path, &tree.left_out, tree.left_out_count);
	publish_tree_done(&tree);
	const bool unwatched = publish->watch_failed;
	publish_table_drop(&publish->table, found->path, false);
	entry = publish_table_put(&publish->table, found->path, PUBLISH_TREE, tree.bytes, tree.files + 1);
	entry->identity = *identity;
	watch_parent(publish, entry);
	publish_table_set_unwatched(&publish->table, entry, entry->unwatched || unwatched);
	return true;
}

static bool put_directory(struct publish *publish, const struct find *found, struct npxc_error *err)
{
	struct publish_entry *entry = publish_table_find(&publish->table, found->path);
	struct publish_identity identity;
	FD_CLEANUP int directory = -1;
	size_t files;

	if (strv_holds_path(publish->settings.mount_points, found->path))
		return true;
	if (!find_open(publish->settings.root, found, &directory)) {
		log_info("publish", "%s cannot be opened: %s", found->path, strerror(errno));
		return true;
	}
	if (found->path[0] == '\0' || holds_mount(publish, found->path))
		return put_children(publish, found, directory, err);
	if (!measure(publish, found, directory, &identity, &files, err))
		return false;
	if (entry != NULL && entry->kind == PUBLISH_TREE && entry->identity.settled &&
	    is_same(&entry->identity, &identity) && !publish->settings.writable)
		return true;
	return check_room(publish, entry, found->path, identity.size, files, err) &&
	       copy_tree(publish, found, directory, entry, &identity, err);
}

/* ---- what is gone ---- */

static void remove_copy(struct publish *publish, const char *path)
{
	char name[32];
	struct npxc_error why;

	snprintf(name, sizeof(name), "%zu", publish->staged++);
	if (tree_rename(publish->files, path, publish->stage, name, &why))
		discard(publish, name);
	else if (why.sys_errno != ENOENT)
		log_warn("publish", "%s", why.message);
}

static void remove_gone(struct publish *publish, const char *path)
{
	struct npxc_error ignored;
	struct stat info;

	if (path[0] == '\0' || has_mount(publish, path))
		return;
	if (!publish->settings.writable) {
		if (publish->table.count > 0 && tree_look(publish->files, path, &info, &ignored))
			remove_copy(publish, path);
	} else {
		/* What the server made is its own. */
		for (size_t i = 0; i < publish->table.count; i++)
			if (str_path_within(publish->table.entries[i]->path, path))
				remove_copy(publish, publish->table.entries[i]->path);
	}
	publish_table_drop(&publish->table, path, true);
}

/* ---- all of it ---- */

bool publish_put(struct publish *publish, const struct find *found, struct npxc_error *err)
{
	if (found->kind == FIND_OUTSIDE || found->kind == FIND_DENIED)
		return true;
	for (size_t i = 0; i < found->link_count; i++)
		if (!put_link(publish, &found->links[i], err))
			return false;
	switch (found->kind) {
	case FIND_FILE:
		return put_file(publish, found, err);
	case FIND_DIRECTORY:
		return put_directory(publish, found, err);
	case FIND_MISSING:
	case FIND_OTHER:
		remove_gone(publish, found->path);
		return true;
	case FIND_OUTSIDE:
	case FIND_DENIED:
		break;
	}
	return true;
}

void publish_adopt(struct publish *publish, const char *path, const struct stat *host)
{
	struct publish_entry *entry = publish_table_put(&publish->table, path, PUBLISH_FILE, 0, 1);
	struct npxc_error ignored;
	struct stat copy;

	entry->identity = identity_of(host);
	entry->identity.settled = true; /* what npxc has put there holds what the copy holds */
	entry->copy = tree_look(publish->files, path, &copy, &ignored) ? copy.st_ino : 0;
	watch_parent(publish, entry);
}

static void on_change(void *context, const char *path)
{
	struct publish *publish = context;

	publish_table_touch(&publish->table, path);
}

static void renew(struct publish *publish, const char *path)
{
	struct find found;
	struct npxc_error why;

	find_path(publish->settings.root, path, &found);
	/* A link that came into its way meanwhile was named by nobody. */
	if (found.kind == FIND_OUTSIDE || found.kind == FIND_DENIED ||
	    (hazard_along(found.path, 0) != 0 && !publish_knows(publish, found.path)))
		remove_gone(publish, path);
	else if (!publish_put(publish, &found, &why))
		log_warn("publish", "not renewed: %s", why.message);
	find_done(&found);
}

void publish_refresh(struct publish *publish)
{
	struct strv paths __attribute__((cleanup(strv_done))) = { 0 };
	size_t unwatched = 0;

	if (publish->table.count == 0)
		return;
	watch_read(publish->watch, on_change, publish);
	if (publish->table.dirty == 0 && publish->table.unwatched == 0)
		return;
	for (size_t i = publish->table.count; i > 0; i--) {
		struct publish_entry *entry = publish->table.entries[i - 1];

		if (!entry->dirty && !(entry->unwatched && unwatched++ < UNWATCHED_MAX))
			continue;
		publish_table_set_dirty(&publish->table, entry, false);
		strv_push(&paths, entry->path);
	}
	for (size_t i = 0; i < paths.count; i++)
		renew(publish, paths.v[i]);
}
