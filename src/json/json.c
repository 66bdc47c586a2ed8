#include "json/json.h"

#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"

#include <string.h>

enum { REPLACEMENT_CHARACTER = 0xfffd };

static const char not_a_value[] = "not a value; texts stand in double quotes, and nothing follows the last comma";

bool json_fail(struct json_reader *r, const char *problem)
{
	if (r->problem == NULL)
		r->problem = problem;
	return false;
}

void json_start(struct json_reader *reader, const char *text, size_t length)
{
	json_start_at(reader, text, (struct json_span){ 0, length });
}

void json_start_at(struct json_reader *reader, const char *text, struct json_span value)
{
	*reader = (struct json_reader){ .text = text,
		                        .length = value.offset + value.length,
		                        .at = value.offset,
		                        .depth_max = LIMIT_MESSAGE_DEPTH };
}

/* The byte at the reader's place, or -1 at the end. */
static int byte_here(const struct json_reader *r)
{
	return r->at < r->length ? (unsigned char)r->text[r->at] : -1;
}

static bool is_space(int c)
{
	return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/* One character that is not ASCII, or in a comment any. */
static bool skip_character(struct json_reader *r)
{
	uint32_t code;
	const int n = str_utf8(r->text + r->at, r->length - r->at, &code);

	if (n <= 0 && !r->any_bytes)
		return json_fail(r, "bytes that are not UTF-8");
	r->at += n > 0 ? (size_t)n : 1;
	return true;
}

static bool skip_comment(struct json_reader *r)
{
	const size_t start = r->at;
	const bool block = r->text[start + 1] == '*';

	for (r->at += 2; r->at < r->length && (block || r->text[r->at] != '\n');) {
		if (block && r->length - r->at >= 2 && memcmp(r->text + r->at, "*/", 2) == 0)
			break;
		if (!skip_character(r))
			return false;
	}
	if (block && r->at == r->length) {
		r->at = start;
		return json_fail(r, "this comment has no end (*/)");
	}
	r->at += block ? 2 : 0;
	for (r->comment_end = r->at; is_space(r->text[r->comment_end - 1]);)
		r->comment_end--;
	return true;
}

/* The byte behind white space and comments; -1: the end, or a problem. */
static int skip_space(struct json_reader *r)
{
	for (;;) {
		const int c = byte_here(r);

		if (is_space(c))
			r->at++;
		else if (c != '/' || !r->comments || r->length - r->at < 2 ||
		         (r->text[r->at + 1] != '/' && r->text[r->at + 1] != '*'))
			return c;
		else if (!skip_comment(r))
			return -1;
	}
}

/* Bytes from `at` on that mean themselves in a string: ASCII, no control byte, quote or backslash. Eight at a time. */
static size_t plain_run(const char *text, size_t at, size_t end)
{
	const uint64_t ones = 0x0101010101010101U;
	const uint64_t tops = 0x8080808080808080U;
	const size_t start = at;

	while (end - at >= sizeof(uint64_t)) {
		uint64_t word;
		uint64_t quote;
		uint64_t backslash;

		memcpy(&word, text + at, sizeof(word));
		quote = word ^ (ones * '"');
		backslash = word ^ (ones * '\\');
		/* A byte's top bit in `x - ones & ~x` says "zero" and in `x - ones * 0x20` "below 0x20"; what a borrow
		 * sets too much only ends the run early. */
		if (((word | (word - ones * 0x20) | ((quote - ones) & ~quote) | ((backslash - ones) & ~backslash)) &
		     tops) != 0)
			break;
		at += sizeof(word);
	}
	while (at < end && (unsigned char)text[at] >= 0x20 && (unsigned char)text[at] < 0x80 && text[at] != '"' &&
	       text[at] != '\\')
		at++;
	return at - start;
}

/* Consumes what follows a backslash. */
static bool read_escape(struct json_reader *r)
{
	const int c = byte_here(r);

	if (c <= 0 || strchr("\"\\/bfnrtu", c) == NULL)
		return json_fail(r, "an unknown escape; a backslash itself is written \\\\");
	r->at++;
	for (int i = 0; c == 'u' && i < 4; i++) {
		if (str_hex_digit(byte_here(r)) < 0)
			return json_fail(r, "\\u wants four hexadecimal digits");
		r->at++;
	}
	return true;
}

static bool read_string(struct json_reader *r, struct json_span *ret_string)
{
	const size_t start = r->at++;

	for (;;) {
		int c;

		r->at += plain_run(r->text, r->at, r->length);
		c = byte_here(r);
		if (c < 0 || c == '\n')
			return json_fail(r, "this text has no closing quote on its line");
		if (c < 0x20)
			return json_fail(r, "a control byte inside quotes; write it as an escape such as \\t");
		if (c == '"') {
			r->at++;
			*ret_string = (struct json_span){ start, r->at - start };
			return true;
		}
		if (c == '\\') {
			r->at++;
			if (!read_escape(r))
				return false;
		} else if (!skip_character(r)) {
			return false;
		}
	}
}

static bool read_digits(struct json_reader *r)
{
	const size_t start = r->at;
	int c = byte_here(r);

	while (c >= '0' && c <= '9') {
		r->at++;
		c = byte_here(r);
	}
	return r->at > start || json_fail(r, "not a number as JSON writes it");
}

static bool read_number(struct json_reader *r)
{
	const size_t start = r->at;
	bool zero;

	r->at += byte_here(r) == '-';
	zero = byte_here(r) == '0';
	if (!read_digits(r))
		return false;
	if (zero && r->at - start > 1 + (size_t)(r->text[start] == '-'))
		return json_fail(r, "not a number as JSON writes it");
	if (byte_here(r) == '.') {
		r->at++;
		if (!read_digits(r))
			return false;
	}
	if (byte_here(r) == 'e' || byte_here(r) == 'E') {
		r->at++;
		r->at += byte_here(r) == '+' || byte_here(r) == '-';
		if (!read_digits(r))
			return false;
	}
	return r->number_max == 0 || r->at - start <= r->number_max || json_fail(r, "a number of too many bytes");
}

static bool read_literal(struct json_reader *r)
{
	static const char *const words[] = { "true", "false", "null" };

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		const size_t n = strlen(words[i]);

		if (r->length - r->at >= n && memcmp(r->text + r->at, words[i], n) == 0) {
			r->at += n;
			return true;
		}
	}
	return json_fail(r, not_a_value);
}

