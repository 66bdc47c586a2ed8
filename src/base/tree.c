#include "base/tree.h"

#include "base/beneath.h"
#include "base/fd.h"
#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/syscall.h>
#endif

/* bytes: of a path in a message, from its end, where it differs from others. */
enum { SHOWN_BYTES = 160 };

/* So often a file that is swapped between the look and the opening is looked at anew. */
enum { ATTEMPTS = 32 };

#define LIST_FLAGS (O_RDONLY | O_DIRECTORY)
/* A FIFO or a device that gets into the way after all is neither waited for nor made our terminal. */
#define READ_FLAGS (O_RDONLY | O_NONBLOCK | O_NOCTTY)

bool tree_failed(struct npxc_error *err, const char *what, const char *path)
{
	const int number = errno;
	mem_cleanup char *escaped = str_escape(path, strlen(path));
	const size_t length = strlen(escaped);
	const bool cut = length > SHOWN_BYTES;

	errno = number;
	error_set_errno(err, ERROR_IO, "%s %s%s", what, cut ? "..." : "",
	                path[0] == '\0' ? "." : escaped + (cut ? length - SHOWN_BYTES : 0));
	if (number == ELOOP)
		error_set(err, ERROR_IO, "%s %s%s: a symbolic link is in its place, or on the way to it", what,
		          cut ? "..." : "", escaped + (cut ? length - SHOWN_BYTES : 0));
	err->sys_errno = number;
	return false;
}

bool tree_open(const char *path, int *ret_root, struct npxc_error *err)
{
	const int fd = open(path, LIST_FLAGS | O_NOFOLLOW | O_CLOEXEC);

	if (fd == -1)
		return tree_failed(err, "open", path);
	*ret_root = fd;
	return true;
}

/* The directory that holds it, and its name there, owned. -1 with errno; EINVAL: the root itself. */
static int open_parent(int root, const char *relative, char **ret_leaf)
{
	char *leaf = NULL;
	const int fd = beneath_open_parent(root, relative, BENEATH_PLAIN, &leaf);

	if (fd == -1)
		return -1;
	if (leaf == NULL) {
		close(fd);
		errno = EINVAL;
		return -1;
	}
	*ret_leaf = leaf;
	return fd;
}

/* ---- looking ---- */

static bool look(int root, const char *relative, struct stat *ret_info)
{
#ifdef O_PATH
	FD_CLEANUP int fd = beneath_open(root, relative, O_PATH, 0, BENEATH_PLAIN);

	return fd != -1 && fstat(fd, ret_info) == 0;
#else
	mem_cleanup char *leaf = NULL;
	FD_CLEANUP int fd = -1;

	if (relative[0] == '\0')
		return fstat(root, ret_info) == 0;
	fd = open_parent(root, relative, &leaf);
	return fd != -1 && fstatat(fd, leaf, ret_info, AT_SYMLINK_NOFOLLOW) == 0;
#endif
}

bool tree_look(int root, const char *relative, struct stat *ret_info, struct npxc_error *err)
{
	struct stat info;

	if (!look(root, relative, &info))
		return tree_failed(err, "look at", relative);
	*ret_info = info;
	return true;
}

bool tree_is_file(int root, const char *relative)
{
	struct stat info;

	return look(root, relative, &info) && S_ISREG(info.st_mode);
}

bool tree_is_directory(int root, const char *relative)
{
	struct stat info;

	return look(root, relative, &info) && S_ISDIR(info.st_mode);
}

bool tree_open_directory(int root, const char *relative, int *ret_fd, struct npxc_error *err)
{
	const int fd = tree_enter(root, relative, false);

	if (fd == -1)
		return tree_failed(err, "open directory", relative);
	*ret_fd = fd;
	return true;
}

static int error_of_type(mode_t mode)
{
	if (S_ISLNK(mode))
		return ELOOP;
	return S_ISDIR(mode) ? EISDIR : EINVAL;
}

/* -1 with errno. A device can have effects when it is opened: looked at first, and compared. */
static int open_regular(int root, const char *relative, struct stat *ret_info)
{
	for (int i = 0; i < ATTEMPTS; i++) {
		FD_CLEANUP int fd = -1;
		struct stat seen;

		if (!look(root, relative, &seen))
			return -1;
		if (!S_ISREG(seen.st_mode)) {
			errno = error_of_type(seen.st_mode);
			return -1;
		}
		fd = beneath_open(root, relative, READ_FLAGS, 0, BENEATH_PLAIN);
		if (fd == -1 || fstat(fd, ret_info) != 0)
			return -1;
		if (S_ISREG(ret_info->st_mode) && ret_info->st_dev == seen.st_dev && ret_info->st_ino == seen.st_ino)
			return fd_take(&fd);
	}
	errno = EAGAIN;
	return -1;
}

