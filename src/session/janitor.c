#include "session/janitor.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/proc.h"
#include "runtime/cgroup.h"
#include "session/group.h"
#include "session/keep.h"

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
	VERB_DONE,
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

/* Waits at most until `deadline` (0: for ever). A broken channel is an end of file. */
static enum received receive(int fd, void *bytes, size_t count, int64_t deadline)
{
	char *next = bytes;

	while (count > 0) {
		struct pollfd one = { .fd = fd, .events = POLLIN };
		int64_t left = deadline - clock_now_ms();
		ssize_t got;

		if (deadline != 0 && left <= 0)
			return RECEIVED_TIMEOUT;
		if (deadline != 0 && poll(&one, 1, left > INT32_MAX ? INT32_MAX : (int)left) != 1)
			continue;
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

static bool remove_container(const struct strv *words, struct npxc_error *err)
{
	struct proc_command command = { .argv = words->v, .timeout_ms = LIMIT_CLI_MS, .max_output_bytes = 4 * KIB };
	struct proc_result result = { 0 };
	mem_cleanup char *ended = NULL;
	mem_cleanup char *shown = strv_shell(words);
	bool ok;

	if (!proc_run(&command, &result, err))
		return false;
	ok = result.exit_status == 0 && !result.timed_out;
	if (!ok) {
		ended = proc_result_text(&result, command.timeout_ms);
		error_set(err, ERROR_RUNTIME, "%s: %s: %s", shown, ended,
		          result.errors.data != NULL ? str_trim(result.errors.data) : "");
	}
	proc_result_done(&result);
	return ok;
}

static bool remove_entry(const struct entry *entry, struct npxc_error *err)
{
	switch (entry->kind) {
	case JANITOR_CGROUP:
		return cgroup_remove(entry->words.v[0], err);
	case JANITOR_CONTAINER:
		return remove_container(&entry->words, err);
	case JANITOR_DIRECTORY:
	case JANITOR_FILE:
		break;
	}
	return file_remove_tree(entry->words.v[0], err);
}

static void remove_all_of(struct keeper *keeper, enum janitor_resource kind)
{
	static const char *const names[] = { "cgroup", "directory", "file", "container" };

	/* What was acquired later may lie in what was acquired earlier. */
	for (size_t i = keeper->count; i > 0; i--) {
		const struct entry *entry = &keeper->entries[i - 1];
		const char *shown = entry->words.v[entry->words.count - 1];
		struct npxc_error err = { 0 };

		if (entry->kind != kind)
			continue;
		if (remove_entry(entry, &err))
			sayf(keeper, VERB_STEP, "%s %s removed", names[kind], shown);
		else
			sayf(keeper, VERB_WARNING, "%s %s is left behind: %s", names[kind], shown, err.message);
	}
}

static void end_group(struct keeper *keeper)
{
	struct npxc_error err = { 0 };

	if (keeper->sandbox.pid == 0)
		return;
	if (group_end(&keeper->sandbox, 0, -1, &err))
		sayf(keeper, VERB_STEP, "sandbox %ld ended", (long)keeper->sandbox.pid);
	else
		sayf(keeper, VERB_WARNING, "%s", err.message);
}

/* The only implementation of teardown. The order is that of the header: nothing is removed from under a process. */
static void tear_down(struct keeper *keeper)
{
	end_group(keeper);
	remove_all_of(keeper, JANITOR_CONTAINER);
	remove_all_of(keeper, JANITOR_CGROUP);
	remove_all_of(keeper, JANITOR_FILE);
	remove_all_of(keeper, JANITOR_DIRECTORY);
}

static void refuse(struct keeper *keeper, const char *why)
{
	say(keeper, VERB_REFUSED, 0, why);
}

/* NULL when what has been sent may be held, else why not. */
static const char *hold_objection(const struct keeper *keeper, const struct frame *frame)
{
	mem_cleanup char *clean = NULL;

	if (keeper->count == LIMIT_JANITOR_ENTRIES)
		return "too many resources are held";
	if (frame->a > JANITOR_CONTAINER)
		return "unknown kind of resource";
	if (frame->length == 0 || keeper->payload[frame->length - 1] != '\0')
		return "a resource without a name";
	if (keeper->payload[0] != '/')
		return "the path is not absolute";
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
		struct entry *entry = &keeper->entries[i];

		if (entry->id != frame->a)
			continue;
		strv_done(&entry->words);
		keeper->count--;
		memmove(entry, entry + 1, (keeper->count - i) * sizeof(*entry));
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
	if (keeper->sandbox.pid != 0 && !group_end(&keeper->sandbox, frame->a, keeper->fd, &err)) {
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
	struct frame frame;

	while (receive(keeper->fd, &frame, sizeof(frame), 0) == RECEIVED) {
		if (frame.length > sizeof(keeper->payload) || frame.verb < VERB_HOLD || frame.verb > VERB_END) {
			say(keeper, VERB_WARNING, 0, "a message that is none of ours; everything is taken down");
			return;
		}
		if (receive(keeper->fd, keeper->payload, frame.length, 0) != RECEIVED)
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
			say(keeper, VERB_DONE, 0, NULL);
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
	_exit(0);
}

/* ======== the launcher's side ======== */

struct janitor {
	pid_t pid;
	int fd;
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
static bool await_answer(struct janitor *janitor, int64_t ms, uint32_t *ret_a, bool *ret_timeout,
                         struct npxc_error *err)
{
	int64_t deadline = clock_now_ms() + ms;
	char text[TEXT_SIZE];
	struct frame frame;

	for (;;) {
		enum received got = receive(janitor->fd, &frame, sizeof(frame), deadline);

		if (got == RECEIVED && frame.length >= sizeof(text))
			return channel_lost(janitor, "sent what is none of its messages", err);
		if (got == RECEIVED)
			got = receive(janitor->fd, text, frame.length, deadline);
		if (got == RECEIVED_TIMEOUT)
			*ret_timeout = true;
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
	bool timed_out = false;

	return send_frame(janitor, &frame, payload, err) &&
	       await_answer(janitor, LIMIT_JANITOR_ANSWER_MS + extra_ms, ret_a, &timed_out, err);
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
	uint32_t ignored;

	return ask_janitor(janitor, frame, NULL, (int64_t)grace_ms + LIMIT_KILL_VERIFY_MS, &ignored, err) ||
	       error_prefix(err, "end the sandbox");
}

bool janitor_end(struct janitor *janitor, unsigned timeout_ms, struct npxc_error *err)
{
	struct frame frame = { .verb = VERB_END };
	struct npxc_error lost = { 0 };
	bool timed_out = false;
	uint32_t ignored;
	bool ok =
	    send_frame(janitor, &frame, NULL, &lost) && await_answer(janitor, timeout_ms, &ignored, &timed_out, &lost);

	fd_close(&janitor->fd);
	if (timed_out) {
		log_warn("janitor", "not done after %u ms; goes on in the background", timeout_ms);
		ok = true;
	} else {
		while (waitpid(janitor->pid, NULL, 0) == -1 && errno == EINTR)
			;
	}
	free(janitor);
	if (!ok)
		*err = lost;
	return ok;
}
