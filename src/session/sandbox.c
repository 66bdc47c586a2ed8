#include "session/sandbox.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/fd.h"
#include "base/keep.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/proc.h"
#include "base/str.h"
#include "contain/reach.h"
#include "session/fence.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* What both sides of the fork have. All owned by the launcher, -1 where there is none. */
struct ends {
	int input[2], output[2], errors[2], status[2];
	int go[2];   /* one byte from the launcher: the child may go on */
	int fail[2]; /* a struct npxc_error from the child; closed by its exec */
	int *data;   /* owned; as many as start->data */
	size_t data_count;
};

static void ends_done(struct ends *ends)
{
	int *const pairs[] = { ends->input, ends->output, ends->errors, ends->status, ends->go, ends->fail };

	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		fd_close(&pairs[i][0]);
		fd_close(&pairs[i][1]);
	}
	for (size_t i = 0; i < ends->data_count; i++)
		fd_close(&ends->data[i]);
	free(ends->data);
	ends->data = NULL;
	ends->data_count = 0;
}

/* Pipes of the ordinary size: what a user may have of them is shared, and the relay enlarges those that were full. */
static bool ends_make(const struct runtime_start *start, struct ends *ends, struct npxc_error *err)
{
	if (!fd_pipe(ends->input, err) || !fd_pipe(ends->output, err) || !fd_pipe(ends->errors, err) ||
	    !fd_pipe(ends->go, err) || !fd_pipe(ends->fail, err))
		return false;
	if (start->status_fd != -1 && !fd_pipe(ends->status, err))
		return false;
	/* Who opens /dev/stdin or /dev/stdout opens the pipe anew, as its owner or not at all. */
	for (int i = 0; start->drop_to_uid && i < 2; i++)
		if (fchown(ends->input[i], SANDBOX_DROP_UID, SANDBOX_DROP_UID) == -1 ||
		    fchown(ends->output[i], SANDBOX_DROP_UID, SANDBOX_DROP_UID) == -1 ||
		    fchown(ends->errors[i], SANDBOX_DROP_UID, SANDBOX_DROP_UID) == -1)
			return error_set_errno(err, ERROR_RUNTIME, "give the server its pipes");
	ends->data = mem_alloc(start->data_count * sizeof(*ends->data));
	for (size_t i = 0; i < start->data_count; i++) {
		if (!fd_of_data(start->data[i].bytes, start->data[i].length, &ends->data[i], err))
			return false;
		ends->data_count = i + 1;
	}
	return true;
}

/* ======== the child, up to exec ======== */

/* The descriptors that the child still needs for itself. */
struct child {
	int go, fail;
	int *cgroups; /* owned */
	size_t cgroup_count;
	const struct sandbox_netns *netns; /* NULL: none */
	int handoff;
	bool fenced;
};

/* A copy above everything that has a fixed number, so that laying those out overwrites no source. */
static bool move_up(int *fd, int floor, struct npxc_error *err)
{
	int moved = fcntl(*fd, F_DUPFD_CLOEXEC, floor);

	if (moved == -1)
		return error_set_errno(err, ERROR_RUNTIME,
		                       "too few open files are allowed (ulimit -n) for a descriptor above %d", floor);
	*fd = moved;
	return true;
}

static int floor_above(const struct runtime_start *start)
{
	int floor = STDERR_FILENO + 1;

	if (start->status_fd >= floor)
		floor = start->status_fd + 1;
	for (size_t i = 0; i < start->data_count; i++)
		if (start->data[i].fd >= floor)
			floor = start->data[i].fd + 1;
	for (size_t i = 0; i < start->source_count; i++)
		if (start->sources[i].fd >= floor)
			floor = start->sources[i].fd + 1;
	return floor;
}

/*
 * All sources first above the fixed numbers, then each to its own; everything else is closed now, not only by exec:
 * while it waits the child must not hold the launcher's end of the janitor's channel or of its own pipes.
 */
