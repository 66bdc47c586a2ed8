#include "mcp/publish.h"

#include "base/copy.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/tree.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { SHOWN_BYTES = 160, LEFT_OUT_NAMED = 8, NO_ENTRY = -1 };

/* What tells whether a file or a tree is still the same. */
struct identity {
	dev_t device;
	ino_t inode;
	uint64_t size; /* of a tree: of its files together */
	uint64_t mark; /* both times; of a tree: names, inodes, sizes and times of all that is in it */
	bool settled;  /* the times are old enough: a later change would have given others */
};

struct entry {
	char *path;   /* owned; as the client means it */
	char *inside; /* owned; the path inside */
	char *host;   /* owned; the host's directory that the id stands for */
	char id[PUBLISH_ID_DIGITS + 1];
	struct identity identity;
	uint64_t bytes;
	size_t files;    /* directories too */
	bool superseded; /* another entry stands for `path` now */
	bool is_tree;
	long next; /* in its bucket, or NO_ENTRY */
};

struct publish {
	struct publish_settings settings;
	int fd; /* of its directory */
	char session[PUBLISH_ID_DIGITS / 2 + 1];
	struct entry **entries; /* owned; the index is the second half of an id */
	size_t count, capacity;
	long *buckets; /* as many as `capacity`: by path, current entries only */
	uint64_t bytes;
	size_t files;
};

/* ---- the table ---- */

static uint64_t mix(uint64_t hash, const void *bytes, size_t count)
{
	const unsigned char *next = bytes;

	for (size_t i = 0; i < count; i++)
		hash = (hash ^ next[i]) * 0x100000001b3ULL;
	return hash;
}

static uint64_t hash_text(const char *text)
{
	return mix(0xcbf29ce484222325ULL, text, strlen(text));
}

static size_t bucket_of(const struct publish *publish, const char *path)
{
	// NOLINTNEXTLINE(clang-analyzer-core.DivideZero): asked only of a table that has entries
	return (size_t)(hash_text(path) % publish->capacity);
}

static void link_entry(struct publish *publish, size_t index)
{
	struct entry *entry = publish->entries[index];
	long *bucket = &publish->buckets[bucket_of(publish, entry->path)];

	entry->next = *bucket;
	*bucket = (long)index;
}

static void unlink_entry(struct publish *publish, const struct entry *entry)
{
	long *at = &publish->buckets[bucket_of(publish, entry->path)];

	while (publish->entries[*at] != entry)
		at = &publish->entries[*at]->next;
	*at = entry->next;
}

static void grow(struct publish *publish)
{
	publish->capacity = publish->capacity == 0 ? 64 : publish->capacity * 2;
	publish->entries = mem_realloc(publish->entries, publish->capacity, sizeof(struct entry *));
	publish->buckets = mem_realloc(publish->buckets, publish->capacity, sizeof(*publish->buckets));
	for (size_t i = 0; i < publish->capacity; i++)
		publish->buckets[i] = NO_ENTRY;
	for (size_t i = 0; i < publish->count; i++)
		if (!publish->entries[i]->superseded)
			link_entry(publish, i);
}

static struct entry *find(const struct publish *publish, const char *path)
{
	if (publish->capacity == 0)
		return NULL;
	for (long i = publish->buckets[bucket_of(publish, path)]; i != NO_ENTRY; i = publish->entries[i]->next)
		if (strcmp(publish->entries[i]->path, path) == 0)
			return publish->entries[i];
	return NULL;
}

static void free_entry(struct entry *entry)
{
	free(entry->path);
	free(entry->inside);
	free(entry->host);
	free(entry);
}

/* ---- start and end ---- */

bool publish_start(const struct publish_settings *settings, struct publish **ret_publish, struct npxc_error *err)
{
	struct publish *publish;
	mem_cleanup char *random = NULL;
	int fd;

	if (!tree_open(settings->directory, &fd, err))
		return false;
	random = file_random_hex(PUBLISH_ID_DIGITS / 2);
	publish = mem_alloc(sizeof(*publish));
	publish->settings = *settings;
	publish->fd = fd;
	memcpy(publish->session, random, sizeof(publish->session));
	*ret_publish = publish;
	return true;
}

