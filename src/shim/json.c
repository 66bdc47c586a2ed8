#include "shim/json.h"

#include "base/limits.h"
#include "base/mem.h"

#include <string.h>

void json_cleanup(cJSON **value)
{
	cJSON_Delete(*value);
	*value = NULL;
}

static bool check_shape(const cJSON *value, unsigned depth, struct npxc_error *err)
{
	if (depth > LIMIT_JSON_DEPTH)
		return error_set(err, ERROR_CONFIG, "nested deeper than %d levels", LIMIT_JSON_DEPTH);
	for (const cJSON *child = value->child; child != NULL; child = child->next) {
		if (cJSON_IsObject(value))
			for (const cJSON *other = child->next; other != NULL; other = other->next)
				if (str_equal(child->string, other->string))
					return error_set(err, ERROR_CONFIG, "the key \"%s\" stands twice in one object",
					                 child->string);
		if (!check_shape(child, depth + 1, err))
			return false;
	}
	return true;
}

bool json_parse(const char *text, size_t length, cJSON **ret_value, struct npxc_error *err)
{
	cJSON *value JSON_CLEANUP = NULL;
	const char *end = NULL;

	if (memchr(text, '\0', length) != NULL)
		return error_set(err, ERROR_CONFIG, "not JSON: it holds a NUL byte");
	value = cJSON_ParseWithLengthOpts(text, length + 1, &end, 1);
	if (value == NULL) {
		size_t line = 1;

		for (const char *p = text; end != NULL && p < end && p < text + length; p++)
			line += *p == '\n';
		return error_set(err, ERROR_CONFIG, "not JSON (line %zu)", line);
	}
	if (!check_shape(value, 1, err))
		return false;
	*ret_value = MEM_TAKE(value);
	return true;
}

bool json_check_keys(const cJSON *object, const char *keys, const char *where, struct npxc_error *err)
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

bool json_text(const cJSON *object, const char *key, const char *where, const char **ret_value, struct npxc_error *err)
{
	const cJSON *member = cJSON_GetObjectItemCaseSensitive(object, key);

	if (member == NULL)
		return true;
	if (!cJSON_IsString(member))
		return error_set(err, ERROR_CONFIG, "%s: \"%s\" must be a text", where, key);
	*ret_value = member->valuestring;
	return true;
}

bool json_number(const cJSON *object, const char *key, const char *where, int64_t least, int64_t most,
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

bool json_flag(const cJSON *object, const char *key, const char *where, bool *ret_value, struct npxc_error *err)
{
	const cJSON *member = cJSON_GetObjectItemCaseSensitive(object, key);

	if (member == NULL)
		return true;
	if (!cJSON_IsBool(member))
		return error_set(err, ERROR_CONFIG, "%s: \"%s\" must be true or false", where, key);
	*ret_value = cJSON_IsTrue(member);
	return true;
}

bool json_texts(const cJSON *object, const char *key, const char *where, struct strv *ret_values,
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

bool json_member(const cJSON *object, const char *key, int type, const char *where, const cJSON **ret_value,
                 struct npxc_error *err)
{
	const cJSON *member = cJSON_GetObjectItemCaseSensitive(object, key);

	if (member != NULL && (member->type & 0xFF) != type)
		return error_set(err, ERROR_CONFIG, "%s: \"%s\" must be %s", where, key,
		                 type == cJSON_Array ? "a list" : "an object");
	*ret_value = member;
	return true;
}
