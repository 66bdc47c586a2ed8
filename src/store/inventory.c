#include "store/inventory.h"

#include "base/fd.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/tree.h"
#include "config/spec.h"
#include "store/directory.h"
#include "store/layout.h"
#include "store/record.h"
#include "store/staging.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- listing ---- */

static void list_version(const char *key_path, const char *key, const char *name, struct inventory *list)
{
	mem_cleanup char *path = str_printf("%s/%s", key_path, name);
	struct npxc_error why;
	struct record record;
	struct inventory_entry *entry;

	if (!record_read(path, &record, &why)) {
		log_debug("store", "%s", why.message);
		return;
	}
	list->v = mem_realloc(list->v, list->count + 1, sizeof(*list->v));
	entry = &list->v[list->count++];
	*entry = (struct inventory_entry){
		.name = str_dup(record.packages[0].name),
		.source = str_dup(record.packages[0].directory),
		.version = str_dup(record.packages[0].version),
		.key = str_dup(key),
		.platform = str_dup(str_starts(name, record.label) && name[strlen(record.label)] == '-'
		                        ? name + strlen(record.label) + 1
		                        : ""),
		.directory = MEM_TAKE(path),
		.spec = record_select_of(key_path, record.label),
		.bytes = record.bytes,
		.installed_at = record.installed_at,
	};
	record_done(&record);
}

bool inventory_read(const char *store_directory, struct inventory *ret_list, struct npxc_error *err)
{
	mem_cleanup char *packages = str_printf("%s/packages", store_directory);
	struct inventory list = { 0 };
	struct strv keys = { 0 };

	(void)err;
	layout_directories(packages, false, &keys);
	for (size_t i = 0; i < keys.count; i++) {
		mem_cleanup char *key_path = layout_key(store_directory, keys.v[i]);
		struct strv versions = { 0 };

		layout_directories(key_path, false, &versions);
		for (size_t j = 0; j < versions.count; j++)
			list_version(key_path, keys.v[i], versions.v[j], &list);
		strv_done(&versions);
	}
	strv_done(&keys);
	*ret_list = list;
	return true;
}

void inventory_done(struct inventory *list)
{
	for (size_t i = 0; i < list->count; i++) {
		struct inventory_entry *entry = &list->v[i];

		free(entry->name);
		free(entry->version);
		free(entry->key);
		free(entry->platform);
		free(entry->directory);
		free(entry->source);
		free(entry->spec);
	}
	free(list->v);
	*list = (struct inventory){ 0 };
}

/* ---- cleaning ---- */

struct cleaning {
	size_t removed;
	uint64_t bytes;
	size_t kept;
};

static bool clean_directory(const char *path, bool counts, struct cleaning *cleaning, struct npxc_error *err)
{
	struct record record = { 0 };
	struct npxc_error why = { 0 };
	uint64_t bytes = record_read(path, &record, &why) ? record.bytes : 0;

	record_done(&record);
	if (staging_remove(path, &why)) {
		cleaning->removed += counts;
		cleaning->bytes += bytes;
		return true;
	}
	if (why.sys_errno == ENOENT)
		return true;
	if (why.sys_errno != EWOULDBLOCK) {
		*err = why;
		return false;
	}
	cleaning->kept += counts;
	return true;
}

static bool is_key(const char *store_directory, const char *key)
{
	mem_cleanup char *packages = str_printf("%s/packages", store_directory);
	FD_CLEANUP int root = -1;
	struct npxc_error ignored;

	return tree_open(packages, &root, &ignored) && tree_is_directory(root, key);
}

/* Whether a version's directory is that of `label`, as its record says. Of a damaged one the name tells: what stands
 * before "-<os>-<arch>-<libc>-<abi>". A prerelease begins as its release does. */
static bool has_label(const char *path, const char *name, const char *label)
{
	enum { PLATFORM_PARTS = 4 };
	struct record record;
	struct npxc_error ignored;
	size_t length = strlen(name);

	if (record_read(path, &record, &ignored)) {
		const bool same = strcmp(record.label, label) == 0;

		record_done(&record);
		return same;
	}
	for (int part = 0; part < PLATFORM_PARTS; part++) {
		while (length > 0 && name[length - 1] != '-')
			length--;
		length -= length > 0;
	}
	return length == strlen(label) && strncmp(name, label, length) == 0;
}

