#include "json/message.h"

#include "base/limits.h"

#include <stdio.h>
#include <string.h>

enum part { PART_START, PART_KEY_DUE, PART_KEY, PART_COLON_DUE, PART_VALUE_DUE, PART_VALUE };

enum key { KEY_OTHER, KEY_ID, KEY_METHOD, KEY_PARAMS, KEY_RESULT, KEY_ERROR };

static enum key key_named(const char *text, struct json_span string)
{
	static const struct {
		const char *name;
		enum key key;
	} keys[] = { { "id", KEY_ID },
		     { "method", KEY_METHOD },
		     { "params", KEY_PARAMS },
		     { "result", KEY_RESULT },
		     { "error", KEY_ERROR } };

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		if (json_equals(text, string, keys[i].name))
			return keys[i].key;
	return KEY_OTHER;
}

enum message_method message_method(const char *text, struct json_span string)
{
	static const struct {
		const char *name;
		enum message_method method;
	} methods[] = {
		{ "tools/call", MESSAGE_TOOLS_CALL },
		{ "resources/read", MESSAGE_RESOURCES_READ },
		{ "resources/subscribe", MESSAGE_RESOURCES_SUBSCRIBE },
		{ "resources/unsubscribe", MESSAGE_RESOURCES_UNSUBSCRIBE },
		{ "subscriptions/listen", MESSAGE_SUBSCRIPTIONS_LISTEN },
		{ "prompts/get", MESSAGE_PROMPTS_GET },
		{ "completion/complete", MESSAGE_COMPLETION_COMPLETE },
		{ "tasks/update", MESSAGE_TASKS_UPDATE },
		{ "tools/list", MESSAGE_TOOLS_LIST },
		{ "notifications/cancelled", MESSAGE_CANCELLED },
	};

	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
		if (json_equals(text, string, methods[i].name))
			return methods[i].method;
	return MESSAGE_METHOD_OTHER;
}

void message_look_start(struct message_look *look)
{
	look->verdict = MESSAGE_MORE;
	look->depth = 0;
	look->part = PART_START;
	look->key = KEY_OTHER;
	look->in_string = false;
	look->escaped = false;
	look->is_call = false;
	look->token_length = 0;
	look->id_length = 0;
}

static void keep(struct message_look *look, const char *bytes, size_t count)
{
	if (look->token_length > MESSAGE_TOKEN_BYTES)
		return;
	if (count > MESSAGE_TOKEN_BYTES - look->token_length) {
		look->token_length = MESSAGE_TOKEN_BYTES + 1;
		return;
	}
	memcpy(look->token + look->token_length, bytes, count);
	look->token_length += count;
}

static bool token_is_string(const struct message_look *look)
{
	return look->token_length >= 2 && look->token_length <= MESSAGE_TOKEN_BYTES && look->token[0] == '"';
}

static void decide(struct message_look *look, enum message_verdict verdict)
{
	if (look->verdict == MESSAGE_MORE)
		look->verdict = verdict;
}

/* The key of the outermost object that was just read. */
static void key_is_whole(struct message_look *look)
{
	look->key = KEY_OTHER;
	if (token_is_string(look))
		look->key = (int)key_named(look->token, (struct json_span){ 0, look->token_length });
	if (look->key == KEY_RESULT)
		decide(look, MESSAGE_HOLD);
	else if (look->key == KEY_ERROR)
		decide(look, MESSAGE_PASS);
}

static void value_is_whole(struct message_look *look)
{
	if (look->key == KEY_METHOD) {
		const struct json_span all = { 0, look->token_length };
		const bool known = token_is_string(look) && message_method(look->token, all) != MESSAGE_METHOD_OTHER;

		look->is_call = look->is_call || (known && look->verdict == MESSAGE_MORE);
		decide(look, known ? MESSAGE_HOLD : MESSAGE_PASS);
	} else if (look->key == KEY_ID) {
		look->id_length = look->token_length > MESSAGE_TOKEN_BYTES ? 0 : look->token_length;
		memcpy(look->id, look->token, look->id_length);
	}
	look->key = KEY_OTHER;
}

/* Whether the bytes that are being read belong to something whose text is needed. */
static bool is_kept(const struct message_look *look)
{
	return look->depth == 1 && (look->part == PART_KEY ||
	                            (look->part == PART_VALUE && (look->key == KEY_METHOD || look->key == KEY_ID)));
}

