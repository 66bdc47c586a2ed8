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

static void add_name(struct strv *names, const char *name, size_t length)
{
	mem_cleanup char *word = str_dup_n(name, length);

	if (length > 0 && names->count < LIMIT_ENV_NAMES && !strv_contains(names, word))
		strv_push(names, word);
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

void variables_find(const char *text, size_t length, struct strv *names)
{
	static const char MARK[] = "process.env";
	const size_t mark = sizeof(MARK) - 1;
	const char *at = text, *end = text + length;
	while (at < end && (at = memmem(at, (size_t)(end - at), MARK, mark)) != NULL) {
		if (at > text)
			find_pattern(text, at, names);
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
		add_name(names, name, found);
	}
}

static bool is_capital(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

void variables_find_words(const char *text, size_t length, struct strv *names)
{
	for (size_t i = 0; i < length;) {
		const size_t began = i;
		bool capitals = true, parts = false;
		while (i < length && (is_name_start(text[i]) || (text[i] >= '0' && text[i] <= '9'))) {
			capitals = capitals && is_capital(text[i]);
			parts = parts || (text[i] == '_' && i > began);
			i++;
		}
		if (capitals && parts)
			add_name(names, text + began, name_length(text + began, i - began));
		i += i == began;
	}
}

bool variables_is_common(const char *name, bool has_network)
{
	static const char *const COMMON[] = {
		/* the system's and the shell's */
		"PATH",
		"HOME",
		"TMPDIR",
		"TMP",
		"TEMP",
		"LANG",
		"LANGUAGE",
		"LC_*",
		"TZ",
		"SHELL",
		"SHLVL",
		"USER",
		"USERNAME",
		"LOGNAME",
		"PWD",
		"OLDPWD",
		"HOST",
		"HOSTNAME",
		"MAIL",
		"_",
		"EDITOR",
		"VISUAL",
		"PAGER",
		"BROWSER",
		"XDG_*",
		"DBUS_*",
		"SSH_*",
		"GPG_TTY",
		"INVOCATION_ID",
		"JOURNAL_STREAM",
		/* the terminal's and the desktop's */
		"TERM",
		"TERM_*",
		"COLORTERM",
		"COLUMNS",
		"LINES",
		"LS_COLORS",
		"COLOR",
		"FORCE_COLOR",
		"NO_COLOR",
		"CLICOLOR*",
		"DISPLAY",
		"WAYLAND_DISPLAY",
		"XAUTHORITY",
		"DESKTOP_SESSION",
		"TMUX*",
		"STY",
		"WT_*",
		"ITERM_*",
		"KONSOLE_*",
		"VTE_VERSION",
		"WSL*",
		"VSCODE_*",
		"CURSOR_*",
		"__CF*",
		/* Windows */
		"OS",
		"APPDATA",
		"LOCALAPPDATA",
		"USERPROFILE",
		"HOMEDRIVE",
		"HOMEPATH",
		"SYSTEMROOT",
		"SystemRoot",
		"WINDIR",
		"windir",
		"COMSPEC",
		"ComSpec",
		"PATHEXT",
		"PROGRAMFILES*",
		"ProgramFiles*",
		"ProgramData",
		/* Node's and its tools' */
		"NODE",
		"NODE_ENV",
		"NODE_OPTIONS",
		"NODE_PATH",
		"NODE_DEBUG*",
		"NODE_NO_WARNINGS",
		"NODE_V8_COVERAGE",
		"NODE_DISABLE_COLORS",
		"NODE_UNIQUE_ID",
		"NODE_CHANNEL_*",
		"DEBUG",
		"DEBUG_*",
		"INIT_CWD",
		"npm_*",
		"NPM_CONFIG_*",
		"NPXC_*",
		"NVM_*",
		"VOLTA_HOME",
		"PNPM_HOME",
		"BUN_INSTALL",
		"JEST_WORKER_ID",
		"VITEST",
		/* those by which continuous integration is known */
		"CI",
		"CI_*",
		"CONTINUOUS_INTEGRATION",
		"BUILD_NUMBER",
		"RUN_ID",
		"GITHUB_ACTIONS",
		"GITLAB_CI",
		"TRAVIS",
		"CIRCLECI",
		"APPVEYOR",
		"BUILDKITE",
		"DRONE",
		"TEAMCITY_VERSION",
		"TF_BUILD",
		"CODESPACES",
	};
	static const char *const PROXIES[] = { "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY" };

	for (size_t i = 0; i < sizeof(COMMON) / sizeof(COMMON[0]); i++) {
		const size_t length = strcspn(COMMON[i], "*");
		if (strncmp(COMMON[i], name, length) == 0 && (COMMON[i][length] == '*' || name[length] == '\0'))
			return true;
	}
	for (size_t i = 0; !has_network && i < sizeof(PROXIES) / sizeof(PROXIES[0]); i++)
		if (strcasecmp(PROXIES[i], name) == 0)
			return true;
	return false;
}

struct scan {
	struct strv *names;
	size_t files, bytes;
	bool readme, complete;
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
	if (text.length > 0)
		(is_script(entry->name) ? variables_find : variables_find_words)(text.data, text.length, s->names);
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
	    (is_script(entry->name) || (s->readme && entry->depth == 1 && is_readme(entry->name))))
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

bool variables_scan(const char *directory, const char *package_root, bool readme, struct strv *ret_names,
                    bool *ret_complete, struct npxc_error *err)
{
	struct strv names = { 0 };
	struct scan s = { .names = &names, .readme = readme, .complete = true };
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
