#include "mcp/identify.h"

#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* bytes: what Linux takes as a path without its NUL; a longer text is none. */
enum { PATH_BYTES_MAX = 4095 };

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
	bool outputs;
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
	identify->outputs = package->outputs;
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

/* What a value looks like */

enum shape {
	SHAPE_NONE,  /* nothing that could be a path, or a URI of another kind */
	SHAPE_PLAIN, /* a path only where something says so */
	SHAPE_PATH,  /* begins like a path */
	SHAPE_URI,   /* begins like a file URI, or as configured */
};

/* The beginning of a string, escapes read; what is not ASCII is kept as one byte that no prefix has. */
enum { OPENING_BYTES = 72 };

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

static bool has_scheme(const char *opening)
{
	static const char scheme[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+.-";
	const size_t length = strspn(opening, scheme);

	return length > 0 && strncmp(opening + length, "://", 3) == 0;
}

static enum shape shape_of(const struct identify *identify, const char *opening)
{
	if (opening[0] == '\0')
		return SHAPE_NONE;
	if (strncasecmp(opening, "file:", 5) == 0)
		return SHAPE_URI;
	for (size_t i = 0; i < identify->uri_prefixes.count; i++)
		if (strncasecmp(opening, identify->uri_prefixes.v[i], strlen(identify->uri_prefixes.v[i])) == 0)
			return SHAPE_URI;
	if (has_scheme(opening) || strncasecmp(opening, "data:", 5) == 0)
		return SHAPE_NONE;
	return opening[0] == '/' || strncmp(opening, "~/", 2) == 0 ? SHAPE_PATH : SHAPE_PLAIN;
}

/* Whether the string has no line end inside and, with `most`, not more bytes than that. */
static bool is_one_line(const char *text, struct json_span string, size_t most)
{
	const size_t end = string.offset + string.length - 1;
	size_t bytes = 0;

	if (string.length - 2 <= most && memchr(text + string.offset, '\\', string.length) == NULL)
		return true;
	for (size_t at = string.offset + 1; at < end;) {
		const uint32_t c = json_character(text, end, &at);

		bytes += c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
		if (c == '\n' || c == '\r' || bytes > most)
			return false;
	}
	return true;
}

/* The root alone, and comments of program text: what begins with a slash and is no path. */
static bool is_comment(const char *opening)
{
	return opening[0] == '/' && (opening[1] == '\0' || opening[1] == '*' || opening[1] == ' ' ||
	                             (opening[1] == '/' && (opening[2] == '\0' || opening[2] == ' ')));
}

static bool heuristic_takes(const struct identify *identify, const char *text, struct json_span string,
                            const char *opening, enum shape shape)
{
	bool taken = false;

	if (shape == SHAPE_PATH)
		taken = (opening[0] == '/' ? identify->absolute_prefix : identify->home_prefix) && !is_comment(opening);
	for (size_t i = 0; shape == SHAPE_URI && !taken && i < identify->uri_prefixes.count; i++)
		taken = strncasecmp(opening, identify->uri_prefixes.v[i], strlen(identify->uri_prefixes.v[i])) == 0;
	return taken && is_one_line(text, string, PATH_BYTES_MAX);
}

/* Going through a message */

/* A container on the way from the message down to the value that is being looked at. */
struct level {
	size_t start;         /* of the object's or array's text */
	struct json_span key; /* of an object: the member that is being read */
	bool is_object;
	bool checked;     /* its keys were looked at for doubles */
	size_t doubles;   /* in struct search: where its keys that occur twice begin ... */
	size_t n_doubles; /* ... and how many there are */
};

/* Who names places: the configuration of the tool and of "*", and the tool's schema. */
enum { PLACES_OWN, PLACES_ALL, PLACES_SCHEMA, PLACES_COUNT };

struct search {
	const struct identify *identify;
	const char *text;
	const struct message *message;
	struct identify_found *found;
	struct level *levels; /* borrowed; LIMIT_MESSAGE_DEPTH + 1, each set when it is entered */
	size_t level_count;
	struct json_span *doubles; /* owned; of the levels, one behind the other */
	size_t double_count, double_capacity;
	/* Where the walk is within what is named by places; their bottom is the value `arguments`. */
	struct pattern_walk walks[PLACES_COUNT];
	bool has_places;
	bool translate_only, by_protocol;
	struct npxc_error *err;
};

struct key_entry {
	uint64_t hash;
	struct json_span key;
};

static int compare_keys(const void *left, const void *right)
{
	const struct key_entry *a = left;
	const struct key_entry *b = right;

	return a->hash < b->hash ? -1 : a->hash > b->hash;
}

/* Keeps the keys of the level's object whose hash another key has too. That they are equal is seen when one matters. */
static void find_doubles(struct search *search, struct level *level)
{
	mem_cleanup struct key_entry *keys = NULL;
	size_t count = 0;
	struct json_reader r;
	struct json_span key;
	struct json_span value;

	/* The text is checked, so that the end of the object need not be known. */
	json_start(&r, search->text, search->message->whole.offset + search->message->whole.length);
	r.at = level->start;
	if (json_enter(&r, JSON_OBJECT)) {
		size_t capacity = 0;

		while (json_member(&r, &key) && json_skip(&r, &value)) {
			if (count == capacity) {
				capacity = capacity == 0 ? 16 : capacity * 2;
				keys = mem_realloc(keys, capacity, sizeof(keys[0]));
			}
			keys[count++] = (struct key_entry){ json_hash(search->text, key), key };
		}
	}
	if (count > 1)
		qsort(keys, count, sizeof(keys[0]), compare_keys);
	level->checked = true;
	level->doubles = search->double_count;
	for (size_t i = 0; i < count; i++) {
		if (!(i > 0 && keys[i - 1].hash == keys[i].hash) &&
		    !(i + 1 < count && keys[i + 1].hash == keys[i].hash))
			continue;
		if (search->double_count == search->double_capacity) {
			search->double_capacity = search->double_capacity == 0 ? 16 : search->double_capacity * 2;
			search->doubles =
			    mem_realloc(search->doubles, search->double_capacity, sizeof(search->doubles[0]));
		}
		search->doubles[search->double_count++] = keys[i].key;
	}
	level->n_doubles = search->double_count - level->doubles;
}

static bool same_key(const char *text, struct json_span a, struct json_span b)
{
	const size_t end_a = a.offset + a.length - 1;
	const size_t end_b = b.offset + b.length - 1;
	size_t at_a = a.offset + 1;
	size_t at_b = b.offset + 1;

	while (at_a < end_a && at_b < end_b)
		if (json_character(text, end_a, &at_a) != json_character(text, end_b, &at_b))
			return false;
	return at_a == end_a && at_b == end_b;
}

static bool refuse_double(struct search *search, struct json_span key)
{
	mem_cleanup char *shown = str_escape(search->text + key.offset, key.length < 80 ? key.length : 80);

	return error_set(search->err, ERROR_JSON,
	                 "the key %s occurs twice in one object, so that server and npxc could read different paths; "
	                 "send it once",
	                 shown);
}

/* Whether every object on the way has the key that leads on only once. */
static bool check_way(struct search *search)
{
	for (size_t i = 0; i < search->level_count; i++) {
		struct level *level = &search->levels[i];

		if (!level->is_object)
			continue;
		if (!level->checked)
			find_doubles(search, level);
		for (size_t d = 0; d < level->n_doubles; d++) {
			const struct json_span other = search->doubles[level->doubles + d];

			if (other.offset != level->key.offset && same_key(search->text, other, level->key))
				return refuse_double(search, level->key);
		}
	}
	return true;
}

static bool enter(struct search *search, struct json_reader *r, enum json_kind kind)
{
	json_peek(r);
	if (search->level_count > LIMIT_MESSAGE_DEPTH)
		return false; /* the check of the line has seen to it */
	search->levels[search->level_count++] = (struct level){ .start = r->at, .is_object = kind == JSON_OBJECT };
	return json_enter(r, kind);
}

static void leave(struct search *search)
{
	const struct level *level = &search->levels[--search->level_count];

	if (level->checked)
		search->double_count = level->doubles;
}

static bool next_member(struct search *search, struct json_reader *r, struct json_span *ret_key)
{
	if (!json_member(r, ret_key))
		return false;
	search->levels[search->level_count - 1].key = *ret_key;
	return true;
}

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

	if (!check_way(search))
		return false;
	if (found->count == LIMIT_MESSAGE_PATHS)
		return error_set(search->err, ERROR_IO, "more than %d paths in one message", LIMIT_MESSAGE_PATHS);
	if (found->count == found->capacity) {
		found->capacity = found->capacity == 0 ? 16 : found->capacity * 2;
		found->values = mem_realloc(found->values, found->capacity, sizeof(found->values[0]));
	}
	found->values[found->count++] = value;
	return true;
}

