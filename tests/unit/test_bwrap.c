#include "sandbox_run.h"

#include "runtime/bwrap.h"

#include <stdio.h>

/* ---- pure: arguments ---- */

static void plain_runtime(struct runtime *runtime)
{
	*runtime = (struct runtime){ .kind = RUNTIME_BWRAP, .uid = 1000, .gid = 1001 };
	runtime->cli = str_dup("/usr/bin/bwrap");
	runtime->filter = str_dup("filter");
	runtime->filter_bytes = 6;
	strv_push(&runtime->system_mounts, "/usr");
	strv_push(&runtime->system_mounts, "/etc/ssl/certs");
	strv_push(&runtime->system_links, "usr/bin=/bin");
}

/* A system with a place for configuration in /usr, and npm's own. */
static void hiding_runtime(struct runtime *runtime)
{
	plain_runtime(runtime);
	strv_push(&runtime->system_hidden, "/usr/etc");
	strv_push(&runtime->system_mounts, "/usr/etc/services");
	strv_push(&runtime->system_masks, "/usr/lib/node_modules/npm/npmrc");
}

static void plain_launch(struct launch *launch)
{
	*launch = (struct launch){ .network = LAUNCH_NETWORK_NONE };
	launch->home = str_dup("/home/u");
	launch->directory = str_dup("/home/u/project");
	launch->path_prefix = str_dup("/store/node/bin");
	launch->term = str_dup("xterm");
	strv_push(&launch->command, "node");
	strv_push(&launch->command, "--");
	strv_push(&launch->command, "a b");
	launch_add_env(launch, "TOKEN", "old");
	launch_add_env(launch, "TOKEN", "s3cret");
}

static const struct runtime_data *data_of(const struct runtime_start *start, int fd)
{
	for (size_t i = 0; i < start->data_count; i++)
		if (start->data[i].fd == fd)
			return &start->data[i];
	return NULL;
}

static void assert_data(const struct runtime_start *start, int fd, const char *bytes, size_t length)
{
	const struct runtime_data *data = data_of(start, fd);

	assert_non_null(data);
	assert_int_equal(data->length, length);
	if (length > 0)
		assert_memory_equal(data->bytes, bytes, length);
}

static void make(const struct runtime *runtime, const struct launch *launch, struct runtime_start *start)
{
	struct npxc_error err = { 0 };

	if (!bwrap_make_start(runtime, launch, start, &err))
		fail_msg("%s", err.message);
}

static void the_whole_argument_list(void **state)
{
	static const char expected[] =
	    "/usr/bin/bwrap --clearenv --args 11 --unshare-user --disable-userns --unshare-pid --unshare-ipc "
	    "--unshare-uts --unshare-cgroup --unshare-net --uid 1000 --gid 1001 --hostname npxc --die-with-parent "
	    "--cap-drop ALL --seccomp 10 --json-status-fd 14 "
	    "--ro-bind /usr /usr --ro-bind /etc/ssl/certs /etc/ssl/certs --symlink usr/bin /bin "
	    "--perms 0644 --ro-bind-data 12 /etc/passwd --perms 0644 --ro-bind-data 13 /etc/group "
	    "--perms 0644 --ro-bind-data 15 /etc/hosts --proc /proc --ro-bind /proc/sys /proc/sys --dev /dev "
	    "--perms 1777 --size 67108864 --tmpfs /dev/shm --remount-ro /dev "
	    "--perms 1777 --size 536870912 --tmpfs /tmp --perms 0755 --size 16777216 --tmpfs /run "
	    "--bind /srv/data /data --perms 0700 --size 536870912 --tmpfs /home/u "
	    "--ro-bind /home/u/project /home/u/project --perms 0755 --size 4096 --tmpfs /home/u/project/cache "
	    "--perms 0644 --ro-bind-data 20 /home/u/project/a.sock --perms 0644 --ro-bind-data 21 /data/b.sock "
	    "--perms 0555 --ro-bind-data 17 /run/npxc/first "
	    "--dir /home/u/project --remount-ro / --chdir /home/u/project -- "
	    "/run/npxc/first fR-=/home/u/project/a.sock fR-=/data/b.sock -- node -- 'a b'";
	static const char arguments[] = "--setenv\0PATH\0/store/node/bin:/usr/local/bin:/usr/bin:/bin\0"
	                                "--setenv\0HOME\0/home/u\0--setenv\0TMPDIR\0/tmp\0--setenv\0LANG\0C.UTF-8\0"
	                                "--setenv\0TERM\0xterm\0--setenv\0TOKEN\0s3cret";
	static const char passwd[] = "npxc:x:1000:1001:npxc:/home/u:/bin/sh\n"
	                             "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n";
	static const char group[] = "npxc:x:1001:\nnogroup:x:65534:\n";
	static const char hosts[] = "127.0.0.1\tlocalhost npxc\n::1\tlocalhost ip6-localhost ip6-loopback\n";
	struct runtime runtime;
	struct launch launch;
	struct runtime_start start;
	mem_cleanup char *shown = NULL;

	(void)state;
	plain_runtime(&runtime);
	plain_launch(&launch);
	/* in the wrong order on purpose: what lies beneath comes later */
	launch_add_tmpfs(&launch, "/home/u/project/cache", 4096, 0755);
	launch_add_mount(&launch, "/home/u/project", "/home/u/project", false);
	launch_add_mount(&launch, "/srv/data", "/data/", true);
	strv_push(&launch.masks, "/home/u/project/a.sock");
	strv_push(&launch.masks, "/data/b.sock");
	make(&runtime, &launch, &start);
	shown = strv_shell(&start.argv);
	assert_string_equal(shown, expected);
	assert_int_equal(start.env.count, 0);
	assert_int_equal(start.status_fd, 14);
	assert_false(start.drop_to_uid);
	assert_int_equal(start.reach.count, 0);
	assert_int_equal(start.data_count, 8);
	assert_data(&start, 10, "filter", 6);
	assert_data(&start, 11, arguments, sizeof(arguments));
	assert_data(&start, 12, passwd, sizeof(passwd) - 1);
	assert_data(&start, 13, group, sizeof(group) - 1);
	assert_data(&start, 15, hosts, sizeof(hosts) - 1);
	assert_data(&start, 20, "", 0);
	assert_data(&start, 21, "", 0);
	runtime_start_done(&start);
	launch_done(&launch);
	runtime_done(&runtime);
}

