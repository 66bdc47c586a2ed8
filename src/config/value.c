#include "config/value.h"

#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"
#include "config/hazard.h"
#include "config/policy.h"
#include "config/runtimes.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

static const uint64_t memory_min_bytes = 64 * (uint64_t)MIB; /* below it Node does not start */
enum { CPU_MILLIS_MIN = 10, CPU_MILLIS_MAX = 512000 };
enum { NAME_SHOWN_MAX = 80, IMAGE_MAX_BYTES = 255, PREFIX_MAX_BYTES = 64 };

char *value_shown(const char *text)
{
	return str_escape(text, strnlen(text, NAME_SHOWN_MAX));
}

bool value_check_memory(uint64_t bytes, struct npxc_error *err)
{
	if (bytes < memory_min_bytes)
		return error_set(err, ERROR_CONFIG, "less than 64m of memory, which Node does not start with");
	if (bytes > VALUE_MEMORY_MAX)
		return error_set(err, ERROR_CONFIG, "more than 16t of memory");
	return true;
}

bool value_parse_memory(const char *text, uint64_t *ret_bytes, struct npxc_error *err)
{
	static const char units[] = "kmgt";
	size_t digits = strspn(text, "0123456789");
	const char *unit = text + digits;
	const char *found = unit[0] == '\0' ? NULL : strchr(units, tolower((unsigned char)unit[0]));
	mem_cleanup char *number = str_dup_n(text, digits);
	unsigned shift = 0;
	uint64_t value;

	if (found != NULL) {
		shift = 10 * (unsigned)(found - units + 1);
		unit++;
		if (strcasecmp(unit, "ib") == 0)
			unit++;
	}
	if (strcasecmp(unit, "b") == 0)
		unit++;
	if (unit[0] != '\0' || !str_to_u64(number, UINT64_MAX, &value)) {
		mem_cleanup char *bad = value_shown(text);

		return error_set(err, ERROR_CONFIG, "\"%s\" is no amount of memory; write one such as 512m or 2g", bad);
	}
	if (value > VALUE_MEMORY_MAX >> shift)
		return error_set(err, ERROR_CONFIG, "more than 16t of memory");
	if (!value_check_memory(value << shift, err))
		return false;
	*ret_bytes = value << shift;
	return true;
}

bool value_check_cpus(unsigned millis, struct npxc_error *err)
{
	if (millis < CPU_MILLIS_MIN || millis > CPU_MILLIS_MAX)
		return error_set(err, ERROR_CONFIG, "the number of processors goes from 0.01 to 512");
	return true;
}

bool value_parse_cpus(const char *text, unsigned *ret_millis, struct npxc_error *err)
{
	size_t whole = strspn(text, "0123456789");
	const char *rest = text + whole;
	unsigned millis = 0;
	unsigned place = VALUE_CPU_MILLIS / 10;
	bool ok = whole > 0 && whole <= 3;

	for (size_t i = 0; ok && i < whole; i++)
		millis = millis * 10 + (unsigned)(text[i] - '0');
	millis *= VALUE_CPU_MILLIS;
	if (ok && rest[0] == '.') {
		size_t decimals = strspn(rest + 1, "0123456789");

		ok = decimals > 0 && decimals <= 3;
		for (size_t i = 0; ok && i < decimals; i++, place /= 10)
			millis += (unsigned)(rest[1 + i] - '0') * place;
		rest += 1 + decimals;
	}
	if (!ok || rest[0] != '\0') {
		mem_cleanup char *bad = value_shown(text);

		return error_set(err, ERROR_CONFIG,
		                 "\"%s\" is no number of processors; write one such as 2 or 0.5 (at most three "
		                 "decimals, up to 512)",
		                 bad);
	}
	if (!value_check_cpus(millis, err))
		return false;
	*ret_millis = millis;
	return true;
}

bool value_check_variable(const char *name, struct npxc_error *err)
{
	bool ok = isalpha((unsigned char)name[0]) || name[0] == '_';

	for (const char *p = name; ok && *p != '\0'; p++)
		ok = (isalnum((unsigned char)*p) || *p == '_') && (unsigned char)*p < 0x80;
	if (!ok) {
		mem_cleanup char *bad = value_shown(name);

		return error_set(err, ERROR_CONFIG,
		                 "\"%s\" is not a variable's name (letters, digits and _, no digit first)", bad);
	}
	if (strlen(name) > LIMIT_VARIABLE_BYTES)
		return error_set(err, ERROR_CONFIG, "a variable's name of more than %zu bytes", LIMIT_VARIABLE_BYTES);
	return true;
}

