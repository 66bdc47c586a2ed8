#include "egress/audit.h"

#include "base/fd.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/log.h"
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
static const char *const code_words[] = { "ok",        "EACCES",       "ESNI",      "EHOST", "EPROTO",
	                                  "ENOTFOUND", "ECONNREFUSED", "ETIMEDOUT", "EMFILE" };

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
	    put_flow(ret_line, r, err) && put_text(ret_line, "why", r->why, err) &&
	    put_text(ret_line, "add", add, err) && (r->repeat == 0 || put_number(ret_line, "repeat", r->repeat, err)) &&
	    buf_append_text(ret_line, "}\n", err);

	if (!ok)
		ret_line->length = before;
	return ok;
}

/* ---- repeated denials ---- */

struct seen {
	struct audit_record record; /* with texts of its own; flow, up and down are the first one's */
	int64_t since_ms;
};

struct audit_repeats {
	struct seen v[LIMIT_AUDIT_REPEATS];
	size_t count;       /* v is sorted by since_ms */
	uint64_t uncounted; /* beyond the rate */
	int64_t tokens, refilled_ms;
};

struct audit_repeats *audit_repeats_new(void)
{
	struct audit_repeats *repeats = mem_alloc(sizeof(*repeats));

	repeats->tokens = LIMIT_AUDIT_BURST;
	return repeats;
}

static void seen_done(struct seen *seen)
{
	/* Static texts (kind, why) are not copied. */
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

	if (oldest->record.repeat > 0)
		emit(context, &oldest->record);
	seen_done(oldest);
	repeats->count--;
	memmove(repeats->v, repeats->v + 1, repeats->count * sizeof(repeats->v[0]));
}

static void emit_uncounted(struct audit_repeats *repeats, audit_emit *emit, void *context)
{
	const struct audit_record record = { .verdict = AUDIT_DENY,
		                             .code = AUDIT_EACCES,
		                             .ms = -1,
		                             .why = "too many different denials to write each of them",
		                             .repeat = repeats->uncounted };

	repeats->uncounted = 0;
	emit(context, &record);
}

void audit_repeats_add(struct audit_repeats *repeats, const struct audit_record *record, int64_t now_ms,
                       audit_emit *emit, void *context)
{
	struct seen *seen;

	audit_repeats_flush(repeats, now_ms, false, emit, context);
	for (size_t i = 0; i < repeats->count; i++) {
		if (is_same(&repeats->v[i].record, record)) {
			repeats->v[i].record.repeat++;
			return;
		}
	}
	if (!take_token(repeats, now_ms)) {
		repeats->uncounted++;
		return;
	}
	if (repeats->uncounted > 0)
		emit_uncounted(repeats, emit, context);
	emit(context, record);
	if (repeats->count == LIMIT_AUDIT_REPEATS)
		drop_oldest(repeats, emit, context);
	seen = &repeats->v[repeats->count++];
	*seen = (struct seen){ .record = *record, .since_ms = now_ms };
	seen->record.host = str_dup(record->host);
	seen->record.ip = str_dup(record->ip);
	seen->record.rule = str_dup(record->rule);
	seen->record.sni = str_dup(record->sni);
	seen->record.alpn = NULL;
	seen->record.repeat = 0;
	seen->record.flow = 0;
	seen->record.ms = -1;
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

/* ---- the file ---- */

struct audit {
	int directory, file; /* owned */
	uint64_t bytes;
	char *name, *old_name; /* owned */
	char *session, *package;
	struct audit_repeats *repeats;
	struct buf pending; /* lines of this turn of the loop */
	bool has_warned;
};

/* bytes: what is written at once at the latest. */
enum { PENDING_BYTES = 32 * 1024 };

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

static bool open_file(struct audit *audit)
{
	struct stat status;

	audit->file = openat(audit->directory, audit->name, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW,
	                     S_IRUSR | S_IWUSR);
	if (audit->file == -1)
		return false;
	audit->bytes = fstat(audit->file, &status) == 0 ? (uint64_t)status.st_size : 0;
	return true;
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
		                 .file = -1,
		                 .name = str_printf("%s.jsonl", session),
		                 .old_name = str_printf("%s.jsonl.1", session),
		                 .session = str_dup(session),
		                 .package = str_dup(package),
		                 .pending = BUF_INIT(PENDING_BYTES + LIMIT_AUDIT_LINE_BYTES),
		                 .repeats = audit_repeats_new() };
	if (!open_file(audit)) {
		error_set_errno(err, ERROR_IO, "open %s/%s", directory, audit->name);
		audit_close(audit);
		return false;
	}
	*ret_audit = audit;
	return true;
}

int audit_directory_fd(const struct audit *audit)
{
	return audit->directory;
}

static void rotate(struct audit *audit)
{
	if (renameat(audit->directory, audit->name, audit->directory, audit->old_name) == -1)
		return;
	fd_close(&audit->file);
	if (!open_file(audit))
		audit->file = -1;
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

static void write_pending(struct audit *audit)
{
	struct npxc_error err = { 0 };

	if (audit->pending.length == 0)
		return;
	if (audit->bytes + audit->pending.length > LIMIT_AUDIT_FILE_BYTES)
		rotate(audit);
	if (audit->file != -1 && fd_write_all(audit->file, audit->pending.data, audit->pending.length, &err)) {
		audit->bytes += audit->pending.length;
	} else if (!audit->has_warned) {
		audit->has_warned = true;
		log_warn("egress", "the audit log cannot be written: %s", err.message);
	}
	buf_consume(&audit->pending, audit->pending.length);
}

static void write_record(void *context, const struct audit_record *record)
{
	struct audit *audit = context;
	struct npxc_error ignored;
	char ts[32];

	now_text(ts);
	if (!audit_line(record, ts, audit->session, audit->package, &audit->pending, &ignored))
		return;
	if (audit->pending.length >= PENDING_BYTES)
		write_pending(audit);
}

void audit_write(struct audit *audit, const struct audit_record *record, int64_t now_ms)
{
	if (record->verdict == AUDIT_ALLOW)
		write_record(audit, record);
	else
		audit_repeats_add(audit->repeats, record, now_ms, write_record, audit);
}

void audit_flush(struct audit *audit, int64_t now_ms)
{
	audit_repeats_flush(audit->repeats, now_ms, false, write_record, audit);
	write_pending(audit);
}

int audit_due(const struct audit *audit, int64_t now_ms)
{
	return audit_repeats_due(audit->repeats, now_ms);
}

void audit_close(struct audit *audit)
{
	if (audit == NULL)
		return;
	audit_repeats_flush(audit->repeats, 0, true, write_record, audit);
	write_pending(audit);
	buf_done(&audit->pending);
	audit_repeats_free(audit->repeats);
	fd_close(&audit->file);
	fd_close(&audit->directory);
	free(audit->name);
	free(audit->old_name);
	free(audit->session);
	free(audit->package);
	free(audit);
}
