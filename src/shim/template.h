#ifndef NPXC_SHIM_TEMPLATE_H
#define NPXC_SHIM_TEMPLATE_H

#include "base/buf.h"
#include "base/error.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * Texts of a cassette's answers. "${name}" stands for a value that was captured from the arguments or comes from the
 * world, "$$" for a dollar sign. Pure. Errors are ERROR_CONFIG.
 */
struct binding {
	char *name, *value; /* owned */
};

/* Zeroed = empty. */
struct bindings {
	struct binding *v;
	size_t count;
};

void template_bind(struct bindings *bindings, const char *name, const char *value); /* replaces an equal name */
const char *template_value(const struct bindings *bindings, const char *name);      /* borrowed; NULL: unbound */
void template_unbind_all(struct bindings *bindings);

/* Refuses what template_expand would refuse if exactly `names` were bound. */
bool template_check(const char *text, const struct strv *names, struct npxc_error *err) NPXC_MUST_CHECK;

/* Appends. An unbound name, a lone '$' and an unclosed brace are errors. */
bool template_expand(const char *text, const struct bindings *bindings, struct buf *ret_text,
                     struct npxc_error *err) NPXC_MUST_CHECK;
/* The same as a string of its own; owned. */
bool template_text(const char *text, const struct bindings *bindings, char **ret_text,
                   struct npxc_error *err) NPXC_MUST_CHECK;

#endif
