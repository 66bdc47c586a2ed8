#include "store/progress.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

/* Begins a line that is no line of a log, which could not hold it. */
#define MARK '\036'

static const char *const phases[] = { "starting", "fetching", "install scripts" };
enum { PHASES = sizeof(phases) / sizeof(phases[0]) };

static void put(const char *bytes)
{
	const ssize_t ignored = write(STDERR_FILENO, bytes, strlen(bytes));

	(void)ignored;
}

void progress_say(enum progress_phase phase, size_t files)
{
	mem_cleanup char *line = str_printf("%c%d %zu\n", MARK, (int)phase, files);

	put(line);
}

void progress_say_failed(const char *title, const struct npxc_error *why)
{
	mem_cleanup char *shown = str_escape(title, strlen(title));
	mem_cleanup char *message = str_escape(why->message, strlen(why->message));
	mem_cleanup char *line = str_printf("%c-%lld %s\t%s\n", MARK, (long long)clock_now_ms(), shown, message);

	put(line);
}

/* ---- pure ---- */

char *progress_line(const char *title, enum progress_phase phase, size_t files, int64_t seconds, size_t columns)
{
	mem_cleanup char *shown = str_escape(title, strnlen(title, 200));
	mem_cleanup char *count = files > 0 ? str_printf(", %zu file%s", files, files == 1 ? "" : "s") : str_dup("");
	mem_cleanup char *tail = str_printf(": %s%s, %d s", phases[phase], count, (int)seconds);
	mem_cleanup char *line = str_printf("npxc: installing %s%s", shown, tail);
	size_t length = strlen(line);

	if (length > columns) {
		length = columns;
		while (length > 0 && ((unsigned char)line[length] & 0xC0) == 0x80)
			length--;
	}
	return str_dup_n(line, length);
}

char *progress_erase(size_t drawn, size_t columns)
{
	const size_t rows_above = drawn > 0 && columns > 0 ? (drawn - 1) / columns : 0;

	return rows_above == 0 ? str_dup("\r\033[K") : str_printf("\r\033[%zuA\033[J", rows_above);
}

/* ---- showing ---- */

static size_t terminal_columns(void)
{
	struct winsize size;

	return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col : 80;
}

void progress_clear(struct progress *progress)
{
	if (progress->drawn > 0) {
		mem_cleanup char *sequence = progress_erase(progress->drawn, terminal_columns());

		put(sequence);
	}
	progress->drawn = 0;
	free(progress->shown);
	progress->shown = NULL;
}

/* In the last column a terminal may begin the next row. */
static void draw(struct progress *progress)
{
	const int64_t seconds = (clock_now_ms() - progress->began_ms) / 1000;
	mem_cleanup char *line =
	    progress_line(progress->title, progress->phase, progress->files, seconds, terminal_columns() - 1);

	if (progress->shown != NULL && strcmp(progress->shown, line) == 0)
		return;
	mem_cleanup char *before = progress_erase(progress->drawn, terminal_columns());
	mem_cleanup char *bytes = str_printf("%s%s", before, line);

	put(bytes);
	free(progress->shown);
	progress->shown = MEM_TAKE(line);
	progress->drawn = strlen(progress->shown);
}

void progress_begin(struct progress *progress, const char *title, bool on_terminal)
{
	*progress = (struct progress){ .title = title,
		                       .file = -1,
		                       .on_terminal = on_terminal,
		                       .began_ms = clock_now_ms(),
		                       .rest = BUF_INIT(LIMIT_PROGRESS_LINE_BYTES) };
}

void progress_end(struct progress *progress)
{
	progress_clear(progress);
	fd_close(&progress->file);
	buf_done(&progress->rest);
}

/* ---- following ---- */

/* A title holds no tab: it was escaped. What failed before this one came is no answer to it. */
static void on_failed(struct progress *progress, char *text)
{
	mem_cleanup char *own = str_escape(progress->title, strlen(progress->title));
	char *rest;
	const bool is_old = strtoll(text, &rest, 10) < progress->began_ms;
	const char *title = *rest == ' ' ? rest + 1 : rest;

	(void)strsep(&rest, "\t");
	if (rest != NULL && !is_old && strcmp(title, own) == 0)
		error_set(&progress->failed, ERROR_INSTALL, "%s", str_trim(rest));
}

/* Its number and how many files; a file of another npxc may say what this one does not know. */
static void on_mark(struct progress *progress, char *text)
{
	if (text[0] == '-') {
		on_failed(progress, text + 1);
		return;
	}
	char *end;
	const unsigned long phase = strtoul(text, &end, 10);

	if (*end != ' ' || phase >= PHASES)
		return;
	progress->files = strtoul(end, NULL, 10);
	if ((enum progress_phase)phase == progress->phase)
		return;
	progress->phase = (enum progress_phase)phase;
	if (!progress->on_terminal && progress->phase != PROGRESS_FETCHING) /* with which each begins */
		log_notice("installing %s: %s", progress->title, phases[phase]);
}

static void on_line(struct progress *progress, const char *line, size_t length)
{
	mem_cleanup char *text = str_dup_n(line, length);

	if (text[0] == MARK) {
		on_mark(progress, text + 1);
		return;
	}
	progress_clear(progress);
	text[length - 1] = '\0';
	mem_cleanup char *escaped = str_escape(text, strlen(text)); /* as its writer did already */
	mem_cleanup char *shown = str_printf("%s\n", escaped);
	log_line(shown);
}

static void on_bytes(struct progress *progress, const char *bytes, size_t count)
{
	struct npxc_error ignored;
	const char *newline;

	if (!buf_append(&progress->rest, bytes, count, &ignored)) {
		buf_consume(&progress->rest, progress->rest.length); /* no line of npxc's is as long */
		return;
	}
	while (progress->rest.length > 0 &&
	       (newline = memchr(progress->rest.data, '\n', progress->rest.length)) != NULL) {
		const size_t length = (size_t)(newline - progress->rest.data) + 1;

		on_line(progress, progress->rest.data, length);
		buf_consume(&progress->rest, length);
	}
}

void progress_follow(struct progress *progress, int fd)
{
	char bytes[4096];
	struct stat info;
	ssize_t got;

	if (fstat(fd, &info) == 0 && info.st_size < progress->offset)
		progress->offset = 0; /* another one has begun */
	while ((got = pread(fd, bytes, sizeof(bytes), progress->offset)) > 0) {
		progress->offset += got;
		on_bytes(progress, bytes, (size_t)got);
	}
	if (progress->on_terminal)
		draw(progress);
}

static bool is_same(int a, int b)
{
	struct stat one, other;

	return a != -1 && b != -1 && fstat(a, &one) == 0 && fstat(b, &other) == 0 && one.st_dev == other.st_dev &&
	       one.st_ino == other.st_ino;
}

void progress_follow_path(struct progress *progress, const char *path, bool reads)
{
	FD_CLEANUP int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY);

	if (fd != -1 && !is_same(fd, progress->file)) {
		if (progress->file != -1)
			progress_follow(progress, progress->file);
		fd_close(&progress->file);
		progress->file = fd_take(&fd);
		progress->offset = 0;
	}
	if (reads && progress->file != -1)
		progress_follow(progress, progress->file);
}
