#include "unit.h"

#include "base/buf.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void error_keeps_kind_errno_and_text(void **state)
{
	struct npxc_error err = { 0 };

	(void)state;
	errno = ENOENT;
	assert_false(error_set_errno(&err, ERROR_IO, "open %s", "x"));
	assert_int_equal(err.kind, ERROR_IO);
	assert_int_equal(err.sys_errno, ENOENT);
	assert_string_equal(err.message, "open x: No such file or directory");
	assert_false(error_prefix(&err, "config"));
	assert_string_equal(err.message, "config: open x: No such file or directory");
	assert_int_equal(err.sys_errno, ENOENT);
}

static void error_message_is_cut_never_overrun(void **state)
{
	struct npxc_error err = { 0 };
	char text[2 * ERROR_MESSAGE_SIZE];

	(void)state;
	memset(text, 'a', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	assert_false(error_set(&err, ERROR_CONFIG, "%s", text));
	assert_int_equal(strlen(err.message), ERROR_MESSAGE_SIZE - 1);
	assert_false(error_prefix(&err, "p"));
	assert_int_equal(strlen(err.message), ERROR_MESSAGE_SIZE - 1);
	assert_memory_equal(err.message, "p: aaa", 6);
}

static void error_set_may_quote_its_own_message(void **state)
{
	struct npxc_error err = { 0 };

	(void)state;
	error_set(&err, ERROR_IO, "inner");
	error_set(&err, ERROR_RUNTIME, "outer (%s)", err.message);
	assert_string_equal(err.message, "outer (inner)");
}

static void numbers_are_strict(void **state)
{
	static const struct {
		const char *text;
		uint64_t max;
		int ok;
		uint64_t value;
	} cases[] = {
		{ "0", 9, 1, 0 },
		{ "42", 42, 1, 42 },
		{ "18446744073709551615", UINT64_MAX, 1, UINT64_MAX },
		{ "18446744073709551616", UINT64_MAX, 0, 0 },
		{ "43", 42, 0, 0 },
		{ "", 9, 0, 0 },
		{ "00", 9, 0, 0 },
		{ "01", 9, 0, 0 },
		{ "+1", 9, 0, 0 },
		{ "-1", 9, 0, 0 },
		{ " 1", 9, 0, 0 },
		{ "1 ", 9, 0, 0 },
		{ "0x1", 99, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t value = 7;

		assert_int_equal(str_to_u64(cases[i].text, cases[i].max, &value), cases[i].ok);
		assert_true(value == (cases[i].ok ? cases[i].value : 7));
	}
}

static void within_compares_components(void **state)
{
	static const struct {
		const char *path;
		const char *directory;
		int within;
	} cases[] = {
		{ "/host", "/host", 1 }, { "/host/a", "/host", 1 },  { "/host/a", "/host/", 1 },
		{ "/x", "/", 1 },        { "/hostage", "/host", 0 }, { "/hos", "/host", 0 },
		{ "/", "/host", 0 },     { "/a/host", "/host", 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(str_path_within(cases[i].path, cases[i].directory), cases[i].within);
}

static void paths_are_cleaned_lexically(void **state)
{
	static const char *const cases[][3] = {
		{ "/", "a", "/a" },
		{ "/a", "b/../c", "/a/c" },
		{ "/a", "..", "/" },
		{ "/a", "../../..", "/" },
		{ "/a//b/", "./c/.", "/a/b/c" },
		{ "/a", "/b/./", "/b" },
		{ "/a", "...", "/a/..." },
		{ "/a", "", "/a" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		mem_cleanup char *joined = str_path_join(cases[i][0], cases[i][1]);

		assert_string_equal(joined, cases[i][2]);
	}
}

static void escape_leaves_nothing_that_moves_a_terminal(void **state)
{
	static const struct {
		const char *in;
		size_t length;
		const char *out;
	} cases[] = {
		{ "plain", 5, "plain" },
		{ "a\033[2Jb", 6, "a\\x1b[2Jb" },
		{ "nul\0x", 5, "nul\\x00x" },
		{ "\xc3\xa9", 2, "\xc3\xa9" },
		{ "\xc0\x80", 2, "\\xc0\\x80" },          /* overlong */
		{ "\xed\xa0\x80", 3, "\\xed\\xa0\\x80" }, /* surrogate */
		{ "\xc2\x9b", 2, "\\xc2\\x9b" },          /* C1: CSI in one byte */
		{ "\xe2\x80\xae", 3, "\\xe2\\x80\\xae" }, /* right-to-left override */
		{ "\xe2\x82", 2, "\\xe2\\x82" },          /* cut in the middle */
		{ "\xf0\x9f\x98\x80", 4, "\xf0\x9f\x98\x80" },
		{ "\x7f\n", 2, "\\x7f\\x0a" },
		{ "\xe2\x80\x8b", 3, "\\xe2\\x80\\x8b" },          /* zero width space */
		{ "\xef\xbb\xbf", 3, "\\xef\\xbb\\xbf" },          /* byte order mark */
		{ "\xf3\xa0\x81\xb8", 4, "\\xf3\\xa0\\x81\\xb8" }, /* tag */
		{ "\xe2\x9a\xa0\xef\xb8\x8f", 6, "\xe2\x9a\xa0\xef\xb8\x8f" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		mem_cleanup char *escaped = str_escape(cases[i].in, cases[i].length);

		assert_string_equal(escaped, cases[i].out);
	}
}

static void shell_words_can_be_pasted(void **state)
{
	struct strv list = { 0 };

	(void)state;
	strv_push(&list, "bwrap");
	strv_push(&list, "");
	strv_push(&list, "it's $HOME");
	strv_push(&list, "--a=b/c");
	{
		mem_cleanup char *line = strv_shell(&list);

		assert_string_equal(line, "bwrap '' 'it'\\''s $HOME' --a=b/c");
	}
	strv_done(&list);
	assert_null(strv_argv(&list)[0]);
	strv_done(&list);
}

static void distance_finds_near_misses(void **state)
{
	(void)state;
	assert_int_equal(str_distance("memory", "memory", 2), 0);
	assert_int_equal(str_distance("memroy", "memory", 2), 2);
	assert_int_equal(str_distance("mem", "memory", 2), 3);
	assert_int_equal(str_distance("", "ab", 2), 2);
}

static void buffer_refuses_to_pass_its_ceiling(void **state)
{
	struct npxc_error err = { 0 };
	struct buf b = BUF_INIT(4);

	(void)state;
	assert_true(buf_append(&b, "abc", 3, &err));
	assert_int_equal(err.kind, ERROR_NONE);
	assert_false(buf_append(&b, "de", 2, &err));
	assert_int_equal(err.kind, ERROR_IO);
	assert_int_equal(b.length, 3);
	assert_string_equal(b.data, "abc");
	assert_true(buf_appendf(&b, &err, "%d", 4));
	assert_string_equal(b.data, "abc4");
	assert_false(buf_appendf(&b, &err, "x"));
	buf_consume(&b, 3);
	assert_string_equal(b.data, "4");
	assert_false(buf_reserve(&b, SIZE_MAX, &err));
	{
		mem_cleanup char *taken = buf_take(&b);

		assert_string_equal(taken, "4");
	}
	buf_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(error_keeps_kind_errno_and_text),
		cmocka_unit_test(error_message_is_cut_never_overrun),
		cmocka_unit_test(error_set_may_quote_its_own_message),
		cmocka_unit_test(numbers_are_strict),
		cmocka_unit_test(within_compares_components),
		cmocka_unit_test(paths_are_cleaned_lexically),
		cmocka_unit_test(escape_leaves_nothing_that_moves_a_terminal),
		cmocka_unit_test(shell_words_can_be_pasted),
		cmocka_unit_test(distance_finds_near_misses),
		cmocka_unit_test(buffer_refuses_to_pass_its_ceiling),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
