#include "contain/cgroup.h"

#include "base/limits.h"
#include "base/mem.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Adds to the reason, a clause per cause. */
static void add_reason(struct cgroup_plan *plan, char *owned)
{
	char *before = plan->reason;

	if (before == NULL) {
		plan->reason = owned;
		return;
	}
	if (strstr(before, owned) == NULL)
		plan->reason = str_printf("%s; %s", before, owned);
	else
		before = NULL;
	free(before);
	free(owned);
}

void cgroup_plan_done(struct cgroup_plan *plan)
{
	strv_done(&plan->directories);
	free(plan->reason);
	*plan = (struct cgroup_plan){ .version = CGROUP_NONE };
}

static char *bytes_text(uint64_t bytes)
{
	if (bytes % MIB == 0)
		return str_printf("%" PRIu64 " MiB", bytes / MIB);
	if (bytes % KIB == 0)
		return str_printf("%" PRIu64 " KiB", bytes / KIB);
	return str_printf("%" PRIu64 " bytes", bytes);
}

/* "memory 512 MiB", "memory: no limit" or "memory: not enforced (why)"; the reason stands at the first that misses. */
static char *limit_text(const char *name, bool holds, bool wanted, const char *value, const char **reason)
{
	const char *why = *reason;

	if (!wanted)
		return str_printf("%s: no limit", name);
	if (holds)
		return str_printf("%s %s", name, value);
	*reason = NULL;
	return why != NULL ? str_printf("%s: not enforced (%s)", name, why) : str_printf("%s: not enforced", name);
}

char *cgroup_text(const struct cgroup_plan *plan, const struct cgroup_limits *limits)
{
	const char *reason = plan->reason;
	mem_cleanup char *size = bytes_text(limits->memory_bytes);
	mem_cleanup char *processors = str_printf("%g", limits->cpu_millis / 1000.0);
	mem_cleanup char *processes = str_printf("%u", limits->pids);
	mem_cleanup char *memory = limit_text("memory", plan->memory, limits->memory_bytes != 0, size, &reason);
	mem_cleanup char *cpu = limit_text("cpus", plan->cpu, limits->cpu_millis != 0, processors, &reason);
	mem_cleanup char *pids = limit_text("pids", plan->pids, limits->pids != 0, processes, &reason);

	return str_printf("%s, %s, %s", memory, cpu, pids);
}

uint64_t cgroup_counter(const char *text, const char *word)
{
	const size_t length = strlen(word);
	uint64_t number;

	for (const char *line = text; line != NULL; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (!str_starts(line, word) || line[length] != ' ')
			continue;
		mem_cleanup char *digits = str_dup_n(line + length + 1, strspn(line + length + 1, "0123456789"));
		return str_to_u64(digits, UINT64_MAX, &number) ? number : 0;
	}
	return 0;
}

#ifdef __linux__

#include "base/buf.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

/* bytes: what the kernel tells about mounts and groups; a machine with thousands of mounts stays below. */
enum { PROC_TEXT_MAX = 8 * 1024 * 1024 };

/* ---- the plan ---- */

/* A kernel file's text, trimmed, owned; "" when it cannot be read. */
static char *read_text(const char *directory, const char *name)
{
	mem_cleanup char *path = str_printf("%s/%s", directory, name);
	struct buf text BUF_CLEANUP = BUF_INIT(PROC_TEXT_MAX);
	struct npxc_error ignored = { 0 };

	if (!file_read(path, &text, &ignored) || text.data == NULL)
		return str_dup("");
	return str_dup(str_trim(text.data));
}

static bool is_writable(const char *directory, const char *name)
{
	mem_cleanup char *path = str_printf("%s/%s", directory, name);

	return faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) == 0;
}

static bool is_there(const char *directory, const char *name)
{
	mem_cleanup char *path = str_printf("%s/%s", directory, name);

	return access(path, F_OK) == 0;
}

static void plan_v1_directory(struct cgroup_plan *plan, const char *parent, const char *name, bool *holds)
{
	mem_cleanup char *directory = NULL;

	if (parent == NULL || !is_writable(parent, "."))
		return;
	directory = str_printf("%s/%s", parent, name);
	if (!strv_contains(&plan->directories, directory))
		strv_push(&plan->directories, directory);
	*holds = true;
}

