#include "contain/reach.h"

#ifdef __linux__

#include "base/fd.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* One path to be made reachable, opened before anything was covered. */
struct target {
	char *path; /* owned, cleaned */
	int fd;
	bool is_directory;
};

struct work {
	struct target *targets; /* shallow ones first: what lies beneath is bound over what it lies in */
	size_t count;
	dev_t *covers; /* devices of the tmpfs put over closed directories: only there are components made */
	size_t cover_count;
	unsigned uid;
};

static void work_cleanup(struct work *work)
{
	for (size_t i = 0; i < work->count; i++) {
		fd_close(&work->targets[i].fd);
		free(work->targets[i].path);
	}
	free(work->targets);
	free(work->covers);
}

static int by_depth(const void *a, const void *b)
{
	const char *const paths[] = { ((const struct target *)a)->path, ((const struct target *)b)->path };
	int depth[] = { 0, 0 };

	for (size_t i = 0; i < 2; i++)
		for (const char *p = paths[i]; *p != '\0'; p++)
			depth[i] += *p == '/';
	return depth[0] != depth[1] ? depth[0] - depth[1] : strcmp(paths[0], paths[1]);
}

static bool add_target(struct work *work, const char *path, int expected, struct npxc_error *err)
{
	struct target *target;
	struct stat info;
	struct stat meant;

	work->targets = mem_realloc(work->targets, work->count + 1, sizeof(*work->targets));
	target = &work->targets[work->count++];
	*target = (struct target){ .path = str_dup(path) };
	target->fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (target->fd == -1 || fstat(target->fd, &info) == -1)
		return error_set_errno(err, ERROR_RUNTIME, "open %s", path);
	if (S_ISLNK(info.st_mode))
		return error_set(err, ERROR_RUNTIME, "%s is a symbolic link; name what it points to", path);
	if (expected != -1 &&
	    (fstat(expected, &meant) == -1 || meant.st_dev != info.st_dev || meant.st_ino != info.st_ino))
		return error_set(err, ERROR_RUNTIME, REACH_REPLACED, path);
	target->is_directory = S_ISDIR(info.st_mode);
	return true;
}

/*
 * A way that leads over symbolic links is rebuilt twice: where it really lies, because a link outside the covers leads
 * there, and under the given name, because a link inside a cover is hidden.
 */
static bool open_targets(struct work *work, char *const *paths, const int *expected, size_t count,
                         struct npxc_error *err)
{
	for (size_t i = 0; i < count; i++) {
		mem_cleanup char *path = NULL;
		mem_cleanup char *parent = NULL;
		mem_cleanup char *real_parent = NULL;
		mem_cleanup char *real = NULL;
		const int fd = expected == NULL ? -1 : expected[i];

		if (paths[i][0] != '/')
			return error_set(err, ERROR_RUNTIME, "\"%s\" is not an absolute path", paths[i]);
		path = str_path_clean(paths[i]);
		parent = str_path_join(path, "..");
		real_parent = realpath(parent, NULL);
		if (real_parent == NULL)
			return error_set_errno(err, ERROR_RUNTIME, "open %s", parent);
		if (!add_target(work, path, fd, err))
			return false;
		real = str_path_join(real_parent, strrchr(path, '/') + 1);
		if (strcmp(real, path) != 0 && !add_target(work, real, fd, err))
			return false;
	}
	if (work->count > 1)
		qsort(work->targets, work->count, sizeof(*work->targets), by_depth);
	return true;
}

/* By the permission bits: an access list that says otherwise makes the directory be covered, or bubblewrap fail. */
static bool may_search(const struct stat *directory, unsigned uid)
{
	if (directory->st_uid == uid)
		return (directory->st_mode & S_IXUSR) != 0;
	if (directory->st_gid == uid)
		return (directory->st_mode & S_IXGRP) != 0;
	return (directory->st_mode & S_IXOTH) != 0;
}

static bool is_cover(const struct work *work, dev_t device)
{
	for (size_t i = 0; i < work->cover_count; i++)
		if (work->covers[i] == device)
			return true;
	return false;
}

/* The tmpfs holds a few empty directories and mount points, nothing of any size. */
static bool cover(struct work *work, const char *directory, struct npxc_error *err)
{
	struct stat info;

	if (mount("npxc", directory, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0755,size=64k") == -1 ||
	    stat(directory, &info) == -1)
		return error_set_errno(err, ERROR_RUNTIME, "cover %s for the sandbox's user", directory);
	work->covers = mem_realloc(work->covers, work->cover_count + 1, sizeof(*work->covers));
	work->covers[work->cover_count++] = info.st_dev;
	return true;
}

/*
 * The device of the directory that `path` lies in, to be sure that nothing is made outside a cover. The mounts below
 * are this process's own, so that nobody else can change them between look and deed.
 */
static bool parent_is_cover(const struct work *work, const char *path)
{
	mem_cleanup char *parent = str_path_join(path, "..");
	struct stat info;

	return stat(parent, &info) == 0 && is_cover(work, info.st_dev);
}

static bool make_component(const struct work *work, const char *path, bool is_directory, struct npxc_error *err)
{
	int fd;

	if (!parent_is_cover(work, path))
		return error_set(err, ERROR_RUNTIME, "%s has gone", path);
	if (is_directory) {
		if (mkdir(path, 0755) == -1)
			return error_set_errno(err, ERROR_RUNTIME, "make %s for the sandbox's user", path);
		return chmod(path, 0755) == 0 || error_set_errno(err, ERROR_RUNTIME, "open %s to others", path);
	}
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd == -1)
		return error_set_errno(err, ERROR_RUNTIME, "make %s for the sandbox's user", path);
	fd_close(&fd);
	return true;
}

