#include "store/install.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/tree.h"
#include "config/semver.h"
#include "store/linked.h"
#include "store/local.h"
#include "store/provision.h"
#include "store/reason.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- progress ---- */

enum { SAID_EVERY_MS = 100 };

/* What of an installation those that wait for it are told. */
struct telling {
	bool says;
	enum progress_phase phase;
	size_t files;
	int64_t said_ms;
};

static void say(struct telling *telling)
{
	telling->said_ms = clock_now_ms();
	if (telling->says)
		progress_say(telling->phase, telling->files);
}

static void enter(struct telling *telling, enum progress_phase phase)
{
	telling->phase = phase;
	telling->files = 0;
	say(telling);
}

/* npm writes a line for each answer of the registry. Only counted: what it says may hold anything. */
static void on_stderr(void *context, const char *bytes, size_t count)
{
	struct telling *telling = context;

	for (const char *p = bytes, *end = bytes + count; p < end; p++) {
		p = memchr(p, '\n', (size_t)(end - p));
		if (p == NULL)
			break;
		telling->files++;
	}
	if (clock_now_ms() - telling->said_ms >= SAID_EVERY_MS)
		say(telling);
}

/* ---- npm's answers ---- */

static const char *text_or_empty(const struct buf *bytes)
{
	return bytes->data != NULL ? bytes->data : "";
}

static bool fetch_failed(const struct npm *npm, const struct request *request, const struct proc_result *result,
                         const struct refused *refused, struct npxc_error *err)
{
	mem_cleanup char *reason = NULL;
	mem_cleanup char *title = str_escape(request->title, strnlen(request->title, 120));

	if (result->timed_out || result->signal != 0) {
		reason = proc_result_text(result, LIMIT_INSTALL_MS);
		return error_set(err, ERROR_INSTALL, "%s: npm was ended: %s", title, reason);
	}
	reason = npm_fetch_reason(npm, result, refused);
	return error_set(err, ERROR_INSTALL, "%s: %s", title, reason);
}

/* ---- the lock file ---- */

static const char *text_of(const cJSON *object, const char *key)
{
	return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, key));
}

static bool is_true(const cJSON *object, const char *key)
{
	return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(object, key));
}

/*
 * `root` is the descriptor of the directory that npm installs into, opened before anything of a package ran. What the
 * record needs is read before the scripts; whatever they leave is looked at by base/tree.h only.
 */
static bool read_lock(int root, cJSON **ret_lock, struct npxc_error *err)
{
	cJSON *lock = record_read_json_at(root, "package-lock.json", LIMIT_PACKAGE_JSON_BYTES);

	if (!cJSON_IsObject(cJSON_GetObjectItemCaseSensitive(lock, "packages"))) {
		cJSON_Delete(lock);
		return error_set(err, ERROR_INSTALL,
		                 "npm left no lock file; npm 7 or newer is needed (npm install -g npm)");
	}
	*ret_lock = lock;
	return true;
}

/* "node_modules/a/node_modules/@b/c", and nothing that leads out of the tree. */
static bool is_place(const char *location)
{
	mem_cleanup char *absolute = str_printf("/%s", location);
	mem_cleanup char *clean = str_path_clean(absolute);

	return str_starts(location, "node_modules/") && strcmp(clean, absolute) == 0;
}

static bool is_installed(int root, const char *location)
{
	mem_cleanup char *manifest = str_printf("%s/package.json", location);

	return is_place(location) && tree_is_file(root, manifest);
}

/* The name under which npm put a spec: its own for a registry package, found by its address for a directory. */
static const char *name_of(const cJSON *root_dependencies, const struct request *request, size_t index)
{
	const cJSON *entry;

	if (request->specs[index].kind != SPEC_DIRECTORY)
		return request->specs[index].name;
	/* of one directory it is the only one, also where a replayed runtime shows npm the host's own path */
	if (request->count == 1 && cJSON_GetArraySize(root_dependencies) == 1)
		return root_dependencies->child->string;
	cJSON_ArrayForEach(entry, root_dependencies)
	{
		mem_cleanup char *tail = str_printf("/source-%zu", index);

		if (cJSON_IsString(entry) && str_starts(entry->valuestring, "file:") &&
		    str_ends(entry->valuestring, tail))
			return entry->string;
	}
	return NULL;
}

