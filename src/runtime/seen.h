#ifndef NPXC_RUNTIME_SEEN_H
#define NPXC_RUNTIME_SEEN_H

#include "base/error.h"
#include "config/policy.h"
#include "runtime/runtime.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * What `npxc doctor --probe` has seen of links, kept in <state directory>/probe.json:
 *
 *     {"format":1,"seen":[{"runtime":"apple","version":"1.2.2","link":"socket","ok":true,"when":"2026-..."}]}
 *
 * It decides whether `auto` may take link socket on Apple `container`. Pure.
 */
struct seen_entry {
	enum runtime_kind runtime;
	char *version; /* owned; "" where none is asked (bwrap) */
	enum policy_link link;
	bool ok;
	char *when; /* owned; RFC 3339, for people */
};
struct seen_links { /* zeroed = nothing */
	struct seen_entry *v;
	size_t count;
};

/*
 * Mustn't: take a text with anything in it that is not as above (a key too many, another format, an unknown word): what
 * is misread here could open a link that does not work. ERROR_CONFIG; then nothing has been seen.
 */
bool seen_parse(const char *text, size_t length, const char *file, struct seen_links *ret_seen,
                struct npxc_error *err) NPXC_MUST_CHECK;
char *seen_text(const struct seen_links *seen); /* owned; what seen_parse reads */
void seen_done(struct seen_links *seen);

/* Forgets all of a runtime, of whatever version. */
void seen_forget(struct seen_links *seen, enum runtime_kind runtime);
void seen_add(struct seen_links *seen, enum runtime_kind runtime, const char *version, enum policy_link link, bool ok,
              const char *when);
/* Whether this link of exactly this version was seen to work. A runtime without a version: false. */
bool seen_works(const struct seen_links *seen, enum runtime_kind runtime, const char *version, enum policy_link link);

#endif
