#include "files/scope.h"

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

/* Whether all names are short enough for a file. NULL, or why not. */
static const char *check_names(const char *clean)
{
	for (const char *at = clean; *at != '\0';) {
		const size_t length = strcspn(at, "/");

		if (length > NAME_BYTES)
			return "holds a name that is too long for a file (255 bytes)";
		at += length + (at[length] == '/');
	}
	return strlen(clean) > PATH_BYTES ? "is too long for a path (4095 bytes)" : NULL;
}

/* What follows `directory` in a text that begins with it, or NULL. */
static const char *behind(const char *path, const char *directory)
{
	const size_t length = strlen(directory);

	if (length == 1)
		return path[0] == '/' ? path + 1 : NULL;
	if (strncmp(path, directory, length) != 0 || (path[length] != '/' && path[length] != '\0'))
		return NULL;
	return path[length] == '/' ? path + length + 1 : path + length;
}

const char *scope_behind(const struct scope_place *place, const char *path)
{
	for (size_t i = 0; i < SCOPE_SPELLINGS_MAX && place->spellings[i] != NULL; i++) {
		const char *rest = behind(path, place->spellings[i]);

		if (rest != NULL)
			return rest;
	}
	return NULL;
}

/* The path that the string means, absolute but not clean yet; owned. NULL: `*ret_why` says why it means none. */
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
		return str_printf("%s/%s", place->spellings[0], plain);
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
	struct scope_name name = { 0 };
	const char *why = NULL;
	/* A string of any length may come; what is longer than a path with everything encoded is none. */
	mem_cleanup char *absolute =
	    length > 4 * (size_t)PATH_BYTES ? NULL : absolute_of(place, text, length, is_uri, &why);
	mem_cleanup char *path = NULL;

	if (absolute == NULL)
		return refuse(err, text, length < SHOWN_BYTES ? length : SHOWN_BYTES,
		              why != NULL ? why : "is too long for a path (4095 bytes)");
	path = str_path_clean(absolute);
	why = check_names(path);
	if (why != NULL)
		return refuse(err, text, length, why);
	if (is_uri || text[0] != '/' || scope_behind(place, absolute) != NULL)
		name.relative = str_dup(scope_behind(place, path));
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
