#include "unit.h"

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"
#include "egress/audit.h"

#include <cjson/cJSON.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <utime.h>

static void each_record_is_written_as_its_line(void **state)
{
	static const struct {
		struct audit_record record;
		const char *line;
	} cases[] = {
		{ { .flow = 7,
		    .verdict = AUDIT_ALLOW,
		    .host = "api.example.com",
		    .port = 443,
		    .ip = "93.184.216.34",
		    .rule = "*.example.com",
		    .kind = "tls",
		    .sni = "api.example.com",
		    .alpn = "h2",
		    .up = 10,
		    .down = 2000,
		    .ms = 5 },
		  "{\"ts\":\"T\",\"session\":\"s\",\"package\":\"@a/"
		  "b\",\"flow\":7,\"verdict\":\"allow\",\"code\":\"ok\","
		  "\"host\":\"api.example.com\",\"port\":443,\"ip\":\"93.184.216.34\",\"rule\":\"*.example.com\","
		  "\"kind\":\"tls\",\"sni\":\"api.example.com\",\"alpn\":\"h2\",\"up\":10,\"down\":2000,\"ms\":5}\n" },
		{ { .verdict = AUDIT_DENY,
		    .code = AUDIT_EACCES,
		    .host = "evil.test",
		    .kind = "dns",
		    .ms = -1,
		    .reason = REASON_UNLISTED,
		    .repeat = 3 },
		  "{\"ts\":\"T\",\"session\":\"s\",\"package\":\"@a/b\",\"verdict\":\"deny\",\"code\":\"EACCES\","
		  "\"host\":\"evil.test\",\"kind\":\"dns\",\"why\":\"is not in the allow list\",\"repeat\":3}\n" },
		{ { .verdict = AUDIT_DENY,
		    .code = AUDIT_EACCES,
		    .ip = "2001:db8::1",
		    .port = 5432,
		    .ms = -1,
		    .add = AUDIT_ADD_RULE },
		  "{\"ts\":\"T\",\"session\":\"s\",\"package\":\"@a/b\",\"verdict\":\"deny\",\"code\":\"EACCES\","
		  "\"port\":5432,\"ip\":\"2001:db8::1\",\"add\":\"[2001:db8::1]:5432\"}\n" },
		{ { .verdict = AUDIT_DENY,
		    .code = AUDIT_EPROTO,
		    .host = "db.test",
		    .port = 5432,
		    .ms = -1,
		    .add = AUDIT_ADD_RAW },
		  "{\"ts\":\"T\",\"session\":\"s\",\"package\":\"@a/b\",\"verdict\":\"deny\",\"code\":\"EPROTO\","
		  "\"host\":\"db.test\",\"port\":5432,\"add\":\"db.test:5432/raw\"}\n" },
		{ { .verdict = AUDIT_FAIL, .code = AUDIT_ETIMEDOUT, .host = "a\"\\\n\x7f\xc3\x1b[2J", .ms = -1 },
		  "{\"ts\":\"T\",\"session\":\"s\",\"package\":\"@a/b\",\"verdict\":\"fail\",\"code\":\"ETIMEDOUT\","
		  "\"host\":\"a\\\"\\\\\\u000a\\u007f\\u00c3\\u001b[2J\"}\n" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buf line BUF_CLEANUP = BUF_INIT(LIMIT_AUDIT_LINE_BYTES);
		struct npxc_error err = { 0 };
		cJSON *json;

		assert_true(audit_line(&cases[i].record, "T", "s", "@a/b", &line, &err));
		assert_string_equal(line.data, cases[i].line);
		json = cJSON_Parse(line.data);
		assert_non_null(json);
		cJSON_Delete(json);
	}
	struct buf small BUF_CLEANUP = BUF_INIT(100);
	struct npxc_error err = { 0 };
	assert_false(audit_line(&cases[0].record, "T", "s", "@a/b", &small, &err));
	assert_int_equal(small.length, 0);
	assert_int_equal(err.kind, ERROR_IO);
}

struct emitted {
	struct audit_record last;
	char text[4096];
	size_t count;
};

static void note(void *context, const struct audit_record *record)
{
	struct emitted *emitted = context;
	const size_t used = strlen(emitted->text);

	emitted->count++;
	emitted->last = *record;
	if (used < sizeof(emitted->text) - 100)
		snprintf(emitted->text + used, sizeof(emitted->text) - used, "%s:%u+%u ",
		         record->host == NULL ? "-" : record->host, record->port, (unsigned)record->repeat);
}

static struct audit_record denial(const char *host, uint16_t port)
{
	return (struct audit_record){ .verdict = AUDIT_DENY, .code = AUDIT_EACCES, .host = host, .port = port };
}

static void repeats_are_counted(void **state)
{
	struct audit_repeats *repeats = audit_repeats_new(false);
	struct emitted out = { 0 };
	struct audit_record a = denial("a", 1), b = denial("b", 1), a2 = denial("a", 2), sni = denial("a", 1);

	(void)state;
	sni.code = AUDIT_ESNI;
	assert_int_equal(audit_repeats_due(repeats, 1000), -1);
	for (int i = 0; i < 5; i++)
		audit_repeats_add(repeats, &a, 1000, note, &out);
	audit_repeats_add(repeats, &b, 2000, note, &out);
	audit_repeats_add(repeats, &a2, 2000, note, &out);
	audit_repeats_add(repeats, &sni, 2000, note, &out);
	audit_repeats_add(repeats, &b, 2000, note, &out);
	assert_string_equal(out.text, "a:1+0 b:1+0 a:2+0 a:1+0 ");
	assert_int_equal(audit_repeats_due(repeats, 2000), LIMIT_AUDIT_REPEAT_MS - 1000);

	out = (struct emitted){ 0 };
	audit_repeats_flush(repeats, 1000 + LIMIT_AUDIT_REPEAT_MS - 1, false, note, &out);
	assert_string_equal(out.text, "");
	audit_repeats_flush(repeats, 1000 + LIMIT_AUDIT_REPEAT_MS, false, note, &out);
	assert_string_equal(out.text, "a:1+4 ");
	audit_repeats_flush(repeats, 2000 + LIMIT_AUDIT_REPEAT_MS, false, note, &out);
	assert_string_equal(out.text, "a:1+4 b:1+1 ");
	assert_int_equal(audit_repeats_due(repeats, 2000 + LIMIT_AUDIT_REPEAT_MS), -1);

	/* after that it is news again; the end waits for nothing */
	out = (struct emitted){ 0 };
	audit_repeats_add(repeats, &a, 20000, note, &out);
	audit_repeats_add(repeats, &a, 20000, note, &out);
	audit_repeats_flush(repeats, 20000, true, note, &out);
	assert_string_equal(out.text, "a:1+0 a:1+1 ");
	audit_repeats_free(repeats);
}

static void the_oldest_gives_way(void **state)
{
	struct audit_repeats *repeats = audit_repeats_new(false);
	struct emitted out = { 0 };
	struct audit_record record = denial("first", 1);

	(void)state;
	audit_repeats_add(repeats, &record, 1000, note, &out);
	audit_repeats_add(repeats, &record, 1000, note, &out);
	for (uint16_t i = 1; i < LIMIT_AUDIT_REPEATS; i++) {
		record = denial("x", i);
		audit_repeats_add(repeats, &record, 1000, note, &out);
	}
	out = (struct emitted){ 0 };
	record = denial("last", 1);
	audit_repeats_add(repeats, &record, 1000, note, &out);
	assert_string_equal(out.text, "last:1+0 first:1+1 ");
	audit_repeats_free(repeats);
}

static void the_rate_is_capped(void **state)
{
	struct audit_repeats *repeats = audit_repeats_new(false);
	struct emitted out = { 0 };
	struct audit_record record;

	(void)state;
	for (unsigned i = 1; i <= 20000; i++) {
		record = denial("x", (uint16_t)i);
		audit_repeats_add(repeats, &record, 1000, note, &out);
	}
	assert_int_equal(out.count, LIMIT_AUDIT_BURST);
	assert_int_equal(audit_repeats_due(repeats, 1000), 1000);
	out = (struct emitted){ 0 };
	audit_repeats_flush(repeats, 1000, false, note, &out);
	assert_int_equal(out.count, 0);
	audit_repeats_flush(repeats, 2000, false, note, &out);
	assert_string_equal(out.text, "-:0+19500 ");
	for (unsigned i = 1; i <= 1000; i++) {
		record = denial("y", (uint16_t)i);
		audit_repeats_add(repeats, &record, 2000, note, &out);
	}
	assert_int_equal(out.count, LIMIT_AUDIT_RATE); /* one of them was the summary */
	audit_repeats_free(repeats);
}

static char *make_directory(void)
{
	struct npxc_error err = { 0 };
	char *path = NULL;

	if (!file_make_temporary_directory("/tmp", "npxc-audit-", &path, &err))
		fail_msg("%s", err.message);
	return path;
}

static char *read_text(const char *directory, const char *name)
{
	mem_cleanup char *path = str_printf("%s/%s", directory, name);
	struct buf bytes = BUF_INIT(16 * MIB);
	struct npxc_error err = { 0 };

	if (!file_read(path, &bytes, &err))
		fail_msg("%s", err.message);
	return buf_take(&bytes);
}

static size_t count_lines(const char *text)
{
	size_t count = 0;

	for (const char *p = text; *p != '\0'; p++)
		count += *p == '\n';
	return count;
}

static void a_file_is_written(void **state)
{
	mem_cleanup char *base = make_directory();
	mem_cleanup char *directory = str_printf("%s/state/egress", base);
	mem_cleanup char *path = str_printf("%s/npxc-x-01234567.jsonl", directory);
	struct audit_record record = denial("evil.test", 443);
	struct audit *audit = NULL;
	struct npxc_error err = { 0 };
	struct stat status;

	(void)state;
	if (!audit_open(directory, "npxc-x-01234567", "x", &audit, &err))
		fail_msg("%s", err.message);
	audit_write(audit, &record, 1000);
	audit_write(audit, &record, 1000);
	record = (struct audit_record){ .verdict = AUDIT_ALLOW, .host = "a", .port = 1 };
	audit_write(audit, &record, 1000);
	audit_write(audit, &record, 1000);
	assert_int_equal(audit_due(audit, 1000), LIMIT_AUDIT_REPEAT_MS);
	audit_flush(audit, 1000);
	(void)audit_close(audit);
	mem_cleanup char *flows = read_text(directory, "npxc-x-01234567.jsonl");
	assert_int_equal(count_lines(flows), 2);
	mem_cleanup char *text = read_text(directory, "npxc-x-01234567.denied.jsonl");
	assert_int_equal(count_lines(text), 2); /* the denial, its repetition */
	assert_non_null(strstr(text, "\"repeat\":1}\n"));
	assert_int_equal(text[7], '2'); /* of the year */
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_mode & 0777, 0600);
	assert_int_equal(stat(directory, &status), 0);
	assert_int_equal(status.st_mode & 0777, 0700);
	assert_true(file_remove_tree(base, &err));
}

