#include "relay/pump.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* macOS has neither; there SIGPIPE is ignored anyway and a half-closed socket is seen when it is read. */
#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0
#endif

/* One read when bytes are copied: as much as fits a second-level cache, far below the ceiling of a direction. */
#define COPY_BYTES (128 * KIB)
_Static_assert(COPY_BYTES <= LIMIT_RELAY_BYTES, "a direction's memory has a ceiling");

/* A pipe that held this much was full at its default size (64 KiB on Linux): worth growing. Small talk never is, so
 * an ordinary session does not use up the user's share of pipe memory (pipe-user-pages-soft). */
#define GROW_FROM_BYTES (64 * KIB)

/* A blocking terminal says POLLOUT with little room left; what is written at once stays below that. */
#define TERMINAL_BYTES 64

/* One read when what is read is shown on a terminal: some times as much comes out of the filter. */
#define FILTERED_BYTES (4 * KIB)
_Static_assert(TERMINAL_ROOM(FILTERED_BYTES) <= COPY_BYTES, "it fits the buffer of a copy");

enum kind {
	KIND_NONE,   /* nothing there: no input, output thrown away */
	KIND_OWN,    /* our own description, non-blocking */
	KIND_SOCKET, /* MSG_DONTWAIT per call */
	KIND_PIPE,   /* foreign and perhaps blocking: at most PIPE_BUF bytes after each POLLOUT */
	KIND_DEVICE, /* the same with a few bytes: a terminal */
	KIND_FILE,   /* never waits for anybody */
};

struct end {
	int fd;
	enum kind kind;
	bool is_pipe;
	bool opened; /* fd is a description that we opened: to be closed */
};

enum outcome {
	OUTCOME_NEEDS_SOURCE, /* go on when the source is readable */
	OUTCOME_NEEDS_TARGET, /* go on when the target is writable */
	OUTCOME_SOURCE_ENDED, /* everything was delivered, and no more comes */
	OUTCOME_TARGET_ENDED, /* errno says why */
	OUTCOME_STALLED,      /* go on when `held_up_by` has delivered enough */
};

/*
 * One direction. `move` makes one attempt without waiting, when that side is ready which the last outcome asked for.
 * Everything that depends on how bytes get across, or on what they are, is behind it.
 */
struct direction {
	struct end source, target;
	enum outcome (*move)(struct direction *d);
	bool needs_target; /* what is waited for: the target, else the source */
	bool ended;
	bool grown;
	char *bytes; /* COPY_BYTES, when copying; [start, end) is not delivered yet */
	size_t start, end;
	struct terminal_filter *filter; /* owned; NULL: the target is no terminal */
	char *tail;                     /* PUMP_STDERR_TAIL_BYTES, or NULL */
	size_t tail_length;
	struct lines *lines;                /* NULL: bytes */
	const struct direction *held_up_by; /* answers to this direction's lines wait there; NULL: none ever */
	bool stalled;
	bool drained; /* with lines: the source has ended, what is left is in `lines` */
	size_t due;   /* bytes that may still be taken from the source; SIZE_MAX while the server lives */
	uint64_t taken, delivered;
};

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

static size_t smaller(size_t a, size_t b)
{
	return a < b ? a : b;
}

static bool is_later(int number)
{
	return number == EAGAIN || number == EWOULDBLOCK || number == EINTR;
}

/* --- ends */

static struct end client_end(int fd)
{
	struct end end = { .fd = fd };
	struct stat info;

	if (fd < 0 || fstat(fd, &info) != 0)
		return (struct end){ .fd = -1 };
	end.is_pipe = S_ISFIFO(info.st_mode);
	if (end.is_pipe)
		end.kind = KIND_PIPE;
	else if (S_ISSOCK(info.st_mode))
		end.kind = KIND_SOCKET;
	else if (S_ISCHR(info.st_mode))
		end.kind = KIND_DEVICE;
	else
		end.kind = KIND_FILE;
	return end;
}

