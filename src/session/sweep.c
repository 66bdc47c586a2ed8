#include "session/sweep.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/fd.h"
#include "base/keep.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

struct sweeper {
	const struct sweep_listener *listener;
	char *boot;
	struct strv down; /* CLIs that could not be asked */
};

static void hear(void *context, bool is_warning, const char *text)
{
	struct strv *said = context;

	if (is_warning)
		strv_push(said, text);
	else
		log_debug("sweep", "%s", text);
}

static bool is_named(const struct lease_entry *entry)
{
	return entry->kind == JANITOR_CONTAINER || entry->kind == JANITOR_NETWORK;
}

/* The CLI of one of its resources that is known to be down; NULL: none. */
static const char *down_cli(const struct sweeper *sweeper, const struct lease *lease)
{
	for (size_t i = 0; i < lease->count; i++)
		if (is_named(&lease->entries[i]) &&
		    strv_contains(&sweeper->down, lease->entries[i].words.v[JANITOR_WORD_CLI]))
			return lease->entries[i].words.v[JANITOR_WORD_CLI];
	return NULL;
}

static void note_down(struct sweeper *sweeper, const struct lease *lease)
{
	for (size_t i = 0; i < lease->count; i++)
		if (is_named(&lease->entries[i]) && down_cli(sweeper, lease) == NULL)
			strv_push(&sweeper->down, lease->entries[i].words.v[JANITOR_WORD_CLI]);
}

static void sweep_one(struct sweeper *sweeper, struct lease_seen *seen)
{
	enum janitor_released released = JANITOR_RELEASED;
	struct strv said = { 0 };
	const struct janitor_heir heir = { .hear = hear, .context = &said, .boot = sweeper->boot };

	if (seen->state == LEASE_DEAD) {
		const char *down = down_cli(sweeper, &seen->lease);
		if (down != NULL) {
			released = JANITOR_KEPT_DOWN;
			strv_pushf(&said, "%s could not be asked just before", down);
		} else {
			released = janitor_release_lease(&heir, seen->path, seen->fd, &seen->lease);
		}
		if (released == JANITOR_KEPT_DOWN)
			note_down(sweeper, &seen->lease);
	}
	if (sweeper->listener != NULL &&
	    (seen->state == LEASE_DEAD || seen->state == LEASE_ALIEN || seen->state == LEASE_ENDING))
		sweeper->listener->on_lease(sweeper->listener->context, seen, released, &said);
	strv_done(&said);
}

bool sweep(const char *directory, const struct sweep_listener *listener, struct npxc_error *err)
{
	struct sweeper sweeper = { .listener = listener };
	const int64_t until_ms = clock_now_ms() + LIMIT_SWEEP_WAIT_MS;
	struct strv files = { 0 };

	if (!lease_list(directory, &files, err))
		return false;
	sweeper.boot = proc_boot_id();
	for (size_t i = 0; i < files.count; i++) {
		struct lease_seen seen;

		lease_look(directory, files.v[i], until_ms, sweeper.boot, &seen);
		sweep_one(&sweeper, &seen);
		lease_seen_done(&seen);
	}
	strv_done(&files);
	strv_done(&sweeper.down);
	mem_cleanup_free(&sweeper.boot);
	return true;
}

/* ---- in the background ---- */

/* Of all that start at once one sweeps. */
static int lock_sweeping(const char *directory)
{
	FD_CLEANUP int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd != -1 && flock(fd, LOCK_EX | LOCK_NB) == 0 ? fd_take(&fd) : -1;
}

static void run_sweeper(const char *directory, int lock)
{
	struct npxc_error ignored = { 0 };
	int *const kept[] = { &lock };

	FAULT_ROLE("sweeper");

	_exit(!keep_apart(kept, 1, &ignored) || !sweep(directory, NULL, &ignored));
}

/* The child is not waited for: it outlives npxc, or is reaped with it. */
void sweep_in_background(const char *directory)
{
	FD_CLEANUP int lock = lease_any_dead(directory) ? lock_sweeping(directory) : -1;
	sigset_t all, before;
	pid_t pid;

	if (lock == -1)
		return;
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	pid = fork();
	if (pid == 0)
		run_sweeper(directory, lock);
	sigprocmask(SIG_SETMASK, &before, NULL);
	if (pid == -1)
		log_info("sweep", "not now: %s", strerror(errno));
}