static void a_file_is_rotated(void **state)
{
	mem_cleanup char *directory = make_directory();
	struct audit_record record = { .verdict = AUDIT_ALLOW, .port = 1 };
	char host[2000];
	struct audit *audit = NULL;
	struct npxc_error err = { 0 };
	const size_t writes = 3 * LIMIT_AUDIT_FILE_BYTES / sizeof(host);

	(void)state;
	memset(host, 'a', sizeof(host));
	host[sizeof(host) - 1] = '\0';
	record.host = host;
	assert_true(audit_open(directory, "s", "x", &audit, &err));
	for (size_t i = 0; i < writes; i++) {
		audit_write(audit, &record, (int64_t)i * 1000);
		audit_flush(audit, (int64_t)i * 1000);
	}
	(void)audit_close(audit);
	mem_cleanup char *now = read_text(directory, "s.jsonl");
	mem_cleanup char *before = read_text(directory, "s.jsonl.1");
	assert_true(strlen(now) <= LIMIT_AUDIT_FILE_BYTES && strlen(now) > 0);
	assert_true(strlen(before) <= LIMIT_AUDIT_FILE_BYTES && strlen(before) > LIMIT_AUDIT_FILE_BYTES - 3000);
	assert_true(str_starts(before, "{\"ts\"") && str_ends(before, "}\n"));
	assert_true(file_remove_tree(directory, &err));
}

