#include "unit.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "config/workspace.h"
#include "files/links.h"
#include "files/worktree.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A user's world: <top>/home with what each test makes in it. */
struct world {
	char *top, *home;
};

static int world_make(void **state)
{
	struct world *w = mem_alloc(sizeof(*w));
	struct npxc_error err;
	mem_cleanup char *made = NULL;

	if (!file_make_temporary_directory("/tmp", "npxc-test-", &made, &err) || !file_real_path(made, &w->top, &err))
		return -1;
	w->home = str_path_join(w->top, "home");
	*state = w;
	return file_make_directories(w->home, 0755, &err) ? 0 : -1;
}

static int world_remove(void **state)
{
	struct world *w = *state;
	struct npxc_error err;
	const bool gone = file_remove_tree(w->top, &err);

	free(w->top);
	free(w->home);
	free(w);
	return gone ? 0 : -1;
}

/* "d/" a directory, "a -> b" a link, "a=text" a file; relative to <top>. */
static void make(const struct world *w, const char *what)
{
	struct npxc_error err;
	const char *arrow = strstr(what, " -> "), *equals = strchr(what, '=');
	const size_t length = arrow != NULL    ? (size_t)(arrow - what)
	                      : equals != NULL ? (size_t)(equals - what)
	                                       : strlen(what);
	mem_cleanup char *name = str_dup_n(what, length);
	mem_cleanup char *path = str_path_join(w->top, name);
	mem_cleanup char *parent = str_path_join(path, "..");

	assert_true(file_make_directories(arrow == NULL && str_ends(what, "/") ? path : parent, 0755, &err));
	if (arrow != NULL)
		assert_int_equal(symlink(arrow + 4, path), 0);
	else if (equals != NULL)
		assert_true(file_write_atomic(path, equals + 1, strlen(equals + 1), 0644, &err));
}

static void the_root_of_a_workspace_or_repository_never_reaches_home(void **state)
{
	const struct world *w = *state;
	static const struct {
		const char *make[4];
		const char *directory, *root;
	} CASES[] = {
		{ { "home/1/d/" }, "home/1/d", "home/1/d" },
		{ { "home/2/.git/", "home/2/d/e/" }, "home/2/d/e", "home/2" },
		{ { "home/3/.git=gitdir: /x", "home/3/d/" }, "home/3/d", "home/3" },
		{ { "home/4/package.json={\"workspaces\":[]}", "home/4/d/.git/" }, "home/4/d", "home/4" },
		{ { "home/5/package.json={\"workspaces\":{}}", "home/5/d/" }, "home/5/d", "home/5" },
		{ { "home/6/package.json={\"workspaces\":\"*\"}", "home/6/d/" }, "home/6/d", "home/6/d" },
		{ { "home/7/package.json={", "home/7/d/" }, "home/7/d", "home/7/d" },
		{ { "home/8/pnpm-workspace.yaml=", "home/8/d/" }, "home/8/d", "home/8" },
		{ { "home/9/.git -> /", "home/9/d/" }, "home/9/d", "home/9/d" },
		{ { "home/10/node_modules/@s/x/" }, "home/10/node_modules/@s/x", "home/10" },
		{ { "home/.git/", "home/package.json={\"workspaces\":[]}", ".git/", "home/11/" },
		  "home/11",
		  "home/11" },
		{ { "home/node_modules/x/" }, "home/node_modules/x", "home/node_modules/x" },
		{ { "out/d/" }, "out/d", "" /* <top>/.git, above home's sibling */ },
	};

	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		for (size_t k = 0; k < 4 && CASES[i].make[k] != NULL; k++)
			make(w, CASES[i].make[k]);
		mem_cleanup char *directory = str_path_join(w->top, CASES[i].directory);
		mem_cleanup char *wanted = str_path_join(w->top, CASES[i].root[0] == '\0' ? "out/d" : CASES[i].root);
		mem_cleanup char *root = workspace_root(directory, w->home);
		assert_string_equal(root, wanted);
	}
	assert_true(workspace_is_too_wide("/", NULL));
	assert_true(workspace_is_too_wide("/home", "/home/u"));
	assert_true(workspace_is_too_wide("/home/u", "/home/u"));
	assert_false(workspace_is_too_wide("/home/u2", "/home/u"));
	assert_false(workspace_is_too_wide("/home/u/x", "/home/u"));
}

