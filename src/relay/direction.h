#ifndef NPXC_RELAY_DIRECTION_H
#define NPXC_RELAY_DIRECTION_H

#include "base/error.h"
#include "base/terminal.h"
#include "relay/lines.h"

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One of the pump's directions: where its bytes come from, where they go, and how they get across without waiting. */

enum kind {
	KIND_NONE,   /* nothing there: no input, output thrown away */
	KIND_OWN,    /* our own description, non-blocking */
	KIND_SOCKET, /* MSG_DONTWAIT per call */
	KIND_PIPE,   /* foreign and perhaps blocking: at most PIPE_BUF bytes after each POLLOUT */
	KIND_DEVICE, /* the same with a few bytes: a terminal */
	KIND_FILE,   /* never waits for anybody */
};

struct end {
	int fd;
	enum kind kind;
	bool is_pipe;
	bool opened; /* fd is a description that we opened: to be closed */
};

enum outcome {
	OUTCOME_NEEDS_SOURCE, /* go on when the source is readable */
	OUTCOME_NEEDS_TARGET, /* go on when the target is writable */
	OUTCOME_SOURCE_ENDED, /* everything was delivered, and no more comes */
	OUTCOME_TARGET_ENDED, /* errno says why */
	OUTCOME_STALLED,      /* go on when `held_up_by` has delivered enough */
};

/*
 * One direction. `move` makes one attempt without waiting, when that side is ready which the last outcome asked for.
 * Everything that depends on how bytes get across, or on what they are, is behind it.
 */
struct direction {
	struct end source, target;
	enum outcome (*move)(struct direction *d);
	bool needs_target; /* what is waited for: the target, else the source */
	bool ended;
	bool grown;
	char *bytes; /* COPY_BYTES, when copying; [start, end) is not delivered yet */
	size_t start, end;
	struct terminal_filter *filter; /* owned; NULL: the target is no terminal */
	char *tail;                     /* owned; the last bytes that were read, at most tail_size; NULL: not kept */
	size_t tail_size, tail_length;
	struct lines *lines;                /* NULL: bytes */
	const struct direction *held_up_by; /* answers to this direction's lines wait there; NULL: none ever */
	bool stalled;
	bool drained; /* with lines: the source has ended, what is left is in `lines` */
	size_t due;   /* bytes that may still be taken from the source; SIZE_MAX while the server lives */
	uint64_t taken, delivered;
};

/* A descriptor of the client's, as it is; -1: no end. */
struct end end_of_client(int fd);
/* One of the server's, made non-blocking. ERROR_IO. */
bool end_of_server(int fd, struct end *ret_end, struct npxc_error *err) NPXC_MUST_CHECK;
void end_close_opened(struct end *end);

/* Chooses how bytes get across. A direction that somebody looks at (tail, lines) is copied. `portable`: without what
 * only some systems have. */
void direction_arrange(struct direction *d, bool portable);
void direction_free(struct direction *d); /* what it owns; its server's end is the pump's */

void direction_poll(const struct direction *d, bool watch_target, struct pollfd *source, struct pollfd *target);
bool direction_is_ready(const struct direction *d, const struct pollfd *source, const struct pollfd *target);
bool direction_target_is_closed(const struct direction *d, const struct pollfd *target);
bool direction_is_delivered(const struct direction *d);

/* With lines: whether too many answers to them wait to be delivered. */
bool direction_must_wait(const struct direction *d);
/* After OUTCOME_STALLED: puts out what is due. */
enum outcome direction_resume(struct direction *d);
/* What has come up by itself and not by an event of the source: it waits for the target only. */
void direction_put_injected(struct direction *d);

/* What cannot be delivered any more is thrown away from here on, but the source is still read. */
void direction_drop_target(struct direction *d);
/* After the server's end: only what its pipe holds now. Without an answer of the system, nothing. */
void direction_limit_to_present(struct direction *d);

/* Whether a call that failed so is to be made again, at the next event. */
bool direction_is_later(int number);

#endif
