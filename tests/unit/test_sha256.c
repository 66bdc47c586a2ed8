#include "unit.h"

#include "base/mem.h"
#include "base/sha256.h"
#include "base/str.h"

#include <string.h>

/* The examples of FIPS 180-4 (one block, two blocks) and of NIST's short-message vectors. */
static void digests_are_those_that_nist_published(void **state)
{
	static const struct {
		const char *text;
		const char *digest;
	} cases[] = {
		{ "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
		{ "\xd3", "28969cdfa74a12c82f3bad960b0b000aca2ac329deea5c2328ebc6f2ba9802c1" },
		{ "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
		{ "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
		  "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1" },
		{ "abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmno"
		  "ijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu",
		  "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		mem_cleanup char *digest = sha256_hex(cases[i].text, strlen(cases[i].text));

		assert_string_equal(digest, cases[i].digest);
	}
}

/* The third example of FIPS 180-2, fed in pieces that do not divide a block. */
static void a_million_letters_in_odd_pieces(void **state)
{
	static const char expected[] = "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0";
	mem_cleanup char *digest = NULL;
	char letters[1000];
	struct sha256 s;
	size_t left = 1000000;

	(void)state;
	memset(letters, 'a', sizeof(letters));
	sha256_init(&s);
	for (size_t piece = 1; left > 0; piece = piece % 997 + 1) {
		size_t count = piece < left ? piece : left;

		sha256_update(&s, letters, count);
		left -= count;
	}
	digest = sha256_final(&s);
	assert_string_equal(digest, expected);
}

/* Around the ends of a block, where padding takes one block or two: whole and byte by byte must agree, lengths not. */
static void every_length_around_a_block(void **state)
{
	char letters[130];
	mem_cleanup char *before = NULL;

	(void)state;
	memset(letters, 'a', sizeof(letters));
	for (size_t length = 0; length <= sizeof(letters); length++) {
		mem_cleanup char *whole = sha256_hex(letters, length);
		mem_cleanup char *pieces = NULL;
		struct sha256 s;

		sha256_init(&s);
		for (size_t i = 0; i < length; i++)
			sha256_update(&s, letters + i, 1);
		pieces = sha256_final(&s);
		assert_string_equal(pieces, whole);
		if (before != NULL)
			assert_string_not_equal(before, whole);
		mem_cleanup_free(&before);
		before = MEM_TAKE(whole);
	}
	/* 55, 56 and 64 letters, from sha256sum(1). */
	for (size_t i = 0; i < 3; i++) {
		static const struct {
			size_t length;
			const char *digest;
		} cases[] = {
			{ 55, "9f4390f8d30c2dd92ec9f095b65e2b9ae9b0a925a5258e241c9f1e910f734318" },
			{ 56, "b35439a4ac6f0948b6d6f9e3c6af0f5f590ce20f1bde7090ef7970686ec6738a" },
			{ 64, "ffe054fe7ae0cb6dc65c3af9b61d5209f439851db43d0ba5997337df154668eb" },
		};
		mem_cleanup char *digest = sha256_hex(letters, cases[i].length);

		assert_string_equal(digest, cases[i].digest);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(digests_are_those_that_nist_published),
		cmocka_unit_test(a_million_letters_in_odd_pieces),
		cmocka_unit_test(every_length_around_a_block),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
