#include "base/signals.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/proc.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

static int wake[2] = { -1, -1 };
static volatile sig_atomic_t caught;
static volatile int64_t caught_ms; /* written before `caught`, read after it, by the same thread */

/* One byte is enough, and it is never read: the descriptor stays readable. */
static void on_signal(int number)
{
	const int saved = errno;
	if (caught == 0) {
		caught_ms = clock_now_ms();
		caught = number;
		const ssize_t ignored = write(wake[1], "!", 1);
		(void)ignored;
	}
	errno = saved;
}

void signals_reset(void)
{
	static const int NEEDED[] = { SIGTERM, SIGINT, SIGHUP, SIGCHLD, SIGALRM };
	sigset_t set;
	signal(SIGCHLD, SIG_DFL);
	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(NEEDED) / sizeof(NEEDED[0]); i++)
		sigaddset(&set, NEEDED[i]);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
}

/* nohup, and shells without job control for what they run in the background, mean it (signal(7), POSIX sh 2.11). */
static bool is_inherited_ignore(int number)
{
	struct sigaction before;

	return number != SIGTERM && sigaction(number, NULL, &before) == 0 && (before.sa_flags & SA_SIGINFO) == 0 &&
	       before.sa_handler == SIG_IGN;
}

bool signals_install(struct npxc_error *err)
{
	static const int ENDING[] = { SIGTERM, SIGINT, SIGHUP };
	if (wake[0] != -1)
		return true;
	if (!fd_pipe(wake, err))
		return false;
	/* No SA_RESTART: a job that was stopped while it read its terminal reads on when it is continued, and a signal
	 * has to end that read. */
	struct sigaction action = { .sa_handler = on_signal };
	sigemptyset(&action.sa_mask);
	for (size_t i = 0; i < sizeof(ENDING) / sizeof(ENDING[0]); i++)
		if (!is_inherited_ignore(ENDING[i]) && sigaction(ENDING[i], &action, NULL) < 0)
			return error_set_errno(err, ERROR_IO, "cannot catch signal %d", ENDING[i]);
	proc_heed(wake[0]);
	struct sigaction ignore = { .sa_handler = SIG_IGN };
	sigemptyset(&ignore.sa_mask);
	if (sigaction(SIGPIPE, &ignore, NULL) < 0)
		return error_set_errno(err, ERROR_IO, "cannot ignore SIGPIPE");
	return true;
}

void signals_forget(void)
{
	wake[0] = wake[1] = -1; /* closed by base/keep, or left to the parent */
	caught = 0;
}

int signals_fd(void)
{
	return wake[0];
}

int signals_caught(void)
{
	return caught;
}

bool signals_interrupted(void *context)
{
	(void)context;
	return signals_caught() != 0;
}

int64_t signals_time_ms(void)
{
	return caught == 0 ? 0 : caught_ms;
}
