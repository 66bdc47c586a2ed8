#ifndef NPXC_SHIM_FIELDS_H
#define NPXC_SHIM_FIELDS_H

#include "base/error.h"
#include "base/str.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Strict reading of the shim's own files: nothing is guessed and nothing ignored. Errors are ERROR_CONFIG. */

void fields_cleanup(cJSON **value); /* for JSON_CLEANUP */
#define JSON_CLEANUP __attribute__((cleanup(fields_cleanup)))

/* One document; refuses bytes behind it, a NUL in it, nesting over LIMIT_JSON_DEPTH, a key twice in one object. */
bool fields_parse(const char *text, size_t length, cJSON **ret_value, struct npxc_error *err) NPXC_MUST_CHECK;

/* `where` names the object in messages. Refuses keys that are not among `keys` (a blank-separated list). */
bool fields_check(const cJSON *object, const char *keys, const char *where, struct npxc_error *err) NPXC_MUST_CHECK;

/* A missing key leaves the default that is in *ret_value; a wrong type or range is an error. */
bool fields_text(const cJSON *object, const char *key, const char *where, const char **ret_value,
                 struct npxc_error *err) NPXC_MUST_CHECK; /* borrowed */
bool fields_number(const cJSON *object, const char *key, const char *where, int64_t least, int64_t most,
                   int64_t *ret_value, struct npxc_error *err) NPXC_MUST_CHECK;
bool fields_flag(const cJSON *object, const char *key, const char *where, bool *ret_value,
                 struct npxc_error *err) NPXC_MUST_CHECK;
bool fields_texts(const cJSON *object, const char *key, const char *where, struct strv *ret_values,
                  struct npxc_error *err) NPXC_MUST_CHECK;
/* The member, or NULL; an error when it is there and of another type (cJSON_Object, cJSON_Array). */
bool fields_member(const cJSON *object, const char *key, int type, const char *where, const cJSON **ret_value,
                   struct npxc_error *err) NPXC_MUST_CHECK;

#endif
