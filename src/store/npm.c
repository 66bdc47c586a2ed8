#include "store/npm.h"

#include "base/file.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/random.h"
#include "store/cache.h"
#include "store/reason.h"
#include "store/record.h"
#include "store/registry.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

#define GUEST_NPM "/opt/npxc/npm"
#define GUEST_NPM_NODE "/opt/npxc/npm-node"
#define GUEST_CONFIG "/opt/npxc/npm-config"
#define GUEST_GUARD GUEST_CONFIG "/guard.js"
#define GUEST_CACHE "/opt/npxc/npm-cache"

extern char **environ;

/*
 * Loaded by npm's Node before npm in the step that fetches: npm itself needs no other program there, and all that it
 * might start is a package's choice. Before version 11 it runs the `prepare` scripts of dependencies from git and of
 * directories, which it may fetch without git, whatever --ignore-scripts and a setting that it does not know yet
 * (allow-git) say. Nothing of a package is ever loaded into this process, so nothing can take the functions back.
 * npm's wrapper of git copies what is enumerable of an error and drops its message otherwise.
 *
 * And npm writes into its cache what the request said in each header that the answer varies by: with "Vary:
 * Authorization" the token. An answer that varies by "*" is kept without, and never used unasked.
 */
static const char guard[] =
    "'use strict'\n"
    "const programs = require('child_process')\n"
    "const refuse = (command, words) => {\n"
    "  const name = String(command).replace(/^.*[/]/, '').replace('git-is-refused', 'git')\n"
    "  const rest = (Array.isArray(words) ? words : []).filter(word => word !== '--no-replace-objects')\n"
    "  const what = [name, ...rest].join(' ').slice(0, 200)\n"
    "  const code = /^git\\b/.test(name) ? 'EALLOWGIT' : 'ENOPROGRAM'\n"
    "  const error = Object.assign(new Error(), { code })\n"
    "  throw Object.defineProperty(error, 'message', { value: `not run: ${what}`, enumerable: true })\n"
    "}\n"
    "for (const name of Object.keys(programs)) if (/^_?(spawn|exec|fork)/.test(name)) programs[name] = refuse\n"
    "programs.ChildProcess.prototype.spawn = o => refuse(o && o.file, o && o.args && o.args.slice(1))\n"
    "const { prototype } = require('http').ClientRequest\n"
    "const { emit } = prototype\n"
    "prototype.emit = function (name, answer) {\n"
    "  if (name === 'response' && /auth|otp|cookie/i.test(answer.headers.vary)) answer.headers.vary = '*'\n"
    "  return emit.apply(this, arguments)\n"
    "}\n"
    "require('module').syncBuiltinESMExports()\n";

/* ---- where npm is ---- */

static bool holds_npm(const char *directory)
{
	mem_cleanup char *cli = str_printf("%s/bin/npm-cli.js", directory);

	return file_is_regular(cli);
}

static bool find_directory(const struct store_host *host, const struct node_facts *node, char **ret_directory)
{
	mem_cleanup char *path = NULL;
	mem_cleanup char *real = NULL;
	struct npxc_error why = { 0 };
	struct strv places = { 0 };

	if (!file_find_program("npm", host->path_variable, &path, &why) || !file_real_path(path, &real, &why))
		return false;
	if (str_ends(real, "/bin/npm-cli.js"))
		strv_push_owned(&places, str_dup_n(real, strlen(real) - strlen("/bin/npm-cli.js")));
	/* `npm` is a script of a version manager: npm lies beside the Node that it stands for. */
	if (node->files.prefix != NULL)
		strv_pushf(&places, "%s/lib/node_modules/npm", node->files.prefix);
	strv_push(&places, "/usr/share/nodejs/npm");
	strv_push(&places, "/usr/lib/node_modules/npm");
	strv_push(&places, "/usr/local/lib/node_modules/npm");
	*ret_directory = NULL;
	for (size_t i = 0; i < places.count && *ret_directory == NULL; i++)
		if (holds_npm(places.v[i]))
			*ret_directory = str_dup(places.v[i]);
	strv_done(&places);
	return *ret_directory != NULL;
}

