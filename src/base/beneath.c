#include "base/beneath.h"

#include "base/fd.h"
#include "base/mem.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
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

static bool is_absent; /* openat2 */

bool beneath_walks(void)
{
	return is_absent;
}

/* ---- mounts ---- */

struct mount {
	bool has_id;
	unsigned long long id;
	dev_t device;
};

#if defined(__linux__) && defined(STATX_MNT_ID)
/* False: it cannot be asked. `*ret_root`: the root of a mount. */
static bool ask_mount(int fd, struct mount *mount, bool *ret_root)
{
	struct statx more;

	if (statx(fd, "", AT_EMPTY_PATH, STATX_TYPE | STATX_MNT_ID, &more) != 0)
		return false;
	mount->has_id = (more.stx_mask & STATX_MNT_ID) != 0;
	mount->id = more.stx_mnt_id;
#ifdef STATX_ATTR_MOUNT_ROOT
	*ret_root = (more.stx_attributes & more.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT) != 0;
#endif
	return true;
}
#else
static bool ask_mount(int fd, struct mount *mount, bool *ret_root)
{
	(void)fd;
	(void)mount;
	(void)ret_root;
	return false;
}
#endif

static bool mount_of(int fd, struct mount *ret_mount)
{
	struct mount mount = { 0 };
	struct stat info;
	bool ignored = false;

	if (fstat(fd, &info) != 0)
		return false;
	mount.device = info.st_dev;
	(void)ask_mount(fd, &mount, &ignored);
	*ret_mount = mount;
	return true;
}

/* False with EXDEV when the descriptor, of something below it, is of another mount. */
static bool stays_on(const struct mount *mount, int fd)
{
	struct mount here = { 0 };
	struct stat info;
	bool is_root = false;
	bool same;

	if (fstat(fd, &info) != 0)
		return false;
	/* Files of an overlay may have the devices of the layers that they come from. */
	same = !S_ISDIR(info.st_mode) || info.st_dev == mount->device;
	if (ask_mount(fd, &here, &is_root))
		same = mount->has_id && here.has_id ? here.id == mount->id : same && !is_root;
	if (!same)
		errno = EXDEV;
	return same;
}

/* ---- the walk ---- */

struct place { /* what a directory is, to know it again */
	dev_t device;
	ino_t inode;
};

