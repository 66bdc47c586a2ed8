#include "session/run.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/signals.h"
#include "config/rules.h"
#include "relay/pump.h"
#include "session/start.h"
#include "session/withheld.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/*
 * The server's own end, as the runtime tells it. A process that has ended is reaped first: an empty group without even
 * a zombie is seen with one call, a zombie's group only by reading all of /proc. While anybody of the group lives its
 * number stays its own.
 */
bool run_finish(struct session *session, struct sandbox *sandbox, const char *errors, int *ret_status,
                struct npxc_error *err)
{
	int exit_status, signal_number;
	const bool ended = sandbox_has_ended(sandbox);
	FAULT_POINT("session.finish");
	if (ended && !sandbox_wait(sandbox, &exit_status, &signal_number, err))
		return false;
	if (!janitor_end_sandbox(session->janitor, 0, err))
		return false;
	FAULT_POINT("session.sandbox-ended");
	if (!ended && !sandbox_wait(sandbox, &exit_status, &signal_number, err))
		return false;
	struct buf status_text BUF_CLEANUP = BUF_INIT(64 * KIB);
	struct npxc_error ignored;
	if (sandbox->status_text != NULL && !buf_append_text(&status_text, sandbox->status_text, &ignored))
		log_debug("session", "%s", ignored.message);
	if (sandbox->status >= 0 && !fd_read_all(sandbox->status, &status_text, &ignored))
		log_debug("session", "the runtime's status pipe: %s", ignored.message);
	sandbox_done(sandbox);
	return runtime_judge_end(&session->runtime, exit_status, signal_number,
	                         status_text.data == NULL ? "" : status_text.data, errors == NULL ? "" : errors,
	                         ret_status, err);
}

/* ---- a sandbox of its own: installs ---- */

struct capture {
	struct sandbox *sandbox;
	struct proc_result *result;
	void (*on_stderr)(void *context, const char *bytes, size_t count);
	void *context;
};

/* One read of what is there; false at the end of the stream, which is then closed. */
static bool capture_some(struct capture *c, int *fd, struct buf *into)
{
	char bytes[16 * 1024];
	const ssize_t got = read(*fd, bytes, sizeof(bytes));
	if (got < 0 && (errno == EINTR || errno == EAGAIN))
		return true;
	if (got <= 0) {
		fd_close(fd);
		return false;
	}
	if (into == &c->result->errors && c->on_stderr != NULL)
		c->on_stderr(c->context, bytes, (size_t)got);
	struct npxc_error ignored;
	if (!buf_append(into, bytes, (size_t)got, &ignored)) {
		c->result->truncated = true;
		if (into == &c->result->errors) { /* the reason stands at the end */
			buf_consume(into, into->length / 2);
			c->result->truncated = !buf_append(into, bytes, (size_t)got, &ignored) || c->result->truncated;
		}
	}
	return true;
}

/* True when the sandbox has ended; false when time or a signal ended the wait. */
static bool capture_until_end(struct capture *c, unsigned timeout_ms)
{
	const int64_t deadline = clock_now_ms() + (int64_t)timeout_ms;
	for (;;) {
		struct pollfd polled[] = {
			{ .fd = c->sandbox->output, .events = POLLIN },
			{ .fd = c->sandbox->errors, .events = POLLIN },
			{ .fd = c->sandbox->exit_fd, .events = POLLIN },
			{ .fd = signals_fd(), .events = POLLIN },
		};
		const int64_t left = deadline - clock_now_ms();
		if (left <= 0)
			return false;
		if (poll(polled, 4, left > 60000 ? 60000 : (int)left) < 0 && errno != EINTR)
			return false;
		if (polled[0].revents)
			capture_some(c, &c->sandbox->output, &c->result->output);
		if (polled[1].revents)
			capture_some(c, &c->sandbox->errors, &c->result->errors);
		if (signals_caught())
			return false;
		if (polled[2].revents && !polled[0].revents && !polled[1].revents)
			return true;
	}
}

bool run_to_end(struct session *session, const struct launch *launch, struct route *route, unsigned timeout_ms,
                void (*on_stderr)(void *context, const char *bytes, size_t count), void *context,
                struct proc_result *ret_result, struct npxc_error *err)
{
	struct runtime_start what = { 0 };
	struct sandbox sandbox;
	if (!runtime_make_start(&session->runtime, launch, &what, err))
		return false;
	const bool started = start_sandbox(session, launch, &what, route, &sandbox, err);
	runtime_start_done(&what);
	if (!started)
		return false;
	fd_close(&sandbox.input);

