#include "files/mentioned_set.h"

#include "base/fault.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/random.h"
#include "base/str.h"

#include <stdlib.h>
#include <string.h>

/* words: that wait to be sorted in; they are gone through one by one. */
enum { FRESH_MAX = 256 };

void mentioned_set_init(struct mentioned_set *set, mentioned_set_resolver *resolve, void *context)
{
	*set = (struct mentioned_set){ .resolve = resolve, .context = context };
	random_bytes(&set->seed, sizeof(set->seed));
}

static void words_done(struct mentioned_words *words)
{
	for (size_t i = 0; i < words->count; i++)
		free(words->v[i]);
	free(words->v);
	*words = (struct mentioned_words){ 0 };
}

void mentioned_set_done(struct mentioned_set *set)
{
	words_done(&set->sorted);
	words_done(&set->fresh);
	for (size_t i = 0; i < set->named_slots; i++)
		free(set->named[i]);
	free(set->named);
}

static void words_push(struct mentioned_words *words, char *owned)
{
	if (words->count == words->capacity) {
		words->capacity = words->capacity == 0 ? 64 : words->capacity * 2;
		words->v = mem_realloc(words->v, words->capacity, sizeof(*words->v));
	}
	words->v[words->count++] = owned;
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Both are sorted, equal ones once. */
static void merge(struct mentioned_set *set)
{
	struct mentioned_words *from = &set->fresh;
	struct mentioned_words all = { 0 };
	size_t a = 0, b = 0;

	qsort(from->v, from->count, sizeof(*from->v), compare);
	while (a < set->sorted.count || b < from->count) {
		char **next = b == from->count ? &set->sorted.v[a++]
		              : a == set->sorted.count || strcmp(from->v[b], set->sorted.v[a]) < 0
		                  ? &from->v[b++]
		                  : &set->sorted.v[a++];

		if (all.count > 0 && strcmp(all.v[all.count - 1], *next) == 0) {
			set->bytes -= strlen(*next) + 1;
			free(*next);
		} else {
			words_push(&all, *next);
		}
	}
	free(set->sorted.v);
	set->sorted = all;
	from->count = 0;
	set->unresolved = 0;
}

static bool has_room(struct mentioned_set *set, size_t bytes)
{
	if (set->sorted.count + set->fresh.count + set->named_count >= LIMIT_MENTIONED_WORDS ||
	    set->bytes + bytes > LIMIT_MENTIONED_BYTES)
		set->full = true;
	return !set->full;
}

/* Where the first word stands that is not less than `text`. */
static size_t place_in(const struct mentioned_words *words, const char *text)
{
	size_t low = 0, high = words->count;

	while (low < high) {
		const size_t middle = low + (high - low) / 2;

		if (strcmp(words->v[middle], text) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Where words lead through links is mentioned too: the word as a whole, and up to its first blank or sign. */
static void resolve_fresh(struct mentioned_set *set)
{
	const size_t count = set->fresh.count;

	for (; set->unresolved < count && set->fresh.count < 2 * FRESH_MAX; set->unresolved++) {
		const char *word = set->fresh.v[set->unresolved];
		mem_cleanup char *cut = str_dup_n(word, strcspn(word, " \t\"'`<>()[]{},;:|"));
		char *resolved = set->resolve(set->context, word);

		if (resolved == NULL && strcmp(cut, word) != 0)
			resolved = set->resolve(set->context, cut);
		if (resolved != NULL) {
			set->bytes += strlen(resolved) + 1;
			words_push(&set->fresh, resolved);
		}
	}
}

void mentioned_set_add(struct mentioned_set *set, const char *text, size_t length)
{
	mem_cleanup char *word = NULL;
	size_t at;

	if (length == 0 || length > MENTIONED_WORD_BYTES || !has_room(set, length + 1))
		return;
	word = str_dup_n(text, length);
	at = place_in(&set->sorted, word);
	if (at < set->sorted.count && strcmp(set->sorted.v[at], word) == 0)
		return;
	for (size_t i = set->fresh.count; i > 0; i--)
		if (strcmp(set->fresh.v[i - 1], word) == 0)
			return;
	if (set->fresh.count >= FRESH_MAX) {
		resolve_fresh(set);
		merge(set);
	}
	set->bytes += length + 1;
	words_push(&set->fresh, MEM_TAKE(word));
}

static uint64_t hash_of(const struct mentioned_set *set, const char *text)
{
	uint64_t hash = str_hash(set->seed, text, strlen(text));

	hash ^= hash >> 32;
	return hash;
}

static char **slot_of(const struct mentioned_set *set, const char *text)
{
	size_t slot = (size_t)hash_of(set, text) & (set->named_slots - 1);

	while (set->named[slot] != NULL && strcmp(set->named[slot], text) != 0)
		slot = (slot + 1) & (set->named_slots - 1);
	return &set->named[slot];
}

static bool is_named(const struct mentioned_set *set, const char *text)
{
	return set->named_slots > 0 && *slot_of(set, text) != NULL;
}

static void keep_name(struct mentioned_set *set, const char *text)
{
	char **before = set->named;
	const size_t slots = set->named_slots;

	if (is_named(set, text) || !has_room(set, strlen(text) + 1))
		return;
	if (set->named_count * 2 >= set->named_slots) {
		set->named_slots = slots == 0 ? 64 : slots * 2;
		set->named = mem_alloc(set->named_slots * sizeof(*set->named));
		for (size_t i = 0; i < slots; i++)
			if (before[i] != NULL)
				*slot_of(set, before[i]) = before[i];
		free(before);
	}
	*slot_of(set, text) = str_dup(text);
	set->named_count++;
	set->bytes += strlen(text) + 1;
}

/* Whether a path may end before this: the text goes on with something that is no part of its last name. */
static bool may_end(const char *rest)
{
	const unsigned char c = (unsigned char)rest[0];

	if (c == '.')
		return may_end(rest + 1);
	return !((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
	         c == '/');
}

static bool begins_with(const char *word, const char *path, size_t length)
{
	return strncmp(word, path, length) == 0 &&
	       (may_end(word + length) || (word[length] == '/' && word[length + 1] == '\0'));
}

static bool was_mentioned(const struct mentioned_set *set, const char *path)
{
	const size_t length = strlen(path);

	for (size_t i = place_in(&set->sorted, path);
	     i < set->sorted.count && strncmp(set->sorted.v[i], path, length) == 0; i++)
		if (begins_with(set->sorted.v[i], path, length))
			return true;
	for (size_t i = 0; i < set->fresh.count; i++)
		if (begins_with(set->fresh.v[i], path, length))
			return true;
	return false;
}

bool mentioned_set_claim(struct mentioned_set *set, const char *relative, const char *resolved)
{
	if (is_named(set, relative))
		return true;
	if (set->full)
		return false;
	resolve_fresh(set);
	if (!WITHOUT("first-speaker") &&
	    (was_mentioned(set, relative) || (resolved != NULL && was_mentioned(set, resolved))))
		return false;
	keep_name(set, relative);
	return true;
}
