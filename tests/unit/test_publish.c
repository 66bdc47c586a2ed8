#include "unit.h"

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"
#include "mcp/output.h"
#include "mcp/publish.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#ifdef __linux__
#include <seccomp.h>
#include <sys/wait.h>
#endif

/* A working directory and a workspace, both new for each test. */
struct world {
	char *root, *cwd, *workspace;
	struct scope scope;
	struct publish *publish;
	struct publish_settings settings;
};

static void start_publish(struct world *w)
{
	struct npxc_error err;

	publish_free(w->publish);
	assert_true(publish_start(&w->settings, &w->publish, &err));
}

static int set_up(void **state)
{
	struct world *w = mem_alloc(sizeof(*w));
	struct npxc_error err;

	assert_true(file_make_temporary_directory("/tmp", "test-publish-", &w->root, &err));
	w->cwd = str_printf("%s/work", w->root);
	w->workspace = str_printf("%s/workspace", w->root);
	assert_int_equal(mkdir(w->cwd, 0755) | mkdir(w->workspace, 0755), 0);
	assert_true(scope_start(w->cwd, w->cwd, &w->scope, &err));
	w->settings = (struct publish_settings){ .directory = w->workspace,
		                                 .max_file_bytes = LIMIT_PUBLISH_FILE_BYTES,
		                                 .max_total_bytes = LIMIT_PUBLISH_TOTAL_BYTES,
		                                 .max_tree_entries = LIMIT_PUBLISH_TREE_ENTRIES,
		                                 .max_entries = LIMIT_PUBLISH_ENTRIES };
	start_publish(w);
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;
	struct npxc_error err;

	publish_free(w->publish);
	scope_done(&w->scope);
	if (!file_remove_tree(w->root, &err))
		fail_msg("%s", err.message);
	free(w->root);
	free(w->cwd);
	free(w->workspace);
	free(w);
	return 0;
}

static char *host_path(const struct world *w, const char *path)
{
	return str_path_join(w->cwd, path);
}

static void put_bytes(const struct world *w, const char *path, const char *bytes, size_t count)
{
	mem_cleanup char *whole = host_path(w, path);
	FILE *file = fopen(whole, "w");

	assert_non_null(file);
	assert_int_equal(fwrite(bytes, 1, count, file), count);
	fclose(file);
}

static void put(const struct world *w, const char *path, const char *text)
{
	put_bytes(w, path, text, strlen(text));
}

static void make(const struct world *w, const char *path)
{
	mem_cleanup char *whole = host_path(w, path);

	assert_int_equal(mkdir(whole, 0755), 0);
}

static void leads(const struct world *w, const char *path, const char *to)
{
	mem_cleanup char *whole = host_path(w, path);

	assert_int_equal(symlink(to, whole), 0);
}

/* Owned; NULL after a failure. */
static char *take(struct world *w, const char *text, struct npxc_error *err)
{
	const struct scope_place place = { .cwd = w->cwd, .real = w->cwd };
	struct scope_name name;
	struct scope_file file;
	const char *inside = NULL;
	char *copy = NULL;

	*err = (struct npxc_error){ 0 };
	assert_true(scope_read(&place, text, strlen(text), &name, err));
	if (!scope_open(&w->scope, &name, &file, err))
		fail_msg("%s", err->message);
	if (publish_take(w->publish, &name, &file, &inside, err))
		copy = str_dup(inside);
	scope_file_done(&file);
	scope_name_done(&name);
	return copy;
}

static char *taken(struct world *w, const char *text)
{
	struct npxc_error err;
	char *inside = take(w, text, &err);

	if (inside == NULL)
		fail_msg("%s: %s", text, err.message);
	return inside;
}

static void refused(struct world *w, const char *text, const char *words)
{
	struct npxc_error err;
	mem_cleanup char *inside = take(w, text, &err);

	if (inside != NULL)
		fail_msg("%s was published", text);
	if (err.kind != ERROR_IO || strstr(err.message, words) == NULL)
		fail_msg("%s: %s", text, err.message);
}

