#ifndef NPXC_CONTAIN_NETCOUNT_H
#define NPXC_CONTAIN_NETCOUNT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * What was tried in a network namespace that has loopback only, by the kernel's own counters (/proc/PID/net/snmp and
 * snmp6, proc(5); names and order of the counters stand in the first line of each pair). They cost nobody anything: no
 * process, no library in the guest. Seen on Linux 6.18 with Node 20: connect() to a public address adds one to
 * OutNoRoutes; a look-up sends its datagrams to the resolver at 127.0.0.1, where nobody listens: Udp NoPorts; a
 * connection to a closed port of loopback adds to Tcp AttemptFails.
 */
struct netcount {
	int snmp, snmp6; /* owned; -1: none. Open files of a namespace: its counters are there after its processes */
};
#define NETCOUNT_NONE ((struct netcount){ -1, -1 })

struct netcount_tried {
	uint64_t unreachable; /* connections and datagrams without a route */
	uint64_t lookups;     /* datagrams that found no resolver */
	uint64_t refused;     /* connections to ports of loopback where nobody listens */
};

/* The namespace that this process is in; false when that cannot be seen. */
bool netcount_open(pid_t pid, struct netcount *ret_netcount);
void netcount_close(struct netcount *netcount);
/* False: nothing is known. */
bool netcount_read(const struct netcount *netcount, struct netcount_tried *ret_tried);
/* Pure: the texts of both files; what is missing counts as 0. */
void netcount_parse(const char *snmp, const char *snmp6, struct netcount_tried *ret_tried);

#endif
