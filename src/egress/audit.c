#include "egress/audit.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"
#include "config/rules.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const char *const verdict_words[] = { "allow", "deny", "fail" };
static const char *const code_words[] = { "ok",        "EACCES",       "ESNI",      "EHOST",  "EPROTO",
	                                  "ENOTFOUND", "ECONNREFUSED", "ETIMEDOUT", "EMFILE", "EIO" };

const char *audit_code_word(enum audit_code code)
{
	return code_words[code];
}

/* ---- one line ---- */

static bool put_text(struct buf *line, const char *key, const char *text, struct npxc_error *err)
{
	if (text == NULL)
		return true;
	if (!buf_appendf(line, err, ",\"%s\":\"", key))
		return false;
	for (const char *p = text; *p != '\0'; p++) {
		const unsigned char c = (unsigned char)*p;
		bool ok;

		if (c == '"' || c == '\\')
			ok = buf_appendf(line, err, "\\%c", c);
		else if (c < ' ' || c >= 0x7f)
			ok = buf_appendf(line, err, "\\u%04x", c);
		else
			ok = buf_append(line, p, 1, err);
		if (!ok)
			return false;
	}
	return buf_append_text(line, "\"", err);
}

static bool put_number(struct buf *line, const char *key, uint64_t number, struct npxc_error *err)
{
	return buf_appendf(line, err, ",\"%s\":%" PRIu64, key, number);
}

static bool put_flow(struct buf *line, const struct audit_record *r, struct npxc_error *err)
{
	if (r->ms < 0)
		return true;
	return put_number(line, "up", r->up, err) && put_number(line, "down", r->down, err) &&
	       put_number(line, "ms", (uint64_t)r->ms, err);
}

static char *rule_to_add(const struct audit_record *r)
{
	const char *host = r->host != NULL ? r->host : r->ip;

	if (r->add == AUDIT_ADD_NOTHING || host == NULL || r->port == 0)
		return NULL;
	return r->add == AUDIT_ADD_RAW ? rules_propose_raw(host, r->port) : rules_propose(host, r->port);
}

bool audit_line(const struct audit_record *r, const char *ts, const char *session, const char *package,
                struct buf *ret_line, struct npxc_error *err)
{
	const size_t before = ret_line->length;
	mem_cleanup char *add = rule_to_add(r);
	const bool ok =
	    buf_appendf(ret_line, err, "{\"ts\":\"%s\"", ts) && put_text(ret_line, "session", session, err) &&
	    put_text(ret_line, "package", package, err) &&
	    (r->flow == 0 || put_number(ret_line, "flow", r->flow, err)) &&
	    put_text(ret_line, "verdict", verdict_words[r->verdict], err) &&
	    put_text(ret_line, "code", code_words[r->code], err) && put_text(ret_line, "host", r->host, err) &&
	    (r->port == 0 || put_number(ret_line, "port", r->port, err)) && put_text(ret_line, "ip", r->ip, err) &&
	    put_text(ret_line, "rule", r->rule, err) && put_text(ret_line, "kind", r->kind, err) &&
	    put_text(ret_line, "sni", r->sni, err) && put_text(ret_line, "alpn", r->alpn, err) &&
	    put_flow(ret_line, r, err) && put_text(ret_line, "why", reason_text(r->reason), err) &&
	    put_text(ret_line, "add", add, err) && (r->repeat == 0 || put_number(ret_line, "repeat", r->repeat, err)) &&
	    buf_append_text(ret_line, "}\n", err);

	if (!ok)
		ret_line->length = before;
	return ok;
}

/* ---- repetitions ---- */

struct seen {
	struct audit_record record; /* with texts of its own; flow, up and down are the first one's */
	int64_t since_ms;
};

struct audit_repeats {
	bool allowed;
	struct seen v[LIMIT_AUDIT_REPEATS];
	size_t count;       /* v is sorted by since_ms */
	uint64_t uncounted; /* beyond the rate */
	int64_t tokens, refilled_ms;
};

