#include "session/plan.h"

#include "base/limits.h"
#include "base/mem.h"
#include "guest/guest.h"
#include "mcp/publish.h"
#include "session/shares.h"
#include "store/node.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

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

char *plan_home(const char *home)
{
	struct npxc_error ignored;
	static const char *const SYSTEM[] = { "/usr",   "/etc",   "/bin", "/sbin", "/lib",
		                              "/lib32", "/lib64", "/run", "/tmp" };
	bool fine = home != NULL && home[0] == '/' && mounts_check_target(home, &ignored);
	for (size_t i = 0; fine && i < sizeof(SYSTEM) / sizeof(SYSTEM[0]); i++)
		fine = !str_path_within(home, SYSTEM[i]);
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
		if (in->outlet == NULL || in->network->managed != (in->policy->link == POLICY_LINK_GATEWAY))
			return error_set(err, ERROR_RUNTIME, "an allowlist without its way out");
		outlet_add(in->outlet, launch);
		return true;
	case POLICY_NAMED:
		break;
	}
	launch->network = LAUNCH_NETWORK_NAMED;
	launch->network_name = str_dup(in->network->argument);
	return true;
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
		launch_add_tmpfs(&plan->launch, package->storage_writable.v[i], LIMIT_TMPFS_TMP_BYTES, 0755);
}

char *plan_files_directory(const struct plan *plan)
{
	return str_printf("%s/files", plan->workspace);
}

char *plan_outputs_directory(const struct plan *plan)
{
	return str_printf("%s/out", plan->workspace);
}

/* What calls name later is shown there: read-only, but for the files that the server is allowed to make. */
static void add_workspace(const struct plan_input *in, struct plan *plan)
{
	mem_cleanup char *files = NULL;
	mem_cleanup char *outputs = NULL;
	plan->workspace = str_path_join(in->sessions, plan->launch.name);
	plan->outputs = in->package_config->outputs || in->package_config->output_arguments != NULL;
	files = plan_files_directory(plan);
	launch_add_mount(&plan->launch, files, PUBLISH_INSIDE, false);
	/* bubblewrap gets it through a descriptor; a guest of Apple's sees other numbers than the host. */
	if ((in->runtime->kind == RUNTIME_PODMAN || in->runtime->kind == RUNTIME_DOCKER) && GUEST_FIRST_LENGTH > 0)
		plan->launch.first = str_path_join(plan->workspace, "first");
	if (!plan->outputs)
		return;
	outputs = plan_outputs_directory(plan);
	launch_add_mount(&plan->launch, outputs, PUBLISH_OUTPUTS, true);
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

static void add_mounts(const struct plan_input *in, struct plan *plan)
{
	const struct mounts *m = in->mounts;
	struct launch *launch = &plan->launch;
	const bool apple = in->runtime->kind == RUNTIME_APPLE;
	for (size_t i = 0; i < m->count; i++) {
		const struct mounts_entry *e = &m->v[i];
		const bool copied = apple && e->kept && !e->directory;
		launch_add_judged(launch, copied ? copy_of(plan, e) : e->source, e->target, e->writable, &e->identity);
	}
	for (size_t i = 0; i < m->pin_count; i++) {
		const struct mounts_pin *pin = &m->pins[i];
		/* In a machine of its own each share is another file system: there the directory is a mount itself. */
		if (apple)
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
	launch->home = plan_home(in->home);

	launch_add_mount(launch, package->directory, STORE_GUEST_PACKAGE, false);
	const bool own_node = node_add_mounts(&package->node.files, STORE_GUEST_NODE, false, launch);
	/* A line for the shell finds the named packages' commands first. */
	launch->path_prefix =
	    str_printf("%s" STORE_GUEST_PACKAGE "/node_modules/.bin%s",
	               package->bin == NULL ? STORE_GUEST_BINS ":" : "", own_node ? ":" STORE_GUEST_NODE "/bin" : "");
	add_workspace(in, plan);
	add_mounts(in, plan);
	add_storage(in, plan);
	strv_push_all(&launch->masks, (const char *const *)in->mounts->masks.v, in->mounts->masks.count);

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

	struct npxc_error ignored;
	/* The server starts where npx would start it. Where nothing of that directory is in scope, it is empty. */
	launch->directory =
	    str_dup(in->mounts->cwd_in_scope && mounts_check_target(in->cwd, &ignored) ? in->cwd : launch->home);
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
	strv_done(&plan->env_names);
	*plan = (struct plan){ 0 };
}
