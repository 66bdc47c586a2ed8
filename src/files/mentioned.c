#include "files/mentioned.h"

#include "base/buf.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"
#include "json/json.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/*
 * bytes: of a string that is not whole yet, read at a time; and what of its end is kept for the next time, so that what
 * begins before is seen to its end: a URI of 4095 bytes, all of them encoded.
 */
enum { WINDOW_BYTES = 128 * 1024, OVERLAP_BYTES = 16 * 1024 };

/* levels: deeper ones count as if a key had named them. The longest key that means something, and one more. */
enum { LEVELS = LIMIT_MESSAGE_DEPTH, KEY_BYTES = 16 };

struct mentioned {
	const struct scope_place *place; /* borrowed */
	size_t spelling_lengths[SCOPE_SPELLINGS_MAX];
	struct mentioned_set set;
	bool hit; /* of the bytes that are being looked at */
	/* where in a line */
	bool in_string, is_key, key_due, escaped;
	bool is_object[LEVELS + 1];
	size_t depth;
	size_t marked;  /* the level from which on all strings count; 0: none */
	bool mark_next; /* the key before named the value that comes */
	bool whole;     /* of the string that is being read: it counts as a whole */
	char key[KEY_BYTES];
	size_t key_length;
	struct buf window; /* of a string that is not whole yet, or has escapes: what it means so far */
	char escape[12];   /* an escape that is not whole yet */
	size_t escape_length;
	bool windowed;
	bool cut; /* the window has lost its beginning: it is no whole value any more */
	/* of the bytes that are being looked at: where the next ones stand. Most strings have neither. */
	size_t slash, backslash;
};

struct mentioned *mentioned_new(const struct scope_place *place, mentioned_set_resolver *resolve, void *context)
{
	struct mentioned *mentioned = mem_alloc(sizeof(*mentioned));

	mentioned->place = place;
	for (size_t i = 0; i < SCOPE_SPELLINGS_MAX && place->spellings[i] != NULL; i++)
		mentioned->spelling_lengths[i] = strlen(place->spellings[i]);
	mentioned_set_init(&mentioned->set, resolve, context);
	mentioned->window = BUF_INIT((size_t)4 * WINDOW_BYTES);
	return mentioned;
}

void mentioned_free(struct mentioned *mentioned)
{
	if (mentioned == NULL)
		return;
	mentioned_set_done(&mentioned->set);
	buf_done(&mentioned->window);
	free(mentioned);
}

bool mentioned_is_full(const struct mentioned *mentioned)
{
	return mentioned->set.full;
}

/*
 * An absolute text that begins with a path: at each component that a path would be without (".", "..", an empty one)
 * what stands before it is a word of its own, because the text may go on with something else.
 */
static void add_absolute(struct mentioned *mentioned, const char *text, size_t length)
{
	mem_cleanup char *path = mem_alloc(length + 2);
	size_t used = 0;
	const char *relative;

	for (size_t at = 0; at < length;) {
		const char *slash = memchr(text + at, '/', length - at);
		const size_t end = slash == NULL ? length : (size_t)(slash - text);
		const size_t n = end - at;
		const bool odd = n == 0 || (n == 1 && text[at] == '.') || (n == 2 && memcmp(text + at, "..", 2) == 0);

		if (odd && used > 0 && (relative = scope_behind(mentioned->place, path)) != NULL)
			mentioned_set_add(&mentioned->set, relative, strlen(relative));
		if (n == 2 && odd) {
			while (used > 0 && path[--used] != '/')
				;
		} else if (!odd) {
			path[used++] = '/';
			memcpy(path + used, text + at, n);
			used += n;
		}
		path[used] = '\0';
		at = end + 1;
	}
	if (used > 0 && (relative = scope_behind(mentioned->place, path)) != NULL)
		mentioned_set_add(&mentioned->set, relative, strlen(relative));
}

/* ---- what a text holds ---- */