/* Where a path inside lies on the host; owned. */
static char *on_host(const struct world *w, const char *inside)
{
	assert_true(str_starts(inside, PUBLISH_INSIDE "/"));
	return str_printf("%s%s", w->workspace, inside + strlen(PUBLISH_INSIDE));
}

static void holds(const struct world *w, const char *inside, const char *text)
{
	struct buf bytes BUF_CLEANUP = BUF_INIT(64 * MIB);
	mem_cleanup char *path = on_host(w, inside);
	struct npxc_error err;

	if (!file_read(path, &bytes, &err))
		fail_msg("%s", err.message);
	assert_string_equal(bytes.data == NULL ? "" : bytes.data, text);
}

/* ls -A, sorted, with blanks between; owned. */
static char *listing(const char *directory)
{
	mem_cleanup char *command =
	    str_printf("cd '%s' && find . -mindepth 1 | sort | cut -c3- | tr '\\n' ' '", directory);
	FILE *pipe = popen(command, "r");
	char text[4096] = "";
	const size_t count = fread(text, 1, sizeof(text) - 1, pipe);

	text[count] = '\0';
	assert_int_equal(pclose(pipe), 0);
	return str_dup(text);
}

static char *directory_of(const struct world *w, const char *inside)
{
	char *path = on_host(w, inside);

	*strrchr(path, '/') = '\0';
	return path;
}

static void test_a_file(void **state)
{
	struct world *w = *state;

	make(w, "sub");
	put(w, "sub/report.txt", "text");
	put(w, "sub/secret.txt", "not named");
	mem_cleanup char *inside = taken(w, "sub/report.txt");
	mem_cleanup char *path = on_host(w, inside);
	mem_cleanup char *source = host_path(w, "sub/report.txt");
	mem_cleanup char *alone = directory_of(w, inside);
	mem_cleanup char *beside = listing(alone);
	struct stat copy, original;

	assert_int_equal(strlen(inside), strlen("/workspace/0123456789abcdef/report.txt"));
	assert_true(str_ends(inside, "/report.txt"));
	holds(w, inside, "text");
	assert_string_equal(beside, "report.txt ");
	assert_int_equal(stat(path, &copy) | stat(source, &original), 0);
	assert_true(copy.st_ino != original.st_ino);
	assert_int_equal(original.st_nlink, 1);
	assert_int_equal(copy.st_mode & 07777, 0444);
	/* What is done to the copy does not reach the original. */
	assert_int_equal(chmod(path, 0644), 0);
	FILE *file = fopen(path, "w");
	fputs("changed inside", file);
	fclose(file);
	assert_int_equal(stat(source, &copy), 0);
	assert_int_equal(copy.st_ino, original.st_ino);
	assert_int_equal(copy.st_size, 4);
}

static void test_modes_whatever_the_umask(void **state)
{
	struct world *w = *state;
	const mode_t before = umask(0777);
	struct stat info;

	umask(before);
	put(w, "script", "#!/bin/sh\n");
	mem_cleanup char *source = host_path(w, "script");
	chmod(source, 0700);
	umask(0777);
	mem_cleanup char *inside = taken(w, "script");
	umask(before);
	mem_cleanup char *path = on_host(w, inside);
	mem_cleanup char *directory = directory_of(w, inside);
	assert_int_equal(stat(path, &info), 0);
	assert_int_equal(info.st_mode & 07777, 0555);
	assert_int_equal(stat(directory, &info), 0);
	assert_int_equal(info.st_mode & 07777, 0755);
}

static void test_names_stay(void **state)
{
	static const char *const names[] = {
		"a b", "quote\"back\\slash", "line\nbreak", "\xc3\xa4\xe2\x82\xac", "\xff\xfe", ".hidden", "-", "%2F",
		"~"
	};
	struct world *w = *state;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		mem_cleanup char *text = str_printf("./%s", names[i]);

		put(w, names[i], names[i]);
		mem_cleanup char *inside = taken(w, text);
		assert_string_equal(strrchr(inside, '/') + 1, names[i]);
		holds(w, inside, names[i]);
	}
}

