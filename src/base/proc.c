#include "base/proc.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/prctl.h>
#include <sys/syscall.h>
#endif
#ifdef __APPLE__
#include <libproc.h>
#include <sys/event.h>
#include <sys/proc.h>
#include <sys/sysctl.h>
#include <uuid/uuid.h>
#endif

extern char **environ;

enum {
	PIECE_BYTES = 64 * 1024,
	/* Where no descriptor tells of a process's end, it is asked for this often. */
	ASK_MS = 10,
};

/* What the child says on the close-on-exec pipe when it does not come to run the program. */
enum child_step { STEP_PREPARE, STEP_DIRECTORY, STEP_EXEC };

struct child_failure {
	enum child_step step;
	int error;
};

struct stream {
	int fd; /* non-blocking; -1 after its end */
	struct buf *kept;
	bool keep_last;
};

struct run {
	const struct proc_command *command;
	struct stream streams[2]; /* stdout, stderr */
	bool truncated;
};

static int heeded = -1; /* see proc_heed */

void proc_heed(int fd)
{
	heeded = fd;
}

static bool is_told_to_end(void)
{
	struct pollfd one = { .fd = heeded, .events = POLLIN };

	return heeded != -1 && poll(&one, 1, 0) == 1;
}

__attribute__((noreturn)) static void child_fail(int fd, enum child_step step)
{
	struct child_failure failure = { step, errno };
	ssize_t ignored = write(fd, &failure, sizeof(failure));

	(void)ignored;
	_exit(127);
}

static bool child_reset_signals(void)
{
	struct sigaction plain = { .sa_handler = SIG_DFL };
	sigset_t none;

	/* Some numbers are refused (SIGKILL, those of the C library): they have their default anyway. */
	for (int number = 1; number < NSIG; number++)
		(void)sigaction(number, &plain, NULL);
	sigemptyset(&none);
	return sigprocmask(SIG_SETMASK, &none, NULL) == 0;
}

static bool child_die_with(pid_t parent)
{
#ifdef __linux__
	return prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == parent;
#else
	(void)parent;
	return true;
#endif
}

/*
 * First all above 2, so that no dup2 runs over a source of the next one (npxc itself may be started without stdio). The
 * report stays out of the way of what the command places, too.
 */
static bool child_place(int standard[3], int placed_below, int *report)
{
	int moved = fcntl(*report, F_DUPFD_CLOEXEC, placed_below > 3 ? placed_below : 3);

	if (moved == -1)
		return false;
	*report = moved;
	for (int i = 0; i < 3; i++) {
		standard[i] = fcntl(standard[i], F_DUPFD_CLOEXEC, 3);
		if (standard[i] == -1)
			return false;
	}
	for (int i = 0; i < 3; i++)
		if (dup2(standard[i], i) == -1)
			return false;
	return true;
}

__attribute__((noreturn)) static void child_run(const struct proc_command *command, int standard[3], int report,
                                                pid_t parent)
{
	struct npxc_error ignored;

	setpgid(0, 0);
	if (!child_place(standard, command->placed_below, &report) || !child_reset_signals() ||
	    !child_die_with(parent) || !fd_set_close_on_exec_from(3, &ignored))
		child_fail(report, STEP_PREPARE);
	if (command->directory != NULL && chdir(command->directory) == -1)
		child_fail(report, STEP_DIRECTORY);
	if (command->prepare != NULL && !command->prepare(command->prepare_context))
		child_fail(report, STEP_PREPARE);
	execve(command->argv[0], command->argv, command->environment != NULL ? command->environment : environ);
	child_fail(report, STEP_EXEC);
}

