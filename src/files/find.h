#ifndef NPXC_FILES_FIND_H
#define NPXC_FILES_FIND_H

#include "base/error.h"
#include "files/scope.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

/*
 * What stands at a path beneath the working directory, link by link: the links on the way that stay beneath it, and
 * what the last one leads to. It may all change meanwhile; what is opened in the end is compared with what was found.
 */
enum find_kind {
	FIND_FILE,
	FIND_DIRECTORY,
	FIND_MISSING, /* `path`: the first component that is not there (or whose parent is no directory) */
	FIND_OUTSIDE, /* a link leads out of the working directory, or in a circle */
	FIND_OTHER,   /* a FIFO, a socket, a device */
	FIND_DENIED,  /* the user may not look there; sys_errno of nothing */
};

struct find_link {
	char *path;   /* owned; where it stands; no link in it */
	char *target; /* owned; what it says */
};

struct find {
	enum find_kind kind;
	char *path;              /* owned; clean, beneath the working directory, no link in it */
	struct stat info;        /* FILE, DIRECTORY */
	struct find_link *links; /* owned; in the order of the way */
	size_t link_count;
};

struct find_root {
	int fd;                          /* borrowed; of the working directory */
	const struct scope_place *place; /* borrowed */
};

/*
 * `relative` is clean. Mustn't: open anything that is not a directory, or follow a link out: an absolute one counts by
 * its text, which has to begin with a spelling of the working directory.
 */
void find_path(const struct find_root *root, const char *relative, struct find *ret_found);
void find_done(struct find *found);

/* What was found, open for reading (of a directory: to list it). False with errno; ESTALE: it is another one by now. */
bool find_open(const struct find_root *root, const struct find *found, int *ret_fd);
/* The directory that holds it, for looking only; -1 with errno. */
int find_open_parent(const struct find_root *root, const char *path);

#endif
