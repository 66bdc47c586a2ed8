#include "shim/workload.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/mem.h"
#include "shim/play.h"
#include "shim/shim.h"
#include "shim/world.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

extern char **environ;

/* What the command is started with. */
struct plan {
	struct strv argv, env;
	char *directory;
	struct strv tmpfs; /* one host directory per mount of the invocation; "" for bind mounts */
};

static void plan_done(struct plan *plan)
{
	strv_done(&plan->argv);
	strv_done(&plan->env);
	strv_done(&plan->tmpfs);
	free(plan->directory);
}

/* ---- the plan ---- */

static char *box_of(const struct workload *workload)
{
	return world_box(workload->state, workload->call);
}

/* The host directories of the invocation's tmpfs mounts, none of them made yet. */
static void name_tmpfs(const struct workload *workload, struct strv *tmpfs)
{
	mem_cleanup char *box = box_of(workload);

	for (size_t i = 0; i < workload->invocation->mount_count; i++)
		if (workload->invocation->mounts[i].source == NULL)
			strv_pushf(tmpfs, "%s/tmpfs-%zu", box, i);
		else
			strv_push(tmpfs, "");
}

static bool command_words(const struct workload *workload, struct strv *words, struct npxc_error *err)
{
	const struct strv *own = &workload->answer->exec_argv;

	if (own->count == 0)
		strv_push_all(words, (const char *const *)workload->invocation->command.v,
		              workload->invocation->command.count);
	for (size_t i = 0; i < own->count; i++) {
		char *text;

		if (!template_text(own->v[i], workload->bindings, &text, err))
			return false;
		strv_push_owned(words, text);
	}
	if (words->count == 0)
		return error_set(err, ERROR_CONFIG, "no command behind the image, and the cassette has none");
	return true;
}

static const char *environment_value(const struct strv *env, const char *name)
{
	size_t length = strlen(name);

	for (size_t i = env->count; i-- > 0;)
		if (strncmp(env->v[i], name, length) == 0 && env->v[i][length] == '=')
			return env->v[i] + length + 1;
	return NULL;
}

/* "NAME=value" with its paths translated; "NAME" inherits from the call's own environment, and is nothing when it is
 * not set there. The last of two equal names counts. */
static void add_variable(const struct workload *workload, const struct strv *tmpfs, const char *text, struct strv *env)
{
	const char *equals = strchr(text, '=');
	const char *inherited = equals == NULL ? getenv(text) : NULL;
	mem_cleanup char *whole = equals != NULL ? str_dup(text) : NULL;
	size_t length = equals != NULL ? (size_t)(equals - text) : strlen(text);

	if (equals == NULL && inherited == NULL)
		return;
	if (equals == NULL)
		whole = str_printf("%s=%s", text, inherited);
	for (size_t i = 0; i < env->count; i++)
		if (strncmp(env->v[i], whole, length + 1) == 0) {
			free(env->v[i]);
			env->v[i] = invocation_host_text(workload->invocation, tmpfs->v, whole);
			return;
		}
	strv_push_owned(env, invocation_host_text(workload->invocation, tmpfs->v, whole));
}

static bool read_env_file(const struct workload *workload, const struct strv *tmpfs, const char *path, struct strv *env,
                          struct npxc_error *err)
{
	struct buf text BUF_CLEANUP = BUF_INIT(SHIM_MAX_FILE_BYTES);
	char *rest;

	if (!file_read(path, &text, err))
		return false;
	for (char *line = text.data != NULL ? strtok_r(text.data, "\n", &rest) : NULL; line != NULL;
	     line = strtok_r(NULL, "\n", &rest))
		if (line[0] != '#')
			add_variable(workload, tmpfs, line, env);
	return true;
}

static bool make_environment(const struct workload *workload, const struct strv *tmpfs, struct strv *env,
                             struct npxc_error *err)
{
	mem_cleanup char *box = box_of(workload);