/* Whether a strategy takes the string for a path, at the place where the walks are. */
static bool takes(const struct search *search, enum config_strategy strategy, struct json_span string,
                  const char *opening, enum shape shape, unsigned configured)
{
	unsigned marks;

	switch (strategy) {
	case CONFIG_STRATEGY_CONFIG:
		return (configured & MARK_PATH) != 0;
	case CONFIG_STRATEGY_SCHEMA:
		marks = search->has_places ? pattern_walk_marks(&search->walks[PLACES_SCHEMA]) : 0;
		return ((marks & SCHEMA_PATH) != 0 || ((marks & SCHEMA_URI) != 0 && shape == SHAPE_URI)) &&
		       is_one_line(search->text, string, SIZE_MAX);
	case CONFIG_STRATEGY_HEURISTIC:
		return heuristic_takes(search->identify, search->text, string, opening, shape);
	}
	return false;
}

static bool look_at_string(struct search *search, struct json_span string)
{
	const struct identify *identify = search->identify;
	struct identify_value value = { .string = string, .translate_only = search->translate_only };
	unsigned configured = 0;
	char opening[OPENING_BYTES];
	enum shape shape;

	read_opening(search->text, string, opening);
	shape = shape_of(identify, opening);
	if (shape == SHAPE_NONE)
		return true;
	if (search->has_places)
		configured =
		    pattern_walk_marks(&search->walks[PLACES_OWN]) | pattern_walk_marks(&search->walks[PLACES_ALL]);
	if ((configured & MARK_NO_PATH) != 0)
		return true;
	value.kind = shape == SHAPE_URI ? IDENTIFY_URI : IDENTIFY_PATH;
	value.may_be_output =
	    !search->translate_only && search->has_places && (identify->outputs || (configured & MARK_OUTPUT) != 0);
	if (search->by_protocol && shape == SHAPE_URI) {
		value.reason = IDENTIFY_BY_PROTOCOL;
		return keep_value(search, value);
	}
	for (size_t i = 0; i < identify->strategy_count; i++) {
		if (!takes(search, identify->strategies[i], string, opening, shape, configured))
			continue;
		value.reason = (enum identify_reason)identify->strategies[i];
		return keep_value(search, value);
	}
	return true;
}

