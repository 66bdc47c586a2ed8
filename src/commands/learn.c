#include "commands/commands.h"
#include "commands/print.h"

#include "base/file.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/signals.h"
#include "config/edit.h"
#include "config/package_dir.h"
#include "session/acquire.h"
#include "session/run.h"
#include "json/texts.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/*
 * A run with an allowlist, and at its end the rules that it lacked. stdout is the client's as in every run: what learn
 * has to say goes to stderr. A signal ends the session as ever, and what was seen until then is proposed.
 */

static bool check_network(const struct session *s, struct npxc_error *err)
{
	const struct policy_sources sources = {
		.option = s->in.options->network,
		.network_mode = s->in.package_config.network_mode,
		.runtime_network = s->in.package_config.runtime_network,
		.defaults_network = s->in.config.defaults.network,
	};
	struct policy policy;
	if (!policy_make(&sources, &policy, err))
		return false;
	const bool named = policy.kind == POLICY_NAMED;
	mem_cleanup char *text = policy_text(&policy);
	const char *origin = policy.origin;
	policy_done(&policy);
	return !named || error_set(err, ERROR_CONFIG,
	                           "%s is %s, a network of the runtime; `npxc learn --network allowlist` runs %s with "
	                           "an allowlist instead",
	                           origin, text, store_package_label(&s->package));
}

static void note_ports(const struct session *s)
{
	if (s->in.policy.link == POLICY_LINK_NETNS && !s->plan.route->wish.any)
		log_notice("learn: there is no nft (apt-get install nftables), so connections are seen to usual ports "
		           "and those of rules only");
}

static void say_line(void *context, const char *line)
{
	mem_cleanup char *whole = str_printf("%s\n", line);
	(void)context;
	log_line(whole);
}

/* What had not been read when the relay ended. The process has ended then, so nothing is missing. */
static void take_the_rest(struct session *s, struct learned *learned)
{
	const struct run_report rest = { .learned = learned, .say = say_line };
	route_stop(s->route);
	while (run_report_denials(s, &rest))
		;
}

/* ---- the proposal ---- */

struct lesson {
	char *package, *file; /* owned */
	char *before, *after; /* owned; texts of the file; NULL: there is none; no rule is proposed */
	char *diff;           /* owned */
	struct learned_proposal proposal;
	bool full; /* more may have been refused than was told */
	bool written;
};

static void lesson_done(struct lesson *lesson)
{
	free(lesson->package);
	free(lesson->file);
	free(lesson->before);
	free(lesson->after);
	free(lesson->diff);
	learned_proposal_done(&lesson->proposal);
}

/* The file as it is now: a session may last for days. */
static bool read_file(const char *file, char **ret_text, struct npxc_error *err)
{
	BUF_CLEANUP struct buf bytes = BUF_INIT(LIMIT_CONFIG_BYTES);
	struct npxc_error why = { 0 };
	if (file_read(file, &bytes, &why)) {
		*ret_text = buf_take(&bytes);
		return true;
	}
	*err = why;
	return why.sys_errno == ENOENT;
}

/* What a new file for a directory says before any rule: whose it is. Owned; NULL for a package of a registry. */
static char *first_text(const struct session *s)
{
	if (s->package.source == NULL)
		return NULL;
	cJSON *path = cJSON_CreateString(s->package.source);
	mem_cleanup char *quoted = cJSON_PrintUnformatted(path);
	cJSON_Delete(path);
	return str_printf("{\n  \"package_dir\": %s\n}\n", quoted);
}

/* The file that applies now: of a directory another one may have come to name it. Owned. */
static bool find_file(const struct session *s, char **ret_file, struct npxc_error *err)
{
	struct config_package now;
	if (s->package.source == NULL) {
		*ret_file = str_dup(s->in.package_config.file);
		return true;
	}
	if (!package_dir_load(s->in.paths.packages_directory, s->package.source, &now, err))
		return false;
	*ret_file = str_dup(now.file);
	config_package_done(&now);
	return true;
}

