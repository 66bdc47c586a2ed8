#ifndef NPXC_FILES_WORDS_H
#define NPXC_FILES_WORDS_H

#include <stdbool.h>
#include <stddef.h>

/*
 * The parts of one value that may name a file: the value itself, what stands behind `key=` or `--flag=`, each element
 * of a list with commas, the path of `scheme:///path`, also as the relative one that some take it for, and of
 * `scheme:./path`. One finder for a server's arguments and variables and for the
 * values of messages. Pure.
 */
struct words_part {
	const char *text; /* borrowed, within the value; not NUL-terminated */
	size_t length;
	bool is_whole;    /* it is the value itself */
	bool is_of_uri;   /* a relative path behind a scheme */
	bool is_absolute; /* written so that it means the same everywhere: "/x", "~/x", "file:..." */
};

enum { WORDS_PARTS_MAX = 64 };

/* Fills `ret_parts` and returns how many there are; those beyond WORDS_PARTS_MAX are left out. No part is empty, or
 * one that cannot be a path: "/", "//x", a comment, more than one line, more than 12 KiB. */
size_t words_find(const char *text, size_t length, struct words_part ret_parts[WORDS_PARTS_MAX]);

/* Whether it begins as a path that means the same everywhere. */
bool words_is_absolute(const char *text, size_t length);

#endif
