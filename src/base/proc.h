#ifndef NPXC_BASE_PROC_H
#define NPXC_BASE_PROC_H

#include "base/buf.h"
#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Runs a program to its end and keeps what it printed: npm's configuration questions, a container CLI, `npm install`.
 * No shell. The child gets a process group of its own, default signal dispositions and an empty signal mask, stdin
 * from `input` (or /dev/null), and no descriptor but 0, 1, 2 and those of `prepare`. On Linux it dies with npxc.
 */
struct proc_command {
	char *const *argv;        /* argv[0] is an absolute path */
	char *const *environment; /* NULL: npxc's own */
	const char *directory;    /* NULL: npxc's own */
	const char *input;        /* text for stdin; NULL: /dev/null */
	unsigned timeout_ms;      /* then the group gets SIGKILL and `timed_out` is set */
	size_t max_output_bytes;  /* of each stream; more is read and thrown away, `truncated` says so */
	/* Called with each piece of stderr as it comes (progress); may be NULL. */
	void (*on_stderr)(void *context, const char *bytes, size_t count);
	void *context;
	/*
	 * The child's last step before exec; may be NULL. Async-signal-safe calls only. It may place descriptors (dup2)
	 * from 3 up to `placed_below`, from copies that stand at that number or above: they stay open. False, with
	 * errno: the program is not started.
	 */
	bool (*prepare)(const void *context);
	const void *prepare_context;
	int placed_below; /* 0: none are placed */
};

struct proc_result {
	int exit_status; /* -1 when a signal ended it */
	int signal;      /* 0 when it exited */
	bool timed_out;
	bool interrupted; /* npxc was told to end meanwhile (proc_heed): the group got SIGKILL, as when time is over */
	bool truncated;
	/* Their data is never NULL. */
	struct buf output; /* stdout; the first bytes */
	struct buf errors; /* stderr; with a ceiling reached the LAST bytes are kept: the reason stands at the end */
};

/*
 * True when the program was started, whatever became of it: the caller judges the result.
 * A program that cannot be started is ERROR_IO with errno of exec. After the program's own end its group is killed,
 * so that no helper keeps the pipes; one that has left the group and keeps them is not waited for.
 * After a signal (proc_heed) nothing is started: ERROR_IO with EINTR.
 * Installs no handler and needs none: SIGCHLD may have any disposition but SIG_IGN.
 */
bool proc_run(const struct proc_command *command, struct proc_result *ret_result,
              struct npxc_error *err) NPXC_MUST_CHECK;
void proc_result_done(struct proc_result *result);

/*
 * From here on a program that runs is ended as soon as `fd` is readable (base/signals), and none is started any
 * more: npxc has been told to end, and may not wait for a program that hangs. -1: no longer; a forked child that closes
 * descriptors (base/keep) is no longer told. Borrowed.
 */
void proc_heed(int fd);

/* Waits for a child's end and reaps it: its status (wait(2)), -1 with errno. */
int proc_reap(pid_t pid);

/* "exit status 3", "signal 9 (Killed)", "no answer within 20 s"; owned. */
char *proc_result_text(const struct proc_result *result, unsigned timeout_ms);

/*
 * Becomes readable when the process has ended: a pidfd on Linux, a kqueue on macOS. Owned, close-on-exec. -1 with
 * errno: no such process, or the system has no such descriptor (Linux before 5.3, a container that forbids it).
 */
int proc_exit_fd(pid_t pid);

/*
 * What the kernel says about a process. `started` counts since boot in clock ticks (macOS: microseconds of the wall
 * clock); together with the pid and the boot it names one process for ever.
 */
struct proc_look {
	pid_t parent, group, session;
	uint64_t started;
	bool zombie; /* it has ended, and its parent has not looked yet */
};
/* False when there is no such process (on macOS also when it has ended). */
bool proc_look(pid_t pid, struct proc_look *ret_look) NPXC_MUST_CHECK;
/* `started` units in a second. */
uint64_t proc_started_per_second(void);
/* The name of its program, cut by the kernel; "" when it cannot be told; owned. */
char *proc_program(pid_t pid);
/* Names this boot of the machine; "" when it cannot be told; owned. */
char *proc_boot_id(void);

/*
 * Names this machine, other than its boot; "" when it cannot be told; owned. Linux: /etc/machine-id (machine-id(5));
 * macOS: gethostuuid(2).
 */
char *proc_machine_id(void);
/* The inode of this process's pid namespace (namespaces(7)): pids mean the same process where it is the same, within
 * one boot. 0 where there are none, or it cannot be told. */
uint64_t proc_namespace(void);

/* Whether any process of the group is alive (zombies are not). Linux: /proc; macOS: libproc. In doubt: true. */
bool proc_group_alive(pid_t pgid);

#endif
