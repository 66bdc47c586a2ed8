#include "unit.h"

#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"
#include "files/identify.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * What is found is written as one word for each value: the bytes between its quotes, then letters: c, s, h, p for
 * config, schema, heuristic or the protocol; o for output_arguments.
 */
static void print_found(const char *text, const struct identify_found *found, char *to, size_t size)
{
	size_t used = 0;

	to[0] = '\0';
	for (size_t i = 0; i < found->count && used < size; i++) {
		const struct identify_value *v = &found->values[i];

		used +=
		    (size_t)snprintf(to + used, size - used, "%s%.*s:%c%s", i > 0 ? " " : "", (int)v->string.length - 2,
		                     text + v->string.offset + 1, "cshp"[v->reason], v -> is_output ? "o" : "");
	}
}

struct world {
	struct identify *identify;
	struct schema *schema;
};

static struct world make_world(const char *config_text, const char *package_text, const char *input_schema)
{
	struct world world = { .schema = schema_new() };
	struct npxc_error err = { 0 };
	struct config_package package;
	struct config config;
	mem_cleanup char *list =
	    str_printf("{\"tools\":[{\"name\":\"t\",\"inputSchema\":%s}]}", input_schema != NULL ? input_schema : "{}");
	struct json_span whole = { 0 };

	if (!config_parse(config_text, config_text != NULL ? strlen(config_text) : 0, "npxc.json", &config, &err) ||
	    !config_parse_package(package_text, package_text != NULL ? strlen(package_text) : 0, "p.json", &package,
	                          &err) ||
	    !json_check(list, strlen(list), &whole, &err))
		fail_msg("%s", err.message);
	assert_int_equal(schema_learn(world.schema, list, whole), 1);
	world.identify = identify_new(&config, &package);
	config_done(&config);
	config_package_done(&package);
	return world;
}

static void end_world(struct world *world)
{
	identify_free(world->identify);
	schema_free(world->schema);
}

/* All messages of a line; `ret_text` gets what is found. */
static void look(const struct world *world, const char *text, char *ret_text, size_t size)
{
	struct identify_found found = { 0 };
	struct npxc_error err = { 0 };
	struct message_line line;
	struct message message;
	size_t used = 0;

	ret_text[0] = '\0';
	if (!message_open(text, strlen(text), &line, &err))
		fail_msg("%s: %s", text, err.message);
	while (message_next(&line, &message)) {
		if (used > 0 && used < size - 2)
			used += (size_t)snprintf(ret_text + used, size - used, " ");
		if (!identify_message(world->identify, world->schema, text, &message, &found, &err)) {
			fail_msg("%s: %s", text, err.message);
		}
		print_found(text, &found, ret_text + used, size - used);
		used = strlen(ret_text);
	}
	identify_found_done(&found);
}

#define CALL(arguments)                                                                                               \
	"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"t\",\"arguments\":" arguments \
	"}}"
#define REQUEST(method, params) "{\"id\":1,\"method\":\"" method "\",\"params\":" params "}"
#define RESULT(result) "{\"id\":1,\"result\":" result "}"
#define NO_HEURISTIC "{\"paths\":{\"strategies\":[\"config\",\"schema\"]}}"

