#include "unit.h"

#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"
#include "mcp/rewrite.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LONG_ID "0123456789012345678901234567890123456789012345678901234567890123"

static const struct {
	const char *id, *host;
} published[] = {
	{ "a1", "/home/u/p" },
	{ "a1b", "/home/u/other" },
	{ "odd", "/h/a \"b\"\\c\n\x01\xc3\xa9%" },
	{ "bad", "/h/\xff" },
	{ "root", "/" },
	{ "A-_9", "/w" },
	{ LONG_ID, "/long" },
};

static const char *find(void *context, const char *id, size_t length)
{
	unsigned *calls = context;

	if (calls != NULL)
		*calls += 1;
	assert_in_range(length, 1, REWRITE_ID_MAX);
	for (size_t i = 0; i < sizeof(published) / sizeof(published[0]); i++)
		if (strlen(published[i].id) == length && memcmp(published[i].id, id, length) == 0)
			return published[i].host;
	return NULL;
}

/* What becomes of a string in a tool's result: between the quotes, before and after. NULL: nothing. */
static const struct {
	const char *before, *after;
} strings[] = {
	{ "/workspace/a1/f.txt", "/home/u/p/f.txt" },
	{ "/workspace/a1", "/home/u/p" },
	{ "/workspace/a1/", "/home/u/p/" },
	{ "/workspace/a1/d/e/f", "/home/u/p/d/e/f" },
	{ "/workspace/a1b/f", "/home/u/other/f" },
	{ "/workspace/A-_9/f", "/w/f" },
	{ "/workspace/" LONG_ID "/f", "/long/f" },
	{ "/workspace/root/f", "/f" },
	{ "/workspace/root", "/" },
	{ "/workspace/root.", "/." },
	{ "Wrote /workspace/a1/f.txt.", "Wrote /home/u/p/f.txt." },
	{ "in /workspace/a1.", "in /home/u/p." },
	{ "in /workspace/a1, or", "in /home/u/p, or" },
	{ "(/workspace/a1/f)", "(/home/u/p/f)" },
	{ "a=/workspace/a1/f:/workspace/a1b/g", "a=/home/u/p/f:/home/u/other/g" },
	{ "/workspace/a1/f /workspace/a1/g", "/home/u/p/f /home/u/p/g" },
	{ "/workspace/zz/f /workspace/a1/g", "/workspace/zz/f /home/u/p/g" },
	{ "--out=/workspace/a1/f", "--out=/home/u/p/f" },
	{ "--out\\t/workspace/a1/f\\n", "--out\\t/home/u/p/f\\n" },
	{ "\\\"/workspace/a1/f\\\"", "\\\"/home/u/p/f\\\"" },
	{ "{\\\"p\\\":\\\"/workspace/a1/f\\\",\\\"q\\\":\\\"x\\\\n/workspace/a1/g\\\"}",
	  "{\\\"p\\\":\\\"/home/u/p/f\\\",\\\"q\\\":\\\"x\\\\n/home/u/p/g\\\"}" },
	{ "{\\\"p\\\":\\\"\\\\/workspace/a1/f\\\"}", "{\\\"p\\\":\\\"\\\\/home/u/p/f\\\"}" },
	{ "\\u001b[1;32m/workspace/a1/f\\u001b[0m", "\\u001b[1;32m/home/u/p/f\\u001b[0m" }, /* in colour */
	{ "[32m/workspace/a1/f", NULL },
	{ "\\u001b[0m /workspace/a1/f", "\\u001b[0m /home/u/p/f" },
	{ "\\/workspace\\/a1\\/f", "/home/u/p\\/f" },
	{ "\\u002fworkspace\\u002Fa1\\u002ff", "/home/u/p\\u002ff" },
	{ "/\\u0077orkspace/\\u00611/f", "/home/u/p/f" },
	{ "\\u002F\\u0077\\u006f\\u0072\\u006b\\u0073\\u0070\\u0061\\u0063\\u0065\\u002f\\u0061\\u0031", "/home/u/p" },
	{ "\\ud83d\\ude00 /workspace/a1/f \\u00e9\xc3\xa9", "\\ud83d\\ude00 /home/u/p/f \\u00e9\xc3\xa9" },
	{ "\\ud800 /workspace/a1/f", "\\ud800 /home/u/p/f" },
	{ "\xe5\xb7\xb2\xe8\xaf\xbb/workspace/a1/f\xe3\x80\x82", "\xe5\xb7\xb2\xe8\xaf\xbb/home/u/p/f\xe3\x80\x82" },
	{ "\\u5df2/workspace/a1\\u3002", "\\u5df2/home/u/p\\u3002" },
	{ "/workspace/odd/f", "/h/a \\\"b\\\"\\\\c\\u000a\\u0001\xc3\xa9%/f" },
	{ "/workspace/bad/f", "/h/\xef\xbf\xbd/f" },
	{ "file:///workspace/a1/f%20g", "file:///home/u/p/f%20g" },
	{ "FILE://LocalHost/workspace/a1/f", "FILE://LocalHost/home/u/p/f" },
	{ "file:/workspace/a1/f", "file:/home/u/p/f" },
	{ "file:\\/\\/\\/workspace\\/a1", "file:\\/\\//home/u/p" },
	{ "see file:///workspace/odd/f", "see file:///h/a%20%22b%22%5Cc%0A%01%C3%A9%25/f" },
	{ "file:///workspace/root/f", "file:///f" },
	{ "file:///workspace/bad/f", "file:///h/%FF/f" },
	/* refused: other paths */
	{ "", NULL },
	{ "/workspace", NULL },
	{ "/workspace/", NULL },
	{ "/workspace/zz/f", NULL },
	{ "/workspace/a/f", NULL },
	{ "/workspace/a12/f", NULL },
	{ "/workspace/A1/f", NULL },
	{ "/Workspace/a1/f", NULL },
	{ "/workspaces/a1/f", NULL },
	{ "/workspace//a1/f", NULL },
	{ "/workspace/./a1/f", NULL },
	{ "workspace/a1/f", NULL },
	{ "/workspace/a1.txt", NULL },
	{ "/workspace/a1~", NULL },
	{ "/workspace/a1%20", NULL },
	{ "/workspace/a1\xc3\xa9x", "/home/u/p\xc3\xa9x" },
	{ "/workspace/a1.\xc3\xa9", NULL },
	{ "/workspace/" LONG_ID "4/f", NULL },
	{ "/tmp/workspace/a1/f", NULL },
	{ "/tmp/\xc3\xa9/workspace/a1/f", NULL },
	{ "/tmp/\\u00e9/workspace/a1/f", NULL },
	{ "/tmp/\xc3\xa9 x\xc3\xa9/workspace/a1/f", "/tmp/\xc3\xa9 x\xc3\xa9/home/u/p/f" },
	{ "x/workspace/a1/f", NULL },
	{ "./workspace/a1/f", NULL },
	{ "../workspace/a1/f", NULL },
	{ "~/workspace/a1/f", NULL },
	{ "a-/workspace/a1/f", NULL },
	{ "//workspace/a1/f", NULL },
	{ "%2F/workspace/a1/f", NULL },
	{ "http://h/workspace/a1/f", NULL },
	{ "http:///workspace/a1/f", NULL },
	{ "file://host/workspace/a1/f", NULL },
	{ "file:////workspace/a1/f", NULL },
	{ "xfile:///workspace/a1/f", NULL },
	{ "vscode+file:///workspace/a1/f", NULL },
	{ "\\\\u002fworkspace/a1/f", NULL }, /* a backslash and letters */
	{ "\\\\/workspace\\\\/a1", NULL },
	{ "%2Fworkspace%2Fa1", NULL },
};

