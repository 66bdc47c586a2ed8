#include "session/sockets.h"

#include "base/fd.h"
#include "base/limits.h"
#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Directories below directories; a descriptor is open for each level. */
enum { DEPTH_MAX = 128 };

struct scan {
	const char *root;
	size_t entries;
	struct strv found;
};

static bool is_kind(int directory, const struct dirent *entry, unsigned char type, mode_t format)
{
	if (entry->d_type != DT_UNKNOWN)
		return entry->d_type == type;
	struct stat info;
	return fstatat(directory, entry->d_name, &info, AT_SYMLINK_NOFOLLOW) == 0 && (info.st_mode & S_IFMT) == format;
}

static bool scan_directory(struct scan *s, int parent, const char *name, const char *below, unsigned depth,
                           struct npxc_error *err);

static bool scan_entry(struct scan *s, int directory, const struct dirent *entry, const char *below, unsigned depth,
                       struct npxc_error *err)
{
	if (++s->entries > LIMIT_SOCKET_SCAN_ENTRIES)
		return error_set(
		    err, ERROR_CONFIG,
		    "%s holds more than %d files: too many to look through for sockets; mount a directory below it",
		    s->root, LIMIT_SOCKET_SCAN_ENTRIES);
	if (is_kind(directory, entry, DT_SOCK, S_IFSOCK)) {
		if (s->found.count == LIMIT_SOCKET_MASKS)
			return error_set(err, ERROR_CONFIG, "%s holds more than %d sockets; mount a directory below it",
			                 s->root, LIMIT_SOCKET_MASKS);
		strv_pushf(&s->found, "%s%s", below, entry->d_name);
		return true;
	}
	if (!is_kind(directory, entry, DT_DIR, S_IFDIR))
		return true;
	mem_cleanup char *path = str_printf("%s%s/", below, entry->d_name);
	return scan_directory(s, directory, entry->d_name, path, depth + 1, err);
}

static bool scan_directory(struct scan *s, int parent, const char *name, const char *below, unsigned depth,
                           struct npxc_error *err)
{
	if (depth > DEPTH_MAX)
		return error_set(err, ERROR_CONFIG,
		                 "%s is nested deeper than %d directories; mount a directory below it", s->root,
		                 DEPTH_MAX);
	FD_CLEANUP int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && errno == EACCES && faccessat(parent, name, X_OK, AT_EACCESS) == 0)
		return error_set(err, ERROR_CONFIG,
		                 "%s/%s can be entered but not read, so it cannot be looked through for sockets; mount "
		                 "what is needed of it by itself",
		                 s->root, below);
	if (fd < 0 && (errno == EACCES || errno == ENOENT || errno == ELOOP || errno == ENOTDIR))
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

bool sockets_find(int directory, const char *name, struct strv *ret_relative, struct npxc_error *err)
{
	struct scan s = { .root = name };
	if (!scan_directory(&s, directory, ".", "", 0, err)) {
		strv_done(&s.found);
		return false;
	}
	*ret_relative = s.found;
	return true;
}
