#include "base/userns.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"

#include <errno.h>
#include <string.h>

#ifdef __linux__

#include <sched.h>
#include <sys/prctl.h>
#include <unistd.h>

const char *userns_enter(int also)
{
	mem_cleanup char *uid_map = str_printf("%u %u 1", geteuid(), geteuid());
	mem_cleanup char *gid_map = str_printf("%u %u 1", getegid(), getegid());

	/* A process that has just changed its user may not write its own maps. */
	if (prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == -1 || unshare(CLONE_NEWUSER | also) == -1)
		return USERNS_UNSHARE;
	if (!file_write_setting("/proc/self/setgroups", "deny") || !file_write_setting("/proc/self/uid_map", uid_map) ||
	    !file_write_setting("/proc/self/gid_map", gid_map))
		return "its user mapping";
	return NULL;
}

#else

const char *userns_enter(int also)
{
	(void)also;
	errno = ENOSYS;
	return USERNS_UNSHARE;
}

#endif
