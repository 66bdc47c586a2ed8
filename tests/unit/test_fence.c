#include "unit.h"

#include "base/fd.h"
#include "base/file.h"
#include "base/landlock.h"
#include "base/limits.h"
#include "base/mem.h"
#include "session/fence.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
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
	{ "nothing mounted", { true, true, 7 }, RUNTIME_BWRAP, LAUNCH_NETWORK_NONE, NULL, { { 0 } }, { CEILING } },
	{ "npxc's own directory",
	  { true, true, 7 },
	  RUNTIME_BWRAP,
	  LAUNCH_NETWORK_NONE,
	  NULL,
	  { { "/srv/p", '\0', false } },
	  { CEILING } },
	{ "a file",
	  { true, true, 7 },
	  RUNTIME_BWRAP,
	  LAUNCH_NETWORK_NONE,
	  NULL,
	  { { "/srv/p", 'f', false } },
	  { CEILING } },
	{ "no namespace", { true, false, 7 }, RUNTIME_BWRAP, LAUNCH_NETWORK_NONE, NULL, { { 0 } }, { NO_CEILING } },
	{ "the host's network", { true, true, 7 }, RUNTIME_BWRAP, LAUNCH_NETWORK_OPEN, NULL, { { 0 } }, { CEILING } },
	{ "the host's network, an old kernel",
	  { false, true, 5 },
	  RUNTIME_BWRAP,
	  LAUNCH_NETWORK_OPEN,
	  NULL,
	  { { 0 } },
	  { "abstract UNIX sockets of this machine can be reached (from Linux 6.12 on, with Landlock, they cannot)",
	    CEILING } },
	{ "no network, an old kernel",
	  { false, true, 0 },
	  RUNTIME_BWRAP,
	  LAUNCH_NETWORK_NONE,
	  NULL,
	  { { 0 } },
	  { CEILING } },
	{ "a directory, read-only",
	  { true, true, 8 },
	  RUNTIME_BWRAP,
	  LAUNCH_NETWORK_NONE,
	  NULL,
	  { { "/srv/p", 'd', false } },
	  { SOCKET LATER, CEILING } },
	{ "a directory, and a kernel that knows named sockets",
	  { true, true, 9 },
	  RUNTIME_BWRAP,
	  LAUNCH_NETWORK_NONE,
	  NULL,
	  { { "/srv/p", 'd', false } },
	  { CEILING } },
	{ "a directory, without Landlock",
	  { false, true, 0 },
	  RUNTIME_BWRAP,
	  LAUNCH_NETWORK_NONE,
	  NULL,
	  { { "/srv/p", 'd', false } },
	  { SOCKET LATER, FIFO, CEILING } },
	{ "a directory, with the first Landlock",
	  { false, true, 1 },
	  RUNTIME_BWRAP,
	  LAUNCH_NETWORK_NONE,
	  NULL,
	  { { "/srv/p", 'd', false } },
	  { SOCKET LATER, FIFO, CEILING } },
	{ "a directory, writable",
	  { true, true, 9 },
	  RUNTIME_BWRAP,
	  LAUNCH_NETWORK_NONE,
	  NULL,
	  { { "/srv/p", 'd', true } },
	  { FIFO, CEILING } },
	{ "beneath HOME",
	  { true, true, 9 },
	  RUNTIME_BWRAP,
	  LAUNCH_NETWORK_NONE,
	  NULL,
	  { { "/home/u/p", 'd', false } },
	  { "a FIFO that a service makes beneath /home/u/p while the server runs can be written", CEILING } },
	{ "beneath /tmp",
	  { true, true, 9 },
	  RUNTIME_BWRAP,
	  LAUNCH_NETWORK_NONE,
	  NULL,
	  { { "/tmp/p", 'd', false } },
	  { "a FIFO that a service makes beneath /tmp/p while the server runs can be written", CEILING } },
	{ "beneath a writable one",
	  { true, true, 7 },
	  RUNTIME_BWRAP,
	  LAUNCH_NETWORK_NONE,
	  NULL,
	  { { "/srv/p", 'd', true }, { "/srv/p/deps", 'd', false }, { "/srv/other", 'd', false } },
	  { "a UNIX socket that a service makes beneath /srv/p, /srv/p/deps, /srv/other while the server runs can be "
	    "reached" LATER,
	    "a FIFO that a service makes beneath /srv/p, /srv/p/deps while the server runs can be written", CEILING } },
	{ "a container",
	  { true, true, 9 },
	  RUNTIME_PODMAN,
	  LAUNCH_NETWORK_OPEN,
	  NULL,
	  { { "/srv/p", 'd', false } },
	  { SOCKET, FIFO, NO_CEILING } },
	{ "a container on the host's network",
	  { true, true, 9 },
	  RUNTIME_DOCKER,
	  LAUNCH_NETWORK_NAMED,
	  "host",
	  { { 0 } },
	  { "abstract UNIX sockets of this machine can be reached", NO_CEILING } },
	{ "a container on a network of its own",
	  { true, true, 9 },
	  RUNTIME_DOCKER,
	  LAUNCH_NETWORK_NAMED,
	  "hosts",
	  { { 0 } },
	  { NO_CEILING } },
	{ "a virtual machine",
	  { false, false, 0 },
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
	struct fence fence;
	bool entered;
	int outside_before, outside; /* errno of a connection to an abstract socket of the test's */
	int inside;                  /* to one of the child's own */
	int parent_before, parent;   /* errno of a signal to the test */
	int own;                     /* to a child of its own */
	int instances;               /* of inotify, until there are no more */
	int no_new_privs;
	rlim_t files, signals, queues;
};

static socklen_t abstract(const char *name, struct sockaddr_un *ret_address)
{
	*ret_address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	memcpy(ret_address->sun_path + 1, name, strlen(name));
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name));
}

