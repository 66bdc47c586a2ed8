#include "relay/lines.h"

#include "base/limits.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

/* The first bytes that a look is given; most lines are told by fewer. Each further piece is twice as long. */
enum { FIRST_LOOK_BYTES = 96 };

enum state {
	STATE_START,    /* between two lines, or in one that is kept: nothing of it has been put out */
	STATE_PASSING,  /* the rest of the line goes on */
	STATE_DIVERTED, /* the rest of the line is handed away */
	STATE_DROPPING, /* the rest of the line is only looked at */
};

/*
 * bytes: [start, ready) may be put out, [ready, end) is to be processed; a line that is kept begins at `ready`.
 * After a line that does not go on: everything before `resume` has been dealt with. `out` is what goes between lines.
 */
struct lines {
	struct lines_rules rules;
	enum state state;
	char *bytes;
	size_t capacity, start, ready, end;
	size_t searched;      /* of the kept line: no newline in that many bytes */
	size_t looked;        /* of the kept line: what `look` was given */
	enum lines_look look; /* what it said */
	size_t resume;        /* 0: none */
	struct buf out;
	size_t out_at;
	struct buf inject;
	bool finished;
	bool unterminated; /* the last byte put out was no newline, and no more comes of its line */
	bool watched;      /* the line that is passing has been watched from its beginning */
};

struct lines *lines_new(const struct lines_rules *rules)
{
	struct lines *lines = mem_alloc(sizeof(*lines));

	lines->rules = *rules;
	lines->capacity = LINES_BUFFER_BYTES;
	lines->bytes = mem_realloc(NULL, lines->capacity, 1);
	lines->out = BUF_INIT(4 * LIMIT_MESSAGE_BYTES);
	lines->inject = BUF_INIT(4 * LIMIT_MESSAGE_BYTES);
	return lines;
}

void lines_free(struct lines *lines)
{
	if (lines == NULL)
		return;
	free(lines->bytes);
	buf_done(&lines->out);
	buf_done(&lines->inject);
	free(lines);
}

static void resize(struct lines *lines, size_t capacity)
{
	lines->bytes = mem_realloc(lines->bytes, capacity, 1);
	lines->capacity = capacity;
}

char *lines_room(struct lines *lines, size_t *ret_count)
{
	const size_t kept = lines->end - lines->start;

	if (kept == 0) {
		lines->start = lines->ready = lines->end = 0;
	} else if (lines->start > 0) {
		memmove(lines->bytes, lines->bytes + lines->start, kept);
		lines->ready -= lines->start;
		lines->start = 0;
		lines->end = kept;
	}
	/* Long lines are rare; their memory does not stay. */
	if (lines->capacity > LINES_BUFFER_BYTES && kept < LINES_BUFFER_BYTES / 2)
		resize(lines, LINES_BUFFER_BYTES);
	if (lines->capacity - lines->end < LINES_ROOM_BYTES)
		resize(lines, lines->capacity * 2);
	*ret_count = lines->capacity - lines->end;
	return lines->bytes + lines->end;
}

void lines_filled(struct lines *lines, size_t count)
{
	lines->end += count;
}

/* The line that began at `ready` is done with; the next begins at `next`. */
static void line_is_over(struct lines *lines, size_t next)
{
	lines->state = STATE_START;
	lines->searched = 0;
	lines->looked = 0;
	lines->look = LINES_MORE;
	lines->watched = false;
	lines->ready = next;
}

/* Everything up to `next` is out of the way, once what is ready before it has been put out. */
static void skip_to(struct lines *lines, size_t next)
{
	const size_t ready = lines->ready;

	line_is_over(lines, next);
	lines->ready = ready;
	lines->resume = next;
}

static void look_further(struct lines *lines, size_t available)
{
	const char *line = lines->bytes + lines->ready;

	while (lines->look == LINES_MORE && lines->looked < available) {
		size_t count = lines->looked < FIRST_LOOK_BYTES ? FIRST_LOOK_BYTES : lines->looked;

		if (count > available - lines->looked)
			count = available - lines->looked;
		lines->look = lines->rules.look(lines->rules.context, line + lines->looked, count, lines->looked == 0);
		lines->looked += count;
	}
}

/* The next bytes of the line are to be put out. */
static void go_on(struct lines *lines, size_t count)
{
	if (lines->rules.watch != NULL && count > 0)
		lines->rules.watch(lines->rules.context, lines->bytes + lines->ready, count, !lines->watched);
	lines->watched = true;
	lines->ready += count;
}

/* The rest of a line that is not kept. */
static void process_rest(struct lines *lines)
{
	const char *rest = lines->bytes + lines->ready;
	const char *newline = memchr(rest, '\n', lines->end - lines->ready);
	const bool last = newline != NULL || lines->finished;
	const size_t count = newline != NULL ? (size_t)(newline - rest) + 1 : lines->end - lines->ready;

	switch (lines->state) {
	case STATE_START:
		return;
	case STATE_PASSING:
		lines->unterminated = newline == NULL && lines->finished;
		go_on(lines, count);
		if (last)
			line_is_over(lines, lines->ready);
		return;
	case STATE_DIVERTED:
		lines->rules.divert(lines->rules.context, rest, count, false, last);
		break;
	case STATE_DROPPING:
		(void)lines->rules.look(lines->rules.context, rest, count - (newline != NULL), false);
		if (last)
			lines->rules.dropped(lines->rules.context);
		break;
	}
	if (last)
		skip_to(lines, lines->ready + count);
	else
		lines->resume = lines->ready + count;
}

