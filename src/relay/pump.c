#include "relay/pump.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/terminal.h"
#include "relay/direction.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/*
 * A session's relay is in one of these states, which its descriptors and flags tell:
 *
 *     state      when                                   open                            at most
 *     RELAYING   at first                               all                             no limit
 *     DRAINING   input_closed: the client's stdin has   all but both stdins             quiet_ms without a byte of
 *                ended, or the caller closed the                                        the server's, and not while the
 *                server's                                                               client holds up its stdout
 *     LEAVING    server_ended                           the server's stdout and stderr, no limit on stdout; on stderr
 *                                                       for what is in them             quiet_ms without progress
 *
 *     event                                     in                    leads to
 *     the client's stdin ends                   RELAYING              DRAINING, the server's stdin is closed
 *     the server closes its stdin               RELAYING              RELAYING, the client is not read any more
 *     the client's stdout closes                RELAYING, DRAINING    PUMP_CLIENT_GONE; when run again, its state
 *     server_exit; without one, both outputs
 *     have ended                                RELAYING, DRAINING    LEAVING
 *     quiet for too long                        DRAINING              PUMP_SERVER_STUCK; when run again, DRAINING
 *     all delivered, or quiet for too long      LEAVING               PUMP_SERVER_ENDED
 *     is_over says so                           each                  PUMP_OVER
 *     wake, or until_ms                         each                  PUMP_WOKEN; when run again, its state
 *
 * What one direction waits for meanwhile is its own matter: relay/direction.h.
 */
struct pump {
	struct pump_ends ends;
	struct direction to_server, to_client, to_stderr;
	unsigned quiet_ms;
	bool portable;
	struct buf nowhere; /* what would be said to somebody who has gone */
	bool input_closed;  /* the server's stdin was closed by us */
	bool client_closed;
	bool server_ended;
	int64_t last_activity_ms; /* kept only while a clock runs */
	int64_t until_ms;         /* of pump_set_wake; 0: for ever */
	int64_t next_tick_ms;
};

static void close_server_input(struct pump *pump)
{
	fd_close(&pump->ends.server_in);
	pump->to_server.target = (struct end){ .fd = -1 };
	pump->to_server.ended = true;
	if (!pump->input_closed)
		pump->last_activity_ms = clock_now_ms();
	pump->input_closed = true;
}

/* The reading end of the client's stdin goes, its number stays taken. */
static void release_client_input(struct pump *pump)
{
	const struct end *source = &pump->to_server.source;
	int null;

	if ((source->kind != KIND_PIPE && source->kind != KIND_SOCKET) || source->fd == pump->ends.client_out ||
	    source->fd == pump->ends.client_err)
		return;
	null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (null < 0)
		return;
	(void)dup2(null, source->fd);
	close(null);
}

static void server_closed_its_input(struct pump *pump)
{
	release_client_input(pump);
	fd_close(&pump->ends.server_in);
	pump->to_server.target = (struct end){ .fd = -1 };
	pump->to_server.ended = true;
}

bool pump_new(const struct pump_ends *ends, unsigned drain_quiet_ms, struct pump **ret_pump, struct npxc_error *err)
{
	struct pump *pump = mem_alloc(sizeof(*pump));

	pump->ends = *ends;
	pump->quiet_ms = drain_quiet_ms;
	pump->nowhere = BUF_INIT(4 * LIMIT_MESSAGE_BYTES);
	pump->to_server.source = end_of_client(ends->client_in);
	pump->to_client.target = end_of_client(ends->client_out);
	pump->to_stderr.target = end_of_client(ends->client_err);
	pump->to_server.due = pump->to_client.due = pump->to_stderr.due = SIZE_MAX;
	if (!end_of_server(ends->server_in, &pump->to_server.target, err) ||
	    !end_of_server(ends->server_out, &pump->to_client.source, err) ||
	    !end_of_server(ends->server_err, &pump->to_stderr.source, err)) {
		pump_free(pump);
		return false;
	}
	pump->to_client.ended = ends->server_out < 0;
	pump->to_stderr.ended = ends->server_err < 0;
	pump->to_stderr.tail = mem_alloc(PUMP_STDERR_TAIL_BYTES);
	pump->to_stderr.tail_size = PUMP_STDERR_TAIL_BYTES;
	if (ends->client_err >= 0 && isatty(ends->client_err) == 1)
		pump->to_stderr.filter = mem_alloc(sizeof(*pump->to_stderr.filter));
	if (ends->server_in < 0 || pump->to_server.source.kind == KIND_NONE)
		close_server_input(pump);
	*ret_pump = pump;
	return true;
}

void pump_set_portable(struct pump *pump)
{
	pump->portable = true;
}

