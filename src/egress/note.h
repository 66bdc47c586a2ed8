#ifndef NPXC_EGRESS_NOTE_H
#define NPXC_EGRESS_NOTE_H

#include "base/limits.h"
#include "egress/audit.h"
#include "egress/reason.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * What the egress process tells the launcher: one line each, in codes; the launcher makes the words. Both are one
 * program, so the codes are its own numbers.
 *
 *     KIND PORT ADD REASON TROUBLE TEXT
 *
 * with a tab between two fields: five numbers, 0 where the kind has none, and the rest of the line. The launcher says
 * nothing: its end of the socket is open as long as it lives.
 */
enum note_kind {
	NOTE_READY,  /* confined, and listening */
	NOTE_DENIED, /* a refusal */
	NOTE_LOG,    /* the audit log cannot be written */
	NOTE_FAILED, /* an error's message, which is shown and not read */
};

struct note {
	enum note_kind kind;
	uint16_t port; /* DENIED */
	enum audit_add add;
	enum reason reason;
	enum audit_trouble trouble; /* LOG */
	const char *text;           /* borrowed; DENIED: the host; FAILED: the message */
};

/* The line with its newline and a NUL: its length. A text is cut to the room that is left, its control bytes escaped.
 */
size_t note_write(const struct note *note, char ret_line[static LIMIT_EGRESS_NOTE_BYTES]);
/*
 * A line without its end. `ret_note->text` points into it, and is not to be believed: the process may have been taken
 * over by what it reads. False: it is no note.
 */
bool note_read(const char *line, struct note *ret_note);

#endif
