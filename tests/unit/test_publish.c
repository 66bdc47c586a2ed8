#include "unit.h"

#include "base/beneath.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "files/output.h"
#include "files/publish.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct rig {
	char *root, *cwd, *files, *stage, *outside;
	struct scope_place place;
	struct find_root find;
	struct strv mount_points;
	struct publish_settings settings;
	struct publish *publish;
	int asked;
};

static char *in(const char *directory, const char *name)
{
	return name[0] == '\0' ? str_dup(directory) : str_printf("%s/%s", directory, name);
}

static void make(const char *directory, const char *name)
{
	mem_cleanup char *path = in(directory, name);
	struct npxc_error err;

	if (!file_make_directories(path, 0755, &err))
		fail_msg("%s", err.message);
}

static void put(const char *directory, const char *name, const char *text)
{
	mem_cleanup char *path = in(directory, name);
	mem_cleanup char *parent = str_path_join(path, "..");
	struct npxc_error err;

	if (!file_make_directories(parent, 0755, &err) || !file_write_atomic(path, text, strlen(text), 0644, &err))
		fail_msg("%s", err.message);
}

static void lead(const char *directory, const char *name, const char *target)
{
	mem_cleanup char *path = in(directory, name);

	unlink(path);
	assert_return_code(symlink(target, path), errno);
}

static void start(struct rig *rig, bool writable, const char *mount_point)
{
	struct npxc_error err = { 0 };

	*rig = (struct rig){ 0 };
	assert_true(file_make_temporary_directory("/tmp", "npxc-publish-", &rig->root, &err));
	rig->cwd = in(rig->root, "work");
	rig->files = in(rig->root, "files");
	rig->stage = in(rig->root, "stage");
	rig->outside = in(rig->root, "outside");
	make(rig->root, "work");
	make(rig->root, "files");
	make(rig->root, "stage");
	put(rig->outside, "secret", "SECRET");
	rig->place = (struct scope_place){ .spellings = { rig->cwd } };
	rig->find = (struct find_root){ .fd = open(rig->cwd, BENEATH_WALK_FLAGS), .place = &rig->place };
	if (mount_point != NULL) {
		strv_push(&rig->mount_points, mount_point);
		make(rig->files, mount_point);
	}
	rig->settings = (struct publish_settings){ .files = rig->files,
		                                   .stage = rig->stage,
		                                   .root = &rig->find,
		                                   .mount_points = &rig->mount_points,
		                                   .writable = writable,
		                                   .max_file_bytes = 1000,
		                                   .max_total_bytes = 5000,
		                                   .max_tree_entries = 20,
		                                   .max_entries = 40 };
	if (!publish_start(&rig->settings, &rig->publish, &err))
		fail_msg("%s", err.message);
}

static void stop(struct rig *rig)
{
	struct npxc_error err;

	publish_free(rig->publish);
	close(rig->find.fd);
	if (!file_remove_tree(rig->root, &err))
		fail_msg("%s", err.message);
	strv_done(&rig->mount_points);
	free(rig->root);
	free(rig->cwd);
	free(rig->files);
	free(rig->stage);
	free(rig->outside);
}

static bool show(struct rig *rig, const char *path, struct npxc_error *err)
{
	struct find found;

	find_path(&rig->find, path, &found);
	const bool fine = publish_put(rig->publish, &found, err);
	find_done(&found);
	return fine;
}

static void shown(struct rig *rig, const char *path)
{
	struct npxc_error err = { 0 };

	if (!show(rig, path, &err))
		fail_msg("%s: %s", path, err.message);
}

/* What a server reads there; owned, "-" for nothing. Links are followed as in the guest: from the same path. */
static char *seen(struct rig *rig, const char *path)
{
	mem_cleanup char *full = in(rig->files, path);
	struct buf text = BUF_INIT(MIB);
	struct npxc_error err;

	if (!file_read(full, &text, &err)) {
		buf_done(&text);
		return str_dup("-");
	}
	return buf_take(&text);
}

static void expect(struct rig *rig, const char *path, const char *text)
{
	mem_cleanup char *got = seen(rig, path);

	if (strcmp(got, text) != 0)
		fail_msg("%s holds \"%s\", not \"%s\"", path, got, text);
}

static void expect_link(struct rig *rig, const char *path, const char *target)
{
	mem_cleanup char *full = in(rig->files, path);
	char got[256];
	const ssize_t length = readlink(full, got, sizeof(got) - 1);

	if (length < 0)
		fail_msg("%s is no link", path);
	got[length] = '\0';
	assert_string_equal(got, target);
}

static bool is_empty(const char *directory)
{
	return rmdir(directory) == 0 && mkdir(directory, 0755) == 0;
}

/* ---- finding ---- */

