#include "unit.h"

#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"
#include "files/schema.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct json_span check(const char *text)
{
	struct npxc_error err = { 0 };
	struct json_span whole;

	if (!json_check(text, strlen(text), &whole, &err))
		fail_msg("%s: %s", text, err.message);
	return whole;
}

static size_t learn(struct schema *schema, const char *result)
{
	return schema_learn(schema, result, check(result));
}

/* Steps separated by slashes; "#3" is an element. */
static unsigned marks_at(const struct pattern *pattern, const char *place)
{
	struct pattern_walk walk;
	unsigned marks;

	pattern_walk_start(&walk, pattern);
	for (const char *p = place; *p == '/';) {
		const size_t length = strcspn(p + 1, "/");
		mem_cleanup char *step = str_dup_n(p + 1, length);
		mem_cleanup char *key = str_printf("\"%s\"", step);

		if (step[0] == '#')
			pattern_walk_element(&walk, (size_t)atoi(step + 1));
		else
			pattern_walk_member(&walk, key, (struct json_span){ 0, strlen(key) });
		p += 1 + length;
	}
	marks = pattern_walk_marks(&walk);
	pattern_walk_done(&walk);
	return marks;
}

/* Places */

static const struct {
	const char *place;
	const char *at;
	bool marked;
} places[] = {
	{ "path", "/path", true },
	{ "path", "/path/deeper/#7/x", true },
	{ "path", "", false },
	{ "path", "/paths", false },
	{ "path", "/other/path", false },
	{ "path", "/#0", false },
	{ "/path", "/path", true },
	{ "/a/b", "/a/b", true },
	{ "/a/b", "/a/b/c", true },
	{ "/a/b", "/a", false },
	{ "/a/b", "/b", false },
	{ "/a/b", "/a/c", false },
	{ "/a~1b~0c~01", "/a~1b", false },
	{ "/list/0", "/list/#0", true },
	{ "/list/0", "/list/#1", false },
	{ "/list/0", "/list/0", true }, /* an object with a member "0" */
	{ "/list/*/file", "/list/#12/file", true },
	{ "/list/*/file", "/list/key/file", true },
	{ "/list/*/file", "/list/#12/name", false },
	{ "/list/*/file", "/list/file", false },
	{ "/*", "/anything", true },
	{ "*", "/anything", false }, /* a name like any other */
	{ "*", "/*", true },
	{ "/\xc3\xa9", "/\\u00e9", true },
	{ "p\xc3\xa9", "/\\u0070\xc3\xa9", true },
	{ "p", "/P", false },
	{ "/", "/", true }, /* the empty name */
	{ "/", "/x", false },
};

static void a_place_is_marked_with_all_beneath(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		struct pattern pattern;

		pattern_start(&pattern);
		pattern_add_place(&pattern, "unrelated", 2);
		pattern_add_place(&pattern, places[i].place, 1);
		pattern_add_place(&pattern, "/zz/top", 4);
		pattern_sort(&pattern);
		if (marks_at(&pattern, places[i].at) != (places[i].marked ? 1U : 0U))
			fail_msg("%s at %s", places[i].place, places[i].at);
		pattern_done(&pattern);
	}
}

static void escapes_of_pointers_are_read(void **state)
{
	const char *key = "\"a/b~c~1\"";
	struct pattern_walk walk;
	struct pattern pattern;

	(void)state;
	pattern_start(&pattern);
	pattern_add_place(&pattern, "/a~1b~0c~01", 1);
	pattern_sort(&pattern);
	pattern_walk_start(&walk, &pattern);
	pattern_walk_member(&walk, key, (struct json_span){ 0, strlen(key) });
	assert_int_equal(pattern_walk_marks(&walk), 1);
	pattern_walk_up(&walk);
	assert_int_equal(pattern_walk_marks(&walk), 0);
	pattern_walk_done(&walk);
	pattern_done(&pattern);
}

static void nothing_is_marked_without_a_pattern(void **state)
{
	(void)state;
	assert_int_equal(marks_at(NULL, "/a/#1/b"), 0);
}

