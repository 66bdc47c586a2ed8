#include "store/local.h"

#include "base/fd.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/tree.h"
#include "config/semver.h"
#include "store/linked.h"
#include "store/record.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* ---- what npm is told of it ---- */

static void drop_key(cJSON *manifest, const char *key)
{
	while (cJSON_GetObjectItemCaseSensitive(manifest, key) != NULL)
		cJSON_DeleteItemFromObjectCaseSensitive(manifest, key);
}

/* All that lies there is installed, as it would be seen by a link: also what `files` or .gitignore would leave out of a
 * published package. A version that is none would keep npm from installing it. */
static void take_all(cJSON *manifest)
{
	static const char *const all[] = { "**" };
	const char *version = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(manifest, "version"));
	struct semver parsed;

	drop_key(manifest, "files");
	cJSON_AddItemToObject(manifest, "files", cJSON_CreateStringArray(all, 1));
	if (version != NULL && semver_parse(version, &parsed))
		return;
	drop_key(manifest, "version");
	cJSON_AddStringToObject(manifest, "version", "0.0.0");
}

/*
 * npm before version 11 runs a directory's `prepare` while it packs the directory, whatever --ignore-scripts says. In
 * this step it can start nothing and would fail, so each npm finds a manifest without it. Written anew, not cut: of two
 * equal keys npm takes the last.
 */
static bool hide_prepare(const struct staging *staging, const char *directory, const char *name, const char *guest,
                         struct launch *sources, struct npxc_error *err)
{
	mem_cleanup char *path = str_printf("%s/package.json", directory);
	mem_cleanup char *inside = str_printf("%s/package.json", guest);
	mem_cleanup char *kept = NULL;
	mem_cleanup char *copy = NULL;
	mem_cleanup char *text = NULL;
	cJSON *manifest = record_read_json(path, LIMIT_PACKAGE_JSON_BYTES);
	cJSON *entry;

	if (manifest == NULL)
		return error_set(err, ERROR_INSTALL, "%s is no JSON object that npm could install", path);
	cJSON_ArrayForEach(entry, manifest)
	{
		while (strcmp(entry->string, "scripts") == 0 &&
		       cJSON_GetObjectItemCaseSensitive(entry, "prepare") != NULL)
			cJSON_DeleteItemFromObjectCaseSensitive(entry, "prepare");
	}
	take_all(manifest);
	text = cJSON_Print(manifest);
	cJSON_Delete(manifest);
	if (text == NULL)
		return error_set(err, ERROR_INSTALL, "%s cannot be written anew", path);
	if (!staging_add(staging, name, &kept, err) ||
	    !staging_add_file(staging, kept, "package.json", text, strlen(text), err))
		return false;
	copy = str_printf("%s/package.json", kept);
	launch_add_mount(sources, copy, inside, false);
	return true;
}

/* ---- what npm is shown ---- */

bool local_add(const struct staging *staging, const char *root, const char *directory, size_t index,
               struct launch *sources, struct strv *words, struct npxc_error *err)
{
	mem_cleanup char *name = str_printf("source-%zu", index);
	mem_cleanup char *guest = str_printf(LINKED_SOURCE "%zu", index);
	const char *below = directory + strlen(root) + (directory[strlen(root)] == '/');
	FD_CLEANUP int top = -1, fd = -1;
	struct stat info;

	if (!tree_open(root, &top, err) || !tree_open_directory(top, below, &fd, err))
		return false;
	if (fstat(fd, &info) == -1)
		return error_set_errno(err, ERROR_IO, "%s", directory);
	const struct launch_identity identity = launch_identity_of(fd_take(&fd), &info);
	launch_add_judged(sources, directory, guest, false, &identity);
	if (words != NULL)
		strv_push(words, guest);
	return hide_prepare(staging, directory, name, guest, sources, err);
}

void local_done(struct launch *sources)
{
	for (size_t i = 0; i < sources->mount_count; i++)
		if (sources->mounts[i].judged)
			fd_close(&sources->mounts[i].identity.fd);
	launch_done(sources);
}
