#include "egress/hello.h"

#include "base/fault.h"
#include "base/limits.h"

#include <string.h>

enum {
	RECORD_HEADER = 5,
	RECORD_CCS = 20,
	RECORD_ALERT = 21,
	RECORD_HANDSHAKE = 22,
	RECORD_LAST = 24, /* heartbeats */
	RECORD_MAX = 16384,
	HANDSHAKE_HEADER = 4,
	ALERT_WARNING = 1,
	CLIENT_HELLO = 1,
	SERVER_HELLO = 2,
	RANDOM_BYTES = 32,
	EXTENSION_SNI = 0,
	EXTENSION_ALPN = 16,
	/* ECH, what its drafts called it from the eighth on (0xfe08), and what those before it did (ESNI) */
	EXTENSION_ECH_DRAFT = 0xfe08,
	EXTENSION_ECH = 0xfe0d,
	EXTENSION_ESNI_LAST = 0xff02,
	EXTENSION_ESNI = 0xffce,
	EXTENSIONS_MAX = 64, /* real clients send some 20, browsers with GREASE less than 30 */
};

const uint8_t hello_denied[7] = { 21, 3, 3, 0, 2, 2, 49 };

static unsigned get16(const uint8_t *p)
{
	return (unsigned)p[0] << 8 | p[1];
}

static size_t get24(const uint8_t *p)
{
	return (size_t)p[0] << 16 | (size_t)p[1] << 8 | p[2];
}

/* ---- reading what has lengths ---- */

struct part {
	const uint8_t *p;
	size_t left;
};

static bool take(struct part *from, size_t count, struct part *ret_part)
{
	if (from->left < count)
		return false;
	*ret_part = (struct part){ from->p, count };
	from->p += count;
	from->left -= count;
	return true;
}

/* A vector: its length in `width` bytes, then its bytes. */
static bool take_vector(struct part *from, unsigned width, struct part *ret_part)
{
	struct part length;

	return take(from, width, &length) && take(from, width == 1 ? length.p[0] : get16(length.p), ret_part);
}

/* ---- extensions ---- */

static enum reason read_sni(struct part data, struct hello *hello)
{
	struct part list, type, name;

	if (!take_vector(&data, 2, &list) || data.left != 0 || !take(&list, 1, &type) || !take_vector(&list, 2, &name))
		return REASON_SNI_MALFORMED;
	if (list.left != 0)
		return REASON_SNI_SEVERAL;
	if (type.p[0] != 0 || !rules_canonical_name((const char *)name.p, name.left, hello->name))
		return REASON_SNI_NO_NAME;
	return REASON_NONE;
}

/* For the audit log alone; a malformed list is the server's business. */
static void read_alpn(struct part data, struct hello *hello)
{
	struct part list, protocol;
	size_t used = 0;

	if (!take_vector(&data, 2, &list))
		return;
	while (list.left > 0 && take_vector(&list, 1, &protocol)) {
		if (used + protocol.left + 2 > sizeof(hello->alpn))
			break;
		if (used > 0)
			hello->alpn[used++] = ',';
		for (size_t i = 0; i < protocol.left; i++) {
			const uint8_t c = protocol.p[i];

			hello->alpn[used++] = (char)(c > ' ' && c < 0x7f && c != ',' ? c : '?');
		}
	}
	hello->alpn[used] = '\0';
}

static bool is_encrypted_hello(unsigned extension)
{
	return (extension >= EXTENSION_ECH_DRAFT && extension <= EXTENSION_ECH) || extension == EXTENSION_ESNI_LAST ||
	       extension == EXTENSION_ESNI;
}

static enum reason read_extensions(struct part all, struct hello *hello)
{
	unsigned seen[EXTENSIONS_MAX];
	size_t count = 0;

	while (all.left > 0) {
		struct part type, data;
		enum reason reason = REASON_NONE;

		if (!take(&all, 2, &type) || !take_vector(&all, 2, &data))
			return REASON_HELLO_MALFORMED;
		const unsigned number = get16(type.p);

		for (size_t i = 0; i < count; i++)
			if (seen[i] == number)
				return number == EXTENSION_SNI ? REASON_SNI_TWICE : REASON_EXTENSION_TWICE;
		if (count == EXTENSIONS_MAX)
			return REASON_MANY_EXTENSIONS;
		seen[count++] = number;
		if (!WITHOUT("encrypted-hello") && is_encrypted_hello(number))
			return REASON_ENCRYPTED_HELLO;
		if (number == EXTENSION_SNI)
			reason = read_sni(data, hello);
		else if (number == EXTENSION_ALPN)
			read_alpn(data, hello);
		if (reason != REASON_NONE)
			return reason;
	}
	return REASON_NONE;
}

