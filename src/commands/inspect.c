#include "commands/commands.h"
#include "commands/describe.h"
#include "commands/print.h"
#include "session/acquire.h"
#include "session/withheld.h"

#include <cjson/cJSON.h>

/* Starts nothing and installs nothing: what is not installed is an error with the command that installs it. */
bool inspect_command(const struct options *options, int *ret_status, struct npxc_error *err)
{
	struct session s = SESSION_NONE;
	bool fine = inputs_read(options, &s.in, err) && inputs_load_package(&s.in, err) && acquire_runtime(&s, err) &&
	            acquire_package(&s, STORE_LOOK, err) && session_plan(&s, false, !options->json, err);
	if (fine && !options->json) {
		withheld_tell_files(&s);
		withheld_tell_variables(&s);
	}
	if (fine)
		plan_show(&s.plan);
	if (fine && options->json) {
		cJSON *json = describe_json(&s);
		fine = print_json(json, err);
		cJSON_Delete(json);
	} else if (fine) {
		describe_text(&s, true);
	}
	session_close(&s);
	*ret_status = 0;
	return fine;
}
