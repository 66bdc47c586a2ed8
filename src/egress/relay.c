#include "egress/relay.h"

#include "base/fd.h"
#include "base/limits.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0 /* macOS; npxc ignores SIGPIPE anyway */
#endif

/* bytes: sent in one direction before it is spliced; moved before others have their turn. */
enum { SPLICE_AFTER = 512 * 1024, SHARE_BYTES = 1024 * 1024 };

/* What is read at once, as it may have to be held. */
static char scratch[LIMIT_EGRESS_PENDING_BYTES];
static size_t pipes_left;

void relay_allow_pipes(size_t count)
{
	pipes_left = count;
}

static void way_init(struct relay_way *way)
{
	*way = (struct relay_way){ .pipe = { -1, -1 } };
}

void relay_init(struct relay *relay)
{
	way_init(&relay->up);
	way_init(&relay->down);
}

void relay_drop(struct relay *relay)
{
	struct relay_way *const ways[] = { &relay->up, &relay->down };

	for (size_t i = 0; i < 2; i++) {
		free(ways[i]->held.v);
		ways[i]->held = (struct relay_bytes){ 0 };
		ways[i]->passed = 0;
	}
}

void relay_done(struct relay *relay)
{
	struct relay_way *const ways[] = { &relay->up, &relay->down };

	relay_drop(relay);
	for (size_t i = 0; i < 2; i++) {
		pipes_left += ways[i]->pipe[0] != -1;
		fd_close(&ways[i]->pipe[0]);
		fd_close(&ways[i]->pipe[1]);
	}
}

void relay_end_init(struct relay_end *end, void *owner, void (*on_ready)(struct loop_source *, unsigned))
{
	*end = (struct relay_end){ .source.on_ready = on_ready, .owner = owner, .fd = -1, .writable = true };
}

void relay_end_ready(struct relay_end *end, unsigned what)
{
	end->readable = end->readable || (what & LOOP_READABLE) != 0;
	end->writable = end->writable || (what & LOOP_WRITABLE) != 0;
	end->closed = end->closed || (what & LOOP_CLOSED) != 0;
	end->urgent = end->urgent || (what & LOOP_URGENT) != 0;
}

/* ---- what is held ---- */

const char *relay_bytes_at(const struct relay_bytes *bytes)
{
	return bytes->v == NULL ? "" : bytes->v + bytes->start;
}

void relay_consume(struct relay_bytes *bytes, size_t count)
{
	bytes->start += count;
	bytes->length -= count;
	if (bytes->length == 0) {
		free(bytes->v);
		*bytes = (struct relay_bytes){ 0 };
	}
}

/* Room for `count` more behind what is there. */
static char *reserve(struct relay_bytes *bytes, size_t count)
{
	if (bytes->start + bytes->length + count > bytes->capacity) {
		if (bytes->start > 0)
			memmove(bytes->v, bytes->v + bytes->start, bytes->length);
		bytes->start = 0;
		if (bytes->length + count > bytes->capacity) {
			bytes->capacity = bytes->length + count;
			bytes->v = mem_realloc(bytes->v, bytes->capacity, 1);
		}
	}
	return bytes->v + bytes->start + bytes->length;
}

static void hold(struct relay_bytes *held, const char *bytes, size_t length)
{
	memcpy(reserve(held, length), bytes, length);
	held->length += length;
}

/* ---- the sockets ---- */

int relay_socket(int family)
{
#ifdef SOCK_NONBLOCK
	return socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
#else
	int fd = socket(family, SOCK_STREAM, 0);
	if (fd != -1 && (fcntl(fd, F_SETFL, O_NONBLOCK) == -1 || fcntl(fd, F_SETFD, FD_CLOEXEC) == -1))
		fd_close(&fd);
	return fd;
#endif
}

/* What a call that reads said. A stream that gave less than it was asked for has no more, unless its end or urgent
 * bytes are on their way; the loop tells of new bytes. */
static bool note_read(struct relay_end *from, ssize_t got, size_t wanted)
{
	if (got > 0) {
		from->readable = (size_t)got == wanted || from->closed || from->urgent;
		return true;
	}
	if (got == 0) {
		from->ended = true;
		from->readable = false;
	} else if (errno == EAGAIN || errno == EWOULDBLOCK) {
		from->readable = false;
	} else if (errno != EINTR) {
		from->failed = true;
	}
	return false;
}

/* The same for one that writes: how many bytes have gone. */
static size_t note_written(struct relay_end *to, ssize_t put, size_t wanted)
{
	if (put >= 0) {
		to->writable = (size_t)put == wanted;
		return (size_t)put;
	}
	if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOTCONN)
		to->writable = false;
	else if (errno != EINTR)
		to->deaf = true;
	return 0;
}

void relay_fill(struct relay_way *way, struct relay_end *from)
{
	while (from->readable && !from->ended && !from->failed && way->held.length < LIMIT_EGRESS_PENDING_BYTES) {
		const size_t room = LIMIT_EGRESS_PENDING_BYTES - way->held.length;
		const ssize_t got = recv(from->fd, scratch, room, 0);

		if (note_read(from, got, room))
			hold(&way->held, scratch, (size_t)got);
	}
}

static void send_held(struct relay_way *way, struct relay_end *to)
{
	const size_t put =
	    note_written(to, send(to->fd, relay_bytes_at(&way->held), way->passed, MSG_NOSIGNAL), way->passed);

	relay_consume(&way->held, put);
	way->passed -= put;
	way->bytes += put;
}

/* ---- splicing ---- */

