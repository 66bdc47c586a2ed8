#ifndef NPXC_RELAY_GUARD_H
#define NPXC_RELAY_GUARD_H

#include "base/buf.h"
#include "relay/lines.h"
#include "relay/pump.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * The stdout guard: what a server prints on its stdout and is no message goes to the client's stderr, with a label, and
 * not to the client, which would take it for a broken message.
 */
struct guard {
	bool on;          /* off: every line passes */
	char *label;      /* owned; escaped */
	struct buf line;  /* one that is no message, until it is whole */
	size_t discarded; /* bytes of them that nobody read */
};

void guard_init(struct guard *guard, const char *label, bool on);
void guard_done(struct guard *guard);

/* The bytes that a line begins with: MORE while they could precede either, DIVERT, or PASS: a message. Pure. */
enum lines_look guard_look(const struct guard *guard, const char *bytes, size_t count);
/* Bytes of a line that is diverted; `last`: it ends with them. A long one goes out in pieces. */
void guard_divert(struct guard *guard, struct pump *pump, const char *bytes, size_t count, bool last);

#endif
