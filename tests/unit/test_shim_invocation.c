#include "unit.h"

#include "base/mem.h"
#include "base/str.h"
#include "shim/invocation.h"

#include <stdlib.h>
#include <string.h>

enum { MOST = 24 };

static bool parse(const char *const *words, struct invocation *invocation, struct npxc_error *err)
{
	static const char *const value_words[] = { "--name", "--network", "-v",         "--mount", "--tmpfs",     "-e",
		                                   "-l",     "-w",        "--env-file", "-m",      "--entrypoint" };
	static const char *const flag_words[] = { "-i", "-t", "--rm", "--init", "--read-only" };
	struct strv values = { 0 };
	struct strv flags = { 0 };
	size_t count = 0;
	bool ok;

	strv_push_all(&values, value_words, sizeof(value_words) / sizeof(value_words[0]));
	strv_push_all(&flags, flag_words, sizeof(flag_words) / sizeof(flag_words[0]));
	while (words[count] != NULL)
		count++;
	ok = invocation_parse(words, count, &values, &flags, invocation, err);
	strv_done(&values);
	strv_done(&flags);
	return ok;
}

static void command_line_of_a_launcher(void **state)
{
	static const char *const words[] = { "--rm",
		                             "-it",
		                             "--name",
		                             "c",
		                             "--network=n,mac=x",
		                             "-v",
		                             "/a:/b:ro",
		                             "--tmpfs",
		                             "/tmp:size=1m",
		                             "-e",
		                             "K=v",
		                             "-e",
		                             "NAME",
		                             "-l",
		                             "k=v",
		                             "-w",
		                             "/b/c",
		                             "--init=true",
		                             "image",
		                             "--rm",
		                             "-x",
		                             "--",
		                             "y",
		                             NULL };
	struct npxc_error err = { 0 };
	struct invocation i;

	(void)state;
	assert_true(parse(words, &i, &err));
	assert_null(i.unknown_option);
	assert_string_equal(i.name, "c");
	assert_string_equal(i.image, "image");
	assert_string_equal(i.directory, "/b/c");
	assert_true(i.interactive && i.remove && i.init);
	assert_int_equal(i.networks.count, 1);
	assert_string_equal(i.networks.v[0], "n");
	assert_int_equal(i.mount_count, 2);
	assert_string_equal(i.mounts[0].source, "/a");
	assert_string_equal(i.mounts[0].target, "/b");
	assert_true(i.mounts[0].read_only);
	assert_null(i.mounts[1].source);
	assert_string_equal(i.mounts[1].target, "/tmp");
	assert_int_equal(i.env.count, 2);
	assert_int_equal(i.labels.count, 1);
	/* everything behind the image is the container's */
	assert_int_equal(i.command.count, 4);
	assert_string_equal(i.command.v[0], "--rm");
	assert_string_equal(i.command.v[2], "--");
	invocation_done(&i);
}

static void options_that_do_not_exist(void **state)
{
	static const struct {
		const char *words[MOST], *option;
	} cases[] = {
		{ { "--cap-drop", "ALL", "image" }, "--cap-drop" },
		{ { "--rm", "--cap-drop=ALL", "image" }, "--cap-drop" },
		{ { "-ix", "image" }, "-ix" },
		{ { "-", "image" }, "-" },
		{ { "-d", "image" }, "-d" },
	};

	(void)state;
	for (size_t n = 0; n < sizeof(cases) / sizeof(cases[0]); n++) {
		struct npxc_error err = { 0 };
		struct invocation i;

		assert_true(parse(cases[n].words, &i, &err));
		assert_non_null(i.unknown_option);
		assert_string_equal(i.unknown_option, cases[n].option);
		assert_null(i.image); /* nothing behind it was read */
		invocation_done(&i);
	}
}

static void command_lines_that_are_refused(void **state)
{
	static const struct {
		const char *words[MOST], *why;
	} cases[] = {
		{ { "--name" }, "--name lacks its value" },
		{ { "--rm", "-v" }, "-v lacks its value" },
		{ { "-v", "/a", "image" }, "not /source:/target" },
		{ { "-v", "volume:/b", "image" }, "not /source:/target" },
		{ { "-v", "/a:b", "image" }, "not /source:/target" },
		{ { "-v", "", "image" }, "not /source:/target" },
		{ { "--mount", "type=bind,source=/a", "image" }, "without absolute source and target" },
		{ { "--mount", "type=bind,target=/a", "image" }, "without absolute source and target" },
		{ { "--mount", "source=a,target=/a", "image" }, "without absolute source and target" },
		{ { "--mount", "", "image" }, "without absolute source and target" },
	};

	(void)state;
	for (size_t n = 0; n < sizeof(cases) / sizeof(cases[0]); n++) {
		struct npxc_error err = { 0 };
		struct invocation i;

		if (parse(cases[n].words, &i, &err))
			fail_msg("case %zu was taken", n);
		assert_int_equal(err.kind, ERROR_CONFIG);
		if (strstr(err.message, cases[n].why) == NULL)
			fail_msg("case %zu: %s", n, err.message);
	}
}

