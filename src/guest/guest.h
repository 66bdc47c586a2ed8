#ifndef NPXC_GUEST_GUEST_H
#define NPXC_GUEST_GUEST_H

#include <stddef.h>

/*
 * What runs inside a sandbox, embedded into the binary. The bytes live as long as the program; a NUL that is not part
 * of the length follows them.
 */

/* ASCII text: src/guest/egress.cjs, without its comments: the way out of a guest on the links socket and gateway. Its
 * head says how it is configured. */
extern const char GUEST_EGRESS_JS[];
extern const size_t GUEST_EGRESS_JS_LENGTH;

/* src/guest/first.c as a program for Linux on this architecture. Length 0 where there is none: macOS, whose guests
 * could not compare anything, and other processors. */
extern const unsigned char GUEST_FIRST[];
extern const size_t GUEST_FIRST_LENGTH;

#endif