void publish_free(struct publish *publish)
{
	if (publish == NULL)
		return;
	for (size_t i = 0; i < publish->count; i++)
		free_entry(publish->entries[i]);
	free(publish->entries);
	free(publish->buckets);
	fd_close(&publish->fd);
	free(publish);
}

bool publish_is_empty(const struct publish *publish)
{
	return publish->count == 0;
}

/* ---- what a file is ---- */

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
static bool is_settled(const struct stat *info)
{
	const bool coarse = MTIME(info).tv_nsec == 0 && CTIME(info).tv_nsec == 0;
	const int64_t patience = coarse ? LIMIT_COARSE_STAMP_MS : LIMIT_STAMP_MS;
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return milliseconds(MTIME(info)) + patience < milliseconds(now) &&
	       milliseconds(CTIME(info)) + patience < milliseconds(now);
}

static uint64_t mix_stat(uint64_t hash, const struct stat *info)
{
	const struct timespec modified = MTIME(info), changed = CTIME(info);

	hash = mix(hash, &info->st_dev, sizeof(info->st_dev));
	hash = mix(hash, &info->st_ino, sizeof(info->st_ino));
	hash = mix(hash, &info->st_size, sizeof(info->st_size));
	hash = mix(hash, &info->st_mode, sizeof(info->st_mode));
	hash = mix(hash, &modified.tv_sec, sizeof(modified.tv_sec));
	hash = mix(hash, &modified.tv_nsec, sizeof(modified.tv_nsec));
	hash = mix(hash, &changed.tv_sec, sizeof(changed.tv_sec));
	return mix(hash, &changed.tv_nsec, sizeof(changed.tv_nsec));
}

static bool is_same(const struct identity *a, const struct identity *b)
{
	return a->device == b->device && a->inode == b->inode && a->size == b->size && a->mark == b->mark;
}

/* ---- trees ---- */

struct tree {
	const struct publish *publish;
	const char *path; /* for messages */
	int to;           /* where the copy goes; -1: only measured */
	uint64_t room;    /* bytes ... */
	size_t places;    /* ... and files and directories that it may have */
	size_t files;
	uint64_t bytes;
	uint64_t mark;
	bool settled;
	struct strv left_out; /* the first few */
	size_t left_out_count;
};

static void leave_out(struct tree *tree, const char *relative, const char *why)
{
	if (tree->to == -1)
		return;
	if (tree->left_out_count++ < LEFT_OUT_NAMED)
		strv_pushf(&tree->left_out, "%s (%s)", relative, why);
}

static bool too_much(const struct tree *tree, struct npxc_error *err, const char *what)
{
	mem_cleanup char *shown = str_escape(tree->path, strlen(tree->path));

	return error_set(err, ERROR_IO, "\"%.*s\" %s; name a part of it, or show it to the server with --mount",
	                 (int)SHOWN_BYTES, shown, what);
}

static bool check_tree(const struct tree *tree, uint64_t file_bytes, unsigned depth, struct npxc_error *err)
{
	const struct publish_settings *limits = &tree->publish->settings;
	char what[96];

	if (tree->files > tree->places)
		snprintf(what, sizeof(what), "holds more than %zu files and directories", tree->places);
	else if (depth > LIMIT_PUBLISH_DEPTH)
		snprintf(what, sizeof(what), "is more than %d directories deep", LIMIT_PUBLISH_DEPTH);
	else if (file_bytes > limits->max_file_bytes)
		snprintf(what, sizeof(what), "holds a file of more than %llu bytes",
		         (unsigned long long)limits->max_file_bytes);
	else if (tree->bytes > tree->room)
		snprintf(what, sizeof(what), "holds more than %llu bytes", (unsigned long long)tree->room);
	else
		return true;
	return too_much(tree, err, what);
}

