#include "files/find.h"

#include "base/beneath.h"
#include "base/fd.h"
#include "base/mem.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* As many links as Linux follows in one path. */
enum { LINKS_MAX = 40 };

/* A FIFO or a device that gets into the way after all is neither waited for nor made our terminal. */
#define READ_FLAGS (O_RDONLY | O_NONBLOCK | O_NOCTTY)

void find_done(struct find *found)
{
	free(found->path);
	for (size_t i = 0; i < found->link_count; i++) {
		free(found->links[i].path);
		free(found->links[i].target);
	}
	free(found->links);
	*found = (struct find){ 0 };
}

static void judge(struct find *found)
{
	if (S_ISREG(found->info.st_mode))
		found->kind = FIND_FILE;
	else
		found->kind = S_ISDIR(found->info.st_mode) ? FIND_DIRECTORY : FIND_OTHER;
}

/* Where no link is on the way: nearly always. */
static bool find_at_once(const struct find_root *root, const char *relative, struct find *found)
{
#ifdef O_PATH
	FD_CLEANUP int fd = beneath_open(root->fd, relative, O_PATH, 0, BENEATH_MOUNTS);

	if (fd == -1 || fstat(fd, &found->info) != 0 || S_ISLNK(found->info.st_mode))
		return false;
	found->path = str_dup(relative);
	judge(found);
	return true;
#else
	(void)root;
	(void)relative;
	(void)found;
	return false;
#endif
}

struct walk {
	const struct find_root *root;
	struct find *found;
	char *here; /* owned; where the walk is; no link in it */
	int fd;     /* owned; of `here` */
	char *rest; /* owned; what is still to be walked */
	unsigned links;
};

static void walk_done(struct walk *walk)
{
	free(walk->here);
	free(walk->rest);
	fd_close(&walk->fd);
}

/* Takes over both. */
static void arrive(struct walk *walk, int fd, char *owned_path)
{
	free(walk->here);
	walk->here = owned_path;
	fd_close(&walk->fd);
	walk->fd = fd;
}

/* To a directory that the walk has been in. */
static bool go_to(struct walk *walk, const char *path)
{
	const int fd = beneath_open(walk->root->fd, path, BENEATH_WALK_FLAGS, 0, BENEATH_MOUNTS);

	if (fd != -1)
		arrive(walk, fd, str_dup(path));
	return fd != -1;
}

static bool end(struct walk *walk, enum find_kind kind, char *owned_path)
{
	walk->found->kind = kind;
	walk->found->path = owned_path;
	return false;
}

/* The beginning of an absolute text that is the working directory; what follows. NULL: it leads elsewhere. */
static const char *into_scope(const struct walk *walk, const char *target)
{
	mem_cleanup char *clean = str_path_clean(target);

	/* ".." behind a link means something else than the text says: such a target has to be written without. */
	if (strstr(target, "/../") != NULL || str_ends(target, "/.."))
		return NULL;
	return scope_behind(walk->root->place, clean) == NULL ? NULL : scope_behind(walk->root->place, target);
}

static bool follow(struct walk *walk, const char *name, char *owned_path)
{
	char target[PATH_MAX];
	const ssize_t length = readlinkat(walk->fd, name, target, sizeof(target) - 1);
	struct find *found = walk->found;
	const char *inside = target;
	mem_cleanup char *path = owned_path;
	char *rest;

	if (length < 0 || walk->links++ == LINKS_MAX)
		return end(walk, length < 0 ? FIND_MISSING : FIND_OUTSIDE, MEM_TAKE(path));
	target[length] = '\0';
	if (target[0] == '/') {
		inside = into_scope(walk, target);
		if (inside == NULL || !go_to(walk, ""))
			return end(walk, FIND_OUTSIDE, MEM_TAKE(path));
	}
	found->links = mem_realloc(found->links, found->link_count + 1, sizeof(*found->links));
	found->links[found->link_count++] = (struct find_link){ .path = MEM_TAKE(path), .target = str_dup(target) };
	rest = str_printf("%s/%s", inside, walk->rest);
	free(walk->rest);
	walk->rest = rest;
	return true;
}

