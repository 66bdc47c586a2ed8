#include "contain/seccomp.h"

#ifdef __linux__

#include "base/fault.h"
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

/* The kernel looks at 32 bits of these arguments: compared whole, a set high bit would slip past the rule. */
#define LOW_32_BITS 0xffffffffU

#ifndef F_SETPIPE_SZ
#define F_SETPIPE_SZ 1031 /* linux/fcntl.h */
#endif

/*
 * From 403 on a call has the same number on every architecture, but for an offset on some (alpha, mips): the distance
 * to one that libseccomp knows tells it. Those below are newer than the libseccomp of Debian 12. Of Linux 6.18:
 * include/uapi/asm-generic/unistd.h, scripts/syscall.tbl.
 */
#define COMMON_NUMBER(number) (SCMP_SYS(openat2) - 437 + (number))
enum { NUMBER_OPEN_TREE_ATTR = 467, NUMBER_FILE_SETATTR = 469 /* the newest that was looked at for this filter */ };

/* clone(2) has its flags second on s390. */
#ifdef __s390x__
enum { CLONE_FLAGS_ARGUMENT = 1 };
#else
enum { CLONE_FLAGS_ARGUMENT = 0 };
#endif

static const int refused_eperm[] = {
	/* other processes, keys, kernel objects that have had holes */
	SCMP_SYS(ptrace),
	SCMP_SYS(process_vm_readv),
	SCMP_SYS(process_vm_writev),
	SCMP_SYS(kcmp),
	SCMP_SYS(pidfd_getfd),
	SCMP_SYS(keyctl),
	SCMP_SYS(add_key),
	SCMP_SYS(request_key),
	SCMP_SYS(bpf),
	SCMP_SYS(perf_event_open),
	SCMP_SYS(userfaultfd),
	/* counted for the user and not for the sandbox */
	SCMP_SYS(fanotify_init),
	/* the kernel itself */
	SCMP_SYS(init_module),
	SCMP_SYS(finit_module),
	SCMP_SYS(delete_module),
	SCMP_SYS(kexec_load),
	SCMP_SYS(kexec_file_load),
	SCMP_SYS(reboot),
	SCMP_SYS(swapon),
	SCMP_SYS(swapoff),
	SCMP_SYS(acct),
	SCMP_SYS(quotactl),
	SCMP_SYS(quotactl_fd),
	SCMP_SYS(syslog),
	/* mounts and namespaces */
	SCMP_SYS(mount),
	SCMP_SYS(umount),
	SCMP_SYS(umount2),
	SCMP_SYS(move_mount),
	SCMP_SYS(open_tree),
	SCMP_SYS(fsopen),
	SCMP_SYS(fsconfig),
	SCMP_SYS(fsmount),
	SCMP_SYS(fspick),
	SCMP_SYS(mount_setattr),
	COMMON_NUMBER(NUMBER_OPEN_TREE_ATTR),
	SCMP_SYS(pivot_root),
	SCMP_SYS(chroot),
	SCMP_SYS(setns),
	SCMP_SYS(open_by_handle_at),
	/* clocks */
	SCMP_SYS(clock_settime),
	SCMP_SYS(clock_settime64),
	SCMP_SYS(settimeofday),
	SCMP_SYS(stime),
	SCMP_SYS(adjtimex),
	SCMP_SYS(clock_adjtime),
	SCMP_SYS(clock_adjtime64),
};

static const int refused_enosys[] = {
	SCMP_SYS(io_uring_setup),
	SCMP_SYS(io_uring_enter),
	SCMP_SYS(io_uring_register),
	SCMP_SYS(clone3),
};

static int refuse_all(scmp_filter_ctx filter, const int *calls, size_t count, unsigned with)
{
	int bad = 0;

	for (size_t i = 0; i < count && bad == 0; i++)
		if (!WITHOUT("io-uring") || calls[i] != SCMP_SYS(io_uring_setup))
			bad = seccomp_rule_add_array(filter, SCMP_ACT_ERRNO(with), calls[i], 0, NULL);
	return bad;
}

static int refuse_masked(scmp_filter_ctx filter, int call, unsigned argument, scmp_datum_t mask, scmp_datum_t value)
{
	const struct scmp_arg_cmp bits = {
		.arg = argument,
		.op = SCMP_CMP_MASKED_EQ,
		.datum_a = mask,
		.datum_b = value,
	};

	return seccomp_rule_add_array(filter, SCMP_ACT_ERRNO(EPERM), call, 1, &bits);
}

static bool is_allowed_family(unsigned family)
{
	return family == AF_UNIX || family == AF_INET || family == AF_INET6 || family == AF_NETLINK;
}

/*
 * One rule per refused number up to the highest allowed one, and one for all above it: libseccomp takes no two
 * comparisons of the same argument in a rule. A number with high bits set falls under "above".
 */
static int refuse_families(scmp_filter_ctx filter, int call)
{
	const unsigned highest = AF_NETLINK;
	struct scmp_arg_cmp family = { .arg = 0, .op = SCMP_CMP_GT, .datum_a = highest };
	int bad = seccomp_rule_add_array(filter, SCMP_ACT_ERRNO(EAFNOSUPPORT), call, 1, &family);

	_Static_assert(AF_UNIX < AF_NETLINK && AF_INET < AF_NETLINK && AF_INET6 < AF_NETLINK, "AF_NETLINK is highest");
	family.op = SCMP_CMP_EQ;
	for (unsigned i = 0; i < highest && bad == 0; i++) {
		family.datum_a = i;
		if (!is_allowed_family(i))
			bad = seccomp_rule_add_array(filter, SCMP_ACT_ERRNO(EAFNOSUPPORT), call, 1, &family);
	}
	return bad;
}

