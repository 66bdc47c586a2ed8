#ifndef NPXC_TESTS_SANDBOX_RUN_H
#define NPXC_TESTS_SANDBOX_RUN_H

#include "unit.h"

#include "base/fd.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"
#include "contain/reach.h"
#include "runtime/runtime.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Runs a runtime_start for real, the way a session does, and keeps what came out of it. */
struct sandbox_result {
	int exit_status, signal;
	struct buf output, errors, status;
};

/* Called in the child before the drop (still root when the test is). */
typedef void (*sandbox_prepare)(void *context);

static inline void sandbox_result_done(struct sandbox_result *result)
{
	buf_done(&result->output);
	buf_done(&result->errors);
	buf_done(&result->status);
}

static inline void sandbox_must(bool ok, const char *what)
{
	if (ok)
		return;
	dprintf(2, "test child: %s: %s\n", what, strerror(errno));
	_exit(125);
}

static inline void sandbox_child(const struct runtime_start *start, char **argv, char **environment, const int *files,
                                 sandbox_prepare prepare, void *context)
{
	struct npxc_error err = { 0 };
	int out = fcntl(files[0], F_DUPFD_CLOEXEC, 600);
	int errors = fcntl(files[1], F_DUPFD_CLOEXEC, 600);
	int status = fcntl(files[2], F_DUPFD_CLOEXEC, 600);
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	sandbox_must(dup2(null, 0) == 0 && dup2(out, 1) == 1 && dup2(errors, 2) == 2, "dup2");
	sandbox_must(setsid() != -1, "setsid");
	if (prepare != NULL)
		prepare(context);
	sandbox_must(fd_set_close_on_exec_from(3, &err), err.message);
	for (size_t i = 0; i < start->data_count; i++) {
		int fd;
		int above;

		sandbox_must(fd_of_data(start->data[i].bytes, start->data[i].length, &fd, &err), err.message);
		above = fcntl(fd, F_DUPFD_CLOEXEC, 600);
		sandbox_must(above != -1 && dup2(above, start->data[i].fd) == start->data[i].fd, "lay out data");
	}
	if (start->status_fd != -1)
		sandbox_must(dup2(status, start->status_fd) == start->status_fd, "lay out the status pipe");
	if (start->drop_to_uid)
		sandbox_must(reach_and_drop(start->reach.v, NULL, start->reach.count, SANDBOX_DROP_UID, &err),
		             err.message);
	alarm(60);
	execve(argv[0], argv, environment);
	sandbox_must(false, argv[0]);
}

static inline int sandbox_file(void)
{
	char path[] = "/tmp/npxc-test-XXXXXX";
	int fd = mkstemp(path);

	assert_true(fd != -1);
	unlink(path);
	return fd;
}

static inline void sandbox_read(int fd, struct buf *ret_text)
{
	struct npxc_error err = { 0 };

	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	*ret_text = BUF_INIT((size_t)1024 * 1024);
	if (!fd_read_all(fd, ret_text, &err) || !buf_append(ret_text, "", 0, &err))
		fail_msg("%s", err.message);
	close(fd);
}

/* stdout, stderr and status go to files: nothing here can block on a full pipe. */
static inline void sandbox_run_start(struct runtime_start *start, sandbox_prepare prepare, void *context,
                                     struct sandbox_result *ret_result)
{
	int files[3] = { sandbox_file(), sandbox_file(), sandbox_file() };
	char **argv = strv_argv(&start->argv);
	char **environment = strv_argv(&start->env);
	int ended = 0;
	pid_t pid = fork();

	assert_true(pid != -1);
	if (pid == 0)
		sandbox_child(start, argv, environment, files, prepare, context);
	while (waitpid(pid, &ended, 0) == -1)
		assert_int_equal(errno, EINTR);
	ret_result->exit_status = WIFEXITED(ended) ? WEXITSTATUS(ended) : -1;
	ret_result->signal = WIFSIGNALED(ended) ? WTERMSIG(ended) : 0;
	sandbox_read(files[0], &ret_result->output);
	sandbox_read(files[1], &ret_result->errors);
	sandbox_read(files[2], &ret_result->status);
}

/* bubblewrap must be here: without it these tests fail, they are not skipped. */
static inline void sandbox_runtime(struct runtime *ret_runtime)
{
	struct npxc_error err = { 0 };

	if (!runtime_find(RUNTIME_BWRAP, NULL, "/usr/local/bin:/usr/bin:/bin", ret_runtime, &err))
		fail_msg("%s", err.message);
}

/* A launch that needs nothing but a command. */
static inline void sandbox_launch(struct launch *ret_launch, const char *const *command, size_t count)
{
	*ret_launch = (struct launch){ .network = LAUNCH_NETWORK_NONE };
	ret_launch->name = str_dup("npxc-test-00000000");
	ret_launch->home = str_dup("/home/npxc");
	ret_launch->directory = str_dup("/home/npxc");
	strv_push_all(&ret_launch->command, command, count);
}

static inline void sandbox_run(const struct launch *launch, struct sandbox_result *ret_result)
{
	struct npxc_error err = { 0 };
	struct runtime runtime;
	struct runtime_start start;

	sandbox_runtime(&runtime);
	if (!runtime_make_start(&runtime, launch, &start, &err))
		fail_msg("%s", err.message);
	sandbox_run_start(&start, NULL, NULL, ret_result);
	runtime_start_done(&start);
	runtime_done(&runtime);
}

/* What a shell script prints inside; owned. The script must end with status 0 and write nothing to stderr. */
static inline char *sandbox_shell(const char *script)
{
	const char *const command[] = { "/bin/sh", "-euc", script };
	struct launch launch;
	struct sandbox_result result;
	char *text;

	sandbox_launch(&launch, command, 3);
	sandbox_run(&launch, &result);
	if (result.exit_status != 0 || result.errors.length != 0)
		fail_msg("status %d, signal %d, stderr: %s", result.exit_status, result.signal, result.errors.data);
	text = buf_take(&result.output);
	sandbox_result_done(&result);
	launch_done(&launch);
	return text;
}

#endif
