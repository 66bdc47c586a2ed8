#include "sandbox_run.h"

#include "contain/seccomp.h"

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#ifndef SYS_io_uring_setup
#define SYS_io_uring_setup 425
#endif

/*
 * The test program is its own probe: copied into a sandbox and started with --probe, it makes one system call and
 * prints the errno. Arguments are chosen so that without the filter the answer is another one, wherever a process
 * without capabilities can get another one: `told_apart` says where, and a run without the filter proves it.
 */
static long call(long number, long a, long b, long c)
{
	return syscall(number, a, b, c, 0L, 0L, 0L);
}

#define BAD_POINTER 1L
#define HIGH_BIT (1L << 32)

static const struct probe {
	const char *name;
	long number, a, b, c;
	int expected; /* errno; 0: the call succeeds */
	bool told_apart;
} probes[] = {
	{ "socket unix", SYS_socket, AF_UNIX, SOCK_STREAM, 0, 0, false },
	{ "socket inet", SYS_socket, AF_INET, SOCK_STREAM, 0, 0, false },
	{ "socket inet6", SYS_socket, AF_INET6, SOCK_STREAM, 0, 0, false },
	{ "socket netlink", SYS_socket, AF_NETLINK, SOCK_RAW, 0, 0, false },
	{ "socket packet", SYS_socket, AF_PACKET, SOCK_RAW, 0, EAFNOSUPPORT, true },
	{ "socket packet, high bit", SYS_socket, AF_PACKET | HIGH_BIT, SOCK_RAW, 0, EAFNOSUPPORT, true },
	{ "socket vsock", SYS_socket, AF_VSOCK, SOCK_STREAM, 0, EAFNOSUPPORT, false },
	{ "socket alg", SYS_socket, AF_ALG, SOCK_SEQPACKET, 0, EAFNOSUPPORT, false },
	{ "socket key", SYS_socket, AF_KEY, SOCK_RAW, 2, EAFNOSUPPORT, false },
	{ "socket unspecified", SYS_socket, AF_UNSPEC, SOCK_STREAM, 0, EAFNOSUPPORT, false },
	{ "socket -1", SYS_socket, -1, SOCK_STREAM, 0, EAFNOSUPPORT, false },
	{ "socketpair packet", SYS_socketpair, AF_PACKET, SOCK_RAW, 0, EAFNOSUPPORT, true },
	{ "io_uring_setup", SYS_io_uring_setup, 0, BAD_POINTER, 0, ENOSYS, true },
	{ "io_uring_enter", 426, -1, 0, 0, ENOSYS, true },
	{ "io_uring_register", 427, -1, 0, 0, ENOSYS, true },
	{ "clone3", 435, BAD_POINTER, 0, 0, ENOSYS, true },
	{ "unshare user", SYS_unshare, CLONE_NEWUSER, 0, 0, EPERM, true },
	{ "unshare user, high bit", SYS_unshare, CLONE_NEWUSER | HIGH_BIT, 0, 0, EPERM, true },
	{ "unshare user and files", SYS_unshare, CLONE_NEWUSER | CLONE_FILES, 0, 0, EPERM, true },
	{ "unshare files", SYS_unshare, CLONE_FILES, 0, 0, 0, false },
	{ "clone user", SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, EPERM, true },
	{ "clone user, high bit", SYS_clone, CLONE_NEWUSER | SIGCHLD | HIGH_BIT, 0, 0, EPERM, true },
	{ "keyctl", SYS_keyctl, 0 /* KEYCTL_GET_KEYRING_ID */, -3, 1, EPERM, true },
	{ "add_key", SYS_add_key, BAD_POINTER, 0, 0, EPERM, true },
	{ "request_key", SYS_request_key, BAD_POINTER, 0, 0, EPERM, true },
	{ "ptrace", SYS_ptrace, 0 /* PTRACE_TRACEME */, 0, 0, EPERM, true },
	{ "process_vm_readv", SYS_process_vm_readv, -1, 0, 0, EPERM, true },
	{ "process_vm_writev", SYS_process_vm_writev, -1, 0, 0, EPERM, true },
	{ "kcmp", SYS_kcmp, -1, -1, 0, EPERM, false },
	{ "pidfd_getfd", 438, -1, 0, 1, EPERM, true },
	{ "bpf", SYS_bpf, -1, 0, 0, EPERM, false },
	{ "perf_event_open", SYS_perf_event_open, BAD_POINTER, 0, 0, EPERM, true },
	{ "userfaultfd", SYS_userfaultfd, 0x40000000, 0, 0, EPERM, false },
	{ "mount", SYS_mount, BAD_POINTER, BAD_POINTER, BAD_POINTER, EPERM, true },
	{ "umount2", SYS_umount2, BAD_POINTER, 0x40000000, 0, EPERM, true },
	{ "move_mount", 429, -1, BAD_POINTER, -1, EPERM, false },
	{ "open_tree", 428, -1, BAD_POINTER, 0x40000000, EPERM, true },
	{ "fsopen", 430, BAD_POINTER, 0, 0, EPERM, false },
	{ "mount_setattr", 442, -1, BAD_POINTER, 0x40000000, EPERM, true },
	{ "pivot_root", SYS_pivot_root, BAD_POINTER, BAD_POINTER, 0, EPERM, false },
	{ "chroot", SYS_chroot, BAD_POINTER, 0, 0, EPERM, true },
	{ "setns", SYS_setns, -1, 0, 0, EPERM, true },
	{ "open_by_handle_at", SYS_open_by_handle_at, -1, BAD_POINTER, 0, EPERM, false },
	{ "quotactl", SYS_quotactl, -1, 0, 0, EPERM, true },
	{ "acct", SYS_acct, 0, 0, 0, EPERM, false },
	{ "syslog", SYS_syslog, -1, 0, 0, EPERM, false },
	{ "reboot", SYS_reboot, 0, 0, 0, EPERM, false },
	{ "swapon", SYS_swapon, BAD_POINTER, 0, 0, EPERM, false },
	{ "kexec_load", SYS_kexec_load, 0, 0, 0, EPERM, false },
	{ "init_module", SYS_init_module, 0, 0, 0, EPERM, false },
	{ "finit_module", SYS_finit_module, -1, 0, 0, EPERM, false },
	{ "delete_module", SYS_delete_module, BAD_POINTER, 0, 0, EPERM, false },
	{ "settimeofday", SYS_settimeofday, BAD_POINTER, 0, 0, EPERM, true },
	{ "clock_settime", SYS_clock_settime, 0, BAD_POINTER, 0, EPERM, true },
	{ "adjtimex", SYS_adjtimex, BAD_POINTER, 0, 0, EPERM, true },
	{ "ioctl TIOCSTI", SYS_ioctl, 0, TIOCSTI, BAD_POINTER, EPERM, true },
	{ "ioctl TIOCSTI, high bit", SYS_ioctl, 0, TIOCSTI | HIGH_BIT, BAD_POINTER, EPERM, true },
	{ "ioctl TIOCLINUX", SYS_ioctl, 0, TIOCLINUX, BAD_POINTER, EPERM, true },
	{ "fcntl F_SETPIPE_SZ", SYS_fcntl, -1, F_SETPIPE_SZ, 1 << 20, EPERM, true },
	{ "fcntl F_SETPIPE_SZ, high bit", SYS_fcntl, -1, F_SETPIPE_SZ | HIGH_BIT, 1 << 20, EPERM, true },
	{ "fcntl F_GETPIPE_SZ", SYS_fcntl, -1, F_GETPIPE_SZ, 0, EBADF, false },
	{ "fanotify_init", SYS_fanotify_init, 0x200 /* FAN_REPORT_FID */, 0, 0, EPERM, false },
	{ "open_tree_attr", 467, -1, BAD_POINTER, 0x40000000, EPERM, true },
	{ "ioctl FIONREAD", SYS_ioctl, 0, FIONREAD, BAD_POINTER, ENOTTY, false },
};
enum { PROBES = sizeof(probes) / sizeof(probes[0]) };

