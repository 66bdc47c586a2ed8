#include "config/options.h"

#include "base/buf.h"
#include "base/mem.h"
#include "config/runtimes.h"

#include <stdlib.h>
#include <string.h>

enum value { VALUE_NONE, VALUE_NEEDED, VALUE_OPTIONAL };

enum flag_id {
	FLAG_PACKAGE,
	FLAG_CALL,
	FLAG_YES,
	FLAG_ENV,
	FLAG_NETWORK,
	FLAG_ALLOW,
	FLAG_MOUNT,
	FLAG_PROJECT,
	FLAG_NO_ISOLATE,
	FLAG_MEMORY,
	FLAG_CPUS,
	FLAG_RUNTIME,
	FLAG_JSON,
	FLAG_QUIET,
	FLAG_DRY_RUN,
	FLAG_FORCE,
	FLAG_UPDATE,
	FLAG_ALL,
	FLAG_FIX,
	FLAG_DENIED,
	FLAG_INSTALLS,
	FLAG_ORPHANS,
	FLAG_WRITE,
	FLAG_PROBE,
	FLAG_CONFIG,
	FLAG_CWD,
	FLAG_LOG_LEVEL,
	FLAG_HELP,
	FLAG_VERSION,
};

static const struct flag {
	enum flag_id id;
	char letter; /* 0: none */
	const char *name;
	enum value value;
	const char *value_name;
	unsigned group; /* 0: goes with everything */
	const char *help;
} FLAGS[] = {
	{ FLAG_PACKAGE, 'p', "package", VALUE_NEEDED, "SPEC", OPTIONS_SPEC,
	  "a package to install; the first word is then the command" },
	{ FLAG_CALL, 'c', "call", VALUE_NEEDED, "COMMAND", OPTIONS_SPEC, "a line for `sh -c` inside the sandbox" },
	{ FLAG_YES, 'y', "yes", VALUE_NONE, NULL, OPTIONS_SPEC, "accepted as npx does; npxc never asks" },
	{ FLAG_ENV, 'e', "env", VALUE_NEEDED, "NAME[=VALUE]", OPTIONS_SANDBOX,
	  "a variable for the server; a bare NAME forwards npxc's own" },
	{ FLAG_NETWORK, 0, "network", VALUE_NEEDED, "none|open|NAME|allowlist", OPTIONS_SANDBOX,
	  "what the server may reach [none]" },
	{ FLAG_ALLOW, 0, "allow", VALUE_NEEDED, "RULE", OPTIONS_SANDBOX, "one more rule of the allowlist" },
	{ FLAG_MOUNT, 0, "mount", VALUE_NEEDED, "HOST[:GUEST][:rw[,all]]", OPTIONS_SANDBOX,
	  "a file or directory of the host, read-only, at the same path" },
	{ FLAG_PROJECT, 0, "project", VALUE_OPTIONAL, "ro|rw|rw,all", OPTIONS_SANDBOX,
	  "the working directory at its real path [ro]" },
	{ FLAG_NO_ISOLATE, 0, "no-isolate", VALUE_NONE, NULL, OPTIONS_SANDBOX, "old name of --project=ro" },
	{ FLAG_MEMORY, 0, "memory", VALUE_NEEDED, "SIZE", OPTIONS_SANDBOX, "ceiling such as 512m or 2g [512m]" },
	{ FLAG_CPUS, 0, "cpus", VALUE_NEEDED, "NUMBER", OPTIONS_SANDBOX, "ceiling such as 0.5 or 2 [1]" },
	{ FLAG_RUNTIME, 0, "runtime", VALUE_NEEDED, "NAME", OPTIONS_RUNTIME, RUNTIMES_TEXT },
	{ FLAG_FORCE, 0, "force", VALUE_NONE, NULL, OPTIONS_INSTALL, "install anew what is there" },
	{ FLAG_UPDATE, 0, "update", VALUE_NONE, NULL, OPTIONS_INSTALL, "look up the tag or range again" },
	{ FLAG_ALL, 0, "all", VALUE_NONE, NULL, OPTIONS_ALL, "everything" },
	{ FLAG_FIX, 0, "fix", VALUE_NONE, NULL, OPTIONS_FIX, "act on what is found, saying what is done" },
	{ FLAG_DENIED, 0, "denied", VALUE_NONE, NULL, OPTIONS_DENIED, "only what was refused or failed" },
	{ FLAG_INSTALLS, 0, "installs", VALUE_NONE, NULL, OPTIONS_DENIED, "what installations reached as well" },
	{ FLAG_ORPHANS, 0, "orphans", VALUE_NONE, NULL, OPTIONS_ORPHANS, "remove what the words name, lease or not" },
	{ FLAG_WRITE, 0, "write", VALUE_NONE, NULL, OPTIONS_WRITE, "put the proposed rules into the package's file" },
	{ FLAG_PROBE, 0, "probe", VALUE_NONE, NULL, OPTIONS_PROBE,
	  "start a guest on each link and see what it reaches" },
	{ FLAG_DRY_RUN, 0, "dry-run", VALUE_NONE, NULL, OPTIONS_DRY_RUN, "show the plan, start nothing" },
	{ FLAG_QUIET, 0, "quiet", VALUE_NONE, NULL, OPTIONS_SPEC, "do not tell what the server is refused or lacks" },
	{ FLAG_JSON, 0, "json", VALUE_NONE, NULL, OPTIONS_JSON, "print JSON" },
	{ FLAG_CONFIG, 0, "config", VALUE_NEEDED, "FILE", 0,
	  "instead of npxc.json; packages/ is looked for beside it" },
	{ FLAG_CWD, 0, "cwd", VALUE_NEEDED, "DIRECTORY", 0, "instead of the working directory" },
	{ FLAG_LOG_LEVEL, 0, "log-level", VALUE_NEEDED, "LEVEL", 0,
	  "off, error, warn, info, debug, trace; npxc::TARGET=LEVEL too" },
	{ FLAG_HELP, 'h', "help", VALUE_NONE, NULL, 0, "this text" },
	{ FLAG_VERSION, 'V', "version", VALUE_NONE, NULL, 0, "npxc's version" },
};
enum { FLAG_COUNT = sizeof(FLAGS) / sizeof(FLAGS[0]) };

