#include "contain/profile.h"

#include "base/mem.h"
#include "base/str.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

/* Linux numbers, also when this is compiled elsewhere: a guest is always Linux. */
enum { FAMILY_UNIX = 1, FAMILY_INET = 2, FAMILY_INET6 = 10, FAMILY_NETLINK = 16 };
enum { ERROR_NUMBER_PERM = 1, ERROR_NUMBER_NOSYS = 38 };

/* CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID and NEWNET. */
#define CLONE_NAMESPACES 0x7e020000U

static const char *const architectures[] = {
	"SCMP_ARCH_X86_64",
	"SCMP_ARCH_AARCH64",
	"SCMP_ARCH_PPC64LE",
	"SCMP_ARCH_RISCV64",
};

/* What a 64-bit program without capabilities may call. A name that an architecture lacks is passed over there. */
/* clang-format off */
static const char allowed[] =
	/* files */
	"access chdir chmod chown close close_range copy_file_range creat dup dup2 dup3 faccessat faccessat2 "
	"fadvise64 fallocate fchdir fchmod fchmodat fchmodat2 fchown fchownat cachestat fdatasync "
	"fgetxattr flistxattr flock fremovexattr fsetxattr fstat fstatfs fsync ftruncate futimesat getcwd "
	"getdents getdents64 getxattr ioctl lchown lgetxattr link linkat listxattr llistxattr lremovexattr lseek "
	"lsetxattr lstat mkdir mkdirat mknod mknodat newfstatat open openat openat2 pread64 preadv preadv2 "
	"pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv removexattr rename renameat "
	"renameat2 rmdir sendfile setxattr splice stat statfs statx symlink symlinkat sync sync_file_range "
	"sync_file_range2 syncfs tee truncate umask unlink unlinkat utime utimensat utimes vmsplice write writev "
	/* waiting */
	"epoll_create epoll_create1 epoll_ctl epoll_pwait epoll_pwait2 epoll_wait eventfd eventfd2 "
	"inotify_add_watch inotify_init inotify_init1 inotify_rm_watch io_cancel io_destroy io_getevents "
	"io_pgetevents io_setup io_submit pipe pipe2 poll ppoll pselect6 select signalfd signalfd4 "
	/* memory */
	"brk madvise membarrier memfd_create mincore mlock mlock2 mlockall mmap mprotect mremap msync munlock "
	"munlockall munmap mseal map_shadow_stack pkey_alloc pkey_free pkey_mprotect remap_file_pages shmat "
	"shmctl shmdt shmget "
	/* processes and threads */
	"arch_prctl capget capset execve execveat exit exit_group fork futex futex_waitv futex_wait futex_wake "
	"futex_requeue get_robust_list getcpu getpgid getpgrp getpid getppid getpriority getrlimit getrusage "
	"getsid gettid ioprio_get ioprio_set kill pause pidfd_open pidfd_send_signal prctl prlimit64 "
	"restart_syscall riscv_flush_icache riscv_hwprobe rseq sched_get_priority_max sched_get_priority_min "
	"sched_getaffinity sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval "
	"sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield set_robust_list "
	"set_tid_address setpgid setpriority setrlimit setsid tgkill tkill vfork wait4 waitid waitpid "
	/* who one is; without capabilities these can only take away */
	"getegid geteuid getgid getgroups getresgid getresuid getuid setfsgid setfsuid setgid setgroups setregid "
	"setresgid setresuid setreuid setuid "
	/* confining oneself further */
	"landlock_add_rule landlock_create_ruleset landlock_restrict_self seccomp "
	/* signals */
	"rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait "
	"rt_tgsigqueueinfo sigaltstack "
	/* time */
	"alarm clock_getres clock_gettime clock_nanosleep getitimer gettimeofday nanosleep setitimer time "
	"timer_create timer_delete timer_getoverrun timer_gettime timer_settime timerfd_create timerfd_gettime "
	"timerfd_settime times "
	/* sockets, once they are made */
	"accept accept4 bind connect getpeername getsockname getsockopt listen recv recvfrom recvmmsg recvmsg "
	"send sendmmsg sendmsg sendto setsockopt shutdown "
	/* messages between processes */
	"mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedsend mq_unlink msgctl msgget msgrcv msgsnd "
	"semctl semget semop semtimedop "
	/* the system */
	"getrandom sysinfo uname";
/* clang-format on */

