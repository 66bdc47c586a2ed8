#include "session/plan.h"

#include "base/limits.h"
#include "base/mem.h"
#include "guest/guest.h"
#include "session/shares.h"
#include "store/node.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_MAX_LENGTH = 63 };

/* What a plan is made of; all borrowed. */
struct making {
	const struct inputs *in;
	const struct mounts *mounts; /* those of `in` */
	const struct runtime *runtime;
	const struct store_package *package;
	const struct plan_draws *draws;
};

char *plan_session_name(const char *package, const char *session_id)
{
	char slug[NAME_MAX_LENGTH + 1];
	const size_t room = NAME_MAX_LENGTH - strlen("npxc-") - 1 - strlen("00000000");
	size_t length = 0;
	/* A directory is called by its path, of which only the end tells anything. */
	const char *from = package[0] == '/' ? strrchr(package, '/') + 1 : package;
	for (const char *c = from; *c != '\0' && length < room; c++) {
		if (isalnum((unsigned char)*c))
			slug[length++] = (char)tolower((unsigned char)*c);
		else if (length > 0 && slug[length - 1] != '-')
			slug[length++] = '-';
	}
	while (length > 0 && slug[length - 1] == '-')
		length--;
	slug[length] = '\0';
	return str_printf("npxc-%s-%s", length == 0 ? "package" : slug, session_id);
}

/* HOME inside: the user's own path where nothing else stands there, else /home/npxc; owned. */
static char *home_of(const char *home, const struct mounts *mounts)
{
	struct npxc_error ignored;
	/* It stands in a line of /etc/passwd. */
	bool fine = home != NULL && mounts_check_target(home, &ignored) && strpbrk(home, ":\n") == NULL;
	for (size_t i = 0; fine && i < mounts->count; i++)
		fine = !str_path_within(home, mounts->v[i].target);
	return str_dup(fine ? home : "/home/npxc");
}

static bool add_route(const struct making *of, struct plan *plan, struct npxc_error *err)
{
	const struct inputs *in = of->in;
	const struct route_settings settings = {
		.rules = &in->policy.rules,
		.link = in->policy.link,
		.audit_directory = plan->audit_directory = str_path_join(in->paths.state_directory, "egress"),
		.session = plan->launch.name,
		.package = store_package_label(of->package),
		.learn = in->learn,
	};
	struct route route;
	if (!route_plan(&settings, &of->draws->route, &route, err))
		return false;
	plan->route = mem_alloc(sizeof(*plan->route));
	*plan->route = route;
	route_add(plan->route, &plan->network, &plan->launch);
	return true;
}

static bool add_network(const struct making *of, struct plan *plan, struct npxc_error *err)
{
	struct launch *launch = &plan->launch;
	if (!network_choose(of->runtime, &of->in->policy, of->draws->network, &plan->network, err))
		return false;
	switch (of->in->policy.kind) {
	case POLICY_NONE:
		launch->network = LAUNCH_NETWORK_NONE;
		return true;
	case POLICY_OPEN:
		launch->network = LAUNCH_NETWORK_OPEN;
		return true;
	case POLICY_ALLOWLIST:
		return add_route(of, plan, err);
	case POLICY_NAMED:
		break;
	}
	launch->network = LAUNCH_NETWORK_NAMED;
	launch->network_name = str_dup(plan->network.argument);
	return true;
}

char *plan_files_directory(const struct plan *plan)
{
	return str_printf("%s/files", plan->workspace);
}

char *plan_stage_directory(const struct plan *plan)
{
	return str_printf("%s/stage", plan->workspace);
}

/* What stands there inside is the sandbox's own; beneath them all is well. */
static bool is_place_of_its_own(const char *path)
{
	static const char *const PLACES[] = { "/usr/local", "/usr/bin", "/usr/lib", "/usr/share", "/var", "/home" };
	struct npxc_error ignored;
	if (!mounts_check_target(path, &ignored))
		return true;
	for (size_t i = 0; i < sizeof(PLACES) / sizeof(PLACES[0]); i++)
		if (str_equal(path, PLACES[i]))
			return true;
	return false;
}

/* The working directory's paths inside: without links, and where no link can be made a second one. */
static bool has_second(const struct making *of)
{
	return !runtime_driver(of->runtime->kind)->makes_links && !str_equal(of->in->cwd, of->mounts->real_cwd);
}