static void plan_v1(struct cgroup_plan *plan, const struct cgroup_layout *layout, const char *name)
{
	if (geteuid() != 0) {
		add_reason(plan, str_dup("cgroup v1 limits can be set by root only"));
		return;
	}
	plan_v1_directory(plan, layout->memory, name, &plan->memory);
	plan_v1_directory(plan, layout->cpu, name, &plan->cpu);
	plan_v1_directory(plan, layout->pids, name, &plan->pids);
	if (!plan->memory || !plan->cpu || !plan->pids)
		add_reason(plan, str_dup("this system's cgroup v1 hierarchies are not all mounted writable"));
}

static bool has_word(const char *list, const char *word)
{
	size_t n = strlen(word);

	for (const char *p = list; *p != '\0';) {
		size_t length = strcspn(p, " \n");

		if (length == n && strncmp(p, word, n) == 0)
			return true;
		p += length;
		p += strspn(p, " \n");
	}
	return false;
}

/* The parent of a v2 group: which controllers its children have, and which they could be given. */
struct parent {
	bool memory, cpu, pids;
};

static bool look_at_parent(const char *directory, struct parent *ret_parent)
{
	mem_cleanup char *available = read_text(directory, "cgroup.controllers");
	mem_cleanup char *enabled = read_text(directory, "cgroup.subtree_control");
	mem_cleanup char *type = read_text(directory, "cgroup.type"); /* the topmost group has none */
	mem_cleanup char *processes = read_text(directory, "cgroup.procs");
	bool can_enable = type[0] == '\0' || processes[0] == '\0';
	const char *list = can_enable ? available : enabled;

	if (!is_writable(directory, ".") || !is_writable(directory, "cgroup.procs") ||
	    !is_writable(directory, "cgroup.subtree_control"))
		return false;
	if (type[0] != '\0' && strcmp(type, "domain") != 0)
		return false; /* a threaded group takes no such children */
	*ret_parent = (struct parent){ .memory = has_word(list, "memory"),
		                       .cpu = has_word(list, "cpu"),
		                       .pids = has_word(list, "pids") };
	return ret_parent->memory || ret_parent->cpu || ret_parent->pids;
}

static void plan_v2(struct cgroup_plan *plan, const struct cgroup_layout *layout, const char *name)
{
	mem_cleanup char *directory = str_dup(layout->own);
	struct parent parent;

	while (!look_at_parent(directory, &parent)) {
		char *above;

		if (strcmp(directory, layout->top) == 0 || strcmp(directory, "/") == 0) {
			add_reason(plan, str_dup("no cgroup above npxc may be divided by this user; a systemd user "
			                         "session delegates one"));
			return;
		}
		above = str_path_join(directory, "..");
		free(directory);
		directory = above;
	}
	strv_pushf(&plan->directories, "%s/%s", directory, name);
	plan->memory = parent.memory;
	plan->cpu = parent.cpu;
	plan->pids = parent.pids;
	if (!plan->memory || !plan->cpu || !plan->pids)
		add_reason(plan, str_printf("%s does not hand down all of memory, cpu and pids", directory));
}

void cgroup_plan_within(const struct cgroup_layout *layout, const char *name, struct cgroup_plan *ret_plan)
{
	struct cgroup_plan plan = { .version = CGROUP_NONE };

	switch (layout->version) {
	case CGROUP_V1:
		plan_v1(&plan, layout, name);
		break;
	case CGROUP_V2:
		plan_v2(&plan, layout, name);
		break;
	case CGROUP_NONE:
		add_reason(&plan, str_dup("no cgroup hierarchy is mounted here"));
		break;
	}
	if (plan.directories.count > 0)
		plan.version = layout->version;
	*ret_plan = plan;
}

void cgroup_plan_make(const char *name, struct cgroup_plan *ret_plan)
{
	struct cgroup_layout layout;
	mem_cleanup char *self = read_text("/proc/self", "cgroup");
	mem_cleanup char *mounts = read_text("/proc/self", "mountinfo");

	cgroup_layout_parse(self, mounts, &layout);
	cgroup_plan_within(&layout, name, ret_plan);
	cgroup_layout_done(&layout);
}

/* ---- making ---- */

static bool write_text(const char *directory, const char *name, const char *text)
{
	mem_cleanup char *path = str_printf("%s/%s", directory, name);

	return file_write_setting(path, text);
}

