#include "unit.h"

#include "base/mem.h"
#include "base/str.h"
#include "shim/hole.h"
#include "shim/shim.h"
#include "shim/template.h"

#include <stdlib.h>
#include <string.h>

#define HEX "0123456789abcdef0123456789abcdef"
#define UUID "01234567-89ab-4def-8123-456789abcdef"

static struct strv words_of(const char *const *words)
{
	struct strv list = { 0 };

	for (; *words != NULL; words++)
		strv_push(&list, *words);
	return list;
}

enum { MOST = 6 };

static void patterns_that_match(void **state)
{
	static const struct {
		const char *pattern[MOST], *argv[MOST], *label, *value;
	} cases[] = {
		{ { "a", "b" }, { "a", "b" }, NULL, NULL },
		{ { "{name:n}" }, { "npxc-a_b.c" }, "n", "npxc-a_b.c" },
		{ { "npxc-{uuid:u}" }, { "npxc-" HEX }, "u", HEX },
		{ { "{uuid:u}" }, { UUID }, "u", UUID },
		{ { "{uuid:u}-x" }, { HEX "-x" }, "u", HEX },
		{ { "{int:i}m" }, { "512m" }, "i", "512" },
		{ { "{path:p}" }, { "/a b/c" }, "p", "/a b/c" },
		{ { "{path:p}:{path}:ro" }, { "/a:/b:ro" }, "p", "/a" },
		{ { "--x={name:k}={name:v}" }, { "--x=a=b" }, "v", "b" },
		{ { "{name:a}-{name:b}" }, { "a-b-c" }, "a", "a-b" }, /* as much as it can */
		{ { "{{{name:n}}}" }, { "{x}" }, "n", "x" },
		{ { "{any*:r}" }, { NULL }, "r", "" },
		{ { "{any*:r}" }, { "a", "b" }, "r", "a b" },
		{ { "{any*:r}", "--name", "{name:n}", "{any*}" }, { "run", "--name", "x", "--name", "y" }, "n", "x" },
		{ { "{any*:r}", "--name", "{name:n}", "{any*}" }, { "run", "--name", "x", "y" }, "r", "run" },
		{ { "{any*}", "x", "{any*:r}", "x" }, { "x", "x", "a", "x" }, "r", "x a" },
		{ { "a", "{any*:r}", "b" }, { "a", "b", "c", "b" }, "r", "b c" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct strv pattern = words_of(cases[i].pattern);
		struct strv argv = words_of(cases[i].argv);
		struct strv labels = { 0 };
		struct bindings bindings = { 0 };
		struct hole_reach reach = { .element = 77 };
		struct npxc_error err = { 0 };

		if (!hole_check(&pattern, &labels, &err))
			fail_msg("case %zu: %s", i, err.message);
		if (!hole_match(&pattern, (const char *const *)argv.v, argv.count, &bindings, &reach))
			fail_msg("case %zu does not match", i);
		assert_int_equal(reach.element, 77);
		if (cases[i].label != NULL && !str_equal(template_value(&bindings, cases[i].label), cases[i].value))
			fail_msg("case %zu: %s is %s", i, cases[i].label, template_value(&bindings, cases[i].label));
		strv_done(&pattern);
		strv_done(&argv);
		strv_done(&labels);
		template_unbind_all(&bindings);
	}
}

static void patterns_that_do_not_match(void **state)
{
	static const struct {
		const char *pattern[MOST], *argv[MOST];
		size_t element, argument;
	} cases[] = {
		{ { "a" }, { NULL }, 0, 0 },
		{ { "a" }, { "b" }, 0, 0 },
		{ { "a" }, { "a", "b" }, 1, 1 },
		{ { "a", "b" }, { "a" }, 1, 1 },
		{ { "a", "b" }, { "a", "bb" }, 1, 1 },
		{ { "{name}" }, { "" }, 0, 0 },
		{ { "{name}" }, { "-x" }, 0, 0 },
		{ { "{name}" }, { ".x" }, 0, 0 },
		{ { "{name}" }, { "a/b" }, 0, 0 },
		{ { "{name}" }, { "a b" }, 0, 0 },
		{ { "{uuid}" }, { "0123456789abcdef0123456789abcde" }, 0, 0 },
		{ { "{uuid}" }, { HEX "0" }, 0, 0 },
		{ { "{uuid}" }, { "0123456789ABCDEF0123456789ABCDEF" }, 0, 0 },
		{ { "{uuid}" }, { "0123456-789ab-4def-8123-456789abcdef" }, 0, 0 },
		{ { "{int}" }, { "-1" }, 0, 0 },
		{ { "{int}" }, { "1.5" }, 0, 0 },
		{ { "{int}" }, { "" }, 0, 0 },
		{ { "{path}" }, { "a/b" }, 0, 0 },
		{ { "{path}" }, { "/a:/b" }, 0, 0 },
		{ { "{path}" }, { "/a\n/b" }, 0, 0 },
		{ { "{{x" }, { "x" }, 0, 0 },
		{ { "{any*}", "b" }, { "a", "c" }, 1, 2 },
		{ { "{any*}", "b", "c" }, { "a", "b", "d" }, 2, 2 },
		{ { "a", "{any*}" }, { "b" }, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct strv pattern = words_of(cases[i].pattern);
		struct strv argv = words_of(cases[i].argv);
		struct bindings bindings = { 0 };
		struct hole_reach reach = { .element = 77 };

		if (hole_match(&pattern, (const char *const *)strv_argv(&argv), argv.count, &bindings, &reach))
			fail_msg("case %zu matches", i);
		if (reach.element != cases[i].element || reach.argument != cases[i].argument)
			fail_msg("case %zu reached element %zu, argument %zu", i, reach.element, reach.argument);
		strv_done(&pattern);
		strv_done(&argv);
		template_unbind_all(&bindings);
	}
}

static void patterns_that_are_refused(void **state)
{
	static const struct {
		const char *pattern[MOST], *why;
	} cases[] = {
		{ { "{word}" }, "unknown hole" },
		{ { "{any}" }, "unknown hole" },
		{ { "{}" }, "unknown hole" },
		{ { "{name" }, "not closed" },
		{ { "a}" }, "lone '}'" },
		{ { "{name:}" }, "label is made of" },
		{ { "{name:A}" }, "label is made of" },
		{ { "{name:a b}" }, "label is made of" },
		{ { "{name}{int}" }, "two holes without text" },
		{ { "{name:a}", "{name:a}" }, "two holes are called a" },
		{ { "x{any*}" }, "whole arguments" },
		{ { "{any*}x" }, "whole arguments" },
		{ { "{any*}", "{any*}" }, "two {any*}" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct strv pattern = words_of(cases[i].pattern);
		struct strv labels = { 0 };
		struct npxc_error err = { 0 };

		if (hole_check(&pattern, &labels, &err))
			fail_msg("%s was taken", cases[i].pattern[0]);
		assert_int_equal(err.kind, ERROR_CONFIG);
		if (strstr(err.message, cases[i].why) == NULL)
			fail_msg("%s: %s", cases[i].pattern[0], err.message);
		strv_done(&pattern);
		strv_done(&labels);
	}
}

/* What would take an exponential time, and what a hole may cover at most. */
static void hostile_arguments_end_soon(void **state)
{
	static const char *const stars[] = { "{any*}", "a", "{any*}", "a", "{any*}", NULL };
	static const char *const holes[] = { "{path}a{path}a{path}", NULL };
	struct strv pattern = words_of(stars);
	struct strv argv = { 0 };
	struct bindings bindings = { 0 };
	struct hole_reach reach;
	mem_cleanup char *text = mem_alloc(SHIM_MAX_HOLE_BYTES + 2);

	(void)state;
	for (size_t i = 0; i < 5000; i++)
		strv_push(&argv, "b");
	assert_false(hole_match(&pattern, (const char *const *)argv.v, argv.count, &bindings, &reach));
	strv_done(&pattern);
	strv_done(&argv);

	memset(text, '/', SHIM_MAX_HOLE_BYTES);
	pattern = words_of(holes);
	strv_push(&argv, text);
	assert_false(hole_match(&pattern, (const char *const *)argv.v, argv.count, &bindings, &reach));
	strv_done(&pattern);
	strv_push(&pattern, "{path}");
	assert_true(hole_match(&pattern, (const char *const *)argv.v, argv.count, &bindings, &reach));
	strv_done(&argv);
	text[SHIM_MAX_HOLE_BYTES] = '/';
	strv_push(&argv, text);
	assert_false(hole_match(&pattern, (const char *const *)argv.v, argv.count, &bindings, &reach));
	strv_done(&pattern);
	strv_done(&argv);
	template_unbind_all(&bindings);
}

static void templates_expand_or_are_refused_with_the_reason(void **state)
{
	static const struct {
		const char *template, *text, *why;
	} cases[] = {
		{ "", "", NULL },
		{ "plain {x} }", "plain {x} }", NULL },
		{ "${a}", "1", NULL },
		{ "x${a}${b}y", "x1two $ {}y", NULL },
		{ "$$", "$", NULL },
		{ "$${a}", "${a}", NULL },
		{ "$", NULL, "a '$'" },
		{ "$a", NULL, "a '$'" },
		{ "${a", NULL, "not closed" },
		{ "${}", NULL, "empty" },
		{ "${c}", NULL, "${c} has no value" },
		{ "${aa}", NULL, "${aa} has no value" },
		{ "${A}", NULL, "${A} has no value" },
	};
	struct bindings bindings = { 0 };
	struct strv names = { 0 };

	(void)state;
	template_bind(&bindings, "a", "0");
	template_bind(&bindings, "b", "two $ {}");
	template_bind(&bindings, "a", "1");
	assert_int_equal(bindings.count, 2);
	assert_null(template_value(&bindings, "c"));
	strv_push(&names, "a");
	strv_push(&names, "b");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct npxc_error err = { 0 };
		struct npxc_error checked = { 0 };
		char *untouched = NULL;
		char *text = untouched;
		bool ok = template_text(cases[i].template, &bindings, &text, &err);

		assert_int_equal(template_check(cases[i].template, &names, &checked), ok);
		if (ok != (cases[i].text != NULL))
			fail_msg("%s: %s", cases[i].template, err.message);
		if (ok) {
			assert_string_equal(text, cases[i].text);
			free(text);
			continue;
		}
		assert_ptr_equal(text, untouched);
		assert_string_equal(err.message, checked.message);
		assert_non_null(strstr(err.message, cases[i].why));
	}
	template_unbind_all(&bindings);
	strv_done(&names);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(patterns_that_match),
		cmocka_unit_test(patterns_that_do_not_match),
		cmocka_unit_test(patterns_that_are_refused),
		cmocka_unit_test(hostile_arguments_end_soon),
		cmocka_unit_test(templates_expand_or_are_refused_with_the_reason),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