static void line_is_too_long(struct lines *lines)
{
	const char *line = lines->bytes + lines->ready;
	const size_t count = lines->end - lines->ready;

	if (lines->rules.too_long == NULL || !lines->rules.too_long(lines->rules.context)) {
		lines->state = STATE_PASSING;
		go_on(lines, count);
		return;
	}
	(void)lines->rules.look(lines->rules.context, line + lines->looked, count - lines->looked, lines->looked == 0);
	lines->state = STATE_DROPPING;
	lines->resume = lines->end;
}

static void process_whole(struct lines *lines, size_t next)
{
	const char *line = lines->bytes + lines->ready;
	const size_t length = next - lines->ready;

	switch (lines->look) {
	case LINES_MORE:
	case LINES_PASS:
		break;
	case LINES_HOLD:
		if (lines->rules.decide(lines->rules.context, line, length) != LINES_SAME) {
			skip_to(lines, next);
			return;
		}
		break;
	case LINES_DIVERT:
		lines->rules.divert(lines->rules.context, line, length, true, true);
		skip_to(lines, next);
		return;
	}
	lines->unterminated = lines->bytes[next - 1] != '\n';
	go_on(lines, length);
	line_is_over(lines, next);
}

/* At the beginning of a line, or further in one that is kept. True: go on. */
static bool process_line(struct lines *lines)
{
	const char *line = lines->bytes + lines->ready;
	const size_t available = lines->end - lines->ready;
	const char *newline = memchr(line + lines->searched, '\n', available - lines->searched);
	const size_t length = newline != NULL ? (size_t)(newline - line) : available;

	look_further(lines, length);
	if (newline != NULL || lines->finished) {
		process_whole(lines, lines->ready + length + (newline != NULL));
		return true;
	}
	lines->searched = available;
	switch (lines->look) {
	case LINES_PASS:
		lines->state = STATE_PASSING;
		go_on(lines, available);
		return false;
	case LINES_DIVERT:
		lines->rules.divert(lines->rules.context, line, available, true, false);
		lines->state = STATE_DIVERTED;
		lines->resume = lines->end;
		return false;
	case LINES_MORE:
	case LINES_HOLD:
		break;
	}
	if (available > lines->rules.max_bytes)
		line_is_too_long(lines);
	return false;
}

static void process(struct lines *lines)
{
	while (lines->resume == 0 && lines->ready < lines->end) {
		if (lines->state != STATE_START) {
			process_rest(lines);
			continue;
		}
		/* What waits goes first, and it can only go between two lines. */
		if (lines->inject.length > 0 && lines->searched == 0)
			return;
		if (!process_line(lines))
			return;
	}
}

void lines_finish(struct lines *lines)
{
	if (lines->finished)
		return;
	lines->finished = true;
	/* A line that ended where the bytes ended has nothing left to be processed by. */
	if ((lines->resume > 0 ? lines->resume : lines->ready) == lines->end && lines->state != STATE_START) {
		if (lines->state == STATE_DROPPING)
			lines->rules.dropped(lines->rules.context);
		if (lines->state == STATE_DIVERTED)
			lines->rules.divert(lines->rules.context, "", 0, false, true);
		lines->unterminated = lines->unterminated || lines->state == STATE_PASSING;
		line_is_over(lines, lines->ready);
	}
}

bool lines_has_output(const struct lines *lines)
{
	return lines->start < lines->ready || lines->out_at < lines->out.length || lines->resume > 0 ||
	       (lines->inject.length > 0 && lines->state == STATE_START) ||
	       (lines->finished && lines->ready < lines->end);
}

/* Between two lines: what waits becomes what is put out. */
static void take_injected(struct lines *lines)
{
	struct buf empty = lines->out;
	struct npxc_error ignored;

	if (lines->unterminated) {
		lines->unterminated = false;
		if (buf_append_text(&empty, "\n", &ignored) &&
		    buf_append(&empty, lines->inject.data, lines->inject.length, &ignored)) {
			lines->out = empty;
			lines->inject.length = 0;
			return;
		}
	}
	lines->out = lines->inject;
	lines->inject = empty;
}

/* What comes after everything that was put out so far. */
static void settle(struct lines *lines)
{
	if (lines->start < lines->ready || lines->out_at < lines->out.length)
		return;
	if (lines->out.capacity > LINES_BUFFER_BYTES)
		buf_done(&lines->out);
	lines->out.length = lines->out_at = 0;
	if (lines->resume > 0) {
		lines->start = lines->ready = lines->resume;
		lines->resume = 0;
	}
	if (lines->inject.length > 0 && lines->state == STATE_START)
		take_injected(lines);
}

bool lines_output(struct lines *lines, bool go_on, const char **ret_bytes, size_t *ret_count)
{
	for (;;) {
		settle(lines);
		if (lines->start < lines->ready) {
			*ret_bytes = lines->bytes + lines->start;
			*ret_count = lines->ready - lines->start;
			return true;
		}
		if (lines->out.length > 0) {
			*ret_bytes = lines->out.data + lines->out_at;
			*ret_count = lines->out.length - lines->out_at;
			return true;
		}
		if (go_on)
			process(lines);
		if (lines->start == lines->ready && lines->out.length == 0 && lines->resume == 0 &&
		    (lines->inject.length == 0 || lines->state != STATE_START))
			return false;
	}
}

void lines_written(struct lines *lines, size_t count)
{
	if (lines->start < lines->ready)
		lines->start += count;
	else
		lines->out_at += count;
}

struct buf *lines_inject(struct lines *lines)
{
	return &lines->inject;
}
