#include "base/beneath.h"

#include "base/fault.h"
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

/* What is being renamed or mounted meanwhile may make the kernel give up; so often it is asked again. */
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

/* What openat says of a link when a directory was wanted, and what openat2 says. */
static void name_link(int directory, const char *name)
{
	const int saved = errno;
	struct stat info;

	errno = saved == ENOTDIR && fstatat(directory, name, &info, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(info.st_mode)
	            ? ELOOP
	            : saved;
}

/* As openat2 would, one component at a time. -1 with errno. */
static int walk_open(int base, const char *relative, int flags, mode_t mode, enum beneath_rule rule)
{
	struct mount mount;
	FD_CLEANUP int here = openat(base, ".", BENEATH_WALK_FLAGS);

	if (here == -1 || !mount_of(here, &mount))
		return -1;
	for (const char *at = relative;;) {
		const size_t length = strcspn(at, "/");
		const bool last = at[length] == '\0';
		mem_cleanup char *name = length == 0 ? str_dup(".") : str_dup_n(at, length);
		FD_CLEANUP int next = openat(here, name, (last ? flags : BENEATH_WALK_FLAGS) | O_NOFOLLOW, mode);

		if (next == -1) {
			name_link(here, name);
			return -1;
		}
		if (rule == BENEATH_PLAIN && !stays_on(&mount, next))
			return -1;
		if (last)
			return fd_take(&next);
		fd_close(&here);
		here = fd_take(&next);
		at += length + 1;
	}
}

/* ---- both ways ---- */

#if defined(__linux__) && defined(SYS_openat2)
/* -1 with errno; ENOSYS: there is no such call. */
static int open_by_kernel(int base, const char *relative, int flags, mode_t mode, enum beneath_rule rule)
{
	struct open_how how = { .flags = (unsigned)flags,
		                .resolve = WITHOUT("beneath") ? RESOLVE_NO_MAGICLINKS
		                                              : RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS };
	long fd;

	if ((flags & O_CREAT) != 0)
		how.mode = mode;
	if (rule == BENEATH_PLAIN)
		how.resolve |= RESOLVE_NO_XDEV;
	fd = syscall(SYS_openat2, base, relative[0] == '\0' ? "." : relative, &how, sizeof(how));
	/* Of a link where a directory was wanted the kernel says ENOTDIR: asked what it is, without following it. */
	if (fd == -1 && errno == ENOTDIR && (flags & O_DIRECTORY) != 0) {
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

int beneath_open(int base, const char *relative, int flags, mode_t mode, enum beneath_rule rule)
{
	if (!beneath_is_clean(relative) || strlen(relative) >= PATH_MAX) {
		errno = beneath_is_clean(relative) ? ENAMETOOLONG : EINVAL;
		return -1;
	}
	flags |= O_CLOEXEC | O_NOFOLLOW;
	for (int i = 0;; i++) {
		const int fd = open_once(base, relative, flags, mode, rule);

		if (fd != -1 || (errno != EAGAIN && errno != EINTR) || i == ATTEMPTS)
			return fd;
	}
}

int beneath_open_parent(int base, const char *relative, enum beneath_rule rule, char **ret_leaf)
{
	const char *slash = strrchr(relative, '/');
	mem_cleanup char *parent = str_dup_n(relative, slash == NULL ? 0 : (size_t)(slash - relative));
	int fd;

	if (!beneath_is_clean(relative)) {
		errno = EINVAL;
		return -1;
	}
	fd = beneath_open(base, parent, BENEATH_WALK_FLAGS, 0, rule);
	if (fd != -1)
		*ret_leaf = relative[0] == '\0' ? NULL : str_dup(slash == NULL ? relative : slash + 1);
	return fd;
}
