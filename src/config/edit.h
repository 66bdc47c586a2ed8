#ifndef NPXC_CONFIG_EDIT_H
#define NPXC_CONFIG_EDIT_H

#include "base/error.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * Rules put into the text of a package's file, for `npxc learn`. Pure. The file is a person's: its comments, order,
 * indentation and line ends stay as they are.
 */

/*
 * The text with `rules` behind those of network.allow, and with network.mode "allowlist"; what is missing of the three
 * is made. `text` NULL: no file, a new one is written. `file` is a name for messages; `ret_text` is owned.
 * ERROR_CONFIG: a text that is no package's file, or a result that would be none (more rules than a file may have, a
 * text larger than a file may be); the message names the rules, to be added by hand.
 * Should: read the result again and compare it, value by value, with what was there and the rules.
 * Mustn't: touch a byte but those of network.mode's value; return a text that says anything else than the union.
 */
bool edit_allow(const char *text, size_t length, const char *file, const struct strv *rules, char **ret_text,
                struct npxc_error *err) NPXC_MUST_CHECK;

/*
 * What changes from `before` (NULL: no file) to `after`, as `diff -u` writes it with three lines around; owned. "" when
 * nothing does. Texts of many thousand lines that differ from beginning to end are shown as one piece.
 */
char *edit_diff(const char *before, const char *after, const char *file);

#endif
