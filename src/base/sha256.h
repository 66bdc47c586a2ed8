#ifndef NPXC_BASE_SHA256_H
#define NPXC_BASE_SHA256_H

#include <stddef.h>
#include <stdint.h>

/* SHA-256 (FIPS 180-4), for names and fingerprints: nothing secret passes through it. */
struct sha256 {
	uint32_t state[8];
	uint64_t length;
	unsigned char block[64];
};

void sha256_init(struct sha256 *s);
void sha256_update(struct sha256 *s, const void *bytes, size_t count);
/* The digest as 64 hex digits; owned. */
char *sha256_final(struct sha256 *s);
/* That of one text. */
char *sha256_hex(const void *bytes, size_t count);

#endif
