#include "egress/nameserver.h"

#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"
#include "egress/datagram.h"
#include "egress/dns.h"

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

/* The answer to one message; 0: none is due. */
static size_t answer(struct server *server, const uint8_t *message, size_t length, size_t most,
                     uint8_t ret_answer[static DNS_ANSWER_BYTES])
{
	struct dns_query query;
	enum dns_code code = DNS_CODE_NOERROR;
	uint32_t number;
	struct ip ip;

	switch (dns_parse(message, length, &query, &code)) {
	case DNS_PARSED_IGNORE:
		return 0;
	case DNS_PARSED_REFUSE:
		return dns_answer(&query, code, NULL, most == 0 ? query.udp_bytes : most, ret_answer);
	case DNS_PARSED_QUERY:
		break;
	}
	if (most == 0)
		most = query.udp_bytes;
	if (is_local(query.name)) {
		ip = query.type == DNS_TYPE_AAAA ? (struct ip){ .v6 = true, .bytes = { [15] = 1 } } : ip_v4(0x7f000001);
		return dns_answer(&query, DNS_CODE_NOERROR,
		                  query.type == DNS_TYPE_A || query.type == DNS_TYPE_AAAA ? &ip : NULL, most,
		                  ret_answer);
	}
	const bool is_name = query.name[0] != '\0' && query.class == DNS_CLASS_IN;
	if (!is_name || !rules_knows_name(server->rules, query.name)) {
		record(server, query.shown, AUDIT_EACCES, REASON_UNLISTED);
		if (!is_name || !server->learn)
			return dns_answer(&query, DNS_CODE_NXDOMAIN, NULL, most, ret_answer);
	}
	if (query.type != DNS_TYPE_A && (query.type != DNS_TYPE_AAAA || !server->has_v6))
		return dns_answer(&query, DNS_CODE_NOERROR, NULL, most, ret_answer);
	if (!names_add(server->names, query.name, &number)) {
		record(server, query.shown, AUDIT_EMFILE, REASON_MANY_NAMES);
		return dns_answer(&query, DNS_CODE_SERVFAIL, NULL, most, ret_answer);
	}
	ip = names_address(number, query.type == DNS_TYPE_AAAA);
	return dns_answer(&query, DNS_CODE_NOERROR, &ip, most, ret_answer);
}

/* ---- UDP ---- */

static void on_datagrams(struct loop_source *source, unsigned what)
{
	struct nameserver *nameserver = (struct nameserver *)(void *)source;
	uint8_t message[MESSAGE_BYTES], reply[DNS_ANSWER_BYTES];

	(void)what;
	for (int i = 0; i < SHARE; i++) {
		struct datagram datagram;
		size_t length;

		if (datagram_receive(nameserver->fd, message, sizeof(message), &datagram) == -1) {
			if (errno == EAGAIN)
				return;
			continue;
		}
		length = answer(nameserver->server, message, datagram.length, 0, reply);
		/* One that is not sent is asked for again; that is what datagrams are like. */
		if (length > 0 && !datagram_answer(nameserver->fd, &datagram, reply, length))
			continue;
	}
	loop_again(&nameserver->server->loop, &nameserver->source);
}

bool nameserver_open(struct server *server, int fd, struct nameserver *ret_nameserver, struct npxc_error *err)
{
	*ret_nameserver = (struct nameserver){ .source.on_ready = on_datagrams, .server = server, .fd = fd };
	return loop_watch(&server->loop, fd, &ret_nameserver->source, err);
}

/* ---- TCP: rare (an answer of ours is never cut), so each connection is one allocation and no more ---- */

struct stream {
	struct loop_source source;
	struct server *server;
	int fd;
	size_t length;
	uint8_t bytes[MESSAGE_BYTES];
	struct stream *next_open;
};

enum { STREAMS_MAX = 16 };
static struct stream *streams[STREAMS_MAX];

static void stream_close(struct stream *stream)
{
	loop_forget(&stream->server->loop, &stream->source);
	server_reset(&stream->fd);
	stream->length = 0;
}

/* False: the connection is over. */
static bool stream_answer(struct stream *stream)
{
	size_t length;

	while (dns_framed(stream->bytes, stream->length, &length)) {
		uint8_t reply[2 + DNS_ANSWER_BYTES];
		const size_t count = answer(stream->server, stream->bytes + 2, length, DNS_ANSWER_BYTES, reply + 2);

		reply[0] = (uint8_t)(count >> 8);
		reply[1] = (uint8_t)count;
		if (count == 0 || send(stream->fd, reply, count + 2, MSG_NOSIGNAL) != (ssize_t)count + 2)
			return false;
		stream->length -= length + 2;
		memmove(stream->bytes, stream->bytes + length + 2, stream->length);
	}
	return stream->length < sizeof(stream->bytes);
}

static void on_stream(struct loop_source *source, unsigned what)
{
	struct stream *stream = (struct stream *)(void *)source;

	(void)what;
	for (int i = 0; i < SHARE && stream->fd != -1; i++) {
		const ssize_t got =
		    recv(stream->fd, stream->bytes + stream->length, sizeof(stream->bytes) - stream->length, 0);

		if (got == -1 && (errno == EAGAIN || errno == EINTR))
			return;
		if (got > 0)
			stream->length += (size_t)got;
		if (got <= 0 || !stream_answer(stream))
			stream_close(stream);
	}
	if (stream->fd != -1)
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
