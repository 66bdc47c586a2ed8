#ifndef NPXC_BASE_FD_H
#define NPXC_BASE_FD_H

#include "base/buf.h"
#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/*
 * File descriptors. One that npxc makes is close-on-exec from its birth (on macOS, which has neither pipe2 nor
 * SOCK_CLOEXEC, right after it). -1 means "none" everywhere. All errors are ERROR_IO.
 */

void fd_close(int *fd);   /* closes unless -1, sets -1, keeps errno */
void fd_cleanup(int *fd); /* for FD_CLEANUP */
#define FD_CLEANUP __attribute__((cleanup(fd_cleanup)))
int fd_take(int *fd); /* hands ownership on: the number, and -1 stays behind */

/*
 * Puts /dev/null on those of 0, 1 and 2 that the parent left closed, the wrong way round: reading such a stdin or
 * writing to such a stdout fails as on a closed descriptor, but no pipe of npxc's own ever gets one of these numbers.
 */
bool fd_fill_standard(struct npxc_error *err) NPXC_MUST_CHECK;

/* [0] is the reading end, [1] the writing one. */
bool fd_pipe(int ret_ends[2], struct npxc_error *err) NPXC_MUST_CHECK;
/* A connected UNIX stream socket pair. */
bool fd_socket_pair(int ret_ends[2], struct npxc_error *err) NPXC_MUST_CHECK;
bool fd_set_close_on_exec(int fd, bool on, struct npxc_error *err) NPXC_MUST_CHECK;
/* Every descriptor from `lowest` on: for a forked child just before it execs, so that nothing of the client's that was
 * inherited without the flag gets on. May allocate: the parent has one thread. */
bool fd_set_close_on_exec_from(int lowest, struct npxc_error *err) NPXC_MUST_CHECK;

/* Blocking, whole, EINTR handled. A peer that closed is an error (EPIPE), never a signal: npxc ignores SIGPIPE. */
bool fd_write_all(int fd, const void *bytes, size_t count, struct npxc_error *err) NPXC_MUST_CHECK;
/* Appends, to the end of file; more than the buffer's ceiling is EFBIG. After a failure the buffer is as before. */
bool fd_read_all(int fd, struct buf *ret_bytes, struct npxc_error *err) NPXC_MUST_CHECK;
/* A file descriptor with `length` bytes to be read from its start: a memfd, or an unlinked temporary file. */
bool fd_of_data(const void *bytes, size_t length, int *ret_fd, struct npxc_error *err) NPXC_MUST_CHECK;

#endif
