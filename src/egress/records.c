#include "egress/records.h"

#include <string.h>

enum {
	HEADER_BYTES = 12,
	POINTER = 0xc0,
	ANSWERS_MAX = 256,
	FIXED_BYTES = 10,
	SRV_FIXED_BYTES = 6,
	MX_FIXED_BYTES = 2
};

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

bool records_has_type(uint16_t type)
{
	return type == DNS_TYPE_SRV || type == DNS_TYPE_TXT || type == DNS_TYPE_MX || type == DNS_TYPE_CNAME;
}

/* ---- the message ---- */

struct reader {
	const uint8_t *bytes;
	size_t length, at;
};

static bool has(const struct reader *r, size_t count)
{
	return r->length - r->at >= count;
}

/*
 * A name, whose pointers each lead to a place before all that was read of it, so that it ends. `ret_name`: its
 * canonical form; "" for the root; *ret_host false: it is none of a host. False: malformed.
 */
static bool read_name(struct reader *r, char ret_name[static RULES_NAME_BYTES], bool *ret_host)
{
	char plain[DNS_NAME_BYTES + 1];
	size_t used = 0, at = r->at, lowest = r->at;
	bool jumped = false, host = true;

	for (;;) {
		if (at >= r->length)
			return false;
		const size_t label = r->bytes[at];

		if ((label & POINTER) == POINTER) {
			if (r->length - at < 2)
				return false;
			if (!jumped)
				r->at = at + 2;
			jumped = true;
			at = get16(r->bytes + at) & 0x3fffU;
			if (at < HEADER_BYTES || at >= lowest)
				return false;
			lowest = at;
			continue;
		}
		if (label > 63 || r->length - at < label + 1 || used + label + 1 > DNS_NAME_BYTES - 1)
			return false;
		at++;
		if (label == 0)
			break;
		if (used > 0)
			plain[used++] = '.';
		host = host && memchr(r->bytes + at, '.', label) == NULL && memchr(r->bytes + at, 0, label) == NULL;
		memcpy(plain + used, r->bytes + at, label);
		used += label;
		at += label;
	}
	if (!jumped)
		r->at = at;
	ret_name[0] = '\0';
	*ret_host = used == 0 || (host && rules_canonical_name(plain, used, ret_name));
	return true;
}

struct found {
	char owner[RULES_NAME_BYTES]; /* "": no host's */
	uint16_t type, class;
	uint32_t ttl;
	struct reader data; /* the message up to the end of the data, which begin at `at` */
};

static bool read_record(struct reader *r, struct found *ret_found)
{
	bool host;

	if (!read_name(r, ret_found->owner, &host) || !has(r, FIXED_BYTES))
		return false;
	if (!host)
		ret_found->owner[0] = '\0';
	const uint8_t *fixed = r->bytes + r->at;
	const size_t length = get16(fixed + 8);

	r->at += FIXED_BYTES;
	if (!has(r, length))
		return false;
	ret_found->type = get16(fixed);
	ret_found->class = get16(fixed + 2);
	ret_found->ttl = (uint32_t)get16(fixed + 4) << 16 | get16(fixed + 6);
	ret_found->data = (struct reader){ .bytes = r->bytes, .length = r->at + length, .at = r->at };
	r->at += length;
	return true;
}

/* ---- data ---- */

static bool keep_bytes(struct records *records, const uint8_t *bytes, size_t count)
{
	if (RECORDS_DATA_BYTES - records->used < count)
		return false;
	memcpy(records->data + records->used, bytes, count);
	records->used += count;
	return true;
}

/* `name` is canonical, "" the root. */
static bool keep_name(struct records *records, const char *name)
{
	for (size_t span; name[0] != '\0'; name += span + (name[span] == '.')) {
		span = strcspn(name, ".");
		const uint8_t length = (uint8_t)span;

		if (!keep_bytes(records, &length, 1) || !keep_bytes(records, (const uint8_t *)name, span))
			return false;
	}
	return keep_bytes(records, (const uint8_t[]){ 0 }, 1);
}

/* `fixed` bytes, and a name that ends where the data do. */
static bool keep_target(struct records *records, struct reader data, size_t fixed, bool may_be_root)
{
	char name[RULES_NAME_BYTES];
	bool host;

	if (!has(&data, fixed) || !keep_bytes(records, data.bytes + data.at, fixed))
		return false;
	data.at += fixed;
	return read_name(&data, name, &host) && host && data.at == data.length && (may_be_root || name[0] != '\0') &&
	       keep_name(records, name);
}

/* One string behind the other, at least one, each with its length before it. */
static bool keep_strings(struct records *records, struct reader data)
{
	const size_t start = data.at;

	while (data.at < data.length) {
		const size_t span = (size_t)data.bytes[data.at] + 1;

		if (!has(&data, span))
			return false;
		data.at += span;
	}
	return data.at > start && keep_bytes(records, data.bytes + start, data.at - start);
}

