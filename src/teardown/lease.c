#include "teardown/lease.h"

#include "base/limits.h"
#include "base/mem.h"
#include "json/parse.h"
#include "json/texts.h"

#include <cjson/cJSON.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

static const char *const stop_words[] = {
	[GROUP_STOP_LEADER] = "leader",
	[GROUP_STOP_LEADER_KILL] = "leader-kill",
	[GROUP_STOP_INNER] = "inner",
};
enum { STOP_COUNT = sizeof(stop_words) / sizeof(stop_words[0]) };

bool lease_is_of_boot(const struct lease *lease, const char *boot)
{
	return lease->boot != NULL && lease->boot[0] != '\0' && strcmp(lease->boot, boot) == 0;
}

int64_t lease_uptime_ms(const struct lease *lease, const char *boot, int64_t boot_ms)
{
	if (!lease_is_of_boot(lease, boot) || boot_ms < lease->started_boot_ms)
		return -1;
	return boot_ms - lease->started_boot_ms;
}

static bool differ(const char *a, const char *b)
{
	return !str_is_empty(a) && !str_is_empty(b) && !str_equal(a, b);
}

const char *lease_elsewhere(const struct lease *lease, const char *boot, const char *machine, uint64_t pids)
{
	const bool here = lease_is_of_boot(lease, boot);

	if (differ(lease->machine, machine) || (str_is_empty(machine) && !str_is_empty(lease->machine) && !here))
		return "it is another machine's, or another container's";
	if (here && lease->pids != 0 && pids != 0 && lease->pids != pids)
		return "its processes are in another pid namespace (a container)";
	return NULL;
}

/* ---- structs ---- */

const char *lease_entry_name(const struct lease_entry *entry)
{
	return resource_name(entry->kind, &entry->words);
}

struct lease_process lease_entry_process(const struct lease_entry *entry)
{
	struct lease_process process = { 0 };
	const bool fine = resource_process(&entry->words, &process.pid, &process.started);

	return fine ? process : (struct lease_process){ 0 };
}

void lease_entry_done(struct lease_entry *entry)
{
	strv_done(&entry->words);
}

/* All text of a lease; first the facts, by their keys. */
static const struct {
	const char *key;
	size_t offset;
} texts[] = {
	{ "name", offsetof(struct lease, name) },        { "package", offsetof(struct lease, package) },
	{ "version", offsetof(struct lease, version) },  { "runtime", offsetof(struct lease, runtime) },
	{ "policy", offsetof(struct lease, policy) },    { "link", offsetof(struct lease, link) },
	{ "npxc", offsetof(struct lease, npxc) },        { "id", offsetof(struct lease, id) },
	{ "boot", offsetof(struct lease, boot) },        { "machine", offsetof(struct lease, machine) },
	{ "name", offsetof(struct lease, client_name) },
};
enum { TEXT_COUNT = sizeof(texts) / sizeof(texts[0]) };

static char **text_of(const struct lease *lease, size_t i)
{
	return (char **)((uintptr_t)lease + texts[i].offset);
}

static void set_text(char **slot, const char *text)
{
	free(*slot);
	*slot = str_dup(text);
}

void lease_done(struct lease *lease)
{
	for (size_t i = 0; i < TEXT_COUNT; i++)
		free(*text_of(lease, i));
	for (size_t i = 0; i < lease->count; i++)
		lease_entry_done(&lease->entries[i]);
	free(lease->entries);
	strv_done(&lease->shares);
	*lease = (struct lease){ 0 };
}

bool lease_set_facts(struct lease *lease, const struct strv *words)
{
	if (words->count < LEASE_FACTS)
		return false;
	for (size_t i = 0; i < LEASE_FACTS; i++)
		set_text(text_of(lease, i), words->v[i]);
	strv_done(&lease->shares);
	strv_push_all(&lease->shares, (const char *const *)words->v + LEASE_FACTS, words->count - LEASE_FACTS);
	return true;
}

/* ---- writing ---- */

static char *line_of(cJSON *owned)
{
	char *text = cJSON_PrintUnformatted(owned);
	char *line = str_printf("%s\n", text == NULL ? "{}" : text);

	free(text);
	cJSON_Delete(owned);
	return line;
}

static void add_text(cJSON *object, const char *key, const char *text)
{
	cJSON_AddStringToObject(object, key, text == NULL ? "" : text);
}

static void add_process(cJSON *object, const char *key, const struct lease_process *process, const char *name)
{
	cJSON *inner = cJSON_AddObjectToObject(object, key);

	cJSON_AddNumberToObject(inner, "pid", (double)process->pid);
	cJSON_AddNumberToObject(inner, "started", (double)process->started);
	if (name != NULL)
		cJSON_AddStringToObject(inner, "name", name);
}

