#include "runtime/container.h"

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "runtime/errors.h"
#include "json/parse.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Docker's own default, which every image's tools lie on. */
#define PATH_INSIDE "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

static bool is_alphanumeric(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static bool is_name(const char *text, const char *also)
{
	if (!is_alphanumeric(text[0]))
		return false;
	for (const char *p = text; *p != '\0'; p++)
		if (!is_alphanumeric(*p) && strchr(also, *p) == NULL)
			return false;
	return true;
}

static bool check_path(const char *path, const char *what, struct npxc_error *err)
{
	mem_cleanup char *shown = path != NULL ? str_escape(path, strlen(path)) : NULL;

	if (path == NULL || path[0] != '/')
		return error_set(err, ERROR_CONFIG, "%s \"%s\" is not an absolute path", what, path ? shown : "");
	if (strchr(path, ':') != NULL)
		return error_set(err, ERROR_CONFIG,
		                 "%s \"%s\" has a colon, which container CLIs cannot mount; rename it or use another "
		                 "runtime",
		                 what, shown);
	return true;
}

static bool check_variable(const struct runtime_driver *driver, const char *name, struct npxc_error *err)
{
	mem_cleanup char *shown = str_escape(name, strlen(name));

	/* podman reads NAME* as "all that start with NAME" */
	if (name[0] == '\0' || (name[0] >= '0' && name[0] <= '9') ||
	    strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") != strlen(name))
		return error_set(err, ERROR_CONFIG, "\"%s\" is not the name of an environment variable", shown);
	if (str_starts(name, "LD_") || str_starts(name, "DYLD_"))
		return error_set(err, ERROR_CONFIG,
		                 "the variable %s would change how the %s CLI itself is loaded; it cannot be forwarded",
		                 shown, driver->word);
	if (runtime_is_steering(driver, name))
		return error_set(err, ERROR_CONFIG,
		                 "the variable %s steers the %s CLI itself; it cannot be forwarded to a server", shown,
		                 driver->word);
	return true;
}

bool container_check_launch(const struct runtime_driver *driver, const struct launch *launch, struct npxc_error *err)
{
	mem_cleanup char *name = str_escape(launch->name ? launch->name : "", launch->name ? strlen(launch->name) : 0);
	mem_cleanup char *image =
	    str_escape(launch->image ? launch->image : "", launch->image ? strlen(launch->image) : 0);

	if (strlen(name) < 2 || strlen(name) > CONTAINER_NAME_BYTES || !is_name(name, "_.-"))
		return error_set(err, ERROR_CONFIG, "\"%s\" is not a container name of 2 to %d characters", name,
		                 CONTAINER_NAME_BYTES);
	if (!is_name(image, "_.-/:@"))
		return error_set(err, ERROR_CONFIG, "\"%s\" is not the name of an image; set node_image", image);
	if ((launch->network == LAUNCH_NETWORK_NAMED || launch->network == LAUNCH_NETWORK_MANAGED) &&
	    (launch->network_name == NULL || !is_name(launch->network_name, "_.-")))
		return error_set(err, ERROR_CONFIG, "a network without a valid name");
	if (launch->network == LAUNCH_NETWORK_NETNS)
		return error_set(err, ERROR_CONFIG, "link netns is bubblewrap's; set network.link to auto");
	if (launch->command.count == 0 || !(launch->command.v[0][0] == '/' || is_name(launch->command.v[0], "_.-+@")))
		return error_set(err, ERROR_CONFIG, "the server's command is neither a name nor an absolute path");
	if (!check_path(launch->directory, "working directory", err) || !check_path(launch->home, "HOME", err))
		return false;
	for (size_t i = 0; i < launch->mount_count; i++)
		if (!check_path(launch->mounts[i].source, "mounted path", err) ||
		    !check_path(launch->mounts[i].target, "mount target", err))
			return false;
	for (size_t i = 0; i < launch->pin_count; i++)
		if (!check_path(launch->pins[i].directory, "mounted path", err) ||
		    strchr(launch->pins[i].name, ':') != NULL)
			return check_path(launch->pins[i].directory, "mounted path", err) &&
			       error_set(
			           err, ERROR_CONFIG,
			           "%s/%s has a colon, which container CLIs cannot mount; rename it or use another "
			           "runtime",
			           launch->pins[i].directory, launch->pins[i].name);
	if (launch->first != NULL && !check_path(launch->first, "first program", err))
		return false;
	for (size_t i = 0; i < launch->tmpfs_count; i++)
		if (!check_path(launch->tmpfs[i].target, "writable path", err))
			return false;
	for (size_t i = 0; i < launch->masks.count; i++)
		if (!check_path(launch->masks.v[i], "socket", err))
			return false;
	for (size_t i = 0; i < launch->env_count; i++)
		if (!check_variable(driver, launch->env[i].name, err))
			return false;
	return true;
}

const char *container_network_word(const struct runtime_driver *driver, const struct launch *launch)
{
	switch (launch->network) {
	case LAUNCH_NETWORK_NONE:
	case LAUNCH_NETWORK_NETNS: /* refused by container_check_launch */
		break;
	case LAUNCH_NETWORK_OPEN:
		return driver->open_network;
	case LAUNCH_NETWORK_NAMED:
	case LAUNCH_NETWORK_MANAGED:
		return launch->network_name;
	}
	return "none";
}

bool container_is_configured(const struct launch *launch, const char *name)
{
	for (size_t i = 0; i < launch->env_count; i++)
		if (strcmp(launch->env[i].name, name) == 0)
			return true;
	return false;
}

static void add_own(const struct launch *launch, struct strv *argv, const char *name, const char *value)
{
	if (value == NULL || container_is_configured(launch, name))
		return;
	strv_push(argv, "-e");
	strv_pushf(argv, "%s=%s", name, value);
}

void container_add_variables(const struct launch *launch, struct runtime_start *start)
{
	mem_cleanup char *path =
	    launch->path_prefix != NULL ? str_printf("%s:%s", launch->path_prefix, PATH_INSIDE) : str_dup(PATH_INSIDE);

	add_own(launch, &start->argv, "PATH", path);
	add_own(launch, &start->argv, "HOME", launch->home);
	add_own(launch, &start->argv, "TMPDIR", "/tmp");
	add_own(launch, &start->argv, "LANG", launch->lang != NULL ? launch->lang : "C.UTF-8");
	add_own(launch, &start->argv, "TERM", launch->term);
	for (size_t i = 0; i < launch->env_count; i++) {
		strv_push(&start->argv, "-e");
		strv_push(&start->argv, launch->env[i].name);
		strv_pushf(&start->env, "%s=%s", launch->env[i].name, launch->env[i].value);
	}
}

_Static_assert(FIRST_STATUS == 213, "CONTAINER_SHELL_PARENT ends with it");

void container_add_command(const struct launch *launch, const char *image, char mask_kind, struct strv *argv)
{
	struct strv words __attribute__((cleanup(strv_done))) = { 0 };

	strv_push(argv, "--entrypoint");
	if (launch->first != NULL) {
		launch_checks(launch, 0, mask_kind, &words);
		strv_push(&words, "--");
		strv_push(argv, LAUNCH_FIRST);
	} else {
		const char *const shell[] = { "-c", CONTAINER_SHELL_PARENT, "npxc-first" };

		strv_push_all(&words, shell, sizeof(shell) / sizeof(shell[0]));
		strv_push(argv, "/bin/sh");
	}
	strv_push(argv, image);
	strv_push_all(argv, (const char *const *)words.v, words.count);
	strv_push_all(argv, (const char *const *)launch->command.v, launch->command.count);
}

static size_t depth_of(const char *path)
{
	size_t depth = 0;

	for (const char *p = path; *p != '\0'; p++)
		depth += *p == '/' && p[1] != '\0';
	return depth;
}

static bool is_last_at_target(const struct launch *launch, size_t index)
{
	for (size_t i = index + 1; i < launch->mount_count; i++)
		if (strcmp(launch->mounts[i].target, launch->mounts[index].target) == 0)
			return false;
	return true;
}

void container_add_volumes(const struct launch *launch, struct strv *argv)
{
	size_t left = launch->mount_count;

	for (size_t depth = 0; left > 0; depth++) {
		for (size_t i = 0; i < launch->mount_count; i++) {
			const struct launch_mount *mount = &launch->mounts[i];

			if (depth_of(mount->target) != depth)
				continue;
			left--;
			if (!is_last_at_target(launch, i))
				continue;
			strv_push(argv, "-v");
			strv_pushf(argv, "%s:%s%s", mount->source, mount->target, mount->writable ? "" : ":ro");
		}
	}
}

static bool is_mounted(const struct launch *launch, const char *target)
{
	for (size_t i = 0; i < launch->mount_count; i++)
		if (strcmp(launch->mounts[i].target, target) == 0)
			return true;
	return false;
}

static void add_tmpfs(const struct launch *launch, struct launch_tmpfs *list, size_t *count, struct launch_tmpfs one)
{
	if (is_mounted(launch, one.target))
		return;
	for (size_t i = 0; i < *count; i++) {
		if (strcmp(list[i].target, one.target) == 0) {
			list[i] = one;
			return;
		}
	}
	list[(*count)++] = one;
}

struct launch_tmpfs *container_tmpfs(const struct launch *launch, size_t *ret_count)
{
	static char tmp[] = "/tmp", run[] = "/run";
	struct launch_tmpfs *list = mem_alloc((launch->tmpfs_count + 3) * sizeof(*list));
	size_t count = 0;

	add_tmpfs(launch, list, &count,
	          (struct launch_tmpfs){ .target = tmp,
	                                 .bytes = launch->tmp_bytes ? launch->tmp_bytes : LIMIT_TMPFS_TMP_BYTES,
	                                 .mode = 01777 });
	add_tmpfs(launch, list, &count,
	          (struct launch_tmpfs){ .target = run, .bytes = LIMIT_TMPFS_RUN_BYTES, .mode = 01777 });
	add_tmpfs(launch, list, &count,
	          (struct launch_tmpfs){ .target = launch->home, .bytes = LIMIT_TMPFS_HOME_BYTES, .mode = 01777 });
	for (size_t i = 0; i < launch->tmpfs_count; i++)
		add_tmpfs(launch, list, &count, launch->tmpfs[i]);
	*ret_count = count;
	return list;
}

bool container_parse_json(const char *text, size_t length, const char *what, struct cJSON **ret_json,
                          struct npxc_error *err)
{
	struct json_reader reader;
	cJSON *json;

	json_start(&reader, text != NULL ? text : "", length);
	reader.any_bytes = true;
	reader.depth_max = LIMIT_JSON_DEPTH;
	json = parse_next(&reader, NULL);
	if (!json_end(&reader)) {
		mem_cleanup char *start = errors_text(reader.text, length);

		cJSON_Delete(json);
		return error_set(err, ERROR_JSON, "the output of `%s` is not JSON: \"%s\"", what, start);
	}
	*ret_json = json;
	return true;
}

bool container_parse_numbers(const char *text, unsigned ret_number[static 3], size_t *ret_length)
{
	const char *p = text;

	for (int i = 0; i < 3; i++) {
		unsigned long value = 0;
		const char *digits = p;

		while (*p >= '0' && *p <= '9' && p - digits < 6)
			value = value * 10 + (unsigned long)(*p++ - '0');
		if (p == digits || (i < 2 && *p++ != '.'))
			return false;
		ret_number[i] = (unsigned)value;
	}
	*ret_length = (size_t)(p - text);
	return true;
}

bool container_find(const struct runtime_driver *driver, const char *cli_name, const char *path_variable,
                    struct runtime *ret_runtime, struct npxc_error *err)
{
	struct runtime runtime = { .kind = driver->kind, .is_root = geteuid() == 0 };
	mem_cleanup char *shown = str_escape(cli_name, strlen(cli_name));

	if (!file_find_program(cli_name, path_variable, &runtime.cli, err)) {
		error_set(err, ERROR_RUNTIME_UNAVAILABLE, "the CLI \"%s\" of runtime %s was not found%s", shown,
		          driver->word, strchr(cli_name, '/') == NULL ? " on PATH" : "");
		return false;
	}
	/* Files that a VM or a container shares keep their owner: inside, the server is who started it. Never root. */
	runtime.uid = runtime.is_root ? SANDBOX_DROP_UID : geteuid();
	runtime.gid = runtime.is_root ? SANDBOX_DROP_UID : getegid();
	runtime_environment(driver->kind, &runtime.environment);
	*ret_runtime = runtime;
	return true;
}

bool container_ask(const struct runtime *runtime, const char *const *words, unsigned timeout_ms,
                   struct proc_result *ret_result, struct npxc_error *err)
{
	struct strv argv = { 0 };
	struct strv environment = { 0 };
	struct proc_command command = { .timeout_ms = timeout_ms, .max_output_bytes = LIMIT_CLI_OUTPUT_BYTES };
	bool ok;

	strv_push(&argv, runtime->cli);
	for (size_t i = 0; words[i] != NULL; i++)
		strv_push(&argv, words[i]);
	for (size_t i = 0; i < runtime->environment.count; i++)
		strv_push(&environment, runtime->environment.v[i]);
	command.argv = strv_argv(&argv);
	command.environment = strv_argv(&environment);
	ok = proc_run(&command, ret_result, err);
	if (!ok) {
		err->kind = ERROR_RUNTIME_UNAVAILABLE;
		error_prefix(err, "cannot start the CLI %s", runtime->cli);
	}
	strv_done(&argv);
	strv_done(&environment);
	return ok;
}

char *container_command_text(const struct runtime *runtime, const char *const *words)
{
	const char *slash = strrchr(runtime->cli, '/');
	struct strv list = { 0 };
	char *text;

	strv_push(&list, slash != NULL ? slash + 1 : runtime->cli);
	for (size_t i = 0; words[i] != NULL; i++)
		strv_push(&list, words[i]);
	text = strv_shell(&list);
	strv_done(&list);
	return text;
}

bool container_succeeded(const struct proc_result *result)
{
	return result->exit_status == 0 && result->signal == 0 && !result->timed_out && !result->truncated;
}

bool container_call_failed(const struct runtime *runtime, const char *command, const struct proc_result *result,
                           unsigned timeout_ms, struct npxc_error *err)
{
	const char *errors = result->errors.data != NULL ? result->errors.data : "";
	mem_cleanup char *said = errors_text(errors, result->errors.length);
	mem_cleanup char *how = proc_result_text(result, timeout_ms);
	const struct runtime_driver *driver = runtime_driver(runtime->kind);
	const char *next = driver->next_step == NULL ? NULL : driver->next_step(runtime, errors);

	error_set(err, next == NULL ? ERROR_RUNTIME : ERROR_RUNTIME_UNAVAILABLE, "`%s` failed (%s): %s%s", command, how,
	          said, next == NULL ? "" : next);
	if (result->timed_out)
		err->sys_errno = ETIMEDOUT;
	return false;
}

bool container_call(const struct runtime *runtime, const char *const *words, unsigned timeout_ms,
                    struct npxc_error *err)
{
	mem_cleanup char *command = container_command_text(runtime, words);
	struct proc_result result;
	bool ok;

	if (!container_ask(runtime, words, timeout_ms, &result, err))
		return false;
	ok = container_succeeded(&result) || container_call_failed(runtime, command, &result, timeout_ms, err);
	proc_result_done(&result);
	return ok;
}

bool container_is_down(const struct npxc_error *err)
{
	return err->kind == ERROR_RUNTIME_UNAVAILABLE || err->sys_errno == ETIMEDOUT;
}

bool container_remove(const struct runtime *runtime, const char *name, struct npxc_error *err)
{
	struct strv argv __attribute__((cleanup(strv_done))) = { 0 };
	struct proc_result result = { 0 };
	bool ok;

	runtime_remove_argv(runtime, name, &argv);
	const char *const *words = (const char *const *)argv.v + 1;
	if (!container_ask(runtime, words, LIMIT_REMOVE_MS, &result, err))
		return false;
	mem_cleanup char *shown = container_command_text(runtime, words);
	ok = (!result.timed_out && (result.exit_status == 0 || errors_say(runtime_driver(runtime->kind)->no_container,
	                                                                  result.errors.data, name))) ||
	     container_call_failed(runtime, shown, &result, LIMIT_REMOVE_MS, err);
	proc_result_done(&result);
	return ok;
}

void container_kill(const struct runtime *runtime, const char *name)
{
	const char *const words[] = { "kill", "-s", "KILL", name, NULL };
	struct npxc_error ignored = { 0 };
	struct proc_result result;

	if (container_ask(runtime, words, LIMIT_REMOVE_MS, &result, &ignored))
		proc_result_done(&result);
}

bool container_create_network(const struct runtime *runtime, const char *name, struct npxc_error *err)
{
	const char *const words[] = { "network", "create", "--internal", name, NULL };

	return container_call(runtime, words, LIMIT_CLI_MS, err);
}

bool container_check_link(const struct runtime *runtime, enum policy_link link, struct npxc_error *err)
{
	return link != POLICY_LINK_NETNS ||
	       error_set(err, ERROR_CONFIG, "link netns is bubblewrap's; on %s set network.link to auto",
	                 runtime_driver(runtime->kind)->word);
}

bool container_is_crash(int signal)
{
	return signal == SIGSEGV || signal == SIGABRT || signal == SIGTRAP || signal == SIGILL || signal == SIGBUS;
}

bool container_list(const struct runtime *runtime, const char *const *words, const char *prefix, struct strv *ret_names,
                    struct npxc_error *err)
{
	mem_cleanup char *command = container_command_text(runtime, words);
	struct strv names = { 0 };
	struct proc_result result;
	char *rest;

	if (!container_ask(runtime, words, LIMIT_CLI_MS, &result, err))
		return false;
	if (!container_succeeded(&result)) {
		container_call_failed(runtime, command, &result, LIMIT_CLI_MS, err);
		proc_result_done(&result);
		return false;
	}
	rest = result.output.data;
	for (char *line = strsep(&rest, "\n"); line != NULL; line = strsep(&rest, "\n")) {
		const char *name = str_trim(line);

		if (str_starts(name, prefix))
			strv_push(&names, name);
	}
	proc_result_done(&result);
	*ret_names = names;
	return true;
}

void container_set_fix(struct runtime_findings *findings, const struct runtime *runtime, const char *const *words)
{
	struct runtime_finding *last = &findings->v[findings->count - 1];

	free(last->fix);
	last->fix = container_command_text(runtime, words);
	last->ok = false;
	strv_push(&last->fix_argv, runtime->cli);
	for (size_t i = 0; words[i] != NULL; i++)
		strv_push(&last->fix_argv, words[i]);
}
