#include "unit.h"

#include "base/mem.h"
#include "base/str.h"
#include "relay/pending.h"

#include <stdlib.h>
#include <string.h>

/* The text in pieces of so many bytes. */
static void ask(struct pending *pending, const char *text, size_t piece)
{
	for (size_t at = 0; at < strlen(text); at += piece)
		pending_ask(pending, text + at, strlen(text) - at < piece ? strlen(text) - at : piece, at == 0, 7);
}

static bool answer(struct pending *pending, const char *text, size_t piece)
{
	bool failed = false;

	for (size_t at = 0; at < strlen(text); at += piece)
		failed =
		    pending_answer(pending, text + at, strlen(text) - at < piece ? strlen(text) - at : piece, at == 0);
	return failed;
}

/* `@` becomes many bytes; owned. */
static char *grown(const char *text)
{
	char *filler = str_printf("%03000d", 0);
	const char *at = strchr(text, '@');
	char *line =
	    at == NULL ? str_printf("%s\n", text) : str_printf("%.*s%s%s\n", (int)(at - text), text, filler, at + 1);

	free(filler);
	return line;
}

static const size_t PIECES[] = { 1, 7, 255, 256, 257, 1023, 1024, 1025, 100000 };
enum { PIECE_COUNT = sizeof(PIECES) / sizeof(PIECES[0]) };

