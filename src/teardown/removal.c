#include "teardown/removal.h"

#include "base/file.h"
#include "base/limits.h"
#include "contain/cgroup.h"
#include "contain/group.h"
#include "files/guards.h"
#include "network/network.h"
#include "runtime/container.h"
#include "runtime/runtime.h"

#include <poll.h>
#include <string.h>

/* The runtime that made it, as far as its removal needs to know. */
static bool runtime_of(const struct lease_entry *entry, struct runtime *ret_runtime, struct npxc_error *err)
{
	const struct strv *words = &entry->words;
	struct runtime runtime = { .cli = str_dup(words->v[RESOURCE_WORD_CLI]) };
	struct strv own = { 0 };

	if (!runtime_kind_of(words->v[RESOURCE_WORD_RUNTIME], &runtime.kind, err)) {
		runtime_done(&runtime);
		return false;
	}
	for (size_t i = RESOURCE_WORDS; i < words->count; i++)
		strv_push(&runtime.environment, words->v[i]);
	/* Secrets are on no lease. */
	runtime_environment(runtime.kind, &own);
	for (size_t i = 0; i < own.count; i++)
		if (resource_is_secret(own.v[i]) && !strv_contains(&runtime.environment, own.v[i]))
			strv_push(&runtime.environment, own.v[i]);
	strv_done(&own);
	*ret_runtime = runtime;
	return true;
}

/* A removal may meet the runtime in the middle of its own, and fail for that. */
static bool remove_container(const struct runtime *runtime, const char *name, enum removal_effort effort,
                             struct npxc_error *err)
{
	const int attempts = effort == REMOVAL_PERSISTENT ? REMOVAL_ATTEMPTS : 1;

	for (int attempt = 1; !container_remove(runtime, name, err); attempt++) {
		if (attempt == attempts || container_is_down(err))
			return false;
		poll(NULL, 0, REMOVAL_PAUSE_MS);
	}
	return true;
}

static bool remove_network(const struct runtime *runtime, const char *name, enum removal_effort effort,
                           struct npxc_error *err)
{
	return effort == REMOVAL_ONCE    ? network_delete_once(runtime, name, err)
	       : effort == REMOVAL_AGAIN ? network_delete_again(runtime, name, err)
	                                 : network_delete_with_retry(runtime, name, err);
}

static bool remove_named(const struct lease_entry *entry, enum removal_effort effort, struct npxc_error *err)
{
	const char *name = lease_entry_name(entry);
	struct runtime runtime;
	bool ok;

	if (!runtime_of(entry, &runtime, err))
		return false;
	ok = entry->kind == RESOURCE_NETWORK ? remove_network(&runtime, name, effort, err)
	                                     : remove_container(&runtime, name, effort, err);
	runtime_done(&runtime);
	return ok;
}

static bool end_process(const struct lease_entry *entry, struct npxc_error *err)
{
	const struct lease_process process = lease_entry_process(entry);
	struct group group;

	if (!group_open_again(process.pid, process.started, GROUP_STOP_LEADER, &group))
		return true;
	group_wait_for_first(&group, LIMIT_PROCESS_END_MS, -1);
	const bool ok = group_end(&group, 0, -1, err);
	group_done(&group);
	return ok;
}

bool removal_run(const struct lease_entry *entry, enum removal_effort effort, struct npxc_error *err)
{
	switch (entry->kind) {
	case RESOURCE_PROCESS:
		return end_process(entry, err);
	case RESOURCE_CGROUP:
		return cgroup_remove(entry->words.v[0], err);
	case RESOURCE_CONTAINER:
	case RESOURCE_NETWORK:
		return remove_named(entry, effort, err);
	case RESOURCE_GUARDS:
		return guards_settle(entry->words.v[0], err);
	case RESOURCE_DIRECTORY:
	case RESOURCE_FILE:
		break;
	}
	return file_remove_tree(entry->words.v[0], err);
}

void removal_kill_container(const struct lease_entry *entry)
{
	struct npxc_error ignored = { 0 };
	struct runtime runtime;

	if (!runtime_of(entry, &runtime, &ignored))
		return;
	container_kill(&runtime, lease_entry_name(entry));
	runtime_done(&runtime);
}
