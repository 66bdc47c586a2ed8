#include "teardown/janitor.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/keep.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/proc.h"
#include "base/signals.h"
#include "contain/cgroup.h"
#include "contain/group.h"
#include "files/guards.h"
#include "runtime/container.h"
#include "runtime/network.h"
#include "runtime/runtime.h"
#include "teardown/lease.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0 /* macOS; npxc ignores SIGPIPE anyway */
#endif

/* ---- the frames: both ends are the same program, so numbers are in the machine's own form ---- */

enum verb {
	VERB_HOLD = 1,    /* a: kind; payload: words, each with its NUL. Answer DONE, a: id */
	VERB_DESCRIBE,    /* payload: the facts of struct janitor_facts as words; no answer */
	VERB_RELEASE,     /* a: id */
	VERB_SANDBOX,     /* a: pid, b: enum group_stop */
	VERB_END_SANDBOX, /* a: milliseconds of grace */
	VERB_END,
	/* and back */
	VERB_DONE,    /* a: of a hold the id; of the end 1 when something is tried again in the background */
	VERB_REFUSED, /* payload: why */
	VERB_WARNING, /* payload: text; no answer */
	VERB_STEP,    /* the same, for the log's debug level */
};

struct frame {
	uint32_t length; /* bytes of payload that follow */
	uint32_t verb;
	uint32_t a, b;
};

enum { TEXT_SIZE = 1024 }; /* bytes: a payload on the way back */

enum received { RECEIVED, RECEIVED_END, RECEIVED_TIMEOUT };

struct patience {
	int64_t deadline;   /* 0: for ever */
	bool heeds_signals; /* the launcher: a signal leaves it LIMIT_SIGNAL_MS, counted from the signal */
};

static int64_t deadline_of(const struct patience *patience)
{
	int64_t last = signals_time_ms() + LIMIT_SIGNAL_MS;

	if (patience->heeds_signals && signals_caught() != 0 && (patience->deadline == 0 || last < patience->deadline))
		return last;
	return patience->deadline;
}

/* True when there is something to read, or the end of it. */
static bool await_bytes(int fd, const struct patience *patience)
{
	for (;;) {
		bool heeds = patience->heeds_signals && signals_caught() == 0;
		struct pollfd fds[2] = { { .fd = fd, .events = POLLIN },
			                 { .fd = heeds ? signals_fd() : -1, .events = POLLIN } };
		int64_t deadline = deadline_of(patience);
		int64_t left = deadline - clock_now_ms();
		int timeout = deadline == 0 ? -1 : left <= 0 ? 0 : left > INT32_MAX ? INT32_MAX : (int)left;

		if (poll(fds, 2, timeout) == -1)
			continue; /* EINTR; fds was not written */
		if (fds[0].revents != 0)
			return true;
		if (deadline != 0 && left <= 0)
			return false;
	}
}

/* A broken channel is an end of file. */
static enum received receive(int fd, void *bytes, size_t count, const struct patience *patience)
{
	char *next = bytes;

	while (count > 0) {
		ssize_t got;

		if (!await_bytes(fd, patience))
			return RECEIVED_TIMEOUT;
		got = recv(fd, next, count, 0);
		if (got == 0 || (got == -1 && errno != EINTR))
			return RECEIVED_END;
		if (got > 0) {
			next += got;
			count -= (size_t)got;
		}
	}
	return RECEIVED;
}

/* ======== the janitor's own process ======== */

struct keeper {
	int fd;    /* -1: an heir's, which has no launcher */
	bool deaf; /* the launcher has gone or does not read: nothing is said any more */
	const struct janitor_heir *heir;
	bool is_later_boot; /* an heir's: what the lease names of processes has gone */
	bool is_down;       /* a runtime could not be asked */
	pid_t launcher, launcher_group;
	struct group sandbox;
	char *path;         /* of the lease; NULL: none is written */
	int lease_fd;       /* -1 until something is held */
	struct lease lease; /* what stands there, or will */
	struct buf struck;  /* lines for it that can wait until what follows them is known */
	/* A network that the launcher has named and said nothing since: if it dies now, the service may still be making
	 * it. */
	unsigned in_making;   /* its id; 0: none */
	struct strv given_up; /* names that are not tried again by this process: their CLI has gone */
	sigset_t waiting;     /* the mask of a pause that SIGTERM ends */
	char payload[LIMIT_JANITOR_FRAME_BYTES];
};

/* Never blocks for long (SO_SNDTIMEO): a launcher that does not read must not hold up the teardown. */
static void say(struct keeper *keeper, enum verb verb, uint32_t a, const char *text)
{
	char bytes[sizeof(struct frame) + TEXT_SIZE];
	size_t length = text == NULL ? 0 : strlen(text);
	struct frame frame = { .verb = verb, .a = a };

	if (length >= TEXT_SIZE)
		length = TEXT_SIZE - 1;
	if (keeper->heir != NULL) {
		if (text != NULL)
			keeper->heir->hear(keeper->heir->context, verb == VERB_WARNING, text);
		return;
	}
	frame.length = (uint32_t)length;
	memcpy(bytes, &frame, sizeof(frame));
	if (length > 0)
		memcpy(bytes + sizeof(frame), text, length);
	length += sizeof(frame);
	if (!keeper->deaf && send(keeper->fd, bytes, length, MSG_NOSIGNAL) != (ssize_t)length)
		keeper->deaf = true;
}

static void sayf(struct keeper *keeper, enum verb verb, const char *fmt, ...) NPXC_PRINTF(3, 4);

static void sayf(struct keeper *keeper, enum verb verb, const char *fmt, ...)
{
	char text[TEXT_SIZE];
	va_list args;

	va_start(args, fmt);
	if (vsnprintf(text, sizeof(text), fmt, args) < 0)
		text[0] = '\0';
	va_end(args);
	say(keeper, verb, 0, text);
}

