#include "session/janitor.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/keep.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/proc.h"
#include "runtime/cgroup.h"
#include "runtime/network.h"
#include "runtime/runtime.h"
#include "session/group.h"
#include "session/signals.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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
	VERB_RELEASE,     /* a: id */
	VERB_SANDBOX,     /* a: pid, b: enum janitor_asked */
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

struct entry {
	unsigned id;
	enum janitor_resource kind;
	struct strv words;
};

struct keeper {
	int fd;
	bool deaf; /* the launcher has gone or does not read: nothing is said any more */
	pid_t launcher, launcher_group;
	struct group sandbox;
	struct entry *entries;
	size_t count;
	unsigned last_id;
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

/* The CLIs' words for a container that is not there, in a line that names it. */
static bool says_no_container(const char *errors, const char *name)
{
	for (const char *line = errors; *line != '\0';) {
		size_t length = strcspn(line, "\n");
		mem_cleanup char *copy = str_dup_n(line, length);

		if (strstr(copy, name) != NULL &&
		    (strcasestr(copy, "not found") != NULL || strcasestr(copy, "no such container") != NULL))
			return true;
		line += length + (line[length] == '\n');
	}
	return false;
}

/* One call of the removal command. That there is no such container is a success. */
static bool remove_container(const struct strv *words, struct npxc_error *err)
{
	struct proc_command command = { .argv = words->v, .timeout_ms = LIMIT_REMOVE_MS, .max_output_bytes = 4 * KIB };
	struct proc_result result = { 0 };
	mem_cleanup char *shown = strv_shell(words);
	bool ok;

	if (!proc_run(&command, &result, err))
		return false;
	ok = result.exit_status == 0 && !result.timed_out;
	if (!ok && !result.timed_out && says_no_container(result.errors.data, words->v[words->count - 1]))
		ok = true;
	if (!ok) {
		mem_cleanup char *ended = proc_result_text(&result, command.timeout_ms);

		error_set(err, ERROR_RUNTIME, "%s: %s: %s", shown, ended, str_trim(result.errors.data));
	}
	proc_result_done(&result);
	return ok;
}

enum { REMOVE_ATTEMPTS = 3, REMOVE_PAUSE_MS = 200 };

/* A removal may meet the runtime in the middle of its own, and fail for that. */
static bool remove_container_surely(const struct strv *words, struct npxc_error *err)
{
	for (int attempt = 1; !remove_container(words, err); attempt++) {
		if (attempt == REMOVE_ATTEMPTS || err->sys_errno == ENOENT)
			return false;
		poll(NULL, 0, REMOVE_PAUSE_MS);
	}
	return true;
}

/* The words of a JANITOR_NETWORK. */
enum { NETWORK_CLI, NETWORK_RUNTIME, NETWORK_NAME, NETWORK_WORDS };

typedef bool network_deleter(const struct runtime *runtime, const char *name, struct npxc_error *err);

static bool remove_network(const struct strv *words, network_deleter *delete, struct npxc_error *err)
{
	struct runtime runtime = { .cli = str_dup(words->v[NETWORK_CLI]) };
	bool ok;

	for (size_t i = NETWORK_WORDS; i < words->count; i++)
		strv_push(&runtime.environment, words->v[i]);
	ok = runtime_kind_of(words->v[NETWORK_RUNTIME], &runtime.kind, err) &&
	     delete (&runtime, words->v[NETWORK_NAME], err);
	runtime_done(&runtime);
	return ok;
}

static bool remove_entry(const struct entry *entry, struct npxc_error *err)
{
	switch (entry->kind) {
	case JANITOR_CGROUP:
		return cgroup_remove(entry->words.v[0], err);
	case JANITOR_CONTAINER:
		return remove_container_surely(&entry->words, err);
	case JANITOR_NETWORK:
		return remove_network(&entry->words, network_delete_with_retry, err);
	case JANITOR_DIRECTORY:
	case JANITOR_FILE:
		break;
	}
	return file_remove_tree(entry->words.v[0], err);
}

static const char *shown_name(const struct entry *entry)
{
	return entry->words.v[entry->kind == JANITOR_NETWORK ? NETWORK_NAME : entry->words.count - 1];
}

static void forget(struct keeper *keeper, size_t index)
{
	struct entry *entry = &keeper->entries[index];

	strv_done(&entry->words);
	keeper->count--;
	memmove(entry, entry + 1, (keeper->count - index) * sizeof(*entry));
}

static bool holds(const struct keeper *keeper, enum janitor_resource kind)
{
	for (size_t i = 0; i < keeper->count; i++)
		if (keeper->entries[i].kind == kind)
			return true;
	return false;
}

static void remove_all_of(struct keeper *keeper, enum janitor_resource kind)
{
	static const char *const names[] = { "cgroup", "directory", "file", "container", "network" };

	/* What was acquired later may lie in what was acquired earlier. */
	for (size_t i = keeper->count; i > 0; i--) {
		const struct entry *entry = &keeper->entries[i - 1];
		struct npxc_error err = { 0 };

		if (entry->kind != kind)
			continue;
		if (remove_entry(entry, &err)) {
			sayf(keeper, VERB_STEP, "%s %s removed", names[kind], shown_name(entry));
			forget(keeper, i - 1);
		} else if (kind == JANITOR_NETWORK) {
			say(keeper, VERB_WARNING, 0, err.message); /* names it */
		} else {
			sayf(keeper, VERB_WARNING, "%s %s is left behind: %s", names[kind], shown_name(entry),
			     err.message);
		}
	}
}

/* ---- the sandbox ---- */

/* The container of the sandbox that runs: the one held last. keeper->count when there is none. */
static size_t newest_container(const struct keeper *keeper)
{
	for (size_t i = keeper->count; i > 0; i--)
		if (keeper->entries[i - 1].kind == JANITOR_CONTAINER)
			return i - 1;
	return keeper->count;
}

/* One call of `kill`. That the container does not run yet, or not any more, is what the CLI's end shows. */
static void kill_container(const struct strv *removal)
{
	const char *argv[] = { removal->v[0], "kill", "-s", "KILL", removal->v[removal->count - 1], NULL };
	struct proc_command command = { .argv = (char **)argv,
		                        .timeout_ms = LIMIT_REMOVE_MS,
		                        .max_output_bytes = 4 * KIB };
	struct npxc_error ignored = { 0 };
	struct proc_result result = { 0 };

	if (proc_run(&command, &result, &ignored))
		proc_result_done(&result);
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
	if (container == keeper->count || group_first_ended(group))
		return group_end(group, grace_ms, hangup_fd, err);
	if (grace_ms > 0 && group_ask(group))
		group_wait_for_first(group, grace_ms, hangup_fd);
	deadline = clock_now_ms() + LIMIT_CONTAINER_END_MS;
	while (!group_first_ended(group) && clock_now_ms() < deadline) {
		if (keeper->sandbox.asked == JANITOR_ASK_LEADER_KILL)
			kill_container(&keeper->entries[container].words);
		else if (!remove_container(&keeper->entries[container].words, &why))
			sayf(keeper, VERB_STEP, "%s", why.message);
		group_wait_for_first(group, REMOVE_PAUSE_MS, -1);
	}
	if (!group_end(group, 0, -1, err))
		return false;
	if (remove_container_surely(&keeper->entries[container].words, &why)) {
		sayf(keeper, VERB_STEP, "container %s removed", shown_name(&keeper->entries[container]));
		forget(keeper, container);
	}
	return true;
}

static bool end_sandbox(struct keeper *keeper, unsigned grace_ms, int hangup_fd, struct npxc_error *err)
{
	if (keeper->sandbox.pid == 0)
		return true;
	switch (keeper->sandbox.asked) {
	case JANITOR_ASK_LEADER:
	case JANITOR_ASK_LEADER_KILL:
		return end_container(keeper, grace_ms, hangup_fd, err);
	case JANITOR_ASK_INNER:
		break;
	}
	return group_end(&keeper->sandbox, grace_ms, hangup_fd, err);
}

/* ---- everything ---- */

/* The only implementation of teardown. The order is that of the header: nothing is removed from under a process. */
static void tear_down(struct keeper *keeper)
{
	struct npxc_error err = { 0 };

	if (!end_sandbox(keeper, 0, -1, &err))
		sayf(keeper, VERB_WARNING, "%s", err.message);
	else if (keeper->sandbox.pid != 0)
		sayf(keeper, VERB_STEP, "sandbox %ld ended", (long)keeper->sandbox.pid);
	remove_all_of(keeper, JANITOR_CONTAINER);
	if (!holds(keeper, JANITOR_CONTAINER))
		remove_all_of(keeper, JANITOR_NETWORK);
	remove_all_of(keeper, JANITOR_CGROUP);
	remove_all_of(keeper, JANITOR_FILE);
	remove_all_of(keeper, JANITOR_DIRECTORY);
}

/* One more try at each; a CLI that is not there any more removes nothing. */
static void try_again(struct keeper *keeper, enum janitor_resource kind)
{
	for (size_t i = keeper->count; i > 0; i--) {
		const struct strv *words = &keeper->entries[i - 1].words;
		struct npxc_error err = { 0 };
		bool gone;

		if (keeper->entries[i - 1].kind != kind)
			continue;
		gone = kind == JANITOR_NETWORK ? remove_network(words, network_delete_again, &err)
		                               : remove_container(words, &err);
		if (gone || err.sys_errno == ENOENT)
			forget(keeper, i - 1);
	}
}

/* What a teardown could not remove: a runtime may hold a network for long after its container has gone. */
static void tear_down_late(struct keeper *keeper)
{
	int64_t end = clock_now_ms() + network_schedule.background_ms;

	while ((holds(keeper, JANITOR_CONTAINER) || holds(keeper, JANITOR_NETWORK)) &&
	       clock_now_ms() + network_schedule.background_pause_ms < end) {
		poll(NULL, 0, (int)network_schedule.background_pause_ms);
		try_again(keeper, JANITOR_CONTAINER);
		if (!holds(keeper, JANITOR_CONTAINER))
			try_again(keeper, JANITOR_NETWORK);
	}
}

static void refuse(struct keeper *keeper, const char *why)
{
	say(keeper, VERB_REFUSED, 0, why);
}

/* A list of at least that many words, by their NULs. */
static bool has_words(const struct keeper *keeper, const struct frame *frame, unsigned least)
{
	unsigned count = 0;

	for (uint32_t i = 0; i < frame->length; i++)
		count += keeper->payload[i] == '\0';
	return count >= least;
}

static const char *network_objection(const struct keeper *keeper, const struct frame *frame)
{
	const char *word = keeper->payload + strlen(keeper->payload) + 1;
	struct npxc_error ignored = { 0 };
	enum runtime_kind kind;

	if (!has_words(keeper, frame, NETWORK_WORDS))
		return "a network without its runtime or name";
	if (!runtime_kind_of(word, &kind, &ignored) || kind == RUNTIME_BWRAP)
		return "no runtime that has networks";
	if (!network_is_managed_name(word + strlen(word) + 1))
		return "not a network that npxc makes";
	return NULL;
}

/* NULL when what has been sent may be held, else why not. */
static const char *hold_objection(const struct keeper *keeper, const struct frame *frame)
{
	mem_cleanup char *clean = NULL;

	if (keeper->count == LIMIT_JANITOR_ENTRIES)
		return "too many resources are held";
	if (frame->a > JANITOR_NETWORK)
		return "unknown kind of resource";
	if (frame->length == 0 || keeper->payload[frame->length - 1] != '\0')
		return "a resource without a name";
	if (keeper->payload[0] != '/')
		return "the path is not absolute";
	if (frame->a == JANITOR_NETWORK)
		return network_objection(keeper, frame);
	if (frame->a == JANITOR_CONTAINER)
		return NULL;
	clean = str_path_clean(keeper->payload);
	if (strlen(keeper->payload) + 1 != frame->length || strcmp(clean, keeper->payload) != 0 ||
	    strcmp(clean, "/") == 0)
		return "the path is not a clean one";
	return NULL;
}

static void on_hold(struct keeper *keeper, const struct frame *frame)
{
	const char *objection = hold_objection(keeper, frame);
	struct entry *entry;

	if (objection != NULL) {
		refuse(keeper, objection);
		return;
	}
	keeper->entries = mem_realloc(keeper->entries, keeper->count + 1, sizeof(*keeper->entries));
	entry = &keeper->entries[keeper->count++];
	*entry = (struct entry){ .id = ++keeper->last_id, .kind = (enum janitor_resource)frame->a };
	for (size_t at = 0; at < frame->length; at += strlen(keeper->payload + at) + 1)
		strv_push(&entry->words, keeper->payload + at);
	say(keeper, VERB_DONE, entry->id, NULL);
}

static void on_release(struct keeper *keeper, const struct frame *frame)
{
	for (size_t i = 0; i < keeper->count; i++) {
		if (keeper->entries[i].id != frame->a)
			continue;
		forget(keeper, i);
		say(keeper, VERB_DONE, 0, NULL);
		return;
	}
	refuse(keeper, "no such resource is held");
}

static void on_sandbox(struct keeper *keeper, const struct frame *frame)
{
	pid_t pid = (pid_t)frame->a;
	struct npxc_error err = { 0 };

	if (pid <= 1 || pid == keeper->launcher || pid == keeper->launcher_group || pid == getpid())
		refuse(keeper, "not a sandbox's process");
	else if (keeper->sandbox.pid != 0)
		refuse(keeper, "an earlier sandbox has not been ended");
	else if (frame->b > JANITOR_ASK_INNER)
		refuse(keeper, "unknown way of asking");
	else if (!group_open(pid, (enum janitor_asked)frame->b, &keeper->sandbox, &err))
		refuse(keeper, err.message);
	else
		say(keeper, VERB_DONE, 0, NULL);
}

static void on_end_sandbox(struct keeper *keeper, const struct frame *frame)
{
	struct npxc_error err = { 0 };

	/* A launcher that dies meanwhile makes the channel readable: the grace ends then. */
	if (!end_sandbox(keeper, frame->a, keeper->fd, &err)) {
		refuse(keeper, err.message);
		return;
	}
	if (keeper->sandbox.pid != 0)
		group_done(&keeper->sandbox);
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
		switch ((enum verb)frame.verb) {
		case VERB_HOLD:
			on_hold(keeper, &frame);
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
			say(keeper, VERB_DONE, holds(keeper, JANITOR_CONTAINER) || holds(keeper, JANITOR_NETWORK),
			    NULL);
			tear_down_late(keeper);
			_exit(0);
		}
	}
}

