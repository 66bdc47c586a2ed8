#include "files/publish.h"

#include "base/copy.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/tree.h"
#include "config/hazard.h"
#include "files/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SHOWN_BYTES = 160, NO_ENTRY = -1 };

/* entries: that are looked at with each request because nothing watches them. */
enum { UNWATCHED_MAX = 64 };

enum entry_kind { ENTRY_FILE, ENTRY_TREE, ENTRY_LINK };

/* What tells whether a file or a tree is still the same. */
struct identity {
	dev_t device;
	ino_t inode;
	uint64_t size; /* of a tree: of its files together */
	uint64_t mark; /* both times; of a tree: names, inodes, sizes and times of all that is in it */
	bool settled;  /* the times are old enough: a later change would have given others */
};

struct entry {
	char *path; /* owned */
	enum entry_kind kind;
	struct identity identity;
	char *target; /* owned; of a link */
	ino_t copy;   /* of a file */
	uint64_t bytes;
	size_t files; /* directories too */
	bool dirty, unwatched;
	long next; /* in its bucket, or NO_ENTRY */
};

struct publish {
	struct publish_settings settings;
	int files, stage;
	size_t staged;          /* counts */
	struct entry **entries; /* owned */
	size_t count, capacity;
	long *buckets; /* as many as `capacity` */
	uint64_t bytes;
	size_t file_count;
	size_t dirty, unwatched;
	struct watch *watch;
	bool watch_failed; /* of what is being made */
	struct strv told;  /* directories of which it was said what was left out */
};

/* ---- the table ---- */

static uint64_t hash_text(const char *text)
{
	uint64_t hash = 0xcbf29ce484222325ULL;

	for (; *text != '\0'; text++)
		hash = (hash ^ (unsigned char)*text) * 0x100000001b3ULL;
	return hash;
}

static long *bucket_of(const struct publish *publish, const char *path)
{
	// NOLINTNEXTLINE(clang-analyzer-core.DivideZero): asked only of a table that has entries
	return &publish->buckets[hash_text(path) % publish->capacity];
}

static void link_entry(struct publish *publish, size_t index)
{
	struct entry *entry = publish->entries[index];
	long *bucket = bucket_of(publish, entry->path);

	entry->next = *bucket;
	*bucket = (long)index;
}

static void relink(struct publish *publish)
{
	for (size_t i = 0; i < publish->capacity; i++)
		publish->buckets[i] = NO_ENTRY;
	for (size_t i = 0; i < publish->count; i++)
		link_entry(publish, i);
}

static struct entry *find_entry(const struct publish *publish, const char *path)
{
	if (publish->capacity == 0)
		return NULL;
	for (long i = *bucket_of(publish, path); i != NO_ENTRY; i = publish->entries[i]->next)
		if (strcmp(publish->entries[i]->path, path) == 0)
			return publish->entries[i];
	return NULL;
}

static void free_entry(struct publish *publish, struct entry *entry)
{
	publish->bytes -= entry->bytes;
	publish->file_count -= entry->files;
	publish->dirty -= entry->dirty;
	publish->unwatched -= entry->unwatched;
	free(entry->path);
	free(entry->target);
	free(entry);
}

/* Those beneath the path, and with `itself` the one at it. Goes through all: what calls it is rare. */
static void drop_entries(struct publish *publish, const char *path, bool itself)
{
	size_t kept = 0;

	for (size_t i = 0; i < publish->count; i++) {
		struct entry *entry = publish->entries[i];

		if (str_path_within(entry->path, path) && (itself || strcmp(entry->path, path) != 0))
			free_entry(publish, entry);
		else
			publish->entries[kept++] = entry;
	}
	if (kept == publish->count)
		return;
	publish->count = kept;
	relink(publish);
}

static struct entry *make_entry(struct publish *publish, const char *path)
{
	struct entry *entry = find_entry(publish, path);

	if (entry != NULL) {
		publish->bytes -= entry->bytes;
		publish->file_count -= entry->files;
		free(MEM_TAKE(entry->target));
		entry->bytes = 0;
		entry->files = 0;
		return entry;
	}
	if (publish->count == publish->capacity) {
		publish->capacity = publish->capacity == 0 ? 64 : publish->capacity * 2;
		publish->entries = mem_realloc(publish->entries, publish->capacity, sizeof(struct entry *));
		publish->buckets = mem_realloc(publish->buckets, publish->capacity, sizeof(*publish->buckets));
		relink(publish);
	}
	entry = mem_alloc(sizeof(*entry));
	entry->path = str_dup(path);
	publish->entries[publish->count] = entry;
	link_entry(publish, publish->count++);
	return entry;
}