static enum lines_look pass(void *context, const char *bytes, size_t count, bool first)
{
	(void)context;
	(void)bytes;
	(void)count;
	(void)first;
	return LINES_PASS;
}

void pump_set_lines(struct pump *pump, const struct lines_rules *to_server, const struct lines_rules *to_client)
{
	static const struct lines_rules passing = { .look = pass };

	if (to_server == NULL && to_client == NULL)
		return;
	if (to_server != NULL) {
		pump->to_server.lines = lines_new(to_server);
		pump->to_server.held_up_by = &pump->to_client;
	}
	pump->to_client.lines = lines_new(to_client != NULL ? to_client : &passing);
	pump->to_stderr.lines = lines_new(&passing);
}

struct buf *pump_reply(struct pump *pump)
{
	if (pump->to_client.lines != NULL)
		return lines_inject(pump->to_client.lines);
	pump->nowhere.length = 0;
	return &pump->nowhere;
}

struct buf *pump_say(struct pump *pump)
{
	if (pump->to_stderr.lines != NULL)
		return lines_inject(pump->to_stderr.lines);
	pump->nowhere.length = 0;
	return &pump->nowhere;
}

bool pump_has_lines(const struct pump *pump)
{
	return pump->to_stderr.lines != NULL;
}

void pump_pass_on(struct pump *pump, const char *label, const char *bytes, size_t count)
{
	struct buf *to = pump_say(pump);
	struct terminal_filter filter = { 0 };
	struct npxc_error ignored;
	size_t used;

	if (pump->to_stderr.filter == NULL) {
		if (!buf_appendf(to, &ignored, "%s: ", label) || !buf_append(to, bytes, count, &ignored) ||
		    !buf_append_text(to, "\n", &ignored))
			log_debug("relay", "%s", ignored.message);
		return;
	}
	mem_cleanup char *shown = mem_alloc(TERMINAL_ROOM(strlen(label) + 2) + TERMINAL_ROOM(count) + 1);
	used = terminal_filter(&filter, label, strlen(label), shown);
	used += terminal_filter(&filter, ": ", 2, shown + used);
	used += terminal_filter(&filter, bytes, count, shown + used);
	used += terminal_filter_end(&filter, shown + used);
	shown[used++] = '\n';
	if (!buf_append(to, shown, used, &ignored))
		log_debug("relay", "%s", ignored.message);
}

void pump_free(struct pump *pump)
{
	if (pump == NULL)
		return;
	end_close_opened(&pump->to_server.source);
	end_close_opened(&pump->to_client.target);
	end_close_opened(&pump->to_stderr.target);
	fd_close(&pump->ends.server_in);
	fd_close(&pump->ends.server_out);
	fd_close(&pump->ends.server_err);
	direction_free(&pump->to_server);
	direction_free(&pump->to_client);
	direction_free(&pump->to_stderr);
	buf_done(&pump->nowhere);
	free(pump);
}

void pump_set_wake(struct pump *pump, int wake, int64_t until_ms)
{
	pump->ends.wake = wake;
	pump->until_ms = until_ms;
}

void pump_close_server_input(struct pump *pump)
{
	if (!pump->input_closed)
		close_server_input(pump);
}

struct pump_counts pump_counts(const struct pump *pump)
{
	return (struct pump_counts){
		.to_server = pump->to_server.delivered,
		.to_client = pump->to_client.delivered,
		.to_stderr = pump->to_stderr.delivered,
		.client_closed = pump->client_closed,
	};
}

const char *pump_stderr_tail(const struct pump *pump, size_t *ret_length)
{
	*ret_length = pump->to_stderr.tail_length;
	return pump->to_stderr.tail;
}

static void after_to_server(struct pump *pump, enum outcome outcome)
{
	struct direction *d = &pump->to_server;

	switch (outcome) {
	case OUTCOME_NEEDS_SOURCE:
	case OUTCOME_STALLED:
		d->needs_target = false;
		return;
	case OUTCOME_NEEDS_TARGET:
		d->needs_target = true;
		return;
	case OUTCOME_SOURCE_ENDED:
		pump->client_closed = true;
		close_server_input(pump);
		return;
	case OUTCOME_TARGET_ENDED:
		server_closed_its_input(pump);
		return;
	}
}

/* False: the target is closed, errno says how. */
static bool after_from_server(struct direction *d, int *owned_source, enum outcome outcome)
{
	switch (outcome) {
	case OUTCOME_NEEDS_SOURCE:
	case OUTCOME_STALLED:
		d->needs_target = false;
		return true;
	case OUTCOME_NEEDS_TARGET:
		d->needs_target = true;
		return true;
	case OUTCOME_SOURCE_ENDED:
		fd_close(owned_source);
		d->source = (struct end){ .fd = -1 };
		d->ended = true;
		d->needs_target = false;
		return true;
	case OUTCOME_TARGET_ENDED:
		break;
	}
	return false;
}

