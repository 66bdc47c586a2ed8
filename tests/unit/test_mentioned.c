#include "unit.h"

#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"
#include "files/mentioned.h"

#include <stdio.h>
#include <string.h>

static const struct scope_place place = { .spellings = { "/home/u/work", "/data/work" }, .home = "/home/u" };

/* One link: l leads to real. */
static char *resolve(void *context, const char *relative)
{
	(void)context;
	return strcmp(relative, "l") == 0 ? str_dup("real") : strcmp(relative, "l/f") == 0 ? str_dup("real/f") : NULL;
}

/* However the line is cut. */
static void say(struct mentioned *mentioned, const char *line, size_t piece)
{
	for (size_t at = 0; at < strlen(line); at += piece)
		(void)mentioned_look(mentioned, line + at, strlen(line) - at < piece ? strlen(line) - at : piece,
		                     at == 0);
}

static const struct {
	const char *line;  /* of the server */
	const char *named; /* by the client then */
	bool first;        /* ... who is the first to do so */
} cases[] = {
	/* whole values */
	{ "{\"uri\":\"file:///home/u/work/a.txt\"}", "a.txt", false },
	{ "{\"uri\":\"a.txt\"}", "a.txt", false },
	{ "{\"uri\":\"./sub/../a.txt\"}", "a.txt", false },
	{ "{\"uri\":\"/home/u/x/../work/a.txt\"}", "a.txt", true }, /* nobody takes that for the client's path either */
	{ "{\"uri\":\"~/work/a.txt\"}", "a.txt", false },
	{ "{\"x\":\"a.txt\"}", "a.txt", true },
	{ "{\"a.txt\":\"uri\"}", "a.txt", true },
	{ "{\"const\":\"a.txt\"}", "a.txt", false },
	{ "{\"default\":\"a.txt\"}", "a.txt", false },
	{ "{\"enum\":[\"b\",\"a.txt\"]}", "a.txt", false },
	{ "{\"examples\":[{\"p\":[\"a.txt\"]}]}", "a.txt", false },
	{ "{\"example\":\"a.txt\"}", "a.txt", false },
	{ "{\"completion\":{\"values\":[\"a.txt\"]}}", "a.txt", false },
	{ "{\"enum\":[\"b\"],\"x\":\"a.txt\"}", "a.txt", true },
	{ "{\"default\":{\"p\":\"b\"},\"x\":\"a.txt\"}", "a.txt", true },
	{ "{\"\\u0075ri\":\"a.txt\"}", "a.txt", false },
	{ "{\"uri\":\"a\\u002etxt\"}", "a.txt", false },
	{ "{\"uri\":\"\\ud83d\\ude00\"}", "\xf0\x9f\x98\x80", false },
	{ "{\"uri\":\"\\u00e4\"}", "\xc3\xa4", false },
	{ "{\"uri\":7,\"x\":\"a.txt\"}", "a.txt", true },
	{ "[{\"uri\":\"a.txt\"}]", "a.txt", false },

	/* in texts */
	{ "{\"t\":\"/home/u/work/a.txt\"}", "a.txt", false },
	{ "{\"t\":\"/data/work/a.txt\"}", "a.txt", false },
	{ "{\"t\":\"see /home/u/work/a.txt, please\"}", "a.txt", false },
	{ "{\"t\":\"see /home/u/work/a.txt.\"}", "a.txt", false },
	{ "{\"t\":\"(/home/u/work/a.txt)\"}", "a.txt", false },
	{ "{\"t\":\"/home/u/work/a.txt:12:5\"}", "a.txt", false },
	{ "{\"t\":\"/home/u/work/my file.txt is it\"}", "my file.txt", false },
	{ "{\"t\":\"/home/u/work/a.txt.bak\"}", "a.txt", true },
	{ "{\"t\":\"/home/u/work/a.txt2\"}", "a.txt", true },
	{ "{\"t\":\"/home/u/work/src/a.txt\"}", "src", true },
	{ "{\"t\":\"/home/u/work/src/a.txt\"}", "src/a.txt", false },
	{ "{\"t\":\"/home/u/work/src/\"}", "src", false },
	{ "{\"t\":\"/home/u/work/src/../a.txt\"}", "a.txt", false },
	{ "{\"t\":\"/home/u/work/./a.txt\"}", "a.txt", false },
	{ "{\"t\":\"/home/u/work//a.txt\"}", "a.txt", false },
	{ "{\"t\":\"/home/u/work/a.txt /../../../q\"}", "a.txt", false },
	{ "{\"t\":\"/home/u/work/../work/a.txt\"}", "a.txt", false },
	{ "{\"t\":\"/home/u/workshop/a.txt\"}", "a.txt", true },
	{ "{\"t\":\"a.txt\"}", "a.txt", true }, /* a bare name in a text does not count */
	{ "{\"t\":\"\\/home\\/u\\/work\\/a.txt\"}", "a.txt", false },
	{ "{\"t\":\"\\u002fhome\\u002fu\\u002fwork\\u002fa.txt\"}", "a.txt", false },
	{ "{\"t\":\"{\\\"p\\\":\\\"\\\\/home\\\\/u\\\\/work\\\\/a.txt\\\"}\"}", "a.txt", false }, /* JSON in JSON */
	{ "{\"t\":\"\\\\\\\\/home\\\\\\\\/u\\\\/work/a.txt\"}", "a.txt", false },
	{ "{\"t\":\"x\\n/home/u/work/a.txt\\ny\"}", "a.txt", false },
	{ "{\"t\":\"/home/u/work/b,/home/u/work/a.txt,/home/u/work/c\"}", "a.txt", false },
	{ "{\"t\":\"/home/u/work/b,/home/u/work/a.txt,/home/u/work/c\"}", "c", false },
	{ "{\"t\":\"/home/u/work/b,/home/u/work/a.txt,/home/u/work/c\"}", "b", false },
	{ "{\"t\":\"in ~/work/a.txt\"}", "a.txt", false },
	{ "{\"t\":\"in ~/other/../work/a.txt\"}", "a.txt", false },
	{ "{\"t\":\"file:///home/u/work/a.txt\"}", "a.txt", false },
	{ "{\"t\":\"(file:///home/u/work/a%20b.txt)\"}", "a b.txt", false },
	{ "{\"t\":\"FILE://localhost/home/u/./work/a.txt\"}", "a.txt", false },
	{ "{\"t\":\"file:/data/work/a.txt\"}", "a.txt", false },
	{ "{\"t\":\"file:///home/u/work/%61.txt\"}", "a.txt", false },
	{ "{\"t\":\"https://h/home/u/x\"}", "x", true },
	{ "not json /home/u/work/a.txt", "a.txt", true },
	{ "{\"t\":\"\\\\\",\"u\":\"/home/u/work/a.txt\"}", "a.txt", false },
	{ "{\"t\":\"\\\"\",\"u\":\"/home/u/work/a.txt\"}", "a.txt", false },
	{ "{\"t\":\"\\ud83d/home/u/work/a.txt\"}", "a.txt", false },
	{ "{\"t\":\"\\ud83d\\/home/u/work/a.txt\"}", "a.txt", false },
	{ "{\"/home/u/work/a.txt\":1}", "a.txt", false }, /* a key */
	{ "{\"x\":{\"\\/home\\/u/work/a.txt\":{\"uri\":7}}}", "a.txt", false },
	{ "{\"default\":{\"a.txt\":1}}", "a.txt", true },
	{ "{\"x/y\":\"a.txt\",\"z\":\"/home/u/work/b\"}", "b", false },

	/* by links */
	{ "{\"t\":\"/home/u/work/l/f\"}", "real/f", false },
	{ "{\"t\":\"/home/u/work/l/f, too\"}", "real/f", false },
	{ "{\"uri\":\"l\"}", "real", false },
	{ "{\"uri\":\"l\"}", "real/f", true },
};

