#include "fuzz.h"

#include "base/mem.h"
#include "base/str.h"
#include "config/config.h"
#include "config/edit.h"

static void copy(char **to, const char *bytes, size_t length)
{
	memcpy(*to, bytes, length);
	*to += length;
}

/* What `patch` makes of a text and a diff of it; owned. */
static char *patched(const char *before, const char *diff)
{
	char *after = mem_alloc(strlen(before) + strlen(diff) + 1);
	char *to = after;
	size_t line = 1;

	for (unsigned i = 0; i < 2 && *diff != '\0'; i++)
		diff = strchr(diff, '\n') + 1; /* --- and +++ */
	while (*diff != '\0') {
		const char *next = strchr(diff, '\n') + 1;
		const bool lone = *next == '\\'; /* "No newline at end of file" */
		const size_t length = (size_t)(next - diff) - 1 - lone;

		if (*diff == '@') {
			for (const size_t start = strtoul(diff + strlen("@@ -"), NULL, 10); line < start; line++) {
				const size_t kept = strcspn(before, "\n") + 1;
				copy(&to, before, kept);
				before += kept;
			}
			diff = next;
			continue;
		}
		if (*diff != '+') {
			REQUIRE(strncmp(before, diff + 1, length) == 0);
			before += length;
			line++;
		}
		if (*diff != '-')
			copy(&to, diff + 1, length);
		diff = lone ? strchr(next, '\n') + 1 : next;
	}
	copy(&to, before, strlen(before));
	return after;
}

/* The text of a package's file: rules put into it are in it, and it says nothing else that it did not say. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct npxc_error err = { 0 };
	struct config_package before, after;
	struct strv rules = { 0 };
	char *text = NULL;
	mem_cleanup char *given = str_dup_n(size > 0 ? (const char *)data : "", size);

	strv_push(&rules, "added.fuzz.test:443");
	strv_push(&rules, "[2001:db8::1]:5432");
	const bool whole = config_parse_package(given, size, "f", &before, &err);
	if (!whole)
		require_refusal(&err, ERROR_CONFIG);
	if (edit_allow(given, size, "f", &rules, &text, &err)) {
		REQUIRE(whole);
		REQUIRE(config_parse_package(text, strlen(text), "f", &after, &err));
		REQUIRE(str_equal(after.network_mode, "allowlist"));
		REQUIRE(after.network_allow.count == before.network_allow.count + rules.count);
		for (size_t i = 0; i < after.network_allow.count; i++)
			REQUIRE(str_equal(after.network_allow.v[i], i < before.network_allow.count
			                                                ? before.network_allow.v[i]
			                                                : rules.v[i - before.network_allow.count]));
		REQUIRE(str_equal(after.network_link, before.network_link) && str_equal(after.version, before.version));
		REQUIRE(after.env_count == before.env_count && after.mount_count == before.mount_count);
		config_package_done(&after);
		mem_cleanup char *diff = edit_diff(given, text, "f");
		mem_cleanup char *again = patched(given, diff);
		REQUIRE(strcmp(again, text) == 0);
		free(text);
	} else {
		require_refusal(&err, ERROR_CONFIG);
	}
	if (whole)
		config_package_done(&before);
	strv_done(&rules);
	return 0;
}
