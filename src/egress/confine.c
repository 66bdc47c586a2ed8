#include "egress/confine.h"

#ifdef __linux__

#include "base/fd.h"
#include "base/landlock.h"
#include "base/mem.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <netinet/in.h>
#include <seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ---- capabilities ---- */

static bool drop_capabilities(struct npxc_error *err)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	const struct __user_cap_data_struct none[2] = { { 0 } };

	if (syscall(SYS_capset, &header, none) == -1)
		return error_set_errno(err, ERROR_RUNTIME, "drop capabilities");
	return true;
}

/* ---- Landlock; man 7 landlock ---- */

/* Newer than the headers of Debian 12. */
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ULL << 14)
#endif
#ifndef LANDLOCK_ACCESS_NET_BIND_TCP
#define LANDLOCK_ACCESS_NET_BIND_TCP (1ULL << 0)
#endif

struct landlock_rules { /* struct landlock_ruleset_attr of ABI 6 */
	__u64 handled_access_fs, handled_access_net, scoped;
};

static const __u64 reading = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
static const __u64 writing =
    LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG;
static const __u64 first_abi = (1ULL << 13) - 1;

/* What getaddrinfo reads: libraries of the name service switch, its configuration, and where that may lead to. */
static const char *const readable[] = { "/etc",
	                                "/usr",
	                                "/lib",
	                                "/lib32",
	                                "/lib64",
	                                "/nix/store",
	                                "/run/resolvconf",
	                                "/run/systemd/resolve",
	                                "/run/NetworkManager" };
static const char *const readable_behind[] = { "/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf" };

static bool allow_fd(int ruleset, int fd, __u64 access)
{
	const struct landlock_path_beneath_attr rule = { .allowed_access = access, .parent_fd = fd };

	return syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) == 0;
}

/* What is not there cannot be read anyway. */
static void allow_path(int ruleset, const char *path, __u64 access)
{
	FD_CLEANUP int fd = open(path, O_PATH | O_CLOEXEC);

	if (fd != -1 && !allow_fd(ruleset, fd, access))
		return;
}

static bool use_landlock(int audit_directory, struct confined *ret_confined, struct npxc_error *err)
{
	const int abi = landlock_abi();
	struct landlock_rules rules = { .handled_access_fs = first_abi };
	const size_t size = abi >= LANDLOCK_ABI_SCOPED ? sizeof(rules)
	                    : abi >= LANDLOCK_ABI_NET  ? offsetof(struct landlock_rules, scoped)
	                                               : sizeof(rules.handled_access_fs);
	FD_CLEANUP int ruleset = -1;

	*ret_confined = (struct confined){ 0 };
	if (abi < 1)
		return true; /* the kernel has none, or it is switched off */
	if (abi >= LANDLOCK_ABI_REFER)
		rules.handled_access_fs |= LANDLOCK_ACCESS_FS_REFER;
	if (abi >= LANDLOCK_ABI_TRUNCATE)
		rules.handled_access_fs |= LANDLOCK_ACCESS_FS_TRUNCATE;
	if (abi >= LANDLOCK_ABI_NET)
		rules.handled_access_net = LANDLOCK_ACCESS_NET_BIND_TCP;
	if (abi >= LANDLOCK_ABI_SCOPED)
		rules.scoped = 3; /* abstract UNIX sockets, signals */
	ruleset = (int)syscall(SYS_landlock_create_ruleset, &rules, size, 0);
	if (ruleset == -1)
		return error_set_errno(err, ERROR_RUNTIME, "make a Landlock ruleset");
	for (size_t i = 0; i < sizeof(readable) / sizeof(readable[0]); i++)
		allow_path(ruleset, readable[i], reading);
	for (size_t i = 0; i < sizeof(readable_behind) / sizeof(readable_behind[0]); i++) {
		mem_cleanup char *real = realpath(readable_behind[i], NULL);
		if (real != NULL)
			allow_path(ruleset, real, LANDLOCK_ACCESS_FS_READ_FILE);
	}
	if (audit_directory != -1 &&
	    !allow_fd(ruleset, audit_directory,
	              reading | writing | (rules.handled_access_fs & LANDLOCK_ACCESS_FS_TRUNCATE)))
		return error_set_errno(err, ERROR_RUNTIME, "let the audit log through Landlock");
	if (syscall(SYS_landlock_restrict_self, ruleset, 0) == -1)
		return error_set_errno(err, ERROR_RUNTIME, "restrict the process by Landlock");
	*ret_confined = (struct confined){ .landlock = true, .may_listen = abi >= LANDLOCK_ABI_NET };
	return true;
}

