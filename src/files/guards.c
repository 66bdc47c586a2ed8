#include "files/guards.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "config/hazard.h"
#include "files/source.h"
#include "json/parse.h"
#include "json/texts.h"

#include <cjson/cJSON.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#if defined(O_PATH)
#define LOOK_FLAGS (O_PATH | O_NOFOLLOW | O_CLOEXEC)
#else
#define LOOK_FLAGS (O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
#endif
#define SUFFIX ".json"

/* ---- looking through a tree ---- */

struct scan {
	int root;
	const char *name;
	bool keep; /* the descriptors of what is found */
	size_t entries;
	struct strv queue; /* directories to be read, below the root; "" is the root */
	struct guards found;
};

void guards_done(struct guards *guards)
{
	for (size_t i = 0; i < guards->count; i++) {
		fd_close(&guards->v[i].identity.fd);
		free(guards->v[i].path);
	}
	free(guards->v);
	*guards = (struct guards){ 0 };
}

int guards_open_below(int root, const char *path)
{
	FD_CLEANUP int here = openat(root, ".", LOOK_FLAGS | O_DIRECTORY);

	while (here != -1 && path[0] != '\0') {
		const size_t length = strcspn(path, "/");
		mem_cleanup char *name = str_dup_n(path, length);
		const int next = openat(here, name, LOOK_FLAGS | O_DIRECTORY);

		fd_close(&here);
		here = next;
		path += length + (path[length] == '/');
	}
	return fd_take(&here);
}

static bool has(const struct guards *guards, const char *path)
{
	for (size_t i = 0; i < guards->count; i++)
		if (str_path_within(path, guards->v[i].path))
			return true;
	return false;
}

static bool is_too_many(const struct scan *s, struct npxc_error *err)
{
	return error_set(err, ERROR_CONFIG,
	                 "%s holds too much (more than %d files, or %d names of what the host executes) to be kept "
	                 "safe while a server writes there; mount a directory below it",
	                 s->name, LIMIT_GUARD_SCAN_ENTRIES, LIMIT_GUARD_NAMES);
}

/* Gone, no directory (any more), or closed. Anything else, as a descriptor too many, must not hide what is there. */
static bool is_out_of_reach(int why)
{
	return why == EACCES || why == ENOENT || why == ELOOP || why == ENOTDIR;
}

static bool cannot_look(const struct scan *s, const char *below, struct npxc_error *err)
{
	return error_set_errno(err, ERROR_CONFIG, "cannot look for what this machine executes in %s/%s", s->name,
	                       below);
}

/* Takes the path; `fd` is a copy's, or -1. */
static bool add(struct scan *s, int fd, const struct stat *info, char *owned_path, struct npxc_error *err)
{
	mem_cleanup char *path = owned_path;
	FD_CLEANUP int owned = fd;

	if (s->found.count == LIMIT_GUARD_NAMES)
		return is_too_many(s, err);
	if (!s->keep)
		fd_close(&owned);
	s->found.v = mem_realloc(s->found.v, s->found.count + 1, sizeof(*s->found.v));
	struct guard *guard = &s->found.v[s->found.count++];
	*guard = (struct guard){ .path = MEM_TAKE(path), .identity = launch_identity_of(fd_take(&owned), info) };
	if (S_ISLNK(info->st_mode))
		guard->identity.kind = 'l';
	return true;
}

static bool take(struct scan *s, int directory, const char *name, char *owned_path, struct npxc_error *err)
{
	mem_cleanup char *path = owned_path;
	FD_CLEANUP int fd = openat(directory, name, LOOK_FLAGS);
	struct stat info;

	if (fd == -1 && !is_out_of_reach(errno))
		return cannot_look(s, path, err);
	if ((fd == -1 ? fstatat(directory, name, &info, AT_SYMLINK_NOFOLLOW) : fstat(fd, &info)) != 0)
		return true; /* gone again */
	return add(s, fd_take(&fd), &info, MEM_TAKE(path), err);
}

/*
 * Whether a server can get through it. One that root starts is another user, by the permission bits of whom what lies
 * in a closed directory cannot be bound either.
 */
static bool may_enter(const struct stat *directory)
{
	if (geteuid() != 0)
		return true; /* whether it can be read shows */
	if (directory->st_uid == SANDBOX_DROP_UID)
		return true; /* its own, to open again */
	if (directory->st_gid == SANDBOX_DROP_UID)
		return (directory->st_mode & S_IXGRP) != 0;
	return (directory->st_mode & S_IXOTH) != 0;
}

