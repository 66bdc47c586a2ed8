#include "unit.h"

#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"
#include "json/message.h"

#include <stdlib.h>
#include <string.h>

struct looked {
	const char *line;
	enum message_verdict verdict;
	const char *id; /* NULL: none */
};

static const struct looked looks[] = {
	{ "", MESSAGE_MORE, NULL },
	{ "  ", MESSAGE_MORE, NULL },
	{ "{}", MESSAGE_MORE, NULL },
	{ "Server started", MESSAGE_PASS, NULL },
	{ "\"tools/call\"", MESSAGE_PASS, NULL },
	{ "17", MESSAGE_PASS, NULL },
	{ "// {\"method\":\"tools/call\"}", MESSAGE_PASS, NULL },
	{ "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"tools/call\",\"params\":{}}", MESSAGE_HOLD, "7" },
	{ "{\"method\":\"tools/call\",\"params\":{\"id\":8},\"id\":\"a\\\"b\"}", MESSAGE_HOLD, "\"a\\\"b\"" },
	{ " \t{ \"id\" : -1.5e3 , \"method\" : \"resources/read\" }\r", MESSAGE_HOLD, "-1.5e3" },
	{ "{\"\\u006dethod\":\"tools\\/c\\u0061ll\"}", MESSAGE_HOLD, NULL },
	{ "{\"method\":\"resources/subscribe\"}", MESSAGE_HOLD, NULL },
	{ "{\"method\":\"resources/unsubscribe\"}", MESSAGE_HOLD, NULL },
	{ "{\"method\":\"subscriptions/listen\"}", MESSAGE_HOLD, NULL },
	{ "{\"method\":\"prompts/get\"}", MESSAGE_HOLD, NULL },
	{ "{\"method\":\"completion/complete\"}", MESSAGE_HOLD, NULL },
	{ "{\"method\":\"tasks/update\"}", MESSAGE_HOLD, NULL },
	{ "{\"method\":\"notifications/cancelled\"}", MESSAGE_HOLD, NULL },
	{ "{\"method\":\"initialize\",\"id\":0}", MESSAGE_PASS, "0" },
	{ "{\"method\":\"tools/list\",\"id\":1}", MESSAGE_HOLD, "1" },
	{ "{\"method\":\"prompts/list\",\"id\":1}", MESSAGE_PASS, "1" },
	{ "{\"method\":\"tools/calls\"}", MESSAGE_PASS, NULL },
	{ "{\"method\":\"tools/cal\"}", MESSAGE_PASS, NULL },
	{ "{\"method\":\"Tools/call\"}", MESSAGE_PASS, NULL },
	{ "{\"method\":\"tools/call\\u0000\"}", MESSAGE_PASS, NULL },
	{ "{\"method\":\"\"}", MESSAGE_PASS, NULL },
	{ "{\"method\":1}", MESSAGE_PASS, NULL },
	{ "{\"method\":[\"tools/call\"]}", MESSAGE_PASS, NULL },
	{ "{\"method\":\"x\",\"method\":\"tools/call\"}", MESSAGE_PASS, NULL },
	{ "{\"method\":\"tools/call\",\"method\":\"x\"}", MESSAGE_HOLD, NULL },
	{ "{\"Method\":\"tools/call\"}", MESSAGE_MORE, NULL },
	{ "{\"params\":{\"method\":\"tools/call\",\"result\":1,\"error\":1,\"id\":5}}", MESSAGE_MORE, NULL },
	{ "{\"a\":[{\"method\":\"tools/call\"},[\"method\",\"tools/call\"]]}", MESSAGE_MORE, NULL },
	{ "{\"a\":\"method\",\"b\":\"tools/call\"}", MESSAGE_MORE, NULL },
	{ "{\"a\":\"\\\"method\\\":\\\"tools/call\\\"\"}", MESSAGE_MORE, NULL },
	{ "{\"a\":\"\\\\\",\"method\":\"tools/call\"}", MESSAGE_HOLD, NULL },
	{ "{\"a\":\"}]{[\",\"method\":\"tools/call\"}", MESSAGE_HOLD, NULL },
	{ "{\"a\":{\"b\":\"}\\\"]\"},\"method\":\"x\"}", MESSAGE_PASS, NULL },
	{ "{\"id\":3,\"result\":{\"roots\":[]}}", MESSAGE_HOLD, "3" },
	{ "{\"result\":{},\"id\":\"3\"}", MESSAGE_HOLD, "\"3\"" },
	{ "{\"id\":3,\"error\":{\"code\":1,\"message\":\"/a\"}}", MESSAGE_PASS, "3" },
	{ "{\"id\":null,\"method\":\"tools/call\"}", MESSAGE_HOLD, "null" },
	{ "{\"id\":{\"a\":1},\"method\":\"tools/call\"}", MESSAGE_HOLD, NULL },
	{ "{\"id\":1,\"id\":2,\"method\":\"tools/call\"}", MESSAGE_HOLD, "2" },
	{ "[{\"method\":\"x\"}]", MESSAGE_HOLD, NULL },
	{ "[]", MESSAGE_HOLD, NULL },
	{ "{\"method\":\"tools/call\"", MESSAGE_HOLD, NULL },
	{ "{\"method\":\"tools/call", MESSAGE_MORE, NULL },
	{ "{\"method\":\"tools/call\\", MESSAGE_MORE, NULL },
	{ "}}}]{\"method\":\"tools/call\"}", MESSAGE_PASS, NULL },
};

