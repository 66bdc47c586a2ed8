#include "config/config.h"

#include "base/file.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "config/policy.h"
#include "config/rules.h"
#include "config/runtimes.h"
#include "config/spec.h"
#include "json/jsonc.h"

#include <cjson/cJSON.h>
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const uint64_t memory_min_bytes = 64 * (uint64_t)MIB; /* below it Node does not start */
static const uint64_t memory_max_bytes = 16 * (uint64_t)MIB * MIB;
enum { CPU_MILLIS_MIN = 10, CPU_MILLIS_MAX = 512000, CPU_MILLIS_ONE = 1000 };
enum { NODE_MAJOR_MIN = 10, NODE_MAJOR_MAX = 99 };
enum { NAME_SHOWN_MAX = 80, IMAGE_MAX_BYTES = 255, PREFIX_MAX_BYTES = 64 };

/* Single values: what flags and files share */

static char *shown(const char *text)
{
	return str_escape(text, strnlen(text, NAME_SHOWN_MAX));
}

static bool check_memory(uint64_t bytes, struct npxc_error *err)
{
	if (bytes < memory_min_bytes)
		return error_set(err, ERROR_CONFIG, "less than 64m of memory, which Node does not start with");
	if (bytes > memory_max_bytes)
		return error_set(err, ERROR_CONFIG, "more than 16t of memory");
	return true;
}

bool config_parse_memory(const char *text, uint64_t *ret_bytes, struct npxc_error *err)
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
		mem_cleanup char *bad = shown(text);

		return error_set(err, ERROR_CONFIG, "\"%s\" is no amount of memory; write one such as 512m or 2g", bad);
	}
	if (value > memory_max_bytes >> shift)
		return error_set(err, ERROR_CONFIG, "more than 16t of memory");
	if (!check_memory(value << shift, err))
		return false;
	*ret_bytes = value << shift;
	return true;
}

static bool check_cpus(unsigned millis, struct npxc_error *err)
{
	if (millis < CPU_MILLIS_MIN || millis > CPU_MILLIS_MAX)
		return error_set(err, ERROR_CONFIG, "the number of processors goes from 0.01 to 512");
	return true;
}

bool config_parse_cpus(const char *text, unsigned *ret_millis, struct npxc_error *err)
{
	size_t whole = strspn(text, "0123456789");
	const char *rest = text + whole;
	unsigned millis = 0;
	unsigned place = CPU_MILLIS_ONE / 10;
	bool ok = whole > 0 && whole <= 3;

	for (size_t i = 0; ok && i < whole; i++)
		millis = millis * 10 + (unsigned)(text[i] - '0');
	millis *= CPU_MILLIS_ONE;
	if (ok && rest[0] == '.') {
		size_t decimals = strspn(rest + 1, "0123456789");

		ok = decimals > 0 && decimals <= 3;
		for (size_t i = 0; ok && i < decimals; i++, place /= 10)
			millis += (unsigned)(rest[1 + i] - '0') * place;
		rest += 1 + decimals;
	}
	if (!ok || rest[0] != '\0') {
		mem_cleanup char *bad = shown(text);

		return error_set(err, ERROR_CONFIG,
		                 "\"%s\" is no number of processors; write one such as 2 or 0.5 (at most three "
		                 "decimals, up to 512)",
		                 bad);
	}
	if (!check_cpus(millis, err))
		return false;
	*ret_millis = millis;
	return true;
}

bool config_check_variable(const char *name, struct npxc_error *err)
{
	bool ok = isalpha((unsigned char)name[0]) || name[0] == '_';

	for (const char *p = name; ok && *p != '\0'; p++)
		ok = (isalnum((unsigned char)*p) || *p == '_') && (unsigned char)*p < 0x80;
	if (!ok) {
		mem_cleanup char *bad = shown(name);

		return error_set(err, ERROR_CONFIG,
		                 "\"%s\" is not a variable's name (letters, digits and _, no digit first)", bad);
	}
	if (strlen(name) > LIMIT_VARIABLE_BYTES)
		return error_set(err, ERROR_CONFIG, "a variable's name of more than %zu bytes", LIMIT_VARIABLE_BYTES);
	return true;
}

bool config_check_runtime(const char *word, struct npxc_error *err)
{
	static const char *const words[] = { "auto", RUNTIMES(RUNTIMES_WORD) };
	mem_cleanup char *bad = NULL;

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcmp(word, words[i]) == 0)
			return true;
	bad = shown(word);
	return error_set(err, ERROR_CONFIG, "unknown runtime \"%s\"; use " RUNTIMES_TEXT, bad);
}

/* What no mount may cover: the whole root, and the three trees whose contents the sandbox's safety rests on. */
static bool is_forbidden_place(const char *path)
{
	return strcmp(path, "/") == 0 || str_path_within(path, "/proc") || str_path_within(path, "/sys") ||
	       str_path_within(path, "/dev");
}

