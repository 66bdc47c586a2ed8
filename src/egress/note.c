#include "egress/note.h"

#include "base/mem.h"
#include "base/str.h"

#include <stdio.h>
#include <string.h>

static const char *const words[] = {
	[NOTE_READY] = "ready", [NOTE_DENIED] = "denied", [NOTE_LOG] = "log", [NOTE_FAILED] = "failed"
};
enum { KINDS = sizeof(words) / sizeof(words[0]) };

size_t note_write(const struct note *note, char ret_line[static LIMIT_EGRESS_NOTE_BYTES])
{
	const size_t room = LIMIT_EGRESS_NOTE_BYTES - 1; /* the newline */
	mem_cleanup char *text = note->text == NULL ? str_dup("") : str_escape(note->text, strlen(note->text));
	size_t length = strlen(words[note->kind]);

	switch (note->kind) {
	case NOTE_READY:
		snprintf(ret_line, room, "%s", words[note->kind]);
		break;
	case NOTE_DENIED:
		snprintf(ret_line, room, "%s\t%u\t%u\t%u\t%s", words[note->kind], (unsigned)note->port,
		         (unsigned)note->add, (unsigned)note->reason, text);
		break;
	case NOTE_LOG:
		snprintf(ret_line, room, "%s\t%u", words[note->kind], (unsigned)note->trouble);
		break;
	case NOTE_FAILED:
		snprintf(ret_line, room, "%s\t%s", words[note->kind], text);
		break;
	}
	length = strlen(ret_line);
	memcpy(ret_line + length, "\n", sizeof("\n"));
	return length + 1;
}

/* The number up to the next tab, or the end. */
static bool take_number(const char **line, uint64_t most, uint64_t *ret_number)
{
	const size_t length = strcspn(*line, "\t");
	mem_cleanup char *text = str_dup_n(*line, length);

	*line += length + ((*line)[length] == '\t');
	return str_to_u64(text, most, ret_number);
}

bool note_read(const char *line, struct note *ret_note)
{
	const size_t length = strcspn(line, "\t");
	const char *rest = line + length + (line[length] == '\t');
	uint64_t port = 0, add = 0, reason = 0, trouble = 0;
	size_t kind = 0;

	while (kind < KINDS && (strlen(words[kind]) != length || memcmp(words[kind], line, length) != 0))
		kind++;
	if (kind == KINDS ||
	    (kind == NOTE_DENIED &&
	     (!take_number(&rest, UINT16_MAX, &port) || !take_number(&rest, AUDIT_ADD_RAW, &add) ||
	      !take_number(&rest, REASON_COUNT - 1, &reason) || reason == REASON_NONE)) ||
	    (kind == NOTE_LOG && (!take_number(&rest, AUDIT_TROUBLE_WRITE, &trouble) || trouble == AUDIT_TROUBLE_NONE)))
		return false;
	*ret_note = (struct note){ .kind = (enum note_kind)kind,
		                   .port = (uint16_t)port,
		                   .add = (enum audit_add)add,
		                   .reason = (enum reason)reason,
		                   .trouble = (enum audit_trouble)trouble,
		                   .text = rest };
	return true;
}
