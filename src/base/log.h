#ifndef NPXC_BASE_LOG_H
#define NPXC_BASE_LOG_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * Log lines go to stderr, one line each, control bytes escaped: stdout belongs to MCP. A target is the name of the
 * part that speaks ("session", "install", "egress").
 */
enum log_level { LOG_LEVEL_OFF, LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG, LOG_LEVEL_TRACE };

/*
 * Sets what is shown from a text such as "info" or "warn,npxc::egress=debug" (`npxc::` may be left out). A later word
 * beats an earlier one, a target beats the general level. ERROR_CONFIG on an unknown level; nothing changes then.
 */
bool log_configure(const char *text, struct npxc_error *err) NPXC_MUST_CHECK;
/* Whether log_configure would take it; changes nothing. */
bool log_check(const char *text, struct npxc_error *err) NPXC_MUST_CHECK;

bool log_enabled(enum log_level level, const char *target);

void log_error(const char *target, const char *fmt, ...) NPXC_PRINTF(2, 3);
void log_warn(const char *target, const char *fmt, ...) NPXC_PRINTF(2, 3);
void log_info(const char *target, const char *fmt, ...) NPXC_PRINTF(2, 3);
void log_debug(const char *target, const char *fmt, ...) NPXC_PRINTF(2, 3);

/*
 * Writes a line (with its newline, control bytes escaped) to stderr. Never waits longer than 200 ms, and not again
 * before stderr has been read: lines that nobody reads are counted, and the count is told before the next one that is
 * written.
 */
void log_line(const char *line);

/*
 * On a terminal npxc's own lines are bold, after a reset of what was in force: that is how they are told from a guest's
 * (base/terminal), which can hold no escape sequence. Without TERM, or with TERM=dumb, they are plain.
 *
 * A line as log_line would write it; owned.
 */
char *log_dress(const char *line);
/* Others' bytes, for a terminal, have gone to stderr. A line of npxc's that comes while theirs is open begins a new
 * one; then log_foreign_cut is true until they go on, for which they need a label. */
void log_foreign(const char *bytes, size_t count);
bool log_foreign_cut(void);

/* A line for the user that no level hides ("npxc: ..."). */
void log_notice(const char *fmt, ...) NPXC_PRINTF(1, 2);

#endif