bool value_check_runtime(const char *word, struct npxc_error *err)
{
	static const char *const words[] = { "auto", RUNTIMES(RUNTIMES_WORD) };
	mem_cleanup char *bad = NULL;

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcmp(word, words[i]) == 0)
			return true;
	bad = value_shown(word);
	return error_set(err, ERROR_CONFIG, "unknown runtime \"%s\"; use " RUNTIMES_TEXT, bad);
}

/* What no mount may cover: the whole root, and the three trees whose contents the sandbox's safety rests on. */
static bool is_forbidden_place(const char *path)
{
	return strcmp(path, "/") == 0 || str_path_within(path, "/proc") || str_path_within(path, "/sys") ||
	       str_path_within(path, "/dev");
}

bool value_check_inside_path(const char *path, struct npxc_error *err)
{
	mem_cleanup char *clean = NULL;
	mem_cleanup char *bad = value_shown(path);

	if (path[0] != '/')
		return error_set(err, ERROR_CONFIG, "\"%s\" is not an absolute path (inside the sandbox)", bad);
	clean = str_path_clean(path);
	if (strcmp(clean, path) != 0)
		return error_set(err, ERROR_CONFIG, "\"%s\" holds //, . or .., or ends with a slash; write it plainly",
		                 bad);
	if (is_forbidden_place(path))
		return error_set(err, ERROR_CONFIG,
		                 "nothing may be mounted at \"%s\" (nor at /, or in /proc, /sys or "
		                 "/dev)",
		                 bad);
	return true;
}

bool value_check_home_path(const char *path, struct npxc_error *err)
{
	mem_cleanup char *whole = str_printf("/%s", path);
	mem_cleanup char *clean = str_path_clean(whole);
	mem_cleanup char *bad = value_shown(path);

	if (path[0] == '/' || path[0] == '~' || path[0] == '\0')
		return error_set(err, ERROR_CONFIG,
		                 "\"%s\" is not a directory of HOME; write it as .config/x, without ~/", bad);
	if (strcmp(clean, whole) != 0)
		return error_set(err, ERROR_CONFIG, "\"%s\" holds //, . or .., or ends with a slash; write it plainly",
		                 bad);
	if (strlen(path) > VALUE_HOME_BYTES)
		return error_set(err, ERROR_CONFIG, "\"%s\" is longer than %d bytes", bad, VALUE_HOME_BYTES);
	if (hazard_along(path, 0) != 0)
		return error_set(err, ERROR_CONFIG,
		                 "\"%s\" has a name that holds secrets or what this machine would execute; "
		                 "mount what the server needs of it",
		                 bad);
	return true;
}

/* A mount without a place of its own appears at its host path, so that must be a place where one may stand. */
bool value_check_same_path(const char *host, struct npxc_error *err)
{
	mem_cleanup char *clean = NULL;
	mem_cleanup char *bad = NULL;

	if (host[0] != '/')
		return true; /* known only once HOME or the working directory is; the plan looks again */
	clean = str_path_clean(host);
	if (!is_forbidden_place(clean))
		return true;
	bad = value_shown(clean);
	return error_set(err, ERROR_CONFIG, "\"%s\" cannot stand at the same path inside; name another place for it",
	                 bad);
}

#define RW_ALL "rw,all"

bool value_parse_mode(const char *text, bool *ret_writable, bool *ret_all)
{
	*ret_all = strcmp(text, RW_ALL) == 0;
	*ret_writable = *ret_all || strcmp(text, "rw") == 0;
	return *ret_writable || strcmp(text, "ro") == 0;
}

bool value_parse_mount(const char *text, struct config_mount *ret_mount, struct npxc_error *err)
{
	mem_cleanup char *host = str_dup(text);
	mem_cleanup char *bad = value_shown(text);
	char *colon = strrchr(host, ':');
	const char *guest = NULL;
	bool writable = false, all = false;

	if (colon != NULL && (strcasecmp(colon + 1, "rw") == 0 || strcasecmp(colon + 1, "ro") == 0 ||
	                      strcasecmp(colon + 1, RW_ALL) == 0)) {
		if (!value_parse_mode(colon + 1, &writable, &all))
			return error_set(err, ERROR_CONFIG, "\"%s\": write :ro, :rw or :rw,all in small letters", bad);
		*colon = '\0';
		colon = strrchr(host, ':');
	}
	if (colon != NULL && colon[1] == '\0')
		return error_set(err, ERROR_CONFIG, "\"%s\": nothing follows the colon; write HOST[:GUEST][:rw[,all]]",
		                 bad);
	if (colon != NULL && colon[1] == '/') {
		guest = colon + 1;
		*colon = '\0';
	}
	if (host[0] == '\0')
		return error_set(err, ERROR_CONFIG, "\"%s\" names nothing of the host; write HOST[:GUEST][:rw[,all]]",
		                 bad);
	if (guest != NULL ? !value_check_inside_path(guest, err) : !value_check_same_path(host, err))
		return false;
	*ret_mount = (struct config_mount){ .container = str_dup(guest), .writable = writable, .all = all };
	ret_mount->host = MEM_TAKE(host);
	return true;
}

