#ifndef NPXC_FILES_PUBLISH_TABLE_H
#define NPXC_FILES_PUBLISH_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* What files/publish has made visible, by its path: one entry for each file, link and tree. */

enum publish_kind { PUBLISH_FILE, PUBLISH_TREE, PUBLISH_LINK };

/* What tells whether a file or a tree is still the same. */
struct publish_identity {
	dev_t device;
	ino_t inode;
	uint64_t size; /* of a tree: of its files together */
	uint64_t mark; /* both times; of a tree: names, inodes, sizes and times of all that is in it */
	bool settled;  /* the times are old enough: a later change would have given others */
};

struct publish_entry {
	char *path; /* owned */
	enum publish_kind kind;
	struct publish_identity identity;
	char *target; /* owned; of a link */
	ino_t copy;   /* of a file */
	uint64_t bytes;
	size_t files; /* directories too */
	bool dirty, unwatched;
	long next; /* in its bucket; -1: none */
};

struct publish_table {                  /* zeroed = empty */
	struct publish_entry **entries; /* owned */
	size_t count, capacity;
	long *buckets;           /* as many as `capacity` */
	uint64_t bytes;          /* of all entries together, as what follows */
	size_t files;            /* and directories */
	size_t dirty, unwatched; /* entries */
};

void publish_table_done(struct publish_table *table);
/* NULL: there is none of that path. */
struct publish_entry *publish_table_find(const struct publish_table *table, const char *path);
/* The entry of that path, made when there is none, now of this kind and size. */
struct publish_entry *publish_table_put(struct publish_table *table, const char *path, enum publish_kind kind,
                                        uint64_t bytes, size_t files);
/* Those beneath the path, and with `itself` the one at it. Goes through all: what calls it is rare. */
void publish_table_drop(struct publish_table *table, const char *path, bool itself);
/* Whether the path is an entry's, or beneath a tree. */
bool publish_table_knows(const struct publish_table *table, const char *path);

/* Has to be looked at again; is looked at with each request, because nothing watches it. */
void publish_table_set_dirty(struct publish_table *table, struct publish_entry *entry, bool dirty);
void publish_table_set_unwatched(struct publish_table *table, struct publish_entry *entry, bool unwatched);

/* Each entry that the path is, or lies in, is dirty; NULL: all. */
void publish_table_touch(struct publish_table *table, const char *path);

#endif
