#include "commands/commands.h"
#include "commands/print.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/signals.h"
#include "base/str.h"
#include "session/acquire.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>

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

/* What fails keeps nothing else from being installed; each is told, and the first one's kind is the whole's. */
static bool install_each(const struct options *options, cJSON *report, struct npxc_error *err)
{
	mem_cleanup char *failed = str_dup("");
	struct npxc_error first = { 0 };
	for (size_t i = 0; i < options->specs.count; i++) {
		struct options one = *options;
		struct npxc_error why = { 0 };
		one.specs = (struct strv){ 0 };
		strv_push(&one.specs, options->specs.v[i]);
		const bool fine = install_one(&one, report, &why);
		strv_done(&one.specs);
		if (fine)
			continue;
		if (options->specs.count == 1 || signals_caught() != 0) {
			*err = why;
			return false;
		}
		if (first.kind == ERROR_NONE)
			first = why;
		log_notice("%s: %s: %s", options->specs.v[i], error_kind_text(why.kind), why.message);
		char *longer = str_printf("%s%s%s", failed, failed[0] == '\0' ? "" : ", ", options->specs.v[i]);
		free(failed);
		failed = longer;
	}
	return first.kind == ERROR_NONE ||
	       error_set(err, first.kind, "not installed: %s; the reasons are above", failed);
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
		fine = install_each(options, report, err);
	}
	if (options->json && signals_caught() == 0 && (fine || cJSON_GetArraySize(report) > 0)) {
		struct npxc_error why = { 0 };
		if (!print_json(report, &why) && fine) {
			*err = why;
			fine = false;
		}
	}
	cJSON_Delete(report);
	*ret_status = 0;
	return fine;
}