/* ---- seccomp ---- */

static const int allowed[] = {
	/* flows */
	SCMP_SYS(accept4),
	SCMP_SYS(bind),
	SCMP_SYS(connect),
	SCMP_SYS(getpeername),
	SCMP_SYS(getsockname),
	SCMP_SYS(getsockopt),
	SCMP_SYS(recvfrom),
	SCMP_SYS(recvmsg),
	SCMP_SYS(recvmmsg),
	SCMP_SYS(sendmmsg),
	SCMP_SYS(sendmsg),
	SCMP_SYS(sendto),
	SCMP_SYS(setsockopt),
	SCMP_SYS(shutdown),
	SCMP_SYS(splice),
	SCMP_SYS(pipe2),
	SCMP_SYS(close),
	SCMP_SYS(read),
	SCMP_SYS(readv),
	SCMP_SYS(write),
	SCMP_SYS(writev),
	SCMP_SYS(recv),
	SCMP_SYS(send),
	SCMP_SYS(socketcall),
	/* waiting, time */
	SCMP_SYS(epoll_create1),
	SCMP_SYS(epoll_ctl),
	SCMP_SYS(epoll_pwait),
	SCMP_SYS(epoll_wait),
	SCMP_SYS(poll),
	SCMP_SYS(ppoll),
	SCMP_SYS(ppoll_time64),
	SCMP_SYS(clock_gettime),
	SCMP_SYS(clock_gettime64),
	SCMP_SYS(clock_nanosleep),
	SCMP_SYS(clock_nanosleep_time64),
	SCMP_SYS(gettimeofday),
	SCMP_SYS(nanosleep),
	SCMP_SYS(time),
	/* the audit log; what getaddrinfo and res_query read */
	SCMP_SYS(open),
	SCMP_SYS(openat),
	SCMP_SYS(fstat),
	SCMP_SYS(fstat64),
	SCMP_SYS(fstatat64),
	SCMP_SYS(stat),
	SCMP_SYS(stat64),
	SCMP_SYS(lstat),
	SCMP_SYS(newfstatat),
	SCMP_SYS(statx),
	SCMP_SYS(statfs),
	SCMP_SYS(fstatfs),
	SCMP_SYS(access),
	SCMP_SYS(faccessat),
	SCMP_SYS(faccessat2),
	SCMP_SYS(readlink),
	SCMP_SYS(readlinkat),
	SCMP_SYS(getdents64),
	SCMP_SYS(lseek),
	SCMP_SYS(_llseek),
	SCMP_SYS(pread64),
	SCMP_SYS(renameat),
	SCMP_SYS(renameat2),
	SCMP_SYS(unlinkat),
	SCMP_SYS(ftruncate),
	SCMP_SYS(ftruncate64),
	SCMP_SYS(fsync),
	SCMP_SYS(fdatasync),
	SCMP_SYS(flock),
	/* memory and threads */
	SCMP_SYS(brk),
	SCMP_SYS(mmap),
	SCMP_SYS(mmap2),
	SCMP_SYS(munmap),
	SCMP_SYS(mremap),
	SCMP_SYS(mprotect),
	SCMP_SYS(madvise),
	SCMP_SYS(futex),
	SCMP_SYS(futex_time64),
	SCMP_SYS(set_robust_list),
	SCMP_SYS(get_robust_list),
	SCMP_SYS(rseq),
	SCMP_SYS(sched_yield),
	SCMP_SYS(sched_getaffinity),
	SCMP_SYS(membarrier),
	SCMP_SYS(getrandom),
	SCMP_SYS(gettid),
	SCMP_SYS(getpid),
	SCMP_SYS(getuid),
	SCMP_SYS(geteuid),
	SCMP_SYS(getgid),
	SCMP_SYS(getegid),
	SCMP_SYS(uname),
	SCMP_SYS(sysinfo),
	SCMP_SYS(arch_prctl),
	SCMP_SYS(set_tid_address),
	SCMP_SYS(getrlimit),
	SCMP_SYS(ugetrlimit),
	/* signals, the end */
	SCMP_SYS(rt_sigaction),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(sigaltstack),
	SCMP_SYS(sigreturn),
	SCMP_SYS(restart_syscall),
	SCMP_SYS(exit),
	SCMP_SYS(exit_group),
};

