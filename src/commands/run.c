#include "commands/commands.h"
#include "commands/prepare.h"

bool run_command(const struct options *options, int *ret_status, struct npxc_error *err)
{
	if (options->dry_run)
		return inspect_command(options, ret_status, err);
	struct prepared p;
	struct sandbox sandbox;
	if (!prepare_start(options, &p, err))
		return false;
	const bool fine = prepare_workspace(&p, err) && session_start(&p.session, &p.plan, p.route, &sandbox, err) &&
	                  session_relay(&p.session, &sandbox, p.relay,
	                                &(struct session_says){ .route = p.route,
	                                                        .package = store_package_label(&p.package),
	                                                        .allow_file = p.package_config.file },
	                                ret_status, err);
	prepare_done(&p);
	return fine;
}
