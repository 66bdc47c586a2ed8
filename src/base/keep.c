#include "base/keep.h"

#include "base/fd.h"
#include "base/proc.h"
#include "base/str.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/syscall.h>
#endif

static int compare(const void *a, const void *b)
{
	int x = *(const int *)a;
	int y = *(const int *)b;

	return (x > y) - (x < y);
}

/* Linux 5.9; false on older kernels and under filters that do not know it. */
static bool close_between(unsigned first, unsigned last)
{
#if defined(__linux__) && defined(SYS_close_range)
	return first > last || syscall(SYS_close_range, first, last, 0U) == 0;
#else
	(void)first;
	(void)last;
	return false;
#endif
}

static bool close_gaps(const int *sorted, size_t count)
{
	unsigned next = 0;

	for (size_t i = 0; i < count; i++) {
		unsigned kept = (unsigned)sorted[i];

		if (kept > next && !close_between(next, kept - 1))
			return false;
		next = kept + 1;
	}
	return close_between(next, UINT_MAX);
}

static bool close_listed(const int *sorted, size_t count, struct npxc_error *err)
{
	DIR *directory = opendir("/dev/fd");
	struct dirent *entry;

	if (directory == NULL)
		return error_set_errno(err, ERROR_IO, "open /dev/fd");
	while ((entry = readdir(directory)) != NULL) {
		uint64_t number;
		int fd;

		if (!str_to_u64(entry->d_name, INT_MAX, &number))
			continue;
		fd = (int)number;
		if (fd != dirfd(directory) && bsearch(&fd, sorted, count, sizeof(fd), compare) == NULL)
			close(fd);
	}
	closedir(directory);
	return true;
}

bool keep_only(int *fds, size_t count, struct npxc_error *err)
{
	proc_heed(-1); /* the descriptor goes, or its number is somebody else's from here on */
	qsort(fds, count, sizeof(*fds), compare);
	return close_gaps(fds, count) || close_listed(fds, count, err);
}

pid_t keep_fork(void)
{
	sigset_t all, before;
	pid_t pid;
	int saved;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	pid = fork();
	saved = errno;
	if (pid != 0)
		sigprocmask(SIG_SETMASK, &before, NULL);
	errno = saved;
	return pid;
}

void keep_no_handlers(void)
{
	for (int i = 1; i < NSIG; i++)
		signal(i, SIG_DFL); /* refused for SIGKILL, SIGSTOP and those of the C library */
}

void keep_no_mask(void)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

bool keep_apart(int *const *fds, size_t count, struct npxc_error *err)
{
	static const int ignored[] = { SIGPIPE, SIGINT, SIGTERM, SIGHUP };
	int kept[3 + KEEP_APART_FDS] = { STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO };
	size_t kept_count = 3;
	int null;

	if (setsid() == -1)
		return error_set_errno(err, ERROR_IO, "setsid");
	keep_no_handlers();
	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		signal(ignored[i], SIG_IGN);
	keep_no_mask();
	for (size_t i = 0; i < count && i < KEEP_APART_FDS; i++) {
		if (*fds[i] == -1)
			continue;
		*fds[i] = fcntl(*fds[i], F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
		if (*fds[i] == -1)
			return error_set_errno(err, ERROR_IO, "keep a descriptor");
		kept[kept_count++] = *fds[i];
	}
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null == -1)
		return error_set_errno(err, ERROR_IO, "open /dev/null");
	for (int i = STDIN_FILENO; i <= STDERR_FILENO; i++)
		if (null == i ? !fd_set_close_on_exec(i, false, err) : dup2(null, i) == -1)
			return false;
	return keep_only(kept, kept_count, err) && chdir("/") == 0;
}
