#include "mcp/rewrite.h"

#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { ROOT_BYTES = sizeof(REWRITE_ROOT) - 1 };

/* A buffer that has no room for the whole keeps nothing of it. */
static bool cut_back(struct buf *to, size_t length)
{
	to->length = length;
	if (to->data != NULL)
		to->data[length] = '\0';
	return false;
}

/* Client to server */

static bool apply(const char *text, struct json_span part, const struct rewrite_edit *edits, size_t count,
                  struct buf *to, struct npxc_error *err)
{
	size_t at = part.offset;

	for (size_t i = 0; i < count; i++) {
		const struct rewrite_edit *edit = &edits[i];

		if (edit->text == NULL)
			continue;
		if (!buf_append(to, text + at, edit->string.offset - at, err) ||
		    !json_append_string(to, edit->text, edit->length, err))
			return false;
		at = edit->string.offset + edit->string.length;
	}
	return buf_append(to, text + at, part.offset + part.length - at, err);
}

bool rewrite_apply(const char *text, struct json_span part, const struct rewrite_edit *edits, size_t count,
                   struct buf *to, struct npxc_error *err)
{
	const size_t before = to->length;

	return apply(text, part, edits, count, to, err) || cut_back(to, before);
}

static bool is_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

/* Writes the path percent-encoded; three times its bytes are enough. */
static size_t percent_encode(const char *path, char *to)
{
	static const char hex[] = "0123456789ABCDEF";
	size_t used = 0;

	for (const char *p = path; *p != '\0'; p++) {
		const unsigned char c = (unsigned char)*p;

		if (is_word(*p) || c == '.' || c == '~' || c == '/') {
			to[used++] = *p;
			continue;
		}
		to[used++] = '%';
		to[used++] = hex[c >> 4];
		to[used++] = hex[c & 15];
	}
	to[used] = '\0';
	return used;
}

char *rewrite_file_uri(const char *absolute)
{
	static const char scheme[] = "file://";
	char *uri = mem_alloc(sizeof(scheme) + 3 * strlen(absolute));

	memcpy(uri, scheme, sizeof(scheme) - 1);
	percent_encode(absolute, uri + sizeof(scheme) - 1);
	return uri;
}

/* Server to client: the fast look */

/* "\u002f" and the like: the escape of a character that REWRITE_ROOT has. */
static bool is_hiding(const char *p, const char *end)
{
	int c;

	if (end - p < 6 || p[1] != 'u' || p[2] != '0' || p[3] != '0' || str_hex_digit(p[4]) < 0 ||
	    str_hex_digit(p[5]) < 0)
		return false;
	c = str_hex_digit(p[4]) * 16 + str_hex_digit(p[5]);
	return c != 0 && strchr(REWRITE_ROOT, c) != NULL;
}

/* The root, its slashes plain or escaped ("\/workspace\/"), and one more byte for an id. */
static bool is_root(const char *p, const char *end)
{
	return end - p > ROOT_BYTES && memcmp(p, REWRITE_ROOT, ROOT_BYTES - 1) == 0 &&
	       (p[ROOT_BYTES - 1] == '/' || p[ROOT_BYTES - 1] == '\\');
}

static bool is_candidate(const char *p, const char *end)
{
	return *p == '/' ? is_root(p, end) : *p == '\\' && is_hiding(p, end);
}

/*
 * Every byte that the server writes comes by here, so sixteen places are looked at in one go: whether "/w..k" stands
 * there, or "\u" with the first digit of a character of the root ("\u001b" and "\u00e9" are frequent).
 */
typedef uint8_t vector __attribute__((vector_size(16)));
typedef uint64_t halves __attribute__((vector_size(16)));

enum { SEEN_AHEAD = 4 };

static bool may_begin(const char *p)
{
	vector first;
	vector second;
	vector fifth;
	halves hits;

	memcpy(&first, p, sizeof(first));
	memcpy(&second, p + 1, sizeof(second));
	memcpy(&fifth, p + SEEN_AHEAD, sizeof(fifth));
	hits = (halves)(((first == '/') & (second == 'w') & (fifth == 'k')) |
	                ((first == '\\') & (second == 'u') & ((fifth == '2') | (fifth == '6') | (fifth == '7'))));
	return (hits[0] | hits[1]) != 0;
}

bool rewrite_may_change(const char *line, size_t length)
{
	const char *const end = line + length;
	const char *p = line;

	for (; end - p >= (ptrdiff_t)sizeof(vector) + SEEN_AHEAD; p += sizeof(vector)) {
		if (!may_begin(p))
			continue;
		for (size_t i = 0; i < sizeof(vector); i++)
			if (is_candidate(p + i, end))
				return true;
	}
	for (; p < end; p++)
		if (is_candidate(p, end))
			return true;
	return false;
}

/* One string */

struct rewriting {
	const char *text;
	rewrite_finder *find;
	void *context;
	struct buf *to;
	size_t copied; /* of the text, up to here */
	bool changed;
	struct npxc_error *err;
};

