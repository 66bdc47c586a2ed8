#ifndef NPXC_STORE_PROGRESS_H
#define NPXC_STORE_PROGRESS_H

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * How far an installation is. Whoever installs has the lock of the package's key (store/store.h) and writes into that
 * file, as its stderr: where it is (progress_say), and whatever else a log line would say. Whoever waits for it, the
 * npxc that began it or another that joined, reads the file and shows it: on a terminal in one line that is drawn over,
 * elsewhere a line for each phase. Nothing that a package wrote comes here but escaped, in a line of npxc's.
 */

enum progress_phase { PROGRESS_STARTING, PROGRESS_FETCHING, PROGRESS_SCRIPTS };

/* To stderr, which is such a file. Never fails. */
void progress_say(enum progress_phase phase, size_t files);
/* The last of it: why what is called so could not be installed. */
void progress_say_failed(const char *title, const struct npxc_error *why);

struct progress {
	const char *title; /* borrowed */
	bool on_terminal;
	enum progress_phase phase;
	size_t files;
	int64_t began_ms;
	int file; /* owned; what progress_follow_path has open; -1: nothing */
	off_t offset;
	struct buf rest;          /* the beginning of a line whose end has not come */
	size_t drawn;             /* columns of what stands on the terminal */
	char *shown;              /* owned; what was drawn last; NULL: nothing */
	struct npxc_error failed; /* why the one that was followed could not install `title`; else ERROR_NONE */
};

void progress_begin(struct progress *progress, const char *title, bool on_terminal);
/* What has come since; `fd` is of the file. Draws on a terminal, when something of the line has changed. */
void progress_follow(struct progress *progress, int fd);
/*
 * The same of the file at `path`, which may not be there, and before it the rest of one that was there before: who
 * fails to install what never was takes the file away. `reads`: else it is only kept open.
 */
void progress_follow_path(struct progress *progress, const char *path, bool reads);
/* What was drawn goes, so that another line can be written. */
void progress_clear(struct progress *progress);
/* The same, for good. */
void progress_end(struct progress *progress);

/* The line, cut to so many columns (bytes count as such, a character stays whole); owned. Pure. */
char *progress_line(const char *title, enum progress_phase phase, size_t files, int64_t seconds, size_t columns);
/* What takes a line of `drawn` columns from a terminal that has `columns` now: narrower than it was, it shows it in
 * several rows. Owned. Pure. */
char *progress_erase(size_t drawn, size_t columns);

#endif
