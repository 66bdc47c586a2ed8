#include "unit.h"

#include "base/buf.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"
#include "network/network.h"
#include "runtime/apple.h"
#include "runtime/container.h"

#include <cjson/cJSON.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FIXTURES "fixtures/apple-container"
#define MANAGED "npxc-0123456789ab4def8123456789abcdef"

static const char *const versions[] = { "0.6.0", "0.9.0", "0.12.3", "1.0.0", "1.2.2" };
enum { VERSIONS = sizeof(versions) / sizeof(versions[0]) };

static char *fixture(const char *version, const char *name)
{
	mem_cleanup char *path = str_printf(FIXTURES "/%s/%s", version, name);
	struct buf bytes = BUF_INIT(MIB);
	struct npxc_error err = { 0 };

	if (!file_read(path, &bytes, &err)) {
		buf_done(&bytes);
		return NULL;
	}
	return buf_take(&bytes);
}

/* ---- a CLI made of a shell script, in a directory of its own ---- */

struct fake {
	char *directory, *cli;
};

static struct fake make_fake(const char *script)
{
	struct fake fake = { 0 };
	struct npxc_error err = { 0 };
	mem_cleanup char *text = str_printf("#!/bin/sh\nPATH=/usr/bin:/bin\n%s\n", script);

	if (!file_make_temporary_directory("/tmp", "npxc-test-", &fake.directory, &err))
		fail_msg("%s", err.message);
	fake.cli = str_printf("%s/container", fake.directory);
	if (!file_write_atomic(fake.cli, text, strlen(text), 0755, &err))
		fail_msg("%s", err.message);
	return fake;
}

static void fake_done(struct fake *fake)
{
	struct npxc_error err = { 0 };

	if (!file_remove_tree(fake->directory, &err))
		fail_msg("%s", err.message);
	free(fake->directory);
	free(fake->cli);
}

/* ---- versions ---- */

