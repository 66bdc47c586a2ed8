#ifndef NPXC_COMMANDS_PREPARE_H
#define NPXC_COMMANDS_PREPARE_H

#include "base/error.h"
#include "commands/options.h"
#include "config/config.h"
#include "config/paths.h"
#include "config/policy.h"
#include "files/mounts.h"
#include "files/source.h"
#include "relay/relay.h"
#include "runtime/seen.h"
#include "session/plan.h"
#include "session/session.h"
#include "store/store.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * The way from words to a plan, which run, try, inspect and install share. Each step needs the ones before it; a
 * command takes as many as it needs, and prepare_done gives everything back.
 */
struct prepared {
	const struct options *options; /* borrowed */
	char *cwd;
	struct paths paths;
	struct config config;
	bool has_session;
	struct session session;
	bool
	    learn; /* set between prepare_config and the next step: the policy is an allowlist, whatever else is said */
	bool has_package_config;
	struct config_package package_config;
	char *package_config_label; /* whose it is: a package's name or a directory's path */
	struct policy policy;
	bool has_package;
	struct store_package package;
	int store_lock;              /* shared lock on the package for the session's length; -1: none */
	struct config_variable *env; /* declared variables with their values */
	size_t env_count;
	struct mounts mounts;
	struct source data;            /* the package's own directory; SOURCE_NONE: none, or none yet */
	struct strv visible;           /* what mounts show, for `relay` */
	char *cwd_by_home;             /* the working directory through a home that is a link; may be NULL */
	struct relay *relay;           /* NULL before prepare_workspace */
	struct network_choice network; /* what the policy came to */
	const char *link_why;          /* static: why auto chose this link; NULL when nobody had to choose */
	char *session_name;            /* NULL before prepare_plan */
	char *audit_directory;
	struct route_settings route_settings;
	struct route *route; /* owned; the way out of an allowlist, else NULL */
	bool has_plan;
	struct plan plan;
	int64_t install_us, plan_us; /* durations */
};

/* Working directory, paths, npxc.json, log level. Touches nothing. */
bool prepare_config(const struct options *options, struct prepared *ret_prepared,
                    struct npxc_error *err) NPXC_MUST_CHECK;
/*
 * The package's file and the policy: all that can be refused without a registry and without asking a runtime. Nothing
 * of several specs: which package has the command is known when they are installed. A directory's file is the one that
 * names its path (config/package_dir.h), whatever its package.json says.
 */
bool prepare_package_config(struct prepared *p, struct npxc_error *err) NPXC_MUST_CHECK;
/* The janitor, signals, the runtime, and whether that one can keep the policy. */
bool prepare_session(struct prepared *p, struct npxc_error *err) NPXC_MUST_CHECK;
/* The package from the store, installed if `wish` says so. */
bool prepare_package(struct prepared *p, enum store_wish wish, struct npxc_error *err) NPXC_MUST_CHECK;
/* Environment, mounts, network, plan. `session_id` as in plan_input; NULL for inspect: nothing is made, and where a run
 * has something random stands a placeholder. Prints the notes about mounts and network when `notes`. */
bool prepare_plan(struct prepared *p, const char *session_id, bool notes, struct npxc_error *err) NPXC_MUST_CHECK;

/* Where sessions keep their leases and workspaces; owned. */
char *prepare_sessions_directory(const struct prepared *p);

/* The name under which a runtime's CLI is looked for; borrowed. */
const char *prepare_cli_name(enum runtime_kind kind, const struct config *config);

/*
 * For `npxc doctor --probe`, after prepare_session: an allowlist of one rule on this link, its way out, and a sandbox
 * with Node and no package, whose command is still to be given; owned. Nothing of it is written to the audit log.
 */
bool prepare_guest(struct prepared *p, enum policy_link link, const char *rule, struct launch *ret_launch,
                   struct npxc_error *err) NPXC_MUST_CHECK;

/* What an allowlist's `auto` comes to on this session's runtime; `ret_why`: static, NULL when nobody had to choose. */
void prepare_choose_link(const struct prepared *p, struct policy *policy, const char **ret_why);

/* Whether user namespaces that others than some programs make come without capabilities (Ubuntu 24.04). */
bool prepare_is_restricted(void);
/* Where doctor --probe keeps what it saw; owned. False: there is nothing, or nothing that can be read. */
char *prepare_seen_file(const struct prepared *p);
bool prepare_read_seen(const struct prepared *p, struct seen_links *ret_seen) NPXC_MUST_CHECK;

/* All of them for a start: package installed when missing, random session id. */
bool prepare_start(const struct options *options, struct prepared *ret_prepared,
                   struct npxc_error *err) NPXC_MUST_CHECK;
/* The same after prepare_config. */
bool prepare_rest(struct prepared *p, struct npxc_error *err) NPXC_MUST_CHECK;

/* The session's directories, and in them what the server shall find; before session_start. */
bool prepare_workspace(struct prepared *p, struct npxc_error *err) NPXC_MUST_CHECK;

/* Ends the session (everything it holds) and frees. A zeroed struct is fine. */
void prepare_done(struct prepared *p);

#endif
