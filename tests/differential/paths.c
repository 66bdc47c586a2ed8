/*
 * What becomes of a client's messages, for a comparison with a model. Standard input: documents, each behind its length
 * (four bytes, little end first): npxc.json, a package's file, a result of tools/list, then lines. Standard output, for
 * each line: `R` a message in it is refused, `F` it is forwarded unread, `O` and behind its length the line in which
 * the value number N that names a file is replaced by /workspace/N/ and characters that want an escape.
 */
#include "base/limits.h"
#include "base/mem.h"
#include "mcp/identify.h"
#include "mcp/rewrite.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool read_document(char **ret_text, size_t *ret_length)
{
	uint8_t head[4];
	char *text;

	if (fread(head, 1, sizeof(head), stdin) != sizeof(head))
		return false;
	*ret_length = head[0] | (size_t)head[1] << 8 | (size_t)head[2] << 16 | (size_t)head[3] << 24;
	if (*ret_length > MIB)
		exit(1);
	text = mem_alloc(*ret_length + 1);
	if (fread(text, 1, *ret_length, stdin) != *ret_length)
		exit(1);
	*ret_text = text;
	return true;
}

struct made {
	struct rewrite_edit *edits;
	size_t count;
};

static void make_edits(struct made *made, const struct identify_found *found)
{
	made->edits = mem_realloc(made->edits, made->count + found->count + 1, sizeof(made->edits[0]));
	for (size_t i = 0; i < found->count; i++) {
		char text[64];

		snprintf(text, sizeof(text), "/workspace/%zu/\"\\\n\xc3\xa9", made->count);
		made->edits[made->count++] =
		    (struct rewrite_edit){ found->values[i].string, strcpy(mem_alloc(sizeof(text)), text),
			                   strlen(text) };
	}
}

static void print_line(const struct identify *identify, const struct schema *schema, const char *text, size_t length)
{
	BUF_CLEANUP struct buf to = BUF_INIT(4 * MIB);
	struct identify_found found = { 0 };
	struct made made = { 0 };
	struct message_line line;
	struct message message;
	struct npxc_error err;
	char verdict = 'O';

	if (message_open(text, length, &line, &err)) {
		while (verdict == 'O' && message_next(&line, &message)) {
			if (identify_message(identify, schema, text, &message, &found, &err))
				make_edits(&made, &found);
			else
				verdict = 'R';
		}
	} else {
		verdict = 'F';
	}
	putchar(verdict);
	if (verdict == 'O') {
		if (!rewrite_apply(text, (struct json_span){ 0, length }, made.edits, made.count, &to, &err))
			exit(1);
		for (int i = 0; i < 4; i++)
			putchar((int)(to.length >> 8 * i & 255));
		fwrite(to.data != NULL ? to.data : "", 1, to.length, stdout);
	}
	for (size_t i = 0; i < made.count; i++)
		free((char *)(uintptr_t)made.edits[i].text);
	free(made.edits);
	identify_found_done(&found);
}

int main(void)
{
	char *documents[3] = { NULL, NULL, NULL };
	size_t lengths[3];
	struct schema *schema = schema_new();
	struct identify *identify;
	struct config_package package;
	struct config config;
	struct json_span whole;
	struct npxc_error err;
	char *text;
	size_t length;

	for (int i = 0; i < 3; i++)
		if (!read_document(&documents[i], &lengths[i]))
			return 1;
	if (!config_parse(documents[0], lengths[0], "npxc.json", &config, &err) ||
	    !config_parse_package(documents[1], lengths[1], "package.json", &package, &err) ||
	    !json_check(documents[2], lengths[2], &whole, &err)) {
		fprintf(stderr, "%s\n", err.message);
		return 1;
	}
	schema_learn(schema, documents[2], whole);
	identify = identify_new(&config, &package);
	while (read_document(&text, &length)) {
		print_line(identify, schema, text, length);
		free(text);
	}
	identify_free(identify);
	config_done(&config);
	config_package_done(&package);
	schema_free(schema);
	for (int i = 0; i < 3; i++)
		free(documents[i]);
	return ferror(stdin) != 0 || fflush(stdout) != 0;
}