/* What stands behind --dir, from the first program on. */
static void assert_command(const struct runtime_start *start, const char *expected)
{
	mem_cleanup char *shown = strv_shell(&start->argv);
	const char *found = strstr(shown, " -- ");

	assert_non_null(found);
	assert_string_equal(found, expected);
}

static void judged_sources_are_bound_by_descriptor_or_compared(void **state)
{
	const struct launch_identity project = { .fd = 55, .kind = 'd', .major = 8, .minor = 1, .inode = 100 };
	const struct launch_identity inner = { .fd = 66, .kind = 'f', .major = 8, .minor = 2, .inode = 200 };
	struct runtime runtime;
	struct launch launch;
	struct runtime_start start;
	mem_cleanup char *shown = NULL;

	(void)state;
	plain_runtime(&runtime);
	plain_launch(&launch);
	launch_add_judged(&launch, "/home/u/project/x", "/home/u/project/x", false, &inner);
	launch_add_mount(&launch, "/store", "/store", false);
	launch_add_judged(&launch, "/home/u/project", "/home/u/project", true, &project);
	make(&runtime, &launch, &start);
	assert_int_equal(start.source_count, 0);
	assert_true(strv_contains(&start.argv, "--bind"));
	assert_command(&start,
	               " -- /run/npxc/first fR8:2:200=/home/u/project/x dw8:1:100=/home/u/project seal -- node -- "
	               "'a b'");
	runtime_start_done(&start);

	runtime.binds_descriptors = true;
	runtime.is_root = true;
	make(&runtime, &launch, &start);
	shown = strv_shell(&start.argv);
	assert_non_null(strstr(shown, "--ro-bind /store /store "));
	assert_non_null(strstr(shown, "--bind-fd 21 /home/u/project --ro-bind-fd 20 /home/u/project/x "));
	assert_int_equal(start.source_count, 2);
	assert_int_equal(start.sources[0].fd, 20);
	assert_int_equal(start.sources[0].from, 66);
	assert_int_equal(start.sources[1].fd, 21);
	assert_int_equal(start.sources[1].from, 55);
	/* What lies in a tree that others may write to was put where a name led. */
	assert_command(&start, " -- /run/npxc/first fR8:2:200=/home/u/project/x seal -- node -- 'a b'");
	assert_int_equal(start.reach.count, 3);
	assert_string_equal(start.reach.v[0], "/home/u/project/x");
	assert_int_equal(start.reach_as[0], 20);
	assert_string_equal(start.reach.v[2], "/store");
	assert_int_equal(start.reach_as[2], -1);
	runtime_start_done(&start);
	launch_done(&launch);
	runtime_done(&runtime);
}

/* Mounted out of sight, deeper ones too, and covered. */
static void directories_are_pinned_under_a_cover(void **state)
{
	const struct launch_identity project = { .fd = 55, .kind = 'd', .major = 8, .minor = 1, .inode = 100 };
	const struct launch_identity sub = { .fd = 66, .kind = 'd', .major = 8, .minor = 1, .inode = 101 };
	struct runtime runtime;
	struct launch launch;
	struct runtime_start start;
	mem_cleanup char *by_name = NULL;
	mem_cleanup char *by_descriptor = NULL;

	(void)state;
	plain_runtime(&runtime);
	plain_launch(&launch);
	launch_add_judged(&launch, "/p", "/p", true, &project);
	launch_add_pin(&launch, "/p", &project, "sub");
	launch_add_pin(&launch, "/p/sub", &sub, "x");
	make(&runtime, &launch, &start);
	by_name = strv_shell(&start.argv);
	assert_non_null(strstr(by_name,
	                       "--ro-bind /p /run/npxc/pins/0 "
	                       "--perms 0000 --size 4096 --tmpfs /run/npxc/pins/0/sub "
	                       "--ro-bind /p/sub /run/npxc/pins/1 "
	                       "--perms 0000 --size 4096 --tmpfs /run/npxc/pins/1/x "
	                       "--perms 0555 --size 4096 --tmpfs /run/npxc/pins --remount-ro /run/npxc/pins "));
	runtime_start_done(&start);
	runtime.binds_descriptors = true;
	make(&runtime, &launch, &start);
	by_descriptor = strv_shell(&start.argv);
	assert_non_null(strstr(by_descriptor, "--bind-fd 20 /p "));
	assert_non_null(strstr(by_descriptor, "--ro-bind-fd 21 /run/npxc/pins/0 "));
	assert_non_null(strstr(by_descriptor, "--ro-bind-fd 22 /run/npxc/pins/1 "));
	assert_int_equal(start.source_count, 3);
	assert_int_equal(start.sources[2].fd, 22);
	assert_int_equal(start.sources[2].from, 66);
	runtime_start_done(&start);
	launch_done(&launch);
	runtime_done(&runtime);
}