static void versions_are_read(void **state)
{
	static const struct {
		const char *text;
		bool ok;
		unsigned number[3];
		const char *version;
	} cases[] = {
		{ "container CLI version 0.12.0 (build: release, commit: 1234567)\n", true, { 0, 12, 0 }, "0.12.0" },
		{ "container CLI version 1.4.1 (build: debug, commit: unspecified)", true, { 1, 4, 1 }, "1.4.1" },
		{ "container CLI version 1.10.20-3-gabcdef", true, { 1, 10, 20 }, "1.10.20" },
		{ "container CLI version 1.2", false, { 0 }, NULL },
		{ "container CLI version one", false, { 0 }, NULL },
		{ "container CLI version 1..2", false, { 0 }, NULL },
		{ "podman version 4.3.1", false, { 0 }, NULL },
		{ "", false, { 0 }, NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		unsigned number[3] = { 0 };
		char *version = NULL;

		if (apple_parse_version(cases[i].text, number, &version) != cases[i].ok)
			fail_msg("%s", cases[i].text);
		assert_memory_equal(number, cases[i].number, sizeof(number));
		assert_true(str_equal(version, cases[i].version));
		free(version);
	}
	for (size_t i = 0; i < VERSIONS; i++) {
		mem_cleanup char *text = fixture(versions[i], "version.txt");
		unsigned number[3];
		mem_cleanup char *version = NULL;

		assert_non_null(text);
		assert_true(apple_parse_version(text, number, &version));
		assert_string_equal(version, versions[i]);
	}
}

static void an_old_cli_is_refused_and_asked_nothing_else(void **state)
{
	(void)state;
	for (size_t i = 0; i < VERSIONS; i++) {
		mem_cleanup char *text = fixture(versions[i], "version.txt");
		mem_cleanup char *script =
		    str_printf("echo \"$*\" >>\"$0.calls\"\n[ \"$*\" = --version ] || exit 97\ncat <<'E'\n%sE", text);
		struct fake fake = make_fake(script);
		struct npxc_error err = { 0 };
		struct runtime runtime;
		struct buf calls = BUF_INIT(KIB);
		mem_cleanup char *path = str_printf("%s.calls", fake.cli);

		if (i < 2) {
			assert_false(runtime_find(RUNTIME_APPLE, fake.cli, "/nowhere", &runtime, &err));
			assert_int_equal(err.kind, ERROR_RUNTIME_UNAVAILABLE);
			assert_non_null(strstr(err.message, versions[i]));
			assert_non_null(strstr(err.message, "0.12.0"));
		} else {
			if (!runtime_find(RUNTIME_APPLE, "container", fake.directory, &runtime, &err))
				fail_msg("%s", err.message);
			assert_string_equal(runtime.version, versions[i]);
			assert_string_equal(runtime.cli, fake.cli);
			assert_int_not_equal(runtime.uid, 0);
			runtime_done(&runtime);
		}
		assert_true(file_read(path, &calls, &err));
		assert_string_equal(calls.data, "--version\n");
		buf_done(&calls);
		fake_done(&fake);
	}
}

static void a_cli_that_is_not_there_or_not_apples(void **state)
{
	static const struct {
		const char *script, *why;
	} cases[] = {
		{ "echo 'podman version 4.3.1'", "does not answer as Apple's" },
		{ "echo 'container CLI version 1.2.2 (build)'; exit 1", "does not answer as Apple's" },
		{ "kill -9 $$", "does not answer as Apple's" },
		{ ":", "does not answer as Apple's" },
	};
	struct npxc_error err = { 0 };
	struct runtime runtime;

	(void)state;
	assert_false(runtime_find(RUNTIME_APPLE, "container-that-is-missing", "/nowhere", &runtime, &err));
	assert_int_equal(err.kind, ERROR_RUNTIME_UNAVAILABLE);
	assert_non_null(strstr(err.message, "\"container-that-is-missing\""));
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fake fake = make_fake(cases[i].script);

		err = (struct npxc_error){ 0 };
		assert_false(runtime_find(RUNTIME_APPLE, fake.cli, "", &runtime, &err));
		assert_int_equal(err.kind, ERROR_RUNTIME_UNAVAILABLE);
		assert_non_null(strstr(err.message, cases[i].why));
		fake_done(&fake);
	}
}

/* ---- argument lists ---- */

static struct runtime runtime_of(unsigned major, unsigned minor, unsigned patch)
{
	struct runtime runtime = {
		.kind = RUNTIME_APPLE,
		.cli = str_dup("/opt/bin/container"),
		.version = str_printf("%u.%u.%u", major, minor, patch),
		.number = { major, minor, patch },
		.uid = 501,
		.gid = 20,
	};

	strv_push(&runtime.environment, "PATH=/usr/bin:/bin");
	strv_push(&runtime.environment, "HOME=/Users/u");
	return runtime;
}

static struct launch a_launch(void)
{
	struct launch launch = {
		.name = str_dup("npxc-server-0123abcd"),
		.directory = str_dup("/Users/u/project"),
		.home = str_dup("/home/npxc"),
		.memory_bytes = 512 * MIB,
		.cpu_millis = 2000,
		.pids = 512,
		.image = str_dup("node:lts-slim"),
	};

	strv_push(&launch.command, "/npxc/node/bin/node");
	strv_push(&launch.command, "/npxc/package/cli.js");
	strv_push(&launch.command, "--");
	strv_push(&launch.command, "-x");
	return launch;
}

static char *argv_of(const struct runtime *runtime, const struct launch *launch, char **ret_env)
{
	struct npxc_error err = { 0 };
	struct runtime_start start;
	char *line;

	if (!runtime_make_start(runtime, launch, &start, &err))
		fail_msg("%s", err.message);
	assert_int_equal(start.status_fd, -1);
	assert_int_equal(start.data_count, 0);
	assert_false(start.drop_to_uid);
	line = strv_shell(&start.argv);
	if (ret_env != NULL)
		*ret_env = strv_shell(&start.env);
	runtime_start_done(&start);
	return line;
}

