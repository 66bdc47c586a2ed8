#include "teardown/teardown.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/fd.h"
#include "base/mem.h"
#include "base/proc.h"
#include "runtime/container.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LINE_BYTES = 1024 };

static void report(const struct teardown *t, bool is_warning, const char *fmt, ...) NPXC_PRINTF(3, 4);

static void report(const struct teardown *t, bool is_warning, const char *fmt, ...)
{
	char line[LINE_BYTES];
	va_list args;

	va_start(args, fmt);
	if (vsnprintf(line, sizeof(line), fmt, args) < 0)
		line[0] = '\0';
	va_end(args);
	t->report.line(t->report.context, is_warning, line);
}

/* ---- the lease ---- */

/* What the first line says; the launcher waits meanwhile, so it can be looked at. */
static void introduce(struct lease *lease)
{
	struct proc_look launcher = { 0 };

	if (proc_look(lease->launcher.pid, &launcher)) {
		lease->client = lease_process_of(launcher.parent);
		lease->client_name = proc_program(launcher.parent);
	}
	lease->launcher.started = launcher.started;
	lease->janitor = lease_process_of(getpid());
	lease->boot = proc_boot_id();
	lease->machine = proc_machine_id();
	lease->pids = proc_namespace();
	lease->npxc = str_dup(NPXC_VERSION);
	lease->started_at_ms = clock_wall_ms();
	lease->started_boot_ms = clock_boot_ms();
}

/* Takes the line. On disk when it returns, if it is `durable`; the first line always is. */
static bool write_line(struct teardown *t, char *owned_line, bool durable, struct npxc_error *err)
{
	mem_cleanup char *line = owned_line;

	if (t->path == NULL)
		return true;
	if (t->lease_fd != -1)
		return lease_append(t->lease_fd, line, durable, err);
	introduce(&t->lease);
	mem_cleanup char *header = lease_line_header(&t->lease);
	mem_cleanup char *facts = t->lease.name != NULL ? lease_line_facts(&t->lease) : str_dup("");
	mem_cleanup char *text = str_printf("%s%s%s", header, facts, line);
	return lease_create(t->path, text, &t->lease_fd, err);
}

/* What may be lost: it costs a look at something that is not there. Takes the line. */
static void delay_line(struct teardown *t, char *owned_line)
{
	mem_cleanup char *line = owned_line;
	struct npxc_error ignored = { 0 };

	if (t->lease_fd != -1 && !buf_append_text(&t->delayed, line, &ignored))
		return;
}

static void write_delayed(struct teardown *t)
{
	struct npxc_error err = { 0 };

	if (t->delayed.length == 0)
		return;
	if (!lease_append(t->lease_fd, t->delayed.data, false, &err))
		report(t, false, "%s", err.message);
	buf_consume(&t->delayed, t->delayed.length);
}

bool teardown_write_facts(struct teardown *t, struct npxc_error *err)
{
	return t->lease_fd == -1 || write_line(t, lease_line_facts(&t->lease), false, err);
}

/* A machine's end takes processes and cgroups with it; for them the kernel's memory is as good as the disk. */
static bool outlives_the_machine(enum resource_kind kind)
{
	return kind != RESOURCE_CGROUP && kind != RESOURCE_PROCESS;
}

bool teardown_hold(struct teardown *t, struct lease_entry *entry, struct npxc_error *err)
{
	struct lease *lease = &t->lease;
	const char *objection = lease->count == LIMIT_JANITOR_ENTRIES ? "too many resources are held"
	                                                              : resource_objection(entry->kind, &entry->words);

	if (objection != NULL)
		return error_set(err, ERROR_IO, "%s", objection);
	entry->id = lease->last_id + 1;
	FAULT_POINT("janitor.note");
	if (!write_line(t, lease_line_hold(entry), outlives_the_machine(entry->kind), err))
		return false;
	FAULT_POINT("janitor.noted");
	lease->last_id = entry->id;
	lease->entries = mem_realloc(lease->entries, lease->count + 1, sizeof(*lease->entries));
	lease->entries[lease->count++] = *entry;
	if (entry->kind == RESOURCE_NETWORK)
		t->in_making = entry->id;
	return true;
}

