#include "unit.h"

#include "base/error.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "egress/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/*
 * Each check runs in a child, first as the process is, then confined, and says which errno there was. The first run is
 * what makes the second mean something: the same call fails otherwise, or not at all.
 */
#define BAD_POINTER 1L

static const struct probe {
	const char *name;
	long number, a, b, c;
	int before; /* errno without confinement; 0: none; -1: not tried, or whatever an ordinary user gets */
	int after;  /* -2: not looked at */
} probes[] = {
	{ "execve", SYS_execve, BAD_POINTER, 0, 0, EFAULT, EPERM },
	{ "execveat", SYS_execveat, -1, BAD_POINTER, 0, EFAULT, EPERM },
	{ "clone of a process", SYS_clone, CLONE_SIGHAND | SIGCHLD, 0, 0, EINVAL, EPERM },
	{ "clone with a new namespace", SYS_clone, CLONE_NEWUSER | CLONE_FS | SIGCHLD, 0, 0, EINVAL, EPERM },
	{ "clone3", 435, BAD_POINTER, 0, 0, EINVAL, ENOSYS },
#ifdef SYS_fork
	{ "fork", SYS_fork, 0, 0, 0, -1, EPERM },
	{ "vfork", SYS_vfork, 0, 0, 0, -1, EPERM },
#endif
	{ "socket, UNIX", SYS_socket, AF_UNIX, SOCK_STREAM, 0, 0, EPERM },
	{ "socket, packet", SYS_socket, AF_PACKET, SOCK_RAW, 0, -1, EPERM },
	{ "socket, vsock", SYS_socket, AF_VSOCK, SOCK_STREAM, 0, -1, EPERM },
	{ "socket, UNIX, high bit", SYS_socket, AF_UNIX | 1L << 32, SOCK_STREAM, 0, 0, EPERM },
	{ "socket, IPv4", SYS_socket, AF_INET, SOCK_STREAM, 0, 0, 0 },
	{ "socket, IPv6", SYS_socket, AF_INET6, SOCK_DGRAM, 0, 0, 0 },
	{ "socket, netlink", SYS_socket, AF_NETLINK, SOCK_RAW, 0, 0, 0 },
	{ "socketpair", SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, EFAULT, EPERM },
	{ "listen", SYS_listen, -1, 1, 0, EBADF, -2 }, /* see may_listen */
	{ "socket, MPTCP", SYS_socket, AF_INET, SOCK_STREAM, 262, -1, EPERM },
	{ "socket, SCTP", SYS_socket, AF_INET6, SOCK_STREAM, 132, -1, EPERM },
	{ "socket, ICMP", SYS_socket, AF_INET, SOCK_DGRAM, 1, -1, EPERM },
	{ "ptrace", SYS_ptrace, 12345, 0, 0, ESRCH, EPERM },
	{ "process_vm_readv", SYS_process_vm_readv, -1, 0, 0, -1, EPERM },
	{ "kill", SYS_kill, 0, 0, 0, 0, EPERM },
	{ "tkill", SYS_tkill, 1, 0, 0, -1, EPERM },
	{ "tgkill", SYS_tgkill, 1, 1, 0, -1, EPERM },
	{ "pidfd_open", 434, 0, 0, 0, EINVAL, EPERM },
	{ "rt_sigqueueinfo", SYS_rt_sigqueueinfo, 1, 0, BAD_POINTER, EFAULT, EPERM },
	{ "fcntl, F_SETOWN", SYS_fcntl, 0, F_SETOWN, 0, 0, EPERM },
	{ "fcntl, F_SETOWN_EX", SYS_fcntl, 0, F_SETOWN_EX, BAD_POINTER, EFAULT, EPERM },
	{ "fcntl, F_SETSIG", SYS_fcntl, 0, F_SETSIG, 0, 0, EPERM },
	{ "fcntl, F_NOTIFY", SYS_fcntl, 0, F_NOTIFY, 0, -1, EPERM },
	{ "ioctl, TIOCSTI", SYS_ioctl, 0, 0x5412, BAD_POINTER, -1, EPERM },
	{ "unshare", SYS_unshare, CLONE_NEWUSER | CLONE_NEWNET, 0, 0, -1, EPERM },
	{ "setns", SYS_setns, -1, 0, 0, EBADF, EPERM },
	{ "mount", SYS_mount, BAD_POINTER, BAD_POINTER, BAD_POINTER, -1, EPERM },
	{ "chroot", SYS_chroot, BAD_POINTER, 0, 0, -1, EPERM },
	{ "chdir", SYS_chdir, BAD_POINTER, 0, 0, EFAULT, EPERM },
	{ "prctl", SYS_prctl, PR_GET_DUMPABLE, 0, 0, -1, EPERM },
	{ "setuid", SYS_setuid, -1, 0, 0, EINVAL, EPERM },
	{ "bpf", SYS_bpf, -1, 0, 0, -1, EPERM },
	{ "io_uring_setup", 425, 0, BAD_POINTER, 0, -1, EPERM },
	{ "keyctl", SYS_keyctl, 0, -3, 1, -1, EPERM },
	{ "userfaultfd", SYS_userfaultfd, 0x40000000, 0, 0, -1, EPERM },
	{ "perf_event_open", SYS_perf_event_open, BAD_POINTER, 0, 0, -1, EPERM },
	{ "memfd_create", SYS_memfd_create, BAD_POINTER, 0, 0, EFAULT, EPERM },
	{ "mkdirat", SYS_mkdirat, -1, BAD_POINTER, 0, EFAULT, EPERM },
	{ "symlinkat", SYS_symlinkat, BAD_POINTER, -1, BAD_POINTER, EFAULT, EPERM },
	{ "linkat", SYS_linkat, -1, BAD_POINTER, -1, -1, EPERM },
	{ "fchmod", SYS_fchmod, -1, 0, 0, EBADF, EPERM },
	{ "fchown", SYS_fchown, -1, 0, 0, EBADF, EPERM },
	{ "truncate", SYS_truncate, BAD_POINTER, 0, 0, EFAULT, EPERM },
	{ "prlimit64", SYS_prlimit64, 0, 99, 0, EINVAL, EPERM },
};

