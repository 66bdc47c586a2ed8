#include "teardown/lease.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/proc.h"
#include "base/random.h"
#include "network/network.h"
#include "runtime/runtime.h"
#include "json/parse.h"

#include <cjson/cJSON.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEX_DIGITS "0123456789abcdef"

enum { SESSION_NAME_BYTES = 63 };

/* ---- words ---- */

enum shape {
	SHAPE_PATH,
	SHAPE_NAMED, /* by a runtime: a CLI, the runtime, a name, an environment */
	SHAPE_PROCESS,
};

static const struct {
	const char *word;
	enum shape shape;
} kinds[] = {
	[JANITOR_CGROUP] = { "cgroup", SHAPE_PATH },    [JANITOR_DIRECTORY] = { "directory", SHAPE_PATH },
	[JANITOR_FILE] = { "file", SHAPE_PATH },        [JANITOR_CONTAINER] = { "container", SHAPE_NAMED },
	[JANITOR_NETWORK] = { "network", SHAPE_NAMED }, [JANITOR_PROCESS] = { "process", SHAPE_PROCESS },
	[JANITOR_GUARDS] = { "guards", SHAPE_PATH },
};
enum { KIND_COUNT = sizeof(kinds) / sizeof(kinds[0]) };

static const char *const stop_words[] = {
	[GROUP_STOP_LEADER] = "leader",
	[GROUP_STOP_LEADER_KILL] = "leader-kill",
	[GROUP_STOP_INNER] = "inner",
};
enum { STOP_COUNT = sizeof(stop_words) / sizeof(stop_words[0]) };

const char *lease_kind_word(enum janitor_resource kind)
{
	return kinds[kind].word;
}

const char *lease_entry_name(const struct lease_entry *entry)
{
	return entry->words.v[kinds[entry->kind].shape == SHAPE_NAMED ? JANITOR_WORD_NAME : 0];
}

bool lease_is_id(const char *text)
{
	return strlen(text) == LEASE_ID_DIGITS && strspn(text, HEX_DIGITS) == LEASE_ID_DIGITS;
}

