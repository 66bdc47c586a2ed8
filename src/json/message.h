#ifndef NPXC_JSON_MESSAGE_H
#define NPXC_JSON_MESSAGE_H

#include "base/buf.h"
#include "base/error.h"
#include "json/json.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * JSON-RPC messages as far as the relay has to know them: what kind they are, their id in its own bytes, and whether
 * they can name files. Pure.
 */

/* The methods of a client that can name files (and the one notification that ends a call); everything else is OTHER. */
enum message_method {
	MESSAGE_METHOD_NONE, /* no method: a response, or no message at all */
	MESSAGE_METHOD_OTHER,
	MESSAGE_TOOLS_CALL,
	MESSAGE_RESOURCES_READ,
	MESSAGE_RESOURCES_SUBSCRIBE,
	MESSAGE_RESOURCES_UNSUBSCRIBE,
	MESSAGE_SUBSCRIPTIONS_LISTEN,
	MESSAGE_PROMPTS_GET,
	MESSAGE_COMPLETION_COMPLETE,
	MESSAGE_TASKS_UPDATE,
	MESSAGE_TOOLS_LIST, /* names no file, but its answer says which arguments do */
	MESSAGE_CANCELLED,  /* notifications/cancelled: names no file, but a call whose answer may not come */
};

/*
 * A first look at a line while its bytes arrive, so that a line that needs no look streams through. It finds the
 * method at the top level and skips the rest; it is permissive, because it only decides who decides.
 *
 *   MORE  not known yet: keep the bytes
 *   PASS  nothing of this line is looked at: it may stream through. It names another method or holds an error, or is
 *         neither an object nor an array
 *   HOLD  keep the line whole and read it (message_open): one of the methods above, a result, a batch
 *
 * A line that ends while MORE is not a message that npxc knows: PASS. A line that is given PASS and holds a second
 * "method" reaches the server as the client wrote it.
 */
enum message_verdict { MESSAGE_MORE, MESSAGE_PASS, MESSAGE_HOLD };

/* bytes: the longest key, method or id that is kept. */
enum { MESSAGE_TOKEN_BYTES = 256 };

struct message_look {
	enum message_verdict verdict;
	unsigned depth; /* containers that are open */
	int part;       /* enum part in message.c: where in the outermost object */
	int key;        /* enum key in message.c: whose value is being read */
	bool in_string, escaped;
	bool is_call;        /* HOLD, and because of a method: a request or notification, no response or batch */
	size_t token_length; /* MESSAGE_TOKEN_BYTES + 1: too long */
	char token[MESSAGE_TOKEN_BYTES];
	size_t id_length;
	char id[MESSAGE_TOKEN_BYTES];
};

void message_look_start(struct message_look *look);
/* The next bytes of the same line, without its newline. The verdict stays once it is PASS or HOLD. */
enum message_verdict message_look_at(struct message_look *look, const char *bytes, size_t count);
/*
 * For a line that turned out to be longer than LIMIT_MESSAGE_BYTES: goes on after the verdict, to find the id that an
 * error has to carry. NULL and 0: none was seen, or a longer one than MESSAGE_TOKEN_BYTES (then nobody can be
 * answered). Not checked: to be used only where message_is_id says so.
 */
const char *message_look_id(const struct message_look *look, size_t *ret_length);
/* Whether this is exactly a JSON string, number or null. */
bool message_is_id(const char *text, size_t length);

enum message_kind {
	MESSAGE_OTHER, /* an object that is none of the others */
	MESSAGE_REQUEST,
	MESSAGE_NOTIFICATION,
	MESSAGE_RESPONSE, /* a result or an error, and no method */
};

/* Of members that occur more than once these are the last, as JSON.parse takes them. */
struct message {
	enum message_kind kind;
	enum message_method method;
	struct json_span whole;
	struct json_span id; /* length 0: absent, as below */
	struct json_span params;
	struct json_span result;
};

/*
 * One line: a message, or a batch of them. message_open checks the whole of it (ERROR_JSON), message_next gives one
 * after the other. Elements of a batch that are no objects come as MESSAGE_OTHER.
 */
struct message_line {
	struct json_reader reader;
	bool is_batch;
	bool done;
};

bool message_open(const char *text, size_t length, struct message_line *ret_line,
                  struct npxc_error *err) NPXC_MUST_CHECK;
bool message_next(struct message_line *line, struct message *ret_message);

/*
 * Appends the error that answers a request which is not forwarded, as a line with its newline. `id` are the request's
 * own bytes (`1` and `"1"` are different ids).
 *
 * Codes: what the client can put right (ERROR_PATH_OUT_OF_SCOPE, ERROR_PATH_NOT_FOUND, ERROR_JSON) is -32602 with data
 * {path, cwd, reason, hint}, of which NULL ones are left out; every other kind is npxc's own failure, -32603 with data
 * {source: "npxc", reason}.
 * Should: be given for requests only.
 * Mustn't: answer a notification or a response; those have no id, or somebody else's.
 * ERROR_IO: the buffer's ceiling; nothing was appended then.
 */
struct message_refusal {
	const char *path; /* as the client wrote it */
	const char *cwd;  /* what it was resolved against */
	const char *hint; /* what to do about it */
};
bool message_append_error(struct buf *to, const char *id, size_t id_length, const struct npxc_error *reason,
                          const struct message_refusal *refusal, struct npxc_error *err) NPXC_MUST_CHECK;

/* The method that a string names. */
enum message_method message_method(const char *text, struct json_span string);

#endif
