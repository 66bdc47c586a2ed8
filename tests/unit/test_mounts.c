#include "unit.h"

#include "base/fd.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "files/mounts.h"
#include "files/sockets.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/*
 * A user's world:
 *   <top>/home/project/{a.txt, dir/b.txt, leads-out -> ../../outside.txt, sock}
 *   <top>/home/project-two/c.txt        a sibling with the same prefix
 *   <top>/outside.txt
 */
struct world {
	char *top, *home, *project;
};

static void write_file(const char *directory, const char *name)
{
	struct npxc_error err;
	mem_cleanup char *path = str_path_join(directory, name);
	mem_cleanup char *parent = str_path_join(path, "..");
	assert_true(file_make_directories(parent, 0755, &err));
	assert_true(file_write_atomic(path, "x", 1, 0644, &err));
}

static void make_socket(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	assert_true(strlen(path) < sizeof(address.sun_path));
	memcpy(address.sun_path, path, strlen(path) + 1);
	const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	close(fd);
}

static int world_make(void **state)
{
	struct npxc_error err;
	struct world *w = mem_alloc(sizeof(*w));
	mem_cleanup char *made = NULL;
	if (!file_make_temporary_directory("/tmp", "npxc-test-", &made, &err) || !file_real_path(made, &w->top, &err))
		return -1;
	w->home = str_path_join(w->top, "home");
	w->project = str_path_join(w->home, "project");
	write_file(w->project, "a.txt");
	write_file(w->project, "dir/b.txt");
	write_file(w->home, "project-two/c.txt");
	write_file(w->top, "outside.txt");
	mem_cleanup char *link = str_path_join(w->project, "leads-out");
	mem_cleanup char *socket_path = str_path_join(w->project, "dir/sock");
	if (symlink("../../outside.txt", link) < 0)
		return -1;
	make_socket(socket_path);
	*state = w;
	return 0;
}

static int world_remove(void **state)
{
	struct npxc_error err;
	struct world *w = *state;
	const bool gone = file_remove_tree(w->top, &err);
	free(w->top);
	free(w->home);
	free(w->project);
	free(w);
	return gone ? 0 : -1;
}

static struct mounts_input input_of(const struct world *w, const struct strv *arguments)
{
	return (struct mounts_input){ .cwd = w->project, .home = w->home, .arguments = arguments };
}

