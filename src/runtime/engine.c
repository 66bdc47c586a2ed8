#include "runtime/engine.h"

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "contain/profile.h"
#include "runtime/container.h"
#include "runtime/errors.h"

#include <cjson/cJSON.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { EXIT_ENGINE = 125, EXIT_CANNOT_RUN = 126, EXIT_NOT_FOUND = 127 };

/* ---- finding ---- */

static const struct engine *engine_of(const struct runtime *runtime)
{
	return runtime_driver(runtime->kind)->engine;
}

static bool check_version(const struct runtime_driver *driver, const cJSON *json, unsigned number[static 3],
                          char **ret_version, struct npxc_error *err)
{
	const char *word = driver->word;
	const unsigned need_major = driver->engine->need_major, need_minor = driver->engine->need_minor;
	const cJSON *client = cJSON_GetObjectItemCaseSensitive(json, "Client");
	const cJSON *version = cJSON_GetObjectItemCaseSensitive(client, "Version");
	size_t length;

	if (!cJSON_IsString(version) || !container_parse_numbers(version->valuestring, number, &length))
		return error_set(err, ERROR_RUNTIME_UNAVAILABLE, "`%s version` names no version of the client", word);
	if (number[0] < need_major || (number[0] == need_major && number[1] < need_minor))
		return error_set(err, ERROR_RUNTIME_UNAVAILABLE,
		                 "%s %u.%u.%u is too old: npxc needs %u.%u.0 or later; update it", word, number[0],
		                 number[1], number[2], need_major, need_minor);
	/* a remote podman would take paths of this machine for paths of the other */
	if (!driver->engine->may_be_remote && cJSON_IsObject(cJSON_GetObjectItemCaseSensitive(json, "Server")))
		return error_set(err, ERROR_RUNTIME_UNAVAILABLE,
		                 "%s is only the client of a remote service here, which npxc cannot use", word);
	*ret_version = str_dup_n(version->valuestring, length);
	return true;
}

bool engine_parse_version(const struct runtime_driver *driver, const char *text, size_t length,
                          unsigned ret_number[static 3], char **ret_version, struct npxc_error *err)
{
	unsigned number[3];
	cJSON *json;
	bool ok;

	if (!container_parse_json(text, length, "version", &json, err)) {
		err->kind = ERROR_RUNTIME_UNAVAILABLE;
		return false;
	}
	ok = check_version(driver, json, number, ret_version, err);
	cJSON_Delete(json);
	if (ok)
		memcpy(ret_number, number, sizeof(number));
	return ok;
}

static bool ask_version(struct runtime *runtime, struct npxc_error *err)
{
	/* `json` alone is known to docker from 23.0 on, the template to every release of both */
	static const char *const words[] = { "version", "--format", "{{json .}}", NULL };
	struct proc_result result;
	bool ok = false;

	if (!container_ask(runtime, words, LIMIT_CLI_MS, &result, err))
		return false;
	if (container_succeeded(&result)) {
		ok = engine_parse_version(runtime_driver(runtime->kind), result.output.data, result.output.length,
		                          runtime->number, &runtime->version, err);
	} else if (!engine_of(runtime)->refuses(result.errors.data != NULL ? result.errors.data : "", err)) {
		mem_cleanup char *said = errors_text(result.errors.data, result.errors.length);
		mem_cleanup char *how = proc_result_text(&result, LIMIT_CLI_MS);

		error_set(err, ERROR_RUNTIME_UNAVAILABLE, "`%s version` failed (%s): %s", runtime->cli, how, said);
	}
	proc_result_done(&result);
	return ok;
}

bool engine_find(const struct runtime_driver *driver, const char *cli_name, const char *path_variable,
                 struct runtime *ret_runtime, struct npxc_error *err)
{
	struct runtime runtime;

	if (!container_find(driver, cli_name, path_variable, &runtime, err))
		return false;
	if (!ask_version(&runtime, err)) {
		runtime_done(&runtime);
		return false;
	}
	*ret_runtime = runtime;
	return true;
}

/* ---- the argument list ---- */

static void push2(struct strv *argv, const char *flag, const char *value)
{
	strv_push(argv, flag);
	strv_push(argv, value);
}

static void add_limits(const struct launch *launch, struct strv *argv)
{
	if (launch->memory_bytes != 0) {
		strv_push(argv, "--memory");
		strv_pushf(argv, "%llu", (unsigned long long)launch->memory_bytes);
		/* memory and swap together; without it as much again may be swapped out */
		strv_push(argv, "--memory-swap");
		strv_pushf(argv, "%llu", (unsigned long long)launch->memory_bytes);
	}
	if (launch->cpu_millis != 0) {
		strv_push(argv, "--cpus");
		strv_pushf(argv, "%u.%03u", launch->cpu_millis / 1000, launch->cpu_millis % 1000);
	}
	if (launch->pids != 0) {
		strv_push(argv, "--pids-limit");
		strv_pushf(argv, "%u", launch->pids);
	}
	strv_push(argv, "--shm-size");
	strv_pushf(argv, "%zu", LIMIT_TMPFS_SHM_BYTES);
}

