#ifndef NPXC_SHIM_JOURNAL_H
#define NPXC_SHIM_JOURNAL_H

#include "base/error.h"
#include "base/str.h"
#include "shim/template.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * The journal: one JSON line per call, appended when the call is over.
 *
 *   {"call":7,"argv":["container","network","delete","x"],"env":["PATH"],"cwd":"/","pid":123,
 *    "start_us":1,"end_us":2,"matched":"network-delete","refusal":"in-use","busy":false,"fault":null,
 *    "captures":{"network":"x"},"near_miss":null,"workload":null,"exit":1,"signal":null}
 *
 * `call` counts the calls of one state directory in the order in which they began; the lines stand in the order in
 * which they ended. start_us and end_us are the monotonic clock's. A call that was killed has its line too: a scribe,
 * forked first and in a session of its own, writes it when the call has gone without a word; exit is null then and
 * signal is null unless the call ended itself by one ("cut": true).
 *
 * Should: have written the line before the call's end can be seen, when the call ends by itself.
 * Mustn't: write a variable's value. Only names.
 */
struct journal {
	char *path;   /* owned; NULL: no journal is kept */
	int scribe;   /* owned; writing end of the pipe to the scribe; -1: none */
	int64_t call; /* 0: not yet counted */
	int64_t start_us;
	pid_t pid;
	struct strv argv, env; /* env: names */
	char *cwd;             /* owned */
	const char *matched;   /* borrowed or NULL, as the next ones */
	const char *refusal, *fault;
	char *near_miss; /* owned or NULL */
	bool busy;
	int64_t workload;                /* process id of the container's command; 0: none */
	const struct bindings *captures; /* borrowed or NULL */
};

/* Notes the call's beginning. `path` NULL keeps none. ERROR_IO when the journal cannot be written. */
bool journal_begin(const char *path, char *const *argv, char *const *environment, struct journal *ret_journal,
                   struct npxc_error *err) NPXC_MUST_CHECK;

/* Everything is known now but the end: the scribe can write the line from here on. ERROR_IO. */
bool journal_start_scribe(struct journal *journal, struct npxc_error *err) NPXC_MUST_CHECK;

/* The call ends by itself: writes the line. exit_status -1 and `signal` when it ends by a signal. Releases. */
bool journal_end(struct journal *journal, int exit_status, int signal, struct npxc_error *err) NPXC_MUST_CHECK;

/* Async-signal-safe: leaves the line to the scribe, with this exit status. The caller _exits right after it. */
void journal_end_in_handler(int scribe, int exit_status);

#endif
