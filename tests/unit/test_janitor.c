#include "session.h"

#include "base/limits.h"
#include "base/proc.h"
#include "contain/group.h"
#include "teardown/janitor.h"
#include "teardown/lease.h"
#include "teardown/successor.h"

#include <sys/socket.h>

static struct janitor *started(void)
{
	struct janitor *janitor = NULL;
	struct npxc_error err = { 0 };

	assert_true(janitor_start(NULL, NULL, &janitor, &err));
	return janitor;
}

static unsigned hold(struct janitor *janitor, enum resource_kind kind, const char *path)
{
	struct npxc_error err = { 0 };
	unsigned id = 0;

	if (!janitor_hold_path(janitor, kind, path, &id, &err))
		fail_msg("%s", err.message);
	assert_true(id > 0);
	return id;
}

/* A container whose CLI is `program`: it is called with "rm --force NAME". */
static void hold_container(struct janitor *janitor, const char *program, const char *name)
{
	struct npxc_error err = { 0 };
	struct strv words = { 0 };
	unsigned id;

	strv_push(&words, program);
	strv_push(&words, "apple");
	strv_push(&words, name);
	assert_true(janitor_hold(janitor, RESOURCE_CONTAINER, &words, &id, &err));
	strv_done(&words);
}

static void finished(struct janitor *janitor)
{
	struct npxc_error err = { 0 };

	if (!janitor_end(janitor, PATIENCE_MS, &err))
		fail_msg("%s", err.message);
	assert_true(all_children_end());
}

/* ---- what goes, what stays ---- */

static void the_end_removes_what_is_held_and_nothing_else(void **state)
{
	char *base = make_directory();
	char *tree = str_printf("%s/tree", base);
	char *inner = str_printf("%s/tree/a", base);
	char *file = str_printf("%s/file", base);
	char *kept = str_printf("%s/kept", base);
	char *released = str_printf("%s/released", base);
	char *script = str_printf("%s/remove", base);
	char *record = str_printf("%s/record", base);
	char *text =
	    str_printf("#!/bin/sh\necho \"$3\" >> %s\ntest -e %s && echo before >> %s\n", record, inner, record);
	struct janitor *janitor = started();
	struct npxc_error err = { 0 };
	char *got;

	(void)state;
	assert_int_equal(mkdir(tree, 0700), 0);
	assert_int_equal(mkdir(inner, 0700), 0);
	write_file(file, "x", 0600);
	write_file(kept, "x", 0600);
	write_file(released, "x", 0600);
	write_file(script, text, 0700);
	hold(janitor, RESOURCE_DIRECTORY, tree);
	hold(janitor, RESOURCE_FILE, file);
	assert_true(janitor_release(janitor, hold(janitor, RESOURCE_FILE, released), &err));
	hold_container(janitor, script, "npxc-one-0123abcd");
	hold_container(janitor, script, "npxc-two-0123abcd");
	finished(janitor);

	assert_false(file_exists(tree));
	assert_false(file_exists(file));
	assert_true(file_exists(kept));
	assert_true(file_exists(released));
	got = read_text(record);
	assert_string_equal(got, "npxc-two-0123abcd\nbefore\nnpxc-one-0123abcd\nbefore\n");

	assert_true(file_remove_tree(base, &err));
	free(base), free(tree), free(inner), free(file), free(kept), free(released), free(script), free(record);
	free(text), free(got);
}

/* What log lines say while `janitor_end` runs; owned. */
static char *end_and_listen(struct janitor *janitor, unsigned timeout_ms)
{
	struct npxc_error err = { 0 };
	int saved = dup(STDERR_FILENO);
	int ends[2];
	bool ok;
	char *text;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(dup2(ends[1], STDERR_FILENO), STDERR_FILENO);
	ok = janitor_end(janitor, timeout_ms, &err);
	assert_int_equal(dup2(saved, STDERR_FILENO), STDERR_FILENO);
	close(saved);
	close(ends[1]);
	assert_true(ok);
	text = read_until(ends[0], NULL);
	close(ends[0]);
	return text;
}

static void a_failing_removal_is_a_warning_and_stops_nothing(void **state)
{
	char *base = make_directory();
	char *script = str_printf("%s/remove", base);
	struct janitor *janitor = started();
	char *said;

	(void)state;
	write_file(script, "#!/bin/sh\necho no such daemon >&2\nexit 3\n", 0700);
	hold(janitor, RESOURCE_DIRECTORY, base);
	hold_container(janitor, script, "npxc-stuck-0123abcd");
	said = end_and_listen(janitor, PATIENCE_MS);
	assert_non_null(strstr(said, "janitor: container npxc-stuck-0123abcd is left behind"));
	assert_non_null(strstr(said, "no such daemon"));
	assert_false(file_exists(base));
	assert_true(all_children_end());
	free(base), free(script), free(said);
}

/* A removal command that waits until somebody writes into the FIFO beside it. */
static char *make_slow_removal(const char *base, char **ret_fifo, char **ret_done)
{
	char *script = str_printf("%s/remove", base);
	char *text;

	*ret_fifo = str_printf("%s/fifo", base);
	*ret_done = str_printf("%s/done", base);
	text = str_printf("#!/bin/sh\nread x < %s\necho > %s\n", *ret_fifo, *ret_done);
	assert_int_equal(mkfifo(*ret_fifo, 0600), 0);
	write_file(script, text, 0700);
	free(text);
	return script;
}

