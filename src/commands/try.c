#include "commands/commands.h"
#include "commands/describe.h"
#include "commands/print.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/signals.h"
#include "relay/client.h"
#include "session/acquire.h"
#include "session/run.h"
#include "session/withheld.h"
#include "store/variables.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A look at a server before it is added to a client: installs it, starts it, shakes hands, lists its tools, ends it. */

enum {
	ANSWER_MS = 60000, /* SDKs wait as long for one answer */
	END_MS = 5000, /* after its stdin was closed; two of seventy real servers need longer than 3 s or never end */
};

struct seen {
	cJSON *hello, *tools;
	int64_t start_us, initialize_us, tools_us, end_us;
	bool ended_by_itself;
	unsigned stray_lines;
	char *errors; /* the end of the server's stderr */
};

static bool talk(struct client *client, struct seen *seen, struct npxc_error *err)
{
	int64_t began = clock_now_us();
	if (!client_handshake(client, ANSWER_MS, &seen->hello, err))
		return false;
	seen->initialize_us = clock_now_us() - began;
	const cJSON *capabilities = cJSON_GetObjectItemCaseSensitive(seen->hello, "capabilities");
	if (cJSON_GetObjectItemCaseSensitive(capabilities, "tools") == NULL) {
		seen->tools = cJSON_CreateArray();
		return true;
	}
	began = clock_now_us();
	if (!client_list(client, "tools/list", "tools", ANSWER_MS, &seen->tools, err))
		return false;
	seen->tools_us = clock_now_us() - began;
	return true;
}

/* Why a server that failed did so usually stands in its last lines. */
static bool explain(struct seen *seen, int status, bool ran, struct npxc_error *err)
{
	mem_cleanup char *trimmed = str_dup(seen->errors == NULL ? "" : seen->errors);
	char *tail = str_trim(trimmed);
	const size_t length = strlen(tail);
	if (length > 200)
		tail += length - 200;
	mem_cleanup char *words = print_line(tail, 200);
	if (ran && status != 0)
		return error_set(err, ERROR_RUNTIME, "%s (it ended with status %d); it says: %s", err->message, status,
		                 words[0] == '\0' ? "nothing" : words);
	if (words[0] != '\0')
		return error_set(err, ERROR_RUNTIME, "%s; it says: %s", err->message, words);
	return false;
}

static bool visit(struct session *s, struct seen *seen, struct npxc_error *err)
{
	struct sandbox sandbox;
	struct client client;
	int64_t began = clock_now_us();
	if (!acquire_surroundings(s, err) || !acquire_server(s, &sandbox, err))
		return false;
	seen->start_us = clock_now_us() - began;
	bool fine = client_init(&client, sandbox.input, sandbox.output, sandbox.errors, signals_fd(), err);
	if (!fine) {
		sandbox_done(&sandbox);
		return false;
	}
	withheld_tell_limits(s);
	withheld_watch(s, &sandbox);
	fine = talk(&client, seen, err);
	began = clock_now_us();
	fd_close(&sandbox.input);
	if (fine)
		seen->ended_by_itself = client_drain(&client, END_MS);
	seen->stray_lines = client.stray_lines;
	if (!fine)
		(void)client_drain(&client, 500); /* its last words */
	int status = 0;
	struct npxc_error judged = { 0 };
	seen->errors = str_dup_n(client.errors.data == NULL ? "" : client.errors.data, client.errors.length);
	client_done(&client);
	const bool ran = run_finish(s, &sandbox, seen->errors, &status, &judged);
	seen->end_us = clock_now_us() - began;
	sandbox_done(&sandbox);
	withheld_tell_trouble(s);
	if (fine)
		return true;
	if (!ran) {
		*err = judged;
		return false;
	}
	return explain(seen, status, ran, err);
}

/* ---- what is shown ---- */

static const char *text_of(const cJSON *object, const char *key)
{
	const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, key));
	return text == NULL ? "" : text;
}

static void print_server(const struct seen *seen)
{
	const cJSON *info = cJSON_GetObjectItemCaseSensitive(seen->hello, "serverInfo");
	mem_cleanup char *name = print_line(text_of(info, "name"), 80);
	mem_cleanup char *version = print_line(text_of(info, "version"), 40);
	mem_cleanup char *protocol = print_line(text_of(seen->hello, "protocolVersion"), 40);
	printf("%-10s%s %s, protocol %s\n", "server", name, version, protocol);
	if (seen->stray_lines > 0)
		printf("%-10s%u lines on stdout that are not MCP\n", "", seen->stray_lines);
	printf("%-10s%d\n", "tools", cJSON_GetArraySize(seen->tools));
	const cJSON *tool;
	cJSON_ArrayForEach(tool, seen->tools)
	{
		mem_cleanup char *tool_name = print_line(text_of(tool, "name"), 64);
		mem_cleanup char *what = print_line(text_of(tool, "description"), 90);
		printf("  %-32s %s\n", tool_name, what);
	}
}

static bool is_forwarded(const struct session *s, const char *name)
{
	return strv_contains(&s->plan.env_names, name);
}

