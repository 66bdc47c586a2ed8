#include "teardown/janitor_protocol.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/limits.h"
#include "base/signals.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0 /* macOS; npxc ignores SIGPIPE anyway */
#endif

static int64_t deadline_of(const struct janitor_wait *wait)
{
	int64_t last = signals_time_ms() + (WITHOUT("grace") ? 10 : 1) * LIMIT_SIGNAL_MS;

	if (wait->heeds_signals && signals_caught() != 0 && (wait->deadline == 0 || last < wait->deadline))
		return last;
	return wait->deadline;
}

/* True when there is something to read, or the end of it. */
static bool await_bytes(int fd, const struct janitor_wait *wait)
{
	for (;;) {
		bool heeds = wait->heeds_signals && signals_caught() == 0;
		struct pollfd fds[2] = { { .fd = fd, .events = POLLIN },
			                 { .fd = heeds ? signals_fd() : -1, .events = POLLIN } };
		int64_t deadline = deadline_of(wait);
		int64_t left = deadline - clock_now_ms();
		int timeout = deadline == 0 ? -1 : left <= 0 ? 0 : left > INT32_MAX ? INT32_MAX : (int)left;

		if (poll(fds, 2, timeout) == -1)
			continue; /* EINTR; fds was not written */
		if (fds[0].revents != 0)
			return true;
		if (deadline != 0 && left <= 0)
			return false;
	}
}

static enum janitor_received receive(int fd, const struct janitor_wait *wait, void *bytes, size_t count)
{
	char *next = bytes;

	while (count > 0) {
		ssize_t got;

		if (!await_bytes(fd, wait))
			return JANITOR_RECEIVED_TIMEOUT;
		got = recv(fd, next, count, 0);
		if (got == 0 || (got == -1 && errno != EINTR))
			return JANITOR_RECEIVED_END;
		if (got > 0) {
			next += got;
			count -= (size_t)got;
		}
	}
	return JANITOR_RECEIVED;
}

enum janitor_received janitor_protocol_receive(int fd, const struct janitor_wait *wait, bool is_answer,
                                               struct janitor_frame *ret_frame, char *payload, size_t size)
{
	const unsigned first = is_answer ? JANITOR_VERB_DONE : JANITOR_VERB_HOLD;
	const unsigned last = is_answer ? JANITOR_VERB_STEP : JANITOR_VERB_END;
	const enum janitor_received got = receive(fd, wait, ret_frame, sizeof(*ret_frame));

	if (got != JANITOR_RECEIVED)
		return got;
	if (ret_frame->length > size || ret_frame->verb < first || ret_frame->verb > last)
		return JANITOR_RECEIVED_INVALID;
	return receive(fd, wait, payload, ret_frame->length);
}

static bool send_all(int fd, const char *bytes, size_t count)
{
	while (count > 0) {
		ssize_t sent = send(fd, bytes, count, MSG_NOSIGNAL);

		if (sent == -1 && errno != EINTR)
			return false;
		if (sent > 0) {
			bytes += sent;
			count -= (size_t)sent;
		}
	}
	return true;
}

bool janitor_protocol_send(int fd, const struct janitor_frame *frame, const void *payload)
{
	char bytes[sizeof(*frame) + LIMIT_JANITOR_FRAME_BYTES];

	if (frame->length > LIMIT_JANITOR_FRAME_BYTES)
		return false;
	memcpy(bytes, frame, sizeof(*frame));
	if (frame->length > 0)
		memcpy(bytes + sizeof(*frame), payload, frame->length);
	return send_all(fd, bytes, sizeof(*frame) + frame->length);
}

bool janitor_protocol_put_words(struct buf *payload, const char *const *words, size_t count, struct npxc_error *err)
{
	for (size_t i = 0; i < count; i++)
		if (!buf_append(payload, words[i], strlen(words[i]) + 1, err))
			return false;
	return true;
}

bool janitor_protocol_get_words(const char *payload, size_t length, struct strv *ret_words)
{
	if (length == 0 || payload[length - 1] != '\0')
		return false;
	for (size_t at = 0; at < length; at += strlen(payload + at) + 1)
		strv_push(ret_words, payload + at);
	return true;
}