/* A path beneath the working directory, in whichever spelling, relative to it; borrowed, or NULL. */
static const char *beneath(const struct making *of, const char *path)
{
	const char *const spellings[] = { of->in->cwd, of->mounts->real_cwd };
	for (size_t i = 0; i < 2; i++)
		if (!str_equal(spellings[i], "/") && str_path_within(path, spellings[i]))
			return path[strlen(spellings[i])] == '/' ? path + strlen(spellings[i]) + 1 : "";
	return NULL;
}

static char *at(const char *directory, const char *relative)
{
	return relative[0] == '\0' ? str_dup(directory) : str_printf("%s/%s", directory, relative);
}

/* Other spellings of HOME and of the working directory, as links where the root can be given some. */
static void add_links(const struct making *of, struct plan *plan)
{
	struct launch *launch = &plan->launch;
	const char *real_home = of->in->real_home;
	if (!runtime_driver(of->runtime->kind)->makes_links)
		return;
	if (str_equal(launch->home, of->in->paths.home) && real_home != NULL &&
	    !str_equal(real_home, of->in->paths.home) && !is_place_of_its_own(real_home))
		launch_add_spelling(launch, of->in->paths.home, real_home);
	mem_cleanup char *by_home = launch_real(launch, of->in->cwd);
	if (of->mounts->cwd_in_scope && !str_equal(by_home, of->mounts->real_cwd) &&
	    !is_place_of_its_own(of->in->cwd) && !str_path_within("/usr", of->in->cwd) &&
	    !str_path_within(of->in->cwd, "/usr"))
		launch_add_spelling(launch, of->in->cwd, of->mounts->real_cwd);
}

/* What calls name later is shown at the working directory itself, unless a mount shows that already. */
static void add_workspace(const struct making *of, struct plan *plan)
{
	struct launch *launch = &plan->launch;
	const char *cwd = of->mounts->real_cwd;
	mem_cleanup char *sessions = inputs_sessions_directory(of->in);
	plan->workspace = str_path_join(sessions, launch->name);
	if (runtime_driver(of->runtime->kind)->takes_first && GUEST_FIRST_LENGTH > 0)
		launch->first = str_path_join(plan->workspace, "first");
	plan->shows = of->mounts->cwd_in_scope && !is_place_of_its_own(cwd);
	for (size_t i = 0; i < of->mounts->count; i++)
		if (str_path_within(cwd, of->mounts->v[i].target) ||
		    str_path_within(of->in->cwd, of->mounts->v[i].target))
			plan->shows = false;
	for (size_t i = 0; i < of->in->package_config.storage_writable.count; i++)
		if (str_equal(cwd, of->in->package_config.storage_writable.v[i]) ||
		    str_equal(of->in->cwd, of->in->package_config.storage_writable.v[i]))
			plan->shows = false;
	if (!plan->shows)
		return;
	plan->cwd = str_dup(cwd);
	plan->outputs = of->in->package_config.outputs || of->in->package_config.output_arguments != NULL;
	mem_cleanup char *files = plan_files_directory(plan);
	launch_add_mount(launch, files, cwd, plan->outputs);
	if (has_second(of) && !is_place_of_its_own(of->in->cwd))
		launch_add_mount(launch, files, of->in->cwd, plan->outputs);
}

/* A place that is empty, and writable inside. */
static void add_writable(const struct making *of, struct plan *plan, const char *path)
{
	const char *relative = beneath(of, path);
	mem_cleanup char *target = relative == NULL ? str_dup(path) : at(of->mounts->real_cwd, relative);
	launch_add_tmpfs(&plan->launch, target, LIMIT_TMPFS_TMP_BYTES, 0755);
	if (relative == NULL)
		return;
	if (plan->shows)
		strv_push(&plan->mount_points, relative);
	if (has_second(of)) {
		mem_cleanup char *second = at(of->in->cwd, relative);
		launch_add_tmpfs(&plan->launch, second, LIMIT_TMPFS_TMP_BYTES, 0755);
	}
}

static bool add_storage(const struct making *of, struct plan *plan, struct npxc_error *err)
{
	const struct config_package *package = &of->in->package_config;
	if (package->storage_persist) {
		/* Before a first start it is not there yet: then nothing is known of it but its kind. */
		const struct source *data = &of->in->data;
		const struct launch_identity identity = data->path != NULL
		                                            ? launch_identity_of(data->fd, &data->info)
		                                            : (struct launch_identity){ .fd = -1, .kind = 'd' };
		plan->data_directory = str_dup(data->path != NULL ? data->path : of->in->data_directory);
		launch_add_judged(&plan->launch, plan->data_directory, "/data", true, &identity);
	}
	for (size_t i = 0; i < package->storage_writable.count; i++)
		add_writable(of, plan, package->storage_writable.v[i]);
	return homes_add(&of->in->homes, of->mounts, plan->cwd, runtime_driver(of->runtime->kind)->has_containers,
	                 &plan->launch, err);
}

