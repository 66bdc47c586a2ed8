#ifndef NPXC_COMMANDS_PRINT_H
#define NPXC_COMMANDS_PRINT_H

#include "base/error.h"
#include "commands/commands.h"
#include "config/options.h"

#include <stddef.h>
#include <stdint.h>

struct cJSON;

/* Output of the commands that are not MCP sessions; their stdout is the user's. */

/* One line to stdout, its newline added; what of it str_escape would escape is escaped: for text of servers, packages
 * and leases. */
void print_row(const char *fmt, ...) NPXC_PRINTF(1, 2);
/* The same JSON with every character that is not seen (str_escape) written as \uXXXX, and U+FFFD for a byte that is no
 * UTF-8; owned. */
char *print_json_text(const char *json);
/* Indented, made safe for a terminal by that, to stdout, with a newline. ERROR_IO when stdout cannot be written. */
bool print_json(const struct cJSON *value, struct npxc_error *err) NPXC_MUST_CHECK;
/* "12.3 MB"; owned. */
char *print_bytes(uint64_t bytes);
/* "842 ms", "3.1 s"; owned. */
char *print_duration(int64_t microseconds);
/* "12 s", "3 min", "2 h 5 min", "4 d 1 h"; owned. */
char *print_age(int64_t milliseconds);
/* `text` from outside (a server, a package) in one line for a terminal: control bytes escaped, cut at `most` bytes with
 * "..."; owned. */
char *print_line(const char *text, size_t most);

/* `--help` of npxc, or of the command that `options` says. */
void print_help(const struct command *commands, size_t count, const struct options *options);
/* A few lines to stderr for whoever typed `npxc` alone. */
void print_usage(const struct command *commands, size_t count);
/* To stderr; with --json as an object, still on stderr: stdout may be a client's. */
void print_failure(const struct npxc_error *err, int exit_status, bool json);
/* What was printed has to have arrived: `npxc list > file` on a full disk must not pass for success. ERROR_IO. */
/* Whether stdout is a pipe whose reader has gone (`npxc list | head -1`): then nothing is to be said about it. */
bool print_is_unread(void);
bool print_flush(struct npxc_error *err) NPXC_MUST_CHECK;

#endif