	struct proc_result result = { .output = BUF_INIT(LIMIT_CLI_OUTPUT_BYTES),
		                      .errors = BUF_INIT(LIMIT_CLI_OUTPUT_BYTES) };
	struct capture c = { .sandbox = &sandbox, .result = &result, .on_stderr = on_stderr, .context = context };
	const bool ended = capture_until_end(&c, timeout_ms);
	result.timed_out = !ended && !signals_caught();
	bool fine = ended || janitor_end_sandbox(session->janitor, signals_caught() ? LIMIT_GRACE_MS : 0, err);
	int status = -1;
	struct npxc_error judged = { 0 };
	if (fine && !run_finish(session, &sandbox, result.errors.data, &status, &judged) && ended) {
		*err = judged;
		fine = false;
	}
	sandbox_done(&sandbox);
	cgroup_plan_done(&session->cgroups); /* they were this sandbox's, not those of the server that may come */
	/* The CLI has ended by itself, and --rm with it; else the janitor looks at its end. */
	if (fine && ended && session->container_hold != 0)
		fine = janitor_release(session->janitor, session->container_hold, err);
	if (fine && signals_caught())
		fine = session_interrupted(err);
	if (!fine) {
		proc_result_done(&result);
		return false;
	}
	result.exit_status = status;
	*ret_result = result;
	return true;
}

/* ---- what the way out says ---- */

static void say_denial(const struct session *session, const struct run_report *report,
                       const struct egress_denial *denial)
{
	mem_cleanup char *target =
	    denial->port == 0 ? str_dup(denial->host) : rules_propose(denial->host, denial->port);
	mem_cleanup char *rule = report->learned == NULL ? egress_denial_rule(denial) : NULL;
	mem_cleanup char *why = reason_about(denial->reason, target);
	mem_cleanup char *fix =
	    rule == NULL ? str_dup("")
	                 : str_printf("; to allow it, add \"%s\"%s to network.allow in %s", rule,
	                              denial->port == 0 ? " (or the port that it uses: npxc learn sees it)" : "",
	                              session->in.package_config.file);
	if (report->learned != NULL)
		learned_add(report->learned, denial);
	if (report->learned != NULL && denial->port == 0)
		return; /* it got an address, and nothing was refused yet */
	mem_cleanup char *line = str_printf("npxc: %s: %s refused: %s%s", store_package_label(&session->package),
	                                    denial->port == 0 ? "name look-up" : "connection", why, fix);
	mem_cleanup char *shown = str_escape(line, strlen(line)); /* the guest chose the name */
	report->say(report->context, shown);
}

bool run_report_denials(const struct session *session, const struct run_report *report)
{
	enum { SHARE = 1000 }; /* one that speaks without end, as a healthy one does not, holds up nothing else */
	struct egress_denial denial;

	for (int i = 0; i < SHARE; i++) {
		switch (egress_read(&session->route->egress, &denial)) {
		case EGRESS_NOTHING:
			return true;
		case EGRESS_DENIED:
			say_denial(session, report, &denial);
			break;
		case EGRESS_ENDED:
			return false;
		}
	}
	return true;
}

/* ---- the relay ---- */

/* milliseconds: a request that waits so long for its answer may wait in vain. */
enum { WAITED_MS = 2000 };

struct aside {
	struct session *session;
	struct run_report report;
};

static void say_to_client(void *context, const char *line)
{
	notice_line(&((struct aside *)context)->session->notices, line);
}

static bool on_aside(void *context)
{
	struct aside *aside = context;

	if (run_report_denials(aside->session, &aside->report))
		return true;
	say_to_client(aside, "npxc: the egress process has ended: nothing outside can be reached any more");
	return false;
}

/* While a request waits, something may have to be said about it. */
static unsigned tick_ms(void *context)
{
	const struct session *session = ((struct aside *)context)->session;

	if (relay_writes(session->relay))
		return LIMIT_OUTPUT_LOOK_MS;
	return relay_unanswered(session->relay, false)->count > 0 ? WAITED_MS : 0;
}

static bool is_over(void *context)
{
	struct session *session = ((struct aside *)context)->session;
	const struct pending *pending = relay_unanswered(session->relay, false);

	if (pending->count > 0 && clock_now_ms() - pending->v[0].since_ms >= WAITED_MS)
		withheld_tell_trouble(session);
	return relay_is_over(session->relay);
}

static void log_counts(const struct pump *pump)
{
	const struct pump_counts counts = pump_counts(pump);
	log_info("session", "relayed %llu bytes to the server, %llu back, %llu to stderr",
	         (unsigned long long)counts.to_server, (unsigned long long)counts.to_client,
	         (unsigned long long)counts.to_stderr);
}

/* As long as the server has something to say, somebody is there to hear it, and there is time. */
static bool drain(struct pump *pump, struct npxc_error *err)
{
	enum pump_end end;

	do
		if (!pump_run(pump, &end, err))
			return false;
	while (end == PUMP_CLIENT_GONE);
	return true;
}

/*
 * Tells the server to end, and delivers what it says meanwhile and has said before, as its parent would read it without
 * npxc. After a signal there is an end to that: npxc has to be gone within LIMIT_SIGNAL_MS.
 */
static bool end_early(struct session *session, struct pump *pump, unsigned grace_ms, struct npxc_error *err)
{
	const int64_t until_ms = signals_caught() != 0 ? signals_time_ms() + LIMIT_SIGNAL_MS - LIMIT_LAST_WORDS_MS : 0;
	int answer;

	pump_close_server_input(pump);
	janitor_begin_to_end_sandbox(session->janitor, grace_ms, &answer);
	pump_set_wake(pump, answer, until_ms);
	if ((answer != -1 && !drain(pump, err)) || !janitor_await_end_of_sandbox(session->janitor, grace_ms, err))
		return false;
	pump_set_wake(pump, until_ms == 0 ? signals_fd() : -1, until_ms);
	return drain(pump, err);
}

