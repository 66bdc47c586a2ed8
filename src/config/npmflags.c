#include "config/npmflags.h"

#include "base/mem.h"

#include <string.h>

enum meaning {
	SETS,       /* npm's own setting, in effect for the installation */
	PASSED,     /* has no meaning here */
	YES,        /* npxc never asks; =false is NO_INSTALL */
	NO_INSTALL, /* npx would ask, and the answer is no */
	VERSION,
	REFUSED,
};

static const struct npm_flag {
	const char *name; /* with dashes; the shorthand of one letter too */
	enum meaning meaning;
	bool takes_value; /* as the next word, unless it stands behind = */
	const char *key;  /* SETS: npm's key where the name is a shorthand; REFUSED: what to do */
} FLAGS[] = {
	{ "--registry", SETS, true, NULL },
	{ "--reg", SETS, true, "registry" },
	{ "--offline", SETS, false, NULL },
	{ "--prefer-offline", SETS, false, NULL },
	{ "--prefer-online", SETS, false, NULL },
	{ "--ignore-scripts", SETS, false, NULL },
	{ "--engine-strict", SETS, false, NULL },
	{ "--strict-ssl", SETS, false, NULL },
	{ "--legacy-peer-deps", SETS, false, NULL },
	{ "--strict-peer-deps", SETS, false, NULL },
	{ "--ca", SETS, true, NULL },
	{ "--cafile", SETS, true, NULL },
	{ "--proxy", SETS, true, NULL },
	{ "--https-proxy", SETS, true, NULL },
	{ "--noproxy", SETS, true, NULL },
	{ "--before", SETS, true, NULL },
	{ "--enjoy-by", SETS, true, "before" },
	{ "--min-release-age", SETS, true, NULL },
	{ "--fetch-retries", SETS, true, NULL },
	{ "--fetch-retry-factor", SETS, true, NULL },
	{ "--fetch-retry-mintimeout", SETS, true, NULL },
	{ "--fetch-retry-maxtimeout", SETS, true, NULL },
	{ "--fetch-timeout", SETS, true, NULL },
	{ "--maxsockets", SETS, true, NULL },
	{ "--replace-registry-host", SETS, true, NULL },
	{ "--userconfig", SETS, true, NULL },
	{ "--globalconfig", SETS, true, NULL },
	{ "--yes", YES, false, NULL },
	{ "--no", NO_INSTALL, false, NULL },
	{ "--no-yes", NO_INSTALL, false, NULL },
	{ "--no-install", NO_INSTALL, false, NULL },
	{ "-n", NO_INSTALL, false, NULL },
	{ "-v", VERSION, false, NULL },
	{ "-q", PASSED, false, NULL },
	{ "--quiet", PASSED, false, NULL },
	{ "-s", PASSED, false, NULL },
	{ "--silent", PASSED, false, NULL },
	{ "-d", PASSED, false, NULL },
	{ "-dd", PASSED, false, NULL },
	{ "-ddd", PASSED, false, NULL },
	{ "--verbose", PASSED, false, NULL },
	{ "--loglevel", PASSED, true, NULL },
	{ "--logs-dir", PASSED, true, NULL },
	{ "--logs-max", PASSED, true, NULL },
	{ "--cache", PASSED, true, NULL },
	{ "--cache-min", PASSED, true, NULL },
	{ "--cache-max", PASSED, true, NULL },
	{ "--user-agent", PASSED, true, NULL },
	{ "--audit-level", PASSED, true, NULL },
	{ "--heading", PASSED, true, NULL },
	{ "--update-notifier", PASSED, false, NULL },
	{ "--audit", PASSED, false, NULL },
	{ "--fund", PASSED, false, NULL },
	{ "--color", PASSED, false, NULL },
	{ "--progress", PASSED, false, NULL },
	{ "--unicode", PASSED, false, NULL },
	{ "--timing", PASSED, false, NULL },
	{ "--foreground-scripts", PASSED, false, NULL },
	{ "--save", PASSED, false, NULL },
	{ "-S", PASSED, false, NULL },
	{ "--package-lock", PASSED, false, NULL },
	{ "--shrinkwrap", PASSED, false, NULL },
	{ "--bin-links", PASSED, false, NULL },
	{ "--ignore-existing", PASSED, false, NULL },
	{ "--always-spawn", PASSED, false, NULL },
	{ "--prefix", REFUSED, true, "name the directory of the package, or use --cwd" },
	{ "-C", REFUSED, true, "name the directory of the package, or use --cwd" },
	{ "--global", REFUSED, false, "npxc looks into its own store, not into npm's global directory" },
	{ "-g", REFUSED, false, "npxc looks into its own store, not into npm's global directory" },
	{ "--location", REFUSED, true, "npxc looks into its own store, not into npm's global directory" },
	{ "--workspace", REFUSED, true, "name the directory of the workspace: npxc ./packages/NAME" },
	{ "-w", REFUSED, true, "name the directory of the workspace: npxc ./packages/NAME" },
	{ "--workspaces", REFUSED, false, "name the directory of the workspace: npxc ./packages/NAME" },
	{ "--ws", REFUSED, false, "name the directory of the workspace: npxc ./packages/NAME" },
	{ "--include-workspace-root", REFUSED, false, "name the directory of the package" },
	{ "--shell", REFUSED, true, "inside the sandbox the shell is sh" },
	{ "--script-shell", REFUSED, true, "inside the sandbox the shell is sh" },
	{ "--node-options", REFUSED, true, "give them to the server: -e NODE_OPTIONS=..." },
	{ "--node-arg", REFUSED, true, "give them to the server: -e NODE_OPTIONS=..." },
	{ "--node-gyp", REFUSED, true, "install scripts use the node-gyp of the npm that is here" },
	{ "--git", REFUSED, true, "npxc installs from registries and directories only" },
	{ "--otp", REFUSED, true, "nothing is published here" },
	{ "--cert", REFUSED, true, "a command line can be read by others: write it into ~/.npmrc" },
	{ "--key", REFUSED, true, "a command line can be read by others: write it into ~/.npmrc" },
	{ "--_auth", REFUSED, true, "a command line can be read by others: write it into ~/.npmrc" },
	{ "--_authToken", REFUSED, true, "a command line can be read by others: write it into ~/.npmrc" },
};
enum { FLAG_COUNT = sizeof(FLAGS) / sizeof(FLAGS[0]) };