static void who_was_first(void **state)
{
	static const size_t pieces[] = { 1, 2, 3, 7, 1000 };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (size_t p = 0; p < sizeof(pieces) / sizeof(pieces[0]); p++) {
			struct mentioned *mentioned = mentioned_new(&place, resolve, NULL);

			say(mentioned, cases[i].line, pieces[p]);
			if (mentioned_claim(mentioned, cases[i].named, NULL) != cases[i].first)
				fail_msg("%s in pieces of %zu: %s", cases[i].line, pieces[p], cases[i].named);
			assert_false(mentioned_is_full(mentioned));
			mentioned_free(mentioned);
		}
}

static void what_the_client_named_first_stays_the_clients(void **state)
{
	struct mentioned *mentioned = mentioned_new(&place, resolve, NULL);

	(void)state;
	assert_true(mentioned_claim(mentioned, "a.txt", NULL));
	say(mentioned, "{\"uri\":\"file:///home/u/work/a.txt\",\"x\":\"/home/u/work/b.txt\"}\n", 1000);
	assert_true(mentioned_claim(mentioned, "a.txt", NULL));
	assert_false(mentioned_claim(mentioned, "b.txt", NULL));
	assert_false(mentioned_claim(mentioned, "c.txt", "b.txt")); /* where it leads counts */
	for (int i = 0; i < 1000; i++) {
		mem_cleanup char *one = str_printf("f%d", i);

		assert_true(mentioned_claim(mentioned, one, NULL));
	}
	say(mentioned, "{\"enum\":[\"f1\",\"f999\",\"f1000\"]}\n", 3);
	assert_true(mentioned_claim(mentioned, "f1", NULL) && mentioned_claim(mentioned, "f999", NULL));
	assert_false(mentioned_claim(mentioned, "f1000", NULL));
	mentioned_free(mentioned);
}