static void the_launcher_does_not_wait_longer_than_it_said(void **state)
{
	char *base = make_directory();
	char *fifo, *done;
	char *script = make_slow_removal(base, &fifo, &done);
	struct janitor *janitor = started();
	struct npxc_error err = { 0 };
	char *said;

	(void)state;
	hold_container(janitor, script, "npxc-slow-0123abcd");
	said = end_and_listen(janitor, 20);
	assert_non_null(strstr(said, "goes on in the background"));
	assert_false(file_exists(done));
	write_file(fifo, "go\n", 0600);
	assert_true(all_children_end());
	assert_true(file_exists(done));
	assert_true(file_remove_tree(base, &err));
	free(base), free(fifo), free(done), free(script), free(said);
}

/* ---- the launcher dies ---- */

/* A launcher that holds `directory` (and runs `script` at the end, or NULL), says so through the pipe, and waits. */
static pid_t fork_launcher(const char *directory, const char *script, int say, int quit_status)
{
	pid_t pid = fork_with_test();

	if (pid == 0) {
		struct janitor *janitor = started();

		hold(janitor, RESOURCE_DIRECTORY, directory);
		if (script != NULL)
			hold_container(janitor, script, "npxc-held-0123abcd");
		if (write(say, "held", 4) != 4 || quit_status >= 0)
			_exit(quit_status);
		for (;;)
			pause();
	}
	return pid;
}

static void a_dead_launcher_leaves_nothing(void **state)
{
	(void)state;
	/* killed, killed as a group of its own, and gone without a word */
	for (int way = 0; way < 3; way++) {
		char *directory = make_directory();
		char *word;
		pid_t pid;
		int ends[2];

		assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
		pid = fork_launcher(directory, NULL, ends[1], way == 2 ? 5 : -1);
		if (way == 1)
			assert_int_equal(setpgid(pid, pid), 0);
		word = read_until(ends[0], "held");
		assert_string_equal(word, "held");
		if (way < 2)
			assert_int_equal(kill(way == 0 ? pid : -pid, SIGKILL), 0);
		assert_true(all_children_end());
		assert_false(file_exists(directory));
		close(ends[0]), close(ends[1]);
		free(directory), free(word);
	}
}

static void the_janitor_keeps_none_of_the_clients_pipes(void **state)
{
	char *base = make_directory();
	char *held = make_directory();
	char *fifo, *done;
	char *script = make_slow_removal(base, &fifo, &done);
	struct npxc_error err = { 0 };
	char *word;
	pid_t pid;
	int ends[2];

	(void)state;
	assert_int_equal(pipe(ends), 0); /* inheritable, as a client's pipes are */
	pid = fork_launcher(held, script, ends[1], -1);
	close(ends[1]);
	word = read_until(ends[0], "held");
	assert_int_equal(kill(pid, SIGKILL), 0);
	free(word);
	/* The end of file comes although the janitor is still busy. */
	word = read_until(ends[0], NULL);
	assert_string_equal(word, "");
	assert_false(file_exists(done));
	assert_true(file_exists(held));
	write_file(fifo, "go\n", 0600);
	assert_true(all_children_end());
	assert_true(file_exists(done));
	assert_false(file_exists(held));
	close(ends[0]);
	assert_true(file_remove_tree(base, &err));
	free(base), free(held), free(fifo), free(done), free(script), free(word);
}

/* ---- the janitor's own state ---- */

static void the_janitor_stands_apart(void **state)
{
	int stray = open("/etc/passwd", O_RDONLY); /* inheritable */
	struct janitor *janitor = started();
	static const int harmless[] = { SIGINT, SIGTERM, SIGHUP, SIGPIPE };
	pid_t pid = only_child();
	char *path = str_printf("/proc/%ld/fd", (long)pid);
	char *directory = make_directory();
	unsigned id = hold(janitor, RESOURCE_DIRECTORY, directory); /* after its answer it is ready */
	struct dirent *entry;
	unsigned sockets = 0, nulls = 0;
	DIR *fds;

	(void)state;
	assert_true(id > 0);
	assert_int_equal(getsid(pid), pid);
	fds = opendir(path);
	assert_non_null(fds);
	while ((entry = readdir(fds)) != NULL) {
		char target[256] = { 0 };

		if (entry->d_name[0] == '.')
			continue;
		assert_true(readlinkat(dirfd(fds), entry->d_name, target, sizeof(target) - 1) > 0);
		if (strcmp(target, "/dev/null") == 0)
			nulls++;
		else if (strncmp(target, "socket:", 7) == 0)
			sockets++;
		else
			fail_msg("the janitor holds %s as %s", target, entry->d_name);
	}
	closedir(fds);
	assert_int_equal(nulls, 3);
	assert_int_equal(sockets, 1);

	for (size_t i = 0; i < sizeof(harmless) / sizeof(harmless[0]); i++)
		assert_int_equal(kill(pid, harmless[i]), 0);
	finished(janitor);
	assert_false(file_exists(directory));
	close(stray);
	free(path), free(directory);
}

