#include "commands/prepare.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/random.h"
#include "base/signals.h"
#include "commands/installer.h"
#include "config/load.h"
#include "config/package_dir.h"
#include "files/data.h"
#include "files/written.h"
#include "store/directory.h"
#include "store/node.h"
#include "store/refused.h"
#include "store/registry.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* $PWD, where it is the directory that npxc was started in, spelled as the user knows it; owned, or NULL. */
static char *spelled_cwd(const char *here)
{
	const char *spelled = getenv("PWD");
	mem_cleanup char *clean = NULL;
	struct stat one, other;
	if (spelled == NULL || spelled[0] != '/' || stat(spelled, &one) != 0 || stat(here, &other) != 0 ||
	    one.st_dev != other.st_dev || one.st_ino != other.st_ino)
		return NULL;
	clean = str_path_clean(spelled);
	return str_equal(clean, spelled) ? MEM_TAKE(clean) : NULL;
}

static bool find_cwd(const struct options *options, char **ret_cwd, struct npxc_error *err)
{
	char here[PATH_MAX] = "/";
	/* An absolute --cwd serves where the directory that npxc was started in has been removed. */
	if ((options->cwd == NULL || options->cwd[0] != '/') && getcwd(here, sizeof(here)) == NULL)
		return error_set_errno(err, ERROR_CONFIG, "the working directory cannot be found; name one with --cwd");
	mem_cleanup char *cwd = options->cwd == NULL ? str_dup(here) : str_path_join(here, options->cwd);
	mem_cleanup char *spelled = options->cwd == NULL ? spelled_cwd(cwd) : NULL;
	if (spelled != NULL) {
		free(cwd);
		cwd = MEM_TAKE(spelled);
	}
	if (!file_is_directory(cwd))
		return error_set(err, ERROR_CONFIG, "--cwd %s is not a directory", cwd);
	*ret_cwd = MEM_TAKE(cwd);
	return true;
}

/* The last word wins: configuration, then NPXC_LOG, then --log-level. */
static bool set_log_level(const struct prepared *p, struct npxc_error *err)
{
	const char *variable = getenv("NPXC_LOG");
	if (!log_configure(p->config.defaults.log_level, err))
		return error_prefix(err, "defaults.log_level");
	if (!str_is_empty(variable) && !log_configure(variable, err))
		return error_prefix(err, "NPXC_LOG");
	if (p->options->log_level != NULL && !log_configure(p->options->log_level, err))
		return error_prefix(err, "--log-level");
	return true;
}

static bool load_config(struct prepared *p, struct npxc_error *err)
{
	const struct paths_environment environment = {
		.home = getenv("HOME"),
		.xdg_config_home = getenv("XDG_CONFIG_HOME"),
		.xdg_data_home = getenv("XDG_DATA_HOME"),
		.xdg_cache_home = getenv("XDG_CACHE_HOME"),
		.xdg_state_home = getenv("XDG_STATE_HOME"),
	};
	if (!find_cwd(p->options, &p->cwd, err) ||
	    !paths_make(&environment, p->options->config, p->cwd, &p->paths, err) ||
	    !load_file(p->paths.config_file, p->paths.old_config_file, p->options->config != NULL, &p->config, err))
		return false;
	if (p->options->no_isolate)
		log_notice("--no-isolate is an old name; write --project=ro");
	return set_log_level(p, err);
}

bool prepare_config(const struct options *options, struct prepared *ret_prepared, struct npxc_error *err)
{
	struct prepared p = { .options = options, .store_lock = -1, .data = SOURCE_NONE };
	if (!load_config(&p, err)) {
		prepare_done(&p);
		return false;
	}
	*ret_prepared = p;
	return true;
}

bool prepare_is_restricted(void)
{
	struct buf text BUF_CLEANUP = BUF_INIT(16);
	struct npxc_error ignored;
	return file_read("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", &text, &ignored) &&
	       text.length > 0 && text.data[0] == '1';
}

char *prepare_seen_file(const struct prepared *p)
{
	return str_path_join(p->paths.state_directory, "probe.json");
}

bool prepare_read_seen(const struct prepared *p, struct seen_links *ret_seen)
{
	mem_cleanup char *file = prepare_seen_file(p);
	struct buf text BUF_CLEANUP = BUF_INIT(LIMIT_PROBE_FILE_BYTES);
	struct npxc_error err = { 0 };
	if (file_read(file, &text, &err) &&
	    seen_parse(text.data == NULL ? "" : text.data, text.length, file, ret_seen, &err))
		return true;
	if (err.sys_errno != ENOENT)
		log_info("session", "%s", err.message);
	return false;
}

