#include "fuzz.h"

#include "base/limits.h"
#include "json/message.h"

/* In two pieces, cut where the input says. */
static void check_look(const char *text, size_t size, struct message_look *look)
{
	const size_t cut = size > 0 ? (unsigned char)text[size - 1] * size / 256 : 0;
	struct message_look again;
	size_t length;
	size_t length_again;
	const char *id;
	const char *id_again;

	message_look_start(look);
	message_look_at(look, text, size);
	message_look_start(&again);
	message_look_at(&again, text, cut);
	message_look_at(&again, text + cut, size - cut);
	REQUIRE(look->verdict == again.verdict);
	id = message_look_id(look, &length);
	id_again = message_look_id(&again, &length_again);
	REQUIRE((id == NULL) == (length == 0) && length == length_again);
	REQUIRE(id == NULL || memcmp(id, id_again, length) == 0);
}

static void check_error(const char *text, struct json_span id)
{
	BUF_CLEANUP struct buf to = BUF_INIT(MIB);
	const struct npxc_error reason = { .kind = ERROR_PATH_NOT_FOUND, .message = "r" };
	const struct message_refusal refusal = { "p", "c", "h" };
	struct npxc_error err = { 0 };
	struct message_line line;
	struct message answer;

	REQUIRE(message_append_error(&to, text + id.offset, id.length, &reason, &refusal, &err));
	REQUIRE(message_open(to.data, to.length, &line, &err) && message_next(&line, &answer));
	REQUIRE(answer.kind == MESSAGE_RESPONSE && answer.id.length == id.length &&
	        memcmp(to.data + answer.id.offset, text + id.offset, id.length) == 0);
}

/* Whether a member of the message occurs twice: the first look goes by the first, the reading by the last. */
static bool has_doubles(const char *text, struct json_span whole)
{
	struct json_span keys[64], key, value;
	struct json_reader r;
	size_t count = 0;

	json_start_at(&r, text, whole);
	if (json_peek(&r) != JSON_OBJECT || !json_enter(&r, JSON_OBJECT))
		return false;
	while (json_member(&r, &key) && json_skip(&r, &value)) {
		for (size_t i = 0; i < count; i++)
			if (json_hash(text, keys[i]) == json_hash(text, key))
				return true;
		if (count == sizeof(keys) / sizeof(keys[0]))
			return true;
		keys[count++] = key;
	}
	return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = size > 0 ? (const char *)data : "";
	struct npxc_error err = { 0 };
	struct message_look look;
	struct message_line line;
	struct message message;

	check_look(text, size, &look);
	if (!message_open(text, size, &line, &err)) {
		require_refusal(&err, ERROR_JSON);
		return 0;
	}
	REQUIRE(!line.is_batch || look.verdict == MESSAGE_HOLD);
	while (message_next(&line, &message)) {
		REQUIRE(message.whole.length > 0 && message.whole.offset + message.whole.length <= size);
		REQUIRE((message.kind == MESSAGE_REQUEST) ==
		        (message.method != MESSAGE_METHOD_NONE && message.id.length > 0));
		if (message.kind == MESSAGE_REQUEST)
			check_error(text, message.id);
		/* What the whole line says, the first look said before it. */
		if (line.is_batch || has_doubles(text, message.whole))
			continue;
		if (message.method != MESSAGE_METHOD_NONE || message.kind == MESSAGE_RESPONSE)
			REQUIRE(look.verdict != MESSAGE_MORE);
		if (message.method <= MESSAGE_METHOD_OTHER && message.result.length == 0)
			REQUIRE(look.verdict != MESSAGE_HOLD);
	}
	REQUIRE(err.kind == ERROR_NONE);
	return 0;
}
