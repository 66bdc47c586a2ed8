#ifndef NPXC_SESSION_LOST_H
#define NPXC_SESSION_LOST_H

#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/*
 * What a server has written to its HOME, which is memory and goes with the session. HOME is opened while the server
 * runs, because its first process, through which it is reached, may be the first to end; it is looked at when that has
 * ended. Of what is there nothing is believed (base/tree.h), and names only are read.
 */
struct lost {
	pid_t pid;
	int alive; /* owned; -1: nothing is known of the process */
	int home;  /* owned; -1: not open */
};
#define LOST_NONE ((struct lost){ 0, -1, -1 })

/* The first process inside (sandbox_first_pid); its number must be its own at this moment. */
void lost_watch(struct lost *lost, pid_t pid);
/* Opens HOME; `home` is its path inside. To be called when the server runs for certain; again is nothing. */
void lost_open(struct lost *lost, const char *home);
void lost_close(struct lost *lost);

/* Names beneath HOME that would have to be kept, each once and in order: ".mcp-auth/", ".config/x/", "notes.json". */
enum { LOST_NAMES_MAX = 200, LOST_ENTRIES_MAX = 20000 };
/* Pure: takes the name for a regular file at this path; nothing for caches. */
void lost_add(struct strv *names, const char *path);
/* Where HOME is not open: none. Bounded by LOST_ENTRIES_MAX; files on other mounts do not count. */
void lost_names(const struct lost *lost, struct strv *ret_names);

#endif