static bool check_owner(const struct session *s, const struct lesson *lesson, const struct config_package *now,
                        struct npxc_error *err)
{
	if (now->package_dir == NULL || s->package.source != NULL)
		return true;
	return error_set(err, ERROR_CONFIG, "%s is for %s (package_dir) and not for %s; call that file otherwise",
	                 lesson->file, now->package_dir, lesson->package);
}

static bool propose(const struct session *s, const struct learned *learned, struct lesson *lesson,
                    struct npxc_error *err)
{
	struct config_package now;
	struct rules rules = { 0 };
	struct npxc_error ignored;
	lesson->package = str_dup(store_package_label(&s->package));
	lesson->full = learned->count == LIMIT_EGRESS_NOTES;
	if (!find_file(s, &lesson->file, err) || !read_file(lesson->file, &lesson->before, err))
		return false;
	mem_cleanup char *from = lesson->before != NULL ? str_dup(lesson->before) : first_text(s);
	const size_t length = from == NULL ? 0 : strlen(from);
	if (!config_parse_package(from, length, lesson->file, &now, err))
		return false;
	if (!check_owner(s, lesson, &now, err)) {
		config_package_done(&now);
		return false;
	}
	for (size_t i = 0; i < now.network_allow.count; i++)
		if (!rules_add(&rules, now.network_allow.v[i], &ignored))
			log_debug("learn", "%s", ignored.message); /* the parser has taken it */
	learned_propose(learned, &rules, &s->in.options->allow, &lesson->proposal);
	rules_done(&rules);
	config_package_done(&now);
	if (lesson->proposal.rules.count == 0)
		return true;
	if (!edit_allow(from, length, lesson->file, &lesson->proposal.rules, &lesson->after, err))
		return false;
	lesson->diff = edit_diff(lesson->before, lesson->after, lesson->file);
	return true;
}

/* Where the name leads: somebody's file may lie elsewhere, and a link to it here. */
static bool write_file(struct lesson *lesson, struct npxc_error *err)
{
	mem_cleanup char *real = NULL;
	struct stat status;
	if (lesson->before == NULL) {
		mem_cleanup char *directory = str_path_join(lesson->file, "..");
		lesson->written = file_make_directories(directory, 0700, err) &&
		                  file_write_atomic(lesson->file, lesson->after, strlen(lesson->after), 0600, err);
		return lesson->written;
	}
	if (!file_real_path(lesson->file, &real, err))
		return false;
	if (stat(real, &status) == -1)
		return error_set_errno(err, ERROR_IO, "look at %s", real);
	lesson->written = file_write_atomic(real, lesson->after, strlen(lesson->after), status.st_mode & 0777, err);
	return lesson->written;
}

/* The file is the user's, the rules come from names that a guest chose. */
static void say_diff(const char *diff)
{
	for (const char *line = diff; *line != '\0';) {
		const size_t length = strcspn(line, "\n");
		mem_cleanup char *shown = str_escape(line, length);
		fprintf(stderr, "%s\n", shown);
		line += length + (line[length] == '\n');
	}
}

static void say_text(const struct lesson *lesson)
{
	const struct learned_proposal *proposal = &lesson->proposal;
	if (proposal->rules.count == 0)
		log_notice("learn: %s was refused nothing that one more rule would allow", lesson->package);
	else if (lesson->written)
		log_notice("learn: written to %s:", lesson->file);
	else
		log_notice("learn: %zu rule%s would be added for %s; with --write it is:", proposal->rules.count,
		           proposal->rules.count == 1 ? "" : "s", lesson->package);
	if (lesson->diff != NULL)
		say_diff(lesson->diff);
	for (size_t i = 0; i < proposal->looked_up.count; i++)
		log_notice("learn: %s was looked up and never connected to", proposal->looked_up.v[i]);
	for (size_t i = 0; i < proposal->rest_count; i++)
		log_notice("learn: no rule for %s: %s", proposal->rest[i].what, proposal->rest[i].why);
	if (lesson->full)
		log_notice("learn: no more than %d refusals are kept of one run; learn again with these rules",
		           LIMIT_EGRESS_NOTES);
}

