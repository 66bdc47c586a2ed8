#include "fuzz.h"

#include "base/limits.h"
#include "files/schema.h"

/* Down every place of the text itself: schemas and arguments have the same shape there. */
static void walk_value(struct pattern_walk *walk, struct json_reader *r)
{
	const enum json_kind kind = json_peek(r);
	struct json_span span;

	REQUIRE(pattern_walk_marks(walk) <= (SCHEMA_PATH | SCHEMA_URI));
	if (kind == JSON_OBJECT && json_enter(r, JSON_OBJECT)) {
		while (json_member(r, &span)) {
			pattern_walk_member(walk, r->text, span);
			walk_value(walk, r);
			pattern_walk_up(walk);
		}
	} else if (kind == JSON_ARRAY && json_enter(r, JSON_ARRAY)) {
		for (size_t i = 0; json_element(r); i++) {
			pattern_walk_element(walk, i);
			walk_value(walk, r);
			pattern_walk_up(walk);
		}
	} else {
		REQUIRE(json_skip(r, &span));
	}
}

static void check_tool(const struct schema *schema, const char *text, size_t size, const char *name)
{
	const struct pattern *pattern = schema_find(schema, name, strlen(name));
	struct pattern_walk walk;
	struct json_reader r;

	if (pattern == NULL)
		return;
	REQUIRE(pattern->sorted && pattern->state_count >= 1 && pattern->state_count <= PATTERN_STATES_MAX);
	REQUIRE(pattern->edge_count <= PATTERN_EDGES_MAX);
	pattern_walk_start(&walk, pattern);
	json_start(&r, text, size);
	walk_value(&walk, &r);
	REQUIRE(json_end(&r) && walk.level_count == 1);
	pattern_walk_done(&walk);
}

/* The input is a result; and as a schema it is that of a tool of the name "t". */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char head[] = "{\"tools\":[{\"name\":\"t\",\"inputSchema\":";
	static const char tail[] = "}]}";
	const char *text = size > 0 ? (const char *)data : "";
	const struct json_span ours = { 0, sizeof(head) - 1 + size + sizeof(tail) - 1 };
	struct npxc_error err = { 0 };
	struct json_span whole;
	struct schema *schema;
	size_t learned;
	char *listed;

	if (!json_check(text, size, &whole, &err))
		return 0;
	schema = schema_new();
	learned = schema_learn(schema, text, whole);
	REQUIRE(schema_count(schema) <= learned && schema_learn(schema, text, whole) == learned);
	REQUIRE(learned == 0 || schema_count(schema) > 0);
	listed = malloc(ours.length);
	if (listed == NULL)
		abort();
	memcpy(listed, head, sizeof(head) - 1);
	memcpy(listed + sizeof(head) - 1, text, size);
	memcpy(listed + sizeof(head) - 1 + size, tail, sizeof(tail) - 1);
	/* One level more than the scanner takes is no list of tools any more. */
	if (json_check(listed, ours.length, &whole, &err)) {
		REQUIRE(schema_learn(schema, listed, whole) == 1);
		check_tool(schema, text, size, "t");
	}
	free(listed);
	schema_free(schema);
	return 0;
}
