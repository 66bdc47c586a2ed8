#ifndef NPXC_TEARDOWN_JANITOR_PROCESS_H
#define NPXC_TEARDOWN_JANITOR_PROCESS_H

#include <stdbool.h>
#include <sys/types.h>

/* The janitor's own process, from its fork to its end. */
struct janitor_start {
	int channel;      /* to the launcher: see janitor_protocol */
	const char *path; /* of the lease; NULL: none is written */
	const char *id;   /* of the session; NULL: none, or on the lease */
	bool takes_over;  /* from a janitor that died, by the lease */
	pid_t launcher, launcher_group;
};

/* In the child, with all signals blocked. Teardown follows END and the end of file alike. */
__attribute__((noreturn)) void janitor_process_run(const struct janitor_start *start);

#endif