static enum reason read_body(struct part body, struct hello *hello)
{
	struct part version, random, session, suites, compressions, extensions;

	if (!take(&body, 2, &version) || !take(&body, RANDOM_BYTES, &random) || !take_vector(&body, 1, &session) ||
	    !take_vector(&body, 2, &suites) || !take_vector(&body, 1, &compressions))
		return REASON_HELLO_MALFORMED;
	if (body.left == 0)
		return REASON_NONE; /* SSL 3: no extensions, so no SNI */
	if (!take_vector(&body, 2, &extensions) || body.left != 0)
		return REASON_HELLO_MALFORMED;
	return read_extensions(extensions, hello);
}

/* ---- records ---- */

/* The handshake bytes of the records, put together. */
struct assembly {
	uint8_t handshake[HANDSHAKE_HEADER + LIMIT_EGRESS_HELLO_BYTES];
	size_t have, want;
	size_t at; /* end of the last whole record */
	enum reason reason;
};

static enum hello_state refuse(struct assembly *a, enum reason reason)
{
	a->reason = reason;
	return HELLO_BAD;
}

/* A ClientHello as SSL 2 framed it: 15 bits of length with the highest bit set, its type, the version that is wanted.
 */
static enum hello_state check_ssl2(const uint8_t *bytes, size_t length, struct assembly *a)
{
	if (length >= 3 && bytes[2] != CLIENT_HELLO)
		return HELLO_OTHER;
	if (length >= 4 && bytes[3] != 3 && bytes[3] != 0)
		return HELLO_OTHER;
	if (length >= 5 && bytes[3] == 0 && bytes[4] != 2)
		return HELLO_OTHER;
	if (length < 5)
		return HELLO_MORE;
	return WITHOUT("ssl-2") ? HELLO_OTHER : refuse(a, REASON_SSL2);
}

/* What TLS is never begun with by an honest client, and a lenient server may skip: alerts, changes of cipher, data. */
static enum hello_state check_other_record(const uint8_t *bytes, size_t length, struct assembly *a)
{
	if (length >= 2 && bytes[1] != 3)
		return HELLO_OTHER;
	return length < 2 ? HELLO_MORE : refuse(a, REASON_NO_HELLO);
}

/* Looks at a record's first bytes, as far as they are there. DONE: its header is. */
static enum hello_state check_record(const uint8_t *record, size_t left, bool second, struct assembly *a)
{
	const bool first = a->at == 0 && !second;
	const bool may_be_ccs = a->at == 0 && second;

	if (first && left >= 1 && (record[0] & 0x80) != 0)
		return check_ssl2(record, left, a);
	if (first && left >= 1 && record[0] >= RECORD_CCS && record[0] <= RECORD_LAST && record[0] != RECORD_HANDSHAKE)
		return check_other_record(record, left, a);
	if (left >= 1 && record[0] != RECORD_HANDSHAKE && !(may_be_ccs && record[0] == RECORD_CCS))
		return first ? HELLO_OTHER : refuse(a, REASON_RECORD_ORDER);
	if (left >= 2 && record[1] != 3)
		return first ? HELLO_OTHER : refuse(a, REASON_TLS_VERSION);
	if (left < RECORD_HEADER)
		return HELLO_MORE;
	if (get16(record + 3) == 0 || get16(record + 3) > (record[0] == RECORD_CCS ? 1 : RECORD_MAX))
		return refuse(a, REASON_RECORD_LENGTH);
	return HELLO_DONE;
}

/* `there` of the record's `payload` bytes have come. The header of the message tells early what will never be taken. */
static enum hello_state add_handshake(const uint8_t *bytes, size_t there, size_t payload, struct assembly *a)
{
	const size_t room = sizeof(a->handshake) - a->have;

