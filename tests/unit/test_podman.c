#include "unit.h"

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"
#include "contain/profile.h"
#include "network/network.h"
#include "runtime/container.h"
#include "runtime/engine.h"
#include "runtime/podman.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef __linux__
#include <sched.h>
#include <seccomp.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#endif

#define MANAGED "npxc-0123456789ab4def8123456789abcdef"

/* ---- versions ---- */

static void versions_are_read(void **state)
{
	static const struct {
		enum runtime_kind kind;
		const char *text;
		const char *version; /* NULL: refused */
		const char *why;
	} cases[] = {
		{ RUNTIME_PODMAN,
		  "{\n  \"Client\": {\n    \"APIVersion\": \"4.3.1\",\n    \"Version\": \"4.3.1\",\n    \"GoVersion\": "
		  "\"go1.19.8\",\n    \"GitCommit\": \"\",\n    \"BuiltTime\": \"Thu Jan  1 00:00:00 1970\",\n    "
		  "\"Built\": 0,\n    \"OsArch\": \"linux/amd64\",\n    \"Os\": \"linux\"\n  }\n}\n",
		  "4.3.1", NULL },
		{ RUNTIME_PODMAN, "{\"Client\":{\"Version\":\"4.9.4-rhel\"}}", "4.9.4", NULL },
		{ RUNTIME_PODMAN, "{\"Client\":{\"Version\":\"4.0.0\"}}", "4.0.0", NULL },
		{ RUNTIME_PODMAN, "{\"Client\":{\"Version\":\"5.2.0-dev\"},\"Server\":null}", "5.2.0", NULL },
		{ RUNTIME_PODMAN, "{\"Client\":{\"Version\":\"3.4.4\"}}", NULL, "podman 3.4.4 is too old" },
		{ RUNTIME_PODMAN, "{\"Client\":{\"Version\":\"5.0.0\"},\"Server\":{\"Version\":\"5.0.0\"}}", NULL,
		  "remote service" },
		{ RUNTIME_PODMAN, "{\"Client\":{\"Version\":5}}", NULL, "names no version" },
		{ RUNTIME_PODMAN, "{\"Client\":{\"Version\":\"x\"}}", NULL, "names no version" },
		{ RUNTIME_PODMAN, "{\"Version\":\"5.0.0\"}", NULL, "names no version" },
		{ RUNTIME_PODMAN, "[]", NULL, "names no version" },
		{ RUNTIME_PODMAN, "podman version 4.3.1", NULL, "not JSON" },
		{ RUNTIME_PODMAN, "", NULL, "not JSON" },
		{ RUNTIME_DOCKER, "{\"Client\":{\"Version\":\"27.1.1\"},\"Server\":{\"Version\":\"27.1.1\"}}", "27.1.1",
		  NULL },
		{ RUNTIME_DOCKER, "{\"Client\":{\"Version\":\"20.10.24+dfsg1\"}}", "20.10.24", NULL },
		{ RUNTIME_DOCKER, "{\"Client\":{\"Version\":\"20.9.0\"}}", NULL, "docker 20.9.0 is too old" },
		{ RUNTIME_DOCKER, "{\"Client\":{\"Version\":\"19.03.15\"}}", NULL, "needs 20.10.0" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct npxc_error err = { 0 };
		unsigned number[3];
		char *version = NULL;
		bool ok = engine_parse_version(runtime_driver(cases[i].kind), cases[i].text, strlen(cases[i].text),
		                               number, &version, &err);

		if (ok != (cases[i].version != NULL) || !str_equal(version, cases[i].version))
			fail_msg("case %zu: %s", i, err.message);
		free(version);
		if (ok)
			continue;
		assert_int_equal(err.kind, ERROR_RUNTIME_UNAVAILABLE);
		if (strstr(err.message, cases[i].why) == NULL)
			fail_msg("case %zu: \"%s\" does not say \"%s\"", i, err.message, cases[i].why);
	}
}

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
	fake.cli = str_printf("%s/podman", fake.directory);
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

static void clis_that_are_found_or_not(void **state)
{
	static const struct {
		enum runtime_kind kind;
		const char *script;
		const char *why; /* NULL: found */
	} cases[] = {
		{ RUNTIME_PODMAN,
		  "[ \"$*\" = 'version --format {{json .}}' ] && echo '{\"Client\":{\"Version\":\"4.3.1\"}}'", NULL },
		{ RUNTIME_DOCKER, "echo '{\"Client\":{\"Version\":\"24.0.5\"},\"Server\":{}}'", NULL },
		{ RUNTIME_DOCKER,
		  "echo '{\"Client\":{\"Version\":\"24.0.5\"},\"Server\":null}'\n"
		  "echo 'Cannot connect to the Docker daemon at unix:///var/run/docker.sock.' >&2; exit 1",
		  "daemon is not running" },
		{ RUNTIME_DOCKER,
		  "echo 'permission denied while trying to connect to the Docker daemon socket' >&2; exit 1",
		  "group docker" },
		{ RUNTIME_PODMAN, "echo 'Error: cannot find newuidmap' >&2; exit 125", "cannot find newuidmap" },
		{ RUNTIME_PODMAN, "kill -9 $$", "signal 9" },
		{ RUNTIME_PODMAN, ":", "not JSON" },
	};
	struct npxc_error err = { 0 };
	struct runtime runtime;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fake fake = make_fake(cases[i].script);

		err = (struct npxc_error){ 0 };
		if (runtime_find(cases[i].kind, "podman", fake.directory, &runtime, &err) != (cases[i].why == NULL))
			fail_msg("case %zu: %s", i, err.message);
		if (cases[i].why == NULL) {
			assert_int_not_equal(runtime.uid, 0);
			/* of an ordinary user podman's gateway is not this host */
			assert_int_equal(!runtime_driver(runtime.kind)->check_link(&runtime, POLICY_LINK_GATEWAY, &err),
			                 cases[i].kind == RUNTIME_PODMAN && geteuid() != 0);
			runtime_done(&runtime);
		} else {
			assert_int_equal(err.kind, ERROR_RUNTIME_UNAVAILABLE);
			if (strstr(err.message, cases[i].why) == NULL)
				fail_msg("case %zu: %s", i, err.message);
		}
		fake_done(&fake);
	}
	assert_false(runtime_find(RUNTIME_PODMAN, "podman", "/nowhere", &runtime, &err));
	assert_int_equal(err.kind, ERROR_RUNTIME_UNAVAILABLE);
	assert_non_null(strstr(err.message, "\"podman\""));
}