/* Beyond the ceilings nothing is added, and what is there still works. */
static void a_full_pattern_says_so(void **state)
{
	struct pattern pattern;
	char name[16];

	(void)state;
	pattern_start(&pattern);
	for (int i = 0; i < PATTERN_STATES_MAX + 5; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		pattern_add_place(&pattern, name, 1);
	}
	assert_true(pattern.full);
	assert_int_equal(pattern.state_count, PATTERN_STATES_MAX);
	pattern_sort(&pattern);
	assert_int_equal(marks_at(&pattern, "/n0"), 1);
	assert_int_equal(marks_at(&pattern, "/n8000"), 1);
	assert_int_equal(marks_at(&pattern, "/n8195"), 0);
	pattern_done(&pattern);
}

/* Schemas */

#define NODE_LIST "{\"type\":\"array\",\"items\":{\"$ref\":\"#/$defs/node\"}}"
#define P(schema) "{\"properties\":{\"p\":" schema "}}"
#define D(words) P("{\"type\":\"string\",\"description\":\"" words "\"}")
#define N(name) "{\"properties\":{\"" name "\":{\"type\":\"string\"}}}"

static const struct {
	const char *schema;
	const char *at;
	unsigned marks;
} schemas[] = {
	/* formats */
	{ P("{\"type\":\"string\",\"format\":\"path\"}"), "/p", SCHEMA_PATH },
	{ P("{\"type\":\"string\",\"format\":\"file-path\"}"), "/p", SCHEMA_PATH },
	{ P("{\"type\":\"string\",\"format\":\"file_path\"}"), "/p", SCHEMA_PATH },
	{ P("{\"format\":\"Directory\"}"), "/p", SCHEMA_PATH },
	{ P("{\"type\":[\"string\",\"null\"],\"format\":\"path\"}"), "/p", SCHEMA_PATH },
	{ P("{\"type\":\"string\",\"format\":\"path\",\"description\":\"in the repository\"}"), "/p", SCHEMA_PATH },
	{ P("{\"type\":\"string\",\"format\":\"uri\"}"), "/p", SCHEMA_URI },
	{ P("{\"type\":\"string\",\"format\":\"uri-reference\"}"), "/p", SCHEMA_URI },
	{ P("{\"type\":\"string\",\"format\":\"json-pointer\"}"), "/p", 0 },
	{ P("{\"type\":\"string\",\"format\":\"date-time\",\"description\":\"Path to x\"}"), "/p", 0 },
	{ P("{\"type\":\"integer\",\"format\":\"path\"}"), "/p", 0 },
	{ P("{\"type\":\"string\",\"format\":7}"), "/p", 0 },

	/* descriptions */
	{ D("Path to the file"), "/p", SCHEMA_PATH },
	{ D("The absolute or relative path of an image"), "/p", SCHEMA_PATH },
	{ D("File path"), "/p", SCHEMA_PATH },
	{ D("Directory to search in"), "/p", SCHEMA_PATH },
	{ D("The output directory"), "/p", SCHEMA_PATH },
	{ P("{\"type\":\"string\",\"title\":\"Input path\"}"), "/p", SCHEMA_PATH },
	{ D("PATH to it"), "/p", SCHEMA_PATH },
	{ D("p\\u0061th of it"), "/p", SCHEMA_PATH },
	{ D("The pathology report"), "/p", 0 },
	{ D("A list of words that go on for long before they mention at their very end a path"), "/p", 0 },
	{ D("URL path"), "/p", SCHEMA_PATH },
	{ D("Field path, such as a.b"), "/p", SCHEMA_PATH },
	{ D("Path in dot notation"), "/p", SCHEMA_PATH },
	{ D("Path of the file in the repository"), "/p", SCHEMA_PATH },
	{ D("Path within the bucket"), "/p", SCHEMA_PATH },
	{ D("Path relative to the vault root"), "/p", SCHEMA_PATH },
	{ D("Path relative to the server's image directory"), "/p", SCHEMA_PATH },
	{ D("Chart name or path to the chart"), "/p", SCHEMA_PATH },
	{ D("The direction of the sort"), "/p", 0 },
	{ D("Which directory listing style to use"), "/p", SCHEMA_PATH },
	{ D("The content of the file"), "/p", SCHEMA_PATH },
	{ D("\\ud800 Path"), "/p", 0 },

	/* names */
	{ N("path"), "/path", SCHEMA_PATH },
	{ N("filePath"), "/filePath", SCHEMA_PATH },
	{ N("file_path"), "/file_path", SCHEMA_PATH },
	{ N("outputPDFPath"), "/outputPDFPath", SCHEMA_PATH },
	{ N("source-dir"), "/source-dir", SCHEMA_PATH },
	{ N("cwd"), "/cwd", SCHEMA_PATH },
	{ N("\\u0070ath"), "/path", SCHEMA_PATH },
	{ N("xpath"), "/xpath", 0 },
	{ N("urlPath"), "/urlPath", SCHEMA_PATH },
	{ N("excludePaths"), "/excludePaths", SCHEMA_PATH },
	{ N("pathPattern"), "/pathPattern", 0 },
	{ N("path_count"), "/path_count", 0 },
	{ N("file"), "/file", SCHEMA_PATH },
	{ N("fileName"), "/fileName", SCHEMA_PATH },
	{ N("profile"), "/profile", 0 },
	{ N("direction"), "/direction", 0 },
	{ "{\"properties\":{\"file\":{\"type\":\"string\",\"description\":\"Relative to the current one\"}}}", "/file",
	  SCHEMA_PATH },
	{ "{\"properties\":{\"file\":{\"type\":\"string\",\"description\":\"Its name\"}}}", "/file", SCHEMA_PATH },
	{ "{\"properties\":{\"content\":{\"type\":\"string\",\"description\":\"Text for the path\"}}}", "/content",
	  SCHEMA_PATH },
	{ "{\"properties\":{\"path\":{\"type\":\"string\",\"description\":\"In dot notation\"}}}", "/path",
	  SCHEMA_PATH },
	{ "{\"properties\":{\"path\":{\"type\":\"number\"}}}", "/path", 0 },
	{ "{\"properties\":{\"path\":{\"enum\":[\"a\",\"b\"]}}}", "/path", SCHEMA_PATH },
	{ "{\"properties\":{\"path\":{\"const\":\"a\"}}}", "/path", SCHEMA_PATH },
	{ "{\"properties\":{\"path\":{}}}", "/path", SCHEMA_PATH },
	{ "{\"properties\":{\"path\":true}}", "/path", 0 },
	{ "{\"properties\":{\"owner\":{},\"repo\":{},\"path\":{\"type\":\"string\"}}}", "/path", SCHEMA_PATH },
	{ "{\"properties\":{\"owner\":{},\"path\":{\"type\":\"string\"}}}", "/path", SCHEMA_PATH },
	{ "{\"properties\":{\"bucket\":{},\"files\":{\"items\":{\"properties\":{\"path\":{}}}}}}", "/files/#0/path",
	  SCHEMA_PATH },

	/* depth */
	{ P("{\"type\":\"array\",\"description\":\"Paths to read\",\"items\":{\"type\":\"string\"}}"), "/p/#3",
	  SCHEMA_PATH },
	{ P("{\"type\":\"array\",\"description\":\"Paths to read\",\"items\":{\"type\":\"string\"}}"), "/p", 0 },
	{ P("{\"type\":\"array\",\"description\":\"Paths\",\"items\":{\"type\":\"string\",\"description\":\"In the "
	    "vault\"}}"),
	  "/p/#3", SCHEMA_PATH },
	{ P("{\"description\":\"Paths\",\"items\":{\"properties\":{\"q\":{\"type\":\"string\"}}}}"), "/p/#0/q", 0 },
	{ P("{\"description\":\"Paths\",\"additionalProperties\":{\"type\":\"string\"}}"), "/p/any", SCHEMA_PATH },
	{ P("{\"patternProperties\":{\"^x\":{\"format\":\"path\"}}}"), "/p/xy", SCHEMA_PATH },
	{ P("{\"prefixItems\":[{},{\"format\":\"path\"}]}"), "/p/#1", SCHEMA_PATH },
	{ P("{\"items\":[{\"format\":\"path\"}]}"), "/p/#0", SCHEMA_PATH },
	{ P("{\"contains\":{\"format\":\"path\"}}"), "/p/#9", SCHEMA_PATH },
	{ P("{\"oneOf\":[{\"type\":\"number\"},{\"type\":\"string\",\"format\":\"path\"}]}"), "/p", SCHEMA_PATH },
	{ P("{\"anyOf\":[{\"allOf\":[{\"format\":\"path\"}]}]}"), "/p", SCHEMA_PATH },
	{ P("{\"description\":\"File paths\",\"anyOf\":[{\"type\":\"string\"},{\"items\":{\"type\":\"string\"}}]}"),
	  "/p/#0", SCHEMA_PATH },
	{ P("{\"if\":{},\"then\":{\"format\":\"path\"}}"), "/p", SCHEMA_PATH },
	{ P("{\"not\":{\"format\":\"path\"}}"), "/p", 0 },
	{ P("{\"default\":{\"properties\":{\"path\":{}}},\"x\":{\"format\":\"path\"}}"), "/p/path", 0 },
	{ "{\"allOf\":[{\"properties\":{\"path\":{}}}]}", "/path", SCHEMA_PATH },
	{ "{\"properties\":{\"properties\":{\"properties\":{\"path\":{}}}}}", "/properties/path", SCHEMA_PATH },

	/* references */
	{ "{\"properties\":{\"p\":{\"$ref\":\"#/$defs/f\"}},\"$defs\":{\"f\":{\"format\":\"path\"}}}", "/p",
	  SCHEMA_PATH },
	{ "{\"properties\":{\"p\":{\"$ref\":\"#/$defs/a~1b~0\"}},\"$defs\":{\"a/b~\":{\"format\":\"path\"}}}", "/p",
	  SCHEMA_PATH },
	{ "{\"properties\":{\"p\":{\"$ref\":\"#/$defs/l/1\"}},\"$defs\":{\"l\":[{},{\"format\":\"path\"}]}}", "/p",
	  SCHEMA_PATH },
	{ "{\"properties\":{\"p\":{\"$ref\":\"#/definitions/n\"}},\"definitions\":{\"n\":{\"$ref\":\"#/definitions/"
	  "f\"},"
	  "\"f\":{\"format\":\"path\"}}}",
	  "/p", SCHEMA_PATH },
	{ "{\"properties\":{\"filePath\":{\"$ref\":\"#/$defs/s\"},\"name\":{\"$ref\":\"#/$defs/s\"}},\"$defs\":{\"s\":{"
	  "\"type\":\"string\"}}}",
	  "/filePath", SCHEMA_PATH },
	{ "{\"properties\":{\"filePath\":{\"$ref\":\"#/$defs/s\"},\"name\":{\"$ref\":\"#/$defs/s\"}},\"$defs\":{\"s\":{"
	  "\"type\":\"string\"}}}",
	  "/name", 0 },
	{ P("{\"$ref\":\"#/properties/p\"}"), "/p", 0 },
	{ P("{\"$ref\":\"#/nowhere\"}"), "/p", 0 },
	{ P("{\"$ref\":\"https://example.com/s.json#/path\"}"), "/p", 0 },
	{ P("{\"$ref\":\"path.json\"}"), "/p", 0 },
	{ P("{\"$ref\":\"\"}"), "/p", 0 },
	{ P("{\"$ref\":5}"), "/p", 0 },
	{ "{\"$defs\":{\"node\":{\"properties\":{\"path\":{\"type\":\"string\"},\"children\":" NODE_LIST
	  "}}},\"properties\":"
	  "{\"tree\":{\"$ref\":\"#/$defs/node\"}}}",
	  "/tree/children/#0/children/#1/children/#2/children/#3/path", SCHEMA_PATH },
	{ "{\"properties\":{\"path\":{\"type\":\"string\"},\"in\":{\"$ref\":\"#\"}}}", "/in/in/in/path", SCHEMA_PATH },
	{ "{\"properties\":{\"path\":{\"type\":\"string\"},\"in\":{\"$ref\":\"#\"}}}", "/in/in/in/name", 0 },

	/* what is odd is passed over */
	{ "true", "/path", 0 },
	{ "[]", "/path", 0 },
	{ "\"path\"", "/path", 0 },
	{ "{\"properties\":[{\"path\":{}}]}", "/path", 0 },
	{ "{\"properties\":{\"path\":[]}}", "/path", 0 },
	{ "{\"properties\":{\"a\\u0000path\":{},\"\\ud800path\":{}}}", "/a", 0 },
	{ "{\"type\":{},\"oneOf\":7,\"$ref\":[],\"items\":\"x\",\"properties\":{\"path\":{\"type\":{}}}}", "/path", 0 },
};

