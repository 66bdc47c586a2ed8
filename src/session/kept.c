#include "session/kept.h"

#include "base/fd.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/tree.h"
#include "session/homes.h"
#include "store/layout.h"

#include <stdlib.h>
#include <string.h>

static enum tree_next weigh(void *context, const struct tree_entry *entry, struct npxc_error *err)
{
	struct kept_entry *kept = context;

	(void)err;
	if (entry->entry_count > LIMIT_KEPT_ENTRIES || entry->depth > LIMIT_KEPT_DEPTH) {
		kept->whole = false;
		return entry->entry_count > LIMIT_KEPT_ENTRIES ? TREE_STOP : TREE_ON;
	}
	kept->bytes += (uint64_t)entry->info.st_blocks * 512;
	return S_ISDIR(entry->info.st_mode) ? TREE_ENTER : TREE_ON;
}

/* `inside` is taken. `parent`: a directory that no server can write to. */
static void add(struct kept *kept, const char *key, const char *parent, const char *name, char *inside)
{
	struct npxc_error ignored = { 0 };
	FD_CLEANUP int root = -1;

	kept->v = mem_realloc(kept->v, kept->count + 1, sizeof(*kept->v));
	struct kept_entry *entry = &kept->v[kept->count++];
	*entry = (struct kept_entry){
		.key = str_dup(key), .inside = inside, .directory = str_path_join(parent, name), .whole = true
	};
	const struct tree_visitor visitor = { .context = entry, .entry = weigh, .refused = tree_pass_over };
	/* One that changed meanwhile is told as far as it was seen. */
	if (!tree_open(parent, &root, &ignored) || !tree_walk(root, name, &visitor, &ignored))
		entry->whole = false;
}

static void add_homes(struct kept *kept, const char *key, const char *directory)
{
	struct strv names __attribute__((cleanup(strv_done))) = { 0 };

	layout_directories(directory, true, &names);
	for (size_t i = 0; i < names.count; i++) {
		mem_cleanup char *path = homes_path(names.v[i]);

		if (path != NULL)
			add(kept, key, directory, names.v[i], str_printf("~/%s", path));
	}
}

static int by_key(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

void kept_read(const struct paths *paths, struct kept *ret_kept)
{
	struct strv with_data __attribute__((cleanup(strv_done))) = { 0 };
	struct strv keys __attribute__((cleanup(strv_done))) = { 0 };
	struct kept kept = { 0 };

	layout_directories(paths->data_directory, true, &with_data);
	layout_directories(paths->homes_directory, true, &keys);
	for (size_t i = 0; i < with_data.count; i++)
		if (!strv_contains(&keys, with_data.v[i]))
			strv_push(&keys, with_data.v[i]);
	if (keys.count > 0)
		qsort(keys.v, keys.count, sizeof(*keys.v), by_key);
	for (size_t i = 0; i < keys.count; i++) {
		mem_cleanup char *homes = str_path_join(paths->homes_directory, keys.v[i]);

		if (strv_contains(&with_data, keys.v[i]))
			add(&kept, keys.v[i], paths->data_directory, keys.v[i], str_dup("/data"));
		add_homes(&kept, keys.v[i], homes);
	}
	*ret_kept = kept;
}

void kept_done(struct kept *kept)
{
	for (size_t i = 0; i < kept->count; i++) {
		free(kept->v[i].key);
		free(kept->v[i].inside);
		free(kept->v[i].directory);
	}
	free(kept->v);
	*kept = (struct kept){ 0 };
}
