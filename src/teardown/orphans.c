#include "teardown/orphans.h"

#include "base/buf.h"
#include "base/fault.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/proc.h"
#include "contain/cgroup.h"
#include "network/network.h"
#include "teardown/lease.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void add(struct orphans *orphans, enum resource_kind kind, const char *name, const struct runtime *runtime,
                const char *alive)
{
	orphans->v = mem_realloc(orphans->v, orphans->count + 1, sizeof(*orphans->v));
	orphans->v[orphans->count++] =
	    (struct orphan){ .kind = kind, .name = str_dup(name), .runtime = runtime, .alive = alive };
}

void orphans_done(struct orphans *orphans)
{
	for (size_t i = 0; i < orphans->count; i++)
		free(orphans->v[i].name);
	free(orphans->v);
	*orphans = (struct orphans){ 0 };
}

bool orphans_is_name(const char *name)
{
	return resource_is_session_name(name) || network_is_managed_name(name);
}

/* The last part of a path; another name as it is. */
static const char *base_name(const char *name)
{
	const char *slash = strrchr(name, '/');

	return slash == NULL ? name : slash + 1;
}

bool orphans_is_called(const struct orphan *orphan, const char *name)
{
	return strcmp(base_name(orphan->name), name) == 0;
}

/* ---- what is there ---- */

static void add_directories(struct orphans *orphans, enum resource_kind kind, const char *parent)
{
	DIR *stream = opendir(parent);

	if (stream == NULL)
		return;
	for (const struct dirent *entry = readdir(stream); entry != NULL; entry = readdir(stream)) {
		mem_cleanup char *path = str_printf("%s/%s", parent, entry->d_name);

		if (resource_is_session_name(entry->d_name) && file_is_directory(path))
			add(orphans, kind, path, NULL,
			    kind == RESOURCE_CGROUP && cgroup_has_processes(path) ? "it has processes" : NULL);
	}
	closedir(stream);
}

/* Where a session's would be made. */
static void add_cgroups(struct orphans *orphans)
{
	struct cgroup_plan plan = { 0 };

	cgroup_plan_make("npxc-a-00000000", &plan);
	for (size_t i = 0; i < plan.directories.count; i++) {
		mem_cleanup char *parent = str_path_join(plan.directories.v[i], "..");

		add_directories(orphans, RESOURCE_CGROUP, parent);
	}
	cgroup_plan_done(&plan);
}

static void add_named(struct orphans *orphans, const struct runtime *runtime, struct strv *unanswered)
{
	struct strv containers = { 0 };
	struct strv networks = { 0 };
	struct strv busy = { 0 };
	struct npxc_error err = { 0 };

	if (!runtime_list_ours(runtime, &containers, &networks, &busy, &err))
		strv_pushf(unanswered, "%s: %s", runtime_kind_word(runtime->kind), err.message);
	for (size_t i = 0; i < containers.count; i++)
		if (resource_is_session_name(containers.v[i]))
			add(orphans, RESOURCE_CONTAINER, containers.v[i], runtime,
			    strv_contains(&busy, containers.v[i]) ? "it runs" : NULL);
	for (size_t i = 0; i < networks.count; i++)
		if (network_is_managed_name(networks.v[i]))
			add(orphans, RESOURCE_NETWORK, networks.v[i], runtime,
			    strv_contains(&busy, networks.v[i]) ? "a container that runs is attached to it" : NULL);
	strv_done(&containers);
	strv_done(&networks);
	strv_done(&busy);
}

/* ---- what stands on leases ---- */

/* Of a lease that is not understood the text decides. */
static bool text_mentions(const char *path, const char *name)
{
	struct buf text BUF_CLEANUP = BUF_INIT(LIMIT_LEASE_BYTES);
	struct npxc_error ignored = { 0 };

	return file_is_regular(path) && file_read(path, &text, &ignored) && text.data != NULL &&
	       strstr(text.data, name) != NULL;
}

/*
 * Of sessions that live in other homes: launcher and janitor keep their lease open. What this user may not look at
 * (other users' processes, unless root looks) is not seen. Text of a lease that has lost its name counts too.
 */
