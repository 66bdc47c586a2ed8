#ifndef NPXC_FILES_PUBLISH_H
#define NPXC_FILES_PUBLISH_H

#include "base/error.h"
#include "base/str.h"
#include "files/find.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Files of the working directory, made visible in the sandbox under their own path: private copies in the session's
 * directory `files`, which is mounted there. Never hard links: what a server does to its copy does not reach the file.
 *
 * `files` is a faithful part of the working directory: each name has the type that it has there, links that stay
 * beneath it are links, directories hold what they hold but for what is left out (links that lead out, names of
 * config/hazard, other kinds, other file systems; one line in the log). A copy is made beside it, its missing parents
 * too, and comes by one rename, so that a watcher inside hears of one thing. A file that changed is copied again
 * (device, inode, size, times; its bytes where the times are too young to tell), one that is gone is removed.
 */
struct publish_settings {
	const char *files, *stage;                /* borrowed; two directories of npxc's own on one file system */
	const struct find_root *root;             /* borrowed */
	const struct strv *mount_points;          /* borrowed; beneath the working directory, relative to it */
	bool writable;                            /* the server may write to `files`: what is there is not believed */
	uint64_t max_file_bytes, max_total_bytes; /* LIMIT_PUBLISH_* */
	size_t max_tree_entries, max_entries;
	bool (*stop)(void *context); /* see base/copy.h; may be NULL */
	void *context;
};

struct publish;

/* ERROR_IO: the directories cannot be opened. */
bool publish_start(const struct publish_settings *settings, struct publish **ret_publish,
                   struct npxc_error *err) NPXC_MUST_CHECK;
/* Frees; what is on disk stays for whoever owns the directories (the janitor). NULL is allowed. */
void publish_free(struct publish *publish);

/*
 * Makes visible what was found: its links, and the file or the tree at its own path. What is missing, or neither file
 * nor directory, is not to be seen afterwards; that is success.
 * Should: keep each copy within the limits even if files grow while they are copied.
 * Mustn't: publish, exchange or remove anything at, above or beneath a mount point (a rename over one detaches the
 * mount in the guest); show half of a copy; follow a link anywhere.
 * Errors: ERROR_IO for ceilings, a full disk and the like.
 */
bool publish_put(struct publish *publish, const struct find *found, struct npxc_error *err) NPXC_MUST_CHECK;

/* Looks at what was published and has changed since; what cannot be renewed is told in the log. Costs one system call
 * when nothing has changed. */
void publish_refresh(struct publish *publish);

/* Whether the name is one that npxc put there, by itself or in a tree; and when (its copy's inode), 0: not a file. */
bool publish_knows(const struct publish *publish, const char *path);
/* A file that the server made and that has been put in its place on the host: from now on it is as if published. */
void publish_adopt(struct publish *publish, const char *path, const struct stat *host);

/* For publish_tree.c */
struct publish_tree {
	const struct publish_settings *settings;
	const char *path;   /* of the tree, for messages and links */
	int stage;          /* where the copy goes, -1: only measured */
	const char *staged; /* beneath it */
	uint64_t room;      /* bytes ... */
	size_t places;      /* ... and files and directories that it may have */
	void *watching;     /* what on_directory gets */
	void (*on_directory)(void *watching, int directory, const char *path);
	size_t files; /* from here on: what came of it */
	uint64_t bytes, mark;
	bool settled;
	struct strv left_out;
	size_t left_out_count;
};
bool publish_tree_go(struct publish_tree *tree, int directory, struct npxc_error *err) NPXC_MUST_CHECK;
void publish_tree_done(struct publish_tree *tree);
/* Once for each path. */
void publish_report_left_out(struct strv *told, const char *path, const struct strv *left_out, size_t count);
uint64_t publish_mix_stat(uint64_t hash, const struct stat *info);
bool publish_is_settled(const struct stat *info);
mode_t publish_copy_mode(const struct stat *info);

#endif