/* What an argument mounts, relative to the project ("" = the project itself), or what the note says. */
static void arguments_that_name_files(void **state)
{
	const struct world *w = *state;
	static const struct {
		const char *word;   /* %P project, %H home, %T top */
		const char *mounts; /* NULL: nothing */
		const char *note;   /* NULL: no note */
	} CASES[] = {
		{ "a.txt", "a.txt", NULL },
		{ "./a.txt", "a.txt", NULL },
		{ "%P/a.txt", "a.txt", NULL },
		{ "%P/dir/../a.txt", "a.txt", NULL },
		{ "~/project/a.txt", "a.txt", NULL },
		{ "dir", "dir", "is a socket or FIFO of the host" },
		{ ".", "", "is a socket or FIFO of the host" },
		{ "--file=a.txt", "a.txt", NULL },
		{ "--file=%P/a.txt", "a.txt", NULL },
		{ "missing.txt", NULL, NULL },
		{ "--a.txt", NULL, NULL },
		{ "", NULL, NULL },
		{ "%P/missing", NULL, NULL },
		{ "leads-out", NULL, NULL },
		{ "%P/leads-out", NULL, "outside the working directory" },
		{ "../project-two/c.txt", NULL, "outside the working directory" },
		{ "%H/project-two", NULL, "outside the working directory" },
		{ "%T/outside.txt", NULL, "outside the working directory" },
		{ "--x=%T/outside.txt", NULL, "outside the working directory" },
		{ "%P/..", NULL, "outside the working directory" },
		{ "/", NULL, NULL },
		{ "dir/sock", NULL, NULL },
	};
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		const char *word = CASES[i].word, *mark = strchr(word, '%');
		const char *base = mark == NULL ? "" : mark[1] == 'P' ? w->project : mark[1] == 'H' ? w->home : w->top;
		mem_cleanup char *full =
		    mark == NULL ? str_dup(word) : str_printf("%.*s%s%s", (int)(mark - word), word, base, mark + 2);
		struct strv arguments = { 0 };
		strv_push(&arguments, full);
		const struct mounts_input input = input_of(w, &arguments);
		struct mounts m;
		struct npxc_error err = { 0 };
		if (!mounts_gather(&input, &m, &err))
			fail_msg("%s: %s", full, err.message);
		if (CASES[i].mounts == NULL) {
			assert_int_equal(m.count, 0);
		} else {
			mem_cleanup char *expected =
			    str_path_join(w->project, CASES[i].mounts[0] ? CASES[i].mounts : ".");
			if (m.count != 1)
				fail_msg("%s: %zu mounts", full, m.count);
			assert_string_equal(m.v[0].target, expected);
			assert_string_equal(m.v[0].source, expected);
			assert_false(m.v[0].writable);
			assert_string_equal(m.v[0].origin, "argument 1");
		}
		assert_int_equal(m.unseen.count, m.unseen_why.count);
		assert_int_equal(m.notes.count + m.unseen.count, CASES[i].note == NULL ? 0 : 1);
		if (CASES[i].note != NULL &&
		    strstr(m.notes.count > 0 ? m.notes.v[0] : m.unseen_why.v[0], CASES[i].note) == NULL)
			fail_msg("%s: not \"%s\"", full, CASES[i].note);
		mounts_done(&m);
		strv_done(&arguments);
	}
}

static void variables_count_only_when_written_as_paths(void **state)
{
	const struct world *w = *state;
	struct strv none = { 0 };
	mem_cleanup char *absolute = str_path_join(w->project, "a.txt");
	struct config_variable env[] = {
		{ .name = (char[]){ "A" }, .value = absolute },
		{ .name = (char[]){ "B" }, .value = (char[]){ "dir" } },
	};
	struct mounts_input input = input_of(w, &none);
	struct mounts m;
	struct npxc_error err = { 0 };
	input.env = env;
	input.env_count = 2;
	input.writable = true;
	assert_true(mounts_gather(&input, &m, &err));
	assert_int_equal(m.count, 1);
	assert_string_equal(m.v[0].origin, "variable A");
	assert_true(m.v[0].writable);
	mounts_done(&m);
}

/* Where the working directory is too wide, nothing under it is taken on a mere mention. */
static void a_wide_working_directory_gives_nothing(void **state)
{
	const struct world *w = *state;
	const char *const wide[] = { w->home, w->top, "/" };
	mem_cleanup char *file = str_path_join(w->project, "a.txt");
	for (size_t i = 0; i < 3; i++) {
		struct strv arguments = { 0 };
		strv_push(&arguments, file);
		struct mounts_input input = input_of(w, &arguments);
		struct mounts m;
		struct npxc_error err = { 0 };
		input.cwd = wide[i];
		assert_true(mounts_gather(&input, &m, &err));
		assert_false(m.cwd_in_scope);
		assert_int_equal(m.count, 0);
		assert_int_equal(m.unseen.count, 1);
		assert_string_equal(m.unseen.v[0], file);
		assert_non_null(strstr(m.unseen_why.v[0], "too wide"));
		mounts_done(&m);
		input.project = CONFIG_PROJECT_RO;
		assert_false(mounts_gather(&input, &m, &err));
		assert_int_equal(err.kind, ERROR_CONFIG);
		assert_non_null(strstr(err.message, "--cwd"));
		strv_done(&arguments);
	}
}

