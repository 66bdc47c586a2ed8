#ifndef NPXC_RUNTIME_PROBE_H
#define NPXC_RUNTIME_PROBE_H

#include "base/error.h"
#include "base/str.h"
#include "config/policy.h"
#include "runtime/runtime.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * What a guest on a link reaches, seen from inside: `npxc doctor --probe`. The guest is two runs of Node with one small
 * program, the first as servers run (with the link's preload), the second without it. It tries
 *
 *     what the one rule allows: a port of this machine's loopback, by its name inside
 *     a name and an address of no rule; an address around npxc; its own loopback, where nobody listens
 *     link gateway: at the gateway a port of this machine that listens on all addresses
 */

/* ---- this machine's side: a process that greets whoever connects with a random word ---- */

struct probe_greeter {
	pid_t pid;               /* 0: none */
	int life;                /* owned; its closing, or the launcher's death, ends the process */
	uint16_t loopback, open; /* ports; `open` on all addresses, 0: not wanted */
	char word[33];
};
/* ERROR_IO. Ends by itself after LIMIT_PROBE_MS for each link. */
bool probe_greeter_start(bool with_open, struct probe_greeter *ret_greeter, struct npxc_error *err) NPXC_MUST_CHECK;
void probe_greeter_end(struct probe_greeter *greeter);

/* ---- the guest's side; pure ---- */

struct probe_place {
	enum policy_link link;
	uint16_t loopback, open;
	const char *gateway; /* borrowed; link gateway: this machine's address there */
};
void probe_command(const struct probe_place *place, struct strv *ret_command);

/*
 * What the guest said, as findings, one for each thing tried; `word` is the greeter's.
 * Mustn't: take for refused what was not tried, or failed in a way that is not that of this link.
 */
void probe_judge(const struct probe_place *place, const char *word, const char *output,
                 struct runtime_findings *findings);

#endif
