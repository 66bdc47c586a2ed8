#include "base/buf.h"

#include "base/mem.h"
#include "base/str.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool buf_reserve(struct buf *b, size_t count, struct npxc_error *err)
{
	size_t need;
	size_t capacity = b->capacity;

	if (b->length > b->max_bytes || count > b->max_bytes - b->length)
		return error_set(err, ERROR_IO, "more than %zu bytes", b->max_bytes);
	need = b->length + count + 1;
	if (need <= capacity)
		return true;
	if (capacity < 256)
		capacity = 256;
	while (capacity < need)
		capacity = capacity > b->max_bytes / 2 ? b->max_bytes + 1 : capacity * 2;
	b->data = mem_realloc(b->data, capacity, 1);
	b->capacity = capacity;
	b->data[b->length] = '\0';
	return true;
}

bool buf_append(struct buf *b, const void *bytes, size_t count, struct npxc_error *err)
{
	if (!buf_reserve(b, count, err))
		return false;
	if (count > 0)
		memcpy(b->data + b->length, bytes, count);
	b->length += count;
	b->data[b->length] = '\0';
	return true;
}

bool buf_append_text(struct buf *b, const char *text, struct npxc_error *err)
{
	return buf_append(b, text, strlen(text), err);
}

bool buf_appendf(struct buf *b, struct npxc_error *err, const char *fmt, ...)
{
	va_list args;
	va_list again;
	int length;
	bool ok;

	va_start(args, fmt);
	va_copy(again, args);
	length = vsnprintf(NULL, 0, fmt, args);
	va_end(args);
	ok = length >= 0 ? buf_reserve(b, (size_t)length, err)
	                 : error_set(err, ERROR_IO, "a text that cannot be formatted");
	if (ok) {
		vsnprintf(b->data + b->length, (size_t)length + 1, fmt, again);
		b->length += (size_t)length;
	}
	va_end(again);
	return ok;
}

void buf_consume(struct buf *b, size_t count)
{
	if (count == 0)
		return;
	b->length -= count;
	memmove(b->data, b->data + count, b->length + 1);
}

char *buf_take(struct buf *b)
{
	char *data = b->data != NULL ? b->data : str_dup("");

	*b = BUF_INIT(b->max_bytes);
	return data;
}

void buf_done(struct buf *b)
{
	free(b->data);
	*b = BUF_INIT(b->max_bytes);
}

void buf_cleanup(struct buf *b)
{
	buf_done(b);
}
