#include "commands/commands.h"
#include "commands/print.h"

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "runtime/runtime.h"
#include "session/plan.h"
#include "teardown/orphans.h"
#include "teardown/sweep.h"
#include "json/texts.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct gc {
	bool json;
	const char *directory;
	struct runtime *runtimes; /* owned; those that are here */
	size_t runtime_count;
	struct orphans orphans;
	struct strv unasked;
	/* Owned by `report`: released, kept, left_alone, orphans, not_asked, removed, unsafe. */
	cJSON *report;
	size_t shown;
	bool is_down, is_kept;
};

/* ---- what the sweep says ---- */

static const char *session_name(const struct lease *lease)
{
	return lease->name[0] != '\0' ? lease->name : lease->id;
}

static cJSON *add_object(struct gc *gc, const char *list)
{
	cJSON *object = cJSON_CreateObject();
	cJSON_AddItemToArray(cJSON_GetObjectItemCaseSensitive(gc->report, list), object);
	gc->shown++;
	return object;
}

static void left_alone(struct gc *gc, const char *path, const char *why)
{
	cJSON *object = add_object(gc, "left_alone");
	cJSON_AddStringToObject(object, "file", path);
	cJSON_AddStringToObject(object, "why", why);
	if (!gc->json)
		print_row("left alone %s: %s", path, why);
}

static void kept(struct gc *gc, const struct lease *lease, const struct strv *said)
{
	cJSON *object = add_object(gc, "kept");
	cJSON_AddStringToObject(object, "id", lease->id);
	cJSON_AddStringToObject(object, "name", lease->name);
	cJSON *holds = cJSON_AddArrayToObject(object, "holds");
	for (size_t i = 0; i < lease->count; i++) {
		cJSON *one = cJSON_CreateObject();
		cJSON_AddStringToObject(one, "kind", resource_kind_word(lease->entries[i].kind));
		cJSON_AddStringToObject(one, "name", lease_entry_name(&lease->entries[i]));
		cJSON_AddItemToArray(holds, one);
	}
	cJSON_AddItemToObject(object, "why", texts_to_json(said));
	if (gc->json)
		return;
	print_row("kept %s for a later `npxc gc`:", session_name(lease));
	for (size_t i = 0; i < said->count; i++) {
		mem_cleanup char *line = print_line(said->v[i], 600);
		printf("  %s\n", line);
	}
}

static void on_lease(void *context, const struct lease_seen *seen, enum successor_result result,
                     const struct strv *said)
{
	struct gc *gc = context;
	const struct lease *lease = &seen->lease;
	if (lease_is_left_alone(seen->state)) {
		left_alone(gc, seen->path, seen->why);
		return;
	}
	if (seen->state == LEASE_ENDING) {
		left_alone(gc, seen->path, "its janitor, or another npxc, is still at it");
		return;
	}
	gc->is_down = gc->is_down || result == SUCCESSOR_UNAVAILABLE;
	gc->is_kept = gc->is_kept || result == SUCCESSOR_INCOMPLETE;
	if (result != SUCCESSOR_RELEASED) {
		kept(gc, lease, said);
		return;
	}
	cJSON *object = add_object(gc, "released");
	cJSON_AddStringToObject(object, "id", lease->id);
	cJSON_AddStringToObject(object, "name", lease->name);
	if (!gc->json)
		print_row("released %s", lease->id[0] == '\0' ? "a session that had nothing yet" : session_name(lease));
}

/* ---- orphans ---- */

/* The container runtimes whose CLIs are here. One that does not work is said to be not asked. */
static void find_runtimes(struct gc *gc, const struct config *config)
{
	mem_cleanup char *search = paths_search(getenv("PATH"));
	gc->runtimes = mem_alloc(runtime_driver_count * sizeof(*gc->runtimes));
	for (size_t i = 0; i < runtime_driver_count; i++) {
		const struct runtime_driver *driver = runtime_driver((enum runtime_kind)i);
		const char *cli = inputs_cli_name(driver->kind, config);
		struct runtime *runtime = &gc->runtimes[gc->runtime_count];
		struct npxc_error err = { 0 };
		mem_cleanup char *path = NULL;
		if (!driver->has_containers || !file_find_program(cli, search, &path, &err))
			continue;
		if (runtime_find(driver->kind, cli, search, runtime, &err))
			gc->runtime_count++;
		else
			strv_pushf(&gc->unasked, "%s: %s", driver->word, err.message);
	}
}