static void asked_mounts_may_lie_anywhere_and_are_marked(void **state)
{
	const struct world *w = *state;
	struct strv none = { 0 };
	mem_cleanup char *outside = str_path_join(w->top, "outside.txt");
	struct config_mount flagged[] = {
		{ .host = outside, .writable = true },
		{ .host = (char[]){ "dir" }, .container = (char[]){ "/srv/data" } },
	};
	struct mounts_input input = input_of(w, &none);
	struct mounts m;
	struct npxc_error err = { 0 };
	input.flagged = flagged;
	input.flagged_count = 2;
	assert_true(mounts_gather(&input, &m, &err));
	assert_int_equal(m.count, 2);
	assert_string_equal(m.v[0].target, "/srv/data");
	assert_false(m.v[0].outside);
	assert_string_equal(m.v[1].target, outside);
	assert_true(m.v[1].outside);
	assert_true(m.v[1].writable);
	assert_int_equal(m.masks.count, 1);
	assert_string_equal(m.masks.v[0], "/srv/data/sock");
	mounts_done(&m);
}

static void a_mention_of_what_was_asked_for_is_no_news(void **state)
{
	const struct world *w = *state;
	struct strv arguments = { 0 };
	mem_cleanup char *outside = str_path_join(w->top, "outside.txt");
	struct config_mount flagged = { .host = outside };
	strv_push(&arguments, outside);
	struct mounts_input input = input_of(w, &arguments);
	struct mounts m;
	struct npxc_error err = { 0 };
	input.flagged = &flagged;
	input.flagged_count = 1;
	assert_true(mounts_gather(&input, &m, &err));
	assert_int_equal(m.count, 1);
	assert_int_equal(m.notes.count, 0);
	mounts_done(&m);
	strv_done(&arguments);
}

static void a_mention_inside_the_project_adds_nothing(void **state)
{
	const struct world *w = *state;
	struct strv arguments = { 0 };
	strv_push(&arguments, "a.txt");
	struct mounts_input input = input_of(w, &arguments);
	struct mounts m;
	struct npxc_error err = { 0 };
	input.project = CONFIG_PROJECT_RW;
	assert_true(mounts_gather(&input, &m, &err));
	assert_int_equal(m.count, 1);
	assert_string_equal(m.v[0].target, w->project);
	assert_true(m.v[0].writable);
	mounts_done(&m);
	strv_done(&arguments);
}

static void mounts_that_are_refused(void **state)
{
	const struct world *w = *state;
	struct strv none = { 0 };
	static const struct {
		const char *host, *container, *said;
	} CASES[] = {
		{ "missing", NULL, "--mount missing" },
		{ "a.txt", "/proc/x", "the sandbox's own /proc" },
		{ "a.txt", "/dev", "the sandbox's own /dev" },
		{ "a.txt", "/opt/npxc/_npx/package/x", "the sandbox's own /opt/npxc" },
		{ "dir", "/", "belongs to the sandbox" },
		{ "dir", "/usr", "belongs to the sandbox" },
		{ "dir", "/srv/../usr", "write it as /usr" },
		{ "/", NULL, "belongs to the sandbox" },
		{ "/proc", NULL, "the sandbox's own /proc" },
	};
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		mem_cleanup char *host = str_dup(CASES[i].host);
		mem_cleanup char *container = str_dup(CASES[i].container);
		struct config_mount flagged = { .host = host, .container = container };
		struct mounts_input input = input_of(w, &none);
		struct mounts m;
		struct npxc_error err = { 0 };
		input.flagged = &flagged;
		input.flagged_count = 1;
		if (mounts_gather(&input, &m, &err))
			fail_msg("%s at %s was accepted", host, container);
		if (strstr(err.message, CASES[i].said) == NULL)
			fail_msg("%s: %s", host, err.message);
	}
}

static void link_in(const struct world *w, const char *name, const char *to)
{
	mem_cleanup char *path = str_path_join(w->top, name);
	assert_int_equal(symlink(to, path), 0);
}

