#ifndef NPXC_SHIM_PLAY_H
#define NPXC_SHIM_PLAY_H

#include "base/buf.h"
#include "base/error.h"
#include "shim/cassette.h"
#include "shim/template.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * Answers that need no process but the call's own. SIGTERM and SIGINT end a call with 128 + signal, as the CLIs'
 * own handlers do, unless the answer is deaf.
 */

/* Prints what was prepared, in the answer's manner. Does not return when the answer hangs. ERROR_IO. */
bool play_output(const struct cassette_answer *answer, const struct buf *output, const char *errors,
                 struct npxc_error *err) NPXC_MUST_CHECK;

/*
 * A transcript: JSONL, one step per line, played against stdin and stdout as a server would.
 *
 *   {"in": "text"}          the next line of stdin is this text
 *   {"in": {"method": "x"}} the next line of stdin is an object that holds these members; its `id`, as JSON text, is
 *                           ${id} in what follows
 *   {"out": "text"}         a line to stdout, a template
 *   {"err": "text"}         a line to stderr, a template
 *   {"pause_ms": 5}
 *   {"eof": true}           stdin ends here
 *   {"exit": 3}             the end; without it the exit status is 0
 *
 * ERROR_CONFIG when the transcript is not like that, ERROR_RUNTIME when stdin said something else.
 */
bool play_transcript(const char *text, size_t length, struct bindings *bindings, int *ret_exit_status,
                     struct npxc_error *err) NPXC_MUST_CHECK;
/* Only whether it could be played. */
bool play_check_transcript(const char *text, size_t length, struct npxc_error *err) NPXC_MUST_CHECK;

void play_pause(int64_t ms);                    /* whole, whatever signal comes in between */
void play_hang(void) __attribute__((noreturn)); /* until a signal ends it */

#endif