enum json_kind json_peek(struct json_reader *reader)
{
	int c;

	if (reader->problem != NULL)
		return JSON_NONE;
	c = skip_space(reader);
	if (c == '{')
		return JSON_OBJECT;
	if (c == '[')
		return JSON_ARRAY;
	if (c == '"')
		return JSON_STRING;
	if (c == '-' || (c >= '0' && c <= '9'))
		return JSON_NUMBER;
	if (c == 't' || c == 'f' || c == 'n')
		return JSON_LITERAL;
	return JSON_NONE;
}

static bool read_scalar(struct json_reader *r, enum json_kind kind)
{
	struct json_span ignored;

	switch (kind) {
	case JSON_STRING:
		return read_string(r, &ignored);
	case JSON_NUMBER:
		return read_number(r);
	case JSON_LITERAL:
		return read_literal(r);
	case JSON_NONE:
	case JSON_OBJECT:
	case JSON_ARRAY:
		break;
	}
	return json_fail(r, byte_here(r) < 0 ? "the text ends where a value was expected" : not_a_value);
}

bool json_enter(struct json_reader *reader, enum json_kind kind)
{
	if (json_peek(reader) != kind)
		return json_fail(reader, "another kind of value than the one that is due");
	if (reader->depth == reader->depth_max)
		return json_fail(reader, "nested too deeply");
	reader->at++;
	reader->depth++;
	reader->first = true;
	return true;
}

/* The white space and comma before a further member or element. False: the container ends here, or a problem. */
static bool read_further(struct json_reader *r, char closing)
{
	const bool object = closing == '}';
	const bool first = r->first;
	const int c = r->problem == NULL ? skip_space(r) : -1;

	r->first = false;
	if (r->problem != NULL)
		return false;
	if (c == closing) {
		r->at++;
		r->depth--;
		return false;
	}
	if (first)
		return true;
	if (c < 0)
		return json_fail(r, object ? "the text ends inside an object; a } is missing"
		                           : "the text ends inside a list; a ] is missing");
	if (c != ',')
		return json_fail(r, object ? "a comma or } was expected" : "a comma or ] was expected");
	r->at++;
	return true;
}

bool json_member(struct json_reader *reader, struct json_span *ret_key)
{
	struct json_span key;

	if (!read_further(reader, '}'))
		return false;
	if (skip_space(reader) != '"')
		return json_fail(reader, "a key in double quotes was expected; nothing follows the last comma");
	if (!read_string(reader, &key))
		return false;
	if (skip_space(reader) != ':')
		return json_fail(reader, "a colon was expected after the key");
	reader->at++;
	*ret_key = key;
	return true;
}