static bool is_directory(int directory, const struct dirent *entry)
{
	struct stat info;

	if (entry->d_type != DT_UNKNOWN)
		return entry->d_type == DT_DIR;
	return fstatat(directory, entry->d_name, &info, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(info.st_mode);
}

static bool look_at(struct scan *s, int directory, const struct dirent *entry, const char *below,
                    struct npxc_error *err)
{
	const char *name = entry->d_name;
	mem_cleanup char *path = below[0] == '\0' ? str_dup(name) : str_printf("%s/%s", below, name);

	if (++s->entries > LIMIT_GUARD_SCAN_ENTRIES)
		return is_too_many(s, err);
	if ((hazard_of(path) & HAZARD_RUN) != 0)
		return take(s, directory, name, MEM_TAKE(path), err);
	if (strcmp(name, "node_modules") == 0) {
		FD_CLEANUP int modules = openat(directory, name, LOOK_FLAGS | O_DIRECTORY);
		struct stat info;

		if (modules == -1 && !is_out_of_reach(errno))
			return cannot_look(s, path, err);
		if (modules != -1 && fstat(modules, &info) == 0 && may_enter(&info) &&
		    fstatat(modules, ".bin", &info, AT_SYMLINK_NOFOLLOW) == 0)
			return take(s, modules, ".bin", str_printf("%s/.bin", path), err);
		return true;
	}
	if (is_directory(directory, entry))
		strv_push_owned(&s->queue, MEM_TAKE(path));
	return true;
}

/* git takes a directory with these three for a repository, and runs what its `config` names. */
enum { BARE_HEAD = 1, BARE_OBJECTS = 2, BARE_REFS = 4, BARE_ALL = 7 };

static unsigned bare_part(const char *name)
{
	return strcasecmp(name, "HEAD") == 0      ? BARE_HEAD
	       : strcasecmp(name, "objects") == 0 ? BARE_OBJECTS
	       : strcasecmp(name, "refs") == 0    ? BARE_REFS
	                                          : 0;
}

/* Children first of what was queued first: shallow ones come before deep ones. */
static bool read_directory(struct scan *s, const char *below, struct npxc_error *err)
{
	FD_CLEANUP int at = guards_open_below(s->root, below);
	FD_CLEANUP int fd = at == -1 ? -1 : openat(at, ".", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat info;
	DIR *directory;
	bool fine = true;

	if (fd == -1 && !is_out_of_reach(errno))
		return cannot_look(s, below, err);
	/* The user's own, closed to him: a server that is this user opens it again. */
	if (fd == -1 && errno == EACCES && at != -1 && below[0] != '\0' && fstat(at, &info) == 0 &&
	    info.st_uid == geteuid())
		return add(s, fd_take(&at), &info, str_dup(below), err);
	if (fd == -1 || fstat(fd, &info) == -1 || !may_enter(&info))
		return true;
	directory = fdopendir(fd);
	if (directory == NULL)
		return cannot_look(s, below, err);
	const int own = fd_take(&fd); /* closedir closes it */
	unsigned bare = 0;
	for (const struct dirent *entry = readdir(directory); fine && entry != NULL; entry = readdir(directory)) {
		bare |= bare_part(entry->d_name);
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			fine = look_at(s, own, entry, below, err);
	}
	if (fine && bare == BARE_ALL)
		fine = take(s, own, ".", str_dup(below[0] == '\0' ? "." : below), err);
	closedir(directory);
	return fine;
}

/* ---- what they lead to ---- */

/* The first bytes of a file; NULL. */
static char *read_some(int directory, const char *name)
{
	enum { BYTES = 64 * 1024 };
	FD_CLEANUP int fd = openat(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct stat info;

	if (fd == -1 || fstat(fd, &info) == -1 || !S_ISREG(info.st_mode))
		return NULL;
	char *text = mem_alloc(BYTES + 1);
	const ssize_t got = read(fd, text, BYTES);
	text[got < 0 ? 0 : got] = '\0';
	return text;
}

/* The value behind the first line that begins with `key`, in whatever case, and `mark`; owned, NULL: none. */
static char *value_of(const char *text, const char *key, char mark)
{
	for (const char *line = text; line != NULL; line = strchr(line, '\n')) {
		line += strspn(line, "\n\t ");
		if (strncasecmp(line, key, strlen(key)) != 0)
			continue;
		const char *value = line + strlen(key);
		value += strspn(value, "\t ");
		if (*value != mark)
			continue;
		mem_cleanup char *copy = str_dup_n(value + 1, strcspn(value + 1, "\n"));
		char *trimmed = str_trim(copy);
		const size_t length = strlen(trimmed);
		if (length > 1 && trimmed[0] == '"' && trimmed[length - 1] == '"')
			return str_dup_n(trimmed + 1, length - 2);
		return str_dup(trimmed);
	}
	return NULL;
}

/* An absolute path, or NULL: it leads nowhere else. */
static char *led_to(const struct scan *s, const struct guard *guard)
{
	mem_cleanup char *path = str_path_join(s->name, guard->path);
	mem_cleanup char *parent = str_path_join(path, "..");
	const char *slash = strrchr(guard->path, '/');
	const bool is_git = strcasecmp(slash == NULL ? guard->path : slash + 1, ".git") == 0;

	if (guard->identity.kind == 'l')
		return str_dup(path);
	if (!is_git)
		return NULL;
	mem_cleanup char *above = str_path_parent(guard->path);
	FD_CLEANUP int directory = guards_open_below(s->root, guard->identity.kind == 'd' ? guard->path : above);
	if (directory == -1)
		return NULL;
	mem_cleanup char *text = read_some(directory, guard->identity.kind == 'd' ? "config" : ".git");
	mem_cleanup char *value = text == NULL                  ? NULL
	                          : guard->identity.kind == 'd' ? value_of(text, "hookspath", '=')
	                                                        : value_of(text, "gitdir", ':');
	return value == NULL || value[0] == '\0' ? NULL : str_path_join(parent, value);
}

static bool take_what_they_lead_to(struct scan *s, struct npxc_error *err)
{
	for (size_t i = 0; i < s->found.count; i++) { /* and what those lead to */
		mem_cleanup char *path = led_to(s, &s->found.v[i]);
		struct source source __attribute__((cleanup(source_done))) = SOURCE_NONE;
		struct npxc_error ignored = { 0 };

		if (path == NULL || !source_open(path, &source, &ignored) || str_equal(source.path, s->name) ||
		    !str_path_within(source.path, s->name))
			continue;
		const char *below = source.path + strlen(s->name) + (strcmp(s->name, "/") != 0);
		if (has(&s->found, below))
			continue;
		if (!add(s, fd_take(&source.fd), &source.info, str_dup(below), err))
			return false;
	}
	return true;
}

static int by_path(const void *a, const void *b)
{
	return strcmp(((const struct guard *)a)->path, ((const struct guard *)b)->path);
}

static bool find(int root, const char *name, bool keep, int64_t deadline_ms, struct guards *ret_guards,
                 struct npxc_error *err)
{
	struct scan s = { .root = root, .name = name, .keep = keep };
	bool fine = true;

	strv_push(&s.queue, "");
	for (size_t i = 0; fine && i < s.queue.count; i++) {
		if (deadline_ms >= 0 && clock_now_ms() > deadline_ms) {
			errno = ETIMEDOUT;
			fine = error_set_errno(err, ERROR_IO, "look through %s", name);
		} else {
			fine = read_directory(&s, s.queue.v[i], err);
		}
	}
	strv_done(&s.queue);
	fine = fine && take_what_they_lead_to(&s, err);
	if (!fine) {
		guards_done(&s.found);
		return false;
	}
	if (s.found.count > 1)
		qsort(s.found.v, s.found.count, sizeof(*s.found.v), by_path);
	*ret_guards = s.found;
	return true;
}

bool guards_find(int root, const char *name, int64_t deadline_ms, struct guards *ret_guards, struct npxc_error *err)
{
	return find(root, name, true, deadline_ms, ret_guards, err);
}

/* ---- the text ---- */

void guards_tree_done(struct guards_tree *tree)
{
	free(tree->path);
	guards_done(&tree->before);
}

static void trees_done(struct guards_tree *trees, size_t count)
{
	for (size_t i = 0; i < count; i++)
		guards_tree_done(&trees[i]);
	free(trees);
}

static char *identity_text(const struct launch_identity *identity)
{
	return str_printf("%u:%u:%llu:%c", identity->major, identity->minor, (unsigned long long)identity->inode,
	                  identity->kind);
}

char *guards_text(const struct guards_tree *trees, size_t count)
{
	cJSON *root = cJSON_CreateObject();
	cJSON *list = cJSON_AddArrayToObject(root, "trees");

	for (size_t i = 0; i < count; i++) {
		cJSON *one = cJSON_CreateObject();
		mem_cleanup char *at = identity_text(&trees[i].identity);

		cJSON_AddItemToArray(list, one);
		cJSON_AddStringToObject(one, "path", trees[i].path);
		cJSON_AddStringToObject(one, "at", at);
		cJSON *names = cJSON_AddArrayToObject(one, "names");
		for (size_t k = 0; k < trees[i].before.count; k++) {
			cJSON *pair = cJSON_CreateArray();
			mem_cleanup char *identity = identity_text(&trees[i].before.v[k].identity);

			cJSON_AddItemToArray(pair, cJSON_CreateString(identity));
			cJSON_AddItemToArray(pair, cJSON_CreateString(trees[i].before.v[k].path));
			cJSON_AddItemToArray(names, pair);
		}
	}
	mem_cleanup char *printed = cJSON_PrintUnformatted(root);
	cJSON_Delete(root);
	return str_dup(printed == NULL ? "" : printed);
}

static bool read_number(const char **text, char stop, uint64_t max, uint64_t *ret_value)
{
	const size_t length = strcspn(*text, ":");
	mem_cleanup char *digits = str_dup_n(*text, length);

	if ((*text)[length] != stop || !str_to_u64(digits, max, ret_value))
		return false;
	*text += length + 1;
	return true;
}

static bool read_identity(const cJSON *value, struct launch_identity *ret_identity)
{
	const char *text = cJSON_GetStringValue(value);
	uint64_t major, minor, inode;

	if (text == NULL || !read_number(&text, ':', UINT32_MAX, &major) ||
	    !read_number(&text, ':', UINT32_MAX, &minor) || !read_number(&text, ':', UINT64_MAX, &inode) ||
	    strlen(text) != 1)
		return false;
	*ret_identity = (struct launch_identity){
		.fd = -1, .kind = text[0], .major = (unsigned)major, .minor = (unsigned)minor, .inode = inode
	};
	return true;
}

static bool read_tree(const cJSON *value, struct guards_tree *tree)
{
	const char *path = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(value, "path"));
	const cJSON *names = cJSON_GetObjectItemCaseSensitive(value, "names");
	const cJSON *pair;

	if (path == NULL || path[0] != '/' || !cJSON_IsArray(names) ||
	    !read_identity(cJSON_GetObjectItemCaseSensitive(value, "at"), &tree->identity))
		return false;
	tree->path = str_dup(path);
	cJSON_ArrayForEach(pair, names)
	{
		const char *name = cJSON_GetStringValue(cJSON_GetArrayItem(pair, 1));
		struct launch_identity identity;

		if (!cJSON_IsArray(pair) || name == NULL || !read_identity(cJSON_GetArrayItem(pair, 0), &identity) ||
		    tree->before.count == LIMIT_GUARD_NAMES)
			return false;
		tree->before.v = mem_realloc(tree->before.v, tree->before.count + 1, sizeof(*tree->before.v));
		tree->before.v[tree->before.count++] = (struct guard){ .path = str_dup(name), .identity = identity };
	}
	return true;
}

bool guards_parse(const char *text, size_t length, struct guards_tree **ret_trees, size_t *ret_count,
                  struct npxc_error *err)
{
	cJSON *root = parse_text(text, length);
	const cJSON *list = cJSON_GetObjectItemCaseSensitive(root, "trees");
	struct guards_tree *trees = NULL;
	size_t count = 0;
	bool fine = cJSON_IsArray(list);

	for (const cJSON *one = fine ? list->child : NULL; fine && one != NULL; one = one->next) {
		trees = mem_realloc(trees, count + 1, sizeof(*trees));
		trees[count] = (struct guards_tree){ 0 };
		fine = read_tree(one, &trees[count++]);
	}
	cJSON_Delete(root);
	if (!fine) {
		trees_done(trees, count);
		return error_set(err, ERROR_JSON, "not a list of trees and of what was in them");
	}
	*ret_trees = trees;
	*ret_count = count;
	return true;
}

/* ---- what is new ---- */

static bool is_same(const struct launch_identity *a, const struct launch_identity *b)
{
	return a->major == b->major && a->minor == b->minor && a->inode == b->inode && a->kind == b->kind;
}

static bool was_there(const struct guards *before, const struct guard *guard)
{
	for (size_t i = 0; i < before->count; i++)
		if (str_equal(before->v[i].path, guard->path) && is_same(&before->v[i].identity, &guard->identity))
			return true;
	return false;
}

static char *names_of_new(const struct guards *before, const struct guards *after)
{
	enum { SHOWN = 20 };
	char *names = str_dup("");
	size_t count = 0;

	for (size_t i = 0; i < after->count; i++) {
		if (was_there(before, &after->v[i]) || count++ >= SHOWN)
			continue;
		char *longer = str_printf("%s%s%s", names, count == 1 ? "" : ", ", after->v[i].path);
		free(names);
		names = longer;
	}
	if (count > SHOWN) {
		char *longer = str_printf("%s and %zu more", names, count - SHOWN);
		free(names);
		names = longer;
	}
	return names;
}

static bool judge_tree(const struct guards_tree *tree, int64_t deadline_ms, struct strv *lines, struct npxc_error *err)
{
	struct source source __attribute__((cleanup(source_done))) = SOURCE_NONE;
	struct guards after = { 0 };
	struct npxc_error why = { 0 };

	if (!source_open(tree->path, &source, &why))
		return true; /* gone, with all that was in it */
	const struct launch_identity now = launch_identity_of(source.fd, &source.info);
	if (!is_same(&now, &tree->identity)) {
		strv_pushf(
		    lines,
		    "%s is another directory than the one that a server could write to; look for files there that "
		    "this machine's tools execute (.git, .envrc, .vscode and the like)",
		    tree->path);
		return true;
	}
	if (!find(source.fd, tree->path, false, deadline_ms, &after, &why)) {
		if (why.sys_errno == ETIMEDOUT) {
			*err = why;
			return false;
		}
		strv_pushf(lines, "not looked through for files that this machine's tools execute: %s", why.message);
		return true;
	}
	mem_cleanup char *names = names_of_new(&tree->before, &after);
	guards_done(&after);
	if (names[0] != '\0')
		strv_pushf(lines,
		           "unsafe to execute, made or replaced in %s while a server could write there: %s; look at it "
		           "before you use git, a shell, an editor or a package manager there",
		           tree->path, names);
	return true;
}

bool guards_judge(const char *text, size_t length, int64_t deadline_ms, struct strv *ret_lines, struct npxc_error *err)
{
	struct guards_tree *trees = NULL;
	struct strv lines = { 0 };
	size_t count = 0;
	bool fine = true;

	if (!guards_parse(text, length, &trees, &count, err))
		return false;
	for (size_t i = 0; fine && i < count; i++)
		fine = judge_tree(&trees[i], deadline_ms, &lines, err);
	trees_done(trees, count);
	if (!fine) {
		strv_done(&lines);
		return false;
	}
	*ret_lines = lines;
	return true;
}

/* ---- sessions that died ---- */

static char *lines_text(const struct strv *lines)
{
	cJSON *root = cJSON_CreateObject();

	cJSON_AddItemToObject(root, "unsafe", texts_to_json(lines));
	mem_cleanup char *printed = cJSON_PrintUnformatted(root);
	cJSON_Delete(root);
	return str_dup(printed == NULL ? "" : printed);
}

bool guards_settle(const char *file, struct npxc_error *err)
{
	struct buf text BUF_CLEANUP = BUF_INIT(LIMIT_GUARD_FILE_BYTES);
	struct strv lines __attribute__((cleanup(strv_done))) = { 0 };
	struct npxc_error why = { 0 };

	if (!file_read(file, &text, &why)) {
		if (why.sys_errno == ENOENT)
			return file_remove_alone(file, err); /* it had not been written yet, or not whole */
		*err = why;
		return false;
	}
	if (!guards_judge(text.data == NULL ? "" : text.data, text.length, clock_now_ms() + LIMIT_GUARD_JANITOR_MS,
	                  &lines, &why))
		strv_pushf(&lines, "not looked through for files that this machine's tools execute: %s", why.message);
	if (lines.count == 0)
		return file_remove_alone(file, err);
	mem_cleanup char *said = lines_text(&lines);
	return file_write_alone(file, said, strlen(said), 0600, err);
}

static void collect_one(const char *file, struct strv *lines)
{
	struct buf text BUF_CLEANUP = BUF_INIT(LIMIT_GUARD_FILE_BYTES);
	struct npxc_error ignored = { 0 };
	const cJSON *line;

	if (!file_read(file, &text, &ignored) || text.data == NULL)
		return;
	cJSON *root = parse_text(text.data, text.length);
	const cJSON *list = cJSON_GetObjectItemCaseSensitive(root, "unsafe");
	cJSON_ArrayForEach(line, list)
	{
		if (cJSON_IsString(line))
			strv_push(lines, line->valuestring);
	}
	/* Another is of a session that runs: its own end removes it. */
	if (list != NULL)
		unlink(file);
	cJSON_Delete(root);
}

void guards_collect(const char *directory, struct strv *ret_lines)
{
	DIR *stream = opendir(directory);

	if (stream == NULL)
		return;
	for (const struct dirent *entry = readdir(stream); entry != NULL; entry = readdir(stream)) {
		mem_cleanup char *file = str_path_join(directory, entry->d_name);

		if (str_ends(entry->d_name, SUFFIX))
			collect_one(file, ret_lines);
	}
	closedir(stream);
}