struct audit_repeats *audit_repeats_new(bool allowed)
{
	struct audit_repeats *repeats = mem_alloc(sizeof(*repeats));

	repeats->allowed = allowed;
	repeats->tokens = LIMIT_AUDIT_BURST;
	return repeats;
}

static void seen_done(struct seen *seen)
{
	/* Static texts (kind) are not copied. */
	free((char *)seen->record.host);
	free((char *)seen->record.ip);
	free((char *)seen->record.rule);
	free((char *)seen->record.sni);
}

void audit_repeats_free(struct audit_repeats *repeats)
{
	if (repeats == NULL)
		return;
	for (size_t i = 0; i < repeats->count; i++)
		seen_done(&repeats->v[i]);
	free(repeats);
}

static bool is_same(const struct audit_record *a, const struct audit_record *b)
{
	return a->verdict == b->verdict && a->code == b->code && a->port == b->port && a->add == b->add &&
	       str_equal(a->host, b->host) && str_equal(a->kind, b->kind) && str_equal(a->sni, b->sni) &&
	       str_equal(a->ip, b->ip);
}

static bool take_token(struct audit_repeats *repeats, int64_t now_ms)
{
	const int64_t due = (now_ms - repeats->refilled_ms) * LIMIT_AUDIT_RATE / 1000;

	if (repeats->refilled_ms == 0 || due > LIMIT_AUDIT_BURST - repeats->tokens) {
		repeats->tokens = LIMIT_AUDIT_BURST;
		repeats->refilled_ms = now_ms;
	} else if (due > 0) {
		repeats->tokens += due;
		repeats->refilled_ms += due * 1000 / LIMIT_AUDIT_RATE;
	}
	if (repeats->tokens == 0)
		return false;
	repeats->tokens--;
	return true;
}

static void drop_oldest(struct audit_repeats *repeats, audit_emit *emit, void *context)
{
	struct seen *oldest = &repeats->v[0];

	if (oldest->record.repeat > 0 || repeats->allowed)
		emit(context, &oldest->record);
	seen_done(oldest);
	repeats->count--;
	memmove(repeats->v, repeats->v + 1, repeats->count * sizeof(repeats->v[0]));
}

static void emit_uncounted(struct audit_repeats *repeats, audit_emit *emit, void *context)
{
	const struct audit_record record = {
		.verdict = repeats->allowed ? AUDIT_ALLOW : AUDIT_DENY,
		.code = repeats->allowed ? AUDIT_OK : AUDIT_EACCES,
		.ms = -1,
		.reason = repeats->allowed ? REASON_MANY_FLOWS : REASON_MANY_DENIALS,
		.repeat = repeats->uncounted,
	};

	repeats->uncounted = 0;
	emit(context, &record);
}

static void add_up(struct audit_record *seen, const struct audit_record *record)
{
	seen->repeat++;
	seen->up += record->up;
	seen->down += record->down;
	if (seen->ms >= 0 && record->ms > seen->ms)
		seen->ms = record->ms;
}

static void remember(struct audit_repeats *repeats, const struct audit_record *record, int64_t now_ms)
{
	struct seen *seen = &repeats->v[repeats->count++];

	*seen = (struct seen){ .record = *record, .since_ms = now_ms };
	seen->record.host = str_dup(record->host);
	seen->record.ip = str_dup(record->ip);
	seen->record.rule = str_dup(record->rule);
	seen->record.sni = str_dup(record->sni);
	seen->record.alpn = NULL;
	seen->record.repeat = 0;
	seen->record.flow = 0;
	if (!repeats->allowed)
		seen->record.ms = -1;
}