static void ways_are_found(void **state)
{
	static const struct {
		const char *path;
		enum find_kind kind;
		const char *leads_to;
		size_t links;
	} cases[] = {
		{ "a.txt", FIND_FILE, "a.txt", 0 },
		{ "sub", FIND_DIRECTORY, "sub", 0 },
		{ "", FIND_DIRECTORY, "", 0 },
		{ "nothing", FIND_MISSING, "nothing", 0 },
		{ "nothing/x", FIND_MISSING, "nothing", 0 },
		{ "a.txt/x", FIND_MISSING, "a.txt", 0 },
		{ "l", FIND_FILE, "a.txt", 1 },
		{ "sub/up", FIND_FILE, "a.txt", 1 },
		{ "d/b", FIND_FILE, "sub/b", 1 },
		{ "abs", FIND_FILE, "a.txt", 1 },
		{ "two", FIND_FILE, "a.txt", 2 },
		{ "dd/b", FIND_FILE, "sub/b", 2 },
		{ "through", FIND_FILE, "a.txt", 2 },
		{ "self", FIND_DIRECTORY, "", 1 },
		{ "dangling", FIND_MISSING, "gone", 1 },
		{ "out", FIND_OUTSIDE, NULL, 0 },
		{ "outd/secret", FIND_OUTSIDE, NULL, 0 },
		{ "sub/far", FIND_OUTSIDE, NULL, 1 },
		{ "tricky", FIND_OUTSIDE, NULL, 0 },
		{ "round", FIND_OUTSIDE, NULL, 40 },
		{ "fifo", FIND_OTHER, "fifo", 0 },
	};
	struct rig rig;

	(void)state;
	start(&rig, false, NULL);
	mem_cleanup char *fifo = in(rig.cwd, "fifo");
	mem_cleanup char *absolute = in(rig.cwd, "a.txt");
	mem_cleanup char *secret = in(rig.outside, "secret");
	mem_cleanup char *tricky = str_printf("%s/sub/../../outside/secret", rig.cwd);
	put(rig.cwd, "a.txt", "a");
	put(rig.cwd, "sub/b", "b");
	lead(rig.cwd, "l", "a.txt");
	lead(rig.cwd, "sub/up", "../a.txt");
	lead(rig.cwd, "d", "sub");
	lead(rig.cwd, "dd", "d/");
	lead(rig.cwd, "abs", absolute);
	lead(rig.cwd, "two", "./l");
	lead(rig.cwd, "through", "d/../a.txt");
	lead(rig.cwd, "self", ".");
	lead(rig.cwd, "dangling", "gone");
	lead(rig.cwd, "out", secret);
	lead(rig.cwd, "outd", "../outside");
	lead(rig.cwd, "sub/far", "../../outside/secret");
	lead(rig.cwd, "tricky", tricky);
	lead(rig.cwd, "round", "round");
	assert_return_code(mkfifo(fifo, 0644), errno);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct find found;

		find_path(&rig.find, cases[i].path, &found);
		if (found.kind != cases[i].kind ||
		    (cases[i].leads_to != NULL && strcmp(found.path, cases[i].leads_to) != 0) ||
		    (cases[i].leads_to != NULL && found.link_count != cases[i].links))
			fail_msg("%s: kind %d, %s, %zu links", cases[i].path, found.kind, found.path, found.link_count);
		find_done(&found);
	}
	stop(&rig);
}

/* ---- publications ---- */

static void a_file_appears_at_its_own_path(void **state)
{
	struct rig rig;
	struct stat host, copy;

	(void)state;
	start(&rig, false, NULL);
	mem_cleanup char *on_host = in(rig.cwd, "x/y/a.txt");
	mem_cleanup char *inside = in(rig.files, "x/y/a.txt");
	put(rig.cwd, "x/y/a.txt", "one");
	put(rig.cwd, "x/y/other", "OTHER");
	assert_return_code(chmod(on_host, 0400), errno);
	shown(&rig, "x/y/a.txt");
	expect(&rig, "x/y/a.txt", "one");
	expect(&rig, "x/y/other", "-");
	assert_return_code(stat(on_host, &host), errno);
	assert_return_code(stat(inside, &copy), errno);
	assert_true(host.st_ino != copy.st_ino && host.st_nlink == 1);
	assert_int_equal(copy.st_mode & 0777, 0444);
	assert_true(is_empty(rig.stage));
	assert_true(publish_knows(rig.publish, "x/y/a.txt") && !publish_knows(rig.publish, "x/y/other"));
	shown(&rig, "x/y/a.txt");
	stop(&rig);
}

static void what_changed_is_copied_again_and_what_is_gone_goes(void **state)
{
	struct rig rig;

	(void)state;
	start(&rig, false, NULL);
	mem_cleanup char *path = in(rig.cwd, "d/a");
	put(rig.cwd, "d/a", "one");
	shown(&rig, "d/a");
	put(rig.cwd, "d/a", "two"); /* the same size, and perhaps the same time */
	shown(&rig, "d/a");
	expect(&rig, "d/a", "two");
	FILE *file = fopen(path, "r+");
	assert_true(fputs("thr", file) >= 0 && fclose(file) == 0);
	shown(&rig, "d/a");
	expect(&rig, "d/a", "thr");
	/* without being named, as somebody else's request finds it */
	put(rig.cwd, "d/a", "four");
	publish_refresh(rig.publish);
	expect(&rig, "d/a", "four");
	unlink(path);
	publish_refresh(rig.publish);
	expect(&rig, "d/a", "-");
	put(rig.cwd, "d/a", "five");
	shown(&rig, "d/a");
	expect(&rig, "d/a", "five");
	/* gone with its directory */
	mem_cleanup char *directory = in(rig.cwd, "d");
	unlink(path);
	rmdir(directory);
	shown(&rig, "d/a");
	expect(&rig, "d/a", "-");
	assert_true(is_empty(rig.files) && is_empty(rig.stage));
	stop(&rig);
}

/* Asked twice of a small copy: before it, and when all of it has been read. */
static bool change_when_copied(void *context)
{
	struct rig *rig = context;

	if (++rig->asked == 2)
		put(rig->cwd, "a", "new");
	return false;
}

