#include "shim/template.h"

#include "base/mem.h"
#include "shim/shim.h"

#include <stdlib.h>
#include <string.h>

static struct binding *find(const struct bindings *bindings, const char *name, size_t length)
{
	for (size_t i = 0; i < bindings->count; i++)
		if (strncmp(bindings->v[i].name, name, length) == 0 && bindings->v[i].name[length] == '\0')
			return &bindings->v[i];
	return NULL;
}

void template_bind(struct bindings *bindings, const char *name, const char *value)
{
	struct binding *there = find(bindings, name, strlen(name));

	if (there == NULL) {
		bindings->v = mem_realloc(bindings->v, bindings->count + 1, sizeof(*bindings->v));
		there = &bindings->v[bindings->count++];
		*there = (struct binding){ .name = str_dup(name) };
	}
	free(there->value);
	there->value = str_dup(value);
}

const char *template_value(const struct bindings *bindings, const char *name)
{
	const struct binding *there = find(bindings, name, strlen(name));

	return there != NULL ? there->value : NULL;
}

void template_unbind_all(struct bindings *bindings)
{
	for (size_t i = 0; i < bindings->count; i++) {
		free(bindings->v[i].name);
		free(bindings->v[i].value);
	}
	free(bindings->v);
	*bindings = (struct bindings){ 0 };
}

/* The '$' at `dollar`: *ret_length bytes of a name after "${", or 0 for "$$". */
static bool read_dollar(const char *dollar, size_t *ret_length, struct npxc_error *err)
{
	const char *end;

	if (dollar[1] == '$') {
		*ret_length = 0;
		return true;
	}
	if (dollar[1] != '{')
		return error_set(err, ERROR_CONFIG, "a '$' that starts neither ${name} nor $$");
	end = strchr(dollar, '}');
	if (end == NULL)
		return error_set(err, ERROR_CONFIG, "a ${ that is not closed");
	if (end == dollar + 2)
		return error_set(err, ERROR_CONFIG, "an empty ${}");
	*ret_length = (size_t)(end - dollar - 2);
	return true;
}

bool template_expand(const char *text, const struct bindings *bindings, struct buf *ret_text, struct npxc_error *err)
{
	while (*text != '\0') {
		const struct binding *there;
		size_t plain = strcspn(text, "$");
		size_t length = 0;

		if (!buf_append(ret_text, text, plain, err))
			return false;
		text += plain;
		if (*text == '\0')
			break;
		if (!read_dollar(text, &length, err))
			return false;
		if (length == 0) {
			if (!buf_append_text(ret_text, "$", err))
				return false;
			text += 2;
			continue;
		}
		there = find(bindings, text + 2, length);
		if (there == NULL)
			return error_set(err, ERROR_CONFIG, "${%.*s} has no value here", (int)length, text + 2);
		if (!buf_append_text(ret_text, there->value, err))
			return false;
		text += length + 3;
	}
	return true;
}

bool template_text(const char *text, const struct bindings *bindings, char **ret_text, struct npxc_error *err)
{
	struct buf b BUF_CLEANUP = BUF_INIT(SHIM_MAX_TEXT_BYTES);

	if (!template_expand(text, bindings, &b, err))
		return false;
	*ret_text = buf_take(&b);
	return true;
}

bool template_check(const char *text, const struct strv *names, struct npxc_error *err)
{
	while ((text = strchr(text, '$')) != NULL) {
		mem_cleanup char *name = NULL;
		size_t length = 0;

		if (!read_dollar(text, &length, err))
			return false;
		if (length == 0) {
			text += 2;
			continue;
		}
		name = str_dup_n(text + 2, length);
		if (!strv_contains(names, name))
			return error_set(err, ERROR_CONFIG, "${%s} has no value here", name);
		text += length + 3;
	}
	return true;
}
