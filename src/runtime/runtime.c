#include "runtime/runtime.h"

#include "base/mem.h"
#include "contain/reach.h"
#include "guest/first.h"
#include "runtime/apple.h"
#include "runtime/bwrap.h"
#include "runtime/container.h"
#include "runtime/podman.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const struct {
	const char *word;
	const char *boundary;
} kinds[] = {
	[RUNTIME_BWRAP] = { "bwrap", "user namespaces and seccomp on the host's kernel (bubblewrap)" },
	[RUNTIME_APPLE] = { "apple", "a virtual machine of its own (Apple container)" },
	[RUNTIME_PODMAN] = { "podman", "a container on the host's kernel (podman)" },
	[RUNTIME_DOCKER] = { "docker", "a container on the host's kernel (docker)" },
};

bool runtime_kind_of(const char *word, enum runtime_kind *ret_kind, struct npxc_error *err)
{
	mem_cleanup char *shown = str_escape(word, strnlen(word, 64));

	if (strcmp(word, "auto") == 0) {
#ifdef __APPLE__
		*ret_kind = RUNTIME_APPLE;
#else
		*ret_kind = RUNTIME_BWRAP;
#endif
		return true;
	}
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (strcmp(word, kinds[i].word) == 0) {
			*ret_kind = (enum runtime_kind)i;
			return true;
		}
	}
	return error_set(err, ERROR_CONFIG, "unknown runtime \"%s\"; use auto, bwrap, apple, podman or docker", shown);
}

const char *runtime_kind_word(enum runtime_kind kind)
{
	return kinds[kind].word;
}

const char *runtime_boundary(enum runtime_kind kind)
{
	return kinds[kind].boundary;
}

bool runtime_find(enum runtime_kind kind, const char *cli_name, const char *path_variable, struct runtime *ret_runtime,
                  struct npxc_error *err)
{
	switch (kind) {
	case RUNTIME_BWRAP:
		return bwrap_find(cli_name, path_variable, ret_runtime, err);
	case RUNTIME_APPLE:
		return apple_find(cli_name, path_variable, ret_runtime, err);
	case RUNTIME_PODMAN:
	case RUNTIME_DOCKER:
		break;
	}
	return podman_find(kind, cli_name, path_variable, ret_runtime, err);
}

void runtime_done(struct runtime *runtime)
{
	free(runtime->cli);
	free(runtime->version);
	free(runtime->filter);
	strv_done(&runtime->environment);
	strv_done(&runtime->system_mounts);
	strv_done(&runtime->system_links);
	strv_done(&runtime->system_hidden);
	strv_done(&runtime->system_masks);
	*runtime = (struct runtime){ .kind = runtime->kind };
}

bool runtime_make_start(const struct runtime *runtime, const struct launch *launch, struct runtime_start *ret_start,
                        struct npxc_error *err)
{
	switch (runtime->kind) {
	case RUNTIME_BWRAP:
		return bwrap_make_start(runtime, launch, ret_start, err);
	case RUNTIME_APPLE:
		return apple_make_start(runtime, launch, ret_start, err);
	case RUNTIME_PODMAN:
	case RUNTIME_DOCKER:
		break;
	}
	return podman_make_start(runtime, launch, ret_start, err);
}

static bool judge_end(const struct runtime *runtime, int exit_status, int term_signal, const char *status_text,
                      const char *errors, int *ret_status, struct npxc_error *err)
{
	switch (runtime->kind) {
	case RUNTIME_BWRAP:
		return bwrap_judge_end(runtime, exit_status, term_signal, status_text, errors, ret_status, err);
	case RUNTIME_APPLE:
		return apple_judge_end(runtime, exit_status, term_signal, status_text, errors, ret_status, err);
	case RUNTIME_PODMAN:
	case RUNTIME_DOCKER:
		break;
	}
	return podman_judge_end(runtime, exit_status, term_signal, status_text, errors, ret_status, err);
}

