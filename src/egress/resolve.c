#include "egress/resolve.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* macOS's own SDK has them, the headers of some cross compilers do not. */
#if __has_include(<arpa/nameser.h>) && __has_include(<resolv.h>)
#include <arpa/nameser.h>
#include <resolv.h>
#define HAS_RESOLVER 1
#else
#define HAS_RESOLVER 0
#endif

/*
 * The resolver lives as long as its process: threads that hang in getaddrinfo could not be ended anyway, so there is
 * no function that frees it.
 *
 * A question is in one of three places: waiting (for a thread), with a thread, answered (for the loop). Several flows
 * that ask for one name meanwhile wait for one question.
 */
struct waiter {
	uint64_t ticket;
	resolve_done *done; /* of addresses */
	resolve_records_done *records_done;
	void *context;
	struct waiter *next;
};

struct question {
	char name[RULES_NAME_BYTES];
	uint16_t type;          /* of records; 0: addresses */
	struct waiter *waiters; /* the loop's */
	struct resolve_answer answer;
	struct records *records;   /* owned; NULL: addresses */
	struct question *next;     /* waiting or answered; under the lock */
	struct question *all_next; /* the loop's */
};

struct known {
	char name[RULES_NAME_BYTES]; /* "": free */
	struct resolve_answer answer;
	int64_t until_ms;
};

struct resolver {
	struct loop_source source; /* of `bell` */
	int bell[2];               /* a byte for the loop: something was answered */
	pthread_mutex_t lock;
	pthread_cond_t has_question;
	struct question *waiting, *waiting_last, *answered; /* under the lock */
	size_t waiting_count;                               /* under the lock */
	unsigned threads, idle; /* under the lock; one that was woken is idle until it has taken a question */
	struct question *all;   /* the loop's from here on */
	size_t count;
	uint64_t last_ticket;
	void (*lookup)(const char *name, struct resolve_answer *ret_answer);
	void (*lookup_records)(const char *name, uint16_t type, struct records *ret_records);
	struct known known[LIMIT_EGRESS_RESOLVED];
};

bool resolve_hosts_line(const char *line, const char *name, struct ip *ret_ip)
{
	static const char blanks[] = " \t\r\n\v\f";
	const size_t end = strcspn(line, "#");
	size_t at = strspn(line, blanks);
	size_t span = strcspn(line + at, " \t\r\n\v\f#");
	struct ip ip;

	if (at >= end || !ip_parse(line + at, span, &ip))
		return false;
	for (at += span; at < end; at += span) {
		char found[RULES_NAME_BYTES];

		at += strspn(line + at, blanks);
		span = strcspn(line + at, " \t\r\n\v\f#");
		if (at + span <= end && rules_canonical_name(line + at, span, found) && strcmp(found, name) == 0) {
			*ret_ip = ip;
			return true;
		}
	}
	return false;
}

void resolve_keep(struct resolve_answer *answer, const struct ip *ip)
{
	size_t of_family = 0;

	for (size_t i = 0; i < answer->count; i++)
		of_family += answer->v[i].v6 == ip->v6;
	if (of_family < RESOLVE_ADDRESSES / 2)
		answer->v[answer->count++] = *ip;
	answer->found = true;
}

/* What getaddrinfo would find there. One that is not there or cannot be read has nothing. */
static void lookup_hosts(const char *name, struct resolve_answer *answer)
{
	FILE *file = fopen("/etc/hosts", "re");
	char *line = NULL;
	size_t size = 0;
	struct ip ip;

	if (file == NULL)
		return;
	while (getline(&line, &size, file) != -1)
		if (resolve_hosts_line(line, name, &ip))
			resolve_keep(answer, &ip);
	free(line);
	fclose(file);
}

static void lookup_system(const char *name, struct resolve_answer *ret_answer)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG };
	char absolute[RULES_NAME_BYTES + 1];
	struct addrinfo *list = NULL;

	*ret_answer = (struct resolve_answer){ 0 };
	lookup_hosts(name, ret_answer);
	if (ret_answer->found)
		return;
	snprintf(absolute, sizeof(absolute), "%s%s", name, WITHOUT("search-list") ? "" : ".");
	if (getaddrinfo(absolute, NULL, &hints, &list) != 0)
		return;
	for (const struct addrinfo *entry = list; entry != NULL; entry = entry->ai_next) {
		struct ip ip;
		uint16_t port;
		if (ip_of_sockaddr(entry->ai_addr, &ip, &port))
			resolve_keep(ret_answer, &ip);
	}
	freeaddrinfo(list);
}