static void test_unchanged_or_not(void **state)
{
	struct world *w = *state;

	put(w, "a", "one");
	put(w, "b", "one");
	leads(w, "link", "a");
	mem_cleanup char *first = taken(w, "a");
	mem_cleanup char *again = taken(w, "./a");
	mem_cleanup char *other = taken(w, "b");
	mem_cleanup char *link = taken(w, "link");
	assert_string_equal(again, first);
	assert_string_not_equal(other, first);
	assert_string_not_equal(link, first);
	assert_true(str_ends(link, "/link"));
	holds(w, link, "one");

	/* Same size, and in all likelihood within the same tick of the file system's clock. */
	put(w, "a", "two");
	mem_cleanup char *second = taken(w, "a");
	assert_string_not_equal(second, first);
	holds(w, second, "two");
	holds(w, first, "one");
	put(w, "a", "one");
	mem_cleanup char *third = taken(w, "a");
	holds(w, third, "one");
	mem_cleanup char *fourth = taken(w, "a");
	assert_string_equal(fourth, third);
}

/* In the same tick and with the time stamps put back: only the bytes tell. */
static void test_young_stamps_do_not_tell(void **state)
{
	struct world *w = *state;
	mem_cleanup char *path = host_path(w, "a");

	for (int i = 0; i < 200; i++) {
		char text[32];

		snprintf(text, sizeof(text), "%03d", i);
		const int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
		assert_int_equal(write(fd, text, 3), 3);
		close(fd);
		mem_cleanup char *inside = taken(w, "a");
		holds(w, inside, text);
	}
}

static void test_replaced_by_another_file(void **state)
{
	struct world *w = *state;
	struct timespec times[2];
	struct stat info;

	put(w, "a", "one");
	put(w, "new", "two");
	mem_cleanup char *path = host_path(w, "a");
	mem_cleanup char *other = host_path(w, "new");
	mem_cleanup char *first = taken(w, "a");
	stat(path, &info);
	times[0] = info.st_atim;
	times[1] = info.st_mtim;
	assert_int_equal(utimensat(AT_FDCWD, other, times, 0), 0);
	assert_int_equal(rename(other, path), 0);
	mem_cleanup char *second = taken(w, "a");
	assert_string_not_equal(second, first);
	holds(w, second, "two");
}

static void test_ceilings(void **state)
{
	struct world *w = *state;

	w->settings.max_file_bytes = 10;
	w->settings.max_total_bytes = 25;
	w->settings.max_entries = 4;
	start_publish(w);
	put(w, "eleven", "12345678901");
	refused(w, "eleven", "more than 10 bytes");
	put(w, "a", "1234567890");
	put(w, "b", "1234567890");
	put(w, "c", "1234567890");
	put(w, "empty1", "");
	put(w, "empty2", "");
	put(w, "empty3", "");
	mem_cleanup char *a = taken(w, "a");
	free(taken(w, "b"));
	refused(w, "c", "no room");
	refused(w, "c", "--mount");
	mem_cleanup char *again = taken(w, "a");
	assert_string_equal(again, a);
	free(taken(w, "empty1"));
	free(taken(w, "empty2"));
	refused(w, "empty3", "4 entries");
	mem_cleanup char *left = listing(w->workspace);
	/* Nothing of what was refused stays. */
	assert_null(strstr(left, "eleven"));
	assert_null(strstr(left, "empty3"));
}