static void add_one_tmpfs(const struct runtime *runtime, const char *target, uint64_t bytes, bool may_execute,
                          struct strv *argv)
{
	/*
	 * The mount belongs to root, the server is somebody else, and nobody else is there. runc puts the mode of the
	 * image's directory over the one that is asked for (seen with 1.1.5: a /run that only root could write), so the
	 * owner is asked for too.
	 */
	mem_cleanup char *owner = engine_of(runtime)->tmpfs_owner(runtime);
	strv_push(argv, "--tmpfs");
	strv_pushf(argv, "%s:rw,size=%llu,mode=1777,nosuid,nodev,%s,%s", target, (unsigned long long)bytes,
	           may_execute ? "exec" : "noexec", owner);
}

static void add_tmpfs(const struct runtime *runtime, const struct launch *launch, struct strv *argv)
{
	size_t count;
	mem_cleanup struct launch_tmpfs *list = container_tmpfs(launch, &count);
	bool is_var_tmp_open = engine_of(runtime)->has_var_tmp;

	for (size_t i = 0; i < count; i++) {
		add_one_tmpfs(runtime, list[i].target, list[i].bytes, strcmp(list[i].target, "/run") != 0, argv);
		if (strcmp(list[i].target, "/var/tmp") == 0)
			is_var_tmp_open = false;
	}
	for (size_t i = 0; i < launch->mount_count; i++)
		if (strcmp(launch->mounts[i].target, "/var/tmp") == 0)
			is_var_tmp_open = false;
	if (is_var_tmp_open)
		add_one_tmpfs(runtime, "/var/tmp", LIMIT_TMPFS_RUN_BYTES, true, argv);
}

static void add_flags(const struct runtime *runtime, const struct launch *launch, struct strv *argv)
{
	static const char *const fixed[] = { "run",    "--rm",           "-i",
		                             "--init", "--read-only",    "--cap-drop",
		                             "ALL",    "--security-opt", "no-new-privileges" };

	strv_push(argv, runtime->cli);
	strv_push_all(argv, fixed, sizeof(fixed) / sizeof(fixed[0]));
	strv_push(argv, "--security-opt");
	strv_pushf(argv, "seccomp=/dev/fd/%d", ENGINE_FD_SECCOMP);
	push2(argv, "--name", launch->name);
	push2(argv, "--network", container_network_word(runtime_driver(runtime->kind), launch));
	/* an image that is there is never looked up again; the first start may fetch it */
	push2(argv, "--pull", "missing");
	/* what passes through stdout is between client and server */
	push2(argv, "--log-driver", "none");
	strv_push(argv, "--no-healthcheck");
	if (engine_of(runtime)->add_flags != NULL)
		engine_of(runtime)->add_flags(runtime, argv);
	strv_push(argv, "--user");
	strv_pushf(argv, "%u:%u", runtime->uid, runtime->gid);
	push2(argv, "--workdir", launch->directory);
	add_limits(launch, argv);
}

/* The directories stand in one that belongs to root and is closed: the server is another user, without capabilities. */
static void add_pins(const struct runtime *runtime, const struct launch *launch, struct strv *argv)
{
	const char *more = engine_of(runtime)->tmpfs_more;
	enum { PIN_BYTES = 4096 };

	if (launch->pin_count > 0) {
		strv_push(argv, "--tmpfs");
		strv_pushf(argv, LAUNCH_PINS ":rw,size=%d,mode=0700,nosuid,nodev,noexec%s", PIN_BYTES, more);
	}
	for (size_t i = 0; i < launch->pin_count; i++) {
		strv_push(argv, "-v");
		strv_pushf(argv, "%s:" LAUNCH_PINS "/%zu:ro", launch->pins[i].directory, i);
		strv_push(argv, "--tmpfs");
		strv_pushf(argv, LAUNCH_PINS "/%zu/%s:rw,size=%d,mode=0700,nosuid,nodev,noexec%s", i,
		           launch->pins[i].name, PIN_BYTES, more);
	}
}

bool engine_make_start(const struct runtime *runtime, const struct launch *launch, struct runtime_start *ret_start,
                       struct npxc_error *err)
{
	struct runtime_start start = { .status_fd = -1 };
	mem_cleanup char *profile = NULL;
	mem_cleanup char *image = NULL;