#define HEAD                                                                                \
	"/opt/bin/container run --progress none --rm -i --init --read-only --cap-drop ALL " \
	"--name npxc-server-0123abcd --network "
#define LIMITS "--memory 512M --cpus 2 --ulimit nproc=512 --ulimit core=0 --user 501:20 --workdir /Users/u/project "
#define TMPFS "--tmpfs /tmp --tmpfs /run --tmpfs /home/npxc "
#define OWN "-e PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin -e HOME=/home/npxc -e TMPDIR=/tmp "
#define COMMAND                                                                          \
	"--entrypoint /bin/sh node:lts-slim -c '" CONTAINER_SHELL_PARENT "' npxc-first " \
	"/npxc/node/bin/node /npxc/package/cli.js -- -x"

static void the_argument_list_of_each_release(void **state)
{
	static const unsigned accepted[][3] = { { 0, 12, 0 }, { 0, 12, 3 }, { 0, 13, 0 }, { 1, 0, 0 },
		                                { 1, 2, 2 },  { 1, 4, 1 },  { 2, 0, 0 } };
	static const unsigned refused[][3] = { { 0, 5, 0 },  { 0, 6, 0 },  { 0, 9, 0 },
		                               { 0, 10, 0 }, { 0, 11, 9 }, { 0, 0, 0 } };

	(void)state;
	for (size_t i = 0; i < sizeof(accepted) / sizeof(accepted[0]); i++) {
		struct runtime runtime = runtime_of(accepted[i][0], accepted[i][1], accepted[i][2]);
		struct launch launch = a_launch();
		mem_cleanup char *line = argv_of(&runtime, &launch, NULL);

		assert_string_equal(line, HEAD "none --no-dns " LIMITS TMPFS OWN "-e LANG=C.UTF-8 " COMMAND);
		launch_done(&launch);
		runtime_done(&runtime);
	}
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		struct runtime runtime = runtime_of(refused[i][0], refused[i][1], refused[i][2]);
		struct launch launch = a_launch();
		struct npxc_error err = { 0 };
		struct runtime_start start;

		if (runtime_make_start(&runtime, &launch, &start, &err))
			fail_msg("%s was accepted", runtime.version);
		assert_int_equal(err.kind, ERROR_RUNTIME_UNAVAILABLE);
		assert_non_null(strstr(err.message, runtime.version));
		assert_non_null(strstr(err.message, "0.12.0"));
		launch_done(&launch);
		runtime_done(&runtime);
	}
}

