#include "unit.h"

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"
#include "config/config.h"
#include "config/load.h"
#include "config/package_dir.h"
#include "config/spec.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The tests run at the top of the repository, as `make` does it. */
static cJSON *read_json(const char *path)
{
	struct buf bytes = BUF_INIT(LIMIT_CONFIG_BYTES);
	struct npxc_error err = { 0 };
	cJSON *json;

	if (!file_read(path, &bytes, &err))
		fail_msg("%s", err.message);
	json = cJSON_Parse(bytes.data);
	if (json == NULL)
		fail_msg("%s is not JSON", path);
	buf_done(&bytes);
	return json;
}

static const char *text_of(const cJSON *object, const char *key)
{
	return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, key));
}

static bool parse_kind(bool package, const char *text, struct npxc_error *err)
{
	struct config config;
	struct config_package settings;
	bool ok = package ? config_parse_package(text, strlen(text), "package.json", &settings, err)
	                  : config_parse(text, strlen(text), "npxc.json", &config, err);

	if (ok && package)
		config_package_done(&settings);
	else if (ok)
		config_done(&config);
	return ok;
}

static char *case_text(const cJSON *entry)
{
	const cJSON *json = cJSON_GetObjectItemCaseSensitive(entry, "json");
	const cJSON *text = cJSON_GetObjectItemCaseSensitive(entry, "text");
	const cJSON *line;
	char *joined;

	if (json != NULL)
		return cJSON_Print(json);
	if (cJSON_IsString(text))
		return str_dup(text->valuestring);
	joined = str_dup("");
	cJSON_ArrayForEach(line, text)
	{
		mem_cleanup char *before = joined;

		joined = str_printf("%s%s%s", before, line != text->child ? "\n" : "", line->valuestring);
	}
	return joined;
}

static void the_shared_cases(void **state)
{
	cJSON *table = read_json("fixtures/config/cases.json");
	const cJSON *cases = cJSON_GetObjectItemCaseSensitive(table, "cases");
	const cJSON *entry;
	int failed = 0;

	(void)state;
	assert_true(cJSON_GetArraySize(cases) > 100);
	cJSON_ArrayForEach(entry, cases)
	{
		bool package = strcmp(text_of(entry, "file"), "package") == 0;
		bool valid = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(entry, "valid"));
		mem_cleanup char *text = case_text(entry);
		struct npxc_error err = { 0 };
		bool ok = parse_kind(package, text, &err);

		if (ok != valid) {
			print_message("%s: %s\n", text_of(entry, "id"), ok ? "was accepted" : err.message);
			failed++;
		} else if (!ok && (err.kind != ERROR_CONFIG || strstr(err.message, text_of(entry, "error")) == NULL ||
		                   !str_starts(err.message, package ? "package.json:" : "npxc.json:"))) {
			print_message("%s: \"%s\" does not say \"%s\"\n", text_of(entry, "id"), err.message,
			              text_of(entry, "error"));
			failed++;
		}
	}
	assert_int_equal(failed, 0);
	cJSON_Delete(table);
}

/* The document that has `inner` at `path`, whose parts are keys, or "[]" for a list's only entry. Owned. */
static char *wrap(const struct strv *path, const char *inner)
{
	char *text = str_dup(inner);

	for (size_t i = path->count; i > 0; i--) {
		mem_cleanup char *before = text;

		text = strcmp(path->v[i - 1], "[]") == 0 ? str_printf("[%s]", before)
		                                         : str_printf("{\"%s\": %s}", path->v[i - 1], before);
	}
	return text;
}

static void pop(struct strv *list)
{
	free(list->v[--list->count]);
	list->v[list->count] = NULL;
}

/*
 * At every object of the schema: the keys that the parser lists, asked with one that it cannot know, are exactly the
 * schema's.
 */
static void compare_keys(bool package, const cJSON *schema, struct strv *path, int *objects)
{
	const cJSON *properties = cJSON_GetObjectItemCaseSensitive(schema, "properties");
	const cJSON *items = cJSON_GetObjectItemCaseSensitive(schema, "items");
	mem_cleanup char *text = wrap(path, "{\"zzzzzzzzzzzz\": 1}");
	struct npxc_error err = { 0 };
	struct strv known = { 0 };
	const cJSON *property;
	char *list;

	if (cJSON_IsObject(items)) {
		strv_push(path, "[]");
		compare_keys(package, items, path, objects);
		pop(path);
	}
	if (properties == NULL)
		return;
	++*objects;
	assert_true(cJSON_IsFalse(cJSON_GetObjectItemCaseSensitive(schema, "additionalProperties")));
	assert_false(parse_kind(package, text, &err));
	list = strstr(err.message, "known here: ");
	if (list == NULL)
		fail_msg("%s: %s", text, err.message);
	list += strlen("known here: ");
	for (char *word = strsep(&list, ","); word != NULL; word = strsep(&list, ","))
		strv_push(&known, str_trim(word));
	cJSON_ArrayForEach(property, properties)
	{
		if (!strv_contains(&known, property->string))
			fail_msg("%s: the parser does not know the schema's key %s", text, property->string);
		strv_push(path, property->string);
		compare_keys(package, property, path, objects);
		pop(path);
	}
	for (size_t i = 0; i < known.count; i++)
		if (cJSON_GetObjectItemCaseSensitive(properties, known.v[i]) == NULL)
			fail_msg("%s: the schema does not know the parser's key %s", text, known.v[i]);
	strv_done(&known);
}

