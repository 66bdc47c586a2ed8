#ifndef NPXC_MCP_IDENTIFY_H
#define NPXC_MCP_IDENTIFY_H

#include "base/error.h"
#include "config/config.h"
#include "mcp/json.h"
#include "mcp/message.h"
#include "mcp/schema.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * Which strings of a client's message name files of the host. Pure: nothing is looked up on disk, so a value that is
 * identified may name nothing at all.
 *
 * Looked at, and nothing else:
 *   tools/call                   params.arguments at any depth
 *   prompts/get                  params.arguments
 *   completion/complete          params.argument.value, which may be cut off anywhere, params.context.arguments,
 *                                params.ref.uri                                                    (translate only)
 *   resources/read, subscribe    params.uri
 *   resources/unsubscribe        params.uri                                                        (translate only)
 *   subscriptions/listen         params.notifications.resourceSubscriptions[]
 *   every request, tasks/update  params.inputResponses{*}, each like a response
 *   a response, by its shape     roots[].uri and .name                                             (translate only)
 *                                content of an elicitation's answer (with `action`)
 *                                content of a sampling's answer (with `role`): text, tool input, tool results; what a
 *                                model wrote is translate only, because the server chose what it was asked
 * Never looked at: requestState, ids, tokens, cursors, _meta, blobs and data, object keys, and a tool's name.
 *
 * A URI of the protocol (resources/..., roots) counts when it is a file: URI or begins with a configured prefix. Other
 * values are found by the configured strategies, united:
 *   config     path_arguments and output_arguments of the tool and of "*" (for what is no tool's: of "*" alone): a
 *              name is an argument, whatever is beneath it included; a text that begins with "/" is a JSON pointer
 *              into the arguments, whose step "*" is any member or element
 *   schema     what the tool's inputSchema says
 *   heuristic  the value begins with "/", "~/" or a configured URI prefix, as configured. Not one that cannot be a
 *              path: "/" alone, more than 4095 bytes, more than one line, the beginning of a comment
 * non_path_arguments, in the same notation, wins over all of them.
 * No strategy takes an empty string, or a URI that is neither file: nor of a configured prefix ("https://...",
 * "data:..."), for a path.
 */

enum identify_kind {
	IDENTIFY_PATH, /* absolute, ~/... or (strategies config and schema only) relative to the working directory */
	IDENTIFY_URI,  /* begins with file: or a configured prefix; of the latter nothing is known but that */
};

enum identify_reason {
	IDENTIFY_BY_CONFIG,
	IDENTIFY_BY_SCHEMA,
	IDENTIFY_BY_HEURISTIC,
	IDENTIFY_BY_PROTOCOL, /* the field holds URIs by the specification */
};

struct identify_value {
	struct json_span string; /* in the message's text, with its quotes; json_decode gives what it means */
	enum identify_kind kind;
	enum identify_reason reason; /* the first strategy, in the configured order, that found it */
	bool may_be_output;          /* `outputs` or output_arguments: a missing file is one that the server writes */
	bool translate_only;         /* what is visible already becomes its path inside; nothing is published for it */
};

/* What one message holds. Zeroed = empty; meant to be used for one message after the other. */
struct identify_found {
	struct identify_value *values; /* owned; in the order of the text */
	size_t count, capacity;
};
void identify_found_done(struct identify_found *found);

/* The settings, compiled. Both are copied from; `package` may be NULL. Owned. */
struct identify;
struct identify *identify_new(const struct config *config, const struct config_package *package);
void identify_free(struct identify *identify); /* NULL is allowed */

/*
 * One message of a line that message_open took; for a batch, one after the other. `ret_found` is filled anew (its
 * memory is kept). Requests and notifications go by their method, responses by their shape: whose answer it is does
 * not matter.
 *
 * Should: find everything that is to be replaced, or refuse.
 * Mustn't: let a value be replaced that another parser might not see: where a key occurs twice in an object on the way
 * to an identified value (from the message down, `name` of the tool included), the message is refused.
 * Errors: ERROR_JSON (such a key, named; or the tool's name is not text), ERROR_IO (LIMIT_MESSAGE_PATHS). The caller
 * answers a request with it and forwards a response or notification as it is; nothing is found then.
 */
bool identify_message(const struct identify *identify, const struct schema *schema, const char *text,
                      const struct message *message, struct identify_found *ret_found,
                      struct npxc_error *err) NPXC_MUST_CHECK;

#endif