static char *version_of(const char *directory)
{
	mem_cleanup char *path = str_printf("%s/package.json", directory);
	cJSON *root = record_read_json(path, LIMIT_PACKAGE_JSON_BYTES);
	char *version = str_dup(cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(root, "version")));

	cJSON_Delete(root);
	return version != NULL ? version : str_dup("0.0.0");
}

/* ---- its configuration ---- */

static const char *environment_value(void *context, const char *name)
{
	(void)context;
	return getenv(name);
}

static void read_config_file(struct npmrc *to, const char *path)
{
	BUF_CLEANUP struct buf bytes = BUF_INIT(LIMIT_NPMRC_BYTES);
	struct npxc_error ignored;

	if (path != NULL && file_read(path, &bytes, &ignored) && bytes.data != NULL)
		npmrc_read(to, bytes.data, environment_value, NULL);
}

static char *config_path(const char *value, const char *home)
{
	return str_starts(value, "~/") ? str_path_join(home, value + 2) : str_path_join(home, value);
}

static const char *first_of(const struct npmrc *const *layers, size_t count, const char *key)
{
	for (size_t i = 0; i < count; i++)
		if (!str_is_empty(npmrc_get(layers[i], key)))
			return npmrc_get(layers[i], key);
	return NULL;
}

static void add_scopes(const struct strv *scopes, struct npmrc *to)
{
	for (size_t i = 0; scopes != NULL && i < scopes->count; i++) {
		mem_cleanup char *key = str_dup_n(scopes->v[i], strcspn(scopes->v[i], "="));

		npmrc_set(to, key, scopes->v[i] + strlen(key) + 1);
	}
}

/* The host's Node, beside which npm's global configuration lies. With an image there may be none. Owned or NULL. */
static char *host_program(const struct npm *npm)
{
	mem_cleanup char *path = NULL;
	char *real = NULL;
	struct npxc_error ignored;

	if (npm->host->image == NULL)
		return str_dup(npm->node->files.program);
	if (!file_find_program("node", npm->host->path_variable, &path, &ignored) ||
	    !file_real_path(path, &real, &ignored))
		return NULL;
	return real;
}

/*
 * npm's order: environment over the project's file over the user's over the global one over npm's own. Of a project's
 * only registries of scopes count, and these only if the user trusts it.
 */
static void read_config(struct npm *npm)
{
	struct npmrc environment = { 0 };
	struct npmrc builtin = { 0 };
	struct npmrc user = { 0 };
	const struct npmrc *const layers[] = { &environment, &user, &builtin };
	mem_cleanup char *builtin_path = npm->directory != NULL ? str_printf("%s/npmrc", npm->directory) : NULL;
	mem_cleanup char *program = host_program(npm);
	mem_cleanup char *user_path = NULL;
	mem_cleanup char *global_path = NULL;
	const char *prefix = getenv("PREFIX");
	const char *named;

	npmrc_read_environment(&environment, environ);
	read_config_file(&builtin, builtin_path);
	named = first_of(layers, 3, "userconfig");
	user_path = config_path(named != NULL ? named : ".npmrc", npm->host->home);
	read_config_file(&user, user_path);
	named = first_of(layers, 3, "globalconfig");
	if (named != NULL)
		global_path = config_path(named, npm->host->home);
	else if (!str_is_empty(prefix))
		global_path = str_printf("%s/etc/npmrc", prefix);
	else if (program != NULL && str_ends(program, "/bin/node"))
		global_path = str_printf("%.*s/etc/npmrc", (int)(strlen(program) - strlen("/bin/node")), program);

	read_config_file(&npm->config, builtin_path);
	read_config_file(&npm->config, global_path);
	read_config_file(&npm->config, user_path);
	add_scopes(npm->host->scopes, &npm->config);
	npmrc_read_environment(&npm->config, environ);
	npmrc_done(&environment);
	npmrc_done(&builtin);
	npmrc_done(&user);
}

