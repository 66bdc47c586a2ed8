#include "fuzz.h"

#include "base/limits.h"
#include "mcp/rewrite.h"

static const char *find(void *context, const char *id, size_t length)
{
	(void)context;
	REQUIRE(length > 0 && length <= REWRITE_ID_MAX);
	for (size_t i = 0; i < length; i++)
		REQUIRE(id[i] == '_' || id[i] == '-' || (id[i] >= '0' && id[i] <= '9') ||
		        ((id[i] | 0x20) >= 'a' && (id[i] | 0x20) <= 'z'));
	if (length == 2 && memcmp(id, "a1", 2) == 0)
		return "/home/u";
	if (length == 1)
		return id[0] == 'r' ? "/" : id[0] == 'q' ? "/h \"\\\n\xc3\xa9\xff" : NULL;
	return NULL;
}

/* Strings that an edit may replace: every one that is a value, up to a few. */
enum { EDITS = 8 };

static void collect(struct json_reader *r, struct rewrite_edit *edits, size_t *count)
{
	const enum json_kind kind = json_peek(r);
	struct json_span span;

	if (kind == JSON_OBJECT && json_enter(r, kind)) {
		while (json_member(r, &span))
			collect(r, edits, count);
	} else if (kind == JSON_ARRAY && json_enter(r, kind)) {
		while (json_element(r))
			collect(r, edits, count);
	} else if (json_skip(r, &span) && kind == JSON_STRING && *count < EDITS) {
		static const struct rewrite_edit made[] = { { .text = "\"\\\0\xff/", .length = 5 }, { .text = NULL } };

		edits[*count] = made[span.length % 2];
		edits[(*count)++].string = span;
	}
}

static void check_edits(const char *text, size_t size)
{
	BUF_CLEANUP struct buf to = BUF_INIT(MIB);
	struct rewrite_edit edits[EDITS] = { { .text = NULL } };
	struct npxc_error err = { 0 };
	struct json_span whole;
	struct json_reader r;
	size_t count = 0;
	size_t at = 0;
	size_t out = 0;

	json_start(&r, text, size);
	collect(&r, edits, &count);
	REQUIRE(rewrite_apply(text, (struct json_span){ 0, size }, edits, count, &to, &err));
	REQUIRE(json_check(to.data, to.length, &whole, &err));
	/* Between the edits it is the same text. */
	for (size_t i = 0; i < count; i++) {
		if (edits[i].text == NULL)
			continue;
		REQUIRE(memcmp(text + at, to.data + out, edits[i].string.offset - at) == 0);
		out += edits[i].string.offset - at;
		REQUIRE(memcmp(to.data + out, "\"\\\"\\\\\\u0000\xef\xbf\xbd/\"", 16) == 0);
		out += 16;
		at = edits[i].string.offset + edits[i].string.length;
	}
	REQUIRE(size - at == to.length - out && memcmp(text + at, to.data + out, size - at) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = size > 0 ? (const char *)data : "";
	BUF_CLEANUP struct buf to = BUF_INIT(MIB);
	BUF_CLEANUP struct buf again = BUF_INIT(MIB);
	enum rewrite_outcome outcome = REWRITE_CHANGED;
	struct npxc_error err = { 0 };
	struct json_span whole;
	bool strict;

	strict = json_check(text, size, &whole, &err);
	if (strict)
		check_edits(text, size);
	REQUIRE(rewrite_line(text, size, find, NULL, &to, &outcome, &err));
	if (outcome == REWRITE_SAME) {
		REQUIRE(to.length == 0);
		return 0;
	}
	REQUIRE(strict && rewrite_may_change(text, size) && json_check(to.data, to.length, &whole, &err));
	/* A host's own path may look like ours; that it can be read again is all. */
	REQUIRE(rewrite_line(to.data, to.length, find, NULL, &again, &outcome, &err));
	REQUIRE((outcome == REWRITE_SAME) == (again.length == 0));
	return 0;
}
