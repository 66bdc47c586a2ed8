#include "egress/reason.h"

#include "base/str.h"

#include <stdbool.h>

static const struct {
	const char *text;
	bool is_predicate;
} words[REASON_COUNT] = {
#define V(name, text) [REASON_##name] = { text, true },
#define N(name, text) [REASON_##name] = { text, false },
	REASONS(V, N)
#undef V
#undef N
};

const char *reason_text(enum reason reason)
{
	return words[reason].text;
}

char *reason_about(enum reason reason, const char *target)
{
	return str_printf("%s%s %s", target, words[reason].is_predicate ? "" : ":", words[reason].text);
}
