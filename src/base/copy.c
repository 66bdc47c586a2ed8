#include "base/copy.h"

#include "base/fd.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/random.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#ifdef __linux__
#include <linux/fs.h>
#include <sys/ioctl.h>
#endif
#ifdef __APPLE__
#include <sys/clonefile.h>
#endif

/* One request to the kernel: some 10 ms of work, so that "stop" is heard soon. */
#define PIECE_BYTES (16 * MIB)

enum { BUFFER_BYTES = 128 * 1024 };

static bool check_size(uint64_t bytes, const struct copy_rules *rules, struct npxc_error *err)
{
	if (bytes <= rules->max_bytes)
		return true;
	errno = EFBIG;
	return error_set_errno(err, ERROR_IO, "copy more than %llu bytes", (unsigned long long)rules->max_bytes);
}

static bool check_stop(const struct copy_rules *rules, struct npxc_error *err)
{
	if (rules->stop == NULL || !rules->stop(rules->context))
		return true;
	errno = EINTR;
	return error_set_errno(err, ERROR_IO, "copy");
}

static bool is_empty_at_start(int fd)
{
	return lseek(fd, 0, SEEK_CUR) == 0;
}

/* Shares the blocks. False: not here, and nothing has been done. */
static bool clone(int from, int to)
{
#ifdef FICLONE
	return is_empty_at_start(from) && ioctl(to, FICLONE, from) == 0;
#else
	(void)from;
	(void)to;
	(void)is_empty_at_start;
	return false;
#endif
}

/* One piece, at most `most`: bytes copied, 0 at the end, -1 with errno. `*plain`: only reading and writing is left. */
static ssize_t copy_piece(int from, int to, uint64_t most, bool *plain)
{
	static char bytes[BUFFER_BYTES];
	ssize_t count, done = 0;

#ifdef __linux__
	if (!*plain) {
		count = copy_file_range(from, NULL, to, NULL, most < PIECE_BYTES ? (size_t)most : PIECE_BYTES, 0);
		if (count > 0)
			return count;
		/* 0 is also what some file systems say of files whose size they do not know: reading will tell. */
		if (count < 0 && errno != EXDEV && errno != ENOSYS && errno != EOPNOTSUPP && errno != EINVAL &&
		    errno != EPERM && errno != EBADF)
			return -1;
		*plain = true;
	}
#else
	*plain = true;
#endif
	count = read(from, bytes, most < sizeof(bytes) ? (size_t)most : sizeof(bytes));
	while (count > 0 && done < count) {
		const ssize_t written = write(to, bytes + done, (size_t)(count - done));

		if (written < 0 && errno != EINTR)
			return -1;
		done += written > 0 ? written : 0;
	}
	return count;
}

/* The next `most` bytes, or to the end; `copied` counts on. */
static bool copy_some(int from, int to, uint64_t most, const struct copy_rules *rules, uint64_t *copied, bool *plain,
                      struct npxc_error *err)
{
	while (most > 0) {
		const ssize_t count = copy_piece(from, to, most, plain);

		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0)
			return error_set_errno(err, ERROR_IO, "copy");
		if (count == 0)
			break;
		*copied += (uint64_t)count;
		most -= (uint64_t)count;
		if (!check_size(*copied, rules, err) || !check_stop(rules, err))
			return false;
	}
	return true;
}

/* Fewer blocks than bytes: it has holes (or is compressed, and then the next look finds none). */
static bool is_sparse(const struct stat *info)
{
#if defined(SEEK_DATA) && defined(SEEK_HOLE)
	return S_ISREG(info->st_mode) && (uint64_t)info->st_blocks * 512 + 4096 <= (uint64_t)info->st_size;
#else
	(void)info;
	return false;
#endif
}