void audit_repeats_add(struct audit_repeats *repeats, const struct audit_record *record, int64_t now_ms,
                       audit_emit *emit, void *context)
{
	const bool allowed = repeats->allowed;

	audit_repeats_flush(repeats, now_ms, false, emit, context);
	if (allowed && take_token(repeats, now_ms)) {
		emit(context, record);
		return;
	}
	for (size_t i = 0; i < repeats->count; i++) {
		if (is_same(&repeats->v[i].record, record)) {
			add_up(&repeats->v[i].record, record);
			return;
		}
	}
	if (allowed ? repeats->count == LIMIT_AUDIT_REPEATS : !take_token(repeats, now_ms)) {
		repeats->uncounted++;
		return;
	}
	if (!allowed) {
		if (repeats->uncounted > 0)
			emit_uncounted(repeats, emit, context);
		emit(context, record);
		if (repeats->count == LIMIT_AUDIT_REPEATS)
			drop_oldest(repeats, emit, context);
	}
	remember(repeats, record, now_ms);
}

void audit_repeats_flush(struct audit_repeats *repeats, int64_t now_ms, bool all, audit_emit *emit, void *context)
{
	while (repeats->count > 0 && (all || now_ms - repeats->v[0].since_ms >= LIMIT_AUDIT_REPEAT_MS))
		drop_oldest(repeats, emit, context);
	if (repeats->uncounted > 0 && (all || take_token(repeats, now_ms)))
		emit_uncounted(repeats, emit, context);
}

int audit_repeats_due(const struct audit_repeats *repeats, int64_t now_ms)
{
	int64_t left;

	if (repeats->uncounted > 0)
		return 1000;
	if (repeats->count == 0)
		return -1;
	left = repeats->v[0].since_ms + LIMIT_AUDIT_REPEAT_MS - now_ms;
	return left < 0 ? 0 : (int)left;
}

/* ---- the files ---- */

struct audit_file {
	char *first, *second; /* owned; names */
	bool keeps_first;     /* what is full stays, and the second takes what is new; else it becomes the second */
	bool at_second;
	int fd; /* owned; -1: not open */
	uint64_t bytes;
	struct buf pending; /* lines of this turn of the loop, and those that could not be written */
	uint64_t lost;      /* records for which there was no room */
	int64_t retry_ms;   /* not before; 0: nothing has failed */
	bool torn;          /* its last line is a part of one that could not be taken away */
};

struct audit {
	int directory; /* owned */
	struct audit_file allowed, denied;
	char *session, *package; /* owned */
	struct audit_repeats *flows, *denials;
	int64_t now_ms; /* of the last call */
	enum audit_trouble trouble;
	bool has_told;
};

struct old_file {
	char *name;
	time_t changed;
};

static int by_age(const void *a, const void *b)
{
	const struct old_file *x = a, *y = b;

	return (x->changed > y->changed) - (x->changed < y->changed);
}

/* Best effort: what cannot be removed now is so at another start. */
static void prune(int directory)
{
	const int copy = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *stream = copy == -1 ? NULL : fdopendir(copy);
	struct old_file *files = NULL;
	size_t count = 0;

	if (stream == NULL)
		return;
	for (const struct dirent *entry = readdir(stream); entry != NULL; entry = readdir(stream)) {
		struct stat status;

		if ((!str_ends(entry->d_name, ".jsonl") && !str_ends(entry->d_name, ".jsonl.1")) ||
		    fstatat(directory, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == -1)
			continue;
		files = mem_realloc(files, count + 1, sizeof(*files));
		files[count++] = (struct old_file){ str_dup(entry->d_name), status.st_mtime };
	}
	closedir(stream);
	if (count > 0)
		qsort(files, count, sizeof(*files), by_age);
	for (size_t i = 0; i < count; i++) {
		if (count - i >= LIMIT_AUDIT_FILES)
			unlinkat(directory, files[i].name, 0);
		free(files[i].name);
	}
	free(files);
}

static bool open_file(const struct audit *audit, struct audit_file *file)
{
	struct stat status;

	file->fd = openat(audit->directory, file->at_second ? file->second : file->first,
	                  O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, S_IRUSR | S_IWUSR);
	if (file->fd == -1)
		return false;
	file->bytes = fstat(file->fd, &status) == 0 ? (uint64_t)status.st_size : 0;
	file->torn = false;
	return true;
}

static struct audit_file file_named(const char *session, const char *ending, bool keeps_first)
{
	return (struct audit_file){ .first = str_printf("%s%s.jsonl", session, ending),
		                    .second = str_printf("%s%s.jsonl.1", session, ending),
		                    .keeps_first = keeps_first,
		                    .fd = -1,
		                    .pending = BUF_INIT(AUDIT_PENDING_BYTES + LIMIT_AUDIT_LINE_BYTES) };
}

static void file_done(struct audit_file *file)
{
	buf_done(&file->pending);
	fd_close(&file->fd);
	free(file->first);
	free(file->second);
}

bool audit_open(const char *directory, const char *session, const char *package, struct audit **ret_audit,
                struct npxc_error *err)
{
	struct audit *audit;
	int fd;

	if (!file_make_directories(directory, S_IRWXU, err))
		return false;
	fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd == -1)
		return error_set_errno(err, ERROR_IO, "open %s", directory);
	prune(fd);
	audit = mem_alloc(sizeof(*audit));
	*audit = (struct audit){ .directory = fd,
		                 .allowed = file_named(session, "", false),
		                 .denied = file_named(session, ".denied", true),
		                 .session = str_dup(session),
		                 .package = str_dup(package),
		                 .flows = audit_repeats_new(true),
		                 .denials = audit_repeats_new(false) };
	if (!open_file(audit, &audit->allowed)) {
		error_set_errno(err, ERROR_IO, "open %s/%s", directory, audit->allowed.first);
		(void)audit_close(audit);
		return false;
	}
	*ret_audit = audit;
	return true;
}

