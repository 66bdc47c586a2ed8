#include "commands/print.h"

#include "base/mem.h"
#include "base/str.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <string.h>

bool print_json(const cJSON *value, struct npxc_error *err)
{
	mem_cleanup char *text = cJSON_Print(value);
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
