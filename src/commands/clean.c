#include "commands/commands.h"
#include "commands/print.h"

#include "base/mem.h"
#include "base/str.h"
#include "session/inputs.h"
#include "store/cache.h"
#include "store/inventory.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>

struct cleaned {
	size_t removed, kept;
	uint64_t bytes, cache_bytes;
	bool is_cache_kept;
};

static bool clean_one(const struct inputs *in, const char *spec, struct cleaned *total, struct npxc_error *err)
{
	size_t removed, kept;
	uint64_t bytes;
	if (!inventory_clean(in->paths.store_directory, spec, in->cwd, &removed, &bytes, &kept, err))
		return false;
	total->removed += removed;
	total->kept += kept;
	total->bytes += bytes;
	return true;
}

static bool report(const struct options *options, const struct cleaned *total, struct npxc_error *err)
{
	if (options->json) {
		cJSON *json = cJSON_CreateObject();
		cJSON_AddNumberToObject(json, "removed", (double)total->removed);
		cJSON_AddNumberToObject(json, "bytes", (double)total->bytes);
		cJSON_AddNumberToObject(json, "kept_in_use", (double)total->kept);
		cJSON_AddNumberToObject(json, "cache_bytes", (double)total->cache_bytes);
		const bool fine = print_json(json, err);
		cJSON_Delete(json);
		return fine;
	}
	mem_cleanup char *size = print_bytes(total->bytes);
	mem_cleanup char *cache = print_bytes(total->cache_bytes);
	printf("removed %zu installed version%s, %s\n", total->removed, total->removed == 1 ? "" : "s", size);
	if (total->cache_bytes > 0)
		printf("removed what npm had fetched, %s\n", cache);
	if (total->is_cache_kept)
		puts("kept what npm has fetched: an installation uses it");
	if (total->kept > 0)
		printf("kept %zu that a running session uses\n", total->kept);
	return true;
}

bool clean_command(const struct options *options, int *ret_status, struct npxc_error *err)
{
	if (options->all == (options->specs.count > 0))
		return error_set(err, ERROR_CONFIG, "npxc clean takes either specs or --all");
	struct inputs in;
	struct cleaned total = { 0 };
	if (!inputs_read(options, &in, err))
		return false;
	bool fine = true;
	if (options->all)
		fine = clean_one(&in, NULL, &total, err) &&
		       cache_remove(in.paths.store_directory, &total.cache_bytes, &total.is_cache_kept, err);
	mem_cleanup char *absent = str_dup("");
	for (size_t i = 0; fine && i < options->specs.count; i++) {
		const size_t before = total.removed + total.kept;
		fine = clean_one(&in, options->specs.v[i], &total, err);
		if (fine && total.removed + total.kept == before) {
			char *longer = str_printf("%s%s%s", absent, absent[0] == '\0' ? "" : ", ", options->specs.v[i]);
			free(absent);
			absent = longer;
		}
	}
	fine = fine && report(options, &total, err);
	if (fine && absent[0] != '\0')
		fine = error_set(err, ERROR_CONFIG, "not in the store: %s; `npxc list` shows what is", absent);
	inputs_done(&in);
	*ret_status = 0;
	return fine;
}
