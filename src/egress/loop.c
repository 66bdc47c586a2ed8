#include "egress/loop.h"

#include "base/fd.h"

#include <errno.h>
#include <stddef.h>

#ifdef __linux__
#include <sys/epoll.h>
#else
#include <sys/event.h>
#include <sys/time.h>
#include <time.h>
#endif

enum { EVENTS = 64 }; /* of one turn */

bool loop_open(struct loop *ret_loop, struct npxc_error *err)
{
#ifdef __linux__
	const int fd = epoll_create1(EPOLL_CLOEXEC);
#else
	const int fd = kqueue();
#endif
	if (fd == -1)
		return error_set_errno(err, ERROR_IO, "watch descriptors");
	*ret_loop = (struct loop){ .fd = fd };
	return true;
}

void loop_done(struct loop *loop)
{
	fd_close(&loop->fd);
	*loop = (struct loop){ .fd = -1 };
}

bool loop_watch(struct loop *loop, int fd, struct loop_source *source, struct npxc_error *err)
{
#ifdef __linux__
	struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI | EPOLLET,
		                     .data.ptr = source };
	const bool watched = epoll_ctl(loop->fd, EPOLL_CTL_ADD, fd, &event) == 0 ||
	                     (errno == EEXIST && epoll_ctl(loop->fd, EPOLL_CTL_MOD, fd, &event) == 0);
#else
	struct kevent changes[2];
	EV_SET(&changes[0], (uintptr_t)fd, EVFILT_READ, EV_ADD | EV_CLEAR, 0, 0, source);
	EV_SET(&changes[1], (uintptr_t)fd, EVFILT_WRITE, EV_ADD | EV_CLEAR, 0, 0, source);
	const bool watched = kevent(loop->fd, changes, 2, NULL, 0, NULL) != -1;
#endif
	return watched || error_set_errno(err, ERROR_IO, "watch a descriptor");
}

void loop_again(struct loop *loop, struct loop_source *source)
{
	if (source->queued)
		return;
	source->queued = true;
	source->next = NULL;
	if (loop->last == NULL)
		loop->first = source;
	else
		loop->last->next = source;
	loop->last = source;
}

void loop_forget(struct loop *loop, struct loop_source *source)
{
	struct loop_source *before = NULL;

	if (!source->queued)
		return;
	for (struct loop_source *s = loop->first; s != source; s = s->next)
		before = s;
	if (before == NULL)
		loop->first = source->next;
	else
		before->next = source->next;
	if (loop->last == source)
		loop->last = before;
	source->queued = false;
}

/* As many as were queued before this turn: whoever queues itself again waits for the next. */
static void call_queued(struct loop *loop)
{
	size_t count = 0;

	for (struct loop_source *s = loop->first; s != NULL; s = s->next)
		count++;
	for (; count > 0 && loop->first != NULL; count--) {
		struct loop_source *source = loop->first;
		loop->first = source->next;
		if (loop->first == NULL)
			loop->last = NULL;
		source->queued = false;
		source->on_ready(source, 0);
	}
}

#ifdef __linux__
static int wait_for_events(struct loop *loop, int timeout_ms)
{
	struct epoll_event events[EVENTS];
	const int count = epoll_wait(loop->fd, events, EVENTS, timeout_ms);

	for (int i = 0; i < count; i++) {
		const unsigned had = events[i].events;
		struct loop_source *source = events[i].data.ptr;
		source->on_ready(
		    source, ((had & EPOLLIN) != 0 ? LOOP_READABLE : 0U) | ((had & EPOLLOUT) != 0 ? LOOP_WRITABLE : 0U) |
		                ((had & EPOLLPRI) != 0 ? LOOP_URGENT | LOOP_READABLE : 0U) |
		                ((had & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0 ? LOOP_CLOSED | LOOP_READABLE : 0U));
	}
	return count;
}
#else
static int wait_for_events(struct loop *loop, int timeout_ms)
{
	struct kevent events[EVENTS];
	struct timespec timeout = { .tv_sec = timeout_ms / 1000, .tv_nsec = (long)(timeout_ms % 1000) * 1000000 };
	const int count = kevent(loop->fd, NULL, 0, events, EVENTS, timeout_ms < 0 ? NULL : &timeout);

	for (int i = 0; i < count; i++) {
		struct loop_source *source = events[i].udata;
		/* Of urgent bytes kqueue does not tell. */
		source->on_ready(source,
		                 (events[i].filter == EVFILT_READ ? LOOP_READABLE | LOOP_URGENT : LOOP_WRITABLE) |
		                     ((events[i].flags & EV_EOF) != 0 ? LOOP_CLOSED | LOOP_READABLE : 0));
	}
	return count;
}
#endif

bool loop_turn(struct loop *loop, int timeout_ms, struct npxc_error *err)
{
	const bool queued = loop->first != NULL;

	if (wait_for_events(loop, queued ? 0 : timeout_ms) == -1 && errno != EINTR)
		return error_set_errno(err, ERROR_IO, "wait for descriptors");
	if (queued)
		call_queued(loop);
	return true;
}
