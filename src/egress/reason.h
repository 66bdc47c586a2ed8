#ifndef NPXC_EGRESS_REASON_H
#define NPXC_EGRESS_REASON_H

/*
 * Why the egress process refused or ended something. Inside of it and towards the launcher a reason is a number; its
 * words are made where they are shown: here, for the audit log, an answer to the guest, and stderr.
 *
 * V: words that go on after the target's name; N: a noun phrase.
 */
#define REASONS(V, N)                                                                                           \
	/* no rule, or an address that its rule does not lead to */                                             \
	V(UNLISTED, "is not in the allow list")                                                                 \
	N(TXT_WILDCARD, "its TXT records are looked up only with a rule for this very name, not by a wildcard") \
	N(UDP_TO_NAME, "UDP to a name is not carried")                                                          \
	N(TOKEN, "the request lacks this session's token")                                                      \
	/* special-purpose addresses (address.c) */                                                             \
	N(NO_HOST, "address of no host (RFC 1122)")                                                             \
	N(PRIVATE, "private address (RFC 1918)")                                                                \
	N(SHARED, "address shared by the customers of carriers (RFC 6598)")                                     \
	N(LOOPBACK, "loopback address")                                                                         \
	N(LINK_LOCAL, "link-local address")                                                                     \
	N(PROTOCOLS, "address reserved for protocols (RFC 6890)")                                               \
	N(DOCUMENTATION, "address reserved for documentation (RFC 5737, RFC 3849)")                             \
	N(RELAY_6TO4, "address of a 6to4 relay (RFC 7526)")                                                     \
	N(BENCHMARKS, "address reserved for benchmarks (RFC 2544)")                                             \
	N(MULTICAST, "multicast address")                                                                       \
	N(RESERVED, "reserved address (RFC 1112)")                                                              \
	N(NET_6TO4, "6to4 address (RFC 3056)")                                                                  \
	N(NOT_GLOBAL, "no global address")                                                                      \
	N(NPXC_OWN, "address that stands for a name inside of the sandbox")                                     \
	N(METADATA, "address of a cloud's metadata")                                                            \
	N(OWN_ADDRESS, "this machine's own address")                                                            \
	N(OWN_NETWORK, "address in a network of this machine")                                                  \
	N(OWN_UNREADABLE, "this machine's own addresses cannot be read")                                        \
	/* the connection */                                                                                    \
	V(NO_ADDRESS, "has no address")                                                                         \
	V(DIAL_TIMEOUT, "did not answer in time")                                                               \
	V(DIAL_REFUSED, "refused the connection")                                                               \
	V(UNREACHABLE, "cannot be reached from this machine")                                                   \
	V(DIAL_FAILED, "could not be connected to")                                                             \
	N(GUEST_GONE, "the server inside has gone")                                                             \
	N(SESSION_ENDED, "the session ended")                                                                   \
	/* ceilings */                                                                                          \
	N(MANY_LOOKUPS, "too many names are being looked up")                                                   \
	N(MANY_NAMES, "too many names were asked for")                                                          \
	N(MANY_CONNECTIONS, "too many connections")                                                             \
	N(MADE_ROOM, "made room for a newer connection")                                                        \
	N(MANY_FLOWS, "too many different flows to write each of them")                                         \
	N(MANY_DENIALS, "too many different denials to write each of them")                                     \
	N(RECORDS_LOST, "so many records are missing here: they could not be written")                          \
	/* time limits */                                                                                       \
	N(CONNECT_TIMEOUT, "the CONNECT request did not come in time")                                          \
	N(HELLO_TIMEOUT, "the ClientHello did not come in time")                                                \
	N(HEAD_TIMEOUT, "the head of the request did not come in time")                                         \
	N(PROTOCOL_TIMEOUT, "the first bytes did not tell in time which protocol this is")                      \
	/* what a client says that was let through for a name (gate.c) */                                       \
	V(NEITHER_PROTOCOL, "speaks neither TLS nor HTTP, so that nothing of it can be held to the name")       \
	N(SERVER_FIRST,                                                                                         \
	  "the server speaks first, as none of TLS or HTTP does, so that nothing can be held to the name")      \
	N(ANSWER_BEFORE_REQUEST, "the server speaks before there was a request")                                \
	N(NOT_TLS, "not TLS")                                                                                   \
	N(NO_SNI, "TLS without a server name (SNI)")                                                            \
	N(OTHER_SNI, "TLS for another name (SNI)")                                                              \
	N(ANSWER_UNREADABLE, "an answer to the ClientHello that cannot be read")                                \
	N(ANSWER_NOT_TLS, "an answer to the ClientHello that is not TLS")                                       \
	/* TLS (hello.c) */                                                                                     \
	N(SNI_MALFORMED, "a malformed SNI")                                                                     \
	N(SNI_SEVERAL, "more than one name in the SNI")                                                         \
	N(SNI_NO_NAME, "an SNI that is no host name")                                                           \
	N(SNI_TWICE, "two SNIs")                                                                                \
	N(HELLO_MALFORMED, "a malformed ClientHello")                                                           \
	N(EXTENSION_TWICE, "the same extension twice")                                                          \
	N(MANY_EXTENSIONS, "too many extensions")                                                               \
	N(ENCRYPTED_HELLO, "an encrypted ClientHello (ECH), whose name cannot be checked")                      \
	N(SSL2, "a ClientHello in the form of SSL 2, which names no host")                                      \
	N(NO_HELLO, "TLS that does not begin with a ClientHello")                                               \
	N(RECORD_ORDER, "TLS records out of order before the ClientHello is complete")                          \
	N(TLS_VERSION, "an unknown version of TLS")                                                             \
	N(RECORD_LENGTH, "a TLS record of an impossible length")                                                \
	N(HANDSHAKE_NO_HELLO, "a handshake that does not begin with a ClientHello")                             \
	N(HELLO_TOO_LONG, "a ClientHello of more than 16 KiB")                                                  \
	N(AFTER_HELLO, "more than a ClientHello in its last record")                                            \
	/* HTTP (http.c) */                                                                                     \
	N(TARGET_BYTES, "a request target with bytes other than printable ASCII")                               \
	N(TARGET_BAD, "an invalid request target")                                                              \
	N(TARGET_OTHER, "a request target for another host")                                                    \
	N(METHOD_BAD, "a request that does not begin with an upper-case method")                                \
	N(HTTP_VERSION, "a request that is not HTTP/1.1")                                                       \
	N(CONNECT_INSIDE, "CONNECT within a connection")                                                        \
	N(LENGTH_TWICE, "more than one length of a body")                                                       \
	N(LENGTH_BAD, "an invalid Content-Length")                                                              \
	N(HOST_TWICE, "more than one Host")                                                                     \
	N(HOST_OTHER, "a Host other than the one that was connected to")                                        \
	N(HOST_MISSING, "a request without Host")                                                               \
	N(ENCODING, "a Transfer-Encoding other than chunked")                                                   \
	N(UPGRADE_LATE, "an Upgrade other than on the first request")                                           \
	N(UPGRADE_OTHER, "an Upgrade to something other than websocket")                                        \
	N(UPGRADE_BODY, "an Upgrade with a body")                                                               \
	N(EXPECT, "an Expect other than 100-continue")                                                          \
	N(HTTP2, "an upgrade to HTTP/2, whose hosts cannot be checked")                                         \
	N(HEADER_BAD, "an invalid header line")                                                                 \
	N(HEADER_BYTES, "a header with control bytes")                                                          \
	N(LINE_TOO_LONG, "a line or head that is too long")                                                     \
	N(LINE_END, "a line that does not end in CR LF")                                                        \
	N(CHUNK_NO_SIZE, "a chunk without a size")                                                              \
	N(CHUNK_SIZE_BAD, "a chunk size with something else in it")                                             \
	N(TRAILERS, "trailers behind a body")                                                                   \
	N(CHUNK_TOO_LONG, "a chunk longer than its size")                                                       \
	/* the CONNECT head (connect.c) */                                                                      \
	N(CONNECT_BYTES, "bytes other than printable ASCII")                                                    \
	N(CONNECT_NO_TARGET, "no host:port after CONNECT")                                                      \
	N(CONNECT_PORT, "no port from 1 to 65535 after the host")                                               \
	N(CONNECT_BRACKETS, "brackets are for IPv6 addresses, and these need them")                             \
	N(CONNECT_HOST, "what stands before the port is neither a host name nor an address")                    \
	N(CONNECT_METHOD, "only CONNECT is spoken here")                                                        \
	N(CONNECT_VERSION, "only HTTP/1.1 is spoken here")                                                      \
	N(CONNECT_HEADER, "an invalid header")                                                                  \
	N(CONNECT_TWO_TOKENS, "two Proxy-Authorization headers")                                                \
	N(CONNECT_NOT_BASIC, "a Proxy-Authorization that is not Basic")                                         \
	N(CONNECT_TOO_LONG, "a head of more than 2048 bytes")

enum reason {
	REASON_NONE, /* nothing was refused */
#define NAME(name, text) REASON_##name,
	REASONS(NAME, NAME)
#undef NAME
	    REASON_COUNT,
};

/* In the words of a user; static. NULL for REASON_NONE. */
const char *reason_text(enum reason reason);
/* The same of a target: a sentence about it, or "TARGET: why"; owned. */
char *reason_about(enum reason reason, const char *target);

#endif