/* Lines of one turn are written together, at the latest when there are many. */
static void lines_wait_for_the_end_of_a_turn(void **state)
{
	mem_cleanup char *directory = make_directory();
	const struct audit_record record = { .verdict = AUDIT_ALLOW, .host = "a", .port = 1 };
	struct audit *audit = NULL;
	struct npxc_error err = { 0 };

	(void)state;
	assert_true(audit_open(directory, "s", "x", &audit, &err));
	audit_write(audit, &record, 1000);
	mem_cleanup char *none = read_text(directory, "s.jsonl");
	assert_string_equal(none, "");
	audit_flush(audit, 1000);
	mem_cleanup char *one = read_text(directory, "s.jsonl");
	assert_true(str_ends(one, "}\n"));
	for (int i = 0; i < 400; i++)
		audit_write(audit, &record, 1000);
	mem_cleanup char *many = read_text(directory, "s.jsonl");
	assert_true(strlen(many) > strlen(one));
	(void)audit_close(audit);
	mem_cleanup char *all = read_text(directory, "s.jsonl");
	assert_int_equal(strlen(all), 401 * strlen(one));
	assert_true(file_remove_tree(directory, &err));
}

/* Beyond the rate flows are added up: nothing of what they carried is lost. */
static void flows_are_added_up(void **state)
{
	enum { FLOWS = 33000 };
	struct audit_repeats *repeats = audit_repeats_new(true);
	struct emitted out = { 0 };
	struct audit_record flow = { .verdict = AUDIT_ALLOW, .host = "a", .port = 1, .up = 3, .down = 5, .ms = 7 };

	(void)state;
	for (unsigned i = 1; i <= FLOWS; i++) {
		flow.flow = i;
		flow.ms = i == 20000 ? 99 : 7;
		audit_repeats_add(repeats, &flow, 1000, note, &out);
	}
	assert_int_equal(out.count, LIMIT_AUDIT_BURST);
	assert_int_equal(audit_repeats_due(repeats, 1000), LIMIT_AUDIT_REPEAT_MS);
	out = (struct emitted){ 0 };
	audit_repeats_flush(repeats, 1000 + LIMIT_AUDIT_REPEAT_MS, false, note, &out);
	assert_int_equal(out.count, 1);
	assert_int_equal(out.last.repeat, FLOWS - LIMIT_AUDIT_BURST - 1);
	assert_int_equal(out.last.up, 3 * (FLOWS - LIMIT_AUDIT_BURST));
	assert_int_equal(out.last.down, 5 * (FLOWS - LIMIT_AUDIT_BURST));
	assert_int_equal(out.last.ms, 99);
	/* different ones without end are counted */
	for (uint16_t i = 1; i <= 20000; i++) {
		flow.port = i;
		audit_repeats_add(repeats, &flow, 1000, note, &out);
	}
	out = (struct emitted){ 0 };
	audit_repeats_flush(repeats, 1000, true, note, &out);
	assert_int_equal(out.count, LIMIT_AUDIT_REPEATS + 1);
	audit_repeats_free(repeats);
}

