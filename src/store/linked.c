#include "store/linked.h"

#include "base/fd.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "base/tree.h"
#include "config/semver.h"
#include "config/spec.h"
#include "config/workspace.h"
#include "store/directory.h"
#include "store/record.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- what package.json says ---- */

static const char *text_of(const cJSON *object, const char *key)
{
	return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, key));
}

static char *last_component(const char *text)
{
	const char *slash = strrchr(text, '/');
	return str_dup(slash == NULL ? text : slash + 1);
}

static void read_bins(int root, const cJSON *manifest, struct linked *linked)
{
	const cJSON *bin = cJSON_GetObjectItemCaseSensitive(manifest, "bin");
	const char *place = text_of(cJSON_GetObjectItemCaseSensitive(manifest, "directories"), "bin");
	struct strv names = { 0 };
	struct npxc_error ignored;
	const cJSON *one;

	if (cJSON_IsString(bin)) {
		mem_cleanup char *name = last_component(linked->name);
		bins_push(&linked->bins, name, bin->valuestring);
	} else if (cJSON_IsObject(bin)) {
		cJSON_ArrayForEach(one, bin)
		{
			mem_cleanup char *name = last_component(one->string);
			if (cJSON_IsString(one) && name[0] != '\0' && !str_equal(name, ".") && !str_equal(name, ".."))
				bins_push(&linked->bins, name, one->valuestring);
		}
	} else if (place != NULL) {
		mem_cleanup char *absolute = str_printf("/%s", place);
		mem_cleanup char *clean = str_path_clean(absolute);
		(void)!tree_list(root, clean + 1, LIMIT_STORE_NAMES, &names, &ignored);
		for (size_t i = 0; i < names.count; i++) {
			mem_cleanup char *path = str_printf("%s/%s", clean + 1, names.v[i]);
			if (names.v[i][0] != '.')
				bins_push(&linked->bins, names.v[i], path);
		}
	}
	strv_done(&names);
}

static bool has_scripts(int root, const cJSON *manifest)
{
	static const char *const NAMES[] = { "preinstall", "install", "postinstall" };
	const cJSON *scripts = cJSON_GetObjectItemCaseSensitive(manifest, "scripts");

	for (size_t i = 0; i < sizeof(NAMES) / sizeof(NAMES[0]); i++)
		if (!str_is_empty(text_of(scripts, NAMES[i])))
			return true;
	return tree_is_file(root, "binding.gyp");
}

/* ---- dependencies ---- */

/* Of the directory itself: more in it than what tools keep there (.bin, .cache). */
static bool has_modules(int root)
{
	struct strv names = { 0 };
	struct npxc_error ignored;
	struct stat info;
	bool found = false;

	if (tree_look(root, "node_modules", &info, &ignored) && S_ISLNK(info.st_mode))
		return true;
	if (!tree_list(root, "node_modules", LIMIT_STORE_NAMES, &names, &ignored))
		return tree_is_directory(root, "node_modules"); /* too many to list */
	for (size_t i = 0; i < names.count; i++)
		found = found || names.v[i][0] != '.';
	strv_done(&names);
	return found;
}

/* Whether a node_modules between the directory and its workspace's root has it. */
static bool is_hoisted(const struct linked *linked, const char *name)
{
	mem_cleanup char *relative = str_printf("node_modules/%s", name);
	char *at = str_dup(linked->directory);
	bool found = false;

	while (!found && str_path_within(at, linked->root)) {
		struct npxc_error ignored;
		struct stat info;
		FD_CLEANUP int root = -1;
		found = tree_open(at, &root, &ignored) && tree_look(root, relative, &info, &ignored);
		char *parent = str_path_join(at, "..");
		const bool top = str_equal(parent, at);
		free(at);
		at = parent;
		if (top)
			break;
	}
	free(at);
	return found;
}

static bool has_all(const struct linked *linked, const cJSON *manifest)
{
	const cJSON *one;
	bool all = true;

	cJSON_ArrayForEach(one, cJSON_GetObjectItemCaseSensitive(manifest, "dependencies"))
	{
		all = all && is_hoisted(linked, one->string);
	}
	return all;
}

