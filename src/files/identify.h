#ifndef NPXC_FILES_IDENTIFY_H
#define NPXC_FILES_IDENTIFY_H

#include "base/error.h"
#include "config/config.h"
#include "files/schema.h"
#include "files/words.h"
#include "json/json.h"
#include "json/message.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * Which strings of a client's message may name files of the host. It only decides what is copied: a guess that is wrong
 * costs a copy, and the message passes as it is. Pure: nothing is looked up on disk.
 *
 * Looked at, and nothing else:
 *   tools/call                              params.arguments at any depth
 *   prompts/get                             params.arguments
 *   completion/complete                     params.context.arguments (what is being typed names nothing yet)
 *   resources/read, subscribe, unsubscribe  params.uri
 *   subscriptions/listen                    params.notifications.resourceSubscriptions[]
 *   every request, tasks/update             params.inputResponses{*}, each like a response
 *   a response, by its shape                roots[].uri
 *                                           content of an elicitation's answer (with `action`)
 *                                           content of a sampling's answer (with `role`)
 * Never looked at: requestState, ids, tokens, cursors, _meta, blobs and data, object keys, and a tool's name.
 *
 * Found by these, the first that applies:
 *   config     path_arguments and output_arguments of the tool and of "*" (for what is no tool's: of "*" alone): a
 *              name is an argument, whatever is beneath it included; a text that begins with "/" is a JSON pointer
 *              into the arguments, whose step "*" is any member or element
 *   protocol   the field holds a URI by the specification
 *   schema     what the tool's inputSchema says
 *   heuristic  the value, or a part of it (files/words), may be written as a path that means the same everywhere
 * non_path_arguments, in the same notation, wins over all of them.
 */

enum identify_reason {
	IDENTIFY_BY_CONFIG,
	IDENTIFY_BY_SCHEMA,
	IDENTIFY_BY_HEURISTIC,
	IDENTIFY_BY_PROTOCOL, /* the field holds URIs by the specification */
};

struct identify_value {
	struct json_span string; /* in the message's text, with its quotes; json_decode gives what it means */
	enum identify_reason reason;
	bool is_output; /* output_arguments */
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

/* Whether the heuristic may take an absolute part for a path, as configured. */
bool identify_takes(const struct identify *identify, const struct words_part *part);
/* The absolute path behind a configured prefix ("vscode-file://"), borrowed; NULL: none. */
const char *identify_behind_prefix(const struct identify *identify, const char *text);

/*
 * One message of a line that message_open took; for a batch, one after the other. `ret_found` is filled anew (its
 * memory is kept). Requests and notifications go by their method, responses by their shape: whose answer it is does
 * not matter. ERROR_IO: LIMIT_MESSAGE_PATHS.
 */
bool identify_message(const struct identify *identify, const struct schema *schema, const char *text,
                      const struct message *message, struct identify_found *ret_found,
                      struct npxc_error *err) NPXC_MUST_CHECK;

#endif
