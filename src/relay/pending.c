#include "relay/pending.h"

#include "base/mem.h"
#include "base/str.h"
#include "json/json.h"

#include <stdlib.h>
#include <string.h>

/* methods: that are told of. */
enum { METHODS_MAX = 5 };

/* What the edges of a line say. The places are in its head or tail. */
struct edges {
	const char *id, *method;
	size_t id_length, method_length;
	bool has_method, failed, may_have_failed;
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* ---- one line ---- */

/* A scalar that ends where the text does may go on behind it. */
static bool is_cut(const struct pending_line *line, size_t at)
{
	return line->length > sizeof(line->head) && at == sizeof(line->head);
}

static void read_head(const struct pending_line *line, struct edges *edges)
{
	const size_t length = line->length < sizeof(line->head) ? line->length : sizeof(line->head);
	struct json_reader reader;
	struct json_span key, value;

	json_start(&reader, line->head, length);
	if (json_peek(&reader) != JSON_OBJECT || !json_enter(&reader, JSON_OBJECT))
		return;
	while (json_member(&reader, &key)) {
		edges->has_method = edges->has_method || json_equals(line->head, key, "method");
		edges->failed = edges->failed || json_equals(line->head, key, "error");
		if (!json_skip(&reader, &value) || is_cut(line, reader.at))
			break;
		if (json_equals(line->head, key, "id")) {
			edges->id = line->head + value.offset;
			edges->id_length = value.length;
		} else if (json_equals(line->head, key, "method")) {
			edges->method = line->head + value.offset;
			edges->method_length = value.length;
		}
	}
	if (length == line->length && !json_end(&reader))
		*edges = (struct edges){ 0 }; /* no JSON */
}

static size_t without_blanks(const char *text, size_t length)
{
	while (length > 0 && is_blank(text[length - 1]))
		length--;
	return length;
}

static bool strip(const char *text, size_t *length, const char *end)
{
	const size_t n = strlen(end);

	*length = without_blanks(text, *length);
	if (*length < n || memcmp(text + *length - n, end, n) != 0)
		return false;
	*length -= n;
	return true;
}

/*
 * `"id": 5}` at the very end, or before `"jsonrpc": "2.0"}`. One closing bracket and no more: so it is the line's own
 * member and not one of something in it.
 */
static void read_tail(const char *text, size_t length, struct edges *edges)
{
	size_t at, end;

	if (!strip(text, &length, "}"))
		return;
	end = length;
	if (strip(text, &end, "\"2.0\"") && strip(text, &end, ":") && strip(text, &end, "\"jsonrpc\"") &&
	    strip(text, &end, ","))
		length = end;
	length = without_blanks(text, length);
	at = length;
	if (at > 0 && text[at - 1] == '"') {
		for (at--; at > 0 && (text[at - 1] != '"' || (at > 1 && text[at - 2] == '\\')); at--)
			;
		at -= at > 0;
	} else {
		while (at > 0 && strchr("+-.eE0123456789", text[at - 1]) != NULL && text[at - 1] != '\0')
			at--;
	}
	end = at;
	if (at == length || !strip(text, &end, ":") || !strip(text, &end, "\"id\"") || !strip(text, &end, ","))
		return;
	edges->id = text + at;
	edges->id_length = length - at;
}

static bool holds(const char *text, size_t length, const char *word)
{
	return memmem(text, length, word, strlen(word)) != NULL;
}

static bool tells_of_failure(const char *text, size_t length)
{
	return holds(text, length, "\"isError\":true") || holds(text, length, "\"isError\": true");
}

/* Many a server puts its failure into an ordinary result. */
static bool may_tell_of_failure(const char *text, size_t length)
{
	static const char *const words[] = { "rror",      "ailed",     "efused",  "nreachable",
		                             "ENOTFOUND", "EAI_AGAIN", "imed out" };

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (holds(text, length, words[i]))
			return true;
	return false;
}

/* What a line that has ended says. Its places are in `line`. */
static struct edges read_edges(const struct pending_line *line)
{
	const size_t head = line->length < sizeof(line->head) ? line->length : sizeof(line->head);
	struct edges edges = { 0 };

