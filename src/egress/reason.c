#include "egress/reason.h"

static const char *const texts[REASON_COUNT] = {
#define X(name, text) [REASON_##name] = (text),
	REASONS(X)
#undef X
};

const char *reason_text(enum reason reason)
{
	return texts[reason];
}
