#ifndef NPXC_RELAY_CLIENT_H
#define NPXC_RELAY_CLIENT_H

#include "base/buf.h"
#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

struct cJSON;

/*
 * A small MCP client over a server's pipes, for `npxc try`: newline-delimited JSON-RPC, one request at a time. It is an
 * end, not a relay, so cJSON may read what arrives. What the server asks meanwhile is answered (ping, roots/list with
 * no roots, everything else with "method not found"); notifications and lines that are not JSON are passed over.
 */
struct client {
	int to_server, from_server, server_errors; /* borrowed; made non-blocking */
	int wake;                                  /* borrowed; readable: give up (a signal); -1: none */
	struct buf input;                          /* bytes of unfinished lines; LIMIT_TRY_MESSAGE_BYTES */
	struct buf errors;                         /* the last of the server's stderr */
	unsigned next_id;
	unsigned stray_lines; /* lines on stdout that were not JSON */
	uint64_t received;    /* bytes, in all */
	bool ended;           /* the server closed its stdout */
};

bool client_init(struct client *ret_client, int to_server, int from_server, int server_errors, int wake,
                 struct npxc_error *err) NPXC_MUST_CHECK;

/*
 * Sends a request and waits for its answer. `params` is consumed (NULL: none). `ret_result` is owned (cJSON_Delete).
 * ERROR_RUNTIME: no answer within `timeout_ms`, the server closed its stdout, or it answered with an error (its own
 * words); ERROR_JSON: an answer without result.
 */

/* The handshake with the newest revision that has one; `ret_result` is the server's answer to initialize. */
bool client_handshake(struct client *client, unsigned timeout_ms, struct cJSON **ret_result,
                      struct npxc_error *err) NPXC_MUST_CHECK;

/* All pages of a list method ("tools/list", "tools"): one array, owned. */
bool client_list(struct client *client, const char *method, const char *key, unsigned timeout_ms,
                 struct cJSON **ret_items, struct npxc_error *err) NPXC_MUST_CHECK;

/* Reads what the server says until it closes its stdout, or the time is over (false). */
bool client_drain(struct client *client, unsigned timeout_ms);
void client_done(struct client *client);

#endif
