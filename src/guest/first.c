/*
 * The first program of a sandbox: `first CHECK... -- COMMAND [ARGUMENT...]` looks at what has been mounted and starts
 * the command. Names are looked up outside, and again by whoever mounts; who may rename something in between could have
 * put anything there. What it finds is the last word, because it looks from where the server will look.
 *
 * It stays as the command's parent: servers take process 1 as parent, or being process 1, for the sign that their
 * client has gone. It keeps no descriptor, ends as the command does (128+n for signal n) and passes on the signals that
 * process 1 sends, which is how a container's init forwards what its engine was told. All other signals it ignores:
 * what npxc sends it sends to every process inside (contain/group.c), and a server that signals its whole group ends
 * only itself.
 *
 * CHECK is KIND MODE MAJOR:MINOR:INODE=PATH in one word, without blanks: "dr8:1:1234=/home/me/project".
 *
 *     KIND  d directory, f regular file, s socket, o none of these
 *     MODE  r mounted read-only, w either
 *           R, W the same for what lies in another mount: a place that the server itself may not look at passes
 *     MAJOR:MINOR:INODE  of the file that was meant, in decimal; "-" when only kind and mode count
 *
 * The word "seal" behind the checks closes what namespaces and read-only mounts leave open, for the command and all
 * that it starts, by Landlock (ABI 2, Linux 5.19; with less nothing is done):
 *
 * - FIFOs open for writing only beneath mounts that are writable. (For a regular file the mount's own EROFS comes
 *   first.) What lies beneath a writable mount is open with it, another mount in there too: Landlock knows no
 *   exception below what is allowed.
 * - From ABI 6 on (Linux 6.12) no abstract UNIX socket of a process outside is reached, whatever network namespace this
 *   is, and no process outside gets a signal.
 * - From ABI 9 on (Linux 7.1) a named UNIX socket connects only to what was made inside, or is mounted by itself.
 *
 * Here and not before bubblewrap: a domain that handles files forbids to mount, and one that does not, of scopes alone,
 * makes every domain within it refuse renames between directories (as soon as one layer handles files, REFER counts as
 * handled in all; seen on Linux 6.18), so that a server which confines itself would break.
 *
 * One line on stderr and FIRST_STATUS (guest/first.h) tell npxc when a check fails or the command cannot be run. The
 * command is looked up on PATH as execvp does.
 *
 * Compiled without a C library and linked statically, so that it runs in any image: Linux, x86-64 and aarch64.
 * Mustn't: open a file for anything but looking (a FIFO can wait, a device can have effects), or follow a link.
 * Facts: O_PATH and fstatfs on it (Linux 3.12), statx with AT_EMPTY_PATH (4.11), f_flags of statfs (2.6.36),
 * STATX_MNT_ID (5.8). man 5 proc_pid_mountinfo. LANDLOCK_ACCESS_FS_RESOLVE_UNIX is bit 16, and lets through what was
 * made in the domain itself: include/uapi/linux/landlock.h, security/landlock/fs.c of Linux 7.1. A ruleset that handles
 * any access to files refuses REFER (a rename between directories) where no rule grants it: man 7 landlock.
 */
#include "guest/first.h"

#include "base/landlock.h"

#include <asm/errno.h>
#include <asm/statfs.h>
#include <asm/unistd.h>
#include <linux/fcntl.h>
#include <linux/landlock.h>
#include <linux/signal.h>
#include <linux/stat.h>
#include <linux/wait.h>

#ifndef O_PATH
#define O_PATH 010000000
#endif
#ifndef O_CLOEXEC
#define O_CLOEXEC 02000000
#endif
#ifndef O_NOFOLLOW
#ifdef __aarch64__
#define O_NOFOLLOW 0100000
#else
#define O_NOFOLLOW 0400000
#endif
#endif