static void a_request_waits_until_its_answer(void **state)
{
	static const struct {
		const char *line, *id; /* NULL: nothing waits for it */
	} ASKED[] = {
		{ "{\"jsonrpc\":\"2.0\",\"id\":5,\"method\":\"m\"}", "5" },
		{ "{\"method\":\"m\",\"params\":{\"a\":\"@\"},\"jsonrpc\":\"2.0\",\"id\":5}", "5" },
		{ "{\"method\":\"m\",\"params\":{\"a\":\"@\"},\"id\":\"x5\",\"jsonrpc\":\"2.0\"}", "\"x5\"" },
		{ "{\"method\": \"m\", \"params\": {\"a\": \"@\"}, \"jsonrpc\": \"2.0\", \"id\": \"a b\"} ",
		  "\"a b\"" },
		{ "{\"id\":-1.5e3,\"method\":\"m\",\"params\":\"@\"}", "-1.5e3" },
		{ "{\"method\":\"m\",\"params\":{\"id\":3}}", NULL },
		{ "{\"method\":\"m\",\"params\":{\"a\":\"@\",\"id\":3}}", NULL },
		{ "{\"method\":\"m\",\"params\":{\"a\":\"@\"},\"jsonrpc\":\"2.0\"}", NULL },
		{ "{\"method\":\"m\",\"params\":{\"a\":\"@,\\\"id\\\":5}\"}}", NULL },
		{ "{\"id\":5,\"result\":{}}", NULL }, /* an answer of the client's */
		{ "{\"result\":\"@\",\"id\":5}", NULL },
		{ "[{\"id\":5,\"method\":\"m\"}]", NULL }, /* batches are not looked at */
		{ "5", NULL },
		{ "", NULL },
		{ "{\"id\":5,\"method\":", NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(ASKED) / sizeof(ASKED[0]); i++) {
		for (size_t k = 0; k < PIECE_COUNT; k++) {
			struct pending pending = { 0 };
			mem_cleanup char *line = grown(ASKED[i].line);

			ask(&pending, line, PIECES[k]);
			assert_int_equal(pending.count, ASKED[i].id == NULL ? 0 : 1);
			if (ASKED[i].id != NULL) {
				assert_memory_equal(pending.v[0].id, ASKED[i].id, strlen(ASKED[i].id));
				assert_int_equal(pending.v[0].id_length, strlen(ASKED[i].id));
				assert_string_equal(pending.v[0].method, "m");
				assert_int_equal(pending.v[0].since_ms, 7);
			}
			pending_done(&pending);
		}
	}
}

static void an_answer_ends_the_wait_of_its_own_request(void **state)
{
	static const struct {
		const char *line;
		bool answers, failed;
	} ANSWERS[] = {
		{ "{\"jsonrpc\":\"2.0\",\"id\":5,\"result\":{\"a\":\"@\"}}", true, false },
		{ "{\"result\":{\"a\":\"@\"},\"jsonrpc\":\"2.0\",\"id\":5}", true, false },
		{ "{\"result\": {\"a\": \"@\"}, \"id\": 5, \"jsonrpc\": \"2.0\"}", true, false },
		{ "{\"id\":5,\"error\":{\"code\":1,\"message\":\"@\"}}", true, true },
		{ "{\"result\":{\"content\":[],\"isError\":true},\"jsonrpc\":\"2.0\",\"id\":5}", true, true },
		{ "{\"result\":{\"content\":\"@\",\"isError\":true},\"jsonrpc\":\"2.0\",\"id\":5}", true, true },
		{ "{\"result\":{\"text\":\"TypeError: fetch failed\"},\"id\":5}", true, true },
		{ "{\"result\":{\"text\":\"@ fetch failed\"},\"id\":5}", true, true },
		{ "{\"id\":6,\"result\":{}}", false, false },
		{ "{\"id\":\"5\",\"result\":{}}", false, false },
		{ "{\"method\":\"roots/list\",\"jsonrpc\":\"2.0\",\"id\":5}", false, false }, /* the server asks */
		{ "{\"method\":\"x\",\"params\":{\"a\":\"@\"},\"jsonrpc\":\"2.0\",\"id\":5}", false, false },
		{ "{\"id\":55,\"result\":{}}", false, false },
		{ "{\"result\":{\"a\":\"@\",\"b\":{\"id\":5}}}", false, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(ANSWERS) / sizeof(ANSWERS[0]); i++) {
		for (size_t k = 0; k < PIECE_COUNT; k++) {
			struct pending pending = { 0 };
			mem_cleanup char *line = grown(ANSWERS[i].line);

			ask(&pending, "{\"id\":5,\"method\":\"m\"}\n", 100);
			assert_int_equal(answer(&pending, line, PIECES[k]), ANSWERS[i].failed);
			assert_int_equal(pending.count, ANSWERS[i].answers ? 0 : 1);
			pending_done(&pending);
		}
	}
}

static void a_list_of_tools_that_speaks_of_errors_is_no_failure(void **state)
{
	struct pending pending = { 0 };

	(void)state;
	ask(&pending, "{\"id\":5,\"method\":\"tools/list\"}\n", 100);
	assert_false(answer(&pending, "{\"id\":5,\"result\":{\"tools\":[\"shows errors\"]}}\n", 100));
	assert_int_equal(pending.count, 0);
	pending_done(&pending);
}

static void what_was_cancelled_is_not_waited_for(void **state)
{
	struct pending pending = { 0 };

	(void)state;
	ask(&pending, "{\"id\":5,\"method\":\"m\"}\n", 100);
	ask(&pending, "{\"id\":6,\"method\":\"n\"}\n", 100);
	ask(&pending, "{\"method\":\"notifications/cancelled\",\"requestId\":6,\"params\":{\"requestId\":5}}\n", 100);
	assert_int_equal(pending.count, 1);
	assert_string_equal(pending.v[0].method, "n");
	pending_done(&pending);
}

static void a_last_line_without_a_newline_counts(void **state)
{
	struct pending pending = { 0 };

	(void)state;
	ask(&pending, "{\"id\":5,\"method\":\"m\"}", 3);
	assert_int_equal(pending.count, 0);
	pending_ask_end(&pending);
	assert_int_equal(pending.count, 1);
	pending_ask_end(&pending);
	assert_int_equal(pending.count, 1);
	ask(&pending, "{\"id\":6,\"method\":\"m\"}", 3);
	assert_false(answer(&pending, "{\"id\":6,\"result\":1}\n", 100));
	assert_false(answer(&pending, "{\"id\":5,\"result\":1}\n", 100));
	pending_ask_end(&pending);
	assert_int_equal(pending.count, 0);
	ask(&pending, "{\"id\":7,\"method\":\"m\"", 3);
	assert_false(answer(&pending, "{\"id\":5,\"result\":1}\n", 100));
	pending_ask(&pending, "}\n", 2, false, 7);
	assert_int_equal(pending.count, 1);
	pending_done(&pending);
}

static void keeps_to_its_ceilings(void **state)
{
	struct pending pending = { 0 };
	mem_cleanup char *methods = NULL;

	(void)state;
	for (int i = 0; i < 2 * PENDING_REQUESTS_MAX; i++) {
		mem_cleanup char *line = str_printf("{\"id\":%d,\"method\":\"%d%099d\"}\n", i, i, 0);

		ask(&pending, line, 1000);
	}
	assert_int_equal(pending.count, PENDING_REQUESTS_MAX);
	mem_cleanup char *id = str_printf("{\"id\":%099d,\"method\":\"m\"}\n", 1);
	for (int i = 0; i < PENDING_REQUESTS_MAX; i++) {
		mem_cleanup char *line = str_printf("{\"id\":%d,\"result\":1}\n", i);

		if (i == 8) {
			methods = pending_methods(&pending);
			assert_true(strlen(methods) < 300);
			assert_non_null(strstr(methods, ", ..."));
		}
		assert_false(answer(&pending, line, 1000));
	}
	assert_int_equal(pending.count, 0);
	ask(&pending, id, 1000);
	assert_int_equal(pending.count, 0);
	pending_done(&pending);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_waits_until_its_answer),
		cmocka_unit_test(an_answer_ends_the_wait_of_its_own_request),
		cmocka_unit_test(a_list_of_tools_that_speaks_of_errors_is_no_failure),
		cmocka_unit_test(what_was_cancelled_is_not_waited_for),
		cmocka_unit_test(a_last_line_without_a_newline_counts),
		cmocka_unit_test(keeps_to_its_ceilings),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
