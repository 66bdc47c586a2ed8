#include "config/spec.h"

#include "base/mem.h"
#include "base/str.h"

#include <stdlib.h>
#include <string.h>

/* npm's ceiling for a whole name, and ours for what follows the `@`. */
enum { NAME_MAX_BYTES = 214, SELECT_MAX_BYTES = 256 };

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_upper(char c)
{
	return c >= 'A' && c <= 'Z';
}

static bool is_letter(char c)
{
	return is_upper(c) || (c >= 'a' && c <= 'z');
}

/* What encodeURIComponent leaves alone: npm takes nothing else in names and tags. */
static bool is_url_safe(char c)
{
	return is_letter(c) || is_digit(c) || (c != '\0' && strchr("-_.!~*'()", c) != NULL);
}

static bool all_url_safe(const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (!is_url_safe(text[i]))
			return false;
	return true;
}

static bool part_is_valid(const char *part, size_t length)
{
	return length > 0 && strchr(".-_", part[0]) == NULL && all_url_safe(part, length);
}

bool spec_check_name(const char *name, struct npxc_error *err)
{
	const char *local = name;
	mem_cleanup char *shown = str_escape(name, strnlen(name, NAME_MAX_BYTES));

	if (strlen(name) > NAME_MAX_BYTES)
		return error_set(err, ERROR_CONFIG, "package name of more than %d bytes: %s...", NAME_MAX_BYTES, shown);
	if (name[0] == '@') {
		const char *slash = strchr(name, '/');

		if (slash == NULL)
			return error_set(err, ERROR_CONFIG, "\"%s\" is a scope without a package; write %s/NAME", shown,
			                 shown);
		if (!part_is_valid(name + 1, (size_t)(slash - name) - 1))
			return error_set(err, ERROR_CONFIG, "\"%s\" has no valid npm scope before the slash", shown);
		local = slash + 1;
	}
	if (!part_is_valid(local, strlen(local)) || strcmp(name, "node_modules") == 0 ||
	    strcmp(name, "favicon.ico") == 0)
		return error_set(err, ERROR_CONFIG, "\"%s\" is not a valid npm package name", shown);
	return true;
}

char *spec_package_key(const char *name)
{
	char *key = mem_alloc(strlen(name) * 2 + 1);
	size_t used = 0;

	for (const char *p = name; *p != '\0'; p++) {
		if (is_upper(*p)) {
			key[used++] = '=';
			key[used++] = (char)(*p - 'A' + 'a');
		} else {
			key[used++] = *p == '/' ? '+' : *p;
		}
	}
	return key;
}

static const char *skip_number(const char *p)
{
	const char *start = p;

	while (is_digit(*p))
		p++;
	return p == start || (start[0] == '0' && p - start > 1) ? NULL : p;
}

/* Dot-separated identifiers after `-` or `+`; numeric ones have no leading zero before a `+` (semver.org §9, §10). */
static const char *skip_identifiers(const char *p, bool zero_check)
{
	for (;;) {
		const char *start = p;
		bool numeric = true;

		while (is_letter(*p) || is_digit(*p) || *p == '-') {
			numeric = numeric && is_digit(*p);
			p++;
		}
		if (p == start || (zero_check && numeric && start[0] == '0' && p - start > 1))
			return NULL;
		if (*p != '.')
			return p;
		p++;
	}
}

static bool is_exact_version(const char *p)
{
	for (int part = 0; part < 3; part++) {
		if (part > 0 && *p++ != '.')
			return false;
		p = skip_number(p);
		if (p == NULL)
			return false;
	}
	if (*p == '-') {
		p = skip_identifiers(p + 1, true);
		if (p == NULL)
			return false;
	}
	if (*p == '+') {
		p = skip_identifiers(p + 1, false);
		if (p == NULL)
			return false;
	}
	return *p == '\0';
}

