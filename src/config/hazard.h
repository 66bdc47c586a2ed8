#ifndef NPXC_CONFIG_HAZARD_H
#define NPXC_CONFIG_HAZARD_H

#include <stddef.h>

/*
 * Names of files and directories that are more than data on the host: the one table of them. Pure.
 *
 * RUN: some tool of the host runs what stands in it, or what it names, without being asked by name: git on the next
 * `git status`, an editor that opens the directory, a shell that starts there, a package manager on the next install.
 * A server that may write to a tree does not get to write those (files/guards).
 * SECRET: it commonly holds credentials. A server does not get those by its own word.
 *
 * Not in it: what runs only when it is named or built (Makefile, package.json, sources, a workflow that a forge runs),
 * because a server that works on a project has to write those.
 */
enum { HAZARD_RUN = 1, HAZARD_SECRET = 2 };

/*
 * The flags of what `path` names, by its last components alone; 0: none. Names are compared without regard to ASCII
 * case, as the file systems do on which git takes .GIT for its own.
 */
unsigned hazard_of(const char *path);

/* The same of all that is below the first `skip` bytes of the path: what it names, and the directories it lies in. */
unsigned hazard_along(const char *path, size_t skip);

#endif
