#ifndef NPXC_RUNTIME_RUNTIME_H
#define NPXC_RUNTIME_RUNTIME_H

#include "base/error.h"
#include "base/str.h"
#include "runtime/driver.h"
#include "runtime/launch.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * What provides a sandbox. Everything above this layer speaks of a `struct launch` (what is wanted, in no runtime's
 * words) and gets a `struct runtime_start` (what is to be executed). Turning one into the other is pure: a driver's
 * start function looks at nothing but its arguments, so that `npxc inspect` prints what a run uses.
 */

/* ---- what is executed ---- */

struct runtime_data {
	int fd;      /* the number under which the command expects it (>= 10) */
	char *bytes; /* owned */
	size_t length;
};

/* A descriptor that the child gets under a number of its own. */
struct runtime_source {
	int fd;   /* the number under which the command expects it (>= 10) */
	int from; /* borrowed; -1 only in what is never started */
};

/*
 * Paths that an unprivileged uid cannot reach on its own (started by root, a source under /root): in the child, before
 * the drop, each is opened and bound at the same path in a private mount namespace. See contain/reach.h.
 */
struct runtime_start {
	struct strv argv;          /* argv[0] is the CLI's absolute path */
	struct strv env;           /* the CLI's whole environment, NAME=value */
	struct runtime_data *data; /* given to the child at their fd numbers */
	size_t data_count;
	struct runtime_source *sources; /* the same; they stay open in the command */
	size_t source_count;
	int status_fd;     /* number at which the child gets the writing end of a status pipe; -1: none */
	bool enters_netns; /* the child makes its network namespace itself, before exec (egress/netns): the CLI keeps it
	                    */
	bool drop_to_uid;  /* started by root: the child becomes SANDBOX_DROP_UID before exec */
	struct strv reach; /* sources of mounts that the dropped uid has to reach; empty unless drop_to_uid */
	int *reach_as;     /* owned; for each of them the number of the descriptor that it has to be; -1: none */
};

void runtime_start_add_data(struct runtime_start *start, int fd, const void *bytes, size_t length);
void runtime_start_add_source(struct runtime_start *start, int fd, int from);
void runtime_start_add_reach(struct runtime_start *start, const char *path, int fd); /* once for equal paths */
void runtime_start_done(struct runtime_start *start);

/* ---- the runtime found on this machine ---- */

struct runtime {
	enum runtime_kind kind;
	char *cli;          /* owned; absolute path */
	char *version;      /* owned; "0.8.0", or NULL when it was not asked */
	unsigned number[3]; /* the same as numbers; 0.0.0 when not asked */
	bool is_root;       /* npxc's effective uid is 0 */
	struct strv
	    system_mounts; /* bwrap: read-only host paths that make up the root (/usr, /etc/ssl ...), existing ones */
	struct strv system_links;  /* bwrap: "target=linkpath" pairs (usr/bin=/bin ...) */
	struct strv system_hidden; /* bwrap: directories of /usr that are empty inside (/usr/etc ...), but for
	                            * the system_mounts that lie in them */
	struct strv system_masks;  /* bwrap: files of /usr that are empty inside (npm's own configuration ...) */
	unsigned uid, gid;         /* ids inside */
	char *filter; /* owned; bwrap: the seccomp program (contain/seccomp.h); a start without one is refused */
	size_t filter_bytes;
	bool binds_descriptors;  /* bwrap: it has --bind-fd and --ro-bind-fd (0.10.0, and Debian's 0.8.0) */
	struct strv environment; /* container CLIs: what the CLI needs of npxc's own environment, NAME=value */
};

/*
 * Finds the CLI on `path_variable` (for apple: the name in `cli_name`, which may be a path) and reads what a start
 * needs to know. bwrap: starts no process (a warm start must not pay for it). apple: asks `--version` and refuses
 * below 0.12.0, the first release with --cap-drop. podman, docker: asks `version` and refuses below 4.0.0 and 20.10.0.
 * Errors: ERROR_RUNTIME_UNAVAILABLE, with the next step; on a wrong platform too (bwrap on macOS).
 */