/* The shape of a range: npm itself decides whether it is one, so only what could not be one is kept out here. */
static bool has_range_shape(const char *text)
{
	bool looks = strchr("^~<>=*", text[0]) != NULL || is_digit(text[0]) || strpbrk(text, " |") != NULL ||
	             strcmp(text, "x") == 0 || strcmp(text, "X") == 0 ||
	             ((text[0] == 'v' || text[0] == 'x' || text[0] == 'X') && (is_digit(text[1]) || text[1] == '.'));

	return looks && text[0] != '-' &&
	       strspn(text, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.^~<>=|*+- ") ==
	           strlen(text);
}

static bool parse_select(const char *text, struct spec *spec, struct npxc_error *err)
{
	mem_cleanup char *copy = str_dup_n(text, strnlen(text, SELECT_MAX_BYTES + 1));
	const char *select = str_trim(copy);
	mem_cleanup char *shown = str_escape(select, strlen(select));

	if (strlen(copy) > SELECT_MAX_BYTES)
		return error_set(err, ERROR_CONFIG, "version of more than %d bytes", SELECT_MAX_BYTES);
	if (str_starts(select, "npm:"))
		return error_set(err, ERROR_CONFIG, "alias specs are not supported: write \"%s\" itself", shown + 4);
	if (strchr(select, '/') != NULL || strchr(select, ':') != NULL)
		return error_set(err, ERROR_CONFIG,
		                 "\"%s\" is not a version: git, URL and file specs after @ are not supported", shown);
	if (is_exact_version(select) || (select[0] == 'v' && is_exact_version(select + 1))) {
		spec->kind = SPEC_VERSION;
		select += select[0] == 'v';
	} else if (select[0] == '\0') {
		spec->kind = SPEC_RANGE;
		select = "*"; /* npm's own: `latest`, or an older release where that one does not support this Node */
	} else if (has_range_shape(select)) {
		spec->kind = SPEC_RANGE;
	} else if (select[0] != '-' && select[0] != '.' && all_url_safe(select, strlen(select))) {
		spec->kind = SPEC_TAG;
	} else {
		return error_set(err, ERROR_CONFIG, "\"%s\" is neither a version, a range nor a tag", shown);
	}
	spec->select = str_dup(select);
	return true;
}

static bool is_directory_shape(const char *text)
{
	return text[0] == '/' || str_starts(text, "./") || str_starts(text, "../") || str_starts(text, "~/") ||
	       str_starts(text, "file:") || strcmp(text, ".") == 0 || strcmp(text, "..") == 0;
}

static bool parse_directory(const char *text, struct spec *spec, struct npxc_error *err)
{
	const char *path = str_starts(text, "file:") ? text + 5 : text;

	if (str_starts(path, "//"))
		return error_set(err, ERROR_CONFIG,
		                 "file: URLs with a host part are not supported; write the directory itself");
	if (path[0] == '\0')
		return error_set(err, ERROR_CONFIG, "\"file:\" names no directory");
	spec->kind = SPEC_DIRECTORY;
	spec->path = str_dup(path);
	return true;
}

static bool parse_registry(const char *text, struct spec *spec, struct npxc_error *err)
{
	const char *at = strchr(text[0] == '@' ? text + 1 : text, '@');
	size_t length = at != NULL ? (size_t)(at - text) : strlen(text);
	const char *colon = memchr(text, ':', length);
	mem_cleanup char *shown = str_escape(text, strnlen(text, NAME_MAX_BYTES));

	if (colon != NULL)
		return error_set(
		    err, ERROR_CONFIG,
		    "\"%s\": git and URL specs are not supported; use a registry package or a local directory", shown);
	if (text[0] != '@' && memchr(text, '/', length) != NULL)
		return error_set(
		    err, ERROR_CONFIG,
		    "\"%s\" is a git repository to npm, which is not supported; for a directory write ./%s", shown,
		    shown);
	spec->name = str_dup_n(text, length);
	if (!spec_check_name(spec->name, err))
		return false;
	return parse_select(at != NULL ? at + 1 : "", spec, err);
}

bool spec_parse(const char *text, struct spec *ret_spec, struct npxc_error *err)
{
	struct spec spec = { .kind = SPEC_TAG };
	bool ok;

	if (text[0] == '\0')
		return error_set(err, ERROR_CONFIG, "an empty package spec; write the name of an npm package");
	if (text[0] == '-')
		return error_set(err, ERROR_CONFIG, "an option stands where the package was expected; see npxc --help");
	ok = is_directory_shape(text) ? parse_directory(text, &spec, err) : parse_registry(text, &spec, err);
	if (!ok) {
		spec_done(&spec);
		return false;
	}
	*ret_spec = spec;
	return true;
}

void spec_done(struct spec *spec)
{
	free(spec->name);
	free(spec->select);
	free(spec->path);
	*spec = (struct spec){ .kind = SPEC_TAG };
}
