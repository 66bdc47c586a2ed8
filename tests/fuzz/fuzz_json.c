#include "fuzz.h"

#include "base/limits.h"
#include "base/mem.h"
#include "json/json.h"

/* Whatever a string means, written again it means the same. */
static void check_string(const char *text, struct json_span string)
{
	BUF_CLEANUP struct buf again = BUF_INIT(MIB);
	mem_cleanup char *meaning = NULL;
	mem_cleanup char *meaning_again = NULL;
	struct npxc_error err = { 0 };
	size_t length;
	size_t length_again;
	struct json_span value;

	if (!json_decode(text, string, &meaning, &length, &err)) {
		require_refusal(&err, ERROR_JSON);
		return;
	}
	REQUIRE(length + 2 <= string.length && meaning[length] == '\0');
	REQUIRE(json_append_string(&again, meaning, length, &err));
	REQUIRE(json_check(again.data, again.length, &value, &err) && value.length == again.length);
	REQUIRE(json_decode(again.data, value, &meaning_again, &length_again, &err));
	REQUIRE(length_again == length && memcmp(meaning, meaning_again, length) == 0);
	REQUIRE(json_hash(text, string) == json_hash(again.data, value));
	REQUIRE(json_equals(text, string, meaning) == (strlen(meaning) == length));
}

/* Reads everything by its own means; json_skip must have found the same end. */
static void walk(struct json_reader *r)
{
	const size_t before = r->at;
	const enum json_kind kind = json_peek(r);
	struct json_span value;
	struct json_span key;

	REQUIRE(r->depth <= LIMIT_MESSAGE_DEPTH && r->at >= before && r->at <= r->length);
	if (kind == JSON_OBJECT) {
		REQUIRE(json_enter(r, JSON_OBJECT));
		while (json_member(r, &key)) {
			check_string(r->text, key);
			walk(r);
		}
	} else if (kind == JSON_ARRAY) {
		REQUIRE(json_enter(r, JSON_ARRAY));
		while (json_element(r))
			walk(r);
	} else {
		REQUIRE(json_skip(r, &value) && value.length > 0);
		if (kind == JSON_STRING)
			check_string(r->text, value);
	}
	REQUIRE(r->problem == NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = size > 0 ? (const char *)data : "";
	struct npxc_error err = { 0 };
	struct json_reader reader;
	struct json_span value;

	if (!json_check(text, size, &value, &err)) {
		require_refusal(&err, ERROR_JSON);
		return 0;
	}
	REQUIRE(err.kind == ERROR_NONE && value.length > 0 && value.offset + value.length <= size);
	json_start(&reader, text, size);
	walk(&reader);
	REQUIRE(reader.at == value.offset + value.length && json_end(&reader));
	json_start_at(&reader, text, value);
	walk(&reader);
	REQUIRE(json_end(&reader));
	return 0;
}
