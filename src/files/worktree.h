#ifndef NPXC_FILES_WORKTREE_H
#define NPXC_FILES_WORKTREE_H

#include "base/str.h"
#include "files/source.h"

#include <stdbool.h>

/*
 * The git directory of a project whose `.git` is a file: a linked work tree (git worktree) or a submodule, of which git
 * shows nothing while that directory is not there. gitrepository-layout(5), git-worktree(1).
 *
 * A `.git` file may be anybody's, and may name anything. So what it names has to name the project back, which nobody
 * but its owner could have written there: <common>/worktrees/<name>/gitdir the very `.git` file, or a submodule's
 * core.worktree the very project.
 */
struct worktree_input { /* borrowed */
	const struct source *project;
	const char *home;           /* without links; NULL: not known */
	const struct strv *written; /* trees that servers could write to (files/written); may be NULL */
};

/*
 * What is to be shown: the common directory, or a submodule's. False: nothing. `ret_note`: owned, why something that a
 * `.git` file names is not shown; NULL: nothing to say.
 * Mustn't: give HOME or what lies above it, anything in whose path a name stands that commonly holds secrets
 *   (config/hazard), what a link led to out of a tree that a server could write, or a directory that is no git
 * directory.
 */
bool worktree_find(const struct worktree_input *input, struct source *ret_git, char **ret_note) NPXC_MUST_CHECK;

/* Whether there is a `.git`, and both it and the project belong to this user: git itself would not ask. */
bool worktree_is_own(const struct source *project);

#endif
