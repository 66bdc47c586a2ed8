#include "base/fd.h"

#include "base/mem.h"
#include "base/str.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/mman.h>
#include <sys/syscall.h>
#endif

enum { READ_BYTES = 64 * 1024 };

void fd_close(int *fd)
{
	int saved = errno;

	if (*fd != -1)
		close(*fd);
	*fd = -1;
	errno = saved;
}

void fd_cleanup(int *fd)
{
	fd_close(fd);
}

int fd_take(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

bool fd_fill_standard(struct npxc_error *err)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		if (fcntl(fd, F_GETFD) != -1)
			continue;
		/* The lowest free number, and those below are taken: it becomes `fd`. */
		if (open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd)
			return error_set_errno(err, ERROR_IO, "open /dev/null");
	}
	return true;
}

bool fd_set_close_on_exec(int fd, bool on, struct npxc_error *err)
{
	int flags = fcntl(fd, F_GETFD);

	if (flags == -1 || fcntl(fd, F_SETFD, on ? flags | FD_CLOEXEC : flags & ~FD_CLOEXEC) == -1)
		return error_set_errno(err, ERROR_IO, "close-on-exec of descriptor %d", fd);
	return true;
}

bool fd_set_close_on_exec_from(int lowest, struct npxc_error *err)
{
	DIR *directory;
	struct dirent *entry;
	bool ok = true;

#if defined(__linux__) && defined(SYS_close_range)
	/* 4 is CLOSE_RANGE_CLOEXEC (Linux 5.11). Older kernels and strict filters refuse: the directory below then. */
	if (syscall(SYS_close_range, (unsigned)lowest, ~0U, 4U) == 0)
		return true;
#endif
	directory = opendir("/dev/fd");
	if (directory == NULL)
		return error_set_errno(err, ERROR_IO, "open /dev/fd");
	while (ok && (entry = readdir(directory)) != NULL) {
		uint64_t fd;

		if (str_to_u64(entry->d_name, INT_MAX, &fd) && (int)fd >= lowest)
			ok = fd_set_close_on_exec((int)fd, true, err);
	}
	closedir(directory);
	return ok;
}

#ifndef __linux__
static bool both_close_on_exec(int ends[2], int ret_ends[2], struct npxc_error *err)
{
	if (!fd_set_close_on_exec(ends[0], true, err) || !fd_set_close_on_exec(ends[1], true, err)) {
		fd_close(&ends[0]);
		fd_close(&ends[1]);
		return false;
	}
	ret_ends[0] = ends[0];
	ret_ends[1] = ends[1];
	return true;
}
#endif

bool fd_pipe(int ret_ends[2], struct npxc_error *err)
{
#ifdef __linux__
	if (pipe2(ret_ends, O_CLOEXEC) == -1)
		return error_set_errno(err, ERROR_IO, "pipe");
	return true;
#else
	int ends[2];

	if (pipe(ends) == -1)
		return error_set_errno(err, ERROR_IO, "pipe");
	return both_close_on_exec(ends, ret_ends, err);
#endif
}

bool fd_socket_pair(int ret_ends[2], struct npxc_error *err)
{
#ifdef __linux__
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ret_ends) == -1)
		return error_set_errno(err, ERROR_IO, "socketpair");
	return true;
#else
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == -1)
		return error_set_errno(err, ERROR_IO, "socketpair");
	return both_close_on_exec(ends, ret_ends, err);
#endif
}

/* An inherited descriptor may be non-blocking; its flag belongs to others, so the waiting is done here. */
static void wait_for(int fd, short events)
{
	struct pollfd one = { .fd = fd, .events = events };

	while (poll(&one, 1, -1) == -1 && errno == EINTR)
		;
}

bool fd_write_all(int fd, const void *bytes, size_t count, struct npxc_error *err)
{
	const char *next = bytes;

	while (count > 0) {
		ssize_t written = write(fd, next, count);

		if (written >= 0) {
			next += written;
			count -= (size_t)written;
		} else if (errno == EAGAIN || errno == EWOULDBLOCK) {
			wait_for(fd, POLLOUT);
		} else if (errno != EINTR) {
			return error_set_errno(err, ERROR_IO, "write");
		}
	}
	return true;
}

/* One piece at the end of `bytes`; *ret_count is 0 at the end of file. With the buffer full, one byte more is looked
 * for: a file of exactly the ceiling's size is not too large. */
static bool read_piece(int fd, struct buf *bytes, size_t *ret_count, struct npxc_error *err)
{
	size_t room = bytes->max_bytes - bytes->length;
	size_t want = room < READ_BYTES ? room : READ_BYTES;
	char probe;
	ssize_t count;

	if (!buf_reserve(bytes, want, err))
		return false;
	for (;;) {
		count = want > 0 ? read(fd, bytes->data + bytes->length, want) : read(fd, &probe, 1);
		if (count >= 0)
			break;
		if (errno == EAGAIN || errno == EWOULDBLOCK)
			wait_for(fd, POLLIN);
		else if (errno != EINTR)
			return error_set_errno(err, ERROR_IO, "read");
	}
	if (want == 0 && count > 0) {
		error_set(err, ERROR_IO, "more than %zu bytes", bytes->max_bytes);
		err->sys_errno = EFBIG;
		return false;
	}
	*ret_count = (size_t)count;
	return true;
}

bool fd_read_all(int fd, struct buf *ret_bytes, struct npxc_error *err)
{
	size_t before = ret_bytes->length;
	size_t count = 1;

	while (count > 0) {
		if (!read_piece(fd, ret_bytes, &count, err)) {
			ret_bytes->length = before;
			if (ret_bytes->data != NULL)
				ret_bytes->data[before] = '\0';
			return false;
		}
		ret_bytes->length += count;
		ret_bytes->data[ret_bytes->length] = '\0';
	}
	return true;
}

static bool make_unnamed_file(int *ret_fd, struct npxc_error *err)
{
#ifdef __linux__
	int fd = memfd_create("npxc-data", MFD_CLOEXEC);

	if (fd == -1)
		return error_set_errno(err, ERROR_IO, "memfd_create");
	*ret_fd = fd;
	return true;
#else
	const char *directory = getenv("TMPDIR");
	mem_cleanup char *path = str_printf("%s/npxc-XXXXXX", directory != NULL ? directory : "/tmp");
	FD_CLEANUP int fd = mkstemp(path);

	if (fd == -1)
		return error_set_errno(err, ERROR_IO, "make a temporary file %s", path);
	unlink(path);
	if (!fd_set_close_on_exec(fd, true, err))
		return false;
	*ret_fd = fd_take(&fd);
	return true;
#endif
}

bool fd_of_data(const void *bytes, size_t length, int *ret_fd, struct npxc_error *err)
{
	FD_CLEANUP int fd = -1;

	if (!make_unnamed_file(&fd, err) || !fd_write_all(fd, bytes, length, err))
		return false;
	if (lseek(fd, 0, SEEK_SET) == -1)
		return error_set_errno(err, ERROR_IO, "lseek");
	*ret_fd = fd_take(&fd);
	return true;
}
