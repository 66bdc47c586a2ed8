#include "egress/nameserver.h"

#include "base/clock.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"
#include "egress/datagram.h"
#include "egress/dns.h"
#include "egress/grant.h"
#include "egress/records.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { MESSAGE_BYTES = 2048, SHARE = 64 };

static void record(struct server *server, const char *name, enum audit_code code, enum reason reason)
{
	server_record(server,
	              &(struct audit_record){ .verdict = AUDIT_DENY,
	                                      .code = code,
	                                      .host = name,
	                                      .kind = "dns",
	                                      .ms = -1,
	                                      .reason = reason,
	                                      .add = code == AUDIT_EACCES ? AUDIT_ADD_RULE : AUDIT_ADD_NOTHING });
}

/* Names below localhost are the guest's own (RFC 6761), and a registry may be configured by one. */
static bool is_local(const char *name)
{
	return str_equal(name, "localhost") || str_ends(name, ".localhost");
}

/* ---- questions that somebody outside is asked ---- */

struct stream;
struct asked {
	struct server *server;
	struct dns_query query;
	uint64_t ticket;
	/* where the answer goes to */
	int udp_fd; /* borrowed, and open as long as the process; -1: the stream */
	struct datagram datagram;
	struct stream *stream;
};

static unsigned asked_count;

static void stream_resume(struct stream *stream, const uint8_t *reply, size_t length);

static void on_records(void *context, const struct records *records)
{
	struct asked *asked = context;
	struct server *server = asked->server;
	uint8_t reply[RECORDS_ANSWER_BYTES];
	size_t length;

	if (asked->query.type == DNS_TYPE_SRV)
		grant_targets(server->rules, asked->query.name, records, &server->granted);
	length = records_answer(records, &asked->query,
	                        asked->udp_fd != -1 ? asked->query.udp_bytes : RECORDS_ANSWER_BYTES, reply);
	asked_count--;
	if (asked->udp_fd == -1)
		stream_resume(asked->stream, reply, length);
	else
		/* One that is not sent is asked for again. */
		(void)!datagram_answer(asked->udp_fd, &asked->datagram, reply, length);
	free(asked);
}

/* ---- answers ---- */

/* The answer to one message; 0: none is due; *ret_asked: not yet, it is about to be asked for. */
struct answer {
	size_t length;
	struct asked *asked; /* owned; its place to answer to is still to be filled in */
	uint8_t bytes[DNS_ANSWER_BYTES];
};

static void say(struct answer *answer, const struct dns_query *query, enum dns_code code, const struct ip *ip,
                size_t most)
{
	answer->length = dns_answer(query, code, ip, most == 0 ? query->udp_bytes : most, answer->bytes);
}

static void answer_records(struct server *server, const struct dns_query *query, size_t most, struct answer *answer)
{
	const enum reason refusal = grant_refusal(server->rules, query->name, query->type);

	if (refusal != REASON_NONE) {
		record(server, query->shown, AUDIT_EACCES, refusal);
		say(answer, query, refusal == REASON_UNLISTED && !server->learn ? DNS_CODE_NXDOMAIN : DNS_CODE_NOERROR,
		    NULL, most);
		return;
	}
	if (asked_count == LIMIT_EGRESS_RECORDS_QUESTIONS) {
		record(server, query->shown, AUDIT_EMFILE, REASON_MANY_LOOKUPS);
		say(answer, query, DNS_CODE_SERVFAIL, NULL, most);
		return;
	}
	answer->asked = mem_alloc(sizeof(*answer->asked));
	*answer->asked = (struct asked){ .server = server, .query = *query, .udp_fd = -1 };
	if (resolver_ask_records(server->resolver, query->name, query->type, on_records, answer->asked,
	                         &answer->asked->ticket)) {
		asked_count++;
		return;
	}
	free(answer->asked);
	answer->asked = NULL;
	record(server, query->shown, AUDIT_EMFILE, REASON_MANY_LOOKUPS);
	say(answer, query, DNS_CODE_SERVFAIL, NULL, most);
}