static const struct flag *flag_by_name(const char *name, size_t length)
{
	for (size_t i = 0; i < FLAG_COUNT; i++)
		if (strlen(FLAGS[i].name) == length && memcmp(FLAGS[i].name, name, length) == 0)
			return &FLAGS[i];
	return NULL;
}

static const struct flag *flag_by_letter(char letter)
{
	for (size_t i = 0; i < FLAG_COUNT; i++)
		if (FLAGS[i].letter != 0 && FLAGS[i].letter == letter)
			return &FLAGS[i];
	return NULL;
}

static bool unknown_flag(const char *word, struct npxc_error *err)
{
	mem_cleanup char *name = str_dup_n(word, strcspn(word, "="));
	const char *nearest = NULL;
	unsigned best = 3;
	for (size_t i = 0; i < FLAG_COUNT && str_starts(name, "--"); i++) {
		const unsigned distance = str_distance(name + 2, FLAGS[i].name, 2);
		if (distance < best) {
			best = distance;
			nearest = FLAGS[i].name;
		}
	}
	if (nearest != NULL)
		return error_set(err, ERROR_CONFIG, "unknown flag %s; did you mean --%s?", name, nearest);
	return error_set(err, ERROR_CONFIG,
	                 "unknown flag %s; `npxc --help` lists them (a server's own flags stand after the spec)", name);
}

