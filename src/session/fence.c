#include "session/fence.h"

#include "base/file.h"
#include "base/landlock.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/proc.h"
#include "base/userns.h"
#include "guest/guest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef __linux__

#include <grp.h>
#include <sys/resource.h>

/* ---- limits ---- */

/* As browsers rate their pages: by 30% of what may be had. A process may always raise its own (man 5 proc). */
#define OOM_BIAS "300"

static bool lower(int resource, rlim_t most, struct npxc_error *err)
{
	struct rlimit limit;

	if (getrlimit((__rlimit_resource_t)resource, &limit) == -1)
		return error_set_errno(err, ERROR_RUNTIME, "look at a resource limit");
	if (limit.rlim_max > most)
		limit.rlim_max = most;
	if (limit.rlim_cur > limit.rlim_max)
		limit.rlim_cur = limit.rlim_max;
	if (setrlimit((__rlimit_resource_t)resource, &limit) == -1)
		return error_set_errno(err, ERROR_RUNTIME, "lower a resource limit");
	return true;
}

static bool lower_to_share(int resource, struct npxc_error *err)
{
	struct rlimit limit;

	if (getrlimit((__rlimit_resource_t)resource, &limit) == -1)
		return error_set_errno(err, ERROR_RUNTIME, "look at a resource limit");
	return limit.rlim_max == RLIM_INFINITY || lower(resource, limit.rlim_max / LIMIT_SANDBOX_SHARE, err);
}

/* Counted for the user, up through the user namespaces since Linux 5.14: whoever is outside keeps the rest. */
static bool lower_limits(struct npxc_error *err)
{
	return lower(RLIMIT_NOFILE, LIMIT_SANDBOX_FILES, err) && lower_to_share(RLIMIT_SIGPENDING, err) &&
	       lower_to_share(RLIMIT_MSGQUEUE, err);
}

/* ---- ceilings ---- */

static bool reads(const char *path, struct buf *text)
{
	struct npxc_error ignored;

	return file_read(path, text, &ignored) && text->data != NULL;
}

static bool may_make_namespace(void)
{
	struct buf text BUF_CLEANUP = BUF_INIT(64);

	return !reads("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", &text) || text.data[0] == '0';
}

/* The user's own ceiling is the first namespace's, and readable everywhere (man 7 inotify). */
static bool set_ceiling(const char *of_user, const char *of_namespace, unsigned long least)
{
	struct buf text BUF_CLEANUP = BUF_INIT(64);
	unsigned long share;

	if (!reads(of_user, &text))
		return false;
	share = strtoul(text.data, NULL, 10) / LIMIT_SANDBOX_SHARE;
	mem_cleanup char *value = str_printf("%lu", share < least ? least : share);
	return file_write_setting(of_namespace, value);
}

/* Best effort: where /proc/sys is read-only, as in a container, nothing can be set (and `npxc inspect` says so). */
static bool set_ceilings(void)
{
	const bool instances = set_ceiling("/proc/sys/fs/inotify/max_user_instances",
	                                   "/proc/sys/user/max_inotify_instances", LIMIT_SANDBOX_INOTIFY_LEAST);
	const bool watches = set_ceiling("/proc/sys/fs/inotify/max_user_watches", "/proc/sys/user/max_inotify_watches",
	                                 LIMIT_SANDBOX_INOTIFY_LEAST);

	return instances && watches;
}

static bool make_namespace(bool *ret_made, struct npxc_error *err)
{
	const char *failed = may_make_namespace() ? userns_enter(0) : USERNS_UNSHARE;

	*ret_made = failed == NULL;
	if (failed == NULL || strcmp(failed, USERNS_UNSHARE) == 0)
		return true;
	return error_set_errno(err, ERROR_RUNTIME, "make a user namespace for the sandbox: %s", failed);
}

bool fence_enter(bool has_namespace, bool *ret_ceilings, struct npxc_error *err)
{
	bool made = has_namespace;

	/* Of what shares the session's memory ceiling, the egress process goes last. */
	(void)!file_write_setting("/proc/self/oom_score_adj", OOM_BIAS);
	if (!lower_limits(err) || (!has_namespace && !make_namespace(&made, err)))
		return false;
	*ret_ceilings = made && set_ceilings();
	return true;
}