static void print_variables(const struct session *s, const struct strv *names)
{
	printf("%-10s%s\n", "reads", names->count == 0 ? "no variable in its own files" : "");
	for (size_t i = 0; i < names->count; i++) {
		const char *name = names->v[i];
		const bool set_here = getenv(name) != NULL;
		if (is_forwarded(s, name))
			print_row("  %-32s set in the sandbox", name);
		else if (set_here && !variables_is_common(name, false))
			print_row("  %-32s set here, not forwarded; -e %s would", name, name);
		else
			print_row("  %s", name);
	}
}

static void print_times(const struct session *s, const struct seen *seen)
{
	mem_cleanup char *install = print_duration(s->install_us);
	mem_cleanup char *plan = print_duration(s->plan_us);
	mem_cleanup char *start = print_duration(seen->start_us);
	mem_cleanup char *initialize = print_duration(seen->initialize_us);
	mem_cleanup char *tools = print_duration(seen->tools_us);
	mem_cleanup char *end = print_duration(seen->end_us);
	printf("%-10s%s %s, plan %s, sandbox %s, initialize %s, tools/list %s, end %s%s\n", "times",
	       s->package.installed_now ? "install" : "look up", install, plan, start, initialize, tools, end,
	       seen->ended_by_itself ? "" : " (the server did not end when its stdin closed)");
}

static cJSON *variables_json(const struct session *s, const struct strv *names)
{
	cJSON *list = cJSON_CreateArray();
	for (size_t i = 0; i < names->count; i++) {
		cJSON *variable = cJSON_CreateObject();
		cJSON_AddStringToObject(variable, "name", names->v[i]);
		cJSON_AddBoolToObject(variable, "set_here", getenv(names->v[i]) != NULL);
		cJSON_AddBoolToObject(variable, "forwarded", is_forwarded(s, names->v[i]));
		cJSON_AddItemToArray(list, variable);
	}
	return list;
}

static bool print_all_json(const struct session *s, struct seen *seen, const struct strv *names, struct npxc_error *err)
{
	cJSON *json = cJSON_CreateObject();
	cJSON_AddItemToObject(json, "plan", describe_json(s));
	cJSON_AddItemToObject(json, "initialize", cJSON_Duplicate(seen->hello, true));
	cJSON_AddItemToObject(json, "tools", cJSON_Duplicate(seen->tools, true));
	cJSON_AddItemToObject(json, "variables", variables_json(s, names));
	cJSON *times = cJSON_AddObjectToObject(json, "times_ms");
	cJSON_AddNumberToObject(times, s->package.installed_now ? "install" : "look_up", (double)s->install_us / 1e3);
	cJSON_AddNumberToObject(times, "plan", (double)s->plan_us / 1e3);
	cJSON_AddNumberToObject(times, "sandbox", (double)seen->start_us / 1e3);
	cJSON_AddNumberToObject(times, "initialize", (double)seen->initialize_us / 1e3);
	cJSON_AddNumberToObject(times, "tools_list", (double)seen->tools_us / 1e3);
	cJSON_AddNumberToObject(times, "end", (double)seen->end_us / 1e3);
	cJSON_AddBoolToObject(json, "ended_by_itself", seen->ended_by_itself);
	cJSON_AddNumberToObject(json, "stray_lines", seen->stray_lines);
	const bool fine = print_json(json, err);
	cJSON_Delete(json);
	return fine;
}

static bool show(const struct session *s, struct seen *seen, struct npxc_error *err)
{
	struct strv names = { 0 };
	bool complete = true;
	struct npxc_error ignored;
	const char *root = s->package.package_root == NULL ? "" : s->package.package_root;
	if (!variables_scan(s->package.directory, root, false, &names, &complete, &ignored))
		log_info("try", "cannot look for variables: %s", ignored.message);
	bool fine = true;
	if (s->in.options->json) {
		fine = print_all_json(s, seen, &names, err);
	} else {
		print_server(seen);
		print_variables(s, &names);
		if (!complete)
			printf("%-10snot all files were searched for variables\n", "");
		print_times(s, seen);
	}
	strv_done(&names);
	return fine;
}

static void say_line(void *context, const char *line)
{
	mem_cleanup char *whole = str_printf("%s\n", line);
	(void)context;
	log_line(whole);
}

/* Who was refused is said when all has been read: the process has ended, so nothing is missing. */
static void show_denials(const struct session *s)
{
	if (s->route == NULL)
		return;
	route_stop(s->route);
	while (run_report_denials(s, &(struct run_report){ .say = say_line }))
		;
}

bool try_command(const struct options *options, int *ret_status, struct npxc_error *err)
{
	struct session s = SESSION_NONE;
	struct seen seen = { 0 };
	if (!inputs_read(options, &s.in, err) || !acquire_plan(&s, err)) {
		session_close(&s);
		return false;
	}
	if (!options->json) {
		describe_text(&s, false);
		fflush(stdout);
	}
	const bool visited = visit(&s, &seen, err);
	const bool fine = visited && show(&s, &seen, err);
	fflush(stdout);
	show_denials(&s);
	cJSON_Delete(seen.hello);
	cJSON_Delete(seen.tools);
	free(seen.errors);
	session_close(&s);
	*ret_status = 0;
	return fine;
}
