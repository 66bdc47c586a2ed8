#ifndef NPXC_STORE_NPMRC_H
#define NPXC_STORE_NPMRC_H

#include "base/buf.h"
#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * npm's configuration as text (the ini dialect of npm's `ini` package, ${VAR} and ${VAR?} expanded as npm does). Pure.
 * Only what stands outside of [sections] counts; a later pair beats an earlier one with the same key, except arrays
 * (`key[] = value`), whose elements add up within one file.
 */
struct npmrc_pair {
	char *key, *value; /* owned; a key without value has "true" */
};
struct npmrc {
	struct npmrc_pair *v;
	size_t count;
};

/* The value of an environment variable or NULL. */
typedef const char *npmrc_lookup(void *context, const char *name);

/* Lays a file over what is there. */
void npmrc_read(struct npmrc *to, const char *text, npmrc_lookup *lookup, void *context);
/* Lays npm_config_* variables ("NAME=value", NULL-terminated) over what is there. */
void npmrc_read_environment(struct npmrc *to, char *const *environment);

const char *npmrc_get(const struct npmrc *from, const char *key); /* NULL when missing */
const char *npmrc_registry(const struct npmrc *from);             /* the default one; npm's own when none is set */
bool npmrc_is_registry_key(const char *key);                      /* "registry", "@scope:registry" */
bool npmrc_is_true(const struct npmrc *from, const char *key);
void npmrc_set(struct npmrc *to, const char *key, const char *value);
void npmrc_done(struct npmrc *npmrc);

/*
 * What an installation gets to see. Kept: the registries, how they are reached (proxy, TLS, retries) and the user's own
 * policies on versions and scripts. `secrets`: tokens, passwords and client certificates of registries as well.
 * Should: turn what npm 9 and later refuse (`_authToken` and the like without a registry) and a password inside a
 * registry's address into the form with the registry before it, so that they count as secrets.
 * Mustn't: keep any credential without `secrets`; keep a key that names a program, a path of the host, or node options.
 * ret_has_secrets may be NULL.
 */
void npmrc_select(const struct npmrc *from, bool secrets, struct npmrc *ret_selected, bool *ret_has_secrets);

/* As a file that npm reads back to the same pairs. The buffer's ceiling is the only error. */
bool npmrc_write(const struct npmrc *from, struct buf *to, struct npxc_error *err) NPXC_MUST_CHECK;

/* The address without "user:password@"; owned. */
char *npmrc_strip_user(const char *url);

#endif