/* The order of attack: one denial, then as many allowed flows as it takes to turn the log over twice. */
static void flows_take_no_room_from_denials(void **state)
{
	mem_cleanup char *directory = make_directory();
	const struct audit_record denied = denial("evil.test", 443);
	struct audit_record flow = { .verdict = AUDIT_ALLOW, .port = 1 };
	char host[2000];
	struct audit *audit = NULL;
	struct npxc_error err = { 0 };

	(void)state;
	memset(host, 'a', sizeof(host));
	host[sizeof(host) - 1] = '\0';
	flow.host = host;
	assert_true(audit_open(directory, "s", "x", &audit, &err));
	audit_write(audit, &denied, 1000);
	for (size_t i = 0; i < 3 * LIMIT_AUDIT_FILE_BYTES / sizeof(host); i++)
		audit_write(audit, &flow, (int64_t)i * 1000);
	assert_int_equal(audit_close(audit), AUDIT_TROUBLE_NONE);
	mem_cleanup char *text = read_text(directory, "s.denied.jsonl");
	assert_non_null(strstr(text, "evil.test"));
	assert_int_equal(count_lines(text), 1);
	assert_true(file_remove_tree(directory, &err));
}

/* Nor do denials from the first of them. */
static void the_first_denials_stay(void **state)
{
	mem_cleanup char *directory = make_directory();
	struct audit_record denied = denial("first.test", 443);
	char host[2000];
	struct audit *audit = NULL;
	struct npxc_error err = { 0 };
	const size_t writes = 4 * LIMIT_AUDIT_FILE_BYTES / sizeof(host);

	(void)state;
	assert_true(audit_open(directory, "s", "x", &audit, &err));
	audit_write(audit, &denied, 1000);
	memset(host, 'a', sizeof(host));
	host[sizeof(host) - 1] = '\0';
	for (size_t i = 0; i < writes; i++) {
		denied = denial(host, (uint16_t)(i + 1));
		audit_write(audit, &denied, (int64_t)i * 1000);
	}
	denied = denial("last.test", 443);
	audit_write(audit, &denied, (int64_t)writes * 1000);
	assert_int_equal(audit_close(audit), AUDIT_TROUBLE_NONE);
	mem_cleanup char *first = read_text(directory, "s.denied.jsonl");
	mem_cleanup char *last = read_text(directory, "s.denied.jsonl.1");
	assert_non_null(strstr(first, "first.test"));
	assert_non_null(strstr(last, "last.test"));
	assert_true(strlen(first) <= LIMIT_AUDIT_FILE_BYTES &&
	            strlen(first) > LIMIT_AUDIT_FILE_BYTES - AUDIT_PENDING_BYTES - 3000);
	assert_true(strlen(last) <= LIMIT_AUDIT_FILE_BYTES);
	assert_true(str_ends(first, "}\n") && str_starts(last, "{\"ts\"") && str_ends(last, "}\n"));
	assert_true(file_remove_tree(directory, &err));
}

