#include "session/session.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/signals.h"
#include "files/guards.h"
#include "teardown/lease.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool session_open(struct session *session, struct npxc_error *err)
{
	session->leases = inputs_sessions_directory(&session->in);
	session->id = lease_new_id(session->leases);
	if (!janitor_start(session->leases, session->id, &session->janitor, err) || !signals_install(err))
		return false;
	FAULT_POINT("session.opened");
	return true;
}

bool session_describe_installation(const struct session *session, const char *runtime, struct npxc_error *err)
{
	mem_cleanup char *specs = strv_shell(&session->in.options->specs);
	const struct janitor_facts facts = {
		.name = "", .package = specs, .version = "", .runtime = runtime, .policy = "", .link = ""
	};
	return janitor_describe(session->janitor, &facts, err);
}

bool session_plan(struct session *session, bool starts, bool notes, struct npxc_error *err)
{
	const int64_t began = clock_now_us();
	struct plan_draws draws;
	if (!inputs_gather(&session->in, &session->runtime, &session->package, starts, err))
		return false;
	if (notes)
		inputs_note(&session->in);
	session->notices = (struct notices){ .label = store_package_label(&session->package),
		                             .file = session->in.package_config.file,
		                             .quiet = session->in.options->quiet,
		                             .json = session->in.options->json };
	plan_draw(session->id, &session->in.policy, &draws);
	session->has_plan = plan_make(&session->in, &session->runtime, &session->package, &draws, &session->plan, err);
	plan_draws_done(&draws);
	session->plan_us = clock_now_us() - began;
	return session->has_plan;
}

bool session_interrupted(struct npxc_error *err)
{
	return error_set(err, ERROR_RUNTIME, "interrupted by signal %d (%s)", signals_caught(),
	                 strsignal(signals_caught()));
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

static void end_janitor(struct session *session)
{
	struct npxc_error err;
	FAULT_POINT("session.close");
	tell_guards(session);
	if (!janitor_end(session->janitor, LIMIT_TEARDOWN_MS, &err))
		log_warn("janitor", "%s", err.message);
	FAULT_POINT("session.closed");
}

void session_close(struct session *session)
{
	/* Before the janitor goes: what is open is recorded, and its directory can be removed. */
	if (session->route != NULL)
		route_done(session->route);
	free(session->route);
	relay_free(session->relay);
	notice_done(&session->notices);
	netcount_close(&session->netcount);
	lost_close(&session->lost);
	strv_done(&session->visible);
	free(session->cwd_by_home);
	if (session->janitor != NULL)
		end_janitor(session);
	if (session->has_runtime)
		runtime_done(&session->runtime);
	cgroup_plan_done(&session->cgroups);
	free(session->guards_file);
	free(session->leases);
	free(session->id);
	if (session->has_plan)
		plan_done(&session->plan);
	fd_close(&session->store_lock);
	if (session->has_package)
		store_package_done(&session->package);
	inputs_done(&session->in);
	*session = SESSION_NONE;
}
