#include "files/schema.h"

#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"

#include <stdlib.h>
#include <string.h>

/* Words: what names and descriptions are judged by */

enum { WORDS_MAX = 64, WORD_BYTES = 24, OPENING_WORDS = 12 };

struct words {
	char word[WORDS_MAX][WORD_BYTES]; /* small letters and digits, cut */
	size_t count;
};

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_capital(char c)
{
	return c >= 'A' && c <= 'Z';
}

/* Splits at everything that is no letter or digit; with `camel` also before a capital ("filePath", "sourcePDFPath"). */
static void split_words(const char *text, bool camel, struct words *words)
{
	const char *p = text;

	words->count = 0;
	while (words->count < WORDS_MAX) {
		char *word = words->word[words->count];
		size_t used = 0;

		while (*p != '\0' && !is_letter(*p) && !(*p >= '0' && *p <= '9'))
			p++;
		if (*p == '\0')
			return;
		for (const char *start = p; is_letter(*p) || (*p >= '0' && *p <= '9'); p++) {
			if (camel && p > start && is_capital(*p) &&
			    (!is_capital(p[-1]) || (is_letter(p[1]) && !is_capital(p[1]))))
				break;
			if (used < WORD_BYTES - 1)
				word[used++] = (char)(is_capital(*p) ? *p - 'A' + 'a' : *p);
		}
		word[used] = '\0';
		words->count++;
	}
}

/* Whether `word` is one of those in `list`, which are separated by blanks. */
static bool is_one_of(const char *word, const char *list)
{
	const size_t length = strlen(word);

	for (const char *p = list; *p != '\0';) {
		const size_t n = strcspn(p, " ");

		if (n == length && memcmp(p, word, n) == 0)
			return true;
		p += n + (p[n] == ' ');
	}
	return false;
}

static const char path_words[] = "path paths filepath filepaths pathname pathnames";
static const char directory_words[] = "directory directories folder folders dir dirs cwd workdir workingdir";
static const char file_words[] = "file files filename filenames";

/* A verdict of a name, or of what stands above a subschema. */
enum verdict {
	VERDICT_NONE,
	VERDICT_YES,
};

static enum verdict judge_name(const char *name)
{
	struct words words;
	const char *last;

	split_words(name, true, &words);
	if (words.count == 0)
		return VERDICT_NONE;
	last = words.word[words.count - 1];
	/* "file_name" and "path_name" are one word each. */
	if (words.count > 1 && is_one_of(last, "name names") && is_one_of(words.word[words.count - 2], "file path"))
		return VERDICT_YES;
	return is_one_of(last, path_words) || is_one_of(last, directory_words) || is_one_of(last, file_words)
	           ? VERDICT_YES
	           : VERDICT_NONE;
}

/* "Path to the file", "The output directory": a description that means a file by its first words. */
static enum verdict judge_text(const char *text)
{
	struct words words;

	split_words(text, false, &words);
	for (size_t i = 0; i < words.count && i < OPENING_WORDS; i++)
		if (is_one_of(words.word[i], path_words) || is_one_of(words.word[i], directory_words) ||
		    is_one_of(words.word[i], "file files filename filenames"))
			return VERDICT_YES;
	return VERDICT_NONE;
}

/* One tool's schema */

/* A part of the schema that waits to be read, and the state that its places have. */
struct part {
	struct json_span span;
	enum verdict above; /* of its name, or of the list that it is an element of */
	uint32_t state;
};

struct reading {
	const char *text;
	struct json_span root;
	struct pattern *pattern;
	struct part *parts; /* owned; each is read once, however often it is referred to: so circles end */
	size_t count, capacity;
	uint32_t *slots; /* owned; open addressing: 1 + index of a part, 0: free */
	size_t *work;    /* bytes that may still be gone over */
};

enum { SLOTS = 2 * LIMIT_SCHEMA_PARTS }; /* a power of two */

static bool spend(struct reading *reading, size_t bytes)
{
	if (*reading->work < bytes) {
		*reading->work = 0;
		return false;
	}
	*reading->work -= bytes;
	return true;
}

