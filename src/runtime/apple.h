#ifndef NPXC_RUNTIME_APPLE_H
#define NPXC_RUNTIME_APPLE_H

#include "runtime/driver.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * The driver for Apple's `container` CLI: a virtual machine per sandbox. Written from the CLI's source and the outputs
 * that its releases print (fixtures/apple-container); it has not been run on a Mac.
 *
 * 0.12.0 is the oldest release that is accepted: the first with --cap-drop. All other flags used here are older
 * (--internal 0.9.0, --init 0.10.0, --read-only 0.8.0, --ulimit 0.9.0, --progress 0.7.0), so nothing else has to be
 * gated; what changed later (JSON shapes, error texts) is read in all forms.
 */
enum { APPLE_NEED_MAJOR = 0, APPLE_NEED_MINOR = 12 };

/* "container CLI version X.Y.Z (build: ...)" -> the numbers, and "X.Y.Z" (owned). False when it is not that. Pure. */
bool apple_parse_version(const char *text, unsigned ret_number[static 3], char **ret_version);

/* What `system status --format json` says (0.10.0 on). Pure: exit status and stdout come in. `ret_app_root` (may be
 * NULL) gets an owned path, or NULL when the output has none. */
enum apple_service { APPLE_SERVICE_UNKNOWN, APPLE_SERVICE_UP, APPLE_SERVICE_DOWN };
enum apple_service apple_parse_status(int exit_status, const char *output, size_t length, char **ret_app_root);

#endif