enum { PROBES = sizeof(probes) / sizeof(probes[0]) };

static char *outside, *audit; /* a file, and the directory of the log */

static int errno_of_open(const char *path, int flags)
{
	const int fd = open(path, flags | O_CLOEXEC, 0600);

	if (fd == -1)
		return errno;
	close(fd);
	return 0;
}

/* A port of this machine's loopback that is the caller's choice; the kernel gives one that is free. */
static int errno_of_bind(void)
{
	const struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const int error = bind(fd, (const struct sockaddr *)&address, sizeof(address)) == -1 ? errno : 0;

	close(fd);
	return error;
}

static int errno_of_listen(void)
{
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const int error = listen(fd, 1) == -1 ? errno : 0;

	close(fd);
	return error;
}

static int address_of(const char *name)
{
	struct addrinfo *list = NULL;
	const int bad = getaddrinfo(name, NULL, NULL, &list);

	if (bad == 0)
		freeaddrinfo(list);
	return bad;
}

static void *look_up(void *context)
{
	*(int *)context = address_of("localhost");
	return NULL;
}

static int in_a_thread(void)
{
	pthread_t thread;
	int bad = -1;

	if (pthread_create(&thread, NULL, look_up, &bad) != 0 || pthread_join(thread, NULL) != 0)
		return -2;
	return bad;
}

/* What a child saw. */
struct seen {
	int probes[PROBES];
	int open_outside, open_hosts, write_hosts, list_root, list_proc, open_library;
	int audit_write, audit_rename, audit_unlink, audit_outside;
	int localhost, nobody, thread;
	int bind_tcp, listen;
	struct confined confined;
};