	strv_push(env, "PATH=");
	strv_pushf(env, "HOME=%s/home", box);
	for (size_t i = 0; i < workload->invocation->env_files.count; i++)
		if (!read_env_file(workload, tmpfs, workload->invocation->env_files.v[i], env, err))
			return false;
	for (size_t i = 0; i < workload->invocation->env.count; i++)
		add_variable(workload, tmpfs, workload->invocation->env.v[i], env);
	for (size_t i = 0; i < env->count; i++)
		if (str_starts(env->v[i], "PATH=")) {
			char *longer =
			    str_printf("%s%s%s", env->v[i], env->v[i][5] != '\0' ? ":" : "", workload->search_path);

			free(env->v[i]);
			env->v[i] = longer;
		}
	return true;
}

static const char *mapped_program(const struct workload *workload, const char *guest)
{
	size_t length = strlen(guest);

	for (size_t i = 0; i < workload->answer->programs.count; i++) {
		const char *pair = workload->answer->programs.v[i];

		if (strncmp(pair, guest, length) == 0 && pair[length] == '=')
			return pair + length + 1;
	}
	return guest;
}

bool workload_find(const struct workload *workload, char **ret_program, char **ret_wanted, struct npxc_error *err)
{
	struct npxc_error missing = { 0 };
	struct strv words = { 0 };
	struct strv tmpfs = { 0 };
	struct strv env = { 0 };
	mem_cleanup char *wanted = NULL;
	mem_cleanup char *outside = NULL;
	char *program = NULL;
	bool ok;

	name_tmpfs(workload, &tmpfs);
	ok = command_words(workload, &words, err) && make_environment(workload, &tmpfs, &env, err);
	if (ok) {
		const char *base;

		wanted = str_dup(words.v[0]);
		outside = invocation_host_text(workload->invocation, tmpfs.v, mapped_program(workload, wanted));
		base = strrchr(outside, '/');
		/* A path of the image (/usr/local/bin/node) need not exist here: then its last part is looked up. */
		if (!file_find_program(outside, environment_value(&env, "PATH"), &program, &missing) && base != NULL &&
		    !file_find_program(base + 1, environment_value(&env, "PATH"), &program, &missing))
			program = NULL;
		*ret_program = program;
		*ret_wanted = MEM_TAKE(wanted);
	}
	strv_done(&words);
	strv_done(&tmpfs);
	strv_done(&env);
	return ok;
}

static bool make_plan(const struct workload *workload, const char *program, struct plan *plan, struct npxc_error *err)
{
	mem_cleanup char *box = box_of(workload);
	mem_cleanup char *home = str_printf("%s/home", box);
	struct strv words = { 0 };
	bool ok;

	name_tmpfs(workload, &plan->tmpfs);
	if (!file_make_directories(home, 0700, err))
		return false;
	for (size_t i = 0; i < plan->tmpfs.count; i++)
		if (plan->tmpfs.v[i][0] != '\0' && !file_make_directories(plan->tmpfs.v[i], 0700, err))
			return false;
	ok = command_words(workload, &words, err) && make_environment(workload, &plan->tmpfs, &plan->env, err);
	if (ok) {
		strv_push(&plan->argv, program);
		for (size_t i = 1; i < words.count; i++)
			strv_push_owned(&plan->argv,
			                invocation_host_text(workload->invocation, plan->tmpfs.v, words.v[i]));
		plan->directory =
		    workload->invocation->directory != NULL
		        ? invocation_host_path(workload->invocation, plan->tmpfs.v, workload->invocation->directory)
		        : str_dup(home);
		if (!file_is_directory(plan->directory)) {
			free(plan->directory);
			plan->directory = str_dup(home);
		}
	}
	strv_done(&words);
	return ok;
}

/*
 * Process 1 of a real container gets only the signals that it handles (--init puts a process before it that passes them
 * on). Ignoring them in the child would not do: a shell cannot trap what was ignored when it started. Elsewhere than on
 * Linux nobody tells, and the signal is sent.
 */