static int add_rules(scmp_filter_ctx filter)
{
	int bad = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);

	if (bad == 0)
		bad = refuse_all(filter, refused_eperm, sizeof(refused_eperm) / sizeof(refused_eperm[0]), EPERM);
	if (bad == 0)
		bad = refuse_all(filter, refused_enosys, sizeof(refused_enosys) / sizeof(refused_enosys[0]), ENOSYS);
	if (bad == 0 && !WITHOUT("families"))
		bad = refuse_families(filter, SCMP_SYS(socket));
	if (bad == 0)
		bad = refuse_families(filter, SCMP_SYS(socketpair));
	if (bad == 0)
		bad = refuse_masked(filter, SCMP_SYS(unshare), 0, CLONE_NEWUSER, CLONE_NEWUSER);
	if (bad == 0)
		bad = refuse_masked(filter, SCMP_SYS(clone), CLONE_FLAGS_ARGUMENT, CLONE_NEWUSER, CLONE_NEWUSER);
	if (bad == 0)
		bad = refuse_masked(filter, SCMP_SYS(ioctl), 1, LOW_32_BITS, TIOCSTI);
	if (bad == 0)
		bad = refuse_masked(filter, SCMP_SYS(ioctl), 1, LOW_32_BITS, TIOCLINUX);
	if (bad == 0)
		bad = refuse_masked(filter, SCMP_SYS(fcntl), 1, LOW_32_BITS, F_SETPIPE_SZ);
	return bad;
}

/* ---- numbers that nobody has looked at ---- */

/* Within the table: nothing has these numbers that a program needs, and what will get one is unknown. */
static const struct gap {
	uint32_t from, to;
} gaps[] = {
#if defined(__x86_64__)
	{ 335, 423 }, /* uretprobe and uprobe, which only the kernel's own trampolines may call */
#elif defined(__aarch64__)
	{ 244, 259 }, /* those of other architectures */
	{ 295, 423 },
#endif
	{ 0, 0 }, /* the end */
};

enum { GAPS = sizeof(gaps) / sizeof(gaps[0]) - 1, UNKNOWN_MOST = 6 + 2 * GAPS };

/*
 * What stands before libseccomp's own program, which can only compare a number with one that it knows: numbers above
 * the newest, and in gaps, answer as a kernel does that does not have them. Another architecture's numbers, and x32's
 * on x86-64, are left to that program, which ends the process. Returns the count of instructions.
 */
static size_t refuse_unknown(struct sock_filter program[static UNKNOWN_MOST])
{
	const uint32_t newest = (uint32_t)COMMON_NUMBER(NUMBER_FILE_SETATTR);
	const uint8_t refuse = UNKNOWN_MOST - 1; /* the last instruction */
	size_t n = 0;

#define FAR(to) ((uint8_t)((to)-1 - n)) /* a jump is counted from the next instruction */
	program[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
	program[n] =
	    (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, seccomp_arch_native(), 0, FAR(UNKNOWN_MOST));
	n++;
	program[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
#ifdef __x86_64__
	enum { X32_BIT = 0x40000000 };
	program[n] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, X32_BIT, FAR(UNKNOWN_MOST), 0);
	n++;
#else
	program[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JA, 0, 0, 0);
#endif
	for (size_t i = 0; i + 1 < sizeof(gaps) / sizeof(gaps[0]); i++) {
		program[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, gaps[i].from, 0, 1);
		program[n] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, gaps[i].to, 0, FAR(refuse));
		n++;
	}
	program[n] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, newest, FAR(refuse), FAR(UNKNOWN_MOST));
	n++;
#undef FAR
	program[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS);
	return n;
}

/* At most 4096 instructions of 8 bytes, which a pipe takes in one go (64 KiB): no reader is needed meanwhile. */
static bool export_program(scmp_filter_ctx filter, struct buf *program, struct npxc_error *err)
{
	int ends[2];
	int bad;
	bool ok;

	if (!fd_pipe(ends, err))
		return false;
	bad = seccomp_export_bpf(filter, ends[1]);
	fd_close(&ends[1]);
	if (bad != 0)
		ok = error_set(err, ERROR_RUNTIME, "libseccomp cannot write the sandbox's filter: %s", strerror(-bad));
	else
		ok = fd_read_all(ends[0], program, err);
	fd_close(&ends[0]);
	return ok;
}

bool seccomp_program(struct buf *ret_program, struct npxc_error *err)
{
	struct buf program BUF_CLEANUP = BUF_INIT((size_t)64 * 1024);
	struct sock_filter unknown[UNKNOWN_MOST];
	const size_t unknown_bytes = refuse_unknown(unknown) * sizeof(unknown[0]);
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	int bad;
	bool ok;

	if (filter == NULL)
		return error_set(err, ERROR_RUNTIME, "libseccomp cannot make the sandbox's filter");
	bad = add_rules(filter);
	if (bad != 0)
		ok = error_set(err, ERROR_RUNTIME, "libseccomp refuses a rule of the sandbox's filter: %s",
		               strerror(-bad));
	else
		ok = buf_append(&program, (const char *)unknown, unknown_bytes, err) &&
		     export_program(filter, &program, err);
	seccomp_release(filter);
	if (!ok)
		return false;
	if (program.length <= unknown_bytes)
		return error_set(err, ERROR_RUNTIME, "libseccomp made an empty filter");
	*ret_program = program;
	program = BUF_INIT(0); // cppcheck-suppress unreadVariable ; its cleanup reads it
	return true;
}

#else

bool seccomp_program(struct buf *ret_program, struct npxc_error *err)
{
	(void)ret_program;
	return error_set(err, ERROR_RUNTIME_UNAVAILABLE, "seccomp filters exist on Linux only");
}

#endif
