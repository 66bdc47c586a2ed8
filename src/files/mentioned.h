#ifndef NPXC_FILES_MENTIONED_H
#define NPXC_FILES_MENTIONED_H

#include "files/mentioned_set.h"
#include "files/scope.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * Who named a file of the working directory first, the client or the server. The files belong to the user; what a
 * server has mentioned is not made visible to it by being mentioned back.
 *
 * Mentioned by the server, of all that it writes to its client:
 *   - the whole of each string that stands at, or anywhere beneath, a key `uri`, `values` (of completions), `const`,
 *     `default`, `enum`, `example` or `examples` (of schemas);
 *   - in every other string what follows a spelling of the working directory, `~/` or `file:`, wherever in the text: up
 *     to the end of its line, and every shorter path that a reader could take for the path meant.
 * Keys are no values, and a bare relative name within a text does not count.
 *
 * Should: read strings as any JSON parser does, escapes included, in lines of any length, with bounded memory.
 * Mustn't: hold a line up, or change it; grow beyond LIMIT_MENTIONED_BYTES and LIMIT_MENTIONED_WORDS: mentioned_is_full
 * says so, and who asks then has to take everything for mentioned.
 */
struct mentioned;

struct mentioned *mentioned_new(const struct scope_place *place, mentioned_set_resolver *resolve, void *context);
void mentioned_free(struct mentioned *mentioned); /* NULL is allowed */

/* The next bytes of the server's line, its newline included; `first`: they are its beginning. Each byte once. True: a
 * path beneath the working directory is written in full in them. */
bool mentioned_look(struct mentioned *mentioned, const char *bytes, size_t count, bool first);

/*
 * The client names this path (beneath the working directory), which leads to `resolved` (NULL: to itself). True: it was
 * the first to do so, and stays so for the session. False: the server was.
 */
bool mentioned_claim(struct mentioned *mentioned, const char *relative, const char *resolved);
bool mentioned_is_full(const struct mentioned *mentioned);

#endif
