#include "fuzz.h"

#include "base/str.h"
#include "base/terminal.h"

/* What is shown is lines of text that begin with the label, and does not depend on how the bytes were cut. */
static void require_harmless(const char *shown, size_t length)
{
	const size_t label = strlen(TERMINAL_LABEL);
	bool at_start = true;
	size_t n;

	for (size_t i = 0; i < length; i += n) {
		n = 1;
		if (at_start) {
			REQUIRE(length - i >= label && memcmp(shown + i, TERMINAL_LABEL, label) == 0);
			i += label;
			at_start = false;
			if (i == length)
				break;
		}
		if (shown[i] == '\n')
			at_start = true;
		else if (shown[i] != '\t')
			REQUIRE(str_look(shown + i, length - i, &n) == STR_PLAIN);
	}
}

/* Pieces of the lengths that the input's own bytes say. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *bytes = size > 0 ? (const char *)data : "";
	struct terminal_filter whole = { 0 }, pieces = { 0 };
	char *once = malloc(TERMINAL_ROOM(size));
	char *cut = malloc(TERMINAL_ROOM(size));
	size_t used = 0;

	REQUIRE(once != NULL && cut != NULL);
	size_t length = terminal_filter(&whole, bytes, size, once);
	length += terminal_filter_end(&whole, once + length);
	for (size_t at = 0; at < size;) {
		const size_t wanted = (size_t)data[at] % 5;
		const size_t count = wanted < size - at ? wanted : size - at;

		used += terminal_filter(&pieces, bytes + at, count, cut + used);
		REQUIRE(used <= TERMINAL_ROOM(size));
		at += count;
		if (count == 0 && at < size)
			used += terminal_filter(&pieces, bytes + at++, 1, cut + used);
	}
	used += terminal_filter_end(&pieces, cut + used);
	REQUIRE(length <= TERMINAL_ROOM(size) && used == length && memcmp(once, cut, used) == 0);
	require_harmless(once, length);
	free(once);
	free(cut);
	return 0;
}
