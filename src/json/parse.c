#include "json/parse.h"

#include "base/mem.h"
#include "base/str.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

static cJSON *read_value(struct json_reader *reader, size_t place, struct parse_places *places);

static void remember(struct parse_places *places, size_t place)
{
	if (places->count == places->capacity) {
		places->capacity = places->capacity == 0 ? 64 : places->capacity * 2;
		places->v = mem_realloc(places->v, places->capacity, sizeof(*places->v));
	}
	places->v[places->count++] = place;
}

/* Owned; NULL with a problem. */
static char *read_text(struct json_reader *reader, struct json_span string)
{
	mem_cleanup char *text = NULL;
	struct npxc_error ignored;
	size_t length;

	if (!json_decode(reader->text, string, &text, &length, &ignored))
		json_fail(reader, "half of a surrogate pair (\\uD800 to \\uDFFF go in twos)");
	else if (memchr(text, '\0', length) != NULL)
		json_fail(reader, "\\u0000 cannot be used here");
	return reader->problem == NULL ? MEM_TAKE(text) : NULL;
}

static cJSON *read_container(struct json_reader *reader, enum json_kind kind, struct parse_places *places)
{
	const bool object = kind == JSON_OBJECT;
	cJSON *container = object ? cJSON_CreateObject() : cJSON_CreateArray();
	struct json_span key;

	json_enter(reader, kind);
	while (object ? json_member(reader, &key) : json_element(reader)) {
		mem_cleanup char *name = object ? read_text(reader, key) : NULL;
		cJSON *value;

		json_peek(reader);
		value = read_value(reader, object ? key.offset : reader->at, places);
		if (value != NULL &&
		    !(object ? cJSON_AddItemToObject(container, name, value) : cJSON_AddItemToArray(container, value)))
			json_fail(reader, "out of memory");
	}
	return container;
}

static cJSON *read_scalar(struct json_reader *reader, enum json_kind kind)
{
	struct json_span span;
	mem_cleanup char *text = NULL;

	if (!json_skip(reader, &span))
		return NULL;
	text = kind == JSON_STRING ? read_text(reader, span) : str_dup_n(reader->text + span.offset, span.length);
	if (text == NULL)
		return NULL;
	if (kind == JSON_STRING)
		return cJSON_CreateString(text);
	if (kind == JSON_NUMBER)
		return cJSON_CreateNumber(strtod(text, NULL));
	return text[0] == 'n' ? cJSON_CreateNull() : cJSON_CreateBool(text[0] == 't');
}

static cJSON *read_value(struct json_reader *reader, size_t place, struct parse_places *places)
{
	const enum json_kind kind = json_peek(reader);
	cJSON *value;

	if (places != NULL)
		remember(places, place);
	value = kind == JSON_OBJECT || kind == JSON_ARRAY ? read_container(reader, kind, places)
	                                                  : read_scalar(reader, kind);
	if (value == NULL)
		json_fail(reader, "out of memory");
	if (reader->problem == NULL)
		return value;
	cJSON_Delete(value);
	return NULL;
}

cJSON *parse_next(struct json_reader *reader, struct parse_places *places)
{
	json_peek(reader);
	return read_value(reader, reader->at, places);
}

cJSON *parse_text(const char *text, size_t length)
{
	struct json_reader reader;
	cJSON *tree;

	json_start(&reader, text, length);
	reader.any_bytes = true;
	tree = parse_next(&reader, NULL);
	if (json_end(&reader))
		return tree;
	cJSON_Delete(tree);
	return NULL;
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

/* Sorted, not compared one with each other: there may be 100,000 keys. */
const cJSON *parse_find_twice(const cJSON *root, const cJSON **ret_first)
{
	const cJSON *child;
	const cJSON *found = NULL;
	size_t count = 0;
	mem_cleanup struct member *members = mem_alloc((size_t)cJSON_GetArraySize(root) * sizeof(*members) + 1);

	cJSON_ArrayForEach(child, root)
	{
		found = parse_find_twice(child, ret_first);
		if (found != NULL)
			return found;
		members[count] = (struct member){ child, count };
		count++;
	}
	if (!cJSON_IsObject(root) || count < 2)
		return NULL;
	qsort(members, count, sizeof(*members), compare_members);
	for (size_t i = 1; found == NULL && i < count; i++) {
		if (strcmp(members[i - 1].value->string, members[i].value->string) == 0) {
			*ret_first = members[i - 1].value;
			found = members[i].value;
		}
	}
	return found;
}
