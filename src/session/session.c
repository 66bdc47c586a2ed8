#include "session/session.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/copy.h"
#include "base/fault.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/signals.h"
#include "base/tree.h"
#include "files/guards.h"
#include "guest/guest.h"
#include "session/shares.h"
#include "teardown/lease.h"
#include "teardown/sweep.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * The order, and why it cannot change: the janitor is forked while npxc holds nothing, so that it holds nothing either
 * and outlives whatever happens here. Each resource is named to it before it is acquired; between "named" and
 * "acquired" a death costs the janitor a look at something that is not there, after it nothing is lost. The sandbox
 * goes first and its cgroup second, because a cgroup with a process in it cannot be removed.
 */

bool session_open(const char *leases, struct session *ret_session, struct npxc_error *err)
{
	struct session session = { .leases = str_dup(leases), .id = lease_new_id(leases) };
	if (!janitor_start(leases, session.id, &session.janitor, err)) {
		session_close(&session);
		return false;
	}
	if (!signals_install(err)) {
		session_close(&session);
		return false;
	}
	FAULT_POINT("session.opened");
	*ret_session = session;
	return true;
}

bool session_use_runtime(struct session *session, enum runtime_kind kind, const char *cli_name,
                         const char *path_variable, struct npxc_error *err)
{
	if (session->has_runtime)
		return true;
	session->has_runtime = runtime_find(kind, cli_name, path_variable, &session->runtime, err);
	return session->has_runtime;
}

static bool interrupted(struct npxc_error *err)
{
	return error_set(err, ERROR_RUNTIME, "interrupted by signal %d (%s)", signals_caught(),
	                 strsignal(signals_caught()));
}

/* The resources that a start acquires beside its process. */
static bool acquire(struct session *session, const struct launch *launch, int cgroup_fds[static 4], size_t *ret_count,
                    struct npxc_error *err)
{
	*ret_count = 0;
	cgroup_plan_done(&session->cgroups);
	session->cgroups = (struct cgroup_plan){ 0 };
	session->limits = (struct cgroup_limits){ .memory_bytes = launch->memory_bytes,
		                                  .cpu_millis = launch->cpu_millis,
		                                  .pids = launch->pids };
	session->container_hold = 0;
	if (session->runtime.kind != RUNTIME_BWRAP) {
		FAULT_POINT("container.hold");
		if (!janitor_hold_named(session->janitor, RESOURCE_CONTAINER, &session->runtime, launch->name,
		                        &session->container_hold, err))
			return false;
		FAULT_POINT("container.held");
		return true;
	}
	cgroup_plan_make(launch->name, &session->cgroups);
	for (size_t i = 0; i < session->cgroups.directories.count; i++) {
		unsigned id;
		FAULT_POINT("cgroup.hold");
		if (!janitor_hold_path(session->janitor, RESOURCE_CGROUP, session->cgroups.directories.v[i], &id, err))
			return false;
		FAULT_POINT("cgroup.held");
	}
	if (!cgroup_make(&session->cgroups, &session->limits, cgroup_fds, ret_count, err))
		return false;
	FAULT_POINT("cgroup.made");
	return true;
}

static bool start(struct session *session, const struct launch *launch, const struct runtime_start *what,
                  struct route *route, struct sandbox *ret_sandbox, struct npxc_error *err)
{
	const bool netns = what->enters_netns && route != NULL;
	struct sandbox_netns entered = { .handoff = -1 };
	if (netns)
		entered = (struct sandbox_netns){ .wish = &route->wish, .handoff = route->egress.handoff };
	int cgroup_fds[4] = { -1, -1, -1, -1 };
	size_t count = 0;
	if (signals_caught())
		return interrupted(err);
	/* The process's own start and the acquisitions go side by side. What the guest makes the egress process hold
	 * counts as the guest's. */
	const bool started = acquire(session, launch, cgroup_fds, &count, err) &&
	                     (route == NULL || cgroup_add(cgroup_fds, count, route->egress.pid, err)) &&
	                     (route == NULL || route_await(route, err)) &&
	                     sandbox_start(session->janitor, session->runtime.kind, what, cgroup_fds, count,
	                                   netns ? &entered : NULL, ret_sandbox, err);
	if (route != NULL)
		fd_close(&route->egress.handoff);
	for (size_t i = 0; i < count; i++)
		fd_close(&cgroup_fds[i]);
	/* Not earlier: it would compete with the start, and what was killed just before is seen to be dead by now. */
	if (!session->swept)
		sweep_in_background(session->leases);
	session->swept = true;
	return started;
}