char *plan_guards_directory(const char *sessions)
{
	return str_path_join(sessions, "../unsafe");
}

/*
 * Apple's CLI shares a single file through its directory, and with that drops a mount of the same directory: a copy of
 * its own stands in for it.
 */
static const char *copy_of(struct plan *plan, const struct mounts_entry *e)
{
	plan->copies = mem_realloc(plan->copies, plan->copy_count + 1, sizeof(*plan->copies));
	plan->copies[plan->copy_count] =
	    (struct plan_copy){ .from = e->identity.fd,
		                .path = str_printf("%s/kept/%zu", plan->workspace, plan->copy_count) };
	return plan->copies[plan->copy_count++].path;
}

/*
 * A file that an argument names is copied to its place like those that calls name: one that an editor replaces is seen
 * anew, which a mount of a single file is not.
 */
static bool is_shown(const struct making *of, const struct plan *plan, const struct mounts_entry *e)
{
	const bool named = str_starts(e->origin, "argument ") || str_starts(e->origin, "variable ");
	return plan->shows && named && !e->directory && !e->writable && beneath(of, e->target) != NULL &&
	       e->bytes <= LIMIT_ARGUMENT_COPY_BYTES;
}

/* Where a mount stands inside: at its own path without links, and where links cannot be made in both. */
static void add_mount(const struct making *of, struct plan *plan, const char *source, const struct mounts_entry *e)
{
	const char *relative = beneath(of, e->target);
	if (relative == NULL) {
		mem_cleanup char *target = launch_real(&plan->launch, e->target);
		launch_add_judged(&plan->launch, source, target, e->writable, &e->identity);
		return;
	}
	mem_cleanup char *target = at(of->mounts->real_cwd, relative);
	launch_add_judged(&plan->launch, source, target, e->writable, &e->identity);
	if (plan->shows && relative[0] != '\0')
		strv_push(&plan->mount_points, relative);
	if (has_second(of)) {
		mem_cleanup char *second = at(of->in->cwd, relative);
		launch_add_judged(&plan->launch, source, second, e->writable, &e->identity);
	}
}

static void add_mounts(const struct making *of, struct plan *plan)
{
	const struct mounts *m = of->mounts;
	struct launch *launch = &plan->launch;
	const bool machine = runtime_driver(of->runtime->kind)->has_own_kernel;
	for (size_t i = 0; i < m->count; i++) {
		const struct mounts_entry *e = &m->v[i];
		const bool copied = machine && e->kept && !e->directory;
		if (is_shown(of, plan, e))
			strv_push(&plan->arguments, beneath(of, e->target));
		else
			add_mount(of, plan, copied ? copy_of(plan, e) : e->source, e);
	}
	for (size_t i = 0; i < m->pin_count; i++) {
		const struct mounts_pin *pin = &m->pins[i];
		/* In a machine of its own each share is another file system: there the directory is a mount itself. */
		if (machine)
			launch_add_judged(launch, pin->source, pin->target, true, &pin->identity);
		else
			launch_add_pin(launch, pin->parent, &pin->parent_identity, strrchr(pin->source, '/') + 1);
	}
	if (m->tree_count == 0)
		return;
	mem_cleanup char *sessions = inputs_sessions_directory(of->in);
	mem_cleanup char *directory = plan_guards_directory(sessions);
	plan->guards_file = str_printf("%s/%s.json", directory, plan->launch.name);
	plan->guards = guards_text(m->trees, m->tree_count);
}

/*
 * A directory's own file is started by a link that bears the command's name, as npm makes one for npx: programs look at
 * how they were called. Where no link can be made, by its own name.
 */
static void add_command(const struct making *of, struct launch *launch)
{
	const struct store_package *package = of->package;
	const size_t last = package->command.count - 1;
	const char *file = package->command.v[last];
	strv_push_all(&launch->command, (const char *const *)package->command.v, last);
	if (package->linked.count == 0 || !runtime_driver(of->runtime->kind)->makes_links ||
	    strchr(file, '=') != NULL || !str_path_within(file, package->directory)) {
		strv_push(&launch->command, file);
		return;
	}
	mem_cleanup char *link = str_printf(STORE_GUEST_PACKAGE "/node_modules/.bin/%s", package->bin);
	strv_pushf(&launch->links, "%s=%s", file, link);
	strv_push(&launch->command, link);
}