/* Reads to the exec, or to what kept the child from it. */
static bool child_started(const struct proc_command *command, int report, struct npxc_error *err)
{
	struct child_failure failure;
	ssize_t count;

	do {
		count = read(report, &failure, sizeof(failure));
	} while (count == -1 && errno == EINTR);
	if (count == 0)
		return true;
	if (count == (ssize_t)sizeof(failure))
		errno = failure.error;
	else
		failure.step = STEP_PREPARE;
	switch (failure.step) {
	case STEP_DIRECTORY:
		return error_set_errno(err, ERROR_IO, "cannot change to %s", command->directory);
	case STEP_EXEC:
		return error_set_errno(err, ERROR_IO, "cannot run %s", command->argv[0]);
	case STEP_PREPARE:
		break;
	}
	return error_set_errno(err, ERROR_IO, "cannot prepare a process for %s", command->argv[0]);
}

int proc_reap(pid_t pid)
{
	int status = -1;

	while (waitpid(pid, &status, 0) == -1)
		if (errno != EINTR)
			return -1;
	return status;
}

static bool open_input(const struct proc_command *command, int *ret_fd, struct npxc_error *err)
{
	if (command->input != NULL)
		return fd_of_data(command->input, strlen(command->input), ret_fd, err);
	*ret_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	return *ret_fd != -1 || error_set_errno(err, ERROR_IO, "open /dev/null");
}

/* The reading ends of its two streams become the run's. */
static bool start(struct run *run, pid_t *ret_pid, struct npxc_error *err)
{
	FD_CLEANUP int input = -1;
	FD_CLEANUP int write_out = -1;
	FD_CLEANUP int write_err = -1;
	FD_CLEANUP int report_read = -1;
	FD_CLEANUP int report_write = -1;
	pid_t parent = getpid();
	int ends[2];
	pid_t pid;

	if (!open_input(run->command, &input, err) || !fd_pipe(ends, err))
		return false;
	run->streams[0].fd = ends[0];
	write_out = ends[1];
	if (!fd_pipe(ends, err))
		return false;
	run->streams[1].fd = ends[0];
	write_err = ends[1];
	if (!fd_pipe(ends, err))
		return false;
	report_read = ends[0];
	report_write = ends[1];
	for (int i = 0; i < 2; i++)
		if (fcntl(run->streams[i].fd, F_SETFL, O_NONBLOCK) == -1)
			return error_set_errno(err, ERROR_IO, "non-blocking pipe");
	pid = fork();
	if (pid == -1)
		return error_set_errno(err, ERROR_IO, "fork");
	if (pid == 0)
		child_run(run->command, (int[3]){ input, write_out, write_err }, report_write, parent);
	/* In both processes: neither may act on the group before it is there. Refused once the child has done it. */
	setpgid(pid, pid);
	fd_close(&report_write);
	if (!child_started(run->command, report_read, err)) {
		proc_reap(pid);
		return false;
	}
	*ret_pid = pid;
	return true;
}

/* Never fails: what has no room is dropped and marked. */
static void keep(struct run *run, struct stream *stream, const char *bytes, size_t count)
{
	struct buf *kept = stream->kept;
	size_t ceiling = run->command->max_output_bytes;
	struct npxc_error ignored;

	if (stream->keep_last) {
		/* The buffer has twice the ceiling's room, so that bytes move seldom. */
		if (count > ceiling) {
			bytes += count - ceiling;
			count = ceiling;
			buf_consume(kept, kept->length);
			run->truncated = true;
		} else if (kept->length + count > kept->max_bytes) {
			buf_consume(kept, kept->length + count - ceiling);
			run->truncated = true;
		}
	} else if (count > ceiling - kept->length) {
		count = ceiling - kept->length;
		run->truncated = true;
	}
	(void)!buf_append(kept, bytes, count, &ignored);
}

