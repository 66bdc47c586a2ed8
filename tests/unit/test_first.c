#include "unit.h"

#include "base/file.h"
#include "base/landlock.h"
#include "base/mem.h"
#include "base/proc.h"
#include "base/str.h"
#include "guest/first.h"
#include "guest/guest.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/*
 * The first program of a sandbox, run here without one:
 *   <top>/{first, file, other, link -> file, directory/, socket, fifo, closed/file}
 */
struct world {
	char *top;
	char *first;
};

static char *in(const struct world *w, const char *name)
{
	return str_path_join(w->top, name);
}

static int world_make(void **state)
{
	struct world *w = mem_alloc(sizeof(*w));
	struct npxc_error err;
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	if (!file_make_temporary_directory("/tmp", "npxc-test-", &w->top, &err) || chmod(w->top, 0755) == -1)
		return -1;
	w->first = in(w, "first");
	mem_cleanup char *file = in(w, "file");
	mem_cleanup char *other = in(w, "other");
	mem_cleanup char *link = in(w, "link");
	mem_cleanup char *directory = in(w, "directory");
	mem_cleanup char *fifo = in(w, "fifo");
	mem_cleanup char *path = in(w, "socket");
	strcpy(address.sun_path, path);
	const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	const bool made = file_write_atomic(w->first, GUEST_FIRST, GUEST_FIRST_LENGTH, 0755, &err) &&
	                  file_write_atomic(file, "x", 1, 0644, &err) && file_write_atomic(other, "x", 1, 0644, &err) &&
	                  symlink("file", link) == 0 && mkdir(directory, 0755) == 0 && mkfifo(fifo, 0644) == 0 &&
	                  bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0;
	close(fd);
	*state = w;
	return made ? 0 : -1;
}

static int world_remove(void **state)
{
	struct world *w = *state;
	struct npxc_error err;
	const bool gone = file_remove_tree(w->top, &err);

	free(w->top);
	free(w->first);
	free(w);
	return gone ? 0 : -1;
}

/* What came: an exit status, and stderr in `ret_said` (owned). */
static int run_first(const struct world *w, const char *const *words, const char *path, char **ret_said)
{
	struct strv argv = { 0 };
	mem_cleanup char *variable = str_printf("PATH=%s", path);
	char *environment[] = { (char[]){ "A=b" }, variable, NULL };
	struct npxc_error err = { 0 };
	struct proc_result result;

	strv_push(&argv, w->first);
	for (size_t i = 0; words[i] != NULL; i++)
		strv_push(&argv, words[i]);
	const struct proc_command command = {
		.argv = strv_argv(&argv), .environment = environment, .timeout_ms = 10000, .max_output_bytes = 65536
	};
	if (!proc_run(&command, &result, &err))
		fail_msg("%s", err.message);
	const int status = result.exit_status;
	*ret_said = str_dup_n(result.errors.data == NULL ? "" : result.errors.data, result.errors.length);
	proc_result_done(&result);
	strv_done(&argv);
	return status;
}

/* KIND MODE and the identity of one name, the path of another (NULL: the same). */
static char *check_of(const struct world *w, const char *flags, const char *name, const char *path_name)
{
	mem_cleanup char *path = in(w, name);
	mem_cleanup char *other = in(w, path_name == NULL ? name : path_name);
	struct stat info;

	assert_int_equal(lstat(path, &info), 0);
	return str_printf("%s%u:%u:%llu=%s", flags, major(info.st_dev), minor(info.st_dev),
	                  (unsigned long long)info.st_ino, other);
}

