#include "base/log.h"

#include "base/mem.h"
#include "base/str.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TARGETS_MAX = 16, TARGET_SIZE = 32, LINE_SIZE = 2048 };

/* Milliseconds: somebody who reads stderr does so within this. */
enum { READER_MS = 200 };

static unsigned lost; /* lines since the last one that was written */

static bool foreign_open; /* the last of others' bytes on stderr was not a newline */
static bool foreign_cut;  /* and a line of npxc's has ended theirs */

struct log_settings {
	enum log_level general;
	size_t count;
	struct {
		char name[TARGET_SIZE];
		enum log_level level;
	} targets[TARGETS_MAX];
};

static struct log_settings settings = { .general = LOG_LEVEL_WARN };

static const char *const level_names[] = { "off", "error", "warn", "info", "debug", "trace" };

static bool level_parse(const char *text, enum log_level *ret_level)
{
	for (size_t i = 0; i < sizeof(level_names) / sizeof(level_names[0]); i++) {
		if (strcmp(text, level_names[i]) == 0) {
			*ret_level = (enum log_level)i;
			return true;
		}
	}
	return false;
}

static bool word_apply(char *word, struct log_settings *to, struct npxc_error *err)
{
	char *equals = strchr(word, '=');
	const char *level_text = equals != NULL ? equals + 1 : word;
	const char *target = word;
	enum log_level level;

	if (!level_parse(level_text, &level)) {
		mem_cleanup char *shown = str_escape(level_text, strlen(level_text));

		return error_set(err, ERROR_CONFIG,
		                 "unknown log level \"%s\"; use off, error, warn, info, debug or trace", shown);
	}
	if (equals == NULL) {
		to->general = level;
		return true;
	}
	*equals = '\0';
	if (str_starts(target, "npxc::"))
		target += strlen("npxc::");
	if (strlen(target) == 0 || strlen(target) >= TARGET_SIZE || to->count == TARGETS_MAX)
		return error_set(err, ERROR_CONFIG, "log targets: at most %d names of 1 to %d bytes", TARGETS_MAX,
		                 TARGET_SIZE - 1);
	memcpy(to->targets[to->count].name, target, strlen(target) + 1);
	to->targets[to->count++].level = level;
	return true;
}

static bool parse(const char *text, struct log_settings *next, struct npxc_error *err)
{
	mem_cleanup char *copy = str_dup(text);
	char *rest = copy;

	for (char *word = strsep(&rest, ","); word != NULL; word = strsep(&rest, ",")) {
		word = str_trim(word);
		if (word[0] != '\0' && !word_apply(word, next, err))
			return false;
	}
	return true;
}

bool log_configure(const char *text, struct npxc_error *err)
{
	struct log_settings next = { .general = settings.general };

	if (!parse(text, &next, err))
		return false;
	settings = next;
	return true;
}

bool log_check(const char *text, struct npxc_error *err)
{
	struct log_settings ignored = { .general = LOG_LEVEL_WARN };

	return parse(text, &ignored, err);
}

bool log_enabled(enum log_level level, const char *target)
{
	for (size_t i = settings.count; i > 0; i--)
		if (strcmp(settings.targets[i - 1].name, target) == 0)
			return level <= settings.targets[i - 1].level;
	return level <= settings.general;
}

/*
 * A pipe that is writable takes PIPE_BUF bytes without blocking. One that nobody reads is waited for once, until it
 * can be written again: a client that does not read its stderr must not hold up what the launcher does.
 */
static bool put(const char *bytes, size_t count)
{
	while (count > 0) {
		struct pollfd target = { .fd = STDERR_FILENO, .events = POLLOUT };
		const int ready = poll(&target, 1, lost > 0 ? 0 : READER_MS);
		ssize_t written;

		if (ready == 0)
			return false;
		if (ready < 0)
			continue; /* by a signal */
		written = write(STDERR_FILENO, bytes, count < PIPE_BUF ? count : PIPE_BUF);
		if (written < 0 && errno != EINTR && errno != EAGAIN)
			return true; /* nobody will ever read it */
		if (written > 0) {
			bytes += written;
			count -= (size_t)written;
		}
	}
	return true;
}

static bool is_on_terminal(void)
{
	return isatty(STDERR_FILENO) == 1;
}

char *log_dress(const char *line)
{
	const char *terminal = getenv("TERM");
	const size_t length = strcspn(line, "\n");

	if (!is_on_terminal() || terminal == NULL || terminal[0] == '\0' || strcmp(terminal, "dumb") == 0)
		return str_dup(line);
	return str_printf("\033[0;1m%.*s\033[0m%s", (int)length, line, line + length);
}

void log_foreign(const char *bytes, size_t count)
{
	if (count == 0)
		return;
	foreign_open = bytes[count - 1] != '\n';
	foreign_cut = false;
}

bool log_foreign_cut(void)
{
	return foreign_cut;
}

static bool put_dressed(const char *line)
{
	mem_cleanup char *dressed = log_dress(line);
	mem_cleanup char *whole = str_printf("%s%s", foreign_open ? "\n" : "", dressed);

	if (!put(whole, strlen(whole)))
		return false;
	foreign_cut = foreign_cut || foreign_open;
	foreign_open = false;
	return true;
}

void log_line(const char *line)
{
	if (lost > 0) {
		mem_cleanup char *told =
		    str_printf("npxc: %u lines of npxc are missing here: nobody read them\n", lost);

		if (!put_dressed(told)) {
			lost++;
			return;
		}
		lost = 0;
	}
	if (!put_dressed(line))
		lost++;
}

/* One write for the whole line, so that lines of several processes do not mix. */
static void emit(const char *label, const char *target, const char *fmt, va_list args) NPXC_PRINTF(3, 0);

static void emit(const char *label, const char *target, const char *fmt, va_list args)
{
	char text[LINE_SIZE];
	mem_cleanup char *escaped = NULL;
	mem_cleanup char *line = NULL;

	if (vsnprintf(text, sizeof(text), fmt, args) < 0)
		return;
	escaped = str_escape(text, strlen(text));
	line = target == NULL ? str_printf("npxc: %s\n", escaped)
	                      : str_printf("npxc: %s: %s: %s\n", label, target, escaped);
	log_line(line);
}

#define DEFINE_LEVEL(function, level, label)                    \
	void function(const char *target, const char *fmt, ...) \
	{                                                       \
		va_list args;                                   \
                                                                \
		if (!log_enabled(level, target))                \
			return;                                 \
		va_start(args, fmt);                            \
		emit(label, target, fmt, args);                 \
		va_end(args);                                   \
	}

DEFINE_LEVEL(log_error, LOG_LEVEL_ERROR, "error")
DEFINE_LEVEL(log_warn, LOG_LEVEL_WARN, "warning")
DEFINE_LEVEL(log_info, LOG_LEVEL_INFO, "info")
DEFINE_LEVEL(log_debug, LOG_LEVEL_DEBUG, "debug")

void log_notice(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	emit("", NULL, fmt, args);
	va_end(args);
}