/* One component. False: the end, and found->kind says which. */
static bool step(struct walk *walk)
{
	const char *start = walk->rest + strspn(walk->rest, "/");
	const size_t length = strcspn(start, "/");
	mem_cleanup char *name = str_dup_n(start, length);
	mem_cleanup char *path = NULL;
	struct stat info;
	int fd;

	if (length == 0) {
		if (fstat(walk->fd, &walk->found->info) != 0)
			return end(walk, FIND_DENIED, str_dup(walk->here));
		return end(walk, FIND_DIRECTORY, str_dup(walk->here));
	}
	memmove(walk->rest, start + length, strlen(start + length) + 1);
	if (strcmp(name, ".") == 0)
		return true;
	if (strcmp(name, "..") == 0) {
		mem_cleanup char *above = str_path_parent(walk->here);

		if (walk->here[0] == '\0')
			return end(walk, FIND_OUTSIDE, str_dup(""));
		return go_to(walk, above) || end(walk, FIND_MISSING, str_dup(walk->here));
	}
	path = walk->here[0] == '\0' ? str_dup(name) : str_printf("%s/%s", walk->here, name);
	if (fstatat(walk->fd, name, &info, AT_SYMLINK_NOFOLLOW) != 0)
		return end(walk,
		           errno == ENOENT || errno == ENOTDIR || errno == ENAMETOOLONG ? FIND_MISSING : FIND_DENIED,
		           MEM_TAKE(path));
	if (S_ISLNK(info.st_mode))
		return follow(walk, name, MEM_TAKE(path));
	if (!S_ISDIR(info.st_mode)) {
		if (walk->rest[strspn(walk->rest, "/")] != '\0')
			return end(walk, FIND_MISSING, MEM_TAKE(path));
		walk->found->info = info;
		walk->found->path = MEM_TAKE(path);
		judge(walk->found);
		return false;
	}
	fd = beneath_open(walk->fd, name, BENEATH_WALK_FLAGS, 0, BENEATH_MOUNTS);
	if (fd == -1)
		return end(walk, errno == EACCES ? FIND_DENIED : FIND_MISSING, MEM_TAKE(path));
	arrive(walk, fd, MEM_TAKE(path));
	return true;
}

void find_path(const struct find_root *root, const char *relative, struct find *ret_found)
{
	struct find found = { 0 };
	struct walk walk __attribute__((cleanup(walk_done))) = { .root = root, .found = &found, .fd = -1 };

	if (!find_at_once(root, relative, &found)) {
		walk.rest = str_dup(relative);
		if (!go_to(&walk, ""))
			(void)end(&walk, FIND_DENIED, str_dup(""));
		else
			while (step(&walk))
				;
	}
	*ret_found = found;
}

bool find_open(const struct find_root *root, const struct find *found, int *ret_fd)
{
	const int only = found->kind == FIND_DIRECTORY ? O_DIRECTORY : 0;
	FD_CLEANUP int fd = beneath_open(root->fd, found->path, READ_FLAGS | only, 0, BENEATH_MOUNTS);
	struct stat info;

	if (fd == -1 || fstat(fd, &info) != 0)
		return false;
	if (info.st_dev != found->info.st_dev || info.st_ino != found->info.st_ino ||
	    (info.st_mode & S_IFMT) != (found->info.st_mode & S_IFMT)) {
		errno = ESTALE;
		return false;
	}
	*ret_fd = fd_take(&fd);
	return true;
}

int find_open_parent(const struct find_root *root, const char *path)
{
	mem_cleanup char *leaf = NULL;

	return beneath_open_parent(root->fd, path, BENEATH_MOUNTS, &leaf);
}