static void starts_the_command_when_all_is_as_meant(void **state)
{
	const struct world *w = *state;
	mem_cleanup char *file = check_of(w, "fw", "file", NULL);
	mem_cleanup char *directory = check_of(w, "dw", "directory", NULL);
	mem_cleanup char *socket_check = check_of(w, "sw", "socket", NULL);
	mem_cleanup char *fifo = check_of(w, "ow", "fifo", NULL);
	mem_cleanup char *any = str_printf("fw-=%s/other", w->top);
	const char *const words[] = {
		file,   directory, socket_check, fifo, any, "--", "sh", "-c", "echo \"$A $*\" >&2; exit 7",
		"zero", "--",      "dr1:2:3=/",  NULL
	};
	mem_cleanup char *said = NULL;

	assert_int_equal(run_first(w, words, "relative::/nowhere:/usr/bin:/bin", &said), 7);
	assert_string_equal(said, "b -- dr1:2:3=/\n");
}

static void ends_before_the_command_when_something_is_not(void **state)
{
	const struct world *w = *state;
	/* The identity of one name expected at another. */
	static const struct {
		const char *flags, *name, *at, *said;
	} CASES[] = {
		{ "fw", "file", "other", FIRST_OTHER },   { "dw", "directory", "file", FIRST_OTHER },
		{ "fw", "directory", NULL, FIRST_OTHER }, { "dw", "file", NULL, FIRST_OTHER },
		{ "fw", "fifo", NULL, FIRST_OTHER },      { "fw", "socket", NULL, FIRST_OTHER },
		{ "fw", "file", "link", FIRST_OTHER }, /* a link to the very file */
		{ "fw", "link", NULL, FIRST_OTHER },      { "fw", "file", "gone", FIRST_OTHER },
		{ "fW", "file", "gone", FIRST_OTHER },    { "dR", "directory", NULL, FIRST_WRITABLE },
		{ "fr", "file", NULL, FIRST_WRITABLE },
	};

	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		mem_cleanup char *good = check_of(w, "fw", "file", NULL);
		mem_cleanup char *bad = check_of(w, CASES[i].flags, CASES[i].name, CASES[i].at);
		mem_cleanup char *path = in(w, CASES[i].at == NULL ? CASES[i].name : CASES[i].at);
		mem_cleanup char *expected = str_printf(FIRST_PREFIX "%s%s\n", CASES[i].said, path);
		const char *const words[] = { good, bad, "--", "echo", NULL };
		mem_cleanup char *said = NULL;

		if (run_first(w, words, "/usr/bin:/bin", &said) != FIRST_STATUS || strcmp(said, expected) != 0)
			fail_msg("%s: %s", bad, said);
	}
}

static void reads_no_word_that_is_not_a_check(void **state)
{
	const struct world *w = *state;
	static const char *const WORDS[] = { "",        "d",          "xw1:2:3=/", "dx1:2:3=/", "dw1:2=/",
		                             "dw1:2:3", "dw:2:3=/",   "dw1:2:=/",  "dw1:2:3/",  "dw",
		                             "dw-/",    "dw-1:2:3=/", "dw1:2:x3=/" };

	for (size_t i = 0; i < sizeof(WORDS) / sizeof(WORDS[0]); i++) {
		const char *const words[] = { WORDS[i], "--", "true", NULL };
		mem_cleanup char *said = NULL;

		if (run_first(w, words, "/usr/bin:/bin", &said) != FIRST_STATUS ||
		    strstr(said, "not a check: ") == NULL)
			fail_msg("\"%s\": %s", WORDS[i], said);
	}
}

static void a_command_that_cannot_be_run_is_named(void **state)
{
	const struct world *w = *state;
	static const struct {
		const char *command, *why;
	} COMMANDS[] = { { "no-such-command", FIRST_CANNOT_FIND },
		         { "/no/such/command", FIRST_CANNOT_FIND },
		         { "", FIRST_CANNOT_FIND },
		         { "/tmp", FIRST_MAY_NOT_RUN },
		         { "/usr/bin/env/x", FIRST_CANNOT_RUN } };

	for (size_t i = 0; i < sizeof(COMMANDS) / sizeof(COMMANDS[0]); i++) {
		const char *const words[] = { "--", COMMANDS[i].command, NULL };
		mem_cleanup char *expected = str_printf(FIRST_PREFIX "%s%s\n", COMMANDS[i].why, COMMANDS[i].command);
		mem_cleanup char *said = NULL;

		assert_int_equal(run_first(w, words, "/usr/bin:/bin", &said), FIRST_STATUS);
		assert_string_equal(said, expected);
	}
	const char *const nothing[] = { "--", NULL };
	mem_cleanup char *said = NULL;
	assert_int_equal(run_first(w, nothing, "/usr/bin:/bin", &said), FIRST_STATUS);
	assert_string_equal(said, FIRST_PREFIX "no command\n");
}

