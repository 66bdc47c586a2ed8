#include "fuzz.h"

#include "files/identify.h"

static const char package_text[] = "{\"path_arguments\":{\"t\":[\"p\",\"/l/*/"
                                   "f\"],\"*\":[\"q\"]},\"non_path_arguments\":{\"t\":[\"n\"],\"*\":[\"/m/0\"]},"
                                   "\"output_arguments\":{\"t\":[\"o\"]}}";
static const char tools[] = "{\"tools\":[{\"name\":\"t\",\"inputSchema\":{\"properties\":{\"path\":{},\"u\":{"
                            "\"format\":\"uri\"},\"in\":{\"$ref\":\"#\"}}}}]}";

static struct identify *identify;
static struct schema *schema;

static void prepare(void)
{
	struct npxc_error err = { 0 };
	struct config_package package;
	struct config config;
	struct json_span whole;

	REQUIRE(config_parse(NULL, 0, "f", &config, &err));
	REQUIRE(config_parse_package(package_text, sizeof(package_text) - 1, "f", &package, &err));
	REQUIRE(json_check(tools, sizeof(tools) - 1, &whole, &err));
	schema = schema_new();
	REQUIRE(schema_learn(schema, tools, whole) == 1);
	identify = identify_new(&config, &package);
	config_done(&config);
	config_package_done(&package);
}

static void check_found(const char *text, const struct message *message, const struct identify_found *found)
{
	size_t end = message->whole.offset;

	for (size_t i = 0; i < found->count; i++) {
		const struct identify_value *value = &found->values[i];
		struct json_span string;
		struct json_reader r;

		REQUIRE(value->string.offset >= end && value->string.length > 2);
		end = value->string.offset + value->string.length;
		json_start_at(&r, text, value->string);
		REQUIRE(json_peek(&r) == JSON_STRING && json_skip(&r, &string) && json_end(&r));
		REQUIRE(!value->is_output || value->reason == IDENTIFY_BY_CONFIG);
		REQUIRE(message->kind != MESSAGE_OTHER);
	}
	REQUIRE(end <= message->whole.offset + message->whole.length);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct identify_found found;
	const char *text = size > 0 ? (const char *)data : "";
	struct npxc_error err = { 0 };
	struct message_line line;
	struct message message;

	if (identify == NULL)
		prepare();
	if (!message_open(text, size, &line, &err))
		return 0;
	while (message_next(&line, &message)) {
		if (identify_message(identify, schema, text, &message, &found, &err)) {
			check_found(text, &message, &found);
			REQUIRE(err.kind == ERROR_NONE);
		} else {
			require_refusal(&err, ERROR_IO);
			REQUIRE(found.count == 0);
			err = (struct npxc_error){ 0 };
		}
	}
	return 0;
}
