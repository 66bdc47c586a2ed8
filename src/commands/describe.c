#include "commands/describe.h"

#include "base/buf.h"
#include "base/landlock.h"
#include "base/mem.h"
#include "commands/print.h"
#include "contain/cgroup.h"
#include "session/fence.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>

static struct cgroup_limits limits_of(const struct launch *launch)
{
	return (struct cgroup_limits){ .memory_bytes = launch->memory_bytes,
		                       .cpu_millis = launch->cpu_millis,
		                       .pids = launch->pids };
}

/* A session that has started knows what holds; before that the plan for a group of this name tells. */
static struct cgroup_plan cgroups_of(const struct prepared *p)
{
	struct cgroup_plan plan = { 0 };
	cgroup_plan_make(p->plan.launch.name, &plan);
	return plan;
}

static char *limits_text(const struct prepared *p)
{
	const struct cgroup_limits limits = limits_of(&p->plan.launch);
	if (p->session.runtime.kind != RUNTIME_BWRAP)
		return str_printf("memory %llu MiB, cpus %g, pids %u (by the runtime)",
		                  (unsigned long long)(limits.memory_bytes / (1024 * 1024)), limits.cpu_millis / 1000.0,
		                  limits.pids);
	if (p->session.cgroups.version != CGROUP_NONE || p->session.cgroups.reason != NULL)
		return cgroup_text(&p->session.cgroups, &limits);
	struct cgroup_plan plan = cgroups_of(p);
	char *text = cgroup_text(&plan, &limits);
	cgroup_plan_done(&plan);
	return text;
}

static void print_words(const char *label, const struct strv *words)
{
	struct buf line BUF_CLEANUP = BUF_INIT(SIZE_MAX);
	struct npxc_error ignored;
	for (size_t i = 0; i < words->count; i++)
		if (!buf_appendf(&line, &ignored, "%s%s", i == 0 ? "" : " ", words->v[i]))
			break;
	print_row("%-10s%s", label, line.data == NULL ? "" : line.data);
}

/* Shown by a copy that is renewed, instead of mounted. */
static bool is_copied(const struct prepared *p, const struct mounts_entry *e)
{
	for (size_t i = 0; i < p->plan.arguments.count; i++) {
		mem_cleanup char *path = str_printf("%s/%s", p->cwd, p->plan.arguments.v[i]);
		mem_cleanup char *real = str_printf("%s/%s", p->plan.cwd, p->plan.arguments.v[i]);
		if (str_equal(e->target, path) || str_equal(e->target, real))
			return true;
	}
	return false;
}

static void print_mounts(const struct prepared *p)
{
	if (p->mounts.count == 0 && p->plan.data_directory == NULL)
		printf("%-10snone of the host's files but the package and its Node\n", "mounts");
	for (size_t i = 0; i < p->mounts.count; i++) {
		const struct mounts_entry *e = &p->mounts.v[i];
		if (is_copied(p, e))
			continue;
		mem_cleanup char *inside =
		    str_equal(e->source, e->target) ? str_dup("") : str_printf(" as %s", e->target);
		print_row("%-10s%s%s %s (%s%s)", i == 0 ? "mounts" : "", e->source, inside,
		          e->writable ? "read-write" : "read-only", e->origin,
		          e->outside ? "; outside the working directory" : "");
	}
	for (size_t i = 0; i < p->plan.arguments.count; i++)
		printf("%-10s%s/%s (an argument or a variable; renewed when it changes)\n", i == 0 ? "copies" : "",
		       p->plan.cwd, p->plan.arguments.v[i]);
	if (p->plan.data_directory != NULL)
		printf("%-10s%s as /data read-write (storage.persist)\n", p->mounts.count == 0 ? "mounts" : "",
		       p->plan.data_directory);
}

/* How files become visible. */
static void print_files(const struct prepared *p)
{
	const char *cwd = p->plan.cwd;
	if (!p->plan.shows && p->mounts.cwd_in_scope)
		printf("%-10s%s is the sandbox's own, or shown as it is by a mount: nothing is copied there\n", "files",
		       p->cwd);
	else if (!p->plan.shows)
		printf("%-10s%s is too wide to take files from: name a project with --cwd DIR\n", "files", p->cwd);
	else
		printf("%-10swhat a call names beneath %s is shown at its own path, as a copy%s\n", "files", cwd,
		       p->plan.outputs ? ";\n          what the server makes there is put in place (outputs)" : "");
	printf("%-10sanything else: --mount PATH[:rw]; all of the directory: --project[=rw]\n", "");
}

static void print_link(const struct prepared *p)
{
	const char *weakness = route_weakness(p->policy.link);
	if (p->policy.kind != POLICY_ALLOWLIST)
		return;
	for (size_t i = 0; i < p->policy.rules.count; i++)
		printf("%-10s%s\n", i == 0 ? "allows" : "", p->policy.rules.v[i].text);
	printf("%-10s%s%s%s%s\n", "link", policy_link_word(p->policy.link),
	       p->link_why == NULL ? "" : " (auto: ", p->link_why == NULL ? "" : p->link_why,
	       p->link_why == NULL ? "" : ")");
	if (weakness != NULL)
		printf("%-10swarning: %s\n", "", weakness);
}

