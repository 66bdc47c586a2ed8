#include "shim/hole.h"

#include "base/mem.h"
#include "shim/shim.h"

#include <stdlib.h>
#include <string.h>

enum kind { HOLE_UUID, HOLE_NAME, HOLE_INT, HOLE_PATH, HOLE_ANY };

struct hole {
	enum kind kind;
	const char *label; /* borrowed from the pattern; NULL: none */
	size_t label_length;
	const char *after; /* the byte behind the closing brace */
};

static const struct {
	const char *word;
	enum kind kind;
} kinds[] = {
	{ "uuid", HOLE_UUID }, { "name", HOLE_NAME }, { "int", HOLE_INT }, { "path", HOLE_PATH }, { "any*", HOLE_ANY },
};

#define LOWER_HEX "0123456789abcdef"
#define ALPHANUMERIC "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

/* `text` stands at '{'. */
static bool read_hole(const char *text, struct hole *ret_hole, struct npxc_error *err)
{
	const char *end = strchr(text, '}');
	size_t length;

	if (end == NULL)
		return error_set(err, ERROR_CONFIG, "a hole that is not closed: %s", text);
	length = strcspn(text + 1, ":}");
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (strlen(kinds[i].word) != length || strncmp(kinds[i].word, text + 1, length) != 0)
			continue;
		*ret_hole = (struct hole){ .kind = kinds[i].kind, .after = end + 1 };
		if (text[1 + length] == ':') {
			ret_hole->label = text + length + 2;
			ret_hole->label_length = (size_t)(end - ret_hole->label);
			if (ret_hole->label_length == 0 ||
			    strspn(ret_hole->label, "abcdefghijklmnopqrstuvwxyz_") != ret_hole->label_length)
				return error_set(err, ERROR_CONFIG, "a hole's label is made of a-z and '_': %s", text);
		}
		return true;
	}
	return error_set(err, ERROR_CONFIG, "an unknown hole (known: {uuid} {name} {int} {path} {any*}): %s", text);
}

static bool check_element(const char *element, struct strv *labels, struct npxc_error *err)
{
	bool after_hole = false;

	for (const char *p = element; *p != '\0';) {
		mem_cleanup char *label = NULL;
		struct hole hole = { 0 };

		if ((p[0] == '{' && p[1] == '{') || (p[0] == '}' && p[1] == '}')) {
			after_hole = false;
			p += 2;
			continue;
		}
		if (*p == '}')
			return error_set(err, ERROR_CONFIG, "a lone '}' (write }}): %s", element);
		if (*p != '{') {
			after_hole = false;
			p++;
			continue;
		}
		if (!read_hole(p, &hole, err))
			return false;
		if (after_hole)
			return error_set(err, ERROR_CONFIG, "two holes without text between them: %s", element);
		if (hole.kind == HOLE_ANY && (p != element || *hole.after != '\0'))
			return error_set(err, ERROR_CONFIG, "{any*} stands for whole arguments: %s", element);
		if (hole.label != NULL) {
			label = str_dup_n(hole.label, hole.label_length);
			if (strv_contains(labels, label))
				return error_set(err, ERROR_CONFIG, "two holes are called %s", label);
			strv_push(labels, label);
		}
		after_hole = true;
		p = hole.after;
	}
	return true;
}

bool hole_check(const struct strv *pattern, struct strv *ret_labels, struct npxc_error *err)
{
	bool after_any = false;

	for (size_t i = 0; i < pattern->count; i++) {
		bool is_any = str_starts(pattern->v[i], "{any*");

		if (!check_element(pattern->v[i], ret_labels, err))
			return false;
		if (is_any && after_any)
			return error_set(err, ERROR_CONFIG, "two {any*} without an argument between them");
		after_any = is_any;
	}
	return true;
}

static bool is_uuid(const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		bool hyphen = length == 36 && (i == 8 || i == 13 || i == 18 || i == 23);

		if (hyphen ? text[i] != '-' : strchr(LOWER_HEX, text[i]) == NULL)
			return false;
	}
	return length == 32 || length == 36;
}