static void mounts_in_both_spellings(void **state)
{
	static const char *const words[] = { "--mount", "type=bind,source=/a,target=/b,readonly",
		                             "--mount", "type=tmpfs,destination=/t",
		                             "--mount", "src=/c,dst=/d,ro=false",
		                             "-v",      "/e:/f:rw,z",
		                             "image",   NULL };
	struct npxc_error err = { 0 };
	struct invocation i;

	(void)state;
	assert_true(parse(words, &i, &err));
	assert_int_equal(i.mount_count, 4);
	assert_true(i.mounts[0].read_only);
	assert_null(i.mounts[1].source);
	assert_string_equal(i.mounts[2].source, "/c");
	assert_string_equal(i.mounts[2].target, "/d");
	assert_false(i.mounts[2].read_only);
	assert_false(i.mounts[3].read_only);
	invocation_done(&i);
}

static void entrypoint_stands_before_the_arguments(void **state)
{
	static const char *const words[] = { "--entrypoint", "/bin/x", "image", "a", NULL };
	static const char *const empty[] = { "--entrypoint", "", "image", "a", NULL };
	struct npxc_error err = { 0 };
	struct invocation i;

	(void)state;
	assert_true(parse(words, &i, &err));
	assert_int_equal(i.command.count, 2);
	assert_string_equal(i.command.v[0], "/bin/x");
	invocation_done(&i);
	assert_true(parse(empty, &i, &err));
	assert_int_equal(i.command.count, 1);
	assert_string_equal(i.command.v[0], "a");
	invocation_done(&i);
}

static void guest_paths_become_host_paths(void **state)
{
	static const char *const words[] = { "-v",      "/host/store:/opt/store",
		                             "-v",      "/host/deep:/opt/store/deep",
		                             "--tmpfs", "/tmp",
		                             "-v",      "/same:/same",
		                             "image",   NULL };
	static char box[] = "/box/tmp";
	static char *const tmpfs[] = { NULL, NULL, box, NULL };
	static const struct {
		const char *guest, *host;
	} cases[] = {
		{ "/opt/store", "/host/store" },
		{ "/opt/store/", "/host/store" },
		{ "/opt/store/a/b", "/host/store/a/b" },
		{ "/opt/store/deep/x", "/host/deep/x" },
		{ "/opt/store/deeper", "/host/store/deeper" },
		{ "/opt/storehouse", "/opt/storehouse" },
		{ "/opt/store/../x", "/opt/store/../x" }, /* beneath no target: stays as it is */
		{ "/tmp/x", "/box/tmp/x" },
		{ "/same/x", "/same/x" },
		{ "/etc/passwd", "/etc/passwd" },
		{ "plain", "plain" },
		{ "opt/store", "opt/store" },
		{ "", "" },
		{ "--dir=/opt/store/a", "--dir=/host/store/a" },
		{ "A=/tmp:/opt/store/x::b", "A=/box/tmp:/host/store/x::b" },
		{ "A=b=/tmp", "A=b=/tmp" },
		{ "A=--require /opt/store/x --more /tmp:/tmp b", "A=--require /host/store/x --more /tmp:/tmp b" },
		{ "A=--require /opt/store", "A=--require /host/store" },
		{ "A=--require /tmp/x --require=/opt/store/y --x=",
		  "A=--require /box/tmp/x --require=/host/store/y --x=" },
		{ "A=--more --require /opt/store", "A=--more --require /opt/store" },
		{ "say --more /opt/store", "say --more /opt/store" },
		{ "http://host/opt/store", "http://host/opt/store" },
	};
	struct npxc_error err = { 0 };
	struct invocation i;

	(void)state;
	assert_true(parse(words, &i, &err));
	for (size_t n = 0; n < sizeof(cases) / sizeof(cases[0]); n++) {
		mem_cleanup char *host = invocation_host_text(&i, tmpfs, cases[n].guest);

		assert_string_equal(host, cases[n].host);
	}
	invocation_done(&i);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(command_line_of_a_launcher),
		cmocka_unit_test(options_that_do_not_exist),
		cmocka_unit_test(command_lines_that_are_refused),
		cmocka_unit_test(mounts_in_both_spellings),
		cmocka_unit_test(entrypoint_stands_before_the_arguments),
		cmocka_unit_test(guest_paths_become_host_paths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