bool json_element(struct json_reader *reader)
{
	return read_further(reader, ']');
}

bool json_skip(struct json_reader *reader, struct json_span *ret_value)
{
	uint8_t is_object[LIMIT_MESSAGE_DEPTH / 8 + 1] = { 0 }; /* a bit per level: a stack of constant size */
	const unsigned base = reader->depth;
	size_t start;

	json_peek(reader);
	start = reader->at;
	do {
		const enum json_kind kind = json_peek(reader);
		struct json_span key;

		if (reader->problem != NULL)
			return false;
		if (kind == JSON_OBJECT || kind == JSON_ARRAY) {
			const unsigned level = reader->depth + 1;

			if (!json_enter(reader, kind))
				return false;
			if (kind == JSON_OBJECT)
				is_object[level / 8] |= (uint8_t)(1U << level % 8);
			else
				is_object[level / 8] &= (uint8_t) ~(1U << level % 8);
		} else if (!read_scalar(reader, kind)) {
			return false;
		}
		while (reader->depth > base &&
		       !((is_object[reader->depth / 8] >> reader->depth % 8 & 1) != 0 ? json_member(reader, &key)
		                                                                      : json_element(reader)))
			if (reader->problem != NULL)
				return false;
	} while (reader->depth > base);
	*ret_value = (struct json_span){ start, reader->at - start };
	return true;
}

bool json_end(struct json_reader *reader)
{
	if (reader->problem != NULL)
		return false;
	if (reader->depth > 0)
		return json_fail(reader, "the text ends inside an object or a list");
	return (skip_space(reader) < 0 && reader->problem == NULL) ||
	       json_fail(reader, "something follows the end of the JSON text");
}

bool json_problem(const struct json_reader *reader, struct npxc_error *err)
{
	return error_set(err, ERROR_JSON, "%s, at byte %zu",
	                 reader->problem != NULL ? reader->problem : "an unexpected value", reader->at + 1);
}

bool json_check(const char *text, size_t length, struct json_span *ret_value, struct npxc_error *err)
{
	struct json_reader reader;
	struct json_span value;

	json_start(&reader, text, length);
	if (!json_skip(&reader, &value) || !json_end(&reader))
		return json_problem(&reader, err);
	*ret_value = value;
	return true;
}

/* Four hexadecimal digits behind "\u" at `at`, or 0x110000 when there is no such escape. */
static uint32_t unicode_escape(const char *text, size_t end, size_t at)
{
	uint32_t code = 0;

	if (end - at < 6 || text[at] != '\\' || text[at + 1] != 'u')
		return 0x110000;
	for (size_t i = 2; i < 6; i++) {
		const int digit = str_hex_digit((unsigned char)text[at + i]);

		if (digit < 0)
			return 0x110000;
		code = code << 4 | (uint32_t)digit;
	}
	return code;
}

static uint32_t read_utf8(const char *text, size_t end, size_t *at)
{
	uint32_t code = REPLACEMENT_CHARACTER;
	const int n = str_utf8(text + *at, end - *at, &code);

	*at += n > 0 ? (size_t)n : 1;
	return code;
}

uint32_t json_character(const char *text, size_t end, size_t *at)
{
	static const char letters[] = "bfnrt";
	static const char meanings[] = "\b\f\n\r\t";
	uint32_t code;
	uint32_t low;

	if (text[*at] != '\\' || end - *at < 2)
		return read_utf8(text, end, at);
	code = unicode_escape(text, end, *at);
	if (code == 0x110000) {
		const char *letter = strchr(letters, text[*at + 1]);

		code = (unsigned char)(letter != NULL && *letter != '\0' ? meanings[letter - letters] : text[*at + 1]);
		*at += 2;
		return code;
	}
	*at += 6;
	if (code < 0xd800 || code > 0xdbff)
		return code;
	low = unicode_escape(text, end, *at);
	if (low < 0xdc00 || low > 0xdfff)
		return code;
	*at += 6;
	return 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
}

/* UTF-8 of one character; surrogates in the same pattern, so that what is equal stays equal. */
static size_t put_utf8(uint32_t code, char bytes[4])
{
	if (code < 0x80) {
		bytes[0] = (char)code;
		return 1;
	}
	if (code < 0x800) {
		bytes[0] = (char)(0xc0 | code >> 6);
		bytes[1] = (char)(0x80 | (code & 0x3f));
		return 2;
	}
	if (code < 0x10000) {
		bytes[0] = (char)(0xe0 | code >> 12);
		bytes[1] = (char)(0x80 | (code >> 6 & 0x3f));
		bytes[2] = (char)(0x80 | (code & 0x3f));
		return 3;
	}
	bytes[0] = (char)(0xf0 | code >> 18);
	bytes[1] = (char)(0x80 | (code >> 12 & 0x3f));
	bytes[2] = (char)(0x80 | (code >> 6 & 0x3f));
	bytes[3] = (char)(0x80 | (code & 0x3f));
	return 4;
}

