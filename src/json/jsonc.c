#include "json/jsonc.h"

#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"
#include "json/parse.h"

#include <cjson/cJSON.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Bytes. A message has ERROR_MESSAGE_SIZE for all: without these a long path would push the reason out of it. */
enum { FILE_SHOWN_MAX = 160, KEY_SHOWN_MAX = 120, PART_SHOWN_MAX = 64, NUMBER_MAX_BYTES = 32 };

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

static bool read_document(struct json_reader *reader, struct jsonc *document, struct parse_places *places)
{
	const char *nul = memchr(reader->text, '\0', reader->length);

	reader->comments = true;
	reader->depth_max = LIMIT_JSON_DEPTH;
	reader->number_max = NUMBER_MAX_BYTES;
	if (reader->length >= 3 && memcmp(reader->text, "\xef\xbb\xbf", 3) == 0)
		return json_fail(reader, "the file starts with a byte order mark; save it as plain UTF-8");
	if (nul != NULL) {
		reader->at = (size_t)(nul - reader->text);
		return json_fail(reader, "a NUL byte");
	}
	if (json_peek(reader) == JSON_NONE && reader->at == reader->length)
		return json_fail(reader, "an empty file; write {} or remove it");
	document->root = parse_next(reader, places);
	return json_end(reader);
}

/* Places become lines: they are in the order of the text. */
static void set_lines(struct jsonc *document, const char *text, const struct parse_places *places)
{
	size_t at = 0;
	unsigned line = 1;

	document->lines = mem_alloc(places->count * sizeof(*document->lines) + 1);
	document->count = places->count;
	for (size_t i = 0; i < places->count; i++) {
		for (; at < places->v[i]; at++)
			line += text[at] == '\n';
		document->lines[i] = line;
	}
}

bool jsonc_parse(const char *text, size_t length, const char *file, struct jsonc *ret_document, struct npxc_error *err)
{
	struct jsonc document = { .file = show(file, FILE_SHOWN_MAX, true) };
	struct parse_places places = { 0 };
	struct json_reader reader;
	const cJSON *first;
	const cJSON *second;
	bool ok;

	json_start(&reader, text, length);
	if (length > LIMIT_CONFIG_BYTES) {
		ok = error_set(err, ERROR_CONFIG, "%s: more than %zu bytes", document.file, LIMIT_CONFIG_BYTES);
	} else if (!read_document(&reader, &document, &places)) {
		unsigned line = 1;

		for (size_t at = 0; at < reader.at; at++)
			line += text[at] == '\n';
		ok = error_set(err, ERROR_CONFIG, "%s:%u: %s", document.file, line, reader.problem);
	} else {
		set_lines(&document, text, &places);
		second = parse_find_twice(document.root, &first);
		ok = second == NULL ||
		     jsonc_error(&document, second, err, "this key is there already, on line %u; keep one of them",
		                 jsonc_line(&document, first));
	}
	free(places.v);
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
