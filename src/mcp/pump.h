#ifndef NPXC_MCP_PUMP_H
#define NPXC_MCP_PUMP_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * The relay between an MCP client and a sandboxed server: one poll loop, three directions, every byte unchanged.
 *
 *   client stdin  -> server stdin     end of input is passed on by closing the server's stdin
 *   server stdout -> client stdout    what is still due after that is delivered
 *   server stderr -> client stderr
 *
 * The client's descriptors are inherited: their O_NONBLOCK flag belongs to somebody else's open file description and
 * is never touched. A client that stops reading stops the server (back-pressure), never the loop.
 */
struct pump_ends {
	int client_in, client_out, client_err; /* borrowed; -1 where there is none */
	int server_in, server_out, server_err; /* owned from the call on; made non-blocking, closed as each ends */
	int wake;        /* borrowed: readable when pump_run has to return PUMP_WOKEN (a signal pipe); -1: none */
	int server_exit; /* borrowed: readable when the server has ended (pidfd, or a pipe it held); -1: none */
};

enum pump_end {
	PUMP_SERVER_ENDED, /* server_exit is readable and what it had written is delivered (or nobody reads it) */
	PUMP_CLIENT_GONE,  /* the client's stdout is closed: nobody is left to answer */
	PUMP_SERVER_STUCK, /* stdin was passed on as closed, and the server neither ended nor wrote for drain_quiet_ms
	                    */
	PUMP_WOKEN,        /* wake became readable */
};

struct pump_counts {
	uint64_t to_server, to_client, to_stderr; /* bytes */
	bool client_closed;                       /* the client ended its stdin */
};

/*
 * Runs until one of enum pump_end. May be called again after PUMP_WOKEN with the same pump, to go on.
 * After the server has ended, what its pipes hold is delivered, but a helper of it that keeps stdout open is not
 * waited for: only what is there to be read at once.
 * Errors: ERROR_IO when the loop itself cannot go on (poll, memory ceilings).
 */
struct pump;
bool pump_new(const struct pump_ends *ends, unsigned drain_quiet_ms, struct pump **ret_pump,
              struct npxc_error *err) NPXC_MUST_CHECK;
bool pump_run(struct pump *pump, enum pump_end *ret_end, struct npxc_error *err) NPXC_MUST_CHECK;
/* Closes the server's stdin now (a signal came: the ladder begins with end of input). */
void pump_close_server_input(struct pump *pump);
struct pump_counts pump_counts(const struct pump *pump);
void pump_free(struct pump *pump);

#endif
