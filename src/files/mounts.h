#ifndef NPXC_FILES_MOUNTS_H
#define NPXC_FILES_MOUNTS_H

#include "base/error.h"
#include "base/str.h"
#include "config/config.h"
#include "files/guards.h"
#include "files/links.h"
#include "runtime/runtime.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * What of the host a session will see, worked out before the start: configured mounts, the project, and the files and
 * directories under the working directory that a server argument or a declared variable names. Looks at the file
 * system and changes nothing. All mounts of the working directory keep their path.
 */
struct mounts_input {          /* borrowed */
	const char *cwd;       /* absolute, existing */
	const char *home;      /* the user's */
	const char *real_home; /* the same without links; NULL: it cannot be looked up */
	const struct strv *arguments;
	const struct config_variable *env; /* declared variables with their values */
	size_t env_count;
	const struct config_mount *configured; /* from the package's file */
	size_t configured_count;
	const struct config_mount *flagged; /* from --mount; they may be relative to cwd */
	size_t flagged_count;
	enum config_project project;
	const struct links_input
	    *package;               /* a directory that is run where it lies, without `written` and `shown`; NULL */
	bool writable;              /* mount_mode rw: what arguments and variables name is mounted read-write */
	const struct strv *written; /* trees that servers could write to (files/written); may be NULL */
	const struct strv
	    *own; /* npxc's own files (configuration, store, data): no server may write them; may be NULL */
};

struct mounts_entry {
	char *source, *target;           /* owned; absolute; source is a path without links, as it was walked */
	struct launch_identity identity; /* what was judged; its fd is owned here */
	uint64_t bytes;                  /* a file's, when it was judged */
	bool writable;
	bool directory;
	bool kept;    /* not asked for: what the host would execute, read-only in a writable tree */
	bool all;     /* writable: with what the host would execute */
	bool outside; /* not under the working directory: the user named it by flag or configuration */
	char *origin; /* owned: "--mount", "mounts", "project", "git", "package", "package link", "argument 2",
	                 "variable NAME", "kept read-only" */
};

/* A directory in a writable tree that must not be renamed: what is kept read-only lies in it. */
struct mounts_pin {
	char *source, *target;                  /* owned */
	struct launch_identity identity;        /* without a descriptor */
	char *parent;                           /* owned; the directory that it lies in, on the host */
	struct launch_identity parent_identity; /* its fd is owned here; -1: it is mounted by name */
};

struct mounts {
	struct mounts_entry *v; /* sorted: a parent stands before what lies beneath it */
	size_t count;
	struct mounts_pin *pins;
	size_t pin_count;
	struct guards_tree *trees; /* the writable ones, with what the host would execute in them at the start */
	size_t tree_count;
	struct strv masks; /* sockets inside, by their path inside */
	struct strv notes; /* lines for the user: masked sockets, links that are not followed */
	/* What arguments and variables name, is there and is not shown; and why, at the same place. */
	struct strv unseen, unseen_why;
	bool own_repository; /* the project is a git work tree of this user's */
	bool cwd_in_scope;   /* false when cwd is /, HOME or an ancestor of HOME */
	char *real_cwd;      /* owned; cwd without links, as it was walked */
};

/*
 * Should: refuse what cannot be honoured (a --mount whose source is missing, a target over the system's own paths, two
 * sources for one target, a tree too large to be searched for sockets). ERROR_CONFIG, ERROR_PATH_NOT_FOUND.
 * Should: look each source up once, keep it open and judge what was opened: its descriptor and identity say afterwards
 * what is meant, whatever is renamed or swapped (files/source).
 * Mustn't: let a server choose what another one sees. It may write to the working directory, so a mount named by a path
 * beneath it must not lead out of it by a symlink; nor must any path (the working directory's own included) lead by one
 * out of a tree that some server could write to. Other links are the user's, and followed; what a path that is mounted
 * led to by one is told. npxc's own files are never mounted writable.
 * Mustn't: let a server write what the host would execute (config/hazard, RUN), unless the mount says so (`rw,all`):
 * what is there in a writable tree is mounted read-only over itself, and the directories above it are pinned.
 * Mustn't: mount on a mere mention anything that lies, or by a symlink leads, outside the working directory.
 */
bool mounts_gather(const struct mounts_input *input, struct mounts *ret_mounts, struct npxc_error *err) NPXC_MUST_CHECK;
void mounts_done(struct mounts *mounts);

/* Pure: whether a path may be a mount's target: absolute, clean, not one of the sandbox's own places. ERROR_CONFIG. */
bool mounts_check_target(const char *target, struct npxc_error *err) NPXC_MUST_CHECK;

#endif