static void what_others_may_put_sockets_into_is_sealed(void **state)
{
	static const struct {
		enum launch_network network;
		char kind; /* '\0': npxc's own directory */
		const char *command;
	} cases[] = {
		{ LAUNCH_NETWORK_NONE, '\0', " -- /run/npxc/first -- node -- 'a b'" },
		{ LAUNCH_NETWORK_NETNS, '\0', " -- /run/npxc/first -- node -- 'a b'" },
		{ LAUNCH_NETWORK_NONE, 'f', " -- /run/npxc/first -- node -- 'a b'" },
		{ LAUNCH_NETWORK_NONE, 'd', " -- /run/npxc/first seal -- node -- 'a b'" },
		{ LAUNCH_NETWORK_NETNS, 'd', " -- /run/npxc/first seal -- node -- 'a b'" },
		{ LAUNCH_NETWORK_OPEN, '\0', " -- /run/npxc/first seal -- node -- 'a b'" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct launch_identity who = { .fd = 55, .kind = cases[i].kind, .major = 8, .inode = 1 };
		struct runtime runtime;
		struct launch launch;
		struct runtime_start start;

		plain_runtime(&runtime);
		runtime.binds_descriptors = true;
		plain_launch(&launch);
		launch.network = cases[i].network;
		if (cases[i].kind == '\0')
			launch_add_mount(&launch, "/store", "/srv/x", false);
		else
			launch_add_judged(&launch, "/srv/x", "/srv/x", false, &who);
		make(&runtime, &launch, &start);
		assert_command(&start, cases[i].command);
		runtime_start_done(&start);
		launch_done(&launch);
		runtime_done(&runtime);
	}
}

/* As many descriptors as an ordinary user may have would not do for a whole directory's names as arguments. */
static void more_sources_than_descriptors_are_compared(void **state)
{
	struct runtime runtime;
	struct launch launch;
	struct runtime_start start;

	(void)state;
	plain_runtime(&runtime);
	runtime.binds_descriptors = true;
	plain_launch(&launch);
	for (unsigned i = 0; i <= LIMIT_MOUNT_DESCRIPTORS; i++) {
		const struct launch_identity who = { .fd = 3, .kind = 'f', .major = 8, .minor = 1, .inode = i };
		mem_cleanup char *path = str_printf("/home/u/project/%u", i);

		launch_add_judged(&launch, path, path, false, &who);
	}
	make(&runtime, &launch, &start);
	assert_int_equal(start.source_count, LIMIT_MOUNT_DESCRIPTORS);
	assert_command(&start, " -- /run/npxc/first fr8:1:128=/home/u/project/128 -- node -- 'a b'");
	runtime_start_done(&start);
	launch_done(&launch);
	runtime_done(&runtime);
}

static void the_programs_text_tells_whether_it_binds_descriptors(void **state)
{
	static const struct {
		const char *text;
		size_t length;
		bool knows;
	} CASES[] = {
#define TEXT(t, knows) { t, sizeof(t) - 1, knows }
		TEXT("\177ELF...\0--ro-bind-fd\0--x", true),
		TEXT("\177ELF...\0--bind-fd\0--x", false),
		TEXT("\177ELF...\0--ro-bind-fd FD DEST\0", false),
		TEXT("\177ELF...\0--ro-bind-fd", false),
		TEXT("#!/bin/sh\0--ro-bind-fd\0", false),
		TEXT("\177ELF", false),
		TEXT("", false),
#undef TEXT
	};

	(void)state;
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++)
		assert_int_equal(bwrap_knows_descriptors(CASES[i].text, CASES[i].length), CASES[i].knows);
}

static void the_systems_credentials_are_hidden(void **state)
{
	struct runtime runtime;
	struct launch launch;
	struct runtime_start start;
	mem_cleanup char *shown = NULL;

	(void)state;
	hiding_runtime(&runtime);
	plain_launch(&launch);
	/* what the user asks for lies over it */
	launch_add_mount(&launch, "/usr/etc/mine", "/usr/etc/mine", false);
	strv_push(&launch.masks, "/data/b.sock");
	strv_push(&launch.links, "../x=/opt/y");
	make(&runtime, &launch, &start);
	shown = strv_shell(&start.argv);
	assert_non_null(strstr(shown, "--ro-bind /usr /usr --ro-bind /etc/ssl/certs /etc/ssl/certs --symlink usr/bin "
	                              "/bin --perms 0755 --size 4096 --tmpfs /usr/etc "
	                              "--ro-bind /usr/etc/services /usr/etc/services --perms 0644 "));
	assert_non_null(strstr(shown, "--ro-bind /usr/etc/mine /usr/etc/mine --symlink ../x /opt/y --perms 0644 "
	                              "--ro-bind-data 20 /usr/lib/node_modules/npm/npmrc --perms 0644 "
	                              "--ro-bind-data 21 /data/b.sock "));
	assert_non_null(strstr(shown, "--dir /home/u/project --remount-ro /usr/etc --remount-ro / "));
	assert_data(&start, 20, "", 0);
	assert_data(&start, 21, "", 0);
	runtime_start_done(&start);
	launch_done(&launch);
	runtime_done(&runtime);
}