/* Every string of the value that is next, at any depth. */
static bool look_at_value(struct search *search, struct json_reader *r)
{
	const enum json_kind kind = json_peek(r);
	struct json_span span;
	bool ok = true;

	if (kind == JSON_OBJECT && enter(search, r, kind)) {
		while (ok && next_member(search, r, &span)) {
			step_in(search, &span, 0);
			ok = look_at_value(search, r);
			step_out(search);
		}
		leave(search);
		return ok;
	}
	if (kind == JSON_ARRAY && enter(search, r, kind)) {
		for (size_t i = 0; ok && json_element(r); i++) {
			step_in(search, NULL, i);
			ok = look_at_value(search, r);
			step_out(search);
		}
		leave(search);
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
static bool look_at_uri(struct search *search, struct json_reader *r, bool translate_only)
{
	struct json_span ignored;
	bool ok;

	if (json_peek(r) != JSON_STRING)
		return json_skip(r, &ignored) || json_problem(r, search->err);
	search->by_protocol = true;
	search->translate_only = translate_only;
	ok = look_at_value(search, r);
	search->by_protocol = false;
	search->translate_only = false;
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
	if (!enter(search, r, JSON_OBJECT))
		return json_problem(r, search->err);
	while (ok && next_member(search, r, &key))
		ok = look(search, r, key, context);
	leave(search);
	return ok;
}

static bool each_element(struct search *search, struct json_reader *r, looker *look, void *context)
{
	bool ok = true;

	if (json_peek(r) != JSON_ARRAY)
		return skip_value(search, r);
	if (!enter(search, r, JSON_ARRAY))
		return json_problem(r, search->err);
	while (ok && json_element(r))
		ok = look(search, r, (struct json_span){ 0 }, context);
	leave(search);
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
	if (json_equals(search->text, key, "uri") || json_equals(search->text, key, "name"))
		return look_at_uri(search, r, true);
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
		return look_at_uri(search, r, true);
	if (json_equals(text, key, "resource"))
		return each_member(search, r, block_member, context);
	if (!json_equals(text, key, "text") && !json_equals(text, key, "input") &&
	    !json_equals(text, key, "structuredContent"))
		return skip_value(search, r);
	search->translate_only = true;
	if (!look_at_value(search, r))
		return false;
	search->translate_only = false;
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
	return look_at_uri(search, r, false);
}

static bool notifications_member(struct search *search, struct json_reader *r, struct json_span key, void *context)
{
	if (json_equals(search->text, key, "resourceSubscriptions"))
		return each_element(search, r, subscription, context);
	return skip_value(search, r);
}

/* Within completion/complete nothing is published: what is typed may name what does not exist. */
static bool look_at_typed(struct search *search, struct json_reader *r)
{
	bool ok;

	search->translate_only = true;
	ok = look_at_value(search, r);
	search->translate_only = false;
	return ok;
}

/* {name, value}: the value stands where an argument of that name would. */
static bool look_at_completed(struct search *search, struct json_reader *r)
{
	struct json_reader ahead = *r;
	struct json_span key;
	struct json_span value;
	struct json_span name = { 0 };
	bool ok = true;

	if (json_peek(r) != JSON_OBJECT)
		return skip_value(search, r);
	if (json_enter(&ahead, JSON_OBJECT))
		while (json_member(&ahead, &key) && json_skip(&ahead, &value))
			if (json_equals(ahead.text, key, "name") && ahead.text[value.offset] == '"')
				name = value;
	if (!enter(search, r, JSON_OBJECT))
		return json_problem(r, search->err);
	while (ok && next_member(search, r, &key)) {
		if (!json_equals(search->text, key, "value")) {
			ok = skip_value(search, r);
			continue;
		}
		start_places(search, NULL, 0, NULL);
		if (name.length > 0)
			step_in(search, &name, 0);
		ok = look_at_typed(search, r);
		end_places(search);
	}
	leave(search);
	return ok;
}

static bool context_member(struct search *search, struct json_reader *r, struct json_span key, void *context)
{
	bool ok;

	(void)context;
	if (!json_equals(search->text, key, "arguments"))
		return skip_value(search, r);
	start_places(search, NULL, 0, NULL);
	ok = look_at_typed(search, r);
	end_places(search);
	return ok;
}

static bool reference_member(struct search *search, struct json_reader *r, struct json_span key, void *context)
{
	(void)context;
	return json_equals(search->text, key, "uri") ? look_at_uri(search, r, true) : skip_value(search, r);
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
		return json_equals(text, key, "uri")
		           ? look_at_uri(search, r, call->method == MESSAGE_RESOURCES_UNSUBSCRIBE)
		           : skip_value(search, r);
	case MESSAGE_SUBSCRIPTIONS_LISTEN:
		return json_equals(text, key, "notifications") ? each_member(search, r, notifications_member, NULL)
		                                               : skip_value(search, r);
	case MESSAGE_COMPLETION_COMPLETE:
		if (json_equals(text, key, "argument"))
			return look_at_completed(search, r);
		if (json_equals(text, key, "context"))
			return each_member(search, r, context_member, NULL);
		return json_equals(text, key, "ref") ? each_member(search, r, reference_member, NULL)
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

/* The tool that is called. `ret_double`: `name` occurs twice (its key then, else of length 0). */
static struct json_span tool_name(const char *text, struct json_span params, struct json_span *ret_double)
{
	struct json_span name = { 0 };
	struct json_span key;
	struct json_span value;
	struct json_reader r;

	*ret_double = (struct json_span){ 0 };
	json_start_at(&r, text, params);
	if (json_peek(&r) == JSON_OBJECT && json_enter(&r, JSON_OBJECT)) {
		bool seen = false;

		while (json_member(&r, &key) && json_skip(&r, &value)) {
			if (!json_equals(text, key, "name"))
				continue;
			if (seen)
				*ret_double = key;
			seen = true;
			name = text[value.offset] == '"' ? value : (struct json_span){ 0 };
		}
	}
	return name;
}

/* A member of the message itself. Of equal ones each is looked at, so that none is replaced unseen. */
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
	struct json_span twice = { 0 };
	struct json_reader r;

	if (message->method == MESSAGE_TOOLS_CALL && message->params.length > 0) {
		const struct json_span name = tool_name(search->text, message->params, &twice);

		if (name.length > 0 && !json_decode(search->text, name, &tool, &call.tool_length, search->err))
			return error_prefix(search->err, "the tool's name");
		call.tool = tool;
	}
	json_start_at(&r, search->text, message->whole);
	if (!each_member(search, &r, message_member, &call))
		return false;
	/* What decides how the message is read must be said once too, if anything came of it. */
	if (search->found->count > 0 && twice.length > 0)
		return refuse_double(search, twice);
	if (search->found->count > 0 && message->repeated)
		return error_set(search->err, ERROR_JSON,
		                 "one of id, method, params and result occurs twice in the message, so that server and "
		                 "npxc could read different ones; send each once");
	return true;
}

bool identify_message(const struct identify *identify, const struct schema *schema, const char *text,
                      const struct message *message, struct identify_found *ret_found, struct npxc_error *err)
{
	struct level levels[LIMIT_MESSAGE_DEPTH + 1];
	struct search search = {
		.identify = identify, .text = text, .message = message, .found = ret_found, .levels = levels, .err = err
	};
	bool ok;

	ret_found->count = 0;
	if (message->kind == MESSAGE_OTHER ||
	    (message->kind == MESSAGE_RESPONSE ? message->result.length == 0 : message->params.length == 0))
		return true;
	ok = look_at_message(&search, schema);
	free(search.doubles);
	if (!ok)
		ret_found->count = 0;
	return ok;
}
