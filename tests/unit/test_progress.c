#include "unit.h"

#include "base/mem.h"
#include "store/host.h"
#include "store/progress.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void a_line_is_cut_to_the_width_and_no_character_in_two(void **state)
{
	static const struct {
		const char *title;
		size_t columns;
		const char *line;
	} cases[] = {
		{ "plain", 80, "npxc: installing plain: fetching, 12 files, 3 s" },
		{ "plain", 47, "npxc: installing plain: fetching, 12 files, 3 s" },
		{ "plain", 46, "npxc: installing plain: fetching, 12 files, 3 " },
		{ "plain", 20, "npxc: installing pla" },
		{ "plain", 1, "n" },
		{ "plain", 0, "" },
		{ "./\xc3\xa4\xc3\xb6", 20, "npxc: installing ./" },
		{ "./\xc3\xa4\xc3\xb6", 21, "npxc: installing ./\xc3\xa4" },
		{ "./\xc3\xa4\xc3\xb6", 22, "npxc: installing ./\xc3\xa4" },
		{ "\xe6\x97\xa5", 19, "npxc: installing " },
		{ "a\x1b[2Jb", 26, "npxc: installing a\\x1b[2Jb" },
		{ "a\nb", 80, "npxc: installing a\\x0ab: fetching, 12 files, 3 s" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		mem_cleanup char *line = progress_line(cases[i].title, PROGRESS_FETCHING, 12, 3, cases[i].columns);

		assert_string_equal(line, cases[i].line);
		assert_true(strlen(line) <= cases[i].columns);
	}
}

static void a_line_that_has_become_several_rows_goes_whole(void **state)
{
	static const struct {
		size_t drawn, columns;
		const char *sequence;
	} cases[] = {
		{ 0, 80, "\r\033[K" },         { 79, 80, "\r\033[K" },        { 80, 80, "\r\033[K" },
		{ 81, 80, "\r\033[1A\033[J" }, { 79, 40, "\r\033[1A\033[J" }, { 79, 20, "\r\033[3A\033[J" },
		{ 5, 0, "\r\033[K" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		mem_cleanup char *sequence = progress_erase(cases[i].drawn, cases[i].columns);

		assert_string_equal(sequence, cases[i].sequence);
	}
}

static void follow(struct progress *progress, const char *title, const char *text)
{
	char path[] = "/tmp/npxc-progress-XXXXXX";
	const int fd = mkstemp(path);

	assert_true(fd != -1 && unlink(path) == 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	progress_begin(progress, title, false);
	progress->began_ms = 1000;
	progress_follow(progress, fd);
	close(fd);
}

static void a_failure_is_an_answer_only_to_who_waited_for_the_same(void **state)
{
	static const struct {
		const char *text;
		bool is_answer;
	} cases[] = {
		{ "\036-1000 a b\tthe reason\n", true },
		{ "\036-999 a b\tthe reason\n", false },
		{ "\036-1000 a\tthe reason\n", false },
		{ "\036-1000 a b the reason\n", false },
		{ "\036- a b\tthe reason\n", false },
		{ "\036-1000 a b\tthe reason", false },
		{ "-1000 a b\tthe reason\n", false },
		{ "", false },
		{ "\036\n\036-\n\036-1000\n\0369 9\n\036x\n", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct progress progress;

		follow(&progress, "a b", cases[i].text);
		assert_int_equal(progress.failed.kind, cases[i].is_answer ? ERROR_INSTALL : ERROR_NONE);
		if (cases[i].is_answer)
			assert_string_equal(progress.failed.message, "the reason");
		progress_end(&progress);
	}
}

static void a_line_longer_than_any_of_npxcs_is_passed_over(void **state)
{
	mem_cleanup char *text = mem_alloc(256 * 1024);
	struct progress progress;

	(void)state;
	memset(text, 'x', 256 * 1024 - 1);
	text[256 * 1024 - 1] = '\0';
	follow(&progress, "a", text);
	assert_true(progress.rest.length <= progress.rest.max_bytes);
	progress_end(&progress);
}

static void no_step_gets_more_time_than_the_installation_has_left(void **state)
{
	const struct store_host unbounded = { 0 };
	const struct store_host over = { .deadline_ms = 1 };

	(void)state;
	assert_int_equal(host_time_left(&unbounded), 10 * 60 * 1000);
	assert_int_equal(host_time_left(&over), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_is_cut_to_the_width_and_no_character_in_two),
		cmocka_unit_test(a_line_that_has_become_several_rows_goes_whole),
		cmocka_unit_test(a_failure_is_an_answer_only_to_who_waited_for_the_same),
		cmocka_unit_test(a_line_longer_than_any_of_npxcs_is_passed_over),
		cmocka_unit_test(no_step_gets_more_time_than_the_installation_has_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
