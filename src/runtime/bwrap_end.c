#include "runtime/bwrap.h"

#include "base/mem.h"
#include "contain/reach.h"
#include "json/parse.h"

#include <cjson/cJSON.h>
#include <limits.h>
#include <string.h>

/* The pure part of the driver that judges what bubblewrap left behind. */

struct status {
	bool started;  /* bubblewrap made its first process */
	bool executed; /* ... and that became the command, which has ended with exit_code */
	int exit_code;
};

/* JSON documents one after the other. A cut or unknown one ends the reading: what was read before it counts. */
static struct status read_status(const char *text)
{
	struct status status = { 0 };
	struct json_reader reader;
	cJSON *document;

	json_start(&reader, text != NULL ? text : "", text != NULL ? strlen(text) : 0);
	while ((document = parse_next(&reader, NULL)) != NULL) {
		const cJSON *code = cJSON_GetObjectItemCaseSensitive(document, "exit-code");
		status.started = status.started || cJSON_HasObjectItem(document, "child-pid");
		if (cJSON_IsNumber(code)) {
			status.executed = true;
			status.exit_code = code->valueint;
		}
		cJSON_Delete(document);
	}
	return status;
}

/* bubblewrap's last line on stderr without its name; owned, NULL when it wrote none. */
static char *last_line(const char *errors)
{
	static const char name[] = "bwrap: ";
	const char *found = NULL;

	for (const char *line = errors; line != NULL && *line != '\0';) {
		const char *end = strchr(line, '\n');

		if (str_starts(line, name))
			found = line + strlen(name);
		line = end != NULL ? end + 1 : NULL;
	}
	return found != NULL ? str_escape(found, strcspn(found, "\n")) : NULL;
}

static bool contains_any(const char *text, const char *const *words, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (strstr(text, words[i]) != NULL)
			return true;
	return false;
}

static bool is_namespace_refusal(const char *line)
{
	static const char *const refusals[] = {
		"No permissions to create new namespace",   /* EPERM: Debian's sysctl, containers */
		"No permissions to creating new namespace", /* the same, older spelling */
		"Creating new namespace failed",            /* kernel without them, ENOSPC: user.max_user_namespaces */
		"setting up uid map",                       /* Ubuntu's AppArmor restriction */
		"setting up gid map",
		"loopback: Failed", /* the same, when the namespace is made but holds no capability */
		"max_user_namespaces",
	};

	return contains_any(line, refusals, sizeof(refusals) / sizeof(refusals[0]));
}

static bool judge_failure(int exit_status, const char *errors, struct npxc_error *err)
{
	static const char exec_failed[] = "execvp ";
	mem_cleanup char *line = last_line(errors);

	if (line == NULL)
		return error_set(err, ERROR_RUNTIME, "bubblewrap ended with status %d before the server started",
		                 exit_status);
	if (is_namespace_refusal(line))
		return error_set(
		    err, ERROR_RUNTIME_UNAVAILABLE,
		    "bubblewrap may not make user namespaces here (%.160s); on Ubuntu 24.04 and later install an "
		    "AppArmor "
		    "profile for bwrap or set kernel.apparmor_restrict_unprivileged_userns=0, on Debian set "
		    "kernel.unprivileged_userns_clone=1, elsewhere raise user.max_user_namespaces; see npxc doctor",
		    line);
	if (strstr(line, "Race condition binding") != NULL)
		return error_set(err, ERROR_RUNTIME, REACH_REPLACED, "a mounted file");
	if (strstr(line, "nknown option") != NULL)
		return error_set(err, ERROR_RUNTIME_UNAVAILABLE,
		                 "this bubblewrap is too old (%s); install version 0.8.0 or later", line);
	if (str_starts(line, exec_failed)) {
		const char *command = line + strlen(exec_failed);
		const char *colon = strrchr(command, ':');
		int length = colon != NULL ? (int)(colon - command) : (int)strlen(command);

		return error_set(err, ERROR_RUNTIME, "the command \"%.*s\" cannot be run inside the sandbox%s", length,
		                 command, colon != NULL ? colon : "");
	}
	return error_set(err, ERROR_RUNTIME, "bubblewrap could not make the sandbox: %s", line);
}

bool bwrap_judge_end(const struct runtime *runtime, int exit_status, int term_signal, const char *status_text,
                     const char *errors, int *ret_status, struct npxc_error *err)
{
	struct status status = read_status(status_text);

	(void)runtime;
	if (status.executed) {
		*ret_status = status.exit_code;
		return true;
	}
	if (term_signal == 0)
		return judge_failure(exit_status, errors, err);
	if (!status.started)
		return error_set(err, ERROR_RUNTIME, "bubblewrap was ended by signal %d before the server started",
		                 term_signal);
	/* The group was killed, the server with it. */
	*ret_status = 128 + term_signal;
	return true;
}

/* {"child-pid": 4711} comes first. */
pid_t bwrap_first_pid(const char *status_text)
{
	struct json_reader reader;
	cJSON *document;
	pid_t pid = 0;

	json_start(&reader, status_text, strlen(status_text));
	while (pid == 0 && (document = parse_next(&reader, NULL)) != NULL) {
		const cJSON *number = cJSON_GetObjectItemCaseSensitive(document, "child-pid");

		if (cJSON_IsNumber(number) && number->valuedouble > 1 && number->valuedouble < INT_MAX)
			pid = (pid_t)number->valuedouble;
		cJSON_Delete(document);
	}
	return pid;
}