/*
 * Links in a tree that a server could write to, and others:
 *   <top>/shared/{out -> ../private, in -> real, real/a, deep/up -> ../../private}, <top>/way -> shared,
 * <top>/private/key
 */
static void links_of_trees_that_servers_write_to_lead_nowhere(void **state)
{
	const struct world *w = *state;
	static const struct {
		const char *host;    /* below <top> */
		const char *leads;   /* what is mounted; NULL: refused */
		bool told;           /* that it came by a link */
		bool told_only_then; /* and without any such tree it is mounted, and told */
	} CASES[] = {
		{ "shared/out", NULL, false, true },
		{ "shared/out/key", NULL, false, true },
		{ "shared/deep/up/key", NULL, false, true },
		{ "way/out", NULL, false, true },
		{ "shared/in/a", "shared/real/a", true, false },
		{ "way/real/a", "shared/real/a", true, false },
		{ "shared/real/a", "shared/real/a", false, false },
		{ "private/key", "private/key", false, false },
	};
	struct strv none = { 0 }, written = { 0 };
	mem_cleanup char *shared = str_path_join(w->top, "shared");
	write_file(w->top, "private/key");
	write_file(w->top, "shared/real/a");
	write_file(w->top, "shared/deep/b");
	link_in(w, "shared/out", "../private");
	link_in(w, "shared/in", "real");
	link_in(w, "shared/deep/up", "../../private");
	link_in(w, "way", "shared");
	static const char *const OPEN[] = { ".", "shared", "shared/deep" };
	for (size_t i = 0; i < 3; i++) { /* so that others than root could have made the links */
		mem_cleanup char *path = str_path_join(w->top, OPEN[i]);
		assert_int_equal(chmod(path, 0777), 0);
	}
	strv_push(&written, shared);
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		mem_cleanup char *host = str_path_join(w->top, CASES[i].host);
		mem_cleanup char *leads = CASES[i].leads == NULL ? NULL : str_path_join(w->top, CASES[i].leads);
		struct config_mount flagged = { .host = host };
		struct mounts_input input = input_of(w, &none);
		struct mounts m;
		struct npxc_error err = { 0 };
		input.flagged = &flagged;
		input.flagged_count = 1;
		input.written = &written;
		const bool fine = mounts_gather(&input, &m, &err);
		assert_int_equal(fine, leads != NULL);
		if (fine) {
			assert_string_equal(m.v[0].source, leads);
			assert_int_equal(m.notes.count, CASES[i].told);
			mounts_done(&m);
		} else {
			assert_int_equal(err.kind, ERROR_CONFIG);
			assert_non_null(strstr(err.message, "which a server may have made"));
		}
		/* The same links are a user's where no server could write. */
		input.written = NULL;
		assert_true(mounts_gather(&input, &m, &err));
		assert_int_equal(m.notes.count, CASES[i].told || CASES[i].told_only_then);
		mounts_done(&m);
	}
	/* A working directory behind such a link is refused whole, an argument beneath P passed over. */
	mem_cleanup char *out = str_path_join(w->top, "shared/out");
	struct mounts_input input = input_of(w, &none);
	struct mounts m;
	struct npxc_error err = { 0 };
	input.cwd = out;
	input.written = &written;
	assert_false(mounts_gather(&input, &m, &err));
	assert_non_null(strstr(err.message, "--cwd"));
	mem_cleanup char *deep = str_path_join(w->top, "shared/deep");
	struct strv arguments = { 0 }, narrower = { 0 };
	strv_push(&narrower, deep);
	strv_push(&arguments, "out");
	write_file(shared, "sibling/x");
	mem_cleanup char *inner = str_path_join(deep, "side");
	assert_int_equal(symlink("../sibling", inner), 0);
	strv_push(&arguments, "deep/side/x");
	input = input_of(w, &arguments);
	input.cwd = shared;
	input.written = &narrower;
	assert_true(mounts_gather(&input, &m, &err));
	assert_int_equal(m.count, 0);
	assert_int_equal(m.notes.count, 1); /* "out" is a bare word that names nothing of the project */
	assert_non_null(strstr(m.notes.v[0], "argument 2 names"));
	assert_non_null(strstr(m.notes.v[0], "is not mounted, because a server may have made that"));
	mounts_done(&m);
	strv_done(&arguments);
	strv_done(&narrower);
	strv_done(&written);
}

