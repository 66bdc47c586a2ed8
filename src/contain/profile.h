#ifndef NPXC_CONTAIN_PROFILE_H
#define NPXC_CONTAIN_PROFILE_H

/*
 * The seccomp profile of a podman or docker sandbox, as JSON in the format that both read (--security-opt
 * seccomp=FILE). Pure; owned.
 *
 * Like the engines' own default it allows by name and refuses the rest with EPERM (clone3: ENOSYS, so that libc falls
 * back to clone, whose flags can be seen). It is narrower: only the socket families AF_UNIX, AF_INET, AF_INET6 and
 * AF_NETLINK (podman 4.3's default lets AF_VSOCK through), no io_uring, no ptrace or other reaching into processes,
 * fcntl F_SETPIPE_SZ, nothing that needs a capability (the sandbox has none), and no 32-bit system calls.
 */
char *profile_seccomp(void);

#endif