char *lease_line_header(const struct lease *lease)
{
	cJSON *line = cJSON_CreateObject();

	cJSON_AddNumberToObject(line, "lease", LEASE_FORMAT);
	add_text(line, "npxc", lease->npxc);
	add_text(line, "id", lease->id);
	add_text(line, "boot", lease->boot);
	if (!str_is_empty(lease->machine))
		add_text(line, "machine", lease->machine);
	if (lease->pids != 0)
		cJSON_AddNumberToObject(line, "pids", (double)lease->pids);
	cJSON_AddNumberToObject(line, "started_at", (double)lease->started_at_ms);
	cJSON_AddNumberToObject(line, "started_boot", (double)lease->started_boot_ms);
	add_process(line, "launcher", &lease->launcher, NULL);
	add_process(line, "janitor", &lease->janitor, NULL);
	add_process(line, "client", &lease->client, lease->client_name == NULL ? "" : lease->client_name);
	return line_of(line);
}

char *lease_line_facts(const struct lease *lease)
{
	cJSON *line = cJSON_CreateObject();
	cJSON *facts = cJSON_AddObjectToObject(line, "facts");

	for (size_t i = 0; i < LEASE_FACTS; i++)
		add_text(facts, texts[i].key, *text_of(lease, i));
	if (lease->shares.count > 0)
		cJSON_AddItemToObject(facts, "shares", texts_to_json(&lease->shares));
	return line_of(line);
}

char *lease_line_hold(const struct lease_entry *entry)
{
	cJSON *line = cJSON_CreateObject();
	cJSON *hold = cJSON_AddObjectToObject(line, "hold");

	cJSON_AddNumberToObject(hold, "id", entry->id);
	cJSON_AddStringToObject(hold, "kind", resource_kind_word(entry->kind));
	switch (resource_shape(entry->kind)) {
	case RESOURCE_SHAPE_PATH:
		cJSON_AddStringToObject(hold, "path", entry->words.v[0]);
		break;
	case RESOURCE_SHAPE_PROCESS:
		cJSON_AddNumberToObject(hold, "pid", (double)lease_entry_process(entry).pid);
		cJSON_AddNumberToObject(hold, "started", (double)lease_entry_process(entry).started);
		break;
	case RESOURCE_SHAPE_NAMED:
		cJSON_AddStringToObject(hold, "cli", entry->words.v[RESOURCE_WORD_CLI]);
		cJSON_AddStringToObject(hold, "runtime", entry->words.v[RESOURCE_WORD_RUNTIME]);
		cJSON_AddStringToObject(hold, "name", entry->words.v[RESOURCE_WORD_NAME]);
		cJSON *environment = cJSON_AddArrayToObject(hold, "environment");
		for (size_t i = RESOURCE_WORDS; i < entry->words.count; i++)
			if (!resource_is_secret(entry->words.v[i]))
				cJSON_AddItemToArray(environment, cJSON_CreateString(entry->words.v[i]));
		break;
	}
	return line_of(line);
}

char *lease_line_release(unsigned id)
{
	return str_printf("{\"release\":%u}\n", id);
}

char *lease_line_sandbox(const struct lease_process *process, enum group_stop stop)
{
	cJSON *line = cJSON_CreateObject();

	if (process->pid == 0) {
		cJSON_AddNullToObject(line, "sandbox");
	} else {
		add_process(line, "sandbox", process, NULL);
		add_text(cJSON_GetObjectItemCaseSensitive(line, "sandbox"), "asked", stop_words[stop]);
	}
	return line_of(line);
}

char *lease_line_janitor(const struct lease_process *process)
{
	cJSON *line = cJSON_CreateObject();

	add_process(line, "janitor", process, NULL);
	return line_of(line);
}

/* ---- reading ---- */

static const cJSON *member(const cJSON *object, const char *key)
{
	return cJSON_GetObjectItemCaseSensitive(object, key);
}

static bool ill(const char *key, struct npxc_error *err)
{
	error_set(err, ERROR_JSON, "\"%s\" is missing or of the wrong kind", key);
	return false;
}

static bool read_number(const cJSON *object, const char *key, double max, uint64_t *ret_number, struct npxc_error *err)
{
	const cJSON *value = member(object, key);

	if (!cJSON_IsNumber(value) || !(value->valuedouble >= 0) || value->valuedouble > max ||
	    value->valuedouble > (double)(uint64_t)value->valuedouble)
		return ill(key, err);
	*ret_number = (uint64_t)value->valuedouble;
	return true;
}

static bool read_text(const cJSON *object, const char *key, char **slot, struct npxc_error *err)
{
	const cJSON *value = member(object, key);

	if (!cJSON_IsString(value))
		return ill(key, err);
	set_text(slot, value->valuestring);
	return true;
}