static void networks_in_the_argument_list(void **state)
{
	static const struct {
		enum launch_network network;
		const char *name, *expected;
	} cases[] = {
		{ LAUNCH_NETWORK_NONE, NULL, " --network none --no-dns --memory" },
		{ LAUNCH_NETWORK_OPEN, NULL, " --network default --memory" },
		{ LAUNCH_NETWORK_NAMED, "backend", " --network backend --memory" },
		{ LAUNCH_NETWORK_MANAGED, MANAGED, " --network " MANAGED " --no-dns --memory" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct runtime runtime = runtime_of(1, 2, 2);
		struct launch launch = a_launch();
		mem_cleanup char *line = NULL;

		launch.network = cases[i].network;
		launch.network_name = str_dup(cases[i].name);
		line = argv_of(&runtime, &launch, NULL);
		if (strstr(line, cases[i].expected) == NULL)
			fail_msg("no \"%s\" in %s", cases[i].expected, line);
		launch_done(&launch);
		runtime_done(&runtime);
	}
}

static void mounts_variables_and_limits(void **state)
{
	struct runtime runtime = runtime_of(1, 0, 0);
	struct launch launch = a_launch();
	mem_cleanup char *line = NULL;
	mem_cleanup char *env = NULL;

	(void)state;
	launch.memory_bytes = 0;
	launch.cpu_millis = 0;
	launch.pids = 0;
	launch.path_prefix = str_dup("/npxc/node/bin");
	launch.term = str_dup("xterm");
	launch.lang = str_dup("de_DE.UTF-8");
	launch_add_mount(&launch, "/Users/u/project/deep", "/Users/u/project/deep", true);
	launch_add_mount(&launch, "/Users/u/a b,c=d", "/Users/u/project", false);
	launch_add_mount(&launch, "/old", "/data", true);
	launch_add_mount(&launch, "/new", "/data", true);
	launch_add_mount(&launch, "/run-of-host", "/run", false);
	launch_add_tmpfs(&launch, "/cache", MIB, 0755);
	launch_add_tmpfs(&launch, "/tmp", MIB, 0755);
	launch_add_env(&launch, "API_KEY", "top secret");
	launch_add_env(&launch, "TERM", "dumb");
	strv_push(&launch.masks, "/Users/u/project/x.sock");
	line = argv_of(&runtime, &launch, &env);
	assert_string_equal(line,
	                    HEAD "none --no-dns --ulimit core=0 --user 501:20 --workdir /Users/u/project "
	                         "--tmpfs /tmp --tmpfs /home/npxc --tmpfs /cache "
	                         "-v /new:/data -v /run-of-host:/run:ro -v '/Users/u/a b,c=d:/Users/u/project:ro' "
	                         "-v /Users/u/project/deep:/Users/u/project/deep "
	                         "-e PATH=/npxc/node/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "
	                         "-e HOME=/home/npxc -e TMPDIR=/tmp -e LANG=de_DE.UTF-8 -e API_KEY -e TERM " COMMAND);
	assert_string_equal(env, "PATH=/usr/bin:/bin HOME=/Users/u 'API_KEY=top secret' TERM=dumb");
	assert_null(strstr(line, "secret"));
	launch_done(&launch);
	runtime_done(&runtime);
}

static void set(char **field, const char *value)
{
	free(*field);
	*field = str_dup(value);
}

enum wrong {
	NAME,
	IMAGE,
	NETWORK,
	DIRECTORY,
	HOME,
	MOUNT_SOURCE,
	MOUNT_TARGET,
	TMPFS_TARGET,
	MASKED,
	VARIABLE,
	COMMAND_WORD,
	MEMORY_MIB,
	CPU_MILLIS,
};

static void spoil(struct launch *launch, enum wrong wrong, const char *value)
{
	switch (wrong) {
	case NAME:
		set(&launch->name, value);
		break;
	case IMAGE:
		set(&launch->image, value);
		break;
	case NETWORK:
		launch->network = LAUNCH_NETWORK_NAMED;
		set(&launch->network_name, value);
		break;
	case DIRECTORY:
		set(&launch->directory, value);
		break;
	case HOME:
		set(&launch->home, value);
		break;
	case MOUNT_SOURCE:
		launch_add_mount(launch, value, "/x", false);
		break;
	case MOUNT_TARGET:
		launch_add_mount(launch, "/x", value, false);
		break;
	case TMPFS_TARGET:
		launch_add_tmpfs(launch, value, MIB, 0755);
		break;
	case MASKED:
		launch_add_mount(launch, value, value, false);
		strv_push(&launch->masks, value);
		break;
	case VARIABLE:
		launch_add_env(launch, value, "x");
		break;
	case COMMAND_WORD:
		set(&launch->command.v[0], value);
		break;
	case MEMORY_MIB:
		launch->memory_bytes = strtoull(value, NULL, 10) * MIB;
		break;
	case CPU_MILLIS:
		launch->cpu_millis = (unsigned)strtoul(value, NULL, 10);
		break;
	}
}

static void launches_that_are_refused(void **state)
{
	static const char long_name[] = "npxc-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
	static const struct {
		enum wrong wrong;
		const char *value, *why;
	} cases[] = {
		{ NAME, "", "container name" },
		{ NAME, "x", "container name" },
		{ NAME, "-x", "container name" },
		{ NAME, "a b", "container name" },
		{ NAME, long_name, "container name" },
		{ IMAGE, "", "name of an image" },
		{ IMAGE, "--privileged", "name of an image" },
		{ IMAGE, "node lts", "name of an image" },
		{ NETWORK, NULL, "network" },
		{ NETWORK, "--ssh", "network" },
		{ NETWORK, "x,mac=02:42:ac:11:00:02", "network" },
		{ DIRECTORY, "project", "not an absolute path" },
		{ DIRECTORY, NULL, "not an absolute path" },
		{ HOME, "", "not an absolute path" },
		{ MOUNT_SOURCE, "named-volume", "not an absolute path" },
		{ MOUNT_SOURCE, "/a:b", "has a colon" },
		{ MOUNT_TARGET, "/a:rw", "has a colon" },
		{ MOUNT_TARGET, "x", "not an absolute path" },
		{ TMPFS_TARGET, "x", "not an absolute path" },
		{ TMPFS_TARGET, "/x:size=1", "has a colon" },
		{ MASKED, "/run/docker.sock", "is a UNIX socket" },
		{ VARIABLE, "LD_PRELOAD", "cannot be forwarded" },
		{ VARIABLE, "DYLD_INSERT_LIBRARIES", "cannot be forwarded" },
		{ VARIABLE, "CONTAINER_DEBUG", "cannot be forwarded" },
		{ VARIABLE, "PATH", "cannot be forwarded" },
		{ VARIABLE, "HOME", "cannot be forwarded" },
		{ VARIABLE, "A=B", "not the name of" },
		{ VARIABLE, "A*", "not the name of" },
		{ VARIABLE, "1A", "not the name of" },
		{ VARIABLE, "", "not the name of" },
		{ COMMAND_WORD, "--help", "the server's command" },
		{ COMMAND_WORD, "", "the server's command" },
		{ COMMAND_WORD, "bin/x", "the server's command" },
		{ MEMORY_MIB, "199", "200 MiB" },
		{ CPU_MILLIS, "500", "whole processors" },
		{ CPU_MILLIS, "1500", "whole processors" },
	};

	(void)state;
	assert_int_equal(strlen(long_name), 64);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct runtime runtime = runtime_of(1, 2, 2);
		struct launch launch = a_launch();
		struct npxc_error err = { 0 };
		struct runtime_start start;

		spoil(&launch, cases[i].wrong, cases[i].value);
		if (runtime_make_start(&runtime, &launch, &start, &err))
			fail_msg("case %zu (%s) was accepted", i, cases[i].value);
		assert_int_equal(err.kind, ERROR_CONFIG);
		if (strstr(err.message, cases[i].why) == NULL)
			fail_msg("case %zu: \"%s\" does not say \"%s\"", i, err.message, cases[i].why);
		launch_done(&launch);
		runtime_done(&runtime);
	}
}

