#ifndef NPXC_TEARDOWN_RESOURCE_H
#define NPXC_TEARDOWN_RESOURCE_H

#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* What a session may hold and a teardown removes: its kinds, the words that describe one, and which of them are
 * refused. Pure. */
enum resource_kind {
	RESOURCE_CGROUP,    /* directory, removed once the group is gone */
	RESOURCE_DIRECTORY, /* a tree */
	RESOURCE_FILE,
	RESOURCE_CONTAINER, /* words as below */
	RESOURCE_NETWORK,   /* the same */
	/*
	 * The first process of a session of its own, for what npxc forks beside the sandbox: its pid and its start
	 * (struct proc_look) as decimal numbers. It ends by itself when the launcher does, and has LIMIT_PROCESS_END_MS
	 * for that; then it and its group are killed, and seen to be dead. Held right after its fork, and before
	 * anything that does not trust itself to npxc can use it.
	 * Mustn't: signal a number that has been given to somebody else.
	 */
	RESOURCE_PROCESS,
	/*
	 * The list of what the host would execute in the trees that the session may write to (files/guards): a file,
	 * which goes, or names what is unsafe now. Looked at once nothing of the session can write any more.
	 */
	RESOURCE_GUARDS,
};

/* The words of a container or network: the CLI's path, the runtime's word, the name, then the CLI's environment. */
enum { RESOURCE_WORD_CLI, RESOURCE_WORD_RUNTIME, RESOURCE_WORD_NAME, RESOURCE_WORDS };

/* How a kind is described. */
enum resource_shape {
	RESOURCE_SHAPE_PATH,    /* one word */
	RESOURCE_SHAPE_NAMED,   /* by a runtime: the words above */
	RESOURCE_SHAPE_PROCESS, /* a pid and its start */
};
enum resource_shape resource_shape(enum resource_kind kind);
const char *resource_kind_word(enum resource_kind kind); /* "directory" */
bool resource_kind_of(const char *word, enum resource_kind *ret_kind);
/* The word that names it to a user: a path, a container's or network's name, a pid. Borrowed. */
const char *resource_name(enum resource_kind kind, const struct strv *words);

/* Doubles hold these exactly; what is larger was not written by npxc. */
#define RESOURCE_NUMBER_MAX UINT64_C(9007199254740992)
/* Of a RESOURCE_PROCESS. False: these are not its words. */
bool resource_process(const struct strv *words, pid_t *ret_pid, uint64_t *ret_started);

enum { RESOURCE_ID_DIGITS = 8 };
bool resource_is_id(const char *text); /* of a session */
/* npxc-<slug>-<8 hex digits>, at most 63 characters: what sessions call containers, cgroups and workspaces. */
bool resource_is_session_name(const char *text);

/*
 * NULL when a session may hold this, else why not. For what the launcher tells the janitor and for what stands in a
 * file alike.
 * Mustn't: let a name through that npxc does not make, nor a path that is relative, not clean or a top one.
 */
const char *resource_objection(enum resource_kind kind, const struct strv *words);

/* Whether a variable's value must not be written to disk, by its name ("NAME=value" or "NAME"). */
bool resource_is_secret(const char *variable);

#endif
