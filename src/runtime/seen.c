#include "runtime/seen.h"

#include "base/mem.h"
#include "base/str.h"
#include "json/jsonc.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

enum { FORMAT = 1, ENTRIES_MAX = 64 };

void seen_add(struct seen_links *seen, enum runtime_kind runtime, const char *version, enum policy_link link, bool ok,
              const char *when)
{
	seen->v = mem_realloc(seen->v, seen->count + 1, sizeof(*seen->v));
	seen->v[seen->count++] = (struct seen_entry){
		.runtime = runtime,
		.version = str_dup(version == NULL ? "" : version),
		.link = link,
		.ok = ok,
		.when = str_dup(when),
	};
}

static void entry_done(struct seen_entry *entry)
{
	free(entry->version);
	free(entry->when);
}

void seen_forget(struct seen_links *seen, enum runtime_kind runtime)
{
	size_t kept = 0;

	for (size_t i = 0; i < seen->count; i++) {
		if (seen->v[i].runtime == runtime)
			entry_done(&seen->v[i]);
		else
			seen->v[kept++] = seen->v[i];
	}
	seen->count = kept;
}

void seen_done(struct seen_links *seen)
{
	for (size_t i = 0; i < seen->count; i++)
		entry_done(&seen->v[i]);
	free(seen->v);
	*seen = (struct seen_links){ 0 };
}

bool seen_works(const struct seen_links *seen, enum runtime_kind runtime, const char *version, enum policy_link link)
{
	for (size_t i = 0; i < seen->count && !str_is_empty(version); i++)
		if (seen->v[i].runtime == runtime && seen->v[i].link == link &&
		    strcmp(seen->v[i].version, version) == 0)
			return seen->v[i].ok;
	return false;
}

/* ---- the text ---- */

/* The text of a member; "auto", an alias of runtime_kind_of that stands for one of this machine, is no runtime here. */
static const char *text_of(const cJSON *object, const char *key)
{
	return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, key));
}

static bool read_entry(const cJSON *item, struct seen_links *seen)
{
	const cJSON *ok = cJSON_GetObjectItemCaseSensitive(item, "ok");
	const char *runtime = text_of(item, "runtime"), *version = text_of(item, "version");
	const char *link = text_of(item, "link"), *when = text_of(item, "when");
	struct npxc_error ignored;
	enum runtime_kind kind;
	enum policy_link which;

	/* Five keys, these five: jsonc takes none twice. */
	if (!cJSON_IsObject(item) || cJSON_GetArraySize(item) != 5 || runtime == NULL || version == NULL ||
	    link == NULL || when == NULL || !cJSON_IsBool(ok))
		return false;
	if (!runtime_kind_of(runtime, &kind, &ignored) || strcmp(runtime, runtime_kind_word(kind)) != 0 ||
	    !policy_parse_link(link, &which, &ignored) || which == POLICY_LINK_AUTO)
		return false;
	seen_add(seen, kind, version, which, cJSON_IsTrue(ok), when);
	return true;
}

bool seen_parse(const char *text, size_t length, const char *file, struct seen_links *ret_seen, struct npxc_error *err)
{
	struct seen_links seen = { 0 };
	struct jsonc document;

	if (!jsonc_parse(text, length, file, &document, err))
		return false;
	const cJSON *format = cJSON_GetObjectItemCaseSensitive(document.root, "format");
	const cJSON *list = cJSON_GetObjectItemCaseSensitive(document.root, "seen");
	bool fine = cJSON_IsObject(document.root) && cJSON_GetArraySize(document.root) == 2 && cJSON_IsNumber(format) &&
	            format->valueint == FORMAT && cJSON_IsArray(list) && cJSON_GetArraySize(list) <= ENTRIES_MAX;
	for (const cJSON *item = fine ? list->child : NULL; item != NULL && fine; item = item->next)
		fine = read_entry(item, &seen);
	jsonc_done(&document);
	if (!fine) {
		seen_done(&seen);
		return error_set(err, ERROR_CONFIG, "%s is not what `npxc doctor --probe` writes; run it again", file);
	}
	*ret_seen = seen;
	return true;
}

char *seen_text(const struct seen_links *seen)
{
	cJSON *root = cJSON_CreateObject();
	cJSON_AddNumberToObject(root, "format", FORMAT);
	cJSON *list = cJSON_AddArrayToObject(root, "seen");

	for (size_t i = 0; i < seen->count; i++) {
		cJSON *item = cJSON_CreateObject();
		cJSON_AddStringToObject(item, "runtime", runtime_kind_word(seen->v[i].runtime));
		cJSON_AddStringToObject(item, "version", seen->v[i].version);
		cJSON_AddStringToObject(item, "link", policy_link_word(seen->v[i].link));
		cJSON_AddBoolToObject(item, "ok", seen->v[i].ok);
		cJSON_AddStringToObject(item, "when", seen->v[i].when);
		cJSON_AddItemToArray(list, item);
	}
	mem_cleanup char *text = cJSON_PrintUnformatted(root);
	cJSON_Delete(root);
	return str_printf("%s\n", text == NULL ? "{}" : text);
}