/* From `at` within a string to behind its closing quote, or to the end of the bytes. */
static size_t skip_string(struct message_look *look, const char *bytes, size_t at, size_t count)
{
	size_t quote = at;
	bool known = false;

	if (look->escaped && at < count)
		at++;
	while (at < count) {
		const char *found;

		if (!known || quote < at) {
			found = memchr(bytes + at, '"', count - at);
			quote = found != NULL ? (size_t)(found - bytes) : count;
			known = true;
		}
		found = memchr(bytes + at, '\\', quote - at);
		if (found == NULL) {
			look->escaped = false;
			look->in_string = quote == count;
			return look->in_string ? count : quote + 1;
		}
		at = (size_t)(found - bytes) + 2;
	}
	look->escaped = at > count; /* the last byte was the backslash */
	return count;
}

/* One byte outside of strings. */
static void step(struct message_look *look, char c)
{
	if (c == '{' || c == '[') {
		if (look->depth == 0 && c == '[')
			decide(look, MESSAGE_HOLD);
		if (look->depth == 0)
			look->part = PART_KEY_DUE;
		else if (look->depth == 1)
			look->part = PART_VALUE;
		look->depth++;
		return;
	}
	if (c == '}' || c == ']') {
		if (look->depth == 1 && look->part == PART_VALUE)
			value_is_whole(look);
		if (look->depth > 0)
			look->depth--;
		return;
	}
	if (look->depth != 1)
		return;
	if (c == ',') {
		if (look->part == PART_VALUE)
			value_is_whole(look);
		look->part = PART_KEY_DUE;
	} else if (c == ':') {
		look->part = PART_VALUE_DUE;
		look->token_length = 0;
	} else if (c != ' ' && c != '\t' && c != '\r' && c != '\n') {
		if (look->part == PART_VALUE_DUE)
			look->part = PART_VALUE;
		if (is_kept(look))
			keep(look, &c, 1);
	}
}

static void string_begins(struct message_look *look)
{
	look->in_string = true;
	if (look->depth != 1)
		return;
	if (look->part == PART_KEY_DUE) {
		look->part = PART_KEY;
		look->token_length = 0;
	} else if (look->part == PART_VALUE_DUE) {
		look->part = PART_VALUE;
	}
	if (is_kept(look))
		keep(look, "\"", 1);
}

static void string_ends(struct message_look *look)
{
	if (look->depth == 1 && look->part == PART_KEY) {
		key_is_whole(look);
		look->part = PART_COLON_DUE;
	} else if (look->depth == 1 && look->part == PART_VALUE && look->key == KEY_METHOD) {
		value_is_whole(look); /* at once: what follows may be long */
	}
}

enum message_verdict message_look_at(struct message_look *look, const char *bytes, size_t count)
{
	size_t at = 0;

	while (at < count) {
		if (look->in_string) {
			const size_t start = at;

			at = skip_string(look, bytes, at, count);
			if (is_kept(look))
				keep(look, bytes + start, at - start);
			if (!look->in_string)
				string_ends(look);
			continue;
		}
		if (look->depth == 0 && (bytes[at] == '\0' || strchr("{[ \t\r\n", bytes[at]) == NULL))
			decide(look, MESSAGE_PASS);
		if (bytes[at] == '"')
			string_begins(look);
		else
			step(look, bytes[at]);
		at++;
	}
	return look->verdict;
}

const char *message_look_id(const struct message_look *look, size_t *ret_length)
{
	*ret_length = look->id_length;
	return look->id_length > 0 ? look->id : NULL;
}

bool message_is_id(const char *text, size_t length)
{
	struct json_reader reader;
	struct json_span value;
	enum json_kind kind;

	json_start(&reader, text, length);
	kind = json_peek(&reader);
	return (kind == JSON_STRING || kind == JSON_NUMBER || (kind == JSON_LITERAL && text[reader.at] == 'n')) &&
	       json_skip(&reader, &value) && value.length == length;
}

bool message_open(const char *text, size_t length, struct message_line *ret_line, struct npxc_error *err)
{
	struct message_line line = { 0 };
	struct json_span value;

	if (!json_check(text, length, &value, err))
		return false;
	json_start_at(&line.reader, text, value);
	line.is_batch = json_peek(&line.reader) == JSON_ARRAY;
	line.done = line.is_batch && !json_enter(&line.reader, JSON_ARRAY);
	*ret_line = line;
	return true;
}