/* The state of a part, which is read later if it was not met before. */
static uint32_t state_of(struct reading *reading, struct json_span span, enum verdict above)
{
	size_t slot = (span.offset * 8 + (size_t)above) * 0x9e3779b1U & (SLOTS - 1);
	struct part *part;

	for (; reading->slots[slot] != 0; slot = (slot + 1) & (SLOTS - 1)) {
		part = &reading->parts[reading->slots[slot] - 1];
		if (part->span.offset == span.offset && part->above == above)
			return part->state;
	}
	if (reading->count == LIMIT_SCHEMA_PARTS)
		return PATTERN_NONE;
	if (reading->count == reading->capacity) {
		reading->capacity = reading->capacity == 0 ? 64 : reading->capacity * 2;
		reading->parts = mem_realloc(reading->parts, reading->capacity, sizeof(reading->parts[0]));
	}
	part = &reading->parts[reading->count++];
	reading->slots[slot] = (uint32_t)reading->count;
	*part = (struct part){ span, above, pattern_add(reading->pattern) };
	return part->state;
}

/* A string's meaning up to a NUL, or NULL for what is no string or no UTF-8. */
static char *read_text(const char *text, struct json_span value)
{
	struct npxc_error ignored;
	char *decoded;
	size_t length;

	if (text[value.offset] != '"' || !json_decode(text, value, &decoded, &length, &ignored))
		return NULL;
	return decoded;
}

/* The member of an object or element of an array that a step of a pointer names. */
static bool find_step(const char *text, struct json_span within, const char *step, struct json_span *ret_value)
{
	struct json_reader r;
	struct json_span key;
	struct json_span value;
	uint64_t index;
	bool found = false;

	json_start_at(&r, text, within);
	if (json_peek(&r) == JSON_OBJECT && json_enter(&r, JSON_OBJECT)) {
		while (json_member(&r, &key) && json_skip(&r, &value)) {
			if (json_equals(text, key, step)) {
				*ret_value = value; /* the last of equal keys */
				found = true;
			}
		}
	} else if (json_peek(&r) == JSON_ARRAY && str_to_u64(step, LIMIT_SCHEMA_BYTES, &index) &&
	           json_enter(&r, JSON_ARRAY)) {
		while (!found && json_element(&r) && json_skip(&r, &value)) {
			found = index-- == 0;
			if (found)
				*ret_value = value;
		}
	}
	return found;
}

/* "#" or "#/a/b": a place within the same schema. Everything else is passed over. */
static bool resolve(struct reading *reading, const char *reference, struct json_span *ret_span)
{
	mem_cleanup char *steps = str_dup(reference);
	struct json_span span = reading->root;

	if (steps[0] != '#' || (steps[1] != '\0' && steps[1] != '/'))
		return false;
	for (char *step = steps + 1; *step == '/';) {
		const size_t length = strcspn(step + 1, "/");
		const char more = step[1 + length];
		size_t used = 0;
		char *name = step + 1;

		for (size_t i = 0; i < length; i++, used++) {
			const char *escape = i + 1 < length && name[i] == '~' ? strchr("01", name[i + 1]) : NULL;

			name[used] = escape == NULL ? name[i] : *escape == '0' ? '~' : '/';
			i += escape != NULL;
		}
		name[used] = '\0';
		if (!spend(reading, span.length) || !find_step(reading->text, span, name, &span))
			return false;
		step += 1 + length;
		if (more == '\0')
			break;
		*step = more;
	}
	*ret_span = span;
	return true;
}

/* What a subschema says of the value itself; the places beneath it are read in a second pass. */
struct said {
	bool path_format, uri_format, other_format;
	bool typed, text;
	enum verdict words;
};

static void read_format(const char *text, struct json_span value, struct said *said)
{
	mem_cleanup char *format = read_text(text, value);

	if (format == NULL)
		return;
	for (char *p = format; *p != '\0'; p++)
		*p = *p == '_' ? '-' : (char)(is_capital(*p) ? *p - 'A' + 'a' : *p);
	if (is_one_of(format, "path file-path filepath file filename file-name directory directory-path dir dir-path "
	                      "folder folder-path absolute-path relative-path"))
		said->path_format = true;
	else if (is_one_of(format, "uri uri-reference iri iri-reference url file-uri file-url"))
		said->uri_format = true;
	else
		said->other_format = true;
}