static void what_changes_while_it_is_copied_is_copied_again(void **state)
{
	struct rig rig;
	struct npxc_error err;

	(void)state;
	start(&rig, false, NULL);
	publish_free(rig.publish);
	rig.settings.stop = change_when_copied;
	rig.settings.context = &rig;
	assert_true(publish_start(&rig.settings, &rig.publish, &err));
	put(rig.cwd, "a", "old");
	shown(&rig, "a");
	publish_refresh(rig.publish); /* as with a line that names nothing */
	expect(&rig, "a", "new");
	stop(&rig);
}

static void types_follow_the_host(void **state)
{
	struct rig rig;

	(void)state;
	start(&rig, false, NULL);
	mem_cleanup char *path = in(rig.cwd, "a");
	mem_cleanup char *beneath = in(rig.cwd, "a/b");
	put(rig.cwd, "a", "file");
	shown(&rig, "a");
	unlink(path);
	put(rig.cwd, "a/b", "b");
	shown(&rig, "a/b"); /* a file that became a directory */
	expect(&rig, "a/b", "b");
	unlink(beneath);
	rmdir(path);
	put(rig.cwd, "a", "file again");
	shown(&rig, "a");
	expect(&rig, "a", "file again");
	unlink(path);
	put(rig.cwd, "c", "c");
	lead(rig.cwd, "a", "c");
	shown(&rig, "a");
	expect_link(&rig, "a", "c");
	expect(&rig, "a", "c");
	unlink(path);
	put(rig.cwd, "a/b", "b");
	shown(&rig, "a"); /* a link that became a tree */
	expect(&rig, "a/b", "b");
	assert_true(is_empty(rig.stage));
	stop(&rig);
}

static void links_are_links(void **state)
{
	struct rig rig;

	(void)state;
	start(&rig, false, NULL);
	mem_cleanup char *secret = in(rig.outside, "secret");
	put(rig.cwd, "config/real.json", "{}");
	lead(rig.cwd, "c.json", "config/real.json");
	lead(rig.cwd, "out", secret);
	lead(rig.cwd, "outd", "../outside");
	shown(&rig, "c.json");
	expect_link(&rig, "c.json", "config/real.json");
	expect(&rig, "c.json", "{}");
	shown(&rig, "out");
	expect(&rig, "out", "-");
	shown(&rig, "outd/secret");
	expect(&rig, "outd/secret", "-");
	/* led elsewhere meanwhile */
	put(rig.cwd, "config/other.json", "other");
	lead(rig.cwd, "c.json", "config/other.json");
	publish_refresh(rig.publish);
	expect(&rig, "c.json", "other");
	lead(rig.cwd, "c.json", secret);
	publish_refresh(rig.publish);
	expect(&rig, "c.json", "-");
	/* to secrets, that nobody has named; and to one that was */
	put(rig.cwd, ".ssh/known", "SECRET");
	put(rig.cwd, "d/known", "d");
	shown(&rig, "d/known");
	mem_cleanup char *file = in(rig.cwd, "d/known");
	mem_cleanup char *directory = in(rig.cwd, "d");
	unlink(file);
	rmdir(directory);
	lead(rig.cwd, "d", ".ssh");
	publish_refresh(rig.publish);
	expect(&rig, ".ssh/known", "-");
	put(rig.cwd, ".env", "A=1");
	lead(rig.cwd, "e", ".env");
	shown(&rig, "e");
	put(rig.cwd, ".env", "A=2");
	lead(rig.cwd, "e", "./.env");
	publish_refresh(rig.publish);
	expect(&rig, "e", "A=2");
	stop(&rig);
}

static void trees_are_copied_but_for_what_is_dangerous(void **state)
{
	struct rig rig;
	struct npxc_error err = { 0 };

	(void)state;
	start(&rig, false, NULL);
	mem_cleanup char *secret = in(rig.outside, "secret");
	mem_cleanup char *fifo = in(rig.cwd, "t/fifo");
	put(rig.cwd, "t/a", "a");
	put(rig.cwd, "t/d/b", "b");
	put(rig.cwd, "t/.env", "SECRET");
	put(rig.cwd, "t/.git/config", "SECRET");
	lead(rig.cwd, "t/in", "d/b");
	lead(rig.cwd, "t/out", secret);
	lead(rig.cwd, "t/d/out", "../../../outside");
	put(rig.cwd, "node_modules/p/index.js", "p");
	put(rig.cwd, "node_modules/.bin/tool", "RUN");
	shown(&rig, "node_modules"); /* one of two names that mean something together */
	expect(&rig, "node_modules/p/index.js", "p");
	expect(&rig, "node_modules/.bin/tool", "-");
	assert_return_code(mkfifo(fifo, 0644), errno);
	shown(&rig, "t");
	expect(&rig, "t/a", "a");
	expect(&rig, "t/d/b", "b");
	expect_link(&rig, "t/in", "d/b");
	static const char *const left_out[] = { "t/.env", "t/.git/config", "t/out", "t/d/out/secret", "t/fifo" };
	for (size_t i = 0; i < sizeof(left_out) / sizeof(left_out[0]); i++) {
		mem_cleanup char *path = in(rig.files, left_out[i]);

		if (access(path, F_OK) == 0)
			fail_msg("%s is there", left_out[i]);
	}
	put(rig.cwd, "t/d/b", "b2");
	put(rig.cwd, "t/new", "new");
	publish_refresh(rig.publish);
	expect(&rig, "t/d/b", "b2");
	expect(&rig, "t/new", "new");
	/* one of it by its own name, and then all again */
	put(rig.cwd, "t/d/b", "b3");
	shown(&rig, "t/d/b");
	expect(&rig, "t/d/b", "b3");
	shown(&rig, "t");
	expect(&rig, "t/d/b", "b3");
	/* ceilings */
	for (int i = 0; i < 30; i++) {
		mem_cleanup char *name = str_printf("many/%d", i);

		put(rig.cwd, name, "x");
	}
	assert_false(show(&rig, "many", &err));
	assert_int_equal(err.kind, ERROR_IO);
	assert_non_null(strstr(err.message, "more than 20 files"));
	expect(&rig, "many/1", "-");
	assert_true(is_empty(rig.stage));
	stop(&rig);
}