bool tree_open_file(int root, const char *relative, int *ret_fd, struct stat *ret_info, struct npxc_error *err)
{
	struct stat info;
	const int fd = open_regular(root, relative, &info);

	if (fd == -1)
		return tree_failed(err, "open", relative);
	if (ret_info != NULL)
		*ret_info = info;
	*ret_fd = fd;
	return true;
}

bool tree_read(int root, const char *relative, struct buf *ret_bytes, struct npxc_error *err)
{
	FD_CLEANUP int fd = -1;

	if (!tree_open_file(root, relative, &fd, NULL, err))
		return false;
	if (fd_read_all(fd, ret_bytes, err))
		return true;
	errno = err->sys_errno;
	return tree_failed(err, "read", relative);
}

bool tree_read_link(int root, const char *relative, char **ret_target, struct npxc_error *err)
{
	char target[PATH_MAX];
	mem_cleanup char *leaf = NULL;
	FD_CLEANUP int fd = open_parent(root, relative, &leaf);
	const ssize_t length = fd == -1 ? -1 : readlinkat(fd, leaf, target, sizeof(target));

	if (length == (ssize_t)sizeof(target))
		errno = ENAMETOOLONG;
	if (length < 0 || length == (ssize_t)sizeof(target))
		return tree_failed(err, "read the link", relative);
	*ret_target = str_dup_n(target, (size_t)length);
	return true;
}

static void close_listing(DIR **listing)
{
	if (*listing != NULL)
		closedir(*listing);
}

bool tree_list(int root, const char *relative, size_t most, struct strv *ret_names, struct npxc_error *err)
{
	FD_CLEANUP int fd = tree_enter(root, relative, false);
	DIR *listing __attribute__((cleanup(close_listing))) = fd == -1 ? NULL : fdopendir(fd);
	const struct dirent *entry;
	struct strv names = { 0 };

	if (listing == NULL)
		return tree_failed(err, "list", relative);
	fd_take(&fd);
	for (errno = 0; (entry = readdir(listing)) != NULL; errno = 0) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		errno = E2BIG;
		if (names.count == most)
			break;
		strv_push(&names, entry->d_name);
	}
	if (errno != 0) {
		tree_failed(err, "list", relative);
		strv_done(&names);
		return false;
	}
	strv_sort(&names);
	*ret_names = names;
	return true;
}

/* ---- making ---- */

/* The mode by the descriptor: the umask has no say, and a name might stand for something else by now. */
static int make_directory(int root, const char *relative, mode_t mode)
{
	mem_cleanup char *leaf = NULL;
	FD_CLEANUP int parent = open_parent(root, relative, &leaf);
	FD_CLEANUP int fd = -1;

	if (parent == -1 || mkdirat(parent, leaf, S_IRWXU) != 0)
		return -1;
	fd = tree_enter(parent, leaf, true); /* a umask may have taken the owner's own bits */
	if (fd == -1 || fchmod(fd, mode) != 0)
		return -1;
	return fd_take(&fd);
}

bool tree_make_directory(int root, const char *relative, mode_t mode, int *ret_fd, struct npxc_error *err)
{
	FD_CLEANUP int fd = make_directory(root, relative, mode);

	if (fd == -1)
		return tree_failed(err, "make directory", relative);
	if (ret_fd != NULL)
		*ret_fd = fd_take(&fd);
	return true;
}

bool tree_make_directories(int root, const char *relative, mode_t mode, struct npxc_error *err)
{
	for (const char *at = relative; at[0] != '\0';) {
		const size_t length = (size_t)(at - relative) + strcspn(at, "/");
		mem_cleanup char *part = str_dup_n(relative, length);
		FD_CLEANUP int fd = make_directory(root, part, mode);
		struct stat info;

		if (fd == -1 && errno == EEXIST && look(root, part, &info))
			errno = S_ISDIR(info.st_mode) ? 0 : S_ISLNK(info.st_mode) ? ELOOP : ENOTDIR;
		if (fd == -1 && errno != 0)
			return tree_failed(err, "make directory", part);
		at = relative + length + (relative[length] == '/');
	}
	return true;
}