/* ---- argument lists ---- */

static struct runtime a_runtime(enum runtime_kind kind, bool is_root)
{
	struct runtime runtime = {
		.kind = kind,
		.cli = str_dup(kind == RUNTIME_DOCKER ? "/usr/bin/docker" : "/usr/bin/podman"),
		.is_root = is_root,
		.uid = is_root ? SANDBOX_DROP_UID : 1000,
		.gid = is_root ? SANDBOX_DROP_UID : 100,
	};

	strv_push(&runtime.environment, "HOME=/srv/u");
	return runtime;
}

static struct launch a_launch(void)
{
	struct launch launch = {
		.name = str_dup("npxc-server-0123abcd"),
		.directory = str_dup("/srv/u/project"),
		.home = str_dup("/home/npxc"),
		.memory_bytes = 512 * MIB,
		.cpu_millis = 500,
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
	mem_cleanup char *profile = profile_seccomp();
	char *line;

	if (!runtime_make_start(runtime, launch, &start, &err))
		fail_msg("%s", err.message);
	assert_int_equal(start.status_fd, -1);
	assert_false(start.drop_to_uid);
	assert_int_equal(start.data_count, 1);
	assert_int_equal(start.data[0].fd, 10);
	assert_int_equal(start.data[0].length, strlen(profile));
	assert_memory_equal(start.data[0].bytes, profile, strlen(profile));
	line = strv_shell(&start.argv);
	if (ret_env != NULL)
		*ret_env = strv_shell(&start.env);
	runtime_start_done(&start);
	return line;
}

#define FIXED                                                                              \
	" run --rm -i --init --read-only --cap-drop ALL --security-opt no-new-privileges " \
	"--security-opt seccomp=/dev/fd/10 --name npxc-server-0123abcd --network "
#define COMMON " --pull missing --log-driver none --no-healthcheck "
#define PODMAN_ONLY "--unsetenv-all --http-proxy=false --image-volume ignore --systemd false "
#define LIMITS                                                                                               \
	"--workdir /srv/u/project --memory 536870912 --memory-swap 536870912 --cpus 0.500 --pids-limit 512 " \
	"--shm-size 67108864 "
#define OWN                                                                                                       \
	"-e PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin -e HOME=/home/npxc -e TMPDIR=/tmp " \
	"-e LANG=C.UTF-8 "
#define NO_PROXIES                                                                                         \
	"-e HTTP_PROXY -e http_proxy -e HTTPS_PROXY -e https_proxy -e FTP_PROXY -e ftp_proxy -e NO_PROXY " \
	"-e no_proxy -e ALL_PROXY -e all_proxy "
#define COMMAND(image)                                                               \
	"--entrypoint /bin/sh " image " -c '" CONTAINER_SHELL_PARENT "' npxc-first " \
	"/npxc/node/bin/node /npxc/package/cli.js -- -x"
#define TMPFS(target, size, more) "--tmpfs " target ":rw,size=" size ",mode=1777,nosuid,nodev," more " "
#define PODMAN_TMPFS                                           \
	TMPFS("/tmp", "536870912", "exec,notmpcopyup,U")       \
	TMPFS("/run", "16777216", "noexec,notmpcopyup,U")      \
	TMPFS("/home/npxc", "536870912", "exec,notmpcopyup,U") \
	TMPFS("/var/tmp", "16777216", "exec,notmpcopyup,U")
#define DOCKER_TMPFS                                            \
	TMPFS("/tmp", "536870912", "exec,uid=65533,gid=65533")  \
	TMPFS("/run", "16777216", "noexec,uid=65533,gid=65533") \
	TMPFS("/home/npxc", "536870912", "exec,uid=65533,gid=65533")

static void the_argument_list_of_each_engine(void **state)
{
	static const struct {
		enum runtime_kind kind;
		bool is_root;
		const char *line;
	} cases[] = {
		{ RUNTIME_PODMAN, true,
		  "/usr/bin/podman" FIXED "none" COMMON PODMAN_ONLY
		  "--user 65533:65533 " LIMITS PODMAN_TMPFS OWN COMMAND("docker.io/library/node:lts-slim") },
		{ RUNTIME_PODMAN, false,
		  "/usr/bin/podman" FIXED "none" COMMON PODMAN_ONLY
		  "--userns keep-id --user 1000:100 " LIMITS PODMAN_TMPFS OWN COMMAND(
		      "docker.io/library/node:lts-slim") },
		{ RUNTIME_DOCKER, true,
		  "/usr/bin/docker" FIXED "none" COMMON
		  "--user 65533:65533 " LIMITS DOCKER_TMPFS OWN NO_PROXIES COMMAND("node:lts-slim") },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct runtime runtime = a_runtime(cases[i].kind, cases[i].is_root);
		struct launch launch = a_launch();
		mem_cleanup char *line = argv_of(&runtime, &launch, NULL);

		assert_string_equal(line, cases[i].line);
		launch_done(&launch);
		runtime_done(&runtime);
	}
}

static void networks_in_the_argument_list(void **state)
{
	static const struct {
		enum runtime_kind kind;
		enum launch_network network;
		const char *name, *expected;
	} cases[] = {
		{ RUNTIME_PODMAN, LAUNCH_NETWORK_NONE, NULL, " --network none --pull" },
		{ RUNTIME_PODMAN, LAUNCH_NETWORK_OPEN, NULL, " --network podman --pull" },
		{ RUNTIME_DOCKER, LAUNCH_NETWORK_OPEN, NULL, " --network bridge --pull" },
		{ RUNTIME_PODMAN, LAUNCH_NETWORK_NAMED, "backend", " --network backend --pull" },
		{ RUNTIME_DOCKER, LAUNCH_NETWORK_NAMED, MANAGED, " --network " MANAGED " --pull" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct runtime runtime = a_runtime(cases[i].kind, true);
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

static void mounts_variables_and_masks(void **state)
{
	struct runtime runtime = a_runtime(RUNTIME_PODMAN, true);
	struct launch launch = a_launch();
	mem_cleanup char *line = NULL;
	mem_cleanup char *env = NULL;

	(void)state;
	launch.memory_bytes = 0;
	launch.cpu_millis = 0;
	launch.pids = 0;
	launch.path_prefix = str_dup("/npxc/node/bin");
	launch_add_mount(&launch, "/srv/u/project/deep", "/srv/u/project/deep", true);
	launch_add_mount(&launch, "/srv/u/project", "/srv/u/project", false);
	launch_add_mount(&launch, "/srv/tmp", "/var/tmp", true);
	launch_add_tmpfs(&launch, "/cache", MIB, 0755);
	launch_add_env(&launch, "API_KEY", "top secret");
	strv_push(&launch.masks, "/srv/u/project/x.sock");
	line = argv_of(&runtime, &launch, &env);
	assert_string_equal(
	    line,
	    "/usr/bin/podman" FIXED "none" COMMON PODMAN_ONLY
	    "--user 65533:65533 --workdir /srv/u/project --shm-size 67108864 " TMPFS(
	        "/tmp", "536870912", "exec,notmpcopyup,U") TMPFS("/run", "16777216", "noexec,notmpcopyup,U")
	        TMPFS("/home/npxc", "536870912", "exec,notmpcopyup,U") TMPFS(
	            "/cache", "1048576",
	            "exec,notmpcopyup,U") "-v /srv/tmp:/var/tmp -v /srv/u/project:/srv/u/project:ro "
	                                  "-v /srv/u/project/deep:/srv/u/project/deep "
	                                  "-v /dev/null:/srv/u/project/x.sock:ro "
	                                  "-e "
	                                  "PATH=/npxc/node/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/"
	                                  "sbin:/bin "
	                                  "-e HOME=/home/npxc -e TMPDIR=/tmp -e LANG=C.UTF-8 -e API_KEY " COMMAND(
	                                      "docker.io/library/node:lts-slim"));
	assert_string_equal(env, "HOME=/srv/u 'API_KEY=top secret'");
	launch_done(&launch);
	runtime_done(&runtime);
}

/* docker's own configuration may name proxies, with passwords; what the launch says of them stands. */
static void a_proxy_comes_from_the_launch_alone(void **state)
{
	struct runtime runtime = a_runtime(RUNTIME_DOCKER, true);
	struct launch launch = a_launch();
	mem_cleanup char *line = NULL;
	mem_cleanup char *env = NULL;

	(void)state;
	launch_add_env(&launch, "http_proxy", "http://p:1");
	line = argv_of(&runtime, &launch, &env);
	assert_non_null(strstr(line, " -e http_proxy -e HTTP_PROXY -e HTTPS_PROXY -e https_proxy "));
	assert_non_null(strstr(env, "http_proxy=http://p:1"));
	assert_null(strstr(env, "HTTP_PROXY="));
	launch_done(&launch);
	runtime_done(&runtime);
}

static void judged_sources_are_compared_from_inside(void **state)
{
	const struct launch_identity who = { .fd = 5, .kind = 'd', .major = 8, .minor = 1, .inode = 100 };
	struct runtime runtime = a_runtime(RUNTIME_DOCKER, true);
	struct launch launch = a_launch();
	mem_cleanup char *before = NULL;
	mem_cleanup char *line = NULL;
	mem_cleanup char *env = NULL;
	mem_cleanup char *ignored = NULL;

	(void)state;
	launch.first = str_dup("/srv/state/first");
	before = argv_of(&runtime, &launch, &env);
	assert_non_null(strstr(before, " -v /srv/state/first:/run/npxc/first:ro --entrypoint /run/npxc/first "
	                               "node:lts-slim -- /npxc/node/bin/node ")); /* nothing is compared */
	launch_add_judged(&launch, "/srv/u/project", "/srv/u/project", false, &who);
	strv_push(&launch.masks, "/srv/u/project/x.sock");
	launch_add_pin(&launch, "/srv/u/project", &who, "sub");
	line = argv_of(&runtime, &launch, &ignored);
	assert_non_null(strstr(line, "--tmpfs /run/npxc/pins:rw,size=4096,mode=0700,nosuid,nodev,noexec "
	                             "-v /srv/u/project:/run/npxc/pins/0:ro "
	                             "--tmpfs /run/npxc/pins/0/sub:rw,size=4096,mode=0700,nosuid,nodev,noexec "));
	assert_non_null(strstr(line, " -v /srv/state/first:/run/npxc/first:ro --entrypoint /run/npxc/first "
	                             "node:lts-slim dr8:1:100=/srv/u/project oR-=/srv/u/project/x.sock -- "));
	launch_done(&launch);
	runtime_done(&runtime);
}

static void variables_that_would_steer_the_cli(void **state)
{
	static const struct {
		enum runtime_kind kind;
		const char *name;
		bool ok;
	} cases[] = {
		{ RUNTIME_PODMAN, "LD_PRELOAD", false },
		{ RUNTIME_PODMAN, "CONTAINER_HOST", false },
		{ RUNTIME_PODMAN, "CONTAINERS_CONF", false },
		{ RUNTIME_PODMAN, "XDG_RUNTIME_DIR", false },
		{ RUNTIME_PODMAN, "STORAGE_DRIVER", false },
		{ RUNTIME_PODMAN, "PATH", false },
		{ RUNTIME_PODMAN, "API*", false },
		{ RUNTIME_PODMAN, "DOCKER_HOST", true },
		{ RUNTIME_DOCKER, "DOCKER_HOST", false },
		{ RUNTIME_DOCKER, "DOCKER_CONFIG", false },
		{ RUNTIME_DOCKER, "CONTAINER_HOST", true },
		{ RUNTIME_PODMAN, "HTTPS_PROXY", true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct runtime runtime = a_runtime(cases[i].kind, true);
		struct launch launch = a_launch();
		struct npxc_error err = { 0 };
		struct runtime_start start;

		launch_add_env(&launch, cases[i].name, "x");
		if (runtime_make_start(&runtime, &launch, &start, &err) != cases[i].ok)
			fail_msg("%s: %s", cases[i].name, err.message);
		if (cases[i].ok)
			runtime_start_done(&start);
		else
			assert_int_equal(err.kind, ERROR_CONFIG);
		launch_done(&launch);
		runtime_done(&runtime);
	}
}

static void root_is_refused(void **state)
{
	struct runtime runtime = a_runtime(RUNTIME_PODMAN, true);
	struct launch launch = a_launch();
	struct npxc_error err = { 0 };
	struct runtime_start start;

	(void)state;
	runtime.uid = 0;
	assert_false(runtime_make_start(&runtime, &launch, &start, &err));
	assert_int_equal(err.kind, ERROR_CONFIG);
	launch_done(&launch);
	runtime_done(&runtime);
}

static void short_image_names_are_completed(void **state)
{
	static const struct {
		const char *image, *expected;
	} cases[] = {
		{ "node", "docker.io/library/node" },
		{ "node:lts-slim", "docker.io/library/node:lts-slim" },
		{ "node@sha256:0123", "docker.io/library/node@sha256:0123" },
		{ "team/node:1", "docker.io/team/node:1" },
		{ "docker.io/library/node:lts-slim", "docker.io/library/node:lts-slim" },
		{ "localhost/node", "localhost/node" },
		{ "registry.example.org/a/b", "registry.example.org/a/b" },
		{ "registry:5000/a", "registry:5000/a" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		mem_cleanup char *name = podman_image_name(cases[i].image);

		assert_string_equal(name, cases[i].expected);
	}
}

static void a_container_is_removed_at_once(void **state)
{
	static const struct {
		enum runtime_kind kind;
		const char *line;
	} cases[] = {
		{ RUNTIME_PODMAN, "/usr/bin/podman rm -f -v -t 0 --ignore npxc-a-0123abcd" },
		{ RUNTIME_DOCKER, "/usr/bin/docker rm -f -v npxc-a-0123abcd" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct runtime runtime = a_runtime(cases[i].kind, true);
		struct strv argv;
		mem_cleanup char *line = NULL;

		runtime_remove_argv(&runtime, "npxc-a-0123abcd", &argv);
		line = strv_shell(&argv);
		assert_string_equal(line, cases[i].line);
		strv_done(&argv);
		runtime_done(&runtime);
	}
}

/* ---- the end ---- */

static void ends_are_told_apart(void **state)
{
	static const struct {
		int exit_status, signal;
		const char *errors;
		int status; /* -1: the runtime's */
		enum npxc_error_kind kind;
		const char *why;
	} cases[] = {
		{ 0, 0, "", 0, ERROR_NONE, NULL },
		{ 1, 0, "Error: missing key\n", 1, ERROR_NONE, NULL },
		{ 126, 0, "sh: not permitted\n", 126, ERROR_NONE, NULL },
		{ 127, 0, "sh: 1: x: not found\n", 127, ERROR_NONE, NULL },
		{ 137, 0, "", 137, ERROR_NONE, NULL },
		{ -1, SIGKILL, "", 137, ERROR_NONE, NULL },
		{ -1, SIGHUP, "", 129, ERROR_NONE, NULL },
		{ -1, SIGSEGV, "", -1, ERROR_RUNTIME, "crashed" },
		{ 125, 0, "Error: statfs /no/such: no such file or directory\n", -1, ERROR_RUNTIME, "statfs /no/such" },
		{ 125, 0, "docker: Error response from daemon: no such image.\nSee 'docker run --help'.\n", -1,
		  ERROR_RUNTIME, "no such image" },
		{ 125, 0, "", -1, ERROR_RUNTIME, "could not be started" },
		{ 125, 0, "docker: Cannot connect to the Docker daemon at unix:///x.\n", -1, ERROR_RUNTIME_UNAVAILABLE,
		  "not running" },
		{ 125, 0, "docker: permission denied while trying to connect to the Docker daemon socket\n", -1,
		  ERROR_RUNTIME_UNAVAILABLE, "group docker" },
		{ 125, 0, "Error: container-init binary not found on the host: stat /usr/libexec/podman/catatonit\n",
		  -1, ERROR_RUNTIME_UNAVAILABLE, "catatonit" },
		{ 125, 0,
		  "Error: crun: cgroups in hybrid mode not supported, drop all controllers from cgroupv2: OCI runtime "
		  "error\n",
		  -1, ERROR_RUNTIME_UNAVAILABLE, "install runc" },
		{ 125, 0, "Error: could not find \"catatonit\" in one of [/usr/libexec/podman]\n", -1,
		  ERROR_RUNTIME_UNAVAILABLE, "catatonit" },
		{ 127, 0,
		  "Error: runc: runc create failed: exec: \"nosuch\": executable file not found in $PATH: OCI runtime "
		  "attempted to invoke a command that was not found\n",
		  -1, ERROR_RUNTIME, "cannot be started in the image" },
		{ 126, 0, "Error: crun: open executable: Permission denied: OCI permission denied\n", -1, ERROR_RUNTIME,
		  "cannot be started in the image" },
		{ 127, 0, "[FATAL tini (7)] exec nosuch failed: No such file or directory\n", -1, ERROR_RUNTIME,
		  "nosuch" },
		{ 1, 0, "ERROR (catatonit:2): failed to exec pid1: No such file or directory\n", -1, ERROR_RUNTIME,
		  "failed to exec pid1" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct runtime runtime = { .kind = str_starts(cases[i].errors, "docker: ") ? RUNTIME_DOCKER
			                                                                   : RUNTIME_PODMAN };
		struct npxc_error err = { 0 };
		int status = -1;
		bool ok = runtime_judge_end(&runtime, cases[i].exit_status, cases[i].signal, NULL, cases[i].errors,
		                            &status, &err);

		if (ok != (cases[i].status != -1) || status != cases[i].status || err.kind != cases[i].kind)
			fail_msg("case %zu: %d: %s", i, status, err.message);
		if (!ok && strstr(err.message, cases[i].why) == NULL)
			fail_msg("case %zu: \"%s\" does not say \"%s\"", i, err.message, cases[i].why);
	}
}

/* What doctor finds on an engine, a line for each: "ok" or "FAIL" and the beginning of what it says, and a fix. */
static void doctor_says_what_the_engine_says(void **state)
{
#define PODMAN "case $1 in version) echo '{\"Client\":{\"Version\":\"4.3.1\"}}' ;; info) "
#define DOCKER "case $1 in version) echo '{\"Client\":{\"Version\":\"28.5.1\"},\"Server\":{}}' ;; info) "
#define IMAGE_THERE " ;; image) exit 0 ;; esac"
#define HOST(oci, cgroups)                                                                          \
	"echo '{\"host\":{\"ociRuntime\":{\"name\":\"" oci "\"},\"cgroupVersion\":\"" cgroups "\"," \
	"\"cgroupControllers\":[\"memory\",\"pids\"]}}'"
	static const struct {
		enum runtime_kind kind;
		const char *snippet;
		const char *last; /* of the findings */
		bool ok;
		const char *fix;
	} cases[] = {
		{ RUNTIME_PODMAN, PODMAN HOST("runc", "v1") IMAGE_THERE, "image: docker.io/library/node:lts-slim", true,
		  NULL },
		{ RUNTIME_PODMAN, PODMAN HOST("crun", "v2") IMAGE_THERE, "image: docker.io/library/node:lts-slim", true,
		  NULL },
		{ RUNTIME_PODMAN, PODMAN HOST("runc", "v1") " ;; image) exit 1 ;; esac",
		  "image: docker.io/library/node:lts-slim is not here yet", false,
		  "podman pull docker.io/library/node:lts-slim" },
		{ RUNTIME_PODMAN, PODMAN HOST("runc", "v1") " ;; image) echo Error: storage >&2; exit 125 ;; esac",
		  "image: docker.io/library/node:lts-slim: Error: storage", false, "mend" },
		{ RUNTIME_PODMAN, PODMAN "echo 'Error: no cgroups' >&2; exit 125 ;; esac", "engine: Error: no cgroups",
		  false, "mend" },
		{ RUNTIME_PODMAN, PODMAN "echo no json" IMAGE_THERE, "image:", true, NULL },
		{ RUNTIME_PODMAN, "echo Error: odd >&2; exit 125", "CLI: ", false, "update podman" },
		{ RUNTIME_DOCKER, DOCKER "echo '{}'" IMAGE_THERE, "image: node:lts-slim", true, NULL },
		{ RUNTIME_DOCKER, DOCKER "echo '{}' ;; image) exit 1 ;; esac", "image: node:lts-slim is not here yet",
		  false, "pull node:lts-slim" },
		{ RUNTIME_DOCKER, "echo 'Cannot connect to the Docker daemon at unix:///x.' >&2; exit 1",
		  "CLI: the docker daemon is not running", false, "systemctl start docker" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fake fake = make_fake(cases[i].snippet);
		struct runtime_findings findings;
		const struct runtime_finding *last;

		runtime_examine(cases[i].kind, fake.cli, "", "node:lts-slim", &findings);
		last = &findings.v[findings.count - 1];
		if (last->ok != cases[i].ok || strncmp(last->what, cases[i].last, strlen(cases[i].last)) != 0)
			fail_msg("case %zu: %s", i, last->what);
		if (cases[i].fix != NULL && (last->fix == NULL || strstr(last->fix, cases[i].fix) == NULL))
			fail_msg("case %zu: fix %s", i, last->fix != NULL ? last->fix : "none");
		runtime_findings_done(&findings);
		fake_done(&fake);
	}
}

static void doctor_knows_a_cli_that_is_missing(void **state)
{
	struct runtime_findings findings;

	(void)state;
	runtime_examine(RUNTIME_PODMAN, "podman", "/nowhere", "node:lts-slim", &findings);
	assert_int_equal(findings.count, 1);
	assert_false(findings.v[0].ok);
	assert_non_null(strstr(findings.v[0].fix, "install"));
	runtime_findings_done(&findings);
}

/* crun starts nothing where both cgroup hierarchies are mounted; which this host is decides what is right here. */
static void doctor_knows_crun_on_hybrid_cgroups(void **state)
{
	struct fake fake = make_fake(PODMAN HOST("crun", "v1") IMAGE_THERE);
	bool is_hybrid = file_is_directory("/sys/fs/cgroup/unified");
	struct runtime_findings findings;

	(void)state;
	runtime_examine(RUNTIME_PODMAN, fake.cli, "", "node:lts-slim", &findings);
	assert_true(findings.count >= 3);
	assert_non_null(strstr(findings.v[2].what, "OCI runtime: crun"));
	assert_int_equal(findings.v[2].ok, !is_hybrid);
	if (is_hybrid)
		assert_non_null(strstr(findings.v[2].fix, "runc"));
	runtime_findings_done(&findings);
	fake_done(&fake);
}

/* ---- the seccomp profile ---- */

static const cJSON *rule_for(const cJSON *profile, const char *name, size_t nth)
{
	const cJSON *rule, *word;

	cJSON_ArrayForEach(rule, cJSON_GetObjectItem(profile, "syscalls"))
	{
		cJSON_ArrayForEach(word, cJSON_GetObjectItem(rule, "names"))
		{
			if (strcmp(word->valuestring, name) == 0 && nth-- == 0)
				return rule;
		}
	}
	return NULL;
}

static void what_the_profile_leaves_out(void **state)
{
	static const char *const refused[] = {
		"io_uring_setup",
		"io_uring_enter",
		"io_uring_register",
		"keyctl",
		"add_key",
		"request_key",
		"bpf",
		"perf_event_open",
		"userfaultfd",
		"ptrace",
		"process_vm_readv",
		"process_vm_writev",
		"kcmp",
		"pidfd_getfd",
		"init_module",
		"finit_module",
		"delete_module",
		"kexec_load",
		"reboot",
		"swapon",
		"mount",
		"umount2",
		"move_mount",
		"open_tree",
		"fsopen",
		"fsmount",
		"mount_setattr",
		"pivot_root",
		"chroot",
		"setns",
		"unshare",
		"open_by_handle_at",
		"quotactl",
		"acct",
		"settimeofday",
		"clock_settime",
		"socketcall",
		"syslog",
		"iopl",
		"ioperm",
		"vhangup",
		"fanotify_init",
		"name_to_handle_at",
	};
	mem_cleanup char *text = profile_seccomp();
	cJSON *profile = cJSON_Parse(text);

	(void)state;
	assert_non_null(profile);
	assert_string_equal(cJSON_GetObjectItem(profile, "defaultAction")->valuestring, "SCMP_ACT_ERRNO");
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
		if (rule_for(profile, refused[i], 0) != NULL)
			fail_msg("%s is allowed", refused[i]);
	for (size_t i = 0; i < 5; i++) {
		static const int families[] = { 1, 2, 10, 16 };
		const cJSON *rule = rule_for(profile, "socket", i);
		const cJSON *argument;

		assert_int_equal(rule != NULL, i < 4);
		if (rule == NULL)
			break;
		argument = cJSON_GetArrayItem(cJSON_GetObjectItem(rule, "args"), 0);
		assert_int_equal(cJSON_GetObjectItem(argument, "value")->valueint, families[i]);
		assert_string_equal(cJSON_GetObjectItem(argument, "op")->valuestring, "SCMP_CMP_EQ");
	}
	cJSON_Delete(profile);
}

#ifdef __linux__

/* Names that are younger than the libseccomp of a system on which this may be built. */
static bool is_young(const char *name)
{
	static const char *const young[] = { "fchmodat2",  "cachestat",  "mseal",         "map_shadow_stack",
		                             "futex_wait", "futex_wake", "futex_requeue", "riscv_hwprobe" };

	for (size_t i = 0; i < sizeof(young) / sizeof(young[0]); i++)
		if (strcmp(young[i], name) == 0)
			return true;
	return false;
}

static enum scmp_compare comparison(const char *word)
{
	return strcmp(word, "SCMP_CMP_EQ") == 0 ? SCMP_CMP_EQ : SCMP_CMP_MASKED_EQ;
}

/* The profile as an engine would load it. Any name that libseccomp does not know is a slip of the pen. */
static scmp_filter_ctx filter_of(const cJSON *profile)
{
	scmp_filter_ctx filter =
	    seccomp_init(SCMP_ACT_ERRNO((uint32_t)cJSON_GetObjectItem(profile, "defaultErrnoRet")->valueint));
	const cJSON *rule, *word;

	assert_non_null(filter);
	cJSON_ArrayForEach(rule, cJSON_GetObjectItem(profile, "syscalls"))
	{
		const char *action = cJSON_GetObjectItem(rule, "action")->valuestring;
		const cJSON *number = cJSON_GetObjectItem(rule, "errnoRet");
		uint32_t act =
		    strcmp(action, "SCMP_ACT_ALLOW") == 0 ? SCMP_ACT_ALLOW : SCMP_ACT_ERRNO((uint32_t)number->valueint);
		const cJSON *argument = cJSON_GetArrayItem(cJSON_GetObjectItem(rule, "args"), 0);

		cJSON_ArrayForEach(word, cJSON_GetObjectItem(rule, "names"))
		{
			int call = seccomp_syscall_resolve_name(word->valuestring);
			int result;

			if (call == __NR_SCMP_ERROR) {
				if (!is_young(word->valuestring))
					fail_msg("no system call is called %s", word->valuestring);
				continue;
			}
			if (argument == NULL) {
				result = seccomp_rule_add(filter, act, call, 0);
			} else {
				struct scmp_arg_cmp one = {
					.arg = (unsigned)cJSON_GetObjectItem(argument, "index")->valueint,
					.op = comparison(cJSON_GetObjectItem(argument, "op")->valuestring),
					.datum_a = (scmp_datum_t)cJSON_GetObjectItem(argument, "value")->valuedouble,
					.datum_b = (scmp_datum_t)cJSON_GetObjectItem(argument, "valueTwo")->valuedouble,
				};

				result = seccomp_rule_add_array(filter, act, call, 1, &one);
			}
			if (result != 0 && result != -EDOM && call >= 0)
				fail_msg("%s: %s", word->valuestring, strerror(-result));
		}
	}
	return filter;
}

static bool fails_with(long result, int number)
{
	return result == -1 && errno == number;
}

/* In a child under the filter: the first refusal that did not happen, by number; 0 when all is as it should be. */
static int check_inside(void)
{
	if (!fails_with(socket(AF_VSOCK, SOCK_STREAM, 0), EPERM))
		return 1;
	if (!fails_with(socket(AF_PACKET, SOCK_RAW, 0), EPERM))
		return 2;
	if (!fails_with(unshare(CLONE_NEWUSER), EPERM))
		return 3;
	if (!fails_with(syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, NULL, NULL, NULL, 0), EPERM))
		return 4;
	if (!fails_with(syscall(SYS_clone3, NULL, 0), ENOSYS))
		return 5;
	if (!fails_with(ptrace(PTRACE_TRACEME, 0, NULL, NULL), EPERM))
		return 6;
	if (!fails_with(syscall(SYS_io_uring_setup, 1, NULL), EPERM))
		return 7;
	for (long command = 0; command < 1060; command++) {
		const bool is_linux = command < 40 || (command >= 1024 && command < 1056);
		const bool refused = fails_with(syscall(SYS_fcntl, -1, command, 0), EPERM);

		/* a descriptor that is none is EBADF otherwise */
		if (refused != (command == F_SETPIPE_SZ || !is_linux))
			return 9;
	}
	if (!fails_with(syscall(SYS_fcntl, -1, F_SETPIPE_SZ | 1L << 32, 0), EPERM))
		return 10;
	for (size_t i = 0; i < 4; i++) {
		static const int families[] = { AF_UNIX, AF_INET, AF_INET6, AF_NETLINK };

		/* a machine may lack a family, but not by our doing */
		if (fails_with(socket(families[i], SOCK_DGRAM, 0), EPERM))
			return 8;
	}
	return 0;
}

static int status_under_filter(const char *program, const char *const *words)
{
	mem_cleanup char *text = profile_seccomp();
	cJSON *profile = cJSON_Parse(text);
	scmp_filter_ctx filter = filter_of(profile);
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		int wrong;

		if (seccomp_load(filter) != 0)
			_exit(100);
		if (program == NULL) {
			wrong = check_inside();
			_exit(wrong);
		}
		execv(program, (char *const *)(uintptr_t)words);
		_exit(101);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	seccomp_release(filter);
	cJSON_Delete(profile);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void the_profile_refuses_what_it_should(void **state)
{
	(void)state;
	assert_int_equal(status_under_filter(NULL, NULL), 0);
}

/* Threads, a child process, a socket to itself, files, timers: what a server of Node does. */
static void node_runs_under_the_profile(void **state)
{
	static const char program[] =
	    "const {Worker} = require('worker_threads'), net = require('net'), fs = require('fs'),\n"
	    "  {execFileSync} = require('child_process');\n"
	    "if (execFileSync('/bin/sh', ['-c', 'echo child']).toString() !== 'child\\n') process.exit(11);\n"
	    "if (!fs.readdirSync('/').length) process.exit(12);\n"
	    "const w = new Worker('require(\"worker_threads\").parentPort.postMessage(1)', {eval: true});\n"
	    "w.on('message', () => {\n"
	    "  const s = net.createServer(c => c.end('x')).listen(0, '127.0.0.1', () => {\n"
	    "    net.connect(s.address().port, '127.0.0.1').on('data', () => setTimeout(() => process.exit(0), 1))\n"
	    "  .on('error', () => process.exit(13)); });\n"
	    "});\n";
	struct npxc_error err = { 0 };
	mem_cleanup char *node = NULL;
	const char *words[] = { "node", "-e", program, NULL };

	(void)state;
	if (!file_find_program("node", getenv("PATH"), &node, &err))
		fail_msg("node is needed for this test: %s", err.message);
	assert_int_equal(status_under_filter(node, words), 0);
}

#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(versions_are_read),
		cmocka_unit_test(clis_that_are_found_or_not),
		cmocka_unit_test(the_argument_list_of_each_engine),
		cmocka_unit_test(networks_in_the_argument_list),
		cmocka_unit_test(mounts_variables_and_masks),
		cmocka_unit_test(a_proxy_comes_from_the_launch_alone),
		cmocka_unit_test(judged_sources_are_compared_from_inside),
		cmocka_unit_test(variables_that_would_steer_the_cli),
		cmocka_unit_test(root_is_refused),
		cmocka_unit_test(short_image_names_are_completed),
		cmocka_unit_test(a_container_is_removed_at_once),
		cmocka_unit_test(ends_are_told_apart),
		cmocka_unit_test(doctor_says_what_the_engine_says),
		cmocka_unit_test(doctor_knows_a_cli_that_is_missing),
		cmocka_unit_test(doctor_knows_crun_on_hybrid_cgroups),
		cmocka_unit_test(what_the_profile_leaves_out),
#ifdef __linux__
		cmocka_unit_test(the_profile_refuses_what_it_should),
		cmocka_unit_test(node_runs_under_the_profile),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
