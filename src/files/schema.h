#ifndef NPXC_FILES_SCHEMA_H
#define NPXC_FILES_SCHEMA_H

#include "files/pattern.h"
#include "json/json.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * What tools say about their arguments. A server's answer to tools/list is read in passing; of each tool's inputSchema
 * is kept which places hold paths. Pure.
 *
 * Says "path": `format` (path, file-path, directory, ...), a description or title that speaks of a file, a path or a
 * directory in its first words, a name that ends so (filePath, output_dir, paths); of strings, and of the strings in a
 * list or map that says so. Says "URI": the formats uri, uri-reference, iri, iri-reference, url, file-uri. Another
 * format says "neither". A guess that is wrong costs a copy, so nothing is known here of repositories, buckets and the
 * like.
 *
 * Read at any depth through properties, patternProperties, additionalProperties, items, prefixItems, contains,
 * oneOf/anyOf/allOf, if/then/else, dependentSchemas and $ref within the schema, circles included. Never fetched: a $ref
 * to elsewhere.
 */

enum schema_mark {
	SCHEMA_PATH = 1, /* a path, absolute or not, or a file URI */
	SCHEMA_URI = 2,  /* a URI: a path only if its scheme says so */
};

/*
 * The learned tools, by name. A tool that is listed again is learned anew; one that is not listed again stays known, so
 * that pages, lists that overlap and notifications/tools/list_changed lose nothing. At most LIMIT_SCHEMA_TOOLS, and
 * together LIMIT_SCHEMA_KEPT_BYTES; for a further one those go that were listed longest ago. A tool that is listed with
 * the very schema that was learned is not read again.
 */
struct schema;
struct schema *schema_new(void);
void schema_free(struct schema *schema); /* NULL is allowed */

/*
 * Learns from one message's `result` (message.h), checked JSON. Returns how many tools were learned: 0 for every other
 * result. A schema above the ceilings (LIMIT_SCHEMA_*) is learned in part; what is odd in it is passed over.
 */
size_t schema_learn(struct schema *schema, const char *text, struct json_span result);
size_t schema_count(const struct schema *schema);
size_t schema_bytes(const struct schema *schema); /* what the learned tools take */
/* Where the tool's arguments hold paths, as enum schema_mark; NULL: no such tool is known. Valid until the next learn.
 */
const struct pattern *schema_find(const struct schema *schema, const char *name, size_t length);

#endif
