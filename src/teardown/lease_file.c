#include "base/buf.h"
#include "base/fault.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/proc.h"
#include "base/random.h"
#include "teardown/lease.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- processes ---- */

struct lease_process lease_process_of(pid_t pid)
{
	struct proc_look look = { 0 };

	if (!proc_look(pid, &look))
		look.started = 0;
	return (struct lease_process){ .pid = pid, .started = look.started };
}

bool lease_process_alive(const struct lease *lease, const struct lease_process *process, const char *boot)
{
	struct proc_look look;

	return process->pid > 0 && process->started > 0 && lease_is_of_boot(lease, boot) &&
	       proc_look(process->pid, &look) && !look.zombie && look.started == process->started;
}

/* ---- files ---- */

char *lease_path(const char *directory, const char *id)
{
	return str_printf("%s/%s%s", directory, id, LEASE_SUFFIX);
}

char *lease_new_id(const char *directory)
{
	for (;;) {
		char *id = random_hex(RESOURCE_ID_DIGITS);
		mem_cleanup char *path = lease_path(directory, id);

		if (access(path, F_OK) == -1)
			return id;
		free(id);
	}
}

static bool lock(int fd, int operation, struct npxc_error *err)
{
	while (flock(fd, operation) == -1)
		if (errno != EINTR)
			return error_set_errno(err, ERROR_IO,
			                       "the lease cannot be locked; set XDG_STATE_HOME to a directory "
			                       "whose file system has locks");
	return true;
}

/* Between a file's making and its lock a sweep may take it for a dead one, which holds nothing, and remove it. */
static bool create_locked(const char *path, int *ret_fd, struct npxc_error *err)
{
	for (;;) {
		FD_CLEANUP int fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
		struct stat st;

		if (fd == -1)
			return error_set_errno(err, ERROR_IO, "create the lease %s", path);
		if (!lock(fd, LOCK_SH, err)) {
			unlink(path); /* without a lock it would look like a living session's, or a dead one's */
			return false;
		}
		if (fstat(fd, &st) == 0 && st.st_nlink == 1) {
			*ret_fd = fd_take(&fd);
			return true;
		}
	}
}

static bool sync_directory(const char *path, struct npxc_error *err)
{
	FD_CLEANUP int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd != -1 && fsync(fd) == -1 && (errno == EINVAL || errno == ENOTSUP)) {
		log_debug("lease", "%s cannot be synced on its file system: %s", path, strerror(errno));
		return true;
	}
	if (fd == -1 || fsync(fd) == -1)
		return error_set_errno(err, ERROR_IO, "sync %s", path);
	return true;
}

bool lease_create(const char *path, const char *text, int *ret_fd, struct npxc_error *err)
{
	mem_cleanup char *directory = str_dup_n(path, (size_t)(strrchr(path, '/') - path));
	FD_CLEANUP int fd = -1;

	if (!file_make_directories(directory, 0700, err) || !create_locked(path, &fd, err))
		return false;
	if (!lease_append(fd, text, true, err) || !sync_directory(directory, err)) {
		unlink(path);
		return false;
	}
	*ret_fd = fd_take(&fd);
	return true;
}

/* Data and length, as far as the kernel can be made to (on macOS the drive may still keep them back). */
static int sync_data(int fd)
{
#ifdef __APPLE__
	return fsync(fd);
#else
	return fdatasync(fd);
#endif
}

bool lease_append(int fd, const char *text, bool durable, struct npxc_error *err)
{
	const size_t count = strlen(text);
	struct stat before;

	if (fstat(fd, &before) == -1)
		return error_set_errno(err, ERROR_IO, "look at the lease");
	if ((uint64_t)before.st_size + count > LIMIT_LEASE_BYTES)
		return error_set(err, ERROR_IO, "the lease would be longer than %zu bytes", LIMIT_LEASE_BYTES);
	bool fine = fd_write_all(fd, text, count, err);
	if (fine && durable && sync_data(fd) == -1)
		fine = error_set_errno(err, ERROR_IO, "sync");
	if (fine)
		return true;
	/* What could be written of it must not stand before the next line. */
	return error_prefix(err, ftruncate(fd, before.st_size) == 0 ? "write the lease"
	                                                            : "the lease is torn and cannot be mended");
}