static void answer_address(struct server *server, const struct dns_query *query, size_t most, struct answer *answer)
{
	uint32_t number;
	struct ip ip;

	if (!rules_knows_name(server->rules, query->name) && !rules_knows_name(&server->granted, query->name)) {
		record(server, query->shown, AUDIT_EACCES, REASON_UNLISTED);
		if (!server->learn) {
			say(answer, query, DNS_CODE_NXDOMAIN, NULL, most);
			return;
		}
	}
	if (server->names != NULL && str_equal(query->name, RULES_HOST_ALIAS)) {
		alias_look(&server->alias, clock_now_ms());
		ip = names_alias_address(query->type == DNS_TYPE_AAAA);
		say(answer, query, DNS_CODE_NOERROR,
		    query->type == DNS_TYPE_A || (query->type == DNS_TYPE_AAAA && server->has_v6) ? &ip : NULL, most);
	} else if (server->names == NULL ||
	           (query->type != DNS_TYPE_A && (query->type != DNS_TYPE_AAAA || !server->has_v6))) {
		say(answer, query, DNS_CODE_NOERROR, NULL, most);
	} else if (!names_add(server->names, query->name, &number)) {
		record(server, query->shown, AUDIT_EMFILE, REASON_MANY_NAMES);
		say(answer, query, DNS_CODE_SERVFAIL, NULL, most);
	} else {
		ip = names_address(number, query->type == DNS_TYPE_AAAA);
		say(answer, query, DNS_CODE_NOERROR, &ip, most);
	}
}

/* `most`: bytes of the answer; 0: those of a datagram that its asker takes. */
static void answer_to(struct server *server, const uint8_t *message, size_t length, size_t most,
                      struct answer *ret_answer)
{
	struct dns_query query;
	enum dns_code code = DNS_CODE_NOERROR;
	struct ip ip;

	ret_answer->length = 0;
	ret_answer->asked = NULL;
	switch (dns_parse(message, length, &query, &code)) {
	case DNS_PARSED_IGNORE:
		return;
	case DNS_PARSED_REFUSE:
		say(ret_answer, &query, code, NULL, most);
		return;
	case DNS_PARSED_QUERY:
		break;
	}
	if (is_local(query.name)) {
		ip = query.type == DNS_TYPE_AAAA ? (struct ip){ .v6 = true, .bytes = { [15] = 1 } } : ip_v4(0x7f000001);
		say(ret_answer, &query, DNS_CODE_NOERROR,
		    query.type == DNS_TYPE_A || query.type == DNS_TYPE_AAAA ? &ip : NULL, most);
	} else if (query.name[0] == '\0' || query.class != DNS_CLASS_IN) {
		record(server, query.shown, AUDIT_EACCES, REASON_UNLISTED);
		say(ret_answer, &query, DNS_CODE_NXDOMAIN, NULL, most);
	} else if (records_has_type(query.type)) {
		answer_records(server, &query, most, ret_answer);
	} else {
		answer_address(server, &query, most, ret_answer);
	}
}

/* ---- UDP ---- */

static void on_datagrams(struct loop_source *source, unsigned what)
{
	struct nameserver *nameserver = (struct nameserver *)(void *)source;
	uint8_t message[MESSAGE_BYTES];
	struct answer answer;

	(void)what;
	for (int i = 0; i < SHARE; i++) {
		struct datagram datagram;

		if (datagram_receive(nameserver->fd, message, sizeof(message), &datagram) == -1) {
			if (errno == EAGAIN)
				return;
			continue;
		}
		answer_to(nameserver->server, message, datagram.length, 0, &answer);
		if (answer.asked != NULL) {
			answer.asked->udp_fd = nameserver->fd;
			answer.asked->datagram = datagram;
		}
		/* One that is not sent is asked for again; that is what datagrams are like. */
		if (answer.length > 0 && !datagram_answer(nameserver->fd, &datagram, answer.bytes, answer.length))
			continue;
	}
	loop_again(&nameserver->server->loop, &nameserver->source);
}