/* The directory that "file:../x" means, as far as it may be taken; owned or NULL. */
static char *local_source(const struct linked *linked, const char *text)
{
	const char *path = str_starts(text, "file:") ? text + 5 : str_starts(text, "link:") ? text + 5 : text;
	struct npxc_error ignored;
	mem_cleanup char *real = NULL;

	if (path == text && path[0] != '.' && path[0] != '/')
		return NULL;
	if (!directory_find(path, linked->directory, NULL, &real, &ignored) || !str_path_within(real, linked->root) ||
	    str_path_within(linked->directory, real))
		return NULL;
	mem_cleanup char *manifest = str_printf("%s/package.json", real);
	cJSON *parsed = record_read_json(manifest, LIMIT_PACKAGE_JSON_BYTES);
	const bool fine = parsed != NULL;
	cJSON_Delete(parsed);
	return fine ? MEM_TAKE(real) : NULL;
}

static void take_sources(struct linked *linked, cJSON *dependencies)
{
	for (cJSON *one = dependencies == NULL ? NULL : dependencies->child; one != NULL; one = one->next) {
		char *source = cJSON_IsString(one) ? local_source(linked, one->valuestring) : NULL;

		if (source == NULL)
			continue;
		mem_cleanup char *inside = str_printf("file:" LINKED_SOURCE "%zu", linked->sources.count);
		cJSON_SetValuestring(one, inside);
		strv_push_owned(&linked->sources, source);
	}
}

static void read_wants(int root, const cJSON *manifest, struct linked *linked)
{
	static const char *const KEYS[] = { "dependencies", "optionalDependencies", "peerDependencies",
		                            "peerDependenciesMeta", "overrides" };
	const cJSON *required = cJSON_GetObjectItemCaseSensitive(manifest, "dependencies");
	const cJSON *optional = cJSON_GetObjectItemCaseSensitive(manifest, "optionalDependencies");
	const cJSON *peers = cJSON_GetObjectItemCaseSensitive(manifest, "peerDependencies");

	if (cJSON_GetArraySize(required) + cJSON_GetArraySize(optional) + cJSON_GetArraySize(peers) == 0 ||
	    has_modules(root) || (cJSON_GetArraySize(required) > 0 && has_all(linked, manifest)))
		return;
	linked->wants = cJSON_CreateObject();
	cJSON_AddBoolToObject(linked->wants, "private", true);
	for (size_t i = 0; i < sizeof(KEYS) / sizeof(KEYS[0]); i++) {
		const cJSON *value = cJSON_GetObjectItemCaseSensitive(manifest, KEYS[i]);
		if (cJSON_IsObject(value))
			cJSON_AddItemToObject(linked->wants, KEYS[i], cJSON_Duplicate(value, true));
	}
	take_sources(linked, cJSON_GetObjectItemCaseSensitive(linked->wants, "dependencies"));
	take_sources(linked, cJSON_GetObjectItemCaseSensitive(linked->wants, "optionalDependencies"));
}

struct linked *linked_read(const char *directory, const char *home)
{
	FD_CLEANUP int root = -1;
	struct npxc_error ignored;
	cJSON *manifest = tree_open(directory, &root, &ignored)
	                      ? record_read_json_at(root, "package.json", LIMIT_PACKAGE_JSON_BYTES)
	                      : NULL;
	if (manifest == NULL)
		return NULL;
	struct linked *linked = mem_alloc(sizeof(*linked));
	const char *name = text_of(manifest, "name"), *version = text_of(manifest, "version");
	struct semver parsed;

	*linked = (struct linked){ .directory = str_dup(directory), .root = workspace_root(directory, home) };
	linked->name = name != NULL && spec_check_name(name, &ignored) ? str_dup(name) : last_component(directory);
	linked->version =
	    str_dup(version != NULL && semver_parse(version, &parsed) && strpbrk(version, "/ \t\n") == NULL ? version
	                                                                                                    : "0.0.0");
	linked->engines = str_dup(text_of(cJSON_GetObjectItemCaseSensitive(manifest, "engines"), "node"));
	read_bins(root, manifest, linked);
	read_wants(root, manifest, linked);
	linked->scripts = !has_modules(root) && has_scripts(root, manifest);
	cJSON_Delete(manifest);
	return linked;
}

void linked_free(struct linked *linked)
{
	if (linked == NULL)
		return;
	free(linked->directory);
	free(linked->root);
	free(linked->name);
	free(linked->version);
	free(linked->engines);
	bins_done(&linked->bins);
	cJSON_Delete(linked->wants);
	strv_done(&linked->sources);
	free(linked);
}

