#include "base/error.h"
#include "base/fault.h"
#include "base/fd.h"
#include "base/signals.h"
#include "base/str.h"
#include "commands/commands.h"
#include "commands/print.h"
#include "config/options.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

/* npxc is this table. */
enum { LAUNCH = OPTIONS_SPEC | OPTIONS_SANDBOX | OPTIONS_RUNTIME | OPTIONS_JSON };
static const struct command COMMANDS[] = {
	{ { NULL, NULL, LAUNCH | OPTIONS_DRY_RUN, OPTIONS_WORDS_LAUNCH },
	  run_command,
	  "npxc [flags] <spec> [server arguments...]",
	  "run an MCP server from npm in a sandbox, as an MCP client starts it" },
	{ { "try", NULL, LAUNCH, OPTIONS_WORDS_LAUNCH },
	  try_command,
	  "npxc try [flags] <spec> [server arguments...]",
	  "look at a server: its sandbox, tools, variables, times" },
	{ { "inspect", NULL, LAUNCH, OPTIONS_WORDS_LAUNCH },
	  inspect_command,
	  "npxc inspect [flags] <spec> [server arguments...]",
	  "show the plan that a run would use; start nothing" },
	{ { "install", NULL, OPTIONS_SPEC | OPTIONS_RUNTIME | OPTIONS_INSTALL | OPTIONS_JSON, OPTIONS_WORDS_SPECS },
	  install_command,
	  "npxc install [--update] [--force] <spec>...",
	  "put packages into the store" },
	{ { "list", NULL, OPTIONS_JSON, OPTIONS_WORDS_NONE }, list_command, "npxc list", "what is in the store" },
	{ { "clean", NULL, OPTIONS_ALL | OPTIONS_JSON, OPTIONS_WORDS_SPECS },
	  clean_command,
	  "npxc clean <spec>... | --all",
	  "remove packages from the store" },
	{ { "doctor", NULL, OPTIONS_RUNTIME | OPTIONS_FIX | OPTIONS_PROBE | OPTIONS_JSON, OPTIONS_WORDS_NONE },
	  doctor_command,
	  "npxc doctor [--fix] [--probe]",
	  "whether this machine can run a sandbox, and which limits hold" },
	{ { "log", NULL, OPTIONS_DENIED | OPTIONS_JSON, OPTIONS_WORDS_SPECS },
	  log_command,
	  "npxc log [--denied] [<spec>...]",
	  "what servers with an allowlist reached, or were refused" },
	{ { "ps", NULL, OPTIONS_JSON, OPTIONS_WORDS_NONE },
	  ps_command,
	  "npxc ps",
	  "which sessions run, and which ended without being cleaned up" },
	{ { "stop", NULL, OPTIONS_ALL | OPTIONS_JSON, OPTIONS_WORDS_SPECS },
	  stop_command,
	  "npxc stop <id> | <package>... | --all",
	  "end sessions as a client does" },
	{ { "gc", NULL, OPTIONS_ORPHANS | OPTIONS_JSON, OPTIONS_WORDS_SPECS },
	  gc_command,
	  "npxc gc [--orphans <name>...]",
	  "remove what dead sessions left" },
	{ { "learn", NULL, LAUNCH | OPTIONS_WRITE, OPTIONS_WORDS_LAUNCH },
	  learn_command,
	  "npxc learn [--write] [flags] <spec> [arguments...]",
	  "run a server with an allowlist; propose rules for what it was refused" },
	{ { "build", "install", 0, OPTIONS_WORDS_SPECS }, NULL, NULL, "old name of install" },
	{ { "rebuild", "install", 0, OPTIONS_WORDS_SPECS }, NULL, NULL, "old name of install --force" },
};
enum { COMMAND_COUNT = sizeof(COMMANDS) / sizeof(COMMANDS[0]) };

/* The one place where a kind becomes an exit status. */
static int status_of(enum npxc_error_kind kind)
{
	switch (kind) {
	case ERROR_NONE:
		return 0;
	case ERROR_CONFIG:
	case ERROR_PATH_OUT_OF_SCOPE:
	case ERROR_PATH_NOT_FOUND:
		return 1;
	case ERROR_RUNTIME_UNAVAILABLE:
		return 2;
	case ERROR_INSTALL:
		return 3;
	case ERROR_RUNTIME:
	case ERROR_JSON:
	case ERROR_IO:
		return 4;
	}
	return 4;
}

int main(int argc, char **argv)
{
	struct options options;
	struct npxc_error err = { 0 };
	int status = 0;
	FAULT_ROLE("launcher");
	signals_reset();
	if (!fd_fill_standard(&err)) {
		print_failure(&err, status_of(err.kind), false);
		return status_of(err.kind);
	}
	if (argc < 2 && isatty(STDERR_FILENO) == 1 && isatty(STDIN_FILENO) == 1) {
		print_usage(COMMANDS, COMMAND_COUNT);
		return status_of(ERROR_CONFIG);
	}
	if (!commands_parse(COMMANDS, COMMAND_COUNT, argc, argv, &options, &err)) {
		print_failure(&err, status_of(err.kind), false);
		return status_of(err.kind);
	}
	if (str_equal(options.old_name, "rebuild"))
		options.force = true;
	if (options.help) {
		print_help(COMMANDS, COMMAND_COUNT, &options);
	} else if (options.version) {
		printf("npxc %s\n", NPXC_VERSION);
	} else if (!COMMANDS[options.command].run(&options, &status, &err)) {
		status = status_of(err.kind);
		if (err.sys_errno == EPIPE && print_is_unread())
			status = 128 + SIGPIPE;
		else if (signals_caught() == 0)
			print_failure(&err, status, options.json);
	}
	if (signals_caught() == 0 && err.kind == ERROR_NONE && !print_flush(&err)) {
		status = print_is_unread() ? 128 + SIGPIPE : status_of(err.kind);
		if (status != 128 + SIGPIPE)
			print_failure(&err, status, options.json);
	}
	options_done(&options);
	return signals_caught() != 0 ? 128 + signals_caught() : status;
}
