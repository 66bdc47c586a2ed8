#include "teardown/janitor_process.h"

#include "base/fault.h"
#include "base/keep.h"
#include "base/limits.h"
#include "base/str.h"
#include "network/network.h"
#include "teardown/janitor_protocol.h"
#include "teardown/teardown.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

/*
 * State        Entered by                  Open or held                           Time limit
 * -----        ----------                  ------------                           ----------
 * idle         the fork                    channel                                none: the launcher's life
 * holding      HOLD, from idle             channel, lease (locked), resources     none: the launcher's life
 * sandbox      SANDBOX, from holding       the same, the first process's pidfd    none: the launcher's life
 * stopping     END_SANDBOX, from sandbox   the same                               grace + TEARDOWN_SANDBOX_MS
 * teardown     END, end of file, or a      lease, what is left; the channel is    each step's own; the launcher
 *              message that is not valid   written to only                        waits for LIMIT_TEARDOWN_MS
 * background   containers or networks are  lease, those                           network_schedule.background_ms;
 *              left after the teardown                                            SIGTERM: one attempt more
 * ended        nothing is left to be       nothing; what is left stands on the
 *              tried                       lease
 *
 * HOLD, RELEASE and DESCRIBE are taken in idle, holding and sandbox; a janitor that takes over from one that died
 * starts in holding or sandbox, as the lease says. From stopping it goes back to holding, also when the launcher hangs
 * up meanwhile, which ends the grace; the end of file is read next.
 */

struct process {
	struct teardown teardown;
	int channel;
	bool is_mute; /* the launcher has gone or does not read: nothing is sent any more */
	pid_t launcher, launcher_group;
	sigset_t waiting; /* the mask of a pause that SIGTERM ends */
	char payload[LIMIT_JANITOR_FRAME_BYTES];
};

/* ---- answers ---- */

/* Never blocks for long (SO_SNDTIMEO): a launcher that does not read must not hold up the teardown. */
static void answer(struct process *process, enum janitor_verb verb, uint32_t a, const char *text)
{
	const struct janitor_frame frame = { .length = (uint32_t)(text == NULL ? 0 : strnlen(text, JANITOR_TEXT_BYTES)),
		                             .verb = verb,
		                             .a = a };

	if (!process->is_mute && !janitor_protocol_send(process->channel, &frame, text))
		process->is_mute = true;
}

static void done(struct process *process, uint32_t a)
{
	answer(process, JANITOR_VERB_DONE, a, NULL);
}

static void refuse(struct process *process, const char *why)
{
	answer(process, JANITOR_VERB_REFUSED, 0, why);
}

static void on_report(void *context, bool is_warning, const char *text)
{
	answer(context, is_warning ? JANITOR_VERB_WARNING : JANITOR_VERB_STEP, 0, text);
}

/* ---- requests ---- */

static void on_hold(struct process *process, const struct janitor_frame *frame)
{
	struct lease_entry entry = { .kind = (enum resource_kind)frame->a };
	struct npxc_error err = { 0 };

	if (!janitor_protocol_get_words(process->payload, frame->length, &entry.words)) {
		refuse(process, "a resource without a name");
	} else if (!teardown_hold(&process->teardown, &entry, &err)) {
		refuse(process, err.message);
	} else {
		done(process, entry.id);
		FAULT_POINT("janitor.answered");
		return;
	}
	lease_entry_done(&entry);
}

static void on_describe(struct process *process, const struct janitor_frame *frame)
{
	struct npxc_error err = { 0 };
	struct strv words = { 0 };

	if (janitor_protocol_get_words(process->payload, frame->length, &words) &&
	    lease_set_facts(&process->teardown.lease, &words) && !teardown_write_facts(&process->teardown, &err))
		answer(process, JANITOR_VERB_WARNING, 0, err.message);
	strv_done(&words);
}

static void on_release(struct process *process, const struct janitor_frame *frame)
{
	struct npxc_error err = { 0 };

	if (teardown_release(&process->teardown, frame->a, &err))
		done(process, 0);
	else
		refuse(process, err.message);
}

static void on_sandbox(struct process *process, const struct janitor_frame *frame)
{
	const pid_t pid = (pid_t)frame->a;
	struct npxc_error err = { 0 };

	if (pid <= 1 || pid == process->launcher || pid == process->launcher_group || pid == getpid()) {
		refuse(process, "not a sandbox's process");
	} else if (frame->b > GROUP_STOP_INNER) {
		refuse(process, "unknown stop method");
	} else if (!teardown_hold_sandbox(&process->teardown, pid, (enum group_stop)frame->b, &err)) {
		refuse(process, err.message);
	} else {
		done(process, 0);
		FAULT_POINT("janitor.sandbox-answered");
	}
}

static void on_end_sandbox(struct process *process, const struct janitor_frame *frame)
{
	struct npxc_error err = { 0 };

	FAULT_POINT("janitor.end-sandbox");
	/* A launcher that dies meanwhile makes the channel readable: the grace ends then. */
	if (teardown_end_sandbox(&process->teardown, frame->a, process->channel, &err))
		done(process, 0);
	else
		refuse(process, err.message);
}