static void the_schemas_have_the_parsers_keys(void **state)
{
	static const struct {
		const char *file;
		bool package;
		int objects;
	} schemas[] = {
		{ "src/config/schema/npxc.schema.json", false, 5 },
		{ "src/config/schema/package.schema.json", true, 6 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(schemas) / sizeof(schemas[0]); i++) {
		cJSON *schema = read_json(schemas[i].file);
		struct strv path = { 0 };
		int objects = 0;

		compare_keys(schemas[i].package, schema, &path, &objects);
		assert_int_equal(objects, schemas[i].objects);
		strv_done(&path);
		cJSON_Delete(schema);
	}
}

/* The schema's `default`s as a document; owned, NULL where there is none. */
static cJSON *defaults_of(const cJSON *schema)
{
	const cJSON *property;
	cJSON *made = NULL;

	cJSON_ArrayForEach(property, cJSON_GetObjectItemCaseSensitive(schema, "properties"))
	{
		const cJSON *value = cJSON_GetObjectItemCaseSensitive(property, "default");
		cJSON *child = value != NULL ? cJSON_Duplicate(value, true) : defaults_of(property);

		if (child != NULL) {
			made = made != NULL ? made : cJSON_CreateObject();
			cJSON_AddItemToObject(made, property->string, child);
		}
	}
	return made;
}

static void the_schemas_defaults_are_the_parsers(void **state)
{
	cJSON *schema = read_json("src/config/schema/npxc.schema.json");
	cJSON *document = defaults_of(schema);
	mem_cleanup char *text = cJSON_Print(document);
	struct npxc_error err = { 0 };
	struct config said;
	struct config silent;

	(void)state;
	assert_true(config_parse(NULL, 0, "f", &silent, &err));
	if (!config_parse(text, strlen(text), "f", &said, &err))
		fail_msg("%s in %s", err.message, text);
	assert_string_equal(said.defaults.runtime, silent.defaults.runtime);
	assert_int_equal(said.defaults.node, silent.defaults.node);
	assert_string_equal(said.defaults.node_image, silent.defaults.node_image);
	assert_string_equal(said.defaults.container_cli, silent.defaults.container_cli);
	assert_string_equal(said.defaults.network, "none");
	assert_null(silent.defaults.network);
	assert_int_equal(said.defaults.memory_bytes, silent.defaults.memory_bytes);
	assert_int_equal(said.defaults.cpu_millis, silent.defaults.cpu_millis);
	assert_int_equal(said.defaults.mount_writable, silent.defaults.mount_writable);
	assert_string_equal(said.defaults.log_level, silent.defaults.log_level);
	assert_int_equal(said.strategy_count, silent.strategy_count);
	for (size_t i = 0; i < said.strategy_count; i++)
		assert_int_equal(said.strategies[i], silent.strategies[i]);
	assert_int_equal(said.heuristic.absolute_prefix, silent.heuristic.absolute_prefix);
	assert_int_equal(said.heuristic.home_prefix, silent.heuristic.home_prefix);
	assert_int_equal(said.heuristic.uri_prefix.count, silent.heuristic.uri_prefix.count);
	assert_string_equal(said.heuristic.uri_prefix.v[0], silent.heuristic.uri_prefix.v[0]);
	config_done(&said);
	config_done(&silent);
	cJSON_Delete(document);
	cJSON_Delete(schema);
}

static void an_absent_file_is_all_defaults(void **state)
{
	struct npxc_error err = { 0 };
	struct config config;
	struct config_package package;

	(void)state;
	assert_true(config_parse(NULL, 0, "f", &config, &err));
	assert_string_equal(config.file, "f");
	assert_string_equal(config.defaults.runtime, "auto");
	assert_string_equal(config.defaults.node_image, "node:lts-slim");
	assert_int_equal(config.defaults.memory_bytes, 512 * MIB);
	assert_int_equal(config.defaults.cpu_millis, 1000);
	assert_false(config.defaults.mount_writable);
	config_done(&config);

	assert_true(config_parse_package(NULL, 0, "f", &package, &err));
	assert_false(package.present);
	assert_false(package.project_set);
	assert_null(package.package);
	assert_false(package.outputs);
	assert_true(package.stdout_guard);
	assert_null(package.output_arguments);
	config_package_done(&package);
}

static void every_value_arrives(void **state)
{
	static const char npxc[] =
	    "{\"defaults\": {\"runtime\": \"podman\", \"node\": \"22\", \"node_image\": \"node:22\", "
	    "\"container_cli\": "
	    "\"cli\", \"network\": \"lab\", \"memory\": \"2GiB\", \"cpus\": 0.5, \"mount_mode\": \"rw\", "
	    "\"log_level\": "
	    "\"info\"}, \"paths\": {\"strategies\": [\"heuristic\", \"config\"], \"heuristic\": {\"absolute_prefix\": "
	    "false, \"home_prefix\": false, \"uri_prefix\": [\"a:\", \"b:\"]}}, \"install\": {\"allow\": [\"i:1\"]}}";
	static const char package_text[] =
	    "{\"package\": \"@s/n\", \"version\": \"v1.2.3\", \"env\": {\"A\": \"1\", \"B\": \"\"}, "
	    "\"env_passthrough\": "
	    "[\"C\"], \"network\": {\"mode\": \"allowlist\", \"allow\": [\"h:1\", \"h:2\"], \"link\": \"socket\"}, "
	    "\"install\": {\"allow\": [\"i:2\", \"i:3\"]}, "
	    "\"storage\": {\"persist\": true, \"writable\": [\"/w\"]}, \"mounts\": [{\"host\": \"~/a\", \"container\": "
	    "\"/a\", \"mode\": \"rw\"}, {\"host\": \"/b\"}], \"path_arguments\": {\"*\": [\"p\"]}, "
	    "\"non_path_arguments\": {\"t\": [\"q\"]}, \"output_arguments\": {\"o\": [\"/r\"]}, \"outputs\": true, "
	    "\"stdout_guard\": false, \"project\": true, \"runtime\": {\"name\": \"bwrap\", "
	    "\"memory\": 134217728, \"cpus\": \"1.25\", \"network\": \"open\"}}";
	struct npxc_error err = { 0 };
	struct config c;
	struct config_package p;

	(void)state;
	if (!config_parse(npxc, strlen(npxc), "npxc.json", &c, &err))
		fail_msg("%s", err.message);
	assert_string_equal(c.defaults.runtime, "podman");
	assert_int_equal(c.defaults.node, 22);
	assert_string_equal(c.defaults.node_image, "node:22");
	assert_string_equal(c.defaults.container_cli, "cli");
	assert_string_equal(c.defaults.network, "lab");
	assert_int_equal(c.defaults.memory_bytes, 2048 * MIB);
	assert_int_equal(c.defaults.cpu_millis, 500);
	assert_true(c.defaults.mount_writable);
	assert_string_equal(c.defaults.log_level, "info");
	assert_int_equal(c.strategy_count, 2);
	assert_int_equal(c.strategies[0], CONFIG_STRATEGY_HEURISTIC);
	assert_int_equal(c.strategies[1], CONFIG_STRATEGY_CONFIG);
	assert_false(c.heuristic.absolute_prefix);
	assert_false(c.heuristic.home_prefix);
	assert_int_equal(c.heuristic.uri_prefix.count, 2);
	assert_string_equal(c.heuristic.uri_prefix.v[1], "b:");
	assert_int_equal(c.install_allow.count, 1);
	assert_string_equal(c.install_allow.v[0], "i:1");
	config_done(&c);

	if (!config_parse_package(package_text, strlen(package_text), "p", &p, &err))
		fail_msg("%s", err.message);
	assert_true(p.present);
	assert_string_equal(p.package, "@s/n");
	assert_string_equal(p.version, "1.2.3");
	assert_int_equal(p.env_count, 2);
	assert_string_equal(p.env[0].name, "A");
	assert_string_equal(p.env[0].value, "1");
	assert_string_equal(p.env[1].value, "");
	assert_string_equal(p.env_passthrough.v[0], "C");
	assert_string_equal(p.network_mode, "allowlist");
	assert_string_equal(p.network_allow.v[1], "h:2");
	assert_string_equal(p.network_link, "socket");
	assert_int_equal(p.network_allow.count, 2);
	assert_int_equal(p.install_allow.count, 2);
	assert_string_equal(p.install_allow.v[1], "i:3");
	assert_true(p.storage_persist);
	assert_string_equal(p.storage_writable.v[0], "/w");
	assert_int_equal(p.mount_count, 2);
	assert_string_equal(p.mounts[0].host, "~/a");
	assert_string_equal(p.mounts[0].container, "/a");
	assert_true(p.mounts[0].writable);
	assert_string_equal(p.mounts[1].host, "/b");
	assert_null(p.mounts[1].container);
	assert_false(p.mounts[1].writable);
	assert_string_equal(p.path_arguments->child->string, "*");
	assert_string_equal(p.path_arguments->child->child->valuestring, "p");
	assert_string_equal(p.non_path_arguments->child->string, "t");
	assert_string_equal(p.output_arguments->child->string, "o");
	assert_string_equal(p.output_arguments->child->child->valuestring, "/r");
	assert_true(p.outputs);
	assert_false(p.stdout_guard);
	assert_true(p.project_set);
	assert_int_equal(p.project, CONFIG_PROJECT_RO);
	assert_string_equal(p.runtime_name, "bwrap");
	assert_int_equal(p.runtime_memory, 128 * MIB);
	assert_int_equal(p.runtime_cpus, 1250);
	assert_string_equal(p.runtime_network, "open");
	config_package_done(&p);
}

static void each_word_for_the_project_is_read(void **state)
{
	static const struct {
		const char *text;
		enum config_project project;
	} cases[] = {
		{ "{\"project\": false}", CONFIG_PROJECT_NONE },        { "{\"project\": true}", CONFIG_PROJECT_RO },
		{ "{\"project\": \"ro\"}", CONFIG_PROJECT_RO },         { "{\"project\": \"rw\"}", CONFIG_PROJECT_RW },
		{ "{\"project\": \"rw,all\"}", CONFIG_PROJECT_RW_ALL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct npxc_error err = { 0 };
		struct config_package package;

		assert_true(config_parse_package(cases[i].text, strlen(cases[i].text), "p", &package, &err));
		assert_true(package.project_set);
		assert_int_equal(package.project, cases[i].project);
		config_package_done(&package);
	}
}

static void amounts_of_memory(void **state)
{
	static const struct {
		const char *text;
		uint64_t bytes; /* 0: refused */
	} cases[] = {
		{ "64m", 64 * MIB },
		{ "512M", 512 * MIB },
		{ "512mb", 512 * MIB },
		{ "512MiB", 512 * MIB },
		{ "512MIB", 512 * MIB },
		{ "2g", 2048 * MIB },
		{ "1t", (uint64_t)MIB * MIB },
		{ "16t", (uint64_t)16 * MIB * MIB },
		{ "65536k", 64 * MIB },
		{ "67108864", 64 * MIB },
		{ "67108864B", 64 * MIB },
		{ "67108863", 0 },
		{ "63m", 0 },
		{ "17t", 0 },
		{ "0", 0 },
		{ "", 0 },
		{ "m", 0 },
		{ "-1g", 0 },
		{ "+1g", 0 },
		{ "1 g", 0 },
		{ " 1g", 0 },
		{ "1g ", 0 },
		{ "1.5g", 0 },
		{ "01g", 0 },
		{ "0x10000000", 0 },
		{ "1gi", 0 },
		{ "1ib", 0 },
		{ "1p", 0 },
		{ "1gg", 0 },
		{ "1gbb", 0 },
		{ "18446744073709551616", 0 },
		{ "18446744073709551615t", 0 },
		{ "18014398509481984k", 0 }, /* 2^64 bytes: must not wrap */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct npxc_error err = { 0 };
		uint64_t bytes = 7;
		bool ok = value_parse_memory(cases[i].text, &bytes, &err);

		if (ok != (cases[i].bytes != 0))
			fail_msg("\"%s\": %s", cases[i].text, ok ? "was accepted" : err.message);
		assert_int_equal(bytes, ok ? cases[i].bytes : 7);
		assert_int_equal(err.kind, ok ? ERROR_NONE : ERROR_CONFIG);
	}
}

static void numbers_of_processors(void **state)
{
	static const struct {
		const char *text;
		unsigned millis; /* 0: refused */
	} cases[] = {
		{ "1", 1000 },   { "0.5", 500 }, { "2.25", 2250 }, { "0.125", 125 }, { "0.01", 10 }, { "512", 512000 },
		{ "007", 7000 }, { "0.009", 0 }, { "0", 0 },       { "512.001", 0 }, { "1000", 0 },  { "", 0 },
		{ ".5", 0 },     { "1.", 0 },    { "1.2345", 0 },  { "-1", 0 },      { "+1", 0 },    { " 1", 0 },
		{ "1 ", 0 },     { "1e1", 0 },   { "1,5", 0 },     { "0x1", 0 },     { "inf", 0 },   { "nan", 0 },
		{ "1.5.5", 0 },  { "two", 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct npxc_error err = { 0 };
		unsigned millis = 7;
		bool ok = value_parse_cpus(cases[i].text, &millis, &err);

		if (ok != (cases[i].millis != 0))
			fail_msg("\"%s\": %s", cases[i].text, ok ? "was accepted" : err.message);
		assert_int_equal(millis, ok ? cases[i].millis : 7);
	}
}

static void mounts_of_flags(void **state)
{
	static const struct {
		const char *text;
		const char *host; /* NULL: refused */
		const char *container;
		bool writable;
		const char *why;
	} cases[] = {
		{ "/a", "/a", NULL, false, NULL },
		{ "/a:rw", "/a", NULL, true, NULL },
		{ "/a:ro", "/a", NULL, false, NULL },
		{ "/a:/b", "/a", "/b", false, NULL },
		{ "/a:/b:rw", "/a", "/b", true, NULL },
		{ "/a:/b:ro", "/a", "/b", false, NULL },
		{ "a/b", "a/b", NULL, false, NULL },
		{ "~/a:/b", "~/a", "/b", false, NULL },
		{ ".:/b:rw", ".", "/b", true, NULL },
		{ "/a:b", "/a:b", NULL, false, NULL },
		{ "/a:b:/c", "/a:b", "/c", false, NULL },
		{ "/a:/b:/c", "/a:/b", "/c", false, NULL },
		{ "/a:rw:/c", "/a:rw", "/c", false, NULL },
		{ "/:/host", "/", "/host", false, NULL },
		{ "/proc/x:/x", "/proc/x", "/x", false, NULL },
		{ "", NULL, NULL, false, "names nothing of the host" },
		{ ":rw", NULL, NULL, false, "names nothing of the host" },
		{ ":/b", NULL, NULL, false, "names nothing of the host" },
		{ "/a:", NULL, NULL, false, "nothing follows the colon" },
		{ "/a::rw", NULL, NULL, false, "nothing follows the colon" },
		{ "/a:RW", NULL, NULL, false, "in small letters" },
		{ "/a:/b:Ro", NULL, NULL, false, "in small letters" },
		{ "/a:/", NULL, NULL, false, "nothing may be mounted at \"/\"" },
		{ "/a:/proc", NULL, NULL, false, "nothing may be mounted at \"/proc\"" },
		{ "/a:/sys/x:rw", NULL, NULL, false, "nothing may be mounted at" },
		{ "/a:/dev/x", NULL, NULL, false, "nothing may be mounted at" },
		{ "/a:/b/", NULL, NULL, false, "ends with a slash" },
		{ "/a:/b/../proc", NULL, NULL, false, "holds //" },
		{ "/a://proc", NULL, NULL, false, "holds //" },
		{ "/a:RW,all", NULL, NULL, false, "write :ro, :rw or :rw,all" },
		{ "/a:rw,all", "/a", NULL, true, NULL },
		{ "/", NULL, NULL, false, "cannot stand at the same path" },
		{ "/proc/1:rw", NULL, NULL, false, "cannot stand at the same path" },
		{ "/a/../dev//shm", NULL, NULL, false, "\"/dev/shm\" cannot stand at the same path" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct npxc_error err = { 0 };
		struct config_mount mount = { 0 };
		bool ok = value_parse_mount(cases[i].text, &mount, &err);

		if (ok != (cases[i].host != NULL))
			fail_msg("\"%s\": %s", cases[i].text, ok ? "was accepted" : err.message);
		if (!ok && strstr(err.message, cases[i].why) == NULL)
			fail_msg("\"%s\" does not say \"%s\"", err.message, cases[i].why);
		assert_true(str_equal(mount.host, cases[i].host));
		assert_true(str_equal(mount.container, cases[i].container));
		assert_int_equal(mount.writable, cases[i].writable);
		assert_int_equal(mount.all, ok && str_ends(cases[i].text, ",all"));
		free(mount.host);
		free(mount.container);
	}
}

static void names_of_variables(void **state)
{
	static const char *const good[] = { "A", "_", "a1", "PATH", "npm_config_x", "__proto__" };
	static const char *const bad[] = { "", "1", "A=B", "A B", "A-B", "A.B", "A\n", "\xc3\xa4", "=", "$A" };
	mem_cleanup char *huge = mem_alloc(LIMIT_VARIABLE_BYTES + 2);
	struct npxc_error err = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_true(value_check_variable(good[i], &err));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(value_check_variable(bad[i], &err));
	memset(huge, 'A', LIMIT_VARIABLE_BYTES + 1);
	assert_false(value_check_variable(huge, &err));
}

static void what_is_over_a_ceiling_is_refused(void **state)
{
	mem_cleanup char *value = mem_alloc(LIMIT_VARIABLE_BYTES + 64);
	mem_cleanup char *list = str_dup("");
	struct npxc_error err = { 0 };
	size_t used = 0;

	(void)state;
	used = (size_t)sprintf(value, "{\"env\": {\"A\": \"");
	memset(value + used, 'x', LIMIT_VARIABLE_BYTES - 1);
	memcpy(value + used + LIMIT_VARIABLE_BYTES - 1, "\"}}", 4);
	assert_true(parse_kind(true, value, &err));
	memcpy(value + used + LIMIT_VARIABLE_BYTES - 1, "x\"}}", 5);
	assert_false(parse_kind(true, value, &err));
	assert_string_equal(err.message, "package.json:1: env.A: a variable of more than 130048 bytes");

	for (int over = 0; over < 2; over++) {
		size_t count = LIMIT_CONFIG_ENTRIES + (size_t)over;

		free(list);
		list = mem_alloc(count * 10 + 64);
		used = (size_t)sprintf(list, "{\"env_passthrough\": [");
		for (size_t i = 0; i < count; i++)
			used += (size_t)sprintf(list + used, "%s\"A%zu\"", i > 0 ? "," : "", i);
		memcpy(list + used, "]}", 3);
		assert_int_equal(parse_kind(true, list, &err), over == 0);
	}
	assert_string_equal(err.message, "package.json:1: env_passthrough: more than 4096 entries");
}

/* Files */

static char *directory;

static int make_directory(void **state)
{
	struct npxc_error err = { 0 };
	const char *tmp = getenv("TMPDIR");

	(void)state;
	return file_make_temporary_directory(tmp != NULL ? tmp : "/tmp", "npxc-test-", &directory, &err) ? 0 : -1;
}

static int remove_directory(void **state)
{
	struct npxc_error err = { 0 };
	bool ok = file_remove_tree(directory, &err);

	(void)state;
	free(directory);
	return ok ? 0 : -1;
}

static void write_file(const char *name, const char *text)
{
	mem_cleanup char *path = str_printf("%s/%s", directory, name);
	struct npxc_error err = { 0 };

	if (!file_write_atomic(path, text, strlen(text), 0600, &err))
		fail_msg("%s", err.message);
}

static void assert_load(bool required, const char *why)
{
	mem_cleanup char *file = str_printf("%s/npxc.json", directory);
	mem_cleanup char *old = str_printf("%s/npxc.toml", directory);
	struct npxc_error err = { 0 };
	struct config config;
	bool ok = load_file(file, old, required, &config, &err);

	if (ok != (why == NULL))
		fail_msg("%s", ok ? "was accepted" : err.message);
	if (ok) {
		assert_string_equal(config.file, file);
		config_done(&config);
		return;
	}
	assert_int_equal(err.kind, ERROR_CONFIG);
	assert_null(strchr(err.message, '\n'));
	if (strstr(err.message, why) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", err.message, why);
}

static void files_of_settings(void **state)
{
	mem_cleanup char *toml = str_printf("%s/npxc.toml", directory);
	mem_cleanup char *as_file = str_printf("%s/npxc.json/x", directory);
	struct npxc_error err = { 0 };
	struct config config;

	(void)state;
	assert_load(false, NULL);
	assert_load(true, "npxc.json (--config) does not exist");
	write_file("npxc.toml", "[defaults]\n");
	assert_load(false, "is of npxc 0.3.0; 0.4 reads JSON: write the same settings to npxc.json beside it, such as "
	                   "{\"defaults\": {\"network\": \"none\"");
	assert_load(true, "is of npxc 0.3.0");
	assert_false(load_file(toml, NULL, true, &config, &err));
	assert_non_null(strstr(err.message, "is of npxc 0.3.0"));
	write_file("npxc.json", "{\"defaults\": {}}");
	assert_load(false, NULL);
	assert_load(true, NULL);
	write_file("npxc.json", "{\n\"default\": {}}");
	assert_load(false, "/npxc.json:2: default: unknown key `default`; did you mean `defaults`?");
	assert_false(load_file(as_file, NULL, false, &config, &err));
	assert_int_equal(err.kind, ERROR_CONFIG);
	assert_false(load_file(directory, NULL, false, &config, &err));
	assert_int_equal(err.kind, ERROR_CONFIG);
}

static void assert_package(const char *name, const char *why, bool present)
{
	struct npxc_error err = { 0 };
	struct config_package package;
	bool ok = load_package(directory, name, &package, &err);

	if (ok != (why == NULL))
		fail_msg("%s: %s", name, ok ? "was accepted" : err.message);
	if (ok) {
		assert_int_equal(package.present, present);
		config_package_done(&package);
		return;
	}
	assert_int_equal(err.kind, ERROR_CONFIG);
	if (strstr(err.message, why) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", err.message, why);
}

static void files_of_packages(void **state)
{
	(void)state;
	write_file("@scope+name.json", "{\"package\": \"@scope/name\"}");
	write_file("=upper.json", "{\n\"package\": \"upper\"}");
	write_file("silent.json", "{}");
	write_file("scope-old.toml", "package = \"@scope/old\"\n");
	write_file("plain.toml", "");
	write_file("@at-old.toml", "");
	write_file("@both+x.json", "{}");
	write_file("both-x.toml", "");
	assert_package("absent", NULL, false);
	assert_package("@scope/name", NULL, true);
	assert_package("silent", NULL, true);
	assert_package("Upper", "=upper.json:2: package: is \"upper\", but this is the file of \"Upper\"", false);
	assert_package("upper", NULL, false);
	assert_package("@scope/old",
	               "scope-old.toml is of npxc 0.3.0; 0.4 reads JSON: write the same settings to "
	               "@scope+old.json beside it, such as {\"network\"",
	               false);
	assert_package("plain", "plain.toml is of npxc 0.3.0", false);
	assert_package("@at/old", "@at-old.toml is of npxc 0.3.0", false);
	assert_package("@both/x", NULL, true);
	assert_package("../silent", "not a valid npm package name", false);
	assert_package("", "not a valid npm package name", false);
}

static void names_of_directories_files(void **state)
{
	/* printf %s /home/me/my-server | sha256sum */
	static const char *const cases[][2] = {
		{ "/home/me/my-server", "my-server-cc4d41e5.json" },
		{ "/", "directory-8a5edab2.json" },
		{ "/home/me/.hidden", "hidden-" },
		{ "/home/me/a b\"c\\d\n", "abcd-" },
		{ "/home/me/\xc3\xa4\xc3\xb6", "directory-" },
	};
	mem_cleanup char *one = package_dir_file_name("/x/same");
	mem_cleanup char *other = package_dir_file_name("/y/same");
	mem_cleanup char *path = str_printf("/%0300d", 7);
	mem_cleanup char *cut = package_dir_file_name(path);

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		mem_cleanup char *name = package_dir_file_name(cases[i][0]);

		if (!str_starts(name, cases[i][1]))
			fail_msg("%s: %s", cases[i][0], name);
		assert_true(str_ends(name, ".json"));
	}
	assert_true(str_starts(one, "same-") && str_starts(other, "same-"));
	assert_string_not_equal(one, other);
	assert_int_equal(strlen(cut), 64 + strlen("-00000000.json"));
}

/* `why` NULL: found, in `file`; "" for `file`: there is none. */
static void assert_directory(const char *path, const char *file, const char *why)
{
	struct npxc_error err = { 0 };
	struct config_package package;
	mem_cleanup char *packages = str_printf("%s/packages", directory);
	mem_cleanup char *own = package_dir_file_name(path);
	bool ok = package_dir_load(packages, path, &package, &err);

	if (ok != (why == NULL))
		fail_msg("%s: %s", path, ok ? package.file : err.message);
	if (!ok) {
		assert_int_equal(err.kind, ERROR_CONFIG);
		if (strstr(err.message, why) == NULL)
			fail_msg("\"%s\" does not say \"%s\"", err.message, why);
		return;
	}
	assert_int_equal(package.present, file[0] != '\0');
	if (!str_ends(package.file, file[0] != '\0' ? file : own))
		fail_msg("%s: %s", path, package.file);
	config_package_done(&package);
}

static void write_package_file(const char *name, const char *path, const char *more)
{
	mem_cleanup char *file = str_printf("packages/%s", name);
	mem_cleanup char *text = str_printf("{\"package_dir\": \"%s\"%s}", path, more);

	write_file(file, text);
}

static void files_of_directories(void **state)
{
	struct npxc_error err = { 0 };
	mem_cleanup char *packages = str_printf("%s/packages", directory);
	mem_cleanup char *clone = str_printf("%s/clone", directory);
	mem_cleanup char *real = NULL;
	mem_cleanup char *link = str_printf("%s/link", directory);
	mem_cleanup char *beneath = str_printf("%s/clone/sub", directory);
	mem_cleanup char *namesake = str_printf("%s/other/clone", directory);
	mem_cleanup char *longer = str_printf("%s/clone-2", directory);
	mem_cleanup char *gone = str_printf("%s/gone", directory);
	mem_cleanup char *own = NULL;
	mem_cleanup char *own_file = NULL;

	(void)state;
	assert_true(file_make_directories(clone, 0755, &err) && file_real_path(clone, &real, &err));
	assert_int_equal(symlink("clone", link), 0);
	own = package_dir_file_name(real);
	own_file = str_printf("packages/%s", own);
	assert_directory(real, "", NULL); /* there is not even a directory of files */
	assert_true(file_make_directories(packages, 0755, &err));
	assert_directory(real, "", NULL);

	/* What it calls itself, and what other directories' files are called, says nothing. */
	write_file("packages/clone.json", "{\"network\": {\"mode\": \"open\"}}");
	assert_true(file_make_directories(beneath, 0755, &err) && file_make_directories(namesake, 0755, &err) &&
	            file_make_directories(longer, 0755, &err));
	write_package_file("sub.json", beneath, "");
	write_package_file("namesake.json", namesake, "");
	write_package_file("longer.json", longer, "");
	write_package_file("above.json", directory, "");
	write_package_file("link.txt", real, "");
	write_package_file(".hidden.json", real, "");
	assert_directory(real, "", NULL);
	write_package_file("x.json", link, ", \"outputs\": true"); /* where it leads counts */
	assert_directory(real, "/x.json", NULL);
	assert_directory(link, "", NULL); /* a real path is asked for */
	write_package_file("gone.json", gone, "");
	assert_directory(gone, "/gone.json", NULL);

	write_package_file("y.json", real, "");
	assert_directory(real, NULL, "/y.json are both for ");
	write_file("packages/y.json", "{ broken");
	assert_directory(real, "/x.json", NULL);
	write_file("packages/y.json", "{ \"package_dir\": \"/elsewhere\", }");
	assert_directory(real, NULL, "/y.json:1: ");
	write_file("packages/y.json", "{}");
	write_file("packages/x.json", "{}");

	/* The file that `npxc learn --write` makes is refused when it does not say whose it is. */
	write_file(own_file, "{}");
	assert_directory(real, NULL, "has the name of a file for ");
	write_package_file(own, real, "");
	assert_directory(real, own, NULL);
}

/* The package of a name has nothing of a file that is a directory's. */
static void a_directorys_file_is_no_packages(void **state)
{
	(void)state;
	write_file("mine.json", "{\"package_dir\": \"/home/me/mine\", \"network\": {\"mode\": \"open\"}}");
	assert_package("mine", NULL, false);
	write_file("mine.json", "{\"network\": {\"mode\": \"open\"}}");
	assert_package("mine", NULL, true);
}

static void a_file_with_nearly_a_packages_name_is_noticed(void **state)
{
	static const struct {
		const char *file, *package;
		bool near;
	} cases[] = {
		{ "@scope-server.json", "@scope/server", true },
		{ "scope+server.json", "@scope/server", true },
		{ "@scope__server.json", "@scope/server", true },
		{ "server.json", "@scope/server", true },
		{ "@scope+Server.json", "@scope/server", true },
		{ "@scope+server.jsonc", "@scope/server", true },
		{ "@scope+server", "@scope/server", true },
		{ "@scope+sevrer.json", "@scope/server", true },
		{ "mcp-remot.json", "mcp-remote", true },
		{ "mcp_remote.json", "mcp-remote", true },
		{ "mcp-proxy.json", "mcp-remote", false },
		{ "@other+server.json", "@scope/server", false },
		{ "scope.json", "@scope/server", false },
		{ "a.json", "b", false },
		{ "abc.json", "abd", false },
		{ "---.json", "mcp-remote", false },
		{ ".json", "mcp-remote", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		mem_cleanup char *key = spec_package_key(cases[i].package);

		if (load_is_near(cases[i].file, key) != cases[i].near)
			fail_msg("%s for %s", cases[i].file, cases[i].package);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_file_with_nearly_a_packages_name_is_noticed),
		cmocka_unit_test(the_shared_cases),
		cmocka_unit_test(the_schemas_have_the_parsers_keys),
		cmocka_unit_test(the_schemas_defaults_are_the_parsers),
		cmocka_unit_test(an_absent_file_is_all_defaults),
		cmocka_unit_test(every_value_arrives),
		cmocka_unit_test(each_word_for_the_project_is_read),
		cmocka_unit_test(amounts_of_memory),
		cmocka_unit_test(numbers_of_processors),
		cmocka_unit_test(mounts_of_flags),
		cmocka_unit_test(names_of_variables),
		cmocka_unit_test(what_is_over_a_ceiling_is_refused),
		cmocka_unit_test_setup_teardown(files_of_settings, make_directory, remove_directory),
		cmocka_unit_test_setup_teardown(files_of_packages, make_directory, remove_directory),
		cmocka_unit_test(names_of_directories_files),
		cmocka_unit_test_setup_teardown(files_of_directories, make_directory, remove_directory),
		cmocka_unit_test_setup_teardown(a_directorys_file_is_no_packages, make_directory, remove_directory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
