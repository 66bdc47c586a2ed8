#include "store/cache.h"

#include "base/fd.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/tree.h"
#include "store/staging.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define LEAF "npm"

static bool give(struct npxc_error *err, const struct npxc_error *why)
{
	*err = *why;
	return false;
}

static char *holder_path(const char *store_directory)
{
	return str_printf("%s/cache", store_directory);
}

/* ---- for those that fetch ---- */

/* Whether it still has its name: `clean` renames before it removes. */
static bool is_named(int holder, int fd)
{
	struct npxc_error ignored;
	struct stat held, named;

	return fstat(fd, &held) == 0 && tree_look(holder, LEAF, &named, &ignored) && held.st_dev == named.st_dev &&
	       held.st_ino == named.st_ino;
}

static bool open_leaf(const struct store_host *host, int holder, int *ret_fd, struct npxc_error *err)
{
	FD_CLEANUP int fd = -1;
	struct npxc_error there = { 0 };

	if (!tree_make_directory(holder, LEAF, 0700, NULL, &there) && there.sys_errno != EEXIST)
		return give(err, &there);
	if (!tree_open_directory(holder, LEAF, &fd, err))
		return false;
	if (host->is_root && fchown(fd, SANDBOX_DROP_UID, SANDBOX_DROP_UID) == -1)
		return error_set_errno(err, ERROR_IO, "chown the cache");
	if (flock(fd, LOCK_SH | LOCK_NB) == -1)
		return error_set_errno(err, ERROR_IO, "lock the cache");
	*ret_fd = fd_take(&fd);
	return true;
}

bool cache_open(const struct store_host *host, struct cache *ret_cache, struct npxc_error *err)
{
	mem_cleanup char *path = holder_path(host->store_directory);
	FD_CLEANUP int holder = -1;
	struct npxc_error why = { 0 };

	/* Started by root, the sandbox's user has to reach what is in it, and nobody needs its names. */
	if (!file_make_directories(path, 0711, err) || !tree_open(path, &holder, err))
		return false;
	for (int attempt = 0; attempt < 8; attempt++) { /* `clean` may be at it */
		FD_CLEANUP int fd = -1;

		if (!open_leaf(host, holder, &fd, &why)) {
			if (why.sys_errno != ENOENT && why.sys_errno != EWOULDBLOCK)
				break;
			continue;
		}
		if (is_named(holder, fd)) {
			*ret_cache = (struct cache){ .path = str_printf("%s/" LEAF, path), .in_use = fd_take(&fd) };
			return true;
		}
		error_set(&why, ERROR_IO, "it is being removed");
	}
	*err = why;
	return error_prefix(err, "%s", path);
}

void cache_close(struct cache *cache)
{
	fd_close(&cache->in_use);
	free(cache->path);
	cache->path = NULL;
}

/* ---- its size ---- */

struct file {
	int64_t written_at; /* seconds */
	uint64_t bytes;
};

/* One walk adds up, another removes what is older than `keeps_from`. */
struct trim {
	struct file *files; /* owned */
	size_t count, capacity;
	uint64_t bytes; /* directories too */
	bool removes;
	int64_t keeps_from;
};

static void add_file(struct trim *trim, const struct stat *info)
{
	if (trim->count == trim->capacity) {
		trim->capacity = trim->capacity == 0 ? 1024 : trim->capacity * 2;
		trim->files = mem_realloc(trim->files, trim->capacity, sizeof(*trim->files));
	}
	trim->files[trim->count++] =
	    (struct file){ .written_at = (int64_t)info->st_mtime, .bytes = (uint64_t)info->st_blocks * 512 };
}

static enum tree_next on_entry(void *context, const struct tree_entry *entry, struct npxc_error *err)
{
	struct trim *trim = context;
	struct npxc_error ignored;

	if (entry->entry_count > LIMIT_STORE_ENTRIES) {
		error_set(err, ERROR_IO, "more than %d files and directories", LIMIT_STORE_ENTRIES);
		return TREE_STOP;
	}
	if (!trim->removes)
		trim->bytes += (uint64_t)entry->info.st_blocks * 512;
	if (S_ISDIR(entry->info.st_mode))
		return TREE_ENTER;
	if (!trim->removes)
		add_file(trim, &entry->info);
	else if ((int64_t)entry->info.st_mtime < trim->keeps_from)
		(void)!tree_remove_entry(entry->directory, entry->name, &ignored); /* or another one has */
	return TREE_ON;
}

static enum tree_next on_refused(void *context, const struct tree_entry *entry, int number, struct npxc_error *err)
{
	(void)context;
	(void)entry;
	(void)number;
	(void)err;
	return TREE_ON;
}

static bool walk(const char *store_directory, struct trim *trim, struct npxc_error *err)
{
	const struct tree_visitor visitor = { .context = trim, .entry = on_entry, .refused = on_refused };
	mem_cleanup char *path = holder_path(store_directory);
	FD_CLEANUP int root = -1;

	return tree_open(path, &root, err) && tree_walk(root, "", &visitor, err);
}

static int newest_first(const void *a, const void *b)
{
	const int64_t x = ((const struct file *)a)->written_at;
	const int64_t y = ((const struct file *)b)->written_at;

	return (y > x) - (y < x);
}

/* Of the files the newest that fit in. Of one second all stay or all go. */
static int64_t cut(struct trim *trim, uint64_t room)
{
	uint64_t kept = 0;

	qsort(trim->files, trim->count, sizeof(*trim->files), newest_first);
	for (size_t i = 0; i < trim->count; i++) {
		if (kept + trim->files[i].bytes > room)
			return trim->files[i].written_at + 1;
		kept += trim->files[i].bytes;
	}
	return INT64_MIN;
}

bool cache_trim(const char *store_directory, uint64_t most, struct npxc_error *err)
{
	struct trim trim = { 0 };
	bool fine = walk(store_directory, &trim, err);

	if (fine && trim.bytes > most && trim.count > 0) {
		trim.removes = true;
		trim.keeps_from = cut(&trim, most / 4 * 3);
		fine = walk(store_directory, &trim, err);
	}
	free(trim.files);
	return fine;
}

uint64_t cache_bytes(const char *store_directory)
{
	struct trim trim = { 0 };
	struct npxc_error ignored;
	const bool fine = walk(store_directory, &trim, &ignored);

	free(trim.files);
	return fine ? trim.bytes : 0;
}

/* ---- clean ---- */

bool cache_remove(const char *store_directory, uint64_t *ret_bytes, bool *ret_kept, struct npxc_error *err)
{
	mem_cleanup char *path = holder_path(store_directory);
	const uint64_t bytes = cache_bytes(store_directory);
	FD_CLEANUP int holder = -1;
	struct strv names = { 0 };
	struct npxc_error why = { 0 };
	bool fine = true;

	*ret_bytes = 0;
	*ret_kept = false;
	if (!tree_open(path, &holder, &why))
		return why.sys_errno == ENOENT || give(err, &why);
	fine = tree_list(holder, "", LIMIT_STORE_NAMES, &names, err);
	for (size_t i = 0; fine && i < names.count; i++) { /* with what an earlier removal left */
		mem_cleanup char *one = str_printf("%s/%s", path, names.v[i]);

		if (staging_remove(one, &why) || why.sys_errno == ENOENT)
			continue;
		*ret_kept = why.sys_errno == EWOULDBLOCK;
		fine = *ret_kept || give(err, &why);
	}
	strv_done(&names);
	if (fine && !*ret_kept)
		*ret_bytes = bytes;
	return fine;
}