	memcpy(a->handshake + a->have, bytes, there < room ? there : room);
	if (a->have + there >= HANDSHAKE_HEADER) {
		a->want = HANDSHAKE_HEADER + get24(a->handshake + 1);
		if (a->handshake[0] != CLIENT_HELLO)
			return refuse(a, REASON_HANDSHAKE_NO_HELLO);
		if (a->want > sizeof(a->handshake))
			return refuse(a, REASON_HELLO_TOO_LONG);
	}
	if (there < payload)
		return HELLO_MORE;
	if (a->have + payload > a->want && a->have + payload > HANDSHAKE_HEADER)
		return refuse(a, REASON_AFTER_HELLO);
	a->have += payload;
	return HELLO_DONE;
}

static enum hello_state assemble(const uint8_t *bytes, size_t length, bool second, struct assembly *a)
{
	a->have = 0;
	a->at = 0;
	a->want = HANDSHAKE_HEADER;
	while (a->have < a->want) {
		const uint8_t *record = bytes + a->at;
		const size_t left = length - a->at;
		enum hello_state state = check_record(record, left, second, a);

		if (state != HELLO_DONE)
			return state;
		const size_t payload = get16(record + 3), there = left - RECORD_HEADER;

		if (record[0] == RECORD_HANDSHAKE)
			state = add_handshake(record + RECORD_HEADER, there < payload ? there : payload, payload, a);
		else if (there < payload)
			state = HELLO_MORE;
		if (state != HELLO_DONE)
			return state;
		a->at += RECORD_HEADER + payload;
	}
	return HELLO_DONE;
}

enum hello_state hello_read(const uint8_t *bytes, size_t length, bool second, struct hello *ret_hello)
{
	static struct assembly a; /* 16 KiB; there are no threads */
	struct hello hello = { 0 };
	enum hello_state state = assemble(bytes, length, second, &a);

	if (state == HELLO_DONE) {
		a.reason =
		    read_body((struct part){ a.handshake + HANDSHAKE_HEADER, a.want - HANDSHAKE_HEADER }, &hello);
		state = a.reason == REASON_NONE ? HELLO_DONE : HELLO_BAD;
	}
	if (state == HELLO_BAD)
		hello = (struct hello){ .reason = a.reason };
	hello.length = state == HELLO_DONE ? a.at : 0;
	if (state == HELLO_DONE || state == HELLO_BAD)
		*ret_hello = hello;
	return state;
}

enum hello_answer hello_read_answer(const uint8_t *bytes, size_t length)
{
	/* RFC 8446, 4.1.3: SHA-256 of "HelloRetryRequest". */
	static const uint8_t retry[RANDOM_BYTES] = { 0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c,
		                                     0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb,
		                                     0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c };
	enum { HEAD = HANDSHAKE_HEADER + 2 + RANDOM_BYTES };
	uint8_t head[HEAD];
	size_t have = 0, at = 0;

	while (have < HEAD) {
		const uint8_t *header = bytes + at;

		if (at < length && header[0] != RECORD_HANDSHAKE && header[0] != RECORD_ALERT)
			return HELLO_ANSWER_OTHER;
		if (at + 1 < length && header[1] != 3)
			return HELLO_ANSWER_OTHER;
		if (length < at + RECORD_HEADER)
			return HELLO_ANSWER_MORE;
		const size_t payload = get16(bytes + at + 3), rest = length - at - RECORD_HEADER;
		const uint8_t *data = bytes + at + RECORD_HEADER;

		/* After a warning (of a name that the server does not know) the handshake goes on. */
		if (header[0] == RECORD_ALERT && payload == 2 && rest < payload)
			return HELLO_ANSWER_MORE;
		if (payload == 0 || payload > RECORD_MAX || (header[0] == RECORD_ALERT && payload != 2))
			return HELLO_ANSWER_OTHER;
		if (header[0] == RECORD_ALERT && data[0] != ALERT_WARNING)
			return HELLO_ANSWER_TLS;
		at += RECORD_HEADER + payload;
		if (data[-RECORD_HEADER] == RECORD_ALERT)
			continue;
		size_t count = rest < payload ? rest : payload;

		count = count < HEAD - have ? count : HEAD - have;
		memcpy(head + have, data, count);
		have += count;
		if (have >= 1 && head[0] != SERVER_HELLO)
			return HELLO_ANSWER_TLS;
		if (have < HEAD && rest < payload)
			return HELLO_ANSWER_MORE;
	}
	return memcmp(head + HANDSHAKE_HEADER + 2, retry, RANDOM_BYTES) == 0 ? HELLO_ANSWER_RETRY : HELLO_ANSWER_TLS;
}
