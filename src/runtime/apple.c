#include "runtime/apple.h"

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "runtime/container.h"
#include "runtime/errors.h"
#include "runtime/inspect.h"

#include <cjson/cJSON.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

/* The next step when the service is down, for error messages. */
#define START_SERVICE "container system start --enable-kernel-install"

/* MiB: the least a machine may have, from 0.10.0 on. */
enum { MEMORY_LEAST_MIB = 200 };

static const char *const steering[] = { "PATH",
	                                "HOME",
	                                "USER",
	                                "TMPDIR",
	                                "CONTAINER_DEBUG",
	                                "CONTAINER_APP_ROOT",
	                                "CONTAINER_INSTALL_ROOT",
	                                "CONTAINER_LOG_ROOT",
	                                "CONTAINER_DEFAULT_PLATFORM",
	                                NULL };

/* ---- finding ---- */

bool apple_parse_version(const char *text, unsigned ret_number[static 3], char **ret_version)
{
	static const char before[] = "container CLI version ";
	const char *found = strstr(text, before);
	unsigned number[3];
	size_t length;

	if (found == NULL || !container_parse_numbers(found + strlen(before), number, &length))
		return false;
	memcpy(ret_number, number, sizeof(number));
	*ret_version = str_dup_n(found + strlen(before), length);
	return true;
}

static bool ask_version(struct runtime *runtime, struct npxc_error *err)
{
	static const char *const words[] = { "--version", NULL };
	struct proc_result result;
	bool ok;

	if (!container_ask(runtime, words, LIMIT_CLI_MS, &result, err))
		return false;
	ok = container_succeeded(&result) && result.output.data != NULL &&
	     apple_parse_version(result.output.data, runtime->number, &runtime->version);
	if (!ok)
		error_set(err, ERROR_RUNTIME_UNAVAILABLE,
		          "%s --version does not answer as Apple's container CLI does; set container_cli",
		          runtime->cli);
	proc_result_done(&result);
	return ok;
}

static bool is_new_enough(const struct runtime *runtime, struct npxc_error *err)
{
	if (runtime->number[0] > APPLE_NEED_MAJOR || runtime->number[1] >= APPLE_NEED_MINOR)
		return true;
	return error_set(err, ERROR_RUNTIME_UNAVAILABLE,
	                 "Apple container %s is too old: npxc needs %d.%d.0 or later (--cap-drop); update it",
	                 runtime->version, APPLE_NEED_MAJOR, APPLE_NEED_MINOR);
}

static bool find(const struct runtime_driver *driver, const char *cli_name, const char *path_variable,
                 struct runtime *ret_runtime, struct npxc_error *err)
{
	struct runtime runtime;

	if (!container_find(driver, cli_name, path_variable, &runtime, err))
		return false;
	if (!ask_version(&runtime, err) || !is_new_enough(&runtime, err)) {
		runtime_done(&runtime);
		return false;
	}
	*ret_runtime = runtime;
	return true;
}

/* ---- the argument list ---- */

/* What this CLI cannot do exactly is refused, never rounded up. */
static bool check_limits(const struct launch *launch, struct npxc_error *err)
{
	if (launch->memory_bytes != 0 && launch->memory_bytes / MIB < MEMORY_LEAST_MIB)
		return error_set(err, ERROR_CONFIG,
		                 "Apple container needs at least %d MiB for a sandbox: set memory to %dm or more",
		                 MEMORY_LEAST_MIB, MEMORY_LEAST_MIB);
	if (launch->cpu_millis % 1000 != 0)
		return error_set(err, ERROR_CONFIG,
		                 "Apple container gives whole processors only: set cpus to 1 or another whole number, "
		                 "not %u.%03u",
		                 launch->cpu_millis / 1000, launch->cpu_millis % 1000);
	return true;
}

/*
 * A UNIX socket inside a shared directory is dead in a machine with a kernel of its own, so masks have nothing to do
 * here. As the very source of a volume, however, the CLI relays it to the host's.
 */
static bool check_sockets(const struct launch *launch, struct npxc_error *err)
{
	for (size_t i = 0; i < launch->mount_count; i++) {
		if (strv_contains(&launch->masks, launch->mounts[i].target)) {
			mem_cleanup char *shown =
			    str_escape(launch->mounts[i].source, strlen(launch->mounts[i].source));

			return error_set(err, ERROR_CONFIG, "%s is a UNIX socket and cannot be mounted", shown);
		}
	}
	return true;
}