static int listener(const char *name)
{
	struct sockaddr_un address;
	const socklen_t length = abstract(name, &address);
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return bind(fd, (struct sockaddr *)&address, length) == 0 && listen(fd, 4) == 0 ? fd : -1;
}

static int reach(const char *name)
{
	struct sockaddr_un address;
	const socklen_t length = abstract(name, &address);
	FD_CLEANUP int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return connect(fd, (struct sockaddr *)&address, length) == 0 ? 0 : errno;
}

static int signal_to(pid_t pid)
{
	return kill(pid, 0) == 0 ? 0 : errno;
}

static rlim_t hard_limit(int resource)
{
	struct rlimit limit = { 0 };

	return getrlimit((__rlimit_resource_t)resource, &limit) == 0 ? limit.rlim_max : 0;
}

static int own_child(void)
{
	const pid_t pid = fork();
	int answer;

	if (pid == 0) {
		pause();
		_exit(0);
	}
	answer = kill(pid, SIGKILL) == 0 ? 0 : errno;
	waitpid(pid, NULL, answer == 0 ? 0 : WNOHANG);
	return answer;
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

static struct view look(const char *name)
{
	mem_cleanup char *mine = str_printf("%s-inside", name);
	struct npxc_error err = { 0 };
	struct view view = { .outside_before = reach(name), .parent_before = signal_to(getppid()) };
	const struct rlimit soft = { .rlim_cur = 4096, .rlim_max = hard_limit(RLIMIT_NOFILE) };

	setrlimit(RLIMIT_NOFILE, &soft);
	view.entered = fence_enter("/bin/true", false, &view.fence, &err);
	view.outside = reach(name);
	view.parent = signal_to(getppid());
	view.inside = listener(mine) == -1 ? errno : reach(mine);
	view.own = own_child();
	while (inotify_init1(IN_CLOEXEC) != -1)
		view.instances++;
	view.no_new_privs = no_new_privs();
	view.files = hard_limit(RLIMIT_NOFILE);
	view.signals = hard_limit(RLIMIT_SIGPENDING);
	view.queues = hard_limit(RLIMIT_MSGQUEUE);
	return view;
}

static struct view look_from_a_child(void)
{
	mem_cleanup char *name = str_printf("npxc-test-%d", (int)getpid());
	struct npxc_error err = { 0 };
	struct buf bytes BUF_CLEANUP = BUF_INIT(sizeof(struct view));
	FD_CLEANUP int outside = listener(name);
	struct view view;
	int ends[2];
	pid_t pid;

	assert_true(outside != -1 && fd_pipe(ends, &err));
	pid = fork();
	if (pid == 0) {
		view = look(name);
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

static void abstract_sockets_and_signals_end_at_the_fence(void **state)
{
	const struct view view = look_from_a_child();

	(void)state;
	/* the controls: nothing stopped them before, and nothing stops the sandbox's own */
	assert_int_equal(view.outside_before, 0);
	assert_int_equal(view.parent_before, 0);
	assert_int_equal(view.inside, 0);
	assert_int_equal(view.own, 0);
	assert_int_equal(view.fence.landlock, landlock_abi());
	if (landlock_abi() < LANDLOCK_ABI_SCOPED) {
		print_message("this kernel's Landlock (ABI %d) has no scopes\n", landlock_abi());
		assert_false(view.fence.scopes);
		skip();
	}
	assert_true(view.fence.scopes);
	assert_int_equal(view.outside, EPERM);
	assert_int_equal(view.parent, EPERM);
}

static void a_share_of_the_users_inotify_is_all_there_is(void **state)
{
	const unsigned long whole = number_in("/proc/sys/fs/inotify/max_user_instances");
	const struct view view = look_from_a_child();

	(void)state;
	if (!view.fence.ceilings) {
		print_message("no user namespace may be made here\n");
		skip();
	}
	/* in a namespace of its own no_new_privs is not needed, which a set-user-ID bubblewrap would not survive */
	assert_int_equal(view.no_new_privs, 0);
	assert_true(view.instances > 0 && (unsigned long)view.instances <= whole / LIMIT_SANDBOX_SHARE);
}

static void limits_are_lowered_and_never_raised(void **state)
{
	const struct view view = look_from_a_child();

	(void)state;
	assert_true(view.files <= LIMIT_SANDBOX_FILES && view.files <= hard_limit(RLIMIT_NOFILE));
	assert_true(view.signals <= hard_limit(RLIMIT_SIGPENDING) / LIMIT_SANDBOX_SHARE);
	assert_true(view.queues <= hard_limit(RLIMIT_MSGQUEUE) / LIMIT_SANDBOX_SHARE);
}

static void looking_says_what_a_start_would_get_and_changes_nothing_here(void **state)
{
	const struct view view = look_from_a_child();
	const rlim_t before = hard_limit(RLIMIT_NOFILE);
	const struct fence fence = fence_look("/bin/true");

	(void)state;
	assert_int_equal(fence.landlock, view.fence.landlock);
	assert_int_equal(fence.scopes, view.fence.scopes);
	assert_int_equal(fence.ceilings, view.fence.ceilings);
	assert_true(hard_limit(RLIMIT_NOFILE) == before);
}

#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_left_is_computed_from_plan_and_kernel),
#ifdef __linux__
		cmocka_unit_test(abstract_sockets_and_signals_end_at_the_fence),
		cmocka_unit_test(a_share_of_the_users_inotify_is_all_there_is),
		cmocka_unit_test(limits_are_lowered_and_never_raised),
		cmocka_unit_test(looking_says_what_a_start_would_get_and_changes_nothing_here),
#endif
	};

	return cmocka_run_group_tests_name("fence", tests, NULL, NULL);
}
