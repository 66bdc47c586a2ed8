#include "session/installer.h"

#include "base/fault.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/random.h"
#include "base/signals.h"
#include "config/load.h"
#include "config/package_dir.h"
#include "session/apart.h"
#include "session/run.h"
#include "session/search.h"
#include "session/start.h"
#include "store/directory.h"
#include "store/refused.h"
#include "store/registry.h"

#include <stdlib.h>
#include <unistd.h>

/* ---- npm in a sandbox of this session ---- */

/* Rules of what an installation may reach. */
static bool rules_of(const struct store_reach *reach, struct rules *ret_rules, struct npxc_error *err)
{
	struct rules rules = { 0 };
	bool fine = true;
	for (size_t i = 0; fine && i < reach->count; i++)
		fine = rules_add_configured(&rules, reach->v[i].host, reach->v[i].port, reach->v[i].proxy, err);
	for (size_t i = 0; fine && reach->allow != NULL && i < reach->allow->count; i++)
		fine = rules_add(&rules, reach->allow->v[i].text, err);
	if (fine)
		*ret_rules = rules;
	else
		rules_done(&rules);
	return fine;
}

/* What the way out of an installation has said: after its end, so that nothing is missing. */
static void gather_refused(struct route *route, struct refused *refused)
{
	struct egress_denial denial;
	route_stop(route);
	while (egress_read(&route->egress, &denial) == EGRESS_DENIED)
		if (denial.reason != REASON_DIAL_REFUSED) /* by the other end */
			refused_add(refused, denial.host, denial.port,
			            denial.add == AUDIT_ADD_RAW    ? REFUSED_WANTS_RAW
			            : denial.add == AUDIT_ADD_RULE ? REFUSED_WANTS_RULE
			                                           : REFUSED_FOR_GOOD,
			            reason_text(denial.reason), 1);
}

struct job {
	struct session *session;
	struct launch *launch;
	unsigned timeout_ms;
	void (*on_stderr)(void *progress, const char *bytes, size_t count);
	void *progress;
};

static bool run_job(const struct job *job, struct route *route, struct proc_result *ret_result, struct npxc_error *err)
{
	return run_to_end(job->session, job->launch, route, job->timeout_ms, job->on_stderr, job->progress, ret_result,
	                  err);
}

/* "npm install", and for whom: `npxc log` reads it (commands/log). Owned. */
static char *audit_label(const struct inputs *in)
{
	struct npxc_error ignored;
	char *label = str_dup("npm install");

	for (size_t i = 0; i < in->options->specs.count; i++) {
		struct spec spec;
		if (!spec_parse(in->options->specs.v[i], &spec, &ignored))
			continue;
		mem_cleanup char *directory =
		    spec.kind == SPEC_DIRECTORY ? directory_path(spec.path, in->cwd, in->paths.home) : NULL;
		char *more = str_printf("%s %s", label, directory != NULL ? directory : spec.name);
		spec_done(&spec);
		free(label);
		label = more;
	}
	return label;
}

/* An installation has the same way out as a server with an allowlist, on the link that auto chooses. */
static bool run_reaching(const struct job *job, const struct store_reach *reach, struct proc_result *ret_result,
                         struct refused *refused, struct npxc_error *err)
{
	struct session *session = job->session;
	struct policy policy = { .kind = POLICY_ALLOWLIST, .link = POLICY_LINK_AUTO };
	struct network_choice network = { 0 };
	struct route_means means;
	struct route route;
	const char *ignored;
	if (!rules_of(reach, &policy.rules, err))
		return false;
	inputs_choose_link(&session->in, &session->runtime, &policy, &ignored);
	mem_cleanup char *audit = str_path_join(session->in.paths.state_directory, "egress");
	mem_cleanup char *name = network_new_name(), *label = audit_label(&session->in);
	const struct route_settings settings = {
		.rules = &policy.rules,
		.link = policy.link,
		.audit_directory = audit,
		.session = job->launch->name,
		.package = label,
	};
	route_means_find(policy.link, &means);
	bool fine = network_choose(&session->runtime, &policy, name, &network, err) &&
	            route_plan(&settings, &means, &route, err);
	if (fine) {
		route_add(&route, &network, job->launch);
		fine = start_way_out(session, &network, &route, job->launch, err);
		if (fine) {
			fine = run_job(job, &route, ret_result, err);
			gather_refused(&route, refused);
		}
		route_done(&route);
	}
	route_means_done(&means);
	network_choice_done(&network);
	policy_done(&policy);
	return fine;
}