static char *rewritten(const char *line, bool *ret_changed)
{
	BUF_CLEANUP struct buf to = BUF_INIT(MIB);
	struct npxc_error err = { 0 };
	enum rewrite_outcome outcome;

	if (!rewrite_line(line, strlen(line), find, NULL, &to, &outcome, &err))
		fail_msg("%s: %s", line, err.message);
	*ret_changed = outcome == REWRITE_CHANGED;
	assert_true(*ret_changed || to.length == 0);
	if (*ret_changed && !rewrite_may_change(line, strlen(line)))
		fail_msg("%s: the fast look is wrong", line);
	return buf_take(&to);
}

#define LINE                                                                                                           \
	" {\"id\":9007199254740993, \"result\" :{\"content\":[{\"type\":\"text\",\"text\":\"%s\"}],\"x\":1.50,\"x\":[" \
	"\"\\u0041\"]}}\r\n"

static void strings_are_rewritten_on_boundaries(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(strings) / sizeof(strings[0]); i++) {
		mem_cleanup char *line = str_printf(LINE, strings[i].before);
		mem_cleanup char *expected = str_printf(LINE, strings[i].after != NULL ? strings[i].after : "");
		mem_cleanup char *got = NULL;
		bool changed;

		got = rewritten(line, &changed);
		if (changed != (strings[i].after != NULL) || (changed && strcmp(got, expected) != 0))
			fail_msg("%s\ngot %s", strings[i].before, changed ? got : "(the same)");
	}
}

