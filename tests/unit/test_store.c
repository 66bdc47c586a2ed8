/* The store with the npm that is here, bubblewrap, and a registry of its own on loopback. */
#include "unit.h"

#include "base/file.h"
#include "base/log.h"
#include "store/directory.h"
#include "store/inventory.h"
#include "store/npm.h"
#include "store/record.h"
#include "store_runner.h"

#include <cjson/cJSON.h>
#include <dirent.h>
#include <fcntl.h>

static const char token[] = "npmtok-0123456789abcdef0123456789abcdef";

static struct {
	pid_t pid;
	int input; /* closing it ends the registry */
	char port[8];
	char *root; /* everything of one test; readable for the sandbox's user */
	char *home;
	char *store;
} fixture;

/* ---- the registry, once for all tests ---- */

static int start_registry(void **state)
{
	struct npxc_error err;
	int in[2];
	int out[2];
	ssize_t n;

	(void)state;
	assert_true(fd_pipe(in, &err) && fd_pipe(out, &err));
	fixture.pid = fork();
	if (fixture.pid == 0) {
		dup2(in[0], 0);
		dup2(out[1], 1);
		setenv("REGISTRY_TOKEN", token, 1);
		execlp("node", "node", "tests/registry/registry.js", (char *)NULL);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	fixture.input = in[1];
	n = read(out[0], fixture.port, sizeof(fixture.port) - 1);
	close(out[0]);
	assert_true(n > 1);
	fixture.port[strcspn(fixture.port, "\n")] = '\0';
	return 0;
}

static int stop_registry(void **state)
{
	(void)state;
	close(fixture.input);
	return waitpid(fixture.pid, NULL, 0) == fixture.pid ? 0 : -1;
}

/* ---- a home and a store of each test ---- */

static void write_text(const char *path, const char *text)
{
	struct npxc_error err = { 0 };

	if (!file_write_atomic(path, text, strlen(text), 0644, &err))
		fail_msg("%s", err.message);
}

static void write_npmrc(const char *more)
{
	mem_cleanup char *path = str_printf("%s/.npmrc", fixture.home);
	mem_cleanup char *text = str_printf("registry=http://127.0.0.1:%s/\n%s", fixture.port, more);

	write_text(path, text);
}

static char *token_line(void)
{
	return str_printf("//127.0.0.1:%s/:_authToken=${STORE_TEST_TOKEN}\n", fixture.port);
}

static int set_up(void **state)
{
	struct npxc_error err = { 0 };

	(void)state;
	assert_true(file_make_temporary_directory("/tmp", "npxc-store-", &fixture.root, &err));
	assert_int_equal(chmod(fixture.root, 0755), 0);
	fixture.home = str_printf("%s/home", fixture.root);
	fixture.store = str_printf("%s/cache/store", fixture.root);
	assert_int_equal(mkdir(fixture.home, 0755), 0);
	setenv("STORE_TEST_TOKEN", token, 1);
	write_npmrc("");
	return 0;
}

static int tear_down(void **state)
{
	struct npxc_error err = { 0 };
	bool ok = file_remove_tree(fixture.root, &err);

	(void)state;
	free(fixture.root);
	free(fixture.home);
	free(fixture.store);
	return ok ? 0 : -1;
}

struct setting {
	struct store_runner runner;
	struct store_host host;
};

static void setting_make(struct setting *setting)
{
	struct npxc_error err = { 0 };

	if (!runner_make(&setting->runner, fixture.store, fixture.home, &setting->host, &err))
		fail_msg("%s", err.message);
}

static void setting_done(struct setting *setting)
{
	assert_int_equal(setting->runner.held, setting->runner.released);
	runner_done(&setting->runner);
}

static bool get_request(struct setting *setting, const struct store_request *request, enum store_wish wish,
                        struct store_package *ret_package, struct npxc_error *err)
{
	*err = (struct npxc_error){ 0 };
	return store_get(&setting->host, request, wish, ret_package, err);
}

static bool get(struct setting *setting, const char *spec, enum store_wish wish, struct store_package *ret_package,
                struct npxc_error *err)
{
	const char *specs[] = { spec };
	const struct store_request request = { .specs = specs, .spec_count = 1 };

	return get_request(setting, &request, wish, ret_package, err);
}

static void must_get(struct setting *setting, const char *spec, enum store_wish wish, struct store_package *ret_package)
{
	struct npxc_error err;

	if (!get(setting, spec, wish, ret_package, &err))
		fail_msg("%s: %s", spec, err.message);
}

/* Installs or looks, and wants this version after so many runs of npm. */
static void expect(struct setting *setting, const char *spec, enum store_wish wish, const char *version, unsigned runs)
{
	struct store_package package;
	unsigned before = setting->runner.runs;

	must_get(setting, spec, wish, &package);
	assert_string_equal(package.version, version);
	assert_int_equal(setting->runner.runs - before, runs);
	store_package_done(&package);
}

static size_t entries(const char *directory, const char *below)
{
	mem_cleanup char *path = str_printf("%s/%s", directory, below);
	DIR *opened = opendir(path);
	size_t count = 0;

	while (opened != NULL && readdir(opened) != NULL)
		count++;
	if (opened != NULL)
		closedir(opened);
	return count > 2 ? count - 2 : 0;
}

static void nothing_is_left(void)
{
	struct inventory list;
	struct npxc_error err;

	assert_true(inventory_read(fixture.store, &list, &err));
	assert_int_equal(list.count, 0);
	inventory_done(&list);
	assert_int_equal(entries(fixture.store, "staging"), 0);
	assert_int_equal(entries(fixture.store, "packages"), 0);
}

static bool installed_file(const struct store_package *package, const char *name)
{
	mem_cleanup char *path = str_printf("%s/%s", package->directory, name);

	return file_exists(path);
}

/* ---- tests ---- */

static void installs_once_and_starts_without_a_process(void **state)
{
	struct setting setting;
	struct store_package package;
	struct npxc_error err;
	mem_cleanup char *node_json = str_printf("%s/node.json", fixture.store);
	BUF_CLEANUP struct buf known = BUF_INIT(64 * KIB);
	char *version;

	(void)state;
	setting_make(&setting);
	assert_false(get(&setting, "plain", STORE_LOOK, &package, &err));
	assert_int_equal(err.kind, ERROR_INSTALL);
	assert_string_equal(err.message, "plain is not installed; run npxc install plain");
	must_get(&setting, "plain", STORE_ENSURE, &package);
	assert_int_equal(setting.runner.runs, 1); /* no scripts, no second step */
	assert_true(package.installed_now);
	assert_string_equal(package.name, "plain");
	assert_string_equal(package.version, "1.1.0");
	assert_string_equal(package.key, "plain");
	assert_string_equal(package.bin, "plain");
	assert_string_equal(package.engines, ">=10");
	assert_string_equal(package.package_root, "node_modules/plain");
	assert_int_equal(package.command.count, 1);
	assert_string_equal(package.command.v[0], STORE_GUEST_PACKAGE "/node_modules/.bin/plain");
	assert_true(package.bytes > 0);
	assert_true(installed_file(&package, "node_modules/.bin/plain"));
	assert_true(installed_file(&package, "npxc.json"));
	assert_int_equal(entries(fixture.store, "staging"), 0);
	store_package_done(&package);

	/* Node is not asked either: what is known of it is believed. */
	assert_true(file_read(node_json, &known, &err));
	version = strstr(known.data, "\"version\"");
	assert_non_null(version);
	version = strchr(version + 9, '"') + 1;
	version[0] = '9';
	write_text(node_json, known.data);
	must_get(&setting, "plain", STORE_LOOK, &package);
	assert_int_equal(setting.runner.runs, 1);
	assert_false(package.installed_now);
	assert_int_equal(package.node.version[0], '9');
	store_package_done(&package);
	setting_done(&setting);
}

static void publish(const char *path)
{
	mem_cleanup char *command =
	    str_printf("node -e 'fetch(\"http://127.0.0.1:%s/-/publish/%s\").then(r=>process.exit(r.ok?0:1))'",
	               fixture.port, path);

	assert_int_equal(system(command), 0);
}

static void tags_and_ranges_are_resolved_once(void **state)
{
	struct setting setting;
	struct store_package package;
	struct npxc_error err;
	const char *specs[] = { "scripted" };
	const struct store_request hinted = { .specs = specs, .spec_count = 1, .version_hint = "1.0.0" };

	(void)state;
	setting_make(&setting);
	expect(&setting, "moving", STORE_ENSURE, "1.1.0", 1);
	expect(&setting, "moving@1.0.0", STORE_ENSURE, "1.0.0", 1);
	expect(&setting, "moving@v1.0.0", STORE_LOOK, "1.0.0", 0);
	expect(&setting, "moving@^1", STORE_ENSURE, "1.1.0", 1);
	expect(&setting, "moving@next", STORE_ENSURE, "2.0.0-rc.1", 1);
	publish("moving/1.2.0");
	expect(&setting, "moving", STORE_ENSURE, "1.1.0", 0);
	expect(&setting, "moving@^1", STORE_LOOK, "1.1.0", 0);
	expect(&setting, "moving@1.1.0", STORE_LOOK, "1.1.0", 0);
	expect(&setting, "moving@^1", STORE_UPDATE, "1.2.0", 1);
	expect(&setting, "moving@^1", STORE_LOOK, "1.2.0", 0);
	expect(&setting, "moving", STORE_LOOK, "1.1.0", 0);
	expect(&setting, "moving@1.0.0", STORE_UPDATE, "1.0.0", 0); /* an exact version cannot be another one */
	must_get(&setting, "moving@^1", STORE_UPDATE, &package);
	assert_false(package.installed_now); /* the same version: what is there stays */
	store_package_done(&package);
	must_get(&setting, "moving@^1", STORE_FORCE, &package);
	assert_true(package.installed_now);
	store_package_done(&package);
	if (!get_request(&setting, &hinted, STORE_ENSURE, &package, &err))
		fail_msg("%s", err.message);
	store_package_done(&package);
	assert_false(get(&setting, "scripted", STORE_LOOK, &package, &err)); /* the tag was never asked for */
	expect(&setting, "scripted@1.0.0", STORE_LOOK, "1.0.0", 0);
	setting_done(&setting);
}

static void failures_say_why_and_leave_nothing(void **state)
{
	static const struct {
		const char *spec;
		const char *npmrc;
		const char *why;
	} cases[] = {
		{ "missing", "", "missing: no such package; npm says: Not Found - GET http://127.0.0.1" },
		{ "plain@99", "",
		  "plain@99: no version matching 99; npm says: No matching version found for plain@99." },
		{ "plain@nosuchtag", "", "no version matching nosuchtag; npm says: " },
		{ "plain@9.9.9", "", "no version matching 9.9.9; npm says: " },
		{ "needs-missing", "", "no such package; npm says: Not Found - GET http://127.0.0.1" },
		{ "@secret/thing", "", "the registry wants credentials" },
		{ "plain", "registry=http://127.0.0.1:1/\nfetch-retries=0\n",
		  "the registry cannot be reached; npm says: request to http://127.0.0.1:1/plain failed, reason: "
		  "connect "
		  "ECONNREFUSED 127.0.0.1:1" },
		{ "plain", "registry=http://no-such-host.invalid/\nfetch-retries=0\n",
		  "the registry cannot be reached" },
		{ "fails", "", "fails: the install script of fails failed: Error: the sky is falling" },
		{ "needs-fails", "", "failed: Error: the sky is falling" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct setting setting;
		struct store_package package;
		struct npxc_error err;

		setting_make(&setting);
		write_npmrc(cases[i].npmrc);
		if (get(&setting, cases[i].spec, STORE_ENSURE, &package, &err))
			fail_msg("%s was installed", cases[i].spec);
		assert_int_equal(err.kind, ERROR_INSTALL);
		if (strstr(err.message, cases[i].why) == NULL)
			fail_msg("%s: \"%s\" does not say \"%s\"", cases[i].spec, err.message, cases[i].why);
		assert_null(strchr(err.message, '\n'));
		nothing_is_left();
		setting_done(&setting);
	}
}

static void wrong_requests_are_refused(void **state)
{
	const char *one[] = { "many" };
	const char *two[] = { "plain", "scripted" };
	const char *git[] = { "github:a/b" };
	const char *nowhere[] = { "./nowhere" };
	const char *home[] = { "./" };
	const char *empty[] = { "./empty" };
	const struct {
		struct store_request request;
		const char *why;
	} cases[] = {
		{ { .specs = one, .spec_count = 1 }, "many has several commands (one, two); choose one" },
		{ { .specs = two, .spec_count = 2 }, "several packages and no command" },
		{ { .specs = git, .spec_count = 1 }, "git and URL specs" },
		{ { .specs = nowhere, .spec_count = 1 }, "no such package directory" },
		{ { .specs = empty, .spec_count = 1 }, "has no package.json" },
		{ { .specs = home, .spec_count = 1 }, "is the home directory or lies above it" },
		{ { .specs = one, .spec_count = 0 }, "no package is named" },
	};
	struct setting setting;

	(void)state;
	setting_make(&setting);
	mem_cleanup char *bare = str_printf("%s/empty", fixture.home);
	assert_int_equal(mkdir(bare, 0755), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct store_package package;
		struct npxc_error err;

		assert_false(get_request(&setting, &cases[i].request, STORE_ENSURE, &package, &err));
		assert_int_equal(err.kind, ERROR_CONFIG);
		if (strstr(err.message, cases[i].why) == NULL)
			fail_msg("\"%s\" does not say \"%s\"", err.message, cases[i].why);
	}
	setting_done(&setting);
}

static void a_directory_is_known_by_where_it_leads(void **state)
{
	mem_cleanup char *package = str_printf("%s/package", fixture.home);
	mem_cleanup char *link = str_printf("%s/link", fixture.home);
	mem_cleanup char *gone = str_printf("%s/gone", fixture.home);
	mem_cleanup char *real = NULL;
	mem_cleanup char *key = NULL;
	mem_cleanup char *other = NULL;
	const struct {
		const char *path, *cwd, *leads;
	} cases[] = {
		{ "./package", fixture.home, package }, { "package", fixture.home, package },
		{ "~/package", "/nowhere", package },   { "./package/../link/", fixture.home, package },
		{ link, "/nowhere", package },          { "./gone", fixture.home, gone },
		{ "~/./gone", "/nowhere", gone },
	};
	struct npxc_error err;

	(void)state;
	assert_int_equal(mkdir(package, 0755), 0);
	assert_int_equal(symlink("package", link), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		mem_cleanup char *path = directory_path(cases[i].path, cases[i].cwd, fixture.home);

		assert_string_equal(path, cases[i].leads);
	}
	assert_true(file_real_path(package, &real, &err));
	key = directory_key(real);
	other = directory_key(gone);
	assert_true(str_starts(key, "dir=0"));
	assert_string_not_equal(key, other);
}

/* ---- the token ---- */

static void leak(const struct launch *launch)
{
	struct launch *second = (struct launch *)(uintptr_t)launch;
	mem_cleanup char *file = str_printf("%s/leak", fixture.root);

	if (strcmp(launch->command.v[2], "rebuild") != 0)
		return;
	write_text(file, token);
	launch_add_mount(second, file, "/opt/npxc/leak", false);
	launch_add_mount(second, fixture.root, "/opt/npxc/root", true);
	launch_add_env(second, "LEAK", token);
}

/* A secret in the user's home and one in another package's directory of the store. */
static void plant(struct setting *setting, char **ret_other)
{
	mem_cleanup char *ssh = str_printf("%s/.ssh", fixture.home);
	mem_cleanup char *key = str_printf("%s/id", ssh);
	struct store_package other;

	if (mkdir(ssh, 0755) == 0)
		write_text(key, token);
	must_get(setting, "plain", STORE_ENSURE, &other);
	*ret_other = str_printf("%s/planted", other.directory);
	write_text(*ret_other, token);
	store_package_done(&other);
}

static cJSON *hunt(bool leaking)
{
	struct setting setting;
	struct store_package package;
	mem_cleanup char *lines = token_line();
	mem_cleanup char *more = str_printf("%s@secret:registry=http://127.0.0.1:%s/\n", lines, fixture.port);
	mem_cleanup char *path = NULL;
	mem_cleanup char *planted = NULL;
	cJSON *result;
	unsigned before;

	setting_make(&setting);
	write_npmrc(more);
	plant(&setting, &planted);
	before = setting.runner.runs;
	setting.runner.before_run = leaking ? leak : NULL;
	must_get(&setting, "@secret/thing", leaking ? STORE_FORCE : STORE_ENSURE, &package);
	assert_int_equal(setting.runner.runs - before, 2);
	assert_int_equal(unlink(planted), 0);
	path = str_printf("%s/node_modules/@secret/thing/hunt.json", package.directory);
	result = record_read_json(path, 1 * MIB);
	assert_non_null(result);
	store_package_done(&package);
	setting_done(&setting);
	return result;
}

static void no_token_in(const char *directory)
{
	mem_cleanup char *command = str_printf("! grep -rqF %s %s", token, directory);

	assert_int_equal(system(command), 0);
}

static char *list_of(const cJSON *result, const char *key)
{
	return cJSON_PrintUnformatted(cJSON_GetObjectItemCaseSensitive(result, key));
}

/* Neither the token nor the user's home nor what else is in the store; and they write to their own directories only. */
static void install_scripts_see_no_secret(void **state)
{
	cJSON *clean = hunt(false);
	cJSON *leaking;
	mem_cleanup char *places = list_of(clean, "found");
	mem_cleanup char *writable = list_of(clean, "writable");
	static const char *const known[] = { "node", "npm", "npm-cache", "npm-config", "npm-node", "_npx" };
	const cJSON *mount;

	(void)state;
	assert_string_equal(places, "[]");
	assert_string_equal(writable, "[\"/dev/shm\",\"/home/npxc\",\"/opt/npxc/_npx/package\",\"/opt/npxc/npm-cache\","
	                              "\"/run\",\"/tmp\"]");
	cJSON_ArrayForEach(mount, cJSON_GetObjectItemCaseSensitive(clean, "mounts"))
	{
		size_t i = 0;

		while (i < sizeof(known) / sizeof(known[0]) && strcmp(known[i], mount->valuestring) != 0)
			i++;
		if (i == sizeof(known) / sizeof(known[0]))
			fail_msg("/opt/npxc/%s is there", mount->valuestring);
	}
	/* It did look: at the configuration without the token, at the package, at npm's and its own process. */
	assert_true(cJSON_GetObjectItemCaseSensitive(clean, "files")->valueint >= 5);
	assert_true(cJSON_GetObjectItemCaseSensitive(clean, "processes")->valueint >= 4);
	cJSON_Delete(clean);
	no_token_in(fixture.store);

	/* And it does find a token that is there, in every place it looks at. */
	leaking = hunt(true);
	free(MEM_TAKE(places));
	places = list_of(leaking, "found");
	assert_non_null(strstr(places, "environment LEAK"));
	assert_non_null(strstr(places, "file /opt/npxc/leak"));
	assert_non_null(strstr(places, "file /opt/npxc/root/home/.ssh/id"));
	assert_non_null(strstr(places, "file /opt/npxc/root/cache/store/packages/plain/1.1.0"));
	assert_non_null(strstr(places, "proc environ"));
	cJSON_Delete(leaking);
}

static unsigned guarded;

/* The step that fetches starts no program, by whichever function: npm before 11 would, for a git dependency. */
static void try_guard(const struct launch *launch)
{
	mem_cleanup char *guard = NULL;
	mem_cleanup char *command = NULL;
	bool loaded = false;

	for (size_t i = 0; i < launch->mount_count; i++)
		if (strcmp(launch->mounts[i].target, "/opt/npxc/npm-config") == 0)
			guard = str_printf("%s/guard.js", launch->mounts[i].source);
	assert_non_null(guard);
	for (size_t i = 0; i < launch->env_count; i++)
		loaded = loaded || (strcmp(launch->env[i].name, "NODE_OPTIONS") == 0 &&
		                    strcmp(launch->env[i].value, "--require /opt/npxc/npm-config/guard.js") == 0);
	if (strcmp(launch->command.v[2], "rebuild") == 0) {
		assert_false(loaded || file_exists(guard));
		return;
	}
	assert_true(loaded);
	command = str_printf(
	    "node --require='%s' --input-type=module -e '"
	    "import all, { spawn } from \"child_process\";"
	    "const { ChildProcess, exec, execSync, execFile, execFileSync, fork, spawnSync } = all;"
	    "const bare = file => new ChildProcess().spawn({ file, args: [file], envPairs: [], stdio: \"pipe\" });"
	    "let missed = 0;"
	    "for (const run of [spawn, exec, execSync, execFile, execFileSync, fork, spawnSync, bare])"
	    "  for (const [file, code] of [[\"true\", \"ENOPROGRAM\"], [\"/usr/bin/git\", \"EALLOWGIT\"]])"
	    "    try { run(file); missed++ } catch (e) { missed += e.code === code ? 0 : 1 }"
	    "process.exit(missed)'",
	    guard);
	assert_int_equal(system(command), 0);
	guarded++;
}

/* With credentials and without: an npm that prepares git dependencies would run a package's code all the same. */
static void the_step_that_fetches_starts_no_program(void **state)
{
	static const char *const specs[] = { "@secret/thing", "scripted" };

	(void)state;
	for (size_t i = 0; i < sizeof(specs) / sizeof(specs[0]); i++) {
		struct setting setting;
		struct store_package package;
		mem_cleanup char *lines = token_line();
		mem_cleanup char *more = str_printf("%s@secret:registry=http://127.0.0.1:%s/\n", lines, fixture.port);

		setting_make(&setting);
		setting.runner.before_run = try_guard;
		write_npmrc(i == 0 ? more : "");
		guarded = 0;
		must_get(&setting, specs[i], STORE_ENSURE, &package);
		assert_int_equal(guarded, 1);
		assert_int_equal(setting.runner.runs, 2);
		store_package_done(&package);
		setting_done(&setting);
	}
}

/* What is only in the step's npm: the words of the launch that its own process has. */
static const char *seen_value(const struct launch *launch, const char *name)
{
	for (size_t i = 0; i < launch->env_count; i++)
		if (strcmp(launch->env[i].name, name) == 0)
			return launch->env[i].value;
	return NULL;
}

static struct {
	struct strv rc[2]; /* the lines of npm's configuration file in each step */
	char *proxy[2];    /* http_proxy there */
	bool guards[2];    /* what keeps the step from running anything */
} steps;

static void look_at_step(const struct launch *launch)
{
	const int step = strcmp(launch->command.v[2], "rebuild") == 0;
	BUF_CLEANUP struct buf bytes = BUF_INIT(64 * KIB);
	struct npxc_error err;
	mem_cleanup char *path = NULL;

	for (size_t i = 0; i < launch->mount_count; i++)
		if (strcmp(launch->mounts[i].target, "/opt/npxc/npm-config") == 0)
			path = str_printf("%s/npmrc", launch->mounts[i].source);
	assert_true(path != NULL && file_read(path, &bytes, &err));
	strv_push(&steps.rc[step], bytes.data);
	free(steps.proxy[step]);
	steps.proxy[step] = str_dup(seen_value(launch, "http_proxy"));
	steps.guards[step] = str_equal(seen_value(launch, "npm_config_ignore_scripts"), "true") &&
	                     str_equal(seen_value(launch, "npm_config_allow_git"), "none") &&
	                     str_starts(seen_value(launch, "npm_config_git"), "/nonexistent/") &&
	                     strstr(bytes.data, "ignore-scripts=\"true\"") != NULL &&
	                     strstr(bytes.data, "allow-git=\"none\"") != NULL;
}

/* Whatever the user's own configuration says. */
static void a_proxys_password_stays_in_the_step_that_fetches(void **state)
{
	static const char password[] = "pr0xypw";
	struct setting setting;
	struct store_package package;
	struct npxc_error err;

	(void)state;
	setting_make(&setting);
	setting.runner.before_run = look_at_step;
	write_npmrc("https-proxy=http://me:pr0xypw@p.example:3128\nnoproxy=127.0.0.1\nignore-scripts=false\n"
	            "allow-git=all\ngit=/evil\nscript-shell=/evil\nnode-options=--require=/evil\nglobalconfig=/evil\n");
	setenv("http_proxy", "http://me:pr0xypw@p.example:3128/", 1);
	must_get(&setting, "scripted", STORE_ENSURE, &package);
	store_package_done(&package);
	assert_true(steps.guards[0]);
	assert_false(steps.guards[1]);
	assert_non_null(strstr(steps.rc[0].v[0], password)); /* it is there where it has to be */
	assert_non_null(strstr(steps.proxy[0], password));
	assert_null(strstr(steps.rc[1].v[0], password));
	assert_string_equal(steps.proxy[1], "http://p.example:3128");
	for (int i = 0; i < 2; i++)
		assert_null(strstr(steps.rc[i].v[0], "/evil"));

	/* And no error tells it: npm shows the address of a proxy that it cannot use. */
	setenv("http_proxy", "http://me:pr0xypw@127.0.0.1:9/", 1);
	write_npmrc("proxy=http://me:pr0xypw@127.0.0.1:9\nfetch-retries=0\n");
	assert_false(get(&setting, "many", STORE_ENSURE, &package, &err));
	assert_null(strstr(err.message, password));
	unsetenv("http_proxy");
	for (int i = 0; i < 2; i++) {
		strv_done(&steps.rc[i]);
		free(MEM_TAKE(steps.proxy[i]));
	}
	setting_done(&setting);
}

/* ---- the network ---- */

static const char package_file[] = "/c/packages/n.json";

/* install.allow of both files. */
static void allow(struct setting *setting, struct strv *package, struct strv *all)
{
	setting->host.allow_package = (struct store_allow){ .rules = package, .file = package_file };
	setting->host.allow_all = (struct store_allow){ .rules = all, .file = "/c/npxc.json" };
}

static void installations_reach_what_npm_is_configured_for(void **state)
{
	struct setting setting;
	struct store_package package;
	struct npxc_error err;
	struct strv rules = { 0 };
	struct strv all = { 0 };
	mem_cleanup char *fetch = str_printf("127.0.0.1:%s loopback, p.example:3128 proxy, other.example:443 | "
	                                     "cdn.example:443 | files.example",
	                                     fixture.port);
	mem_cleanup char *scripts =
	    str_printf("127.0.0.1:%s loopback, other.example:443 | cdn.example:443 | files.example", fixture.port);

	(void)state;
	setting_make(&setting);
	strv_push(&rules, "cdn.example:443");
	strv_push(&all, "files.example");
	allow(&setting, &rules, &all);
	write_npmrc("@other:registry=https://other.example/\nproxy=http://p.example:3128\nnoproxy=127.0.0.1\n");
	must_get(&setting, "scripted", STORE_ENSURE, &package);
	assert_int_equal(setting.runner.runs, 2);
	assert_string_equal(setting.runner.reaches.v[0], fetch);
	assert_string_equal(setting.runner.reaches.v[1], scripts);
	store_package_done(&package);

	write_npmrc("registry=http://169.254.169.254/latest/\n");
	assert_false(get(&setting, "plain", STORE_ENSURE, &package, &err));
	assert_int_equal(err.kind, ERROR_INSTALL);
	assert_string_equal(err.message, "npm's configuration: registry: \"http://169.254.169.254/latest/\" is "
	                                 "link-local: in a cloud the machine's own credentials are served there");
	strv_push(&all, "https://x");
	write_npmrc("");
	assert_false(get(&setting, "plain", STORE_ENSURE, &package, &err));
	assert_int_equal(err.kind, ERROR_CONFIG);
	assert_non_null(strstr(err.message, "install.allow: \"https://x\" is a URL"));
	assert_int_equal(setting.runner.runs, 2);
	assert_int_equal(entries(fixture.store, "staging"), 0);
	strv_done(&rules);
	strv_done(&all);
	setting_done(&setting);
}

/* The egress process stands above the store; here it is these two. */
static void refuse_scripts(const struct launch *launch, struct refused *refused)
{
	if (strcmp(launch->command.v[2], "rebuild") == 0)
		refused_add(refused, "evil.test", 443, REFUSED_WANTS_RULE, NULL, 2);
}

static void refuse_npm(const struct launch *launch, struct refused *refused)
{
	if (strcmp(launch->command.v[2], "install") == 0)
		refused_add(refused, "files.invalid", 80, REFUSED_WANTS_RULE, NULL, 1);
}

/* What went to stderr meanwhile; owned. */
static char *said_while(struct setting *setting, const char *spec, bool *ret_ok, struct npxc_error *err)
{
	mem_cleanup char *path = str_printf("%s/said", fixture.root);
	BUF_CLEANUP struct buf bytes = BUF_INIT(64 * KIB);
	struct store_package package;
	struct npxc_error why = { 0 };
	int kept = dup(2);
	int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(kept >= 0 && file >= 0);
	dup2(file, 2);
	close(file);
	*ret_ok = get(setting, spec, STORE_ENSURE, &package, err);
	dup2(kept, 2);
	close(kept);
	if (*ret_ok)
		store_package_done(&package);
	assert_true(file_read(path, &bytes, &why));
	return buf_take(&bytes);
}

static void what_was_refused_is_said(void **state)
{
	static const struct {
		const char *spec;
		void (*refuse)(const struct launch *, struct refused *);
		bool fine;
		const char *said;  /* on stderr */
		const char *error; /* and in the error */
	} cases[] = {
		{ "scripted", refuse_scripts, true,
		  "npxc: the install scripts of scripted tried to reach evil.test:443 (2 times): refused; to allow it, "
		  "set "
		  "\"install\": {\"allow\": [\"cdn.example:443\", \"evil.test:443\"]} in /c/packages/n.json, then run "
		  "npxc "
		  "install --force scripted\n",
		  NULL },
		{ "fails", refuse_scripts, false,
		  "npxc: the install scripts of fails tried to reach evil.test:443 (2 times): refused; to allow it, "
		  "set "
		  "\"install\": {\"allow\": [\"cdn.example:443\", \"evil.test:443\"]} in /c/packages/n.json\n",
		  "the install script of fails failed" },
		{ "elsewhere", refuse_npm, false, NULL,
		  "elsewhere: npm was sent to files.invalid:80, which its configuration does not name: refused; if "
		  "your "
		  "registry keeps files there, add \"install\": {\"allow\": [\"files.invalid:80\"]} to /c/npxc.json" },
		{ "wants-elsewhere", refuse_npm, true,
		  "npxc: wants-elsewhere: npm was sent to files.invalid:80, which its configuration does not name: "
		  "refused; "
		  "if your registry keeps files there, add \"install\": {\"allow\": [\"files.invalid:80\"]} to "
		  "/c/npxc.json\n",
		  NULL },
		{ "missing", refuse_npm, false, NULL,
		  "/missing - not found; npm was sent to files.invalid:80, which its configuration does not name: "
		  "refused; " },
		{ "plain", NULL, true, NULL, NULL },
		{ "elsewhere", NULL, false, NULL, "elsewhere: the registry cannot be reached; npm says: request to " },
	};
	struct strv rules = { 0 };
	struct strv all = { 0 };

	(void)state;
	strv_push(&rules, "cdn.example:443");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct setting setting;
		struct npxc_error err;
		mem_cleanup char *said = NULL;
		bool ok;

		setting_make(&setting);
		allow(&setting, &rules, &all);
		write_npmrc("fetch-retries=0\n");
		setting.runner.refuse = cases[i].refuse;
		said = said_while(&setting, cases[i].spec, &ok, &err);
		if (ok != cases[i].fine)
			fail_msg("%s: %s", cases[i].spec, ok ? "installed" : err.message);
		if (cases[i].said != NULL ? strstr(said, cases[i].said) == NULL : strstr(said, "refused") != NULL)
			fail_msg("%s: %s", cases[i].spec, said);
		if (!ok && strstr(err.message, cases[i].error) == NULL)
			fail_msg("%s: %s", cases[i].spec, err.message);
		setting_done(&setting);
	}
	strv_done(&rules);
	strv_done(&all);
}

/* ---- scripts ---- */

static void optional_dependencies_may_fail(void **state)
{
	struct setting setting;
	struct store_package package;

	(void)state;
	setting_make(&setting);
	must_get(&setting, "has-options", STORE_ENSURE, &package);
	assert_true(installed_file(&package, "node_modules/opt-fine/made"));
	assert_false(installed_file(&package, "node_modules/opt-fails"));
	assert_false(installed_file(&package, "node_modules/opt-child"));
	assert_false(installed_file(&package, "node_modules/opt-parent")); /* cannot do without opt-child */
	store_package_done(&package);
	must_get(&setting, "scripted", STORE_ENSURE, &package);
	assert_true(installed_file(&package, "node_modules/scripted/made"));
	store_package_done(&package);
	setting_done(&setting);
}

static void the_users_ignore_scripts_counts(void **state)
{
	struct setting setting;
	struct store_package package;

	(void)state;
	setting_make(&setting);
	write_npmrc("ignore-scripts=true\n");
	must_get(&setting, "scripted", STORE_ENSURE, &package);
	assert_int_equal(setting.runner.runs, 1);
	assert_false(installed_file(&package, "node_modules/scripted/made"));
	store_package_done(&package);
	setting_done(&setting);
}

static void what_scripts_leave_is_made_harmless(void **state)
{
	struct setting setting;
	struct store_package package;
	struct stat st;
	mem_cleanup char *base = NULL;
	mem_cleanup char *evil = NULL;
	mem_cleanup char *file = NULL;
	mem_cleanup char *link = NULL;

	(void)state;
	setting_make(&setting);
	must_get(&setting, "setuid", STORE_ENSURE, &package);
	base = str_printf("%s/node_modules/setuid", package.directory);
	evil = str_printf("%s/evil", base);
	file = str_printf("%s/closed/file", base);
	link = str_printf("%s/link", base);
	assert_int_equal(stat(evil, &st), 0);
	assert_int_equal(st.st_mode & 07000, 0);
	assert_int_equal(st.st_uid, geteuid());
	assert_false(installed_file(&package, "node_modules/setuid/pipe"));
	assert_int_equal(lstat(link, &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	assert_int_equal(stat("/etc/passwd", &st), 0);
	assert_int_equal(st.st_uid, 0);
	assert_int_equal(stat(file, &st), 0);
	if (setting.host.is_root) /* the sandbox's user reads what root owns now */
		assert_int_equal(st.st_mode & 07777, 0644);
	assert_int_equal(st.st_mode & 0022, 0);
	store_package_done(&package);
	setting_done(&setting);
}

/* ---- Node ---- */

static void a_missing_node_comes_from_the_registry(void **state)
{
	struct setting setting;
	struct store_package package;
	mem_cleanup char *answer = NULL;
	BUF_CLEANUP struct buf said = BUF_INIT(4 * KIB);
	struct npxc_error err;

	(void)state;
	setting_make(&setting);
	must_get(&setting, "wants-node", STORE_ENSURE, &package);
	assert_string_equal(package.node.version, "1000.1.0"); /* newest patch of the lowest even major */
	assert_string_equal(package.node.abi, "11000");
	assert_true(package.node.from_store);
	assert_true(str_ends(package.platform, "-11000"));
	assert_true(str_starts(package.node.files.program, fixture.store));
	answer = str_printf("%s/node_modules/wants-node/answer", package.directory);
	assert_true(file_read(answer, &said, &err)); /* scripts ran with it */
	assert_string_equal(said.data, "fake 1000.1.0\n");
	store_package_done(&package);
	/* npm for the package, for the versions of Node, for Node; Node itself, for its ABI; the script. */
	assert_int_equal(setting.runner.reaches.count, 5);
	for (size_t i = 0; i < setting.runner.reaches.count; i++)
		assert_int_equal(strcmp(setting.runner.reaches.v[i], "-") == 0, i == 3);
	expect(&setting, "wants-node", STORE_LOOK, "1.0.0", 0);

	setting.host.node_major = 1002; /* a pin beats what the host has */
	must_get(&setting, "plain@1.0.0", STORE_ENSURE, &package);
	assert_string_equal(package.node.version, "1002.0.0");
	store_package_done(&package);
	expect(&setting, "plain@1.0.0", STORE_LOOK, "1.0.0", 0);
	setting.host.node_major = 77;
	assert_false(get(&setting, "plain@1.0.0", STORE_ENSURE, &package, &err));
	assert_int_equal(err.kind, ERROR_INSTALL);
	assert_non_null(strstr(err.message, "there is no Node 77 for this platform (defaults.node)"));
	setting_done(&setting);
}

static void without_node_or_npm(void **state)
{
	struct setting setting;
	struct store_package package;
	struct npxc_error err;
	mem_cleanup char *bin = str_printf("%s/bin", fixture.root);
	mem_cleanup char *node = str_printf("%s/node", bin);
	mem_cleanup char *real = NULL;

	(void)state;
	setting_make(&setting);
	setting.host.path_variable = bin;
	assert_int_equal(mkdir(bin, 0755), 0);
	assert_false(get(&setting, "plain", STORE_ENSURE, &package, &err));
	assert_int_equal(err.kind, ERROR_INSTALL);
	assert_non_null(strstr(err.message, "node is not on PATH; install Node.js"));
	assert_true(file_find_program("node", getenv("PATH"), &real, &err));
	assert_int_equal(symlink(real, node), 0);
	assert_false(get(&setting, "plain", STORE_ENSURE, &package, &err));
	assert_int_equal(err.kind, ERROR_INSTALL);
	assert_non_null(strstr(err.message, "npm is not here; install Node.js"));
	setting_done(&setting);
}

static void another_abi_keeps_the_version(void **state)
{
	struct setting setting;
	struct store_package package;
	mem_cleanup char *other = NULL;

	(void)state;
	setting_make(&setting);
	must_get(&setting, "CapS", STORE_ENSURE, &package);
	other = str_printf("%s7", package.directory); /* as if the host's Node had been another one then */
	assert_int_equal(rename(package.directory, other), 0);
	store_package_done(&package);
	publish("CapS/1.5.0");
	expect(&setting, "CapS", STORE_ENSURE, "1.0.0", 1);
	assert_true(file_exists(other));
	expect(&setting, "CapS", STORE_UPDATE, "1.5.0", 1);
	setting_done(&setting);
}

/* Each mount as "<inside> <where in the prefix>", sorted by the first; owned. */
static char *mounts_text(const struct launch *launch, const char *prefix)
{
	BUF_CLEANUP struct buf text = BUF_INIT(64 * KIB);
	struct npxc_error err;

	for (size_t i = 0; i < launch->mount_count; i++) {
		assert_true(str_path_within(launch->mounts[i].source, prefix));
		assert_false(launch->mounts[i].writable);
		assert_true(buf_appendf(&text, &err, "%s %s\n", launch->mounts[i].target,
		                        launch->mounts[i].source + strlen(prefix) + 1));
	}
	for (size_t i = 0; i < launch->links.count; i++)
		assert_true(buf_appendf(&text, &err, "link %s\n", launch->links.v[i]));
	for (size_t i = 0; i < launch->masks.count; i++)
		assert_true(buf_appendf(&text, &err, "mask %s\n", launch->masks.v[i]));
	return text.data != NULL ? buf_take(&text) : str_dup("");
}

static void touch(const char *directory, const char *name)
{
	mem_cleanup char *path = str_printf("%s/%s", directory, name);
	mem_cleanup char *parent = str_path_join(path, "..");
	struct npxc_error err = { 0 };

	assert_true(file_make_directories(parent, 0755, &err));
	write_text(path, "x");
}

/* Its prefix may be a home directory or /usr/local, and npm's global configuration is in its etc. */
static void of_a_nodes_prefix_only_what_it_needs_is_shown(void **state)
{
	static const char bare[] = "/n/bin/node bin/node\n/n/lib/libnode.so.1 lib/libnode.so.1.0\n";
	static const char npm[] = "/n/lib/node_modules/npm lib/node_modules/npm\n";
	static const char headers[] = "/n/include/node include/node\n";
	static const char links[] = "link ../lib/node_modules/npm/bin/npm-cli.js=/n/bin/npm\n"
	                            "link ../lib/node_modules/npm/bin/npx-cli.js=/n/bin/npx\n"
	                            "mask /n/lib/node_modules/npm/npmrc\n";
	static const char *const files[] = { "bin/other",
		                             "etc/npmrc",
		                             "lib/node_modules/npm/bin/npm-cli.js",
		                             "lib/node_modules/npm/npmrc",
		                             "lib/node_modules/other/secret",
		                             "lib/libnode.so.1.0",
		                             "include/node/node.h",
		                             "include/secret.h",
		                             "share/secret",
		                             ".npmrc" };
	static const char *const places[] = { "home", "home/.local", "opt/node" };
	struct npxc_error err = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		mem_cleanup char *prefix = str_printf("%s/%s", fixture.root, places[i]);
		mem_cleanup char *bin = str_printf("%s/bin", prefix);
		mem_cleanup char *node = str_printf("%s/node", bin);
		mem_cleanup char *library = str_printf("%s/lib/libnode.so.1", prefix);
		mem_cleanup char *text =
		    str_printf("#!/bin/sh\necho '{\"version\":\"20.1.0\",\"abi\":\"115\",\"program\":\"%s\","
		               "\"os\":\"linux\",\"arch\":\"x64\",\"libc\":\"glibc\",\"libraries\":"
		               "[\"%s/../lib/libnode.so.1\",\"/lib/x.so\",7,\"%s/../../etc/npmrc\"]}'\n",
		               node, bin, prefix);
		struct setting setting;
		struct store_node chosen;
		struct node_facts facts;

		setting_make(&setting);
		for (size_t f = 0; f < sizeof(files) / sizeof(files[0]); f++)
			touch(prefix, files[f]);
		assert_int_equal(symlink("libnode.so.1.0", library), 0);
		write_text(node, text);
		assert_int_equal(chmod(node, 0755), 0);
		setting.host.path_variable = bin;
		for (int again = 0; again < 2; again++) { /* asked, and remembered */
			if (!node_host(&setting.host, &facts, &err))
				fail_msg("%s", err.message);
			node_choose(&setting.host, &facts, NULL, &chosen);
			for (int full = 0; full < 2; full++) {
				mem_cleanup char *expected =
				    str_printf("%s%s%s%s", bare, npm, full ? headers : "", links);
				mem_cleanup char *shown = NULL;
				struct launch launch = { 0 };

				assert_true(node_add_mounts(&chosen.files, "/n", full, &launch));
				shown = mounts_text(&launch, prefix);
				assert_string_equal(shown, expected);
				launch_done(&launch);
			}
			node_done(&chosen);
			node_facts_done(&facts);
		}
		setting_done(&setting);
	}
}

static void nodes_that_are_there_already_or_have_another_name(void **state)
{
	static const struct {
		const char *program, *prefix;
		const char *mounts;
		bool on_path;
	} cases[] = {
		{ "/usr/bin/node", "/usr", "", false },
		{ NULL, NULL, "", false }, /* an image's */
		{ "/opt/n/nodejs-20", NULL, "/n/bin/node n/nodejs-20\n", true },
		{ "/opt/n/bin/node", "/opt/n", "/n/bin/node n/bin/node\n", true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct store_node_files files = { .program = (char *)(uintptr_t)cases[i].program,
			                                .prefix = (char *)(uintptr_t)cases[i].prefix };
		struct launch launch = { 0 };
		mem_cleanup char *shown = NULL;

		assert_int_equal(node_add_mounts(&files, "/n", true, &launch), cases[i].on_path);
		shown = mounts_text(&launch, "/opt");
		assert_string_equal(shown, cases[i].mounts);
		launch_done(&launch);
	}
}

/* ---- directories and sets ---- */

static void directories_are_installed_anew_when_they_change(void **state)
{
	struct setting setting;
	struct store_package package;
	struct npxc_error err;
	mem_cleanup char *source = str_printf("%s/My server", fixture.root);
	mem_cleanup char *manifest = str_printf("%s/package.json", source);
	mem_cleanup char *script = str_printf("%s/x.js", source);
	mem_cleanup char *modules = str_printf("%s/node_modules", source);
	mem_cleanup char *first = NULL;
	mem_cleanup char *second = NULL;
	int use = -1;

	(void)state;
	setting_make(&setting);
	assert_int_equal(mkdir(source, 0755), 0);
	write_text(manifest,
	           "{\"name\":\"@me/server\",\"version\":\"0.1.0\",\"bin\":\"x.js\",\"dependencies\":{\"plain\":"
	           "\"1.0.0\"},\"scripts\":{\"prepare\":\"touch prepared\",\"postinstall\":\"touch made\"}}");
	write_text(script, "#!/usr/bin/env node\r\n");
	setting.host.cwd = fixture.root;
	must_get(&setting, "./My server", STORE_ENSURE, &package);
	assert_string_equal(package.name, "@me/server");
	assert_string_equal(package.version, "0.1.0");
	assert_string_equal(package.bin, "server");
	assert_true(str_starts(package.key, "dir=0"));
	assert_true(installed_file(&package, "node_modules/@me/server/made"));
	assert_true(installed_file(&package, "node_modules/plain/x.js"));
	first = str_dup(package.directory);
	assert_true(store_use(&package, &use, &err));
	store_package_done(&package);
	assert_int_equal(entries(source, ""), 2); /* nothing was written there */

	assert_int_equal(mkdir(modules, 0755), 0); /* does not count */
	expect(&setting, "./My server", STORE_LOOK, "0.1.0", 0);
	expect(&setting, source, STORE_LOOK, "0.1.0", 0);
	write_text(script, "#!/usr/bin/env node\n\n");
	assert_false(get(&setting, "./My server", STORE_LOOK, &package, &err));
	must_get(&setting, "./My server", STORE_ENSURE, &package);
	second = str_dup(package.directory);
	store_package_done(&package);
	assert_string_not_equal(first, second);
	assert_true(file_exists(first)); /* in use */
	fd_close(&use);
	write_text(script, "#!/usr/bin/env node\n\n\n");
	expect(&setting, "./My server", STORE_ENSURE, "0.1.0", 2);
	assert_false(file_exists(first));
	assert_false(file_exists(second));
	setting_done(&setting);
}

/* npm before 11 runs `prepare` while it packs a directory, where credentials are; with any npm it finds none. */
static void a_directory_is_packed_without_its_prepare_script(void **state)
{
	static const char *const manifests[] = {
		"{\"name\":\"@me/eager\",\"version\":\"0.1.0\",\"bin\":\"x.js\",\"scripts\":{\"prepare\":\"exit 9\"}}",
		"{\"name\":\"@me/eager\",\"version\":\"0.1.1\",\"bin\":\"x.js\",\"scripts\":{},"
		"\"scripts\":{\"prepare\":\"exit 9\",\"test\":\"true\",\"prepa\\u0072e\":\"exit 9\"}}",
	};
	struct setting setting;
	mem_cleanup char *source = str_printf("%s/eager", fixture.root);
	mem_cleanup char *manifest = str_printf("%s/package.json", source);
	mem_cleanup char *script = str_printf("%s/x.js", source);

	(void)state;
	setting_make(&setting);
	assert_int_equal(mkdir(source, 0755), 0);
	write_text(script, "#!/usr/bin/env node\n");
	for (size_t i = 0; i < sizeof(manifests) / sizeof(manifests[0]); i++) {
		BUF_CLEANUP struct buf bytes = BUF_INIT(64 * KIB);
		struct store_package package;
		struct npxc_error err;
		mem_cleanup char *installed = NULL;

		write_text(manifest, manifests[i]);
		must_get(&setting, source, STORE_ENSURE, &package);
		installed = str_printf("%s/node_modules/@me/eager/package.json", package.directory);
		assert_true(file_read(installed, &bytes, &err));
		assert_null(strstr(bytes.data, "exit 9"));
		assert_int_equal(strstr(bytes.data, "test") != NULL, i == 1);
		store_package_done(&package);
	}
	write_text(manifest, "{\"name\":\"@me/eager\",");
	{
		struct store_package package;
		struct npxc_error err;

		assert_false(get(&setting, source, STORE_ENSURE, &package, &err));
		assert_int_equal(err.kind, ERROR_INSTALL);
		assert_non_null(strstr(err.message, "package.json is no JSON object"));
	}
	setting_done(&setting);
}

static void sets_are_one_installation(void **state)
{
	const char *specs[] = { "many", "@secret/thing", "plain@1.0.0" };
	const char *turned[] = { "plain@1.0.0", "many", "@secret/thing" };
	const struct store_request two = { .specs = specs, .spec_count = 3, .command = "two" };
	const struct store_request other = { .specs = turned, .spec_count = 3, .command = "printf" };
	const struct store_request call = { .specs = turned, .spec_count = 3, .call = "one | two" };
	const char *alone[] = { "many" };
	const struct store_request one = { .specs = alone, .spec_count = 1, .command = "one" };
	struct setting setting;
	struct store_package package;
	struct npxc_error err;
	mem_cleanup char *lines = token_line();

	(void)state;
	setting_make(&setting);
	write_npmrc(lines);
	if (!get_request(&setting, &two, STORE_ENSURE, &package, &err))
		fail_msg("%s", err.message);
	assert_string_equal(package.name, "many");
	assert_string_equal(package.bin, "two");
	assert_string_equal(package.command.v[0], STORE_GUEST_PACKAGE "/node_modules/.bin/two");
	assert_true(str_starts(package.key, "set=0"));
	store_package_done(&package);
	assert_true(get_request(&setting, &other, STORE_LOOK, &package, &err));
	assert_string_equal(package.command.v[0], "printf");
	store_package_done(&package);
	assert_true(get_request(&setting, &call, STORE_LOOK, &package, &err));
	assert_int_equal(package.command.count, 3);
	assert_string_equal(package.command.v[0], "/bin/sh");
	assert_string_equal(package.command.v[2], "one | two");
	assert_null(package.bin);
	store_package_done(&package);
	assert_true(get_request(&setting, &one, STORE_ENSURE, &package, &err));
	assert_string_equal(package.key, "many");
	assert_string_equal(package.bin, "one");
	store_package_done(&package);
	setting_done(&setting);
}

/* "<package> <first word of the command>" inside, or the error; owned. */
static char *who_runs(struct setting *setting, const char *const *specs, size_t count, const char *command)
{
	const struct store_request request = { .specs = specs, .spec_count = count, .command = command };
	struct store_package package;
	struct npxc_error err;
	char *text;

	if (!get_request(setting, &request, STORE_ENSURE, &package, &err))
		return str_printf("%d %s", err.kind == ERROR_CONFIG, err.message);
	assert_true(str_equal(store_package_label(&package), package.source != NULL ? package.source : package.name));
	text = str_printf("%s%s %s", package.name, package.owned ? "" : " (nobody's)", package.command.v[0]);
	store_package_done(&package);
	return text;
}

/* By what npm said it is when nothing else had run, whoever else has a command of that name. */
static void a_command_is_its_packages_own(void **state)
{
	static const struct {
		const char *specs[3];
		const char *command;
		const char *who;
	} cases[] = {
		{ { "good" }, "goodcmd", "good " STORE_GUEST_PACKAGE "/node_modules/good/bin/own.js" },
		{ { "good" }, "good-other", "good " STORE_GUEST_PACKAGE "/node_modules/good/bin/own.js" },
		{ { "z-shadow" }, "goodcmd", "z-shadow " STORE_GUEST_PACKAGE "/node_modules/.bin/goodcmd" },
		{ { "good" }, "shadow-only", "good (nobody's) shadow-only" },
		{ { "good", "plain" }, "shadow-only", "good (nobody's) shadow-only" },
		{ { "plain", "good" }, "shadow-only", "plain (nobody's) shadow-only" },
		{ { "good", "evil" }, "evilcmd", "evil " STORE_GUEST_PACKAGE "/node_modules/.bin/evilcmd" },
		{ { "good", "evil" }, "good-other", "good " STORE_GUEST_PACKAGE "/node_modules/good/bin/own.js" },
		{ { "good", "evil" },
		  "goodcmd",
		  "1 good and evil both have a command goodcmd; name one of them alone: npxc -p good goodcmd" },
		{ { "evil", "good" },
		  "goodcmd",
		  "1 evil and good both have a command goodcmd; name one of them alone: npxc -p evil goodcmd" },
	};
	struct setting setting;

	(void)state;
	setting_make(&setting);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const size_t count = cases[i].specs[1] != NULL ? 2 : 1;
		mem_cleanup char *who = who_runs(&setting, cases[i].specs, count, cases[i].command);
		bool is_link = str_starts(cases[i].who, "good " STORE_GUEST_PACKAGE);
		mem_cleanup char *linked =
		    str_printf("good " STORE_GUEST_PACKAGE "/node_modules/.bin/%s", cases[i].command);

		/* Which of them npm linked is npm's luck: then its link is as good. */
		if (strcmp(who, cases[i].who) != 0 && !(is_link && strcmp(who, linked) == 0))
			fail_msg("%zu: %s", i, who);
	}
	setting_done(&setting);
}

/* npm's own link decides nothing: here it leads to another package's file, as npm leaves it now and then. */
static void a_link_that_leads_elsewhere_is_not_run(void **state)
{
	static const char *const specs[] = { "good" };
	struct setting setting;
	struct store_package package;
	mem_cleanup char *bin = NULL;
	mem_cleanup char *link = NULL;

	(void)state;
	setting_make(&setting);
	must_get(&setting, "good@1.0.0", STORE_ENSURE, &package);
	bin = str_printf("%s/node_modules/.bin", package.directory);
	link = str_printf("%s/goodcmd", bin);
	assert_int_equal(chmod(bin, 0755), 0);
	for (int own = 0; own < 2; own++) {
		mem_cleanup char *who = NULL;

		assert_int_equal(unlink(link), 0);
		assert_int_equal(symlink(own ? "../good/bin/own.js" : "../z-shadow/x.js", link), 0);
		who = who_runs(&setting, specs, 1, "goodcmd");
		assert_string_equal(who, own ? "good " STORE_GUEST_PACKAGE "/node_modules/.bin/goodcmd"
		                             : "good " STORE_GUEST_PACKAGE "/node_modules/good/bin/own.js");
	}
	store_package_done(&package);
	setting_done(&setting);
}

/* A set is found again in any order, and each package of it is what it was then. */
static void a_directory_in_a_set_is_called_by_its_path(void **state)
{
	mem_cleanup char *source = str_printf("%s/clone", fixture.root);
	mem_cleanup char *manifest = str_printf("%s/package.json", source);
	mem_cleanup char *script = str_printf("%s/x.js", source);
	const char *orders[][2] = { { "plain", source }, { source, "plain" } };
	struct setting setting;

	(void)state;
	setting_make(&setting);
	assert_int_equal(mkdir(source, 0755), 0);
	/* It calls itself as another package that has a configuration. */
	write_text(manifest, "{\"name\":\"good\",\"version\":\"9.9.9\",\"bin\":{\"cloned\":\"x.js\"}}");
	write_text(script, "#!/usr/bin/env node\n");
	for (size_t i = 0; i < 2; i++) {
		const struct store_request request = { .specs = orders[i], .spec_count = 2, .command = "cloned" };
		struct store_package package;
		struct npxc_error err;

		if (!get_request(&setting, &request, STORE_ENSURE, &package, &err))
			fail_msg("%s", err.message);
		assert_string_equal(package.source, source);
		assert_string_equal(store_package_label(&package), source);
		store_package_done(&package);
	}
	setting_done(&setting);
}

/* Records that do not say which packages came from a directory are of an older npxc, and count for nothing. */
static void a_record_without_its_directory_is_not_believed(void **state)
{
	mem_cleanup char *source = str_printf("%s/clone", fixture.root);
	mem_cleanup char *manifest = str_printf("%s/package.json", source);
	struct setting setting;
	struct store_package package;
	struct npxc_error err;
	struct record record;

	(void)state;
	setting_make(&setting);
	assert_int_equal(mkdir(source, 0755), 0);
	write_text(manifest, "{\"name\":\"good\",\"version\":\"9.9.9\",\"bin\":{\"cloned\":\"x.js\"}}");
	must_get(&setting, source, STORE_ENSURE, &package);
	assert_string_equal(package.source, source);
	assert_true(record_read(package.directory, &record, &err));
	assert_string_equal(record.packages[0].directory, source);
	free(MEM_TAKE(record.packages[0].directory));
	assert_int_equal(chmod(package.directory, 0755), 0);
	assert_true(record_write(package.directory, &record, &err));
	record_done(&record);
	store_package_done(&package);
	assert_false(get(&setting, source, STORE_LOOK, &package, &err));
	assert_non_null(strstr(err.message, "is not installed"));
	must_get(&setting, source, STORE_ENSURE, &package);
	assert_true(package.installed_now);
	assert_string_equal(package.source, source);
	store_package_done(&package);
	setting_done(&setting);
}

static void capitals_have_a_place_of_their_own(void **state)
{
	struct setting setting;
	struct store_package package;

	(void)state;
	setting_make(&setting);
	must_get(&setting, "CapS", STORE_ENSURE, &package);
	assert_string_equal(package.key, "=cap=s");
	assert_string_equal(package.bin, "CapS");
	store_package_done(&package);
	setting_done(&setting);
}

/* ---- together ---- */

static void concurrent_first_starts_install_once(void **state)
{
	pid_t pids[3];
	struct setting setting;
	int counts[2];
	struct npxc_error err;
	size_t runs = 0;

	(void)state;
	assert_true(fd_pipe(counts, &err));
	for (int i = 0; i < 3; i++) {
		pids[i] = fork();
		if (pids[i] == 0) {
			struct store_package package;
			char byte;

			setting_make(&setting);
			if (!get(&setting, "scripted", STORE_ENSURE, &package, &err) ||
			    strcmp(package.version, "1.0.0") != 0)
				_exit(1);
			byte = (char)setting.runner.runs;
			_exit(write(counts[1], &byte, 1) == 1 ? 0 : 1);
		}
	}
	close(counts[1]);
	for (int i = 0; i < 3; i++) {
		int status;

		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_int_equal(status, 0);
	}
	for (char byte; read(counts[0], &byte, 1) == 1;)
		runs += (size_t)byte;
	close(counts[0]);
	assert_int_equal(runs, 2); /* one of the three, with its two steps */
	setting_make(&setting);
	expect(&setting, "scripted", STORE_LOOK, "1.0.0", 0);
	setting_done(&setting);
}

static bool told_to_end(void *context)
{
	(void)context;
	return true;
}

static void waiting_for_another_can_be_interrupted(void **state)
{
	struct setting setting;
	struct store_package package;
	struct npxc_error err;
	mem_cleanup char *key = str_printf("%s/packages/plain", fixture.store);
	mem_cleanup char *path = str_printf("%s/lock", key);
	int lock;

	(void)state;
	setting_make(&setting);
	assert_true(file_make_directories(key, 0755, &err));
	assert_true(file_lock(path, true, &lock, &err));
	setting.host.interrupted = told_to_end;
	assert_false(get(&setting, "plain", STORE_ENSURE, &package, &err));
	assert_int_equal(err.kind, ERROR_IO);
	assert_int_equal(err.sys_errno, EINTR);
	assert_int_equal(setting.runner.runs, 0);
	fd_close(&lock);
	setting_done(&setting);
}

static void die_in_the_second_step(const struct launch *launch)
{
	if (strcmp(launch->command.v[2], "rebuild") == 0)
		kill(getpid(), SIGKILL);
}

static void an_interrupted_installation_looks_like_none(void **state)
{
	struct setting setting;
	struct store_package package;
	struct npxc_error err;
	struct inventory list;
	int status;
	pid_t pid = fork();
	size_t removed;
	size_t kept;
	uint64_t bytes;

	(void)state;
	if (pid == 0) {
		setting_make(&setting);
		setting.runner.before_run = die_in_the_second_step;
		_exit(get(&setting, "scripted", STORE_ENSURE, &package, &err) ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(entries(fixture.store, "staging"), 1); /* for the janitor, which is not here */
	setting_make(&setting);
	assert_false(get(&setting, "scripted", STORE_LOOK, &package, &err));
	assert_true(inventory_read(fixture.store, &list, &err));
	assert_int_equal(list.count, 0);
	inventory_done(&list);
	expect(&setting, "scripted", STORE_ENSURE, "1.0.0", 2);
	assert_int_equal(entries(fixture.store, "staging"), 1);
	assert_true(inventory_clean(fixture.store, NULL, "/", &removed, &bytes, &kept, &err));
	assert_int_equal(removed, 1);
	nothing_is_left();
	setting_done(&setting);
}

/* A release and its prereleases begin alike; a version's record says which it is, or of a damaged one its name. */
static void cleaning_a_version_takes_no_prerelease_of_it(void **state)
{
	static const struct {
		const char *installed[3];
		const char *cleaned;
		const char *damaged; /* the start of the directory whose record is removed; NULL: none */
		size_t removed;
		const char *left; /* what is still there; NULL: nothing */
	} cases[] = {
		{ { "moving@2.0.0-rc.1", "moving@2.0.0" }, "moving@2.0.0", NULL, 1, "moving@2.0.0-rc.1" },
		{ { "moving@2.0.0-rc.1", "moving@2.0.0" }, "moving@2.0.0-rc.1", NULL, 1, "moving@2.0.0" },
		{ { "moving@2.0.0-rc.1" }, "moving@2.0.0", NULL, 0, "moving@2.0.0-rc.1" },
		{ { "moving@2.0.0-rc.1" }, "moving@2.0.0-rc", NULL, 0, "moving@2.0.0-rc.1" },
		{ { "moving@2.0.0-rc.1", "moving@2.0.0" }, "moving@2.0.0", "2.0.0-linux", 1, "moving@2.0.0-rc.1" },
		{ { "moving@2.0.0-rc.1" }, "moving@2.0.0", "2.0.0-rc.1-linux", 0, NULL },
		{ { "moving@2.0.0-rc.1" }, "moving@2.0.0-rc.1", "2.0.0-rc.1-linux", 1, NULL },
	};

	(void)state;
	publish("moving/2.0.0");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct setting setting;
		struct npxc_error err;
		size_t removed;
		size_t kept;
		uint64_t bytes;

		setting_make(&setting);
		for (size_t k = 0; k < 3 && cases[i].installed[k] != NULL; k++) {
			struct store_package package;

			must_get(&setting, cases[i].installed[k], STORE_ENSURE, &package);
			if (cases[i].damaged != NULL &&
			    str_starts(strrchr(package.directory, '/') + 1, cases[i].damaged)) {
				mem_cleanup char *record = str_printf("%s/npxc.json", package.directory);

				assert_int_equal(chmod(package.directory, 0755), 0);
				assert_int_equal(unlink(record), 0);
			}
			store_package_done(&package);
		}
		assert_true(inventory_clean(fixture.store, cases[i].cleaned, "/", &removed, &bytes, &kept, &err));
		if (removed != cases[i].removed)
			fail_msg("%zu: %zu removed", i, removed);
		if (cases[i].left != NULL) {
			struct store_package package;

			must_get(&setting, cases[i].left, STORE_LOOK, &package);
			store_package_done(&package);
		}
		assert_true(inventory_clean(fixture.store, NULL, "/", &removed, &bytes, &kept, &err));
		setting_done(&setting);
	}
}

static void cleaning_spares_what_is_in_use(void **state)
{
	struct setting setting;
	struct store_package package;
	struct inventory list;
	struct npxc_error err;
	size_t removed;
	size_t kept;
	uint64_t bytes;
	int use;
	int late;

	(void)state;
	setting_make(&setting);
	expect(&setting, "plain@1.0.0", STORE_ENSURE, "1.0.0", 1);
	expect(&setting, "scripted", STORE_ENSURE, "1.0.0", 2);
	must_get(&setting, "plain@next", STORE_ENSURE, &package);
	assert_true(store_use(&package, &use, &err));
	assert_true(inventory_read(fixture.store, &list, &err));
	assert_int_equal(list.count, 3);
	assert_string_equal(list.v[0].name, "plain");
	assert_string_equal(list.v[0].version, "1.0.0");
	assert_null(list.v[0].spec);
	assert_string_equal(list.v[1].spec, "next");
	assert_string_equal(list.v[1].platform, package.platform);
	assert_true(list.v[1].bytes > 0 && list.v[1].installed_at > 0);
	inventory_done(&list);

	assert_true(inventory_clean(fixture.store, "plain@1.0.0", "/", &removed, &bytes, &kept, &err));
	assert_int_equal(removed, 1);
	assert_int_equal(kept, 0);
	assert_true(bytes > 0);
	assert_true(inventory_clean(fixture.store, "plain@1.0.0", "/", &removed, &bytes, &kept, &err));
	assert_int_equal(removed, 0);
	assert_false(inventory_clean(fixture.store, "plain@beta", "/", &removed, &bytes, &kept, &err));
	assert_int_equal(err.kind, ERROR_CONFIG);
	assert_true(inventory_clean(fixture.store, "plain", "/", &removed, &bytes, &kept, &err));
	assert_int_equal(removed, 0);
	assert_int_equal(kept, 1);
	assert_true(inventory_clean(fixture.store, NULL, "/", &removed, &bytes, &kept, &err));
	assert_int_equal(removed, 1); /* scripted */
	assert_int_equal(kept, 1);
	expect(&setting, "plain@next", STORE_LOOK, "2.0.0-rc.1", 0);
	/* A forced installation takes its place without taking it away from the session. */
	expect(&setting, "plain@next", STORE_FORCE, "2.0.0-rc.1", 1);
	assert_true(entries(fixture.store, "packages/plain") >= 3);
	fd_close(&use);
	assert_true(inventory_clean(fixture.store, NULL, "/", &removed, &bytes, &kept, &err));
	assert_int_equal(removed, 1);
	assert_int_equal(kept, 0);
	assert_false(store_use(&package, &late, &err));
	assert_int_equal(err.kind, ERROR_IO);
	store_package_done(&package);
	nothing_is_left();
	setting_done(&setting);
}

/*
 * npm takes its seconds. Under the sanitizers, which look at npxc's own code only, the tests run that lead through most
 * of it.
 */
#ifdef __SANITIZE_ADDRESS__
#define QUICK true
#else
#define QUICK false
#endif

int main(void)
{
#define STORE_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest all[] = {
		STORE_TEST(tags_and_ranges_are_resolved_once),
		STORE_TEST(failures_say_why_and_leave_nothing),
		STORE_TEST(optional_dependencies_may_fail),
		STORE_TEST(the_users_ignore_scripts_counts),
		STORE_TEST(what_scripts_leave_is_made_harmless),
		STORE_TEST(another_abi_keeps_the_version),
		STORE_TEST(sets_are_one_installation),
		STORE_TEST(a_command_is_its_packages_own),
		STORE_TEST(a_link_that_leads_elsewhere_is_not_run),
		STORE_TEST(a_directory_in_a_set_is_called_by_its_path),
		STORE_TEST(a_record_without_its_directory_is_not_believed),
		STORE_TEST(capitals_have_a_place_of_their_own),
		STORE_TEST(concurrent_first_starts_install_once),
		STORE_TEST(an_interrupted_installation_looks_like_none),
		STORE_TEST(install_scripts_see_no_secret),
		STORE_TEST(the_step_that_fetches_starts_no_program),
		STORE_TEST(a_proxys_password_stays_in_the_step_that_fetches),
		STORE_TEST(installations_reach_what_npm_is_configured_for),
		STORE_TEST(what_was_refused_is_said),
		STORE_TEST(installs_once_and_starts_without_a_process),
		STORE_TEST(wrong_requests_are_refused),
		STORE_TEST(a_directory_is_known_by_where_it_leads),
		STORE_TEST(a_missing_node_comes_from_the_registry),
		STORE_TEST(without_node_or_npm),
		STORE_TEST(of_a_nodes_prefix_only_what_it_needs_is_shown),
		STORE_TEST(nodes_that_are_there_already_or_have_another_name),
		STORE_TEST(directories_are_installed_anew_when_they_change),
		STORE_TEST(a_directory_is_packed_without_its_prepare_script),
		STORE_TEST(waiting_for_another_can_be_interrupted),
		STORE_TEST(cleaning_a_version_takes_no_prerelease_of_it),
		STORE_TEST(cleaning_spares_what_is_in_use),
	};
	const struct CMUnitTest quick[] = {
		STORE_TEST(installs_once_and_starts_without_a_process),
		STORE_TEST(wrong_requests_are_refused),
		STORE_TEST(a_directory_is_known_by_where_it_leads),
		STORE_TEST(optional_dependencies_may_fail),
		STORE_TEST(without_node_or_npm),
		STORE_TEST(of_a_nodes_prefix_only_what_it_needs_is_shown),
		STORE_TEST(nodes_that_are_there_already_or_have_another_name),
		STORE_TEST(directories_are_installed_anew_when_they_change),
		STORE_TEST(a_directory_is_packed_without_its_prepare_script),
		STORE_TEST(waiting_for_another_can_be_interrupted),
		STORE_TEST(cleaning_spares_what_is_in_use),
	};

	return QUICK ? cmocka_run_group_tests(quick, start_registry, stop_registry)
	             : cmocka_run_group_tests(all, start_registry, stop_registry);
}