/* By what this machine's kernel offers, which is tried. */
static struct fence fence_of(const struct prepared *p)
{
	return p->session.runtime.kind == RUNTIME_BWRAP ? fence_look() : (struct fence){ 0 };
}

static void print_remains(const struct prepared *p)
{
	const struct fence fence = fence_of(p);
	struct strv left;

	fence_left(&fence, p->session.runtime.kind, &p->plan.launch, &left);
	for (size_t i = 0; i < left.count; i++)
		printf("%-10s%s\n", i == 0 ? "remains" : "", left.v[i]);
	strv_done(&left);
}

void describe_text(const struct prepared *p, bool argv)
{
	mem_cleanup char *network = policy_text(&p->policy);
	mem_cleanup char *limits = limits_text(p);
	if (p->package.source != NULL)
		print_row("%-10s%s (it calls itself %s %s)", "package", p->package.source, p->package.name,
		          p->package.version);
	else
		print_row("%-10s%s %s", "package", p->package.name, p->package.version);
	print_row("%-10s%s%s", "settings", p->package_config.file, p->package_config.present ? "" : " (there is none)");
	if (p->package.node.files.program == NULL)
		printf("%-10sv%s (of the image %s)\n", "node", p->package.node.version, p->plan.launch.image);
	else
		printf("%-10sv%s%s\n", "node", p->package.node.version,
		       p->package.node.from_store ? " (from the store: the host's does not satisfy the package)" : "");
	printf("%-10s%s: %s\n", "runtime", runtime_kind_word(p->session.runtime.kind),
	       runtime_boundary(p->session.runtime.kind));
	printf("%-10s%s (%s)%s\n", "network", network, p->policy.origin,
	       p->policy.kind == POLICY_OPEN && p->session.runtime.kind == RUNTIME_BWRAP
	           ? "; warning: the host's own network, its loopback services included"
	           : "");
	print_link(p);
	print_mounts(p);
	print_files(p);
	printf("%-10s%s\n", "hidden", plan_hidden_text());
	print_remains(p);
	print_words("variables", &p->plan.env_names);
	printf("%-10s%s\n", "limits", limits);
	print_row("%-10s%s", "starts in", p->plan.launch.directory);
	if (!argv)
		return;
	print_words("command", &p->plan.launch.command);
	mem_cleanup char *line = strv_shell(&p->plan.start.argv);
	print_row("%-10s%s", "runs", line);
}

static cJSON *strings(const struct strv *words)
{
	cJSON *list = cJSON_CreateArray();
	for (size_t i = 0; i < words->count; i++)
		cJSON_AddItemToArray(list, cJSON_CreateString(words->v[i]));
	return list;
}

static cJSON *rules_json(const struct rules *rules)
{
	cJSON *list = cJSON_CreateArray();
	for (size_t i = 0; i < rules->count; i++)
		cJSON_AddItemToArray(list, cJSON_CreateString(rules->v[i].text));
	return list;
}

static cJSON *mounts_json(const struct prepared *p)
{
	cJSON *list = cJSON_CreateArray();
	for (size_t i = 0; i < p->mounts.count; i++) {
		const struct mounts_entry *e = &p->mounts.v[i];
		if (is_copied(p, e))
			continue;
		cJSON *mount = cJSON_CreateObject();
		cJSON_AddStringToObject(mount, "host", e->source);
		cJSON_AddStringToObject(mount, "container", e->target);
		cJSON_AddStringToObject(mount, "mode", e->writable ? "rw" : "ro");
		cJSON_AddStringToObject(mount, "origin", e->origin);
		cJSON_AddBoolToObject(mount, "outside_working_directory", e->outside);
		cJSON_AddItemToArray(list, mount);
	}
	if (p->plan.data_directory != NULL) {
		cJSON *mount = cJSON_CreateObject();
		cJSON_AddStringToObject(mount, "host", p->plan.data_directory);
		cJSON_AddStringToObject(mount, "container", "/data");
		cJSON_AddStringToObject(mount, "mode", "rw");
		cJSON_AddStringToObject(mount, "origin", "storage.persist");
		cJSON_AddBoolToObject(mount, "outside_working_directory", true);
		cJSON_AddItemToArray(list, mount);
	}
	return list;
}

