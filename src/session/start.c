#include "session/start.h"

#include "base/fault.h"
#include "base/fd.h"
#include "base/signals.h"
#include "contain/cgroup.h"
#include "teardown/sweep.h"

#include <stdlib.h>

/* ---- the network and the way out ---- */

static bool announce_network(void *context, const char *name, struct npxc_error *err)
{
	struct session *session = context;
	unsigned ignored;
	FAULT_POINT("network.hold");
	if (!WITHOUT("announce") &&
	    !janitor_hold_named(session->janitor, RESOURCE_NETWORK, &session->runtime, name, &ignored, err))
		return false;
	FAULT_POINT("network.held");
	return true;
}

bool start_way_out(struct session *session, struct network_choice *network, struct route *route, struct launch *launch,
                   struct npxc_error *err)
{
	if (signals_caught())
		return session_interrupted(err);
	if (!network_provision(&session->runtime, network, announce_network, session, err))
		return false;
	if (route == NULL)
		return true;
	if (!route_open(route, session->janitor, &network->network, err))
		return false;
	route_fill(route, &network->network, launch);
	return true;
}

/* ---- the sandbox ---- */

/* The resources that a start acquires beside its process. */
static bool hold_sandbox(struct session *session, const struct launch *launch, int cgroup_fds[static 4],
                         size_t *ret_count, struct npxc_error *err)
{
	*ret_count = 0;
	cgroup_plan_done(&session->cgroups);
	session->cgroups = (struct cgroup_plan){ 0 };
	session->limits = (struct cgroup_limits){ .memory_bytes = launch->memory_bytes,
		                                  .cpu_millis = launch->cpu_millis,
		                                  .pids = launch->pids };
	session->container_hold = 0;
	if (runtime_driver(session->runtime.kind)->has_containers) {
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

bool start_sandbox(struct session *session, const struct launch *launch, const struct runtime_start *what,
                   struct route *route, struct sandbox *ret_sandbox, struct npxc_error *err)
{
	const bool netns = what->enters_netns && route != NULL;
	struct sandbox_netns entered = { .handoff = -1 };
	if (netns)
		entered = (struct sandbox_netns){ .request = &route->request, .handoff = route->egress.handoff };
	int cgroup_fds[4] = { -1, -1, -1, -1 };
	size_t count = 0;
	if (signals_caught())
		return session_interrupted(err);
	/* The process's own start and the acquisitions go side by side. What the guest makes the egress process hold
	 * counts as the guest's. */
	const bool started = hold_sandbox(session, launch, cgroup_fds, &count, err) &&
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
