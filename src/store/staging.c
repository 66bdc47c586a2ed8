#include "store/staging.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/random.h"
#include "base/tree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

bool staging_prepare_store(const char *store_directory, struct npxc_error *err)
{
	static const char *const names[] = { "packages", "node", "staging" };

	/* Readable for everybody: started by root, the sandbox's user has to reach what is in it. */
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		mem_cleanup char *path = str_printf("%s/%s", store_directory, names[i]);

		if (!file_make_directories(path, 0755, err))
			return false;
	}
	return true;
}

/* The directory that holds something of the store, npxc's own, and the name there, which is a part of the path. */
static bool open_holder(const char *path, int *ret_fd, const char **ret_leaf, struct npxc_error *err)
{
	const char *slash = strrchr(path, '/');
	mem_cleanup char *holder = str_dup_n(path, (size_t)(slash - path));

	*ret_leaf = slash + 1;
	return tree_open(holder, ret_fd, err);
}

static bool lock_directory(int fd, const char *path, struct npxc_error *err)
{
	return flock(fd, LOCK_EX | LOCK_NB) == 0 || error_set_errno(err, ERROR_IO, "lock %s", path);
}

/* The directories in which the sandbox writes belong to its user. */
static bool give_to_sandbox(const struct staging *staging, int fd, const char *path, struct npxc_error *err)
{
	if (staging->host->is_root && fchown(fd, SANDBOX_DROP_UID, SANDBOX_DROP_UID) == -1)
		return error_set_errno(err, ERROR_IO, "chown %s", path);
	return true;
}

/* A path that staging_add gave, or one below it, beneath the staging directory. */
static const char *beneath(const struct staging *staging, const char *path)
{
	const size_t length = strlen(staging->path);

	return str_starts(path, staging->path) && path[length] == '/' ? path + length + 1 : "..";
}

bool staging_make(const struct store_host *host, struct staging *ret_staging, struct npxc_error *err)
{
	struct staging staging = { .host = host, .lock = -1 };
	mem_cleanup char *random = random_hex(16);
	FD_CLEANUP int holder = -1;
	const char *leaf;

	if (!staging_prepare_store(host->store_directory, err))
		return false;
	staging.path = str_printf("%s/staging/%s", host->store_directory, random);
	if (!host->hold_directory(host->context, staging.path, &staging.hold, err)) {
		free(staging.path);
		return false;
	}
	staging.held = true;
	if (open_holder(staging.path, &holder, &leaf, err) &&
	    tree_make_directory(holder, leaf, 0711, &staging.lock, err) &&
	    lock_directory(staging.lock, staging.path, err)) {
		FAULT_POINT("staging.made");
		*ret_staging = staging;
		return true;
	}
	staging_done(&staging);
	return false;
}

static bool is_interrupted(const struct store_host *host)
{
	return host->interrupted != NULL && host->interrupted(host->context);
}

static bool gave_up(const struct store_host *host, struct npxc_error *err)
{
	const bool is_late = host->deadline_ms != 0 && clock_now_ms() > host->deadline_ms;

	if (!is_late && !is_interrupted(host))
		return false;
	error_set(err, ERROR_IO,
	          is_late ? "another npxc has been installing the same for too long; `npxc ps` shows it"
	                  : "told to end while another npxc installs the same");
	err->sys_errno = is_late ? ETIMEDOUT : EINTR;
	return true;
}

bool staging_wait_for_lock(const struct store_host *host, const char *path, struct progress *progress, int *ret_fd,
                           struct npxc_error *err)
{
	static const struct timespec pause = { .tv_nsec = 50 * 1000 * 1000 };
	struct npxc_error why = { 0 };

	/* flock knows no time limit, and a signal must not wait for somebody else's npm. */
	for (unsigned attempts = 0; !file_lock(path, false, ret_fd, &why); attempts++) {
		if (why.sys_errno != EWOULDBLOCK) {
			*err = why;
			return false;
		}
		if (gave_up(host, err))
			return false;
		if (attempts == 20)
			log_notice("waiting for another npxc that installs the same");
		if (progress != NULL)
			progress_follow_path(progress, path, attempts >= 20);
		nanosleep(&pause, NULL);
	}
	if (progress != NULL && progress->file != -1)
		progress_follow_path(progress, path, true);
	return true;
}

