#ifndef NPXC_TESTS_STORE_RUNNER_H
#define NPXC_TESTS_STORE_RUNNER_H

/*
 * The plainest store_host: runs each launch through bubblewrap to its end, no janitor, no limits. Started by root it
 * drops to the sandbox's user and relies on a store that this user can reach (under /tmp).
 */

#include "base/fd.h"
#include "base/limits.h"
#include "base/mem.h"
#include "runtime/runtime.h"
#include "store/registry.h"
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct store_runner {
	struct runtime runtime;
	unsigned runs;
	unsigned held, released;
	struct strv commands;                      /* each launch's words behind npm-cli.js, joined */
	struct strv reaches;                       /* what each launch was to reach, "-" for nothing */
	void (*before_run)(const struct launch *); /* may be NULL */
	/* Stands in for the egress process: says what this launch was refused; may be NULL. */
	void (*refuse)(const struct launch *, struct refused *);
};

static inline void runner_child(const struct runtime_start *start, int out, int errors, int status)
{
	/* Everything above the numbers that the command expects, then down to them. */
	int high[64];
	size_t count = 0;
	struct npxc_error err;

	for (size_t i = 0; i < start->data_count; i++) {
		int fd;

		if (!fd_of_data(start->data[i].bytes, start->data[i].length, &fd, &err))
			_exit(120);
		high[count++] = fcntl(fd, F_DUPFD, 200);
	}
	for (size_t i = 0; i < start->source_count; i++)
		high[count++] = fcntl(start->sources[i].from, F_DUPFD, 200);
	out = fcntl(out, F_DUPFD, 200);
	errors = fcntl(errors, F_DUPFD, 200);
	status = fcntl(status, F_DUPFD, 200);
	for (size_t i = 0; i < count; i++)
		dup2(high[i], i < start->data_count ? start->data[i].fd : start->sources[i - start->data_count].fd);
	if (start->status_fd >= 0)
		dup2(status, start->status_fd);
	dup2(open("/dev/null", O_RDONLY), 0);
	dup2(out, 1);
	dup2(errors, 2);
	for (int fd = 200; fd < 300; fd++)
		close(fd);
	if (start->drop_to_uid &&
	    (setgroups(0, NULL) != 0 || setresgid(SANDBOX_DROP_UID, SANDBOX_DROP_UID, SANDBOX_DROP_UID) != 0 ||
	     setresuid(SANDBOX_DROP_UID, SANDBOX_DROP_UID, SANDBOX_DROP_UID) != 0))
		_exit(121);
	if (chdir("/") == 0)
		execve(start->argv.v[0], start->argv.v, start->env.v != NULL ? start->env.v : (char *[]){ NULL });
	_exit(122);
}

/* "127.0.0.1:4873 loopback, a.example:443 proxy | rules"; "-" for NULL. Owned. */
static inline char *runner_reach(const struct store_reach *reach)
{
	char *text = str_dup(reach == NULL ? "-" : "");

	for (size_t i = 0; reach != NULL && i < reach->count; i++) {
		mem_cleanup char *before = text;

		text = str_printf("%s%s%s:%u%s%s", before, i > 0 ? ", " : "", reach->v[i].host, reach->v[i].port,
		                  reach->v[i].loopback ? " loopback" : "", reach->v[i].proxy ? " proxy" : "");
	}
	for (size_t i = 0; reach != NULL && reach->allow != NULL && i < reach->allow->count; i++) {
		mem_cleanup char *before = text;

		text = str_printf("%s | %s", before, reach->allow->v[i].text);
	}
	return text;
}

static inline bool runner_run(void *context, struct launch *wanted, const struct store_reach *reach,
                              unsigned timeout_ms, void (*on_stderr)(void *, const char *, size_t), void *progress,
                              struct proc_result *ret_result, struct refused *refused, struct npxc_error *err)
{
	struct launch *launch = (struct launch *)(uintptr_t)wanted; /* the tests' hooks change it */
	struct store_runner *runner = context;
	struct runtime_start start;
	int out[2], errors[2], status[2];
	pid_t pid;
	int wait_status;
	struct proc_result result = { .output = BUF_INIT(LIMIT_CLI_OUTPUT_BYTES),
		                      .errors = BUF_INIT(LIMIT_CLI_OUTPUT_BYTES) };