static void add_flags(const struct runtime *runtime, const struct launch *launch, struct strv *argv)
{
	static const char *const fixed[] = { "run",    "--progress",  "none",       "--rm", "-i",
		                             "--init", "--read-only", "--cap-drop", "ALL" };

	strv_push(argv, runtime->cli);
	strv_push_all(argv, fixed, sizeof(fixed) / sizeof(fixed[0]));
	strv_push(argv, "--name");
	strv_push(argv, launch->name);
	strv_push(argv, "--network");
	strv_push(argv, container_network_word(&apple_driver, launch));
	/* on a managed network the gateway's resolver would be a way out, and where there is no network it is useless
	 */
	if (launch->network == LAUNCH_NETWORK_NONE || launch->network == LAUNCH_NETWORK_MANAGED)
		strv_push(argv, "--no-dns");
	if (launch->memory_bytes != 0) {
		strv_push(argv, "--memory");
		strv_pushf(argv, "%lluM", (unsigned long long)(launch->memory_bytes / MIB));
	}
	if (launch->cpu_millis != 0) {
		strv_push(argv, "--cpus");
		strv_pushf(argv, "%u", launch->cpu_millis / 1000);
	}
	if (launch->pids != 0) {
		strv_push(argv, "--ulimit");
		strv_pushf(argv, "nproc=%u", launch->pids);
	}
	strv_push(argv, "--ulimit");
	strv_push(argv, "core=0");
	strv_push(argv, "--user");
	strv_pushf(argv, "%u:%u", runtime->uid, runtime->gid);
	strv_push(argv, "--workdir");
	strv_push(argv, launch->directory);
}

static void add_tmpfs(const struct launch *launch, struct strv *argv)
{
	size_t count;
	mem_cleanup struct launch_tmpfs *list = container_tmpfs(launch, &count);

	for (size_t i = 0; i < count; i++) {
		strv_push(argv, "--tmpfs");
		strv_push(argv, list[i].target);
	}
}

/*
 * Should: --progress none always (its plain form is mixed into the server's stderr); --rm, --init, --read-only,
 * --cap-drop ALL, a user other than root, --no-dns where there is nothing to ask.
 * Mustn't: publish a port or a socket, forward an SSH agent, share a UNIX socket (as the source of a volume it is
 * relayed to the host's), round a limit up.
 *
 * What the CLI cannot express: the size of a tmpfs (the machine's memory, which --memory sets, is the ceiling), a limit
 * of processes other than by --ulimit nproc, no_new_privs, and an environment without the image's own variables.
 */
static bool make_start(const struct runtime *runtime, const struct launch *launch, struct runtime_start *ret_start,
                       struct npxc_error *err)
{
	struct runtime_start start = { .status_fd = -1 };

	if (!is_new_enough(runtime, err) || !container_check_launch(&apple_driver, launch, err) ||
	    !check_limits(launch, err) || !check_sockets(launch, err))
		return false;
	add_flags(runtime, launch, &start.argv);
	add_tmpfs(launch, &start.argv);
	container_add_volumes(launch, &start.argv);
	for (size_t i = 0; i < runtime->environment.count; i++)
		strv_push(&start.env, runtime->environment.v[i]);
	container_add_variables(launch, &start);
	/* an image's own entrypoint (a shell script in node's) has no say */
	container_add_command(launch, launch->image, 'o', &start.argv);
	*ret_start = start;
	return true;
}

/* ---- the end ---- */

enum apple_service apple_parse_status(int exit_status, const char *output, size_t length, char **ret_app_root)
{
	enum apple_service service = APPLE_SERVICE_UNKNOWN;
	struct npxc_error ignored = { 0 };
	const cJSON *word, *root;
	cJSON *json;

	if (ret_app_root != NULL)
		*ret_app_root = NULL;
	if (!container_parse_json(output, length, "container system status", &json, &ignored))
		return exit_status == 0 ? APPLE_SERVICE_UP : APPLE_SERVICE_UNKNOWN;
	word = cJSON_GetObjectItemCaseSensitive(json, "status");
	root = cJSON_GetObjectItemCaseSensitive(json, "appRoot");
	if (root == NULL) /* 1.4.1 put it into an object of its own */
		root = cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(json, "paths"), "appRoot");
	if (cJSON_IsString(word) && strcmp(word->valuestring, "running") == 0)
		service = APPLE_SERVICE_UP;
	else if (cJSON_IsString(word) &&
	         (strcmp(word->valuestring, "not running") == 0 || strcmp(word->valuestring, "unregistered") == 0))
		service = APPLE_SERVICE_DOWN;
	if (ret_app_root != NULL && cJSON_IsString(root) && root->valuestring[0] == '/')
		*ret_app_root = str_dup(root->valuestring);
	cJSON_Delete(json);
	return service;
}