static void forget(struct teardown *t, size_t index)
{
	struct lease_entry *entry = &t->lease.entries[index];

	delay_line(t, lease_line_release(entry->id));
	lease_entry_done(entry);
	t->lease.count--;
	memmove(entry, entry + 1, (t->lease.count - index) * sizeof(*entry));
}

bool teardown_release(struct teardown *t, unsigned id, struct npxc_error *err)
{
	for (size_t i = 0; i < t->lease.count; i++) {
		if (t->lease.entries[i].id != id)
			continue;
		FAULT_POINT("janitor.release");
		forget(t, i);
		write_delayed(t);
		FAULT_POINT("janitor.released");
		return true;
	}
	return error_set(err, ERROR_IO, "no such resource is held");
}

bool teardown_hold_sandbox(struct teardown *t, pid_t pid, enum group_stop stop, struct npxc_error *err)
{
	const struct lease_process process = lease_process_of(pid);

	if (t->sandbox.pid != 0)
		return error_set(err, ERROR_IO, "an earlier sandbox has not been ended");
	if (!group_open(pid, stop, &t->sandbox, err))
		return false;
	if (!write_line(t, lease_line_sandbox(&process, stop), false, err)) {
		group_done(&t->sandbox);
		return false;
	}
	FAULT_POINT("janitor.sandbox-noted");
	return true;
}

static void forget_sandbox(struct teardown *t)
{
	const struct lease_process none = { 0 };

	if (t->sandbox.pid == 0)
		return;
	group_done(&t->sandbox);
	delay_line(t, lease_line_sandbox(&none, GROUP_STOP_INNER));
}

static bool holds(const struct teardown *t, enum resource_kind kind)
{
	for (size_t i = 0; i < t->lease.count; i++)
		if (t->lease.entries[i].kind == kind && !t->lease.entries[i].is_removed)
			return true;
	return false;
}

/*
 * The CLI that was to start a container may have been ended, or have failed, before the service had made it: then the
 * container comes after its removal, and keeps its network. So it stays on the lease as long as a network does, and is
 * removed again before each further try at that.
 */
static void removed(struct teardown *t, size_t index)
{
	struct lease_entry *entry = &t->lease.entries[index];

	if (entry->kind == RESOURCE_CONTAINER && holds(t, RESOURCE_NETWORK))
		entry->is_removed = true;
	else
		forget(t, index);
}

/* After a teardown: a lease that holds nothing goes, another says what is left. */
static void settle(struct teardown *t)
{
	for (size_t i = t->lease.count; i > 0 && !holds(t, RESOURCE_NETWORK); i--)
		if (t->lease.entries[i - 1].is_removed)
			forget(t, i - 1);
	if (t->lease_fd == -1)
		return;
	if (t->lease.count > 0 || t->sandbox.pid != 0) {
		write_delayed(t);
		return;
	}
	if (unlink(t->path) == -1 && errno != ENOENT)
		report(t, true, "the lease %s is left behind: %s", t->path, strerror(errno));
	fd_close(&t->lease_fd);
}

/* ---- the sandbox ---- */

/* The container of the sandbox that runs: the one held last. lease.count when there is none. */
static size_t newest_container(const struct teardown *t)
{
	for (size_t i = t->lease.count; i > 0; i--)
		if (t->lease.entries[i - 1].kind == RESOURCE_CONTAINER)
			return i - 1;
	return t->lease.count;
}

/*
 * A CLI that is killed while it starts a container leaves the runtime's own processes behind, and no removal finds
 * them. So it is left to end by itself, which it does once its container has been killed or removed.
 */
