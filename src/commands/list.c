#include "commands/commands.h"
#include "commands/print.h"

#include "base/mem.h"
#include "session/inputs.h"
#include "store/cache.h"
#include "store/inventory.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <time.h>

static void print_entry(const struct inventory_entry *entry)
{
	char when[32] = "?";
	const time_t at = (time_t)entry->installed_at;
	struct tm broken;
	if (localtime_r(&at, &broken) != NULL)
		strftime(when, sizeof(when), "%Y-%m-%d %H:%M", &broken);
	mem_cleanup char *size = print_bytes(entry->bytes);
	print_row("%-44s %-14s %-12s %10s  %s", entry->source != NULL ? entry->source : entry->name, entry->version,
	          entry->spec == NULL ? "" : entry->spec, size, when);
}

static void print_cache(const char *store_directory)
{
	const uint64_t bytes = cache_bytes(store_directory);
	mem_cleanup char *size = print_bytes(bytes);
	if (bytes > 0)
		printf("and what npm has fetched, %s, for later installations (`npxc clean --all` empties it too)\n",
		       size);
}

static cJSON *entry_json(const struct inventory_entry *entry)
{
	cJSON *json = cJSON_CreateObject();
	cJSON_AddStringToObject(json, "name", entry->name);
	if (entry->source != NULL)
		cJSON_AddStringToObject(json, "source", entry->source);
	cJSON_AddStringToObject(json, "version", entry->version);
	cJSON_AddStringToObject(json, "key", entry->key);
	cJSON_AddStringToObject(json, "platform", entry->platform);
	cJSON_AddStringToObject(json, "directory", entry->directory);
	if (entry->spec != NULL)
		cJSON_AddStringToObject(json, "spec", entry->spec);
	cJSON_AddNumberToObject(json, "bytes", (double)entry->bytes);
	cJSON_AddNumberToObject(json, "installed_at", (double)entry->installed_at);
	return json;
}

bool list_command(const struct options *options, int *ret_status, struct npxc_error *err)
{
	struct inputs in;
	struct inventory list;
	if (!inputs_read(options, &in, err))
		return false;
	bool fine = inventory_read(in.paths.store_directory, &list, err);
	if (fine && options->json) {
		cJSON *all = cJSON_CreateArray();
		for (size_t i = 0; i < list.count; i++)
			cJSON_AddItemToArray(all, entry_json(&list.v[i]));
		fine = print_json(all, err);
		cJSON_Delete(all);
	} else if (fine) {
		for (size_t i = 0; i < list.count; i++)
			print_entry(&list.v[i]);
		if (list.count == 0)
			puts("nothing is installed; `npxc install <spec>` or the first `npxc <spec>` does it");
		print_cache(in.paths.store_directory);
	}
	if (fine)
		inventory_done(&list);
	inputs_done(&in);
	*ret_status = 0;
	return fine;
}