static bool set_once(char **slot, const char *flag, const char *value, struct npxc_error *err)
{
	if (*slot != NULL)
		return error_set(err, ERROR_CONFIG, "--%s is given twice; once is enough", flag);
	if (value[0] == '\0') // NOLINT(clang-analyzer-core.NullDereference): of flags with VALUE_NEEDED
		return error_set(err, ERROR_CONFIG, "--%s needs a value that is not empty", flag);
	*slot = str_dup(value);
	return true;
}

static bool take_env(struct options *o, const char *value, struct npxc_error *err)
{
	// NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker): of a flag with VALUE_NEEDED
	mem_cleanup char *name = str_dup_n(value, strcspn(value, "="));
	if (!value_check_variable(name, err))
		return error_prefix(err, "--env %s", name);
	strv_push(&o->env, value);
	return true;
}

static bool take_mount(struct options *o, const char *value, struct npxc_error *err)
{
	struct config_mount mount;
	if (!value_parse_mount(value, &mount, err))
		return error_prefix(err, "--mount %s", value);
	o->mounts = mem_realloc(o->mounts, o->mount_count + 1, sizeof(*o->mounts));
	o->mounts[o->mount_count++] = mount;
	return true;
}

static bool take_project(struct options *o, const char *value, struct npxc_error *err)
{
	if (value == NULL || str_equal(value, "ro"))
		o->project = CONFIG_PROJECT_RO;
	else if (str_equal(value, "rw"))
		o->project = CONFIG_PROJECT_RW;
	else if (str_equal(value, "rw,all"))
		o->project = CONFIG_PROJECT_RW_ALL;
	else
		return error_set(err, ERROR_CONFIG,
		                 "--project=%s: write --project, --project=ro, --project=rw or --project=rw,all",
		                 value);
	o->project_set = true;
	return true;
}

static bool take_flag(struct options *o, const struct flag *flag, const char *value, struct npxc_error *err)
{
	switch (flag->id) {
	case FLAG_PACKAGE:
		strv_push(&o->specs, value);
		o->explicit_packages = true;
		return true;
	case FLAG_CALL:
		return set_once(&o->call, "call", value, err);
	case FLAG_YES:
		return true;
	case FLAG_ENV:
		return take_env(o, value, err);
	case FLAG_NETWORK:
		return set_once(&o->network, "network", value, err);
	case FLAG_ALLOW:
		strv_push(&o->allow, value);
		return true;
	case FLAG_MOUNT:
		return take_mount(o, value, err);
	case FLAG_PROJECT:
		return take_project(o, value, err);
	case FLAG_NO_ISOLATE:
		o->no_isolate = true;
		return take_project(o, "ro", err);
	case FLAG_MEMORY:
		return value_parse_memory(value, &o->memory_bytes, err) || error_prefix(err, "--memory");
	case FLAG_CPUS:
		return value_parse_cpus(value, &o->cpu_millis, err) || error_prefix(err, "--cpus");
	case FLAG_RUNTIME:
		if (!value_check_runtime(value, err))
			return error_prefix(err, "--runtime");
		return set_once(&o->runtime, "runtime", value, err);
	case FLAG_QUIET:
		o->quiet = true;
		return true;
	case FLAG_JSON:
		o->json = true;
		return true;
	case FLAG_DRY_RUN:
		o->dry_run = true;
		return true;
	case FLAG_FORCE:
		o->force = true;
		return true;
	case FLAG_UPDATE:
		o->update = true;
		return true;
	case FLAG_ALL:
		o->all = true;
		return true;
	case FLAG_FIX:
		o->fix = true;
		return true;
	case FLAG_DENIED:
		o->denied = true;
		return true;
	case FLAG_INSTALLS:
		o->installs = true;
		return true;
	case FLAG_ORPHANS:
		o->orphans = true;
		return true;
	case FLAG_WRITE:
		o->write = true;
		return true;
	case FLAG_PROBE:
		o->probe = true;
		return true;
	case FLAG_CONFIG:
		return set_once(&o->config, "config", value, err);
	case FLAG_CWD:
		return set_once(&o->cwd, "cwd", value, err);
	case FLAG_LOG_LEVEL:
		return set_once(&o->log_level, "log-level", value, err);
	case FLAG_HELP:
		o->help = true;
		return true;
	case FLAG_VERSION:
		o->version = true;
		return true;
	}
	return error_set(err, ERROR_CONFIG, "unknown flag --%s", flag->name);
}

