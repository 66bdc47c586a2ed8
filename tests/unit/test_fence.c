#include "unit.h"

#include "base/fd.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/userns.h"
#include "session/fence.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/inotify.h>
#endif

/* ---- what is left, by plan and kernel ---- */

#define CEILING "what the kernel counts for a whole user can be used up: pipe buffers, epoll watches"
#define NO_CEILING                                                                                                    \
	"what the kernel counts for a whole user can be used up: inotify instances and watches, pipe buffers, epoll " \
	"watches"
#define SOCKET "a UNIX socket that a service makes beneath /srv/p while the server runs can be reached"
#define FIFO "a FIFO that a service makes beneath /srv/p while the server runs can be written"
#define LATER " (from Linux 7.1 on it cannot)"

struct mounted {
	const char *target;
	char kind; /* '\0': npxc's own, which nobody judged */
	bool writable;
};

static const struct {
	const char *what;
	struct fence fence;
	enum runtime_kind kind;
	enum launch_network network;
	const char *network_name;
	struct mounted mounts[3];
	const char *left[4];
} cases[] = {
	{ "nothing mounted", { true, 7 }, RUNTIME_BWRAP, LAUNCH_NETWORK_NONE, NULL, { { 0 } }, { CEILING } },
	{ "npxc's own directory",
	  { true, 7 },
	  RUNTIME_BWRAP,
	  LAUNCH_NETWORK_NONE,
	  NULL,
	  { { "/srv/p", '\0', false } },
	  { CEILING } },
	{ "a file", { true, 7 }, RUNTIME_BWRAP, LAUNCH_NETWORK_NONE, NULL, { { "/srv/p", 'f', false } }, { CEILING } },
	{ "no namespace", { false, 7 }, RUNTIME_BWRAP, LAUNCH_NETWORK_NONE, NULL, { { 0 } }, { NO_CEILING } },
	{ "the host's network", { true, 7 }, RUNTIME_BWRAP, LAUNCH_NETWORK_OPEN, NULL, { { 0 } }, { CEILING } },
	{ "the host's network, an old kernel",
	  { true, 5 },
	  RUNTIME_BWRAP,
	  LAUNCH_NETWORK_OPEN,
	  NULL,
	  { { 0 } },
	  { "abstract UNIX sockets of this machine can be reached (from Linux 6.12 on, with Landlock, they cannot)",
	    CEILING } },
	{ "no network, an old kernel", { true, 0 }, RUNTIME_BWRAP, LAUNCH_NETWORK_NONE, NULL, { { 0 } }, { CEILING } },
	{ "a directory, read-only",
	  { true, 8 },
	  RUNTIME_BWRAP,
	  LAUNCH_NETWORK_NONE,
	  NULL,
	  { { "/srv/p", 'd', false } },
	  { SOCKET LATER, CEILING } },
	{ "a directory, and a kernel that knows named sockets",
	  { true, 9 },
	  RUNTIME_BWRAP,
	  LAUNCH_NETWORK_NONE,
	  NULL,
	  { { "/srv/p", 'd', false } },
	  { CEILING } },
	{ "a directory, without Landlock",
	  { true, 0 },
	  RUNTIME_BWRAP,
	  LAUNCH_NETWORK_NONE,
	  NULL,
	  { { "/srv/p", 'd', false } },
	  { SOCKET LATER, FIFO, CEILING } },
	{ "a directory, with the first Landlock",
	  { true, 1 },
	  RUNTIME_BWRAP,
	  LAUNCH_NETWORK_NONE,
	  NULL,
	  { { "/srv/p", 'd', false } },
	  { SOCKET LATER, FIFO, CEILING } },
	{ "a directory, writable",
	  { true, 9 },
	  RUNTIME_BWRAP,
	  LAUNCH_NETWORK_NONE,
	  NULL,
	  { { "/srv/p", 'd', true } },
	  { FIFO, CEILING } },
	{ "beneath HOME",
	  { true, 9 },
	  RUNTIME_BWRAP,
	  LAUNCH_NETWORK_NONE,
	  NULL,
	  { { "/home/u/p", 'd', false } },
	  { "a FIFO that a service makes beneath /home/u/p while the server runs can be written", CEILING } },
	{ "beneath /tmp",
	  { true, 9 },
	  RUNTIME_BWRAP,
	  LAUNCH_NETWORK_NONE,
	  NULL,
	  { { "/tmp/p", 'd', false } },
	  { "a FIFO that a service makes beneath /tmp/p while the server runs can be written", CEILING } },
	{ "beneath a writable one",
	  { true, 7 },
	  RUNTIME_BWRAP,
	  LAUNCH_NETWORK_NONE,
	  NULL,
	  { { "/srv/p", 'd', true }, { "/srv/p/deps", 'd', false }, { "/srv/other", 'd', false } },
	  { "a UNIX socket that a service makes beneath /srv/p, /srv/p/deps, /srv/other while the server runs can be "
	    "reached" LATER,
	    "a FIFO that a service makes beneath /srv/p, /srv/p/deps while the server runs can be written", CEILING } },
	{ "a container",
	  { true, 9 },
	  RUNTIME_PODMAN,
	  LAUNCH_NETWORK_OPEN,
	  NULL,
	  { { "/srv/p", 'd', false } },
	  { SOCKET, FIFO, NO_CEILING } },
	{ "a container on the host's network",
	  { true, 9 },
	  RUNTIME_DOCKER,
	  LAUNCH_NETWORK_NAMED,
	  "host",
	  { { 0 } },
	  { "abstract UNIX sockets of this machine can be reached", NO_CEILING } },
	{ "a container on a network of its own",
	  { true, 9 },
	  RUNTIME_DOCKER,
	  LAUNCH_NETWORK_NAMED,
	  "hosts",
	  { { 0 } },
	  { NO_CEILING } },
	{ "a virtual machine",
	  { false, 0 },
	  RUNTIME_APPLE,
	  LAUNCH_NETWORK_OPEN,
	  NULL,
	  { { "/srv/p", 'd', true } },
	  { NULL } },
};