static bool find_orphans(struct gc *gc, const struct config *config, struct npxc_error *err)
{
	struct strv unasked = { 0 };
	find_runtimes(gc, config);
	if (!orphans_find(gc->directory, gc->runtimes, gc->runtime_count, &gc->orphans, &unasked, err))
		return false;
	strv_push_all(&gc->unasked, (const char *const *)unasked.v, unasked.count);
	strv_done(&unasked);
	return true;
}

static const char *place_of(const struct orphan *orphan)
{
	return orphan->runtime == NULL ? "this host" : runtime_kind_word(orphan->runtime->kind);
}

static void report_orphan(struct gc *gc, const struct orphan *orphan, const char *list)
{
	cJSON *object = add_object(gc, list);
	cJSON_AddStringToObject(object, "kind", resource_kind_word(orphan->kind));
	cJSON_AddStringToObject(object, "name", orphan->name);
	cJSON_AddStringToObject(object, "runtime", orphan->runtime == NULL ? "" : place_of(orphan));
}

/* Somebody's: another user's on the same runtime, or left by an npxc that was killed together with its lease. */
static void report_living(struct gc *gc, const struct orphan *orphan)
{
	cJSON *object = add_object(gc, "left_alone");
	cJSON_AddStringToObject(object, "kind", resource_kind_word(orphan->kind));
	cJSON_AddStringToObject(object, "name", orphan->name);
	cJSON_AddStringToObject(object, "why", orphan->alive);
	if (!gc->json)
		print_row("left alone %s %s (%s): %s", resource_kind_word(orphan->kind), orphan->name, place_of(orphan),
		          orphan->alive);
}

static void report_orphans(struct gc *gc)
{
	struct strv names = { 0 };
	for (size_t i = 0; i < gc->orphans.count; i++) {
		const struct orphan *orphan = &gc->orphans.v[i];
		const char *slash = orphan->runtime == NULL ? strrchr(orphan->name, '/') : NULL;
		const char *word = slash == NULL ? orphan->name : slash + 1;
		if (orphan->alive != NULL) {
			report_living(gc, orphan);
			continue;
		}
		report_orphan(gc, orphan, "orphans");
		if (!strv_contains(&names, word))
			strv_push(&names, word);
		if (!gc->json)
			printf("no lease: %s %s (%s), perhaps another user's; `npxc gc --orphans %s` removes it\n",
			       resource_kind_word(orphan->kind), orphan->name, place_of(orphan), word);
	}
	if (!gc->json && names.count > 1) {
		mem_cleanup char *words = strv_shell(&names);
		printf("all of these: `npxc gc --orphans %s`\n", words);
	}
	strv_done(&names);
	for (size_t i = 0; i < gc->unasked.count; i++) {
		cJSON_AddItemToArray(cJSON_GetObjectItemCaseSensitive(gc->report, "not_asked"),
		                     cJSON_CreateString(gc->unasked.v[i]));
		if (!gc->json)
			log_notice("not asked for what has no lease: %s", gc->unasked.v[i]);
	}
}

/* Nothing is removed before all words have been found good. */
static bool check_words(const struct gc *gc, const struct strv *words, struct npxc_error *err)
{
	for (size_t i = 0; i < words->count; i++) {
		const char *word = words->v[i];
		mem_cleanup char *shown = str_escape(word, strlen(word));
		if (!orphans_is_name(word))
			return error_set(
			    err, ERROR_CONFIG,
			    "`%s` is not a name that npxc makes (npxc-<package>-<8 hex digits>, or npxc- and "
			    "32 hex digits); it stays",
			    shown);
		mem_cleanup char *lease = orphans_lease_of(gc->directory, word);
		if (lease != NULL)
			return error_set(
			    err, ERROR_CONFIG,
			    "%s belongs to a session (%s); `npxc stop` ends one that lives, `npxc gc` alone "
			    "cleans up after one that does not",
			    word, lease);
		bool found = false;
		for (size_t k = 0; k < gc->orphans.count; k++) {
			const struct orphan *orphan = &gc->orphans.v[k];
			if (!orphans_is_called(orphan, word))
				continue;
			if (orphan->alive != NULL)
				return error_set(err, ERROR_CONFIG,
				                 "%s %s stays: %s; end what runs there first, then remove it",
				                 resource_kind_word(orphan->kind), orphan->name, orphan->alive);
			found = true;
		}
		if (!found && gc->unasked.count > 0)
			return error_set(err, ERROR_RUNTIME_UNAVAILABLE,
			                 "nothing called %s was found, but not every runtime could be asked (%s)", word,
			                 gc->unasked.v[0]);
		if (!found)
			return error_set(err, ERROR_CONFIG, "nothing called %s was found", word);
	}
	return true;
}

