#ifndef NPXC_COMMANDS_COMMANDS_H
#define NPXC_COMMANDS_COMMANDS_H

#include "base/error.h"
#include "config/options.h"

#include <stdbool.h>
#include <stddef.h>

/* A name, what it takes, the function, one line of help; `usage` NULL: help does not list it. */
struct command {
	struct options_command words;
	bool (*run)(const struct options *options, int *ret_status, struct npxc_error *err);
	const char *usage;
	const char *help;
};

/* The options of argv; their `command` is an index of the table. Errors as of options_parse. */
bool commands_parse(const struct command *commands, size_t count, int argc, char **argv, struct options *ret_options,
                    struct npxc_error *err) NPXC_MUST_CHECK;

/*
 * Each command in a file of its own. True: done, npxc exits with `ret_status` (0 unless the command says otherwise).
 * False: `err` is printed by main.c, which maps its kind to an exit status.
 */
bool run_command(const struct options *options, int *ret_status, struct npxc_error *err) NPXC_MUST_CHECK;
bool try_command(const struct options *options, int *ret_status, struct npxc_error *err) NPXC_MUST_CHECK;
bool install_command(const struct options *options, int *ret_status, struct npxc_error *err) NPXC_MUST_CHECK;
bool list_command(const struct options *options, int *ret_status, struct npxc_error *err) NPXC_MUST_CHECK;
bool clean_command(const struct options *options, int *ret_status, struct npxc_error *err) NPXC_MUST_CHECK;
bool inspect_command(const struct options *options, int *ret_status, struct npxc_error *err) NPXC_MUST_CHECK;
bool learn_command(const struct options *options, int *ret_status, struct npxc_error *err) NPXC_MUST_CHECK;
bool log_command(const struct options *options, int *ret_status, struct npxc_error *err) NPXC_MUST_CHECK;
bool ps_command(const struct options *options, int *ret_status, struct npxc_error *err) NPXC_MUST_CHECK;
bool stop_command(const struct options *options, int *ret_status, struct npxc_error *err) NPXC_MUST_CHECK;
bool gc_command(const struct options *options, int *ret_status, struct npxc_error *err) NPXC_MUST_CHECK;
bool doctor_command(const struct options *options, int *ret_status, struct npxc_error *err) NPXC_MUST_CHECK;

#endif
