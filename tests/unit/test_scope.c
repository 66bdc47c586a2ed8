#include "unit.h"

#include "base/mem.h"
#include "base/str.h"
#include "files/scope.h"

#include <string.h>

/* ---- the text ---- */

static const struct scope_place place = { .spellings = { "/home/u/work", "/data/work" }, .home = "/home/u" };

struct reading {
	const char *text;
	size_t length;    /* 0: strlen */
	const char *path; /* NULL: refused */
	const char
	    *other; /* what is left beneath the working directory, NULL: outside; of a refusal words of its message */
};

static char long_name[300];   /* one component of 256 bytes */
static char long_enough[300]; /* of 255 */
static char long_path[5000];  /* 4096 bytes */
static char very_long[20000];

static const struct reading readings[] = {
	{ "a", 0, "/home/u/work/a", "a" },
	{ "./a", 0, "/home/u/work/a", "a" },
	{ "a//b/./c", 0, "/home/u/work/a/b/c", "a/b/c" },
	{ "a/", 0, "/home/u/work/a", "a" },
	{ "a/.", 0, "/home/u/work/a", "a" },
	{ "a/..", 0, "/home/u/work", "" },
	{ ".", 0, "/home/u/work", "" },
	{ "./", 0, "/home/u/work", "" },
	{ "..", 0, "/home/u", NULL },
	{ "../work/a", 0, "/home/u/work/a", "a" },
	{ "...", 0, "/home/u/work/...", "..." },
	{ ".a", 0, "/home/u/work/.a", ".a" },
	{ "..a", 0, "/home/u/work/..a", "..a" },
	{ "a b", 0, "/home/u/work/a b", "a b" },
	{ "a%20b", 0, "/home/u/work/a%20b", "a%20b" },
	{ "a?b#c", 0, "/home/u/work/a?b#c", "a?b#c" },
	{ "a\\b", 0, "/home/u/work/a\\b", "a\\b" },
	{ "a\nb", 0, "/home/u/work/a\nb", "a\nb" },
	{ "\xff\xfe", 0, "/home/u/work/\xff\xfe", "\xff\xfe" },
	{ "/home/u/work/a", 0, "/home/u/work/a", "a" },
	{ "//home///u/./work//a", 0, "/home/u/work/a", NULL },
	{ "/home/u/work", 0, "/home/u/work", "" },
	{ "/home/u/work/", 0, "/home/u/work", "" },
	{ "/data/work/a", 0, "/data/work/a", "a" },
	{ "/home/u/work2/a", 0, "/home/u/work2/a", NULL },
	{ "/home/u/wor", 0, "/home/u/wor", NULL },
	{ "/home/u/work.old", 0, "/home/u/work.old", NULL },
	{ "/data/workshop/a", 0, "/data/workshop/a", NULL },
	{ "/home/u", 0, "/home/u", NULL },
	{ "/home/u/x/../work/a", 0, "/home/u/work/a", NULL },
	{ "/home/u/work/../other/a", 0, "/home/u/other/a", NULL },
	{ "/home/u/work/../work/a/../b", 0, "/home/u/work/b", "b" },
	{ "/home/u/./work/a", 0, "/home/u/work/a", NULL },
	{ "/data/../data/work/a", 0, "/data/work/a", NULL },
	{ "file:///home/u/./work/a", 0, "/home/u/work/a", "a" },
	{ "/etc/passwd", 0, "/etc/passwd", NULL },
	{ "/", 0, "/", NULL },
	{ "///", 0, "/", NULL },
	{ "/HOME/u/work/a", 0, "/HOME/u/work/a", NULL },
	{ "~", 0, "/home/u", NULL },
	{ "~/", 0, "/home/u", NULL },
	{ "~/work/a", 0, "/home/u/work/a", "a" },
	{ "~/.ssh/id", 0, "/home/u/.ssh/id", NULL },
	{ "~/../u/work/a", 0, "/home/u/work/a", "a" },
	{ "~other/a", 0, "/home/u/work/~other/a", "~other/a" },
	{ "~~", 0, "/home/u/work/~~", "~~" },
	{ "file:///home/u/work/a", 0, "/home/u/work/a", "a" },
	{ "FILE:///home/u/work/a", 0, "/home/u/work/a", "a" },
	{ "file://localhost/home/u/work/a", 0, "/home/u/work/a", "a" },
	{ "file://LocalHost/home/u/work/a", 0, "/home/u/work/a", "a" },
	{ "file:/home/u/work/a", 0, "/home/u/work/a", "a" },
	{ "file:////home/u/work/a", 0, "/home/u/work/a", "a" },
	{ "file:///home/u/work/a%20b%25c", 0, "/home/u/work/a b%c", "a b%c" },
	{ "file:///home/u/work/%C3%A4", 0, "/home/u/work/\xc3\xa4", "\xc3\xa4" },
	{ "file:///home/u/work/\xc3\xa4", 0, "/home/u/work/\xc3\xa4", "\xc3\xa4" },
	{ "file:///home/u/%77ork/a", 0, "/home/u/work/a", "a" },
	{ "file:///home/u/work/%2e%2e/x", 0, "/home/u/x", NULL },
	{ "file:///home/u/work/%2E%2e", 0, "/home/u", NULL },
	{ "file:///etc/passwd", 0, "/etc/passwd", NULL },
	{ "file:///%7e/a", 0, "/~/a", NULL },
	{ "filename", 0, "/home/u/work/filename", "filename" },
	{ long_enough, 0, NULL, "" }, /* taken: see below */

	{ "", 0, NULL, "names no file" },
	{ "a\0b", 3, NULL, "NUL" },
	{ "\0", 1, NULL, "NUL" },
	{ "/home/u/work/a\0/../../x", 23, NULL, "NUL" },
	{ long_name, 0, NULL, "255 bytes" },
	{ long_path, 0, NULL, "4095 bytes" },
	{ very_long, 0, NULL, "4095 bytes" },
	{ "file:", 0, NULL, "without an absolute path" },
	{ "file:a", 0, NULL, "without an absolute path" },
	{ "file:../a", 0, NULL, "without an absolute path" },
	{ "file:~/a", 0, NULL, "without an absolute path" },
	{ "file://", 0, NULL, "without an absolute path" },
	{ "file://localhost", 0, NULL, "without an absolute path" },
	{ "file://home/u/work/a", 0, NULL, "another host" },
	{ "file://evil.example/home/u/work/a", 0, NULL, "another host" },
	{ "file://localhost.evil.example/a", 0, NULL, "another host" },
	{ "file://127.0.0.1/home/u/work/a", 0, NULL, "another host" },
	{ "file://localhost:80/home/u/work/a", 0, NULL, "another host" },
	{ "file://u@localhost/home/u/work/a", 0, NULL, "another host" },
	{ "file://%6cocalhost/home/u/work/a", 0, NULL, "another host" },
	{ "file://./home/u/work/a", 0, NULL, "another host" },
	{ "file://~/a", 0, NULL, "another host" },
	{ "file:///home/u/work/a%2fb", 0, NULL, "encoded slash" },
	{ "file:///home/u/work/..%2F..%2Fx", 0, NULL, "encoded slash" },
	{ "file:///home/u/work/a%00b", 0, NULL, "encoded slash or NUL" },
	{ "file:///home/u/work/a%", 0, NULL, "percent" },
	{ "file:///home/u/work/a%2", 0, NULL, "percent" },
	{ "file:///home/u/work/a%g0", 0, NULL, "percent" },
	{ "file:///home/u/work/a?b", 0, NULL, "query" },
	{ "file:///home/u/work/a#b", 0, NULL, "fragment" },
	{ "file:///home/u/work/..\\..\\x", 0, NULL, "percent-encoded" },
	{ "file:///home/u/work/a b", 0, NULL, "percent-encoded" },
	{ "file:///home/u/work/a\tb", 0, NULL, "percent-encoded" },
	{ "file:///home/u/work/a\0b", 23, NULL, "percent-encoded" },
	{ "file:\\\\\\home\\u", 0, NULL, "without an absolute path" },
};

