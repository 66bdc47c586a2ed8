#ifndef NPXC_TEARDOWN_JANITOR_PROTOCOL_H
#define NPXC_TEARDOWN_JANITOR_PROTOCOL_H

#include "base/buf.h"
#include "base/error.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The messages between launcher and janitor: frames on a socket pair. Both ends are the same program, so numbers are in
 * the machine's own form.
 */
enum janitor_verb {
	JANITOR_VERB_HOLD = 1,    /* a: kind; payload: words. Answer: DONE, a: id */
	JANITOR_VERB_DESCRIBE,    /* payload: words, see lease_set_facts; no answer */
	JANITOR_VERB_RELEASE,     /* a: id */
	JANITOR_VERB_SANDBOX,     /* a: pid, b: enum group_stop */
	JANITOR_VERB_END_SANDBOX, /* a: milliseconds of grace */
	JANITOR_VERB_END,
	/* answers */
	JANITOR_VERB_DONE,    /* a: of HOLD the id; of END 1 when something is tried again in the background */
	JANITOR_VERB_REFUSED, /* payload: an error's text */
	JANITOR_VERB_WARNING, /* payload: a line for the log; before an answer */
	JANITOR_VERB_STEP,    /* the same, at the log's debug level */
};

struct janitor_frame {
	uint32_t length; /* bytes of payload that follow; at most LIMIT_JANITOR_FRAME_BYTES */
	uint32_t verb;
	uint32_t a, b;
};

enum { JANITOR_TEXT_BYTES = 1023 }; /* the longest payload of an answer */

enum janitor_received {
	JANITOR_RECEIVED,
	JANITOR_RECEIVED_END, /* end of file, or a broken channel */
	JANITOR_RECEIVED_TIMEOUT,
	JANITOR_RECEIVED_INVALID, /* no message of the other side's */
};

struct janitor_wait {
	int64_t deadline;   /* 0: for ever */
	bool heeds_signals; /* the launcher: a signal leaves it LIMIT_SIGNAL_MS, counted from the signal */
};

/* One frame and its payload of at most `size` bytes. `is_answer`: which verbs may come. */
enum janitor_received janitor_protocol_receive(int fd, const struct janitor_wait *wait, bool is_answer,
                                               struct janitor_frame *ret_frame, char *payload, size_t size);
/* Whole, or the channel is lost: when the other side has gone, or does not read within the socket's own time limit. */
bool janitor_protocol_send(int fd, const struct janitor_frame *frame, const void *payload) NPXC_MUST_CHECK;

/* Words, each with its NUL. ERROR_IO when `payload` has no room for them. */
bool janitor_protocol_put_words(struct buf *payload, const char *const *words, size_t count,
                                struct npxc_error *err) NPXC_MUST_CHECK;
/* False when there is none, or a last one without its NUL. */
bool janitor_protocol_get_words(const char *payload, size_t length, struct strv *ret_words) NPXC_MUST_CHECK;

#endif