struct walk {
	enum beneath_rule rule;
	struct mount mount;  /* that the base is on */
	int here;            /* owned */
	struct place *above; /* owned: of each directory from the base down to, without, here */
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

/* What openat says of a link when a directory was wanted, and what openat2 says. */
static void name_link(int directory, const char *name)
{
	const int saved = errno;
	struct stat info;

	errno = saved == ENOTDIR && fstatat(directory, name, &info, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(info.st_mode)
	            ? ELOOP
	            : saved;
}

static bool walk_down_plain(struct walk *walk, const char *name)
{
	FD_CLEANUP int fd = openat(walk->here, name, BENEATH_WALK_FLAGS | O_NOFOLLOW);

	if (fd == -1) {
		name_link(walk->here, name);
		return false;
	}
	return stays_on(&walk->mount, fd) && walk_replace_here(walk, fd_take(&fd));
}

static bool walk_down(struct walk *walk, const char *name)
{
	struct stat info;

	if (walk->rule == BENEATH_PLAIN)
		return walk_down_plain(walk, name);
	if (fstat(walk->here, &info) != 0)
		return false;
	if (walk->depth == walk->capacity) {
		walk->capacity = walk->capacity == 0 ? 16 : walk->capacity * 2;
		walk->above = mem_realloc(walk->above, walk->capacity, sizeof(*walk->above));
	}
	walk->above[walk->depth] = (struct place){ info.st_dev, info.st_ino };
	if (!walk_replace_here(walk, openat(walk->here, name, BENEATH_WALK_FLAGS | O_NOFOLLOW))) {
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
	if (!walk_replace_here(walk, openat(walk->here, "..", BENEATH_WALK_FLAGS | O_NOFOLLOW)) ||
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
		if (walk->rule == BENEATH_LINKS) {
			if (walk_link(walk, name))
				continue;
			if (errno != 0)
				return false;
		}
		if (walk->rest[walk->at + strspn(walk->rest + walk->at, "/")] == '\0') {
			*ret_directory = walk->rest[walk->at] == '/';
			*ret_last = MEM_TAKE(name);
			return true;
		}
		if (!walk_down(walk, name))
			return false;
	}
}

static bool walk_start(struct walk *walk, int base, const char *relative, enum beneath_rule rule)
{
	walk->rule = rule;
	walk->rest = str_dup(relative);
	walk->here = openat(base, ".", BENEATH_WALK_FLAGS);
	return walk->here != -1 && mount_of(walk->here, &walk->mount);
}

/* As openat2 would. -1 with errno. */
static int walk_open(int base, const char *relative, int flags, mode_t mode, enum beneath_rule rule)
{
	struct walk walk __attribute__((cleanup(walk_done))) = { .here = -1 };
	mem_cleanup char *last = NULL;
	bool directory = false;
	FD_CLEANUP int fd = -1;

	if (!walk_start(&walk, base, relative, rule) || !walk_to_last(&walk, &last, &directory))
		return -1;
	if (last == NULL)
		return openat(walk.here, ".", flags | O_NOFOLLOW, mode);
	fd = openat(walk.here, last, flags | O_NOFOLLOW | (directory ? O_DIRECTORY : 0), mode);
	if (fd == -1 && rule == BENEATH_PLAIN)
		name_link(walk.here, last);
	/* A link that has only just appeared. With O_PATH it is opened itself, and its kind refused later. */
	if (fd == -1 && errno == ELOOP && rule == BENEATH_LINKS)
		errno = EAGAIN;
	if (fd == -1 || (rule == BENEATH_PLAIN && !stays_on(&walk.mount, fd)))
		return -1;
	return fd_take(&fd);
}

/* ---- both ways ---- */

#if defined(__linux__) && defined(SYS_openat2)
/* -1 with errno; ENOSYS: there is no such call. */
static int open_by_kernel(int base, const char *relative, int flags, mode_t mode, enum beneath_rule rule)
{
	struct open_how how = { .flags = (unsigned)flags, .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS };
	long fd;

	if ((flags & O_CREAT) != 0)
		how.mode = mode;
	if (rule == BENEATH_PLAIN)
		how.resolve |= RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV;
	fd = syscall(SYS_openat2, base, relative[0] == '\0' ? "." : relative, &how, sizeof(how));
	/* Of a link where a directory was wanted the kernel says ENOTDIR: asked what it is, without following it. */
	if (fd == -1 && errno == ENOTDIR && rule == BENEATH_PLAIN && (flags & O_DIRECTORY) != 0) {
		FD_CLEANUP int there = open_by_kernel(base, relative, O_PATH | O_NOFOLLOW | O_CLOEXEC, 0, rule);
		struct stat info;

		errno = there != -1 && fstat(there, &info) == 0 && S_ISLNK(info.st_mode) ? ELOOP : ENOTDIR;
	}
	return (int)fd;
}
#else
static int open_by_kernel(int base, const char *relative, int flags, mode_t mode, enum beneath_rule rule)
{
	(void)base;
	(void)relative;
	(void)flags;
	(void)mode;
	(void)rule;
	errno = ENOSYS;
	return -1;
}
#endif

/*
 * EPERM is how older container runtimes refuse a call that they do not know. Opening to read or to walk never gives it
 * by itself, but creating may (an immutable directory): the walk then says the same.
 */
static int open_once(int base, const char *relative, int flags, mode_t mode, enum beneath_rule rule)
{
	int fd;

	if (is_absent)
		return walk_open(base, relative, flags, mode, rule);
	fd = open_by_kernel(base, relative, flags, mode, rule);
	if (fd == -1 && (errno == ENOSYS || errno == EPERM)) {
		is_absent = errno == ENOSYS || (flags & O_CREAT) == 0;
		return walk_open(base, relative, flags, mode, rule);
	}
	return fd;
}

bool beneath_is_clean(const char *relative)
{
	if (relative[0] == '\0')
		return true;
	for (const char *at = relative;; at++) {
		const size_t length = strcspn(at, "/");

		if (length == 0 || (length == 1 && at[0] == '.') || (length == 2 && at[0] == '.' && at[1] == '.'))
			return false;
		at += length;
		if (*at == '\0')
			return true;
	}
}

static bool check_relative(const char *relative, enum beneath_rule rule)
{
	if (rule == BENEATH_PLAIN && !beneath_is_clean(relative))
		errno = EINVAL;
	else if (rule == BENEATH_PLAIN && strlen(relative) >= PATH_MAX)
		errno = ENAMETOOLONG;
	else
		return true;
	return false;
}

int beneath_open(int base, const char *relative, int flags, mode_t mode, enum beneath_rule rule)
{
	if (!check_relative(relative, rule))
		return -1;
	flags |= O_CLOEXEC | (rule == BENEATH_PLAIN ? O_NOFOLLOW : 0);
	for (int i = 0;; i++) {
		const int fd = open_once(base, relative, flags, mode, rule);

		if (fd != -1 || (errno != EAGAIN && errno != EINTR) || i == ATTEMPTS)
			return fd;
	}
}

static int open_parent_by_walk(int base, const char *relative, char **ret_leaf)
{
	struct walk walk __attribute__((cleanup(walk_done))) = { .here = -1 };
	mem_cleanup char *last = NULL;
	bool ignored = false;

	if (!walk_start(&walk, base, relative, BENEATH_LINKS) || !walk_to_last(&walk, &last, &ignored))
		return -1;
	*ret_leaf = MEM_TAKE(last);
	return fd_take(&walk.here);
}

int beneath_open_parent(int base, const char *relative, enum beneath_rule rule, char **ret_leaf)
{
	const char *slash = strrchr(relative, '/');
	mem_cleanup char *parent = NULL;
	int fd;

	if (rule == BENEATH_LINKS)
		return open_parent_by_walk(base, relative, ret_leaf);
	if (!check_relative(relative, rule))
		return -1;
	parent = str_dup_n(relative, slash == NULL ? 0 : (size_t)(slash - relative));
	fd = beneath_open(base, parent, BENEATH_WALK_FLAGS, 0, rule);
	if (fd != -1)
		*ret_leaf = relative[0] == '\0' ? NULL : str_dup(slash == NULL ? relative : slash + 1);
	return fd;
}