static void add_limits(cJSON *json, const struct prepared *p)
{
	const struct launch *launch = &p->plan.launch;
	cJSON *limits = cJSON_AddObjectToObject(json, "limits");
	cJSON_AddNumberToObject(limits, "memory_bytes", (double)launch->memory_bytes);
	cJSON_AddNumberToObject(limits, "cpus", launch->cpu_millis / 1000.0);
	cJSON_AddNumberToObject(limits, "pids", launch->pids);
	mem_cleanup char *text = limits_text(p);
	cJSON_AddStringToObject(limits, "text", text);
	if (p->session.runtime.kind != RUNTIME_BWRAP)
		return;
	struct cgroup_plan plan = cgroups_of(p);
	cJSON_AddBoolToObject(limits, "memory_enforced", plan.memory);
	cJSON_AddBoolToObject(limits, "cpus_enforced", plan.cpu);
	cJSON_AddBoolToObject(limits, "pids_enforced", plan.pids);
	cgroup_plan_done(&plan);
}

static void add_remains(cJSON *json, const struct prepared *p)
{
	const struct fence fence = fence_of(p);
	cJSON *kernel = cJSON_AddObjectToObject(json, "kernel");
	struct strv left;

	fence_left(&fence, p->session.runtime.kind, &p->plan.launch, &left);
	cJSON_AddItemToObject(json, "remains", strings(&left));
	strv_done(&left);
	cJSON_AddNumberToObject(kernel, "landlock", fence.landlock);
	cJSON_AddBoolToObject(kernel, "abstract_sockets_closed", fence.landlock >= LANDLOCK_ABI_SCOPED);
	cJSON_AddBoolToObject(kernel, "inotify_bounded", fence.ceilings);
}

cJSON *describe_json(const struct prepared *p)
{
	cJSON *json = cJSON_CreateObject();
	cJSON *package = cJSON_AddObjectToObject(json, "package");
	cJSON_AddStringToObject(package, "name", p->package.name);
	if (p->package.source != NULL)
		cJSON_AddStringToObject(package, "source", p->package.source);
	cJSON_AddStringToObject(package, "version", p->package.version);
	cJSON_AddStringToObject(package, "key", p->package.key);
	cJSON_AddStringToObject(package, "platform", p->package.platform);
	cJSON_AddStringToObject(package, "directory", p->package.directory);
	if (p->package.bin != NULL)
		cJSON_AddStringToObject(package, "bin", p->package.bin);
	cJSON *node = cJSON_AddObjectToObject(json, "node");
	cJSON_AddStringToObject(node, "version", p->package.node.version);
	if (p->package.node.files.program == NULL)
		cJSON_AddStringToObject(node, "image", p->plan.launch.image);
	else
		cJSON_AddStringToObject(node, "program", p->package.node.files.program);
	cJSON_AddBoolToObject(node, "from_store", p->package.node.from_store);
	cJSON *runtime = cJSON_AddObjectToObject(json, "runtime");
	cJSON_AddStringToObject(runtime, "name", runtime_kind_word(p->session.runtime.kind));
	if (p->session.runtime.version != NULL)
		cJSON_AddStringToObject(runtime, "version", p->session.runtime.version);
	cJSON_AddStringToObject(json, "boundary", runtime_boundary(p->session.runtime.kind));
	cJSON *network = cJSON_AddObjectToObject(json, "network");
	cJSON_AddStringToObject(network, "policy", policy_kind_word(p->policy.kind));
	if (p->policy.network != NULL)
		cJSON_AddStringToObject(network, "name", p->policy.network);
	cJSON_AddStringToObject(network, "origin", p->policy.origin);
	cJSON_AddStringToObject(network, "link", policy_link_word(p->policy.link));
	if (p->link_why != NULL)
		cJSON_AddStringToObject(network, "link_why", p->link_why);
	if (p->policy.kind == POLICY_ALLOWLIST && route_weakness(p->policy.link) != NULL)
		cJSON_AddStringToObject(network, "weakness", route_weakness(p->policy.link));
	cJSON_AddBoolToObject(network, "managed", p->network.managed);
	cJSON_AddItemToObject(network, "allow", rules_json(&p->policy.rules));
	cJSON_AddItemToObject(json, "mounts", mounts_json(p));
	cJSON *files = cJSON_AddObjectToObject(json, "files");
	cJSON_AddBoolToObject(files, "shown_at_working_directory", p->plan.shows);
	cJSON_AddBoolToObject(files, "outputs", p->plan.outputs);
	cJSON_AddItemToObject(files, "copies", strings(&p->plan.arguments));
	cJSON_AddItemToObject(json, "masked_sockets", strings(&p->mounts.masks));
	cJSON_AddItemToObject(json, "notes", strings(&p->mounts.notes));
	cJSON_AddItemToObject(json, "env", strings(&p->plan.env_names));
	add_remains(json, p);
	add_limits(json, p);
	cJSON_AddStringToObject(json, "directory", p->plan.launch.directory);
	cJSON_AddStringToObject(json, "home", p->plan.launch.home);
	cJSON_AddItemToObject(json, "command", strings(&p->plan.launch.command));
	cJSON_AddItemToObject(json, "argv", strings(&p->plan.start.argv));
	return json;
}
