#include "files/written.h"

#include "base/buf.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "json/parse.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool read_line(const char *line, size_t length, struct strv *trees)
{
	cJSON *json = parse_text(line, length);
	const bool fine = cJSON_IsString(json) && json->valuestring[0] == '/' && line[length - 1] == '"';

	if (fine)
		strv_push(trees, json->valuestring);
	cJSON_Delete(json);
	return fine;
}

bool written_read(const char *file, struct strv *ret_trees, struct npxc_error *err)
{
	struct buf text BUF_CLEANUP = BUF_INIT(LIMIT_WRITTEN_BYTES);
	struct strv trees = { 0 };
	size_t at = 0;

	if (!file_read(file, &text, err))
		return err->sys_errno == ENOENT;
	while (at < text.length) {
		const char *line = text.data + at, *newline = memchr(line, '\n', text.length - at);
		const size_t length = newline == NULL ? text.length - at : (size_t)(newline - line);

		if (newline == NULL || !read_line(line, length, &trees)) {
			strv_done(&trees);
			return error_set(
			    err, ERROR_JSON,
			    "%s is not what npxc writes; remove it if no server has left links in your trees", file);
		}
		at += length + 1;
	}
	*ret_trees = trees;
	return true;
}

static bool has_all(const struct strv *known, const struct strv *trees)
{
	for (size_t i = 0; i < trees->count; i++)
		if (!strv_holds_path(known, trees->v[i]))
			return false;
	return true;
}

/* Each with its newline, the old ones first: without those that have gone or lie in a new one. */
static char *text_of(const struct strv *old, const struct strv *added)
{
	struct strv kept = { 0 };
	char *text = str_dup("");

	for (size_t i = 0; i < old->count; i++)
		if (file_exists(old->v[i]) && !strv_holds_path(added, old->v[i]))
			strv_push(&kept, old->v[i]);
	for (size_t i = 0; i < added->count; i++)
		if (!strv_holds_path(&kept, added->v[i]))
			strv_push(&kept, added->v[i]);
	for (size_t i = kept.count > LIMIT_WRITTEN_TREES ? kept.count - LIMIT_WRITTEN_TREES : 0; i < kept.count; i++) {
		cJSON *json = cJSON_CreateString(kept.v[i]);
		mem_cleanup char *line = cJSON_PrintUnformatted(json);
		char *longer = str_printf("%s%s\n", text, line);

		cJSON_Delete(json);
		free(text);
		text = longer;
	}
	strv_done(&kept);
	return text;
}

bool written_add(const char *file, const struct strv *known, const struct strv *trees, struct npxc_error *err)
{
	mem_cleanup char *lock_file = str_printf("%s.lock", file);
	mem_cleanup char *directory = str_path_join(file, "..");
	struct strv now __attribute__((cleanup(strv_done))) = { 0 };
	FD_CLEANUP int lock = -1;

	if (has_all(known, trees))
		return true;
	if (!file_make_directories(directory, 0700, err) || !file_lock(lock_file, true, &lock, err) ||
	    !written_read(file, &now, err))
		return false;
	mem_cleanup char *text = text_of(&now, trees);
	return file_write_alone(file, text, strlen(text), 0600, err);
}