/* `names`: with a blank between two. */
static cJSON *add_rule(cJSON *rules, const char *names, const char *action)
{
	cJSON *rule = cJSON_CreateObject();
	cJSON *list = cJSON_AddArrayToObject(rule, "names");

	for (const char *name = names; *name != '\0'; name += strspn(name, " ")) {
		size_t length = strcspn(name, " ");
		mem_cleanup char *one = str_dup_n(name, length);

		cJSON_AddItemToArray(list, cJSON_CreateString(one));
		name += length;
	}
	cJSON_AddStringToObject(rule, "action", action);
	cJSON_AddItemToArray(rules, rule);
	return rule;
}

/* `value_two` is what `argument & value` has to be, for SCMP_CMP_MASKED_EQ. */
static void add_argument_at(cJSON *rule, unsigned index, double value, double value_two, const char *comparison)
{
	cJSON *list = cJSON_AddArrayToObject(rule, "args");
	cJSON *argument = cJSON_CreateObject();

	cJSON_AddNumberToObject(argument, "index", index);
	cJSON_AddNumberToObject(argument, "value", value);
	cJSON_AddNumberToObject(argument, "valueTwo", value_two);
	cJSON_AddStringToObject(argument, "op", comparison);
	cJSON_AddItemToArray(list, argument);
}

static void add_argument(cJSON *rule, double value, double value_two, const char *comparison)
{
	add_argument_at(rule, 0, value, value_two, comparison);
}

/*
 * Every command of fcntl that Linux has but F_SETPIPE_SZ (1031), with which a guest would take the pipe pages of its
 * user. By blocks of numbers, because a profile cannot refuse a part of what it allows, and "not equal" would compare
 * 64 bits of an argument of which the kernel looks at 32.
 */
static void add_fcntl(cJSON *rules)
{
	static const struct {
		unsigned first, count; /* a power of two that divides the first */
	} blocks[] = {
		{ 0, 32 },                 /* POSIX, and Linux's early ones */
		{ 32, 8 },                 /* locks of open file descriptions */
		{ 1024, 4 },               /* F_LINUX_SPECIFIC_BASE: leases, notes */
		{ 1028, 2 },  { 1030, 1 }, /* F_DUPFD_CLOEXEC */
		{ 1032, 8 },               /* F_GETPIPE_SZ, seals, hints */
		{ 1040, 16 },
	};

	for (size_t i = 0; i < sizeof(blocks) / sizeof(blocks[0]); i++)
		add_argument_at(add_rule(rules, "fcntl", "SCMP_ACT_ALLOW"), 1,
		                (double)(0xffffffffU - (blocks[i].count - 1)), blocks[i].first, "SCMP_CMP_MASKED_EQ");
}

static void add_families(cJSON *rules)
{
	static const double families[] = { FAMILY_UNIX, FAMILY_INET, FAMILY_INET6, FAMILY_NETLINK };

	for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++)
		add_argument(add_rule(rules, "socket socketpair", "SCMP_ACT_ALLOW"), families[i], 0, "SCMP_CMP_EQ");
}

static void add_architectures(cJSON *profile)
{
	cJSON *list = cJSON_AddArrayToObject(profile, "archMap");

	for (size_t i = 0; i < sizeof(architectures) / sizeof(architectures[0]); i++) {
		cJSON *one = cJSON_CreateObject();

		cJSON_AddStringToObject(one, "architecture", architectures[i]);
		cJSON_AddArrayToObject(one, "subArchitectures");
		cJSON_AddItemToArray(list, one);
	}
}

char *profile_seccomp(void)
{
	/* Linux's own personality, and the question which one it is */
	static const double personalities[] = { 0, 0xffffffffU };
	cJSON *profile = cJSON_CreateObject();
	cJSON *rules;
	mem_cleanup char *printed = NULL;

	cJSON_AddStringToObject(profile, "defaultAction", "SCMP_ACT_ERRNO");
	cJSON_AddNumberToObject(profile, "defaultErrnoRet", ERROR_NUMBER_PERM);
	add_architectures(profile);
	rules = cJSON_AddArrayToObject(profile, "syscalls");
	add_rule(rules, allowed, "SCMP_ACT_ALLOW");
	add_families(rules);
	add_fcntl(rules);
	add_argument(add_rule(rules, "clone", "SCMP_ACT_ALLOW"), CLONE_NAMESPACES, 0, "SCMP_CMP_MASKED_EQ");
	cJSON_AddNumberToObject(add_rule(rules, "clone3", "SCMP_ACT_ERRNO"), "errnoRet", ERROR_NUMBER_NOSYS);
	for (size_t i = 0; i < sizeof(personalities) / sizeof(personalities[0]); i++)
		add_argument(add_rule(rules, "personality", "SCMP_ACT_ALLOW"), personalities[i], 0, "SCMP_CMP_EQ");
	printed = cJSON_PrintUnformatted(profile);
	cJSON_Delete(profile);
	return str_dup(printed);
}