static enum apple_service ask_status(const struct runtime *runtime, char **ret_app_root)
{
	static const char *const words[] = { "system", "status", "--format", "json", NULL };
	enum apple_service service = APPLE_SERVICE_UNKNOWN;
	struct npxc_error ignored = { 0 };
	struct proc_result result;

	if (ret_app_root != NULL)
		*ret_app_root = NULL;
	if (!container_ask(runtime, words, LIMIT_CLI_MS, &result, &ignored))
		return service;
	if (!result.timed_out && !result.truncated && result.signal == 0)
		service =
		    apple_parse_status(result.exit_status, result.output.data, result.output.length, ret_app_root);
	proc_result_done(&result);
	return service;
}

/* A text about XPC is not proof that the service is down. */
static bool is_down(const struct runtime *runtime, const char *errors)
{
	return strstr(errors, "XPC") != NULL && ask_status(runtime, NULL) == APPLE_SERVICE_DOWN;
}

static const char *next_step(const struct runtime *runtime, const char *errors)
{
	return is_down(runtime, errors) ? "; run: " START_SERVICE : NULL;
}

/*
 * The errors of `container run` itself, 0.12.0 to 1.2.2: how they start and how they end. Exact, because a server may
 * well end with 1 after a line "Error: ..." of its own.
 */
static const struct {
	const char *start, *end;
} client_errors[] = {
	{ "network ", " not found" },
	{ "container with id ", " already exists" },
	{ "container ID ", " is not a valid container ID" },
	{ "hostname(s) already exist", "" },
	{ "invalid entity name ", "" },
	{ "failed to create container", "" },
	{ "failed to bootstrap container", "" },
	{ "failed to start container", "" },
	{ "failed to run container", "" },
	{ "failed to find target executable", "" },
	{ "path '", "' does not exist" },
	{ "file path '", "' does not exist" },
	{ "minimum memory amount allowed is ", "" },
	{ "non-default network configuration requires ", "" },
	{ "image not found: ", "" },
	{ "HTTP request to ", "" },
	{ "default kernel not configured", "" },
	{ "XPC timeout for request to com.apple.container", "" },
	/* a cause of another process comes with its code */
	{ "internalError: \"", "" },
	{ "invalidArgument: \"", "" },
	{ "invalidState: \"", "" },
	{ "notFound: \"", "" },
	{ "exists: \"", "" },
	{ "interrupted: \"", "" },
	{ "timeout: \"", "" },
	{ "unsupported: \"", "" },
	{ "unknown: \"", "" },
	{ "cancelled: \"", "" },
};

static bool is_client_error(int exit_status, const char *line, const char *errors)
{
	if (line == NULL)
		return false;
	if (exit_status == 64) /* the CLI's argument parser */
		return strstr(errors, "Usage: container") != NULL;
	if (exit_status != 1)
		return false;
	for (size_t i = 0; i < sizeof(client_errors) / sizeof(client_errors[0]); i++)
		if (str_starts(line, client_errors[i].start) && str_ends(line, client_errors[i].end))
			return true;
	return false;
}

/*
 * The CLI ends with 1 both when it fails and when the server ends with 1: only its known error lines tell them apart.
 * A text about XPC is not proof that the service is down, so that is asked of the CLI (the one call made here).
 */
static bool judge_end(const struct runtime *runtime, int exit_status, int term_signal, const char *status_text,
                      const char *errors, int *ret_status, struct npxc_error *err)
{
	mem_cleanup char *line = errors_line(errors, "Error: ");

	(void)status_text;
	if (container_is_crash(term_signal))
		return error_set(err, ERROR_RUNTIME, "the container CLI crashed (signal %d): \"%s\"", term_signal,
		                 line != NULL ? line : "");
	if (term_signal != 0) {
		*ret_status = 128 + term_signal;
		return true;
	}
	if (!is_client_error(exit_status, line, errors)) {
		*ret_status = exit_status;
		return true;
	}
	if (strstr(line, "default kernel not configured") != NULL)
		return error_set(err, ERROR_RUNTIME_UNAVAILABLE,
		                 "Apple container has no kernel for its machines; run: container system kernel set "
		                 "--recommended");
	if (strstr(line, "requires macOS 26") != NULL)
		return error_set(err, ERROR_RUNTIME_UNAVAILABLE, "networks of Apple container need macOS 26 or later");
	if (is_down(runtime, line))
		return error_set(err, ERROR_RUNTIME_UNAVAILABLE,
		                 "the service of Apple container is not running; run: " START_SERVICE);
	return error_set(err, ERROR_RUNTIME, "`container run` failed: %s", line);
}

