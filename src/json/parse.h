#ifndef NPXC_JSON_PARSE_H
#define NPXC_JSON_PARSE_H

#include "json/json.h"

#include <stddef.h>

struct cJSON;

/*
 * The only way from text to a tree of cJSON, whose own parser nobody calls: it lets control bytes, "\u0000" and sloppy
 * numbers through. Look keys up with cJSON_GetObjectItemCaseSensitive only: the shorter name ignores case. Pure.
 */

/* Where the values stand, in document order; a member stands where its key does. */
struct parse_places {
	size_t *v; /* owned */
	size_t count, capacity;
};

/*
 * Reads the next value; NULL, with a problem in the reader, when there is none. Beside what the reader refuses: a
 * string that a NUL would cut ("\u0000") or that UTF-8 cannot say (half of a surrogate pair). Of members with the same
 * key all are in the tree. `places`: added to; may be NULL.
 */
struct cJSON *parse_next(struct json_reader *reader, struct parse_places *places);

/* A whole text that was not written by a user: strings may hold any bytes (file names do). NULL when it is none. */
struct cJSON *parse_text(const char *text, size_t length);

/* The second of two members of one object with the same key, and the first in `*ret_first`; NULL when there are none.
 */
const struct cJSON *parse_find_twice(const struct cJSON *root, const struct cJSON **ret_first);

#endif
