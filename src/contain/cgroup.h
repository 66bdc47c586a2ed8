#ifndef NPXC_CONTAIN_CGROUP_H
#define NPXC_CONTAIN_CGROUP_H

#include "base/error.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Limits of a bwrap sandbox. Pure part: reading /proc/self/cgroup and mountinfo into a plan. Touching part: making,
 * limiting, joining. Which limits hold is always known and said; one that cannot be had is not an error.
 */
enum cgroup_version { CGROUP_NONE, CGROUP_V1, CGROUP_V2 };

/*
 * npxc's own place, as directories that can be seen here. v1 when any of the three controllers is in a v1 hierarchy
 * (hybrid systems have a v2 one beside it, without them); a v1 directory is NULL when its hierarchy is not mounted
 * where npxc could see its own cgroup.
 */
struct cgroup_layout {
	enum cgroup_version version;
	char *memory, *cpu, *pids; /* owned; v1, equal when hierarchies are mounted together */
	char *own, *top;           /* owned; v2: npxc's own directory, and the mount point above it */
};

/* Pure. The texts of /proc/self/cgroup (man 7 cgroups) and /proc/self/mountinfo (man 5 proc). */
void cgroup_layout_parse(const char *self_cgroup, const char *mountinfo, struct cgroup_layout *ret_layout);
void cgroup_layout_done(struct cgroup_layout *layout);

struct cgroup_plan {
	enum cgroup_version version;
	struct strv directories; /* to be made, one per hierarchy (v2: one): <parent>/<name> */
	bool memory, cpu, pids;  /* which limits will hold */
	char *reason;            /* owned; why the missing ones do not, in words; NULL when all hold */
};

/*
 * Where a cgroup for `name` could be made by this user: v2 below the nearest ancestor whose cgroup.procs and
 * subtree_control this user may write and that holds no processes itself (the kernel gives controllers only to children
 * of such a cgroup, or of the topmost one); v1 as root below npxc's own cgroup in each hierarchy. Makes nothing.
 */
void cgroup_plan_make(const char *name, struct cgroup_plan *ret_plan);
/* The same for a layout that is known: looks at its directories only. */
void cgroup_plan_within(const struct cgroup_layout *layout, const char *name, struct cgroup_plan *ret_plan);
void cgroup_plan_done(struct cgroup_plan *plan);

struct cgroup_limits {
	uint64_t memory_bytes; /* also bounds swap */
	unsigned cpu_millis;
	unsigned pids;
};

/*
 * Makes the plan's directories and sets the limits. A directory that cannot be made or a limit that cannot be set turns
 * the limit off in `plan` with a reason (the caller prints it) and removes what was made for it. `ret_fds` gets one
 * descriptor per directory that stands, open for writing cgroup.procs; a child joins by writing "0" to each. A limit of
 * 0 is not set. ERROR_IO only when a directory that was made for nothing cannot be removed again; no descriptor is left
 * then.
 */
bool cgroup_make(struct cgroup_plan *plan, const struct cgroup_limits *limits, int ret_fds[static 4],
                 size_t *ret_fd_count, struct npxc_error *err) NPXC_MUST_CHECK;

/*
 * Puts a process of npxc's own, with its threads, into what cgroup_make made; one that has ended is success. What the
 * process allocates from now on counts there. ERROR_RUNTIME.
 */
bool cgroup_add(const int *fds, size_t count, pid_t pid, struct npxc_error *err) NPXC_MUST_CHECK;

/* "memory 512 MiB, cpus 1, pids 512" or "memory: not enforced (reason); ..." for try, inspect, doctor; owned. */
char *cgroup_text(const struct cgroup_plan *plan, const struct cgroup_limits *limits);

/* What the kernel has refused to the processes in it since it was made; 0 also where that cannot be read. */
struct cgroup_reached {
	uint64_t killed;   /* processes, at the memory ceiling */
	uint64_t unforked; /* processes and threads that were not made, at the ceiling of pids */
};
struct cgroup_reached cgroup_reached(const struct cgroup_plan *plan);
/* Pure: the number behind a word at the beginning of a line ("oom_kill 2"); 0 where there is none. */
uint64_t cgroup_counter(const char *text, const char *word);

/*
 * rmdir, with all processes in it killed first; gone already is success. For the janitor. ERROR_IO.
 * Mustn't: kill in a directory that is not a cgroup called "npxc-...".
 */
bool cgroup_remove(const char *directory, struct npxc_error *err) NPXC_MUST_CHECK;
/* Whether a process is in it or below; in doubt: true. False where there is no such cgroup. */
bool cgroup_has_processes(const char *directory);
/*
 * One that nobody uses, with what is below it. ERROR_IO as soon as a process is in any of them: the kernel refuses then
 * (cgroups(7)), so there is no moment between the look and the removal.
 * Mustn't: signal anybody.
 */
bool cgroup_remove_unused(const char *directory, struct npxc_error *err) NPXC_MUST_CHECK;

#endif
