#include "commands/commands.h"
#include "commands/describe.h"
#include "commands/prepare.h"
#include "commands/print.h"

#include <cjson/cJSON.h>

/* Starts nothing and installs nothing: what is not installed is an error with the command that installs it. */
bool inspect_command(const struct options *options, int *ret_status, struct npxc_error *err)
{
	struct prepared p;
	if (!prepare_config(options, &p, err))
		return false;
	bool fine = prepare_package_config(&p, err) && prepare_session(&p, err) &&
	            prepare_package(&p, STORE_LOOK, err) && prepare_plan(&p, NULL, !options->json, err);
	if (fine && options->json) {
		cJSON *json = describe_json(&p);
		fine = print_json(json, err);
		cJSON_Delete(json);
	} else if (fine) {
		describe_text(&p, true);
	}
	prepare_done(&p);
	*ret_status = 0;
	return fine;
}
