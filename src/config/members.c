#include "config/members.h"

#include "base/limits.h"
#include "base/mem.h"

#include <cjson/cJSON.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

bool members_locate(const struct jsonc *document, const cJSON *value, struct npxc_error *err)
{
	return jsonc_error(document, value, err, "%s", err->message);
}

const char *members_kind(const cJSON *value)
{
	if (cJSON_IsString(value))
		return "a string";
	if (cJSON_IsNumber(value))
		return "a number";
	if (cJSON_IsBool(value))
		return cJSON_IsTrue(value) ? "true" : "false";
	if (cJSON_IsArray(value))
		return "a list";
	return cJSON_IsObject(value) ? "an object" : "null";
}

bool members_refuse(const struct jsonc *document, const cJSON *value, const char *wanted, struct npxc_error *err)
{
	return jsonc_error(document, value, err, "wants %s, not %s", wanted, members_kind(value));
}

/* The known key that `name` probably was meant to be, or NULL. Case and one or two slips are forgiven. */
static const char *near_miss(const char *name, const struct member *keys, size_t count)
{
	mem_cleanup char *small = str_dup(name);
	const char *best = NULL;
	unsigned best_distance = 3;

	for (char *p = small; *p != '\0'; p++)
		*p = (char)tolower((unsigned char)*p);
	for (size_t i = 0; i < count; i++) {
		unsigned most = strlen(keys[i].name) <= 4 ? 1 : 2;
		unsigned distance = str_distance(small, keys[i].name, most);

		if (distance <= most && distance < best_distance) {
			best_distance = distance;
			best = keys[i].name;
		}
	}
	return best;
}

static bool refuse_key(const struct jsonc *document, const cJSON *member, const struct member *keys, size_t count,
                       struct npxc_error *err)
{
	const char *meant = near_miss(member->string, keys, count);
	mem_cleanup char *name = jsonc_show(member->string);
	mem_cleanup char *known = NULL;

	if (meant != NULL)
		return jsonc_error(document, member, err, "unknown key `%s`; did you mean `%s`?", name, meant);
	for (size_t i = 0; i < count; i++) {
		mem_cleanup char *before = MEM_TAKE(known);

		known = str_printf("%s%s%s", before != NULL ? before : "", i > 0 ? ", " : "", keys[i].name);
	}
	return jsonc_error(document, member, err, "unknown key `%s`; known here: %s", name, known);
}

bool members_check_count(const struct jsonc *document, const cJSON *value, struct npxc_error *err)
{
	if (cJSON_GetArraySize(value) > LIMIT_CONFIG_ENTRIES)
		return jsonc_error(document, value, err, "more than %d entries", LIMIT_CONFIG_ENTRIES);
	return true;
}

static bool read_text(const struct jsonc *document, const cJSON *value, member_check *check, char **into,
                      struct npxc_error *err)
{
	if (!cJSON_IsString(value))
		return members_refuse(document, value, "a string", err);
	if (!check(value->valuestring, err))
		return members_locate(document, value, err);
	free(*into);
	*into = str_dup(value->valuestring);
	return true;
}

bool members_read_list(const struct jsonc *document, const cJSON *value, member_check *check, struct strv *into,
                       struct npxc_error *err)
{
	const cJSON *item;

	if (!cJSON_IsArray(value))
		return members_refuse(document, value, "a list of strings", err);
	if (!members_check_count(document, value, err))
		return false;
	cJSON_ArrayForEach(item, value)
	{
		if (!cJSON_IsString(item))
			return members_refuse(document, item, "a string", err);
		if (!check(item->valuestring, err))
			return members_locate(document, item, err);
		if (strv_contains(into, item->valuestring))
			return jsonc_error(document, item, err, "stands in this list twice");
		strv_push(into, item->valuestring);
	}
	return true;
}

static bool read_object(const struct jsonc *document, const cJSON *value, const struct member *object, void *into,
                        struct npxc_error *err)
{
	const cJSON *member;

	if (!cJSON_IsObject(value))
		return members_refuse(document, value, "an object", err);
	cJSON_ArrayForEach(member, value)
	{
		const struct member *known = object->object;
		size_t i = 0;

		while (i < object->count && strcmp(known[i].name, member->string) != 0)
			i++;
		if (i == object->count)
			return refuse_key(document, member, known, object->count, err);
		if (!members_read(document, member, &known[i], (char *)into + known[i].offset, err))
			return false;
	}
	return true;
}

bool members_read(const struct jsonc *document, const cJSON *value, const struct member *member, void *into,
                  struct npxc_error *err)
{
	if (member->text != NULL)
		return read_text(document, value, member->text, into, err);
	if (member->list != NULL)
		return members_read_list(document, value, member->list, into, err);
	if (member->object != NULL)
		return read_object(document, value, member, into, err);
	return member->read(document, value, into, err);
}
