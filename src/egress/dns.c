#include "egress/dns.h"

#include <stdio.h>
#include <string.h>

enum {
	HEADER_BYTES = 12,
	TYPE_OPT = 41,
	FLAG_RESPONSE = 0x80,
	FLAG_TRUNCATED = 0x02,
	FLAG_DESIRED = 0x01,
	FLAG_AVAILABLE = 0x80,
	POINTER = 0xc0,
	OPT_BYTES = 11,
	RECORDS_MAX = 4, /* additional ones in a question: OPT, and perhaps a signature */
};

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static void put16(uint8_t *p, unsigned value)
{
	p[0] = (uint8_t)(value >> 8);
	p[1] = (uint8_t)value;
}

/* ---- questions ---- */

struct reader {
	const uint8_t *bytes;
	size_t length, at;
};

static bool has(const struct reader *r, size_t count)
{
	return r->length - r->at >= count;
}

/* The bytes of a name from label to label; no pointers: nothing stands before a question that one could point at. */
static bool skip_name(struct reader *r)
{
	const size_t start = r->at;

	for (;;) {
		if (!has(r, 1) || (r->bytes[r->at] & POINTER) != 0)
			return false;
		const size_t label = r->bytes[r->at];

		if (!has(r, label + 1) || r->at + label + 1 - start > DNS_NAME_BYTES)
			return false;
		r->at += label + 1;
		if (label == 0)
			return true;
	}
}

/* A dot within a label is no separator: such a name is shown with the dot escaped, and is no host name. */
static void read_name(const uint8_t *wire, struct dns_query *query)
{
	char plain[DNS_NAME_BYTES + 1];
	size_t used = 0, shown = 0;
	bool is_host = true;

	for (; wire[0] != 0; wire += wire[0] + 1) {
		if (used > 0) {
			plain[used++] = '.';
			query->shown[shown++] = '.';
		}
		for (size_t i = 1; i <= wire[0]; i++) {
			const uint8_t c = wire[i];

			is_host = is_host && c != '.' && c != 0;
			plain[used++] = (char)c;
			if (c > ' ' && c < 0x7f && c != '.' && c != '\\')
				query->shown[shown++] = (char)c;
			else
				shown += (size_t)snprintf(query->shown + shown, 5, "\\x%02x", c);
		}
	}
	query->shown[shown] = '\0';
	if (!is_host || !rules_canonical_name(plain, used, query->name))
		query->name[0] = '\0';
}

static bool read_question(struct reader *r, struct dns_query *query)
{
	const size_t start = r->at;

	if (!skip_name(r) || !has(r, 4))
		return false;
	r->at += 4;
	query->question_length = r->at - start;
	memcpy(query->question, r->bytes + start, query->question_length);
	query->type = get16(r->bytes + r->at - 4);
	query->class = get16(r->bytes + r->at - 2);
	read_name(r->bytes + start, query);
	return true;
}

static bool read_additional(struct reader *r, struct dns_query *query, enum dns_code *code)
{
	const size_t start = r->at;

	if (!skip_name(r) || !has(r, 10))
		return false;
	const uint8_t *fixed = r->bytes + r->at;
	const size_t data = get16(fixed + 8);

	r->at += 10;
	if (!has(r, data))
		return false;
	r->at += data;
	if (get16(fixed) != TYPE_OPT)
		return true;
	if (query->edns || r->bytes[start] != 0)
		return false;
	query->edns = true;
	query->udp_bytes = get16(fixed + 2);
	if (query->udp_bytes < DNS_UDP_BYTES)
		query->udp_bytes = DNS_UDP_BYTES;
	if (query->udp_bytes > DNS_UDP_EDNS_BYTES)
		query->udp_bytes = DNS_UDP_EDNS_BYTES;
	if (fixed[5] != 0)
		*code = DNS_CODE_BADVERS;
	return true;
}

static bool read_sections(struct reader *r, const uint8_t *header, struct dns_query *query, enum dns_code *code)
{
	const unsigned additional = get16(header + 10);

	if (get16(header + 4) != 1 || get16(header + 6) != 0 || get16(header + 8) != 0 || additional > RECORDS_MAX ||
	    !read_question(r, query))
		return false;
	for (unsigned i = 0; i < additional; i++)
		if (!read_additional(r, query, code))
			return false;
	return r->at == r->length;
}

