#ifndef NPXC_EGRESS_RELAY_H
#define NPXC_EGRESS_RELAY_H

#include "egress/loop.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Bytes between two sockets, both ways. Small flows are copied through one buffer that all flows share, so that an idle
 * flow costs no memory but its struct; a direction that has carried much is spliced through a pipe where the system
 * can (Linux). What one receiver does not take stays with the sender. Urgent bytes (TCP's out-of-band ones) are lost.
 */

/* One end; `source` is first, so that a pointer to it is one to the end. */
struct relay_end {
	struct loop_source source;
	void *owner;
	int fd;                  /* owned by whoever has the end; -1: none yet */
	bool readable, writable; /* as far as is known: until EAGAIN */
	bool closed;             /* the loop said so; there may be bytes left to read */
	bool urgent;             /* the same of urgent bytes: less than was asked for may not be all that is there */
	bool ended;              /* read to its end */
	bool shut;               /* told that nothing more comes */
	bool deaf;               /* takes nothing more: what it said before can still be read */
	bool failed;             /* reset, or the like */
};

struct relay_bytes {
	char *v; /* owned; NULL when empty */
	size_t start, length, capacity;
};

struct relay_way {
	struct relay_bytes held; /* read and not yet sent; oldest first */
	size_t passed;           /* so many of them may be sent; the rest waits for its gate */
	uint64_t bytes;          /* sent */
	bool changed;            /* for the owner: the gate has to be asked again */
	bool done;               /* the end was passed on */
	int pipe[2];             /* owned; -1: copied */
	size_t piped;            /* bytes in it */
};

struct relay {
	struct relay_way up, down; /* guest to outside, and back */
};

void relay_init(struct relay *relay);
void relay_done(struct relay *relay);
void relay_drop(struct relay *relay); /* forgets what is held */
void relay_end_init(struct relay_end *end, void *owner, void (*on_ready)(struct loop_source *, unsigned));
void relay_end_ready(struct relay_end *end, unsigned what);

const char *relay_bytes_at(const struct relay_bytes *bytes); /* never NULL */
void relay_consume(struct relay_bytes *bytes, size_t count);

/* How many pipes all relays together may have open: two descriptors each. None before it is called. */
void relay_allow_pipes(size_t count);

/* A TCP socket, non-blocking and close-on-exec; -1 and errno. */
int relay_socket(int family);

/* Reads what is there into `way->held`, to LIMIT_EGRESS_PENDING_BYTES. */
void relay_fill(struct relay_way *way, struct relay_end *from);

enum relay_result {
	RELAY_WAITS,
	RELAY_MORE,   /* has done its share; again after the others */
	RELAY_OVER,   /* both ends were passed on */
	RELAY_BROKEN, /* one end failed */
};

/*
 * Moves what can be moved. `up_open`: the guest's bytes pass as they come; else only those that `up.passed` counts.
 * `on_down` (or NULL) sees what the outside sends, before the guest does; when it says false, those bytes are dropped
 * and the outside counts as failed.
 */
enum relay_result relay_run(struct relay *relay, struct relay_end *guest, struct relay_end *outside, bool up_open,
                            bool (*on_down)(void *context, const char *bytes, size_t length), void *context);

/* Reads a share of what `from` sends and drops it. OVER: its end, or it has failed. */
enum relay_result relay_discard(struct relay_end *from);

#endif