/* A container path within the meaning of a string: a place of characters. */
struct place {
	size_t start, end; /* of "/workspace/<id>" */
	const char *host;  /* borrowed */
	bool in_uri;
};

/* In the two functions below `plain` has one byte for each character of ASCII; others are bytes from 0x80 on. */

static bool ends_with(const char *plain, size_t end, const char *word)
{
	const size_t n = strlen(word);

	return end >= n && strncasecmp(plain + end - n, word, n) == 0 &&
	       (end == n || !(is_word(plain[end - n - 1]) || strchr("+.", plain[end - n - 1]) != NULL));
}

/* The end of a colour (ESC [ 1 ; 3 2 m), which terminals swallow. */
static bool ends_with_colour(const char *plain, size_t end)
{
	size_t i = end;

	if (i == 0 || plain[--i] != 'm')
		return false;
	while (i > 0 && ((plain[i - 1] >= '0' && plain[i - 1] <= '9') || plain[i - 1] == ';'))
		i--;
	return i >= 2 && plain[i - 1] == '[' && plain[i - 2] == '\033';
}

static bool starts_here(const char *plain, size_t at, bool *ret_in_uri)
{
	const char before = at > 0 ? plain[at - 1] : '"';

	*ret_in_uri = ends_with(plain, at, "file://") || ends_with(plain, at, "file:") ||
	              ends_with(plain, at, "file://localhost");
	if (*ret_in_uri || ends_with_colour(plain, at))
		return true;
	/* Text within text: the end of a line is two characters there. */
	if (at >= 2 && plain[at - 2] == '\\' && before != '\0' && strchr("nrt", before) != NULL)
		return true;
	if ((unsigned char)before < 0x80)
		return !is_word(before) && (before == '\0' || strchr(".~/%+", before) == NULL);
	for (size_t i = at;
	     i > 0 && (unsigned char)plain[i - 1] > ' ' && strchr("\"'`<>()[]{}|,;:=", plain[i - 1]) == NULL; i--)
		if (plain[i - 1] == '/')
			return false;
	return true;
}

static bool stops_here(const char *plain, size_t length, size_t at)
{
	if (at == length)
		return true;
	if (plain[at] == '.') /* the end of a sentence, but not "id.txt" */
		return at + 1 == length || !(is_word(plain[at + 1]) || (unsigned char)plain[at + 1] >= 0x80);
	return plain[at] == '\0' || strchr("~%+", plain[at]) == NULL;
}

/* The next container path from `*at` on. */
static bool next_place(const struct rewriting *rewriting, const char *plain, size_t length, size_t *at,
                       struct place *ret_place)
{
	while (*at < length) {
		const char *found = memmem(plain + *at, length - *at, REWRITE_ROOT, ROOT_BYTES);
		struct place place;
		size_t id;

		if (found == NULL)
			break;
		place.start = (size_t)(found - plain);
		id = place.start + ROOT_BYTES;
		place.end = id;
		while (place.end < length && is_word(plain[place.end]))
			place.end++;
		*at = place.end > id ? place.end : id - 1;
		if (place.end == id || place.end - id > REWRITE_ID_MAX || !stops_here(plain, length, place.end) ||
		    !starts_here(plain, place.start, &place.in_uri))
			continue;
		place.host = rewriting->find(rewriting->context, plain + id, place.end - id);
		if (place.host == NULL)
			continue;
		*ret_place = place;
		return true;
	}
	*at = length;
	return false;
}

/* Replaces a part of the text. */
static bool put_host(struct rewriting *rewriting, struct json_span raw, const struct place *place, bool goes_on)
{
	const char *host = strcmp(place->host, "/") == 0 && goes_on ? "" : place->host;
	mem_cleanup char *encoded = NULL;

	if (place->in_uri) {
		encoded = mem_alloc(3 * strlen(host) + 1);
		percent_encode(host, encoded);
		host = encoded;
	}
	if (!buf_append(rewriting->to, rewriting->text + rewriting->copied, raw.offset - rewriting->copied,
	                rewriting->err) ||
	    !json_append_inside(rewriting->to, host, strlen(host), rewriting->err))
		return false;
	rewriting->copied = raw.offset + raw.length;
	rewriting->changed = true;
	return true;
}

/* What a string with escapes means, one byte for each character: enough to find the paths, which are ASCII. Owned. */
static char *decode(const char *text, size_t start, size_t end, size_t *ret_length)
{
	char *plain = mem_alloc(end - start + 1);
	size_t used = 0;

	for (size_t at = start; at < end;) {
		const uint32_t c = json_character(text, end, &at);

		plain[used++] = (char)(c < 0x80 ? c : 0x80);
	}
	*ret_length = used;
	return plain;
}