static bool add_allow(struct rules *rules, const struct store_allow *allow, struct npxc_error *err)
{
	for (size_t i = 0; allow->rules != NULL && i < allow->rules->count; i++)
		if (!rules_add(rules, allow->rules->v[i], err))
			return error_prefix(err, "install.allow");
	return true;
}

bool npm_find(const struct store_host *host, const struct node_facts *node, struct npm *ret_npm, struct npxc_error *err)
{
	struct npm npm = { .host = host, .node = node };

	if (host->image == NULL && !find_directory(host, node, &npm.directory))
		return error_set(err, ERROR_INSTALL,
		                 "npm is not here; install Node.js with npm (https://nodejs.org, or apt-get install "
		                 "npm)");
	if (!add_allow(&npm.allow, &host->allow_package, err) || !add_allow(&npm.allow, &host->allow_all, err)) {
		npm_done(&npm);
		return false;
	}
	npm.version = npm.directory != NULL ? version_of(npm.directory) : NULL;
	read_config(&npm);
	npm.ignore_scripts = npmrc_is_true(&npm.config, "ignore-scripts");
	*ret_npm = npm;
	return true;
}

void npm_done(struct npm *npm)
{
	free(npm->directory);
	free(npm->version);
	npmrc_done(&npm->config);
	rules_done(&npm->allow);
	*npm = (struct npm){ 0 };
}

char *npm_global_modules(const struct store_host *host, const struct node_facts *node)
{
	struct npxc_error ignored;
	struct npm npm = { .host = host, .node = node };
	char *found = NULL;

	if (!npm_find(host, node, &npm, &ignored))
		return NULL;
	const char *named = npmrc_get(&npm.config, "prefix");
	if (str_is_empty(named))
		named = getenv("PREFIX");
	mem_cleanup char *program = host_program(&npm);
	if (!str_is_empty(named)) {
		mem_cleanup char *prefix = config_path(named, host->home);
		found = str_path_join(prefix, "lib/node_modules");
	} else if (program != NULL) {
		mem_cleanup char *beside = str_path_join(program, "../../lib/node_modules");
		found = MEM_TAKE(beside);
	}
	npm_done(&npm);
	return found;
}

/* ---- what the sandbox sees of it ---- */

/* Copies a file that the configuration names; ret_guest: its path inside. */
static bool copy_in(const struct staging *staging, const char *directory, const char *source, const char *name,
                    char **ret_guest, struct npxc_error *err)
{
	BUF_CLEANUP struct buf bytes = BUF_INIT(LIMIT_NPMRC_BYTES);

	if (!file_read(source, &bytes, err) ||
	    !staging_add_file(staging, directory, name, bytes.data != NULL ? bytes.data : "", bytes.length, err)) {
		err->kind = ERROR_INSTALL;
		return error_prefix(err, "npm's configuration names a file that cannot be used");
	}
	*ret_guest = str_printf(GUEST_CONFIG "/%s", name);
	return true;
}

static bool add_certificates(const struct npm *npm, const struct staging *staging, const char *directory,
                             struct npmrc *config, struct npxc_error *err)
{
	const char *cafile = npmrc_get(&npm->config, "cafile");