static bool keep(struct records *records, const struct found *found)
{
	const size_t at = records->used;
	/* RFC 2181, 8: one with the first bit set is none. */
	const uint32_t ttl = found->ttl > INT32_MAX ? 0 : found->ttl;
	bool ok = false;

	if (records->count == RECORDS_MAX)
		return false;
	if (records->type == DNS_TYPE_SRV)
		ok = keep_target(records, found->data, SRV_FIXED_BYTES, true);
	else if (records->type == DNS_TYPE_MX)
		ok = keep_target(records, found->data, MX_FIXED_BYTES, true);
	else if (records->type == DNS_TYPE_CNAME)
		ok = keep_target(records, found->data, 0, false);
	else if (records->type == DNS_TYPE_TXT)
		ok = keep_strings(records, found->data);
	if (!ok)
		return false;
	records->v[records->count].ttl_s = ttl < DNS_TTL_S ? ttl : DNS_TTL_S;
	records->v[records->count].at = at;
	records->v[records->count++].length = records->used - at;
	return true;
}

/* ---- the answer section ---- */

static bool is_ours(const struct found *found, const char *owner, uint16_t type)
{
	return found->class == DNS_CLASS_IN && found->type == type && strcmp(found->owner, owner) == 0;
}

/* Where the name's alias leads; `*ret_alias` false: it has none. False: malformed. */
static bool find_alias(struct reader answers, unsigned count, char name[static RULES_NAME_BYTES], bool *ret_alias)
{
	struct found found;

	*ret_alias = false;
	for (unsigned i = 0; i < count; i++) {
		bool host;

		if (!read_record(&answers, &found))
			return false;
		if (*ret_alias || !is_ours(&found, name, DNS_TYPE_CNAME))
			continue;
		if (!read_name(&found.data, name, &host) || !host || name[0] == '\0')
			return false;
		*ret_alias = true;
	}
	return true;
}

static bool keep_all(struct reader answers, unsigned count, const char *owner, struct records *records)
{
	struct found found;

	for (unsigned i = 0; i < count; i++)
		if (!read_record(&answers, &found) || (is_ours(&found, owner, records->type) && !keep(records, &found)))
			return false;
	return true;
}

static bool read_answers(struct reader answers, unsigned count, const char *name, struct records *records)
{
	char owner[RULES_NAME_BYTES];
	bool alias = records->type != DNS_TYPE_CNAME;

	memcpy(owner, name, strlen(name) + 1);
	for (unsigned i = 0; alias; i++)
		if (i > RECORDS_ALIASES_MAX || !find_alias(answers, count, owner, &alias))
			return false;
	return keep_all(answers, count, owner, records);
}

static bool read_question(struct reader *r, const char *name, uint16_t type)
{
	char asked[RULES_NAME_BYTES];
	bool host;

	if (!read_name(r, asked, &host) || !host || strcmp(asked, name) != 0 || !has(r, 4) ||
	    get16(r->bytes + r->at) != type || get16(r->bytes + r->at + 2) != DNS_CLASS_IN)
		return false;
	r->at += 4;
	return true;
}

static bool read_message(const uint8_t *message, size_t length, const char *name, struct records *records)
{
	struct reader r = { .bytes = message, .length = length, .at = HEADER_BYTES };

	/* an answer to an ordinary question, and not cut */
	if (length < HEADER_BYTES || (message[2] & 0xfaU) != 0x80U || get16(message + 4) != 1 ||
	    !read_question(&r, name, records->type))
		return false;
	const unsigned code = message[3] & 0xfU, count = get16(message + 6);

	if ((code != DNS_CODE_NOERROR && code != DNS_CODE_NXDOMAIN) || count > ANSWERS_MAX)
		return false;
	records->code = (enum dns_code)code;
	return code == DNS_CODE_NXDOMAIN || read_answers(r, count, name, records);
}

bool records_read(const uint8_t *message, size_t length, const char *name, uint16_t type, struct records *ret_records)
{
	*ret_records = (struct records){ .type = type };
	if (records_has_type(type) && read_message(message, length, name, ret_records))
		return true;
	*ret_records = (struct records){ .type = type, .code = DNS_CODE_SERVFAIL };
	return false;
}

bool records_target(const struct records *records, size_t index, char ret_name[static RULES_NAME_BYTES],
                    uint16_t *ret_port)
{
	const struct reader data = { .bytes = records->data,
		                     .length = records->v[index].at + records->v[index].length,
		                     .at = records->v[index].at + SRV_FIXED_BYTES };
	struct reader name = data;
	bool host;

	if (records->type != DNS_TYPE_SRV || !read_name(&name, ret_name, &host) || !host || ret_name[0] == '\0')
		return false;
	*ret_port = get16(data.bytes + data.at - 2);
	return *ret_port != 0;
}

size_t records_answer(const struct records *records, const struct dns_query *query, size_t most,
                      uint8_t ret_answer[static RECORDS_ANSWER_BYTES])
{
	struct dns_record v[RECORDS_MAX];

	for (size_t i = 0; i < records->count; i++)
		v[i] = (struct dns_record){ .type = records->type,
			                    .ttl_s = records->v[i].ttl_s,
			                    .data = records->data + records->v[i].at,
			                    .length = records->v[i].length };
	return dns_answer_records(query, records->code, v, records->count, most, ret_answer);
}