static const struct {
	const char *config, *package, *schema; /* NULL: defaults, none, {} */
	const char *text;
	const char *found;
} cases[] = {
	/* the heuristic */
	{ NULL, NULL, NULL, CALL("{\"a\":\"/x/y\"}"), "/x/y:h" },
	{ NULL, NULL, NULL, CALL("{\"a\":\"~/y\"}"), "~/y:h" },
	{ NULL, NULL, NULL, CALL("{\"a\":\"file:///y\"}"), "file:///y:h" },
	{ NULL, NULL, NULL, CALL("{\"a\":\"FILE:///y\"}"), "FILE:///y:h" },
	{ NULL, NULL, NULL, CALL("{\"a\":\"\\/y\",\"b\":\"\\u002fz\"}"), "\\/y:h \\u002fz:h" },
	{ NULL, NULL, NULL, CALL("{\"a\":{\"b\":[1,[{\"c\":\"/d\"}],\"/e\"]},\"f\":\"g\"}"), "/d:h /e:h" },
	{ NULL, NULL, NULL, CALL("[\"/a\"]"), "/a:h" },
	{ NULL, NULL, NULL, CALL("\"/a\""), "/a:h" },
	{ NULL, NULL, NULL, CALL("{\"a\":\"//etc/passwd\"}"), "" },
	{ NULL, NULL, NULL, CALL("{\"a\":\"/x\\u0000y\"}"), "" },
	{ NULL, NULL, NULL, CALL("{\"/key\":\"x\",\"b\":{\"/c\":1}}"), "" },
	{ NULL, NULL, NULL, CALL("{\"a\":\"\",\"b\":\"x\",\"c\":\"x/y\",\"d\":\"./x\",\"e\":\"../x\",\"f\":\" /x\"}"),
	  "" },
	{ NULL, NULL, NULL, CALL("{\"a\":\"~\",\"b\":\"~x/y\",\"c\":\"~\\n/\",\"d\":\"/\"}"), "" },
	{ NULL, NULL, NULL, CALL("{\"a\":\"/* x */\",\"b\":\"// x\",\"c\":\"//\",\"d\":\"/ x\"}"), "" },
	{ NULL, NULL, NULL, CALL("{\"a\":\"/x\\ny\",\"b\":\"/x\\u000dy\"}"), "" },
	{ NULL, NULL, NULL, CALL("{\"a\":\"https://x/y\",\"b\":\"data:/x\",\"c\":\"http:///x\"}"), "http:///x:h" },
	{ NULL, NULL, NULL, CALL("{\"a\":7,\"b\":null,\"c\":true,\"d\":{},\"e\":[]}"), "" },
	{ "{\"paths\":{\"heuristic\":{\"absolute_prefix\":false}}}", NULL, NULL,
	  CALL("{\"a\":\"/x\",\"b\":\"~/x\",\"c\":\"file:///x\"}"), "~/x:h file:///x:h" },
	{ "{\"paths\":{\"heuristic\":{\"home_prefix\":false}}}", NULL, NULL, CALL("{\"a\":\"/x\",\"b\":\"~/x\"}"),
	  "/x:h" },
	{ "{\"paths\":{\"heuristic\":{\"uri_prefix\":[]}}}", NULL, NULL, CALL("{\"a\":\"file:///x\",\"b\":\"/x\"}"),
	  "/x:h" },
	{ "{\"paths\":{\"heuristic\":{\"uri_prefix\":\"vscode-remote:\"}}}", NULL, NULL,
	  CALL("{\"a\":\"vscode-remote:/x\",\"b\":\"vscode:/x\"}"), "vscode-remote:/x:h" },
	{ NO_HEURISTIC, NULL, NULL, CALL("{\"a\":\"/x\",\"b\":\"~/x\",\"c\":\"file:///x\"}"), "" },
	{ "{\"paths\":{\"strategies\":[]}}", "{\"path_arguments\":{\"t\":[\"a\"]}}",
	  "{\"properties\":{\"a\":{\"format\":\"path\"}}}", CALL("{\"a\":\"/x\"}"), "" },

	/* the configuration */
	{ NULL, "{\"path_arguments\":{\"t\":[\"a\"]}}", NULL, CALL("{\"a\":\"x\",\"b\":\"y\"}"), "x:c" },
	{ NULL, "{\"path_arguments\":{\"t\":[\"a\"]}}", NULL, CALL("{\"b\":{\"a\":\"x\"}}"), "" },
	{ NULL, "{\"path_arguments\":{\"t\":[\"a\"]}}", NULL, CALL("{\"a\":[\"x\",{\"k\":\"y\"},3]}"), "x:c y:c" },
	{ NULL, "{\"path_arguments\":{\"*\":[\"a\"]}}", NULL, CALL("{\"\\u0061\":\"x\"}"), "x:c" },
	{ NULL, "{\"path_arguments\":{\"u\":[\"a\"]}}", NULL, CALL("{\"a\":\"x\"}"), "" },
	{ NULL, "{\"path_arguments\":{\"T\":[\"a\"],\"t\":[\"A\"]}}", NULL, CALL("{\"a\":\"x\"}"), "" },
	{ NULL, "{\"path_arguments\":{\"t\":[\"a\"]}}", NULL,
	  REQUEST("tools/call", "{\"arguments\":{\"a\":\"x\"},\"name\":\"\\u0074\"}"), "x:c" },
	{ NULL, "{\"path_arguments\":{\"t\":[\"a\"]}}", NULL, REQUEST("tools/call", "{\"arguments\":{\"a\":\"x\"}}"),
	  "" },
	{ NULL, "{\"path_arguments\":{\"t\":[\"a\"]}}", NULL,
	  REQUEST("tools/call", "{\"name\":[\"t\"],\"arguments\":{\"a\":\"x\"}}"), "" },
	{ NULL, "{\"path_arguments\":{\"t\":[\"/a/*/f\"]}}", NULL,
	  CALL("{\"a\":[{\"f\":\"x\",\"g\":\"y\"},{\"f\":\"z\"}],\"f\":\"w\"}"), "x:c z:c" },
	{ NULL, "{\"path_arguments\":{\"t\":[\"a\"]}}", NULL,
	  CALL("{\"a\":[\"\",\"https://h/x\",\"data:x\",\"x:y\",\"line\\nline\"]}"),
	  "https://h/x:c data:x:c x:y:c line\\nline:c" },
	{ NULL, "{\"path_arguments\":{\"t\":[\"a\"]}}", NULL, CALL("{\"a\":\"file:x\"}"), "file:x:c" },
	{ "{\"paths\":{\"strategies\":[\"heuristic\",\"config\"]}}", "{\"path_arguments\":{\"t\":[\"a\"]}}", NULL,
	  CALL("{\"a\":\"/x\"}"), "/x:c" },
	{ NULL, "{\"path_arguments\":{\"t\":[\"a\"]}}", NULL, CALL("{\"a\":\"/x\"}"), "/x:c" },
	{ "{\"paths\":{\"strategies\":[\"heuristic\"]}}", "{\"path_arguments\":{\"t\":[\"a\"]}}", NULL,
	  CALL("{\"a\":\"x\"}"), "" },

	/* what is no path */
	{ NULL, "{\"non_path_arguments\":{\"t\":[\"a\"]}}", NULL, CALL("{\"a\":\"/x\",\"b\":\"/y\"}"), "/y:h" },
	{ NULL, "{\"non_path_arguments\":{\"t\":[\"a\"]}}", NULL, CALL("{\"a\":{\"b\":[\"/x\"]}}"), "" },
	{ NULL, "{\"non_path_arguments\":{\"*\":[\"a\"]},\"path_arguments\":{\"t\":[\"a\"]}}", NULL,
	  CALL("{\"a\":\"x\"}"), "" },
	{ NULL, "{\"non_path_arguments\":{\"t\":[\"a\"]},\"path_arguments\":{\"*\":[\"a\"]}}", NULL,
	  CALL("{\"a\":\"x\"}"), "" },
	{ NULL, "{\"non_path_arguments\":{\"t\":[\"a\"]}}", "{\"properties\":{\"a\":{\"format\":\"path\"}}}",
	  CALL("{\"a\":\"x\"}"), "" },
	{ NULL, "{\"non_path_arguments\":{\"t\":[\"/a/0\"]}}", NULL, CALL("{\"a\":[\"/x\",\"/y\"]}"), "/y:h" },
	{ NULL, "{\"non_path_arguments\":{\"t\":[\"/a/b\"]}}", NULL,
	  CALL("{\"a\":{\"b\":\"/x\",\"c\":\"/y\"},\"b\":\"/z\"}"), "/y:h /z:h" },
	{ NULL, "{\"non_path_arguments\":{\"u\":[\"a\"]}}", NULL, CALL("{\"a\":\"/x\"}"), "/x:h" },
	{ "{\"paths\":{\"strategies\":[\"heuristic\"]}}", "{\"non_path_arguments\":{\"t\":[\"a\"]}}", NULL,
	  CALL("{\"a\":\"/x\"}"), "" },

	/* the schema */
	{ NULL, NULL, "{\"properties\":{\"path\":{\"type\":\"string\"}}}", CALL("{\"path\":\"x\",\"q\":\"y\"}"),
	  "x:s" },
	{ NULL, NULL, "{\"properties\":{\"p\":{\"items\":{\"format\":\"path\"}}}}", CALL("{\"p\":[\"x\",\"/y\"]}"),
	  "x:s /y:s" },
	{ NULL, NULL, "{\"properties\":{\"u\":{\"format\":\"uri\"}}}",
	  CALL("{\"u\":\"file:///x\",\"v\":\"file:///y\"}"), "file:///x:s file:///y:h" },
	{ NO_HEURISTIC, NULL, "{\"properties\":{\"u\":{\"format\":\"uri\"}}}", CALL("{\"u\":\"x/y\"}"), "" },
	{ NO_HEURISTIC, NULL, "{\"properties\":{\"u\":{\"format\":\"uri\"}}}", CALL("{\"u\":\"https://x\"}"), "" },
	{ NO_HEURISTIC, NULL, "{\"properties\":{\"path\":{}}}", CALL("{\"path\":\"two\\nlines\"}"), "two\\nlines:s" },
	{ NO_HEURISTIC, NULL, "{\"properties\":{\"path\":{}}}", CALL("{\"path\":\"https://x\"}"), "https://x:s" },
	{ NULL, NULL, "{\"properties\":{\"path\":{}}}",
	  REQUEST("tools/call", "{\"name\":\"other\",\"arguments\":{\"path\":\"x\"}}"), "" },
	{ NULL, NULL, "{\"properties\":{\"path\":{}}}",
	  REQUEST("prompts/get", "{\"name\":\"t\",\"arguments\":{\"path\":\"x\"}}"), "" },

	/* outputs */
	{ NULL, "{\"output_arguments\":{\"t\":[\"o\"]}}", NULL, CALL("{\"o\":\"x\",\"b\":\"/y\"}"), "x:co /y:h" },
	{ NULL, "{\"output_arguments\":{\"*\":[\"o\"]}}", NULL, CALL("{\"o\":\"x\"}"), "x:co" },
	{ NULL, "{\"outputs\":true}", NULL, CALL("{\"o\":\"x\",\"b\":\"/y\"}"), "/y:h" },
	{ NULL, "{\"output_arguments\":{\"t\":[\"o\"]},\"non_path_arguments\":{\"t\":[\"o\"]}}", NULL,
	  CALL("{\"o\":\"/x\"}"), "" },
	{ NULL, "{\"outputs\":true}", NULL, REQUEST("resources/read", "{\"uri\":\"file:///x\"}"), "file:///x:p" },
	{ "{\"paths\":{\"strategies\":[\"heuristic\"]}}", "{\"output_arguments\":{\"t\":[\"o\"]}}", NULL,
	  CALL("{\"o\":\"/x\",\"p\":\"y\"}"), "/x:ho" },

	/* the other requests */
	{ NULL, NULL, NULL, REQUEST("resources/read", "{\"uri\":\"file:///x\",\"other\":\"/y\"}"), "file:///x:p" },
	{ NULL, NULL, NULL, REQUEST("resources/read", "{\"uri\":\"/x\"}"), "/x:p" },
	{ "{\"paths\":{\"strategies\":[]}}", NULL, NULL, REQUEST("resources/read", "{\"uri\":\"file:///x\"}"),
	  "file:///x:p" },
	{ NULL, NULL, NULL, REQUEST("resources/read", "{\"uri\":\"memo://x\"}"), "" },
	{ NULL, NULL, NULL, REQUEST("resources/read", "{\"uri\":[\"file:///x\"]}"), "" },
	{ NULL, NULL, NULL, REQUEST("resources/read", "{\"x\":{\"uri\":\"file:///x\"}}"), "" },
	{ NULL, NULL, NULL, REQUEST("resources/subscribe", "{\"uri\":\"file:///x\"}"), "file:///x:p" },
	{ NULL, NULL, NULL, REQUEST("resources/unsubscribe", "{\"uri\":\"file:///x\"}"), "file:///x:p" },
	{ NULL, NULL, NULL,
	  REQUEST(
	      "subscriptions/listen",
	      "{\"notifications\":{\"resourceSubscriptions\":[\"file:///x\",\"memo:x\",7],\"y\":\"/z\"},\"z\":\"/z\"}"),
	  "file:///x:p memo:x:p" },
	{ NULL, NULL, NULL, REQUEST("subscriptions/listen", "{\"notifications\":[\"file:///x\"]}"), "" },
	{ NULL, "{\"path_arguments\":{\"*\":[\"f\"],\"p\":[\"g\"]}}", NULL,
	  REQUEST("prompts/get", "{\"name\":\"p\",\"arguments\":{\"f\":\"x\",\"g\":\"y\",\"h\":\"/z\"}}"), "x:c /z:h" },
	{ NULL, "{\"non_path_arguments\":{\"*\":[\"h\"]}}", NULL,
	  REQUEST("prompts/get", "{\"arguments\":{\"h\":\"/z\"}}"), "" },
	{ NULL, NULL, NULL,
	  REQUEST("completion/complete", "{\"ref\":{\"type\":\"ref/resource\",\"uri\":\"file:///"
	                                 "{p}\"},\"argument\":{\"name\":\"/n\",\"value\":\"/x/y\"},"
	                                 "\"context\":{\"arguments\":{\"a\":\"/z\",\"b\":\"w\"},\"o\":\"/o\"}}"),
	  "/z:h" },
	{ NULL, "{\"path_arguments\":{\"*\":[\"n\"]},\"outputs\":true}", NULL,
	  REQUEST("completion/complete", "{\"argument\":{\"value\":\"x\",\"name\":\"n\"}}"), "" },
	{ NULL, "{\"non_path_arguments\":{\"*\":[\"n\"]}}", NULL,
	  REQUEST("completion/complete", "{\"argument\":{\"name\":\"n\",\"value\":\"/x\"}}"), "" },
	{ NULL, NULL, NULL, REQUEST("tools/list", "{\"cursor\":\"/x\"}"), "" },
	{ NULL, NULL, NULL, REQUEST("initialize", "{\"arguments\":{\"a\":\"/x\"},\"uri\":\"file:///x\"}"), "" },
	{ NULL, NULL, NULL,
	  "{\"method\":\"notifications/cancelled\",\"params\":{\"requestId\":\"/x\",\"reason\":\"/y\"}}", "" },

	/* never */
	{ NULL, NULL, NULL,
	  "{\"id\":\"/id\",\"method\":\"tools/call\",\"params\":{\"name\":\"/tool\",\"requestState\":\"/"
	  "s\",\"_meta\":{\"progressToken\":"
	  "\"/t\",\"x\":{\"arguments\":{\"a\":\"/y\"}}},\"task\":{\"taskId\":\"/k\"},\"cursor\":\"/c\"}}",
	  "" },
	{ NULL, NULL, NULL, "{\"id\":1,\"method\":\"tools/call\",\"arguments\":{\"a\":\"/x\"}}", "" },
	{ NULL, NULL, NULL, "{\"id\":1,\"method\":\"tools/call\",\"params\":[\"/x\"]}", "" },
	{ NULL, NULL, NULL, "{\"id\":1,\"method\":\"tools/call\",\"params\":\"/x\"}", "" },

	/* answers */
	{ NULL, NULL, NULL,
	  RESULT("{\"roots\":[{\"uri\":\"file:///x\",\"name\":\"/n\",\"o\":\"/o\"},{\"name\":\"project\"},\"/z\"]}"),
	  "file:///x:p" },
	{ NULL, NULL, NULL,
	  RESULT("{\"action\":\"accept\",\"content\":{\"a\":\"/x\",\"b\":[\"~/y\"],\"c\":\"z\"},\"o\":\"/o\"}"),
	  "/x:h ~/y:h" },
	{ NULL, "{\"path_arguments\":{\"*\":[\"c\"]}}", NULL,
	  RESULT("{\"action\":\"accept\",\"content\":{\"c\":\"z\"}}"), "z:c" },
	{ NULL, NULL, NULL,
	  RESULT(
	      "{\"role\":\"assistant\",\"model\":\"/m\",\"content\":{\"type\":\"text\",\"text\":\"/x\",\"o\":\"/o\"}}"),
	  "/x:h" },
	{ NULL, NULL, NULL,
	  RESULT("{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":\"/id\",\"name\":\"/"
	         "n\",\"input\":{\"p\":\"/x\"}},"
	         "{\"type\":\"image\",\"data\":\"/9j/4AAQ\",\"mimeType\":\"/"
	         "m\"},{\"type\":\"tool_result\",\"toolUseId\":\"/u\","
	         "\"content\":[{\"type\":\"resource\",\"resource\":{\"uri\":\"file:///r\",\"text\":\"/t\",\"blob\":\"/"
	         "b\"}}],"
	         "\"structuredContent\":{\"s\":\"/y\"}}]}"),
	  "/x:h file:///r:p /t:h /y:h" },
	{ NULL, NULL, NULL, RESULT("{\"role\":\"assistant\",\"content\":\"/x\"}"), "" },
	{ NULL, NULL, NULL, RESULT("{\"content\":[{\"text\":\"/x\"}],\"tools\":[\"/y\"]}"), "" },
	{ NULL, NULL, NULL, RESULT("\"/x\""), "" },
	{ NULL, NULL, NULL, "{\"id\":1,\"error\":{\"message\":\"/x\",\"data\":{\"roots\":[{\"uri\":\"file:///x\"}]}}}",
	  "" },
	{ NULL, NULL, NULL,
	  REQUEST("tools/call", "{\"name\":\"t\",\"arguments\":{\"a\":\"/x\"},\"requestState\":\"/"
	                        "s\",\"inputResponses\":{\"/k1\":{\"roots\":[{\"uri\":"
	                        "\"file:///r\"}]},\"k2\":{\"action\":\"accept\",\"content\":{\"e\":\"/"
	                        "e\"}},\"k3\":{\"role\":\"user\",\"content\":{"
	                        "\"text\":\"/m\"}},\"k4\":\"/z\",\"k5\":{\"z\":\"/z\"}}}"),
	  "/x:h file:///r:p /e:h /m:h" },
	{ NULL, NULL, NULL,
	  REQUEST("tasks/update", "{\"taskId\":\"/k\",\"inputResponses\":{\"k\":{\"action\":\"accept\",\"content\":"
	                          "{\"e\":\"/e\"}}}}"),
	  "/e:h" },
	{ NULL, NULL, NULL,
	  REQUEST("resources/read", "{\"inputResponses\":{\"k\":{\"roots\":[{\"uri\":\"file:///r\"}]}}}"),
	  "file:///r:p" },

	/* batches */
	{ NULL, NULL, NULL, "[" CALL("{\"a\":\"/x\"}") ",7," RESULT("{\"roots\":[{\"uri\":\"file:///r\"}]}") "]",
	  "/x:h  file:///r:p" },
	{ NULL, NULL, NULL, "[]", "" },
	{ NULL, NULL, NULL, "[[" CALL("{\"a\":\"/x\"}") "]]", "" },

	/* keys that occur twice: each is looked at */
	{ NULL, NULL, NULL, CALL("{\"a\":\"/x\",\"a\":\"y\"}"), "/x:h" },
	{ NULL, NULL, NULL, CALL("{\"a\":\"/x\",\"a\":\"/y\"}"), "/x:h /y:h" },
	{ NULL, NULL, NULL, CALL("{},\"arguments\":{\"a\":\"/x\"}"), "/x:h" },
	{ NULL, NULL, NULL, REQUEST("resources/read", "{\"uri\":\"file:///x\",\"uri\":\"file:///y\"}"),
	  "file:///x:p file:///y:p" },
	{ NULL, NULL, NULL, REQUEST("tools/call", "{\"name\":\"\\ud800\",\"arguments\":{\"a\":\"/x\"}}"), "/x:h" },

	/* parts of values */
	{ NULL, NULL, NULL, CALL("{\"a\":\"k=/x\",\"b\":\"sqlite:///x\",\"c\":\"/x,/y\",\"d\":\"k=x\"}"),
	  "k=/x:h sqlite:///x:h /x,/y:h" },
};

