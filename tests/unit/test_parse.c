#include "unit.h"

#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"
#include "json/parse.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

#define TEXT(literal) literal, sizeof(literal) - 1

static void a_whole_text_becomes_a_tree(void **state)
{
	static const struct {
		const char *text;
		size_t length;
		const char *printed;
	} cases[] = {
		{ TEXT(" {\"a\":[1,-2.5e1,true,false,null,\"x\"],\"b\":{}}\n"),
		  "{\"a\":[1,-25,true,false,null,\"x\"],\"b\":{}}" },
		{ TEXT("{\"a\":1,\"a\":2}"), "{\"a\":1,\"a\":2}" },
		{ TEXT("\"a\xff\xc3z\""), "\"a\xff\xc3z\"" },
		{ TEXT("\"\\ud83d\\ude00\\u00e9\""), "\"\xf0\x9f\x98\x80\xc3\xa9\"" },
		{ TEXT("[340282366920938463463374607431768211455]"), "[3.4028236692093846e+38]" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		/* No byte behind the text: AddressSanitizer sees who reads on. */
		mem_cleanup char *exact = malloc(cases[i].length);
		cJSON *tree;
		char *printed;

		memcpy(exact, cases[i].text, cases[i].length);
		tree = parse_text(exact, cases[i].length);
		assert_non_null(tree);
		printed = cJSON_PrintUnformatted(tree);
		assert_string_equal(printed, cases[i].printed);
		free(printed);
		cJSON_Delete(tree);
	}
}

/* What cJSON's own parser takes: each would be read otherwise by somebody else. */
static void what_another_parser_reads_otherwise_is_refused(void **state)
{
	static const struct {
		const char *text;
		size_t length;
	} cases[] = {
		{ TEXT("") },
		{ TEXT("{} {}") },
		{ TEXT("[1]x") },
		{ TEXT("[1]\0") },
		{ TEXT("\"a\tb\"") },
		{ TEXT("\"a\\u0000b\"") },
		{ TEXT("{\"\\u0000\":1}") },
		{ TEXT("\"\\ud800\"") },
		{ TEXT("[01]") },
		{ TEXT("[1.]") },
		{ TEXT("[+1]") },
		{ TEXT("\xef\xbb\xbf{}") },
		{ TEXT("[1,]") },
		{ TEXT("// x\n{}") },
		{ TEXT("{\"a\":[1,{\"b\":\"\\ud800\"}]}") },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (parse_text(cases[i].text, cases[i].length) != NULL)
			fail_msg("case %zu was accepted: %s", i, cases[i].text);
}

static void the_depth_has_a_ceiling(void **state)
{
	char text[2 * LIMIT_MESSAGE_DEPTH + 2];
	cJSON *tree;

	(void)state;
	memset(text, '[', LIMIT_MESSAGE_DEPTH + 1);
	memset(text + LIMIT_MESSAGE_DEPTH + 1, ']', LIMIT_MESSAGE_DEPTH + 1);
	assert_null(parse_text(text, sizeof(text)));
	tree = parse_text(text + 1, sizeof(text) - 2);
	assert_non_null(tree);
	cJSON_Delete(tree);
}

static void values_are_read_one_after_the_other(void **state)
{
	static const char text[] = "{\"a\":1}\n[2] {";
	struct json_reader reader;
	cJSON *tree;

	(void)state;
	json_start(&reader, text, strlen(text));
	tree = parse_next(&reader, NULL);
	assert_true(cJSON_IsObject(tree));
	cJSON_Delete(tree);
	tree = parse_next(&reader, NULL);
	assert_true(cJSON_IsArray(tree));
	cJSON_Delete(tree);
	assert_null(parse_next(&reader, NULL));
	assert_non_null(reader.problem);
}

static void places_are_those_of_keys_and_values(void **state)
{
	static const char text[] = " {\"a\" : [ 1,2 ] /* c */, // d \r\n \"b\": 3}";
	static const char *const starts[] = { "{", "\"a\"", "1", "2", "\"b\"" };
	struct parse_places places = { 0 };
	struct json_reader reader;

	(void)state;
	json_start(&reader, text, strlen(text));
	reader.comments = true;
	cJSON_Delete(parse_next(&reader, &places));
	assert_true(json_end(&reader));
	assert_int_equal(places.count, sizeof(starts) / sizeof(starts[0]));
	for (size_t i = 0; i < places.count; i++)
		assert_true(str_starts(text + places.v[i], starts[i]));
	assert_true(str_ends(text, text + reader.comment_end) && text[reader.comment_end - 1] == 'd');
	free(places.v);
}

static void a_key_that_stands_twice_is_found(void **state)
{
	cJSON *tree = parse_text(TEXT("{\"a\":{\"x\":1},\"b\":[{\"x\":1,\"y\":2,\"\\u0078\":3}]}"));
	const cJSON *first = NULL;
	const cJSON *second = parse_find_twice(tree, &first);

	(void)state;
	assert_non_null(second);
	assert_int_equal(first->valueint, 1);
	assert_int_equal(second->valueint, 3);
	assert_null(parse_find_twice(cJSON_GetObjectItemCaseSensitive(tree, "a"), &first));
	cJSON_Delete(tree);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_whole_text_becomes_a_tree),
		cmocka_unit_test(what_another_parser_reads_otherwise_is_refused),
		cmocka_unit_test(the_depth_has_a_ceiling),
		cmocka_unit_test(values_are_read_one_after_the_other),
		cmocka_unit_test(places_are_those_of_keys_and_values),
		cmocka_unit_test(a_key_that_stands_twice_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
