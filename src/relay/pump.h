#ifndef NPXC_RELAY_PUMP_H
#define NPXC_RELAY_PUMP_H

#include "base/buf.h"
#include "base/error.h"
#include "relay/lines.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * The relay between an MCP client and a sandboxed server: one poll loop, three directions, every byte unchanged but for
 * what pump_set_lines is told to do with lines.
 *
 *   client stdin  -> server stdin     end of input is passed on by closing the server's stdin
 *   server stdout -> client stdout    what is still due after that is delivered
 *   server stderr -> client stderr    where that is a terminal, through base/terminal's filter
 *
 * The client's descriptors are inherited: their O_NONBLOCK flag belongs to somebody else's open file description and
 * is never touched. A client that stops reading stops the server (back-pressure), never the loop; each direction is
 * held up only by its own target.
 */
struct pump_ends {
	int client_in, client_out, client_err; /* borrowed; -1 where there is none: no input, output thrown away */
	int server_in, server_out, server_err; /* owned from the call on; made non-blocking, closed as each ends */
	int wake;        /* borrowed: readable when pump_run has to return PUMP_WOKEN (a signal pipe); -1: none */
	int server_exit; /* borrowed: readable when the server has ended (pidfd, or a pipe it held); -1: none, then it
	                  * has ended when stdout and stderr are closed */
	/* Somebody else has something to tell while the relay runs. Called when `aside` is readable; false: never
	 * again. -1 and NULL when nobody has. */
	int aside; /* borrowed */
	bool (*on_aside)(void *context);
	void *aside_context;
	/* is_over is asked every so many milliseconds as tick_ms says before each wait; true: PUMP_OVER. 0: not now. */
	unsigned (*tick_ms)(void *context); /* NULL: never */
	bool (*is_over)(void *context);
	void *tick_context;
};

enum pump_end {
	PUMP_SERVER_ENDED, /* server_exit is readable and what it had written is delivered (or nobody reads it) */
	PUMP_CLIENT_GONE,  /* the client's stdout is closed: nobody is left to answer */
	PUMP_SERVER_STUCK, /* stdin was passed on as closed, and the server neither ended nor wrote for drain_quiet_ms
	                    */
	PUMP_OVER,         /* is_over said so */
	PUMP_WOKEN,        /* wake is readable; reading it is the caller's part. Or the time of pump_set_wake is over */
};

struct pump_counts {
	uint64_t to_server, to_client, to_stderr; /* bytes that were delivered */
	bool client_closed;                       /* the client ended its stdin */
};

/* bytes: how much of the end of the server's stderr is kept. */
enum { PUMP_STDERR_TAIL_BYTES = 4096 };

/*
 * Runs until one of enum pump_end. May be called again with the same pump to go on: after PUMP_WOKEN; after
 * PUMP_SERVER_STUCK, where the wait begins anew; after PUMP_CLIENT_GONE, where the server's stdout is thrown away.
 *
 * What happens when one end is closed:
 *   client stdin    the rest is delivered, then server_in is closed; relaying goes on until the server ends
 *   server stdin    the client is not read any more. A pipe or socket at client_in is put on /dev/null (dup2), so that
 *                   the client sees EPIPE as it would from a server without npxc
 *   client stdout   PUMP_CLIENT_GONE, also while nothing is being relayed
 *   server stdout   the end of the server is waited for
 *   client stderr   the server's stderr is read and thrown away
 *
 * After the server has ended, what its pipes hold at that moment is delivered, but a helper of it that keeps stdout
 * open is not waited for. A client that does not read is waited for on stdout as long as it is there (wake ends
 * that), on stderr for drain_quiet_ms without progress.
 *
 * Silence is measured on stdout and stderr together, and not while the client itself holds up the server's stdout.
 * SIGPIPE is ignored while pump_run runs.
 *
 * Memory: one buffer per copied direction (of lines: see relay/lines.h), none for a spliced one; kernel pipes grow to
 * LIMIT_RELAY_BYTES once they were seen full, best effort. Where a client's descriptor can only be written blocking (a
 * pipe that cannot be opened again, a terminal) one small write follows each POLLOUT; a second writer on that same pipe
 * could then still make it wait for the reader. Errors: ERROR_IO when the loop itself cannot go on (poll; a client's
 * stdout that fails otherwise than by being closed, such as a file on a full disk; in pump_new a server end that is not
 * a descriptor).
 */
struct pump;
/* The server's ends are closed when this fails. */
bool pump_new(const struct pump_ends *ends, unsigned drain_quiet_ms, struct pump **ret_pump,
              struct npxc_error *err) NPXC_MUST_CHECK;
bool pump_run(struct pump *pump, enum pump_end *ret_end, struct npxc_error *err) NPXC_MUST_CHECK;
/*
 * From the next run on another descriptor wakes it (-1: none), and so does `until_ms`, as clock_now_ms counts (0:
 * never): after a signal what the server still says is delivered, but a client that does not read it is not waited for.
 */
void pump_set_wake(struct pump *pump, int wake, int64_t until_ms);
/* Closes the server's stdin now (a signal came: the ladder begins with end of input). */
void pump_close_server_input(struct pump *pump);
struct pump_counts pump_counts(const struct pump *pump);
/* The last bytes of the server's stderr, to explain a failure by; raw, not NUL-terminated, valid until the next run. */
const char *pump_stderr_tail(const struct pump *pump, size_t *ret_length);
/* Closes the server's ends that are still open; NULL is allowed. */
void pump_free(struct pump *pump);

/*
 * Lines of these directions are decided about (see relay/lines.h). Before the first run. NULL: of that direction nobody
 * wants to know anything; but where one is given, the other takes lines too, so that something can be put between them.
 * While more than LIMIT_RELAY_BYTES of pump_reply wait for a client that does not read, nothing more is decided about
 * what that client sends.
 */
void pump_set_lines(struct pump *pump, const struct lines_rules *to_server, const struct lines_rules *to_client);
/* What goes to the client's stdout, or stderr, between two lines: whole lines are appended to it. Never NULL; thrown
 * away when nobody is there. Of stderr the caller bounds it. */
struct buf *pump_reply(struct pump *pump);
struct buf *pump_say(struct pump *pump);
/* Whether that reaches anybody: bytes that nobody decides about have no lines to put anything between. */
bool pump_has_lines(const struct pump *pump);
/* A piece of what the server printed in the wrong place: "LABEL: bytes" as a line between two of stderr's, through the
 * filter where that is a terminal. */
void pump_pass_on(struct pump *pump, const char *label, const char *bytes, size_t count);

/* For tests: from here on only what every system has (poll, read, write). Before the first run. */
void pump_set_portable(struct pump *pump);

#endif
