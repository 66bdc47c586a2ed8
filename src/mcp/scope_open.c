#include "mcp/scope.h"

#include "base/fd.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/syscall.h>
#ifdef SYS_openat2
#include <linux/openat2.h>
#endif
#endif

/* As many links as Linux follows in one path. */
enum { LINKS_MAX = 40 };

/* A directory that is being renamed makes the kernel give up on a ".."; so often it is asked again. */
enum { ATTEMPTS = 32 };

/* bytes: of a path in a message; its escaped form, cut. */
enum { SHOWN_BYTES = 160 };

/* To walk through a directory one need not be allowed to list it. */
#if defined(O_PATH)
#define WALK_FLAGS (O_PATH | O_DIRECTORY | O_CLOEXEC)
#elif defined(O_SEARCH)
#define WALK_FLAGS (O_SEARCH | O_DIRECTORY | O_CLOEXEC)
#else
#define WALK_FLAGS (O_RDONLY | O_DIRECTORY | O_CLOEXEC)
#endif

/* A FIFO or a device that gets into the way after all is neither waited for nor made our terminal. */
#define READ_FLAGS (O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)

/* ---- errors ---- */

static bool refuse(struct npxc_error *err, const struct scope_name *name, const char *why)
{
	mem_cleanup char *shown = str_escape(name->path, strlen(name->path));

	return error_set(err, ERROR_PATH_OUT_OF_SCOPE, "\"%.*s\" %s", (int)SHOWN_BYTES, shown, why);
}

/* What errno means for the client. */
static bool report(struct npxc_error *err, const struct scope *scope, const struct scope_name *name)
{
	const int number = errno;
	mem_cleanup char *shown = str_escape(name->path, strlen(name->path));
	mem_cleanup char *cwd = str_escape(scope->cwd, strlen(scope->cwd));

	switch (number) {
	case EXDEV:
		error_set(err, ERROR_PATH_OUT_OF_SCOPE,
		          "\"%.*s\" leads out of the working directory %.*s, by \"..\" or by a symbolic link",
		          (int)SHOWN_BYTES, shown, (int)SHOWN_BYTES, cwd);
		break;
	case ELOOP:
		refuse(err, name, "goes through too many symbolic links");
		break;
	case EAGAIN:
		refuse(err, name, "was changed while it was being opened");
		break;
	case ENAMETOOLONG:
		refuse(err, name, "is too long for this file system");
		break;
	case ENOENT:
		error_set(err, ERROR_PATH_NOT_FOUND, "\"%.*s\" does not exist", (int)SHOWN_BYTES, shown);
		break;
	case ENOTDIR:
		error_set(err, ERROR_PATH_NOT_FOUND, "\"%.*s\" does not exist: a part of it is no directory",
		          (int)SHOWN_BYTES, shown);
		break;
	case EACCES:
	case EPERM:
		error_set(err, ERROR_PATH_NOT_FOUND, "\"%.*s\" may not be read by this user", (int)SHOWN_BYTES, shown);
		break;
	default:
		errno = number;
		return error_set_errno(err, ERROR_IO, "open \"%.*s\"", (int)SHOWN_BYTES, shown);
	}
	err->sys_errno = number;
	return false;
}

/* ---- the walk ---- */

struct place { /* what a directory is, to know it again */
	dev_t device;
	ino_t inode;
};

struct walk {
	int here;            /* owned */
	struct place *above; /* owned: of each directory from the working directory down to, without, here */
	size_t depth, capacity;
	unsigned links;
	char *rest; /* owned; what is still to be walked */
	size_t at;
};

static void walk_done(struct walk *walk)
{
	fd_close(&walk->here);
	free(walk->above);
	free(walk->rest);
}

static bool walk_replace_here(struct walk *walk, int fd)
{
	if (fd == -1)
		return false;
	fd_close(&walk->here);
	walk->here = fd;
	return true;
}

static bool walk_down(struct walk *walk, const char *name)
{
	struct stat info;

	if (fstat(walk->here, &info) != 0)
		return false;
	if (walk->depth == walk->capacity) {
		walk->capacity = walk->capacity == 0 ? 16 : walk->capacity * 2;
		walk->above = mem_realloc(walk->above, walk->capacity, sizeof(*walk->above));
	}
	walk->above[walk->depth] = (struct place){ info.st_dev, info.st_ino };
	if (!walk_replace_here(walk, openat(walk->here, name, WALK_FLAGS | O_NOFOLLOW))) {
		if (errno == ELOOP) /* not a link just now, when readlink looked */
			errno = EAGAIN;
		return false;
	}
	walk->depth++;
	return true;
}

/* ".." is asked of the file system, and must be where the walk came from: a directory may have been moved meanwhile. */
static bool walk_up(struct walk *walk)
{
	struct stat info;

	if (walk->depth == 0) {
		errno = EXDEV;
		return false;
	}
	if (!walk_replace_here(walk, openat(walk->here, "..", WALK_FLAGS | O_NOFOLLOW)) ||
	    fstat(walk->here, &info) != 0)
		return false;
	walk->depth--;
	if (info.st_dev != walk->above[walk->depth].device || info.st_ino != walk->above[walk->depth].inode) {
		errno = EAGAIN;
		return false;
	}
	return true;
}