static void a_dead_janitor_is_an_error_not_a_signal(void **state)
{
	struct janitor *janitor = started();
	pid_t pid = only_child();
	struct npxc_error err = { 0 };
	unsigned id;

	(void)state;
	hold(janitor, RESOURCE_FILE, "/tmp/npxc-test-that-does-not-exist");
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_false(janitor_hold_path(janitor, RESOURCE_FILE, "/tmp/npxc-test-other", &id, &err));
	assert_int_equal(err.kind, ERROR_IO);
	assert_non_null(strstr(err.message, "the janitor has ended unexpectedly"));
	assert_false(janitor_sandbox(janitor, 12345, GROUP_STOP_LEADER, &err));
	assert_false(janitor_end(janitor, PATIENCE_MS, &err));
	assert_int_equal(err.kind, ERROR_IO);
	assert_true(all_children_end());
}

/* ---- refusals ---- */

static void bad_resources_are_refused(void **state)
{
	static const struct {
		enum resource_kind kind;
		const char *path;
		const char *says;
	} cases[] = {
		{ RESOURCE_FILE, "", "not absolute" },
		{ RESOURCE_DIRECTORY, "relative", "not absolute" },
		{ RESOURCE_DIRECTORY, "./x", "not absolute" },
		{ RESOURCE_DIRECTORY, "/", "not a clean one" },
		{ RESOURCE_DIRECTORY, "//", "not a clean one" },
		{ RESOURCE_DIRECTORY, "/tmp/..", "not a clean one" },
		{ RESOURCE_DIRECTORY, "/tmp/../home", "not a clean one" },
		{ RESOURCE_FILE, "/tmp/x/", "not a clean one" },
		{ RESOURCE_CGROUP, "/sys/./x", "not a clean one" },
		{ RESOURCE_CONTAINER, "podman", "not absolute" },
		{ RESOURCE_NETWORK, "/usr/bin/podman", "no runtime or name" },
		{ RESOURCE_DIRECTORY, "/tmp", "a top one" },
		{ RESOURCE_CGROUP, "/sys/fs/cgroup/x", "not a cgroup that npxc makes" },
		{ RESOURCE_PROCESS, "/tmp/x", "not a pid" },
		{ (enum resource_kind)7, "/tmp/x", "unknown kind" },
	};
	struct janitor *janitor = started();
	struct strv none = { 0 };
	struct strv two = { 0 };
	struct npxc_error err = { 0 };
	unsigned id = 77;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		err = (struct npxc_error){ 0 };
		assert_false(janitor_hold_path(janitor, cases[i].kind, cases[i].path, &id, &err));
		assert_int_equal(err.kind, ERROR_IO);
		if (strstr(err.message, cases[i].says) == NULL)
			fail_msg("%s: %s", cases[i].path, err.message);
	}
	assert_false(janitor_hold(janitor, RESOURCE_CONTAINER, &none, &id, &err));
	assert_non_null(strstr(err.message, "without a name"));
	strv_push(&two, "/tmp/a");
	strv_push(&two, "/tmp/b");
	assert_false(janitor_hold(janitor, RESOURCE_FILE, &two, &id, &err));
	assert_non_null(strstr(err.message, "not a clean one"));
	strv_done(&two);
	assert_false(janitor_release(janitor, 1, &err));
	assert_non_null(strstr(err.message, "no such resource"));
	assert_int_equal(id, 77);
	finished(janitor);
}

static void ceilings_hold(void **state)
{
	struct janitor *janitor = started();
	char *base = make_directory();
	char *long_word =
	    str_printf("A=%0*d", (int)(LIMIT_JANITOR_FRAME_BYTES - sizeof("A= /x podman npxc-a-0123abcd")), 0);
	struct strv words = { 0 };
	struct npxc_error err = { 0 };
	unsigned id;

	(void)state;
	/* exactly the ceiling with its NUL, and one more byte */
	strv_push(&words, "/x");
	strv_push(&words, "podman");
	strv_push(&words, "npxc-a-0123abcd");
	strv_push(&words, long_word);
	assert_true(janitor_hold(janitor, RESOURCE_CONTAINER, &words, &id, &err));
	assert_true(janitor_release(janitor, id, &err));
	strv_push(&words, "");
	assert_false(janitor_hold(janitor, RESOURCE_CONTAINER, &words, &id, &err));
	assert_int_equal(err.kind, ERROR_IO);
	strv_done(&words);

	for (unsigned i = 0; i < LIMIT_JANITOR_ENTRIES; i++) {
		char *path = str_printf("%s/%u", base, i);

		hold(janitor, RESOURCE_FILE, path);
		free(path);
	}
	assert_false(janitor_hold_path(janitor, RESOURCE_FILE, base, &id, &err));
	assert_non_null(strstr(err.message, "too many"));
	finished(janitor);
	assert_true(file_exists(base));
	assert_true(file_remove_tree(base, &err));
	free(base), free(long_word);
}