static void check_look(const struct message_look *look, const struct looked *expected)
{
	size_t length;
	const char *id = message_look_id(look, &length);

	if (look->verdict != expected->verdict)
		fail_msg("%s: verdict %d", expected->line, (int)look->verdict);
	if (expected->id == NULL) {
		assert_null(id);
		assert_int_equal(length, 0);
	} else {
		assert_int_equal(length, strlen(expected->id));
		assert_memory_equal(id, expected->id, length);
		assert_true(message_is_id(id, length));
	}
}

static void the_first_look_decides(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(looks) / sizeof(looks[0]); i++) {
		struct message_look look;

		message_look_start(&look);
		assert_int_equal(message_look_at(&look, looks[i].line, strlen(looks[i].line)), looks[i].verdict);
		check_look(&look, &looks[i]);
	}
}

/* However the bytes arrive: in two pieces cut anywhere, and one by one. */
static void the_first_look_goes_on_where_it_stopped(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(looks) / sizeof(looks[0]); i++) {
		const size_t length = strlen(looks[i].line);
		struct message_look look;

		for (size_t cut = 0; cut <= length; cut++) {
			message_look_start(&look);
			message_look_at(&look, looks[i].line, cut);
			message_look_at(&look, looks[i].line + cut, length - cut);
			check_look(&look, &looks[i]);
		}
		message_look_start(&look);
		for (size_t at = 0; at < length; at++)
			message_look_at(&look, looks[i].line + at, 1);
		check_look(&look, &looks[i]);
	}
}

/* Once it is known, nothing later changes it: the bytes before may have been forwarded. */
static void a_verdict_stays(void **state)
{
	static const char more[] = ",\"method\":\"tools/call\",\"result\":1}";
	struct message_look look;

	(void)state;
	message_look_start(&look);
	assert_int_equal(message_look_at(&look, "{\"method\":\"ping\"", 16), MESSAGE_PASS);
	assert_int_equal(message_look_at(&look, more, strlen(more)), MESSAGE_PASS);
}

/* A whole method is known at its closing quote: what follows may be 64 MiB. */
static void a_verdict_comes_early(void **state)
{
	static const struct {
		const char *line;
		enum message_verdict verdict;
	} cases[] = {
		{ "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"prompts/list\"", MESSAGE_PASS },
		{ "{\"method\":\"tools/call\"", MESSAGE_HOLD },
		{ "{\"result\"", MESSAGE_HOLD },
		{ "{\"error\"", MESSAGE_PASS },
		{ "[", MESSAGE_HOLD },
		{ "x", MESSAGE_PASS },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const size_t length = strlen(cases[i].line);
		struct message_look look;

		message_look_start(&look);
		assert_int_equal(message_look_at(&look, cases[i].line, length - 1), MESSAGE_MORE);
		assert_int_equal(message_look_at(&look, cases[i].line + length - 1, 1), cases[i].verdict);
	}
}