static void values_are_found(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct world world = make_world(cases[i].config, cases[i].package, cases[i].schema);
		char found[1024];

		look(&world, cases[i].text, found, sizeof(found));
		if (strcmp(found, cases[i].found) != 0)
			fail_msg("case %zu: %s\nfound %s\nnot   %s", i, cases[i].text, found, cases[i].found);
		end_world(&world);
	}
}

/* `count` times `piece` within an array as the argument "a" of a call. Owned. */
static char *long_call(const char *piece, size_t count, const char *last)
{
	BUF_CLEANUP struct buf text = BUF_INIT(64 * MIB);
	struct npxc_error err = { 0 };
	bool ok =
	    buf_append_text(&text, "{\"id\":1,\"method\":\"tools/call\",\"params\":{\"arguments\":{\"a\":[", &err);

	for (size_t i = 0; ok && i < count; i++)
		ok = buf_append_text(&text, piece, &err);
	assert_true(ok && buf_append_text(&text, last, &err) && buf_append_text(&text, "]}}}", &err));
	return buf_take(&text);
}

static void a_text_longer_than_any_path_is_none(void **state)
{
	struct world world = make_world(NULL, "{\"path_arguments\":{\"*\":[\"p\"]}}", NULL);
	mem_cleanup char *fits = mem_alloc(16384);
	mem_cleanup char *longer = NULL;
	mem_cleanup char *named = NULL;
	mem_cleanup char *escaped = NULL;
	char found[32768];

	(void)state;
	memset(fits, 'x', 12280);
	fits[0] = '/';
	longer =
	    str_printf("{\"id\":1,\"method\":\"tools/call\",\"params\":{\"arguments\":{\"a\":\"%sxxxxxxxxx\"}}}", fits);
	named =
	    str_printf("{\"id\":1,\"method\":\"tools/call\",\"params\":{\"arguments\":{\"p\":\"%sxxxxxxxxx\"}}}", fits);
	escaped = str_printf("{\"id\":1,\"method\":\"tools/call\",\"params\":{\"arguments\":{\"a\":\"\\u002f%s\"}}}",
	                     fits + 1);
	look(&world, longer, found, sizeof(found));
	assert_string_equal(found, "");
	look(&world, named, found, sizeof(found));
	assert_string_equal(found, "");
	look(&world, escaped, found, sizeof(found));
	assert_true(str_ends(found, ":h"));
	end_world(&world);
}