/* Only superseded copies make room, the oldest first, and no current one ever. */
static void test_room_is_made(void **state)
{
	struct world *w = *state;
	char text[32];

	w->settings.max_total_bytes = 30;
	start_publish(w);
	put(w, "kept", "0123456789");
	mem_cleanup char *kept = taken(w, "kept");
	mem_cleanup char *before = NULL;
	for (int i = 0; i < 50; i++) {
		snprintf(text, sizeof(text), "%010d", i);
		put(w, "changing", text);
		mem_cleanup char *inside = taken(w, "changing");
		holds(w, inside, text);
		if (before != NULL && i < 49) {
			snprintf(text, sizeof(text), "%010d", i - 1);
			holds(w, before, text);
		}
		free(before);
		before = MEM_TAKE(inside);
	}
	holds(w, kept, "0123456789");
	put(w, "third", "0123456789");
	mem_cleanup char *third = taken(w, "third");
	put(w, "fourth", "0123456789");
	refused(w, "fourth", "no room");
	holds(w, third, "0123456789");
	holds(w, before, "0000000049");
	/* Room that is there only now. */
	put(w, "third", "x");
	refused(w, "third", "no room");
	put(w, "changing", "");
	free(taken(w, "changing"));
	mem_cleanup char *one = taken(w, "third");
	holds(w, one, "x");
}

static void put_socket(const struct world *w, const char *name)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s", w->cwd, name);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	close(fd);
}

static void test_a_directory(void **state)
{
	struct world *w = *state;

	put(w, "beside", "not named");
	make(w, "tree");
	make(w, "tree/sub");
	make(w, "tree/sub/deep");
	put(w, "tree/a", "a");
	put(w, "tree/sub/deep/b", "b");
	leads(w, "tree/stays", "sub/deep/b");
	leads(w, "tree/sub/stays", "../a");
	leads(w, "tree/sub/deep/stays", "../.././a");
	leads(w, "tree/sub/deep/root", "../..");
	leads(w, "tree/dangling", "nothing");
	leads(w, "tree/leaves", "../beside");
	leads(w, "tree/sub/leaves", "../../beside");
	leads(w, "tree/round", "../tree/a");
	leads(w, "tree/absolute", "/etc/passwd");
	leads(w, "tree/sub/deep/leaves", "../../../beside");
	put_socket(w, "tree/socket");
	mem_cleanup char *fifo = host_path(w, "tree/fifo");
	assert_int_equal(mkfifo(fifo, 0644), 0);

	mem_cleanup char *inside = taken(w, "tree/");
	mem_cleanup char *path = directory_of(w, inside);
	mem_cleanup char *all = listing(path);
	assert_true(str_ends(inside, "/tree"));
	assert_string_equal(all, "tree tree/a tree/dangling tree/stays tree/sub tree/sub/deep tree/sub/deep/b "
	                         "tree/sub/deep/root tree/sub/deep/stays tree/sub/stays ");
	mem_cleanup char *through = str_printf("%s/sub/deep/stays", inside);
	holds(w, through, "a");
}

static void test_a_directory_changes(void **state)
{
	struct world *w = *state;

	make(w, "tree");
	make(w, "tree/sub");
	put(w, "tree/sub/a", "1");
	mem_cleanup char *path = host_path(w, "tree/sub/a");
	const struct timespec old[2] = { { .tv_sec = 1000 }, { .tv_sec = 1000, .tv_nsec = 1 } };
	mem_cleanup char *first = taken(w, "tree");
	/* The change time cannot be set: once it is old enough, the same tree is recognised. */
	mem_cleanup char *same = NULL;
	mem_cleanup char *before = str_dup(first);
	for (int i = 0; i < 100000; i++) {
		free(same);
		same = taken(w, "tree");
		if (str_equal(same, before))
			break;
		free(before);
		before = str_dup(same);
	}
	assert_string_equal(same, before);
	put(w, "tree/sub/b", "new");
	mem_cleanup char *second = taken(w, "tree");
	assert_string_not_equal(second, same);
	assert_int_equal(utimensat(AT_FDCWD, path, old, 0), 0);
	mem_cleanup char *third = taken(w, "tree");
	assert_string_not_equal(third, second);
	mem_cleanup char *all = on_host(w, third);
	mem_cleanup char *files = listing(all);
	assert_string_equal(files, "sub sub/a sub/b ");
}

