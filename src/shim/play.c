#include "shim/play.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/mem.h"
#include "shim/fields.h"
#include "shim/shim.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

void play_pause(int64_t ms)
{
	int64_t until = clock_now_us() + ms * 1000;

	for (;;) {
		int64_t left = until - clock_now_us();
		struct timespec pause = { .tv_sec = (time_t)(left / 1000000),
			                  .tv_nsec = (long)(left % 1000000) * 1000 };

		if (left <= 0)
			return;
		nanosleep(&pause, NULL);
	}
}

void play_hang(void)
{
	for (;;)
		pause();
}

bool play_output(const struct cassette_answer *answer, const struct buf *output, const char *errors,
                 struct npxc_error *err)
{
	size_t length = output->length;
	size_t piece;

	play_pause(answer->delay_ms);
	if (answer->truncate_bytes >= 0 && length > (size_t)answer->truncate_bytes)
		length = (size_t)answer->truncate_bytes;
	piece = answer->drip_bytes > 0 ? (size_t)answer->drip_bytes : length;
	for (size_t at = 0; at < length; at += piece) {
		if (at > 0)
			play_pause(answer->drip_ms);
		if (!fd_write_all(STDOUT_FILENO, output->data + at, length - at < piece ? length - at : piece, err))
			return false;
	}
	if (errors != NULL && !fd_write_all(STDERR_FILENO, errors, strlen(errors), err))
		return false;
	if (answer->hang)
		play_hang();
	return true;
}

/* ---- transcripts ---- */

/* One line without its newline; byte by byte, because what lies behind it is not ours to take. *ret_line NULL at the
 * end of file. */
static bool read_line(char **ret_line, struct npxc_error *err)
{
	struct buf line BUF_CLEANUP = BUF_INIT(SHIM_MAX_TEXT_BYTES);

	for (;;) {
		char byte;
		ssize_t count = read(STDIN_FILENO, &byte, 1);

		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0)
			return error_set_errno(err, ERROR_IO, "stdin");
		if (count == 0 && line.length == 0) {
			*ret_line = NULL;
			return true;
		}
		if (count == 0 || byte == '\n')
			break;
		if (!buf_append(&line, &byte, 1, err))
			return false;
	}
	*ret_line = buf_take(&line);
	return true;
}

/* Every member of `wanted` is in `got` with the same value (objects in it by the same rule). */
static bool holds(const cJSON *got, const cJSON *wanted)
{
	for (const cJSON *w = wanted->child; w != NULL; w = w->next) {
		const cJSON *g = cJSON_GetObjectItemCaseSensitive(got, w->string);

		if (g == NULL || (cJSON_IsObject(w) ? !cJSON_IsObject(g) || !holds(g, w) : !cJSON_Compare(g, w, 1)))
			return false;
	}
	return true;
}

static bool expect_line(const cJSON *wanted, struct bindings *bindings, struct npxc_error *err)
{
	mem_cleanup char *line = NULL;
	mem_cleanup char *shown = NULL;
	mem_cleanup char *id = NULL;
	cJSON *got JSON_CLEANUP = NULL;
	const cJSON *got_id;

	if (!read_line(&line, err))
		return false;
	if (line == NULL)
		return error_set(err, ERROR_RUNTIME, "stdin ended where the transcript wants a line");
	shown = str_escape(line, strlen(line));
	if (cJSON_IsString(wanted))
		return str_equal(line, wanted->valuestring) ||
		       error_set(err, ERROR_RUNTIME, "stdin said %.200s where the transcript wants %.200s", shown,
		                 wanted->valuestring);
	if (!fields_parse(line, strlen(line), &got, err) || !cJSON_IsObject(got) || !holds(got, wanted)) {
		mem_cleanup char *text = cJSON_PrintUnformatted(wanted);

		return error_set(err, ERROR_RUNTIME,
		                 "stdin said %.200s where the transcript wants an object with %.200s", shown, text);
	}
	got_id = cJSON_GetObjectItemCaseSensitive(got, "id");
	if (got_id != NULL) {
		id = cJSON_PrintUnformatted(got_id);
		template_bind(bindings, "id", id);
	}
	return true;
}

