#include "unit.h"

#include "base/mem.h"
#include "relay/notice.h"

#include <cjson/cJSON.h>
#include <string.h>

static const struct notice A_FILE = { .subject = "/srv/a\x1b[2J", .why = "it is\nelsewhere", .key = "\"/srv/a\"" };

static void names_what_was_withheld_and_what_grants_it(void **state)
{
	const struct notices notices = { .label = "pkg", .file = "/c/pkg.json" };
	mem_cleanup char *line = notice_text(&notices, NOTICE_FILE, &A_FILE);

	(void)state;
	assert_string_equal(line, "npxc: pkg: the server cannot see /srv/a\\x1b[2J: it is\\x0aelsewhere; to show it: "
	                          "--mount /srv/a\\x1b[2J, or \"mounts\": [{\"host\": \"/srv/a\"}] in "
	                          "/c/pkg.json");
}

static void every_kind_fits_on_one_line_whatever_its_subject(void **state)
{
	char subject[9000];
	const struct notices texts = { .label = "p\n", .file = "/c\r" };
	const struct notices objects = { .label = "p\n", .file = "/c\r", .json = true };

	(void)state;
	memset(subject, '\n', sizeof(subject) - 1);
	subject[sizeof(subject) - 1] = '\0';
	for (int kind = 0; kind < NOTICE_KINDS; kind++) {
		const struct notice notice = { .subject = subject, .why = subject, .flag = subject, .key = subject };
		mem_cleanup char *text = notice_text(&texts, (enum notice_kind)kind, &notice);
		mem_cleanup char *object = notice_text(&objects, (enum notice_kind)kind, &notice);

		assert_null(strpbrk(text, "\n\r\x1b@^"));
		assert_memory_equal(text, "npxc: p\\x0a: ", strlen("npxc: p\\x0a: "));
		assert_null(strpbrk(object, "\n\r\x1b"));
		assert_memory_equal(object, "{\"notice\":{\"kind\":\"", strlen("{\"notice\":{\"kind\":\""));
		assert_true(strlen(text) < 20000);
	}
}

static void an_object_has_its_parts_apart(void **state)
{
	const struct notices notices = { .label = "pkg", .file = "/c/pkg.json", .json = true };
	mem_cleanup char *line = notice_text(&notices, NOTICE_FILE, &(struct notice){ .subject = "/a", .why = "no" });

	(void)state;
	assert_string_equal(line, "{\"notice\":{\"kind\":\"file\",\"package\":\"pkg\",\"subject\":\"/a\",\"text\":"
	                          "\"the server cannot see /a: no\",\"flag\":\"--mount /a\",\"key\":\"\\\"mounts\\\": "
	                          "[{\\\"host\\\": /a}]\",\"file\":\"/c/pkg.json\"}}");
}

static void tells_each_subject_once_and_no_more_than_the_ceiling(void **state)
{
	struct notices notices = { .label = "pkg" };

	(void)state;
	for (int i = 0; i < 3; i++)
		notice_tell(&notices, NOTICE_FILE, &A_FILE);
	assert_int_equal(notices.told.count, 1);
	for (int i = 0; i < 2 * NOTICE_TOLD_MAX; i++) {
		mem_cleanup char *name = str_printf("/%d", i);

		notice_tell(&notices, NOTICE_FILE, &(struct notice){ .subject = name, .why = "" });
	}
	assert_int_equal(notices.told.count, NOTICE_TOLD_MAX);
	notice_done(&notices);
}

static void a_hostile_path_can_be_pasted(void **state)
{
	struct notices notices = { .label = "pkg", .file = "/c/pkg.json", .json = true };

	(void)state;
	notice_tell_path(&notices, "/a b\"}]; rm -rf '~", "no"); /* seen in the test's own output */
	assert_int_equal(notices.told.count, 1);
	notice_done(&notices);
}

static void quiet_tells_nothing(void **state)
{
	struct notices notices = { .label = "pkg", .quiet = true };

	(void)state;
	notice_tell(&notices, NOTICE_FILE, &A_FILE);
	assert_int_equal(notices.told.count, 0);
	notice_done(&notices);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_what_was_withheld_and_what_grants_it),
		cmocka_unit_test(every_kind_fits_on_one_line_whatever_its_subject),
		cmocka_unit_test(an_object_has_its_parts_apart),
		cmocka_unit_test(tells_each_subject_once_and_no_more_than_the_ceiling),
		cmocka_unit_test(a_hostile_path_can_be_pasted),
		cmocka_unit_test(quiet_tells_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