static void test_ceilings_of_trees(void **state)
{
	struct world *w = *state;

	w->settings.max_tree_entries = 5;
	w->settings.max_file_bytes = 10;
	w->settings.max_total_bytes = 25;
	start_publish(w);
	make(w, "many");
	for (int i = 0; i < 6; i++) {
		char name[32];

		snprintf(name, sizeof(name), "many/%d", i);
		put(w, name, "");
	}
	refused(w, "many", "more than 5 files and directories");
	refused(w, ".", "more than 5 files and directories");
	make(w, "large");
	put(w, "large/a", "12345678901");
	refused(w, "large", "a file of more than 10 bytes");
	make(w, "sum");
	put(w, "sum/a", "1234567890");
	put(w, "sum/b", "1234567890");
	put(w, "sum/c", "1234567890");
	refused(w, "sum", "holds more than 25 bytes");
	mem_cleanup char *left = listing(w->workspace);
	assert_string_equal(left, "");
	put(w, "sum/c", "");
	free(taken(w, "sum"));
	put(w, "x", "123456");
	refused(w, "x", "no room");
}

static void test_a_deep_tree(void **state)
{
	struct world *w = *state;
	mem_cleanup char *path = str_dup("deep");

	make(w, path);
	for (int i = 0; i <= LIMIT_PUBLISH_DEPTH; i++) {
		char *longer = str_printf("%s/d", path);

		free(path);
		path = longer;
		make(w, path);
	}
	refused(w, "deep", "directories deep");
	mem_cleanup char *inside = taken(w, "deep/d");
	assert_true(str_ends(inside, "/d"));
}

static void test_what_may_not_be_read(void **state)
{
	struct world *w = *state;

	make(w, "tree");
	put(w, "tree/a", "a");
	put(w, "tree/closed", "x");
	make(w, "tree/shut");
	put(w, "tree/shut/x", "x");
	mem_cleanup char *closed = host_path(w, "tree/closed");
	mem_cleanup char *shut = host_path(w, "tree/shut");
	chmod(closed, 0);
	chmod(shut, 0);
	/* Root may read anything. */
	if (geteuid() == 0) {
		chown(w->workspace, 65534, 65534);
		assert_int_equal(chmod(w->root, 0755), 0);
		assert_int_equal(seteuid(65534), 0);
	}
	mem_cleanup char *inside = taken(w, "tree");
	if (getuid() == 0)
		assert_int_equal(seteuid(0), 0);
	chmod(shut, 0755);
	mem_cleanup char *path = on_host(w, inside);
	mem_cleanup char *all = listing(path);
	assert_string_equal(all, "a ");
}

static bool stop_now(void *context)
{
	(void)context;
	return true;
}

static void test_a_copy_is_stopped(void **state)
{
	struct world *w = *state;

	w->settings.stop = stop_now;
	start_publish(w);
	put(w, "a", "a");
	refused(w, "a", "Interrupted");
	mem_cleanup char *left = listing(w->workspace);
	assert_string_equal(left, "");
}

struct growth {
	char *path; /* owned */
	bool done;
};

/* Between being measured and being copied. */
static bool grow(void *context)
{
	struct growth *growth = context;
	FILE *file = growth->done ? NULL : fopen(growth->path, "a");

	if (file != NULL) {
		fputs("12345678901234567890", file);
		fclose(file);
	}
	growth->done = true;
	return false;
}

static void test_files_that_grow(void **state)
{
	struct world *w = *state;
	struct growth growth = { .path = host_path(w, "b"), .done = true };

	w->settings.max_total_bytes = 25;
	w->settings.stop = grow;
	w->settings.context = &growth;
	start_publish(w);
	put(w, "a", "1234567890");
	free(taken(w, "a"));
	put(w, "b", "1");
	growth.done = false;
	refused(w, "b", "more than 15 bytes");
	free(growth.path);
	growth.path = host_path(w, "tree/leaf");
	make(w, "tree");
	put(w, "tree/leaf", "1");
	growth.done = false;
	refused(w, "tree", "more than 15 bytes");
	/* What was refused takes no room, and the ceiling is where it was. */
	put(w, "c", "123456789012345");
	free(taken(w, "c"));
	put(w, "d", "1");
	refused(w, "d", "no room");
	free(growth.path);
}

