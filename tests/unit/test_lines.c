#include "unit.h"

#include "base/mem.h"
#include "base/str.h"
#include "relay/lines.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * Rules that a reader can work out by hand. By a line's first letter: p passes, h and c are kept and
 * stay, d is kept and dropped, i is kept, stays, and has "(i)" put between lines, v
 * is diverted, anything else is never told and passes. A ">" for the look: tells by the letter after it.
 */
struct rig {
	struct lines *lines;
	struct buf diverted; /* first and last shown as < and > */
	struct buf watched;  /* all that was, and a | before each line's beginning */
	unsigned decided, dropped;
	size_t dropped_bytes;
	bool drops_long;
	bool told;
};

static enum lines_look look(void *context, const char *bytes, size_t count, bool first)
{
	struct rig *rig = context;

	if (first)
		rig->told = false;
	rig->dropped_bytes = (first ? 0 : rig->dropped_bytes) + count;
	for (size_t i = 0; i < count && !rig->told; i++) {
		if (bytes[i] == '>')
			continue;
		rig->told = true;
		switch (bytes[i]) {
		case 'p':
			return LINES_PASS;
		case 'h':
		case 'c':
		case 'd':
		case 'i':
			return LINES_HOLD;
		case 'v':
			return LINES_DIVERT;
		default:
			break;
		}
	}
	return LINES_MORE;
}

static enum lines_verdict decide(void *context, const char *line, size_t length)
{
	struct rig *rig = context;
	struct npxc_error err;
	size_t at = 0;

	assert_true(length > 0);
	rig->decided++;
	while (line[at] == '>')
		at++;
	switch (line[at]) {
	case 'd':
		return LINES_DROPPED;
	case 'i':
		assert_true(buf_append_text(lines_inject(rig->lines), "(i)\n", &err));
		return LINES_SAME;
	default:
		return LINES_SAME;
	}
}

static bool too_long(void *context)
{
	return ((struct rig *)context)->drops_long;
}

static void dropped(void *context)
{
	((struct rig *)context)->dropped++;
}

static void divert(void *context, const char *bytes, size_t count, bool first, bool last)
{
	struct rig *rig = context;
	struct npxc_error err;

	assert_true(buf_append_text(&rig->diverted, first ? "<" : "", &err));
	assert_true(buf_append(&rig->diverted, bytes, count, &err));
	assert_true(buf_append_text(&rig->diverted, last ? ">" : "", &err));
}

static void watch(void *context, const char *bytes, size_t count, bool first)
{
	struct rig *rig = context;
	struct npxc_error err;

	assert_true(count > 0 && memchr(bytes, '\n', count - 1) == NULL);
	assert_true(buf_append_text(&rig->watched, first ? "|" : "", &err));
	assert_true(buf_append(&rig->watched, bytes, count, &err));
}

/* What was watched is what came out, line by line; what was put between lines is nobody's. Owned. */
static char *expected_watch(const char *out)
{
	struct buf to = BUF_INIT(SIZE_MAX / 2);
	struct npxc_error err;

	for (const char *line = out; *line != '\0';) {
		const size_t length = strcspn(line, "\n") + (strchr(line, '\n') != NULL);

		if (strncmp(line, "(i)", 3) != 0)
			assert_true(buf_append_text(&to, "|", &err) && buf_append(&to, line, length, &err));
		line += length;
	}
	return buf_take(&to);
}

static void start(struct rig *rig, size_t max_bytes)
{
	const struct lines_rules rules = { .look = look,
		                           .decide = decide,
		                           .watch = watch,
		                           .too_long = too_long,
		                           .dropped = dropped,
		                           .divert = divert,
		                           .context = rig,
		                           .max_bytes = max_bytes };

	*rig = (struct rig){ .lines = lines_new(&rules),
		             .diverted = BUF_INIT(SIZE_MAX / 2),
		             .watched = BUF_INIT(SIZE_MAX / 2) };
}

static void stop(struct rig *rig)
{
	lines_free(rig->lines);
	buf_done(&rig->diverted);
	buf_done(&rig->watched);
}

/* At most `piece` bytes at a time. */
static void drain(struct rig *rig, struct buf *to, size_t piece)
{
	const char *bytes;
	size_t count;
	struct npxc_error err;

	while (lines_output(rig->lines, true, &bytes, &count)) {
		assert_true(count > 0 && lines_has_output(rig->lines));
		count = piece < count ? piece : count;
		assert_true(buf_append(to, bytes, count, &err));
		lines_written(rig->lines, count);
	}
}

static void feed(struct rig *rig, const char *bytes, size_t count)
{
	while (count > 0) {
		size_t room;
		char *to = lines_room(rig->lines, &room);

		assert_true(room > 0);
		room = room < count ? room : count;
		memcpy(to, bytes, room);
		lines_filled(rig->lines, room);
		bytes += room;
		count -= room;
	}
}

