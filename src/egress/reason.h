#ifndef NPXC_EGRESS_REASON_H
#define NPXC_EGRESS_REASON_H

/*
 * Why the egress process refused or ended something. Inside of it and towards the launcher a reason is a number; its
 * words are made where they are shown: here, for the audit log, an answer to the guest, and stderr.
 */
#define REASONS(X)                                                                                         \
	/* no rule, or an address that its rule does not lead to */                                        \
	X(UNLISTED, "is not in the allow list")                                                            \
	X(UDP_TO_NAME, "UDP to a name is not carried")                                                     \
	X(TOKEN, "asked for without this session's token")                                                 \
	/* special-purpose addresses (address.c) */                                                        \
	X(NO_HOST, "no host")                                                                              \
	X(PRIVATE, "private")                                                                              \
	X(SHARED, "shared by carriers")                                                                    \
	X(LOOPBACK, "loopback")                                                                            \
	X(LINK_LOCAL, "link-local")                                                                        \
	X(PROTOCOLS, "reserved for protocols")                                                             \
	X(DOCUMENTATION, "for documentation")                                                              \
	X(RELAY_6TO4, "a 6to4 relay")                                                                      \
	X(BENCHMARKS, "for benchmarks")                                                                    \
	X(MULTICAST, "multicast")                                                                          \
	X(RESERVED, "reserved")                                                                            \
	X(NET_6TO4, "6to4")                                                                                \
	X(NOT_GLOBAL, "no global address")                                                                 \
	X(NPXC_OWN, "npxc's own")                                                                          \
	X(METADATA, "a cloud's metadata")                                                                  \
	X(OWN_ADDRESS, "this machine's own")                                                               \
	X(OWN_NETWORK, "in a network of this machine")                                                     \
	X(OWN_UNREADABLE, "this machine's own addresses cannot be read")                                   \
	/* the connection */                                                                               \
	X(NO_ADDRESS, "has no address")                                                                    \
	X(DIAL_TIMEOUT, "did not answer in time")                                                          \
	X(DIAL_REFUSED, "refused the connection")                                                          \
	X(UNREACHABLE, "cannot be reached from this machine")                                              \
	X(DIAL_FAILED, "could not be connected to")                                                        \
	X(GUEST_GONE, "the server inside has gone")                                                        \
	X(SESSION_ENDED, "the session ended")                                                              \
	/* ceilings */                                                                                     \
	X(MANY_LOOKUPS, "too many names are being looked up")                                              \
	X(MANY_NAMES, "too many names were asked for")                                                     \
	X(MANY_CONNECTIONS, "too many connections")                                                        \
	X(MADE_ROOM, "made room for a newer connection")                                                   \
	X(MANY_FLOWS, "too many different flows to write each of them")                                    \
	X(MANY_DENIALS, "too many different denials to write each of them")                                \
	X(RECORDS_LOST, "so many records are missing here: they could not be written")                     \
	/* time limits */                                                                                  \
	X(CONNECT_TIMEOUT, "the CONNECT request did not come in time")                                     \
	X(HELLO_TIMEOUT, "the ClientHello did not come in time")                                           \
	X(HEAD_TIMEOUT, "the head of the request did not come in time")                                    \
	X(PROTOCOL_TIMEOUT, "the first bytes did not tell in time which protocol this is")                 \
	/* what a client says that was let through for a name (gate.c) */                                  \
	X(NEITHER_PROTOCOL, "speaks neither TLS nor HTTP, so that nothing of it can be held to the name")  \
	X(SERVER_FIRST,                                                                                    \
	  "the server speaks first, as none of TLS or HTTP does, so that nothing can be held to the name") \
	X(ANSWER_BEFORE_REQUEST, "the server speaks before there was a request")                           \
	X(NOT_TLS, "not TLS")                                                                              \
	X(NO_SNI, "TLS without a server name (SNI)")                                                       \
	X(OTHER_SNI, "TLS for another name (SNI)")                                                         \
	X(ANSWER_UNREADABLE, "an answer to the ClientHello that cannot be read")                           \
	X(ANSWER_NOT_TLS, "an answer to the ClientHello that is not TLS")                                  \
	/* TLS (hello.c) */                                                                                \
	X(SNI_MALFORMED, "a malformed SNI")                                                                \
	X(SNI_SEVERAL, "more than one name in the SNI")                                                    \
	X(SNI_NO_NAME, "an SNI that is no host name")                                                      \
	X(SNI_TWICE, "two SNIs")                                                                           \
	X(HELLO_MALFORMED, "a malformed ClientHello")                                                      \
	X(EXTENSION_TWICE, "the same extension twice")                                                     \
	X(MANY_EXTENSIONS, "too many extensions")                                                          \
	X(ENCRYPTED_HELLO, "an encrypted ClientHello (ECH), whose name cannot be checked")                 \
	X(SSL2, "a ClientHello in the form of SSL 2, which names no host")                                 \
	X(NO_HELLO, "TLS that does not begin with a ClientHello")                                          \
	X(RECORD_ORDER, "TLS records out of order before the ClientHello is complete")                     \
	X(TLS_VERSION, "an unknown version of TLS")                                                        \
	X(RECORD_LENGTH, "a TLS record of an impossible length")                                           \
	X(HANDSHAKE_NO_HELLO, "a handshake that does not begin with a ClientHello")                        \
	X(HELLO_TOO_LONG, "a ClientHello of more than 16 KiB")                                             \
	X(AFTER_HELLO, "more than a ClientHello in its last record")                                       \
	/* HTTP (http.c) */                                                                                \
	X(TARGET_BYTES, "a request target with bytes other than printable ASCII")                          \
	X(TARGET_BAD, "a request target that is none")                                                     \
	X(TARGET_OTHER, "a request target for another host")                                               \
	X(METHOD_BAD, "a request that does not begin with an upper-case method")                           \
	X(HTTP_VERSION, "a request that is not HTTP/1.1")                                                  \
	X(CONNECT_INSIDE, "CONNECT within a connection")                                                   \
	X(LENGTH_TWICE, "more than one length of a body")                                                  \
	X(LENGTH_BAD, "a Content-Length that is none")                                                     \
	X(HOST_TWICE, "more than one Host")                                                                \
	X(HOST_OTHER, "a Host other than the one that was connected to")                                   \
	X(HOST_MISSING, "a request without Host")                                                          \
	X(ENCODING, "a Transfer-Encoding other than chunked")                                              \
	X(UPGRADE_LATE, "an Upgrade other than on the first request")                                      \
	X(UPGRADE_OTHER, "an Upgrade to something other than websocket")                                   \
	X(UPGRADE_BODY, "an Upgrade with a body")                                                          \
	X(EXPECT, "an Expect other than 100-continue")                                                     \
	X(HTTP2, "an upgrade to HTTP/2, whose hosts cannot be checked")                                    \
	X(HEADER_BAD, "a header line that is none")                                                        \
	X(HEADER_BYTES, "a header with control bytes")                                                     \
	X(LINE_TOO_LONG, "a line or head that is too long")                                                \
	X(LINE_END, "a line that does not end in CR LF")                                                   \
	X(CHUNK_NO_SIZE, "a chunk without a size")                                                         \
	X(CHUNK_SIZE_BAD, "a chunk size with something else in it")                                        \
	X(TRAILERS, "trailers behind a body")                                                              \
	X(CHUNK_TOO_LONG, "a chunk longer than its size")                                                  \
	/* the CONNECT head (connect.c) */                                                                 \
	X(CONNECT_BYTES, "bytes other than printable ASCII")                                               \
	X(CONNECT_NO_TARGET, "no host:port after CONNECT")                                                 \
	X(CONNECT_PORT, "no port from 1 to 65535 after the host")                                          \
	X(CONNECT_BRACKETS, "brackets are for IPv6 addresses, and these need them")                        \
	X(CONNECT_HOST, "what stands before the port is neither a host name nor an address")               \
	X(CONNECT_METHOD, "only CONNECT is spoken here")                                                   \
	X(CONNECT_VERSION, "only HTTP/1.1 is spoken here")                                                 \
	X(CONNECT_HEADER, "a header that is none")                                                         \
	X(CONNECT_TWO_TOKENS, "two Proxy-Authorization headers")                                           \
	X(CONNECT_NOT_BASIC, "a Proxy-Authorization that is not Basic")                                    \
	X(CONNECT_TOO_LONG, "a head of more than 2048 bytes")

enum reason {
	REASON_NONE, /* nothing was refused */
#define X(name, text) REASON_##name,
	REASONS(X)
#undef X
	    REASON_COUNT,
};

/* In the words of a user; static. NULL for REASON_NONE. */
const char *reason_text(enum reason reason);

#endif
