#ifndef NPXC_CONFIG_VALUE_H
#define NPXC_CONFIG_VALUE_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Single values of files and flags. Pure; each refusal is ERROR_CONFIG. */

struct config_mount {
	char *host;      /* owned, as written: absolute, or ~/ ..., or relative to the working directory (flag only) */
	char *container; /* owned, absolute, or NULL: the same path inside */
	bool writable;   /* false when not said: defaults.mount_mode is for what npxc finds by itself */
	bool all;        /* writable with what the host would execute (config/hazard) */
};

bool value_parse_memory(const char *text, uint64_t *ret_bytes,
                        struct npxc_error *err) NPXC_MUST_CHECK; /* "512m", "2g", bytes; >= 64 MiB */
bool value_parse_cpus(const char *text, unsigned *ret_millis,
                      struct npxc_error *err) NPXC_MUST_CHECK; /* "0.5", "2"; 0.01 to 512 */
/* NAME: [A-Za-z_][A-Za-z0-9_]*. What npxc itself sets inside (PATH HOME TMPDIR) may be named: it is the user's own
 * sandbox. */
bool value_check_variable(const char *name, struct npxc_error *err) NPXC_MUST_CHECK;
/*
 * HOST[:GUEST][:rw|:ro], split from the right so that only an absolute GUEST counts.
 * Mustn't: let a mount stand at /, or in /proc, /sys or /dev inside. A relative HOST (or ~/...) without GUEST is not
 * known well enough here: who resolves it calls value_check_inside_path on the result.
 */
bool value_check_inside_path(const char *path, struct npxc_error *err) NPXC_MUST_CHECK;
/*
 * A directory of HOME that is kept (storage.home): relative and plain (no //, . or .., no slash at an end), of at most
 * VALUE_HOME_BYTES. Mustn't: be one of those that hold secrets or what the host runs (config/hazard).
 */
enum { VALUE_HOME_BYTES = 80 /* one component, escaped, on the host: 240 of 255 */ };
bool value_check_home_path(const char *path, struct npxc_error *err) NPXC_MUST_CHECK;
/* HOST[:GUEST][:ro|:rw|:rw,all] */
bool value_parse_mount(const char *text, struct config_mount *ret_mount, struct npxc_error *err) NPXC_MUST_CHECK;
bool value_check_runtime(const char *word, struct npxc_error *err) NPXC_MUST_CHECK; /* auto apple podman docker bwrap */
/* "ro", "rw" or "rw,all" */
bool value_parse_mode(const char *text, bool *ret_writable, bool *ret_all) NPXC_MUST_CHECK;

/* The same values when a file gives them as numbers: bytes; thousandths of a processor. */
#define VALUE_MEMORY_MAX ((uint64_t)1 << 44)
enum { VALUE_CPU_MILLIS = 1000 };
bool value_check_memory(uint64_t bytes, struct npxc_error *err) NPXC_MUST_CHECK;
bool value_check_cpus(unsigned millis, struct npxc_error *err) NPXC_MUST_CHECK;

bool value_check_same_path(const char *host, struct npxc_error *err) NPXC_MUST_CHECK;
bool value_check_host_path(const char *text, struct npxc_error *err) NPXC_MUST_CHECK; /* absolute, or ~/... */
bool value_check_project(const char *text, struct npxc_error *err) NPXC_MUST_CHECK;   /* absolute and clean */
bool value_check_network(const char *text, struct npxc_error *err) NPXC_MUST_CHECK;
bool value_check_link(const char *text, struct npxc_error *err) NPXC_MUST_CHECK;
bool value_check_image(const char *text, struct npxc_error *err) NPXC_MUST_CHECK;
bool value_check_program(const char *text, struct npxc_error *err) NPXC_MUST_CHECK;
bool value_check_prefix(const char *text, struct npxc_error *err) NPXC_MUST_CHECK;
bool value_check_argument(const char *text, struct npxc_error *err) NPXC_MUST_CHECK;

/* A text as a message shows it: escaped, and cut when long. Owned. */
char *value_shown(const char *text);

#endif
