#include "session/withheld.h"

#include "base/buf.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "store/variables.h"

#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

/* names: of variables on one line. */
enum { NAMES_MAX = 12 };

/* Names as they are told, as flags, and as a list of JSON. */
struct names {
	struct buf told, flags, list;
	size_t count;
};

static void add_name(struct names *names, const char *name)
{
	const char *comma = names->count == 0 ? "" : ", ";
	struct npxc_error ignored;

	if (names->count < NAMES_MAX &&
	    (!buf_appendf(&names->told, &ignored, "%s%s", comma, name) ||
	     !buf_appendf(&names->flags, &ignored, "%s-e %s", names->count == 0 ? "" : " ", name) ||
	     !buf_appendf(&names->list, &ignored, "%s\"%s\"", comma, name)))
		log_debug("session", "%s", ignored.message);
	names->count++;
}

/* One with no value withholds nothing. */
static bool is_withheld(const struct session *session, const char *name, bool has_network)
{
	const char *value = getenv(name);

	return !str_is_empty(value) && !strv_contains(&session->plan.env_names, name) &&
	       !variables_is_common(name, has_network);
}

void withheld_tell_files(struct session *session)
{
	const struct mounts *mounts = &session->in.mounts;

	for (size_t i = 0; i < mounts->unseen.count; i++)
		if (!runtime_shows(&session->runtime, mounts->unseen.v[i]))
			notice_tell_path(&session->notices, mounts->unseen.v[i], mounts->unseen_why.v[i]);
}

void withheld_tell_variables(struct session *session)
{
	const struct store_package *package = &session->package;
	const enum policy_kind policy = session->in.policy.kind;
	struct names names = { BUF_INIT(SIZE_MAX), BUF_INIT(SIZE_MAX), BUF_INIT(SIZE_MAX), 0 };
	struct strv scanned = { 0 };
	struct npxc_error why;
	bool complete;

	/* Of a directory that is run where it lies, and of what an older npxc installed, nothing is on record. */
	if (!package->has_variables &&
	    !variables_scan(package->directory, package->package_root, true, &scanned, &complete, &why))
		log_info("session", "the variables that the package reads are not known: %s", why.message);
	const struct strv *reads = package->has_variables ? &package->variables : &scanned;
	for (size_t i = 0; i < reads->count; i++)
		if (is_withheld(session, reads->v[i], policy == POLICY_OPEN || policy == POLICY_NAMED))
			add_name(&names, reads->v[i]);
	if (names.count > 0) {
		mem_cleanup char *more =
		    names.count <= NAMES_MAX ? str_dup("") : str_printf(" and %zu more", names.count - NAMES_MAX);
		mem_cleanup char *told = str_printf("%s%s", names.told.data, more);

		notice_tell(&session->notices, NOTICE_VARIABLES,
		            &(struct notice){ .subject = told, .flag = names.flags.data, .key = names.list.data });
	}
	buf_done(&names.told);
	buf_done(&names.flags);
	buf_done(&names.list);
	strv_done(&scanned);
}

/* milliseconds: bubblewrap tells its first process within 5; Node needs more before it runs a line of the package. */
enum { FIRST_PID_MS = 250 };

void withheld_watch(struct session *session, struct sandbox *sandbox)
{
	const pid_t pid = sandbox_first_pid(sandbox, session->runtime.kind, FIRST_PID_MS);

	if (pid == 0)
		return;
	lost_watch(&session->lost, pid);
	if (session->in.policy.kind == POLICY_NONE && !netcount_open(pid, &session->netcount))
		log_debug("session", "the counters of the server's network cannot be read");
	/* If it has ended by now its number may have become another one's. */
	if (sandbox_has_ended(sandbox)) {
		netcount_close(&session->netcount);
		lost_close(&session->lost);
	}
}

/* Nothing that has a quote or a backslash in it: a guest chose these names, and a user is to paste them. */
static bool is_plain(const char *name)
{
	return str_ends(name, "/") &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._@+-/ ") == strlen(name);
}