/* What is shown beside the package itself, relative to <top>, with blanks between; or a part of the note or error. */
static void what_links_show(void **state)
{
	const struct world *w = *state;
	static const struct {
		const char *link; /* at home/repo/d/node_modules/NAME; NULL: none */
		const char *shown, *said;
	} CASES[] = {
		{ NULL, "", NULL },
		{ "in -> ../../lib", "home/repo/lib", NULL },
		{ "abs -> %T/home/repo/lib", "home/repo/lib", NULL },
		{ "@s/in -> ../../../lib", "home/repo/lib", NULL },
		{ "twice -> ../../via", "home/repo/lib", NULL },
		{ "own -> ../inner", "", NULL },
		{ "root -> ../..", "home/repo", NULL },
		{ "gone -> ../../gone", "", NULL },
		{ "loop -> loop", "", NULL },
		{ "file -> ../../lib/package.json", "", NULL },
		{ ".bin -> ../../lib", "", NULL },
		{ "plain -> ../../plain", "", "which is no package" },
		{ "out -> ../../../out", "", "outside of the package's workspace" },
		{ "hidden -> ../../out-by-link", "", "outside of the package's workspace" },
		{ "home -> ../../..", "", "the home directory or above it" },
		{ "top -> /", "", "the home directory or above it" },
		{ "ssh -> ../../../.ssh", "", "where secrets are commonly kept" },
		{ "env -> ../../.env.d", "", "where secrets are commonly kept" },
		{ "linked -> ../../../out", "home/out", NULL },
		{ "@s/linked -> ../../../../out", "home/out", NULL },
		{ "impostor -> ../../../out", "", "outside of the package's workspace" },
	};
	static const char *const WORLD[] = { "home/repo/.git/",
		                             "home/repo/package.json={}",
		                             "home/repo/lib/package.json={}",
		                             "home/repo/via -> lib",
		                             "home/repo/d/package.json={}",
		                             "home/repo/d/inner/package.json={}",
		                             "home/repo/plain/x=",
		                             "home/repo/.env.d/package.json={}",
		                             "home/out/package.json={}",
		                             "home/repo/out-by-link -> ../out",
		                             "home/.ssh/package.json={}",
		                             "home/other/package.json={}",
		                             "global/linked -> ../home/out",
		                             "global/@s/linked -> ../../home/out",
		                             "global/impostor -> ../home/other" };

	for (size_t i = 0; i < sizeof(WORLD) / sizeof(WORLD[0]); i++)
		make(w, WORLD[i]);
	mem_cleanup char *directory = str_path_join(w->top, "home/repo/d");
	mem_cleanup char *root = str_path_join(w->top, "home/repo");
	mem_cleanup char *modules = str_path_join(directory, "node_modules");
	mem_cleanup char *global = str_path_join(w->top, "global");
	const struct links_input input = {
		.typed = directory, .path = directory, .root = root, .home = w->home, .global = global
	};
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		struct npxc_error err;
		struct links links;
		mem_cleanup char *shown = str_dup("");

		if (CASES[i].link != NULL) {
			const char *percent = strstr(CASES[i].link, "%T");
			mem_cleanup char *line =
			    percent == NULL
			        ? str_printf("home/repo/d/node_modules/%s", CASES[i].link)
			        : str_printf("home/repo/d/node_modules/%.*s%s%s", (int)(percent - CASES[i].link),
			                     CASES[i].link, w->top, percent + 2);
			make(w, line);
		}
		assert_true(links_find(&input, &links, &err));
		assert_string_equal(links.v[0].path, directory);
		for (size_t k = 1; k < links.count; k++) {
			char *longer =
			    str_printf("%s%s%s", shown, k > 1 ? " " : "", links.v[k].path + strlen(w->top) + 1);
			free(shown);
			shown = longer;
		}
		assert_string_equal(shown, CASES[i].shown);
		assert_int_equal(links.notes.count, CASES[i].said != NULL);
		if (CASES[i].said != NULL)
			assert_non_null(strstr(links.notes.v[0], CASES[i].said));
		links_done(&links);
		if (CASES[i].link != NULL)
			assert_true(file_remove_tree(modules, &err));
	}
}

