#ifndef NPXC_TEARDOWN_LEASE_H
#define NPXC_TEARDOWN_LEASE_H

#include "base/error.h"
#include "base/str.h"
#include "contain/group.h"
#include "teardown/resource.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * The lease: what one session holds, on disk, so that it can be released when neither launcher nor janitor is left to
 * do it. The janitor writes it; `npxc gc`, the sweep at a start and `npxc ps` read it.
 *
 * A file DIRECTORY/<id>.lease of mode 0600, one JSON object per line, only ever appended to. A line is on disk before
 * what it names is acquired: synced when that outlives the machine's end (files, directories, containers, networks),
 * handed to the kernel when it does not (processes, cgroups). The first line says who:
 *
 *   {"lease":1,"npxc":"0.4.0","id":"0123abcd","boot":"...","machine":"...","pids":inode,"started_at":ms,
 *    "started_boot":ms,"launcher":{"pid":7,"started":8},"janitor":{...},"client":{"pid":6,"started":5,"name":"node"}}
 *
 * and each of the others one of
 *
 *   {"facts":{"name":"npxc-x-0123abcd","package":"x","version":"1.0.0","runtime":"bwrap","policy":"none","link":"",
 *             "shares":["w/home/me/p"]}}                          shares: see session/shares; left out where empty
 *   {"hold":{"id":1,"kind":"directory","path":"/..."}}                          also file and cgroup
 *   {"hold":{"id":2,"kind":"container","cli":"/...","runtime":"podman","name":"npxc-...","environment":["A=b"]}}
 *   {"hold":{"id":3,"kind":"process","pid":12,"started":13}}
 *   {"release":1}
 *   {"sandbox":{"pid":9,"started":10,"asked":"inner"}}        {"sandbox":null} once it has been ended
 *   {"janitor":{"pid":11,"started":12}}                       another one took over
 *
 * A last line without its newline was never answered for: it is as if it were not there. Keys inside these objects that
 * are not known are passed over; a line that is none of these, a kind that is not known, or a higher number after
 * "lease" makes the whole file one that is left alone. So a new kind needs no higher number: who does not know it acts
 * on nothing.
 *
 * Launcher and janitor each hold a shared lock (flock) on it for as long as they live: who gets an exclusive one may
 * act on it.
 */

enum { LEASE_FORMAT = 1 };
#define LEASE_SUFFIX ".lease"

struct lease_process {
	pid_t pid;        /* 0: not known */
	uint64_t started; /* see struct proc_look */
};

struct lease_entry {
	unsigned id; /* > 0, unique in its lease */
	enum resource_kind kind;
	struct strv words; /* as janitor_hold takes them */
	bool is_removed;   /* the janitor's own note, on no line: looked for again while a network is held */
};

struct lease {                                  /* all owned; text is never NULL after lease_parse */
	char *id;                               /* "": nothing was written down before the end */
	char *npxc;                             /* the version that wrote it */
	char *boot;                             /* see proc_boot_id */
	char *machine;                          /* see proc_machine_id; "": not known, or a lease of 0.4.0 */
	uint64_t pids;                          /* see proc_namespace; 0 alike */
	int64_t started_at_ms, started_boot_ms; /* see clock_wall_ms, clock_boot_ms */
	struct lease_process launcher, janitor, client;
	char *client_name;
	/* Facts; "" as long as they are not known. */
	char *name, *package, *version, *runtime, *policy, *link;
	struct strv shares;           /* words of session/shares */
	struct lease_process sandbox; /* its first process; pid 0: none */
	enum group_stop stop;
	struct lease_entry *entries; /* what is held, in the order of its coming */
	size_t count;
	unsigned last_id; /* the highest that was ever given */
};

void lease_done(struct lease *lease);
void lease_entry_done(struct lease_entry *entry);

/* Copies the facts, in the order of the struct, and the shares behind them. False: there are not as many. */
enum { LEASE_FACTS = 6 };
bool lease_set_facts(struct lease *lease, const struct strv *words) NPXC_MUST_CHECK;

/* ---- pure: lease.c ---- */

/* The words that name it to a user: a path, a container's or network's name, a pid. Borrowed. */
const char *lease_entry_name(const struct lease_entry *entry);
/* Of a RESOURCE_PROCESS. */
struct lease_process lease_entry_process(const struct lease_entry *entry);

/*
 * A file's text. ERROR_JSON: not a lease, or one in a format that this npxc does not read ("a newer npxc"). A text
 * without one whole line is a lease that holds nothing.
 * Should: refuse what is ill-typed, out of range, out of place or longer than its ceiling.
 * Mustn't: return half of a lease.
 */