	if (!str_is_empty(cafile) && strcmp(cafile, "null") != 0) {
		mem_cleanup char *path = config_path(cafile, npm->host->home);
		mem_cleanup char *guest = NULL;

		/* npm itself goes on without a CA file that is not there. */
		if (file_exists(path)) {
			if (!copy_in(staging, directory, path, "ca.pem", &guest, err))
				return false;
			npmrc_set(config, "cafile", guest);
		}
	}
	for (size_t i = 0; i < config->count; i++) {
		mem_cleanup char *key = str_dup(config->v[i].key);
		mem_cleanup char *path = NULL;
		mem_cleanup char *name = NULL;
		mem_cleanup char *guest = NULL;

		if (!str_ends(key, ":certfile") && !str_ends(key, ":keyfile"))
			continue;
		if (str_starts(config->v[i].value, GUEST_CONFIG "/"))
			continue;
		path = config_path(config->v[i].value, npm->host->home);
		name = str_printf("client-%zu.pem", i);
		if (!copy_in(staging, directory, path, name, &guest, err))
			return false;
		npmrc_set(config, key, guest); /* goes to the end: this place holds the next pair now */
		i--;
	}
	return true;
}

static void add_fixed_settings(const struct npm *npm, const struct npm_job *job, struct npmrc *config)
{
	const char *nodedir = npmrc_get(&npm->config, "nodedir");

	npmrc_set(config, "audit", "false");
	npmrc_set(config, "fund", "false");
	npmrc_set(config, "update-notifier", "false");
	npmrc_set(config, "omit-lockfile-registry-resolved", "true");
	/* npm waits 10 s and 60 s before it tries again; an MCP client has long given up then. */
	if (npmrc_get(config, "fetch-retry-mintimeout") == NULL)
		npmrc_set(config, "fetch-retry-mintimeout", "500");
	if (npmrc_get(config, "fetch-retry-maxtimeout") == NULL)
		npmrc_set(config, "fetch-retry-maxtimeout", "3000");
	/*
	 * npm 11 asks who may run install scripts and later ones refuse those that nobody allowed. What npx runs, npxc
	 * runs, in a sandbox without credentials; a policy of the user's own stays.
	 */
	if (npmrc_get(config, "allow-scripts") == NULL && npmrc_get(config, "allow-scripts[]") == NULL &&
	    npmrc_get(config, "strict-allow-scripts") == NULL)
		npmrc_set(config, "dangerously-allow-all-scripts", "true");
	if (job->step == NPM_FETCH) {
		npmrc_set(config, "ignore-scripts", "true");
		npmrc_set(config, "allow-git", "none");
	} else if (nodedir != NULL && npm->host->image == NULL && (job->node == NULL || !job->node->from_store)) {
		/* Node's headers, where the sandbox has them too */
		if (str_equal(nodedir, npm->node->files.prefix) && !str_equal(nodedir, "/usr"))
			npmrc_set(config, "nodedir", STORE_GUEST_NODE);
		else if (str_path_within(nodedir, "/usr"))
			npmrc_set(config, "nodedir", nodedir);
	}
}

/* A registry whose address nobody can read as npm would: a part of a password may be left in it. */
static void drop_unreadable_registries(struct npmrc *config)
{
	for (size_t i = 0; i < config->count;) {
		struct reach_entry entry = { 0 };
		struct npxc_error ignored;
		const bool reads = !npmrc_is_registry_key(config->v[i].key) ||
		                   registry_parse(config->v[i].value, false, &entry, &ignored);

		free(entry.host);
		if (reads)
			i++;
		else
			npmrc_remove(config, config->v[i].key);
	}
}