static const struct mounts_entry *entry_at(const struct mounts *m, const char *target)
{
	for (size_t i = 0; i < m->count; i++)
		if (str_equal(m->v[i].target, target))
			return &m->v[i];
	return NULL;
}

/* <project>/{.git/config, .envrc, sub/deep/.git/config, .vscode -> /etc} */
static void what_the_host_executes_stays_read_only(void **state)
{
	const struct world *w = *state;
	struct strv none = { 0 };
	struct config_mount flagged[] = {
		{ .host = (char[]){ "sub" }, .writable = true },
		{ .host = (char[]){ "dir" }, .container = (char[]){ "/srv/d" }, .writable = true }
	};
	mem_cleanup char *git = str_path_join(w->project, ".git");
	mem_cleanup char *envrc = str_path_join(w->project, ".envrc");
	mem_cleanup char *deep = str_path_join(w->project, "sub/deep/.git");
	mem_cleanup char *sub = str_path_join(w->project, "sub");
	struct mounts_input input = input_of(w, &none);
	struct npxc_error err = { 0 };
	struct mounts m;
	write_file(w->project, ".git/config");
	write_file(w->project, ".envrc");
	write_file(w->project, "sub/deep/.git/config");
	write_file(w->project, "dir/.npmrc");
	link_in(w, "home/project/.vscode", "/etc");
	const enum config_project unguarded[] = { CONFIG_PROJECT_RO, CONFIG_PROJECT_RW_ALL };
	for (size_t i = 0; i < 2; i++) {
		input.project = unguarded[i];
		assert_true(mounts_gather(&input, &m, &err));
		assert_int_equal(m.count, 1);
		assert_int_equal(m.tree_count + m.pin_count, 0);
		mounts_done(&m);
	}
	input.project = CONFIG_PROJECT_RW;
	assert_true(mounts_gather(&input, &m, &err));
	assert_int_equal(m.count, 5); /* with dir/.npmrc */
	const char *const kept[] = { git, envrc, deep };
	for (size_t i = 0; i < 3; i++) {
		const struct mounts_entry *e = entry_at(&m, kept[i]);
		assert_non_null(e);
		assert_string_equal(e->source, kept[i]);
		assert_false(e->writable);
		assert_true(e->kept);
		assert_true(e->identity.fd != -1);
	}
	assert_int_equal(m.pin_count, 3); /* dir, sub, sub/deep */
	assert_string_equal(m.pins[1].source, sub);
	assert_string_equal(m.pins[1].parent, w->project);
	assert_int_equal(m.tree_count, 1);
	assert_int_equal(m.notes.count, 3); /* the socket, what is kept, the link that cannot be */
	assert_non_null(strstr(m.notes.v[1], ".envrc, .git, dir/.npmrc, sub/deep/.git; --project=rw,all makes"));
	assert_non_null(strstr(m.notes.v[2], "or the mount itself (\".\"): .vscode"));
	mounts_done(&m);
	/* A mount with its own words is judged by these. */
	input.flagged = flagged;
	input.flagged_count = 2;
	flagged[0].all = true;
	assert_true(mounts_gather(&input, &m, &err));
	assert_null(entry_at(&m, deep));
	assert_non_null(entry_at(&m, git));
	assert_non_null(entry_at(&m, "/srv/d/.npmrc"));
	mounts_done(&m);
	flagged[0].all = false;
	input.project = CONFIG_PROJECT_RW_ALL;
	assert_true(mounts_gather(&input, &m, &err));
	assert_non_null(entry_at(&m, deep));
	assert_null(entry_at(&m, git));
	mounts_done(&m);
	/* Named by itself, it is the user's word. */
	flagged[0] = (struct config_mount){ .host = (char[]){ ".git" }, .writable = true };
	input.project = CONFIG_PROJECT_RW;
	assert_true(mounts_gather(&input, &m, &err));
	assert_true(entry_at(&m, git)->writable);
	mounts_done(&m);
}

