#ifndef NPXC_SESSION_INPUTS_H
#define NPXC_SESSION_INPUTS_H

#include "base/error.h"
#include "config/config.h"
#include "config/options.h"
#include "config/paths.h"
#include "config/policy.h"
#include "files/mounts.h"
#include "files/source.h"
#include "runtime/runtime.h"
#include "runtime/seen.h"
#include "session/homes.h"
#include "store/store.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * Everything that is read before anything is acquired: words, configuration, the package's file, the policy,
 * variables, and what of the host is to be mounted. Each step needs the ones before it; a command takes as many as it
 * needs. Others keep pointers into it: it stays where it is.
 */
struct inputs {
	const struct options *options; /* borrowed */
	char *cwd;                     /* as the user spells it; mounts.real_cwd has no links */
	struct paths paths;
	struct config config;
	bool learn; /* set before inputs_load_package: the policy is an allowlist, whatever else is said */
	bool has_package_config;
	struct config_package package_config;
	char *package_config_label; /* whose it is: a package's name or a directory's path */
	struct policy policy;
	const char *link_why;        /* static: why auto chose this link; NULL when nobody had to choose */
	struct config_variable *env; /* declared variables with their values; a later one wins */
	size_t env_count;
	const char *term, *lang, *tz; /* borrowed of the environment; NULL: unset */
	struct mounts mounts;
	char *real_home;       /* the user's home without links; NULL: it cannot be looked up */
	char *data_directory;  /* the package's own, for storage.persist */
	struct source data;    /* the same, opened; SOURCE_NONE: none, or none yet */
	char *homes_directory; /* the package's own, for storage.home */
	struct homes homes;
};

/* Working directory, paths, npxc.json, log level. ERROR_CONFIG, ERROR_IO; nothing is to be given back then. */
bool inputs_read(const struct options *options, struct inputs *ret_inputs, struct npxc_error *err) NPXC_MUST_CHECK;
/*
 * The package's file and the policy: all that can be refused without a registry and without asking a runtime. Nothing
 * of several specs: which package has the command is known when they are installed. A directory's file is the one that
 * names its path (config/package_dir.h), whatever its package.json says. ERROR_CONFIG.
 */
bool inputs_load_package(struct inputs *in, struct npxc_error *err) NPXC_MUST_CHECK;
/* The same once it is known who has the command; checks that it is still the same package. ERROR_CONFIG. */
bool inputs_load_owner(struct inputs *in, const struct runtime *runtime, const struct store_package *package,
                       struct npxc_error *err) NPXC_MUST_CHECK;
/*
 * Variables, mounts, and the package's own directory. `starts`: that directory is made when it is missing, and the
 * trees that the server may write to are written down (files/written). ERROR_CONFIG, ERROR_IO, ERROR_PATH_NOT_FOUND.
 */
/* What flags and files say of mounts, before anything is installed for it; keeps nothing. ERROR_CONFIG as
 * inputs_gather. */
bool inputs_check_mounts(struct inputs *in, struct npxc_error *err) NPXC_MUST_CHECK;
bool inputs_gather(struct inputs *in, const struct runtime *runtime, const struct store_package *package, bool starts,
                   struct npxc_error *err) NPXC_MUST_CHECK;
/* Tells the user about mounts and network. */
void inputs_note(const struct inputs *in);
void inputs_done(struct inputs *in); /* a zeroed struct is fine */

/* Which runtime is asked for. ERROR_CONFIG. */
bool inputs_runtime(const struct inputs *in, enum runtime_kind *ret_kind, struct npxc_error *err) NPXC_MUST_CHECK;
/* The name under which a runtime's CLI is looked for; borrowed. */
const char *inputs_cli_name(enum runtime_kind kind, const struct config *config);
/* Where sessions keep their leases and workspaces; owned. */
char *inputs_sessions_directory(const struct inputs *in);

/* What an allowlist's `auto` comes to on this runtime; `ret_why`: static, NULL when nobody had to choose. */
void inputs_choose_link(const struct inputs *in, const struct runtime *runtime, struct policy *policy,
                        const char **ret_why);
/* The same of the session's own policy, and whether this runtime can keep it. ERROR_CONFIG, ERROR_RUNTIME_UNAVAILABLE.
 */
bool inputs_settle_link(struct inputs *in, const struct runtime *runtime, struct npxc_error *err) NPXC_MUST_CHECK;
/* Whether user namespaces that others than some programs make come without capabilities (Ubuntu 24.04). */
bool inputs_is_restricted(void);
/* Where doctor --probe keeps what it saw; owned. False: there is nothing, or nothing that can be read. */
char *inputs_seen_file(const struct inputs *in);
bool inputs_read_seen(const struct inputs *in, struct seen_links *ret_seen) NPXC_MUST_CHECK;

/* The mount that shows all of the working directory; NULL: none does. The last one counts. */
const struct mounts_entry *inputs_cover(const struct inputs *in);

#endif
