#ifndef NPXC_BASE_STR_H
#define NPXC_BASE_STR_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All strings are NUL-terminated; returned `char *` are owned by the caller (free). */

char *str_dup(const char *text); /* NULL stays NULL */
char *str_dup_n(const char *text, size_t length);
char *str_printf(const char *fmt, ...) NPXC_PRINTF(1, 2);

bool str_equal(const char *a, const char *b); /* NULL equals only NULL */
bool str_starts(const char *text, const char *prefix);
bool str_ends(const char *text, const char *suffix);
bool str_is_empty(const char *text); /* NULL or "" */
int str_hex_digit(int c);            /* its value, of either case; -1 when it is none */

/* Cuts white space at both ends, in place; returns the first byte that stays. */
char *str_trim(char *text);

/* A decimal number without sign, blanks or leading zeros (but "0"), at most `max`. */
bool str_to_u64(const char *text, uint64_t max, uint64_t *ret_value) NPXC_MUST_CHECK;

/*
 * For anything from outside that goes to a terminal or log: control bytes, DEL, bytes that are not valid UTF-8 and
 * characters that are not seen themselves (C1 controls, what changes the direction of text, joiners, tags, blanks that
 * are called letters) as \xNN for each of their bytes. Everything else stays, a backslash too: it is for eyes, not to
 * be undone.
 */
char *str_escape(const char *text, size_t length);

/* The bytes of the UTF-8 character at `text`, of which `left` > 0 bytes are there; 0: none begins here, -1: the end of
 * it is missing. RFC 3629: the shortest form only, no surrogates, nothing above U+10FFFF. */
int str_utf8(const char *text, size_t left, uint32_t *ret_code);

/* What str_escape does with the character at `text`, of which `left` > 0 bytes are there; `*ret_length`: its bytes. */
enum str_shown {
	STR_PLAIN,
	STR_ESCAPED,
	STR_CUT, /* UTF-8 as far as it goes, but the end of it is missing; the length is 1 */
};
enum str_shown str_look(const char *text, size_t left, size_t *ret_length);
/* \xNN for each byte, STR_ESCAPE_BYTES of them, without a NUL; returns how many were written. */
enum { STR_ESCAPE_BYTES = 4 };
size_t str_escape_bytes(const char *bytes, size_t count, char *out);

/* True when `path` is `directory` or lies beneath it, compared by components ("/host" does not hold "/hostage"). */
bool str_path_within(const char *path, const char *directory);
/* What stands before the last "/" of a path; "" when there is none. Owned. */
char *str_path_parent(const char *path);

/* Lexical clean-up of an absolute path: no "//", ".", ".." or trailing slash. Touches no file system. */
char *str_path_clean(const char *absolute);

/* `path` itself when absolute, else base/path; cleaned. */
char *str_path_join(const char *base, const char *path);

/* Edits between two words, at most `most` (returns most + 1 when over); for "did you mean". */
unsigned str_distance(const char *a, const char *b, unsigned most);
/* Whether they differ by two neighbouring bytes that are exchanged: lsit, list. */
bool str_is_swapped(const char *a, const char *b);

/* A growable vector of owned strings. v[count] is always NULL, so `v` is an argv. Zeroed = empty. */
struct strv {
	char **v;
	size_t count;
	size_t capacity;
};

void strv_push(struct strv *list, const char *text);  /* copies */
void strv_push_owned(struct strv *list, char *owned); /* takes */
void strv_pushf(struct strv *list, const char *fmt, ...) NPXC_PRINTF(2, 3);
void strv_push_all(struct strv *list, const char *const *texts, size_t count);
bool strv_contains(const struct strv *list, const char *text);
/* Whether the path is one of these directories or lies beneath one: str_path_within. */
bool strv_holds_path(const struct strv *directories, const char *path);
void strv_sort(struct strv *list);   /* by bytes */
char **strv_argv(struct strv *list); /* borrowed; never NULL */
void strv_done(struct strv *list);
/* The words with blanks between, shell-quoted where needed, so that a user can paste the line. Owned. */
char *strv_shell(const struct strv *list);

/* FNV-1a, from STR_HASH or from what is already known (a secret, where somebody else chooses the bytes) on. */
#define STR_HASH UINT64_C(0xcbf29ce484222325)
uint64_t str_hash(uint64_t hash, const void *bytes, size_t count);

#endif
