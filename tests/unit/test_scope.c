#include "unit.h"

#include "base/beneath.h"
#include "base/buf.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "mcp/scope.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef __linux__
#include <seccomp.h>
#endif

/* ---- the text ---- */

static const struct scope_place place = { .cwd = "/home/u/work", .real = "/data/work", .home = "/home/u" };

struct reading {
	const char *text;
	size_t length;    /* 0: strlen */
	const char *path; /* NULL: refused */
	const char
	    *other; /* what is left beneath the working directory, NULL: outside; of a refusal words of its message */
	bool directory;
};

static char long_name[300];   /* one component of 256 bytes */
static char long_enough[300]; /* of 255 */
static char long_path[5000];  /* 4096 bytes */
static char very_long[20000];

static const struct reading readings[] = {
	{ "a", 0, "/home/u/work/a", "a", false },
	{ "./a", 0, "/home/u/work/a", "a", false },
	{ "a//b/./c", 0, "/home/u/work/a/b/c", "a/b/c", false },
	{ "a/", 0, "/home/u/work/a", "a", true },
	{ "a/.", 0, "/home/u/work/a", "a", true },
	{ "a/..", 0, "/home/u/work/a/..", "a/..", true },
	{ ".", 0, "/home/u/work", "", true },
	{ "./", 0, "/home/u/work", "", true },
	{ "..", 0, "/home/u/work/..", "..", true },
	{ "../work/a", 0, "/home/u/work/../work/a", "../work/a", false },
	{ "...", 0, "/home/u/work/...", "...", false },
	{ ".a", 0, "/home/u/work/.a", ".a", false },
	{ "..a", 0, "/home/u/work/..a", "..a", false },
	{ "a b", 0, "/home/u/work/a b", "a b", false },
	{ "a%20b", 0, "/home/u/work/a%20b", "a%20b", false },
	{ "a?b#c", 0, "/home/u/work/a?b#c", "a?b#c", false },
	{ "a\\b", 0, "/home/u/work/a\\b", "a\\b", false },
	{ "a\nb", 0, "/home/u/work/a\nb", "a\nb", false },
	{ "\xff\xfe", 0, "/home/u/work/\xff\xfe", "\xff\xfe", false },
	{ "/home/u/work/a", 0, "/home/u/work/a", "a", false },
	{ "//home///u/./work//a", 0, "/home/u/work/a", "a", false },
	{ "/home/u/work", 0, "/home/u/work", "", true },
	{ "/home/u/work/", 0, "/home/u/work", "", true },
	{ "/data/work/a", 0, "/data/work/a", "a", false },
	{ "/home/u/work2/a", 0, "/home/u/work2/a", NULL, false },
	{ "/home/u/wor", 0, "/home/u/wor", NULL, false },
	{ "/home/u/work.old", 0, "/home/u/work.old", NULL, false },
	{ "/data/workshop/a", 0, "/data/workshop/a", NULL, false },
	{ "/home/u", 0, "/home/u", NULL, false },
	{ "/home/u/x/../work/a", 0, "/home/u/x/../work/a", NULL, false },
	{ "/home/u/work/../other/a", 0, "/home/u/work/../other/a", "../other/a", false },
	{ "/etc/passwd", 0, "/etc/passwd", NULL, false },
	{ "/", 0, "/", NULL, true },
	{ "///", 0, "/", NULL, true },
	{ "/HOME/u/work/a", 0, "/HOME/u/work/a", NULL, false },
	{ "~", 0, "/home/u", NULL, true },
	{ "~/", 0, "/home/u", NULL, true },
	{ "~/work/a", 0, "/home/u/work/a", "a", false },
	{ "~/.ssh/id", 0, "/home/u/.ssh/id", NULL, false },
	{ "~/../u/work/a", 0, "/home/u/../u/work/a", NULL, false },
	{ "~other/a", 0, "/home/u/work/~other/a", "~other/a", false },
	{ "~~", 0, "/home/u/work/~~", "~~", false },
	{ "file:///home/u/work/a", 0, "/home/u/work/a", "a", false },
	{ "FILE:///home/u/work/a", 0, "/home/u/work/a", "a", false },
	{ "file://localhost/home/u/work/a", 0, "/home/u/work/a", "a", false },
	{ "file://LocalHost/home/u/work/a", 0, "/home/u/work/a", "a", false },
	{ "file:/home/u/work/a", 0, "/home/u/work/a", "a", false },
	{ "file:////home/u/work/a", 0, "/home/u/work/a", "a", false },
	{ "file:///home/u/work/a%20b%25c", 0, "/home/u/work/a b%c", "a b%c", false },
	{ "file:///home/u/work/%C3%A4", 0, "/home/u/work/\xc3\xa4", "\xc3\xa4", false },
	{ "file:///home/u/work/\xc3\xa4", 0, "/home/u/work/\xc3\xa4", "\xc3\xa4", false },
	{ "file:///home/u/%77ork/a", 0, "/home/u/work/a", "a", false },
	{ "file:///home/u/work/%2e%2e/x", 0, "/home/u/work/../x", "../x", false },
	{ "file:///home/u/work/%2E%2e", 0, "/home/u/work/..", "..", true },
	{ "file:///etc/passwd", 0, "/etc/passwd", NULL, false },
	{ "file:///%7e/a", 0, "/~/a", NULL, false },
	{ "filename", 0, "/home/u/work/filename", "filename", false },
	{ long_enough, 0, NULL, "", false }, /* taken: see below */

	{ "", 0, NULL, "names no file", false },
	{ "a\0b", 3, NULL, "NUL", false },
	{ "\0", 1, NULL, "NUL", false },
	{ "/home/u/work/a\0/../../x", 23, NULL, "NUL", false },
	{ long_name, 0, NULL, "255 bytes", false },
	{ long_path, 0, NULL, "4095 bytes", false },
	{ very_long, 0, NULL, "4095 bytes", false },
	{ "file:", 0, NULL, "without an absolute path", false },
	{ "file:a", 0, NULL, "without an absolute path", false },
	{ "file:../a", 0, NULL, "without an absolute path", false },
	{ "file:~/a", 0, NULL, "without an absolute path", false },
	{ "file://", 0, NULL, "without an absolute path", false },
	{ "file://localhost", 0, NULL, "without an absolute path", false },
	{ "file://home/u/work/a", 0, NULL, "another host", false },
	{ "file://evil.example/home/u/work/a", 0, NULL, "another host", false },
	{ "file://localhost.evil.example/a", 0, NULL, "another host", false },
	{ "file://127.0.0.1/home/u/work/a", 0, NULL, "another host", false },
	{ "file://localhost:80/home/u/work/a", 0, NULL, "another host", false },
	{ "file://u@localhost/home/u/work/a", 0, NULL, "another host", false },
	{ "file://%6cocalhost/home/u/work/a", 0, NULL, "another host", false },
	{ "file://./home/u/work/a", 0, NULL, "another host", false },
	{ "file://~/a", 0, NULL, "another host", false },
	{ "file:///home/u/work/a%2fb", 0, NULL, "encoded slash", false },
	{ "file:///home/u/work/..%2F..%2Fx", 0, NULL, "encoded slash", false },
	{ "file:///home/u/work/a%00b", 0, NULL, "encoded slash or NUL", false },
	{ "file:///home/u/work/a%", 0, NULL, "percent", false },
	{ "file:///home/u/work/a%2", 0, NULL, "percent", false },
	{ "file:///home/u/work/a%g0", 0, NULL, "percent", false },
	{ "file:///home/u/work/a?b", 0, NULL, "query", false },
	{ "file:///home/u/work/a#b", 0, NULL, "fragment", false },
	{ "file:///home/u/work/..\\..\\x", 0, NULL, "percent-encoded", false },
	{ "file:///home/u/work/a b", 0, NULL, "percent-encoded", false },
	{ "file:///home/u/work/a\tb", 0, NULL, "percent-encoded", false },
	{ "file:///home/u/work/a\0b", 23, NULL, "percent-encoded", false },
	{ "file:\\\\\\home\\u", 0, NULL, "without an absolute path", false },
};