static void ceilings_are_kept(void **state)
{
	struct rig rig;
	struct npxc_error err = { 0 };
	char text[1002];

	(void)state;
	start(&rig, false, NULL);
	memset(text, 'x', sizeof(text) - 1);
	text[1001] = '\0';
	put(rig.cwd, "large", text);
	assert_false(show(&rig, "large", &err));
	assert_int_equal(err.kind, ERROR_IO);
	text[1000] = '\0';
	for (int i = 0; i < 5; i++) {
		mem_cleanup char *name = str_printf("f%d", i);

		put(rig.cwd, name, text);
		shown(&rig, name);
	}
	put(rig.cwd, "f5", "x");
	assert_false(show(&rig, "f5", &err));
	assert_non_null(strstr(err.message, "no room"));
	put(rig.cwd, "f0", "small"); /* what is replaced makes room */
	shown(&rig, "f0");
	shown(&rig, "f5");
	expect(&rig, "f5", "x");
	stop(&rig);
}

static void sparse_files_stay_sparse(void **state)
{
	struct rig rig;
	struct stat copy;

	(void)state;
	start(&rig, false, NULL);
	rig.settings.max_file_bytes = 64 * MIB;
	mem_cleanup char *path = in(rig.cwd, "sparse");
	mem_cleanup char *inside = in(rig.files, "sparse");
	FD_CLEANUP int fd = open(path, O_WRONLY | O_CREAT, 0644);
	struct publish_settings wide = rig.settings;
	struct npxc_error err;

	wide.max_total_bytes = 128 * MIB;
	publish_free(rig.publish);
	assert_true(publish_start(&wide, &rig.publish, &err));
	assert_true(ftruncate(fd, 32 * (off_t)MIB) == 0 && pwrite(fd, "end", 3, 32 * (off_t)MIB - 3) == 3);
	shown(&rig, "sparse");
	assert_return_code(stat(inside, &copy), errno);
	assert_true(copy.st_size == 32 * (off_t)MIB);
	assert_true(copy.st_blocks < 4096);
	stop(&rig);
}

static void a_mount_point_is_never_touched(void **state)
{
	struct rig rig;
	struct stat before, after;

	(void)state;
	start(&rig, false, "m/point");
	mem_cleanup char *point = in(rig.files, "m/point");
	mem_cleanup char *on_host = in(rig.cwd, "m/point/x");
	assert_return_code(stat(point, &before), errno);
	put(rig.cwd, "m/point/x", "x");
	put(rig.cwd, "m/other", "other");
	put(rig.cwd, ".env", "SECRET");
	lead(rig.cwd, "m/in", "other");
	lead(rig.cwd, "m/env", "../.env");
	lead(rig.cwd, "m/out", "../../outside/secret");
	shown(&rig, "m/point/x");
	shown(&rig, "m/point");
	shown(&rig, "m");
	shown(&rig, "");
	expect(&rig, "m/other", "other");
	expect(&rig, "m/point/x", "-");
	/* what lies above a mount point is shown name by name, and links are followed no more than in a tree */
	expect(&rig, "m/in", "other");
	expect_link(&rig, "m/in", "other");
	expect_link(&rig, "m/env", "../.env");
	expect(&rig, "m/env", "-");
	expect(&rig, "m/out", "-");
	unlink(on_host);
	mem_cleanup char *directory = in(rig.cwd, "m/point");
	mem_cleanup char *other = in(rig.cwd, "m/other");
	mem_cleanup char *above = in(rig.cwd, "m");
	rmdir(directory);
	shown(&rig, "m/point");
	unlink(other);
	static const char *const links[] = { "m/in", "m/env", "m/out" };
	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++) {
		mem_cleanup char *link = in(rig.cwd, links[i]);

		unlink(link);
	}
	rmdir(above);
	put(rig.cwd, "m", "a file by now");
	shown(&rig, "m");
	publish_refresh(rig.publish);
	assert_return_code(stat(point, &after), errno);
	assert_true(before.st_ino == after.st_ino);
	stop(&rig);
}

/* ---- somebody changes names meanwhile ---- */

/* The warnings of thousands of rounds are nobody's. */
static void be_quiet(bool quiet)
{
	struct npxc_error err;

	assert_true(log_configure(quiet ? "off" : "warn", &err));
}

