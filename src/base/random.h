#ifndef NPXC_BASE_RANDOM_H
#define NPXC_BASE_RANDOM_H

#include <stddef.h>

/* Random bytes from the kernel; ends the process when there are none (that does not happen on a running system). */
void random_bytes(void *bytes, size_t count);
/* `digits` lower-case hex digits of them (even number), owned. */
char *random_hex(size_t digits);

#endif
