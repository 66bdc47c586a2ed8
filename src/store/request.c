#include "store/request.h"

#include "base/buf.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "config/workspace.h"
#include "store/directory.h"
#include "store/layout.h"
#include "store/linked.h"

#include <stdlib.h>
#include <string.h>

enum { FINGERPRINT_DIGITS = 12 };

void request_done(struct request *request)
{
	for (size_t i = 0; i < request->count; i++) {
		spec_done(&request->specs[i]);
		free(request->directories[i]);
	}
	free(request->specs);
	free(request->directories);
	free(request->title);
	free(request->key);
	free(request->select);
	free(request->exact);
	free(request->suffix);
	linked_free(request->linked);
	*request = (struct request){ 0 };
}

/* What a spec stands for, in one line without line breaks. Owned. */
static char *canonical(const struct request *request, size_t i)
{
	if (request->directories[i] != NULL)
		return str_dup(request->directories[i]);
	return str_printf("%s@%s", request->specs[i].name, request->specs[i].select);
}

char *request_join(struct strv *lines)
{
	BUF_CLEANUP struct buf text = BUF_INIT(LIMIT_CONFIG_BYTES);
	struct npxc_error ignored;

	strv_sort(lines);
	for (size_t i = 0; i < lines->count; i++)
		if (!buf_appendf(&text, &ignored, "%s\n", lines->v[i]))
			break;
	return buf_take(&text);
}

static bool name_set(struct request *request, struct npxc_error *err)
{
	struct strv specs = { 0 };
	struct strv states = { 0 };
	mem_cleanup char *spec_text = NULL;
	mem_cleanup char *state_text = NULL;
	mem_cleanup char *hash = NULL;
	mem_cleanup char *state = NULL;
	bool ok = true;

	for (size_t i = 0; ok && i < request->count; i++) {
		mem_cleanup char *fingerprint = NULL;

		strv_push_owned(&specs, canonical(request, i));
		if (request->directories[i] != NULL) {
			ok = directory_fingerprint(request->directories[i], &fingerprint, err);
			if (ok)
				strv_pushf(&states, "%s %s", request->directories[i], fingerprint);
		}
	}
	if (ok) {
		spec_text = request_join(&specs);
		state_text = request_join(&states);
		hash = sha256_hex(spec_text, strlen(spec_text));
		state = sha256_hex(state_text, strlen(state_text));
		request->key = str_printf("set=0%.*s", LAYOUT_HASH_DIGITS, hash);
		request->select = str_printf("set %.*s", FINGERPRINT_DIGITS, state);
		request->suffix = str_dup("");
	}
	strv_done(&specs);
	strv_done(&states);
	return ok;
}

/* Only what it depends on is installed, if anything. */
static bool name_linked(struct request *request, struct npxc_error *err)
{
	mem_cleanup char *state = NULL;

	request->key = directory_key(request->directories[0]);
	if (request->linked->wants == NULL)
		return true;
	if (!linked_select(request->linked, &state, err))
		return false;
	request->select = str_printf("dependencies %s", state);
	request->suffix = str_printf("+%.*s", FINGERPRINT_DIGITS, state);
	return true;
}

static bool name_one(struct request *request, struct npxc_error *err)
{
	const struct spec *spec = &request->specs[0];
	mem_cleanup char *fingerprint = NULL;

	if (spec->kind != SPEC_DIRECTORY) {
		request->key = spec_package_key(spec->name);
		request->select = str_dup(spec->select);
		request->suffix = str_dup("");
		/* Build metadata is no part of a version to the registry. */
		if (spec->kind == SPEC_VERSION)
			request->exact = str_dup_n(spec->select, strcspn(spec->select, "+"));
		return true;
	}
	if (request->linked != NULL)
		return name_linked(request, err);
	if (!directory_fingerprint(request->directories[0], &fingerprint, err))
		return false;
	request->key = directory_key(request->directories[0]);
	request->select = str_printf("dir %s", fingerprint);
	request->suffix = str_printf("+%.*s", FINGERPRINT_DIGITS, fingerprint);
	return true;
}

