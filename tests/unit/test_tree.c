#include "unit.h"

#include "base/beneath.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef __linux__
#include <seccomp.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#endif

/*
 * Each test has a directory of its own with
 *
 *     outside/secret          a file of the host, mode 0600
 *     root/                   what hostile code wrote; `root` is open
 *
 * and everything runs again without the calls that newer kernels have, and, started by root, as somebody else.
 */
enum { NOBODY = 65534 };

struct place {
	char *path;
	char *secret;
	int top, root;
};

static void put(int at, const char *name, const char *text)
{
	FD_CLEANUP int fd = openat(at, name, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	assert_int_not_equal(fd, -1);
	assert_int_equal(write(fd, text, strlen(text)), (int)strlen(text));
}

static int make_place(void **state)
{
	struct place *place = mem_alloc(sizeof(*place));
	struct npxc_error err;
	FD_CLEANUP int outside = -1;

	if (!file_make_temporary_directory("/tmp", "test-tree-", &place->path, &err))
		return -1;
	place->secret = str_printf("%s/outside/secret", place->path);
	place->top = open(place->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (mkdirat(place->top, "outside", 0755) != 0 || mkdirat(place->top, "root", 0755) != 0)
		return -1;
	outside = openat(place->top, "outside", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	put(outside, "secret", "secret");
	if (fchmodat(outside, "secret", 0600, 0) != 0)
		return -1;
	place->root = openat(place->top, "root", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	put(place->root, "file", "text");
	assert_int_equal(mkdirat(place->root, "dir", 0755), 0);
	put(place->root, "dir/inner", "inner");
	assert_int_equal(symlinkat("../outside", place->root, "out"), 0);
	assert_int_equal(symlinkat(place->secret, place->root, "out-file"), 0);
	assert_int_equal(symlinkat("dir", place->root, "in"), 0);
	assert_int_equal(symlinkat("/proc/self/root", place->root, "magic"), 0);
	assert_int_equal(symlinkat("nothing", place->root, "dangling"), 0);
	assert_int_equal(mkfifoat(place->root, "fifo", 0644), 0);
	*state = place;
	return 0;
}

/* Whatever a test did to the tree: what lies beside it is as it was. */
static int remove_place(void **state)
{
	struct place *place = *state;
	struct npxc_error err = { 0 };
	struct stat info = { 0 };
	const bool same = stat(place->secret, &info) == 0 && (info.st_mode & 07777) == 0600 && info.st_size == 6;
	bool removed;

	close(place->top);
	close(place->root);
	removed = file_remove_tree(place->path, &err);
	if (!same)
		fprintf(stderr, "the secret was changed\n");
	if (!removed)
		fprintf(stderr, "%s\n", err.message);
	free(place->path);
	free(place->secret);
	free(place);
	return same && removed ? 0 : -1;
}

/* ---- one path ---- */

/* What each operation makes of a path, as errno; 0: it is done. */
static int look_errno(int root, const char *path)
{
	struct npxc_error err = { 0 };
	struct stat info;

	return tree_look(root, path, &info, &err) ? 0 : err.sys_errno;
}

static int read_errno(int root, const char *path)
{
	struct npxc_error err = { 0 };
	BUF_CLEANUP struct buf bytes = BUF_INIT(1000);

	return tree_read(root, path, &bytes, &err) ? 0 : err.sys_errno;
}

static int list_errno(int root, const char *path)
{
	struct npxc_error err = { 0 };
	struct strv names = { 0 };

	if (!tree_list(root, path, 100, &names, &err))
		return err.sys_errno;
	strv_done(&names);
	return 0;
}

static int make_errno(int root, const char *path)
{
	struct npxc_error err = { 0 };

	return tree_make_directory(root, path, 0755, NULL, &err) ? 0 : err.sys_errno;
}

static int create_errno(int root, const char *path)
{
	struct npxc_error err = { 0 };

	return tree_create(root, path, "x", 1, 0644, NULL, &err) ? 0 : err.sys_errno;
}

static int change_errno(int root, const char *path)
{
	const struct tree_change change = { .mode = true, .bits = 0755 };
	struct npxc_error err = { 0 };

	return tree_change(root, path, &change, &err) ? 0 : err.sys_errno;
}

static int remove_errno(int root, const char *path)
{
	struct npxc_error err = { 0 };

	return tree_remove(root, path, &err) ? 0 : err.sys_errno;
}

static void paths_are_refused_that_are_no_plain_part_of_the_tree(void **state)
{
	const struct place *place = *state;
	static const struct {
		const char *path;
		int look, read, list, make, create, change, remove;
	} cases[] = {
		/* through a link, and a link itself */
		{ "out/secret", ELOOP, ELOOP, ELOOP, ELOOP, ELOOP, ELOOP, ELOOP },
		{ "in/inner", ELOOP, ELOOP, ELOOP, ELOOP, ELOOP, ELOOP, ELOOP },
		{ "in/new", ELOOP, ELOOP, ELOOP, ELOOP, ELOOP, ELOOP, ELOOP },
		{ "magic/etc/passwd", ELOOP, ELOOP, ELOOP, ELOOP, ELOOP, ELOOP, ELOOP },
		{ "out", 0, ELOOP, ELOOP, EEXIST, EEXIST, 0, -1 },
		{ "out-file", 0, ELOOP, ELOOP, EEXIST, EEXIST, 0, -1 },
		{ "magic", 0, ELOOP, ELOOP, EEXIST, EEXIST, 0, -1 },
		{ "dangling", 0, ELOOP, ELOOP, EEXIST, EEXIST, 0, -1 },
		/* not beneath it, or not clean */
		{ "../outside/secret", EINVAL, EINVAL, EINVAL, EINVAL, EINVAL, EINVAL, EINVAL },
		{ "dir/../file", EINVAL, EINVAL, EINVAL, EINVAL, EINVAL, EINVAL, EINVAL },
		{ "..", EINVAL, EINVAL, EINVAL, EINVAL, EINVAL, EINVAL, EINVAL },
		{ "/etc/passwd", EINVAL, EINVAL, EINVAL, EINVAL, EINVAL, EINVAL, EINVAL },
		{ "dir//inner", EINVAL, EINVAL, EINVAL, EINVAL, EINVAL, EINVAL, EINVAL },
		{ "dir/", EINVAL, EINVAL, EINVAL, EINVAL, EINVAL, EINVAL, EINVAL },
		{ "./file", EINVAL, EINVAL, EINVAL, EINVAL, EINVAL, EINVAL, EINVAL },
		{ "dir/.", EINVAL, EINVAL, EINVAL, EINVAL, EINVAL, EINVAL, EINVAL },
		/* another type */
		{ "fifo", 0, EINVAL, ENOTDIR, EEXIST, EEXIST, EINVAL, -1 },
		{ "fifo/x", ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR },
		{ "file/x", ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR },
		{ "dir", 0, EISDIR, 0, EEXIST, EEXIST, 0, -1 },
		/* not there: for removal that is success */
		{ "none", ENOENT, ENOENT, ENOENT, -1, -1, ENOENT, 0 },
		{ "none/x", ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, 0 },
		/* the control: what is a plain part of it */
		{ "file", 0, 0, ENOTDIR, EEXIST, EEXIST, 0, -1 },
		{ "dir/inner", 0, 0, ENOTDIR, EEXIST, EEXIST, 0, -1 },
		{ "", 0, EISDIR, 0, EINVAL, EEXIST, 0, EINVAL },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct {
			const char *what;
			int (*ask)(int root, const char *path);
			int wanted; /* -1: not asked here */
		} asked[] = {
			{ "look", look_errno, cases[i].look },       { "read", read_errno, cases[i].read },
			{ "list", list_errno, cases[i].list },       { "make", make_errno, cases[i].make },
			{ "create", create_errno, cases[i].create }, { "change", change_errno, cases[i].change },
			{ "remove", remove_errno, cases[i].remove },
		};

		for (size_t j = 0; j < sizeof(asked) / sizeof(asked[0]); j++) {
			const int got = asked[j].wanted == -1 ? -1 : asked[j].ask(place->root, cases[i].path);

			if (got != asked[j].wanted)
				fail_msg("%s \"%s\": %s, not %s", asked[j].what, cases[i].path, strerror(got),
				         strerror(asked[j].wanted));
		}
	}
}

static void names_with_line_breaks_are_told_on_one_line(void **state)
{
	const struct place *place = *state;
	struct npxc_error err = { 0 };
	BUF_CLEANUP struct buf bytes = BUF_INIT(10);

	assert_false(tree_read(place->root, "a\nnpxc: all is well\033[2J", &bytes, &err));
	assert_null(strchr(err.message, '\n'));
	assert_null(strchr(err.message, '\033'));
	assert_non_null(strstr(err.message, "all is well"));
}

static void a_link_in_the_way_is_named_as_one(void **state)
{
	const struct place *place = *state;
	struct npxc_error err = { 0 };

	assert_false(tree_remove(place->root, "out/secret", &err));
	assert_non_null(strstr(err.message, "symbolic link"));
	assert_non_null(strstr(err.message, "out/secret"));
	assert_int_equal(err.kind, ERROR_IO);
}

/* ---- reading ---- */

static void reading_takes_regular_files_up_to_a_ceiling(void **state)
{
	const struct place *place = *state;
	struct npxc_error err = { 0 };
	BUF_CLEANUP struct buf bytes = BUF_INIT(4);
	BUF_CLEANUP struct buf small = BUF_INIT(3);
	struct stat info;
	FD_CLEANUP int fd = -1;

	assert_true(tree_read(place->root, "file", &bytes, &err));
	assert_string_equal(bytes.data, "text");
	assert_false(tree_read(place->root, "file", &small, &err));
	assert_int_equal(err.sys_errno, EFBIG);
	assert_true(tree_open_file(place->root, "dir/inner", &fd, &info, &err));
	assert_int_equal(info.st_size, 5);
	assert_true((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
}

/* The alarm of main() ends what waits. */
static void nothing_waits_for_a_fifo(void **state)
{
	const struct place *place = *state;
	BUF_CLEANUP struct buf bytes = BUF_INIT(10);
	struct npxc_error err = { 0 };

	assert_int_equal(mkfifoat(place->root, "package.json", 0666), 0);
	assert_false(tree_read(place->root, "package.json", &bytes, &err));
	assert_int_equal(err.sys_errno, EINVAL);
	assert_false(tree_is_file(place->root, "package.json"));
	assert_true(tree_remove(place->root, "package.json", &err));
}

static void a_list_has_a_ceiling_and_an_order(void **state)
{
	const struct place *place = *state;
	struct npxc_error err = { 0 };
	struct strv names = { 0 };

	assert_int_equal(mkdirat(place->root, "many", 0755), 0);
	put(place->root, "many/b", "");
	put(place->root, "many/a\nb", "");
	put(place->root, "many/.c", "");
	assert_false(tree_list(place->root, "many", 2, &names, &err));
	assert_int_equal(err.sys_errno, E2BIG);
	assert_int_equal(names.count, 0);
	assert_true(tree_list(place->root, "many", 3, &names, &err));
	assert_int_equal(names.count, 3);
	assert_string_equal(names.v[0], ".c");
	assert_string_equal(names.v[1], "a\nb");
	assert_string_equal(names.v[2], "b");
	strv_done(&names);
}

static void types_are_told_without_following(void **state)
{
	const struct place *place = *state;
	struct npxc_error err = { 0 };
	mem_cleanup char *target = NULL;

	assert_true(tree_is_file(place->root, "file"));
	assert_true(tree_is_directory(place->root, "dir"));
	assert_true(tree_is_directory(place->root, ""));
	assert_false(tree_is_file(place->root, "out-file"));
	assert_false(tree_is_directory(place->root, "out"));
	assert_false(tree_is_directory(place->root, "in"));
	assert_true(tree_read_link(place->root, "out", &target, &err));
	assert_string_equal(target, "../outside");
	assert_false(tree_read_link(place->root, "file", &target, &err));
	assert_false(tree_read_link(place->root, "out/secret", &target, &err));
}

/* ---- making ---- */

static mode_t mode_of(int root, const char *name)
{
	struct stat info;

	assert_int_equal(fstatat(root, name, &info, AT_SYMLINK_NOFOLLOW), 0);
	return info.st_mode & 07777;
}

static void what_is_made_has_the_mode_that_was_asked_for(void **state)
{
	const struct place *place = *state;
	struct npxc_error err = { 0 };
	const mode_t mask = umask(077);
	FD_CLEANUP int fd = -1;

	assert_true(tree_make_directory(place->root, "made", 0777, &fd, &err));
	assert_int_equal(mode_of(place->root, "made"), 0777);
	assert_true(tree_create(fd, "new", "abc", 3, 0644, NULL, &err));
	assert_int_equal(mode_of(place->root, "made/new"), 0644);
	assert_true(tree_make_directories(place->root, "made/a/b", 0711, &err));
	assert_true(tree_make_directories(place->root, "made/a/b", 0755, &err));
	assert_int_equal(mode_of(place->root, "made/a"), 0711);
	assert_int_equal(mode_of(place->root, "made"), 0777);
	assert_false(tree_make_directories(place->root, "out/b", 0755, &err));
	assert_int_equal(err.sys_errno, ELOOP);
	umask(mask);
}

#ifdef __linux__
/*
 * A guest exchanges each directory, the moment that it appears, with a link to a file of the host. Here that moment is
 * the call's own end: this function takes the place of libc's.
 */
static int exchange_in = -1; /* the directory; -1: nothing is exchanged */
static unsigned exchanged;

int mkdirat(int directory, const char *name, mode_t mode)
{
	const int made = (int)syscall(SYS_mkdirat, directory, name, mode);

	if (made == 0 && exchange_in != -1)
		exchanged += renameat2(exchange_in, "out-file", directory, name, RENAME_EXCHANGE) == 0;
	return made;
}

static void the_mode_of_a_new_directory_is_not_that_of_what_took_its_place(void **state)
{
	const struct place *place = *state;
	struct npxc_error err = { 0 };

	exchange_in = place->root;
	exchanged = 0;
	assert_false(tree_make_directory(place->root, "made", 0777, NULL, &err));
	assert_int_equal(err.sys_errno, ELOOP);
	assert_false(tree_make_directories(place->root, "made", 0777, &err));
	exchange_in = -1;
	assert_int_equal(exchanged, 1); /* the control; the mode of what the link leads to is looked at in the end */
}
#endif

static void writing_replaces_a_planted_link_and_not_what_it_leads_to(void **state)
{
	const struct place *place = *state;
	struct npxc_error err = { 0 };
	BUF_CLEANUP struct buf bytes = BUF_INIT(100);
	struct strv names = { 0 };

	assert_int_equal(symlinkat(place->secret, place->root, "npxc.json"), 0);
	assert_true(tree_write(place->root, "npxc.json", "facts", 5, 0644, &err));
	assert_true(tree_read(place->root, "npxc.json", &bytes, &err));
	assert_string_equal(bytes.data, "facts");
	assert_int_equal(mkdirat(place->root, "dir/npxc.json", 0755), 0);
	assert_false(tree_write(place->root, "dir/npxc.json", "facts", 5, 0644, &err));
	assert_int_equal(err.sys_errno, EISDIR);
	/* and nothing half-made stays beside it */
	assert_true(tree_list(place->root, "dir", 10, &names, &err));
	assert_int_equal(names.count, 2);
	strv_done(&names);
}

static void copies_and_links_are_made_beneath_the_root_only(void **state)
{
	const struct place *place = *state;
	const struct copy_rules rules = { .max_bytes = 100 };
	struct npxc_error err = { 0 };
	FD_CLEANUP int from = openat(place->root, "file", O_RDONLY);
	uint64_t bytes = 0;

	assert_true(tree_copy(from, place->root, "dir/copy", 0444, &rules, &bytes, &err));
	assert_int_equal(bytes, 4);
	assert_int_equal(mode_of(place->root, "dir/copy"), 0444);
	assert_false(tree_copy(from, place->root, "out/copy", 0444, &rules, &bytes, &err));
	assert_false(tree_copy(from, place->root, "out-file", 0444, &rules, &bytes, &err));
	assert_true(tree_make_link(place->root, "dir/link", "inner", &err));
	assert_false(tree_make_link(place->root, "out/link", "inner", &err));
}

static void renaming_follows_neither_end(void **state)
{
	const struct place *place = *state;
	struct npxc_error err = { 0 };
	FD_CLEANUP int dir = openat(place->root, "dir", O_RDONLY | O_DIRECTORY);

	assert_false(tree_rename(place->root, "out/secret", place->root, "mine", &err));
	assert_false(tree_rename(place->root, "file", place->root, "out/secret", &err));
	assert_true(tree_rename(place->root, "file", dir, "moved", &err));
	assert_true(tree_is_file(place->root, "dir/moved"));
	/* a link is replaced itself */
	assert_true(tree_rename(place->root, "dir/moved", place->root, "out-file", &err));
	assert_true(tree_is_file(place->root, "out-file"));
}

/* ---- changing ---- */

static void modes_are_changed_of_what_may_not_even_be_opened(void **state)
{
	const struct place *place = *state;
	static const char *const names[] = { "file", "dir" };
	struct npxc_error err = { 0 };

	for (size_t i = 0; i < 2; i++) {
		struct tree_change change = { .mode = true };

		assert_true(tree_change(place->root, names[i], &change, &err));
		assert_int_equal(mode_of(place->root, names[i]), 0);
		change.bits = 0750;
		assert_true(tree_change(place->root, names[i], &change, &err));
		assert_int_equal(mode_of(place->root, names[i]), 0750);
	}
}

static void a_file_with_a_second_name_is_not_changed(void **state)
{
	const struct place *place = *state;
	struct tree_change change = { .mode = true, .bits = 0777, .owner = geteuid() == 0, .uid = 1 };
	struct npxc_error err = { 0 };

	assert_int_equal(linkat(place->top, "outside/secret", place->root, "hard", 0), 0);
	assert_false(tree_change(place->root, "hard", &change, &err));
	assert_int_equal(err.sys_errno, EMLINK);
	assert_int_equal(mode_of(place->root, "hard"), 0600);
	/* the control: where it is known to be harmless, the same call does it */
	assert_int_equal(linkat(place->root, "file", place->root, "twin", 0), 0);
	change.links_known = true;
	assert_true(tree_change(place->root, "twin", &change, &err));
	assert_int_equal(mode_of(place->root, "file"), 0777);
}

static void the_owner_of_a_link_is_the_links_own(void **state)
{
	const struct place *place = *state;
	const struct tree_change change = { .owner = true, .mode = true, .bits = 0777, .uid = 1 };
	struct npxc_error err = { 0 };
	struct stat info;

	if (geteuid() != 0)
		skip(); /* only root gives files away */
	assert_true(tree_change(place->root, "out-file", &change, &err));
	assert_int_equal(fstatat(place->root, "out-file", &info, AT_SYMLINK_NOFOLLOW), 0);
	assert_int_equal(info.st_uid, 1);
	assert_int_equal(stat(place->secret, &info), 0);
	assert_int_equal(info.st_uid, 0);
}

/* ---- removing ---- */

static void removal_takes_whatever_a_script_left(void **state)
{
	const struct place *place = *state;
	struct npxc_error err = { 0 };

	assert_int_equal(mkdirat(place->root, "pkg", 0755), 0);
	assert_int_equal(mkdirat(place->root, "pkg/closed", 0755), 0);
	assert_int_equal(mkdirat(place->root, "pkg/closed/under", 0755), 0);
	put(place->root, "pkg/closed/under/file", "");
	put(place->root, "pkg/a\nb", "");
	assert_int_equal(mkfifoat(place->root, "pkg/fifo", 0), 0);
	assert_int_equal(symlinkat("../../outside", place->root, "pkg/link"), 0);
	assert_int_equal(linkat(place->top, "outside/secret", place->root, "pkg/hard", 0), 0);
	assert_int_equal(fchmodat(place->root, "pkg/closed/under", 0, 0), 0);
	assert_int_equal(fchmodat(place->root, "pkg/closed", 0, 0), 0);
	/* beneath a directory that is closed itself */
	assert_true(tree_remove(place->root, "pkg/closed/under", &err));
	assert_int_equal(fchmodat(place->root, "pkg", 0, 0), 0);
	assert_true(tree_remove(place->root, "pkg", &err));
	assert_false(tree_is_directory(place->root, "pkg"));
}

static void removal_of_a_link_takes_the_link(void **state)
{
	const struct place *place = *state;
	struct npxc_error err = { 0 };

	assert_true(tree_remove(place->root, "out", &err));
	assert_true(tree_remove(place->root, "out-file", &err));
	assert_int_equal(look_errno(place->root, "out"), ENOENT);
	assert_true(tree_remove_entry(place->root, "dangling", &err));
	assert_false(tree_remove_entry(place->root, "dir", &err));
	assert_int_equal(err.sys_errno, ENOTEMPTY);
	assert_true(tree_remove_entry(place->root, "dir/inner", &err));
	assert_true(tree_remove_entry(place->root, "dir", &err));
	assert_false(tree_remove_entry(place->root, "in/x", &err));
}

enum { DEEP = 1500 };

static void a_deep_tree_is_walked_and_removed_with_few_descriptors(void **state)
{
	const struct place *place = *state;
	const struct rlimit few = { 24, 24 };
	struct npxc_error err = { 0 };
	int status;
	pid_t child;
	FD_CLEANUP int at = openat(place->root, ".", O_RDONLY | O_DIRECTORY);

	for (int i = 0; i < DEEP; i++) {
		int next;

		assert_int_equal(mkdirat(at, "deeper-and-deeper", 0755), 0);
		next = openat(at, "deeper-and-deeper", O_RDONLY | O_DIRECTORY);
		close(at);
		at = next;
	}
	put(at, "bottom", "");
	child = fork();
	if (child == 0) {
		struct rlimit stack = { 256 * 1024, 256 * 1024 };

		if (setrlimit(RLIMIT_NOFILE, &few) != 0 || setrlimit(RLIMIT_STACK, &stack) != 0)
			_exit(2);
		_exit(tree_remove(place->root, "deeper-and-deeper", &err) ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_int_equal(look_errno(place->root, "deeper-and-deeper"), ENOENT);
}

/* A guest that lives swaps a directory and a link to the outside for as long as the removal runs. */
static void removal_is_not_led_out_by_somebody_who_swaps(void **state)
{
	const struct place *place = *state;
	struct npxc_error err = { 0 };
	unsigned links = 0, directories = 0;
	int status;
	pid_t swapper;

	assert_int_equal(symlinkat("../outside", place->root, "link"), 0);
	swapper = fork();
	if (swapper == 0) {
		for (const pid_t parent = getppid(); getppid() == parent;) {
			mkdirat(place->root, "victim", 0755);
			mkdirat(place->root, "victim/secret", 0755);
			renameat(place->root, "victim", place->root, "other");
			renameat(place->root, "link", place->root, "victim");
			renameat(place->root, "victim", place->root, "link");
			renameat(place->root, "other", place->root, "victim");
		}
		_exit(0);
	}
	/* Until it was met both ways, which is the control: the alarm ends a run in which nothing is swapped. */
	for (unsigned i = 0; i < 50 || links == 0 || directories == 0; i++) {
		const struct tree_change change = { .mode = true, .bits = 0777 };

		if (tree_remove(place->root, "victim/secret", &err))
			directories++;
		else
			links += err.sys_errno == ELOOP;
		if (tree_change(place->root, "victim/secret", &change, &err))
			directories++;
	}
	kill(swapper, SIGKILL);
	assert_int_equal(waitpid(swapper, &status, 0), swapper);
	assert_int_equal(access(place->secret, F_OK), 0); /* its mode is looked at in the end */
}

#ifdef __linux__
enum { NO_NAMESPACE = 77 };

static void mount_points_are_not_crossed(void **state)
{
	static const char *const kinds[] = { "bind", "tmpfs" };
	const struct place *place = *state;
	mem_cleanup char *outside = str_printf("%s/outside", place->path);
	mem_cleanup char *root_path = str_printf("%s/root", place->path);
	mem_cleanup char *point = str_printf("%s/point", root_path);

	assert_int_equal(mkdirat(place->root, "point", 0755), 0);
	assert_int_equal(mkdirat(place->root, "point/under", 0755), 0);
	for (size_t i = 0; i < 2; i++) {
		int status;
		pid_t child = fork();

		if (child == 0) {
			const bool bind = i == 0;
			const char *inside = bind ? "point/secret" : "point/x";
			bool held;
			int root;

			/* An ordinary user needs a user namespace for it; unmapped there, he can make no files. */
			if (unshare(CLONE_NEWNS) == -1 && unshare(CLONE_NEWUSER | CLONE_NEWNS) == -1)
				_exit(NO_NAMESPACE);
			if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == -1 ||
			    mount(outside, point, bind ? NULL : kinds[i], bind ? MS_BIND : 0, NULL) == -1)
				_exit(NO_NAMESPACE);
			/* in this namespace */
			root = open(root_path, O_RDONLY | O_DIRECTORY);
			held = look_errno(root, "point") == EXDEV && list_errno(root, "point") == EXDEV &&
			       look_errno(root, inside) == EXDEV && remove_errno(root, "point") == EXDEV &&
			       make_errno(root, "point/new") == EXDEV && change_errno(root, inside) == EXDEV &&
			       remove_errno(root, inside) == EXDEV;
			/* but where that is asked for, and links are not followed there either */
			held = held && beneath_open(root, "point", O_RDONLY, 0, BENEATH_MOUNTS) != -1 &&
			       symlinkat("under", root, "link") == 0 &&
			       beneath_open(root, "link", O_RDONLY, 0, BENEATH_MOUNTS) == -1 && errno == ELOOP &&
			       unlinkat(root, "link", 0) == 0 &&
			       (!bind || beneath_open(root, inside, O_RDONLY, 0, BENEATH_MOUNTS) != -1);
			_exit(held ? 0 : 1);
		}
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_true(WIFEXITED(status));
		if (WEXITSTATUS(status) == NO_NAMESPACE)
			skip(); /* no mount namespace for this user */
		assert_int_equal(WEXITSTATUS(status), 0);
	}
}
#endif

/* ---- walking ---- */

struct tally {
	struct strv seen; /* "D path" for directories, "- path" for the rest */
	struct strv left;
	size_t refused;
	const char *stop_at;
};

static enum tree_next count_entry(void *context, const struct tree_entry *entry, struct npxc_error *err)
{
	struct tally *tally = context;

	strv_pushf(&tally->seen, "%c %s", S_ISDIR(entry->info.st_mode) ? 'D' : '-', entry->path);
	assert_int_equal(entry->entry_count, tally->seen.count);
	assert_true(str_ends(entry->path, entry->name));
	if (str_equal(tally->stop_at, entry->path)) {
		error_set(err, ERROR_IO, "enough");
		return TREE_STOP;
	}
	return strcmp(entry->name, "shut") == 0 ? TREE_ON : TREE_ENTER;
}

static enum tree_next count_refused(void *context, const struct tree_entry *entry, int number, struct npxc_error *err)
{
	struct tally *tally = context;

	(void)entry;
	(void)err;
	assert_int_equal(number, EACCES);
	tally->refused++;
	return TREE_ON;
}

static enum tree_next count_left(void *context, const struct tree_entry *entry, struct npxc_error *err)
{
	struct tally *tally = context;

	(void)err;
	strv_push(&tally->left, entry->path);
	return TREE_ON;
}

static void tally_done(struct tally *tally)
{
	strv_done(&tally->seen);
	strv_done(&tally->left);
}

static void a_walk_sees_each_entry_once_and_enters_what_it_is_told_to(void **state)
{
	const struct place *place = *state;
	struct tally tally = { 0 };
	struct tree_visitor visitor = {
		.context = &tally, .entry = count_entry, .refused = count_refused, .left = count_left
	};
	static const char *const wanted[] = { "- file", "D dir",      "- dir/inner", "D dir/sub",     "- dir/sub/far",
		                              "- out",  "- in",       "D closed",    "D shut",        "- magic",
		                              "- fifo", "- out-file", "- dangling",  "D dir/sub/none" };
	struct npxc_error err = { 0 };
	const bool root = geteuid() == 0;

	assert_int_equal(mkdirat(place->root, "dir/sub", 0755), 0);
	assert_int_equal(mkdirat(place->root, "dir/sub/none", 0755), 0);
	put(place->root, "dir/sub/far", "");
	assert_int_equal(mkdirat(place->root, "shut", 0755), 0);
	put(place->root, "shut/unseen", "");
	assert_int_equal(mkdirat(place->root, "closed", root ? 0755 : 0400), 0);
	assert_true(tree_walk(place->root, "", &visitor, &err));
	assert_int_equal(tally.seen.count, sizeof(wanted) / sizeof(wanted[0]));
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
		if (!strv_contains(&tally.seen, wanted[i]))
			fail_msg("%s was not seen", wanted[i]);
	assert_int_equal(tally.refused, root ? 0 : 1);
	assert_true(strv_contains(&tally.left, "dir/sub/none"));
	assert_true(strv_contains(&tally.left, "dir"));
	assert_int_equal(tally.left.count, root ? 4 : 3);
	tally_done(&tally);

	tally = (struct tally){ .stop_at = "dir/sub" };
	assert_false(tree_walk(place->root, "", &visitor, &err));
	assert_string_equal(err.message, "enough");
	tally_done(&tally);

	tally = (struct tally){ 0 };
	assert_true(tree_walk(place->root, "dir/sub", &visitor, &err));
	assert_int_equal(tally.seen.count, 2);
	assert_true(strv_contains(&tally.seen, "- far"));
	tally_done(&tally);
	assert_false(tree_walk(place->root, "in", &visitor, &err));
	assert_int_equal(err.sys_errno, ELOOP);
}

static enum tree_next move_away(void *context, const struct tree_entry *entry, struct npxc_error *err)
{
	const struct place *place = context;

	(void)err;
	if (strcmp(entry->name, "moving") == 0 && !S_ISDIR(entry->info.st_mode))
		assert_int_equal(renameat(place->root, "dir/sub", place->top, "outside/sub"), 0);
	return TREE_ENTER;
}

/* ".." leads to where a directory is now: not back to where the walk came from. */
static void a_walk_ends_when_its_directory_is_moved_away(void **state)
{
	struct place *place = *state;
	const struct tree_visitor visitor = { .context = place, .entry = move_away };
	struct npxc_error err = { 0 };

	assert_int_equal(mkdirat(place->root, "dir/sub", 0755), 0);
	put(place->root, "dir/sub/moving", "");
	assert_false(tree_walk(place->root, "", &visitor, &err));
	assert_int_equal(err.sys_errno, ESTALE);
	assert_int_equal(renameat(place->top, "outside/sub", place->root, "dir/sub"), 0);
}

static void a_root_is_no_link(void **state)
{
	const struct place *place = *state;
	mem_cleanup char *link = str_printf("%s/root/out", place->path);
	mem_cleanup char *file = str_printf("%s/root/file", place->path);
	mem_cleanup char *root = str_printf("%s/root", place->path);
	struct npxc_error err = { 0 };
	FD_CLEANUP int fd = -1;

	assert_false(tree_open(link, &fd, &err));
	assert_false(tree_open(file, &fd, &err));
	assert_int_equal(fd, -1);
	assert_true(tree_open(root, &fd, &err));
}

/* ---- the ways ---- */

enum way { WAY_KERNEL, WAY_OLDER, WAY_OLDEST, WAYS };

static void take_away(enum way way)
{
#ifdef __linux__
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	const int fchmodat2 = seccomp_syscall_resolve_name("fchmodat2");

	if (filter == NULL ||
	    seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), seccomp_syscall_resolve_name("openat2"), 0) != 0 ||
	    (fchmodat2 > 0 && seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), fchmodat2, 0) != 0) ||
	    (way == WAY_OLDEST && seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(statx), 0) != 0) ||
	    seccomp_load(filter) != 0)
		_exit(93);
	seccomp_release(filter);
#else
	(void)way;
#endif
}

#define IN_PLACE(test) cmocka_unit_test_setup_teardown(test, make_place, remove_place)

static int run(enum way way)
{
	const struct CMUnitTest tests[] = {
		IN_PLACE(paths_are_refused_that_are_no_plain_part_of_the_tree),
		IN_PLACE(names_with_line_breaks_are_told_on_one_line),
		IN_PLACE(a_link_in_the_way_is_named_as_one),
		IN_PLACE(reading_takes_regular_files_up_to_a_ceiling),
		IN_PLACE(nothing_waits_for_a_fifo),
		IN_PLACE(a_list_has_a_ceiling_and_an_order),
		IN_PLACE(types_are_told_without_following),
		IN_PLACE(what_is_made_has_the_mode_that_was_asked_for),
#ifdef __linux__
		IN_PLACE(the_mode_of_a_new_directory_is_not_that_of_what_took_its_place),
#endif
		IN_PLACE(writing_replaces_a_planted_link_and_not_what_it_leads_to),
		IN_PLACE(copies_and_links_are_made_beneath_the_root_only),
		IN_PLACE(renaming_follows_neither_end),
		IN_PLACE(modes_are_changed_of_what_may_not_even_be_opened),
		IN_PLACE(a_file_with_a_second_name_is_not_changed),
		IN_PLACE(the_owner_of_a_link_is_the_links_own),
		IN_PLACE(removal_takes_whatever_a_script_left),
		IN_PLACE(removal_of_a_link_takes_the_link),
		IN_PLACE(a_deep_tree_is_walked_and_removed_with_few_descriptors),
		IN_PLACE(removal_is_not_led_out_by_somebody_who_swaps),
		IN_PLACE(a_walk_sees_each_entry_once_and_enters_what_it_is_told_to),
		IN_PLACE(a_walk_ends_when_its_directory_is_moved_away),
		IN_PLACE(a_root_is_no_link),
	};
#ifdef __linux__
	/* By its id, which the oldest way does not have: there a bind mount of the same file system passes. */
	const struct CMUnitTest of_mounts[] = { IN_PLACE(mount_points_are_not_crossed) };
#endif
	int failed;

	if (way != WAY_KERNEL)
		take_away(way);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
#ifdef __linux__
	if (way != WAY_OLDEST)
		failed += cmocka_run_group_tests(of_mounts, NULL, NULL);
	if (beneath_walks() != (way != WAY_KERNEL))
		return failed + 1;
#endif
	return failed;
}

int main(void)
{
	static const char *const names[] = { "as it is", "no openat2, no fchmodat2", "no statx either" };
	int failed = 0;

	for (int user = 0; user < (geteuid() == 0 ? 2 : 1); user++) {
		for (int way = 0; way < WAYS; way++) {
			int status;
			pid_t pid;

			fflush(NULL);
			pid = fork();
			if (pid == 0) {
				/* A fault in what is tested must not hang the run. */
				alarm(120);
				if (user == 1 && (setgid(NOBODY) != 0 || setuid(NOBODY) != 0))
					_exit(92);
				fprintf(stderr, "-- kernel: %s; user: %d\n", names[way], (int)geteuid());
				exit(run((enum way)way));
			}
			if (waitpid(pid, &status, 0) != pid || status != 0)
				failed++;
		}
	}
	return failed;
}
