#ifndef NPXC_BASE_BENEATH_H
#define NPXC_BASE_BENEATH_H

#include <fcntl.h>
#include <stdbool.h>
#include <sys/types.h>

/*
 * Opening beneath a directory: the one place where npxc resolves a path that somebody else may be changing. base/tree.h
 * (trees that hostile code wrote) and files/find.h (the user's own working directory) stand on it.
 *
 * openat2(2) (Linux 5.6) decides where it is there; elsewhere (macOS, older kernels, a filter that refuses the call) a
 * walk, one component at a time with O_NOFOLLOW, decides the same.
 */
enum beneath_rule {
	BENEATH_PLAIN,  /* no mount point below `base` */
	BENEATH_MOUNTS, /* mount points are passed */
};

/*
 * As openat(2), with O_CLOEXEC and O_NOFOLLOW; "" is `base` itself. `mode` counts with O_CREAT only.
 * Mustn't: open anything that does not lie beneath `base` at the moment of opening, whatever is renamed or swapped
 *   meanwhile; follow a link in any place of the path.
 * -1 with errno: ELOOP (a link), EXDEV (BENEATH_PLAIN: a mount point), EINVAL (`relative` is not clean), EAGAIN (it
 * kept changing), ENAMETOOLONG, and what openat(2) gives.
 *
 * Without openat2 a mount point is known by its mount's id (statx, Linux 5.8), else a directory by its device: a bind
 * mount of the same file system passes there. Nobody but the user and root can make one that npxc sees.
 */
int beneath_open(int base, const char *relative, int flags, mode_t mode, enum beneath_rule rule);

/* The directory that holds what `relative` names, of which the last component is left out. `*ret_leaf` is owned; NULL:
 * `relative` is "". */
int beneath_open_parent(int base, const char *relative, enum beneath_rule rule, char **ret_leaf);

/* To walk through a directory one need not be allowed to list it. */
#if defined(O_PATH)
#define BENEATH_WALK_FLAGS (O_PATH | O_DIRECTORY | O_CLOEXEC)
#elif defined(O_SEARCH)
#define BENEATH_WALK_FLAGS (O_SEARCH | O_DIRECTORY | O_CLOEXEC)
#else
#define BENEATH_WALK_FLAGS (O_RDONLY | O_DIRECTORY | O_CLOEXEC)
#endif

/* Whether it takes that: no "..", no ".", no empty component, no slash at either end; "" is clean. */
bool beneath_is_clean(const char *relative);

/* Whether openat2 turned out not to be there; so for the rest of the process. */
bool beneath_walks(void);

#endif
