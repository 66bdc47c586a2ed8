#ifndef NPXC_EGRESS_EGRESS_H
#define NPXC_EGRESS_EGRESS_H

#include "base/error.h"
#include "egress/audit.h"
#include "egress/process.h"
#include "egress/reason.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * The egress process: decides what a guest reaches, looks names up, dials, relays, writes the audit log. It reads what
 * a hostile guest sends, so it is a process of its own with nothing of the client's in it, and gives up what it does
 * not need before it reads (egress/confine).
 *
 *   launcher                          egress process
 *     fork  ------------------------> closes all but what it needs, confines itself, "ready"
 *     sandbox: link netns hands its sockets over; links socket and gateway connect to a listener
 *     notes <------------------------ (egress/note.h) each refusal, once for each host, port and rule that would help
 *     closes the control socket ----> ends: records what is open, writes the log, exits
 *
 * The launcher's death closes that socket too. When the process dies, the guest reaches nothing any more; messages of
 * the session go on.
 */

struct egress {
	pid_t pid;          /* 0: none */
	int control;        /* owned; readable when there is a line, or the process has ended; -1: none */
	int handoff;        /* owned; link netns: for netns_enter; -1: none, or given away */
	unsigned end_ms;    /* how long it has to end */
	char partial[2048]; /* of a line */
	size_t partial_length;
};

#define EGRESS_NONE ((struct egress){ .control = -1, .handoff = -1 })

/* Forks it. ERROR_IO. */
bool egress_start(const struct egress_settings *settings, struct egress *ret_egress,
                  struct npxc_error *err) NPXC_MUST_CHECK;
/* Until it is ready for a guest. ERROR_RUNTIME: it could not be confined, or has ended. Then nothing may be started. */
bool egress_await(struct egress *egress, struct npxc_error *err) NPXC_MUST_CHECK;

/* One thing that it has to say. The host is the guest's text: escaped, and valid until the next call. */
enum egress_news { EGRESS_NOTHING, EGRESS_DENIED, EGRESS_ENDED };
struct egress_denial {
	const char *host; /* a name, or an address; or whatever was asked for as a name, escaped */
	uint16_t port;    /* 0: a name was asked for, and no connection */
	enum reason reason;
	enum audit_add add; /* which rule would allow it */
	bool is_host;       /* what a rule could name */
};
/* The rule that would allow it; owned, NULL when none would. */
char *egress_denial_rule(const struct egress_denial *denial);
/* Never blocks; to be called until NOTHING, and not again after ENDED. */
enum egress_news egress_read(struct egress *egress, struct egress_denial *ret_denial);

/* Ends it and waits for that: what is open is recorded. What was said since the last egress_read can still be read. */
void egress_stop(struct egress *egress);
void egress_done(struct egress *egress);

#endif
