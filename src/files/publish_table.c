#include "files/publish_table.h"

#include "base/mem.h"
#include "base/str.h"

#include <stdlib.h>
#include <string.h>

enum { NO_ENTRY = -1 };

static long *bucket_of(const struct publish_table *table, const char *path)
{
	// NOLINTNEXTLINE(clang-analyzer-core.DivideZero): asked only of a table that has entries
	return &table->buckets[str_hash(STR_HASH, path, strlen(path)) % table->capacity];
}

static void link_entry(struct publish_table *table, size_t index)
{
	struct publish_entry *entry = table->entries[index];
	long *bucket = bucket_of(table, entry->path);

	entry->next = *bucket;
	*bucket = (long)index;
}

static void relink(struct publish_table *table)
{
	for (size_t i = 0; i < table->capacity; i++)
		table->buckets[i] = NO_ENTRY;
	for (size_t i = 0; i < table->count; i++)
		link_entry(table, i);
}

struct publish_entry *publish_table_find(const struct publish_table *table, const char *path)
{
	if (table->capacity == 0)
		return NULL;
	for (long i = *bucket_of(table, path); i != NO_ENTRY; i = table->entries[i]->next)
		if (strcmp(table->entries[i]->path, path) == 0)
			return table->entries[i];
	return NULL;
}

static void free_entry(struct publish_table *table, struct publish_entry *entry)
{
	table->bytes -= entry->bytes;
	table->files -= entry->files;
	table->dirty -= entry->dirty;
	table->unwatched -= entry->unwatched;
	free(entry->path);
	free(entry->target);
	free(entry);
}

void publish_table_drop(struct publish_table *table, const char *path, bool itself)
{
	size_t kept = 0;

	for (size_t i = 0; i < table->count; i++) {
		struct publish_entry *entry = table->entries[i];

		if (str_path_within(entry->path, path) && (itself || strcmp(entry->path, path) != 0))
			free_entry(table, entry);
		else
			table->entries[kept++] = entry;
	}
	if (kept == table->count)
		return;
	table->count = kept;
	relink(table);
}

struct publish_entry *publish_table_put(struct publish_table *table, const char *path, enum publish_kind kind,
                                        uint64_t bytes, size_t files)
{
	struct publish_entry *entry = publish_table_find(table, path);

	if (entry != NULL) {
		table->bytes -= entry->bytes;
		table->files -= entry->files;
		free(MEM_TAKE(entry->target));
	} else {
		if (table->count == table->capacity) {
			table->capacity = table->capacity == 0 ? 64 : table->capacity * 2;
			table->entries = mem_realloc(table->entries, table->capacity, sizeof(struct publish_entry *));
			table->buckets = mem_realloc(table->buckets, table->capacity, sizeof(*table->buckets));
			relink(table);
		}
		entry = mem_alloc(sizeof(*entry));
		entry->path = str_dup(path);
		table->entries[table->count] = entry;
		link_entry(table, table->count++);
	}
	entry->kind = kind;
	entry->bytes = bytes;
	entry->files = files;
	table->bytes += bytes;
	table->files += files;
	return entry;
}

void publish_table_set_dirty(struct publish_table *table, struct publish_entry *entry, bool dirty)
{
	table->dirty += (size_t)dirty - (size_t)entry->dirty;
	entry->dirty = dirty;
}

void publish_table_set_unwatched(struct publish_table *table, struct publish_entry *entry, bool unwatched)
{
	table->unwatched += (size_t)unwatched - (size_t)entry->unwatched;
	entry->unwatched = unwatched;
}

void publish_table_done(struct publish_table *table)
{
	for (size_t i = 0; i < table->count; i++)
		free_entry(table, table->entries[i]);
	free(table->entries);
	free(table->buckets);
}

/* The path becomes that of its directory; false: it stands at the top. */
static bool go_up(char *path)
{
	char *slash = strrchr(path, '/');

	if (slash != NULL)
		*slash = '\0';
	return slash != NULL;
}

bool publish_table_knows(const struct publish_table *table, const char *path)
{
	mem_cleanup char *part = str_dup(path);

	do {
		const struct publish_entry *entry = publish_table_find(table, part);

		if (entry != NULL && (entry->kind == PUBLISH_TREE || strcmp(part, path) == 0))
			return true;
	} while (go_up(part));
	return false;
}

void publish_table_touch(struct publish_table *table, const char *path)
{
	mem_cleanup char *part = str_dup(path);

	if (path == NULL) {
		for (size_t i = 0; i < table->count; i++)
			publish_table_set_dirty(table, table->entries[i], true);
		return;
	}
	do {
		struct publish_entry *entry = publish_table_find(table, part);

		if (entry != NULL)
			publish_table_set_dirty(table, entry, true);
	} while (go_up(part));
}