static bool write_number(const char *directory, const char *name, uint64_t number)
{
	mem_cleanup char *text = str_printf("%" PRIu64, number);

	return write_text(directory, name, text);
}

/* microseconds: the period in which a share of processor time is given, the kernel's own default. */
enum { CPU_PERIOD_US = 100000 };

static bool set_memory(const char *directory, enum cgroup_version version, const struct cgroup_limits *limits)
{
	if (version == CGROUP_V2)
		return write_number(directory, "memory.max", limits->memory_bytes) &&
		       (!is_there(directory, "memory.swap.max") || write_text(directory, "memory.swap.max", "0"));
	/* memsw counts memory and swap together and may not be below the first. */
	return write_number(directory, "memory.limit_in_bytes", limits->memory_bytes) &&
	       (!is_there(directory, "memory.memsw.limit_in_bytes") ||
	        write_number(directory, "memory.memsw.limit_in_bytes", limits->memory_bytes));
}

static bool set_cpu(const char *directory, enum cgroup_version version, const struct cgroup_limits *limits)
{
	uint64_t quota = (uint64_t)limits->cpu_millis * CPU_PERIOD_US / 1000;

	if (version == CGROUP_V2) {
		mem_cleanup char *text = str_printf("%" PRIu64 " %d", quota, CPU_PERIOD_US);

		return write_text(directory, "cpu.max", text);
	}
	return write_number(directory, "cpu.cfs_period_us", CPU_PERIOD_US) &&
	       write_number(directory, "cpu.cfs_quota_us", quota);
}

static bool set_pids(const char *directory, enum cgroup_version version, const struct cgroup_limits *limits)
{
	(void)version;
	return write_number(directory, "pids.max", limits->pids);
}

struct limit {
	const char *controller;
	const char *v1_file, *v2_file; /* by which a directory is known to have the controller */
	bool (*set)(const char *directory, enum cgroup_version version, const struct cgroup_limits *limits);
	bool wanted;
	bool *holds; /* in the plan */
	bool done;
};

/* v2: a child has only the controllers that its parent hands down. */
static void hand_down(const char *directory, const struct limit *limits, size_t count)
{
	mem_cleanup char *parent = str_path_join(directory, "..");
	mem_cleanup char *enabled = read_text(parent, "cgroup.subtree_control");

	for (size_t i = 0; i < count; i++) {
		mem_cleanup char *word = str_printf("+%s", limits[i].controller);

		/* A refusal shows itself when the limit is set: its file is missing then. */
		if (limits[i].wanted && *limits[i].holds && !has_word(enabled, limits[i].controller))
			(void)!write_text(parent, "cgroup.subtree_control", word);
	}
}

/* Sets on `directory` what it can set; true when the directory serves a purpose. */
static bool set_limits(struct cgroup_plan *plan, const char *directory, const struct cgroup_limits *values,
                       struct limit *limits, size_t count)
{
	bool useful = false;

	for (size_t i = 0; i < count; i++) {
		struct limit *limit = &limits[i];

		if (!limit->wanted || !*limit->holds || limit->done ||
		    !is_there(directory, plan->version == CGROUP_V2 ? limit->v2_file : limit->v1_file))
			continue;
		limit->done = limit->set(directory, plan->version, values);
		if (!limit->done)
			add_reason(plan, str_printf("the kernel does not take a %s limit in %s: %s", limit->controller,
			                            directory, strerror(errno)));
		useful = useful || limit->done;
	}
	return useful;
}

static bool open_procs(const char *directory, int *ret_fd)
{
	mem_cleanup char *path = str_printf("%s/cgroup.procs", directory);
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd == -1)
		return false;
	*ret_fd = fd;
	return true;
}