static void open_network_brings_the_hosts_names(void **state)
{
	struct runtime runtime;
	struct launch launch;
	struct runtime_start start;
	mem_cleanup char *shown = NULL;

	(void)state;
	plain_runtime(&runtime);
	plain_launch(&launch);
	launch.network = LAUNCH_NETWORK_OPEN;
	make(&runtime, &launch, &start);
	shown = strv_shell(&start.argv);
	assert_false(strv_contains(&start.argv, "--unshare-net"));
	assert_null(data_of(&start, BWRAP_FD_HOSTS));
	assert_non_null(strstr(shown, "--ro-bind-try /etc/resolv.conf /etc/resolv.conf "
	                              "--ro-bind-try /etc/hosts /etc/hosts --proc /proc"));
	runtime_start_done(&start);
	launch_done(&launch);
	runtime_done(&runtime);
}

static void root_drops_and_reaches_the_mounts(void **state)
{
	struct runtime runtime;
	struct launch launch;
	struct runtime_start start;

	(void)state;
	plain_runtime(&runtime);
	runtime.is_root = true;
	plain_launch(&launch);
	launch_add_mount(&launch, "/root/store", "/store", false);
	launch_add_mount(&launch, "/root/store", "/again", false);
	launch_add_mount(&launch, "/srv", "/srv", false);
	make(&runtime, &launch, &start);
	assert_true(start.drop_to_uid);
	assert_int_equal(start.reach.count, 2);
	assert_string_equal(start.reach.v[0], "/root/store");
	assert_string_equal(start.reach.v[1], "/srv");
	runtime_start_done(&start);
	free(runtime.cli);
	runtime.cli = str_dup("/root/bin/bwrap");
	make(&runtime, &launch, &start);
	assert_int_equal(start.reach.count, 3);
	assert_string_equal(start.reach.v[0], "/root/bin/bwrap");
	runtime_start_done(&start);
	launch_done(&launch);
	runtime_done(&runtime);
}

static void no_value_is_in_the_argument_list(void **state)
{
	struct runtime runtime;
	struct launch launch;
	struct runtime_start start;

	(void)state;
	plain_runtime(&runtime);
	plain_launch(&launch);
	make(&runtime, &launch, &start);
	for (size_t i = 0; i < start.argv.count; i++) {
		assert_null(strstr(start.argv.v[i], "s3cret"));
		assert_null(strstr(start.argv.v[i], "xterm"));
	}
	runtime_start_done(&start);
	launch_done(&launch);
	runtime_done(&runtime);
}