/* The whole input, in pieces of `in`, read out in pieces of `out`; owned. */
static char *through(struct rig *rig, const char *input, size_t length, size_t in, size_t out)
{
	struct buf to = BUF_INIT(SIZE_MAX / 2);

	for (size_t at = 0; at < length;) {
		const size_t count = in < length - at ? in : length - at;
		size_t room;

		lines_room(rig->lines, &room);
		feed(rig, input + at, count < room ? count : room);
		at += count < room ? count : room;
		drain(rig, &to, out);
	}
	lines_finish(rig->lines);
	drain(rig, &to, out);
	assert_false(lines_has_output(rig->lines));
	return buf_take(&to);
}

struct flow {
	const char *in, *out, *diverted;
};

static const struct flow flows[] = {
	{ "", "", "" },
	{ "\n", "\n", "" },
	{ "\n\n\r\n", "\n\n\r\n", "" },
	{ "p1\np2\n", "p1\np2\n", "" },
	{ "p1\np2", "p1\np2", "" },
	{ "x\n>>>\n", "x\n>>>\n", "" },
	{ ">>>", ">>>", "" },
	{ "h1\nh2\n", "h1\nh2\n", "" },
	{ "h1", "h1", "" },
	{ "c1\nc2\n", "c1\nc2\n", "" },
	{ "p1\nc2\np3\n", "p1\nc2\np3\n", "" },
	{ "c", "c", "" },
	{ ">>c\r\n", ">>c\r\n", "" },
	{ "d\nd\n", "", "" },
	{ "p1\nd\np2\n", "p1\np2\n", "" },
	{ "d", "", "" },
	{ "v1\nv2\n", "", "<v1\n><v2\n>" },
	{ "p1\nv\np2\n", "p1\np2\n", "<v\n>" },
	{ "v", "", "<v>" },
	{ "p\nv", "p\n", "<v>" },
	{ "i\np\n", "i\n(i)\np\n", "" },
	{ "p\ni\ni\nc\nv\nd\ni\np", "p\ni\n(i)\ni\n(i)\nc\ni\n(i)\np", "<v\n>" },
	{ "i", "i\n(i)\n", "" },
	{ "i\nh", "i\n(i)\nh", "" },
};

/* However the bytes are cut into pieces, the same comes out. */
static void the_same_comes_out_however_the_bytes_are_cut(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(flows) / sizeof(flows[0]); i++) {
		const size_t length = strlen(flows[i].in);

		for (size_t in = 1; in <= length + 1; in++) {
			for (size_t out = 1; out <= 4; out++) {
				struct rig rig;

				start(&rig, 100);
				mem_cleanup char *got = through(&rig, flows[i].in, length, in, out);
				/* A diverted line in pieces has its marks at its ends. */
				mem_cleanup char *seen = expected_watch(flows[i].out);

				/* A newline that npxc puts behind a last line is not the server's. */
				if (strcmp(rig.watched.data == NULL ? "" : rig.watched.data, seen) != 0 &&
				    strcmp(flows[i].in, "i") != 0)
					fail_msg("%s: watched %s, not %s", flows[i].in, rig.watched.data, seen);
				if (strcmp(got, flows[i].out) != 0 ||
				    strcmp(rig.diverted.data == NULL ? "" : rig.diverted.data, flows[i].diverted) != 0)
					fail_msg("%s by %zu: %s, diverted %s", flows[i].in, in, got, rig.diverted.data);
				stop(&rig);
			}
		}
	}
}

/* Random lines, also longer than the buffer, in random pieces, against the rules applied to whole lines. */
static void random_lines_come_out_as_the_model_says(void **state)
{
	(void)state;
	srandom(20261124);
	for (int round = 0; round < 60; round++) {
		struct buf input = BUF_INIT(SIZE_MAX / 2), expected = BUF_INIT(SIZE_MAX / 2);
		struct npxc_error err;
		struct rig rig;

		for (int line = 0; line < 30; line++) {
			const char letter = "phcdvx"[random() % 6];
			const size_t length = random() % 8 == 0 ? (size_t)random() % 400000 : (size_t)random() % 300;
			mem_cleanup char *text = mem_alloc(length + 3);

			memset(text, 'q', length + 1);
			text[0] = letter;
			text[length + 1] = '\n';
			assert_true(buf_append(&input, text, length + 2, &err));
			if (letter != 'd' && letter != 'v')
				assert_true(buf_append(&expected, text, length + 2, &err));
		}
		start(&rig, SIZE_MAX);
		struct buf got = BUF_INIT(SIZE_MAX / 2);
		for (size_t at = 0; at < input.length;) {
			size_t room, count = 1 + (size_t)random() % 200000;

			lines_room(rig.lines, &room);
			count = count < room ? count : room;
			count = count < input.length - at ? count : input.length - at;
			feed(&rig, input.data + at, count);
			at += count;
			drain(&rig, &got, 1 + (size_t)random() % 100000);
		}
		lines_finish(rig.lines);
		drain(&rig, &got, SIZE_MAX);
		assert_int_equal(got.length, expected.length);
		assert_memory_equal(got.data, expected.data, got.length);
		stop(&rig);
		buf_done(&input);
		buf_done(&expected);
		buf_done(&got);
	}
}