/* Puts what a link says in front of the rest. False with errno 0 when `name` is no link. */
static bool walk_link(struct walk *walk, const char *name)
{
	char target[PATH_MAX];
	const ssize_t length = readlinkat(walk->here, name, target, sizeof(target));
	char *rest;

	if (length < 0) {
		/* Not there, or a part that is not even a directory: whoever opens it says so. */
		errno = 0;
		return false;
	}
	if (length == (ssize_t)sizeof(target)) {
		errno = ENAMETOOLONG;
		return false;
	}
	if (walk->links++ == LINKS_MAX) {
		errno = ELOOP;
		return false;
	}
	if (target[0] == '/') {
		errno = EXDEV;
		return false;
	}
	target[length] = '\0';
	rest = str_printf("%s%s", target, walk->rest + walk->at);
	free(walk->rest);
	walk->rest = rest;
	walk->at = 0;
	return true;
}

/*
 * Walks to the last component. `*ret_last` is that, owned, with walk->here the directory that holds it; or NULL when
 * the path ends in walk->here itself. `*ret_directory`: the last one was written with a slash behind it.
 */
static bool walk_to_last(struct walk *walk, char **ret_last, bool *ret_directory)
{
	for (;;) {
		mem_cleanup char *name = NULL;
		size_t length;

		walk->at += strspn(walk->rest + walk->at, "/");
		length = strcspn(walk->rest + walk->at, "/");
		if (length == 0) {
			*ret_last = NULL;
			return true;
		}
		name = str_dup_n(walk->rest + walk->at, length);
		walk->at += length;
		if (strcmp(name, ".") == 0)
			continue;
		if (strcmp(name, "..") == 0) {
			if (!walk_up(walk))
				return false;
			continue;
		}
		if (walk_link(walk, name))
			continue;
		if (errno != 0)
			return false;
		if (walk->rest[walk->at + strspn(walk->rest + walk->at, "/")] == '\0') {
			*ret_directory = walk->rest[walk->at] == '/';
			*ret_last = MEM_TAKE(name);
			return true;
		}
		if (!walk_down(walk, name))
			return false;
	}
}

/* As openat2 with RESOLVE_BENEATH would. -1 with errno. */
static int walk_open(int base, const char *relative, int flags)
{
	struct walk walk __attribute__((cleanup(walk_done))) = { .rest = str_dup(relative) };
	mem_cleanup char *last = NULL;
	bool directory = false;
	int fd;

	walk.here = openat(base, ".", WALK_FLAGS);
	if (walk.here == -1 || !walk_to_last(&walk, &last, &directory))
		return -1;
	if (last == NULL)
		return openat(walk.here, ".", flags | O_NOFOLLOW);
	fd = openat(walk.here, last, flags | O_NOFOLLOW | (directory ? O_DIRECTORY : 0));
	/* A link that has only just appeared. With O_PATH it is opened itself, and its kind refused later. */
	if (fd == -1 && errno == ELOOP)
		errno = EAGAIN;
	return fd;
}

/* ---- both ways ---- */

#if defined(__linux__) && defined(SYS_openat2)
/* -1 with errno; ENOSYS: there is no such call. */
static int open_by_kernel(int base, const char *relative, int flags)
{
	struct open_how how = { .flags = (unsigned)flags, .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS };
	long fd = syscall(SYS_openat2, base, relative[0] == '\0' ? "." : relative, &how, sizeof(how));

	return (int)fd;
}
#else
static int open_by_kernel(int base, const char *relative, int flags)
{
	(void)base;
	(void)relative;
	(void)flags;
	errno = ENOSYS;
	return -1;
}
#endif

static int open_once(struct scope *scope, const char *relative, int flags)
{
	int fd;

	if (scope->walks)
		return walk_open(scope->fd, relative, flags);
	fd = open_by_kernel(scope->fd, relative, flags);
	/* EPERM is how older container runtimes refuse a call they do not know; opening a path never gives it here. */
	if (fd == -1 && (errno == ENOSYS || errno == EPERM)) {
		scope->walks = true;
		return walk_open(scope->fd, relative, flags);
	}
	return fd;
}

/* -1 with errno. */
static int open_beneath(struct scope *scope, const char *relative, int flags)
{
	for (int i = 0;; i++) {
		const int fd = open_once(scope, relative, flags);

		if (fd != -1 || (errno != EAGAIN && errno != EINTR) || i == ATTEMPTS)
			return fd;
	}
}

bool scope_start(const char *real_cwd, const char *cwd, struct scope *ret_scope, struct npxc_error *err)
{
	const int fd = open(real_cwd, WALK_FLAGS | O_NOFOLLOW);

	if (fd == -1)
		return error_set_errno(err, ERROR_IO, "open the working directory %s", cwd);
	*ret_scope = (struct scope){ .fd = fd, .cwd = str_dup(cwd) };
	return true;
}

