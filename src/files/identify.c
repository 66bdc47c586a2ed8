#include "files/identify.h"

#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* bytes: a path with every byte percent-encoded; a longer text is none. */
enum { VALUE_BYTES_MAX = 3 * 4096 };

/* Settings */

/* Beside enum schema_mark, in patterns of the configuration. */
enum config_mark { MARK_PATH = 1, MARK_NO_PATH = 2, MARK_OUTPUT = 4 };

struct tool_places {
	char *tool; /* owned; "*": every tool, and what is no tool's */
	struct pattern pattern;
};

struct identify {
	enum config_strategy strategies[CONFIG_STRATEGIES_MAX];
	size_t strategy_count;
	bool absolute_prefix, home_prefix;
	struct strv uri_prefixes;
	struct tool_places *tools; /* owned */
	size_t tool_count;
};

static struct tool_places *places_of(struct identify *identify, const char *tool)
{
	struct tool_places *places;

	for (size_t i = 0; i < identify->tool_count; i++)
		if (strcmp(identify->tools[i].tool, tool) == 0)
			return &identify->tools[i];
	identify->tools = mem_realloc(identify->tools, identify->tool_count + 1, sizeof(identify->tools[0]));
	places = &identify->tools[identify->tool_count++];
	*places = (struct tool_places){ .tool = str_dup(tool) };
	pattern_start(&places->pattern);
	return places;
}

/* {tool or "*": [names or pointers]}, checked by config/. */
static void add_places(struct identify *identify, const cJSON *arguments, unsigned marks)
{
	const cJSON *tool;
	const cJSON *place;

	cJSON_ArrayForEach(tool, arguments)
	{
		cJSON_ArrayForEach(place, tool)
		{
			pattern_add_place(&places_of(identify, tool->string)->pattern, place->valuestring, marks);
		}
	}
}

struct identify *identify_new(const struct config *config, const struct config_package *package)
{
	struct identify *identify = mem_alloc(sizeof(*identify));

	memcpy(identify->strategies, config->strategies, sizeof(identify->strategies));
	identify->strategy_count = config->strategy_count;
	identify->absolute_prefix = config->heuristic.absolute_prefix;
	identify->home_prefix = config->heuristic.home_prefix;
	for (size_t i = 0; i < config->heuristic.uri_prefix.count; i++)
		strv_push(&identify->uri_prefixes, config->heuristic.uri_prefix.v[i]);
	if (package == NULL)
		return identify;
	add_places(identify, package->path_arguments, MARK_PATH);
	add_places(identify, package->non_path_arguments, MARK_NO_PATH);
	add_places(identify, package->output_arguments, MARK_PATH | MARK_OUTPUT);
	for (size_t i = 0; i < identify->tool_count; i++)
		pattern_sort(&identify->tools[i].pattern);
	return identify;
}

void identify_free(struct identify *identify)
{
	if (identify == NULL)
		return;
	for (size_t i = 0; i < identify->tool_count; i++) {
		free(identify->tools[i].tool);
		pattern_done(&identify->tools[i].pattern);
	}
	free(identify->tools);
	strv_done(&identify->uri_prefixes);
	free(identify);
}

void identify_found_done(struct identify_found *found)
{
	free(found->values);
	*found = (struct identify_found){ 0 };
}

bool identify_takes(const struct identify *identify, const struct words_part *part)
{
	if (part->text[0] == '/')
		return identify->absolute_prefix;
	return part->text[0] == '~' ? identify->home_prefix : identify->uri_prefixes.count > 0;
}

const char *identify_behind_prefix(const struct identify *identify, const char *text)
{
	for (size_t i = 0; i < identify->uri_prefixes.count; i++) {
		const size_t length = strlen(identify->uri_prefixes.v[i]);

		if (strncasecmp(text, identify->uri_prefixes.v[i], length) == 0 && text[length] == '/' &&
		    strncasecmp(text, "file:", 5) != 0)
			return text + length;
	}
	return NULL;
}

/* What a value looks like */

/* bytes: of a value's opening, by which most are told. What is not ASCII is kept as one byte that no prefix has. */
enum { OPENING_BYTES = 24 };

