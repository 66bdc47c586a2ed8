#include "teardown/janitor.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/fd.h"
#include "base/keep.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/proc.h"
#include "runtime/runtime.h"
#include "teardown/janitor_process.h"
#include "teardown/janitor_protocol.h"
#include "teardown/lease.h"
#include "teardown/teardown.h"

#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

struct janitor {
	pid_t pid;
	int fd;       /* -1: lost */
	bool is_slow; /* lost because it took too long; it goes on by itself */
	char *path;   /* owned; of the lease; NULL: none */
	int lease_fd; /* the launcher's own lock on it; -1: nothing is held yet */
};

/* The process and the channel to it. `id`: of the lease that it writes; NULL when it takes one over. */
static bool fork_process(struct janitor *janitor, const char *id, bool takes_over, struct npxc_error *err)
{
	struct janitor_start start = {
		.path = janitor->path,
		.id = id,
		.takes_over = takes_over,
		.launcher = getpid(),
		.launcher_group = getpgrp(),
	};
	int ends[2];
	pid_t pid;

	if (!fd_socket_pair(ends, err))
		return false;
	start.channel = ends[1];
	pid = keep_fork();
	if (pid == 0)
		janitor_process_run(&start);
	if (pid == -1) {
		error_set_errno(err, ERROR_IO, "fork the janitor");
		fd_close(&ends[0]);
	}
	fd_close(&ends[1]);
	if (pid == -1)
		return false;
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
	if (!fork_process(janitor, id, false, err)) {
		free_janitor(janitor);
		return false;
	}
	*ret_janitor = janitor;
	return true;
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
	proc_reap(janitor->pid);
	/* It may have died between the lease's making and its answer. */
	if (janitor->lease_fd == -1 && !lease_share(janitor->path, &janitor->lease_fd, &err))
		return false;
	if (access(janitor->path, F_OK) == -1)
		return false;
	log_warn("janitor", "has ended unexpectedly; another one takes over");
	if (fork_process(janitor, NULL, true, &err))
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

static bool send_request(struct janitor *janitor, const struct janitor_frame *frame, const void *payload,
                         struct npxc_error *err)
{
	if (janitor->fd == -1)
		return error_set(err, ERROR_IO, "the janitor has gone");
	return janitor_protocol_send(janitor->fd, frame, payload) ||
	       channel_lost(janitor, "has ended unexpectedly", err);
}

/* Logs what comes before the answer. */
static bool await_answer(struct janitor *janitor, int64_t ms, uint32_t *ret_a, struct npxc_error *err)
{
	const struct janitor_wait wait = { .deadline = clock_now_ms() + ms, .heeds_signals = true };
	char text[JANITOR_TEXT_BYTES + 1];
	struct janitor_frame frame;

	for (;;) {
		switch (janitor_protocol_receive(janitor->fd, &wait, true, &frame, text, JANITOR_TEXT_BYTES)) {
		case JANITOR_RECEIVED:
			break;
		case JANITOR_RECEIVED_END:
			return channel_lost(janitor, "has ended unexpectedly", err);
		case JANITOR_RECEIVED_TIMEOUT:
			janitor->is_slow = true;
			return channel_lost(janitor, "does not answer", err);
		case JANITOR_RECEIVED_INVALID:
			return channel_lost(janitor, "sent an unexpected message", err);
		}
		text[frame.length] = '\0';
		if (frame.verb == JANITOR_VERB_REFUSED)
			return error_set(err, ERROR_IO, "%s", text);
		if (frame.verb == JANITOR_VERB_DONE) {
			*ret_a = frame.a;
			return true;
		}
		if (frame.verb == JANITOR_VERB_WARNING)
			log_warn("janitor", "%s", text);
		else
			log_debug("janitor", "%s", text);
	}
}

static bool ask(struct janitor *janitor, struct janitor_frame frame, const void *payload, int64_t ms, uint32_t *ret_a,
                struct npxc_error *err)
{
	return send_request(janitor, &frame, payload, err) && await_answer(janitor, ms, ret_a, err);
}

/* Once there is a lease the launcher has a lock of its own on it: the janitor may die. */
static bool share_lease(struct janitor *janitor, struct npxc_error *err)
{
	return janitor->path == NULL || janitor->lease_fd != -1 || lease_share(janitor->path, &janitor->lease_fd, err);
}

bool janitor_describe(struct janitor *janitor, const struct janitor_facts *facts, struct npxc_error *err)
{
	const char *const words[LEASE_FACTS] = { facts->name,    facts->package, facts->version,
		                                 facts->runtime, facts->policy,  facts->link };
	struct buf payload BUF_CLEANUP = BUF_INIT(LIMIT_JANITOR_FRAME_BYTES);
	struct janitor_frame frame = { .verb = JANITOR_VERB_DESCRIBE };

	if (!janitor_protocol_put_words(&payload, words, LEASE_FACTS, err))
		return false;
	if (facts->shares != NULL &&
	    !janitor_protocol_put_words(&payload, (const char *const *)facts->shares->v, facts->shares->count, err))
		return error_prefix(err, "the paths of all mounts together are too long for the lease");
	frame.length = (uint32_t)payload.length;
	return send_request(janitor, &frame, payload.data, err);
}

bool janitor_hold(struct janitor *janitor, enum resource_kind kind, const struct strv *words, unsigned *ret_id,
                  struct npxc_error *err)
{
	struct buf payload BUF_CLEANUP = BUF_INIT(LIMIT_JANITOR_FRAME_BYTES);
	const char *shown = words->count > 0 ? words->v[words->count - 1] : "(nothing)";
	struct janitor_frame frame = { .verb = JANITOR_VERB_HOLD, .a = kind };
	uint32_t id = 0;
	bool ok = janitor_protocol_put_words(&payload, (const char *const *)words->v, words->count, err);

	frame.length = (uint32_t)payload.length;
	if (!ok || !ask(janitor, frame, payload.data, LIMIT_JANITOR_ANSWER_MS, &id, err) || !share_lease(janitor, err))
		return error_prefix(err, "the janitor cannot hold %.200s", shown);
	*ret_id = id;
	return true;
}

bool janitor_hold_path(struct janitor *janitor, enum resource_kind kind, const char *path, unsigned *ret_id,
                       struct npxc_error *err)
{
	struct strv words = { 0 };
	bool ok;

	strv_push(&words, path);
	ok = janitor_hold(janitor, kind, &words, ret_id, err);
	strv_done(&words);
	return ok;
}

bool janitor_hold_named(struct janitor *janitor, enum resource_kind kind, const struct runtime *runtime,
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
	const bool ok = janitor_hold(janitor, RESOURCE_PROCESS, &words, ret_id, err);
	strv_done(&words);
	return ok;
}

bool janitor_release(struct janitor *janitor, unsigned id, struct npxc_error *err)
{
	uint32_t ignored;

	return ask(janitor, (struct janitor_frame){ .verb = JANITOR_VERB_RELEASE, .a = id }, NULL,
	           LIMIT_JANITOR_ANSWER_MS, &ignored, err) ||
	       error_prefix(err, "release resource %u", id);
}

bool janitor_sandbox(struct janitor *janitor, pid_t group, enum group_stop stop, struct npxc_error *err)
{
	struct janitor_frame frame = { .verb = JANITOR_VERB_SANDBOX, .a = (uint32_t)group, .b = stop };
	uint32_t ignored;

	return (ask(janitor, frame, NULL, LIMIT_JANITOR_ANSWER_MS, &ignored, err) && share_lease(janitor, err)) ||
	       error_prefix(err, "hand sandbox %ld to the janitor", (long)group);
}

void janitor_begin_to_end_sandbox(struct janitor *janitor, unsigned grace_ms, int *ret_fd)
{
	const struct janitor_frame frame = { .verb = JANITOR_VERB_END_SANDBOX, .a = grace_ms };
	struct npxc_error ignored = { 0 };

	/* Whatever kept it from the janitor is seen when the answer is waited for. */
	(void)!send_request(janitor, &frame, NULL, &ignored);
	*ret_fd = janitor->fd;
}

bool janitor_await_end_of_sandbox(struct janitor *janitor, unsigned grace_ms, struct npxc_error *err)
{
	struct janitor_frame frame = { .verb = JANITOR_VERB_END_SANDBOX, .a = grace_ms };
	const int64_t ms = (int64_t)grace_ms + TEARDOWN_SANDBOX_MS + LIMIT_JANITOR_ANSWER_MS;
	struct npxc_error lost = { 0 };
	uint32_t ignored;

	if (janitor->fd == -1)
		error_set(&lost, ERROR_IO, "the janitor has gone");
	if ((janitor->fd != -1 && await_answer(janitor, ms, &ignored, &lost)) ||
	    (revive(janitor) && ask(janitor, frame, NULL, ms, &ignored, &lost)))
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
	struct janitor_frame frame = { .verb = JANITOR_VERB_END };
	struct npxc_error lost = { 0 };
	uint32_t goes_on = 0;
	bool ok = ask(janitor, frame, NULL, timeout_ms, &goes_on, &lost) ||
	          (revive(janitor) && ask(janitor, frame, NULL, timeout_ms, &goes_on, &lost));

	fd_close(&janitor->fd);
	if (janitor->is_slow) {
		log_warn("janitor", "not done in time; goes on in the background");
		ok = true;
	} else if (goes_on == 0) {
		proc_reap(janitor->pid);
	}
	free_janitor(janitor);
	if (!ok)
		*err = lost;
	return ok;
}