bool cgroup_make(struct cgroup_plan *plan, const struct cgroup_limits *values, int ret_fds[static 4],
                 size_t *ret_fd_count, struct npxc_error *err)
{
	struct limit limits[] = {
		{ "memory", "memory.limit_in_bytes", "memory.max", set_memory, values->memory_bytes != 0, &plan->memory,
		  false },
		{ "cpu", "cpu.cfs_quota_us", "cpu.max", set_cpu, values->cpu_millis != 0, &plan->cpu, false },
		{ "pids", "pids.max", "pids.max", set_pids, values->pids != 0, &plan->pids, false },
	};
	const size_t count = sizeof(limits) / sizeof(limits[0]);
	struct strv standing = { 0 };
	int fds[4] = { -1, -1, -1, -1 };
	const char *stuck = NULL;

	for (size_t i = 0; i < plan->directories.count && standing.count < 4 && stuck == NULL; i++) {
		const char *directory = plan->directories.v[i];

		if (plan->version == CGROUP_V2)
			hand_down(directory, limits, count);
		/* One that is there already is not ours: its processes would be limited, and killed at the end. */
		if (mkdir(directory, 0755) == -1) {
			add_reason(plan, str_printf("%s cannot be made: %s", directory, strerror(errno)));
			continue;
		}
		if (open_procs(directory, &fds[standing.count]) && set_limits(plan, directory, values, limits, count)) {
			strv_push(&standing, directory);
			continue;
		}
		fd_close(&fds[standing.count]);
		if (rmdir(directory) == -1)
			stuck = directory;
	}
	if (stuck != NULL) {
		for (size_t i = 0; i < 4; i++)
			fd_close(&fds[i]);
		strv_done(&standing);
		return error_set_errno(err, ERROR_IO, "remove the cgroup %s", stuck);
	}
	for (size_t i = 0; i < count; i++) {
		if (limits[i].wanted && *limits[i].holds && !limits[i].done)
			add_reason(plan, str_printf("the cgroup has no %s controller", limits[i].controller));
		*limits[i].holds = limits[i].done;
	}
	strv_done(&plan->directories);
	plan->directories = standing;
	memcpy(ret_fds, fds, sizeof(fds));
	*ret_fd_count = plan->directories.count;
	return true;
}

static uint64_t counter_in(const char *directory, const char *file, const char *word)
{
	mem_cleanup char *text = read_text(directory, file);

	return cgroup_counter(text, word);
}

struct cgroup_reached cgroup_reached(const struct cgroup_plan *plan)
{
	/* v1 has the count of kills among what controls them since Linux 4.13. */
	const char *memory = plan->version == CGROUP_V1 ? "memory.oom_control" : "memory.events";
	struct cgroup_reached reached = { 0 };

	for (size_t i = 0; i < plan->directories.count; i++) {
		reached.killed += counter_in(plan->directories.v[i], memory, "oom_kill");
		reached.unforked += counter_in(plan->directories.v[i], "pids.events", "max");
	}
	return reached;
}

bool cgroup_add(const int *fds, size_t count, pid_t pid, struct npxc_error *err)
{
	mem_cleanup char *number = str_printf("%ld", (long)pid);

	for (size_t i = 0; i < count; i++)
		if (write(fds[i], number, strlen(number)) == -1 && errno != ESRCH)
			return error_set_errno(err, ERROR_RUNTIME, "put process %s into the sandbox's cgroup", number);
	return true;
}

/* ---- removing ---- */

static bool is_cgroup_of_ours(const char *directory)
{
	const char *slash = strrchr(directory, '/');
	struct statfs system;

	return slash != NULL && str_starts(slash + 1, "npxc-") && statfs(directory, &system) == 0 &&
	       (system.f_type == CGROUP_SUPER_MAGIC || system.f_type == CGROUP2_SUPER_MAGIC);
}

