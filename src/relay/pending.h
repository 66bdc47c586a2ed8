#ifndef NPXC_RELAY_PENDING_H
#define NPXC_RELAY_PENDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Which requests of the client have no answer yet. It is given the lines of both directions in pieces and keeps the
 * beginning and the end of each, where an id stands: as a member before anything long, or as one of the last. An id
 * between two long members is not seen, and such a request is not counted. Nothing is decided by this but what the user
 * is told, and how long a server may take after the end of input. Pure.
 */

/* requests: that are kept; bytes: of an id, of a method; of the beginning and the end of a line. */
enum { PENDING_REQUESTS_MAX = 256, PENDING_ID_BYTES = 64, PENDING_METHOD_BYTES = 40 };
enum { PENDING_HEAD_BYTES = 1024, PENDING_TAIL_BYTES = 256 };

struct pending_entry {
	char id[PENDING_ID_BYTES]; /* in its own bytes */
	size_t id_length;
	char method[PENDING_METHOD_BYTES]; /* what it means, cut; with a NUL */
	int64_t since_ms;
};

struct pending_line {
	size_t length, tail_length;
	bool is_open; /* its newline has not come */
	char head[PENDING_HEAD_BYTES], tail[PENDING_TAIL_BYTES];
};

struct pending {
	struct pending_entry *v; /* owned; the oldest first */
	size_t count;
	int64_t now_ms;                      /* when the client last wrote something */
	struct pending_line asked, answered; /* the lines that are passing */
};

void pending_done(struct pending *pending); /* a zeroed struct is fine */
/* The next bytes of a line that goes on to the server, newline included; `first`: they are its beginning. */
void pending_ask(struct pending *pending, const char *bytes, size_t count, bool first, int64_t now_ms);
/* The client says no more: its last line may have had no newline. */
void pending_ask_end(struct pending *pending);
/* The same of a line to the client. True: this was the end of an answer that tells of a failure, by its form or,
 * of a request that makes the server do something, by its words. */
bool pending_answer(struct pending *pending, const char *bytes, size_t count, bool first);
/* Their methods, each once, with commas; owned. */
char *pending_methods(const struct pending *pending);

#endif
