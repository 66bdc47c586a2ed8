#include "session/acquire.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/signals.h"
#include "config/spec.h"
#include "guest/guest.h"
#include "session/installer.h"
#include "session/search.h"
#include "session/shares.h"
#include "session/start.h"
#include "session/withheld.h"
#include "session/workspace.h"
#include "teardown/lease.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/*
 * The order, and why it cannot change:
 *
 *   1. the janitor    forked while npxc holds nothing: it holds nothing either, and outlives whatever happens here
 *   2. the runtime    looked up; nothing of it is kept
 *   3. the package    installed when it is missing, in sandboxes that have their own 5, 6 and 8; then a lock on it
 *   4. the session's  description on its lease, once there is a plan
 *   5. the network    of an allowlist on link gateway (session/start: installs do the same)
 *   6. the way out    its directory, its listener, the egress process
 *   7. the workspace  and the record of what the host would execute in writable trees; then the relay, which makes
 *                     visible what arguments name
 *   8. the sandbox    its container's name or its cgroups, then its process: all of the above must be there
 *
 * Each resource is named to the janitor before it is acquired; between "named" and "acquired" a death costs the janitor
 * a look at something that is not there, after it nothing is lost. The sandbox goes first and its cgroup second,
 * because a cgroup with a process in it cannot be removed; the network goes after the container.
 */

/* ---- the janitor and the runtime ---- */

bool acquire_runtime(struct session *session, struct npxc_error *err)
{
	enum runtime_kind kind;
	if (!inputs_runtime(&session->in, &kind, err) || !session_open(session, err))
		return false;
	const struct paths *paths = &session->in.paths;
	mem_cleanup char *search = search_path(paths->home, paths->state_directory);
	if (!session_describe_installation(session, runtime_kind_word(kind), err) ||
	    !runtime_find(kind, inputs_cli_name(kind, &session->in.config), search, &session->runtime, err))
		return false;
	session->has_runtime = true;
	search_remember(paths->home, paths->state_directory);
	return inputs_settle_link(&session->in, &session->runtime, err);
}

/* ---- the package ---- */

bool acquire_package(struct session *session, enum store_wish wish, struct npxc_error *err)
{
	const int64_t began = clock_now_us();
	const struct options *options = session->in.options;
	struct installer installer;
	if (!installer_make(session, &installer, err))
		return false;
	const struct store_request request = {
		.specs = (const char *const *)options->specs.v,
		.spec_count = options->specs.count,
		.command = options->bin,
		.call = options->call,
		.version_hint = session->in.has_package_config ? session->in.package_config.version : NULL,
	};
	session->has_package = store_get(&installer.host, &request, wish, &session->package, err);
	project_tell(&installer.project, session->has_package ? &session->package : NULL);
	installer_done(&installer);
	session->install_us = clock_now_us() - began;
	return session->has_package && store_use(&session->package, &session->store_lock, err) &&
	       inputs_load_owner(&session->in, &session->runtime, &session->package, err);
}

/* ---- the workspace and the relay ---- */

/* On disk before anything can write to the trees. */
static bool hold_guards(struct session *session, const struct plan *plan, struct npxc_error *err)
{
	if (plan->guards_file == NULL)
		return true;
	mem_cleanup char *directory = str_path_join(plan->guards_file, "..");
	FAULT_POINT("guards.hold");
	if (!janitor_hold_path(session->janitor, RESOURCE_GUARDS, plan->guards_file, &session->guards_hold, err))
		return false;
	FAULT_POINT("guards.held");
	if (!file_make_directories(directory, 0700, err) ||
	    !file_write_alone(plan->guards_file, plan->guards, strlen(plan->guards), 0600, err))
		return false;
	FAULT_POINT("guards.made");
	session->guards_file = str_dup(plan->guards_file);
	return true;
}