/* Looks at one directory on the way: makes it where a cover hides it, covers it where it is closed. */
static bool open_way(struct work *work, const char *directory, struct npxc_error *err)
{
	struct stat info;

	if (stat(directory, &info) == -1) {
		if (errno != ENOENT)
			return error_set_errno(err, ERROR_RUNTIME, "look at %s", directory);
		return make_component(work, directory, true, err);
	}
	if (!S_ISDIR(info.st_mode))
		return error_set(err, ERROR_RUNTIME, "%s is not a directory", directory);
	return may_search(&info, work->uid) || cover(work, directory, err);
}

static bool is_in_place(const struct target *target)
{
	struct stat there;
	struct stat wanted;

	return lstat(target->path, &there) == 0 && fstat(target->fd, &wanted) == 0 && there.st_dev == wanted.st_dev &&
	       there.st_ino == wanted.st_ino;
}

static bool bind_target(struct work *work, const struct target *target, struct npxc_error *err)
{
	mem_cleanup char *handle = str_printf("/proc/self/fd/%d", target->fd);

	for (char *slash = strchr(target->path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
		mem_cleanup char *directory = str_dup_n(target->path, (size_t)(slash - target->path));

		if (!open_way(work, directory, err))
			return false;
	}
	if (is_in_place(target))
		return true;
	if (access(target->path, F_OK) == -1 && !make_component(work, target->path, target->is_directory, err))
		return false;
	if (mount(handle, target->path, NULL, MS_BIND | MS_REC, NULL) == -1)
		return error_set_errno(err, ERROR_RUNTIME, "bind %s for the sandbox's user", target->path);
	return true;
}

static bool has_no_capabilities(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = { { 0 } };

	if (syscall(SYS_capget, &header, sets) == -1)
		return false;
	for (size_t i = 0; i < _LINUX_CAPABILITY_U32S_3; i++)
		if (sets[i].effective != 0 || sets[i].permitted != 0)
			return false;
	return true;
}

static bool drop(unsigned uid, struct npxc_error *err)
{
	uid_t ids[3];
	gid_t groups[3];

	if (uid == 0)
		return error_set(err, ERROR_RUNTIME, "user 0 is not a user to drop to");
	if (setgroups(0, NULL) == -1 || setresgid(uid, uid, uid) == -1 || setresuid(uid, uid, uid) == -1)
		return error_set_errno(err, ERROR_RUNTIME, "become user %u", uid);
	if (getresuid(&ids[0], &ids[1], &ids[2]) == -1 || getresgid(&groups[0], &groups[1], &groups[2]) == -1)
		return error_set_errno(err, ERROR_RUNTIME, "look at the user's ids");
	for (size_t i = 0; i < 3; i++)
		if (ids[i] != uid || groups[i] != uid)
			return error_set(err, ERROR_RUNTIME, "becoming user %u left other ids behind", uid);
	if (getgroups(0, NULL) != 0)
		return error_set(err, ERROR_RUNTIME, "becoming user %u left groups behind", uid);
	if (!has_no_capabilities() || setresuid(0, 0, 0) == 0 || seteuid(0) == 0)
		return error_set(err, ERROR_RUNTIME, "user %u could become root again", uid);
	return true;
}

bool reach_and_drop(char *const *paths, const int *expected, size_t count, unsigned uid, struct npxc_error *err)
{
	struct work work __attribute__((cleanup(work_cleanup))) = { .uid = uid };

	if (uid == 0)
		return error_set(err, ERROR_RUNTIME, "user 0 is not a user to drop to");
	if (unshare(CLONE_NEWNS) == -1)
		return error_set_errno(err, ERROR_RUNTIME, "make a mount namespace");
	/* Before the first mount: none may be seen outside. */
	if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == -1)
		return error_set_errno(err, ERROR_RUNTIME, "make the mounts private");
	/* A directory opened in the old namespace cannot be bound here (EINVAL), one that is covered cannot be opened.
	 */
	if (!open_targets(&work, paths, expected, count, err))
		return false;
	for (size_t i = 0; i < work.count; i++)
		if (!bind_target(&work, &work.targets[i], err))
			return false;
	return drop(uid, err);
}

#else

bool reach_and_drop(char *const *paths, const int *expected, size_t count, unsigned uid, struct npxc_error *err)
{
	(void)paths;
	(void)expected;
	(void)count;
	(void)uid;
	return error_set(err, ERROR_RUNTIME_UNAVAILABLE, "a sandbox started by root needs Linux");
}

#endif