static bool record_one(int root, const cJSON *packages, const char *name, struct record *record, struct npxc_error *err)
{
	mem_cleanup char *location = str_printf("node_modules/%s", name);
	mem_cleanup char *manifest_path = str_printf("%s/package.json", location);
	const cJSON *entry = cJSON_GetObjectItemCaseSensitive(packages, location);
	cJSON *manifest = record_read_json_at(root, manifest_path, LIMIT_PACKAGE_JSON_BYTES);
	const char *version = text_of(manifest, "version");
	const cJSON *engines = cJSON_GetObjectItemCaseSensitive(manifest, "engines");
	const cJSON *bin;
	struct record_package *package;
	struct semver parsed;

	if (manifest == NULL || entry == NULL) {
		cJSON_Delete(manifest);
		return error_set(err, ERROR_INSTALL, "%s: npm reports success but did not install it", name);
	}
	if (version == NULL)
		version = "0.0.0"; /* a local directory may do without */
	if (!semver_parse(version, &parsed) || strpbrk(version, "/ \t\n") != NULL) {
		mem_cleanup char *shown = str_escape(version, strnlen(version, 80));

		cJSON_Delete(manifest);
		return error_set(err, ERROR_INSTALL, "%s calls its version \"%s\", which is none", name, shown);
	}
	package = record_add(record, name, version, text_of(engines, "node"));
	cJSON_ArrayForEach(bin, cJSON_GetObjectItemCaseSensitive(entry, "bin"))
	{
		if (cJSON_IsString(bin) && bin->string[0] != '\0' && strchr(bin->string, '/') == NULL)
			bins_push(&package->bins, bin->string, bin->valuestring);
	}
	cJSON_Delete(manifest);
	return true;
}

static void record_linked(const struct linked *linked, struct record *record)
{
	struct record_package *package = record_add(record, linked->name, linked->version, linked->engines);

	package->directory = str_dup(linked->directory);
}

static bool record_packages(int root, const cJSON *lock, const struct request *request, struct record *record,
                            struct npxc_error *err)
{
	const cJSON *packages = cJSON_GetObjectItemCaseSensitive(lock, "packages");
	const cJSON *project = cJSON_GetObjectItemCaseSensitive(packages, "");
	const cJSON *dependencies = cJSON_GetObjectItemCaseSensitive(project, "dependencies");

	if (request->linked != NULL) {
		record_linked(request->linked, record);
		return true;
	}
	for (size_t i = 0; i < request->count; i++) {
		const char *name = name_of(dependencies, request, i);

		if (name == NULL)
			return error_set(err, ERROR_INSTALL, "%s: npm gave it no name; put one into its package.json",
			                 request->title);
		if (!spec_check_name(name, err) || !record_one(root, packages, name, record, err))
			return false;
		// NOLINTNEXTLINE(clang-analyzer-core.NullDereference): record_one has just added it
		record->packages[record->package_count - 1].directory = str_dup(request->directories[i]);
	}
	return true;
}

/* ---- the first step ---- */

static bool write_root_manifest(const struct staging *staging, const struct request *request, const char *tree,
                                struct npxc_error *err)
{
	mem_cleanup char *text =
	    request->linked != NULL ? cJSON_Print(request->linked->wants) : str_dup("{\"private\":true}\n");

	if (text == NULL)
		return error_set(err, ERROR_INSTALL, "%s: its dependencies cannot be written down", request->title);
	return staging_add_file(staging, tree, "package.json", text, strlen(text), err);
}

/* Of an exact version without what is npxc's own behind it. */
static size_t select_length(const struct request *request, size_t i)
{
	return request->exact != NULL ? strcspn(request->exact, "+") : strlen(request->specs[i].select);
}

static bool fetch(const struct npm *npm, const struct staging *staging, const struct request *request, const char *tree,
                  struct telling *telling, struct refused *refused, struct npxc_error *err)
{
	static const char *const words[] = { "install",   "--ignore-scripts",     "--omit=dev",      "--no-audit",
		                             "--no-fund", "--no-update-notifier", "--install-links", "--no-progress" };
	struct launch sources = { 0 };
	struct npm_job job = { .step = NPM_FETCH, .staging = staging, .package = tree, .refused = refused };
	struct proc_result result = { 0 };
	bool ok = true;

