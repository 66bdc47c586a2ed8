#include "unit.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "session/search.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A HOME with a state directory; removed by unit's own means. */
static char *home, *state;

static int make_home(void **context)
{
	static char name[64];

	(void)context;
	snprintf(name, sizeof(name), "/tmp/npxc-search-XXXXXX");
	home = mkdtemp(name);
	assert_non_null(home);
	state = str_printf("%s/state", home);
	assert_int_equal(mkdir(state, 0700), 0);
	return 0;
}

static int remove_home(void **context)
{
	mem_cleanup char *command = str_printf("rm -rf %s", home);

	(void)context;
	free(state);
	return system(command);
}

/* A directory beneath HOME with an executable called `name`; owned. */
static char *program(const char *directory, const char *name, mode_t mode)
{
	char *path = str_printf("%s/%s", home, directory);
	mem_cleanup char *command = str_printf("mkdir -p '%s' && cp /bin/true '%s/%s'", path, path, name);

	assert_int_equal(system(command), 0);
	assert_int_equal(chmod(path, mode), 0);
	return path;
}

static bool finds(const char *path_variable, const char *directory)
{
	struct strv entries = { 0 };
	mem_cleanup char *search = NULL;
	bool found;
	char *rest;

	if (path_variable == NULL)
		unsetenv("PATH");
	else
		setenv("PATH", path_variable, 1);
	search = search_path(home, state);
	rest = search;
	for (char *entry = strsep(&rest, ":"); entry != NULL; entry = strsep(&rest, ":"))
		strv_push(&entries, entry);
	found = strv_contains(&entries, directory);
	strv_done(&entries);
	return found;
}

static void looks_where_managers_put_programs_after_path(void **context)
{
	mem_cleanup char *old = program(".nvm/versions/node/v20.9.0/bin", "node", 0755);
	mem_cleanup char *new = program(".nvm/versions/node/v20.10.1/bin", "node", 0755);
	mem_cleanup char *volta = program(".volta/bin", "node", 0755);
	mem_cleanup char *search = NULL;

	(void)context;
	assert_true(finds("/usr/bin:/bin", new));
	assert_false(finds("/usr/bin:/bin", old));
	assert_true(finds("", volta));
	assert_true(finds(NULL, volta));
	setenv("PATH", "/x:/usr/bin", 1);
	search = search_path(home, state);
	assert_true(str_starts(search, "/x:/usr/bin:"));
}

static void passes_over_a_directory_that_anybody_may_write_to(void **context)
{
	mem_cleanup char *open = program(".volta/bin", "node", 0777);

	(void)context;
	assert_false(finds("/usr/bin:/bin", open));
}

static void passes_over_programs_and_places_that_anybody_may_write_to(void **context)
{
	mem_cleanup char *file = program(".volta/bin", "node", 0755);
	mem_cleanup char *shims = program(".asdf/shims", "node", 0755);
	mem_cleanup char *node = str_printf("%s/node", file);
	mem_cleanup char *above = str_printf("%s/.asdf", home);

	(void)context;
	assert_true(finds("/usr/bin:/bin", file));
	assert_true(finds("/usr/bin:/bin", shims));
	assert_int_equal(chmod(node, 0777), 0);
	assert_int_equal(chmod(above, 0777), 0);
	assert_false(finds("/usr/bin:/bin", file));
	assert_false(finds("/usr/bin:/bin", shims));
	assert_int_equal(chmod(above, 01777), 0); /* as /tmp */
	assert_true(finds("/usr/bin:/bin", shims));
	if (geteuid() == 0) {
		assert_int_equal(chmod(node, 0755) | chown(node, 65534, 65534), 0);
		assert_false(finds("/usr/bin:/bin", file));
	}
}

static void remembers_where_a_start_found_programs(void **context)
{
	mem_cleanup char *odd = program(".odd/bin", "node", 0755);
	mem_cleanup char *path = str_printf("%s:/usr/bin", odd);

	(void)context;
	assert_false(finds("/usr/bin", odd));
	setenv("PATH", path, 1);
	search_remember(home, state);
	assert_true(finds("/usr/bin", odd));
	assert_int_equal(chmod(odd, 0777), 0); /* looked at again */
	assert_false(finds("/usr/bin", odd));
}

static void remembers_no_directory_of_a_project_nor_one_without_programs(void **context)
{
	mem_cleanup char *project = program("project/bin", "node", 0755);
	mem_cleanup char *packages = program(".x/node_modules/.bin", "node", 0755);
	mem_cleanup char *other = program(".other/bin", "cc", 0755);
	mem_cleanup char *path = str_printf("%s:%s:%s:relative:/usr/bin", project, packages, other);
	mem_cleanup char *file = str_printf("%s/search", state);

	(void)context;
	setenv("PATH", path, 1);
	search_remember(home, state);
	assert_int_equal(access(file, F_OK), -1);
	assert_false(finds("/usr/bin", project));
	assert_false(finds("/usr/bin", packages));
	assert_false(finds("/usr/bin", other));
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, make_home, remove_home)
	const struct CMUnitTest tests[] = {
		CASE(looks_where_managers_put_programs_after_path),
		CASE(passes_over_a_directory_that_anybody_may_write_to),
		CASE(passes_over_programs_and_places_that_anybody_may_write_to),
		CASE(remembers_where_a_start_found_programs),
		CASE(remembers_no_directory_of_a_project_nor_one_without_programs),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