/* Own session, no signal of the launcher's terminal or group, no descriptor but the channel, no directory kept busy. */
static bool become_keeper(int *fd, struct npxc_error *err)
{
	static const int ignored[] = { SIGPIPE, SIGINT, SIGTERM, SIGHUP };
	const struct timeval say_within = { .tv_sec = 2 };
	int kept[4] = { STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO };
	int null;

	if (setsid() == -1)
		return error_set_errno(err, ERROR_IO, "setsid");
	keep_no_handlers();
	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		signal(ignored[i], SIG_IGN);
	keep_no_mask();
	kept[3] = fcntl(*fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (kept[3] == -1 || null == -1)
		return error_set_errno(err, ERROR_IO, "open /dev/null");
	*fd = kept[3];
	for (int i = STDIN_FILENO; i <= STDERR_FILENO; i++)
		if (null == i ? !fd_set_close_on_exec(i, false, err) : dup2(null, i) == -1)
			return false;
	setsockopt(*fd, SOL_SOCKET, SO_SNDTIMEO, &say_within, sizeof(say_within));
	return keep_only(kept, sizeof(kept) / sizeof(kept[0]), err) && chdir("/") == 0;
}

static void run_keeper(int fd, pid_t launcher, pid_t launcher_group)
{
	/* Not on the stack of a deep caller: zeroed pages that are not used cost nothing. */
	static struct keeper keeper;
	struct npxc_error err = { 0 };

	/* Nothing has been acquired yet: the launcher learns of it with its first message. */
	if (!become_keeper(&fd, &err))
		_exit(1);
	keeper.fd = fd;
	keeper.sandbox.pidfd = -1;
	keeper.launcher = launcher;
	keeper.launcher_group = launcher_group;
	serve(&keeper);
	keeper.deaf = true;
	tear_down(&keeper);
	tear_down_late(&keeper);
	_exit(0);
}

/* ======== the launcher's side ======== */

struct janitor {
	pid_t pid;
	int fd;       /* -1: lost */
	bool is_slow; /* lost because it took too long; it goes on by itself */
};

bool janitor_start(struct janitor **ret_janitor, struct npxc_error *err)
{
	int ends[2];
	pid_t launcher = getpid();
	pid_t launcher_group = getpgrp();
	sigset_t all, before;
	pid_t pid;
	int saved;

	signal(SIGCHLD, SIG_DFL);
	if (!fd_socket_pair(ends, err))
		return false;
	/* The launcher's handlers must not run in the child. */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	pid = fork();
	saved = errno;
	if (pid == 0)
		run_keeper(ends[1], launcher, launcher_group);
	sigprocmask(SIG_SETMASK, &before, NULL);
	fd_close(&ends[1]);
	if (pid == -1) {
		fd_close(&ends[0]);
		errno = saved;
		return error_set_errno(err, ERROR_IO, "fork the janitor");
	}
	*ret_janitor = mem_alloc(sizeof(**ret_janitor));
	**ret_janitor = (struct janitor){ .pid = pid, .fd = ends[0] };
	return true;
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
	if (!ok || !ask_janitor(janitor, frame, payload.data, 0, &id, err))
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

bool janitor_release(struct janitor *janitor, unsigned id, struct npxc_error *err)
{
	uint32_t ignored;

	return ask_janitor(janitor, (struct frame){ .verb = VERB_RELEASE, .a = id }, NULL, 0, &ignored, err) ||
	       error_prefix(err, "release resource %u", id);
}

bool janitor_sandbox(struct janitor *janitor, pid_t group, enum janitor_asked asked, struct npxc_error *err)
{
	struct frame frame = { .verb = VERB_SANDBOX, .a = (uint32_t)group, .b = asked };
	uint32_t ignored;

	return ask_janitor(janitor, frame, NULL, 0, &ignored, err) ||
	       error_prefix(err, "hand sandbox %ld to the janitor", (long)group);
}

bool janitor_end_sandbox(struct janitor *janitor, unsigned grace_ms, struct npxc_error *err)
{
	struct frame frame = { .verb = VERB_END_SANDBOX, .a = grace_ms };
	int64_t extra_ms = (int64_t)grace_ms + LIMIT_KILL_VERIFY_MS + LIMIT_CONTAINER_END_MS +
	                   (REMOVE_ATTEMPTS + 1) * (LIMIT_REMOVE_MS + REMOVE_PAUSE_MS);
	uint32_t ignored;

	return ask_janitor(janitor, frame, NULL, extra_ms, &ignored, err) || error_prefix(err, "end the sandbox");
}

bool janitor_end(struct janitor *janitor, unsigned timeout_ms, struct npxc_error *err)
{
	struct frame frame = { .verb = VERB_END };
	struct npxc_error lost = { 0 };
	uint32_t goes_on = 0;
	bool ok = send_frame(janitor, &frame, NULL, &lost) && await_answer(janitor, timeout_ms, &goes_on, &lost);

	fd_close(&janitor->fd);
	if (janitor->is_slow) {
		log_warn("janitor", "not done in time; goes on in the background");
		ok = true;
	} else if (goes_on == 0) {
		while (waitpid(janitor->pid, NULL, 0) == -1 && errno == EINTR)
			;
	}
	free(janitor);
	if (!ok)
		*err = lost;
	return ok;
}
