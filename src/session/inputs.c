#include "session/inputs.h"

#include "base/file.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "config/load.h"
#include "config/package_dir.h"
#include "egress/route.h"
#include "files/data.h"
#include "files/written.h"
#include "network/network.h"
#include "store/directory.h"

#include <errno.h>
#include <limits.h>
#include <pwd.h>
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
static bool set_log_level(const struct inputs *in, struct npxc_error *err)
{
	const char *variable = getenv("NPXC_LOG");
	if (!log_configure(in->config.defaults.log_level, err))
		return error_prefix(err, "defaults.log_level");
	if (!str_is_empty(variable) && !log_configure(variable, err))
		return error_prefix(err, "NPXC_LOG");
	if (in->options->log_level != NULL && !log_configure(in->options->log_level, err))
		return error_prefix(err, "--log-level");
	return true;
}

/* npm's own flags are one more layer above its variables, of which npm reads its configuration. */
static bool set_npm_variables(const struct options *options, struct npxc_error *err)
{
	for (size_t i = 0; i < options->npm.settings.count; i++) {
		const char *setting = options->npm.settings.v[i];
		const size_t length = strcspn(setting, "=");
		mem_cleanup char *name = str_printf("npm_config_%.*s", (int)length, setting);
		for (char *p = name; name[12] != '@' && *p != '\0'; p++)
			*p = *p == '-' ? '_' : *p;
		if (setenv(name, setting + length + 1, 1) == -1)
			return error_set_errno(err, ERROR_CONFIG, "cannot set %s", name);
	}
	return true;
}

/* HOME, or for a client that gives no variables what the password database says; NULL: nothing does. */
static const char *home_of_user(void)
{
	const char *home = getenv("HOME");
	const struct passwd *user = str_is_empty(home) ? getpwuid(getuid()) : NULL;
	return user != NULL ? user->pw_dir : home;
}

static bool load_config(struct inputs *in, struct npxc_error *err)
{
	const struct paths_environment environment = {
		.home = home_of_user(),
		.xdg_config_home = getenv("XDG_CONFIG_HOME"),
		.xdg_data_home = getenv("XDG_DATA_HOME"),
		.xdg_cache_home = getenv("XDG_CACHE_HOME"),
		.xdg_state_home = getenv("XDG_STATE_HOME"),
	};
	if (!find_cwd(in->options, &in->cwd, err) ||
	    !paths_make(&environment, in->options->config, in->cwd, &in->paths, err) ||
	    !load_file(in->paths.config_file, in->paths.old_config_file, in->options->config != NULL, &in->config, err))
		return false;
	if (in->options->no_isolate)
		log_notice("--no-isolate is an old name; write --project=ro");
	if (in->options->misplaced != NULL)
		log_notice("%s stands after the package, so the server gets it; npxc's own flags stand before",
		           in->options->misplaced);
	if (!set_npm_variables(in->options, err) || !set_log_level(in, err))
		return false;
	for (size_t i = 0; i < in->options->npm.passed_over.count; i++)
		log_debug("npm", "%s has no meaning here", in->options->npm.passed_over.v[i]);
	return true;
}

bool inputs_read(const struct options *options, struct inputs *ret_inputs, struct npxc_error *err)
{
	struct inputs in = { .options = options, .data = SOURCE_NONE };
	if (!load_config(&in, err)) {
		inputs_done(&in);
		return false;
	}
	*ret_inputs = in;
	return true;
}

bool inputs_is_restricted(void)
{
	struct buf text BUF_CLEANUP = BUF_INIT(16);
	struct npxc_error ignored;
	return file_read("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", &text, &ignored) &&
	       text.length > 0 && text.data[0] == '1';
}

char *inputs_seen_file(const struct inputs *in)
{
	return str_path_join(in->paths.state_directory, "probe.json");
}

bool inputs_read_seen(const struct inputs *in, struct seen_links *ret_seen)
{
	mem_cleanup char *file = inputs_seen_file(in);
	struct buf text BUF_CLEANUP = BUF_INIT(LIMIT_PROBE_FILE_BYTES);
	struct npxc_error err = { 0 };
	if (file_read(file, &text, &err) &&
	    seen_parse(text.data == NULL ? "" : text.data, text.length, file, ret_seen, &err))
		return true;
	if (err.sys_errno != ENOENT)
		log_info("session", "%s", err.message);
	return false;
}

