#ifndef NPXC_CONFIG_SEMVER_H
#define NPXC_CONFIG_SEMVER_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Versions and ranges as npm's `semver` package reads them (node-semver's grammar: hyphen, x-ranges, ~, ^, ||, spaces,
 * `v` and `=` prefixes, prereleases). Pure; ceilings: 256 bytes a version, 4096 a range (longer is invalid).
 */
struct semver {
	uint64_t major, minor, patch;
	const char *prerelease; /* borrowed from the text, not terminated */
	int prerelease_length;  /* 0: none */
};

bool semver_parse(const char *text, struct semver *ret_version);
int semver_compare(const struct semver *a, const struct semver *b); /* <0, 0, >0; build metadata does not count */
/* Whether `version` satisfies `range` (no includePrerelease). An unreadable version or range is false. */
bool semver_satisfies(const char *version, const char *range);
bool semver_range_valid(const char *range);

#endif
