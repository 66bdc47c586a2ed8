#include "runtime/podman.h"

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "contain/profile.h"
#include "runtime/network.h"

#include <cjson/cJSON.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* the next step where crun refuses the host's cgroups */
#define OCI_FIX "install runc and write runtime = \"runc\" below [engine] in /etc/containers/containers.conf"

enum { EXIT_ENGINE = 125, EXIT_CANNOT_RUN = 126, EXIT_NOT_FOUND = 127 };

static const char *const podman_steering[] = { "PATH",
	                                       "HOME",
	                                       "USER",
	                                       "TMPDIR",
	                                       "XDG_RUNTIME_DIR",
	                                       "XDG_CONFIG_HOME",
	                                       "XDG_DATA_HOME",
	                                       "XDG_CACHE_HOME",
	                                       "DBUS_SESSION_BUS_ADDRESS",
	                                       "CONTAINER_HOST",
	                                       "CONTAINER_CONNECTION",
	                                       "CONTAINER_SSHKEY",
	                                       "CONTAINER_PASSPHRASE",
	                                       "CONTAINERS_*",
	                                       "_CONTAINERS_*",
	                                       "PODMAN_*",
	                                       "STORAGE_*",
	                                       "REGISTRY_AUTH_FILE",
	                                       NULL };

static const char *const docker_steering[] = { "PATH", "HOME", "USER", "TMPDIR", "XDG_RUNTIME_DIR", "DOCKER_*", NULL };

const struct container_dialect podman_dialect = {
	.word = "podman",
	.open_network = "podman",
	.steering = podman_steering,
};

const struct container_dialect docker_dialect = {
	.word = "docker",
	.open_network = "bridge",
	.steering = docker_steering,
};

static const struct container_dialect *dialect_of(enum runtime_kind kind)
{
	return kind == RUNTIME_DOCKER ? &docker_dialect : &podman_dialect;
}

/* ---- finding ---- */

bool podman_is_rootless(const struct runtime *runtime)
{
	return runtime->kind == RUNTIME_PODMAN && !runtime->is_root;
}

static bool check_version(enum runtime_kind kind, const cJSON *json, unsigned number[static 3], char **ret_version,
                          struct npxc_error *err)
{
	const char *word = dialect_of(kind)->word;
	unsigned need_major = kind == RUNTIME_DOCKER ? 20 : 4, need_minor = kind == RUNTIME_DOCKER ? 10 : 0;
	const cJSON *client = cJSON_GetObjectItemCaseSensitive(json, "Client");
	const cJSON *server = cJSON_GetObjectItemCaseSensitive(json, "Server");
	const cJSON *version = cJSON_GetObjectItemCaseSensitive(client, "Version");
	size_t length;

	if (!cJSON_IsString(version) || !container_parse_numbers(version->valuestring, number, &length))
		return error_set(err, ERROR_RUNTIME_UNAVAILABLE, "`%s version` names no version of the client", word);
	if (number[0] < need_major || (number[0] == need_major && number[1] < need_minor))
		return error_set(err, ERROR_RUNTIME_UNAVAILABLE,
		                 "%s %u.%u.%u is too old: npxc needs %u.%u.0 or later; update it", word, number[0],
		                 number[1], number[2], need_major, need_minor);
	/* a remote podman would take paths of this machine for paths of the other */
	if (kind == RUNTIME_PODMAN && cJSON_IsObject(server))
		return error_set(err, ERROR_RUNTIME_UNAVAILABLE,
		                 "podman is only the client of a remote service here, which npxc cannot use");
	*ret_version = str_dup_n(version->valuestring, length);
	return true;
}

bool podman_parse_version(enum runtime_kind kind, const char *text, size_t length, unsigned ret_number[static 3],
                          char **ret_version, struct npxc_error *err)
{
	unsigned number[3];
	cJSON *json;
	bool ok;

	if (!container_parse_json(text, length, "version", &json, err)) {
		err->kind = ERROR_RUNTIME_UNAVAILABLE;
		return false;
	}
	ok = check_version(kind, json, number, ret_version, err);
	cJSON_Delete(json);
	if (ok)
		memcpy(ret_number, number, sizeof(number));
	return ok;
}

static bool is_daemon_down(const char *errors)
{
	return strstr(errors, "Cannot connect to the Docker daemon") != NULL ||
	       strstr(errors, "failed to connect to the docker API") != NULL;
}