/* Its data alone, each part at its place. The size is that of the moment in which the last data had been copied. */
static bool copy_sparse(int from, int to, const struct copy_rules *rules, uint64_t *ret_bytes, struct npxc_error *err)
{
#if defined(SEEK_DATA) && defined(SEEK_HOLE)
	struct stat info;
	uint64_t copied = 0;
	bool plain = false;
	off_t at = 0;

	for (;;) {
		const off_t data = lseek(from, at, SEEK_DATA);
		const off_t hole = data < 0 ? -1 : lseek(from, data, SEEK_HOLE);

		if (data < 0 && errno == ENXIO)
			break;
		if (hole < 0 || lseek(from, data, SEEK_SET) != data || lseek(to, data, SEEK_SET) != data)
			return error_set_errno(err, ERROR_IO, "copy");
		if (!check_size((uint64_t)hole, rules, err) ||
		    !copy_some(from, to, (uint64_t)(hole - data), rules, &copied, &plain, err))
			return false;
		at = hole;
	}
	if (fstat(from, &info) != 0)
		return error_set_errno(err, ERROR_IO, "copy");
	if (!check_size((uint64_t)info.st_size, rules, err))
		return false;
	if (ftruncate(to, info.st_size) != 0)
		return error_set_errno(err, ERROR_IO, "copy");
	*ret_bytes = (uint64_t)info.st_size;
	return true;
#else
	(void)from;
	(void)to;
	(void)rules;
	(void)ret_bytes;
	return error_set(err, ERROR_IO, "copy a file with holes");
#endif
}

/*
 * From `from`'s offset to its end into `to`, which is empty and open for writing.
 * ERROR_IO: EFBIG above max_bytes (also of a file that grows meanwhile), EINTR when told to stop, or what the system
 * says. `to` may hold a part then.
 */
static bool copy_content(int from, int to, const struct copy_rules *rules, uint64_t *ret_bytes, struct npxc_error *err)
{
	struct stat info;
	uint64_t copied = 0;
	bool plain = false;

	if (fstat(from, &info) != 0)
		return error_set_errno(err, ERROR_IO, "copy");
	if (!check_size((uint64_t)info.st_size, rules, err) || !check_stop(rules, err))
		return false;
	if (clone(from, to)) {
		if (fstat(to, &info) != 0)
			return error_set_errno(err, ERROR_IO, "copy");
		if (!check_size((uint64_t)info.st_size, rules, err))
			return false;
		*ret_bytes = (uint64_t)info.st_size;
		return true;
	}
	if (is_sparse(&info) && is_empty_at_start(from))
		return copy_sparse(from, to, rules, ret_bytes, err);
	if (!copy_some(from, to, UINT64_MAX, rules, &copied, &plain, err))
		return false;
	*ret_bytes = copied;
	return true;
}