static void long_tokens_are_not_kept(void **state)
{
	struct message_look look;
	size_t length;

	(void)state;
	for (int bytes = MESSAGE_TOKEN_BYTES - 3; bytes <= MESSAGE_TOKEN_BYTES + 3; bytes++) {
		mem_cleanup char *id = str_printf("%0*d", bytes, 1);
		mem_cleanup char *line = str_printf("{\"id\":%s,\"%s\":2,\"method\":\"%s\"}", id, id, id);

		message_look_start(&look);
		assert_int_equal(message_look_at(&look, line, strlen(line)), MESSAGE_PASS);
		assert_int_equal(message_look_id(&look, &length) != NULL, bytes <= MESSAGE_TOKEN_BYTES);
		assert_int_equal(length, bytes <= MESSAGE_TOKEN_BYTES ? bytes : 0);
	}
}

static void only_ids_are_ids(void **state)
{
	static const char *const good[] = { "1",    "-1",    "0",       "1.5", "9007199254740993",
		                            "\"\"", "\"1\"", "\"\\n\"", "null" };
	static const char *const bad[] = { "",       "true", "false", "{}",  "[]",    "1 ",     " 1",     "01",
		                           "\"\n\"", "\"a",  "1,2",   "nul", "null,", "\"a\"b", "\"\\x\"" };

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_true(message_is_id(good[i], strlen(good[i])));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (message_is_id(bad[i], strlen(bad[i])))
			fail_msg("taken for an id: %s", bad[i]);
}

static bool span_is(const char *text, struct json_span span, const char *expected)
{
	if (expected == NULL)
		return span.length == 0;
	return span.length == strlen(expected) && memcmp(text + span.offset, expected, span.length) == 0;
}

