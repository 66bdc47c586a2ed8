#ifndef NPXC_RUNTIME_CONTAINER_H
#define NPXC_RUNTIME_CONTAINER_H

#include "base/error.h"
#include "base/proc.h"
#include "guest/first.h"
#include "runtime/driver.h"
#include "runtime/runtime.h"

#include <stdbool.h>
#include <stddef.h>

struct cJSON;

/* What the drivers of the container CLIs (apple, podman, docker) have in common. */

enum { CONTAINER_NAME_BYTES = 63 }; /* Apple container's limit from 1.2.0 on, and a DNS label's */

/* ---- pure ---- */

/*
 * Whether `launch` can be said in a container CLI's argument list at all. ERROR_CONFIG.
 * Should: refuse what would be read as something else: a path with `:` in a volume, a name or image that looks like an
 * option, a variable that would steer the CLI (or its loader: LD_*, DYLD_*) instead of reaching the server.
 * Mustn't: let a relative path through, which a CLI takes for the name of a volume and creates.
 */
bool container_check_launch(const struct runtime_driver *driver, const struct launch *launch,
                            struct npxc_error *err) NPXC_MUST_CHECK;

/* The word after --network. Borrowed. */
const char *container_network_word(const struct runtime_driver *driver, const struct launch *launch);

/*
 * `-e` for every variable inside. Our own (PATH HOME TMPDIR LANG TERM) are written out; a configured one is named only,
 * its value goes into `start->env`.
 */
void container_add_variables(const struct launch *launch, struct runtime_start *start);
bool container_is_configured(const struct launch *launch, const char *name); /* whether the launch sets the variable */

/* `-v SOURCE:TARGET[:ro]`, what lies beneath another after it; of equal targets the last wins. */
void container_add_volumes(const struct launch *launch, struct strv *argv);

/* The tmpfs mounts a sandbox has: /tmp, /run, HOME and the launch's own, without those over which a volume lies. Owned:
 * free() the array, its targets are borrowed from `launch`. */
struct launch_tmpfs *container_tmpfs(const struct launch *launch, size_t *ret_count);

/* JSON of at most LIMIT_JSON_DEPTH levels and nothing behind it; cJSON_Delete. ERROR_JSON naming `what`. */
bool container_parse_json(const char *text, size_t length, const char *what, struct cJSON **ret_json,
                          struct npxc_error *err) NPXC_MUST_CHECK;

/* "1.2.3" at the start of `text`; whatever follows the third number is left over. Pure. */
bool container_parse_numbers(const char *text, unsigned ret_number[static 3], size_t *ret_length);

/* The call as a user would type it: the CLI's base name and `words` (NULL-terminated). Owned. */
char *container_command_text(const struct runtime *runtime, const char *const *words);

/* Refuses link netns, for which a process of npxc's own has to be the sandbox. ERROR_CONFIG. */
bool container_check_link(const struct runtime *runtime, enum policy_link link, struct npxc_error *err) NPXC_MUST_CHECK;

bool container_is_crash(int signal); /* of the CLI itself, not of one that was told to end */

/* ---- touching the system ---- */

/* The CLI on the search path, and what every driver fills in. ERROR_RUNTIME_UNAVAILABLE naming `cli_name`. */
bool container_find(const struct runtime_driver *driver, const char *cli_name, const char *path_variable,
                    struct runtime *ret_runtime, struct npxc_error *err) NPXC_MUST_CHECK;

/*
 * Runs the CLI with `words` (NULL-terminated) to its end. As proc_run: true when it was started, whatever became of it.
 * A CLI that cannot be started is ERROR_RUNTIME_UNAVAILABLE and names it.
 */
bool container_ask(const struct runtime *runtime, const char *const *words, unsigned timeout_ms,
                   struct proc_result *ret_result, struct npxc_error *err) NPXC_MUST_CHECK;

/* A failed call in one line: the command as typed, how it ended, what it said. ERROR_RUNTIME, and
 * ERROR_RUNTIME_UNAVAILABLE only with proof; sys_errno is ETIMEDOUT when it did not end in time. Returns false. */
bool container_call_failed(const struct runtime *runtime, const char *command, const struct proc_result *result,
                           unsigned timeout_ms, struct npxc_error *err);

/* Whether the error of a call means that the runtime is not to be asked now: it is not available, or it did not answer
 * in time, which the next call would cost again. Pure. */
bool container_is_down(const struct npxc_error *err);
/* Exited by itself with status 0, within its deadline and its ceiling. */
bool container_succeeded(const struct proc_result *result);

/* A call that has to succeed; else as container_call_failed. */
bool container_call(const struct runtime *runtime, const char *const *words, unsigned timeout_ms,
                    struct npxc_error *err) NPXC_MUST_CHECK;

/* One call that removes a container, whether or not it runs. That there is none of this name is a success. */
bool container_remove(const struct runtime *runtime, const char *name, struct npxc_error *err) NPXC_MUST_CHECK;
/* One call of `kill`, whatever becomes of it. */
void container_kill(const struct runtime *runtime, const char *name);

/* `network create --internal NAME`. */
bool container_create_network(const struct runtime *runtime, const char *name, struct npxc_error *err) NPXC_MUST_CHECK;

/* A call that prints one name a line: those that begin with `prefix`. ERROR_RUNTIME_UNAVAILABLE, ERROR_RUNTIME. */
bool container_list(const struct runtime *runtime, const char *const *words, const char *prefix, struct strv *ret_names,
                    struct npxc_error *err) NPXC_MUST_CHECK;

/* Gives the last finding a fix that is a call of the CLI: `container` and `words` (NULL-terminated). */
void container_set_fix(struct runtime_findings *findings, const struct runtime *runtime, const char *const *words);

/*
 * `--entrypoint`, the image and the words behind it: the server's command, beneath a parent of ours that is not the
 * container's process 1 (guest/first.c says why). Without a first program (`launch->first`) that parent is a shell of
 * the image: npm needs one too. `mask_kind`: see launch_checks.
 */
void container_add_command(const struct launch *launch, const char *image, char mask_kind, struct strv *argv);

/*
 * `sh -c` this: ends as the command does, passes on the signals that a CLI passes to a container, keeps none of the
 * command's descriptors. A command in the background would have /dev/null for stdin, hence the descriptor 3, and has
 * SIGINT and SIGQUIT ignored, which Node resets. `wait` ends early at a trapped signal.
 */
#define CONTAINER_SHELL_PARENT                                                                               \
	"command -v \"$1\" >/dev/null || { echo \"" FIRST_PREFIX FIRST_CANNOT_FIND "$1\" >&2; exit 213; }; " \
	"p=; for s in HUP INT TERM; do trap \"[ -z \\$p ] || kill -$s \\$p\" $s; done; "                     \
	"exec 3<&0; \"$@\" <&3 3<&- & p=$!; exec <&- >&- 2>&- 3<&-; "                                        \
	"while wait $p; s=$?; [ $s -gt 128 ] && kill -0 $p; do :; done; exit $s"

#endif
