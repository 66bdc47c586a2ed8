#include "teardown/resource.h"

#include "base/mem.h"
#include "network/network.h"
#include "runtime/runtime.h"

#include <string.h>

#define HEX_DIGITS "0123456789abcdef"

enum { SESSION_NAME_BYTES = 63 };

static const struct {
	const char *word;
	enum resource_shape shape;
} kinds[] = {
	[RESOURCE_CGROUP] = { "cgroup", RESOURCE_SHAPE_PATH },
	[RESOURCE_DIRECTORY] = { "directory", RESOURCE_SHAPE_PATH },
	[RESOURCE_FILE] = { "file", RESOURCE_SHAPE_PATH },
	[RESOURCE_CONTAINER] = { "container", RESOURCE_SHAPE_NAMED },
	[RESOURCE_NETWORK] = { "network", RESOURCE_SHAPE_NAMED },
	[RESOURCE_PROCESS] = { "process", RESOURCE_SHAPE_PROCESS },
	[RESOURCE_GUARDS] = { "guards", RESOURCE_SHAPE_PATH },
};
enum { KIND_COUNT = sizeof(kinds) / sizeof(kinds[0]) };

const char *resource_kind_word(enum resource_kind kind)
{
	return kinds[kind].word;
}

enum resource_shape resource_shape(enum resource_kind kind)
{
	return kinds[kind].shape;
}

bool resource_kind_of(const char *word, enum resource_kind *ret_kind)
{
	for (unsigned i = 0; i < KIND_COUNT; i++) {
		if (strcmp(kinds[i].word, word) == 0) {
			*ret_kind = (enum resource_kind)i;
			return true;
		}
	}
	return false;
}

const char *resource_name(enum resource_kind kind, const struct strv *words)
{
	return words->v[kinds[kind].shape == RESOURCE_SHAPE_NAMED ? RESOURCE_WORD_NAME : 0];
}

bool resource_is_id(const char *text)
{
	return strlen(text) == RESOURCE_ID_DIGITS && strspn(text, HEX_DIGITS) == RESOURCE_ID_DIGITS;
}

bool resource_is_session_name(const char *text)
{
	const size_t length = strlen(text);

	if (length < strlen("npxc-a-00000000") || length > SESSION_NAME_BYTES || !str_starts(text, "npxc-"))
		return false;
	if (strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-") != length || text[strlen("npxc-")] == '-')
		return false;
	return text[length - RESOURCE_ID_DIGITS - 1] == '-' && resource_is_id(text + length - RESOURCE_ID_DIGITS);
}

static const char *objection_to_path(enum resource_kind kind, const struct strv *words)
{
	const char *path = words->v[0];
	mem_cleanup char *clean = path[0] == '/' ? str_path_clean(path) : NULL;

	if (clean == NULL)
		return "the path is not absolute";
	if (words->count != 1 || strcmp(clean, path) != 0 || strcmp(clean, "/") == 0)
		return "the path is not a clean one";
	if (strchr(path + 1, '/') == NULL)
		return "the path is a top one";
	if (kind == RESOURCE_CGROUP && !str_starts(strrchr(path, '/'), "/npxc-"))
		return "not a cgroup that npxc makes";
	return NULL;
}

static const char *objection_to_named(enum resource_kind kind, const struct strv *words)
{
	struct npxc_error ignored = { 0 };
	enum runtime_kind runtime;
	mem_cleanup char *clean =
	    words->v[RESOURCE_WORD_CLI][0] == '/' ? str_path_clean(words->v[RESOURCE_WORD_CLI]) : NULL;
	const char *name;

	if (clean == NULL || strcmp(clean, words->v[RESOURCE_WORD_CLI]) != 0)
		return "the path of the CLI is not absolute and clean";
	if (words->count < RESOURCE_WORDS)
		return "no runtime or name";
	if (strcmp(words->v[RESOURCE_WORD_RUNTIME], "auto") == 0 ||
	    !runtime_kind_of(words->v[RESOURCE_WORD_RUNTIME], &runtime, &ignored) ||
	    !runtime_driver(runtime)->has_containers)
		return "no runtime that has containers and networks";
	name = words->v[RESOURCE_WORD_NAME];
	if (kind == RESOURCE_NETWORK && !network_is_managed_name(name))
		return "not a network that npxc makes";
	if (kind == RESOURCE_CONTAINER && !resource_is_session_name(name))
		return "not a container that npxc makes";
	for (size_t i = RESOURCE_WORDS; i < words->count; i++)
		if (words->v[i][0] == '=' || strchr(words->v[i], '=') == NULL)
			return "not an environment variable";
	return NULL;
}

bool resource_process(const struct strv *words, pid_t *ret_pid, uint64_t *ret_started)
{
	uint64_t pid, started;

	if (words->count != 2 || !str_to_u64(words->v[0], INT32_MAX, &pid) ||
	    !str_to_u64(words->v[1], RESOURCE_NUMBER_MAX, &started))
		return false;
	*ret_pid = (pid_t)pid;
	*ret_started = started;
	return true;
}

static const char *objection_to_process(const struct strv *words)
{
	uint64_t started;
	pid_t pid;

	if (!resource_process(words, &pid, &started))
		return "not a pid and the moment of its start";
	if (pid <= 1)
		return "not a process that npxc starts";
	if (started == 0)
		return "it cannot be told when the process started";
	return NULL;
}

const char *resource_objection(enum resource_kind kind, const struct strv *words)
{
	if (words->count == 0)
		return "a resource without a name";
	if ((unsigned)kind >= KIND_COUNT)
		return "unknown kind of resource";
	switch (kinds[kind].shape) {
	case RESOURCE_SHAPE_NAMED:
		return objection_to_named(kind, words);
	case RESOURCE_SHAPE_PROCESS:
		return objection_to_process(words);
	case RESOURCE_SHAPE_PATH:
		break;
	}
	return objection_to_path(kind, words);
}

bool resource_is_secret(const char *variable)
{
	static const char *const parts[] = { "PASS", "SECRET", "TOKEN", "AUTH", "CREDENTIAL", "_KEY" };
	mem_cleanup char *name = str_dup_n(variable, strcspn(variable, "="));

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (strcasestr(name, parts[i]) != NULL)
			return true;
	return false;
}