/* Whatever is renamed after it was judged, the descriptor says what is meant. */
static void what_was_judged_stays_open(void **state)
{
	const struct world *w = *state;
	struct strv arguments = { 0 };
	mem_cleanup char *dir = str_path_join(w->project, "dir");
	mem_cleanup char *aside = str_path_join(w->project, "aside");
	struct stat judged, opened;
	struct mounts m;
	struct npxc_error err = { 0 };
	strv_push(&arguments, "dir");
	const struct mounts_input input = input_of(w, &arguments);
	assert_int_equal(stat(dir, &judged), 0);
	assert_true(mounts_gather(&input, &m, &err));
	assert_int_equal(rename(dir, aside), 0);
	assert_int_equal(symlink("/", dir), 0);
	assert_int_equal(fstat(m.v[0].identity.fd, &opened), 0);
	assert_int_equal(opened.st_ino, judged.st_ino);
	assert_int_equal(m.v[0].identity.inode, judged.st_ino);
	assert_int_equal(m.v[0].identity.kind, 'd');
	mounts_done(&m);
	strv_done(&arguments);
}

static void two_sources_for_one_target_are_refused(void **state)
{
	const struct world *w = *state;
	struct strv none = { 0 };
	struct config_mount flagged[] = {
		{ .host = (char[]){ "a.txt" }, .container = (char[]){ "/srv/x" } },
		{ .host = (char[]){ "dir" }, .container = (char[]){ "/srv/x" } },
	};
	struct mounts_input input = input_of(w, &none);
	struct mounts m;
	struct npxc_error err = { 0 };
	input.flagged = flagged;
	input.flagged_count = 2;
	assert_false(mounts_gather(&input, &m, &err));
	assert_non_null(strstr(err.message, "two mounts for /srv/x"));
}

static void sockets_are_found_at_any_depth(void **state)
{
	const struct world *w = *state;
	struct strv found = { 0 };
	struct npxc_error err = { 0 };
	assert_true(sockets_find(open(w->project, O_PATH | O_CLOEXEC), w->project, &found, &err));
	assert_int_equal(found.count, 1);
	assert_string_equal(found.v[0], "dir/sock");
	strv_done(&found);
}