static bool lay_out(const struct runtime_start *start, struct ends *ends, struct child *child, struct npxc_error *err)
{
	int floor = floor_above(start);
	struct {
		int *source;
		int target;
	} fixed[] = { { &ends->input[0], STDIN_FILENO },
		      { &ends->output[1], STDOUT_FILENO },
		      { &ends->errors[1], STDERR_FILENO },
		      { &ends->status[1], start->status_fd } };
	size_t fixed_count = start->status_fd != -1 ? 4 : 3;
	mem_cleanup int *kept = mem_alloc(
	    (fixed_count + start->data_count + start->source_count + child->cgroup_count + 3) * sizeof(*kept));
	mem_cleanup int *sources = mem_alloc(start->source_count * sizeof(*sources));
	size_t count = 0;

	if (!move_up(&child->fail, floor, err) || !move_up(&child->go, floor, err))
		return false;
	for (size_t i = 0; i < child->cgroup_count; i++)
		if (!move_up(&child->cgroups[i], floor, err))
			return false;
	if (child->netns != NULL && !move_up(&child->handoff, floor, err))
		return false;
	for (size_t i = 0; i < fixed_count; i++)
		if (!move_up(fixed[i].source, floor, err))
			return false;
	for (size_t i = 0; i < start->data_count; i++)
		if (!move_up(&ends->data[i], floor, err))
			return false;
	for (size_t i = 0; i < start->source_count; i++) {
		sources[i] = start->sources[i].from;
		if (!move_up(&sources[i], floor, err))
			return false;
	}

	for (size_t i = 0; i < fixed_count; i++) {
		if (dup2(*fixed[i].source, fixed[i].target) == -1)
			return error_set_errno(err, ERROR_RUNTIME, "descriptor %d", fixed[i].target);
		kept[count++] = fixed[i].target;
	}
	for (size_t i = 0; i < start->data_count; i++) {
		if (dup2(ends->data[i], start->data[i].fd) == -1)
			return error_set_errno(err, ERROR_RUNTIME, "descriptor %d", start->data[i].fd);
		kept[count++] = start->data[i].fd;
	}
	for (size_t i = 0; i < start->source_count; i++) {
		if (dup2(sources[i], start->sources[i].fd) == -1)
			return error_set_errno(err, ERROR_RUNTIME, "descriptor %d", start->sources[i].fd);
		kept[count++] = start->sources[i].fd;
	}
	for (size_t i = 0; i < child->cgroup_count; i++)
		kept[count++] = child->cgroups[i];
	if (child->netns != NULL)
		kept[count++] = child->handoff;
	kept[count++] = child->fail;
	kept[count++] = child->go;
	return keep_only(kept, count, err);
}

/* End of file: the launcher has died, or the janitor could not be told. Nothing has been run; nobody is told. */
static void await_go(int go)
{
	char byte;
	ssize_t got;

	do
		got = read(go, &byte, 1);
	while (got == -1 && errno == EINTR);
	if (got != 1)
		_exit(0);
}

static bool prepare_and_exec(const struct runtime_start *start, struct ends *ends, struct child *child,
                             struct npxc_error *err)
{
	char *no_variables[] = { NULL };
	bool ceilings;

	if (setsid() == -1)
		return error_set_errno(err, ERROR_RUNTIME, "setsid");
	keep_no_handlers();
	keep_no_mask();
	if (!lay_out(start, ends, child, err))
		return false;
	FAULT_POINT("sandbox.child-waits");
	await_go(child->go);
	FAULT_POINT("sandbox.child-goes");
	for (size_t i = 0; i < child->cgroup_count; i++) {
		if (!fd_write_all(child->cgroups[i], "0", 1, err))
			return error_prefix(err, "join the sandbox's cgroup");
		fd_close(&child->cgroups[i]);
	}
	if (chdir("/") == -1)
		return error_set_errno(err, ERROR_RUNTIME, "chdir to /");
	if (start->drop_to_uid &&
	    !reach_and_drop(start->reach.v, start->reach_as, start->reach.count, SANDBOX_DROP_UID, err))
		return false;
	/* As the user that the sandbox runs as: the namespaces are its own. */
	if (child->netns != NULL && !netns_enter(child->netns->request, child->handoff, err))
		return false;
	if (child->fenced && !fence_enter(child->netns != NULL, &ceilings, err))
		return false;
	FAULT_POINT("sandbox.child-execs");
	execve(start->argv.v[0], start->argv.v, start->env.v != NULL ? start->env.v : no_variables);
	if (errno == E2BIG)
		return error_set(err, ERROR_CONFIG,
		                 "the server's arguments are longer than this system allows; give it fewer, or a file");
	return error_set_errno(err, ERROR_RUNTIME_UNAVAILABLE, "cannot execute %s", start->argv.v[0]);
}

