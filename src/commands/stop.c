#include "commands/commands.h"
#include "commands/prepare.h"
#include "commands/print.h"

#include "base/clock.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/proc.h"
#include "contain/group.h"
#include "store/directory.h"
#include "teardown/lease.h"

#include <cjson/cJSON.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One session that is told to end. */
struct stopped {
	struct lease_seen seen; /* owned */
	struct group launcher;
	const char *outcome; /* NULL: not known yet */
	bool failed;
};

struct stop {
	const char *directory, *boot;
	struct stopped *v;
	size_t count;
};

/* An installation has no name yet. It is meant by its id only: who stops a server wants its package to stay whole. */
static bool is_meant(const struct lease *lease, const char *word)
{
	mem_cleanup char *versioned = str_printf("%s@%s", lease->package, lease->version);
	if (lease->id[0] == '\0' || lease->name[0] == '\0')
		return lease->id[0] != '\0' && strcmp(word, lease->id) == 0;
	return strcmp(word, lease->id) == 0 || strcmp(word, lease->name) == 0 || strcmp(word, lease->package) == 0 ||
	       strcmp(word, versioned) == 0;
}

static bool is_wanted(const struct options *options, const struct lease *lease, bool *met)
{
	bool wanted = options->all && lease->name[0] != '\0';
	for (size_t i = 0; i < options->specs.count; i++) {
		if (is_meant(lease, options->specs.v[i])) {
			met[i] = true;
			wanted = true;
		}
	}
	return wanted;
}

/* The signal goes to the very process that the lease names, or to nobody. */
static void tell(struct stopped *one)
{
	const struct lease_process *process = &one->seen.lease.launcher;
	if (!group_open_again(process->pid, process->started, GROUP_STOP_LEADER, &one->launcher))
		one->launcher = (struct group){ .pidfd = -1 };
	else if (!group_signal_first(&one->launcher, SIGTERM))
		group_done(&one->launcher);
}

static bool gather(struct stop *stop, const struct options *options, bool *met, struct npxc_error *err)
{
	struct strv files = { 0 };
	if (!lease_list(stop->directory, &files, err))
		return false;
	for (size_t i = 0; i < files.count; i++) {
		struct lease_seen seen;
		lease_look(stop->directory, files.v[i], false, stop->boot, &seen);
		if (seen.state != LEASE_LIVE || !lease_process_alive(&seen.lease, &seen.lease.launcher, stop->boot) ||
		    !is_wanted(options, &seen.lease, met)) {
			lease_seen_done(&seen);
			continue;
		}
		stop->v = mem_realloc(stop->v, stop->count + 1, sizeof(*stop->v));
		stop->v[stop->count++] = (struct stopped){ .seen = seen, .launcher = { .pidfd = -1 } };
	}
	strv_done(&files);
	return true;
}

/* Until the session's lease has gone, or nobody is at it any more. */
static enum lease_state await_lease(const struct stop *stop, const struct stopped *one)
{
	const int64_t deadline = clock_now_ms() + LIMIT_STOP_JANITOR_MS;
	for (;;) {
		struct lease_seen seen;
		lease_look(stop->directory, strrchr(one->seen.path, '/') + 1, false, stop->boot, &seen);
		const enum lease_state state = seen.state;
		lease_seen_done(&seen);
		if (state == LEASE_GONE || state == LEASE_DEAD || clock_now_ms() >= deadline)
			return state;
		poll(NULL, 0, 10);
	}
}

static void await_end(const struct stop *stop, struct stopped *one, int64_t deadline)
{
	const int64_t left = deadline - clock_now_ms();
	one->outcome = "stopped";
	if (one->launcher.pid != 0) {
		group_wait_for_first(&one->launcher, left > 0 ? (unsigned)left : 0, -1);
		if (!group_first_ended(&one->launcher) && group_signal_first(&one->launcher, SIGKILL))
			one->outcome = "killed";
	}
	const enum lease_state state = await_lease(stop, one);
	one->failed = state != LEASE_GONE;
	if (state == LEASE_DEAD)
		one->outcome = "left behind";
	else if (state != LEASE_GONE)
		one->outcome = "still ending";
}

