#include "commands/describe.h"

#include "base/buf.h"
#include "base/landlock.h"
#include "base/mem.h"
#include "commands/print.h"
#include "commands/sees.h"
#include "contain/cgroup.h"
#include "session/fence.h"
#include "json/texts.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>

static struct cgroup_limits limits_of(const struct launch *launch)
{
	return (struct cgroup_limits){ .memory_bytes = launch->memory_bytes,
		                       .cpu_millis = launch->cpu_millis,
		                       .pids = launch->pids };
}

static const struct runtime_driver *driver_of(const struct session *s)
{
	return runtime_driver(s->runtime.kind);
}

/* A session that has started knows what holds; before that the plan for a group of this name tells. */
static struct cgroup_plan cgroups_of(const struct session *s)
{
	struct cgroup_plan plan = { 0 };
	cgroup_plan_make(s->plan.launch.name, &plan);
	return plan;
}

static char *limits_text(const struct session *s)
{
	const struct cgroup_limits limits = limits_of(&s->plan.launch);
	if (driver_of(s)->has_containers)
		return str_printf("memory %llu MiB, cpus %g, pids %u (by the runtime)",
		                  (unsigned long long)(limits.memory_bytes / (1024 * 1024)), limits.cpu_millis / 1000.0,
		                  limits.pids);
	if (s->cgroups.version != CGROUP_NONE || s->cgroups.reason != NULL)
		return cgroup_text(&s->cgroups, &limits);
	struct cgroup_plan plan = cgroups_of(s);
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
static bool is_copied(const struct session *s, const struct mounts_entry *e)
{
	for (size_t i = 0; i < s->plan.arguments.count; i++) {
		mem_cleanup char *path = str_printf("%s/%s", s->in.cwd, s->plan.arguments.v[i]);
		mem_cleanup char *real = str_printf("%s/%s", s->plan.cwd, s->plan.arguments.v[i]);
		if (str_equal(e->target, path) || str_equal(e->target, real))
			return true;
	}
	return false;
}

static void print_mounts(const struct session *s)
{
	if (s->in.mounts.count == 0 && s->plan.data_directory == NULL && s->in.homes.count == 0)
		printf("%-10snone; the package and its Node are there, read-only\n", "mounts");
	for (size_t i = 0; i < s->in.mounts.count; i++) {
		const struct mounts_entry *e = &s->in.mounts.v[i];
		if (is_copied(s, e))
			continue;
		mem_cleanup char *inside =
		    str_equal(e->source, e->target) ? str_dup("") : str_printf(" as %s", e->target);
		print_row("%-10s%s%s %s (%s%s)", i == 0 ? "mounts" : "", e->source, inside,
		          e->writable ? "read-write" : "read-only", e->origin,
		          e->outside ? "; outside the working directory" : "");
	}
	for (size_t i = 0; i < s->plan.arguments.count; i++)
		printf("%-10s%s/%s (an argument or a variable; renewed when it changes)\n", i == 0 ? "copies" : "",
		       s->plan.cwd, s->plan.arguments.v[i]);
	if (s->plan.data_directory != NULL)
		printf("%-10s%s as /data read-write (storage.persist)\n", s->in.mounts.count == 0 ? "mounts" : "",
		       s->plan.data_directory);
	for (size_t i = 0; i < s->in.homes.count; i++)
		print_row("%-10s%s as %s/%s read-write (storage.home)",
		          i == 0 && s->in.mounts.count == 0 && s->plan.data_directory == NULL ? "mounts" : "",
		          s->in.homes.v[i].directory, s->plan.launch.home, s->in.homes.v[i].path);
}

/* How files become visible. */
static void print_files(const struct session *s)
{
	const char *cwd = s->plan.cwd;
	if (!s->plan.shows && s->in.mounts.cwd_in_scope)
		printf("%-10s%s is the sandbox's own, or shown as it is by a mount: nothing is copied there\n", "files",
		       s->in.cwd);
	else if (!s->plan.shows)
		printf("%-10s%s is too wide to take files from: name a project with --cwd DIR\n", "files", s->in.cwd);
	else
		printf("%-10swhat a call names beneath %s is shown at its own path, as a copy%s\n", "files", cwd,
		       s->plan.outputs ? ";\n          what the server makes there is put in place (outputs)" : "");
	printf("%-10sanything else: --mount PATH[:rw]; all of the directory: --project[=rw]\n", "");
}

static void print_link(const struct session *s)
{
	const char *weakness = route_weakness(s->in.policy.link);
	if (s->in.policy.kind != POLICY_ALLOWLIST)
		return;
	for (size_t i = 0; i < s->in.policy.rules.count; i++)
		printf("%-10s%s\n", i == 0 ? "allows" : "", s->in.policy.rules.v[i].text);
	printf("%-10s%s%s%s%s\n", "link", policy_link_word(s->in.policy.link),
	       s->in.link_why == NULL ? "" : " (auto: ", s->in.link_why == NULL ? "" : s->in.link_why,
	       s->in.link_why == NULL ? "" : ")");
	if (weakness != NULL)
		printf("%-10swarning: %s\n", "", weakness);
}

/* By what this machine's kernel offers, which is tried. */
static struct fence fence_of(const struct session *s)
{
	const struct fence none = { 0 };
	return driver_of(s)->has_containers ? none : fence_look();
}

static void print_list(const char *label, const struct strv *words, const char *end)
{
	for (size_t i = 0; i < words->count; i++)
		printf("%-*s%s%s", i == 0 ? 10 : 0, i == 0 ? label : "", words->v[i],
		       i + 1 < words->count ? ", " : end);
}

static void print_seen(const struct session *s)
{
	struct strv system, hidden;

	sees_system(s, &system);
	sees_hidden(s, &hidden);
	print_list("system", &system, ", read-only\n");
	print_list("hidden", &hidden, "\n");
	strv_done(&system);
	strv_done(&hidden);
}

static void print_remains(const struct session *s)
{
	const struct fence fence = fence_of(s);
	struct strv left;

	fence_left(&fence, s->runtime.kind, &s->plan.launch, &left);
	for (size_t i = 0; i < left.count; i++)
		printf("%-10s%s\n", i == 0 ? "remains" : "", left.v[i]);
	strv_done(&left);
}

void describe_text(const struct session *s, bool argv)
{
	mem_cleanup char *network = policy_text(&s->in.policy);
	mem_cleanup char *limits = limits_text(s);
	if (s->package.source != NULL)
		print_row("%-10s%s (it calls itself %s %s)", "package", s->package.source, s->package.name,
		          s->package.version);
	else
		print_row("%-10s%s %s", "package", s->package.name, s->package.version);
	print_row("%-10s%s%s", "settings", s->in.package_config.file,
	          s->in.package_config.present ? "" : " (there is none)");
	if (s->package.node.files.program == NULL)
		printf("%-10sv%s (of the image %s)\n", "node", s->package.node.version, s->plan.launch.image);
	else
		printf("%-10sv%s%s\n", "node", s->package.node.version,
		       s->package.node.from_store ? " (from the store: the host's does not satisfy the package)" : "");
	printf("%-10s%s: %s\n", "runtime", driver_of(s)->word, driver_of(s)->boundary);
	printf("%-10s%s (%s)%s\n", "network", network, s->in.policy.origin,
	       s->in.policy.kind == POLICY_OPEN && driver_of(s)->open_network == NULL
	           ? "; warning: the host's own network, its loopback services included"
	           : "");
	print_link(s);
	print_mounts(s);
	print_files(s);
	print_seen(s);
	print_remains(s);
	print_words("variables", &s->plan.env_names);
	printf("%-10s%s\n", "limits", limits);
	print_row("%-10s%s", "starts in", s->plan.launch.directory);
	if (!argv)
		return;
	print_words("command", &s->plan.launch.command);
	mem_cleanup char *line = strv_shell(&s->plan.start.argv);
	print_row("%-10s%s", "runs", line);
}

static cJSON *rules_json(const struct rules *rules)
{
	cJSON *list = cJSON_CreateArray();
	for (size_t i = 0; i < rules->count; i++)
		cJSON_AddItemToArray(list, cJSON_CreateString(rules->v[i].text));
	return list;
}

static void add_kept(cJSON *list, const char *directory, const char *inside, const char *origin)
{
	cJSON *mount = cJSON_CreateObject();
	cJSON_AddStringToObject(mount, "host", directory);
	cJSON_AddStringToObject(mount, "container", inside);
	cJSON_AddStringToObject(mount, "mode", "rw");
	cJSON_AddStringToObject(mount, "origin", origin);
	cJSON_AddBoolToObject(mount, "outside_working_directory", true);
	cJSON_AddItemToArray(list, mount);
}

static cJSON *mounts_json(const struct session *s)
{
	cJSON *list = cJSON_CreateArray();
	for (size_t i = 0; i < s->in.mounts.count; i++) {
		const struct mounts_entry *e = &s->in.mounts.v[i];
		if (is_copied(s, e))
			continue;
		cJSON *mount = cJSON_CreateObject();
		cJSON_AddStringToObject(mount, "host", e->source);
		cJSON_AddStringToObject(mount, "container", e->target);
		cJSON_AddStringToObject(mount, "mode", e->writable ? "rw" : "ro");
		cJSON_AddStringToObject(mount, "origin", e->origin);
		cJSON_AddBoolToObject(mount, "outside_working_directory", e->outside);
		cJSON_AddItemToArray(list, mount);
	}
	if (s->plan.data_directory != NULL)
		add_kept(list, s->plan.data_directory, "/data", "storage.persist");
	for (size_t i = 0; i < s->in.homes.count; i++) {
		mem_cleanup char *inside = str_path_join(s->plan.launch.home, s->in.homes.v[i].path);
		add_kept(list, s->in.homes.v[i].directory, inside, "storage.home");
	}
	return list;
}

static void add_limits(cJSON *json, const struct session *s)
{
	const struct launch *launch = &s->plan.launch;
	cJSON *limits = cJSON_AddObjectToObject(json, "limits");
	cJSON_AddNumberToObject(limits, "memory_bytes", (double)launch->memory_bytes);
	cJSON_AddNumberToObject(limits, "cpus", launch->cpu_millis / 1000.0);
	cJSON_AddNumberToObject(limits, "pids", launch->pids);
	mem_cleanup char *text = limits_text(s);
	cJSON_AddStringToObject(limits, "text", text);
	if (driver_of(s)->has_containers)
		return;
	struct cgroup_plan plan = cgroups_of(s);
	cJSON_AddBoolToObject(limits, "memory_enforced", plan.memory);
	cJSON_AddBoolToObject(limits, "cpus_enforced", plan.cpu);
	cJSON_AddBoolToObject(limits, "pids_enforced", plan.pids);
	cgroup_plan_done(&plan);
}

static void add_seen(cJSON *json, const struct session *s)
{
	struct strv system, hidden;

	sees_system(s, &system);
	sees_hidden(s, &hidden);
	cJSON_AddItemToObject(json, "system", texts_to_json(&system));
	cJSON_AddItemToObject(json, "hidden", texts_to_json(&hidden));
	strv_done(&system);
	strv_done(&hidden);
}

static void add_remains(cJSON *json, const struct session *s)
{
	const struct fence fence = fence_of(s);
	cJSON *kernel = cJSON_AddObjectToObject(json, "kernel");
	struct strv left;

	fence_left(&fence, s->runtime.kind, &s->plan.launch, &left);
	cJSON_AddItemToObject(json, "remains", texts_to_json(&left));
	strv_done(&left);
	cJSON_AddNumberToObject(kernel, "landlock", fence.landlock);
	cJSON_AddBoolToObject(kernel, "abstract_sockets_closed", fence.landlock >= LANDLOCK_ABI_SCOPED);
	cJSON_AddBoolToObject(kernel, "inotify_bounded", fence.ceilings);
}

cJSON *describe_json(const struct session *s)
{
	cJSON *json = cJSON_CreateObject();
	cJSON *package = cJSON_AddObjectToObject(json, "package");
	cJSON_AddStringToObject(package, "name", s->package.name);
	if (s->package.source != NULL)
		cJSON_AddStringToObject(package, "source", s->package.source);
	cJSON_AddStringToObject(package, "version", s->package.version);
	cJSON_AddStringToObject(package, "key", s->package.key);
	cJSON_AddStringToObject(package, "platform", s->package.platform);
	cJSON_AddStringToObject(package, "directory", s->package.directory);
	if (s->package.bin != NULL)
		cJSON_AddStringToObject(package, "bin", s->package.bin);
	cJSON *node = cJSON_AddObjectToObject(json, "node");
	cJSON_AddStringToObject(node, "version", s->package.node.version);
	if (s->package.node.files.program == NULL)
		cJSON_AddStringToObject(node, "image", s->plan.launch.image);
	else
		cJSON_AddStringToObject(node, "program", s->package.node.files.program);
	cJSON_AddBoolToObject(node, "from_store", s->package.node.from_store);
	cJSON *runtime = cJSON_AddObjectToObject(json, "runtime");
	cJSON_AddStringToObject(runtime, "name", driver_of(s)->word);
	if (s->runtime.version != NULL)
		cJSON_AddStringToObject(runtime, "version", s->runtime.version);
	cJSON_AddStringToObject(json, "boundary", driver_of(s)->boundary);
	cJSON *network = cJSON_AddObjectToObject(json, "network");
	cJSON_AddStringToObject(network, "policy", policy_kind_word(s->in.policy.kind));
	if (s->in.policy.network != NULL)
		cJSON_AddStringToObject(network, "name", s->in.policy.network);
	cJSON_AddStringToObject(network, "origin", s->in.policy.origin);
	cJSON_AddStringToObject(network, "link", policy_link_word(s->in.policy.link));
	if (s->in.link_why != NULL)
		cJSON_AddStringToObject(network, "link_why", s->in.link_why);
	if (s->in.policy.kind == POLICY_ALLOWLIST && route_weakness(s->in.policy.link) != NULL)
		cJSON_AddStringToObject(network, "weakness", route_weakness(s->in.policy.link));
	cJSON_AddBoolToObject(network, "managed", s->plan.network.managed);
	cJSON_AddItemToObject(network, "allow", rules_json(&s->in.policy.rules));
	cJSON_AddItemToObject(json, "mounts", mounts_json(s));
	cJSON *files = cJSON_AddObjectToObject(json, "files");
	cJSON_AddBoolToObject(files, "shown_at_working_directory", s->plan.shows);
	cJSON_AddBoolToObject(files, "outputs", s->plan.outputs);
	cJSON_AddItemToObject(files, "copies", texts_to_json(&s->plan.arguments));
	cJSON_AddItemToObject(json, "masked_sockets", texts_to_json(&s->in.mounts.masks));
	cJSON_AddItemToObject(json, "unseen", texts_to_json(&s->in.mounts.unseen));
	cJSON_AddItemToObject(json, "notes", texts_to_json(&s->in.mounts.notes));
	cJSON_AddItemToObject(json, "env", texts_to_json(&s->plan.env_names));
	add_seen(json, s);
	add_remains(json, s);
	add_limits(json, s);
	cJSON_AddStringToObject(json, "directory", s->plan.launch.directory);
	cJSON_AddStringToObject(json, "home", s->plan.launch.home);
	cJSON_AddItemToObject(json, "command", texts_to_json(&s->plan.launch.command));
	cJSON_AddItemToObject(json, "argv", texts_to_json(&s->plan.start.argv));
	return json;
}