/* The length of the answer to one question, or -1 and why. */
static int query(const char *name, uint16_t type, uint8_t *answer, size_t size, int *ret_why)
{
#if !HAS_RESOLVER
	(void)name, (void)type, (void)answer, (void)size;
	*ret_why = NO_RECOVERY; /* the guest is told SERVFAIL */
	return -1;
#elif defined(__APPLE__)
	struct __res_state state = { 0 };

	*ret_why = TRY_AGAIN;
	if (res_ninit(&state) != 0)
		return -1;
	const int length = res_nquery(&state, name, DNS_CLASS_IN, type, answer, (int)size);
	*ret_why = state.res_h_errno;
	res_nclose(&state);
	return length;
#else
	/* Its state is the thread's own, in glibc; musl has none. */
	const int length = res_query(name, DNS_CLASS_IN, type, answer, (int)size);

	*ret_why = h_errno;
	return length;
#endif
}

static void lookup_records(const char *name, uint16_t type, struct records *ret_records)
{
	uint8_t *answer = mem_alloc(LIMIT_EGRESS_RECORDS_BYTES);
	int why;
	const int length = query(name, type, answer, LIMIT_EGRESS_RECORDS_BYTES, &why);

	*ret_records = (struct records){ .type = type, .code = DNS_CODE_SERVFAIL };
	if (length == -1 && (why == HOST_NOT_FOUND || why == NO_DATA))
		ret_records->code = why == NO_DATA ? DNS_CODE_NOERROR : DNS_CODE_NXDOMAIN;
	/* A longer one was cut. */
	else if (length >= 0 && (size_t)length <= LIMIT_EGRESS_RECORDS_BYTES)
		(void)records_read(answer, (size_t)length, name, type, ret_records);
	free(answer);
}

static void *run_thread(void *context)
{
	struct resolver *r = context;
	struct question *question;

	pthread_mutex_lock(&r->lock);
	for (;;) {
		while (r->waiting == NULL) {
			r->idle++;
			pthread_cond_wait(&r->has_question, &r->lock);
			r->idle--;
		}
		question = r->waiting;
		r->waiting = question->next;
		r->waiting_count--;
		if (r->waiting == NULL)
			r->waiting_last = NULL;
		pthread_mutex_unlock(&r->lock);

		if (question->records != NULL)
			r->lookup_records(question->name, question->type, question->records);
		else
			r->lookup(question->name, &question->answer);

		pthread_mutex_lock(&r->lock);
		const bool first = r->answered == NULL;
		question->next = r->answered;
		r->answered = question;
		/* One byte for as many as are there. The pipe cannot be full, as the loop takes all after one byte. */
		while (first && write(r->bell[1], "", 1) == -1)
			;
	}
	return NULL;
}

/* For one question more. More threads only while all are busy, or about to be. */
static bool have_thread(struct resolver *r)
{
	pthread_attr_t attributes;
	pthread_t thread;
	sigset_t all, before;
	bool started;

	if (r->idle > r->waiting_count || r->threads == LIMIT_EGRESS_THREADS)
		return true;
	if (pthread_attr_init(&attributes) != 0)
		return r->threads > 0;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attributes, LIMIT_EGRESS_STACK_BYTES);
	started = pthread_create(&thread, &attributes, run_thread, r) == 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	r->threads += started ? 1 : 0;
	return r->threads > 0;
}

/* ---- the loop's side ---- */

static void remember(struct resolver *r, const struct question *question)
{
	struct known *oldest = &r->known[0];

	for (size_t i = 0; i < LIMIT_EGRESS_RESOLVED; i++) {
		if (strcmp(r->known[i].name, question->name) == 0) {
			oldest = &r->known[i];
			break;
		}
		if (r->known[i].until_ms < oldest->until_ms)
			oldest = &r->known[i];
	}
	memcpy(oldest->name, question->name, sizeof(oldest->name));
	oldest->answer = question->answer;
	oldest->until_ms = clock_now_ms() + LIMIT_EGRESS_RESOLVED_MS;
}

static void drop(struct resolver *r, struct question *question)
{
	struct question **at = &r->all;

	while (*at != question)
		at = &(*at)->all_next;
	*at = question->all_next;
	r->count--;
	free(question->records);
	free(question);
}

static void tell(struct resolver *r, struct question *question)
{
	if (question->records == NULL && question->answer.found)
		remember(r, question);
	while (question->waiters != NULL) {
		struct waiter *waiter = question->waiters;
		question->waiters = waiter->next;
		if (question->records != NULL)
			waiter->records_done(waiter->context, question->records);
		else
			waiter->done(waiter->context, &question->answer);
		free(waiter);
	}
	drop(r, question);
}

static void on_bell(struct loop_source *source, unsigned what)
{
	struct resolver *r = (struct resolver *)source;
	struct question *answered;
	char bytes[64];

	(void)what;
	while (read(r->bell[0], bytes, sizeof(bytes)) > 0)
		;
	pthread_mutex_lock(&r->lock);
	answered = r->answered;
	r->answered = NULL;
	pthread_mutex_unlock(&r->lock);
	while (answered != NULL) {
		struct question *question = answered;
		answered = question->next;
		tell(r, question);
	}
}

