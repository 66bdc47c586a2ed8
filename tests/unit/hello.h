#ifndef NPXC_TESTS_UNIT_HELLO_H
#define NPXC_TESTS_UNIT_HELLO_H

/* Builds TLS messages for tests. */

#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct bytes {
	uint8_t v[70000];
	size_t n;
};

static inline void put(struct bytes *b, const void *from, size_t count)
{
	memcpy(b->v + b->n, from, count);
	b->n += count;
}

static inline void put_number(struct bytes *b, unsigned width, size_t value)
{
	for (unsigned i = width; i > 0; i--)
		b->v[b->n++] = (uint8_t)(value >> (8 * (i - 1)));
}

static inline void put_extension(struct bytes *b, unsigned type, const void *data, size_t count)
{
	put_number(b, 2, type);
	put_number(b, 2, count);
	put(b, data, count);
}

static inline void put_sni_bytes(struct bytes *b, const char *name, size_t count)
{
	put_number(b, 2, 0);
	put_number(b, 2, count + 5);
	put_number(b, 2, count + 3);
	put_number(b, 1, 0);
	put_number(b, 2, count);
	put(b, name, count);
}

static inline void put_sni(struct bytes *b, const char *name)
{
	put_sni_bytes(b, name, strlen(name));
}

/* A ClientHello message (no record) with these extensions; `extensions` NULL: without the block. */
static inline struct bytes *client_hello(const struct bytes *extensions)
{
	static struct bytes body, hello;

	body.n = hello.n = 0;
	put_number(&body, 2, 0x0303);
	for (unsigned i = 0; i < 32; i++)
		put_number(&body, 1, i);
	put_number(&body, 1, 0);
	put_number(&body, 2, 2);
	put_number(&body, 2, 0x1301);
	put_number(&body, 1, 1);
	put_number(&body, 1, 0);
	if (extensions != NULL) {
		put_number(&body, 2, extensions->n);
		put(&body, extensions->v, extensions->n);
	}
	put_number(&hello, 1, 1);
	put_number(&hello, 3, body.n);
	put(&hello, body.v, body.n);
	return &hello;
}

static inline void put_record(struct bytes *b, unsigned type, const void *data, size_t count)
{
	put_number(b, 1, type);
	put_number(b, 2, 0x0301);
	put_number(b, 2, count);
	put(b, data, count);
}

/* The message in records of at most `piece` bytes. */
static inline struct bytes *in_records(const struct bytes *message, size_t piece)
{
	static struct bytes records;

	records.n = 0;
	for (size_t at = 0; at < message->n; at += piece)
		put_record(&records, 22, message->v + at, message->n - at < piece ? message->n - at : piece);
	return &records;
}

/* A whole flight: one record with a ClientHello for `name`. */
static inline struct bytes *hello_for(const char *name)
{
	static struct bytes extensions;

	extensions.n = 0;
	put_sni(&extensions, name);
	return in_records(client_hello(&extensions), 16384);
}

#endif
