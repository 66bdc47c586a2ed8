#include "unit.h"

#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"
#include "json/json.h"

#include <stdlib.h>
#include <string.h>

#define TEXT(literal) literal, sizeof(literal) - 1

static void what_is_no_json_is_refused_with_its_place(void **state)
{
	static const struct {
		const char *text;
		size_t length;
		const char *problem;
	} cases[] = {
		{ TEXT(""), "the text ends where a value was expected, at byte 1" },
		{ TEXT("  "), "the text ends where a value was expected, at byte 3" },
		{ TEXT("{} {}"), "something follows the end of the JSON text, at byte 4" },
		{ TEXT("1,"), "something follows the end of the JSON text, at byte 2" },
		{ TEXT("\xef\xbb\xbf{}"),
		  "not a value; texts stand in double quotes, and nothing follows the last comma, at byte 1" },
		{ TEXT("'a'"),
		  "not a value; texts stand in double quotes, and nothing follows the last comma, at byte 1" },
		{ TEXT("NaN"),
		  "not a value; texts stand in double quotes, and nothing follows the last comma, at byte 1" },
		{ TEXT("Infinity"),
		  "not a value; texts stand in double quotes, and nothing follows the last comma, at byte 1" },
		{ TEXT("+1"),
		  "not a value; texts stand in double quotes, and nothing follows the last comma, at byte 1" },
		{ TEXT(".5"),
		  "not a value; texts stand in double quotes, and nothing follows the last comma, at byte 1" },
		{ TEXT("]"),
		  "not a value; texts stand in double quotes, and nothing follows the last comma, at byte 1" },
		{ TEXT("\0"),
		  "not a value; texts stand in double quotes, and nothing follows the last comma, at byte 1" },
		{ TEXT("\f1"),
		  "not a value; texts stand in double quotes, and nothing follows the last comma, at byte 1" },
		{ TEXT("// x\n1"),
		  "not a value; texts stand in double quotes, and nothing follows the last comma, at byte 1" },
		{ TEXT("nul"),
		  "not a value; texts stand in double quotes, and nothing follows the last comma, at byte 1" },
		{ TEXT("True"),
		  "not a value; texts stand in double quotes, and nothing follows the last comma, at byte 1" },
		{ TEXT("tRUE"),
		  "not a value; texts stand in double quotes, and nothing follows the last comma, at byte 1" },
		{ TEXT("nullx"), "something follows the end of the JSON text, at byte 5" },
		{ TEXT("-"), "not a number as JSON writes it, at byte 2" },
		{ TEXT("-a"), "not a number as JSON writes it, at byte 2" },
		{ TEXT("01"), "not a number as JSON writes it, at byte 3" },
		{ TEXT("-01"), "not a number as JSON writes it, at byte 4" },
		{ TEXT("1."), "not a number as JSON writes it, at byte 3" },
		{ TEXT("1.e1"), "not a number as JSON writes it, at byte 3" },
		{ TEXT("1e"), "not a number as JSON writes it, at byte 3" },
		{ TEXT("1e+"), "not a number as JSON writes it, at byte 4" },
		{ TEXT("1e1.5"), "something follows the end of the JSON text, at byte 4" },
		{ TEXT("0x10"), "something follows the end of the JSON text, at byte 2" },
		{ TEXT("1_000"), "something follows the end of the JSON text, at byte 2" },
		{ TEXT("\"a"), "this text has no closing quote on its line, at byte 3" },
		{ TEXT("\"a\\"), "an unknown escape; a backslash itself is written \\\\, at byte 4" },
		{ TEXT("\"a\\\""), "this text has no closing quote on its line, at byte 5" },
		{ TEXT("\"\\x41\""), "an unknown escape; a backslash itself is written \\\\, at byte 3" },
		{ TEXT("\"\\'\""), "an unknown escape; a backslash itself is written \\\\, at byte 3" },
		{ TEXT("\"\\\0\""), "an unknown escape; a backslash itself is written \\\\, at byte 3" },
		{ TEXT("\"\\U0041\""), "an unknown escape; a backslash itself is written \\\\, at byte 3" },
		{ TEXT("\"\\u004\""), "\\u wants four hexadecimal digits, at byte 7" },
		{ TEXT("\"\\u00g0\""), "\\u wants four hexadecimal digits, at byte 6" },
		{ TEXT("\"\\u-001\""), "\\u wants four hexadecimal digits, at byte 4" },
		{ TEXT("\"\\u 041\""), "\\u wants four hexadecimal digits, at byte 4" },
		{ TEXT("\"a\nb\""), "this text has no closing quote on its line, at byte 3" },
		{ TEXT("\"a\tb\""), "a control byte inside quotes; write it as an escape such as \\t, at byte 3" },
		{ TEXT("\"12345678\x1f\""),
		  "a control byte inside quotes; write it as an escape such as \\t, at byte 10" },
		{ TEXT("\"a\0b\""), "a control byte inside quotes; write it as an escape such as \\t, at byte 3" },
		{ TEXT("\"\x80\""), "bytes that are not UTF-8, at byte 2" },
		{ TEXT("\"\xc0\xaf\""), "bytes that are not UTF-8, at byte 2" },
		{ TEXT("\"\xc1\xbf\""), "bytes that are not UTF-8, at byte 2" },
		{ TEXT("\"\xc3\""), "bytes that are not UTF-8, at byte 2" },
		{ TEXT("\"\xe0\x9f\xbf\""), "bytes that are not UTF-8, at byte 2" },
		{ TEXT("\"\xe2\x82\""), "bytes that are not UTF-8, at byte 2" },
		{ TEXT("\"\xed\xa0\x80\""), "bytes that are not UTF-8, at byte 2" },
		{ TEXT("\"\xf0\x8f\xbf\xbf\""), "bytes that are not UTF-8, at byte 2" },
		{ TEXT("\"\xf4\x90\x80\x80\""), "bytes that are not UTF-8, at byte 2" },
		{ TEXT("\"\xf5\x80\x80\x80\""), "bytes that are not UTF-8, at byte 2" },
		{ TEXT("\"\xff\""), "bytes that are not UTF-8, at byte 2" },
		{ TEXT("\"\xf0\x9f\x98"), "bytes that are not UTF-8, at byte 2" },
		{ TEXT("{"), "a key in double quotes was expected; nothing follows the last comma, at byte 2" },
		{ TEXT("{1:2}"), "a key in double quotes was expected; nothing follows the last comma, at byte 2" },
		{ TEXT("{a:2}"), "a key in double quotes was expected; nothing follows the last comma, at byte 2" },
		{ TEXT("{\"a\"}"), "a colon was expected after the key, at byte 5" },
		{ TEXT("{\"a\",1}"), "a colon was expected after the key, at byte 5" },
		{ TEXT("{\"a\":}"),
		  "not a value; texts stand in double quotes, and nothing follows the last comma, at byte 6" },
		{ TEXT("{\"a\":1,}"),
		  "a key in double quotes was expected; nothing follows the last comma, at byte 8" },
		{ TEXT("{,}"), "a key in double quotes was expected; nothing follows the last comma, at byte 2" },
		{ TEXT("{\"a\":1 \"b\":2}"), "a comma or } was expected, at byte 8" },
		{ TEXT("{\"a\":1]"), "a comma or } was expected, at byte 7" },
		{ TEXT("{\"a\":1"), "the text ends inside an object; a } is missing, at byte 7" },
		{ TEXT("{]"), "a key in double quotes was expected; nothing follows the last comma, at byte 2" },
		{ TEXT("["), "the text ends where a value was expected, at byte 2" },
		{ TEXT("[1"), "the text ends inside a list; a ] is missing, at byte 3" },
		{ TEXT("[1,]"),
		  "not a value; texts stand in double quotes, and nothing follows the last comma, at byte 4" },
		{ TEXT("[,1]"),
		  "not a value; texts stand in double quotes, and nothing follows the last comma, at byte 2" },
		{ TEXT("[1 2]"), "a comma or ] was expected, at byte 4" },
		{ TEXT("[1}"), "a comma or ] was expected, at byte 3" },
		{ TEXT("[}"),
		  "not a value; texts stand in double quotes, and nothing follows the last comma, at byte 2" },
		{ TEXT("[{\"a\":[}]}]"),
		  "not a value; texts stand in double quotes, and nothing follows the last comma, at byte 8" },
		{ TEXT("[[1],{\"a\":1]}"), "a comma or } was expected, at byte 12" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		/* On the heap at its very length: a read beyond it is seen by AddressSanitizer. */
		mem_cleanup char *exact = mem_alloc(cases[i].length);
		struct npxc_error err = { 0 };
		struct json_span value = { 77, 77 };

		memcpy(exact, cases[i].text, cases[i].length);
		if (json_check(exact, cases[i].length, &value, &err))
			fail_msg("taken for JSON: %s", cases[i].text);
		assert_int_equal(err.kind, ERROR_JSON);
		assert_string_equal(err.message, cases[i].problem);
		assert_int_equal(value.offset, 77);
	}
}

static void json_is_taken_and_its_place_given(void **state)
{
	static const struct {
		const char *text;
		size_t offset, length;
	} cases[] = {
		{ "null", 0, 4 },
		{ " true\r\n", 1, 4 },
		{ "\t-0", 1, 2 },
		{ "-0.0E-00", 0, 8 },
		{ "9007199254740993", 0, 16 },
		{ "1e99999", 0, 7 },
		{ "\"\"", 0, 2 },
		{ "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\"", 0, 24 },
		{ "\"\\ud800\"", 0, 8 },
		{ "\"\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\"", 0,
		  24 },
		{ "{}", 0, 2 },
		{ " [ ] ", 1, 3 },
		{ "{ \"a\" : [ 1 , { } ] , \"a\" : \"]\" }", 0, 33 },
		{ "[[],{},[{\"\":{\"\":[]}}]]", 0, 22 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct npxc_error err = { 0 };
		struct json_span value;

		if (!json_check(cases[i].text, strlen(cases[i].text), &value, &err))
			fail_msg("%s: %s", cases[i].text, err.message);
		assert_int_equal(value.offset, cases[i].offset);
		assert_int_equal(value.length, cases[i].length);
		assert_int_equal(err.kind, ERROR_NONE);
	}
}

static char *nested(size_t depth, const char *open, const char *inner, const char *close)
{
	struct buf text = BUF_INIT(MIB);
	struct npxc_error err;

	for (size_t i = 0; i < depth; i++)
		assert_true(buf_append_text(&text, open, &err));
	assert_true(buf_append_text(&text, inner, &err));
	for (size_t i = 0; i < depth; i++)
		assert_true(buf_append_text(&text, close, &err));
	return buf_take(&text);
}

static void the_depth_has_a_ceiling(void **state)
{
	static const struct {
		const char *open, *inner, *close;
	} shapes[] = { { "[", "1", "]" }, { "{\"a\":", "\"x\"", "}" }, { "[{\"a\":[", "0", "]}]" } };
	static const size_t levels[] = { 1, 1, 3 };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		const size_t most = LIMIT_MESSAGE_DEPTH / levels[i];
		mem_cleanup char *fits = nested(most, shapes[i].open, shapes[i].inner, shapes[i].close);
		mem_cleanup char *deeper = nested(most + 1, shapes[i].open, shapes[i].inner, shapes[i].close);
		struct npxc_error err = { 0 };
		struct json_span value;

		assert_true(json_check(fits, strlen(fits), &value, &err));
		assert_int_equal(value.length, strlen(fits));
		assert_false(json_check(deeper, strlen(deeper), &value, &err));
		assert_non_null(strstr(err.message, "nested too deeply"));
	}
}

/* Every place of a stop within and around the eight bytes that are read at once. */
static void a_string_ends_where_it_ends(void **state)
{
	static const struct {
		const char *stop;
		bool ok;
	} stops[] = { { "", true },      { "\\\"", true }, { "\xc3\xa9", true }, { "\x7f", true },  { " ", true },
		      { "!", true },     { "[", true },    { "]", true },        { "\x1f", false }, { "\x01", false },
		      { "\xa9", false }, { "\"", false },  { "\\", false } };

	(void)state;
	for (size_t i = 0; i < sizeof(stops) / sizeof(stops[0]); i++) {
		for (size_t before = 0; before < 20; before++) {
			for (size_t after = 0; after < 20; after++) {
				mem_cleanup char *text =
				    str_printf("\"%.*s%s%.*s\"", (int)before, "  ~~##AAzz00..//~~  ", stops[i].stop,
				               (int)after, "xxxxxxxxxxxxxxxxxxxxxx");
				struct npxc_error err = { 0 };
				struct json_span value;

				assert_int_equal(json_check(text, strlen(text), &value, &err), stops[i].ok);
				if (stops[i].ok)
					assert_int_equal(value.length, strlen(text));
			}
		}
	}
}

/* After a problem nothing is read any more, and the first problem stays. */
static void a_problem_stays(void **state)
{
	static const char text[] = "{\"a\":tru,\"b\":1}";
	struct json_reader r;
	struct json_span span = { 7, 7 };
	struct json_span key;

	(void)state;
	json_start(&r, text, strlen(text));
	assert_true(json_enter(&r, JSON_OBJECT));
	assert_true(json_member(&r, &key));
	assert_false(json_skip(&r, &span));
	assert_int_equal(span.offset, 7);
	assert_false(json_member(&r, &key));
	assert_false(json_element(&r));
	assert_false(json_enter(&r, JSON_ARRAY));
	assert_false(json_skip(&r, &span));
	assert_int_equal(json_peek(&r), JSON_NONE);
	assert_false(json_end(&r));
	assert_string_equal(r.problem, "not a value; texts stand in double quotes, and nothing follows the last comma");
}

static void a_reader_refuses_what_the_caller_did_not_expect(void **state)
{
	struct json_reader r;
	struct json_span span;

	(void)state;
	json_start(&r, "[1]", 3);
	assert_false(json_enter(&r, JSON_OBJECT));
	assert_non_null(r.problem);
	json_start(&r, "{\"a\":1}", 7);
	assert_true(json_enter(&r, JSON_OBJECT));
	assert_false(json_end(&r));
	json_start(&r, "{\"a\":1}", 7);
	assert_true(json_enter(&r, JSON_OBJECT));
	assert_true(json_element(&r)); /* the key is taken for an element ... */
	assert_true(json_skip(&r, &span));
	assert_false(json_element(&r)); /* ... and its colon is not */
	assert_non_null(r.problem);
}

static void members_and_elements_in_order(void **state)
{
	static const char text[] = "\n{ \"a\" : [ 1, {\"x\":{}} , [] ],\"b\":{},\"\\u0061\":-2.5e1 } ";
	static const char *const keys[] = { "\"a\"", "\"b\"", "\"\\u0061\"" };
	static const char *const values[] = { "[ 1, {\"x\":{}} , [] ]", "{}", "-2.5e1" };
	struct json_reader r;
	struct json_span key;
	struct json_span value;
	size_t n = 0;

	(void)state;
	json_start(&r, text, strlen(text));
	assert_true(json_enter(&r, JSON_OBJECT));
	while (json_member(&r, &key)) {
		assert_true(json_skip(&r, &value));
		assert_int_equal(key.length, strlen(keys[n]));
		assert_memory_equal(text + key.offset, keys[n], key.length);
		assert_int_equal(value.length, strlen(values[n]));
		assert_memory_equal(text + value.offset, values[n], value.length);
		assert_int_equal(json_equals(text, key, "a"), n != 1);
		n++;
	}
	assert_int_equal(n, 3);
	assert_true(json_end(&r));

	/* A part of it, read again, has offsets of the whole. */
	json_start_at(&r, text, (struct json_span){ 9, strlen(values[0]) });
	assert_true(json_enter(&r, JSON_ARRAY));
	for (n = 0; json_element(&r); n++)
		assert_true(json_skip(&r, &value));
	assert_int_equal(n, 3);
	assert_memory_equal(text + value.offset, "[]", 2);
	assert_true(json_end(&r));
}

static struct json_span whole(const char *text)
{
	return (struct json_span){ 0, strlen(text) };
}

static void strings_mean_what_they_mean(void **state)
{
	static const struct {
		const char *string;
		const char *meaning;
		size_t length;
	} cases[] = {
		{ "\"\"", TEXT("") },
		{ "\"method\"", TEXT("method") },
		{ "\"\\u006det\\u0068od\"", TEXT("method") },
		{ "\"\\/a\\/b\"", TEXT("/a/b") },
		{ "\"\\\"\\\\\\b\\f\\n\\r\\t\"", TEXT("\"\\\b\f\n\r\t") },
		{ "\"\\u0000\"", TEXT("\0") },
		{ "\"a\\u0000b\"", TEXT("a\0b") },
		{ "\"\\u00E9\\u20ac\"", TEXT("\xc3\xa9\xe2\x82\xac") },
		{ "\"\\uD83D\\ude00!\"", TEXT("\xf0\x9f\x98\x80!") },
		{ "\"\\udbff\\udfff\"", TEXT("\xf4\x8f\xbf\xbf") },
		{ "\"\xf0\x9f\x98\x80\"", TEXT("\xf0\x9f\x98\x80") },
		{ "\"\\\\u0041\"", TEXT("\\u0041") },
		{ "\"\\u005cu0041\"", TEXT("\\u0041") },
		{ "\"0123456789abcdefghij\\n0123456789\"", TEXT("0123456789abcdefghij\n0123456789") },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		mem_cleanup char *meaning = NULL;
		struct npxc_error err = { 0 };
		size_t length;

		assert_true(json_decode(cases[i].string, whole(cases[i].string), &meaning, &length, &err));
		assert_int_equal(length, cases[i].length);
		assert_memory_equal(meaning, cases[i].meaning, length + 1);
		if (strlen(cases[i].meaning) == length) {
			assert_true(json_equals(cases[i].string, whole(cases[i].string), cases[i].meaning));
			mem_cleanup char *longer = str_printf("%sx", cases[i].meaning);
			assert_false(json_equals(cases[i].string, whole(cases[i].string), longer));
		}
	}
}

static void half_a_pair_cannot_be_said_in_utf8(void **state)
{
	static const char *const cases[] = { "\"\\ud83d\"",        "\"\\ude00\"",        "\"\\ud83dx\"",
		                             "\"\\ud83d\\n\"",     "\"\\ud83d\\u0041\"", "\"\\ud83d\\ud83d\"",
		                             "\"\\ude00\\ud83d\"", "\"/a/\\udfff\"",     "\"\\ud83d\\\\ude00\"" };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *meaning = NULL;
		size_t length = 7;
		struct npxc_error err = { 0 };

		assert_false(json_decode(cases[i], whole(cases[i]), &meaning, &length, &err));
		assert_int_equal(err.kind, ERROR_JSON);
		assert_null(meaning);
		assert_int_equal(length, 7);
		assert_false(json_equals(cases[i], whole(cases[i]), "\xf0\x9f\x98\x80"));
	}
}