static void fill_long_ones(void)
{
	memset(long_name, 'n', 256);
	memset(long_enough, 'n', 255);
	for (size_t i = 0; i < 4096; i++)
		long_path[i] = i % 100 == 0 ? '/' : 'p';
	memset(very_long, '/', sizeof(very_long) - 1);
}

static void check_reading(const struct reading *r)
{
	struct scope_name name = { 0 };
	struct npxc_error err = { 0 };
	const bool taken = scope_read(&place, r->text, r->length > 0 ? r->length : strlen(r->text), &name, &err);

	if (r->path == NULL) {
		if (taken || err.kind != ERROR_PATH_OUT_OF_SCOPE || strstr(err.message, r->other) == NULL)
			fail_msg("\"%.80s\": %s", r->text, taken ? name.path : err.message);
		return;
	}
	if (!taken)
		fail_msg("\"%s\": %s", r->text, err.message);
	assert_string_equal(name.path, r->path);
	if (!str_equal(name.relative, r->other))
		fail_msg("\"%s\": \"%s\" beneath", r->text, name.relative == NULL ? "(none)" : name.relative);
	if (name.directory != r->directory)
		fail_msg("\"%s\": directory %d", r->text, name.directory);
	scope_name_done(&name);
}

static void test_strings_are_read(void **state)
{
	(void)state;
	fill_long_ones();
	for (size_t i = 0; i < sizeof(readings) / sizeof(readings[0]); i++) {
		struct reading r = readings[i];
		mem_cleanup char *whole = NULL;

		if (r.text == long_enough) {
			whole = str_printf("/home/u/work/%s", long_enough);
			r.path = whole;
			r.other = long_enough;
		}
		check_reading(&r);
	}
}

