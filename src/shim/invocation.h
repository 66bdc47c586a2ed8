#ifndef NPXC_SHIM_INVOCATION_H
#define NPXC_SHIM_INVOCATION_H

#include "base/error.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * The command line of `run`, read the way the CLI of the cassette reads it: options (which ones exist, and which take
 * a value, is the cassette's business), the image, and the container's command, which is everything behind it. Pure:
 * looks at nothing but the arguments.
 */
struct invocation_mount {
	char *source; /* owned; NULL: a tmpfs */
	char *target; /* owned */
	bool read_only;
};

struct invocation {
	char *name;                   /* owned; NULL: none given */
	char *image;                  /* owned; NULL: none given */
	char *directory, *entrypoint; /* owned or NULL */
	struct strv command;
	struct strv networks; /* as given, without ",mac=..." behind the name */
	struct strv env;      /* NAME=value, or NAME (inherited from the CLI's own environment) */
	struct strv env_files;
	struct strv labels; /* key=value */
	struct invocation_mount *mounts;
	size_t mount_count;
	bool interactive, remove, init;
	char *unknown_option; /* owned; the first option that is in neither list, and nothing behind it was read; or
	                         NULL */
};

/* `argv` starts behind "run". ERROR_CONFIG when an option lacks its value or a mount cannot be read. */
bool invocation_parse(const char *const *argv, size_t argc, const struct strv *with_value, const struct strv *flags,
                      struct invocation *ret_invocation, struct npxc_error *err) NPXC_MUST_CHECK;
void invocation_done(struct invocation *invocation);

/*
 * `path` as it is called outside: beneath the deepest target that holds it, the target's source takes its place; a
 * tmpfs has as source what `tmpfs_sources` says (one per mount, NULL for bind mounts). A path beneath no target stays.
 * Owned.
 */
char *invocation_host_path(const struct invocation *invocation, char *const *tmpfs_sources, const char *path);

/* The same for an argument or a value: "/path", "--option=/path", lists "/a:/b" of paths, and a value that begins with
 * an option and its path ("--require /path --require=/path --more"). Other texts stay. Owned. */
char *invocation_host_text(const struct invocation *invocation, char *const *tmpfs_sources, const char *text);

#endif
