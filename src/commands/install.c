#include "commands/commands.h"
#include "commands/prepare.h"
#include "commands/print.h"

#include "base/mem.h"

#include <cjson/cJSON.h>
#include <stdio.h>

/* One spec at a time, so that one that fails leaves the others installed. With -p they are one set. */
static bool install_one(const struct options *options, cJSON *report, struct npxc_error *err)
{
	struct prepared p;
	const enum store_wish wish = options->force ? STORE_FORCE : options->update ? STORE_UPDATE : STORE_ENSURE;
	if (!prepare_config(options, &p, err))
		return false;
	if (!prepare_package_config(&p, err) || !prepare_session(&p, err) || !prepare_package(&p, wish, err)) {
		prepare_done(&p);
		return false;
	}
	cJSON *entry = cJSON_CreateObject();
	cJSON_AddStringToObject(entry, "name", p.package.name);
	if (p.package.source != NULL)
		cJSON_AddStringToObject(entry, "source", p.package.source);
	cJSON_AddStringToObject(entry, "version", p.package.version);
	cJSON_AddStringToObject(entry, "platform", p.package.platform);
	cJSON_AddStringToObject(entry, "directory", p.package.directory);
	cJSON_AddBoolToObject(entry, "installed_now", p.package.installed_now);
	cJSON_AddItemToArray(report, entry);
	if (!options->json)
		print_row("%s %s %s", store_package_label(&p.package), p.package.version,
		          p.package.installed_now ? "installed" : "is installed already");
	prepare_done(&p);
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