/* As an editor does it, but for the wait for the disk. */
static void save(const char *directory, const char *name, const char *text)
{
	mem_cleanup char *path = in(directory, name);
	mem_cleanup char *temporary = in(directory, "saved");
	FD_CLEANUP int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	assert_true(fd != -1 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	(void)rename(temporary, path);
}

/* A child that exchanges names until it is stopped: pairs of paths, the end a NULL. */
enum { SWAPPING_MS = 4000 };

static pid_t start_swapping(char *const pairs[][2])
{
	const pid_t swapper = fork();

	be_quiet(true);
	assert_true(swapper >= 0);
	while (swapper == 0)
		for (size_t i = 0; pairs[i][0] != NULL; i++)
			(void)renameat2(AT_FDCWD, pairs[i][0], AT_FDCWD, pairs[i][1], RENAME_EXCHANGE);
	return swapper;
}

static void stop_swapping(pid_t swapper)
{
	be_quiet(false);
	kill(swapper, SIGKILL);
	waitpid(swapper, NULL, 0);
}

/* Renames at full speed slow every walk of the machine, some kernels by a hundred times: so many rounds at the most,
 * and when something was shown no more of them after so long. */
static bool goes_on(int round, int most, int64_t began_ms, bool enough)
{
	return round < most && (!enough || clock_now_ms() - began_ms < SWAPPING_MS);
}

static size_t found_secrets, found_entries;

static int look_for_secret(const char *path, const struct stat *info, int type, struct FTW *ftw)
{
	char text[256] = "";
	ssize_t length = 0;
	int fd;

	(void)info;
	(void)ftw;
	found_entries++;
	if (type == FTW_SL)
		length = readlink(path, text, sizeof(text) - 1);
	else if (type == FTW_F && (fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)) != -1) {
		length = read(fd, text, sizeof(text) - 1);
		close(fd);
	}
	text[length < 0 ? 0 : length] = '\0';
	found_secrets += strstr(text, "SECRET") != NULL || strstr(text, "outside") != NULL;
	return 0;
}

/* What is in it itself, links as their text. */
static bool has_secret(const char *directory)
{
	found_secrets = found_entries = 0;
	(void)nftw(directory, look_for_secret, 16, FTW_PHYS);
	return found_secrets > 0;
}