static void print_outcome(const struct stopped *one)
{
	const struct lease *lease = &one->seen.lease;
	mem_cleanup char *name = print_line(lease->name[0] == '\0' ? lease->id : lease->name, 100);
	if (strcmp(one->outcome, "killed") == 0)
		printf("killed %s: it did not end within %d s of SIGTERM\n", name, LIMIT_STOP_MS / 1000);
	else if (strcmp(one->outcome, "left behind") == 0)
		printf("ended %s, but not all of it could be removed; `npxc gc` tries again\n", name);
	else if (strcmp(one->outcome, "still ending") == 0)
		printf("told %s to end; its janitor (pid %ld) is still at it\n", name, (long)lease->janitor.pid);
	else
		printf("stopped %s\n", name);
}

static bool report(const struct stop *stop, bool json, struct npxc_error *err)
{
	cJSON *all = cJSON_CreateArray();
	for (size_t i = 0; i < stop->count; i++) {
		const struct stopped *one = &stop->v[i];
		if (!json) {
			print_outcome(one);
			continue;
		}
		cJSON *object = cJSON_CreateObject();
		cJSON_AddStringToObject(object, "id", one->seen.lease.id);
		cJSON_AddStringToObject(object, "name", one->seen.lease.name);
		cJSON_AddStringToObject(object, "outcome", one->outcome);
		cJSON_AddItemToArray(all, object);
	}
	if (!json && stop->count == 0)
		puts("no session is running");
	const bool fine = !json || print_json(all, err);
	cJSON_Delete(all);
	return fine;
}

static bool check_met(const struct options *options, const bool *met, struct npxc_error *err)
{
	for (size_t i = 0; i < options->specs.count; i++)
		if (!met[i])
			return error_set(err, ERROR_CONFIG, "no session of `%s` is running; `npxc ps` lists them",
			                 options->specs.v[i]);
	return true;
}

static bool stop_them(struct stop *stop, const struct options *options, int *ret_status, struct npxc_error *err)
{
	mem_cleanup bool *met = mem_alloc((options->specs.count + 1) * sizeof(*met));
	if (!gather(stop, options, met, err) || !check_met(options, met, err))
		return false;
	for (size_t i = 0; i < stop->count; i++)
		tell(&stop->v[i]);
	const int64_t deadline = clock_now_ms() + LIMIT_STOP_MS;
	bool failed = false;
	for (size_t i = 0; i < stop->count; i++) {
		await_end(stop, &stop->v[i], deadline);
		failed = failed || stop->v[i].failed;
	}
	*ret_status = failed ? 4 : 0;
	return report(stop, options->json, err);
}

/* A session of a directory is called by its path: so that `npxc stop .` means it, as `npxc .` does. */
static void resolve_directories(const struct prepared *p, struct strv *ret_words)
{
	for (size_t i = 0; i < p->options->specs.count; i++) {
		const char *word = p->options->specs.v[i];
		struct npxc_error ignored;
		struct spec spec;
		if (!spec_parse(word, &spec, &ignored)) {
			strv_push(ret_words, word); /* an id */
			continue;
		}
		if (spec.kind == SPEC_DIRECTORY)
			strv_push_owned(ret_words, directory_path(spec.path, p->cwd, p->paths.home));
		else
			strv_push(ret_words, word);
		spec_done(&spec);
	}
}

bool stop_command(const struct options *options, int *ret_status, struct npxc_error *err)
{
	if (options->all == (options->specs.count > 0))
		return error_set(err, ERROR_CONFIG, "npxc stop takes either ids and packages or --all");
	struct prepared p;
	if (!prepare_config(options, &p, err))
		return false;
	mem_cleanup char *directory = prepare_sessions_directory(&p);
	mem_cleanup char *boot = proc_boot_id();
	struct stop stop = { .directory = directory, .boot = boot };
	struct options meant = *options;
	meant.specs = (struct strv){ 0 };
	resolve_directories(&p, &meant.specs);
	const bool fine = stop_them(&stop, &meant, ret_status, err);
	strv_done(&meant.specs);
	for (size_t i = 0; i < stop.count; i++) {
		group_done(&stop.v[i].launcher);
		lease_seen_done(&stop.v[i].seen);
	}
	free(stop.v);
	prepare_done(&p);
	return fine;
}
