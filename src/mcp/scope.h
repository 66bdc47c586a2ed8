#ifndef NPXC_MCP_SCOPE_H
#define NPXC_MCP_SCOPE_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

/*
 * From a string that a call holds to an open file beneath the working directory. Two steps: scope_read says which path
 * the string names (pure text), scope_open opens it (a descriptor, never a path that could mean something else later).
 */

/* ---- the text ---- */

struct scope_place {      /* borrowed; absolute, cleaned (str_path_clean) */
	const char *cwd;  /* as the user knows it: $PWD, --cwd */
	const char *real; /* the same without symbolic links */
	const char *home; /* what ~ stands for; NULL: nothing */
};

struct scope_name {
	char *path; /* owned; absolute, as the client means it, ".." kept: for messages, mounts, the way back */
	char
	    *relative; /* owned; beneath the working directory: no ".", no empty component, no slash at either end, ".."
	                * kept; "" is the directory itself. NULL: the path does not begin with the working directory */
	bool directory; /* written so that only a directory fits: "x/", "x/.", "" */
	bool is_uri;    /* it was a file: URI */
};

/*
 * Takes `~/x`, `/x`, `x` (of the working directory), and file URIs: `file:///x`, `file://localhost/x`, `file:/x`, the
 * scheme and the host in any case, percent-encoding read.
 *
 * ".." is neither taken out nor refused here: what it means depends on symbolic links, so that whoever opens decides.
 * Only a path whose beginning is, component by component, the working directory (in either form) has a `relative`.
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
/* The last component, as the sandbox shall see it; owned. Of ".." and of the working directory itself it is worked out
 * on the cleaned path. */
char *scope_last_component(const struct scope_name *name);

/* ---- the file ---- */

/*
 * The working directory, opened once, so that nothing that is renamed later changes which one it is.
 *
 * Symbolic links that stay beneath it are followed, as a server without npxc would; one that is absolute or climbs out
 * is refused, wherever in the path it stands, and so is a ".." that climbs out, even when the rest leads back in.
 * base/beneath.h says how.
 */
struct scope {
	int fd;    /* owned; -1: nothing is in scope */
	char *cwd; /* owned, for messages */
};

/* ERROR_IO. */
bool scope_start(const char *real_cwd, const char *cwd, struct scope *ret_scope,
                 struct npxc_error *err) NPXC_MUST_CHECK;
void scope_done(struct scope *scope);

struct scope_file {
	int fd;           /* owned; open for reading; a regular file or a directory */
	struct stat info; /* of fd */
};

/*
 * Should: return only what lies beneath the working directory at the moment of opening, whatever is renamed or swapped
 * meanwhile; open nothing but regular files and directories (a device can have effects when it is opened, a FIFO can
 * wait for ever).
 * Mustn't: follow a link out of the working directory, hand out a path, or wait.
 * Errors: ERROR_PATH_OUT_OF_SCOPE (outside, the wrong kind of file, something that kept changing), ERROR_PATH_NOT_FOUND
 * (not there, no permission; sys_errno tells which), ERROR_IO.
 */
bool scope_open(struct scope *scope, const struct scope_name *name, struct scope_file *ret_file,
                struct npxc_error *err) NPXC_MUST_CHECK;
void scope_file_done(struct scope_file *file);

/*
 * For a file that is to be made: the directory it will stand in, and its name there.
 * Errors as above, and ERROR_PATH_OUT_OF_SCOPE when something of that name is there already, be it a dangling link.
 */
struct scope_parent {
	int fd;     /* owned; a directory, perhaps good for *at calls only */
	char *leaf; /* owned; one component */
	char *path; /* owned; the whole, below the working directory and without links, as it was when it was opened */
};
bool scope_open_parent(struct scope *scope, const struct scope_name *name, struct scope_parent *ret_parent,
                       struct npxc_error *err) NPXC_MUST_CHECK;
void scope_parent_done(struct scope_parent *parent);

#endif
