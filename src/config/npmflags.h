#ifndef NPXC_CONFIG_NPMFLAGS_H
#define NPXC_CONFIG_NPMFLAGS_H

#include "base/error.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * npm's flags in front of the spec: published client configurations have them, and npx takes them. Pure. Names, values
 * and shorthands as in @npmcli/config 10 (npm 11); those of older npx that it still meets are here too.
 */
struct npmflags {
	struct strv settings; /* "key=value": one more layer of npm's configuration, above its variables */
	bool no_install;      /* nothing may be installed: what is not in the store is an error */
	bool version;         /* npxc's version is asked for */
};
void npmflags_done(struct npmflags *flags);

/* Whether words[0] is a flag of npm's: then npmflags_take takes it. */
bool npmflags_knows(const char *word);

/*
 * Takes words[0], with its value when that is the next word; `ret_used` says how many words those are. Flags without a
 * meaning here (progress, colours, saving) are passed over. ERROR_CONFIG with the reason and what to do for those that
 * cannot be kept: programs and directories of the host, workspaces, credentials on a command line.
 */
bool npmflags_take(struct npmflags *flags, const char *const *words, size_t count, size_t *ret_used,
                   struct npxc_error *err) NPXC_MUST_CHECK;

#endif
