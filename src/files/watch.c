#include "files/watch.h"

#include "base/fd.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/inotify.h>

struct watch {
	int fd;
	char **paths; /* owned; by the watch's number, which the kernel counts up from 1 */
	size_t capacity, count;
};

struct watch *watch_new(void)
{
	struct watch *watch = mem_alloc(sizeof(*watch));

	watch->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	return watch;
}

void watch_free(struct watch *watch)
{
	if (watch == NULL)
		return;
	for (size_t i = 0; i < watch->capacity; i++)
		free(watch->paths[i]);
	free(watch->paths);
	fd_close(&watch->fd);
	free(watch);
}

bool watch_add(struct watch *watch, int directory, const char *path)
{
	const uint32_t events = IN_MODIFY | IN_ATTRIB | IN_MOVED_FROM | IN_MOVED_TO | IN_CREATE | IN_DELETE |
	                        IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;
	char by_descriptor[32];
	int number;

	if (watch->fd == -1 || watch->count >= LIMIT_WATCHES)
		return false;
	snprintf(by_descriptor, sizeof(by_descriptor), "/proc/self/fd/%d", directory);
	number = inotify_add_watch(watch->fd, by_descriptor, events);
	if (number <= 0)
		return false;
	while ((size_t)number >= watch->capacity) {
		const size_t more = watch->capacity == 0 ? 64 : watch->capacity * 2;

		watch->paths = mem_realloc(watch->paths, more, sizeof(*watch->paths));
		memset(watch->paths + watch->capacity, 0, (more - watch->capacity) * sizeof(*watch->paths));
		watch->capacity = more;
	}
	watch->count += watch->paths[number] == NULL;
	if (!str_equal(watch->paths[number], path)) { /* it may have been moved */
		free(watch->paths[number]);
		watch->paths[number] = str_dup(path);
	}
	return true;
}

static void tell(struct watch *watch, const struct inotify_event *event, void (*changed)(void *, const char *),
                 void *context)
{
	mem_cleanup char *path = NULL;

	if ((event->mask & IN_Q_OVERFLOW) != 0) {
		changed(context, NULL);
		return;
	}
	if (event->wd <= 0 || (size_t)event->wd >= watch->capacity || watch->paths[event->wd] == NULL)
		return;
	if ((event->mask & (IN_DELETE_SELF | IN_MOVE_SELF)) != 0) {
		changed(context, NULL); /* and everything in it */
	} else if ((event->mask & IN_IGNORED) != 0) {
		free(MEM_TAKE(watch->paths[event->wd]));
		watch->count--;
	} else if (event->len > 0) {
		const char *directory = watch->paths[event->wd];

		path = str_printf("%s%s%s", directory, directory[0] == '\0' ? "" : "/", event->name);
		changed(context, path);
	}
}

void watch_read(struct watch *watch, void (*changed)(void *context, const char *path), void *context)
{
	union {
		struct inotify_event event;
		char bytes[16 * 1024];
	} some;
	ssize_t got;

	if (watch->fd == -1 || watch->count == 0)
		return;
	while ((got = read(watch->fd, some.bytes, sizeof(some.bytes))) > 0 || (got < 0 && errno == EINTR))
		for (ssize_t at = 0; at < got;) {
			const struct inotify_event *event = (const void *)(some.bytes + at);

			tell(watch, event, changed, context);
			at += (ssize_t)(sizeof(*event) + event->len);
		}
}

#else

struct watch {
	int unused;
};

struct watch *watch_new(void)
{
	return mem_alloc(sizeof(struct watch));
}

void watch_free(struct watch *watch)
{
	free(watch);
}

bool watch_add(struct watch *watch, int directory, const char *path)
{
	(void)watch;
	(void)directory;
	(void)path;
	return false;
}

void watch_read(struct watch *watch, void (*changed)(void *context, const char *path), void *context)
{
	(void)watch;
	(void)changed;
	(void)context;
}

#endif
