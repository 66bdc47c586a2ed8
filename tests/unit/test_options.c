#include "unit.h"

#include "base/str.h"
#include "config/options.h"

#include <stdlib.h>
#include <string.h>

static const struct options_command TABLE[] = {
	{ NULL, NULL, OPTIONS_SPEC | OPTIONS_SANDBOX | OPTIONS_RUNTIME | OPTIONS_DRY_RUN, OPTIONS_WORDS_LAUNCH },
	{ "try", NULL, OPTIONS_SPEC | OPTIONS_SANDBOX | OPTIONS_JSON, OPTIONS_WORDS_LAUNCH },
	{ "install", NULL, OPTIONS_SPEC | OPTIONS_INSTALL, OPTIONS_WORDS_SPECS },
	{ "list", NULL, OPTIONS_JSON, OPTIONS_WORDS_NONE },
	{ "rebuild", "install", 0, OPTIONS_WORDS_SPECS },
};
enum { TABLE_COUNT = sizeof(TABLE) / sizeof(TABLE[0]), WORDS_MAX = 16 };

static size_t count_words(const char *const *words)
{
	size_t n = 0;
	while (words[n] != NULL)
		n++;
	return n;
}

static bool parse(const char *const *words, struct options *options, struct npxc_error *err)
{
	return options_parse(words, count_words(words), TABLE, TABLE_COUNT, options, err);
}

static char *joined(const struct strv *list)
{
	char *text = str_dup("");
	for (size_t i = 0; i < list->count; i++) {
		char *longer = str_printf("%s%s%s", text, i == 0 ? "" : "|", list->v[i]);
		free(text);
		text = longer;
	}
	return text;
}

/* What is npxc's and what is the server's. */
static void words_are_split_at_the_spec(void **state)
{
	static const struct {
		const char *words[WORDS_MAX];
		size_t command;
		const char *specs, *bin, *call, *arguments;
	} CASES[] = {
		{ { "pkg" }, 0, "pkg", NULL, NULL, "" },
		{ { "-y", "pkg" }, 0, "pkg", NULL, NULL, "" },
		{ { "pkg", "-y", "--json" }, 0, "pkg", NULL, NULL, "-y|--json" },
		{ { "pkg", "--", "-x" }, 0, "pkg", NULL, NULL, "--|-x" },
		{ { "--", "pkg", "--", "-x" }, 0, "pkg", NULL, NULL, "--|-x" },
		{ { "--", "try" }, 0, "try", NULL, NULL, "" },
		{ { "try", "pkg", "try" }, 1, "pkg", NULL, NULL, "try" },
		{ { "try", "try" }, 1, "try", NULL, NULL, "" },
		{ { "--json", "try", "pkg" }, 1, "pkg", NULL, NULL, "" },
		{ { "try@1.0.0" }, 0, "try@1.0.0", NULL, NULL, "" },
		{ { "-p", "try", "try", "a" }, 0, "try", "try", NULL, "a" },
		{ { "-p", "a", "--package=b", "cmd", "-p" }, 0, "a|b", "cmd", NULL, "-p" },
		{ { "-p", "a" }, 0, "a", NULL, NULL, "" },
		{ { "-p", "a", "-c", "x | y" }, 0, "a", NULL, "x | y", "" },
		{ { "install", "a", "--force", "b" }, 2, "a|b", NULL, NULL, "" },
		{ { "rebuild", "a" }, 2, "a", NULL, NULL, "" },
		{ { "install", "--", "a" }, 2, "a", NULL, NULL, "" },
		{ { "list" }, 3, "", NULL, NULL, "" },
		{ { "pkg", "" }, 0, "pkg", NULL, NULL, "" },
	};
	(void)state;
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		struct options o;
		struct npxc_error err = { 0 };
		if (!parse(CASES[i].words, &o, &err))
			fail_msg("case %zu: %s", i, err.message);
		char *specs = joined(&o.specs), *arguments = joined(&o.arguments);
		assert_int_equal(o.command, CASES[i].command);
		assert_string_equal(specs, CASES[i].specs);
		assert_string_equal(arguments, CASES[i].arguments);
		assert_true(str_equal(o.bin, CASES[i].bin));
		assert_true(str_equal(o.call, CASES[i].call));
		free(specs);
		free(arguments);
		options_done(&o);
	}
}

