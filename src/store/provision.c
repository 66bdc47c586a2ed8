#include "store/provision.h"

#include "base/fd.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/tree.h"
#include "store/reason.h"
#include "store/record.h"
#include "json/parse.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

static const char *text_or_empty(const struct buf *bytes)
{
	return bytes->data != NULL ? bytes->data : "";
}

static bool run_npm(const struct npm *npm, const struct staging *staging, const char *tree, const char *const *words,
                    size_t count, struct proc_result *ret_result, struct npxc_error *err)
{
	struct refused refused = { 0 };
	struct npm_job job = { .step = NPM_FETCH, .staging = staging, .package = tree, .refused = &refused };
	struct proc_result result = { 0 };
	bool ok;

	strv_push_all(&job.words, words, count);
	ok = npm_run(npm, &job, &result, err);
	strv_done(&job.words);
	if (ok && result.exit_status != 0) {
		mem_cleanup char *reason = npm_fetch_reason(npm, &result, &refused);

		ok = error_set(err, ERROR_INSTALL, "%s", reason);
	}
	refused_done(&refused);
	if (!ok) {
		proc_result_done(&result);
		return false;
	}
	*ret_result = result;
	return true;
}

static bool pick_version(const struct npm *npm, const struct staging *staging, const char *tree, const char *package,
                         const char *engines, char **ret_version, struct npxc_error *err)
{
	const char *const words[] = { "view", package, "versions", "--json", "--loglevel=error" };
	struct proc_result result;
	struct strv versions = { 0 };
	const cJSON *item;
	cJSON *list;
	const char *best;

	if (!run_npm(npm, staging, tree, words, sizeof(words) / sizeof(words[0]), &result, err))
		return false;
	list = parse_text(text_or_empty(&result.output), result.output.length);
	proc_result_done(&result);
	cJSON_ArrayForEach(item, list)
	{
		if (cJSON_IsString(item))
			strv_push(&versions, item->valuestring);
	}
	cJSON_Delete(list);
	best = node_best((const char *const *)versions.v, versions.count, engines, npm->host->node_major);
	if (best != NULL)
		*ret_version = str_dup(best);
	strv_done(&versions);
	if (best != NULL)
		return true;
	if (npm->host->node_major != 0)
		return error_set(err, ERROR_INSTALL, "there is no Node %u for this platform (defaults.node)",
		                 npm->host->node_major);
	return error_set(err, ERROR_INSTALL, "no Node for this platform satisfies \"%s\"", engines);
}

/* The new Node is asked inside a sandbox: the host runs nothing that a registry sent. */
static bool ask_abi(const struct npm *npm, const char *program, const char *tree, char **ret_abi,
                    struct npxc_error *err)
{
	struct launch launch;
	struct proc_result result = { 0 };
	bool ok;

	host_base_launch(&launch);
	launch_add_mount(&launch, tree, STORE_GUEST_PACKAGE, false);
	launch_add_mount(&launch, program, STORE_GUEST_NODE "/bin/node", false);
	strv_push(&launch.command, STORE_GUEST_NODE "/bin/node");
	strv_push(&launch.command, "-p");
	strv_push(&launch.command, "process.versions.modules");
	ok = npm->host->run(npm->host->context, &launch, NULL, LIMIT_CLI_MS, NULL, NULL, &result, NULL, err);
	launch_done(&launch);
	if (!ok)
		return false;
	if (result.exit_status == 0 && result.output.data != NULL) {
		const char *abi = str_trim(result.output.data);

		if (abi[0] != '\0' && strspn(abi, "0123456789") == strlen(abi))
			*ret_abi = str_dup(abi);
		else
			ok = false;
	} else {
		ok = false;
	}
	if (!ok) {
		mem_cleanup char *reason = reason_of_script("", text_or_empty(&result.errors));

		error_set(err, ERROR_INSTALL, "it does not run on this machine: %s", reason);
	}
	proc_result_done(&result);
	return ok;
}

static bool install_node(const struct npm *npm, const struct staging *staging, const char *engines,
                         struct store_node *ret_node, struct npxc_error *err)
{
	mem_cleanup char *package = node_package(npm->node);
	mem_cleanup char *tree = NULL;
	mem_cleanup char *version = NULL;
	mem_cleanup char *spec = NULL;
	mem_cleanup char *made = NULL;
	mem_cleanup char *relative = NULL;
	mem_cleanup char *program = NULL;
	mem_cleanup char *abi = NULL;
	mem_cleanup char *stem = node_platform_stem(npm->node);
	mem_cleanup char *final = NULL;
	struct proc_result result;
	uint64_t bytes;

	if (package == NULL)
		return error_set(err, ERROR_INSTALL, "none is published for musl; install that Node.js yourself");
	if (!staging_add(staging, "node", &tree, err) ||
	    !staging_add_file(staging, tree, "package.json", "{}\n", 3, err) ||
	    !pick_version(npm, staging, tree, package, engines, &version, err))
		return false;
	if (npm->host->node_major != 0)
		log_notice("Node %s is installed into the store (defaults.node asks for %u, the host has %s)", version,
		           npm->host->node_major, npm->node->version);
	else
		log_notice("Node %s is installed into the store (the package wants \"%s\", the host has %s)", version,
		           engines, npm->node->version);
	spec = str_printf("%s@%s", package, version);
	{
		const char *const words[] = { "install",
			                      "--ignore-scripts",
			                      "--no-audit",
			                      "--no-fund",
			                      "--no-progress",
			                      "--no-update-notifier",
			                      "--loglevel=error",
			                      "--",
			                      spec };

		if (!run_npm(npm, staging, tree, words, sizeof(words) / sizeof(words[0]), &result, err))
			return false;
		proc_result_done(&result);
	}
	made = str_printf("%s/node_modules/%s", tree, package);
	if (!staging_seal(staging, tree, &bytes, err))
		return false;
	/* It is mounted by its path. Nothing of it has run, and nothing of it may be a link. */
	relative = str_printf("node/node_modules/%s/bin/node", package);
	if (!tree_is_file(staging->lock, relative))
		return error_set(err, ERROR_INSTALL, "%s holds no bin/node", spec);
	program = str_printf("%s/bin/node", made);
	if (!ask_abi(npm, program, tree, &abi, err))
		return false;
	final = str_printf("%s/node/%s-%s%s", npm->host->store_directory, version, stem, abi);
	if (!staging_settle(staging, made, final, err))
		return false;
	*ret_node = (struct store_node){ .version = MEM_TAKE(version), .abi = MEM_TAKE(abi), .from_store = true };
	ret_node->files.program = str_printf("%s/bin/node", final);
	ret_node->files.prefix = MEM_TAKE(final);
	return true;
}

bool provision_node(const struct npm *npm, const char *engines, struct store_node *ret_node, struct npxc_error *err)
{
	mem_cleanup char *lock_path = str_printf("%s/node/lock", npm->host->store_directory);
	FD_CLEANUP int lock = -1;
	struct staging staging;
	bool ok;

	if (!staging_wait_for_lock(npm->host, lock_path, NULL, &lock, err))
		return false;
	node_choose(npm->host, npm->node, engines, ret_node); /* another one may have installed it meanwhile */
	if (ret_node->version != NULL)
		return true;
	if (!staging_make(npm->host, &staging, err))
		return false;
	ok = install_node(npm, &staging, engines, ret_node, err);
	staging_done(&staging);
	if (!ok)
		return error_prefix(err, "a Node that the package can use");
	return true;
}
