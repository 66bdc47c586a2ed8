#ifndef NPXC_COMMANDS_COMMANDS_H
#define NPXC_COMMANDS_COMMANDS_H

#include "base/error.h"
#include "config/options.h"

#include <stdbool.h>

/* A name, what it takes, the function, one line of help; `usage` NULL: help does not list it. */
struct command {
	struct options_command words;
	bool (*run)(const struct options *options, int *ret_status, struct npxc_error *err);
	const char *usage;
	const char *help;
};

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