void staging_done(struct staging *staging)
{
	struct npxc_error why = { 0 };

	if (staging->path != NULL && staging->held && !is_interrupted(staging->host)) {
		FAULT_POINT("staging.remove");
		FD_CLEANUP int holder = -1;
		const char *leaf;

		if (!open_holder(staging->path, &holder, &leaf, &why) || !tree_remove(holder, leaf, &why) ||
		    !staging->host->release(staging->host->context, staging->hold, &why))
			log_warn("store", "%s is left to the janitor: %s", staging->path, why.message);
		staging->held = false;
	}
	fd_close(&staging->lock);
	free(staging->path);
	staging->path = NULL;
}

bool staging_add(const struct staging *staging, const char *name, char **ret_path, struct npxc_error *err)
{
	FD_CLEANUP int fd = -1;

	if (!tree_make_directory(staging->lock, name, 0700, &fd, err) || !give_to_sandbox(staging, fd, name, err))
		return error_prefix(err, "%s", staging->path);
	*ret_path = str_printf("%s/%s", staging->path, name);
	return true;
}

bool staging_add_file(const struct staging *staging, const char *directory, const char *name, const void *bytes,
                      size_t length, struct npxc_error *err)
{
	mem_cleanup char *relative = str_printf("%s/%s", beneath(staging, directory), name);
	FD_CLEANUP int fd = -1;

	if (!tree_create(staging->lock, relative, bytes, length, 0600, &fd, err) ||
	    !give_to_sandbox(staging, fd, relative, err))
		return error_prefix(err, "%s", staging->path);
	return true;
}

bool staging_drop(const struct staging *staging, const char *path, struct npxc_error *err)
{
	return tree_remove(staging->lock, beneath(staging, path), err) || error_prefix(err, "%s", staging->path);
}

/* ---- sealing ---- */

/* A name of a file that has several. */
struct linked {
	dev_t device;
	ino_t inode;
	nlink_t names;
};

struct seal {
	bool is_root;
	bool links_known; /* second time: only files with several names, all of which are in the tree */
	uint64_t bytes;
	struct linked *linked; /* owned */
	size_t count, capacity;
};

static bool seal_one(const struct seal *seal, int directory, const char *name, const struct stat *info,
                     struct npxc_error *err)
{
	struct tree_change change = { .owner = seal->is_root, .uid = 0, .links_known = seal->links_known };

	if (seal->is_root)
		change.bits = S_ISDIR(info->st_mode) || (info->st_mode & 0100) != 0 ? 0755 : 0644;
	else
		change.bits = (info->st_mode & 0755) | (S_ISDIR(info->st_mode) ? 0700 : 0400);
	change.mode = !S_ISLNK(info->st_mode) && (seal->is_root || change.bits != (info->st_mode & 07777));
	return (!change.owner && !change.mode) || tree_change(directory, name, &change, err);
}

static void add_linked(struct seal *seal, const struct stat *info)
{
	if (seal->count == seal->capacity) {
		seal->capacity = seal->capacity == 0 ? 64 : seal->capacity * 2;
		seal->linked = mem_realloc(seal->linked, seal->capacity, sizeof(*seal->linked));
	}
	seal->linked[seal->count++] = (struct linked){ info->st_dev, info->st_ino, info->st_nlink };
}

static bool seal_entry(struct seal *seal, const struct tree_entry *entry, struct npxc_error *err)
{
	const mode_t mode = entry->info.st_mode;
	const bool several = !S_ISDIR(mode) && entry->info.st_nlink > 1;

	if (entry->entry_count > LIMIT_STORE_ENTRIES) {
		error_set(err, ERROR_IO, "more than %d files and directories", LIMIT_STORE_ENTRIES);
		err->sys_errno = E2BIG;
		return false;
	}
	if (seal->links_known)
		return !several || seal_one(seal, entry->directory, entry->name, &entry->info, err);
	if (!S_ISREG(mode) && !S_ISDIR(mode) && !S_ISLNK(mode))
		return tree_remove_entry(entry->directory, entry->name, err);
	seal->bytes += (uint64_t)entry->info.st_blocks * 512;
	if (several) {
		add_linked(seal, &entry->info);
		return true;
	}
	return seal_one(seal, entry->directory, entry->name, &entry->info, err);
}

static enum tree_next on_entry(void *context, const struct tree_entry *entry, struct npxc_error *err)
{
	return seal_entry(context, entry, err) ? TREE_ENTER : TREE_STOP;
}

static int by_inode(const void *a, const void *b)
{
	const struct linked *x = a;
	const struct linked *y = b;

	if (x->device != y->device)
		return x->device < y->device ? -1 : 1;
	return (x->inode > y->inode) - (x->inode < y->inode);
}

