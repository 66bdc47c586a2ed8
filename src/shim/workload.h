#ifndef NPXC_SHIM_WORKLOAD_H
#define NPXC_SHIM_WORKLOAD_H

#include "base/error.h"
#include "shim/cassette.h"
#include "shim/invocation.h"
#include "shim/template.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * A real local program as the container's command, without any isolation: the guest paths of its arguments, variables
 * and working directory are translated to host paths through the mounts of the command line.
 *
 * Three processes, as with the real service. The client is the call itself: it relays stdin, stdout and stderr and
 * forwards signals. The supervisor stands for the service: a session of its own, it outlives the client, waits for the
 * command, removes the container from the world and only then tells the client the status. The command runs in a
 * session of its own. So a client that is killed leaves a running container, whose stdin ends; `rm --force` of another
 * call ends it, and the command's descendants with it.
 *
 * Order: the container is in the world before the supervisor starts; the supervisor takes the lock of the box, then
 * enters itself into the world, then starts the command. A container that was removed in between is never started.
 *
 * As inside a container, the command is process 1 of its world: a signal that it does not handle does nothing, unless
 * the command line says --init.
 */
struct workload {
	const struct cassette *cassette;
	const struct cassette_answer *answer;
	const struct invocation *invocation;
	const struct bindings *bindings; /* for the answer's own argv */
	const char *state;               /* directory */
	const char *search_path;         /* where programs are looked up that the guest's PATH does not find */
	int64_t call;
	int scribe;        /* descriptor that the supervisor must not keep; -1: none */
	int64_t cut_after; /* the client stops after so many bytes of stdout, and the container with it; -1: never */
};

/* The program that would run, on the host; owned. *ret_program is NULL and *ret_wanted (owned) its name when there is
 * none. Asked before the container is made. */
bool workload_find(const struct workload *workload, char **ret_program, char **ret_wanted,
                   struct npxc_error *err) NPXC_MUST_CHECK;

/* Runs it to the end of the client. */
bool workload_run(const struct workload *workload, const char *program, int *ret_exit_status, int64_t *ret_pid,
                  struct npxc_error *err) NPXC_MUST_CHECK;

/* Ends the command of the container that `call` made, first with SIGTERM when grace_ms > 0; returns once its supervisor
 * has gone. A container without a living supervisor is success. */
bool workload_end(const char *state, int64_t call, pid_t supervisor, int64_t grace_ms,
                  struct npxc_error *err) NPXC_MUST_CHECK;

#endif