static void groups_that_are_no_sandbox_are_refused(void **state)
{
	struct janitor *janitor = started();
	const pid_t bad[] = { 1, 0, -1, -5, getpid(), getpgrp(), only_child(), 0x3fffffff };
	struct npxc_error err = { 0 };
	pid_t one = fork_with_test();
	pid_t two;

	(void)state;
	if (one == 0)
		for (;;)
			pause();
	two = fork_with_test();
	if (two == 0)
		for (;;)
			pause();
	assert_true(one > 0 && two > 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		err = (struct npxc_error){ 0 };
		assert_false(janitor_sandbox(janitor, bad[i], GROUP_STOP_INNER, &err));
		assert_int_equal(err.kind, ERROR_IO);
	}
	assert_false(janitor_sandbox(janitor, one, (enum group_stop)3, &err));
	assert_true(janitor_end_sandbox(janitor, 1000, &err)); /* none is there */

	assert_true(janitor_sandbox(janitor, one, GROUP_STOP_LEADER, &err));
	assert_false(janitor_sandbox(janitor, two, GROUP_STOP_LEADER, &err));
	assert_non_null(strstr(err.message, "earlier sandbox"));
	/* It leads no group yet, like a sandbox's process that has not come to its setsid: it dies all the same. */
	assert_true(janitor_end_sandbox(janitor, 0, &err));
	assert_int_equal(waitpid(one, NULL, WNOHANG), one);
	assert_true(janitor_sandbox(janitor, two, GROUP_STOP_LEADER, &err));
	finished(janitor);
}

/* A CLI that lives has its container removed, or only killed, and removed once the CLI has gone. */
static void a_container_goes_as_its_runtime_wants_it(void **state)
{
	static const struct {
		enum group_stop stop;
		const char *calls;
	} cases[] = {
		{ GROUP_STOP_LEADER, "rm --force npxc-one-0123abcd\nrm --force npxc-one-0123abcd\n" },
		{ GROUP_STOP_LEADER_KILL, "kill -s KILL npxc-one-0123abcd\nrm --force npxc-one-0123abcd\n" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *base = make_directory();
		char *script = str_printf("%s/cli", base);
		char *record = str_printf("%s/record", base);
		struct janitor *janitor = started();
		struct npxc_error err = { 0 };
		pid_t pid = fork_with_test();
		char *text, *got;

		if (pid == 0)
			for (;;)
				pause();
		text =
		    str_printf("#!/bin/sh\necho \"$*\" >>%s\nkill -KILL %ld 2>/dev/null\nexit 0\n", record, (long)pid);
		write_file(script, text, 0700);
		assert_true(janitor_sandbox(janitor, pid, cases[i].stop, &err));
		hold_container(janitor, script, "npxc-one-0123abcd");
		assert_true(janitor_end_sandbox(janitor, 0, &err));
		assert_int_equal(waitpid(pid, NULL, 0), pid);
		got = read_text(record);
		assert_string_equal(got, cases[i].calls);
		finished(janitor);
		assert_true(file_remove_tree(base, &err));
		free(base), free(script), free(record), free(text), free(got);
	}
}

/* A process that was reaped, and whose number names nobody any more, harms neither the janitor nor others. */
static void a_sandbox_that_is_gone_already_is_no_error(void **state)
{
	struct janitor *janitor = started();
	struct npxc_error err = { 0 };
	pid_t pid = fork_with_test();

	(void)state;
	if (pid == 0)
		for (;;)
			pause();
	assert_true(janitor_sandbox(janitor, pid, GROUP_STOP_INNER, &err));
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_true(janitor_end_sandbox(janitor, 1000, &err));
	finished(janitor);
}

/* The channel's descriptor in this process: the one socket. */
static int channel_fd(void)
{
	int found = -1;

	for (int fd = 3; fd < 64; fd++) {
		struct stat info;

		if (fstat(fd, &info) == 0 && S_ISSOCK(info.st_mode)) {
			int type = 0;
			socklen_t size = sizeof(type);

			assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size), 0);
			if (type == SOCK_STREAM) {
				assert_int_equal(found, -1);
				found = fd;
			}
		}
	}
	assert_true(found > 0);
	return found;
}

/* Bytes that are no frame: everything goes, at once, although the launcher lives. */
static void garbage_takes_everything_down(void **state)
{
	static const uint32_t frames[][4] = {
		{ LIMIT_JANITOR_FRAME_BYTES + 1, 1, 1, 0 }, /* too long */
		{ 0xffffffff, 1, 1, 0 },
		{ 0, 0, 0, 0 },  /* no verb */
		{ 0, 7, 0, 0 },  /* a verb of the other direction */
		{ 0, 99, 0, 0 }, /* an unknown one */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(frames) / sizeof(frames[0]); i++) {
		struct janitor *janitor = started();
		char *directory = make_directory();
		struct npxc_error err = { 0 };

		hold(janitor, RESOURCE_DIRECTORY, directory);
		assert_int_equal(write(channel_fd(), frames[i], sizeof(frames[i])), (ssize_t)sizeof(frames[i]));
		assert_true(path_goes(directory));
		assert_false(janitor_end(janitor, PATIENCE_MS, &err));
		assert_int_equal(err.kind, ERROR_IO);
		assert_true(all_children_end());
		free(directory);
	}
}