bool nameserver_open(struct server *server, int fd, struct nameserver *ret_nameserver, struct npxc_error *err)
{
	*ret_nameserver = (struct nameserver){ .source.on_ready = on_datagrams, .server = server, .fd = fd };
	return loop_watch(&server->loop, fd, &ret_nameserver->source, err);
}

/* ---- TCP: rare, so each connection is one allocation and no more ---- */

struct stream {
	struct loop_source source;
	struct server *server;
	int fd;
	struct asked *asked; /* what the answer is waited for; nothing is read meanwhile */
	size_t length;
	uint8_t bytes[MESSAGE_BYTES];
};

enum { STREAMS_MAX = 64 };
static struct stream *streams[STREAMS_MAX];

static void stream_close(struct stream *stream)
{
	if (stream->asked != NULL) {
		resolver_forget(stream->server->resolver, stream->asked->ticket);
		asked_count--;
		free(stream->asked);
		stream->asked = NULL;
	}
	loop_forget(&stream->server->loop, &stream->source);
	server_reset(&stream->fd);
	stream->length = 0;
}

/* False: the guest does not take it. */
static bool stream_send(const struct stream *stream, const uint8_t *bytes, size_t length)
{
	uint8_t reply[2 + RECORDS_ANSWER_BYTES];

	reply[0] = (uint8_t)(length >> 8);
	reply[1] = (uint8_t)length;
	memcpy(reply + 2, bytes, length);
	return send(stream->fd, reply, length + 2, MSG_NOSIGNAL) == (ssize_t)length + 2;
}

/* False: the connection is over. */
static bool stream_answer(struct stream *stream)
{
	struct answer answer;
	size_t length;

	while (stream->asked == NULL && dns_framed(stream->bytes, stream->length, &length)) {
		answer_to(stream->server, stream->bytes + 2, length, DNS_ANSWER_BYTES, &answer);
		stream->length -= length + 2;
		memmove(stream->bytes, stream->bytes + length + 2, stream->length);
		stream->asked = answer.asked;
		if (answer.asked != NULL)
			answer.asked->stream = stream;
		else if (answer.length == 0 || !stream_send(stream, answer.bytes, answer.length))
			return false;
	}
	return stream->length < sizeof(stream->bytes);
}

static void on_stream(struct loop_source *source, unsigned what)
{
	struct stream *stream = (struct stream *)(void *)source;

	(void)what;
	for (int i = 0; i < SHARE && stream->fd != -1 && stream->asked == NULL; i++) {
		const ssize_t got =
		    recv(stream->fd, stream->bytes + stream->length, sizeof(stream->bytes) - stream->length, 0);

		if (got == -1 && (errno == EAGAIN || errno == EINTR))
			return;
		if (got > 0)
			stream->length += (size_t)got;
		if (got <= 0 || !stream_answer(stream))
			stream_close(stream);
	}
	if (stream->fd != -1 && stream->asked == NULL)
		loop_again(&stream->server->loop, &stream->source);
}

/* The answer that it waited for, and what it has asked meanwhile. */
static void stream_resume(struct stream *stream, const uint8_t *reply, size_t length)
{
	stream->asked = NULL;
	if (!stream_send(stream, reply, length) || !stream_answer(stream))
		stream_close(stream);
	else
		loop_again(&stream->server->loop, &stream->source);
}

/* The place of one that has ended, a new one, or that of the oldest. */
static struct stream *stream_place(void)
{
	static unsigned next;

	for (size_t i = 0; i < STREAMS_MAX; i++) {
		if (streams[i] == NULL)
			streams[i] = mem_alloc(sizeof(*streams[i]));
		else if (streams[i]->fd != -1)
			continue;
		streams[i]->fd = -1;
		return streams[i];
	}
	next = (next + 1) % STREAMS_MAX;
	stream_close(streams[next]);
	return streams[next];
}

void nameserver_accept(struct server *server, int fd)
{
	struct stream *stream = stream_place();
	struct npxc_error ignored;

	*stream = (struct stream){ .source.on_ready = on_stream, .server = server, .fd = fd };
	if (!loop_watch(&server->loop, fd, &stream->source, &ignored))
		stream_close(stream);
}
