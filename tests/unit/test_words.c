#include "unit.h"

#include "base/mem.h"
#include "base/str.h"
#include "files/words.h"

#include <stdio.h>
#include <string.h>

/* Parts with blanks between; "*" behind the whole, "/" behind an absolute one. */
static const struct {
	const char *text, *parts;
} cases[] = {
	{ "a", "a*" },
	{ "a b", "a b*" },
	{ "/a", "/a*/" },
	{ "~/a", "~/a*/" },
	{ "~", "~*" },
	{ "~a/b", "~a/b*" },
	{ "file:///a", "file:///a*/" },
	{ "FILE:/a", "FILE:/a*/" },
	{ "filea", "filea*" },
	{ "--x=a", "--x=a* a" },
	{ "--x=/a", "--x=/a* /a/" },
	{ "--x=file:///a", "--x=file:///a* file:///a/" },
	{ "key=~/a", "key=~/a* ~/a/" },
	{ "a=b=/c", "a=b=/c* b=/c /c/" },
	{ "=a", "=a*" },
	{ "a=", "a=*" },
	{ "/a,/b", "/a,/b*/ /a/ /b/" },
	{ "a,b", "a,b* a b" },
	{ "--in=/a,/b", "--in=/a,/b* /a,/b/ --in=/a /a/ /b/" },
	{ ",,/a,", ",,/a,* /a/" },
	{ "sqlite:///a/b.db", "/a/b.db/ a/b.db^" },
	{ "sqlite:////a/b.db", "/a/b.db/" },
	{ "sqlite:///a/b.db?mode=ro", "/a/b.db/ a/b.db^" },
	{ "sqlite:///./b.db", "/./b.db/ ./b.db^" },
	{ "sqlite:///~/b.db", "/~/b.db/ ~/b.db/" },
	{ "sqlite:///", "" },
	{ "file:./b.db", "file:./b.db*/ ./b.db^" },
	{ "file:../b.db?mode=ro", "file:../b.db?mode=ro*/ ../b.db^" },
	{ "sqlite:./b.db", "sqlite:./b.db* ./b.db^" },
	{ "data:./a", "data:./a* ./a^" },
	{ "x:./a", "x:./a*" },
	{ "a:.b", "a:.b*" },
	{ "DB=file:./b.db", "DB=file:./b.db* file:./b.db/ ./b.db^" },
	{ "postgres://host/a", "" },
	{ "https://h/x?u=/etc/passwd", "" },
	{ "DB=sqlite:///a", "DB=sqlite:///a* /a/ a^" },
	{ "", "" },
	{ "/", "" },
	{ "//", "" },
	{ "// a", "" },
	{ "/* a */", "" },
	{ "/ a", "" },
	{ "a\nb", "" },
	{ "/a\r", "" },
};

static void parts_are_found(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct words_part parts[WORDS_PARTS_MAX];
		const size_t count = words_find(cases[i].text, strlen(cases[i].text), parts);
		char found[512] = "";

		for (size_t k = 0; k < count; k++)
			snprintf(found + strlen(found), sizeof(found) - strlen(found), "%s%.*s%s%s%s",
			         k == 0 ? "" : " ", (int)parts[k].length, parts[k].text, parts[k].is_whole ? "*" : "",
			         parts[k].is_of_uri ? "^" : "", parts[k].is_absolute ? "/" : "");
		if (strcmp(found, cases[i].parts) != 0)
			fail_msg("\"%s\": \"%s\", not \"%s\"", cases[i].text, found, cases[i].parts);
	}
}

static void a_list_without_end_has_an_end(void **state)
{
	struct words_part parts[WORDS_PARTS_MAX];
	char text[8192];
	mem_cleanup char *longer = mem_alloc(64 * 1024);

	(void)state;
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = "/a,"[i % 3];
	assert_int_equal(words_find(text, sizeof(text), parts), WORDS_PARTS_MAX);
	memset(longer, '/', 1);
	memset(longer + 1, 'a', 64 * 1024 - 2);
	assert_int_equal(words_find(longer, 64 * 1024 - 1, parts), 0);
	assert_int_equal(words_find("/a\0b", 4, parts), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parts_are_found),
		cmocka_unit_test(a_list_without_end_has_an_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