struct reader {
	const char *const *words;
	size_t count, at;
	const struct options_command *commands;
	size_t command_count;
	bool command_known; /* a command word was read: its flags are checked from then on */
	unsigned seen;      /* groups of the flags read, checked once the command is known */
	const char *seen_name[OPTIONS_GROUPS];
};

static void note_group(struct reader *r, const struct flag *flag)
{
	for (unsigned bit = 0; bit < OPTIONS_GROUPS; bit++)
		if (flag->group == 1U << bit && (r->seen & flag->group) == 0)
			r->seen_name[bit] = flag->name;
	r->seen |= flag->group;
}

static bool read_npm_flag(struct reader *r, struct options *o, struct npxc_error *err)
{
	size_t used;
	if (!npmflags_take(&o->npm, r->words + r->at, r->count - r->at, &used, err))
		return false;
	if ((r->seen & OPTIONS_SPEC) == 0)
		r->seen_name[0] = r->words[r->at];
	r->seen |= OPTIONS_SPEC;
	r->at += used;
	return true;
}

/* One flag word, with its value from the same word or the next. */
static bool read_flag(struct reader *r, struct options *o, struct npxc_error *err)
{
	const char *word = r->words[r->at];
	const char *value = NULL;
	const struct flag *flag;
	if (word[1] == '-') {
		const size_t length = strcspn(word + 2, "=");
		flag = flag_by_name(word + 2, length);
		if (word[2 + length] == '=')
			value = word + 2 + length + 1;
	} else {
		flag = word[2] == '\0' ? flag_by_letter(word[1]) : NULL;
	}
	/* npm has --yes=false */
	if ((flag == NULL || ((flag->id == FLAG_YES || flag->id == FLAG_QUIET) && value != NULL)) &&
	    npmflags_knows(word))
		return read_npm_flag(r, o, err);
	if (flag == NULL)
		return unknown_flag(word, err);
	if (value != NULL && flag->value == VALUE_NONE)
		return error_set(err, ERROR_CONFIG, "--%s takes no value", flag->name);
	r->at++;
	if (value == NULL && flag->value == VALUE_NEEDED) {
		if (r->at == r->count)
			return error_set(err, ERROR_CONFIG, "--%s needs a value: %s", flag->name, flag->value_name);
		value = r->words[r->at++];
	}
	note_group(r, flag);
	return take_flag(o, flag, value, err);
}

/* The table's entry for a word; an alias becomes what it stands for. */
static bool find_command(struct reader *r, struct options *o, const char *word)
{
	for (size_t i = 0; i < r->command_count; i++) {
		if (r->commands[i].name == NULL || !str_equal(r->commands[i].name, word))
			continue;
		o->command = i;
		if (r->commands[i].alias_of != NULL) {
			o->old_name = r->commands[i].name;
			for (size_t k = 0; k < r->command_count; k++)
				if (str_equal(r->commands[k].name, r->commands[i].alias_of))
					o->command = k;
		}
		return true;
	}
	return false;
}

static bool check_groups(const struct reader *r, const struct options *o, struct npxc_error *err)
{
	const struct options_command *command = &r->commands[o->command];
	const unsigned foreign = r->seen & ~command->takes;
	for (unsigned bit = 0; bit < OPTIONS_GROUPS; bit++)
		if (foreign & (1U << bit))
			return error_set(err, ERROR_CONFIG,
			                 "%s%s does not go with `npxc %s`; `npxc %s --help` lists what does",
			                 str_starts(r->seen_name[bit], "-") ? "" : "--", r->seen_name[bit],
			                 command->name == NULL ? "<spec>" : command->name,
			                 command->name == NULL ? "" : command->name);
	return true;
}