/* ---- the lease ---- */

struct leased {
	char *base, *leases, *path, *held; /* `held` is a directory that a session holds */
	char *boot;
};

static struct leased make_leased(void)
{
	struct leased l = { .base = make_directory(), .boot = proc_boot_id() };

	l.leases = str_printf("%s/state/sessions", l.base);
	l.path = lease_path(l.leases, "0123abcd");
	l.held = str_printf("%s/held", l.base);
	assert_int_equal(mkdir(l.held, 0700), 0);
	return l;
}

static void done_leased(struct leased *l)
{
	struct npxc_error err = { 0 };

	assert_true(file_remove_tree(l->base, &err));
	free(l->base), free(l->leases), free(l->path), free(l->held), free(l->boot);
}

static struct janitor *started_with(const struct leased *l)
{
	struct janitor *janitor = NULL;
	struct npxc_error err = { 0 };

	assert_true(janitor_start(l->leases, "0123abcd", &janitor, &err));
	return janitor;
}

static struct lease_seen seen_of(const struct leased *l, bool take, enum lease_state expected)
{
	struct lease_seen seen;

	lease_look(l->leases, "0123abcd.lease", take, l->boot, &seen);
	if (seen.state != expected)
		fail_msg("%s instead of %s: %s", lease_state_word(seen.state), lease_state_word(expected),
		         seen.why == NULL ? "" : seen.why);
	return seen;
}

static void what_is_held_stands_on_the_lease_before_the_answer(void **state)
{
	struct leased l = make_leased();
	struct janitor *janitor = started_with(&l);
	const struct janitor_facts facts = { "npxc-x-0123abcd", "x", "1.2.3", "bwrap", "none", "", NULL };
	const struct runtime runtime = { .kind = RUNTIME_APPLE, .cli = "/bin/true" };
	struct npxc_error err = { 0 };
	struct lease_seen seen;
	unsigned id, second;
	pid_t pid = fork_with_test();

	(void)state;
	if (pid == 0)
		for (;;)
			pause();
	assert_true(janitor_describe(janitor, &facts, &err));
	assert_false(file_exists(l.leases)); /* nothing is held, nothing is written */
	id = hold(janitor, RESOURCE_DIRECTORY, l.held);
	seen = seen_of(&l, false, LEASE_LIVE);
	assert_int_equal(seen.lease.launcher.pid, getpid());
	assert_int_equal(seen.lease.client.pid, getppid());
	assert_true(seen.lease.janitor.pid > 0 && seen.lease.janitor.pid != getpid());
	assert_string_equal(seen.lease.package, "x");
	assert_string_equal(seen.lease.version, "1.2.3");
	assert_true(lease_uptime_ms(&seen.lease, l.boot, clock_boot_ms()) >= 0);
	assert_int_equal(seen.lease.count, 1);
	assert_string_equal(lease_entry_name(&seen.lease.entries[0]), l.held);
	lease_seen_done(&seen);

	assert_true(janitor_hold_named(janitor, RESOURCE_CONTAINER, &runtime, "npxc-x-0123abcd", &second, &err));
	assert_true(janitor_sandbox(janitor, pid, GROUP_STOP_LEADER, &err));
	seen = seen_of(&l, false, LEASE_LIVE);
	assert_int_equal(seen.lease.count, 2);
	assert_int_equal(seen.lease.sandbox.pid, pid);
	assert_int_equal(seen.lease.stop, GROUP_STOP_LEADER);
	lease_seen_done(&seen);

	assert_true(janitor_release(janitor, id, &err));
	assert_true(janitor_release(janitor, second, &err));
	assert_true(janitor_end_sandbox(janitor, 0, &err));
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	seen = seen_of(&l, false, LEASE_LIVE);
	assert_int_equal(seen.lease.count, 0);
	assert_int_equal(seen.lease.sandbox.pid, 0);
	lease_seen_done(&seen);
	finished(janitor);
	assert_false(file_exists(l.path));
	assert_true(file_exists(l.held));
	done_leased(&l);
}

static void without_a_lease_nothing_is_held(void **state)
{
	struct leased l = make_leased();
	struct npxc_error err = { 0 };
	char *state_directory = str_printf("%s/state", l.base);
	unsigned id;

	(void)state;
	write_file(state_directory, "in the way", 0600);
	struct janitor *janitor = started_with(&l);
	assert_false(janitor_hold_path(janitor, RESOURCE_DIRECTORY, l.held, &id, &err));
	assert_int_equal(err.kind, ERROR_IO);
	assert_non_null(strstr(err.message, "state"));
	finished(janitor);
	assert_true(file_exists(l.held));
	free(state_directory);
	done_leased(&l);
}

