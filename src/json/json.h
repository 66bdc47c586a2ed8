#ifndef NPXC_JSON_JSON_H
#define NPXC_JSON_JSON_H

#include "base/buf.h"
#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A strict scanner of JSON (RFC 8259, valid UTF-8) that gives places in the text instead of values: a message is
 * forwarded in its own bytes, so numbers, white space, key order and escapes are never read into anything. Pure; no
 * tree is built and reading allocates nothing.
 *
 * Strict means that every JSON parser reads the same structure: no byte order mark, no comments, no trailing comma, no
 * control byte in a string, no overlong UTF-8 or encoded surrogate, nothing but white space after the value. Nesting
 * beyond LIMIT_MESSAGE_DEPTH is refused. What a caller may set after json_start changes some of this. Two members with
 * the same key are not refused here: whether they matter is known only to who looks for a key (json_equals sees through
 * escapes in keys).
 */

/* A place in the text. Of a string it includes both quotes. */
struct json_span {
	size_t offset, length;
};

enum json_kind { JSON_NONE, JSON_OBJECT, JSON_ARRAY, JSON_STRING, JSON_NUMBER, JSON_LITERAL };

/*
 * Reads forward, once. Each call either consumes something or fails; after a failure `problem` says what is wrong at
 * `at`, and every further call fails too. So a caller may read on without looking and ask once at the end.
 *
 *     json_start(&r, text, length);
 *     if (json_enter(&r, JSON_OBJECT))
 *             while (json_member(&r, &key))
 *                     json_skip(&r, &value);     (or json_enter again)
 *     whole = json_end(&r);
 */
struct json_reader {
	const char *text; /* borrowed; need not end with a NUL */
	size_t length;
	size_t at;
	unsigned depth;
	bool first;          /* nothing of the innermost container was read yet: no comma is due */
	const char *problem; /* NULL: none so far; else static words */
	size_t comment_end;  /* behind the last comment, without the blanks at its end; 0: there was none */

	/* Set by json_start, may be changed: */
	unsigned depth_max; /* LIMIT_MESSAGE_DEPTH, which is also the most */
	size_t number_max;  /* bytes of a number; 0: any */
	bool comments;      /* line comments and block comments are white space; false */
	bool any_bytes;     /* strings may hold bytes that are not UTF-8, as file names do; false */
};

void json_start(struct json_reader *reader, const char *text, size_t length);
/* The same on a part of the text: a span that json_skip gave. Offsets stay those of `text`. */
void json_start_at(struct json_reader *reader, const char *text, struct json_span value);

/* What the next value is by its first byte; JSON_NONE where none can start. Consumes only white space. */
enum json_kind json_peek(struct json_reader *reader);
/* Consumes one value of any kind. */
bool json_skip(struct json_reader *reader, struct json_span *ret_value);
/* Consumes the opening bracket of a container (JSON_OBJECT, JSON_ARRAY); a problem when something else comes. */
bool json_enter(struct json_reader *reader, enum json_kind kind);
/* Consumes `"key":`, so that the value is next. False after the last member, with the closing bracket consumed. */
bool json_member(struct json_reader *reader, struct json_span *ret_key);
/* The same for arrays: a value is next. */
bool json_element(struct json_reader *reader);
/* Whether everything was read without a problem and only white space is left. */
bool json_end(struct json_reader *reader);

/* Sets the problem when there is none yet; returns false. */
bool json_fail(struct json_reader *reader, const char *problem);

/* Checks a whole text. ERROR_JSON names the problem and the byte. */
bool json_check(const char *text, size_t length, struct json_span *ret_value, struct npxc_error *err) NPXC_MUST_CHECK;
/* The reader's problem as ERROR_JSON; returns false. */
bool json_problem(const struct json_reader *reader, struct npxc_error *err);

/* The functions below take spans of strings that a reader gave. */

/* Whether the string means exactly `word` (without NUL): "\u006dethod" means "method". */
bool json_equals(const char *text, struct json_span string, const char *word);
/* A hash of what the string means, equal for equal strings however they are escaped. Unkeyed. */
uint64_t json_hash(const char *text, struct json_span string);
/*
 * What the string means: owned, with a NUL after `ret_length` bytes, and possibly NULs before (who wants a path
 * refuses them). ERROR_JSON: half of a surrogate pair, which UTF-8 cannot say.
 */
bool json_decode(const char *text, struct json_span string, char **ret_text, size_t *ret_length,
                 struct npxc_error *err) NPXC_MUST_CHECK;
/*
 * The character at `*at` within a string's quotes, escapes read, and `*at` behind it. Surrogates that belong together
 * give one character; half a pair gives itself (0xd800 to 0xdfff).
 */
uint32_t json_character(const char *text, size_t end, size_t *at);

/*
 * Appends a JSON string that means the text, with its quotes. Quotes, backslashes and control bytes are
 * escaped; bytes that are not UTF-8 (file names may hold such) become U+FFFD. ERROR_IO: the buffer's ceiling.
 */
bool json_append_string(struct buf *to, const char *text, size_t length, struct npxc_error *err) NPXC_MUST_CHECK;

#endif
