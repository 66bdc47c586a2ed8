#include "session/plan.h"

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "guest/guest.h"
#include "session/shares.h"
#include "store/node.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { NAME_MAX_LENGTH = 63 };

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

char *plan_home(const char *home, const struct mounts *mounts)
{
	struct npxc_error ignored;
	/* It stands in a line of /etc/passwd. */
	bool fine = home != NULL && mounts_check_target(home, &ignored) && strpbrk(home, ":\n") == NULL;
	for (size_t i = 0; fine && mounts != NULL && i < mounts->count; i++)
		fine = !str_path_within(home, mounts->v[i].target);
	return str_dup(fine ? home : "/home/npxc");
}

const char *plan_hidden_text(void)
{
	return "the home directory, other projects, other processes, /etc but for public settings, the network's "
	       "devices";
}

static bool add_network(const struct plan_input *in, struct launch *launch, struct npxc_error *err)
{
	switch (in->policy->kind) {
	case POLICY_NONE:
		launch->network = LAUNCH_NETWORK_NONE;
		return true;
	case POLICY_OPEN:
		launch->network = LAUNCH_NETWORK_OPEN;
		return true;
	case POLICY_ALLOWLIST:
		if (in->route == NULL || in->network->managed != (in->policy->link == POLICY_LINK_GATEWAY))
			return error_set(err, ERROR_RUNTIME, "an allowlist without its way out");
		route_add(in->route, launch);
		return true;
	case POLICY_NAMED:
		break;
	}
	launch->network = LAUNCH_NETWORK_NAMED;
	launch->network_name = str_dup(in->network->argument);
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
static bool has_second(const struct plan_input *in)
{
	return !runtime_driver(in->runtime->kind)->makes_links && !str_equal(in->cwd, in->mounts->real_cwd);
}

/* A path beneath the working directory, in whichever spelling, relative to it; borrowed, or NULL. */
static const char *beneath(const struct plan_input *in, const char *path)
{
	const char *const spellings[] = { in->cwd, in->mounts->real_cwd };
	for (size_t i = 0; i < 2; i++)
		if (str_path_within(path, spellings[i]))
			return path[strlen(spellings[i])] == '/' ? path + strlen(spellings[i]) + 1 : "";
	return NULL;
}

static char *at(const char *directory, const char *relative)
{
	return relative[0] == '\0' ? str_dup(directory) : str_printf("%s/%s", directory, relative);
}

/* Other spellings of HOME and of the working directory, as links where the root can be given some. */
static void add_links(const struct plan_input *in, struct plan *plan)
{
	struct launch *launch = &plan->launch;
	mem_cleanup char *real_home = NULL;
	struct npxc_error ignored;
	if (!runtime_driver(in->runtime->kind)->makes_links)
		return;
	if (str_equal(launch->home, in->home) && file_real_path(in->home, &real_home, &ignored) &&
	    !str_equal(real_home, in->home) && !is_place_of_its_own(real_home))
		launch_add_spelling(launch, in->home, real_home);
	mem_cleanup char *by_home = launch_real(launch, in->cwd);
	if (in->mounts->cwd_in_scope && !str_equal(by_home, in->mounts->real_cwd) && !is_place_of_its_own(in->cwd) &&
	    !str_path_within("/usr", in->cwd) && !str_path_within(in->cwd, "/usr"))
		launch_add_spelling(launch, in->cwd, in->mounts->real_cwd);
}

/* What calls name later is shown at the working directory itself, unless a mount shows that already. */
static void add_workspace(const struct plan_input *in, struct plan *plan)
{
	struct launch *launch = &plan->launch;
	const char *cwd = in->mounts->real_cwd;
	plan->workspace = str_path_join(in->sessions, launch->name);
	if (runtime_driver(in->runtime->kind)->takes_first && GUEST_FIRST_LENGTH > 0)
		launch->first = str_path_join(plan->workspace, "first");
	plan->shows = in->mounts->cwd_in_scope && !is_place_of_its_own(cwd);
	for (size_t i = 0; i < in->mounts->count; i++)
		if (str_path_within(cwd, in->mounts->v[i].target) || str_path_within(in->cwd, in->mounts->v[i].target))
			plan->shows = false;
	for (size_t i = 0; i < in->package_config->storage_writable.count; i++)
		if (str_equal(cwd, in->package_config->storage_writable.v[i]) ||
		    str_equal(in->cwd, in->package_config->storage_writable.v[i]))
			plan->shows = false;
	if (!plan->shows)
		return;
	plan->cwd = str_dup(cwd);
	plan->outputs = in->package_config->outputs || in->package_config->output_arguments != NULL;
	mem_cleanup char *files = plan_files_directory(plan);
	launch_add_mount(launch, files, cwd, plan->outputs);
	if (has_second(in) && !is_place_of_its_own(in->cwd))
		launch_add_mount(launch, files, in->cwd, plan->outputs);
}

/* A place that is empty, and writable inside. */
static void add_writable(const struct plan_input *in, struct plan *plan, const char *path)
{
	const char *relative = beneath(in, path);
	mem_cleanup char *target = relative == NULL ? str_dup(path) : at(in->mounts->real_cwd, relative);
	launch_add_tmpfs(&plan->launch, target, LIMIT_TMPFS_TMP_BYTES, 0755);
	if (relative == NULL)
		return;
	if (plan->shows)
		strv_push(&plan->mount_points, relative);
	if (has_second(in)) {
		mem_cleanup char *second = at(in->cwd, relative);
		launch_add_tmpfs(&plan->launch, second, LIMIT_TMPFS_TMP_BYTES, 0755);
	}
}

static void add_storage(const struct plan_input *in, struct plan *plan)
{
	const struct config_package *package = in->package_config;
	if (package->storage_persist) {
		plan->data_directory = str_dup(in->data_directory);
		const struct launch_identity nobody = { .fd = -1, .kind = 'd' };
		launch_add_judged(&plan->launch, in->data_directory, "/data", true,
		                  in->data_identity != NULL ? in->data_identity : &nobody);
	}
	for (size_t i = 0; i < package->storage_writable.count; i++)
		add_writable(in, plan, package->storage_writable.v[i]);
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
static bool is_shown(const struct plan_input *in, const struct plan *plan, const struct mounts_entry *e)
{
	const bool named = str_starts(e->origin, "argument ") || str_starts(e->origin, "variable ");
	struct stat info;
	return plan->shows && named && !e->directory && !e->writable && beneath(in, e->target) != NULL &&
	       fstat(e->identity.fd, &info) == 0 && (uint64_t)info.st_size <= LIMIT_ARGUMENT_COPY_BYTES;
}

/* Where a mount stands inside: at its own path without links, and where links cannot be made in both. */
static void add_mount(const struct plan_input *in, struct plan *plan, const char *source, const struct mounts_entry *e)
{
	const char *relative = beneath(in, e->target);
	if (relative == NULL) {
		mem_cleanup char *target = launch_real(&plan->launch, e->target);
		launch_add_judged(&plan->launch, source, target, e->writable, &e->identity);
		return;
	}
	mem_cleanup char *target = at(in->mounts->real_cwd, relative);
	launch_add_judged(&plan->launch, source, target, e->writable, &e->identity);
	if (plan->shows && relative[0] != '\0')
		strv_push(&plan->mount_points, relative);
	if (has_second(in)) {
		mem_cleanup char *second = at(in->cwd, relative);
		launch_add_judged(&plan->launch, source, second, e->writable, &e->identity);
	}
}

static void add_mounts(const struct plan_input *in, struct plan *plan)
{
	const struct mounts *m = in->mounts;
	struct launch *launch = &plan->launch;
	const bool machine = runtime_driver(in->runtime->kind)->has_own_kernel;
	for (size_t i = 0; i < m->count; i++) {
		const struct mounts_entry *e = &m->v[i];
		const bool copied = machine && e->kept && !e->directory;
		if (is_shown(in, plan, e))
			strv_push(&plan->arguments, beneath(in, e->target));
		else
			add_mount(in, plan, copied ? copy_of(plan, e) : e->source, e);
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
	mem_cleanup char *directory = plan_guards_directory(in->sessions);
	plan->guards_file = str_printf("%s/%s.json", directory, plan->launch.name);
	plan->guards = guards_text(m->trees, m->tree_count);
}

static bool fill_launch(const struct plan_input *in, struct plan *plan, struct npxc_error *err)
{
	struct launch *launch = &plan->launch;
	const struct store_package *package = in->package;
	launch->name = plan_session_name(store_package_label(package), in->session_id);
	strv_push_all(&launch->command, (const char *const *)package->command.v, package->command.count);
	strv_push_all(&launch->command, (const char *const *)in->arguments->v, in->arguments->count);
	launch->home = plan_home(in->home, in->mounts);
	add_links(in, plan);

	launch_add_mount(launch, package->directory, STORE_GUEST_PACKAGE, false);
	const bool own_node = node_add_mounts(&package->node.files, STORE_GUEST_NODE, false, launch);
	/* A line for the shell finds the named packages' commands first. */
	launch->path_prefix =
	    str_printf("%s" STORE_GUEST_PACKAGE "/node_modules/.bin%s",
	               package->bin == NULL ? STORE_GUEST_BINS ":" : "", own_node ? ":" STORE_GUEST_NODE "/bin" : "");
	add_workspace(in, plan);
	add_mounts(in, plan);
	add_storage(in, plan);
	for (size_t i = 0; i < in->mounts->masks.count; i++) {
		const char *relative = beneath(in, in->mounts->masks.v[i]);
		mem_cleanup char *path =
		    relative != NULL ? at(in->mounts->real_cwd, relative) : launch_real(launch, in->mounts->masks.v[i]);
		strv_push(&launch->masks, path);
		if (relative != NULL && has_second(in)) {
			mem_cleanup char *second = at(in->cwd, relative);
			strv_push(&launch->masks, second);
		}
	}

	for (size_t i = 0; i < in->env_count; i++)
		launch_add_env(launch, in->env[i].name, in->env[i].value);
	launch->term = str_dup(in->term);
	launch->lang = str_dup(in->lang);

	launch->memory_bytes = in->memory_bytes                     ? in->memory_bytes
	                       : in->package_config->runtime_memory ? in->package_config->runtime_memory
	                                                            : in->config->defaults.memory_bytes;
	launch->cpu_millis = in->cpu_millis                     ? in->cpu_millis
	                     : in->package_config->runtime_cpus ? in->package_config->runtime_cpus
	                                                        : in->config->defaults.cpu_millis;
	launch->pids = LIMIT_SANDBOX_PIDS;
	launch->image = str_dup(in->config->defaults.node_image);

	/* The server starts where npx would start it; where nothing of that directory can be shown, at home. */
	const bool there = in->mounts->cwd_in_scope && !is_place_of_its_own(in->mounts->real_cwd);
	/* With a link inside both are as they are on the host: PWD as the user knows it, the directory without links.
	 */
	const bool linked = plan->launch.spelling_count > 0 && runtime_driver(in->runtime->kind)->makes_links;
	mem_cleanup char *leads_to = launch_real(launch, in->cwd);
	launch->directory = str_dup(!there                                                ? launch->home
	                            : linked && str_equal(leads_to, in->mounts->real_cwd) ? in->cwd
	                                                                                  : in->mounts->real_cwd);
	return add_network(in, launch, err);
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

bool plan_make(const struct plan_input *input, struct plan *ret_plan, struct npxc_error *err)
{
	struct plan plan = { 0 };
	if (!fill_launch(input, &plan, err) || !runtime_make_start(input->runtime, &plan.launch, &plan.start, err)) {
		plan_done(&plan);
		return false;
	}
	name_variables(&plan);
	if (shares_count(input->runtime->kind))
		shares_words(input->mounts, plan.data_directory, &plan.shares);
	*ret_plan = plan;
	return true;
}

void plan_done(struct plan *plan)
{
	launch_done(&plan->launch);
	runtime_start_done(&plan->start);
	free(plan->data_directory);
	free(plan->workspace);
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