/* Compilers link what they built a second time into the same tree. Any other second name is somebody else's. */
static bool check_linked(struct seal *seal, struct npxc_error *err)
{
	size_t same = 0;

	if (seal->count > 0)
		qsort(seal->linked, seal->count, sizeof(*seal->linked), by_inode);
	for (size_t i = 0; i < seal->count; i += same) {
		for (same = 1; i + same < seal->count && by_inode(&seal->linked[i], &seal->linked[i + same]) == 0;)
			same++;
		if (same == seal->linked[i].names)
			continue;
		errno = EMLINK;
		return error_set_errno(err, ERROR_IO, "a file of the package has a name outside of it too");
	}
	return true;
}

static bool seal_tree(struct seal *seal, int root, const char *tree, struct npxc_error *err)
{
	const struct tree_visitor visitor = { .context = seal, .entry = on_entry };
	struct stat info;

	/* The directory itself is the script's too, but for its name. */
	if (!tree_look(root, tree, &info, err) || !seal_one(seal, root, tree, &info, err) ||
	    !tree_walk(root, tree, &visitor, err) || !check_linked(seal, err))
		return false;
	seal->bytes += (uint64_t)info.st_blocks * 512;
	seal->links_known = true;
	return seal->count == 0 || tree_walk(root, tree, &visitor, err);
}

/* Everything below, with one call for the whole file system; or just the directory's own entries. */
static bool flush(int fd, bool all, const char *path, struct npxc_error *err)
{
#ifdef __linux__
	if (all ? syncfs(fd) == -1 : fsync(fd) == -1)
		return error_set_errno(err, ERROR_IO, "sync %s", path);
#else
	if (all)
		sync();
	else if (fsync(fd) == -1)
		return error_set_errno(err, ERROR_IO, "sync %s", path);
#endif
	return true;
}

bool staging_seal(const struct staging *staging, const char *tree, uint64_t *ret_bytes, struct npxc_error *err)
{
	struct seal seal = { .is_root = staging->host->is_root };
	bool ok = seal_tree(&seal, staging->lock, beneath(staging, tree), err) || error_prefix(err, "seal %s", tree);

	free(seal.linked);
	if (!ok || !flush(staging->lock, true, staging->path, err))
		return false;
	FAULT_POINT("staging.sealed");
	*ret_bytes = seal.bytes;
	return true;
}

/* ---- moving ---- */

static char *aside_name(void)
{
	mem_cleanup char *random = random_hex(16);

	return str_printf(".old-%s", random);
}

static bool remove_unused(int holder, const char *leaf, struct npxc_error *err)
{
	mem_cleanup char *aside = aside_name();
	FD_CLEANUP int fd = -1;

	return tree_open_directory(holder, leaf, &fd, err) && lock_directory(fd, leaf, err) &&
	       tree_rename(holder, leaf, holder, aside, err) && tree_remove(holder, aside, err);
}

bool staging_remove(const char *directory, struct npxc_error *err)
{
	FD_CLEANUP int holder = -1;
	const char *leaf;

	return (open_holder(directory, &holder, &leaf, err) && remove_unused(holder, leaf, err)) ||
	       error_prefix(err, "remove %s", directory);
}

static bool settle(const struct staging *staging, const char *tree, const char *final, struct npxc_error *err)
{
	mem_cleanup char *aside = aside_name();
	FD_CLEANUP int holder = -1;
	FD_CLEANUP int fd = -1;
	const char *leaf;
	struct npxc_error why = { 0 };

	/* A directory, and not a link to one: what is moved becomes the source of mounts. */
	if (!open_holder(final, &holder, &leaf, err) || !tree_open_directory(staging->lock, tree, &fd, err))
		return false;
	if (!tree_rename(holder, leaf, holder, aside, &why) && why.sys_errno != ENOENT) {
		*err = why;
		return false;
	}
	FAULT_POINT("staging.settle");
	if (!tree_rename(staging->lock, tree, holder, leaf, err))
		return false;
	FAULT_POINT("staging.settled");
	if (!flush(holder, false, final, err))
		return false;
	if (tree_is_directory(holder, aside) && !remove_unused(holder, aside, &why))
		log_info("store", "%s is still in use and goes with the next clean-up", aside);
	return true;
}

bool staging_settle(const struct staging *staging, const char *tree, const char *final, struct npxc_error *err)
{
	return settle(staging, beneath(staging, tree), final, err) || error_prefix(err, "move %s into the store", tree);
}