static size_t end_of_line(const char *text, size_t length)
{
	size_t end = 0;

	while (end < length && end <= MENTIONED_WORD_BYTES && text[end] != '\n' && text[end] != '\r' &&
	       text[end] != '\0')
		end++;
	return end;
}

/* The percent-encoded bytes read, bad ones as they stand. */
static size_t decode(const char *text, size_t length, char *to)
{
	size_t used = 0;

	for (size_t i = 0; i < length; i++) {
		if (text[i] == '%' && length - i > 2 && str_hex_digit(text[i + 1]) >= 0 &&
		    str_hex_digit(text[i + 2]) >= 0) {
			to[used++] = (char)(str_hex_digit(text[i + 1]) * 16 + str_hex_digit(text[i + 2]));
			i += 2;
		} else {
			to[used++] = text[i];
		}
	}
	return used;
}

/* A URI's path, as it stands and decoded; `text` begins behind "file:". */
static void add_uri(struct mentioned *mentioned, const char *text, size_t length)
{
	mem_cleanup char *plain = NULL;
	size_t at = 0;

	if (length >= 2 && text[0] == '/' && text[1] == '/') { /* a host, or none */
		const char *slash = memchr(text + 2, '/', length - 2);

		if (slash == NULL)
			return;
		at = (size_t)(slash - text);
	}
	length -= at;
	length = length < OVERLAP_BYTES ? length : OVERLAP_BYTES;
	plain = mem_alloc(length + 1);
	length = decode(text + at, length, plain);
	add_absolute(mentioned, plain, end_of_line(plain, length));
}

static void add_home(struct mentioned *mentioned, const char *text, size_t length)
{
	mem_cleanup char *path = NULL;

	if (mentioned->place->home == NULL)
		return;
	path = str_printf("%s/%.*s", mentioned->place->home, (int)end_of_line(text, length), text);
	add_absolute(mentioned, path, strlen(path));
}

/* The spelling of the working directory that a text begins with, as its length; 0: none. */
static size_t spelling_at(const struct mentioned *mentioned, const char *text, size_t length)
{
	for (size_t i = 0; i < SCOPE_SPELLINGS_MAX && mentioned->place->spellings[i] != NULL; i++) {
		const size_t n = mentioned->spelling_lengths[i];

		if (length > n && text[n] == '/' && memcmp(text, mentioned->place->spellings[i], n) == 0)
			return n;
	}
	return 0;
}

/* Each path that begins within the first `most` bytes. All that is looked for has a slash in it. */
static void look_for_paths(struct mentioned *mentioned, const char *text, size_t length, size_t most)
{
	const char *end = text + length, *from = text, *slash;
	size_t pending = SIZE_MAX; /* where a path begins whose end is not known yet */

	while (from < text + most && (slash = memchr(from, '/', (size_t)(text + most - from))) != NULL) {
		const size_t before = (size_t)(slash - text), left = (size_t)(end - slash);
		const size_t n = spelling_at(mentioned, slash, left);

		from = slash + 1;
		mentioned->hit = mentioned->hit || n > 0;
		if (n > 0) {
			/* Where the next one begins this one ends. */
			if (pending != SIZE_MAX)
				add_absolute(mentioned, text + pending, end_of_line(text + pending, before - pending));
			pending = before;
			from = slash + n;
		} else if (before > 0 && slash[-1] == '~') {
			add_home(mentioned, slash + 1, left - 1);
		} else if (before >= 5 && slash[-1] == ':' && strncasecmp(slash - 5, "file:", 5) == 0) {
			add_uri(mentioned, slash, left);
		}
	}
	if (pending != SIZE_MAX)
		add_absolute(mentioned, text + pending, end_of_line(text + pending, length - pending));
}