static bool rewrite_string(struct rewriting *rewriting, struct json_span string)
{
	const char *text = rewriting->text;
	const size_t start = string.offset + 1;
	const size_t end = string.offset + string.length - 1;
	const bool escaped = memchr(text + start, '\\', end - start) != NULL;
	mem_cleanup char *decoded = NULL;
	const char *plain = text + start;
	size_t length = end - start;
	size_t at = 0;
	size_t raw = start;   /* the place in the text ... */
	size_t character = 0; /* ... of this character */
	struct place place;

	if (!(escaped ? rewrite_may_change(text + string.offset, string.length)
	              : memmem(plain, length, REWRITE_ROOT, ROOT_BYTES) != NULL))
		return true;
	if (escaped) {
		decoded = decode(text, start, end, &length);
		plain = decoded;
	}
	while (next_place(rewriting, plain, length, &at, &place)) {
		struct json_span part = { start + place.start, place.end - place.start };

		if (escaped) {
			for (; character < place.start; character++)
				json_character(text, end, &raw);
			part.offset = raw;
			for (; character < place.end; character++)
				json_character(text, end, &raw);
			part.length = raw - part.offset;
		}
		if (!put_host(rewriting, part, &place, place.end < length && plain[place.end] == '/'))
			return false;
	}
	return true;
}

/* The whole message */

enum area {
	AREA_MESSAGE, /* the message itself */
	AREA_BODY,    /* its params, result or error */
	AREA_OBJECT,  /* what the specification describes below that */
	AREA_OWN,     /* the server's own data: no name means anything */
};

static bool is_named(const char *text, struct json_span key, const char *const *names, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (json_equals(text, key, names[i]))
			return true;
	return false;
}

#define NAMES(array) (array), sizeof(array) / sizeof((array)[0])

/* Whether the string of that name is an identifier, a token or bytes. */
static bool is_never_replaced(const char *text, struct json_span key, enum area area)
{
	static const char *const of_message[] = { "id", "jsonrpc", "method" };
	static const char *const of_protocol[] = {
		"progressToken", "cursor", "nextCursor",  "requestState", "taskId",
		"mimeType",      "blob",   "traceparent", "tracestate",   "baggage"
	};

	switch (area) {
	case AREA_MESSAGE:
		return is_named(text, key, NAMES(of_message));
	case AREA_OBJECT:
		if (json_equals(text, key, "data"))
			return true;
		return is_named(text, key, NAMES(of_protocol));
	case AREA_BODY:
		return is_named(text, key, NAMES(of_protocol));
	case AREA_OWN:
		break;
	}
	return false;
}

static enum area area_below(const char *text, struct json_span key, enum area area)
{
	static const char *const bodies[] = { "params", "result", "error" };
	static const char *const own[] = { "structuredContent", "arguments", "input" };

	switch (area) {
	case AREA_MESSAGE:
		return is_named(text, key, NAMES(bodies)) ? AREA_BODY : AREA_OBJECT;
	case AREA_BODY:
	case AREA_OBJECT:
		if (area == AREA_BODY && json_equals(text, key, "data"))
			return AREA_OWN;
		return is_named(text, key, NAMES(own)) ? AREA_OWN : AREA_OBJECT;
	case AREA_OWN:
		break;
	}
	return AREA_OWN;
}

/* Rewrites the value that is next. False: ERROR_IO; a problem of the text is found in the reader. */
static bool rewrite_value(struct rewriting *rewriting, struct json_reader *r, enum area area)
{
	const enum json_kind kind = json_peek(r);
	struct json_span span;
	bool ok = true;

	if (kind == JSON_OBJECT) {
		if (!json_enter(r, kind))
			return true;
		while (ok && json_member(r, &span)) {
			/* Only a name before a string or container is of interest. */
			const enum json_kind below = json_peek(r);

			if (below == JSON_OBJECT || below == JSON_ARRAY)
				ok = rewrite_value(rewriting, r, area_below(r->text, span, area));
			else if (below == JSON_STRING && !is_never_replaced(r->text, span, area))
				ok = rewrite_value(rewriting, r, area);
			else if (!json_skip(r, &span))
				return true;
		}
		return ok;
	}
	if (kind == JSON_ARRAY) {
		if (!json_enter(r, kind))
			return true;
		while (ok && json_element(r))
			ok = rewrite_value(rewriting, r, area);
		return ok;
	}
	return !json_skip(r, &span) || kind != JSON_STRING || rewrite_string(rewriting, span);
}

bool rewrite_line(const char *line, size_t length, rewrite_finder *find, void *context, struct buf *to,
                  enum rewrite_outcome *ret_outcome, struct npxc_error *err)
{
	struct rewriting rewriting = { .text = line, .find = find, .context = context, .to = to, .err = err };
	const size_t before = to->length;
	struct json_reader r;

	json_start(&r, line, length);
	/* A lone string or number is no message; the elements of a batch are messages as it is one itself. */
	if (json_peek(&r) != JSON_OBJECT && json_peek(&r) != JSON_ARRAY) {
		*ret_outcome = REWRITE_SAME;
		return true;
	}
	if (!rewrite_value(&rewriting, &r, AREA_MESSAGE))
		return cut_back(to, before);
	if (!rewriting.changed || !json_end(&r)) {
		cut_back(to, before);
		*ret_outcome = REWRITE_SAME;
		return true;
	}
	if (!buf_append(to, line + rewriting.copied, length - rewriting.copied, err))
		return cut_back(to, before);
	*ret_outcome = REWRITE_CHANGED;
	return true;
}
