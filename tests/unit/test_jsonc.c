#include "unit.h"

#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"
#include "json/jsonc.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void what_is_read(void **state)
{
	static const struct {
		const char *text;
		const char *printed;
	} cases[] = {
		{ "{}", "{}" },
		{ " \t\r\n{ }\n", "{}" },
		{ "// c\n{} // c", "{}" },
		{ "/* a\n b **/{/**/}/*//*/", "{}" },
		{ "{\"a\": \"// no /* comment */\"}", "{\"a\":\"// no /* comment */\"}" },
		{ "{\"a\": \"\\\"// x\" /* \" */ }", "{\"a\":\"\\\"// x\"}" },
		{ "[1,/*2,*/3]", "[1,3]" },
		{ "{\"a\":1,\"A\":2}", "{\"a\":1,\"A\":2}" },
		{ "[-0.5e+1, 10, 0, true, false, null]", "[-5,10,0,true,false,null]" },
		{ "[\"\\u00e4\\ud83d\\ude00\\/\\b\"]", "[\"\xc3\xa4\xf0\x9f\x98\x80/\\b\"]" },
		{ "[\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\"] // \xc3\xa4",
		  "[\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\"]" },
		{ "\"alone\"", "\"alone\"" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct npxc_error err = { 0 };
		struct jsonc document;
		char *printed;

		if (!jsonc_parse(cases[i].text, strlen(cases[i].text), "f", &document, &err))
			fail_msg("%s: %s", cases[i].text, err.message);
		printed = cJSON_PrintUnformatted(document.root);
		assert_string_equal(printed, cases[i].printed);
		free(printed);
		jsonc_done(&document);
	}
}

#define TEXT(literal) literal, sizeof(literal) - 1

static void what_is_refused(void **state)
{
	static const struct {
		const char *text;
		size_t length;
		const char *message;
	} cases[] = {
		{ TEXT(""), "f:1: an empty file" },
		{ TEXT(" \n // only a comment\n"), "f:3: an empty file" },
		{ TEXT("{\"a\":1,}"), "f:1: a key in double quotes was expected; nothing follows the last comma" },
		{ TEXT("[1,\n]"), "f:2: not a value" },
		{ TEXT("{\"a\" 1}"), "f:1: a colon" },
		{ TEXT("{\"a\":\n1 \"b\":2}"), "f:2: a comma or }" },
		{ TEXT("[1 2]"), "f:1: a comma or ]" },
		{ TEXT("{\"a\":1"), "f:1: the text ends inside an object" },
		{ TEXT("[1"), "f:1: the text ends inside a list" },
		{ TEXT("{\"a\":"), "f:1: the text ends where a value" },
		{ TEXT("{a:1}"), "f:1: a key in double quotes" },
		{ TEXT("{'a':1}"), "f:1: a key in double quotes" },
		{ TEXT("{} {}"), "f:1: something follows the end" },
		{ TEXT("{}\n}"), "f:2: something follows the end" },
		{ TEXT("{}\0"), "f:1: a NUL byte" },
		{ TEXT("{\"a\":\"b\0c\"}"), "f:1: a NUL byte" },
		{ TEXT("{} // \0"), "f:1: a NUL byte" },
		{ TEXT("\n{\"a\":\"\\u0000\"}"), "f:2: \\u0000 cannot" },
		{ TEXT("{\"a\\u0000\":1}"), "f:1: \\u0000 cannot" },
		{ TEXT("\xef\xbb\xbf{}"), "f:1: the file starts with a byte order mark" },
		{ TEXT("{}\n// \xff"), "f:2: bytes that are not UTF-8" },
		{ TEXT("[\"\xc0\xaf\"]"), "f:1: bytes that are not UTF-8" },
		{ TEXT("[\"\xe0\x80\xaf\"]"), "f:1: bytes that are not UTF-8" },
		{ TEXT("[\"\xed\xa0\x80\"]"), "f:1: bytes that are not UTF-8" },
		{ TEXT("[\"\xf4\x90\x80\x80\"]"), "f:1: bytes that are not UTF-8" },
		{ TEXT("[\"\xf0\x80\x80\xaf\"]"), "f:1: bytes that are not UTF-8" },
		{ TEXT("[\"\xc3\"]"), "f:1: bytes that are not UTF-8" },
		{ TEXT("[\"\xc3"), "f:1: bytes that are not UTF-8" },
		{ TEXT("[\"\\ud800\"]"), "f:1: half of a surrogate pair" },
		{ TEXT("[\"\\ude00\"]"), "f:1: half of a surrogate pair" },
		{ TEXT("[\"\\ud800\\ud800\"]"), "f:1: half of a surrogate pair" },
		{ TEXT("[\"\\ud83d\\n\"]"), "f:1: half of a surrogate pair" },
		{ TEXT("[\"\\u12g4\"]"), "f:1: \\u wants four" },
		{ TEXT("[\"\\u12"), "f:1: \\u wants four" },
		{ TEXT("[\"\\x41\"]"), "f:1: an unknown escape" },
		{ TEXT("[\"\\"), "f:1: an unknown escape" },
		{ TEXT("[\"a\tb\"]"), "f:1: a control byte" },
		{ TEXT("[\"a\nb\"]"), "f:1: this text has no closing quote" },
		{ TEXT("[\"a"), "f:1: this text has no closing quote" },
		{ TEXT("\n/* never\n ends\n"), "f:2: this comment has no end" },
		{ TEXT("{}/*/"), "f:1: this comment has no end" },
		{ TEXT("{} /"), "f:1: something follows the end" },
		{ TEXT("# no\n{}"), "f:1: not a value" },
		{ TEXT("[01]"), "f:1: not a number" },
		{ TEXT("[-]"), "f:1: not a number" },
		{ TEXT("[1.]"), "f:1: not a number" },
		{ TEXT("[1e]"), "f:1: not a number" },
		{ TEXT("[.5]"), "f:1: not a value" },
		{ TEXT("[+1]"), "f:1: not a value" },
		{ TEXT("[0x10]"), "f:1: a comma or ]" },
		{ TEXT("[NaN]"), "f:1: not a value" },
		{ TEXT("[truex]"), "f:1: a comma or ]" },
		{ TEXT("[True]"), "f:1: not a value" },
		{ TEXT("[111111111111111111111111111111111]"), "f:1: a number of too many bytes" },
		{ TEXT("{\"a\":1,\n\"a\":2}"), "f:2: a: this key is there already, on line 1" },
		{ TEXT("{\"a\":1,\"\\u0061\":2}"), "f:1: a: this key is there already" },
		{ TEXT("{\"o\":[{\"x\":1,\"y\":0,\"x\":\n1}]}"), "f:1: o[0].x: this key is there already" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct npxc_error err = { 0 };
		struct jsonc document;

		if (jsonc_parse(cases[i].text, cases[i].length, "f", &document, &err))
			fail_msg("case %zu was accepted: %s", i, cases[i].text);
		assert_int_equal(err.kind, ERROR_CONFIG);
		if (!str_starts(err.message, cases[i].message))
			fail_msg("case %zu: \"%s\" does not begin \"%s\"", i, err.message, cases[i].message);
	}
}

static char *nested(size_t levels)
{
	char *text = mem_alloc(levels * 2 + 1);

	memset(text, '[', levels);
	memset(text + levels, ']', levels);
	return text;
}

static void what_is_too_deep_or_too_large_is_refused(void **state)
{
	struct npxc_error err = { 0 };
	struct jsonc document;
	mem_cleanup char *deepest = nested(LIMIT_JSON_DEPTH);
	mem_cleanup char *deeper = nested(LIMIT_JSON_DEPTH + 1);
	mem_cleanup char *abyss = nested(400000);
	mem_cleanup char *large = mem_alloc(LIMIT_CONFIG_BYTES + 2);

	(void)state;
	assert_true(jsonc_parse(deepest, strlen(deepest), "f", &document, &err));
	jsonc_done(&document);
	assert_false(jsonc_parse(deeper, strlen(deeper), "f", &document, &err));
	assert_string_equal(err.message, "f:1: nested too deeply");
	assert_false(jsonc_parse(abyss, strlen(abyss), "f", &document, &err));
	assert_string_equal(err.message, "f:1: nested too deeply");

	memset(large, ' ', LIMIT_CONFIG_BYTES + 1);
	memcpy(large, "{}", 2);
	assert_true(jsonc_parse(large, LIMIT_CONFIG_BYTES, "f", &document, &err));
	jsonc_done(&document);
	assert_false(jsonc_parse(large, LIMIT_CONFIG_BYTES + 1, "f", &document, &err));
	assert_string_equal(err.message, "f: more than 1048576 bytes");
}

static void lines_and_keys(void **state)
{
	static const char text[] = "/* one\n"
	                           "two */ {\n"
	                           "  \"a\": 1, // three\n"
	                           "  \"list\": [ \"x\",\n"
	                           "     {\"odd key\":\n"
	                           "       {\"deep\": null}}\n"
	                           "  ],\n"
	                           "  \"z\" /* eight\n"
	                           "  nine */ :\n"
	                           "   true\n"
	                           "}";
	struct npxc_error err = { 0 };
	struct jsonc document;
	const cJSON *list;
	const cJSON *odd;
	cJSON stranger = { 0 };

	(void)state;
	assert_true(jsonc_parse(text, strlen(text), "f", &document, &err));
	list = cJSON_GetObjectItemCaseSensitive(document.root, "list");
	odd = cJSON_GetArrayItem(list, 1)->child;
	assert_int_equal(jsonc_line(&document, document.root), 2);
	assert_int_equal(jsonc_line(&document, document.root->child), 3);
	assert_int_equal(jsonc_line(&document, list), 4);
	assert_int_equal(jsonc_line(&document, list->child), 4);
	assert_int_equal(jsonc_line(&document, list->child->next), 5);
	assert_int_equal(jsonc_line(&document, odd->child), 6);
	assert_int_equal(jsonc_line(&document, list->next), 8); /* the key's line, not the value's */
	assert_int_equal(jsonc_line(&document, &stranger), 0);

	assert_false(jsonc_error(&document, odd->child, &err, "%s %d", "no", 7));
	assert_string_equal(err.message, "f:6: list[1][\"odd key\"].deep: no 7");
	assert_false(jsonc_error(&document, document.root->child, &err, "no"));
	assert_string_equal(err.message, "f:3: a: no");
	assert_false(jsonc_error(&document, document.root, &err, "no"));
	assert_string_equal(err.message, "f:2: no");
	jsonc_done(&document);
}

static void the_reason_survives_long_names(void **state)
{
	char file[2000];
	char text[2000];
	struct npxc_error err = { 0 };
	struct jsonc document;

	(void)state;
	memset(file, 'd', sizeof(file));
	memcpy(file + sizeof(file) - 12, "/npxc.json", 11);
	snprintf(text, sizeof(text), "{\"%01000d\": {\"%0500d\": 1}}", 1, 2);
	assert_true(jsonc_parse(text, strlen(text), file, &document, &err));
	assert_false(jsonc_error(&document, document.root->child->child, &err, "the reason"));
	assert_non_null(strstr(err.message, "/npxc.json:1: ..."));
	assert_true(str_ends(err.message, ": the reason"));
	assert_true(strlen(err.message) < 320);
	jsonc_done(&document);
}

static void many_keys_are_no_trouble(void **state)
{
	enum { KEYS = 60000 };
	char *text = mem_alloc(KEYS * 12 + 64);
	size_t used = 0;
	struct npxc_error err = { 0 };
	struct jsonc document;

	(void)state;
	text[used++] = '{';
	for (int i = 0; i < KEYS; i++)
		used += (size_t)sprintf(text + used, "\"k%d\":%d,", i, i % 10);
	used += (size_t)sprintf(text + used, "\"k30000\":1}");
	assert_false(jsonc_parse(text, used, "f", &document, &err));
	assert_string_equal(err.message, "f:1: k30000: this key is there already, on line 1; keep one of them");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_read),
		cmocka_unit_test(what_is_refused),
		cmocka_unit_test(what_is_too_deep_or_too_large_is_refused),
		cmocka_unit_test(lines_and_keys),
		cmocka_unit_test(the_reason_survives_long_names),
		cmocka_unit_test(many_keys_are_no_trouble),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