static void send_signal(const struct workload *workload, pid_t command, int sig)
{
#ifdef __linux__
	static const char label[] = "SigCgt:";
	mem_cleanup char *path = str_printf("/proc/%ld/status", (long)command);
	struct buf text BUF_CLEANUP = BUF_INIT(SHIM_MAX_FILE_BYTES);
	struct npxc_error gone = { 0 };
	const char *caught = NULL;

	if (!workload->invocation->init) {
		if (!file_read(path, &text, &gone) || text.data == NULL)
			return;
		caught = strstr(text.data, label);
		if (caught == NULL || ((strtoull(caught + strlen(label), NULL, 16) >> (sig - 1)) & 1) == 0)
			return;
	}
#else
	(void)workload;
#endif
	kill(command, sig);
}

/* ---- the supervisor ---- */

struct ends {
	int input[2], output[2], errors[2], status[2];
};

static void close_ends(struct ends *ends)
{
	for (int i = 0; i < 2; i++) {
		fd_close(&ends->input[i]);
		fd_close(&ends->output[i]);
		fd_close(&ends->errors[i]);
		fd_close(&ends->status[i]);
	}
}

static void start_command(const struct workload *workload, const struct plan *plan, const struct ends *ends)
{
	pid_t supervisor = getppid();
	sigset_t none;

	setsid();
#ifdef __linux__
	prctl(PR_SET_PDEATHSIG, SIGKILL);
#endif
	if (getppid() != supervisor)
		_exit(SHIM_EXIT_BROKEN);
	for (int sig = 1; sig <= 15; sig++)
		signal(sig, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (workload->invocation->interactive)
		dup2(ends->input[0], STDIN_FILENO); /* else it stays /dev/null */
	dup2(ends->output[1], STDOUT_FILENO);
	dup2(ends->errors[1], STDERR_FILENO);
	if (chdir(plan->directory) == 0)
		execve(plan->argv.v[0], plan->argv.v, plan->env.v);
	dprintf(STDERR_FILENO, "shim: %s: %s\n", plan->argv.v[0], strerror(errno));
	_exit(1);
}

static void tell(int fd, char word, int64_t number)
{
	struct npxc_error gone = { 0 };
	mem_cleanup char *line = str_printf("%c %lld\n", word, (long long)number);

	(void)!fd_write_all(fd, line, strlen(line), &gone); /* the client may have been killed */
}

/* False when the container is not in the world any more: somebody removed it before it started. */
static bool enter_world(const struct workload *workload, int64_t supervisor)
{
	struct npxc_error err = { 0 };
	struct world_container *container;
	struct world world;

	if (!world_open(workload->state, workload->cassette, &world, &err))
		return false;
	container = world_container_of_call(&world, workload->call);
	if (container != NULL)
		container->supervisor = supervisor;
	else
		supervisor = 0;
	return world_close(&world, &err) && supervisor != 0;
}

static void leave_world(const struct workload *workload)
{
	struct npxc_error err = { 0 };
	struct world_container *container;
	struct world world;

	if (!world_open(workload->state, workload->cassette, &world, &err))
		return;
	container = world_container_of_call(&world, workload->call);
	if (container != NULL)
		world_end_container(&world, container, workload->answer->linger_ms);
	(void)!world_close(&world, &err);
}

/* What the command left behind. As the reaper of its orphans the supervisor finds those that went into sessions of
 * their own, too; elsewhere than on Linux only its group is known. */
static void kill_descendants(pid_t command)
{
	kill(-command, SIGKILL);
#ifdef __linux__
	for (;;) {
		mem_cleanup char *path = str_printf("/proc/self/task/%ld/children", (long)getpid());
		struct buf text BUF_CLEANUP = BUF_INIT(SHIM_MAX_FILE_BYTES);
		struct npxc_error err = { 0 };

		if (file_read(path, &text, &err) && text.length > 0) {
			char *rest;

			for (char *word = strtok_r(text.data, " \n", &rest); word != NULL;
			     word = strtok_r(NULL, " \n", &rest))
				kill((pid_t)strtol(word, NULL, 10), SIGKILL);
		}
		if (waitpid(-1, NULL, 0) < 0 && errno == ECHILD)
			return;
	}
#endif
}

static int status_of(int wait_status)
{
	return WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : 128 + WTERMSIG(wait_status);
}

/* SIGUSR1: end it gently. SIGTERM, SIGALRM: kill it. */
static int await_command(const struct workload *workload, pid_t command, const sigset_t *awaited)
{
	int wait_status = 0;

	for (;;) {
		int sig = 0;

		if (waitpid(command, &wait_status, WNOHANG) == command)
			return status_of(wait_status);
		if (sigwait(awaited, &sig) != 0)
			continue;
		if (sig == SIGUSR1)
			send_signal(workload, command, SIGTERM);
		else if (sig != SIGCHLD)
			kill(-command, SIGKILL);
	}
}

static void supervise(const struct workload *workload, const struct plan *plan, struct ends *ends)
{
	mem_cleanup char *box = box_of(workload);
	mem_cleanup char *alive = str_printf("%s/alive", box);
	struct npxc_error err = { 0 };
	sigset_t awaited;
	int scribe = workload->scribe;
	int lock = -1;
	int null;
	int status;
	pid_t command;

	setsid();
	for (int sig = 1; sig <= 15; sig++)
		if (sig != SIGKILL)
			signal(sig, sig == SIGALRM || sig == SIGTERM || sig == SIGUSR1 ? SIG_DFL : SIG_IGN);
	signal(SIGCHLD, SIG_DFL);
	sigemptyset(&awaited);
	sigaddset(&awaited, SIGCHLD);
	sigaddset(&awaited, SIGTERM);
	sigaddset(&awaited, SIGUSR1);
	sigaddset(&awaited, SIGALRM);
	sigprocmask(SIG_SETMASK, &awaited, NULL);
	fd_close(&scribe);
	fd_close(&ends->input[1]);
	fd_close(&ends->output[0]);
	fd_close(&ends->errors[0]);
	fd_close(&ends->status[0]);
	null = open("/dev/null", O_RDWR);
	for (int fd = 0; fd < 3; fd++)
		dup2(null, fd);
	if (null > 2)
		close(null);
#ifdef __linux__
	prctl(PR_SET_CHILD_SUBREAPER, 1);
#endif
	if (!file_lock(alive, true, &lock, &err) || !enter_world(workload, getpid())) {
		(void)!file_remove_tree(box, &err);
		tell(ends->status[1], 'e', 128 + SIGKILL);
		_exit(0);
	}
	alarm(SHIM_LIFETIME_S);
	command = fork();
	if (command == 0)
		start_command(workload, plan, ends);
	fd_close(&ends->input[0]);
	fd_close(&ends->output[1]);
	fd_close(&ends->errors[1]);
	if (command < 0) {
		status = SHIM_EXIT_BROKEN;
	} else {
		tell(ends->status[1], 'p', command);
		status = await_command(workload, command, &awaited);
		kill_descendants(command);
	}
	leave_world(workload);
	(void)!file_remove_tree(box, &err);
	tell(ends->status[1], 'e', status);
	_exit(0);
}

bool workload_end(const char *state, int64_t call, pid_t supervisor, int64_t grace_ms, struct npxc_error *err)
{
	mem_cleanup char *box = world_box(state, call);
	mem_cleanup char *alive = str_printf("%s/alive", box);
	int64_t until = clock_now_ms() + grace_ms;
	int lock FD_CLEANUP = -1;
	struct npxc_error held = { 0 };
	bool asked = false;

	for (;;) {
		if (!file_exists(alive) || file_lock(alive, false, &lock, &held))
			return true;
		if (clock_now_ms() >= until)
			break;
		if (!asked)
			kill(supervisor, SIGUSR1);
		asked = true;
		play_pause(5);
	}
	kill(supervisor, SIGTERM);
	if (file_lock(alive, true, &lock, err))
		return true;
	return !file_exists(box); /* it went away with its box in between */
}

/* ---- the client ---- */

enum { STOPPING_SIGNALS = 3 };

static int signal_pipe[2] = { -1, -1 };

static void note_signal(int sig)
{
	unsigned char byte = (unsigned char)sig;
	int saved = errno;

	(void)!write(signal_pipe[1], &byte, 1);
	errno = saved;
}

struct client {
	const struct workload *workload;
	struct ends *ends;
	int64_t pid;       /* of the command; 0: not known yet */
	int status;        /* -1: not known yet */
	unsigned stopping; /* SIGTERM and SIGINT so far */
	int64_t relayed;   /* bytes of stdout */
	int64_t cut_after;
	int64_t drain_until_ms;
	struct buf news; /* from the supervisor, not yet read to the end of a line */
};

static void read_news(struct client *client)
{
	struct npxc_error err = { 0 };
	char bytes[256];
	ssize_t count = read(client->ends->status[0], bytes, sizeof(bytes));
	char *newline;

	if (count < 0 && errno == EINTR)
		return;
	if (count <= 0 || !buf_append(&client->news, bytes, (size_t)count, &err)) {
		fd_close(&client->ends->status[0]);
		if (client->status < 0)
			client->status = 255; /* the supervisor was killed: unknown */
	}
	while (client->news.length > 0 && (newline = memchr(client->news.data, '\n', client->news.length)) != NULL) {
		long long number = strtoll(client->news.data + 1, NULL, 10);

		if (client->news.data[0] == 'p')
			client->pid = number;
		else
			client->status = (int)number;
		buf_consume(&client->news, (size_t)(newline - client->news.data) + 1);
	}
	if (client->status >= 0 && client->drain_until_ms == 0)
		client->drain_until_ms = clock_now_ms() + 3000;
}

/* False: the third signal, the client gives up and leaves the container running. */
static bool forward_signals(struct client *client)
{
	unsigned char sig;

	while (read(signal_pipe[0], &sig, 1) == 1) {
		if (sig == SIGTERM || sig == SIGINT)
			client->stopping++;
		if (client->stopping >= STOPPING_SIGNALS)
			return false;
		if (client->pid == 0) {
			client->status = 128 + sig; /* before the start the client just ends */
			return false;
		}
		send_signal(client->workload, (pid_t)client->pid, sig);
	}
	return true;
}

/* One piece that a pipe takes without blocking, `most` bytes unless that is negative. False when `to` has no reader
 * any more. */
static bool relay(int *from, int to, int64_t most, int64_t *relayed)
{
	char bytes[PIPE_BUF];
	struct npxc_error gone = { 0 };
	bool cut = most >= 0 && most < (int64_t)sizeof(bytes);
	ssize_t count = read(*from, bytes, cut ? (size_t)most : sizeof(bytes));

	if (count < 0 && (errno == EINTR || errno == EAGAIN))
		return true;
	if (count <= 0) {
		fd_close(from);
		return true;
	}
	*relayed += count;
	return fd_write_all(to, bytes, (size_t)count, &gone);
}

static void die_of_pipe(void)
{
	sigset_t pipe_signal;

	signal(SIGPIPE, SIG_DFL);
	sigemptyset(&pipe_signal);
	sigaddset(&pipe_signal, SIGPIPE);
	sigprocmask(SIG_UNBLOCK, &pipe_signal, NULL);
	raise(SIGPIPE);
}

struct channel {
	int *from;
	int to;
	bool readable;
};

/* Readable and writable are asked one after the other: a reader that does not read must not make this loop spin. */
static bool turn(struct client *client, struct channel channels[static 3])
{
	struct pollfd polled[5];
	int64_t left = client->drain_until_ms != 0 ? client->drain_until_ms - clock_now_ms() : -1;

	for (int i = 0; i < 3; i++) {
		struct channel *c = &channels[i];

		polled[i] = (struct pollfd){ .fd = -1 };
		if (*c->from >= 0)
			polled[i] = (struct pollfd){ .fd = c->readable ? c->to : *c->from,
				                     .events = c->readable ? POLLOUT : POLLIN };
	}
	polled[3] = (struct pollfd){ .fd = client->ends->status[0], .events = POLLIN };
	polled[4] = (struct pollfd){ .fd = signal_pipe[0], .events = POLLIN };
	if (poll(polled, 5, client->drain_until_ms != 0 ? (left > 0 ? (int)left : 0) : -1) < 0 && errno != EINTR)
		return false;
	if (polled[4].revents != 0 && !forward_signals(client))
		return false;
	if (polled[3].revents != 0)
		read_news(client);
	for (int i = 0; i < 3; i++) {
		struct channel *c = &channels[i];
		int64_t uncounted = 0;

		if (polled[i].revents == 0)
			continue;
		if (!c->readable) {
			c->readable = true;
			continue;
		}
		c->readable = false;
		if (i == 1 ? !relay(c->from, c->to, client->cut_after < 0 ? -1 : client->cut_after - client->relayed,
		                    &client->relayed)
		           : !relay(c->from, c->to, -1, &uncounted)) {
			if (i > 0)
				die_of_pipe();
			fd_close(c->from);
		}
		if (i == 0 && *c->from < 0)
			fd_close(&client->ends->input[1]);
		if (client->cut_after >= 0 && client->relayed >= client->cut_after)
			return false;
	}
	return true;
}

static bool relay_all(struct client *client, bool interactive, struct npxc_error *err)
{
	static const int forwarded[] = { SIGTERM, SIGINT, SIGUSR1, SIGUSR2, SIGWINCH };
	int input FD_CLEANUP = interactive ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3) : -1;
	struct channel channels[3] = {
		{ .from = &input, .to = client->ends->input[1] },
		{ .from = &client->ends->output[0], .to = STDOUT_FILENO },
		{ .from = &client->ends->errors[0], .to = STDERR_FILENO },
	};

	if (!fd_pipe(signal_pipe, err))
		return false;
	for (int i = 0; i < 2; i++)
		(void)!fcntl(signal_pipe[i], F_SETFL, O_NONBLOCK);
	for (size_t i = 0; i < sizeof(forwarded) / sizeof(forwarded[0]); i++)
		signal(forwarded[i], note_signal);
	signal(SIGPIPE, SIG_IGN);
	if (!interactive)
		fd_close(&client->ends->input[1]);
	for (;;) {
		bool drained = client->ends->output[0] < 0 && client->ends->errors[0] < 0;

		if (client->status >= 0 && (drained || clock_now_ms() >= client->drain_until_ms))
			return true;
		if (!turn(client, channels))
			return true;
	}
}

