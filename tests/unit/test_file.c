#include "unit.h"

#include "base/fd.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/random.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef __linux__
#include <sched.h>
#include <sys/mount.h>
#endif

/* Each test works in a directory of its own below this one; the path is in *state. */
static int make_place(void **state)
{
	struct npxc_error err = { 0 };
	char *path;

	if (!file_make_temporary_directory("/tmp", "npxc-test-", &path, &err)) {
		fprintf(stderr, "%s\n", err.message);
		return -1;
	}
	*state = path;
	return 0;
}

/* Not with the function under test. */
static int remove_place(void **state)
{
	mem_cleanup char *path = *state;
	mem_cleanup char *command = str_printf("chmod -R u+rwx '%s' 2>/dev/null; rm -rf '%s'", path, path);

	return system(command);
}

static void put(const char *directory, const char *name, const char *text)
{
	mem_cleanup char *path = str_printf("%s/%s", directory, name);
	FILE *f = fopen(path, "we");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static void make(const char *directory, const char *name)
{
	mem_cleanup char *path = str_printf("%s/%s", directory, name);

	assert_int_equal(mkdir(path, 0700), 0);
}

static bool stands(const char *directory, const char *name)
{
	mem_cleanup char *path = str_printf("%s/%s", directory, name);
	struct stat st;

	return lstat(path, &st) == 0;
}

static size_t entries_of(const char *directory)
{
	mem_cleanup char *command = str_printf("ls -A '%s' | wc -l", directory);
	FILE *f = popen(command, "re");
	size_t count;

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%zu", &count), 1);
	assert_int_equal(pclose(f), 0);
	return count;
}

static void writing_replaces_whole_files_and_leaves_no_other(void **state)
{
	struct npxc_error err = { 0 };
	BUF_CLEANUP struct buf b = BUF_INIT(100);
	mem_cleanup char *path = str_printf("%s/f", (char *)*state);
	struct stat st;
	mode_t before = umask(077);

	assert_true(file_write_atomic(path, "one", 3, 0644, &err));
	assert_true(file_write_atomic(path, "second", 6, 0640, &err));
	umask(before);
	assert_true(file_read(path, &b, &err));
	assert_string_equal(b.data, "second");
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_int_equal(entries_of(*state), 1);
}

static void who_writes_alone_finds_what_a_dead_writer_left(void **state)
{
	struct npxc_error err = { 0 };
	BUF_CLEANUP struct buf b = BUF_INIT(100);
	mem_cleanup char *path = str_printf("%s/f", (char *)*state);

	put(*state, "f.tmp", "half of wh");
	assert_true(file_write_alone(path, "whole", 5, 0600, &err));
	assert_int_equal(entries_of(*state), 1);
	assert_true(file_read(path, &b, &err));
	assert_string_equal(b.data, "whole");

	put(*state, "f.tmp", "half");
	assert_true(file_remove_alone(path, &err));
	assert_int_equal(entries_of(*state), 0);
	assert_true(file_remove_alone(path, &err));

	make(*state, "f.tmp");
	assert_false(file_write_alone(path, "whole", 5, 0600, &err));
	assert_int_equal(entries_of(*state), 1);
}

static void a_refused_write_leaves_the_old_state(void **state)
{
	struct npxc_error err = { 0 };
	mem_cleanup char *directory = str_printf("%s/d", (char *)*state);
	mem_cleanup char *nowhere = str_printf("%s/none/f", (char *)*state);

	make(*state, "d");
	put(directory, "inside", "");
	assert_false(file_write_atomic(directory, "x", 1, 0644, &err));
	assert_int_equal(err.sys_errno, EISDIR);
	assert_int_equal(entries_of(*state), 1);
	assert_false(file_write_atomic(nowhere, "x", 1, 0644, &err));
	assert_int_equal(err.sys_errno, ENOENT);
	assert_non_null(strstr(err.message, nowhere));
}

static void reading_refuses_what_is_no_file_or_too_large(void **state)
{
	struct npxc_error err = { 0 };
	BUF_CLEANUP struct buf b = BUF_INIT(3);
	mem_cleanup char *path = str_printf("%s/f", (char *)*state);

	assert_false(file_read(path, &b, &err));
	assert_int_equal(err.sys_errno, ENOENT);
	assert_non_null(strstr(err.message, path));
	put(*state, "f", "1234");
	assert_false(file_read(path, &b, &err));
	assert_int_equal(err.sys_errno, EFBIG);
	assert_non_null(strstr(err.message, path));
	assert_int_equal(b.length, 0);
	assert_false(file_read(*state, &b, &err));
	assert_int_equal(err.sys_errno, EISDIR);
}

static void kinds_of_files_follow_symlinks(void **state)
{
	mem_cleanup char *link = str_printf("%s/link", (char *)*state);
	mem_cleanup char *dangling = str_printf("%s/dangling", (char *)*state);
	mem_cleanup char *file = str_printf("%s/f", (char *)*state);
	mem_cleanup char *real = NULL;
	struct npxc_error err = { 0 };

	put(*state, "f", "");
	assert_int_equal(symlink("f", link), 0);
	assert_int_equal(symlink("none", dangling), 0);
	assert_true(file_is_regular(link));
	assert_false(file_is_directory(link));
	assert_true(file_exists(link));
	assert_false(file_exists(dangling));
	assert_false(file_is_regular(*state));
	assert_true(file_is_directory(*state));
	assert_true(file_real_path(link, &real, &err));
	assert_string_equal(real, file);
	assert_false(file_real_path(dangling, &real, &err));
	assert_int_equal(err.sys_errno, ENOENT);
	assert_string_equal(real, file);
}

static void directories_are_made_with_their_parents(void **state)
{
	struct npxc_error err = { 0 };
	mem_cleanup char *deep = str_printf("%s/a/b//c", (char *)*state);
	mem_cleanup char *trailing = str_printf("%s/a/x/", (char *)*state);
	mem_cleanup char *beneath_file = str_printf("%s/f/g", (char *)*state);
	mem_cleanup char *file = str_printf("%s/f", (char *)*state);

	assert_true(file_make_directories(deep, 0700, &err));
	assert_true(file_is_directory(deep));
	assert_true(file_make_directories(deep, 0700, &err));
	assert_true(file_make_directories(trailing, 0700, &err));
	assert_true(file_is_directory(trailing));
	assert_true(file_make_directories("/", 0700, &err));
	put(*state, "f", "");
	assert_false(file_make_directories(file, 0700, &err));
	assert_int_equal(err.sys_errno, ENOTDIR);
	assert_false(file_make_directories(beneath_file, 0700, &err));
	assert_int_equal(err.sys_errno, ENOTDIR);
}

static void temporary_directories_are_private_and_differ(void **state)
{
	struct npxc_error err = { 0 };
	mem_cleanup char *one = NULL;
	mem_cleanup char *two = NULL;
	mem_cleanup char *none = str_printf("%s/none", (char *)*state);
	char *untouched = NULL;
	struct stat st;

	assert_true(file_make_temporary_directory(*state, "p-", &one, &err));
	assert_true(file_make_temporary_directory(*state, "p-", &two, &err));
	assert_string_not_equal(one, two);
	assert_int_equal(strlen(one), strlen(*state) + strlen("/p-") + 16);
	assert_int_equal(stat(one, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_false(file_make_temporary_directory(none, "p-", &untouched, &err));
	assert_int_equal(err.sys_errno, ENOENT);
	assert_null(untouched);
}

static void removal_takes_files_trees_and_what_is_gone(void **state)
{
	struct npxc_error err = { 0 };
	mem_cleanup char *tree = str_printf("%s/tree", (char *)*state);
	mem_cleanup char *sub = str_printf("%s/tree/sub", (char *)*state);
	mem_cleanup char *file = str_printf("%s/file", (char *)*state);
	mem_cleanup char *fifo = str_printf("%s/tree/fifo", (char *)*state);

	put(*state, "file", "");
	assert_true(file_remove_tree(file, &err));
	assert_true(file_remove_tree(file, &err));
	make(*state, "tree");
	make(*state, "tree/sub");
	make(*state, "tree/sub/empty");
	assert_int_equal(mkfifo(fifo, 0600), 0);
	for (int i = 0; i < 3000; i++) {
		mem_cleanup char *name = str_printf("a-file-with-a-rather-long-name-%d", i);

		put(i % 2 == 0 ? tree : sub, name, "");
	}
	assert_true(file_remove_tree(tree, &err));
	assert_int_equal(entries_of(*state), 0);
	assert_int_equal(err.kind, ERROR_NONE);
}

static void removal_never_follows_a_symlink(void **state)
{
	struct npxc_error err = { 0 };
	mem_cleanup char *kept = str_printf("%s/kept", (char *)*state);
	mem_cleanup char *tree = str_printf("%s/tree", (char *)*state);
	mem_cleanup char *inside = str_printf("%s/tree/link", (char *)*state);
	mem_cleanup char *top = str_printf("%s/top", (char *)*state);
	mem_cleanup char *top_slash = str_printf("%s/top/", (char *)*state);

	make(*state, "kept");
	put(kept, "file", "");
	make(*state, "tree");
	assert_int_equal(symlink("../kept", inside), 0);
	assert_true(file_remove_tree(tree, &err));
	assert_false(stands(*state, "tree"));
	assert_int_equal(symlink("kept", top), 0);
	assert_true(file_remove_tree(top, &err));
	assert_false(stands(*state, "top"));
	assert_int_equal(symlink("kept", top), 0);
	assert_true(file_remove_tree(top_slash, &err));
	assert_false(stands(*state, "top"));
	assert_true(stands(kept, "file"));
}

static void removal_refuses_paths_that_name_no_entry(void **state)
{
	static const char *const endings[] = { "/.", "/..", "/./", "/..//" };
	static const char *const whole[] = { "", ".", "..", "./" };
	mem_cleanup char *inner = str_printf("%s/inner", (char *)*state);
	struct npxc_error err = { 0 };

	/* A fault may empty the place of this test; so no "/", and ".." of a directory further in. */
	make(*state, "inner");
	put(*state, "kept", "");
	for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
		mem_cleanup char *path = str_printf("%s%s", inner, endings[i]);

		assert_false(file_remove_tree(path, &err));
		assert_int_equal(err.sys_errno, EINVAL);
	}
	assert_true(stands(*state, "kept"));
	assert_int_equal(chdir(inner), 0);
	for (size_t i = 0; i < sizeof(whole) / sizeof(whole[0]); i++) {
		assert_false(file_remove_tree(whole[i], &err));
		assert_int_equal(err.sys_errno, EINVAL);
	}
	assert_int_equal(chdir("/"), 0);
	assert_true(stands(*state, "kept"));
}

/* Deeper than PATH_MAX, than the number of descriptors, and than a stack of frames with buffers would bear. */
static void removal_has_no_limit_of_depth(void **state)
{
	enum { DEPTH = 3000 };
	struct npxc_error err = { 0 };
	mem_cleanup char *tree = str_printf("%s/tree", (char *)*state);
	int status;
	pid_t child;

	make(*state, "tree");
	child = fork();
	assert_int_not_equal(child, -1);
	if (child == 0) {
		struct rlimit few = { 24, 24 };

		if (chdir(tree) == -1)
			_exit(2);
		for (int i = 0; i < DEPTH; i++)
			if (mkdir("directory", 0700) == -1 || chdir("directory") == -1)
				_exit(3);
		if (chdir("/") == -1 || setrlimit(RLIMIT_NOFILE, &few) == -1)
			_exit(4);
		_exit(file_remove_tree(tree, &err) ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_false(stands(*state, "tree"));
}

/* A mode stops an ordinary user only, so this part of the test runs as one; root's own way is any other test. */
static void removal_opens_directories_that_are_locked_up(void **state)
{
	static const char *const locked[] = { "tree/none", "tree/unwritable", "tree/unsearchable", "tree" };
	static const mode_t modes[] = { 0, 0500, 0600, 0500 };
	mem_cleanup char *tree = str_printf("%s/tree", (char *)*state);
	int status;
	pid_t child;

	assert_int_equal(chmod(*state, 0777), 0);
	child = fork();
	assert_int_not_equal(child, -1);
	if (child == 0) {
		struct npxc_error err = { 0 };

		if (getuid() == 0 && (setgid(65534) == -1 || setuid(65534) == -1))
			_exit(2);
		make(*state, "tree");
		for (size_t i = 0; i < 3; i++) {
			mem_cleanup char *path = str_printf("%s/%s", (char *)*state, locked[i]);

			make(*state, locked[i]);
			make(path, "sub");
			put(path, "file", "");
		}
		for (size_t i = 0; i < 4; i++) {
			mem_cleanup char *path = str_printf("%s/%s", (char *)*state, locked[i]);

			if (chmod(path, modes[i]) == -1)
				_exit(3);
		}
		if (!file_remove_tree(tree, &err)) {
			fprintf(stderr, "%s\n", err.message);
			_exit(1);
		}
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_false(stands(*state, "tree"));
}

static void removal_that_is_refused_says_so(void **state)
{
	mem_cleanup char *tree = NULL;
	int status;
	pid_t child;

	if (getuid() != 0)
		skip(); /* needs files of another user; returns from here, so that nothing may be held yet */
	tree = str_printf("%s/tree", (char *)*state);
	make(*state, "tree");
	put(tree, "file", "");
	assert_int_equal(chmod(tree, 0755), 0);
	assert_int_equal(chmod(*state, 0755), 0);
	child = fork();
	assert_int_not_equal(child, -1);
	if (child == 0) {
		struct npxc_error err = { 0 };

		if (setgid(65534) == -1 || setuid(65534) == -1)
			_exit(2);
		if (file_remove_tree(tree, &err))
			_exit(3);
		_exit(err.kind == ERROR_IO && err.sys_errno == EACCES && strstr(err.message, "file") != NULL ? 0 : 4);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_true(stands(tree, "file"));
}

#ifdef __linux__
enum { NO_NAMESPACE = 77 };

/* A bind mount of the same file system has the same device number: its contents are somebody's files all the same. */
static void removal_stops_at_mounts(void **state)
{
	static const char *const kinds[] = { "bind", "tmpfs" };

	for (size_t i = 0; i < 2; i++) {
		mem_cleanup char *kept = str_printf("%s/kept", (char *)*state);
		mem_cleanup char *tree = str_printf("%s/tree", (char *)*state);
		mem_cleanup char *point = str_printf("%s/tree/point", (char *)*state);
		int status;
		pid_t child;

		if (i == 0) {
			make(*state, "kept");
			put(kept, "file", "");
			make(*state, "tree");
			make(*state, "tree/point");
		}
		child = fork();
		assert_int_not_equal(child, -1);
		if (child == 0) {
			struct npxc_error err = { 0 };
			bool bind = strcmp(kinds[i], "bind") == 0;
			bool refused;

			/* An ordinary user needs a user namespace for it; unmapped there, he can make no files. */
			if (unshare(CLONE_NEWNS) == -1 && unshare(CLONE_NEWUSER | CLONE_NEWNS) == -1)
				_exit(NO_NAMESPACE);
			if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == -1 ||
			    mount(kept, point, bind ? NULL : "tmpfs", bind ? MS_BIND : 0, NULL) == -1)
				_exit(NO_NAMESPACE);
			refused = !file_remove_tree(tree, &err) && err.sys_errno == EXDEV;
			_exit(refused && stands(point, bind ? "file" : ".") ? 0 : 1);
		}
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_true(WIFEXITED(status));
		if (WEXITSTATUS(status) == NO_NAMESPACE)
			skip(); /* no mount namespace for this user */
		assert_int_equal(WEXITSTATUS(status), 0);
		assert_true(stands(kept, "file"));
	}
}
#endif

/* Holds the lock in a child until told to let go. */
static pid_t start_holder(const char *path, int ret_release[2])
{
	struct npxc_error err = { 0 };
	int ready[2];
	char byte;
	pid_t child;

	assert_true(fd_pipe(ready, &err));
	assert_true(fd_pipe(ret_release, &err));
	child = fork();
	assert_int_not_equal(child, -1);
	if (child == 0) {
		int fd;

		close(ret_release[1]);
		if (!file_lock(path, true, &fd, &err) || write(ready[1], "x", 1) != 1)
			_exit(1);
		_exit(read(ret_release[0], &byte, 1) == 0 ? 0 : 2);
	}
	fd_close(&ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	fd_close(&ready[0]);
	fd_close(&ret_release[0]);
	return child;
}

static void a_lock_excludes_until_its_holder_lets_go(void **state)
{
	struct npxc_error err = { 0 };
	mem_cleanup char *path = str_printf("%s/lock", (char *)*state);
	FD_CLEANUP int fd = -1;
	int release[2];
	int status;
	pid_t holder = start_holder(path, release);

	assert_false(file_lock(path, false, &fd, &err));
	assert_int_equal(err.sys_errno, EWOULDBLOCK);
	assert_int_equal(fd, -1);
	fd_close(&release[1]);
	assert_true(file_lock(path, true, &fd, &err));
	assert_int_equal(waitpid(holder, &status, 0), holder);
	assert_int_equal(status, 0);
	assert_true((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
}

/* Returns once the process waits for a lock. Nothing tells of that but the kernel's list, so it is asked again and
 * again; elsewhere the waiter may come to open the new file at once, and the test is weaker. */
static void await_waiter(pid_t pid)
{
#ifdef __linux__
	mem_cleanup char *command = str_printf("grep -q -- '-> FLOCK.* %d ' /proc/locks", (int)pid);

	while (system(command) != 0)
		usleep(1000);
#else
	(void)pid;
#endif
}

/* A waiter that got the lock of a file which was removed meanwhile would believe itself alone beside a newer one. */
static void a_lock_is_of_the_file_that_stands_there(void **state)
{
	struct npxc_error err = { 0 };
	mem_cleanup char *path = str_printf("%s/lock", (char *)*state);
	int release[2];
	int ends[2];
	int status;
	char byte;
	pid_t holder = start_holder(path, release);
	pid_t waiter;

	assert_true(fd_pipe(ends, &err));
	waiter = fork();
	assert_int_not_equal(waiter, -1);
	if (waiter == 0) {
		int fd;
		struct stat held;
		struct stat named;

		close(release[1]);
		if (!file_lock(path, true, &fd, &err) || fstat(fd, &held) == -1 || stat(path, &named) == -1)
			_exit(1);
		_exit(held.st_ino == named.st_ino && write(ends[1], "x", 1) == 1 ? 0 : 2);
	}
	fd_close(&ends[1]);
	await_waiter(waiter);
	assert_int_equal(unlink(path), 0);
	put(*state, "lock", "");
	fd_close(&release[1]);
	assert_int_equal(read(ends[0], &byte, 1), 1);
	fd_close(&ends[0]);
	assert_int_equal(waitpid(waiter, &status, 0), waiter);
	assert_int_equal(status, 0);
	assert_int_equal(waitpid(holder, &status, 0), holder);
	assert_int_equal(status, 0);
}

static void programs_are_found_on_absolute_elements_only(void **state)
{
	const char *place = *state;
	mem_cleanup char *program = str_printf("%s/b/tool", place);
	mem_cleanup char *plain = str_printf("%s/a/tool", place);
	mem_cleanup char *none = str_printf("%s/b/none", place);
	mem_cleanup char *directory = str_printf("%s/b", place);
	const struct {
		const char *name;
		const char *format; /* of the search path; each %s is the place */
		const char *found;
	} cases[] = {
		{ "tool", "%s/b", program },
		{ "tool", "%s/none:%s/b", program },
		{ "tool", "%s/a:%s/b", program }, /* /a/tool is not executable */
		{ "tool", "%s/c:%s/b", program }, /* /c/tool is a directory */
		{ "tool", "", NULL },
		{ "tool", ":", NULL },
		{ "tool", "b:.:", NULL },
		{ "tool", "%s/a", NULL },
		{ "none", "%s/b", NULL },
		{ "", "%s/b", NULL },
		{ program, "", program },
		{ plain, "%s/b", NULL },
		{ none, "%s/b", NULL },
		{ directory, "%s/b", NULL },
	};

	make(place, "a");
	make(place, "b");
	make(place, "c");
	make(place, "c/tool");
	put(place, "a/tool", "");
	put(place, "b/tool", "");
	assert_int_equal(chmod(program, 0755), 0);
	assert_int_equal(chdir(place), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct npxc_error err = { 0 };
		BUF_CLEANUP struct buf search = BUF_INIT(1000);
		mem_cleanup char *found = NULL;

		for (const char *p = cases[i].format; *p != '\0'; p++) {
			bool is_place = str_starts(p, "%s");

			assert_true(is_place ? buf_append_text(&search, place, &err) : buf_append(&search, p, 1, &err));
			p += is_place;
		}
		assert_int_equal(file_find_program(cases[i].name, search.data, &found, &err), cases[i].found != NULL);
		if (cases[i].found != NULL) {
			assert_string_equal(found, cases[i].found);
		} else {
			assert_null(found);
			assert_int_equal(err.kind, ERROR_IO);
			assert_int_equal(err.sys_errno, ENOENT);
			assert_non_null(strstr(err.message, cases[i].name));
		}
	}
	assert_int_equal(chdir("/"), 0);
}

static void random_fills_what_was_asked_for(void **state)
{
	unsigned char bytes[1000] = { 0 };
	mem_cleanup char *one = random_hex(32);
	mem_cleanup char *two = random_hex(32);
	size_t zeros = 0;

	(void)state;
	random_bytes(bytes, sizeof(bytes));
	for (size_t i = 0; i < sizeof(bytes); i++)
		zeros += bytes[i] == 0;
	assert_in_range(zeros, 0, 40); /* 4 are expected; every piece of 256 has to be filled */
	assert_int_equal(strlen(one), 32);
	assert_int_equal(strspn(one, "0123456789abcdef"), 32);
	assert_string_not_equal(one, two);
}

#define IN_PLACE(test) cmocka_unit_test_setup_teardown(test, make_place, remove_place)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_PLACE(writing_replaces_whole_files_and_leaves_no_other),
		IN_PLACE(who_writes_alone_finds_what_a_dead_writer_left),
		IN_PLACE(a_refused_write_leaves_the_old_state),
		IN_PLACE(reading_refuses_what_is_no_file_or_too_large),
		IN_PLACE(kinds_of_files_follow_symlinks),
		IN_PLACE(directories_are_made_with_their_parents),
		IN_PLACE(temporary_directories_are_private_and_differ),
		IN_PLACE(removal_takes_files_trees_and_what_is_gone),
		IN_PLACE(removal_never_follows_a_symlink),
		IN_PLACE(removal_refuses_paths_that_name_no_entry),
		IN_PLACE(removal_has_no_limit_of_depth),
		IN_PLACE(removal_opens_directories_that_are_locked_up),
		IN_PLACE(removal_that_is_refused_says_so),
#ifdef __linux__
		IN_PLACE(removal_stops_at_mounts),
#endif
		IN_PLACE(a_lock_excludes_until_its_holder_lets_go),
		IN_PLACE(a_lock_is_of_the_file_that_stands_there),
		IN_PLACE(programs_are_found_on_absolute_elements_only),
		cmocka_unit_test(random_fills_what_was_asked_for),
	};

	/* A fault in what is tested must not hang the run. */
	alarm(120);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
