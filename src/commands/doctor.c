#include "commands/commands.h"
#include "commands/prepare.h"
#include "commands/print.h"

#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/proc.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>

static void print_findings(const struct runtime_findings *findings)
{
	for (size_t i = 0; i < findings->count; i++) {
		const struct runtime_finding *f = &findings->v[i];
		printf("%s  %s\n", f->ok ? "ok  " : "FAIL", f->what);
		if (!f->ok && f->fix != NULL)
			printf("      fix: %s\n", f->fix);
	}
}

static bool print_findings_json(enum runtime_kind kind, const struct runtime_findings *findings, struct npxc_error *err)
{
	cJSON *json = cJSON_CreateObject();
	cJSON_AddStringToObject(json, "runtime", runtime_kind_word(kind));
	cJSON_AddStringToObject(json, "boundary", runtime_boundary(kind));
	cJSON *list = cJSON_AddArrayToObject(json, "findings");
	for (size_t i = 0; i < findings->count; i++) {
		cJSON *f = cJSON_CreateObject();
		cJSON_AddBoolToObject(f, "ok", findings->v[i].ok);
		cJSON_AddStringToObject(f, "what", findings->v[i].what);
		if (findings->v[i].fix != NULL)
			cJSON_AddStringToObject(f, "fix", findings->v[i].fix);
		cJSON_AddItemToArray(list, f);
	}
	const bool fine = print_json(json, err);
	cJSON_Delete(json);
	return fine;
}

/* Runs the commands that the findings offer, each named before it runs. */
static bool run_fixes(const struct runtime_findings *findings, struct npxc_error *err)
{
	for (size_t i = 0; i < findings->count; i++) {
		const struct runtime_finding *f = &findings->v[i];
		if (f->ok || f->fix_argv.count == 0)
			continue;
		mem_cleanup char *line = strv_shell(&f->fix_argv);
		log_notice("running: %s", line);
		const struct proc_command command = { .argv = f->fix_argv.v,
			                              .timeout_ms = LIMIT_INSTALL_MS,
			                              .max_output_bytes = LIMIT_CLI_OUTPUT_BYTES };
		struct proc_result result;
		if (!proc_run(&command, &result, err))
			return false;
		mem_cleanup char *how = proc_result_text(&result, command.timeout_ms);
		mem_cleanup char *words = print_line(result.errors.data == NULL ? "" : result.errors.data, 300);
		const bool fine = result.exit_status == 0;
		proc_result_done(&result);
		if (!fine)
			return error_set(err, ERROR_RUNTIME, "%s: %s: %s", line, how, words);
	}
	return true;
}

static bool all_ok(const struct runtime_findings *findings)
{
	for (size_t i = 0; i < findings->count; i++)
		if (!findings->v[i].ok)
			return false;
	return true;
}

bool doctor_command(const struct options *options, int *ret_status, struct npxc_error *err)
{
	struct prepared p;
	enum runtime_kind kind;
	if (!prepare_config(options, &p, err))
		return false;
	if (!runtime_kind_of(options->runtime ? options->runtime : p.config.defaults.runtime, &kind, err)) {
		prepare_done(&p);
		return false;
	}
	const char *cli = prepare_cli_name(kind, &p.config);
	mem_cleanup char *search = paths_search(getenv("PATH"));
	struct runtime_findings findings = { 0 };
	bool fine = true;
	runtime_examine(kind, cli, search, p.config.defaults.node_image, &findings);
	if (options->fix && !all_ok(&findings)) {
		fine = run_fixes(&findings, err);
		runtime_findings_done(&findings);
		if (fine)
			runtime_examine(kind, cli, search, p.config.defaults.node_image, &findings);
	}
	if (!fine) {
		prepare_done(&p);
		return false;
	}
	if (options->json) {
		fine = print_findings_json(kind, &findings, err);
	} else {
		printf("runtime   %s: %s\n", runtime_kind_word(kind), runtime_boundary(kind));
		print_findings(&findings);
	}
	*ret_status = all_ok(&findings) ? 0 : 2;
	runtime_findings_done(&findings);
	prepare_done(&p);
	return fine;
}