/* Each probe in a child of its own: some of them change what the next one would see when the filter is missing. */
static int probe_all(void)
{
	for (size_t i = 0; i < PROBES; i++) {
		pid_t pid = fork();
		int ended = 0;

		if (pid == 0) {
			long answer = call(probes[i].number, probes[i].a, probes[i].b, probes[i].c);

			/* a clone that was not refused answers twice */
			_exit(answer == -1 ? errno : 0);
		}
		if (pid == -1 || waitpid(pid, &ended, 0) != pid || !WIFEXITED(ended))
			return 1;
		printf("%d\n", WEXITSTATUS(ended));
	}
	return 0;
}

static int probe(const char *what)
{
	int status = 1;

	if (strcmp(what, "all") == 0)
		status = probe_all();
#ifdef __x86_64__
	if (strcmp(what, "i386") == 0) {
		long answer = 20; /* getpid there */

		__asm__ volatile("int $0x80" : "+a"(answer) : : "memory", "r8", "r9", "r10", "r11");
		status = 0;
	}
	if (strcmp(what, "x32") == 0) {
		call(0x40000000L | SYS_getpid, 0, 0, 0);
		status = 0;
	}
#endif
	fflush(stdout);
	_exit(status);
}

/* This program where every user can reach it; owned. */
static char *copy_of_probe(void)
{
	char directory[] = "/tmp/npxc-test-XXXXXX";
	mem_cleanup char *command = NULL;
	char *path;

	assert_non_null(mkdtemp(directory));
	path = str_printf("%s/probe", directory);
	command = str_printf("cp /proc/%d/exe %s && chmod 0755 %s %s", (int)getpid(), path, path, directory);
	assert_int_equal(system(command), 0);
	return path;
}