/* The first program ended by itself; `said`: its line. */
static bool judge_first(const struct runtime *runtime, const char *said, struct npxc_error *err)
{
	const char *engine = runtime->kind == RUNTIME_DOCKER ? " (an engine in a machine of its own, such as Docker "
	                                                       "Desktop, cannot be used with mounts)"
	                                                     : "";

	if (str_starts(said, FIRST_OTHER))
		return error_set(err, ERROR_RUNTIME, REACH_REPLACED "%s", said + strlen(FIRST_OTHER), engine);
	if (str_starts(said, FIRST_WRITABLE))
		return error_set(
		    err, ERROR_RUNTIME,
		    "%s would not have been read-only inside the sandbox: something was renamed or replaced "
		    "while it was being started; nothing was run, start it again",
		    said + strlen(FIRST_WRITABLE));
	if (str_starts(said, FIRST_CANNOT_RUN))
		return error_set(err, ERROR_RUNTIME, "the command \"%s\" cannot be run inside the sandbox",
		                 said + strlen(FIRST_CANNOT_RUN));
	return error_set(err, ERROR_RUNTIME, "the sandbox's first program failed: %s", said);
}

bool runtime_judge_end(const struct runtime *runtime, int exit_status, int term_signal, const char *status_text,
                       const char *errors, int *ret_status, struct npxc_error *err)
{
	int status;

	if (!judge_end(runtime, exit_status, term_signal, status_text, errors, &status, err))
		return false;
	mem_cleanup char *said = status == FIRST_STATUS ? container_error_line(errors, FIRST_PREFIX) : NULL;
	if (said != NULL)
		return judge_first(runtime, said, err);
	*ret_status = status;
	return true;
}

void runtime_remove_argv(const struct runtime *runtime, const char *name, struct strv *ret_argv)
{
	switch (runtime->kind) {
	case RUNTIME_BWRAP:
		bwrap_remove_argv(runtime, name, ret_argv);
		return;
	case RUNTIME_APPLE:
		apple_remove_argv(runtime, name, ret_argv);
		return;
	case RUNTIME_PODMAN:
	case RUNTIME_DOCKER:
		break;
	}
	podman_remove_argv(runtime, name, ret_argv);
}

void runtime_environment(enum runtime_kind kind, struct strv *environment)
{
	switch (kind) {
	case RUNTIME_APPLE:
		container_environment(&apple_dialect, environment);
		return;
	case RUNTIME_PODMAN:
		container_environment(&podman_dialect, environment);
		return;
	case RUNTIME_DOCKER:
		container_environment(&docker_dialect, environment);
		return;
	case RUNTIME_BWRAP:
		return;
	}
}

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

bool runtime_list_ours(const struct runtime *runtime, struct strv *ret_containers, struct strv *ret_networks,
                       struct strv *ret_busy, struct npxc_error *err)
{
	static const char *const podman_containers[] = {
		"ps", "-a", "--no-trunc", "--format", "{{.Names}}\t{{.State}}\t{{.Networks}}", NULL
	};
	static const char *const podman_networks[] = { "network", "ls", "--format", "{{.Name}}", NULL };
	/* The option prints the identifiers, which are the names, one a line. */
	static const char *const apple_containers[] = { "list", "--all", "--quiet", NULL };
	static const char *const apple_running[] = { "list", "--quiet", NULL };
	static const char *const apple_networks[] = { "network", "list", "--quiet", NULL };
	const bool apple = runtime->kind == RUNTIME_APPLE;
	struct strv containers = { 0 };
	struct strv busy = { 0 };

	if (runtime->kind == RUNTIME_BWRAP)
		return true;
	if (!container_list(runtime, apple ? apple_containers : podman_containers, "npxc-", &containers, err))
		return false;
	split_rows(&containers, &busy);
	if ((apple && !container_list(runtime, apple_running, "npxc-", &busy, err)) ||
	    !container_list(runtime, apple ? apple_networks : podman_networks, "npxc-", ret_networks, err)) {
		strv_done(&containers);
		strv_done(&busy);
		return false;
	}
	*ret_containers = containers;
	*ret_busy = busy;
	return true;
}

void runtime_examine(enum runtime_kind kind, const char *cli_name, const char *path_variable, const char *image,
                     struct runtime_findings *ret_findings)
{
	switch (kind) {
	case RUNTIME_BWRAP:
		bwrap_examine(cli_name, path_variable, ret_findings);
		return;
	case RUNTIME_APPLE:
		apple_examine(cli_name, path_variable, ret_findings);
		return;
	case RUNTIME_PODMAN:
	case RUNTIME_DOCKER:
		break;
	}
	podman_examine(kind, cli_name, path_variable, image, ret_findings);
}

void runtime_findings_done(struct runtime_findings *findings)
{
	for (size_t i = 0; i < findings->count; i++) {
		free(findings->v[i].what);
		free(findings->v[i].fix);
		strv_done(&findings->v[i].fix_argv);
	}
	free(findings->v);
	*findings = (struct runtime_findings){ 0 };
}