static void refuses_links_that_a_server_may_have_made_and_a_directory_that_became_another(void **state)
{
	const struct world *w = *state;
	static const char *const WORLD[] = { "home/repo/.git/", "home/repo/lib/package.json={}",
		                             "home/repo/d/package.json={}", "home/repo/d/node_modules/x -> ../../lib",
		                             "home/repo/d/self -> ../lib" };

	for (size_t i = 0; i < sizeof(WORLD) / sizeof(WORLD[0]); i++)
		make(w, WORLD[i]);
	mem_cleanup char *directory = str_path_join(w->top, "home/repo/d");
	mem_cleanup char *modules = str_path_join(directory, "node_modules");
	mem_cleanup char *root = str_path_join(w->top, "home/repo");
	mem_cleanup char *lib = str_path_join(root, "lib");
	mem_cleanup char *self = str_path_join(directory, "self");
	struct strv written = { 0 }, shown = { 0 };
	struct npxc_error err;
	struct links links;

	assert_int_equal(chmod(directory, 0777), 0); /* what root's alone is no server's */
	assert_int_equal(chmod(modules, 0777), 0);
	strv_push(&written, directory);
	struct links_input input = { .typed = directory,
		                     .path = directory,
		                     .root = root,
		                     .home = w->home,
		                     .written = &written,
		                     .shown = &shown };
	assert_false(links_find(&input, &links, &err));
	assert_int_equal(err.kind, ERROR_CONFIG);
	assert_non_null(strstr(err.message, "which a server may have made"));
	/* By the user's own word it is fine. */
	strv_push(&shown, lib);
	assert_true(links_find(&input, &links, &err));
	assert_int_equal(links.count, 1);
	links_done(&links);
	input.typed = self;
	input.path = lib;
	assert_false(links_find(&input, &links, &err));
	assert_non_null(strstr(err.message, "which a server may have made"));
	input.written = NULL;
	input.path = directory;
	assert_false(links_find(&input, &links, &err));
	assert_non_null(strstr(err.message, "became"));
	strv_done(&written);
	strv_done(&shown);
}

/* What the test over npxc itself cannot make: a git directory that names back, in a place that is never shown. */
static void a_git_directory_that_names_back_is_not_shown_everywhere(void **state)
{
	const struct world *w = *state;
	static const struct {
		const char *git; /* where the common directory is */
		const char *written;
		bool shown;
	} CASES[] = {
		{ "home/main/.git", NULL, true },   { "home/.ssh", NULL, false },
		{ "home/.aws/x", NULL, false },     { "home", NULL, false },
		{ "home/p/link/repo", NULL, true }, { "home/p/link/repo", "home/p", false },
	};

	make(w, "home/p/link -> ../linked");
	make(w, "home/linked/");
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		mem_cleanup char *common = str_path_join(w->top, CASES[i].git);
		mem_cleanup char *project = str_path_join(w->top, "home/p");
		const char *const files[] = { "HEAD=x", "objects/", "refs/", "worktrees/n/commondir=../..\n" };
		struct source source = SOURCE_NONE, git = SOURCE_NONE;
		struct strv written = { 0 };
		struct npxc_error err;
		mem_cleanup char *note = NULL;

		for (size_t k = 0; k < sizeof(files) / sizeof(files[0]); k++) {
			mem_cleanup char *one = str_printf("%s/%s", CASES[i].git, files[k]);
			make(w, one);
		}
		mem_cleanup char *back = str_printf("%s/worktrees/n/gitdir=%s/.git\n", CASES[i].git, project);
		mem_cleanup char *file = str_printf("home/p/.git=gitdir: %s/worktrees/n\n", common);
		make(w, back);
		make(w, file);
		assert_int_equal(chmod(project, 0777), 0);
		assert_true(source_open(project, &source, &err));
		if (CASES[i].written != NULL) {
			mem_cleanup char *tree = str_path_join(w->top, CASES[i].written);
			strv_push(&written, tree);
		}
		const struct worktree_input input = { .project = &source, .home = w->home, .written = &written };
		assert_int_equal(worktree_find(&input, &git, &note), CASES[i].shown);
		assert_int_equal(note == NULL, CASES[i].shown);
		assert_true(worktree_is_own(&source));
		source_done(&git);
		source_done(&source);
		strv_done(&written);
	}
}

#define WORLD(f) cmocka_unit_test_setup_teardown(f, world_make, world_remove)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD(the_root_of_a_workspace_or_repository_never_reaches_home),
		WORLD(what_links_show),
		WORLD(refuses_links_that_a_server_may_have_made_and_a_directory_that_became_another),
		WORLD(a_git_directory_that_names_back_is_not_shown_everywhere),
	};

	return cmocka_run_group_tests_name("links", tests, NULL, NULL);
}
