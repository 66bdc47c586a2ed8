#include "base/clock.h"

#include <time.h>

#ifdef __APPLE__
#define CLOCK_AWAKE CLOCK_UPTIME_RAW
#else
#define CLOCK_AWAKE CLOCK_MONOTONIC
#endif

int64_t clock_now_us(void)
{
	struct timespec now = { 0 };

	clock_gettime(CLOCK_AWAKE, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t clock_now_ms(void)
{
	return clock_now_us() / 1000;
}

int clock_sooner(int a, int b)
{
	return a == -1 ? b : b == -1 || a < b ? a : b;
}

static int64_t read_ms(clockid_t clock)
{
	struct timespec now = { 0 };

	clock_gettime(clock, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t clock_boot_ms(void)
{
#ifdef CLOCK_BOOTTIME
	return read_ms(CLOCK_BOOTTIME);
#else
	return read_ms(CLOCK_MONOTONIC); /* macOS, where it goes on during sleep */
#endif
}

int64_t clock_wall_ms(void)
{
	return read_ms(CLOCK_REALTIME);
}