static size_t read_opening(const char *text, struct json_span string, char opening[OPENING_BYTES])
{
	const size_t end = string.offset + string.length - 1;
	size_t used = 0;

	for (size_t at = string.offset + 1; at < end && used < OPENING_BYTES - 1;) {
		const uint32_t c = json_character(text, end, &at);

		opening[used++] = (char)(c > 0 && c < 0x80 ? c : 0x1);
	}
	opening[used] = '\0';
	return used;
}

/* "https://...", "data:...": a URI that is no file's. Its path may be one: "sqlite:///x". */
static bool is_other_uri(const char *opening)
{
	static const char scheme[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+.-";
	const size_t length = strspn(opening, scheme);

	return (length > 0 && strncmp(opening + length, "://", 3) == 0 && strncasecmp(opening, "file:", 5) != 0) ||
	       strncasecmp(opening, "data:", 5) == 0;
}

/* Whether some part of the value is written as a path that means the same everywhere. */
static bool has_absolute(const struct identify *identify, const char *text, struct json_span string)
{
	struct words_part parts[WORDS_PARTS_MAX];
	mem_cleanup char *value = NULL;
	struct npxc_error ignored;
	size_t length, count;

	/* All of them have a slash, or it is written as an escape. */
	if (memchr(text + string.offset, '/', string.length) == NULL &&
	    memchr(text + string.offset, '\\', string.length) == NULL)
		return false;
	if (!json_decode(text, string, &value, &length, &ignored))
		return false;
	count = words_find(value, length, parts);
	for (size_t i = 0; i < count; i++)
		if (parts[i].is_absolute && identify_takes(identify, &parts[i]))
			return true;
	return identify_behind_prefix(identify, value) != NULL;
}

/* Going through a message */

/* Who names places: the configuration of the tool and of "*", and the tool's schema. */
enum { PLACES_OWN, PLACES_ALL, PLACES_SCHEMA, PLACES_COUNT };

struct search {
	const struct identify *identify;
	const char *text;
	const struct message *message;
	struct identify_found *found;
	/* Where the walk is within what is named by places; their bottom is the value `arguments`. */
	struct pattern_walk walks[PLACES_COUNT];
	bool has_places;
	bool by_protocol;
	struct npxc_error *err;
};

/* Into a member, or, where `key` is NULL, an element, and out of it again. */
static void step_in(struct search *search, const struct json_span *key, size_t element)
{
	for (size_t i = 0; search->has_places && i < PLACES_COUNT; i++)
		if (key != NULL)
			pattern_walk_member(&search->walks[i], search->text, *key);
		else
			pattern_walk_element(&search->walks[i], element);
}

static void step_out(struct search *search)
{
	for (size_t i = 0; search->has_places && i < PLACES_COUNT; i++)
		pattern_walk_up(&search->walks[i]);
}

static bool keep_value(struct search *search, struct identify_value value)
{
	struct identify_found *found = search->found;

	if (found->count == LIMIT_MESSAGE_PATHS)
		return error_set(search->err, ERROR_IO, "more than %d paths in one message", LIMIT_MESSAGE_PATHS);
	if (found->count == found->capacity) {
		found->capacity = found->capacity == 0 ? 16 : found->capacity * 2;
		found->values = mem_realloc(found->values, found->capacity, sizeof(found->values[0]));
	}
	found->values[found->count++] = value;
	return true;
}

static bool has_strategy(const struct identify *identify, enum config_strategy strategy)
{
	for (size_t i = 0; i < identify->strategy_count; i++)
		if (identify->strategies[i] == strategy)
			return true;
	return false;
}

static bool look_at_string(struct search *search, struct json_span string)
{
	const struct identify *identify = search->identify;
	struct identify_value value = { .string = string };
	unsigned configured = 0, schema = 0;
	char opening[OPENING_BYTES];

	if (string.length <= 2 || string.length > VALUE_BYTES_MAX)
		return true;
	read_opening(search->text, string, opening);
	if (search->has_places) {
		configured =
		    pattern_walk_marks(&search->walks[PLACES_OWN]) | pattern_walk_marks(&search->walks[PLACES_ALL]);
		schema = pattern_walk_marks(&search->walks[PLACES_SCHEMA]);
	}
	if ((configured & MARK_NO_PATH) != 0)
		return true;
	value.is_output = (configured & MARK_OUTPUT) != 0;
	if ((configured & MARK_PATH) != 0 && has_strategy(identify, CONFIG_STRATEGY_CONFIG))
		value.reason = IDENTIFY_BY_CONFIG;
	else if (search->by_protocol && !is_other_uri(opening))
		value.reason = IDENTIFY_BY_PROTOCOL;
	else if (((schema & SCHEMA_PATH) != 0 ||
	          ((schema & SCHEMA_URI) != 0 && strncasecmp(opening, "file:", 5) == 0)) &&
	         has_strategy(identify, CONFIG_STRATEGY_SCHEMA))
		value.reason = IDENTIFY_BY_SCHEMA;
	else if (has_strategy(identify, CONFIG_STRATEGY_HEURISTIC) && has_absolute(identify, search->text, string))
		value.reason = IDENTIFY_BY_HEURISTIC;
	else
		return true;
	return keep_value(search, value);
}

/* Every string of the value that is next, at any depth. */
static bool look_at_value(struct search *search, struct json_reader *r)
{
	const enum json_kind kind = json_peek(r);
	struct json_span span;
	bool ok = true;

	if (kind == JSON_OBJECT && json_enter(r, kind)) {
		while (ok && json_member(r, &span)) {
			step_in(search, &span, 0);
			ok = look_at_value(search, r);
			step_out(search);
		}
		return ok;
	}
	if (kind == JSON_ARRAY && json_enter(r, kind)) {
		for (size_t i = 0; ok && json_element(r); i++) {
			step_in(search, NULL, i);
			ok = look_at_value(search, r);
			step_out(search);
		}
		return ok;
	}
	if (!json_skip(r, &span))
		return json_problem(r, search->err);
	return kind != JSON_STRING || look_at_string(search, span);
}

/* `tool` NULL: what is no tool's. */
static void start_places(struct search *search, const char *tool, size_t length, const struct schema *schema)
{
	const struct identify *identify = search->identify;
	const struct pattern *own = NULL;
	const struct pattern *all = NULL;

	for (size_t i = 0; i < identify->tool_count; i++) {
		const struct tool_places *places = &identify->tools[i];

		if (strcmp(places->tool, "*") == 0)
			all = &places->pattern;
		else if (tool != NULL && strlen(places->tool) == length && memcmp(places->tool, tool, length) == 0)
			own = &places->pattern;
	}
	pattern_walk_start(&search->walks[PLACES_OWN], own);
	pattern_walk_start(&search->walks[PLACES_ALL], all);
	pattern_walk_start(&search->walks[PLACES_SCHEMA],
	                   tool != NULL && schema != NULL ? schema_find(schema, tool, length) : NULL);
	search->has_places = true;
}

static void end_places(struct search *search)
{
	for (size_t i = 0; i < PLACES_COUNT; i++)
		pattern_walk_done(&search->walks[i]);
	search->has_places = false;
}

/* The arguments of something that is no tool: the places of "*". */
static bool look_at_arguments(struct search *search, struct json_reader *r)
{
	bool ok;

	start_places(search, NULL, 0, NULL);
	ok = look_at_value(search, r);
	end_places(search);
	return ok;
}

/* A field that holds a URI by the specification. */
static bool look_at_uri(struct search *search, struct json_reader *r)
{
	struct json_span ignored;
	bool ok;

	if (json_peek(r) != JSON_STRING)
		return json_skip(r, &ignored) || json_problem(r, search->err);
	search->by_protocol = true;
	ok = look_at_value(search, r);
	search->by_protocol = false;
	return ok;
}

static bool skip_value(struct search *search, struct json_reader *r)
{
	struct json_span ignored;

	return json_skip(r, &ignored) || json_problem(r, search->err);
}

/*
 * Objects with known members: `look` is called with the reader before each value. What is not an object is passed
 * over.
 */
typedef bool looker(struct search *search, struct json_reader *r, struct json_span key, void *context);

static bool each_member(struct search *search, struct json_reader *r, looker *look, void *context)
{
	struct json_span key;
	bool ok = true;

	if (json_peek(r) != JSON_OBJECT)
		return skip_value(search, r);
	if (!json_enter(r, JSON_OBJECT))
		return json_problem(r, search->err);
	while (ok && json_member(r, &key))
		ok = look(search, r, key, context);
	return ok;
}

static bool each_element(struct search *search, struct json_reader *r, looker *look, void *context)
{
	bool ok = true;

	if (json_peek(r) != JSON_ARRAY)
		return skip_value(search, r);
	if (!json_enter(r, JSON_ARRAY))
		return json_problem(r, search->err);
	while (ok && json_element(r))
		ok = look(search, r, (struct json_span){ 0 }, context);
	return ok;
}

/* Responses */

enum answer { ANSWER_OTHER, ANSWER_ROOTS, ANSWER_ELICITATION, ANSWER_SAMPLING };

/* What the object that is next answers, by its members. */
static enum answer answer_of(const struct json_reader *r)
{
	struct json_reader ahead = *r;
	struct json_span key;
	struct json_span value;
	enum answer answer = ANSWER_OTHER;

	if (json_peek(&ahead) != JSON_OBJECT || !json_enter(&ahead, JSON_OBJECT))
		return answer;
	while (json_member(&ahead, &key) && json_skip(&ahead, &value)) {
		if (json_equals(ahead.text, key, "action"))
			answer = ANSWER_ELICITATION;
		else if (answer == ANSWER_OTHER && json_equals(ahead.text, key, "role"))
			answer = ANSWER_SAMPLING;
		else if (answer == ANSWER_OTHER && json_equals(ahead.text, key, "roots"))
			answer = ANSWER_ROOTS;
	}
	return answer;
}

static bool root_member(struct search *search, struct json_reader *r, struct json_span key, void *context)
{
	(void)context;
	if (json_equals(search->text, key, "uri"))
		return look_at_uri(search, r);
	return skip_value(search, r);
}

static bool root(struct search *search, struct json_reader *r, struct json_span key, void *context)
{
	(void)key;
	return each_member(search, r, root_member, context);
}

static bool block(struct search *search, struct json_reader *r, struct json_span key, void *context);

/* One member of a content block. A tool's result holds blocks itself. */
static bool block_member(struct search *search, struct json_reader *r, struct json_span key, void *context)
{
	const char *text = search->text;

	if (json_equals(text, key, "content"))
		return json_peek(r) == JSON_ARRAY ? each_element(search, r, block, context) : skip_value(search, r);
	if (json_equals(text, key, "uri"))
		return look_at_uri(search, r);
	if (json_equals(text, key, "resource"))
		return each_member(search, r, block_member, context);
	if (!json_equals(text, key, "text") && !json_equals(text, key, "input") &&
	    !json_equals(text, key, "structuredContent"))
		return skip_value(search, r);
	if (!look_at_value(search, r))
		return false;
	return true;
}

static bool block(struct search *search, struct json_reader *r, struct json_span key, void *context)
{
	(void)key;
	return each_member(search, r, block_member, context);
}

static bool answer_member(struct search *search, struct json_reader *r, struct json_span key, void *context)
{
	const enum answer answer = *(const enum answer *)context;

	if (answer == ANSWER_ROOTS && json_equals(search->text, key, "roots"))
		return each_element(search, r, root, NULL);
	if (answer == ANSWER_ELICITATION && json_equals(search->text, key, "content"))
		return look_at_arguments(search, r);
	if (answer == ANSWER_SAMPLING && json_equals(search->text, key, "content"))
		return json_peek(r) == JSON_ARRAY ? each_element(search, r, block, NULL) : block(search, r, key, NULL);
	return skip_value(search, r);
}

static bool look_at_answer(struct search *search, struct json_reader *r)
{
	enum answer answer = answer_of(r);

	return each_member(search, r, answer_member, &answer);
}

/* Requests */

static bool input_response(struct search *search, struct json_reader *r, struct json_span key, void *context)
{
	(void)key;
	(void)context;
	return look_at_answer(search, r);
}

static bool subscription(struct search *search, struct json_reader *r, struct json_span key, void *context)
{
	(void)key;
	(void)context;
	return look_at_uri(search, r);
}

static bool notifications_member(struct search *search, struct json_reader *r, struct json_span key, void *context)
{
	if (json_equals(search->text, key, "resourceSubscriptions"))
		return each_element(search, r, subscription, context);
	return skip_value(search, r);
}

static bool context_member(struct search *search, struct json_reader *r, struct json_span key, void *context)
{
	bool ok;

	(void)context;
	if (!json_equals(search->text, key, "arguments"))
		return skip_value(search, r);
	start_places(search, NULL, 0, NULL);
	ok = look_at_value(search, r);
	end_places(search);
	return ok;
}

struct call {
	enum message_method method;
	const char *tool; /* of tools/call; NULL: none, or no string */
	size_t tool_length;
	const struct schema *schema;
};

static bool look_at_call(struct search *search, struct json_reader *r, const struct call *call)
{
	bool ok;

	start_places(search, call->tool, call->tool_length, call->schema);
	ok = look_at_value(search, r);
	end_places(search);
	return ok;
}

/* What holds paths is told by the method; of objects, each_member passes over what has another type. */
static bool params_member(struct search *search, struct json_reader *r, struct json_span key, void *context)
{
	const struct call *call = context;
	const char *text = search->text;

	if (json_equals(text, key, "inputResponses"))
		return each_member(search, r, input_response, NULL);
	switch (call->method) {
	case MESSAGE_TOOLS_CALL:
		return json_equals(text, key, "arguments") ? look_at_call(search, r, call) : skip_value(search, r);
	case MESSAGE_PROMPTS_GET:
		return json_equals(text, key, "arguments") ? look_at_arguments(search, r) : skip_value(search, r);
	case MESSAGE_RESOURCES_READ:
	case MESSAGE_RESOURCES_SUBSCRIBE:
	case MESSAGE_RESOURCES_UNSUBSCRIBE:
		return json_equals(text, key, "uri") ? look_at_uri(search, r) : skip_value(search, r);
	case MESSAGE_SUBSCRIPTIONS_LISTEN:
		return json_equals(text, key, "notifications") ? each_member(search, r, notifications_member, NULL)
		                                               : skip_value(search, r);
	case MESSAGE_COMPLETION_COMPLETE:
		/* What is being typed may be cut off anywhere, and names nothing yet. */
		return json_equals(text, key, "context") ? each_member(search, r, context_member, NULL)
		                                         : skip_value(search, r);
	case MESSAGE_METHOD_NONE:
	case MESSAGE_METHOD_OTHER:
	case MESSAGE_TASKS_UPDATE:
	case MESSAGE_TOOLS_LIST:
	case MESSAGE_CANCELLED:
		break;
	}
	return skip_value(search, r);
}

/* The tool that is called: the last of equal members, as JSON.parse takes it. Length 0: none. */
static struct json_span tool_name(const char *text, struct json_span params)
{
	struct json_span name = { 0 };
	struct json_span key;
	struct json_span value;
	struct json_reader r;

	json_start_at(&r, text, params);
	if (json_peek(&r) == JSON_OBJECT && json_enter(&r, JSON_OBJECT))
		while (json_member(&r, &key) && json_skip(&r, &value))
			if (json_equals(text, key, "name"))
				name = text[value.offset] == '"' ? value : (struct json_span){ 0 };
	return name;
}

/* A member of the message itself. Of equal ones each is looked at. */
static bool message_member(struct search *search, struct json_reader *r, struct json_span key, void *context)
{
	const struct message *message = search->message;

	if (message->kind == MESSAGE_RESPONSE)
		return json_equals(search->text, key, "result") ? look_at_answer(search, r) : skip_value(search, r);
	return json_equals(search->text, key, "params") ? each_member(search, r, params_member, context)
	                                                : skip_value(search, r);
}

static bool look_at_message(struct search *search, const struct schema *schema)
{
	const struct message *message = search->message;
	struct call call = { .method = message->method, .schema = schema };
	mem_cleanup char *tool = NULL;
	struct npxc_error ignored;
	struct json_reader r;

	if (message->method == MESSAGE_TOOLS_CALL && message->params.length > 0) {
		const struct json_span name = tool_name(search->text, message->params);

		if (name.length > 0 && json_decode(search->text, name, &tool, &call.tool_length, &ignored))
			call.tool = tool;
	}
	json_start_at(&r, search->text, message->whole);
	return each_member(search, &r, message_member, &call);
}

bool identify_message(const struct identify *identify, const struct schema *schema, const char *text,
                      const struct message *message, struct identify_found *ret_found, struct npxc_error *err)
{
	struct search search = {
		.identify = identify, .text = text, .message = message, .found = ret_found, .err = err
	};
	bool ok;

	ret_found->count = 0;
	if (message->kind == MESSAGE_OTHER ||
	    (message->kind == MESSAGE_RESPONSE ? message->result.length == 0 : message->params.length == 0))
		return true;
	ok = look_at_message(&search, schema);
	if (!ok)
		ret_found->count = 0;
	return ok;
}