/* Whether a link in a directory that many levels below the tree's root names something in the tree, as far as its text
 * tells. Where that is not the whole truth it leads to the sandbox's own files. */
static bool link_stays(const char *target, unsigned depth)
{
	long level = (long)depth;

	if (target[0] == '/')
		return false;
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

static bool copy_link(struct tree *tree, const struct tree_entry *entry, struct npxc_error *err)
{
	mem_cleanup char *target = NULL;
	struct npxc_error ignored;

	if (!tree_read_link(entry->directory, entry->name, &target, &ignored)) {
		leave_out(tree, entry->path, "cannot be read");
		return true;
	}
	if (!link_stays(target, (unsigned)entry->depth - 1)) {
		leave_out(tree, entry->path, "a link that leads out");
		return true;
	}
	return tree->to == -1 || tree_make_link(tree->to, entry->path, target, err);
}

static mode_t copy_mode(const struct stat *info)
{
	return (info->st_mode & S_IXUSR) != 0 ? 0555 : 0444;
}

/* A file may have as many bytes as are left, and never more than one may have. */
static struct copy_rules rules_of(const struct publish *publish, uint64_t left)
{
	const uint64_t most = publish->settings.max_file_bytes;

	return (struct copy_rules){ .max_bytes = left < most ? left : most,
		                    .stop = publish->settings.stop,
		                    .context = publish->settings.context };
}

static bool copy_leaf(struct tree *tree, const struct tree_entry *entry, struct npxc_error *err)
{
	const struct copy_rules rules = rules_of(tree->publish, tree->room - tree->bytes);
	FD_CLEANUP int fd = -1;
	struct npxc_error ignored;
	struct stat info;
	uint64_t bytes = 0;

	if (!tree_open_file(entry->directory, entry->name, &fd, &info, &ignored)) {
		leave_out(tree, entry->path, "cannot be read");
		return true;
	}
	if (!tree_copy(fd, tree->to, entry->path, copy_mode(&info), &rules, &bytes, err))
		return false;
	tree->bytes += bytes;
	return check_tree(tree, bytes, 0, err);
}

static bool walk_entry(struct tree *tree, const struct tree_entry *entry, struct npxc_error *err)
{
	const struct stat *info = &entry->info;
	const unsigned depth = (unsigned)entry->depth - 1; /* of the directory that holds it */

	tree->files++;
	/* The order in which a directory is read means nothing: a sum. */
	tree->mark += mix_stat(hash_text(entry->path), info);
	tree->settled = tree->settled && is_settled(info);
	if (S_ISDIR(info->st_mode))
		return check_tree(tree, 0, depth + 1, err) &&
		       (tree->to == -1 || tree_make_directory(tree->to, entry->path, 0755, NULL, err));
	if (S_ISLNK(info->st_mode))
		return check_tree(tree, 0, depth, err) && copy_link(tree, entry, err);
	if (!S_ISREG(info->st_mode)) {
		leave_out(tree, entry->path, "no ordinary file");
		return check_tree(tree, 0, depth, err);
	}
	if (tree->to != -1)
		return check_tree(tree, 0, depth, err) && copy_leaf(tree, entry, err);
	tree->bytes += (uint64_t)info->st_size;
	return check_tree(tree, (uint64_t)info->st_size, depth, err);
}

static enum tree_next on_entry(void *context, const struct tree_entry *entry, struct npxc_error *err)
{
	return walk_entry(context, entry, err) ? TREE_ENTER : TREE_STOP;
}

static enum tree_next on_refused(void *context, const struct tree_entry *entry, int number, struct npxc_error *err)
{
	struct tree *tree = context;

	leave_out(tree, entry->path, number == EXDEV ? "another file system" : "cannot be read");
	return tree->to == -1 || tree_remove_entry(tree->to, entry->path, err) ? TREE_ON : TREE_STOP;
}

/* `directory` is borrowed. */
static bool walk_directory(struct tree *tree, int directory, struct npxc_error *err)
{
	const struct tree_visitor visitor = { .context = tree, .entry = on_entry, .refused = on_refused };

	return tree_walk(directory, "", &visitor, err);
}

static void report_left_out(const struct tree *tree)
{
	struct buf line BUF_CLEANUP = BUF_INIT(64 * KIB);
	struct npxc_error ignored;

	for (size_t i = 0; i < tree->left_out.count; i++)
		if (!buf_appendf(&line, &ignored, "%s%s", i == 0 ? "" : ", ", tree->left_out.v[i]))
			break;
	if (tree->left_out_count > 0)
		log_warn("publish", "%s: %zu left out: %s%s", tree->path, tree->left_out_count,
		         line.data == NULL ? "" : line.data, tree->left_out_count > LEFT_OUT_NAMED ? ", ..." : "");
}

/* ---- one publication ---- */

static bool identify(const struct publish *publish, const struct scope_name *name, const struct scope_file *file,
                     struct identity *ret_identity, size_t *ret_files, struct npxc_error *err)
{
	struct identity identity = { .device = file->info.st_dev,
		                     .inode = file->info.st_ino,
		                     .size = (uint64_t)file->info.st_size,
		                     .mark = mix_stat(0, &file->info),
		                     .settled = is_settled(&file->info) };
	struct tree tree = { .publish = publish,
		             .path = name->path,
		             .to = -1,
		             .room = publish->settings.max_total_bytes,
		             .places = publish->settings.max_tree_entries,
		             .settled = identity.settled };

	if (S_ISDIR(file->info.st_mode)) {
		if (!walk_directory(&tree, file->fd, err))
			return false;
		identity.size = tree.bytes;
		identity.mark += tree.mark;
		identity.settled = tree.settled;
	}
	*ret_files = tree.files + 1;
	*ret_identity = identity;
	return true;
}

static bool has_room(const struct publish *publish, uint64_t bytes, size_t files)
{
	return bytes <= publish->settings.max_total_bytes - publish->bytes &&
	       files <= publish->settings.max_entries - publish->files;
}

static void remove_copy(struct publish *publish, struct entry *entry)
{
	struct npxc_error err;

	if (!tree_remove(publish->fd, entry->id, &err)) {
		log_warn("publish", "%s", err.message);
		return;
	}
	publish->bytes -= entry->bytes;
	publish->files -= entry->files;
	entry->bytes = 0;
	entry->files = 0;
}

static bool make_room(struct publish *publish, const struct scope_name *name, uint64_t bytes, size_t files,
                      struct npxc_error *err)
{
	mem_cleanup char *shown = NULL;

	/* Each entry is looked at anew every time: little beside a copy, and only when all is full. */
	for (size_t i = 0; i < publish->count && !has_room(publish, bytes, files); i++) {
		struct entry *entry = publish->entries[i];

		if (entry->superseded && entry->inside != NULL && entry->files > 0)
			remove_copy(publish, entry);
	}
	if (has_room(publish, bytes, files))
		return true;
	shown = str_escape(name->path, strlen(name->path));
	return error_set(
	    err, ERROR_IO,
	    "no room for a copy of \"%.*s\": all files given to this server together may have %llu bytes and "
	    "%zu entries; mount what it shall see with --mount",
	    (int)SHOWN_BYTES, shown, (unsigned long long)publish->settings.max_total_bytes,
	    publish->settings.max_entries);
}

static bool check_file_size(const struct publish *publish, const struct scope_name *name, uint64_t bytes,
                            struct npxc_error *err)
{
	const struct tree file = { .publish = publish, .path = name->path };
	char what[96];

	if (bytes <= publish->settings.max_file_bytes)
		return true;
	snprintf(what, sizeof(what), "is a file of more than %llu bytes",
	         (unsigned long long)publish->settings.max_file_bytes);
	return too_much(&file, err, what);
}

/* The host's directory that stands for /workspace/<id>: whatever the client wrote before the name. Owned. */
static char *host_directory(const struct scope_name *name)
{
	const char *last = strrchr(name->path, '/') + 1;
	mem_cleanup char *clean = strcmp(last, "..") == 0 ? str_path_clean(name->path) : str_dup(name->path);
	const size_t length = (size_t)(strrchr(clean, '/') - clean);

	return length == 0 ? str_dup("/") : str_dup_n(clean, length);
}

static struct entry *new_entry(const struct publish *publish, const struct scope_name *name)
{
	struct entry *entry = mem_alloc(sizeof(*entry));

	entry->path = str_dup(name->path);
	entry->host = host_directory(name);
	snprintf(entry->id, sizeof(entry->id), "%s%08zx", publish->session, publish->count);
	return entry;
}

static void add_entry(struct publish *publish, struct entry *entry)
{
	struct entry *before = find(publish, entry->path);

	if (before != NULL && !entry->superseded) {
		unlink_entry(publish, before);
		before->superseded = true;
	}
	if (publish->count == publish->capacity)
		grow(publish);
	publish->entries[publish->count] = entry;
	if (!entry->superseded)
		link_entry(publish, publish->count);
	publish->count++;
	publish->bytes += entry->bytes;
	publish->files += entry->files;
}

static bool copy_tree(const struct publish *publish, const struct scope_name *name, const struct scope_file *file,
                      int directory, const char *leaf, struct entry *entry, struct npxc_error *err)
{
	FD_CLEANUP int to = -1;
	const size_t most = publish->settings.max_tree_entries;
	const size_t left = publish->settings.max_entries - publish->files - 1;
	struct tree tree = { .publish = publish,
		             .path = name->path,
		             .room = publish->settings.max_total_bytes - publish->bytes,
		             .places = left < most ? left : most };
	bool copied;

	if (!tree_make_directory(directory, leaf, 0755, &to, err))
		return false;
	tree.to = to;
	copied = walk_directory(&tree, file->fd, err);
	if (copied)
		report_left_out(&tree);
	strv_done(&tree.left_out);
	entry->bytes = tree.bytes;
	entry->files = tree.files + 1;
	return copied;
}

static bool copy_into(const struct publish *publish, const struct scope_name *name, const struct scope_file *file,
                      struct entry *entry, struct npxc_error *err)
{
	const struct copy_rules rules = rules_of(publish, publish->settings.max_total_bytes - publish->bytes);
	mem_cleanup char *leaf = scope_last_component(name);
	FD_CLEANUP int directory = -1;

	/* Whatever the umask: the sandbox's user may be another one. */
	if (!tree_make_directory(publish->fd, entry->id, 0755, &directory, err))
		return false;
	entry->inside = str_printf("%s/%s/%s", PUBLISH_INSIDE, entry->id, leaf);
	entry->is_tree = S_ISDIR(file->info.st_mode);
	if (entry->is_tree)
		return copy_tree(publish, name, file, directory, leaf, entry, err);
	entry->files = 1;
	return copy_file(file->fd, directory, leaf, copy_mode(&file->info), &rules, &entry->bytes, err);
}

static bool copy_new(struct publish *publish, const struct scope_name *name, const struct scope_file *file,
                     const struct identity *identity, const char **ret_inside, struct npxc_error *err)
{
	struct entry *entry = new_entry(publish, name);
	mem_cleanup char *shown = NULL;
	struct npxc_error why = { 0 };

	entry->identity = *identity;
	if (copy_into(publish, name, file, entry, &why)) {
		add_entry(publish, entry);
		*ret_inside = entry->inside;
		return true;
	}
	entry->bytes = 0;
	entry->files = 0;
	remove_copy(publish, entry);
	free_entry(entry);
	shown = str_escape(name->path, strlen(name->path));
	*err = why;
	return error_prefix(err, "\"%.*s\"", (int)SHOWN_BYTES, shown);
}

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

/* Whether the entry's copy is what the file holds now. Its times may not tell yet; of a tree they have to. */
static bool is_current(const struct publish *publish, const struct scope_file *file, const struct identity *identity,
                       struct entry *entry)
{
	FD_CLEANUP int copy = -1;
	struct npxc_error ignored;

	if (!is_same(&entry->identity, identity))
		return false;
	if (entry->identity.settled)
		return true;
	if (S_ISDIR(file->info.st_mode))
		return false;
	if (!tree_open_file(publish->fd, entry->inside + strlen(PUBLISH_INSIDE "/"), &copy, NULL, &ignored) ||
	    !same_bytes(file->fd, copy))
		return false;
	entry->identity.settled = identity->settled;
	return true;
}

bool publish_take(struct publish *publish, const struct scope_name *name, const struct scope_file *file,
                  const char **ret_inside, struct npxc_error *err)
{
	struct entry *entry = find(publish, name->path);
	struct identity identity;
	size_t files;

	if (!S_ISDIR(file->info.st_mode) && !check_file_size(publish, name, (uint64_t)file->info.st_size, err))
		return false;
	if (!identify(publish, name, file, &identity, &files, err))
		return false;
	if (entry != NULL && is_current(publish, file, &identity, entry)) {
		*ret_inside = entry->inside;
		return true;
	}
	return make_room(publish, name, identity.size, files, err) &&
	       copy_new(publish, name, file, &identity, ret_inside, err);
}

bool publish_reserve(struct publish *publish, const struct scope_name *name, const char **ret_id,
                     struct npxc_error *err)
{
	mem_cleanup char *target = NULL;
	struct entry *entry;

	if (!make_room(publish, name, 0, 1, err))
		return false;
	entry = new_entry(publish, name);
	target = str_printf("%s/%s", PUBLISH_OUTPUTS_NAME, entry->id);
	if (!tree_make_link(publish->fd, entry->id, target, err)) {
		error_prefix(err, "make a place for %s", name->path);
		free_entry(entry);
		return false;
	}
	/* Not to be found by its path: what is made there is not what a later call publishes. */
	entry->superseded = true;
	entry->files = 1;
	add_entry(publish, entry);
	*ret_id = entry->id;
	return true;
}

char *publish_known(const struct publish *publish, const struct scope_name *name)
{
	mem_cleanup char *path = str_dup(name->path);
	mem_cleanup char *clean = str_path_clean(name->path);
	/* Where ".." leads only the file system knows. */
	const bool plain = strcmp(clean, path) == 0;

	for (;;) {
		const struct entry *entry = find(publish, path);
		const char *rest = name->path + strlen(path);
		char *slash = strrchr(path, '/');

		if (entry != NULL && (rest[0] == '\0' || entry->is_tree))
			return str_printf("%s%s", entry->inside, rest);
		if (!plain || slash == path)
			return NULL;
		*slash = '\0';
	}
}

/* ---- the way back ---- */

static bool read_hex(const char *text, size_t digits, size_t *ret_value)
{
	size_t value = 0;

	for (size_t i = 0; i < digits; i++) {
		const char c = text[i];

		if (c >= '0' && c <= '9')
			value = value * 16 + (size_t)(c - '0');
		else if (c >= 'a' && c <= 'f')
			value = value * 16 + (size_t)(c - 'a' + 10);
		else
			return false;
	}
	*ret_value = value;
	return true;
}

const char *publish_host(const struct publish *publish, const char *id, size_t length)
{
	const size_t half = PUBLISH_ID_DIGITS / 2;
	size_t index;

	if (length != PUBLISH_ID_DIGITS || memcmp(id, publish->session, half) != 0 ||
	    !read_hex(id + half, half, &index) || index >= publish->count)
		return NULL;
	return publish->entries[index]->host;
}