static void remove_probe(char *path)
{
	mem_cleanup char *command = str_printf("rm -r %.*s", (int)(strlen(path) - strlen("/probe")), path);

	assert_int_equal(system(command), 0);
	free(path);
}

static void run_probe(const char *path, const char *what, bool with_filter, struct sandbox_result *result)
{
	const char *const command[] = { "/tmp/probe", "--probe", what };
	struct npxc_error err = { 0 };
	struct runtime runtime;
	struct launch launch;
	struct runtime_start start;

	sandbox_runtime(&runtime);
	sandbox_launch(&launch, command, 3);
	launch_add_mount(&launch, path, "/tmp/probe", false);
	if (!runtime_make_start(&runtime, &launch, &start, &err))
		fail_msg("%s", err.message);
	for (size_t i = 0; i < start.argv.count && !with_filter; i++) {
		if (strcmp(start.argv.v[i], "--seccomp") == 0) {
			free(start.argv.v[i]);
			start.argv.v[i] = str_dup("--sync-fd"); /* takes the same number and does nothing with it */
		}
	}
	sandbox_run_start(&start, NULL, NULL, result);
	runtime_start_done(&start);
	launch_done(&launch);
	runtime_done(&runtime);
}

static void read_answers(struct sandbox_result *result, int answers[PROBES])
{
	char *line = result->output.data;

	if (result->exit_status != 0)
		fail_msg("status %d, signal %d: %s", result->exit_status, result->signal, result->errors.data);
	for (size_t i = 0; i < PROBES; i++) {
		char *end;

		answers[i] = (int)strtol(line, &end, 10);
		assert_true(end != line && *end == '\n');
		line = end + 1;
	}
	assert_int_equal(*line, '\0');
}

static void calls_are_refused_as_promised(void **state)
{
	char *path = copy_of_probe();
	struct sandbox_result result;
	int answers[PROBES];

	(void)state;
	run_probe(path, "all", true, &result);
	remove_probe(path);
	read_answers(&result, answers);
	for (size_t i = 0; i < PROBES; i++)
		if (answers[i] != probes[i].expected)
			fail_msg("%s: %s", probes[i].name, strerror(answers[i]));
	sandbox_result_done(&result);
}

static void the_probes_tell_the_filter_from_its_absence(void **state)
{
	char *path = copy_of_probe();
	struct sandbox_result result;
	int answers[PROBES];

	(void)state;
	run_probe(path, "all", false, &result);
	remove_probe(path);
	read_answers(&result, answers);
	for (size_t i = 0; i < PROBES; i++)
		if (probes[i].told_apart && answers[i] == probes[i].expected)
			fail_msg("%s is refused without the filter too: %s", probes[i].name, strerror(answers[i]));
	sandbox_result_done(&result);
}

