#include "store/reason.h"

#include "base/mem.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { DETAIL_MAX_BYTES = 300 };

const char reason_unreachable[] = "the registry cannot be reached";

static const char dependency_on_files[] =
    "it depends on files that are not part of it (file:), and npm sees none of this machine's; take a release whose "
    "dependencies all come from a registry";

/* The text of an error line of npm, NULL for any other line. Both are cut at the line's end by the caller. */
static const char *npm_error_text(const char *line)
{
	static const char *const prefixes[] = { "npm error", "npm ERR!" };

	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
		size_t n = strlen(prefixes[i]);

		if (strncmp(line, prefixes[i], n) == 0 && (line[n] == ' ' || line[n] == '\0'))
			return line + n + strspn(line + n, " ");
	}
	return NULL;
}

/* npm puts a word of its own before the sentences about some codes. */
static const char *without_label(const char *text)
{
	static const char *const labels[] = { "404 ",         "notarget ",    "network ", "nospc ",  "auth ",
		                              "syscall ",     "errno ",       "enoent ",  "notsup ", "ebadengine ",
		                              "Error: ",      "FetchError: ", "401 ",     "403 ",    "need auth ",
		                              "peerinvalid ", "shasum ",      "e404 " };

	for (size_t i = 0; i < sizeof(labels) / sizeof(labels[0]); i++)
		if (str_starts(text, labels[i]))
			return without_label(text + strlen(labels[i]) + strspn(text + strlen(labels[i]), " "));
	return text;
}

static bool is_detail(const char *text)
{
	static const char *const others[] = { "code ", "syscall ", "errno ",        "path ",
		                              "dest ", "command ", "cwd ",          "A complete log",
		                              "type ", "signal ",  "command failed" };

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (str_starts(text, others[i]))
			return false;
	return text[0] != '\0' && strcmp(text, "404") != 0;
}

/* What the code means, in the words of someone who wants to go on. */
static const char *meaning(const char *code)
{
	static const char *const meanings[][2] = {
		{ "E404", "no such package" },
		{ "ETARGET", "no such version" },
		{ "ENOVERSIONS", "no such version" },
		{ "ENOTFOUND", reason_unreachable },
		{ "EAI_AGAIN", reason_unreachable },
		{ "ECONNREFUSED", reason_unreachable },
		{ "ECONNRESET", reason_unreachable },
		{ "ETIMEDOUT", reason_unreachable },
		{ "ERR_SOCKET_TIMEOUT", reason_unreachable },
		{ "ENETUNREACH", reason_unreachable },
		{ "EHOSTUNREACH", reason_unreachable },
		{ "ENOSPC", "the disk is full" },
		{ "EDQUOT", "the disk quota is used up" },
		{ "E401", "the registry wants credentials, or others than those in npm's configuration" },
		{ "E403", "the registry refuses" },
		{ "ENEEDAUTH", "the registry wants credentials" },
		{ "EINTEGRITY", "the registry sent other bytes than it announced" },
		{ "EBADPLATFORM", "the package is not made for this platform" },
		{ "EBADENGINE", "the package is not made for this Node.js" },
		{ "ERESOLVE", "the package's dependencies contradict each other" },
		{ "EALLOWGIT",
		  "it depends on a git repository: npxc fetches none, because preparing one runs its code beside npm's "
		  "credentials; take a release whose dependencies all come from a registry" },
		{ "ENOPROGRAM", "a dependency wants to be built before it is packed: npxc runs no code beside npm's "
		                "credentials; take "
		                "a release whose dependencies all come from a registry" },
		{ "EALLOWREMOTE",
		  "it depends on a URL, which this npm does not fetch; set allow-remote=all in your npmrc and let "
		  "install.allow name the host, or take a release whose dependencies all come from a registry" },
		{ "EALLOWFILE", dependency_on_files },
		{ "EALLOWDIRECTORY", dependency_on_files },
		{ "EUNSUPPORTEDPROTOCOL", "it depends on an address of a kind that npm does not know" },
	};

	for (size_t i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++)
		if (strcmp(meanings[i][0], code) == 0)
			return meanings[i][1];
	return NULL;
}