static void kill_processes(const char *directory)
{
	mem_cleanup char *list = NULL;
	char *rest;

	if (write_text(directory, "cgroup.kill", "1")) /* v2, Linux 5.14 */
		return;
	list = read_text(directory, "cgroup.procs");
	for (char *line = strtok_r(list, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
		uint64_t pid;

		/* 0 stands for a process that this pid namespace does not show; kill(0) would be npxc's own group */
		if (str_to_u64(line, INT32_MAX, &pid) && pid > 1 && (pid_t)pid != getpid())
			kill((pid_t)pid, SIGKILL);
	}
}

bool cgroup_remove(const char *directory, struct npxc_error *err)
{
	int64_t deadline = clock_now_ms() + LIMIT_KILL_VERIFY_MS;

	if (access(directory, F_OK) == -1 && errno == ENOENT)
		return true;
	if (!is_cgroup_of_ours(directory))
		return error_set(err, ERROR_IO, "%s is not a cgroup that npxc has made", directory);
	while (rmdir(directory) == -1) {
		const struct timespec pause = { .tv_nsec = 2 * 1000 * 1000 };

		if (errno == ENOENT)
			return true;
		if (errno != EBUSY || clock_now_ms() > deadline)
			return error_set_errno(err, ERROR_IO, "remove the cgroup %s", directory);
		/* v1 tells nobody when a group becomes empty, and a killed process takes a moment to leave it. */
		kill_processes(directory);
		nanosleep(&pause, NULL);
	}
	return true;
}

/* levels: below a session's cgroup npxc makes one at most; a guest can make none. */
enum { BELOW_MAX = 8 };

/* Calls for each cgroup directly below, as long as that says true. */
static bool each_below(const char *directory, unsigned levels, bool (*visit)(const char *path, unsigned levels))
{
	DIR *stream = levels > 0 ? opendir(directory) : NULL;
	bool fine = true;

	if (stream == NULL)
		return levels > 0 && errno == ENOENT;
	for (const struct dirent *entry = readdir(stream); fine && entry != NULL; entry = readdir(stream)) {
		mem_cleanup char *path = str_printf("%s/%s", directory, entry->d_name);
		struct stat status;

		if (entry->d_name[0] != '.' && lstat(path, &status) == 0 && S_ISDIR(status.st_mode))
			fine = visit(path, levels - 1);
	}
	closedir(stream);
	return fine;
}

static bool is_unused(const char *directory, unsigned levels)
{
	mem_cleanup char *path = str_printf("%s/cgroup.procs", directory);
	struct buf processes BUF_CLEANUP = BUF_INIT(PROC_TEXT_MAX);
	struct npxc_error why = { 0 };

	if (!file_read(path, &processes, &why))
		return access(directory, F_OK) == -1 && errno == ENOENT;
	return processes.length == 0 && each_below(directory, levels, is_unused);
}

bool cgroup_has_processes(const char *directory)
{
	return !is_unused(directory, BELOW_MAX);
}

static bool remove_unused(const char *directory, unsigned levels)
{
	return each_below(directory, levels, remove_unused) && (rmdir(directory) == 0 || errno == ENOENT);
}

bool cgroup_remove_unused(const char *directory, struct npxc_error *err)
{
	if (access(directory, F_OK) == -1 && errno == ENOENT)
		return true;
	if (!is_cgroup_of_ours(directory))
		return error_set(err, ERROR_IO, "%s is not a cgroup that npxc has made", directory);
	return remove_unused(directory, BELOW_MAX) ||
	       error_set_errno(err, ERROR_IO, "the cgroup %s cannot be removed", directory);
}

#else

void cgroup_plan_make(const char *name, struct cgroup_plan *ret_plan)
{
	const struct cgroup_layout none = { .version = CGROUP_NONE };

	cgroup_plan_within(&none, name, ret_plan);
}

void cgroup_plan_within(const struct cgroup_layout *layout, const char *name, struct cgroup_plan *ret_plan)
{
	(void)layout;
	(void)name;
	*ret_plan = (struct cgroup_plan){ .version = CGROUP_NONE };
	add_reason(ret_plan, str_dup("cgroups exist on Linux only"));
}

bool cgroup_make(struct cgroup_plan *plan, const struct cgroup_limits *limits, int ret_fds[static 4],
                 size_t *ret_fd_count, struct npxc_error *err)
{
	(void)plan;
	(void)limits;
	(void)ret_fds;
	(void)err;
	*ret_fd_count = 0;
	return true;
}

bool cgroup_add(const int *fds, size_t count, pid_t pid, struct npxc_error *err)
{
	(void)fds;
	(void)count;
	(void)pid;
	(void)err;
	return true;
}

struct cgroup_reached cgroup_reached(const struct cgroup_plan *plan)
{
	(void)plan;
	return (struct cgroup_reached){ 0 };
}

bool cgroup_remove(const char *directory, struct npxc_error *err)
{
	return error_set(err, ERROR_IO, "%s is not a cgroup: they exist on Linux only", directory);
}

bool cgroup_has_processes(const char *directory)
{
	(void)directory;
	return false;
}

bool cgroup_remove_unused(const char *directory, struct npxc_error *err)
{
	return cgroup_remove(directory, err);
}

#endif