bool lease_parse(const char *text, size_t length, struct lease *ret_lease, struct npxc_error *err) NPXC_MUST_CHECK;

/* Lines to append, each with its newline; owned. Variables that look like secrets (their names do) are not written. */
char *lease_line_header(const struct lease *lease);
char *lease_line_facts(const struct lease *lease);
char *lease_line_hold(const struct lease_entry *entry);
char *lease_line_release(unsigned id);
char *lease_line_sandbox(const struct lease_process *process, enum group_stop stop); /* pid 0: null */
char *lease_line_janitor(const struct lease_process *process);

/* Whether it was written in this boot, which `boot` names; never where boots have no names. */
bool lease_is_of_boot(const struct lease *lease, const char *boot);
/*
 * Milliseconds since the session's start; -1 when it cannot be told. The wall clock does not matter within one boot; in
 * another boot, or where boots have no names, there is none.
 */
int64_t lease_uptime_ms(const struct lease *lease, const char *boot, int64_t boot_ms);

/* ---- touching the system: lease_file.c ---- */

/* The process's own identity, for a lease; started 0 when it has gone. */
struct lease_process lease_process_of(pid_t pid);
/* Whether exactly that process lives (a zombie does not). `boot`: this one's. */
bool lease_process_alive(const struct lease *lease, const struct lease_process *process, const char *boot);

/* An id of which there is no lease in `directory`; owned. */
char *lease_new_id(const char *directory);
/* DIRECTORY/<id>.lease; owned. */
char *lease_path(const char *directory, const char *id);

/*
 * Makes the file (and the directory, 0700) with `text` in it, synced with its directory's entry, under a shared lock.
 * ERROR_IO; nothing is left then.
 */
bool lease_create(const char *path, const char *text, int *ret_fd, struct npxc_error *err) NPXC_MUST_CHECK;
/* Appends whole or not at all; `durable`: on disk when it returns. ERROR_IO, also above LIMIT_LEASE_BYTES. */
bool lease_append(int fd, const char *text, bool durable, struct npxc_error *err) NPXC_MUST_CHECK;
/* A shared lock on a lease that somebody holds already; never waits. ERROR_IO. */
bool lease_share(const char *path, int *ret_fd, struct npxc_error *err) NPXC_MUST_CHECK;
/* The text of an open lease, cut behind its last whole line: a torn last line is cut off the file as well. ERROR_IO,
 * ERROR_JSON. */
bool lease_reread(int fd, struct lease *ret_lease, struct npxc_error *err) NPXC_MUST_CHECK;

/*
 * A directory of leases may be shared: a home on a network's file system, or one home in two containers. Locks may not
 * reach that far, and a pid of there is another process here. So a lease of another machine, or of another pid
 * namespace in this boot, is shown and never acted on, whatever its lock says.
 */
enum lease_state {
	LEASE_LIVE,   /* its launcher lives */
	LEASE_ENDING, /* a janitor, or a sweep, is at it */
	LEASE_DEAD,   /* nobody is */
	LEASE_ALIEN, /* not to be acted on: unreadable, of another user, a symlink, from the future, not to be locked */
	LEASE_ELSEWHERE, /* of another machine or pid namespace */
	LEASE_GONE,      /* released meanwhile */
};

struct lease_seen {
	enum lease_state state;
	char *path;         /* owned */
	struct lease lease; /* zeroed when alien, elsewhere or gone */
	int fd;             /* owned; of a dead one that was taken: exclusively locked. Else -1 */
	char *why;          /* owned; alien and elsewhere only */
};

bool lease_is_left_alone(enum lease_state state); /* alien or elsewhere */

/* NULL when the lease's processes are this machine's and this pid namespace's, or have gone with another boot of it;
 * else whose they are. */
const char *lease_elsewhere(const struct lease *lease, const char *boot, const char *machine, uint64_t pids);

/* `take`: a dead lease stays locked, for the caller to act on. `boot`: this one's. */
void lease_look(const char *directory, const char *file, bool take, const char *boot, struct lease_seen *ret_seen);
void lease_seen_done(struct lease_seen *seen);
const char *lease_state_word(enum lease_state state);

/* The names of the files in `directory` that are called like leases, sorted; none when it is not there. ERROR_IO. */
bool lease_list(const char *directory, struct strv *ret_files, struct npxc_error *err) NPXC_MUST_CHECK;
/* Whether any of them, `but` these (NULL: none), can be locked: the quick question of every start. Stops at the first.
 */
bool lease_any_dead(const char *directory, const struct strv *but);

#endif
