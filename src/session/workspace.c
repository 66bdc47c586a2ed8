#include "session/workspace.h"

#include "base/copy.h"
#include "base/fault.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/signals.h"
#include "base/tree.h"
#include "guest/guest.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

/* A mount needs something to be mounted on, in a directory that is read-only inside. */
static bool make_mount_point(int files, const char *relative, bool is_directory, struct npxc_error *err)
{
	const char *slash = strrchr(relative, '/');
	mem_cleanup char *above = str_dup_n(relative, slash == NULL ? 0 : (size_t)(slash - relative));
	if (is_directory)
		return tree_make_directories(files, relative, 0755, err);
	return tree_make_directories(files, above, 0755, err) &&
	       (tree_is_file(files, relative) || tree_create(files, relative, "", 0, 0444, NULL, err));
}

static bool make_mount_points(const struct plan *plan, int files, struct npxc_error *err)
{
	const struct launch *launch = &plan->launch;
	for (size_t i = 0; i < launch->tmpfs_count; i++) {
		const char *target = launch->tmpfs[i].target;
		if (str_path_within(target, plan->cwd) &&
		    !make_mount_point(files, target + strlen(plan->cwd) + 1, true, err))
			return false;
	}
	for (size_t i = 0; i < launch->mount_count; i++) {
		const struct launch_mount *mount = &launch->mounts[i];
		if (!str_path_within(mount->target, plan->cwd) || str_equal(mount->target, plan->cwd))
			continue;
		const bool is_directory =
		    mount->judged ? mount->identity.kind == 'd' : file_is_directory(mount->source);
		if (!make_mount_point(files, mount->target + strlen(plan->cwd) + 1, is_directory, err))
			return false;
	}
	return true;
}

static const char *last_of(const char *path)
{
	return strrchr(path, '/') + 1;
}

/* A descriptor that is only good for looking opens the file anew, and not its name. */
static bool copy_one(const struct plan_copy *copy, int directory, struct npxc_error *err)
{
	const struct copy_rules rules = { .max_bytes = LIMIT_PUBLISH_FILE_BYTES, .stop = signals_interrupted };
	uint64_t ignored;
#ifdef __linux__
	mem_cleanup char *handle = str_printf("/proc/self/fd/%d", copy->from);
	FD_CLEANUP int from = open(handle, O_RDONLY | O_CLOEXEC | O_NOCTTY);
#else
	FD_CLEANUP int from = fcntl(copy->from, F_DUPFD_CLOEXEC, 0);
#endif
	if (from == -1)
		return error_set_errno(err, ERROR_IO, "open a file that is kept read-only");
	return copy_file(from, directory, strrchr(copy->path, '/') + 1, 0444, &rules, &ignored, err);
}

static bool make_copies(const struct plan *plan, int workspace, struct npxc_error *err)
{
	FD_CLEANUP int directory = -1;
	if (plan->copy_count == 0)
		return true;
	if (!tree_make_directory(workspace, "kept", 0755, &directory, err))
		return false;
	for (size_t i = 0; i < plan->copy_count; i++)
		if (!copy_one(&plan->copies[i], directory, err))
			return false;
	return true;
}

bool workspace_make(struct janitor *janitor, const struct plan *plan, struct npxc_error *err)
{
	mem_cleanup char *sessions = str_path_join(plan->workspace, "..");
	mem_cleanup char *files_path = plan_files_directory(plan);
	mem_cleanup char *stage_path = plan_stage_directory(plan);
	FD_CLEANUP int root = -1;
	FD_CLEANUP int workspace = -1;
	FD_CLEANUP int files = -1;
	unsigned ignored;
	FAULT_POINT("workspace.hold");
	if (!janitor_hold_path(janitor, RESOURCE_DIRECTORY, plan->workspace, &ignored, err))
		return false;
	FAULT_POINT("workspace.held");
	if (!file_make_directories(sessions, 0700, err) || !tree_open(sessions, &root, err) ||
	    !tree_make_directory(root, last_of(plan->workspace), 0700, &workspace, err))
		return false;
	FAULT_POINT("workspace.made");
	if (plan->launch.first != NULL &&
	    !tree_create(workspace, last_of(plan->launch.first), GUEST_FIRST, GUEST_FIRST_LENGTH, 0555, NULL, err))
		return false;
	if (!make_copies(plan, workspace, err))
		return false;
	return !plan->shows ||
	       (tree_make_directory(workspace, last_of(files_path), plan->outputs ? 0777 : 0755, &files, err) &&
	        tree_make_directory(workspace, last_of(stage_path), 0700, NULL, err) &&
	        make_mount_points(plan, files, err));
}
