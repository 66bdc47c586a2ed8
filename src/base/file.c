#include "base/file.h"

#include "base/beneath.h"
#include "base/fd.h"
#include "base/mem.h"
#include "base/random.h"
#include "base/str.h"
#include "base/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

bool file_read(const char *path, struct buf *ret_bytes, struct npxc_error *err)
{
	FD_CLEANUP int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

	if (fd == -1)
		return error_set_errno(err, ERROR_IO, "open %s", path);
	if (!fd_read_all(fd, ret_bytes, err))
		return error_prefix(err, "%s", path);
	return true;
}

bool file_write_setting(const char *path, const char *value)
{
	FD_CLEANUP int fd = open(path, O_WRONLY | O_CLOEXEC);

	return fd != -1 && write(fd, value, strlen(value)) == (ssize_t)strlen(value);
}

static bool write_new(const char *path, const void *bytes, size_t length, mode_t mode, struct npxc_error *err)
{
	FD_CLEANUP int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);

	if (fd == -1)
		return error_set_errno(err, ERROR_IO, "create %s", path);
	if (!fd_write_all(fd, bytes, length, err))
		return error_prefix(err, "%s", path);
	/* The umask is for files whose mode nobody chose. */
	if (fchmod(fd, mode) == -1)
		return error_set_errno(err, ERROR_IO, "chmod %s", path);
	if (fsync(fd) == -1)
		return error_set_errno(err, ERROR_IO, "fsync %s", path);
	return true;
}

static bool replace(const char *path, const char *beside, const void *bytes, size_t length, mode_t mode,
                    struct npxc_error *err)
{
	if (!write_new(beside, bytes, length, mode, err)) {
		unlink(beside);
		return false;
	}
	if (rename(beside, path) == -1) {
		error_set_errno(err, ERROR_IO, "write %s", path);
		unlink(beside);
		return false;
	}
	return true;
}

bool file_write_atomic(const char *path, const void *bytes, size_t length, mode_t mode, struct npxc_error *err)
{
	mem_cleanup char *random = random_hex(16);
	mem_cleanup char *beside = str_printf("%s.%s.tmp", path, random);

	return replace(path, beside, bytes, length, mode, err);
}

static bool remove_if_there(const char *path, struct npxc_error *err)
{
	return unlink(path) == 0 || errno == ENOENT || error_set_errno(err, ERROR_IO, "remove %s", path);
}

bool file_write_alone(const char *path, const void *bytes, size_t length, mode_t mode, struct npxc_error *err)
{
	mem_cleanup char *beside = str_printf("%s.tmp", path);

	return remove_if_there(beside, err) && replace(path, beside, bytes, length, mode, err);
}

bool file_remove_alone(const char *path, struct npxc_error *err)
{
	mem_cleanup char *beside = str_printf("%s.tmp", path);

	return remove_if_there(beside, err) && remove_if_there(path, err);
}

bool file_exists(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0;
}

bool file_is_directory(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

bool file_is_regular(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

bool file_real_path(const char *path, char **ret_path, struct npxc_error *err)
{
	char *real = realpath(path, NULL);

	if (real == NULL)
		return error_set_errno(err, ERROR_IO, "%s", path);
	*ret_path = real;
	return true;
}

static bool make_one(const char *path, mode_t mode, struct npxc_error *err)
{
	int saved;

	if (mkdir(path, mode) == 0)
		return true;
	/* Besides EEXIST, what is there already may answer EROFS, EACCES or EISDIR. */
	saved = errno;
	if (file_is_directory(path))
		return true;
	errno = saved == EEXIST ? ENOTDIR : saved;
	return error_set_errno(err, ERROR_IO, "make directory %s", path);
}

bool file_make_directories(const char *path, mode_t mode, struct npxc_error *err)
{
	mem_cleanup char *part = str_dup(path);

	for (char *p = part; *p != '\0'; p++) {
		if (*p != '/' || p == part)
			continue;
		*p = '\0';
		if (!make_one(part, mode, err))
			return false;
		*p = '/';
	}
	return make_one(path, mode, err);
}

bool file_remove_tree(const char *path, struct npxc_error *err)
{
	mem_cleanup char *holder = str_dup(path);
	mem_cleanup char *leaf = NULL;
	size_t length = strlen(holder);
	FD_CLEANUP int fd = -1;

	/* "link/" would be followed. */
	while (length > 0 && holder[length - 1] == '/')
		holder[--length] = '\0';
	leaf = str_dup(strrchr(holder, '/') == NULL ? holder : strrchr(holder, '/') + 1);
	holder[length - strlen(leaf)] = '\0';
	fd = open(holder[0] == '\0' ? "." : holder, BENEATH_WALK_FLAGS);
	if (fd == -1)
		return errno == ENOENT || error_set_errno(err, ERROR_IO, "remove %s", path);
	return tree_remove(fd, leaf, err) || error_prefix(err, "%s", path);
}

bool file_make_temporary_directory(const char *directory, const char *prefix, char **ret_path, struct npxc_error *err)
{
	mem_cleanup char *random = random_hex(16);
	mem_cleanup char *path = str_printf("%s/%s%s", directory, prefix, random);

	if (mkdir(path, S_IRWXU) == -1)
		return error_set_errno(err, ERROR_IO, "make directory %s", path);
	*ret_path = MEM_TAKE(path);
	return true;
}

/* Whether the descriptor's file is the one that the path names: a lock on a removed file excludes nobody. */
static bool still_named(int fd, const char *path)
{
	struct stat held;
	struct stat named;

	return fstat(fd, &held) == 0 && stat(path, &named) == 0 && held.st_dev == named.st_dev &&
	       held.st_ino == named.st_ino;
}

bool file_lock(const char *path, bool wait, int *ret_fd, struct npxc_error *err)
{
	for (;;) {
		FD_CLEANUP int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOCTTY, S_IRUSR | S_IWUSR);

		if (fd == -1)
			return error_set_errno(err, ERROR_IO, "open %s", path);
		while (flock(fd, LOCK_EX | (wait ? 0 : LOCK_NB)) == -1)
			if (errno != EINTR)
				return error_set_errno(err, ERROR_IO, "lock %s", path);
		if (still_named(fd, path)) {
			*ret_fd = fd_take(&fd);
			return true;
		}
	}
}

static bool is_program(const char *path)
{
	return file_is_regular(path) && access(path, X_OK) == 0;
}

bool file_find_program(const char *name, const char *path_variable, char **ret_path, struct npxc_error *err)
{
	mem_cleanup char *copy = str_dup(path_variable != NULL ? path_variable : "");
	char *rest = copy;

	if (strchr(name, '/') != NULL) {
		if (is_program(name)) {
			*ret_path = str_dup(name);
			return true;
		}
		error_set(err, ERROR_IO, "%s is not an executable file", name);
		err->sys_errno = ENOENT;
		return false;
	}
	for (char *element = strsep(&rest, ":"); element != NULL; element = strsep(&rest, ":")) {
		mem_cleanup char *path = str_printf("%s/%s", element, name);

		if (element[0] == '/' && name[0] != '\0' && is_program(path)) {
			*ret_path = MEM_TAKE(path);
			return true;
		}
	}
	error_set(err, ERROR_IO, "%s was not found on PATH", name);
	err->sys_errno = ENOENT;
	return false;
}