#ifndef STATX_MNT_ID
#define STATX_MNT_ID 0x1000U
#endif
#ifndef LANDLOCK_ACCESS_FS_REFER
#define LANDLOCK_ACCESS_FS_REFER (1ULL << 13)
#endif
#ifndef LANDLOCK_ACCESS_FS_RESOLVE_UNIX
#define LANDLOCK_ACCESS_FS_RESOLVE_UNIX (1ULL << 16)
#endif

enum { MOUNTED_READ_ONLY = 1, STANDARD_ERROR = 2, PATH_BYTES = 4096, INIT = 1 };

/* ---- the kernel ---- */

#if defined(__x86_64__)
static long call(long number, long a, long b, long c, long d, long e)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	long result;

	__asm__ volatile("syscall"
	                 : "=a"(result)
	                 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
	                 : "rcx", "r11", "memory");
	return result;
}
__asm__(".globl _start\n_start:\n\txor %ebp, %ebp\n\tmov %rsp, %rdi\n\tand $-16, %rsp\n\tcall first_main\n\thlt\n");
#elif defined(__aarch64__)
static long call(long number, long a, long b, long c, long d, long e)
{
	register long x8 __asm__("x8") = number;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;

	__asm__ volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4) : "memory");
	return x0;
}
__asm__(".globl _start\n_start:\n\tmov x29, #0\n\tmov x30, #0\n\tmov x0, sp\n\tbl first_main\n\tbrk #1\n");
#else
// cppcheck-suppress preprocessorErrorDirective ; it knows no architecture
#error "an architecture that the Makefile should have left out"
#endif

__attribute__((noreturn)) static void end(void)
{
	for (;;)
		call(__NR_exit_group, FIRST_STATUS, 0, 0, 0, 0);
}

/* ---- text ---- */

static unsigned long length_of(const char *text)
{
	unsigned long length = 0;

	while (text[length] != '\0')
		length++;
	return length;
}

static void say(const char *text)
{
	call(__NR_write, STANDARD_ERROR, (long)text, (long)length_of(text), 0, 0);
}

__attribute__((noreturn)) static void fail(const char *what, const char *name)
{
	say(FIRST_PREFIX);
	say(what);
	say(name);
	say("\n");
	end();
}

static int same(const char *a, const char *b)
{
	while (*a != '\0' && *a == *b) {
		a++;
		b++;
	}
	return *a == *b;
}

/* Decimal digits up to `stop`, which is passed over; a word that npxc did not write ends here. */
static unsigned long number_before(const char **text, char stop, const char *word)
{
	unsigned long value = 0;

	if (**text < '0' || **text > '9')
		fail("not a check: ", word);
	for (; **text >= '0' && **text <= '9'; (*text)++)
		value = value * 10 + (unsigned long)(**text - '0');
	if (**text != stop)
		fail("not a check: ", word);
	(*text)++;
	return value;
}

/* The analyzer does not see what the kernel writes. */
// NOLINTBEGIN(clang-analyzer-core.CallAndMessage,clang-analyzer-core.UndefinedBinaryOperatorResult)

/* ---- the checks ---- */

static char kind_of(unsigned mode)
{
	switch (mode & 0170000) {
	case 0040000:
		return 'd';
	case 0100000:
		return 'f';
	case 0140000:
		return 's';
	case 0120000:
		return 'l'; /* which no check asks for */
	default:
		return 'o';
	}
}

