#include "fuzz.h"

#include "base/limits.h"
#include "base/str.h"
#include "teardown/lease.h"

/* What is read names only what npxc makes, and says the same when it is written again. */
static char *written(const struct lease *lease)
{
	char *header = lease_line_header(lease), *facts = lease_line_facts(lease);
	char *sandbox = lease_line_sandbox(&lease->sandbox, lease->stop);
	char *text = str_printf("%s%s%s", header, facts, sandbox);

	for (size_t i = 0; i < lease->count; i++) {
		char *line = lease_line_hold(&lease->entries[i]);
		char *longer = str_printf("%s%s", text, line);

		free(text), free(line);
		text = longer;
	}
	free(header), free(facts), free(sandbox);
	return text;
}

static void check(const struct lease *lease)
{
	struct npxc_error err = { 0 };
	struct lease again;
	char *text, *second;

	REQUIRE(lease->count <= LIMIT_JANITOR_ENTRIES);
	REQUIRE(lease->sandbox.pid == 0 || lease->sandbox.pid > 1);
	for (size_t i = 0; i < lease->count; i++) {
		const struct lease_entry *entry = &lease->entries[i];

		REQUIRE(resource_objection(entry->kind, &entry->words) == NULL);
		REQUIRE(entry->id > 0 && entry->id <= lease->last_id);
		REQUIRE(entry->kind != RESOURCE_CONTAINER || resource_is_session_name(lease_entry_name(entry)));
	}
	if (lease->id[0] == '\0')
		return;
	text = written(lease);
	REQUIRE(lease_parse(text, strlen(text), &again, &err));
	second = written(&again);
	REQUIRE(strcmp(text, second) == 0);
	lease_done(&again);
	free(text), free(second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct npxc_error err = { 0 };
	struct lease lease;

	if (!lease_parse((const char *)data, size, &lease, &err)) {
		require_refusal(&err, ERROR_JSON);
		return 0;
	}
	check(&lease);
	lease_done(&lease);
	return 0;
}
