#ifndef NPXC_SHIM_HOLE_H
#define NPXC_SHIM_HOLE_H

#include "base/error.h"
#include "base/str.h"
#include "shim/template.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * Argument patterns. A pattern has one element per argument; literal text and holes:
 *
 *   {uuid}  32 lower-case hex digits, or 8-4-4-4-12 of them
 *   {name}  [A-Za-z0-9][A-Za-z0-9_.-]*
 *   {int}   decimal digits
 *   {path}  an absolute path without ':'
 *   {any*}  alone in its element: any number of arguments, also none; as few as possible
 *
 * "{name:network}" binds what it covers to `network` ({any*:rest}: the arguments with a blank between). "{{" and "}}"
 * are braces. No regular expressions: what an answer is for has to be readable. Within an argument a hole covers as
 * much as it can. Pure. Errors are ERROR_CONFIG.
 */

/* Refuses unknown kinds, two holes without text between them, a label bound twice. Appends the labels. */
bool hole_check(const struct strv *pattern, struct strv *ret_labels, struct npxc_error *err) NPXC_MUST_CHECK;

/* How far a match came: for the near-miss line. */
struct hole_reach {
	size_t
	    element; /* index of the pattern element that did not match (== pattern count: arguments were left over) */
	size_t argument; /* index of the argument it met (== argument count: there was none) */
};

/*
 * True when `argv` matches the checked pattern; then the labels are bound and `ret_reach` is untouched. False
 * otherwise, and `bindings` may hold leftovers.
 */
bool hole_match(const struct strv *pattern, const char *const *argv, size_t argc, struct bindings *bindings,
                struct hole_reach *ret_reach);

#endif