static void test_without_home(void **state)
{
	const struct scope_place homeless = { .cwd = "/", .real = "/" };
	struct scope_name name = { 0 };
	struct npxc_error err = { 0 };

	(void)state;
	assert_false(scope_read(&homeless, "~/a", 3, &name, &err));
	assert_non_null(strstr(err.message, "home"));
	assert_true(scope_read(&homeless, "/etc/../x", 9, &name, &err));
	assert_string_equal(name.relative, "etc/../x");
	scope_name_done(&name);
}

static void test_last_component(void **state)
{
	static const char *const pairs[][2] = {
		{ "a/b.txt", "b.txt" }, { "a/b/", "b" }, { ".", "work" }, { "a/..", "work" },
		{ "a/b/..", "a" },      { "..", "u" },   { "/", "root" }, { "../../../../..", "root" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		struct scope_name name;
		struct npxc_error err = { 0 };

		assert_true(scope_read(&place, pairs[i][0], strlen(pairs[i][0]), &name, &err));
		mem_cleanup char *last = scope_last_component(&name);
		assert_string_equal(last, pairs[i][1]);
		scope_name_done(&name);
	}
}

/* ---- the file ---- */

/*
 * outside/secret, work2/secret, and the working directory work/, a real directory that link -> work leads to too:
 *   file, dir/file, dir/sub/file, empty/, fifo, socket, unreadable (0000), closed/file (closed is 0111)
 *   links that stay: to-file, to-dir, dir/up-file (../file), chain1 -> chain2 -> file, dir/sub/far (../../dir/./file)
 *   links that leave: out (../outside/secret), out-dir (../outside), abs (/...outside/secret), abs-in (/.../work/file),
 *   round (../work/file), self (self), to-device (/dev/null), dangling (nothing), slash (file/), dot (.)
 *   l00 .. l41: each to the next, the last to file
 */
struct tree {
	char *root;
	char *work;
};

static void put(const char *root, const char *path, const char *text)
{
	mem_cleanup char *whole = str_printf("%s/%s", root, path);
	FILE *file = fopen(whole, "w");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static void make(const char *root, const char *path)
{
	mem_cleanup char *whole = str_printf("%s/%s", root, path);

	assert_int_equal(mkdir(whole, 0755), 0);
}

static void leads(const char *root, const char *path, const char *to)
{
	mem_cleanup char *whole = str_printf("%s/%s", root, path);

	assert_int_equal(symlink(to, whole), 0);
}

static void put_socket(const char *work)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s/socket", work);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	close(fd);
}

static int make_tree(void **state)
{
	struct tree *tree = mem_alloc(sizeof(*tree));
	struct npxc_error err;
	mem_cleanup char *secret = NULL;
	mem_cleanup char *inner = NULL;
	mem_cleanup char *path = NULL;

	assert_true(file_make_temporary_directory("/tmp", "test-scope-", &tree->root, &err));
	chmod(tree->root, 0755);
	tree->work = str_printf("%s/work", tree->root);
	make(tree->root, "outside");
	put(tree->root, "outside/secret", "SECRET");
	make(tree->root, "work2");
	put(tree->root, "work2/secret", "SECRET");
	make(tree->root, "work");
	leads(tree->root, "link", "work");
	put(tree->work, "file", "file");
	make(tree->work, "dir");
	put(tree->work, "dir/file", "dir/file");
	make(tree->work, "dir/sub");
	put(tree->work, "dir/sub/file", "dir/sub/file");
	make(tree->work, "empty");
	make(tree->work, "closed");
	put(tree->work, "closed/file", "closed/file");
	put(tree->work, "unreadable", "x");
	path = str_printf("%s/unreadable", tree->work);
	chmod(path, 0);
	free(path);
	path = str_printf("%s/closed", tree->work);
	chmod(path, 0111);
	free(path);
	path = str_printf("%s/fifo", tree->work);
	assert_int_equal(mkfifo(path, 0644), 0);
	put_socket(tree->work);
	leads(tree->work, "to-file", "file");
	leads(tree->work, "to-dir", "dir");
	leads(tree->work, "dir/up-file", "../file");
	leads(tree->work, "dir/sub/far", "../../dir/./file");
	leads(tree->work, "chain1", "chain2");
	leads(tree->work, "chain2", "file");
	leads(tree->work, "out", "../outside/secret");
	leads(tree->work, "out-dir", "../outside");
	leads(tree->work, "dir/out", "../../outside/secret");
	secret = str_printf("%s/outside/secret", tree->root);
	leads(tree->work, "abs", secret);
	inner = str_printf("%s/file", tree->work);
	leads(tree->work, "abs-in", inner);
	leads(tree->work, "round", "../work/file");
	leads(tree->work, "self", "self");
	leads(tree->work, "to-device", "/dev/null");
	leads(tree->work, "dangling", "nothing");
	leads(tree->work, "slash", "file/");
	leads(tree->work, "dir-slash", "dir//");
	leads(tree->work, "dot", ".");
	leads(tree->work, "up", "..");
	leads(tree->work, "through-file", "file/../dir/file");
	for (int i = 0; i <= 41; i++) {
		char name[16], to[16];

		snprintf(name, sizeof(name), "l%02d", i);
		snprintf(to, sizeof(to), "l%02d", i + 1);
		leads(tree->work, name, i == 41 ? "file" : to);
	}
	*state = tree;
	return 0;
}

static int remove_tree(void **state)
{
	struct tree *tree = *state;
	struct npxc_error err;

	if (!file_remove_tree(tree->root, &err))
		fail_msg("%s", err.message);
	free(tree->root);
	free(tree->work);
	free(tree);
	return 0;
}

struct opening {
	const char *text; /* ROOT stands for the tree's root */
	const char *outcome;
};

/* What is opened is told by its content; a directory by "(directory)"; a refusal by its kind and some of its words. */
static const struct opening openings[] = {
	{ "file", "file" },
	{ "dir/file", "dir/file" },
	{ "dir/sub/file", "dir/sub/file" },
	{ "./dir/.//sub/./file", "dir/sub/file" },
	{ "ROOT/work/dir/file", "dir/file" },
	{ "ROOT/link/dir/file", "dir/file" },
	{ "file://localhostROOT/work/dir/f%69le", "dir/file" },
	{ "dir", "(directory)" },
	{ "dir/", "(directory)" },
	{ "empty", "(directory)" },
	{ ".", "(directory)" },
	{ "dir/..", "(directory)" },
	{ "dir/../file", "file" },
	{ "dir/sub/../../file", "file" },
	{ "dir/sub/../file", "dir/file" },
	{ "to-file", "file" },
	{ "to-dir/file", "dir/file" },
	{ "to-dir", "(directory)" },
	{ "to-dir/", "(directory)" },
	{ "to-dir/sub/..", "(directory)" },
	{ "to-dir/sub/../file", "dir/file" },
	{ "to-dir/../file", "file" },
	{ "dir/up-file", "file" },
	{ "dir/sub/far", "dir/file" },
	{ "chain1", "file" },
	{ "dot", "(directory)" },
	{ "dot/dot/file", "file" },
	{ "dir-slash", "(directory)" },
	{ "dir-slash/file", "dir/file" },
	{ "l02", "file" }, /* 40 links */
	{ "closed/file", "closed/file" },

	{ "..", "path_out_of_scope: leads out" },
	{ "../work2/secret", "path_out_of_scope: leads out" },
	{ "../outside/secret", "path_out_of_scope: leads out" },
	{ "../work/file", "path_out_of_scope: leads out" },
	{ "dir/../../outside/secret", "path_out_of_scope: leads out" },
	{ "dir/sub/../../../outside/secret", "path_out_of_scope: leads out" },
	{ "ROOT/work/../outside/secret", "path_out_of_scope: leads out" },
	{ "ROOT/work/dir/../../work/file", "path_out_of_scope: leads out" },
	{ "ROOT/outside/../work/file", "path_out_of_scope: is outside" },
	{ "ROOT/outside/secret", "path_out_of_scope: is outside" },
	{ "ROOT/work2/secret", "path_out_of_scope: is outside" },
	{ "ROOT/workfile", "path_out_of_scope: is outside" },
	{ "ROOT/worl/file", "path_out_of_scope: is outside" },
	{ "/etc/passwd", "path_out_of_scope: is outside" },
	{ "/", "path_out_of_scope: is outside" },
	{ "/dev/null", "path_out_of_scope: is outside" },
	{ "/proc/self/cwd/file", "path_out_of_scope: is outside" },
	{ "file:///etc/passwd", "path_out_of_scope: is outside" },
	{ "file:///%65tc/passwd", "path_out_of_scope: is outside" },
	{ "file://ROOT/work/%2e%2e/outside/secret", "path_out_of_scope: leads out" },
	{ "file://ROOT/work/..%2foutside/secret", "path_out_of_scope: encoded slash" },
	{ "file://ROOT/work/file%00", "path_out_of_scope: encoded slash or NUL" },
	{ "file://evil.exampleROOT/work/file", "path_out_of_scope: another host" },
	{ "out", "path_out_of_scope: leads out" },
	{ "out-dir", "path_out_of_scope: leads out" },
	{ "out-dir/", "path_out_of_scope: leads out" },
	{ "out-dir/secret", "path_out_of_scope: leads out" },
	{ "out-dir/../work/file", "path_out_of_scope: leads out" },
	{ "dir/out", "path_out_of_scope: leads out" },
	{ "to-dir/out", "path_out_of_scope: leads out" },
	{ "up", "path_out_of_scope: leads out" },
	{ "up/work/file", "path_out_of_scope: leads out" },
	{ "abs", "path_out_of_scope: leads out" },
	{ "abs-in", "path_out_of_scope: leads out" },
	{ "round", "path_out_of_scope: leads out" },
	{ "to-device", "path_out_of_scope: leads out" },
	{ "self", "path_out_of_scope: too many" },
	{ "self/x", "path_out_of_scope: too many" },
	{ "l01", "path_out_of_scope: too many" }, /* 41 */
	{ "l00", "path_out_of_scope: too many" },
	{ "fifo", "path_out_of_scope: FIFO" },
	{ "dir/../fifo", "path_out_of_scope: FIFO" },
	{ "socket", "path_out_of_scope: socket" },
	{ "fifo/x", "path_not_found: no directory" },
	{ "nothing", "path_not_found: does not exist" },
	{ "nothing/../file", "path_not_found: does not exist" },
	{ "dangling", "path_not_found: does not exist" },
	{ "file/", "path_not_found: no directory" },
	{ "file/.", "path_not_found: no directory" },
	{ "file/..", "path_not_found: no directory" },
	{ "file/../file", "path_not_found: no directory" },
	{ "file/x", "path_not_found: no directory" },
	{ "to-file/", "path_not_found: no directory" },
	{ "slash", "path_not_found: no directory" },
	{ "through-file", "path_not_found: no directory" },
	{ "unreadable", "path_not_found: may not be read" },
	{ "closed", "path_not_found: may not be read" },
	{ "", "path_out_of_scope: names no file" },
};

/* WAY_BLIND: the walk, and no link is seen as one: as if each had only just taken the place of what was there. */
enum way { WAY_KERNEL, WAY_ENOSYS, WAY_EPERM, WAY_BLIND };

static void refuse_openat2(int number, bool blind)
{
#ifdef __linux__
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);

	if (filter == NULL ||
	    seccomp_rule_add(filter, SCMP_ACT_ERRNO((uint16_t)number), seccomp_syscall_resolve_name("openat2"), 0) !=
	        0 ||
	    (blind && seccomp_rule_add(filter, SCMP_ACT_ERRNO(EINVAL), SCMP_SYS(readlinkat), 0) != 0) ||
	    seccomp_load(filter) != 0)
		_exit(93);
	seccomp_release(filter);
	if (syscall(SYS_openat2, -1, "x", NULL, 0) != -1 || errno != number)
		_exit(94);
#else
	(void)number;
	(void)blind;
#endif
}

