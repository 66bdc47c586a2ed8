#include "mcp/scope.h"

#include "base/buf.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* bytes: Linux's and macOS's own ceilings, without the NUL. */
enum { NAME_BYTES = 255, PATH_BYTES = 4095 };

/* Never more than a part of the message: who looks at it has written the path. */
enum { SHOWN_BYTES = 160 };

static bool refuse(struct npxc_error *err, const char *text, size_t length, const char *why)
{
	mem_cleanup char *shown = str_escape(text, length);

	return error_set(err, ERROR_PATH_OUT_OF_SCOPE, "\"%.*s\" %s", (int)SHOWN_BYTES, shown, why);
}

bool scope_is_uri(const char *text, size_t length)
{
	return length >= strlen("file:") && strncasecmp(text, "file:", strlen("file:")) == 0;
}

/* NULL, or why the part of a URI behind its host is no path. The decoded path goes to `to`, which has room. */
static const char *decode_percent(const char *text, size_t length, char *to, size_t *ret_length)
{
	size_t used = 0;

	for (size_t i = 0; i < length; i++) {
		const unsigned char c = (unsigned char)text[i];
		int value;

		if (c == '?' || c == '#')
			return "has a query or a fragment; in a file's name write %3F and %23";
		if (c <= ' ' || c == 0x7f || c == '\\')
			return "holds a byte that must be percent-encoded in a URI";
		if (c != '%') {
			to[used++] = text[i];
			continue;
		}
		if (length - i < 3 || str_hex_digit(text[i + 1]) < 0 || str_hex_digit(text[i + 2]) < 0)
			return "holds a percent sign that encodes nothing; write %25";
		value = str_hex_digit(text[i + 1]) * 16 + str_hex_digit(text[i + 2]);
		if (value == '/' || value == '\0')
			return "holds an encoded slash or NUL, which no file's name has";
		to[used++] = (char)value;
		i += 2;
	}
	*ret_length = used;
	return NULL;
}

/* NULL, or why not. `to` has room for `length` bytes. */
static const char *read_uri(const char *text, size_t length, char *to, size_t *ret_length)
{
	static const char here[] = "localhost";
	size_t at = strlen("file:");

	if (length - at >= 2 && text[at] == '/' && text[at + 1] == '/') {
		const char *host = text + at + 2;
		const char *slash = memchr(host, '/', length - at - 2);
		size_t host_length;

		if (slash == NULL)
			return "is a file URI without an absolute path: file:///PATH";
		host_length = (size_t)(slash - host);
		if (host_length != 0 && (host_length != strlen(here) || strncasecmp(host, here, host_length) != 0))
			return "names a file of another host; only file:///PATH is this one";
		at = (size_t)(slash - text);
	}
	if (at == length || text[at] != '/')
		return "is a file URI without an absolute path: file:///PATH";
	return decode_percent(text + at, length - at, to, ret_length);
}

/* The next component at *at, which moves behind it; false at the end. */
static bool next_component(const char *path, size_t *at, size_t *ret_start, size_t *ret_length)
{
	size_t start = *at;

	while (path[start] == '/')
		start++;
	if (path[start] == '\0')
		return false;
	*ret_start = start;
	*ret_length = strcspn(path + start, "/");
	*at = start + *ret_length;
	return true;
}

static bool is_dots(const char *component, size_t length, size_t dots)
{
	return length == dots && memcmp(component, "..", dots) == 0;
}

/*
 * Without empty components and ".", every other one with a slash before it. NULL, or why not. `to` has room for the
 * path and two bytes.
 */
static const char *tidy(const char *path, char *to, bool *ret_directory)
{
	size_t at = 0, start = 0, length = 0, used = 0;
	bool directory = true; /* "/" itself */

	while (next_component(path, &at, &start, &length)) {
		if (length > NAME_BYTES)
			return "holds a name that is too long for a file (255 bytes)";
		directory = path[at] == '/' || is_dots(path + start, length, 1) || is_dots(path + start, length, 2);
		if (is_dots(path + start, length, 1))
			continue;
		to[used++] = '/';
		memcpy(to + used, path + start, length);
		used += length;
	}
	if (used == 0)
		to[used++] = '/';
	to[used] = '\0';
	if (used > PATH_BYTES)
		return "is too long for a path (4095 bytes)";
	*ret_directory = directory;
	return NULL;
}

/* What of a tidy path follows `directory`, or NULL. */
static const char *behind(const char *path, const char *directory)
{
	const size_t length = strlen(directory);

	if (length == 1)
		return path + 1;
	// NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker): tidy() has filled it
	if (strncmp(path, directory, length) != 0 || (path[length] != '/' && path[length] != '\0'))
		return NULL;
	return path[length] == '/' ? path + length + 1 : path + length;
}

/* The path that the string means, absolute but not tidy yet; owned. NULL: `*ret_why` says why it means none. */
static char *absolute_of(const struct scope_place *place, const char *text, size_t length, bool is_uri,
                         const char **ret_why)
{
	mem_cleanup char *plain = mem_alloc(length + 1);

	if (length == 0) {
		*ret_why = "names no file";
		return NULL;
	}
	if (is_uri) {
		size_t decoded = 0;

		*ret_why = read_uri(text, length, plain, &decoded);
		return *ret_why == NULL ? MEM_TAKE(plain) : NULL;
	}
	if (memchr(text, '\0', length) != NULL) {
		*ret_why = "holds a NUL, which no file's name has";
		return NULL;
	}
	memcpy(plain, text, length);
	if (plain[0] == '/')
		return MEM_TAKE(plain);
	if (plain[0] != '~' || (plain[1] != '/' && plain[1] != '\0'))
		return str_printf("%s/%s", place->cwd, plain);
	if (place->home == NULL) {
		*ret_why = "begins with ~, and there is no home directory";
		return NULL;
	}
	return str_printf("%s/%s", place->home, plain + 1);
}

bool scope_read(const struct scope_place *place, const char *text, size_t length, struct scope_name *ret_name,
                struct npxc_error *err)
{
	const bool is_uri = scope_is_uri(text, length);
	struct scope_name name = { .is_uri = is_uri };
	const char *why = NULL;
	/* A string of any length may come; what is longer than a path with everything encoded is none. */
	mem_cleanup char *absolute =
	    length > 4 * (size_t)PATH_BYTES ? NULL : absolute_of(place, text, length, is_uri, &why);
	mem_cleanup char *path = NULL;
	const char *relative;

	if (absolute == NULL)
		return refuse(err, text, length < SHOWN_BYTES ? length : SHOWN_BYTES,
		              why != NULL ? why : "is too long for a path (4095 bytes)");
	path = mem_alloc(strlen(absolute) + 2);
	why = tidy(absolute, path, &name.directory);
	if (why != NULL)
		return refuse(err, text, length, why);
	relative = behind(path, place->cwd);
	if (relative == NULL)
		relative = behind(path, place->real);
	name.relative = str_dup(relative);
	name.directory = name.directory || (relative != NULL && relative[0] == '\0');
	name.path = MEM_TAKE(path);
	*ret_name = name;
	return true;
}

void scope_name_done(struct scope_name *name)
{
	free(name->path);
	free(name->relative);
	*name = (struct scope_name){ 0 };
}

char *scope_last_component(const struct scope_name *name)
{
	mem_cleanup char *clean = str_path_clean(name->path);
	const char *last = strrchr(clean, '/') + 1;

	return str_dup(last[0] == '\0' ? "root" : last);
}