static void what_is_just_allowed(void **state)
{
	static const struct {
		enum wrong wrong;
		const char *value;
	} cases[] = {
		{ MEMORY_MIB, "200" },
		{ CPU_MILLIS, "1000" },
		{ IMAGE, "registry.example.org:5000/node@sha256:0123" },
		{ COMMAND_WORD, "node" },
		{ VARIABLE, "PATH_TO_X" },
		{ VARIABLE, "_x9" },
		{ VARIABLE, "CONTAINER_NAME" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct runtime runtime = runtime_of(1, 2, 2);
		struct launch launch = a_launch();

		spoil(&launch, cases[i].wrong, cases[i].value);
		free(argv_of(&runtime, &launch, NULL));
		launch_done(&launch);
		runtime_done(&runtime);
	}
}

static void a_container_is_removed_by_force(void **state)
{
	struct runtime runtime = runtime_of(1, 2, 2);
	struct strv argv;
	mem_cleanup char *line = NULL;

	(void)state;
	runtime_remove_argv(&runtime, "npxc-server-0123abcd", &argv);
	line = strv_shell(&argv);
	assert_string_equal(line, "/opt/bin/container rm --force npxc-server-0123abcd");
	strv_done(&argv);
	runtime_done(&runtime);
}

/* ---- the end ---- */

static void ends_that_are_the_servers_own(void **state)
{
	static const struct {
		int exit_status, signal;
		const char *errors;
		int expected;
	} cases[] = {
		{ 0, 0, "", 0 },
		{ 3, 0, "Error: internalError: \"x\"\n", 3 },
		{ 1, 0, "", 1 },
		{ 1, 0, "Error: missing API_KEY\n", 1 },
		{ 1, 0, "Error: network timeout\n", 1 },
		{ 1, 0, "Error: Missing argument\n", 1 },
		{ 1, 0, "Error: path 'x' is bad\n", 1 },
		{ 64, 0, "Error: bad usage\n", 64 },
		{ 137, 0, "", 137 },
		{ -1, SIGKILL, "", 137 },
		{ -1, SIGTERM, "Error: internalError: \"x\"\n", 143 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct runtime runtime = runtime_of(1, 2, 2);
		struct npxc_error err = { 0 };
		int status = -1;

		if (!runtime_judge_end(&runtime, cases[i].exit_status, cases[i].signal, "", cases[i].errors, &status,
		                       &err))
			fail_msg("case %zu: %s", i, err.message);
		assert_int_equal(status, cases[i].expected);
		runtime_done(&runtime);
	}
}

/* Every error of `container run` that the fixtures of the accepted releases have. */
static void ends_that_are_the_runtimes(void **state)
{
	size_t seen = 0;

	(void)state;
	for (size_t v = 2; v < VERSIONS; v++) {
		mem_cleanup char *text = fixture(versions[v], "errors.json");
		cJSON *list = cJSON_Parse(text);
		const cJSON *entry;
		/* up: the XPC text is then not about the service */
		struct fake fake = make_fake("echo '{\"status\":\"running\"}'");

		assert_non_null(list);
		cJSON_ArrayForEach(entry, list)
		{
			const char *command = cJSON_GetObjectItem(entry, "command")->valuestring;
			const char *errors = cJSON_GetObjectItem(entry, "stderr")->valuestring;
			const cJSON *exit_status = cJSON_GetObjectItem(entry, "exit_status");
			struct runtime runtime = runtime_of(1, 2, 2);
			struct npxc_error err = { 0 };
			int status = -1;

			set(&runtime.cli, fake.cli);
			if (str_starts(command, "container run") && cJSON_IsNumber(exit_status) &&
			    str_starts(errors, "Error: ") && strstr(errors, "invalid label format") == NULL) {
				seen++;
				if (runtime_judge_end(&runtime, exit_status->valueint, 0, "", errors, &status, &err))
					fail_msg("%s: taken for the server's own: %s", versions[v], errors);
				assert_int_equal(err.kind, strstr(errors, "macOS 26") != NULL
				                               ? ERROR_RUNTIME_UNAVAILABLE
				                               : ERROR_RUNTIME);
			}
			runtime_done(&runtime);
		}
		cJSON_Delete(list);
		fake_done(&fake);
	}
	assert_true(seen >= 3 * 7);
}

static void the_service_is_down_only_when_it_says_so(void **state)
{
	static const char xpc[] = "Error: interrupted: \"XPC connection error: Connection invalid\"\n"
	                          "Ensure container system service has been started with `container system start`.\n";
	static const struct {
		const char *script;
		enum npxc_error_kind kind;
	} cases[] = {
		{ "echo '{\"status\":\"unregistered\"}'; exit 1", ERROR_RUNTIME_UNAVAILABLE },
		{ "echo '{\"status\":\"not running\"}'; exit 1", ERROR_RUNTIME_UNAVAILABLE },
		{ "echo '{\"status\":\"running\"}'", ERROR_RUNTIME },
		{ "exit 1", ERROR_RUNTIME },
		{ "echo nonsense; exit 1", ERROR_RUNTIME },
		{ "kill -9 $$", ERROR_RUNTIME },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		mem_cleanup char *script =
		    str_printf("[ \"$*\" = 'system status --format json' ] || exit 97\n%s", cases[i].script);
		struct fake fake = make_fake(script);
		struct runtime runtime = runtime_of(1, 2, 2);
		struct npxc_error err = { 0 };
		int status = -1;

		set(&runtime.cli, fake.cli);
		assert_false(runtime_judge_end(&runtime, 1, 0, "", xpc, &status, &err));
		if (err.kind != cases[i].kind)
			fail_msg("case %zu: %s", i, err.message);
		if (err.kind == ERROR_RUNTIME_UNAVAILABLE)
			assert_non_null(strstr(err.message, "container system start --enable-kernel-install"));
		runtime_done(&runtime);
		fake_done(&fake);
	}
}

static void a_missing_kernel_and_a_crash(void **state)
{
	struct runtime runtime = runtime_of(1, 2, 2);
	struct npxc_error err = { 0 };
	int status = -1;

	(void)state;
	assert_false(runtime_judge_end(&runtime, 1, 0, "",
	                               "Error: default kernel not configured for architecture arm64, please use the "
	                               "`container system kernel set` command to configure it\n",
	                               &status, &err));
	assert_int_equal(err.kind, ERROR_RUNTIME_UNAVAILABLE);
	assert_non_null(strstr(err.message, "container system kernel set --recommended"));
	err = (struct npxc_error){ 0 };
	assert_false(runtime_judge_end(&runtime, -1, SIGTRAP, "", "", &status, &err));
	assert_int_equal(err.kind, ERROR_RUNTIME);
	assert_int_equal(status, -1);
	runtime_done(&runtime);
}

static void every_status_output(void **state)
{
	static const struct {
		const char *file;
		enum apple_service service;
		int exit_status;
	} files[] = {
		{ "system-status.json", APPLE_SERVICE_UP, 0 },
		{ "system-status.not-running.json", APPLE_SERVICE_DOWN, 1 },
		{ "system-status.unregistered.json", APPLE_SERVICE_DOWN, 1 },
	};
	static const struct {
		const char *text;
		int exit_status;
		enum apple_service service;
		const char *root;
	} cases[] = {
		{ "{\"status\":\"running\",\"server\":{},\"paths\":{\"appRoot\":\"\\/data\\/\"}}", 0, APPLE_SERVICE_UP,
		  "/data/" },
		{ "{\"status\":\"running\"}", 0, APPLE_SERVICE_UP, NULL },
		{ "{\"status\":\"starting\"}", 1, APPLE_SERVICE_UNKNOWN, NULL },
		{ "{\"status\":1}", 1, APPLE_SERVICE_UNKNOWN, NULL },
		{ "[]", 1, APPLE_SERVICE_UNKNOWN, NULL },
		{ "apiserver is not running\n", 1, APPLE_SERVICE_UNKNOWN, NULL },
		{ "", 64, APPLE_SERVICE_UNKNOWN, NULL },
		{ "FIELD VALUE\n", 0, APPLE_SERVICE_UP, NULL },
	};

	(void)state;
	for (size_t v = 2; v < VERSIONS; v++) {
		for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
			mem_cleanup char *text = fixture(versions[v], files[i].file);
			mem_cleanup char *root = NULL;

			assert_non_null(text);
			assert_int_equal(apple_parse_status(files[i].exit_status, text, strlen(text), &root),
			                 files[i].service);
			assert_true(str_equal(root, files[i].service == APPLE_SERVICE_UP
			                                ? "/opt/example/Application Support/"
			                                  "com.apple.container/"
			                                : NULL));
		}
	}
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		mem_cleanup char *root = NULL;

		if (apple_parse_status(cases[i].exit_status, cases[i].text, strlen(cases[i].text), &root) !=
		    cases[i].service)
			fail_msg("%s", cases[i].text);
		assert_true(str_equal(root, cases[i].root));
	}
}

