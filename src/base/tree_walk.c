#include "base/tree.h"

#include "base/beneath.h"
#include "base/fd.h"
#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/*
 * Only the directory that is gone through is open. Each level remembers its own identity and, packed, the names of the
 * directories in it that are still to be visited; the way back is "..", checked against that identity. So neither the
 * stack nor the table of descriptors limits the depth, and what a directory holds beside directories is not remembered.
 */
struct level {
	dev_t device;
	ino_t inode;
	char *names; /* owned; each with its NUL */
	size_t length, capacity;
	size_t next;        /* offset in names */
	size_t path_length; /* of the directory's own path, in walk->path */
};

struct walk {
	const struct tree_visitor *visitor;
	int here; /* owned: the directory of the innermost level */
	struct level *levels;
	size_t depth, capacity;
	char *path; /* owned; of the entry in hand */
	size_t path_capacity;
	size_t entries;
};

static void walk_done(struct walk *walk)
{
	fd_close(&walk->here);
	for (size_t i = 0; i < walk->depth; i++)
		free(walk->levels[i].names);
	free(walk->levels);
	free(walk->path);
}

static struct level *innermost(struct walk *walk)
{
	return &walk->levels[walk->depth - 1];
}

/* Puts the path of an entry of the innermost level together, and gives its name back as a part of it. */
static const char *set_path(struct walk *walk, const char *name)
{
	const size_t before = innermost(walk)->path_length;
	const size_t start = before == 0 ? 0 : before + 1;
	const size_t length = strlen(name);

	if (start + length + 1 > walk->path_capacity) {
		walk->path_capacity = (start + length + 1) * 2;
		walk->path = mem_realloc(walk->path, walk->path_capacity, 1);
	}
	if (before != 0)
		walk->path[before] = '/';
	memcpy(walk->path + start, name, length + 1);
	return walk->path + start;
}

static struct tree_entry entry_of(struct walk *walk, const char *name)
{
	struct tree_entry entry = { .directory = walk->here, .depth = walk->depth, .entry_count = walk->entries };

	entry.name = set_path(walk, name);
	entry.path = walk->path;
	return entry;
}

static void remember(struct level *level, const char *name)
{
	const size_t size = strlen(name) + 1;

	if (level->length + size > level->capacity) {
		level->capacity = level->capacity * 2 + size + 256;
		level->names = mem_realloc(level->names, level->capacity, 1);
	}
	memcpy(level->names + level->length, name, size);
	level->length += size;
}

/* False with errno when it has gone. */
static bool look_at(const struct walk *walk, const char *name, unsigned char type, struct stat *ret_info)
{
	static const struct {
		unsigned char type;
		mode_t mode;
	} types[] = { { DT_DIR, S_IFDIR }, { DT_REG, S_IFREG },   { DT_LNK, S_IFLNK }, { DT_FIFO, S_IFIFO },
		      { DT_CHR, S_IFCHR }, { DT_SOCK, S_IFSOCK }, { DT_BLK, S_IFBLK } };

	for (size_t i = 0; walk->visitor->types_only && i < sizeof(types) / sizeof(types[0]); i++) {
		if (types[i].type == type) {
			*ret_info = (struct stat){ .st_mode = types[i].mode };
			return true;
		}
	}
	return fstatat(walk->here, name, ret_info, AT_SYMLINK_NOFOLLOW) == 0;
}