/* A text longer than what is held of one: what begins anywhere in it is seen to its end. */
static void long_texts_are_searched_to_their_end(void **state)
{
	static const size_t places[] = { 0, 1, 100000, 131070, 131072, 145000, 262130, 299000 };
	enum { LENGTH = 300000 };

	(void)state;
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		for (int escaped = 0; escaped < 2; escaped++) {
			struct mentioned *mentioned = mentioned_new(&place, resolve, NULL);
			mem_cleanup char *line = mem_alloc(LENGTH + 32);
			const char *path = "/home/u/work/a.txt ";

			memset(line, 'x', LENGTH);
			memcpy(line, "{\"t\":\"", 6);
			memcpy(line + 6 + places[i], path, strlen(path));
			if (escaped)
				memcpy(line + LENGTH - 2, "\\n", 2);
			memcpy(line + LENGTH, "\"}\n", 4);
			say(mentioned, line, 65536);
			if (mentioned_claim(mentioned, "a.txt", NULL))
				fail_msg("at %zu", places[i]);
			assert_true(mentioned_claim(mentioned, "b.txt", NULL));
			mentioned_free(mentioned);
		}
}

/* Whatever stands on both sides of where one piece ends and the next begins. */
static void a_path_cut_in_two_is_seen(void **state)
{
	static const char *const texts[] = { "/home/u/work/a.txt ", "file:///home/u/work/a.txt ", "~/work/a.txt " };
	enum { PIECE = 65536, LENGTH = 3 * PIECE };

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		for (size_t before = 1; before < strlen(texts[i]); before++) {
			struct mentioned *mentioned = mentioned_new(&place, resolve, NULL);
			mem_cleanup char *line = mem_alloc(LENGTH + 1);

			memset(line, 'x', LENGTH);
			memcpy(line, "{\"t\":\"", 6);
			memcpy(line + 2 * PIECE - before, texts[i], strlen(texts[i]));
			memcpy(line + LENGTH - 3, "\"}\n", 3);
			say(mentioned, line, PIECE);
			if (mentioned_claim(mentioned, "a.txt", NULL))
				fail_msg("%s, %zu bytes before", texts[i], before);
			mentioned_free(mentioned);
		}
}

static void many_words_are_told_apart(void **state)
{
	struct mentioned *mentioned = mentioned_new(&place, resolve, NULL);

	(void)state;
	for (int i = 0; i < 5000; i += 2) {
		mem_cleanup char *line = str_printf("{\"t\":\"/home/u/work/d%d/f%d.txt and more\"}\n", i % 7, i);

		say(mentioned, line, 1000);
		say(mentioned, line, 1000);
	}
	for (int i = 0; i < 5000; i++) {
		mem_cleanup char *path = str_printf("d%d/f%d.txt", i % 7, i);

		assert_int_equal(mentioned_claim(mentioned, path, NULL), i % 2 == 1);
	}
	mentioned_free(mentioned);
}

/* Full, and everything counts as mentioned. */
static void there_is_a_ceiling(void **state)
{
	struct mentioned *mentioned = mentioned_new(&place, resolve, NULL);

	(void)state;
	assert_true(mentioned_claim(mentioned, "mine", NULL));
	for (int i = 0; i <= LIMIT_MENTIONED_WORDS && !mentioned_is_full(mentioned); i++) {
		mem_cleanup char *line = str_printf("{\"uri\":\"f%d\"}\n", i);

		say(mentioned, line, 1000);
	}
	assert_true(mentioned_is_full(mentioned));
	assert_true(mentioned_claim(mentioned, "mine", NULL));
	assert_false(mentioned_claim(mentioned, "other", NULL));
	mentioned_free(mentioned);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_was_first),
		cmocka_unit_test(what_the_client_named_first_stays_the_clients),
		cmocka_unit_test(long_texts_are_searched_to_their_end),
		cmocka_unit_test(a_path_cut_in_two_is_seen),
		cmocka_unit_test(many_words_are_told_apart),
		cmocka_unit_test(there_is_a_ceiling),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
