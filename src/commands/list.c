#include "commands/commands.h"
#include "commands/print.h"

#include "base/mem.h"
#include "session/inputs.h"
#include "session/kept.h"
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

/* The name under which a key's package is installed; a package that is not is called by its key. */
static const char *name_of(const struct inventory *list, const char *key)
{
	for (size_t i = 0; i < list->count; i++)
		if (str_equal(list->v[i].key, key))
			return list->v[i].source != NULL ? list->v[i].source : list->v[i].name;
	return key;
}

static void print_kept(const struct inventory *list, const struct kept_entry *kept)
{
	mem_cleanup char *bytes = print_bytes(kept->bytes);
	mem_cleanup char *size = str_printf("%s%s", kept->whole ? "" : ">", bytes);
	print_row("%-44s %-14s %-12s %10s  %s", name_of(list, kept->key), "keeps", kept->inside, size, kept->directory);
}

static void add_kept(cJSON *json, const struct kept *kept, const char *key)
{
	cJSON *all = NULL;
	for (size_t i = 0; i < kept->count; i++) {
		const struct kept_entry *entry = &kept->v[i];
		if (!str_equal(entry->key, key))
			continue;
		if (all == NULL)
			all = cJSON_AddArrayToObject(json, "keeps");
		cJSON *one = cJSON_CreateObject();
		cJSON_AddStringToObject(one, "inside", entry->inside);
		cJSON_AddStringToObject(one, "directory", entry->directory);
		cJSON_AddNumberToObject(one, "bytes", (double)entry->bytes);
		cJSON_AddBoolToObject(one, "complete", entry->whole);
		cJSON_AddItemToArray(all, one);
	}
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

static cJSON *list_json(const struct inventory *list, const struct kept *kept)
{
	cJSON *all = cJSON_CreateArray();
	for (size_t i = 0; i < list->count; i++) {
		cJSON *json = entry_json(&list->v[i]);
		add_kept(json, kept, list->v[i].key);
		cJSON_AddItemToArray(all, json);
	}
	/* What packages keep that are not installed any more; those of a key stand together. */
	for (size_t i = 0; i < kept->count; i++) {
		const char *key = kept->v[i].key;
		if (name_of(list, key) != key || (i > 0 && str_equal(kept->v[i - 1].key, key)))
			continue;
		cJSON *json = cJSON_CreateObject();
		cJSON_AddStringToObject(json, "key", key);
		add_kept(json, kept, key);
		cJSON_AddItemToArray(all, json);
	}
	return all;
}

static void print_list(const struct inventory *list, const struct kept *kept)
{
	for (size_t i = 0; i < list->count; i++)
		print_entry(&list->v[i]);
	if (list->count == 0)
		puts("nothing is installed; `npxc install <spec>` or the first `npxc <spec>` does it");
	for (size_t i = 0; i < kept->count; i++)
		print_kept(list, &kept->v[i]);
}

bool list_command(const struct options *options, int *ret_status, struct npxc_error *err)
{
	struct inputs in;
	struct inventory list;
	if (!inputs_read(options, &in, err))
		return false;
	bool fine = inventory_read(in.paths.store_directory, &list, err);
	if (fine) {
		struct kept kept;
		kept_read(&in.paths, &kept);
		if (options->json) {
			cJSON *all = list_json(&list, &kept);
			fine = print_json(all, err);
			cJSON_Delete(all);
		} else {
			print_list(&list, &kept);
			print_cache(in.paths.store_directory);
		}
		kept_done(&kept);
		inventory_done(&list);
	}
	inputs_done(&in);
	*ret_status = 0;
	return fine;
}
