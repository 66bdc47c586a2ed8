#include "relay/direction.h"

#include "base/fd.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
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

static size_t smaller(size_t a, size_t b)
{
	return a < b ? a : b;
}

bool direction_is_later(int number)
{
	return number == EAGAIN || number == EWOULDBLOCK || number == EINTR;
}

/* --- ends */

struct end end_of_client(int fd)
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

bool end_of_server(int fd, struct end *ret_end, struct npxc_error *err)
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

void end_close_opened(struct end *end)
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

	if (count > d->tail_size) {
		bytes += count - d->tail_size;
		count = d->tail_size;
	}
	keep = smaller(d->tail_length, d->tail_size - count);
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
	if (d->filter == NULL || (count < 0 && direction_is_later(errno)))
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

	if (count < 0 && !direction_is_later(errno))
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

		if (count < 0 && direction_is_later(errno))
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

bool direction_must_wait(const struct direction *d)
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
	while (lines_output(d->lines, !direction_must_wait(d), &bytes, &count)) {
		ssize_t written = (ssize_t)count;

		if (d->target.kind != KIND_NONE) {
			if (!may_write)
				return OUTCOME_NEEDS_TARGET;
			written = give(d, bytes, count);
			if (written < 0 && !direction_is_later(errno))
				return OUTCOME_TARGET_ENDED;
			if (written <= 0)
				return OUTCOME_NEEDS_TARGET;
			d->delivered += (uint64_t)written;
			may_write = !end_may_block(&d->target);
		}
		lines_written(d->lines, (size_t)written);
	}
	if (direction_must_wait(d)) {
		d->stalled = true;
		return OUTCOME_STALLED;
	}
	return d->drained ? OUTCOME_SOURCE_ENDED : OUTCOME_NEEDS_SOURCE;
}

void direction_put_injected(struct direction *d)
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

		if (count < 0 && direction_is_later(errno))
			return OUTCOME_NEEDS_SOURCE;
		lines_filled(d->lines, shown);
		d->drained = count <= 0;
		if (d->drained || d->due == 0)
			lines_finish(d->lines);
	}
	return put_lines(d, d->needs_target || !end_may_block(&d->target));
}

enum outcome direction_resume(struct direction *d)
{
	return put_lines(d, !end_may_block(&d->target));
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

void direction_arrange(struct direction *d, bool portable)
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

bool direction_is_delivered(const struct direction *d)
{
	if (d->lines != NULL)
		return (d->ended || d->due == 0) && !lines_has_output(d->lines);
	return d->ended || (d->due == 0 && d->start == d->end);
}

void direction_drop_target(struct direction *d)
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

void direction_limit_to_present(struct direction *d)
{
	int present = 0;

	if (!d->ended && ioctl(d->source.fd, FIONREAD, &present) == 0 && present > 0)
		d->due = (size_t)present;
	else
		d->due = 0;
	if (d->lines == NULL || d->due > 0)
		return;
	lines_finish(d->lines);
	direction_put_injected(d);
}

/*
 * `watch_target`: the target is asked about even when nothing is to be written; poll reports its closing (POLLERR,
 * POLLHUP) without being asked for an event. A source with nothing asked is left out: its POLLHUP would be reported
 * over and over while the target is full.
 */
void direction_poll(const struct direction *d, bool watch_target, struct pollfd *source, struct pollfd *target)
{
	bool wants_source = !direction_is_delivered(d) && !d->needs_target && !d->stalled;
	bool wants_target = !direction_is_delivered(d) && d->needs_target;

	*source = (struct pollfd){ .fd = wants_source ? d->source.fd : -1, .events = POLLIN };
	*target =
	    (struct pollfd){ .fd = wants_target || (watch_target && d->target.kind != KIND_FILE) ? d->target.fd : -1,
		             .events = wants_target ? POLLOUT : 0 };
}

bool direction_is_ready(const struct direction *d, const struct pollfd *source, const struct pollfd *target)
{
	return !direction_is_delivered(d) && !d->stalled &&
	       (d->needs_target ? target->revents != 0 : source->revents != 0);
}

bool direction_target_is_closed(const struct direction *d, const struct pollfd *target)
{
	return d->target.kind != KIND_FILE && (target->revents & (POLLERR | POLLHUP | POLLNVAL)) != 0;
}

void direction_free(struct direction *d)
{
	free(d->bytes);
	free(d->tail);
	free(d->filter);
	lines_free(d->lines);
}