/* The spellings of the working directory, each once. */
static void spell(struct session *session, struct scope_place *place)
{
	const char *real = session->in.mounts.real_cwd;
	const char *real_home = session->in.real_home;
	size_t count = 0;
	place->home = session->in.paths.home;
	place->spellings[count++] = session->in.cwd;
	if (!str_equal(real, session->in.cwd))
		place->spellings[count++] = real;
	if (real_home == NULL || str_equal(real_home, session->in.paths.home) || !str_path_within(real, real_home))
		return;
	session->cwd_by_home = str_printf("%s%s", session->in.paths.home, real + strlen(real_home));
	if (!str_equal(session->cwd_by_home, session->in.cwd) && !str_equal(session->cwd_by_home, real))
		place->spellings[count++] = session->cwd_by_home;
}

/* What mounts show, by each spelling of its path. */
static void find_visible(struct session *session, const struct scope_place *place)
{
	for (size_t i = 0; i < session->runtime.system_mounts.count; i++)
		strv_push(&session->visible, session->runtime.system_mounts.v[i]);
	for (size_t i = 0; i < session->in.mounts.count; i++) {
		const struct mounts_entry *e = &session->in.mounts.v[i];
		const char *relative = scope_behind(place, e->target);
		if (relative != NULL && strv_contains(&session->plan.arguments, relative))
			continue; /* it is shown, not mounted */
		strv_push(&session->visible, e->target);
		for (size_t k = 0; relative != NULL && k < SCOPE_SPELLINGS_MAX && place->spellings[k] != NULL; k++)
			strv_pushf(&session->visible, "%s%s%s", place->spellings[k], relative[0] == '\0' ? "" : "/",
			           relative);
	}
}

/* An answer that tells of a failure may be one for want of the network. */
static void answer_failed(void *context)
{
	withheld_tell_trouble(context);
}

/* The server runs: what it starts with is mounted. */
static void server_speaks(void *context)
{
	struct session *session = context;

	lost_open(&session->lost, session->plan.launch.home);
}

static bool start_relay(struct session *session, struct npxc_error *err)
{
	mem_cleanup char *files = plan_files_directory(&session->plan);
	mem_cleanup char *stage = plan_stage_directory(&session->plan);
	struct relay_settings settings = {
		.config = &session->in.config,
		.package = &session->in.package_config,
		.label = store_package_label(&session->package),
		.notices = &session->notices,
		.in_scope = session->in.mounts.cwd_in_scope,
		.cwd = session->in.mounts.real_cwd,
		.own = session->plan.package_place,
		.files = session->plan.shows ? files : NULL,
		.stage = stage,
		.mounted = &session->visible,
		.mount_points = &session->plan.mount_points,
		.has_no_network =
		    session->in.policy.kind == POLICY_NONE && runtime_driver(session->runtime.kind)->first_pid == NULL,
		.outputs = session->plan.outputs,
		.arguments = &session->plan.arguments,
		.stop = signals_interrupted,
		.speaks = server_speaks,
		.failed = answer_failed,
		.context = session,
	};
	const struct mounts_entry *cover = inputs_cover(&session->in);
	settings.is_read_only = cover != NULL && !cover->writable;
	spell(session, &settings.place);
	find_visible(session, &settings.place);
	return relay_start(&settings, &session->relay, err);
}

/* ---- in order ---- */

static bool describe_session(const struct session *session, struct npxc_error *err)
{
	const bool linked = session->in.policy.kind == POLICY_ALLOWLIST;
	mem_cleanup char *policy = policy_text(&session->in.policy);
	const struct janitor_facts facts = {
		.name = session->plan.launch.name,
		.package = store_package_label(&session->package),
		.version = session->package.version,
		.runtime = runtime_kind_word(session->runtime.kind),
		.policy = policy,
		.link = linked ? policy_link_word(session->in.policy.link) : "",
		.shares = &session->plan.shares,
	};
	return janitor_describe(session->janitor, &facts, err);
}

