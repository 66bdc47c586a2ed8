#ifndef NPXC_FILES_LINKS_H
#define NPXC_FILES_LINKS_H

#include "base/error.h"
#include "base/str.h"
#include "files/source.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * A package's directory that is run where it lies, and what the links in it lead to: those of its node_modules and of
 * the node_modules above it up to the root of its workspace or repository (hoisted dependencies, siblings, "file:../x",
 * npm link), and of what those lead to in turn. Looks, and changes nothing.
 */
struct links_input {                /* borrowed */
	const char *typed;          /* absolute, as the user spelled it */
	const char *path;           /* the same without links, as it was when package.json was read */
	const char *root;           /* config/workspace; may be `path` */
	const char *home;           /* without links; NULL: not known */
	const char *global;         /* npm's global node_modules; NULL: not known */
	const struct strv *written; /* trees that servers could write to (files/written); may be NULL */
	const struct strv *shown;   /* what the user has mounted in so many words already; may be NULL */
};

struct links {
	struct source *v; /* owned; the package's own directory first */
	size_t count;
	struct strv notes; /* what is not shown, with the words that would show it */
};

/*
 * Should: open each directory once, and judge what was opened (files/source).
 * Should: refuse (ERROR_CONFIG) a link that leads out of a tree that some server could write to, unless the user has
 *   mounted where it leads; more than LIMIT_LINKED_DIRECTORIES; a `typed` that leads elsewhere by now.
 * Mustn't: show what lies outside of `root`, but where npm's global node_modules has the same name and it leads to the
 *   same directory (npm link: the user's own act); HOME or anything above it; anything in whose path a name stands that
 *   commonly holds secrets (config/hazard). Of what is left out because of its place a note tells.
 */
bool links_find(const struct links_input *input, struct links *ret_links, struct npxc_error *err) NPXC_MUST_CHECK;
void links_done(struct links *links);

#endif
