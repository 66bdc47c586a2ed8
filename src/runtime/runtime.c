#include "runtime/runtime.h"

#include "base/mem.h"
#include "contain/reach.h"
#include "guest/first.h"
#include "runtime/driver.h"
#include "runtime/errors.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern char **environ;

bool runtime_kind_of(const char *word, enum runtime_kind *ret_kind, struct npxc_error *err)
{
	mem_cleanup char *shown = str_escape(word, strnlen(word, 64));

	if (strcmp(word, "auto") == 0) {
		*ret_kind = runtime_kind_auto;
		return true;
	}
	for (size_t i = 0; i < runtime_driver_count; i++) {
		if (strcmp(word, runtime_kind_word((enum runtime_kind)i)) == 0) {
			*ret_kind = (enum runtime_kind)i;
			return true;
		}
	}
	return error_set(err, ERROR_CONFIG, "unknown runtime \"%s\"; use " RUNTIMES_TEXT, shown);
}

const char *runtime_kind_word(enum runtime_kind kind)
{
	return runtime_driver(kind)->word;
}

bool runtime_find(enum runtime_kind kind, const char *cli_name, const char *path_variable, struct runtime *ret_runtime,
                  struct npxc_error *err)
{
	const struct runtime_driver *driver = runtime_driver(kind);

	return driver->find(driver, cli_name, path_variable, ret_runtime, err);
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

void runtime_start_add_data(struct runtime_start *start, int fd, const void *bytes, size_t length)
{
	char *copy = mem_alloc(length + 1);

	if (length > 0)
		memcpy(copy, bytes, length);
	start->data = mem_realloc(start->data, start->data_count + 1, sizeof(*start->data));
	start->data[start->data_count++] = (struct runtime_data){ .fd = fd, .bytes = copy, .length = length };
}

void runtime_start_add_source(struct runtime_start *start, int fd, int from)
{
	start->sources = mem_realloc(start->sources, start->source_count + 1, sizeof(*start->sources));
	start->sources[start->source_count++] = (struct runtime_source){ .fd = fd, .from = from };
}

void runtime_start_add_reach(struct runtime_start *start, const char *path, int fd)
{
	if (strv_contains(&start->reach, path))
		return;
	start->reach_as = mem_realloc(start->reach_as, start->reach.count + 1, sizeof(*start->reach_as));
	start->reach_as[start->reach.count] = fd;
	strv_push(&start->reach, path);
}

void runtime_start_done(struct runtime_start *start)
{
	for (size_t i = 0; i < start->data_count; i++)
		free(start->data[i].bytes);
	free(start->data);
	free(start->sources);
	free(start->reach_as);
	strv_done(&start->argv);
	strv_done(&start->env);
	strv_done(&start->reach);
	*start = (struct runtime_start){ .status_fd = -1 };
}

bool runtime_make_start(const struct runtime *runtime, const struct launch *launch, struct runtime_start *ret_start,
                        struct npxc_error *err)
{
	return runtime_driver(runtime->kind)->make_start(runtime, launch, ret_start, err);
}

/* The first program ended by itself; `said`: its line. */
static bool judge_first(const struct runtime *runtime, const char *said, struct npxc_error *err)
{
	static const struct {
		const char *said, *why;
	} not_run[] = { { FIRST_CANNOT_FIND, ": No such file or directory" },
		        { FIRST_MAY_NOT_RUN, ": Permission denied" },
		        { FIRST_CANNOT_RUN, "" } };
	const char *note = runtime_driver(runtime->kind)->replaced_note;

	if (str_starts(said, FIRST_OTHER))
		return error_set(err, ERROR_RUNTIME, REACH_REPLACED "%s", said + strlen(FIRST_OTHER),
		                 note == NULL ? "" : note);
	if (str_starts(said, FIRST_WRITABLE))
		return error_set(
		    err, ERROR_RUNTIME,
		    "%s would not have been read-only inside the sandbox: something was renamed or replaced "
		    "while it was being started; nothing was run, start it again",
		    said + strlen(FIRST_WRITABLE));
	for (size_t i = 0; i < sizeof(not_run) / sizeof(not_run[0]); i++)
		if (str_starts(said, not_run[i].said))
			return error_set(err, ERROR_RUNTIME, "the command \"%s\" cannot be run inside the sandbox%s",
			                 said + strlen(not_run[i].said), not_run[i].why);
	return error_set(err, ERROR_RUNTIME, "the sandbox's first program failed: %s", said);
}

bool runtime_shows(const struct runtime *runtime, const char *path)
{
	return strv_holds_path(&runtime->system_mounts, path) && !strv_holds_path(&runtime->system_hidden, path) &&
	       !strv_contains(&runtime->system_masks, path);
}

bool runtime_judge_end(const struct runtime *runtime, int exit_status, int term_signal, const char *status_text,
                       const char *errors, int *ret_status, struct npxc_error *err)
{
	int status;

	if (!runtime_driver(runtime->kind)
	         ->judge_end(runtime, exit_status, term_signal, status_text, errors, &status, err))
		return false;
	mem_cleanup char *said = status == FIRST_STATUS ? errors_line(errors, FIRST_PREFIX) : NULL;
	if (said != NULL)
		return judge_first(runtime, said, err);
	*ret_status = status;
	return true;
}

static bool is_one_of(const char *const *patterns, const char *name)
{
	for (size_t i = 0; patterns[i] != NULL; i++) {
		const size_t length = strlen(patterns[i]);

		if (patterns[i][length - 1] == '*' ? strncmp(patterns[i], name, length - 1) == 0
		                                   : strcmp(patterns[i], name) == 0)
			return true;
	}
	return false;
}

bool runtime_is_steering(const struct runtime_driver *driver, const char *name)
{
	return driver->steering != NULL && is_one_of(driver->steering, name);
}

void runtime_environment(enum runtime_kind kind, struct strv *environment)
{
	for (char **p = environ; *p != NULL; p++) {
		mem_cleanup char *name = str_dup_n(*p, strcspn(*p, "="));

		if (runtime_is_steering(runtime_driver(kind), name))
			strv_push(environment, *p);
	}
}

void runtime_remove_argv(const struct runtime *runtime, const char *name, struct strv *ret_argv)
{
	const char *const *words = runtime_driver(runtime->kind)->remove_words;

	*ret_argv = (struct strv){ 0 };
	if (words == NULL)
		return;
	strv_push(ret_argv, runtime->cli);
	while (*words != NULL)
		strv_push(ret_argv, *words++);
	strv_push(ret_argv, name);
}

bool runtime_list_ours(const struct runtime *runtime, struct strv *ret_containers, struct strv *ret_networks,
                       struct strv *ret_busy, struct npxc_error *err)
{
	const struct runtime_driver *driver = runtime_driver(runtime->kind);

	return !driver->has_containers || driver->list_ours(runtime, ret_containers, ret_networks, ret_busy, err);
}

void runtime_examine(enum runtime_kind kind, const char *cli_name, const char *path_variable, const char *image,
                     struct runtime_findings *ret_findings)
{
	const struct runtime_driver *driver = runtime_driver(kind);

	driver->examine(driver, cli_name, path_variable, image, ret_findings);
}

void runtime_add_finding(struct runtime_findings *findings, const char *fix, const char *fmt, ...)
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

void runtime_note_last(struct runtime_findings *findings)
{
	struct runtime_finding *last = &findings->v[findings->count - 1];

	last->note = last->note || !last->ok;
	last->ok = true;
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
