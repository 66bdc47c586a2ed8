#include "egress/note.h"

#include "base/mem.h"
#include "base/str.h"

#include <stdio.h>
#include <string.h>

size_t note_write(const struct note *note, char ret_line[static LIMIT_EGRESS_NOTE_BYTES])
{
	mem_cleanup char *text = note->text == NULL ? str_dup("") : str_escape(note->text, strlen(note->text));

	snprintf(ret_line, LIMIT_EGRESS_NOTE_BYTES - 1, "%u\t%u\t%u\t%u\t%u\t%s", (unsigned)note->kind,
	         (unsigned)note->port, (unsigned)note->add, (unsigned)note->reason, (unsigned)note->trouble, text);
	const size_t length = strlen(ret_line);
	memcpy(ret_line + length, "\n", sizeof("\n"));
	return length + 1;
}

bool note_read(const char *line, struct note *ret_note)
{
	static const uint64_t most[] = { NOTE_FAILED, UINT16_MAX, AUDIT_ADD_RAW, REASON_COUNT - 1,
		                         AUDIT_TROUBLE_WRITE };
	enum { NUMBERS = sizeof(most) / sizeof(most[0]) };
	uint64_t v[NUMBERS];

	for (size_t i = 0; i < NUMBERS; i++) {
		const size_t length = strcspn(line, "\t");
		mem_cleanup char *number = str_dup_n(line, length);

		if (line[length] == '\0' || !str_to_u64(number, most[i], &v[i]))
			return false;
		line += length + 1;
	}
	*ret_note = (struct note){ .kind = (enum note_kind)v[0],
		                   .port = (uint16_t)v[1],
		                   .add = (enum audit_add)v[2],
		                   .reason = (enum reason)v[3],
		                   .trouble = (enum audit_trouble)v[4],
		                   .text = line };
	return (ret_note->kind == NOTE_DENIED) == (v[3] != REASON_NONE) &&
	       (ret_note->kind == NOTE_LOG) == (v[4] != AUDIT_TROUBLE_NONE);
}
