#include "config/workspace.h"

#include "base/buf.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/tree.h"
#include "json/parse.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

bool workspace_is_too_wide(const char *directory, const char *home)
{
	return str_equal(directory, "/") || (home != NULL && str_path_within(home, directory));
}

static bool names_workspaces(int root)
{
	BUF_CLEANUP struct buf text = BUF_INIT(LIMIT_CONFIG_BYTES);
	struct npxc_error ignored;

	if (!tree_read(root, "package.json", &text, &ignored) || text.data == NULL)
		return false;
	cJSON *manifest = parse_text(text.data, text.length);
	const cJSON *workspaces = cJSON_GetObjectItemCaseSensitive(manifest, "workspaces");
	const bool found = cJSON_IsArray(workspaces) || cJSON_IsObject(workspaces);
	cJSON_Delete(manifest);
	return found;
}

char *workspace_root(const char *directory, const char *home)
{
	char *workspace = NULL, *repository = NULL;
	char *at = str_dup(directory);

	for (; !workspace_is_too_wide(at, home) && (workspace == NULL || repository == NULL);) {
		struct npxc_error ignored;
		FD_CLEANUP int root = -1;

		if (tree_open(at, &root, &ignored)) {
			if (repository == NULL && (tree_is_directory(root, ".git") || tree_is_file(root, ".git")))
				repository = str_dup(at);
			if (workspace == NULL && (tree_is_file(root, "pnpm-workspace.yaml") ||
			                          tree_is_file(root, "lerna.json") || names_workspaces(root)))
				workspace = str_dup(at);
		}
		char *parent = str_path_join(at, "..");
		free(at);
		at = parent;
	}
	free(at);
	/* Both lie above the directory: the shorter one is the outer one. */
	char *outer = workspace;
	if (outer == NULL || (repository != NULL && strlen(repository) < strlen(outer)))
		outer = repository;
	char *found = str_dup(outer == NULL ? directory : outer);
	mem_cleanup char *project =
	    strstr(directory, "/node_modules/") == NULL
	        ? NULL
	        : str_dup_n(directory, (size_t)(strstr(directory, "/node_modules/") - directory));
	if (project != NULL && strlen(project) < strlen(found) &&
	    !workspace_is_too_wide(project[0] == '\0' ? "/" : project, home)) {
		free(found);
		found = MEM_TAKE(project);
	}
	free(workspace);
	free(repository);
	return found;
}