/* One piece. False when nothing is there now; at the end of file the stream is closed. */
static bool read_piece(struct run *run, struct stream *stream)
{
	char bytes[PIECE_BYTES];
	ssize_t count = read(stream->fd, bytes, sizeof(bytes));

	if (count == -1 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
		return false;
	if (count <= 0) {
		fd_close(&stream->fd);
		return false;
	}
	keep(run, stream, bytes, (size_t)count);
	if (stream == &run->streams[1] && run->command->on_stderr != NULL)
		run->command->on_stderr(run->command->context, bytes, (size_t)count);
	return true;
}

/* What the pipes hold now. A helper that left the group may go on writing: more than a pipe holds is not waited for. */
static void read_rest(struct run *run)
{
	for (int i = 0; i < 2; i++)
		for (size_t pieces = 0; run->streams[i].fd != -1 && pieces < LIMIT_RELAY_BYTES / PIECE_BYTES; pieces++)
			if (!read_piece(run, &run->streams[i]))
				break;
}

/* Looks without reaping: as long as the zombie stands, its number is nobody else's process or group. */
static bool has_ended(pid_t pid)
{
	siginfo_t info = { 0 };

	if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == -1)
		return errno == ECHILD;
	return info.si_pid == pid;
}

static void wait_a_turn(struct run *run, int exit_fd, int wake_fd, int64_t left_ms)
{
	struct pollfd fds[4] = {
		{ .fd = run->streams[0].fd, .events = POLLIN },
		{ .fd = run->streams[1].fd, .events = POLLIN },
		{ .fd = exit_fd, .events = POLLIN },
		{ .fd = wake_fd, .events = POLLIN },
	};
	int64_t most = exit_fd != -1 ? left_ms : (left_ms < ASK_MS ? left_ms : ASK_MS);

	if (poll(fds, 4, most < INT_MAX ? (int)most : INT_MAX) <= 0)
		return;
	for (int i = 0; i < 2; i++)
		if (fds[i].revents != 0)
			read_piece(run, &run->streams[i]);
}

/* True when the program ended by itself or was killed; false when it outlived the deadline, or npxc is told to end. */
static bool wait_until(struct run *run, pid_t pid, int exit_fd, bool heeds, int64_t deadline)
{
	for (;;) {
		int64_t left = deadline - clock_now_ms();

		if (has_ended(pid))
			return true;
		if (left <= 0 || (heeds && is_told_to_end()))
			return false;
		wait_a_turn(run, exit_fd, heeds ? heeded : -1, left);
	}
}