	if (!container_check_launch(runtime_driver(runtime->kind), launch, err))
		return false;
	if (runtime->uid == 0)
		return error_set(err, ERROR_CONFIG, "a server is not run as root");
	profile = profile_seccomp();
	image = engine_of(runtime)->image_name(launch->image);
	add_flags(runtime, launch, &start.argv);
	add_tmpfs(runtime, launch, &start.argv);
	container_add_volumes(launch, &start.argv);
	for (size_t i = 0; i < launch->masks.count; i++) {
		strv_push(&start.argv, "-v");
		strv_pushf(&start.argv, "/dev/null:%s:ro", launch->masks.v[i]);
	}
	add_pins(runtime, launch, &start.argv);
	for (size_t i = 0; i < runtime->environment.count; i++)
		strv_push(&start.env, runtime->environment.v[i]);
	container_add_variables(launch, &start);
	if (engine_of(runtime)->add_variables != NULL)
		engine_of(runtime)->add_variables(launch, &start.argv);
	if (launch->first != NULL) {
		strv_push(&start.argv, "-v");
		strv_pushf(&start.argv, "%s:" LAUNCH_FIRST ":ro", launch->first);
	}
	/* masks are /dev/null */
	container_add_command(launch, image, 'o', &start.argv);
	runtime_start_add_data(&start, ENGINE_FD_SECCOMP, profile, strlen(profile));
	*ret_start = start;
	return true;
}

/* ---- the end ---- */

/* Who speaks here is the OCI runtime or the init (catatonit, tini), not the server. */
static bool says_not_started(const char *errors)
{
	return strstr(errors, "OCI runtime") != NULL || strstr(errors, "OCI permission denied") != NULL ||
	       strstr(errors, "(catatonit:") != NULL || strstr(errors, "[FATAL tini") != NULL;
}

static bool engine_failed(const struct runtime *runtime, const char *errors, struct npxc_error *err)
{
	mem_cleanup char *line = errors_line(errors, "Error: ");

	if (line == NULL)
		line = errors_line(errors, "docker: ");
	if (line == NULL)
		line = errors_text(errors, strlen(errors));
	if (engine_of(runtime)->refuses(errors, err))
		return false;
	return error_set(err, ERROR_RUNTIME, "the container could not be started: %s", line);
}

bool engine_judge_end(const struct runtime *runtime, int exit_status, int term_signal, const char *status_text,
                      const char *errors, int *ret_status, struct npxc_error *err)
{
	const char *said = errors != NULL ? errors : "";

	(void)status_text;
	if (container_is_crash(term_signal))
		return error_set(err, ERROR_RUNTIME, "the %s CLI crashed (signal %d)",
		                 runtime_driver(runtime->kind)->word, term_signal);
	if (term_signal != 0) {
		*ret_status = 128 + term_signal;
		return true;
	}
	if (exit_status == EXIT_ENGINE)
		return engine_failed(runtime, said, err);
	if ((exit_status == EXIT_CANNOT_RUN || exit_status == EXIT_NOT_FOUND) && says_not_started(said)) {
		mem_cleanup char *text = errors_text(said, strlen(said));

		return error_set(err, ERROR_RUNTIME, "the server's command cannot be started in the image: %s", text);
	}
	/* catatonit ends with 1 when it cannot start the command */
	if (exit_status == 1 && strstr(said, "(catatonit:") != NULL && strstr(said, "failed to exec pid1") != NULL) {
		mem_cleanup char *text = errors_text(said, strlen(said));

		return error_set(err, ERROR_RUNTIME, "the server's command cannot be started in the image: %s", text);
	}
	*ret_status = exit_status;
	return true;
}

/* ---- doctor ---- */

static void examine_info(const struct runtime *runtime, const struct proc_result *result,
                         struct runtime_findings *findings)
{
	struct npxc_error why = { 0 };
	cJSON *json;

	if (!container_parse_json(result->output.data, result->output.length, "info", &json, &why)) {
		runtime_add_finding(findings, "install it again", "engine: %s", why.message);
		return;
	}
	engine_of(runtime)->examine_info(runtime, json, findings);
	cJSON_Delete(json);
}

static bool examine_engine(const struct runtime *runtime, struct runtime_findings *findings)
{
	static const char *const words[] = { "info", "--format", "{{json .}}", NULL };
	struct npxc_error why = { 0 };
	struct proc_result result;
	bool answers;

	if (!container_ask(runtime, words, LIMIT_CLI_MS, &result, &why)) {
		runtime_add_finding(findings, "install it again", "engine: %s", why.message);
		return false;
	}
	answers = container_succeeded(&result);
	if (answers) {
		examine_info(runtime, &result, findings);
	} else {
		mem_cleanup char *said = errors_text(result.errors.data, result.errors.length);

		runtime_add_finding(findings, "mend what it says, or use another runtime", "engine: %s", said);
	}
	proc_result_done(&result);
	return answers;
}

