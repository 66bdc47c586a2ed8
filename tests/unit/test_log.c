#include "unit.h"

#include "base/log.h"

#include <fcntl.h>
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

/* What nobody reads is not waited for; what was lost is told once somebody does. */
static void a_line_that_nobody_reads_is_not_waited_for(void **state)
{
	const int own = dup(STDERR_FILENO);
	char got[200] = "";
	int ends[2];
	char full[4096];
	ssize_t count;

	(void)state;
	assert_int_equal(pipe(ends), 0);
	memset(full, 'x', sizeof(full));
	assert_int_equal(fcntl(ends[1], F_SETFL, O_NONBLOCK), 0);
	while (write(ends[1], full, sizeof(full)) > 0)
		;
	assert_int_equal(fcntl(ends[1], F_SETFL, 0), 0);
	assert_int_equal(dup2(ends[1], STDERR_FILENO), STDERR_FILENO);
	for (int i = 0; i < 100; i++)
		log_line("npxc: lost\n");
	assert_int_equal(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
	while (read(ends[0], full, sizeof(full)) > 0)
		;
	log_line("npxc: seen\n");
	count = read(ends[0], got, sizeof(got) - 1);
	dup2(own, STDERR_FILENO);
	close(own);
	close(ends[0]);
	close(ends[1]);
	assert_true(count > 0);
	assert_string_equal(got, "npxc: 100 lines of npxc are missing here: nobody read them\nnpxc: seen\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(targets_beat_the_general_level),
		cmocka_unit_test(a_bad_level_changes_nothing),
		cmocka_unit_test(a_line_is_one_line),
		cmocka_unit_test(a_line_that_nobody_reads_is_not_waited_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
