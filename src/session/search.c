#include "session/search.h"

#include "base/buf.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "config/paths.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const PROGRAMS[] = { "node", "npm", "bwrap", "podman", "docker", "container" };

/* "~/" stands for HOME; "*" for the newest version there. */
static const char *const PLACES[] = {
	"/opt/homebrew/bin",
	"/usr/local/bin",
	"/usr/bin",
	"/bin",
	"/home/linuxbrew/.linuxbrew/bin",
	"/opt/local/bin",
	"/snap/bin",
	"/run/current-system/sw/bin",
	"~/.nvm/versions/node/*/bin",
	"~/.volta/bin",
	"~/.local/share/fnm/aliases/default/bin",
	"~/.fnm/aliases/default/bin",
	"~/.local/share/mise/shims",
	"~/.asdf/shims",
	"~/n/bin",
	"~/.nix-profile/bin",
	"~/.local/bin",
	"~/.docker/bin",
	"~/.orbstack/bin",
};

/* directories: more are not remembered */
enum { REMEMBERED_MAX = 16 };

/* Root's or the user's own, and nobody else may write to it. */
static bool is_ours(const struct stat *st)
{
	return (st->st_uid == 0 || st->st_uid == geteuid()) && (st->st_mode & S_IWOTH) == 0;
}

static bool programs_are_ours(const char *directory)
{
	for (size_t i = 0; i < sizeof(PROGRAMS) / sizeof(PROGRAMS[0]); i++) {
		mem_cleanup char *path = str_path_join(directory, PROGRAMS[i]);
		struct stat st;

		if (stat(path, &st) == 0 && !is_ours(&st))
			return false;
	}
	return true;
}

/* Of what is above it nobody else may rename anything. */
static bool is_trusted(const char *directory)
{
	mem_cleanup char *above = str_path_clean(directory);
	struct stat st;

	if (stat(directory, &st) != 0 || !S_ISDIR(st.st_mode) || !is_ours(&st) || !programs_are_ours(directory))
		return false;
	for (char *slash = strrchr(above, '/'); slash != NULL && slash != above; slash = strrchr(above, '/')) {
		*slash = '\0';
		if (stat(above, &st) != 0)
			return false;
		if ((st.st_mode & S_ISVTX) != 0)
			st.st_mode &= ~(mode_t)S_IWOTH;
		if (!is_ours(&st))
			return false;
	}
	return true;
}

static void add(struct strv *directories, const char *directory)
{
	if (!strv_contains(directories, directory) && is_trusted(directory))
		strv_push(directories, directory);
}

/* Compares "v20.9.0" and "v20.10.0" as versions. */
static int compare_versions(const char *a, const char *b)
{
	for (int part = 0; part < 3; part++) {
		char *after_a, *after_b;
		const unsigned long x = strtoul(a + strspn(a, "v."), &after_a, 10);
		const unsigned long y = strtoul(b + strspn(b, "v."), &after_b, 10);

		if (x != y)
			return x < y ? -1 : 1;
		a = after_a;
		b = after_b;
	}
	return 0;
}

/* The entry of `directory` that is the newest version; owned, NULL when there is none. */
static char *newest(const char *directory)
{
	DIR *stream = opendir(directory);
	char *best = NULL;

	if (stream == NULL)
		return NULL;
	for (const struct dirent *entry = readdir(stream); entry != NULL; entry = readdir(stream)) {
		if (entry->d_name[0] != 'v' || (best != NULL && compare_versions(entry->d_name, best) <= 0))
			continue;
		free(best);
		best = str_dup(entry->d_name);
	}
	closedir(stream);
	return best;
}

/* A place's directory; owned, NULL where there is no version. */
static char *path_of(const char *place, const char *home)
{
	mem_cleanup char *path = str_starts(place, "~/") ? str_path_join(home, place + 2) : str_dup(place);
	const char *star = strstr(path, "/*/");

	if (star == NULL)
		return MEM_TAKE(path);
	mem_cleanup char *above = str_dup_n(path, (size_t)(star - path));
	mem_cleanup char *version = newest(above);
	return version != NULL ? str_printf("%s/%s%s", above, version, star + 2) : NULL;
}

