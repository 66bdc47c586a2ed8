#ifndef NPXC_EGRESS_DNS_H
#define NPXC_EGRESS_DNS_H

#include "base/ip.h"
#include "config/rules.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * DNS messages as a resolver sees them that its clients ask: one question in, one answer out. Pure.
 * Sources: RFC 1035, 6891 (EDNS), 7766 (TCP), 9460 (HTTPS and SVCB).
 */

enum {
	DNS_TYPE_A = 1,
	DNS_TYPE_CNAME = 5,
	DNS_TYPE_MX = 15,
	DNS_TYPE_TXT = 16,
	DNS_TYPE_AAAA = 28,
	DNS_TYPE_SRV = 33,
	DNS_CLASS_IN = 1,
};

enum dns_code {
	DNS_CODE_NOERROR = 0,
	DNS_CODE_FORMERR = 1,
	DNS_CODE_SERVFAIL = 2,
	DNS_CODE_NXDOMAIN = 3,
	DNS_CODE_NOTIMP = 4,
	DNS_CODE_REFUSED = 5,
	DNS_CODE_BADVERS = 16,
};

/* bytes: a name as it travels; a question; an answer with one address; what goes into one UDP answer without EDNS, and
 * with it.
 */
enum {
	DNS_NAME_BYTES = 255,
	DNS_QUESTION_BYTES = DNS_NAME_BYTES + 4,
	DNS_ANSWER_BYTES = 512,
	DNS_UDP_BYTES = 512,
	DNS_UDP_EDNS_BYTES = 1232,
};

/* seconds: how long an answer may be kept inside. */
enum { DNS_TTL_S = 60 };

struct dns_query {
	uint16_t id;
	uint8_t opcode;
	bool recursion_desired;
	uint8_t question[DNS_QUESTION_BYTES]; /* as it came, capitals too: resolvers compare it */
	size_t question_length;
	char name[RULES_NAME_BYTES];        /* canonical; "" when it is no host name */
	char shown[4 * DNS_NAME_BYTES + 1]; /* for the audit log: printable, whatever came */
	uint16_t type, class;
	bool edns;
	uint16_t udp_bytes; /* that the asker takes in one datagram; 512 at least, 1232 at most */
};

enum dns_parsed {
	DNS_PARSED_IGNORE, /* no question: shorter than a header, or an answer itself. Never answered */
	DNS_PARSED_REFUSE, /* answered with `ret_code` alone; `ret_query` holds what the answer needs */
	DNS_PARSED_QUERY,
};

/*
 * Should: take one question without compression, and an OPT record.
 * Mustn't: follow a compression pointer; take a message with bytes left over, or with records that no question has.
 */
enum dns_parsed dns_parse(const uint8_t *message, size_t length, struct dns_query *ret_query, enum dns_code *ret_code);

/*
 * The answer to it: `code`, and `ip` as its one record (NULL: none) whose family is the question's. No more than `most`
 * bytes (at least 12): what does not fit is left out and marked as truncated. Returns its length.
 */
size_t dns_answer(const struct dns_query *query, enum dns_code code, const struct ip *ip, size_t most,
                  uint8_t ret_answer[static DNS_ANSWER_BYTES]);

/* A record of the question's own name. */
struct dns_record {
	uint16_t type;
	uint32_t ttl_s;
	const uint8_t *data; /* borrowed; as it travels, names in it without compression */
	size_t length;
};
/* The same with any number of records; all of them or none. `ret_answer` has room for `most` bytes. */
size_t dns_answer_records(const struct dns_query *query, enum dns_code code, const struct dns_record *v, size_t count,
                          size_t most, uint8_t *ret_answer);

/* TCP: a length before each message. True when the first message is there whole. */
bool dns_framed(const uint8_t *bytes, size_t length, size_t *ret_message_length);

#endif
