#ifndef NPXC_EGRESS_NETNS_H
#define NPXC_EGRESS_NETNS_H

#include "base/error.h"
#include "base/limits.h"
#include "config/rules.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Link netns: a network namespace in which every address is local, and sockets in it that the egress process holds. A
 * socket stays in the namespace that it was made in, so what the guest connects to arrives at a process that itself
 * lives in the host's namespace. No code inside takes part, and no route leads out.
 *
 *     the sandbox's first process (as the unprivileged user that it is)   egress process
 *       unshare user and network
 *       lo up, an address on it, "local 0.0.0.0/0" and "local ::/0"
 *       listening sockets for the rules' ports, and for DNS  ---------->  accepts
 *       exec bubblewrap, which keeps this network namespace
 *
 * bubblewrap runs in a user namespace below the one that owns the network, so nobody inside has a capability over it.
 * Linux only; elsewhere every function fails with ERROR_RUNTIME_UNAVAILABLE.
 */

struct netns_request {
	uint16_t ports[LIMIT_EGRESS_PORTS]; /* TCP; of rules for addresses UDP as well */
	bool udp[LIMIT_EGRESS_PORTS];
	bool loopback[LIMIT_EGRESS_PORTS]; /* a service of the host's loopback at its own address */
	size_t count;
	bool any;        /* some rule has no port: all TCP is led to one socket, by nft */
	const char *nft; /* borrowed; `any` only */
};

/*
 * Pure. What the rules need. `nft`: absolute path, NULL when there is none.
 * ERROR_CONFIG: a rule without a port where there is no nft (with the fix); more than LIMIT_EGRESS_PORTS ports.
 */
bool netns_request_of(const struct rules *rules, const char *nft, struct netns_request *ret_request,
                      struct npxc_error *err) NPXC_MUST_CHECK;

/*
 * Pure. For learning, what the rules need and what a server may try besides: every port where there is nft, else the
 * usual ones, as far as there is room (LIMIT_EGRESS_PORTS). A guest's own server cannot have such a port then.
 */
void netns_request_to_learn(struct netns_request *request);

enum netns_socket { NETNS_TCP, NETNS_TCP_ANY, NETNS_UDP, NETNS_DNS, NETNS_DNS_TCP, NETNS_ALL_SENT };

struct netns_message {
	enum netns_socket kind;
	bool v6;
	uint16_t port;
};

/*
 * In the sandbox's first process, single-threaded, before its exec: enters the new namespaces and sends the sockets
 * through `handoff` (one end of a socket pair), each with a struct netns_message. Keeps no descriptor of them.
 * ERROR_RUNTIME_UNAVAILABLE: namespaces refused, or without capabilities in them (Ubuntu's AppArmor), with the fix.
 * ERROR_RUNTIME: something else failed.
 * Should: go on without IPv6 where the kernel has none.
 * Mustn't: return true in the network namespace that it was called in; set SO_REUSEPORT, with which the guest could
 * take over a port of npxc's.
 */
bool netns_enter(const struct netns_request *request, int handoff, struct npxc_error *err) NPXC_MUST_CHECK;

/* In the egress process: the next one. False: EAGAIN, the other end has gone (errno 0), or an error. */
bool netns_receive(int handoff, struct netns_message *ret_message, int *ret_fd) NPXC_MUST_CHECK;

#endif