/* `label` NULL: all versions. An installation that is going on keeps its key. */
static bool clean_key(const char *store_directory, const char *key, const char *label, struct cleaning *cleaning,
                      struct npxc_error *err)
{
	mem_cleanup char *key_path = layout_key(store_directory, key);
	mem_cleanup char *lock_path = str_printf("%s/lock", key_path);
	FD_CLEANUP int lock = -1;
	struct npxc_error why = { 0 };
	struct strv names = { 0 };
	size_t kept_before = cleaning->kept;
	bool ok = true;

	if (!is_key(store_directory, key))
		return true;
	if (!file_lock(lock_path, false, &lock, &why)) {
		if (why.sys_errno != EWOULDBLOCK) {
			*err = why;
			return false;
		}
		cleaning->kept++;
		return true;
	}
	if (ftruncate(lock, 0) == -1) /* who waits is told nothing of an earlier installation */
		return error_set_errno(err, ERROR_IO, "empty %s", lock_path);
	layout_directories(key_path, true, &names);
	for (size_t i = 0; ok && i < names.count; i++) {
		mem_cleanup char *path = str_printf("%s/%s", key_path, names.v[i]);

		if (label == NULL || has_label(path, names.v[i], label))
			ok = clean_directory(path, names.v[i][0] != '.', cleaning, err);
	}
	strv_done(&names);
	if (ok && label == NULL && cleaning->kept == kept_before)
		layout_drop_key(store_directory, key);
	return ok;
}

static bool clean_everything(const char *store_directory, struct cleaning *cleaning, struct npxc_error *err)
{
	mem_cleanup char *packages = str_printf("%s/packages", store_directory);
	mem_cleanup char *nodes = str_printf("%s/node", store_directory);
	mem_cleanup char *unfinished = str_printf("%s/staging", store_directory);
	struct strv keys = { 0 };
	struct strv others = { 0 };
	bool ok = true;

	layout_directories(packages, false, &keys);
	for (size_t i = 0; ok && i < keys.count; i++)
		ok = clean_key(store_directory, keys.v[i], NULL, cleaning, err);
	/* A session that still runs may use a Node of the store. */
	if (ok && cleaning->kept == 0) {
		layout_directories(nodes, true, &others);
		for (size_t i = 0; ok && i < others.count; i++) {
			mem_cleanup char *path = str_printf("%s/%s", nodes, others.v[i]);

			ok = clean_directory(path, false, cleaning, err);
		}
	}
	strv_done(&others);
	layout_directories(unfinished, true, &others);
	for (size_t i = 0; ok && i < others.count; i++) {
		mem_cleanup char *path = str_printf("%s/%s", unfinished, others.v[i]);

		ok = clean_directory(path, false, cleaning, err); /* one that is in use is locked */
	}
	strv_done(&keys);
	strv_done(&others);
	return ok;
}

static bool clean_spec(const char *store_directory, const char *text, const char *cwd, struct cleaning *cleaning,
                       struct npxc_error *err)
{
	mem_cleanup char *key = NULL;
	mem_cleanup char *label = NULL;
	struct spec spec;
	bool ok = true;

	if (!spec_parse(text, &spec, err))
		return false;
	if (spec.kind == SPEC_DIRECTORY) {
		mem_cleanup char *directory = directory_path(spec.path, cwd, getenv("HOME"));

		key = directory_key(directory);
	} else {
		key = spec_package_key(spec.name);
		if (spec.kind == SPEC_VERSION) {
			label = str_dup_n(spec.select, strcspn(spec.select, "+"));
		} else if (strchr(text + 1, '@') != NULL) {
			mem_cleanup char *key_path = layout_key(store_directory, key);

			label = record_resolved(key_path, spec.select);
			ok = label != NULL ||
			     error_set(err, ERROR_CONFIG, "%s is not in the store; `npxc list` shows what is", text);
		}
	}
	spec_done(&spec);
	return ok && clean_key(store_directory, key, label, cleaning, err);
}

bool inventory_clean(const char *store_directory, const char *spec, const char *cwd, size_t *ret_removed,
                     uint64_t *ret_bytes, size_t *ret_kept, struct npxc_error *err)
{
	struct cleaning cleaning = { 0 };

	if (spec == NULL ? !clean_everything(store_directory, &cleaning, err)
	                 : !clean_spec(store_directory, spec, cwd, &cleaning, err))
		return false;
	*ret_removed = cleaning.removed;
	*ret_bytes = cleaning.bytes;
	*ret_kept = cleaning.kept;
	return true;
}
