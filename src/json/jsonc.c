#include "json/jsonc.h"

#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"

#include <cjson/cJSON.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Bytes. A message has ERROR_MESSAGE_SIZE for all: without these a long path would push the reason out of it. */
enum { FILE_SHOWN_MAX = 160, KEY_SHOWN_MAX = 120, PART_SHOWN_MAX = 64, NUMBER_MAX_BYTES = 32 };

struct scan {
	char *text; /* a copy; comments become blanks, so that lines and offsets stay */
	size_t length;
	size_t at;
	unsigned line;
	const char *file;
	unsigned *lines;
	size_t count;
	size_t capacity;
	struct npxc_error *err;
};

static bool scan_value(struct scan *s, unsigned line, unsigned depth);

static bool is_continuation(char c)
{
	return ((unsigned char)c & 0xc0U) == 0x80;
}

/* Keeps the start (or, for paths, the end, which tells more) of a text that is too long. */
static char *shorten(char *owned, size_t most, bool keep_end)
{
	mem_cleanup char *text = owned;
	size_t length = strlen(text);
	size_t cut = keep_end ? length - most : most;

	if (length <= most)
		return MEM_TAKE(text);
	while (cut < length && cut > 0 && is_continuation(text[cut]))
		cut = keep_end ? cut + 1 : cut - 1;
	if (keep_end)
		return str_printf("...%s", text + cut);
	return str_printf("%.*s...", (int)cut, text);
}

static char *show(const char *text, size_t most, bool keep_end)
{
	return shorten(str_escape(text, strlen(text)), most, keep_end);
}

char *jsonc_show(const char *text)
{
	return show(text, PART_SHOWN_MAX, false);
}

static bool fail_at(const struct scan *s, unsigned line, const char *reason)
{
	return error_set(s->err, ERROR_CONFIG, "%s:%u: %s", s->file, line, reason);
}

static bool fail(const struct scan *s, const char *reason)
{
	return fail_at(s, s->line, reason);
}

/* RFC 3629: the shortest form only, no surrogates, nothing above U+10FFFF. */
static size_t utf8_length(const unsigned char *p, size_t left)
{
	size_t need = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : p[0] < 0xf5 ? 4 : 0;

	if (need == 0 || need > left)
		return 0;
	for (size_t i = 1; i < need; i++)
		if ((p[i] & 0xc0U) != 0x80)
			return 0;
	if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) || (p[0] == 0xf0 && p[1] < 0x90) ||
	    (p[0] == 0xf4 && p[1] > 0x8f))
		return 0;
	return need;
}

static bool check_bytes(struct scan *s)
{
	if (s->length >= 3 && memcmp(s->text, "\xef\xbb\xbf", 3) == 0)
		return fail(s, "the file starts with a byte order mark; save it as plain UTF-8");
	for (size_t i = 0; i < s->length;) {
		size_t n = utf8_length((const unsigned char *)s->text + i, s->length - i);

		if (n == 0)
			return fail(s, "the file is not valid UTF-8 here");
		if (s->text[i] == '\0')
			return fail(s, "a NUL byte");
		s->line += s->text[i] == '\n';
		i += n;
	}
	s->line = 1;
	return true;
}

static char peek(const struct scan *s)
{
	return s->text[s->at]; /* the copy ends with a NUL, which no token takes */
}

static void blank_line_comment(struct scan *s)
{
	while (s->at < s->length && peek(s) != '\n')
		s->text[s->at++] = ' ';
}

static bool blank_block_comment(struct scan *s)
{
	unsigned start = s->line;

	s->text[s->at++] = ' ';
	s->text[s->at++] = ' ';
	while (s->at < s->length) {
		if (peek(s) == '*' && s->text[s->at + 1] == '/') {
			s->text[s->at++] = ' ';
			s->text[s->at++] = ' ';
			return true;
		}
		if (peek(s) == '\n')
			s->line++;
		else
			s->text[s->at] = ' ';
		s->at++;
	}
	return fail_at(s, start, "this comment has no end (*/)");
}

