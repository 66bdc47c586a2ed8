#include "config/config.h"

#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "config/members.h"
#include "config/rules.h"
#include "config/runtimes.h"
#include "config/spec.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { NODE_MAJOR_MIN = 10, NODE_MAJOR_MAX = 99 };

static bool read_schema(const struct jsonc *document, const cJSON *value, void *into, struct npxc_error *err)
{
	(void)into;
	return cJSON_IsString(value) || members_refuse(document, value, "a string", err);
}

static bool read_bool(const struct jsonc *document, const cJSON *value, void *into, struct npxc_error *err)
{
	if (!cJSON_IsBool(value))
		return members_refuse(document, value, "true or false", err);
	*(bool *)into = cJSON_IsTrue(value);
	return true;
}

static bool read_memory(const struct jsonc *document, const cJSON *value, void *into, struct npxc_error *err)
{
	uint64_t *bytes = into;
	double number = value->valuedouble;

	if (cJSON_IsString(value))
		return value_parse_memory(value->valuestring, bytes, err) || members_locate(document, value, err);
	if (!cJSON_IsNumber(value))
		return members_refuse(document, value, "a string such as \"512m\" or a number of bytes", err);
	if (!(number >= 0 && number <= (double)VALUE_MEMORY_MAX) || (double)(uint64_t)number != number)
		return jsonc_error(document, value, err, "a number of bytes is whole and at most 16t");
	if (!value_check_memory((uint64_t)number, err))
		return members_locate(document, value, err);
	*bytes = (uint64_t)number;
	return true;
}

static bool read_cpus(const struct jsonc *document, const cJSON *value, void *into, struct npxc_error *err)
{
	double number = value->valuedouble;
	unsigned millis;

	if (cJSON_IsString(value))
		return value_parse_cpus(value->valuestring, into, err) || members_locate(document, value, err);
	if (!cJSON_IsNumber(value))
		return members_refuse(document, value, "a number such as 2 or 0.5", err);
	/* As double first: what does not fit an unsigned must not be converted, and 0.0099 must not be rounded in. */
	millis = number >= 0.01 && number <= 512.0 ? (unsigned)(number * VALUE_CPU_MILLIS + 0.5) : 0;
	if (!value_check_cpus(millis, err))
		return members_locate(document, value, err);
	*(unsigned *)into = millis;
	return true;
}