static void fill_long_ones(void)
{
	memset(long_name, 'n', 256);
	memset(long_enough, 'n', 255);
	for (size_t i = 0; i < 4096; i++)
		long_path[i] = i % 100 == 0 ? '/' : 'p';
	memset(very_long, '/', sizeof(very_long) - 1);
}

static void check_reading(const struct reading *r)
{
	struct scope_name name = { 0 };
	struct npxc_error err = { 0 };
	const bool taken = scope_read(&place, r->text, r->length > 0 ? r->length : strlen(r->text), &name, &err);

	if (r->path == NULL) {
		if (taken || err.kind != ERROR_PATH_OUT_OF_SCOPE || strstr(err.message, r->other) == NULL)
			fail_msg("\"%.80s\": %s", r->text, taken ? name.path : err.message);
		return;
	}
	if (!taken)
		fail_msg("\"%s\": %s", r->text, err.message);
	assert_string_equal(name.path, r->path);
	if (!str_equal(name.relative, r->other))
		fail_msg("\"%s\": \"%s\" beneath", r->text, name.relative == NULL ? "(none)" : name.relative);
	scope_name_done(&name);
}

static void test_strings_are_read(void **state)
{
	(void)state;
	fill_long_ones();
	for (size_t i = 0; i < sizeof(readings) / sizeof(readings[0]); i++) {
		struct reading r = readings[i];
		mem_cleanup char *whole = NULL;

		if (r.text == long_enough) {
			whole = str_printf("/home/u/work/%s", long_enough);
			r.path = whole;
			r.other = long_enough;
		}
		check_reading(&r);
	}
}

static void test_without_home(void **state)
{
	const struct scope_place homeless = { .spellings = { "/" } };
	struct scope_name name = { 0 };
	struct npxc_error err = { 0 };

	(void)state;
	assert_false(scope_read(&homeless, "~/a", 3, &name, &err));
	assert_non_null(strstr(err.message, "home"));
	assert_true(scope_read(&homeless, "/etc/../x", 9, &name, &err));
	assert_string_equal(name.relative, "x");
	scope_name_done(&name);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_strings_are_read),
		cmocka_unit_test(test_without_home),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
