#ifndef NPXC_CONFIG_MEMBERS_H
#define NPXC_CONFIG_MEMBERS_H

#include "base/error.h"
#include "base/str.h"
#include "json/jsonc.h"

#include <stdbool.h>
#include <stddef.h>

struct cJSON;

/*
 * The members of an object of a configuration file, read into a struct as a table says. Errors are ERROR_CONFIG with
 * the value's file, line and key.
 */
typedef bool member_reader(const struct jsonc *document, const struct cJSON *value, void *into, struct npxc_error *err);
typedef bool member_check(const char *text, struct npxc_error *err);

struct member {
	const char *name;
	size_t offset; /* of `into` in the struct that members_read is given */
	/* One of the four: */
	member_check *text;          /* a string that passes; `into` is a char * */
	member_check *list;          /* a list of strings that pass, none of them twice; `into` is a struct strv */
	const struct member *object; /* with `count`: what an object may have; an unknown key is refused */
	size_t count;
	member_reader *read; /* anything else */
};

#define MEMBERS(array) .object = (array), .count = sizeof(array) / sizeof((array)[0])

/* `member`: what `value` has to be; its name and offset do not matter. */
bool members_read(const struct jsonc *document, const struct cJSON *value, const struct member *member, void *into,
                  struct npxc_error *err) NPXC_MUST_CHECK;
bool members_read_list(const struct jsonc *document, const struct cJSON *value, member_check *check, struct strv *into,
                       struct npxc_error *err) NPXC_MUST_CHECK;
/* Not more than LIMIT_CONFIG_ENTRIES. */
bool members_check_count(const struct jsonc *document, const struct cJSON *value,
                         struct npxc_error *err) NPXC_MUST_CHECK;

/* What a value is, in words. */
const char *members_kind(const struct cJSON *value);
/* "wants WANTED, not ..."; returns false. */
bool members_refuse(const struct jsonc *document, const struct cJSON *value, const char *wanted,
                    struct npxc_error *err);
/* Gives an error that has no place yet the value's file, line and key; returns false. */
bool members_locate(const struct jsonc *document, const struct cJSON *value, struct npxc_error *err);

#endif
