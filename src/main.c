#include "base/error.h"
#include "base/fault.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/signals.h"
#include "base/str.h"
#include "commands/commands.h"
#include "commands/options.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <string.h>

/* npxc is this table: a name, what it takes, the function, one line of help. */
static const struct command {
	struct options_command words;
	bool (*run)(const struct options *options, int *ret_status, struct npxc_error *err);
	const char *usage;
	const char *help;
} COMMANDS[] = {
	{ { NULL, NULL, OPTIONS_SPEC | OPTIONS_SANDBOX | OPTIONS_RUNTIME | OPTIONS_DRY_RUN | OPTIONS_JSON,
	    OPTIONS_WORDS_LAUNCH },
	  run_command,
	  "npxc [flags] <spec> [server arguments...]",
	  "run an MCP server from npm in a sandbox, as an MCP client starts it" },
	{ { "try", NULL, OPTIONS_SPEC | OPTIONS_SANDBOX | OPTIONS_RUNTIME | OPTIONS_JSON, OPTIONS_WORDS_LAUNCH },
	  try_command,
	  "npxc try [flags] <spec> [server arguments...]",
	  "look at a server: its sandbox, tools, variables, times" },
	{ { "inspect", NULL, OPTIONS_SPEC | OPTIONS_SANDBOX | OPTIONS_RUNTIME | OPTIONS_JSON, OPTIONS_WORDS_LAUNCH },
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
	{ { "learn", NULL, OPTIONS_SPEC | OPTIONS_SANDBOX | OPTIONS_RUNTIME | OPTIONS_WRITE | OPTIONS_JSON,
	    OPTIONS_WORDS_LAUNCH },
	  learn_command,
	  "npxc learn [--write] [flags] <spec> [arguments...]",
	  "run a server with an allowlist; propose rules for what it was refused" },
	{ { "build", "install", 0, OPTIONS_WORDS_SPECS }, NULL, NULL, "old name of install" },
	{ { "rebuild", "install", 0, OPTIONS_WORDS_SPECS }, NULL, NULL, "old name of install --force" },
};
enum { COMMAND_COUNT = sizeof(COMMANDS) / sizeof(COMMANDS[0]) };

static void print_help(const struct options *options)
{
	const struct command *command = &COMMANDS[options->command];
	mem_cleanup char *flags = options_help(command->words.takes);
	if (command->words.name != NULL) {
		printf("usage: %s\n\n%s\n\n%s", command->usage, command->help, flags);
		return;
	}
	printf("npxc %s: runs npm-published MCP servers in a sandbox and leaves nothing behind\n\n", NPXC_VERSION);
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		if (COMMANDS[i].usage != NULL)
			printf("  %-52s%s\n", COMMANDS[i].usage, COMMANDS[i].help);
	printf("\nA spec is what npx takes: name, @scope/name, with @version, @range or @tag, or a directory.\n"
	       "Flags end at the spec; every word after it is the server's.\n\n%s",
	       flags);
}

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

/* With --json the error is an object, still on stderr: stdout may be a client's. */
static void print_error(const struct npxc_error *err, bool json)
{
	mem_cleanup char *message = str_escape(err->message, strlen(err->message));
	if (!json) {
		mem_cleanup char *line = str_printf("npxc: %s: %s\n", error_kind_text(err->kind), message);

		log_line(line);
		return;
	}
	cJSON *object = cJSON_CreateObject();
	cJSON *inner = cJSON_AddObjectToObject(object, "error");
	cJSON_AddStringToObject(inner, "kind", error_kind_word(err->kind));
	cJSON_AddStringToObject(inner, "message", message);
	cJSON_AddNumberToObject(inner, "exit_status", status_of(err->kind));
	mem_cleanup char *text = cJSON_PrintUnformatted(object);
	mem_cleanup char *line = str_printf("%s\n", text == NULL ? "{}" : text);
	log_line(line);
	cJSON_Delete(object);
}

static bool parse(int argc, char **argv, struct options *ret_options, struct npxc_error *err)
{
	struct options_command words[COMMAND_COUNT];
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		words[i] = COMMANDS[i].words;
	return options_parse((const char *const *)(argv + 1), argc < 1 ? 0 : (size_t)argc - 1, words, COMMAND_COUNT,
	                     ret_options, err);
}

/* What was printed has to have arrived: `npxc list > file` on a full disk must not pass for success. */
static bool flush_output(struct npxc_error *err)
{
	if (fflush(stdout) == EOF)
		return error_set_errno(err, ERROR_IO, "cannot write to stdout");
	return !ferror(stdout) || error_set(err, ERROR_IO, "cannot write all of the output to stdout");
}

int main(int argc, char **argv)
{
	struct options options;
	struct npxc_error err = { 0 };
	int status = 0;
	FAULT_ROLE("launcher");
	signals_reset();
	if (!fd_fill_standard(&err) || !parse(argc, argv, &options, &err)) {
		print_error(&err, false);
		return status_of(err.kind);
	}
	if (str_equal(options.old_name, "rebuild"))
		options.force = true;
	if (options.help) {
		print_help(&options);
	} else if (options.version) {
		printf("npxc %s\n", NPXC_VERSION);
	} else if (!COMMANDS[options.command].run(&options, &status, &err)) {
		status = status_of(err.kind);
		if (signals_caught() == 0)
			print_error(&err, options.json);
	}
	const bool json = options.json;
	options_done(&options);
	if (signals_caught() != 0)
		return 128 + signals_caught();
	if (err.kind == ERROR_NONE && !flush_output(&err)) {
		print_error(&err, json);
		status = status_of(err.kind);
	}
	return status;
}