static void look(struct seen *seen, int directory)
{
	for (size_t i = 0; i < PROBES; i++) {
		const struct probe *p = &probes[i];
		const bool dangerous = p->before == -1 && p->after == EPERM;
		errno = 0;
		if (directory == -1 && dangerous)
			seen->probes[i] = -1;
		else
			seen->probes[i] = syscall(p->number, p->a, p->b, p->c, 0L, 0L, 0L) == -1 ? errno : 0;
	}
	seen->open_outside = errno_of_open(outside, O_RDONLY);
	seen->open_hosts = errno_of_open("/etc/hosts", O_RDONLY);
	seen->write_hosts = errno_of_open("/etc/hosts", O_WRONLY);
	seen->list_root = errno_of_open("/", O_RDONLY | O_DIRECTORY);
	seen->list_proc = errno_of_open("/proc/self/status", O_RDONLY);
	seen->open_library = errno_of_open("/etc/nsswitch.conf", O_RDONLY);
	seen->bind_tcp = errno_of_bind();
	seen->listen = errno_of_listen();
	if (directory != -1) {
		int fd = openat(directory, "a", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
		seen->audit_write = fd == -1 || write(fd, "x", 1) != 1 ? errno : 0;
		seen->audit_rename = renameat(directory, "a", directory, "b") == -1 ? errno : 0;
		seen->audit_outside = renameat(directory, "b", AT_FDCWD, outside) == -1 ? errno : 0;
		seen->audit_unlink = unlinkat(directory, "b", 0) == -1 ? errno : 0;
	}
	seen->localhost = address_of("localhost");
	seen->nobody = address_of("..");
	seen->thread = in_a_thread();
}

/* `confined` false: the control. The child waits for a byte, so that its status can be read. */
static void run_child(bool confined, struct seen *ret_seen, char *status, size_t size)
{
	int out[2], go[2], result = -1;
	size_t have = 0;
	pid_t pid;

	assert_int_equal(pipe(out), 0);
	assert_int_equal(pipe(go), 0);
	pid = fork();
	if (pid == 0) {
		struct seen seen = { 0 };
		struct npxc_error err = { 0 };
		const int directory = open(audit, O_RDONLY | O_DIRECTORY);
		char byte;

		alarm(60);
		if (confined && !confine_self(directory, &seen.confined, &err)) {
			fprintf(stderr, "%s\n", err.message);
			_exit(1);
		}
		look(&seen, confined ? directory : -1);
		if (write(out[1], &seen, sizeof(seen)) != (ssize_t)sizeof(seen) || read(go[0], &byte, 1) != 1)
			_exit(2);
		_exit(0);
	}
	close(out[1]);
	close(go[0]);
	while (have < sizeof(*ret_seen)) {
		const ssize_t got = read(out[0], (char *)ret_seen + have, sizeof(*ret_seen) - have);
		if (got <= 0)
			break;
		have += (size_t)got;
	}
	mem_cleanup char *path = str_printf("/proc/%d/status", (int)pid);
	FILE *file = fopen(path, "r");
	const size_t length = file == NULL ? 0 : fread(status, 1, size - 1, file);
	status[length] = '\0';
	if (file != NULL)
		fclose(file);
	(void)!write(go[1], "", 1);
	assert_int_equal(waitpid(pid, &result, 0), pid);
	close(out[0]);
	close(go[1]);
	assert_int_equal(have, sizeof(*ret_seen));
	assert_int_equal(result, 0);
}

static int prepare(void **state)
{
	struct npxc_error err = { 0 };
	int fd;

	(void)state;
	if (!file_make_temporary_directory("/tmp", "npxc-confine-", &audit, &err))
		return 1;
	outside = str_dup("/tmp/npxc-confine-file-XXXXXX");
	fd = mkstemp(outside);
	if (fd == -1)
		return 1;
	close(fd);
	return 0;
}

static int clean(void **state)
{
	struct npxc_error err = { 0 };

	(void)state;
	unlink(outside);
	const bool ok = file_remove_tree(audit, &err);
	free(outside);
	free(audit);
	return ok ? 0 : 1;
}

static void before_it_is_confined(void **state)
{
	static char status[8192];
	struct seen seen = { 0 };

	(void)state;
	run_child(false, &seen, status, sizeof(status));
	for (size_t i = 0; i < PROBES; i++)
		if (probes[i].before != -1 && seen.probes[i] != probes[i].before)
			fail_msg("%s: %s", probes[i].name, strerror(seen.probes[i]));
	assert_int_equal(seen.open_outside, 0);
	assert_int_equal(seen.list_root, 0);
	assert_int_equal(seen.list_proc, 0);
	assert_int_equal(seen.localhost, 0);
	assert_int_equal(seen.bind_tcp, 0);
	assert_int_equal(seen.listen, 0);
}

static void what_it_may_no_longer(void **state)
{
	static char status[8192];
	struct seen seen = { 0 };

	(void)state;
	run_child(true, &seen, status, sizeof(status));
	for (size_t i = 0; i < PROBES; i++)
		if (probes[i].after != -2 && seen.probes[i] != probes[i].after)
			fail_msg("%s: %s", probes[i].name, strerror(seen.probes[i]));
	assert_non_null(
	    strstr(status, "\nCapInh:\t0000000000000000\nCapPrm:\t0000000000000000\nCapEff:\t0000000000000000\n"));
	assert_non_null(strstr(status, "\nCapAmb:\t0000000000000000\n"));
	assert_non_null(strstr(status, "\nNoNewPrivs:\t1\n"));
	assert_non_null(strstr(status, "\nSeccomp:\t2\n"));
	/* Landlock is used where the kernel has it */
	const long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, 1);
	assert_int_equal(seen.confined.landlock, abi >= 1);
	/* and listening is left only where no port can be chosen for it */
	assert_int_equal(seen.confined.may_listen, abi >= 4);
	assert_int_equal(seen.listen, abi >= 4 ? 0 : EPERM);
	assert_int_equal(seen.bind_tcp, abi >= 4 ? EACCES : 0);
	if (abi >= 1) {
		assert_int_equal(seen.open_outside, EACCES);
		assert_int_equal(seen.write_hosts, EACCES);
		assert_int_equal(seen.list_root, EACCES);
		assert_int_equal(seen.list_proc, EACCES);
		assert_true(seen.audit_outside == EACCES || seen.audit_outside == EXDEV);
	}
}

static void what_it_still_may(void **state)
{
	static char status[8192];
	struct seen seen = { 0 };

	(void)state;
	run_child(true, &seen, status, sizeof(status));
	assert_int_equal(seen.open_hosts, 0);
	assert_int_equal(seen.open_library, 0);
	assert_int_equal(seen.audit_write, 0);
	assert_int_equal(seen.audit_rename, 0);
	assert_int_equal(seen.audit_unlink, 0);
	assert_int_equal(seen.localhost, 0);
	assert_int_not_equal(seen.nobody, 0);
	assert_int_equal(seen.thread, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(before_it_is_confined),
		cmocka_unit_test(what_it_may_no_longer),
		cmocka_unit_test(what_it_still_may),
	};

	return cmocka_run_group_tests(tests, prepare, clean);
}