bool lease_is_session_name(const char *text)
{
	const size_t length = strlen(text);

	if (length < strlen("npxc-a-00000000") || length > SESSION_NAME_BYTES || !str_starts(text, "npxc-"))
		return false;
	if (strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-") != length || text[strlen("npxc-")] == '-')
		return false;
	return text[length - LEASE_ID_DIGITS - 1] == '-' && lease_is_id(text + length - LEASE_ID_DIGITS);
}

static const char *objection_to_path(enum janitor_resource kind, const struct strv *words)
{
	const char *path = words->v[0];
	mem_cleanup char *clean = path[0] == '/' ? str_path_clean(path) : NULL;

	if (clean == NULL)
		return "the path is not absolute";
	if (words->count != 1 || strcmp(clean, path) != 0 || strcmp(clean, "/") == 0)
		return "the path is not a clean one";
	if (strchr(path + 1, '/') == NULL)
		return "the path is a top one";
	if (kind == JANITOR_CGROUP && !str_starts(strrchr(path, '/'), "/npxc-"))
		return "not a cgroup that npxc makes";
	return NULL;
}

static const char *objection_to_named(enum janitor_resource kind, const struct strv *words)
{
	struct npxc_error ignored = { 0 };
	enum runtime_kind runtime;
	mem_cleanup char *clean =
	    words->v[JANITOR_WORD_CLI][0] == '/' ? str_path_clean(words->v[JANITOR_WORD_CLI]) : NULL;
	const char *name;

	if (clean == NULL || strcmp(clean, words->v[JANITOR_WORD_CLI]) != 0)
		return "the path of the CLI is not absolute and clean";
	if (words->count < JANITOR_WORDS)
		return "no runtime or name";
	if (strcmp(words->v[JANITOR_WORD_RUNTIME], "auto") == 0 ||
	    !runtime_kind_of(words->v[JANITOR_WORD_RUNTIME], &runtime, &ignored) ||
	    !runtime_driver(runtime)->has_containers)
		return "no runtime that has containers and networks";
	name = words->v[JANITOR_WORD_NAME];
	if (kind == JANITOR_NETWORK && !network_is_managed_name(name))
		return "not a network that npxc makes";
	if (kind == JANITOR_CONTAINER && !lease_is_session_name(name))
		return "not a container that npxc makes";
	for (size_t i = JANITOR_WORDS; i < words->count; i++)
		if (words->v[i][0] == '=' || strchr(words->v[i], '=') == NULL)
			return "not an environment variable";
	return NULL;
}

/* Doubles hold these exactly; what is larger was not written by npxc. */
#define NUMBER_MAX 9007199254740992.0

static bool process_of_words(const struct strv *words, struct lease_process *ret_process)
{
	uint64_t pid;

	if (words->count != 2 || !str_to_u64(words->v[0], INT32_MAX, &pid) ||
	    !str_to_u64(words->v[1], (uint64_t)NUMBER_MAX, &ret_process->started))
		return false;
	ret_process->pid = (pid_t)pid;
	return true;
}

static const char *objection_to_process(const struct strv *words)
{
	struct lease_process process;

	if (!process_of_words(words, &process))
		return "not a pid and the moment of its start";
	if (process.pid <= 1)
		return "not a process that npxc starts";
	if (process.started == 0)
		return "it cannot be told when the process started";
	return NULL;
}

struct lease_process lease_entry_process(const struct lease_entry *entry)
{
	struct lease_process process = { 0 };

	return process_of_words(&entry->words, &process) ? process : (struct lease_process){ 0 };
}

const char *lease_objection(enum janitor_resource kind, const struct strv *words)
{
	if (words->count == 0)
		return "a resource without a name";
	if ((unsigned)kind >= KIND_COUNT)
		return "unknown kind of resource";
	switch (kinds[kind].shape) {
	case SHAPE_NAMED:
		return objection_to_named(kind, words);
	case SHAPE_PROCESS:
		return objection_to_process(words);
	case SHAPE_PATH:
		break;
	}
	return objection_to_path(kind, words);
}

bool lease_is_secret(const char *variable)
{
	static const char *const parts[] = { "PASS", "SECRET", "TOKEN", "AUTH", "CREDENTIAL", "_KEY" };
	mem_cleanup char *name = str_dup_n(variable, strcspn(variable, "="));

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (strcasestr(name, parts[i]) != NULL)
			return true;
	return false;
}

static bool is_of_boot(const struct lease *lease, const char *boot)
{
	return lease->boot != NULL && lease->boot[0] != '\0' && strcmp(lease->boot, boot) == 0;
}

int64_t lease_uptime_ms(const struct lease *lease, const char *boot, int64_t boot_ms)
{
	if (!is_of_boot(lease, boot) || boot_ms < lease->started_boot_ms)
		return -1;
	return boot_ms - lease->started_boot_ms;
}

static bool differ(const char *a, const char *b)
{
	return !str_is_empty(a) && !str_is_empty(b) && !str_equal(a, b);
}

const char *lease_elsewhere(const struct lease *lease, const char *boot, const char *machine, uint64_t pids)
{
	const bool here = is_of_boot(lease, boot);

	if (differ(lease->machine, machine) || (str_is_empty(machine) && !str_is_empty(lease->machine) && !here))
		return "it is another machine's, or another container's";
	if (here && lease->pids != 0 && pids != 0 && lease->pids != pids)
		return "its processes are in another pid namespace (a container)";
	return NULL;
}

/* ---- structs ---- */

void lease_entry_done(struct lease_entry *entry)
{
	strv_done(&entry->words);
}

void lease_done(struct lease *lease)
{
	char *const owned[] = { lease->id,     lease->npxc,    lease->boot,    lease->client_name,
		                lease->name,   lease->package, lease->version, lease->runtime,
		                lease->policy, lease->link,    lease->machine };

	for (size_t i = 0; i < sizeof(owned) / sizeof(owned[0]); i++)
		free(owned[i]);
	for (size_t i = 0; i < lease->count; i++)
		lease_entry_done(&lease->entries[i]);
	free(lease->entries);
	strv_done(&lease->shares);
	*lease = (struct lease){ 0 };
}

/* Text that nobody gave is "". */
static void fill_text(struct lease *lease)
{
	char **const texts[] = { &lease->id,     &lease->npxc,    &lease->boot,    &lease->client_name,
		                 &lease->name,   &lease->package, &lease->version, &lease->runtime,
		                 &lease->policy, &lease->link,    &lease->machine };

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (*texts[i] == NULL)
			*texts[i] = str_dup("");
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

	add_text(facts, "name", lease->name);
	add_text(facts, "package", lease->package);
	add_text(facts, "version", lease->version);
	add_text(facts, "runtime", lease->runtime);
	add_text(facts, "policy", lease->policy);
	add_text(facts, "link", lease->link);
	cJSON *shares = lease->shares.count > 0 ? cJSON_AddArrayToObject(facts, "shares") : NULL;
	for (size_t i = 0; i < lease->shares.count; i++)
		cJSON_AddItemToArray(shares, cJSON_CreateString(lease->shares.v[i]));
	return line_of(line);
}

char *lease_line_hold(const struct lease_entry *entry)
{
	cJSON *line = cJSON_CreateObject();
	cJSON *hold = cJSON_AddObjectToObject(line, "hold");

	cJSON_AddNumberToObject(hold, "id", entry->id);
	cJSON_AddStringToObject(hold, "kind", kinds[entry->kind].word);
	switch (kinds[entry->kind].shape) {
	case SHAPE_PATH:
		cJSON_AddStringToObject(hold, "path", entry->words.v[0]);
		break;
	case SHAPE_PROCESS:
		cJSON_AddNumberToObject(hold, "pid", (double)lease_entry_process(entry).pid);
		cJSON_AddNumberToObject(hold, "started", (double)lease_entry_process(entry).started);
		break;
	case SHAPE_NAMED:
		cJSON_AddStringToObject(hold, "cli", entry->words.v[JANITOR_WORD_CLI]);
		cJSON_AddStringToObject(hold, "runtime", entry->words.v[JANITOR_WORD_RUNTIME]);
		cJSON_AddStringToObject(hold, "name", entry->words.v[JANITOR_WORD_NAME]);
		cJSON *environment = cJSON_AddArrayToObject(hold, "environment");
		for (size_t i = JANITOR_WORDS; i < entry->words.count; i++)
			if (!lease_is_secret(entry->words.v[i]))
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
	return error_set(err, ERROR_JSON, "\"%s\" is missing or of the wrong kind", key);
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
	free(*slot);
	*slot = str_dup(value->valuestring);
	return true;
}

static bool read_process(const cJSON *object, const char *key, struct lease_process *ret_process,
                         struct npxc_error *err)
{
	const cJSON *value = member(object, key);
	uint64_t pid;

	if (!cJSON_IsObject(value) || !read_number(value, "pid", INT32_MAX, &pid, err) ||
	    !read_number(value, "started", NUMBER_MAX, &ret_process->started, err))
		return ill(key, err);
	ret_process->pid = (pid_t)pid;
	return true;
}

static bool read_header(const cJSON *line, struct lease *lease, struct npxc_error *err)
{
	uint64_t format, at, boot;

	if (!read_number(line, "lease", NUMBER_MAX, &format, err))
		return false;
	if (format > LEASE_FORMAT)
		return error_set(err, ERROR_JSON, "a newer npxc wrote it (format %llu, this one reads up to %d)",
		                 (unsigned long long)format, LEASE_FORMAT);
	if (format < 1)
		return ill("lease", err);
	if (!read_text(line, "npxc", &lease->npxc, err) || !read_text(line, "id", &lease->id, err) ||
	    !read_text(line, "boot", &lease->boot, err) || !read_number(line, "started_at", NUMBER_MAX, &at, err) ||
	    !read_number(line, "started_boot", NUMBER_MAX, &boot, err) ||
	    !read_process(line, "launcher", &lease->launcher, err) ||
	    !read_process(line, "janitor", &lease->janitor, err) ||
	    !read_process(line, "client", &lease->client, err) ||
	    !read_text(member(line, "client"), "name", &lease->client_name, err))
		return false;
	if (!lease_is_id(lease->id))
		return ill("id", err);
	/* 0.4.0 wrote neither. */
	if ((member(line, "machine") != NULL && !read_text(line, "machine", &lease->machine, err)) ||
	    (member(line, "pids") != NULL && !read_number(line, "pids", NUMBER_MAX, &lease->pids, err)))
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
	return read_text(facts, "name", &lease->name, err) && read_text(facts, "package", &lease->package, err) &&
	       read_text(facts, "version", &lease->version, err) && read_text(facts, "runtime", &lease->runtime, err) &&
	       read_text(facts, "policy", &lease->policy, err) && read_text(facts, "link", &lease->link, err) &&
	       read_shares(facts, &lease->shares, err);
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

static bool read_words(const cJSON *hold, enum shape shape, struct strv *words, struct npxc_error *err)
{
	const cJSON *environment = member(hold, "environment");
	const cJSON *variable;

	if (shape == SHAPE_PATH)
		return push_text(hold, "path", words, err);
	if (shape == SHAPE_PROCESS)
		return push_number(hold, "pid", INT32_MAX, words, err) &&
		       push_number(hold, "started", NUMBER_MAX, words, err);
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
	unsigned kind = 0;
	uint64_t id;

	if (!read_number(hold, "id", INT32_MAX, &id, err) || !read_text(hold, "kind", &word, err))
		return false;
	while (kind < KIND_COUNT && strcmp(kinds[kind].word, word) != 0)
		kind++;
	if (kind == KIND_COUNT)
		return ill("kind", err);
	if (id <= lease->last_id)
		return error_set(err, ERROR_JSON, "resource %llu out of its order", (unsigned long long)id);
	if (lease->count == LIMIT_JANITOR_ENTRIES)
		return error_set(err, ERROR_JSON, "it holds more than %d resources", LIMIT_JANITOR_ENTRIES);
	entry.id = (unsigned)id;
	entry.kind = (enum janitor_resource)kind;
	bool fine = read_words(hold, kinds[kind].shape, &entry.words, err);
	const char *objection = fine ? lease_objection(entry.kind, &entry.words) : NULL;
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
	fill_text(&lease);
	*ret_lease = lease;
	return true;
}

/* ---- processes ---- */

struct lease_process lease_process_of(pid_t pid)
{
	struct proc_look look = { 0 };

	if (!proc_look(pid, &look))
		look.started = 0;
	return (struct lease_process){ .pid = pid, .started = look.started };
}

bool lease_process_alive(const struct lease *lease, const struct lease_process *process, const char *boot)
{
	struct proc_look look;

	return process->pid > 0 && process->started > 0 && is_of_boot(lease, boot) && proc_look(process->pid, &look) &&
	       !look.zombie && look.started == process->started;
}

/* ---- files ---- */

char *lease_path(const char *directory, const char *id)
{
	return str_printf("%s/%s%s", directory, id, LEASE_SUFFIX);
}

char *lease_new_id(const char *directory)
{
	for (;;) {
		char *id = random_hex(LEASE_ID_DIGITS);
		mem_cleanup char *path = lease_path(directory, id);

		if (access(path, F_OK) == -1)
			return id;
		free(id);
	}
}

static bool lock(int fd, int operation, struct npxc_error *err)
{
	while (flock(fd, operation) == -1)
		if (errno != EINTR)
			return error_set_errno(err, ERROR_IO,
			                       "the lease cannot be locked; set XDG_STATE_HOME to a directory "
			                       "whose file system has locks");
	return true;
}

/* Between a file's making and its lock a sweep may take it for a dead one, which holds nothing, and remove it. */
static bool create_locked(const char *path, int *ret_fd, struct npxc_error *err)
{
	for (;;) {
		FD_CLEANUP int fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
		struct stat st;

		if (fd == -1)
			return error_set_errno(err, ERROR_IO, "create the lease %s", path);
		if (!lock(fd, LOCK_SH, err)) {
			unlink(path); /* without a lock it would look like a living session's, or a dead one's */
			return false;
		}
		if (fstat(fd, &st) == 0 && st.st_nlink == 1) {
			*ret_fd = fd_take(&fd);
			return true;
		}
	}
}

static bool sync_directory(const char *path, struct npxc_error *err)
{
	FD_CLEANUP int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd != -1 && fsync(fd) == -1 && (errno == EINVAL || errno == ENOTSUP)) {
		log_debug("lease", "%s cannot be synced on its file system: %s", path, strerror(errno));
		return true;
	}
	if (fd == -1 || fsync(fd) == -1)
		return error_set_errno(err, ERROR_IO, "sync %s", path);
	return true;
}

bool lease_create(const char *path, const char *text, int *ret_fd, struct npxc_error *err)
{
	mem_cleanup char *directory = str_dup_n(path, (size_t)(strrchr(path, '/') - path));
	FD_CLEANUP int fd = -1;

	if (!file_make_directories(directory, 0700, err) || !create_locked(path, &fd, err))
		return false;
	if (!lease_append(fd, text, true, err) || !sync_directory(directory, err)) {
		unlink(path);
		return false;
	}
	*ret_fd = fd_take(&fd);
	return true;
}

/* Data and length, as far as the kernel can be made to (on macOS the drive may still keep them back). */
static int sync_data(int fd)
{
#ifdef __APPLE__
	return fsync(fd);
#else
	return fdatasync(fd);
#endif
}

bool lease_append(int fd, const char *text, bool durable, struct npxc_error *err)
{
	const size_t count = strlen(text);
	struct stat before;

	if (fstat(fd, &before) == -1)
		return error_set_errno(err, ERROR_IO, "look at the lease");
	if ((uint64_t)before.st_size + count > LIMIT_LEASE_BYTES)
		return error_set(err, ERROR_IO, "the lease would be longer than %zu bytes", LIMIT_LEASE_BYTES);
	bool fine = fd_write_all(fd, text, count, err);
	if (fine && durable && sync_data(fd) == -1)
		fine = error_set_errno(err, ERROR_IO, "sync");
	if (fine)
		return true;
	/* What could be written of it must not stand before the next line. */
	return error_prefix(err, ftruncate(fd, before.st_size) == 0 ? "write the lease"
	                                                            : "the lease is torn and cannot be mended");
}

bool lease_share(const char *path, int *ret_fd, struct npxc_error *err)
{
	FD_CLEANUP int fd = open(path, O_RDWR | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (fd == -1)
		return error_set_errno(err, ERROR_IO, "open the lease %s", path);
	if (!lock(fd, LOCK_SH | LOCK_NB, err))
		return false;
	*ret_fd = fd_take(&fd);
	return true;
}

static bool read_whole(int fd, struct buf *text, struct npxc_error *err)
{
	if (lseek(fd, 0, SEEK_SET) == -1)
		return error_set_errno(err, ERROR_IO, "read the lease");
	return fd_read_all(fd, text, err);
}

bool lease_reread(int fd, struct lease *ret_lease, struct npxc_error *err)
{
	struct buf text BUF_CLEANUP = BUF_INIT(LIMIT_LEASE_BYTES);
	size_t whole;

	if (!read_whole(fd, &text, err))
		return false;
	whole = text.length;
	while (whole > 0 && text.data[whole - 1] != '\n')
		whole--;
	if (whole < text.length && ftruncate(fd, (off_t)whole) == -1)
		return error_set_errno(err, ERROR_IO, "cut a torn line off the lease");
	return lease_parse(text.data == NULL ? "" : text.data, whole, ret_lease, err);
}

/* ---- looking at one ---- */

static void alien(struct lease_seen *seen, const char *why)
{
	seen->state = LEASE_ALIEN;
	seen->why = str_escape(why, strlen(why));
}

/* NULL when it is a file of this user's that nobody else can have written. */
static const char *objection_to_file(const struct stat *st)
{
	if (!S_ISREG(st->st_mode))
		return "it is not a regular file";
	if (st->st_uid != geteuid())
		return "it belongs to another user";
	if ((st->st_mode & 022) != 0)
		return "others may write to it";
	if (st->st_nlink > 1)
		return "it has a second name";
	return NULL;
}

/* False: not ours to read, or gone. */
static bool open_ours(struct lease_seen *seen)
{
	const char *objection;
	struct stat st;

	seen->fd = open(seen->path, O_RDWR | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (seen->fd == -1 || fstat(seen->fd, &st) == -1) {
		seen->state = LEASE_GONE;
		if (errno != ENOENT)
			alien(seen, errno == ELOOP || errno == EMLINK ? "it is a symbolic link" : strerror(errno));
		return false;
	}
	objection = objection_to_file(&st);
	if (objection != NULL)
		alien(seen, objection);
	return objection == NULL;
}

static bool still_there(const struct lease_seen *seen)
{
	struct stat st;

	return fstat(seen->fd, &st) == 0 && st.st_nlink > 0;
}

/* Somebody who only looked holds the lock for a moment; nobody who looks like an owner lives then. */
enum { LOOK_AGAIN = 10, LOOK_PAUSE_MS = 5 };

static bool take_lock(struct lease_seen *seen, const char *boot)
{
	for (unsigned i = 0; flock(seen->fd, LOCK_EX | LOCK_NB) == -1; i++) {
		if (errno != EWOULDBLOCK && errno != EINTR) {
			mem_cleanup char *why = str_printf("it cannot be locked: %s", strerror(errno));
			alien(seen, why);
			return false;
		}
		if (WITHOUT("living") && i == LOOK_AGAIN)
			return true;
		if (!WITHOUT("living") &&
		    (i == LOOK_AGAIN || lease_process_alive(&seen->lease, &seen->lease.launcher, boot) ||
		     lease_process_alive(&seen->lease, &seen->lease.janitor, boot)))
			return false;
		poll(NULL, 0, LOOK_PAUSE_MS);
	}
	return true;
}

static bool read_seen(struct lease_seen *seen, bool mend)
{
	struct npxc_error err = { 0 };
	struct buf text BUF_CLEANUP = BUF_INIT(LIMIT_LEASE_BYTES);
	const bool fine = mend ? lease_reread(seen->fd, &seen->lease, &err)
	                       : read_whole(seen->fd, &text, &err) &&
	                             lease_parse(text.data == NULL ? "" : text.data, text.length, &seen->lease, &err);

	if (!fine)
		alien(seen, err.message);
	return fine;
}

/* Who looks, asked once: neither changes while a process lives. */
static bool is_here(struct lease_seen *seen, const char *boot)
{
	static char *machine;
	const char *where;

	if (machine == NULL)
		machine = proc_machine_id();
	where = lease_elsewhere(&seen->lease, boot, machine, proc_namespace());
	if (where != NULL) {
		seen->state = LEASE_ELSEWHERE;
		seen->why = str_dup(where);
	}
	return where == NULL;
}

bool lease_is_left_alone(enum lease_state state)
{
	return state == LEASE_ALIEN || state == LEASE_ELSEWHERE;
}

void lease_look(const char *directory, const char *file, bool take, const char *boot, struct lease_seen *ret_seen)
{
	struct lease_seen seen = { .path = str_printf("%s/%s", directory, file), .fd = -1 };

	if (open_ours(&seen) && read_seen(&seen, false) && is_here(&seen, boot)) {
		if (!take_lock(&seen, boot)) {
			if (seen.why == NULL)
				seen.state = lease_process_alive(&seen.lease, &seen.lease.launcher, boot) ||
				                     !is_of_boot(&seen.lease, boot)
				                 ? LEASE_LIVE
				                 : LEASE_ENDING;
		} else if (!still_there(&seen)) {
			seen.state = LEASE_GONE;
		} else {
			/* Its owners have gone: what they wrote last has not been read yet. */
			lease_done(&seen.lease);
			if (read_seen(&seen, take) && is_here(&seen, boot))
				seen.state = LEASE_DEAD;
		}
	}
	if (lease_is_left_alone(seen.state))
		lease_done(&seen.lease);
	if (seen.state != LEASE_DEAD || !take)
		fd_close(&seen.fd);
	*ret_seen = seen;
}

void lease_seen_done(struct lease_seen *seen)
{
	free(seen->path);
	free(seen->why);
	lease_done(&seen->lease);
	fd_close(&seen->fd);
}

const char *lease_state_word(enum lease_state state)
{
	static const char *const words[] = {
		[LEASE_LIVE] = "live",        [LEASE_ENDING] = "ending",       [LEASE_DEAD] = "dead",
		[LEASE_ALIEN] = "unreadable", [LEASE_ELSEWHERE] = "elsewhere", [LEASE_GONE] = "gone",
	};

	return words[state];
}

/* ---- the directory ---- */

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

bool lease_list(const char *directory, struct strv *ret_files, struct npxc_error *err)
{
	struct strv files = { 0 };
	DIR *stream = opendir(directory);

	if (stream == NULL)
		return errno == ENOENT || error_set_errno(err, ERROR_IO, "open %s", directory);
	for (const struct dirent *entry = readdir(stream); entry != NULL; entry = readdir(stream))
		if (str_ends(entry->d_name, LEASE_SUFFIX))
			strv_push(&files, entry->d_name);
	closedir(stream);
	if (files.count > 0)
		qsort(files.v, files.count, sizeof(*files.v), by_name);
	*ret_files = files;
	return true;
}

bool lease_any_dead(const char *directory, const struct strv *but)
{
	DIR *stream = opendir(directory);
	bool any = false;

	if (stream == NULL)
		return false;
	for (const struct dirent *entry = readdir(stream); !any && entry != NULL; entry = readdir(stream)) {
		if (!str_ends(entry->d_name, LEASE_SUFFIX) || (but != NULL && strv_contains(but, entry->d_name)))
			continue;
		FD_CLEANUP int fd =
		    openat(dirfd(stream), entry->d_name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
		any = fd != -1 && flock(fd, LOCK_EX | LOCK_NB) == 0;
	}
	closedir(stream);
	return any;
}