static void set_dirty(struct publish *publish, struct entry *entry, bool dirty)
{
	publish->dirty += (size_t)dirty - (size_t)entry->dirty;
	entry->dirty = dirty;
}

static void set_unwatched(struct publish *publish, struct entry *entry, bool unwatched)
{
	publish->unwatched += (size_t)unwatched - (size_t)entry->unwatched;
	entry->unwatched = unwatched;
}

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
	for (size_t i = 0; i < publish->count; i++)
		free_entry(publish, publish->entries[i]);
	free(publish->entries);
	free(publish->buckets);
	watch_free(publish->watch);
	strv_done(&publish->told);
	fd_close(&publish->files);
	fd_close(&publish->stage);
	free(publish);
}

/* The path becomes that of its directory; false: it stands at the top. */
static bool go_up(char *path)
{
	char *slash = strrchr(path, '/');

	if (slash != NULL)
		*slash = '\0';
	return slash != NULL;
}

bool publish_knows(const struct publish *publish, const char *path)
{
	mem_cleanup char *part = str_dup(path);

	do {
		const struct entry *entry = find_entry(publish, part);

		if (entry != NULL && (entry->kind == ENTRY_TREE || strcmp(part, path) == 0))
			return true;
	} while (go_up(part));
	return false;
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

static char *parent_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return str_dup_n(path, slash == NULL ? 0 : (size_t)(slash - path));
}

