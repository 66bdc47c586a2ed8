#ifndef NPXC_BASE_TERMINAL_H
#define NPXC_BASE_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>

/*
 * What others wrote, for somebody's terminal. A terminal obeys what it is shown: colours and hidden text, the window's
 * title, the clipboard (OSC 52), a cleared screen, a cursor that goes back over a line. So the bytes of a guest are put
 * through this filter wherever stderr is a terminal, and nowhere else.
 *
 * Should: begin each line with TERMINAL_LABEL, so that nothing of a guest's stands where npxc's own lines begin; keep
 *         text, newlines and tabs; show everything else as str_escape does; take CR LF for a newline, and a CR alone
 * too (it would write over the line). Mustn't: let a control byte or a character through that is not seen, however it
 * was cut into pieces; hold back more than the beginning of one character.
 *
 * What npxc itself says there it says in bold (log_line), after a reset of whatever was in force. No guest can do that.
 */
#define TERMINAL_LABEL "| "

struct terminal_filter { /* zeroed: at the beginning of a line */
	bool within;     /* the line's label has been put out */
	bool returned;   /* a CR was read, and nothing since */
	unsigned char held_count;
	char held[4]; /* a character whose rest has not come */
};

/* bytes: of room in `out` for `count` more: at worst a newline, a label and an escape for each of them, and for what
 * is held. */
#define TERMINAL_ROOM(count) (((count) + 4) * 7)
_Static_assert(sizeof(TERMINAL_LABEL) - 1 + 1 + 4 == 7, "newline, label, \\xNN");

/* Returns how many bytes were written. Pure. */
size_t terminal_filter(struct terminal_filter *filter, const char *bytes, size_t count, char *out);
/* No more comes: what is held, in TERMINAL_ROOM(0) bytes; an open line stays open. */
size_t terminal_filter_end(struct terminal_filter *filter, char *out);

#endif
