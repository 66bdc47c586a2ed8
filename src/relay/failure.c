#include "relay/failure.h"

#include "base/limits.h"
#include "base/mem.h"
#include "relay/notice.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static bool contains(const char *bytes, size_t count, const char *word)
{
	return memmem(bytes, count, word, strlen(word)) != NULL;
}

/* As the C library, Python and Go say it; as Node says it of a directory whose parent cannot be made; a code alone.
 * Long words are found faster. */
enum failure failure_in(const char *bytes, size_t count, bool names_path)
{
	static const char *const NETWORK[] = { "EAI_AGAIN",
		                               "ENOTFOUND",
		                               "ENETUNREACH",
		                               "etwork is unreachable",
		                               "failure in name resolution",
		                               "ame or service not known" };

	if (contains(bytes, count, "ead-only file system") ||
	    (names_path && contains(bytes, count, "or directory, mkdir '")) || contains(bytes, count, "EROFS"))
		return FAILURE_READ_ONLY;
	/* SQLite's and libsql's, of a file that is not there and cannot be made (SQLITE_CANTOPEN, 14) */
	if (contains(bytes, count, "nable to open database file") ||
	    contains(bytes, count, "nable to open connection to local database"))
		return FAILURE_READ_ONLY;
	if (contains(bytes, count, "o space left on device") || contains(bytes, count, "ENOSPC"))
		return FAILURE_SPACE;
	for (size_t i = 0; i < sizeof(NETWORK) / sizeof(NETWORK[0]); i++)
		if (contains(bytes, count, NETWORK[i]))
			return FAILURE_NETWORK;
	return FAILURE_NONE;
}

void failure_tell(struct notices *notices, enum failure failure, const char *directory, bool is_mounted)
{
	mem_cleanup char *space = NULL;

	switch (failure) {
	case FAILURE_NONE:
		break;
	case FAILURE_READ_ONLY:
		notice_tell(notices, is_mounted ? NOTICE_READ_ONLY_MOUNT : NOTICE_READ_ONLY,
		            &(struct notice){ .subject = directory });
		break;
	case FAILURE_NETWORK:
		notice_tell(
		    notices, NOTICE_NETWORK,
		    &(struct notice){ .subject = "network", .why = "look-ups or connections, as it says itself" });
		break;
	case FAILURE_SPACE:
		space = str_printf("%" PRIu64 " MiB", (uint64_t)(LIMIT_TMPFS_HOME_BYTES / MIB));
		notice_tell(notices, NOTICE_SPACE, &(struct notice){ .subject = space });
		break;
	}
}
