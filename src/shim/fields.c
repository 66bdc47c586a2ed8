#include "shim/fields.h"

#include "base/limits.h"
#include "base/mem.h"
#include "json/parse.h"

#include <string.h>

void fields_cleanup(cJSON **value)
{
	cJSON_Delete(*value);
	*value = NULL;
}

bool fields_parse(const char *text, size_t length, cJSON **ret_value, struct npxc_error *err)
{
	cJSON *value JSON_CLEANUP = NULL;
	struct json_reader reader;
	const cJSON *first;
	const cJSON *second;

	json_start(&reader, text, length);
	reader.any_bytes = true;
	reader.depth_max = LIMIT_JSON_DEPTH;
	value = parse_next(&reader, NULL);
	if (!json_end(&reader)) {
		json_problem(&reader, err);
		err->kind = ERROR_CONFIG;
		return error_prefix(err, "not JSON");
	}
	second = parse_find_twice(value, &first);
	if (second != NULL)
		return error_set(err, ERROR_CONFIG, "the key \"%s\" stands twice in one object", second->string);
	*ret_value = MEM_TAKE(value);
	return true;
}

bool fields_check(const cJSON *object, const char *keys, const char *where, struct npxc_error *err)
{
	if (!cJSON_IsObject(object))
		return error_set(err, ERROR_CONFIG, "%s must be an object", where);
	for (const cJSON *child = object->child; child != NULL; child = child->next) {
		size_t length = strlen(child->string);
		const char *p = keys;

		while (*p != '\0') {
			size_t word = strcspn(p, " ");

			if (word == length && strncmp(p, child->string, length) == 0)
				break;
			p += word + strspn(p + word, " ");
		}
		if (*p == '\0')
			return error_set(err, ERROR_CONFIG, "%s has an unknown key \"%s\" (known: %s)", where,
			                 child->string, keys);
	}
	return true;
}

bool fields_text(const cJSON *object, const char *key, const char *where, const char **ret_value,
                 struct npxc_error *err)
{
	const cJSON *member = cJSON_GetObjectItemCaseSensitive(object, key);

	if (member == NULL)
		return true;
	if (!cJSON_IsString(member))
		return error_set(err, ERROR_CONFIG, "%s: \"%s\" must be a text", where, key);
	*ret_value = member->valuestring;
	return true;
}

bool fields_number(const cJSON *object, const char *key, const char *where, int64_t least, int64_t most,
                   int64_t *ret_value, struct npxc_error *err)
{
	const cJSON *member = cJSON_GetObjectItemCaseSensitive(object, key);

	if (member == NULL)
		return true;
	if (!cJSON_IsNumber(member) || member->valuedouble < (double)least || member->valuedouble > (double)most ||
	    member->valuedouble != (double)(int64_t)member->valuedouble)
		return error_set(err, ERROR_CONFIG, "%s: \"%s\" must be a whole number from %lld to %lld", where, key,
		                 (long long)least, (long long)most);
	*ret_value = (int64_t)member->valuedouble;
	return true;
}

bool fields_flag(const cJSON *object, const char *key, const char *where, bool *ret_value, struct npxc_error *err)
{
	const cJSON *member = cJSON_GetObjectItemCaseSensitive(object, key);

	if (member == NULL)
		return true;
	if (!cJSON_IsBool(member))
		return error_set(err, ERROR_CONFIG, "%s: \"%s\" must be true or false", where, key);
	*ret_value = cJSON_IsTrue(member);
	return true;
}

bool fields_texts(const cJSON *object, const char *key, const char *where, struct strv *ret_values,
                  struct npxc_error *err)
{
	const cJSON *member = cJSON_GetObjectItemCaseSensitive(object, key);
	bool ok = cJSON_IsArray(member);

	if (member == NULL)
		return true;
	for (const cJSON *child = member->child; ok && child != NULL; child = child->next)
		ok = cJSON_IsString(child);
	if (!ok)
		return error_set(err, ERROR_CONFIG, "%s: \"%s\" must be a list of texts", where, key);
	for (const cJSON *child = member->child; child != NULL; child = child->next)
		strv_push(ret_values, child->valuestring);
	return true;
}

bool fields_member(const cJSON *object, const char *key, int type, const char *where, const cJSON **ret_value,
                   struct npxc_error *err)
{
	const cJSON *member = cJSON_GetObjectItemCaseSensitive(object, key);

	if (member != NULL && (member->type & 0xFF) != type)
		return error_set(err, ERROR_CONFIG, "%s: \"%s\" must be %s", where, key,
		                 type == cJSON_Array ? "a list" : "an object");
	*ret_value = member;
	return true;
}
