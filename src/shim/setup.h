#ifndef NPXC_SHIM_SETUP_H
#define NPXC_SHIM_SETUP_H

#include "base/buf.h"
#include "shim/cassette.h"

#include <stdint.h>

/*
 * The configuration of a call. A launcher may clear the environment of the CLI that it starts, so the first place is a
 * file `shim.json` in the directory of the executable as it was called (a symlink's own directory, not its target's):
 *
 *   {"cassette": "container-1.0.0.json", "state": "state", "journal": "journal.jsonl", "fault": "3:hang",
 *    "path": "/usr/bin:/bin"}
 *
 * with relative paths taken from that directory. What it does not say comes from NPXC_SHIM_CASSETTE, NPXC_SHIM_STATE,
 * NPXC_SHIM_JOURNAL, NPXC_SHIM_FAULT and NPXC_SHIM_PATH. Cassette and state are needed.
 *
 * `fault` is "k:mode": the k-th call on this state directory, "*:mode" every call
 *   exit1       does nothing and exits 1
 *   exit1-done  does what was asked and exits 1
 *   killed      does what was asked and dies of SIGKILL without a word
 *   empty       does what was asked and prints nothing
 *   truncated   does what was asked and prints the first half (a workload: its first 20 bytes)
 *   hang        does what was asked and never ends
 * A container that such a call makes has no process; it stays until it is removed (with `empty` it ends at once).
 */
enum fault { FAULT_NONE, FAULT_EXIT1, FAULT_EXIT1_DONE, FAULT_KILLED, FAULT_EMPTY, FAULT_TRUNCATED, FAULT_HANG };

/* The mode's word in `fault`, and "none". */
const char *setup_fault_word(enum fault fault);

struct setup {
	char *cassette_path, *state, *journal, *search_path; /* owned */
	uint64_t fault_call;                                 /* 0: none; UINT64_MAX: every call */
	enum fault fault;
	struct cassette cassette;
};

/*
 * Refuses an unknown key, a missing cassette, and a program that is not called as the cassette's CLI is: podman's
 * answers under docker's name prove nothing. `argv0` may be NULL. After a failure, too, `setup` has to be ended, and
 * its `journal` is the one to write to if it had been read by then.
 */
bool setup_read(const char *argv0, struct setup *setup, struct npxc_error *err) NPXC_MUST_CHECK;
void setup_done(struct setup *setup);

bool setup_read_cassette(const char *path, struct cassette *ret_cassette, struct npxc_error *err) NPXC_MUST_CHECK;
/* The transcript of that name beside the cassette. */
bool setup_read_transcript(const char *cassette_path, const char *name, struct buf *text,
                           struct npxc_error *err) NPXC_MUST_CHECK;

#endif
