#include "sandbox_run.h"

#include <dirent.h>
#include <ftw.h>

/*
 * One directory closed to others, as /root is:
 *
 *   closed/                    0700
 *   closed/secret              not asked for
 *   closed/a/b/store/file      b is 0700, too
 *   closed/a/b/hidden
 *   closed/project/file
 *   closed/file
 *   closed/link -> project
 *   open-link -> closed/project (beside it)
 */
struct tree {
	char root[32];
	char *closed;
};

static char *in(const struct tree *tree, const char *path)
{
	return str_printf("%s/%s", tree->root, path);
}

static void make_directory(const struct tree *tree, const char *path, mode_t mode)
{
	mem_cleanup char *full = in(tree, path);

	assert_int_equal(mkdir(full, mode), 0);
	assert_int_equal(chmod(full, mode), 0);
}

static void make_file(const struct tree *tree, const char *path)
{
	mem_cleanup char *full = in(tree, path);
	FILE *file = fopen(full, "w");

	assert_non_null(file);
	assert_true(fputs(path, file) >= 0);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(chmod(full, 0644), 0);
}

static void make_link(const struct tree *tree, const char *to, const char *path)
{
	mem_cleanup char *full = in(tree, path);

	assert_int_equal(symlink(to, full), 0);
}

static int set_up(void **state)
{
	static struct tree tree;

	strcpy(tree.root, "/tmp/npxc-test-XXXXXX");
	assert_non_null(mkdtemp(tree.root));
	assert_int_equal(chmod(tree.root, 0755), 0);
	make_directory(&tree, "closed", 0700);
	make_file(&tree, "closed/secret");
	make_directory(&tree, "closed/a", 0755);
	make_directory(&tree, "closed/a/b", 0700);
	make_directory(&tree, "closed/a/b/store", 0755);
	make_file(&tree, "closed/a/b/store/file");
	make_file(&tree, "closed/a/b/hidden");
	make_directory(&tree, "closed/project", 0755);
	make_file(&tree, "closed/project/file");
	make_file(&tree, "closed/file");
	make_link(&tree, "project", "closed/link");
	make_link(&tree, "closed/project", "open-link");
	*state = &tree;
	return 0;
}

static int remove_entry(const char *path, const struct stat *info, int flag, struct FTW *ftw)
{
	(void)info;
	(void)flag;
	(void)ftw;
	return remove(path);
}

static int tear_down(void **state)
{
	const struct tree *tree = *state;

	return nftw(tree->root, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* "a file project" or the error. */
static void print_names(const char *directory)
{
	DIR *open_directory = opendir(directory);
	struct dirent *entry;
	struct strv names = { 0 };

	if (open_directory == NULL) {
		printf("%s\n", strerror(errno));
		return;
	}
	while ((entry = readdir(open_directory)) != NULL)
		if (entry->d_name[0] != '.')
			strv_push(&names, entry->d_name);
	closedir(open_directory);
	if (names.count > 0)
		qsort(names.v, names.count, sizeof(*names.v), compare_names);
	for (size_t i = 0; i < names.count; i++)
		printf("%s%s", i == 0 ? "" : " ", names.v[i]);
	printf("\n");
	strv_done(&names);
}

static void print_file(const char *path)
{
	char text[128] = "";
	FILE *file = fopen(path, "r");

	if (file == NULL) {
		printf("%s\n", strerror(errno));
		return;
	}
	(void)!fgets(text, sizeof(text), file);
	fclose(file);
	printf("%s\n", text);
}

/*
 * In a child: reach_and_drop with `wanted` (relative to the tree, absolute ones as they are), then the names in the
 * directories of `listed` and the content of the files of `files`. What it prints, owned.
 */
static char *after_reach(const struct tree *tree, const char *const *wanted, const char *const *listed,
                         const char *const *files, unsigned uid)
{
	struct buf text;
	int output = sandbox_file();
	int ended = 0;
	pid_t pid = fork();

	if (pid == 0) {
		struct strv paths = { 0 };
		struct npxc_error err = { 0 };

		sandbox_must(dup2(output, 1) == 1, "dup2");
		for (; *wanted != NULL; wanted++)
			strv_push_owned(&paths, (*wanted)[0] == '+' ? str_dup(*wanted + 1) : in(tree, *wanted));
		if (!reach_and_drop(paths.v, NULL, paths.count, uid, &err)) {
			printf("refused (%s): %s\n", error_kind_word(err.kind), err.message);
		} else {
			printf("%u %u %u %u\n", getuid(), geteuid(), getgid(), getegid());
			for (; *listed != NULL; listed++) {
				mem_cleanup char *path = in(tree, *listed);

				print_names(path);
			}
			for (; *files != NULL; files++) {
				mem_cleanup char *path = in(tree, *files);

				print_file(path);
			}
		}
		strv_done(&paths);
		fflush(stdout);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &ended, 0), pid);
	assert_true(WIFEXITED(ended) && WEXITSTATUS(ended) == 0);
	sandbox_read(output, &text);
	return buf_take(&text);
}

static const char *const none[] = { NULL };

/* In a child: whether `path` is bound when `expected` (both relative) is what it has to be. What it says, owned. */
static char *reach_as(const struct tree *tree, const char *path, const char *expected)
{
	struct buf text;
	int output = sandbox_file();
	int ended = 0;
	pid_t pid = fork();

	if (pid == 0) {
		mem_cleanup char *wanted = in(tree, path);
		mem_cleanup char *other = in(tree, expected);
		char *paths[] = { wanted, NULL };
		const int fds[] = { open(other, O_PATH | O_CLOEXEC) };
		struct npxc_error err = { 0 };

		sandbox_must(dup2(output, 1) == 1 && fds[0] != -1, "open");
		printf("%s", reach_and_drop(paths, fds, 1, SANDBOX_DROP_UID, &err) ? "bound" : err.message);
		fflush(stdout);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &ended, 0), pid);
	sandbox_read(output, &text);
	return buf_take(&text);
}