/* Where strings stand. W is a container path, H what it becomes; a line with W only must stay. */
#define W "\"/workspace/a1/f\""
#define H "\"/home/u/p/f\""

static const struct {
	const char *before, *after; /* NULL: stays */
} lines[] = {
	{ "{\"id\":1,\"result\":{\"a\":" W "}}", "{\"id\":1,\"result\":{\"a\":" H "}}" },
	{ "{\"result\":" W "}", "{\"result\":" H "}" },
	{ "{\"result\":[[" W "],{\"b\":{\"c\":" W "}}]}", "{\"result\":[[" H "],{\"b\":{\"c\":" H "}}]}" },
	{ "{\"error\":{\"message\":" W ",\"data\":" W "}}", "{\"error\":{\"message\":" H ",\"data\":" H "}}" },
	{ "{\"error\":{\"data\":{\"data\":" W ",\"taskId\":" W "}}}",
	  "{\"error\":{\"data\":{\"data\":" H ",\"taskId\":" H "}}}" },
	{ "{\"method\":\"notifications/message\",\"params\":{\"level\":\"info\",\"data\":" W "}}",
	  "{\"method\":\"notifications/message\",\"params\":{\"level\":\"info\",\"data\":" H "}}" },
	{ "{\"method\":\"notifications/progress\",\"params\":{\"progressToken\":" W ",\"message\":" W "}}",
	  "{\"method\":\"notifications/progress\",\"params\":{\"progressToken\":" W ",\"message\":" H "}}" },
	{ "{\"result\":{\"structuredContent\":{\"id\":" W ",\"data\":" W ",\"blob\":" W ",\"cursor\":" W
	  ",\"mimeType\":[" W "]}}}",
	  "{\"result\":{\"structuredContent\":{\"id\":" H ",\"data\":" H ",\"blob\":" H ",\"cursor\":" H
	  ",\"mimeType\":[" H "]}}}" },
	{ "{\"result\":{\"content\":[{\"type\":\"resource\",\"resource\":{\"uri\":\"file:///workspace/a1/"
	  "f\",\"blob\":" W ",\"mimeType\":" W "}}]}}",
	  "{\"result\":{\"content\":[{\"type\":\"resource\",\"resource\":{\"uri\":\"file:///home/u/p/f\",\"blob\":" W
	  ",\"mimeType\":" W "}}]}}" },
	{ "{\"id\":3,\"method\":\"sampling/"
	  "createMessage\",\"params\":{\"messages\":[{\"content\":{\"type\":\"tool_use\",\"id\":" W
	  ",\"input\":{\"data\":" W "}}}],\"systemPrompt\":" W "}}",
	  "{\"id\":3,\"method\":\"sampling/"
	  "createMessage\",\"params\":{\"messages\":[{\"content\":{\"type\":\"tool_use\",\"id\":" H
	  ",\"input\":{\"data\":" H "}}}],\"systemPrompt\":" H "}}" },
	{ "{\"result\":{\"nextCursor\":" W ",\"requestState\":" W ",\"taskId\":" W
	  ",\"inputRequests\":{\"a\":{\"params\":{"
	  "\"message\":" W "}}}}}",
	  "{\"result\":{\"nextCursor\":" W ",\"requestState\":" W ",\"taskId\":" W
	  ",\"inputRequests\":{\"a\":{\"params\":{"
	  "\"message\":" H "}}}}}" },
	{ "{\"result\":{\"\\u0072equestState\":" W ",\"x\":" W "}}",
	  "{\"result\":{\"\\u0072equestState\":" W ",\"x\":" H "}}" },
	{ "{\"result\":{\"_meta\":{\"traceparent\":" W ",\"tracestate\":" W ",\"baggage\":" W ",\"own\":" W "}}}",
	  "{\"result\":{\"_meta\":{\"traceparent\":" W ",\"tracestate\":" W ",\"baggage\":" W ",\"own\":" H "}}}" },
	{ "{\"result\":{\"tools\":[{\"inputSchema\":{\"properties\":{\"cursor\":{\"default\":" W "}}}}]}}",
	  "{\"result\":{\"tools\":[{\"inputSchema\":{\"properties\":{\"cursor\":{\"default\":" H "}}}}]}}" },
	{ "{\"result\":{\"a\":" W ",\"a\":" W "}}", "{\"result\":{\"a\":" H ",\"a\":" H "}}" },
	{ "[{\"id\":" W ",\"result\":" W "},7," W "]", "[{\"id\":" W ",\"result\":" H "},7," H "]" },
	{ "{\"id\":" W ",\"method\":" W ",\"jsonrpc\":" W "}", NULL },
	{ "{\"result\":{\"content\":[{\"type\":\"image\",\"data\":" W ",\"mimeType\":" W
	  "},{\"type\":\"audio\",\"data\":" W "}]}}",
	  NULL },
	{ "{\"result\":{" W ":1,\"a\":{" W ":2}}}", NULL },
	{ "{\"result\":{\"a\":" W "}", NULL },
	{ "{\"result\":{\"a\":" W "}}}", NULL },
	{ "{\"result\":{\"a\":" W ",}}", NULL },
	{ "{\"result\":{\"a\":" W ",\"b\":\"\\x\"}}", NULL },
	{ "{\"result\":{\"a\":" W ",\"b\":\"\xff\"}}", NULL },
	{ "{\"result\":{\"a\":" W ",\"b\":01}}", NULL },
	{ "\xef\xbb\xbf{\"result\":" W "}", NULL },
	{ "listening on /workspace/a1/f", NULL },
	{ W, NULL },
	{ "", NULL },
};