/*
 * What is installed has a place of its own. What runs where it lies is a mount like others; what was installed for it
 * stands where Node looks last, from wherever it is asked.
 */
static void add_package(const struct store_package *package, struct launch *launch)
{
	const bool own_node = node_add_mounts(&package->node.files, STORE_GUEST_NODE, false, launch);
	const char *node = own_node ? ":" STORE_GUEST_NODE "/bin" : "";
	if (package->linked.count == 0) {
		launch_add_mount(launch, package->directory, STORE_GUEST_PACKAGE, false);
		/* A line for the shell finds the named packages' commands first. */
		launch->path_prefix = str_printf("%s" STORE_GUEST_PACKAGE "/node_modules/.bin%s",
		                                 package->bin == NULL ? STORE_GUEST_BINS ":" : "", node);
		return;
	}
	mem_cleanup char *bins = str_dup("");
	for (size_t i = 0; i < package->linked.count; i++) {
		if (strchr(package->linked.v[i], ':') != NULL)
			continue;
		char *longer = str_printf("%s%s/node_modules/.bin:", bins, package->linked.v[i]);
		free(bins);
		bins = longer;
	}
	launch->path_prefix = str_printf("%s" STORE_GUEST_MODULES "/.bin%s", bins, node);
	if (package->dependencies != NULL) {
		mem_cleanup char *modules = str_path_join(package->dependencies, "node_modules");
		launch_add_mount(launch, modules, STORE_GUEST_MODULES, false);
	}
}

/*
 * To git the project is this user's own also where the user inside is another one, as when root starts it ("dubious
 * ownership", safe.directory in git-config(1)). Who configures git by variables knows better.
 */
static void add_git_settings(const struct making *of, struct launch *launch)
{
	for (size_t i = 0; i < of->in->env_count; i++)
		if (str_starts(of->in->env[i].name, "GIT_CONFIG_"))
			return;
	launch_add_env(launch, "GIT_CONFIG_COUNT", "1");
	launch_add_env(launch, "GIT_CONFIG_KEY_0", "safe.directory");
	launch_add_env(launch, "GIT_CONFIG_VALUE_0", of->mounts->real_cwd);
}

static bool fill_launch(const struct making *of, struct plan *plan, struct npxc_error *err)
{
	struct launch *launch = &plan->launch;
	const struct store_package *package = of->package;
	launch->name = plan_session_name(store_package_label(package), of->draws->id);
	add_command(of, launch);
	strv_push_all(&launch->command, (const char *const *)of->in->options->arguments.v,
	              of->in->options->arguments.count);
	launch->home = home_of(of->in->paths.home, of->mounts);
	add_links(of, plan);

	add_package(package, launch);
	plan->package_place = str_printf("%s/", package->linked.count > 0 ? package->linked.v[0] : STORE_GUEST_PACKAGE);
	add_workspace(of, plan);
	add_mounts(of, plan);
	if (!add_storage(of, plan, err))
		return false;
	for (size_t i = 0; i < of->mounts->masks.count; i++) {
		const char *relative = beneath(of, of->mounts->masks.v[i]);
		mem_cleanup char *path =
		    relative != NULL ? at(of->mounts->real_cwd, relative) : launch_real(launch, of->mounts->masks.v[i]);
		strv_push(&launch->masks, path);
		if (relative != NULL && has_second(of)) {
			mem_cleanup char *second = at(of->in->cwd, relative);
			strv_push(&launch->masks, second);
		}
	}

	if (of->mounts->own_repository)
		add_git_settings(of, launch);
	if (!str_is_empty(of->in->tz))
		launch_add_env(launch, "TZ", of->in->tz);
	for (size_t i = 0; i < of->in->env_count; i++)
		launch_add_env(launch, of->in->env[i].name, of->in->env[i].value);
	launch->term = str_dup(of->in->term);
	launch->lang = str_dup(of->in->lang);

	launch->memory_bytes = of->in->options->memory_bytes           ? of->in->options->memory_bytes
	                       : of->in->package_config.runtime_memory ? of->in->package_config.runtime_memory
	                                                               : of->in->config.defaults.memory_bytes;
	launch->cpu_millis = of->in->options->cpu_millis           ? of->in->options->cpu_millis
	                     : of->in->package_config.runtime_cpus ? of->in->package_config.runtime_cpus
	                                                           : of->in->config.defaults.cpu_millis;
	launch->pids = LIMIT_SANDBOX_PIDS;
	launch->image = str_dup(of->in->config.defaults.node_image);

	/* The server starts where npx would start it; where nothing of that directory can be shown, at home. */
	const bool there = of->mounts->cwd_in_scope && !is_place_of_its_own(of->mounts->real_cwd);
	/* With a link inside both are as they are on the host: PWD as the user knows it, the directory without links.
	 */
	const bool linked = plan->launch.spelling_count > 0 && runtime_driver(of->runtime->kind)->makes_links;
	mem_cleanup char *leads_to = launch_real(launch, of->in->cwd);
	launch->directory = str_dup(!there                                                ? launch->home
	                            : linked && str_equal(leads_to, of->mounts->real_cwd) ? of->in->cwd
	                                                                                  : of->mounts->real_cwd);
	return add_network(of, plan, err);
}