static bool is_daemon_closed(const char *errors)
{
	return strcasestr(errors, "permission denied while trying to connect to the docker") != NULL;
}

static bool refuse_daemon(const char *errors, struct npxc_error *err)
{
	if (is_daemon_closed(errors))
		return error_set(
		    err, ERROR_RUNTIME_UNAVAILABLE,
		    "this user may not talk to the docker daemon; add the user to the group docker, or use "
		    "another runtime");
	return error_set(err, ERROR_RUNTIME_UNAVAILABLE, "the docker daemon is not running; start it");
}

static bool ask_version(struct runtime *runtime, struct npxc_error *err)
{
	/* `json` alone is known to docker from 23.0 on, the template to every release of both */
	static const char *const words[] = { "version", "--format", "{{json .}}", NULL };
	struct proc_result result;
	bool ok = false;

	if (!container_ask(runtime, words, LIMIT_CLI_MS, &result, err))
		return false;
	if (runtime->kind == RUNTIME_DOCKER &&
	    (is_daemon_down(result.errors.data) || is_daemon_closed(result.errors.data))) {
		refuse_daemon(result.errors.data, err);
	} else if (!container_succeeded(&result)) {
		mem_cleanup char *said = container_error_text(result.errors.data, result.errors.length);
		mem_cleanup char *how = proc_result_text(&result, LIMIT_CLI_MS);

		error_set(err, ERROR_RUNTIME_UNAVAILABLE, "`%s version` failed (%s): %s", runtime->cli, how, said);
	} else {
		ok = podman_parse_version(runtime->kind, result.output.data, result.output.length, runtime->number,
		                          &runtime->version, err);
	}
	proc_result_done(&result);
	return ok;
}

bool podman_find(enum runtime_kind kind, const char *cli_name, const char *path_variable, struct runtime *ret_runtime,
                 struct npxc_error *err)
{
	struct runtime runtime;

	if (!container_find(dialect_of(kind), kind, cli_name, path_variable, &runtime, err))
		return false;
	if (!ask_version(&runtime, err)) {
		runtime_done(&runtime);
		return false;
	}
	*ret_runtime = runtime;
	return true;
}

/* ---- the argument list ---- */

char *podman_image_name(const char *image)
{
	size_t first = strcspn(image, "/");
	mem_cleanup char *host = str_dup_n(image, first);

	if (image[first] == '\0')
		return str_printf("docker.io/library/%s", image);
	if (strpbrk(host, ".:") != NULL || strcmp(host, "localhost") == 0)
		return str_dup(image);
	return str_printf("docker.io/%s", image);
}

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
	 * owner is asked for too: podman's word for it is U, docker passes the kernel's options on.
	 */
	mem_cleanup char *owner = runtime->kind == RUNTIME_PODMAN
	                              /* without notmpcopyup what the image has there is copied into memory */
	                              ? str_dup("notmpcopyup,U")
	                              : str_printf("uid=%u,gid=%u", runtime->uid, runtime->gid);
	strv_push(argv, "--tmpfs");
	strv_pushf(argv, "%s:rw,size=%llu,mode=1777,nosuid,nodev,%s,%s", target, (unsigned long long)bytes,
	           may_execute ? "exec" : "noexec", owner);
}

static void add_tmpfs(const struct runtime *runtime, const struct launch *launch, struct strv *argv)
{
	size_t count;
	mem_cleanup struct launch_tmpfs *list = container_tmpfs(launch, &count);
	/* podman makes one of its own there, without a size */
	bool is_var_tmp_open = runtime->kind == RUNTIME_PODMAN;

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
	static const char *const podman_only[] = { "--unsetenv-all", "--http-proxy=false", "--image-volume",
		                                   "ignore",         "--systemd",          "false" };

	strv_push(argv, runtime->cli);
	strv_push_all(argv, fixed, sizeof(fixed) / sizeof(fixed[0]));
	strv_push(argv, "--security-opt");
	strv_pushf(argv, "seccomp=/dev/fd/%d", PODMAN_FD_SECCOMP);
	push2(argv, "--name", launch->name);
	push2(argv, "--network", container_network_word(dialect_of(runtime->kind), launch));
	/* an image that is there is never looked up again; the first start may fetch it */
	push2(argv, "--pull", "missing");
	/* what passes through stdout is between client and server */
	push2(argv, "--log-driver", "none");
	strv_push(argv, "--no-healthcheck");
	if (runtime->kind == RUNTIME_PODMAN)
		strv_push_all(argv, podman_only, sizeof(podman_only) / sizeof(podman_only[0]));
	if (podman_is_rootless(runtime))
		push2(argv, "--userns", "keep-id");
	strv_push(argv, "--user");
	strv_pushf(argv, "%u:%u", runtime->uid, runtime->gid);
	push2(argv, "--workdir", launch->directory);
	add_limits(launch, argv);
}