/* The first start would fetch it, but a client's patience ends sooner. */
static void examine_image(const struct runtime *runtime, const char *image, struct runtime_findings *findings)
{
	mem_cleanup char *name = engine_of(runtime)->image_name(image);
	const char *const pull[] = { "pull", name, NULL };
	const char *words[8] = { NULL };
	struct npxc_error why = { 0 };
	struct proc_result result;

	for (size_t i = 0; engine_of(runtime)->image_look[i] != NULL; i++) {
		words[i] = engine_of(runtime)->image_look[i];
		words[i + 1] = name;
	}
	if (!container_ask(runtime, words, LIMIT_CLI_MS, &result, &why))
		return;
	if (container_succeeded(&result)) {
		runtime_add_finding(findings, NULL, "image: %s", name);
	} else if (result.exit_status == 1) {
		runtime_add_finding(findings, "", "image: %s is not here yet", name);
		container_set_fix(findings, runtime, pull);
	} else {
		mem_cleanup char *said = errors_text(result.errors.data, result.errors.length);

		runtime_add_finding(findings, "mend what it says, or use another runtime", "image: %s: %s", name, said);
	}
	proc_result_done(&result);
}

void engine_examine(const struct runtime_driver *driver, const char *cli_name, const char *path_variable,
                    const char *image, struct runtime_findings *ret_findings)
{
	struct runtime_findings findings = { 0 };
	struct npxc_error why = { 0 };
	struct runtime runtime;

	if (!container_find(driver, cli_name, path_variable, &runtime, &why)) {
		runtime_add_finding(&findings, "install it from the system's packages, or use another runtime",
		                    "CLI: %s", why.message);
	} else {
		if (!ask_version(&runtime, &why)) {
			runtime_add_finding(&findings, driver->engine->no_version_fix, "CLI: %s", why.message);
		} else {
			runtime_add_finding(&findings, NULL, "CLI: %s, version %s", runtime.cli, runtime.version);
			if (examine_engine(&runtime, &findings))
				examine_image(&runtime, image, &findings);
		}
		runtime_done(&runtime);
	}
	*ret_findings = findings;
}

/* ---- containers and networks ---- */

/* podman-ps(1), docker-ps(1): every other state has a process in it, or is on the way there or from there. */
static bool state_is_idle(const char *state)
{
	static const char *const idle[] = { "created", "configured", "exited", "stopped", "dead" };

	for (size_t i = 0; i < sizeof(idle) / sizeof(idle[0]); i++)
		if (strcasecmp(state, idle[i]) == 0)
			return true;
	return false;
}

/* "NAME" or "NAME<tab>STATE<tab>NETWORK,NETWORK": the names stay, who is busy is noted. */
static void split_rows(struct strv *rows, struct strv *busy)
{
	for (size_t i = 0; i < rows->count; i++) {
		char *rest = rows->v[i];
		const char *name = strsep(&rest, "\t");
		const char *state = strsep(&rest, "\t");

		if (state == NULL || state[0] == '\0' || state_is_idle(state))
			continue;
		strv_push(busy, name);
		for (const char *network = strsep(&rest, ","); network != NULL; network = strsep(&rest, ","))
			strv_push(busy, network);
	}
}

bool engine_list_ours(const struct runtime *runtime, struct strv *ret_containers, struct strv *ret_networks,
                      struct strv *ret_busy, struct npxc_error *err)
{
	static const char *const all[] = {
		"ps", "-a", "--no-trunc", "--format", "{{.Names}}\t{{.State}}\t{{.Networks}}", NULL
	};
	static const char *const networks[] = { "network", "ls", "--format", "{{.Name}}", NULL };
	struct strv containers = { 0 };
	struct strv busy = { 0 };

	if (!container_list(runtime, all, "npxc-", &containers, err))
		return false;
	split_rows(&containers, &busy);
	if (!container_list(runtime, networks, "npxc-", ret_networks, err)) {
		strv_done(&containers);
		strv_done(&busy);
		return false;
	}
	*ret_containers = containers;
	*ret_busy = busy;
	return true;
}

enum policy_link engine_choose_link(const struct runtime *runtime, bool restricted, bool socket_seen,
                                    const char **ret_why)
{
	(void)runtime;
	(void)restricted;
	(void)socket_seen;
	*ret_why = "the guest has no network at all";
	return POLICY_LINK_SOCKET;
}