/* The same, and what JSON within the text means: its slashes may have backslashes before them. */
static void look_into(struct mentioned *mentioned, const char *text, size_t length, size_t most)
{
	mem_cleanup char *plain = NULL;
	size_t used = 0;

	look_for_paths(mentioned, text, length, most);
	if (memmem(text, most, "\\/", 2) == NULL)
		return;
	plain = mem_alloc(length + 1);
	for (size_t i = 0; i < length; i++) {
		while (text[i] == '/' && used > 0 && plain[used - 1] == '\\')
			used--;
		plain[used++] = text[i];
	}
	look_for_paths(mentioned, plain, used, used);
}

static void add_whole(struct mentioned *mentioned, const char *text, size_t length)
{
	struct scope_name name;
	struct npxc_error ignored;

	if (!scope_read(mentioned->place, text, length, &name, &ignored))
		return;
	if (name.relative != NULL)
		mentioned_set_add(&mentioned->set, name.relative, strlen(name.relative));
	scope_name_done(&name);
}

/* ---- strings of a line ---- */

static void string_is_whole(struct mentioned *mentioned, const char *text, size_t length)
{
	if (mentioned->whole && !mentioned->cut)
		add_whole(mentioned, text, length);
	/* As it stands in the line it has no escape, and so no backslash. */
	if (mentioned->windowed)
		look_into(mentioned, text, length, length);
	else
		look_for_paths(mentioned, text, length, length);
}

static bool is_marking(const char *key, size_t length)
{
	switch (length) {
	case 3:
		return memcmp(key, "uri", 3) == 0;
	case 4:
		return memcmp(key, "enum", 4) == 0;
	case 5:
		return memcmp(key, "const", 5) == 0;
	case 6:
		return memcmp(key, "values", 6) == 0;
	case 7:
		return memcmp(key, "default", 7) == 0 || memcmp(key, "example", 7) == 0;
	case 8:
		return memcmp(key, "examples", 8) == 0;
	default:
		return false;
	}
}

/* What is in the window may go but for its end. */
static void slide(struct mentioned *mentioned)
{
	const size_t gone = mentioned->window.length > OVERLAP_BYTES ? mentioned->window.length - OVERLAP_BYTES : 0;

	if (mentioned->window.length < WINDOW_BYTES)
		return;
	look_into(mentioned, mentioned->window.data, mentioned->window.length, gone);
	buf_consume(&mentioned->window, gone);
	mentioned->cut = true;
}

static void append(struct mentioned *mentioned, const char *bytes, size_t count)
{
	struct npxc_error ignored;

	while (count > 0) {
		const size_t piece = count < WINDOW_BYTES ? count : WINDOW_BYTES;

		if (!buf_append(&mentioned->window, bytes, piece, &ignored))
			return;
		slide(mentioned);
		bytes += piece;
		count -= piece;
	}
}

/* A long piece without a slash: no path begins in it, but the last one may end there. */
static void pass_over(struct mentioned *mentioned, const char *bytes, size_t count)
{
	append(mentioned, bytes, OVERLAP_BYTES);
	look_into(mentioned, mentioned->window.data, mentioned->window.length, mentioned->window.length);
	mentioned->window.length = 0;
	mentioned->cut = true;
	append(mentioned, bytes + count - OVERLAP_BYTES, OVERLAP_BYTES);
}

static void append_character(struct mentioned *mentioned, uint32_t c)
{
	char bytes[4];
	size_t n = 0;

	if (c < 0x80) {
		bytes[n++] = (char)c;
	} else if (c < 0x800) {
		bytes[n++] = (char)(0xc0 | c >> 6);
	} else if (c < 0x10000) {
		bytes[n++] = (char)(0xe0 | c >> 12);
		bytes[n++] = (char)(0x80 | (c >> 6 & 0x3f));
	} else {
		bytes[n++] = (char)(0xf0 | c >> 18);
		bytes[n++] = (char)(0x80 | (c >> 12 & 0x3f));
		bytes[n++] = (char)(0x80 | (c >> 6 & 0x3f));
	}
	if (c >= 0x80)
		bytes[n++] = (char)(0x80 | (c & 0x3f));
	append(mentioned, bytes, n);
}

