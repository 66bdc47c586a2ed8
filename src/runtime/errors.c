#include "runtime/errors.h"

#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

char *errors_line(const char *errors, const char *prefix)
{
	char *found = NULL;

	for (const char *line = errors; line != NULL && *line != '\0';) {
		size_t length = strcspn(line, "\r\n");

		if (strncmp(line, prefix, strlen(prefix)) == 0) {
			free(found);
			found = errors_text(line + strlen(prefix), length - strlen(prefix));
		}
		line += length;
		line += strspn(line, "\r\n");
	}
	return found;
}

char *errors_text(const char *errors, size_t length)
{
	enum { SHOWN_BYTES = 240 };
	mem_cleanup char *copy = str_dup_n(errors != NULL ? errors : "", errors != NULL ? length : 0);
	char *text = str_trim(copy);
	mem_cleanup char *escaped = NULL;

	for (char *p = text; *p != '\0'; p++)
		if (*p == '\n' || *p == '\r' || *p == '\t')
			*p = ' ';
	escaped = str_escape(text, strlen(text));
	if (strlen(escaped) <= SHOWN_BYTES)
		return MEM_TAKE(escaped);
	return str_printf("%.*s...", SHOWN_BYTES, escaped);
}

static bool line_is(const char *line, const char *phrase, const char *name)
{
	struct buf whole BUF_CLEANUP = BUF_INIT(SIZE_MAX);
	struct npxc_error ignored = { 0 };
	const char *text, *star;
	size_t length, before;

	for (const char *p = phrase; *p != '\0'; p++)
		if (!buf_append(&whole, *p == '%' ? name : p, *p == '%' ? strlen(name) : 1, &ignored))
			return false;
	text = whole.data == NULL ? "" : whole.data;
	star = strchr(text, '*');
	if (star == NULL)
		return strcmp(line, text) == 0;
	length = strlen(line);
	before = (size_t)(star - text);
	return length >= whole.length - 1 && strncmp(line, text, before) == 0 &&
	       strcmp(line + length - strlen(star + 1), star + 1) == 0;
}

bool errors_say(const char *const *phrases, const char *errors, const char *name)
{
	mem_cleanup char *copy = str_dup(errors);
	char *rest = copy;

	for (char *line = strsep(&rest, "\n"); line != NULL; line = strsep(&rest, "\n")) {
		const char *words = str_trim(line);

		for (size_t i = 0; phrases != NULL && phrases[i] != NULL; i++)
			if (line_is(words, phrases[i], name))
				return true;
	}
	return false;
}
