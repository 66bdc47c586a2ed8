#ifndef NPXC_MCP_TRANSLATE_H
#define NPXC_MCP_TRANSLATE_H

#include "base/buf.h"
#include "base/error.h"
#include "config/config.h"
#include "mcp/lines.h"
#include "mcp/pump.h"
#include "mcp/scope.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * The decisions of a session's relay: what of a client's message names files, whether they are in scope, where the
 * server sees them, and the way back. What lies beneath a mount needs no translation and is left alone.
 */

struct translate_mount { /* borrowed; absolute, cleaned */
	const char *source, *target;
};

struct translate_settings { /* borrowed during translate_start, but for what is said below */
	const struct config *config;
	const struct config_package *package; /* its configuration */
	const char *label;                    /* stands before what the server prints beside messages: its name */
	struct scope_place place;             /* kept */
	bool in_scope;                        /* false: the working directory is too wide to take files from */
	const struct translate_mount *mounts; /* kept */
	size_t mount_count;
	const char *workspace;       /* the session's directories on the host, mounted at PUBLISH_INSIDE ... */
	const char *outputs;         /* ... and, writable, at PUBLISH_OUTPUTS; NULL: a server makes no files */
	bool (*stop)(void *context); /* see base/copy.h; may be NULL */
	void *context;
};

struct translate;
bool translate_start(const struct translate_settings *settings, struct translate **ret_translate,
                     struct npxc_error *err) NPXC_MUST_CHECK;
void translate_free(struct translate *translate); /* NULL is allowed */

/* Tells the pump what to do with lines; before its first run. The pump is used until its last. */
void translate_attach(struct translate *translate, struct pump *pump);

/*
 * One whole line of the client, with its newline or without. What takes its place is appended to `out`, answers to what
 * is not forwarded to `reply`.
 * Should: answer every request that it drops, and only requests; leave alone what it cannot read.
 * Mustn't: forward a request in which a file was named that the server does not get.
 */
enum lines_verdict translate_client_line(struct translate *translate, const char *line, size_t length, struct buf *out,
                                         struct buf *reply);
/* One whole line of the server: learned from, outputs put in place, container paths made host paths. */
enum lines_verdict translate_server_line(struct translate *translate, const char *line, size_t length, struct buf *out);
/* Whether a server's line has to be kept whole now. */
bool translate_wants_server_lines(const struct translate *translate);

#endif
