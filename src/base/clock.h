#ifndef NPXC_BASE_CLOCK_H
#define NPXC_BASE_CLOCK_H

#include <stdint.h>

/* Milliseconds and microseconds of the monotonic clock: for distances, not dates. */
int64_t clock_now_ms(void);
int64_t clock_now_us(void);

#endif
