#ifndef NPXC_EGRESS_CONFINE_H
#define NPXC_EGRESS_CONFINE_H

#include "base/error.h"

#include <stdbool.h>

/*
 * The egress process parses bytes of a hostile guest. Before it gets any, it gives up what it does not need.
 * Irrevocable.
 *
 * Linux: no new privileges; all capabilities dropped; Landlock (ABI 1 or later, where the kernel has it): no file but
 * those that a resolver reads (libraries, resolv.conf, hosts, certificates are not among them) and the audit log's
 * directory, no port of TCP to choose (ABI 4), no signals to and no abstract sockets of others (ABI 6); seccomp: the
 * calls of this program, of getaddrinfo, res_query and of the C library's threads, sockets of TCP and UDP over IPv4 and
 * IPv6, and of netlink (addresses) only. macOS: nothing of the kind is used yet.
 *
 * Should: fail when the seccomp filter cannot be had; say whether Landlock was.
 * Mustn't: leave exec, ptrace, new namespaces, mounts or UNIX sockets; let it listen where it could choose the port,
 * and so stand in for a service of this machine.
 */
struct confined {
	bool landlock;
	bool may_listen; /* again, with sockets that it was given (egress/alias) */
};
bool confine_self(int audit_directory, struct confined *ret_confined, struct npxc_error *err) NPXC_MUST_CHECK;

#endif