bool resolver_open(struct loop *loop, struct resolver **ret_resolver, struct npxc_error *err)
{
	struct resolver *r = mem_alloc(sizeof(*r));

	r->source.on_ready = on_bell;
	r->lookup = lookup_system;
	r->lookup_records = lookup_records;
	if (!fd_pipe(r->bell, err)) {
		free(r);
		return false;
	}
	if (fcntl(r->bell[0], F_SETFL, O_NONBLOCK) == -1 || pthread_mutex_init(&r->lock, NULL) != 0 ||
	    pthread_cond_init(&r->has_question, NULL) != 0) {
		fd_close(&r->bell[0]);
		fd_close(&r->bell[1]);
		free(r);
		return error_set_errno(err, ERROR_IO, "prepare for looking up names");
	}
	if (!loop_watch(loop, r->bell[0], &r->source, err)) {
		fd_close(&r->bell[0]);
		fd_close(&r->bell[1]);
		free(r);
		return false;
	}
	*ret_resolver = r;
	return true;
}

static const struct resolve_answer *find_known(const struct resolver *r, const char *name)
{
	const int64_t now = clock_now_ms();

	for (size_t i = 0; i < LIMIT_EGRESS_RESOLVED; i++)
		if (r->known[i].until_ms > now && strcmp(r->known[i].name, name) == 0)
			return &r->known[i].answer;
	return NULL;
}

static struct question *find_question(struct resolver *r, const char *name, uint16_t type)
{
	for (struct question *q = r->all; q != NULL; q = q->all_next)
		if (q->type == type && strcmp(q->name, name) == 0)
			return q;
	return NULL;
}

static struct question *new_question(struct resolver *r, const char *name, uint16_t type)
{
	struct question *question;

	if (r->count == LIMIT_EGRESS_QUESTIONS || strlen(name) >= sizeof(question->name))
		return NULL;
	pthread_mutex_lock(&r->lock);
	if (!have_thread(r)) {
		pthread_mutex_unlock(&r->lock);
		return NULL;
	}
	question = mem_alloc(sizeof(*question));
	memcpy(question->name, name, strlen(name) + 1);
	question->type = type;
	question->records = type != 0 ? mem_alloc(sizeof(*question->records)) : NULL;
	if (r->waiting_last == NULL)
		r->waiting = question;
	else
		r->waiting_last->next = question;
	r->waiting_last = question;
	r->waiting_count++;
	pthread_cond_signal(&r->has_question);
	pthread_mutex_unlock(&r->lock);
	question->all_next = r->all;
	r->all = question;
	r->count++;
	return question;
}

static bool wait_for(struct resolver *r, const char *name, uint16_t type, const struct waiter *who,
                     uint64_t *ret_ticket)
{
	struct question *question = find_question(r, name, type);
	struct waiter *waiter;

	if (question == NULL)
		question = new_question(r, name, type);
	if (question == NULL)
		return false;
	waiter = mem_alloc(sizeof(*waiter));
	*waiter = *who;
	waiter->ticket = ++r->last_ticket;
	waiter->next = question->waiters;
	question->waiters = waiter;
	*ret_ticket = waiter->ticket;
	return true;
}

bool resolver_ask(struct resolver *r, const char *name, resolve_done *done, void *context, uint64_t *ret_ticket)
{
	const struct resolve_answer *known = find_known(r, name);

	if (known != NULL) {
		const struct resolve_answer copy = *known;
		*ret_ticket = 0;
		done(context, &copy);
		return true;
	}
	return wait_for(r, name, 0, &(struct waiter){ .done = done, .context = context }, ret_ticket);
}

bool resolver_ask_records(struct resolver *r, const char *name, uint16_t type, resolve_records_done *done,
                          void *context, uint64_t *ret_ticket)
{
	return wait_for(r, name, type, &(struct waiter){ .records_done = done, .context = context }, ret_ticket);
}

void resolver_forget(struct resolver *r, uint64_t ticket)
{
	if (ticket == 0)
		return;
	for (struct question *q = r->all; q != NULL; q = q->all_next) {
		for (struct waiter **at = &q->waiters; *at != NULL; at = &(*at)->next) {
			struct waiter *waiter = *at;
			if (waiter->ticket != ticket)
				continue;
			*at = waiter->next;
			free(waiter);
			return;
		}
	}
}

void resolver_set_lookup(struct resolver *r, void (*lookup)(const char *name, struct resolve_answer *ret_answer))
{
	r->lookup = lookup;
}

void resolver_set_records_lookup(struct resolver *r,
                                 void (*lookup)(const char *name, uint16_t type, struct records *ret_records))
{
	r->lookup_records = lookup;
}
