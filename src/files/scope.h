#ifndef NPXC_FILES_SCOPE_H
#define NPXC_FILES_SCOPE_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * Which path a string names, and where beneath the working directory that is. Pure text: whether anything is there, and
 * what links make of it, is files/find's to say.
 */

enum { SCOPE_SPELLINGS_MAX = 4 };

struct scope_place {
	/* borrowed; the working directory's absolute, clean paths: as the user knows it ($PWD, --cwd), without symbolic
	 * links, through a home directory that is a link. NULL after the last; equal ones once. */
	const char *spellings[SCOPE_SPELLINGS_MAX];
	const char *home; /* borrowed; what ~ stands for; NULL: nothing */
};

struct scope_name {
	char *path;     /* owned; absolute and clean: "..", "." and empty components are taken out, by the text alone */
	char *relative; /* owned; the same beneath the working directory, "" itself; NULL: it lies elsewhere */
};

/*
 * Takes `~/x`, `/x`, `x` (of the working directory), and file URIs: `file:///x`, `file://localhost/x`, `file:/x`, the
 * scheme and the host in any case, percent-encoding read.
 *
 * A path that is written in full has a `relative` only when it begins with a spelling of the working directory as it
 * stands: what finds such paths in a server's text (files/mentioned) looks for those, and must not miss one.
 *
 * Refused, ERROR_PATH_OUT_OF_SCOPE: an empty string, a NUL, a name above 255 or a path above 4095 bytes, `~` without a
 * home directory; of URIs another host, a user or port, an encoded slash or NUL, a bad percent sign, a query or
 * fragment, a backslash, control bytes and blanks, a path that is not absolute. `~name` is an ordinary name.
 */
bool scope_read(const struct scope_place *place, const char *text, size_t length, struct scope_name *ret_name,
                struct npxc_error *err) NPXC_MUST_CHECK;
void scope_name_done(struct scope_name *name);
/* Whether it begins as a file URI does. */
bool scope_is_uri(const char *text, size_t length);

/* What of a clean absolute path follows one of the spellings, "" for that itself; borrowed from `path`, or NULL. */
const char *scope_behind(const struct scope_place *place, const char *path);

#endif
