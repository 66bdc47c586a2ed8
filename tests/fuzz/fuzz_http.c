#include "fuzz.h"

#include "egress/http.h"

/* However a stream is cut into writes, the same bytes pass, and a head passes only whole. */
static size_t feed(const uint8_t *data, size_t size, size_t step, bool *ret_ok, struct http *http)
{
	size_t passed = 0;

	http_begin(http, "a.example", 80);
	for (size_t have = step < size ? step : size;; have = have + step < size ? have + step : size) {
		enum reason reason = REASON_NONE;
		size_t pass = 0;

		*ret_ok = http_feed(http, (const char *)data + passed, have - passed, &pass, &reason);
		REQUIRE(pass <= have - passed);
		REQUIRE(*ret_ok == (reason == REASON_NONE));
		passed += pass;
		if (!*ret_ok || have == size)
			return passed;
	}
}

/* An independent reading of what has passed: every head in it that another reader would find names the host. */
static void check_passed(const uint8_t *data, size_t passed)
{
	static const char host[] = "\r\nHost: evil.test\r\n";

	if (passed < 4 || memmem(data, passed, "\r\n\r\n", 4) == NULL)
		return;
	const uint8_t *end = (const uint8_t *)memmem(data, passed, "\r\n\r\n", 4) + 4;

	REQUIRE(memmem(data, (size_t)(end - data), host, sizeof(host) - 1) == NULL);
}

/* What is decided stays so, and a request that is taken was taken for one. */
static void check_look(const uint8_t *data, size_t size)
{
	enum http_look before = HTTP_LOOK_MORE;

	for (size_t i = 0; i <= size && i < 512; i++) {
		const enum http_look look = http_look((const char *)data, i);

		REQUIRE(before == HTTP_LOOK_MORE || look == before);
		before = look;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct http whole, pieces;
	bool ok, ok_pieces;
	const size_t passed = feed(data, size, size > 0 ? size : 1, &ok, &whole);

	for (size_t step = 1; step < size && step < 8; step += 3) {
		REQUIRE(feed(data, size, step, &ok_pieces, &pieces) == passed);
		REQUIRE(ok == ok_pieces && whole.phase == pieces.phase && whole.requests == pieces.requests);
	}
	check_passed(data, passed);
	REQUIRE(whole.phase != HTTP_OPAQUE);
	REQUIRE(whole.requests == 0 || http_look((const char *)data, size) == HTTP_LOOK_YES);
	check_look(data, size);
	return 0;
}