static void a_schema_says_where_paths_are(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(schemas) / sizeof(schemas[0]); i++) {
		mem_cleanup char *result =
		    str_printf("{\"tools\":[{\"name\":\"t\",\"inputSchema\":%s}]}", schemas[i].schema);
		struct schema *schema = schema_new();
		unsigned marks;

		assert_int_equal(learn(schema, result), 1);
		marks = marks_at(schema_find(schema, "t", 1), schemas[i].at);
		if (marks != schemas[i].marks)
			fail_msg("%s at %s: %u", schemas[i].schema, schemas[i].at, marks);
		schema_free(schema);
	}
}

#define TOOL(name, argument) "{\"name\":\"" name "\",\"inputSchema\":{\"properties\":{\"" argument "\":{}}}}"

static void results_that_are_no_lists_teach_nothing(void **state)
{
	static const char *const results[] = {
		"{}",
		"[]",
		"7",
		"\"tools\"",
		"{\"tools\":{}}",
		"{\"tools\":[]}",
		"{\"tools\":[1,\"x\",[],{}]}",
		"{\"tools\":[{\"name\":\"t\"}]}",
		"{\"tools\":[{\"inputSchema\":{}}]}",
		"{\"tools\":[{\"name\":7,\"inputSchema\":{}}]}",
		"{\"tools\":[{\"name\":\"\\udc00\",\"inputSchema\":{}}]}",
		"{\"result\":{\"tools\":[" TOOL("t", "path") "]}}",
		"{\"Tools\":[" TOOL("t", "path") "]}",
	};
	struct schema *schema = schema_new();

	(void)state;
	for (size_t i = 0; i < sizeof(results) / sizeof(results[0]); i++)
		if (learn(schema, results[i]) != 0 || schema_count(schema) != 0)
			fail_msg("%s", results[i]);
	assert_int_equal(schema_learn(schema, "", (struct json_span){ 0 }), 0);
	schema_free(schema);
}