static void more_paths_than_the_ceiling_are_refused(void **state)
{
	struct world world = make_world(NULL, NULL, NULL);
	mem_cleanup char *fits = long_call("\"/x\",", LIMIT_MESSAGE_PATHS - 1, "\"/x\"");
	mem_cleanup char *more = long_call("\"/x\",", LIMIT_MESSAGE_PATHS, "\"/x\"");
	struct identify_found found = { 0 };
	struct npxc_error err = { 0 };
	struct message_line line;
	struct message message;

	(void)state;
	assert_true(message_open(fits, strlen(fits), &line, &err) && message_next(&line, &message));
	assert_true(identify_message(world.identify, world.schema, fits, &message, &found, &err));
	assert_int_equal(found.count, LIMIT_MESSAGE_PATHS);
	assert_true(message_open(more, strlen(more), &line, &err) && message_next(&line, &message));
	assert_false(identify_message(world.identify, world.schema, more, &message, &found, &err));
	assert_int_equal(err.kind, ERROR_IO);
	assert_int_equal(found.count, 0);
	identify_found_done(&found);
	end_world(&world);
}

static void many_keys_and_paths_take_their_time_once(void **state)
{
	struct world world = make_world(NULL, NULL, NULL);
	BUF_CLEANUP struct buf text = BUF_INIT(64 * MIB);
	struct identify_found found = { 0 };
	struct npxc_error err = { 0 };
	struct message_line line;
	struct message message;
	bool ok =
	    buf_append_text(&text, "{\"id\":1,\"method\":\"tools/call\",\"params\":{\"arguments\":{\"z\":\"/z\"", &err);

	(void)state;
	for (int i = 0; ok && i < 60000; i++)
		ok = buf_appendf(&text, &err, ",\"k%d\":[\"/x\"]", i);
	assert_true(ok && buf_append_text(&text, "}}}", &err));
	assert_true(message_open(text.data, text.length, &line, &err) && message_next(&line, &message));
	assert_true(identify_message(world.identify, world.schema, text.data, &message, &found, &err));
	assert_int_equal(found.count, 60001);
	identify_found_done(&found);
	end_world(&world);
}

