#ifndef NPXC_RUNTIME_NETWORK_H
#define NPXC_RUNTIME_NETWORK_H

#include "base/error.h"
#include "config/policy.h"
#include "runtime/runtime.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The managed network: a host-only network that npxc makes for one session and must delete. For apple, podman and
 * docker; bubblewrap has none.
 *
 * Order of a session: the name is drawn, announced (the janitor writes it down), created, inspected; the server runs;
 * the container goes; the network is deleted. An announced name may exist whatever `create` said.
 */

/* "npxc-" and the 32 lower-case hex digits of a random (version 4) UUID. */
enum { NETWORK_NAME_BYTES = 5 + 32 };

/* What `npxc inspect` prints where a run has the random name. */
#define NETWORK_PLACEHOLDER "<network>"

enum network_mode { NETWORK_MODE_UNKNOWN, NETWORK_MODE_HOST_ONLY, NETWORK_MODE_OTHER };

struct network {
	char *name;    /* owned; the name asked for */
	char *subnet;  /* owned; IPv4, "192.168.128.0/24" */
	char *gateway; /* owned; IPv4, the host's address in it */
	enum network_mode mode;
};

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
 * What `auto` comes to (an explicit link stays): netns on bubblewrap, but socket where user namespaces get no
 * capabilities (`restricted`: Ubuntu's AppArmor); socket on podman and docker, and on Apple container from 1.1.0 where
 * `npxc doctor --probe` has seen it work (`socket_seen`); else gateway. `ret_why`: static, for inspect; NULL when it
 * was chosen by the user.
 */
void network_choose_link(const struct runtime *runtime, bool restricted, bool socket_seen, struct policy *policy,
                         const char **ret_why);
/*
 * Whether this runtime can keep the policy, whose link is not auto any more. ERROR_CONFIG: a link that it does not have
 * (netns but on bubblewrap, gateway on bubblewrap and on rootless podman, whose gateway is not this host; socket on
 * Apple container before 1.1.0).
 */
bool network_check_policy(const struct runtime *runtime, const struct policy *policy,
                          struct npxc_error *err) NPXC_MUST_CHECK;

/*
 * Reads the output of `network inspect`: of apple (status keys ipv4Subnet and ipv4Gateway, to 0.7.1 address and
 * gateway; compact or pretty, any order), podman (subnets[]) and docker (IPAM.Config[]). Subnet and gateway of the
 * first element, the first IPv4 ones in it. On apple a host-only network without a gateway has it at its first host
 * address; on the others no gateway means that this host is not in the network (podman gives the guest that address).
 * ERROR_JSON: not JSON, a missing key, an ill-typed or impossible value. ERROR_RUNTIME: an empty array.
 * `ret_network->name` is NULL.
 */
bool network_parse(enum runtime_kind kind, const char *text, size_t length, struct network *ret_network,
                   struct npxc_error *err) NPXC_MUST_CHECK;

/*
 * The subnet that podman is asked for, and this host's address in it. An internal network without podman's resolver
 * gets no gateway of podman's own accord (4.3.1: the bridge has no address then, and the guest takes the first one), so
 * one is named, and podman takes a gateway only together with a subnet. `attempt` below NETWORK_SUBNET_ATTEMPTS chooses
 * among podman's own default pools, in its order (containers.conf(5), default_subnet_pools), `draw` a place in it.
 */
enum { NETWORK_SUBNET_ATTEMPTS = 5, NETWORK_SUBNET_PREFIX = 28, NETWORK_ADDRESS_BYTES = sizeof("255.255.255.255/32") };
void network_choose_subnet(unsigned attempt, uint32_t draw, char ret_subnet[static NETWORK_ADDRESS_BYTES],
                           char ret_gateway[static NETWORK_ADDRESS_BYTES]);

/* ---- touching the runtime; every call of its CLI has a deadline and a ceiling for its output ---- */

char *network_new_name(void); /* owned */

/*
 * A policy to what `--network` says; none, open and named make nothing. An allowlist makes a network:
 * `announce(context, name)` is called before it is created and ends everything when it fails.
 * ERROR_RUNTIME_UNAVAILABLE: the CLI cannot be started, or its service is down. ERROR_RUNTIME: create or inspect
 * failed (the command and its trimmed stderr), or the network is not host-only. ERROR_JSON: see network_parse.
 * Should: delete a network that was created and is not usable before returning.
 * Mustn't: inspect after a failed create; go on with a network that leads out.
 */
bool network_provision(const struct runtime *runtime, const struct policy *policy,
                       bool (*announce)(void *context, const char *name, struct npxc_error *err), void *context,
                       struct network_choice *ret_choice, struct npxc_error *err) NPXC_MUST_CHECK;

/* Podman is asked again, with another subnet, when it says that the one it was asked for is in use. */
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
