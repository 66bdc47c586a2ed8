#ifndef NPXC_RELAY_NOTICE_H
#define NPXC_RELAY_NOTICE_H

#include "base/error.h"
#include "base/str.h"

#include <stdbool.h>

struct pump;

/*
 * What was withheld from a server, or ended it: one line on stderr, at the moment when it matters, with the flag and
 * the key of the package's file that would grant it. A client shows these lines in its log, so each is told once.
 *
 *     npxc: PACKAGE: WHAT; to WISH: FLAG, or KEY in FILE
 *
 * With --json a line is an object instead: {"notice": {"kind", "package", "subject", "text", "flag", "key", "file"}},
 * without those of which there is nothing to say. --quiet: nothing of this is told.
 */
enum notice_kind {
	NOTICE_VARIABLES,       /* set here, read by the package's own files, and not forwarded */
	NOTICE_NETWORK,         /* there is none, and it was tried */
	NOTICE_FILE,            /* a path that exists here was named, and the server cannot see it */
	NOTICE_READ_ONLY,       /* a write beneath the working directory failed */
	NOTICE_READ_ONLY_MOUNT, /* the same, and a mount shows that directory */
	NOTICE_BESIDE,          /* a write beside the package's own files, which all sessions share */
	NOTICE_BESIDE_DATA,     /* the same, and it has /data */
	NOTICE_SPACE,           /* none is left in HOME or /tmp */
	NOTICE_MEMORY,          /* a process was killed at its ceiling */
	NOTICE_KILLED,          /* the server was, and that may be why */
	NOTICE_PROCESSES,       /* no more could be started */
	NOTICE_NO_LIMIT,        /* a ceiling that does not hold on this machine */
	NOTICE_LOST,            /* what was written to HOME */
	NOTICE_LOST_FILES,      /* the same, and no directory is among it */
	NOTICE_UNANSWERED,      /* requests, when the session ended */
	NOTICE_KINDS
};

struct notices {
	const char *label; /* borrowed; the package */
	const char *file;  /* borrowed; its configuration file */
	bool quiet, json;
	struct strv told;  /* "kind subject", those of which nothing is said again */
	struct pump *pump; /* borrowed; carries the lines while it runs, between two of the server's; else NULL */
};

/* What stands for `@` in the words of a kind, of anybody's bytes: control bytes are escaped. */
struct notice {
	const char *subject; /* what is told once a session; "": the kind as a whole */
	const char *why;     /* NULL: as subject */
	const char *flag;    /* NULL: as subject */
	const char *key;     /* NULL: as subject */
};

void notice_done(struct notices *notices);
/*
 * Should: tell each kind and subject once; escape what others wrote; keep within one line.
 * Mustn't: tell anything with --quiet; tell more than NOTICE_TOLD_MAX lines of one session.
 */
enum { NOTICE_TOLD_MAX = 48 };
void notice_tell(struct notices *notices, enum notice_kind kind, const struct notice *notice);
/* NOTICE_FILE of a path that anybody may have chosen: quoted for the shell and for JSON, so that it can be pasted. */
void notice_tell_path(struct notices *notices, const char *path, const char *why);
/* Pure: the line of it, without a newline; owned. */
char *notice_text(const struct notices *notices, enum notice_kind kind, const struct notice *notice);
/* Any other line of npxc's while the pump may run ("npxc: ..."), whether quiet or not. */
void notice_line(const struct notices *notices, const char *line);

#endif