static char *long_line(char letter, size_t length)
{
	char *line = mem_alloc(length + 2);

	memset(line, 'q', length);
	line[0] = letter;
	line[length] = '\n';
	return line;
}

static void a_line_over_the_ceiling_is_passed_or_dropped_whole(void **state)
{
	mem_cleanup char *held = long_line('c', 300000);
	mem_cleanup char *text = str_printf("p\n%sp2\n", held);

	(void)state;
	for (int drops = 0; drops <= 1; drops++) {
		for (size_t piece = 1000; piece <= 1000000; piece *= 10) {
			struct rig rig;

			start(&rig, 150000);
			rig.drops_long = drops;
			mem_cleanup char *got = through(&rig, text, strlen(text), piece, SIZE_MAX);
			assert_string_equal(got, drops ? "p\np2\n" : text);
			assert_int_equal(rig.decided, 0);
			assert_int_equal(rig.dropped, drops);
			stop(&rig);
		}
	}
	/* All of a dropped line is looked at, and its end counts where no newline comes. */
	struct rig rig;
	start(&rig, 150000);
	rig.drops_long = true;
	mem_cleanup char *got = through(&rig, held, 300000, 70000, SIZE_MAX);
	assert_string_equal(got, "");
	assert_int_equal(rig.dropped, 1);
	assert_int_equal(rig.dropped_bytes, 300000);
	stop(&rig);
}

/* A line that passes is put out before its end has come; one that is kept is not. */
static void a_line_that_passes_is_put_out_before_its_end(void **state)
{
	const char *bytes;
	size_t count;
	struct rig rig;

	(void)state;
	start(&rig, 1000);
	feed(&rig, "p123", 4);
	assert_true(lines_output(rig.lines, true, &bytes, &count));
	assert_int_equal(count, 4);
	lines_written(rig.lines, 4);
	assert_false(lines_output(rig.lines, true, &bytes, &count));
	feed(&rig, "456\nh12", 7);
	assert_true(lines_output(rig.lines, true, &bytes, &count));
	assert_int_equal(count, 4);
	lines_written(rig.lines, 4);
	assert_false(lines_output(rig.lines, true, &bytes, &count));
	stop(&rig);
}

/* What is put in between waits for the end of a line that is under way, but not for one that is kept. */
static void what_is_put_in_between_waits_for_the_end_of_a_line(void **state)
{
	const char *bytes;
	size_t count;
	struct npxc_error err;
	struct rig rig;

	(void)state;
	start(&rig, 1000);
	feed(&rig, "p12", 3);
	assert_true(lines_output(rig.lines, true, &bytes, &count));
	lines_written(rig.lines, count);
	assert_true(buf_append_text(lines_inject(rig.lines), "mine\n", &err));
	assert_false(lines_has_output(rig.lines));
	assert_false(lines_output(rig.lines, true, &bytes, &count));
	feed(&rig, "3\np4\nh5", 7);
	struct buf got = BUF_INIT(100);
	drain(&rig, &got, 1);
	assert_string_equal(got.data, "3\nmine\np4\n");
	assert_true(buf_append_text(lines_inject(rig.lines), "again\n", &err));
	got.length = 0;
	drain(&rig, &got, 100);
	assert_string_equal(got.data, "again\n");
	/* Behind a last line without its newline there has to be one. */
	lines_finish(rig.lines);
	got.length = 0;
	drain(&rig, &got, 100);
	assert_string_equal(got.data, "h5");
	assert_true(buf_append_text(lines_inject(rig.lines), "late\n", &err));
	got.length = 0;
	drain(&rig, &got, 2);
	assert_string_equal(got.data, "\nlate\n");
	buf_done(&got);
	stop(&rig);
}

/* Without leave to go on, only what is due is given. */
static void without_leave_to_go_on_only_what_is_due_is_given(void **state)
{
	const char *bytes;
	size_t count;
	struct rig rig;

	(void)state;
	start(&rig, 1000);
	feed(&rig, "c1\nc2\n", 6);
	assert_false(lines_output(rig.lines, false, &bytes, &count));
	assert_int_equal(rig.decided, 0);
	assert_true(lines_output(rig.lines, true, &bytes, &count));
	assert_int_equal(rig.decided, 2);
	assert_true(lines_output(rig.lines, false, &bytes, &count));
	lines_written(rig.lines, count);
	feed(&rig, "c3\n", 3);
	assert_false(lines_output(rig.lines, false, &bytes, &count));
	assert_int_equal(rig.decided, 2);
	stop(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_same_comes_out_however_the_bytes_are_cut),
		cmocka_unit_test(random_lines_come_out_as_the_model_says),
		cmocka_unit_test(a_line_over_the_ceiling_is_passed_or_dropped_whole),
		cmocka_unit_test(a_line_that_passes_is_put_out_before_its_end),
		cmocka_unit_test(what_is_put_in_between_waits_for_the_end_of_a_line),
		cmocka_unit_test(without_leave_to_go_on_only_what_is_due_is_given),
	};

	return cmocka_run_group_tests_name("lines", tests, NULL, NULL);
}
