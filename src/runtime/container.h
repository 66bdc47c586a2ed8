#ifndef NPXC_RUNTIME_CONTAINER_H
#define NPXC_RUNTIME_CONTAINER_H

#include "base/error.h"
#include "base/proc.h"
#include "runtime/runtime.h"

#include <stdbool.h>
#include <stddef.h>

struct cJSON;

/*
 * What the drivers of the container CLIs (apple, podman, docker) have in common. A dialect is what differs in words
 * only; what differs in flags stands in each driver.
 */
struct container_dialect {
	const char *word;         /* of the configuration: "apple" */
	const char *open_network; /* the name of the runtime's ordinary NAT network */
	/*
	 * Environment variables that steer the CLI itself, NULL-terminated: a whole name, or a prefix with `*` at the
	 * end. They are taken over from npxc's own environment (the user chose an engine with them), nothing else is;
	 * and a server's variable of such a name is refused, because its value would have to go through the CLI's
	 * environment.
	 */
	const char *const *steering;
};

enum { CONTAINER_NAME_BYTES = 63 }; /* Apple container's limit from 1.2.0 on, and a DNS label's */

/* ---- pure ---- */

/*
 * Whether `launch` can be said in a container CLI's argument list at all. ERROR_CONFIG.
 * Should: refuse what would be read as something else: a path with `:` in a volume, a name or image that looks like an
 * option, a variable that would steer the CLI (or its loader: LD_*, DYLD_*) instead of reaching the server.
 * Mustn't: let a relative path through, which a CLI takes for the name of a volume and creates.
 */
bool container_check_launch(const struct container_dialect *dialect, const struct launch *launch,
                            struct npxc_error *err) NPXC_MUST_CHECK;

/* The word after --network. Borrowed. */
const char *container_network_word(const struct container_dialect *dialect, const struct launch *launch);

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

/* The last line of a CLI's stderr that starts with `prefix`, without it, escaped; NULL when there is none. Owned. */
char *container_error_line(const char *errors, const char *prefix);

/* A CLI's stderr on one line, trimmed and escaped, with a length fit for an error message. Owned. */
char *container_error_text(const char *errors, size_t length);

/* The call as a user would type it: the CLI's base name and `words` (NULL-terminated). Owned. */
char *container_command_text(const struct runtime *runtime, const char *const *words);

/* ---- touching the system ---- */

/* The CLI on the search path, and what every driver fills in. ERROR_RUNTIME_UNAVAILABLE naming `cli_name`. */
bool container_find(const struct container_dialect *dialect, enum runtime_kind kind, const char *cli_name,
                    const char *path_variable, struct runtime *ret_runtime, struct npxc_error *err) NPXC_MUST_CHECK;

/*
 * Runs the CLI with `words` (NULL-terminated) to its end. As proc_run: true when it was started, whatever became of it.
 * A CLI that cannot be started is ERROR_RUNTIME_UNAVAILABLE and names it.
 */
bool container_ask(const struct runtime *runtime, const char *const *words, unsigned timeout_ms,
                   struct proc_result *ret_result, struct npxc_error *err) NPXC_MUST_CHECK;

/* Appends those of npxc's own variables that steer the CLI. */
void container_environment(const struct container_dialect *dialect, struct strv *environment);

/* A failed call in one line: the command as typed, how it ended, what it said. ERROR_RUNTIME, and
 * ERROR_RUNTIME_UNAVAILABLE only with proof; sys_errno is ETIMEDOUT when it did not end in time. Returns false. */
bool container_call_failed(const struct runtime *runtime, const char *command, const struct proc_result *result,
                           unsigned timeout_ms, struct npxc_error *err);

/*
 * Whether a failed call says, in the very words that this runtime has for it, that there is no such container or
 * network. Recorded answers: fixtures/cassettes, fixtures/apple-container. Pure.
 * Mustn't: take any other line that has the name in it for that ("NAME: ... command not found").
 */
bool container_says_no_container(enum runtime_kind kind, const char *errors, const char *name);
bool container_says_no_network(enum runtime_kind kind, const char *errors, const char *name);

/* Whether the error of a call means that the runtime is not to be asked now: it is not available, or it did not answer
 * in time, which the next call would cost again. Pure. */
bool container_is_down(const struct npxc_error *err);

/* container_remove.c: one call of the CLI each. That there is no such container is a success. */
bool container_remove(const struct runtime *runtime, const char *name, struct npxc_error *err) NPXC_MUST_CHECK;
/* SIGKILL to what runs in it. That it does not run yet, or not any more, is what the end of its CLI shows. */
void container_kill(const struct runtime *runtime, const char *name);

/* Exited by itself with status 0, within its deadline and its ceiling. */
bool container_succeeded(const struct proc_result *result);

/* A call that prints one name a line: those that begin with `prefix`. ERROR_RUNTIME_UNAVAILABLE, ERROR_RUNTIME. */
bool container_list(const struct runtime *runtime, const char *const *words, const char *prefix, struct strv *ret_names,
                    struct npxc_error *err) NPXC_MUST_CHECK;

/* One line for doctor; `fix` NULL means that all is well. */
void container_add_finding(struct runtime_findings *findings, const char *fix, const char *fmt, ...) NPXC_PRINTF(3, 4);
/* Gives the last finding a fix that is a call of the CLI: `container` and `words` (NULL-terminated). */
void container_set_fix(struct runtime_findings *findings, const struct runtime *runtime, const char *const *words);

#endif
