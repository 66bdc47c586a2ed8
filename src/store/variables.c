#include "store/variables.h"

#include "base/buf.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/tree.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
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

/* In order, so that a package with millions of them is searched in time. */
static void add_name(struct strv *names, const char *name, size_t length)
{
	size_t from = 0, to = names->count;
	char *word;

	if (length == 0 || names->count >= LIMIT_ENV_NAMES)
		return;
	while (from < to) {
		const size_t middle = from + (to - from) / 2;
		int order = strncmp(names->v[middle], name, length);

		if (order == 0)
			order = names->v[middle][length] != '\0';
		if (order == 0)
			return;
		if (order < 0)
			from = middle + 1;
		else
			to = middle;
	}
	word = str_dup_n(name, length);
	strv_push_owned(names, word);
	memmove(&names->v[from + 1], &names->v[from], (names->count - 1 - from) * sizeof(names->v[0]));
	names->v[from] = word;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* bytes: of a pattern before `= process.env` that is looked at. */
enum { PATTERN_BYTES_MAX = 4096 };

/* `{ A, B: b, C = 1 } =` before a mark: each name after `{` or `,`. A default that holds a brace is not understood. */
static void find_pattern(const char *text, const char *mark, struct strv *names)
{
	const char *const first = mark - text > PATTERN_BYTES_MAX ? mark - PATTERN_BYTES_MAX : text;
	const char *end = mark, *open;

	while (end > first && is_blank(end[-1]))
		end--;
	if (end == first || *--end != '=')
		return;
	while (end > first && is_blank(end[-1]))
		end--;
	if (end == first || *--end != '}')
		return;
	for (open = end; open > first && open[-1] != '{' && open[-1] != '}';)
		open--;
	if (open == first || open[-1] != '{')
		return;
	while (open < end) {
		while (open < end && is_blank(*open))
			open++;
		add_name(names, open, name_length(open, (size_t)(end - open)));
		while (open < end && *open++ != ',')
			;
	}
}

/* The name that is read where `process.env` has just been, and its length; 0: none by name. */
static size_t name_behind(const char *at, size_t room, const char **ret_name)
{
	const char *const quote = room > 1 && at[0] == '[' ? strchr("\"'`", at[1]) : NULL;
	const size_t optional = room > 2 && at[0] == '?' && at[1] == '.' ? 1 : 0;
	size_t length;

	if (quote == NULL) {
		*ret_name = at + optional + 1;
		return room > optional + 1 && at[optional] == '.' ? name_length(*ret_name, room - optional - 1) : 0;
	}
	*ret_name = at + 2;
	length = name_length(*ret_name, room - 2);
	return length > 0 && length + 3 < room && (*ret_name)[length] == at[1] && (*ret_name)[length + 1] == ']'
	           ? length
	           : 0;
}

/* Behind `process`: `.env` or `?.env`, its length; 0: something else. */
static size_t env_behind(const char *at, size_t room)
{
	const size_t optional = room > 0 && at[0] == '?' ? 1 : 0;
	const size_t length = optional + strlen(".env");

	return room >= length && memcmp(at + optional, ".env", strlen(".env")) == 0 ? length : 0;
}

/* Calls for each place where `process.env` has just been. */
static void each_use(const char *text, size_t length, void (*use)(void *context, const char *begin, const char *behind),
                     void *context)
{
	static const char MARK[] = "process";
	const size_t mark = sizeof(MARK) - 1;
	const char *at = text, *end = text + length;

	while (at < end && (at = memmem(at, (size_t)(end - at), MARK, mark)) != NULL) {
		const char *begin = at;
		const size_t env = env_behind(at + mark, (size_t)(end - at) - mark);

		at += mark + env;
		if (env > 0)
			use(context, begin, at);
	}
}

struct uses {
	const char *text, *end;
	struct strv *names;
	const char *looked; /* of guesses: up to here */
};

static void take_names(void *context, const char *begin, const char *behind)
{
	const struct uses *uses = context;
	const char *name = behind;
	const size_t length = name_behind(behind, (size_t)(uses->end - behind), &name);

	find_pattern(uses->text, begin, uses->names);
	add_name(uses->names, name, length);
}

void variables_find(const char *text, size_t length, struct strv *names)
{
	struct uses uses = { .text = text, .end = text + length, .names = names };

	each_use(text, length, take_names, &uses);
}

static bool is_capital(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

static void find_words(const char *text, size_t length, size_t shortest, struct strv *names)
{
	for (size_t i = 0; i < length;) {
		const size_t began = i;
		bool capitals = true, parts = false;
		while (i < length && (is_name_start(text[i]) || (text[i] >= '0' && text[i] <= '9'))) {
			capitals = capitals && is_capital(text[i]);
			parts = parts || (text[i] == '_' && i > began);
			i++;
		}
		if (capitals && (parts || i - began >= shortest))
			add_name(names, text + began, name_length(text + began, i - began));
		i += i == began;
	}
}

void variables_find_words(const char *text, size_t length, struct strv *names)
{
	find_words(text, length, SIZE_MAX, names);
}

/* bytes: before and behind a use of the whole environment; letters: of a word without parts there. */
enum { NEAR_BYTES = 16 * 1024, WORD_LETTERS_MIN = 4 };

/* A schema, a table of settings: `parse(process.env)`, `env = process.env; ... env.API_KEY`. */
static void take_words_near(void *context, const char *begin, const char *behind)
{
	struct uses *uses = context;
	const size_t before = (size_t)(begin - uses->text), after = (size_t)(uses->end - behind);
	const char *from = begin - (before < NEAR_BYTES ? before : NEAR_BYTES);
	const char *to = behind + (after < NEAR_BYTES ? after : NEAR_BYTES);
	const char *name;

	if (name_behind(behind, after, &name) > 0)
		return;
	from = uses->looked != NULL && from < uses->looked ? uses->looked : from;
	if (from < to)
		find_words(from, (size_t)(to - from), WORD_LETTERS_MIN, uses->names);
	uses->looked = to;
}

void variables_guess(const char *text, size_t length, struct strv *names)
{
	struct uses uses = { .text = text, .end = text + length, .names = names };

	each_use(text, length, take_words_near, &uses);
}

/* Words with blanks between; `*` at the end of one stands for any letters. */
static bool is_among(const char *words, const char *name)
{
	const size_t length = strlen(name);

	while (*words != '\0') {
		const size_t word = strcspn(words, " ");
		const bool prefix = words[word - 1] == '*';
		const size_t letters = word - prefix;

		if (strncmp(words, name, letters) == 0 && (prefix || letters == length))
			return true;
		words += word;
		words += strspn(words, " ");
	}
	return false;
}

bool variables_is_common(const char *name, bool has_network)
{
	/* the system's and the shell's */
	static const char SYSTEM[] =
	    "PATH HOME TMPDIR TMP TEMP LANG LANGUAGE LC_* TZ SHELL SHLVL USER USERNAME LOGNAME PWD "
	    "OLDPWD HOST HOSTNAME MAIL _ EDITOR VISUAL PAGER BROWSER XDG_* DBUS_* SSH_AUTH_SOCK SSH_AGENT_PID "
	    "SSH_CLIENT SSH_CONNECTION SSH_TTY SSH_ASKPASS GPG_TTY "
	    "INVOCATION_ID JOURNAL_STREAM";
	/* the terminal's and the desktop's */
	static const char TERMINAL[] =
	    "TERM TERM_* COLORTERM COLUMNS LINES LS_COLORS COLOR FORCE_COLOR NO_COLOR CLICOLOR* "
	    "DISPLAY WAYLAND_DISPLAY XAUTHORITY DESKTOP_SESSION TMUX* STY WT_* ITERM_* KONSOLE_* "
	    "VTE_VERSION WSL* VSCODE_* CURSOR_* __CF*";
	/* Windows */
	static const char WINDOWS[] =
	    "OS APPDATA LOCALAPPDATA USERPROFILE HOMEDRIVE HOMEPATH SYSTEMROOT SystemRoot WINDIR "
	    "COMSPEC PATHEXT PROGRAMFILES* ProgramData";
	/* Node's and its tools' */
	static const char NODE[] = "NODE NODE_ENV NODE_OPTIONS NODE_PATH NODE_DEBUG* NODE_NO_WARNINGS NODE_V8_COVERAGE "
	                           "NODE_DISABLE_COLORS NODE_UNIQUE_ID NODE_CHANNEL_* DEBUG DEBUG_* INIT_CWD npm_* "
	                           "NPM_CONFIG_* NPXC_* NVM_* VOLTA_HOME PNPM_HOME BUN_INSTALL JEST_WORKER_ID VITEST";
	/* those by which continuous integration is known */
	static const char INTEGRATION[] =
	    "CI CI_NAME CONTINUOUS_INTEGRATION BUILD_NUMBER RUN_ID GITHUB_ACTIONS GITLAB_CI TRAVIS "
	    "CIRCLECI APPVEYOR BUILDKITE DRONE TEAMCITY_VERSION TF_BUILD CODESPACES";
	static const char PROXIES[] =
	    "http_proxy https_proxy all_proxy no_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY NO_PROXY";

	return is_among(SYSTEM, name) || is_among(TERMINAL, name) || is_among(WINDOWS, name) || is_among(NODE, name) ||
	       is_among(INTEGRATION, name) || (!has_network && is_among(PROXIES, name));
}

struct scan {
	struct strv names, guesses;
	size_t files, bytes;
	bool guess, complete;
};

static bool is_script(const char *name)
{
	return str_ends(name, ".js") || str_ends(name, ".cjs") || str_ends(name, ".mjs") || str_ends(name, ".ts");
}

static bool is_readme(const char *name)
{
	return strcasecmp(name, "README.md") == 0 || strcasecmp(name, "README") == 0;
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
	if (text.length == 0)
		return;
	if (!is_script(entry->name)) {
		variables_find_words(text.data, text.length, &s->guesses);
		return;
	}
	variables_find(text.data, text.length, &s->names);
	if (s->guess)
		variables_guess(text.data, text.length, &s->guesses);
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
	if (S_ISREG(entry->info.st_mode) &&
	    (is_script(entry->name) || (s->guess && entry->depth == 1 && is_readme(entry->name))))
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

bool variables_scan(const char *directory, const char *package_root, bool guess, struct strv *ret_names,
                    bool *ret_complete, struct npxc_error *err)
{
	struct scan s = { .guess = guess, .complete = true };
	const struct tree_visitor visitor = { .context = &s, .entry = scan_entry, .refused = scan_refused };
	FD_CLEANUP int root = -1;
	const bool fine = tree_open(directory, &root, err) && tree_walk(root, package_root, &visitor, err);

	/* What is known comes first: the ceiling counts for both. */
	for (size_t i = 0; fine && i < s.guesses.count; i++)
		add_name(&s.names, s.guesses.v[i], strlen(s.guesses.v[i]));
	strv_done(&s.guesses);
	if (!fine) {
		strv_done(&s.names);
		return false;
	}
	*ret_names = s.names;
	*ret_complete = s.complete;
	return true;
}