/* The directories stand in one that belongs to root and is closed: the server is another user, without capabilities. */
static void add_pins(const struct runtime *runtime, const struct launch *launch, struct strv *argv)
{
	/* Or podman copies what the image has there into memory. */
	const char *more = runtime->kind == RUNTIME_PODMAN ? ",notmpcopyup" : "";
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

/* The command, or the first program that becomes it. */
static void add_command(const struct launch *launch, const char *image, struct strv *argv)
{
	struct strv words __attribute__((cleanup(strv_done))) = { 0 };

	if (launch->first != NULL)
		launch_checks(launch, 0, 'o', &words); /* masks are /dev/null */
	if (words.count > 0) {
		strv_push(argv, "-v");
		strv_pushf(argv, "%s:" LAUNCH_FIRST ":ro", launch->first);
		strv_push(&words, "--");
	}
	push2(argv, "--entrypoint", words.count > 0 ? LAUNCH_FIRST : launch->command.v[0]);
	strv_push(argv, image);
	strv_push_all(argv, (const char *const *)words.v, words.count);
	for (size_t i = words.count > 0 ? 0 : 1; i < launch->command.count; i++)
		strv_push(argv, launch->command.v[i]);
}

/*
 * docker's CLI adds the proxies of its configuration file (`proxies`), passwords included, to the variables of every
 * container that names none of them. A name alone, which its own environment has not, stands for "unset" (docker/cli,
 * ParseProxyConfig; the engine removes what has no value). podman has --http-proxy=false.
 */
static void leave_out_proxies(const struct launch *launch, struct strv *argv)
{
	static const char *const names[] = { "HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "FTP_PROXY",
		                             "ftp_proxy",  "NO_PROXY",   "no_proxy",    "ALL_PROXY",   "all_proxy" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (container_is_configured(launch, names[i]))
			continue;
		strv_push(argv, "-e");
		strv_push(argv, names[i]);
	}
}

bool podman_make_start(const struct runtime *runtime, const struct launch *launch, struct runtime_start *ret_start,
                       struct npxc_error *err)
{
	struct runtime_start start = { .status_fd = -1 };
	mem_cleanup char *profile = NULL;
	mem_cleanup char *image = NULL;

	if (!container_check_launch(dialect_of(runtime->kind), launch, err))
		return false;
	if (runtime->uid == 0)
		return error_set(err, ERROR_CONFIG, "a server is not run as root");
	profile = profile_seccomp();
	image = runtime->kind == RUNTIME_PODMAN ? podman_image_name(launch->image) : str_dup(launch->image);
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
	if (runtime->kind == RUNTIME_DOCKER)
		leave_out_proxies(launch, &start.argv);
	add_command(launch, image, &start.argv);
	runtime_start_add_data(&start, PODMAN_FD_SECCOMP, profile, strlen(profile));
	*ret_start = start;
	return true;
}

void podman_remove_argv(const struct runtime *runtime, const char *name, struct strv *ret_argv)
{
	struct strv argv = { 0 };

	strv_push(&argv, runtime->cli);
	strv_push(&argv, "rm");
	strv_push(&argv, "-f");
	strv_push(&argv, "-v"); /* an image's anonymous volumes with it */
	if (runtime->kind == RUNTIME_PODMAN) {
		push2(&argv, "-t", "0"); /* docker kills at once anyway */
		strv_push(&argv, "--ignore");
	}
	strv_push(&argv, name);
	*ret_argv = argv;
}

/* ---- the end ---- */

static bool is_crash(int signal)
{
	return signal == SIGSEGV || signal == SIGABRT || signal == SIGTRAP || signal == SIGILL || signal == SIGBUS;
}

/* Who speaks here is the OCI runtime or the init (catatonit, tini), not the server. */
static bool says_not_started(const char *errors)
{
	return strstr(errors, "OCI runtime") != NULL || strstr(errors, "OCI permission denied") != NULL ||
	       strstr(errors, "(catatonit:") != NULL || strstr(errors, "[FATAL tini") != NULL;
}

static bool engine_failed(const char *errors, struct npxc_error *err)
{
	mem_cleanup char *line = container_error_line(errors, "Error: ");

	if (line == NULL)
		line = container_error_line(errors, "docker: ");
	if (line == NULL)
		line = container_error_text(errors, strlen(errors));
	if (is_daemon_down(errors) || is_daemon_closed(errors))
		return refuse_daemon(errors, err);
	if (strstr(line, "container-init binary not found") != NULL || strstr(line, "catatonit") != NULL)
		return error_set(err, ERROR_RUNTIME_UNAVAILABLE,
		                 "podman has no init for containers; install the package catatonit");
	if (strstr(line, "cgroups in hybrid mode not supported") != NULL)
		return error_set(err, ERROR_RUNTIME_UNAVAILABLE,
		                 "crun cannot use this host's hybrid cgroups; " OCI_FIX);
	return error_set(err, ERROR_RUNTIME, "the container could not be started: %s", line);
}

bool podman_judge_end(const struct runtime *runtime, int exit_status, int term_signal, const char *status_text,
                      const char *errors, int *ret_status, struct npxc_error *err)
{
	const char *said = errors != NULL ? errors : "";

	(void)status_text;
	if (is_crash(term_signal))
		return error_set(err, ERROR_RUNTIME, "the %s CLI crashed (signal %d)", dialect_of(runtime->kind)->word,
		                 term_signal);
	if (term_signal != 0) {
		*ret_status = 128 + term_signal;
		return true;
	}
	if (exit_status == EXIT_ENGINE)
		return engine_failed(said, err);
	if ((exit_status == EXIT_CANNOT_RUN || exit_status == EXIT_NOT_FOUND) && says_not_started(said)) {
		mem_cleanup char *text = container_error_text(said, strlen(said));

		return error_set(err, ERROR_RUNTIME, "the server's command cannot be started in the image: %s", text);
	}
	/* catatonit ends with 1 when it cannot start the command */
	if (exit_status == 1 && strstr(said, "(catatonit:") != NULL && strstr(said, "failed to exec pid1") != NULL) {
		mem_cleanup char *text = container_error_text(said, strlen(said));

		return error_set(err, ERROR_RUNTIME, "the server's command cannot be started in the image: %s", text);
	}
	*ret_status = exit_status;
	return true;
}

/* ---- doctor ---- */

static const cJSON *member(const cJSON *object, const char *first, const char *second)
{
	return cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(object, first), second);
}

