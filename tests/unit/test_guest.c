#include "unit.h"

#include "guest/guest.h"

#include <stdio.h>
#include <string.h>

/* The embedded text is the source line by line, but for comments and indentation. */
static void the_embedded_script_is_the_source_without_its_comments(void **state)
{
	FILE *source = fopen("src/guest/egress.cjs", "r");
	const char *at = GUEST_EGRESS_JS;
	char line[512];
	size_t lines = 0;

	(void)state;
	if (source == NULL)
		fail_msg("src/guest/egress.cjs is not here");
	assert_int_equal(strlen(GUEST_EGRESS_JS), GUEST_EGRESS_JS_LENGTH);
	while (fgets(line, sizeof(line), source) != NULL) {
		const char *text = line + strspn(line, "\t ");
		const char *expected = strncmp(text, "//", 2) == 0 ? "\n" : text;
		const size_t length = strlen(expected);

		lines++;
		if (strncmp(at, expected, length) != 0)
			fail_msg("line %zu: %s", lines, line);
		at += length;
	}
	assert_int_equal(*at, '\0');
	assert_true(lines > 100);
	assert_int_equal(fclose(source), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_embedded_script_is_the_source_without_its_comments),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