static bool is_dots(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static void close_listing(DIR **listing)
{
	if (*listing != NULL)
		closedir(*listing);
}

/* Visits what is no directory in the innermost level and remembers the rest. */
static bool read_level(struct walk *walk, struct npxc_error *err)
{
	const struct tree_visitor *visitor = walk->visitor;
	FD_CLEANUP int fd = openat(walk->here, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *listing __attribute__((cleanup(close_listing))) = fd == -1 ? NULL : fdopendir(fd);
	const struct dirent *item;

	if (listing == NULL)
		return tree_failed(err, "read directory", walk->path);
	fd_take(&fd);
	for (errno = 0; (item = readdir(listing)) != NULL; errno = 0) {
		struct tree_entry entry;
		struct stat info;

		if (is_dots(item->d_name) || !look_at(walk, item->d_name, item->d_type, &info))
			continue;
		if (S_ISDIR(info.st_mode)) {
			remember(innermost(walk), item->d_name);
			continue;
		}
		walk->entries++;
		entry = entry_of(walk, item->d_name);
		entry.info = info;
		if (visitor->entry(visitor->context, &entry, err) == TREE_STOP)
			return false;
	}
	return errno == 0 || tree_failed(err, "read directory", walk->path);
}

/* Takes the descriptor: the next level, whose path is walk->path up to there. */
static bool push_level(struct walk *walk, int owned_fd, size_t path_length, struct npxc_error *err)
{
	FD_CLEANUP int fd = owned_fd;
	struct stat info;

	if (fstat(fd, &info) != 0)
		return tree_failed(err, "look at", walk->path);
	if (walk->depth == walk->capacity) {
		walk->capacity = walk->capacity == 0 ? 16 : walk->capacity * 2;
		walk->levels = mem_realloc(walk->levels, walk->capacity, sizeof(*walk->levels));
	}
	walk->levels[walk->depth++] =
	    (struct level){ .device = info.st_dev, .inode = info.st_ino, .path_length = path_length };
	fd_close(&walk->here);
	walk->here = fd_take(&fd);
	return read_level(walk, err);
}

/* False with `*ret_ok` false: the walk ends; with true: on to the next entry. True: inside. */
static bool enter(struct walk *walk, const struct tree_entry *entry, bool *ret_ok, struct npxc_error *err)
{
	const struct tree_visitor *visitor = walk->visitor;
	FD_CLEANUP int fd = tree_enter(walk->here, entry->name, visitor->unlock);
	struct stat info;

	/* One that may be listed and not searched has no way back. */
	if (fd != -1 && fstatat(fd, "..", &info, 0) == 0) {
		*ret_ok = push_level(walk, fd_take(&fd), strlen(walk->path), err);
		return *ret_ok;
	}
	if (visitor->refused == NULL)
		*ret_ok = tree_failed(err, "enter", walk->path);
	else
		*ret_ok = visitor->refused(visitor->context, entry, errno, err) != TREE_STOP;
	return false;
}

/* Does what the visitor wants of an entry. False with `err` set: the walk is over. */
static bool obey(struct walk *walk, const struct tree_entry *entry, enum tree_next wanted, struct npxc_error *err)
{
	bool ok = true;

	if (wanted == TREE_ENTER)
		(void)enter(walk, entry, &ok, err);
	return ok && wanted != TREE_STOP;
}

/* Visits the next directory of the innermost level. */
static bool visit_directory(struct walk *walk, struct npxc_error *err)
{
	const struct tree_visitor *visitor = walk->visitor;
	struct level *level = innermost(walk);
	const char *name = level->names + level->next;
	struct tree_entry entry;

	level->next += strlen(name) + 1;
	walk->entries++;
	entry = entry_of(walk, name);
	if (!look_at(walk, name, DT_DIR, &entry.info))
		return true; /* gone meanwhile */
	return obey(walk, &entry, visitor->entry(visitor->context, &entry, err), err);
}

/* One level up, unless the visitor wants the directory once more. */
static bool leave(struct walk *walk, struct npxc_error *err)
{
	const struct tree_visitor *visitor = walk->visitor;
	const struct level *above = innermost(walk) - 1;
	FD_CLEANUP int fd = openat(walk->here, "..", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	mem_cleanup char *name = NULL;
	struct tree_entry entry;
	struct stat info;

	walk->path[innermost(walk)->path_length] = '\0';
	if (fd == -1 || fstat(fd, &info) != 0)
		return tree_failed(err, "leave", walk->path);
	if (info.st_dev != above->device || info.st_ino != above->inode) {
		errno = ESTALE;
		return tree_failed(err, "leave", walk->path);
	}
	free(innermost(walk)->names);
	walk->depth--;
	fd_close(&walk->here);
	walk->here = fd_take(&fd);
	if (visitor->left == NULL)
		return true;
	name = str_dup(walk->path + (innermost(walk)->path_length == 0 ? 0 : innermost(walk)->path_length + 1));
	entry = entry_of(walk, name);
	return obey(walk, &entry, visitor->left(visitor->context, &entry, err), err);
}

enum tree_next tree_pass_over(void *context, const struct tree_entry *entry, int number, struct npxc_error *err)
{
	(void)context;
	(void)entry;
	(void)number;
	(void)err;
	return TREE_ON;
}

bool tree_walk(int root, const char *relative, const struct tree_visitor *visitor, struct npxc_error *err)
{
	struct walk walk __attribute__((cleanup(walk_done))) = { .visitor = visitor, .here = -1 };
	const int fd = tree_enter(root, relative, visitor->unlock);

	walk.path_capacity = 256;
	walk.path = mem_alloc(walk.path_capacity);
	if (fd == -1)
		return tree_failed(err, "enter", relative);
	if (!push_level(&walk, fd, 0, err))
		return false;
	// NOLINTNEXTLINE(clang-analyzer-core.NullDereference): push_level has made the first level
	while (walk.depth > 1 || walk.levels[0].next < walk.levels[0].length) {
		const bool more = innermost(&walk)->next < innermost(&walk)->length;

		if (more ? !visit_directory(&walk, err) : !leave(&walk, err))
			return false;
	}
	return true;
}

/* ---- removing ---- */

/* times: a directory that was emptied and is not empty, in one removal. A file system may pass over entries while
 * others are removed; a guest that lives may make new ones for ever. */
enum { REFILLS_MAX = 64 };

struct removal {
	unsigned refills;
};

static enum tree_next remove_now(const struct tree_entry *entry, int flags, struct npxc_error *err)
{
	if (unlinkat(entry->directory, entry->name, flags) == 0 || errno == ENOENT)
		return TREE_ON;
	tree_failed(err, "remove", entry->path);
	return TREE_STOP;
}

static enum tree_next on_entry(void *context, const struct tree_entry *entry, struct npxc_error *err)
{
	(void)context;
	return S_ISDIR(entry->info.st_mode) ? TREE_ENTER : remove_now(entry, 0, err);
}

/* What was a directory when it was listed may be a link by now. */
static enum tree_next on_refused(void *context, const struct tree_entry *entry, int number, struct npxc_error *err)
{
	(void)context;
	if (number == ENOENT)
		return TREE_ON;
	if (number == ENOTDIR || number == ELOOP)
		return remove_now(entry, 0, err);
	errno = number;
	tree_failed(err, "remove", entry->path);
	return TREE_STOP;
}

static enum tree_next on_left(void *context, const struct tree_entry *entry, struct npxc_error *err)
{
	struct removal *removal = context;

	if (unlinkat(entry->directory, entry->name, AT_REMOVEDIR) == 0 || errno == ENOENT)
		return TREE_ON;
	if ((errno == ENOTEMPTY || errno == EEXIST) && removal->refills++ < REFILLS_MAX)
		return TREE_ENTER;
	tree_failed(err, "remove", entry->path);
	return TREE_STOP;
}

/* The directory that holds it, opened to its owner where it has to be. -1 with errno. */
static int open_holder(int root, const char *relative, const char *leaf)
{
	FD_CLEANUP int fd = fcntl(root, F_DUPFD_CLOEXEC, 0);

	for (const char *at = relative; fd != -1 && at < leaf;) {
		mem_cleanup char *name = str_dup_n(at, strcspn(at, "/"));
		const int next = tree_enter(fd, name, true);

		at += strlen(name) + 1;
		fd_close(&fd);
		fd = next;
	}
	return fd_take(&fd);
}

static bool remove_directory(int holder, const char *leaf, struct npxc_error *err)
{
	struct removal removal = { 0 };
	const struct tree_visitor visitor = { .context = &removal,
		                              .types_only = true,
		                              .unlock = true,
		                              .entry = on_entry,
		                              .refused = on_refused,
		                              .left = on_left };

	do {
		if (!tree_walk(holder, leaf, &visitor, err)) {
			mem_cleanup char *shown = str_escape(leaf, strlen(leaf));

			return err->sys_errno == ENOENT || error_prefix(err, "remove %.80s", shown);
		}
		if (unlinkat(holder, leaf, AT_REMOVEDIR) == 0 || errno == ENOENT)
			return true;
	} while ((errno == ENOTEMPTY || errno == EEXIST) && removal.refills++ < REFILLS_MAX);
	return tree_failed(err, "remove", leaf);
}

bool tree_remove(int root, const char *relative, struct npxc_error *err)
{
	const char *slash = strrchr(relative, '/');
	const char *leaf = slash == NULL ? relative : slash + 1;
	FD_CLEANUP int holder = -1;
	struct stat info;

	if (leaf[0] == '\0' || !beneath_is_clean(relative)) {
		errno = EINVAL;
		return tree_failed(err, "remove", relative);
	}
	holder = open_holder(root, relative, leaf);
	if (holder == -1 || fstatat(holder, leaf, &info, AT_SYMLINK_NOFOLLOW) != 0)
		return errno == ENOENT || tree_failed(err, "remove", relative);
	if (S_ISDIR(info.st_mode))
		return remove_directory(holder, leaf, err);
	return unlinkat(holder, leaf, 0) == 0 || errno == ENOENT || tree_failed(err, "remove", relative);
}
