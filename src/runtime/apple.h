#ifndef NPXC_RUNTIME_APPLE_H
#define NPXC_RUNTIME_APPLE_H

#include "runtime/container.h"
#include "runtime/runtime.h"

/*
 * The driver for Apple's `container` CLI: a virtual machine per sandbox. Written from the CLI's source and the outputs
 * that its releases print (fixtures/apple-container); it has not been run on a Mac.
 *
 * 0.12.0 is the oldest release that is accepted: the first with --cap-drop. All other flags used here are older
 * (--internal 0.9.0, --init 0.10.0, --read-only 0.8.0, --ulimit 0.9.0, --progress 0.7.0), so nothing else has to be
 * gated; what changed later (JSON shapes, error texts) is read in all forms.
 */
enum { APPLE_NEED_MAJOR = 0, APPLE_NEED_MINOR = 12 };

extern const struct container_dialect apple_dialect;

/* "container CLI version X.Y.Z (build: ...)" -> the numbers, and "X.Y.Z" (owned). False when it is not that. Pure. */
bool apple_parse_version(const char *text, unsigned ret_number[static 3], char **ret_version);

bool apple_find(const char *cli_name, const char *path_variable, struct runtime *ret_runtime,
                struct npxc_error *err) NPXC_MUST_CHECK;

/*
 * Should: --progress none always (its plain form is mixed into the server's stderr); --rm, --init, --read-only,
 * --cap-drop ALL, a user other than root, --no-dns where there is nothing to ask.
 * Mustn't: publish a port or a socket, forward an SSH agent, share a UNIX socket (as the source of a volume it is
 * relayed to the host's), round a limit up.
 *
 * What the CLI cannot express: the size of a tmpfs (the machine's memory, which --memory sets, is the ceiling), a limit
 * of processes other than by --ulimit nproc, no_new_privs, and an environment without the image's own variables.
 */
bool apple_make_start(const struct runtime *runtime, const struct launch *launch, struct runtime_start *ret_start,
                      struct npxc_error *err) NPXC_MUST_CHECK;

/*
 * The CLI ends with 1 both when it fails and when the server ends with 1: only its known error lines tell them apart.
 * A text about XPC is not proof that the service is down, so that is asked of the CLI (the one call made here).
 */
bool apple_judge_end(const struct runtime *runtime, int exit_status, int term_signal, const char *status_text,
                     const char *errors, int *ret_status, struct npxc_error *err) NPXC_MUST_CHECK;

void apple_remove_argv(const struct runtime *runtime, const char *name, struct strv *ret_argv);
void apple_examine(const char *cli_name, const char *path_variable, struct runtime_findings *ret_findings);

/* What `system status --format json` says (0.10.0 on). Pure: exit status and stdout come in. `ret_app_root` (may be
 * NULL) gets an owned path, or NULL when the output has none. */
enum apple_service { APPLE_SERVICE_UNKNOWN, APPLE_SERVICE_UP, APPLE_SERVICE_DOWN };
enum apple_service apple_parse_status(int exit_status, const char *output, size_t length, char **ret_app_root);

/* Asks. Anything but a clear answer is APPLE_SERVICE_UNKNOWN. */
enum apple_service apple_ask_service(const struct runtime *runtime);

/* The next step when the service is down, for error messages. */
#define APPLE_START_SERVICE "container system start --enable-kernel-install"

#endif