static int allow(scmp_filter_ctx filter, int call, unsigned argument, enum scmp_compare how, scmp_datum_t value)
{
	const struct scmp_arg_cmp check = { .arg = argument, .op = how, .datum_a = value };

	return seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, call, 1, &check);
}

/* Protocols other than these have ports that Landlock does not know of (MPTCP). */
static int allow_sockets(scmp_filter_ctx filter)
{
	static const int families[] = { AF_INET, AF_INET6 }, protocols[] = { 0, IPPROTO_TCP, IPPROTO_UDP };
	int bad = allow(filter, SCMP_SYS(socket), 0, SCMP_CMP_EQ, AF_NETLINK);

	for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
		for (size_t j = 0; j < sizeof(protocols) / sizeof(protocols[0]) && bad == 0; j++) {
			const struct scmp_arg_cmp checks[] = {
				{ .arg = 0, .op = SCMP_CMP_EQ, .datum_a = (scmp_datum_t)families[i] },
				{ .arg = 2, .op = SCMP_CMP_EQ, .datum_a = (scmp_datum_t)protocols[j] },
			};
			bad = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 2, checks);
		}
	}
	return bad;
}

static int add_rules(scmp_filter_ctx filter, bool may_listen)
{
	/* Without F_SETOWN and F_SETSIG, which send signals to others. */
	static const int commands[] = { F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD_CLOEXEC, F_SETPIPE_SZ };
	static const int fcntls[] = { SCMP_SYS(fcntl), SCMP_SYS(fcntl64) };
	int bad = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);

	for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]) && bad == 0; i++)
		bad = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, allowed[i], 0, NULL);
	if (bad == 0)
		bad = allow_sockets(filter);
	if (bad == 0 && may_listen)
		bad = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, SCMP_SYS(listen), 0, NULL);
	for (size_t i = 0; i < 2; i++)
		for (size_t j = 0; j < sizeof(commands) / sizeof(commands[0]) && bad == 0; j++)
			bad = allow(filter, fcntls[i], 1, SCMP_CMP_EQ, (scmp_datum_t)commands[j]);
	/* What a resolver asks of a socket; no other device is open. */
	if (bad == 0)
		bad = allow(filter, SCMP_SYS(ioctl), 1, SCMP_CMP_EQ, 0x541B /* FIONREAD */);
	/* Threads, and no process. */
	const struct scmp_arg_cmp thread = {
		.arg = 0, .op = SCMP_CMP_MASKED_EQ, .datum_a = 0x00010000 /* CLONE_THREAD */, .datum_b = 0x00010000
	};
	if (bad == 0)
		bad = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1, &thread);
	/* Its flags cannot be seen: without it the C library takes clone. */
	if (bad == 0)
		bad = seccomp_rule_add_array(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0, NULL);
	return bad;
}

static bool use_seccomp(bool may_listen, struct npxc_error *err)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int bad;

	if (filter == NULL)
		return error_set(err, ERROR_RUNTIME, "libseccomp cannot make the egress process's filter");
	bad = add_rules(filter, may_listen);
	if (bad == 0)
		bad = seccomp_load(filter);
	seccomp_release(filter);
	return bad == 0 ||
	       error_set(err, ERROR_RUNTIME, "the egress process's filter cannot be set: %s", strerror(-bad));
}

bool confine_self(int audit_directory, struct confined *ret_confined, struct npxc_error *err)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1)
		return error_set_errno(err, ERROR_RUNTIME, "give up new privileges");
	return drop_capabilities(err) && use_landlock(audit_directory, ret_confined, err) &&
	       use_seccomp(ret_confined->may_listen, err);
}

#else

bool confine_self(int audit_directory, struct confined *ret_confined, struct npxc_error *err)
{
	(void)audit_directory;
	(void)err;
	*ret_confined = (struct confined){ 0 };
	return true;
}

#endif
