#ifndef NPXC_EGRESS_DIAL_H
#define NPXC_EGRESS_DIAL_H

#include "base/ip.h"
#include "base/limits.h"
#include "egress/loop.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * One connection to whichever of a host's addresses answers first ("happy eyeballs", RFC 8305): the next attempt begins
 * LIMIT_EGRESS_ATTEMPT_MS after the one before it, or when that one has failed, and those that wait go on meanwhile. So
 * a family whose packets vanish costs one such pause and not the whole time.
 */
struct dial_attempt {
	struct loop_source source;
	struct dial *dial;
	int fd; /* owned; -1: not begun, failed, or taken */
	bool ready;
	struct ip ip;
};

struct dial {                   /* zeroed = none; stays where it is from dial_begin to dial_free */
	struct loop *loop;      /* borrowed */
	struct dial_attempt *v; /* owned */
	size_t count, begun;
	uint16_t port;
	int64_t next_ms; /* when the next attempt is due; 0: never */
	int error;       /* why the ones that failed did: the one that says most */
	void (*on_change)(void *context);
	void *context;
};

/*
 * The order in which addresses are tried: families take turns, beginning with `v6_first`'s; within a family the order
 * stays (the system's own, RFC 6724). Pure.
 */
void dial_order(struct ip *v, size_t count, bool v6_first);

/* At most LIMIT_EGRESS_ATTEMPTS of `v`, in its order. `on_change` is called when dial_look has something to find. */
void dial_begin(struct dial *dial, struct loop *loop, const struct ip *v, size_t count, uint16_t port,
                void (*on_change)(void *context), void *context);

enum dial_state { DIAL_WAITS, DIAL_CONNECTED, DIAL_FAILED };
/* Looks at the attempts, and begins the next one when it is due. FAILED: `error`. */
enum dial_state dial_look(struct dial *dial, int64_t now_ms);

/*
 * After CONNECTED: the connection, which is the caller's now and whose readiness `dial` is no longer told; the other
 * attempts are given up. `ret_contested`: an address of the other family had been tried and has not answered.
 */
int dial_take(struct dial *dial, struct ip *ret_ip, bool *ret_contested);

/* Gives all up. */
void dial_end(struct dial *dial);
/* Its memory: between two turns of the loop only, as events of a turn may still name it. */
void dial_free(struct dial *dial);

#endif
