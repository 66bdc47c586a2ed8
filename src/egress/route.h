#ifndef NPXC_EGRESS_ROUTE_H
#define NPXC_EGRESS_ROUTE_H

#include "base/error.h"
#include "base/ip.h"
#include "base/str.h"
#include "config/policy.h"
#include "egress/egress.h"
#include "egress/netns.h"
#include "network/network.h"
#include "runtime/runtime.h"
#include "teardown/janitor.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * The one way out of a sandbox with an allowlist: the egress process, and what the sandbox needs to get to it.
 *
 *   link netns     sockets in the sandbox's own network namespace; nothing to mount
 *   link socket    a UNIX socket and the preload for Node, mounted
 *   link gateway   a TCP listener at the managed network's gateway, a token in the environment, the preload mounted
 *
 * Order: the directory is named to the janitor, made, the listener opened, the process forked and named to the janitor,
 * and only then is the sandbox planned. The process is ready before the sandbox starts (route_await), so that nothing
 * inside finds a door that is not yet guarded.
 */

#define ROUTE_GUEST_SOCKET "/run/npxc/egress.sock"
#define ROUTE_GUEST_PRELOAD "/run/npxc/egress.cjs"
/* What `npxc inspect` prints where a run has random digits. */
#define ROUTE_PLACEHOLDER "<dir>"

struct route_settings { /* borrowed for the route's life */
	const struct rules *rules;
	enum policy_link link;                /* not auto */
	const struct network_choice *network; /* link gateway */
	const char *audit_directory;          /* NULL: nothing is logged */
	const char *session, *package;
	const char *path_variable; /* where nft is looked for */
	bool starts;               /* false: for inspect; nothing is made */
	bool learn;                /* see egress_settings */
};

struct route {
	const struct route_settings *settings;
	struct netns_wish wish;
	char *nft;       /* owned */
	char *directory; /* owned; NULL on link netns */
	int listener;    /* owned; -1: none, or the process's by now */
	struct ip_prefix subnet;
	char *token, *credentials; /* owned; link gateway: the token, and what CONNECT has to bring */
	uint16_t port;
	uint16_t relay_port; /* inside, for programs that are not Node: theirs is an HTTP proxy on the guest's own
	                        loopback */
	struct egress egress;
	struct janitor *janitor; /* borrowed; of whom the process is held; NULL: it is not */
	unsigned egress_hold;
};

/* ERROR_CONFIG: rules that the link cannot keep. ERROR_IO, ERROR_RUNTIME. */
bool route_open(struct janitor *janitor, const struct route_settings *settings, struct route *ret_route,
                struct npxc_error *err) NPXC_MUST_CHECK;
/* The network, mounts and variables. Pure. The user's own NODE_OPTIONS, which are in `launch` already, stay behind
 * ours. */
void route_add(const struct route *route, struct launch *launch);
/* Until the process is ready. */
bool route_await(struct route *route, struct npxc_error *err) NPXC_MUST_CHECK;
/* Ends the process. What it said can still be read. */
void route_stop(struct route *route);
void route_done(struct route *route);

/* What no allowlist on this link stops, one sentence; static. For inspect, doctor. */
const char *route_weakness(enum policy_link link);

#endif