int audit_directory_fd(const struct audit *audit)
{
	return audit->directory;
}

/* Makes room: a file with nothing in it is open then. */
static bool rotate(const struct audit *audit, struct audit_file *file)
{
	if (!file->keeps_first) {
		if (renameat(audit->directory, file->first, audit->directory, file->second) == -1)
			return false;
	} else if (!file->at_second) {
		file->at_second = true;
	} else if (unlinkat(audit->directory, file->second, 0) == -1 && errno != ENOENT) {
		return false;
	}
	fd_close(&file->fd);
	return open_file(audit, file);
}

static void now_text(char text[static 32])
{
	struct timespec now = { 0 };
	struct tm parts = { 0 };
	size_t used;

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &parts);
	used = strftime(text, 32, "%Y-%m-%dT%H:%M:%S", &parts);
	snprintf(text + used, 32 - used, ".%03dZ", (int)(now.tv_nsec / 1000000));
}

/* Takes away what is there of a line that is not whole: `count` bytes of the pending ones were written. */
static void keep_whole_lines(struct audit_file *file, size_t count)
{
	size_t whole = count;

	while (whole > 0 && file->pending.data[whole - 1] != '\n')
		whole--;
	file->torn = count > whole && ftruncate(file->fd, (off_t)(file->bytes + whole)) == -1;
	file->bytes += file->torn ? count : whole;
	buf_consume(&file->pending, whole);
}

/* False, and errno: some of it waits. */
static bool write_lines(const struct audit *audit, struct audit_file *file)
{
	size_t count = 0;

	if (file->fd == -1 && !open_file(audit, file))
		return false;
	if (file->bytes + file->pending.length > LIMIT_AUDIT_FILE_BYTES && !rotate(audit, file))
		return false;
	if (file->torn) {
		if (write(file->fd, "\n", 1) != 1)
			return false;
		file->torn = false;
		file->bytes++;
	}
	while (count < file->pending.length) {
		const ssize_t put = write(file->fd, file->pending.data + count, file->pending.length - count);

		if (put == -1 && errno == EINTR)
			continue;
		if (put <= 0) {
			const int error = put == 0 ? ENOSPC : errno;
			keep_whole_lines(file, count);
			errno = error;
			return false;
		}
		count += (size_t)put;
	}
	file->bytes += count;
	buf_consume(&file->pending, count);
	return true;
}

static bool put_line(const struct audit *audit, struct audit_file *file, const struct audit_record *record)
{
	struct npxc_error ignored;
	char ts[32];

	now_text(ts);
	return audit_line(record, ts, audit->session, audit->package, &file->pending, &ignored);
}