static void a_message_is_what_it_is(void **state)
{
	static const struct {
		const char *line;
		enum message_kind kind;
		enum message_method method;
		const char *id, *params, *result;
	} cases[] = {
		{ "{\"id\":1,\"method\":\"tools/call\",\"params\":{\"a\":[1]}}", MESSAGE_REQUEST, MESSAGE_TOOLS_CALL,
		  "1", "{\"a\":[1]}", NULL },
		{ "{\"id\":\"1\",\"method\":\"x\"}", MESSAGE_REQUEST, MESSAGE_METHOD_OTHER, "\"1\"", NULL, NULL },
		{ "{\"id\":null,\"method\":\"x\"}", MESSAGE_REQUEST, MESSAGE_METHOD_OTHER, "null", NULL, NULL },
		{ "{\"method\":\"notifications/cancelled\",\"params\":{}}", MESSAGE_NOTIFICATION, MESSAGE_CANCELLED,
		  NULL, "{}", NULL },
		{ "{\"id\":12345678901234567890,\"result\":{}}", MESSAGE_RESPONSE, MESSAGE_METHOD_NONE,
		  "12345678901234567890", NULL, "{}" },
		{ "{\"id\":null,\"error\":{\"code\":-32700}}", MESSAGE_RESPONSE, MESSAGE_METHOD_NONE, "null", NULL,
		  NULL },
		{ "{\"method\":1,\"id\":2}", MESSAGE_REQUEST, MESSAGE_METHOD_OTHER, "2", NULL, NULL },
		{ "{\"method\":\"prompts/get\",\"result\":1}", MESSAGE_NOTIFICATION, MESSAGE_PROMPTS_GET, NULL, NULL,
		  "1" },
		{ "{\"id\":1}", MESSAGE_OTHER, MESSAGE_METHOD_NONE, "1", NULL, NULL },
		{ "{}", MESSAGE_OTHER, MESSAGE_METHOD_NONE, NULL, NULL, NULL },
		{ "{\"params\":{\"method\":\"tools/call\",\"id\":1}}", MESSAGE_OTHER, MESSAGE_METHOD_NONE, NULL,
		  "{\"method\":\"tools/call\",\"id\":1}", NULL },
		{ "\"tools/call\"", MESSAGE_OTHER, MESSAGE_METHOD_NONE, NULL, NULL, NULL },
		{ "{\"id\":1,\"\\u0069d\":2,\"method\":\"x\"}", MESSAGE_REQUEST, MESSAGE_METHOD_OTHER, "2", NULL,
		  NULL },
		{ "{\"method\":\"tools/call\",\"method\":\"x\"}", MESSAGE_NOTIFICATION, MESSAGE_METHOD_OTHER, NULL,
		  NULL, NULL },
		{ "{\"method\":\"x\",\"params\":[],\"params\":{}}", MESSAGE_NOTIFICATION, MESSAGE_METHOD_OTHER, NULL,
		  "{}", NULL },
		{ "{\"a\":1,\"a\":2,\"ID\":3,\"id\":4,\"error\":1}", MESSAGE_RESPONSE, MESSAGE_METHOD_NONE, "4", NULL,
		  NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *line = cases[i].line;
		struct npxc_error err = { 0 };
		struct message_line open;
		struct message message;

		assert_true(message_open(line, strlen(line), &open, &err));
		assert_false(open.is_batch);
		assert_true(message_next(&open, &message));
		if (message.kind != cases[i].kind || message.method != cases[i].method)
			fail_msg("%s: kind %d, method %d", line, (int)message.kind, (int)message.method);
		assert_true(span_is(line, message.id, cases[i].id));
		assert_true(span_is(line, message.params, cases[i].params));
		assert_true(span_is(line, message.result, cases[i].result));
		assert_true(span_is(line, message.whole, line));
		assert_false(message_next(&open, &message));
		assert_false(message_next(&open, &message));
	}
}

static void a_batch_gives_its_messages(void **state)
{
	static const char line[] = " [ {\"id\":1,\"method\":\"tools/call\"} , 7,[{\"id\":2}], "
	                           "{\"method\":\"x\"},{\"id\":3,\"result\":{}} ] \r";
	static const char *const wholes[] = { "{\"id\":1,\"method\":\"tools/call\"}", "7", "[{\"id\":2}]",
		                              "{\"method\":\"x\"}", "{\"id\":3,\"result\":{}}" };
	static const enum message_kind kinds[] = { MESSAGE_REQUEST, MESSAGE_OTHER, MESSAGE_OTHER, MESSAGE_NOTIFICATION,
		                                   MESSAGE_RESPONSE };
	struct npxc_error err = { 0 };
	struct message_line open;
	struct message message;
	size_t n = 0;

	(void)state;
	assert_true(message_open(line, strlen(line), &open, &err));
	assert_true(open.is_batch);
	for (; message_next(&open, &message); n++) {
		assert_true(n < 5);
		assert_int_equal(message.kind, kinds[n]);
		assert_true(span_is(line, message.whole, wholes[n]));
	}
	assert_int_equal(n, 5);

	assert_true(message_open("[]", 2, &open, &err));
	assert_true(open.is_batch);
	assert_false(message_next(&open, &message));
}

/* No part of a line is read when the rest of it is not JSON: another parser would refuse it whole. */
static void what_is_no_json_is_not_opened(void **state)
{
	static const char *const cases[] = { "",
		                             "{\"id\":1,\"method\":\"tools/call\"",
		                             "{\"id\":1} {\"id\":2}",
		                             "[{\"id\":1},]",
		                             "{\"id\":01}",
		                             "{\"a\":\"\xff\"}",
		                             "{'id':1}" };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct message_line open = { .is_batch = true };
		struct npxc_error err = { 0 };

		assert_false(message_open(cases[i], strlen(cases[i]), &open, &err));
		assert_int_equal(err.kind, ERROR_JSON);
		assert_true(open.is_batch);
	}
}