#ifdef __linux__
static void read_leases_of(const char *descriptors, struct strv *texts)
{
	DIR *stream = opendir(descriptors);

	if (stream == NULL)
		return;
	for (const struct dirent *entry = readdir(stream); entry != NULL; entry = readdir(stream)) {
		struct buf text BUF_CLEANUP = BUF_INIT(LIMIT_LEASE_BYTES);
		mem_cleanup char *path = str_printf("%s/%s", descriptors, entry->d_name);
		struct npxc_error ignored = { 0 };
		char target[4096 + 1];
		const ssize_t length = readlink(path, target, sizeof(target) - 1);

		if (length <= 0)
			continue;
		target[length] = '\0';
		if ((str_ends(target, LEASE_SUFFIX) || str_ends(target, LEASE_SUFFIX " (deleted)")) &&
		    file_is_regular(path) && file_read(path, &text, &ignored) && text.data != NULL)
			strv_push(texts, text.data);
	}
	closedir(stream);
}

static void read_living_leases(struct strv *texts)
{
	DIR *stream = opendir("/proc");

	if (stream == NULL)
		return;
	for (const struct dirent *entry = readdir(stream); entry != NULL; entry = readdir(stream)) {
		uint64_t pid;

		if (!str_to_u64(entry->d_name, INT32_MAX, &pid) || (pid_t)pid == getpid())
			continue;
		mem_cleanup char *descriptors = str_printf("/proc/%s/fd", entry->d_name);
		read_leases_of(descriptors, texts);
	}
	closedir(stream);
}
#else
/* Elsewhere npxc makes containers and networks only: those that are in use say so themselves. */
static void read_living_leases(struct strv *texts)
{
	(void)texts;
}
#endif

static bool mentions(const struct lease_seen *seen, const char *name)
{
	if (lease_is_left_alone(seen->state))
		return text_mentions(seen->path, base_name(name));
	for (size_t i = 0; i < seen->lease.count; i++) {
		const char *held = lease_entry_name(&seen->lease.entries[i]);

		if (strcmp(name[0] == '/' ? held : base_name(held), name) == 0)
			return true;
	}
	return false;
}

char *orphans_lease_of(const char *leases, const char *name)
{
	mem_cleanup char *boot = proc_boot_id();
	struct strv files = { 0 };
	struct npxc_error ignored = { 0 };
	char *found = NULL;

	if (!lease_list(leases, &files, &ignored))
		return NULL;
	for (size_t i = 0; found == NULL && i < files.count; i++) {
		struct lease_seen seen;

		lease_look(leases, files.v[i], false, boot, &seen);
		if (seen.state != LEASE_GONE && mentions(&seen, name))
			found = str_dup(files.v[i]);
		lease_seen_done(&seen);
	}
	strv_done(&files);
	return found;
}

static bool any_mentions(const struct strv *texts, const char *name)
{
	for (size_t i = 0; i < texts->count; i++)
		if (strstr(texts->v[i], base_name(name)) != NULL)
			return true;
	return false;
}

/* What stands on this lease (NULL: on none), or in one of the texts. */
static void drop_mentioned(struct orphans *orphans, const struct lease_seen *seen, const struct strv *texts)
{
	size_t kept = 0;

	for (size_t i = 0; i < orphans->count; i++) {
		if ((seen != NULL && mentions(seen, orphans->v[i].name)) ||
		    (texts != NULL && any_mentions(texts, orphans->v[i].name)))
			free(orphans->v[i].name);
		else
			orphans->v[kept++] = orphans->v[i];
	}
	orphans->count = kept;
}

/* The leases are read last: what is made stands on one before. */
bool orphans_find(const char *leases, const struct runtime *runtimes, size_t runtime_count, struct orphans *ret_orphans,
                  struct strv *ret_unanswered, struct npxc_error *err)
{
	mem_cleanup char *boot = proc_boot_id();
	struct orphans orphans = { 0 };
	struct strv unanswered = { 0 };
	struct strv living = { 0 };
	struct strv files = { 0 };