/* "version" of the configuration stands in for a version that nobody typed. */
static char *with_hint(const char *spec, const char *hint)
{
	if (hint == NULL || spec[0] == '\0' || strchr(spec + 1, '@') != NULL || strchr("./~", spec[0]) != NULL ||
	    str_starts(spec, "file:"))
		return str_dup(spec);
	return str_printf("%s@%s", spec, hint);
}

static void set_apart(struct request *request, const struct strv *scopes)
{
	BUF_CLEANUP struct buf text = BUF_INIT(LIMIT_NPMRC_BYTES);
	struct npxc_error ignored;

	if (scopes == NULL || scopes->count == 0 || request->select == NULL)
		return;
	for (size_t i = 0; i < scopes->count; i++)
		(void)!buf_appendf(&text, &ignored, "%s\n", scopes->v[i]);
	mem_cleanup char *hash = sha256_hex(text.data == NULL ? "" : text.data, text.length);
	mem_cleanup char *select = MEM_TAKE(request->select);
	request->select = str_printf("%s with %s", select, hash);
	mem_cleanup char *suffix = MEM_TAKE(request->suffix);
	request->suffix = str_printf("%s%s%.*s", suffix, suffix[0] == '\0' ? "+" : ".", FINGERPRINT_DIGITS, hash);
	if (request->exact != NULL) {
		mem_cleanup char *exact = MEM_TAKE(request->exact);
		request->exact = str_printf("%s%s", exact, request->suffix);
	}
}

bool request_name(struct request *request, const struct strv *scopes, struct npxc_error *err)
{
	if (!(request->count == 1 ? name_one(request, err) : name_set(request, err)))
		return false;
	set_apart(request, scopes);
	return true;
}

static bool find_directory(const char *path, const char *cwd, const char *home, char **ret_path, struct npxc_error *err)
{
	mem_cleanup char *real_home = directory_home(home);
	mem_cleanup char *found = NULL;

	if (!directory_find(path, cwd, home, &found, err))
		return false;
	if (workspace_is_too_wide(found, real_home))
		return error_set(
		    err, ERROR_CONFIG,
		    "%s is the home directory or lies above it, which no server is shown; put the package into a "
		    "directory of its own",
		    found);
	*ret_path = MEM_TAKE(found);
	return true;
}

bool request_make(const struct store_request *from, const char *cwd, const char *home, struct request *ret_request,
                  struct npxc_error *err)
{
	struct request request = { 0 };
	bool ok = from->spec_count > 0 || error_set(err, ERROR_CONFIG, "no package is named; write npxc PACKAGE");

	request.specs = mem_alloc(from->spec_count * sizeof(*request.specs));
	request.directories = mem_alloc(from->spec_count * sizeof(*request.directories));
	for (size_t i = 0; ok && i < from->spec_count; i++) {
		mem_cleanup char *text = with_hint(from->specs[i], from->spec_count == 1 ? from->version_hint : NULL);

		ok = spec_parse(text, &request.specs[i], err);
		request.count += ok;
		if (ok && request.specs[i].kind == SPEC_DIRECTORY)
			ok = find_directory(request.specs[i].path, cwd, home, &request.directories[i], err);
		if (ok && i == 0)
			request.title = MEM_TAKE(text);
	}
	if (ok && request.count > 1 && from->command == NULL && from->call == NULL)
		ok = error_set(err, ERROR_CONFIG, "several packages and no command; write npxc -p A -p B COMMAND");
	if (ok && request.count > 1) {
		char *title = str_printf("%s and %zu more", request.title, request.count - 1);

		free(request.title);
		request.title = title;
	}
	if (!ok) {
		request_done(&request);
		return false;
	}
	*ret_request = request;
	return true;
}