/* ---- the background ---- */

/*
 * A machine that shuts down, or a service manager, tells everybody to end. The session itself is the launcher's to end;
 * what the janitor does after it is cut short: one more try at each, and the rest stays on the lease.
 */
static volatile sig_atomic_t told_to_end;

static void on_sigterm(int number)
{
	(void)number;
	told_to_end = 1;
}

/* Blocked but while it is waited for: it cannot come between the look and the wait. */
static bool heed_sigterm(sigset_t *ret_waiting)
{
	const struct sigaction action = { .sa_handler = on_sigterm };
	sigset_t blocked;

	sigemptyset(&blocked);
	sigaddset(&blocked, SIGTERM);
	return sigprocmask(SIG_BLOCK, &blocked, ret_waiting) == 0 && sigdelset(ret_waiting, SIGTERM) == 0 &&
	       sigaction(SIGTERM, &action, NULL) == 0;
}

static bool pause_unless_told(void *context, unsigned ms)
{
	const struct process *process = context;
	const struct timespec pause = { .tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000 };

	(void)pselect(0, NULL, NULL, NULL, &pause, &process->waiting);
	return told_to_end == 0;
}

static bool try_again(void *context)
{
	struct process *process = context;

	return teardown_run_again(&process->teardown);
}

/* What a teardown could not remove: a runtime may hold a network for long after its container has gone. */
static void end_in_background(struct process *process)
{
	const struct network_background background = { try_again, pause_unless_told, process };

	if (!WITHOUT("background") && teardown_is_open(&process->teardown))
		network_delete_blocking(&background);
	_exit(0);
}

/* ---- the process ---- */

/* Until END, the end of file, or what is no request. */
static enum janitor_received serve(struct process *process)
{
	static const struct janitor_wait for_ever = { 0 };
	enum janitor_received got;
	struct janitor_frame frame;

	while ((got = janitor_protocol_receive(process->channel, &for_ever, false, &frame, process->payload,
	                                       sizeof(process->payload))) == JANITOR_RECEIVED) {
		if (frame.verb != JANITOR_VERB_END) /* else it was not made, as far as the launcher knows */
			process->teardown.in_making = 0;
		switch ((enum janitor_verb)frame.verb) {
		case JANITOR_VERB_HOLD:
			on_hold(process, &frame);
			break;
		case JANITOR_VERB_DESCRIBE:
			on_describe(process, &frame);
			break;
		case JANITOR_VERB_RELEASE:
			on_release(process, &frame);
			break;
		case JANITOR_VERB_SANDBOX:
			on_sandbox(process, &frame);
			break;
		case JANITOR_VERB_END_SANDBOX:
			on_end_sandbox(process, &frame);
			break;
		case JANITOR_VERB_DONE:
		case JANITOR_VERB_REFUSED:
		case JANITOR_VERB_WARNING:
		case JANITOR_VERB_STEP: /* these four are answers, which are not received here */
		case JANITOR_VERB_END:
			return got;
		}
	}
	return got;
}

/* No descriptor but the channel, and nobody whom a launcher that does not read could hold up. */
static bool stand_apart(int *channel, struct npxc_error *err)
{
	const struct timeval send_within = { .tv_sec = 2 };

	if (!keep_apart(&channel, 1, err))
		return false;
	setsockopt(*channel, SOL_SOCKET, SO_SNDTIMEO, &send_within, sizeof(send_within));
	return true;
}

void janitor_process_run(const struct janitor_start *start)
{
	/* Not on the stack of a deep caller: zeroed pages that are not used cost nothing. */
	static struct process process;
	struct npxc_error err = { 0 };
	enum janitor_received got;

	FAULT_ROLE("janitor");
	FAULT_POINT("janitor.forked");
	process.channel = start->channel;
	process.launcher = start->launcher;
	process.launcher_group = start->launcher_group;
	teardown_init(&process.teardown, start->path, (struct teardown_report){ on_report, &process });
	/* Nothing has been acquired yet, or it is on the lease: the launcher learns of it with its next message. */
	if (!stand_apart(&process.channel, &err) || !heed_sigterm(&process.waiting))
		_exit(1);
	process.teardown.lease.launcher.pid = start->launcher;
	process.teardown.lease.id = str_dup(start->id);
	if (start->takes_over && !teardown_resume(&process.teardown, &err))
		_exit(1);
	got = serve(&process);
	if (got == JANITOR_RECEIVED_INVALID)
		on_report(&process, true, "unexpected message from the launcher; tearing down");
	if (got != JANITOR_RECEIVED) {
		FAULT_POINT("janitor.alone");
		process.is_mute = true;
	}
	teardown_run(&process.teardown);
	done(&process, teardown_is_open(&process.teardown));
	end_in_background(&process);
	abort();
}