/* What was known only now stands in the CLI's environment. */
static bool fill_plan(struct session *session, struct npxc_error *err)
{
	struct plan *plan = &session->plan;
	struct runtime_start start = { 0 };
	if (!plan->network.managed)
		return true;
	if (!runtime_make_start(&session->runtime, &plan->launch, &start, err))
		return false;
	runtime_start_done(&plan->start);
	plan->start = start;
	return true;
}

bool acquire_surroundings(struct session *session, struct npxc_error *err)
{
	struct plan *plan = &session->plan;
	session->route = MEM_TAKE(plan->route);
	if (!describe_session(session, err) ||
	    !start_way_out(session, &plan->network, session->route, &plan->launch, err) || !fill_plan(session, err))
		return false;
	if (!workspace_make(session->janitor, plan, err))
		return error_prefix(err, "workspace");
	if (!hold_guards(session, plan, err))
		return error_prefix(err, "what this machine would execute");
	return start_relay(session, err);
}

/* --no-install is about what would be fetched: a directory is there. */
static enum store_wish wanted_of(const struct options *options)
{
	struct spec spec;
	struct npxc_error ignored;
	bool fetched = true;
	if (options->near_command != NULL)
		return STORE_LOOK;
	if (!options->npm.no_install)
		return STORE_ENSURE;
	if (spec_parse(options->specs.v[0], &spec, &ignored)) {
		fetched = spec.path == NULL;
		spec_done(&spec);
	}
	return fetched ? STORE_LOOK : STORE_ENSURE;
}

static bool names_mounts(const struct session *session)
{
	return session->in.options->mount_count > 0 || session->in.package_config.mount_count > 0;
}

/* Strangers publish packages under the names of slips. */
static bool acquire_wanted(struct session *session, struct npxc_error *err)
{
	const struct options *options = session->in.options;
	const enum store_wish wish = wanted_of(options);
	if (wish == STORE_ENSURE && names_mounts(session)) {
		/* Nobody waits for an installation to learn of a slip in a flag. */
		struct npxc_error ignored = { 0 };
		if (acquire_package(session, STORE_LOOK, &ignored))
			return true;
		if (session->has_package) { /* it is there, and cannot be used */
			*err = ignored;
			return false;
		}
		if (!inputs_check_mounts(&session->in, err))
			return false;
	}
	if (acquire_package(session, wish, err))
		return true;
	if (options->near_command != NULL && err->kind == ERROR_INSTALL)
		error_set(err, ERROR_CONFIG,
		          "unknown command %s; did you mean \"%s\"?; to run the package of that name: npxc -- %s",
		          options->specs.v[0], options->near_command, options->specs.v[0]);
	return false;
}

bool acquire_plan(struct session *session, struct npxc_error *err)
{
	if (!inputs_load_package(&session->in, err) || !acquire_runtime(session, err) ||
	    !acquire_wanted(session, err) || !session_plan(session, true, true, err))
		return false;
	withheld_tell_files(session);
	withheld_tell_variables(session);
	return true;
}

bool acquire_server(struct session *session, struct sandbox *ret_sandbox, struct npxc_error *err)
{
	const struct plan *plan = &session->plan;
	/* The workspace is held, and with it all that was said of this session stands on its lease. */
	if (plan->shares.count == 0)
		return start_sandbox(session, &plan->launch, &plan->start, session->route, ret_sandbox, err);
	if (!shares_check(session->leases, session->id, &plan->shares, err) ||
	    !start_sandbox(session, &plan->launch, &plan->start, session->route, ret_sandbox, err))
		return false;
	if (shares_check(session->leases, session->id, &plan->shares, err))
		return true;
	/* Another start that could not see this one yet: what was mounted may be another file by now. */
	err->kind = ERROR_RUNTIME;
	struct npxc_error ignored;
	int status, signal_number;
	if (janitor_end_sandbox(session->janitor, 0, &ignored))
		(void)!sandbox_wait(ret_sandbox, &status, &signal_number, &ignored);
	sandbox_done(ret_sandbox);
	return false;
}
