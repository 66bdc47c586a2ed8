#ifndef NPXC_MCP_REWRITE_H
#define NPXC_MCP_REWRITE_H

#include "base/buf.h"
#include "base/error.h"
#include "mcp/json.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * Replaces paths in messages, and nothing else: every byte outside of what is replaced stays as it is. Pure.
 */

/* ---- client to server: values that identify_message found ---- */

struct rewrite_edit {
	struct json_span string; /* with its quotes, as identify_value has it */
	const char *text;        /* borrowed; what the string shall mean */
	size_t length;
};

/*
 * Appends `part` of the text (a whole line, or one message of a batch) with the edits made. Edits are in the order of
 * the text, lie within the part and do not overlap. An edit without text (NULL) leaves its string as it is.
 * A batch of which a message is not forwarded is put together anew: `[`, the parts with commas between, `]`.
 * ERROR_IO: the buffer's ceiling; nothing was appended then.
 */
bool rewrite_apply(const char *text, struct json_span part, const struct rewrite_edit *edits, size_t count,
                   struct buf *to, struct npxc_error *err) NPXC_MUST_CHECK;

/* "file://" and the path, percent-encoded but for unreserved characters and slashes. Owned. */
char *rewrite_file_uri(const char *absolute);

/* ---- server to client: container paths become host paths ---- */

/* What is published stands at /workspace/<id>/<name>. An id is made of [A-Za-z0-9_-], at most REWRITE_ID_MAX bytes. */
#define REWRITE_ROOT "/workspace/"
enum { REWRITE_ID_MAX = 64 };

/*
 * For an id: the directory of the host that /workspace/<id> stands for (so that <name>, which is the file's own name,
 * needs no look), absolute, without a slash at its end but for "/" itself; borrowed, valid during the call. NULL: no
 * such publication. A hash look-up, so that the cost does not depend on how many there are.
 */
typedef const char *rewrite_finder(void *context, const char *id, size_t length);

/*
 * Whether a line can hold such a path at all, however escaped ("\/", "\u002f"): a fast look, which says yes too often.
 * False: the line is forwarded as it is, and rewrite_line would say REWRITE_SAME.
 */
bool rewrite_may_change(const char *line, size_t length);

enum rewrite_outcome {
	REWRITE_SAME,    /* nothing to replace: the line's own bytes are to be forwarded */
	REWRITE_CHANGED, /* the new line was appended */
};

/*
 * One whole line, with or without its line end, batches too. Every occurrence of /workspace/<id> whose id is known, at
 * the beginning of a path and followed by its end or a slash, becomes the host directory, in every string value,
 * within prose as well; `file:///workspace/<id>` (also with localhost, or one slash) becomes the directory
 * percent-encoded. What follows stays as the server wrote it.
 *
 * The beginning of a path: the beginning of the string, or behind a character that is none of letters, digits and
 * "_-.~/%+" ("x=/workspace/..." begins one, "/tmp/workspace/..." does not), behind the end of a terminal's colour, or
 * behind "\n" written as two characters (text within text). Behind a character that is not ASCII it begins one if no
 * slash stands before it in the same word (prose without blanks, not a directory's name). A known id is followed by its
 * end even where a sentence ends
 * ("/workspace/<id>."), but not by "~", "%", "+" or an extension.
 *
 * Never replaced: object keys; `id`, `jsonrpc`, `method` of the message; strings named progressToken, cursor,
 * nextCursor, requestState, taskId, mimeType, blob, traceparent, tracestate, baggage, and `data` of content (images,
 * audio). Where a server's own data begins (structuredContent, arguments, input of a tool, `data` of a log
 * notification or of an error) no name is special any more.
 *
 * A line that is not strict JSON is REWRITE_SAME. ERROR_IO: the ceiling of `to`; nothing was appended then.
 */
bool rewrite_line(const char *line, size_t length, rewrite_finder *find, void *context, struct buf *to,
                  enum rewrite_outcome *ret_outcome, struct npxc_error *err) NPXC_MUST_CHECK;

#endif