static void pages_add_and_later_lists_replace(void **state)
{
	struct schema *schema = schema_new();

	(void)state;
	assert_int_equal(
	    learn(schema, "{\"tools\":[" TOOL("a", "path") "," TOOL("b", "path") "],\"nextCursor\":\"x\"}"), 2);
	assert_int_equal(learn(schema, "{\"tools\":[" TOOL("\\u0063", "path") "]}"), 1);
	assert_int_equal(schema_count(schema), 3);
	assert_int_equal(marks_at(schema_find(schema, "c", 1), "/path"), SCHEMA_PATH);
	assert_int_equal(learn(schema, "{\"tools\":[" TOOL("a", "dir") "]}"), 1);
	assert_int_equal(schema_count(schema), 3);
	assert_int_equal(marks_at(schema_find(schema, "a", 1), "/path"), 0);
	assert_int_equal(marks_at(schema_find(schema, "a", 1), "/dir"), SCHEMA_PATH);
	assert_int_equal(marks_at(schema_find(schema, "b", 1), "/path"), SCHEMA_PATH);
	assert_null(schema_find(schema, "A", 1));
	assert_null(schema_find(schema, "", 0));
	assert_null(schema_find(schema, "ab", 2));
	schema_free(schema);
}

static void the_tool_listed_longest_ago_gives_way(void **state)
{
	struct schema *schema = schema_new();
	char result[128];

	(void)state;
	for (int i = 0; i < LIMIT_SCHEMA_TOOLS; i++) {
		snprintf(result, sizeof(result), "{\"tools\":[{\"name\":\"t%d\",\"inputSchema\":{}}]}", i);
		assert_int_equal(learn(schema, result), 1);
	}
	assert_int_equal(learn(schema, "{\"tools\":[" TOOL("t0", "path") "]}"), 1);
	assert_int_equal(learn(schema, "{\"tools\":[" TOOL("new", "path") "]}"), 1);
	assert_int_equal(schema_count(schema), LIMIT_SCHEMA_TOOLS);
	assert_non_null(schema_find(schema, "t0", 2));
	assert_null(schema_find(schema, "t1", 2));
	assert_non_null(schema_find(schema, "t2", 2));
	assert_non_null(schema_find(schema, "new", 3));
	schema_free(schema);
}

