#include "unit.h"

#include "config/hazard.h"

static void names_by_their_last_components(void **state)
{
	static const struct {
		const char *path;
		unsigned flags;
	} CASES[] = {
		{ ".git", HAZARD_RUN },
		{ "/home/me/p/.git", HAZARD_RUN },
		{ "sub/.git/", HAZARD_RUN },
		{ ".GIT", HAZARD_RUN },
		{ ".Git", HAZARD_RUN },
		{ "node_modules/.bin", HAZARD_RUN },
		{ "packages/a/node_modules/.bin", HAZARD_RUN },
		{ ".npmrc", HAZARD_RUN | HAZARD_SECRET },
		{ ".envrc", HAZARD_RUN | HAZARD_SECRET },
		{ "me.code-workspace", HAZARD_RUN },
		{ ".config/fish", HAZARD_RUN },
		{ "a/.ssh", HAZARD_RUN | HAZARD_SECRET },
		{ ".env", HAZARD_SECRET },
		{ ".env.local", HAZARD_SECRET },
		{ "server.pem", HAZARD_SECRET },
		{ "KEY.PEM", HAZARD_SECRET },
		{ ".pem", HAZARD_SECRET },
		{ "id_ed25519", HAZARD_SECRET },
		/* data */
		{ "", 0 },
		{ "/", 0 },
		{ ".", 0 },
		{ "git", 0 },
		{ ".gitx", 0 },
		{ ".gitignore", 0 },
		{ "x.git", 0 },
		{ ".git/config", 0 },
		{ ".bin", 0 },
		{ "node_modules", 0 },
		{ "node_modules/x/.bin", 0 },
		{ "xnode_modules/.bin", 0 },
		{ "fish", 0 },
		{ "env", 0 },
		{ "Makefile", 0 },
		{ "package.json", 0 },
		{ ".github/workflows", 0 },
		{ "pem", 0 },
		{ "aid_rsa", 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++)
		if (hazard_of(CASES[i].path) != CASES[i].flags)
			fail_msg("%s: %u", CASES[i].path, hazard_of(CASES[i].path));
}

static void names_by_what_they_lie_in(void **state)
{
	(void)state;
	assert_int_equal(hazard_along(".git/config", 0), HAZARD_RUN);
	assert_int_equal(hazard_along("/p/a/.VSCODE/x/y", 2), HAZARD_RUN);
	assert_int_equal(hazard_along("/p/node_modules/.bin", 2), HAZARD_RUN);
	assert_int_equal(hazard_along("/.git/p/a", 7), 0);
	assert_int_equal(hazard_along("/.git", 5), 0);
	assert_int_equal(hazard_along("", 0), 0);
	assert_int_equal(hazard_along("a/b", 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_by_their_last_components),
		cmocka_unit_test(names_by_what_they_lie_in),
	};

	return cmocka_run_group_tests_name("hazard", tests, NULL, NULL);
}
