#include "commands/sees.h"

static const char SETTINGS[] = "public settings in /etc";

void sees_system(const struct session *session, struct strv *ret_places)
{
	const struct strv *mounts = &session->runtime.system_mounts;
	struct strv places = { 0 };

	for (size_t i = 0; i < mounts->count; i++) {
		const char *path = mounts->v[i];
		const char *place = str_path_within(path, "/etc") ? SETTINGS : path;

		if (!strv_contains(&places, place) && (place == SETTINGS || !strv_holds_path(&places, path)))
			strv_push(&places, place);
	}
	*ret_places = places;
}

/* By a mount: all of what is at `path`, or only something in it. */
static bool is_shown(const struct session *session, const char *path, bool whole)
{
	for (size_t i = 0; i < session->in.mounts.count; i++) {
		const char *source = session->in.mounts.v[i].source;

		if (whole ? str_path_within(path, source) : str_path_within(source, path))
			return true;
	}
	return false;
}

static void add(const struct session *session, const char *path, const char *name, struct strv *things)
{
	if (path == NULL || is_shown(session, path, true))
		return;
	strv_pushf(things, "%s%s", name, is_shown(session, path, false) ? " but for what is mounted" : "");
}

void sees_hidden(const struct session *session, struct strv *ret_things)
{
	const struct runtime_driver *driver = runtime_driver(session->runtime.kind);
	const char *home = session->in.real_home != NULL ? session->in.real_home : session->in.paths.home;
	struct strv things = { 0 };

	add(session, home, "the home directory", &things);
	if (home == NULL || !is_shown(session, home, true))
		strv_push(&things, "other projects");
	strv_push(&things, "other processes");
	add(session, "/etc", driver->has_containers ? "/etc" : "/etc but for public settings", &things);
	if (session->in.policy.kind != POLICY_OPEN || driver->open_network != NULL)
		strv_push(&things, "the network's devices");
	*ret_things = things;
}
