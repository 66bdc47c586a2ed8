#ifndef NPXC_RUNTIME_ERRORS_H
#define NPXC_RUNTIME_ERRORS_H

#include <stdbool.h>
#include <stddef.h>

/* What a runtime's program wrote to stderr. Pure. */

/* The last line that starts with `prefix`, without it, escaped; NULL when there is none. Owned. */
char *errors_line(const char *errors, const char *prefix);

/* All of it on one line, trimmed and escaped, with a length fit for an error message. Owned. */
char *errors_text(const char *errors, size_t length);

/*
 * Whether one of `phrases` (see struct runtime_driver, no_container; NULL: none) is a line of it, for this name.
 * Mustn't: take any other line that has the name in it for that ("NAME: ... command not found").
 */
bool errors_say(const char *const *phrases, const char *errors, const char *name);

#endif
