#include "session/lost.h"

#include "base/beneath.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/proc.h"
#include "base/tree.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static bool has_ended(int alive)
{
	struct pollfd one = { .fd = alive, .events = POLLIN };

	return poll(&one, 1, 0) != 0;
}

void lost_watch(struct lost *lost, pid_t pid)
{
	lost->pid = pid;
	lost->alive = proc_exit_fd(pid);
}

void lost_open(struct lost *lost, const char *home)
{
	FD_CLEANUP int root = -1;

	if (lost->home != -1 || lost->alive == -1)
		return;
	mem_cleanup char *path = str_printf("/proc/%ld/root", (long)lost->pid);
	root = open(path, BENEATH_WALK_FLAGS);
	/* It has been that very process for as long as it has not ended. */
	if (root == -1 || has_ended(lost->alive))
		return;
	lost->home = beneath_open(root, home + strspn(home, "/"), O_RDONLY | O_DIRECTORY, 0, BENEATH_MOUNTS);
	fd_close(&lost->alive);
}

void lost_close(struct lost *lost)
{
	fd_close(&lost->alive);
	fd_close(&lost->home);
}

/* Directories whose own entries are what belongs to one program. */
static size_t own_depth(const char *path)
{
	if (str_starts(path, ".config/"))
		return 2;
	return str_starts(path, ".local/share/") || str_starts(path, ".local/state/") ? 3 : 1;
}

static bool is_cache(const char *path)
{
	static const char *const caches[] = { ".cache/", ".npm/",  ".node_repl_history", ".nv/",
		                              ".pki/",   ".dbus/", "Library/Caches/" };

	for (size_t i = 0; i < sizeof(caches) / sizeof(caches[0]); i++)
		if (str_starts(path, caches[i]))
			return true;
	return false;
}

void lost_add(struct strv *names, const char *path)
{
	const char *end = path;

	if (is_cache(path) || names->count == LOST_NAMES_MAX)
		return;
	for (size_t depth = own_depth(path); depth > 0; depth--) {
		end += strcspn(end, "/");
		end += *end == '/';
	}
	mem_cleanup char *name = str_dup_n(path, (size_t)(end - path));
	if (!strv_contains(names, name))
		strv_push(names, name);
}

static enum tree_next add_entry(void *context, const struct tree_entry *entry, struct npxc_error *err)
{
	struct strv *names = context;

	if (entry->entry_count > LOST_ENTRIES_MAX) {
		error_set(err, ERROR_IO, "more than %d entries", LOST_ENTRIES_MAX);
		return TREE_STOP;
	}
	if (S_ISREG(entry->info.st_mode))
		lost_add(names, entry->path);
	return TREE_ENTER;
}

/* A mount, or a directory that the server has closed. */
static enum tree_next pass_by(void *context, const struct tree_entry *entry, int number, struct npxc_error *err)
{
	(void)context, (void)entry, (void)number, (void)err;
	return TREE_ON;
}

void lost_names(const struct lost *lost, struct strv *ret_names)
{
	struct strv names = { 0 };
	const struct tree_visitor visitor = {
		.context = &names, .types_only = true, .entry = add_entry, .refused = pass_by
	};
	struct npxc_error why;

	if (lost->home != -1 && !tree_walk(lost->home, "", &visitor, &why))
		log_info("session", "what the server wrote to HOME: %s", why.message);
	strv_sort(&names);
	*ret_names = names;
}