#ifdef __x86_64__
static void calls_of_another_abi_end_the_process(void **state)
{
	static const char *const abis[] = { "i386", "x32" };
	char *path = copy_of_probe();

	(void)state;
	for (size_t i = 0; i < sizeof(abis) / sizeof(abis[0]); i++) {
		struct sandbox_result result;

		run_probe(path, abis[i], true, &result);
		assert_int_equal(result.exit_status, 128 + SIGSYS);
		sandbox_result_done(&result);
	}
	remove_probe(path);
}
#endif

/* ---- by number, without a kernel: most of these calls no kernel has yet ---- */

#define ALLOW SECCOMP_RET_ALLOW
#define WITH(number) (SECCOMP_RET_ERRNO | (number))
#ifdef __aarch64__
#define NATIVE AUDIT_ARCH_AARCH64
#define FOREIGN AUDIT_ARCH_ARM
#else
#define NATIVE AUDIT_ARCH_X86_64
#define FOREIGN AUDIT_ARCH_I386
#endif

/* What a classic BPF program answers; the instructions that seccomp(2) takes and libseccomp makes. */
static uint32_t judge(const struct buf *program, const struct seccomp_data *data)
{
	const struct sock_filter *at = (const struct sock_filter *)(const void *)program->data;
	const struct sock_filter *end = at + program->length / sizeof(*at);
	uint32_t a = 0;

	for (; at < end; at++) {
		bool yes = false;

		switch (at->code) {
		case BPF_LD | BPF_W | BPF_ABS:
			memcpy(&a, (const char *)data + at->k, sizeof(a));
			continue;
		case BPF_ALU | BPF_AND | BPF_K:
			a &= at->k;
			continue;
		case BPF_RET | BPF_K:
			return at->k;
		case BPF_JMP | BPF_JA:
			at += at->k;
			continue;
		case BPF_JMP | BPF_JEQ | BPF_K:
			yes = a == at->k;
			break;
		case BPF_JMP | BPF_JGT | BPF_K:
			yes = a > at->k;
			break;
		case BPF_JMP | BPF_JGE | BPF_K:
			yes = a >= at->k;
			break;
		case BPF_JMP | BPF_JSET | BPF_K:
			yes = (a & at->k) != 0;
			break;
		default:
			fail_msg("an instruction that this test does not know: %#x", at->code);
		}
		at += yes ? at->jt : at->jf;
	}
	fail_msg("the program runs out of itself");
	return 0;
}

