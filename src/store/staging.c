#include "store/staging.h"

#include "base/fault.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
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

static bool lock_directory(const char *path, int operation, int *ret_fd, struct npxc_error *err)
{
	FD_CLEANUP int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	if (fd == -1)
		return error_set_errno(err, ERROR_IO, "open %s", path);
	if (flock(fd, operation | LOCK_NB) == -1)
		return error_set_errno(err, ERROR_IO, "lock %s", path);
	*ret_fd = fd_take(&fd);
	return true;
}

/* The directories in which the sandbox writes belong to its user. */
static bool give_to_sandbox(const struct staging *staging, const char *path, struct npxc_error *err)
{
	if (staging->host->is_root && lchown(path, SANDBOX_DROP_UID, SANDBOX_DROP_UID) == -1)
		return error_set_errno(err, ERROR_IO, "chown %s", path);
	return true;
}

bool staging_make(const struct store_host *host, struct staging *ret_staging, struct npxc_error *err)
{
	struct staging staging = { .host = host, .lock = -1 };
	mem_cleanup char *random = file_random_hex(16);

	if (!staging_prepare_store(host->store_directory, err))
		return false;
	staging.path = str_printf("%s/staging/%s", host->store_directory, random);
	if (!host->hold_directory(host->context, staging.path, &staging.hold, err)) {
		free(staging.path);
		return false;
	}
	staging.held = true;
	if (mkdir(staging.path, 0711) == -1)
		error_set_errno(err, ERROR_IO, "make %s", staging.path);
	else if (chmod(staging.path, 0711) == -1)
		error_set_errno(err, ERROR_IO, "chmod %s", staging.path);
	else if (lock_directory(staging.path, LOCK_EX, &staging.lock, err)) {
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

bool staging_wait_for_lock(const struct store_host *host, const char *path, int *ret_fd, struct npxc_error *err)
{
	static const struct timespec pause = { .tv_nsec = 50 * 1000 * 1000 };
	struct npxc_error why = { 0 };

	/* flock knows no time limit, and a signal must not wait for somebody else's npm. */
	for (unsigned attempts = 0; !file_lock(path, false, ret_fd, &why); attempts++) {
		if (why.sys_errno != EWOULDBLOCK) {
			*err = why;
			return false;
		}
		if (is_interrupted(host)) {
			error_set(err, ERROR_IO, "told to end while another npxc installs the same");
			err->sys_errno = EINTR;
			return false;
		}
		if (attempts == 20)
			log_notice("waiting for another npxc that installs the same");
		nanosleep(&pause, NULL);
	}
	return true;
}

void staging_done(struct staging *staging)
{
	struct npxc_error why = { 0 };

	if (staging->path != NULL && staging->held && !is_interrupted(staging->host)) {
		FAULT_POINT("staging.remove");
		if (!file_remove_tree(staging->path, &why) ||
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
	mem_cleanup char *path = str_printf("%s/%s", staging->path, name);

	if (mkdir(path, 0700) == -1)
		return error_set_errno(err, ERROR_IO, "make %s", path);
	if (!give_to_sandbox(staging, path, err))
		return false;
	*ret_path = MEM_TAKE(path);
	return true;
}

bool staging_add_file(const struct staging *staging, const char *directory, const char *name, const void *bytes,
                      size_t length, struct npxc_error *err)
{
	mem_cleanup char *path = str_printf("%s/%s", directory, name);
	FD_CLEANUP int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd == -1)
		return error_set_errno(err, ERROR_IO, "create %s", path);
	if (!fd_write_all(fd, bytes, length, err))
		return error_prefix(err, "%s", path);
	return give_to_sandbox(staging, path, err);
}

/* ---- sealing ---- */

/* nftw has no argument for its function; nothing else of npxc runs meanwhile. */
static struct {
	bool is_root;
	uint64_t bytes;
	int error; /* errno of the first failure */
	char path[256];
} seal;

static int seal_failed(const char *path)
{
	seal.error = errno;
	snprintf(seal.path, sizeof(seal.path), "%s", path);
	return 1;
}

static int seal_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	mode_t mode;

	(void)ftw;
	if (type == FTW_NS || type == FTW_DNR) {
		errno = EACCES;
		return seal_failed(path);
	}
	if (!S_ISREG(st->st_mode) && !S_ISDIR(st->st_mode) && !S_ISLNK(st->st_mode))
		return unlink(path) == -1 ? seal_failed(path) : 0;
	seal.bytes += (uint64_t)st->st_blocks * 512;
	if (seal.is_root && lchown(path, 0, 0) == -1)
		return seal_failed(path);
	if (S_ISLNK(st->st_mode))
		return 0;
	/* After the change of owner: that one may clear bits, or on some systems leave them. */
	if (seal.is_root)
		mode = S_ISDIR(st->st_mode) || (st->st_mode & 0100) != 0 ? 0755 : 0644;
	else
		mode = (st->st_mode & 0755) | (S_ISDIR(st->st_mode) ? 0700 : 0400);
	if (mode != (st->st_mode & 07777) || seal.is_root)
		if (chmod(path, mode) == -1)
			return seal_failed(path);
	return 0;
}

/* Everything below, with one call for the whole file system; or just the directory's own entries. */
static bool flush(const char *tree, bool all, struct npxc_error *err)
{
	FD_CLEANUP int fd = open(tree, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	if (fd == -1)
		return error_set_errno(err, ERROR_IO, "open %s", tree);
#ifdef __linux__
	if (all ? syncfs(fd) == -1 : fsync(fd) == -1)
		return error_set_errno(err, ERROR_IO, "sync %s", tree);
#else
	if (all)
		sync();
	else if (fsync(fd) == -1)
		return error_set_errno(err, ERROR_IO, "sync %s", tree);
#endif
	return true;
}

bool staging_seal(const struct staging *staging, const char *tree, uint64_t *ret_bytes, struct npxc_error *err)
{
	memset(&seal, 0, sizeof(seal));
	seal.is_root = staging->host->is_root;
	if (nftw(tree, seal_entry, 32, FTW_PHYS) != 0) {
		errno = seal.error != 0 ? seal.error : errno;
		return error_set_errno(err, ERROR_IO, "seal %s", seal.path[0] != '\0' ? seal.path : tree);
	}
	if (!flush(tree, true, err))
		return false;
	FAULT_POINT("staging.sealed");
	*ret_bytes = seal.bytes;
	return true;
}

/* ---- moving ---- */

static char *aside_name(const char *directory)
{
	const char *slash = strrchr(directory, '/');
	mem_cleanup char *random = file_random_hex(16);

	return str_printf("%.*s/.old-%s", (int)(slash - directory), directory, random);
}

bool staging_remove(const char *directory, struct npxc_error *err)
{
	FD_CLEANUP int fd = -1;
	mem_cleanup char *aside = aside_name(directory);

	if (!lock_directory(directory, LOCK_EX, &fd, err))
		return false;
	if (rename(directory, aside) == -1)
		return error_set_errno(err, ERROR_IO, "remove %s", directory);
	return file_remove_tree(aside, err);
}

bool staging_settle(const struct staging *staging, const char *tree, const char *final, struct npxc_error *err)
{
	mem_cleanup char *aside = aside_name(final);
	mem_cleanup char *parent = str_path_join(final, "..");
	struct npxc_error why = { 0 };

	(void)staging;
	if (rename(final, aside) == -1 && errno != ENOENT)
		return error_set_errno(err, ERROR_IO, "move %s aside", final);
	FAULT_POINT("staging.settle");
	if (rename(tree, final) == -1)
		return error_set_errno(err, ERROR_IO, "move %s into the store", tree);
	FAULT_POINT("staging.settled");
	if (!flush(parent, false, err))
		return false;
	if (file_exists(aside) && !staging_remove(aside, &why))
		log_info("store", "%s is still in use and goes with the next clean-up", aside);
	return true;
}