static void strings_that_are_not_equal(void **state)
{
	static const char *const cases[][2] = {
		{ "\"method\"", "Method" },   { "\"method \"", "method" }, { "\"metho\"", "method" },
		{ "\"\\n\"", "\\n" },         { "\"\\u0000\"", "" },       { "\"id\\u0000\"", "id" },
		{ "\"\\u0069\"", "\\u0069" }, { "\"\\\\u0069\"", "i" },    { "\"\\u00e9\"", "\xe9" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (json_equals(cases[i][0], whole(cases[i][0]), cases[i][1]))
			fail_msg("%s was taken for %s", cases[i][0], cases[i][1]);
}

static void equal_strings_hash_alike(void **state)
{
	static const struct {
		const char *a, *b;
		bool same;
	} cases[] = {
		{ "\"path\"", "\"\\u0070ath\"", true },
		{ "\"a/b\"", "\"a\\/b\"", true },
		{ "\"\xf0\x9f\x98\x80\"", "\"\\ud83d\\ude00\"", true },
		{ "\"path\"", "\"Path\"", false },
		{ "\"\"", "\"\\u0000\"", false },
		{ "\"\\ud83d\"", "\"\\ud83e\"", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(json_hash(cases[i].a, whole(cases[i].a)) == json_hash(cases[i].b, whole(cases[i].b)),
		                 cases[i].same);
}

static void what_is_appended_means_the_same(void **state)
{
	static const struct {
		const char *text;
		size_t length;
		const char *string;
	} cases[] = {
		{ TEXT(""), "\"\"" },
		{ TEXT("/home/a b/c.txt"), "\"/home/a b/c.txt\"" },
		{ TEXT("/a\"b\\c"), "\"/a\\\"b\\\\c\"" },
		{ TEXT("a\nb\tc\x01\x1f\x7f"), "\"a\\u000ab\\u0009c\\u0001\\u001f\x7f\"" },
		{ TEXT("\0"), "\"\\u0000\"" },
		{ TEXT("\xc3\xa9\xf0\x9f\x98\x80"), "\"\xc3\xa9\xf0\x9f\x98\x80\"" },
		{ TEXT("a\xff/\xed\xa0\x80"), "\"a\xef\xbf\xbd/\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" },
		{ TEXT("\xe2\x82"), "\"\xef\xbf\xbd\xef\xbf\xbd\"" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		BUF_CLEANUP struct buf to = BUF_INIT(100);
		struct npxc_error err = { 0 };
		struct json_span value;

		assert_true(json_append_string(&to, cases[i].text, cases[i].length, &err));
		assert_string_equal(to.data, cases[i].string);
		assert_true(json_check(to.data, to.length, &value, &err));
	}
}

static void a_full_buffer_keeps_nothing_of_a_string(void **state)
{
	BUF_CLEANUP struct buf to = BUF_INIT(8);
	struct npxc_error err = { 0 };

	(void)state;
	assert_true(buf_append_text(&to, "ab", &err));
	assert_false(json_append_string(&to, "123456", 6, &err));
	assert_int_equal(err.kind, ERROR_IO);
	assert_string_equal(to.data, "ab");
	assert_false(json_append_string(&to, "123\n", 4, &err));
	assert_string_equal(to.data, "ab");
	assert_true(json_append_string(&to, "1234", 4, &err));
	assert_string_equal(to.data, "ab\"1234\"");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_no_json_is_refused_with_its_place),
		cmocka_unit_test(json_is_taken_and_its_place_given),
		cmocka_unit_test(the_depth_has_a_ceiling),
		cmocka_unit_test(a_string_ends_where_it_ends),
		cmocka_unit_test(a_problem_stays),
		cmocka_unit_test(a_reader_refuses_what_the_caller_did_not_expect),
		cmocka_unit_test(members_and_elements_in_order),
		cmocka_unit_test(strings_mean_what_they_mean),
		cmocka_unit_test(half_a_pair_cannot_be_said_in_utf8),
		cmocka_unit_test(strings_that_are_not_equal),
		cmocka_unit_test(equal_strings_hash_alike),
		cmocka_unit_test(what_is_appended_means_the_same),
		cmocka_unit_test(a_full_buffer_keeps_nothing_of_a_string),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