/* ---- doctor ---- */

static void examine_kernel(const struct runtime *runtime, const char *app_root, struct runtime_findings *findings)
{
	static const char *const fix[] = { "system", "kernel", "set", "--recommended", NULL };
#if defined(__aarch64__) || defined(__arm64__)
	const char *architecture = "arm64";
#else
	const char *architecture = "amd64";
#endif
	mem_cleanup char *kernel = NULL;

	if (app_root == NULL) {
		runtime_add_finding(findings, NULL, "guest kernel: not looked at (the CLI names no data root)");
		return;
	}
	kernel = str_printf("%s/kernels/default.kernel-%s", app_root, architecture);
	if (file_exists(kernel)) {
		runtime_add_finding(findings, NULL, "guest kernel: installed");
		return;
	}
	runtime_add_finding(findings, NULL, "guest kernel: none is installed");
	container_set_fix(findings, runtime, fix);
}

static void examine_networks(const struct runtime *runtime, struct runtime_findings *findings)
{
	static const char *const words[] = { "network", "list", "--format", "json", NULL };
	struct npxc_error why = { 0 };
	struct proc_result result;

	if (!container_ask(runtime, words, LIMIT_CLI_MS, &result, &why))
		return;
	/* 64: before macOS 26 the command does not exist */
	if (result.exit_status == 64)
		runtime_add_finding(findings, "update to macOS 26, or use network none or open",
		                    "networks: this macOS has none (policies named and allowlist)");
	else if (container_succeeded(&result))
		runtime_add_finding(findings, NULL, "networks: available");
	proc_result_done(&result);
}

static void examine(const struct runtime_driver *driver, const char *cli_name, const char *path_variable,
                    const char *image, struct runtime_findings *ret_findings)
{
	static const char *const start[] = { "system", "start", "--enable-kernel-install", NULL };
	struct runtime_findings findings = { 0 };
	struct npxc_error why = { 0 };
	struct runtime runtime;
	mem_cleanup char *app_root = NULL;

	(void)image;
	if (!find(driver, cli_name, path_variable, &runtime, &why)) {
		runtime_add_finding(&findings, "install the newest release of https://github.com/apple/container",
		                    "CLI: %s", why.message);
		*ret_findings = findings;
		return;
	}
	runtime_add_finding(&findings, NULL, "CLI: %s, version %s", runtime.cli, runtime.version);
	switch (ask_status(&runtime, &app_root)) {
	case APPLE_SERVICE_UP:
		runtime_add_finding(&findings, NULL, "service: running");
		examine_kernel(&runtime, app_root, &findings);
		examine_networks(&runtime, &findings);
		break;
	case APPLE_SERVICE_DOWN:
		runtime_add_finding(&findings, NULL, "service: not running");
		container_set_fix(&findings, &runtime, start);
		break;
	case APPLE_SERVICE_UNKNOWN:
		runtime_add_finding(&findings, NULL, "service: no clear answer to `container system status`");
		container_set_fix(&findings, &runtime, start);
		break;
	}
	runtime_done(&runtime);
	*ret_findings = findings;
}

/* ---- containers and networks ---- */

static bool list_ours(const struct runtime *runtime, struct strv *ret_containers, struct strv *ret_networks,
                      struct strv *ret_busy, struct npxc_error *err)
{
	/* The option prints the identifiers, which are the names, one a line. */
	static const char *const all[] = { "list", "--all", "--quiet", NULL };
	static const char *const running[] = { "list", "--quiet", NULL };
	static const char *const networks[] = { "network", "list", "--quiet", NULL };
	struct strv containers = { 0 };
	struct strv busy = { 0 };

	if (!container_list(runtime, all, "npxc-", &containers, err) ||
	    !container_list(runtime, running, "npxc-", &busy, err) ||
	    !container_list(runtime, networks, "npxc-", ret_networks, err)) {
		strv_done(&containers);
		strv_done(&busy);
		return false;
	}
	*ret_containers = containers;
	*ret_busy = busy;
	return true;
}