static bool create(int root, const char *relative, const void *bytes, size_t length, mode_t mode, int *ret_fd,
                   struct npxc_error *err)
{
	FD_CLEANUP int fd =
	    beneath_open(root, relative, O_WRONLY | O_CREAT | O_EXCL | O_NOCTTY, S_IRUSR | S_IWUSR, BENEATH_PLAIN);

	if (fd == -1)
		return tree_failed(err, "create", relative);
	if (!fd_write_all(fd, bytes, length, err)) {
		errno = err->sys_errno;
		return tree_failed(err, "write", relative);
	}
	if (fchmod(fd, mode) != 0)
		return tree_failed(err, "chmod", relative);
	*ret_fd = fd_take(&fd);
	return true;
}

bool tree_create(int root, const char *relative, const void *bytes, size_t length, mode_t mode, int *ret_fd,
                 struct npxc_error *err)
{
	FD_CLEANUP int fd = -1;

	if (!create(root, relative, bytes, length, mode, &fd, err))
		return false;
	if (ret_fd != NULL)
		*ret_fd = fd_take(&fd);
	return true;
}

bool tree_write(int root, const char *relative, const void *bytes, size_t length, mode_t mode, struct npxc_error *err)
{
	mem_cleanup char *leaf = NULL;
	char beside[32];
	unsigned long long random;
	FD_CLEANUP int parent = open_parent(root, relative, &leaf);
	FD_CLEANUP int fd = -1;
	bool fine;

	if (parent == -1 || getentropy(&random, sizeof(random)) != 0)
		return tree_failed(err, "write", relative);
	snprintf(beside, sizeof(beside), ".%016llx.tmp", random);
	fine = create(parent, beside, bytes, length, mode, &fd, err);
	if (fine && (fsync(fd) != 0 || renameat(parent, beside, parent, leaf) != 0))
		fine = tree_failed(err, "write", relative);
	if (!fine)
		(void)unlinkat(parent, beside, 0);
	return fine;
}

bool tree_make_link(int root, const char *relative, const char *target, struct npxc_error *err)
{
	mem_cleanup char *leaf = NULL;
	FD_CLEANUP int parent = open_parent(root, relative, &leaf);

	return (parent != -1 && symlinkat(target, parent, leaf) == 0) || tree_failed(err, "make the link", relative);
}

bool tree_copy(int from, int root, const char *relative, mode_t mode, const struct copy_rules *rules,
               uint64_t *ret_bytes, struct npxc_error *err)
{
	mem_cleanup char *leaf = NULL;
	FD_CLEANUP int parent = open_parent(root, relative, &leaf);

	if (parent == -1)
		return tree_failed(err, "copy to", relative);
	return copy_file(from, parent, leaf, mode, rules, ret_bytes, err);
}

/* ---- changing ---- */

#ifdef O_PATH
#if defined(__linux__) && !defined(SYS_fchmodat2)
#define SYS_fchmodat2 452 /* of all architectures, as every number since 424 */
#endif

/* Of the descriptor's own inode; fchmod(2) takes no O_PATH. 0, or -1 with errno. */
static int change_mode(int fd, mode_t mode)
{
	char path[32];

	if (syscall(SYS_fchmodat2, fd, "", mode, AT_EMPTY_PATH) == 0)
		return 0;
	/* EPERM is how older filters refuse a call that they do not know. */
	if (errno != ENOSYS && errno != EPERM)
		return -1;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return fchmodat(AT_FDCWD, path, mode, 0);
}

static int change_owner(int fd, uid_t uid)
{
	return fchownat(fd, "", uid, (gid_t)uid, AT_EMPTY_PATH);
}

static int open_to_change(int root, const char *relative)
{
	return beneath_open(root, relative, O_PATH, 0, BENEATH_PLAIN);
}
#else
static int change_mode(int fd, mode_t mode)
{
	return fchmod(fd, mode);
}

static int change_owner(int fd, uid_t uid)
{
	return fchown(fd, uid, (gid_t)uid);
}

/*
 * Without O_PATH, what may not be opened has no descriptor. Its own mode is changed first, by name, without following a
 * link (macOS changes that of the link itself then).
 */
static int open_to_change(int root, const char *relative)
{
	mem_cleanup char *leaf = NULL;
	FD_CLEANUP int parent = -1;
	struct stat info;
	int fd;

	if (!look(root, relative, &info))
		return -1;
	if (!S_ISDIR(info.st_mode) && !S_ISREG(info.st_mode)) {
		errno = error_of_type(info.st_mode);
		return -1;
	}
	fd = beneath_open(root, relative, READ_FLAGS, 0, BENEATH_PLAIN);
	if (fd != -1 || errno != EACCES || relative[0] == '\0')
		return fd;
	parent = open_parent(root, relative, &leaf);
	if (parent == -1 || fchmodat(parent, leaf, info.st_mode | S_IRWXU, AT_SYMLINK_NOFOLLOW) != 0)
		return -1;
	return beneath_open(parent, leaf, READ_FLAGS, 0, BENEATH_PLAIN);
}
#endif