#ifdef __linux__
static bool may_splice(struct relay_way *way)
{
	struct npxc_error ignored;

	if (way->pipe[0] != -1)
		return true;
	if (way->bytes < SPLICE_AFTER || pipes_left == 0 || !fd_pipe(way->pipe, &ignored))
		return false;
	pipes_left--;
	(void)fcntl(way->pipe[1], F_SETPIPE_SZ, SHARE_BYTES / 2); /* best effort */
	return true;
}

static size_t splice_in(struct relay_way *way, struct relay_end *from)
{
	const ssize_t got =
	    splice(from->fd, NULL, way->pipe[1], NULL, SHARE_BYTES / 2, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);

	/* Less than asked for may be a full pipe: it says nothing about what is left in the socket. */
	if (note_read(from, got, got > 0 ? (size_t)got : 1))
		way->piped = (size_t)got;
	return way->piped;
}

static void splice_out(struct relay_way *way, struct relay_end *to)
{
	const ssize_t put = splice(way->pipe[0], NULL, to->fd, NULL, way->piped, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
	const size_t count = note_written(to, put, way->piped);

	way->piped -= count;
	way->bytes += count;
}
#else
static bool may_splice(struct relay_way *way)
{
	(void)way;
	return false;
}

static size_t splice_in(struct relay_way *way, struct relay_end *from)
{
	(void)way;
	(void)from;
	return 0;
}

static void splice_out(struct relay_way *way, struct relay_end *to)
{
	(void)way;
	(void)to;
}
#endif

/* ---- one direction ---- */

static size_t copy(struct relay_way *way, struct relay_end *from, struct relay_end *to,
                   bool (*on_bytes)(void *context, const char *bytes, size_t length), void *context)
{
	const ssize_t got = recv(from->fd, scratch, sizeof(scratch), 0);
	size_t put;

	if (!note_read(from, got, sizeof(scratch)))
		return 0;
	if (on_bytes != NULL && !on_bytes(context, scratch, (size_t)got)) {
		from->failed = true;
		return 0;
	}
	put = note_written(to, send(to->fd, scratch, (size_t)got, MSG_NOSIGNAL), (size_t)got);
	way->bytes += put;
	if (put < (size_t)got) {
		hold(&way->held, scratch + put, (size_t)got - put);
		way->passed = way->held.length;
	}
	return (size_t)got;
}

static void pass_end_on(struct relay_way *way, struct relay_end *to)
{
	if (!to->shut && shutdown(to->fd, SHUT_WR) == -1 && errno != ENOTCONN)
		to->failed = true;
	to->shut = true;
	way->done = true;
}

/* True when it stopped for the others' sake. */
static bool way_run(struct relay_way *way, struct relay_end *from, struct relay_end *to, bool may_read,
                    bool (*on_bytes)(void *context, const char *bytes, size_t length), void *context)
{
	size_t moved = 0;

	while (!way->done && !from->failed && !to->failed && !to->deaf && moved < SHARE_BYTES) {
		if (way->passed > 0 || way->piped > 0) {
			if (!to->writable)
				return false;
			if (way->passed > 0)
				send_held(way, to);
			else
				splice_out(way, to);
		} else if (from->ended && way->held.length == 0) {
			pass_end_on(way, to);
		} else if (!may_read || from->ended || !from->readable || !to->writable) {
			return false;
		} else if (on_bytes == NULL && !from->urgent && may_splice(way)) { /* it would stop at those for ever */
			moved += splice_in(way, from);
		} else {
			moved += copy(way, from, to, on_bytes, context);
		}
	}
	return moved >= SHARE_BYTES;
}

/* An end that has failed while nothing is read from it: only asking tells. */
static void look_for_failure(struct relay_end *end)
{
	int error = 0;
	socklen_t length = sizeof(error);

	if (end->closed && !end->failed && getsockopt(end->fd, SOL_SOCKET, SO_ERROR, &error, &length) == 0 &&
	    error != 0)
		end->failed = true;
}

enum relay_result relay_run(struct relay *relay, struct relay_end *guest, struct relay_end *outside, bool up_open,
                            bool (*on_down)(void *context, const char *bytes, size_t length), void *context)
{
	bool more = way_run(&relay->up, guest, outside, up_open, NULL, NULL);

	more = way_run(&relay->down, outside, guest, true, on_down, context) || more;
	if (outside->deaf) {
		outside->readable = true; /* it may have said why, and the loop not yet that it did */
		(void)way_run(&relay->down, outside, guest, true, on_down, context);
	}
	if (guest->deaf) {
		guest->readable = true;
		(void)way_run(&relay->up, guest, outside, up_open, NULL, NULL);
	}
	look_for_failure(guest);
	look_for_failure(outside);
	if (guest->failed || outside->failed || guest->deaf || outside->deaf)
		return RELAY_BROKEN;
	if (relay->up.done && relay->down.done)
		return RELAY_OVER;
	/* What is gated is read by its owner, who stopped where LIMIT_EGRESS_PENDING_BYTES were held. */
	if (!up_open && guest->readable && !guest->ended && relay->up.held.length < LIMIT_EGRESS_PENDING_BYTES)
		more = true;
	return more ? RELAY_MORE : RELAY_WAITS;
}

enum relay_result relay_discard(struct relay_end *from)
{
	enum { TIMES = 16, BYTES = 4096 };

	for (int i = 0; i < TIMES; i++) {
		const ssize_t got = recv(from->fd, scratch, BYTES, 0);

		if (got == -1 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return RELAY_WAITS;
		if (got == 0 || (got == -1 && errno != EINTR))
			return RELAY_OVER;
	}
	return RELAY_MORE;
}