static char *shown(const char *text)
{
	return str_escape(text, strnlen(text, DETAIL_MAX_BYTES));
}

/* "No matching version found for NAME@RANGE." names what was asked for. Owned or NULL. */
static char *wanted_version(const char *detail)
{
	static const char start[] = "No matching version found for ";
	const char *found = strstr(detail, start);
	const char *spec;
	const char *at;
	size_t length;

	if (found == NULL)
		return NULL;
	spec = found + strlen(start);
	length = strlen(spec);
	if (strstr(spec, " with a date before") != NULL)
		length = (size_t)(strstr(spec, " with a date before") - spec);
	while (length > 0 && spec[length - 1] == '.')
		length--;
	at = memchr(spec + 1, '@', length > 0 ? length - 1 : 0);
	return at == NULL ? NULL : str_dup_n(at + 1, length - (size_t)(at + 1 - spec));
}

/* npm installs nothing else from a path of its own sandbox. */
static bool is_missing_dependency(const char *code, const char *detail)
{
	return code != NULL && detail != NULL && strcmp(code, "ENOENT") == 0 &&
	       (strstr(detail, "package.json'") != NULL || strstr(detail, ".tgz'") != NULL ||
	        strstr(detail, ".tar.gz'") != NULL || strstr(detail, ".tar'") != NULL);
}

char *reason_of_npm(const char *errors)
{
	mem_cleanup char *copy = str_dup(errors);
	mem_cleanup char *code = NULL;
	mem_cleanup char *detail = NULL;
	mem_cleanup char *last = NULL;
	mem_cleanup char *version = NULL;
	char *rest = copy;
	const char *what;

	for (char *line = strsep(&rest, "\r\n"); line != NULL; line = strsep(&rest, "\r\n")) {
		const char *text = npm_error_text(line);

		if (text == NULL) {
			if (str_trim(line)[0] != '\0' && !str_starts(line, "npm ")) {
				free(last);
				last = shown(str_trim(line));
			}
			continue;
		}
		if (code == NULL && str_starts(text, "code ")) {
			code = shown(text + 5);
		} else if (detail == NULL && is_detail(text) && is_detail(without_label(text))) {
			detail = shown(without_label(text));
		}
	}
	if (code == NULL && detail == NULL)
		return last != NULL ? str_printf("npm says: %s", last) : str_dup("npm failed and said nothing");
	what = is_missing_dependency(code, detail) ? dependency_on_files : code != NULL ? meaning(code) : NULL;
	if (detail == NULL)
		return what != NULL ? str_printf("%s (npm: %s)", what, code) : str_printf("npm says: %s", code);
	version = wanted_version(detail);
	if (what != NULL && version != NULL)
		return str_printf("no version matching %s; npm says: %s", version, detail);
	if (what != NULL)
		return str_printf("%s; npm says: %s", what, detail);
	return code != NULL ? str_printf("npm says: %s: %s", code, detail) : str_printf("npm says: %s", detail);
}

static bool looks_like_error(const char *line)
{
	return strstr(line, "Error:") != NULL || strstr(line, "error:") != NULL || strstr(line, "ERROR") != NULL ||
	       strstr(line, "ERR!") != NULL || strstr(line, "fatal") != NULL;
}

/* The first line that calls itself an error, else the last one that says anything. Owned or NULL. */
static char *script_words(const char *stream)
{
	mem_cleanup char *copy = str_dup(stream);
	char *rest = copy;
	char *last = NULL;

	for (char *line = strsep(&rest, "\r\n"); line != NULL; line = strsep(&rest, "\r\n")) {
		line = str_trim(line);
		if (line[0] == '\0' || line[0] == '>' || str_starts(line, "npm ") || str_starts(line, "Node.js v") ||
		    str_starts(line, "at "))
			continue;
		free(last);
		last = shown(line);
		if (looks_like_error(line))
			break;
	}
	return last;
}

char *reason_of_script(const char *output, const char *errors)
{
	char *words = script_words(errors);

	if (words == NULL)
		words = script_words(output);
	return words != NULL ? words : reason_of_npm(errors);
}