	job.on_stderr = on_stderr;
	job.context = telling;
	strv_push_all(&job.words, words, sizeof(words) / sizeof(words[0]));
	strv_push(&job.words, telling->says ? "--loglevel=http" : "--loglevel=error");
	strv_push(&job.words, "--");
	for (size_t i = 0; ok && request->linked != NULL && i < request->linked->sources.count; i++)
		ok = local_add(staging, request->linked->root, request->linked->sources.v[i], i, &sources, NULL, err);
	for (size_t i = 0; ok && request->linked == NULL && i < request->count; i++) {
		if (request->specs[i].kind == SPEC_DIRECTORY)
			ok = local_add(staging, request->directories[i], request->directories[i], i, &sources,
			               &job.words, err);
		else
			strv_pushf(&job.words, "%s@%.*s", request->specs[i].name, (int)select_length(request, i),
			           request->exact != NULL ? request->exact : request->specs[i].select);
	}
	job.sources = sources.mounts;
	job.source_count = sources.mount_count;
	enter(telling, PROGRESS_FETCHING);
	ok = ok && npm_run(npm, &job, &result, err);
	if (ok && result.exit_status != 0)
		ok = fetch_failed(npm, request, &result, refused, err);
	proc_result_done(&result);
	strv_done(&job.words);
	local_done(&sources);
	return ok;
}

/*
 * The commands of the packages that were asked for, apart: a line of -c finds them before any dependency's command of
 * the same name, which npm may have linked in .bin instead. Made while nothing but npm has written here.
 */
static bool link_bins(int root, const struct record *record, struct npxc_error *err)
{
	const char *directory = &STORE_GUEST_BINS[sizeof(STORE_GUEST_PACKAGE)];
	struct strv done = { 0 };
	bool ok = tree_make_directories(root, directory, 0755, err);

	for (size_t i = 0; ok && i < record->package_count; i++) {
		const struct record_package *package = &record->packages[i];

		for (size_t b = 0; ok && b < package->bins.count; b++) {
			const char *name = package->bins.v[b].name;
			mem_cleanup char *place = bin_place(package->name, &package->bins.v[b]);
			mem_cleanup char *target = str_printf("../node_modules/%s", place);
			mem_cleanup char *link = str_printf("%s/%s", directory, name);

			if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strv_contains(&done, name))
				continue;
			strv_push(&done, name);
			ok = tree_make_link(root, link, target, err);
		}
	}
	strv_done(&done);
	return ok;
}

/* ---- the second step ---- */

struct script_places {
	struct strv required; /* "./node_modules/..." as npm takes them */
	struct strv optional;
};

static void find_scripts(int root, const cJSON *lock, struct script_places *places)
{
	const cJSON *entry;

	cJSON_ArrayForEach(entry, cJSON_GetObjectItemCaseSensitive(lock, "packages"))
	{
		if (!is_true(entry, "hasInstallScript") || is_true(entry, "link") || !is_installed(root, entry->string))
			continue;
		strv_pushf(is_true(entry, "optional") ? &places->optional : &places->required, "./%s", entry->string);
	}
}

static bool rebuild(const struct npm *npm, const struct staging *staging, const char *tree,
                    const struct store_node *node, const struct strv *places, struct refused *refused,
                    struct proc_result *ret_result, struct npxc_error *err)
{
	struct npm_job job = { .step = NPM_SCRIPTS, .staging = staging, .package = tree, .node = node };
	bool ok;

	job.refused = refused;
	strv_push(&job.words, "rebuild");
	strv_push(&job.words, "--foreground-scripts");
	strv_push(&job.words, "--loglevel=error");
	strv_push(&job.words, "--");
	strv_push_all(&job.words, (const char *const *)places->v, places->count);
	ok = npm_run(npm, &job, ret_result, err);
	strv_done(&job.words);
	return ok;
}

static bool script_failed(const struct request *request, const struct strv *places, const struct proc_result *result,
                          struct npxc_error *err)
{
	mem_cleanup char *title = str_escape(request->title, strnlen(request->title, 80));
	mem_cleanup char *reason = NULL;
	mem_cleanup char *whose = NULL;

	if (result->timed_out || result->signal != 0)
		reason = proc_result_text(result, LIMIT_INSTALL_MS);
	else
		reason = reason_of_script(text_or_empty(&result->output), text_or_empty(&result->errors));
	whose = places->count == 1 ? str_dup(places->v[0] + strlen("./node_modules/"))
	                           : str_printf("one of %zu packages", places->count);
	return error_set(err, ERROR_INSTALL, "%s: the install script of %s failed: %s", title, whose, reason);
}

