#include "files/words.h"

#include <string.h>
#include <strings.h>

/* bytes: a path of 4095 with every byte percent-encoded. */
enum { VALUE_BYTES_MAX = 3 * 4096 };

bool words_is_absolute(const char *text, size_t length)
{
	return (length > 1 && text[0] == '/' && strchr("/* ", text[1]) == NULL) ||
	       (length >= 2 && text[0] == '~' && text[1] == '/') || (length > 5 && strncasecmp(text, "file:", 5) == 0);
}

/* What begins with a slash and is no path: the root alone, comments of program text. */
static bool cannot_be_path(const char *text, size_t length)
{
	return length == 0 || (text[0] == '/' && !words_is_absolute(text, length));
}

static void add(struct words_part parts[WORDS_PARTS_MAX], size_t *count, const char *text, size_t length, bool is_whole)
{
	if (cannot_be_path(text, length) || *count == WORDS_PARTS_MAX)
		return;
	for (size_t i = 0; i < *count; i++)
		if (parts[i].text == text && parts[i].length == length)
			return;
	parts[(*count)++] = (struct words_part){
		.text = text, .length = length, .is_whole = is_whole, .is_absolute = words_is_absolute(text, length)
	};
}

static bool begins(const char *text, size_t length, const char *word)
{
	return length > strlen(word) && memcmp(text, word, strlen(word)) == 0;
}

/* The length of "scheme" before "://", or before ":./" and ":../"; or 0. */
static size_t scheme_of(const char *text, size_t length, bool *ret_is_relative)
{
	static const char scheme[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+.-";
	size_t at = 0;

	while (at < length && text[at] != '\0' && strchr(scheme, text[at]) != NULL)
		at++;
	*ret_is_relative = begins(text + at, length - at, ":./") || begins(text + at, length - at, ":../");
	return at > 1 && (*ret_is_relative || begins(text + at, length - at, "://")) ? at : 0;
}

/* Up to a query or a fragment. */
static size_t path_length(const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (text[i] == '?' || text[i] == '#')
			return i;
	return length;
}

/* The path of a URI of any scheme. */
static void add_of_uri(struct words_part parts[WORDS_PARTS_MAX], size_t *count, const char *text, size_t length,
                       size_t scheme, bool is_relative)
{
	const char *path = text + scheme + (is_relative ? 1 : 3);
	const size_t most = path_length(path, length - (size_t)(path - text));
	const size_t before = *count;

	if (!is_relative && path[0] != '/')
		return;
	/* scheme:////path is how some write an absolute path */
	if (!is_relative && most > 1 && path[1] == '/')
		add(parts, count, path + 1, most - 1, false);
	add(parts, count, path, most, false);
	if (!is_relative && *count > before && most > 1 && path[1] != '/') {
		const size_t absolute = *count;

		/* three slashes, where four mean an absolute one */
		add(parts, count, path + 1, most - 1, false);
		if (*count > absolute)
			parts[absolute].is_of_uri = !parts[absolute].is_absolute;
	} else if (is_relative && *count > before) {
		parts[before].is_of_uri = true;
	}
}

/* One element: itself, what follows its "=", and the path of a URI of any scheme. */
static void add_element(struct words_part parts[WORDS_PARTS_MAX], size_t *count, const char *text, size_t length,
                        bool is_whole)
{
	const char *equals = memchr(text, '=', length);
	bool is_relative;
	const size_t scheme = scheme_of(text, length, &is_relative);
	const bool is_absolute = words_is_absolute(text, length);

	if (scheme == 0 || is_relative || is_absolute)
		add(parts, count, text, length, is_whole);
	if (scheme > 0 && (is_relative || !is_absolute))
		add_of_uri(parts, count, text, length, scheme, is_relative);
	/* A query's values are no paths of this machine more often than not. */
	if (equals != NULL && scheme == 0 && equals != text) {
		const size_t rest = length - (size_t)(equals - text) - 1;

		if (rest > 0)
			add_element(parts, count, equals + 1, rest, false);
	}
}

size_t words_find(const char *text, size_t length, struct words_part ret_parts[WORDS_PARTS_MAX])
{
	size_t count = 0;

	if (length == 0 || length > VALUE_BYTES_MAX || memchr(text, '\n', length) != NULL ||
	    memchr(text, '\r', length) != NULL || memchr(text, '\0', length) != NULL)
		return 0;
	add_element(ret_parts, &count, text, length, true);
	if (memchr(text, ',', length) == NULL)
		return count;
	for (size_t at = 0; at < length;) {
		const char *comma = memchr(text + at, ',', length - at);
		const size_t next = comma == NULL ? length : (size_t)(comma - text);

		if (next > at)
			add_element(ret_parts, &count, text + at, next - at, false);
		at = next + 1;
	}
	return count;
}