static void strings_are_rewritten_where_they_may_be(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		mem_cleanup char *got = NULL;
		bool changed;

		got = rewritten(lines[i].before, &changed);
		if (changed != (lines[i].after != NULL) || (changed && strcmp(got, lines[i].after) != 0))
			fail_msg("%s\ngot %s", lines[i].before, changed ? got : "(the same)");
	}
}

static void what_was_in_the_buffer_stays(void **state)
{
	static const char line[] = "{\"result\":\"/workspace/a1/f\"}";
	struct buf to = BUF_INIT(32);
	struct npxc_error err = { 0 };
	enum rewrite_outcome outcome = REWRITE_SAME;

	(void)state;
	assert_true(buf_append_text(&to, "before", &err));
	assert_true(rewrite_line(line, sizeof(line) - 1, find, NULL, &to, &outcome, &err));
	assert_int_equal(outcome, REWRITE_CHANGED);
	assert_string_equal(to.data, "before{\"result\":\"/home/u/p/f\"}");
	/* No room: nothing is left half. */
	outcome = REWRITE_SAME;
	assert_false(rewrite_line(line, sizeof(line) - 1, find, NULL, &to, &outcome, &err));
	assert_int_equal(err.kind, ERROR_IO);
	assert_int_equal(outcome, REWRITE_SAME);
	assert_string_equal(to.data, "before{\"result\":\"/home/u/p/f\"}");
	buf_done(&to);
}