/* Both hierarchies at once: the second version's is mounted beside the first one's controllers. */
static bool has_hybrid_cgroups(void)
{
	return file_is_directory("/sys/fs/cgroup/unified");
}

static void examine_oci_runtime(const cJSON *host, struct runtime_findings *findings)
{
	const char *name = cJSON_GetStringValue(member(host, "ociRuntime", "name"));
	const char *cgroups = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(host, "cgroupVersion"));
	bool refuses = name != NULL && strcmp(name, "crun") == 0 && cgroups != NULL && strcmp(cgroups, "v1") == 0 &&
	               has_hybrid_cgroups();

	if (refuses)
		container_add_finding(findings, OCI_FIX,
		                      "OCI runtime: crun, which does not start containers where cgroups are hybrid");
	else
		container_add_finding(findings, NULL, "OCI runtime: %s, cgroups %s", name != NULL ? name : "unknown",
		                      cgroups != NULL ? cgroups : "unknown");
}

static bool has_controller(const cJSON *controllers, const char *name)
{
	const cJSON *one;

	cJSON_ArrayForEach(one, controllers)
	{
		if (cJSON_IsString(one) && strcmp(one->valuestring, name) == 0)
			return true;
	}
	return false;
}

static void examine_limits(const cJSON *host, struct runtime_findings *findings)
{
	static const char *const needed[] = { "memory", "cpu", "pids" };
	const cJSON *controllers = cJSON_GetObjectItemCaseSensitive(host, "cgroupControllers");
	const char *cgroups = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(host, "cgroupVersion"));
	mem_cleanup char *absent = str_dup("");

	if (cgroups != NULL && strcmp(cgroups, "v1") == 0) {
		container_add_finding(findings, "boot with cgroup v2, or run npxc as root",
		                      "limits: podman sets none for an ordinary user on cgroup v1");
		return;
	}
	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++) {
		if (has_controller(controllers, needed[i]))
			continue;
		char *longer = str_printf("%s%s%s", absent, absent[0] != '\0' ? ", " : "", needed[i]);
		free(absent);
		absent = longer;
	}
	if (absent[0] != '\0')
		container_add_finding(findings,
		                      "let systemd delegate them (Delegate=memory pids cpu for user@.service)",
		                      "limits: this user may not use the cgroup controllers %s", absent);
	else
		container_add_finding(findings, NULL, "limits: memory, cpu and processes");
}