/* Of a runtime where it matters: no other start pays for it. */
static bool socket_was_seen(const struct inputs *in, const struct runtime *runtime, const struct policy *policy)
{
	struct seen_links seen;
	if (!runtime_driver(runtime->kind)->asks_probe || policy->kind != POLICY_ALLOWLIST ||
	    policy->link != POLICY_LINK_AUTO || !inputs_read_seen(in, &seen))
		return false;
	const bool works = seen_works(&seen, runtime->kind, runtime->version, POLICY_LINK_SOCKET);
	seen_done(&seen);
	return works;
}

void inputs_choose_link(const struct inputs *in, const struct runtime *runtime, struct policy *policy,
                        const char **ret_why)
{
	network_choose_link(runtime, inputs_is_restricted(), socket_was_seen(in, runtime, policy), policy, ret_why);
}

bool inputs_settle_link(struct inputs *in, const struct runtime *runtime, struct npxc_error *err)
{
	inputs_choose_link(in, runtime, &in->policy, &in->link_why);
	return network_check_policy(runtime, &in->policy, err);
}

static bool make_policy(struct inputs *in, struct npxc_error *err)
{
	const struct policy_sources sources = {
		.option = in->learn ? "allowlist" : in->options->network,
		.network_mode = in->package_config.network_mode,
		.runtime_network = in->package_config.runtime_network,
		.defaults_network = in->config.defaults.network,
		.link = in->package_config.network_link,
		.allow = &in->package_config.network_allow,
		.option_allow = &in->options->allow,
	};
	policy_done(&in->policy);
	return policy_make(&sources, &in->policy, err);
}

/* `directory`: the real path of a package that is one, `name` of any other. */
static bool load_package_config(struct inputs *in, const char *directory, const char *name, struct npxc_error *err)
{
	if (directory != NULL ? !package_dir_load(in->paths.packages_directory, directory, &in->package_config, err)
	                      : !load_package(in->paths.packages_directory, name, &in->package_config, err))
		return false;
	in->has_package_config = true;
	in->package_config_label = str_dup(directory != NULL ? directory : name);
	return make_policy(in, err);
}

bool inputs_load_package(struct inputs *in, struct npxc_error *err)
{
	if (in->options->specs.count != 1)
		return true; /* of a set it is the package of the command that counts */
	struct spec spec;
	if (!spec_parse(in->options->specs.v[0], &spec, err))
		return false;
	mem_cleanup char *directory =
	    spec.kind == SPEC_DIRECTORY ? directory_path(spec.path, in->cwd, in->paths.home) : NULL;
	const bool fine = load_package_config(in, directory, spec.name, err);
	spec_done(&spec);
	return fine;
}

const char *inputs_cli_name(enum runtime_kind kind, const struct config *config)
{
	const char *cli = runtime_driver(kind)->cli;
	return cli != NULL ? cli : config->defaults.container_cli;
}

char *inputs_sessions_directory(const struct inputs *in)
{
	return str_path_join(in->paths.state_directory, "sessions");
}

bool inputs_runtime(const struct inputs *in, enum runtime_kind *ret_kind, struct npxc_error *err)
{
	const char *word = in->options->runtime                                        ? in->options->runtime
	                   : in->has_package_config && in->package_config.runtime_name ? in->package_config.runtime_name
	                                                                               : in->config.defaults.runtime;
	return runtime_kind_of(word, ret_kind, err);
}

/* Of a set, once it is known who has the command. A command that no package of them has may be a dependency's, whoever
 * wrote that: it gets nobody's settings. A line for the shell is the user's own. */
static bool load_owners_config(struct inputs *in, const struct store_package *package, struct npxc_error *err)
{
	if (package->owned)
		return load_package_config(in, package->source, package->name, err);
	log_notice("none of the packages has a command %s, so no package's configuration applies", package->bin);
	if (!config_parse_package(NULL, 0, in->paths.packages_directory, &in->package_config, err))
		return false;
	in->has_package_config = true;
	in->package_config_label = str_dup(store_package_label(package));
	return make_policy(in, err);
}

bool inputs_load_owner(struct inputs *in, const struct runtime *runtime, const struct store_package *package,
                       struct npxc_error *err)
{
	if (!in->has_package_config)
		return load_owners_config(in, package, err) && inputs_settle_link(in, runtime, err);
	/* They are made from the same words; a directory that was replaced by a link meanwhile is another one. */
	if (strcmp(in->package_config_label, store_package_label(package)) != 0)
		return error_set(err, ERROR_CONFIG, "%s became %s while it was prepared; start again",
		                 in->package_config_label, store_package_label(package));
	return true;
}

/* ---- variables and mounts ---- */

static void add_variable(struct inputs *in, const char *name, const char *value)
{
	in->env = mem_realloc(in->env, in->env_count + 1, sizeof(*in->env));
	in->env[in->env_count++] = (struct config_variable){ .name = str_dup(name), .value = str_dup(value) };
}