/* How long the escape is whose first bytes these are: half of a surrogate pair waits for the other half. */
static size_t escape_due(const char *escape, size_t length)
{
	if (length < 2)
		return 2;
	if (escape[1] != 'u')
		return 2;
	if (length >= 4 && (escape[2] == 'd' || escape[2] == 'D') && strchr("89abAB", escape[3]) != NULL &&
	    (length < 7 || escape[6] == '\\') && (length < 8 || escape[7] == 'u'))
		return 12;
	return 6;
}

/* One byte of an escape; false: this byte is no part of it, and it ended before. */
static bool step_escape(struct mentioned *mentioned, char c)
{
	char quoted[16];
	size_t at = 0, due;

	mentioned->escape[mentioned->escape_length++] = c;
	due = escape_due(mentioned->escape, mentioned->escape_length);
	if (mentioned->escape_length < due)
		return true;
	/* A first half that no second one followed: what came instead is read again. */
	const bool again = due == 6 && mentioned->escape_length > 6;
	const size_t length = again ? 6 : mentioned->escape_length;
	memcpy(quoted, mentioned->escape, length);
	while (at < length)
		append_character(mentioned, json_character(quoted, length, &at));
	const char rest = mentioned->escape[7];
	const size_t rest_length = again ? mentioned->escape_length - 6 : 0;
	mentioned->escape_length = 0;
	if (rest_length == 2 && rest != 'u') { /* a backslash and what it escapes */
		mentioned->escape[0] = '\\';
		mentioned->escape_length = 1;
		return step_escape(mentioned, rest);
	}
	return rest_length == 0;
}

/* Where the next such byte stands, or `count`; `known` is what was found before, SIZE_MAX: nothing yet. */
static size_t next_of(size_t *known, const char *bytes, size_t at, size_t count, char c)
{
	if (*known < at || *known == SIZE_MAX) {
		const char *next = memchr(bytes + at, c, count - at);

		*known = next == NULL ? count : (size_t)(next - bytes);
	}
	return *known;
}

/* The rest of a string, from `at` to its quote or to the end of the bytes; where that is. */
static size_t read_string(struct mentioned *mentioned, const char *bytes, size_t at, size_t count)
{
	while (at < count) {
		const char *quote;
		size_t backslash;

		if (mentioned->escape_length > 0) {
			if (step_escape(mentioned, bytes[at]))
				at++;
			continue;
		}
		quote = memchr(bytes + at, '"', count - at);
		const size_t end = quote == NULL ? count : (size_t)(quote - bytes);
		backslash = next_of(&mentioned->backslash, bytes, at, count, '\\');
		if (backslash >= end) {
			if (quote != NULL && !mentioned->windowed) {
				if (mentioned->whole || next_of(&mentioned->slash, bytes, at, count, '/') < end)
					string_is_whole(mentioned, bytes + at, end - at);
			} else {
				if (end - at > 2 * OVERLAP_BYTES &&
				    next_of(&mentioned->slash, bytes, at, count, '/') >= end)
					pass_over(mentioned, bytes + at, end - at);
				else
					append(mentioned, bytes + at, end - at);
				mentioned->windowed = true;
			}
			if (quote == NULL)
				return count;
			if (mentioned->window.length > 0)
				string_is_whole(mentioned, mentioned->window.data, mentioned->window.length);
			mentioned->window.length = 0;
			mentioned->in_string = false;
			return end + 1;
		}
		append(mentioned, bytes + at, backslash - at);
		mentioned->windowed = true;
		mentioned->escape[0] = '\\';
		mentioned->escape_length = 1;
		at = backslash + 1;
	}
	return count;
}