/* One line, the last one on stderr. */
static void say_json(const struct lesson *lesson)
{
	const struct learned_proposal *proposal = &lesson->proposal;
	cJSON *json = cJSON_CreateObject();
	cJSON *inner = cJSON_AddObjectToObject(json, "learn");
	cJSON_AddStringToObject(inner, "package", lesson->package);
	cJSON_AddStringToObject(inner, "file", lesson->file);
	cJSON_AddItemToObject(inner, "allow", texts_to_json(&proposal->rules));
	cJSON_AddStringToObject(inner, "diff", lesson->diff == NULL ? "" : lesson->diff);
	cJSON_AddBoolToObject(inner, "written", lesson->written);
	cJSON_AddBoolToObject(inner, "complete", !lesson->full);
	cJSON_AddItemToObject(inner, "looked_up", texts_to_json(&proposal->looked_up));
	cJSON *rest = cJSON_AddArrayToObject(inner, "no_rule");
	for (size_t i = 0; i < proposal->rest_count; i++) {
		cJSON *entry = cJSON_CreateObject();
		cJSON_AddStringToObject(entry, "what", proposal->rest[i].what);
		cJSON_AddStringToObject(entry, "why", proposal->rest[i].why);
		cJSON_AddItemToArray(rest, entry);
	}
	mem_cleanup char *text = cJSON_PrintUnformatted(json);
	mem_cleanup char *shown = print_json_text(text == NULL ? "{}" : text);
	fprintf(stderr, "%s\n", shown);
	cJSON_Delete(json);
}

/* ---- the run ---- */

static bool prepare(const struct options *options, struct session *s, struct npxc_error *err)
{
	if (options->network != NULL && !str_equal(options->network, "allowlist"))
		return error_set(err, ERROR_CONFIG,
		                 "--network %s: learn runs the server with an allowlist; leave --network out",
		                 options->network);
	if (!inputs_read(options, &s->in, err))
		return false;
	s->in.learn = true;
	return acquire_plan(s, err) && check_network(s, err);
}

static bool run(struct session *s, struct lesson *lesson, int *ret_status, struct npxc_error *err)
{
	struct learned learned = { 0 };
	struct sandbox sandbox;
	note_ports(s);
	const bool fine = acquire_surroundings(s, err) && acquire_server(s, &sandbox, err) &&
	                  run_relay(s, &sandbox, &learned, ret_status, err);
	take_the_rest(s, &learned);
	bool proposed = false;
	struct npxc_error why = { 0 };
	if (fine || signals_caught() != 0)
		proposed = propose(s, &learned, lesson, &why);
	learned_done(&learned);
	if (fine && !proposed)
		*err = why;
	return fine && proposed;
}

bool learn_command(const struct options *options, int *ret_status, struct npxc_error *err)
{
	struct session s = SESSION_NONE;
	struct lesson lesson = { 0 };
	bool fine = prepare(options, &s, err) && run(&s, &lesson, ret_status, err);
	/* First everything goes; then there is time for a file and words. */
	session_close(&s);
	if (lesson.after != NULL && options->write) {
		struct npxc_error why = { 0 };
		const bool could = write_file(&lesson, &why);
		if (!could && fine)
			*err = why;
		else if (!could)
			log_error("learn", "%s", why.message); /* after a signal no error is printed */
		fine = fine && could;
	}
	if (lesson.package != NULL && options->json)
		say_json(&lesson);
	else if (lesson.package != NULL)
		say_text(&lesson);
	lesson_done(&lesson);
	return fine;
}
