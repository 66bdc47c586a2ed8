#ifndef NPXC_TESTS_FUZZ_H
#define NPXC_TESTS_FUZZ_H

/* libFuzzer's entry point, and a check that holds in every build: a broken promise ends the run like a crash does. */

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(condition)                                                                      \
	do {                                                                                    \
		if (!(condition)) {                                                             \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
			abort();                                                                \
		}                                                                               \
	} while (0)

/* What every refusal owes: the kind, a reason, on one line, without control bytes. */
static inline void require_refusal(const struct npxc_error *err, enum npxc_error_kind kind)
{
	REQUIRE(err->kind == kind);
	REQUIRE(err->message[0] != '\0');
	for (const char *p = err->message; *p != '\0'; p++)
		REQUIRE((unsigned char)*p >= 0x20 && *p != 0x7f);
}

#endif