static void read_member(const char *text, struct json_span key, struct json_span value, struct message *message,
                        unsigned *seen)
{
	const enum key which = key_named(text, key);

	if (which == KEY_OTHER)
		return;
	*seen |= 1U << which;
	switch (which) {
	case KEY_ID:
		message->id = value;
		break;
	case KEY_METHOD:
		message->method = text[value.offset] == '"' ? message_method(text, value) : MESSAGE_METHOD_OTHER;
		break;
	case KEY_PARAMS:
		message->params = value;
		break;
	case KEY_RESULT:
		message->result = value;
		break;
	case KEY_ERROR:
	case KEY_OTHER:
		break;
	}
}

/* The reader stands before an object that was checked. */
static void read_message(struct json_reader *reader, struct message *ret_message)
{
	struct message message = { .kind = MESSAGE_OTHER };
	const size_t start = reader->at;
	struct json_span key;
	struct json_span value;
	unsigned seen = 0;

	if (json_enter(reader, JSON_OBJECT))
		while (json_member(reader, &key) && json_skip(reader, &value))
			read_member(reader->text, key, value, &message, &seen);
	message.whole = (struct json_span){ start, reader->at - start };
	if (message.method != MESSAGE_METHOD_NONE)
		message.kind = message.id.length > 0 ? MESSAGE_REQUEST : MESSAGE_NOTIFICATION;
	else if ((seen & (1U << KEY_RESULT | 1U << KEY_ERROR)) != 0)
		message.kind = MESSAGE_RESPONSE;
	*ret_message = message;
}

bool message_next(struct message_line *line, struct message *ret_message)
{
	struct message message = { .kind = MESSAGE_OTHER };

	if (line->done || (line->is_batch && !json_element(&line->reader))) {
		line->done = true;
		return false;
	}
	line->done = !line->is_batch;
	if (json_peek(&line->reader) == JSON_OBJECT)
		read_message(&line->reader, &message);
	else if (!json_skip(&line->reader, &message.whole))
		return false;
	*ret_message = message;
	return true;
}

/* `,"name":"text"`, or nothing for NULL. */
static bool append_member(struct buf *to, bool *first, const char *name, const char *text, struct npxc_error *err)
{
	if (text == NULL)
		return true;
	if (!buf_appendf(to, err, "%s\"%s\":", *first ? "" : ",", name))
		return false;
	*first = false;
	return json_append_string(to, text, strlen(text), err);
}

static bool append_error(struct buf *to, const char *id, size_t id_length, const struct npxc_error *reason,
                         const struct message_refusal *refusal, struct npxc_error *err)
{
	const bool by_client = reason->kind == ERROR_PATH_OUT_OF_SCOPE || reason->kind == ERROR_PATH_NOT_FOUND ||
	                       reason->kind == ERROR_JSON;
	char message[ERROR_MESSAGE_SIZE + 16];
	bool first = true;

	snprintf(message, sizeof(message), "npxc: %s", reason->message);
	if (!buf_append_text(to, "{\"jsonrpc\":\"2.0\",\"id\":", err) || !buf_append(to, id, id_length, err) ||
	    !buf_appendf(to, err, ",\"error\":{\"code\":%d,\"message\":", by_client ? -32602 : -32603) ||
	    !json_append_string(to, message, strlen(message), err) || !buf_append_text(to, ",\"data\":{", err))
		return false;
	if (by_client)
		return append_member(to, &first, "path", refusal->path, err) &&
		       append_member(to, &first, "cwd", refusal->cwd, err) &&
		       append_member(to, &first, "reason", reason->message, err) &&
		       append_member(to, &first, "hint", refusal->hint, err) && buf_append_text(to, "}}}\n", err);
	return append_member(to, &first, "source", "npxc", err) &&
	       append_member(to, &first, "reason", reason->message, err) && buf_append_text(to, "}}}\n", err);
}

bool message_append_error(struct buf *to, const char *id, size_t id_length, const struct npxc_error *reason,
                          const struct message_refusal *refusal, struct npxc_error *err)
{
	const size_t before = to->length;

	if (append_error(to, id, id_length, reason, refusal, err))
		return true;
	to->length = before;
	if (to->data != NULL)
		to->data[before] = '\0';
	return false;
}
