#include "egress/dial.h"

#include "base/fault.h"
#include "base/fd.h"
#include "base/mem.h"
#include "egress/relay.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

void dial_order(struct ip *v, size_t count, bool v6_first)
{
	bool v6 = v6_first;

	for (size_t at = 0; at < count; at++, v6 = !v6) {
		size_t next = at;

		while (next < count && v[next].v6 != v6)
			next++;
		if (next == count)
			return; /* the other family alone is left */
		const struct ip ip = v[next];
		memmove(v + at + 1, v + at, (next - at) * sizeof(*v));
		v[at] = ip;
	}
}

static void on_attempt(struct loop_source *source, unsigned what)
{
	struct dial_attempt *attempt = (struct dial_attempt *)(void *)source;

	(void)what;
	if (attempt->fd == -1)
		return;
	attempt->ready = true;
	attempt->dial->on_change(attempt->dial->context);
}

void dial_begin(struct dial *dial, struct loop *loop, const struct ip *v, size_t count, uint16_t port,
                void (*on_change)(void *context), void *context)
{
	if (count > LIMIT_EGRESS_ATTEMPTS)
		count = LIMIT_EGRESS_ATTEMPTS;
	*dial = (struct dial){ .loop = loop,
		               .v = mem_alloc(count * sizeof(*dial->v)),
		               .count = count,
		               .port = port,
		               .on_change = on_change,
		               .context = context };
	for (size_t i = 0; i < count; i++)
		dial->v[i] = (struct dial_attempt){ .source.on_ready = on_attempt, .dial = dial, .fd = -1, .ip = v[i] };
}

/* That a family has no route says less than what an address answered. */
static void note_error(struct dial *dial, int error)
{
	const bool says_little = error == ENETUNREACH || error == EHOSTUNREACH || error == EADDRNOTAVAIL;

	if (dial->error == 0 || !says_little)
		dial->error = error;
}

static void begin_one(struct dial *dial, int64_t now_ms)
{
	struct dial_attempt *attempt = &dial->v[dial->begun++];
	struct sockaddr_storage address;
	const socklen_t length = ip_to_sockaddr(&attempt->ip, dial->port, &address);
	struct npxc_error ignored;
	const int on = 1;

	dial->next_ms =
	    dial->begun < dial->count ? now_ms + (WITHOUT("slow-families") ? 10 : 1) * LIMIT_EGRESS_ATTEMPT_MS : 0;
	attempt->fd = relay_socket(address.ss_family);
	if (attempt->fd == -1) {
		note_error(dial, errno);
		return;
	}
	/* Bytes go on as they come; and a peer that has gone is noticed, as nobody else would. */
	(void)setsockopt(attempt->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	(void)setsockopt(attempt->fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	if (connect(attempt->fd, (struct sockaddr *)&address, length) == -1 && errno != EINPROGRESS)
		note_error(dial, errno);
	else if (loop_watch(dial->loop, attempt->fd, &attempt->source, &ignored))
		attempt->ready = true; /* on this machine it often stands at once */
	if (!attempt->ready)
		fd_close(&attempt->fd);
}

static bool has_connected(struct dial *dial, struct dial_attempt *attempt)
{
	int error = 0;
	socklen_t length = sizeof(error);
	struct sockaddr_storage peer;
	socklen_t peer_length = sizeof(peer);

	attempt->ready = false;
	if (getpeername(attempt->fd, (struct sockaddr *)&peer, &peer_length) == 0)
		return true;
	if (getsockopt(attempt->fd, SOL_SOCKET, SO_ERROR, &error, &length) == 0 && error != 0) {
		note_error(dial, error);
		fd_close(&attempt->fd);
	}
	return false;
}

static struct dial_attempt *find_connected(struct dial *dial)
{
	for (size_t i = 0; i < dial->begun; i++) {
		struct dial_attempt *attempt = &dial->v[i];

		if (attempt->fd != -1 && attempt->ready && has_connected(dial, attempt)) {
			attempt->ready = true; /* for dial_take */
			return attempt;
		}
	}
	return NULL;
}

/* The last one that was begun: the next waits for it, or for its pause. */
static bool last_is_open(const struct dial *dial)
{
	return dial->begun > 0 && dial->v[dial->begun - 1].fd != -1;
}

enum dial_state dial_look(struct dial *dial, int64_t now_ms)
{
	for (;;) {
		if (find_connected(dial) != NULL)
			return DIAL_CONNECTED;
		if (dial->begun == dial->count)
			break;
		if (last_is_open(dial) && now_ms < dial->next_ms)
			return DIAL_WAITS;
		begin_one(dial, now_ms);
	}
	for (size_t i = 0; i < dial->count; i++)
		if (dial->v[i].fd != -1)
			return DIAL_WAITS;
	return DIAL_FAILED;
}

int dial_take(struct dial *dial, struct ip *ret_ip, bool *ret_contested)
{
	struct dial_attempt *taken = find_connected(dial);
	const int fd = taken->fd;

	taken->fd = -1;
	*ret_ip = taken->ip;
	*ret_contested = false;
	for (size_t i = 0; i < dial->begun; i++)
		*ret_contested = *ret_contested || dial->v[i].ip.v6 != taken->ip.v6;
	dial_end(dial);
	return fd;
}

void dial_end(struct dial *dial)
{
	for (size_t i = 0; i < dial->count; i++)
		fd_close(&dial->v[i].fd);
	dial->begun = dial->count;
	dial->next_ms = 0;
}

void dial_free(struct dial *dial)
{
	dial_end(dial);
	free(dial->v);
	*dial = (struct dial){ 0 };
}