/* Of the one runtime where it matters: no other start pays for it. */
static bool socket_was_seen(const struct prepared *p, const struct policy *policy)
{
	const struct runtime *runtime = &p->session.runtime;
	struct seen_links seen;
	if (runtime->kind != RUNTIME_APPLE || policy->kind != POLICY_ALLOWLIST || policy->link != POLICY_LINK_AUTO ||
	    !prepare_read_seen(p, &seen))
		return false;
	const bool works = seen_works(&seen, runtime->kind, runtime->version, POLICY_LINK_SOCKET);
	seen_done(&seen);
	return works;
}

void prepare_choose_link(const struct prepared *p, struct policy *policy, const char **ret_why)
{
	network_choose_link(&p->session.runtime, prepare_is_restricted(), socket_was_seen(p, policy), policy, ret_why);
}

static bool settle_link(struct prepared *p, struct npxc_error *err)
{
	prepare_choose_link(p, &p->policy, &p->link_why);
	return network_check_policy(&p->session.runtime, &p->policy, err);
}

static bool make_policy(struct prepared *p, struct npxc_error *err)
{
	const struct policy_sources sources = {
		.option = p->learn ? "allowlist" : p->options->network,
		.network_mode = p->package_config.network_mode,
		.runtime_network = p->package_config.runtime_network,
		.defaults_network = p->config.defaults.network,
		.link = p->package_config.network_link,
		.allow = &p->package_config.network_allow,
		.option_allow = &p->options->allow,
	};
	policy_done(&p->policy);
	if (!policy_make(&sources, &p->policy, err))
		return false;
	/* Of a set the package, and so its policy, is known only after the runtime. */
	return !p->session.has_runtime || settle_link(p, err);
}

/* `directory`: the real path of a package that is one, `name` of any other. */
static bool load_package_config(struct prepared *p, const char *directory, const char *name, struct npxc_error *err)
{
	if (directory != NULL ? !package_dir_load(p->paths.packages_directory, directory, &p->package_config, err)
	                      : !load_package(p->paths.packages_directory, name, &p->package_config, err))
		return false;
	p->has_package_config = true;
	p->package_config_label = str_dup(directory != NULL ? directory : name);
	return make_policy(p, err);
}

bool prepare_package_config(struct prepared *p, struct npxc_error *err)
{
	if (p->options->specs.count != 1)
		return true; /* of a set it is the package of the command that counts */
	struct spec spec;
	if (!spec_parse(p->options->specs.v[0], &spec, err))
		return false;
	mem_cleanup char *directory =
	    spec.kind == SPEC_DIRECTORY ? directory_path(spec.path, p->cwd, p->paths.home) : NULL;
	const bool fine = load_package_config(p, directory, spec.name, err);
	spec_done(&spec);
	return fine;
}

const char *prepare_cli_name(enum runtime_kind kind, const struct config *config)
{
	switch (kind) {
	case RUNTIME_APPLE:
		return config->defaults.container_cli;
	case RUNTIME_PODMAN:
		return "podman";
	case RUNTIME_DOCKER:
		return "docker";
	case RUNTIME_BWRAP:
		break;
	}
	return "bwrap";
}

char *prepare_sessions_directory(const struct prepared *p)
{
	return str_path_join(p->paths.state_directory, "sessions");
}

/* What `npxc ps` shows of a session that has no server yet. */
static bool describe_installation(const struct prepared *p, const char *runtime, struct npxc_error *err)
{
	mem_cleanup char *specs = strv_shell(&p->options->specs);
	const struct janitor_facts facts = {
		.name = "", .package = specs, .version = "", .runtime = runtime, .policy = "", .link = ""
	};
	return janitor_describe(p->session.janitor, &facts, err);
}

bool prepare_session(struct prepared *p, struct npxc_error *err)
{
	const char *word = p->options->runtime                                       ? p->options->runtime
	                   : p->has_package_config && p->package_config.runtime_name ? p->package_config.runtime_name
	                                                                             : p->config.defaults.runtime;
	enum runtime_kind kind;
	mem_cleanup char *leases = prepare_sessions_directory(p);
	if (!runtime_kind_of(word, &kind, err) || !session_open(leases, &p->session, err))
		return false;
	p->has_session = true;
	mem_cleanup char *search = paths_search(getenv("PATH"));
	return describe_installation(p, runtime_kind_word(kind), err) &&
	       session_use_runtime(&p->session, kind, prepare_cli_name(kind, &p->config), search, err) &&
	       settle_link(p, err);
}