/*
 * Status keys ipv4Subnet and ipv4Gateway, to 0.7.1 address and gateway. A host-only network without a gateway has it at
 * its first host address.
 */
static bool parse_network(const cJSON *element, struct network *network, struct npxc_error *err)
{
	const cJSON *status = inspect_member(element, "status");
	const cJSON *mode = inspect_member(inspect_member(element, "configuration"), "mode"); /* from 1.0.0 on */
	const cJSON *subnet, *gateway;

	if (mode == NULL)
		mode = inspect_member(inspect_member(element, "config"), "mode");
	if (cJSON_IsString(mode))
		network->mode =
		    strcmp(mode->valuestring, "hostOnly") == 0 ? NETWORK_MODE_HOST_ONLY : NETWORK_MODE_OTHER;
	if (status == NULL)
		return inspect_missing("status", err);
	if (!cJSON_IsObject(status))
		return inspect_ill_typed("status", "an object", err);
	subnet = inspect_member(status, "ipv4Subnet");
	gateway = inspect_member(status, "ipv4Gateway");
	if (subnet != NULL || gateway != NULL)
		return inspect_fill("ipv4Subnet", subnet, "ipv4Gateway", gateway, true, network, err);
	subnet = inspect_member(status, "address");
	gateway = inspect_member(status, "gateway");
	if (subnet != NULL || gateway != NULL)
		return inspect_fill("address", subnet, "gateway", gateway, true, network, err);
	return inspect_missing("ipv4Subnet", err);
}

/* A mounted socket has the host's mode inside since then (EGRESS: apple/container#1751). */
static bool has_sockets(const struct runtime *runtime)
{
	return runtime->number[0] > 1 || (runtime->number[0] == 1 && runtime->number[1] >= 1);
}

static enum policy_link choose_link(const struct runtime *runtime, bool restricted, bool socket_seen,
                                    const char **ret_why)
{
	const enum policy_link link = has_sockets(runtime) && socket_seen ? POLICY_LINK_SOCKET : POLICY_LINK_GATEWAY;

	(void)restricted;
	*ret_why = link == POLICY_LINK_SOCKET ? "npxc doctor --probe has seen it work"
	           : has_sockets(runtime)     ? "link socket has not been seen to work here: npxc doctor --probe"
	                                      : "link socket needs Apple container 1.1.0";
	return link;
}

static bool check_link(const struct runtime *runtime, enum policy_link link, struct npxc_error *err)
{
	if (link == POLICY_LINK_SOCKET && !has_sockets(runtime))
		return error_set(err, ERROR_CONFIG,
		                 "link socket needs Apple container 1.1.0, and this is %s; set network.link to gateway",
		                 runtime->version);
	return container_check_link(runtime, link, err);
}

/* 0.10.0 on, 1.0.0 on (inspect), and up to 0.9.0. */
static const char *const no_container[] = {
	"Error: *(cause: \"notFound: \"container with ID % not found\"\")",
	"Error: container not found: %",
	"Error: notFound: \"failed to delete one or more containers: [\"%\"]\"",
	NULL,
};

/* 1.0.0 on, 0.10.0 on, up to 0.9.0; then those of a deletion, 0.6.0 with a time in front. */
static const char *const no_network[] = {
	"Error: network not found: %",
	"Error: network % not found",
	"Error: notFound: \"network % not found\"",
	"Error: notFound: \"failed to delete one or more networks: [\"%\"]\"",
	"failed to delete network: [\"error\": notFound: \"no network for id %\", \"id\": %]",
	"failed to delete network: [\"id\": %, \"error\": notFound: \"no network for id %\"]",
	"*failed to delete network %: notFound: \"no network for id %\"",
	NULL,
};

static const char *const remove_words[] = { "rm", "--force", NULL };

const struct runtime_driver apple_driver = {
	.kind = RUNTIME_APPLE,
	.word = "apple",
	.boundary = "a virtual machine of its own (Apple container)",
	.has_containers = true,
	.has_own_kernel = true,
	.asks_probe = true,
	.stop = GROUP_STOP_LEADER,
	.open_network = "default",
	.steering = steering,
	.no_container = no_container,
	.no_network = no_network,
	.find = find,
	.examine = examine,
	.make_start = make_start,
	.judge_end = judge_end,
	.choose_link = choose_link,
	.check_link = check_link,
	.remove_words = remove_words,
	.list_ours = list_ours,
	.next_step = next_step,
	.create_network = container_create_network,
	.parse_network = parse_network,
	.network_delete = "delete",
};
