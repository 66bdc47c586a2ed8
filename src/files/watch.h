#ifndef NPXC_FILES_WATCH_H
#define NPXC_FILES_WATCH_H

#include <stdbool.h>

/*
 * Which names in directories of the host have changed since they were looked at. Linux: inotify(7), which tells of
 * changes made through this kernel, and of no others (a network file system's). Elsewhere, and where the user's watches
 * are used up, watch_add is false, and the caller has to look by itself.
 */
struct watch;
struct watch *watch_new(void);
void watch_free(struct watch *watch); /* NULL is allowed */

/* `directory`: of a descriptor, by which it is watched; `path`: what it is called below. */
bool watch_add(struct watch *watch, int directory, const char *path);

/* Tells of all that has changed: `path`/`name`. NULL: everything may have. Waits for nothing. */
void watch_read(struct watch *watch, void (*changed)(void *context, const char *path), void *context);

#endif