static void add_place(struct strv *directories, const char *place, const char *home)
{
	mem_cleanup char *path = path_of(place, home);

	if (path != NULL)
		add(directories, path);
}

/* Whether one of the places is this; of those that hold versions the newest. Looks at the disk for those only. */
static bool is_usual(const char *directory, const char *home)
{
	for (size_t i = 0; i < sizeof(PLACES) / sizeof(PLACES[0]); i++) {
		mem_cleanup char *place = path_of(PLACES[i], home);

		if (str_equal(place, directory))
			return true;
	}
	return false;
}

/* ---- what is remembered ---- */

static char *record_file(const char *state_directory)
{
	return str_path_join(state_directory, "search");
}

/* One absolute path a line. */
static void read_record(const char *state_directory, struct strv *directories)
{
	mem_cleanup char *file = record_file(state_directory);
	struct buf text BUF_CLEANUP = BUF_INIT(LIMIT_SEARCH_BYTES);
	struct npxc_error ignored = { 0 };
	char *rest;

	if (!file_read(file, &text, &ignored) || text.data == NULL)
		return;
	rest = text.data;
	for (char *line = strsep(&rest, "\n"); line != NULL; line = strsep(&rest, "\n"))
		if (line[0] == '/' && directories->count < REMEMBERED_MAX)
			strv_push(directories, line);
}

static bool may_be_remembered(const char *directory, const char *home)
{
	if (!str_path_within(directory, home))
		return true;
	return directory[strlen(home)] == '/' && directory[strlen(home) + 1] == '.';
}

static bool holds_a_program(const char *directory)
{
	for (size_t i = 0; i < sizeof(PROGRAMS) / sizeof(PROGRAMS[0]); i++) {
		mem_cleanup char *path = str_path_join(directory, PROGRAMS[i]);

		if (access(path, X_OK) == 0)
			return true;
	}
	return false;
}

static void split(const char *path_variable, struct strv *directories)
{
	mem_cleanup char *copy = str_dup(path_variable);
	char *rest = copy;

	for (char *entry = strsep(&rest, ":"); entry != NULL; entry = strsep(&rest, ":"))
		if (entry[0] == '/' && !strv_contains(directories, entry))
			strv_push(directories, entry);
}

void search_remember(const char *home, const char *state_directory)
{
	mem_cleanup char *search = paths_search(getenv("PATH"));
	mem_cleanup char *file = record_file(state_directory);
	struct strv now = { 0 }, known = { 0 };
	struct buf text BUF_CLEANUP = BUF_INIT(LIMIT_SEARCH_BYTES);
	struct npxc_error err = { 0 };
	bool news = false;

	split(search, &now);
	read_record(state_directory, &known);
	for (size_t i = 0; i < now.count; i++) {
		const char *directory = now.v[i];

		if (known.count == REMEMBERED_MAX || strv_contains(&known, directory) || is_usual(directory, home) ||
		    strchr(directory, '\n') != NULL || !may_be_remembered(directory, home) || !is_trusted(directory) ||
		    !holds_a_program(directory))
			continue;
		strv_push(&known, directory);
		news = true;
	}
	for (size_t i = 0; news && i < known.count; i++)
		news = buf_appendf(&text, &err, "%s\n", known.v[i]);
	if (news && !file_write_atomic(file, text.data, text.length, 0600, &err))
		log_debug("search", "%s", err.message);
	strv_done(&now);
	strv_done(&known);
}

/* ---- all of it ---- */

char *search_path(const char *home, const char *state_directory)
{
	char *path = paths_search(getenv("PATH"));
	struct strv named = { 0 }, known = { 0 }, more = { 0 };

	split(path, &named);
	read_record(state_directory, &known);
	for (size_t i = 0; i < known.count; i++)
		add(&more, known.v[i]);
	for (size_t i = 0; i < sizeof(PLACES) / sizeof(PLACES[0]); i++)
		add_place(&more, PLACES[i], home);
	for (size_t i = 0; i < more.count; i++) {
		char *longer;

		if (strv_contains(&named, more.v[i]))
			continue;
		longer = str_printf("%s%s%s", path, path[0] != '\0' ? ":" : "", more.v[i]);
		free(path);
		path = longer;
	}
	strv_done(&named);
	strv_done(&known);
	strv_done(&more);
	return path;
}