/* Passes over blanks and comments; the comments are blanked out for cJSON. */
static bool skip_blanks(struct scan *s)
{
	for (;;) {
		char c = peek(s);

		if (c == '\n') {
			s->line++;
			s->at++;
		} else if (c == ' ' || c == '\t' || c == '\r') {
			s->at++;
		} else if (c == '/' && s->text[s->at + 1] == '/') {
			blank_line_comment(s);
		} else if (c == '/' && s->text[s->at + 1] == '*') {
			if (!blank_block_comment(s))
				return false;
		} else {
			return true;
		}
	}
}

static bool scan_hex4(struct scan *s, unsigned *ret_code)
{
	unsigned code = 0;

	for (int i = 0; i < 4; i++) {
		char c = peek(s);

		if (c >= '0' && c <= '9')
			code = code * 16 + (unsigned)(c - '0');
		else if ((c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'))
			code = code * 16 + (unsigned)((c | 0x20) - 'a') + 10;
		else
			return fail(s, "\\u wants four hexadecimal digits");
		s->at++;
	}
	*ret_code = code;
	return true;
}

/* At the `u` of an escape. A text that C code would cut at its NUL, or that has no UTF-8 form, is refused. */
static bool scan_unicode_escape(struct scan *s)
{
	unsigned code;
	unsigned low = 0;

	s->at++;
	if (!scan_hex4(s, &code))
		return false;
	if (code == 0)
		return fail(s, "\\u0000 cannot be part of a setting");
	if (code < 0xd800 || code > 0xdfff)
		return true;
	if (code < 0xdc00 && peek(s) == '\\' && s->text[s->at + 1] == 'u') {
		s->at += 2;
		if (!scan_hex4(s, &low))
			return false;
	}
	if (low < 0xdc00 || low > 0xdfff)
		return fail(s, "half of a surrogate pair (\\uD800 to \\uDFFF go in twos)");
	return true;
}

static bool scan_string(struct scan *s)
{
	s->at++;
	while (peek(s) != '"') {
		if (s->at >= s->length || peek(s) == '\n')
			return fail(s, "this text has no closing quote on its line");
		if ((unsigned char)peek(s) < 0x20)
			return fail(s, "a control byte inside quotes; write it as an escape such as \\t");
		if (peek(s) != '\\') {
			s->at++;
			continue;
		}
		s->at++;
		if (peek(s) == 'u') {
			if (!scan_unicode_escape(s))
				return false;
		} else if (peek(s) != '\0' && strchr("\"\\/bfnrt", peek(s)) != NULL) {
			s->at++;
		} else {
			return fail(s, "an unknown escape; a backslash itself is written \\\\");
		}
	}
	s->at++;
	return true;
}

static size_t scan_digits(struct scan *s)
{
	size_t start = s->at;

	while (peek(s) >= '0' && peek(s) <= '9')
		s->at++;
	return s->at - start;
}

static bool scan_number(struct scan *s)
{
	size_t start = s->at;
	bool leading_zero;
	size_t digits;
	bool ok;

	s->at += peek(s) == '-';
	leading_zero = peek(s) == '0';
	digits = scan_digits(s);
	ok = digits > 0 && !(leading_zero && digits > 1);
	if (ok && peek(s) == '.') {
		s->at++;
		ok = scan_digits(s) > 0;
	}
	if (ok && (peek(s) == 'e' || peek(s) == 'E')) {
		s->at++;
		s->at += peek(s) == '+' || peek(s) == '-';
		ok = scan_digits(s) > 0;
	}
	if (!ok)
		return fail(s, "not a number as JSON writes it");
	if (s->at - start > NUMBER_MAX_BYTES)
		return fail(s, "a number of more than 32 bytes");
	return true;
}

static bool scan_word(struct scan *s)
{
	static const char *const words[] = { "true", "false", "null" };

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (str_starts(s->text + s->at, words[i])) {
			s->at += strlen(words[i]);
			return true;
		}
	}
	if (s->at >= s->length)
		return fail(s, "the file ends where a value was expected");
	return fail(s, "not a value; texts stand in double quotes, and nothing follows the last comma");
}

static bool scan_member(struct scan *s, unsigned depth)
{
	unsigned line = s->line;

	if (peek(s) != '"')
		return fail(s, "a key in double quotes was expected; nothing follows the last comma");
	if (!scan_string(s) || !skip_blanks(s))
		return false;
	if (peek(s) != ':')
		return fail(s, "a colon was expected after the key");
	s->at++;
	return skip_blanks(s) && scan_value(s, line, depth);
}

/* At the opening bracket. An object when `close` is '}', else a list. */
static bool scan_container(struct scan *s, char close, unsigned depth)
{
	if (depth == LIMIT_JSON_DEPTH)
		return fail(s, "nested too deeply");
	s->at++;
	if (!skip_blanks(s))
		return false;
	if (peek(s) == close) {
		s->at++;
		return true;
	}
	for (;;) {
		if (close == '}' ? !scan_member(s, depth + 1) : !scan_value(s, s->line, depth + 1))
			return false;
		if (!skip_blanks(s))
			return false;
		if (peek(s) == close) {
			s->at++;
			return true;
		}
		if (s->at >= s->length)
			return fail(s, close == '}' ? "the file ends inside an object; a } is missing"
			                            : "the file ends inside a list; a ] is missing");
		if (peek(s) != ',')
			return fail(s, close == '}' ? "a comma or } was expected" : "a comma or ] was expected");
		s->at++;
		if (!skip_blanks(s))
			return false;
	}
}

static void remember_line(struct scan *s, unsigned line)
{
	if (s->count == s->capacity) {
		s->capacity = s->capacity == 0 ? 64 : s->capacity * 2;
		s->lines = mem_realloc(s->lines, s->capacity, sizeof(*s->lines));
	}
	s->lines[s->count++] = line;
}

static bool scan_value(struct scan *s, unsigned line, unsigned depth)
{
	char c = peek(s);

	remember_line(s, line);
	if (c == '{')
		return scan_container(s, '}', depth);
	if (c == '[')
		return scan_container(s, ']', depth);
	if (c == '"')
		return scan_string(s);
	if (c == '-' || (c >= '0' && c <= '9'))
		return scan_number(s);
	return scan_word(s);
}

static bool scan_document(struct scan *s)
{
	if (!check_bytes(s) || !skip_blanks(s))
		return false;
	if (s->at >= s->length)
		return fail(s, "an empty file; write {} or remove it");
	if (!scan_value(s, s->line, 0) || !skip_blanks(s))
		return false;
	return s->at >= s->length || fail(s, "something follows the end of the JSON text");
}

/* Steps through the tree in document order until `wanted`; on the way back the key path is put together. */
static bool find(const cJSON *here, const cJSON *wanted, size_t *index, char **path)
{
	size_t position = 0;
	const cJSON *child;

	if (here == wanted)
		return true;
	cJSON_ArrayForEach(child, here)
	{
		++*index;
		if (find(child, wanted, index, path)) {
			mem_cleanup char *rest = *path;
			mem_cleanup char *key = child->string != NULL ? jsonc_show(child->string) : NULL;

			if (key == NULL)
				*path = str_printf("[%zu]%s", position, rest != NULL ? rest : "");
			else if (key[0] != '\0' && strspn(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
			                                       "0123456789_-$") == strlen(key))
				*path = str_printf(".%s%s", key, rest != NULL ? rest : "");
			else
				*path = str_printf("[\"%s\"]%s", key, rest != NULL ? rest : "");
			return true;
		}
		position++;
	}
	return false;
}

unsigned jsonc_line(const struct jsonc *document, const struct cJSON *value)
{
	mem_cleanup char *path = NULL;
	size_t index = 0;

	return find(document->root, value, &index, &path) && index < document->count ? document->lines[index] : 0;
}

bool jsonc_error(const struct jsonc *document, const struct cJSON *value, struct npxc_error *err, const char *fmt, ...)
{
	char reason[ERROR_MESSAGE_SIZE];
	mem_cleanup char *path = NULL;
	size_t index = 0;
	va_list args;

	va_start(args, fmt);
	if (vsnprintf(reason, sizeof(reason), fmt, args) < 0)
		reason[0] = '\0';
	va_end(args);
	if (!find(document->root, value, &index, &path) || index >= document->count)
		return error_set(err, ERROR_CONFIG, "%s: %s", document->file, reason);
	if (path == NULL)
		return error_set(err, ERROR_CONFIG, "%s:%u: %s", document->file, document->lines[index], reason);
	path = shorten(MEM_TAKE(path), KEY_SHOWN_MAX, true);
	return error_set(err, ERROR_CONFIG, "%s:%u: %s: %s", document->file, document->lines[index],
	                 path + (path[0] == '.' && path[1] != '.'), reason);
}

struct member {
	const cJSON *value;
	size_t position;
};

static int compare_members(const void *a, const void *b)
{
	const struct member *x = a;
	const struct member *y = b;
	int order = strcmp(x->value->string, y->value->string);

	return order != 0 ? order : x->position < y->position ? -1 : 1;
}

/* Sorted, not compared one with each other: the file may hold 100,000 keys. */
static bool check_duplicates(const struct jsonc *document, const cJSON *here, struct npxc_error *err)
{
	size_t count = 0;
	const cJSON *child;
	mem_cleanup struct member *members = NULL;

	cJSON_ArrayForEach(child, here)
	{
		if (!check_duplicates(document, child, err))
			return false;
		count++;
	}
	if (!cJSON_IsObject(here) || count < 2)
		return true;
	members = mem_alloc(count * sizeof(*members));
	count = 0;
	cJSON_ArrayForEach(child, here)
	{
		members[count] = (struct member){ child, count };
		count++;
	}
	qsort(members, count, sizeof(*members), compare_members);
	for (size_t i = 1; i < count; i++)
		if (strcmp(members[i - 1].value->string, members[i].value->string) == 0)
			return jsonc_error(document, members[i].value, err,
			                   "this key is there already, on line %u; keep one of them",
			                   jsonc_line(document, members[i - 1].value));
	return true;
}

static size_t count_values(const cJSON *here)
{
	size_t count = 1;
	const cJSON *child;

	cJSON_ArrayForEach(child, here) count += count_values(child);
	return count;
}

bool jsonc_parse(const char *text, size_t length, const char *file, struct jsonc *ret_document, struct npxc_error *err)
{
	struct jsonc document = { .file = show(file, FILE_SHOWN_MAX, true) };
	struct scan s = { .length = length, .line = 1, .file = document.file, .err = err };
	bool ok = false;

	if (length > LIMIT_CONFIG_BYTES) {
		ok = error_set(err, ERROR_CONFIG, "%s: more than %zu bytes", document.file, LIMIT_CONFIG_BYTES);
		jsonc_done(&document);
		return ok;
	}
	s.text = str_dup_n(text, length);
	ok = scan_document(&s);
	document.lines = s.lines;
	document.count = s.count;
	if (ok) {
		document.root = cJSON_ParseWithLengthOpts(s.text, length + 1, NULL, true);
		/* Both readers must have seen the same values, or the lines would be wrong. */
		if (document.root == NULL || count_values(document.root) != document.count)
			ok = error_set(err, ERROR_CONFIG, "%s: not JSON that npxc can read", document.file);
	}
	ok = ok && check_duplicates(&document, document.root, err);
	free(s.text);
	if (!ok) {
		jsonc_done(&document);
		return false;
	}
	*ret_document = document;
	return true;
}

void jsonc_done(struct jsonc *document)
{
	cJSON_Delete(document->root);
	free(document->file);
	free(document->lines);
	*document = (struct jsonc){ 0 };
}
