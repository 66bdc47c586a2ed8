#include "relay/guard.h"

#include "base/fault.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/str.h"

#include <stdlib.h>
#include <string.h>

/* bytes: of a line that goes to stderr in one piece. */
#define PIECE_BYTES (64 * KIB)

void guard_init(struct guard *guard, const char *label, bool on)
{
	*guard =
	    (struct guard){ .on = on, .label = str_escape(label, strlen(label)), .line = BUF_INIT(2 * PIECE_BYTES) };
}

void guard_done(struct guard *guard)
{
	buf_done(&guard->line);
	free(guard->label);
}

/* Before a message: blanks, and the bytes of a byte order mark, which may come one by one. */
static bool may_precede(char byte)
{
	return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\xef' || byte == '\xbb' || byte == '\xbf';
}

enum lines_look guard_look(const struct guard *guard, const char *bytes, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (may_precede(bytes[i]))
			continue;
		return !WITHOUT("stdout-guard") && guard->on && bytes[i] != '{' && bytes[i] != '[' ? LINES_DIVERT
		                                                                                   : LINES_PASS;
	}
	return LINES_MORE;
}

/* A piece of what is no message, as a line of its own. */
static void put_piece(struct guard *guard, struct pump *pump)
{
	const char *bytes = guard->line.data == NULL ? "" : guard->line.data;
	size_t length = guard->line.length;

	while (length > 0 && (bytes[length - 1] == '\n' || bytes[length - 1] == '\r'))
		length--;
	if (pump_say(pump)->length > LIMIT_RELAY_BYTES) {
		if (guard->discarded == 0)
			log_debug("relay", "nobody reads what the server prints; some of it is thrown away");
		guard->discarded += length;
	} else {
		pump_pass_on(pump, guard->label, bytes, length);
	}
	guard->line.length = 0;
}

void guard_divert(struct guard *guard, struct pump *pump, const char *bytes, size_t count, bool last)
{
	struct npxc_error ignored;

	while (count > 0) {
		const size_t piece = count < PIECE_BYTES ? count : PIECE_BYTES;

		if (guard->line.length > 0 && guard->line.length + piece > PIECE_BYTES)
			put_piece(guard, pump);
		if (!buf_append(&guard->line, bytes, piece, &ignored))
			return;
		bytes += piece;
		count -= piece;
	}
	if (last)
		put_piece(guard, pump);
}