/* By trying it, as the user that a sandbox is: the exit status of a child. */
static bool has_ceilings(void)
{
	struct npxc_error ignored;
	bool ceilings;
	int status = 1 << 8; /* not even tried */
	const pid_t pid = fork();

	if (pid == 0) {
		if (geteuid() == 0 && (setgroups(0, NULL) == -1 ||
		                       setresgid(SANDBOX_DROP_UID, SANDBOX_DROP_UID, SANDBOX_DROP_UID) == -1 ||
		                       setresuid(SANDBOX_DROP_UID, SANDBOX_DROP_UID, SANDBOX_DROP_UID) == -1))
			_exit(1);
		_exit(fence_enter(false, &ceilings, &ignored) && ceilings ? 0 : 1);
	}
	if (pid != -1)
		status = proc_reap(pid);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

struct fence fence_look(void)
{
	return (struct fence){ .ceilings = has_ceilings(), .landlock = GUEST_FIRST_LENGTH > 0 ? landlock_abi() : 0 };
}

#else

bool fence_enter(bool has_namespace, bool *ret_ceilings, struct npxc_error *err)
{
	(void)has_namespace;
	(void)err;
	*ret_ceilings = false;
	return true;
}

struct fence fence_look(void)
{
	return (struct fence){ 0 };
}

#endif

/* ---- what is left ---- */

/* What is beneath a writable place is open to Landlock with that; HOME, /tmp and /run always are one. */
static bool lies_in_writable(const struct launch *launch, const struct launch_mount *mount)
{
	bool within = mount->writable || str_path_within(mount->target, launch->home) ||
	              str_path_within(mount->target, "/tmp") || str_path_within(mount->target, "/run");

	for (size_t i = 0; i < launch->mount_count && !within; i++)
		within = launch->mounts[i].writable && str_path_within(mount->target, launch->mounts[i].target);
	for (size_t i = 0; i < launch->tmpfs_count && !within; i++)
		within = str_path_within(mount->target, launch->tmpfs[i].target);
	return within;
}

/* Directories of somebody else's that are mounted, with a comma between two; owned. NULL: there is none. */
static char *directories(const struct launch *launch, bool in_writable_only)
{
	char *list = NULL;

	for (size_t i = 0; i < launch->mount_count; i++) {
		const struct launch_mount *mount = &launch->mounts[i];

		if (!mount->judged || mount->identity.kind != 'd' ||
		    (in_writable_only && !lies_in_writable(launch, mount)))
			continue;
		mem_cleanup char *before = list;
		list = str_printf("%s%s%s", before == NULL ? "" : before, before == NULL ? "" : ", ", mount->target);
	}
	return list;
}

static void add_sockets(const struct fence *fence, bool bubblewrap, const struct launch *launch, struct strv *left)
{
	const int abi = bubblewrap ? fence->landlock : 0;
	mem_cleanup char *all = directories(launch, false);
	mem_cleanup char *open_to_fifos = directories(launch, abi >= LANDLOCK_ABI_REFER);

	if (all != NULL && abi < LANDLOCK_ABI_RESOLVE_UNIX)
		strv_pushf(left, "a UNIX socket that a service makes beneath %s while the server runs can be reached%s",
		           all, bubblewrap ? " (from Linux 7.1 on it cannot)" : "");
	if (open_to_fifos != NULL)
		strv_pushf(left, "a FIFO that a service makes beneath %s while the server runs can be written",
		           open_to_fifos);
}

void fence_left(const struct fence *fence, enum runtime_kind kind, const struct launch *launch, struct strv *ret_left)
{
	const struct runtime_driver *driver = runtime_driver(kind);
	const bool own = !driver->has_containers; /* behind npxc's own fence */
	const bool shares_network = driver->open_network == NULL ? launch->network == LAUNCH_NETWORK_OPEN
	                                                         : launch->network == LAUNCH_NETWORK_NAMED &&
	                                                               str_equal(launch->network_name, "host");

	*ret_left = (struct strv){ 0 };
	if (driver->has_own_kernel)
		return;
	if (shares_network && (!own || fence->landlock < LANDLOCK_ABI_SCOPED))
		strv_pushf(ret_left, "abstract UNIX sockets of this machine can be reached%s",
		           own ? " (from Linux 6.12 on, with Landlock, they cannot)" : "");
	add_sockets(fence, own, launch, ret_left);
	strv_pushf(ret_left, "what the kernel counts for a whole user can be used up: %spipe buffers, epoll watches",
	           own && fence->ceilings ? "" : "inotify instances and watches, ");
}
