#include "session/apart.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/fd.h"
#include "base/keep.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/proc.h"
#include "base/signals.h"
#include "session/session.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

/* How it ended: one write to a pipe, between two processes of one program. */
struct outcome {
	bool fine, installed;
	struct npxc_error err;
};
_Static_assert(sizeof(struct outcome) <= 4096, "a write of it is whole (PIPE_BUF of Linux)");

/* ---- the installer ---- */

/* Its stderr is the lock's file, which those that wait read. */
static bool stand_apart(int *lock, int *outcome, struct npxc_error *err)
{
	int *const kept[] = { lock, outcome };

	if (!keep_apart(kept, 2, err))
		return false;
	signals_forget();
	if (fcntl(*lock, F_SETFL, O_APPEND) == -1 || dup2(*lock, STDERR_FILENO) == -1)
		return error_set_errno(err, ERROR_IO, "keep the lock");
	return true;
}

static bool install(const struct session *parent, const struct store_host *host, const struct store_work *work,
                    bool *ret_installed, struct npxc_error *err)
{
	/* What it borrows of the parent's is a copy, as all memory is, and never freed. */
	struct session session = SESSION_NONE;
	struct store_host own = *host;
	struct npxc_error why;

	session.in = parent->in;
	session.runtime = parent->runtime;
	own.context = &session;
	own.apart = NULL;
	own.progress = false;
	own.says = true;
	own.deadline_ms = clock_now_ms() + LIMIT_INSTALL_MS;
	if (!session_open(&session, err))
		return false;
	FAULT_POINT("installer.opened");
	bool fine = session_describe_installation(&session, runtime_kind_word(session.runtime.kind), err) &&
	            work->run(&own, work, ret_installed, err);
	FAULT_POINT("installer.close");
	if (!janitor_end(session.janitor, LIMIT_TEARDOWN_MS, &why))
		log_warn("janitor", "%s", why.message);
	FAULT_POINT("installer.closed");
	if (!fine && signals_caught() != 0)
		fine =
		    error_set(err, ERROR_INSTALL, "%s: the installation was told to end; start it again", work->title);
	return fine;
}

static void run_installer(const struct session *parent, const struct store_host *host, const struct store_work *work,
                          int lock, int pipe)
{
	struct outcome outcome = { 0 };

	FAULT_ROLE("installer");
	FAULT_POINT("installer.forked");
	outcome.fine =
	    stand_apart(&lock, &pipe, &outcome.err) && install(parent, host, work, &outcome.installed, &outcome.err);
	const ssize_t ignored = write(pipe, &outcome, sizeof(outcome)); /* nobody may be there any more */
	(void)ignored;
	_exit(0);
}

/* ---- the one that began it ---- */

static bool is_at_terminal(void)
{
	return isatty(STDIN_FILENO) == 1 || isatty(STDOUT_FILENO) == 1;
}

/* Until its end; false when a signal ended the wait. */
static bool await(pid_t pid, int pipe, int lock, struct progress *progress)
{
	enum { LOOK_MS = 100 };
	struct pollfd polled[] = { { .fd = pipe, .events = POLLIN }, { .fd = signals_fd(), .events = POLLIN } };
	int64_t until_ms = INT64_MAX;

	while (clock_now_ms() < until_ms) {
		poll(polled, 2, LOOK_MS);
		progress_follow(progress, lock);
		if (polled[0].revents != 0)
			return true;
		if (signals_caught() == 0 || polled[1].fd == -1)
			continue;
		if (signals_caught() != SIGINT || !is_at_terminal() || kill(pid, SIGTERM) == -1)
			return false;
		polled[1].fd = -1;
		until_ms = signals_time_ms() + LIMIT_SIGNAL_MS;
	}
	return false;
}

static bool goes_on(const struct store_work *work, struct progress *progress, struct npxc_error *err)
{
	progress_end(progress);
	if (signals_caught() != SIGINT || !is_at_terminal())
		log_notice(
		    "the installation of %s goes on; the next start waits for it (`npxc ps` lists it, `npxc stop` "
		    "with its id ends it)",
		    work->title);
	return session_interrupted(err);
}

static bool judge(const struct store_work *work, const struct outcome *outcome, ssize_t got, bool *ret_installed,
                  struct npxc_error *err)
{
	if (signals_caught() != 0)
		return session_interrupted(err);
	if (got != (ssize_t)sizeof(*outcome))
		return error_set(err, ERROR_INSTALL,
		                 "%s: the process that installed it has ended unexpectedly; start it again",
		                 work->title);
	if (!outcome->fine) {
		*err = outcome->err;
		return false;
	}
	*ret_installed = outcome->installed;
	return true;
}

bool apart_run(void *context, const struct store_host *host, const struct store_work *work, int lock,
               struct progress *progress, bool *ret_installed, struct npxc_error *err)
{
	const struct session *session = context;
	struct outcome outcome = { 0 };
	int ends[2];

	if (signals_caught() != 0)
		return session_interrupted(err);
	if (ftruncate(lock, 0) == -1)
		return error_set_errno(err, ERROR_IO, "begin the lock's file anew");
	if (!fd_pipe(ends, err))
		return false;
	const pid_t pid = keep_fork();
	if (pid == 0)
		run_installer(session, host, work, lock, ends[1]);
	if (pid == -1)
		error_set_errno(err, ERROR_IO, "fork the installer");
	fd_close(&ends[1]);
	const bool ended = pid != -1 && await(pid, ends[0], lock, progress);
	const ssize_t got = ended ? read(ends[0], &outcome, sizeof(outcome)) : -1;
	fd_close(&ends[0]);
	if (pid == -1)
		return false;
	if (!ended)
		return goes_on(work, progress, err);
	proc_reap(pid);
	return judge(work, &outcome, got, ret_installed, err);
}
