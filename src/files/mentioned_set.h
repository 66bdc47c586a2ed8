#ifndef NPXC_FILES_MENTIONED_SET_H
#define NPXC_FILES_MENTIONED_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The words of files/mentioned: what the server has mentioned, each a text that begins with a path beneath the working
 * directory, and the paths that the client has named first. Bounded by LIMIT_MENTIONED_WORDS and LIMIT_MENTIONED_BYTES
 * together.
 */
/* What the text path `relative` leads to once links are followed, owned; NULL: to nothing, or to itself. */
typedef char *mentioned_set_resolver(void *context, const char *relative);

struct mentioned_words {
	char **v; /* owned */
	size_t count, capacity;
};

struct mentioned_set {
	mentioned_set_resolver *resolve;
	void *context;
	struct mentioned_words sorted, fresh; /* of the server */
	size_t unresolved;                    /* of `fresh`: the first that was not asked about */
	char **named;                         /* owned; of the client: open addressing */
	size_t named_count, named_slots;
	uint64_t seed;
	size_t bytes; /* of all words */
	bool full;
};

/* bytes: of the longest word that is kept. */
enum { MENTIONED_WORD_BYTES = 4095 };

void mentioned_set_init(struct mentioned_set *set, mentioned_set_resolver *resolve, void *context);
void mentioned_set_done(struct mentioned_set *set);
/* The server has mentioned it. */
void mentioned_set_add(struct mentioned_set *set, const char *text, size_t length);
/* The client names it: see mentioned_claim. */
bool mentioned_set_claim(struct mentioned_set *set, const char *relative, const char *resolved);

#endif
