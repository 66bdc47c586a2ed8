#include "unit.h"

#include "base/clock.h"
#include "base/proc.h"

#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/*
 * The system's clocks, as after a lid that was closed for hours: those that count a sleep, and the wall's, have jumped.
 * This definition stands before libc's.
 */
static int64_t slept_s;

int clock_gettime(clockid_t clock, struct timespec *ret_now);

int clock_gettime(clockid_t clock, struct timespec *ret_now)
{
	bool counts_sleep = clock == CLOCK_REALTIME;

#ifdef __APPLE__
	counts_sleep = counts_sleep || clock == CLOCK_MONOTONIC;
	uint64_t now = clock_gettime_nsec_np(clock);

	ret_now->tv_sec = (time_t)(now / 1000000000);
	ret_now->tv_nsec = (long)(now % 1000000000);
#else
	counts_sleep = counts_sleep || clock == CLOCK_BOOTTIME;
	if (syscall(SYS_clock_gettime, clock, ret_now) == -1)
		return -1;
#endif
	if (counts_sleep)
		ret_now->tv_sec += (time_t)slept_s;
	return 0;
}

enum { NIGHT_S = 8 * 3600 };

static void a_deadline_stands_still_while_the_machine_sleeps(void **state)
{
	(void)state;
	slept_s = 0;
	const int64_t now = clock_now_ms(), boot = clock_boot_ms(), wall = clock_wall_ms();
	slept_s = NIGHT_S;
	assert_in_range(clock_now_ms() - now, 0, NIGHT_S * 500);
	/* the controls: these have jumped */
	assert_true(clock_boot_ms() - boot >= (int64_t)NIGHT_S * 1000);
	assert_true(clock_wall_ms() - wall >= (int64_t)NIGHT_S * 1000);
	slept_s = -NIGHT_S; /* somebody sets the clock back */
	assert_in_range(clock_now_ms() - now, 0, NIGHT_S * 500);
	slept_s = 0;
}

static void wake_up(void *context, const char *bytes, size_t count)
{
	(void)bytes;
	(void)count;
	*(int64_t *)context = NIGHT_S;
}

static void a_program_that_runs_over_a_sleep_keeps_its_time(void **state)
{
	char *const argv[] = { "/bin/sh", "-c", "echo asleep >&2; sleep 0.1; echo done", NULL };
	const struct proc_command command = {
		.argv = argv, .timeout_ms = 60000, .max_output_bytes = 100, .on_stderr = wake_up, .context = &slept_s
	};
	struct proc_result result;
	struct npxc_error err = { 0 };

	(void)state;
	slept_s = 0;
	assert_true(proc_run(&command, &result, &err));
	assert_int_equal(slept_s, NIGHT_S);
	assert_false(result.timed_out);
	assert_string_equal(result.output.data, "done\n");
	proc_result_done(&result);
	slept_s = 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_deadline_stands_still_while_the_machine_sleeps),
		cmocka_unit_test(a_program_that_runs_over_a_sleep_keeps_its_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