static void a_dead_janitors_place_is_taken(void **state)
{
	(void)state;
	/* killed before the sandbox's end, and before the end of all */
	for (int way = 0; way < 2; way++) {
		struct leased l = make_leased();
		struct janitor *janitor = started_with(&l);
		struct npxc_error err = { 0 };
		struct lease_seen seen;
		pid_t pid = fork_with_test();

		if (pid == 0)
			for (;;)
				pause();
		hold(janitor, RESOURCE_DIRECTORY, l.held);
		assert_true(janitor_sandbox(janitor, pid, GROUP_STOP_LEADER, &err));
		seen = seen_of(&l, false, LEASE_LIVE);
		assert_int_equal(kill(seen.lease.janitor.pid, SIGKILL), 0);
		lease_seen_done(&seen);
		if (way == 0) {
			assert_true(janitor_end_sandbox(janitor, 0, &err));
			assert_int_equal(waitpid(pid, NULL, WNOHANG), pid);
			assert_true(file_exists(l.held));
			seen = seen_of(&l, false, LEASE_LIVE);
			assert_int_equal(seen.lease.sandbox.pid, 0);
			lease_seen_done(&seen);
		}
		finished(janitor); /* all children have ended */
		assert_false(file_exists(l.held));
		assert_false(file_exists(l.path));
		done_leased(&l);
	}
}

/* Of a session of its own, that ends by itself never; its pid. */
static pid_t fork_apart(void)
{
	int ends[2];
	char *word;
	pid_t pid;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	pid = fork_with_test();
	if (pid == 0) {
		setsid();
		signal(SIGTERM, SIG_IGN);
		if (write(ends[1], "apart", 5) != 5)
			_exit(1);
		for (;;)
			pause();
	}
	close(ends[1]);
	word = read_until(ends[0], "apart");
	assert_string_equal(word, "apart");
	free(word), close(ends[0]);
	return pid;
}

static void a_process_is_killed_unless_it_was_released(void **state)
{
	pid_t held = fork_apart(), released = fork_apart();
	struct leased l = make_leased();
	struct janitor *janitor = started_with(&l);
	struct npxc_error err = { 0 };
	struct lease_seen seen;
	unsigned id;
	int status;

	(void)state;
	assert_true(janitor_hold_process(janitor, held, &id, &err));
	assert_true(janitor_hold_process(janitor, released, &id, &err));
	seen = seen_of(&l, false, LEASE_LIVE);
	assert_int_equal(lease_entry_process(&seen.lease.entries[0]).pid, held);
	lease_seen_done(&seen);
	assert_true(janitor_release(janitor, id, &err));
	assert_true(janitor_end(janitor, PATIENCE_MS, &err));
	assert_int_equal(waitpid(held, &status, WNOHANG), held);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	assert_int_equal(waitpid(released, &status, WNOHANG), 0);
	assert_int_equal(kill(released, SIGKILL), 0);
	assert_int_equal(waitpid(released, NULL, 0), released);
	assert_false(file_exists(l.path));
	done_leased(&l);
}

struct heard {
	unsigned steps;
	char *warning;
};

static void hear(void *context, bool is_warning, const char *text)
{
	struct heard *heard = context;

	if (!is_warning) {
		heard->steps++;
		return;
	}
	free(heard->warning);
	heard->warning = str_dup(text);
}

/* What a sweep does with one lease. */
static enum successor_result release_lease(const struct leased *l, struct heard *heard)
{
	const struct teardown_report report = { hear, heard };
	struct lease_seen seen = seen_of(l, true, LEASE_DEAD);
	enum successor_result released = successor_release(seen.path, seen.fd, &seen.lease, l->boot, report);

	lease_seen_done(&seen);
	return released;
}

/* Launcher and janitor, at once; when the launcher has said "held" into its end of the pipe. */
static void both_die(const struct leased *l, pid_t launcher, int ends[2])
{
	struct lease_seen seen;
	char *word = read_until(ends[0], "held");

	assert_string_equal(word, "held");
	free(word), close(ends[0]), close(ends[1]);
	seen = seen_of(l, true, LEASE_LIVE);
	/* Stopped first: neither may see the other die. */
	assert_int_equal(kill(seen.lease.janitor.pid, SIGSTOP), 0);
	assert_int_equal(kill(launcher, SIGKILL), 0);
	assert_int_equal(kill(seen.lease.janitor.pid, SIGKILL), 0);
	assert_int_equal(waitpid(launcher, NULL, 0), launcher);
	assert_int_equal(waitpid(seen.lease.janitor.pid, NULL, 0), seen.lease.janitor.pid);
	lease_seen_done(&seen);
}

/* A launcher and a janitor that die at once, with a sandbox that nobody ends; its pid. */
static pid_t leave_behind(const struct leased *l, const char *cli)
{
	const struct runtime runtime = { .kind = RUNTIME_APPLE, .cli = (char *)cli };
	struct npxc_error err = { 0 };
	int ends[2];
	pid_t sandbox, launcher;
	unsigned ignored;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	sandbox = fork_with_test();
	if (sandbox == 0) {
		setsid();
		for (;;)
			pause();
	}
	launcher = fork_with_test();
	if (launcher == 0) {
		struct janitor *janitor = started_with(l);

		hold(janitor, RESOURCE_DIRECTORY, l->held);
		if ((cli != NULL &&
		     !janitor_hold_named(janitor, RESOURCE_CONTAINER, &runtime, "npxc-x-0123abcd", &ignored, &err)) ||
		    !janitor_sandbox(janitor, sandbox, GROUP_STOP_INNER, &err) || write(ends[1], "held", 4) != 4)
			_exit(1);
		for (;;)
			pause();
	}
	both_die(l, launcher, ends);
	return sandbox;
}

