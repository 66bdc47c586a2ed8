#include "teardown/sweep.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/fd.h"
#include "base/keep.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

enum { LOOK_PAUSE_MS = 50 };

struct sweeper {
	const struct sweep_listener *listener;
	char *boot;
	struct strv down; /* CLIs that did not answer */
	struct strv done; /* files that were looked at and stay: not looked at again */
};

static void on_report(void *context, bool is_warning, const char *text)
{
	struct strv *warnings = context;

	if (is_warning)
		strv_push(warnings, text);
	else
		log_debug("sweep", "%s", text);
}

static bool is_named(const struct lease_entry *entry)
{
	return entry->kind == RESOURCE_CONTAINER || entry->kind == RESOURCE_NETWORK;
}

/* The CLI of one of its resources that is known to be down; NULL: none. */
static const char *down_cli(const struct sweeper *sweeper, const struct lease *lease)
{
	for (size_t i = 0; i < lease->count; i++)
		if (is_named(&lease->entries[i]) &&
		    strv_contains(&sweeper->down, lease->entries[i].words.v[RESOURCE_WORD_CLI]))
			return lease->entries[i].words.v[RESOURCE_WORD_CLI];
	return NULL;
}

static void note_down(struct sweeper *sweeper, const struct lease *lease)
{
	for (size_t i = 0; i < lease->count; i++)
		if (is_named(&lease->entries[i]) && down_cli(sweeper, lease) == NULL)
			strv_push(&sweeper->down, lease->entries[i].words.v[RESOURCE_WORD_CLI]);
}

static void sweep_one(struct sweeper *sweeper, struct lease_seen *seen)
{
	enum successor_result result = SUCCESSOR_RELEASED;
	struct strv warnings = { 0 };
	const struct teardown_report report = { on_report, &warnings };

	if (seen->state == LEASE_DEAD) {
		const char *down = down_cli(sweeper, &seen->lease);
		if (down != NULL) {
			result = SUCCESSOR_UNAVAILABLE;
			strv_pushf(&warnings, "%s could not be asked just before", down);
		} else {
			result = successor_release(seen->path, seen->fd, &seen->lease, sweeper->boot, report);
		}
		if (result == SUCCESSOR_UNAVAILABLE)
			note_down(sweeper, &seen->lease);
	}
	if (sweeper->listener != NULL &&
	    (seen->state == LEASE_DEAD || lease_is_left_alone(seen->state) || seen->state == LEASE_ENDING))
		sweeper->listener->on_lease(sweeper->listener->context, seen, result, &warnings);
	strv_done(&warnings);
}

/* The number of those whose launcher has ended and whose janitor may: -1 for an error. */
static int look_at_each(struct sweeper *sweeper, const char *directory, bool waits, struct npxc_error *err)
{
	struct strv files = { 0 };
	int ending = 0;

	if (!lease_list(directory, &files, err))
		return -1;
	for (size_t i = 0; i < files.count; i++) {
		struct lease_seen seen;

		if (strv_contains(&sweeper->done, files.v[i]))
			continue;
		lease_look(directory, files.v[i], true, sweeper->boot, &seen);
		if (seen.state == LEASE_ENDING && waits) {
			ending++;
		} else {
			sweep_one(sweeper, &seen);
			if (seen.state != LEASE_LIVE && seen.state != LEASE_GONE)
				strv_push(&sweeper->done, files.v[i]);
		}
		lease_seen_done(&seen);
	}
	strv_done(&files);
	return ending;
}

/* A janitor that was killed a moment ago lives until the kernel has come to it: what it holds is looked at again. */
static bool sweep_round(struct sweeper *sweeper, const char *directory, struct npxc_error *err)
{
	const int64_t until_ms = clock_now_ms() + LIMIT_SWEEP_WAIT_MS;
	int ending;

	while ((ending = look_at_each(sweeper, directory, clock_now_ms() < until_ms, err)) > 0)
		poll(NULL, 0, LOOK_PAUSE_MS);
	return ending == 0;
}

static void sweeper_done(struct sweeper *sweeper)
{
	strv_done(&sweeper->down);
	strv_done(&sweeper->done);
	free(sweeper->boot);
}

bool sweep(const char *directory, const struct sweep_listener *listener, struct npxc_error *err)
{
	struct sweeper sweeper = { .listener = listener, .boot = proc_boot_id() };
	const bool fine = sweep_round(&sweeper, directory, err);

	sweeper_done(&sweeper);
	return fine;
}

/* ---- in the background ---- */

/* Of all that start at once one sweeps. */
static int lock_sweeping(const char *directory)
{
	FD_CLEANUP int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd != -1 && flock(fd, LOCK_EX | LOCK_NB) == 0 ? fd_take(&fd) : -1;
}

/* A start that finds the lock taken leaves what it has seen to the one that holds it, who looks again without it. */
static void run_sweeper(const char *directory, int lock)
{
	struct npxc_error ignored = { 0 };
	int *const kept[] = { &lock };
	struct sweeper sweeper = { .boot = proc_boot_id() };
	bool fine;

	FAULT_ROLE("sweeper");

	fine = keep_apart(kept, 1, &ignored);
	do
		fine = fine && !WITHOUT("sweep") && sweep_round(&sweeper, directory, &ignored);
	while (fine && flock(lock, LOCK_UN) == 0 && lease_any_dead(directory, &sweeper.done) &&
	       flock(lock, LOCK_EX | LOCK_NB) == 0);
	_exit(!fine);
}

/* The sweeper is nobody's child in a moment: it outlives npxc, and must not stay a zombie while npxc lives. */
static void fork_sweeper(const char *directory, int lock)
{
	const pid_t pid = fork();

	if (pid == 0)
		run_sweeper(directory, lock);
	_exit(pid == -1 ? 1 : 0);
}

void sweep_in_background(const char *directory)
{
	FD_CLEANUP int lock = lease_any_dead(directory, NULL) ? lock_sweeping(directory) : -1;
	pid_t pid;

	if (lock == -1)
		return;
	pid = keep_fork();
	if (pid == 0)
		fork_sweeper(directory, lock);
	if (pid == -1)
		log_info("sweep", "not now: %s", strerror(errno));
	else
		proc_reap(pid);
}
