#include "session/run.h"
#include "commands/commands.h"
#include "session/acquire.h"

bool run_command(const struct options *options, int *ret_status, struct npxc_error *err)
{
	if (options->dry_run)
		return inspect_command(options, ret_status, err);
	struct session s = SESSION_NONE;
	struct sandbox sandbox;
	const bool fine = inputs_read(options, &s.in, err) && acquire_plan(&s, err) && acquire_surroundings(&s, err) &&
	                  acquire_server(&s, &sandbox, err) && run_relay(&s, &sandbox, NULL, ret_status, err);
	session_close(&s);
	return fine;
}