static void flags_are_read(void **state)
{
	static const char *const WORDS[] = { "-e",         "A=1=2",     "--env",        "B",        "--network=open",
		                             "--mount",    "/h:/g:rw",  "--project=rw", "--memory", "256m",
		                             "--cpus=0.5", "--runtime", "bwrap",        "pkg",      NULL };
	struct options o;
	struct npxc_error err = { 0 };
	(void)state;
	if (!parse(WORDS, &o, &err))
		fail_msg("%s", err.message);
	assert_int_equal(o.env.count, 2);
	assert_string_equal(o.env.v[0], "A=1=2");
	assert_string_equal(o.env.v[1], "B");
	assert_string_equal(o.network, "open");
	assert_int_equal(o.mount_count, 1);
	assert_string_equal(o.mounts[0].host, "/h");
	assert_string_equal(o.mounts[0].container, "/g");
	assert_true(o.mounts[0].writable);
	assert_int_equal(o.project, CONFIG_PROJECT_RW);
	assert_int_equal(o.memory_bytes, 256 * 1024 * 1024);
	assert_int_equal(o.cpu_millis, 500);
	assert_string_equal(o.runtime, "bwrap");
	options_done(&o);
}

static void npms_flags_before_the_spec_keep_their_meaning(void **state)
{
	static const struct {
		const char *words[WORDS_MAX];
		const char *settings;
		bool no_install;
	} CASES[] = {
		{ { "--registry", "http://r/", "-q", "pkg", "-q" }, "registry=http://r/", false },
		{ { "--reg=http://r/", "pkg" }, "registry=http://r/", false },
		{ { "--@scope:registry=http://r/", "pkg" }, "@scope:registry=http://r/", false },
		{ { "--offline", "--no-prefer-online", "--ignore-scripts=false", "pkg" },
		  "offline=true|prefer-online=false|ignore-scripts=false",
		  false },
		{ { "--enjoy-by", "2026-01-01", "pkg" }, "before=2026-01-01", false },
		{ { "--loglevel", "silent", "-dd", "--no-audit", "--no-fund", "--no-update-notifier", "pkg" },
		  "",
		  false },
		{ { "--yes=true", "pkg" }, "", false },
		{ { "--yes=false", "pkg" }, "", true },
		{ { "--no-install", "pkg" }, "", true },
		{ { "--no", "pkg", "--no" }, "", true },
		{ { "install", "--offline", "pkg" }, "offline=true", false },
	};
	(void)state;
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		struct options o;
		struct npxc_error err = { 0 };
		if (!parse(CASES[i].words, &o, &err))
			fail_msg("case %zu: %s", i, err.message);
		char *settings = joined(&o.npm.settings);
		assert_string_equal(settings, CASES[i].settings);
		assert_int_equal(o.npm.no_install, CASES[i].no_install);
		assert_string_equal(o.specs.v[0], "pkg");
		free(settings);
		options_done(&o);
	}
}

static void a_slip_of_a_command_is_noticed(void **state)
{
	static const struct {
		const char *words[WORDS_MAX];
		const char *near;
	} CASES[] = {
		{ { "isntall", "x" }, "install" }, { { "tri", "x" }, "try" },   { { "-y", "lisst" }, "list" },
		{ { "--", "isntall" }, NULL },     { { "tri@1" }, NULL },       { { "-p", "a", "isntall" }, NULL },
		{ { "@a/try1" }, NULL },           { { "tr" }, NULL },          { { "mcp-remote" }, NULL },
		{ { "try", "isntall" }, NULL },    { { "server-list" }, NULL },
	};
	(void)state;
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		struct options o;
		struct npxc_error err = { 0 };
		if (!parse(CASES[i].words, &o, &err))
			fail_msg("case %zu: %s", i, err.message);
		assert_true(str_equal(o.near_command, CASES[i].near));
		options_done(&o);
	}
}

static void old_names_are_known(void **state)
{
	static const char *const NO_ISOLATE[] = { "--no-isolate", "pkg", NULL };
	static const char *const REBUILD[] = { "rebuild", "pkg", NULL };
	struct options o;
	struct npxc_error err = { 0 };
	(void)state;
	assert_true(parse(NO_ISOLATE, &o, &err));
	assert_true(o.no_isolate);
	assert_int_equal(o.project, CONFIG_PROJECT_RO);
	options_done(&o);
	assert_true(parse(REBUILD, &o, &err));
	assert_string_equal(o.old_name, "rebuild");
	options_done(&o);
}

