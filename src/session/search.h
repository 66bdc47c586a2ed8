#ifndef NPXC_SESSION_SEARCH_H
#define NPXC_SESSION_SEARCH_H

/*
 * Where Node, npm and the runtimes' programs are looked for. A client that a desktop starts has a PATH of /usr/bin:/bin
 * and no more, so three sources follow each other: PATH; what earlier starts found on theirs; the places in which
 * installers, package managers and version managers put programs.
 *
 * Should: pass over a directory that somebody else owns or anybody may write to, unless PATH itself names it.
 * Mustn't: remember a directory of a project, whose programs would then be run for other projects: beneath HOME only
 * those below a name that begins with a dot are remembered.
 */

/* A PATH; owned. `home`: absolute; `state_directory`: where what was found is remembered. */
char *search_path(const char *home, const char *state_directory);

/* Remembers the directories of PATH that hold one of the programs, for later starts. A failure is told at debug level:
 * nothing depends on it. */
void search_remember(const char *home, const char *state_directory);

#endif
