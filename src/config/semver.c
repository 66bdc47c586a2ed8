#include "config/semver.h"

#include <string.h>

/* JavaScript's Number.MAX_SAFE_INTEGER: node-semver refuses a larger component. */
#define COMPONENT_MAX ((uint64_t)9007199254740991)

enum { VERSION_MAX_BYTES = 256, RANGE_MAX_BYTES = 4096 };

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_identifier_byte(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-';
}

static bool is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_wildcard(char c)
{
	return c == 'x' || c == 'X' || c == '*';
}

/* The strict numeric identifier: no leading zero. NULL when there is none. A component that is too large is read as
 * COMPONENT_MAX + 1 and refused where it would become part of a version. */
static const char *read_number(const char *p, uint64_t *ret_value)
{
	uint64_t value = 0;

	if (!is_digit(*p))
		return NULL;
	if (*p == '0') {
		*ret_value = 0;
		return p + 1;
	}
	for (; is_digit(*p); p++) {
		if (value <= COMPONENT_MAX)
			value = value * 10 + (uint64_t)(*p - '0');
		if (value > COMPONENT_MAX)
			value = COMPONENT_MAX + 1;
	}
	*ret_value = value;
	return p;
}

/* The longest run of dot-separated identifiers; `strict`: numeric ones without leading zeros. NULL when the first one
 * is missing. */
static const char *read_identifiers(const char *p, bool strict)
{
	const char *end = NULL;

	for (;;) {
		const char *start = p;
		bool numeric = true;

		// NOLINTNEXTLINE(clang-analyzer-core.CallAndMessage): the string's end stops it
		for (; is_identifier_byte(*p); p++)
			numeric = numeric && is_digit(*p);
		if (p == start || (strict && numeric && start[0] == '0' && p - start > 1))
			return end;
		end = p;
		if (*p != '.')
			return end;
		p++;
	}
}

/* "1.2.3", "1.2.3-rc.1" and build metadata, which is skipped; to the end of the text. */
static bool read_full(const char *p, struct semver *ret_version)
{
	struct semver version = { 0 };
	uint64_t *const parts[] = { &version.major, &version.minor, &version.patch };

	for (int i = 0; i < 3; i++) {
		if (i > 0 && *p++ != '.')
			return false;
		p = read_number(p, parts[i]);
		if (p == NULL || *parts[i] > COMPONENT_MAX)
			return false;
	}
	if (*p == '-') {
		version.prerelease = p + 1;
		p = read_identifiers(p + 1, true);
		if (p == NULL)
			return false;
		version.prerelease_length = (int)(p - version.prerelease);
	}
	if (*p == '+') {
		p = read_identifiers(p + 1, false);
		if (p == NULL)
			return false;
	}
	while (is_space(*p))
		p++;
	if (*p != '\0')
		return false;
	*ret_version = version;
	return true;
}

bool semver_parse(const char *text, struct semver *ret_version)
{
	if (strnlen(text, VERSION_MAX_BYTES + 1) > VERSION_MAX_BYTES)
		return false;
	while (is_space(*text))
		text++;
	return read_full(*text == 'v' ? text + 1 : text, ret_version);
}

/* ---- order ---- */

