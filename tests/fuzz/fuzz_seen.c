#include "fuzz.h"

#include "runtime/seen.h"

/* What doctor --probe has kept: whatever is taken is written as it was read, and names no link that is not one. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct npxc_error err = { 0 };
	struct seen_links seen, again;

	if (!seen_parse(size > 0 ? (const char *)data : "", size, "f", &seen, &err)) {
		require_refusal(&err, ERROR_CONFIG);
		return 0;
	}
	char *text = seen_text(&seen);
	REQUIRE(seen_parse(text, strlen(text), "f", &again, &err));
	REQUIRE(again.count == seen.count);
	for (size_t i = 0; i < seen.count; i++) {
		const struct seen_entry *a = &seen.v[i], *b = &again.v[i];
		REQUIRE(a->link != POLICY_LINK_AUTO);
		REQUIRE(a->runtime == b->runtime && a->link == b->link && a->ok == b->ok);
		REQUIRE(strcmp(a->version, b->version) == 0 && strcmp(a->when, b->when) == 0);
	}
	free(text);
	seen_done(&seen);
	seen_done(&again);
	return 0;
}
