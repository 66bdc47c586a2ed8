#include "shim/setup.h"

#include "base/file.h"
#include "base/mem.h"
#include "shim/fields.h"
#include "shim/shim.h"

#include <stdlib.h>
#include <string.h>
#ifdef __linux__
#include <sys/auxv.h>
#endif

static const char *const fault_words[] = { "none", "exit1", "exit1-done", "killed", "empty", "truncated", "hang" };
enum { FAULT_COUNT = sizeof(fault_words) / sizeof(fault_words[0]) };

const char *setup_fault_word(enum fault fault)
{
	return fault_words[fault];
}

static char *directory_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash == NULL ? str_dup(".") : str_dup_n(path, slash == path ? 1 : (size_t)(slash - path));
}

/* The path under which this program was called; owned. */
static char *called_as(const char *argv0)
{
	struct npxc_error err = { 0 };
	const char *search = getenv("PATH");
	char *found;

	if (strchr(argv0, '/') != NULL)
		return str_dup(argv0);
#ifdef __linux__
	{
		const char *exec_path = (const char *)getauxval(AT_EXECFN);

		if (exec_path != NULL && strchr(exec_path, '/') != NULL)
			return str_dup(exec_path);
	}
#endif
	return search != NULL && file_find_program(argv0, search, &found, &err) ? found : str_dup(argv0);
}

static bool read_setting(const cJSON *file, const char *directory, const char *key, const char *variable, bool is_path,
                         char **ret_value, struct npxc_error *err)
{
	const char *text = NULL;

	if (file != NULL && !fields_text(file, key, "shim.json", &text, err))
		return false;
	if (text != NULL && is_path && text[0] != '/')
		*ret_value = str_printf("%s/%s", directory, text);
	else
		*ret_value = str_dup(text != NULL ? text : getenv(variable));
	return true;
}

static bool read_fault(const char *text, struct setup *setup, struct npxc_error *err)
{
	const char *colon = text != NULL ? strchr(text, ':') : NULL;
	mem_cleanup char *number = colon != NULL ? str_dup_n(text, (size_t)(colon - text)) : NULL;

	if (str_is_empty(text))
		return true;
	for (unsigned i = 1; colon != NULL && i < FAULT_COUNT; i++)
		if (str_equal(colon + 1, fault_words[i]))
			setup->fault = (enum fault)i;
	if (str_equal(number, "*"))
		setup->fault_call = UINT64_MAX;
	else if (!str_to_u64(number, 1000000, &setup->fault_call))
		setup->fault_call = 0;
	if (setup->fault == FAULT_NONE || setup->fault_call == 0)
		return error_set(err, ERROR_CONFIG, "a fault is \"k:mode\" or \"*:mode\", not \"%s\"", text);
	return true;
}

bool setup_read_cassette(const char *path, struct cassette *ret_cassette, struct npxc_error *err)
{
	struct buf text BUF_CLEANUP = BUF_INIT(SHIM_MAX_FILE_BYTES);

	if (!file_read(path, &text, err))
		return false;
	return cassette_parse(text.data != NULL ? text.data : "", text.length, ret_cassette, err) ||
	       error_prefix(err, "%s", path);
}

bool setup_read_transcript(const char *cassette_path, const char *name, struct buf *text, struct npxc_error *err)
{
	mem_cleanup char *directory = directory_of(cassette_path);
	mem_cleanup char *path = str_printf("%s/%s", directory, name);

	return file_read(path, text, err);
}

void setup_done(struct setup *setup)
{
	free(setup->cassette_path);
	free(setup->state);
	free(setup->journal);
	free(setup->search_path);
	cassette_done(&setup->cassette);
}

static bool read_setup(const char *called, struct setup *setup, struct npxc_error *err)
{
	struct buf text BUF_CLEANUP = BUF_INIT(SHIM_MAX_FILE_BYTES);
	mem_cleanup char *directory = directory_of(called);
	mem_cleanup char *path = str_printf("%s/shim.json", directory);
	mem_cleanup char *fault = NULL;
	cJSON *file JSON_CLEANUP = NULL;

	if (file_exists(path)) {
		if (!file_read(path, &text, err))
			return false;
		if (!fields_parse(text.data != NULL ? text.data : "", text.length, &file, err) ||
		    !fields_check(file, "cassette state journal fault path", "shim.json", err))
			return error_prefix(err, "%s", path);
	}
	if (!read_setting(file, directory, "journal", "NPXC_SHIM_JOURNAL", true, &setup->journal, err) ||
	    !read_setting(file, directory, "cassette", "NPXC_SHIM_CASSETTE", true, &setup->cassette_path, err) ||
	    !read_setting(file, directory, "state", "NPXC_SHIM_STATE", true, &setup->state, err) ||
	    !read_setting(file, directory, "path", "NPXC_SHIM_PATH", false, &setup->search_path, err) ||
	    !read_setting(file, directory, "fault", "NPXC_SHIM_FAULT", false, &fault, err) ||
	    !read_fault(fault, setup, err))
		return false;
	if (setup->search_path == NULL)
		setup->search_path = str_dup("/usr/local/bin:/usr/bin:/bin");
	if (str_is_empty(setup->cassette_path) || str_is_empty(setup->state))
		return error_set(err, ERROR_CONFIG,
		                 "no cassette or no state directory: neither %s nor NPXC_SHIM_CASSETTE and "
		                 "NPXC_SHIM_STATE name them",
		                 path);
	return setup_read_cassette(setup->cassette_path, &setup->cassette, err);
}

static bool check_name(const struct setup *setup, const char *called, struct npxc_error *err)
{
	const char *slash = strrchr(called, '/');
	const char *name = slash != NULL ? slash + 1 : called;

	return str_equal(name, setup->cassette.cli) ||
	       error_set(err, ERROR_CONFIG, "called as %s, but the cassette is one of %s", name, setup->cassette.cli);
}

bool setup_read(const char *argv0, struct setup *setup, struct npxc_error *err)
{
	mem_cleanup char *called = argv0 != NULL ? called_as(argv0) : str_dup("container");

	return read_setup(called, setup, err) && check_name(setup, called, err);
}
