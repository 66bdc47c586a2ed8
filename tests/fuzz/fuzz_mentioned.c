#include "fuzz.h"

#include "base/str.h"
#include "files/mentioned.h"
#include "files/words.h"

static const struct scope_place place = { .spellings = { "/w", "/data/w" }, .home = "/h" };

static char *resolve(void *context, const char *relative)
{
	(void)context;
	return strcmp(relative, "l") == 0 ? str_dup("real") : NULL;
}

/* However a line is cut, the same is mentioned of it; and the parts of a value lie within it. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const names[] = { "a", "b.txt", "sub/c", "real", "l", ".env" };
	struct mentioned *whole = mentioned_new(&place, resolve, NULL);
	struct mentioned *cut = mentioned_new(&place, resolve, NULL);
	struct words_part parts[WORDS_PARTS_MAX];
	const size_t piece = size > 0 ? 1 + data[0] % 7 : 1;
	const char *bytes = size > 0 ? (const char *)data : "";
	const size_t count = words_find(bytes, size, parts);

	(void)mentioned_look(whole, bytes, size, true);
	for (size_t at = 0; at < size; at += piece)
		(void)mentioned_look(cut, bytes + at, size - at < piece ? size - at : piece, at == 0);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		REQUIRE(mentioned_claim(whole, names[i], NULL) == mentioned_claim(cut, names[i], NULL));
	for (size_t i = 0; i < count; i++) {
		REQUIRE(parts[i].text >= bytes && parts[i].length > 0);
		REQUIRE(parts[i].text + parts[i].length <= bytes + size);
	}
	mentioned_free(whole);
	mentioned_free(cut);
	return 0;
}