static void gather_variables(struct inputs *in)
{
	const struct config_package *package = &in->package_config;
	for (size_t i = 0; i < package->env_count; i++)
		add_variable(in, package->env[i].name, package->env[i].value);
	for (size_t i = 0; i < package->env_passthrough.count; i++) {
		const char *value = getenv(package->env_passthrough.v[i]);
		if (value != NULL)
			add_variable(in, package->env_passthrough.v[i], value);
		else
			log_info("session", "env_passthrough: %s is not set here", package->env_passthrough.v[i]);
	}
	for (size_t i = 0; i < in->options->env.count; i++) {
		const char *word = in->options->env.v[i];
		const char *equals = strchr(word, '=');
		mem_cleanup char *name = str_dup_n(word, equals == NULL ? strlen(word) : (size_t)(equals - word));
		const char *value = equals == NULL ? getenv(name) : equals + 1;
		if (value != NULL)
			add_variable(in, name, value);
		else
			log_warn("session", "-e %s: not set here, so the server does not get it", name);
	}
}

/* --network is somebody's choice for this once; a file that says both is a mistake. */
static void note_rules_without_allowlist(const struct inputs *in)
{
	if (in->policy.kind == POLICY_ALLOWLIST || in->options->network != NULL ||
	    in->package_config.network_allow.count == 0)
		return;
	mem_cleanup char *policy = policy_text(&in->policy);
	log_notice(
	    "network.allow in %s has no effect: the network is \"%s\" (%s); set network.mode to \"allowlist\" there, "
	    "or remove the rules",
	    in->package_config.file, policy, in->policy.origin);
}

static void note_rules(const struct inputs *in)
{
	note_rules_without_allowlist(in);
	for (size_t i = 0; i < in->policy.rules.count; i++) {
		mem_cleanup char *warning = rules_warning(&in->policy.rules, i);
		if (warning != NULL)
			log_notice("network.allow: %s", warning);
	}
	if (in->policy.kind == POLICY_ALLOWLIST && in->policy.link == POLICY_LINK_GATEWAY)
		log_notice("network allowlist on link gateway: %s%s%s", route_weakness(POLICY_LINK_GATEWAY),
		           in->link_why == NULL ? "" : "; ", in->link_why == NULL ? "" : in->link_why);
}

/* Before anything can write there. A session that is only inspected writes nothing. */
static bool remember_written(struct inputs *in, const char *file, const struct strv *known, struct npxc_error *err)
{
	struct strv trees __attribute__((cleanup(strv_done))) = { 0 };
	for (size_t i = 0; i < in->mounts.count; i++)
		if (in->mounts.v[i].writable && in->mounts.v[i].directory)
			strv_push(&trees, in->mounts.v[i].source);
	if (in->data.path != NULL)
		strv_push(&trees, in->data.path);
	for (size_t i = 0; i < in->homes.count; i++)
		strv_push(&trees, in->homes.v[i].directory);
	return written_add(file, known, &trees, err);
}

/* `package`: NULL before it is known; then also without what arguments and variables name, which only a start shows. */
static bool look_at_mounts(struct inputs *in, const struct store_package *package, const struct strv *written,
                           struct npxc_error *err)
{
	static const struct strv none = { 0 };
	struct strv own __attribute__((cleanup(strv_done))) = { 0 };
	strv_push(&own, in->paths.config_file);
	strv_push(&own, in->paths.packages_directory);
	strv_push(&own, in->paths.store_directory);
	strv_push(&own, in->paths.data_directory);
	strv_push(&own, in->paths.homes_directory);
	strv_push(&own, in->paths.state_directory);
	const bool whole = package != NULL;
	const bool linked = whole && package->linked.count > 0;
	const struct links_input links_input = {
		.typed = whole ? package->typed : NULL,
		.path = linked ? package->linked.v[0] : NULL,
		.root = linked ? package->linked.v[package->linked.count - 1] : NULL,
		.home = in->real_home,
		.global = whole ? package->global : NULL,
	};
	const struct mounts_input mounts_input = {
		.cwd = in->cwd,
		.home = in->paths.home,
		.real_home = in->real_home,
		.arguments = whole ? &in->options->arguments : &none,
		.env = in->env,
		.env_count = whole ? in->env_count : 0,
		.configured = in->package_config.mounts,
		.configured_count = in->package_config.mount_count,
		.flagged = in->options->mounts,
		.flagged_count = in->options->mount_count,
		.project = in->options->project_set ? in->options->project : in->package_config.project,
		.package = linked ? &links_input : NULL,
		.writable = in->config.defaults.mount_writable,
		.written = written,
		.own = &own,
	};
	return mounts_gather(&mounts_input, &in->mounts, err);
}