/* Of a set, once it is known who has the command. A command that no package of them has may be a dependency's, whoever
 * wrote that: it gets nobody's settings. A line for the shell is the user's own. */
static bool load_owners_config(struct prepared *p, struct npxc_error *err)
{
	if (p->package.owned)
		return load_package_config(p, p->package.source, p->package.name, err);
	log_notice("none of the packages has a command %s, so no package's configuration applies", p->package.bin);
	if (!config_parse_package(NULL, 0, p->paths.packages_directory, &p->package_config, err))
		return false;
	p->has_package_config = true;
	p->package_config_label = str_dup(store_package_label(&p->package));
	return make_policy(p, err);
}

bool prepare_package(struct prepared *p, enum store_wish wish, struct npxc_error *err)
{
	const int64_t began = clock_now_us();
	struct installer installer;
	if (!installer_make(p, &installer, err))
		return false;
	const struct store_request request = {
		.specs = (const char *const *)p->options->specs.v,
		.spec_count = p->options->specs.count,
		.command = p->options->bin,
		.call = p->options->call,
		.version_hint = p->has_package_config ? p->package_config.version : NULL,
	};
	const bool found = store_get(&installer.host, &request, wish, &p->package, err);
	installer_done(&installer);
	if (!found)
		return false;
	p->has_package = true;
	p->install_us = clock_now_us() - began;
	if (!store_use(&p->package, &p->store_lock, err))
		return false;
	if (!p->has_package_config)
		return load_owners_config(p, err);
	/* They are made from the same words; a directory that was replaced by a link meanwhile is another one. */
	if (strcmp(p->package_config_label, store_package_label(&p->package)) != 0)
		return error_set(err, ERROR_CONFIG, "%s became %s while it was prepared; start again",
		                 p->package_config_label, store_package_label(&p->package));
	return true;
}

/* ---- environment and plan ---- */

static void add_variable(struct prepared *p, const char *name, const char *value)
{
	p->env = mem_realloc(p->env, p->env_count + 1, sizeof(*p->env));
	p->env[p->env_count++] = (struct config_variable){ .name = str_dup(name), .value = str_dup(value) };
}

static void gather_variables(struct prepared *p)
{
	const struct config_package *package = &p->package_config;
	for (size_t i = 0; i < package->env_count; i++)
		add_variable(p, package->env[i].name, package->env[i].value);
	for (size_t i = 0; i < package->env_passthrough.count; i++) {
		const char *value = getenv(package->env_passthrough.v[i]);
		if (value != NULL)
			add_variable(p, package->env_passthrough.v[i], value);
		else
			log_info("session", "env_passthrough: %s is not set here", package->env_passthrough.v[i]);
	}
	for (size_t i = 0; i < p->options->env.count; i++) {
		const char *word = p->options->env.v[i];
		const char *equals = strchr(word, '=');
		mem_cleanup char *name = str_dup_n(word, equals == NULL ? strlen(word) : (size_t)(equals - word));
		const char *value = equals == NULL ? getenv(name) : equals + 1;
		if (value != NULL)
			add_variable(p, name, value);
		else
			log_warn("session", "-e %s: not set here, so the server does not get it", name);
	}
}

static bool choose_network(struct prepared *p, bool starts, struct npxc_error *err)
{
	if (starts || p->policy.kind != POLICY_ALLOWLIST || p->policy.link != POLICY_LINK_GATEWAY)
		return session_provision(&p->session, &p->policy, &p->network, err);
	p->network.argument = str_dup(NETWORK_PLACEHOLDER);
	p->network.managed = true;
	return true;
}

static bool open_route(struct prepared *p, bool starts, struct npxc_error *err)
{
	if (p->policy.kind != POLICY_ALLOWLIST)
		return true;
	/* A guest of doctor's is nobody's server. */
	p->audit_directory = p->has_package ? str_path_join(p->paths.state_directory, "egress") : NULL;
	p->route_settings = (struct route_settings){
		.rules = &p->policy.rules,
		.link = p->policy.link,
		.network = &p->network,
		.audit_directory = p->audit_directory,
		.session = p->session_name,
		.package = p->has_package ? store_package_label(&p->package) : "doctor",
		.path_variable = getenv("PATH") == NULL ? "" : getenv("PATH"),
		.starts = starts,
		.learn = p->learn,
	};
	p->route = mem_alloc(sizeof(*p->route));
	if (route_open(p->session.janitor, &p->route_settings, p->route, err))
		return true;
	free(MEM_TAKE(p->route));
	return false;
}

