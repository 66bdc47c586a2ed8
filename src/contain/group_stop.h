#ifndef NPXC_CONTAIN_GROUP_STOP_H
#define NPXC_CONTAIN_GROUP_STOP_H

/* Who is asked to end before SIGKILL. */
enum group_stop {
	/*
	 * The first process itself: a container CLI passes the signal on. Its container is the one held last. After the
	 * grace that is removed, again and again while the CLI lives (it may be about to create it), and once more when
	 * the CLI has gone; only a CLI that lives LIMIT_CONTAINER_END_MS longer is killed.
	 */
	GROUP_STOP_LEADER,
	/*
	 * The same, but the container is killed, not removed, as long as the CLI lives: `kill -s KILL NAME` with the
	 * removal command's CLI. Podman (4.3.1) loses a running container, its conmon and its runc state for good when
	 * a removal meets that of the CLI's own --rm: 2 of 60 times, and never when the container was killed first.
	 */
	GROUP_STOP_LEADER_KILL,
	GROUP_STOP_INNER, /* bubblewrap: everything but the first process and its children. These die of SIGTERM at
	                   * once  (or never, as the namespace's pid 1) and would take the server along unasked. */
};

#endif
