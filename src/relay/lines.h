#ifndef NPXC_RELAY_LINES_H
#define NPXC_RELAY_LINES_H

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * One direction of the relay where lines matter: bytes go in as they come, and come out unchanged, but for lines that
 * do not go on at all. A line that needs no decision streams through however long it is; one that does is kept until
 * it is whole. Pure: it neither reads nor writes.
 *
 *     room = lines_room(l, &count);  (read something there)  lines_filled(l, n);
 *     while (lines_output(l, true, &bytes, &count))  (write them)  lines_written(l, n);
 *     at the end of input: lines_finish(l), then the second line once more
 */

/* What is known of a line by its first bytes. */
enum lines_look {
	LINES_MORE,   /* not known: keep the bytes. A line that ends so is passed */
	LINES_PASS,   /* stream it through */
	LINES_HOLD,   /* keep it until it is whole, then decide */
	LINES_DIVERT, /* it does not belong here: hand it away, bit by bit */
};

/* What becomes of a whole line. */
enum lines_verdict {
	LINES_SAME,
	LINES_DROPPED, /* nothing of it goes on */
};

struct lines_rules {
	/* The next bytes of a line without its newline; `first`: they are its beginning. Called until it says something
	 * else than LINES_MORE, and for the rest of a line that is dropped because it is too long. */
	enum lines_look (*look)(void *context, const char *bytes, size_t count, bool first);
	/* `line` with its newline, or without at the end of input. NULL where look never says LINES_HOLD. */
	enum lines_verdict (*decide)(void *context, const char *line, size_t length);
	/* Each byte that goes on, before it does, newlines included: in pieces of lines, whole ones where they were
	 * whole; `first`: they are a line's beginning. NULL: nobody wants to know. */
	void (*watch)(void *context, const char *bytes, size_t count, bool first);
	/* A kept line reaches max_bytes. True: it is dropped, and `dropped` is called when it has ended. False: it goes
	 * on as it is. NULL: false. */
	bool (*too_long)(void *context);
	void (*dropped)(void *context);
	/* The bytes of a diverted line, newline included; `first`: they are its beginning, `last`: its end. */
	void (*divert)(void *context, const char *bytes, size_t count, bool first, bool last);
	void *context;
	size_t max_bytes; /* of a kept line */
};

struct lines;
struct lines *lines_new(const struct lines_rules *rules); /* the rules are copied */
void lines_free(struct lines *lines);                     /* NULL is allowed */

/* Where the next bytes are to be put: LINES_ROOM_BYTES or more. Only when lines_output has nothing. */
enum { LINES_ROOM_BYTES = 128 };
char *lines_room(struct lines *lines, size_t *ret_count);
void lines_filled(struct lines *lines, size_t count);
/* No more will come: what was kept is decided as it is. */
void lines_finish(struct lines *lines);

/*
 * The next bytes to be put out; false: none, more are needed. Borrowed until the next call of anything here but
 * lines_has_output. `go_on`: lines that were not looked at yet are; false: only what is due already is given.
 */
bool lines_output(struct lines *lines, bool go_on, const char **ret_bytes, size_t *ret_count);
void lines_written(struct lines *lines, size_t count);

/*
 * Something of npxc's own, whole lines with their newlines, to be put out between two lines of this direction as soon
 * as possible. May be appended to at any time; how much waits is for the caller to bound.
 */
struct buf *lines_inject(struct lines *lines);
/* Whether lines_output would give something, or has yet to find out. */
bool lines_has_output(const struct lines *lines);

/* bytes: of memory that is kept between two lines, also after a long one. */
#define LINES_BUFFER_BYTES (128 * (size_t)1024)

#endif
