#ifndef NPXC_EGRESS_ALIAS_H
#define NPXC_EGRESS_ALIAS_H

#include "base/limits.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Link netns, ports that nothing but host.npxc.internal:PORT is for. The kernel accepts what a guest connects to before
 * anybody here is told, so a port of this machine where nobody listens would connect, and be reset. While that is so
 * the guest's side does not listen either, and the guest is refused as it would be outside.
 *
 * The guest looks the alias up before it connects; that is when the ports are looked at, and from time to time while
 * one of them is closed. Linux only, with Landlock of 6.7; elsewhere, and where the kernel does not say who listens,
 * they stay open.
 */
struct alias {          /* zeroed = empty */
	struct {        /* of the guest's side, one for each family */
		int fd; /* borrowed */
		uint16_t port;
		bool closed;
	} v[2 * LIMIT_EGRESS_PORTS];
	size_t count, closed;
	bool may_close; /* as they can be opened again: see struct confined */
	int64_t looked_ms;
};

/* A listening socket of the guest's side. */
void alias_add(struct alias *alias, int fd, uint16_t port);

/*
 * Opens and closes each as the port is.
 *
 * Should: leave alone what is as it was; take a port whose listener cannot be seen for closed only when a connection to
 * it is refused.
 * Mustn't: connect to a service that is there, which may count its connections.
 */
void alias_look(struct alias *alias, int64_t now_ms);
/* The same, while one is closed. Milliseconds until the next call is due; -1: none is. */
int alias_sweep(struct alias *alias, int64_t now_ms);

#endif