/* Text behind `end` of `start` and `count` times `middle`. Owned. */
static char *repeat(const char *start, const char *middle, size_t count, const char *end)
{
	BUF_CLEANUP struct buf text = BUF_INIT(16 * MIB);
	struct npxc_error err = { 0 };
	bool ok = buf_append_text(&text, start, &err);

	for (size_t i = 0; ok && i < count; i++)
		ok = buf_append_text(&text, middle, &err);
	assert_true(ok && buf_append_text(&text, end, &err));
	return buf_take(&text);
}

/* One tool with so many properties, each of which says that it is a path. Owned. */
static char *wide_tool(const char *name, size_t properties)
{
	BUF_CLEANUP struct buf text = BUF_INIT(16 * MIB);
	struct npxc_error err;
	bool ok =
	    buf_appendf(&text, &err, "{\"tools\":[{\"name\":\"%s\",\"inputSchema\":{\"properties\":{\"path\":{}", name);

	for (size_t i = 0; ok && i < properties; i++)
		ok = buf_appendf(&text, &err, ",\"filePath%zu\":{}", i);
	assert_true(ok && buf_append_text(&text, "}}}]}", &err));
	return buf_take(&text);
}

/* A server may list what it likes, as often as it likes. */
static void all_that_was_learned_has_a_budget(void **state)
{
	enum { TOOLS = 40, PROPERTIES = 16000 };
	struct schema *schema = schema_new();
	char name[16];
	size_t most = 0;

	(void)state;
	assert_int_equal(learn(schema, "{\"tools\":[" TOOL("small", "path") "]}"), 1);
	assert_true(schema_bytes(schema) > 0 && schema_bytes(schema) < 4 * KIB);
	for (int i = 0; i < TOOLS; i++) {
		mem_cleanup char *text = NULL;

		snprintf(name, sizeof(name), "t%d", i);
		text = wide_tool(name, PROPERTIES);
		assert_int_equal(learn(schema, text), 1);
		/* Without the budget they would come to more than twice as much. */
		assert_true(schema_bytes(schema) <= LIMIT_SCHEMA_KEPT_BYTES);
		most = schema_bytes(schema) > most ? schema_bytes(schema) : most;
		assert_int_equal(marks_at(schema_find(schema, name, strlen(name)), "/path"), SCHEMA_PATH);
		if (i == 1)
			assert_true(schema_bytes(schema) * TOOLS / 2 > 2 * LIMIT_SCHEMA_KEPT_BYTES);
	}
	assert_true(most > LIMIT_SCHEMA_KEPT_BYTES / 2);
	assert_null(schema_find(schema, "small", 5)); /* the oldest */
	assert_null(schema_find(schema, "t0", 2));
	assert_true(schema_count(schema) > 1 && schema_count(schema) < TOOLS);

	/* What is listed again is young again, and its own bytes count once. */
	assert_int_equal(learn(schema, "{\"tools\":[" TOOL("small", "path") "]}"), 1);
	for (int i = 0; i < TOOLS; i++) {
		mem_cleanup char *text = NULL;

		snprintf(name, sizeof(name), "u%d", i);
		text = wide_tool(name, PROPERTIES);
		assert_int_equal(learn(schema, text), 1);
		assert_int_equal(learn(schema, "{\"tools\":[" TOOL("small", "path") "]}"), 1);
	}
	assert_non_null(schema_find(schema, "small", 5));
	assert_true(schema_bytes(schema) <= LIMIT_SCHEMA_KEPT_BYTES);
	schema_free(schema);
}

