/* What an install script left, on its way into the store. */
#include "unit.h"

#include "base/fd.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/tree.h"
#include "store/record.h"
#include "store/staging.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct place {
	char *path, *store, *secret;
	struct store_host host;
	struct staging staging;
	char *tree; /* <staging>/package, which the script wrote */
	int root;   /* of it */
};

static bool hold(void *context, const char *path, unsigned *ret_id, struct npxc_error *err)
{
	(void)context;
	(void)path;
	(void)err;
	*ret_id = 1;
	return true;
}

static bool release(void *context, unsigned id, struct npxc_error *err)
{
	(void)context;
	(void)id;
	(void)err;
	return true;
}

static void put(int at, const char *name, mode_t mode)
{
	struct npxc_error err;

	assert_true(tree_create(at, name, "text", 4, mode, NULL, &err));
}

static int make_place(void **state)
{
	struct place *place = mem_alloc(sizeof(*place));
	struct npxc_error err;
	FD_CLEANUP int top = -1;

	assert_true(file_make_temporary_directory("/tmp", "test-staging-", &place->path, &err));
	place->store = str_printf("%s/store", place->path);
	place->secret = str_printf("%s/secret", place->path);
	assert_true(tree_open(place->path, &top, &err));
	put(top, "secret", 0600);
	place->host = (struct store_host){
		.hold_directory = hold, .release = release, .store_directory = place->store, .is_root = geteuid() == 0
	};
	assert_true(staging_make(&place->host, &place->staging, &err));
	assert_true(staging_add(&place->staging, "package", &place->tree, &err));
	assert_true(tree_open(place->tree, &place->root, &err));
	*state = place;
	return 0;
}

static int remove_place(void **state)
{
	struct place *place = *state;
	struct npxc_error err;
	struct stat info = { 0 };
	const bool same = stat(place->secret, &info) == 0 && (info.st_mode & 07777) == 0600 &&
	                  info.st_uid == geteuid() && info.st_size == 4;
	bool removed;

	fd_close(&place->root);
	staging_done(&place->staging);
	removed = file_remove_tree(place->path, &err);
	free(place->path);
	free(place->store);
	free(place->secret);
	free(place->tree);
	free(place);
	return same && removed ? 0 : -1;
}

static mode_t mode_of(int root, const char *name)
{
	struct npxc_error err;
	struct stat info;

	assert_true(tree_look(root, name, &info, &err));
	return info.st_mode & 07777;
}

static void sealing_takes_what_builds_make_and_no_more_rights(void **state)
{
	struct place *place = *state;
	struct npxc_error err = { 0 };
	uint64_t bytes = 0;

	put(place->root, "program", 06777);
	assert_true(tree_make_directory(place->root, "closed", 0755, NULL, &err));
	put(place->root, "closed/file", 0);
	assert_int_equal(linkat(place->root, "program", place->root, "closed/twin", 0), 0);
	assert_true(tree_make_link(place->root, "link", place->secret, &err));
	assert_int_equal(mkfifoat(place->root, "fifo", 0666), 0);
	assert_int_equal(fchmodat(place->root, "closed", 0, 0), 0);
	assert_int_equal(fchmod(place->root, 0), 0);
	assert_true(staging_seal(&place->staging, place->tree, &bytes, &err));
	assert_true(bytes >= 8192);
	assert_int_equal(mode_of(place->root, "program"), 0755);
	assert_int_equal(mode_of(place->root, "closed") & 0700, 0700);
	assert_int_equal(mode_of(place->root, "closed/file") & 0400, 0400);
	assert_int_equal(mode_of(place->root, "closed/file") & 07022, 0);
	assert_false(tree_is_file(place->root, "fifo"));
	assert_int_equal(faccessat(place->root, "fifo", F_OK, AT_SYMLINK_NOFOLLOW), -1);
}

static void sealing_refuses_a_file_that_has_a_name_outside(void **state)
{
	struct place *place = *state;
	struct npxc_error err = { 0 };
	uint64_t bytes;

	assert_int_equal(linkat(AT_FDCWD, place->secret, place->root, "mine", 0), 0);
	assert_int_equal(linkat(AT_FDCWD, place->secret, place->root, "mine too", 0), 0);
	assert_false(staging_seal(&place->staging, place->tree, &bytes, &err));
	assert_int_equal(err.sys_errno, EMLINK);
	/* remove_place looks at its mode and owner */
}

static void a_link_is_not_moved_into_the_store(void **state)
{
	struct place *place = *state;
	mem_cleanup char *final = str_printf("%s/node/1.0.0", place->store);
	mem_cleanup char *link = str_printf("%s/link", place->tree);
	mem_cleanup char *through = str_printf("%s/link/real", place->tree);
	mem_cleanup char *real = str_printf("%s/real", place->tree);
	struct npxc_error err = { 0 };

	assert_true(tree_make_directory(place->root, "real", 0755, NULL, &err));
	assert_true(tree_make_link(place->root, "link", ".", &err));
	assert_false(staging_settle(&place->staging, link, final, &err));
	assert_int_equal(err.sys_errno, ELOOP);
	assert_false(staging_settle(&place->staging, through, final, &err));
	assert_int_equal(err.sys_errno, ELOOP);
	assert_true(staging_settle(&place->staging, real, final, &err));
	assert_true(file_is_directory(final));
	assert_true(staging_remove(final, &err));
	assert_false(file_is_directory(final));
}

static void a_record_takes_the_place_of_whatever_stands_there(void **state)
{
	struct place *place = *state;
	struct record record = { .label = str_dup("1.0.0") };
	struct record again;
	struct npxc_error err = { 0 };

	record_add(&record, "name", "1.0.0", NULL);
	assert_true(tree_make_directory(place->root, "npxc.json", 0700, NULL, &err));
	put(place->root, "npxc.json/file", 0600);
	assert_int_equal(fchmodat(place->root, "npxc.json", 0, 0), 0);
	assert_true(record_write(place->tree, &record, &err));
	assert_true(tree_remove(place->root, "npxc.json", &err));
	assert_true(tree_make_link(place->root, "npxc.json", place->secret, &err));
	assert_false(record_read(place->tree, &again, &err));
	assert_true(record_write(place->tree, &record, &err));
	assert_true(record_read(place->tree, &again, &err));
	assert_string_equal(again.packages[0].name, "name");
	record_done(&again);
	record_done(&record);
}

static void only_what_staging_made_is_dropped(void **state)
{
	struct place *place = *state;
	mem_cleanup char *beside = str_printf("%s-more", place->staging.path);
	struct npxc_error err = { 0 };

	assert_false(staging_drop(&place->staging, place->secret, &err));
	assert_false(staging_drop(&place->staging, beside, &err));
	assert_false(staging_drop(&place->staging, place->staging.path, &err));
	put(place->root, "file", 0);
	assert_int_equal(fchmod(place->root, 0), 0);
	assert_true(staging_drop(&place->staging, place->tree, &err));
	assert_false(file_is_directory(place->tree));
}

#define IN_PLACE(test) cmocka_unit_test_setup_teardown(test, make_place, remove_place)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_PLACE(sealing_takes_what_builds_make_and_no_more_rights),
		IN_PLACE(sealing_refuses_a_file_that_has_a_name_outside),
		IN_PLACE(a_link_is_not_moved_into_the_store),
		IN_PLACE(a_record_takes_the_place_of_whatever_stands_there),
		IN_PLACE(only_what_staging_made_is_dropped),
	};

	alarm(120);
	return cmocka_run_group_tests_name("staging", tests, NULL, NULL);
}