void scope_done(struct scope *scope)
{
	fd_close(&scope->fd);
	free(scope->cwd);
	*scope = (struct scope){ .fd = -1 };
}

static const char *objection_to(mode_t mode)
{
	if (S_ISREG(mode) || S_ISDIR(mode))
		return NULL;
	if (S_ISFIFO(mode))
		return "is a FIFO; only files and directories can be named";
	if (S_ISSOCK(mode))
		return "is a socket; only files and directories can be named";
	if (S_ISLNK(mode))
		return "was changed while it was being opened";
	return "is a device; only files and directories can be named";
}

/* What is there, without opening it: a device or a FIFO notices being opened. */
static bool look_beneath(struct scope *scope, const char *relative, struct stat *ret_info)
{
#ifdef O_PATH
	FD_CLEANUP int fd = open_beneath(scope, relative, O_PATH | O_CLOEXEC);

	return fd != -1 && fstat(fd, ret_info) == 0;
#else
	/* By the walk, then by name: a swap in between is seen when the descriptor's own identity is compared. */
	struct walk walk __attribute__((cleanup(walk_done))) = { .rest = str_dup(relative) };
	mem_cleanup char *last = NULL;
	bool directory = false;

	walk.here = openat(scope->fd, ".", WALK_FLAGS);
	if (walk.here == -1 || !walk_to_last(&walk, &last, &directory))
		return false;
	return fstatat(walk.here, last == NULL ? "." : last, ret_info, AT_SYMLINK_NOFOLLOW) == 0;
#endif
}

static bool check_name(const struct scope *scope, const struct scope_name *name, struct npxc_error *err)
{
	mem_cleanup char *shown = NULL;
	mem_cleanup char *cwd = NULL;

	if (scope->fd != -1 && name->relative != NULL)
		return true;
	if (scope->fd == -1)
		return refuse(err, name,
		              "cannot be given to the server: the working directory is too wide to take "
		              "files from");
	shown = str_escape(name->path, strlen(name->path));
	cwd = str_escape(scope->cwd, strlen(scope->cwd));
	return error_set(err, ERROR_PATH_OUT_OF_SCOPE, "\"%.*s\" is outside the working directory %.*s",
	                 (int)SHOWN_BYTES, shown, (int)SHOWN_BYTES, cwd);
}

bool scope_open(struct scope *scope, const struct scope_name *name, struct scope_file *ret_file, struct npxc_error *err)
{
	struct scope_file file = { .fd = -1 };
	const int only = name->directory ? O_DIRECTORY : 0;

	if (!check_name(scope, name, err))
		return false;
	for (int i = 0; i <= ATTEMPTS; i++) {
		FD_CLEANUP int fd = -1;
		struct stat seen;
		const char *objection;

		if (!look_beneath(scope, name->relative, &seen))
			return report(err, scope, name);
		objection = objection_to(seen.st_mode);
		if (objection != NULL)
			return refuse(err, name, objection);
		fd = open_beneath(scope, name->relative, READ_FLAGS | only);
		if (fd == -1 || fstat(fd, &file.info) != 0)
			return report(err, scope, name);
		if (file.info.st_dev == seen.st_dev && file.info.st_ino == seen.st_ino &&
		    objection_to(file.info.st_mode) == NULL) {
			file.fd = fd_take(&fd);
			*ret_file = file;
			return true;
		}
	}
	errno = EAGAIN;
	return report(err, scope, name);
}

void scope_file_done(struct scope_file *file)
{
	fd_close(&file->fd);
}

bool scope_open_parent(struct scope *scope, const struct scope_name *name, struct scope_parent *ret_parent,
                       struct npxc_error *err)
{
	FD_CLEANUP int fd = -1;
	mem_cleanup char *directory = NULL;
	const char *slash, *leaf;
	struct stat info;

	if (!check_name(scope, name, err))
		return false;
	slash = strrchr(name->relative, '/');
	leaf = slash == NULL ? name->relative : slash + 1;
	if (leaf[0] == '\0' || strcmp(leaf, "..") == 0)
		return refuse(err, name, "is a directory that exists already");
	if (name->directory)
		return refuse(err, name, "is written as a directory; only a file can be made");
	directory = str_dup_n(name->relative, slash == NULL ? 0 : (size_t)(slash - name->relative));
	fd = open_beneath(scope, directory, WALK_FLAGS);
	if (fd == -1)
		return report(err, scope, name);
	if (fstatat(fd, leaf, &info, AT_SYMLINK_NOFOLLOW) == 0)
		return refuse(err, name, "exists already");
	if (errno != ENOENT)
		return report(err, scope, name);
	*ret_parent = (struct scope_parent){ .fd = fd_take(&fd), .leaf = str_dup(leaf) };
	return true;
}

void scope_parent_done(struct scope_parent *parent)
{
	fd_close(&parent->fd);
	free(parent->leaf);
	*parent = (struct scope_parent){ .fd = -1 };
}
