#include "files/sockets.h"

#include "base/fd.h"
#include "base/limits.h"
#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Directories below directories for which a descriptor is open each; those below come later, from the top. */
enum { OPEN_LEVELS = 64 };

struct scan {
	const char *root;
	struct strv found;
	struct strv later; /* directories by their paths below the root, with a slash at the end */
};

static bool is_kind(int directory, const struct dirent *entry, unsigned char type, mode_t format)
{
	if (entry->d_type != DT_UNKNOWN)
		return entry->d_type == type;
	struct stat info;
	return fstatat(directory, entry->d_name, &info, AT_SYMLINK_NOFOLLOW) == 0 && (info.st_mode & S_IFMT) == format;
}

/* Gone, no directory (any more), or closed to the sandbox as well. */
static bool is_out_of_reach(int why)
{
	return why == EACCES || why == ENOENT || why == ELOOP || why == ENOTDIR;
}

static bool scan_directory(struct scan *s, int parent, const char *name, const char *below, unsigned depth,
                           struct npxc_error *err);

static bool scan_entry(struct scan *s, int directory, const struct dirent *entry, const char *below, unsigned depth,
                       struct npxc_error *err)
{
	if (is_kind(directory, entry, DT_SOCK, S_IFSOCK) || is_kind(directory, entry, DT_FIFO, S_IFIFO)) {
		if (s->found.count == LIMIT_SOCKET_MASKS)
			return error_set(err, ERROR_CONFIG,
			                 "%s holds more than %d sockets and FIFOs; mount a directory below it", s->root,
			                 LIMIT_SOCKET_MASKS);
		strv_pushf(&s->found, "%s%s", below, entry->d_name);
		return true;
	}
	if (!is_kind(directory, entry, DT_DIR, S_IFDIR))
		return true;
	mem_cleanup char *path = str_printf("%s%s/", below, entry->d_name);
	/* Nothing deeper could be hidden: a mount point is named by its path. */
	if (strlen(s->root) + strlen(path) >= PATH_MAX)
		return error_set(err, ERROR_CONFIG,
		                 "%s is nested deeper than a path may be long (%d bytes); mount a directory below it",
		                 s->root, PATH_MAX);
	if (depth + 1 == OPEN_LEVELS) {
		strv_push(&s->later, path);
		return true;
	}
	return scan_directory(s, directory, entry->d_name, path, depth + 1, err);
}

static bool scan_directory(struct scan *s, int parent, const char *name, const char *below, unsigned depth,
                           struct npxc_error *err)
{
	FD_CLEANUP int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && errno == EACCES && faccessat(parent, name, X_OK, AT_EACCESS) == 0)
		return error_set(err, ERROR_CONFIG,
		                 "%s/%s can be entered but not read, so it cannot be looked through for sockets; mount "
		                 "what is needed of it by itself",
		                 s->root, below);
	if (fd < 0 && is_out_of_reach(errno))
		return true;
	if (fd < 0)
		return error_set_errno(err, ERROR_CONFIG, "cannot look for sockets in %s/%s", s->root, below);
	DIR *directory = fdopendir(fd);
	if (directory == NULL)
		return error_set_errno(err, ERROR_CONFIG, "cannot look for sockets in %s/%s", s->root, below);
	const int own = fd_take(&fd); /* closedir closes it */
	bool fine = true;
	for (;;) {
		errno = 0;
		const struct dirent *entry = readdir(directory);
		if (entry == NULL) {
			if (errno != 0)
				fine = error_set_errno(err, ERROR_CONFIG, "cannot read %s/%s", s->root, below);
			break;
		}
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		fine = scan_entry(s, own, entry, below, depth, err);
		if (!fine)
			break;
	}
	closedir(directory);
	return fine;
}

/* One component after the other: no link is followed. -1: it has gone meanwhile, or what stands there now is none. */
static bool open_below(const struct scan *s, int top, const char *path, int *ret_fd, struct npxc_error *err)
{
	FD_CLEANUP int fd = openat(top, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (const char *at = path; fd != -1 && *at != '\0'; at += strcspn(at, "/") + 1) {
		mem_cleanup char *name = str_dup_n(at, strcspn(at, "/"));
		const int next = openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		const int why = errno;
		fd_close(&fd);
		fd = next;
		errno = why;
	}
	if (fd == -1 && !is_out_of_reach(errno))
		return error_set_errno(err, ERROR_CONFIG, "cannot look for sockets in %s/%s", s->root, path);
	*ret_fd = fd_take(&fd);
	return true;
}

static bool scan_later(struct scan *s, int top, struct npxc_error *err)
{
	for (size_t i = 0; i < s->later.count; i++) {
		mem_cleanup char *path = str_dup(s->later.v[i]); /* the list grows, and moves */
		FD_CLEANUP int fd = -1;
		if (!open_below(s, top, path, &fd, err) || (fd != -1 && !scan_directory(s, fd, ".", path, 0, err)))
			return false;
	}
	return true;
}

bool sockets_find(int directory, const char *name, struct strv *ret_relative, struct npxc_error *err)
{
	struct scan s = { .root = name };
	const bool fine = scan_directory(&s, directory, ".", "", 0, err) && scan_later(&s, directory, err);
	strv_done(&s.later);
	if (!fine) {
		strv_done(&s.found);
		return false;
	}
	*ret_relative = s.found;
	return true;
}