static bool may_change(const struct stat *info, const struct tree_change *change)
{
	if (S_ISDIR(info->st_mode))
		return true;
	if (!S_ISREG(info->st_mode) && !S_ISLNK(info->st_mode)) {
		errno = EINVAL;
		return false;
	}
	errno = EMLINK;
	return info->st_nlink <= 1 || change->links_known;
}

static bool change_it(int fd, const struct tree_change *change)
{
	struct stat info;

	if (fstat(fd, &info) != 0 || !may_change(&info, change))
		return false;
	if (change->owner && change_owner(fd, change->uid) != 0)
		return false;
	return !change->mode || S_ISLNK(info.st_mode) || change_mode(fd, change->bits) == 0;
}

#ifndef O_PATH
/* A link at the end has no descriptor: its owner by name, itself. False with ELOOP when the link is on the way. */
static bool change_link(int root, const char *relative, const struct tree_change *change)
{
	mem_cleanup char *leaf = NULL;
	FD_CLEANUP int parent = open_parent(root, relative, &leaf);

	return parent != -1 &&
	       (!change->owner || fchownat(parent, leaf, change->uid, (gid_t)change->uid, AT_SYMLINK_NOFOLLOW) == 0);
}
#endif

bool tree_change(int root, const char *relative, const struct tree_change *change, struct npxc_error *err)
{
	FD_CLEANUP int fd = open_to_change(root, relative);

	if (fd != -1 && change_it(fd, change))
		return true;
#ifndef O_PATH
	if (fd == -1 && errno == ELOOP && change_link(root, relative, change))
		return true;
#endif
	return tree_failed(err, "change owner or mode of", relative);
}

/* A listing of a directory that its owner may not open for it: its mode first, by a descriptor that needs no right. */
static int unlock(int root, const char *relative)
{
	const struct tree_change change = { .mode = true, .bits = S_IRWXU };
	FD_CLEANUP int fd = open_to_change(root, relative);
	struct stat info;

	if (fd == -1 || fstat(fd, &info) != 0)
		return -1;
	if (!S_ISDIR(info.st_mode)) {
		errno = ENOTDIR;
		return -1;
	}
	if (!change_it(fd, &change))
		return -1;
	return openat(fd, ".", LIST_FLAGS | O_CLOEXEC);
}

int tree_enter(int root, const char *relative, bool unlocks)
{
	FD_CLEANUP int fd = beneath_open(root, relative, LIST_FLAGS, 0, BENEATH_PLAIN);
	struct stat info;

	if (fd == -1 && unlocks && errno == EACCES)
		fd = unlock(root, relative);
	/* When this is refused, so is what is then tried inside, and that is reported. */
	if (fd != -1 && unlocks && fstat(fd, &info) == 0 && (info.st_mode & S_IRWXU) != S_IRWXU)
		(void)fchmod(fd, (info.st_mode & ALLPERMS) | S_IRWXU);
	return fd_take(&fd);
}

bool tree_rename(int from_root, const char *from, int to_root, const char *to, struct npxc_error *err)
{
	mem_cleanup char *from_leaf = NULL;
	mem_cleanup char *to_leaf = NULL;
	FD_CLEANUP int from_parent = open_parent(from_root, from, &from_leaf);
	FD_CLEANUP int to_parent = -1;

	if (from_parent == -1)
		return tree_failed(err, "rename", from);
	to_parent = open_parent(to_root, to, &to_leaf);
	if (to_parent == -1 || renameat(from_parent, from_leaf, to_parent, to_leaf) != 0)
		return tree_failed(err, "rename to", to);
	return true;
}

bool tree_remove_entry(int root, const char *relative, struct npxc_error *err)
{
	mem_cleanup char *leaf = NULL;
	FD_CLEANUP int parent = open_parent(root, relative, &leaf);

	if (parent != -1 && (unlinkat(parent, leaf, 0) == 0 ||
	                     ((errno == EISDIR || errno == EPERM) && unlinkat(parent, leaf, AT_REMOVEDIR) == 0)))
		return true;
	return tree_failed(err, "remove", relative);
}