/* Long strings with many paths, with escapes and without; and what a line costs does not hang on what is published. */
static void many_paths_in_one_string(void **state)
{
	enum { PATHS = 20000 };
	static const char *const pieces[] = { "/workspace/a1/f ", "\\/workspace/zz /workspace\\/a1/f\\n " };
	static const char *const changed_pieces[] = { "/home/u/p/f ", "\\/workspace/zz /home/u/p/f\\n " };

	(void)state;
	for (size_t p = 0; p < 2; p++) {
		BUF_CLEANUP struct buf line = BUF_INIT(4 * MIB);
		BUF_CLEANUP struct buf expected = BUF_INIT(4 * MIB);
		BUF_CLEANUP struct buf to = BUF_INIT(4 * MIB);
		struct npxc_error err = { 0 };
		enum rewrite_outcome outcome;
		unsigned calls = 0;
		bool ok = buf_append_text(&line, "{\"result\":\"", &err) &&
		          buf_append_text(&expected, "{\"result\":\"", &err);

		for (int i = 0; ok && i < PATHS; i++)
			ok = buf_append_text(&line, pieces[p], &err) &&
			     buf_append_text(&expected, changed_pieces[p], &err);
		assert_true(ok && buf_append_text(&line, "\"}", &err) && buf_append_text(&expected, "\"}", &err));
		assert_true(rewrite_line(line.data, line.length, find, &calls, &to, &outcome, &err));
		assert_int_equal(outcome, REWRITE_CHANGED);
		assert_int_equal(to.length, expected.length);
		assert_memory_equal(to.data, expected.data, to.length);
		assert_int_equal(calls, PATHS * (p + 1));
	}
}

/* A false "no" of the fast look would leave a path in a message. */
static void the_fast_look_passes_only_what_stays(void **state)
{
	static const char *const may[] = { "/workspace/x",        "\\/workspace\\/x",  "\\u002fworkspace/",
		                           "x/work\\u0073pace/x", "\\\\\\u002F......", "\\\"\\u002f...." };
	static const char *const stays[] = { "",
		                             "workspace",
		                             "/workspace",
		                             "/workspaces/",
		                             "my workspace/x",
		                             "\\u001b[0m\\u003cb\\u003e",
		                             "\\n\\n\\\"\\\\",
		                             "\\u00",
		                             "\\u0",
		                             "\\",
		                             "\\u01 2f",
		                             "\\u2f00",
		                             "tasks/workspace",
		                             "/workspace/",
		                             "ks/workspace" };

	(void)state;
	for (size_t i = 0; i < sizeof(may) / sizeof(may[0]); i++)
		if (!rewrite_may_change(may[i], strlen(may[i])))
			fail_msg("%s", may[i]);
	for (size_t i = 0; i < sizeof(stays) / sizeof(stays[0]); i++)
		if (rewrite_may_change(stays[i], strlen(stays[i])))
			fail_msg("%s", stays[i]);
}

