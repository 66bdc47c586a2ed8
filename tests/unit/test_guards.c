#include "unit.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"
#include "files/guards.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

struct world {
	char *top, *tree;
	int fd; /* of tree */
};

static void make(const struct world *w, const char *name)
{
	struct npxc_error err;
	mem_cleanup char *path = str_path_join(w->tree, name);
	mem_cleanup char *parent = str_path_join(path, "..");

	assert_true(file_make_directories(parent, 0755, &err));
	if (str_ends(name, "/"))
		assert_true(file_make_directories(path, 0755, &err));
	else
		assert_true(file_write_atomic(path, "x", 1, 0644, &err));
}

static int world_make(void **state)
{
	struct world *w = mem_alloc(sizeof(*w));
	struct npxc_error err;
	mem_cleanup char *made = NULL;

	if (!file_make_temporary_directory("/tmp", "npxc-test-", &made, &err) || !file_real_path(made, &w->top, &err) ||
	    chmod(w->top, 0755) == -1)
		return -1;
	w->tree = str_path_join(w->top, "p");
	make(w, "a.txt");
	w->fd = open(w->tree, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	*state = w;
	return w->fd == -1 ? -1 : 0;
}

static int world_remove(void **state)
{
	struct world *w = *state;
	struct npxc_error err;
	const bool gone = file_remove_tree(w->top, &err);

	close(w->fd);
	free(w->top);
	free(w->tree);
	free(w);
	return gone ? 0 : -1;
}

static struct guards find(const struct world *w)
{
	struct guards found = { 0 };
	struct npxc_error err = { 0 };

	if (!guards_find(w->fd, w->tree, -1, &found, &err))
		fail_msg("%s", err.message);
	return found;
}

/* "kind path" of each, with a blank between. */
static char *shown(const struct guards *guards)
{
	char *text = str_dup("");

	for (size_t i = 0; i < guards->count; i++) {
		char *longer =
		    str_printf("%s%s%c %s", text, i == 0 ? "" : " ", guards->v[i].identity.kind, guards->v[i].path);

		free(text);
		text = longer;
	}
	return text;
}

static void finds_them_at_any_depth_and_not_within_one_another(void **state)
{
	const struct world *w = *state;
	static const char *const NAMES[] = { ".git/hooks/.envrc",
		                             "sub/.git",
		                             "deep/er/and/.GIT/x",
		                             "node_modules/.bin/x",
		                             "node_modules/x/.git/",
		                             "a/node_modules/.bin/",
		                             "b/node_modules/.binx",
		                             "b/.bin/",
		                             "a/.envrc",
		                             ".env",
		                             "src/main.c" };
	mem_cleanup char *text = NULL;
	mem_cleanup char *link = str_path_join(w->tree, "b/.vscode");
	mem_cleanup char *out = str_path_join(w->tree, "out");

	for (size_t i = 0; i < sizeof(NAMES) / sizeof(NAMES[0]); i++)
		make(w, NAMES[i]);
	assert_int_equal(symlink("../.git", link), 0);
	assert_int_equal(symlink("/", out), 0); /* not followed */
	struct guards found = find(w);
	text = shown(&found);
	assert_string_equal(text, "d .git f a/.envrc d a/node_modules/.bin l b/.vscode d deep/er/and/.GIT "
	                          "d node_modules/.bin f sub/.git");
	guards_done(&found);
}

static void a_ceiling_and_a_deadline_give_no_part_of_the_answer(void **state)
{
	const struct world *w = *state;
	struct guards found = { 0 };
	struct npxc_error err = { 0 };

	assert_false(guards_find(w->fd, w->tree, 0, &found, &err));
	assert_int_equal(err.sys_errno, ETIMEDOUT);
	for (unsigned i = 0; i <= LIMIT_GUARD_NAMES; i++) {
		mem_cleanup char *name = str_printf("%u/.git/", i);

		make(w, name);
	}
	assert_false(guards_find(w->fd, w->tree, -1, &found, &err));
	assert_int_equal(err.kind, ERROR_CONFIG);
	assert_non_null(strstr(err.message, "mount a directory below it"));
}

static void write_text(const struct world *w, const char *name, const char *text)
{
	struct npxc_error err;
	mem_cleanup char *path = str_path_join(w->tree, name);

	make(w, name);
	assert_true(file_write_atomic(path, text, strlen(text), 0644, &err));
}

/* What git executes need not be called .git. */
static void finds_what_such_names_lead_to(void **state)
{
	const struct world *w = *state;
	mem_cleanup char *vscode = str_path_join(w->tree, ".vscode");
	mem_cleanup char *idea = str_path_join(w->tree, ".idea");
	mem_cleanup char *text = NULL;

	make(w, "editor/tasks.json");
	make(w, "real/HEADS");
	make(w, "tools/hooks/pre-commit");
	make(w, "bare/objects/");
	make(w, "bare/refs/");
	make(w, "bare/HEAD");
	write_text(w, "sub/.git", "gitdir: ../real\n");
	write_text(w, "out/.git", "gitdir: /somewhere/else\n");
	write_text(w, ".git/config", "[core]\n\tbare = false\n\thooksPath = \"tools/hooks\"\n");
	assert_int_equal(symlink("editor", vscode), 0);
	assert_int_equal(symlink("/etc", idea), 0);
	struct guards found = find(w);
	text = shown(&found);
	assert_string_equal(text,
	                    "d .git l .idea l .vscode d bare d editor f out/.git d real f sub/.git d tools/hooks");
	guards_done(&found);
	make(w, "objects/");
	make(w, "refs/");
	make(w, "HEAD");
	free(MEM_TAKE(text));
	found = find(w);
	text = shown(&found);
	assert_true(str_starts(text, "d . d .git "));
	guards_done(&found);
}

/* Another user's directory, where npxc is root and the server is not. Its own it could open: that is kept as a whole.
 */
static void passes_over_what_the_server_cannot_enter(void **state)
{
	const struct world *w = *state;
	mem_cleanup char *closed = str_path_join(w->tree, "closed");
	mem_cleanup char *text = NULL;

	make(w, "closed/.git/");
	make(w, "open/.git/");
	assert_int_equal(chmod(closed, geteuid() == 0 ? 0700 : 0), 0);
	struct guards found = find(w);
	text = shown(&found);
	assert_int_equal(chmod(closed, 0755), 0);
	assert_string_equal(text, geteuid() == 0 ? "d open/.git" : "d closed d open/.git");
	guards_done(&found);
}

static void looks_into_what_the_server_can_open_for_itself(void **state)
{
	const struct world *w = *state;
	mem_cleanup char *closed = str_path_join(w->tree, "closed");
	mem_cleanup char *text = NULL;

	if (geteuid() != 0)
		skip();
	make(w, "closed/.git/");
	assert_int_equal(chown(closed, SANDBOX_DROP_UID, SANDBOX_DROP_UID), 0);
	assert_int_equal(chmod(closed, 0), 0);
	struct guards found = find(w);
	text = shown(&found);
	assert_int_equal(chown(closed, 0, 0), 0);
	assert_string_equal(text, "d closed/.git");
	guards_done(&found);
}

/* Whatever is missing, a directory that cannot be opened for it is not taken for an empty one. */
static void too_few_descriptors_give_no_part_of_the_answer(void **state)
{
	const struct world *w = *state;
	struct rlimit before, few;
	struct guards found = { 0 };
	struct npxc_error err = { 0 };
	bool fine = false;
	int tried = 0;

	make(w, "a/b/.git/");
	make(w, "a/.envrc");
	make(w, "node_modules/.bin/");
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	few = before;
	for (rlim_t limit = (rlim_t)w->fd + 1; !fine && tried < 32; limit++, tried++) {
		few.rlim_cur = limit;
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
		fine = guards_find(w->fd, w->tree, -1, &found, &err);
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
		if (fine)
			break;
		assert_int_equal(err.sys_errno, EMFILE);
	}
	assert_true(fine && tried > 2);
	mem_cleanup char *text = shown(&found);
	assert_string_equal(text, "f a/.envrc d a/b/.git d node_modules/.bin");
	guards_done(&found);
}

static char *text_now(const struct world *w)
{
	struct stat info;
	struct guards_tree tree = { .path = w->tree, .before = find(w) };

	assert_int_equal(fstat(w->fd, &info), 0);
	tree.identity = launch_identity_of(-1, &info);
	char *text = guards_text(&tree, 1);
	guards_done(&tree.before);
	return text;
}

/* What is said after a change, or NULL. */
static char *judged(const char *text)
{
	struct strv lines = { 0 };
	struct npxc_error err = { 0 };
	char *line;

	if (!guards_judge(text, strlen(text), -1, &lines, &err))
		fail_msg("%s", err.message);
	assert_true(lines.count <= 1);
	line = lines.count == 0 ? NULL : str_dup(lines.v[0]);
	strv_done(&lines);
	return line;
}

static void tells_what_was_made_or_replaced(void **state)
{
	const struct world *w = *state;
	make(w, ".git/config");
	make(w, "sub/.git/config");
	mem_cleanup char *text = text_now(w);
	mem_cleanup char *nothing = judged(text);
	assert_null(nothing);
	make(w, "b.txt");
	make(w, ".git/more");
	mem_cleanup char *still = judged(text);
	assert_null(still);

	make(w, ".envrc");
	mem_cleanup char *sub = str_path_join(w->tree, "sub");
	mem_cleanup char *aside = str_path_join(w->tree, "aside");
	assert_int_equal(rename(sub, aside), 0);
	make(w, "sub/.git/config"); /* by the same name another one, and the old one by another name */
	mem_cleanup char *line = judged(text);
	assert_non_null(line);
	assert_non_null(strstr(line, ": .envrc, aside/.git, sub/.git; look at it"));
}

static void another_tree_by_the_same_name_is_not_taken_for_it(void **state)
{
	const struct world *w = *state;
	mem_cleanup char *text = text_now(w);
	mem_cleanup char *aside = str_path_join(w->top, "aside");
	assert_int_equal(rename(w->tree, aside), 0);
	mem_cleanup char *gone = judged(text);
	assert_null(gone);
	make(w, ".git/config");
	mem_cleanup char *line = judged(text);
	assert_non_null(line);
	assert_non_null(strstr(line, "is another directory than the one that a server could write to"));
}

static void a_text_that_npxc_did_not_write_is_refused(void **state)
{
	static const char *const TEXTS[] = {
		"",
		"{",
		"{}",
		"[]",
		"{\"trees\":{}}",
		"{\"trees\":[1]}",
		"{\"trees\":[{\"path\":\"p\",\"at\":\"1:2:3:d\",\"names\":[]}]}",
		"{\"trees\":[{\"path\":\"/p\",\"at\":\"1:2:d\",\"names\":[]}]}",
		"{\"trees\":[{\"path\":\"/p\",\"at\":\"1:2:3:\",\"names\":[]}]}",
		"{\"trees\":[{\"path\":\"/p\",\"at\":\"1:2:3:dd\",\"names\":[]}]}",
		"{\"trees\":[{\"path\":\"/p\",\"at\":\"1:2:-3:d\",\"names\":[]}]}",
		"{\"trees\":[{\"path\":\"/p\",\"at\":\"1:2:3:d\"}]}",
		"{\"trees\":[{\"path\":\"/p\",\"at\":\"1:2:3:d\",\"names\":[[]]}]}",
		"{\"trees\":[{\"path\":\"/p\",\"at\":\"1:2:3:d\",\"names\":[[\"1:2:3:d\"]]}]}",
		"{\"trees\":[{\"path\":\"/p\",\"at\":\"1:2:3:d\",\"names\":[[\"1:2:3:d\",1]]}]}",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(TEXTS) / sizeof(TEXTS[0]); i++) {
		struct guards_tree *trees = NULL;
		size_t count = 0;
		struct npxc_error err = { 0 };

		if (guards_parse(TEXTS[i], strlen(TEXTS[i]), &trees, &count, &err))
			fail_msg("%s", TEXTS[i]);
		assert_int_equal(err.kind, ERROR_JSON);
	}
}

static void a_dead_sessions_list_goes_or_is_kept_for_gc(void **state)
{
	const struct world *w = *state;
	mem_cleanup char *text = text_now(w);
	mem_cleanup char *directory = str_path_join(w->top, "unsafe");
	mem_cleanup char *file = str_path_join(directory, "npxc-x-01234567.json");
	mem_cleanup char *other = str_path_join(directory, "npxc-y-01234567.json");
	mem_cleanup char *half = str_path_join(directory, "npxc-x-01234567.json.tmp");
	struct strv lines = { 0 };
	struct npxc_error err = { 0 };

	assert_true(guards_settle(file, &err)); /* it died before it was written */
	assert_true(file_make_directories(directory, 0700, &err));
	assert_true(file_write_atomic(half, "{", 1, 0600, &err)); /* while it was written */
	assert_true(guards_settle(file, &err));
	assert_false(file_exists(half));
	assert_true(file_write_atomic(file, text, strlen(text), 0600, &err));
	assert_true(file_write_atomic(half, "{", 1, 0600, &err));
	assert_true(guards_settle(file, &err));
	assert_false(file_exists(file));
	assert_false(file_exists(half));

	make(w, ".envrc");
	assert_true(file_write_atomic(file, text, strlen(text), 0600, &err));
	assert_true(file_write_atomic(other, text, strlen(text), 0600, &err)); /* of one that lives */
	assert_true(guards_settle(file, &err));
	guards_collect(directory, &lines);
	assert_int_equal(lines.count, 1);
	assert_non_null(strstr(lines.v[0], ": .envrc; look at it"));
	assert_false(file_exists(file));
	assert_true(file_exists(other));
	strv_done(&lines);
}

#define WORLD(f) cmocka_unit_test_setup_teardown(f, world_make, world_remove)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD(finds_them_at_any_depth_and_not_within_one_another),
		WORLD(finds_what_such_names_lead_to),
		WORLD(a_ceiling_and_a_deadline_give_no_part_of_the_answer),
		WORLD(passes_over_what_the_server_cannot_enter),
		WORLD(looks_into_what_the_server_can_open_for_itself),
		WORLD(too_few_descriptors_give_no_part_of_the_answer),
		WORLD(tells_what_was_made_or_replaced),
		WORLD(another_tree_by_the_same_name_is_not_taken_for_it),
		WORLD(a_text_that_npxc_did_not_write_is_refused),
		WORLD(a_dead_sessions_list_goes_or_is_kept_for_gc),
	};

	return cmocka_run_group_tests_name("guards", tests, NULL, NULL);
}