static void limit_file_bytes(rlim_t bytes)
{
	struct rlimit limit;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = bytes;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* A full disk: told once, no half line, and what is missing is counted where it is missing. */
static void no_room_for_a_while(void **state)
{
	mem_cleanup char *directory = make_directory();
	struct audit_record flow = { .verdict = AUDIT_ALLOW, .port = 1 };
	char host[2000];
	struct audit *audit = NULL;
	struct npxc_error err = { 0 };
	unsigned total = 0;

	(void)state;
	signal(SIGXFSZ, SIG_IGN);
	memset(host, 'a', sizeof(host));
	host[sizeof(host) - 1] = '\0';
	flow.host = host;
	assert_true(audit_open(directory, "s", "x", &audit, &err));
	limit_file_bytes(5000); /* two lines and a half */
	for (; total < 4; total++)
		audit_write(audit, &flow, 1000);
	audit_flush(audit, 1000);
	mem_cleanup char *two = read_text(directory, "s.jsonl");
	assert_int_equal(count_lines(two), 2);
	assert_true(str_ends(two, "}\n"));
	const enum audit_trouble trouble = audit_trouble(audit);
	assert_int_not_equal(trouble, AUDIT_TROUBLE_NONE);
	assert_int_equal(trouble, AUDIT_TROUBLE_SPACE);
	assert_int_equal(audit_trouble(audit), AUDIT_TROUBLE_NONE);
	assert_int_equal(audit_due(audit, 1000), LIMIT_AUDIT_RETRY_MS);
	for (; total < 100; total++)
		audit_write(audit, &flow, 1000);
	audit_flush(audit, 1000 + LIMIT_AUDIT_RETRY_MS);
	assert_int_equal(audit_trouble(audit), AUDIT_TROUBLE_NONE);
	limit_file_bytes(RLIM_INFINITY);
	audit_flush(audit, 1000 + 2 * LIMIT_AUDIT_RETRY_MS);
	assert_int_equal(audit_due(audit, 1000 + 2 * LIMIT_AUDIT_RETRY_MS), -1);
	assert_int_equal(audit_close(audit), AUDIT_TROUBLE_NONE);
	mem_cleanup char *all = read_text(directory, "s.jsonl");
	const char *lost = strstr(all, "\"code\":\"EIO\"");
	assert_non_null(lost);
	assert_true(str_ends(all, "}\n"));
	/* every record is there, or counted */
	assert_int_equal(count_lines(all) - 1 + strtoul(strstr(lost, "\"repeat\":") + 9, NULL, 10), total);
	for (const char *line = all; *line != '\0'; line = strchr(line, '\n') + 1) {
		cJSON *json = cJSON_ParseWithOpts(line, NULL, false);

		assert_non_null(json);
		cJSON_Delete(json);
	}
	assert_true(file_remove_tree(directory, &err));
}

/* After a rotation the new file cannot be opened, and then it can. */
static void no_descriptor_for_a_while(void **state)
{
	mem_cleanup char *directory = make_directory();
	struct audit_record flow = { .verdict = AUDIT_ALLOW, .port = 1, .host = "a" };
	struct audit *audit = NULL;
	struct npxc_error err = { 0 };
	struct rlimit limit, none;

	(void)state;
	assert_true(audit_open(directory, "s", "x", &audit, &err));
	mem_cleanup char *path = str_printf("%s/s.jsonl", directory);
	assert_int_equal(truncate(path, LIMIT_AUDIT_FILE_BYTES), 0);
	(void)audit_close(audit);
	assert_true(audit_open(directory, "s", "x", &audit, &err)); /* and full */
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = limit;
	none.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	audit_write(audit, &flow, 1000);
	audit_flush(audit, 1000);
	const enum audit_trouble trouble = audit_trouble(audit);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_int_not_equal(trouble, AUDIT_TROUBLE_NONE);
	audit_write(audit, &flow, 1000);
	audit_flush(audit, 1000 + LIMIT_AUDIT_RETRY_MS);
	assert_int_equal(audit_close(audit), AUDIT_TROUBLE_NONE);
	mem_cleanup char *text = read_text(directory, "s.jsonl");
	assert_int_equal(count_lines(text), 2);
	assert_true(file_remove_tree(directory, &err));
}

static void old_files_go(void **state)
{
	mem_cleanup char *directory = make_directory();
	mem_cleanup char *other = str_printf("%s/other.txt", directory);
	struct audit *audit = NULL;
	struct npxc_error err = { 0 };

	(void)state;
	assert_true(file_write_atomic(other, "x", 1, 0600, &err));
	for (unsigned i = 0; i < LIMIT_AUDIT_FILES + 3; i++) {
		mem_cleanup char *path = str_printf("%s/s%u.jsonl", directory, i);
		const struct utimbuf times = { .actime = 1000 + i, .modtime = 1000 + i };

		FILE *file = fopen(path, "w");
		assert_non_null(file);
		fclose(file);
		assert_int_equal(utime(path, &times), 0);
	}
	assert_true(audit_open(directory, "new", "x", &audit, &err));
	(void)audit_close(audit);
	for (unsigned i = 0; i < LIMIT_AUDIT_FILES + 3; i++) {
		mem_cleanup char *path = str_printf("%s/s%u.jsonl", directory, i);

		assert_int_equal(file_exists(path), i >= 4);
	}
	assert_true(file_exists(other));
	assert_true(file_remove_tree(directory, &err));
}

static void no_place_to_write(void **state)
{
	struct audit *audit = NULL;
	struct npxc_error err = { 0 };

	(void)state;
	assert_false(audit_open("/dev/null/egress", "s", "x", &audit, &err));
	assert_int_equal(err.kind, ERROR_IO);
	assert_null(audit);
	(void)audit_close(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_record_is_written_as_its_line),
		cmocka_unit_test(repeats_are_counted),
		cmocka_unit_test(the_oldest_gives_way),
		cmocka_unit_test(the_rate_is_capped),
		cmocka_unit_test(a_file_is_written),
		cmocka_unit_test(a_file_is_rotated),
		cmocka_unit_test(lines_wait_for_the_end_of_a_turn),
		cmocka_unit_test(flows_are_added_up),
		cmocka_unit_test(flows_take_no_room_from_denials),
		cmocka_unit_test(the_first_denials_stay),
		cmocka_unit_test(no_room_for_a_while),
		cmocka_unit_test(no_descriptor_for_a_while),
		cmocka_unit_test(old_files_go),
		cmocka_unit_test(no_place_to_write),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
