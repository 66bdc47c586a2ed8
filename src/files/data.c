#include "files/data.h"

#include "base/file.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static bool judge(const char *directory, const struct strv *written, const struct source *source,
                  struct npxc_error *err)
{
	const char *link = NULL, *tree = source_leads_out_of(source, written, &link);

	if (tree != NULL)
		return error_set(
		    err, ERROR_CONFIG,
		    "%s leads out of %s by the symbolic link %s, which a server may have made; look at it, "
		    "and remove it",
		    directory, tree, link);
	/* npxc makes this one itself, and no user has a reason to put a link in its place. */
	if (source->is_link)
		return error_set(err, ERROR_CONFIG,
		                 "%s is a symbolic link, to %s; remove it, or put the directory there", directory,
		                 source->path);
	return S_ISDIR(source->info.st_mode) || error_set(err, ERROR_CONFIG, "%s is not a directory", directory);
}

static bool give(const struct source *source, int owner, struct npxc_error *err)
{
	const uid_t uid = (uid_t)owner;
	const gid_t gid = (gid_t)owner;

#ifdef __linux__
	const int failed = fchownat(source->fd, "", uid, gid, AT_EMPTY_PATH);
#else
	const int failed = fchown(source->fd, uid, gid);
#endif
	return failed == 0 || error_set_errno(err, ERROR_IO, "give %s to the sandbox's user", source->path);
}

bool data_open(const char *directory, const struct strv *written, bool make, int owner, struct source *ret_source,
               struct npxc_error *err)
{
	struct source source __attribute__((cleanup(source_done))) = SOURCE_NONE;
	struct npxc_error why = { 0 };

	if (make && !file_make_directories(directory, 0700, err))
		return false;
	if (!source_open(directory, &source, &why)) {
		if (!make && why.sys_errno == ENOENT) {
			*ret_source = (struct source)SOURCE_NONE;
			return true;
		}
		*err = why;
		return false;
	}
	if (!judge(directory, written, &source, err) || (make && owner != -1 && !give(&source, owner, err)))
		return false;
	*ret_source = source_take(&source);
	return true;
}