bool inputs_check_mounts(struct inputs *in, struct npxc_error *err)
{
	mem_cleanup char *file = str_path_join(in->paths.state_directory, "written");
	struct strv written __attribute__((cleanup(strv_done))) = { 0 };
	if (!written_read(file, &written, err) || !look_at_mounts(in, NULL, &written, err))
		return false;
	mounts_done(&in->mounts);
	return true;
}

static bool gather_mounts(struct inputs *in, const struct store_package *package, bool is_root, bool starts,
                          struct npxc_error *err)
{
	mem_cleanup char *file = str_path_join(in->paths.state_directory, "written");
	struct strv written __attribute__((cleanup(strv_done))) = { 0 };
	if (!written_read(file, &written, err) || !look_at_mounts(in, package, &written, err))
		return false;
	const int owner = starts && is_root ? SANDBOX_DROP_UID : -1;
	const bool persists = in->package_config.storage_persist;
	if (persists && !data_open(in->data_directory, &written, starts, owner, &in->data, err))
		return error_prefix(err, "storage.persist");
	if (!homes_open(in->homes_directory, &in->package_config.storage_home, &written, starts, owner, &in->homes,
	                err))
		return false;
	return !starts || remember_written(in, file, &written, err);
}

bool inputs_gather(struct inputs *in, const struct runtime *runtime, const struct store_package *package, bool starts,
                   struct npxc_error *err)
{
	mem_cleanup char *key =
	    package->source != NULL ? directory_key(package->source) : spec_package_key(package->name);
	struct npxc_error ignored;
	in->term = getenv("TERM");
	in->lang = getenv("LANG");
	in->tz = getenv("TZ");
	in->data_directory = str_path_join(in->paths.data_directory, key);
	in->homes_directory = str_path_join(in->paths.homes_directory, key);
	if (!file_real_path(in->paths.home, &in->real_home, &ignored))
		in->real_home = NULL;
	gather_variables(in);
	return gather_mounts(in, package, runtime->is_root, starts, err);
}

const struct mounts_entry *inputs_cover(const struct inputs *in)
{
	const struct mounts_entry *cover = NULL;
	for (size_t i = 0; i < in->mounts.count; i++)
		if (str_path_within(in->mounts.real_cwd, in->mounts.v[i].target))
			cover = &in->mounts.v[i];
	return cover;
}

/* Outputs are what is made in files/, which such a mount replaces. */
static void note_outputs(const struct inputs *in)
{
	const struct mounts_entry *cover = inputs_cover(in);
	if ((!in->package_config.outputs && in->package_config.output_arguments == NULL) || cover == NULL ||
	    cover->writable)
		return;
	log_notice("outputs have no effect: %s shows the server all of the working directory, read-only; "
	           "--mount %s:rw lets it write there",
	           cover->origin, cover->source);
}

/* It is bound by its inode, where a smaller one is a copy that is renewed. */
static void note_large(const struct inputs *in)
{
	for (size_t i = 0; i < in->mounts.count; i++) {
		const struct mounts_entry *e = &in->mounts.v[i];
		const bool named = str_starts(e->origin, "argument ") || str_starts(e->origin, "variable ");
		if (named && !e->directory && e->bytes > LIMIT_ARGUMENT_COPY_BYTES)
			log_notice("%s names %s, which is larger than %d MiB: an editor that replaces the file is not "
			           "noticed; --mount of its directory shows it as it is",
			           e->origin, e->target, (int)(LIMIT_ARGUMENT_COPY_BYTES / MIB));
	}
}

void inputs_note(const struct inputs *in)
{
	note_large(in);
	for (size_t i = 0; i < in->mounts.notes.count; i++)
		log_notice("%s", in->mounts.notes.v[i]);
	note_rules(in);
	note_outputs(in);
}

void inputs_done(struct inputs *in)
{
	mounts_done(&in->mounts);
	source_done(&in->data);
	free(in->data_directory);
	free(in->homes_directory);
	homes_done(&in->homes);
	free(in->real_home);
	for (size_t i = 0; i < in->env_count; i++) {
		free(in->env[i].name);
		free(in->env[i].value);
	}
	free(in->env);
	policy_done(&in->policy);
	if (in->has_package_config)
		config_package_done(&in->package_config);
	free(in->package_config_label);
	config_done(&in->config);
	paths_done(&in->paths);
	free(in->cwd);
	*in = (struct inputs){ .data = SOURCE_NONE };
}