static void run_child(const struct runtime_start *start, struct ends *ends, const int *cgroup_fds, size_t cgroup_count,
                      const struct sandbox_netns *netns, bool fenced)
{
	struct child child = { .go = ends->go[0],
		               .fail = ends->fail[1],
		               .cgroup_count = cgroup_count,
		               .netns = netns,
		               .handoff = netns != NULL ? netns->handoff : -1,
		               .fenced = fenced };
	struct npxc_error err = { 0 };
	struct npxc_error ignored = { 0 };

	FAULT_ROLE("sandbox");
	FAULT_POINT("sandbox.child");
	child.cgroups = mem_alloc(cgroup_count * sizeof(*child.cgroups));
	for (size_t i = 0; i < cgroup_count; i++)
		child.cgroups[i] = cgroup_fds[i];
	prepare_and_exec(start, ends, &child, &err);
	if (err.kind == ERROR_IO)
		err.kind = ERROR_RUNTIME;
	/* Shorter than PIPE_BUF: whole or not at all. The status says nothing: what counts is what was written. */
	if (!fd_write_all(child.fail, &err, sizeof(err), &ignored))
		_exit(126);
	_exit(127);
}

/* ======== the launcher ======== */

static bool open_exit_fd(pid_t pid, int *ret_fd, struct npxc_error *err)
{
	*ret_fd = proc_exit_fd(pid);
	if (*ret_fd != -1)
		return true;
#ifdef __linux__
	/* A pipe held by the first process would not do: bubblewrap hands descriptors on and closes them itself. */
	return error_set_errno(err, ERROR_RUNTIME_UNAVAILABLE,
	                       "npxc needs pidfd_open (Linux 5.3, and a container that allows it)");
#else
	return error_set_errno(err, ERROR_IO, "watch process %ld", (long)pid);
#endif
}

/* True when the child has execed: its end of the pipe was closed without a word. */
static bool await_exec(int fail, struct npxc_error *err)
{
	struct npxc_error said;
	struct buf bytes BUF_CLEANUP = BUF_INIT(sizeof(said));

	if (!fd_read_all(fail, &bytes, err))
		return false;
	if (bytes.length == 0)
		return true;
	if (bytes.length != sizeof(said))
		return error_set(err, ERROR_RUNTIME, "the sandbox's first process ended while it was prepared");
	memcpy(&said, bytes.data, sizeof(said));
	said.message[sizeof(said.message) - 1] = '\0';
	*err = said;
	return false;
}

/* The order matters: the janitor has the group before the byte is written that lets the child run anything. */
static bool let_go(struct janitor *janitor, enum runtime_kind kind, pid_t pid, struct ends *ends,
                   struct npxc_error *err)
{
	struct npxc_error ignored = { 0 };

	FAULT_POINT("sandbox.hold");
	if (!janitor_sandbox(janitor, pid, runtime_driver(kind)->stop, err))
		return false;
	FAULT_POINT("sandbox.held");
	/* A child that has failed already does not read; it has said why. */
	if (!fd_write_all(ends->go[1], "g", 1, &ignored))
		fd_close(&ends->go[1]);
	FAULT_POINT("sandbox.let-go");
	if (await_exec(ends->fail[0], err)) {
		FAULT_POINT("sandbox.started");
		return true;
	}
	/* The janitor forgets it. Whether that works or not: what went wrong first is what is said. */
	const bool forgotten = janitor_end_sandbox(janitor, 0, &ignored);
	(void)forgotten;
	return false;
}

bool sandbox_start(struct janitor *janitor, enum runtime_kind kind, const struct runtime_start *start,
                   const int *cgroup_fds, size_t cgroup_fd_count, const struct sandbox_netns *netns,
                   struct sandbox *ret_sandbox, struct npxc_error *err)
{
	struct ends ends = { { -1, -1 }, { -1, -1 }, { -1, -1 }, { -1, -1 }, { -1, -1 }, { -1, -1 }, NULL, 0 };
	FD_CLEANUP int exit_fd = -1;
	pid_t pid;