static void read_type(const char *text, struct json_span value, struct said *said)
{
	struct json_reader r;
	struct json_span word;

	json_start_at(&r, text, value);
	said->typed = true;
	if (json_peek(&r) == JSON_STRING) {
		said->text = json_equals(text, value, "string");
		return;
	}
	if (json_peek(&r) == JSON_ARRAY && json_enter(&r, JSON_ARRAY))
		while (json_element(&r) && json_skip(&r, &word))
			if (text[word.offset] == '"' && json_equals(text, word, "string"))
				said->text = true;
}

static void read_words(const char *text, struct json_span value, struct said *said)
{
	mem_cleanup char *words = read_text(text, value);
	const enum verdict verdict = words != NULL ? judge_text(words) : VERDICT_NONE;

	if (verdict > said->words)
		said->words = verdict;
}

static void read_said(const char *text, struct json_span span, struct said *ret_said)
{
	struct said said = { 0 };
	struct json_reader r;
	struct json_span key;
	struct json_span value;

	json_start_at(&r, text, span);
	if (json_enter(&r, JSON_OBJECT)) {
		while (json_member(&r, &key) && json_skip(&r, &value)) {
			if (json_equals(text, key, "format"))
				read_format(text, value, &said);
			else if (json_equals(text, key, "type"))
				read_type(text, value, &said);
			else if (json_equals(text, key, "description") || json_equals(text, key, "title"))
				read_words(text, value, &said);
		}
	}
	*ret_said = said;
}

static enum verdict judge(const struct said *said, const struct part *part)
{
	if (said->path_format)
		return VERDICT_YES;
	if (said->other_format || said->uri_format)
		return VERDICT_NONE;
	return said->words == VERDICT_YES || part->above == VERDICT_YES ? VERDICT_YES : VERDICT_NONE;
}

static void read_properties(struct reading *reading, const struct part *part, struct json_span properties)
{
	const char *text = reading->text;
	struct json_reader r;
	struct json_span key;
	struct json_span value;

	if (text[properties.offset] != '{' || !spend(reading, 2 * properties.length))
		return;
	json_start_at(&r, text, properties);
	if (!json_enter(&r, JSON_OBJECT))
		return;
	while (json_member(&r, &key) && json_skip(&r, &value)) {
		mem_cleanup char *name = NULL;
		struct npxc_error ignored;
		size_t length;

		/* A name with a NUL inside cannot be kept; no argument has one. */
		if (text[value.offset] != '{' || !json_decode(text, key, &name, &length, &ignored) ||
		    strlen(name) != length)
			continue;
		pattern_lead(reading->pattern, part->state, name, length, state_of(reading, value, judge_name(name)));
	}
}

/* A subschema for any member or element of the value: what is said of the whole is said of them. */
static void read_each(struct reading *reading, const struct part *part, struct json_span value, enum verdict verdict)
{
	if (reading->text[value.offset] == '{')
		pattern_lead(reading->pattern, part->state, NULL, 0, state_of(reading, value, verdict));
}

static void read_same(struct reading *reading, const struct part *part, struct json_span value, enum verdict verdict)
{
	if (reading->text[value.offset] == '{')
		pattern_also(reading->pattern, part->state, state_of(reading, value, verdict));
}

typedef void reader(struct reading *reading, const struct part *part, struct json_span value, enum verdict verdict);

/* Every value of an object or array of subschemas. */
static void read_all(struct reading *reading, const struct part *part, struct json_span values, enum verdict verdict,
                     reader *read)
{
	struct json_reader r;
	struct json_span key;
	struct json_span value;

	if (!spend(reading, values.length))
		return;
	json_start_at(&r, reading->text, values);
	if (json_peek(&r) == JSON_OBJECT && json_enter(&r, JSON_OBJECT))
		while (json_member(&r, &key) && json_skip(&r, &value))
			read(reading, part, value, verdict);
	else if (json_peek(&r) == JSON_ARRAY && json_enter(&r, JSON_ARRAY))
		while (json_element(&r) && json_skip(&r, &value))
			read(reading, part, value, verdict);
}

