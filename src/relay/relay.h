#ifndef NPXC_RELAY_RELAY_H
#define NPXC_RELAY_RELAY_H

#include "base/error.h"
#include "base/str.h"
#include "config/config.h"
#include "files/scope.h"
#include "relay/lines.h"
#include "relay/notice.h"
#include "relay/pending.h"
#include "relay/pump.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * What a session's relay does beside relaying: it looks. No byte of any message is changed, in either direction. A line
 * of the client that may name files of the working directory waits until they are to be seen by the server under their
 * own path (files/publish), and goes on as it came. Of the server's lines it keeps what they have named first
 * (files/mentioned) and what tools say about their arguments (files/schema); what is no message goes to stderr.
 */

struct relay_settings { /* borrowed; what it points to is kept by the caller for the relay's life */
	const struct config *config;
	const struct config_package *package; /* its configuration */
	const char *label;                    /* stands before what the server prints beside messages: its name */
	struct notices *notices;              /* what is withheld is told there */
	struct scope_place place;
	const struct strv *mounted; /* what mounts show: absolute, clean paths in the guest */
	const char *cwd;            /* the working directory, without links */
	const char *own;            /* the package's own place in the guest, always read-only; NULL: not looked for */
	const char *files;          /* what is mounted there; NULL: nothing is, and nothing can be shown */
	const char *stage;          /* beside it */
	bool is_read_only;          /* a mount shows all of the working directory, and not for writing */
	bool in_scope;              /* false: the working directory is too wide to take files from */
	const struct strv *mount_points; /* beneath the working directory, relative to it */
	bool has_no_network;             /* and what it tries of that is seen by its words only */
	bool outputs;                    /* the server may write there */
	const struct strv
	    *arguments; /* paths beneath the working directory that the user named: visible from the start */
	bool (*stop)(void *context);   /* see base/copy.h; may be NULL */
	void (*speaks)(void *context); /* the first line of the server passes; may be NULL */
	void (*failed)(void *context); /* the server has answered with a failure; may be NULL */
	void *context;
};

struct relay;
/* Before the server starts: what arguments name is there when it does. ERROR_IO, ERROR_CONFIG. */
bool relay_start(const struct relay_settings *settings, struct relay **ret_relay,
                 struct npxc_error *err) NPXC_MUST_CHECK;
void relay_free(struct relay *relay); /* NULL is allowed */

/* Tells the pump what to do with lines; before its first run. relay_detach when the pump goes. */
void relay_attach(struct relay *relay, struct pump *pump);
void relay_detach(struct relay *relay);

/* Requests of the client that wait for an answer. `is_end`: it says no more. Nothing is known of what is spliced. */
const struct pending *relay_unanswered(struct relay *relay, bool is_end);

/* Whether somebody has to ask relay_is_over now and then: the server may write. */
bool relay_writes(const struct relay *relay);
/* The server has written more than it may; that has been said. */
bool relay_is_over(struct relay *relay);
/* The server has ended: what it made is put in place. */
void relay_finish(struct relay *relay);

/*
 * One whole line of the client, with its newline or without. Answers to what is not forwarded are appended to `reply`.
 * Should: answer every request that it drops, and only requests: with -32603 when a file that is named and there could
 *   not be made visible, with -32602 when it lies outside and paths.outside is "refuse".
 * Mustn't: drop anything else.
 */
enum lines_verdict relay_client_line(struct relay *relay, const char *line, size_t length, struct buf *reply);
/* One line of the server, whole or in pieces; before it goes on. */
void relay_server_bytes(struct relay *relay, const char *bytes, size_t count, bool first);
/* What these words of the server tell of something that failed, if they do; see relay/failure.h. */
void relay_tell_failure(const struct relay *relay, const char *words, size_t count, bool names_path);
void relay_server_line(struct relay *relay, const char *line, size_t length);
/* Whether a server's line has to be kept whole now. */
bool relay_wants_server_lines(const struct relay *relay);

#endif
