#ifndef NPXC_NETWORK_NETWORK_H
#define NPXC_NETWORK_NETWORK_H

#include "base/error.h"
#include "config/policy.h"
#include "runtime/inspect.h"
#include "runtime/runtime.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The managed network: a host-only network that npxc makes for one session and must delete, on a runtime that has
 * containers.
 *
 * Order of a session: the name is drawn, announced (the janitor writes it down), created, inspected; the server runs;
 * the container goes; the network is deleted. An announced name may exist whatever `create` said.
 */

/* "npxc-" and the 32 lower-case hex digits of a random (version 4) UUID. */
enum { NETWORK_NAME_BYTES = 5 + 32 };

/* What a policy comes to. */
struct network_choice {
	char *argument;         /* owned; the word after --network. NULL: the runtime's ordinary NAT network */
	bool managed;           /* an allowlist on link gateway */
	struct network network; /* when managed */
};

/*
 * Deleting, as a table: `attempts` deletes; after attempt i has failed its pause, counted from the end of that call,
 * in which `network inspect` looks whether the network is gone all the same.
 */
enum { NETWORK_DELETE_ATTEMPTS = 5 };
struct network_schedule {
	unsigned pause_ms[NETWORK_DELETE_ATTEMPTS - 1];
	unsigned delete_ms;           /* one delete; cut off after that, which counts as a failed attempt */
	unsigned last_look_ms;        /* the look after the last attempt, which no pause bounds */
	unsigned background_pause_ms; /* before each attempt of delete_blocking, after those above */
	unsigned background_ms;       /* delete_blocking gives up after this */
};
extern const struct network_schedule network_schedule;

/* ---- pure ---- */

bool network_is_managed_name(const char *name);

/*
 * What `auto` comes to, by the runtime's driver; an explicit link stays. `restricted`: user namespaces get no
 * capabilities here (Ubuntu's AppArmor); `socket_seen`: `npxc doctor --probe` has seen link socket work on this
 * runtime. `ret_why`: static, for inspect; NULL when it was chosen by the user.
 */
void network_choose_link(const struct runtime *runtime, bool restricted, bool socket_seen, struct policy *policy,
                         const char **ret_why);
/*
 * Whether this runtime can keep the policy, whose link is not auto any more. ERROR_CONFIG: a link that it does not
 * have, by its driver.
 */
bool network_check_policy(const struct runtime *runtime, const struct policy *policy,
                          struct npxc_error *err) NPXC_MUST_CHECK;

/* A policy to what `--network` says. `name`: of the network that an allowlist on link gateway makes. Errors as above.
 */
bool network_choose(const struct runtime *runtime, const struct policy *policy, const char *name,
                    struct network_choice *ret_choice, struct npxc_error *err) NPXC_MUST_CHECK;

/*
 * Reads the output of `network inspect`, compact or pretty, its keys in any order: subnet and gateway of the first
 * element, the first IPv4 ones in it, where the runtime's driver finds them.
 * ERROR_JSON: not JSON, a missing key, an ill-typed or impossible value. ERROR_RUNTIME: an empty array.
 * `ret_network->name` is NULL.
 */
bool network_parse(enum runtime_kind kind, const char *text, size_t length, struct network *ret_network,
                   struct npxc_error *err) NPXC_MUST_CHECK;

/* ---- touching the runtime; every call of its CLI has a deadline and a ceiling for its output ---- */

char *network_new_name(void); /* owned */

/*
 * Makes what network_choose has chosen and fills in its subnet and gateway; nothing unless it is managed.
 * `announce(context, name)` is called before it is created and ends everything when it fails.
 * ERROR_RUNTIME_UNAVAILABLE: the CLI cannot be started, or its service is down. ERROR_RUNTIME: create or inspect
 * failed (the command and its trimmed stderr), or the network is not host-only. ERROR_JSON: see network_parse.
 * Should: delete a network that was created and is not usable before returning.
 * Mustn't: inspect after a failed create; go on with a network that leads out.
 */
bool network_provision(const struct runtime *runtime, struct network_choice *choice,
                       bool (*announce)(void *context, const char *name, struct npxc_error *err), void *context,
                       struct npxc_error *err) NPXC_MUST_CHECK;

bool network_create(const struct runtime *runtime, const char *name, struct npxc_error *err) NPXC_MUST_CHECK;
bool network_inspect(const struct runtime *runtime, const char *name, struct network *ret_network,
                     struct npxc_error *err) NPXC_MUST_CHECK;

/* What inspect says about existence; a runtime's "unknown network" is GONE, anything unclear is UNKNOWN. */
enum network_state { NETWORK_STATE_UNKNOWN, NETWORK_STATE_THERE, NETWORK_STATE_GONE };
enum network_state network_look(const struct runtime *runtime, const char *name, unsigned timeout_ms);

/*
 * Deleting, once the container is gone. Success: it is gone. All of them refuse a name that npxc did not make
 * (ERROR_RUNTIME). The error names the network and quotes the runtime.
 * network_delete: one call of the CLI. network_delete_once: that, and when it fails a look whether it is gone.
 * network_delete_with_retry: the schedule's attempts. network_delete_again: one more, after a look whether it is gone.
 */
bool network_delete(const struct runtime *runtime, const char *name, struct npxc_error *err) NPXC_MUST_CHECK;
bool network_delete_once(const struct runtime *runtime, const char *name, struct npxc_error *err) NPXC_MUST_CHECK;
bool network_delete_with_retry(const struct runtime *runtime, const char *name, struct npxc_error *err) NPXC_MUST_CHECK;
bool network_delete_again(const struct runtime *runtime, const char *name, struct npxc_error *err) NPXC_MUST_CHECK;

/*
 * What the attempts above could not delete, and what keeps it: one more attempt after every background pause, until
 * none is needed (true) or `background_ms` are over.
 */
struct network_background {
	bool (*attempt)(void *context);            /* true: nothing is left to be tried */
	bool (*pause)(void *context, unsigned ms); /* false: one more attempt, and no more */
	void *context;
};
bool network_delete_blocking(const struct network_background *background);

void network_done(struct network *network);
void network_choice_done(struct network_choice *choice);

#endif