static const struct npm_flag scope_flag = { NULL, SETS, true, NULL };
static const struct npm_flag secret_flag = { NULL, REFUSED, true,
	                                     "a command line can be read by others: write it into ~/.npmrc" };

static bool is_called(const struct npm_flag *flag, const char *name, size_t length)
{
	return strlen(flag->name) == length && memcmp(flag->name, name, length) == 0;
}

/* `ret_negated`: "--no-" stands before the name of a switch. */
static const struct npm_flag *find(const char *word, bool *ret_negated)
{
	const size_t length = strcspn(word, "=");
	const char *colon = memchr(word, ':', length);

	*ret_negated = false;
	if (str_starts(word, "--@") && colon != NULL && str_starts(colon, ":registry"))
		return &scope_flag;
	if (str_starts(word, "--//"))
		return &secret_flag;
	for (size_t i = 0; i < FLAG_COUNT; i++)
		if (is_called(&FLAGS[i], word, length))
			return &FLAGS[i];
	if (!str_starts(word, "--no-"))
		return NULL;
	for (size_t i = 0; i < FLAG_COUNT; i++)
		if (!FLAGS[i].takes_value && strlen(FLAGS[i].name) == length - 3 &&
		    memcmp(FLAGS[i].name + 2, word + 5, length - 5) == 0) {
			*ret_negated = true;
			return &FLAGS[i];
		}
	return NULL;
}

bool npmflags_knows(const char *word)
{
	bool negated;

	return find(word, &negated) != NULL;
}

/* A switch's value: "--x", "--x=true", "--no-x", "--x=false". */
static bool is_on(const char *value, bool negated)
{
	return (value == NULL || strcmp(value, "false") != 0) != negated;
}

static void set(struct npmflags *flags, const struct npm_flag *flag, const char *word, const char *value, bool on)
{
	mem_cleanup char *name = str_dup_n(word + 2, strcspn(word + 2, "="));
	const char *key = flag->key;

	if (key == NULL)
		key = flag->name != NULL ? flag->name + 2 : name;
	strv_pushf(&flags->settings, "%s=%s", key, flag->takes_value ? value : on ? "true" : "false");
}

bool npmflags_take(struct npmflags *flags, const char *const *words, size_t count, size_t *ret_used,
                   struct npxc_error *err)
{
	const char *word = words[0];
	const char *equals = strchr(word, '=');
	const char *value = equals != NULL ? equals + 1 : NULL;
	bool negated;
	const struct npm_flag *flag = find(word, &negated);

	if (flag == NULL)
		return error_set(err, ERROR_CONFIG, "unknown flag %s", word);
	if (flag->meaning == REFUSED)
		return error_set(err, ERROR_CONFIG, "npm's flag %.*s cannot be kept: %s", (int)strcspn(word, "="), word,
		                 flag->key);
	*ret_used = 1;
	if (flag->takes_value && value == NULL) {
		if (count < 2)
			return error_set(err, ERROR_CONFIG, "%s needs a value", word);
		value = words[1];
		*ret_used = 2;
	}
	switch (flag->meaning) {
	case SETS:
		set(flags, flag, word, value, is_on(value, negated));
		break;
	case YES:
		flags->no_install = !is_on(value, negated);
		break;
	case NO_INSTALL:
		flags->no_install = is_on(value, negated);
		break;
	case VERSION:
		flags->version = true;
		break;
	case PASSED:
	case REFUSED:
		break;
	}
	return true;
}

void npmflags_done(struct npmflags *flags)
{
	strv_done(&flags->settings);
	*flags = (struct npmflags){ 0 };
}