static void note_rules(const struct prepared *p)
{
	for (size_t i = 0; i < p->policy.rules.count; i++) {
		mem_cleanup char *warning = rules_warning(&p->policy.rules, i);
		if (warning != NULL)
			log_notice("network.allow: %s", warning);
	}
	if (p->policy.kind == POLICY_ALLOWLIST && p->policy.link == POLICY_LINK_GATEWAY)
		log_notice("network allowlist on link gateway: %s%s%s", route_weakness(POLICY_LINK_GATEWAY),
		           p->link_why == NULL ? "" : "; ", p->link_why == NULL ? "" : p->link_why);
}

/* Before anything can write there. A session that is only inspected writes nothing. */
static bool remember_written(struct prepared *p, const char *file, const struct strv *known, const char *data,
                             struct npxc_error *err)
{
	struct strv trees __attribute__((cleanup(strv_done))) = { 0 };
	for (size_t i = 0; i < p->mounts.count; i++)
		if (p->mounts.v[i].writable && p->mounts.v[i].directory)
			strv_push(&trees, p->mounts.v[i].source);
	if (data != NULL)
		strv_push(&trees, data);
	return written_add(file, known, &trees, err);
}

static bool gather(struct prepared *p, const char *data, bool starts, struct npxc_error *err)
{
	mem_cleanup char *file = str_path_join(p->paths.state_directory, "written");
	struct strv written __attribute__((cleanup(strv_done))) = { 0 };
	struct strv own __attribute__((cleanup(strv_done))) = { 0 };
	strv_push(&own, p->paths.config_file);
	strv_push(&own, p->paths.packages_directory);
	strv_push(&own, p->paths.store_directory);
	strv_push(&own, p->paths.data_directory);
	strv_push(&own, p->paths.state_directory);
	if (!written_read(file, &written, err))
		return false;
	const struct mounts_input mounts_input = {
		.cwd = p->cwd,
		.home = p->paths.home,
		.arguments = &p->options->arguments,
		.env = p->env,
		.env_count = p->env_count,
		.configured = p->package_config.mounts,
		.configured_count = p->package_config.mount_count,
		.flagged = p->options->mounts,
		.flagged_count = p->options->mount_count,
		.project = p->options->project_set ? p->options->project : p->package_config.project,
		.writable = p->config.defaults.mount_writable,
		.written = &written,
		.own = &own,
	};
	if (!mounts_gather(&mounts_input, &p->mounts, err))
		return false;
	const int owner = starts && p->session.runtime.is_root ? SANDBOX_DROP_UID : -1;
	const bool persists = p->package_config.storage_persist;
	if (persists && !data_open(data, &written, starts, owner, &p->data, err))
		return error_prefix(err, "storage.persist");
	return !starts || remember_written(p, file, &written, persists ? p->data.path : NULL, err);
}

/* The mount that shows all of the working directory; NULL: none does. The last one counts. */
static const struct mounts_entry *find_cover(const struct prepared *p)
{
	const struct mounts_entry *cover = NULL;
	for (size_t i = 0; i < p->mounts.count; i++)
		if (str_path_within(p->mounts.real_cwd, p->mounts.v[i].target))
			cover = &p->mounts.v[i];
	return cover;
}

/* Outputs are what is made in files/, which such a mount replaces. */
static void note_outputs(const struct prepared *p)
{
	const struct mounts_entry *cover = find_cover(p);
	if ((!p->package_config.outputs && p->package_config.output_arguments == NULL) || cover == NULL ||
	    cover->writable)
		return;
	log_notice("outputs have no effect: %s shows the server all of the working directory, read-only; "
	           "--mount %s:rw lets it write there",
	           cover->origin, cover->source);
}