static void check(const char *word)
{
	const char kind = word[0];
	const char mode = kind != '\0' ? word[1] : '\0';
	const int nested = mode == 'R' || mode == 'W';
	const int read_only = mode == 'r' || mode == 'R';
	unsigned long major = 0, minor = 0, inode = 0;
	const char *path = word + 2;
	struct statx info;
	struct statfs system;
	int any = 0;

	if ((kind != 'd' && kind != 'f' && kind != 's' && kind != 'o') || (!read_only && mode != 'w' && mode != 'W'))
		fail("not a check: ", word);
	if (path[0] == '-' && path[1] == '=') {
		any = 1;
		path += 2;
	} else {
		major = number_before(&path, ':', word);
		minor = number_before(&path, ':', word);
		inode = number_before(&path, '=', word);
	}
	const long fd = call(__NR_openat, AT_FDCWD, (long)path, O_PATH | O_NOFOLLOW | O_CLOEXEC, 0, 0);
	if (nested && fd == -EACCES)
		return;
	if (fd < 0)
		fail(FIRST_OTHER, path);
	if (call(__NR_statx, fd, (long)"", AT_EMPTY_PATH, STATX_TYPE | STATX_INO, (long)&info) != 0)
		fail("cannot look at ", path);
	// NOLINTNEXTLINE(clang-analyzer-core.*) ; the kernel has filled it, which the analyzer cannot see
	if (kind_of(info.stx_mode) != kind ||
	    (!any && (info.stx_dev_major != major || info.stx_dev_minor != minor || info.stx_ino != inode)))
		fail(FIRST_OTHER, path);
	if (read_only && (call(__NR_fstatfs, fd, (long)&system, 0, 0, 0) != 0 ||
	                  ((unsigned long)system.f_flags & MOUNTED_READ_ONLY) == 0))
		fail(FIRST_WRITABLE, path);
	call(__NR_close, fd, 0, 0, 0, 0);
}

/* ---- sealing ---- */

enum { LINE_BYTES = 16384 /* a path may be escaped to four times its length */ };

struct rules { /* struct landlock_ruleset_attr of ABI 6 */
	unsigned long long handled_access_fs, handled_access_net, scoped;
};

/* LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET and LANDLOCK_SCOPE_SIGNAL */
#define SCOPES 3ULL

static void allow(long ruleset, long fd, unsigned long long access)
{
	const struct landlock_path_beneath_attr rule = { .allowed_access = access, .parent_fd = (int)fd };

	if (call(__NR_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, (long)&rule, 0, 0) != 0)
		fail(FIRST_CANNOT_SEAL, "no rule");
}

/* The next word of a line of mountinfo, ended by a NUL in place; what follows it in `line`. */
static char *next_word(char **line)
{
	char *word = *line, *end = word;

	while (*end != ' ' && *end != '\0')
		end++;
	*line = *end == ' ' ? end + 1 : end;
	*end = '\0';
	return word;
}

/* A blank stands there as \040, a backslash as \134. */
static void unescape(char *text)
{
	char *to = text;

	for (const char *from = text; *from != '\0'; from++) {
		if (from[0] == '\\' && from[1] >= '0' && from[1] <= '3' && from[2] >= '0' && from[2] <= '7' &&
		    from[3] >= '0' && from[3] <= '7') {
			*to++ = (char)((from[1] - '0') * 64 + (from[2] - '0') * 8 + (from[3] - '0'));
			from += 3;
		} else {
			*to++ = *from;
		}
	}
	*to = '\0';
}

/* A mount that another one covers, or that cannot be looked at, cannot be used by its name either. */
static void allow_mount(long ruleset, char *line, int with_sockets)
{
	const char *number = next_word(&line);
	unsigned long id = 0;
	struct statx info;
	char *path;
	const char *options;
	long fd;

	for (; *number >= '0' && *number <= '9'; number++)
		id = id * 10 + (unsigned long)(*number - '0');
	for (int i = 0; i < 3; i++) /* its parent's number, the device, what of it is mounted */
		next_word(&line);
	path = next_word(&line);
	options = next_word(&line);
	unescape(path);
	fd = call(__NR_openat, AT_FDCWD, (long)path, O_PATH | O_NOFOLLOW | O_CLOEXEC, 0, 0);
	if (fd < 0)
		return;
	if (call(__NR_statx, fd, (long)"", AT_EMPTY_PATH, STATX_TYPE | STATX_MNT_ID, (long)&info) == 0 &&
	    // NOLINTNEXTLINE(clang-analyzer-core.*) ; the same
	    (info.stx_mask & STATX_MNT_ID) != 0 && info.stx_mnt_id == id) {
		if (with_sockets && kind_of(info.stx_mode) == 's')
			allow(ruleset, fd, LANDLOCK_ACCESS_FS_RESOLVE_UNIX);
		if (options[0] == 'r' && options[1] == 'w')
			allow(ruleset, fd, LANDLOCK_ACCESS_FS_WRITE_FILE);
	}
	call(__NR_close, fd, 0, 0, 0, 0);
}

