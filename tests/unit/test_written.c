#include "unit.h"

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"
#include "files/data.h"
#include "files/written.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct world {
	char *top, *file;
};

static int world_make(void **state)
{
	struct world *w = mem_alloc(sizeof(*w));
	struct npxc_error err;
	mem_cleanup char *made = NULL;

	if (!file_make_temporary_directory("/tmp", "npxc-test-", &made, &err) || !file_real_path(made, &w->top, &err) ||
	    chmod(w->top, 0777) == -1)
		return -1;
	w->file = str_path_join(w->top, "state/written");
	*state = w;
	return 0;
}

static int world_remove(void **state)
{
	struct world *w = *state;
	struct npxc_error err;
	const bool gone = file_remove_tree(w->top, &err);

	free(w->top);
	free(w->file);
	free(w);
	return gone ? 0 : -1;
}

static char *tree(const struct world *w, const char *name)
{
	struct npxc_error err;
	char *path = str_path_join(w->top, name);

	assert_true(file_make_directories(path, 0755, &err));
	return path;
}

static void add(const struct world *w, const char *path)
{
	struct strv known = { 0 }, trees = { 0 };
	struct npxc_error err = { 0 };

	strv_push(&trees, path);
	if (!written_read(w->file, &known, &err) || !written_add(w->file, &known, &trees, &err))
		fail_msg("%s", err.message);
	strv_done(&known);
	strv_done(&trees);
}

/* The trees that are known, with a blank between, below <top>. */
static char *known(const struct world *w)
{
	struct strv trees = { 0 };
	struct npxc_error err = { 0 };
	char *text = str_dup("");

	if (!written_read(w->file, &trees, &err))
		fail_msg("%s", err.message);
	for (size_t i = 0; i < trees.count; i++) {
		char *longer = str_printf("%s%s%s", text, i == 0 ? "" : " ", trees.v[i] + strlen(w->top));

		free(text);
		text = longer;
	}
	strv_done(&trees);
	return text;
}

static void keeps_each_tree_once_and_as_long_as_it_is_there(void **state)
{
	const struct world *w = *state;
	mem_cleanup char *a = tree(w, "a");
	mem_cleanup char *inner = tree(w, "a/inner");
	mem_cleanup char *odd = tree(w, "o\"d\nd");
	mem_cleanup char *gone = tree(w, "gone");
	mem_cleanup char *b = tree(w, "b");
	mem_cleanup char *said = NULL;

	add(w, inner);
	add(w, a);
	add(w, inner);
	add(w, odd);
	add(w, gone);
	assert_int_equal(rmdir(gone), 0);
	add(w, b);
	said = known(w);
	assert_string_equal(said, "/a /o\"d\nd /b");
}

static void keeps_the_latest_of_too_many(void **state)
{
	const struct world *w = *state;
	struct strv none = { 0 }, trees = { 0 };
	struct npxc_error err = { 0 };

	for (unsigned i = 0; i <= LIMIT_WRITTEN_TREES; i++) {
		mem_cleanup char *name = str_printf("%u", i);

		strv_push_owned(&trees, tree(w, name));
	}
	assert_true(written_add(w->file, &none, &trees, &err));
	assert_true(written_read(w->file, &none, &err));
	assert_int_equal(none.count, LIMIT_WRITTEN_TREES);
	assert_string_equal(none.v[0], trees.v[1]);
	strv_done(&none);
	strv_done(&trees);
}

static void a_file_that_npxc_did_not_write_is_refused(void **state)
{
	const struct world *w = *state;
	static const char *const TEXTS[] = { "x\n", "\"/a\"", "\"a\"\n", "\"/a\" \n", "{}\n", "\"/a\"\n\n", "/a\n" };
	mem_cleanup char *directory = str_path_join(w->file, "..");
	struct npxc_error err = { 0 };

	assert_true(file_make_directories(directory, 0700, &err));
	for (size_t i = 0; i < sizeof(TEXTS) / sizeof(TEXTS[0]); i++) {
		struct strv trees = { 0 };

		assert_true(file_write_atomic(w->file, TEXTS[i], strlen(TEXTS[i]), 0600, &err));
		if (written_read(w->file, &trees, &err))
			fail_msg("%s", TEXTS[i]);
		assert_int_equal(err.kind, ERROR_JSON);
	}
}

static void a_packages_directory_is_made_and_is_no_link(void **state)
{
	const struct world *w = *state;
	mem_cleanup char *own = str_path_join(w->top, "data/key");
	mem_cleanup char *other = tree(w, "other");
	struct source source = SOURCE_NONE;
	struct npxc_error err = { 0 };

	assert_true(data_open(own, NULL, false, -1, &source, &err));
	assert_null(source.path);
	assert_true(data_open(own, NULL, true, geteuid() == 0 ? (int)SANDBOX_DROP_UID : -1, &source, &err));
	assert_string_equal(source.path, own);
	assert_int_equal(source.info.st_mode & 0777, 0700);
	if (geteuid() == 0) {
		struct stat info;

		assert_int_equal(stat(own, &info), 0);
		assert_int_equal(info.st_uid, SANDBOX_DROP_UID);
	}
	source_done(&source);
	source = (struct source)SOURCE_NONE;
	assert_int_equal(rmdir(own), 0);
	assert_int_equal(symlink(other, own), 0);
	assert_false(data_open(own, NULL, true, -1, &source, &err));
	assert_int_equal(err.kind, ERROR_CONFIG);
	assert_non_null(strstr(err.message, "is a symbolic link"));
}

static void a_users_link_on_the_way_is_followed_and_a_servers_is_not(void **state)
{
	const struct world *w = *state;
	mem_cleanup char *disk = tree(w, "disk");
	mem_cleanup char *written = tree(w, "p");
	mem_cleanup char *link = str_path_join(written, "share");
	mem_cleanup char *own = str_path_join(link, "key");
	struct source source = SOURCE_NONE;
	struct npxc_error err = { 0 };
	struct strv trees = { 0 };

	assert_int_equal(chmod(written, 0777), 0);
	assert_non_null(disk);
	assert_int_equal(symlink("../disk", link), 0);
	assert_true(data_open(own, NULL, true, -1, &source, &err));
	source_done(&source);
	source = (struct source)SOURCE_NONE;
	strv_push(&trees, written);
	assert_false(data_open(own, &trees, true, -1, &source, &err));
	assert_non_null(strstr(err.message, "which a server may have made"));
	strv_done(&trees);
}

#define WORLD(f) cmocka_unit_test_setup_teardown(f, world_make, world_remove)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD(keeps_each_tree_once_and_as_long_as_it_is_there),
		WORLD(keeps_the_latest_of_too_many),
		WORLD(a_file_that_npxc_did_not_write_is_refused),
		WORLD(a_packages_directory_is_made_and_is_no_link),
		WORLD(a_users_link_on_the_way_is_followed_and_a_servers_is_not),
	};

	return cmocka_run_group_tests_name("written", tests, NULL, NULL);
}