/* The configuration directory of one step; owned path. */
static bool make_config(const struct npm *npm, const struct npm_job *job, char **ret_directory, struct npxc_error *err)
{
	const char *extra_ca = getenv("NODE_EXTRA_CA_CERTS");
	mem_cleanup char *random = random_hex(8);
	mem_cleanup char *name = str_printf("config-%s", random);
	mem_cleanup char *directory = NULL;
	BUF_CLEANUP struct buf text = BUF_INIT(LIMIT_NPMRC_BYTES);
	struct npmrc config = { 0 };
	bool ok;

	npmrc_select(&npm->config, job->step == NPM_FETCH, &config);
	if (job->step == NPM_SCRIPTS)
		drop_unreadable_registries(&config);
	add_fixed_settings(npm, job, &config);
	ok = staging_add(job->staging, name, &directory, err) &&
	     add_certificates(npm, job->staging, directory, &config, err) && npmrc_write(&config, &text, err) &&
	     staging_add_file(job->staging, directory, "npmrc", text.data, text.length, err);
	npmrc_done(&config);
	if (ok && !str_is_empty(extra_ca) && file_exists(extra_ca)) {
		mem_cleanup char *guest = NULL;

		ok = copy_in(job->staging, directory, extra_ca, "extra-ca.pem", &guest, err);
	}
	if (ok && job->step == NPM_FETCH)
		ok = staging_add_file(job->staging, directory, "guard.js", guard, sizeof(guard) - 1, err);
	if (!ok)
		return false;
	*ret_directory = MEM_TAKE(directory);
	return true;
}

/* ---- the launch ---- */

static const char *const proxy_variables[] = { "http_proxy",  "https_proxy", "HTTP_PROXY",
	                                       "HTTPS_PROXY", "PROXY",       "proxy" };
enum { PROXY_VARIABLES = sizeof(proxy_variables) / sizeof(proxy_variables[0]) };

static void add_proxies(struct launch *launch, bool secrets)
{
	static const char *const exceptions[] = { "no_proxy", "NO_PROXY" };

	for (size_t i = 0; i < PROXY_VARIABLES; i++) {
		const char *value = getenv(proxy_variables[i]);
		mem_cleanup char *plain = str_is_empty(value) ? NULL : npmrc_plain_proxy(value);

		if (!str_is_empty(value) && (secrets || plain != NULL))
			launch_add_env(launch, proxy_variables[i], secrets ? value : plain);
	}
	for (size_t i = 0; i < sizeof(exceptions) / sizeof(exceptions[0]); i++)
		if (!str_is_empty(getenv(exceptions[i])) && (secrets || strchr(getenv(exceptions[i]), '@') == NULL))
			launch_add_env(launch, exceptions[i], getenv(exceptions[i]));
}

static void add_environment(struct launch *launch, const struct npm *npm, const struct npm_job *job)
{
	launch_add_env(launch, "npm_config_userconfig", GUEST_CONFIG "/npmrc");
	launch_add_env(launch, "npm_config_globalconfig", GUEST_CONFIG "/none");
	launch_add_env(launch, "npm_config_cache", GUEST_CACHE);
	if (job->step == NPM_FETCH && npm->asks_again)
		launch_add_env(launch, "npm_config_prefer_online", "true");
	launch_add_env(launch, "npm_config_logs_max", "0");
	launch_add_env(launch, "NO_UPDATE_NOTIFIER", "1");
	launch_add_env(launch, "NO_COLOR", "1");
	if (job->step == NPM_FETCH) {
		/*
		 * npm prepares a git dependency with an npm of its own, which reads the configuration file in that
		 * repository: it could name a program as `git` or options for Node. The environment beats that file.
		 */
		launch_add_env(launch, "NODE_OPTIONS", "--require " GUEST_GUARD);
		launch_add_env(launch, "npm_config_ignore_scripts", "true");
		launch_add_env(launch, "npm_config_allow_git", "none");
		launch_add_env(launch, "npm_config_git", "/nonexistent/git-is-refused");
		launch_add_env(launch, "npm_config_script_shell", "/nonexistent/scripts-are-refused");
		launch_add_env(launch, "npm_config_node_options", "--no-deprecation");
	}
}

/* The host's git, which the sandbox has in /usr: npm finds none in the step that fetches. An image's is not looked for:
 * there the setting `git` stands alone, beside the guard. */