/* Beside `secret`: what has the names of things inside. */
static void fill_outside(struct rig *rig)
{
	static const char *const names[] = { "a", "x", "d/f", "e/y", "made" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		put(rig->outside, names[i], "SECRET");
}

/* Nothing was made there, changed or removed. */
static bool is_outside_whole(struct rig *rig)
{
	return has_secret(rig->outside) && found_secrets == 6 && found_entries == 9;
}

/* The host's names: files, directories and links to secrets change places while they are copied, one by one and as a
 * tree. */
static void what_is_swapped_meanwhile_leads_nowhere(void **state)
{
	static const char *const named[] = { "s/a", "s", "s/d/f", "t/a", "t", "" };
	struct rig rig;
	int readable = 0;

	(void)state;
	start(&rig, false, NULL);
	fill_outside(&rig);
	mem_cleanup char *secret = in(rig.outside, "secret");
	mem_cleanup char *a = in(rig.cwd, "s/a"), *b = in(rig.cwd, "s/b"), *d = in(rig.cwd, "s/d"),
	                 *l = in(rig.cwd, "s/l");
	mem_cleanup char *t = in(rig.cwd, "t"), *u = in(rig.cwd, "u");
	put(rig.cwd, "s/a", "fine");
	put(rig.cwd, "s/d/f", "fine");
	lead(rig.cwd, "s/b", secret);
	lead(rig.cwd, "s/l", "../../outside/d");
	put(rig.cwd, "t/a", "fine");
	lead(rig.cwd, "u", rig.outside);
	/* a file and a link, a directory and a link, a file and a directory, a tree and a link */
	char *const pairs[][2] = { { a, b }, { d, l }, { a, d }, { t, u }, { NULL, NULL } };
	const pid_t swapper = start_swapping(pairs);
	const int64_t began = clock_now_ms();
	for (int i = 0; goes_on(i, 600, began, readable > 0); i++) {
		struct npxc_error err;
		bool fine = show(&rig, named[i % 6], &err);
		mem_cleanup char *one = seen(&rig, named[i % 6]);

		readable += fine && strcmp(one, "fine") == 0;
		if (i % 7 == 0)
			publish_refresh(rig.publish);
		if (has_secret(rig.files)) {
			stop_swapping(swapper);
			fail_msg("round %d: %zu secrets of %zu", i, found_secrets, found_entries);
		}
	}
	stop_swapping(swapper);
	assert_true(readable > 0);
	assert_true(is_outside_whole(&rig));
	stop(&rig);
}

/* The guest's names: it may write, and puts links out of it where npxc puts, renews and removes copies. */
static void a_guest_that_swaps_what_it_was_shown_writes_nowhere_else(void **state)
{
	static const char *const named[] = { "a", "d/f", "d", "e/y", "x" };
	struct rig rig;
	int shown_times = 0;

	(void)state;
	start(&rig, true, NULL);
	fill_outside(&rig);
	mem_cleanup char *a = in(rig.files, "a"), *d = in(rig.files, "d"), *e = in(rig.files, "e"),
	                 *x = in(rig.files, "x");
	mem_cleanup char *l = in(rig.files, "l"), *m = in(rig.files, "m");
	put(rig.cwd, "d/f", "f");
	put(rig.cwd, "e/y", "y");
	mem_cleanup char *host_a = in(rig.cwd, "a"), *host_f = in(rig.cwd, "d/f");
	put(rig.files, "d/own", "own");
	put(rig.files, "e/own", "own");
	lead(rig.files, "a", "../outside/a");
	lead(rig.files, "x", "../outside/x");
	lead(rig.files, "l", rig.outside);
	lead(rig.files, "m", "../outside/d");
	char *const pairs[][2] = { { d, m }, { e, l }, { a, d }, { x, e }, { a, m }, { NULL, NULL } };
	const pid_t swapper = start_swapping(pairs);
	const int64_t began = clock_now_ms();
	for (int i = 0; goes_on(i, 400, began, shown_times > 0) && is_outside_whole(&rig); i++) {
		struct npxc_error err;

		save(rig.cwd, "x", i % 2 == 0 ? "one" : "another");
		save(rig.cwd, "e/y", i % 3 == 0 ? "one" : "another");
		if (i % 5 != 0)
			save(rig.cwd, "a", "a"), save(rig.cwd, "d/f", "f");
		else
			unlink(host_a), unlink(host_f);
		shown_times += show(&rig, named[i % 5], &err);
		publish_refresh(rig.publish);
	}
	stop_swapping(swapper);
	assert_true(is_outside_whole(&rig));
	assert_true(shown_times > 0);
	assert_false(has_secret(rig.cwd));
	stop(&rig);
}

/* The same at the worst moment: between the look and the opening, and while bytes are copied (each copy asks `stop`).
 */
struct exchange {
	char *one, *other; /* owned */
	int due;           /* it is done at the call of this number, counted down */
	int times;
};

static bool exchange_now(void *context)
{
	struct exchange *exchange = context;

	if (--exchange->due == 0)
		exchange->times += renameat2(AT_FDCWD, exchange->one, AT_FDCWD, exchange->other, RENAME_EXCHANGE) == 0;
	return false;
}

static void restart_with(struct rig *rig, struct exchange *exchange, const char *directory, const char *one,
                         const char *other)
{
	struct npxc_error err;

	*exchange = (struct exchange){ .one = in(directory, one), .other = in(directory, other) };
	rig->settings.stop = exchange_now;
	rig->settings.context = exchange;
	publish_free(rig->publish);
	assert_true(publish_start(&rig->settings, &rig->publish, &err));
}

static void exchange_done(struct exchange *exchange)
{
	free(exchange->one);
	free(exchange->other);
}

static void what_is_swapped_after_the_look_is_not_followed(void **state)
{
	static const struct {
		const char *path, *one, *other; /* named; what changes places */
	} cases[] = { { "s/a", "s/a", "s/b" }, { "s/a", "s", "u" }, { "s", "s", "u" }, { "s/d", "s/d", "s/l" } };
	struct rig rig;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct npxc_error err;
		struct find found;

		start(&rig, false, NULL);
		fill_outside(&rig);
		mem_cleanup char *secret = in(rig.outside, "secret");
		mem_cleanup char *one = in(rig.cwd, cases[i].one), *other = in(rig.cwd, cases[i].other);
		put(rig.cwd, "s/a", "fine");
		put(rig.cwd, "s/d/f", "fine");
		lead(rig.cwd, "s/b", secret);
		lead(rig.cwd, "s/l", "../../outside/d");
		lead(rig.cwd, "u", rig.outside);
		find_path(&rig.find, cases[i].path, &found);
		assert_true(found.kind == FIND_FILE || found.kind == FIND_DIRECTORY);
		assert_return_code(renameat2(AT_FDCWD, one, AT_FDCWD, other, RENAME_EXCHANGE), errno);
		const bool fine = publish_put(rig.publish, &found, &err);
		find_done(&found);
		if (!fine || has_secret(rig.files)) /* what was swapped is left: the server says what it finds */
			fail_msg("%s: %s for %s: %zu of %zu", cases[i].path, cases[i].other, cases[i].one,
			         found_secrets, found_entries);
		stop(&rig);
	}
}

static void a_tree_that_changes_while_it_is_copied_is_not_left(void **state)
{
	struct rig rig;
	struct exchange exchange;

	(void)state;
	start(&rig, false, NULL);
	fill_outside(&rig);
	for (int i = 0; i < 6; i++) { /* whichever is read first */
		mem_cleanup char *name = str_printf("t/%d", i);
		put(rig.cwd, name, "fine");
	}
	put(rig.cwd, "t/d/f", "fine");
	lead(rig.cwd, "t/l", "../../outside/d");
	restart_with(&rig, &exchange, rig.cwd, "t/d", "t/l");
	for (int i = 0; i < 8; i++) {
		struct npxc_error err;

		exchange.due = i + 1;
		(void)show(&rig, "t", &err);
		assert_false(has_secret(rig.files));
	}
	assert_true(exchange.times >= 4);
	exchange_done(&exchange);
	stop(&rig);
}