static int compare_numbers(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

static int compare_identifiers(const char *a, size_t a_length, const char *b, size_t b_length)
{
	bool a_numeric = true;
	bool b_numeric = true;
	size_t shorter = a_length < b_length ? a_length : b_length;
	int order;

	for (size_t i = 0; i < a_length; i++)
		a_numeric = a_numeric && is_digit(a[i]);
	for (size_t i = 0; i < b_length; i++)
		b_numeric = b_numeric && is_digit(b[i]);
	if (a_numeric != b_numeric)
		return a_numeric ? -1 : 1;
	if (a_numeric && a_length != b_length) /* without leading zeros the longer number is the larger one */
		return a_length < b_length ? -1 : 1;
	order = memcmp(a, b, shorter);
	return order != 0 ? order : compare_numbers(a_length, b_length);
}

static int compare_prereleases(const char *a, const char *a_end, const char *b, const char *b_end)
{
	for (;;) {
		const char *a_stop = a;
		const char *b_stop = b;
		int order;

		while (a_stop < a_end && *a_stop != '.')
			a_stop++;
		while (b_stop < b_end && *b_stop != '.')
			b_stop++;
		order = compare_identifiers(a, (size_t)(a_stop - a), b, (size_t)(b_stop - b));
		if (order != 0)
			return order;
		if (a_stop == a_end || b_stop == b_end)
			return (b_stop == b_end) - (a_stop == a_end);
		a = a_stop + 1;
		b = b_stop + 1;
	}
}

int semver_compare(const struct semver *a, const struct semver *b)
{
	int order = compare_numbers(a->major, b->major);

	if (order == 0)
		order = compare_numbers(a->minor, b->minor);
	if (order == 0)
		order = compare_numbers(a->patch, b->patch);
	if (order != 0)
		return order;
	if (a->prerelease_length == 0 || b->prerelease_length == 0)
		return (a->prerelease_length == 0) - (b->prerelease_length == 0);
	return compare_prereleases(a->prerelease, a->prerelease + a->prerelease_length, b->prerelease,
	                           b->prerelease + b->prerelease_length);
}

/* ---- ranges ---- */

/* One alternative (what stands between two ||), judged while it is read. */
struct alternative {
	const struct semver *version; /* NULL: only validity is asked */
	bool matches;                 /* all comparators so far hold */
	bool limited;                 /* some comparator is more than "any version" */
	bool prerelease_named;        /* a comparator names a prerelease of the same major.minor.patch */
};

enum operation { LESS, LESS_EQUAL, GREATER, GREATER_EQUAL, EQUAL };

/* "<1.3.0-0" excludes the prereleases of 1.3.0 as well. */
static const char lowest_prerelease[] = "0";

static bool compare_with(struct alternative *to, enum operation operation, const struct semver *limit)
{
	const struct semver *version = to->version;
	int order;
	bool holds;

	if (limit->major > COMPONENT_MAX || limit->minor > COMPONENT_MAX || limit->patch > COMPONENT_MAX)
		return false;
	to->limited = true;
	if (version == NULL)
		return true;
	order = semver_compare(version, limit);
	switch (operation) {
	case LESS:
		holds = order < 0;
		break;
	case LESS_EQUAL:
		holds = order <= 0;
		break;
	case GREATER:
		holds = order > 0;
		break;
	case GREATER_EQUAL:
		holds = order >= 0;
		break;
	case EQUAL:
	default:
		holds = order == 0;
		break;
	}
	to->matches = to->matches && holds;
	if (limit->prerelease_length > 0 && limit->major == version->major && limit->minor == version->minor &&
	    limit->patch == version->patch)
		to->prerelease_named = true;
	return true;
}

static bool below(struct alternative *to, uint64_t major, uint64_t minor, uint64_t patch)
{
	const struct semver limit = { major, minor, patch, lowest_prerelease, 1 };

	return compare_with(to, LESS, &limit);
}

static bool at_least(struct alternative *to, uint64_t major, uint64_t minor, uint64_t patch)
{
	const struct semver limit = { .major = major, .minor = minor, .patch = patch };

	/* ">=0.0.0" stands for any version in node-semver, prereleases of 0.0.0 included. */
	return (major == 0 && minor == 0 && patch == 0) || compare_with(to, GREATER_EQUAL, &limit);
}

static bool at_least_version(struct alternative *to, const struct semver *limit)
{
	return limit->prerelease_length == 0 ? at_least(to, limit->major, limit->minor, limit->patch)
	                                     : compare_with(to, GREATER_EQUAL, limit);
}

/* "1", "1.2", "1.x", "1.2.3-rc.1", with any number of `v` and `=` before it. A part that is missing is an x. */
struct partial {
	struct semver version;
	bool x[3]; /* major, minor, patch */
};

/* Returns the end of what was read, NULL when there is nothing of the kind. */
static const char *read_partial(const char *p, struct partial *ret_partial)
{
	struct partial partial = { .x = { true, true, true } };
	uint64_t *const parts[] = { &partial.version.major, &partial.version.minor, &partial.version.patch };
	const char *end = NULL;

	p += strspn(p, "v=");
	for (int i = 0; i < 3; i++) {
		if (i > 0 && *p++ != '.')
			break;
		if (is_wildcard(*p)) {
			p++;
		} else {
			const char *next = read_number(p, parts[i]);

			if (next == NULL)
				return NULL;
			partial.x[i] = false;
			p = next;
		}
		end = p;
		if (i == 2 && *p == '-') {
			const char *next = read_identifiers(p + 1, true);

			if (next == NULL)
				return NULL;
			partial.version.prerelease = p + 1;
			partial.version.prerelease_length = (int)(next - p - 1);
			end = next;
		}
	}
	*ret_partial = partial;
	return end;
}

static bool apply_tilde(struct alternative *to, const struct partial *partial)
{
	const struct semver *v = &partial->version;

	if (partial->x[0])
		return true;
	if (partial->x[1])
		return at_least(to, v->major, 0, 0) && below(to, v->major + 1, 0, 0);
	if (partial->x[2])
		return at_least(to, v->major, v->minor, 0) && below(to, v->major, v->minor + 1, 0);
	return at_least_version(to, v) && below(to, v->major, v->minor + 1, 0);
}

static bool apply_caret(struct alternative *to, const struct partial *partial)
{
	const struct semver *v = &partial->version;

	if (partial->x[0])
		return true;
	if (partial->x[1])
		return at_least(to, v->major, 0, 0) && below(to, v->major + 1, 0, 0);
	if (partial->x[2] ? !at_least(to, v->major, v->minor, 0) : !at_least_version(to, v))
		return false;
	if (v->major > 0)
		return below(to, v->major + 1, 0, 0);
	if (v->minor > 0 || partial->x[2])
		return below(to, 0, v->minor + 1, 0);
	return below(to, 0, 0, v->patch + 1);
}

/* A comparator whose version has an x somewhere: "1.2", ">1.x", "<=2". */
static bool apply_wildcard(struct alternative *to, bool plain, enum operation operation, const struct partial *partial)
{
	const struct semver *v = &partial->version;
	bool minor_x = partial->x[1];
	uint64_t minor = minor_x ? 0 : v->minor;

	if (partial->x[0]) {
		if (operation == LESS || operation == GREATER) {
			to->limited = true;
			to->matches = false;
		}
		return true;
	}
	if (plain || operation == EQUAL)
		return at_least(to, v->major, minor, 0) &&
		       (minor_x ? below(to, v->major + 1, 0, 0) : below(to, v->major, v->minor + 1, 0));
	if (operation == GREATER)
		return minor_x ? at_least(to, v->major + 1, 0, 0) : at_least(to, v->major, v->minor + 1, 0);
	if (operation == GREATER_EQUAL)
		return at_least(to, v->major, minor, 0);
	if (operation == LESS_EQUAL)
		return minor_x ? below(to, v->major + 1, 0, 0) : below(to, v->major, v->minor + 1, 0);
	return below(to, v->major, minor, 0);
}

static const char *read_operation(const char *p, bool *ret_plain, enum operation *ret_operation)
{
	bool equals;
	char sign = *p;

	if (sign == '<' || sign == '>')
		p++;
	equals = *p == '=';
	p += equals;
	*ret_plain = false;
	if (sign == '<')
		*ret_operation = equals ? LESS_EQUAL : LESS;
	else if (sign == '>')
		*ret_operation = equals ? GREATER_EQUAL : GREATER;
	else {
		*ret_operation = EQUAL;
		*ret_plain = !equals;
	}
	return p;
}

/* node-semver drops the first star with its operator from what is no x-range: "1.2.3*" is 1.2.3. */
static void drop_star(char *text)
{
	char *star = strchr(text, '*');
	char *start = star;

	if (star == NULL)
		return;
	if (start > text && start[-1] == '=')
		start--;
	if (start > text && (start[-1] == '<' || start[-1] == '>'))
		start--;
	memmove(start, star + 1, strlen(star + 1) + 1);
}

static bool apply_comparator(struct alternative *to, char *text)
{
	struct partial partial;
	enum operation operation;
	bool plain;
	const char *rest;
	const char *end;
	struct semver version;

	if (text[0] == '^' || text[0] == '~') {
		rest = text + 1 + (text[0] == '~' && text[1] == '>');
		end = read_partial(rest, &partial);
		if (end == NULL || *end != '\0')
			return false;
		return text[0] == '^' ? apply_caret(to, &partial) : apply_tilde(to, &partial);
	}
	rest = read_operation(text, &plain, &operation);
	end = read_partial(rest, &partial);
	if (end != NULL && *end == '\0' && (partial.x[0] || partial.x[1] || partial.x[2])) {
		bool order_is_wrong = (partial.x[0] && !partial.x[1]) || (partial.x[1] && !partial.x[2]);

		if (!order_is_wrong)
			return apply_wildcard(to, plain, operation, &partial);
	}
	drop_star(text);
	if (text[0] == '\0' || strcmp(text, ">=0.0.0") == 0)
		return true;
	rest = read_operation(text, &plain, &operation);
	return read_full(*rest == 'v' ? rest + 1 : rest, &version) && compare_with(to, operation, &version);
}

/* An end of a hyphen range may have blanks among its `v` and `=`. ret_plain: at most one `v` stands there; with more a
 * complete version becomes ">==1.2.3", which is no comparator. */
static const char *read_hyphen_end(const char *p, struct partial *ret_partial, bool *ret_plain)
{
	size_t prefix = strspn(p, "v= ");

	*ret_plain = prefix == 0 || (prefix == 1 && p[0] == 'v');
	return read_partial(p + prefix, ret_partial);
}

/* "1.2 - 3.4.5", blanks around the dash. Returns whether the text has that form; ret_valid: both ends were taken. */
static bool apply_hyphen(struct alternative *to, const char *text, bool *ret_valid)
{
	struct partial from;
	struct partial upto;
	bool from_plain;
	bool upto_plain;
	bool ok = true;
	const char *dash = read_hyphen_end(text, &from, &from_plain);
	const char *end;

	if (dash == NULL || strncmp(dash, " - ", 3) != 0)
		return false;
	end = read_hyphen_end(dash + 3, &upto, &upto_plain);
	if (end == NULL || *end != '\0')
		return false;
	if (from.x[0])
		ok = true;
	else if (from.x[1])
		ok = at_least(to, from.version.major, 0, 0);
	else if (from.x[2])
		ok = at_least(to, from.version.major, from.version.minor, 0);
	else
		ok = from_plain && (text[0] == 'v' ? compare_with(to, GREATER_EQUAL, &from.version)
		                                   : at_least_version(to, &from.version));
	if (!ok || upto.x[0])
		;
	else if (upto.x[1])
		ok = below(to, upto.version.major + 1, 0, 0);
	else if (upto.x[2])
		ok = below(to, upto.version.major, upto.version.minor + 1, 0);
	else
		ok = (upto_plain || upto.version.prerelease_length > 0) && compare_with(to, LESS_EQUAL, &upto.version);
	*ret_valid = ok;
	return true;
}

/* Copies one alternative with blanks reduced, build metadata dropped and no blank between an operator and what it
 * belongs to. `out` holds as many bytes as `text`. */
static void normalise(const char *text, size_t length, char *out)
{
	char squeezed[RANGE_MAX_BYTES + 1];
	size_t used = 0;
	size_t token = 0; /* where the last word of `out` starts */

	for (size_t i = 0; i < length; i++) {
		if (!is_space(text[i]))
			squeezed[used++] = text[i];
		else if (used > 0 && squeezed[used - 1] != ' ')
			squeezed[used++] = ' ';
	}
	if (used > 0 && squeezed[used - 1] == ' ')
		used--;
	squeezed[used] = '\0';
	used = 0;
	for (const char *p = squeezed; *p != '\0';) {
		const char *end = *p == '+' ? read_identifiers(p + 1, false) : NULL;

		if (end != NULL) {
			p = end;
			continue;
		}
		if (*p == ' ') {
			const char *word = out + token;
			size_t word_length = used - token;
			const char *next = p + 1 + strspn(p + 1, "v=");
			char last = word_length > 0 ? word[word_length - 1] : '\0';
			char before = p - squeezed > 1 ? p[-2] : '\0';
			bool tilde = last == '~' || (last == '>' && word_length > 1 && word[word_length - 2] == '~');
			/* A second `=` belongs to the version, whose blanks stay (and make it invalid). */
			bool second_equals =
			    last == '=' &&
			    (before == '=' || (before == ' ' && p - squeezed > 2 && strchr("<>=", p[-3]) != NULL));
			bool sign = (last == '<' || last == '>' || last == '=') && !second_equals;
			bool joins = tilde || last == '^' || (sign && (is_digit(*next) || is_wildcard(*next)));

			p++;
			if (!joins) {
				out[used++] = ' ';
				token = used;
			}
			continue;
		}
		out[used++] = *p++;
	}
	out[used] = '\0';
}

static bool read_alternative(const char *text, size_t length, struct alternative *to)
{
	char normal[RANGE_MAX_BYTES + 1];
	char *rest = normal;
	bool valid;

	normalise(text, length, normal);
	if (apply_hyphen(to, normal, &valid))
		return valid;
	for (char *word = strsep(&rest, " "); word != NULL; word = strsep(&rest, " "))
		if (!apply_comparator(to, word))
			return false;
	return true;
}

static bool read_range(const char *range, const struct semver *version, bool *ret_satisfied)
{
	bool any_version = false;
	bool satisfied = false;

	if (strnlen(range, RANGE_MAX_BYTES + 1) > RANGE_MAX_BYTES)
		return false;
	for (const char *p = range;;) {
		const char *bar = strstr(p, "||");
		struct alternative alternative = { .version = version, .matches = true };

		if (!read_alternative(p, bar != NULL ? (size_t)(bar - p) : strlen(p), &alternative))
			return false;
		any_version = any_version || !alternative.limited;
		if (alternative.matches && version != NULL &&
		    (version->prerelease_length == 0 || alternative.prerelease_named))
			satisfied = true;
		if (bar == NULL)
			break;
		p = bar + 2;
	}
	/* "* || 1.0.0-rc.1" is just "*" to node-semver: the prerelease that it names does not count. */
	if (any_version && version != NULL)
		satisfied = version->prerelease_length == 0;
	*ret_satisfied = satisfied;
	return true;
}

bool semver_satisfies(const char *version, const char *range)
{
	struct semver parsed;
	bool satisfied;

	return semver_parse(version, &parsed) && read_range(range, &parsed, &satisfied) && satisfied;
}

bool semver_range_valid(const char *range)
{
	bool ignored;

	return read_range(range, NULL, &ignored);
}
