#include "egress/server.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"

#include <string.h>
#include <sys/socket.h>

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0 /* macOS; npxc ignores SIGPIPE anyway */
#endif

bool server_refresh_own(struct server *server)
{
	const int64_t now = clock_now_ms();
	struct address_own own;
	struct npxc_error ignored;

	if (server->own_ms != 0 && now - server->own_ms < LIMIT_EGRESS_OWN_MS)
		return true;
	if (!address_read_own(&own, &ignored))
		return false;
	address_own_done(&server->own);
	server->own = own;
	server->own_ms = now;
	return true;
}

void server_reset(int *fd)
{
	const struct linger now = { .l_onoff = 1 };

	if (*fd != -1)
		(void)setsockopt(*fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	fd_close(fd);
}

/* True when it is new. */
static bool note_once(struct server *server, const char *host, uint16_t port, enum audit_add add)
{
	const uint64_t hash = str_hash(STR_HASH ^ port ^ (uint64_t)add << 16, host, strlen(host));

	for (unsigned i = 0; i < server->notes; i++)
		if (server->noted[i] == hash)
			return false;
	if (server->notes == LIMIT_EGRESS_NOTES)
		return false;
	server->noted[server->notes++] = hash;
	return true;
}

void server_tell(const struct server *server, const struct note *note)
{
	char line[LIMIT_EGRESS_NOTE_BYTES];
	const size_t length = note_write(note, line);

	if (send(server->control, line, length, MSG_DONTWAIT | MSG_NOSIGNAL) == -1)
		return;
}

void server_record(struct server *server, const struct audit_record *record)
{
	const char *host = record->host != NULL ? record->host : record->ip;

	if (server->audit != NULL)
		audit_write(server->audit, record, clock_now_ms());
	/* On link netns the guest's connection was accepted before this was known, so that it sees no more than a
	 * reset. */
	const bool reset = record->reason == REASON_DIAL_REFUSED && server->names != NULL && server->audit != NULL;

	if ((record->verdict == AUDIT_DENY || reset) && host != NULL &&
	    note_once(server, host, record->port, record->add))
		server_tell(server, &(struct note){ .kind = NOTE_DENIED,
		                                    .port = record->port,
		                                    .add = record->add,
		                                    .reason = record->reason,
		                                    .text = host });
}
