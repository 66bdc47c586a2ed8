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
 * Order: planned; the directory is named to the janitor, made, the listener opened, the process forked and named to the
 * janitor; then what could not be known before is filled in. The process is ready before the sandbox starts
 * (route_await), so that nothing inside finds a door that is not yet guarded.
 */

#define ROUTE_GUEST_SOCKET "/run/npxc/egress.sock"
#define ROUTE_GUEST_PRELOAD "/run/npxc/egress.cjs"

enum { ROUTE_DIRECTORY_DIGITS = 8, ROUTE_TOKEN_DIGITS = 32 };

/* What is found on this host, and drawn at random, before a route is planned. */
struct route_means {
	char *base; /* owned; where the directory will be made */
	char *nft;  /* owned; NULL: there is none */
	char directory[ROUTE_DIRECTORY_DIGITS + 1];
	char token[ROUTE_TOKEN_DIGITS + 1];
	uint16_t relay_port;
};
/* Only what a route on this link needs; the rest is empty. nft is looked for on npxc's own PATH, then where root has
 * it. */
void route_means_find(enum policy_link link, struct route_means *ret_means);
void route_means_done(struct route_means *means);

struct route_settings { /* what it points to is borrowed until route_open is done */
	const struct rules *rules;
	enum policy_link link;       /* not auto */
	const char *audit_directory; /* NULL: nothing is logged */
	const char *session, *package;
	bool learn; /* see egress_settings */
};

struct route {
	struct route_settings settings;
	struct netns_request request;
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

/* Pure. ERROR_CONFIG: rules that the link cannot keep. */
bool route_plan(const struct route_settings *settings, const struct route_means *means, struct route *ret_route,
                struct npxc_error *err) NPXC_MUST_CHECK;
/* The network, mounts and variables. Pure. The user's own NODE_OPTIONS, which are in `launch` already, stay behind
 * ours. On link gateway one variable names the gateway, which is known once the network has been made: route_fill. */
void route_add(const struct route *route, const struct network_choice *network, struct launch *launch);
/* `network`: read on link gateway only. ERROR_IO, ERROR_RUNTIME; route_done all the same. */
bool route_open(struct route *route, struct janitor *janitor, const struct network *network,
                struct npxc_error *err) NPXC_MUST_CHECK;
/* After route_open, in a launch that route_add has seen. */
void route_fill(const struct route *route, const struct network *network, struct launch *launch);
/* Until the process is ready. */
bool route_await(struct route *route, struct npxc_error *err) NPXC_MUST_CHECK;
/* Ends the process. What it said can still be read. */
void route_stop(struct route *route);
void route_done(struct route *route);

/* What no allowlist on this link stops, one sentence; static. For inspect, doctor. */
const char *route_weakness(enum policy_link link);

#endif