enum dns_parsed dns_parse(const uint8_t *message, size_t length, struct dns_query *ret_query, enum dns_code *ret_code)
{
	struct reader r = { .bytes = message, .length = length, .at = HEADER_BYTES };
	struct dns_query query = { .udp_bytes = DNS_UDP_BYTES };
	enum dns_code code = DNS_CODE_NOERROR;

	if (length < HEADER_BYTES || (message[2] & FLAG_RESPONSE) != 0)
		return DNS_PARSED_IGNORE;
	query.id = get16(message);
	query.opcode = (message[2] >> 3) & 0xf;
	query.recursion_desired = (message[2] & FLAG_DESIRED) != 0;
	if (query.opcode != 0) {
		code = DNS_CODE_NOTIMP;
	} else if (!read_sections(&r, message, &query, &code)) {
		query.question_length = 0;
		query.edns = false;
		code = DNS_CODE_FORMERR;
	} else if (code == DNS_CODE_NOERROR && query.class != DNS_CLASS_IN) {
		code = DNS_CODE_REFUSED;
	}
	*ret_query = query;
	if (code == DNS_CODE_NOERROR)
		return DNS_PARSED_QUERY;
	*ret_code = code;
	return DNS_PARSED_REFUSE;
}

/* ---- answers ---- */

enum { RECORD_BYTES = 12 }; /* without its data */

/* Its name is a pointer to the question's. */
static size_t put_record(uint8_t *p, const struct dns_record *record)
{
	put16(p, POINTER << 8 | HEADER_BYTES);
	put16(p + 2, record->type);
	put16(p + 4, DNS_CLASS_IN);
	put16(p + 6, record->ttl_s >> 16);
	put16(p + 8, record->ttl_s & 0xffffU);
	put16(p + 10, (unsigned)record->length);
	memcpy(p + RECORD_BYTES, record->data, record->length);
	return RECORD_BYTES + record->length;
}

static size_t put_opt(uint8_t *p, enum dns_code code)
{
	p[0] = 0;
	put16(p + 1, TYPE_OPT);
	put16(p + 3, DNS_UDP_EDNS_BYTES);
	p[5] = (uint8_t)((unsigned)code >> 4);
	memset(p + 6, 0, OPT_BYTES - 6);
	return OPT_BYTES;
}

size_t dns_answer_records(const struct dns_query *query, enum dns_code code, const struct dns_record *v, size_t count,
                          size_t most, uint8_t *ret_answer)
{
	const size_t opt = query->edns ? OPT_BYTES : 0;
	size_t used = HEADER_BYTES, data = 0;

	memset(ret_answer, 0, HEADER_BYTES);
	put16(ret_answer, query->id);
	ret_answer[2] = (uint8_t)(FLAG_RESPONSE | query->opcode << 3 | (query->recursion_desired ? FLAG_DESIRED : 0));
	ret_answer[3] = (uint8_t)(FLAG_AVAILABLE | ((unsigned)code & 0xf));
	if (query->question_length > 0 && used + query->question_length <= most) {
		memcpy(ret_answer + used, query->question, query->question_length);
		used += query->question_length;
		put16(ret_answer + 4, 1);
	}
	for (size_t i = 0; i < count; i++)
		data += RECORD_BYTES + v[i].length;
	if (data > 0 && used + data + opt > most) {
		ret_answer[2] |= FLAG_TRUNCATED;
	} else if (data > 0) {
		for (size_t i = 0; i < count; i++)
			used += put_record(ret_answer + used, &v[i]);
		put16(ret_answer + 6, (unsigned)count);
	}
	if (opt > 0 && used + opt <= most) {
		used += put_opt(ret_answer + used, code);
		put16(ret_answer + 10, 1);
	}
	return used;
}

size_t dns_answer(const struct dns_query *query, enum dns_code code, const struct ip *ip, size_t most,
                  uint8_t ret_answer[static DNS_ANSWER_BYTES])
{
	struct dns_record record = { .ttl_s = DNS_TTL_S };

	if (ip != NULL) {
		record.type = ip->v6 ? DNS_TYPE_AAAA : DNS_TYPE_A;
		record.data = ip->bytes;
		record.length = ip->v6 ? 16 : 4;
	}
	return dns_answer_records(query, code, &record, ip != NULL, most, ret_answer);
}

bool dns_framed(const uint8_t *bytes, size_t length, size_t *ret_message_length)
{
	if (length < 2 || length - 2 < get16(bytes))
		return false;
	*ret_message_length = get16(bytes);
	return true;
}