	read_head(line, &edges);
	if (edges.id == NULL && line->length > head)
		read_tail(line->tail, line->tail_length, &edges);
	edges.failed =
	    edges.failed || tells_of_failure(line->head, head) || tells_of_failure(line->tail, line->tail_length);
	edges.may_have_failed =
	    may_tell_of_failure(line->head, head) || may_tell_of_failure(line->tail, line->tail_length);
	return edges;
}

/* True: the line has ended. */
static bool take(struct pending_line *line, const char *bytes, size_t count, bool first)
{
	if (first)
		line->length = line->tail_length = 0;
	line->is_open = first || line->is_open;
	if (line->length < sizeof(line->head)) {
		const size_t room = sizeof(line->head) - line->length;

		memcpy(line->head + line->length, bytes, count < room ? count : room);
	}
	line->length += count;
	if (count >= sizeof(line->tail)) {
		memcpy(line->tail, bytes + count - sizeof(line->tail), sizeof(line->tail));
		line->tail_length = sizeof(line->tail);
	} else {
		const size_t room = sizeof(line->tail) - count;
		const size_t kept = line->tail_length < room ? line->tail_length : room;

		memmove(line->tail, line->tail + line->tail_length - kept, kept);
		memcpy(line->tail + kept, bytes, count);
		line->tail_length = kept + count;
	}
	return count > 0 && bytes[count - 1] == '\n';
}

/* ---- the table ---- */

/* A list says much about errors and is none. */
static bool does_something(const char *method)
{
	return !str_ends(method, "/list") && !str_equal(method, "initialize") && !str_equal(method, "server/discover");
}

/* Whether it was a request that makes the server do something. */
static bool forget(struct pending *pending, const char *id, size_t length)
{
	for (size_t i = 0; i < pending->count; i++) {
		if (pending->v[i].id_length != length || memcmp(pending->v[i].id, id, length) != 0)
			continue;
		const bool does = does_something(pending->v[i].method);
		pending->count--;
		memmove(&pending->v[i], &pending->v[i + 1], (pending->count - i) * sizeof(pending->v[0]));
		return does;
	}
	return false;
}

/* notifications/cancelled: whose answer may not come. */
static void forget_cancelled(struct pending *pending, const struct pending_line *line)
{
	struct json_reader reader;
	struct json_span key, value;
	unsigned depth = 0;

	json_start(&reader, line->head, line->length < sizeof(line->head) ? line->length : sizeof(line->head));
	if (json_peek(&reader) != JSON_OBJECT || !json_enter(&reader, JSON_OBJECT))
		return;
	while (json_member(&reader, &key)) {
		if (depth == 0 && json_equals(line->head, key, "params") && json_peek(&reader) == JSON_OBJECT) {
			if (!json_enter(&reader, JSON_OBJECT))
				return;
			depth++;
			continue;
		}
		if (!json_skip(&reader, &value))
			return;
		if (depth == 1 && json_equals(line->head, key, "requestId"))
			(void)forget(pending, line->head + value.offset, value.length);
	}
}

static void remember(struct pending *pending, const struct edges *edges, int64_t now_ms)
{
	struct pending_entry entry = { .id_length = edges->id_length, .since_ms = now_ms };
	mem_cleanup char *method = NULL;
	struct npxc_error ignored;
	size_t length;

	if (edges->id_length > sizeof(entry.id) || pending->count == PENDING_REQUESTS_MAX)
		return;
	memcpy(entry.id, edges->id, edges->id_length);
	if (edges->method != NULL &&
	    json_decode(edges->method, (struct json_span){ 0, edges->method_length }, &method, &length, &ignored))
		memcpy(entry.method, method, strnlen(method, sizeof(entry.method) - 1));
	if (pending->v == NULL)
		pending->v = mem_realloc(NULL, PENDING_REQUESTS_MAX, sizeof(*pending->v));
	pending->v[pending->count++] = entry;
}

/* A line that is not whole is no JSON: then nothing is done. */
static void take_request(struct pending *pending)
{
	struct pending_line *line = &pending->asked;
	const struct edges edges = read_edges(line);
	const struct json_span method = { 0, edges.method_length };

	if (edges.method != NULL && json_equals(edges.method, method, "notifications/cancelled"))
		forget_cancelled(pending, line);
	else if (edges.has_method && edges.id != NULL)
		remember(pending, &edges, pending->now_ms);
	else
		return;
	line->is_open = false;
}

void pending_ask_end(struct pending *pending)
{
	if (pending->asked.is_open)
		take_request(pending);
}

void pending_ask(struct pending *pending, const char *bytes, size_t count, bool first, int64_t now_ms)
{
	const bool ended = take(&pending->asked, bytes, count, first);

	pending->now_ms = now_ms;
	if (ended)
		pending_ask_end(pending);
	pending->asked.is_open = pending->asked.is_open && !ended;
}

bool pending_answer(struct pending *pending, const char *bytes, size_t count, bool first)
{
	struct pending_line *line = &pending->answered;
	struct edges edges;

	if (!take(line, bytes, count, first))
		return false;
	edges = read_edges(line);
	pending_ask_end(pending); /* it may be the answer to a last line that had no newline */
	if (edges.has_method || edges.id == NULL)
		return false;
	return (forget(pending, edges.id, edges.id_length) && edges.may_have_failed) || edges.failed;
}

char *pending_methods(const struct pending *pending)
{
	struct strv methods __attribute__((cleanup(strv_done))) = { 0 };
	char *text = str_dup("");

	for (size_t i = 0; i < pending->count && methods.count <= METHODS_MAX; i++)
		if (!strv_contains(&methods, pending->v[i].method))
			strv_push(&methods, pending->v[i].method);
	for (size_t i = 0; i < methods.count; i++) {
		char *longer = str_printf("%s%s%s", text, i == 0 ? "" : ", ", i == METHODS_MAX ? "..." : methods.v[i]);

		free(text);
		text = longer;
	}
	return text;
}

void pending_done(struct pending *pending)
{
	free(pending->v);
	*pending = (struct pending){ 0 };
}
