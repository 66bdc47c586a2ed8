#ifndef NPXC_EGRESS_AUDIT_H
#define NPXC_EGRESS_AUDIT_H

#include "base/buf.h"
#include "base/error.h"
#include "egress/reason.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * The audit log: one JSON object per line and decision, in two files (0600) of <state directory>/egress, so that what
 * was allowed, of which a guest can make as much as it likes, takes no room from what was not:
 *
 *     <session>.jsonl            what was allowed; when it is full it becomes <session>.jsonl.1, whose content goes
 *     <session>.denied.jsonl     what was denied or has failed: the first LIMIT_AUDIT_FILE_BYTES of it, for good
 *     <session>.denied.jsonl.1   the latest of what did not find room there
 *
 *     {"ts","session","package","flow","verdict","code","host","port","ip","rule","kind","sni","alpn","up","down","ms",
 *      "why","add","repeat"}
 *
 * What is not known is left out; `repeat` is how many more of the same there were, and is left out when none; for what
 * was allowed `up` and `down` are those of all of them then, and `ms` the longest. Nothing a
 * guest said gets into a line but through here, escaped. `add` is the rule that would allow it, where one would.
 */

enum audit_verdict { AUDIT_ALLOW, AUDIT_DENY, AUDIT_FAIL };

enum audit_code {
	AUDIT_OK,
	AUDIT_EACCES,       /* on no rule, or an address that its rule does not cover */
	AUDIT_ESNI,         /* TLS for another name, or without one */
	AUDIT_EHOST,        /* HTTP for another host, or none that could be read */
	AUDIT_EPROTO,       /* neither, where one of them is wanted; a malformed request for a flow */
	AUDIT_ENOTFOUND,    /* the name has no address */
	AUDIT_ECONNREFUSED, /* it has, and nobody is there */
	AUDIT_ETIMEDOUT,
	AUDIT_EMFILE, /* too many flows, names or lookups at once */
	AUDIT_EIO,    /* records that are missing here, as they could not be written */
};

/* Which rule would help against a denial. */
enum audit_add {
	AUDIT_ADD_NOTHING,
	AUDIT_ADD_RULE, /* no rule names the host and port */
	AUDIT_ADD_RAW,  /* one does, and what is spoken is neither TLS nor HTTP */
};

struct audit_record {  /* texts are borrowed, NULL when not known */
	uint64_t flow; /* 0: none (a DNS question) */
	enum audit_verdict verdict;
	enum audit_code code;
	const char *host;
	uint16_t port; /* 0: none */
	const char *ip;
	const char *rule;
	const char *kind; /* "tls", "http", "opaque", "udp", "dns" */
	const char *sni, *alpn;
	uint64_t up, down; /* bytes that the guest sent and got */
	int64_t ms;        /* how long it was; -1: no flow */
	enum reason reason;
	enum audit_add add; /* for host, or ip without one, and port; with port 0: NOTHING */
	uint64_t repeat;
};

const char *audit_code_word(enum audit_code code);

/* One line with its newline, appended; pure. `ts` is RFC 3339. */
bool audit_line(const struct audit_record *record, const char *ts, const char *session, const char *package,
                struct buf *ret_line, struct npxc_error *err) NPXC_MUST_CHECK;

/* ---- repetitions; pure ---- */

/*
 * The same denial again within LIMIT_AUDIT_REPEAT_MS is counted, not written. At most LIMIT_AUDIT_REPEATS different
 * ones are remembered; the oldest goes for a new one. Beyond LIMIT_AUDIT_BURST denials at once and LIMIT_AUDIT_RATE per
 * second all others are only counted together.
 *
 * `allowed`: flows that were allowed. Up to that burst and rate each is written; beyond them the same within
 * LIMIT_AUDIT_REPEAT_MS are added up, and what is different from LIMIT_AUDIT_REPEATS others is only counted.
 */
struct audit_repeats;
struct audit_repeats *audit_repeats_new(bool allowed);
void audit_repeats_free(struct audit_repeats *repeats);

/* Called with each record that has to be written. */
typedef void audit_emit(void *context, const struct audit_record *record);

/* It is emitted now, or counted. */
void audit_repeats_add(struct audit_repeats *repeats, const struct audit_record *record, int64_t now_ms,
                       audit_emit *emit, void *context);
/* What was counted and has been waiting long enough; `all`: everything (the end). */
void audit_repeats_flush(struct audit_repeats *repeats, int64_t now_ms, bool all, audit_emit *emit, void *context);
/* Milliseconds until there is something to flush; -1: nothing waits. */
int audit_repeats_due(const struct audit_repeats *repeats, int64_t now_ms);

/* ---- the file ---- */

/* bytes: what is written at once at the latest, and what waits when it cannot be written. */
enum { AUDIT_PENDING_BYTES = 32 * 1024 };

struct audit;
/*
 * Makes the directory (0700) and the first file, and removes the oldest files of dead sessions beyond
 * LIMIT_AUDIT_FILES. Needs the file system only through the directory's descriptor from here on. ERROR_IO.
 */
bool audit_open(const char *directory, const char *session, const char *package, struct audit **ret_audit,
                struct npxc_error *err) NPXC_MUST_CHECK;
int audit_directory_fd(const struct audit *audit); /* borrowed; for the process's confinement */
/*
 * Never fails: a full disk must not end a session. What cannot be written waits, up to AUDIT_PENDING_BYTES, and is
 * tried again every LIMIT_AUDIT_RETRY_MS; what finds no room there is counted, and a record of code EIO says how many.
 * No half line stays in a file. Records may be counted first (see above). Lines are written together, by audit_flush at
 * the latest: a loop calls it before it waits.
 */
void audit_write(struct audit *audit, const struct audit_record *record, int64_t now_ms);
void audit_flush(struct audit *audit, int64_t now_ms);
int audit_due(const struct audit *audit, int64_t now_ms);
/* Why something could not be written; what finds no room then is counted in the log. */
enum audit_trouble {
	AUDIT_TROUBLE_NONE,
	AUDIT_TROUBLE_SPACE, /* none is left */
	AUDIT_TROUBLE_WRITE, /* a file cannot be opened or written */
};
/* Told once: NONE from then on. */
enum audit_trouble audit_trouble(struct audit *audit);
/* Writes what was counted; NULL is allowed. What audit_trouble would tell then. */
enum audit_trouble audit_close(struct audit *audit);

#endif