static void the_deepest_message_is_gone_through(void **state)
{
	struct world world = make_world(NULL, NULL, NULL);
	char text[4096] = "{\"id\":1,\"method\":\"tools/call\",\"params\":{\"arguments\":";
	char found[64];

	(void)state;
	for (int i = 0; i < LIMIT_MESSAGE_DEPTH - 2; i++)
		strcat(text, i % 2 == 0 ? "[" : "{\"a\":");
	strcat(text, "\"/x\"");
	for (int i = LIMIT_MESSAGE_DEPTH - 3; i >= 0; i--)
		strcat(text, i % 2 == 0 ? "]" : "}");
	strcat(text, "}}");
	look(&world, text, found, sizeof(found));
	assert_string_equal(found, "/x:h");
	end_world(&world);
}

static void no_package_and_no_schema_will_do(void **state)
{
	static const char text[] = CALL("{\"a\":\"/x\",\"path\":\"y\"}");
	struct npxc_error err = { 0 };
	struct identify_found found = { 0 };
	struct identify *identify;
	struct message_line line;
	struct message message;
	struct config config;
	char printed[64];

	(void)state;
	assert_true(config_parse(NULL, 0, "f", &config, &err));
	identify = identify_new(&config, NULL);
	config_done(&config);
	assert_true(message_open(text, strlen(text), &line, &err) && message_next(&line, &message));
	assert_true(identify_message(identify, NULL, text, &message, &found, &err));
	print_found(text, &found, printed, sizeof(printed));
	assert_string_equal(printed, "/x:h");
	identify_found_done(&found);
	identify_free(identify);
	identify_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_are_found),
		cmocka_unit_test(a_text_longer_than_any_path_is_none),
		cmocka_unit_test(more_paths_than_the_ceiling_are_refused),
		cmocka_unit_test(many_keys_and_paths_take_their_time_once),
		cmocka_unit_test(the_deepest_message_is_gone_through),
		cmocka_unit_test(no_package_and_no_schema_will_do),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