bool prepare_plan(struct prepared *p, const char *session_id, bool notes, struct npxc_error *err)
{
	const int64_t began = clock_now_us();
	gather_variables(p);
	mem_cleanup char *key =
	    p->package.source != NULL ? directory_key(p->package.source) : spec_package_key(p->package.name);
	mem_cleanup char *data = str_path_join(p->paths.data_directory, key);
	if (!gather(p, data, session_id != NULL, err))
		return false;
	const struct launch_identity data_identity = launch_identity_of(p->data.fd, &p->data.info);
	for (size_t i = 0; notes && i < p->mounts.notes.count; i++)
		log_notice("%s", p->mounts.notes.v[i]);
	p->session_name =
	    plan_session_name(store_package_label(&p->package), session_id != NULL ? session_id : "<session>");
	if (!choose_network(p, session_id != NULL, err) || !open_route(p, session_id != NULL, err))
		return false;
	if (notes) {
		note_rules(p);
		note_outputs(p);
	}
	mem_cleanup char *sessions = prepare_sessions_directory(p);
	const struct plan_input input = {
		.config = &p->config,
		.package_config = &p->package_config,
		.package = &p->package,
		.runtime = &p->session.runtime,
		.policy = &p->policy,
		.network = &p->network,
		.route = p->route,
		.mounts = &p->mounts,
		.arguments = &p->options->arguments,
		.env = p->env,
		.env_count = p->env_count,
		.memory_bytes = p->options->memory_bytes,
		.cpu_millis = p->options->cpu_millis,
		.cwd = p->cwd,
		.home = p->paths.home,
		.data_directory = p->data.path != NULL ? p->data.path : data,
		.data_identity = p->data.path != NULL ? &data_identity : NULL,
		.sessions = sessions,
		.term = getenv("TERM"),
		.lang = getenv("LANG"),
		.session_id = session_id != NULL ? session_id : "<session>",
	};
	p->has_plan = plan_make(&input, &p->plan, err);
	p->plan_us = clock_now_us() - began;
	return p->has_plan;
}

static bool describe_session(const struct prepared *p, struct npxc_error *err)
{
	const bool linked = p->policy.kind == POLICY_ALLOWLIST;
	mem_cleanup char *policy = policy_text(&p->policy);
	const struct janitor_facts facts = {
		.name = p->plan.launch.name,
		.package = store_package_label(&p->package),
		.version = p->package.version,
		.runtime = runtime_kind_word(p->session.runtime.kind),
		.policy = policy,
		.link = linked ? policy_link_word(p->policy.link) : "",
		.shares = &p->plan.shares,
	};
	return janitor_describe(p->session.janitor, &facts, err);
}

bool prepare_rest(struct prepared *p, struct npxc_error *err)
{
	return prepare_package_config(p, err) && prepare_session(p, err) && prepare_package(p, STORE_ENSURE, err) &&
	       prepare_plan(p, p->session.id, true, err) && describe_session(p, err);
}

bool prepare_start(const struct options *options, struct prepared *ret_prepared, struct npxc_error *err)
{
	struct prepared p;
	if (!prepare_config(options, &p, err))
		return false;
	if (!prepare_rest(&p, err)) {
		prepare_done(&p);
		return false;
	}
	*ret_prepared = p;
	return true;
}

/* ---- a guest without a package ---- */

static bool add_node(struct prepared *p, struct launch *launch, struct npxc_error *err)
{
	struct installer installer;
	struct node_facts facts;
	if (p->session.runtime.kind != RUNTIME_BWRAP)
		return true; /* its image has its own */
	if (!installer_make(p, &installer, err))
		return false;
	const bool found = node_host(&installer.host, &facts, err);
	installer_done(&installer);
	if (!found)
		return false;
	if (node_add_mounts(&facts.files, STORE_GUEST_NODE, false, launch))
		launch->path_prefix = str_dup(STORE_GUEST_NODE "/bin");
	node_facts_done(&facts);
	return true;
}

static bool allow_one(struct prepared *p, enum policy_link link, const char *rule, struct npxc_error *err)
{
	struct strv allow = { 0 };
	strv_push(&allow, rule);
	const struct policy_sources sources = { .option = "allowlist",
		                                .link = policy_link_word(link),
		                                .option_allow = &allow };
	policy_done(&p->policy);
	const bool made = policy_make(&sources, &p->policy, err);
	strv_done(&allow);
	return made && network_check_policy(&p->session.runtime, &p->policy, err);
}