static void allow_mounts(long ruleset, int with_sockets)
{
	char bytes[LINE_BYTES + 1];
	const long fd = call(__NR_openat, AT_FDCWD, (long)"/proc/self/mountinfo", O_RDONLY | O_CLOEXEC, 0, 0);
	unsigned long held = 0;

	if (fd < 0)
		fail(FIRST_CANNOT_SEAL, "no mountinfo");
	for (;;) {
		const long got = call(__NR_read, fd, (long)(bytes + held), (long)(LINE_BYTES - held), 0, 0);
		unsigned long used = 0;

		if (got < 0 || (got == 0 && held > 0))
			fail(FIRST_CANNOT_SEAL, "mountinfo");
		if (got == 0)
			break;
		held += (unsigned long)got;
		for (unsigned long i = 0; i < held; i++) {
			// NOLINTNEXTLINE(clang-analyzer-core.*) ; the same
			if (bytes[i] != '\n')
				continue;
			bytes[i] = '\0';
			allow_mount(ruleset, bytes + used, with_sockets);
			used = i + 1;
		}
		if (used == 0 && held == LINE_BYTES)
			fail(FIRST_CANNOT_SEAL, "a mount's line");
		for (unsigned long i = used; i < held; i++)
			bytes[i - used] = bytes[i];
		held -= used;
	}
	call(__NR_close, fd, 0, 0, 0, 0);
}

static void seal(void)
{
	const long abi = call(__NR_landlock_create_ruleset, 0, 0, LANDLOCK_CREATE_RULESET_VERSION, 0, 0);
	struct rules rules = { .handled_access_fs = LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REFER };
	/* The first field is all that the first ABIs had. */
	const unsigned long size = abi >= LANDLOCK_ABI_SCOPED ? sizeof(rules) : sizeof(rules.handled_access_fs);
	long ruleset, root;

	if (abi < LANDLOCK_ABI_REFER)
		return;
	if (abi >= LANDLOCK_ABI_SCOPED)
		rules.scoped = SCOPES;
	if (abi >= LANDLOCK_ABI_RESOLVE_UNIX)
		rules.handled_access_fs |= LANDLOCK_ACCESS_FS_RESOLVE_UNIX;
	ruleset = call(__NR_landlock_create_ruleset, (long)&rules, (long)size, 0, 0, 0);
	root = call(__NR_openat, AT_FDCWD, (long)"/", O_PATH | O_CLOEXEC, 0, 0);
	if (ruleset < 0 || root < 0)
		fail(FIRST_CANNOT_SEAL, "no ruleset");
	allow(ruleset, root, LANDLOCK_ACCESS_FS_REFER);
	allow_mounts(ruleset, abi >= LANDLOCK_ABI_RESOLVE_UNIX);
	if (call(__NR_landlock_restrict_self, ruleset, 0, 0, 0, 0) != 0)
		fail(FIRST_CANNOT_SEAL, "not restricted");
	call(__NR_close, root, 0, 0, 0, 0);
	call(__NR_close, ruleset, 0, 0, 0, 0); /* which closes on exec anyway */
}

/* ---- the command ---- */