bool workload_run(const struct workload *workload, const char *program, int *ret_exit_status, int64_t *ret_pid,
                  struct npxc_error *err)
{
	struct ends ends = { { -1, -1 }, { -1, -1 }, { -1, -1 }, { -1, -1 } };
	struct client client = { .workload = workload,
		                 .ends = &ends,
		                 .status = -1,
		                 .cut_after = workload->cut_after,
		                 .news = BUF_INIT(SHIM_MAX_HOLE_BYTES) };
	struct plan plan = { 0 };
	pid_t supervisor = -1;
	bool ok;

	play_pause(workload->answer->delay_ms);
	ok = make_plan(workload, program, &plan, err) && fd_pipe(ends.input, err) && fd_pipe(ends.output, err) &&
	     fd_pipe(ends.errors, err) && fd_pipe(ends.status, err);
	if (ok) {
		supervisor = fork();
		if (supervisor == 0)
			supervise(workload, &plan, &ends);
		if (supervisor < 0)
			ok = error_set_errno(err, ERROR_IO, "fork");
	}
	fd_close(&ends.input[0]);
	fd_close(&ends.output[1]);
	fd_close(&ends.errors[1]);
	fd_close(&ends.status[1]);
	ok = ok && relay_all(&client, workload->invocation->interactive, err);
	if (ok && client.cut_after >= 0 && client.relayed >= client.cut_after)
		ok = workload_end(workload->state, workload->call, supervisor, 0, err);
	if (ok) {
		*ret_exit_status = client.status >= 0 ? client.status : 1;
		*ret_pid = client.pid;
	}
	buf_done(&client.news);
	plan_done(&plan);
	close_ends(&ends);
	return ok;
}
