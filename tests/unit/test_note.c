#include "unit.h"

#include "base/mem.h"
#include "base/str.h"
#include "egress/note.h"

#include <string.h>

/* Written and read again. */
static void notes_arrive_as_they_were_written(void **state)
{
	static const struct note notes[] = {
		{ .kind = NOTE_READY },
		{ .kind = NOTE_DENIED,
		  .port = 65535,
		  .add = AUDIT_ADD_RAW,
		  .reason = REASON_COUNT - 1,
		  .text = "evil.test" },
		{ .kind = NOTE_DENIED, .reason = REASON_UNLISTED, .add = AUDIT_ADD_RULE, .text = "2001:db8::1" },
		{ .kind = NOTE_DENIED, .reason = REASON_UNLISTED, .text = "" },
		{ .kind = NOTE_LOG, .trouble = AUDIT_TROUBLE_SPACE },
		{ .kind = NOTE_LOG, .trouble = AUDIT_TROUBLE_WRITE },
		{ .kind = NOTE_FAILED, .text = "open /x: Permission denied" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(notes) / sizeof(notes[0]); i++) {
		char line[LIMIT_EGRESS_NOTE_BYTES];
		struct note read;
		const size_t length = note_write(&notes[i], line);

		assert_int_equal(line[length - 1], '\n');
		assert_int_equal(line[length], '\0');
		line[length - 1] = '\0';
		assert_null(strchr(line, '\n'));
		assert_true(note_read(line, &read));
		assert_int_equal(read.kind, notes[i].kind);
		assert_int_equal(read.port, notes[i].port);
		assert_int_equal(read.add, notes[i].add);
		assert_int_equal(read.reason, notes[i].reason);
		assert_int_equal(read.trouble, notes[i].trouble);
		assert_string_equal(read.text, notes[i].text == NULL ? "" : notes[i].text);
	}
}

/* Whatever the guest asked for stays within its field and its line. */
static void hostile_names_stay_in_their_field(void **state)
{
	char line[LIMIT_EGRESS_NOTE_BYTES], big[4096];
	struct note note = { .kind = NOTE_DENIED, .port = 1, .reason = REASON_UNLISTED, .text = "a\nready\t2\x1b" };
	struct note read;

	(void)state;
	line[note_write(&note, line) - 1] = '\0';
	assert_true(note_read(line, &read));
	assert_int_equal(read.port, 1);
	assert_string_equal(read.text, "a\\x0aready\\x092\\x1b");
	memset(big, 'a', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	note.text = big;
	const size_t length = note_write(&note, line);
	assert_true(length < sizeof(line) && line[length - 1] == '\n');
	line[length - 1] = '\0';
	assert_true(note_read(line, &read));
	assert_true(str_starts(read.text, "aaaa"));
}

static void refuses_what_is_no_note(void **state)
{
	static const char *const lines[] = { "",
		                             "ready",
		                             "0",
		                             "0\t0\t0\t0\t0",
		                             "4\t0\t0\t0\t0\ta",
		                             "1\t65536\t0\t1\t0\ta",
		                             "1\t1\t3\t1\t0\ta",
		                             "1\t1\t0\t0\t0\ta",
		                             "1\t1\t0\t9999\t0\ta",
		                             "1\t-1\t0\t1\t0\ta",
		                             "1\t\t0\t1\t0\ta",
		                             "2\t0\t0\t0\t0\t",
		                             "2\t0\t0\t0\t3\t",
		                             "0\t0\t0\t1\t0\t",
		                             "3\t0\t0\t0\t1\ta" };

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct note note;

		if (note_read(lines[i], &note))
			fail_msg("taken: %s", lines[i]);
	}
}

static void every_reason_has_words(void **state)
{
	(void)state;
	for (int i = REASON_NONE + 1; i < REASON_COUNT; i++)
		assert_non_null(reason_text((enum reason)i));
}

static void reasons_are_told_of_a_target(void **state)
{
	mem_cleanup char *sentence = reason_about(REASON_UNLISTED, "a.test:1");
	mem_cleanup char *phrase = reason_about(REASON_PRIVATE, "a.test:1");

	(void)state;
	assert_string_equal(sentence, "a.test:1 is not in the allow list");
	assert_string_equal(phrase, "a.test:1: private address (RFC 1918)");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(notes_arrive_as_they_were_written),
		cmocka_unit_test(hostile_names_stay_in_their_field),
		cmocka_unit_test(refuses_what_is_no_note),
		cmocka_unit_test(every_reason_has_words),
		cmocka_unit_test(reasons_are_told_of_a_target),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