static void take_status(pid_t pid, struct proc_result *result)
{
	const int status = proc_reap(pid);

	result->exit_status = status != -1 && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
	result->signal = status != -1 && WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void see_to_its_end(struct run *run, pid_t pid, struct proc_result *result)
{
	FD_CLEANUP int exit_fd = proc_exit_fd(pid);
	bool ended = wait_until(run, pid, exit_fd, true, clock_now_ms() + run->command->timeout_ms);

	result->interrupted = !ended && is_told_to_end();
	result->timed_out = !ended && !result->interrupted;
	kill(-pid, SIGKILL);
	if (!ended)
		ended = wait_until(run, pid, exit_fd, false, clock_now_ms() + LIMIT_KILL_VERIFY_MS);
	read_rest(run);
	if (ended) {
		take_status(pid, result);
	} else {
		/* Killed, and held up in the kernel: it is not waited for. */
		result->exit_status = -1;
		result->signal = SIGKILL;
	}
}

bool proc_run(const struct proc_command *command, struct proc_result *ret_result, struct npxc_error *err)
{
	size_t ceiling = command->max_output_bytes;
	struct proc_result result = { .output = BUF_INIT(ceiling), .errors = BUF_INIT(2 * ceiling) };
	struct run run = {
		.command = command,
		.streams = { { .fd = -1, .kept = &result.output },
		             { .fd = -1, .kept = &result.errors, .keep_last = true } },
	};
	pid_t pid = -1;
	bool ok;

	if (is_told_to_end()) {
		errno = EINTR;
		return error_set_errno(err, ERROR_IO, "%s is not started: npxc was told to end", command->argv[0]);
	}
	ok = start(&run, &pid, err);

	if (ok)
		see_to_its_end(&run, pid, &result);
	fd_close(&run.streams[0].fd);
	fd_close(&run.streams[1].fd);
	if (!ok) {
		proc_result_done(&result);
		return false;
	}
	if (result.errors.length > ceiling) {
		buf_consume(&result.errors, result.errors.length - ceiling);
		run.truncated = true;
	}
	result.truncated = run.truncated;
	for (int i = 0; i < 2; i++)
		keep(&run, &run.streams[i], "", 0); /* a program that said nothing said "" */
	*ret_result = result;
	return true;
}

void proc_result_done(struct proc_result *result)
{
	buf_done(&result->output);
	buf_done(&result->errors);
}

char *proc_result_text(const struct proc_result *result, unsigned timeout_ms)
{
	if (result->interrupted)
		return str_dup("ended, because npxc was told to end");
	if (result->timed_out && timeout_ms % 1000 == 0)
		return str_printf("no answer within %u s", timeout_ms / 1000);
	if (result->timed_out)
		return str_printf("no answer within %u ms", timeout_ms);
	if (result->signal != 0)
		return str_printf("signal %d (%s)", result->signal, strsignal(result->signal));
	return str_printf("exit status %d", result->exit_status);
}

int proc_exit_fd(pid_t pid)
{
#if defined(__APPLE__)
	FD_CLEANUP int fd = kqueue();
	struct npxc_error ignored;
	struct kevent change;

	EV_SET(&change, (uintptr_t)pid, EVFILT_PROC, EV_ADD | EV_ONESHOT, NOTE_EXIT, 0, NULL);
	if (fd == -1 || !fd_set_close_on_exec(fd, true, &ignored) || kevent(fd, &change, 1, NULL, 0, NULL) == -1)
		return -1;
	return fd_take(&fd);
#elif defined(SYS_pidfd_open)
	return (int)syscall(SYS_pidfd_open, pid, 0U); /* close-on-exec by itself */
#else
	(void)pid;
	errno = ENOSYS;
	return -1;
#endif
}

#ifdef __linux__

/* The fields of /proc/PID/stat (man 5 proc). The name may hold blanks and brackets, so the last bracket counts. */
static bool parse_look(const char *text, struct proc_look *ret_look)
{
	const char *end = strrchr(text, ')');
	unsigned long long started;
	char state;
	int parent, group, session;

	if (end == NULL ||
	    sscanf(end + 1, " %c %d %d %d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu", &state,
	           &parent, &group, &session, &started) != 5)
		return false;
	*ret_look = (struct proc_look){ .parent = parent,
		                        .group = group,
		                        .session = session,
		                        .started = started,
		                        .zombie = state == 'Z' || state == 'X' };
	return true;
}

static bool read_line_of(const char *path, char *ret_text, size_t size)
{
	FD_CLEANUP int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t count = fd != -1 ? read(fd, ret_text, size - 1) : -1;

	if (count <= 0)
		return false; /* gone meanwhile */
	ret_text[count] = '\0';
	return true;
}

bool proc_look(pid_t pid, struct proc_look *ret_look)
{
	char path[32];
	char text[1024];

	(void)snprintf(path, sizeof(path), "/proc/%ld/stat", (long)pid);
	return read_line_of(path, text, sizeof(text)) && parse_look(text, ret_look);
}

uint64_t proc_started_per_second(void)
{
	long ticks = sysconf(_SC_CLK_TCK);

	return ticks > 0 ? (uint64_t)ticks : 100;
}

char *proc_program(pid_t pid)
{
	char path[32];
	char text[64];

	(void)snprintf(path, sizeof(path), "/proc/%ld/comm", (long)pid);
	if (!read_line_of(path, text, sizeof(text)))
		return str_dup("");
	return str_dup_n(text, strcspn(text, "\n"));
}

char *proc_boot_id(void)
{
	char text[64];

	if (!read_line_of("/proc/sys/kernel/random/boot_id", text, sizeof(text)))
		return str_dup("");
	return str_dup_n(text, strcspn(text, "\n"));
}

char *proc_machine_id(void)
{
	char text[128];

	if (!read_line_of("/etc/machine-id", text, sizeof(text)))
		return str_dup("");
	return str_dup_n(text, strcspn(text, "\n"));
}

uint64_t proc_namespace(void)
{
	struct stat status;

	return stat("/proc/self/ns/pid", &status) == 0 ? (uint64_t)status.st_ino : 0;
}

static bool any_alive_in(pid_t pgid)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	bool alive = false;

	if (proc == NULL)
		return true; /* the signal found somebody */
	while (!alive && (entry = readdir(proc)) != NULL) {
		struct proc_look look;
		uint64_t pid;

		alive = str_to_u64(entry->d_name, INT_MAX, &pid) && proc_look((pid_t)pid, &look) &&
		        look.group == pgid && !look.zombie;
	}
	closedir(proc);
	return alive;
}
#elif defined(__APPLE__)