bool lease_share(const char *path, int *ret_fd, struct npxc_error *err)
{
	FD_CLEANUP int fd = open(path, O_RDWR | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (fd == -1)
		return error_set_errno(err, ERROR_IO, "open the lease %s", path);
	if (!lock(fd, LOCK_SH | LOCK_NB, err))
		return false;
	*ret_fd = fd_take(&fd);
	return true;
}

/* Behind the last whole line a text is cut, with `mend` in the file as well. */
static bool read_lease(int fd, bool mend, struct lease *ret_lease, struct npxc_error *err)
{
	struct buf text BUF_CLEANUP = BUF_INIT(LIMIT_LEASE_BYTES);
	size_t whole;

	if (lseek(fd, 0, SEEK_SET) == -1)
		return error_set_errno(err, ERROR_IO, "read the lease");
	if (!fd_read_all(fd, &text, err))
		return false;
	whole = text.length;
	while (whole > 0 && text.data[whole - 1] != '\n')
		whole--;
	if (mend && whole < text.length && ftruncate(fd, (off_t)whole) == -1)
		return error_set_errno(err, ERROR_IO, "cut a torn line off the lease");
	return lease_parse(text.data == NULL ? "" : text.data, whole, ret_lease, err);
}

bool lease_reread(int fd, struct lease *ret_lease, struct npxc_error *err)
{
	return read_lease(fd, true, ret_lease, err);
}

/* ---- looking at one ---- */

static void alien(struct lease_seen *seen, const char *why)
{
	seen->state = LEASE_ALIEN;
	seen->why = str_escape(why, strlen(why));
}

/* NULL when it is a file of this user's that nobody else can have written. */
static const char *objection_to_file(const struct stat *st)
{
	if (!S_ISREG(st->st_mode))
		return "it is not a regular file";
	if (st->st_uid != geteuid())
		return "it belongs to another user";
	if ((st->st_mode & 022) != 0)
		return "others may write to it";
	if (st->st_nlink > 1)
		return "it has a second name";
	return NULL;
}

/* False: not ours to read, or gone. */
static bool open_ours(struct lease_seen *seen)
{
	const char *objection;
	struct stat st;

	seen->fd = open(seen->path, O_RDWR | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (seen->fd == -1 || fstat(seen->fd, &st) == -1) {
		seen->state = LEASE_GONE;
		if (errno != ENOENT)
			alien(seen, errno == ELOOP || errno == EMLINK ? "it is a symbolic link" : strerror(errno));
		return false;
	}
	objection = objection_to_file(&st);
	if (objection != NULL)
		alien(seen, objection);
	return objection == NULL;
}

static bool still_there(const struct lease_seen *seen)
{
	struct stat st;

	return fstat(seen->fd, &st) == 0 && st.st_nlink > 0;
}

/* Somebody who only looked holds the lock for a moment; nobody who looks like an owner lives then. */
enum { LOOK_AGAIN = 10, LOOK_PAUSE_MS = 5 };

static bool take_lock(struct lease_seen *seen, const char *boot)
{
	for (unsigned i = 0; flock(seen->fd, LOCK_EX | LOCK_NB) == -1; i++) {
		if (errno != EWOULDBLOCK && errno != EINTR) {
			mem_cleanup char *why = str_printf("it cannot be locked: %s", strerror(errno));
			alien(seen, why);
			return false;
		}
		if (WITHOUT("living") && i == LOOK_AGAIN)
			return true;
		if (!WITHOUT("living") &&
		    (i == LOOK_AGAIN || lease_process_alive(&seen->lease, &seen->lease.launcher, boot) ||
		     lease_process_alive(&seen->lease, &seen->lease.janitor, boot)))
			return false;
		poll(NULL, 0, LOOK_PAUSE_MS);
	}
	return true;
}

static bool read_seen(struct lease_seen *seen, bool mend)
{
	struct npxc_error err = { 0 };
	const bool fine = read_lease(seen->fd, mend, &seen->lease, &err);

	if (!fine)
		alien(seen, err.message);
	return fine;
}

/* Who looks, asked once: neither changes while a process lives. */
static bool is_here(struct lease_seen *seen, const char *boot)
{
	static char *machine;
	const char *where;

	if (machine == NULL)
		machine = proc_machine_id();
	where = lease_elsewhere(&seen->lease, boot, machine, proc_namespace());
	if (where != NULL) {
		seen->state = LEASE_ELSEWHERE;
		seen->why = str_dup(where);
	}
	return where == NULL;
}

bool lease_is_left_alone(enum lease_state state)
{
	return state == LEASE_ALIEN || state == LEASE_ELSEWHERE;
}

void lease_look(const char *directory, const char *file, bool take, const char *boot, struct lease_seen *ret_seen)
{
	struct lease_seen seen = { .path = str_printf("%s/%s", directory, file), .fd = -1 };

	if (open_ours(&seen) && read_seen(&seen, false) && is_here(&seen, boot)) {
		if (!take_lock(&seen, boot)) {
			if (seen.why == NULL)
				seen.state = lease_process_alive(&seen.lease, &seen.lease.launcher, boot) ||
				                     !lease_is_of_boot(&seen.lease, boot)
				                 ? LEASE_LIVE
				                 : LEASE_ENDING;
		} else if (!still_there(&seen)) {
			seen.state = LEASE_GONE;
		} else {
			/* Its owners have gone: what they wrote last has not been read yet. */
			lease_done(&seen.lease);
			if (read_seen(&seen, take) && is_here(&seen, boot))
				seen.state = LEASE_DEAD;
		}
	}
	if (lease_is_left_alone(seen.state))
		lease_done(&seen.lease);
	if (seen.state != LEASE_DEAD || !take)
		fd_close(&seen.fd);
	*ret_seen = seen;
}

void lease_seen_done(struct lease_seen *seen)
{
	free(seen->path);
	free(seen->why);
	lease_done(&seen->lease);
	fd_close(&seen->fd);
}

const char *lease_state_word(enum lease_state state)
{
	static const char *const words[] = {
		[LEASE_LIVE] = "live",        [LEASE_ENDING] = "ending",       [LEASE_DEAD] = "dead",
		[LEASE_ALIEN] = "unreadable", [LEASE_ELSEWHERE] = "elsewhere", [LEASE_GONE] = "gone",
	};

	return words[state];
}

/* ---- the directory ---- */

bool lease_list(const char *directory, struct strv *ret_files, struct npxc_error *err)
{
	struct strv files = { 0 };
	DIR *stream = opendir(directory);

	if (stream == NULL)
		return errno == ENOENT || error_set_errno(err, ERROR_IO, "open %s", directory);
	for (const struct dirent *entry = readdir(stream); entry != NULL; entry = readdir(stream))
		if (str_ends(entry->d_name, LEASE_SUFFIX))
			strv_push(&files, entry->d_name);
	closedir(stream);
	strv_sort(&files);
	*ret_files = files;
	return true;
}

bool lease_any_dead(const char *directory, const struct strv *but)
{
	DIR *stream = opendir(directory);
	bool any = false;

	if (stream == NULL)
		return false;
	for (const struct dirent *entry = readdir(stream); !any && entry != NULL; entry = readdir(stream)) {
		if (!str_ends(entry->d_name, LEASE_SUFFIX) || (but != NULL && strv_contains(but, entry->d_name)))
			continue;
		FD_CLEANUP int fd =
		    openat(dirfd(stream), entry->d_name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
		any = fd != -1 && flock(fd, LOCK_EX | LOCK_NB) == 0;
	}
	closedir(stream);
	return any;
}
