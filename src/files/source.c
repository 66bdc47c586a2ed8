#include "files/source.h"

#include "base/fd.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* As many links as Linux follows in one path. */
enum { LINKS_MAX = 40 };

#if defined(O_PATH)
#define LOOK_FLAGS (O_PATH | O_NOFOLLOW | O_CLOEXEC)
#elif defined(O_SEARCH)
#define LOOK_FLAGS (O_SEARCH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
#else
#define LOOK_FLAGS (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
#endif

struct place { /* what a directory is, to know it again */
	dev_t device;
	ino_t inode;
};

struct walk {
	struct source at;    /* where the walk has come to; info is kept up with fd */
	struct place *above; /* owned; of each directory from the root down to, without, the one at hand */
	size_t depth, capacity;
	unsigned links;
	char *rest; /* owned; what is still to be walked */
};

static void walk_cleanup(struct walk *walk)
{
	source_done(&walk->at);
	free(walk->above);
	free(walk->rest);
}

static bool to_root(struct walk *walk)
{
	fd_close(&walk->at.fd);
	free(walk->at.path);
	walk->at.path = str_dup("/");
	walk->depth = 0;
	walk->at.fd = open("/", LOOK_FLAGS);
	return walk->at.fd != -1 && fstat(walk->at.fd, &walk->at.info) == 0;
}

/* Asked of the file system, and it must be where the walk came from: a directory may have been moved meanwhile. */
static bool to_parent(struct walk *walk)
{
	char *slash = strrchr(walk->at.path, '/');
	struct stat info;

	if (walk->depth == 0)
		return true;
	FD_CLEANUP int fd = openat(walk->at.fd, "..", LOOK_FLAGS);
	if (fd == -1 || fstat(fd, &info) != 0)
		return false;
	walk->depth--;
	if (info.st_dev != walk->above[walk->depth].device || info.st_ino != walk->above[walk->depth].inode) {
		errno = EAGAIN;
		return false;
	}
	slash[slash == walk->at.path] = '\0';
	fd_close(&walk->at.fd);
	walk->at.fd = fd_take(&fd);
	walk->at.info = info;
	return true;
}

/* The component as it is, a link included. False with errno. `*ret_fd` may stay -1 where only directories open. */
static bool look(const struct walk *walk, const char *name, int *ret_fd, struct stat *ret_info)
{
	/* Asked for as a directory, one that is only mounted when it is used (autofs) is mounted now. */
	FD_CLEANUP int fd = openat(walk->at.fd, name, LOOK_FLAGS | O_DIRECTORY);

#if defined(O_PATH)
	if (fd == -1 && errno == ENOTDIR)
		fd = openat(walk->at.fd, name, LOOK_FLAGS);
	if (fd == -1 || fstat(fd, ret_info) != 0)
		return false;
#else
	if (fd == -1 && errno != ENOTDIR && errno != ELOOP && errno != EMLINK)
		return false;
	if ((fd == -1 ? fstatat(walk->at.fd, name, ret_info, AT_SYMLINK_NOFOLLOW) : fstat(fd, ret_info)) != 0)
		return false;
	if (fd == -1 && S_ISDIR(ret_info->st_mode)) {
		errno = EAGAIN;
		return false;
	}
#endif
	*ret_fd = fd_take(&fd);
	return true;
}

/* Puts what the link says in front of the rest. */
static bool follow(struct walk *walk, const char *name, int link_fd)
{
	char target[PATH_MAX];
#if defined(O_PATH)
	(void)name;
	const ssize_t length = readlinkat(link_fd, "", target, sizeof(target)); /* the very link that was looked at */
#else
	(void)link_fd;
	const ssize_t length = readlinkat(walk->at.fd, name, target, sizeof(target));
#endif
	if (length < 0)
		return false;
	if (length == (ssize_t)sizeof(target) || walk->links++ == LINKS_MAX) {
		errno = length == (ssize_t)sizeof(target) ? ENAMETOOLONG : ELOOP;
		return false;
	}
	target[length] = '\0';
	walk->at.is_link = walk->at.is_link || walk->rest[0] == '\0';
	char *rest = str_printf("%s%s", target, walk->rest); /* that begins with a slash, or is nothing */
	free(walk->rest);
	walk->rest = rest;
	return target[0] != '/' || to_root(walk);
}

static void note_link(struct walk *walk, const char *name)
{
	const struct stat *directory = &walk->at.info;

	if (directory->st_uid == 0 && (directory->st_mode & (S_IWGRP | S_IWOTH)) == 0)
		return;
	strv_push_owned(&walk->at.links, str_path_join(walk->at.path, name));
}

static bool step(struct walk *walk, const char *name)
{
	FD_CLEANUP int fd = -1;
	struct stat info;

	if (!S_ISDIR(walk->at.info.st_mode)) {
		errno = ENOTDIR;
		return false;
	}
	if (strcmp(name, ".") == 0)
		return true;
	if (strcmp(name, "..") == 0)
		return to_parent(walk);
	if (!look(walk, name, &fd, &info))
		return false;
	if (S_ISLNK(info.st_mode)) {
		note_link(walk, name);
		return follow(walk, name, fd);
	}
	if (walk->depth == walk->capacity) {
		walk->capacity = walk->capacity == 0 ? 16 : walk->capacity * 2;
		walk->above = mem_realloc(walk->above, walk->capacity, sizeof(*walk->above));
	}
	walk->above[walk->depth++] = (struct place){ walk->at.info.st_dev, walk->at.info.st_ino };
	char *path = str_path_join(walk->at.path, name);
	free(walk->at.path);
	walk->at.path = path;
	fd_close(&walk->at.fd);
	walk->at.fd = fd_take(&fd);
	walk->at.info = info;
	return true;
}

/* A slash at the end wants a directory, as it does for the kernel. */
static bool run(struct walk *walk)
{
	if (!to_root(walk))
		return false;
	while (walk->rest[0] != '\0') {
		const size_t slashes = strspn(walk->rest, "/"), length = strcspn(walk->rest + slashes, "/");
		mem_cleanup char *name = str_dup_n(walk->rest + slashes, length);

		memmove(walk->rest, walk->rest + slashes + length, strlen(walk->rest + slashes + length) + 1);
		if (!step(walk, length == 0 ? "." : name))
			return false;
	}
	return true;
}

bool source_open(const char *path, struct source *ret_source, struct npxc_error *err)
{
	struct walk walk __attribute__((cleanup(walk_cleanup))) = { .at = SOURCE_NONE, .rest = str_dup(path) };

	if (path[0] != '/')
		return error_set(err, ERROR_PATH_NOT_FOUND, "\"%s\" is not an absolute path", path);
	if (!run(&walk))
		return error_set_errno(err, ERROR_PATH_NOT_FOUND, "%s", path);
	*ret_source = source_take(&walk.at);
	return true;
}

const char *source_leads_out_of(const struct source *source, const struct strv *trees, const char **ret_link)
{
	for (size_t i = 0; i < source->links.count; i++)
		for (size_t k = 0; trees != NULL && k < trees->count; k++) {
			const char *link = source->links.v[i], *tree = trees->v[k];

			if (str_equal(link, tree) || !str_path_within(link, tree) ||
			    str_path_within(source->path, tree))
				continue;
			*ret_link = link;
			return tree;
		}
	return NULL;
}

struct source source_take(struct source *source)
{
	const struct source taken = *source;

	*source = (struct source)SOURCE_NONE;
	return taken;
}

void source_done(struct source *source)
{
	if (source->path != NULL)
		fd_close(&source->fd);
	free(source->path);
	source->path = NULL;
	strv_done(&source->links);
}