static bool announce_network(void *context, const char *name, struct npxc_error *err)
{
	struct session *session = context;
	unsigned ignored;
	FAULT_POINT("network.hold");
	if (!janitor_hold_named(session->janitor, RESOURCE_NETWORK, &session->runtime, name, &ignored, err))
		return false;
	FAULT_POINT("network.held");
	return true;
}

bool session_provision(struct session *session, const struct policy *policy, struct network_choice *ret_choice,
                       struct npxc_error *err)
{
	if (signals_caught())
		return interrupted(err);
	return network_provision(&session->runtime, policy, announce_network, session, ret_choice, err);
}

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

static bool make_workspace(struct session *session, const struct plan *plan, struct npxc_error *err)
{
	mem_cleanup char *sessions = str_path_join(plan->workspace, "..");
	mem_cleanup char *files_path = plan_files_directory(plan);
	mem_cleanup char *stage_path = plan_stage_directory(plan);
	FD_CLEANUP int root = -1;
	FD_CLEANUP int workspace = -1;
	FD_CLEANUP int files = -1;
	unsigned ignored;
	FAULT_POINT("workspace.hold");
	if (!janitor_hold_path(session->janitor, RESOURCE_DIRECTORY, plan->workspace, &ignored, err))
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

/* On disk before anything can write to the trees. */
static bool hold_guards(struct session *session, const struct plan *plan, struct npxc_error *err)
{
	if (plan->guards_file == NULL)
		return true;
	mem_cleanup char *directory = str_path_join(plan->guards_file, "..");
	FAULT_POINT("guards.hold");
	if (!janitor_hold_path(session->janitor, RESOURCE_GUARDS, plan->guards_file, &session->guards_hold, err))
		return false;
	FAULT_POINT("guards.held");
	if (!file_make_directories(directory, 0700, err) ||
	    !file_write_alone(plan->guards_file, plan->guards, strlen(plan->guards), 0600, err))
		return false;
	FAULT_POINT("guards.made");
	session->guards_file = str_dup(plan->guards_file);
	return true;
}

/*
 * What the host would execute now and was not there at the start. Where there is no time for it, or something fails,
 * the janitor looks, and `npxc gc` tells.
 */
static void tell_guards(struct session *session)
{
	struct buf text BUF_CLEANUP = BUF_INIT(LIMIT_GUARD_FILE_BYTES);
	struct strv lines __attribute__((cleanup(strv_done))) = { 0 };
	mem_cleanup char *file = MEM_TAKE(session->guards_file);
	struct npxc_error err = { 0 };
	if (file == NULL)
		return;
	if (!janitor_end_sandbox(session->janitor, 0, &err) || !file_read(file, &text, &err) ||
	    !guards_judge(text.data == NULL ? "" : text.data, text.length, clock_now_ms() + LIMIT_GUARD_END_MS, &lines,
	                  &err)) {
		log_notice("not yet looked for what is unsafe to execute where the server could write (%s); before you "
		           "use git, a shell or an editor there, run: npxc gc",
		           err.message);
		return;
	}
	for (size_t i = 0; i < lines.count; i++)
		log_notice("%s", lines.v[i]);
	if (unlink(file) == 0 && !janitor_release(session->janitor, session->guards_hold, &err))
		log_info("session", "%s", err.message);
}

bool session_prepare(struct session *session, const struct plan *plan, struct npxc_error *err)
{
	if (!make_workspace(session, plan, err))
		return error_prefix(err, "workspace");
	if (!hold_guards(session, plan, err))
		return error_prefix(err, "what this machine would execute");
	return true;
}

bool session_start(struct session *session, const struct plan *plan, struct route *route, struct sandbox *ret_sandbox,
                   struct npxc_error *err)
{
	/* The workspace is held, and with it all that was said of this session stands on its lease. */
	if (plan->shares.count == 0)
		return start(session, &plan->launch, &plan->start, route, ret_sandbox, err);
	if (!shares_check(session->leases, session->id, &plan->shares, err) ||
	    !start(session, &plan->launch, &plan->start, route, ret_sandbox, err))
		return false;
	if (shares_check(session->leases, session->id, &plan->shares, err))
		return true;
	/* Another start that could not see this one yet: what was mounted may be another file by now. */
	err->kind = ERROR_RUNTIME;
	struct npxc_error ignored;
	int status, signal_number;
	if (janitor_end_sandbox(session->janitor, 0, &ignored))
		(void)!sandbox_wait(ret_sandbox, &status, &signal_number, &ignored);
	sandbox_done(ret_sandbox);
	return false;
}

static bool has_ended(const struct sandbox *sandbox)
{
	struct pollfd one = { .fd = sandbox->exit_fd, .events = POLLIN };
	return poll(&one, 1, 0) == 1;
}

/*
 * The server's own end, as the runtime tells it. A process that has ended is reaped first: an empty group without even
 * a zombie is seen with one call, a zombie's group only by reading all of /proc. While anybody of the group lives its
 * number stays its own.
 */
bool session_finish(struct session *session, struct sandbox *sandbox, const char *errors, int *ret_status,
                    struct npxc_error *err)
{
	int exit_status, signal_number;
	const bool ended = has_ended(sandbox);
	FAULT_POINT("session.finish");
	if (ended && !sandbox_wait(sandbox, &exit_status, &signal_number, err))
		return false;
	if (!janitor_end_sandbox(session->janitor, 0, err))
		return false;
	FAULT_POINT("session.sandbox-ended");
	if (!ended && !sandbox_wait(sandbox, &exit_status, &signal_number, err))
		return false;
	struct buf status_text BUF_CLEANUP = BUF_INIT(64 * KIB);
	struct npxc_error ignored;
	if (sandbox->status >= 0 && !fd_read_all(sandbox->status, &status_text, &ignored))
		log_debug("session", "the runtime's status pipe: %s", ignored.message);
	sandbox_done(sandbox);
	return runtime_judge_end(&session->runtime, exit_status, signal_number,
	                         status_text.data == NULL ? "" : status_text.data, errors == NULL ? "" : errors,
	                         ret_status, err);
}

/* ---- a sandbox of its own: installs ---- */

struct capture {
	struct sandbox *sandbox;
	struct proc_result *result;
	void (*on_stderr)(void *context, const char *bytes, size_t count);
	void *context;
};

/* One read of what is there; false at the end of the stream, which is then closed. */
static bool capture_some(struct capture *c, int *fd, struct buf *into)
{
	char bytes[16 * 1024];
	const ssize_t got = read(*fd, bytes, sizeof(bytes));
	if (got < 0 && (errno == EINTR || errno == EAGAIN))
		return true;
	if (got <= 0) {
		fd_close(fd);
		return false;
	}
	if (into == &c->result->errors && c->on_stderr != NULL)
		c->on_stderr(c->context, bytes, (size_t)got);
	struct npxc_error ignored;
	if (!buf_append(into, bytes, (size_t)got, &ignored)) {
		c->result->truncated = true;
		if (into == &c->result->errors) { /* the reason stands at the end */
			buf_consume(into, into->length / 2);
			c->result->truncated = !buf_append(into, bytes, (size_t)got, &ignored) || c->result->truncated;
		}
	}
	return true;
}

/* True when the sandbox has ended; false when time or a signal ended the wait. */
static bool capture_until_end(struct capture *c, unsigned timeout_ms)
{
	const int64_t deadline = clock_now_ms() + (int64_t)timeout_ms;
	for (;;) {
		struct pollfd polled[] = {
			{ .fd = c->sandbox->output, .events = POLLIN },
			{ .fd = c->sandbox->errors, .events = POLLIN },
			{ .fd = c->sandbox->exit_fd, .events = POLLIN },
			{ .fd = signals_fd(), .events = POLLIN },
		};
		const int64_t left = deadline - clock_now_ms();
		if (left <= 0)
			return false;
		if (poll(polled, 4, left > 60000 ? 60000 : (int)left) < 0 && errno != EINTR)
			return false;
		if (polled[0].revents)
			capture_some(c, &c->sandbox->output, &c->result->output);
		if (polled[1].revents)
			capture_some(c, &c->sandbox->errors, &c->result->errors);
		if (signals_caught())
			return false;
		if (polled[2].revents && !polled[0].revents && !polled[1].revents)
			return true;
	}
}

bool session_run(struct session *session, const struct launch *launch, struct route *route, unsigned timeout_ms,
                 void (*on_stderr)(void *context, const char *bytes, size_t count), void *context,
                 struct proc_result *ret_result, struct npxc_error *err)
{
	struct runtime_start what = { 0 };
	struct sandbox sandbox;
	if (!runtime_make_start(&session->runtime, launch, &what, err))
		return false;
	const bool started = start(session, launch, &what, route, &sandbox, err);
	runtime_start_done(&what);
	if (!started)
		return false;
	fd_close(&sandbox.input);

	struct proc_result result = { .output = BUF_INIT(LIMIT_CLI_OUTPUT_BYTES),
		                      .errors = BUF_INIT(LIMIT_CLI_OUTPUT_BYTES) };
	struct capture c = { .sandbox = &sandbox, .result = &result, .on_stderr = on_stderr, .context = context };
	const bool ended = capture_until_end(&c, timeout_ms);
	result.timed_out = !ended && !signals_caught();
	bool fine = ended || janitor_end_sandbox(session->janitor, signals_caught() ? LIMIT_GRACE_MS : 0, err);
	int status = -1;
	struct npxc_error judged = { 0 };
	if (fine && !session_finish(session, &sandbox, result.errors.data, &status, &judged) && ended) {
		*err = judged;
		fine = false;
	}
	sandbox_done(&sandbox);
	cgroup_plan_done(&session->cgroups); /* they were this sandbox's, not those of the server that may come */
	/* The CLI has ended by itself, and --rm with it; else the janitor looks at its end. */
	if (fine && ended && session->container_hold != 0)
		fine = janitor_release(session->janitor, session->container_hold, err);
	if (fine && signals_caught())
		fine = interrupted(err);
	if (!fine) {
		proc_result_done(&result);
		return false;
	}
	result.exit_status = status;
	*ret_result = result;
	return true;
}

/* ---- what the way out says ---- */

static void say_denial(const struct session_says *says, const struct egress_denial *denial)
{
	mem_cleanup char *asked = denial->port == 0 ? str_dup(denial->host) : rules_propose(denial->host, denial->port);
	mem_cleanup char *rule = says->learned == NULL ? egress_denial_rule(denial) : NULL;
	if (says->learned != NULL)
		learned_add(says->learned, denial);
	if (says->learned != NULL && denial->port == 0)
		return; /* it got an address, and nothing was refused yet */
	mem_cleanup char *line =
	    rule != NULL ? str_printf("npxc: %s was refused %s: %s; to allow it, add \"%s\"%s to network.allow in %s",
	                              says->package, asked, denial->why, rule,
	                              denial->port == 0 ? " (or the port that it uses: npxc learn sees it)" : "",
	                              says->allow_file)
	                 : str_printf("npxc: %s was refused %s: %s", says->package, asked, denial->why);
	mem_cleanup char *shown = str_escape(line, strlen(line)); /* the guest chose the name */
	says->say(says->context, shown);
}

bool session_report_denials(const struct session_says *says)
{
	enum { SHARE = 1000 }; /* one that speaks without end, as a healthy one does not, holds up nothing else */
	struct egress_denial denial;

	for (int i = 0; i < SHARE; i++) {
		switch (egress_read(&says->route->egress, &denial)) {
		case EGRESS_NOTHING:
			return true;
		case EGRESS_DENIED:
			say_denial(says, &denial);
			break;
		case EGRESS_ENDED:
			return false;
		}
	}
	return true;
}

/* ---- the relay ---- */

struct aside {
	struct pump *pump;
	struct session_says says;
};

/* More than this waiting for a client that does not read its stderr, and what comes is thrown away. */
static void say_to_client(void *context, const char *line)
{
	struct buf *said = pump_say(((struct aside *)context)->pump);
	mem_cleanup char *dressed = log_dress(line);
	struct npxc_error ignored;

	if (said->length < 64 * KIB && !buf_appendf(said, &ignored, "%s\n", dressed))
		log_debug("session", "%s", ignored.message);
}

static bool on_aside(void *context)
{
	struct aside *aside = context;

	if (session_report_denials(&aside->says))
		return true;
	say_to_client(aside, "npxc: the egress process has ended: nothing outside can be reached any more");
	return false;
}

static bool is_over(void *context)
{
	return relay_is_over(context);
}

static void log_counts(const struct pump *pump)
{
	const struct pump_counts counts = pump_counts(pump);
	log_info("session", "relayed %llu bytes to the server, %llu back, %llu to stderr",
	         (unsigned long long)counts.to_server, (unsigned long long)counts.to_client,
	         (unsigned long long)counts.to_stderr);
}

/* As long as the server has something to say, somebody is there to hear it, and there is time. */
static bool drain(struct pump *pump, struct npxc_error *err)
{
	enum pump_end end;

	do
		if (!pump_run(pump, &end, err))
			return false;
	while (end == PUMP_CLIENT_GONE);
	return true;
}

/*
 * Tells the server to end, and delivers what it says meanwhile and has said before, as its parent would read it without
 * npxc. After a signal there is an end to that: npxc has to be gone within LIMIT_SIGNAL_MS.
 */
static bool end_early(struct session *session, struct pump *pump, unsigned grace_ms, struct npxc_error *err)
{
	const int64_t until_ms = signals_caught() != 0 ? signals_time_ms() + LIMIT_SIGNAL_MS - LIMIT_LAST_WORDS_MS : 0;
	int answer;

	pump_close_server_input(pump);
	janitor_begin_to_end_sandbox(session->janitor, grace_ms, &answer);
	pump_set_wake(pump, answer, until_ms);
	if ((answer != -1 && !drain(pump, err)) || !janitor_await_end_of_sandbox(session->janitor, grace_ms, err))
		return false;
	pump_set_wake(pump, until_ms == 0 ? signals_fd() : -1, until_ms);
	return drain(pump, err);
}

static bool relay(struct session *session, struct pump *pump, bool *ret_by_itself, struct npxc_error *err)
{
	enum pump_end end = PUMP_SERVER_ENDED;
	if (!pump_run(pump, &end, err))
		return false;
	*ret_by_itself = end == PUMP_SERVER_ENDED;
	switch (end) {
	case PUMP_SERVER_ENDED:
		return true;
	case PUMP_CLIENT_GONE:
		log_info("session", "the client has gone");
		break;
	case PUMP_SERVER_STUCK:
		log_warn("session", "the server did not end after the client closed its side; it is told to");
		break;
	case PUMP_OVER:
		break; /* that has been said */
	case PUMP_WOKEN:
		log_info("session", "signal %d: the session ends", signals_caught());
		break;
	}
	if (!end_early(session, pump, LIMIT_GRACE_MS, err))
		return false;
	return end != PUMP_OVER || error_set(err, ERROR_RUNTIME, "the server has written too much");
}

bool session_relay(struct session *session, struct sandbox *sandbox, struct relay *looks,
                   const struct session_says *says, int *ret_status, struct npxc_error *err)
{
	const char *package = says->package;
	const struct route *route = says->route;
	struct aside aside = { .says = *says };
	aside.says.say = say_to_client;
	aside.says.context = &aside;
	const struct pump_ends ends = {
		.client_in = STDIN_FILENO,
		.client_out = STDOUT_FILENO,
		.client_err = STDERR_FILENO,
		.server_in = fd_take(&sandbox->input),
		.server_out = fd_take(&sandbox->output),
		.server_err = fd_take(&sandbox->errors),
		.wake = signals_fd(),
		.server_exit = sandbox->exit_fd,
		.aside = route == NULL ? -1 : route->egress.control,
		.on_aside = route == NULL ? NULL : on_aside,
		.aside_context = &aside,
		.tick_ms = relay_writes(looks) ? LIMIT_OUTPUT_LOOK_MS : 0,
		.is_over = is_over,
		.tick_context = looks,
	};
	struct pump *pump = NULL;
	bool by_itself = false;
	if (!pump_new(&ends, LIMIT_DRAIN_QUIET_MS, &pump, err))
		return false;
	aside.pump = pump;
	relay_attach(looks, pump);
	FAULT_POINT("session.relay");
	bool fine = relay(session, pump, &by_itself, err);
	size_t tail_length = 0;
	const char *tail = pump_stderr_tail(pump, &tail_length);
	mem_cleanup char *errors = str_dup_n(tail == NULL ? "" : tail, tail_length);
	const struct pump_counts counts = pump_counts(pump);
	log_counts(pump);
	relay_detach(looks);
	pump_free(pump);
	FAULT_POINT("session.relayed");

	int status = 0;
	struct npxc_error judged = { 0 };
	const bool ran = session_finish(session, sandbox, errors, &status, &judged);
	relay_finish(looks);
	if (!fine)
		return false;
	if (!ran && by_itself) {
		*err = judged;
		return false;
	}
	if (signals_caught())
		return interrupted(err);
	if (!by_itself || counts.client_closed) {
		if (status != 0)
			log_info("session", "%s ended with status %d after the client had closed its side", package,
			         status);
		*ret_status = 0;
		return true;
	}
	if (status > 128 && status < 128 + NSIG)
		log_notice("%s ended by itself with status %d (signal %d, %s)", package, status, status - 128,
		           strsignal(status - 128));
	else
		log_notice("%s ended by itself with status %d", package, status);
	*ret_status = status;
	return true;
}

void session_close(struct session *session)
{
	struct npxc_error err;
	FAULT_POINT("session.close");
	tell_guards(session);
	if (session->janitor != NULL && !janitor_end(session->janitor, LIMIT_TEARDOWN_MS, &err))
		log_warn("janitor", "%s", err.message);
	session->janitor = NULL;
	FAULT_POINT("session.closed");
	if (session->has_runtime)
		runtime_done(&session->runtime);
	cgroup_plan_done(&session->cgroups);
	free(session->guards_file);
	free(session->leases);
	free(session->id);
	*session = (struct session){ 0 };
}