static void what_is_left_is_computed_from_plan_and_kernel(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct launch launch = { .home = str_dup("/home/u"), .network = cases[i].network };
		struct strv left;
		size_t n = 0;

		launch.network_name = cases[i].network_name == NULL ? NULL : str_dup(cases[i].network_name);
		for (size_t k = 0; k < 3 && cases[i].mounts[k].target != NULL; k++) {
			const struct mounted *m = &cases[i].mounts[k];
			const struct launch_identity who = { .fd = -1, .kind = m->kind };

			if (m->kind == '\0')
				launch_add_mount(&launch, "/x", m->target, m->writable);
			else
				launch_add_judged(&launch, "/x", m->target, m->writable, &who);
		}
		fence_left(&cases[i].fence, cases[i].kind, &launch, &left);
		for (; n < 4 && cases[i].left[n] != NULL; n++)
			if (n >= left.count || !str_equal(left.v[n], cases[i].left[n]))
				fail_msg("%s: \"%s\" instead of \"%s\"", cases[i].what,
				         n < left.count ? left.v[n] : "nothing", cases[i].left[n]);
		if (left.count != n)
			fail_msg("%s: also \"%s\"", cases[i].what, left.v[n]);
		strv_done(&left);
		launch_done(&launch);
	}
}

#ifdef __linux__

/* ---- for real, each in a child, which says what it saw ---- */

struct view {
	bool entered, ceilings;
	int instances; /* of inotify, until there are no more */
	int no_new_privs;
	rlim_t files, soft_files, signals, queues;
};

static rlim_t hard_limit(int resource)
{
	struct rlimit limit = { 0 };

	return getrlimit((__rlimit_resource_t)resource, &limit) == 0 ? limit.rlim_max : 0;
}

static int no_new_privs(void)
{
	struct buf text BUF_CLEANUP = BUF_INIT(64 * KIB);
	struct npxc_error err;
	const char *line;

	if (!file_read("/proc/self/status", &text, &err))
		return -1;
	line = strstr(text.data, "NoNewPrivs:\t");
	return line == NULL ? -1 : line[strlen("NoNewPrivs:\t")] - '0';
}