/* The most bytes at `text` that the hole could cover, 0 when none. Every shorter piece is as good, but for a UUID. */
static size_t longest(enum kind kind, const char *text)
{
	size_t length = 0;

	switch (kind) {
	case HOLE_UUID:
		length = strspn(text, LOWER_HEX "-");
		if (length > 36)
			length = 36;
		break;
	case HOLE_NAME:
		if (*text != '\0' && strchr(ALPHANUMERIC, *text) != NULL)
			length = strspn(text, ALPHANUMERIC "_.-");
		break;
	case HOLE_INT:
		length = strspn(text, "0123456789");
		break;
	case HOLE_PATH:
		if (*text == '/')
			length = strcspn(text, ":\n");
		break;
	case HOLE_ANY:
		break;
	}
	return length > SHIM_MAX_HOLE_BYTES ? 0 : length;
}

static bool match_text(const char *pattern, const char *text, struct bindings *bindings)
{
	struct npxc_error never = { 0 };
	struct hole hole = { 0 };

	while (*pattern != '\0' && (*pattern != '{' || pattern[1] == '{')) {
		if (*pattern != *text)
			return false;
		pattern += *pattern == '{' || *pattern == '}' ? 2 : 1;
		text++;
	}
	if (*pattern == '\0')
		return *text == '\0';
	if (!read_hole(pattern, &hole, &never))
		return false;
	for (size_t length = longest(hole.kind, text); length > 0; length--) {
		mem_cleanup char *label = NULL;
		mem_cleanup char *value = NULL;

		if (hole.kind == HOLE_UUID && !is_uuid(text, length))
			continue;
		if (!match_text(hole.after, text + length, bindings))
			continue;
		if (hole.label != NULL) {
			label = str_dup_n(hole.label, hole.label_length);
			value = str_dup_n(text, length);
			template_bind(bindings, label, value);
		}
		return true;
	}
	return false;
}

static void bind_arguments(const char *element, const char *const *argv, size_t count, struct bindings *bindings)
{
	struct npxc_error never = { 0 };
	mem_cleanup char *joined = str_dup("");
	mem_cleanup char *label = NULL;
	struct hole hole = { 0 };

	if (!read_hole(element, &hole, &never) || hole.label == NULL)
		return;
	label = str_dup_n(hole.label, hole.label_length);
	for (size_t i = 0; i < count; i++) {
		char *longer = str_printf(i == 0 ? "%s%s" : "%s %s", joined, argv[i]);

		free(joined);
		joined = longer;
	}
	template_bind(bindings, label, joined);
}

static void note_reach(struct hole_reach *reach, size_t element, size_t argument)
{
	if (element > reach->element || (element == reach->element && argument > reach->argument))
		*reach = (struct hole_reach){ .element = element, .argument = argument };
}

/*
 * The classic matcher with one star of memory: between two {any*} there is nothing that depends on an earlier choice,
 * so going back to the last star only is enough and the time is at most the product of both lengths.
 */
bool hole_match(const struct strv *pattern, const char *const *argv, size_t argc, struct bindings *bindings,
                struct hole_reach *ret_reach)
{
	struct hole_reach reach = { 0 };
	size_t p = 0;
	size_t a = 0;
	size_t star = SIZE_MAX;
	size_t star_from = 0;
	size_t star_to = 0;

	for (;;) {
		if (p < pattern->count && str_starts(pattern->v[p], "{any*")) {
			if (star != SIZE_MAX)
				bind_arguments(pattern->v[star], argv + star_from, star_to - star_from, bindings);
			star = p++;
			star_from = star_to = a;
			continue;
		}
		if (p == pattern->count && a == argc)
			break;
		if (p < pattern->count && a < argc && match_text(pattern->v[p], argv[a], bindings)) {
			p++;
			a++;
			continue;
		}
		note_reach(&reach, p, a);
		if (star == SIZE_MAX || star_to == argc) {
			*ret_reach = reach;
			return false;
		}
		p = star + 1;
		a = ++star_to;
	}
	if (star != SIZE_MAX)
		bind_arguments(pattern->v[star], argv + star_from, star_to - star_from, bindings);
	return true;
}