#define IDS "65533 65533 65533 65533\n"

static void needs_root(void)
{
	if (geteuid() != 0)
		skip(); /* what an ordinary user gets is a test of its own */
}

static void binds_only_the_file_that_was_judged(void **state)
{
	mem_cleanup char *same = NULL;
	mem_cleanup char *other = NULL;

	needs_root();
	same = reach_as(*state, "closed/project", "closed/project");
	other = reach_as(*state, "closed/project", "closed/a/b/store");
	assert_string_equal(same, "bound");
	assert_non_null(strstr(other, "was renamed or replaced while the sandbox was being started"));
}

static void shows_what_was_asked_for_and_nothing_beside_it(void **state)
{
	static const char *const wanted[] = { "closed/project", "closed/a/b/store", "closed/file", NULL };
	static const char *const listed[] = { "", "closed", "closed/a", "closed/a/b", "closed/a/b/store", NULL };
	static const char *const files[] = { "closed/a/b/store/file", "closed/project/file", "closed/file",
		                             "closed/secret",         "closed/a/b/hidden",   NULL };
	mem_cleanup char *text = NULL;

	needs_root();
	text = after_reach(*state, wanted, listed, files, SANDBOX_DROP_UID);
	assert_string_equal(text, IDS "closed open-link\na file project\nb\nstore\nfile\n"
	                              "closed/a/b/store/file\nclosed/project/file\nclosed/file\n"
	                              "No such file or directory\nNo such file or directory\n");
}

static void without_it_nothing_is_reached(void **state)
{
	static const char *const listed[] = { "closed", NULL };
	static const char *const files[] = { "closed/a/b/store/file", "closed/file", NULL };
	mem_cleanup char *text = NULL;

	needs_root();
	text = after_reach(*state, none, listed, files, SANDBOX_DROP_UID);
	assert_string_equal(text, IDS "Permission denied\nPermission denied\nPermission denied\n");
}

static void paths_within_one_another(void **state)
{
	static const char *const wanted[] = { "closed/a/b/store/file", "closed/a/b/store", "closed/a", NULL };
	static const char *const listed[] = { "closed", "closed/a", "closed/a/b", NULL };
	static const char *const files[] = { "closed/a/b/store/file", "closed/a/b/hidden", NULL };
	mem_cleanup char *text = NULL;

	needs_root();
	text = after_reach(*state, wanted, listed, files, SANDBOX_DROP_UID);
	assert_string_equal(text, IDS "a\nb\nstore\nclosed/a/b/store/file\nNo such file or directory\n");
}

static void links_on_the_way_lead_on(void **state)
{
	static const char *const inside[] = { "closed/link/file", NULL };
	static const char *const outside[] = { "open-link/file", NULL };
	static const char *const files[] = { "closed/link/file", "open-link/file", NULL };
	static const char *const listed[] = { "closed", NULL };
	mem_cleanup char *first = NULL;
	mem_cleanup char *second = NULL;

	needs_root();
	first = after_reach(*state, inside, listed, files, SANDBOX_DROP_UID);
	assert_string_equal(first, IDS "link project\nclosed/project/file\nclosed/project/file\n");
	second = after_reach(*state, outside, listed, files, SANDBOX_DROP_UID);
	assert_string_equal(second, IDS "project\nNo such file or directory\nclosed/project/file\n");
}