static void a_wrong_word_is_refused_with_its_reason(void **state)
{
	static const struct {
		const char *words[WORDS_MAX];
		const char *said;
	} CASES[] = {
		{ { NULL }, "no package given" },
		{ { "--netwrok", "none", "pkg" }, "did you mean --network?" },
		{ { "--xyzzy", "pkg" }, "unknown flag --xyzzy" },
		{ { "-z", "pkg" }, "unknown flag -z" },
		{ { "-ye", "pkg" }, "unknown flag -ye" },
		{ { "--env" }, "--env needs a value: NAME[=VALUE]" },
		{ { "-e", "1A=2", "pkg" }, "--env 1A" },
		{ { "-e", "=2", "pkg" }, "--env" },
		{ { "-e", "A B=2", "pkg" }, "--env A B" },
		{ { "--project=w", "pkg" }, "--project=rw or --project=rw,all" },
		{ { "--dry-run=1", "pkg" }, "--dry-run takes no value" },
		{ { "--network", "a", "--network", "b", "pkg" }, "given twice" },
		{ { "--network=", "pkg" }, "not empty" },
		{ { "--memory", "lots", "pkg" }, "--memory" },
		{ { "--memory", "1k", "pkg" }, "--memory" },
		{ { "--cpus", "0", "pkg" }, "--cpus" },
		{ { "--cpus", "-1", "pkg" }, "--cpus" },
		{ { "--runtime", "chroot", "pkg" }, "--runtime" },
		{ { "--mount", "", "pkg" }, "--mount" },
		{ { "--force", "pkg" }, "--force does not go with" },
		{ { "--all", "list" }, "--all does not go with `npxc list`" },
		{ { "--denied", "list" }, "--denied does not go with `npxc list`" }, /* the ninth group */
		{ { "list", "--orphans" }, "--orphans does not go with `npxc list`" },
		{ { "--write", "pkg" }, "--write does not go with" },
		{ { "--probe", "list" }, "--probe does not go with `npxc list`" },
		{ { "--prefix", "/x", "pkg" }, "npm's flag --prefix cannot be kept: name the directory" },
		{ { "-w", "a", "pkg" }, "npm's flag -w cannot be kept" },
		{ { "--script-shell=/bin/x", "pkg" }, "npm's flag --script-shell cannot be kept" },
		{ { "--//r.example/:_authToken=x", "pkg" }, "write it into ~/.npmrc" },
		{ { "--registry" }, "--registry needs a value" },
		{ { "list", "--offline" }, "--offline does not go with `npxc list`" },
		{ { "list", "x" }, "takes no words" },
		{ { "list", "--", "x" }, "unexpected word" },
		{ { "-c", "x", "pkg" }, "-c takes the whole line" },
		{ { "-c", "x" }, "-c needs at least one -p" },
		{ { "-p", "a", "-p", "b" }, "several -p need a command" },
		{ { "try" }, "no package given" },
		{ { "try", "--force", "x" }, "--force does not go with `npxc try`" },
	};
	(void)state;
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		struct options o;
		struct npxc_error err = { 0 };
		if (parse(CASES[i].words, &o, &err))
			fail_msg("case %zu was accepted", i);
		assert_int_equal(err.kind, ERROR_CONFIG);
		if (strstr(err.message, CASES[i].said) == NULL)
			fail_msg("case %zu says `%s`, not `%s`", i, err.message, CASES[i].said);
	}
}

static void help_and_version_need_no_spec(void **state)
{
	static const char *const HELP[] = { "--help", NULL };
	static const char *const TRY_HELP[] = { "try", "-h", NULL };
	static const char *const VERSION[] = { "-V", NULL };
	static const char *const VERSION_WORD[] = { "version", NULL };
	static const char *const HELP_WORDS[] = { "help", "try", NULL };
	struct options o;
	struct npxc_error err = { 0 };
	(void)state;
	assert_true(parse(HELP, &o, &err));
	assert_true(o.help);
	options_done(&o);
	assert_true(parse(TRY_HELP, &o, &err));
	assert_true(o.help);
	assert_int_equal(o.command, 1);
	options_done(&o);
	assert_true(parse(VERSION, &o, &err));
	assert_true(o.version);
	options_done(&o);
	assert_true(parse(VERSION_WORD, &o, &err));
	assert_true(o.version);
	options_done(&o);
	assert_true(parse(HELP_WORDS, &o, &err));
	assert_true(o.help);
	assert_int_equal(o.command, 1);
	options_done(&o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_are_split_at_the_spec),
		cmocka_unit_test(flags_are_read),
		cmocka_unit_test(npms_flags_before_the_spec_keep_their_meaning),
		cmocka_unit_test(a_slip_of_a_command_is_noticed),
		cmocka_unit_test(old_names_are_known),
		cmocka_unit_test(a_wrong_word_is_refused_with_its_reason),
		cmocka_unit_test(help_and_version_need_no_spec),
	};
	return cmocka_run_group_tests_name("options", tests, NULL, NULL);
}
