#include "fuzz.h"

#include "base/limits.h"
#include "base/str.h"
#include "json/jsonc.h"

#include <cjson/cJSON.h>

/* Every value has a line, and lines never go back in document order. */
static void check_lines(const struct jsonc *document, const cJSON *here, unsigned last, unsigned depth, size_t *index)
{
	size_t own = (*index)++;
	const cJSON *child;

	REQUIRE(own < document->count && depth <= LIMIT_JSON_DEPTH);
	REQUIRE(document->lines[own] >= 1 && document->lines[own] <= last);
	REQUIRE(own == 0 || document->lines[own] >= document->lines[own - 1]);
	if (own + 1 == document->count) /* one that stands for all: it is a walk over the whole tree */
		REQUIRE(jsonc_line(document, here) == document->lines[own]);
	cJSON_ArrayForEach(child, here) check_lines(document, child, last, depth + 1, index);
}

/* What was read, printed and read again is the same. */
static void check_again(const struct jsonc *document)
{
	char *printed = cJSON_Print(document->root);
	struct npxc_error err = { 0 };
	struct jsonc again;

	REQUIRE(printed != NULL);
	/* cJSON prints an infinite number as null and may print long ones in more digits than the ceiling: only texts
	 * without numbers come back for certain. */
	if (strpbrk(printed, "0123456789") == NULL && strstr(printed, "null") == NULL) {
		REQUIRE(jsonc_parse(printed, strlen(printed), "again", &again, &err));
		REQUIRE(cJSON_Compare(document->root, again.root, true));
		jsonc_done(&again);
	}
	free(printed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = size > 0 ? (const char *)data : "";
	struct npxc_error err = { 0 };
	struct jsonc document;
	unsigned last = 1;
	size_t index = 0;

	if (!jsonc_parse(text, size, "f", &document, &err)) {
		require_refusal(&err, ERROR_CONFIG);
		REQUIRE(str_starts(err.message, "f:"));
		return 0;
	}
	REQUIRE(err.kind == ERROR_NONE);
	REQUIRE(memchr(text, '\0', size) == NULL);
	for (size_t i = 0; i < size; i++)
		last += text[i] == '\n';
	check_lines(&document, document.root, last, 0, &index);
	REQUIRE(index == document.count);
	check_again(&document);
	jsonc_done(&document);
	return 0;
}
