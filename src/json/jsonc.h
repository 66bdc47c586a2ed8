#ifndef NPXC_JSON_JSONC_H
#define NPXC_JSON_JSONC_H

#include "base/error.h"

#include <stddef.h>

struct cJSON;

/*
 * JSON with comments (line comments and block comments; nothing else beyond RFC 8259), read into a cJSON tree that
 * remembers the line of every value. Pure.
 *
 * Look keys up with cJSON_GetObjectItemCaseSensitive only: the shorter name ignores case.
 */
struct jsonc {
	struct cJSON *root; /* owned */
	char *file;         /* owned; as shown in messages */
	unsigned *lines;    /* owned; of each value in document order, a member's being that of its key */
	size_t count;
};

/*
 * Should: refuse everything that is not exactly one JSON value between comments and blanks; name the line.
 * Mustn't: accept NUL bytes, invalid UTF-8, lone surrogates, "\u0000", a byte order mark, a key that stands twice in
 * one object (compared byte by byte after unescaping), numbers of more than 32 bytes, more than LIMIT_JSON_DEPTH levels
 * or more than LIMIT_CONFIG_BYTES.
 * `file` is only a name for messages. Errors: ERROR_CONFIG "FILE:LINE: reason".
 */
bool jsonc_parse(const char *text, size_t length, const char *file, struct jsonc *ret_document,
                 struct npxc_error *err) NPXC_MUST_CHECK;
void jsonc_done(struct jsonc *document);

/* The line of a value of the tree; 0 when it is not one of them. */
unsigned jsonc_line(const struct jsonc *document, const struct cJSON *value);

/* Sets ERROR_CONFIG "FILE:LINE: KEY: reason", KEY being the way to `value` ("network.mode", "mounts[0].host"; left out
 * for the root). Returns false. */
bool jsonc_error(const struct jsonc *document, const struct cJSON *value, struct npxc_error *err, const char *fmt, ...)
    NPXC_PRINTF(4, 5);

/* A text from the file as a message shows it: escaped, and cut when long. Owned. */
char *jsonc_show(const char *text);

#endif