static void prepare_way(enum way way)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	/* Root may read anything. */
	if (geteuid() == 0 && (setresgid(65534, 65534, 65534) != 0 || setresuid(65534, 65534, 65534) != 0))
		_exit(92);
	if (way != WAY_KERNEL)
		refuse_openat2(way == WAY_EPERM ? EPERM : ENOSYS, way == WAY_BLIND);
}

static char *outcome_of(struct scope *scope, const struct scope_place *where, const char *text)
{
	struct npxc_error err = { 0 };
	struct scope_name name;
	struct scope_file file;
	char content[64] = "";
	ssize_t count;

	if (!scope_read(where, text, strlen(text), &name, &err))
		return str_printf("%s: %s", error_kind_word(err.kind), err.message);
	if (!scope_open(scope, &name, &file, &err)) {
		scope_name_done(&name);
		return str_printf("%s: %s", error_kind_word(err.kind), err.message);
	}
	scope_name_done(&name);
	count = read(file.fd, content, sizeof(content) - 1);
	scope_file_done(&file);
	return str_dup(count < 0 && errno == EISDIR ? "(directory)" : content);
}

/* A fork that gives what `work` writes to the descriptor; it must end with 0. */
static char *output_of(void (*work)(const struct tree *tree, enum way way, int to), const struct tree *tree,
                       enum way way)
{
	struct buf output BUF_CLEANUP = BUF_INIT(1024 * 1024);
	struct npxc_error err;
	int ends[2], status;
	pid_t pid;