bool prepare_guest(struct prepared *p, enum policy_link link, const char *rule, struct launch *ret_launch,
                   struct npxc_error *err)
{
	mem_cleanup char *id = random_hex(8);
	struct launch launch = { .home = str_dup("/home/npxc"),
		                 .directory = str_dup("/home/npxc"),
		                 .memory_bytes = p->config.defaults.memory_bytes,
		                 .cpu_millis = p->config.defaults.cpu_millis,
		                 .pids = LIMIT_SANDBOX_PIDS,
		                 .image = str_dup(p->config.defaults.node_image) };
	p->session_name = plan_session_name("doctor", id);
	launch.name = str_dup(p->session_name);
	if (!allow_one(p, link, rule, err) || !choose_network(p, true, err) || !open_route(p, true, err) ||
	    !add_node(p, &launch, err)) {
		launch_done(&launch);
		return false;
	}
	route_add(p->route, &launch);
	*ret_launch = launch;
	return true;
}

/* The spellings of the working directory, each once. */
static void spell(struct prepared *p, struct scope_place *place)
{
	const char *real = p->mounts.real_cwd;
	mem_cleanup char *real_home = NULL;
	struct npxc_error ignored;
	size_t count = 0;
	place->home = p->paths.home;
	place->spellings[count++] = p->cwd;
	if (!str_equal(real, p->cwd))
		place->spellings[count++] = real;
	if (!file_real_path(p->paths.home, &real_home, &ignored) || str_equal(real_home, p->paths.home) ||
	    !str_path_within(real, real_home))
		return;
	free(p->cwd_by_home);
	p->cwd_by_home = str_printf("%s%s", p->paths.home, real + strlen(real_home));
	if (!str_equal(p->cwd_by_home, p->cwd) && !str_equal(p->cwd_by_home, real))
		place->spellings[count++] = p->cwd_by_home;
}

/* What mounts show, by each spelling of its path. */
static void find_visible(struct prepared *p, const struct scope_place *place)
{
	for (size_t i = 0; i < p->mounts.count; i++) {
		const struct mounts_entry *e = &p->mounts.v[i];
		const char *relative = scope_behind(place, e->target);
		if (relative != NULL && strv_contains(&p->plan.arguments, relative))
			continue; /* it is shown, not mounted */
		strv_push(&p->visible, e->target);
		for (size_t k = 0; relative != NULL && k < SCOPE_SPELLINGS_MAX && place->spellings[k] != NULL; k++)
			strv_pushf(&p->visible, "%s%s%s", place->spellings[k], relative[0] == '\0' ? "" : "/",
			           relative);
	}
}

static bool start_relay(struct prepared *p, struct npxc_error *err)
{
	mem_cleanup char *files = plan_files_directory(&p->plan);
	mem_cleanup char *stage = plan_stage_directory(&p->plan);
	struct relay_settings settings = {
		.config = &p->config,
		.package = &p->package_config,
		.label = store_package_label(&p->package),
		.in_scope = p->mounts.cwd_in_scope,
		.cwd = p->mounts.real_cwd,
		.files = p->plan.shows ? files : NULL,
		.stage = stage,
		.mounted = &p->visible,
		.mount_points = &p->plan.mount_points,
		.outputs = p->plan.outputs,
		.arguments = &p->plan.arguments,
		.stop = signals_interrupted,
	};
	const struct mounts_entry *cover = find_cover(p);
	settings.is_read_only = cover != NULL && !cover->writable;
	spell(p, &settings.place);
	find_visible(p, &settings.place);
	return relay_start(&settings, &p->relay, err);
}

bool prepare_workspace(struct prepared *p, struct npxc_error *err)
{
	return session_prepare(&p->session, &p->plan, err) && start_relay(p, err);
}

void prepare_done(struct prepared *p)
{
	/* Before the janitor goes: what is open is recorded, and its directory can be removed. */
	if (p->route != NULL)
		route_done(p->route);
	free(p->route);
	relay_free(p->relay);
	strv_done(&p->visible);
	free(p->cwd_by_home);
	if (p->has_session)
		session_close(&p->session);
	if (p->has_plan)
		plan_done(&p->plan);
	network_choice_done(&p->network);
	mounts_done(&p->mounts);
	source_done(&p->data);
	for (size_t i = 0; i < p->env_count; i++) {
		free(p->env[i].name);
		free(p->env[i].value);
	}
	free(p->env);
	fd_close(&p->store_lock);
	if (p->has_package)
		store_package_done(&p->package);
	policy_done(&p->policy);
	if (p->has_package_config)
		config_package_done(&p->package_config);
	free(p->package_config_label);
	free(p->session_name);
	free(p->audit_directory);
	config_done(&p->config);
	paths_done(&p->paths);
	free(p->cwd);
	*p = (struct prepared){ .store_lock = -1, .data = SOURCE_NONE };
}