static void a_guest_that_swaps_while_a_copy_is_made_gets_none_elsewhere(void **state)
{
	static const struct {
		const char *path, *one, *other; /* in the guest's directory */
	} cases[] = {
		{ "d/f", "d", "m" }, { "d/new", "d", "m" }, { "e/g/y", "e", "l" }, { "d", "d", "m" }, { "a", "a", "k" }
	};
	struct rig rig;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct exchange exchange;
		struct npxc_error err;

		start(&rig, true, NULL);
		fill_outside(&rig);
		put(rig.cwd, "a", "a");
		put(rig.cwd, "d/f", "f");
		put(rig.cwd, "d/new", "new");
		put(rig.cwd, "e/g/y", "y");
		put(rig.files, "a", "own");
		put(rig.files, "d/own", "own");
		put(rig.files, "e/own", "own");
		lead(rig.files, "k", "../outside/a");
		lead(rig.files, "m", "../outside/d");
		lead(rig.files, "l", rig.outside);
		restart_with(&rig, &exchange, rig.files, cases[i].one, cases[i].other);
		for (int k = 0; k < 6; k++) {
			exchange.due = k / 2 + 1;
			(void)show(&rig, cases[i].path, &err);
			exchange.due = k / 2 + 1;
			save(rig.cwd, "e/g/y", k % 2 == 0 ? "1" : "2");
			save(rig.cwd, "d/f", k % 2 == 0 ? "1" : "2");
			publish_refresh(rig.publish);
		}
		if (exchange.times == 0 || !is_outside_whole(&rig))
			fail_msg("%s: %d exchanges; outside %zu of %zu", cases[i].path, exchange.times, found_secrets,
			         found_entries);
		exchange_done(&exchange);
		stop(&rig);
	}
}

/* ---- outputs ---- */

struct telling {
	struct buf said;
};

static void note(void *context, const char *line)
{
	struct telling *telling = context;
	struct npxc_error err;

	assert_true(buf_append_text(&telling->said, line, &err) && buf_append_text(&telling->said, "\n", &err));
}

static struct output *start_output(struct rig *rig, struct telling *telling, bool named_only)
{
	const struct output_settings settings = { .files = rig->files,
		                                  .root = &rig->find,
		                                  .mount_points = &rig->mount_points,
		                                  .named_only = named_only,
		                                  .max_file_bytes = 1000,
		                                  .max_total_bytes = 100000,
		                                  .max_entries = 40,
		                                  .stop = rig->settings.stop,
		                                  .context = rig->settings.context,
		                                  .say = note,
		                                  .say_context = telling };
	struct output *output;
	struct npxc_error err;

	*telling = (struct telling){ .said = BUF_INIT(MIB) };
	assert_true(output_start(&settings, rig->publish, &output, &err));
	return output;
}

static void on_host(struct rig *rig, const char *path, const char *text)
{
	mem_cleanup char *full = in(rig->cwd, path);
	struct buf got BUF_CLEANUP = BUF_INIT(MIB);
	struct npxc_error err;

	if (text == NULL) {
		if (access(full, F_OK) == 0)
			fail_msg("%s is there", path);
	} else if (!file_read(full, &got, &err) || strcmp(got.data == NULL ? "" : got.data, text) != 0) {
		fail_msg("%s holds \"%s\"", path, got.data);
	}
}

static void what_a_server_makes_is_put_in_place(void **state)
{
	struct rig rig;
	struct telling telling;
	struct stat made, placed;

	(void)state;
	start(&rig, true, "mounted");
	mem_cleanup char *secret = in(rig.outside, "secret"), *inside = in(rig.files, "d/e/new.txt"),
	                 *outside = in(rig.cwd, "d/e/new.txt");
	struct output *output = start_output(&rig, &telling, false);
	put(rig.cwd, "old.txt", "old");
	put(rig.cwd, "named.txt", "named");
	shown(&rig, "named.txt");
	put(rig.files, "d/e/new.txt", "new");
	put(rig.files, "old.txt", "replaced?");
	put(rig.files, "named.txt", "replaced?");
	put(rig.files, ".envrc", "evil");
	put(rig.files, ".git/hooks/post-checkout", "evil");
	put(rig.files, "mounted/x", "in a mount");
	lead(rig.files, "link", secret);
	lead(rig.cwd, "led", "../outside");
	put(rig.files, "led/new", "out");
	output_collect(output);
	on_host(&rig, "d/e/new.txt", "new");
	on_host(&rig, "old.txt", "old");
	on_host(&rig, "named.txt", "named");
	on_host(&rig, ".envrc", NULL);
	on_host(&rig, ".git", NULL);
	on_host(&rig, "mounted", NULL);
	on_host(&rig, "link", NULL);
	on_host(&rig, "../outside/new", NULL);
	assert_non_null(strstr(telling.said.data, "made by the server: d/e/new.txt"));
	assert_non_null(strstr(telling.said.data, "not kept: old.txt: it exists"));
	assert_non_null(strstr(telling.said.data, "not kept: .envrc"));
	assert_return_code(stat(inside, &made), errno);
	assert_return_code(stat(outside, &placed), errno);
	assert_true(made.st_ino != placed.st_ino && placed.st_nlink == 1);
	/* it goes on writing, and nobody else touched it */
	put(rig.files, "d/e/new.txt", "newer");
	output_collect(output);
	on_host(&rig, "d/e/new.txt", "newer");
	/* now somebody did */
	put(rig.cwd, "d/e/new.txt", "the user's");
	put(rig.files, "d/e/new.txt", "newest");
	output_collect(output);
	on_host(&rig, "d/e/new.txt", "the user's");
	output_free(output);
	buf_done(&telling.said);
	stop(&rig);
}

