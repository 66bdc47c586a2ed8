#include "commands/commands.h"
#include "commands/print.h"

#include "base/file.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/proc.h"
#include "base/signals.h"
#include "network/network.h"
#include "runtime/probe.h"
#include "session/acquire.h"
#include "session/installer.h"
#include "session/run.h"
#include "session/search.h"
#include "session/start.h"
#include "store/node.h"
#include "store/npm.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static void print_findings(const struct runtime_findings *findings)
{
	for (size_t i = 0; i < findings->count; i++) {
		const struct runtime_finding *f = &findings->v[i];
		printf("%s  %s\n", !f->ok ? "FAIL" : f->note ? "note" : "ok  ", f->what);
		if (f->fix != NULL)
			printf("      fix: %s\n", f->fix);
	}
}

static bool print_findings_json(enum runtime_kind kind, const struct runtime_findings *findings, struct npxc_error *err)
{
	cJSON *json = cJSON_CreateObject();
	cJSON_AddStringToObject(json, "runtime", runtime_kind_word(kind));
	cJSON_AddStringToObject(json, "boundary", runtime_driver(kind)->boundary);
	cJSON *list = cJSON_AddArrayToObject(json, "findings");
	for (size_t i = 0; i < findings->count; i++) {
		cJSON *f = cJSON_CreateObject();
		cJSON_AddBoolToObject(f, "ok", findings->v[i].ok);
		if (findings->v[i].note)
			cJSON_AddBoolToObject(f, "note", true);
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

/* ---- this machine ---- */

/* npxc makes its directories itself: what has to be writable is the first one above them that is there. */
static void examine_directory(const char *path, const char *variable, struct runtime_findings *findings)
{
	mem_cleanup char *above = str_dup(path);
	char *slash;
	while (access(above, F_OK) != 0 && errno == ENOENT && (slash = strrchr(above, '/')) != NULL && slash != above)
		*slash = '\0';
	if (file_is_directory(above) && access(above, W_OK | X_OK) == 0)
		return;
	mem_cleanup char *fix =
	    str_printf("make it writable for this user, or set %s to a directory that is", variable);
	runtime_add_finding(findings, fix, "%s cannot be written: %s", above,
	                    file_is_directory(above) ? strerror(errno) : "not a directory");
}

static void examine_node(const struct inputs *in, const char *search, struct runtime_findings *findings)
{
	static const char advice[] =
	    "install Node.js 18 or newer with npm: https://nodejs.org, or apt-get install nodejs npm";
	const struct store_host host = { .store_directory = in->paths.store_directory,
		                         .path_variable = search,
		                         .home = in->paths.home,
		                         .cwd = in->cwd };
	struct npxc_error why = { 0 };
	struct node_facts facts;
	struct npm npm;
	if (!node_host(&host, &facts, &why)) {
		runtime_add_finding(findings, advice, "Node: %s", why.message);
		return;
	}
	runtime_add_finding(findings, NULL, "Node is %s, version %s", facts.files.program, facts.version);
	if (npm_find(&host, &facts, &npm, &why)) {
		runtime_add_finding(findings, NULL, "npm is %s, version %s", npm.directory, npm.version);
		npm_done(&npm);
	} else {
		runtime_add_finding(findings, advice, "npm: %s", why.message);
	}
	node_facts_done(&facts);
}

/* What every start needs beside its runtime. */
static void examine_host(const struct inputs *in, enum runtime_kind kind, const char *search,
                         struct runtime_findings *findings)
{
	if (!runtime_driver(kind)->has_containers) /* an image has its own */
		examine_node(in, search, findings);
	examine_directory(in->paths.store_directory, "XDG_CACHE_HOME", findings);
	examine_directory(in->paths.state_directory, "XDG_STATE_HOME", findings);
	const size_t before = findings->count;
	examine_directory(in->paths.data_directory, "XDG_DATA_HOME", findings);
	if (findings->count > before)
		runtime_note_last(findings); /* only storage.persist needs it */
}

/* ---- links ---- */

static const enum policy_link LINKS[] = { POLICY_LINK_NETNS, POLICY_LINK_SOCKET, POLICY_LINK_GATEWAY };
enum { LINK_COUNT = sizeof(LINKS) / sizeof(LINKS[0]) };

static bool has_link(const struct runtime *runtime, enum policy_link link)
{
	const struct policy policy = { .kind = POLICY_ALLOWLIST, .link = link };
	struct npxc_error ignored;
	if (link == POLICY_LINK_NETNS && inputs_is_restricted())
		return false;
	return network_check_policy(runtime, &policy, &ignored);
}

/* What an allowlist does not stop, for each link that a runtime of this kind may have. */
static void add_weaknesses(enum runtime_kind kind, struct runtime_findings *findings)
{
	const struct runtime newest = { .kind = kind, .is_root = geteuid() == 0, .number = { UINT_MAX } };
	for (size_t i = 0; i < LINK_COUNT; i++) {
		const char *weakness = route_weakness(LINKS[i]);
		if (weakness == NULL || !has_link(&newest, LINKS[i]))
			continue;
		runtime_add_finding(findings, NULL, "allowlist on link %s: %s", policy_link_word(LINKS[i]), weakness);
		findings->v[findings->count - 1].note = true;
	}
}

static bool add_node(struct session *s, struct launch *launch, struct npxc_error *err)
{
	struct installer installer;
	struct node_facts facts;
	if (runtime_driver(s->runtime.kind)->has_containers)
		return true; /* its image has its own */
	if (!installer_make(s, &installer, err))
		return false;
	const bool found = node_host(&installer.host, &facts, err);
	installer_done(&installer);
	if (!found)
		return false;
	if (node_add_mounts(&facts.files, STORE_GUEST_NODE, false, launch))
		launch->path_prefix = str_dup(STORE_GUEST_NODE "/bin");
	node_facts_done(&facts);
	return true;
}

static bool allow_one(struct session *s, enum policy_link link, const char *rule, struct npxc_error *err)
{
	struct strv allow = { 0 };
	strv_push(&allow, rule);
	const struct policy_sources sources = { .option = "allowlist",
		                                .link = policy_link_word(link),
		                                .option_allow = &allow };
	policy_done(&s->in.policy);
	const bool made = policy_make(&sources, &s->in.policy, err);
	strv_done(&allow);
	return made;
}

/*
 * An allowlist of one rule on this link, its way out, and a sandbox with Node and no package, whose command is still to
 * be given; owned. Nothing of it is written to the audit log: a guest of doctor's is nobody's server.
 */
static bool make_guest(struct session *s, enum policy_link link, const char *rule, struct network_choice *network,
                       struct launch *ret_launch, struct npxc_error *err)
{
	struct plan_draws draws;
	struct launch launch = { .name = plan_session_name("doctor", s->id),
		                 .home = str_dup("/home/npxc"),
		                 .directory = str_dup("/home/npxc"),
		                 .memory_bytes = s->in.config.defaults.memory_bytes,
		                 .cpu_millis = s->in.config.defaults.cpu_millis,
		                 .pids = LIMIT_SANDBOX_PIDS,
		                 .image = str_dup(s->in.config.defaults.node_image) };
	const struct route_settings settings = {
		.rules = &s->in.policy.rules, .link = link, .session = launch.name, .package = "doctor"
	};
	struct route route;
	bool fine = allow_one(s, link, rule, err) && add_node(s, &launch, err);
	plan_draw(s->id, &s->in.policy, &draws);
	fine = fine && network_choose(&s->runtime, &s->in.policy, draws.network, network, err) &&
	       route_plan(&settings, &draws.route, &route, err);
	plan_draws_done(&draws);
	if (fine) {
		s->route = mem_alloc(sizeof(*s->route));
		*s->route = route;
		route_add(s->route, network, &launch);
		fine = start_way_out(s, network, s->route, &launch, err);
	}
	if (!fine) {
		launch_done(&launch);
		return false;
	}
	*ret_launch = launch;
	return true;
}

/* One guest to its end. False: it could not be started, or said nothing. */
static bool run_guest(struct session *s, struct launch *launch, const struct probe_place *place, const char *word,
                      struct runtime_findings *findings, struct npxc_error *err)
{
	struct proc_result result;
	probe_command(place, &launch->command);
	if (!run_to_end(s, launch, s->route, LIMIT_PROBE_MS, NULL, NULL, &result, err))
		return false;
	const bool spoke = result.output.length > 0;
	if (spoke) {
		probe_judge(place, word, result.output.data, findings);
	} else {
		mem_cleanup char *how = proc_result_text(&result, LIMIT_PROBE_MS);
		mem_cleanup char *words = print_line(result.errors.data == NULL ? "" : result.errors.data, 300);
		error_set(err, ERROR_RUNTIME, "the guest said nothing: %s: %s", how, words);
	}
	proc_result_done(&result);
	return spoke;
}

static bool visit(struct session *s, const struct probe_greeter *greeter, enum policy_link link,
                  struct runtime_findings *findings, struct npxc_error *err)
{
	mem_cleanup char *rule = str_printf(RULES_HOST_ALIAS ":%u", greeter->loopback);
	struct network_choice network = { 0 };
	struct launch launch;
	bool spoke = make_guest(s, link, rule, &network, &launch, err);
	if (spoke) {
		const struct probe_place place = { .link = link,
			                           .loopback = greeter->loopback,
			                           .open = greeter->open,
			                           .gateway = network.network.gateway };
		spoke = run_guest(s, &launch, &place, greeter->word, findings, err);
		launch_done(&launch);
	}
	network_choice_done(&network);
	return spoke;
}

/* A session of its own for each link: what one leaves behind is none of the next one's. False: a signal, or no runtime.
 */
static bool probe_link(const struct options *options, const struct probe_greeter *greeter, enum policy_link link,
                       struct runtime_findings *findings, struct seen_links *seen, const char *when,
                       struct npxc_error *err)
{
	struct session s = SESSION_NONE;
	struct npxc_error why = { 0 };
	const size_t before = findings->count;
	if (!inputs_read(options, &s.in, err) || !acquire_runtime(&s, err)) {
		session_close(&s);
		return false;
	}
	const bool has = has_link(&s.runtime, link);
	const enum runtime_kind kind = s.runtime.kind;
	mem_cleanup char *version = str_dup(s.runtime.version);
	if (has && !visit(&s, greeter, link, findings, &why))
		runtime_add_finding(findings, "see above; the rest of this link was not tried", "link %s: %s",
		                    policy_link_word(link), why.message);
	session_close(&s);
	if (signals_caught() != 0) {
		*err = why;
		return false;
	}
	bool works = true;
	for (size_t i = before; i < findings->count; i++)
		works = works && findings->v[i].ok;
	if (has)
		seen_add(seen, kind, version, link, works, when);
	return true;
}

static void now_text(char text[static 32])
{
	const time_t now = time(NULL);
	struct tm parts = { 0 };
	gmtime_r(&now, &parts);
	if (strftime(text, 32, "%Y-%m-%dT%H:%M:%SZ", &parts) == 0)
		text[0] = '\0';
}

static bool probe(const struct inputs *in, enum runtime_kind kind, struct runtime_findings *findings,
                  struct npxc_error *err)
{
	struct probe_greeter greeter;
	struct seen_links seen = { 0 };
	char when[32];
	bool fine = true;
	now_text(when);
	if (!inputs_read_seen(in, &seen))
		seen = (struct seen_links){ 0 };
	seen_forget(&seen, kind);
	if (!probe_greeter_start(runtime_driver(kind)->has_containers, &greeter, err)) {
		seen_done(&seen);
		return false;
	}
	for (size_t i = 0; fine && i < LINK_COUNT; i++)
		fine = probe_link(in->options, &greeter, LINKS[i], findings, &seen, when, err);
	probe_greeter_end(&greeter);
	mem_cleanup char *file = inputs_seen_file(in);
	mem_cleanup char *text = seen_text(&seen);
	seen_done(&seen);
	return fine && file_make_directories(in->paths.state_directory, 0700, err) &&
	       file_write_atomic(file, text, strlen(text), 0600, err);
}

bool doctor_command(const struct options *options, int *ret_status, struct npxc_error *err)
{
	struct inputs in;
	enum runtime_kind kind;
	if (!inputs_read(options, &in, err))
		return false;
	if (!runtime_kind_of(options->runtime ? options->runtime : in.config.defaults.runtime, &kind, err)) {
		inputs_done(&in);
		return false;
	}
	const char *cli = inputs_cli_name(kind, &in.config);
	mem_cleanup char *search = search_path(in.paths.home, in.paths.state_directory);
	struct runtime_findings findings = { 0 };
	bool fine = true;
	runtime_examine(kind, cli, search, in.config.defaults.node_image, &findings);
	if (options->fix && !all_ok(&findings)) {
		fine = run_fixes(&findings, err);
		runtime_findings_done(&findings);
		if (fine)
			runtime_examine(kind, cli, search, in.config.defaults.node_image, &findings);
	}
	if (fine) {
		examine_host(&in, kind, search, &findings);
		add_weaknesses(kind, &findings);
	}
	if (fine && options->probe)
		fine = probe(&in, kind, &findings, err);
	if (!fine) {
		runtime_findings_done(&findings);
		inputs_done(&in);
		return false;
	}
	if (options->json) {
		fine = print_findings_json(kind, &findings, err);
	} else {
		printf("runtime   %s: %s\n", runtime_kind_word(kind), runtime_driver(kind)->boundary);
		print_findings(&findings);
	}
	*ret_status = all_ok(&findings) ? 0 : 2;
	runtime_findings_done(&findings);
	inputs_done(&in);
	return fine;
}