static bool print_line(int fd, const char *template, const struct bindings *bindings, struct npxc_error *err)
{
	struct buf line BUF_CLEANUP = BUF_INIT(SHIM_MAX_TEXT_BYTES);

	return template_expand(template, bindings, &line, err) && buf_append_text(&line, "\n", err) &&
	       fd_write_all(fd, line.data, line.length, err);
}

static bool check_step(const cJSON *step, struct npxc_error *err)
{
	static const char where[] = "transcript";
	const cJSON *in = cJSON_GetObjectItemCaseSensitive(step, "in");
	const char *text = NULL;
	int64_t number = 0;
	bool flag = true;

	if (!fields_check(step, "in out err pause_ms eof exit", where, err) ||
	    !fields_text(step, "out", where, &text, err) || !fields_text(step, "err", where, &text, err) ||
	    !fields_number(step, "pause_ms", where, 0, SHIM_MAX_PAUSE_MS, &number, err) ||
	    !fields_number(step, "exit", where, 0, 255, &number, err) || !fields_flag(step, "eof", where, &flag, err))
		return false;
	if (step->child == NULL || step->child->next != NULL)
		return error_set(err, ERROR_CONFIG, "a transcript's line has one key");
	if (in != NULL && !cJSON_IsString(in) && !cJSON_IsObject(in))
		return error_set(err, ERROR_CONFIG, "a transcript's \"in\" is a text or an object");
	if (!flag)
		return error_set(err, ERROR_CONFIG, "a transcript's \"eof\" is true");
	return true;
}

static bool play_step(const cJSON *step, struct bindings *bindings, int *exit_status, struct npxc_error *err)
{
	const cJSON *value = step->child;
	mem_cleanup char *line = NULL;

	if (str_equal(value->string, "in"))
		return expect_line(value, bindings, err);
	if (str_equal(value->string, "out"))
		return print_line(STDOUT_FILENO, value->valuestring, bindings, err);
	if (str_equal(value->string, "err"))
		return print_line(STDERR_FILENO, value->valuestring, bindings, err);
	if (str_equal(value->string, "pause_ms"))
		play_pause((int64_t)value->valuedouble);
	if (str_equal(value->string, "exit"))
		*exit_status = value->valueint;
	if (!str_equal(value->string, "eof"))
		return true;
	if (!read_line(&line, err))
		return false;
	return line == NULL || error_set(err, ERROR_RUNTIME, "stdin goes on where the transcript wants its end");
}

/* `bindings` NULL: only checks. */
static bool walk(const char *text, size_t length, struct bindings *bindings, int *exit_status, struct npxc_error *err)
{
	const char *end = text + length;
	size_t number = 0;

	while (text < end) {
		const char *newline = memchr(text, '\n', (size_t)(end - text));
		size_t line = newline != NULL ? (size_t)(newline - text) : (size_t)(end - text);
		mem_cleanup char *copy = str_dup_n(text, line);
		cJSON *step JSON_CLEANUP = NULL;

		number++;
		if (!fields_parse(copy, line, &step, err) || !check_step(step, err))
			return error_prefix(err, "transcript line %zu", number);
		if (bindings != NULL && !play_step(step, bindings, exit_status, err))
			return error_prefix(err, "transcript line %zu", number);
		if (bindings != NULL && str_equal(step->child->string, "exit"))
			return true;
		text += line + 1;
	}
	return true;
}

bool play_check_transcript(const char *text, size_t length, struct npxc_error *err)
{
	return walk(text, length, NULL, NULL, err);
}

bool play_transcript(const char *text, size_t length, struct bindings *bindings, int *ret_exit_status,
                     struct npxc_error *err)
{
	int exit_status = 0;

	if (!walk(text, length, bindings, &exit_status, err))
		return false;
	*ret_exit_status = exit_status;
	return true;
}