/* The look takes sixteen bytes at a time: a path is seen wherever it stands, and nothing behind the end is read. */
static void the_fast_look_sees_every_place(void **state)
{
	static const char *const hidden[] = { "/workspace/x", "\\/workspace\\/x", "\\u002fw", "\\u0077x",
		                              "\\u006Fx",     "\\u0072x",         "\\u006bx", "\\u0073x",
		                              "\\u0070x",     "\\u0061x",         "\\u0063x", "\\u0065x" };

	(void)state;
	for (size_t i = 0; i < sizeof(hidden) / sizeof(hidden[0]); i++) {
		for (size_t before = 0; before < 40; before++) {
			for (size_t after = 0; after < 40; after++) {
				const size_t n = strlen(hidden[i]);
				mem_cleanup char *text = mem_alloc(before + n + after);

				memset(text, '-', before + n + after);
				memcpy(text + before, hidden[i], n);
				if (!rewrite_may_change(text, before + n + after))
					fail_msg("%s behind %zu, before %zu", hidden[i], before, after);
				text[before + 4] = '~';
				if (rewrite_may_change(text, before + n + after))
					fail_msg("broken %s behind %zu, before %zu", hidden[i], before, after);
			}
		}
	}
}

/* Client to server */

static void edits_change_their_spans_only(void **state)
{
	static const char text[] = " {\"a\" : \"\\u002fx\", \"n\":1.0e5,\"b\":\"y\" }\r\n";
	const struct json_span all = { 0, sizeof(text) - 1 };
	const struct json_span part = { 1, sizeof(text) - 4 };
	const struct rewrite_edit edits[] = { { { 8, 9 }, "/workspace/a1/\"q\"\n\xc3\xa9", 20 }, { { 33, 3 }, "", 0 } };
	const struct rewrite_edit kept[] = { { { 8, 9 }, NULL, 0 }, { { 33, 3 }, "z\0z", 3 } };
	BUF_CLEANUP struct buf to = BUF_INIT(MIB);
	struct buf small = BUF_INIT(12);
	struct npxc_error err = { 0 };

	(void)state;
	assert_memory_equal(text + 8, "\"\\u002fx\"", 9);
	assert_memory_equal(text + 33, "\"y\"", 3);
	assert_true(rewrite_apply(text, all, edits, 2, &to, &err));
	assert_string_equal(to.data,
	                    " {\"a\" : \"/workspace/a1/\\\"q\\\"\\u000a\xc3\xa9\", \"n\":1.0e5,\"b\":\"\" }\r\n");
	to.length = 0;
	assert_true(rewrite_apply(text, part, kept, 2, &to, &err));
	assert_string_equal(to.data, "{\"a\" : \"\\u002fx\", \"n\":1.0e5,\"b\":\"z\\u0000z\" }");
	to.length = 0;
	assert_true(rewrite_apply(text, all, NULL, 0, &to, &err));
	assert_string_equal(to.data, text);
	assert_true(buf_append_text(&small, "b", &err));
	assert_false(rewrite_apply(text, all, edits, 2, &small, &err));
	assert_int_equal(err.kind, ERROR_IO);
	assert_string_equal(small.data, "b");
	buf_done(&small);
}

static void file_uris(void **state)
{
	static const struct {
		const char *path, *uri;
	} table[] = {
		{ "/", "file:///" },
		{ "/a/b-c_d.e~f", "file:///a/b-c_d.e~f" },
		{ "/a b%c?d#e\"", "file:///a%20b%25c%3Fd%23e%22" },
		{ "/\xc3\xa9\xff\x01", "file:///%C3%A9%FF%01" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		mem_cleanup char *uri = rewrite_file_uri(table[i].path);

		assert_string_equal(uri, table[i].uri);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(strings_are_rewritten_on_boundaries),
		cmocka_unit_test(strings_are_rewritten_where_they_may_be),
		cmocka_unit_test(what_was_in_the_buffer_stays),
		cmocka_unit_test(many_paths_in_one_string),
		cmocka_unit_test(the_fast_look_passes_only_what_stays),
		cmocka_unit_test(the_fast_look_sees_every_place),
		cmocka_unit_test(edits_change_their_spans_only),
		cmocka_unit_test(file_uris),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
