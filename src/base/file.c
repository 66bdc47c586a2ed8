#include "base/file.h"

#include "base/fd.h"
#include "base/mem.h"
#include "base/str.h"

#include <dirent.h>
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

bool file_write_atomic(const char *path, const void *bytes, size_t length, mode_t mode, struct npxc_error *err)
{
	mem_cleanup char *random = file_random_hex(16);
	mem_cleanup char *beside = str_printf("%s.%s.tmp", path, random);

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

/*
 * Removal of a tree. Only the directory being emptied is open; how it was reached is a list of names and identities,
 * and the way back is "..", checked against the list. So neither the stack nor the table of descriptors limits the
 * depth.
 */
struct level {
	char *name; /* in the level above; of the first one, the path that the caller gave */
	dev_t device;
	ino_t inode;
};

struct removal {
	DIR *directory; /* the innermost level */
	struct level *levels;
	size_t depth;
	size_t capacity;
};

static void removal_cleanup(struct removal *r)
{
	if (r->directory != NULL)
		closedir(r->directory);
	for (size_t i = 0; i < r->depth; i++)
		free(r->levels[i].name);
	free(r->levels);
}

/* AT_FDCWD above the first level: its name is a whole path. */
static int removal_fd(const struct removal *r)
{
	return r->directory != NULL ? dirfd(r->directory) : AT_FDCWD;
}

/* Another device, or (Linux 5.8 and later can tell) a bind mount of the same one. */
static bool is_mount(int fd, const struct stat *st, const struct removal *r)
{
	if (r->depth == 0)
		return false;
#if defined(__linux__) && defined(STATX_ATTR_MOUNT_ROOT)
	struct statx more;

	if (statx(fd, "", AT_EMPTY_PATH, STATX_TYPE, &more) == 0 &&
	    (more.stx_attributes & more.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT) != 0)
		return true;
#endif
	(void)fd;
	return st->st_dev != r->levels[0].device;
}

static int open_directory(int parent, const char *name)
{
	int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	int fd = openat(parent, name, flags);

	/* One that its owner may not even read has no descriptor to change its mode by. */
	if (fd == -1 && errno == EACCES && fchmodat(parent, name, S_IRWXU, AT_SYMLINK_NOFOLLOW) == 0)
		fd = openat(parent, name, flags);
	return fd;
}

/* Goes one level down. False with errno when the directory cannot be entered. */
static bool removal_enter(struct removal *r, const char *name)
{
	FD_CLEANUP int fd = open_directory(removal_fd(r), name);
	struct stat st;
	DIR *directory;

	if (fd == -1 || fstat(fd, &st) == -1)
		return false;
	if (is_mount(fd, &st, r)) {
		errno = EXDEV;
		return false;
	}
	/* When this is refused, so is the removal of what is inside, and that is reported. */
	if ((st.st_mode & S_IRWXU) != S_IRWXU)
		(void)fchmod(fd, (st.st_mode & ALLPERMS) | S_IRWXU);
	if (r->depth == r->capacity) {
		r->capacity = r->capacity == 0 ? 16 : r->capacity * 2;
		r->levels = mem_realloc(r->levels, r->capacity, sizeof(r->levels[0]));
	}
	directory = fdopendir(fd);
	if (directory == NULL)
		return false;
	fd_take(&fd);
	r->levels[r->depth++] = (struct level){ str_dup(name), st.st_dev, st.st_ino };
	if (r->directory != NULL)
		closedir(r->directory);
	r->directory = directory;
	return true;
}

/* Goes one level up and removes the emptied one. False with errno; ENOTEMPTY stays inside. */
static bool removal_leave(struct removal *r)
{
	struct level *last = &r->levels[r->depth - 1];
	const struct level *above = last - 1;
	DIR *directory = NULL;

	if (r->depth > 1) {
		FD_CLEANUP int fd = openat(removal_fd(r), "..", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		struct stat st;

		if (fd == -1 || fstat(fd, &st) == -1)
			return false;
		if (st.st_dev != above->device || st.st_ino != above->inode) {
			errno = ESTALE;
			return false;
		}
		directory = fdopendir(fd);
		if (directory == NULL)
			return false;
		fd_take(&fd);
	}
	if (unlinkat(directory != NULL ? dirfd(directory) : AT_FDCWD, last->name, AT_REMOVEDIR) == -1 &&
	    errno != ENOENT) {
		int saved = errno;

		if (directory != NULL)
			closedir(directory);
		errno = saved;
		return false;
	}
	closedir(r->directory);
	r->directory = directory;
	free(last->name);
	r->depth--;
	return true;
}

static bool is_directory_at(int parent, const char *name)
{
	struct stat st;

	return fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

/* A file goes, a directory becomes the innermost level. False with errno; gone already is success. */
static bool removal_take(struct removal *r, const char *name, unsigned char type)
{
	bool directory = type == DT_DIR || (type == DT_UNKNOWN && is_directory_at(removal_fd(r), name));

	if (directory ? removal_enter(r, name) : unlinkat(removal_fd(r), name, 0) == 0)
		return true;
	return errno == ENOENT;
}

static struct dirent *next_entry(DIR *directory)
{
	struct dirent *entry;

	do {
		errno = 0;
		entry = readdir(directory);
	} while (entry != NULL && (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0));
	return entry;
}

static bool removal_run(struct removal *r, const char *path, struct npxc_error *err)
{
	unsigned refills = 0;

	if (!removal_take(r, path, DT_UNKNOWN))
		return error_set_errno(err, ERROR_IO, "remove %s", path);
	while (r->depth > 0) {
		struct dirent *entry = next_entry(r->directory);

		if (entry != NULL) {
			refills = 0;
			if (!removal_take(r, entry->d_name, entry->d_type))
				return error_set_errno(err, ERROR_IO, "remove %s: %s", path, entry->d_name);
			continue;
		}
		if (errno != 0)
			return error_set_errno(err, ERROR_IO, "remove %s: read %s", path, r->levels[r->depth - 1].name);
		if (removal_leave(r))
			continue;
		/* A file system may pass over entries while others are removed. Twice without a single one is enough.
		 */
		if ((errno != ENOTEMPTY && errno != EEXIST) || refills++ == 2)
			return error_set_errno(err, ERROR_IO, "remove %s: %s", path, r->levels[r->depth - 1].name);
		rewinddir(r->directory);
	}
	return true;
}

bool file_remove_tree(const char *path, struct npxc_error *err)
{
	__attribute__((cleanup(removal_cleanup))) struct removal r = { 0 };
	mem_cleanup char *bare = str_dup(path);
	size_t length = strlen(bare);

	/* "link/" would be followed. */
	while (length > 0 && bare[length - 1] == '/')
		bare[--length] = '\0';
	if (length == 0 || strcmp(bare, ".") == 0 || strcmp(bare, "..") == 0 || str_ends(bare, "/.") ||
	    str_ends(bare, "/..")) {
		errno = EINVAL;
		return error_set_errno(err, ERROR_IO, "remove \"%s\"", path);
	}
	return removal_run(&r, bare, err);
}

bool file_make_temporary_directory(const char *directory, const char *prefix, char **ret_path, struct npxc_error *err)
{
	mem_cleanup char *random = file_random_hex(16);
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

void file_random(void *bytes, size_t count)
{
	static const char text[] = "npxc: the kernel gives no random bytes\n";
	unsigned char *next = bytes;

	while (count > 0) {
		size_t piece = count < 256 ? count : 256; /* getentropy's ceiling */

		if (getentropy(next, piece) == -1) {
			ssize_t ignored = write(STDERR_FILENO, text, sizeof(text) - 1);

			(void)ignored;
			_exit(4);
		}
		next += piece;
		count -= piece;
	}
}

char *file_random_hex(size_t digits)
{
	static const char hex[] = "0123456789abcdef";
	char *text = mem_alloc(digits + 1);

	for (size_t i = 0; i < digits; i += 2) {
		unsigned char byte;

		file_random(&byte, 1);
		text[i] = hex[byte >> 4];
		if (i + 1 < digits)
			text[i + 1] = hex[byte & 15];
	}
	return text;
}