/* ---- one resource ---- */

/* The runtime that made it, as far as its removal needs to know. */
static bool runtime_of(const struct strv *words, struct runtime *ret_runtime, struct npxc_error *err)
{
	struct runtime runtime = { .cli = str_dup(words->v[JANITOR_WORD_CLI]) };
	struct strv own = { 0 };

	if (!runtime_kind_of(words->v[JANITOR_WORD_RUNTIME], &runtime.kind, err)) {
		runtime_done(&runtime);
		return false;
	}
	for (size_t i = JANITOR_WORDS; i < words->count; i++)
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

static bool remove_container(const struct strv *words, struct npxc_error *err)
{
	struct runtime runtime;

	if (!runtime_of(words, &runtime, err))
		return false;
	const bool ok = container_remove(&runtime, words->v[JANITOR_WORD_NAME], err);
	runtime_done(&runtime);
	return ok;
}

enum { REMOVE_ATTEMPTS = 3, REMOVE_PAUSE_MS = 200 };

/* A removal may meet the runtime in the middle of its own, and fail for that. */
static bool remove_container_surely(const struct strv *words, int attempts, struct npxc_error *err)
{
	for (int attempt = 1; !remove_container(words, err); attempt++) {
		if (attempt == attempts || container_is_down(err))
			return false;
		poll(NULL, 0, REMOVE_PAUSE_MS);
	}
	return true;
}

typedef bool network_deleter(const struct runtime *runtime, const char *name, struct npxc_error *err);

static bool remove_network(const struct strv *words, network_deleter *delete, struct npxc_error *err)
{
	struct runtime runtime;

	if (!runtime_of(words, &runtime, err))
		return false;
	const bool ok = delete (&runtime, words->v[JANITOR_WORD_NAME], err);
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

static bool remove_entry(const struct keeper *keeper, const struct lease_entry *entry, struct npxc_error *err)
{
	switch (entry->kind) {
	case JANITOR_PROCESS:
		return keeper->is_later_boot || end_process(entry, err);
	case JANITOR_CGROUP:
		return cgroup_remove(entry->words.v[0], err);
	case JANITOR_CONTAINER:
		return remove_container_surely(&entry->words, keeper->heir != NULL ? 1 : REMOVE_ATTEMPTS, err);
	case JANITOR_NETWORK:
		return remove_network(&entry->words,
		                      keeper->heir != NULL ? network_delete_once : network_delete_with_retry, err);
	case JANITOR_GUARDS:
		return guards_settle(entry->words.v[0], err);
	case JANITOR_DIRECTORY:
	case JANITOR_FILE:
		break;
	}
	return file_remove_tree(entry->words.v[0], err);
}

/* ---- the lease ---- */

/* What the first line says; the launcher waits meanwhile, so it can be looked at. */
static void introduce(struct keeper *keeper)
{
	struct lease *lease = &keeper->lease;
	struct proc_look launcher = { 0 };

	if (proc_look(keeper->launcher, &launcher)) {
		lease->client = lease_process_of(launcher.parent);
		lease->client_name = proc_program(launcher.parent);
	}
	lease->launcher = (struct lease_process){ .pid = keeper->launcher, .started = launcher.started };
	lease->janitor = lease_process_of(getpid());
	lease->boot = proc_boot_id();
	lease->machine = proc_machine_id();
	lease->pids = proc_namespace();
	lease->npxc = str_dup(NPXC_VERSION);
	lease->started_at_ms = clock_wall_ms();
	lease->started_boot_ms = clock_boot_ms();
}

/* Takes the line. On disk when it returns, if it is `durable`; the first line always is. */
static bool write_down(struct keeper *keeper, char *owned_line, bool durable, struct npxc_error *err)
{
	mem_cleanup char *line = owned_line;

	if (keeper->path == NULL)
		return true;
	if (keeper->lease_fd != -1)
		return lease_append(keeper->lease_fd, line, durable, err);
	introduce(keeper);
	mem_cleanup char *header = lease_line_header(&keeper->lease);
	mem_cleanup char *facts = keeper->lease.name != NULL ? lease_line_facts(&keeper->lease) : str_dup("");
	mem_cleanup char *text = str_printf("%s%s%s", header, facts, line);
	return lease_create(keeper->path, text, &keeper->lease_fd, err);
}

/* What may be lost: it costs a look at something that is not there. Takes the line. */
static void strike(struct keeper *keeper, char *owned_line)
{
	mem_cleanup char *line = owned_line;
	struct npxc_error ignored = { 0 };

	if (keeper->lease_fd != -1 && !buf_append_text(&keeper->struck, line, &ignored))
		return;
}

static void write_struck(struct keeper *keeper)
{
	struct npxc_error err = { 0 };

	if (keeper->struck.length == 0)
		return;
	if (!lease_append(keeper->lease_fd, keeper->struck.data, false, &err))
		sayf(keeper, VERB_STEP, "%s", err.message);
	buf_consume(&keeper->struck, keeper->struck.length);
}

static void forget(struct keeper *keeper, size_t index)
{
	struct lease_entry *entry = &keeper->lease.entries[index];

	strike(keeper, lease_line_release(entry->id));
	lease_entry_done(entry);
	keeper->lease.count--;
	memmove(entry, entry + 1, (keeper->lease.count - index) * sizeof(*entry));
}

static void forget_sandbox(struct keeper *keeper)
{
	const struct lease_process none = { 0 };

	if (keeper->sandbox.pid == 0)
		return;
	group_done(&keeper->sandbox);
	strike(keeper, lease_line_sandbox(&none, GROUP_STOP_INNER));
}

static bool holds(const struct keeper *keeper, enum janitor_resource kind)
{
	for (size_t i = 0; i < keeper->lease.count; i++)
		if (keeper->lease.entries[i].kind == kind && !keeper->lease.entries[i].is_removed)
			return true;
	return false;
}

/*
 * The CLI that was to start a container may have been ended, or have failed, before the service had made it: then the
 * container comes after its removal, and keeps its network. So it stays on the lease as long as a network does, and is
 * removed again before each further try at that.
 */
static void removed(struct keeper *keeper, size_t index)
{
	struct lease_entry *entry = &keeper->lease.entries[index];

	if (entry->kind == JANITOR_CONTAINER && holds(keeper, JANITOR_NETWORK))
		entry->is_removed = true;
	else
		forget(keeper, index);
}

static void forget_removed(struct keeper *keeper)
{
	for (size_t i = keeper->lease.count; i > 0 && !holds(keeper, JANITOR_NETWORK); i--)
		if (keeper->lease.entries[i - 1].is_removed)
			forget(keeper, i - 1);
}

/* After a teardown: a lease that holds nothing goes, another says what is left. */
static void settle(struct keeper *keeper)
{
	forget_removed(keeper);
	if (keeper->lease_fd == -1)
		return;
	if (keeper->lease.count > 0 || keeper->sandbox.pid != 0) {
		write_struck(keeper);
		return;
	}
	if (unlink(keeper->path) == -1 && errno != ENOENT)
		sayf(keeper, VERB_WARNING, "the lease %s is left behind: %s", keeper->path, strerror(errno));
	fd_close(&keeper->lease_fd);
}

static bool is_named(enum janitor_resource kind)
{
	return kind == JANITOR_CONTAINER || kind == JANITOR_NETWORK;
}

static void remove_all_of(struct keeper *keeper, enum janitor_resource kind)
{
	/* What was acquired later may lie in what was acquired earlier. */
	for (size_t i = keeper->lease.count; i > 0; i--) {
		const struct lease_entry *entry = &keeper->lease.entries[i - 1];
		struct npxc_error err = { 0 };

		if (entry->kind != kind || entry->is_removed)
			continue;
		/* A sweep has many leases to look at, and one try for each. */
		if (keeper->heir != NULL && keeper->is_down && is_named(kind)) {
			sayf(keeper, VERB_WARNING, "%s %s is left behind: its runtime did not answer",
			     resource_kind_word(kind), lease_entry_name(entry));
			continue;
		}
		FAULT_POINT("janitor.remove");
		if (remove_entry(keeper, entry, &err)) {
			FAULT_POINT("janitor.removed");
			sayf(keeper, VERB_STEP, "%s %s removed", resource_kind_word(kind), lease_entry_name(entry));
			if (entry->id != keeper->in_making) /* else it is looked for once more, later */
				removed(keeper, i - 1);
			continue;
		}
		keeper->is_down = keeper->is_down || container_is_down(&err);
		if (kind == JANITOR_NETWORK) {
			say(keeper, VERB_WARNING, 0, err.message); /* names it */
		} else {
			sayf(keeper, VERB_WARNING, "%s %s is left behind: %s", resource_kind_word(kind),
			     lease_entry_name(entry), err.message);
		}
	}
}

/* ---- the sandbox ---- */

/* The container of the sandbox that runs: the one held last. keeper->lease.count when there is none. */
static size_t newest_container(const struct keeper *keeper)
{
	for (size_t i = keeper->lease.count; i > 0; i--)
		if (keeper->lease.entries[i - 1].kind == JANITOR_CONTAINER)
			return i - 1;
	return keeper->lease.count;
}

static void kill_container(const struct strv *words)
{
	struct npxc_error ignored = { 0 };
	struct runtime runtime;

	if (!runtime_of(words, &runtime, &ignored))
		return;
	container_kill(&runtime, words->v[JANITOR_WORD_NAME]);
	runtime_done(&runtime);
}

/*
 * A CLI that is killed while it starts a container leaves the runtime's own processes behind, and no removal finds
 * them. So it is left to end by itself, which it does once its container has been killed or removed.
 */
static bool end_container(struct keeper *keeper, unsigned grace_ms, int hangup_fd, struct npxc_error *err)
{
	const struct group *group = &keeper->sandbox;
	size_t container = newest_container(keeper);
	struct npxc_error why = { 0 };
	int64_t deadline;

	/* After an end of its own the teardown removes the container; it need not be done twice. */
	if (container == keeper->lease.count || group_first_ended(group))
		return group_end(group, grace_ms, hangup_fd, err);
	if (grace_ms > 0 && group_ask(group))
		group_wait_for_first(group, grace_ms, hangup_fd);
	deadline = clock_now_ms() + LIMIT_CONTAINER_END_MS;
	while (!group_first_ended(group) && clock_now_ms() < deadline) {
		if (keeper->sandbox.stop == GROUP_STOP_LEADER_KILL)
			kill_container(&keeper->lease.entries[container].words);
		else if (!remove_container(&keeper->lease.entries[container].words, &why))
			sayf(keeper, VERB_STEP, "%s", why.message);
		group_wait_for_first(group, REMOVE_PAUSE_MS, -1);
	}
	if (!group_end(group, 0, -1, err))
		return false;
	if (remove_container_surely(&keeper->lease.entries[container].words, REMOVE_ATTEMPTS, &why)) {
		sayf(keeper, VERB_STEP, "container %s removed", lease_entry_name(&keeper->lease.entries[container]));
		removed(keeper, container);
	}
	return true;
}

static bool end_sandbox(struct keeper *keeper, unsigned grace_ms, int hangup_fd, struct npxc_error *err)
{
	if (keeper->sandbox.pid == 0)
		return true;
	switch (keeper->sandbox.stop) {
	case GROUP_STOP_LEADER:
	case GROUP_STOP_LEADER_KILL:
		return end_container(keeper, grace_ms, hangup_fd, err);
	case GROUP_STOP_INNER:
		break;
	}
	return group_end(&keeper->sandbox, grace_ms, hangup_fd, err);
}

/* ---- everything ---- */

/* The only implementation of teardown. The order is that of the header: nothing is removed from under a process. */
static void tear_down(struct keeper *keeper)
{
	struct npxc_error err = { 0 };

	FAULT_POINT("janitor.teardown");
	if (!end_sandbox(keeper, 0, -1, &err))
		sayf(keeper, VERB_WARNING, "%s", err.message);
	else if (keeper->sandbox.pid != 0)
		sayf(keeper, VERB_STEP, "sandbox %ld ended", (long)keeper->sandbox.pid);
	if (err.kind == ERROR_NONE)
		forget_sandbox(keeper);
	FAULT_POINT("janitor.teardown-sandbox");
	remove_all_of(keeper, JANITOR_CONTAINER);
	FAULT_POINT("janitor.teardown-containers");
	remove_all_of(keeper, JANITOR_PROCESS);
	FAULT_POINT("janitor.teardown-processes");
	if (!holds(keeper, JANITOR_CONTAINER))
		remove_all_of(keeper, JANITOR_NETWORK);
	FAULT_POINT("janitor.teardown-networks");
	remove_all_of(keeper, JANITOR_CGROUP);
	FAULT_POINT("janitor.teardown-cgroups");
	remove_all_of(keeper, JANITOR_GUARDS);
	FAULT_POINT("janitor.teardown-guards");
	remove_all_of(keeper, JANITOR_FILE);
	remove_all_of(keeper, JANITOR_DIRECTORY);
	FAULT_POINT("janitor.teardown-directories");
	settle(keeper);
	FAULT_POINT("janitor.settled");
}

/* Whether there is still something of a runtime's to be tried. */
static bool has_hope(const struct keeper *keeper)
{
	for (size_t i = 0; i < keeper->lease.count; i++) {
		const struct lease_entry *entry = &keeper->lease.entries[i];

		if (is_named(entry->kind) && !entry->is_removed &&
		    !strv_contains(&keeper->given_up, lease_entry_name(entry)))
			return true;
	}
	return false;
}

/* One more try at each. */
static void try_again(struct keeper *keeper, enum janitor_resource kind)
{
	for (size_t i = keeper->lease.count; i > 0; i--) {
		const struct lease_entry *entry = &keeper->lease.entries[i - 1];
		struct npxc_error err = { 0 };
		bool gone;

		if (entry->kind != kind || strv_contains(&keeper->given_up, lease_entry_name(entry)))
			continue;
		gone = kind == JANITOR_NETWORK ? remove_network(&entry->words, network_delete_again, &err)
		                               : remove_container(&entry->words, &err);
		if (gone)
			removed(keeper, i - 1);
		else if (err.sys_errno == ENOENT) /* the CLI is not there any more */
			strv_push(&keeper->given_up, lease_entry_name(entry));
	}
}

/*
 * A machine that shuts down, or a service manager, tells everybody to end. The session itself is the launcher's to end;
 * what the janitor does after it is cut short: one more try at each, and the rest stays on the lease.
 */
static volatile sig_atomic_t told_to_end;

static void on_told(int number)
{
	(void)number;
	told_to_end = 1;
}

/* Blocked but while it is waited for: it cannot come between the look and the wait. */
static bool heed_sigterm(sigset_t *ret_waiting)
{
	const struct sigaction action = { .sa_handler = on_told };
	sigset_t blocked;

	sigemptyset(&blocked);
	sigaddset(&blocked, SIGTERM);
	return sigprocmask(SIG_BLOCK, &blocked, ret_waiting) == 0 && sigdelset(ret_waiting, SIGTERM) == 0 &&
	       sigaction(SIGTERM, &action, NULL) == 0;
}

static bool pause_unless_told(void *context, unsigned ms)
{
	const struct keeper *keeper = context;
	const struct timespec pause = { .tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000 };

	(void)pselect(0, NULL, NULL, NULL, &pause, &keeper->waiting);
	return told_to_end == 0;
}

static bool attempt_late(void *context)
{
	struct keeper *keeper = context;

	try_again(keeper, JANITOR_CONTAINER);
	if (!holds(keeper, JANITOR_CONTAINER))
		try_again(keeper, JANITOR_NETWORK);
	settle(keeper);
	return !has_hope(keeper);
}

/* What a teardown could not remove: a runtime may hold a network for long after its container has gone. */
static void tear_down_late(struct keeper *keeper)
{
	const struct network_background background = { attempt_late, pause_unless_told, keeper };

	if (has_hope(keeper))
		network_delete_blocking(&background);
}

static void refuse(struct keeper *keeper, const char *why)
{
	say(keeper, VERB_REFUSED, 0, why);
}

/* The payload's words, each of which ends with a NUL; false when it has none, or a last one without it. */
static bool read_words(const struct keeper *keeper, const struct frame *frame, struct strv *words)
{
	if (frame->length == 0 || keeper->payload[frame->length - 1] != '\0')
		return false;
	for (size_t at = 0; at < frame->length; at += strlen(keeper->payload + at) + 1)
		strv_push(words, keeper->payload + at);
	return true;
}

/* A machine's end takes processes and cgroups with it; for them the kernel's memory is as good as the disk. */
static bool outlives_the_machine(enum janitor_resource kind)
{
	return kind != JANITOR_CGROUP && kind != JANITOR_PROCESS;
}

static bool take_hold(struct keeper *keeper, struct lease_entry *entry, struct npxc_error *err)
{
	const char *objection = keeper->lease.count == LIMIT_JANITOR_ENTRIES
	                            ? "too many resources are held"
	                            : resource_objection(entry->kind, &entry->words);
	struct lease *lease = &keeper->lease;

	if (objection != NULL)
		return error_set(err, ERROR_IO, "%s", objection);
	entry->id = lease->last_id + 1;
	FAULT_POINT("janitor.note");
	if (!write_down(keeper, lease_line_hold(entry), outlives_the_machine(entry->kind), err))
		return false;
	FAULT_POINT("janitor.noted");
	lease->last_id = entry->id;
	lease->entries = mem_realloc(lease->entries, lease->count + 1, sizeof(*lease->entries));
	lease->entries[lease->count++] = *entry;
	return true;
}

static void on_hold(struct keeper *keeper, const struct frame *frame)
{
	struct lease_entry entry = { .kind = (enum janitor_resource)frame->a };
	struct npxc_error err = { 0 };

	if (!read_words(keeper, frame, &entry.words))
		refuse(keeper, "a resource without a name");
	else if (!take_hold(keeper, &entry, &err))
		refuse(keeper, err.message);
	else {
		if (entry.kind == JANITOR_NETWORK)
			keeper->in_making = entry.id;
		say(keeper, VERB_DONE, entry.id, NULL);
		FAULT_POINT("janitor.answered");
		return;
	}
	lease_entry_done(&entry);
}

static void replace(char **slot, const char *text)
{
	free(*slot);
	*slot = str_dup(text);
}

static void on_describe(struct keeper *keeper, const struct frame *frame)
{
	struct lease *lease = &keeper->lease;
	char **const slots[] = { &lease->name,    &lease->package, &lease->version,
		                 &lease->runtime, &lease->policy,  &lease->link };
	struct npxc_error err = { 0 };
	struct strv words = { 0 };

	const size_t slot_count = sizeof(slots) / sizeof(slots[0]);
	if (read_words(keeper, frame, &words) && words.count >= slot_count) {
		for (size_t i = 0; i < slot_count; i++)
			replace(slots[i], words.v[i]);
		strv_done(&lease->shares);
		strv_push_all(&lease->shares, (const char *const *)words.v + slot_count, words.count - slot_count);
		if (keeper->lease_fd != -1 && !write_down(keeper, lease_line_facts(lease), false, &err))
			sayf(keeper, VERB_WARNING, "%s", err.message);
	}
	strv_done(&words);
}

static void on_release(struct keeper *keeper, const struct frame *frame)
{
	for (size_t i = 0; i < keeper->lease.count; i++) {
		if (keeper->lease.entries[i].id != frame->a)
			continue;
		FAULT_POINT("janitor.release");
		forget(keeper, i);
		write_struck(keeper);
		FAULT_POINT("janitor.released");
		say(keeper, VERB_DONE, 0, NULL);
		return;
	}
	refuse(keeper, "no such resource is held");
}

static void on_sandbox(struct keeper *keeper, const struct frame *frame)
{
	const enum group_stop stop = (enum group_stop)frame->b;
	const struct lease_process process = lease_process_of((pid_t)frame->a);
	struct npxc_error err = { 0 };

	if (process.pid <= 1 || process.pid == keeper->launcher || process.pid == keeper->launcher_group ||
	    process.pid == getpid()) {
		refuse(keeper, "not a sandbox's process");
		return;
	}
	if (keeper->sandbox.pid != 0) {
		refuse(keeper, "an earlier sandbox has not been ended");
		return;
	}
	if (frame->b > GROUP_STOP_INNER) {
		refuse(keeper, "unknown way of asking");
		return;
	}
	if (!group_open(process.pid, stop, &keeper->sandbox, &err)) {
		refuse(keeper, err.message);
		return;
	}
	if (!write_down(keeper, lease_line_sandbox(&process, stop), false, &err)) {
		group_done(&keeper->sandbox);
		refuse(keeper, err.message);
		return;
	}
	FAULT_POINT("janitor.sandbox-noted");
	say(keeper, VERB_DONE, 0, NULL);
	FAULT_POINT("janitor.sandbox-answered");
}

static void on_end_sandbox(struct keeper *keeper, const struct frame *frame)
{
	struct npxc_error err = { 0 };

	FAULT_POINT("janitor.end-sandbox");
	/* A launcher that dies meanwhile makes the channel readable: the grace ends then. */
	if (!end_sandbox(keeper, frame->a, keeper->fd, &err)) {
		refuse(keeper, err.message);
		return;
	}
	FAULT_POINT("janitor.sandbox-ended");
	forget_sandbox(keeper);
	write_struck(keeper);
	FAULT_POINT("janitor.sandbox-struck");
	say(keeper, VERB_DONE, 0, NULL);
}

/* Until END or the end of file; a frame that cannot be one of ours counts as the latter. */
static void serve(struct keeper *keeper)
{
	static const struct patience for_ever = { 0 };
	struct frame frame;

	while (receive(keeper->fd, &frame, sizeof(frame), &for_ever) == RECEIVED) {
		if (frame.length > sizeof(keeper->payload) || frame.verb < VERB_HOLD || frame.verb > VERB_END) {
			say(keeper, VERB_WARNING, 0, "a message that is none of ours; everything is taken down");
			return;
		}
		if (receive(keeper->fd, keeper->payload, frame.length, &for_ever) != RECEIVED)
			return;
		if (frame.verb != VERB_END) /* else it was not made, as far as the launcher knows */
			keeper->in_making = 0;
		switch ((enum verb)frame.verb) {
		case VERB_HOLD:
			on_hold(keeper, &frame);
			break;
		case VERB_DESCRIBE:
			on_describe(keeper, &frame);
			break;
		case VERB_RELEASE:
			on_release(keeper, &frame);
			break;
		case VERB_SANDBOX:
			on_sandbox(keeper, &frame);
			break;
		case VERB_END_SANDBOX:
			on_end_sandbox(keeper, &frame);
			break;
		case VERB_DONE:
		case VERB_REFUSED:
		case VERB_WARNING:
		case VERB_STEP: /* these four are only on the way back, which has been looked at */
		case VERB_END:
			tear_down(keeper);
			say(keeper, VERB_DONE, has_hope(keeper), NULL);
			tear_down_late(keeper);
			_exit(0);
		}
	}
}

/* No descriptor but the channel, and nobody whom a launcher that does not read could hold up. */
static bool become_keeper(int *fd, struct npxc_error *err)
{
	const struct timeval say_within = { .tv_sec = 2 };

	if (!keep_apart(&fd, 1, err))
		return false;
	setsockopt(*fd, SOL_SOCKET, SO_SNDTIMEO, &say_within, sizeof(say_within));
	return true;
}

static void init_keeper(struct keeper *keeper, char *path)
{
	keeper->path = path;
	keeper->lease_fd = -1;
	keeper->sandbox.pidfd = -1;
	keeper->struck = BUF_INIT(LIMIT_LEASE_BYTES);
}

/* The sandbox of a lease, when it is still there. */
static void find_sandbox(struct keeper *keeper)
{
	const struct lease_process *process = &keeper->lease.sandbox;

	if (process->pid > 1 && process->pid != getpid() &&
	    !group_open_again(process->pid, process->started, keeper->lease.stop, &keeper->sandbox))
		keeper->sandbox = (struct group){ .pidfd = -1 };
}

/* From where a janitor that died left off. */
static bool resume(struct keeper *keeper, struct npxc_error *err)
{
	if (!lease_share(keeper->path, &keeper->lease_fd, err) || !lease_reread(keeper->lease_fd, &keeper->lease, err))
		return false;
	keeper->lease.janitor = lease_process_of(getpid());
	find_sandbox(keeper);
	strike(keeper, lease_line_janitor(&keeper->lease.janitor));
	write_struck(keeper);
	FAULT_POINT("janitor.resumed");
	return true;
}

/* ======== the launcher's side ======== */

struct janitor {
	pid_t pid;
	int fd;       /* -1: lost */
	bool is_slow; /* lost because it took too long; it goes on by itself */
	char *path;   /* owned; of the lease; NULL: none */
	int lease_fd; /* the launcher's own lock on it; -1: nothing is held yet */
};

static void run_keeper(const struct janitor *janitor, const char *id, int fd, pid_t launcher, pid_t launcher_group)
{
	/* Not on the stack of a deep caller: zeroed pages that are not used cost nothing. */
	static struct keeper keeper;
	struct npxc_error err = { 0 };
	const bool resumes = janitor->lease_fd != -1;

	FAULT_ROLE("janitor");
	FAULT_POINT("janitor.forked");
	/* Nothing has been acquired yet, or it is on the lease: the launcher learns of it with its next message. */
	if (!become_keeper(&fd, &err))
		_exit(1);
	init_keeper(&keeper, janitor->path);
	if (!heed_sigterm(&keeper.waiting))
		_exit(1);
	keeper.fd = fd;
	keeper.launcher = launcher;
	keeper.launcher_group = launcher_group;
	if (resumes && !resume(&keeper, &err))
		_exit(1);
	if (!resumes && id != NULL)
		keeper.lease.id = str_dup(id);
	serve(&keeper);
	FAULT_POINT("janitor.alone");
	keeper.deaf = true;
	tear_down(&keeper);
	tear_down_late(&keeper);
	_exit(0);
}

/* The keeper and the channel to it. `id`: of the lease that it writes; not read when it resumes one. */
static bool fork_keeper(struct janitor *janitor, const char *id, struct npxc_error *err)
{
	int ends[2];
	pid_t launcher = getpid();
	pid_t launcher_group = getpgrp();
	sigset_t all, before;
	pid_t pid;
	int saved;

	if (!fd_socket_pair(ends, err))
		return false;
	/* The launcher's handlers must not run in the child. */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	pid = fork();
	saved = errno;
	if (pid == 0)
		run_keeper(janitor, id, ends[1], launcher, launcher_group);
	sigprocmask(SIG_SETMASK, &before, NULL);
	fd_close(&ends[1]);
	if (pid == -1) {
		fd_close(&ends[0]);
		errno = saved;
		return error_set_errno(err, ERROR_IO, "fork the janitor");
	}
	janitor->pid = pid;
	janitor->fd = ends[0];
	return true;
}

static void free_janitor(struct janitor *janitor)
{
	fd_close(&janitor->fd);
	fd_close(&janitor->lease_fd);
	free(janitor->path);
	free(janitor);
}

bool janitor_start(const char *directory, const char *id, struct janitor **ret_janitor, struct npxc_error *err)
{
	struct janitor *janitor = mem_alloc(sizeof(*janitor));

	signal(SIGCHLD, SIG_DFL);
	signal(SIGPIPE, SIG_IGN); /* a janitor that has died is told by EPIPE */
	*janitor = (struct janitor){ .fd = -1, .lease_fd = -1 };
	if (directory != NULL)
		janitor->path = lease_path(directory, id);
	FAULT_SESSION(id);
	if (!fork_keeper(janitor, id, err)) {
		free_janitor(janitor);
		return false;
	}
	*ret_janitor = janitor;
	return true;
}

static void reap(const struct janitor *janitor)
{
	while (waitpid(janitor->pid, NULL, 0) == -1 && errno == EINTR)
		;
}

/*
 * The janitor has died and left a lease: another one goes on from it. One that is only slow goes on by itself.
 * A lease that has gone was torn down to its end.
 */
static bool revive(struct janitor *janitor)
{
	struct npxc_error err = { 0 };

	if (janitor->fd != -1 || janitor->is_slow || janitor->path == NULL)
		return false;
	reap(janitor);
	/* It may have died between the lease's making and its answer. */
	if (janitor->lease_fd == -1 && !lease_share(janitor->path, &janitor->lease_fd, &err))
		return false;
	if (access(janitor->path, F_OK) == -1)
		return false;
	log_warn("janitor", "has ended unexpectedly; another one takes over");
	if (fork_keeper(janitor, NULL, &err))
		return true;
	log_warn("janitor", "%s", err.message);
	return false;
}

/* Once an answer failed to come, a later one would be taken for the answer to something else. */
static bool channel_lost(struct janitor *janitor, const char *how, struct npxc_error *err)
{
	fd_close(&janitor->fd);
	return error_set(err, ERROR_IO, "the janitor %s", how);
}

static bool send_frame(struct janitor *janitor, const struct frame *frame, const void *payload, struct npxc_error *err)
{
	struct buf bytes BUF_CLEANUP = BUF_INIT(sizeof(*frame) + LIMIT_JANITOR_FRAME_BYTES);
	struct npxc_error ignored = { 0 };

	if (janitor->fd == -1)
		return error_set(err, ERROR_IO, "the janitor has gone");
	if (!buf_append(&bytes, frame, sizeof(*frame), err) || !buf_append(&bytes, payload, frame->length, err))
		return false;
	if (!fd_write_all(janitor->fd, bytes.data, bytes.length, &ignored))
		return channel_lost(janitor, "has ended unexpectedly", err);
	return true;
}

/* Logs what comes before the answer. */
static bool await_answer(struct janitor *janitor, int64_t ms, uint32_t *ret_a, struct npxc_error *err)
{
	struct patience patience = { .deadline = clock_now_ms() + ms, .heeds_signals = true };
	char text[TEXT_SIZE];
	struct frame frame;

	for (;;) {
		enum received got = receive(janitor->fd, &frame, sizeof(frame), &patience);

		if (got == RECEIVED && frame.length >= sizeof(text))
			return channel_lost(janitor, "sent what is none of its messages", err);
		if (got == RECEIVED)
			got = receive(janitor->fd, text, frame.length, &patience);
		if (got == RECEIVED_TIMEOUT)
			janitor->is_slow = true;
		if (got != RECEIVED)
			return channel_lost(
			    janitor, got == RECEIVED_TIMEOUT ? "does not answer" : "has ended unexpectedly", err);
		text[frame.length] = '\0';
		if (frame.verb == VERB_REFUSED)
			return error_set(err, ERROR_IO, "%s", text);
		if (frame.verb == VERB_DONE) {
			*ret_a = frame.a;
			return true;
		}
		if (frame.verb == VERB_WARNING)
			log_warn("janitor", "%s", text);
		else if (frame.verb == VERB_STEP)
			log_debug("janitor", "%s", text);
		else
			return channel_lost(janitor, "sent what is none of its messages", err);
	}
}

static bool ask_janitor(struct janitor *janitor, struct frame frame, const void *payload, int64_t extra_ms,
                        uint32_t *ret_a, struct npxc_error *err)
{
	return send_frame(janitor, &frame, payload, err) &&
	       await_answer(janitor, LIMIT_JANITOR_ANSWER_MS + extra_ms, ret_a, err);
}

/* Once there is a lease the launcher has a lock of its own on it: the janitor may die. */
static bool share_lease(struct janitor *janitor, struct npxc_error *err)
{
	return janitor->path == NULL || janitor->lease_fd != -1 || lease_share(janitor->path, &janitor->lease_fd, err);
}

bool janitor_describe(struct janitor *janitor, const struct janitor_facts *facts, struct npxc_error *err)
{
	const char *const words[] = { facts->name,    facts->package, facts->version,
		                      facts->runtime, facts->policy,  facts->link };
	struct buf payload BUF_CLEANUP = BUF_INIT(LIMIT_JANITOR_FRAME_BYTES);
	struct frame frame = { .verb = VERB_DESCRIBE };

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (!buf_append(&payload, words[i], strlen(words[i]) + 1, err))
			return false;
	for (size_t i = 0; facts->shares != NULL && i < facts->shares->count; i++)
		if (!buf_append(&payload, facts->shares->v[i], strlen(facts->shares->v[i]) + 1, err))
			return error_prefix(err, "the paths of all mounts together are too long for the lease");
	frame.length = (uint32_t)payload.length;
	return send_frame(janitor, &frame, payload.data, err);
}

static bool ask_janitor_within(struct janitor *janitor, struct frame frame, unsigned ms, uint32_t *ret_a,
                               struct npxc_error *err)
{
	return send_frame(janitor, &frame, NULL, err) && await_answer(janitor, ms, ret_a, err);
}

bool janitor_hold(struct janitor *janitor, enum janitor_resource kind, const struct strv *words, unsigned *ret_id,
                  struct npxc_error *err)
{
	struct buf payload BUF_CLEANUP = BUF_INIT(LIMIT_JANITOR_FRAME_BYTES);
	const char *shown = words->count > 0 ? words->v[words->count - 1] : "(nothing)";
	struct frame frame = { .verb = VERB_HOLD, .a = kind };
	uint32_t id = 0;
	bool ok = true;

	for (size_t i = 0; ok && i < words->count; i++)
		ok = buf_append(&payload, words->v[i], strlen(words->v[i]) + 1, err);
	frame.length = (uint32_t)payload.length;
	if (!ok || !ask_janitor(janitor, frame, payload.data, 0, &id, err) || !share_lease(janitor, err))
		return error_prefix(err, "the janitor cannot hold %.200s", shown);
	*ret_id = id;
	return true;
}

bool janitor_hold_path(struct janitor *janitor, enum janitor_resource kind, const char *path, unsigned *ret_id,
                       struct npxc_error *err)
{
	struct strv words = { 0 };
	bool ok;

	strv_push(&words, path);
	ok = janitor_hold(janitor, kind, &words, ret_id, err);
	strv_done(&words);
	return ok;
}

bool janitor_hold_named(struct janitor *janitor, enum janitor_resource kind, const struct runtime *runtime,
                        const char *name, unsigned *ret_id, struct npxc_error *err)
{
	struct strv words = { 0 };
	bool ok;

	strv_push(&words, runtime->cli);
	strv_push(&words, runtime_kind_word(runtime->kind));
	strv_push(&words, name);
	strv_push_all(&words, (const char *const *)runtime->environment.v, runtime->environment.count);
	ok = janitor_hold(janitor, kind, &words, ret_id, err);
	strv_done(&words);
	return ok;
}

bool janitor_hold_process(struct janitor *janitor, pid_t pid, unsigned *ret_id, struct npxc_error *err)
{
	const struct lease_process process = lease_process_of(pid);
	struct strv words = { 0 };

	strv_pushf(&words, "%ld", (long)process.pid);
	strv_pushf(&words, "%llu", (unsigned long long)process.started);
	const bool ok = janitor_hold(janitor, JANITOR_PROCESS, &words, ret_id, err);
	strv_done(&words);
	return ok;
}

bool janitor_release(struct janitor *janitor, unsigned id, struct npxc_error *err)
{
	uint32_t ignored;

	return ask_janitor(janitor, (struct frame){ .verb = VERB_RELEASE, .a = id }, NULL, 0, &ignored, err) ||
	       error_prefix(err, "release resource %u", id);
}

bool janitor_sandbox(struct janitor *janitor, pid_t group, enum group_stop stop, struct npxc_error *err)
{
	struct frame frame = { .verb = VERB_SANDBOX, .a = (uint32_t)group, .b = stop };
	uint32_t ignored;

	return (ask_janitor(janitor, frame, NULL, 0, &ignored, err) && share_lease(janitor, err)) ||
	       error_prefix(err, "hand sandbox %ld to the janitor", (long)group);
}

void janitor_begin_to_end_sandbox(struct janitor *janitor, unsigned grace_ms, int *ret_fd)
{
	const struct frame frame = { .verb = VERB_END_SANDBOX, .a = grace_ms };
	struct npxc_error ignored = { 0 };

	/* Whatever kept it from the janitor is seen when the answer is waited for. */
	(void)!send_frame(janitor, &frame, NULL, &ignored);
	*ret_fd = janitor->fd;
}

bool janitor_await_end_of_sandbox(struct janitor *janitor, unsigned grace_ms, struct npxc_error *err)
{
	struct frame frame = { .verb = VERB_END_SANDBOX, .a = grace_ms };
	int64_t extra_ms = (int64_t)grace_ms + LIMIT_KILL_VERIFY_MS + LIMIT_CONTAINER_END_MS +
	                   (REMOVE_ATTEMPTS + 1) * (LIMIT_REMOVE_MS + REMOVE_PAUSE_MS);
	struct npxc_error lost = { 0 };
	uint32_t ignored;

	if (janitor->fd == -1)
		error_set(&lost, ERROR_IO, "the janitor has gone");
	if ((janitor->fd != -1 && await_answer(janitor, LIMIT_JANITOR_ANSWER_MS + extra_ms, &ignored, &lost)) ||
	    (revive(janitor) && ask_janitor(janitor, frame, NULL, extra_ms, &ignored, &lost)))
		return true;
	*err = lost;
	return error_prefix(err, "end the sandbox");
}

bool janitor_end_sandbox(struct janitor *janitor, unsigned grace_ms, struct npxc_error *err)
{
	int ignored;

	janitor_begin_to_end_sandbox(janitor, grace_ms, &ignored);
	return janitor_await_end_of_sandbox(janitor, grace_ms, err);
}

bool janitor_end(struct janitor *janitor, unsigned timeout_ms, struct npxc_error *err)
{
	struct frame frame = { .verb = VERB_END };
	struct npxc_error lost = { 0 };
	uint32_t goes_on = 0;
	bool ok = ask_janitor_within(janitor, frame, timeout_ms, &goes_on, &lost) ||
	          (revive(janitor) && ask_janitor_within(janitor, frame, timeout_ms, &goes_on, &lost));

	fd_close(&janitor->fd);
	if (janitor->is_slow) {
		log_warn("janitor", "not done in time; goes on in the background");
		ok = true;
	} else if (goes_on == 0) {
		reap(janitor);
	}
	free_janitor(janitor);
	if (!ok)
		*err = lost;
	return ok;
}

/* ======== without a launcher ======== */

enum janitor_released janitor_release_lease(const struct janitor_heir *heir, const char *path, int fd,
                                            struct lease *lease)
{
	struct keeper *keeper = mem_alloc(sizeof(*keeper));
	enum janitor_released released = JANITOR_RELEASED;

	init_keeper(keeper, str_dup(path));
	keeper->fd = -1;
	keeper->heir = heir;
	keeper->lease_fd = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	keeper->lease = *lease;
	keeper->is_later_boot = keeper->lease.boot == NULL || strcmp(keeper->lease.boot, heir->boot) != 0;
	if (!keeper->is_later_boot)
		find_sandbox(keeper);
	tear_down(keeper);
	if (keeper->lease.count > 0 || keeper->sandbox.pid != 0)
		released = keeper->is_down ? JANITOR_KEPT_DOWN : JANITOR_KEPT;
	*lease = keeper->lease;
	fd_close(&keeper->lease_fd);
	fd_close(&keeper->sandbox.pidfd);
	buf_done(&keeper->struck);
	free(keeper->path);
	free(keeper);
	return released;
}
