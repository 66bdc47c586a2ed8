#ifndef NPXC_BASE_CLOCK_H
#define NPXC_BASE_CLOCK_H

#include <stdint.h>

/*
 * Milliseconds and microseconds of a clock that never jumps and stands still while the machine sleeps: for distances,
 * not dates. A deadline is not over because somebody opened a lid. Linux: CLOCK_MONOTONIC (clock_gettime(2): "does not
 * count time that the system is suspended"); macOS: CLOCK_UPTIME_RAW, because its CLOCK_MONOTONIC goes on.
 */
int64_t clock_now_ms(void);
int64_t clock_now_us(void);
/* Milliseconds since boot, a sleep of the machine included: distances across processes. */
int64_t clock_boot_ms(void);
/* The sooner of two waits in milliseconds, as poll takes them; -1: for ever. */
int clock_sooner(int a, int b);
/* Milliseconds since 1970 by the wall clock, which may be set at any time: for dates only. */
int64_t clock_wall_ms(void);

#endif
