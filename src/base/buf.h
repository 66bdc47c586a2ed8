#ifndef NPXC_BASE_BUF_H
#define NPXC_BASE_BUF_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * A growable byte buffer whose ceiling is part of its making. `data` is NULL or has a NUL after `length` bytes (which
 * may hold NULs themselves). Growing past `max_bytes` is an ERROR_IO that changes nothing.
 */
struct buf {
	char *data;
	size_t length;
	size_t capacity;
	size_t max_bytes;
};

#define BUF_INIT(max) ((struct buf){ .max_bytes = (max) })

bool buf_append(struct buf *b, const void *bytes, size_t count, struct npxc_error *err) NPXC_MUST_CHECK;
bool buf_append_text(struct buf *b, const char *text, struct npxc_error *err) NPXC_MUST_CHECK;
bool buf_appendf(struct buf *b, struct npxc_error *err, const char *fmt, ...) NPXC_PRINTF(3, 4) NPXC_MUST_CHECK;

/* Room for `count` more bytes at data + length; the caller writes there and adds to length. */
bool buf_reserve(struct buf *b, size_t count, struct npxc_error *err) NPXC_MUST_CHECK;

void buf_consume(struct buf *b, size_t count); /* drops bytes at the front */
char *buf_take(struct buf *b);                 /* the bytes, owned, never NULL; the buffer is empty afterwards */
void buf_done(struct buf *b);
void buf_cleanup(struct buf *b); /* for __attribute__((cleanup)) */
#define BUF_CLEANUP __attribute__((cleanup(buf_cleanup)))

#endif