#ifdef __APPLE__
/* True: the file is there. False with errno: 0 when it has to be copied. */
static bool clone_file(int from, int directory, const char *name, mode_t mode)
{
	struct stat info;

	if (fclonefileat(from, directory, name, CLONE_NOFOLLOW | CLONE_NOOWNERCOPY) != 0) {
		errno = errno == EEXIST ? EEXIST : 0;
		return false;
	}
	{
		/* By its descriptor: the name may stand for something else by now. */
		FD_CLEANUP int fd = openat(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

		if (fd != -1 && fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && info.st_nlink == 1 &&
		    fchmod(fd, mode) == 0)
			return true;
	}
	(void)unlinkat(directory, name, 0);
	errno = 0;
	return false;
}
#endif

static bool copy_anew(int from, int directory, const char *name, mode_t mode, const struct copy_rules *rules,
                      uint64_t *ret_bytes, struct npxc_error *err)
{
	FD_CLEANUP int to =
	    openat(directory, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, S_IRUSR | S_IWUSR);

	if (to == -1)
		return error_set_errno(err, ERROR_IO, "make a copy");
	if (!copy_content(from, to, rules, ret_bytes, err))
		return false;
	/* The umask has no say here. */
	if (fchmod(to, mode) != 0)
		return error_set_errno(err, ERROR_IO, "make a copy");
	return true;
}

bool copy_file(int from, int directory, const char *name, mode_t mode, const struct copy_rules *rules,
               uint64_t *ret_bytes, struct npxc_error *err)
{
	uint64_t bytes = 0;

#ifdef __APPLE__
	struct stat info;

	if (fstat(from, &info) != 0)
		return error_set_errno(err, ERROR_IO, "copy");
	if (!check_size((uint64_t)info.st_size, rules, err))
		return false;
	if (clone_file(from, directory, name, mode)) {
		*ret_bytes = (uint64_t)info.st_size;
		return true;
	}
	if (errno != 0)
		return error_set_errno(err, ERROR_IO, "make a copy");
#endif
	if (lseek(from, 0, SEEK_SET) != 0)
		return error_set_errno(err, ERROR_IO, "copy");
	if (!copy_anew(from, directory, name, mode, rules, &bytes, err)) {
		if (err->sys_errno != EEXIST)
			(void)unlinkat(directory, name, 0);
		return false;
	}
	*ret_bytes = bytes;
	return true;
}

#if defined(__linux__) && defined(O_TMPFILE)
/* Nothing to clean up whatever happens. False with `*ret_elsewhere`: not on this file system. */
static bool place_nameless(int from, int directory, const char *name, mode_t mode, const struct copy_rules *rules,
                           uint64_t *ret_bytes, bool *ret_elsewhere, struct npxc_error *err)
{
	FD_CLEANUP int to = openat(directory, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, S_IRUSR | S_IWUSR);
	char path[32];

	*ret_elsewhere = to == -1;
	if (to == -1 || !copy_content(from, to, rules, ret_bytes, err))
		return false;
	if (fchmod(to, mode) != 0)
		return error_set_errno(err, ERROR_IO, "make a copy");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", to);
	if (linkat(AT_FDCWD, path, directory, name, AT_SYMLINK_FOLLOW) == 0)
		return true;
	*ret_elsewhere = errno != EEXIST; /* no /proc, perhaps */
	return error_set_errno(err, ERROR_IO, "make a copy");
}
#endif

/* Gives `temporary` its right name unless that is taken. False with errno. */
static bool rename_anew(int directory, const char *temporary, const char *name)
{
	if (linkat(directory, temporary, directory, name, 0) == 0) {
		(void)unlinkat(directory, temporary, 0);
		return true;
	}
	if (errno == EEXIST)
		return false;
#if defined(__linux__) && defined(RENAME_NOREPLACE)
	return renameat2(directory, temporary, directory, name, RENAME_NOREPLACE) == 0;
#elif defined(__APPLE__) && defined(RENAME_EXCL)
	return renameatx_np(directory, temporary, directory, name, RENAME_EXCL) == 0;
#else
	return false;
#endif
}

bool copy_place(int from, int directory, const char *name, mode_t mode, const struct copy_rules *rules,
                uint64_t *ret_bytes, struct npxc_error *err)
{
	mem_cleanup char *random = NULL;
	mem_cleanup char *temporary = NULL;
	uint64_t bytes = 0;

#if defined(__linux__) && defined(O_TMPFILE)
	struct npxc_error why = { 0 };
	bool elsewhere = false;

	if (place_nameless(from, directory, name, mode, rules, &bytes, &elsewhere, &why)) {
		*ret_bytes = bytes;
		return true;
	}
	if (!elsewhere) {
		*err = why;
		return false;
	}
#endif
	random = random_hex(16);
	temporary = str_printf(".npxc-%s", random);
	if (!copy_file(from, directory, temporary, mode, rules, &bytes, err))
		return false;
	if (rename_anew(directory, temporary, name)) {
		*ret_bytes = bytes;
		return true;
	}
	error_set_errno(err, ERROR_IO, "make a copy");
	(void)unlinkat(directory, temporary, 0);
	return false;
}