bool config_check_inside_path(const char *path, struct npxc_error *err)
{
	mem_cleanup char *clean = NULL;
	mem_cleanup char *bad = shown(path);

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

/* A mount without a place of its own appears at its host path, so that must be a place where one may stand. */
static bool check_same_path(const char *host, struct npxc_error *err)
{
	mem_cleanup char *clean = NULL;
	mem_cleanup char *bad = NULL;

	if (host[0] != '/')
		return true; /* known only once HOME or the working directory is; the plan looks again */
	clean = str_path_clean(host);
	if (!is_forbidden_place(clean))
		return true;
	bad = shown(clean);
	return error_set(err, ERROR_CONFIG, "\"%s\" cannot stand at the same path inside; name another place for it",
	                 bad);
}

#define RW_ALL "rw,all"

static bool parse_mode(const char *text, bool *ret_writable, bool *ret_all)
{
	*ret_all = strcmp(text, RW_ALL) == 0;
	*ret_writable = *ret_all || strcmp(text, "rw") == 0;
	return *ret_writable || strcmp(text, "ro") == 0;
}

bool config_parse_mount(const char *text, struct config_mount *ret_mount, struct npxc_error *err)
{
	mem_cleanup char *host = str_dup(text);
	mem_cleanup char *bad = shown(text);
	char *colon = strrchr(host, ':');
	const char *guest = NULL;
	bool writable = false, all = false;

	if (colon != NULL && (strcasecmp(colon + 1, "rw") == 0 || strcasecmp(colon + 1, "ro") == 0 ||
	                      strcasecmp(colon + 1, RW_ALL) == 0)) {
		if (!parse_mode(colon + 1, &writable, &all))
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
	if (guest != NULL ? !config_check_inside_path(guest, err) : !check_same_path(host, err))
		return false;
	*ret_mount = (struct config_mount){ .container = str_dup(guest), .writable = writable, .all = all };
	ret_mount->host = MEM_TAKE(host);
	return true;
}

/* Reading values out of a document */

typedef bool reader(const struct jsonc *document, const cJSON *value, void *into, struct npxc_error *err);

struct key {
	const char *name;
	reader *read;
	size_t offset; /* of `into` in the struct that the object's own reader was given */
};

#define KEYS(array) (array), sizeof(array) / sizeof((array)[0])

/* Gives an error that has no place yet the value's file, line and key. */
static bool locate(const struct jsonc *document, const cJSON *value, struct npxc_error *err)
{
	return jsonc_error(document, value, err, "%s", err->message);
}

static const char *kind_of(const cJSON *value)
{
	if (cJSON_IsString(value))
		return "a string";
	if (cJSON_IsNumber(value))
		return "a number";
	if (cJSON_IsBool(value))
		return cJSON_IsTrue(value) ? "true" : "false";
	if (cJSON_IsArray(value))
		return "a list";
	return cJSON_IsObject(value) ? "an object" : "null";
}

static bool refuse_kind(const struct jsonc *document, const cJSON *value, const char *wanted, struct npxc_error *err)
{
	return jsonc_error(document, value, err, "wants %s, not %s", wanted, kind_of(value));
}

static void lower(char *text)
{
	for (char *p = text; *p != '\0'; p++)
		*p = (char)tolower((unsigned char)*p);
}

/* The known key that `name` probably was meant to be, or NULL. Case and one or two slips are forgiven. */
static const char *near_miss(const char *name, const struct key *keys, size_t count)
{
	mem_cleanup char *small = str_dup(name);
	const char *best = NULL;
	unsigned best_distance = 3;

	lower(small);
	for (size_t i = 0; i < count; i++) {
		unsigned most = strlen(keys[i].name) <= 4 ? 1 : 2;
		unsigned distance = str_distance(small, keys[i].name, most);

		if (distance <= most && distance < best_distance) {
			best_distance = distance;
			best = keys[i].name;
		}
	}
	return best;
}

static bool refuse_key(const struct jsonc *document, const cJSON *member, const struct key *keys, size_t count,
                       struct npxc_error *err)
{
	const char *meant = near_miss(member->string, keys, count);
	mem_cleanup char *name = jsonc_show(member->string);
	mem_cleanup char *known = NULL;

	if (meant != NULL)
		return jsonc_error(document, member, err, "unknown key `%s`; did you mean `%s`?", name, meant);
	for (size_t i = 0; i < count; i++) {
		mem_cleanup char *before = MEM_TAKE(known);

		known = str_printf("%s%s%s", before != NULL ? before : "", i > 0 ? ", " : "", keys[i].name);
	}
	return jsonc_error(document, member, err, "unknown key `%s`; known here: %s", name, known);
}

static bool read_object(const struct jsonc *document, const cJSON *value, const struct key *keys, size_t count,
                        void *into, struct npxc_error *err)
{
	const cJSON *member;

	if (!cJSON_IsObject(value))
		return refuse_kind(document, value, "an object", err);
	cJSON_ArrayForEach(member, value)
	{
		size_t i = 0;

		while (i < count && strcmp(keys[i].name, member->string) != 0)
			i++;
		if (i == count)
			return refuse_key(document, member, keys, count, err);
		if (!keys[i].read(document, member, (char *)into + keys[i].offset, err))
			return false;
	}
	return true;
}

static bool check_count(const struct jsonc *document, const cJSON *value, struct npxc_error *err)
{
	if (cJSON_GetArraySize(value) > LIMIT_CONFIG_ENTRIES)
		return jsonc_error(document, value, err, "more than %d entries", LIMIT_CONFIG_ENTRIES);
	return true;
}

static void set_text(char **into, const char *text)
{
	free(*into);
	*into = str_dup(text);
}

typedef bool checker(const char *text, struct npxc_error *err);

static bool read_checked(const struct jsonc *document, const cJSON *value, checker *check, char **into,
                         struct npxc_error *err)
{
	if (!cJSON_IsString(value))
		return refuse_kind(document, value, "a string", err);
	if (!check(value->valuestring, err))
		return locate(document, value, err);
	set_text(into, value->valuestring);
	return true;
}

/* A list of strings, none of them twice. */
static bool read_list(const struct jsonc *document, const cJSON *value, checker *check, struct strv *into,
                      struct npxc_error *err)
{
	const cJSON *item;

	if (!cJSON_IsArray(value))
		return refuse_kind(document, value, "a list of strings", err);
	if (!check_count(document, value, err))
		return false;
	cJSON_ArrayForEach(item, value)
	{
		if (!cJSON_IsString(item))
			return refuse_kind(document, item, "a string", err);
		if (!check(item->valuestring, err))
			return locate(document, item, err);
		if (strv_contains(into, item->valuestring))
			return jsonc_error(document, item, err, "stands in this list twice");
		strv_push(into, item->valuestring);
	}
	return true;
}

static bool read_schema(const struct jsonc *document, const cJSON *value, void *into, struct npxc_error *err)
{
	(void)into;
	return cJSON_IsString(value) || refuse_kind(document, value, "a string", err);
}

static bool read_bool(const struct jsonc *document, const cJSON *value, void *into, struct npxc_error *err)
{
	if (!cJSON_IsBool(value))
		return refuse_kind(document, value, "true or false", err);
	*(bool *)into = cJSON_IsTrue(value);
	return true;
}

static bool read_runtime_word(const struct jsonc *document, const cJSON *value, void *into, struct npxc_error *err)
{
	return read_checked(document, value, config_check_runtime, into, err);
}

static bool check_network(const char *text, struct npxc_error *err)
{
	enum policy_kind ignored;

	return policy_parse_network(text, &ignored, err);
}

static bool read_network_word(const struct jsonc *document, const cJSON *value, void *into, struct npxc_error *err)
{
	return read_checked(document, value, check_network, into, err);
}

static bool check_link(const char *text, struct npxc_error *err)
{
	enum policy_link ignored;

	return policy_parse_link(text, &ignored, err);
}

static bool read_link(const struct jsonc *document, const cJSON *value, void *into, struct npxc_error *err)
{
	return read_checked(document, value, check_link, into, err);
}

static bool read_rules(const struct jsonc *document, const cJSON *value, void *into, struct npxc_error *err)
{
	return read_list(document, value, rules_check, into, err);
}

static bool read_memory(const struct jsonc *document, const cJSON *value, void *into, struct npxc_error *err)
{
	uint64_t *bytes = into;
	double number = value->valuedouble;

	if (cJSON_IsString(value))
		return config_parse_memory(value->valuestring, bytes, err) || locate(document, value, err);
	if (!cJSON_IsNumber(value))
		return refuse_kind(document, value, "a string such as \"512m\" or a number of bytes", err);
	if (!(number >= 0 && number <= (double)memory_max_bytes) || (double)(uint64_t)number != number)
		return jsonc_error(document, value, err, "a number of bytes is whole and at most 16t");
	if (!check_memory((uint64_t)number, err))
		return locate(document, value, err);
	*bytes = (uint64_t)number;
	return true;
}

static bool read_cpus(const struct jsonc *document, const cJSON *value, void *into, struct npxc_error *err)
{
	double number = value->valuedouble;
	unsigned millis;

	if (cJSON_IsString(value))
		return config_parse_cpus(value->valuestring, into, err) || locate(document, value, err);
	if (!cJSON_IsNumber(value))
		return refuse_kind(document, value, "a number such as 2 or 0.5", err);
	/* As double first: what does not fit an unsigned must not be converted, and 0.0099 must not be rounded in. */
	millis = number >= 0.01 && number <= 512.0 ? (unsigned)(number * CPU_MILLIS_ONE + 0.5) : 0;
	if (!check_cpus(millis, err))
		return locate(document, value, err);
	*(unsigned *)into = millis;
	return true;
}

static bool read_node(const struct jsonc *document, const cJSON *value, void *into, struct npxc_error *err)
{
	uint64_t major = 0;

	if (!cJSON_IsNumber(value) && !cJSON_IsString(value))
		return refuse_kind(document, value, "a major version such as 22", err);
	if (cJSON_IsNumber(value) && value->valuedouble >= NODE_MAJOR_MIN && value->valuedouble <= NODE_MAJOR_MAX &&
	    (double)(uint64_t)value->valuedouble == value->valuedouble)
		major = (uint64_t)value->valuedouble;
	if ((cJSON_IsString(value) && !str_to_u64(value->valuestring, NODE_MAJOR_MAX, &major)) ||
	    major < NODE_MAJOR_MIN)
		return jsonc_error(document, value, err, "wants a major version of Node from %d to %d", NODE_MAJOR_MIN,
		                   NODE_MAJOR_MAX);
	*(unsigned *)into = (unsigned)major;
	return true;
}

/* A name for a CLI's argument list: it must not be taken for an option there. */
static bool check_image(const char *text, struct npxc_error *err)
{
	mem_cleanup char *bad = shown(text);

	if (text[0] == '\0' || strlen(text) > IMAGE_MAX_BYTES || !isalnum((unsigned char)text[0]) ||
	    strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:/@-") != strlen(text))
		return error_set(err, ERROR_CONFIG, "\"%s\" is not an image; write one such as node:lts-slim", bad);
	return true;
}

static bool read_image(const struct jsonc *document, const cJSON *value, void *into, struct npxc_error *err)
{
	return read_checked(document, value, check_image, into, err);
}

/* A name for the search path, or an absolute path: nothing that depends on where npxc happens to be started. */
static bool check_program(const char *text, struct npxc_error *err)
{
	mem_cleanup char *bad = shown(text);
	bool ok = text[0] != '\0' && text[0] != '-' && (text[0] == '/' || strchr(text, '/') == NULL) &&
	          !str_ends(text, "/") && strcmp(text, ".") != 0 && strcmp(text, "..") != 0;

	for (const char *p = text; ok && *p != '\0'; p++)
		ok = (unsigned char)*p >= ' ' && *p != 0x7f;
	if (!ok)
		return error_set(err, ERROR_CONFIG, "\"%s\" is not a program; write its name or its absolute path",
		                 bad);
	return true;
}

static bool read_program(const struct jsonc *document, const cJSON *value, void *into, struct npxc_error *err)
{
	return read_checked(document, value, check_program, into, err);
}

static bool read_mode(const struct jsonc *document, const cJSON *value, void *into, struct npxc_error *err)
{
	bool rw = cJSON_IsString(value) && strcmp(value->valuestring, "rw") == 0;

	if (!rw && !(cJSON_IsString(value) && strcmp(value->valuestring, "ro") == 0))
		return jsonc_error(document, value, err, "wants \"ro\" or \"rw\"");
	*(bool *)into = rw;
	return true;
}

static bool read_log_level(const struct jsonc *document, const cJSON *value, void *into, struct npxc_error *err)
{
	return read_checked(document, value, log_check, into, err);
}

static bool read_strategies(const struct jsonc *document, const cJSON *value, void *into, struct npxc_error *err)
{
	static const char *const words[CONFIG_STRATEGIES_MAX] = { "config", "schema", "heuristic" };
	struct config *config = into;
	const cJSON *item;

	if (!cJSON_IsArray(value))
		return refuse_kind(document, value, "a list", err);
	config->strategy_count = 0;
	cJSON_ArrayForEach(item, value)
	{
		size_t word = 0;

		while (word < CONFIG_STRATEGIES_MAX &&
		       !(cJSON_IsString(item) && strcmp(item->valuestring, words[word]) == 0))
			word++;
		if (word == CONFIG_STRATEGIES_MAX)
			return jsonc_error(document, item, err, "wants \"config\", \"schema\" or \"heuristic\"");
		for (size_t i = 0; i < config->strategy_count; i++)
			if (config->strategies[i] == (enum config_strategy)word)
				return jsonc_error(document, item, err, "stands in this list twice");
		config->strategies[config->strategy_count++] = (enum config_strategy)word;
	}
	return true;
}

static bool check_prefix(const char *text, struct npxc_error *err)
{
	size_t scheme =
	    strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+.-"); /* RFC 3986, 3.1 */
	mem_cleanup char *bad = shown(text);
	bool ok = isalpha((unsigned char)text[0]) && text[scheme] == ':' && strlen(text) <= PREFIX_MAX_BYTES;

	for (const char *p = text; ok && *p != '\0'; p++)
		ok = (unsigned char)*p > ' ' && *p != 0x7f;
	if (!ok)
		return error_set(err, ERROR_CONFIG, "\"%s\" does not begin a URI; write one such as file://", bad);
	return true;
}

static bool read_prefixes(const struct jsonc *document, const cJSON *value, void *into, struct npxc_error *err)
{
	struct strv *prefixes = into;

	strv_done(prefixes); /* the default gives way */
	if (cJSON_IsArray(value))
		return read_list(document, value, check_prefix, prefixes, err);
	if (!cJSON_IsString(value))
		return refuse_kind(document, value, "a string or a list of strings", err);
	if (!check_prefix(value->valuestring, err))
		return locate(document, value, err);
	strv_push(prefixes, value->valuestring);
	return true;
}

static bool read_package_name(const struct jsonc *document, const cJSON *value, void *into, struct npxc_error *err)
{
	return read_checked(document, value, spec_check_name, into, err);
}

static bool read_package_dir(const struct jsonc *document, const cJSON *value, void *into, struct npxc_error *err)
{
	char **directory = into;
	mem_cleanup char *bad = NULL;

	if (!cJSON_IsString(value))
		return refuse_kind(document, value, "a string", err);
	bad = shown(value->valuestring);
	if (value->valuestring[0] != '/')
		return jsonc_error(document, value, err, "\"%s\" is not an absolute path", bad);
	free(*directory);
	*directory = str_path_clean(value->valuestring);
	return true;
}

static bool read_version(const struct jsonc *document, const cJSON *value, void *into, struct npxc_error *err)
{
	mem_cleanup char *text = NULL;
	struct spec spec;

	if (!cJSON_IsString(value))
		return refuse_kind(document, value, "a string", err);
	if (strspn(value->valuestring, " \t\r\n") == strlen(value->valuestring))
		return jsonc_error(document, value, err,
		                   "an empty version; write one such as \"1.2.3\" or leave it out");
	text = str_printf("name@%s", value->valuestring);
	if (!spec_parse(text, &spec, err))
		return locate(document, value, err);
	set_text(into, spec.select);
	spec_done(&spec);
	return true;
}

static bool read_env(const struct jsonc *document, const cJSON *value, void *into, struct npxc_error *err)
{
	struct config_package *package = into;
	const cJSON *member;

	if (!cJSON_IsObject(value))
		return refuse_kind(document, value, "an object of names and values", err);
	if (!check_count(document, value, err))
		return false;
	package->env = mem_alloc((size_t)cJSON_GetArraySize(value) * sizeof(*package->env));
	cJSON_ArrayForEach(member, value)
	{
		if (!config_check_variable(member->string, err))
			return locate(document, member, err);
		if (cJSON_IsNumber(member) || cJSON_IsBool(member))
			return jsonc_error(document, member, err, "wants a string, not %s; put it in double quotes",
			                   kind_of(member));
		if (!cJSON_IsString(member))
			return refuse_kind(document, member, "a string", err);
		if (strlen(member->string) + strlen(member->valuestring) > LIMIT_VARIABLE_BYTES)
			return jsonc_error(document, member, err, "a variable of more than %zu bytes",
			                   LIMIT_VARIABLE_BYTES);
		package->env[package->env_count].name = str_dup(member->string);
		package->env[package->env_count++].value = str_dup(member->valuestring);
	}
	return true;
}

static bool read_passthrough(const struct jsonc *document, const cJSON *value, void *into, struct npxc_error *err)
{
	return read_list(document, value, config_check_variable, into, err);
}

static bool read_inside_paths(const struct jsonc *document, const cJSON *value, void *into, struct npxc_error *err)
{
	return read_list(document, value, config_check_inside_path, into, err);
}

static bool check_host_path(const char *text, struct npxc_error *err)
{
	mem_cleanup char *bad = shown(text);

	if (text[0] != '/' && !(str_starts(text, "~/") && text[2] != '\0'))
		return error_set(err, ERROR_CONFIG, "\"%s\" is neither absolute nor under ~/", bad);
	return true;
}

static bool read_host_path(const struct jsonc *document, const cJSON *value, void *into, struct npxc_error *err)
{
	return read_checked(document, value, check_host_path, into, err);
}

static bool read_inside_path(const struct jsonc *document, const cJSON *value, void *into, struct npxc_error *err)
{
	return read_checked(document, value, config_check_inside_path, into, err);
}

/* Into the whole mount. */
static bool read_mount_mode(const struct jsonc *document, const cJSON *value, void *into, struct npxc_error *err)
{
	struct config_mount *mount = into;

	if (!cJSON_IsString(value) || !parse_mode(value->valuestring, &mount->writable, &mount->all))
		return jsonc_error(document, value, err, "wants \"ro\", \"rw\" or \"rw,all\"");
	return true;
}

static bool read_mount(const struct jsonc *document, const cJSON *value, void *into, struct npxc_error *err)
{
	static const struct key keys[] = {
		{ "host", read_host_path, offsetof(struct config_mount, host) },
		{ "container", read_inside_path, offsetof(struct config_mount, container) },
		{ "mode", read_mount_mode, 0 },
	};
	const struct config_mount *mount = into;

	if (!read_object(document, value, KEYS(keys), into, err))
		return false;
	if (mount->host == NULL)
		return jsonc_error(document, value, err, "a mount wants a `host`");
	if (mount->container == NULL && !check_same_path(mount->host, err))
		return locate(document, value, err);
	return true;
}

static bool read_mounts(const struct jsonc *document, const cJSON *value, void *into, struct npxc_error *err)
{
	struct config_package *package = into;
	const cJSON *item;

	if (!cJSON_IsArray(value))
		return refuse_kind(document, value, "a list of mounts", err);
	if (!check_count(document, value, err))
		return false;
	package->mounts = mem_alloc((size_t)cJSON_GetArraySize(value) * sizeof(*package->mounts));
	/* Counted before it is read: what a refused entry holds already is freed with the others. */
	cJSON_ArrayForEach(
	    item, value) if (!read_mount(document, item, &package->mounts[package->mount_count++], err)) return false;
	return true;
}

/* A name, or with a slash in front a JSON pointer (RFC 6901). */
static bool check_argument(const char *text, struct npxc_error *err)
{
	if (text[0] == '\0')
		return error_set(err, ERROR_CONFIG, "an empty name of an argument");
	if (text[0] != '/')
		return true;
	for (const char *tilde = strchr(text, '~'); tilde != NULL; tilde = strchr(tilde + 1, '~')) {
		if (tilde[1] != '0' && tilde[1] != '1') {
			mem_cleanup char *bad = shown(text);

			return error_set(
			    err, ERROR_CONFIG,
			    "\"%s\" is not a JSON pointer: write ~0 for a tilde and ~1 for a slash in a name", bad);
		}
	}
	return true;
}

static bool read_arguments(const struct jsonc *document, const cJSON *value, void *into, struct npxc_error *err)
{
	cJSON **arguments = into;
	const cJSON *member;

	if (!cJSON_IsObject(value))
		return refuse_kind(document, value, "an object of tools and lists of argument names", err);
	if (!check_count(document, value, err))
		return false;
	cJSON_ArrayForEach(member, value)
	{
		struct strv names = { 0 };
		bool ok;

		if (member->string[0] == '\0')
			return jsonc_error(document, member, err,
			                   "an empty name of a tool; \"*\" stands for all tools");
		ok = read_list(document, member, check_argument, &names, err);
		strv_done(&names);
		if (!ok)
			return false;
	}
	*arguments = cJSON_Duplicate(value, true);
	if (*arguments == NULL)
		return jsonc_error(document, value, err, "cannot be kept: out of memory");
	return true;
}

static bool read_project(const struct jsonc *document, const cJSON *value, void *into, struct npxc_error *err)
{
	struct config_package *package = into;
	bool writable = false, all = false;

	if (!cJSON_IsBool(value) && !cJSON_IsString(value))
		return refuse_kind(document, value, "false, \"ro\", \"rw\" or \"rw,all\"", err);
	if (cJSON_IsString(value) && !parse_mode(value->valuestring, &writable, &all))
		return jsonc_error(document, value, err, "wants false, \"ro\", \"rw\" or \"rw,all\"");
	package->project = cJSON_IsFalse(value) ? CONFIG_PROJECT_NONE
	                   : all                ? CONFIG_PROJECT_RW_ALL
	                   : writable           ? CONFIG_PROJECT_RW
	                                        : CONFIG_PROJECT_RO;
	package->project_set = true;
	return true;
}

/* The objects. Each reader of one is given the whole struct, so the offsets are those of the members. */

static bool read_defaults(const struct jsonc *document, const cJSON *value, void *into, struct npxc_error *err)
{
	static const struct key keys[] = {
		{ "runtime", read_runtime_word, offsetof(struct config, defaults.runtime) },
		{ "node", read_node, offsetof(struct config, defaults.node) },
		{ "node_image", read_image, offsetof(struct config, defaults.node_image) },
		{ "container_cli", read_program, offsetof(struct config, defaults.container_cli) },
		{ "network", read_network_word, offsetof(struct config, defaults.network) },
		{ "memory", read_memory, offsetof(struct config, defaults.memory_bytes) },
		{ "cpus", read_cpus, offsetof(struct config, defaults.cpu_millis) },
		{ "mount_mode", read_mode, offsetof(struct config, defaults.mount_writable) },
		{ "log_level", read_log_level, offsetof(struct config, defaults.log_level) },
	};

	return read_object(document, value, KEYS(keys), into, err);
}

static bool read_heuristic(const struct jsonc *document, const cJSON *value, void *into, struct npxc_error *err)
{
	static const struct key keys[] = {
		{ "absolute_prefix", read_bool, offsetof(struct config, heuristic.absolute_prefix) },
		{ "home_prefix", read_bool, offsetof(struct config, heuristic.home_prefix) },
		{ "uri_prefix", read_prefixes, offsetof(struct config, heuristic.uri_prefix) },
	};

	return read_object(document, value, KEYS(keys), into, err);
}

static bool read_outside(const struct jsonc *document, const cJSON *value, void *into, struct npxc_error *err)
{
	static const char *const words[] = { "pass", "refuse" };

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (str_equal(cJSON_GetStringValue(value), words[i])) {
			*(bool *)into = i == 1;
			return true;
		}
	}
	return jsonc_error(document, value, err, "wants \"pass\" or \"refuse\"");
}

static bool read_paths(const struct jsonc *document, const cJSON *value, void *into, struct npxc_error *err)
{
	static const struct key keys[] = {
		{ "strategies", read_strategies, 0 },
		{ "heuristic", read_heuristic, 0 },
		{ "outside", read_outside, offsetof(struct config, refuse_outside) },
	};

	return read_object(document, value, KEYS(keys), into, err);
}

/* The same in both files; `into` is the list of rules. */
static bool read_install(const struct jsonc *document, const cJSON *value, void *into, struct npxc_error *err)
{
	static const struct key keys[] = { { "allow", read_rules, 0 } };

	return read_object(document, value, KEYS(keys), into, err);
}

static bool read_config(const struct jsonc *document, struct config *config, struct npxc_error *err)
{
	static const struct key keys[] = {
		{ "$schema", read_schema, 0 },
		{ "defaults", read_defaults, 0 },
		{ "install", read_install, offsetof(struct config, install_allow) },
		{ "paths", read_paths, 0 },
	};

	return read_object(document, document->root, KEYS(keys), config, err);
}

static bool read_network(const struct jsonc *document, const cJSON *value, void *into, struct npxc_error *err)
{
	static const struct key keys[] = {
		{ "mode", read_network_word, offsetof(struct config_package, network_mode) },
		{ "allow", read_rules, offsetof(struct config_package, network_allow) },
		{ "link", read_link, offsetof(struct config_package, network_link) },
	};

	return read_object(document, value, KEYS(keys), into, err);
}

static bool read_storage(const struct jsonc *document, const cJSON *value, void *into, struct npxc_error *err)
{
	static const struct key keys[] = {
		{ "persist", read_bool, offsetof(struct config_package, storage_persist) },
		{ "writable", read_inside_paths, offsetof(struct config_package, storage_writable) },
	};

	return read_object(document, value, KEYS(keys), into, err);
}

static bool read_runtime(const struct jsonc *document, const cJSON *value, void *into, struct npxc_error *err)
{
	static const struct key keys[] = {
		{ "name", read_runtime_word, offsetof(struct config_package, runtime_name) },
		{ "memory", read_memory, offsetof(struct config_package, runtime_memory) },
		{ "cpus", read_cpus, offsetof(struct config_package, runtime_cpus) },
		{ "network", read_network_word, offsetof(struct config_package, runtime_network) },
	};

	return read_object(document, value, KEYS(keys), into, err);
}

/* `name`: the package that is asked for, NULL when nobody asks. */
static bool read_package(const struct jsonc *document, const char *name, struct config_package *package,
                         struct npxc_error *err)
{
	static const struct key keys[] = {
		{ "$schema", read_schema, 0 },
		{ "package", read_package_name, offsetof(struct config_package, package) },
		{ "package_dir", read_package_dir, offsetof(struct config_package, package_dir) },
		{ "version", read_version, offsetof(struct config_package, version) },
		{ "env", read_env, 0 },
		{ "env_passthrough", read_passthrough, offsetof(struct config_package, env_passthrough) },
		{ "network", read_network, 0 },
		{ "install", read_install, offsetof(struct config_package, install_allow) },
		{ "storage", read_storage, 0 },
		{ "mounts", read_mounts, 0 },
		{ "path_arguments", read_arguments, offsetof(struct config_package, path_arguments) },
		{ "non_path_arguments", read_arguments, offsetof(struct config_package, non_path_arguments) },
		{ "output_arguments", read_arguments, offsetof(struct config_package, output_arguments) },
		{ "outputs", read_bool, offsetof(struct config_package, outputs) },
		{ "stdout_guard", read_bool, offsetof(struct config_package, stdout_guard) },
		{ "project", read_project, 0 },
		{ "runtime", read_runtime, 0 },
	};
	const cJSON *root = document->root;

	if (!read_object(document, root, KEYS(keys), package, err))
		return false;
	if (package->package_dir != NULL && package->package != NULL)
		return jsonc_error(document, cJSON_GetObjectItemCaseSensitive(root, "package_dir"), err,
		                   "says that the file is a directory's, `package` that it is a package's; keep one");
	if (package->package_dir != NULL && package->version != NULL)
		return jsonc_error(document, cJSON_GetObjectItemCaseSensitive(root, "version"), err,
		                   "a directory (package_dir) has no other version than its own; leave it out");
	if (package->package != NULL && name != NULL && strcmp(package->package, name) != 0)
		return jsonc_error(document, cJSON_GetObjectItemCaseSensitive(root, "package"), err,
		                   "is \"%s\", but this is the file of \"%s\"", package->package, name);
	for (size_t i = 0; i < package->env_count; i++)
		if (strv_contains(&package->env_passthrough, package->env[i].name))
			return jsonc_error(document, cJSON_GetObjectItemCaseSensitive(root, "env_passthrough"), err,
			                   "names %s, which env sets; keep one of them", package->env[i].name);
	return true;
}

/* Whole files */

static struct config default_config(const char *file)
{
	struct config config = {
		.file = str_dup(file),
		.defaults = {
			.runtime = str_dup("auto"),
			.node_image = str_dup("node:lts-slim"),
			.container_cli = str_dup("container"),
			.memory_bytes = 512 * MIB,
			.cpu_millis = CPU_MILLIS_ONE,
			.log_level = str_dup("warn"),
		},
		.strategies = { CONFIG_STRATEGY_CONFIG, CONFIG_STRATEGY_SCHEMA, CONFIG_STRATEGY_HEURISTIC },
		.strategy_count = CONFIG_STRATEGIES_MAX,
		.heuristic = { .absolute_prefix = true, .home_prefix = true },
	};

	strv_push(&config.heuristic.uri_prefix, "file://");
	return config;
}

bool config_parse(const char *text, size_t length, const char *file, struct config *ret_config, struct npxc_error *err)
{
	struct config config = default_config(file);
	struct jsonc document = { 0 };
	bool ok =
	    text == NULL || (jsonc_parse(text, length, file, &document, err) && read_config(&document, &config, err));

	jsonc_done(&document);
	if (!ok) {
		config_done(&config);
		return false;
	}
	*ret_config = config;
	return true;
}

static bool parse_package(const char *text, size_t length, const char *file, const char *name,
                          struct config_package *ret_package, struct npxc_error *err)
{
	struct config_package package = { .file = str_dup(file), .present = text != NULL, .stdout_guard = true };
	struct jsonc document = { 0 };
	bool ok = text == NULL ||
	          (jsonc_parse(text, length, file, &document, err) && read_package(&document, name, &package, err));

	jsonc_done(&document);
	if (!ok) {
		config_package_done(&package);
		return false;
	}
	*ret_package = package;
	return true;
}

bool config_parse_package(const char *text, size_t length, const char *file, struct config_package *ret_package,
                          struct npxc_error *err)
{
	return parse_package(text, length, file, NULL, ret_package, err);
}

/* `ret_text` gets NULL when there is no such file. */
static bool read_text(const char *file, char **ret_text, size_t *ret_length, struct npxc_error *err)
{
	BUF_CLEANUP struct buf bytes = BUF_INIT(LIMIT_CONFIG_BYTES);
	struct npxc_error why = { 0 };

	if (!file_read(file, &bytes, &why)) {
		if (why.sys_errno != ENOENT) {
			*err = why;
			err->kind = ERROR_CONFIG;
			return false;
		}
		*ret_text = NULL;
		*ret_length = 0;
		return true;
	}
	*ret_length = bytes.length;
	*ret_text = buf_take(&bytes);
	return true;
}

static bool refuse_old(const char *old_file, const char *instead, const char *shape, struct npxc_error *err)
{
	mem_cleanup char *name = str_escape(old_file, strlen(old_file));

	return error_set(err, ERROR_CONFIG,
	                 "%s is of npxc 0.3.0; 0.4 reads JSON: write the same settings to %s beside it, such as %s",
	                 name, instead, shape);
}

bool config_load(const char *file, const char *old_file, bool required, struct config *ret_config,
                 struct npxc_error *err)
{
	static const char shape[] = "{\"defaults\": {\"network\": \"none\", \"memory\": \"512m\"}}";
	mem_cleanup char *text = NULL;
	size_t length;

	if (str_ends(file, ".toml"))
		return refuse_old(file, "npxc.json", shape, err);
	if (!read_text(file, &text, &length, err))
		return false;
	if (text == NULL && old_file != NULL && file_exists(old_file))
		return refuse_old(old_file, strrchr(file, '/') != NULL ? strrchr(file, '/') + 1 : file, shape, err);
	if (text == NULL && required) {
		mem_cleanup char *name = str_escape(file, strlen(file));

		return error_set(err, ERROR_CONFIG, "%s (--config) does not exist", name);
	}
	return config_parse(text, length, file, ret_config, err);
}

/* The file of 0.3.0 for a package, whose name it made from the package's by dropping `@` and turning `/` into `-`;
 * the new key with the old suffix is looked for too. Owned, NULL when there is none. */
static char *old_package_file(const char *directory, const char *name, const char *key)
{
	mem_cleanup char *flat = str_dup(name);
	const char *stems[] = { key, flat, flat + (flat[0] == '@') };

	for (char *p = flat; *p != '\0'; p++)
		if (*p == '/')
			*p = '-';
	for (size_t i = 0; i < sizeof(stems) / sizeof(stems[0]); i++) {
		mem_cleanup char *candidate = str_printf("%s/%s.toml", directory, stems[i]);

		if (file_exists(candidate))
			return MEM_TAKE(candidate);
	}
	return NULL;
}

bool config_load_package(const char *packages_directory, const char *name, struct config_package *ret_package,
                         struct npxc_error *err)
{
	static const char shape[] = "{\"network\": {\"mode\": \"none\"}, \"env\": {\"NAME\": \"value\"}}";
	mem_cleanup char *key = NULL;
	mem_cleanup char *file = NULL;
	mem_cleanup char *old = NULL;
	mem_cleanup char *text = NULL;
	size_t length;

	if (!spec_check_name(name, err))
		return false;
	key = spec_package_key(name);
	file = str_printf("%s/%s.json", packages_directory, key);
	if (!read_text(file, &text, &length, err))
		return false;
	if (text == NULL) {
		mem_cleanup char *instead = str_printf("%s.json", key);

		old = old_package_file(packages_directory, name, key);
		if (old != NULL)
			return refuse_old(old, instead, shape, err);
	}
	if (!parse_package(text, length, file, name, ret_package, err))
		return false;
	if (ret_package->package_dir == NULL)
		return true;
	log_notice("%s is for the directory %s (package_dir), so it does not apply to the package %s", file,
	           ret_package->package_dir, name);
	config_package_done(ret_package);
	return parse_package(NULL, 0, file, name, ret_package, err);
}

void config_done(struct config *config)
{
	free(config->file);
	free(config->defaults.runtime);
	free(config->defaults.node_image);
	free(config->defaults.container_cli);
	free(config->defaults.network);
	free(config->defaults.log_level);
	strv_done(&config->heuristic.uri_prefix);
	strv_done(&config->install_allow);
	*config = (struct config){ 0 };
}

void config_package_done(struct config_package *package)
{
	for (size_t i = 0; i < package->env_count; i++) {
		free(package->env[i].name);
		free(package->env[i].value);
	}
	for (size_t i = 0; i < package->mount_count; i++) {
		free(package->mounts[i].host);
		free(package->mounts[i].container);
	}
	free(package->file);
	free(package->package);
	free(package->package_dir);
	free(package->version);
	free(package->env);
	free(package->mounts);
	free(package->network_mode);
	free(package->network_link);
	free(package->runtime_name);
	free(package->runtime_network);
	strv_done(&package->env_passthrough);
	strv_done(&package->network_allow);
	strv_done(&package->install_allow);
	strv_done(&package->storage_writable);
	cJSON_Delete(package->path_arguments);
	cJSON_Delete(package->non_path_arguments);
	cJSON_Delete(package->output_arguments);
	*package = (struct config_package){ 0 };
}
