#include "commands/print.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "json/json.h"

#include <cjson/cJSON.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void print_row(const char *fmt, ...)
{
	char *text = NULL;
	va_list args;
	va_start(args, fmt);
	const int length = vasprintf(&text, fmt, args);
	va_end(args);
	if (length < 0)
		return;
	mem_cleanup char *shown = str_escape(text, (size_t)length);
	free(text);
	puts(shown);
}

/* Everything outside of strings is ASCII without control bytes but line feed and tab. */
char *print_json_text(const char *json)
{
	const size_t length = strlen(json);
	char *out = mem_alloc(length * 6 + 1);
	size_t used = 0;
	for (size_t i = 0, n; i < length; i += n) {
		size_t at = i;
		if (str_look(json + i, length - i, &n) == STR_PLAIN || json[i] == '\n' || json[i] == '\t') {
			memcpy(out + used, json + i, n);
			used += n;
			continue;
		}
		const uint32_t code = json_character(json, i + n, &at);
		if (code > 0xffff)
			used += (size_t)snprintf(out + used, 13, "\\u%04x\\u%04x",
			                         (unsigned)(0xd800 + ((code - 0x10000) >> 10)),
			                         (unsigned)(0xdc00 + ((code - 0x10000) & 0x3ff)));
		else
			used += (size_t)snprintf(out + used, 7, "\\u%04x", (unsigned)code);
	}
	out[used] = '\0';
	return out;
}

bool print_json(const cJSON *value, struct npxc_error *err)
{
	mem_cleanup char *printed = cJSON_Print(value);
	mem_cleanup char *text = printed == NULL ? NULL : print_json_text(printed);
	if (text == NULL || puts(text) == EOF || fflush(stdout) == EOF)
		return error_set_errno(err, ERROR_IO, "cannot write to stdout");
	return true;
}

char *print_bytes(uint64_t bytes)
{
	if (bytes < 1000 * 1000)
		return str_printf("%.1f kB", (double)bytes / 1e3);
	if (bytes < 1000 * 1000 * 1000)
		return str_printf("%.1f MB", (double)bytes / 1e6);
	return str_printf("%.1f GB", (double)bytes / 1e9);
}

char *print_duration(int64_t microseconds)
{
	if (microseconds < 1000)
		return str_printf("%.2f ms", (double)microseconds / 1e3);
	if (microseconds < 1000 * 1000)
		return str_printf("%.0f ms", (double)microseconds / 1e3);
	return str_printf("%.1f s", (double)microseconds / 1e6);
}

char *print_age(int64_t milliseconds)
{
	const long long seconds = milliseconds / 1000, minutes = seconds / 60, hours = minutes / 60;
	if (seconds < 60)
		return str_printf("%lld s", seconds);
	if (minutes < 60)
		return str_printf("%lld min", minutes);
	if (hours < 24)
		return str_printf("%lld h %lld min", hours, minutes % 60);
	return str_printf("%lld d %lld h", hours / 24, hours % 24);
}

char *print_line(const char *text, size_t most)
{
	mem_cleanup char *line = str_dup(text == NULL ? "" : text);
	for (char *c = line; *c != '\0'; c++)
		if (*c == '\n' || *c == '\r' || *c == '\t')
			*c = ' ';
	size_t length = strlen(line);
	const bool cut = length > most;
	if (cut) {
		length = most;
		while (length > 0 && ((unsigned char)line[length] & 0xc0U) == 0x80U)
			length--; /* not within a character */
	}
	mem_cleanup char *shown = str_escape(line, length);
	return str_printf("%s%s", shown, cut ? "..." : "");
}

void print_help(const struct command *commands, size_t count, const struct options *options)
{
	const struct command *command = &commands[options->command];
	mem_cleanup char *flags = options_help(command->words.takes);
	if (command->words.name != NULL) {
		printf("usage: %s\n\n%s\n\n%s", command->usage, command->help, flags);
		return;
	}
	printf("npxc %s: runs npm-published MCP servers in a sandbox and leaves nothing behind\n\n", NPXC_VERSION);
	for (size_t i = 0; i < count; i++)
		if (commands[i].usage != NULL)
			printf("  %-52s%s\n", commands[i].usage, commands[i].help);
	printf("\nA spec is what npx takes: name, @scope/name, with @version, @range or @tag, or a directory.\n"
	       "Flags end at the spec; every word after it is the server's.\n\n%s",
	       flags);
}

void print_usage(const struct command *commands, size_t count)
{
	fprintf(
	    stderr,
	    "usage: npxc [flags] <spec> [server arguments...]\n       npxc [flags] <command> [words...]\n\ncommands:");
	for (size_t i = 0; i < count; i++)
		if (commands[i].words.name != NULL && commands[i].run != NULL)
			fprintf(stderr, " %s", commands[i].words.name);
	fprintf(stderr,
	        " help version\n\nTry: npxc try @modelcontextprotocol/server-everything; npxc --help tells more\n");
}

void print_failure(const struct npxc_error *err, int exit_status, bool json)
{
	mem_cleanup char *message = str_escape(err->message, strlen(err->message));
	if (!json) {
		mem_cleanup char *line = str_printf("npxc: %s: %s\n", error_kind_text(err->kind), message);

		log_line(line);
		return;
	}
	cJSON *object = cJSON_CreateObject();
	cJSON *inner = cJSON_AddObjectToObject(object, "error");
	cJSON_AddStringToObject(inner, "kind", error_kind_word(err->kind));
	cJSON_AddStringToObject(inner, "message", message);
	cJSON_AddNumberToObject(inner, "exit_status", exit_status);
	mem_cleanup char *text = cJSON_PrintUnformatted(object);
	mem_cleanup char *line = str_printf("%s\n", text == NULL ? "{}" : text);
	log_line(line);
	cJSON_Delete(object);
}

bool print_is_unread(void)
{
	struct pollfd out = { .fd = STDOUT_FILENO };
	return poll(&out, 1, 0) == 1 && (out.revents & POLLERR) != 0;
}

bool print_flush(struct npxc_error *err)
{
	if (fflush(stdout) == EOF)
		return error_set_errno(err, ERROR_IO, "cannot write to stdout");
	return !ferror(stdout) || error_set(err, ERROR_IO, "cannot write all of the output to stdout");
}