static void open_paths_need_nothing(void **state)
{
	static const char *const wanted[] = { "+/usr/bin/env", "+/usr", "+/", "+/etc/passwd", NULL };
	static const char *const listed[] = { "closed", NULL };
	mem_cleanup char *text = NULL;

	needs_root();
	text = after_reach(*state, wanted, listed, none, SANDBOX_DROP_UID);
	assert_string_equal(text, IDS "Permission denied\n");
}

static void the_host_is_left_as_it_was(void **state)
{
	static const char *const wanted[] = { "closed/project", "closed/file", NULL };
	const struct tree *tree = *state;
	struct buf before = BUF_INIT(4 * MIB);
	struct buf after = BUF_INIT(4 * MIB);
	struct npxc_error err = { 0 };
	mem_cleanup char *secret = NULL;
	mem_cleanup char *text = NULL;
	int fd;

	needs_root();
	secret = in(tree, "closed/secret");
	fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
	assert_true(fd_read_all(fd, &before, &err));
	close(fd);
	text = after_reach(tree, wanted, none, none, SANDBOX_DROP_UID);
	assert_string_equal(text, IDS);
	fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
	assert_true(fd_read_all(fd, &after, &err));
	close(fd);
	assert_string_equal(before.data, after.data);
	assert_int_equal(access(secret, F_OK), 0);
	buf_done(&before);
	buf_done(&after);
}

static void paths_that_are_refused(void **state)
{
	static const struct {
		const char *path;
		unsigned uid;
		const char *why;
	} cases[] = {
		{ "closed/link", SANDBOX_DROP_UID, "is a symbolic link" },
		{ "open-link", SANDBOX_DROP_UID, "is a symbolic link" },
		{ "closed/missing", SANDBOX_DROP_UID, "No such file or directory" },
		{ "closed/missing/file", SANDBOX_DROP_UID, "No such file or directory" },
		{ "closed/file/below", SANDBOX_DROP_UID, "Not a directory" },
		{ "+relative/path", SANDBOX_DROP_UID, "\"relative/path\" is not an absolute path" },
		{ "+", SANDBOX_DROP_UID, "\"\" is not an absolute path" },
		{ "closed/file", 0, "user 0 is not a user to drop to" },
	};

	needs_root();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *const wanted[] = { cases[i].path, NULL };
		mem_cleanup char *text = after_reach(*state, wanted, none, none, cases[i].uid);

		if (!str_starts(text, "refused (runtime): ") || strstr(text, cases[i].why) == NULL)
			fail_msg("%s: %s", cases[i].path, text);
	}
}

static void an_ordinary_user_is_refused(void **state)
{
	const char *const wanted[] = { NULL };
	mem_cleanup char *text = NULL;

	if (geteuid() == 0)
		skip();
	text = after_reach(*state, wanted, none, none, SANDBOX_DROP_UID);
	assert_string_equal(text, "refused (runtime): make a mount namespace: Operation not permitted\n");
}

/* Root or not: a sandbox sees a mount whose source lies in a directory that is closed to others. */
static void a_sandbox_gets_its_mounts(void **state)
{
	static const char *const command[] = { "/bin/sh", "-c", "cat /store/file /srv/data; ls -A /srv /store" };
	const struct tree *tree = *state;
	mem_cleanup char *store = in(tree, "closed/a/b/store");
	mem_cleanup char *file = in(tree, "closed/project/file");
	struct launch launch;
	struct sandbox_result result;

	sandbox_launch(&launch, command, 3);
	launch_add_mount(&launch, store, "/store", false);
	launch_add_mount(&launch, file, "/srv/data", false);
	sandbox_run(&launch, &result);
	assert_string_equal(result.errors.data, "");
	assert_int_equal(result.exit_status, 0);
	assert_string_equal(result.output.data,
	                    "closed/a/b/store/fileclosed/project/file/srv:\ndata\n\n/store:\nfile\n");
	sandbox_result_done(&result);
	launch_done(&launch);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(binds_only_the_file_that_was_judged),
		cmocka_unit_test(shows_what_was_asked_for_and_nothing_beside_it),
		cmocka_unit_test(without_it_nothing_is_reached),
		cmocka_unit_test(paths_within_one_another),
		cmocka_unit_test(links_on_the_way_lead_on),
		cmocka_unit_test(open_paths_need_nothing),
		cmocka_unit_test(the_host_is_left_as_it_was),
		cmocka_unit_test(paths_that_are_refused),
		cmocka_unit_test(an_ordinary_user_is_refused),
		cmocka_unit_test(a_sandbox_gets_its_mounts),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