static bool read_process(const cJSON *object, const char *key, struct lease_process *ret_process,
                         struct npxc_error *err)
{
	const cJSON *value = member(object, key);
	uint64_t pid;

	if (!cJSON_IsObject(value) || !read_number(value, "pid", INT32_MAX, &pid, err) ||
	    !read_number(value, "started", (double)RESOURCE_NUMBER_MAX, &ret_process->started, err))
		return ill(key, err);
	ret_process->pid = (pid_t)pid;
	return true;
}

static bool read_header(const cJSON *line, struct lease *lease, struct npxc_error *err)
{
	uint64_t format, at, boot;

	if (!read_number(line, "lease", (double)RESOURCE_NUMBER_MAX, &format, err))
		return false;
	if (format > LEASE_FORMAT)
		return error_set(err, ERROR_JSON, "a newer npxc wrote it (format %llu, this one reads up to %d)",
		                 (unsigned long long)format, LEASE_FORMAT);
	if (format < 1)
		return ill("lease", err);
	if (!read_text(line, "npxc", &lease->npxc, err) || !read_text(line, "id", &lease->id, err) ||
	    !read_text(line, "boot", &lease->boot, err) ||
	    !read_number(line, "started_at", (double)RESOURCE_NUMBER_MAX, &at, err) ||
	    !read_number(line, "started_boot", (double)RESOURCE_NUMBER_MAX, &boot, err) ||
	    !read_process(line, "launcher", &lease->launcher, err) ||
	    !read_process(line, "janitor", &lease->janitor, err) ||
	    !read_process(line, "client", &lease->client, err) ||
	    !read_text(member(line, "client"), "name", &lease->client_name, err))
		return false;
	if (!resource_is_id(lease->id))
		return ill("id", err);
	/* 0.4.0 wrote neither. */
	if ((member(line, "machine") != NULL && !read_text(line, "machine", &lease->machine, err)) ||
	    (member(line, "pids") != NULL &&
	     !read_number(line, "pids", (double)RESOURCE_NUMBER_MAX, &lease->pids, err)))
		return false;
	lease->started_at_ms = (int64_t)at;
	lease->started_boot_ms = (int64_t)boot;
	return true;
}

static bool read_shares(const cJSON *facts, struct strv *shares, struct npxc_error *err)
{
	const cJSON *list = member(facts, "shares");
	const cJSON *word;

	strv_done(shares);
	if (list != NULL && !cJSON_IsArray(list))
		return ill("shares", err);
	cJSON_ArrayForEach(word, list)
	{
		const char *text = cJSON_GetStringValue(word);

		if (text == NULL || (text[0] != 'r' && text[0] != 'w') || text[1] != '/')
			return ill("shares", err);
		strv_push(shares, text);
	}
	return true;
}

static bool read_facts(const cJSON *facts, struct lease *lease, struct npxc_error *err)
{
	for (size_t i = 0; i < LEASE_FACTS; i++)
		if (!read_text(facts, texts[i].key, text_of(lease, i), err))
			return false;
	return read_shares(facts, &lease->shares, err);
}

static bool push_text(const cJSON *object, const char *key, struct strv *words, struct npxc_error *err)
{
	char *text = NULL;

	if (!read_text(object, key, &text, err))
		return false;
	strv_push_owned(words, text);
	return true;
}

static bool push_number(const cJSON *object, const char *key, double max, struct strv *words, struct npxc_error *err)
{
	uint64_t number = 0;

	if (!read_number(object, key, max, &number, err))
		return false;
	strv_pushf(words, "%llu", (unsigned long long)number);
	return true;
}

static bool read_words(const cJSON *hold, enum resource_shape shape, struct strv *words, struct npxc_error *err)
{
	const cJSON *environment = member(hold, "environment");
	const cJSON *variable;

	if (shape == RESOURCE_SHAPE_PATH)
		return push_text(hold, "path", words, err);
	if (shape == RESOURCE_SHAPE_PROCESS)
		return push_number(hold, "pid", INT32_MAX, words, err) &&
		       push_number(hold, "started", (double)RESOURCE_NUMBER_MAX, words, err);
	if (!push_text(hold, "cli", words, err) || !push_text(hold, "runtime", words, err) ||
	    !push_text(hold, "name", words, err))
		return false;
	if (!cJSON_IsArray(environment))
		return ill("environment", err);
	cJSON_ArrayForEach(variable, environment)
	{
		if (!cJSON_IsString(variable))
			return ill("environment", err);
		strv_push(words, variable->valuestring);
	}
	return true;
}