static void examine_info(const struct runtime *runtime, const struct proc_result *result,
                         struct runtime_findings *findings)
{
	struct npxc_error why = { 0 };
	const cJSON *host;
	cJSON *json;

	if (!container_parse_json(result->output.data, result->output.length, "info", &json, &why)) {
		container_add_finding(findings, "install it again", "engine: %s", why.message);
		return;
	}
	container_add_finding(findings, NULL, "engine: answers%s",
	                      podman_is_rootless(runtime) ? " (rootless: no allowlist with link gateway)" : "");
	host = cJSON_GetObjectItemCaseSensitive(json, "host");
	if (runtime->kind == RUNTIME_PODMAN)
		examine_oci_runtime(host, findings);
	if (podman_is_rootless(runtime))
		examine_limits(host, findings);
	cJSON_Delete(json);
}

static bool examine_engine(const struct runtime *runtime, struct runtime_findings *findings)
{
	static const char *const words[] = { "info", "--format", "{{json .}}", NULL };
	struct npxc_error why = { 0 };
	struct proc_result result;
	bool answers;

	if (!container_ask(runtime, words, LIMIT_CLI_MS, &result, &why)) {
		container_add_finding(findings, "install it again", "engine: %s", why.message);
		return false;
	}
	answers = container_succeeded(&result);
	if (answers) {
		examine_info(runtime, &result, findings);
	} else {
		mem_cleanup char *said = container_error_text(result.errors.data, result.errors.length);

		container_add_finding(findings, "mend what it says, or use another runtime", "engine: %s", said);
	}
	proc_result_done(&result);
	return answers;
}

/* The first start would fetch it, but a client's patience ends sooner. */
static void examine_image(const struct runtime *runtime, const char *image, struct runtime_findings *findings)
{
	mem_cleanup char *name = runtime->kind == RUNTIME_PODMAN ? podman_image_name(image) : str_dup(image);
	const char *const podman[] = { "image", "exists", name, NULL };
	const char *const docker[] = { "image", "inspect", "--format", "{{.Id}}", name, NULL };
	const char *const pull[] = { "pull", name, NULL };
	struct npxc_error why = { 0 };
	struct proc_result result;

	if (!container_ask(runtime, runtime->kind == RUNTIME_PODMAN ? podman : docker, LIMIT_CLI_MS, &result, &why))
		return;
	if (container_succeeded(&result)) {
		container_add_finding(findings, NULL, "image: %s", name);
	} else if (result.exit_status == 1) {
		container_add_finding(findings, "", "image: %s is not here yet", name);
		container_set_fix(findings, runtime, pull);
	} else {
		mem_cleanup char *said = container_error_text(result.errors.data, result.errors.length);

		container_add_finding(findings, "mend what it says, or use another runtime", "image: %s: %s", name,
		                      said);
	}
	proc_result_done(&result);
}

void podman_examine(enum runtime_kind kind, const char *cli_name, const char *path_variable, const char *image,
                    struct runtime_findings *ret_findings)
{
	struct runtime_findings findings = { 0 };
	struct npxc_error why = { 0 };
	struct runtime runtime;

	if (!container_find(dialect_of(kind), kind, cli_name, path_variable, &runtime, &why)) {
		container_add_finding(&findings, "install it from the system's packages, or use another runtime",
		                      "CLI: %s", why.message);
	} else {
		if (!ask_version(&runtime, &why)) {
			container_add_finding(
			    &findings,
			    kind == RUNTIME_DOCKER
			        ? "start or update docker (systemctl start docker), or use another runtime"
			        : "update podman, or use another runtime",
			    "CLI: %s", why.message);
		} else {
			container_add_finding(&findings, NULL, "CLI: %s, version %s", runtime.cli, runtime.version);
			if (examine_engine(&runtime, &findings))
				examine_image(&runtime, image, &findings);
		}
		runtime_done(&runtime);
	}
	*ret_findings = findings;
}
