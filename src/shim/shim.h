#ifndef NPXC_SHIM_SHIM_H
#define NPXC_SHIM_SHIM_H

#include "base/limits.h"

/*
 * What the parts of the replay shim agree on. The shim is a program of its own: it shares base/ with the launcher and
 * nothing else, so that a mistake of the launcher cannot be repeated by what judges it.
 */

/* Exit statuses of the shim's own. No container CLI uses them. */
enum {
	SHIM_EXIT_UNMATCHED = 97, /* no interaction of the cassette answers this call */
	SHIM_EXIT_BROKEN = 98,    /* no usable cassette, configuration, state or journal */
};

/* bytes: a cassette, a transcript, the state file. */
#define SHIM_MAX_FILE_BYTES (16 * MIB)
/* bytes: one expanded answer or name. */
#define SHIM_MAX_TEXT_BYTES (8 * MIB)
/* bytes: what one hole may cover; longer arguments do not match. */
#define SHIM_MAX_HOLE_BYTES 4096
/* milliseconds: every delay, pause and wait that a cassette may ask for. */
#define SHIM_MAX_PAUSE_MS (10 * 60 * 1000)
/* seconds: a call that hangs, and a workload, end by themselves after this, so that nothing outlives a test for good.
 */
#define SHIM_LIFETIME_S 600

#endif
