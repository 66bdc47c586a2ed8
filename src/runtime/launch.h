#ifndef NPXC_RUNTIME_LAUNCH_H
#define NPXC_RUNTIME_LAUNCH_H

#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What is wanted of a sandbox, in no runtime's words. */

/*
 * NETNS: a namespace in which egress/netns has sockets; bwrap only. MANAGED: a host-only network that npxc made for
 * this session, or will (then a slot stands for its name); its name is not the user's.
 */
enum launch_network {
	LAUNCH_NETWORK_NONE,
	LAUNCH_NETWORK_OPEN,
	LAUNCH_NETWORK_NAMED,
	LAUNCH_NETWORK_MANAGED,
	LAUNCH_NETWORK_NETNS
};

/*
 * Which file is meant, of a source that others may rename: what was judged is what the sandbox gets, or it does not
 * start. Sources in npxc's own directories, which no server can write to, need none.
 */
struct launch_identity {
	int fd;                /* borrowed, O_PATH; -1: there is none */
	char kind;             /* 'd', 'f', 's' or 'o' for the others; see src/guest/first.c */
	unsigned major, minor; /* of its device */
	uint64_t inode;
};

struct launch_mount {
	char *source; /* owned, absolute, existing host path */
	char *target; /* owned, absolute path inside */
	bool writable;
	bool judged; /* `identity` counts */
	struct launch_identity identity;
};

/*
 * A directory that must not be renamed or removed inside, because something is mounted in it. The kernel refuses both
 * for what is a mount point anywhere in the process's mount namespace (is_local_mountpoint, Linux 3.18): the directory
 * that it lies in is mounted a second time, out of sight, and something is put over `name` there.
 */
struct launch_pin {
	char *directory; /* owned; the host path of the directory that it lies in */
	struct launch_identity identity;
	char *name; /* owned; one component */
};

struct launch_tmpfs {
	char *target; /* owned, absolute path inside */
	uint64_t bytes;
	unsigned mode; /* permission bits */
};

struct launch_spelling {
	char *path, *target; /* owned, absolute; nothing else stands at `path` */
};

struct launch_variable {
	char *name, *value; /* owned; the value never goes into an argument list */
};

struct launch {
	char *name;          /* owned; container and cgroup name: npxc-<slug>-<8 hex>, <= 63 characters */
	struct strv command; /* inside; command.v[0] is an absolute path inside or a name looked up on PATH inside */
	char *directory;     /* owned; working directory inside */
	char *home;          /* owned; HOME inside, a tmpfs */
	struct launch_spelling *spellings; /* bwrap: links for other spellings of HOME and the working directory */
	size_t spelling_count;
	struct launch_mount
	    *mounts; /* any order: what lies beneath another is mounted after it; equal targets: last wins */
	size_t mount_count;
	struct launch_pin *pins; /* bwrap, podman, docker */
	size_t pin_count;
	struct launch_tmpfs *tmpfs; /* beside /tmp, /run and HOME, which every sandbox has */
	size_t tmpfs_count;
	struct strv masks;           /* paths inside (UNIX sockets of mounted trees) over which an empty file is put */
	struct strv links;           /* "target=linkpath" pairs: symlinks that are made inside; bwrap only */
	struct launch_variable *env; /* configured ones; PATH HOME TMPDIR LANG TERM are the driver's own */
	size_t env_count;
	char *path_prefix; /* owned or NULL; directories put before the ordinary PATH inside (a Node's bin) */
	char *term, *lang; /* owned or NULL: TERM and LANG inside, passed from outside; `env` wins over all five */
	enum launch_network network;
	char *network_name;    /* owned; NAMED and MANAGED only */
	uint64_t memory_bytes; /* ceilings; 0 = none wanted */
	unsigned cpu_millis;
	unsigned pids;
	char *image;        /* owned; container runtimes only */
	char *first;        /* owned or NULL; the first program as a file of the host's; container runtimes only */
	uint64_t tmp_bytes; /* size of /tmp; 0: LIMIT_TMPFS_TMP_BYTES */
};

void launch_add_mount(struct launch *launch, const char *source, const char *target, bool writable);
void launch_add_judged(struct launch *launch, const char *source, const char *target, bool writable,
                       const struct launch_identity *identity);
void launch_add_pin(struct launch *launch, const char *directory, const struct launch_identity *identity,
                    const char *name);
struct stat;
struct launch_identity launch_identity_of(int fd, const struct stat *info);
/*
 * The words with which the first program (guest/first) compares what was mounted, none when there is nothing to
 * compare; `bound`: so many of the judged mounts are bound by their descriptors, and those that lie in no other mount
 * are then certain. A mask has no identity: what it is, and that it is read-only, is all.
 */
void launch_checks(const struct launch *launch, size_t bound, char mask_kind, struct strv *ret_words);
/* Where pins are, covered or closed. */
#define LAUNCH_PINS "/run/npxc/pins"
/* Where the first program stands inside. */
#define LAUNCH_FIRST "/run/npxc/first"
void launch_add_tmpfs(struct launch *launch, const char *target, uint64_t bytes, unsigned mode);
void launch_add_spelling(struct launch *launch, const char *path, const char *target);
/* The path with the link that it begins with followed; owned. */
char *launch_real(const struct launch *launch, const char *path);
void launch_add_env(struct launch *launch, const char *name, const char *value); /* replaces an equal name */
void launch_done(struct launch *launch);

#endif
