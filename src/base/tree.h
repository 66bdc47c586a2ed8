#ifndef NPXC_BASE_TREE_H
#define NPXC_BASE_TREE_H

#include "base/buf.h"
#include "base/copy.h"
#include "base/error.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

/*
 * Everything that npxc does beneath a directory whose content a package, an install script or a guest may have written.
 * Names, types, modes, sizes, links, counts: nothing of such a tree is believed, and it may change at any moment.
 *
 * A tree is known by the descriptor of its root, which its writer cannot replace (the directory above is npxc's own, or
 * the user's); what is in it by a path relative to that, resolved by base/beneath.h with BENEATH_PLAIN.
 *
 * Should: for each path: reach only what lies beneath the root, on the root's mount, without any symbolic link on the
 *   way or at its end; refuse a path that is not clean ("..", ".", empty components, slashes at the ends: EINVAL).
 * Should: for each file that is opened: see that it is a regular one, without waiting (a FIFO) and before a device
 *   notices it.
 * Mustn't: change the mode or the owner of anything by a name; or of a file with a second name (hard links: EMLINK).
 *   That a sandbox cannot link a file of the host into its tree is a matter of mounts (link(2): EXDEV between two
 *   mounts, also of one file system); fs.protected_hardlinks does not help here, because the sandbox of an ordinary
 *   user runs as that very user.
 * Mustn't: recurse, or hold more than a few descriptors, however deep a tree is.
 *
 * All errors are ERROR_IO with errno, and name the path, escaped and cut. ELOOP: a symbolic link is in the way; EXDEV:
 * a mount point; EISDIR, ENOTDIR, EINVAL: another type than was wanted.
 */

/* The root of a tree: a directory that stands at a path of npxc's own or the user's, not a link at its end. */
bool tree_open(const char *path, int *ret_root, struct npxc_error *err) NPXC_MUST_CHECK;

/* ---- looking ---- */

/* Of the entry itself: a link is a link. */
bool tree_look(int root, const char *relative, struct stat *ret_info, struct npxc_error *err) NPXC_MUST_CHECK;
/* Whether it is there as one, and can be looked at. */
bool tree_is_file(int root, const char *relative);
bool tree_is_directory(int root, const char *relative);

bool tree_open_directory(int root, const char *relative, int *ret_fd, struct npxc_error *err) NPXC_MUST_CHECK;
/* A regular file, for reading; ret_info (NULL: not wanted) is of the descriptor. */
bool tree_open_file(int root, const char *relative, int *ret_fd, struct stat *ret_info,
                    struct npxc_error *err) NPXC_MUST_CHECK;
/* The whole of a regular file, appended; the buffer's ceiling counts. */
bool tree_read(int root, const char *relative, struct buf *ret_bytes, struct npxc_error *err) NPXC_MUST_CHECK;
/* What a symbolic link says; owned. */
bool tree_read_link(int root, const char *relative, char **ret_target, struct npxc_error *err) NPXC_MUST_CHECK;
/* The names in a directory but "." and "..", sorted. More than `most`: E2BIG. */
bool tree_list(int root, const char *relative, size_t most, struct strv *ret_names,
               struct npxc_error *err) NPXC_MUST_CHECK;

/* ---- making ---- */

/* A new directory (EEXIST) with exactly this mode; ret_fd (NULL: not wanted) is open to list. */
bool tree_make_directory(int root, const char *relative, mode_t mode, int *ret_fd,
                         struct npxc_error *err) NPXC_MUST_CHECK;
/* With its missing parents; directories that are there stay as they are. */
bool tree_make_directories(int root, const char *relative, mode_t mode, struct npxc_error *err) NPXC_MUST_CHECK;
/* A new file (EEXIST) of these bytes with exactly this mode; ret_fd as above, open for writing. After a failure it may
 * stand there in part. */
bool tree_create(int root, const char *relative, const void *bytes, size_t length, mode_t mode, int *ret_fd,
                 struct npxc_error *err) NPXC_MUST_CHECK;
/* Written beside it under a random name, fsynced, renamed over it. A link that has the name is replaced, a directory
 * EISDIR. */