/* Lists come again and again: what says the same is not read again. The mark is not what the schema says. */
static void the_same_schema_is_not_read_again(void **state)
{
	static const char first[] = "{\"tools\":[" TOOL("t", "path") "]}";
	static const char other[] = "{\"tools\":[" TOOL("t", "filePath") "]}";
	struct schema *schema = schema_new();

	(void)state;
	assert_int_equal(learn(schema, first), 1);
	((struct pattern *)(uintptr_t)schema_find(schema, "t", 1))->full = true;
	assert_int_equal(learn(schema, first), 1);
	assert_true(schema_find(schema, "t", 1)->full);
	assert_int_equal(learn(schema, other), 1);
	assert_false(schema_find(schema, "t", 1)->full);
	assert_int_equal(marks_at(schema_find(schema, "t", 1), "/path"), 0);
	assert_int_equal(marks_at(schema_find(schema, "t", 1), "/filePath"), SCHEMA_PATH);
	schema_free(schema);
}

static void ceilings_are_kept(void **state)
{
	struct schema *schema = schema_new();
	/* More parts than are read, and behind them in the same object one that is met before them. */
	mem_cleanup char *wide =
	    repeat("{\"tools\":[{\"name\":\"wide\",\"inputSchema\":{\"properties\":{\"path\":{}},\"oneOf\":[", "{},",
	           LIMIT_SCHEMA_PARTS, "{}]}}]}");
	mem_cleanup char *large =
	    repeat("{\"tools\":[{\"name\":\"large\",\"inputSchema\":{\"x\":\"", "0123456789abcdef",
	           LIMIT_SCHEMA_BYTES / 16, "\",\"properties\":{\"path\":{}}}}]}");
	/* Each level stands twice in the next, so that expanding references would never end. */
	mem_cleanup char *dense =
	    repeat("{\"tools\":[{\"name\":\"dense\",\"inputSchema\":{\"properties\":{\"path\":{}},"
	           "\"anyOf\":[",
	           "{\"$ref\":\"#\"},{\"$ref\":\"#/anyOf/0\"},{\"items\":{\"$ref\":\"#\"}},", 500, "{}]}}]}");

	(void)state;
	assert_int_equal(learn(schema, wide), 1);
	assert_int_equal(marks_at(schema_find(schema, "wide", 4), "/path"), SCHEMA_PATH);
	assert_true(schema_find(schema, "wide", 4)->full);
	assert_int_equal(learn(schema, large), 1);
	assert_int_equal(marks_at(schema_find(schema, "large", 5), "/path"), 0);
	assert_int_equal(learn(schema, dense), 1);
	assert_int_equal(marks_at(schema_find(schema, "dense", 5), "/#0/#1/path"), SCHEMA_PATH);
	schema_free(schema);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_place_is_marked_with_all_beneath),
		cmocka_unit_test(escapes_of_pointers_are_read),
		cmocka_unit_test(nothing_is_marked_without_a_pattern),
		cmocka_unit_test(a_full_pattern_says_so),
		cmocka_unit_test(a_schema_says_where_paths_are),
		cmocka_unit_test(results_that_are_no_lists_teach_nothing),
		cmocka_unit_test(pages_add_and_later_lists_replace),
		cmocka_unit_test(the_tool_listed_longest_ago_gives_way),
		cmocka_unit_test(all_that_was_learned_has_a_budget),
		cmocka_unit_test(the_same_schema_is_not_read_again),
		cmocka_unit_test(ceilings_are_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