static bool find_top(const struct publish *publish, const char *path, bool is_directory, struct spot *spot,
                     struct npxc_error *err)
{
	mem_cleanup char *parent = parent_of(path);
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
	parent = parent_of(spot->staged);
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
	mem_cleanup char *parent = parent_of(spot->top);
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
	drop_entries(publish, spot->top, true);
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

static bool check_room(const struct publish *publish, const struct entry *before, const char *path, uint64_t bytes,
                       size_t files, struct npxc_error *err)
{
	const uint64_t have = publish->bytes - (before == NULL ? 0 : before->bytes);
	const size_t count = publish->file_count - (before == NULL ? 0 : before->files);
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

static void watch_parent(struct publish *publish, struct entry *entry)
{
	mem_cleanup char *parent = parent_of(entry->path);
	FD_CLEANUP int fd = find_open_parent(publish->settings.root, entry->path);

	set_unwatched(publish, entry, fd == -1 || !watch_add(publish->watch, fd, parent));
}

/* ---- links ---- */

static bool put_link(struct publish *publish, const struct find_link *link, struct npxc_error *err)
{
	struct entry *entry = find_entry(publish, link->path);
	struct spot spot __attribute__((cleanup(spot_done))) = { 0 };

	if (has_mount(publish, link->path))
		return true;
	if (entry != NULL && entry->kind == ENTRY_LINK && str_equal(entry->target, link->target) &&
	    !publish->settings.writable)
		return true;
	if (!check_room(publish, entry, link->path, 0, 1, err))
		return false;
	if (!spot_find(publish, link->path, false, &spot, err) ||
	    !tree_make_link(publish->stage, spot.staged, link->target, err) || !spot_place(publish, &spot, err))
		return name_in_error(err, link->path);
	drop_entries(publish, link->path, false);
	entry = make_entry(publish, link->path);
	entry->kind = ENTRY_LINK;
	entry->target = str_dup(link->target);
	entry->files = 1;
	publish->file_count++;
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

static struct identity identity_of(const struct stat *info)
{
	return (struct identity){ .device = info->st_dev,
		                  .inode = info->st_ino,
		                  .size = (uint64_t)info->st_size,
		                  .mark = publish_mix_stat(0, info),
		                  .settled = publish_is_settled(info) };
}

static bool is_same(const struct identity *a, const struct identity *b)
{
	return a->device == b->device && a->inode == b->inode && a->size == b->size && a->mark == b->mark;
}

/* Whether the server sees the very copy; it may have written there itself. */
static bool is_in_place(const struct publish *publish, const struct entry *entry)
{
	struct npxc_error ignored;
	struct stat info;

	return !publish->settings.writable ||
	       (tree_look(publish->files, entry->path, &info, &ignored) && info.st_ino == entry->copy);
}

/* Whether the copy is what the file holds now. Its times may not tell yet. */
static bool is_current(struct publish *publish, const struct find *found, const struct identity *identity,
                       struct entry *entry)
{
	FD_CLEANUP int copy = -1;
	FD_CLEANUP int file = -1;
	struct npxc_error ignored;

	if (entry == NULL || entry->kind != ENTRY_FILE || !is_same(&entry->identity, identity) ||
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
static void watch_file(struct publish *publish, struct entry *entry)
{
	struct find found;

	watch_parent(publish, entry);
	find_path(publish->settings.root, entry->path, &found);
	const struct identity identity = identity_of(&found.info);
	if (found.link_count > 0 || !is_same(&identity, &entry->identity))
		set_dirty(publish, entry, true);
	find_done(&found);
}

/* What cannot be read, or was swapped meanwhile, is left: the server says what it finds. */
static bool put_file(struct publish *publish, const struct find *found, struct npxc_error *err)
{
	struct entry *entry = find_entry(publish, found->path);
	const struct identity identity = identity_of(&found->info);
	struct spot spot __attribute__((cleanup(spot_done))) = { 0 };
	const uint64_t left = publish->settings.max_total_bytes - publish->bytes + (entry == NULL ? 0 : entry->bytes);
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
	entry = make_entry(publish, found->path);
	entry->kind = ENTRY_FILE;
	entry->identity = identity;
	entry->copy = copy.st_ino;
	entry->bytes = bytes;
	entry->files = 1;
	publish->bytes += bytes;
	publish->file_count++;
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
                    struct identity *ret_identity, size_t *ret_files, struct npxc_error *err)
{
	struct identity identity = identity_of(&found->info);
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

static bool copy_tree(struct publish *publish, const struct find *found, int directory, struct entry *before,
                      const struct identity *identity, struct npxc_error *err)
{
	struct spot spot __attribute__((cleanup(spot_done))) = { 0 };
	const size_t left =
	    publish->settings.max_entries - publish->file_count - 1 + (before == NULL ? 0 : before->files);
	const size_t most = publish->settings.max_tree_entries;
	struct publish_tree tree = { .settings = &publish->settings,
		                     .path = found->path,
		                     .stage = publish->stage,
		                     .room = publish->settings.max_total_bytes - publish->bytes +
		                             (before == NULL ? 0 : before->bytes),
		                     .places = left < most ? left : most,
		                     .watching = publish,
		                     .on_directory = watch_directory };
	struct entry *entry;
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
	drop_entries(publish, found->path, false);
	entry = make_entry(publish, found->path);
	entry->kind = ENTRY_TREE;
	entry->identity = *identity;
	entry->bytes = tree.bytes;
	entry->files = tree.files + 1;
	publish->bytes += entry->bytes;
	publish->file_count += entry->files;
	watch_parent(publish, entry);
	set_unwatched(publish, entry, entry->unwatched || unwatched);
	return true;
}

static bool put_directory(struct publish *publish, const struct find *found, struct npxc_error *err)
{
	struct entry *entry = find_entry(publish, found->path);
	struct identity identity;
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
	if (entry != NULL && entry->kind == ENTRY_TREE && entry->identity.settled &&
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
		if (publish->count > 0 && tree_look(publish->files, path, &info, &ignored))
			remove_copy(publish, path);
	} else {
		/* What the server made is its own. */
		for (size_t i = 0; i < publish->count; i++)
			if (str_path_within(publish->entries[i]->path, path))
				remove_copy(publish, publish->entries[i]->path);
	}
	drop_entries(publish, path, true);
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
	struct entry *entry = make_entry(publish, path);
	struct npxc_error ignored;
	struct stat copy;

	entry->kind = ENTRY_FILE;
	entry->identity = identity_of(host);
	entry->identity.settled = true; /* what npxc has put there holds what the copy holds */
	entry->copy = tree_look(publish->files, path, &copy, &ignored) ? copy.st_ino : 0;
	entry->files = 1;
	publish->file_count++;
	watch_parent(publish, entry);
}

/* Each entry that the path is, or lies in. */
static void on_change(void *context, const char *path)
{
	struct publish *publish = context;
	mem_cleanup char *part = str_dup(path);

	if (path == NULL) {
		for (size_t i = 0; i < publish->count; i++)
			set_dirty(publish, publish->entries[i], true);
		return;
	}
	do {
		struct entry *entry = find_entry(publish, part);

		if (entry != NULL)
			set_dirty(publish, entry, true);
	} while (go_up(part));
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

	if (publish->count == 0)
		return;
	watch_read(publish->watch, on_change, publish);
	if (publish->dirty == 0 && publish->unwatched == 0)
		return;
	for (size_t i = publish->count; i > 0; i--) {
		struct entry *entry = publish->entries[i - 1];

		if (!entry->dirty && !(entry->unwatched && unwatched++ < UNWATCHED_MAX))
			continue;
		set_dirty(publish, entry, false);
		strv_push(&paths, entry->path);
	}
	for (size_t i = 0; i < paths.count; i++)
		renew(publish, paths.v[i]);
}