/* Where `require(name)` leads from a package at `location`: the nearest node_modules upwards. Owned or NULL. */
static char *resolve(const cJSON *packages, const char *location, const char *name)
{
	mem_cleanup char *base = str_dup(location);

	for (;;) {
		char *candidate = str_printf("%s%snode_modules/%s", base, base[0] != '\0' ? "/" : "", name);
		char *cut;

		if (cJSON_GetObjectItemCaseSensitive(packages, candidate) != NULL)
			return candidate;
		free(candidate);
		if (base[0] == '\0')
			return NULL;
		cut = base;
		for (char *p = base; (p = strstr(p, "/node_modules/")) != NULL; p++)
			cut = p;
		*cut = '\0';
	}
}

/* Whether a package cannot do without one of `gone`. */
static bool needs_one_of(const cJSON *packages, const cJSON *entry, const struct strv *gone)
{
	const cJSON *dependency;
	bool needs = false;

	cJSON_ArrayForEach(dependency, cJSON_GetObjectItemCaseSensitive(entry, "dependencies"))
	{
		mem_cleanup char *location = resolve(packages, entry->string, dependency->string);

		needs = needs || (location != NULL && strv_contains(gone, location));
	}
	return needs;
}

static bool remove_place(int root, const char *location, struct npxc_error *err)
{
	log_info("store", "%s is optional, its install script failed: left out", location);
	return tree_remove(root, location, err) ||
	       error_prefix(err, "an optional package whose install script failed cannot be left out");
}

/* As npm does with an optional dependency that cannot be built: it goes, and so do the optional ones that need it. */
static bool leave_out(int root, const cJSON *lock, const char *place, struct npxc_error *err)
{
	const cJSON *packages = cJSON_GetObjectItemCaseSensitive(lock, "packages");
	const cJSON *entry;
	struct strv gone = { 0 };
	bool ok;

	strv_push(&gone, place + strlen("./"));
	ok = remove_place(root, gone.v[0], err);
	for (size_t before = 0; ok && before < gone.count;) {
		before = gone.count;
		cJSON_ArrayForEach(entry, packages)
		{
			if (!ok || !is_true(entry, "optional") || strv_contains(&gone, entry->string) ||
			    !is_place(entry->string) || !needs_one_of(packages, entry, &gone))
				continue;
			strv_push(&gone, entry->string);
			ok = remove_place(root, entry->string, err);
		}
	}
	strv_done(&gone);
	return ok;
}

static bool build_required(const struct npm *npm, const struct staging *staging, const struct request *request,
                           const char *tree, const struct store_node *node, const struct strv *places,
                           struct refused *refused, struct npxc_error *err)
{
	struct proc_result result = { 0 };
	bool ok;

	if (places->count == 0)
		return true;
	ok = rebuild(npm, staging, tree, node, places, refused, &result, err);
	if (ok && result.exit_status != 0)
		ok = script_failed(request, places, &result, err);
	proc_result_done(&result);
	return ok;
}

static bool build_optional(const struct npm *npm, const struct staging *staging, const char *tree, int root,
                           const cJSON *lock, const struct store_node *node, const char *place, struct refused *refused,
                           struct npxc_error *err)
{
	struct proc_result result = { 0 };
	struct strv one = { 0 };
	bool ok;

	if (!is_installed(root, place + strlen("./"))) /* left out with another one */
		return true;
	strv_push(&one, place);
	ok = rebuild(npm, staging, tree, node, &one, refused, &result, err);
	if (ok && result.exit_status != 0)
		ok = leave_out(root, lock, place, err);
	proc_result_done(&result);
	strv_done(&one);
	return ok;
}

static bool run_scripts(const struct npm *npm, const struct staging *staging, const struct request *request,
                        const char *tree, int root, const cJSON *lock, const struct store_node *node,
                        struct telling *telling, struct refused *refused, struct record *record, struct npxc_error *err)
{
	struct script_places places = { 0 };
	bool ok;

	find_scripts(root, lock, &places);
	if (npm->ignore_scripts && places.required.count + places.optional.count > 0) {
		log_info("store", "npm's configuration says ignore-scripts: no install script runs");
		strv_done(&places.required);
		strv_done(&places.optional);
		return true;
	}
	if (places.required.count + places.optional.count > 0)
		enter(telling, PROGRESS_SCRIPTS);
	ok = build_required(npm, staging, request, tree, node, &places.required, refused, err);
	for (size_t i = 0; ok && i < places.optional.count; i++)
		ok = build_optional(npm, staging, tree, root, lock, node, places.optional.v[i], refused, err);
	for (size_t i = 0; ok && i < places.required.count; i++)
		strv_push(&record->scripts, places.required.v[i] + strlen("./"));
	for (size_t i = 0; ok && i < places.optional.count; i++)
		strv_push(&record->scripts, places.optional.v[i] + strlen("./"));
	strv_done(&places.required);
	strv_done(&places.optional);
	return ok;
}

