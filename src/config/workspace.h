#ifndef NPXC_CONFIG_WORKSPACE_H
#define NPXC_CONFIG_WORKSPACE_H

#include <stdbool.h>

/*
 * How far upwards a package's directory belongs to something larger: the nearest directory above it that is the root of
 * a workspace (a package.json with "workspaces", a pnpm-workspace.yaml, a lerna.json) or of a repository (.git), the
 * outer one of the two; the directory whose node_modules it lies in, if that is further out; itself when there is none.
 * Links in it may lead that far and are the user's own affair (files/links); hoisted dependencies are looked for that
 * far.
 *
 * `directory`, `home`: paths without links; `home` may be NULL. Owned.
 * Mustn't: come to HOME or to anything above it, whatever lies there (dotfiles kept in git, a stray package.json).
 */
char *workspace_root(const char *directory, const char *home);

/* Whether it is HOME, lies above it, or is the root directory. Pure. */
bool workspace_is_too_wide(const char *directory, const char *home);

#endif