static bool end_container(struct teardown *t, unsigned grace_ms, int hangup_fd, struct npxc_error *err)
{
	const struct group *group = &t->sandbox;
	const size_t index = newest_container(t);
	struct npxc_error why = { 0 };
	int64_t deadline;

	/* After an end of its own the teardown removes the container; it need not be done twice. */
	if (index == t->lease.count || group_first_ended(group))
		return group_end(group, grace_ms, hangup_fd, err);
	const struct lease_entry *container = &t->lease.entries[index];
	if (grace_ms > 0 && group_ask(group))
		group_wait_for_first(group, grace_ms, hangup_fd);
	deadline = clock_now_ms() + LIMIT_CONTAINER_END_MS;
	while (!group_first_ended(group) && clock_now_ms() < deadline) {
		if (group->stop == GROUP_STOP_LEADER_KILL)
			removal_kill_container(container);
		else if (!removal_run(container, REMOVAL_AGAIN, &why))
			report(t, false, "%s", why.message);
		group_wait_for_first(group, REMOVAL_PAUSE_MS, -1);
	}
	if (!group_end(group, 0, -1, err))
		return false;
	if (removal_run(container, REMOVAL_PERSISTENT, &why)) {
		report(t, false, "container %s removed", lease_entry_name(container));
		removed(t, index);
	}
	return true;
}

static bool end_sandbox(struct teardown *t, unsigned grace_ms, int hangup_fd, struct npxc_error *err)
{
	if (t->sandbox.pid == 0)
		return true;
	return t->sandbox.stop == GROUP_STOP_INNER ? group_end(&t->sandbox, grace_ms, hangup_fd, err)
	                                           : end_container(t, grace_ms, hangup_fd, err);
}

bool teardown_end_sandbox(struct teardown *t, unsigned grace_ms, int hangup_fd, struct npxc_error *err)
{
	if (!end_sandbox(t, grace_ms, hangup_fd, err))
		return false;
	FAULT_POINT("janitor.sandbox-ended");
	forget_sandbox(t);
	write_delayed(t);
	FAULT_POINT("janitor.sandbox-struck");
	return true;
}

/* ---- everything ---- */

static bool is_named(enum resource_kind kind)
{
	return resource_shape(kind) == RESOURCE_SHAPE_NAMED;
}

static bool remove_entry(const struct teardown *t, const struct lease_entry *entry, struct npxc_error *err)
{
	if (entry->kind == RESOURCE_PROCESS && t->is_later_boot)
		return true;
	return removal_run(entry, t->is_successor ? REMOVAL_ONCE : REMOVAL_PERSISTENT, err);
}

static void remove_all_of(struct teardown *t, enum resource_kind kind)
{
	/* What was acquired later may lie in what was acquired earlier. */
	for (size_t i = t->lease.count; i > 0; i--) {
		const struct lease_entry *entry = &t->lease.entries[i - 1];
		struct npxc_error err = { 0 };

		if (entry->kind != kind || entry->is_removed)
			continue;
		if (t->is_successor && t->is_down && is_named(kind)) {
			report(t, true, "%s %s is left behind: its runtime did not answer", resource_kind_word(kind),
			       lease_entry_name(entry));
			continue;
		}
		FAULT_POINT("janitor.remove");
		if (remove_entry(t, entry, &err)) {
			FAULT_POINT("janitor.removed");
			report(t, false, "%s %s removed", resource_kind_word(kind), lease_entry_name(entry));
			if (entry->id != t->in_making) /* else it is looked for once more, later */
				removed(t, i - 1);
			continue;
		}
		t->is_down = t->is_down || container_is_down(&err);
		if (kind == RESOURCE_NETWORK)
			report(t, true, "%s", err.message); /* names it */
		else
			report(t, true, "%s %s is left behind: %s", resource_kind_word(kind), lease_entry_name(entry),
			       err.message);
	}
}