static void read_reference(struct reading *reading, const struct part *part, struct json_span value,
                           enum verdict verdict)
{
	mem_cleanup char *reference = read_text(reading->text, value);
	struct json_span target;

	if (reference != NULL && resolve(reading, reference, &target))
		read_same(reading, part, target, verdict);
}

static void read_keyword(struct reading *reading, const struct part *part, struct json_span key, struct json_span value,
                         enum verdict verdict)
{
	const char *text = reading->text;

	if (json_equals(text, key, "properties"))
		read_properties(reading, part, value);
	else if (json_equals(text, key, "$ref") || json_equals(text, key, "$dynamicRef"))
		read_reference(reading, part, value, verdict);
	else if (json_equals(text, key, "patternProperties") || json_equals(text, key, "prefixItems") ||
	         (json_equals(text, key, "items") && text[value.offset] == '[')) /* a list up to draft 2019-09 */
		read_all(reading, part, value, verdict, read_each);
	else if (json_equals(text, key, "items") || json_equals(text, key, "additionalProperties") ||
	         json_equals(text, key, "additionalItems") || json_equals(text, key, "unevaluatedProperties") ||
	         json_equals(text, key, "unevaluatedItems") || json_equals(text, key, "contains"))
		read_each(reading, part, value, verdict);
	else if (json_equals(text, key, "oneOf") || json_equals(text, key, "anyOf") ||
	         json_equals(text, key, "allOf") || json_equals(text, key, "dependentSchemas"))
		read_all(reading, part, value, verdict, read_same);
	else if (json_equals(text, key, "if") || json_equals(text, key, "then") || json_equals(text, key, "else"))
		read_same(reading, part, value, verdict);
}

static void read_part(struct reading *reading, const struct part *part)
{
	struct said said;
	enum verdict verdict;
	struct json_reader r;
	struct json_span key;
	struct json_span value;

	if (!spend(reading, 2 * part->span.length + LIMIT_SCHEMA_PART_BYTES))
		return;
	read_said(reading->text, part->span, &said);
	verdict = judge(&said, part);
	if (verdict == VERDICT_YES && (said.text || !said.typed))
		pattern_mark(reading->pattern, part->state, SCHEMA_PATH);
	else if (said.uri_format)
		pattern_mark(reading->pattern, part->state, SCHEMA_URI);
	json_start_at(&r, reading->text, part->span);
	if (json_enter(&r, JSON_OBJECT))
		while (json_member(&r, &key) && json_skip(&r, &value))
			read_keyword(reading, part, key, value, verdict);
}

static void compile(const char *text, struct json_span schema, size_t *work, struct pattern *pattern)
{
	struct reading reading = { .text = text, .root = schema, .pattern = pattern, .work = work };

	pattern_start(pattern);
	if (schema.length <= LIMIT_SCHEMA_BYTES && text[schema.offset] == '{') {
		reading.slots = mem_alloc(SLOTS * sizeof(reading.slots[0]));
		pattern_also(pattern, 0, state_of(&reading, schema, VERDICT_NONE));
		/* Reading one adds others behind it. */
		for (size_t i = 0; i < reading.count; i++) {
			const struct part part = reading.parts[i];

			read_part(&reading, &part);
		}
	}
	free(reading.slots);
	free(reading.parts);
	pattern_sort(pattern);
}

/* All tools */

struct tool {
	char *name; /* owned */
	size_t length;
	uint64_t hash;
	uint64_t learned; /* when: a count of all that were */
	uint64_t text;    /* hash of the schema that it was learned from */
	size_t bytes;     /* what this one takes */
	struct pattern pattern;
};

struct schema {
	struct tool *tools; /* owned */
	size_t count, capacity;
	size_t bytes; /* of all of them */
	uint64_t clock;
};

struct schema *schema_new(void)
{
	return mem_alloc(sizeof(struct schema));
}

void schema_free(struct schema *schema)
{
	if (schema == NULL)
		return;
	for (size_t i = 0; i < schema->count; i++) {
		free(schema->tools[i].name);
		pattern_done(&schema->tools[i].pattern);
	}
	free(schema->tools);
	free(schema);
}

