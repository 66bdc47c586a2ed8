/*
 * What the scanner reads, for a comparison with another parser. Standard input: documents, each behind its length (four
 * bytes, little end first). Standard output: a line for each, "refused" or the document in a form of its own: brackets,
 * `s` and the hexadecimal code points of a string separated by dots, and what is neither as its own bytes.
 */
#include "json/json.h"
#include "base/limits.h"
#include "base/mem.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static void print_string(const char *text, struct json_span string)
{
	const size_t end = string.offset + string.length - 1;

	putchar('s');
	for (size_t at = string.offset + 1; at < end;)
		printf("%x.", (unsigned)json_character(text, end, &at));
}

static void print_value(struct json_reader *r)
{
	const enum json_kind kind = json_peek(r);
	struct json_span span;

	if (kind == JSON_OBJECT && json_enter(r, JSON_OBJECT)) {
		putchar('{');
		while (json_member(r, &span)) {
			print_string(r->text, span);
			putchar(':');
			print_value(r);
			putchar(',');
		}
		putchar('}');
	} else if (kind == JSON_ARRAY && json_enter(r, JSON_ARRAY)) {
		putchar('[');
		while (json_element(r)) {
			print_value(r);
			putchar(',');
		}
		putchar(']');
	} else if (json_skip(r, &span)) {
		if (kind == JSON_STRING)
			print_string(r->text, span);
		else
			printf("%.*s", (int)span.length, r->text + span.offset);
	}
}

int main(void)
{
	uint8_t head[4];

	while (fread(head, 1, sizeof(head), stdin) == sizeof(head)) {
		const size_t length = head[0] | (size_t)head[1] << 8 | (size_t)head[2] << 16 | (size_t)head[3] << 24;
		mem_cleanup char *text = NULL;
		struct json_reader reader;
		struct json_span value;
		struct npxc_error err;

		if (length > MIB)
			return 1;
		text = mem_alloc(length);
		if (fread(text, 1, length, stdin) != length)
			return 1;
		if (json_check(text, length, &value, &err)) {
			json_start(&reader, text, length);
			print_value(&reader);
			if (!json_end(&reader))
				printf(" differs from the check: %s", reader.problem);
			putchar('\n');
		} else {
			puts("refused");
		}
	}
	return ferror(stdin) != 0 || fflush(stdout) != 0;
}
