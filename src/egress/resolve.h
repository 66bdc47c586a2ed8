#ifndef NPXC_EGRESS_RESOLVE_H
#define NPXC_EGRESS_RESOLVE_H

#include "base/error.h"
#include "base/ip.h"
#include "config/rules.h"
#include "egress/loop.h"
#include "egress/records.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Addresses of names, from the system's resolver (getaddrinfo), which blocks: a few threads ask, the loop is told.
 * Threads are started when there is something to ask. Answers are kept for LIMIT_EGRESS_RESOLVED_MS, so that a burst of
 * flows asks once.
 *
 * Names are absolute: the system's list of domains to search is never used, as its answer would be another name's. The
 * C library is asked with a dot behind the name for that; with it glibc (2.36) and musl (1.2) find nothing in
 * /etc/hosts any more, so that file is read here, before. Other records than addresses are asked for with the C
 * library's res_query, which takes every name as absolute; their answers are not kept.
 *
 * Mustn't: be given a name that is on no rule. A question for a name that the guest chose carries whatever the guest
 * wants to whoever owns the name.
 */
/* The first ones: at most half of them of one family, so that some of each are kept. More than are tried, as not all
 * may be fit for it. */
enum { RESOLVE_ADDRESSES = 32 };

struct resolve_answer {
	bool found; /* false: the name has no address, or nobody could say */
	struct ip v[RESOLVE_ADDRESSES];
	size_t count;
};

/* Called in the loop's thread. */
typedef void resolve_done(void *context, const struct resolve_answer *answer);

/* Adds one more address of the name, if there is room for its family. Pure. */
void resolve_keep(struct resolve_answer *answer, const struct ip *ip);
/* One line of /etc/hosts, with or without its end: whether it gives the canonical `name` an address. Pure. */
bool resolve_hosts_line(const char *line, const char *name, struct ip *ret_ip);

struct resolver;
bool resolver_open(struct loop *loop, struct resolver **ret_resolver, struct npxc_error *err) NPXC_MUST_CHECK;

/*
 * Asks; `done` is called in a later turn, or at once when the answer is known. `ret_ticket` (0: it was called already)
 * is for resolver_forget. False: too many questions wait (LIMIT_EGRESS_QUESTIONS), or no thread can be had.
 */
bool resolver_ask(struct resolver *resolver, const char *name, resolve_done *done, void *context,
                  uint64_t *ret_ticket) NPXC_MUST_CHECK;
/* The same for other records; `records` is borrowed for the call. It is never called at once. */
typedef void resolve_records_done(void *context, const struct records *records);
bool resolver_ask_records(struct resolver *resolver, const char *name, uint16_t type, resolve_records_done *done,
                          void *context, uint64_t *ret_ticket) NPXC_MUST_CHECK;
/* Who asked has gone: nobody is told. */
void resolver_forget(struct resolver *resolver, uint64_t ticket);

/* For tests: asks this instead of getaddrinfo. Called in other threads. */
void resolver_set_lookup(struct resolver *resolver,
                         void (*lookup)(const char *name, struct resolve_answer *ret_answer));
void resolver_set_records_lookup(struct resolver *resolver,
                                 void (*lookup)(const char *name, uint16_t type, struct records *ret_records));

#endif
