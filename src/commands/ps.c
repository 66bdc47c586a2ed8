#include "commands/commands.h"
#include "commands/print.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/proc.h"
#include "session/inputs.h"
#include "teardown/lease.h"

#include <cjson/cJSON.h>
#include <stdio.h>

static cJSON *held_json(const struct lease *lease)
{
	cJSON *holds = cJSON_CreateArray();
	for (size_t i = 0; i < lease->count; i++) {
		cJSON *one = cJSON_CreateObject();
		cJSON_AddStringToObject(one, "kind", resource_kind_word(lease->entries[i].kind));
		cJSON_AddStringToObject(one, "name", lease_entry_name(&lease->entries[i]));
		cJSON_AddItemToArray(holds, one);
	}
	return holds;
}

static cJSON *seen_json(const struct lease_seen *seen, int64_t uptime_ms)
{
	const struct lease *lease = &seen->lease;
	cJSON *json = cJSON_CreateObject();
	cJSON_AddStringToObject(json, "state", lease_state_word(seen->state));
	if (lease_is_left_alone(seen->state)) {
		cJSON_AddStringToObject(json, "file", seen->path);
		cJSON_AddStringToObject(json, "why", seen->why);
		return json;
	}
	cJSON_AddStringToObject(json, "id", lease->id);
	cJSON_AddStringToObject(json, "name", lease->name);
	cJSON_AddStringToObject(json, "package", lease->package);
	cJSON_AddStringToObject(json, "version", lease->version);
	cJSON_AddStringToObject(json, "runtime", lease->runtime);
	cJSON_AddStringToObject(json, "policy", lease->policy);
	cJSON_AddStringToObject(json, "link", lease->link);
	cJSON_AddNumberToObject(json, "pid", lease->launcher.pid);
	cJSON_AddNumberToObject(json, "janitor_pid", lease->janitor.pid);
	cJSON *client = cJSON_AddObjectToObject(json, "client");
	cJSON_AddNumberToObject(client, "pid", lease->client.pid);
	cJSON_AddStringToObject(client, "name", lease->client_name);
	const int64_t started_at = lease->started_at_ms / 1000;
	cJSON_AddNumberToObject(json, "started_at", (double)started_at);
	if (uptime_ms >= 0 && seen->state != LEASE_DEAD)
		cJSON_AddNumberToObject(json, "uptime_ms", (double)uptime_ms);
	cJSON_AddItemToObject(json, "holds", held_json(lease));
	return json;
}

static void print_seen(const struct lease_seen *seen, int64_t uptime_ms)
{
	const struct lease *lease = &seen->lease;
	if (lease_is_left_alone(seen->state)) {
		mem_cleanup char *path = print_line(seen->path, 4096);
		print_row("%-10s %s: %s; npxc leaves it alone", lease_state_word(seen->state), path, seen->why);
		return;
	}
	mem_cleanup char *age = print_age(uptime_ms);
	mem_cleanup char *what = str_printf(lease->name[0] == '\0' ? "(installing %s)" : "%s", lease->package);
	mem_cleanup char *package = print_line(what, 60);
	mem_cleanup char *policy = print_line(lease->policy, 40);
	mem_cleanup char *client = print_line(lease->client_name, 30);
	mem_cleanup char *since =
	    seen->state == LEASE_DEAD
	        ? str_printf("ended; %zu thing%s left", lease->count, lease->count == 1 ? "" : "s")
	        : str_printf("of %s (%ld), up %s", client[0] == '\0' ? "?" : client, (long)lease->client.pid,
	                     uptime_ms < 0 ? "?" : age);
	print_row("%-10s %-10s %-36s %-12s %-8s %s%s%s  pid %ld, %s", lease->id, lease_state_word(seen->state), package,
	          lease->version, lease->runtime, policy, lease->link[0] == '\0' ? "" : " by ", lease->link,
	          (long)lease->launcher.pid, since);
}

bool ps_command(const struct options *options, int *ret_status, struct npxc_error *err)
{
	struct inputs in;
	struct strv files = { 0 };
	if (!inputs_read(options, &in, err))
		return false;
	mem_cleanup char *directory = inputs_sessions_directory(&in);
	mem_cleanup char *boot = proc_boot_id();
	bool fine = lease_list(directory, &files, err);
	size_t dead = 0, shown = 0;
	cJSON *all = cJSON_CreateArray();
	for (size_t i = 0; fine && i < files.count; i++) {
		struct lease_seen seen;
		lease_look(directory, files.v[i], false, boot, &seen);
		const bool is_there = seen.state != LEASE_GONE;
		const int64_t uptime_ms = is_there && !lease_is_left_alone(seen.state)
		                              ? lease_uptime_ms(&seen.lease, boot, clock_boot_ms())
		                              : -1;
		dead += seen.state == LEASE_DEAD;
		shown += is_there;
		if (is_there && options->json)
			cJSON_AddItemToArray(all, seen_json(&seen, uptime_ms));
		else if (is_there)
			print_seen(&seen, uptime_ms);
		lease_seen_done(&seen);
	}
	if (fine && options->json)
		fine = print_json(all, err);
	else if (fine && shown == 0)
		puts("no session is running");
	else if (fine && dead > 0)
		puts("`npxc gc` removes what ended sessions left; the next start does so too");
	cJSON_Delete(all);
	strv_done(&files);
	inputs_done(&in);
	*ret_status = 0;
	return fine;
}