/* ---- both ---- */

static bool choose_node(const struct npm *npm, const struct record *record, struct store_node *ret_node,
                        struct npxc_error *err)
{
	// NOLINTNEXTLINE(clang-analyzer-core.NullDereference): nobody wishes for no package
	const char *engines = record->packages[0].engines;

	node_choose(npm->host, npm->node, engines, ret_node);
	if (ret_node->version != NULL)
		return true;
	if (npm->host->image == NULL)
		return provision_node(npm, engines, ret_node, err);
	if (npm->host->node_major != 0)
		return error_set(
		    err, ERROR_INSTALL,
		    "image %s has Node %s, and defaults.node asks for %u; set node_image to one that has it",
		    npm->host->image, npm->node->version, npm->host->node_major);
	return error_set(err, ERROR_INSTALL,
	                 "%s wants Node \"%s\" and image %s has %s; set node_image to one that satisfies it",
	                 record->packages[0].name, engines, npm->host->image, npm->node->version);
}

struct install_refused {
	struct refused npm, scripts;
};

static bool install_in(const struct npm *npm, const struct staging *staging, const struct request *request,
                       const char *tree, struct telling *telling, struct install_refused *refused,
                       struct record *record, struct store_node *node, struct npxc_error *err)
{
	FD_CLEANUP int root = -1;
	cJSON *lock = NULL;
	bool ok = write_root_manifest(staging, request, tree, err) && tree_open(tree, &root, err) &&
	          fetch(npm, staging, request, tree, telling, &refused->npm, err) && read_lock(root, &lock, err) &&
	          record_packages(root, lock, request, record, err) && link_bins(root, record, err);

	ok = ok && choose_node(npm, record, node, err) &&
	     run_scripts(npm, staging, request, tree, root, lock, node, telling, &refused->scripts, record, err);
	cJSON_Delete(lock);
	return ok;
}

/* What npm was refused stands in the error when it failed. */
static void tell_refused(const struct npm *npm, const struct request *request, const struct install_refused *refused,
                         bool installed)
{
	const struct store_allow *package = &npm->host->allow_package;
	const struct store_allow *all = &npm->host->allow_all;
	mem_cleanup char *again =
	    installed && request->count == 1 ? str_printf("npxc install --force %s", request->title) : NULL;
	mem_cleanup char *npms = refused_of_npm(&refused->npm, all->rules, all->file);
	mem_cleanup char *scripts =
	    refused_of_scripts(&refused->scripts, request->title, package->rules, package->file, again);

	if (npms != NULL && installed)
		log_notice("%s: %s", request->title, npms);
	if (scripts != NULL)
		log_notice("%s", scripts);
}

bool install_packages(const struct npm *npm, const struct staging *staging, const struct request *request,
                      char **ret_tree, struct record *ret_record, struct store_node *ret_node, struct npxc_error *err)
{
	struct telling telling = { .says = npm->host->says };
	struct install_refused refused = { 0 };
	struct record record = { 0 };
	struct store_node node = { 0 };
	mem_cleanup char *tree = NULL;
	bool ok;

	if (!staging_add(staging, "package", &tree, err))
		return false;
	ok = install_in(npm, staging, request, tree, &telling, &refused, &record, &node, err);
	tell_refused(npm, request, &refused, ok);
	refused_done(&refused.npm);
	refused_done(&refused.scripts);
	if (!ok) {
		record_done(&record);
		node_done(&node);
		return false;
	}
	record.node_version = str_dup(node.version);
	record.node_abi = str_dup(node.abi);
	*ret_tree = MEM_TAKE(tree);
	*ret_record = record;
	*ret_node = node;
	return true;
}

bool install_check(const char *tree, const struct record *record, struct npxc_error *err)
{
	FD_CLEANUP int root = -1;

	if (!tree_open(tree, &root, err))
		return false;
	for (size_t i = 0; i < record->package_count; i++) {
		const char *name = record->packages[i].name;
		mem_cleanup char *location = str_printf("node_modules/%s", name);

		if (!is_installed(root, location))
			return error_set(err, ERROR_INSTALL,
			                 "an install script removed or replaced the directory of %s; do not use this "
			                 "version, or look at its scripts",
			                 name);
	}
	return true;
}