static void name_variables(struct plan *plan)
{
	static const char *const OWN[] = { "PATH", "HOME", "TMPDIR", "LANG" };
	strv_push_all(&plan->env_names, OWN, sizeof(OWN) / sizeof(OWN[0]));
	if (plan->launch.term != NULL)
		strv_push(&plan->env_names, "TERM");
	for (size_t i = 0; i < plan->launch.env_count; i++)
		if (!strv_contains(&plan->env_names, plan->launch.env[i].name))
			strv_push(&plan->env_names, plan->launch.env[i].name);
}

void plan_draw(const char *id, const struct policy *policy, struct plan_draws *ret_draws)
{
	*ret_draws = (struct plan_draws){ .id = id, .network = network_new_name() };
	if (policy->kind == POLICY_ALLOWLIST)
		route_means_find(policy->link, &ret_draws->route);
}

void plan_draws_done(struct plan_draws *draws)
{
	free(draws->network);
	route_means_done(&draws->route);
}

static void name_drawn(struct plan *plan, const char *drawn, const char *name)
{
	if (str_is_empty(drawn))
		return;
	strv_push(&plan->drawn, drawn);
	strv_push(&plan->drawn, name);
}

bool plan_make(const struct inputs *in, const struct runtime *runtime, const struct store_package *package,
               const struct plan_draws *draws, struct plan *ret_plan, struct npxc_error *err)
{
	const struct making of = {
		.in = in, .mounts = &in->mounts, .runtime = runtime, .package = package, .draws = draws
	};
	struct plan plan = { 0 };
	if (!fill_launch(&of, &plan, err) || !runtime_make_start(runtime, &plan.launch, &plan.start, err)) {
		plan_done(&plan);
		return false;
	}
	name_variables(&plan);
	name_drawn(&plan, draws->id, "<session>");
	name_drawn(&plan, draws->network, "<network>");
	name_drawn(&plan, draws->route.directory, "<dir>");
	if (shares_count(runtime->kind))
		shares_words(&in->mounts, plan.data_directory, &in->homes, &plan.shares);
	*ret_plan = plan;
	return true;
}

static void replace(char **text, const char *what, const char *name)
{
	const char *found;
	while ((found = strstr(*text, what)) != NULL) {
		char *shown = str_printf("%.*s%s%s", (int)(found - *text), *text, name, found + strlen(what));
		free(*text);
		*text = shown;
	}
}

void plan_show(struct plan *plan)
{
	for (size_t i = 0; i < plan->drawn.count; i += 2) {
		replace(&plan->launch.name, plan->drawn.v[i], plan->drawn.v[i + 1]);
		for (size_t k = 0; k < plan->start.argv.count; k++)
			replace(&plan->start.argv.v[k], plan->drawn.v[i], plan->drawn.v[i + 1]);
	}
}

void plan_done(struct plan *plan)
{
	launch_done(&plan->launch);
	runtime_start_done(&plan->start);
	network_choice_done(&plan->network);
	if (plan->route != NULL)
		route_done(plan->route);
	free(plan->route);
	free(plan->audit_directory);
	strv_done(&plan->drawn);
	free(plan->data_directory);
	free(plan->workspace);
	free(plan->package_place);
	strv_done(&plan->shares);
	free(plan->guards_file);
	free(plan->guards);
	for (size_t i = 0; i < plan->copy_count; i++)
		free(plan->copies[i].path);
	free(plan->copies);
	free(plan->cwd);
	strv_done(&plan->mount_points);
	strv_done(&plan->arguments);
	strv_done(&plan->env_names);
	*plan = (struct plan){ 0 };
}
