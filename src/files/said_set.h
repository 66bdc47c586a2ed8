#ifndef NPXC_FILES_SAID_SET_H
#define NPXC_FILES_SAID_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The words of files/said: what the server has said, each a text that begins with a path beneath the working directory,
 * and the paths that the client has named first. Bounded by LIMIT_SAID_WORDS and LIMIT_SAID_BYTES together.
 */
/* What the text path `relative` leads to once links are followed, owned; NULL: to nothing, or to itself. */
typedef char *said_set_resolver(void *context, const char *relative);

struct said_words {
	char **v; /* owned */
	size_t count, capacity;
};

struct said_set {
	said_set_resolver *resolve;
	void *context;
	struct said_words sorted, fresh; /* of the server */
	size_t unresolved;               /* of `fresh`: the first that was not asked about */
	char **named;                    /* owned; of the client: open addressing */
	size_t named_count, named_slots;
	uint64_t seed;
	size_t bytes; /* of all words */
	bool full;
};

/* bytes: of the longest word that is kept. */
enum { SAID_WORD_BYTES = 4095 };

void said_set_init(struct said_set *set, said_set_resolver *resolve, void *context);
void said_set_done(struct said_set *set);
/* The server has said it. */
void said_set_add(struct said_set *set, const char *text, size_t length);
/* The client names it: see said_claim. */
bool said_set_claim(struct said_set *set, const char *relative, const char *resolved);

#endif