static void only_named_outputs_where_that_was_asked(void **state)
{
	struct rig rig;
	struct telling telling;
	uint64_t bytes;

	(void)state;
	start(&rig, true, NULL);
	struct output *output = start_output(&rig, &telling, true);
	put(rig.files, "one", "1");
	put(rig.files, "two", "2");
	output_name(output, "one");
	output_collect(output);
	on_host(&rig, "one", "1");
	on_host(&rig, "two", NULL);
	assert_false(output_is_over(output, &bytes));
	/* In a directory that is locked then; root could read it all the same. */
	mem_cleanup char *locked = in(rig.files, "locked");
	assert_return_code(mkdir(locked, 0700), errno);
	for (int i = 0; i < 41; i++) {
		mem_cleanup char *name = str_printf("locked/many%d", i);

		put(rig.files, name, "x");
	}
	assert_return_code(chmod(locked, 0), errno);
	assert_true(output_is_over(output, &bytes));
	output_free(output);
	buf_done(&telling.said);
	stop(&rig);
}

/* Both sides change names while what the server made is put in place: no link is read through, none written through. */
static void outputs_that_are_swapped_meanwhile_bring_and_make_nothing_foreign(void **state)
{
	struct rig rig;
	struct telling telling;
	int placed = 0;

	(void)state;
	start(&rig, true, NULL);
	fill_outside(&rig);
	mem_cleanup char *secret = in(rig.outside, "secret"), *made = in(rig.files, "made"),
	                 *link = in(rig.files, "link");
	mem_cleanup char *o = in(rig.files, "o"), *p = in(rig.files, "p"), *host_o = in(rig.cwd, "o"),
	                 *host_p = in(rig.cwd, "p");
	mem_cleanup char *host_made = in(rig.cwd, "made"), *host_x = in(rig.cwd, "o/new");
	struct output *output = start_output(&rig, &telling, false);
	put(rig.files, "made", "fine");
	put(rig.files, "o/new", "fine");
	lead(rig.files, "link", secret);
	lead(rig.files, "p", "../outside");
	put(rig.cwd, "o/there", "there");
	lead(rig.cwd, "p", rig.outside);
	char *const pairs[][2] = { { made, link }, { o, p }, { host_o, host_p }, { NULL, NULL } };
	const pid_t swapper = start_swapping(pairs);
	const int64_t began = clock_now_ms();
	for (int i = 0; goes_on(i, 250, began, placed > 0) && is_outside_whole(&rig); i++) {
		output_collect(output);
		placed += unlink(host_made) == 0;
		(void)unlink(host_x);
		/* What it makes anew is another file. */
		mem_cleanup char *name = str_printf("n%d", i % 8);
		save(rig.files, name, "fine");
	}
	stop_swapping(swapper);
	assert_true(is_outside_whole(&rig));
	assert_true(placed > 0);
	unlink(host_p);
	unlink(host_o);
	assert_false(has_secret(rig.cwd));
	output_free(output);
	buf_done(&telling.said);
	stop(&rig);
}

/* The host's directory becomes a link out, and the server's file one to a secret, while another file is put in place.
 */
static void outputs_do_not_follow_what_changes_under_them(void **state)
{
	struct rig rig;
	struct telling telling;
	struct exchange exchange;

	(void)state;
	for (int host = 0; host < 2; host++) {
		start(&rig, true, NULL);
		fill_outside(&rig);
		mem_cleanup char *secret = in(rig.outside, "secret"), *p = in(rig.cwd, "p"), *o = in(rig.cwd, "o");
		put(rig.cwd, "o/there", "there");
		lead(rig.cwd, "p", rig.outside);
		for (int i = 0; i < 6; i++) {
			mem_cleanup char *name = str_printf("o/n%d", i);
			put(rig.files, name, "fine");
		}
		lead(rig.files, "o/link", secret);
		restart_with(&rig, &exchange, host == 0 ? rig.files : rig.cwd, host == 0 ? "o/n3" : "o",
		             host == 0 ? "o/link" : "p");
		struct output *output = start_output(&rig, &telling, false);
		for (int i = 0; i < 4; i++) {
			exchange.due = i + 1;
			output_collect(output);
		}
		assert_true(exchange.times > 0);
		assert_true(is_outside_whole(&rig));
		unlink(p);
		unlink(o); /* whichever of them is the link */
		assert_false(has_secret(rig.cwd));
		exchange_done(&exchange);
		output_free(output);
		buf_done(&telling.said);
		stop(&rig);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ways_are_found),
		cmocka_unit_test(a_file_appears_at_its_own_path),
		cmocka_unit_test(what_changed_is_copied_again_and_what_is_gone_goes),
		cmocka_unit_test(what_changes_while_it_is_copied_is_copied_again),
		cmocka_unit_test(types_follow_the_host),
		cmocka_unit_test(links_are_links),
		cmocka_unit_test(trees_are_copied_but_for_what_is_dangerous),
		cmocka_unit_test(ceilings_are_kept),
		cmocka_unit_test(sparse_files_stay_sparse),
		cmocka_unit_test(a_mount_point_is_never_touched),
		cmocka_unit_test(what_is_swapped_meanwhile_leads_nowhere),
		cmocka_unit_test(what_is_swapped_after_the_look_is_not_followed),
		cmocka_unit_test(a_tree_that_changes_while_it_is_copied_is_not_left),
		cmocka_unit_test(a_guest_that_swaps_while_a_copy_is_made_gets_none_elsewhere),
		cmocka_unit_test(a_guest_that_swaps_what_it_was_shown_writes_nowhere_else),
		cmocka_unit_test(what_a_server_makes_is_put_in_place),
		cmocka_unit_test(only_named_outputs_where_that_was_asked),
		cmocka_unit_test(outputs_do_not_follow_what_changes_under_them),
		cmocka_unit_test(outputs_that_are_swapped_meanwhile_bring_and_make_nothing_foreign),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