static void what_both_left_is_released_by_the_lease(void **state)
{
	struct leased l = make_leased();
	struct heard heard = { 0 };
	pid_t sandbox = leave_behind(&l, NULL);

	(void)state;
	assert_true(file_exists(l.held));
	assert_int_equal(kill(sandbox, 0), 0);
	assert_int_equal(release_lease(&l, &heard), SUCCESSOR_RELEASED);
	assert_null(heard.warning);
	assert_int_equal(heard.steps, 2); /* sandbox, directory */
	assert_int_equal(waitpid(sandbox, NULL, 0), sandbox);
	assert_false(file_exists(l.held));
	assert_false(file_exists(l.path));
	assert_true(all_children_end());
	done_leased(&l);
}

static void what_a_runtime_keeps_stays_on_the_lease(void **state)
{
	static const struct {
		const char *script; /* NULL: there is no such CLI */
		enum successor_result released;
	} CASES[] = {
		{ NULL, SUCCESSOR_UNAVAILABLE },
		{ "#!/bin/sh\necho busy >&2\nexit 1\n", SUCCESSOR_INCOMPLETE },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		struct leased l = make_leased();
		struct heard heard = { 0 };
		struct lease_seen seen;
		char *cli = str_printf("%s/cli", l.base);
		pid_t sandbox;

		if (CASES[i].script != NULL)
			write_file(cli, CASES[i].script, 0700);
		sandbox = leave_behind(&l, cli);
		assert_int_equal(release_lease(&l, &heard), CASES[i].released);
		assert_non_null(heard.warning);
		assert_non_null(strstr(heard.warning, "npxc-x-0123abcd"));
		assert_int_equal(waitpid(sandbox, NULL, 0), sandbox);
		assert_false(file_exists(l.held));
		seen = seen_of(&l, false, LEASE_DEAD);
		assert_int_equal(seen.lease.count, 1);
		assert_int_equal(seen.lease.entries[0].kind, RESOURCE_CONTAINER);
		assert_int_equal(seen.lease.sandbox.pid, 0);
		lease_seen_done(&seen);

		write_file(cli, "#!/bin/sh\nexit 0\n", 0700);
		assert_int_equal(release_lease(&l, &heard), SUCCESSOR_RELEASED);
		assert_false(file_exists(l.path));
		free(cli), free(heard.warning);
		done_leased(&l);
	}
}

/* The first removal finds none; then it is there, and its network cannot be deleted. */
static void a_container_that_comes_after_its_removal_is_removed_with_its_network(void **state)
{
	static const char SCRIPT[] =
	    "#!/bin/sh\n"
	    "cd \"${0%/*}\"\n"
	    "for name; do :; done\n"
	    "case $1 in\n"
	    "rm)\n"
	    "	rm came 2>&- && exit\n"
	    "	test -e gone || : >came\n"
	    "	echo \"Error: No such container: $name\" >&2\n"
	    "	exit 1 ;;\n"
	    "network)\n"
	    "	test ! -e gone || { echo \"Error response from daemon: network $name not found\" >&2; exit 1; }\n"
	    "	test $2 = rm || exit 0\n"
	    "	test ! -e came || { echo in use >&2; exit 1; }\n"
	    "	: >gone ;;\n"
	    "esac\n";
	struct leased l = make_leased();
	struct heard heard = { 0 };
	struct npxc_error err = { 0 };
	struct lease_seen seen;
	char *cli = str_printf("%s/cli", l.base);
	const struct runtime runtime = { .kind = RUNTIME_DOCKER, .cli = cli };
	pid_t launcher;
	int ends[2];

	(void)state;
	write_file(cli, SCRIPT, 0700);
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	launcher = fork_with_test();
	if (launcher == 0) {
		struct janitor *janitor = started_with(&l);
		unsigned ignored;

		if (!janitor_hold_named(janitor, RESOURCE_NETWORK, &runtime, "npxc-abababababab4abc8cdcdcdcdcdcdcde",
		                        &ignored, &err) ||
		    !janitor_hold_named(janitor, RESOURCE_CONTAINER, &runtime, "npxc-x-0123abcd", &ignored, &err) ||
		    write(ends[1], "held", 4) != 4)
			_exit(1);
		for (;;)
			pause();
	}
	both_die(&l, launcher, ends);

	assert_int_equal(release_lease(&l, &heard), SUCCESSOR_INCOMPLETE);
	assert_non_null(heard.warning);
	if (strstr(heard.warning, "npxc-abab") == NULL)
		fail_msg("%s", heard.warning);
	seen = seen_of(&l, false, LEASE_DEAD);
	assert_int_equal(seen.lease.count, 2);
	lease_seen_done(&seen);
	assert_int_equal(release_lease(&l, &heard), SUCCESSOR_RELEASED);
	assert_false(file_exists(l.path));
	free(heard.warning), free(cli);
	done_leased(&l);
}