bool runtime_find(enum runtime_kind kind, const char *cli_name, const char *path_variable, struct runtime *ret_runtime,
                  struct npxc_error *err) NPXC_MUST_CHECK;
void runtime_done(struct runtime *runtime);

/* "auto" is runtime_kind_auto. ERROR_CONFIG on an unknown word. */
bool runtime_kind_of(const char *word, enum runtime_kind *ret_kind, struct npxc_error *err) NPXC_MUST_CHECK;
const char *runtime_kind_word(enum runtime_kind kind);
/*
 * Pure. ERROR_CONFIG for what this runtime cannot do (bwrap: a named network), ERROR_RUNTIME_UNAVAILABLE for what this
 * version cannot.
 * Should: always give a read-only root, an empty writable HOME, /tmp and /run, a user that is not root, no
 * capabilities, ceilings for memory, processors and processes, and no variables but PATH, HOME, TMPDIR, LANG and those
 * of `launch`.
 * Mustn't: put a variable's value into argv, weaken anything silently.
 */
bool runtime_make_start(const struct runtime *runtime, const struct launch *launch, struct runtime_start *ret_start,
                        struct npxc_error *err) NPXC_MUST_CHECK;

/*
 * Judges how a sandbox ended. `status_text` is what came through status_fd, `errors` the tail of what the CLI and the
 * server wrote to stderr. True when the server itself ran (ret_status: its exit status or 128+n), false when the
 * runtime failed: ERROR_RUNTIME_UNAVAILABLE (user namespaces refused, with the fix; service down) or ERROR_RUNTIME.
 */
bool runtime_judge_end(const struct runtime *runtime, int exit_status, int term_signal, const char *status_text,
                       const char *errors, int *ret_status, struct npxc_error *err) NPXC_MUST_CHECK;

/* Whether every sandbox of this runtime shows this path of the host's, as part of its system. */
bool runtime_shows(const struct runtime *runtime, const char *path);

/* Whether a variable steers the runtime's CLI; appends those of npxc's own that do ("NAME=value"). */
bool runtime_is_steering(const struct runtime_driver *driver, const char *name);
void runtime_environment(enum runtime_kind kind, struct strv *environment);

/* argv that removes a container by name, whether or not it runs (empty without containers: the group is killed
 * instead). */
void runtime_remove_argv(const struct runtime *runtime, const char *name, struct strv *ret_argv);

/*
 * What a container runtime has under names like npxc's, whoever made it: containers, running or not, and networks whose
 * names begin with "npxc-". `ret_busy`: those of them with a process, which are containers that neither wait for their
 * start nor have ended, and the networks that such containers are attached to (Apple's CLI refuses to delete those, and
 * does not list them). ERROR_RUNTIME_UNAVAILABLE, ERROR_RUNTIME, ERROR_JSON. Nothing without containers.
 */
bool runtime_list_ours(const struct runtime *runtime, struct strv *ret_containers, struct strv *ret_networks,
                       struct strv *ret_busy, struct npxc_error *err) NPXC_MUST_CHECK;

/*
 * For `npxc doctor`: looks deeper (starts `bwrap ... true`, `container system status`, ...). Each finding is one line;
 * `ok` false with a `fix`, a command or advice. Never changes anything.
 */
struct runtime_finding {
	bool ok;
	bool note; /* nothing is wrong, but this should be known */
	char *what;
	char *fix;            /* NULL when ok, but for a note that something could be better */
	struct strv fix_argv; /* a command that `doctor --fix` may run (argv[0] absolute); empty: advice only */
};
struct runtime_findings {
	struct runtime_finding *v;
	size_t count;
};
void runtime_examine(enum runtime_kind kind, const char *cli_name, const char *path_variable, const char *image,
                     struct runtime_findings *ret_findings);
/* One line; `fix` NULL means that all is well. */
void runtime_add_finding(struct runtime_findings *findings, const char *fix, const char *fmt, ...) NPXC_PRINTF(3, 4);
/* What the last finding says is no reason not to start: a note, with its fix. */
void runtime_note_last(struct runtime_findings *findings);
void runtime_findings_done(struct runtime_findings *findings);

#endif
