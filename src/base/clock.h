#ifndef NPXC_BASE_CLOCK_H
#define NPXC_BASE_CLOCK_H

#include <stdint.h>

/* Milliseconds and microseconds of the monotonic clock: for distances, not dates. */
int64_t clock_now_ms(void);
int64_t clock_now_us(void);
/* Milliseconds since boot, a sleep of the machine included: distances across processes. */
int64_t clock_boot_ms(void);
/* The sooner of two waits in milliseconds, as poll takes them; -1: for ever. */
int clock_sooner(int a, int b);
/* Milliseconds since 1970 by the wall clock, which may be set at any time: for dates only. */
int64_t clock_wall_ms(void);

#endif