void withheld_tell_lost(struct session *session)
{
	struct buf told BUF_CLEANUP = BUF_INIT(SIZE_MAX), list BUF_CLEANUP = BUF_INIT(SIZE_MAX);
	struct strv names __attribute__((cleanup(strv_done))) = { 0 };
	struct npxc_error ignored;
	bool fine = true;

	lost_open(&session->lost, session->plan.launch.home);
	lost_names(&session->lost, &names);
	lost_close(&session->lost); /* its memory goes with it */
	for (size_t i = 0; i < names.count && i < NAMES_MAX && fine; i++) {
		const char *name = names.v[i];

		fine = buf_appendf(&told, &ignored, "%s%s", i == 0 ? "" : ", ", name) &&
		       (!is_plain(name) || buf_appendf(&list, &ignored, "%s\"%.*s\"", list.length == 0 ? "" : ", ",
		                                       (int)strlen(name) - 1, name));
	}
	if (names.count > NAMES_MAX)
		fine = fine && buf_appendf(&told, &ignored, " and %zu more", names.count - NAMES_MAX);
	if (fine && names.count > 0)
		notice_tell(&session->notices, list.length > 0 ? NOTICE_LOST : NOTICE_LOST_FILES,
		            &(struct notice){ .subject = told.data, .key = list.length > 0 ? list.data : "" });
}

static void tell_network(struct session *session)
{
	struct netcount_tried tried;

	if (!netcount_read(&session->netcount, &tried) || tried.unreachable + tried.lookups + tried.refused == 0)
		return;
	mem_cleanup char *what =
	    str_printf("%s%s%s%s%s", tried.unreachable > 0 ? "connections" : "",
	               tried.unreachable > 0 && tried.lookups > 0 ? ", " : "", tried.lookups > 0 ? "name look-ups" : "",
	               tried.refused > 0 && tried.unreachable + tried.lookups > 0 ? ", " : "",
	               tried.refused > 0 ? "localhost, where it is alone" : "");
	notice_tell(&session->notices, NOTICE_NETWORK, &(struct notice){ .subject = "network", .why = what });
}

static void tell_memory(struct session *session, enum notice_kind kind)
{
	const uint64_t bytes = session->plan.launch.memory_bytes;
	mem_cleanup char *ceiling = str_printf("%" PRIu64 " MiB", bytes / MIB);
	mem_cleanup char *twice = str_printf("%" PRIu64 "m", 2 * bytes / MIB);

	notice_tell(&session->notices, kind, &(struct notice){ .subject = ceiling, .flag = twice, .key = twice });
}

void withheld_tell_limits(struct session *session)
{
	const struct cgroup_plan *held = &session->cgroups;

	if (runtime_driver(session->runtime.kind)->has_containers || held->reason == NULL)
		return;
	mem_cleanup char *text = cgroup_text(held, &session->limits);
	notice_tell(&session->notices, NOTICE_NO_LIMIT, &(struct notice){ .subject = text });
}

static void tell_ceilings(struct session *session)
{
	const struct cgroup_reached reached = cgroup_reached(&session->cgroups);
	mem_cleanup char *processes = str_printf("%u", session->limits.pids);

	if (reached.killed > 0)
		tell_memory(session, NOTICE_MEMORY);
	if (reached.unforked > 0)
		notice_tell(&session->notices, NOTICE_PROCESSES, &(struct notice){ .subject = processes });
}

void withheld_tell_trouble(struct session *session)
{
	tell_ceilings(session);
	tell_network(session);
}

void withheld_tell_end(struct session *session, int status, const char *errors)
{
	if (status == 128 + SIGKILL && runtime_driver(session->runtime.kind)->has_containers)
		tell_memory(session, NOTICE_KILLED); /* an engine forgets its container, and why it ended */
	tell_ceilings(session); /* a process of the server's may have been killed, and the server gone on */
	/* One that answers nothing and ends with 0 has failed too. */
	if (status == -1 || (status == 0 && relay_unanswered(session->relay, true)->count == 0))
		return;
	withheld_tell_trouble(session);
	relay_tell_failure(session->relay, errors, strlen(errors), false);
}

void withheld_tell_unanswered(struct session *session)
{
	const struct pending *pending = relay_unanswered(session->relay, true);

	if (pending->count == 0)
		return;
	withheld_tell_trouble(session);
	mem_cleanup char *methods = pending_methods(pending);
	mem_cleanup char *count =
	    str_printf("%s%zu request%s", pending->count == PENDING_REQUESTS_MAX ? "at least " : "", pending->count,
	               pending->count == 1 ? "" : "s");
	notice_tell(&session->notices, NOTICE_UNANSWERED, &(struct notice){ .subject = count, .why = methods });
}
