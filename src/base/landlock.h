#ifndef NPXC_BASE_LANDLOCK_H
#define NPXC_BASE_LANDLOCK_H

#include "base/error.h"

#include <stdint.h>

/*
 * Landlock (man 7 landlock), what its headers of Debian 12 have and what came later, by number: what the running
 * kernel knows is told by its ABI, never by its release. Linux only: elsewhere the ABI is 0, and the rest fails with
 * ERROR_RUNTIME_UNAVAILABLE.
 */
#ifdef __linux__
#include <linux/landlock.h>
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ULL << 14)
#endif
#endif

enum {
	LANDLOCK_ABI_REFER = 2,    /* Linux 5.19 */
	LANDLOCK_ABI_TRUNCATE = 3, /* Linux 6.2 */
	LANDLOCK_ABI_SCOPED = 6,   /* Linux 6.12 */
	/* Linux 7.1: LANDLOCK_ACCESS_FS_RESOLVE_UNIX, named UNIX sockets (guest/first.c) */
	LANDLOCK_ABI_RESOLVE_UNIX = 9,
};

/* LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET and LANDLOCK_SCOPE_SIGNAL: neither reaches a process outside of the domain. */
#define LANDLOCK_SCOPES ((uint64_t)3)

struct landlock_rules { /* struct landlock_ruleset_attr of ABI 6 */
	uint64_t handled_access_fs, handled_access_net, scoped;
};

/* 0: the kernel has none, or it is switched off. */
int landlock_abi(void);
/* A ruleset; owned. ERROR_RUNTIME. */
bool landlock_make(const struct landlock_rules *rules, int abi, int *ret_ruleset,
                   struct npxc_error *err) NPXC_MUST_CHECK;
/* For good, with what the process starts. Needs no_new_privs, or CAP_SYS_ADMIN in its user namespace. ERROR_RUNTIME. */
bool landlock_enter(int ruleset, struct npxc_error *err) NPXC_MUST_CHECK;

#endif