/* A number that means somebody else now, and one of another boot. */
static void a_strangers_process_is_not_touched(void **state)
{
	static const struct {
		const char *boot;
		int later;
		bool held; /* as a process of npxc's own, not as the sandbox */
	} CASES[] = { { NULL, 1, false }, { NULL, -1, false }, { "another boot", 0, false },
		      { NULL, 1, true },  { NULL, -1, true },  { "another boot", 0, true } };

	(void)state;
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		struct leased l = make_leased();
		struct heard heard = { 0 };
		struct lease lease = { .npxc = str_dup("1"), .id = str_dup("0123abcd") };
		struct npxc_error err = { 0 };
		pid_t pid = fork_with_test();
		int fd;

		if (pid == 0)
			for (;;)
				pause();
		lease.boot = str_dup(CASES[i].boot == NULL ? l.boot : CASES[i].boot);
		lease.sandbox = lease_process_of(pid);
		lease.sandbox.started += (uint64_t)CASES[i].later;
		struct lease_entry entry = { .id = 1, .kind = RESOURCE_PROCESS };
		strv_pushf(&entry.words, "%ld", (long)pid);
		strv_pushf(&entry.words, "%llu", (unsigned long long)lease.sandbox.started);
		char *header = lease_line_header(&lease);
		char *line =
		    CASES[i].held ? lease_line_hold(&entry) : lease_line_sandbox(&lease.sandbox, GROUP_STOP_INNER);
		lease_entry_done(&entry);
		char *text = str_printf("%s%s", header, line);
		assert_true(lease_create(l.path, text, &fd, &err));
		close(fd);
		assert_int_equal(release_lease(&l, &heard), SUCCESSOR_RELEASED);
		assert_int_equal(waitpid(pid, NULL, WNOHANG), 0);
		assert_int_equal(kill(pid, SIGKILL), 0);
		assert_int_equal(waitpid(pid, NULL, 0), pid);
		free(header), free(line), free(text);
		lease_done(&lease);
		done_leased(&l);
	}
}

/* The first process has gone; what it started at once is found by its group, a stranger's group is not. */
static void kin_is_found_by_its_group(void **state)
{
	struct group group;
	struct proc_look look;
	int ends[2];
	pid_t first, kin;

	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	first = fork_with_test();
	if (first == 0) {
		setsid();
		kin = fork();
		if (kin == 0)
			for (;;)
				pause();
		_exit(write(ends[1], &kin, sizeof(kin)) != sizeof(kin));
	}
	assert_int_equal(read(ends[0], &kin, sizeof(kin)), sizeof(kin));
	siginfo_t info;
	assert_int_equal(waitid(P_PID, (id_t)first, &info, WEXITED | WNOWAIT), 0);
	assert_true(proc_look(first, &look));
	assert_int_equal(waitpid(first, NULL, 0), first);
	assert_false(
	    group_open_again(first, look.started - 1000 * proc_started_per_second(), GROUP_STOP_INNER, &group));
	assert_false(group_open_again(first, look.started + 1000, GROUP_STOP_INNER, &group));
	assert_true(group_open_again(first, look.started, GROUP_STOP_INNER, &group));
	struct npxc_error err = { 0 };
	assert_true(group_end(&group, 0, -1, &err));
	group_done(&group);
	assert_int_equal(waitpid(kin, NULL, 0), kin);
	assert_false(group_open_again(first, look.started, GROUP_STOP_INNER, &group));
	close(ends[0]), close(ends[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_end_removes_what_is_held_and_nothing_else),
		cmocka_unit_test(a_failing_removal_is_a_warning_and_stops_nothing),
		cmocka_unit_test(the_launcher_does_not_wait_longer_than_it_said),
		cmocka_unit_test(a_dead_launcher_leaves_nothing),
		cmocka_unit_test(the_janitor_keeps_none_of_the_clients_pipes),
		cmocka_unit_test(the_janitor_stands_apart),
		cmocka_unit_test(a_dead_janitor_is_an_error_not_a_signal),
		cmocka_unit_test(bad_resources_are_refused),
		cmocka_unit_test(ceilings_hold),
		cmocka_unit_test(groups_that_are_no_sandbox_are_refused),
		cmocka_unit_test(a_container_goes_as_its_runtime_wants_it),
		cmocka_unit_test(a_sandbox_that_is_gone_already_is_no_error),
		cmocka_unit_test(garbage_takes_everything_down),
		cmocka_unit_test(what_is_held_stands_on_the_lease_before_the_answer),
		cmocka_unit_test(without_a_lease_nothing_is_held),
		cmocka_unit_test(a_dead_janitors_place_is_taken),
		cmocka_unit_test(a_process_is_killed_unless_it_was_released),
		cmocka_unit_test(what_both_left_is_released_by_the_lease),
		cmocka_unit_test(what_a_runtime_keeps_stays_on_the_lease),
		cmocka_unit_test(a_container_that_comes_after_its_removal_is_removed_with_its_network),
		cmocka_unit_test(a_strangers_process_is_not_touched),
		cmocka_unit_test(kin_is_found_by_its_group),
	};

	/* A failed test leaves processes that the next one would find. They end with this one. */
	setenv("CMOCKA_TEST_ABORT", "1", 1);
	return cmocka_run_group_tests(tests, adopt_orphans, NULL);
}