	assert_true(fd_pipe(ends, &err));
	pid = fork();
	if (pid == 0) {
		prepare_way(way);
		work(tree, way, ends[1]);
		_exit(0);
	}
	close(ends[1]);
	assert_true(fd_read_all(ends[0], &output, &err));
	close(ends[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	return buf_take(&output);
}

static void start_in(const struct tree *tree, struct scope_place *ret_place, struct scope *ret_scope)
{
	struct npxc_error err;

	*ret_place =
	    (struct scope_place){ .cwd = str_printf("%s/link", tree->root), .real = tree->work, .home = "/nobody" };
	if (!scope_start(ret_place->real, ret_place->cwd, ret_scope, &err))
		_exit(95);
}

static char *with_root(const char *text, const char *root)
{
	const char *at = strstr(text, "ROOT");

	return at == NULL ? str_dup(text) : str_printf("%.*s%s%s", (int)(at - text), text, root, at + 4);
}

static void work_openings(const struct tree *tree, enum way way, int to)
{
	struct scope_place where;
	struct scope scope;
	struct npxc_error err;

	start_in(tree, &where, &scope);
	for (size_t i = 0; i < sizeof(openings) / sizeof(openings[0]); i++) {
		mem_cleanup char *text = with_root(openings[i].text, tree->root);
		mem_cleanup char *outcome = outcome_of(&scope, &where, text);

		if (!fd_write_all(to, outcome, strlen(outcome), &err) || !fd_write_all(to, "\n", 1, &err))
			_exit(96);
	}
	if (beneath_walks() != (way != WAY_KERNEL))
		_exit(97);
	scope_done(&scope);
	free((char *)where.cwd);
}

static bool fits(const char *outcome, const char *expected)
{
	const char *words = strstr(expected, ": ");

	if (words == NULL)
		return strcmp(outcome, expected) == 0;
	return strncmp(outcome, expected, (size_t)(words - expected) + 2) == 0 && strstr(outcome, words + 2) != NULL;
}

/* Both ways decide alike, down to the words. */
static void test_files_are_opened(void **state)
{
	mem_cleanup char *kernel = output_of(work_openings, *state, WAY_KERNEL);
	mem_cleanup char *missing = output_of(work_openings, *state, WAY_ENOSYS);
	mem_cleanup char *forbidden = output_of(work_openings, *state, WAY_EPERM);
	char *rest = kernel;

	assert_string_equal(missing, kernel);
	assert_string_equal(forbidden, kernel);
	for (size_t i = 0; i < sizeof(openings) / sizeof(openings[0]); i++) {
		const char *outcome = strsep(&rest, "\n");

		if (outcome == NULL || !fits(outcome, openings[i].outcome))
			fail_msg("%s: %s, not %s", openings[i].text, outcome, openings[i].outcome);
	}
}

static void work_nothing_in_scope(const struct tree *tree, enum way way, int to)
{
	struct scope_place where;
	struct scope scope, none = { .fd = -1, .cwd = str_dup("/") };
	struct npxc_error err;

	(void)way;
	start_in(tree, &where, &scope);
	mem_cleanup char *outcome = outcome_of(&none, &where, "file");
	if (!fd_write_all(to, outcome, strlen(outcome), &err))
		_exit(96);
	scope_done(&scope);
	scope_done(&none);
	free((char *)where.cwd);
}

static void test_nothing_in_scope(void **state)
{
	mem_cleanup char *outcome = output_of(work_nothing_in_scope, *state, WAY_KERNEL);

	assert_non_null(strstr(outcome, "too wide"));
}

/* ---- files that are to be made ---- */

static const struct opening parents[] = {
	{ "new", "new" },
	{ "dir/new", "dir/new" },
	{ "to-dir/new", "dir/new" },
	{ "dir/sub/../new", "dir/new" },
	{ "ROOT/work/empty/new", "empty/new" },
	{ "file", "path_out_of_scope: exists already" },
	{ "dir", "path_out_of_scope: exists already" },
	{ "fifo", "path_out_of_scope: exists already" },
	{ "dangling", "path_out_of_scope: exists already" },
	{ "out", "path_out_of_scope: exists already" },
	{ "to-device", "path_out_of_scope: exists already" },
	{ ".", "path_out_of_scope: exists already" },
	{ "dir/..", "path_out_of_scope: exists already" },
	{ "new/", "path_out_of_scope: written as a directory" },
	{ "nothing/new", "path_not_found: does not exist" },
	{ "file/new", "path_not_found: no directory" },
	{ "out-dir/new", "path_out_of_scope: leads out" },
	{ "../new", "path_out_of_scope: leads out" },
	{ "dir/../../new", "path_out_of_scope: leads out" },
	{ "ROOT/new", "path_out_of_scope: is outside" },
	{ "ROOT/work2/new", "path_out_of_scope: is outside" },
	{ "/tmp/new", "path_out_of_scope: is outside" },
};

/* The parent by what it holds: its place relative to the working directory is found by inode. */
static char *parent_outcome(struct scope *scope, const struct scope_place *where, const char *work, const char *text)
{
	static const char *const directories[] = { ".", "dir", "dir/sub", "empty" };
	struct npxc_error err = { 0 };
	struct scope_name name;
	struct scope_parent parent;
	char *outcome = NULL;

	if (!scope_read(where, text, strlen(text), &name, &err))
		return str_printf("%s: %s", error_kind_word(err.kind), err.message);
	if (!scope_open_parent(scope, &name, &parent, &err))
		outcome = str_printf("%s: %s", error_kind_word(err.kind), err.message);
	scope_name_done(&name);
	for (size_t i = 0; outcome == NULL && i < sizeof(directories) / sizeof(directories[0]); i++) {
		mem_cleanup char *path = str_printf("%s/%s", work, directories[i]);
		struct stat here, there;

		if (fstat(parent.fd, &here) != 0 || stat(path, &there) != 0)
			_exit(98);
		if (here.st_ino == there.st_ino)
			outcome = i == 0 ? str_dup(parent.leaf) : str_printf("%s/%s", directories[i], parent.leaf);
	}
	if (err.kind == ERROR_NONE)
		scope_parent_done(&parent);
	return outcome;
}

static void work_parents(const struct tree *tree, enum way way, int to)
{
	struct scope_place where;
	struct scope scope;
	struct npxc_error err;

	(void)way;
	start_in(tree, &where, &scope);
	for (size_t i = 0; i < sizeof(parents) / sizeof(parents[0]); i++) {
		mem_cleanup char *text = with_root(parents[i].text, tree->root);
		mem_cleanup char *outcome = parent_outcome(&scope, &where, tree->work, text);

		if (!fd_write_all(to, outcome, strlen(outcome), &err) || !fd_write_all(to, "\n", 1, &err))
			_exit(96);
	}
	scope_done(&scope);
	free((char *)where.cwd);
}

static void test_parents_are_opened(void **state)
{
	mem_cleanup char *kernel = output_of(work_parents, *state, WAY_KERNEL);
	mem_cleanup char *walked = output_of(work_parents, *state, WAY_ENOSYS);
	char *rest = kernel;

	assert_string_equal(walked, kernel);
	for (size_t i = 0; i < sizeof(parents) / sizeof(parents[0]); i++) {
		const char *outcome = strsep(&rest, "\n");

		if (outcome == NULL || !fits(outcome, parents[i].outcome))
			fail_msg("%s: %s, not %s", parents[i].text, outcome, parents[i].outcome);
	}
}

/* ---- races ---- */

/*
 * While paths are opened, another process exchanges a directory with a link to the outside, and a file with such a
 * link. Whatever comes out, it is never the secret. Both outcomes must have been seen, else nothing was raced.
 */
enum { RACES = 4000 };

static void work_races(const struct tree *tree, enum way way, int to)
{
	static const char *const texts[] = { "swap/file", "swap/sub/../file", "swap-file" };
	struct scope_place where;
	struct scope scope;
	struct npxc_error err;
	unsigned inside = 0, refused = 0, secrets = 0;

	(void)way;
	start_in(tree, &where, &scope);
	/* More rounds where the two processes share one processor; never without end. */
	for (unsigned i = 0; i < RACES || ((inside == 0 || refused == 0) && i < 50 * RACES); i++) {
		mem_cleanup char *outcome = outcome_of(&scope, &where, texts[i % 3]);

		if (strcmp(outcome, "inside") == 0)
			inside++;
		else if (strstr(outcome, "SECRET") != NULL)
			secrets++;
		else
			refused++;
	}
	mem_cleanup char *report =
	    str_printf("secrets %u%s%s", secrets, inside > 0 ? " inside" : "", refused > 0 ? " refused" : "");
	if (!fd_write_all(to, report, strlen(report), &err))
		_exit(96);
	scope_done(&scope);
	free((char *)where.cwd);
}

/* The very moment that a race would have to hit, each time: between the look whether it is a link and the opening. */
static void work_blind(const struct tree *tree, enum way way, int to)
{
	static const char *const links[] = { "out", "out-dir", "out-dir/secret", "dir/out",  "up/outside/secret",
		                             "abs", "to-file", "to-dir/file",    "to-device" };
	struct scope_place where;
	struct scope scope;
	struct npxc_error err;

	(void)way;
	start_in(tree, &where, &scope);
	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++) {
		mem_cleanup char *outcome = outcome_of(&scope, &where, links[i]);

		if (strncmp(outcome, "path_", strlen("path_")) != 0 &&
		    (!fd_write_all(to, links[i], strlen(links[i]), &err) || !fd_write_all(to, " ", 1, &err)))
			_exit(96);
	}
	scope_done(&scope);
	free((char *)where.cwd);
}

static void test_a_link_that_was_none(void **state)
{
	mem_cleanup char *opened = output_of(work_blind, *state, WAY_BLIND);

	assert_string_equal(opened, "");
}

static void swap_for_ever(const char *work)
{
	const int fd = open(work, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	for (;;) {
		if (renameat2(fd, "swap", fd, "swap-out", RENAME_EXCHANGE) != 0 ||
		    renameat2(fd, "swap-file", fd, "swap-file-out", RENAME_EXCHANGE) != 0)
			_exit(1);
	}
}

static void test_swapped_while_opening(void **state)
{
	const struct tree *tree = *state;
	pid_t swapper;

	make(tree->root, "outside/sub");
	put(tree->root, "outside/file", "SECRET");
	make(tree->work, "swap");
	make(tree->work, "swap/sub");
	put(tree->work, "swap/file", "inside");
	leads(tree->work, "swap-out", "../outside");
	put(tree->work, "swap-file", "inside");
	leads(tree->work, "swap-file-out", "../outside/secret");
	swapper = fork();
	if (swapper == 0)
		swap_for_ever(tree->work);
	for (enum way way = WAY_KERNEL; way <= WAY_ENOSYS; way++) {
		mem_cleanup char *report = output_of(work_races, tree, way);

		assert_string_equal(report, "secrets 0 inside refused");
	}
	assert_int_equal(waitpid(swapper, NULL, WNOHANG), 0);
	kill(swapper, SIGKILL);
	waitpid(swapper, NULL, 0);
}

/* The working directory itself stays the one it was. */
static void test_the_directory_is_held(void **state)
{
	const struct tree *tree = *state;
	struct scope_place where;
	struct scope scope;
	mem_cleanup char *moved = str_printf("%s/moved", tree->root);

	start_in(tree, &where, &scope);
	assert_int_equal(rename(tree->work, moved), 0);
	assert_int_equal(symlink("outside", tree->work), 0);
	mem_cleanup char *first = outcome_of(&scope, &where, "file");
	mem_cleanup char *second = outcome_of(&scope, &where, "secret");
	assert_int_equal(unlink(tree->work), 0);
	assert_int_equal(rename(moved, tree->work), 0);
	assert_string_equal(first, "file");
	assert_non_null(strstr(second, "does not exist"));
	scope_done(&scope);
	free((char *)where.cwd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_strings_are_read),      cmocka_unit_test(test_without_home),
		cmocka_unit_test(test_last_component),        cmocka_unit_test(test_files_are_opened),
		cmocka_unit_test(test_nothing_in_scope),      cmocka_unit_test(test_parents_are_opened),
		cmocka_unit_test(test_a_link_that_was_none),  cmocka_unit_test(test_swapped_while_opening),
		cmocka_unit_test(test_the_directory_is_held),
	};

	return cmocka_run_group_tests_name("scope", tests, make_tree, remove_tree);
}