static bool errno_means_closed(int number)
{
	return number == EPIPE || number == ECONNRESET || number == ENOTCONN || number == EIO || number == ENXIO ||
	       number == EBADF;
}

enum slot {
	SLOT_CLIENT_IN,
	SLOT_SERVER_IN,
	SLOT_SERVER_OUT,
	SLOT_CLIENT_OUT,
	SLOT_SERVER_ERR,
	SLOT_CLIENT_ERR,
	SLOT_WAKE,
	SLOT_EXIT,
	SLOT_ASIDE,
	SLOTS
};

/* Grows when the server writes, and when the client reads. */
static uint64_t progress(const struct pump *pump)
{
	return pump->to_client.taken + pump->to_client.delivered + pump->to_stderr.taken + pump->to_stderr.delivered;
}

/* Whether the silence of the server (or, after its end, of a client that does not read stderr) is being measured. */
static bool clock_runs(const struct pump *pump)
{
	if (pump->server_ended)
		return direction_is_delivered(&pump->to_client);
	return pump->input_closed && !pump->to_client.needs_target;
}

static int milliseconds_until(int64_t when_ms)
{
	const int64_t left = when_ms - clock_now_ms();

	if (left < 0)
		return 0;
	return left < INT_MAX ? (int)left : INT_MAX;
}

static int poll_timeout(const struct pump *pump)
{
	return clock_runs(pump) ? milliseconds_until(pump->last_activity_ms + (int64_t)pump->quiet_ms) : -1;
}

static bool time_is_over(const struct pump *pump)
{
	return pump->until_ms != 0 && clock_now_ms() >= pump->until_ms;
}

/* The sooner of a timeout and the next tick, at which `ret_tick` is true. */
static int tick_timeout(struct pump *pump, int timeout, bool *ret_tick)
{
	const unsigned every = pump->ends.tick_ms == NULL ? 0 : pump->ends.tick_ms(pump->ends.tick_context);
	int64_t now, left;

	*ret_tick = false;
	if (every == 0) {
		pump->next_tick_ms = 0;
		return timeout;
	}
	now = clock_now_ms();
	if (pump->next_tick_ms == 0)
		pump->next_tick_ms = now + (int64_t)every;
	*ret_tick = pump->next_tick_ms <= now;
	if (*ret_tick)
		pump->next_tick_ms = now + (int64_t)every;
	left = pump->next_tick_ms - now;
	return clock_sooner(timeout, (int)left);
}

static void server_has_ended(struct pump *pump)
{
	pump->server_ended = true;
	pump->last_activity_ms = clock_now_ms();
	if (!pump->to_server.ended)
		close_server_input(pump);
	direction_limit_to_present(&pump->to_client);
	direction_limit_to_present(&pump->to_stderr);
}

static void poll_prepare(const struct pump *pump, struct pollfd fds[SLOTS])
{
	direction_poll(&pump->to_server, !pump->to_server.ended, &fds[SLOT_CLIENT_IN], &fds[SLOT_SERVER_IN]);
	direction_poll(&pump->to_client, true, &fds[SLOT_SERVER_OUT], &fds[SLOT_CLIENT_OUT]);
	direction_poll(&pump->to_stderr, false, &fds[SLOT_SERVER_ERR], &fds[SLOT_CLIENT_ERR]);
	fds[SLOT_WAKE] = (struct pollfd){ .fd = pump->ends.wake, .events = POLLIN };
	fds[SLOT_ASIDE] =
	    (struct pollfd){ .fd = pump->ends.on_aside == NULL ? -1 : pump->ends.aside, .events = POLLIN };
	fds[SLOT_EXIT] = (struct pollfd){ .fd = pump->server_ended ? -1 : pump->ends.server_exit, .events = POLLIN };
}

/* True when the client's stdout turned out to be closed. Any other failure of it is an error. */
static bool serve_to_client(struct pump *pump, const struct pollfd fds[SLOTS], bool *ret_gone, struct npxc_error *err)
{
	struct direction *d = &pump->to_client;
	bool gone = false;

	if (direction_is_ready(d, &fds[SLOT_SERVER_OUT], &fds[SLOT_CLIENT_OUT])) {
		if (!after_from_server(d, &pump->ends.server_out, d->move(d))) {
			if (!errno_means_closed(errno))
				return error_set_errno(err, ERROR_IO, "cannot write to the client's stdout");
			gone = true;
		}
	} else {
		gone = direction_target_is_closed(d, &fds[SLOT_CLIENT_OUT]);
	}
	if (gone)
		direction_drop_target(d);
	*ret_gone = gone;
	return true;
}

