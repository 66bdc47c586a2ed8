#include "base/str.h"

#include "base/mem.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char *str_dup_n(const char *text, size_t length)
{
	char *copy = mem_alloc(length + 1);

	memcpy(copy, text, length);
	return copy;
}

char *str_dup(const char *text)
{
	return text == NULL ? NULL : str_dup_n(text, strlen(text));
}

static char *vprintf_owned(const char *fmt, va_list args) NPXC_PRINTF(1, 0);

static char *vprintf_owned(const char *fmt, va_list args)
{
	va_list again;
	int length;
	char *text;

	va_copy(again, args);
	length = vsnprintf(NULL, 0, fmt, again);
	va_end(again);
	if (length < 0)
		return str_dup("");
	text = mem_alloc((size_t)length + 1);
	vsnprintf(text, (size_t)length + 1, fmt, args);
	return text;
}

char *str_printf(const char *fmt, ...)
{
	va_list args;
	char *text;

	va_start(args, fmt);
	text = vprintf_owned(fmt, args);
	va_end(args);
	return text;
}

bool str_equal(const char *a, const char *b)
{
	if (a == NULL || b == NULL)
		return a == b;
	return strcmp(a, b) == 0;
}

bool str_starts(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

bool str_ends(const char *text, const char *suffix)
{
	size_t t = strlen(text);
	size_t s = strlen(suffix);

	return t >= s && memcmp(text + t - s, suffix, s) == 0;
}

bool str_is_empty(const char *text)
{
	return text == NULL || text[0] == '\0';
}

int str_hex_digit(int c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

char *str_trim(char *text)
{
	size_t length;

	while (isspace((unsigned char)*text))
		text++;
	length = strlen(text);
	while (length > 0 && isspace((unsigned char)text[length - 1]))
		text[--length] = '\0';
	return text;
}

bool str_to_u64(const char *text, uint64_t max, uint64_t *ret_value)
{
	uint64_t value = 0;

	if (text[0] == '\0' || (text[0] == '0' && text[1] != '\0'))
		return false;
	for (const char *p = text; *p != '\0'; p++) {
		uint64_t digit;

		if (*p < '0' || *p > '9')
			return false;
		digit = (uint64_t)(*p - '0');
		if (value > (UINT64_MAX - digit) / 10)
			return false;
		value = value * 10 + digit;
	}
	if (value > max)
		return false;
	*ret_value = value;
	return true;
}

/*
 * Code points that print nothing, reorder what stands around them or join it invisibly (Unicode 15: categories Cc above
 * ASCII, Cf, Zl, Zp, and the letters that are blanks). U+FE00 to FE0F stay: they only choose how the character before
 * them is drawn, and ordinary emoji end with one.
 */
static bool is_invisible(uint32_t code)
{
	static const struct {
		uint32_t first, last;
	} ranges[] = {
		{ 0x80, 0x9f },       { 0xad, 0xad },       { 0x600, 0x605 },     { 0x61c, 0x61c },
		{ 0x6dd, 0x6dd },     { 0x70f, 0x70f },     { 0x890, 0x891 },     { 0x8e2, 0x8e2 },
		{ 0x115f, 0x1160 },   { 0x180e, 0x180e },   { 0x200b, 0x200f },   { 0x2028, 0x202e },
		{ 0x2060, 0x206f },   { 0x3164, 0x3164 },   { 0xfeff, 0xfeff },   { 0xffa0, 0xffa0 },
		{ 0xfff9, 0xfffb },   { 0x110bd, 0x110bd }, { 0x110cd, 0x110cd }, { 0x13430, 0x1343f },
		{ 0x1bca0, 0x1bca3 }, { 0x1d173, 0x1d17a }, { 0xe0000, 0xe0fff },
	};

	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++)
		if (code >= ranges[i].first && code <= ranges[i].last)
			return true;
	return false;
}

int str_utf8(const char *text, size_t left, uint32_t *ret_code)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	const unsigned char *p = (const unsigned char *)text;
	const int need = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : p[0] < 0xf5 ? 4 : 0;
	uint32_t code = need < 2 ? p[0] : p[0] & (0x7fU >> need);

	for (int i = 1; i < need; i++) {
		if ((size_t)i == left)
			return -1;
		if ((p[i] & 0xc0U) != 0x80)
			return 0;
		code = code << 6 | (p[i] & 0x3fU);
	}
	if (need == 0 || code < least[need] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
		return 0;
	*ret_code = code;
	return need;
}

enum str_shown str_look(const char *text, size_t left, size_t *ret_length)
{
	uint32_t code = 0;
	const int length = str_utf8(text, left, &code);

	*ret_length = length > 0 ? (size_t)length : 1;
	if (length < 0)
		return STR_CUT;
	return length == 0 || code < 0x20 || code == 0x7f || is_invisible(code) ? STR_ESCAPED : STR_PLAIN;
}

size_t str_escape_bytes(const char *bytes, size_t count, char *out)
{
	static const char hex[] = "0123456789abcdef";
	size_t used = 0;

	for (size_t i = 0; i < count; i++) {
		const unsigned char c = (unsigned char)bytes[i];

		out[used++] = '\\';
		out[used++] = 'x';
		out[used++] = hex[c >> 4];
		out[used++] = hex[c & 15];
	}
	return used;
}

char *str_escape(const char *text, size_t length)
{
	char *out = mem_alloc(length * STR_ESCAPE_BYTES + 1);
	size_t used = 0;

	for (size_t i = 0, n; i < length; i += n) {
		if (str_look(text + i, length - i, &n) != STR_PLAIN) {
			used += str_escape_bytes(text + i, n, out + used);
			continue;
		}
		memcpy(out + used, text + i, n);
		used += n;
	}
	out[used] = '\0';
	return out;
}

bool str_path_within(const char *path, const char *directory)
{
	size_t n = strlen(directory);

	while (n > 1 && directory[n - 1] == '/')
		n--;
	if (strncmp(path, directory, n) != 0)
		return false;
	return path[n] == '\0' || path[n] == '/' || (n == 1 && directory[0] == '/');
}

char *str_path_clean(const char *absolute)
{
	char *out = mem_alloc(strlen(absolute) + 2);
	size_t used = 0;

	for (const char *p = absolute; *p != '\0';) {
		size_t n;

		while (*p == '/')
			p++;
		n = strcspn(p, "/");
		if (n == 0)
			break;
		if (n == 2 && p[0] == '.' && p[1] == '.') {
			while (used > 0 && out[--used] != '/')
				;
		} else if (!(n == 1 && p[0] == '.')) {
			out[used++] = '/';
			memcpy(out + used, p, n);
			used += n;
		}
		p += n;
	}
	if (used == 0)
		out[used++] = '/';
	out[used] = '\0';
	return out;
}

char *str_path_join(const char *base, const char *path)
{
	mem_cleanup char *joined = path[0] == '/' ? str_dup(path) : str_printf("%s/%s", base, path);

	return str_path_clean(joined);
}

bool str_is_swapped(const char *a, const char *b)
{
	size_t i = 0;

	while (a[i] != '\0' && a[i] == b[i])
		i++;
	return a[i] != '\0' && b[i] != '\0' && a[i] == b[i + 1] && a[i + 1] == b[i] &&
	       strcmp(a + i + 2, b + i + 2) == 0;
}

unsigned str_distance(const char *a, const char *b, unsigned most)
{
	size_t la = strlen(a);
	size_t lb = strlen(b);
	unsigned row[65];

	if (la > 64 || lb > 64)
		return most + 1;
	for (size_t j = 0; j <= lb; j++)
		row[j] = (unsigned)j;
	for (size_t i = 1; i <= la; i++) {
		unsigned diagonal = row[0];

		row[0] = (unsigned)i;
		for (size_t j = 1; j <= lb; j++) {
			unsigned replace = diagonal + (a[i - 1] != b[j - 1]);
			unsigned insert = row[j - 1] + 1;
			unsigned remove = row[j] + 1;

			diagonal = row[j];
			row[j] = replace < insert ? replace : insert;
			row[j] = row[j] < remove ? row[j] : remove;
		}
	}
	return row[lb] <= most ? row[lb] : most + 1;
}

void strv_push_owned(struct strv *list, char *owned)
{
	if (list->count + 2 > list->capacity) {
		list->capacity = list->capacity == 0 ? 16 : list->capacity * 2;
		list->v = mem_realloc(list->v, list->capacity, sizeof(*list->v));
	}
	list->v[list->count++] = owned;
	list->v[list->count] = NULL;
}

void strv_push(struct strv *list, const char *text)
{
	strv_push_owned(list, str_dup(text));
}

void strv_pushf(struct strv *list, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	strv_push_owned(list, vprintf_owned(fmt, args));
	va_end(args);
}

void strv_push_all(struct strv *list, const char *const *texts, size_t count)
{
	for (size_t i = 0; i < count; i++)
		strv_push(list, texts[i]);
}

bool strv_contains(const struct strv *list, const char *text)
{
	for (size_t i = 0; i < list->count; i++)
		if (strcmp(list->v[i], text) == 0)
			return true;
	return false;
}

bool strv_holds_path(const struct strv *directories, const char *path)
{
	for (size_t i = 0; i < directories->count; i++)
		if (str_path_within(path, directories->v[i]))
			return true;
	return false;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

void strv_sort(struct strv *list)
{
	if (list->count > 1)
		qsort(list->v, list->count, sizeof(*list->v), by_text);
}

char **strv_argv(struct strv *list)
{
	if (list->v == NULL) {
		list->capacity = 2;
		list->v = mem_realloc(NULL, list->capacity, sizeof(*list->v));
		list->v[0] = NULL;
	}
	return list->v;
}

void strv_done(struct strv *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->v[i]);
	free(list->v);
	*list = (struct strv){ 0 };
}

static bool is_plain_word(const char *word)
{
	for (const char *p = word; *p != '\0'; p++)
		if (!isalnum((unsigned char)*p) && strchr("_-+=:,./@%^", *p) == NULL)
			return false;
	return word[0] != '\0';
}

char *strv_shell(const struct strv *list)
{
	size_t bytes = 1;
	size_t used = 0;
	char *out;

	for (size_t i = 0; i < list->count; i++)
		bytes += strlen(list->v[i]) * 4 + 4;
	out = mem_alloc(bytes);
	for (size_t i = 0; i < list->count; i++) {
		const char *word = list->v[i];

		if (i > 0)
			out[used++] = ' ';
		if (is_plain_word(word)) {
			memcpy(out + used, word, strlen(word));
			used += strlen(word);
			continue;
		}
		out[used++] = '\'';
		for (const char *p = word; *p != '\0'; p++) {
			if (*p == '\'') {
				memcpy(out + used, "'\\''", 4);
				used += 4;
			} else {
				out[used++] = *p;
			}
		}
		out[used++] = '\'';
	}
	out[used] = '\0';
	return out;
}

char *str_path_parent(const char *path)
{
	const char *slash = strrchr(path, '/');

	return str_dup_n(path, slash == NULL ? 0 : (size_t)(slash - path));
}

uint64_t str_hash(uint64_t hash, const void *bytes, size_t count)
{
	const unsigned char *next = bytes;

	for (size_t i = 0; i < count; i++)
		hash = (hash ^ next[i]) * UINT64_C(0x100000001b3);
	return hash;
}