static void starts_that_are_refused(void **state)
{
	static const struct {
		const char *mount, *tmpfs, *home, *variable;
		enum launch_network network;
		enum { WITH_ALL, NO_FILTER, NO_COMMAND, ROOT_INSIDE, TOO_MANY_MASKS, RELATIVE_SOURCE } without;
		enum npxc_error_kind kind;
		const char *why;
	} cases[] = {
		{ .network = LAUNCH_NETWORK_NAMED, .kind = ERROR_CONFIG, .why = "knows no network \"lan\"" },
		{ .without = NO_FILTER, .kind = ERROR_RUNTIME, .why = "no seccomp filter" },
		{ .without = NO_COMMAND, .kind = ERROR_CONFIG, .why = "no command" },
		{ .without = ROOT_INSIDE, .kind = ERROR_RUNTIME, .why = "must not be 0" },
		{ .without = TOO_MANY_MASKS, .kind = ERROR_CONFIG, .why = "sockets to hide" },
		{ .without = RELATIVE_SOURCE, .kind = ERROR_CONFIG, .why = "mount source \"srv\" is not an absolute" },
		{ .mount = "data", .kind = ERROR_CONFIG, .why = "mount target \"data\" is not an absolute path" },
		{ .mount = "/", .kind = ERROR_CONFIG, .why = "would cover the sandbox's own /;" },
		{ .mount = "/srv/..", .kind = ERROR_CONFIG, .why = "would cover the sandbox's own /;" },
		{ .mount = "/etc", .kind = ERROR_CONFIG, .why = "would cover the sandbox's own /etc" },
		{ .mount = "//usr/.", .kind = ERROR_CONFIG, .why = "would cover the sandbox's own /usr" },
		{ .mount = "/proc", .kind = ERROR_CONFIG, .why = "lies in /proc" },
		{ .mount = "/proc/sys", .kind = ERROR_CONFIG, .why = "lies in /proc" },
		{ .mount = "/tmp/../proc/sys", .kind = ERROR_CONFIG, .why = "lies in /proc" },
		{ .mount = "/dev/shm", .kind = ERROR_CONFIG, .why = "lies in /dev" },
		{ .tmpfs = "/proc/1", .kind = ERROR_CONFIG, .why = "writable path \"/proc/1\" lies in /proc" },
		{ .home = "/", .kind = ERROR_CONFIG, .why = "HOME \"/\" would cover" },
		{ .home = "/home/a:b", .kind = ERROR_CONFIG, .why = "colon" },
		{ .home = "/home/a\nroot:x:0:0", .kind = ERROR_CONFIG, .why = "colon or a line break" },
		{ .variable = "", .kind = ERROR_CONFIG, .why = "cannot be the name of an environment variable" },
		{ .variable = "A=B", .kind = ERROR_CONFIG, .why = "\"A=B\" cannot be the name" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct npxc_error err = { 0 };
		struct runtime runtime;
		struct launch launch;
		struct runtime_start start = { .status_fd = -7 };

		plain_runtime(&runtime);
		plain_launch(&launch);
		launch.network = cases[i].network;
		launch.network_name = str_dup("lan");
		if (cases[i].mount != NULL)
			launch_add_mount(&launch, "/srv", cases[i].mount, true);
		if (cases[i].tmpfs != NULL)
			launch_add_tmpfs(&launch, cases[i].tmpfs, 4096, 0755);
		if (cases[i].home != NULL) {
			free(launch.home);
			launch.home = str_dup(cases[i].home);
		}
		if (cases[i].variable != NULL)
			launch_add_env(&launch, cases[i].variable, "value");
		if (cases[i].without == NO_FILTER)
			runtime.filter_bytes = 0;
		if (cases[i].without == NO_COMMAND)
			strv_done(&launch.command);
		if (cases[i].without == ROOT_INSIDE)
			runtime.uid = 0;
		if (cases[i].without == RELATIVE_SOURCE)
			launch_add_mount(&launch, "srv", "/srv", false);
		for (int mask = 0; cases[i].without == TOO_MANY_MASKS && mask <= LIMIT_SOCKET_MASKS; mask++)
			strv_push(&launch.masks, "/srv/s");
		if (bwrap_make_start(&runtime, &launch, &start, &err))
			fail_msg("case %zu was taken", i);
		assert_int_equal(err.kind, cases[i].kind);
		if (strstr(err.message, cases[i].why) == NULL)
			fail_msg("case %zu: \"%s\" does not hold \"%s\"", i, err.message, cases[i].why);
		assert_int_equal(start.status_fd, -7);
		launch_done(&launch);
		runtime_done(&runtime);
	}
}

/* ---- pure: the end ---- */

#define STARTED "{ \"child-pid\": 7, \"net-namespace\": 4026532627 }\n"

static void ends_of_a_server(void **state)
{
	static const struct {
		int exit_status, signal;
		const char *status, *errors;
		int expected;
	} cases[] = {
		{ 0, 0, STARTED "{ \"exit-code\": 0 }\n", "", 0 },
		{ 3, 0, STARTED "{ \"exit-code\": 3 }\n", "bwrap: said by the server", 3 },
		{ 137, 0, STARTED "{ \"exit-code\": 137 }\n", NULL, 137 },
		{ 1, 0, STARTED "{ \"later\": [] }\n{ \"exit-code\": 1 }\n{ \"cut", "", 1 },
		{ -1, 9, STARTED, "", 137 },
		{ -1, 9, STARTED "{ \"exit-code\": 0 }\n", "", 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct runtime runtime = { .kind = RUNTIME_BWRAP };
		struct npxc_error err = { 0 };
		int status = -5;

		if (!runtime_judge_end(&runtime, cases[i].exit_status, cases[i].signal, cases[i].status,
		                       cases[i].errors, &status, &err))
			fail_msg("case %zu: %s", i, err.message);
		assert_int_equal(status, cases[i].expected);
	}
}

static void ends_before_the_server(void **state)
{
	static const struct {
		int exit_status, signal;
		const char *status, *errors;
		enum npxc_error_kind kind;
		const char *why;
	} cases[] = {
		{ 1, 0, "",
		  "bwrap: No permissions to create new namespace, likely because the kernel does not allow "
		  "non-privileged "
		  "user namespaces. On e.g. debian this can be enabled with 'sysctl "
		  "kernel.unprivileged_userns_clone=1'.\n",
		  ERROR_RUNTIME_UNAVAILABLE, "kernel.unprivileged_userns_clone=1" },
		{ 1, 0, "", "bwrap: setting up uid map: Permission denied\n", ERROR_RUNTIME_UNAVAILABLE, "AppArmor" },
		{ 1, 0, STARTED, "bwrap: loopback: Failed RTM_NEWADDR: Operation not permitted\n",
		  ERROR_RUNTIME_UNAVAILABLE, "kernel.apparmor_restrict_unprivileged_userns=0" },
		{ 1, 0, "",
		  "bwrap: Creating new namespace failed: nesting depth or /proc/sys/user/max_*_namespaces exceeded "
		  "(ENOSPC)\n",
		  ERROR_RUNTIME_UNAVAILABLE, "user.max_user_namespaces" },
		{ 1, 0, "", "bwrap: Unknown option --disable-userns\n", ERROR_RUNTIME_UNAVAILABLE, "0.8.0" },
		{ 1, 0, STARTED, "bwrap: execvp no such: thing: No such file or directory\n", ERROR_RUNTIME,
		  "the command \"no such: thing\" cannot be run inside the sandbox: No such file or directory" },
		{ 1, 0, "", "noise\nbwrap: Can't find source path /srv/x: Permission denied", ERROR_RUNTIME,
		  "could not make the sandbox: Can't find source path /srv/x: Permission denied" },
		{ 1, 0, "", "bwrap: \x1b[2Jx\n", ERROR_RUNTIME, "\\x1b[2Jx" },
		{ 1, 0, "", "", ERROR_RUNTIME, "status 1 before the server started" },
		{ 0, 0, NULL, NULL, ERROR_RUNTIME, "status 0 before the server started" },
		{ 1, 0, "not JSON", NULL, ERROR_RUNTIME, "status 1 before" },
		{ -1, 9, "", "", ERROR_RUNTIME, "signal 9 before the server started" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct runtime runtime = { .kind = RUNTIME_BWRAP };
		struct npxc_error err = { 0 };
		int status = -5;

		if (runtime_judge_end(&runtime, cases[i].exit_status, cases[i].signal, cases[i].status, cases[i].errors,
		                      &status, &err))
			fail_msg("case %zu counts as the server's own end", i);
		assert_int_equal(err.kind, cases[i].kind);
		if (strstr(err.message, cases[i].why) == NULL)
			fail_msg("case %zu: \"%s\" does not hold \"%s\"", i, err.message, cases[i].why);
		assert_int_equal(status, -5);
	}
}

/* ---- real runs ---- */

static void assert_line(const char *text, const char *line)
{
	mem_cleanup char *all = str_printf("\n%s", text);
	mem_cleanup char *one = str_printf("\n%s\n", line);

	if (strstr(all, one) == NULL)
		fail_msg("no line \"%s\" in:\n%s", line, text);
}

/* Root's are dropped. An ordinary user cannot give up groups: they stay, and mean nothing but that user's own inside.
 */
static char *groups_inside(void)
{
	gid_t groups[1024];
	int count = geteuid() != 0 ? getgroups(1024, groups) : 0;
	char *line = str_dup("Groups:\t");

	assert_true(count >= 0);
	for (int i = 0; i < count; i++) {
		mem_cleanup char *before = line;

		line = str_printf("%s%s%u", before, i > 0 ? " " : "",
		                  groups[i] == getegid() ? (unsigned)groups[i] : 65534U);
	}
	{
		mem_cleanup char *before = line;

		line = str_printf("%s ", before);
	}
	return line;
}

static void has_no_privileges(void **state)
{
	mem_cleanup char *groups = groups_inside();
	mem_cleanup char *text = sandbox_shell("cat /proc/self/status; id -u; cat /proc/self/setgroups");
	mem_cleanup char *uid = str_printf("%u", geteuid() != 0 ? (unsigned)geteuid() : 1000U);

	(void)state;
	assert_line(text, "CapInh:\t0000000000000000");
	assert_line(text, "CapPrm:\t0000000000000000");
	assert_line(text, "CapEff:\t0000000000000000");
	assert_line(text, "CapBnd:\t0000000000000000");
	assert_line(text, "CapAmb:\t0000000000000000");
	assert_line(text, "NoNewPrivs:\t1");
	assert_line(text, "Seccomp:\t2");
	assert_line(text, groups);
	assert_line(text, uid);
}

static void writes_only_where_it_may(void **state)
{
	/* one line for each path: "yes" or "no" */
	mem_cleanup char *text = sandbox_shell(
	    "for p in / /usr /etc /dev /proc /proc/sys /home /bin/ /tmp /run /dev/shm \"$HOME\"; do\n"
	    "if (: >\"$p/npxc-probe\") 2>/dev/null; then echo \"$p yes\"; else echo \"$p no\"; fi; done\n"
	    "for p in kernel/core_pattern kernel/hostname net/ipv4/ip_forward user/max_user_namespaces; do\n"
	    "if (echo 1 >/proc/sys/$p) 2>/dev/null; then echo \"$p yes\"; else echo \"$p no\"; fi; done\n"
	    "grep ' /proc/sys ' /proc/mounts | cut -d' ' -f4 | cut -d, -f1");

	(void)state;
	assert_string_equal(text, "/ no\n/usr no\n/etc no\n/dev no\n/proc no\n/proc/sys no\n/home no\n/bin/ no\n"
	                          "/tmp yes\n/run yes\n/dev/shm yes\n/home/npxc yes\n"
	                          "kernel/core_pattern no\nkernel/hostname no\nnet/ipv4/ip_forward no\n"
	                          "user/max_user_namespaces no\nro\n");
}

static void every_tmpfs_has_a_size_or_is_read_only(void **state)
{
	mem_cleanup char *text = sandbox_shell(
	    "while read -r device path type options rest; do\n"
	    "[ $type = tmpfs ] || continue\n"
	    "case $options in ro,*) ;; *size=*) echo \"$path\" ${options##*size=} ;; *) echo \"$path: none\" ;; esac\n"
	    "done </proc/mounts | cut -d, -f1 | sort");

	(void)state;
	assert_string_equal(text, "/dev/shm 65536k\n/home/npxc 524288k\n/run 16384k\n/tmp 524288k\n");
}

static void sees_nothing_of_the_host(void **state)
{
	mem_cleanup char *text = sandbox_shell(
	    "for p in /etc/shadow /etc/ssh /root /var /sys /run/dbus /etc/machine-id; do\n"
	    "[ ! -e $p ] || echo \"$p is there\"; done\n"
	    "for p in /* /.[!.]*; do case $p in "
	    "/bin|/dev|/etc|/home|/lib|/lib32|/lib64|/libx32|/proc|/run|/sbin|/tmp|/usr) ;;\n"
	    "'/.[!.]*') ;; *) echo \"$p is there\" ;; esac; done\n"
	    "for p in /proc/[0-9]*; do read -r name <$p/comm; echo \"process $name\"; done\n"
	    "tail -n +3 /proc/net/dev | cut -d: -f1\n"
	    "cat /proc/sys/kernel/hostname; cat /etc/passwd | cut -d: -f1; cut -d: -f3 /proc/self/cgroup | sort -u\n"
	    "echo fds /proc/self/fd/*");

	(void)state;
	/* the shell's own */
	assert_string_equal(text, "process bwrap\nprocess first\nprocess sh\n    lo\nnpxc\nnpxc\nnobody\n/\n"
	                          "fds /proc/self/fd/0 /proc/self/fd/1 /proc/self/fd/2 /proc/self/fd/3\n");
}

static int compare_lines(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void has_exactly_the_wanted_environment(void **state)
{
	static const char *const command[] = { "/usr/bin/env" };
	static const char *const expected[] = {
		"EMPTY=",   "HOME=/home/npxc", "LANG=C.UTF-8",      "PATH=/x/bin:/usr/local/bin:/usr/bin:/bin",
		"PWD=/tmp", "TERM=dumb",       "TMPDIR=/elsewhere", "TOKEN=a=b \"c\"",
	};
	struct launch launch;
	struct sandbox_result result;
	struct strv lines = { 0 };

	(void)state;
	sandbox_launch(&launch, command, 1);
	free(launch.directory);
	launch.directory = str_dup("/tmp");
	launch.path_prefix = str_dup("/x/bin");
	launch.term = str_dup("dumb");
	launch_add_env(&launch, "TOKEN", "a=b \"c\"");
	launch_add_env(&launch, "EMPTY", "");
	launch_add_env(&launch, "TMPDIR", "/elsewhere");
	sandbox_run(&launch, &result);
	assert_int_equal(result.exit_status, 0);
	for (char *line = strtok(result.output.data, "\n"); line != NULL; line = strtok(NULL, "\n"))
		strv_push(&lines, line);
	qsort(lines.v, lines.count, sizeof(*lines.v), compare_lines);
	assert_int_equal(lines.count, sizeof(expected) / sizeof(expected[0]));
	for (size_t i = 0; i < lines.count; i++)
		assert_string_equal(lines.v[i], expected[i]);
	strv_done(&lines);
	sandbox_result_done(&result);
	launch_done(&launch);
}

static void node_finds_its_user(void **state)
{
	static const char *const command[] = {
		"node",
		"-e",
		"const os = require('os'), fs = require('fs'); const u = os.userInfo();"
		"fs.writeFileSync(os.homedir() + '/x', 'y'); fs.writeFileSync(os.tmpdir() + '/x', 'y');"
		"require('dns').lookup('localhost', (e, a) => console.log(os.homedir(), u.username, u.homedir, u.uid > "
		"0,"
		"os.tmpdir(), e ? e.code : require('net').isIP(a) > 0, process.cwd()))",
	};
	struct launch launch;
	struct sandbox_result result;

	(void)state;
	sandbox_launch(&launch, command, 3);
	sandbox_run(&launch, &result);
	if (result.exit_status != 0)
		fail_msg("%s", result.errors.data);
	assert_string_equal(result.output.data, "/home/npxc npxc /home/npxc true /tmp true /home/npxc\n");
	sandbox_result_done(&result);
	launch_done(&launch);
}

static void write_text(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static void mounts_lie_over_one_another_and_masks_over_all(void **state)
{
	static const char *const command[] = {
		"/bin/sh",
		"-c",
		"cat /home/npxc/p/in/secret.sock; echo \"[$(cat /home/npxc/p/in/file)]\"; "
		"(: >/home/npxc/p/new) 2>/dev/null && echo bad; : >/home/npxc/p/in/new && : >/home/npxc/p/cache/new; "
		"(: >/home/npxc/p/in/secret.sock) 2>/dev/null && echo bad; ls /home/npxc/p /home/npxc/p/in",
	};
	char directory[] = "/tmp/npxc-test-XXXXXX";
	mem_cleanup char *script = NULL;
	mem_cleanup char *inner = NULL;
	struct launch launch;
	struct sandbox_result result;

	(void)state;
	assert_non_null(mkdtemp(directory));
	assert_int_equal(chmod(directory, 0755), 0);
	inner = str_printf("%s/in", directory);
	assert_int_equal(mkdir(inner, 0700), 0);
	assert_int_equal(chmod(inner, 0777), 0);
	script = str_printf("%s/cache", directory);
	assert_int_equal(mkdir(script, 0755), 0);
	free(script);
	script = str_printf("%s/in/secret.sock", directory);
	write_text(script, "secret\n");
	free(script);
	script = str_printf("%s/in/file", directory);
	write_text(script, "content");

	sandbox_launch(&launch, command, 3);
	strv_push(&launch.masks, "/home/npxc/p/in/secret.sock");
	launch_add_tmpfs(&launch, "/home/npxc/p/cache", 4096, 0755);
	launch_add_mount(&launch, inner, "/home/npxc/p/in", true);
	launch_add_mount(&launch, directory, "/home/npxc/p", false);
	sandbox_run(&launch, &result);
	assert_int_equal(result.exit_status, 0);
	assert_string_equal(result.errors.data, "");
	assert_string_equal(result.output.data,
	                    "[content]\n/home/npxc/p:\ncache\nin\n\n/home/npxc/p/in:\nfile\nnew\nsecret.sock\n");
	sandbox_result_done(&result);
	launch_done(&launch);
	free(script);
	script = str_printf("rm -rf %s", directory);
	assert_int_equal(system(script), 0);
}

/* Any directory of /usr and any file of it stand for those that hold credentials. */
static void hidden_directories_and_files_are_empty(void **state)
{
	static const char *const command[] = { "/bin/sh", "-c",
		                               "echo $(ls /usr/share | wc -l) $(wc -c </usr/bin/env); "
		                               "(: >/usr/share/new) 2>/dev/null && echo bad; "
		                               "(: >/usr/bin/env) 2>/dev/null && echo bad; /usr/bin/env; echo $?" };
	struct npxc_error err = { 0 };
	struct launch launch;

	(void)state;
	sandbox_launch(&launch, command, 3);
	for (int hidden = 0; hidden < 2; hidden++) {
		struct runtime runtime;
		struct runtime_start start;
		struct sandbox_result result;

		sandbox_runtime(&runtime);
		if (hidden) {
			strv_push(&runtime.system_hidden, "/usr/share");
			strv_push(&runtime.system_masks, "/usr/bin/env");
		}
		if (!runtime_make_start(&runtime, &launch, &start, &err))
			fail_msg("%s", err.message);
		sandbox_run_start(&start, NULL, NULL, &result);
		if (hidden)
			assert_string_equal(result.output.data, "0 0\n126\n");
		else
			assert_true(result.output.data[0] > '0' && strstr(result.output.data, "\n0\n") != NULL);
		assert_null(strstr(result.output.data, "bad"));
		sandbox_result_done(&result);
		runtime_start_done(&start);
		runtime_done(&runtime);
	}
	launch_done(&launch);
}

static void judge_run(const char *const *command, size_t count, bool expected, int expected_status,
                      const char *expected_error)
{
	struct runtime runtime = { .kind = RUNTIME_BWRAP };
	struct npxc_error err = { 0 };
	struct launch launch;
	struct sandbox_result result;
	int status = -1;

	sandbox_launch(&launch, command, count);
	sandbox_run(&launch, &result);
	assert_int_equal(expected, runtime_judge_end(&runtime, result.exit_status, result.signal, result.status.data,
	                                             result.errors.data, &status, &err));
	if (expected)
		assert_int_equal(status, expected_status);
	else
		assert_string_equal(err.message, expected_error);
	sandbox_result_done(&result);
	launch_done(&launch);
}

static void real_ends_are_judged(void **state)
{
	static const char *const three[] = { "/bin/sh", "-c", "echo bwrap: execvp x >&2; exit 3" };
	static const char *const killed[] = { "/bin/sh", "-c", "kill -9 $$" };
	static const char *const missing[] = { "no-such-command" };

	(void)state;
	judge_run(three, 3, true, 3, NULL);
	judge_run(killed, 3, true, 137, NULL);
	judge_run(missing, 1, false, 0,
	          "the command \"no-such-command\" cannot be run inside the sandbox: No such file or directory");
}

static void doctor_finds_a_working_sandbox(void **state)
{
	struct runtime_findings findings;
	bool started = false;

	(void)state;
	runtime_examine(RUNTIME_BWRAP, NULL, "/usr/bin:/bin", "node:lts-slim", &findings);
	for (size_t i = 0; i < findings.count; i++) {
		assert_true(findings.v[i].ok || findings.v[i].fix != NULL); /* a note has one as well */
		if (strcmp(findings.v[i].what, "a sandbox with all its namespaces starts") == 0)
			started = findings.v[i].ok;
	}
	assert_true(started);
	runtime_findings_done(&findings);
	runtime_examine(RUNTIME_BWRAP, NULL, "/nowhere", "node:lts-slim", &findings);
	assert_int_equal(findings.count, 1);
	assert_false(findings.v[0].ok);
	assert_non_null(strstr(findings.v[0].fix, "bubblewrap"));
	runtime_findings_done(&findings);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_whole_argument_list),
		cmocka_unit_test(the_systems_credentials_are_hidden),
		cmocka_unit_test(hidden_directories_and_files_are_empty),
		cmocka_unit_test(judged_sources_are_bound_by_descriptor_or_compared),
		cmocka_unit_test(directories_are_pinned_under_a_cover),
		cmocka_unit_test(what_others_may_put_sockets_into_is_sealed),
		cmocka_unit_test(more_sources_than_descriptors_are_compared),
		cmocka_unit_test(the_programs_text_tells_whether_it_binds_descriptors),
		cmocka_unit_test(open_network_brings_the_hosts_names),
		cmocka_unit_test(root_drops_and_reaches_the_mounts),
		cmocka_unit_test(no_value_is_in_the_argument_list),
		cmocka_unit_test(starts_that_are_refused),
		cmocka_unit_test(ends_of_a_server),
		cmocka_unit_test(ends_before_the_server),
		cmocka_unit_test(has_no_privileges),
		cmocka_unit_test(writes_only_where_it_may),
		cmocka_unit_test(every_tmpfs_has_a_size_or_is_read_only),
		cmocka_unit_test(sees_nothing_of_the_host),
		cmocka_unit_test(has_exactly_the_wanted_environment),
		cmocka_unit_test(node_finds_its_user),
		cmocka_unit_test(mounts_lie_over_one_another_and_masks_over_all),
		cmocka_unit_test(real_ends_are_judged),
		cmocka_unit_test(doctor_finds_a_working_sandbox),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
