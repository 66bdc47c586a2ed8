#include "store/variables.h"

#include "base/buf.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/tree.h"

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

/* Of a file that cannot be read, or has become another one, nothing is known. */
static void scan_file(struct scan *s, const struct tree_entry *entry)
{
	struct buf text BUF_CLEANUP = BUF_INIT(LIMIT_ENV_SCAN_BYTES - s->bytes);
	struct npxc_error ignored;
	if (s->files++ == LIMIT_ENV_SCAN_FILES || !tree_read(entry->directory, entry->name, &text, &ignored)) {
		s->complete = false;
		return;
	}
	s->bytes += text.length;
	if (text.length > 0)
		variables_find(text.data, text.length, s->names);
}

/* The package may be an attacker's: deep, wide, and full of things that are no files. */
static enum tree_next scan_entry(void *context, const struct tree_entry *entry, struct npxc_error *err)
{
	struct scan *s = context;
	(void)err;
	if (s->files > LIMIT_ENV_SCAN_FILES || entry->entry_count > LIMIT_ENV_SCAN_ENTRIES) {
		s->complete = false;
		return TREE_ON;
	}
	if (entry->name[0] == '.' || strcmp(entry->name, "node_modules") == 0)
		return TREE_ON;
	if (S_ISREG(entry->info.st_mode) && is_script(entry->name))
		scan_file(s, entry);
	if (entry->depth > DEPTH_MAX)
		s->complete = s->complete && !S_ISDIR(entry->info.st_mode);
	return entry->depth > DEPTH_MAX ? TREE_ON : TREE_ENTER;
}

static enum tree_next scan_refused(void *context, const struct tree_entry *entry, int number, struct npxc_error *err)
{
	struct scan *s = context;
	(void)entry;
	(void)number;
	(void)err;
	s->complete = false;
	return TREE_ON;
}

bool variables_scan(const char *directory, const char *package_root, struct strv *ret_names, bool *ret_complete,
                    struct npxc_error *err)
{
	struct strv names = { 0 };
	struct scan s = { .names = &names, .complete = true };
	const struct tree_visitor visitor = { .context = &s, .entry = scan_entry, .refused = scan_refused };
	FD_CLEANUP int root = -1;
	if (!tree_open(directory, &root, err) || !tree_walk(root, package_root, &visitor, err)) {
		strv_done(&names);
		return false;
	}
	strv_sort(&names);
	*ret_names = names;
	*ret_complete = s.complete;
	return true;
}
