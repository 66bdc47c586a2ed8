#ifndef NPXC_SESSION_PLAN_H
#define NPXC_SESSION_PLAN_H

#include "base/error.h"
#include "base/str.h"
#include "egress/route.h"
#include "network/network.h"
#include "runtime/runtime.h"
#include "session/inputs.h"
#include "store/store.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * Everything that a start will do, decided and printable, with nothing acquired yet. Pure: made of what was read
 * (inputs), what was drawn, the runtime and the package. `npxc inspect` prints a plan and a run carries one out, made
 * by the same function. What is random, and what only acquiring can tell, has a name in it: plan_show.
 */
struct plan_draws {
	const char *id; /* borrowed; 8 hex digits: the session's */
	char *network;  /* owned; the name of a network, if one has to be made */
	struct route_means route;
};
/* For this policy; nothing of a route where there is no allowlist. */
void plan_draw(const char *id, const struct policy *policy, struct plan_draws *ret_draws);
void plan_draws_done(struct plan_draws *draws);

struct plan_copy {
	int from;   /* borrowed, open for looking */
	char *path; /* owned; in the workspace */
};

struct plan {
	struct launch launch;
	struct runtime_start start;    /* made of `launch`; made anew once route_fill has changed that */
	struct network_choice network; /* what the policy comes to */
	struct route *route;           /* owned; the way out of an allowlist, else NULL; acquiring takes it */
	char *audit_directory;         /* owned; the route's */
	struct strv drawn;             /* pairs: what was drawn, and its name */
	char *data_directory;          /* owned; NULL without storage.persist */
	char *package_place;           /* the package's own place in the guest, with a slash: always read-only */
	char *workspace;               /* owned; to be made before the start, and removed: see session_start */
	struct strv shares;            /* what stands on the lease of mounts that cannot be compared (session/shares) */
	char *guards_file; /* owned; what the host would execute in the writable trees; NULL: there are none */
	char *guards;      /* owned; its text (files/guards) */
	struct plan_copy
	    *copies; /* of single files that are kept read-only, on runtimes that share their directory too */
	size_t copy_count;
	bool shows;               /* files that calls name are shown at the working directory */
	bool outputs;             /* ... where the server may write, too */
	char *cwd;                /* owned; the working directory without links; NULL unless `shows` */
	struct strv mount_points; /* beneath the working directory, relative to it; to be made in the workspace */
	struct strv arguments;    /* the same of files that arguments name, to be shown from the start */
	struct strv env_names;    /* of all variables inside */
};

/*
 * Should: fail when anything asked for cannot be had on this runtime.
 * Mustn't: start anything open that was asked to be closed: an allowlist without its way out is refused.
 * Errors: ERROR_CONFIG, ERROR_RUNTIME_UNAVAILABLE.
 */
bool plan_make(const struct inputs *in, const struct runtime *runtime, const struct store_package *package,
               const struct plan_draws *draws, struct plan *ret_plan, struct npxc_error *err) NPXC_MUST_CHECK;
void plan_done(struct plan *plan);
/* Puts names for what was drawn, in the session's name and the argument list: the plan can be printed then, not run. */
void plan_show(struct plan *plan);

/* Two directories in plan.workspace: what the sandbox sees at the working directory, and where that is made; owned. */
char *plan_files_directory(const struct plan *plan);
char *plan_stage_directory(const struct plan *plan);

/* The directory of guards_file, beside `sessions`; owned. */
char *plan_guards_directory(const char *sessions);

/* npxc-<slug of the package>-<id>, at most 63 characters of [a-z0-9-]; owned. */
char *plan_session_name(const char *package, const char *session_id);

#endif