static void numbers_that_nobody_has_looked_at_are_refused(void **state)
{
	static const struct {
		const char *what;
		uint32_t arch, number, expected;
	} cases[] = {
		{ "read", NATIVE, SYS_read, ALLOW },
		{ "openat", NATIVE, SYS_openat, ALLOW },
		{ "statx", NATIVE, SYS_statx, ALLOW },
		{ "pidfd_send_signal, the first of the common numbers", NATIVE, 424, ALLOW },
		{ "openat2", NATIVE, 437, ALLOW },
		{ "landlock_restrict_self", NATIVE, 446, ALLOW },
		{ "futex_requeue", NATIVE, 456, ALLOW },
		{ "mseal", NATIVE, 462, ALLOW },
		{ "removexattrat", NATIVE, 466, ALLOW },
		{ "file_getattr", NATIVE, 468, ALLOW },
		{ "file_setattr, the newest that was looked at", NATIVE, 469, ALLOW },
		{ "mount", NATIVE, SYS_mount, WITH(EPERM) },
		{ "open_tree", NATIVE, 428, WITH(EPERM) },
		{ "move_mount", NATIVE, 429, WITH(EPERM) },
		{ "fsopen", NATIVE, 430, WITH(EPERM) },
		{ "fsconfig", NATIVE, 431, WITH(EPERM) },
		{ "fsmount", NATIVE, 432, WITH(EPERM) },
		{ "fspick", NATIVE, 433, WITH(EPERM) },
		{ "mount_setattr", NATIVE, 442, WITH(EPERM) },
		{ "open_tree_attr", NATIVE, 467, WITH(EPERM) },
		{ "keyctl", NATIVE, SYS_keyctl, WITH(EPERM) },
		{ "fanotify_init", NATIVE, SYS_fanotify_init, WITH(EPERM) },
		{ "inotify_init1", NATIVE, SYS_inotify_init1, ALLOW },
		{ "clone3", NATIVE, 435, WITH(ENOSYS) },
		{ "470", NATIVE, 470, WITH(ENOSYS) },
		{ "471", NATIVE, 471, WITH(ENOSYS) },
		{ "500", NATIVE, 500, WITH(ENOSYS) },
		{ "512, where x32 has calls of its own", NATIVE, 512, WITH(ENOSYS) },
		{ "547, the last of these", NATIVE, 547, WITH(ENOSYS) },
		{ "1,000", NATIVE, 1000, WITH(ENOSYS) },
		{ "the highest below x32's", NATIVE, 0x3fffffff, WITH(ENOSYS) },
		{ "a gap's last", NATIVE, 423, WITH(ENOSYS) },
		{ "in a gap", NATIVE, 400, WITH(ENOSYS) },
#ifdef __x86_64__
		{ "rseq, before the gap", NATIVE, 334, ALLOW },
		{ "uretprobe", NATIVE, 335, WITH(ENOSYS) },
		{ "uprobe", NATIVE, 336, WITH(ENOSYS) },
		{ "x32's getpid", NATIVE, 0x40000000 | 39, SECCOMP_RET_KILL_PROCESS },
		{ "x32's first", NATIVE, 0x40000000, SECCOMP_RET_KILL_PROCESS },
		{ "x32's own execve", NATIVE, 0x40000000 | 520, SECCOMP_RET_KILL_PROCESS },
		{ "-1, which no kernel runs", NATIVE, 0xffffffff, ALLOW },
#endif
#ifdef __aarch64__
		{ "the first of other architectures", NATIVE, 244, WITH(ENOSYS) },
		{ "the last of other architectures", NATIVE, 259, WITH(ENOSYS) },
		{ "wait4", NATIVE, 260, ALLOW },
		{ "kexec_file_load", NATIVE, 294, WITH(EPERM) },
		{ "behind it", NATIVE, 295, WITH(ENOSYS) },
		{ "-1", NATIVE, 0xffffffff, WITH(ENOSYS) },
#endif
		{ "a number of 32 bits", FOREIGN, 3, SECCOMP_RET_KILL_PROCESS },
		{ "a high number of 32 bits", FOREIGN, 470, SECCOMP_RET_KILL_PROCESS },
	};
	struct npxc_error err = { 0 };
	struct buf program;

	(void)state;
	if (!seccomp_program(&program, &err))
		fail_msg("%s", err.message);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct seccomp_data data = { .nr = (int)cases[i].number, .arch = cases[i].arch };
		const uint32_t got = judge(&program, &data);

		if (got != cases[i].expected)
			fail_msg("%s: %#x instead of %#x", cases[i].what, got, cases[i].expected);
	}
	buf_done(&program);
}

static void the_program_is_whole_and_always_the_same(void **state)
{
	struct npxc_error err = { 0 };
	struct buf first;
	struct buf second;

	(void)state;
	if (!seccomp_program(&first, &err) || !seccomp_program(&second, &err))
		fail_msg("%s", err.message);
	assert_true(first.length >= 8 * 50 && first.length % 8 == 0);
	assert_int_equal(first.length, second.length);
	assert_memory_equal(first.data, second.data, first.length);
	buf_done(&first);
	buf_done(&second);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_program_is_whole_and_always_the_same),
		cmocka_unit_test(numbers_that_nobody_has_looked_at_are_refused),
		cmocka_unit_test(calls_are_refused_as_promised),
		cmocka_unit_test(the_probes_tell_the_filter_from_its_absence),
#ifdef __x86_64__
		cmocka_unit_test(calls_of_another_abi_end_the_process),
#endif
	};

	if (argc == 3 && strcmp(argv[1], "--probe") == 0)
		return probe(argv[2]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
