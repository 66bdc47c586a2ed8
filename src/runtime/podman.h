#ifndef NPXC_RUNTIME_PODMAN_H
#define NPXC_RUNTIME_PODMAN_H

#include "runtime/container.h"
#include "runtime/runtime.h"

/*
 * The driver for podman (4.0.0 or later, not as a client of a remote service) and docker (20.10.0 or later). Docker is
 * podman's verbs; flags that only podman has are left out there. `runtime->kind` says which of the two it is.
 */

/* The number of the descriptor under which the CLI reads the seccomp profile, as /dev/fd/10: no file is left behind. */
enum { PODMAN_FD_SECCOMP = 10 };

extern const struct container_dialect podman_dialect;
extern const struct container_dialect docker_dialect;

/*
 * Reads `version --format json`. ERROR_RUNTIME_UNAVAILABLE: unreadable, too old (found and needed are named), podman as
 * a remote client. Pure. `ret_version` is owned.
 */
bool podman_parse_version(enum runtime_kind kind, const char *text, size_t length, unsigned ret_number[static 3],
                          char **ret_version, struct npxc_error *err) NPXC_MUST_CHECK;

bool podman_find(enum runtime_kind kind, const char *cli_name, const char *path_variable, struct runtime *ret_runtime,
                 struct npxc_error *err) NPXC_MUST_CHECK;

/* Podman started by an ordinary user. Its containers are that user's, and the gateway of its networks is not the host.
 */
bool podman_is_rootless(const struct runtime *runtime);

/*
 * "node:lts" -> "docker.io/library/node:lts": podman would try its list of registries for a short name, and any of them
 * could answer. A name with a registry (or localhost/) stays. Docker names need none of it. Pure, owned.
 */
char *podman_image_name(const char *image);

/*
 * Should: read-only root, no capability, no new privileges, our seccomp profile, a size for every tmpfs, swap within
 * the memory limit, an init that reaps and passes signals, nothing of the image's environment, volumes or health checks
 * (podman), nothing written to a log.
 * Mustn't: run as root inside, fetch an image that is already there, publish ports, take proxy settings over.
 */
bool podman_make_start(const struct runtime *runtime, const struct launch *launch, struct runtime_start *ret_start,
                       struct npxc_error *err) NPXC_MUST_CHECK;

/* 125: the CLI failed. 126 and 127: the command could not be started when the runtime or its init says so, else the
 * server's own. Pure. */
bool podman_judge_end(const struct runtime *runtime, int exit_status, int term_signal, const char *status_text,
                      const char *errors, int *ret_status, struct npxc_error *err) NPXC_MUST_CHECK;

void podman_remove_argv(const struct runtime *runtime, const char *name, struct strv *ret_argv);
/* For doctor: the CLI, its engine, what starts its containers, which limits hold, and whether `image` is there. */
void podman_examine(enum runtime_kind kind, const char *cli_name, const char *path_variable, const char *image,
                    struct runtime_findings *ret_findings);

#endif
