#include "session/shares.h"

#include "base/mem.h"
#include "base/proc.h"
#include "guest/guest.h"
#include "teardown/lease.h"

#include <stdlib.h>
#include <string.h>

bool shares_count(enum runtime_kind kind)
{
	const struct runtime_driver *driver = runtime_driver(kind);

	return driver->has_own_kernel || (driver->takes_first && GUEST_FIRST_LENGTH == 0);
}

void shares_words(const struct mounts *mounts, const char *data_directory, const struct homes *homes,
                  struct strv *ret_words)
{
	for (size_t i = 0; i < mounts->count; i++)
		if (!mounts->v[i].kept) /* beneath one that is said already, and copied or pinned */
			strv_pushf(ret_words, "%c%s", mounts->v[i].writable ? 'w' : 'r', mounts->v[i].source);
	if (data_directory != NULL)
		strv_pushf(ret_words, "w%s", data_directory);
	for (size_t i = 0; i < homes->count; i++)
		strv_pushf(ret_words, "w%s", homes->v[i].directory);
}

static bool lies_beneath(const char *word, const char *other)
{
	return other[0] == 'w' && strcmp(word + 1, other + 1) != 0 && str_path_within(word + 1, other + 1);
}

bool shares_conflict(const struct strv *mine, const struct strv *other, const char **ret_mine, const char **ret_other)
{
	for (size_t i = 0; i < mine->count; i++)
		for (size_t k = 0; k < other->count; k++) {
			if (!lies_beneath(mine->v[i], other->v[k]) && !lies_beneath(other->v[k], mine->v[i]))
				continue;
			*ret_mine = mine->v[i];
			*ret_other = other->v[k];
			return true;
		}
	return false;
}

static bool check_one(const struct lease *lease, const struct strv *words, struct npxc_error *err)
{
	const char *mine, *other;

	if (!shares_conflict(words, &lease->shares, &mine, &other))
		return true;
	if (lies_beneath(mine, other))
		return error_set(err, ERROR_CONFIG,
		                 "%s lies in %s, which the server of session %s (%s) may write to while this one would "
		                 "look it up; end that session (npxc stop %s), or give it %s read-only",
		                 mine + 1, other + 1, lease->id, lease->package, lease->id, other + 1);
	return error_set(
	    err, ERROR_CONFIG,
	    "%s would be writable, and session %s (%s) was given %s in it; end that session (npxc stop %s), "
	    "or mount it read-only",
	    mine + 1, lease->id, lease->package, other + 1, lease->id);
}

bool shares_check(const char *directory, const char *own_id, const struct strv *words, struct npxc_error *err)
{
	mem_cleanup char *boot = proc_boot_id();
	struct strv files __attribute__((cleanup(strv_done))) = { 0 };
	bool fine = true;

	if (!lease_list(directory, &files, err))
		return false;
	for (size_t i = 0; fine && i < files.count; i++) {
		struct lease_seen seen;

		lease_look(directory, files.v[i], false, boot == NULL ? "" : boot, &seen);
		if ((seen.state == LEASE_LIVE || seen.state == LEASE_ENDING) && !str_equal(seen.lease.id, own_id))
			fine = check_one(&seen.lease, words, err);
		lease_seen_done(&seen);
	}
	return fine;
}