/* The server makes a file of that many bytes; false: it is not put in place. */
static bool makes(struct world *w, struct output_box *box, const char *leaf, int bytes, struct npxc_error *err)
{
	const struct scope_place place = { .cwd = w->cwd, .real = w->cwd };
	mem_cleanup char *host = host_path(w, leaf);
	struct scope_parent parent;
	struct scope_name name;
	struct output *output;
	struct stat info;
	bool placed = false;

	*err = (struct npxc_error){ 0 };
	assert_true(scope_read(&place, leaf, strlen(leaf), &name, err));
	assert_true(scope_open_parent(&w->scope, &name, &parent, err));
	if (!output_make(box, w->publish, &name, &parent, &output, err))
		fail_msg("%s", err->message);
	mem_cleanup char *private =
	    str_printf("%s/out/%s", w->workspace, output_inside(output) + strlen(PUBLISH_INSIDE "/"));
	FILE *file = fopen(private, "w");
	assert_non_null(file);
	fprintf(file, "%*s", bytes, "");
	fclose(file);
	scope_name_done(&name);
	const bool fine = output_finish(box, output, &placed, err);
	assert_int_equal(fine, placed);
	assert_int_equal(lstat(host, &info) == 0, placed);
	assert_int_not_equal(lstat(private, &info), 0);
	return placed;
}

static void test_outputs_have_ceilings(void **state)
{
	struct world *w = *state;
	mem_cleanup char *directory = str_printf("%s/out", w->workspace);
	struct output_box box = { .directory = directory, .fd = -1, .max_bytes = 10, .max_total_bytes = 25 };
	struct npxc_error err;

	assert_int_equal(mkdir(directory, 0755), 0);
	assert_true(output_box_open(&box, &err));
	assert_false(makes(w, &box, "eleven", 11, &err));
	assert_non_null(strstr(err.message, "more than 10 bytes"));
	assert_true(makes(w, &box, "a", 10, &err));
	assert_true(makes(w, &box, "b", 10, &err));
	assert_false(makes(w, &box, "c", 6, &err));
	assert_non_null(strstr(err.message, "more than 5 bytes"));
	assert_true(makes(w, &box, "d", 5, &err));
	assert_true(makes(w, &box, "empty", 0, &err));
	assert_false(makes(w, &box, "e", 1, &err));
	output_box_close(&box);
}

static void test_the_way_back(void **state)
{
	struct world *w = *state;

	make(w, "sub");
	put(w, "sub/a", "a");
	assert_true(publish_is_empty(w->publish));
	mem_cleanup char *inside = taken(w, "sub/a");
	mem_cleanup char *tree = taken(w, "sub/..");
	mem_cleanup char *sub = host_path(w, "sub");
	const char *id = inside + strlen(PUBLISH_INSIDE "/");
	char other[PUBLISH_ID_DIGITS + 1];

	assert_false(publish_is_empty(w->publish));
	assert_string_equal(publish_host(w->publish, id, PUBLISH_ID_DIGITS), sub);
	assert_string_equal(publish_host(w->publish, tree + strlen(PUBLISH_INSIDE "/"), PUBLISH_ID_DIGITS), w->root);
	assert_true(str_ends(tree, "/work"));
	assert_null(publish_host(w->publish, id, PUBLISH_ID_DIGITS - 1));
	assert_null(publish_host(w->publish, id, PUBLISH_ID_DIGITS + 1));
	assert_null(publish_host(w->publish, "", 0));
	memcpy(other, id, sizeof(other) - 1);
	other[PUBLISH_ID_DIGITS] = '\0';
	other[PUBLISH_ID_DIGITS - 1] = '2'; /* two were given out, 0 and 1 */
	assert_null(publish_host(w->publish, other, PUBLISH_ID_DIGITS));
	other[PUBLISH_ID_DIGITS - 1] = 'g';
	assert_null(publish_host(w->publish, other, PUBLISH_ID_DIGITS));
	other[PUBLISH_ID_DIGITS - 1] = '1';
	assert_non_null(publish_host(w->publish, other, PUBLISH_ID_DIGITS));
	other[0] = other[0] == '0' ? '1' : '0';
	assert_null(publish_host(w->publish, other, PUBLISH_ID_DIGITS));
}