static bool remove_named(struct gc *gc, const struct strv *words, struct npxc_error *err)
{
	mem_cleanup const struct orphan **chosen = mem_alloc((gc->orphans.count + 1) * sizeof(const struct orphan *));
	size_t count = 0;
	if (!check_words(gc, words, err))
		return false;
	for (size_t i = 0; i < gc->orphans.count; i++)
		for (size_t k = 0; k < words->count; k++)
			if (orphans_is_called(&gc->orphans.v[i], words->v[k]) &&
			    (count == 0 || chosen[count - 1] != &gc->orphans.v[i]))
				chosen[count++] = &gc->orphans.v[i];
	if (!orphans_remove(gc->directory, gc->runtimes, gc->runtime_count, chosen, count, err))
		return false;
	for (size_t i = 0; i < count; i++) {
		report_orphan(gc, chosen[i], "removed");
		if (!gc->json)
			printf("removed %s %s (%s)\n", resource_kind_word(chosen[i]->kind), chosen[i]->name,
			       place_of(chosen[i]));
	}
	return true;
}

/* ---- all of it ---- */

/* What servers left where the host executes it, of sessions whose own end could not say so. */
static void report_unsafe(struct gc *gc)
{
	mem_cleanup char *directory = plan_guards_directory(gc->directory);
	struct strv lines = { 0 };
	guards_collect(directory, &lines);
	for (size_t i = 0; i < lines.count; i++) {
		cJSON_AddItemToArray(cJSON_GetObjectItemCaseSensitive(gc->report, "unsafe"),
		                     cJSON_CreateString(lines.v[i]));
		if (!gc->json)
			log_notice("%s", lines.v[i]);
	}
	strv_done(&lines);
}

static bool collect(struct gc *gc, const struct options *options, const struct config *config, struct npxc_error *err)
{
	const struct sweep_listener listener = { .on_lease = on_lease, .context = gc };
	if (options->orphans)
		return find_orphans(gc, config, err) && remove_named(gc, &options->specs, err);
	if (!sweep(gc->directory, &listener, err) || !find_orphans(gc, config, err))
		return false;
	report_orphans(gc);
	report_unsafe(gc);
	if (!gc->json && gc->shown == 0)
		puts("nothing is left behind");
	return true;
}

bool gc_command(const struct options *options, int *ret_status, struct npxc_error *err)
{
	static const char *const LISTS[] = { "released", "kept",      "left_alone", "orphans",
		                             "removed",  "not_asked", "unsafe" };
	if (options->orphans && options->specs.count == 0)
		return error_set(err, ERROR_CONFIG,
		                 "--orphans needs the names to remove; `npxc gc` lists what has no lease");
	if (!options->orphans && options->specs.count > 0)
		return error_set(err, ERROR_CONFIG, "`npxc gc` takes no words; --orphans %s would remove that",
		                 options->specs.v[0]);
	struct inputs in;
	if (!inputs_read(options, &in, err))
		return false;
	mem_cleanup char *directory = inputs_sessions_directory(&in);
	struct gc gc = { .json = options->json, .directory = directory, .report = cJSON_CreateObject() };
	for (size_t i = 0; i < sizeof(LISTS) / sizeof(LISTS[0]); i++)
		cJSON_AddArrayToObject(gc.report, LISTS[i]);
	bool fine = collect(&gc, options, &in.config, err);
	if (fine && gc.json)
		fine = print_json(gc.report, err);
	*ret_status = gc.is_kept ? 4 : gc.is_down ? 2 : 0;
	cJSON_Delete(gc.report);
	orphans_done(&gc.orphans);
	strv_done(&gc.unasked);
	for (size_t i = 0; i < gc.runtime_count; i++)
		runtime_done(&gc.runtimes[i]);
	free(gc.runtimes);
	inputs_done(&in);
	return fine;
}