bool linked_select(const struct linked *linked, char **ret_select, struct npxc_error *err)
{
	mem_cleanup char *text = cJSON_PrintUnformatted(linked->wants);
	struct sha256 digest;

	sha256_init(&digest);
	sha256_update(&digest, text, text == NULL ? 0 : strlen(text));
	for (size_t i = 0; i < linked->sources.count; i++) {
		mem_cleanup char *state = NULL;

		if (!directory_fingerprint(linked->sources.v[i], &state, err))
			return false;
		sha256_update(&digest, linked->sources.v[i], strlen(linked->sources.v[i]) + 1);
		sha256_update(&digest, state, strlen(state));
	}
	*ret_select = sha256_final(&digest);
	return true;
}

/* ---- does it fit? ---- */

static enum tree_next look_for_addon(void *context, const struct tree_entry *entry, struct npxc_error *err)
{
	bool *found = context;

	(void)err;
	*found = *found || entry->entry_count > LIMIT_LINKED_SCAN_ENTRIES ||
	         (S_ISREG(entry->info.st_mode) && str_ends(entry->name, ".node"));
	return *found ? TREE_ON : TREE_ENTER;
}

/* Of the directory and of the node_modules above it. What cannot be looked through counts as if it had one. */
static bool has_addons(const struct linked *linked)
{
	bool found = false;
	const struct tree_visitor visitor = {
		.context = &found, .types_only = true, .entry = look_for_addon, .refused = tree_pass_over
	};
	const char *relative = "";

	for (char *at = str_dup(linked->directory);;) {
		struct npxc_error ignored;
		FD_CLEANUP int root = -1;

		if (!tree_open(at, &root, &ignored) || ((relative[0] == '\0' || tree_is_directory(root, relative)) &&
		                                        !tree_walk(root, relative, &visitor, &ignored)))
			found = true;
		relative = "node_modules";
		char *parent = str_path_join(at, "..");
		free(at);
		at = parent;
		if (found || !str_path_within(at, linked->root) || str_equal(at, "/")) {
			free(at);
			return found;
		}
	}
}

bool linked_fits(const struct linked *linked, const struct store_host *host, const struct node_facts *facts,
                 const struct store_node *node)
{
	struct node_facts own = { 0 };
	struct npxc_error ignored;
	bool same;

	if (host->image == NULL) {
		same = str_equal(node->abi, facts->abi);
	} else if (!node_host(host, &own, &ignored)) {
		same = false;
	} else {
		mem_cleanup char *ours = node_platform_stem(&own);
		mem_cleanup char *theirs = node_platform_stem(facts);
		same = str_equal(ours, theirs) && str_equal(own.abi, node->abi);
		node_facts_done(&own);
	}
	return same || !has_addons(linked);
}

/* ---- the command ---- */

/*
 * The words before a file that cannot be executed as it is: npm makes every command executable and takes carriage
 * returns away, which nobody may do here. `text`: how it begins.
 */
static void add_interpreter(const char *text, size_t length, bool executable, struct strv *words)
{
	const char *end = length > 0 ? memchr(text, '\n', length) : NULL;
	const bool carriage_return = end != NULL && end > text && end[-1] == '\r';
	if (executable && !carriage_return)
		return;
	mem_cleanup char *line = end != NULL ? str_dup_n(text, (size_t)(end - text)) : str_dup("");
	char *rest = line + 2;
	if (!str_starts(line, "#!/") || strstr(line, "node") != NULL) {
		strv_push(words, "node");
		return;
	}
	for (char *word = strsep(&rest, " \t\r"); word != NULL; word = strsep(&rest, " \t\r"))
		if (word[0] != '\0')
			strv_push(words, word);
}

bool linked_command(const struct linked *linked, const struct bin *bin, struct strv *words, struct npxc_error *err)
{
	mem_cleanup char *path = bin_place(linked->directory, bin);
	const char *relative = path + strlen(linked->directory) + 1;
	FD_CLEANUP int root = -1, fd = -1;
	struct npxc_error why = { 0 };
	struct stat info = { 0 };
	char line[256];
	ssize_t length = 0;

	if (!tree_open(linked->directory, &root, err))
		return false;
	if (!tree_open_file(root, relative, &fd, &info, &why)) {
		if (why.sys_errno == ENOENT)
			return error_set(err, ERROR_CONFIG,
			                 "%s: its command %s is %s, which is not there; build it first (npm run build)",
			                 linked->directory, bin->name, relative);
		strv_push(words, path); /* behind a link of its own, perhaps */
		return true;
	}
	length = read(fd, line, sizeof(line));
	add_interpreter(line, length > 0 ? (size_t)length : 0, (info.st_mode & 0111) != 0, words);
	strv_push(words, path);
	return true;
}