/* Keys are kept as they are written: one with escapes is taken for each that means something, to be safe. */
static size_t read_key(struct mentioned *mentioned, const char *bytes, size_t at, size_t count)
{
	const char *quote = memchr(bytes + at, '"', count - at);

	if (quote != NULL && mentioned->key_length == 0 && !mentioned->escaped &&
	    next_of(&mentioned->backslash, bytes, at, count, '\\') > (size_t)(quote - bytes)) {
		mentioned->in_string = false;
		mentioned->mark_next = mentioned->mark_next || is_marking(bytes + at, (size_t)(quote - bytes) - at);
		return (size_t)(quote - bytes) + 1;
	}
	for (; at < count; at++) {
		const char c = bytes[at];

		if (!mentioned->escaped && c == '"') {
			mentioned->in_string = false;
			mentioned->mark_next =
			    mentioned->mark_next || is_marking(mentioned->key, mentioned->key_length);
			return at + 1;
		}
		if (c == '\\')
			mentioned->mark_next = true;
		mentioned->escaped = c == '\\' && !mentioned->escaped;
		if (mentioned->key_length < KEY_BYTES)
			mentioned->key[mentioned->key_length++] = c;
	}
	return count;
}

/* A key is a text as well; few have a slash in them. */
static size_t look_at_key(struct mentioned *mentioned, const char *bytes, size_t at, size_t count)
{
	const size_t next = read_key(mentioned, bytes, at, count);
	const bool ended = !mentioned->in_string;

	if (!ended || mentioned->windowed || next_of(&mentioned->slash, bytes, at, count, '/') < next ||
	    next_of(&mentioned->backslash, bytes, at, count, '\\') < next) {
		mentioned->whole = false;
		while (at < next) /* a bad escape can end it earlier as a text than as a key */
			at = read_string(mentioned, bytes, at, next);
		mentioned->in_string = !ended;
	}
	return next;
}

static void string_begins(struct mentioned *mentioned)
{
	mentioned->in_string = true;
	mentioned->is_key = mentioned->key_due;
	mentioned->key_due = false;
	mentioned->escaped = false;
	mentioned->key_length = 0;
	mentioned->escape_length = 0;
	mentioned->windowed = false;
	mentioned->cut = false;
	mentioned->window.length = 0;
	mentioned->whole = mentioned->mark_next || mentioned->marked > 0 || mentioned->depth > LEVELS;
	mentioned->mark_next = false;
}

static void step(struct mentioned *mentioned, char c)
{
	switch (c) {
	case '{':
	case '[':
		mentioned->depth++;
		if (mentioned->depth <= LEVELS)
			mentioned->is_object[mentioned->depth] = c == '{';
		mentioned->key_due = c == '{';
		if (mentioned->mark_next && mentioned->marked == 0)
			mentioned->marked = mentioned->depth;
		mentioned->mark_next = false;
		return;
	case '}':
	case ']':
		if (mentioned->marked == mentioned->depth)
			mentioned->marked = 0;
		if (mentioned->depth > 0)
			mentioned->depth--;
		mentioned->key_due = false;
		return;
	case ',':
		mentioned->key_due = mentioned->depth <= LEVELS && mentioned->is_object[mentioned->depth];
		mentioned->mark_next = false;
		return;
	default:
		return;
	}
}

bool mentioned_look(struct mentioned *mentioned, const char *bytes, size_t count, bool first)
{
	size_t at = 0;

	if (mentioned->set.full)
		return false;
	mentioned->hit = false;
	mentioned->slash = mentioned->backslash = SIZE_MAX;
	if (first) {
		mentioned->in_string = mentioned->key_due = mentioned->mark_next = false;
		mentioned->is_object[0] = false;
		mentioned->depth = mentioned->marked = 0;
	}
	while (at < count) {
		if (mentioned->in_string) {
			at = mentioned->is_key ? look_at_key(mentioned, bytes, at, count)
			                       : read_string(mentioned, bytes, at, count);
			continue;
		}
		if (bytes[at] == '"')
			string_begins(mentioned);
		else
			step(mentioned, bytes[at]);
		at++;
	}
	return mentioned->hit;
}

bool mentioned_claim(struct mentioned *mentioned, const char *relative, const char *resolved)
{
	return mentioned_set_claim(&mentioned->set, relative, resolved);
}
