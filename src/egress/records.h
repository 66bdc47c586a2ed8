#ifndef NPXC_EGRESS_RECORDS_H
#define NPXC_EGRESS_RECORDS_H

#include "config/rules.h"
#include "egress/dns.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * What resolvers outside say about a name beside its addresses: SRV, TXT, MX and CNAME records. Their answer is read
 * here and nothing of its bytes goes on as it came: the guest's answer is written anew from what was read. Pure.
 *
 * Sources: RFC 1035, 2181 (time to live), 2782 (SRV), 7505 (no mail exchanger).
 */

/* records, bytes: more are refused, whole; aliases that are followed; what an answer to the guest takes at most. */
enum {
	RECORDS_MAX = 64,
	RECORDS_DATA_BYTES = 8192,
	RECORDS_ALIASES_MAX = 8,
	RECORDS_ANSWER_BYTES = 12 + DNS_QUESTION_BYTES + RECORDS_MAX * 12 + RECORDS_DATA_BYTES + 16,
};

struct records {
	enum dns_code code; /* NOERROR, NXDOMAIN; SERVFAIL: nobody could say, or nothing that can be read */
	uint16_t type;
	size_t count;
	struct {
		uint32_t ttl_s; /* DNS_TTL_S at most */
		size_t at, length;
	} v[RECORDS_MAX];
	size_t used;
	uint8_t data[RECORDS_DATA_BYTES]; /* their data, names without compression and in lower case */
};

/* Whether records of this type are read here. */
bool records_has_type(uint16_t type);

/*
 * The records of `type` in the answer to a question for the canonical `name`. False: it is not read, and `ret_records`
 * is a SERVFAIL.
 *
 * Should: take the records of the name itself, or of what the answer's own aliases lead to; of the answer section
 * alone. Mustn't: take an answer to another question, or one that was cut; follow a compression pointer that does not
 * lead back; take a target that is no host name, or data that do not fill their record exactly.
 */
bool records_read(const uint8_t *message, size_t length, const char *name, uint16_t type, struct records *ret_records);

/* Of an SRV record: where it leads. False: nowhere (".", there is no such service), or it is none. */
bool records_target(const struct records *records, size_t index, char ret_name[static RULES_NAME_BYTES],
                    uint16_t *ret_port);

/* The answer to the guest: `most` bytes (RECORDS_ANSWER_BYTES at most); what does not fit is left out, and marked. */
size_t records_answer(const struct records *records, const struct dns_query *query, size_t most,
                      uint8_t ret_answer[static RECORDS_ANSWER_BYTES]);

#endif