void teardown_run(struct teardown *t)
{
	struct npxc_error err = { 0 };

	FAULT_POINT("janitor.teardown");
	if (WITHOUT("order"))
		remove_all_of(t, RESOURCE_NETWORK);
	if (!end_sandbox(t, 0, -1, &err))
		report(t, true, "%s", err.message);
	else if (t->sandbox.pid != 0)
		report(t, false, "sandbox %ld ended", (long)t->sandbox.pid);
	if (err.kind == ERROR_NONE)
		forget_sandbox(t);
	FAULT_POINT("janitor.teardown-sandbox");
	if (WITHOUT("order-of-removal"))
		remove_all_of(t, RESOURCE_NETWORK);
	remove_all_of(t, RESOURCE_CONTAINER);
	FAULT_POINT("janitor.teardown-containers");
	remove_all_of(t, RESOURCE_PROCESS);
	FAULT_POINT("janitor.teardown-processes");
	if (!holds(t, RESOURCE_CONTAINER))
		remove_all_of(t, RESOURCE_NETWORK);
	FAULT_POINT("janitor.teardown-networks");
	remove_all_of(t, RESOURCE_CGROUP);
	FAULT_POINT("janitor.teardown-cgroups");
	remove_all_of(t, RESOURCE_GUARDS);
	FAULT_POINT("janitor.teardown-guards");
	remove_all_of(t, RESOURCE_FILE);
	remove_all_of(t, RESOURCE_DIRECTORY);
	FAULT_POINT("janitor.teardown-directories");
	settle(t);
	FAULT_POINT("janitor.settled");
}

/* ---- in the background ---- */

bool teardown_is_open(const struct teardown *t)
{
	for (size_t i = 0; i < t->lease.count; i++) {
		const struct lease_entry *entry = &t->lease.entries[i];

		if (is_named(entry->kind) && !entry->is_removed &&
		    !strv_contains(&t->given_up, lease_entry_name(entry)))
			return true;
	}
	return false;
}

static void try_again(struct teardown *t, enum resource_kind kind)
{
	for (size_t i = t->lease.count; i > 0; i--) {
		const struct lease_entry *entry = &t->lease.entries[i - 1];
		struct npxc_error err = { 0 };

		if (entry->kind != kind || strv_contains(&t->given_up, lease_entry_name(entry)))
			continue;
		if (removal_run(entry, REMOVAL_AGAIN, &err))
			removed(t, i - 1);
		else if (err.sys_errno == ENOENT) /* the CLI is not there any more */
			strv_push(&t->given_up, lease_entry_name(entry));
	}
}

bool teardown_run_again(void *teardown)
{
	struct teardown *t = teardown;

	try_again(t, RESOURCE_CONTAINER);
	if (!holds(t, RESOURCE_CONTAINER))
		try_again(t, RESOURCE_NETWORK);
	settle(t);
	return !teardown_is_open(t);
}

/* ---- from a lease ---- */

void teardown_init(struct teardown *t, const char *path, struct teardown_report to)
{
	*t = (struct teardown){ .path = str_dup(path), .lease_fd = -1, .sandbox = { .pidfd = -1 }, .report = to };
	t->delayed = BUF_INIT(LIMIT_LEASE_BYTES);
}

void teardown_done(struct teardown *t)
{
	fd_close(&t->lease_fd);
	fd_close(&t->sandbox.pidfd);
	lease_done(&t->lease);
	strv_done(&t->given_up);
	buf_done(&t->delayed);
	free(t->path);
}

/* The sandbox of a lease, when it is still there. */
static void find_sandbox(struct teardown *t)
{
	const struct lease_process *process = &t->lease.sandbox;

	if (process->pid > 1 && process->pid != getpid() &&
	    !group_open_again(process->pid, process->started, t->lease.stop, &t->sandbox))
		t->sandbox = (struct group){ .pidfd = -1 };
}

bool teardown_resume(struct teardown *t, struct npxc_error *err)
{
	if (!lease_share(t->path, &t->lease_fd, err) || !lease_reread(t->lease_fd, &t->lease, err))
		return false;
	t->lease.janitor = lease_process_of(getpid());
	find_sandbox(t);
	delay_line(t, lease_line_janitor(&t->lease.janitor));
	write_delayed(t);
	FAULT_POINT("janitor.resumed");
	return true;
}

void teardown_inherit(struct teardown *t, int fd, const struct lease *lease, const char *boot)
{
	t->is_successor = true;
	t->lease_fd = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	t->lease = *lease;
	t->is_later_boot = lease->boot == NULL || strcmp(lease->boot, boot) != 0;
	if (!t->is_later_boot)
		find_sandbox(t);
}
