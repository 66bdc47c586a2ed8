#include "commands/commands.h"
#include "commands/print.h"

#include "base/mem.h"
#include "session/acquire.h"

#include <cjson/cJSON.h>
#include <stdio.h>

/* One spec at a time, so that one that fails leaves the others installed. With -p they are one set. */
static bool install_one(const struct options *options, cJSON *report, struct npxc_error *err)
{
	struct session s = SESSION_NONE;
	const enum store_wish wish = options->force ? STORE_FORCE : options->update ? STORE_UPDATE : STORE_ENSURE;
	if (!inputs_read(options, &s.in, err) || !inputs_load_package(&s.in, err) || !acquire_runtime(&s, err) ||
	    !acquire_package(&s, wish, err)) {
		session_close(&s);
		return false;
	}
	cJSON *entry = cJSON_CreateObject();
	cJSON_AddStringToObject(entry, "name", s.package.name);
	if (s.package.source != NULL)
		cJSON_AddStringToObject(entry, "source", s.package.source);
	cJSON_AddStringToObject(entry, "version", s.package.version);
	cJSON_AddStringToObject(entry, "platform", s.package.platform);
	cJSON_AddStringToObject(entry, "directory", s.package.directory);
	cJSON_AddBoolToObject(entry, "installed_now", s.package.installed_now);
	cJSON_AddItemToArray(report, entry);
	if (!options->json)
		print_row("%s %s %s", store_package_label(&s.package), s.package.version,
		          s.package.installed_now ? "installed"
		          : s.package.linked.count > 0 && s.package.dependencies == NULL
		              ? "is run where it is; nothing has to be installed"
		              : "is installed already");
	session_close(&s);
	return true;
}

bool install_command(const struct options *options, int *ret_status, struct npxc_error *err)
{
	if (options->specs.count == 0)
		return error_set(err, ERROR_CONFIG, "no package given: npxc install <spec>...");
	cJSON *report = cJSON_CreateArray();
	bool fine = true;
	if (options->explicit_packages) {
		fine = install_one(options, report, err);
	} else {
		for (size_t i = 0; fine && i < options->specs.count; i++) {
			struct options one = *options;
			one.specs = (struct strv){ 0 };
			strv_push(&one.specs, options->specs.v[i]);
			fine = install_one(&one, report, err);
			strv_done(&one.specs);
		}
	}
	if (fine && options->json)
		fine = print_json(report, err);
	cJSON_Delete(report);
	*ret_status = 0;
	return fine;
}
