#ifndef NPXC_SESSION_PROJECT_H
#define NPXC_SESSION_PROJECT_H

#include "base/str.h"
#include "session/inputs.h"

#include <stdbool.h>

/*
 * What npx would take from the project that it is started in: the nearest directory upwards with a package.json or a
 * node_modules, short of HOME. Whoever wrote a project that was cloned would choose with it what is installed and run,
 * so npxc takes next to nothing, and says so.
 */
struct project {
	char *root; /* owned, without links; NULL: there is none */
	struct strv
	    scopes;   /* sorted "@scope:registry=URL" of its .npmrc, if "trusted_projects" of npxc.json has `root` */
	char *note;   /* owned, for when something is installed; NULL: nothing to say */
	char *pinned; /* owned; the version of the package that lies in its node_modules and that npx would run */
	char *name;   /* ... and its name */
};

/*
 * Mustn't: read anything of the project's .npmrc but the registries of scopes, and these only of a trusted one; expand
 * a variable in them.
 */
void project_find(const struct inputs *in, struct project *ret_project);
/* Tells of the pinned version unless it is the one that was found; `package`: NULL when none was. */
void project_tell(const struct project *project, const struct store_package *package);
void project_done(struct project *project);

#endif