/* Whoever types `npxc inspect E --json` may have meant npxc. A client's entry is not told so: it is as npx takes it. */
static void note_misplaced(const struct reader *r, struct options *o, const char *word)
{
	const struct flag *flag = NULL;
	if (!r->command_known || o->misplaced != NULL || word[0] != '-')
		return;
	if (word[1] == '-')
		flag = flag_by_name(word + 2, strcspn(word + 2, "="));
	else if (word[1] != '\0' && word[2] == '\0')
		flag = flag_by_letter(word[1]);
	if (flag != NULL && (flag->group == 0 || (flag->group & r->commands[o->command].takes) != 0))
		o->misplaced = word;
}

static void rest_to_arguments(struct reader *r, struct options *o)
{
	for (size_t i = r->at; i < r->count && !str_equal(r->words[i], "--"); i++)
		note_misplaced(r, o, r->words[i]);
	while (r->at < r->count)
		strv_push(&o->arguments, r->words[r->at++]);
}

/* The first word that is no flag, when everything after it is the server's. */
static void take_launch_word(struct reader *r, struct options *o)
{
	if (o->explicit_packages) {
		if (o->call == NULL)
			o->bin = str_dup(r->words[r->at++]);
	} else if (o->call == NULL) {
		strv_push(&o->specs, r->words[r->at++]);
	}
	rest_to_arguments(r, o);
}

/* `npxc help [command]` and `npxc version`: what --help and --version do. */
static bool take_word_of_help(struct reader *r, struct options *o, const char *word)
{
	if (o->explicit_packages || o->call != NULL || o->help || o->version)
		return false;
	o->help = str_equal(word, "help");
	o->version = str_equal(word, "version");
	if (!o->help && !o->version)
		return false;
	r->at++;
	return true;
}

static bool is_slip(const char *word, const char *name, unsigned most)
{
	return strlen(name) >= 3 && (str_distance(word, name, most) <= most || str_is_swapped(word, name));
}

/* The command that a bare word may have been meant for: one slip away, two in a longer word. NULL: none. */
static const char *near_command(const struct reader *r, const char *word)
{
	const size_t length = strlen(word);
	const unsigned most = length < 5 ? 1 : 2;
	if (length < 3 || strspn(word, "abcdefghijklmnopqrstuvwxyz") != length)
		return NULL;
	for (size_t i = 0; i < r->command_count; i++)
		if (r->commands[i].name != NULL && is_slip(word, r->commands[i].name, most))
			return r->commands[i].name;
	return is_slip(word, "help", most) ? "help" : is_slip(word, "version", most) ? "version" : NULL;
}

static bool read_words(struct reader *r, struct options *o, struct npxc_error *err)
{
	while (r->at < r->count) {
		const char *word = r->words[r->at];
		const enum options_words words = r->commands[o->command].words;
		const bool ended = str_equal(word, "--");
		if (!ended && word[0] == '-' && word[1] != '\0') {
			if (!read_flag(r, o, err))
				return false;
			continue;
		}
		if (ended) {
			r->at++;
			if (words == OPTIONS_WORDS_LAUNCH) {
				if (r->at < r->count)
					take_launch_word(r, o);
				return true;
			}
			while (words == OPTIONS_WORDS_SPECS && r->at < r->count)
				strv_push(&o->specs, r->words[r->at++]);
			if (r->at < r->count)
				return error_set(err, ERROR_CONFIG, "unexpected word `%s`", r->words[r->at]);
			return true;
		}
		if (!r->command_known && !o->explicit_packages && o->call == NULL && find_command(r, o, word)) {
			r->command_known = true;
			r->at++;
			continue;
		}
		if (!r->command_known && take_word_of_help(r, o, word))
			continue;
		if (words == OPTIONS_WORDS_LAUNCH) {
			if (!r->command_known && !o->explicit_packages)
				o->near_command = near_command(r, word);
			take_launch_word(r, o);
			return true;
		}
		if (words == OPTIONS_WORDS_NONE)
			return error_set(err, ERROR_CONFIG, "`npxc %s` takes no words, and `%s` is one",
			                 r->commands[o->command].name, word);
		strv_push(&o->specs, word);
		r->at++;
	}
	return true;
}

