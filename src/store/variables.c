#include "store/variables.h"

#include "base/buf.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { NAME_LENGTH_MAX = 128, DEPTH_MAX = 32 };

static bool is_name_start(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
}

static size_t name_length(const char *text, size_t room)
{
	size_t n = 0;
	if (room == 0 || !is_name_start(text[0]))
		return 0;
	while (n < room && (is_name_start(text[n]) || (text[n] >= '0' && text[n] <= '9')))
		n++;
	return n <= NAME_LENGTH_MAX ? n : 0;
}

void variables_find(const char *text, size_t length, struct strv *names)
{
	static const char MARK[] = "process.env";
	const size_t mark = sizeof(MARK) - 1;
	const char *at = text, *end = text + length;
	while (at < end && (at = memmem(at, (size_t)(end - at), MARK, mark)) != NULL) {
		at += mark;
		const size_t room = (size_t)(end - at);
		const char *name = NULL;
		size_t found = 0;
		if (room > 1 && at[0] == '.') {
			name = at + 1;
			found = name_length(name, room - 1);
		} else if (room > 3 && at[0] == '[' && (at[1] == '"' || at[1] == '\'')) {
			name = at + 2;
			found = name_length(name, room - 2);
			if (found > 0 && (found + 3 >= room || name[found] != at[1] || name[found + 1] != ']'))
				found = 0;
		}
		if (found == 0)
			continue;
		mem_cleanup char *word = str_dup_n(name, found);
		if (!strv_contains(names, word))
			strv_push(names, word);
	}
}

struct scan {
	struct strv *names;
	size_t files, bytes;
	bool complete;
};

static bool is_script(const char *name)
{
	return str_ends(name, ".js") || str_ends(name, ".cjs") || str_ends(name, ".mjs") || str_ends(name, ".ts");
}

static bool scan_file(struct scan *s, const char *path, size_t size, struct npxc_error *err)
{
	if (s->files == LIMIT_ENV_SCAN_FILES || s->bytes + size > LIMIT_ENV_SCAN_BYTES) {
		s->complete = false;
		return true;
	}
	s->files++;
	s->bytes += size;
	struct buf text BUF_CLEANUP = BUF_INIT(LIMIT_ENV_SCAN_BYTES);
	if (!file_read(path, &text, err))
		return false;
	if (text.length > 0)
		variables_find(text.data, text.length, s->names);
	return true;
}

static bool scan_directory(struct scan *s, const char *path, unsigned depth, struct npxc_error *err)
{
	if (depth > DEPTH_MAX) {
		s->complete = false;
		return true;
	}
	DIR *directory = opendir(path);
	if (directory == NULL)
		return error_set_errno(err, ERROR_IO, "cannot read %s", path);
	bool fine = true;
	const struct dirent *entry;
	while (fine && (entry = readdir(directory)) != NULL) {
		if (entry->d_name[0] == '.' || strcmp(entry->d_name, "node_modules") == 0)
			continue;
		mem_cleanup char *below = str_path_join(path, entry->d_name);
		struct stat info;
		if (lstat(below, &info) < 0)
			continue;
		if (S_ISDIR(info.st_mode))
			fine = scan_directory(s, below, depth + 1, err);
		else if (S_ISREG(info.st_mode) && is_script(entry->d_name))
			fine = scan_file(s, below, (size_t)info.st_size, err);
	}
	closedir(directory);
	return fine;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

bool variables_scan(const char *package_root, struct strv *ret_names, bool *ret_complete, struct npxc_error *err)
{
	struct strv names = { 0 };
	struct scan s = { .names = &names, .complete = true };
	if (!scan_directory(&s, package_root, 0, err)) {
		strv_done(&names);
		return false;
	}
	if (names.count > 1)
		qsort(names.v, names.count, sizeof(*names.v), by_name);
	*ret_names = names;
	*ret_complete = s.complete;
	return true;
}