/* Like execvp: a directory of PATH that has it not, or not for us, is passed over. Returns the last error. */
static long run(char **command, char **environment)
{
	char path[PATH_BYTES];
	const char *name = command[0];
	const char *search = "/usr/local/bin:/usr/bin:/bin";
	const unsigned long length = length_of(name);
	long error = -ENOENT;

	for (const char *c = name; *c != '\0'; c++)
		if (*c == '/')
			return call(__NR_execve, (long)name, (long)command, (long)environment, 0, 0);
	for (char **variable = environment; *variable != 0; variable++)
		if ((*variable)[0] == 'P' && (*variable)[1] == 'A' && (*variable)[2] == 'T' && (*variable)[3] == 'H' &&
		    (*variable)[4] == '=')
			search = *variable + 5;
	while (length > 0) {
		unsigned long used = 0;

		for (; *search != '\0' && *search != ':'; search++)
			if (used < PATH_BYTES)
				path[used++] = *search;
		if (used > 0 && used + 1 + length < PATH_BYTES) {
			path[used++] = '/';
			for (unsigned long i = 0; i <= length; i++)
				path[used + i] = name[i];
			const long got = call(__NR_execve, (long)path, (long)command, (long)environment, 0, 0);
			error = got == -ENOENT || got == -ENOTDIR ? error : got;
		}
		if (*search == '\0')
			break;
		search++;
	}
	return error;
}

/* ---- the parent ---- */

/* From here on every signal waits until it is asked for. SIGCHLD may have been inherited as ignored, which would lose
 * the command's status. */
static unsigned long block_signals(void)
{
	const unsigned long ordinary[4] = { 0 }; /* the kernel's struct sigaction: SIG_DFL, and nothing else */
	const unsigned long all = ~0UL;
	unsigned long before = 0;

	call(__NR_rt_sigaction, SIGCHLD, (long)ordinary, 0, sizeof(all), 0);
	call(__NR_rt_sigprocmask, SIG_SETMASK, (long)&all, (long)&before, sizeof(all), 0);
	return before;
}

/* Ends as the command does. */
__attribute__((noreturn)) static void stay(long command)
{
	const unsigned long all = ~0UL;

	for (int fd = 0; fd <= STANDARD_ERROR; fd++)
		call(__NR_close, fd, 0, 0, 0, 0);
	for (;;) {
		siginfo_t info;
		int status = 0;
		const long number = call(__NR_rt_sigtimedwait, (long)&all, (long)&info, 0, sizeof(all), 0);

		// NOLINTNEXTLINE(clang-analyzer-core.*) ; the kernel has filled it, which the analyzer cannot see
		if (number > 0 && number != SIGCHLD && info.si_code == SI_USER && info.si_pid == INIT)
			call(__NR_kill, command, number, 0, 0, 0);
		if (call(__NR_wait4, command, (long)&status, WNOHANG, 0, 0) != command)
			continue;
		/* The low seven bits: the signal, 0 for none; the next byte: the status. */
		call(__NR_exit_group, (status & 0x7f) != 0 ? 128 + (status & 0x7f) : (status >> 8) & 0xff, 0, 0, 0, 0);
	}
}

/* `stack` as the kernel left it: the count of words, the words, NULL, the environment, NULL. Called by _start. */
__attribute__((noreturn, used)) void first_main(long *stack);

void first_main(long *stack)
{
	char **words = (char **)(stack + 1);
	char **environment = words + *stack + 1;
	long at = 1;

	for (; at < *stack && !same(words[at], "--"); at++) {
		if (same(words[at], FIRST_SEAL))
			seal();
		else
			check(words[at]);
	}
	if (at + 1 >= *stack)
		fail("no command", "");
	const unsigned long mask = block_signals();
	const long command = call(__NR_clone, SIGCHLD, 0, 0, 0, 0);
	if (command < 0)
		fail("no process for ", words[at + 1]);
	if (command > 0)
		stay(command);
	call(__NR_rt_sigprocmask, SIG_SETMASK, (long)&mask, 0, sizeof(mask), 0);
	const long error = run(words + at + 1, environment);
	fail(error == -ENOENT   ? FIRST_CANNOT_FIND
	     : error == -EACCES ? FIRST_MAY_NOT_RUN
	                        : FIRST_CANNOT_RUN,
	     words[at + 1]);
}

// NOLINTEND(clang-analyzer-core.CallAndMessage,clang-analyzer-core.UndefinedBinaryOperatorResult)
