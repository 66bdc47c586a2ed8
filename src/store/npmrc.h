#ifndef NPXC_STORE_NPMRC_H
#define NPXC_STORE_NPMRC_H

#include "base/buf.h"
#include "base/error.h"
#include "base/str.h"

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
void npmrc_remove(struct npmrc *from, const char *key);
void npmrc_done(struct npmrc *npmrc);

/*
 * What an installation gets to see. Kept: the registries, how they are reached (proxy, TLS, retries) and the user's own
 * policies on versions, scripts and kinds of dependencies. `secrets`: tokens, passwords and client certificates of
 * registries, and passwords of proxies, as well.
 * Should: turn what npm 9 and later refuse (`_authToken` and the like without a registry) and a password inside a
 * registry's address into the form with the registry before it, so that they count as secrets.
 * Mustn't: keep any credential without `secrets`; keep a key that names a program, a path of the host, or node options.
 */
void npmrc_select(const struct npmrc *from, bool secrets, struct npmrc *ret_selected);

/* As a file that npm reads back to the same pairs. The buffer's ceiling is the only error. */
bool npmrc_write(const struct npmrc *from, struct buf *to, struct npxc_error *err) NPXC_MUST_CHECK;

/* A proxy's "scheme://host:port" and nothing else of its address; owned, NULL for one in which a password may be left.
 */
char *npmrc_plain_proxy(const char *url);

/*
 * Text of npm that is to be shown. npmrc_add_secrets: every token and password of a configuration, in the forms in
 * which npm may show it; npmrc_add_address_secrets: those of one address, for proxies that variables name.
 * npmrc_redact: the text without them, and without what stands before an @ in any address; owned. It puts `secrets`
 * into another order.
 */
void npmrc_add_secrets(const struct npmrc *from, struct strv *secrets);
void npmrc_add_address_secrets(const char *url, struct strv *secrets);
char *npmrc_redact(const char *text, struct strv *secrets);

#endif