static bool server_end(int fd, struct end *ret_end, struct npxc_error *err)
{
	struct stat info;
	int flags;

	if (fd < 0) {
		*ret_end = (struct end){ .fd = -1 };
		return true;
	}
	flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0 || fstat(fd, &info) != 0)
		return error_set_errno(err, ERROR_IO, "cannot prepare the pipes of the server");
	*ret_end = (struct end){ .fd = fd, .kind = KIND_OWN, .is_pipe = S_ISFIFO(info.st_mode) };
	return true;
}

static void end_close_opened(struct end *end)
{
	if (end->opened)
		fd_close(&end->fd);
	*end = (struct end){ .fd = -1 };
}

#ifdef __linux__
/*
 * A description of our own for a client's pipe or terminal, where the system gives one: it can be non-blocking without
 * anybody else noticing. Refused for a pipe of another user, or without /proc; then the end stays as it is.
 */
static void end_reopen(struct end *end, int access)
{
	char path[32];
	int fd;

	if (end->kind != KIND_PIPE && end->kind != KIND_DEVICE)
		return;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", end->fd);
	fd = open(path, access | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		return;
	end->fd = fd;
	end->kind = KIND_OWN;
	end->opened = true;
}
#endif

static void end_grow(const struct end *end)
{
#ifdef F_SETPIPE_SZ
	if (end->is_pipe && fcntl(end->fd, F_GETPIPE_SZ) < (int)LIMIT_RELAY_BYTES)
		(void)fcntl(end->fd, F_SETPIPE_SZ, (int)LIMIT_RELAY_BYTES); /* best effort: users have a quota */
#else
	(void)end;
#endif
}

static ssize_t end_read(const struct end *end, char *bytes, size_t count)
{
	if (end->kind == KIND_SOCKET)
		return recv(end->fd, bytes, count, MSG_DONTWAIT);
	return read(end->fd, bytes, count);
}

static ssize_t end_write(const struct end *end, const char *bytes, size_t count)
{
	if (end->kind == KIND_SOCKET)
		return send(end->fd, bytes, count, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (end->kind == KIND_PIPE)
		count = smaller(count, PIPE_BUF);
	if (end->kind == KIND_DEVICE)
		count = smaller(count, TERMINAL_BYTES);
	return write(end->fd, bytes, count);
}

static bool end_may_block(const struct end *end)
{
	return end->kind == KIND_PIPE || end->kind == KIND_DEVICE;
}

/* --- directions */

static void direction_grow(struct direction *d)
{
	if (d->grown)
		return;
	d->grown = true;
	end_grow(&d->source);
	end_grow(&d->target);
}

static void tail_keep(struct direction *d, const char *bytes, size_t count)
{
	size_t keep;

	if (count > PUMP_STDERR_TAIL_BYTES) {
		bytes += count - PUMP_STDERR_TAIL_BYTES;
		count = PUMP_STDERR_TAIL_BYTES;
	}
	keep = smaller(d->tail_length, PUMP_STDERR_TAIL_BYTES - count);
	memmove(d->tail, d->tail + d->tail_length - keep, keep);
	memcpy(d->tail + keep, bytes, count);
	d->tail_length = keep + count;
}

static void account_taken(struct direction *d, size_t count)
{
	d->taken += count;
	if (d->due != SIZE_MAX)
		d->due -= count;
	if (count >= GROW_FROM_BYTES)
		direction_grow(d);
}

/* As end_read, into `room` bytes; what is kept of it (tail) is what was read, what comes back is what is shown. */
static ssize_t take(struct direction *d, char *to, size_t room, size_t *ret_shown)
{
	char raw[FILTERED_BYTES];
	const size_t most = d->filter == NULL ? room : smaller(sizeof(raw), room / 7 - 4);
	char *into = d->filter == NULL ? to : raw;
	const ssize_t count = end_read(&d->source, into, smaller(most, d->due));

	*ret_shown = count > 0 ? (size_t)count : 0;
	if (count > 0) {
		account_taken(d, (size_t)count);
		if (d->tail != NULL)
			tail_keep(d, into, (size_t)count);
	}
	if (d->filter == NULL || (count < 0 && is_later(errno)))
		return count;
	*ret_shown = count > 0 ? terminal_filter(d->filter, raw, (size_t)count, to) : 0;
	if (count <= 0 || d->due == 0)
		*ret_shown += terminal_filter_end(d->filter, to + *ret_shown);
	return count;
}

/* To a terminal. A guest's line that one of npxc's has cut in two goes on with a label. */
static ssize_t give(const struct direction *d, const char *bytes, size_t count)
{
	ssize_t written;

	if (d->filter != NULL && log_foreign_cut() && bytes[0] != '\n') {
		written = end_write(&d->target, TERMINAL_LABEL, strlen(TERMINAL_LABEL));
		if (written <= 0)
			return written;
		log_foreign(TERMINAL_LABEL, (size_t)written);
	}
	written = end_write(&d->target, bytes, count);
	if (d->filter != NULL && written > 0)
		log_foreign(bytes, (size_t)written);
	return written;
}

static enum outcome write_pending(struct direction *d)
{
	if (d->start == d->end)
		return OUTCOME_NEEDS_SOURCE; /* nothing of it is shown yet */
	ssize_t count = give(d, d->bytes + d->start, d->end - d->start);

	if (count < 0 && !is_later(errno))
		return OUTCOME_TARGET_ENDED;
	if (count > 0) {
		d->start += (size_t)count;
		d->delivered += (uint64_t)count;
	}
	return d->start < d->end ? OUTCOME_NEEDS_TARGET : OUTCOME_NEEDS_SOURCE;
}

/* Through the buffer, which is filled again only when it is empty: the kernel's pipes are buffers enough. */
static enum outcome move_by_copy(struct direction *d)
{
	if (d->start == d->end) {
		size_t shown;
		const ssize_t count = take(d, d->bytes, COPY_BYTES, &shown);

		if (count < 0 && is_later(errno))
			return OUTCOME_NEEDS_SOURCE;
		if (count <= 0 && shown == 0)
			return OUTCOME_SOURCE_ENDED;
		if (d->target.kind == KIND_NONE)
			return OUTCOME_NEEDS_SOURCE;
		d->start = 0;
		d->end = shown;
		if (end_may_block(&d->target) && shown > 0)
			return OUTCOME_NEEDS_TARGET;
	}
	return write_pending(d);
}

/* --- by lines */

static bool must_wait(const struct direction *d)
{
	return d->held_up_by != NULL && d->held_up_by->lines != NULL &&
	       lines_inject(d->held_up_by->lines)->length > LIMIT_RELAY_BYTES;
}

/* Puts out what is due, as far as the target takes it; one write where it could block. */
static enum outcome put_lines(struct direction *d, bool may_write)
{
	const char *bytes;
	size_t count;

	d->stalled = false;
	while (lines_output(d->lines, !must_wait(d), &bytes, &count)) {
		ssize_t written = (ssize_t)count;

		if (d->target.kind != KIND_NONE) {
			if (!may_write)
				return OUTCOME_NEEDS_TARGET;
			written = give(d, bytes, count);
			if (written < 0 && !is_later(errno))
				return OUTCOME_TARGET_ENDED;
			if (written <= 0)
				return OUTCOME_NEEDS_TARGET;
			d->delivered += (uint64_t)written;
			may_write = !end_may_block(&d->target);
		}
		lines_written(d->lines, (size_t)written);
	}
	if (must_wait(d)) {
		d->stalled = true;
		return OUTCOME_STALLED;
	}
	return d->drained ? OUTCOME_SOURCE_ENDED : OUTCOME_NEEDS_SOURCE;
}

/* What has come up by itself and not by an event of the source: it waits for the target only. */
static void want_put(struct direction *d)
{
	if (d->lines == NULL || d->needs_target || !lines_has_output(d->lines))
		return;
	if (d->target.kind == KIND_NONE)
		(void)put_lines(d, true);
	else
		d->needs_target = true;
}

static enum outcome move_by_lines(struct direction *d)
{
	if (!d->needs_target && !d->drained) {
		size_t room;
		char *to = lines_room(d->lines, &room);
		size_t shown;
		const ssize_t count = take(d, to, room, &shown);

		if (count < 0 && is_later(errno))
			return OUTCOME_NEEDS_SOURCE;
		lines_filled(d->lines, shown);
		d->drained = count <= 0;
		if (d->drained || d->due == 0)
			lines_finish(d->lines);
	}
	return put_lines(d, d->needs_target || !end_may_block(&d->target));
}

static void direction_copy(struct direction *d)
{
	if (d->bytes == NULL)
		d->bytes = mem_alloc(COPY_BYTES); /* untouched pages are not there yet */
	d->move = move_by_copy;
}

#ifdef __linux__
/*
 * Between two pipes, without a copy. SPLICE_F_NONBLOCK holds for both of them whatever their descriptions say. EAGAIN
 * does not tell an empty source from a full target; the side that was ready just now is not the one.
 */
static enum outcome move_by_splice(struct direction *d)
{
	ssize_t count = splice(d->source.fd, NULL, d->target.fd, NULL, smaller(LIMIT_RELAY_BYTES, d->due),
	                       SPLICE_F_NONBLOCK | SPLICE_F_MOVE);

	if (count > 0) {
		account_taken(d, (size_t)count);
		d->delivered += (uint64_t)count;
		return OUTCOME_NEEDS_SOURCE;
	}
	if (count == 0)
		return OUTCOME_SOURCE_ENDED;
	if (errno == EINTR)
		return d->needs_target ? OUTCOME_NEEDS_TARGET : OUTCOME_NEEDS_SOURCE;
	if (errno == EAGAIN) {
		direction_grow(d);
		return d->needs_target ? OUTCOME_NEEDS_SOURCE : OUTCOME_NEEDS_TARGET;
	}
	if (errno == EPIPE)
		return OUTCOME_TARGET_ENDED;
	/* Not here, it seems (a filter, another kernel's emulation): read and write will tell. */
	end_reopen(&d->target, O_WRONLY);
	direction_copy(d);
	return OUTCOME_NEEDS_SOURCE;
}
#endif

/* Chooses how bytes get across. A direction that somebody looks at (tail) is copied. */
static void direction_arrange(struct direction *d, bool portable)
{
#ifdef __linux__
	if (!portable && d->source.is_pipe && d->target.is_pipe && d->tail == NULL && d->lines == NULL) {
		d->move = move_by_splice;
		return;
	}
	if (!portable)
		end_reopen(&d->target, O_WRONLY);
	/* A job that is stopped while it reads, and continued, would go on reading a line that the shell has taken. */
	if (!portable && d->source.kind == KIND_DEVICE)
		end_reopen(&d->source, O_RDONLY);
#else
	(void)portable;
#endif
	if (d->lines != NULL)
		d->move = move_by_lines;
	else
		direction_copy(d);
}

static bool direction_is_delivered(const struct direction *d)
{
	if (d->lines != NULL)
		return (d->ended || d->due == 0) && !lines_has_output(d->lines);
	return d->ended || (d->due == 0 && d->start == d->end);
}

/* What cannot be delivered any more is thrown away from here on, but the source is still read. */
static void direction_drop_target(struct direction *d)
{
	end_close_opened(&d->target);
	lines_free(d->lines);
	d->lines = NULL;
	free(d->filter);
	d->filter = NULL;
	direction_copy(d);
	d->start = d->end = 0;
	d->needs_target = false;
}

/* After the server's end: only what its pipe holds now. Without an answer of the system, nothing. */
static void direction_limit_to_present(struct direction *d)
{
	int present = 0;

	if (!d->ended && ioctl(d->source.fd, FIONREAD, &present) == 0 && present > 0)
		d->due = (size_t)present;
	else
		d->due = 0;
	if (d->lines == NULL || d->due > 0)
		return;
	lines_finish(d->lines);
	want_put(d);
}

/* --- the pump */

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
	pump->to_server.source = client_end(ends->client_in);
	pump->to_client.target = client_end(ends->client_out);
	pump->to_stderr.target = client_end(ends->client_err);
	pump->to_server.due = pump->to_client.due = pump->to_stderr.due = SIZE_MAX;
	if (!server_end(ends->server_in, &pump->to_server.target, err) ||
	    !server_end(ends->server_out, &pump->to_client.source, err) ||
	    !server_end(ends->server_err, &pump->to_stderr.source, err)) {
		pump_free(pump);
		return false;
	}
	pump->to_client.ended = ends->server_out < 0;
	pump->to_stderr.ended = ends->server_err < 0;
	pump->to_stderr.tail = mem_alloc(PUMP_STDERR_TAIL_BYTES);
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
	free(pump->to_server.bytes);
	free(pump->to_client.bytes);
	free(pump->to_stderr.bytes);
	free(pump->to_stderr.tail);
	free(pump->to_stderr.filter);
	lines_free(pump->to_server.lines);
	lines_free(pump->to_client.lines);
	lines_free(pump->to_stderr.lines);
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

/*
 * `watch_target`: the target is asked about even when nothing is to be written; poll reports its closing (POLLERR,
 * POLLHUP) without being asked for an event. A source with nothing asked is left out: its POLLHUP would be reported
 * over and over while the target is full.
 */
static void direction_poll(const struct direction *d, bool watch_target, struct pollfd *source, struct pollfd *target)
{
	bool wants_source = !direction_is_delivered(d) && !d->needs_target && !d->stalled;
	bool wants_target = !direction_is_delivered(d) && d->needs_target;

	*source = (struct pollfd){ .fd = wants_source ? d->source.fd : -1, .events = POLLIN };
	*target =
	    (struct pollfd){ .fd = wants_target || (watch_target && d->target.kind != KIND_FILE) ? d->target.fd : -1,
		             .events = wants_target ? POLLOUT : 0 };
}

static bool direction_is_ready(const struct direction *d, const struct pollfd *source, const struct pollfd *target)
{
	return !direction_is_delivered(d) && !d->stalled &&
	       (d->needs_target ? target->revents != 0 : source->revents != 0);
}

static bool target_is_closed(const struct direction *d, const struct pollfd *target)
{
	return d->target.kind != KIND_FILE && (target->revents & (POLLERR | POLLHUP | POLLNVAL)) != 0;
}

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

/* The earlier of the two; -1 is never. */
static int earlier(int a, int b)
{
	return a == -1 || (b != -1 && b < a) ? b : a;
}

/* The sooner of a timeout and the next tick, at which `ret_tick` is true. */
static int tick_timeout(struct pump *pump, int timeout, bool *ret_tick)
{
	int64_t now, left;

	*ret_tick = false;
	if (pump->ends.tick_ms == 0)
		return timeout;
	now = clock_now_ms();
	if (pump->next_tick_ms == 0)
		pump->next_tick_ms = now + (int64_t)pump->ends.tick_ms;
	*ret_tick = pump->next_tick_ms <= now;
	if (*ret_tick)
		pump->next_tick_ms = now + (int64_t)pump->ends.tick_ms;
	left = pump->next_tick_ms - now;
	return timeout >= 0 && timeout < left ? timeout : (int)left;
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
		gone = target_is_closed(d, &fds[SLOT_CLIENT_OUT]);
	}
	if (gone)
		direction_drop_target(d);
	*ret_gone = gone;
	return true;
}

static void serve_to_server(struct pump *pump, const struct pollfd fds[SLOTS])
{
	struct direction *d = &pump->to_server;

	if (d->stalled && !d->ended && !must_wait(d))
		after_to_server(pump, put_lines(d, !end_may_block(&d->target)));
	else if (direction_is_ready(d, &fds[SLOT_CLIENT_IN], &fds[SLOT_SERVER_IN]))
		after_to_server(pump, d->move(d));
	else if (!d->ended && target_is_closed(d, &fds[SLOT_SERVER_IN]))
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
	want_put(&pump->to_client);
	want_put(&pump->to_stderr);
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
		count = poll(fds, SLOTS, earlier(wait, pump->until_ms != 0 ? milliseconds_until(pump->until_ms) : -1));
		if (count < 0) {
			if (is_later(errno))
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
