#ifndef NPXC_CONFIG_OPTIONS_H
#define NPXC_CONFIG_OPTIONS_H

#include "base/error.h"
#include "base/str.h"
#include "config/config.h"
#include "config/npmflags.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * The command line. Pure: words in, a struct out.
 *
 *     npxc [flags] <spec> [server arguments...]        what `npx` would run, sandboxed
 *     npxc [flags] <command> [flags] [words...]        a word of main.c's table
 *
 * The words `help [command]` and `version` are --help and --version.
 * npxc's own flags end at the spec: every word after it is the server's, `--` included, as with npx. A package that is
 * called like a command is reached with -p (`npxc -p install install`) or with a version (`npxc install@latest`).
 */

/* What a command does with the words that are not flags. */
enum options_words {
	OPTIONS_WORDS_LAUNCH, /* one spec (or -p/-c), then server arguments, verbatim */
	OPTIONS_WORDS_SPECS,  /* specs; flags may stand between them */
	OPTIONS_WORDS_NONE,
};

/* Groups of flags that a command takes; --config, --cwd, --log-level, --help and --version go with everything. */
enum {
	OPTIONS_SPEC = 1 << 0,    /* -p, -c, -y, --quiet, and npm's own flags */
	OPTIONS_SANDBOX = 1 << 1, /* -e --network --allow --mount --project --no-isolate --memory --cpus */
	OPTIONS_RUNTIME = 1 << 2, /* --runtime */
	OPTIONS_JSON = 1 << 3,
	OPTIONS_DRY_RUN = 1 << 4,
	OPTIONS_INSTALL = 1 << 5, /* --force, --update */
	OPTIONS_ALL = 1 << 6,
	OPTIONS_FIX = 1 << 7,
	OPTIONS_DENIED = 1 << 8,
	OPTIONS_ORPHANS = 1 << 9,
	OPTIONS_WRITE = 1 << 10,
	OPTIONS_PROBE = 1 << 11,
	OPTIONS_GROUPS = 12, /* how many */
};

struct options_command {
	const char *name;     /* NULL: the run itself, the first entry of the table */
	const char *alias_of; /* an old name; NULL */
	unsigned takes;       /* groups */
	enum options_words words;
};

struct options {
	size_t command;           /* index into the table (an alias: of what it stands for) */
	const char *old_name;     /* borrowed: the alias that was typed, or NULL */
	const char *near_command; /* borrowed: what the spec, a bare word, may have been meant for; NULL */
	const char *misplaced;    /* borrowed: a flag of npxc's after the spec of a command, the server's now; NULL */
	struct strv specs;        /* the spec, the specs, or those of -p */
	bool explicit_packages;   /* specs came by -p: the first word is the command */
	char *bin;                /* the command after -p; NULL */
	char *call;               /* -c; NULL */
	struct strv arguments;    /* the server's, verbatim */
	struct strv env;          /* NAME or NAME=VALUE, checked */
	char *network;            /* NULL: not given */
	struct strv allow;
	struct config_mount *mounts;
	size_t mount_count;
	enum config_project project;
	bool project_set;
	bool no_isolate;       /* --no-isolate was typed: warn */
	char *runtime;         /* NULL: not given */
	uint64_t memory_bytes; /* 0: not given */
	unsigned cpu_millis;   /* 0: not given */
	char *config, *cwd, *log_level;
	struct npmflags npm; /* npm's own flags */
	bool quiet, json, dry_run, force, update, all, fix, denied, installs, orphans, write, probe, help, version;
};

/* `words` without argv[0]. ERROR_CONFIG: unknown flag (with a near miss), a flag that the command does not take, a
 * missing value, a bad value, no spec. --help and --version win over a missing spec. */
bool options_parse(const char *const *words, size_t count, const struct options_command *commands, size_t command_count,
                   struct options *ret_options, struct npxc_error *err) NPXC_MUST_CHECK;
void options_done(struct options *options);

/* The flags of a command for its help, one per line: "  -e, --env NAME[=VALUE]   ..."; owned. */
char *options_help(unsigned takes);

#endif
