#ifndef NPXC_BASE_LANDLOCK_H
#define NPXC_BASE_LANDLOCK_H

/* What a release of the kernel's Landlock can do is told by its ABI, never by the kernel's number; man 7 landlock. */
enum {
	LANDLOCK_ABI_REFER = 2,        /* Linux 5.19 */
	LANDLOCK_ABI_TRUNCATE = 3,     /* Linux 6.2 */
	LANDLOCK_ABI_NET = 4,          /* Linux 6.7: ports of TCP */
	LANDLOCK_ABI_SCOPED = 6,       /* Linux 6.12: abstract UNIX sockets and signals */
	LANDLOCK_ABI_RESOLVE_UNIX = 9, /* Linux 7.1: named UNIX sockets */
};

/* 0: the kernel has none, or it is switched off, or this is not Linux. */
int landlock_abi(void);

#endif
