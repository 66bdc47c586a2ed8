#ifndef NPXC_CONTAIN_SECCOMP_H
#define NPXC_CONTAIN_SECCOMP_H

#include "base/buf.h"
#include "base/error.h"

/*
 * The filter of a bwrap sandbox as a BPF program (what `bwrap --seccomp FD` reads), made with libseccomp. The program
 * is the same for every session of a machine: made once, it may be cached by the caller.
 *
 * Default: allow. Refused: sockets and socket pairs of families other than AF_UNIX, AF_INET, AF_INET6, AF_NETLINK
 * (EAFNOSUPPORT); io_uring_* (ENOSYS, so that libuv falls back); keyctl, add_key, request_key, bpf, perf_event_open,
 * userfaultfd, fanotify_init, ptrace, process_vm_*, kcmp, pidfd_getfd, kernel modules, kexec, reboot, swap, the kernel
 * log (syslog), mount family (old and new API), pivot_root, chroot, setns, open_by_handle_at, quotactl, acct, clock
 * setting, new user namespaces by unshare and clone (EPERM) and clone3 (ENOSYS, so that libc falls back to clone whose
 * flags can be seen); ioctl TIOCSTI and TIOCLINUX; fcntl F_SETPIPE_SZ, with which a guest would take the pipe pages of
 * its user (EPERM, the kernel's own answer above a ceiling: programs go on with the ordinary size). Every number above
 * the newest call that this filter was written with (Linux 6.18), and numbers of the native table that no call has
 * (x86-64, arm64): ENOSYS, as on a kernel without them, so that libraries fall back. System calls of another ABI (32
 * bit, x32): the process is killed.
 */
bool seccomp_program(struct buf *ret_program, struct npxc_error *err) NPXC_MUST_CHECK;

#endif
