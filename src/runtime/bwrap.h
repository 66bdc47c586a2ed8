#ifndef NPXC_RUNTIME_BWRAP_H
#define NPXC_RUNTIME_BWRAP_H

#include "runtime/driver.h"
#include "runtime/runtime.h"

/* The driver for bubblewrap (0.8.0 or later; the oldest with --disable-userns). */

/*
 * The descriptors under which bubblewrap gets its data. Masks take BWRAP_FD_MASKS and the numbers after it, the
 * system's first, sources of mounts those after the masks.
 */
enum {
	BWRAP_FD_SECCOMP = 10,
	BWRAP_FD_ARGS = 11, /* --setenv pairs: values are in no argument list that other users could read */
	BWRAP_FD_PASSWD = 12,
	BWRAP_FD_GROUP = 13,
	BWRAP_FD_STATUS = 14,
	BWRAP_FD_HOSTS = 15,
	BWRAP_FD_RESOLV = 16,
	BWRAP_FD_FIRST = 17,
	BWRAP_FD_MASKS = 20,
};

/*
 * Whether the program has --bind-fd and --ro-bind-fd, by its text: bubblewrap finds options by comparing words, so that
 * one that it has stands in it. No process is started for that. False for what is not an ELF file (a script in its
 * place): then mounts are compared from inside. Both resolve the descriptor's name, mount that and compare the file
 * that was mounted with the descriptor's ("Race condition binding dirfd").
 */
bool bwrap_knows_descriptors(const char *program, size_t length);

/* Pure: whether a path of the system's is in one of its directories that are empty inside (system_hidden). */
bool bwrap_is_hidden(const struct runtime *runtime, const char *path);

bool bwrap_find(const struct runtime_driver *driver, const char *cli_name, const char *path_variable,
                struct runtime *ret_runtime, struct npxc_error *err) NPXC_MUST_CHECK;

/*
 * Should: every namespace; a read-only root; a private /proc with the host's /proc/sys read-only over it; a read-only
 * /dev; a size for every tmpfs; deeper mounts after those they lie in, masks after all mounts; judged sources by
 * descriptor where bubblewrap takes those, and compared from inside by the first program where that is not enough; the
 * system's places of configuration and credentials (system_hidden, system_masks) empty.
 * Mustn't: put a value of the environment into argv; mount over "/", /etc, /usr, or in /proc and /dev, where the
 * sandbox's own protection lies; start without a seccomp filter.
 */
bool bwrap_make_start(const struct runtime *runtime, const struct launch *launch, struct runtime_start *ret_start,
                      struct npxc_error *err) NPXC_MUST_CHECK;
/* Pure. */
bool bwrap_judge_end(const struct runtime *runtime, int exit_status, int term_signal, const char *status_text,
                     const char *errors, int *ret_status, struct npxc_error *err) NPXC_MUST_CHECK;
/* The same; where bubblewrap has failed before the server's first word, the kernel is asked whether it lets user
 * namespaces be made, whatever bubblewrap's words were, and the setting that refuses is named. */
bool bwrap_judge_start(const struct runtime *runtime, int exit_status, int term_signal, const char *status_text,
                       const char *errors, int *ret_status, struct npxc_error *err) NPXC_MUST_CHECK;
pid_t bwrap_first_pid(const char *status_text);
void bwrap_examine(const struct runtime_driver *driver, const char *cli_name, const char *path_variable,
                   const char *image, struct runtime_findings *ret_findings);

/* Pure: driver.h, first_pid. The process lives until the server has ended. */
pid_t bwrap_first_pid(const char *status_text);

#endif
