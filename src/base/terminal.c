#include "base/terminal.h"

#include "base/str.h"

#include <string.h>

static size_t put(char *out, const char *bytes, size_t count)
{
	memcpy(out, bytes, count);
	return count;
}

static size_t end_line(struct terminal_filter *filter, char *out)
{
	size_t used = filter->within ? 0 : put(out, TERMINAL_LABEL, strlen(TERMINAL_LABEL));

	filter->within = filter->returned = false;
	out[used++] = '\n';
	return used;
}

/* One character, or one byte that is none, and what has to stand before it. */
static size_t put_shown(struct terminal_filter *filter, const char *bytes, size_t count, bool plain, char *out)
{
	size_t used = filter->returned && filter->within ? end_line(filter, out) : 0;

	filter->returned = false;
	if (!filter->within)
		used += put(out + used, TERMINAL_LABEL, strlen(TERMINAL_LABEL));
	filter->within = true;
	return used + (plain ? put(out + used, bytes, count) : str_escape_bytes(bytes, count, out + used));
}

/* The first character of these; `*ret_taken`: its bytes; 0: its end is missing. */
static size_t put_first(struct terminal_filter *filter, const char *bytes, size_t count, size_t *ret_taken, char *out)
{
	enum str_shown shown;

	*ret_taken = 1;
	if (bytes[0] == '\n')
		return end_line(filter, out);
	if (bytes[0] == '\r') {
		filter->returned = true;
		return 0;
	}
	shown = str_look(bytes, count, ret_taken);
	if (shown == STR_CUT) {
		*ret_taken = 0;
		return 0;
	}
	return put_shown(filter, bytes, *ret_taken, shown == STR_PLAIN || bytes[0] == '\t', out);
}

size_t terminal_filter(struct terminal_filter *filter, const char *bytes, size_t count, char *out)
{
	size_t used = 0;
	size_t at = 0;
	size_t taken;

	/* A held character grows byte by byte: four are always enough to tell. */
	while (filter->held_count > 0 && at < count) {
		size_t kept = filter->held_count;

		filter->held[kept++] = bytes[at++];
		while (kept > 0) {
			used += put_first(filter, filter->held, kept, &taken, out + used);
			if (taken == 0)
				break;
			kept -= taken;
			memmove(filter->held, filter->held + taken, kept);
		}
		filter->held_count = (unsigned char)kept;
	}
	while (at < count) {
		used += put_first(filter, bytes + at, count - at, &taken, out + used);
		if (taken == 0)
			break;
		at += taken;
	}
	if (at < count) {
		filter->held_count = (unsigned char)(count - at);
		memcpy(filter->held, bytes + at, count - at);
	}
	return used;
}

size_t terminal_filter_end(struct terminal_filter *filter, char *out)
{
	size_t used = 0;

	for (unsigned i = 0; i < filter->held_count; i++)
		used += put_shown(filter, filter->held + i, 1, false, out + used);
	filter->held_count = 0;
	return used;
}