static struct view look(bool has_namespace)
{
	struct npxc_error err = { 0 };
	struct view view = { 0 };
	const struct rlimit soft = { .rlim_cur = 64, .rlim_max = hard_limit(RLIMIT_NOFILE) };
	struct rlimit files;

	setrlimit(RLIMIT_NOFILE, &soft);
	if (has_namespace && userns_enter(0) != NULL)
		return view;
	view.entered = fence_enter(has_namespace, &view.ceilings, &err);
	getrlimit(RLIMIT_NOFILE, &files);
	view.soft_files = files.rlim_cur;
	view.files = files.rlim_max;
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	while (inotify_init1(IN_CLOEXEC) != -1)
		view.instances++;
	view.no_new_privs = no_new_privs();
	view.signals = hard_limit(RLIMIT_SIGPENDING);
	view.queues = hard_limit(RLIMIT_MSGQUEUE);
	return view;
}

static struct view look_from_a_child(bool has_namespace)
{
	struct npxc_error err = { 0 };
	struct buf bytes BUF_CLEANUP = BUF_INIT(sizeof(struct view));
	struct view view;
	int ends[2];
	pid_t pid;

	assert_true(fd_pipe(ends, &err));
	pid = fork();
	if (pid == 0) {
		view = look(has_namespace);
		_exit(fd_write_all(ends[1], &view, sizeof(view), &err) ? 0 : 1);
	}
	fd_close(&ends[1]);
	assert_true(fd_read_all(ends[0], &bytes, &err));
	fd_close(&ends[0]);
	waitpid(pid, NULL, 0);
	assert_int_equal(bytes.length, sizeof(view));
	memcpy(&view, bytes.data, sizeof(view));
	assert_true(view.entered);
	return view;
}

static unsigned long number_in(const char *path)
{
	struct buf text BUF_CLEANUP = BUF_INIT(64);
	struct npxc_error err;

	assert_true(file_read(path, &text, &err));
	return strtoul(text.data, NULL, 10);
}

static void a_share_of_the_users_inotify_is_all_there_is(void **state)
{
	const unsigned long whole = number_in("/proc/sys/fs/inotify/max_user_instances");

	(void)state;
	if (!fence_look().ceilings) {
		print_message("no user namespace may be made, or nothing set in it, here\n");
		skip();
	}
	for (int has_namespace = 0; has_namespace < 2; has_namespace++) {
		const struct view view = look_from_a_child(has_namespace != 0);

		assert_true(view.ceilings);
		/* not needed in a namespace of its own, and a set-user-ID bubblewrap would not survive it */
		assert_int_equal(view.no_new_privs, no_new_privs());
		assert_true(view.instances > 0 && (unsigned long)view.instances <= whole / LIMIT_SANDBOX_SHARE);
	}
}

static void limits_are_lowered_and_never_raised(void **state)
{
	const struct view view = look_from_a_child(false);

	(void)state;
	assert_true(view.files <= LIMIT_SANDBOX_FILES && view.files <= hard_limit(RLIMIT_NOFILE));
	assert_true(view.soft_files == 64);
	assert_true(view.signals <= hard_limit(RLIMIT_SIGPENDING) / LIMIT_SANDBOX_SHARE);
	assert_true(view.queues <= hard_limit(RLIMIT_MSGQUEUE) / LIMIT_SANDBOX_SHARE);
}

static void looking_says_what_a_start_would_get_and_changes_nothing_here(void **state)
{
	const struct view view = look_from_a_child(false);
	const rlim_t before = hard_limit(RLIMIT_NOFILE);
	const struct fence fence = fence_look();

	(void)state;
	assert_int_equal(fence.ceilings, view.ceilings);
	assert_true(hard_limit(RLIMIT_NOFILE) == before);
}

#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_left_is_computed_from_plan_and_kernel),
#ifdef __linux__
		cmocka_unit_test(a_share_of_the_users_inotify_is_all_there_is),
		cmocka_unit_test(limits_are_lowered_and_never_raised),
		cmocka_unit_test(looking_says_what_a_start_would_get_and_changes_nothing_here),
#endif
	};

	return cmocka_run_group_tests_name("fence", tests, NULL, NULL);
}
