#include "unit.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "files/source.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 *   <top>/{a/b/file, a/up -> .., a/to-file -> b/file, a/absolute -> <top>/a/b, loop -> loop, dangling -> gone, fifo}
 */
struct world {
	char *top;
};

static char *in(const struct world *w, const char *name)
{
	return str_printf("%s/%s", w->top, name);
}

static int world_make(void **state)
{
	struct world *w = mem_alloc(sizeof(*w));
	struct npxc_error err;
	mem_cleanup char *made = NULL;

	if (!file_make_temporary_directory("/tmp", "npxc-test-", &made, &err) || !file_real_path(made, &w->top, &err))
		return -1;
	mem_cleanup char *b = in(w, "a/b");
	mem_cleanup char *file = in(w, "a/b/file");
	mem_cleanup char *fifo = in(w, "fifo");
	static const char *const LINKS[][2] = {
		{ "a/up", ".." }, { "a/to-file", "b/file" }, { "loop", "loop" }, { "dangling", "gone" }
	};
	mem_cleanup char *a = in(w, "a");
	/* Others than root may write there: a link may be anybody's. */
	bool fine = chmod(w->top, 0777) == 0 && file_make_directories(b, 0755, &err) && chmod(a, 0777) == 0 &&
	            file_write_atomic(file, "x", 1, 0644, &err) && mkfifo(fifo, 0644) == 0;
	for (size_t i = 0; i < sizeof(LINKS) / sizeof(LINKS[0]); i++) {
		mem_cleanup char *path = in(w, LINKS[i][0]);
		fine = fine && symlink(LINKS[i][1], path) == 0;
	}
	mem_cleanup char *absolute = in(w, "a/absolute");
	*state = w;
	return fine && symlink(b, absolute) == 0 ? 0 : -1;
}

static int world_remove(void **state)
{
	struct world *w = *state;
	struct npxc_error err;
	const bool gone = file_remove_tree(w->top, &err);

	free(w->top);
	free(w);
	return gone ? 0 : -1;
}

static void walks_where_the_kernel_would_and_tells_the_links(void **state)
{
	const struct world *w = *state;
	static const struct {
		const char *path, *leads;
		const char *links[3];
	} CASES[] = {
		{ "a/b/file", "a/b/file", { NULL } },
		{ "a//b/./file", "a/b/file", { NULL } },
		{ "a/b/../b/", "a/b", { NULL } },
		{ "a/to-file", "a/b/file", { "a/to-file" } },
		{ "a/up/a/to-file", "a/b/file", { "a/up", "a/to-file" } },
		{ "a/absolute/file", "a/b/file", { "a/absolute" } },
		{ "a/absolute/../to-file", "a/b/file", { "a/absolute", "a/to-file" } },
		{ "fifo", "fifo", { NULL } },
	};

	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		mem_cleanup char *path = in(w, CASES[i].path);
		mem_cleanup char *leads = in(w, CASES[i].leads);
		struct source source = SOURCE_NONE;
		struct npxc_error err = { 0 };
		struct stat named, opened;
		size_t links = 0;

		if (!source_open(path, &source, &err))
			fail_msg("%s: %s", path, err.message);
		assert_string_equal(source.path, leads);
		assert_int_equal(stat(path, &named), 0);
		assert_int_equal(source.info.st_ino, named.st_ino);
		assert_int_equal(fstat(source.fd, &opened), 0);
		assert_int_equal(opened.st_ino, named.st_ino);
		for (; links < 3 && links < source.links.count && CASES[i].links[links] != NULL; links++) {
			mem_cleanup char *link = in(w, CASES[i].links[links]);

			assert_string_equal(source.links.v[links], link);
		}
		assert_int_equal(source.links.count, links);
		source_done(&source);
	}
}

static void what_leads_nowhere_is_an_error_that_says_why(void **state)
{
	const struct world *w = *state;
	static const struct {
		const char *path;
		int number;
	} CASES[] = {
		{ "gone", ENOENT },        { "a/gone/x", ENOENT },     { "dangling", ENOENT },
		{ "loop", ELOOP },         { "a/b/file/", ENOTDIR },   { "a/b/file/x", ENOTDIR },
		{ "a/to-file/", ENOTDIR }, { "a/b/file/..", ENOTDIR },
	};

	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		mem_cleanup char *path = in(w, CASES[i].path);
		struct source source = SOURCE_NONE;
		struct npxc_error err = { 0 };

		assert_false(source_open(path, &source, &err));
		assert_int_equal(err.kind, ERROR_PATH_NOT_FOUND);
		assert_int_equal(err.sys_errno, CASES[i].number);
	}
}

/* A link of a distribution's own: /bin, /var/run, /etc/os-release. */
static void a_link_that_only_root_can_have_made_is_not_told(void **state)
{
	static const char *const PATHS[] = { "/var/run", "/bin", "/lib", "/etc/mtab" };
	unsigned seen = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(PATHS) / sizeof(PATHS[0]); i++) {
		struct source source = SOURCE_NONE;
		struct npxc_error err = { 0 };
		struct stat info;

		if (lstat(PATHS[i], &info) != 0 || !S_ISLNK(info.st_mode))
			continue;
		assert_true(source_open(PATHS[i], &source, &err));
		assert_string_not_equal(source.path, PATHS[i]);
		assert_int_equal(source.links.count, 0);
		source_done(&source);
		seen++;
	}
	if (seen == 0)
		skip(); /* a system without any of them */
}

static void the_root_and_relative_paths(void **state)
{
	struct source source = SOURCE_NONE;
	struct npxc_error err = { 0 };

	(void)state;
	assert_true(source_open("/../..", &source, &err));
	assert_string_equal(source.path, "/");
	source_done(&source);
	assert_false(source_open("a", &source, &err));
	assert_false(source_open("", &source, &err));
	source_done(&source);
}

/* What is renamed afterwards is still what was opened. */
static void stays_with_the_file_that_was_opened(void **state)
{
	const struct world *w = *state;
	mem_cleanup char *b = in(w, "a/b");
	mem_cleanup char *aside = in(w, "a/aside");
	struct source source = SOURCE_NONE;
	struct npxc_error err = { 0 };
	struct stat before, after;

	assert_true(source_open(b, &source, &err));
	assert_int_equal(stat(b, &before), 0);
	assert_int_equal(rename(b, aside), 0);
	assert_int_equal(symlink("/", b), 0);
	assert_int_equal(fstat(source.fd, &after), 0);
	assert_int_equal(after.st_ino, before.st_ino);
	source_done(&source);
}

#define WORLD(f) cmocka_unit_test_setup_teardown(f, world_make, world_remove)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD(walks_where_the_kernel_would_and_tells_the_links),
		WORLD(what_leads_nowhere_is_an_error_that_says_why),
		WORLD(a_link_that_only_root_can_have_made_is_not_told),
		WORLD(the_root_and_relative_paths),
		WORLD(stays_with_the_file_that_was_opened),
	};

	return cmocka_run_group_tests_name("source", tests, NULL, NULL);
}