#define WORLD(f) cmocka_unit_test_setup_teardown(f, world_make, world_remove)

/* ---- sealing, seen by this very program, which the first program starts ---- */

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
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return connect(fd, (struct sockaddr *)&address, length) == 0 ? 0 : errno;
}

static int signal_own_child(void)
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

/* `top`: a directory to write in. */
static int probe(const char *name, const char *pid, const char *top)
{
	mem_cleanup char *mine = str_printf("%s-inside", name);
	mem_cleanup char *from = str_printf("%s/from/f", top);
	mem_cleanup char *to = str_printf("%s/to/f", top);
	const int outside = reach(name);
	const int signalled = kill((pid_t)atoi(pid), 0) == 0 ? 0 : errno;
	const int inside = listener(mine) == -1 ? errno : reach(mine);
	const int own = signal_own_child();
	const int moved = rename(from, to) == 0 ? 0 : errno;

	fprintf(stderr, "outside %d, signal %d, inside %d, own child %d, rename %d", outside, signalled, inside, own,
	        moved);
	return 0;
}

static void sealed_it_reaches_no_abstract_socket_and_signals_nobody_outside(void **state)
{
	const struct world *w = *state;
	mem_cleanup char *name = str_printf("npxc-test-%d", (int)getpid());
	mem_cleanup char *pid = str_printf("%d", (int)getpid());
	mem_cleanup char *from = in(w, "from");
	mem_cleanup char *to = in(w, "to");
	mem_cleanup char *file = in(w, "from/f");
	mem_cleanup char *self = NULL;
	const char *const words[] = { FIRST_SEAL, "--", NULL, "--probe", name, pid, w->top, NULL };
	const char *sealed[8];
	const int outside = listener(name);
	const bool has_scopes = landlock_abi() >= LANDLOCK_ABI_SCOPED;
	struct npxc_error err = { 0 };

	assert_true(outside != -1 && file_real_path("/proc/self/exe", &self, &err));
	memcpy(sealed, words, sizeof(words));
	sealed[2] = self;
	assert_true(mkdir(from, 0755) == 0 && mkdir(to, 0755) == 0);
	/* as in every sandbox; an ordinary user could not restrict himself without */
	assert_int_equal(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	for (size_t i = 0; i < 2; i++) {
		/* the control: what was not sealed may */
		const char *const *run = i == 0 ? sealed + 1 : sealed;
		const int refused = i == 1 && has_scopes ? EPERM : 0;
		mem_cleanup char *expected =
		    str_printf("outside %d, signal %d, inside 0, own child 0, rename 0", refused, refused);
		mem_cleanup char *said = NULL;

		assert_true(file_write_atomic(file, "x", 1, 0644, &err));
		assert_int_equal(run_first(w, run, "/usr/bin:/bin", &said), 0);
		assert_string_equal(said, expected);
	}
	close(outside);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		WORLD(starts_the_command_when_all_is_as_meant),
		WORLD(ends_before_the_command_when_something_is_not),
		WORLD(reads_no_word_that_is_not_a_check),
		WORLD(a_command_that_cannot_be_run_is_named),
		WORLD(sealed_it_reaches_no_abstract_socket_and_signals_nobody_outside),
	};

	if (argc == 5 && strcmp(argv[1], "--probe") == 0)
		return probe(argv[2], argv[3], argv[4]);

	/* Other processors and systems have none. */
	if (GUEST_FIRST_LENGTH == 0)
		return 0;
	return cmocka_run_group_tests_name("first", tests, NULL, NULL);
}