/* A server that owes answers may be silent for longer: as with plain Node they come although no question does. */
static bool run_while_owed(struct session *session, struct pump *pump, enum pump_end *ret_end, struct npxc_error *err)
{
	unsigned quiet_ms = 0;

	do {
		const struct pump_counts before = pump_counts(pump);
		if (!pump_run(pump, ret_end, err))
			return false;
		const struct pump_counts after = pump_counts(pump);
		const bool silent = after.to_client == before.to_client && after.to_stderr == before.to_stderr;
		quiet_ms = (silent ? quiet_ms : 0) + LIMIT_DRAIN_QUIET_MS;
	} while (*ret_end == PUMP_SERVER_STUCK && quiet_ms < LIMIT_DRAIN_OWED_MS &&
	         relay_unanswered(session->relay, true)->count > 0);
	return true;
}

static bool relay(struct session *session, struct pump *pump, bool *ret_by_itself, struct npxc_error *err)
{
	enum pump_end end = PUMP_SERVER_ENDED;
	if (!run_while_owed(session, pump, &end, err))
		return false;
	*ret_by_itself = end == PUMP_SERVER_ENDED;
	switch (end) {
	case PUMP_SERVER_ENDED:
		return true;
	case PUMP_CLIENT_GONE:
		log_info("session", "the client has gone");
		break;
	case PUMP_SERVER_STUCK:
		log_warn("session", "the server did not end after the client closed its side; it is told to");
		break;
	case PUMP_OVER:
		break; /* that has been said */
	case PUMP_WOKEN:
		log_info("session", "signal %d: the session ends", signals_caught());
		break;
	}
	if (!end_early(session, pump, (WITHOUT("grace") ? 10 : 1) * LIMIT_GRACE_MS, err))
		return false;
	return end != PUMP_OVER || error_set(err, ERROR_RUNTIME, "the server has written too much");
}

/* After the end of input an ordinary end is what was asked for. */
static void say_status(const struct session *session, int status, bool was_asked)
{
	const char *label = store_package_label(&session->package);
	const char *when = was_asked ? " after the end of its input" : "";

	if (status > 128 && status < 128 + NSIG)
		log_notice("%s ended by itself%s with status %d (signal %d, %s)", label, when, status, status - 128,
		           strsignal(status - 128));
	else if (status != 0 || !was_asked)
		log_notice("%s ended by itself%s with status %d", label, when, status);
}

bool run_relay(struct session *session, struct sandbox *sandbox, struct learned *learned, int *ret_status,
               struct npxc_error *err)
{
	struct relay *looks = session->relay;
	const struct route *route = session->route;
	struct aside aside = { .session = session, .report = { .learned = learned, .say = say_to_client } };
	aside.report.context = &aside;
	const struct pump_ends ends = {
		.client_in = STDIN_FILENO,
		.client_out = STDOUT_FILENO,
		.client_err = STDERR_FILENO,
		.server_in = fd_take(&sandbox->input),
		.server_out = fd_take(&sandbox->output),
		.server_err = fd_take(&sandbox->errors),
		.wake = signals_fd(),
		.server_exit = sandbox->exit_fd,
		.aside = route == NULL ? -1 : route->egress.control,
		.on_aside = route == NULL ? NULL : on_aside,
		.aside_context = &aside,
		.tick_ms = tick_ms,
		.is_over = is_over,
		.tick_context = &aside,
	};
	struct pump *pump = NULL;
	bool by_itself = false;
	if (!pump_new(&ends, LIMIT_DRAIN_QUIET_MS, &pump, err))
		return false;
	relay_attach(looks, pump);
	withheld_tell_limits(session);
	withheld_watch(session, sandbox);
	FAULT_POINT("session.relay");
	bool fine = relay(session, pump, &by_itself, err);
	size_t tail_length = 0;
	const char *tail = pump_stderr_tail(pump, &tail_length);
	mem_cleanup char *errors = str_dup_n(tail == NULL ? "" : tail, tail_length);
	const struct pump_counts counts = pump_counts(pump);
	log_counts(pump);
	relay_detach(looks);
	pump_free(pump);
	withheld_tell_lost(session);
	withheld_tell_unanswered(session);
	FAULT_POINT("session.relayed");

	int status = 0;
	struct npxc_error judged = { 0 };
	const bool ran = run_finish(session, sandbox, errors, &status, &judged);
	relay_finish(looks);
	if (!fine)
		return false;
	if (!ran && by_itself) {
		*err = judged;
		return false;
	}
	withheld_tell_end(session, by_itself && ran ? status : -1, errors);
	if (signals_caught())
		return session_interrupted(err);
	if (!ran)
		log_warn("session", "after the client had gone: %s", judged.message);
	else if (by_itself)
		say_status(session, status, counts.client_closed);
	*ret_status = by_itself ? status : 0;
	return true;
}
