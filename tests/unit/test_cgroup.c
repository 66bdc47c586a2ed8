#include "sandbox_run.h"

#include "contain/cgroup.h"

#include <ftw.h>

/* ---- pure ---- */

#define V1_MOUNTS                                                                                       \
	"22 27 0:21 / /proc rw,relatime - proc proc rw\n"                                               \
	"31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n"                           \
	"32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct\n" \
	"34 31 0:31 / /sys/fs/cgroup/cpuset rw,relatime - cgroup cgroup rw,cpuset\n"                    \
	"35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:1 master:2 - cgroup cgroup rw,memory\n"  \
	"39 31 0:36 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids\n"                        \
	"40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd\n"             \
	"41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n"

#define V2_MOUNTS                                       \
	"24 30 0:22 / /proc rw,nosuid - proc proc rw\n" \
	"29 23 0:26 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"

static const struct {
	const char *what, *self, *mounts;
	enum cgroup_version version;
	const char *memory, *cpu, *pids, *own, *top;
} layouts[] = {
	{ "v2, systemd user session", "0::/user.slice/user-1000.slice/user@1000.service/app.slice/a.scope\n", V2_MOUNTS,
	  CGROUP_V2, NULL, NULL, NULL, "/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service/app.slice/a.scope",
	  "/sys/fs/cgroup" },
	{ "v2, the topmost group", "0::/\n", V2_MOUNTS, CGROUP_V2, NULL, NULL, NULL, "/sys/fs/cgroup",
	  "/sys/fs/cgroup" },
	{ "v2, a path with a colon", "0::/a:b\n", V2_MOUNTS, CGROUP_V2, NULL, NULL, NULL, "/sys/fs/cgroup/a:b",
	  "/sys/fs/cgroup" },
	{ "v2, a mount of a part", "0::/docker/1234/child\n",
	  "29 23 0:26 /docker/1234 /sys/fs/cgroup ro - cgroup2 cgroup rw\n", CGROUP_V2, NULL, NULL, NULL,
	  "/sys/fs/cgroup/child", "/sys/fs/cgroup" },
	{ "v2, npxc at the root of a mounted part", "0::/docker/1234\n",
	  "29 23 0:26 /docker/1234 /sys/fs/cgroup ro - cgroup2 cgroup rw\n", CGROUP_V2, NULL, NULL, NULL,
	  "/sys/fs/cgroup", "/sys/fs/cgroup" },
	{ "v2, a mount of another part only", "0::/docker/12345\n",
	  "29 23 0:26 /docker/1234 /sys/fs/cgroup ro - cgroup2 cgroup rw\n", CGROUP_NONE, NULL, NULL, NULL, NULL,
	  NULL },
	{ "v2, above the namespace's root", "0::/../other\n", V2_MOUNTS, CGROUP_NONE, NULL, NULL, NULL, NULL, NULL },
	{ "v2, a removed group", "0::/a (deleted)\n", V2_MOUNTS, CGROUP_NONE, NULL, NULL, NULL, NULL, NULL },
	{ "v2, blanks in the mount point", "0::/x\n", "29 23 0:26 / /mnt/a\\040b\\134c rw - cgroup2 none rw\n",
	  CGROUP_V2, NULL, NULL, NULL, "/mnt/a b\\c/x", "/mnt/a b\\c" },
	{ "v2, not mounted", "0::/x\n", "22 27 0:21 / /proc rw,relatime - proc proc rw\n", CGROUP_NONE, NULL, NULL,
	  NULL, NULL, NULL },
	{ "hybrid, groups of its own in one hierarchy",
	  "9:name=systemd:/\n8:pids:/\n5:devices:/\n4:memory:/process_api/c422\n3:cpuset:/\n1:cpu,cpuacct:/\n0::/\n",
	  V1_MOUNTS, CGROUP_V1, "/sys/fs/cgroup/memory/process_api/c422", "/sys/fs/cgroup/cpu,cpuacct",
	  "/sys/fs/cgroup/pids", NULL, NULL },
	{ "v1, everything in one hierarchy", "2:cpu,memory,pids:/a/b\n",
	  "35 31 0:32 / /cg rw - cgroup none rw,cpu,memory,pids\n", CGROUP_V1, "/cg/a/b", "/cg/a/b", "/cg/a/b", NULL,
	  NULL },
	{ "v1, memory turned off", "8:pids:/p\n1:cpu,cpuacct:/c\n0::/\n", V1_MOUNTS, CGROUP_V1, NULL,
	  "/sys/fs/cgroup/cpu,cpuacct/c", "/sys/fs/cgroup/pids/p", NULL, NULL },
	{ "v1, cpuset is not cpu, a named hierarchy is none", "3:cpuset:/s\n9:name=memory:/m\n0::/x\n", V1_MOUNTS,
	  CGROUP_V2, NULL, NULL, NULL, "/sys/fs/cgroup/unified/x", "/sys/fs/cgroup/unified" },
	{ "v1, a container that does not see its own place", "4:memory:/docker/1\n",
	  "35 31 0:32 /docker/2 /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n", CGROUP_V1, NULL, NULL, NULL,
	  NULL, NULL },
	{ "nothing", "", "", CGROUP_NONE, NULL, NULL, NULL, NULL, NULL },
	{ "broken lines", "4:memory\nmemory\n::\n0:\n", "1 2 3\n - \n1 2 3 4 5 6 - cgroup2\n- - -\n", CGROUP_NONE, NULL,
	  NULL, NULL, NULL, NULL },
};