	add_directories(&orphans, RESOURCE_DIRECTORY, leases);
	add_cgroups(&orphans);
	for (size_t i = 0; i < runtime_count; i++)
		add_named(&orphans, &runtimes[i], &unanswered);
	if (!lease_list(leases, &files, err)) {
		orphans_done(&orphans);
		strv_done(&unanswered);
		return false;
	}
	for (size_t i = 0; i < files.count; i++) {
		struct lease_seen seen;

		lease_look(leases, files.v[i], false, boot, &seen);
		if (seen.state != LEASE_GONE)
			drop_mentioned(&orphans, &seen, NULL);
		lease_seen_done(&seen);
	}
	strv_done(&files);
	read_living_leases(&living);
	drop_mentioned(&orphans, NULL, &living);
	strv_done(&living);
	*ret_orphans = orphans;
	*ret_unanswered = unanswered;
	return true;
}

/* ---- removing ---- */

static bool hold_orphan(struct janitor *janitor, const struct orphan *orphan, struct npxc_error *err)
{
	unsigned ignored;

	FAULT_POINT("orphan.hold");
	const bool held = orphan->runtime == NULL
	                      ? janitor_hold_path(janitor, orphan->kind, orphan->name, &ignored, err)
	                      : janitor_hold_named(janitor, orphan->kind, orphan->runtime, orphan->name, &ignored, err);
	FAULT_POINT("orphan.held");
	return held;
}

/* Whether it is still there and still nobody's. One that has gone meanwhile is no objection. */
static bool check_again(const struct orphans *now, const struct orphan *chosen, struct npxc_error *err)
{
	for (size_t i = 0; i < now->count; i++) {
		const struct orphan *one = &now->v[i];

		if (one->kind != chosen->kind || one->runtime != chosen->runtime ||
		    strcmp(one->name, chosen->name) != 0)
			continue;
		return one->alive == NULL || error_set(err, ERROR_CONFIG, "%s %s stays: %s",
		                                       resource_kind_word(one->kind), one->name, one->alive);
	}
	return error_set(err, ERROR_CONFIG, "%s %s stays: it has gone, or a session has it now",
	                 resource_kind_word(chosen->kind), chosen->name);
}

static bool check_all_again(const char *leases, const struct runtime *runtimes, size_t runtime_count,
                            const struct orphan *const *chosen, size_t count, struct npxc_error *err)
{
	struct orphans now = { 0 };
	struct strv unanswered = { 0 };
	bool fine = orphans_find(leases, runtimes, runtime_count, &now, &unanswered, err);

	for (size_t i = 0; fine && i < count; i++)
		fine = check_again(&now, chosen[i], err);
	orphans_done(&now);
	strv_done(&unanswered);
	return fine;
}

/* Cgroups go first and without the janitor, which would kill what it finds in them. */
static bool remove_cgroups(const struct orphan *const *chosen, size_t count, struct npxc_error *err)
{
	for (size_t i = 0; i < count; i++)
		if (chosen[i]->kind == RESOURCE_CGROUP && !cgroup_remove_unused(chosen[i]->name, err))
			return false;
	return true;
}

bool orphans_remove(const char *leases, const struct runtime *runtimes, size_t runtime_count,
                    const struct orphan *const *chosen, size_t count, struct npxc_error *err)
{
	mem_cleanup char *id = lease_new_id(leases);
	mem_cleanup char *path = lease_path(leases, id);
	const struct janitor_facts facts = {
		.name = "", .package = "npxc gc --orphans", .version = "", .runtime = "", .policy = "", .link = ""
	};
	struct janitor *janitor = NULL;
	struct npxc_error ended = { 0 };
	bool fine = true;

	if (!check_all_again(leases, runtimes, runtime_count, chosen, count, err) ||
	    !remove_cgroups(chosen, count, err) || !janitor_start(leases, id, &janitor, err))
		return false;
	for (size_t i = 0; fine && i < count; i++)
		if (chosen[i]->kind != RESOURCE_CGROUP)
			fine = hold_orphan(janitor, chosen[i], err);
	/* Said after the last of them: a network that was named last would pass for one that is still being made. */
	fine = fine && janitor_describe(janitor, &facts, err);
	if (!janitor_end(janitor, LIMIT_TEARDOWN_MS, &ended) && fine) {
		*err = ended;
		fine = false;
	}
	if (fine && access(path, F_OK) == 0)
		fine = error_set(err, ERROR_RUNTIME, "not all of it could be removed; `npxc gc` tries again");
	return fine;
}
