#include "unit.h"

#include "base/mem.h"
#include "config/edit.h"

#include <stdlib.h>
#include <string.h>

static struct strv words(const char *text)
{
	struct strv list = { 0 };

	while (*text != '\0') {
		const size_t length = strcspn(text, " ");
		strv_push_owned(&list, str_dup_n(text, length));
		text += length + (text[length] == ' ');
	}
	return list;
}

static void rules_are_put_where_a_person_would(void **state)
{
	static const struct {
		const char *before, *rules, *after;
	} cases[] = {
		{ NULL, "a.test:443 b.test:80",
		  "{\n  \"network\": {\n    \"mode\": \"allowlist\",\n    \"allow\": [\n      \"a.test:443\",\n"
		  "      \"b.test:80\"\n    ]\n  }\n}\n" },
		{ "{}", "a.test:443",
		  "{\n  \"network\": {\n    \"mode\": \"allowlist\",\n    \"allow\": [\n      \"a.test:443\"\n    ]\n  "
		  "}\n}" },
		/* one line stays one line */
		{ "{\"project\": \"ro\"}\n", "a.test:443 b.test:80",
		  "{\"project\": \"ro\", \"network\": {\"mode\": \"allowlist\", \"allow\": [\"a.test:443\", "
		  "\"b.test:80\"]}}\n" },
		{ "{\"network\":{}}", "a.test:443",
		  "{\"network\":{\"mode\": \"allowlist\", \"allow\": [\"a.test:443\"]}}" },
		{ "{\"network\": {\"allow\": []}}", "a.test:443",
		  "{\"network\": {\"allow\": [\"a.test:443\"], \"mode\": \"allowlist\"}}" },
		/* README's shape: the object in one line, the file not */
		{ "{\n  \"network\": { \"mode\": \"none\" },\n  \"project\": \"ro\"\n}\n", "a.test:443",
		  "{\n  \"network\": { \"mode\": \"allowlist\", \"allow\": [\"a.test:443\"] },\n  \"project\": "
		  "\"ro\"\n}\n" },
		{ "{\n  \"network\": { \"mode\": \"allowlist\", \"allow\": [ \"a.test:443\" ] }\n}\n", "b.test:80",
		  "{\n  \"network\": { \"mode\": \"allowlist\", \"allow\": [ \"a.test:443\", \"b.test:80\" ] }\n}\n" },
		/* comments and tabs, and what stands behind the last entry */
		{ "// mine\n{\n\t\"env\": {\"A\": \"}]\\\"\"}, /* , */\n\t\"network\": {\n\t\t\"mode\": \"open\", // "
		  "for "
		  "now\n"
		  "\t\t\"allow\": [\n\t\t\t\"a.test:443\" // the API\n\t\t]\n\t}\n}\n",
		  "b.test:80 c.test:1",
		  "// mine\n{\n\t\"env\": {\"A\": \"}]\\\"\"}, /* , */\n\t\"network\": {\n\t\t\"mode\": \"allowlist\", "
		  "// "
		  "for now\n"
		  "\t\t\"allow\": [\n\t\t\t\"a.test:443\", // the "
		  "API\n\t\t\t\"b.test:80\",\n\t\t\t\"c.test:1\"\n\t\t]\n\t}\n}"
		  "\n" },
		{ "{\n  \"version\": \"^2\" // pinned\n  // the end\n}\n", "a.test:443",
		  "{\n  \"version\": \"^2\", // pinned\n  // the end\n  \"network\": {\n    \"mode\": \"allowlist\",\n "
		  "   "
		  "\"allow\": [\n      \"a.test:443\"\n    ]\n  }\n}\n" },
		{ "{ // nothing yet\n}", "a.test:443",
		  "{ // nothing yet\n  \"network\": {\n    \"mode\": \"allowlist\",\n    \"allow\": [\n      "
		  "\"a.test:443\"\n    ]\n  }\n}" },
		{ "{\n  \"network\": {\n    \"allow\": [], /* none */\n    \"link\": \"auto\"\n  }\n}\n", "a.test:443",
		  "{\n  \"network\": {\n    \"allow\": [\n      \"a.test:443\"\n    ], /* none */\n    \"link\": "
		  "\"auto\",\n"
		  "    \"mode\": \"allowlist\"\n  }\n}\n" },
		/* line ends of another system */
		{ "{\r\n    \"project\": \"ro\"\r\n}\r\n", "a.test:443",
		  "{\r\n    \"project\": \"ro\",\r\n    \"network\": {\r\n        \"mode\": \"allowlist\",\r\n        "
		  "\"allow\": [\r\n            \"a.test:443\"\r\n        ]\r\n    }\r\n}\r\n" },
		/* the mode alone; a rule of every kind */
		{ "{\"network\": {\"mode\": \"none\"}}", "", "{\"network\": {\"mode\": \"allowlist\"}}" },
		{ "{\"network\": {\"mode\": \"allowlist\", \"allow\": [\"*.a.test\"]}}",
		  "[2001:db8::1]:5432 10.0.0.0/24:80",
		  "{\"network\": {\"mode\": \"allowlist\", \"allow\": [\"*.a.test\", \"[2001:db8::1]:5432\", "
		  "\"10.0.0.0/24:80\"]}}" },
		{ "{\"network\": {\"mode\": \"lab\"/**/}/*x*/}//y", "a.test:443",
		  "{\"network\": {\"mode\": \"allowlist\",/**/ \"allow\": [\"a.test:443\"]}/*x*/}//y" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct strv rules = words(cases[i].rules);
		struct npxc_error err = { 0 };
		mem_cleanup char *after = NULL;

		if (!edit_allow(cases[i].before, cases[i].before == NULL ? 0 : strlen(cases[i].before), "f.json",
		                &rules, &after, &err))
			fail_msg("case %zu: %s", i, err.message);
		assert_string_equal(after, cases[i].after);
		strv_done(&rules);
	}
}

static void what_cannot_be_edited_is_refused(void **state)
{
	static const struct {
		const char *before, *rules, *why;
	} cases[] = {
		{ "", "a.test:443", "an empty file" },
		{ "{", "a.test:443", "f.json:1" },
		{ "[]", "a.test:443", "f.json:1" },
		{ "{\"netwrk\": {}}", "a.test:443", "netwrk" },
		{ "{\"network\": []}", "a.test:443", "network" },
		{ "{\"network\": {\"allow\": [\"*\"]}}", "a.test:443", "network.allow[0]" },
		{ "{}", "*", "every host" },
		{ "{}", "a.test\",\"b:443", "is neither" },
		{ "{}", "127.0.0.1:80", "own loopback" },
		/* keys that only a reader of escapes finds */
		{ "{\"netw\\u006frk\": {}}", "a.test:443",
		  "by hand, set network.mode to \"allowlist\" and add to "
		  "network.allow: \"a.test:443\"" },
		{ "{\"network\": {\"m\\u006fde\": \"none\"}}", "a.test:443 b.test:80",
		  "\"a.test:443\", \"b.test:80\"" },
		{ "{\"network\": {\"all\\u006fw\": []}}", "a.test:443", "by hand" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct strv rules = words(cases[i].rules);
		struct npxc_error err = { 0 };
		char *after = NULL;

		if (edit_allow(cases[i].before, strlen(cases[i].before), "f.json", &rules, &after, &err))
			fail_msg("case %zu: edited to %s", i, after);
		assert_null(after);
		assert_int_equal(err.kind, ERROR_CONFIG);
		if (strstr(err.message, cases[i].why) == NULL)
			fail_msg("case %zu: %s", i, err.message);
		strv_done(&rules);
	}
}

/* More than a file may have: LIMIT_CONFIG_ENTRIES. */
static void a_list_that_is_full_stays(void **state)
{
	struct strv rules = { 0 };
	struct npxc_error err = { 0 };
	char *after = NULL;

	(void)state;
	for (unsigned i = 0; i < 4097; i++)
		strv_pushf(&rules, "h%u.test:443", i);
	assert_false(edit_allow("{}", 2, "f.json", &rules, &after, &err));
	assert_non_null(strstr(err.message, "by hand"));
	free(rules.v[--rules.count]);
	rules.v[rules.count] = NULL;
	assert_true(edit_allow("{}", 2, "f.json", &rules, &after, &err));
	free(after);
	strv_done(&rules);
}

static void a_diff_reads_like_a_diff(void **state)
{
	static const struct {
		const char *before, *after, *diff;
	} cases[] = {
		{ "a\n", "a\n", "" },
		{ NULL, "a\nb\n", "--- /dev/null\n+++ f\n@@ -0,0 +1,2 @@\n+a\n+b\n" },
		{ "a\n", "a", "--- f\n+++ f\n@@ -1,1 +1,1 @@\n-a\n+a\n\\ No newline at end of file\n" },
		{ "1\n2\n3\n4\n5\n6\n7\n8\n9\n", "1\n2\n3\n4\nx\n6\n7\n8\n9\n",
		  "--- f\n+++ f\n@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+x\n 6\n 7\n 8\n" },
		/* two places: one hunk when six lines are between them, two when seven are */
		{ "a\n1\n2\n3\n4\n5\n6\nb\n", "A\n1\n2\n3\n4\n5\n6\nB\n",
		  "--- f\n+++ f\n@@ -1,8 +1,8 @@\n-a\n+A\n 1\n 2\n 3\n 4\n 5\n 6\n-b\n+B\n" },
		{ "a\n1\n2\n3\n4\n5\n6\n7\nb\n", "A\nx\n1\n2\n3\n4\n5\n6\n7\nB\n",
		  "--- f\n+++ f\n@@ -1,4 +1,5 @@\n-a\n+A\n+x\n 1\n 2\n 3\n@@ -6,4 +7,4 @@\n 5\n 6\n 7\n-b\n+B\n" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		mem_cleanup char *diff = edit_diff(cases[i].before, cases[i].after, "f");
		assert_string_equal(diff, cases[i].diff);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rules_are_put_where_a_person_would),
		cmocka_unit_test(what_cannot_be_edited_is_refused),
		cmocka_unit_test(a_list_that_is_full_stays),
		cmocka_unit_test(a_diff_reads_like_a_diff),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
