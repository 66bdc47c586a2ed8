#include "fuzz.h"

#include "egress/hello.h"

/* The same bytes say the same, however many of them have come: MORE turns into one verdict and stays at it. */
static void check_growth(const uint8_t *data, size_t size, bool second)
{
	enum hello_state before = HELLO_MORE;
	struct hello hello = { 0 }, first = { 0 };

	for (size_t i = 0; i <= size; i++) {
		/* a copy of exactly that length: reading beyond it is seen */
		uint8_t *copy = malloc(i + 1);

		if (i > 0)
			memcpy(copy, data, i);
		copy = realloc(copy, i > 0 ? i : 1);
		const enum hello_state state = hello_read(copy, i, second, &hello);

		free(copy);
		if (before == HELLO_DONE) {
			REQUIRE(state == HELLO_DONE && hello.length == first.length);
			REQUIRE(strcmp(hello.name, first.name) == 0);
		} else if (before == HELLO_OTHER) {
			REQUIRE(state == HELLO_OTHER);
		} else if (before == HELLO_BAD) {
			REQUIRE(state == HELLO_BAD);
		} else if (state == HELLO_DONE) {
			REQUIRE(hello.length == i);
			first = hello;
		}
		if (state == HELLO_BAD)
			REQUIRE(hello.reason != REASON_NONE && hello.length == 0 && hello.name[0] == '\0');
		REQUIRE(!second || state != HELLO_OTHER);
		before = state;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum hello_answer before = HELLO_ANSWER_MORE;

	if (size > 1024)
		return 0;
	check_growth(data, size, false);
	check_growth(data, size, true);
	for (size_t i = 0; i <= size; i++) {
		const enum hello_answer answer = hello_read_answer(data, i);

		REQUIRE(before == HELLO_ANSWER_MORE || answer == before);
		before = answer;
	}
	return 0;
}