/* ---- doctor ---- */

static const struct runtime_finding *find(const struct runtime_findings *findings, const char *start)
{
	for (size_t i = 0; i < findings->count; i++)
		if (str_starts(findings->v[i].what, start))
			return &findings->v[i];
	fail_msg("no finding starts with \"%s\"", start);
	return NULL;
}

static void doctor_names_commands(void **state)
{
	static const char answer[] =
	    "case \"$*\" in\n"
	    "--version) echo 'container CLI version 1.2.2 (build: release, commit: 0190097)' ;;\n"
	    "'system status --format json') d=$(dirname \"$0\")\n"
	    "[ -e \"$d/down\" ] && { echo '{\"status\":\"unregistered\"}'; exit 1; }\n"
	    "echo \"{\\\"status\\\":\\\"running\\\",\\\"appRoot\\\":\\\"$d\\\"}\" ;;\n"
	    "'network list --format json') exit 64 ;;\n"
	    "*) exit 97 ;;\n"
	    "esac";
	struct fake fake = make_fake(answer);
	mem_cleanup char *down = str_printf("%s/down", fake.directory);
	mem_cleanup char *kernels = str_printf("%s/kernels", fake.directory);
	mem_cleanup char *kernel = NULL;
	const struct runtime_finding *one;
	struct runtime_findings findings;
	struct npxc_error err = { 0 };

	(void)state;
	runtime_examine(RUNTIME_APPLE, fake.cli, "", "node:lts-slim", &findings);
	assert_true(find(&findings, "CLI: ")->ok);
	assert_true(find(&findings, "service: running")->ok);
	one = find(&findings, "guest kernel: none");
	assert_false(one->ok);
	assert_string_equal(one->fix, "container system kernel set --recommended");
	assert_int_equal(one->fix_argv.count, 5);
	assert_string_equal(one->fix_argv.v[0], fake.cli);
	assert_false(find(&findings, "networks: ")->ok);
	runtime_findings_done(&findings);

	assert_int_equal(mkdir(kernels, 0700), 0);
#if defined(__aarch64__) || defined(__arm64__)
	kernel = str_printf("%s/default.kernel-arm64", kernels);
#else
	kernel = str_printf("%s/default.kernel-amd64", kernels);
#endif
	assert_true(file_write_atomic(kernel, "", 0, 0600, &err));
	runtime_examine(RUNTIME_APPLE, fake.cli, "", "node:lts-slim", &findings);
	assert_true(find(&findings, "guest kernel: installed")->ok);
	runtime_findings_done(&findings);

	assert_true(file_write_atomic(down, "", 0, 0600, &err));
	runtime_examine(RUNTIME_APPLE, fake.cli, "", "node:lts-slim", &findings);
	one = find(&findings, "service: not running");
	assert_false(one->ok);
	assert_string_equal(one->fix, "container system start --enable-kernel-install");
	assert_int_equal(findings.count, 2);
	runtime_findings_done(&findings);
	fake_done(&fake);

	runtime_examine(RUNTIME_APPLE, "container-that-is-missing", "", "node:lts-slim", &findings);
	assert_int_equal(findings.count, 1);
	assert_false(findings.v[0].ok);
	runtime_findings_done(&findings);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(versions_are_read),
		cmocka_unit_test(an_old_cli_is_refused_and_asked_nothing_else),
		cmocka_unit_test(a_cli_that_is_not_there_or_not_apples),
		cmocka_unit_test(the_argument_list_of_each_release),
		cmocka_unit_test(networks_in_the_argument_list),
		cmocka_unit_test(mounts_variables_and_limits),
		cmocka_unit_test(launches_that_are_refused),
		cmocka_unit_test(what_is_just_allowed),
		cmocka_unit_test(a_container_is_removed_by_force),
		cmocka_unit_test(ends_that_are_the_servers_own),
		cmocka_unit_test(ends_that_are_the_runtimes),
		cmocka_unit_test(the_service_is_down_only_when_it_says_so),
		cmocka_unit_test(a_missing_kernel_and_a_crash),
		cmocka_unit_test(every_status_output),
		cmocka_unit_test(doctor_names_commands),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
