#include "mcp/scope.h"

#include "base/beneath.h"
#include "base/fd.h"
#include "base/mem.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What keeps changing while it is looked at and opened is looked at so often. */
enum { ATTEMPTS = 32 };

/* bytes: of a path in a message; its escaped form, cut. */
enum { SHOWN_BYTES = 160 };

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

bool scope_start(const char *real_cwd, const char *cwd, struct scope *ret_scope, struct npxc_error *err)
{
	const int fd = open(real_cwd, BENEATH_WALK_FLAGS | O_NOFOLLOW);

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
	FD_CLEANUP int fd = beneath_open(scope->fd, relative, O_PATH, 0, BENEATH_LINKS);

	return fd != -1 && fstat(fd, ret_info) == 0;
#else
	/* By the walk, then by name: a swap in between is seen when the descriptor's own identity is compared. */
	mem_cleanup char *leaf = NULL;
	FD_CLEANUP int parent = beneath_open_parent(scope->fd, relative, BENEATH_LINKS, &leaf);

	return parent != -1 && fstatat(parent, leaf == NULL ? "." : leaf, ret_info, AT_SYMLINK_NOFOLLOW) == 0;
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
		fd = beneath_open(scope->fd, name->relative, READ_FLAGS | only, 0, BENEATH_LINKS);
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
	fd = beneath_open(scope->fd, directory, BENEATH_WALK_FLAGS, 0, BENEATH_LINKS);
	if (fd == -1)
		return report(err, scope, name);
	if (fstatat(fd, leaf, &info, AT_SYMLINK_NOFOLLOW) == 0)
		return refuse(err, name, "exists already");
	if (errno != ENOENT)
		return report(err, scope, name);
	mem_cleanup char *top = NULL;
	mem_cleanup char *here = NULL;
	if (!fd_path(scope->fd, &top, err) || !fd_path(fd, &here, err))
		return false;
	if (!str_path_within(here, top))
		return refuse(err, name, "was changed while it was being opened");
	const char *below = here + strlen(top) + (here[strlen(top)] == '/');
	*ret_parent =
	    (struct scope_parent){ .fd = fd_take(&fd),
		                   .leaf = str_dup(leaf),
		                   .path = below[0] == '\0' ? str_dup(leaf) : str_printf("%s/%s", below, leaf) };
	return true;
}

void scope_parent_done(struct scope_parent *parent)
{
	fd_close(&parent->fd);
	free(parent->leaf);
	free(parent->path);
	*parent = (struct scope_parent){ .fd = -1 };
}