static bool read_node(const struct jsonc *document, const cJSON *value, void *into, struct npxc_error *err)
{
	uint64_t major = 0;

	if (!cJSON_IsNumber(value) && !cJSON_IsString(value))
		return members_refuse(document, value, "a major version such as 22", err);
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

static bool read_mode(const struct jsonc *document, const cJSON *value, void *into, struct npxc_error *err)
{
	bool rw = cJSON_IsString(value) && strcmp(value->valuestring, "rw") == 0;

	if (!rw && !(cJSON_IsString(value) && strcmp(value->valuestring, "ro") == 0))
		return jsonc_error(document, value, err, "wants \"ro\" or \"rw\"");
	*(bool *)into = rw;
	return true;
}

static bool read_strategies(const struct jsonc *document, const cJSON *value, void *into, struct npxc_error *err)
{
	static const char *const words[CONFIG_STRATEGIES_MAX] = { "config", "schema", "heuristic" };
	struct config *config = into;
	const cJSON *item;

	if (!cJSON_IsArray(value))
		return members_refuse(document, value, "a list", err);
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

static bool read_prefixes(const struct jsonc *document, const cJSON *value, void *into, struct npxc_error *err)
{
	struct strv *prefixes = into;

	strv_done(prefixes); /* the default gives way */
	if (cJSON_IsArray(value))
		return members_read_list(document, value, value_check_prefix, prefixes, err);
	if (!cJSON_IsString(value))
		return members_refuse(document, value, "a string or a list of strings", err);
	if (!value_check_prefix(value->valuestring, err))
		return members_locate(document, value, err);
	strv_push(prefixes, value->valuestring);
	return true;
}

static bool read_package_dir(const struct jsonc *document, const cJSON *value, void *into, struct npxc_error *err)
{
	char **directory = into;
	mem_cleanup char *bad = NULL;

	if (!cJSON_IsString(value))
		return members_refuse(document, value, "a string", err);
	bad = value_shown(value->valuestring);
	if (value->valuestring[0] != '/')
		return jsonc_error(document, value, err, "\"%s\" is not an absolute path", bad);
	free(*directory);
	*directory = str_path_clean(value->valuestring);
	return true;
}

static bool read_version(const struct jsonc *document, const cJSON *value, void *into, struct npxc_error *err)
{
	char **version = into;
	mem_cleanup char *text = NULL;
	struct spec spec;

	if (!cJSON_IsString(value))
		return members_refuse(document, value, "a string", err);
	if (strspn(value->valuestring, " \t\r\n") == strlen(value->valuestring))
		return jsonc_error(document, value, err,
		                   "an empty version; write one such as \"1.2.3\" or leave it out");
	text = str_printf("name@%s", value->valuestring);
	if (!spec_parse(text, &spec, err))
		return members_locate(document, value, err);
	free(*version);
	*version = str_dup(spec.select);
	spec_done(&spec);
	return true;
}

static bool read_env(const struct jsonc *document, const cJSON *value, void *into, struct npxc_error *err)
{
	struct config_package *package = into;
	const cJSON *member;

	if (!cJSON_IsObject(value))
		return members_refuse(document, value, "an object of names and values", err);
	if (!members_check_count(document, value, err))
		return false;
	package->env = mem_alloc((size_t)cJSON_GetArraySize(value) * sizeof(*package->env));
	cJSON_ArrayForEach(member, value)
	{
		if (!value_check_variable(member->string, err))
			return members_locate(document, member, err);
		if (cJSON_IsNumber(member) || cJSON_IsBool(member))
			return jsonc_error(document, member, err, "wants a string, not %s; put it in double quotes",
			                   members_kind(member));
		if (!cJSON_IsString(member))
			return members_refuse(document, member, "a string", err);
		if (strlen(member->string) + strlen(member->valuestring) > LIMIT_VARIABLE_BYTES)
			return jsonc_error(document, member, err, "a variable of more than %zu bytes",
			                   LIMIT_VARIABLE_BYTES);
		package->env[package->env_count].name = str_dup(member->string);
		package->env[package->env_count++].value = str_dup(member->valuestring);
	}
	return true;
}

/* Into the whole mount. */
static bool read_mount_mode(const struct jsonc *document, const cJSON *value, void *into, struct npxc_error *err)
{
	struct config_mount *mount = into;

	if (!cJSON_IsString(value) || !value_parse_mode(value->valuestring, &mount->writable, &mount->all))
		return jsonc_error(document, value, err, "wants \"ro\", \"rw\" or \"rw,all\"");
	return true;
}

static bool read_mount(const struct jsonc *document, const cJSON *value, void *into, struct npxc_error *err)
{
	static const struct member members[] = {
		{ "host", offsetof(struct config_mount, host), .text = value_check_host_path },
		{ "container", offsetof(struct config_mount, container), .text = value_check_inside_path },
		{ "mode", 0, .read = read_mount_mode },
	};
	static const struct member whole = { .name = NULL, MEMBERS(members) };
	const struct config_mount *mount = into;

	if (!members_read(document, value, &whole, into, err))
		return false;
	if (mount->host == NULL)
		return jsonc_error(document, value, err, "a mount wants a `host`");
	if (mount->container == NULL && !value_check_same_path(mount->host, err))
		return members_locate(document, value, err);
	return true;
}

static bool read_mounts(const struct jsonc *document, const cJSON *value, void *into, struct npxc_error *err)
{
	struct config_package *package = into;
	const cJSON *item;

	if (!cJSON_IsArray(value))
		return members_refuse(document, value, "a list of mounts", err);
	if (!members_check_count(document, value, err))
		return false;
	package->mounts = mem_alloc((size_t)cJSON_GetArraySize(value) * sizeof(*package->mounts));
	/* Counted before it is read: what a refused entry holds already is freed with the others. */
	cJSON_ArrayForEach(
	    item, value) if (!read_mount(document, item, &package->mounts[package->mount_count++], err)) return false;
	return true;
}

static bool read_arguments(const struct jsonc *document, const cJSON *value, void *into, struct npxc_error *err)
{
	cJSON **arguments = into;
	const cJSON *member;

	if (!cJSON_IsObject(value))
		return members_refuse(document, value, "an object of tools and lists of argument names", err);
	if (!members_check_count(document, value, err))
		return false;
	cJSON_ArrayForEach(member, value)
	{
		struct strv names = { 0 };
		bool ok;

		if (member->string[0] == '\0')
			return jsonc_error(document, member, err,
			                   "an empty name of a tool; \"*\" stands for all tools");
		ok = members_read_list(document, member, value_check_argument, &names, err);
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
		return members_refuse(document, value, "false, \"ro\", \"rw\" or \"rw,all\"", err);
	if (cJSON_IsString(value) && !value_parse_mode(value->valuestring, &writable, &all))
		return jsonc_error(document, value, err, "wants false, \"ro\", \"rw\" or \"rw,all\"");
	package->project = cJSON_IsFalse(value) ? CONFIG_PROJECT_NONE
	                   : all                ? CONFIG_PROJECT_RW_ALL
	                   : writable           ? CONFIG_PROJECT_RW
	                                        : CONFIG_PROJECT_RO;
	package->project_set = true;
	return true;
}

/* The objects. Most are read into the whole struct, so the offsets are those of their members. */

static const struct member defaults_members[] = {
	{ "runtime", offsetof(struct config, defaults.runtime), .text = value_check_runtime },
	{ "node", offsetof(struct config, defaults.node), .read = read_node },
	{ "node_image", offsetof(struct config, defaults.node_image), .text = value_check_image },
	{ "container_cli", offsetof(struct config, defaults.container_cli), .text = value_check_program },
	{ "network", offsetof(struct config, defaults.network), .text = value_check_network },
	{ "memory", offsetof(struct config, defaults.memory_bytes), .read = read_memory },
	{ "cpus", offsetof(struct config, defaults.cpu_millis), .read = read_cpus },
	{ "mount_mode", offsetof(struct config, defaults.mount_writable), .read = read_mode },
	{ "log_level", offsetof(struct config, defaults.log_level), .text = log_check },
};

static const struct member heuristic_members[] = {
	{ "absolute_prefix", offsetof(struct config, heuristic.absolute_prefix), .read = read_bool },
	{ "home_prefix", offsetof(struct config, heuristic.home_prefix), .read = read_bool },
	{ "uri_prefix", offsetof(struct config, heuristic.uri_prefix), .read = read_prefixes },
};

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

static const struct member paths_members[] = {
	{ "strategies", 0, .read = read_strategies },
	{ "heuristic", 0, MEMBERS(heuristic_members) },
	{ "outside", offsetof(struct config, refuse_outside), .read = read_outside },
};

/* The same in both files; `into` is the list of rules. */
static const struct member install_members[] = { { "allow", 0, .list = rules_check } };

static const struct member config_members[] = {
	{ "$schema", 0, .read = read_schema },
	{ "defaults", 0, MEMBERS(defaults_members) },
	{ "install", offsetof(struct config, install_allow), MEMBERS(install_members) },
	{ "trusted_projects", offsetof(struct config, trusted_projects), .list = value_check_project },
	{ "paths", 0, MEMBERS(paths_members) },
};
static const struct member whole_config = { .name = NULL, MEMBERS(config_members) };

static const struct member network_members[] = {
	{ "mode", offsetof(struct config_package, network_mode), .text = value_check_network },
	{ "allow", offsetof(struct config_package, network_allow), .list = rules_check },
	{ "link", offsetof(struct config_package, network_link), .text = value_check_link },
};

static const struct member storage_members[] = {
	{ "persist", offsetof(struct config_package, storage_persist), .read = read_bool },
	{ "writable", offsetof(struct config_package, storage_writable), .list = value_check_inside_path },
	{ "home", offsetof(struct config_package, storage_home), .list = value_check_home_path },
};

static const struct member runtime_members[] = {
	{ "name", offsetof(struct config_package, runtime_name), .text = value_check_runtime },
	{ "memory", offsetof(struct config_package, runtime_memory), .read = read_memory },
	{ "cpus", offsetof(struct config_package, runtime_cpus), .read = read_cpus },
	{ "network", offsetof(struct config_package, runtime_network), .text = value_check_network },
};

static const struct member package_members[] = {
	{ "$schema", 0, .read = read_schema },
	{ "package", offsetof(struct config_package, package), .text = spec_check_name },
	{ "package_dir", offsetof(struct config_package, package_dir), .read = read_package_dir },
	{ "version", offsetof(struct config_package, version), .read = read_version },
	{ "env", 0, .read = read_env },
	{ "env_passthrough", offsetof(struct config_package, env_passthrough), .list = value_check_variable },
	{ "network", 0, MEMBERS(network_members) },
	{ "install", offsetof(struct config_package, install_allow), MEMBERS(install_members) },
	{ "storage", 0, MEMBERS(storage_members) },
	{ "mounts", 0, .read = read_mounts },
	{ "path_arguments", offsetof(struct config_package, path_arguments), .read = read_arguments },
	{ "non_path_arguments", offsetof(struct config_package, non_path_arguments), .read = read_arguments },
	{ "output_arguments", offsetof(struct config_package, output_arguments), .read = read_arguments },
	{ "outputs", offsetof(struct config_package, outputs), .read = read_bool },
	{ "stdout_guard", offsetof(struct config_package, stdout_guard), .read = read_bool },
	{ "project", 0, .read = read_project },
	{ "runtime", 0, MEMBERS(runtime_members) },
};
static const struct member whole_package = { .name = NULL, MEMBERS(package_members) };

/* Also where a file system of the host does not tell capitals from small letters. */
static bool lies_in(const char *path, const char *other)
{
	const size_t length = strlen(other);

	return strncasecmp(path, other, length) == 0 && (path[length] == '/' || path[length] == '\0');
}

static bool check_homes(const struct jsonc *document, const struct strv *homes, struct npxc_error *err)
{
	const cJSON *storage = cJSON_GetObjectItemCaseSensitive(document->root, "storage");
	const cJSON *list = cJSON_GetObjectItemCaseSensitive(storage, "home");

	if (homes->count > LIMIT_HOME_DIRECTORIES)
		return jsonc_error(document, list, err, "has more than %d directories", LIMIT_HOME_DIRECTORIES);
	for (size_t i = 0; i < homes->count; i++)
		for (size_t k = 0; k < homes->count; k++)
			if (i != k && lies_in(homes->v[i], homes->v[k]))
				return jsonc_error(document, cJSON_GetArrayItem(list, (int)i), err,
				                   "\"%s\" lies in \"%s\", or is the same; keep one of them",
				                   homes->v[i], homes->v[k]);
	return true;
}

/* `name`: the package that is asked for, NULL when nobody asks. */
static bool read_package(const struct jsonc *document, const char *name, struct config_package *package,
                         struct npxc_error *err)
{
	const cJSON *root = document->root;

	if (!members_read(document, root, &whole_package, package, err))
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
	return check_homes(document, &package->storage_home, err);
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
			.cpu_millis = VALUE_CPU_MILLIS,
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
	bool ok = text == NULL || (jsonc_parse(text, length, file, &document, err) &&
	                           members_read(&document, document.root, &whole_config, &config, err));

	jsonc_done(&document);
	if (!ok) {
		config_done(&config);
		return false;
	}
	*ret_config = config;
	return true;
}

bool config_parse_package_of(const char *text, size_t length, const char *file, const char *name,
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
	return config_parse_package_of(text, length, file, NULL, ret_package, err);
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
	strv_done(&config->trusted_projects);
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
	strv_done(&package->storage_home);
	cJSON_Delete(package->path_arguments);
	cJSON_Delete(package->non_path_arguments);
	cJSON_Delete(package->output_arguments);
	*package = (struct config_package){ 0 };
}