static uint64_t hash_name(const char *name, size_t length)
{
	uint64_t hash = 14695981039346656037U;

	for (size_t i = 0; i < length; i++)
		hash = (hash ^ (unsigned char)name[i]) * 1099511628211U;
	return hash;
}

static struct tool *find_tool(const struct schema *schema, const char *name, size_t length)
{
	const uint64_t hash = hash_name(name, length);

	for (size_t i = 0; i < schema->count; i++)
		if (schema->tools[i].hash == hash && schema->tools[i].length == length &&
		    memcmp(schema->tools[i].name, name, length) == 0)
			return &schema->tools[i];
	return NULL;
}

static void forget(struct schema *schema, struct tool *tool)
{
	schema->bytes -= tool->bytes;
	free(tool->name);
	pattern_done(&tool->pattern);
	*tool = schema->tools[--schema->count];
}

static struct tool *oldest_of(const struct schema *schema)
{
	struct tool *oldest = schema->tools;

	for (size_t i = 1; i < schema->count; i++)
		if (schema->tools[i].learned < oldest->learned)
			oldest = &schema->tools[i];
	return oldest;
}

/* The place of a new tool, which may take that of the one that was listed longest ago. */
static struct tool *make_place(struct schema *schema)
{
	if (schema->count == LIMIT_SCHEMA_TOOLS)
		forget(schema, oldest_of(schema));
	if (schema->count == schema->capacity) {
		schema->capacity = schema->capacity == 0 ? 16 : schema->capacity * 2;
		schema->tools = mem_realloc(schema->tools, schema->capacity, sizeof(schema->tools[0]));
	}
	return &schema->tools[schema->count++];
}

static bool learn_tool(struct schema *schema, const char *text, struct json_span tool, size_t *work)
{
	struct json_span input = { 0 };
	struct json_span name = { 0 };
	mem_cleanup char *decoded = NULL;
	struct npxc_error ignored;
	struct tool *place;
	size_t length;
	uint64_t hash;

	if (text[tool.offset] != '{' || !find_step(text, tool, "inputSchema", &input) ||
	    !find_step(text, tool, "name", &name) || text[name.offset] != '"' ||
	    !json_decode(text, name, &decoded, &length, &ignored))
		return false;
	place = find_tool(schema, decoded, length);
	hash = hash_name(text + input.offset, input.length);
	if (place != NULL && place->text == hash) {
		place->learned = schema->clock++;
		return true;
	}
	if (place != NULL) {
		schema->bytes -= place->bytes;
		pattern_done(&place->pattern);
	} else {
		place = make_place(schema);
		*place = (struct tool){ .length = length, .hash = hash_name(decoded, length) };
		place->name = MEM_TAKE(decoded);
	}
	place->learned = schema->clock++;
	compile(text, input, work, &place->pattern);
	place->text = *work > 0 ? hash : 0; /* read in part only: a list with fewer others shows more of it */
	place->bytes = sizeof(*place) + length + pattern_bytes(&place->pattern);
	schema->bytes += place->bytes;
	/* The newest is never the oldest but alone, and one alone has its own ceilings. */
	while (schema->bytes > LIMIT_SCHEMA_KEPT_BYTES && schema->count > 1)
		forget(schema, oldest_of(schema));
	return true;
}

size_t schema_learn(struct schema *schema, const char *text, struct json_span result)
{
	size_t work = LIMIT_SCHEMA_WORK_BYTES;
	struct json_reader r;
	struct json_span tools;
	struct json_span tool;
	size_t learned = 0;

	if (result.length == 0 || text[result.offset] != '{' || !find_step(text, result, "tools", &tools) ||
	    text[tools.offset] != '[')
		return 0;
	json_start_at(&r, text, tools);
	if (json_enter(&r, JSON_ARRAY))
		while (json_element(&r) && json_skip(&r, &tool))
			learned += learn_tool(schema, text, tool, &work);
	return learned;
}

size_t schema_count(const struct schema *schema)
{
	return schema->count;
}

size_t schema_bytes(const struct schema *schema)
{
	return schema->bytes;
}

const struct pattern *schema_find(const struct schema *schema, const char *name, size_t length)
{
	const struct tool *tool = find_tool(schema, name, length);

	return tool != NULL ? &tool->pattern : NULL;
}
