#ifndef NPXC_EGRESS_LOOP_H
#define NPXC_EGRESS_LOOP_H

#include "base/error.h"

#include <stdbool.h>

/*
 * Readiness of descriptors, edge-triggered (epoll, kqueue): a change is told once, so whoever is told keeps it in mind
 * until a call says EAGAIN. Nothing is asked for or taken back while a flow runs, which saves a system call for each
 * change of direction.
 */
enum {
	LOOP_READABLE = 1,
	LOOP_WRITABLE = 2,
	LOOP_CLOSED = 4, /* the other end closed, or failed */
	LOOP_URGENT = 8, /* there may be a mark in the stream at which calls that read stop, with more behind it */
};

/* The first member of what is watched; zeroed but for `on_ready`. It stays where it is while it is watched. */
struct loop_source {
	void (*on_ready)(struct loop_source *source, unsigned what);
	struct loop_source *next; /* in the queue of loop_again */
	bool queued;
};

struct loop {
	int fd; /* owned */
	struct loop_source *first, *last;
};

bool loop_open(struct loop *ret_loop, struct npxc_error *err) NPXC_MUST_CHECK;
void loop_done(struct loop *loop);

/* Watches both directions until the descriptor is closed; one that is watched already changes its source, which is then
 * told the state once more. ERROR_IO. */
bool loop_watch(struct loop *loop, int fd, struct loop_source *source, struct npxc_error *err) NPXC_MUST_CHECK;
/* It has more to do and stops here for the others' sake: it is called again, with `what` 0, after their turn. */
void loop_again(struct loop *loop, struct loop_source *source);
/* Drops it from that queue: its memory is about to go. Events of the turn that runs may still name it, so memory goes
 * between turns only. */
void loop_forget(struct loop *loop, struct loop_source *source);

/* One turn: waits at most `timeout_ms` (-1: for ever), calls who is ready. ERROR_IO. */
bool loop_turn(struct loop *loop, int timeout_ms, struct npxc_error *err) NPXC_MUST_CHECK;

#endif
