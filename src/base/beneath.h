#ifndef NPXC_BASE_BENEATH_H
#define NPXC_BASE_BENEATH_H

#include <fcntl.h>
#include <stdbool.h>
#include <sys/types.h>

/*
 * Opening beneath a directory: the one place where npxc resolves a path that somebody else may be changing. base/tree.h
 * (trees that hostile code wrote) and mcp/scope.h (the user's own working directory) stand on it.
 *
 * openat2(2) (Linux 5.6) decides where it is there; elsewhere (macOS, older kernels, a filter that refuses the call) a
 * walk, one component at a time with O_NOFOLLOW, decides the same.
 */
enum beneath_rule {
	/*
	 * No symbolic link in any place of the path, no magic link of /proc, no mount point below `base`. `relative`
	 * has to be clean.
	 */
	BENEATH_PLAIN,
	/* Links are followed, ".." and mounts are passed, as long as none leads out: EXDEV. Magic links never. */
	BENEATH_LINKS,
};

/*
 * As openat(2); "" is `base` itself. O_CLOEXEC is added, with BENEATH_PLAIN O_NOFOLLOW too. `mode` counts with O_CREAT
 * only.
 * Mustn't: open anything that does not lie beneath `base` at the moment of opening, whatever is renamed or swapped
 *   meanwhile.
 * -1 with errno: ELOOP (BENEATH_PLAIN: a link; BENEATH_LINKS: more than 40), EXDEV (it leads out, or BENEATH_PLAIN: a
 * mount point), EINVAL (`relative` is not clean), EAGAIN (it kept changing), ENAMETOOLONG, and what openat(2) gives.
 *
 * Without openat2 a mount point is known by its mount's id (statx, Linux 5.8), else a directory by its device: a bind
 * mount of the same file system passes there. Nobody but the user and root can make one that npxc sees.
 */
int beneath_open(int base, const char *relative, int flags, mode_t mode, enum beneath_rule rule);

/* The directory that holds what `relative` names, of which the last component is left out. BENEATH_LINKS: for whoever
 * has no O_PATH and looks by name. `*ret_leaf` is owned; NULL: `relative` ends in the directory itself. */
int beneath_open_parent(int base, const char *relative, enum beneath_rule rule, char **ret_leaf);

/* To walk through a directory one need not be allowed to list it. */
#if defined(O_PATH)
#define BENEATH_WALK_FLAGS (O_PATH | O_DIRECTORY | O_CLOEXEC)
#elif defined(O_SEARCH)
#define BENEATH_WALK_FLAGS (O_SEARCH | O_DIRECTORY | O_CLOEXEC)
#else
#define BENEATH_WALK_FLAGS (O_RDONLY | O_DIRECTORY | O_CLOEXEC)
#endif

/* Whether BENEATH_PLAIN takes it: no "..", no ".", no empty component, no slash at either end; "" is clean. */
bool beneath_is_clean(const char *relative);

/* Whether openat2 turned out not to be there; so for the rest of the process. */
bool beneath_walks(void);

#endif
