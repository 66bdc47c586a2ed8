#include "unit.h"

#include "base/mem.h"
#include "store/host.h"
#include "store/progress.h"

#include <string.h>

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
		cmocka_unit_test(no_step_gets_more_time_than_the_installation_has_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