static void test_reserved_ids(void **state)
{
	const struct scope_place place = { .cwd = "/home/u/work", .real = "/home/u/work" };
	struct world *w = *state;
	struct scope_name name;
	struct npxc_error err;
	const char *first, *second;

	assert_true(scope_read(&place, "out/new", strlen("out/new"), &name, &err));
	assert_true(publish_reserve(w->publish, &name, &first, &err));
	assert_true(publish_reserve(w->publish, &name, &second, &err));
	assert_string_not_equal(first, second);
	assert_string_equal(publish_host(w->publish, first, PUBLISH_ID_DIGITS), "/home/u/work/out");
	scope_name_done(&name);
}

enum { MANY = 300 };

static void test_many(void **state)
{
	struct world *w = *state;
	struct strv paths = { 0 };

	for (int i = 0; i < MANY; i++) {
		char name[32];

		snprintf(name, sizeof(name), "f%d", i);
		put(w, name, name);
		strv_push_owned(&paths, taken(w, name));
	}
	for (int i = 0; i < MANY; i++) {
		char name[32];

		snprintf(name, sizeof(name), "f%d", i);
		mem_cleanup char *inside = taken(w, name);
		assert_string_equal(inside, paths.v[i]);
		holds(w, inside, name);
	}
	strv_done(&paths);
}

#ifdef __linux__
/* Each way to copy gives the same bytes: as here, without reflinks, and with reading and writing alone. */
static void test_ways_to_copy(void **state)
{
	struct world *w = *state;
	static char large[3 * 1024 * 1024 + 17];
	mem_cleanup char *inside = NULL;

	for (size_t i = 0; i < sizeof(large); i++)
		large[i] = (char)('a' + i * i % 23);
	large[sizeof(large) - 1] = '\0';
	put(w, "large", large);
	put(w, "none", "");
	inside = taken(w, "large");
	holds(w, inside, large);
	for (int refused_calls = 1; refused_calls <= 2; refused_calls++) {
		int status;
		const pid_t pid = fork();

		if (pid == 0) {
			scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);

			if (seccomp_rule_add(filter, SCMP_ACT_ERRNO(EOPNOTSUPP), SCMP_SYS(ioctl), 0) != 0 ||
			    (refused_calls == 2 &&
			     seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(copy_file_range), 0) != 0) ||
			    seccomp_load(filter) != 0)
				_exit(93);
			start_publish(w);
			char *copied = taken(w, "large");
			char *empty = taken(w, "none");
			holds(w, copied, large);
			holds(w, empty, "");
			_exit(0);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, 0);
	}
}
#endif

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		CASE(test_a_file),
		CASE(test_modes_whatever_the_umask),
		CASE(test_names_stay),
		CASE(test_unchanged_or_not),
		CASE(test_young_stamps_do_not_tell),
		CASE(test_replaced_by_another_file),
		CASE(test_ceilings),
		CASE(test_room_is_made),
		CASE(test_a_directory),
		CASE(test_a_directory_changes),
		CASE(test_ceilings_of_trees),
		CASE(test_a_deep_tree),
		CASE(test_what_may_not_be_read),
		CASE(test_a_copy_is_stopped),
		CASE(test_files_that_grow),
		CASE(test_outputs_have_ceilings),
		CASE(test_the_way_back),
		CASE(test_reserved_ids),
		CASE(test_many),
#ifdef __linux__
		CASE(test_ways_to_copy),
#endif
	};

	return cmocka_run_group_tests_name("publish", tests, NULL, NULL);
}