bool tree_write(int root, const char *relative, const void *bytes, size_t length, mode_t mode,
                struct npxc_error *err) NPXC_MUST_CHECK;
bool tree_make_link(int root, const char *relative, const char *target, struct npxc_error *err) NPXC_MUST_CHECK;
/* copy_file beneath the root. */
bool tree_copy(int from, int root, const char *relative, mode_t mode, const struct copy_rules *rules,
               uint64_t *ret_bytes, struct npxc_error *err) NPXC_MUST_CHECK;

/* ---- changing ---- */

struct tree_change {
	bool owner, mode;
	uid_t uid; /* the group gets the same number */
	mode_t bits;
	bool links_known; /* all names of a file are known to be in the tree: one with several is changed too */
};
/*
 * Owner, then mode (the first may clear bits of the second) of a regular file, a directory or (only the owner) a link:
 * by a descriptor that was looked at, also of what this user may not open. EMLINK: see above. EINVAL: another type.
 * Linux: fchmodat2 (6.6) or /proc/self/fd of the descriptor, which names that very inode.
 */
bool tree_change(int root, const char *relative, const struct tree_change *change,
                 struct npxc_error *err) NPXC_MUST_CHECK;

/* Between two trees or in one, the new name replacing what rename(2) replaces. Neither end is followed. */
bool tree_rename(int from_root, const char *from, int to_root, const char *to, struct npxc_error *err) NPXC_MUST_CHECK;
/* One entry that is no directory, or an empty directory. */
bool tree_remove_entry(int root, const char *relative, struct npxc_error *err) NPXC_MUST_CHECK;
/*
 * A file or a whole tree; gone already is success. Directories that their owner may not enter are opened to him. The
 * first entry that cannot be removed ends it.
 */
bool tree_remove(int root, const char *relative, struct npxc_error *err) NPXC_MUST_CHECK;

/* ---- walking ---- */

struct tree_entry {
	int directory;      /* borrowed: of the directory that holds it; a tree root in its own right */
	const char *name;   /* in that directory */
	const char *path;   /* from where the walk began */
	size_t depth;       /* 1 for what stands in the directory where the walk began */
	struct stat info;   /* of the entry itself; with types_only just the type, in st_mode */
	size_t entry_count; /* so far, this one included */
};
enum tree_next {
	TREE_ON,    /* to the next one */
	TREE_ENTER, /* into this directory; of anything else as TREE_ON */
	TREE_STOP,  /* the walk ends; the visitor has set its error */
};
struct tree_visitor {
	void *context;
	bool types_only; /* saves a call for each entry */
	bool unlock;     /* directories that the owner may not list, search and write are given these bits */
	/* Of each directory first what is no directory, in no order, then the directories. */
	enum tree_next (*entry)(void *context, const struct tree_entry *entry, struct npxc_error *err);
	/* A directory that was to be entered cannot be: `number` is why. NULL: that ends the walk. */
	enum tree_next (*refused)(void *context, const struct tree_entry *entry, int number, struct npxc_error *err);
	/* A directory has been gone through; its entry as before but for `info`. TREE_ENTER: once more. NULL: nothing.
	 */
	enum tree_next (*left)(void *context, const struct tree_entry *entry, struct npxc_error *err);
};
/* For `refused`: what cannot be entered is passed over. */
enum tree_next tree_pass_over(void *context, const struct tree_entry *entry, int number, struct npxc_error *err);
/*
 * Goes through what is beneath a directory. It may be changed meanwhile, also by the visitor. How far it goes (entries,
 * depth) is the visitor's to bound; what is remembered on the way are the names of directories that are still to be
 * visited, along one path. ESTALE: a directory was moved away while the walk was in it.
 */
bool tree_walk(int root, const char *relative, const struct tree_visitor *visitor,
               struct npxc_error *err) NPXC_MUST_CHECK;

/* For tree_walk.c and messages: sets ERROR_IO with errno, "<what> <path>: <why>". Returns false. */
bool tree_failed(struct npxc_error *err, const char *what, const char *path);
/* A directory's descriptor to list it by; `unlock` as in tree_visitor. -1 with errno. */
int tree_enter(int root, const char *relative, bool unlock);

#endif
