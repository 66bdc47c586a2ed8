#ifndef NPXC_SESSION_PLAN_H
#define NPXC_SESSION_PLAN_H

#include "base/error.h"
#include "base/str.h"
#include "config/config.h"
#include "config/policy.h"
#include "egress/route.h"
#include "files/mounts.h"
#include "network/network.h"
#include "runtime/runtime.h"
#include "store/store.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * The plan of a session: everything resolved, down to the argument list. Pure. `npxc inspect` prints a plan and a run
 * uses one, made by the same function from the same inputs but for the random part of the name.
 */
struct plan_input { /* borrowed */
	const struct config *config;
	const struct config_package *package_config;
	const struct store_package *package;
	const struct runtime *runtime;
	const struct policy *policy;
	const struct route *route;            /* the way out of an allowlist, else NULL */
	const struct network_choice *network; /* what the policy came to; for inspect with a placeholder as its name */
	const struct mounts *mounts;
	const struct strv *arguments;      /* the server's */
	const struct config_variable *env; /* declared variables with their values; a later one wins */
	size_t env_count;
	uint64_t memory_bytes;                       /* from a flag; 0: configuration decides */
	unsigned cpu_millis;                         /* the same */
	const char *cwd;                             /* as the user knows it; mounts->real_cwd has no links */
	const char *home;                            /* the user's; HOME inside when it can be */
	const char *data_directory;                  /* the package's own, for storage.persist */
	const struct launch_identity *data_identity; /* what it was opened as; NULL: inspect, and it is not there yet */
	const char *sessions;    /* npxc's directory for what sessions keep; the workspace goes there */
	const char *term, *lang; /* NULL: unset */
	const char *session_id;  /* 8 hex digits, or "<session>" for inspect */
};

struct plan_copy {
	int from;   /* borrowed, open for looking */
	char *path; /* owned; in the workspace */
};

struct plan {
	struct launch launch;
	struct runtime_start start;
	char *data_directory; /* owned; NULL without storage.persist */
	char *workspace;      /* owned; to be made before the start, and removed: see session_start */
	struct strv shares;   /* what stands on the lease of mounts that cannot be compared (session/shares) */
	char *guards_file;    /* owned; what the host would execute in the writable trees; NULL: there are none */
	char *guards;         /* owned; its text (files/guards) */
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
bool plan_make(const struct plan_input *input, struct plan *ret_plan, struct npxc_error *err) NPXC_MUST_CHECK;
void plan_done(struct plan *plan);

/* Two directories in plan.workspace: what the sandbox sees at the working directory, and where that is made; owned. */
char *plan_files_directory(const struct plan *plan);
char *plan_stage_directory(const struct plan *plan);

/* The directory of guards_file, beside `sessions`; owned. */
char *plan_guards_directory(const char *sessions);

/* npxc-<slug of the package>-<id>, at most 63 characters of [a-z0-9-]; owned. */
char *plan_session_name(const char *package, const char *session_id);
/* HOME inside: the user's own path where nothing else stands there (`mounts` may be NULL), else /home/npxc; owned. */
char *plan_home(const char *home, const struct mounts *mounts);
/* What a sandbox of this kind never shows, for try and inspect. */
const char *plan_hidden_text(void);

#endif