static void an_error_says_what_and_to_whom(void **state)
{
	static const struct {
		const char *id;
		enum npxc_error_kind kind;
		struct message_refusal refusal;
		const char *line;
	} cases[] = {
		{ "7",
		  ERROR_PATH_OUT_OF_SCOPE,
		  { "../x", "/p", "start npxc in it" },
		  "{\"jsonrpc\":\"2.0\",\"id\":7,\"error\":{\"code\":-32602,\"message\":\"npxc: the reason\",\"data\":{"
		  "\"path\":\"../x\",\"cwd\":\"/p\",\"reason\":\"the reason\",\"hint\":\"start npxc in it\"}}}\n" },
		{ "\"7\\u0041\"",
		  ERROR_PATH_NOT_FOUND,
		  { "a\"b\n\\", NULL, NULL },
		  "{\"jsonrpc\":\"2.0\",\"id\":\"7\\u0041\",\"error\":{\"code\":-32602,\"message\":\"npxc: the "
		  "reason\",\"data\":{"
		  "\"path\":\"a\\\"b\\u000a\\\\\",\"reason\":\"the reason\"}}}\n" },
		{ "1.0",
		  ERROR_JSON,
		  { NULL, NULL, NULL },
		  "{\"jsonrpc\":\"2.0\",\"id\":1.0,\"error\":{\"code\":-32602,\"message\":\"npxc: the "
		  "reason\",\"data\":{"
		  "\"reason\":\"the reason\"}}}\n" },
		{ "9007199254740993",
		  ERROR_IO,
		  { "/a", "/p", "free some space" },
		  "{\"jsonrpc\":\"2.0\",\"id\":9007199254740993,\"error\":{\"code\":-32603,\"message\":\"npxc: the "
		  "reason\","
		  "\"data\":{\"source\":\"npxc\",\"reason\":\"the reason\"}}}\n" },
		{ "null",
		  ERROR_RUNTIME,
		  { NULL, NULL, NULL },
		  "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32603,\"message\":\"npxc: the reason\","
		  "\"data\":{\"source\":\"npxc\",\"reason\":\"the reason\"}}}\n" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		BUF_CLEANUP struct buf to = BUF_INIT(4 * KIB);
		struct npxc_error reason = { .kind = cases[i].kind, .message = "the reason" };
		struct npxc_error err = { 0 };
		struct json_span value;

		assert_true(
		    message_append_error(&to, cases[i].id, strlen(cases[i].id), &reason, &cases[i].refusal, &err));
		assert_string_equal(to.data, cases[i].line);
		assert_true(json_check(to.data, to.length, &value, &err));
		assert_int_equal(value.length, to.length - 1);
	}
}

/* A file name in bytes that are not UTF-8, control bytes: the answer is JSON on one line all the same. */
static void an_error_is_one_line_of_json(void **state)
{
	BUF_CLEANUP struct buf to = BUF_INIT(16 * KIB);
	const struct message_refusal refusal = { "/a\xff\r\n\x01", "/\xc3", "\x1b[31m" };
	struct npxc_error reason = { .kind = ERROR_PATH_OUT_OF_SCOPE };
	struct npxc_error err = { 0 };
	struct json_span value;

	(void)state;
	memset(reason.message, '\n', sizeof(reason.message) - 1);
	assert_true(message_append_error(&to, "1", 1, &reason, &refusal, &err));
	assert_true(json_check(to.data, to.length, &value, &err));
	assert_int_equal(strcspn(to.data, "\r\n"), to.length - 1);
}

static void a_full_buffer_keeps_nothing_of_an_error(void **state)
{
	const struct message_refusal refusal = { "/a", "/p", NULL };
	const struct npxc_error reason = { .kind = ERROR_PATH_OUT_OF_SCOPE, .message = "the reason" };

	(void)state;
	for (size_t most = 3; most < 100; most++) {
		BUF_CLEANUP struct buf to = BUF_INIT(most);
		struct npxc_error err = { 0 };

		assert_true(buf_append_text(&to, "abc", &err));
		assert_false(message_append_error(&to, "1", 1, &reason, &refusal, &err));
		assert_int_equal(err.kind, ERROR_IO);
		assert_string_equal(to.data, "abc");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_look_decides),
		cmocka_unit_test(the_first_look_goes_on_where_it_stopped),
		cmocka_unit_test(a_verdict_stays),
		cmocka_unit_test(a_verdict_comes_early),
		cmocka_unit_test(long_tokens_are_not_kept),
		cmocka_unit_test(only_ids_are_ids),
		cmocka_unit_test(a_message_is_what_it_is),
		cmocka_unit_test(a_batch_gives_its_messages),
		cmocka_unit_test(what_is_no_json_is_not_opened),
		cmocka_unit_test(an_error_says_what_and_to_whom),
		cmocka_unit_test(an_error_is_one_line_of_json),
		cmocka_unit_test(a_full_buffer_keeps_nothing_of_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