bool json_equals(const char *text, struct json_span string, const char *word)
{
	const size_t n = strlen(word);
	const size_t end = string.offset + string.length - 1;
	size_t at = string.offset + 1;
	size_t used = 0;

	if (string.length == n + 2 && memcmp(text + at, word, n) == 0)
		return memchr(word, '\\', n) == NULL;
	if (string.length < n + 2 || memchr(text + at, '\\', end - at) == NULL)
		return false;
	while (at < end) {
		char bytes[4];
		const size_t count = put_utf8(json_character(text, end, &at), bytes);

		if (n - used < count || memcmp(word + used, bytes, count) != 0)
			return false;
		used += count;
	}
	return used == n;
}

uint64_t json_hash(const char *text, struct json_span string)
{
	const size_t end = string.offset + string.length - 1;
	uint64_t hash = 14695981039346656037U; /* FNV-1a */

	for (size_t at = string.offset + 1; at < end;) {
		char bytes[4];
		const size_t count = put_utf8(json_character(text, end, &at), bytes);

		for (size_t i = 0; i < count; i++)
			hash = (hash ^ (unsigned char)bytes[i]) * 1099511628211U;
	}
	return hash;
}

bool json_decode(const char *text, struct json_span string, char **ret_text, size_t *ret_length, struct npxc_error *err)
{
	const size_t end = string.offset + string.length - 1;
	mem_cleanup char *out = mem_alloc(string.length); /* no escape means more bytes than it has */
	size_t used = 0;

	for (size_t at = string.offset + 1; at < end;) {
		const size_t run = plain_run(text, at, end);
		uint32_t code;

		memcpy(out + used, text + at, run);
		used += run;
		at += run;
		if (at < end && text[at] != '\\')
			out[used++] = text[at++];
		if (at >= end || text[at] != '\\')
			continue;
		code = json_character(text, end, &at);
		if (code >= 0xd800 && code <= 0xdfff)
			return error_set(err, ERROR_JSON, "half of a surrogate pair, before byte %zu", at + 1);
		used += put_utf8(code, out + used);
	}
	out[used] = '\0';
	*ret_text = MEM_TAKE(out);
	*ret_length = used;
	return true;
}

/* The character at `at` as it has to be written; returns how many bytes of the text it stands for. */
static size_t put_escaped(const char *text, size_t length, size_t at, char out[8], size_t *ret_count)
{
	static const char hex[] = "0123456789abcdef";
	const unsigned char c = (unsigned char)text[at];
	uint32_t code;
	const int n = str_utf8(text + at, length - at, &code);

	if (n <= 0) {
		*ret_count = put_utf8(REPLACEMENT_CHARACTER, out);
		return 1;
	}
	if (c == '"' || c == '\\') {
		out[0] = '\\';
		out[1] = (char)c;
		*ret_count = 2;
	} else if (c < 0x20) {
		memcpy(out, "\\u00", 4);
		out[4] = hex[c >> 4];
		out[5] = hex[c & 15];
		*ret_count = 6;
	} else {
		memcpy(out, text + at, (size_t)n);
		*ret_count = (size_t)n;
	}
	return (size_t)n;
}

static bool append_inside(struct buf *to, const char *text, size_t length, struct npxc_error *err)
{
	for (size_t at = 0; at < length;) {
		const size_t run = plain_run(text, at, length);
		char bytes[8];
		size_t count = 0;

		if (!buf_append(to, text + at, run, err))
			return false;
		at += run;
		if (at == length)
			break;
		at += put_escaped(text, length, at, bytes, &count);
		if (!buf_append(to, bytes, count, err))
			return false;
	}
	return true;
}

bool json_append_string(struct buf *to, const char *text, size_t length, struct npxc_error *err)
{
	const size_t before = to->length;

	if (buf_append(to, "\"", 1, err) && append_inside(to, text, length, err) && buf_append(to, "\"", 1, err))
		return true;
	/* A buffer that has no room for the whole keeps nothing of it. */
	to->length = before;
	if (to->data != NULL)
		to->data[before] = '\0';
	return false;
}
