#ifndef NPXC_TEARDOWN_JANITOR_H
#define NPXC_TEARDOWN_JANITOR_H

#include "base/error.h"
#include "base/str.h"
#include "contain/group.h"
#include "runtime/runtime.h"
#include "teardown/resource.h"

#include <stdbool.h>
#include <sys/types.h>

/*
 * The launcher's side of the janitor: a process forked before anything is acquired, in a session of its own, with
 * /dev/null on 0, 1 and 2. It is told of every resource BEFORE the command that acquires it runs, and it alone removes:
 * a normal end, an error, a signal and a SIGKILL of the launcher all end in the same code (teardown/teardown).
 *
 * What it is told it writes to the session's lease before it answers: when the janitor itself dies the launcher starts
 * another one from it, and when both die a successor does the rest (a sweep at a start, or `npxc gc`). A session that
 * never holds anything has no lease. When the launcher dies, the janitor goes on by itself.
 *
 * After the teardown the launcher is told, and what is still there of containers and networks is tried again in the
 * background, as network_schedule says. So is a network that a launcher which has died had named last: the service may
 * go on making what a dead client requested.
 */
struct janitor;

/*
 * Forks it. Call while npxc is single-threaded and has acquired nothing. Ignores SIGPIPE from here on, and gives
 * SIGCHLD its default disposition here too: with an inherited SIG_IGN no child could be waited for. The lease is
 * `directory`/<id>.lease; without a directory none is written (tests of single parts). ERROR_IO.
 */
bool janitor_start(const char *directory, const char *id, struct janitor **ret_janitor,
                   struct npxc_error *err) NPXC_MUST_CHECK;

/* What `npxc ps` shows; on the lease before the next resource is. Borrowed. ERROR_IO when the janitor has gone. */
struct janitor_facts {
	const char *name; /* the session's: npxc-<slug>-<id> */
	const char *package, *version, *runtime, *policy, *link;
	const struct strv *shares; /* see session/shares; NULL: none */
};
bool janitor_describe(struct janitor *janitor, const struct janitor_facts *facts,
                      struct npxc_error *err) NPXC_MUST_CHECK;

/*
 * Returns once the janitor has written it down; `*ret_id` names the entry for janitor_release. See resource_objection
 * for what is refused. All words together: LIMIT_JANITOR_FRAME_BYTES; all entries: LIMIT_JANITOR_ENTRIES. ERROR_IO for
 * more, when the lease cannot be written (a full disk), and when the janitor has gone.
 */
bool janitor_hold(struct janitor *janitor, enum resource_kind kind, const struct strv *words, unsigned *ret_id,
                  struct npxc_error *err) NPXC_MUST_CHECK;
bool janitor_hold_path(struct janitor *janitor, enum resource_kind kind, const char *path, unsigned *ret_id,
                       struct npxc_error *err) NPXC_MUST_CHECK;
/* Of a container or network: its words, for a runtime and a name. */
bool janitor_hold_named(struct janitor *janitor, enum resource_kind kind, const struct runtime *runtime,
                        const char *name, unsigned *ret_id, struct npxc_error *err) NPXC_MUST_CHECK;
/* A child of the launcher's that has not been reaped. */
bool janitor_hold_process(struct janitor *janitor, pid_t pid, unsigned *ret_id, struct npxc_error *err) NPXC_MUST_CHECK;
/* The resource has been given back, or was handed on (a staging directory renamed into the store). */
bool janitor_release(struct janitor *janitor, unsigned id, struct npxc_error *err) NPXC_MUST_CHECK;

/*
 * A sandbox's first process, before it execs; it is, or is about to become, the leader of the group `group`. Returns
 * once the janitor has it. One at a time: refused while an earlier one has not been ended by janitor_end_sandbox.
 * Mustn't: take a group that is 1 or less, the launcher's or the janitor's own.
 */
bool janitor_sandbox(struct janitor *janitor, pid_t group, enum group_stop stop,
                     struct npxc_error *err) NPXC_MUST_CHECK;
/*
 * Ends the sandbox's group now, whoever of it is left: SIGTERM (see enum group_stop) when grace_ms > 0, SIGKILL after
 * that, verified. Returns when it is gone, at the latest after grace_ms and TEARDOWN_SANDBOX_MS; the first process is
 * left to be reaped. The other resources stay, but for a container that was removed on the way. Without a sandbox it is
 * a success.
 */
bool janitor_end_sandbox(struct janitor *janitor, unsigned grace_ms, struct npxc_error *err) NPXC_MUST_CHECK;
/*
 * The same in two halves: what the sandbox still writes can be read meanwhile. `*ret_fd` (borrowed) becomes readable
 * when a message of the janitor's has come, usually its answer; -1 when it has gone. The second half waits for the
 * answer.
 */
void janitor_begin_to_end_sandbox(struct janitor *janitor, unsigned grace_ms, int *ret_fd);
bool janitor_await_end_of_sandbox(struct janitor *janitor, unsigned grace_ms, struct npxc_error *err) NPXC_MUST_CHECK;

/*
 * No answer is waited for longer than LIMIT_SIGNAL_MS after a signal (base/signals): npxc ends then, and the janitor
 * goes on by itself.
 *
 * janitor_end: everything that is still held goes; returns when the janitor is done (and has been reaped, unless it has
 * something left to try in the background), or after `timeout_ms` (the janitor goes on by itself then; a warning says
 * so). Its warnings are logged here, as "janitor". Frees the janitor in
 * every case. ERROR_IO when the janitor ended before it was done and no other could take over.
 */
bool janitor_end(struct janitor *janitor, unsigned timeout_ms, struct npxc_error *err) NPXC_MUST_CHECK;

#endif
