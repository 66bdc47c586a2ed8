#include "unit.h"

#include "base/log.h"

#include <string.h>
#include <unistd.h>

static void targets_beat_the_general_level(void **state)
{
	struct npxc_error err = { 0 };

	(void)state;
	assert_true(log_configure("warn, npxc::egress=debug,session=off", &err));
	assert_true(log_enabled(LOG_LEVEL_DEBUG, "egress"));
	assert_false(log_enabled(LOG_LEVEL_TRACE, "egress"));
	assert_false(log_enabled(LOG_LEVEL_ERROR, "session"));
	assert_true(log_enabled(LOG_LEVEL_WARN, "install"));
	assert_false(log_enabled(LOG_LEVEL_INFO, "install"));
}

static void a_bad_level_changes_nothing(void **state)
{
	static const char *const bad[] = { "loud",  "warn,egress=",
		                           "=info", "egress=verbose",
		                           "WARN",  "a-target-name-that-is-far-too-long-to-keep=info" };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct npxc_error err = { 0 };

		assert_true(log_configure("error", &err));
		assert_false(log_configure(bad[i], &err));
		assert_int_equal(err.kind, ERROR_CONFIG);
		assert_true(log_enabled(LOG_LEVEL_ERROR, "x"));
		assert_false(log_enabled(LOG_LEVEL_WARN, "x"));
	}
}

static void a_line_is_one_line(void **state)
{
	char line[256] = { 0 };
	int ends[2];
	int saved = dup(STDERR_FILENO);
	ssize_t got;

	(void)state;
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(dup2(ends[1], STDERR_FILENO), STDERR_FILENO);
	log_notice("a\nb\033[31m%d", 7);
	assert_int_equal(dup2(saved, STDERR_FILENO), STDERR_FILENO);
	got = read(ends[0], line, sizeof(line) - 1);
	assert_true(got > 0);
	assert_string_equal(line, "npxc: a\\x0ab\\x1b[31m7\n");
	close(ends[0]);
	close(ends[1]);
	close(saved);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(targets_beat_the_general_level),
		cmocka_unit_test(a_bad_level_changes_nothing),
		cmocka_unit_test(a_line_is_one_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