static void places_are_read_from_proc(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(layouts) / sizeof(layouts[0]); i++) {
		struct cgroup_layout layout;

		cgroup_layout_parse(layouts[i].self, layouts[i].mounts, &layout);
		if (layout.version != layouts[i].version || !str_equal(layout.memory, layouts[i].memory) ||
		    !str_equal(layout.cpu, layouts[i].cpu) || !str_equal(layout.pids, layouts[i].pids) ||
		    !str_equal(layout.own, layouts[i].own) || !str_equal(layout.top, layouts[i].top))
			fail_msg("%s: version %d, memory %s, cpu %s, pids %s, own %s, top %s", layouts[i].what,
			         (int)layout.version, layout.memory, layout.cpu, layout.pids, layout.own, layout.top);
		cgroup_layout_done(&layout);
	}
}

static void counters_are_read_by_their_names(void **state)
{
	static const struct {
		const char *text, *word;
		uint64_t number;
	} cases[] = {
		{ "low 0\nhigh 0\nmax 7\noom 2\noom_kill 1\noom_group_kill 0\n", "oom_kill", 1 },
		{ "oom_kill_disable 0\nunder_oom 0\noom_kill 3", "oom_kill", 3 },
		{ "max 12", "max", 12 },
		{ "oom_kill_disable 5", "oom_kill", 0 },
		{ "oom_kill", "oom_kill", 0 },
		{ "oom_kill -1", "oom_kill", 0 },
		{ "oom_kill x", "oom_kill", 0 },
		{ "", "max", 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(cgroup_counter(cases[i].text, cases[i].word), cases[i].number);
}

static void texts_say_what_holds(void **state)
{
	static const struct {
		bool memory, cpu, pids;
		const char *reason;
		struct cgroup_limits limits;
		const char *text;
	} cases[] = {
		{ true, true, true, NULL, { 512 * MIB, 1000, 512 }, "memory 512 MiB, cpus 1, pids 512" },
		{ true, true, true, NULL, { 1536 * KIB, 1500, 1 }, "memory 1536 KiB, cpus 1.5, pids 1" },
		{ true, true, true, NULL, { 1000, 250, 1 }, "memory 1000 bytes, cpus 0.25, pids 1" },
		{ false,
		  false,
		  false,
		  "no root",
		  { MIB, 1000, 9 },
		  "memory: not enforced (no root), cpus: not enforced, pids: not enforced" },
		{ true, false, true, "no cpu", { MIB, 1000, 9 }, "memory 1 MiB, cpus: not enforced (no cpu), pids 9" },
		{ false, false, true, NULL, { 0, 1000, 9 }, "memory: no limit, cpus: not enforced, pids 9" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct cgroup_plan plan = { .memory = cases[i].memory, .cpu = cases[i].cpu, .pids = cases[i].pids };
		mem_cleanup char *text = NULL;

		plan.reason = str_dup(cases[i].reason);
		text = cgroup_text(&plan, &cases[i].limits);
		assert_string_equal(text, cases[i].text);
		cgroup_plan_done(&plan);
	}
}

/* ---- v2, on directories that look like the kernel's ---- */

struct fake {
	char top[32];
};

static void fake_file(const struct fake *fake, const char *group, const char *name, const char *text)
{
	mem_cleanup char *path = str_printf("%s%s/%s", fake->top, group, name);
	FILE *file;

	if (text == NULL)
		return;
	file = fopen(path, "w");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static void fake_group(const struct fake *fake, const char *group, const char *type, const char *controllers,
                       const char *enabled, const char *processes)
{
	mem_cleanup char *path = str_printf("%s%s", fake->top, group);

	assert_true(mkdir(path, 0755) == 0 || errno == EEXIST);
	fake_file(fake, group, "cgroup.type", type);
	fake_file(fake, group, "cgroup.controllers", controllers);
	fake_file(fake, group, "cgroup.subtree_control", enabled);
	fake_file(fake, group, "cgroup.procs", processes);
}

static int remove_entry(const char *path, const struct stat *info, int flag, struct FTW *ftw)
{
	(void)info;
	(void)flag;
	(void)ftw;
	return remove(path);
}

static void v2_takes_the_nearest_ancestor_that_can_be_divided(void **state)
{
#define ALL "cpuset cpu io memory pids\n"
	static const struct {
		const char *what;
		/* of the top, of /slice, of /slice/own, where npxc is */
		struct {
			const char *type, *controllers, *enabled, *processes;
		} top, slice, own;
		const char *parent; /* NULL: none */
		bool memory, cpu, pids;
		const char *reason;
	} cases[] = {
		{ "an empty slice can be made to hand down what it has",
		  { NULL, ALL, ALL, "1\n" },
		  { "domain", ALL, "", "" },
		  { "domain", ALL, "", "77\n" },
		  "/slice",
		  true,
		  true,
		  true,
		  NULL },
		{ "what is handed down already needs no change",
		  { NULL, ALL, ALL, "" },
		  { "domain", ALL, "memory pids cpu\n", "" },
		  { "domain", "memory pids cpu\n", "", "77\n" },
		  "/slice",
		  true,
		  true,
		  true,
		  NULL },
		{ "a slice without cpu",
		  { NULL, ALL, ALL, "" },
		  { "domain", "memory pids\n", "memory\n", "" },
		  { "domain", "memory\n", "", "77\n" },
		  "/slice",
		  true,
		  false,
		  true,
		  "does not hand down all" },
		{ "cpuset is not cpu",
		  { NULL, ALL, ALL, "" },
		  { "domain", "cpuset memory pids\n", "", "" },
		  { "domain", "", "", "77\n" },
		  "/slice",
		  true,
		  false,
		  true,
		  "does not hand down all" },
		{ "a slice with processes is passed over, the topmost group may have some",
		  { NULL, ALL, "", "1\n2\n" },
		  { "domain", ALL, "", "55\n" },
		  { "domain", ALL, "", "77\n" },
		  "",
		  true,
		  true,
		  true,
		  NULL },
		{ "a threaded slice is passed over",
		  { NULL, ALL, ALL, "" },
		  { "domain threaded", ALL, "pids\n", "" },
		  { "threaded", ALL, "", "77\n" },
		  "",
		  true,
		  true,
		  true,
		  NULL },
		{ "nothing but groups with processes: a container's own namespace",
		  { "domain", ALL, "", "1\n" },
		  { "domain", "", "", "55\n" },
		  { "domain", "", "", "77\n" },
		  NULL,
		  false,
		  false,
		  false,
		  "may be divided" },
		{ "files that are missing refuse",
		  { NULL, ALL, NULL, "" },
		  { "domain", ALL, "", NULL },
		  { "domain", ALL, "", "77\n" },
		  NULL,
		  false,
		  false,
		  false,
		  "may be divided" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fake fake = { .top = "/tmp/npxc-test-XXXXXX" };
		struct cgroup_layout layout = { .version = CGROUP_V2 };
		struct cgroup_plan plan;
		mem_cleanup char *expected = NULL;

		assert_non_null(mkdtemp(fake.top));
		fake_group(&fake, "", cases[i].top.type, cases[i].top.controllers, cases[i].top.enabled,
		           cases[i].top.processes);
		fake_group(&fake, "/slice", cases[i].slice.type, cases[i].slice.controllers, cases[i].slice.enabled,
		           cases[i].slice.processes);
		fake_group(&fake, "/slice/own", cases[i].own.type, cases[i].own.controllers, cases[i].own.enabled,
		           cases[i].own.processes);
		layout.top = str_dup(fake.top);
		layout.own = str_printf("%s/slice/own", fake.top);
		cgroup_plan_within(&layout, "npxc-x", &plan);
		if (cases[i].parent != NULL)
			expected = str_printf("%s%s/npxc-x", fake.top, cases[i].parent);
		if (plan.directories.count != (expected != NULL) ||
		    (expected != NULL && !str_equal(plan.directories.v[0], expected)))
			fail_msg("%s: %s", cases[i].what, plan.directories.count > 0 ? plan.directories.v[0] : "none");
		if (plan.memory != cases[i].memory || plan.cpu != cases[i].cpu || plan.pids != cases[i].pids)
			fail_msg("%s: memory %d, cpu %d, pids %d", cases[i].what, plan.memory, plan.cpu, plan.pids);
		assert_int_equal(plan.version, expected != NULL ? CGROUP_V2 : CGROUP_NONE);
		if (cases[i].reason == NULL)
			assert_null(plan.reason);
		else
			assert_non_null(strstr(plan.reason, cases[i].reason));
		cgroup_plan_done(&plan);
		cgroup_layout_done(&layout);
		assert_int_equal(nftw(fake.top, remove_entry, 8, FTW_DEPTH | FTW_PHYS), 0);
	}
}

/* ---- for real ---- */

struct limited {
	struct cgroup_plan plan;
	int fds[4];
	size_t fd_count;
};

static void make_group(struct limited *group, const struct cgroup_limits *limits)
{
	struct npxc_error err = { 0 };
	mem_cleanup char *name = str_printf("npxc-test-%d", (int)getpid());

	cgroup_plan_make(name, &group->plan);
	if (!cgroup_make(&group->plan, limits, group->fds, &group->fd_count, &err))
		fail_msg("%s", err.message);
	assert_int_equal(group->fd_count, group->plan.directories.count);
}

static void remove_group(struct limited *group)
{
	for (size_t i = 0; i < group->fd_count; i++)
		close(group->fds[i]);
	for (size_t i = 0; i < group->plan.directories.count; i++) {
		struct npxc_error err = { 0 };

		if (!cgroup_remove(group->plan.directories.v[i], &err))
			fail_msg("%s", err.message);
		assert_int_equal(access(group->plan.directories.v[i], F_OK), -1);
		assert_true(cgroup_remove(group->plan.directories.v[i], &err));
	}
	cgroup_plan_done(&group->plan);
}

static void join(void *context)
{
	const struct limited *group = context;

	for (size_t i = 0; i < group->fd_count; i++)
		sandbox_must(write(group->fds[i], "0", 1) == 1, "join a cgroup");
}

static int status_in_group(const char *script, struct limited *group)
{
	const char *const command[] = { "/bin/sh", "-c", script };
	struct npxc_error err = { 0 };
	struct runtime runtime;
	struct launch launch;
	struct runtime_start start;
	struct sandbox_result result;
	int status = -1;

	sandbox_runtime(&runtime);
	sandbox_launch(&launch, command, 3);
	if (!runtime_make_start(&runtime, &launch, &start, &err))
		fail_msg("%s", err.message);
	sandbox_run_start(&start, group != NULL ? join : NULL, group, &result);
	if (!runtime_judge_end(&runtime, result.exit_status, result.signal, result.status.data, result.errors.data,
	                       &status, &err))
		fail_msg("%s", err.message);
	sandbox_result_done(&result);
	runtime_start_done(&start);
	launch_done(&launch);
	runtime_done(&runtime);
	return status;
}

/* 160 MB without a line break, all of which `tail` has to keep. */
static const char eats_memory[] = "head -c 160000000 /dev/zero | tail -n 1 >/dev/null";
/* The shell itself, then 40 that wait for one another's end. */
static const char makes_processes[] = "i=0; while [ $i -lt 40 ]; do sleep 30 & i=$((i + 1)); done 2>/dev/null; "
                                      "[ $(ls -d /proc/[0-9]* | wc -l) -ge 40 ]; s=$?; kill $(jobs -p); exit $s";

static void limits_hold_where_the_plan_says_so(void **state)
{
	const struct cgroup_limits limits = { .memory_bytes = 64 * MIB, .cpu_millis = 500, .pids = 24 };
	struct limited group;
	mem_cleanup char *text = NULL;

	(void)state;
	make_group(&group, &limits);
	text = cgroup_text(&group.plan, &limits);
	print_message("%s\n", text);
	if (group.plan.memory)
		assert_int_equal(status_in_group(eats_memory, &group), 128 + SIGKILL);
	else
		assert_non_null(strstr(text, "memory: not enforced ("));
	if (group.plan.pids)
		assert_int_not_equal(status_in_group(makes_processes, &group), 0);
	else
		assert_non_null(strstr(text, "pids: not enforced"));
	remove_group(&group);
	/* ... and the same is taken without them */
	assert_int_equal(status_in_group(eats_memory, NULL), 0);
	assert_int_equal(status_in_group(makes_processes, NULL), 0);
}

/* A build machine where root can limit nothing would make the test above say nothing. */
static void root_can_limit_memory_here(void **state)
{
	const struct cgroup_limits limits = { .memory_bytes = 64 * MIB, .cpu_millis = 1000, .pids = 512 };
	struct limited group;
	mem_cleanup char *reason = NULL;

	(void)state;
	if (geteuid() != 0 || getenv("NPXC_TEST_NO_CGROUP") != NULL)
		skip();
	make_group(&group, &limits);
	reason = str_dup(group.plan.memory ? NULL : group.plan.reason);
	remove_group(&group);
	if (reason != NULL)
		fail_msg("%s; set NPXC_TEST_NO_CGROUP=1 if that is so on this machine", reason);
}

static void limits_that_are_not_wanted_are_not_set(void **state)
{
	const struct cgroup_limits limits = { 0 };
	struct limited group;
	mem_cleanup char *text = NULL;

	(void)state;
	make_group(&group, &limits);
	assert_int_equal(group.fd_count, 0);
	text = cgroup_text(&group.plan, &limits);
	assert_string_equal(text, "memory: no limit, cpus: no limit, pids: no limit");
	remove_group(&group);
}

static void a_group_that_is_there_already_is_left_alone(void **state)
{
	const struct cgroup_limits limits = { .memory_bytes = 64 * MIB, .cpu_millis = 1000, .pids = 512 };
	struct limited first;
	struct limited second;

	(void)state;
	make_group(&first, &limits);
	make_group(&second, &limits);
	assert_int_equal(second.fd_count, 0);
	assert_false(second.plan.memory || second.plan.cpu || second.plan.pids);
	assert_non_null(second.plan.reason);
	remove_group(&second);
	for (size_t i = 0; i < first.plan.directories.count; i++)
		assert_int_equal(access(first.plan.directories.v[i], F_OK), 0);
	remove_group(&first);
}

static void removal_ends_what_still_runs(void **state)
{
	const struct cgroup_limits limits = { .memory_bytes = 64 * MIB, .cpu_millis = 1000, .pids = 512 };
	struct limited group;
	int ready[2];
	int ended;
	char byte;
	pid_t pid;

	(void)state;
	make_group(&group, &limits);
	if (group.fd_count == 0) {
		remove_group(&group);
		skip(); /* this user can make no group: the text about it is what the tests above look at */
	}
	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (pid == 0) {
		join(&group);
		sandbox_must(write(ready[1], "r", 1) == 1, "report");
		for (;;)
			pause();
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	remove_group(&group);
	assert_int_equal(waitpid(pid, &ended, 0), pid);
	assert_true(WIFSIGNALED(ended) && WTERMSIG(ended) == SIGKILL);
	close(ready[0]);
	close(ready[1]);
}

static void only_our_groups_are_removed(void **state)
{
	static const char *const refused[] = { "/sys/fs/cgroup", "/proc", "/tmp", "/proc/self/../npxc-x/.." };
	char directory[] = "/tmp/npxc-test-XXXXXX";
	struct npxc_error err = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		if (access(refused[i], F_OK) == 0)
			assert_false(cgroup_remove(refused[i], &err));
	}
	assert_non_null(mkdtemp(directory)); /* the right name, but no cgroup */
	assert_false(cgroup_remove(directory, &err));
	assert_int_equal(err.kind, ERROR_IO);
	assert_int_equal(rmdir(directory), 0);
	assert_true(cgroup_remove("/sys/fs/cgroup/npxc-was-never-there", &err));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(places_are_read_from_proc),
		cmocka_unit_test(counters_are_read_by_their_names),
		cmocka_unit_test(texts_say_what_holds),
		cmocka_unit_test(v2_takes_the_nearest_ancestor_that_can_be_divided),
		cmocka_unit_test(limits_hold_where_the_plan_says_so),
		cmocka_unit_test(root_can_limit_memory_here),
		cmocka_unit_test(limits_that_are_not_wanted_are_not_set),
		cmocka_unit_test(a_group_that_is_there_already_is_left_alone),
		cmocka_unit_test(removal_ends_what_still_runs),
		cmocka_unit_test(only_our_groups_are_removed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