/* A name for a CLI's argument list: it must not be taken for an option there. */
bool value_check_image(const char *text, struct npxc_error *err)
{
	mem_cleanup char *bad = value_shown(text);

	if (text[0] == '\0' || strlen(text) > IMAGE_MAX_BYTES || !isalnum((unsigned char)text[0]) ||
	    strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:/@-") != strlen(text))
		return error_set(err, ERROR_CONFIG, "\"%s\" is not an image; write one such as node:lts-slim", bad);
	return true;
}

/* A name for the search path, or an absolute path: nothing that depends on where npxc happens to be started. */
bool value_check_program(const char *text, struct npxc_error *err)
{
	mem_cleanup char *bad = value_shown(text);
	bool ok = text[0] != '\0' && text[0] != '-' && (text[0] == '/' || strchr(text, '/') == NULL) &&
	          !str_ends(text, "/") && strcmp(text, ".") != 0 && strcmp(text, "..") != 0;

	for (const char *p = text; ok && *p != '\0'; p++)
		ok = (unsigned char)*p >= ' ' && *p != 0x7f;
	if (!ok)
		return error_set(err, ERROR_CONFIG, "\"%s\" is not a program; write its name or its absolute path",
		                 bad);
	return true;
}

bool value_check_prefix(const char *text, struct npxc_error *err)
{
	size_t scheme =
	    strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+.-"); /* RFC 3986, 3.1 */
	mem_cleanup char *bad = value_shown(text);
	bool ok = isalpha((unsigned char)text[0]) && text[scheme] == ':' && strlen(text) <= PREFIX_MAX_BYTES;

	for (const char *p = text; ok && *p != '\0'; p++)
		ok = (unsigned char)*p > ' ' && *p != 0x7f;
	if (!ok)
		return error_set(err, ERROR_CONFIG, "\"%s\" does not begin a URI; write one such as file://", bad);
	return true;
}

bool value_check_host_path(const char *text, struct npxc_error *err)
{
	mem_cleanup char *bad = value_shown(text);

	if (text[0] != '/' && !(str_starts(text, "~/") && text[2] != '\0'))
		return error_set(err, ERROR_CONFIG, "\"%s\" is neither absolute nor under ~/", bad);
	return true;
}

bool value_check_project(const char *text, struct npxc_error *err)
{
	mem_cleanup char *bad = value_shown(text);
	mem_cleanup char *clean = text[0] == '/' ? str_path_clean(text) : NULL;

	if (clean == NULL || strcmp(clean, text) != 0)
		return error_set(err, ERROR_CONFIG,
		                 "\"%s\" is not an absolute path without \".\", \"..\" and a slash at its end", bad);
	return true;
}

/* A name, or with a slash in front a JSON pointer (RFC 6901). */
bool value_check_argument(const char *text, struct npxc_error *err)
{
	if (text[0] == '\0')
		return error_set(err, ERROR_CONFIG, "an empty name of an argument");
	if (text[0] != '/')
		return true;
	for (const char *tilde = strchr(text, '~'); tilde != NULL; tilde = strchr(tilde + 1, '~')) {
		if (tilde[1] != '0' && tilde[1] != '1') {
			mem_cleanup char *bad = value_shown(text);

			return error_set(
			    err, ERROR_CONFIG,
			    "\"%s\" is not a JSON pointer: write ~0 for a tilde and ~1 for a slash in a name", bad);
		}
	}
	return true;
}

bool value_check_network(const char *text, struct npxc_error *err)
{
	enum policy_kind ignored;

	return policy_parse_network(text, &ignored, err);
}

bool value_check_link(const char *text, struct npxc_error *err)
{
	enum policy_link ignored;

	return policy_parse_link(text, &ignored, err);
}