static bool read_hold(const cJSON *hold, struct lease *lease, struct npxc_error *err)
{
	struct lease_entry entry = { 0 };
	mem_cleanup char *word = NULL;
	uint64_t id;

	if (!read_number(hold, "id", INT32_MAX, &id, err) || !read_text(hold, "kind", &word, err))
		return false;
	if (!resource_kind_of(word, &entry.kind))
		return ill("kind", err);
	if (id <= lease->last_id)
		return error_set(err, ERROR_JSON, "resource %llu out of its order", (unsigned long long)id);
	if (lease->count == LIMIT_JANITOR_ENTRIES)
		return error_set(err, ERROR_JSON, "it holds more than %d resources", LIMIT_JANITOR_ENTRIES);
	entry.id = (unsigned)id;
	bool fine = read_words(hold, resource_shape(entry.kind), &entry.words, err);
	const char *objection = fine ? resource_objection(entry.kind, &entry.words) : NULL;
	if (objection != NULL)
		fine = error_set(err, ERROR_JSON, "resource %u: %s", entry.id, objection);
	if (!fine) {
		lease_entry_done(&entry);
		return false;
	}
	lease->entries = mem_realloc(lease->entries, lease->count + 1, sizeof(*lease->entries));
	lease->entries[lease->count++] = entry;
	lease->last_id = entry.id;
	return true;
}

static bool read_release(const cJSON *line, struct lease *lease, struct npxc_error *err)
{
	uint64_t id;

	if (!read_number(line, "release", INT32_MAX, &id, err))
		return false;
	for (size_t i = 0; i < lease->count; i++) {
		if (lease->entries[i].id != id)
			continue;
		lease_entry_done(&lease->entries[i]);
		lease->count--;
		memmove(&lease->entries[i], &lease->entries[i + 1], (lease->count - i) * sizeof(*lease->entries));
		return true;
	}
	return error_set(err, ERROR_JSON, "it releases %llu, which it does not hold", (unsigned long long)id);
}

static bool read_sandbox(const cJSON *line, struct lease *lease, struct npxc_error *err)
{
	const cJSON *sandbox = member(line, "sandbox");
	struct lease_process process = { 0 };
	mem_cleanup char *word = NULL;
	unsigned stop = 0;

	lease->sandbox = process;
	if (cJSON_IsNull(sandbox))
		return true;
	if (!read_process(line, "sandbox", &process, err) || !read_text(sandbox, "asked", &word, err))
		return false;
	while (stop < STOP_COUNT && strcmp(stop_words[stop], word) != 0)
		stop++;
	if (stop == STOP_COUNT || process.pid <= 1)
		return ill("sandbox", err);
	lease->sandbox = process;
	lease->stop = (enum group_stop)stop;
	return true;
}

static bool read_line(const cJSON *line, bool first, struct lease *lease, struct npxc_error *err)
{
	if (!cJSON_IsObject(line))
		return error_set(err, ERROR_JSON, "it is not a JSON object");
	if (first)
		return read_header(line, lease, err);
	const cJSON *only = line->child != NULL && line->child->next == NULL ? line->child : NULL;
	if (only != NULL && strcmp(only->string, "facts") == 0)
		return read_facts(only, lease, err);
	if (only != NULL && strcmp(only->string, "hold") == 0)
		return read_hold(only, lease, err);
	if (only != NULL && strcmp(only->string, "release") == 0)
		return read_release(line, lease, err);
	if (only != NULL && strcmp(only->string, "sandbox") == 0)
		return read_sandbox(line, lease, err);
	if (only != NULL && strcmp(only->string, "janitor") == 0)
		return read_process(line, "janitor", &lease->janitor, err);
	return error_set(err, ERROR_JSON, "it says nothing that this npxc knows");
}

bool lease_parse(const char *text, size_t length, struct lease *ret_lease, struct npxc_error *err)
{
	struct lease lease = { 0 };
	unsigned number = 0;
	bool fine = true;

	if (length > LIMIT_LEASE_BYTES)
		return error_set(err, ERROR_JSON, "a lease of more than %zu bytes", LIMIT_LEASE_BYTES);
	while (fine && length > 0) {
		const char *newline = memchr(text, '\n', length);
		size_t count;

		if (newline == NULL)
			break;
		count = (size_t)(newline - text);
		number++;
		cJSON *line = parse_text(text, count);
		if (line == NULL)
			fine = error_set(err, ERROR_JSON, "it is not JSON");
		else
			fine = read_line(line, number == 1, &lease, err);
		cJSON_Delete(line);
		text += count + 1;
		length -= count + 1;
	}
	if (!fine) {
		error_prefix(err, "line %u", number);
		lease_done(&lease);
		return false;
	}
	for (size_t i = 0; i < TEXT_COUNT; i++) /* what was not given is "" */
		if (*text_of(&lease, i) == NULL)
			set_text(text_of(&lease, i), "");
	*ret_lease = lease;
	return true;
}