/* More levels than there are descriptors for, up to the length of a path. */
static void a_socket_far_below_is_found_and_what_no_path_names_is_refused(void **state)
{
	const struct world *w = *state;
	struct strv found = { 0 };
	struct npxc_error err = { 0 };
	mem_cleanup char *deep = str_path_join(w->top, "deep");
	char *deepest = str_path_join(deep, "sub");
	struct rlimit before, few;
	assert_true(file_make_directories(deepest, 0755, &err));
	for (unsigned i = 0; i < 1500; i++) {
		char *next = str_printf("%s/%s", deepest, "d");
		free(deepest);
		deepest = next;
	}
	assert_true(file_make_directories(deepest, 0755, &err));
	mem_cleanup char *fifo = str_path_join(deepest, "fifo");
	assert_int_equal(mkfifo(fifo, 0600), 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	few = before;
	few.rlim_cur = 100;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	const bool fine = sockets_find(open(deep, O_PATH | O_CLOEXEC), deep, &found, &err);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	if (!fine)
		fail_msg("%s", err.message);
	assert_int_equal(found.count, 1);
	assert_string_equal(found.v[0], fifo + strlen(deep) + 1);
	strv_done(&found);

	FD_CLEANUP int fd = open(deepest, O_RDONLY | O_DIRECTORY);
	for (unsigned i = 0; i < 1500; i++) {
		assert_int_equal(mkdirat(fd, "d", 0755), 0);
		const int next = openat(fd, "d", O_RDONLY | O_DIRECTORY);
		fd_close(&fd);
		fd = next;
	}
	assert_false(sockets_find(open(deep, O_PATH | O_CLOEXEC), deep, &found, &err));
	assert_int_equal(err.kind, ERROR_CONFIG);
	assert_non_null(strstr(err.message, "deeper than a path may be long"));
	free(deepest);
}

static void no_number_of_files_is_too_many(void **state)
{
	struct strv found = { 0 };
	struct npxc_error err = { 0 };
	mem_cleanup char *wide = NULL;
	(void)state;
	/* Where making as many takes no disk. */
	assert_true(file_make_temporary_directory(file_is_directory("/dev/shm") ? "/dev/shm" : "/tmp", "npxc-test-",
	                                          &wide, &err));
	mem_cleanup char *socket_path = str_path_join(wide, "9/sock");
	for (unsigned i = 0; i < 210; i++) {
		mem_cleanup char *directory = str_printf("%s/%u", wide, i);
		mem_cleanup char *first = str_printf("%s/first", directory);
		assert_int_equal(mkdir(directory, 0755), 0);
		assert_true(file_write_atomic(first, "", 0, 0644, &err));
		for (unsigned k = 0; k < 1000; k++) {
			mem_cleanup char *path = str_printf("%s/%u", directory, k);
			assert_int_equal(link(first, path), 0);
		}
	}
	make_socket(socket_path);
	if (!sockets_find(open(wide, O_PATH | O_CLOEXEC), wide, &found, &err))
		fail_msg("%s", err.message);
	assert_int_equal(found.count, 1);
	assert_string_equal(found.v[0], "9/sock");
	strv_done(&found);
	assert_true(file_remove_tree(wide, &err));
}

static void too_many_sockets_are_refused(void **state)
{
	const struct world *w = *state;
	struct npxc_error err = { 0 };
	struct strv found = { 0 };
	mem_cleanup char *many = str_path_join(w->top, "many");
	assert_true(file_make_directories(many, 0755, &err));
	for (unsigned i = 0; i < 257; i++) {
		mem_cleanup char *path = str_printf("%s/%u", many, i);
		make_socket(path);
	}
	assert_false(sockets_find(open(many, O_PATH | O_CLOEXEC), many, &found, &err));
	assert_int_equal(err.kind, ERROR_CONFIG);
	assert_non_null(strstr(err.message, "more than 256 sockets and FIFOs"));
}

#define WORLD(f) cmocka_unit_test_setup_teardown(f, world_make, world_remove)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD(arguments_that_name_files),
		WORLD(variables_count_only_when_written_as_paths),
		WORLD(a_wide_working_directory_gives_nothing),
		WORLD(asked_mounts_may_lie_anywhere_and_are_marked),
		WORLD(a_mention_of_what_was_asked_for_is_no_news),
		WORLD(a_mention_inside_the_project_adds_nothing),
		WORLD(mounts_that_are_refused),
		WORLD(links_of_trees_that_servers_write_to_lead_nowhere),
		WORLD(what_the_host_executes_stays_read_only),
		WORLD(what_was_judged_stays_open),
		WORLD(two_sources_for_one_target_are_refused),
		WORLD(sockets_are_found_at_any_depth),
		WORLD(a_socket_far_below_is_found_and_what_no_path_names_is_refused),
		WORLD(no_number_of_files_is_too_many),
		WORLD(too_many_sockets_are_refused),
	};
	return cmocka_run_group_tests_name("mounts", tests, NULL, NULL);
}
