#ifndef NPXC_FILES_GUARDS_H
#define NPXC_FILES_GUARDS_H

#include "base/error.h"
#include "base/str.h"
#include "runtime/runtime.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * What the host would execute (config/hazard, RUN) in a tree that a server may write to. What is there at the start is
 * mounted read-only over itself; what comes during the session cannot be prevented, and is told when it is over.
 */
struct guard {
	char *path;                      /* owned; below the tree's root, without a slash at either end */
	struct launch_identity identity; /* kind 'l': a symbolic link. Its fd is owned here; -1 after guards_parse */
};

struct guards { /* zeroed = none; sorted by path */
	struct guard *v;
	size_t count;
};

/*
 * What is found: the names themselves; where a link of such a name leads, the git directory that a `.git` file names
 * and the directory that a repository's core.hooksPath names, as far as they lie in the tree; and directories that git
 * takes for bare repositories ("." is the tree itself).
 *
 * Looks through a tree, shallow directories first, not into what is listed itself, not into node_modules but for its
 * .bin, not through links; into other file systems too, because they are mounted with the tree. `name` is the root's
 * path, without links. `deadline_ms`: of clock_now_ms; -1: none.
 * Should: fail rather than give a part of the answer: more than LIMIT_GUARD_SCAN_ENTRIES files or LIMIT_GUARD_NAMES
 * names (ERROR_CONFIG), or not done in time (ERROR_IO, ETIMEDOUT). A server could make so many on purpose.
 * A directory that cannot be read is passed over; one of this user's own is listed itself, because a server that is the
 * same user could open it.
 */
bool guards_find(int root, const char *name, int64_t deadline_ms, struct guards *ret_guards,
                 struct npxc_error *err) NPXC_MUST_CHECK;
void guards_done(struct guards *guards);

/* A directory below the root by its components, none of them a link; O_PATH where there is such a thing. -1: errno. */
int guards_open_below(int root, const char *path);

/*
 * The trees of a session and what was in them at its start, as one text, kept in a file of its own while the session
 * runs: {"trees":[{"path":"/...","at":"8:1:5","names":[["8:1:6:d",".git"],...]}]}
 */
struct guards_tree {
	char *path;                      /* owned; without links */
	struct launch_identity identity; /* of the root; the fd is not owned */
	struct guards before;
};
void guards_tree_done(struct guards_tree *tree);
char *guards_text(const struct guards_tree *trees, size_t count);
/* ERROR_JSON. Pure. */
bool guards_parse(const char *text, size_t length, struct guards_tree **ret_trees, size_t *ret_count,
                  struct npxc_error *err) NPXC_MUST_CHECK;

/*
 * What a session leaves: a line for each tree in which a listed name was made or replaced since, whoever did it, and
 * for each that could not be looked through. False: not done before the deadline; then somebody has to look again.
 */
bool guards_judge(const char *text, size_t length, int64_t deadline_ms, struct strv *ret_lines,
                  struct npxc_error *err) NPXC_MUST_CHECK;

/*
 * The same for a session whose launcher has died: the file with its text goes, or is replaced by one with the lines,
 * which `npxc gc` prints (guards_collect). ERROR_IO.
 */
bool guards_settle(const char *file, struct npxc_error *err) NPXC_MUST_CHECK;
/* The lines of all sessions that died, and their files removed. No directory: none. */
void guards_collect(const char *directory, struct strv *ret_lines);

#endif