	runner->runs++;
	{
		struct strv words = { 0 };

		strv_push_all(&words, (const char *const *)launch->command.v + 2, launch->command.count - 2);
		strv_push_owned(&runner->commands, strv_shell(&words));
		strv_done(&words);
	}
	strv_push_owned(&runner->reaches, runner_reach(reach));
	if (launch->network != LAUNCH_NETWORK_NONE)
		abort(); /* the store opens no network by itself */
	launch->network = reach != NULL ? LAUNCH_NETWORK_OPEN : LAUNCH_NETWORK_NONE;
	if (runner->before_run != NULL)
		runner->before_run(launch);
	if (runner->refuse != NULL && refused != NULL)
		runner->refuse(launch, refused);
	if (!runtime_make_start(&runner->runtime, launch, &start, err) || !fd_pipe(out, err) || !fd_pipe(errors, err) ||
	    !fd_pipe(status, err))
		return false;
	pid = fork();
	if (pid == 0)
		runner_child(&start, out[1], errors[1], status[1]);
	close(out[1]);
	close(errors[1]);
	close(status[1]);
	(void)timeout_ms;
	for (int open_count = 2; open_count > 0;) {
		struct pollfd polls[2] = { { out[0], POLLIN, 0 }, { errors[0], POLLIN, 0 } };

		poll(polls, 2, -1);
		for (int i = 0; i < 2; i++) {
			char bytes[4096];
			ssize_t n;

			if (polls[i].revents == 0)
				continue;
			n = read(polls[i].fd, bytes, sizeof(bytes));
			if (n <= 0) {
				close(polls[i].fd);
				*(i == 0 ? &out[0] : &errors[0]) = -1;
				open_count--;
				continue;
			}
			if (!buf_append(i == 0 ? &result.output : &result.errors, bytes, (size_t)n, err))
				return false;
			if (i == 1 && on_stderr != NULL)
				on_stderr(progress, bytes, (size_t)n);
		}
	}
	close(status[0]);
	while (waitpid(pid, &wait_status, 0) == -1 && errno == EINTR)
		;
	result.exit_status = WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : -1;
	result.signal = WIFSIGNALED(wait_status) ? WTERMSIG(wait_status) : 0;
	runtime_start_done(&start);
	*ret_result = result;
	return true;
}

static inline bool runner_hold(void *context, const char *path, unsigned *ret_id, struct npxc_error *err)
{
	struct store_runner *runner = context;

	(void)err;
	if (access(path, F_OK) == 0)
		abort(); /* must be told before it exists */
	*ret_id = ++runner->held;
	return true;
}

static inline bool runner_release(void *context, unsigned id, struct npxc_error *err)
{
	struct store_runner *runner = context;

	(void)id;
	(void)err;
	runner->released++;
	return true;
}

static inline bool runner_make(struct store_runner *runner, const char *store, const char *home,
                               struct store_host *ret_host, struct npxc_error *err)
{
	*runner = (struct store_runner){ 0 };
	if (!runtime_find(RUNTIME_BWRAP, NULL, getenv("PATH"), &runner->runtime, err))
		return false;
	*ret_host = (struct store_host){
		.context = runner,
		.run = runner_run,
		.hold_directory = runner_hold,
		.release = runner_release,
		.store_directory = store,
		.home = home,
		.path_variable = getenv("PATH"),
		.cwd = home,
		.is_root = geteuid() == 0,
	};
	return true;
}

static inline void runner_done(struct store_runner *runner)
{
	runtime_done(&runner->runtime);
	strv_done(&runner->commands);
	strv_done(&runner->reaches);
}

#endif