bool proc_look(pid_t pid, struct proc_look *ret_look)
{
	struct proc_bsdinfo info;
	pid_t session = getsid(pid);

	if (proc_pidinfo(pid, PROC_PIDTBSDINFO, 0, &info, (int)sizeof(info)) != (int)sizeof(info))
		return false;
	*ret_look = (struct proc_look){ .parent = (pid_t)info.pbi_ppid,
		                        .group = (pid_t)info.pbi_pgid,
		                        .session = session,
		                        .started = info.pbi_start_tvsec * 1000000 + info.pbi_start_tvusec,
		                        .zombie = info.pbi_status == SZOMB };
	return true;
}

uint64_t proc_started_per_second(void)
{
	return 1000000;
}

char *proc_program(pid_t pid)
{
	struct proc_bsdinfo info;

	if (proc_pidinfo(pid, PROC_PIDTBSDINFO, 0, &info, (int)sizeof(info)) != (int)sizeof(info))
		return str_dup("");
	return str_dup_n(info.pbi_comm, strnlen(info.pbi_comm, sizeof(info.pbi_comm)));
}

char *proc_boot_id(void)
{
	char text[64];
	size_t size = sizeof(text);

	if (sysctlbyname("kern.bootsessionuuid", text, &size, NULL, 0) == -1)
		return str_dup("");
	return str_dup_n(text, strnlen(text, sizeof(text)));
}

char *proc_machine_id(void)
{
	const struct timespec wait = { .tv_sec = 1 };
	uuid_t id;
	char text[37];

	if (gethostuuid(id, &wait) == -1)
		return str_dup("");
	uuid_unparse_lower(id, text);
	return str_dup(text);
}

uint64_t proc_namespace(void)
{
	return 0;
}

/* Of a group of zombies kill says EPERM here, and also of one whose processes are another user's. Only the list tells.
 */
static bool any_alive_in(pid_t pgid)
{
	pid_t members[1024];
	int bytes = proc_listpids(PROC_PGRP_ONLY, (uint32_t)pgid, members, (int)sizeof(members));

	if (bytes <= 0 || bytes == (int)sizeof(members))
		return true; /* no list, or not all of it */
	for (size_t i = 0; i < (size_t)bytes / sizeof(members[0]); i++) {
		struct proc_bsdinfo info;

		/* 1: zombies too. Less than the whole answer: gone meanwhile. */
		if (proc_pidinfo(members[i], PROC_PIDTBSDINFO, 1, &info, (int)sizeof(info)) == (int)sizeof(info) &&
		    info.pbi_status != SZOMB)
			return true;
	}
	return false;
}
#else

bool proc_look(pid_t pid, struct proc_look *ret_look)
{
	(void)pid;
	(void)ret_look;
	return false;
}

uint64_t proc_started_per_second(void)
{
	return 1;
}

char *proc_program(pid_t pid)
{
	(void)pid;
	return str_dup("");
}

char *proc_boot_id(void)
{
	return str_dup("");
}

char *proc_machine_id(void)
{
	return str_dup("");
}

uint64_t proc_namespace(void)
{
	return 0;
}

static bool any_alive_in(pid_t pgid)
{
	(void)pgid;
	return true; /* the signal found somebody; whether zombies nobody says */
}
#endif

bool proc_group_alive(pid_t pgid)
{
	/* 0 is one's own group, -1 everybody: never what was meant. */
	if (pgid <= 1 || (kill(-pgid, 0) == -1 && errno == ESRCH))
		return false;
	return any_alive_in(pgid);
}