static void hide_git(const struct npm *npm, struct launch *launch)
{
	static const char *const places[] = { "/usr/local/bin", "/usr/bin" };

	for (size_t i = 0; npm->host->image == NULL && i < sizeof(places) / sizeof(places[0]); i++) {
		mem_cleanup char *path = NULL;
		mem_cleanup char *real = NULL;
		struct npxc_error ignored;

		if (file_find_program("git", places[i], &path, &ignored) && file_real_path(path, &real, &ignored) &&
		    str_path_within(real, "/usr") && !strv_contains(&launch->masks, real))
			strv_push(&launch->masks, real);
	}
}

/* A path as it is inside: kept when the sandbox has /usr too, else mounted at `guest`. Owned. */
static char *mount_unless_usr(struct launch *launch, const char *path, const char *guest)
{
	if (str_path_within(path, "/usr"))
		return str_dup(path);
	launch_add_mount(launch, path, guest, false);
	return str_dup(guest);
}

/* npm's own configuration file, in its directory, was read outside: what of it may be known inside is in ours. */
static void hide_settings(struct launch *launch, const char *directory, const char *inside)
{
	mem_cleanup char *file = str_printf("%s/npmrc", directory);

	if (strcmp(directory, inside) != 0 && file_exists(file))
		strv_pushf(&launch->masks, "%s/npmrc", inside);
}

static void add_node_and_npm(struct launch *launch, const struct npm *npm, const struct npm_job *job)
{
	const struct store_node_files *own;
	const bool scripts = job->step == NPM_SCRIPTS;
	bool other = job->node != NULL && job->node->from_store;
	bool mounted;
	mem_cleanup char *directory = NULL;

	if (npm->directory == NULL) {
		strv_push(&launch->command, "npm");
		return;
	}
	own = &npm->node->files;
	mounted = node_add_mounts(own, other ? GUEST_NPM_NODE : STORE_GUEST_NODE, scripts && !other, launch);
	directory = mount_unless_usr(launch, npm->directory, GUEST_NPM);
	hide_settings(launch, npm->directory, directory);
	if (other)
		node_add_mounts(&job->node->files, STORE_GUEST_NODE, scripts, launch);
	if (other || mounted)
		launch->path_prefix = str_dup(STORE_GUEST_NODE "/bin");
	/* Debian's npm finds its modules through its own Node's built-in path. */
	if (str_path_within(npm->directory, "/usr/share/nodejs") && mounted)
		launch_add_env(launch, "NODE_PATH", "/usr/share/nodejs");
	strv_pushf(&launch->command, "%s/bin/node", !mounted ? "/usr" : other ? GUEST_NPM_NODE : STORE_GUEST_NODE);
	strv_pushf(&launch->command, "%s/bin/npm-cli.js", directory);
}

static void make_launch(const struct npm *npm, const struct npm_job *job, const char *config, const char *cache,
                        struct launch *launch)
{
	mem_cleanup char *extra = str_printf("%s/extra-ca.pem", config);

	host_base_launch(launch);
	add_environment(launch, npm, job);
	add_proxies(launch, job->step == NPM_FETCH);
	if (file_exists(extra))
		launch_add_env(launch, "NODE_EXTRA_CA_CERTS", GUEST_CONFIG "/extra-ca.pem");
	if (job->step == NPM_FETCH)
		hide_git(npm, launch);
	add_node_and_npm(launch, npm, job);
	strv_push_all(&launch->command, (const char *const *)job->words.v, job->words.count);
	launch_add_mount(launch, job->package, STORE_GUEST_PACKAGE, true);
	launch_add_mount(launch, config, GUEST_CONFIG, false);
	launch_add_mount(launch, cache, GUEST_CACHE, true);
	for (size_t i = 0; i < job->source_count; i++)
		if (job->sources[i].judged)
			launch_add_judged(launch, job->sources[i].source, job->sources[i].target, false,
			                  &job->sources[i].identity);
		else
			launch_add_mount(launch, job->sources[i].source, job->sources[i].target, false);
}

static bool make_reach(const struct npm *npm, const struct npm_job *job, struct store_reach *ret_reach,
                       struct npxc_error *err)
{
	const bool scripts = job->step == NPM_SCRIPTS;
	struct strv notes = { 0 };

