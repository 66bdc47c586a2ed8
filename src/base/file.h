#ifndef NPXC_BASE_FILE_H
#define NPXC_BASE_FILE_H

#include "base/buf.h"
#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Files and directories on the host. All errors are ERROR_IO with errno and name the path. */

/* The whole file into `ret_bytes` (appended; its ceiling counts). */
bool file_read(const char *path, struct buf *ret_bytes, struct npxc_error *err) NPXC_MUST_CHECK;
/* Written beside `path` under a random name, fsynced, renamed over it: a reader sees the old file or the new one. */
bool file_write_atomic(const char *path, const void *bytes, size_t length, mode_t mode,
                       struct npxc_error *err) NPXC_MUST_CHECK;

/*
 * The same for whoever is alone in writing `path` (a lock, a lease): written beside it as `path`.tmp, so that what a
 * writer that died left there is found again. The next writer replaces it; file_remove_alone removes both, and neither
 * needs to be there.
 */
bool file_write_alone(const char *path, const void *bytes, size_t length, mode_t mode,
                      struct npxc_error *err) NPXC_MUST_CHECK;
bool file_remove_alone(const char *path, struct npxc_error *err) NPXC_MUST_CHECK;

/* One write of a whole value into a file that the kernel serves (procfs, sysctl, cgroups); false with errno. */
bool file_write_setting(const char *path, const char *value) NPXC_MUST_CHECK;

bool file_exists(const char *path);       /* follows symlinks */
bool file_is_directory(const char *path); /* follows symlinks */
bool file_is_regular(const char *path);   /* follows symlinks */

/* realpath(3); owned. */
bool file_real_path(const char *path, char **ret_path, struct npxc_error *err) NPXC_MUST_CHECK;

/* The directory and its missing parents; one that is there already is success. */
bool file_make_directories(const char *path, mode_t mode, struct npxc_error *err) NPXC_MUST_CHECK;

/*
 * tree_remove of base/tree.h for a path whose directory is npxc's own: that may be reached through links, the last
 * component is none. EINVAL: a path that ends in "." or ".." or is the root.
 */
bool file_remove_tree(const char *path, struct npxc_error *err) NPXC_MUST_CHECK;

/* "<directory>/<prefix><16 random hex digits>", made with mode 0700; owned. */
bool file_make_temporary_directory(const char *directory, const char *prefix, char **ret_path,
                                   struct npxc_error *err) NPXC_MUST_CHECK;

/*
 * An exclusive lock (flock) on the file, which is made when missing; waits for it unless `wait` is false (then
 * ERROR_IO with EWOULDBLOCK). The lock lives as long as the descriptor.
 */
bool file_lock(const char *path, bool wait, int *ret_fd, struct npxc_error *err) NPXC_MUST_CHECK;

/* The first executable regular file called `name` on the search path `path_variable` (a name with a slash stands for
 * itself); owned. ERROR_IO with ENOENT when there is none. Empty and relative elements are passed over. */
bool file_find_program(const char *name, const char *path_variable, char **ret_path,
                       struct npxc_error *err) NPXC_MUST_CHECK;

#endif