static void note_trouble(struct audit *audit, int error)
{
	if (audit->has_told)
		return;
	audit->has_told = true;
	audit->trouble =
	    error == ENOSPC || error == EDQUOT || error == EFBIG ? AUDIT_TROUBLE_SPACE : AUDIT_TROUBLE_WRITE;
}

/* `all`: the last time. */
static void write_pending(struct audit *audit, struct audit_file *file, bool all)
{
	if (file->pending.length == 0 || (!all && file->retry_ms > audit->now_ms))
		return;
	if (!write_lines(audit, file)) {
		note_trouble(audit, errno);
		file->retry_ms = audit->now_ms + LIMIT_AUDIT_RETRY_MS;
		return;
	}
	file->retry_ms = 0;
	if (file->lost == 0)
		return;
	const struct audit_record missing = {
		.verdict = AUDIT_FAIL, .code = AUDIT_EIO, .ms = -1, .reason = REASON_RECORDS_LOST, .repeat = file->lost
	};
	file->lost = 0;
	(void)!put_line(audit, file, &missing);
	write_pending(audit, file, all);
}

static void write_record(struct audit *audit, struct audit_file *file, const struct audit_record *record)
{
	if (file->pending.length >= AUDIT_PENDING_BYTES)
		write_pending(audit, file, false);
	if (file->pending.length >= AUDIT_PENDING_BYTES || !put_line(audit, file, record))
		file->lost += 1 + record->repeat;
}

static void emit_flow(void *context, const struct audit_record *record)
{
	struct audit *audit = context;

	write_record(audit, &audit->allowed, record);
}

static void emit_denial(void *context, const struct audit_record *record)
{
	struct audit *audit = context;

	write_record(audit, &audit->denied, record);
}

void audit_write(struct audit *audit, const struct audit_record *record, int64_t now_ms)
{
	audit->now_ms = now_ms;
	if (record->verdict == AUDIT_ALLOW)
		audit_repeats_add(audit->flows, record, now_ms, emit_flow, audit);
	else
		audit_repeats_add(audit->denials, record, now_ms, emit_denial, audit);
}

static void flush(struct audit *audit, bool all)
{
	audit_repeats_flush(audit->flows, audit->now_ms, all, emit_flow, audit);
	audit_repeats_flush(audit->denials, audit->now_ms, all, emit_denial, audit);
	write_pending(audit, &audit->allowed, all);
	write_pending(audit, &audit->denied, all);
}

void audit_flush(struct audit *audit, int64_t now_ms)
{
	audit->now_ms = now_ms;
	flush(audit, false);
}

static int file_due(const struct audit_file *file, int64_t now_ms)
{
	if (file->pending.length == 0 || file->retry_ms == 0)
		return -1; /* the next audit_flush writes it */
	return file->retry_ms > now_ms ? (int)(file->retry_ms - now_ms) : 0;
}

int audit_due(const struct audit *audit, int64_t now_ms)
{
	return clock_sooner(
	    clock_sooner(audit_repeats_due(audit->flows, now_ms), audit_repeats_due(audit->denials, now_ms)),
	    clock_sooner(file_due(&audit->allowed, now_ms), file_due(&audit->denied, now_ms)));
}

enum audit_trouble audit_trouble(struct audit *audit)
{
	enum audit_trouble trouble = audit->trouble;

	audit->trouble = AUDIT_TROUBLE_NONE;
	return trouble;
}

enum audit_trouble audit_close(struct audit *audit)
{
	enum audit_trouble trouble;

	if (audit == NULL)
		return AUDIT_TROUBLE_NONE;
	flush(audit, true);
	trouble = audit->trouble;
	audit_repeats_free(audit->flows);
	audit_repeats_free(audit->denials);
	file_done(&audit->allowed);
	file_done(&audit->denied);
	fd_close(&audit->directory);
	free(audit->session);
	free(audit->package);
	free(audit);
	return trouble;
}