	if (!registry_reach(&npm->config, environment_value, NULL, &npm->allow, scripts, ret_reach, &notes, err))
		return false;
	for (size_t i = 0; !scripts && i < notes.count; i++)
		log_warn("install", "%s", notes.v[i]);
	strv_done(&notes);
	return true;
}

/* With the cache of one step mounted: what is fetched stays, what scripts want of one goes with its step. */
static bool run_with(const struct npm *npm, const struct npm_job *job, const struct store_reach *reach,
                     const char *config, const char *cache, struct proc_result *ret_result, struct npxc_error *err)
{
	struct launch launch = { 0 };

	make_launch(npm, job, config, cache, &launch);
	const bool ok = npm->host->run(npm->host->context, &launch, reach, host_time_left(npm->host), job->on_stderr,
	                               job->context, ret_result, job->refused, err);
	launch_done(&launch);
	return ok;
}

static bool run_fetching(const struct npm *npm, const struct npm_job *job, const struct store_reach *reach,
                         const char *config, struct proc_result *ret_result, struct npxc_error *err)
{
	struct cache cache;

	if (!cache_open(npm->host, &cache, err))
		return false;
	const bool ok = run_with(npm, job, reach, config, cache.path, ret_result, err);
	cache_close(&cache);
	return ok;
}

static bool run_scripts(const struct npm *npm, const struct npm_job *job, const struct store_reach *reach,
                        const char *config, struct proc_result *ret_result, struct npxc_error *err)
{
	mem_cleanup char *random = random_hex(8);
	mem_cleanup char *name = str_printf("cache-%s", random);
	mem_cleanup char *cache = NULL;

	if (!staging_add(job->staging, name, &cache, err) || !run_with(npm, job, reach, config, cache, ret_result, err))
		return false;
	if (staging_drop(job->staging, cache, err))
		return true;
	proc_result_done(ret_result);
	return false;
}

bool npm_run(const struct npm *npm, const struct npm_job *job, struct proc_result *ret_result, struct npxc_error *err)
{
	mem_cleanup char *config = NULL;
	struct store_reach reach;

	if (!make_reach(npm, job, &reach, err))
		return false;
	const bool ok = make_config(npm, job, &config, err) &&
	                (job->step == NPM_FETCH ? run_fetching(npm, job, &reach, config, ret_result, err)
	                                        : run_scripts(npm, job, &reach, config, ret_result, err));
	registry_reach_done(&reach);
	if (!ok)
		return false;
	/* Before anything that a package brings may run. */
	if (staging_drop(job->staging, config, err))
		return true;
	proc_result_done(ret_result);
	return false;
}

static char *without_secrets(const struct npm *npm, const char *text)
{
	struct strv secrets = { 0 };
	char *left;

	npmrc_add_secrets(&npm->config, &secrets);
	for (size_t i = 0; i < PROXY_VARIABLES; i++)
		if (!str_is_empty(getenv(proxy_variables[i])))
			npmrc_add_address_secrets(getenv(proxy_variables[i]), &secrets);
	left = npmrc_redact(text, &secrets);
	strv_done(&secrets);
	return left;
}

/* A host that may not be reached looks to npm like a registry that is not there, so then npm's own words mislead. */
char *npm_fetch_reason(const struct npm *npm, const struct proc_result *result, const struct refused *refused)
{
	const struct store_allow *all = &npm->host->allow_all;
	mem_cleanup char *said = without_secrets(npm, result->errors.data != NULL ? result->errors.data : "");
	mem_cleanup char *reason = reason_of_npm(said);
	mem_cleanup char *why = refused_of_npm(refused, all->rules, all->file);

	if (why == NULL)
		return MEM_TAKE(reason);
	return str_starts(reason, reason_unreachable) ? MEM_TAKE(why) : str_printf("%s; %s", reason, why);
}