static bool check_whole(const struct options *o, const struct options_command *command, struct npxc_error *err)
{
	if (command->words != OPTIONS_WORDS_LAUNCH)
		return true;
	if (o->call != NULL && o->arguments.count > 0)
		return error_set(err, ERROR_CONFIG, "-c takes the whole line; `%s` after it would not be used",
		                 o->arguments.v[0]);
	if (o->call != NULL && o->specs.count == 0)
		return error_set(err, ERROR_CONFIG, "-c needs at least one -p SPEC: the packages that the line uses");
	if (o->explicit_packages && o->call == NULL && o->bin == NULL && o->specs.count > 1)
		return error_set(err, ERROR_CONFIG, "several -p need a command: npxc -p A -p B <command>");
	if (o->specs.count == 0)
		return error_set(err, ERROR_CONFIG,
		                 "no package given: npxc [flags] <spec> [arguments]; `npxc --help` tells more");
	return true;
}

bool options_parse(const char *const *words, size_t count, const struct options_command *commands, size_t command_count,
                   struct options *ret_options, struct npxc_error *err)
{
	struct options o = { 0 };
	struct reader r = { .words = words, .count = count, .commands = commands, .command_count = command_count };
	bool fine = read_words(&r, &o, err);
	o.version = o.version || o.npm.version;
	if (fine && !o.help && !o.version)
		fine = check_groups(&r, &o, err) && check_whole(&o, &commands[o.command], err);
	if (!fine) {
		options_done(&o);
		return false;
	}
	*ret_options = o;
	return true;
}

void options_done(struct options *o)
{
	strv_done(&o->specs);
	strv_done(&o->arguments);
	strv_done(&o->env);
	strv_done(&o->allow);
	for (size_t i = 0; i < o->mount_count; i++) {
		free(o->mounts[i].host);
		free(o->mounts[i].container);
	}
	free(o->mounts);
	free(o->bin);
	free(o->call);
	free(o->network);
	free(o->runtime);
	free(o->config);
	free(o->cwd);
	free(o->log_level);
	npmflags_done(&o->npm);
	*o = (struct options){ 0 };
}

char *options_help(unsigned takes)
{
	struct buf text = BUF_INIT(16 * 1024);
	struct npxc_error ignored;
	for (size_t i = 0; i < FLAG_COUNT; i++) {
		const struct flag *flag = &FLAGS[i];
		if (flag->group != 0 && (flag->group & takes) == 0)
			continue;
		mem_cleanup char *value = NULL;
		if (flag->value == VALUE_NEEDED)
			value = str_printf(" %s", flag->value_name);
		else if (flag->value == VALUE_OPTIONAL)
			value = str_printf("[=%s]", flag->value_name);
		mem_cleanup char *left =
		    str_printf("%c%c%s--%s%s", flag->letter == 0 ? ' ' : '-', flag->letter == 0 ? ' ' : flag->letter,
		               flag->letter == 0 ? "  " : ", ", flag->name, value == NULL ? "" : value);
		const bool wide = strlen(left) > 30;
		if (!buf_appendf(&text, &ignored, "  %-30s%s%s\n", left,
		                 wide ? "\n                                " : "  ", flag->help))
			break;
	}
	return buf_take(&text);
}
