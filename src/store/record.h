#ifndef NPXC_STORE_RECORD_H
#define NPXC_STORE_RECORD_H

#include "base/error.h"
#include "base/str.h"
#include "store/bin.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cJSON;

/*
 * What npxc writes down beside an installed package ("npxc.json") and beside a package's versions ("resolved.json").
 * A store directory without a readable npxc.json counts as not installed.
 */
struct record_package {
	char *name, *version; /* owned */
	char *directory;      /* real path of the local directory that it was installed from; NULL: from a registry */
	char *engines;        /* engines.node as written, or NULL */
	struct bins bins;
	struct strv variables; /* that its files read (store/variables.h) */
	bool has_variables;    /* false: nobody has looked */
};
struct record {
	char *select;                    /* tag, range or version that was asked for; NULL for a directory or a set */
	char *label;                     /* what stands before the platform in the directory's name */
	struct record_package *packages; /* those that were asked for */
	size_t package_count;
	char *node_version, *node_abi; /* what install scripts ran with */
	struct strv scripts;           /* places in node_modules whose install scripts ran */
	uint64_t bytes;
	int64_t installed_at; /* seconds since 1970 */
};

struct record_package *record_add(struct record *record, const char *name, const char *version, const char *engines);
/* Looks for the variables of each package beneath `directory`; of one that cannot be searched nothing is known. */
void record_find_variables(struct record *record, const char *directory);
/* Whatever an install script put in its place is removed first. */
bool record_write(const char *directory, const struct record *record, struct npxc_error *err) NPXC_MUST_CHECK;
/* ERROR_INSTALL when it cannot be read as one. */
bool record_read(const char *directory, struct record *ret_record, struct npxc_error *err) NPXC_MUST_CHECK;
void record_done(struct record *record);

/* The label that `select` was resolved to, owned; NULL when that is not known. */
char *record_resolved(const char *key_directory, const char *select);
/* Writes it down, beside what is there; the caller holds the key's lock. */
bool record_resolve(const char *key_directory, const char *select, const char *label,
                    struct npxc_error *err) NPXC_MUST_CHECK;
/* The select that was resolved to `label`, owned; NULL when there is none. */
char *record_select_of(const char *key_directory, const char *label);

/* A JSON file whose root is an object; the caller deletes it. NULL when it is missing or something else. The first for
 * a path of npxc's own or the user's: only a regular file, which is not waited for. The second beneath a tree
 * (base/tree.h). */
struct cJSON *record_read_json(const char *path, size_t max_bytes);
struct cJSON *record_read_json_at(int root, const char *relative, size_t max_bytes);

#endif