static void serve_to_server(struct pump *pump, const struct pollfd fds[SLOTS])
{
	struct direction *d = &pump->to_server;

	if (d->stalled && !d->ended && !direction_must_wait(d))
		after_to_server(pump, direction_resume(d));
	else if (direction_is_ready(d, &fds[SLOT_CLIENT_IN], &fds[SLOT_SERVER_IN]))
		after_to_server(pump, d->move(d));
	else if (!d->ended && direction_target_is_closed(d, &fds[SLOT_SERVER_IN]))
		server_closed_its_input(pump);
}

static void serve_to_stderr(struct pump *pump, const struct pollfd fds[SLOTS])
{
	struct direction *d = &pump->to_stderr;

	if (direction_is_ready(d, &fds[SLOT_SERVER_ERR], &fds[SLOT_CLIENT_ERR]) &&
	    !after_from_server(d, &pump->ends.server_err, d->move(d)))
		direction_drop_target(d);
}

/* What was said while the others were served. */
static void serve_what_was_said(struct pump *pump)
{
	direction_put_injected(&pump->to_client);
	direction_put_injected(&pump->to_stderr);
}

static bool serve(struct pump *pump, const struct pollfd fds[SLOTS], bool *ret_gone, struct npxc_error *err)
{
	/* Replies first: whoever waits for one is held up by nothing else. */
	if (!serve_to_client(pump, fds, ret_gone, err))
		return false;
	serve_to_server(pump, fds);
	serve_to_stderr(pump, fds);
	serve_what_was_said(pump);
	return true;
}

static bool run(struct pump *pump, enum pump_end *ret_end, struct npxc_error *err)
{
	for (;;) {
		struct pollfd fds[SLOTS];
		bool client_gone = false;
		uint64_t before = progress(pump);
		int timeout, wait;
		int count;
		bool tick;

		if (!pump->server_ended && pump->ends.server_exit < 0 && pump->to_client.ended && pump->to_stderr.ended)
			server_has_ended(pump);
		if (pump->server_ended && direction_is_delivered(&pump->to_client) &&
		    direction_is_delivered(&pump->to_stderr)) {
			*ret_end = PUMP_SERVER_ENDED;
			return true;
		}
		poll_prepare(pump, fds);
		timeout = poll_timeout(pump);
		wait = tick_timeout(pump, timeout, &tick);
		if (tick && pump->ends.is_over(pump->ends.tick_context)) {
			*ret_end = PUMP_OVER;
			return true;
		}
		count =
		    poll(fds, SLOTS, clock_sooner(wait, pump->until_ms != 0 ? milliseconds_until(pump->until_ms) : -1));
		if (count < 0) {
			if (direction_is_later(errno))
				continue;
			return error_set_errno(err, ERROR_IO, "cannot wait for the server and the client");
		}
		if (fds[SLOT_WAKE].revents != 0 || time_is_over(pump)) {
			*ret_end = PUMP_WOKEN;
			return true;
		}
		if (fds[SLOT_ASIDE].revents != 0 && !pump->ends.on_aside(pump->ends.aside_context))
			pump->ends.on_aside = NULL;
		if (!serve(pump, fds, &client_gone, err))
			return false;
		if (fds[SLOT_EXIT].revents != 0) {
			server_has_ended(pump);
			continue;
		}
		if (client_gone && !pump->server_ended) {
			*ret_end = PUMP_CLIENT_GONE;
			return true;
		}
		if (progress(pump) != before) {
			if (pump->input_closed || pump->server_ended)
				pump->last_activity_ms = clock_now_ms();
		} else if ((count == 0 && wait == timeout) || timeout == 0) {
			/* The second: a terminal may say "writable" and take nothing; time passes all the same. */
			pump->last_activity_ms = clock_now_ms();
			*ret_end = pump->server_ended ? PUMP_SERVER_ENDED : PUMP_SERVER_STUCK;
			return true;
		}
	}
}

bool pump_run(struct pump *pump, enum pump_end *ret_end, struct npxc_error *err)
{
	struct sigaction ignore = { .sa_handler = SIG_IGN };
	struct sigaction before;
	bool ok;

	if (pump->to_client.move == NULL) {
		direction_arrange(&pump->to_server, pump->portable);
		direction_arrange(&pump->to_client, pump->portable);
		direction_arrange(&pump->to_stderr, pump->portable);
	}
	sigaction(SIGPIPE, &ignore, &before);
	ok = run(pump, ret_end, err);
	sigaction(SIGPIPE, &before, NULL);
	return ok;
}
