#include "unit.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "store/cache.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static char *store;
static struct store_host host;

static int set_up(void **state)
{
	struct npxc_error err = { 0 };

	(void)state;
	host = (struct store_host){ .is_root = geteuid() == 0 };
	if (!file_make_temporary_directory("/tmp", "npxc-cache-", &store, &err))
		return -1;
	host.store_directory = store;
	return 0;
}

static int tear_down(void **state)
{
	struct npxc_error err = { 0 };
	const bool fine = file_remove_tree(store, &err);

	(void)state;
	free(store);
	return fine ? 0 : -1;
}

static void open_it(struct cache *cache)
{
	struct npxc_error err = { 0 };

	if (!cache_open(&host, cache, &err))
		fail_msg("%s", err.message);
}

/* 64 KiB, written so many seconds after the year 2000. */
static void add(const char *name, time_t at)
{
	static char bytes[64 * 1024];
	const struct timespec times[2] = { { .tv_sec = 946684800 + at }, { .tv_sec = 946684800 + at } };
	mem_cleanup char *path = str_printf("%s/cache/npm/%s", store, name);
	struct npxc_error err = { 0 };

	memset(bytes, name[0], sizeof(bytes));
	assert_true(file_write_alone(path, bytes, sizeof(bytes), 0644, &err));
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static bool has(const char *name)
{
	mem_cleanup char *path = str_printf("%s/cache/npm/%s", store, name);

	return access(path, F_OK) == 0;
}

static void trim(uint64_t most)
{
	struct npxc_error err = { 0 };

	if (!cache_trim(store, most, &err))
		fail_msg("%s", err.message);
}

static void removes_what_was_written_longest_ago_and_only_above_the_ceiling(void **state)
{
	struct cache cache;

	(void)state;
	open_it(&cache);
	add("c-new", 30);
	add("a-old", 10);
	add("b-middle", 20);
	trim(1024 * 1024);
	assert_true(has("a-old") && has("b-middle") && has("c-new"));
	trim(180 * 1024); /* 135 KiB stay */
	assert_true(!has("a-old") && has("b-middle") && has("c-new"));
	trim(1024);
	assert_true(!has("b-middle") && !has("c-new"));
	cache_close(&cache);
}

static void follows_no_link_that_leads_out(void **state)
{
	mem_cleanup char *outside = str_printf("%s/outside", store);
	mem_cleanup char *kept = str_printf("%s/outside/kept", store);
	mem_cleanup char *link = str_printf("%s/cache/npm/link", store);
	struct npxc_error err = { 0 };
	struct cache cache;
	uint64_t bytes;
	bool is_kept;

	(void)state;
	open_it(&cache);
	assert_int_equal(mkdir(outside, 0755), 0);
	assert_true(file_write_alone(kept, "x", 1, 0644, &err));
	assert_int_equal(symlink(outside, link), 0);
	add("a", 1);
	trim(1);
	assert_true(!has("a") && access(kept, F_OK) == 0);
	cache_close(&cache);
	assert_true(cache_remove(store, &bytes, &is_kept, &err));
	assert_true(!is_kept && access(kept, F_OK) == 0);
}

static void a_cache_that_is_a_link_is_refused(void **state)
{
	mem_cleanup char *holder = str_printf("%s/cache", store);
	mem_cleanup char *leaf = str_printf("%s/cache/npm", store);
	struct npxc_error err = { 0 };
	struct cache cache;

	(void)state;
	assert_int_equal(mkdir(holder, 0755), 0);
	assert_int_equal(symlink("/tmp", leaf), 0);
	assert_false(cache_open(&host, &cache, &err));
	assert_int_equal(err.kind, ERROR_IO);
}

static void is_kept_while_it_is_used_and_made_anew_after(void **state)
{
	struct npxc_error err = { 0 };
	struct cache cache, second;
	uint64_t bytes;
	bool is_kept;

	(void)state;
	assert_true(cache_remove(store, &bytes, &is_kept, &err));
	assert_true(bytes == 0 && !is_kept && cache_bytes(store) == 0);
	open_it(&cache);
	open_it(&second);
	add("a", 1);
	assert_true(cache_bytes(store) >= 64 * 1024);
	cache_close(&second);
	assert_true(cache_remove(store, &bytes, &is_kept, &err));
	assert_true(is_kept && bytes == 0 && has("a"));
	cache_close(&cache);
	assert_true(cache_remove(store, &bytes, &is_kept, &err));
	assert_true(!is_kept && bytes >= 64 * 1024 && !has("a"));
	open_it(&cache);
	cache_close(&cache);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(removes_what_was_written_longest_ago_and_only_above_the_ceiling, set_up,
		                                tear_down),
		cmocka_unit_test_setup_teardown(follows_no_link_that_leads_out, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_cache_that_is_a_link_is_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(is_kept_while_it_is_used_and_made_anew_after, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