	/* Fail closed: a CLI that keeps the namespace it finds must not find the host's. */
	if (start->enters_netns != (netns != NULL))
		return error_set(err, ERROR_RUNTIME, "a sandbox on link netns without its network");
	if (!ends_make(start, &ends, err)) {
		ends_done(&ends);
		return err->sys_errno == EMFILE ? error_prefix(err, "raise the limit of open files (ulimit -n)")
		                                : false;
	}
	/* The launcher's handlers must not run in the child. */
	FAULT_POINT("sandbox.fork");
	pid = keep_fork();
	if (pid == 0)
		run_child(start, &ends, cgroup_fds, cgroup_fd_count, netns, !runtime_driver(kind)->has_containers);
	if (pid == -1) {
		error_set_errno(err, ERROR_IO, "fork the sandbox's process");
		ends_done(&ends);
		return false;
	}
	fd_close(&ends.go[0]);
	fd_close(&ends.fail[1]);
	if (!open_exit_fd(pid, &exit_fd, err) || !let_go(janitor, kind, pid, &ends, err)) {
		ends_done(&ends);
		kill(pid, SIGKILL); /* not reaped yet, so the number is still its own */
		proc_reap(pid);
		return false;
	}
	*ret_sandbox = (struct sandbox){ .pid = pid,
		                         .input = fd_take(&ends.input[1]),
		                         .output = fd_take(&ends.output[0]),
		                         .errors = fd_take(&ends.errors[0]),
		                         .status = fd_take(&ends.status[0]),
		                         .exit_fd = fd_take(&exit_fd) };
	ends_done(&ends);
	return true;
}

/* What is there of the status pipe; false: no more comes. */
static bool read_status(struct sandbox *sandbox)
{
	char bytes[1024];
	const ssize_t got = read(sandbox->status, bytes, sizeof(bytes));
	char *longer;

	if (got <= 0)
		return got < 0 && errno == EINTR;
	longer = str_printf("%s%.*s", sandbox->status_text == NULL ? "" : sandbox->status_text, (int)got, bytes);
	free(sandbox->status_text);
	sandbox->status_text = longer;
	return true;
}

pid_t sandbox_first_pid(struct sandbox *sandbox, enum runtime_kind kind, unsigned timeout_ms)
{
	const struct runtime_driver *driver = runtime_driver(kind);
	const int64_t until_ms = clock_now_ms() + (int64_t)timeout_ms;
	pid_t pid = 0;

	while (driver->first_pid != NULL && sandbox->status != -1 && pid == 0) {
		struct pollfd polled = { .fd = sandbox->status, .events = POLLIN };
		const int64_t left_ms = until_ms - clock_now_ms();

		if (left_ms < 0 || poll(&polled, 1, (int)left_ms) != 1 || !read_status(sandbox))
			return 0;
		pid = driver->first_pid(sandbox->status_text == NULL ? "" : sandbox->status_text);
	}
	return pid;
}

bool sandbox_has_ended(const struct sandbox *sandbox)
{
	struct pollfd one = { .fd = sandbox->exit_fd, .events = POLLIN };

	return poll(&one, 1, 0) == 1;
}

bool sandbox_wait(struct sandbox *sandbox, int *ret_exit_status, int *ret_signal, struct npxc_error *err)
{
	int status;

	if (sandbox->pid <= 0)
		return error_set(err, ERROR_IO, "the sandbox has been waited for");
	status = proc_reap(sandbox->pid);
	if (status == -1)
		return error_set_errno(err, ERROR_IO, "wait for the sandbox");
	sandbox->pid = 0;
	*ret_exit_status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
	*ret_signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
	return true;
}

void sandbox_done(struct sandbox *sandbox)
{
	free(sandbox->status_text);
	sandbox->status_text = NULL;
	fd_close(&sandbox->input);
	fd_close(&sandbox->output);
	fd_close(&sandbox->errors);
	fd_close(&sandbox->status);
	fd_close(&sandbox->exit_fd);
}