static bool run_npm(void *context, struct launch *launch, const struct store_reach *reach, unsigned timeout_ms,
                    void (*on_stderr)(void *progress, const char *bytes, size_t count), void *progress,
                    struct proc_result *ret_result, struct refused *refused, struct npxc_error *err)
{
	struct session *session = context;
	mem_cleanup char *id = random_hex(8);
	const struct job job = { session, launch, timeout_ms, on_stderr, progress };
	free(launch->name);
	free(launch->image);
	launch->name = plan_session_name("install", id);
	launch->image = str_dup(session->in.config.defaults.node_image);
	/* npm and the scripts of packages want more than a server: memory is not bounded, processes generously. */
	launch->pids = LIMIT_INSTALL_PIDS;
	launch->network = LAUNCH_NETWORK_NONE;
	return reach == NULL ? run_job(&job, NULL, ret_result, err)
	                     : run_reaching(&job, reach, ret_result, refused, err);
}

static bool hold_directory(void *context, const char *path, unsigned *ret_id, struct npxc_error *err)
{
	struct session *session = context;
	FAULT_POINT("staging.hold");
	if (!janitor_hold_path(session->janitor, RESOURCE_DIRECTORY, path, ret_id, err))
		return false;
	FAULT_POINT("staging.held");
	return true;
}

static bool release(void *context, unsigned id, struct npxc_error *err)
{
	struct session *session = context;
	return janitor_release(session->janitor, id, err);
}

/* ---- for the store ---- */

/* Adds what the package's file says. ret_file: the first file of several; owned, NULL or as it was. */
static void add_allow(const struct config_package *package, struct strv *allow, char **ret_file)
{
	for (size_t i = 0; i < package->install_allow.count; i++)
		if (!strv_contains(allow, package->install_allow.v[i]))
			strv_push(allow, package->install_allow.v[i]);
	if (*ret_file == NULL)
		*ret_file = str_dup(package->file);
}

/*
 * What installing this may reach beside the registry. A set is one installation, so there every package's file counts;
 * whose configuration the server gets is known only afterwards.
 */
static bool gather_allow(const struct inputs *in, struct strv *ret_allow, char **ret_file, struct npxc_error *err)
{
	struct strv allow = { 0 };
	char *file = NULL;
	bool ok = true;
	if (in->has_package_config)
		add_allow(&in->package_config, &allow, &file);
	for (size_t i = 0; ok && !in->has_package_config && i < in->options->specs.count; i++) {
		struct config_package package;
		struct spec spec;
		ok = spec_parse(in->options->specs.v[i], &spec, err);
		if (!ok)
			break;
		mem_cleanup char *directory =
		    spec.kind == SPEC_DIRECTORY ? directory_path(spec.path, in->cwd, in->paths.home) : NULL;
		ok = directory != NULL ? package_dir_load(in->paths.packages_directory, directory, &package, err)
		                       : load_package(in->paths.packages_directory, spec.name, &package, err);
		if (ok) {
			add_allow(&package, &allow, &file);
			config_package_done(&package);
		}
		spec_done(&spec);
	}
	if (!ok) {
		strv_done(&allow);
		free(file);
		return false;
	}
	*ret_allow = allow;
	*ret_file = file;
	return true;
}

bool installer_make(struct session *session, struct installer *ret_installer, struct npxc_error *err)
{
	struct installer installer = {
		.search = search_path(session->in.paths.home, session->in.paths.state_directory),
	};
	if (!gather_allow(&session->in, &installer.allow, &installer.allow_file, err)) {
		installer_done(&installer);
		return false;
	}
	project_find(&session->in, &installer.project);
	*ret_installer = installer;
	ret_installer->host = (struct store_host){
		.context = session,
		.run = run_npm,
		.hold_directory = hold_directory,
		.release = release,
		.apart = apart_run,
		.interrupted = signals_interrupted,
		.store_directory = session->in.paths.store_directory,
		.home = session->in.paths.home,
		.path_variable = installer.search,
		.cwd = session->in.cwd,
		.image = runtime_driver(session->runtime.kind)->has_containers ? session->in.config.defaults.node_image
		                                                               : NULL,
		.runtime = runtime_kind_word(session->runtime.kind),
		.allow_package = { .rules = &ret_installer->allow, .file = installer.allow_file },
		.allow_all = { .rules = &session->in.config.install_allow, .file = session->in.config.file },
		.scopes = &ret_installer->project.scopes,
		.note = installer.project.note,
		.node_major = session->in.config.defaults.node,
		.is_root = geteuid() == 0,
		.progress = isatty(STDERR_FILENO) == 1,
#ifdef __linux__
		.links = !runtime_driver(session->runtime.kind)->has_own_kernel,
#endif
	};
	return true;
}

void installer_done(struct installer *installer)
{
	strv_done(&installer->allow);
	free(installer->allow_file);
	free(installer->search);
	project_done(&installer->project);
	*installer = (struct installer){ 0 };
}
