#include "runtime/container.h"

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "runtime/apple.h"
#include "runtime/network.h"
#include "json/parse.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern char **environ;

/* Docker's own default, which every image's tools lie on. */
#define PATH_INSIDE "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* `npxc inspect` puts this in a name where a run puts random digits. */
#define PLACEHOLDER "<session>"

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

static bool matches(const char *pattern, const char *name)
{
	size_t length = strlen(pattern);

	if (length > 0 && pattern[length - 1] == '*')
		return strncmp(pattern, name, length - 1) == 0;
	return strcmp(pattern, name) == 0;
}

static bool is_steering(const struct container_dialect *dialect, const char *name)
{
	for (size_t i = 0; dialect->steering[i] != NULL; i++)
		if (matches(dialect->steering[i], name))
			return true;
	return false;
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

static bool check_variable(const struct container_dialect *dialect, const char *name, struct npxc_error *err)
{
	mem_cleanup char *shown = str_escape(name, strlen(name));

	/* podman reads NAME* as "all that start with NAME" */
	if (name[0] == '\0' || (name[0] >= '0' && name[0] <= '9') ||
	    strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") != strlen(name))
		return error_set(err, ERROR_CONFIG, "\"%s\" is not the name of an environment variable", shown);
	if (str_starts(name, "LD_") || str_starts(name, "DYLD_"))
		return error_set(err, ERROR_CONFIG,
		                 "the variable %s would change how the %s CLI itself is loaded; it cannot be forwarded",
		                 shown, dialect->word);
	if (is_steering(dialect, name))
		return error_set(err, ERROR_CONFIG,
		                 "the variable %s steers the %s CLI itself; it cannot be forwarded to a server", shown,
		                 dialect->word);
	return true;
}

bool container_check_launch(const struct container_dialect *dialect, const struct launch *launch,
                            struct npxc_error *err)
{
	size_t name_limit = CONTAINER_NAME_BYTES;
	mem_cleanup char *name = str_escape(launch->name ? launch->name : "", launch->name ? strlen(launch->name) : 0);
	mem_cleanup char *image =
	    str_escape(launch->image ? launch->image : "", launch->image ? strlen(launch->image) : 0);

	if (strstr(name, PLACEHOLDER) != NULL)
		name_limit += strlen(PLACEHOLDER);
	if (strlen(name) < 2 || strlen(name) > name_limit || !is_name(name, name_limit > 63 ? "_.-<>" : "_.-"))
		return error_set(err, ERROR_CONFIG, "\"%s\" is not a container name of 2 to %d characters", name,
		                 CONTAINER_NAME_BYTES);
	if (!is_name(image, "_.-/:@"))
		return error_set(err, ERROR_CONFIG, "\"%s\" is not the name of an image; set node_image", image);
	if (launch->network == LAUNCH_NETWORK_NAMED &&
	    (launch->network_name == NULL ||
	     (!is_name(launch->network_name, "_.-") && strcmp(launch->network_name, NETWORK_PLACEHOLDER) != 0)))
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
		if (!check_variable(dialect, launch->env[i].name, err))
			return false;
	return true;
}

const char *container_network_word(const struct container_dialect *dialect, const struct launch *launch)
{
	switch (launch->network) {
	case LAUNCH_NETWORK_NONE:
	case LAUNCH_NETWORK_NETNS: /* refused by container_check_launch */
		break;
	case LAUNCH_NETWORK_OPEN:
		return dialect->open_network;
	case LAUNCH_NETWORK_NAMED:
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
		mem_cleanup char *start = container_error_text(reader.text, length);

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

char *container_error_line(const char *errors, const char *prefix)
{
	char *found = NULL;

	for (const char *line = errors; line != NULL && *line != '\0';) {
		size_t length = strcspn(line, "\r\n");

		if (strncmp(line, prefix, strlen(prefix)) == 0) {
			free(found);
			found = container_error_text(line + strlen(prefix), length - strlen(prefix));
		}
		line += length;
		line += strspn(line, "\r\n");
	}
	return found;
}

char *container_error_text(const char *errors, size_t length)
{
	enum { SHOWN_BYTES = 240 };
	mem_cleanup char *copy = str_dup_n(errors != NULL ? errors : "", errors != NULL ? length : 0);
	char *text = str_trim(copy);
	mem_cleanup char *escaped = NULL;

	for (char *p = text; *p != '\0'; p++)
		if (*p == '\n' || *p == '\r' || *p == '\t')
			*p = ' ';
	escaped = str_escape(text, strlen(text));
	if (strlen(escaped) <= SHOWN_BYTES)
		return MEM_TAKE(escaped);
	return str_printf("%.*s...", SHOWN_BYTES, escaped);
}

bool container_find(const struct container_dialect *dialect, enum runtime_kind kind, const char *cli_name,
                    const char *path_variable, struct runtime *ret_runtime, struct npxc_error *err)
{
	struct runtime runtime = { .kind = kind, .is_root = geteuid() == 0 };
	mem_cleanup char *shown = str_escape(cli_name, strlen(cli_name));

	if (!file_find_program(cli_name, path_variable, &runtime.cli, err)) {
		error_set(err, ERROR_RUNTIME_UNAVAILABLE, "the CLI \"%s\" of runtime %s was not found%s", shown,
		          dialect->word, strchr(cli_name, '/') == NULL ? " on PATH" : "");
		return false;
	}
	/* Files that a VM or a container shares keep their owner: inside, the server is who started it. Never root. */
	runtime.uid = runtime.is_root ? SANDBOX_DROP_UID : geteuid();
	runtime.gid = runtime.is_root ? SANDBOX_DROP_UID : getegid();
	container_environment(dialect, &runtime.environment);
	*ret_runtime = runtime;
	return true;
}

void container_environment(const struct container_dialect *dialect, struct strv *environment)
{
	for (char **p = environ; *p != NULL; p++) {
		mem_cleanup char *name = str_dup_n(*p, strcspn(*p, "="));

		if (is_steering(dialect, name))
			strv_push(environment, *p);
	}
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
	mem_cleanup char *said = container_error_text(errors, result->errors.length);
	mem_cleanup char *how = proc_result_text(result, timeout_ms);
	enum npxc_error_kind kind = ERROR_RUNTIME;
	const char *next = "";

	if (runtime->kind == RUNTIME_APPLE && strstr(errors, "XPC") != NULL &&
	    apple_ask_service(runtime) == APPLE_SERVICE_DOWN) {
		kind = ERROR_RUNTIME_UNAVAILABLE;
		next = "; run: " APPLE_START_SERVICE;
	} else if (runtime->kind == RUNTIME_DOCKER && strstr(errors, "Cannot connect to the Docker daemon") != NULL) {
		kind = ERROR_RUNTIME_UNAVAILABLE;
		next = "; start the docker daemon";
	}
	error_set(err, kind, "`%s` failed (%s): %s%s", command, how, said, next);
	if (result->timed_out)
		err->sys_errno = ETIMEDOUT;
	return false;
}

/* ---- what is not there ---- */

/* A whole line: %: the name; *, at most once: anything. */
struct phrase {
	enum runtime_kind kind;
	const char *line;
};

static const struct phrase no_container[] = {
	/* podman 3 to 5, libpod/define/errors.go: "no such container"; cmd/podman/containers/rm.go */
	{ RUNTIME_PODMAN, "Error: no container with name or ID \"%\" found: no such container" },
	{ RUNTIME_PODMAN, "Error: no container with ID or name \"%\" found: no such container" },
	/* moby, daemon/container: "No such container: %s"; before 20.10 without the daemon's words */
	{ RUNTIME_DOCKER, "Error response from daemon: No such container: %" },
	{ RUNTIME_DOCKER, "Error: No such container: %" },
	/* apple/container 0.10.0 on, 1.0.0 on (inspect), and up to 0.9.0 */
	{ RUNTIME_APPLE, "Error: *(cause: \"notFound: \"container with ID % not found\"\")" },
	{ RUNTIME_APPLE, "Error: container not found: %" },
	{ RUNTIME_APPLE, "Error: notFound: \"failed to delete one or more containers: [\"%\"]\"" },
};

static const struct phrase no_network[] = {
	/* podman 4 and 5, common/libnetwork/netavark: "unable to find network with name or ID %s: network not found" */
	{ RUNTIME_PODMAN, "Error: *unable to find network with name or ID %: network not found" },
	{ RUNTIME_DOCKER, "Error response from daemon: network % not found" },
	{ RUNTIME_DOCKER, "Error: No such network: %" },
	/* apple/container 1.0.0 on, 0.10.0 on, up to 0.9.0; then those of a deletion, 0.6.0 with a time in front */
	{ RUNTIME_APPLE, "Error: network not found: %" },
	{ RUNTIME_APPLE, "Error: network % not found" },
	{ RUNTIME_APPLE, "Error: notFound: \"network % not found\"" },
	{ RUNTIME_APPLE, "Error: notFound: \"failed to delete one or more networks: [\"%\"]\"" },
	{ RUNTIME_APPLE, "failed to delete network: [\"error\": notFound: \"no network for id %\", \"id\": %]" },
	{ RUNTIME_APPLE, "failed to delete network: [\"id\": %, \"error\": notFound: \"no network for id %\"]" },
	{ RUNTIME_APPLE, "*failed to delete network %: notFound: \"no network for id %\"" },
};

static bool line_is(const char *line, const char *phrase, const char *name)
{
	struct buf whole BUF_CLEANUP = BUF_INIT(SIZE_MAX);
	struct npxc_error ignored = { 0 };
	const char *text, *star;
	size_t length, before;

	for (const char *p = phrase; *p != '\0'; p++)
		if (!buf_append(&whole, *p == '%' ? name : p, *p == '%' ? strlen(name) : 1, &ignored))
			return false;
	text = whole.data == NULL ? "" : whole.data;
	star = strchr(text, '*');
	if (star == NULL)
		return strcmp(line, text) == 0;
	length = strlen(line);
	before = (size_t)(star - text);
	return length >= whole.length - 1 && strncmp(line, text, before) == 0 &&
	       strcmp(line + length - strlen(star + 1), star + 1) == 0;
}

static bool says(const struct phrase *phrases, size_t count, enum runtime_kind kind, const char *errors,
                 const char *name)
{
	mem_cleanup char *copy = str_dup(errors);
	char *rest = copy;

	for (char *line = strsep(&rest, "\n"); line != NULL; line = strsep(&rest, "\n")) {
		const char *words = str_trim(line);

		for (size_t i = 0; i < count; i++)
			if (phrases[i].kind == kind && line_is(words, phrases[i].line, name))
				return true;
	}
	return false;
}

bool container_says_no_container(enum runtime_kind kind, const char *errors, const char *name)
{
	return says(no_container, sizeof(no_container) / sizeof(no_container[0]), kind, errors, name);
}

bool container_says_no_network(enum runtime_kind kind, const char *errors, const char *name)
{
	return says(no_network, sizeof(no_network) / sizeof(no_network[0]), kind, errors, name);
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

void container_add_finding(struct runtime_findings *findings, const char *fix, const char *fmt, ...)
{
	char what[ERROR_MESSAGE_SIZE];
	va_list args;

	va_start(args, fmt);
	vsnprintf(what, sizeof(what), fmt, args);
	va_end(args);
	findings->v = mem_realloc(findings->v, findings->count + 1, sizeof(*findings->v));
	findings->v[findings->count++] =
	    (struct runtime_finding){ .ok = fix == NULL, .what = str_dup(what), .fix = str_dup(fix) };
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
